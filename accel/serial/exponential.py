# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The table of 2^-f that both sizes of the serial softmax look up."""

from migen import *

from litenorm.accel import constants as c


def look_up(f, g):
    """Statement: g = 255 * 2^(-f/16), rounded; f 4 bits, g 8 bits."""
    return Case(f, {i: g.eq(value) for i, value in enumerate(c.serial_exp2_table())})
