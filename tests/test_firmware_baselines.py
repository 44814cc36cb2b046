# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The software that the core is compared with, compiled for this machine: it computes what it claims to."""

import ctypes

import numpy as np
import pytest

from litenorm.bench.peers import tflite
from litenorm.firmware import host

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


def call(function, dtype, x, *arguments):
    y = np.zeros(len(x), dtype)
    function(y.ctypes.data_as(ctypes.c_void_p), x.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint32(len(x)), *arguments)
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
