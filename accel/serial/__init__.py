# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The serial back end: the smallest core, one arithmetic unit that takes many cycles an element.

`model` and `model_norm` are the bit-exact NumPy models, `softmax_*`, `norm_*` and `trio_*` the arithmetic units in two
sizes, `core` puts one of them between streams.

The ports of a unit are described in `unit`.
"""
