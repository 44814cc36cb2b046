# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/affine.py: real gamma and beta become integers that keep as many bits as s16 holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litenorm.accel import constants as c
from litenorm.accel import model
from litenorm.accel.affine import OUTPUTS, Affine


def test_arrays_become_s16():
    affine = Affine([1, -2], np.array([3, 4], np.uint8), 10, 0)
    assert affine.gamma.dtype == affine.beta.dtype == np.int16
    assert affine.dtype == np.int8 and Affine([1], [1], 10, 0, "s16").dtype == np.int16
    assert Affine([-32768, 32767], [0, 0], 31, 15).gamma.tolist() == [-32768, 32767]


@pytest.mark.parametrize("arguments,text", [
    (([32768], [0], 0, 0), "gamma ranges over 32768..32768; good: -32768 to 32767"),
    (([0], [-32769], 0, 0), "beta ranges over -32769..-32769; good: -32768 to 32767"),
    (([1.5], [0], 0, 0), r"gamma is float64 of shape \(1,\); good: integers of shape \[N\]"),
    (([0], [[0]], 0, 0), r"beta is int64 of shape \(1, 1\); good: integers of shape \[N\]"),
    (([0, 1], [0], 0, 0), "gamma has 2 elements and beta 1; good: as many each"),
    (([0], [0], 32, 0), "affine shift is 32; good: 0 to 31"),
    (([0], [0], -1, 0), "affine shift is -1; good: 0 to 31"),
    (([0], [0], 0, 16), "affine beta_shift is 16; good: 0 to 15"),
    (([0], [0], 0, 0, "u8"), "affine out is 'u8'; good: s8, s16"),
])
def test_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        Affine(*arguments)


@given(
    st.lists(st.tuples(st.floats(-8, 8), st.floats(-8, 8)), min_size=1, max_size=16),
    st.floats(1e-3, 1.0),
    st.sampled_from(list(OUTPUTS)),
    st.integers(-20, 20),
)
def test_from_real_against_reals(pairs, out_scale, out, zero_point):
    """Every register fits, and the output is within rounding of gamma y + beta in real numbers.

    gamma and beta are rounded to half a unit in their last place, and the result to half an LSB.
    """
    gamma, beta = np.array(pairs).T
    affine = Affine.from_real(gamma, beta, out_scale, out, zero_point)
    assert affine.out == out
    y = np.random.default_rng(0).integers(-32768, 32768, (50, len(gamma)))
    exact = y / 2**c.NORM_FRACTION_BITS * gamma / out_scale + beta / out_scale + zero_point
    error = 0.5 + 2.0**-affine.shift * (np.abs(y) / 2 + 2.0**affine.beta_shift / 2) + 1e-6
    info = np.iinfo(affine.dtype)
    got = model.apply_affine(y, affine)
    assert got.dtype == affine.dtype
    assert (np.abs(got - np.clip(exact, info.min, info.max)) <= error).all()


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.1, 3.0])
def test_as_many_bits_as_s16_holds(scale):
    """The largest gamma has 15 significant bits, and so has beta where the shifts allow it."""
    gamma, beta = np.array([0.3, 1.0]) * scale, np.array([0.1, -1.0]) * scale
    affine = Affine.from_real(gamma, beta, 0.01)
    assert 1 << 14 <= np.abs(affine.gamma).max() < 1 << 15
    assert 1 << 14 <= np.abs(affine.beta.astype(int)).max() < 1 << 15


def test_zeros():
    affine = Affine.from_real(np.zeros(3), np.zeros(3), 0.1)
    assert not model.apply_affine(np.full((1, 3), 1000), affine).any()


def test_zero_point_is_the_output_of_zero():
    affine = Affine.from_real(np.ones(4), np.zeros(4), 0.05, "s8", zero_point=-7)
    assert (model.apply_affine(np.zeros((1, 4), int), affine) == -7).all()


def test_beta_much_larger_than_gamma():
    """gamma gives up bits so that beta's shift stays in its register."""
    affine = Affine.from_real(np.array([1e-5]), np.array([20000.0]), 1.0, "s16")
    assert affine.beta_shift == 15
    assert model.apply_affine(np.array([[0]]), affine)[0, 0] == 20000


@pytest.mark.parametrize("gamma,beta", [(40000.0, 0.0), (0.0, 40000.0), (np.inf, 0.0), (0.0, np.nan)])
def test_from_real_refuses_what_no_shift_holds(gamma, beta):
    with pytest.raises(ValueError, match="gamma or beta is .* output LSBs; good: below 32767"):
        Affine.from_real(np.array([gamma]), np.array([beta]), 1.0)
