# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The guarantees of the bit-exact model: exact sums, error, order, sigma; random, adversarial and all small rows."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litenorm.accel import LiteNormConfig, model
from litenorm.accel import constants as c
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale, eps_term

SIGMA_BOUND = 2**-10 + 2**-15
ULP_BOUND = 1.25


def rows_of(rng, kind, rows, n):
    """Random and adversarial rows by name."""
    if kind == "uniform_s8":
        return rng.integers(-128, 128, (rows, n))
    if kind == "uniform_s16":
        return rng.integers(-32768, 32768, (rows, n))
    if kind == "gaussian":
        return np.clip(rng.normal(0, rng.choice([1, 10, 1000]), (rows, n)), -32768, 32767).astype(np.int64)
    if kind == "equal":
        return np.repeat(rng.integers(-32768, 32768, (rows, 1)), n, axis=1)
    if kind == "two_level":
        return rng.choice([-128, 127], (rows, n))
    if kind == "extremes":
        return rng.choice([-32768, 32767], (rows, n))
    if kind == "one_hot":
        x = np.full((rows, n), -100)
        x[np.arange(rows), rng.integers(0, n, rows)] = 100
        return x
    x = np.full((rows, n), 5)       # nearly flat
    x[np.arange(rows), rng.integers(0, n, rows)] += rng.integers(-1, 2, rows)
    return x


KINDS = ("uniform_s8", "uniform_s16", "gaussian", "equal", "two_level", "extremes", "one_hot", "nearly_flat")


def check_softmax(x, scale, fmt, lengths):
    out = model.softmax(x, scale, fmt, length=lengths).astype(np.int64) - fmt.zero_point
    valid = np.arange(x.shape[1]) < lengths[:, None]
    expected = np.where((lengths == 1) & fmt.capped, fmt.total - 1, fmt.total)
    assert (out.sum(axis=1) == expected).all()
    assert out.min() >= 0 and (out[~valid] == 0).all()
    e = model.exp2(x, lengths, Scale.from_real(scale))
    error = np.abs(out - fmt.total * e / e.sum(axis=1, keepdims=True))[lengths > 1]
    assert error.max(initial=0) <= ULP_BOUND


def check_layernorm(x, lengths):
    valid = np.arange(x.shape[1]) < lengths[:, None]
    y = model.layernorm(x, length=lengths).astype(np.int64)
    assert (y.sum(axis=1) == 0).all() and (y[~valid] == 0).all()
    varies = (np.where(valid, x, x[:, :1]) != x[:, :1]).any(axis=1)
    assert (y[~varies] == 0).all()
    sigma = np.sqrt((y * y).sum(axis=1) / lengths)[varies] / 2**c.NORM_FRACTION_BITS
    assert np.abs(sigma - 1).max(initial=0) < SIGMA_BOUND


@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_exact_over_a_million_rows(kind):
    """160 000 rows a kind and more, 1.28 million in all, spread over formats, lengths and scales."""
    seed = KINDS.index(kind)
    rng = np.random.default_rng(seed)
    done = 0
    while done < 160_000:
        n = int(rng.choice([2, 3, 5, 8, 16, 31, 64, 255, 256, 257, 511, 512, 1000, 1024], p=[.1] * 6 + [.05] * 8))
        rows = 400_000 // (n * 10) + 1
        x = rows_of(rng, kind, rows, n)
        scale = float(10 ** rng.uniform(-5, 0.5))
        for fmt in FORMATS.values():
            lengths = rng.integers(1, n + 1, rows) if rng.random() < 0.5 else np.full(rows, n)
            check_softmax(x, scale, fmt, lengths)
            done += rows
        check_layernorm(x, lengths)


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_all_small_rows(fmt):
    """Every row of N = 1 to 4 over a set of s8 levels that spans ties, neighbours and both ends."""
    levels = [-128, -127, -40, -2, -1, 0, 1, 3, 60, 126, 127]
    for n in range(1, 5):
        x = np.array(list(itertools.product(levels, repeat=n)))
        for scale in (0.001, 0.02, 0.7):
            check_softmax(x, scale, fmt, np.full(len(x), n))
        check_layernorm(x, np.full(len(x), n))


