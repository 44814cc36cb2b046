# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/fixed.py on its generated Verilog, against Python's integers: small widths in full, wide ones at random."""

import functools

import numpy as np
import pytest
from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel.fixed import Stages, add, clip_s, larger, shift_right
from litenorm.sim.verilated import Stall, StreamDut

# width of the value, signed, bits of the amount, bits of the result; the last three are as wide as the core's
SHIFTS = [
    *((9, signed, amount, bits) for signed in (False, True) for amount in (2, 3, 4) for bits in (4, 9)),
    (38, False, 5, 38), (49, False, 6, 29), (34, True, 5, 34),
]
CLIPS = [(9, 2), (9, 5), (9, 8), (9, 9), (17, 16), (34, 8), (34, 16)]     # width of the value, bits of the result
TREES = [1, 2, 4, 8, 16]
LEAF = 4
STALLS = ({}, {"sink": 0.3, "source": 0.3}, {"sink": 0.1, "source": Stall(0.5, burst=10)})


class Units(LiteXModule):
    """Every case beside the others: a beat of operands in, the results of all cases out, aligned to the slowest.

    A unit that took more or fewer cycles than it says would give the results of another beat.
    """

    def __init__(self):
        self.sink = sink = stream.Endpoint([("value", 49), ("amount", 6), ("leaves", LEAF * max(TREES))])
        ce = Signal()
        stages = Stages(self, ce)
        results = {}

        def operand(name, width, signed):
            value = Signal((width, signed), name=f"operand_{name}")
            self.comb += value.eq(sink.value[:width])
            return value

        for width, signed, amount_bits, bits in SHIFTS:
            name = shift_name(width, signed, amount_bits, bits)
            amount = Signal(amount_bits, name=f"amount_{name}")
            self.comb += amount.eq(sink.amount[:amount_bits])
            results[name] = shift_right(stages, operand(name, width, signed), amount, bits, name), 2
        for width, bits in CLIPS:
            name = f"clip_{width}_{bits}"
            results[name] = stages.reg(clip_s(operand(name, width, True), bits), name, width), 1
        for count in TREES:
            leaves = []
            for j in range(count):
                leaf = Signal((LEAF, True), name=f"leaf_{count}_{j}")
                self.comb += leaf.eq(sink.leaves[LEAF * j : LEAF * (j + 1)])
                leaves.append(leaf)
            results[f"sum_{count}"] = stages.tree(leaves, add, f"sum_{count}")
            results[f"max_{count}"] = stages.tree(leaves, larger, f"max_{count}")
        results["narrow"] = stages.reg(sink.value, "narrow", 5), 1
        results["same"] = stages.delay(sink.value, 3, "same"), 3

        self.latency = max(cycles for _, cycles in results.values())
        self.source = source = stream.Endpoint([(name, len(value)) for name, (value, _) in results.items()])
        valid = sink.valid
        for i in range(self.latency):
            late = Signal(name=f"valid{i + 1}")
            self.sync += If(ce, late.eq(valid))
            valid = late
        self.comb += [ce.eq(source.ready | ~valid), sink.ready.eq(ce), source.valid.eq(valid)]
        for name, (value, cycles) in results.items():
            self.comb += getattr(source, name).eq(stages.delay(value, self.latency - cycles, f"{name}_aligned"))


def shift_name(width, signed, amount_bits, bits):
    return f"shift_{'s' if signed else 'u'}{width}_by{amount_bits}_to{bits}"


@functools.cache
def units():
    module = Units()
    dut = StreamDut(module, {"sink": module.sink}, {"source": module.source}, name="fixed_units")
    return dut, module.latency


def run(values, amounts, leaves=None, stall=None, seed=0):
    """(result of the run, its beats, values as int64)"""
    dut, _ = units()
    port = dut.sinks["sink"]
    beats = port.beats(len(values))
    beats["value"], beats["amount"] = values, amounts
    if leaves is not None:
        beats["leaves"] = port.from_lanes(leaves, LEAF, "leaves")
    result = dut.run({"sink": beats}, stall=stall or {}, seed=seed, expect={"source": len(beats)})
    return result, result["source"].beats, np.asarray(values, np.int64)


