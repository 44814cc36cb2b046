# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Firmware: C driver, bit-exact C twin, int8 kernels, one transformer block and the console.

The C sources lie beside this file; the Python part only generates headers from `litenorm.accel`.
"""
