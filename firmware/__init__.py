# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Bare-metal C: driver, bit-exact twin of the core, int8 kernels, transformer block, console; and `generate`."""
