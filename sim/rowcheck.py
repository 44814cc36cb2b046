# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Rows of all operations for the core's streams, what the model says they give, and the comparison.

    dut = core_dut(LiteNorm(config), StreamDut)
    rows = mixed_rows(dut, config, 200, seed=1)
    run_rows(dut, rows, stall={"sink": 0.3}, seed=1)        # RowMismatch names the first row that differs
"""

from dataclasses import dataclass, field

import numpy as np

from litenorm.accel import constants as c
from litenorm.accel import model
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.rows import row_params
from litenorm.accel.scale import Scale, eps_term
from litenorm.sim.errors import SimulationError

PULSES = ("row_done", "row_error", "constant_row")
LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33, 64)


class RowMismatch(SimulationError):
    """A row is not what the model says; ``row`` is its number, so many rows before it were right."""

    def __init__(self, message, row):
        super().__init__(message)
        self.row = row


@dataclass
class Rows:
    """Rows for a core and what it must answer.

    beats : dict of sink name to beats, for ``run``.  text : per row, what it is.  codes : per row, u16 [N].
    constant : per row, whether ``constant_row`` pulses.
    """

    beats: dict
    text: list = field(default_factory=list)
    codes: list = field(default_factory=list)
    constant: list = field(default_factory=list)

    def __len__(self):
        return len(self.codes)


def core_dut(core, harness, **options):
    """Return a StreamDut or StreamCoSim of a LiteNorm core: sinks sink and weights, source source, and its pulses."""
    sinks = {"sink": core.sink}
    if core.config.has_affine:
        sinks["weights"] = core.weights
    signals = {pulse: getattr(core, pulse) for pulse in PULSES}
    return harness(core, sinks=sinks, sources={"source": core.source}, signals=signals, **options)


def elements(rng, n, bits):
    """Draw the elements of a row: normal ones, constant ones, extremes, one that stands out.

    Returns int64 [n] of ``bits`` bits.
    """
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    edges = [low, low + 1, -1, 0, 1, high - 1, high]
    kind = rng.integers(6)
    if kind == 0:
        return rng.choice([low, high], n)
    x = np.full(n, rng.choice(edges), np.int64)
    if kind == 1:
        return x
    if kind == 2:
        x[rng.choice([0, n - 1, rng.integers(n)])] = rng.choice(edges)
        return x
    spread = rng.choice([1.0, 40.0, float(high) / 8, float(high)])
    return np.clip(np.round(rng.normal(rng.normal(0, 100), spread, n)), low, high).astype(np.int64)


def _row(rng, config, x, gamma, beta, **wish):
    """Return (params, text, codes, constant) of one row; parameters that its operation does not use are random."""
    n = len(x)
    params = {name: int(rng.integers(0, 1 << min(bits, 62))) for name, bits in row_params(config)}
    op = wish.get("op") or str(rng.choice(config.ops))
    length = wish.get("length") or (n if rng.random() < 0.5 or not config.masks else int(rng.integers(1, n + 1)))
    params.update(op=c.OPS.index(op), length=length)
    if op == "softmax":
        fmt = FORMATS[wish.get("fmt") or str(rng.choice(config.formats))]
        scale = wish.get("scale") or Scale.from_real(min(float(10 ** rng.uniform(-5, 0.3)), config.max_scale))
        params.update(format=fmt.code, scale_multiplier=scale.multiplier, scale_shift=scale.shift)
        codes = model.softmax(x, scale, fmt, length=length, config=config)
        constant = False
        text = f"softmax {fmt.name}, {scale}"
    else:
        largest = (1 << config.eps_bits) / length**2 * 0.999
        eps = min(float(rng.choice([0, 0, 0.01, 30, 1e6])), largest) if config.eps else 0.0
        affine = None
        params.update(eps=eps_term(eps, length), affine=0)
        if config.has_affine and (rng.random() < 0.6 if wish.get("affine") is None else wish["affine"]):
            affine = Affine(gamma[:n], beta[:n], int(rng.integers(8, 24)), int(rng.integers(0, 16)),
                            str(rng.choice(["s8", "s16"])))
            params.update(affine=1, out_s8=int(affine.out == "s8"), affine_shift=affine.shift,
                          beta_shift=affine.beta_shift)
        codes = getattr(model, op)(x, eps=eps, length=length, affine=affine, config=config)
        valid = x[:length]
        constant = not valid.any() if op == "rmsnorm" else valid.min() == valid.max()
        text = f"{op}, eps {eps}, {affine.out if affine else 'Q5.10'}"
    return params, f"{text}, {length} of {n} valid", np.asarray(codes).astype(np.int64) & 0xFFFF, bool(constant)


def edge_rows(config):
    """Yield (elements, wishes for the parameters) of the rows that random ones seldom hit."""
    high = (1 << (config.input_bits - 1)) - 1
    if "softmax" in config.ops:
        steep = Scale.from_real(1.0)
        for fmt in config.formats:
            for n in (config.max_length, config.max_length // 2):
                yield np.zeros(n, np.int64), dict(op="softmax", fmt=fmt, length=n)  # S is a power of 2: R is exact
            for n, at in ((1, 0), (2, 0), (2, 1), (5, 1), (5, 4), (8, 3), (8, 7)):
                x = np.full(n, high - 60)
                x[at] = high        # one element holds the whole row; the one after it may gain 1
                yield x, dict(op="softmax", fmt=fmt, scale=steep, length=n)
                yield np.zeros(3, np.int64), dict(op="softmax", fmt=fmt, scale=steep, length=3)
    for op in ("layernorm", "rmsnorm"):
        if op in config.ops:
            n = config.max_length
            for at in (0, n - 1):
                for peak in (-high - 1, high):
                    x = np.zeros(n, np.int64)
                    x[at] = peak    # RMSNorm of the longest row: sqrt(1024) does not fit Q5.10
                    yield x, dict(op=op, length=n)


def mixed_rows(dut, config, count, seed, lengths=LENGTHS, edges=True, **wish):
    """Return Rows of random operations, formats, masks, scales and eps, edge cases first, with gamma and beta.

    dut : of ``core_dut``.  count : random rows; about every twentieth is of ``config.max_length`` elements.
    lengths : of the others; those above ``config.max_length`` are left out.
    wish : op, fmt, scale, length, affine of the random rows, when they are to be the same in all.
    """
    rng = np.random.default_rng(seed)
    gamma, beta = (rng.integers(-32768, 32768, config.max_length) for _ in range(2))
    cases = list(edge_rows(config)) if edges else []
    lengths = [n for n in lengths if n <= config.max_length]
    for _ in range(count):
        n = config.max_length if rng.random() < 0.05 else int(rng.choice(lengths))
        cases.append((elements(rng, n, config.input_bits), wish))
    order = rng.permutation(len(cases))
    rows, packets = Rows({}), []
    for i in order:
        x, wish = cases[i]
        params, text, codes, constant = _row(rng, config, x, gamma, beta, **wish)
        packets.append(dut.sinks["sink"].packets([x], bits=config.input_bits, seed=int(i), **params))
        rows.text.append(text)
        rows.codes.append(codes)
        rows.constant.append(constant)
    rows.beats["sink"] = np.concatenate(packets)
    if config.has_affine:
        port = dut.sinks["weights"]
        rows.beats["weights"] = np.concatenate([port.packets([a], bits=16, beta=i) for i, a in
                                                enumerate((gamma, beta))])
    return rows


def chord_rows(dut, config, count, seed):
    """Return Rows of two elements for softmax, whose smaller one lies ``count`` times on each chord in each lane.

    An error of one unit in a chord moves such an element by about 1/6 ulp of ``tfl_s16``: it takes many to see it.
    """
    rng = np.random.default_rng(seed)
    segments = 1 << c.SEGMENT_BITS
    step = 1 if config.input_bits == 16 else 1 << (c.OCTAVE_FRACTION_BITS - 8)
    scale = Scale(step, c.SCALE_HEADROOM)       # d = t * step
    fmt = FORMATS["tfl_s16" if "tfl_s16" in config.formats else config.formats[-1]]
    rows, packets = Rows({}), []
    for lane in range(config.lanes):
        n = max(lane + 1, 2)
        width = (1 << c.OCTAVE_FRACTION_BITS) // step // segments
        t = (np.repeat(np.arange(segments), count) * width) + rng.integers(0, width, segments * count)
        x = np.full((len(t), n), -(1 << (config.input_bits - 1)), np.int64)
        x[:, 0 if lane else 1] = (1 << (config.input_bits - 1)) - 1
        x[:, lane] = x.max() - t
        codes = model.softmax(x, scale, fmt, config=config).astype(np.int64) & 0xFFFF
        packets.append(dut.sinks["sink"].packets(x, bits=config.input_bits, seed=lane, format=fmt.code, length=n,
                                                 scale_multiplier=scale.multiplier, scale_shift=scale.shift))
        rows.text += [f"softmax {fmt.name}, lane {lane}, {v * step / (1 << c.OCTAVE_FRACTION_BITS):.5f} octaves"
                      for v in t]
        rows.codes += list(codes)
    rows.constant = [False] * len(rows.codes)
    rows.beats["sink"] = np.concatenate(packets)
    return rows


def compare_packets(packets, rows, first=0, seed=0):
    """RowMismatch when the packets of a source are not the codes of ``rows`` from number ``first`` on."""
    for number, packet in enumerate(packets):
        if first + number >= len(rows):
            raise RowMismatch(f"{len(packets) - number} rows too many (seed {seed})", number)
        codes = rows.codes[first + number]
        wrong = np.flatnonzero((packet[: len(codes)] & 0xFFFF) != codes[: len(packet)])
        if len(wrong) or len(packet) < len(codes):
            i = int(wrong[0]) if len(wrong) else len(packet)
            got = f"{packet[i] & 0xFFFF:#06x}" if i < len(packet) else "nothing"
            raise RowMismatch(f"row {first + number} ({rows.text[first + number]}), element {i}: {got}, the model "
                              f"gives {codes[i]:#06x} (seed {seed})", number)
    if first + len(packets) < len(rows):
        raise RowMismatch(f"{len(rows) - first - len(packets)} rows did not come (seed {seed})", len(packets))


def pulses_of(result, constant):
    """Return which rows of a Result had which of PULSES: dict of pulse to list of bool.

    constant : per row, whether its ``constant_row`` is expected.

    row_done comes behind a row's last beat, in the order of the rows; row_error not later than its row's row_done;
    constant_row between the last beat's entry and its exit, in the order of the constant rows. A pulse too many counts
    for the first row that expects none.
    """
    capture = result["source"]
    ends = np.flatnonzero(capture.beats["last"])
    left, entered = capture.cycles[ends].tolist(), result.accepted["sink"][ends].tolist()
    count = len(ends)
    done = result.events["row_done"].tolist()
    found = {"row_done": [i < len(done) and done[i] > left[i] for i in range(count)],
             "row_error": [False] * count, "constant_row": [False] * count}
    if len(done) > count:
        found["row_done"][-1] = False
    for i in np.searchsorted(done, result.events["row_error"]).tolist():
        found["row_error"][min(i, count - 1)] = True
    cycles = result.events["constant_row"].tolist()
    expected = [row for row in range(count) if constant[row]]
    for row, cycle in zip(expected, cycles, strict=False):
        found["constant_row"][row] = entered[row] <= cycle <= left[row]
    if len(cycles) > len(expected):
        found["constant_row"][next((row for row in range(count) if not constant[row]), -1)] = True
    return found


def run_rows(dut, rows, stall=None, seed=0, **options):
    """Run Rows through a core, compare codes and pulses with the model, and return how many were compared.

    Gamma and beta are loaded first. Raises RowMismatch, and what ``dut.run`` raises.
    """
    after = {"sink": "weights"} if "weights" in rows.beats else None
    result = dut.run(rows.beats, stall=stall or {}, seed=seed, expect={"source": len(rows.beats["sink"])}, after=after,
                     **options)
    compare_packets(result["source"].packets(16), rows, seed=seed)
    pulses = pulses_of(result, rows.constant)
    for i, constant in enumerate(rows.constant):
        for pulse, expected in (("row_done", True), ("row_error", False), ("constant_row", constant)):
            if pulses[pulse][i] != expected:
                said = "missing" if expected else "not expected"
                raise RowMismatch(f"row {i} ({rows.text[i]}): {pulse} is {said} (seed {seed})", i)
    return len(rows)


def run_resets(dut, rows, reset_at, stall=None, seed=0, **options):
    """Run Rows with resets at the given cycles and compare those that began after the last one; return how many.

    Raises RowMismatch, and what ``dut.run`` raises; ValueError when the last reset falls behind the last row.
    """
    after = {"sink": "weights"} if "weights" in rows.beats else None
    result = dut.run(rows.beats, stall=stall or {}, seed=seed, after=after, reset_at=reset_at, **options)
    record = result.resets[-1]
    begun = int(rows.beats["sink"]["first"][: record.sinks["sink"]].sum())
    if begun == len(rows):
        raise ValueError(f"no row begins after cycle {max(reset_at)}: reset earlier, or give more rows")
    capture = result["source"]
    capture.beats = capture.beats[record.sources["source"]:]
    compare_packets(capture.packets(16), rows, begun, seed)
    alarms = [cycle for cycle in result.events["row_error"].tolist() if cycle > record.cycle]
    if alarms:
        raise RowMismatch(f"row_error is not expected after the reset, in cycle {alarms[0]} (seed {seed})", 0)
    return len(rows) - begun
