# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Softmax to formats of 16 bits, word-parallel: one adder, one bit of a code a cycle."""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.serial.exponential import look_up
from litenorm.accel.serial.softmax_area import MAX, PRODUCT_BITS
from litenorm.accel.serial.unit import SerialUnit

CODE_BITS = 16


class SoftmaxWide(SerialUnit):
    """Softmax of s8 rows to u16_65535, tfl_s16 and u16_q15, as config.formats says; the codes are serial.model's.

    The passes of SoftmaxArea. With 65535 to give away, subtractions are not counted but divided, bit by bit, and e has
    22 bits. What is kept true in OUT after each element, D = S + 1 (u16_q15: 2 * (S + 1)):

        r + D * (sum of quotients) = 2^16 * (sum of e so far),     0 <= r < D

    so the quotients of a row add up to floor(2^16 * S / D) = 65535, or 32767. A division takes in r and e at once: the
    upper bits of r are added to e, the lower 16 follow bit by bit into the remainder, and the quotient takes their
    place. It does not restore: the remainder's sign is a bit of the quotient, and what the next cycle does. tfl_s16
    and u16_q15 give 1 more to the first element whose code has room for it.

    The ports of every SerialUnit, with phase MAX, SUM, OUT, and

    k              i: as in SoftmaxArea
    half           i: T is 2^15; constant within a row (only with u16_q15 and another format built)
    even           i: T is even: 1 more for a row; constant within a row (only with both kinds built)
    result, result_valid  o: code - zero_point, u16, valid with `ready` in OUT

    Cycles an element: MAX 1, SUM 9, OUT 26.
    """

    def __init__(self, config):
        halves = {name == "u16_q15" for name in config.formats}
        evens = {name != "u16_65535" for name in config.formats}
        super().__init__(CODE_BITS, k=c.SERIAL_SCALE_BITS, **({"half": 1} if len(halves) > 1 else {}),
                         **({"even": 1} if len(evens) > 1 else {}))
        half = self.half if len(halves) > 1 else C(int(True in halves), 1)
        even = self.even if len(evens) > 1 else C(int(True in evens), 1)

        # # #

        largest_e = c.serial_exp2_table()[0] << (c.SERIAL_WIDE_EXP_BITS - c.SERIAL_TABLE_BITS)
        sum_bits = (config.max_length * largest_e + 1).bit_length()
        bits = sum_bits + 2     # a remainder from -D to D - 1, D up to 2 * (S + 1)

        # Registers without reset: the first element of a pass writes them, or every step does, before they are read.
        MUL, ADD, DIVIDE, CORRECT = range(4)
        state = Signal(2)
        index = Signal(4)
        largest = Signal(c.SERIAL_INPUT_BITS, reset_less=True)
        product = Signal(PRODUCT_BITS, reset_less=True)
        remainder = Signal(bits, reset_less=True)       # S in SUM
        low = Signal(CODE_BITS, reset_less=True)        # lower bits of r, then the quotient
        divisor = Signal(sum_bits + 1, reset_less=True)  # D - 1
        owed = Signal(reset_less=True)                  # 1 is to be added to a code

        # Sequence ----------------------------------------------------------------------------------------------
        mul = Signal()
        add = Signal()
        divide = Signal()
        correct = Signal()
        finding_max = Signal()
        out = Signal()
        loading = Signal()
        self.comb += [
            mul.eq(state == MUL),
            add.eq(state == ADD),
            divide.eq(state == DIVIDE),
            correct.eq(state == CORRECT),
            finding_max.eq(self.phase == MAX),
            out.eq(self.phase[1]),
            loading.eq(mul & self.start & (index == 0)),
        ]
        self.sync += Case(state, {
            MUL: If(self.valid & ~finding_max,
                index.eq(index + 1),
                If(index == c.SERIAL_INPUT_BITS - 1,
                    index.eq(0),
                    state.eq(ADD)
                )
            ),
            ADD: state.eq(Mux(out, DIVIDE, MUL)),
            DIVIDE: [
                index.eq(index + 1),
                If(index == CODE_BITS - 1, state.eq(CORRECT))
            ],
            CORRECT: state.eq(MUL),
        })

        # t = m - x ---------------------------------------------------------------------------------------------
        x_offset = Cat(self.x[:-1], ~self.x[-1])
        t = Signal(c.SERIAL_INPUT_BITS + 1)
        t_bit = Signal()
        self.comb += [
            t.eq(largest - x_offset),
            Case(index[:3], {i: t_bit.eq(t[i]) for i in range(c.SERIAL_INPUT_BITS)}),
        ]
        self.sync += If(mul & finding_max & self.valid & (self.start | t[-1]), largest.eq(x_offset))

        # product: t * K with one addition a cycle, and half a unit in the last one ------------------------------
        kept = Signal(PRODUCT_BITS)
        total = Signal(PRODUCT_BITS + 1)
        self.comb += [
            If(index != 0, kept.eq(product)),
            total.eq(kept + (self.k & Replicate(t_bit, PRODUCT_BITS)) + (index == c.SERIAL_INPUT_BITS - 1)),
        ]
        self.sync += If(mul, product.eq(total[1:]))

        # e -----------------------------------------------------------------------------------------------------
        g = Signal(c.SERIAL_TABLE_BITS)
        e = Signal(c.SERIAL_WIDE_EXP_BITS)
        self.comb += [
            look_up(product[:4], g),
            If(product[9:] == 0,
                e.eq(Cat(C(0, c.SERIAL_WIDE_EXP_BITS - c.SERIAL_TABLE_BITS), g) >> product[4:9])
            ),
        ]

        # The adder ---------------------------------------------------------------------------------------------
        negative = Signal()
        first = Signal(bits)
        second = Signal(bits)
        carry = Signal()
        after = Signal(bits)
        self.comb += [
            negative.eq(remainder[-1]),
            first.eq(remainder),
            If(add,
                If(out, first.eq(remainder[CODE_BITS:])),
                second.eq(e)
            ).Elif(divide,
                first.eq(Cat(low[-1], remainder)),
                # -D is ~(D - 1), and D is (D - 1) + 1.
                second.eq(Mux(negative, divisor, ~Cat(divisor, C(0, 1)))),
                carry.eq(negative)
            ).Elif(negative,
                second.eq(divisor),
                carry.eq(1)
            ),
            after.eq(first + second + carry),
        ]
        self.sync += [
            If(loading,
                remainder.eq(0)
            ).Elif(~mul,
                remainder.eq(after)
            ),
            If(loading & out, divisor.eq(Mux(half, Cat(C(1, 1), remainder[:sum_bits]), remainder[:sum_bits]))),
            If(add,
                low.eq(remainder)
            ).Elif(divide,
                low.eq(Cat(~after[-1], low))
            ),
        ]

        # Result ------------------------------------------------------------------------------------------------
        one_more = Signal()
        self.comb += [
            one_more.eq(owed & (low != 2**CODE_BITS - 1)),
            self.turn.eq(1),
            self.ready.eq(Mux(out, correct, mul & finding_max | add)),
            self.result.eq(low + one_more),
            self.result_valid.eq(correct),
        ]
        self.sync += If(loading,
            owed.eq(even)
        ).Elif(correct & one_more,
            owed.eq(0)
        )

    @staticmethod
    def cycles(config, n):
        """Cycles of a row of n elements in each pass."""
        return {"max": n, "sum": 9 * n, "out": (c.SERIAL_INPUT_BITS + 1 + CODE_BITS + 1) * n}
