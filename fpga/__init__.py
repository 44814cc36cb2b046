# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Bitstreams for boards with open tools from PyPI: `litenorm build`.

Imports `litenorm.soc.targets`, and from `litenorm.sim` what all commands share.
"""
