# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The MyHDL description: each block against the equations, its Verilog against the block, the core against the model.

The functions up here are the equations once more, in Python integers and fractions, written for these tests.
"""

import math
import random
import warnings
from fractions import Fraction

import numpy as np
import pytest
from myhdl import ResetSignal, Signal, Simulation, StopSimulation, ToVerilogWarning, delay, intbv

from litenorm.accel import LiteNormConfig, model
from litenorm.accel import constants as c
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale
from litenorm.sim import myhdl_core as m
from litenorm.sim.cosim import CoSim, StreamDriver, StreamMonitor
from litenorm.sim.lockstep import Description, Follower, Row
from litenorm.sim.streams import StreamPort

FORMAT_LIST = sorted(FORMATS.values(), key=lambda f: f.code)

# The equations -----------------------------------------------------------------------------------


def octaves(t, k, s):
    return min(((t * k) << 6) >> s, (1 << 20) - 1)


def grid(i):
    """round(2^17 * 2^(-i/32)), by an exact comparison: g is right when (2g - 1)^32 <= 2^(32*18 - i) < (2g + 1)^32."""
    target = 1 << (32 * 18 - i)
    g = round(2**17 * 2 ** (-i / 32))
    assert (2 * g - 1) ** 32 <= target < (2 * g + 1) ** 32
    return g


def exp2(d):
    whole, i, low = d >> 15, d >> 10 & 31, d & 1023
    g = grid(i) - ((grid(i) - grid(i + 1)) * low >> 10)
    return (g << 5) >> whole


def reciprocal(total, s):
    k = s.bit_length() + 1
    return min(((total << k) + (s >> 1)) // s, (1 << 18) - 1), k - 12


def telescope(increments, carried=True):
    """out_i of increments with 12 fraction bits: differences of the rounded running sum, or each rounded by itself."""
    if not carried:
        return [math.floor(Fraction(z, 4096) + Fraction(1, 2)) for z in increments]
    sums = [math.floor(Fraction(sum(increments[:i]), 4096) + Fraction(1, 2)) for i in range(len(increments) + 1)]
    return [b - a for a, b in zip(sums[:-1], sums[1:], strict=True)]


def capped(out, total, last_valid, peak):
    n = len(out)
    if peak:
        row = [0] * n
        row[0] = 1
        row[last_valid] = total - 1
        return row
    out = out + [0]
    for i in range(n):
        if out[i] == total:
            out[i] = total - 1
            out[i + 1] += 1
    return out[:n]


def softmax(x, k, s, fmt, length):
    """Codes of a row, without wrapping to the width of the format."""
    top = max(x[:length])
    e = [exp2(octaves(top - v, k, s)) if i < length else 0 for i, v in enumerate(x)]
    total = sum(e)
    r, shift = reciprocal(fmt.total, total)
    out = telescope([v * r >> shift for v in e])
    if fmt.capped:
        peak = e[length - 1] == 1 << 22 and total <= ((fmt.total << 24) - 1) // (4 * fmt.total - 3)
        out = capped(out, fmt.total, length - 1, peak)
    return [v + fmt.zero_point for v in out]


def norm_constants(n, total, squares, eps, rms):
    """(A, B, k - FB), or None for a constant row."""
    v0 = n * squares - (0 if rms else total * total)
    if v0 == 0:
        return None
    v = v0 + eps
    h = (36 - v.bit_length()) >> 1
    d = math.isqrt(v << 2 * h if h >= 0 else v >> -2 * h)
    assert 1 << 17 <= d < 1 << 18
    nb = n.bit_length()
    a = (((n << (11 - nb)) << 24) + (d >> 1)) // d
    k = 25 - nb - h
    mean = 1 << 47 if rms else ((total + (n << 15)) << 32) // n
    b = (a * mean + (1 << (31 + k - 12))) >> (32 + k - 12)
    return a, b, k - 12


def norm_increment(x, a, b, shift):
    product = a * (x + (1 << 15))
    return (product >> shift if shift >= 0 else product << -shift) - b


def clip(value, narrow):
    low, high = (-128, 127) if narrow else (-32768, 32767)
    return min(max(value, low), high)


def norm(x, eps, rms, length):
    valid = x[:length]
    found = norm_constants(length, sum(valid), sum(v * v for v in valid), eps, rms)
    if found is None:
        return [0] * len(x)
    w = [norm_increment(v, *found) if i < length else 0 for i, v in enumerate(x)]
    y = telescope(w, carried=not rms)
    return [clip(v, False) for v in y] if rms else y


def affine(y, gamma, beta, shift, beta_shift, narrow):
    value = Fraction(y * gamma + beta * 2**beta_shift, 2**shift) + (Fraction(1, 2) if shift else 0)
    return clip(math.floor(value), narrow)


# Blocks ------------------------------------------------------------------------------------------

S16 = [-32768, -32767, -1, 0, 1, 2, 255, 32766, 32767]


def s16(rng):
    return rng.choice(S16) if rng.random() < 0.2 else rng.randint(-32768, 32767)


class Unit:
    """A block under test: its ports, cases, and what the equations say of them.

    ``block`` makes the instance from a dict of Signals; ``ports`` maps each name to a function that makes its Signal;
    ``outputs`` names those the block drives. ``play(rng)`` yields dicts of inputs, one a cycle, and is sent the dict of
    outputs of the same cycle, to assert on.
    """

    clocked = False
    unwritten = 0  # cycles at the start in which outputs may be X

    def instance(self, signals):
        clock = {"sys_clk": signals["sys_clk"], "sys_rst": signals["sys_rst"]} if self.clocked else {}
        return self.block(**clock, **{name: signals[name] for name in self.ports})


class Combinational(Unit):
    """Subclasses give ``cases(rng)``, tuples of inputs, and ``reference(*inputs)``, the outputs."""

    def play(self, rng):
        inputs = [name for name in self.ports if name not in self.outputs]
        for case in self.cases(rng):
            case = tuple(case)
            seen = yield dict(zip(inputs, case, strict=True))
            expected = self.reference(*case)
            expected = expected if isinstance(expected, tuple) else (expected,)
            assert tuple(seen[name] for name in self.outputs) == expected, dict(zip(inputs, case, strict=True))


class Octaves(Combinational):
    block = staticmethod(m.octaves)
    ports = dict(t=lambda: m.bits(16), multiplier=lambda: m.bits(16), shift=lambda: m.bits(5), d=lambda: m.bits(20))
    outputs = ("d",)
    reference = staticmethod(octaves)

    def cases(self, rng):
        edges = [0, 1, 65535]
        yield from [(t, k, s) for t in edges for k in edges for s in range(32)]
        for s in range(32):
            # The last t that is not saturated, and the first that is.
            t = ((1 << 20) << s) // (40000 << 6)
            yield from [(v, 40000, s) for v in (t, t + 1) if v < 65536]
        yield from [(rng.randrange(65536), rng.randrange(65536), rng.randrange(32)) for _ in range(300)]


class Exp2(Combinational):
    block = staticmethod(m.exp2)
    ports = dict(d=lambda: m.bits(20), e=lambda: m.up_to(1 << 22))
    outputs = ("e",)
    reference = staticmethod(exp2)

    def cases(self, rng):
        ends = [i * 1024 + low for i in range(64) for low in (0, 1, 1023)]
        far = [(whole << 15) + low for whole in range(2, 32) for low in (0, 1, 32767)]
        yield from [(d,) for d in ends + far + [rng.randrange(1 << 20) for _ in range(300)]]


class BitLength(Combinational):
    block = staticmethod(m.bit_length)
    ports = dict(value=lambda: m.bits(33), length=lambda: m.up_to(33))
    outputs = ("length",)
    reference = staticmethod(int.bit_length)

    def cases(self, rng):
        yield from [(0,)] + [(v,) for i in range(33) for v in {1 << i, (2 << i) - 1}]


class Formats(Combinational):
    block = staticmethod(m.formats)
    ports = dict(format=lambda: m.bits(3), total=lambda: m.bits(17), offset=lambda: m.bits(16),
                 capped=lambda: Signal(False), peak_limit=lambda: m.bits(23))
    outputs = ("total", "offset", "capped", "peak_limit")

    def cases(self, rng):
        yield from [(f.code,) for f in FORMAT_LIST]

    def reference(self, code):
        # By hand, and not from FORMATS: T, minus the zero point, capped.
        total, offset, cap = [(255, 0, 0), (256, 128, 1), (32768, 0, 0), (65536, 32768, 1), (65535, 0, 0)][code]
        # The largest S with S * (4T - 3) < T * 2^24.
        limit = next(s for s in range(1 << 22, 1 << 23) if (s + 1) * (4 * total - 3) >= total << 24) if cap else 0
        return total, offset, cap, limit


class SoftmaxIncrement(Combinational):
    block = staticmethod(m.softmax_increment)
    ports = dict(e=lambda: m.up_to(1 << 22), r=lambda: m.bits(18), shift=lambda: m.up_to(22), z=lambda: m.bits(41))
    outputs = ("z",)

    def cases(self, rng):
        for s in [1 << 22, (1 << 22) + 1, (1 << 23) - 1, 1 << 23, 1 << 32] + [rng.randint(1 << 22, 1 << 32)
                                                                            for _ in range(50)]:
            r, shift = reciprocal(rng.choice(FORMAT_LIST).total, s)
            yield from [(e, r, shift) for e in (0, 1, 1 << 22, rng.randrange(1 << 22))]

    def reference(self, e, r, shift):
        return math.floor(Fraction(e * r, 1 << shift))


class NormIncrement(Combinational):
    block = staticmethod(m.norm_increment)
    ports = dict(x=lambda: m.signed(16), gain=lambda: m.bits(18), offset=lambda: m.bits(63),
                 shift=lambda: Signal(intbv(0, min=-15, max=21)), w=lambda: m.signed(64))
    outputs = ("w",)
    reference = staticmethod(norm_increment)

    def cases(self, rng):
        for shift in range(-15, 21):
            for x in (-32768, 32767, s16(rng), s16(rng)):
                gain = rng.choice([1 << 16, (1 << 18) - 1, rng.randrange(1 << 16, 1 << 18)])
                yield x, gain, rng.randrange(1 << 49), shift


class Clip(Combinational):
    block = staticmethod(m.clip)
    ports = dict(value=lambda: m.signed(64), narrow=lambda: Signal(False), out=lambda: m.signed(16))
    outputs = ("out",)
    reference = staticmethod(clip)

    def cases(self, rng):
        edges = [0, *(sign * (1 << i) + d for i in (7, 15, 16, 40, 62) for sign in (-1, 1) for d in (-1, 0, 1))]
        yield from [(v, narrow) for v in edges for narrow in (0, 1)]


class AffineUnit(Combinational):
    block = staticmethod(m.affine)
    ports = dict(y=lambda: m.signed(16), gamma=lambda: m.signed(16), beta=lambda: m.signed(16),
                 shift=lambda: m.bits(5), beta_shift=lambda: m.bits(4), narrow=lambda: Signal(False),
                 out=lambda: m.signed(16))
    outputs = ("out",)
    reference = staticmethod(affine)

    def cases(self, rng):
        for y in (-32768, 32767):
            for gamma in (-32768, 32767):
                for beta in (-32768, 32767):
                    yield from [(y, gamma, beta, shift, bs, 0) for shift in (0, 1, 30, 31) for bs in (0, 15)]
        for shift in range(32):
            for _ in range(12):
                yield s16(rng), s16(rng), s16(rng), shift, rng.randrange(16), rng.randrange(2)
        # Halves go up: y * gamma is an odd number of half units.
        yield from [(y, 1 << (shift - 1), 0, shift, 0, 0) for shift in range(1, 16) for y in (-3, -1, 1, 3)]


class Started(Unit):
    """A block with start and done. ``cases``, ``reference`` as above; ``latency(*inputs)`` is from start to done."""

    clocked = True

    def play(self, rng):
        inputs = [name for name in self.ports if name not in (*self.outputs, "start", "done")]
        for case in self.cases(rng):
            case = tuple(case)
            given = dict(zip(inputs, case, strict=True))
            seen = yield {**given, "start": 1}
            assert not seen["done"]
            for _ in range(self.latency(*case) - 1):
                seen = yield {**given, "start": 0}
                assert not seen["done"], given
            seen = yield {**given, "start": 0}
            assert seen["done"], given
            self.compare(given, seen, self.reference(*case))
            for _ in range(rng.randrange(3)):
                seen = yield {**given, "start": 0}
                assert not seen["done"]

    def compare(self, given, seen, expected):
        expected = expected if isinstance(expected, tuple) else (expected,)
        assert tuple(seen[name] for name in self.outputs) == expected, given


class Divider(Started):
    block = staticmethod(m.divider)
    ports = dict(start=lambda: Signal(False), dividend=lambda: m.bits(35), divisor=lambda: m.bits(18),
                 done=lambda: Signal(False), quotient=lambda: m.bits(35))
    outputs = ("quotient",)
    reference = staticmethod(int.__floordiv__)

    def cases(self, rng):
        top, by = (1 << 35) - 1, (1 << 18) - 1
        yield from [(0, 1), (top, 1), (top, by), (by, by), (by - 1, by), (by + 1, by), (top, 2), (1, top >> 17)]
        yield from [(rng.getrandbits(rng.randint(1, 35)), rng.randrange(1, 1 << rng.randint(1, 18))) for _ in range(40)]

    def latency(self, dividend, divisor):
        return 36


class SquareRoot(Started):
    block = staticmethod(m.square_root)
    ports = dict(start=lambda: Signal(False), radicand=lambda: m.bits(36), done=lambda: Signal(False),
                 root=lambda: m.bits(18))
    outputs = ("root",)
    reference = staticmethod(math.isqrt)

    def cases(self, rng):
        roots = [1, 2, 3, 1 << 17, (1 << 18) - 1] + [rng.getrandbits(18) + 1 for _ in range(20)]
        yield from [(0,), ((1 << 36) - 1,), (1 << 34,)]
        yield from [(v,) for q in roots for v in (q * q - 1, q * q, q * q + 1) if v < 1 << 36]

    def latency(self, radicand):
        return 19


class Reciprocal(Started):
    block = staticmethod(m.reciprocal)
    ports = dict(start=lambda: Signal(False), total=lambda: m.bits(17), s=lambda: m.bits(33),
                 done=lambda: Signal(False), r=lambda: m.bits(18), shift=lambda: m.up_to(22))
    outputs = ("r", "shift")
    reference = staticmethod(reciprocal)

    def cases(self, rng):
        edges = [1 << 22, (1 << 22) + 1, (1 << 23) - 1, 1 << 23, (1 << 32) - 1, 1 << 32]
        for fmt in FORMAT_LIST:
            yield from [(fmt.total, s) for s in edges + [rng.randint(1 << 22, 1 << 32) for _ in range(4)]]

    def latency(self, total, s):
        return 55


class NormConstants(Started):
    block = staticmethod(m.norm_constants)
    ports = dict(start=lambda: Signal(False), rms=lambda: Signal(False), length=lambda: m.up_to(1024),
                 total=lambda: Signal(intbv(0, min=-(1 << 25), max=(1 << 25) + 1)), squares=lambda: m.up_to(1 << 40),
                 eps=lambda: m.bits(51), done=lambda: Signal(False), constant=lambda: Signal(False),
                 gain=lambda: m.bits(18), offset=lambda: m.bits(63), shift=lambda: Signal(intbv(0, min=-15, max=21)))
    outputs = ("constant", "gain", "offset", "shift")

    def cases(self, rng):
        rows = [[0], [1], [-32768], [7] * 5, [-32768] * 1024, [32767] * 1024, [-32768, 32767] * 512, [0] * 1023 + [1],
                [0] * 1023 + [-32768], [-1, 0], [0, 1], [-32768, -32767], [32767, 32766] * 512]
        for _ in range(25):
            spread = rng.choice([1, 20, 3000, 32767])
            rows.append([rng.randint(-spread, spread) for _ in range(rng.choice([1, 2, 3, 64, 700, 1023, 1024]))])
        for row in rows:
            for rms in (0, 1):
                eps = rng.choice([0, 1, rng.getrandbits(rng.randint(1, 51)), (1 << 51) - 1])
                yield rms, len(row), sum(row), sum(v * v for v in row), eps

    def reference(self, rms, length, total, squares, eps):
        return norm_constants(length, total, squares, eps, rms)

    def latency(self, rms, length, total, squares, eps):
        if self.reference(rms, length, total, squares, eps) is None:
            return 2
        return 85 if rms else 146

    def compare(self, given, seen, expected):
        assert seen["constant"] == (expected is None), given
        if expected is not None:
            assert (seen["gain"], seen["offset"], seen["shift"]) == expected, given


class CarriedFraction(Unit):
    clocked = True
    block = staticmethod(m.carried_fraction)
    ports = dict(clear=lambda: Signal(False), step=lambda: Signal(False), carry=lambda: Signal(False),
                 z=lambda: m.signed(50), out=lambda: m.signed(50))
    outputs = ("out",)

    def play(self, rng):
        rows = [[0], [2047], [2048], [-2048], [-2049], [1] * 40, [-1] * 40, [4095, 1, 2048, 2047]]
        rows += [[1 << 40, -(1 << 40)]]
        rows += [[rng.randint(-(1 << 28), 1 << 28) for _ in range(rng.randint(1, 20))] for _ in range(20)]
        for row in rows:
            for carry in (1, 0):
                yield dict(clear=1, step=0, carry=carry, z=rng.randint(-9, 9))
                for z, expected in zip(row, telescope(row, carry), strict=True):
                    for _ in range(rng.randrange(2)):  # A stall: nothing moves without step.
                        yield dict(clear=0, step=0, carry=carry, z=rng.randint(-9999, 9999))
                    seen = yield dict(clear=0, step=1, carry=carry, z=z)
                    assert seen["out"] == expected, (row, carry)


class Cap(Unit):
    clocked = True
    block = staticmethod(m.cap)
    ports = dict(clear=lambda: Signal(False), step=lambda: Signal(False), capped=lambda: Signal(False),
                 peak=lambda: Signal(False), total=lambda: m.bits(17), length=lambda: m.bits(11),
                 index=lambda: m.bits(10), value=lambda: m.signed(64), out=lambda: m.signed(64))
    outputs = ("out",)

    def play(self, rng):
        for total in (256, 65536):
            rows = [[0] * i + [total] + [0] * (5 - i) for i in range(6)]
            rows += [[total - 1, 1], [1, total - 1], [total // 2] * 2, [0, 0, total - 7, 7], [total]]
            for row in rows:
                for on, peak in ((0, 0), (1, 0), (1, 1)):
                    length = len(row) - (rng.randrange(2) if peak and len(row) > 1 else 0)
                    wanted = capped(row, total, length - 1, peak) if on else row
                    same = dict(capped=on, peak=peak, total=total, length=length)
                    yield dict(clear=1, step=0, index=0, value=total, **same)
                    for index, (value, expected) in enumerate(zip(row, wanted, strict=True)):
                        for _ in range(rng.randrange(2)):
                            yield dict(clear=0, step=0, index=index, value=rng.choice([0, total]), **same)
                        seen = yield dict(clear=0, step=1, index=index, value=value, **same)
                        assert seen["out"] == expected, (row, same)


class Statistics(Unit):
    clocked = True
    block = staticmethod(m.statistics)
    ports = dict(clear=lambda: Signal(False), step=lambda: Signal(False), x=lambda: m.signed(16),
                 maximum=lambda: m.signed(16), total=lambda: Signal(intbv(0, min=-(1 << 25), max=(1 << 25) + 1)),
                 squares=lambda: m.up_to(1 << 40))
    outputs = ("maximum", "total", "squares")

    def play(self, rng):
        rows = [[-32768] * 1024, [32767] * 1024, [-32768], [5], [-3, -2, -9]]
        rows += [[s16(rng) for _ in range(rng.randint(1, 40))] for _ in range(10)]
        for row in rows:
            yield dict(clear=1, step=0, x=s16(rng))
            for x in row:
                while rng.random() < 0.1:
                    yield dict(clear=0, step=0, x=s16(rng))
                yield dict(clear=0, step=1, x=x)
            seen = yield dict(clear=0, step=0, x=s16(rng))
            assert (seen["maximum"], seen["total"], seen["squares"]) == (max(row), sum(row), sum(v * v for v in row))


class MemoryUnit(Unit):
    unwritten = 4
    ports = dict(write=lambda: Signal(False), address=lambda: m.bits(4), data=lambda: m.signed(16),
                 read_address=lambda: m.bits(4), read_data=lambda: m.signed(16))
    outputs = ("read_data",)

    @staticmethod
    def block(sys_clk, sys_rst, **ports):
        return m.memory(sys_clk, **ports)

    clocked = True

    def play(self, rng):
        words = [s16(rng) for _ in range(16)]
        for address, data in enumerate(words):
            yield dict(write=1, address=address, data=data, read_address=0)
        expected = words[0]
        for _ in range(200):
            address, data, write, read = rng.randrange(16), s16(rng), rng.randrange(2), rng.randrange(16)
            seen = yield dict(write=write, address=address, data=data, read_address=read)
            assert seen["read_data"] == expected
            expected = words[read]
            if write:
                words[address] = data


UNITS = {u.__name__: u for u in (Octaves, Exp2, BitLength, Formats, SoftmaxIncrement, NormIncrement, Clip, AffineUnit,
                                 Divider, SquareRoot, Reciprocal, NormConstants, CarriedFraction, Cap, Statistics,
                                 MemoryUnit)}


def playing(unit, signals, seed, done, same=lambda: None):
    """The MyHDL generator that plays a Unit on its Signals; ``same`` is called in each cycle."""
    play = unit.play(random.Random(seed))
    given = next(play)
    yield signals["sys_clk"].posedge
    yield signals["sys_clk"].posedge
    yield signals["sys_clk"].posedge
    while True:
        for name, value in given.items():
            signals[name].next = value
        yield signals["sys_clk"].posedge
        same()
        try:
            given = play.send({name: int(signals[name]) for name in unit.outputs + (
                ("done",) if "done" in signals else ())})
        except StopIteration:
            done.append(True)
            return


def clock(clk, rst, done):
    cycle = 0
    while not done:
        rst.next = cycle < 2
        yield delay(1)
        clk.next = True
        yield delay(1)
        clk.next = False
        cycle += 1
    raise StopSimulation


def fresh(unit):
    return {"sys_clk": Signal(False), "sys_rst": ResetSignal(0, active=1, isasync=False),
            **{name: make() for name, make in unit.ports.items()}}


@pytest.mark.parametrize("name", UNITS)
def test_block_equals_equations(name):
    unit = UNITS[name]()
    signals, done = fresh(unit), []
    simulation = Simulation(unit.instance(signals), clock(signals["sys_clk"], signals["sys_rst"], done),
                            playing(unit, signals, 1, done))
    try:
        simulation.run(quiet=1)
    finally:
        simulation.quit()
    assert done


def converted(unit, name):
    """Verilog of a Unit; what the converter warns of is an error."""
    signals = fresh(unit)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ToVerilogWarning)
        return m.verilog(unit.instance(signals), name)


@pytest.mark.parametrize("name", UNITS)
def test_converted_verilog_equals_block(name):
    """Each output of the converted Verilog, in Icarus, equals the block's in each cycle, and is never X."""
    unit = UNITS[name]()
    top = f"myhdl_{name.lower()}"
    done = []
    with CoSim(converted(unit, top), top, seed=2) as dut:
        # The Verilog's inputs are the block's; its outputs are Signals of their own.
        signals = fresh(unit)
        outputs = [port for direction, port, _, _ in dut.ports if direction == "output"]
        shared = {port: signal for port, signal in vars(dut.sig).items() if port not in outputs}
        signals.update(shared)

        def same():
            if dut.cycle < unit.unwritten:
                return
            dut.require(*outputs)
            for port in outputs:
                assert getattr(dut.sig, port) == signals[port], dut.text(f"{port} differs")

        dut.run(unit.instance(signals), playing(unit, signals, 2, done, same), until=lambda: done)
    assert done


