# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/statistics.py on its generated Verilog: maximum and moments of a row are the model's."""

import functools

import numpy as np
import pytest
from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import LiteNormConfig, model
from litenorm.accel.rows import row_params
from litenorm.accel.statistics import Statistics
from litenorm.sim.verilated import Stall, StreamDut

CONFIGS = {
    "1 lane": LiteNormConfig(lanes=1, max_length=64),
    "4 lanes": LiteNormConfig(lanes=4),
    "16 lanes": LiteNormConfig(lanes=16),
    "softmax of s8": LiteNormConfig(lanes=2, max_length=100, ops=("softmax",), inputs=("s8",)),
    "norms of s8": LiteNormConfig(lanes=8, max_length=33, ops=("layernorm", "rmsnorm"), inputs=("s8",)),
}
STALLS = {
    "none": {},
    "random": {"sink": 0.3, "source": 0.3, "record": 0.3},
    "slow record": {"record": Stall(0.9, burst=40)},
    "slow source": {"source": Stall(0.6, burst=20), "record": 0.5},
}


class Buffered(LiteXModule):
    """Statistics with a row buffer behind it, as in the core."""

    def __init__(self, config):
        self.unit = unit = Statistics(config)
        self.fifo = fifo = stream.SyncFIFO([("data", config.lanes * config.input_bits)], 4)
        self.sink, self.record, self.source = unit.sink, unit.record, fifo.source
        self.comb += unit.source.connect(fifo.sink)


@functools.cache
def statistics(name):
    config = CONFIGS[name]
    module = Buffered(config)
    dut = StreamDut(module, {"sink": module.sink}, {"source": module.source, "record": module.record},
                    name="statistics")
    return config, dut, module.unit.latency


def random_rows(rng, config, count):
    """[(elements, valid length)]: random rows, equal ones, and both ends of the input type."""
    low, high = -(1 << (config.input_bits - 1)), (1 << (config.input_bits - 1)) - 1
    rows = []
    for _ in range(count):
        n = int(rng.choice([1, 2, 3, config.lanes, config.lanes + 1, config.max_length, rng.integers(1, 34)]))
        kind = rng.integers(5)
        if kind == 0:
            x = np.full(n, rng.choice([low, -1, 0, high]))
        elif kind == 1:
            x = rng.choice([low, high], n)
        elif kind == 2:
            x = np.arange(n) + rng.integers(low, high + 1 - n)      # the last element is the maximum
        else:
            x = rng.integers(low, high + 1, n)
        rows.append((x.astype(np.int64), n if rng.random() < 0.5 else int(rng.integers(1, n + 1))))
    return rows


def packets(rng, dut, config, rows):
    params = {name: rng.integers(0, 1 << bits, len(rows)) for name, bits in row_params(config)}
    params["length"] = np.array([length for _, length in rows])
    return dut.sinks["sink"].packets([x for x, _ in rows], bits=config.input_bits, **params), params


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("name", CONFIGS)
def test_records_equal_the_model(name, stall):
    config, dut, _ = statistics(name)
    seed = list(STALLS).index(stall)
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, config, 400)
    beats, params = packets(rng, dut, config, rows)
    result = dut.run({"sink": beats}, stall=STALLS[stall], seed=seed,
                     expect={"source": len(beats), "record": len(rows)})
    for field in ("data", "first", "last"):
        assert np.array_equal(result["source"].beats[field], beats[field]), field
    record = result["record"]
    for field, values in params.items():
        assert np.array_equal(record.beats[field], values), f"{field}, seed {seed}"
    lanes = {field: record.lanes(signed=field in ("top", "sum_x"), field=field)[:, 0]
             for field in ("top", "peak_last", "sum_x", "sum_xx") if field in record.beats.dtype.names}
    assert len(lanes) == 2 * (config.has_softmax + config.has_norm)
    for i, (x, length) in enumerate(rows):
        valid = x[:length]
        expected = {"top": valid.max(), "peak_last": valid[-1] == valid.max()}
        expected["sum_x"], expected["sum_xx"] = (s[0] for s in model.moments(x[None], np.array([length])))
        got = {field: values[i] for field, values in lanes.items()}
        assert got == {field: expected[field] for field in got}, f"row {i}, N {len(x)}, seed {seed}"


@pytest.mark.parametrize("name", CONFIGS)
def test_latency(name):
    """The beats pass in the same cycle, and a row's record follows `latency` cycles behind its last beat."""
    config, dut, latency = statistics(name)
    rng = np.random.default_rng(9)
    rows = random_rows(rng, config, 60)
    beats, _ = packets(rng, dut, config, rows)
    result = dut.run({"sink": beats}, expect={"record": len(rows)})
    accepted = result.accepted["sink"]
    assert np.array_equal(np.diff(accepted), np.ones(len(beats) - 1))
    assert np.array_equal(result["source"].cycles, accepted + 1)     # the buffer's cycle
    assert np.array_equal(result["record"].cycles, accepted[beats["last"] == 1] + latency)


def test_a_record_that_waits_holds_the_next_row():
    """Every cycle in which a record waits costs one cycle of beats, and no other does."""
    config, dut, latency = statistics("4 lanes")
    rng = np.random.default_rng(10)
    beats, _ = packets(rng, dut, config, [(np.arange(256), 256)] * 20)      # 64 beats a row
    result = dut.run({"sink": beats}, stall={"record": 0.5}, seed=10, expect={"record": 20})
    accepted = result.accepted["sink"]
    waits = result["record"].cycles - accepted[beats["last"] == 1] - latency
    assert waits.min() >= 0 and waits.sum() > 0
    assert accepted[-1] - accepted[0] - (len(beats) - 1) == waits[:-1].sum()
