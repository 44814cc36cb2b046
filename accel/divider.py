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
    """

    def __init__(self, divisor_bits, quotient_bits, steps):
        if quotient_bits % steps:
            raise ValueError(f"quotient_bits is {quotient_bits}; good: a multiple of steps = {steps}")
        self.start = Signal()                   # i: pulse, samples the operands
        self.high = Signal(divisor_bits)        # i: dividend's upper part, below divisor
        self.low = Signal(quotient_bits)        # i: dividend's lower part
        self.divisor = Signal(divisor_bits)     # i
        self.done = Signal()                    # o
        self.quotient = Signal(quotient_bits)   # o
        self.remainder = Signal(divisor_bits)   # o
        self.latency = quotient_bits // steps + 1

        # # #

        divisor = Signal(divisor_bits, reset_less=True)
        remainder, quotient = self.remainder, self.quotient     # quotient enters at the bottom as low leaves at the top
        count = Signal(max=quotient_bits // steps + 1)
        running = Signal()

        next_remainder, next_quotient = remainder, quotient
        for i in range(steps):
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


class ChunkedMultiplier(LiteXModule):
    """Wide unsigned product on one small multiplier, a partial product a cycle.

    product == a * b. Latency: a_chunks * b_chunks + 3 cycles from `start` to `done`; `wide` = 0 leaves out all but b's
    lowest chunk (b below 2^CHUNK) and takes a_chunks + 3. `done` and the product hold until the next `start`.
    """

    CHUNK = 18      # operands of the DSP blocks of small FPGAs

    def __init__(self, a_bits, b_bits):
        chunk = self.CHUNK
        a_chunks, b_chunks = -(-a_bits // chunk), -(-b_bits // chunk)
        self.start = Signal()                       # i: pulse, samples the operands
        self.wide = Signal()                        # i: b has bits above its lowest chunk
        self.a = Signal(a_bits)                     # i
        self.b = Signal(b_bits)                     # i
        self.done = Signal()                        # o
        self.product = Signal(a_bits + b_bits)      # o
        self.latency = a_chunks * b_chunks + 3      # with `wide`
        self.narrow_latency = a_chunks + 3

        # # #

        a = Signal(a_chunks * chunk, reset_less=True)
        b = Signal(b_chunks * chunk, reset_less=True)
        steps = [(i, j) for j in range(b_chunks) for i in range(a_chunks)]
        step = Signal(max=len(steps) + 1)
        final = Signal(max=len(steps) + 1)
        running = Signal()
        operand_a = Signal(chunk, reset_less=True)
        operand_b = Signal(chunk, reset_less=True)
        partial = Signal(2 * chunk, reset_less=True)
        tags = [Signal(max=len(steps) + 1, name=f"tag{i}", reset_less=True) for i in range(2)]
        valid = [Signal(name=f"valid{i}") for i in range(2)]
        last = [Signal(name=f"last{i}") for i in range(2)]
        aligned = Signal(a_bits + b_bits)
        self.comb += Case(tags[1], {
            n: aligned.eq(partial << (chunk * (i + j))) for n, (i, j) in enumerate(steps)
        } | {"default": aligned.eq(0)})
        self.sync += [
            # Operands, product, accumulator: one register each.
            Case(step, {
                n: [operand_a.eq(a[chunk * i : chunk * (i + 1)]), operand_b.eq(b[chunk * j : chunk * (j + 1)])]
                for n, (i, j) in enumerate(steps)
            }),
            partial.eq(operand_a * operand_b),
            tags[0].eq(step), tags[1].eq(tags[0]),
            valid[0].eq(running), valid[1].eq(valid[0]),
            last[0].eq(running & (step == final)), last[1].eq(last[0]),
            If(valid[1], self.product.eq(self.product + aligned)),
            If(last[1], self.done.eq(1)),
            If(running,
                step.eq(step + 1),
                If(step == final, running.eq(0)),
            ),
            If(self.start,
                a.eq(self.a),
                b.eq(self.b),
                step.eq(0),
                final.eq(Mux(self.wide, len(steps) - 1, a_chunks - 1)),
                running.eq(1),
                self.product.eq(0),
                self.done.eq(0),
            ),
        ]


class LeadingShift(LiteXModule):
    """Shift left until the top `unit` bits are not all zero: shifted = value << (unit * count).

    width   bits of value, a multiple of `unit`
    most    largest count needed; a value that needs more is not brought to the top
    Latency: ceil(bits of `most` / 2) + 1 cycles from `start` to `done`, two binary digits of the count a cycle.
    """

    def __init__(self, width, unit, most):
        digits = most.bit_length()
        cycles = -(-digits // 2)
        self.start = Signal()                   # i: pulse, samples `value`
        self.value = Signal(width)              # i
        self.done = Signal()                    # o
        self.shifted = Signal(width)            # o
        self.count = Signal(digits)             # o: shifts in units
        self.latency = cycles + 1

        # # #

        phase = Signal(max=cycles + 1)
        phases = {}
        for p in range(cycles):
            value, count = self.shifted, []
            for digit in [d for d in (digits - 1 - 2 * p, digits - 2 - 2 * p) if d >= 0]:
                distance = unit << digit
                zero = Signal(name=f"zero{digit}")
                moved = Signal(width, name=f"moved{digit}")
                if distance < width:
                    self.comb += [
                        zero.eq(value[width - distance :] == 0),
                        moved.eq(Mux(zero, value << distance, value)),
                    ]
                else:
                    self.comb += moved.eq(value)
                count.append(self.count[digit].eq(zero))
                value = moved
            phases[p] = [self.shifted.eq(value), *count]
            phases[p] += [phase.eq(p + 1)] if p + 1 < cycles else [phase.eq(cycles), self.done.eq(1)]
        self.sync += [
            Case(phase, phases),
            If(self.start,
                self.shifted.eq(self.value),
                phase.eq(0),
                self.done.eq(0),
            ),
        ]
        phase.reset = cycles
