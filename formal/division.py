# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Proofs about accel/divider.py and accel/variance.py: division, square root, products, normalizing shift.

A product of two numbers is kept as ghost state by shift and add, one bit a step. So the invariants need no multiplier
and hold at full width; that shift and add is the product is a line of algebra (`lemmas.horner`), and with `multiply` a
real multiplication is compared with it at small widths.
"""

from litex.gen import *
from migen import *

from litenorm.accel.divider import DigitProduct, Divider, LeadingShift, SquareRoot
from litenorm.accel.variance import Variance
from litenorm.formal.harness import Harness, inner


class DividerProof(Harness):
    """divisor * quotient_so_far + remainder == the dividend's consumed part, 0 <= remainder < divisor."""

    def __init__(self, divisor_bits, quotient_bits, steps, together=1, multiply=False):
        super().__init__()
        self.dut = dut = Divider(divisor_bits, quotient_bits, steps, together)
        self.free(dut.start, dut.high, dut.low, dut.divisor)
        self.assume("high_below_divisor", ~dut.start | (dut.high < dut.divisor))

        # # #

        running, count = inner(dut, "running"), inner(dut, "count")
        bits = [inner(dut, f"bit{i}") for i in range(steps)]
        width = divisor_bits + quotient_bits
        active = Signal()               # a division was started
        divisor = Signal(divisor_bits)
        dividend = Signal(width)
        window = Signal(width + quotient_bits)   # the dividend; its consumed part is above the lowest quotient_bits
        consumed = Signal(width)
        product = Signal(width)         # divisor * quotient so far, by shift and add
        quotient = Signal(quotient_bits)    # so far
        fresh = Signal(quotient_bits)   # ones where dut.quotient holds quotient bits
        next_product, next_quotient = product, quotient
        for bit in bits:
            next_product = self.named((next_product << 1) + Mux(bit, divisor, 0), f"product_{len(next_product)}", width)
            next_quotient = self.named(Cat(bit, next_quotient[:-1]), "quotient_next", quotient_bits)
        self.comb += consumed.eq(window[quotient_bits:])
        self.sync += [
            If(running,
                product.eq(next_product),
                quotient.eq(next_quotient),
                window.eq(window << steps),
                fresh.eq((fresh << steps) | (2**steps - 1)),
            ).Elif(dut.start,
                active.eq(1),
                divisor.eq(dut.divisor),
                dividend.eq(Cat(dut.low, dut.high)),
                window.eq(Cat(dut.low, dut.high)),
                product.eq(0),
                quotient.eq(0),
                fresh.eq(0),
            ),
        ]

        cycles = quotient_bits // steps
        moved = Signal(width + quotient_bits)
        ones = Signal(quotient_bits)
        self.comb += Case(count, {
            n: [moved.eq(dividend << (steps * (cycles - n))), ones.eq(2 ** (steps * (cycles - n)) - 1)]
            for n in range(cycles + 1)
        })
        self.reach(dut.done)
        self.prove("invariant", ~active | (product + dut.remainder == consumed))
        self.prove("remainder_below_divisor", ~active | (dut.remainder < divisor))
        self.prove("done_is_exact", ~dut.done | (
            (product + dut.remainder == dividend) & (dut.quotient == quotient) & (dut.remainder < divisor)))
        # What the induction needs to know besides.
        self.support("same_divisor", ~active | (divisor == inner_register(dut, "divisor")))
        for m in range(3, 2**together, 2):
            self.support(f"times{m}", ~active | (inner(dut, f"times{m}") == self.named(
                divisor * m, f"times{m}_ghost", divisor_bits + together)))
        self.support("count", (count <= cycles) & (running == (count != 0)))
        self.support("started", active == (running | dut.done))
        self.support("never_both", ~(running & dut.done))
        self.support("window", ~active | ((window == moved) & (fresh == ones)))
        self.support("quotient_enters", ~active | (
            (dut.quotient & fresh == quotient) & (dut.quotient & ~fresh == window[:quotient_bits])))
        self.support("product_fits", ~active | (product <= consumed))
        if multiply:
            self.prove("product", product == divisor_product(self, divisor, quotient, width))


def divisor_product(harness, a, b, width):
    return harness.named(a * b, "multiplied", width)


