# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/normalizer.py on its generated Verilog: codes are the model's, and the self-check sees a wrong sum."""

import functools

import numpy as np
import pytest
from litex.gen import LiteXModule
from litex.soc.interconnect import stream

from litenorm.accel import LiteNormConfig, model
from litenorm.accel import constants as c
from litenorm.accel.exponential import ELEMENT_BITS, MANTISSA_BITS
from litenorm.accel.formats import FORMATS
from litenorm.accel.normalizer import Normalizer
from litenorm.accel.row_constants import shift_offset
from litenorm.accel.rows import OP, affine_params
from litenorm.accel.scale import Scale, eps_term
from litenorm.accel.self_check import SelfCheck, promise_layout
from litenorm.sim.verilated import Stall, StreamDut

CONFIGS = {
    "1 lane": LiteNormConfig(lanes=1),
    "4 lanes": LiteNormConfig(lanes=4),
    "16 lanes": LiteNormConfig(lanes=16),
    "long softmax": LiteNormConfig(lanes=2, max_length=4096, ops=("softmax",)),
    "uncapped softmax": LiteNormConfig(lanes=2, max_length=64, ops=("softmax",), formats=("u16_q15", "u8_255")),
    "layernorm": LiteNormConfig(lanes=8, max_length=100, ops=("layernorm",), affine=False),
}
STALLS = {
    "none": {},
    "random": {"sink": 0.3, "record": 0.3, "source": 0.3},
    "slow source": {"source": Stall(0.6, burst=20)},
    "slow record": {"record": Stall(0.8, burst=30), "source": Stall(0.1, wait_valid=True)},
}


class Watched(LiteXModule):
    """The normalizer with the self-check behind it, as in the core."""

    def __init__(self, config):
        self.normalizer = normalizer = Normalizer(config)
        self.check = check = SelfCheck(config)
        self.promises = promises = stream.SyncFIFO(promise_layout(config), 1024)
        self.sink, self.record, self.source = normalizer.sink, normalizer.record, normalizer.source
        self.promise = promises.sink
        self.row_done, self.row_error = check.row_done, check.row_error
        self.constant_row = normalizer.constant_row
        self.latency = normalizer.latency

        # # #

        self.comb += [
            promises.source.connect(check.promise),
            check.beat.eq(self.source.valid & self.source.ready),
            check.last.eq(self.source.last),
            check.data.eq(self.source.data),
        ]


@functools.cache
def normalizer(name):
    config = CONFIGS[name]
    module = Watched(config)
    dut = StreamDut(module, {"promise": module.promise, "sink": module.sink, "record": module.record},
                    {"source": module.source}, signals=[module.row_done, module.row_error, module.constant_row])
    return config, dut, module.latency


# Rows --------------------------------------------------------------------------------------------------------


def softmax_row(rng, config, n):
    """A row as (elements, record, codes): elements are mantissas and exponents of e, 0 where masked."""
    fmt = FORMATS[str(rng.choice(config.formats))]
    length = n if rng.random() < 0.5 else int(rng.integers(1, n + 1))
    x = np.rint(rng.normal(0, rng.choice([0, 1, 30, 3000]), n)).astype(np.int64)
    if rng.random() < 0.3:      # nearly one-hot, the maximum first, last or anywhere
        x = rng.integers(-5, 1, n) - int(rng.choice([1300, 1500, 1800, 2300, 40000]))
        x[rng.choice([0, length - 1, rng.integers(length)])] = 0
    lengths = np.array([length])
    e = model.exp2(x[None], lengths, Scale.from_real(0.005))
    total = e.sum(axis=1)
    gain, shift = model.reciprocal(total, fmt, config)
    out = model.telescope((e * gain) >> shift, config)
    peak_last = e[:, length - 1] == 1 << c.EXP_BITS
    ends = fmt.capped and bool(peak_last[0]) and int(total[0]) <= model.last_peak_limit(fmt)
    if fmt.capped:
        out = model.cap(out, total, peak_last, lengths, fmt)
    # The same number as a mantissa of 18 bits and an exponent of up to 5, as pass 1 gives it.
    exponent = np.zeros(n, np.int64)
    for _ in range(c.EXP_BITS - c.GRID_BITS):
        exponent += (e[0] >> exponent) & 1 == 0
    exponent[e[0] == 0] = 0
    elements = (e[0] >> exponent) | exponent << MANTISSA_BITS
    record = dict(op=OP["softmax"], format=fmt.code, length=length, gain=gain[0],
                  amount=shift[0] + shift_offset(config), zero=0, ends=int(ends))
    return elements, record, out[0] + fmt.zero_point


