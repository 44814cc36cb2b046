# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Sections through the Verilated core: every element against the model, every row measured."""

from dataclasses import dataclass

import numpy as np

from litenorm.accel import LiteNorm
from litenorm.accel import constants as c
from litenorm.sim.errors import SimulationError
from litenorm.sim.soak.measure import measure, merge, new_tally
from litenorm.sim.verilated import StreamDut


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