def inner_register(dut, name):
    """The register called `name` inside a unit that has a port of the same name."""
    from migen.fhdl.tools import list_targets

    found = [s for s in list_targets(dut._fragment.sync["sys"])
             if (s.name_override or s.backtrace[-1][0]) == name and s is not getattr(dut, name)]
    if len(found) != 1:
        raise ValueError(f"{type(dut).__name__} has {len(found)} registers named {name}; good: 1")
    return found[0]


class SquareRootProof(Harness):
    """root^2 + remainder == the value's consumed part, 0 <= remainder <= 2 * root; so root = floor(sqrt(value)).

    With `upper_bits` the value's upper part is what was consumed before: any square, of which only that it goes with
    `upper` and `upper_remainder` is assumed. That it is upper^2 is the same proof of the unit before.
    """

    def __init__(self, root_bits, steps, upper_bits=0, multiply=False):
        super().__init__()
        self.dut = dut = SquareRoot(root_bits, steps, upper_bits)
        self.free(dut.start, dut.value)
        all_bits = upper_bits + root_bits
        width = 2 * all_bits
        square_before = Signal(max(2 * upper_bits, 1))
        if upper_bits:
            self.free(dut.upper, dut.upper_remainder, square_before)
            self.assume("remainder_before", ~dut.start | (dut.upper_remainder <= (dut.upper << 1)))
            # upper^2 is below 4^upper_bits, and so is upper^2 + 2 * upper.
            self.assume("square_before", ~dut.start | (square_before + (dut.upper << 1) < 4**upper_bits))
            if multiply:
                self.assume("square_of_upper", ~dut.start | (
                    square_before == divisor_product(self, dut.upper, dut.upper, 2 * upper_bits)))

        # # #

        running, count, remainder = inner(dut, "running"), inner(dut, "count"), dut.remainder
        bits = [inner(dut, f"bit{i}") for i in range(steps)]
        active = Signal()
        value = Signal(width)
        window = Signal(width + 2 * root_bits)
        consumed = Signal(width)
        before = Signal(width)          # upper^2 + upper_remainder
        upper = Signal(upper_bits) if upper_bits else C(0)
        square = Signal(width)          # root^2: (2r + b)^2 = 4r^2 + b(4r + 1)
        next_square, next_root = square, dut.root
        for i, bit in enumerate(bits):
            next_square = self.named((next_square << 2) + Mux(bit, (next_root << 2) + 1, 0), f"square{i}", width)
            next_root = self.named(Cat(bit, next_root[:-1]), f"root{i}", all_bits)
        self.comb += [
            consumed.eq(window[2 * root_bits :]),
            before.eq(square_before + dut.upper_remainder if upper_bits else 0),
        ]
        self.sync += [
            If(running,
                square.eq(next_square),
                window.eq(window << (2 * steps)),
            ).Elif(dut.start,
                active.eq(1),
                value.eq(Cat(dut.value, before)),
                window.eq(Cat(dut.value, before)),
                square.eq(square_before if upper_bits else 0),
                *([upper.eq(dut.upper)] if upper_bits else []),
            ),
        ]
        cycles = root_bits // steps
        moved, limit = Signal(len(window)), Signal(all_bits + 1)
        self.comb += Case(count, {
            n: [moved.eq(value << (2 * steps * (cycles - n))), limit.eq((upper + 1) << (steps * (cycles - n)))]
            for n in range(cycles + 1)
        })
        self.reach(dut.done)
        self.prove("invariant", ~active | (square + remainder == consumed))
        self.prove("remainder_at_most_2_root", ~active | (remainder <= (dut.root << 1)))
        self.prove("done_is_floor", ~dut.done | ((square + remainder == value) & (remainder <= (dut.root << 1))))
        self.support("count", (count <= cycles) & (running == (count != 0)))
        self.support("started", active == (running | dut.done))
        self.support("never_both", ~(running & dut.done))
        self.support("window", ~active | (
            (window == moved) & (inner_register(dut, "value") == window[: 2 * root_bits])))
        self.support("root_fits", ~active | (dut.root < limit))
        self.support("square_fits", ~active | (square <= consumed))
        if multiply:
            self.prove("square", ~active | (square == divisor_product(self, dut.root, dut.root, width)))


