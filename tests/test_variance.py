# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/variance.py on its generated Verilog, against Python's integers; the latency is measured."""

import functools
import math

import numpy as np
import pytest
from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel.variance import CHUNK, Variance
from litenorm.sim.verilated import Stall, StreamDut

# length_bits, sum_bits, square_sum_bits, eps_bits, v_bits, latency.
SIZES = {
    "core": (11, 26, 41, 51, 54, 6),
    "core_of_s8": (11, 18, 25, 51, 54, 5),
    "short_rows": (2, 17, 32, 51, 52, 5),
    "tiny": (2, 4, 6, 5, 12, 4),
    "largest": (CHUNK, 2 * CHUNK, 3 * CHUNK, 60, 75, 6),
}
FIELDS = ("length", "sum_x", "sum_xx", "eps", "centered")


class Rows(LiteXModule):
    """The unit between streams: a beat of operands is held until the result is taken."""

    def __init__(self, *sizes):
        self.dut = dut = Variance(*sizes)
        self.sink = sink = stream.Endpoint([(name, len(getattr(dut, name))) for name in FIELDS])
        self.source = source = stream.Endpoint([("v", len(dut.v)), ("zero", 1)])
        busy = Signal()
        self.comb += [
            dut.start.eq(sink.valid & ~busy),
            source.valid.eq(busy & dut.done),
            source.v.eq(dut.v),
            source.zero.eq(dut.zero),
            sink.ready.eq(source.valid & source.ready),
            *[getattr(dut, name).eq(getattr(sink, name)) for name in FIELDS],
        ]
        self.sync += If(sink.ready, busy.eq(0)).Elif(dut.start, busy.eq(1))


@functools.cache
def unit(name):
    module = Rows(*SIZES[name][:-1])
    return module, StreamDut(module, {"sink": module.sink}, {"source": module.source}, name=f"variance_{name}")


def operands(rng, name, count):
    """Sums that N elements can have, extremes among them; v of them is never negative."""
    length_bits, sum_bits, square_sum_bits, eps_bits, _, _ = SIZES[name]
    rows = []
    for i in range(count):
        length = int(rng.integers(1, 1 << length_bits)) if i % 4 else (1 << length_bits) - 1
        limit = min((1 << (sum_bits - 1)) - 1, math.isqrt(((1 << square_sum_bits) - 1) * length))
        sum_x = int(rng.integers(-limit - 1, limit + 1)) if i % 3 else int(rng.choice([-limit - 1, limit, 0, 1, -1]))
        least = min(-(-sum_x * sum_x // length), (1 << square_sum_bits) - 1)    # N * sum(x^2) >= (sum x)^2
        sum_xx = int(rng.integers(least, 1 << square_sum_bits)) if i % 5 else least
        eps = int(rng.integers(1 << eps_bits)) if i % 2 else int(rng.choice([0, 1, (1 << eps_bits) - 1]))
        if length * sum_xx >= sum_x * sum_x:
            rows.append((length, sum_x, sum_xx, eps, int(rng.integers(2))))
    return rows


@pytest.mark.parametrize("stall", [{}, {"sink": 0.3, "source": 0.3}, {"source": Stall(0.7, burst=30)}])
@pytest.mark.parametrize("name", SIZES)
def test_variance(name, stall):
    module, dut = unit(name)
    rng = np.random.default_rng(1)
    rows = operands(rng, name, 4000)
    assert len(rows) > 2000
    beats = dut.sinks["sink"].beats(len(rows))
    for i, field in enumerate(FIELDS):
        bits = dut.sinks["sink"].widths[field]
        beats[field] = [row[i] & ((1 << bits) - 1) for row in rows]
    result = dut.run({"sink": beats}, stall=stall, seed=1, expect={"source": len(rows)})
    column = result["source"].beats["v"]
    got = [int.from_bytes(np.atleast_1d(v).tobytes(), "little") for v in column]
    v0 = [length * sum_xx - centered * sum_x**2 for length, sum_x, sum_xx, _, centered in rows]
    assert got == [v + row[3] for v, row in zip(v0, rows, strict=True)]
    assert result["source"].beats["zero"].tolist() == [int(v == 0) for v in v0]
    if not stall:
        # A row enters in the cycle behind the one in which the row before left.
        assert set(np.diff(result["source"].cycles) - 1) == {module.dut.latency} == {SIZES[name][-1]}


def test_refuses_operands_that_are_too_wide():
    with pytest.raises(ValueError, match="sum_bits is 37; good: 1 to 36"):
        Variance(11, 37, 41, 51, 75)
