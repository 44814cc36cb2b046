# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Integer transformer: quantizer, NumPy reference, checkpoints and the workload images that the firmware runs.

Imports `litenorm.accel` only.
"""