class DigitProductProof(Harness):
    """product == seed * 2^(bits of the digits so far) + factor * (number of these digits), modulo 2^product_bits."""

    def __init__(self, factor_bits, digit_bits, product_bits):
        super().__init__()
        self.dut = dut = DigitProduct(factor_bits, digit_bits, product_bits)
        self.free(dut.load, dut.seed, dut.strobe, dut.digit)
        self.constant(dut.factor)
        self.assume("not_both", ~(dut.load & dut.strobe))

        # # #

        loaded, moved, number = Signal(), Signal(product_bits), Signal(product_bits)
        self.sync += [
            If(dut.load, loaded.eq(1), moved.eq(dut.seed), number.eq(0)),
            If(dut.strobe, moved.eq(moved << digit_bits), number.eq((number << digit_bits) | dut.digit)),
        ]
        expected = self.named(moved + divisor_product(self, dut.factor, number, product_bits), "expected", product_bits)
        self.reach(loaded & (number != 0))
        self.prove("product", ~loaded | (dut.product == expected))
        for m, name in ((3, "triple"), (5, "quintuple"), (7, "septuple")):
            if m < 2**digit_bits:
                self.support(name, ~loaded | (inner(dut, name) == self.named(
                    dut.factor * m, f"{name}_ghost", factor_bits + digit_bits)))


class VarianceProof(Harness):
    """v == length * sum_xx - sum_x^2 (centered) + eps modulo 2^v_bits, whether v is eps, and the latency."""

    def __init__(self, length_bits, sum_bits, square_sum_bits, eps_bits, v_bits):
        super().__init__()
        self.dut = dut = Variance(length_bits, sum_bits, square_sum_bits, eps_bits, v_bits)
        self.free(dut.start)
        self.constant(dut.centered, dut.length, dut.sum_x, dut.sum_xx, dut.eps)
        # RowConstants holds the operands, and starts the unit when its last result was taken.
        running = Signal()
        self.sync += [If(dut.done, running.eq(0)), If(dut.start, running.eq(1))]
        self.assume("started_when_idle", ~dut.start | ~running | dut.done)

        # # #

        started = Signal()
        age = Signal(max=16)            # cycles since the start
        self.sync += [If(age != 15, age.eq(age + 1)), If(dut.start, started.eq(1), age.eq(0))]
        square = Signal((2 * sum_bits, True))
        v0 = Signal(v_bits)
        self.comb += [
            square.eq(dut.sum_x * dut.sum_x),
            v0.eq(divisor_product(self, dut.length, dut.sum_xx, v_bits) - Mux(dut.centered, square[: 2 * sum_bits], 0)),
        ]
        self.reach(dut.done & started & ~dut.zero)
        self.reach(dut.done & started & dut.zero)
        self.prove("v", ~(dut.done & started) | (dut.v == self.named(v0 + dut.eps, "expected", v_bits)))
        self.prove("zero", ~(dut.done & started) | (dut.zero == (dut.v == dut.eps)))
        self.prove("latency", ~started | (dut.done == (age >= dut.latency - 1)))


class LeadingShiftProof(Harness):
    """shifted == value << (unit * count); the top `unit` bits are not all zero when `most` shifts suffice."""

    def __init__(self, width, unit, most):
        super().__init__()
        self.dut = dut = LeadingShift(width, unit, most)
        self.free(dut.start, dut.value)

        # # #

        value = Signal(width)
        started = Signal()
        age = Signal(max=16)
        seen = Signal()                 # a start while it shifts is not
        self.comb += seen.eq(dut.start & (~started | (age >= dut.latency - 1)))
        self.sync += [
            If(age != 15, age.eq(age + 1)),
            If(seen, value.eq(dut.value), started.eq(1), age.eq(0)),
        ]
        moved = Signal(width)
        self.comb += Case(dut.count, {n: moved.eq(value << min(unit * n, width)) for n in range(2 ** len(dut.count))})
        needed = value >= (1 << max(width - unit * (most + 1), 0))
        self.reach(dut.done & started)
        self.prove("shifted", ~(started & dut.done) | (dut.shifted == moved))
        self.prove("normalized", ~(started & dut.done & needed) | (dut.shifted[width - unit :] != 0))
        # Nothing but zeros is shifted out.
        kept = Signal()
        self.comb += Case(dut.count, {
            n: kept.eq(value[width - unit * n :] == 0 if 0 < unit * n <= width else 1)
            for n in range(2 ** len(dut.count))
        })
        self.prove("nothing_is_lost", ~(started & dut.done & (value != 0)) | kept)
        self.prove("latency", ~started | (dut.done == (age >= dut.latency - 1)))
