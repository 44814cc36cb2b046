# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/serial/model_norm.py: exact sums, sigma, agreement with one division after another and with float64."""

import math

import numpy as np
import pytest

from litenorm.accel import LiteNormConfig, model
from litenorm.accel.serial import model_norm
from litenorm.sim.serialcheck import random_rows

LENGTHS = (1, 2, 3, 5, 8, 64, 255, 256, 257, 1023, 1024)
CONFIG = LiteNormConfig(backend="serial", ops=("layernorm", "rmsnorm"))


def no_eps(x):
    return np.full(len(x), x.shape[1]), np.zeros(len(x), np.int64)


def reference(x, carried):
    """One row, one division after another, in Python's integers."""
    n = len(x)
    v = n * sum(i * i for i in x) - (sum(x) ** 2 if carried else 0)
    if not v:
        return [0] * n
    h = next(h for h in range(16) if v << (2 * h) >= 1 << 30)
    root = math.isqrt(v << (2 * h))
    y, r = [], root // 2
    for i in x:
        q, rest = divmod(r + ((n * i - (sum(x) if carried else 0)) << (h + 10)), root)
        y.append(max(-32768, min(32767, q)))
        r = rest if carried else root // 2
    return y


@pytest.mark.parametrize("n", LENGTHS)
def test_one_division_after_another(n):
    x = random_rows(np.random.default_rng(n), 40, n)
    x[:2] = [[-128], [127]]
    for carried, op in ((True, model_norm.layernorm), (False, model_norm.rmsnorm)):
        assert op(x, *no_eps(x)).tolist() == [reference(row, carried) for row in x.tolist()]


@pytest.mark.parametrize("n", LENGTHS)
def test_layernorm_sum_sigma_and_error(n):
    """Sums are 0; |sigma - 1| < 2^-10 + 2^-15; y is within 1 LSB and 2^-15 of the exact value; equal rows give 0."""
    x = random_rows(np.random.default_rng(n), 4_000_000 // (n + 200), n)
    y = model_norm.layernorm(x, *no_eps(x))
    assert not y.sum(axis=1).any()
    assert np.abs(y).max() < 1 << 15
    spread = x.std(axis=1) > 0
    assert not y[~spread].any()
    if n == 1:
        assert not spread.any()
        return
    exact = (x - x.mean(axis=1, keepdims=True))[spread] / x[spread].std(axis=1, keepdims=True)
    sigma = np.sqrt((y[spread] ** 2).mean(axis=1)) / 1024.0
    assert np.abs(sigma - 1).max() < 2**-10 + 2**-15
    assert (np.abs(y[spread] - 1024 * exact) < 1 + np.abs(1024 * exact) * 2**-15 + 1e-9).all()


@pytest.mark.parametrize("n", LENGTHS)
def test_rmsnorm_error(n):
    x = random_rows(np.random.default_rng(n), 1_000_000 // (n + 200), n)
    y = model_norm.rmsnorm(x, *no_eps(x))
    rms = np.sqrt((x * x).mean(axis=1, keepdims=True))
    exact = np.clip(1024 * x / np.where(rms, rms, 1), -32768, 32767)
    assert (np.abs(y - exact) <= 0.5 + np.abs(exact) * 2**-15 + 1e-9).all()


def test_square_root():
    """Exact at every square of a root and beside it, and at both ends."""
    roots = np.arange(185_363)     # the square of the last is below 2^35
    for offset in (-1, 0, 1):
        v = np.maximum(roots * roots + offset, 0)
        d, h = model_norm.square_root(v)
        assert ((d * d <= v << (2 * h)) & ((d + 1) ** 2 > v << (2 * h))).all()
        assert ((d >= 1 << 15) & ((h == 0) | (d < 1 << 16)))[v > 0].all()
    assert [a.tolist() for a in model_norm.square_root([0, 1, 1 << 34])] == [[0, 1 << 15, 1 << 17], [15, 15, 0]]


def test_masked_elements_do_not_count():
    rng = np.random.default_rng(1)
    x = random_rows(rng, 200, 20)
    lengths = rng.integers(1, 21, 200)
    for op in ("layernorm", "rmsnorm"):
        y = getattr(model, op)(x, length=lengths, config=CONFIG)
        for row, out, n in zip(x, y, lengths, strict=True):
            assert out[:n].tolist() == getattr(model, op)(row[:n], config=CONFIG).tolist() and not out[n:].any()


def test_order_of_equal_elements():
    """Equal elements differ by at most 1 LSB."""
    x = random_rows(np.random.default_rng(2), 500, 64)
    y = model_norm.layernorm(x, *no_eps(x))
    for value in range(-128, 128):
        low = np.where(x == value, y, 1 << 20).min(axis=1)
        high = np.where(x == value, y, -(1 << 20)).max(axis=1)
        assert (high - low <= 1).all()


def test_eps():
    """sigma is that of var / (var + eps); a row of equal elements stays 0; the largest eps term, and one more."""
    config = LiteNormConfig(backend="serial", ops=("layernorm", "rmsnorm"), eps=True)
    x = random_rows(np.random.default_rng(3), 2000, 100)
    var = x.var(axis=1)
    for eps in (0.01, 3, 5000, ((1 << 34) - 1) / 100**2):
        y = model.layernorm(x, eps, config=config)
        assert not y.sum(axis=1).any() and not y[var == 0].any()
        sigma = np.sqrt((y.astype(float) ** 2).mean(axis=1)) / 1024
        term = round(eps * 100**2) / 100**2
        assert np.abs(sigma - np.sqrt(var / (var + term))).max() < 2**-10 + 2**-15
    with pytest.raises(ValueError, match="eps is too large for the serial back end; good: below 1.71799e"):
        model.layernorm(x, (1 << 34) / 100**2, config=config)
    assert not model.rmsnorm([[0, 0]], 0.5, config=config).any()
