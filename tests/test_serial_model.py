# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/serial/model.py: exact sums, order, errors, and the arithmetic that the docstrings promise."""

import itertools
import math

import numpy as np
import pytest

from litenorm.accel import LiteNormConfig, model
from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale
from litenorm.accel.serial import model as serial
from litenorm.sim.serialcheck import random_rows

CONFIG = LiteNormConfig(backend="serial", formats=("u8_255", "tfl_s8"))
WIDE = LiteNormConfig(backend="serial", ops="softmax", size="balanced", formats=("u16_q15", "tfl_s16", "u16_65535"))
CONFIGS = {name: config for config in (CONFIG, WIDE) for name in config.formats}
LENGTHS = (1, 2, 3, 7, 64, 255, 256, 257, 1000, 1024)


def sums(codes, fmt):
    return codes.astype(np.int64).sum(axis=-1) - codes.shape[-1] * fmt.zero_point


def test_table_keeps_the_order():
    table = c.serial_exp2_table()
    assert len(table) == 16 and table[0] == 255 and table == sorted(table, reverse=True) and 2 * table[-1] >= table[0]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("n", LENGTHS)
def test_every_sum_is_exact(name, n):
    rng = np.random.default_rng(n)
    fmt = FORMATS[name]
    for scale in (1e-5, 0.003, 0.05, 0.3, CONFIG.max_scale):
        codes = model.softmax(random_rows(rng, 400, n), scale, name, config=CONFIGS[name])
        assert codes.dtype == fmt.dtype
        assert (sums(codes, fmt) == fmt.total - (fmt.capped and n == 1)).all()


@pytest.mark.parametrize("name", CONFIGS)
def test_every_row_of_two_and_three_levels(name):
    """All distances between two elements, and a grid of those between three, at every programmed scale of a list."""
    fmt = FORMATS[name]
    pairs = np.array(list(itertools.product((127,), range(-128, 128))))
    rows = [pairs, pairs[:, ::-1], np.array(list(itertools.product(range(-128, 128, 15), repeat=3)))]
    for x in rows:
        for k in (0, 1, 50, 295, 1000, 4096, c.SERIAL_SCALE_MAX):
            out = serial.softmax(x, np.full(len(x), x.shape[1]), k, fmt)
            assert (out.sum(axis=1) == fmt.total).all() and out.min() >= 0 and out.max() < 1 << fmt.bits


@pytest.mark.parametrize("name", CONFIGS)
def test_masked_elements_are_zero_and_change_nothing(name):
    rng = np.random.default_rng(5)
    x, lengths = random_rows(rng, 300, 40), rng.integers(1, 41, 300)
    zero_point = FORMATS[name].zero_point
    codes = model.softmax(x, 0.1, name, length=lengths, config=CONFIGS[name]).astype(np.int64) - zero_point
    for row, out, n in zip(x, codes, lengths.tolist(), strict=True):
        alone = model.softmax(row[:n], 0.1, name, config=CONFIGS[name]).astype(np.int64) - zero_point
        assert (out[:n] == alone).all() and not out[n:].any()


def test_code_is_within_one_of_its_exact_value():
    """|out - 2^F * e / S| <= 1 in every format, the cap's elements among them."""
    rng = np.random.default_rng(6)
    for n in LENGTHS:
        x, k = random_rows(rng, 500, n), rng.integers(0, c.SERIAL_SCALE_MAX + 1, 500)
        lengths = np.full(500, n)
        for fmt in map(FORMATS.get, CONFIGS):
            e = serial.exp2(x, lengths, k, 16 if fmt.bits == 8 else 22)
            exact = (1 << (fmt.total - 1).bit_length()) * e / e.sum(axis=1, keepdims=True)
            assert (abs(serial.softmax(x, lengths, k, fmt) - exact) <= 1 + 1e-9).all()


def test_error_against_float():
    """Largest error in ulp, exponent rounded to 1/16 octave: the bound that docs/serial.md gives."""
    rng = np.random.default_rng(7)
    worst = 0
    for n in (2, 3, 5, 17, 64, 256, 1024):
        for scale in (0.003, 0.02, 0.05, 0.2, 1.0):
            x = random_rows(rng, 500, n)
            exact = np.exp(scale * (x - x.max(axis=1, keepdims=True)))
            exact *= 255 / exact.sum(axis=1, keepdims=True)
            worst = max(worst, abs(model.softmax(x, scale, "u8_255", config=CONFIG) - exact).max())
    assert 2 < worst < 3.6


def test_order_is_kept_within_one():
    """A larger element never has a code that is smaller by more than 1."""
    rng = np.random.default_rng(8)
    for n in (2, 10, 300):
        x = random_rows(rng, 500, n)
        codes = model.softmax(x, 0.05, "u8_255", config=CONFIG).astype(np.int64)
        order = np.argsort(x, axis=1, kind="stable")
        codes = np.take_along_axis(codes, order, axis=1)
        assert (np.maximum.accumulate(codes, axis=1) - codes).max() <= 1


def test_programmed_scale_is_the_nearest():
    for scale in (1e-4, 0.01, 0.0499, 0.7, CONFIG.max_scale):
        exact = scale * math.log2(math.e) * 2**c.SERIAL_SCALE_FRACTION_BITS
        assert abs(serial.programmed_scale(Scale.from_real(scale)) - exact) <= 0.5 + exact * 2**-16


def test_scale_that_is_too_large():
    with pytest.raises(ValueError, match="good: at most 1.29965 for the serial back end"):
        model.softmax([[0, 1]], 2.0, "u8_255", config=CONFIG)
    assert serial.saturated_scale(65535, 0) == c.SERIAL_SCALE_MAX


@pytest.mark.parametrize("arguments,text", [
    (dict(fmt="u16_q15"), "softmax to u16_q15 is not built"),
    (dict(x=[[200, 0]]), "good: -128..127"),
    (dict(x=[[0] * 1025]), "row length is 1025; good: 1 to 1024"),
])
def test_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        model.softmax(**{"x": [[0, 1]], "scale": 0.1, "fmt": "u8_255", "config": CONFIG, **arguments})


def test_length_without_masks():
    config = LiteNormConfig(backend="serial", masks=False)
    model.softmax([[0, 1]], 0.1, "u8_255", length=2, config=config)
    with pytest.raises(ValueError, match="length is given; good: None or 2, the config has masks=False"):
        model.softmax([[0, 1]], 0.1, "u8_255", length=1, config=config)