# The core ----------------------------------------------------------------------------------------


def row_of(rng, number, n, op=None, fmt=None):
    """A Row with random constants, and elements that are now and then adversarial."""
    op = rng.choice(c.OPS) if op is None else op
    kind = rng.randrange(5)
    if kind == 0:
        x = [rng.choice([-32768, 32767]) for _ in range(n)]
    elif kind == 1:
        x = [rng.choice(S16)] * n
    elif kind == 2:
        x = [rng.choice(S16)] * n
        x[rng.choice([0, n - 1, rng.randrange(n)])] = s16(rng)
    else:
        spread = rng.choice([2, 200, 32767])
        x = [rng.randint(-spread, spread) for _ in range(n)]
    params = dict(op=c.OPS.index(op), length=rng.choice([n, n, rng.randint(1, n)]))
    if op == "softmax":
        params["format"] = FORMATS[fmt].code if fmt else rng.randrange(5)
        params["scale_multiplier"] = rng.choice([0, 65535, rng.randrange(65536)])
        params["scale_shift"] = rng.randrange(32)
    else:
        params["eps"] = rng.choice([0, 1, rng.getrandbits(rng.randint(1, 51))])
        params["affine"] = rng.randrange(2)
        params["out_s8"] = rng.randrange(2)
        params["affine_shift"] = rng.randrange(32)
        params["beta_shift"] = rng.randrange(16)
    names = ("op", "format", "length", "scale_multiplier", "scale_shift", "eps", "affine", "out_s8", "affine_shift",
             "beta_shift")
    return Row(number, x, {name: params.get(name, 0) for name in names})


