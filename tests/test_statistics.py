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
from litenorm.accel.statistics import RECORDS, Statistics
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
    "random": {"sink": 0.3, "source": 0.3, "record": 0.3, "exp_record": 0.3},
    "slow record": {"record": Stall(0.9, burst=200)},
    "slow exp_record": {"exp_record": Stall(0.9, burst=200), "record": 0.3},
    "slow source": {"source": Stall(0.6, burst=20), "record": 0.5},
}


class Buffered(LiteXModule):
    """Statistics with a row buffer behind it, as in the core."""

    def __init__(self, config):
        self.unit = unit = Statistics(config)
        self.fifo = fifo = stream.SyncFIFO([("data", config.lanes * config.input_bits)], 4)
        self.sink, self.record, self.source = unit.sink, unit.record, fifo.source
        self.sources = {"source": self.source, "record": self.record}
        if config.has_softmax:
            self.sources["exp_record"] = unit.exp_record
        self.comb += unit.source.connect(fifo.sink)


@functools.cache
def statistics(name):
    config = CONFIGS[name]
    module = Buffered(config)
    dut = StreamDut(module, {"sink": module.sink}, module.sources, name="statistics")
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
    stalls = {port: how for port, how in STALLS[stall].items() if port in {"sink", *dut.sources}}
    result = dut.run({"sink": beats}, stall=stalls, seed=seed,
                     expect={port: len(beats) if port == "source" else len(rows) for port in dut.sources})
    for field in ("data", "first", "last"):
        assert np.array_equal(result["source"].beats[field], beats[field]), field
    record = result["record"]
    for field, values in params.items():
        assert np.array_equal(record.beats[field], values), f"{field}, seed {seed}"
    if config.has_softmax:
        for field in result["exp_record"].port.widths:
            assert np.array_equal(result["exp_record"].beats[field], record.beats[field]), f"{field}, seed {seed}"
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
    result = dut.run({"sink": beats}, expect={port: len(rows) for port in dut.sources if port != "source"})
    accepted = result.accepted["sink"]
    last = beats["last"] == 1
    assert np.array_equal(np.diff(accepted), np.ones(len(beats) - 1))
    assert np.array_equal(result["source"].cycles, accepted + 1)     # the buffer's cycle
    assert np.array_equal(result["record"].cycles, accepted[last] + latency)
    if config.has_softmax:
        assert np.array_equal(result["exp_record"].cycles, accepted[last] + latency + 1)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("port", ["record", "exp_record"])
def test_rows_enter_while_their_records_have_room(name, port):
    """Rows of one beat, and records that wait for long: the queue fills up, but for what may be on its way."""
    config, dut, latency = statistics(name)
    if port not in dut.sources:
        return
    rng = np.random.default_rng(10)
    beats, _ = packets(rng, dut, config, [(np.arange(1), 1)] * 200)
    result = dut.run({"sink": beats}, stall={port: Stall(0.97, burst=1000)}, seed=10,
                     expect={name: 200 for name in dut.sources})
    taken = np.searchsorted(result[port].cycles, result.accepted["sink"])
    ahead = np.arange(200) - taken
    assert RECORDS - latency - 2 <= ahead.max() <= RECORDS + (port == "exp_record")
