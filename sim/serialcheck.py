# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The arithmetic units of the serial back end alone, behind streams: rows through their Verilog, against the model.

    python -m litenorm.sim.serialcheck --op softmax --size balanced --rows 1000000
"""

import argparse
import sys
from dataclasses import dataclass

import numpy as np
from litex.gen import LiteXModule
from litex.soc.interconnect import stream
from migen import If, Signal
from rich.console import Console
from rich.progress import track

from litenorm.accel import LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS
from litenorm.accel.serial import model, model_norm
from litenorm.accel.serial.unit import NORM_OUT, NORM_ROOT, ResultWord
from litenorm.accel.serial.units import kind, unit_class
from litenorm.sim.errors import SimulationError
from litenorm.sim.rowcheck import RowMismatch
from litenorm.sim.verilated import StreamDut

# Rows of each length in a thousand; those above the core's max_length are left out.
LENGTHS = {1: 40, 2: 160, 3: 160, 4: 160, 5: 160, 8: 160, 13: 100, 64: 20, 255: 1, 256: 1, 257: 1, 1024: 1}
ROWS_IN_RUN = 5000


class UnitStream(LiteXModule):
    """A unit whose elements come as beats and whose results leave as beats.

    unit     a `accel.serial.unit.SerialUnit`
    sink     x, start, phase and the unit's constants, one beat an element and pass
    source   data, one beat a result
    """

    def __init__(self, unit):
        self.unit = unit
        fields = ["x", "start", "phase", *unit.constants]
        layout = [(name, len(getattr(unit, name))) for name in fields]
        self.sink = sink = stream.Endpoint(layout)
        bits = c.NORM_BITS if unit.norm_bits_serial else len(unit.result)
        self.source = source = stream.Endpoint([("data", bits)])

        # # #

        self.word = word = ResultWord(unit, bits)
        self.fifo = fifo = stream.SyncFIFO([("data", bits)], 4)
        free = Signal()
        take = Signal()
        new_row = Signal()
        self.comb += [
            free.eq(unit.turn & (~unit.valid | unit.ready)),
            # Between two rows the unit has a turn without an element.
            new_row.eq(sink.start & (sink.phase == 0)),
            # The level does not show the result that comes in this cycle, nor that of the element that is taken.
            take.eq(free & (fifo.level < 2) & ~(new_row & unit.valid)),
            sink.ready.eq(take),
            fifo.sink.valid.eq(word.valid),
            fifo.sink.data.eq(word.data),
            fifo.source.connect(source),
        ]
        self.sync += [
            If(free, unit.valid.eq(0), unit.start.eq(0)),
            If(take & sink.valid,
                unit.valid.eq(1),
                *[getattr(unit, name).eq(getattr(sink, name)) for name in fields],
            ),
        ]


def unit_dut(config, harness=StreamDut, **options):
    """Return a harness of the unit of `config` behind streams."""
    module = UnitStream(unit_class(config)(config))
    return harness(module, sinks={"sink": module.sink}, sources={"source": module.source},
                   name=f"serial_{kind(config)}_{config.size}{'_wide' * config.serial_wide}", **options)


def random_rows(rng, count, n):
    """Draw s8 rows, int64 [count, n]: equal, one-hot, two levels, alternating extremes, ramps, normal, uniform."""
    levels = np.where(rng.random((count, 1)) < 0.3, [[-128, 127]], rng.integers(-128, 128, (count, 2)))
    low, high = levels.min(axis=1, keepdims=True), levels.max(axis=1, keepdims=True)
    index = np.arange(n)
    at = np.where(rng.random((count, 1)) < 0.3, rng.choice([0, n - 1], (count, 1)), rng.integers(0, n, (count, 1)))
    kinds = [
        np.broadcast_to(low, (count, n)),
        np.where(index == at, high, low),
        np.where(rng.random((count, n)) < rng.random((count, 1)), high, low),
        np.where((index + at) % 2, high, low),
        low + (high - low) * index // max(n - 1, 1),
        rng.normal(rng.normal(0, 30, (count, 1)), rng.choice([1.0, 10.0, 40.0], (count, 1)), (count, n)),
        rng.integers(-128, 128, (count, n)),
    ]
    return np.clip(np.choose(rng.integers(0, len(kinds), (count, 1)), kinds), -128, 127).astype(np.int64)


@dataclass
class UnitRows:
    """Rows for one unit: beats, what it must answer, int64 [results], and the number of results of each row."""

    beats: np.ndarray
    expected: np.ndarray
    results: np.ndarray


def _presented(passes, n):
    """The phase and the index of each element that is presented to a unit in a row of n elements."""
    counts = [1 if phase == NORM_ROOT and NORM_OUT in passes else n for phase in passes]
    return np.repeat(passes, counts), np.concatenate([np.arange(count) for count in counts])


def softmax_rows(dut, config, x, k, tfl=0, fmt=None):
    """UnitRows of softmax rows x, int64 [rows, N]; k int or int [rows]; tfl 0 or 1: u8_255 or tfl_s8, or a name."""
    fmt = FORMATS[fmt or ("u8_255", "tfl_s8")[tfl]]
    count, n = x.shape
    phase, index = _presented(unit_class(config).softmax_passes, n)
    beats = dut.sinks["sink"].beats(count * len(phase))
    beats["first"] = beats["last"] = 1
    fields = dict(x=x[:, index] & 0xFF, start=index == 0, phase=phase, k=np.reshape(k, (-1, 1)))
    for name, value in (("tfl", fmt.capped), ("half", fmt.total == 1 << 15), ("even", fmt.total % 2 == 0)):
        if name in dut.sinks["sink"].widths:
            fields[name] = np.int64(value)
    for name, value in fields.items():
        beats[name] = np.broadcast_to(value, (count, len(phase))).reshape(-1)
    codes = model.softmax(x, np.full(count, n), np.broadcast_to(k, count), fmt)
    good = fmt.total - (fmt.capped and n == 1)
    if (codes.sum(axis=1) != good).any():
        raise RowMismatch(f"the model's rows of {n} elements do not all add up to {good}", 0)
    return UnitRows(beats, codes.reshape(-1), np.full(count, n))


def norm_rows(dut, config, x, rms=0, eps=0):
    """UnitRows of LayerNorm rows x, int64 [rows, N]; rms 1: RMSNorm; eps: term, int or int [rows]."""
    count, n = x.shape
    phase, index = _presented(unit_class(config).norm_passes, n)
    beats = dut.sinks["sink"].beats(count * len(phase))
    beats["first"] = beats["last"] = 1
    fields = dict(x=x[:, index] & 0xFF, start=index == 0, phase=phase, length=np.int64(n))
    if {"layernorm", "rmsnorm"} <= set(config.ops):
        fields["rms"] = np.int64(rms)
    if kind(config) == "all":
        fields["norm"] = np.int64(1)
    if config.eps:
        fields["eps"] = np.reshape(eps, (-1, 1))
    for name, value in fields.items():
        beats[name] = np.broadcast_to(value, (count, len(phase))).reshape(-1)
    y = (model_norm.rmsnorm if rms else model_norm.layernorm)(x, np.full(count, n), np.broadcast_to(eps, count))
    if not rms and y.sum(axis=1).any():
        raise RowMismatch(f"the model's rows of {n} elements do not all add up to 0", 0)
    return UnitRows(beats, y.reshape(-1), np.full(count, n))


def random_softmax_rows(rng, dut, config, count):
    """UnitRows of about `count` softmax rows of all LENGTHS, kinds and scales, in batches in random order."""
    def batch(x):
        k = np.minimum(2.0 ** rng.uniform(-1, 13.2, len(x)), c.SERIAL_SCALE_MAX).astype(np.int64)
        return softmax_rows(dut, config, x, k, fmt=str(rng.choice(config.formats)))

    return _mix(rng, config, count, batch)


def random_norm_rows(rng, dut, config, count):
    """UnitRows of about `count` LayerNorm and RMSNorm rows of all LENGTHS and kinds, in batches in random order."""
    return _mix(rng, config, count, lambda x: _random_norm(rng, dut, config, x))


def _random_norm(rng, dut, config, x):
    ops = [rms for rms, op in enumerate(("layernorm", "rmsnorm")) if op in config.ops]
    eps = 0
    if config.eps:
        eps = (2.0 ** rng.uniform(-1, c.SERIAL_EPS_BITS, len(x))).astype(np.int64)
        eps[rng.random(len(x)) < 0.1] = (1 << c.SERIAL_EPS_BITS) - 1
    return norm_rows(dut, config, x, int(rng.choice(ops)), eps)


def random_rows_of_all(rng, dut, config, count):
    """UnitRows of about `count` rows of all three operations, as those of random_softmax_rows and random_norm_rows."""
    def batch(x):
        if rng.integers(3):
            return _random_norm(rng, dut, config, x)
        k = np.minimum(2.0 ** rng.uniform(-1, 13.2, len(x)), c.SERIAL_SCALE_MAX).astype(np.int64)
        return softmax_rows(dut, config, x, k, fmt=str(rng.choice(config.formats)))

    return _mix(rng, config, count, batch)


def _mix(rng, config, count, batch):
    lengths = [n for n in LENGTHS if n <= config.max_length]
    weights = np.array([LENGTHS[n] for n in lengths]) / sum(LENGTHS[n] for n in lengths)
    batches = []
    for n, rows in zip(lengths, rng.multinomial(count, weights).tolist(), strict=True):
        rows = max(rows, 1)
        for part in np.array_split(np.arange(rows), min(rows, 8)):
            batches.append(batch(random_rows(rng, len(part), n)))
    order = [batches[i] for i in rng.permutation(len(batches))]
    return UnitRows(*(np.concatenate([vars(b)[name] for b in order]) for name in ("beats", "expected", "results")))


def run_unit(dut, rows, stall=None, seed=0):
    """Run UnitRows, compare every result with the model, and return the Result. Raises RowMismatch."""
    result = dut.run({"sink": rows.beats}, stall=stall or {}, seed=seed, expect={"source": len(rows.expected)},
                     max_cycles=1 << 40, hang_cycles=1 << 20)
    got = result["source"].lanes(signed=rows.expected.min() < 0)[:, 0]
    wrong = np.flatnonzero(got != rows.expected)
    if len(wrong):
        ends = np.cumsum(rows.results)
        row = int(np.searchsorted(ends, wrong[0], side="right"))
        element = int(wrong[0] - (ends[row] - rows.results[row]))
        raise RowMismatch(f"row {row} of {rows.results[row]}, element {element}: {got[wrong[0]]}, the model gives "
                          f"{rows.expected[wrong[0]]} (seed {seed})", row)
    return result


def pass_cycles(dut, rows):
    """Cycles of each pass of UnitRows without stalls, all but the last one's: from its first element to the next's.

    A row's last pass is followed by the turn without an element.
    """
    return np.diff(run_unit(dut, rows).accepted["sink"][rows.beats["start"] == 1]).tolist()


def run_unit_reset(dut, rows, cycle, seed=0):
    """Run UnitRows with a reset in that cycle, compare the rows that begin after it, and return how many.

    Raises RowMismatch.
    """
    beats, ends = rows.beats.copy(), np.cumsum(rows.results)
    # One row is one packet, so that the harness goes on with the next one after the reset.
    beats["first"] = beats["phase"] < np.roll(beats["phase"], 1)
    beats["last"] = np.roll(beats["first"], -1)
    result = dut.run({"sink": beats}, seed=seed, reset_at=[cycle], max_cycles=1 << 40, hang_cycles=1 << 20,
                     idle_cycles=1 << 16)
    record = result.resets[0]
    begun = int(beats["first"][:record.sinks["sink"]].sum())
    got = result["source"].lanes(signed=rows.expected.min() < 0)[:, 0][record.sources["source"]:]
    if not np.array_equal(got, rows.expected[ends[begun - 1] if begun else 0:]):
        raise RowMismatch(f"row {begun} or later is wrong after the reset in cycle {cycle} (seed {seed})", begun)
    return len(ends) - begun


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.sim.serialcheck", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.sim.serialcheck --size area --rows 100000")
    parser.add_argument("--op", choices=["softmax", "norm", "all"], default="softmax",
                        help="norm: LayerNorm and RMSNorm; all: the three operations in one unit")
    parser.add_argument("--eps", action="store_true", help="build the eps term of the norms")
    parser.add_argument("--size", choices=["area", "balanced"], default="area")
    parser.add_argument("--formats", default="u8_255,tfl_s8", help="of softmax (default: u8_255,tfl_s8)")
    parser.add_argument("--rows", type=int, default=100_000, help="random rows (default: 100000)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    try:
        ops, draw = {"softmax": ("softmax", random_softmax_rows),
                     "norm": (("layernorm", "rmsnorm"), random_norm_rows),
                     "all": (c.OPS, random_rows_of_all)}[args.op]
        config = LiteNormConfig(backend="serial", ops=ops, size=args.size, formats=tuple(args.formats.split(",")),
                                eps=args.eps)
        dut = unit_dut(config)
        rng = np.random.default_rng(args.seed)
        count = elements = cycles = 0
        console = Console(stderr=True)
        for _ in track(range(-(-args.rows // ROWS_IN_RUN)), "rows", console=console, transient=True,
                       disable=not console.is_terminal):
            rows = draw(rng, dut, config, ROWS_IN_RUN)
            cycles += run_unit(dut, rows, seed=args.seed).cycles
            count, elements = count + len(rows.results), elements + len(rows.expected)
    except (SimulationError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{args.op}, {args.size}: {count} rows, {elements} elements, {cycles} cycles: every code is the model's, "
          "every sum exact")
    return 0


if __name__ == "__main__":
    sys.exit(main())
