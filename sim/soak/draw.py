# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""What a chunk is made of: sections drawn at random, and offspring of the worst rows so far."""

import math
from dataclasses import replace

import numpy as np

from litenorm.accel import constants as c
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale
from litenorm.sim.soak.families import FAMILIES
from litenorm.sim.soak.section import Section

SECTION_ELEMENTS = (200, 40_000)    # of rows of one kind and length, log-uniform


def row_lengths(config):
    """Row lengths at which something changes: ends of the range, T - 1 to T + 1, powers of two, beats."""
    totals = [f.total for f in FORMATS.values()]
    edges = {1, 2, 3, config.max_length} | {t + d for t in totals for d in (-1, 0, 1)}
    edges |= {(1 << k) + d for k in range(2, 13) for d in (-1, 0, 1)}
    edges |= {k * config.lanes + d for k in (1, 2, 3) for d in (-1, 0, 1)}
    return sorted(n for n in edges if 1 <= n <= config.max_length)


def draw_section(rng, config, weights, parents):
    """A Section; `weights`: (gamma, beta) of max_length, `parents`: per kind, the row with the largest error so far."""
    if parents and rng.random() < 0.15:
        return offspring(rng, parents[str(rng.choice(sorted(parents)))], config)
    edges = row_lengths(config)
    n = int(edges[rng.integers(len(edges))] if rng.random() < 0.6 else rng.integers(1, config.max_length + 1))
    low, high = math.log(SECTION_ELEMENTS[0]), math.log(SECTION_ELEMENTS[1])
    rows = max(1, int(math.exp(rng.uniform(low, high))) // n)
    kind = rng.integers(4)
    if kind < 2:
        lengths = np.full(rows, n)
    elif kind == 2:
        lengths = rng.integers(1, n + 1, rows)
    else:
        lengths = np.full(rows, rng.integers(1, n + 1))
    op = str(rng.choice(config.ops, p=_shares(config)))
    section = Section(op, np.zeros((rows, n), np.int64), lengths)
    if op == "softmax":
        section.fmt = str(rng.choice(config.formats))
        special = (Scale(0, 0), Scale(1, 31), Scale(1, 0), Scale(65535, 0), Scale(65535, 31))
        section.scale = (special[rng.integers(len(special))] if rng.random() < 0.1
                         else Scale.from_real(10.0 ** rng.uniform(-5, 1)))
    else:
        # The model takes one eps for rows of any length only when it is good for the longest.
        largest = ((1 << c.EPS_BITS) - 2) / (n if kind < 2 else config.max_length)**2
        section.eps = float(rng.choice([0, 0, 0, 1e-5, 0.25, 30, 1e6, largest * 10.0 ** rng.uniform(-9, 0), largest]))
        if config.has_affine and rng.random() < 0.4:
            section.affine = Affine(weights[0][:n], weights[1][:n], int(rng.integers(0, 1 << c.AFFINE_SHIFT_BITS)),
                                    int(rng.integers(0, 1 << c.BETA_SHIFT_BITS)), str(rng.choice(["s8", "s16"])))
    bits = c.INPUTS[str(rng.choice(config.inputs))]
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    family = rng.integers(0, len(FAMILIES), rows)
    for f in np.unique(family):
        chosen = family == f
        part = replace(section, lengths=section.lengths[chosen])
        values = FAMILIES[f](rng, int(chosen.sum()), n, low, high, part)
        section.x[chosen] = np.clip(values, low, high)
    return section


def _shares(config):
    """Probability of each built operation: softmax has as many formats as the norms have variants, and more."""
    weight = np.array([len(config.formats) if op == "softmax" else 2 for op in config.ops], float)
    return weight / weight.sum()


def offspring(rng, parent, config):
    """Copies of one row in which a few elements are others: a random search for rows that are worse."""
    n = parent.x.shape[1]
    rows = max(1, 4000 // n)
    limit = 1 << (config.input_bits - 1)
    changed = rng.random((rows, n)) < rng.choice([1, 2, 4, 32], (rows, 1)) / n
    step = np.where(rng.random((rows, n)) < 0.7, rng.integers(-3, 4, (rows, n)), rng.integers(-limit, limit, (rows, n)))
    x = np.clip(parent.x + np.where(changed, step, 0), -limit, limit - 1)
    swap = rng.random(rows) < 0.3
    x[swap] = rng.permuted(x[swap], axis=1)
    return replace(parent, x=x, lengths=np.broadcast_to(parent.lengths, rows).copy())