@pytest.mark.parametrize("fmt", [f for f in FORMATS.values() if f.capped], ids=lambda f: f.name)
def test_capped_rows_near_one_hot(fmt):
    """Every difference of two logits around the cap, the maximum at each place: exact sums, within 1.25 ulp."""
    for place, other in ((0, 1), (1, 0), (1, 2), (2, 1)):
        t = np.arange(1, 2000)
        x = np.full((len(t), 3), -32768)
        x[:, place], x[:, other] = 0, -t
        for scale in (0.005, 0.0081, 0.02):
            check_softmax(x, scale, fmt, np.full(len(t), 3))


def test_exp2_never_increases_and_is_close():
    """All 2^15 fractions of an octave, over three octaves: monotonic, from 7e-6 below to 8e-5 above 2^-d."""
    t = np.arange(3 << 15, dtype=np.int64)
    scale = Scale(1 << 15, 15 + c.SCALE_HEADROOM)       # one LSB is 2^-15 octaves
    e = model.exp2(-t[None], np.array([len(t)]), scale)[0]
    exact = 2.0 ** (c.EXP_BITS - t / 2**15)
    assert e[0] == 1 << c.EXP_BITS and (np.diff(e) <= 0).all()
    assert ((e / exact - 1) < 8e-5).all() and ((e / exact - 1) > -7e-6).all()


@given(
    st.lists(st.integers(-32768, 32767), min_size=1, max_size=64),
    st.floats(1e-7, 50),
    st.sampled_from(list(FORMATS)),
)
@settings(max_examples=300, deadline=None)
def test_softmax_properties(values, scale, fmt):
    x = np.array([values])
    check_softmax(x, scale, FORMATS[fmt], np.array([len(values)]))
    # The order of two elements may only swap when their exact values are within 1.25 ulp of one another, twice over.
    out = model.softmax(x, scale, fmt).astype(np.int64)[0]
    e = model.exp2(x, np.array([len(values)]), Scale.from_real(scale))[0]
    exact = FORMATS[fmt].total * e / e.sum()
    order = np.argsort(exact)
    drop = np.maximum.accumulate(out[order]) - out[order]
    assert drop.max() <= 2 * ULP_BOUND


@given(st.lists(st.integers(-32768, 32767), min_size=2, max_size=64), st.integers(0, 1 << 20))
@settings(max_examples=300, deadline=None)
def test_layernorm_with_eps(values, eps):
    x = np.array([values], np.int64)
    y = model.layernorm(x, eps=eps).astype(np.int64)
    n = len(values)
    v = n * (x * x).sum() - x.sum() ** 2
    assert y.sum() == 0
    if v:
        sigma = np.sqrt((y * y).mean()) / 1024
        assert abs(sigma - np.sqrt(v / (v + eps * n * n))) < SIGMA_BOUND


def test_rmsnorm_is_the_nearest_code():
    rng = np.random.default_rng(3)
    for n in (1, 2, 7, 384, 1024):
        x = rng.integers(-32768, 32768, (50, n))
        exact = x / np.sqrt((x.astype(float) ** 2).mean(axis=1, keepdims=True)) * 1024
        assert np.abs(model.rmsnorm(x) - np.clip(exact, -32768, 32767)).max() < 1.01
    full = np.zeros((1, 1024), np.int64)
    full[0, 5] = -32768
    assert model.rmsnorm(full)[0, 5] == -32768      # sqrt(1024) = 32 is the end of Q5.10


def test_constant_rows_are_zero():
    assert not model.layernorm(np.full((3, 100), -7)).any()
    assert not model.rmsnorm(np.zeros((3, 100), np.int64)).any()


def test_affine_against_reals():
    rng = np.random.default_rng(4)
    gamma, beta, scale = rng.normal(1, 0.3, 384), rng.normal(0, 0.5, 384), 0.03
    affine = Affine.from_real(gamma, beta, scale)
    y = model.layernorm(rng.integers(-32768, 32768, (20, 384)))
    out = model.apply_affine(y, affine)
    exact = np.clip((y / 1024 * gamma + beta) / scale, -128, 127)
    assert np.abs(out - exact).max() < 0.52


