# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The exponential of a distance from the row's maximum."""

from myhdl import always_comb, block, instances

from litenorm.accel import constants as c
from litenorm.sim.myhdl_core.widths import D_BITS, X_BITS, bits, up_to


@block
def octaves(t, multiplier, shift, d):
    """Distance from the maximum in octaves: d = min(((t*K) << 6) >> s, 2^20 - 1).

    t           i: u16, maximum of the row minus x
    multiplier  i: u16, K
    shift       i: u5, s
    d           o: UQ5.15, octaves, saturated
    """
    HEADROOM = c.SCALE_HEADROOM
    FARTHEST = (1 << D_BITS) - 1
    product = bits(X_BITS + c.SCALE_MULTIPLIER_BITS + HEADROOM)
    shifted = bits(len(product))

    @always_comb
    def multiply():
        product.next = (t * multiplier) << HEADROOM

    @always_comb
    def scale():
        shifted.next = product >> shift

    @always_comb
    def saturate():
        if shifted > FARTHEST:
            d.next = FARTHEST
        else:
            d.next = shifted[D_BITS:]

    return instances()


@block
def exp2(d, e):
    """e = 2^-d by 32 chords of one octave, shifted by the whole octaves.

    I = d >> 15, idx = (d >> 10) & 31, lo = d & 1023
    g = G[idx] - ((DELTA[idx] * lo) >> 10)      G[i] = round(2^17 * 2^(-i/32)), DELTA[i] = G[i] - G[i+1]
    e = (g << 5) >> I                           e(0) = 2^22 exactly

    d  i: UQ5.15, octaves
    e  o: UQ1.22
    """
    STARTS = tuple(c.exp2_grid()[: 1 << c.SEGMENT_BITS])
    DROPS = tuple(c.exp2_drops())
    LOW_BITS = c.OCTAVE_FRACTION_BITS - c.SEGMENT_BITS
    ALIGN = c.EXP_BITS - c.GRID_BITS
    FRACTION_BITS = c.OCTAVE_FRACTION_BITS
    octave = bits(c.OCTAVE_BITS)
    segment = bits(c.SEGMENT_BITS)
    low = bits(LOW_BITS)
    start = up_to(STARTS[0])
    drop = up_to(max(DROPS))
    product = bits(len(drop) + LOW_BITS)
    g = up_to(STARTS[0])

    @always_comb
    def split():
        octave.next = d[D_BITS:FRACTION_BITS]
        segment.next = d[FRACTION_BITS:LOW_BITS]
        low.next = d[LOW_BITS:]

    @always_comb
    def look_up_start():
        start.next = STARTS[segment]

    @always_comb
    def look_up_drop():
        drop.next = DROPS[segment]

    @always_comb
    def multiply():
        product.next = drop * low

    @always_comb
    def interpolate():
        g.next = start - (product >> LOW_BITS)

    @always_comb
    def scale():
        e.next = (g << ALIGN) >> octave

    return instances()
