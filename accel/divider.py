# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Row-rate arithmetic: one result a row, a few bits a cycle, so that a row's constants cost little."""

from functools import reduce
from operator import add

from litex.gen import *
from migen import *


class Divider(LiteXModule):
    """Restoring division, `steps` quotient bits a cycle.

    high * 2^quotient_bits + low == divisor * quotient + remainder,   0 <= remainder < divisor

    holds when `done` is set after `start`, given high < divisor. A quotient that is too large by little, so that
    2^quotient_bits * (high + 1 - divisor) + divisor <= 2^divisor_bits, saturates: each digit is 1.

    Latency: quotient_bits / steps + 1 cycles from `start` to `done`. `done` and the results hold until the next
    `start`; one that comes while it runs is not seen.

    divisor_bits, quotient_bits  widths; quotient_bits a multiple of `steps`
    together  quotient bits found from 2^together - 1 comparisons beside each other, a divider of `steps`: more gates,
              and a path as long as one comparison's for all of them
    """

    def __init__(self, divisor_bits, quotient_bits, steps, together=1):
        if quotient_bits % steps:
            raise ValueError(f"quotient_bits is {quotient_bits}; good: a multiple of steps = {steps}")
        if steps % together or together == quotient_bits:
            raise ValueError(f"together is {together}; good: a divider of steps = {steps}, less than quotient_bits")
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

        # Multiples of the divisor, 1 to 2^together - 1: the odd ones are kept, the others are shifts of them. They are
        # sums, for a product would take a DSP block.
        bits = divisor_bits + together
        multiples = {1: divisor}
        for m in range(2, 2**together):
            if m % 2:
                multiples[m] = Signal(bits, name=f"times{m}", reset_less=True)
                self.sync += If(self.start & ~running, multiples[m].eq(
                    reduce(add, (self.divisor << k for k in range(together) if m >> k & 1))))
            else:
                multiples[m] = multiples[m // 2] << 1

        next_remainder, next_quotient = remainder, quotient
        for i in range(0, steps, together):
            shifted = Signal(bits, name=f"shifted{i}")
            self.comb += shifted.eq(Cat(next_quotient[-together:], next_remainder))
            fits, less = {}, {0: shifted}
            for m, multiple in multiples.items():
                fits[m] = Signal(name=f"fits{i}_{m}")
                less[m] = Signal(bits, name=f"less{i}_{m}")
                self.comb += [fits[m].eq(shifted >= multiple), less[m].eq(shifted - multiple)]

            # The digit is the number of multiples that fit, its bits and what is left chosen from the top bit down.
            def chosen(values, span, fits=fits):
                """values[digit]; digit is one of `span`, a power of two of numbers."""
                if len(span) == 1:
                    return values[span[0]]
                half = len(span) // 2
                return Mux(fits[span[half]], chosen(values, span[half:]), chosen(values, span[:half]))

            digit = []
            for k in range(together):
                digit.append(Signal(name=f"bit{i + k}"))
                weight = 2 ** (together - 1 - k)
                middles = {base: fits[base + weight] for base in range(0, 2**together, 2 * weight)}
                self.comb += digit[-1].eq(chosen(middles, list(middles)))
            kept = Signal(divisor_bits, name=f"kept{i}")
            following = Signal(quotient_bits, name=f"quotient{i}")
            self.comb += [
                # Below the divisor.
                kept.eq(chosen(less, list(range(2**together)))),
                following.eq(Cat(*reversed(digit), next_quotient[:-together])),
            ]
            next_remainder, next_quotient = kept, following
        # What is loaded hangs on `running`, a register, and not on `start`, which may be late in its cycle.
        self.sync += [
            If(running | self.start,
                remainder.eq(Mux(running, next_remainder, self.high)),
                quotient.eq(Mux(running, next_quotient, self.low)),
            ),
            If(running,
                count.eq(count - 1),
                If(count == 1, running.eq(0), self.done.eq(1)),
            ).Elif(self.start,
                divisor.eq(self.divisor),
                count.eq(quotient_bits // steps),
                running.eq(1),
                self.done.eq(0),
            ),
        ]


class SquareRoot(LiteXModule):
    """Digit-recurrence square root, `steps` bits a cycle: root^2 + remainder == value, 0 <= remainder <= 2 * root.

    With `upper_bits` it goes on with another one's result: root^2 + remainder == high * 4^root_bits + value, where
    upper^2 + upper_remainder == high is what that one found. So a long root is formed by two units, and the first one
    takes the next value while the second one ends.

    Latency: root_bits / steps + 1 cycles from `start` to `done`; all results hold until the next `start`, which is not
    seen while it runs.

    root_bits   bits found here, a multiple of `steps`
    upper_bits  bits found before
    """

    def __init__(self, root_bits, steps, upper_bits=0):
        if root_bits % steps:
            raise ValueError(f"root_bits is {root_bits}; good: a multiple of steps = {steps}")
        all_bits = upper_bits + root_bits
        # value - root^2 <= 2 * root: two bits more than the root, and two more come in before a trial.
        remainder_bits = all_bits + 2
        self.start = Signal()                   # i: pulse, samples `value`
        self.value = Signal(2 * root_bits)      # i
        if upper_bits:
            self.upper = Signal(upper_bits)                 # i: root, and
            self.upper_remainder = Signal(upper_bits + 2)   # i: remainder, at most 2 * upper
        self.done = Signal()                    # o
        self.root = Signal(all_bits)            # o: floor(sqrt(value))
        self.remainder = Signal(remainder_bits, reset_less=True)    # o
        self.latency = root_bits // steps + 1

        # # #

        value = Signal(2 * root_bits, reset_less=True)
        remainder = self.remainder
        count = Signal(max=root_bits // steps + 1)
        running = Signal()

        next_remainder, next_root = remainder, self.root
        for i in range(steps):
            shifted = Signal(remainder_bits + 2, name=f"shifted{i}")
            trial = Signal(remainder_bits + 2, name=f"trial{i}")
            reduced = Signal(remainder_bits + 2, name=f"reduced{i}")
            bit = Signal(name=f"bit{i}")
            kept = Signal(remainder_bits, name=f"kept{i}")
            root = Signal(all_bits, name=f"root{i}")
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
            If(running | self.start,
                remainder.eq(Mux(running, next_remainder, self.upper_remainder if upper_bits else 0)),
                self.root.eq(Mux(running, next_root, self.upper if upper_bits else 0)),
                value.eq(Mux(running, Cat(C(0, 2 * steps), value[: -2 * steps]), self.value)),
            ),
            If(running,
                count.eq(count - 1),
                If(count == 1, running.eq(0), self.done.eq(1)),
            ).Elif(self.start,
                count.eq(root_bits // steps),
                running.eq(1),
                self.done.eq(0),
            ),
        ]


class DigitProduct(LiteXModule):
    """product = seed + factor * digits, the digits' most significant ones first, `digit_bits` bits a cycle.

    Each `strobe` makes it product * 2^digit_bits + factor * digit: so behind n digits the seed has moved up by
    n * digit_bits bits. Modulo 2^product_bits. digit_bits: 1 to 3.
    """

    def __init__(self, factor_bits, digit_bits, product_bits):
        if digit_bits not in (1, 2, 3):
            raise ValueError(f"digit_bits is {digit_bits}; good: 1, 2 or 3")
        self.load = Signal()                        # i: pulse, product = seed
        self.seed = Signal(product_bits)            # i
        self.factor = Signal(factor_bits)           # i: held from `load` on while digits come
        self.strobe = Signal()                      # i: a digit; not with `load`
        self.digit = Signal(digit_bits)             # i
        self.product = Signal(product_bits, reset_less=True)    # o

        # # #

        factor = self.factor
        multiple = Signal(factor_bits + digit_bits) # factor * digit
        total = Signal(product_bits)
        # Odd multiples are kept, the others are shifts of them.
        kept = {
            3: ("triple", factor + (factor << 1)),
            5: ("quintuple", factor + (factor << 2)),
            7: ("septuple", (factor << 3) - factor),
        }
        multiples = {0: C(0), 1: factor}
        for m in range(2, 2**digit_bits):
            if m in kept:
                name, value = kept[m]
                multiples[m] = Signal(factor_bits + digit_bits, name=name, reset_less=True)
                self.sync += If(self.load, multiples[m].eq(value))
            else:
                multiples[m] = multiples[m // 2] << 1
        cases = {m: multiple.eq(value) for m, value in multiples.items()}
        self.comb += [
            Case(self.digit, cases),
            total.eq((self.product << digit_bits) + multiple),
        ]
        self.sync += [
            If(self.strobe, self.product.eq(total)),
            If(self.load, self.product.eq(self.seed)),
        ]


class LeadingShift(LiteXModule):
    """Shift left until the top `unit` bits are not all zero: shifted = value << (unit * count).

    width   bits of value, a multiple of `unit`
    most    largest count needed; a value that needs more is not brought to the top
    Latency: ceil(bits of `most` / DIGITS) cycles from `start` to `done`, DIGITS binary digits of the count a cycle, the
    first ones as `value` is sampled. `done` and the results hold until the next `start`, which is not seen while it
    shifts.
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
        # The digits that a phase finds hang on `phase`, a register, and not on `start`, which may be late in its cycle.
        self.sync += Case(phase, phases | {"default": If(self.start, *phases.pop(0))})
