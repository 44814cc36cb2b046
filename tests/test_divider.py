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

from litenorm.accel.divider import DigitProduct, Divider, LeadingShift, SquareRoot
from litenorm.sim.verilated import Stall, StreamDut

# Arguments of each unit; those with a remark are the core's at its defaults.
DIVIDERS = {
    "divide_4_by_1": (4, 4, 1),
    "divide_4_by_2": (4, 4, 2),
    "divide_4_by_4": (4, 4, 4),
    "divide_18_by_3": (18, 12, 3),
    "divide_4_by_pairs": (4, 4, 4, 2),
    "divide_4_by_pair": (4, 4, 2, 2),
    "divide_4_at_once": (4, 8, 4, 4),
    "divide_4_by_3": (4, 6, 3, 3),
    "divide_gain": (33, 18, 2, 2),  # T * 2^k / S and N * 2^24 / D
    "divide_gain_by_3": (33, 18, 3, 3),     # with short_rows
    "divide_mean": (11, 24, 3, 3),  # sum / N, one half
    "divide_mean_by_4": (11, 24, 4, 4),
}
ROOTS = {
    "root_6_by_1": (6, 1),
    "root_6_by_2": (6, 2),
    "root_6_by_3": (6, 3),
    "root_18": (18, 2),
    "root_upper": (10, 2),          # of D with short_rows, whose other half is
    "root_lower": (8, 2, 10),
    "root_2_behind_4": (2, 1, 4),
    "root_4_behind_2": (4, 2, 2),
}
PRODUCTS = {"product_5": (5, 1, 3), "product_6": (4, 2, 3), "product_7": (4, 3, 3), "product_core": (48, 2, 9),
            "product_by_3": (48, 3, 6)}
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
        operands = [name for name in operands if hasattr(unit, name)]
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
    SquareRoot: (ROOTS, ("value", "upper", "upper_remainder"), ("root", "remainder")),
    DigitProduct: (PRODUCTS, ("factor", "seed", "digits"), ("product",)),
    LeadingShift: (SHIFTS, ("value",), ("shifted", "count")),
}


class Digits(LiteXModule):
    """A DigitProduct with the ports of a row-rate unit: it is given the digits of a number, with pauses."""

    def __init__(self, factor_bits, digit_bits, digits):
        self.start = Signal()
        self.factor = Signal(factor_bits)
        self.seed = Signal(factor_bits)
        self.digits = Signal(digits * digit_bits)
        self.done = Signal()
        bits = digits * digit_bits
        self.dut = dut = DigitProduct(factor_bits, digit_bits, bits + factor_bits + 1)
        self.product = dut.product
        left, rest, turn = Signal(max=digits + 1), Signal(bits), Signal()
        seed = Signal(factor_bits)
        self.comb += [
            dut.seed.eq(seed),
            dut.strobe.eq((left != 0) & turn & ~dut.load),
            dut.digit.eq(rest[-digit_bits:]),
        ]
        self.sync += [
            turn.eq(~turn),
            dut.load.eq(self.start),
            If(dut.strobe, left.eq(left - 1), rest.eq(rest << digit_bits), self.done.eq(left == 1)),
            If(self.start, left.eq(digits), rest.eq(self.digits), self.done.eq(0),
               seed.eq(self.seed), dut.factor.eq(self.factor)),
        ]


@functools.cache
def bank(kind):
    """(StreamDut, {name: unit}): every size of a unit beside the others."""
    sizes, operands, results = KINDS[kind]
    module = LiteXModule()
    sinks, sources, units = {}, {}, {}
    for name, arguments in sizes.items():
        answer = Answer((Digits if kind is DigitProduct else kind)(*arguments), operands, results)
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
    quotient_bits = DIVIDERS[name][1]
    got, cycles = run(Divider, name, {"high": high, "low": low, "divisor": divisor}, stall, seed)
    expected = [divmod((int(h) << quotient_bits) + int(lo), int(d))
                for h, lo, d in zip(high, low, divisor, strict=True)]
    assert list(zip(got["quotient"], got["remainder"], strict=True)) == expected, f"{name}, seed {seed}"
    return cycles


@pytest.mark.parametrize("name", [n for n in DIVIDERS if DIVIDERS[n][0] == 4])
def test_divider_exhaustively(name):
    bits = DIVIDERS[name][1]
    table = np.array([(h, lo, d) for d in range(1, 16) for h in range(d) for lo in range(1 << bits)], np.uint64)
    for seed, stall in enumerate(STALLS):
        check_divider(name, *table.T, stall, seed)


@pytest.mark.parametrize("name", [n for n in DIVIDERS if DIVIDERS[n][0] > 4])
def test_divider_of_the_core(name):
    divisor_bits, quotient_bits = DIVIDERS[name][:2]
    rng = np.random.default_rng(1)
    divisor = numbers(rng, divisor_bits, 3000)
    divisor = np.repeat(divisor[divisor > 0], 2)
    low = rng.permutation(np.resize(numbers(rng, quotient_bits, 3000), len(divisor)))
    high = rng.integers(0, divisor, dtype=np.uint64)
    high[::5] = divisor[::5] - 1
    high[1::5] = 0
    check_divider(name, high, low, divisor)


