# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Softmax to formats of 16 bits, bit-serial: two rings of bits, one full adder, one bit of a code a turn."""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.serial.exponential import look_up
from litenorm.accel.serial.softmax_area import PRODUCT_BITS
from litenorm.accel.serial.unit import NORM_OUT, SerialUnit

CODE_BITS = 16
MAX, SUM, OUT = 0, 1, NORM_OUT      # the code comes bit by bit, as y does in the pass of that number


class SoftmaxWideArea(SerialUnit):
    """Softmax of s8 rows to u16_65535, tfl_s16 and u16_q15, as config.formats says; the codes are serial.model's.

    The passes, and the formation of e, of SoftmaxArea; e has 22 bits. What is kept true in OUT after each element,
    D = S + 1, F = 16 (u16_q15: 15):

        v + D * (sum of codes so far) = v_0 + 2^F * (sum of e so far)

    with 0 <= v < D, and v_0 = 0, or D for the formats with T = 2^F. v gains 2^F * e, then D is taken off 16 times, from
    D * 2^15 on: a division that does not restore, whose signs are the bits of the code, and one correction. A code that
    would be 2^16 stays 2^16 - 1 by itself, and v keeps the D that was not taken off for the next element.

    Bit 0 of a turn is a gap in which the carry is cleared. The ring of v never stops. That of D turns while D is added
    or taken off, from the place of the turn that `offset` says.

    The ports of every SerialUnit, with phase MAX, SUM, OUT, and

    k              i: as in SoftmaxArea
    half           i: T is 2^15; constant within a row (only with u16_q15 and another format built)
    even           i: T is even; constant within a row (only with both kinds built)
    result, result_valid  o: a bit of code - zero_point, MSB first: 16 times an element in OUT, all before its `ready`

    Turns an element, of `ring` cycles (50 for max_length 1024): MAX 1, SUM 2, OUT 19.
    """

    softmax_passes = (MAX, SUM, OUT)
    norm_bits_serial = True

    def __init__(self, config):
        halves = {name == "u16_q15" for name in config.formats}
        evens = {name != "u16_65535" for name in config.formats}
        super().__init__(1, k=c.SERIAL_SCALE_BITS, **({"half": 1} if len(halves) > 1 else {}),
                         **({"even": 1} if len(evens) > 1 else {}))
        half = self.half if len(halves) > 1 else C(int(True in halves), 1)
        even = self.even if len(evens) > 1 else C(int(True in evens), 1)

        # # #

        sum_bits = self.sum_bits(config)
        ring = self.ring(config)

        # Registers without reset: the first element of a pass writes them, or every step does, before they are read.
        MUL, ADD, DIVIDE, CORRECT = range(4)
        state = Signal(2)
        cycle = Signal(max=ring)
        step = Signal(4, reset_less=True)
        index = Signal(max=sum_bits + 1)        # bit of D; stops at sum_bits
        streaming = Signal()
        largest = Signal(c.SERIAL_INPUT_BITS, reset_less=True)
        borrow = Signal(reset_less=True)
        product = Signal(PRODUCT_BITS, reset_less=True)
        v = Signal(ring, reset_less=True)
        carry = Signal(reset_less=True)
        negative = Signal(reset_less=True)
        divisor = Signal(sum_bits, reset_less=True)

        # Sequence ----------------------------------------------------------------------------------------------
        mul = Signal()
        add = Signal()
        divide = Signal()
        correct = Signal()
        first_cycle = Signal()
        last_cycle = Signal()
        finding_max = Signal()
        out = Signal()
        after = Signal()        # the bit of v behind the adder; in the last cycle its sign
        self.comb += [
            mul.eq(state == MUL),
            add.eq(state == ADD),
            divide.eq(state == DIVIDE),
            correct.eq(state == CORRECT),
            first_cycle.eq(cycle == 0),
            last_cycle.eq(cycle == ring - 1),
            finding_max.eq(self.phase == MAX),
            out.eq(self.phase[1]),
        ]
        self.sync += [
            cycle.eq(cycle + 1),
            If(last_cycle,
                cycle.eq(0),
                negative.eq(after),
                step.eq(step - 1),
                Case(state, {
                    MUL: If(self.valid & ~finding_max, state.eq(ADD)),
                    ADD: [
                        step.eq(CODE_BITS - 1),
                        state.eq(Mux(out, DIVIDE, MUL))
                    ],
                    DIVIDE: If(step == 0, state.eq(CORRECT)),
                    CORRECT: state.eq(MUL),
                })
            ),
        ]

        # t = m - x, as in SoftmaxArea -----------------------------------------------------------------------------
        first_walk = Signal()
        second_walk = Signal()
        x_bit = Signal()
        t_bit = Signal()
        next_borrow = Signal()
        x_offset = Signal(c.SERIAL_INPUT_BITS)
        self.comb += [
            x_offset.eq(Cat(self.x[:-1], ~self.x[-1])),
            first_walk.eq(mul & (cycle[3:] == 0)),
            second_walk.eq(mul & (cycle[3:] == 1) & finding_max & self.valid),
            Case(cycle[:3], {i: x_bit.eq(x_offset[i]) for i in range(8)}),
            t_bit.eq(largest[0] ^ x_bit ^ borrow),
            next_borrow.eq((~largest[0] & (x_bit | borrow)) | (x_bit & borrow)),
        ]
        self.sync += [
            If(first_walk | second_walk,
                largest.eq(Cat(largest[1:], Mux(second_walk & (borrow | self.start), x_bit, largest[0])))
            ),
            If(first_walk,
                borrow.eq(next_borrow)
            ).Elif(cycle[4],
                borrow.eq(0)
            ),
        ]

        # Streams: D, and e, from cycle offset + 1 on ------------------------------------------------------------
        offset = Signal(5)
        begins = Signal()
        turning = Signal()
        self.comb += [
            If(add & out,
                offset.eq(CODE_BITS - half)
            ).Elif(divide,
                offset.eq(step)
            ),
            begins.eq(cycle == offset),
            turning.eq(index != sum_bits),
        ]
        self.sync += [
            streaming.eq((streaming | begins) & ~last_cycle),
            If(begins,
                index.eq(0)
            ).Else(
                index.eq(index + turning)
            ),
        ]

        # product: t * K and its rounding, then (I, f); I counts up from I + 2: bit p of e is bit p + I - 14 of G -
        early = Signal()
        counting = Signal()
        addend = Signal(PRODUCT_BITS)
        total = Signal(PRODUCT_BITS + 1)
        g = Signal(c.SERIAL_TABLE_BITS)
        g_bit = Signal()
        e_bit = Signal()
        self.comb += [
            early.eq(mul & (cycle[1:] == 4)),       # cycles 8 and 9
            counting.eq(add & streaming & turning),
            addend.eq(
                (self.k & Replicate(t_bit & first_walk, PRODUCT_BITS))
                | Cat(C(0, c.SERIAL_OCTAVE_FRACTION_BITS), counting | early)
            ),
            total.eq(Mux(mul & first_cycle, 0, product) + addend + (first_walk & (cycle[:3] == 7))),
            look_up(product[:4], g),
            Case(product[4:7], {i: g_bit.eq(g[i]) for i in range(8)}),
            e_bit.eq(counting & (product[7:] == 2) & g_bit),
        ]
        self.sync += product.eq(Mux(first_walk, total[1:], total[:-1]))

        # v and D ------------------------------------------------------------------------------------------------
        loading = Signal()
        operand = Signal()
        inverted = Signal()
        before = Signal()
        self.comb += [
            loading.eq(mul & self.start),
            operand.eq(e_bit | ((divide | correct & negative) & streaming & turning & divisor[0])),
            inverted.eq(divide & ~negative),
            before.eq(v[0] ^ inverted),
            after.eq(before ^ operand ^ carry ^ inverted),
        ]
        self.sync += [
            # SUM begins at 1: it gives D = S + 1.
            v.eq(Cat(v[1:], Mux(loading, Mux(out, even & v[0], cycle == 1), after))),
            carry.eq(~first_cycle & ((before & operand) | (carry & (before | operand)))),
            If(turning, divisor.eq(Cat(divisor[1:], Mux(loading & out, v[0], divisor[0])))),
        ]

        # Result ------------------------------------------------------------------------------------------------
        self.comb += [
            self.turn.eq(last_cycle),
            self.ready.eq(last_cycle & Mux(out, correct, mul & finding_max | add)),
            self.result.eq(~after),
            self.result_valid.eq(last_cycle & divide),
        ]

    @staticmethod
    def sum_bits(config):
        """Bits of D = S + 1."""
        largest_e = c.serial_exp2_table()[0] << (c.SERIAL_WIDE_EXP_BITS - c.SERIAL_TABLE_BITS)
        return (config.max_length * largest_e + 1).bit_length()

    @staticmethod
    def ring(config):
        """Cycles of a turn: a gap, v below D * 2^16, and its sign."""
        return 1 + SoftmaxWideArea.sum_bits(config) + CODE_BITS + 1

    @staticmethod
    def cycles(config, n):
        """Cycles of a row of n elements in each pass."""
        return {name: SoftmaxWideArea.ring(config) * turns * n
                for name, turns in (("max", 1), ("sum", 2), ("out", 3 + CODE_BITS))}
