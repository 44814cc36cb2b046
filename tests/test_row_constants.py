# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/row_constants.py on its generated Verilog: gain, shift and term of every row are the model's."""

import functools

import numpy as np
import pytest

from litenorm.accel import LiteNormConfig, model
from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS
from litenorm.accel.row_constants import RowConstants, constants_layout, shift_offset
from litenorm.accel.rows import OP, row_params
from litenorm.sim.verilated import Stall, StreamDut

CONFIGS = {
    "all": LiteNormConfig(),
    "all, short rows": LiteNormConfig(short_rows=True),
    "shortest": LiteNormConfig(lanes=1, max_length=2),
    "all of s8": LiteNormConfig(max_length=64, inputs=("s8",)),
    "softmax": LiteNormConfig(max_length=4096, ops=("softmax",)),
    "layernorm": LiteNormConfig(max_length=512, ops=("layernorm",)),
    "norms, short rows": LiteNormConfig(max_length=64, ops=("layernorm", "rmsnorm"), inputs="s8", short_rows=True),
    "rmsnorm of s8": LiteNormConfig(max_length=1000, ops=("rmsnorm",), inputs=("s8",), affine=False),
}
STALLS = {
    "none": {},
    "random": {"record": 0.3, "sums": 0.3, "source": 0.3},
    "slow source": {"source": Stall(0.8, burst=100)},
    "late sums": {"sums": Stall(0.8, burst=100)},
}


@functools.cache
def row_constants(name):
    config = CONFIGS[name]
    module = RowConstants(config)
    dut = StreamDut(module, {"record": module.record, "sums": module.sums}, {"source": module.source})
    return config, dut, module


# Rows: what pass 0 and pass 1 say of them --------------------------------------------------------------------