def test_lanes_and_length_do_not_change_a_code():
    x = np.random.default_rng(5).integers(-128, 128, (10, 60))
    for config in (LiteNormConfig(lanes=1, max_length=64), LiteNormConfig(lanes=16)):
        assert (model.softmax(x, 0.05, config=config) == model.softmax(x, 0.05)).all()
        assert (model.layernorm(x, config=config) == model.layernorm(x)).all()


NORM_ONLY = LiteNormConfig(ops=("rmsnorm",))
BAD = {
    "length_0": (lambda: model.softmax(np.zeros((1, 0), int), 1.0), "row length is 0; good: 1 to 1024"),
    "length_above_max": (lambda: model.softmax(np.zeros((1, 1025), int), 1.0), "row length is 1025"),
    "mask_0": (lambda: model.softmax(np.zeros((1, 4), int), 1.0, length=0), "good: 1 to 4"),
    "scale_0": (lambda: model.softmax(np.zeros((1, 4), int), 0), "good: a finite number above 0"),
    "format": (lambda: model.softmax(np.zeros((1, 4), int), 1.0, "u8"), "known: u8_255"),
    "floats": (lambda: model.softmax(np.zeros((1, 4)), 1.0), "good: integers"),
    "range": (lambda: model.layernorm(np.array([[1, 40000]])), "good: -32768..32767"),
    "eps": (lambda: model.layernorm(np.zeros((1, 4), int), eps=-1), "eps is -1.0; good: 0 to"),
    "lanes": (lambda: LiteNormConfig(lanes=3), "good: 1, 2, 4, 8, 16"),
    "max_length": (lambda: LiteNormConfig(max_length=2048), "good: 2 to 1024"),
    "ops": (lambda: LiteNormConfig(ops=("gelu",)), "good: one or more of softmax"),
    "backend": (lambda: LiteNormConfig(backend="fast"), "good: parallel"),
    "format_list": (lambda: model.softmax(np.zeros((1, 4), int), 1.0, ["u8_255"]), "format ['u8_255']; known: u8_255"),
    "scale_none": (lambda: model.softmax(np.zeros((1, 4), int), None), "scale is None; good: a finite number above 0"),
    "eps_none": (lambda: model.layernorm(np.zeros((1, 4), int), eps=None), "eps is None; good: a finite number"),
    "config": (lambda: model.rmsnorm(np.zeros((1, 4), int), config=5), "config is 5; good: a LiteNormConfig, or None"),
    "gamma": (lambda: Affine(np.array([40000]), np.array([0]), 1, 1), "good: -32768 to 32767"),
    "not_built": (lambda: model.softmax(np.zeros((1, 4), int), 1.0, config=NORM_ONLY), "not built"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_argument(name):
    call, text = BAD[name]
    with pytest.raises(ValueError) as error:
        call()
    assert text in str(error.value) and "\n" not in str(error.value)


def test_scale_registers():
    for scale in (1e-6, 0.003, 1.0, 80.0):
        assert abs(Scale.from_real(scale).real / scale - 1) < 2**-15
    # TFLite: beta * scale * 2^26 = multiplier * 2^(shift - 31), here scale 0.05 -> 0.05 * 2^26 = 0.78125.. * 2^22
    real = 0.05 * 2**26
    shift = int(np.ceil(np.log2(real)))
    multiplier = round(real / 2**shift * 2**31)
    diff_min = -int(31 * 2**26 / 2**shift)
    assert Scale.from_tflite(multiplier, shift, diff_min) == Scale.from_real(0.05)
    assert eps_term(0.5, 10) == 50


def test_eps_is_checked_for_the_lengths_that_occur():
    """51 bits hold eps * N^2 of these rows, though not that of a row of 1024."""
    x, lengths = np.array([[1, 2, 3], [4, 5, 6]]), np.array([2, 3])
    eps = 2.0**45
    y = model.layernorm(x, eps=eps, length=lengths)
    assert np.array_equal(y, [model.layernorm(x[0], eps=eps, length=2), model.layernorm(x[1], eps=eps)])
    with pytest.raises(ValueError, match="eps"):
        model.layernorm(np.zeros((2, 1024), int), eps=eps, length=np.array([2, 1024]))
