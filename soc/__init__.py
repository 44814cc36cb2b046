# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""LiteNorm in a LiteX SoC: the CSR and DMA peripheral, and the SoC that is simulated.

Imports `litenorm.accel` only.
"""