def expected_codes(row, gamma, beta):
    """u16 codes of a Row by the equations."""
    p, x = row.params, row.elements
    if p["op"] == 0:
        codes = softmax(x, p["scale_multiplier"], p["scale_shift"], FORMAT_LIST[p["format"]], p["length"])
    else:
        codes = norm(x, p["eps"], p["op"] == 2, p["length"])
        if p["affine"]:
            codes = [affine(y, gamma[i], beta[i], p["affine_shift"], p["beta_shift"], p["out_s8"])
                     for i, y in enumerate(codes)]
    return [v & 0xFFFF for v in codes]


def describe(rows, gamma=(), beta=(), max_length=64, stall=0.0, seed=0):
    """Run Rows through the description alone; their codes and pulses are filled in."""
    clk, done = Signal(False), []
    description = Description(LiteNormConfig(lanes=1, max_length=max_length), clk, stall, seed)
    description.weights.extend((list(values), code) for values, code in ((gamma, 0), (beta, 1)) if len(values))
    description.rows.extend(rows)

    def ticks():
        limit = 1000 + sum(400 + 8 * len(row.elements) for row in rows)
        for _ in range(limit):
            yield delay(1)
            clk.next = True
            yield delay(1)
            clk.next = False
            if description.idle:
                done.append(True)
                raise StopSimulation
        raise AssertionError(f"not done after {limit} cycles, seed {seed}")

    simulation = Simulation(*description.process(), ticks())
    try:
        simulation.run(quiet=1)
    finally:
        simulation.quit()
    assert [row.number for row in description.finished] == [row.number for row in rows]
    return list(description.finished)


