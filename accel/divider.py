# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Row-rate arithmetic: one result a row, a few bits a cycle, so that a row's constants cost little."""

from litex.gen import *
from migen import *


class Divider(LiteXModule):
    """Restoring division, `steps` quotient bits a cycle.

    high * 2^quotient_bits + low == divisor * quotient + remainder,   0 <= remainder < divisor

    holds when `done` is set after `start`, given high < divisor. Latency: quotient_bits / steps + 1 cycles from
    `start` to `done`. `done` and the results hold until the next `start`.

    divisor_bits, quotient_bits  widths; quotient_bits a multiple of `steps`
    pairs  of the `steps` bits, 2 * pairs are found two by two, from three comparisons beside each other: more gates,
           and a path as long as one comparison's for two bits
    """

    def __init__(self, divisor_bits, quotient_bits, steps, pairs=0):
        if quotient_bits % steps:
            raise ValueError(f"quotient_bits is {quotient_bits}; good: a multiple of steps = {steps}")
        if not 0 <= 2 * pairs <= steps:
            raise ValueError(f"pairs is {pairs}; good: 0 to {steps // 2} with {steps} steps")
        self.start = Signal()                   # i: pulse, samples the operands
        self.high = Signal(divisor_bits)        # i: dividend's upper part, below divisor
        self.low = Signal(quotient_bits)        # i: dividend's lower part
        self.divisor = Signal(divisor_bits)     # i
        self.running = Signal()                 # o: the quotient's next `steps` bits enter it at the cycle's end
        self.done = Signal()                    # o
        self.quotient = Signal(quotient_bits)   # o
        self.remainder = Signal(divisor_bits)   # o
        self.latency = quotient_bits // steps + 1

        # # #

        divisor = Signal(divisor_bits, reset_less=True)
        remainder, quotient = self.remainder, self.quotient     # quotient enters at the bottom as low leaves at the top
        count = Signal(max=quotient_bits // steps + 1)
        running = self.running

        next_remainder, next_quotient = remainder, quotient
        if pairs:
            triple = Signal(divisor_bits + 2, reset_less=True)
            self.sync += If(self.start, triple.eq(self.divisor + (self.divisor << 1)))
        for i in range(0, 2 * pairs, 2):
            shifted = Signal(divisor_bits + 2, name=f"shifted{i}")
            bits = [Signal(name=f"bit{i + j}") for j in range(2)]
            kept = Signal(divisor_bits, name=f"kept{i}")
            fits, reduced = [], []
            for n, multiple in enumerate((divisor, divisor << 1, triple), 1):
                fits.append(Signal(name=f"fits{i}_{n}"))
                reduced.append(Signal(divisor_bits + 2, name=f"reduced{i}_{n}"))
                self.comb += [fits[-1].eq(shifted >= multiple), reduced[-1].eq(shifted - multiple)]
            self.comb += [
                shifted.eq(Cat(next_quotient[-2:], next_remainder)),
                bits[0].eq(fits[1]),
                bits[1].eq(Mux(fits[1], fits[2], fits[0])),
                kept.eq(Mux(fits[1], Mux(fits[2], reduced[2], reduced[1]), Mux(fits[0], reduced[0], shifted))),
            ]
            next_remainder = kept
            shifted_quotient = Signal(quotient_bits, name=f"quotient{i}")
            self.comb += shifted_quotient.eq(Cat(bits[1], bits[0], next_quotient[:-2]))
            next_quotient = shifted_quotient
        for i in range(2 * pairs, steps):
            shifted = Signal(divisor_bits + 1, name=f"shifted{i}")
            reduced = Signal(divisor_bits + 1, name=f"reduced{i}")
            bit = Signal(name=f"bit{i}")
            kept = Signal(divisor_bits, name=f"kept{i}")
            self.comb += [
                shifted.eq(Cat(next_quotient[-1], next_remainder)),
                reduced.eq(shifted - divisor),
                # shifted < 2 * divisor, so reduced is below divisor (bit 1) or wrapped to the upper half (bit 0).
                bit.eq(shifted >= divisor),
                kept.eq(Mux(bit, reduced, shifted)),
            ]
            next_remainder = kept
            shifted_quotient = Signal(quotient_bits, name=f"quotient{i}")
            self.comb += shifted_quotient.eq(Cat(bit, next_quotient[:-1]))
            next_quotient = shifted_quotient
        self.sync += [
            If(running,
                remainder.eq(next_remainder),
                quotient.eq(next_quotient),
                count.eq(count - 1),
                If(count == 1, running.eq(0), self.done.eq(1)),
            ),
            If(self.start,
                remainder.eq(self.high),
                quotient.eq(self.low),
                divisor.eq(self.divisor),
                count.eq(quotient_bits // steps),
                running.eq(1),
                self.done.eq(0),
            ),
        ]


class SquareRoot(LiteXModule):
    """Digit-recurrence square root, `steps` bits a cycle: root^2 <= value < (root + 1)^2.

    Latency: root_bits / steps + 1 cycles from `start` to `done`; both hold until the next `start`.
    """

    def __init__(self, root_bits, steps):
        if root_bits % steps:
            raise ValueError(f"root_bits is {root_bits}; good: a multiple of steps = {steps}")
        self.start = Signal()                   # i: pulse, samples `value`
        self.value = Signal(2 * root_bits)      # i
        self.done = Signal()                    # o
        self.root = Signal(root_bits)           # o: floor(sqrt(value))
        self.latency = root_bits // steps + 1

        # # #

        # value - root^2 <= 2 * root: two bits more than the root, and two more come in before a trial.
        remainder_bits = root_bits + 2
        value = Signal(2 * root_bits, reset_less=True)
        remainder = Signal(remainder_bits, reset_less=True)
        count = Signal(max=root_bits // steps + 1)
        running = Signal()

        next_remainder, next_root = remainder, self.root
        for i in range(steps):
            shifted = Signal(remainder_bits + 2, name=f"shifted{i}")
            trial = Signal(remainder_bits + 2, name=f"trial{i}")
            reduced = Signal(remainder_bits + 2, name=f"reduced{i}")
            bit = Signal(name=f"bit{i}")
            kept = Signal(remainder_bits, name=f"kept{i}")
            root = Signal(root_bits, name=f"root{i}")
            pair = value[2 * (root_bits - 1 - i) : 2 * (root_bits - i)]
            self.comb += [
                shifted.eq(Cat(pair, next_remainder)),
                trial.eq(Cat(C(1, 2), next_root)),
                reduced.eq(shifted - trial),
                bit.eq(shifted >= trial),
                kept.eq(Mux(bit, reduced, shifted)),
                root.eq(Cat(bit, next_root[:-1])),
            ]
            next_remainder, next_root = kept, root
        self.sync += [
            If(running,
                remainder.eq(next_remainder),
                self.root.eq(next_root),
                value.eq(Cat(C(0, 2 * steps), value[: -2 * steps])),
                count.eq(count - 1),
                If(count == 1, running.eq(0), self.done.eq(1)),
            ),
            If(self.start,
                value.eq(self.value),
                remainder.eq(0),
                self.root.eq(0),
                count.eq(root_bits // steps),
                running.eq(1),
                self.done.eq(0),
            ),
        ]


class DigitProduct(LiteXModule):
    """product = seed + factor * digits, the digits' most significant ones first, `digit_bits` bits a cycle.

    Each `strobe` makes it product * 2^digit_bits + factor * digit: so behind n digits the seed has moved up by
    n * digit_bits bits. Modulo 2^product_bits.
    """

    def __init__(self, factor_bits, digit_bits, product_bits):
        self.load = Signal()                        # i: pulse, product = seed
        self.seed = Signal(product_bits)            # i
        self.factor = Signal(factor_bits)           # i: held while digits come
        self.strobe = Signal()                      # i: a digit; not with `load`
        self.digit = Signal(digit_bits)             # i
        self.product = Signal(product_bits, reset_less=True)    # o

        # # #

        total = self.product << digit_bits
        for i in range(digit_bits):
            partial = Signal(product_bits, name=f"partial{i}")
            self.comb += partial.eq(total + (Mux(self.digit[i], self.factor, 0) << i))
            total = partial
        self.sync += [
            If(self.strobe, self.product.eq(total)),
            If(self.load, self.product.eq(self.seed)),
        ]


class LeadingShift(LiteXModule):
    """Shift left until the top `unit` bits are not all zero: shifted = value << (unit * count).

    width   bits of value, a multiple of `unit`
    most    largest count needed; a value that needs more is not brought to the top
    Latency: ceil(bits of `most` / DIGITS) cycles from `start` to `done`, DIGITS binary digits of the count a cycle, the
    first ones as `value` is sampled. `done` and the results hold until the next `start`.
    """

    DIGITS = 3

    def __init__(self, width, unit, most):
        digits = most.bit_length()
        cycles = -(-digits // self.DIGITS)
        self.start = Signal()                   # i: pulse, samples `value`
        self.value = Signal(width)              # i
        self.done = Signal()                    # o
        self.shifted = Signal(width)            # o
        self.count = Signal(digits)             # o: shifts in units
        self.latency = cycles

        # # #

        phase = Signal(max=cycles + 1, reset=cycles)
        phases = {}
        for p in range(cycles):
            value, count = self.shifted if p else self.value, []
            last = max(digits - self.DIGITS * (p + 1), 0)
            # No digit waits for the digit before it to be shifted: it looks at groups of bits that are all zero.
            group = unit << last
            groups = 1 << (digits - self.DIGITS * p - last)
            empty = Signal(groups, name=f"empty{p}")    # bit i: group i from the top is zero, or below the lowest bit
            self.comb += [
                empty[i].eq(value[max(width - group * (i + 1), 0) : width - group * i] == 0 if group * i < width else 1)
                for i in range(groups)
            ]
            places = {0: 1}     # groups that the digits so far have shifted out: expression, that it is so many
            for digit in range(digits - 1 - self.DIGITS * p, last - 1, -1):
                distance = unit << digit
                zero = Signal(name=f"zero{digit}")
                moved = Signal(width, name=f"moved{digit}")
                if distance < width:
                    more = 1 << (digit - last)
                    self.comb += [
                        *[If(here, zero.eq(empty[place : place + more] == 2**more - 1))
                          for place, here in places.items()],
                        moved.eq(Mux(zero, value << distance, value)),
                    ]
                    places = {place + by: here & (zero if by else ~zero)
                              for place, here in places.items() for by in (0, more)}
                else:
                    self.comb += moved.eq(value)
                count.append(self.count[digit].eq(zero))
                value = moved
            phases[p] = [self.shifted.eq(value), *count, phase.eq(p + 1), self.done.eq(p + 1 == cycles)]
        self.sync += If(self.start, *phases.pop(0)).Else(Case(phase, phases | {"default": []}))