def signed(values, bits):
    """The low `bits` bits as a two's complement number."""
    values = np.asarray(values).astype(np.int64) & ((1 << bits) - 1)
    return values - ((values >> (bits - 1)) << bits)


def check_shifts(beats, values, amounts):
    for width, is_signed, amount_bits, bits in SHIFTS:
        value = signed(values, width) if is_signed else values & ((1 << width) - 1)
        expected = (value >> (amounts & ((1 << amount_bits) - 1))) & ((1 << bits) - 1)
        name = shift_name(width, is_signed, amount_bits, bits)
        assert np.array_equal(beats[name].astype(np.int64), expected), name


def check_clips(beats, values):
    for width, bits in CLIPS:
        expected = np.clip(signed(values, width), -(1 << (bits - 1)), (1 << (bits - 1)) - 1)
        assert np.array_equal(signed(beats[f"clip_{width}_{bits}"], width), expected), (width, bits)


def check_registers(beats, values):
    assert np.array_equal(beats["same"].astype(np.int64), values)
    assert np.array_equal(beats["narrow"].astype(np.int64), values & 31)


@pytest.mark.parametrize("stall", range(len(STALLS)))
def test_every_small_value_and_amount(stall):
    values, amounts = (a.reshape(-1) for a in np.meshgrid(np.arange(1 << 9), np.arange(1 << 4)))
    _, beats, values = run(values, amounts, stall=STALLS[stall], seed=stall)
    check_shifts(beats, values, amounts)
    check_clips(beats, values)
    check_registers(beats, values)


def test_wide_values():
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 50, 50_000)
    values = rng.integers(0, 1 << 49, 50_000) & ((1 << bits) - 1)
    edges = [0, (1 << 49) - 1, *((1 << b) + d for b in range(4, 48) for d in (-1, 0, 1))]
    values = np.concatenate([values, np.repeat(edges, 64)])
    amounts = np.concatenate([rng.integers(0, 64, 50_000), np.tile(np.arange(64), len(edges))])
    _, beats, values = run(values, amounts)
    check_shifts(beats, values, amounts)
    check_clips(beats, values)
    check_registers(beats, values)


@pytest.mark.parametrize("stall", range(len(STALLS)))
def test_trees(stall):
    rng = np.random.default_rng(stall)
    leaves = np.concatenate([
        np.full((1, 16), -8), np.full((1, 16), 7), rng.choice([-8, 7], (100, 16)), rng.integers(-8, 8, (2000, 16))])
    zero = np.zeros(len(leaves), np.int64)
    _, beats, _ = run(zero, zero, leaves, STALLS[stall], stall)
    dut, _ = units()
    for count in TREES:
        bits = dut.sources["source"].widths[f"sum_{count}"]
        assert bits >= LEAF + (count - 1).bit_length()
        assert np.array_equal(signed(beats[f"sum_{count}"], bits), leaves[:, :count].sum(axis=1)), count
        assert np.array_equal(signed(beats[f"max_{count}"], LEAF), leaves[:, :count].max(axis=1)), count


def test_latency_is_what_the_pipeline_says():
    result, _, _ = run(np.arange(100), np.zeros(100, np.int64))
    _, latency = units()
    assert np.array_equal(result["source"].cycles - result.accepted["sink"], np.full(100, latency))


@pytest.mark.parametrize("count,cycles", [(1, 1), (2, 1), (4, 1), (8, 2), (16, 2), (32, 3)])
def test_a_tree_folds_two_levels_a_cycle(count, cycles):
    module = Module()
    assert Stages(module, Signal()).tree([Signal(4) for _ in range(count)], add, "sum")[1] == cycles


@pytest.mark.parametrize("count", [0, 3, 12])
def test_a_tree_folds_a_power_of_two(count):
    with pytest.raises(ValueError, match=f"{count} values to fold; good: a power of two"):
        Stages(Module(), Signal()).tree([Signal(4)] * count, add, "sum")
