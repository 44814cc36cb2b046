# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Families of rows: what the elements of a row are like, from noise to rows at the edge of a rounding.

Each takes (rng, rows, n, low, high, section) and gives [rows, n], from `low` to `high` or to be clipped to that;
`section` has the rows' lengths, and the format and scale of a softmax.
"""

import math

import numpy as np

from litenorm.accel.formats import FORMATS


def _uniform(rng, rows, n, low, high, section):
    return rng.integers(low, high + 1, (rows, n))


def _normal(rng, rows, n, low, high, section):
    spread = 2.0 ** rng.uniform(-2, math.log2(high + 1), (rows, 1))
    center = rng.uniform(-1, 1, (rows, 1)) * rng.choice([0, 10, high], (rows, 1))
    return np.rint(center + spread * rng.standard_normal((rows, n)))


def _equal(rng, rows, n, low, high, section):
    return np.broadcast_to(rng.choice([low, -1, 0, 1, high, rng.integers(low, high + 1)], (rows, 1)), (rows, n))


def _one_of(rng, rows, n, low, high, section):
    """Equal but for one element, higher or lower by anything from 1 to the whole range, at any place or an end."""
    place = np.where(rng.random((rows, 1)) < 0.5, rng.integers(0, n, (rows, 1)), rng.choice([0, n - 1], (rows, 1)))
    low_level, high_level = _levels(rng, rows, low, high)
    peak = (np.arange(n) == place) ^ (rng.random((rows, 1)) < 0.3)
    return np.where(peak, high_level, low_level)


def _two_level(rng, rows, n, low, high, section):
    low_level, high_level = _levels(rng, rows, low, high)
    return np.where(rng.random((rows, n)) < rng.random((rows, 1)), high_level, low_level)


def _alternating(rng, rows, n, low, high, section):
    period = rng.choice([1, 1, 2, 3, 16], (rows, 1))
    return np.where((np.arange(n) // period) & 1, low, high)


def _nearly_equal(rng, rows, n, low, high, section):
    return np.clip(rng.choice([low, 0, high], (rows, 1)) + rng.integers(-1, 2, (rows, n)), low, high)


def _ramp(rng, rows, n, low, high, section):
    """From one level to another in steps, up or down: the carried fraction collects what is cut off."""
    low_level, high_level = _levels(rng, rows, low, high)
    t = np.arange(n) / max(n - 1, 1)
    t = np.where(rng.random((rows, 1)) < 0.5, t, 1 - t)
    return np.rint(low_level + (high_level - low_level) * t)


def _half_ulps(rng, rows, n, low, high, section):
    """One large element or none before many equal small ones: all of them at the same fraction of an ulp."""
    gap = _gap(rng, rows, n, section, rng.uniform(-3, 3, (rows, 1)))
    peaks = rng.integers(0, 3, (rows, 1))
    return np.clip(high - np.where(np.arange(n) < peaks, 0, gap), low, high)


def _peak_last(rng, rows, n, low, high, section):
    """The last valid element takes all but about 3/4 ulp of the row: where capped formats change over."""
    lengths = section.lengths[:, None]
    gap = _gap(rng, rows, lengths, section, math.log2(0.75) + rng.normal(0, 0.02, (rows, 1)), each=False)
    gap = gap + rng.integers(-1, 2, (rows, n)) * (rng.random((rows, 1)) < 0.7)
    last = np.where(rng.random((rows, 1)) < 0.8, lengths - 1, rng.integers(0, n, (rows, 1)))
    return np.clip(high - np.where(np.arange(n) == last, 0, gap), low, high)


def _outliers(rng, rows, n, low, high, section):
    """A normal row with a few elements at the limits."""
    x = rng.normal(0, 2.0 ** rng.uniform(0, 6, (rows, 1)), (rows, n))
    return np.where(rng.random((rows, n)) < 2 / n, rng.choice([low, high], (rows, n)), np.rint(x))


FAMILIES = (_uniform, _normal, _equal, _one_of, _two_level, _alternating, _nearly_equal, _ramp, _half_ulps, _peak_last,
            _outliers)


def _levels(rng, rows, low, high):
    """Two levels a row, [rows, 1] each, any distance from 0 to the whole range apart (log-uniform)."""
    gap = np.rint(2 ** rng.uniform(-1, math.log2(high - low), (rows, 1))).astype(np.int64)
    base = low + np.floor(rng.random((rows, 1)) * (high - low - gap + 1)).astype(np.int64)
    base = np.where(rng.random((rows, 1)) < 0.3, rng.choice([low, 0], (rows, 1)), base)
    base = np.minimum(base, high - gap)
    return base, base + gap


def _gap(rng, rows, n, section, log2_ulps, each=True):
    """LSBs below the maximum at which an element (or all n - 1 together) is 2^log2_ulps ulp, int [rows, 1]."""
    octaves = math.log2(FORMATS[section.fmt].total) - log2_ulps
    if not each:
        octaves = octaves + np.log2(np.maximum(n - 1, 1))
    per_lsb = max(section.scale.multiplier * 2.0 ** (-9 - section.scale.shift), 2.0**-20)
    return np.minimum(np.rint(octaves / per_lsb), 1 << 16).astype(np.int64)