@pytest.mark.parametrize("op", c.OPS)
@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_core_equals_equations(op, stall):
    seed = 3 + c.OPS.index(op)
    rng = random.Random(seed)
    gamma, beta = ([s16(rng) for _ in range(64)] for _ in range(2))
    lengths = [1, 2, 3, 64] + [rng.randint(1, 64) for _ in range(36)]
    rows = describe([row_of(rng, i, n, op) for i, n in enumerate(lengths)], gamma, beta, stall=stall, seed=seed)
    for row in rows:
        assert row.codes == expected_codes(row, gamma, beta), (str(row), row.elements, row.params, seed)
        n, x = row.params["length"], row.elements[: row.params["length"]]
        constant = op != "softmax" and (set(x) == {0} if op == "rmsnorm" else n * sum(v * v for v in x) == sum(x) ** 2)
        assert row.pulses == {"row_done": True, "row_error": False, "constant_row": constant}, str(row)


@pytest.mark.parametrize("op", c.OPS)
def test_longest_rows(op):
    rng = random.Random(17)
    rows = [row_of(rng, i, n, op) for i, n in enumerate((1024, 1023))]
    # The largest sums that there are: S = 2^32, and |Sx| and Sxx of 1024 times -2^15.
    rows.append(Row(2, [-32768] * 1024, {**rows[0].params, "length": 1024}))
    rows.append(Row(3, [32767, -32768] * 512, {**rows[0].params, "length": 1024}))
    gamma, beta = ([s16(rng) for _ in range(1024)] for _ in range(2))
    for row in describe(rows, gamma, beta, max_length=1024):
        assert row.codes == expected_codes(row, gamma, beta), (str(row), row.params)
        assert not row.pulses["row_error"]


