# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/divider.py on its generated Verilog, against Python's integers; latencies are measured."""

import functools
import math

import numpy as np
import pytest
from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel.divider import ChunkedMultiplier, Divider, LeadingShift, SquareRoot
from litenorm.sim.verilated import Stall, StreamDut

# Arguments of each unit; those with a remark are the core's at its defaults.
DIVIDERS = {
    "divide_4_by_1": (4, 4, 1),
    "divide_4_by_2": (4, 4, 2),
    "divide_4_by_4": (4, 4, 4),
    "divide_18_by_3": (18, 12, 3),
    "divide_gain": (33, 20, 2),     # T * 2^k / S and N * 2^24 / D
    "divide_mean": (11, 48, 2),     # sum / N
}
ROOTS = {"root_6_by_1": (6, 1), "root_6_by_2": (6, 2), "root_6_by_3": (6, 3), "root_18": (18, 2)}
MULTIPLIERS = {"multiply_4": (4, 5), "multiply_18": (18, 18), "multiply_19": (19, 37), "multiply_core": (48, 26)}
SHIFTS = {
    "shift_9": (9, 1, 8),
    "shift_9_most_5": (9, 1, 5),
    "shift_8_pairs": (8, 2, 3),
    "shift_length": (11, 1, 10),
    "shift_sum": (33, 1, 10),
    "shift_variance": (52, 2, 25),
}
STALLS = ({}, {"sink": 0.5, "source": 0.5}, {"source": Stall(0.7, burst=30)})


class Answer(LiteXModule):
    """A row-rate unit between streams: a beat of operands starts it, a beat of results leaves when it is done.

    The next operands may start it in the very cycle in which the results are taken; they change while it works.
    """

    def __init__(self, unit, operands, results):
        self.unit = unit
        self.sink = sink = stream.Endpoint([(name, len(getattr(unit, name))) for name in operands])
        self.source = source = stream.Endpoint([(name, len(getattr(unit, name))) for name in results])
        busy = Signal()
        self.comb += [
            sink.ready.eq(~busy | (source.valid & source.ready)),
            unit.start.eq(sink.valid & sink.ready),
            source.valid.eq(busy & unit.done),
            *[getattr(unit, name).eq(getattr(sink, name)) for name in operands],
            *[getattr(source, name).eq(getattr(unit, name)) for name in results],
        ]
        self.sync += If(unit.start, busy.eq(1)).Elif(source.valid & source.ready, busy.eq(0))


KINDS = {
    Divider: (DIVIDERS, ("high", "low", "divisor"), ("quotient", "remainder")),
    SquareRoot: (ROOTS, ("value",), ("root",)),
    ChunkedMultiplier: (MULTIPLIERS, ("a", "b", "wide"), ("product",)),
    LeadingShift: (SHIFTS, ("value",), ("shifted", "count")),
}


@functools.cache
def bank(kind):
    """(StreamDut, {name: unit}): every size of a unit beside the others."""
    sizes, operands, results = KINDS[kind]
    module = LiteXModule()
    sinks, sources, units = {}, {}, {}
    for name, arguments in sizes.items():
        answer = Answer(kind(*arguments), operands, results)
        setattr(module, name, answer)
        sinks[f"{name}_sink"], sources[f"{name}_source"], units[name] = answer.sink, answer.source, answer.unit
    return StreamDut(module, sinks, sources, name=f"{kind.__name__.lower()}_bank"), units


def run(kind, name, operands, stall=None, seed=0):
    """({result: list of Python integers}, cycles from start to done of each beat)"""
    dut, _ = bank(kind)
    port = dut.sinks[f"{name}_sink"]
    beats = port.beats(len(next(iter(operands.values()))))
    for field, values in operands.items():
        beats[field] = values
    stall = {f"{name}_{port}": value for port, value in (stall or {}).items()}
    result = dut.run({port.name: beats}, stall=stall, seed=seed, expect={f"{name}_source": len(beats)})
    capture = result[f"{name}_source"]
    got = {}
    for field in capture.port.widths:
        if field not in ("first", "last"):
            column = capture.beats[field]
            got[field] = ([int.from_bytes(v.tobytes(), "little") for v in column] if column.ndim > 1
                          else [int(v) for v in column])
    return got, capture.cycles - result.accepted[port.name]


def numbers(rng, bits, count):
    """Random numbers of every size, and the edges of each."""
    sizes = rng.integers(0, bits + 1, count)
    edges = {0, (1 << bits) - 1} | {(1 << b) + d for b in range(1, bits) for d in (-1, 0, 1)}
    values = [int(v) & ((1 << int(s)) - 1) for v, s in
              zip(rng.integers(0, 1 << bits, count, dtype=np.uint64), sizes, strict=True)]
    return np.array(sorted(edges) + values, np.uint64)


# Divider -----------------------------------------------------------------------------------------------------


def check_divider(name, high, low, divisor, stall=None, seed=0):
    _, quotient_bits, _ = DIVIDERS[name]
    got, cycles = run(Divider, name, {"high": high, "low": low, "divisor": divisor}, stall, seed)
    expected = [divmod((int(h) << quotient_bits) + int(lo), int(d))
                for h, lo, d in zip(high, low, divisor, strict=True)]
    assert list(zip(got["quotient"], got["remainder"], strict=True)) == expected, f"{name}, seed {seed}"
    return cycles


