# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The rows that all peers are given: random logits and activations, and a few rows with names."""

import numpy as np

SCALE = 1 / 16          # value of one LSB of the logits: +-8, four standard deviations
LOGIT_SD = 2.0
SOFTMAX_SEED, NORM_SEED = 0, 1
CHUNK = 1 << 18         # elements that are drawn and measured at a time

# Standard deviations of LayerNorm's rows, LSBs: drawn between the two, uniform in their logarithm.
NORM_SPREAD = {"s8": (1, 40), "s16": (16, 4096)}


def quantize(values, bits=8):
    """Real values in LSBs to integers of `bits` bits, to the nearest, saturated."""
    limit = 1 << (bits - 1)
    return np.clip(np.rint(values), -limit, limit - 1).astype(np.int64)


def blocks(rows, length):
    """Rows of each chunk, so that the memory does not grow with `rows`."""
    step = max(1, CHUNK // length)
    return [min(step, rows - start) for start in range(0, rows, step)]


def logits(rows, length, seed):
    """Chunks of int8 logits, int64 [.., length], `rows` in all: Gaussian, standard deviation 2, one LSB of 1/16."""
    rng = np.random.default_rng([seed, SOFTMAX_SEED, length])
    for count in blocks(rows, length):
        yield quantize(rng.normal(0, LOGIT_SD, (count, length)) / SCALE)


def activations(rows, length, seed, kind):
    """Chunks of rows for LayerNorm, int64 [.., length], `kind` "s8" or "s16": Gaussian, mean within one deviation of 0.

    Rows of equal elements are left out: their deviation is 0 and there is nothing to normalize.
    """
    bits = {"s8": 8, "s16": 16}[kind]
    rng = np.random.default_rng([seed, NORM_SEED, length, bits])
    for count in blocks(rows, length):
        spread = np.exp(rng.uniform(*np.log(NORM_SPREAD[kind]), (count, 1)))
        x = quantize(spread * (rng.uniform(-1, 1, (count, 1)) + rng.normal(0, 1, (count, length))), bits)
        yield x[x.min(axis=1) < x.max(axis=1)]


def named_rows():
    """{name: int8 logits [1, N]}: rows that show where sums go wrong."""
    named = {f"{n} equal": np.zeros((1, n), np.int64) for n in (384, 511, 512, 1024)}
    one_hot = np.full((1, 256), -128)
    one_hot[0, 100] = 127
    named["one-hot"] = one_hot
    two_level = np.zeros((1, 384), np.int64)
    two_level[0, 7::24] = round(2 / SCALE)
    named["two-level"] = two_level
    return named


def softmax(x, scale):
    """Softmax in float64 over the last axis."""
    e = np.exp((x - x.max(axis=-1, keepdims=True)) * scale)
    return e / e.sum(axis=-1, keepdims=True)


def layernorm(x):
    """LayerNorm in float64 over the last axis, eps = 0."""
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True))