@pytest.mark.parametrize("fmt", FORMATS)
def test_rows_with_one_peak(fmt):
    """Where the cap rules act: one element holds all, or nearly all, of the sum, at each place of a row."""
    rows = []
    for n in (1, 2, 5):
        for at in range(n):
            for low in (32767, 32766, -32768):
                for shift in (9, 12, 17):
                    x = [low] * n
                    x[at] = 32767
                    rows.append(Row(len(rows), x, dict(op=0, format=FORMATS[fmt].code, length=n, scale_multiplier=40000,
                                                       scale_shift=shift, eps=0, affine=0, out_s8=0, affine_shift=0,
                                                       beta_shift=0)))
    total, zero = FORMATS[fmt].total, FORMATS[fmt].zero_point
    for row in describe(rows):
        assert row.codes == expected_codes(row, (), ()), (str(row), row.elements, row.params)
        codes = [code - (1 << 16 if zero < 0 and code >> 15 else 0) for code in row.codes]
        exception = FORMATS[fmt].capped and len(codes) == 1
        assert sum(code - zero for code in codes) == total - exception


def test_core_equals_model():
    """The NumPy model, as a black box, on the same rows."""
    seed = 23
    rng = random.Random(seed)
    gamma, beta = ([s16(rng) for _ in range(64)] for _ in range(2))
    config = LiteNormConfig(lanes=1, max_length=64)
    rows = [row_of(rng, i, rng.randint(1, 64)) for i in range(60)]
    for row in rows:
        # The model takes eps as a real number, in units of LSB^2: EPS / n^2 must be one.
        row.params["eps"] = rng.randrange(4) * row.params["length"] ** 2
    for row in describe(rows, gamma, beta, seed=seed):
        p, x = row.params, np.array(row.elements)
        n, length = len(x), p["length"]
        if p["op"] == 0:
            scale = Scale(p["scale_multiplier"], p["scale_shift"])
            expected = model.softmax(x, scale, FORMAT_LIST[p["format"]], length=length, config=config)
        else:
            run = model.layernorm if p["op"] == 1 else model.rmsnorm
            after = None
            if p["affine"]:
                after = Affine(np.array(gamma[:n]), np.array(beta[:n]), p["affine_shift"], p["beta_shift"],
                               "s8" if p["out_s8"] else "s16")
            expected = run(x, eps=p["eps"] / length**2, length=length, affine=after, config=config)
        assert row.codes == [int(v) & 0xFFFF for v in expected], (str(row), row.elements, p, seed)