def norm_row(rng, config, op, n):
    """A row as (elements, record, codes): elements are x + 2^15, noise where masked."""
    length = n if rng.random() < 0.5 else int(rng.integers(1, n + 1))
    spread = float(rng.choice([0, 0.3, 3, 3000, 30000]))
    x = np.clip(np.rint(rng.normal(rng.normal(0, 1000), spread, n)), -32768, 32767).astype(np.int64)
    if rng.random() < 0.1:      # the largest results there are
        x = np.where(np.arange(n) == rng.integers(n), rng.choice([-32768, 32767]), 0)
    lengths = np.array([length])
    sum_x, sum_xx = model.moments(x[None], lengths)
    carried = op == "layernorm"
    v = model.variance(lengths, sum_x, sum_xx) if carried else lengths * sum_xx
    record = dict(op=OP[op], length=length, zero=int(v[0] == 0), ends=0)
    if record["zero"]:
        return x + c.X_OFFSET, record, np.zeros(n, np.int64)
    gain, k = model.inverse_sigma(v + eps_term(rng.choice([0, 0, 5]), length), lengths)
    mean_x = model.mean(lengths, sum_x) if carried else np.array([c.X_OFFSET << c.MEAN_FRACTION_BITS])
    term = model.mean_term(gain, k, mean_x, config)
    w = model.deviations(x[None], lengths, gain, k, term, config)
    if carried:
        y = model.telescope(w, config)
    else:
        y = np.clip((w + (1 << (config.fraction_bits - 1))) >> config.fraction_bits, -32768, 32767)
    record |= dict(gain=gain[0], amount=k[0] - config.fraction_bits + shift_offset(config),
                   term=term[0] & ((1 << config.accumulator_bits) - 1))
    return x + c.X_OFFSET, record, y[0]


def rows_of(rng, config, count):
    lengths = [1, 2, 3, 4, 5, 8, 9, 16, 17, 33, 64, config.max_length]
    rows = []
    for _ in range(count):
        n, op = int(rng.choice(lengths)), str(rng.choice(config.ops))
        rows.append(softmax_row(rng, config, n) if op == "softmax" else norm_row(rng, config, op, n))
    return rows


