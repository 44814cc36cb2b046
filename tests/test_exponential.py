# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/exponential.py on its generated Verilog: every exponential and every sum is the model's."""

import functools

import numpy as np
import pytest
from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import LiteNormConfig, model
from litenorm.accel import constants as c
from litenorm.accel.exponential import ELEMENT_BITS, MANTISSA_BITS, Exp2Lane, ExpPass
from litenorm.accel.fixed import Stages
from litenorm.accel.scale import Scale
from litenorm.sim.verilated import Stall, StreamDut

LANE_CONFIGS = {
    "all": LiteNormConfig(),
    "all of s8": LiteNormConfig(inputs=("s8",)),
    "softmax of s8": LiteNormConfig(ops=("softmax",), inputs=("s8",)),
}
SCALES = [
    Scale(0, 0), Scale(1, 0), Scale(65535, 0), Scale(65535, 31), Scale(32768, 31), Scale(1, 31),
    Scale(1, c.SCALE_HEADROOM), Scale(1 << 15, 15 + c.SCALE_HEADROOM),      # one LSB is 2^-15 octaves
    Scale(3, 5), Scale(40503, 17), Scale(65521, 7), Scale(65521, 8), Scale(65521, 15), Scale(65521, 16),
    *(Scale.from_real(s) for s in (1e-7, 1e-4, 2e-4, 0.003, 0.05, 0.3, 1.0, 12.0)),
]


# One lane ----------------------------------------------------------------------------------------------------


class Lane(LiteXModule):
    """An Exp2Lane between streams; the row's constants are delayed to the stages that the lane takes them in."""

    def __init__(self, config):
        ce = Signal()
        self.unit = unit = Exp2Lane(config, ce)
        self.sink = sink = stream.Endpoint([
            ("x", config.input_bits), ("top", config.input_bits), ("kept", 1), ("plain", 1),
            ("multiplier", c.SCALE_MULTIPLIER_BITS), ("shift", c.SCALE_SHIFT_BITS)])
        self.source = source = stream.Endpoint([("mantissa", len(unit.mantissa)), ("exponent", len(unit.exponent))])
        stages = Stages(self, ce)
        valid = sink.valid
        for i in range(Exp2Lane.latency):
            late = Signal(name=f"valid{i + 1}")
            self.sync += If(ce, late.eq(valid))
            valid = late
        self.comb += [
            ce.eq(source.ready | ~valid),
            sink.ready.eq(ce),
            source.valid.eq(valid),
            unit.x.eq(sink.x),
            unit.top.eq(sink.top),
            unit.valid.eq(sink.kept),
            unit.plain.eq(sink.plain),
            unit.multiplier.eq(stages.delay(sink.multiplier, 1, "multiplier")),
            unit.shift.eq(stages.delay(sink.shift, 3, "shift")),
            unit.plain_late.eq(stages.delay(sink.plain, 6, "plain")),
            source.mantissa.eq(unit.mantissa),
            source.exponent.eq(unit.exponent),
        ]


@functools.cache
def lane(name):
    config = LANE_CONFIGS[name]
    module = Lane(config)
    return config, StreamDut(module, {"sink": module.sink}, {"source": module.source}, name="exp2_lane")


def run_lane(dut, x, top, multiplier, shift, kept=1, plain=0, **options):
    """(mantissa, exponent) of every element, and the run's result."""
    beats = dut.sinks["sink"].beats(len(x))
    beats["x"], beats["top"] = x, top       # the low bits of two's complement
    beats["kept"], beats["plain"], beats["multiplier"], beats["shift"] = kept, plain, multiplier, shift
    result = dut.run({"sink": beats}, expect={"source": len(beats)}, **options)
    out = result["source"].beats
    return out["mantissa"].astype(np.int64), out["exponent"].astype(np.int64), result


