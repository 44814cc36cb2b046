# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Behind the norms: gamma, beta, and the width of the output."""

from myhdl import always_comb, block, instances

from litenorm.sim.myhdl_core.widths import WIDE, X_BITS, signed


@block
def clip(value, narrow, out):
    """out = the nearest number to ``value`` that fits s8 (narrow) or s16. Combinational, signed."""
    HIGH = (1 << 15) - 1
    LOW = -(1 << 15)
    HIGH_8 = (1 << 7) - 1
    LOW_8 = -(1 << 7)

    @always_comb
    def limit():
        if narrow:
            if value > HIGH_8:
                out.next = HIGH_8
            elif value < LOW_8:
                out.next = LOW_8
            else:
                out.next = value
        else:
            if value > HIGH:
                out.next = HIGH
            elif value < LOW:
                out.next = LOW
            else:
                out.next = value

    return instances()


@block
def affine(y, gamma, beta, shift, beta_shift, narrow, out):
    """out = clip((y*gamma + (beta << beta_shift) + half) >> shift), half = (1 << shift) >> 1.

    y           i: s16, Q5.10
    gamma       i: s16
    beta        i: s16
    shift       i: u5
    beta_shift  i: u4
    narrow      i: clip to s8, else s16
    out         o: s16
    """
    product = signed(2 * X_BITS)
    lifted = signed(X_BITS + (1 << len(beta_shift)))
    half = signed((1 << len(shift)) + 1)
    total = signed(WIDE)
    scaled = signed(WIDE)

    @always_comb
    def multiply():
        product.next = y * gamma

    @always_comb
    def lift():
        lifted.next = beta << beta_shift

    @always_comb
    def rounding():
        half.next = 0
        if shift != 0:
            half.next[shift - 1] = 1

    @always_comb
    def add():
        total.next = product + lifted + half

    @always_comb
    def scale():
        scaled.next = total >> shift

    limit = clip(scaled, narrow, out)
    return instances()
