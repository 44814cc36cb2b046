# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/scale.py: real scales, TFLite's parameters and eps as the hardware's registers."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litenorm.accel import constants as c
from litenorm.accel.scale import Scale, eps_term


@given(st.floats(2.1e-8, 88))
def test_relative_error_of_from_real(scale):
    """At most 2^-16 over the range that the docstring gives."""
    got = Scale.from_real(scale)
    assert got == got.checked()
    assert abs(got.real / scale - 1) <= 2**-16


@given(st.floats(1e-300, 1e300))
def test_every_positive_number_has_registers(scale):
    got = Scale.from_real(scale)
    assert got == got.checked()
    if scale > 90:      # one LSB below the maximum is 127 octaves away: probability 0
        assert got.multiplier << c.SCALE_HEADROOM >> got.shift >= 31 << c.OCTAVE_FRACTION_BITS
    if scale < 1e-13:   # all of s16 is less than one step of the fraction
        assert ((1 << 16) * got.multiplier << c.SCALE_HEADROOM) >> got.shift == 0


def test_sixteen_bits_are_significant():
    for scale in (1e-6, 1e-3, 0.05, 1.0, 88.0):
        assert Scale.from_real(scale).multiplier >= 1 << (c.SCALE_MULTIPLIER_BITS - 1)


def test_real_is_the_definition():
    """One LSB is multiplier * 2^(-9 - shift) octaves, octaves = scale * log2(e)."""
    for scale in (Scale(1, 0), Scale(65535, 31), Scale(40503, 17)):
        octaves = Fraction(scale.multiplier, 2 ** (9 + scale.shift))
        assert scale.real * math.log2(math.e) == pytest.approx(float(octaves), rel=1e-15)
    assert Scale.from_real(Scale(40503, 17).real) == Scale(40503, 17)


def test_a_scale_is_taken_as_it_is():
    scale = Scale(3, 5)
    assert Scale.from_real(scale) is scale


@pytest.mark.parametrize("bad", [0, -1.0, math.inf, math.nan, None, "x", [1], 10**400])
def test_from_real_refuses(bad):
    with pytest.raises(ValueError, match="scale is .*; good: a finite number above 0"):
        Scale.from_real(bad)


@pytest.mark.parametrize("bad,text", [
    (Scale(1 << 16, 0), "scale multiplier is 65536; good: 0 to 65535"),
    (Scale(-1, 0), "scale multiplier is -1; good: 0 to 65535"),
    (Scale(1, 32), "scale shift is 32; good: 0 to 31"),
])
def test_registers_that_do_not_fit(bad, text):
    with pytest.raises(ValueError, match=text):
        Scale.from_real(bad)


# TFLite ------------------------------------------------------------------------------------------------------


def tflite_parameters(real, integer_bits=5):
    """(input_multiplier, input_left_shift, diff_min) as TFLite's PreprocessSoftmaxScaling and CalculateInputRadius."""
    scaled = min(real * 2 ** (31 - integer_bits), 2**31 - 1.0)
    mantissa, shift = math.frexp(scaled)
    multiplier = round(mantissa * 2**31)
    if multiplier == 1 << 31:
        multiplier, shift = multiplier // 2, shift + 1
    radius = math.floor(((1 << integer_bits) - 1) * (1 << (31 - integer_bits)) / (1 << shift))
    return multiplier, shift, -radius


@pytest.mark.parametrize("real", [2**-25, 0.001, 0.0123, 1 / 16, 0.05, 0.3, 1.0, 3.7])
def test_from_tflite(real):
    assert Scale.from_tflite(*tflite_parameters(real)) == Scale.from_real(real)
    assert Scale.from_tflite(*tflite_parameters(real)[:2]) == Scale.from_real(real)


@pytest.mark.parametrize("arguments,text", [
    ((0, 22), r"input_multiplier is 0; good: 1 to 2\^31 - 1"),
    ((1 << 31, 22), "input_multiplier is 2147483648; good"),
    ((1 << 30, -1), "input_left_shift is -1; good: 0 to 31"),
    ((1 << 30, 32), "input_left_shift is 32; good: 0 to 31"),
])
def test_from_tflite_refuses(arguments, text):
    with pytest.raises(ValueError, match=text):
        Scale.from_tflite(*arguments)


def test_diff_min_must_not_cut_off_what_a_code_can_show():
    multiplier, shift, diff_min = tflite_parameters(0.05)
    # 12 / 0.05 = 240, and the rounded multiplier is a little less than 0.05.
    with pytest.raises(ValueError, match="diff_min is -240; good: at most -241 for this scale"):
        Scale.from_tflite(multiplier, shift, -240)
    assert Scale.from_tflite(multiplier, shift, -241) == Scale.from_tflite(multiplier, shift, diff_min)


# eps ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, (1 << 20) - 1), st.integers(1, 1024))
def test_eps_is_exact_in_integers(eps, length):
    assert eps_term(eps, length) == eps * length * length


def test_eps_is_rounded():
    assert [eps_term(0.5, 3), eps_term(1e-9, 1024), eps_term(1e-6, 1024)] == [4, 0, 1]     # 4.5 to even


def test_largest_eps():
    limit = (1 << c.EPS_BITS) - 1
    assert eps_term(limit / 4, 2) == limit
    for eps, length in ((1 << c.EPS_BITS, 1), (limit, 2), (math.inf, 1), (math.nan, 1), (-1e-9, 5)):
        with pytest.raises(ValueError, match=f"good: 0 to .* for length {length}"):
            eps_term(eps, length)