def converted_core(config, depth):
    ports = {"sys_clk": Signal(False), "sys_rst": ResetSignal(0, active=1, isasync=False), **m.core_ports(config)}
    with warnings.catch_warnings():
        warnings.simplefilter("error", ToVerilogWarning)
        return m.verilog(m.core(**ports, depth=depth), "litenorm_myhdl")


@pytest.mark.parametrize("reset_at", [(), (150, 700, 701, 1500)])
def test_converted_core_equals_core(reset_at):
    """The core's own Verilog in lock-step with it, under stalls of both, with resets in mid-row and no X."""
    config = LiteNormConfig(lanes=1, max_length=20)
    text = converted_core(config, 20)
    rng = random.Random(31)
    rows = [row_of(rng, i, rng.randint(1, 20)) for i in range(30)]
    with CoSim(text, "litenorm_myhdl", seed=31) as dut:
        sink, weights = StreamPort.of_ports("sink", dut.widths), StreamPort.of_ports("weights", dut.widths)
        beats = np.concatenate([sink.packets([row.elements], bits=16, **row.params) for row in rows])
        loads = [weights.packets([[s16(rng) for _ in range(20)]], bits=16, beta=i) for i in (0, 1)]
        drivers = {"sink": StreamDriver(dut, "sink", beats, 0.2),
                   "weights": StreamDriver(dut, "weights", np.concatenate(loads), 0.2)}
        drivers["sink"].after = drivers["weights"]
        monitors = {"source": StreamMonitor(dut, "source", 0.3)}
        follower = Follower(config, 0.1)
        agents = [*drivers.values(), *monitors.values()]
        generators = [agent.process() for agent in agents] + follower.start(dut, drivers, monitors)

        def until():
            sent = all(driver.done for driver in drivers.values()) and follower.done
            return sent and dut.cycle - max(agent.moved for agent in agents) > 300

        dut.run(*generators, until=until, max_cycles=30_000, reset_at=reset_at)
        follower.check()
    assert follower.beats >= (sum(len(row.elements) for row in rows) if not reset_at else 150)


def test_convertible_text_has_no_date_and_is_the_same_on_every_call():
    config = LiteNormConfig(lanes=1, max_length=20)
    text = converted_core(config, 20)
    assert text == converted_core(config, 20)
    assert text.startswith("module litenorm_myhdl (") and "//" not in text


def test_rows_that_are_too_long_are_refused():
    with pytest.raises(ValueError, match="max_length is 2048; good: up to 1024"):
        m.core_ports(LiteNormConfig(max_length=2048, ops=("softmax",)))
    with pytest.raises(ValueError, match="config is a LiteNormConfig, not int"):
        m.core_ports(64)
