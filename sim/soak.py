# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Soak test: the core's generated Verilog against the model, over as many random and adversarial rows as wanted.

    python -m litenorm.sim.soak --elements 1e8 --seed 1

The work is cut into chunks of `CHUNK_ELEMENTS`, each drawn from (seed, chunk) alone: chunk k goes through the core with
`LANES[k mod 5]` lanes. Every element is compared with `accel.model`; everything else is computed from the codes that
left the core, without the model's output:

    sums        sum(code - zero point) against T (LayerNorm: 0), in integers
    error       softmax: code - zero point against T * e_i / S, e_i and S the integers of `model.exp2`, numerator exact;
                norms: y against (n x_i - sum x) * 2^10 / sqrt(V + eps term), numerator exact, division in float64
    sigma       sqrt(mean(y^2)) against sqrt(V / (V + eps term)), which is 1 for eps = 0
    inversions  elements whose code is below that of a smaller input of the same row, and by how much
    argmax      rows in which the first largest code does not belong to a largest input
    top lost    rows in which no largest input has the largest code
    masked      elements behind the valid length that are not the zero point (norms: 0)

It ends with exit code 1 on a difference from the model, a wrong sum, an error or a sigma out of bounds, a masked
element that is not zero, a row_error pulse, or a broken handshake; the row is then reduced to a small one that still
fails.
"""

import argparse
import hashlib
import json
import math
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from litenorm.accel import LiteNorm, LiteNormConfig, model
from litenorm.accel import constants as c
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale, eps_term
from litenorm.sim.cache import build_dir
from litenorm.sim.errors import SimulationError
from litenorm.sim.verilated import Stall, StreamDut

CHUNK_ELEMENTS = 250_000
RUNS = 4                    # of a chunk; the later ones go on from the state the core is in, with offspring of bad rows
SECTION_ELEMENTS = (200, 40_000)    # of rows of one kind and length, log-uniform
MAX_ERROR = 1.25            # ulp, softmax: see model.softmax
MAX_SIGMA_ERROR = 2**-10 + 2**-15   # see model.layernorm
KINDS = (*(f"softmax {name}" for name in FORMATS), "layernorm", "layernorm affine", "rmsnorm", "rmsnorm affine")
STALLS = (
    {},
    {},
    {"sink": 0.3, "source": 0.3},
    {"sink": 0.1, "source": Stall(0.5, burst=20)},
    {"sink": Stall(0.5, burst=15)},
    {"sink": 0.2, "source": Stall(0.3, wait_valid=True)},
)

# Counts are added up, peaks are maxima; a peak has its place beside it.
COUNTS = ("rows", "elements", "differences", "wrong_sums", "single_element_rows", "masked_errors", "inversions",
          "argmax_changes", "top_lost", "row_errors")
PEAKS = ("error", "sigma_error", "inversion")
FAULTS = ("differences", "wrong_sums", "masked_errors", "row_errors")    # counts that have to be 0


# Rows --------------------------------------------------------------------------------------------------------


@dataclass
class Section:
    """Rows of one operation and one length N: `x`, int64 [rows, N], and `lengths`, valid elements, int64 [rows]."""

    op: str
    x: np.ndarray
    lengths: np.ndarray
    fmt: str = "u16_q15"
    scale: Scale = Scale(0, 0)
    eps: float = 0.0
    affine: Affine | None = None

    @property
    def kind(self):
        if self.op == "softmax":
            return f"softmax {self.fmt}"
        return self.op if self.affine is None else f"{self.op} affine"

    @property
    def dtype(self):
        """NumPy dtype of a stored code."""
        if self.op == "softmax":
            return FORMATS[self.fmt].dtype
        return np.dtype(np.int16) if self.affine is None else self.affine.dtype

    def params(self):
        """Fields of `rows.row_params`, one value for all rows or one per row."""
        fields = dict(op=c.OPS.index(self.op), format=0, length=self.lengths, scale_multiplier=0, scale_shift=0, eps=0,
                      affine=0, out_s8=0, affine_shift=0, beta_shift=0)
        if self.op == "softmax":
            fields.update(format=FORMATS[self.fmt].code, scale_multiplier=self.scale.multiplier,
                          scale_shift=self.scale.shift)
            return fields
        fields["eps"] = self.eps_terms()
        if self.affine is not None:
            fields.update(affine=1, out_s8=int(self.affine.out == "s8"), affine_shift=self.affine.shift,
                          beta_shift=self.affine.beta_shift)
        return fields

    def eps_terms(self):
        lengths, index = np.unique(self.lengths, return_inverse=True)
        return np.array([eps_term(self.eps, int(n)) for n in lengths], np.int64)[index]

    def expected(self, config):
        """The model's codes [rows, N]."""
        if self.op == "softmax":
            return model.softmax(self.x, self.scale, self.fmt, length=self.lengths, config=config)
        length = int(self.lengths[0]) if np.all(self.lengths == self.lengths[0]) else self.lengths
        return getattr(model, self.op)(self.x, self.eps, length=length, affine=self.affine, config=config)

    def row(self, i):
        return replace(self, x=self.x[i:i + 1], lengths=self.lengths[i:i + 1])

    def describe(self):
        """The arguments that make this section again, as Python, for one row."""
        text = [f"op={self.op}", f"length={int(self.lengths[0])}"]
        if self.op == "softmax":
            text += [f"fmt={self.fmt}", f"scale={tuple(map(int, self.scale))}"]
        else:
            text.append(f"eps={self.eps!r}")
        if self.affine is not None:
            a = self.affine
            text += [f"out={a.out}", f"shift={a.shift}", f"beta_shift={a.beta_shift}", f"gamma={a.gamma.tolist()}",
                     f"beta={a.beta.tolist()}"]
        return " ".join(text) + f" x={self.x[0].tolist()}"


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