def softmax_rows(rng, config, count):
    """[fields of `record` and "total"]: sums of every size, powers of two, and the limits of the capped formats."""
    limits = [model.last_peak_limit(f) for f in FORMATS.values() if f.capped]
    one = 1 << c.EXP_BITS
    totals = [one, one + 1, config.max_length * one, *(limit + d for limit in limits for d in (-1, 0, 1))]
    totals += [(one << b) + d for b in range(1, config.max_length.bit_length() - 1) for d in (-1, 0, 1)]
    totals += [int(one * config.max_length ** rng.random()) for _ in range(count)]
    rows = []
    for total in totals:
        for fmt in FORMATS.values():
            length = -(-total // one)
            rows.append(dict(op=OP["softmax"], format=fmt.code, length=int(rng.integers(length, config.max_length + 1)),
                             total=total, peak_last=int(rng.integers(2))))
    return rows


def norm_rows(rng, config, op, count):
    """[fields of `record`] of real rows: extremes, nearly constant and constant ones, with every size of eps."""
    limit = 1 << (config.input_bits - 1)
    rows = []
    for i in range(count):
        n = int(rng.choice([1, 2, 3, 7, 8, 9, 64, config.max_length, rng.integers(1, config.max_length + 1)]))
        n = min(n, config.max_length)
        center, spread = rng.normal(0, limit / 3), float(rng.choice([0, 0.3, 2, limit / 8, limit]))
        x = np.clip(rng.normal(center, spread, n), -limit, limit - 1).astype(np.int64)
        if i % 7 == 0:
            x = rng.choice([-limit, limit - 1], n)
        elif i % 7 == 1:
            x = np.full(n, rng.choice([-limit, -1, 0, 1, limit - 1]))
        elif i % 7 == 2:
            x[rng.integers(n)] ^= 1
        sum_x, sum_xx = (int(s[0]) for s in model.moments(x[None], np.array([n])))
        eps = int(rng.choice([0, 1, n * n, (1 << c.EPS_BITS) - 1, rng.integers(1 << int(rng.integers(1, c.EPS_BITS)))]))
        rows.append(dict(op=OP[op], length=n, sum_x=sum_x, sum_xx=sum_xx, eps=eps))
    return rows


def rows_of(rng, config, count):
    rows = softmax_rows(rng, config, count) if config.has_softmax else []
    for op in ("layernorm", "rmsnorm"):
        if op in config.ops:
            rows += norm_rows(rng, config, op, 5 * count)
    return [rows[i] for i in rng.permutation(len(rows))]


def expected_of(config, row):
    """Fields of `source` that mean something for this row: `ends` for every row, whatever its format."""
    fields = {"op": row["op"], "length": row["length"]} | ({"ends": 0} if config.has_softmax else {})
    lengths = np.array([row["length"]])
    if row["op"] == OP["softmax"]:
        fmt = next(f for f in FORMATS.values() if f.code == row["format"])
        gain, shift = model.reciprocal(np.array([row["total"]]), fmt, config)
        ends = fmt.capped and row["peak_last"] and row["total"] <= model.last_peak_limit(fmt)
        fields |= {"format": fmt.code, "gain": gain[0], "amount": shift[0] + shift_offset(config), "ends": int(ends)}
        return fields | ({"zero": 0} if config.has_norm else {})
    sum_x, sum_xx = np.array([row["sum_x"]]), np.array([row["sum_xx"]])
    carried = row["op"] == OP["layernorm"]
    v = model.variance(lengths, sum_x, sum_xx) if carried else lengths * sum_xx
    if v[0] == 0:
        return fields | {"zero": 1}
    gain, k = model.inverse_sigma(v + row["eps"], lengths)
    mean_x = model.mean(lengths, sum_x) if carried else np.array([c.X_OFFSET << c.MEAN_FRACTION_BITS])
    term = model.mean_term(gain, k, mean_x, config)[0]
    return fields | {
        "gain": gain[0],
        "amount": k[0] - config.fraction_bits + shift_offset(config),
        "term": term & ((1 << config.accumulator_bits) - 1),
        "zero": 0,
    }


def beats_of(rng, dut, config, rows):
    """Beats of `record` and `sums`; the fields that an operation does not use are noise."""
    record = dut.sinks["record"].beats(len(rows))
    layout = {name: dut.sinks["record"].widths[name] for name in record.dtype.names if name not in ("first", "last")}
    for name, bits in layout.items():
        record[name] = [row[name] & ((1 << bits) - 1) if name in row else rng.integers(1 << bits) for row in rows]
    totals = [row["total"] for row in rows if "total" in row]
    sums = dut.sinks["sums"].beats(len(totals))
    sums["total"] = totals
    return {"record": record, "sums": sums}


def check(config, result, beats, rows, seed):
    got = result["source"].beats
    passed = [name for name, _ in constants_layout(config) if name in dict(row_params(config))]
    for name in passed:
        assert np.array_equal(got[name], beats["record"][name]), name
    for i, row in enumerate(rows):
        expected = {name: int(value) for name, value in expected_of(config, row).items()}
        assert {name: int(got[name][i]) for name in expected} == expected, f"{row}, seed {seed}"


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("name", CONFIGS)
def test_constants_equal_the_model(name, stall):
    config, dut, _ = row_constants(name)
    seed = list(STALLS).index(stall)
    rng = np.random.default_rng(seed)
    rows = rows_of(rng, config, 200)
    beats = beats_of(rng, dut, config, rows)
    result = dut.run(beats, stall=STALLS[stall], seed=seed, expect={"source": len(rows)})
    check(config, result, beats, rows, seed)


@pytest.mark.parametrize("name", CONFIGS)
def test_latency_and_interval(name):
    """Measured per operation over rows of every kind: they depend on the operation alone."""
    config, dut, module = row_constants(name)
    rng = np.random.default_rng(3)
    for op in config.ops:
        rows = [row for row in rows_of(rng, config, 60) if row["op"] == OP[op]]
        cycles = dut.run(beats_of(rng, dut, config, rows), expect={"source": len(rows)})["source"].cycles
        assert cycles[0] == module.latency[op], op
        assert set(np.diff(cycles)) == {module.interval[op]}, op


def test_latency_is_that_of_the_docstring():
    usual, short = (RowConstants(LiteNormConfig(short_rows=short_rows)) for short_rows in (False, True))
    assert usual.latency == {"softmax": 12, "layernorm": 29, "rmsnorm": 29}
    assert usual.interval == {"softmax": 10, "layernorm": 11, "rmsnorm": 11}
    assert short.latency == {"softmax": 9, "layernorm": 27, "rmsnorm": 27}
    assert short.interval == {"softmax": 7, "layernorm": 8, "rmsnorm": 8}