@pytest.mark.parametrize("name", [n for n in DIVIDERS if DIVIDERS[n][0] == 4])
def test_divider_exhaustively(name):
    table = np.array([(h, lo, d) for d in range(1, 16) for h in range(d) for lo in range(16)], np.uint64)
    for seed, stall in enumerate(STALLS):
        check_divider(name, *table.T, stall, seed)


@pytest.mark.parametrize("name", [n for n in DIVIDERS if DIVIDERS[n][0] > 4])
def test_divider_of_the_core(name):
    divisor_bits, quotient_bits, _ = DIVIDERS[name]
    rng = np.random.default_rng(1)
    divisor = numbers(rng, divisor_bits, 3000)
    divisor = np.repeat(divisor[divisor > 0], 2)
    low = rng.permutation(np.resize(numbers(rng, quotient_bits, 3000), len(divisor)))
    high = rng.integers(0, divisor, dtype=np.uint64)
    high[::5] = divisor[::5] - 1
    high[1::5] = 0
    check_divider(name, high, low, divisor)


@pytest.mark.parametrize("name", DIVIDERS)
def test_divider_latency(name):
    divisor_bits, quotient_bits, steps = DIVIDERS[name]
    one = np.ones(50, np.uint64)
    cycles = check_divider(name, 0 * one, one, one)
    assert set(cycles) == {bank(Divider)[1][name].latency} == {quotient_bits // steps + 1}


def test_divider_refuses_steps_that_do_not_divide():
    with pytest.raises(ValueError, match="quotient_bits is 20; good: a multiple of steps = 3"):
        Divider(8, 20, 3)


# Square root -------------------------------------------------------------------------------------------------


def check_root(name, values, stall=None, seed=0):
    got, cycles = run(SquareRoot, name, {"value": values}, stall, seed)
    assert got["root"] == [math.isqrt(int(v)) for v in values], f"{name}, seed {seed}"
    return cycles


@pytest.mark.parametrize("name", [n for n in ROOTS if ROOTS[n][0] == 6])
def test_root_exhaustively(name):
    for seed, stall in enumerate(STALLS):
        check_root(name, np.arange(1 << 12, dtype=np.uint64), stall, seed)


def test_root_of_the_core():
    rng = np.random.default_rng(2)
    squares = rng.integers(1, 1 << 18, 5000).astype(np.uint64) ** 2
    largest = np.uint64(((1 << 18) - 1) ** 2)
    check_root("root_18", np.concatenate([
        squares, squares - np.uint64(1), squares + np.uint64(1), [largest, largest - np.uint64(1), largest + 1],
        numbers(rng, 36, 5000)]).astype(np.uint64))


@pytest.mark.parametrize("name", ROOTS)
def test_root_latency(name):
    root_bits, steps = ROOTS[name]
    cycles = check_root(name, np.arange(50, dtype=np.uint64))
    assert set(cycles) == {bank(SquareRoot)[1][name].latency} == {root_bits // steps + 1}


def test_root_refuses_steps_that_do_not_divide():
    with pytest.raises(ValueError, match="root_bits is 18; good: a multiple of steps = 4"):
        SquareRoot(18, 4)


# Multiplier --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MULTIPLIERS)
def test_multiplier(name):
    """Every product, and the latency, with `wide` where b has bits above its lowest chunk or not."""
    a_bits, b_bits = MULTIPLIERS[name]
    chunk = ChunkedMultiplier.CHUNK
    a_chunks, b_chunks = -(-a_bits // chunk), -(-b_bits // chunk)
    rng = np.random.default_rng(3)
    if a_bits + b_bits < 10:
        a, b = (v.reshape(-1).astype(np.uint64) for v in np.meshgrid(np.arange(1 << a_bits), np.arange(1 << b_bits)))
    else:
        a, b = (np.resize(rng.permutation(numbers(rng, bits, 2000)), 3000) for bits in (a_bits, b_bits))
        a[:2], b[:2] = (1 << a_bits) - 1, (1 << b_bits) - 1
        b[1::3] &= np.uint64((1 << chunk) - 1)
    wide = ((b >> np.uint64(chunk)) != 0) | (rng.random(len(b)) < 0.5)
    expected = [int(x) * int(y) for x, y in zip(a, b, strict=True)]
    for seed, stall in enumerate(STALLS):
        got, cycles = run(ChunkedMultiplier, name, {"a": a, "b": b, "wide": wide}, stall, seed)
        assert got["product"] == expected, f"{name}, seed {seed}"
        if not stall:
            unit = bank(ChunkedMultiplier)[1][name]
            assert (unit.latency, unit.narrow_latency) == (a_chunks * b_chunks + 3, a_chunks + 3)
            assert np.array_equal(cycles, np.where(wide, unit.latency, unit.narrow_latency))


# Shift -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIFTS)
def test_leading_shift(name):
    width, unit, most = SHIFTS[name]
    if width < 12:
        values = np.arange(1 << width, dtype=np.uint64)
    else:
        values = numbers(np.random.default_rng(4), width, 3000)
    for seed, stall in enumerate(STALLS):
        got, cycles = run(LeadingShift, name, {"value": values}, stall, seed)
        for value, shifted, count in zip(map(int, values), got["shifted"], got["count"], strict=True):
            assert shifted == (value << (unit * count)) & ((1 << width) - 1), f"{name}, value {value}, seed {seed}"
            needed = (width - value.bit_length()) // unit
            if value and needed <= most:
                assert count == needed, f"{name}, value {value}, seed {seed}"
        if not stall:
            assert set(cycles) == {bank(LeadingShift)[1][name].latency} == {-(-most.bit_length() // 2) + 1}
