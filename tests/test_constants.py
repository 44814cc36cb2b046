# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/constants.py: the chord table, and the relations between constants that the arithmetic rests on."""

from fractions import Fraction

from litenorm.accel import constants as c


def test_grid_falls_from_one_to_one_half():
    """Monotonic, from 2^17 to exactly 2^16, so that an octave joins the next without a step."""
    grid = c.exp2_grid()
    assert len(grid) == (1 << c.SEGMENT_BITS) + 1
    assert grid[0] == 1 << 17 and grid[-1] == 1 << 16
    assert all(a > b for a, b in zip(grid, grid[1:], strict=False))


def test_grid_is_rounded_to_the_nearest():
    """Exact: g is nearest to 2^17 * 2^(-i/32) when (2 g - 1)^32 < 2^(18 * 32 - i) < (2 g + 1)^32."""
    segments = 1 << c.SEGMENT_BITS
    for i, g in enumerate(c.exp2_grid()):
        assert (2 * g - 1) ** segments < 1 << ((c.GRID_BITS + 1) * segments - i) < (2 * g + 1) ** segments


def test_drops_lead_from_chord_to_chord_and_shrink():
    grid, drops = c.exp2_grid(), c.exp2_drops()
    assert len(drops) == 1 << c.SEGMENT_BITS
    assert [g - d for g, d in zip(grid, drops, strict=False)] == grid[1:]
    assert all(a >= b > 0 for a, b in zip(drops, drops[1:], strict=False))      # 2^-f is convex


def test_eps_holds_what_a_variance_can_be():
    """The eps term reaches the largest variance of an s16 row."""
    assert c.MAX_LENGTH_LAYERNORM**2 * (1 << 15) ** 2 <= 1 << c.EPS_BITS - 1


def test_layernorm_fits_its_format():
    """|y| <= sqrt(N - 1) is below 32, and RMSNorm's sqrt(N) = 32 is clipped."""
    assert c.MAX_LENGTH_LAYERNORM <= (1 << (c.NORM_BITS - 1 - c.NORM_FRACTION_BITS)) ** 2
    assert c.NORM_LENGTH_BITS == 11


def test_gain_fits_its_bits():
    """2^16 < A < 2^18 for N / sqrt(V) normalized: N in [2^10, 2^11), D in [2^17, 2^18)."""
    smallest = Fraction(1 << (c.NORM_LENGTH_BITS - 1 + c.GAIN_SHIFT), (1 << c.ROOT_BITS) - 1)
    largest = Fraction(((1 << c.NORM_LENGTH_BITS) - 1) << c.GAIN_SHIFT, 1 << (c.ROOT_BITS - 1))
    assert smallest > 1 << 16 and largest < 1 << c.GAIN_BITS


def test_octaves_reach_below_the_smallest_code():
    """The last distance that is not saturated is worth less than a quarter ulp of T = 2^16 on a row of 1."""
    assert (1 << c.OCTAVE_BITS) - 1 > 16 + 2 and c.EXP_BITS < 1 << c.OCTAVE_BITS


def test_ops_are_codes():
    assert c.OPS == ("softmax", "layernorm", "rmsnorm")
    assert c.INPUTS == {"s8": 8, "s16": 16} and c.LANES == (1, 2, 4, 8, 16)