# Checks ------------------------------------------------------------------------------------------------------


def new_tally():
    return {name: 0 for name in COUNTS} | {name: 0.0 for name in PEAKS} | {f"{name}_at": None for name in PEAKS}


def merge(into, other):
    """Add one tally to another."""
    for name in COUNTS:
        into[name] += other[name]
    for name in PEAKS:
        if other[name] > into[name] or into[f"{name}_at"] is None:
            into[name], into[f"{name}_at"] = other[name], other[f"{name}_at"]


def measure(section, codes, place):
    """(tally, bad rows) of the codes, int64 [rows, N], that left the core for a section; place: where it is, a list.

    bad rows is a dict of row to what is wrong with it, without the comparison with the model.
    """
    tally, bad = new_tally(), {}
    rows, n = codes.shape
    lengths = section.lengths
    valid = np.arange(n) < lengths[:, None]
    fmt = FORMATS[section.fmt] if section.op == "softmax" else None
    out = codes - (fmt.zero_point if fmt else 0)
    tally["rows"], tally["elements"] = rows, rows * n

    def fault(name, wrong, text):
        tally[name] += int(wrong.sum())
        for i in np.flatnonzero(wrong):
            bad.setdefault(int(i), text(i))

    def peak(name, values, row_of=lambda i: i):
        if values.size:
            i = int(np.argmax(values))
            tally[name], tally[f"{name}_at"] = float(values.flat[i]), [*place, int(row_of(i))]

    if section.affine is not None:
        return tally, bad
    masked = ((out != 0) & ~valid).any(axis=1)
    fault("masked_errors", masked, lambda i: "a masked element is not zero")

    # Sums, in integers.
    sums = out.sum(axis=1)
    if fmt:
        single = (lengths == 1) & fmt.capped
        tally["single_element_rows"] = int(single.sum())
        fault("wrong_sums", sums != fmt.total - single, lambda i: f"the sum is {sums[i]}, not {fmt.total - single[i]}")
    elif section.op == "layernorm":
        fault("wrong_sums", sums != 0, lambda i: f"the sum is {sums[i]}, not 0")

    # Error of each element. Numerators are exact in 53 bits.
    x = np.where(valid, section.x, 0)
    if fmt:
        e = model.exp2(section.x, lengths, section.scale)
        total = e.sum(axis=1, keepdims=True)
        error = np.abs((out * total - fmt.total * e) / total)
    else:
        sum_x, sum_xx = x.sum(axis=1), (x * x).sum(axis=1)
        centered = section.op == "layernorm"
        v = lengths * sum_xx - (sum_x * sum_x if centered else 0)
        root = np.sqrt(np.where(v == 0, 1, v + section.eps_terms()))
        numerator = lengths[:, None] * x - (sum_x[:, None] if centered else 0)
        y = np.where(valid & (v != 0)[:, None], (numerator << c.NORM_FRACTION_BITS) / root[:, None], 0)
        if not centered:
            info = np.iinfo(np.int16)
            y = np.clip(y, info.min, info.max)
        error = np.abs(out - y)
        sigma = np.sqrt((out * out).sum(axis=1) / lengths) / (1 << c.NORM_FRACTION_BITS)
        sigma_error = np.abs(sigma - np.sqrt(v) / root)
        peak("sigma_error", sigma_error)
        if centered:
            for i in np.flatnonzero(sigma_error >= MAX_SIGMA_ERROR):
                bad.setdefault(int(i), f"sigma is off by {sigma_error[i]:.3g}")
    peak("error", error, lambda i: i // n)
    if fmt:
        for i in np.flatnonzero(error.max(axis=1) >= MAX_ERROR):
            bad.setdefault(int(i), f"an element is off by {error[i].max():.3f} ulp")

    # Order: sorted by input, and by code within equal inputs, codes must not fall.
    bits = c.CODE_BITS + 2
    key = np.where(valid, (section.x << bits) + out + (1 << (bits - 1)), np.iinfo(np.int64).max)
    key.sort(axis=1)
    ordered = key & ((1 << bits) - 1)
    drop = np.where(valid, np.maximum.accumulate(ordered, axis=1) - ordered, 0)
    tally["inversions"] = int(np.count_nonzero(drop))
    peak("inversion", drop, lambda i: i // n)
    low = np.iinfo(np.int64).min
    codes_valid, x_valid = np.where(valid, out, low), np.where(valid, section.x, low)
    first = np.argmax(codes_valid, axis=1)
    top = x_valid.max(axis=1, keepdims=True)
    tally["argmax_changes"] = int((section.x[np.arange(rows), first] != top[:, 0]).sum())
    best = np.where(x_valid == top, codes_valid, low).max(axis=1)
    tally["top_lost"] = int((best < codes_valid.max(axis=1)).sum())
    return tally, bad


@dataclass
class Violation:
    """A row that broke a promise: `section` and `row` of it, None when the whole run failed; `text` says how."""

    text: str
    section: int | None = None
    row: int | None = None


def make_dut(config, core=LiteNorm):
    """The Verilated core; `core` makes the module from the config."""
    module = core(config)
    sinks = {"sink": module.sink, **({"weights": module.weights} if config.has_affine else {})}
    return StreamDut(module, sinks=sinks, sources={"source": module.source}, name="lite_norm",
                     signals=[module.row_done, module.row_error, module.constant_row])


def run_sections(dut, config, sections, weights, seed, stall, fresh=True, place=()):
    """Send sections through the core in one stream; returns (tallies by kind, violations).

    weights: (gamma, beta), int [max_length] each. place: what the places of peaks begin with.
    """
    beats, load = [], {}
    for section in sections:
        beats.append(dut.sinks["sink"].packets(section.x, bits=config.input_bits, pad=None, seed=seed,
                                               **section.params()))
    stream = np.concatenate(beats)
    if config.has_affine:
        port = dut.sinks["weights"]
        load = {"weights": np.concatenate([port.packets([w], bits=c.CODE_BITS, beta=i) for i, w in enumerate(weights)])}
    try:
        result = dut.run({"sink": stream, **load}, after={"sink": "weights"} if load else None, stall=stall, seed=seed,
                         expect={"source": len(stream)}, fresh=fresh)
    except SimulationError as error:
        return {}, [Violation(str(error))]
    got = result["source"].beats
    if not all(np.array_equal(got[flag], stream[flag]) for flag in ("first", "last")):
        return {}, [Violation("the rows that left have other lengths than those that entered")]
    done, errors = result.events["row_done"], result.events["row_error"]
    rows_total = sum(len(section.x) for section in sections)
    if len(done) != rows_total:
        return {}, [Violation(f"row_done pulsed {len(done)} times for {rows_total} rows")]
    failed = np.zeros(rows_total, bool)
    failed[np.searchsorted(done, errors)] = True
    # Pulses of constant_row may come before row_done of a row ahead: their number is what can be told.
    constant, pulses = sum(int(constant_rows(section).sum()) for section in sections), result.events["constant_row"]
    if len(pulses) != constant:
        return {}, [Violation(f"constant_row pulsed {len(pulses)} times for {constant} constant rows")]

    lanes = result["source"].lanes(c.CODE_BITS)
    tallies, violations = {}, []
    beat = first_row = 0
    for index, section in enumerate(sections):
        rows, n = section.x.shape
        count = config.beats(n)
        raw = lanes[beat:beat + rows * count].reshape(rows, -1)[:, :n]
        expected = section.expected(config)
        codes = raw.astype(np.uint16).astype(np.int64)
        if np.iinfo(expected.dtype).min < 0:
            codes = raw.astype(np.uint16).view(np.int16).astype(np.int64)
        tally, bad = measure(section, codes, [*place, index])
        different = (codes != expected).any(axis=1)
        tally["differences"] = int(np.count_nonzero(codes != expected))
        for i in np.flatnonzero(different):
            j = int(np.flatnonzero(codes[i] != expected[i])[0])
            text = f"element {j} is {codes[i, j]}, the model's {expected[i, j]}"
            bad[int(i)] = f"{text}; {bad[int(i)]}" if int(i) in bad else text
        rows_failed = failed[first_row:first_row + rows]
        tally["row_errors"] = int(rows_failed.sum())
        for i in np.flatnonzero(rows_failed):
            bad.setdefault(int(i), "row_error pulsed")
        merge(tallies.setdefault(section.kind, new_tally()), tally)
        violations += [Violation(text, index, i) for i, text in sorted(bad.items())]
        beat += rows * count
        first_row += rows
    return tallies, violations


def constant_rows(section):
    """Rows of a norm without variance (RMSNorm: all zero), bool [rows]."""
    if section.op == "softmax":
        return np.zeros(len(section.x), bool)
    valid = np.arange(section.x.shape[1]) < section.lengths[:, None]
    reference = section.x[:, :1] if section.op == "layernorm" else 0
    return np.where(valid, section.x == reference, True).all(axis=1)


# Chunks ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Core:
    """Which core a soak is about: options of LiteNormConfig but for the lanes, and the module that is tested."""

    options: tuple = ()
    module: type = LiteNorm

    def config(self, lanes):
        return LiteNormConfig(lanes=lanes, **dict(self.options))


CORES = {
    "all": Core(),
    "s8": Core((("inputs", ("s8",)),)),
    "softmax-4096": Core((("ops", ("softmax",)), ("max_length", 4096))),
}

_duts = {}


def chunk_lanes(chunk):
    """Lane count of a chunk."""
    return c.LANES[chunk % len(c.LANES)]


def run_chunk(core, seed, chunk):
    """Run one chunk; returns a dict of lanes, elements, tallies by kind and, after a violation, its report."""
    lanes = chunk_lanes(chunk)
    config = core.config(lanes)
    if (core, lanes) not in _duts:
        _duts[core, lanes] = make_dut(config, core.module)
    dut = _duts[core, lanes]
    rng = np.random.default_rng([seed, chunk])
    stall = STALLS[rng.integers(len(STALLS))]
    weights = [rng.integers(-32768, 32768, config.max_length) for _ in range(2)]
    tallies, parents = {}, {}
    for run in range(RUNS):
        sections, elements = [], 0
        while elements < CHUNK_ELEMENTS // RUNS:
            section = draw_section(rng, config, weights, parents)
            sections.append(section)
            elements += section.x.size
        # The last section is cut, so that a chunk has at least its elements and little more.
        spare = (elements - CHUNK_ELEMENTS // RUNS) // section.x.shape[1]
        keep = max(1, len(section.x) - spare)
        sections[-1] = replace(section, x=section.x[:keep], lengths=section.lengths[:keep])
        run_seed = int(rng.integers(1 << 30))
        new, violations = run_sections(dut, config, sections, weights, run_seed, stall, fresh=run == 0,
                                       place=(chunk, run))
        if violations:
            report = explain(dut, config, sections, weights, run_seed, stall, violations)
            return dict(chunk=chunk, lanes=lanes, tallies={}, violation={"run": run, "seed": seed, **report})
        for kind, tally in new.items():
            merge(tallies.setdefault(kind, new_tally()), tally)
            if tally["error_at"] is not None and tally["error_at"][:2] == [chunk, run] and not kind.endswith("affine"):
                _, _, index, row = tally["error_at"]
                parents[kind] = sections[index].row(row)
    return dict(chunk=chunk, lanes=lanes, tallies=tallies, violation=None)


# Reproduction ------------------------------------------------------------------------------------------------


def explain(dut, config, sections, weights, seed, stall, violations):
    """Reduce the first bad row: alone, without stalls, shorter, with smaller numbers, as long as it still fails."""
    first = violations[0]
    report = {"count": len(violations), "text": first.text, "lanes": config.lanes, "row": None}

    def failure(section):
        _, found = run_sections(dut, config, [section], weights, seed, {})
        return found[0].text if found else None

    if first.section is not None:
        row = sections[first.section].row(first.row)
        report["row"] = row.describe()
        text = failure(row)
        if text is None:
            report["note"] = "the row is right when it is sent alone: the rows before it or the stalls count"
        else:
            row = reduce_row(row, failure)
            report.update(text=failure(row), row=row.describe())
    else:
        # The stream broke down: the first row that breaks it alone, if there is one.
        for section in sections:
            for i in range(len(section.x)):
                if len(section.x) <= 64 and failure(section.row(i)):
                    row = reduce_row(section.row(i), failure)
                    return {**report, "text": failure(row), "row": row.describe()}
        report["note"] = "no row does this alone: the rows before it or the stalls count"
    return report


def reduce_row(row, failure, trials=600):
    """A smaller row for which `failure(row)` is still not None; one bad row is enough for a first look."""
    left = [trials]

    def fails(candidate):
        if left[0] <= 0:
            return False
        left[0] -= 1
        return failure(candidate) is not None

    def without(section, start, stop):
        keep = np.r_[0:start, stop:section.x.shape[1]]
        n = len(keep)
        affine = section.affine and replace(section.affine, gamma=section.affine.gamma[:n],
                                            beta=section.affine.beta[:n])
        valid = int((keep < section.lengths[0]).sum())
        return replace(section, x=section.x[:, keep], lengths=np.array([valid]), affine=affine) if valid else None

    size = row.x.shape[1] // 2
    while size:
        start = 0
        while start < row.x.shape[1] and row.x.shape[1] > 1:
            candidate = without(row, start, min(start + size, row.x.shape[1]))
            if candidate is not None and candidate.x.shape[1] and fails(candidate):
                row = candidate
            else:
                start += size
        size //= 2
    # Smaller numbers: the whole row nearer to 0, then one element at a time.
    for move in (lambda x: x - x.max(), lambda x: x - x.min(), lambda x: x // 2, lambda x: np.sign(x)):
        candidate = replace(row, x=move(row.x))
        if np.abs(candidate.x).max() < np.abs(row.x).max() and fails(candidate):
            row = candidate
    for j in range(row.x.shape[1]):
        for value in (0, row.x[0, j] // 2):
            if value != row.x[0, j]:
                x = row.x.copy()
                x[0, j] = value
                if fails(replace(row, x=x)):
                    row = replace(row, x=x)
                    break
    return row


# The command -------------------------------------------------------------------------------------------------


def fingerprint(core_name):
    """What the results depend on: the core, the model and this file. A state is resumed only with the same."""
    sources = Path(__file__).resolve().parent
    accel = Path(model.__file__).resolve().parent
    h = hashlib.sha256(core_name.encode())
    for path in (*sorted(accel.glob("*.py")), sources / "soak.py", sources / "verilated.cpp"):
        h.update(path.read_bytes())
    return h.hexdigest()[:16]


@dataclass
class State:
    """What is done of a soak, kept in a file."""

    path: Path | None
    data: dict

    @classmethod
    def begin(cls, path, seed, core_name, resume):
        """A new state, or the one in `path`; ValueError when that is of another core."""
        mark = fingerprint(core_name)
        if resume:
            if path is None or not path.exists():
                raise ValueError(f"nothing to resume for seed {seed}: run without --resume first")
            data = json.loads(path.read_text())
            if data["fingerprint"] != mark:
                raise ValueError("the state was made with another core, model or soak: run without --resume")
            return cls(path, data)
        return cls(path, dict(fingerprint=mark, seed=seed, core=core_name, seconds=0.0, chunks=[], table={}))

    def add(self, result):
        self.data["chunks"].append(result["chunk"])
        for kind, tally in result["tallies"].items():
            merge(self.data["table"].setdefault(f"{kind}/{result['lanes']}", new_tally()), tally)

    def save(self):
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(self.data))
        temporary.replace(self.path)

    @property
    def elements(self):
        return sum(tally["elements"] for tally in self.data["table"].values())


def soak(elements, seed=1, core_name="all", jobs=None, resume=False, path=None, progress=None, core=None, chunks=None):
    """Run chunks until `elements` are done; returns (State, the violation's report or None).

    jobs: processes, 0: in this one. path: file of the state. progress: called with (State, chunks in flight).
    core: a Core instead of CORES[core_name]. chunks: only these.
    """
    core = core or CORES[core_name]
    state = State.begin(path, seed, core_name, resume)
    done = set(state.data["chunks"])
    todo = [k for k in (range(-(-elements // CHUNK_ELEMENTS)) if chunks is None else chunks) if k not in done]
    began, earlier = time.monotonic(), state.data["seconds"]
    violation = None

    def take(result):
        nonlocal violation
        if result["violation"] is not None:
            violation = violation or {"chunk": result["chunk"], **result["violation"]}
            return
        state.add(result)
        state.data["seconds"] = earlier + time.monotonic() - began

    if jobs == 0:
        for k in todo:
            take(run_chunk(core, seed, k))
            if violation:
                break
        state.save()
        return state, violation
    jobs = jobs or os.cpu_count()
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    saved = time.monotonic()
    try:
        queue, flying = iter(todo), set()
        while True:
            while len(flying) < jobs + 2 and not violation and (k := next(queue, None)) is not None:
                flying.add(pool.submit(run_chunk, core, seed, k))
            if not flying:
                break
            ready, flying = wait(flying, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in ready:
                take(future.result())
            if ready and time.monotonic() - saved > 10:
                state.save()
                saved = time.monotonic()
            if progress is not None:
                progress(state, len(flying))
    finally:
        state.save()
        pool.shutdown(wait=False, cancel_futures=True)
    return state, violation


def rows_of_table(state):
    """[(kind, lanes or None for all, tally)], kinds in order."""
    table = state.data["table"]
    rows = []
    for kind in KINDS:
        mine = [(lanes, table[f"{kind}/{lanes}"]) for lanes in c.LANES if f"{kind}/{lanes}" in table]
        rows += [(kind, lanes, tally) for lanes, tally in mine]
    total = new_tally()
    for _, _, tally in rows:
        merge(total, tally)
    return [*rows, ("all", None, total)]


def show(state, console):
    """Print the table and what the numbers are."""
    console.width = max(console.width, 152)     # as wide as the table, in a pipe too
    table = Table(box=None, header_style="bold")
    for name in ("operation", "lanes", "rows", "elements", "differ", "sums wrong", "worst ulp", "worst sigma",
                 "inversions", "largest", "argmax", "top lost", "row_error"):
        table.add_column(name, justify="left" if name == "operation" else "right", no_wrap=True)
    before = None
    for kind, lanes, t in rows_of_table(state):
        affine, softmax = kind.endswith("affine"), kind.startswith("softmax")
        text = "" if kind == before else kind
        has_sum = softmax or kind in ("layernorm", "all")
        has_sigma = not softmax and not affine
        table.add_row(
            text, "" if lanes is None else str(lanes), f"{t['rows']:,}", f"{t['elements']:,}", str(t["differences"]),
            str(t["wrong_sums"]) if has_sum else "-",
            "-" if affine or kind == "all" else f"{t['error']:.4f}",
            f"{t['sigma_error'] * 1024:.4f}" if has_sigma else "-",
            "-" if affine else f"{t['inversions']:,}", "-" if affine else f"{t['inversion']:.0f}",
            "-" if affine else f"{t['argmax_changes']:,}",
            "-" if affine else f"{t['top_lost']:,}", str(t["row_errors"]))
        before = kind
    console.print(table)
    singles = sum(t["single_element_rows"] for kind, lanes, t in rows_of_table(state) if lanes is not None)
    seconds = state.data["seconds"]
    console.print(
        f"\ndiffer: elements that are not the model's. worst ulp: softmax against T e/S (bound {MAX_ERROR}),\n"
        f"norms against float64. worst sigma: |sigma - 1| in 2^-10 (LayerNorm's bound {MAX_SIGMA_ERROR * 1024}).\n"
        f"inversions: elements below one with a smaller input; largest: in ulp. argmax: rows whose first largest\n"
        f"code has not the largest input; top lost: rows in which no largest input has the largest code.\n"
        f"Rows of one valid element in a capped format, whose sum is T - 1 as documented: {singles:,}.\n"
        f"Seed {state.data['seed']}, {state.elements:,} elements in {seconds:.0f} s, "
        f"{state.elements / max(seconds, 1e-9) / 1e6:.2f} M elements/s.", highlight=False, soft_wrap=True)


def show_violation(report, core_name, console):
    """Print what failed, and how to see it again."""
    console.print(f"\nFAILED in chunk {report['chunk']} (seed {report['seed']}, {report['lanes']} lanes, run "
                  f"{report['run']}): {report['count']} violations; the first: {report['text']}", style="bold red",
                  highlight=False, soft_wrap=True)
    if report["row"]:
        console.print(f"row: {report['row']}", highlight=False, soft_wrap=True)
    if "note" in report:
        console.print(report["note"], highlight=False, soft_wrap=True)
    console.print(f"again: python -m litenorm.sim.soak --core {core_name} --seed {report['seed']} --chunk "
                  f"{report['chunk']}", highlight=False, soft_wrap=True)


def report_json(state, violation):
    """The results as JSON data."""
    return dict(
        seed=state.data["seed"], core=state.data["core"], fingerprint=state.data["fingerprint"],
        elements=state.elements, seconds=state.data["seconds"], max_error=MAX_ERROR, max_sigma_error=MAX_SIGMA_ERROR,
        table=[{"operation": kind, "lanes": lanes, **tally} for kind, lanes, tally in rows_of_table(state)],
        violation=violation, ok=violation is None)


def _count(text):
    value = float(text)
    if not (value.is_integer() and value >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of elements; good: 1 or more, 1e8 is one")
    return int(value)


def make_parser():
    parser = argparse.ArgumentParser(
        prog="python -m litenorm.sim.soak", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Run the Verilated core over random and adversarial rows and compare every element with the model.",
        epilog="example: python -m litenorm.sim.soak --elements 1e9 --seed 7 --json soak.json")
    parser.add_argument("--elements", type=_count, default=10**8, metavar="N", help="how many (default: 1e8)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of rows, stalls and power-up (default: 1)")
    parser.add_argument("--core", choices=CORES, default="all",
                        help="all: the default core; s8: built for s8 alone; softmax-4096: rows of 4096 (default: all)")
    parser.add_argument("--jobs", type=int, metavar="J", help="processes (default: one per processor)")
    parser.add_argument("--resume", action="store_true", help="go on with what this seed has done")
    parser.add_argument("--chunk", type=int, metavar="K", help="run this chunk alone, to see a failure again")
    parser.add_argument("--json", type=Path, metavar="F", help="write the results to this file")
    return parser


def main(argv=None):
    """Run the command line; returns the exit code."""
    from litenorm.sim.output import write_json

    parser = make_parser()
    args = parser.parse_args(argv)
    for name, low in (("seed", 0), ("jobs", 1), ("chunk", 0)):
        if getattr(args, name) is not None and getattr(args, name) < low:
            parser.error(f"--{name} is {getattr(args, name)}; good: {low} or more")
    path = build_dir("soak") / f"{args.core}-{args.seed}.json"
    console, errors = Console(), Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeElapsedColumn(),
               TextColumn("ETA"), TimeRemainingColumn(elapsed_when_finished=True))
    try:
        if args.json is not None and not args.json.absolute().parent.is_dir():
            raise ValueError(f"{args.json.parent} is not a folder: name a JSON file in an existing folder")
        with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal,
                      redirect_stdout=False) as progress:
            task = progress.add_task("compiling the core", total=args.elements, rate="")
            start = [None]

            def update(state, flying):
                now = time.monotonic()
                if state.elements and start[0] is None:
                    start[0] = (now, state.elements)
                rate = (state.elements - start[0][1]) / max(now - start[0][0], 1) if start[0] else 0
                progress.update(task, completed=min(state.elements, args.elements),
                                rate=f"{rate / 1e6:.2f} M elements/s",
                                description=f"{state.elements / 1e6:.0f} of {args.elements / 1e6:.0f} M elements")

            run = partial(soak, args.elements, args.seed, args.core, progress=update)
            if args.chunk is None:
                state, violation = run(jobs=args.jobs, resume=args.resume, path=path)
            else:
                state, violation = run(jobs=0, chunks=[args.chunk])
    except (SimulationError, BrokenProcessPool, ValueError, OSError) as error:
        print(f"soak: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("soak: interrupted; go on with --resume", file=sys.stderr)
        return 130
    show(state, console)
    if violation:
        show_violation(violation, args.core, console)
    if args.json is not None:
        write_json(args.json, report_json(state, violation))
    return 1 if violation else 0


if __name__ == "__main__":
    sys.exit(main())