def test_divider_saturates_when_the_quotient_is_too_large_by_little():
    """T * 2^k / S of T = 2^16 and an S from 2^32 on, brought to 33 bits: 2^18 in 18 bits is 2^18 - 1."""
    divisor = (1 << 32) + np.unique(np.concatenate([np.arange(100), np.linspace(0, 1 << 14, 500).astype(int)]))
    dividend = [(1 << 16 + 34) + int(d) // 2 for d in divisor]
    large = [q >> 18 >= int(d) for q, d in zip(dividend, divisor, strict=True)]
    high, low = (np.array([int(v) for v in values], np.uint64) for values in (
        [q >> 18 for q in dividend], [q & (1 << 18) - 1 for q in dividend]))
    got, _ = run(Divider, "divide_gain", {"high": high, "low": low, "divisor": divisor.astype(np.uint64)})
    expected = [min(q // int(d), (1 << 18) - 1) for q, d in zip(dividend, divisor, strict=True)]
    assert got["quotient"] == expected and any(large) and not all(large)


@pytest.mark.parametrize("name", DIVIDERS)
def test_divider_latency(name):
    divisor_bits, quotient_bits, steps = DIVIDERS[name][:3]
    one = np.ones(50, np.uint64)
    cycles = check_divider(name, 0 * one, one, one)
    assert set(cycles) == {bank(Divider)[1][name].latency} == {quotient_bits // steps + 1}


def test_divider_refuses_steps_that_do_not_divide():
    with pytest.raises(ValueError, match="quotient_bits is 20; good: a multiple of steps = 3"):
        Divider(8, 20, 3)


def test_divider_refuses_bits_together_that_do_not_divide_steps():
    with pytest.raises(ValueError, match="together is 2; good: a divider of steps = 3"):
        Divider(8, 21, 3, 2)


# Square root -------------------------------------------------------------------------------------------------


def check_root(name, values, stall=None, seed=0):
    """`values`: whole ones; a unit that goes on with another one's root is given that of their upper part."""
    root_bits, _, *upper_bits = ROOTS[name]
    values = [int(v) for v in values]
    operands = {"value": np.array([v & (4**root_bits - 1) for v in values], np.uint64)}
    if upper_bits:
        high = [v >> 2 * root_bits for v in values]
        operands["upper"] = np.array([math.isqrt(h) for h in high], np.uint64)
        operands["upper_remainder"] = np.array([h - math.isqrt(h) ** 2 for h in high], np.uint64)
    got, cycles = run(SquareRoot, name, operands, stall, seed)
    assert got["root"] == [math.isqrt(v) for v in values], f"{name}, seed {seed}"
    assert got["remainder"] == [v - math.isqrt(v) ** 2 for v in values], f"{name}, seed {seed}"
    return cycles


@pytest.mark.parametrize("name", [n for n in ROOTS if "6" in n or "4" in n])
def test_root_exhaustively(name):
    for seed, stall in enumerate(STALLS):
        check_root(name, np.arange(1 << 12, dtype=np.uint64), stall, seed)


@pytest.mark.parametrize("name", ["root_18", "root_lower"])
def test_root_of_the_core(name):
    rng = np.random.default_rng(2)
    squares = rng.integers(1, 1 << 18, 5000).astype(np.uint64) ** 2
    largest = np.uint64(((1 << 18) - 1) ** 2)
    check_root(name, np.concatenate([
        squares, squares - np.uint64(1), squares + np.uint64(1), [largest, largest - np.uint64(1), largest + 1],
        numbers(rng, 36, 5000)]).astype(np.uint64))


@pytest.mark.parametrize("name", ROOTS)
def test_root_latency(name):
    root_bits, steps = ROOTS[name][:2]
    cycles = check_root(name, np.arange(50, dtype=np.uint64))
    assert set(cycles) == {bank(SquareRoot)[1][name].latency} == {root_bits // steps + 1}


def test_root_refuses_steps_that_do_not_divide():
    with pytest.raises(ValueError, match="root_bits is 18; good: a multiple of steps = 4"):
        SquareRoot(18, 4)


# Product of a number that comes digit by digit ----------------------------------------------------------------


@pytest.mark.parametrize("name", PRODUCTS)
def test_digit_product(name):
    factor_bits, digit_bits, digits = PRODUCTS[name]
    bits = digit_bits * digits
    rng = np.random.default_rng(3)
    if factor_bits + bits < 12:
        factor, number = (v.reshape(-1).astype(np.uint64)
                          for v in np.meshgrid(np.arange(1 << factor_bits), np.arange(1 << bits)))
    else:
        factor, number = (np.resize(rng.permutation(numbers(rng, width, 2000)), 3000) for width in (factor_bits, bits))
        factor[:2], number[:2] = (1 << factor_bits) - 1, (1 << bits) - 1
    seed = rng.integers(0, 1 << factor_bits, len(factor), dtype=np.uint64)
    expected = [(int(s) << bits) + int(f) * int(n) for s, f, n in zip(seed, factor, number, strict=True)]
    for trial, stall in enumerate(STALLS):
        got, _ = run(DigitProduct, name, {"factor": factor, "seed": seed, "digits": number}, stall, trial)
        assert got["product"] == expected, f"{name}, seed {trial}"


def test_product_refuses_digits_of_4_bits():
    with pytest.raises(ValueError, match="digit_bits is 4; good: 1, 2 or 3"):
        DigitProduct(8, 4, 16)


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
            latency = -(-most.bit_length() // LeadingShift.DIGITS)
            assert set(cycles) == {bank(LeadingShift)[1][name].latency} == {latency}
