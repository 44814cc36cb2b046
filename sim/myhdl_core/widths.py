# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Widths and bounds of the numbers, and the Signals that hold them."""

from myhdl import Signal, intbv

from litenorm.accel import constants as c

FB = c.MIN_FRACTION_BITS  # bits of the carried fraction
E_ONE = 1 << c.EXP_BITS  # e of the row's maximum
LONGEST = c.MAX_LENGTH_LAYERNORM  # elements

X_BITS = c.CODE_BITS
D_BITS = c.OCTAVE_BITS + c.OCTAVE_FRACTION_BITS
S_BITS = (LONGEST * E_ONE).bit_length()
SUM_LIMIT = LONGEST << (X_BITS - 1)  # |sum of x|
SQUARES_LIMIT = LONGEST << (2 * X_BITS - 2)  # sum of x^2
LENGTH_BITS = LONGEST.bit_length()
V_BITS = max((LONGEST * SQUARES_LIMIT).bit_length(), c.EPS_BITS) + 1
VN_BITS = 2 * c.ROOT_BITS  # radicand, normalized
MEAN_BITS = X_BITS + c.MEAN_FRACTION_BITS
DIVIDEND_BITS = LENGTH_BITS + MEAN_BITS
WIDE = 64  # a bound for what is not a register: every sum and difference of an element fits


def bits(width):
    """Return a Signal of an unsigned number of ``width`` bits."""
    return Signal(intbv(0)[width:])


def signed(width):
    """Return a Signal of a two's complement number of ``width`` bits."""
    return Signal(intbv(0, min=-(1 << (width - 1)), max=1 << (width - 1)))


def up_to(limit):
    """Return a Signal of a number from 0 to ``limit``."""
    return Signal(intbv(0, min=0, max=limit + 1))
