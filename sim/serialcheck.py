# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The arithmetic units of the serial back end behind streams, to run rows through one unit alone.

    dut = StreamDut(UnitStream(SoftmaxArea(config)), sinks={"sink": m.sink}, sources={"source": m.source})
"""

import numpy as np
from litex.gen import LiteXModule
from litex.soc.interconnect import stream
from migen import If, Signal

KINDS = ("equal", "one_hot", "two_level", "alternating", "ramp", "normal", "uniform")


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
        self.source = source = stream.Endpoint([("data", len(unit.result))])

        # # #

        self.fifo = fifo = stream.SyncFIFO([("data", len(unit.result))], 4)
        take = Signal()
        self.comb += [
            # A result may come for each of two elements that were taken before the first one shows in the level.
            take.eq(unit.turn & (~unit.valid | unit.ready) & (fifo.level < 2)),
            sink.ready.eq(take),
            fifo.sink.valid.eq(unit.result_valid),
            fifo.sink.data.eq(unit.result),
            fifo.source.connect(source),
        ]
        self.sync += [
            If(unit.turn & (~unit.valid | unit.ready), unit.valid.eq(0), unit.start.eq(0)),
            If(take & sink.valid,
                unit.valid.eq(1),
                *[getattr(unit, name).eq(getattr(sink, name)) for name in fields],
            ),
        ]


def row(rng, n, kind):
    """Return one s8 row, int64 [n], of a kind in KINDS."""
    low, high = sorted(rng.integers(-128, 128, 2).tolist()) if rng.random() < 0.7 else (-128, 127)
    x = np.full(n, low, np.int64)
    if kind == "one_hot":
        x[rng.choice([0, n - 1, rng.integers(n)])] = high
    elif kind == "two_level":
        x[rng.random(n) < rng.random()] = high
    elif kind == "alternating":
        x[rng.integers(2)::2] = high
    elif kind == "ramp":
        x = np.linspace(low, high, n).round().astype(np.int64)[:: rng.choice([-1, 1])]
    elif kind == "normal":
        x = np.clip(np.round(rng.normal(rng.normal(0, 30), rng.choice([1.0, 10.0, 40.0]), n)), -128, 127)
    elif kind == "uniform":
        x = rng.integers(-128, 128, n)
    return np.asarray(x).astype(np.int64)


def passes(x, phases):
    """Return (x, start, phase) of one row's elements, pass after pass, each int64."""
    n = len(x)
    start = np.zeros((len(phases), n), np.int64)
    start[:, 0] = 1
    return np.tile(x, len(phases)), start.reshape(-1), np.repeat(phases, n)
