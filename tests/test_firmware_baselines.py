# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The software that the core is compared with, compiled for this machine: it computes what it claims to."""

import ctypes
import re

import numpy as np
import pytest

from litenorm.bench.peers import tflite
from litenorm.firmware import host
from litenorm.firmware.generate import SOURCES

SCALE = 0.0625
LENGTHS = (1, 2, 3, 7, 8, 9, 64, 255, 256, 1023, 1024)


@pytest.fixture(scope="module")
def baselines(tmp_path_factory):
    flags = ("-fsanitize=undefined", "-fno-sanitize-recover=all", "-lm")
    return host.build(tmp_path_factory.mktemp("baselines"), ("baselines.c",), flags=flags)


def rows(n, rng):
    """s8 rows of n elements: random ones, narrow ones, constant ones, a single peak, extremes."""
    peak = np.full(n, -128)
    peak[rng.integers(n)] = 127
    return [rng.integers(-128, 128, n).astype(np.int8), rng.integers(-3, 4, n).astype(np.int8),
            np.full(n, -5, np.int8), peak.astype(np.int8), np.resize([-128, 127], n).astype(np.int8)]


def call(function, dtype, x, *arguments, before=()):
    """Row x through `function`: y, x, what comes before the length, the length, other arguments."""
    y = np.zeros(len(x), dtype)
    function(y.ctypes.data_as(ctypes.c_void_p), x.ctypes.data_as(ctypes.c_void_p), *before, ctypes.c_uint32(len(x)),
             *arguments)
    return y


@pytest.mark.parametrize("n", LENGTHS)
def test_softmax_of_table_and_float(baselines, n):
    table = np.zeros(256, np.uint16)
    baselines.baseline_exp_table(table.ctypes.data_as(ctypes.c_void_p), ctypes.c_float(SCALE))
    assert np.abs(table - 65535 * np.exp(-SCALE * np.arange(256))).max() <= 0.6
    for x in rows(n, np.random.default_rng(n)):
        e = np.exp(SCALE * (x.astype(float) - x.max()))
        exact = 255 * e / e.sum()
        lean = call(baselines.baseline_softmax_lean, np.uint8, x, table.ctypes.data_as(ctypes.c_void_p))
        assert np.abs(lean - exact).max() < 0.6, x
        plain = call(baselines.baseline_softmax_float, np.uint8, x, ctypes.c_float(SCALE))
        assert np.abs(plain - exact).max() < 0.51, x


@pytest.mark.parametrize("n", LENGTHS)
def test_softmax_as_tflite(baselines, n):
    parameters = [ctypes.c_int32(p) for p in tflite.softmax_parameters(SCALE)]
    compared = 0
    for x in rows(n, np.random.default_rng(n)):
        expected = tflite.softmax_s8(x[None], SCALE)[0]
        if (expected < 0).any():    # where those libraries leave the result undefined
            continue
        codes = call(baselines.baseline_softmax_cmsis, np.int8, x, *parameters).astype(int) + 128
        assert (codes == expected).all(), x
        compared += 1
    assert compared >= 2


@pytest.mark.parametrize("n", LENGTHS)
def test_layernorm(baselines, n):
    for x in rows(n, np.random.default_rng(n)):
        deviation = x.astype(float).std()
        exact = 1024 * (x - x.mean()) / deviation if deviation else np.zeros(n)
        assert np.abs(call(baselines.baseline_layernorm_float, np.int16, x) - exact).max() < 0.6, x
        # The gain has 16 bits and the mean 4 fraction bits.
        near = 1.5 + 1024 / 16 / max(deviation, 1e-9) + np.abs(exact).max() / 2**14
        assert np.abs(call(baselines.baseline_layernorm_lean, np.int16, x) - exact).max() < near, x


@pytest.mark.parametrize("n", LENGTHS)
def test_layernorm_with_gamma_and_beta(baselines, n):
    """Of gains from 0 to what saturates, both signs, and of gamma and beta that use their 16 bits."""
    header = (SOURCES / "baselines.h").read_text()
    bits = int(re.search(r"#define BASELINE_NORM_BITS (\d+)", header).group(1))
    rng = np.random.default_rng(n)
    saturated = 0
    for shift, largest in ((0, 200), (3, 31), (7, 1.9)):
        gamma, beta = rng.uniform(-largest, largest, (2, n))
        single = gamma.astype(np.float32), beta.astype(np.float32)
        weights = np.empty((n, 2), np.int16)
        weights[:, 0] = np.rint(gamma * 2 ** (shift + 32 - bits))
        weights[:, 1] = np.rint((beta + 128.5) * 2**shift)
        for x in rows(n, rng):
            d = x.astype(float) - x.mean()
            z = d / d.std() if d.any() else d
            exact = np.clip(z * gamma + beta, -128, 127)
            saturated += np.count_nonzero(exact != z * gamma + beta)
            plain = call(baselines.baseline_layernorm_s8_float, np.int8, x, before=[w.ctypes for w in single])
            lean = call(baselines.baseline_layernorm_s8_lean, np.int8, x,
                        before=[weights.ctypes, ctypes.c_uint32(shift)])
            assert np.abs(plain - exact).max() < 0.51, x
            # Beside the half of rounding: product and beta are cut at 2^-shift; the gain has 15 bits, the mean 13 below
            # the point, gamma 7 + shift.
            error = 0.5 + 1.5 * 2.0**-shift + np.abs(z * gamma) * 2.0**-14 + np.abs(z) * 2.0 ** -(shift + 8)
            error += np.abs(gamma) * 2.0**-13 / max(d.std(), 1e-9) if d.any() else 0
            assert (np.abs(lean - exact) <= error).all(), x
    assert saturated or n < 64