@pytest.mark.parametrize("name", LANE_CONFIGS)
def test_every_distance_at_many_scales(name):
    """All t = max - x that the input type has, each at every scale of SCALES: bit for bit."""
    config, dut = lane(name)
    top = (1 << (config.input_bits - 1)) - 1
    t = np.arange(1 << config.input_bits)
    count = np.array([len(t)])
    for scale in SCALES:
        mantissa, exponent, _ = run_lane(dut, (top - t).astype(f"i{config.input_bits // 8}"), top, *scale)
        expected = model.exp2(-t[None], count, scale)[0]
        assert np.array_equal(mantissa << exponent, expected), scale
        assert expected[0] == 1 << c.EXP_BITS
        assert mantissa.max() < 1 << MANTISSA_BITS and exponent.max() <= c.EXP_BITS - c.GRID_BITS


@pytest.mark.parametrize("name", LANE_CONFIGS)
def test_random_maxima_scales_masks_and_stalls(name):
    config, dut = lane(name)
    rng = np.random.default_rng(1)
    low, high = -(1 << (config.input_bits - 1)), (1 << (config.input_bits - 1)) - 1
    top = rng.choice([low, -1, 0, high, *rng.integers(low, high + 1, 12)], 30_000)
    x = np.minimum(top, rng.integers(low, high + 1, len(top)))
    x[::4] = np.maximum(low, top[::4] - rng.integers(0, 4, len(top[::4])))
    multiplier = rng.integers(0, 1 << c.SCALE_MULTIPLIER_BITS, len(top))
    shift = rng.integers(0, 1 << c.SCALE_SHIFT_BITS, len(top))
    kept = rng.random(len(top)) < 0.8
    pairs = np.stack([top, x], axis=1)
    e = model.exp2(pairs, np.full(len(top), 2), Scale(multiplier[:, None], shift[:, None]))[:, 1]
    for seed, stall in enumerate(({}, {"sink": 0.3, "source": 0.3}, {"source": Stall(0.5, burst=15)})):
        mantissa, exponent, _ = run_lane(dut, x, top, multiplier, shift, kept, stall=stall, seed=seed)
        assert np.array_equal(mantissa << exponent, np.where(kept, e, 0)), f"seed {seed}"


@pytest.mark.parametrize("name", [n for n in LANE_CONFIGS if LANE_CONFIGS[n].has_norm])
def test_plain_elements_pass(name):
    config, dut = lane(name)
    x = np.arange(-(1 << (config.input_bits - 1)), 1 << (config.input_bits - 1))
    mantissa, exponent, _ = run_lane(dut, x, 77, 1, c.SCALE_HEADROOM, plain=1)
    assert np.array_equal(mantissa, x + c.X_OFFSET) and not exponent.any()


def test_lane_latency():
    _, dut = lane("all")
    _, _, result = run_lane(dut, np.arange(50), 100, 1, 6)
    assert np.array_equal(result["source"].cycles - result.accepted["sink"], np.full(50, Exp2Lane.latency))


# The pass ----------------------------------------------------------------------------------------------------

PASS_CONFIGS = {
    "1 lane": LiteNormConfig(lanes=1, max_length=64),
    "8 lanes": LiteNormConfig(lanes=8),
    "softmax of s8": LiteNormConfig(lanes=4, max_length=4096, ops=("softmax",), inputs=("s8",)),
}
STALLS = {
    "none": {},
    "random": {"sink": 0.3, "record": 0.3, "source": 0.3, "sums": 0.3},
    "slow sums": {"sums": Stall(0.9, burst=60)},
    "slow source": {"source": Stall(0.6, burst=20)},
    "slow record": {"record": Stall(0.7, burst=20), "source": Stall(0.1, wait_valid=True)},
}


@functools.cache
def exp_pass(name):
    config = PASS_CONFIGS[name]
    unit = ExpPass(config)
    dut = StreamDut(unit, {"sink": unit.sink, "record": unit.record}, {"source": unit.source, "sums": unit.sums},
                    name="exp_pass")
    return config, dut, unit