def run(rng, name, rows, stall=None, seed=0):
    """(result of the run, beats that went in)"""
    config, dut, _ = normalizer(name)
    port = dut.sinks["record"]
    record = port.beats(len(rows))
    for field in record.dtype.names[:-2]:       # all but first and last
        record[field] = [int(r[field]) if field in r else rng.integers(1 << port.widths[field]) for _, r, _ in rows]
    # The lanes behind a softmax row's end hold e = 0, those behind a norm's row anything.
    elements = []
    for x, r, _ in rows:
        pad = np.zeros(-len(x) % config.lanes, np.int64)
        elements.append(np.concatenate([x, pad if r["op"] == OP["softmax"] else pad + rng.integers(1 << 16)]))
    promise = dut.sinks["promise"].beats(len(rows))
    for field in ("op", "format", "length"):
        promise[field] = record[field]
    promise["beats"] = [len(x) // config.lanes - 1 for x in elements]
    beats = {"sink": dut.sinks["sink"].packets(elements, bits=ELEMENT_BITS), "record": record, "promise": promise}
    return dut.run(beats, stall=stall or {}, seed=seed, after={"sink": "promise", "record": "promise"},
                   expect={"source": len(beats["sink"])}), beats


def check_codes(result, rows, seed):
    for i, (got, (_, record, codes)) in enumerate(zip(result["source"].packets(bits=16), rows, strict=True)):
        masked = np.where(np.arange(len(got)) < len(codes), np.resize(codes, len(got)), 0)
        if record["op"] == OP["softmax"]:
            zero_point = next(f.zero_point for f in FORMATS.values() if f.code == record["format"])
            masked[len(codes) :] = zero_point
        assert np.array_equal(got, masked & 0xFFFF), f"row {i}, {record}, seed {seed}"


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("name", CONFIGS)
def test_codes_equal_the_model(name, stall):
    config, _, _ = normalizer(name)
    seed = list(STALLS).index(stall)
    rng = np.random.default_rng(seed)
    rows = rows_of(rng, config, 400)
    result, beats = run(rng, name, rows, STALLS[stall], seed)
    check_codes(result, rows, seed)
    constant = [record["zero"] for _, record, _ in rows]
    assert len(result.events["row_done"]) == len(rows)
    assert not len(result.events["row_error"])
    ends = result.accepted["sink"][beats["sink"]["last"] == 1]
    assert np.array_equal(np.isin(ends, result.events["constant_row"]), constant)
    if config.has_affine:
        counts = np.diff(np.flatnonzero(beats["sink"]["last"]), prepend=-1)
        for field, _ in affine_params():
            assert np.array_equal(result["source"].beats[field], np.repeat(beats["record"][field], counts)), field


@pytest.mark.parametrize("name", CONFIGS)
def test_latency_and_rate(name):
    config, _, latency = normalizer(name)
    rng = np.random.default_rng(5)
    result, beats = run(rng, name, rows_of(rng, config, 40))
    accepted = result.accepted["sink"]
    assert np.array_equal(np.diff(accepted), np.ones(len(accepted) - 1))
    assert np.array_equal(result["source"].cycles, accepted + latency)
    assert np.array_equal(result.accepted["record"], accepted[beats["sink"]["last"] == 1])


@pytest.mark.parametrize("stall", ["none", "random"])
@pytest.mark.parametrize("name", CONFIGS)
def test_self_check_fires_for_exactly_the_rows_with_a_wrong_sum(name, stall):
    """A gain or a mean that is off, in every third row: row_error marks those rows and no other.

    RMSNorm has no sum to check. A row that is spelled out (`ends`) has the right sum whatever its gain.
    """
    config, _, _ = normalizer(name)
    rng = np.random.default_rng(6)
    rows = rows_of(rng, config, 300)
    wrong = np.zeros(len(rows), bool)
    for i, (_, record, _) in enumerate(rows):
        if i % 3:
            continue
        if record["op"] == OP["softmax"]:
            record["gain"] = record["gain"] * 7 // 8
            wrong[i] = not record["ends"]
        elif "term" in record:      # C_N becomes 1 or -1
            step = -(-(1 << config.fraction_bits) // record["length"]) * int(rng.choice([-1, 1]))
            record["term"] = (record["term"] + step) & ((1 << config.accumulator_bits) - 1)
            wrong[i] = record["op"] == OP["layernorm"]
    assert wrong.sum() > 20
    result, _ = run(rng, name, rows, STALLS[stall], 6)
    done, error = result.events["row_done"], result.events["row_error"]
    assert len(done) == len(rows)
    assert np.array_equal(np.isin(done, error), wrong)


def test_one_ulp_is_seen():
    """The self-check is exact: a sum that is one ulp short of T is an error."""
    config, _, _ = normalizer("4 lanes")
    rng = np.random.default_rng(7)
    flat, total = np.full(4, 1 << MANTISSA_BITS - 1), 4 << c.EXP_BITS
    flat |= (c.EXP_BITS - c.GRID_BITS) << MANTISSA_BITS
    fmt = FORMATS["u16_q15"]
    gain, shift = model.reciprocal(np.array([total]), fmt, config)
    record = dict(op=0, format=fmt.code, length=4, amount=shift[0] + shift_offset(config), zero=0, ends=0)
    sums = []
    # 4 e R = T * 2^FB for the right gain: 3 less of it is 0.75 ulp too little, which the seed of half an ulp shows.
    for less in (0, 1, int(gain[0]) // fmt.total * 3 // 4 + 1):
        result, _ = run(rng, "4 lanes", [(flat, record | {"gain": gain[0] - less}, None)])
        sums.append((result["source"].packets(bits=16)[0].sum() - fmt.total, len(result.events["row_error"])))
    assert sums == [(0, 0), (0, 0), (-1, 1)]
