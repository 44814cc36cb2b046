# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""A row's variance, times N^2, from its sums."""

from litex.gen import *
from migen import *

CHUNK = 18      # operands of the DSP blocks of small FPGAs


class Variance(LiteXModule):
    """v = length * sum_xx - sum_x^2 + eps (without `centered`: length * sum_xx + eps), one partial product a cycle.

    One CHUNK x CHUNK multiplier takes the low and middle parts of the operands, a smaller one beside it their highest
    parts: what it gives has its place above the large one's product, so both are one operand of the accumulator.

    length_bits, sum_bits, square_sum_bits  widths of length, sum_x, sum_xx: at most CHUNK, 2 * CHUNK, 3 * CHUNK
    v_bits    width of v: every sum above, eps included, fits
    eps_bits  width of eps

    Inputs are held from `start` until `done`, which holds until the next `start`, as v does.
    Latency: `latency` cycles from `start` to `done`, 6 for s16 and rows of 1024.
    """

    def __init__(self, length_bits, sum_bits, square_sum_bits, eps_bits, v_bits):
        for name, bits, most in (("length_bits", length_bits, CHUNK), ("sum_bits", sum_bits, 2 * CHUNK),
                                 ("square_sum_bits", square_sum_bits, 3 * CHUNK)):
            if not 1 <= bits <= most:
                raise ValueError(f"{name} is {bits}; good: 1 to {most}")
        self.start = Signal()                       # i: pulse
        self.centered = Signal()                    # i: subtract sum_x^2
        self.length = Signal(length_bits)           # i: N
        self.sum_x = Signal((sum_bits, True))       # i
        self.sum_xx = Signal(square_sum_bits)       # i
        self.eps = Signal(eps_bits)                 # i
        self.done = Signal()                        # o
        self.v = Signal(v_bits, reset_less=True)    # o
        self.zero = Signal()                        # o: v == eps

        # # #

        magnitude = Signal(sum_bits, reset_less=True)   # |sum_x|, there from the second step on
        self.comb += self.zero.eq(self.v == self.eps)
        self.sync += If(self.start, magnitude.eq(Mux(self.sum_x < 0, -self.sum_x, self.sum_x)))
        low, high = magnitude[:CHUNK], magnitude[CHUNK:]
        parts = [self.sum_xx[i : i + CHUNK] for i in range(0, square_sum_bits, CHUNK)]
        top = parts[2] if len(parts) == 3 else None

        # Steps: operands of both multipliers, place of the large one's product, whether it is subtracted.
        steps = [((self.length, parts[0]), (self.length, top) if top is not None else None, 0, False)]
        steps += [((self.length, part), None, CHUNK, False) for part in parts[1:2]]
        steps += [((low, low), (high, high) if len(high) else None, 0, True)]
        steps += [((low, high), None, CHUNK + 1, True)] if len(high) else []
        self.latency = len(steps) + 2

        # Operands, product, accumulator: one register each.
        large = [Signal(CHUNK, name=name, reset_less=True) for name in ("large_a", "large_b")]
        product = Signal(2 * CHUNK, reset_less=True)
        beside = [step[1] for step in steps if step[1] is not None]
        small = [Signal(max((len(pair[i]) for pair in beside), default=1), name=name, reset_less=True)
                 for i, name in enumerate(("small_a", "small_b"))]
        small_product = Signal(len(small[0]) + len(small[1]), reset_less=True)
        current = Signal(max=len(steps))    # the step whose operands are loaded; the first one's in vain until `start`
        stages = [Signal(len(steps), name=f"stage{i}") for i in range(2)]   # one-hot: of the operands, of the product
        loads = {n: [*[register.eq(value) for register, value in zip(large, pair, strict=True)],
                     *[register.eq(value) for register, value in zip(small, extra or (0, 0), strict=True)]]
                 for n, (pair, extra, _, _) in enumerate(steps)}
        self.sync += [
            stages[0].eq(0),
            If((current != 0) | self.start,
                stages[0].eq(1 << current),
                current.eq(Mux(current == len(steps) - 1, 0, current + 1)),
            ),
            # Not waiting for `start`, which may be late in its cycle.
            Case(current, loads),
            product.eq(large[0] * large[1]),
            small_product.eq(small[0] * small[1]),
            stages[1].eq(stages[0]),
        ]
        aligned = Signal(v_bits)
        minus = Signal()
        both = Cat(product, small_product) if beside else product
        for n, (_, extra, place, subtract) in enumerate(steps):
            self.comb += If(stages[1][n],
                aligned.eq(both if extra is not None else product << place),
                minus.eq(subtract),
            )
        operand = Signal(v_bits)
        base = Signal(v_bits)
        self.comb += [
            operand.eq(Mux(minus, ~aligned, aligned)),
            base.eq(Mux(stages[1][0], self.eps, self.v)),
        ]
        self.sync += [
            If((stages[1] != 0) & (~minus | self.centered), self.v.eq(base + operand + minus)),
            If(stages[1][-1], self.done.eq(1)),
            If(self.start, self.done.eq(0)),
        ]