def rows_of(rng, config, count):
    """[(elements, valid length, op, scale)], softmax rows among rows of the norms."""
    limit = 1 << (config.input_bits - 1)
    rows = []
    for _ in range(count):
        n = int(rng.choice([1, 2, config.lanes, config.lanes + 1, 40, 64, rng.integers(1, 34)]))
        spread = float(rng.choice([0, 3, 40, 3000]))
        x = np.clip(rng.normal(0, spread, n), -limit, limit - 1).astype(np.int64)
        op = int(rng.integers(3)) if config.has_norm else 0
        rows.append((x, int(rng.integers(1, n + 1)), op, Scale.from_real(10 ** rng.uniform(-4, 0.3))))
    return rows


def beats_of(dut, config, rows):
    """What the two sinks take of `rows`."""
    record = dut.sinks["record"].beats(len(rows))
    for i, (x, length, op, scale) in enumerate(rows):
        record[i]["op"], record[i]["length"] = op, length
        record[i]["scale_multiplier"], record[i]["scale_shift"] = scale
        record[i]["top"] = int(x[:length].max()) & ((1 << config.input_bits) - 1)
    return {"sink": dut.sinks["sink"].packets([x for x, *_ in rows], bits=config.input_bits), "record": record}


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("name", PASS_CONFIGS)
def test_pass_under_stalls(name, stall):
    config, dut, _ = exp_pass(name)
    seed = list(STALLS).index(stall)
    rows = rows_of(np.random.default_rng(seed), config, 300)
    flat = np.zeros(config.max_length, np.int64)
    rows.append((flat, len(flat), 0, Scale(1, 6)))      # the largest sum there is
    beats = beats_of(dut, config, rows)
    softmax_rows = sum(op == 0 for _, _, op, _ in rows)
    result = dut.run(beats, stall=STALLS[stall], seed=seed,
                     expect={"source": len(beats["sink"]), "sums": softmax_rows})
    totals = iter(result["sums"].lanes(field="total")[:, 0])
    for i, (got, (x, length, op, scale)) in enumerate(
            zip(result["source"].packets(bits=ELEMENT_BITS), rows, strict=True)):
        mantissa, exponent = got & ((1 << MANTISSA_BITS) - 1), got >> MANTISSA_BITS
        if op:
            assert np.array_equal(mantissa[:length], x[:length] + c.X_OFFSET), f"row {i}, seed {seed}"
            continue
        e = model.exp2(x[None], np.array([length]), scale)[0]
        assert np.array_equal((mantissa << exponent)[: len(x)], e), f"row {i}, seed {seed}"
        assert not mantissa[len(x) :].any(), f"row {i}, seed {seed}"
        assert next(totals) == e.sum(), f"row {i}, seed {seed}"


@pytest.mark.parametrize("name", PASS_CONFIGS)
def test_pass_latency_and_rate(name):
    config, dut, unit = exp_pass(name)
    rows = [(x, length, 0, scale) for x, length, _, scale in rows_of(np.random.default_rng(5), config, 50)]
    beats = beats_of(dut, config, rows)
    result = dut.run(beats, expect={"source": len(beats["sink"]), "sums": len(rows)})
    accepted = result.accepted["sink"]
    last = beats["sink"]["last"] == 1
    assert np.array_equal(np.diff(accepted), np.ones(len(accepted) - 1))
    assert np.array_equal(result["source"].cycles, accepted + unit.latency)
    assert np.array_equal(result.accepted["record"], accepted[last])
    assert np.array_equal(result["sums"].cycles, accepted[last] + unit.sum_latency)


def test_pass_refuses_a_buffer_that_a_row_cannot_wait_in():
    config = LiteNormConfig(lanes=4, max_length=64)
    ExpPass(config, depth=26)
    with pytest.raises(ValueError, match="depth is 25; good: at least 26"):
        ExpPass(config, depth=25)
