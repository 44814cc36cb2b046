# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The serial back end: the smallest core, one arithmetic unit that takes many cycles an element.

`model` and `model_norm` are the bit-exact NumPy models, `softmax_*`, `norm_*` and `trio_*` the arithmetic units in two
sizes, `core` puts one of them between streams.

All units have these ports; a unit's docstring names its passes, its constants of a row, and its cycles:

    start          i: this is the first element of its pass; only together with valid
    phase          i: the pass, constant from its first element to its last
    valid, x       i: an element, s8
    turn           o: the inputs above may change in the cycle after this one, and in no other. A bit-serial unit gives
                   it in the last cycle of each turn of its rings, a word-parallel one in every cycle
    ready          o: the element is finished; when valid was 1 the next one may follow in the next cycle. Only with turn
    result, result_valid  o: see the unit
"""
