# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Softmax, bit-serial: two rings of bits, one full adder between them."""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.serial.exponential import PRODUCT_BITS, look_up
from litenorm.accel.serial.unit import SerialUnit

MAX, SUM, OUT = range(3)        # passes of a softmax row

CODE_BITS = 8
LAST_CODE = (1 << CODE_BITS) - 1


class SoftmaxArea(SerialUnit):
    """Softmax of s8 rows to u8_255 and, with config.formats, tfl_s8; the codes are serial.model's.

    A row comes three times, `phase` says which: MAX finds m = max x, SUM adds S = sum e, OUT gives the codes,

        e = G[f] * 2^8 >> I,   (I, f) = t * K rounded to 1/16,   t = m - x

    What is kept true in OUT, after each element, of the ring v (two's complement, `ring` bits) and the codes so far:

        v + (S + 1) * (1 + sum of codes) = 256 * (sum of e so far),     -(S + 1) <= v < 0

    v gains 256 * e, then S + 1 is taken off until v < 0 again, and the code counts how often: amortised division, for
    all codes of a row add up to floor(256 * S / (S + 1)) = 255. Both starts cost nothing: ~S = -(S + 1) is the first v
    and what is added. tfl_s8 starts at v = 0, one S + 1 higher, so its codes add up to 256; a code stops at 255, and
    what it leaves behind goes to the next element.

    Both rings turn one bit a cycle, LSB first, without enables; a step is one turn of `ring` cycles (27
    for max_length 1024). e needs no shifter: bit p of e is bit p + I - 8 of G[f], so I counts up, bit by bit, while a
    multiplexer picks bits of G. The register `product` holds t * K, then (I, f), then the code.

    The ports of every SerialUnit, with phase MAX, SUM, OUT, and

    k              i: UQ1.12 octaves per LSB, at most constants.SERIAL_SCALE_MAX; constant within a row
    tfl            i: tfl_s8, not u8_255; constant within a row (only with tfl_s8 built)
    result, result_valid  o: code - zero_point, u8, valid with `ready` in OUT

    Turns an element: MAX 1, SUM 2, OUT 2 + max(1, code), on average less than 3 + 255 / N.
    """

    def __init__(self, config):
        ring = config.serial_sum_bits
        capped = "tfl_s8" in config.formats
        super().__init__(CODE_BITS, k=c.SERIAL_SCALE_BITS, **({"tfl": 1} if capped else {}))

        # # #

        # Registers without reset: the first element of a pass writes them, or every step does, before they are read.
        MUL, ADD, FIRST, MORE = range(4)
        state = Signal(2)
        cycle = Signal(max=ring)
        largest = Signal(c.SERIAL_INPUT_BITS, reset_less=True)
        borrow = Signal(reset_less=True)
        product = Signal(PRODUCT_BITS, reset_less=True)
        v = Signal(ring, reset_less=True)
        v_carry = Signal(reset_less=True)
        positive = Signal(reset_less=True)
        divisor = Signal(ring, reset_less=True)     # -(S + 1)

        # Sequence --------------------------------------------------------------------------------------------
        mul = Signal()
        add = Signal()
        subtract = Signal()
        first_cycle = Signal()
        last_cycle = Signal()
        finding_max = Signal()
        out = Signal()
        done = Signal()
        self.comb += [
            mul.eq(state == MUL),
            add.eq(state == ADD),
            subtract.eq(state[1]),
            first_cycle.eq(cycle == 0),
            last_cycle.eq(cycle == ring - 1),
            finding_max.eq(self.phase == MAX),
            out.eq(self.phase[1]),
        ]
        self.sync += [
            cycle.eq(cycle + 1),
            If(last_cycle,
                cycle.eq(0),
                Case(state, {
                    MUL: state.eq(Mux(self.valid & ~finding_max, ADD, MUL)),
                    ADD: state.eq(Mux(out, FIRST, MUL)),
                    "default": state.eq(Mux(done, MUL, MORE)),
                })
            ),
        ]

        # t = m - x, bit by bit in cycles 0 to 7; in MAX a second walk, cycles 8 to 15, takes over a larger x -------
        first_walk = Signal()
        second_walk = Signal()
        x_bit = Signal()
        t_bit = Signal()
        m_bit = Signal()
        next_borrow = Signal()
        x_offset = Signal(c.SERIAL_INPUT_BITS)
        self.comb += [
            x_offset.eq(Cat(self.x[:-1], ~self.x[-1])),
            first_walk.eq(mul & ~cycle[4] & ~cycle[3]),
            second_walk.eq(mul & ~cycle[4] & cycle[3] & finding_max & self.valid),
            Case(cycle[:3], {i: x_bit.eq(x_offset[i]) for i in range(8)}),
            m_bit.eq(largest[0]),
            t_bit.eq(m_bit ^ x_bit ^ borrow),
            next_borrow.eq((~m_bit & (x_bit | borrow)) | (x_bit & borrow)),
        ]
        self.sync += [
            If(first_walk | second_walk,
                largest.eq(Cat(largest[1:], Mux(second_walk & (borrow | self.start), x_bit, m_bit)))
            ),
            If(first_walk,
                borrow.eq(next_borrow)
            ).Elif(cycle[4],
                borrow.eq(0)
            ),
        ]

        # product: t * K with one addition a cycle, and half a unit in the last one; I counts up; the code counts up ---
        counting = Signal()
        addend = Signal(PRODUCT_BITS)
        kept = Signal(PRODUCT_BITS)
        total = Signal(PRODUCT_BITS + 1)
        self.comb += [
            counting.eq(add & (~out | cycle[3] | cycle[4])),
            kept.eq(Mux(first_cycle & (mul | (state == FIRST)), 0, product)),
            addend.eq(
                (self.k & Replicate(t_bit & first_walk, PRODUCT_BITS))
                | Cat(C(0, c.SERIAL_OCTAVE_FRACTION_BITS), counting)
            ),
            total.eq(kept + addend + (subtract & positive & first_cycle | first_walk & (cycle[:3] == 7))),
        ]
        self.sync += product.eq(Mux(first_walk, total[1:], total[:-1]))

        # Bit p of e in cycle p (SUM) or p + 8 (OUT: 256 * e) ------------------------------------------------------
        g = Signal(c.SERIAL_TABLE_BITS)
        g_bit = Signal()
        e_bit = Signal()
        self.comb += [
            look_up(product[:4], g),
            Case(product[4:7], {i: g_bit.eq(g[i]) for i in range(8)}),
            e_bit.eq(counting & (product[7:] == 1) & g_bit),
        ]

        # v, and the divisor beside it --------------------------------------------------------------------------
        loading = Signal()
        v_addend = Signal()
        v_sum = Signal()
        self.comb += [
            loading.eq(mul & self.start),
            v_addend.eq(e_bit | (subtract & positive & divisor[0])),
            v_sum.eq(v[0] ^ v_addend ^ v_carry),
        ]
        begin = out & ~v[0] & ~self.tfl if capped else out & ~v[0]
        self.sync += [
            v.eq(Cat(v[1:], Mux(loading, begin, v_sum))),
            v_carry.eq(~last_cycle & ((v[0] & v_addend) | (v_carry & (v[0] | v_addend)))),
            divisor.eq(Cat(divisor[1:], Mux(loading & out, ~v[0], divisor[0]))),
            If(last_cycle, positive.eq(~v_sum)),
        ]

        # Result ------------------------------------------------------------------------------------------------
        self.comb += [
            done.eq(v_sum | (product[:CODE_BITS] == LAST_CODE) if capped else v_sum),
            self.turn.eq(last_cycle),
            self.ready.eq(last_cycle & Mux(out, self.result_valid, finding_max | add)),
            self.result.eq(product[:CODE_BITS]),
            self.result_valid.eq(last_cycle & subtract & done),
        ]

    @staticmethod
    def cycles(config, n):
        """Cycles of a u8_255 row of n elements in each pass, at most: one element has the code 255, the others 0."""
        ring = config.serial_sum_bits
        return {"max": ring * n, "sum": 2 * ring * n, "out": ring * (2 * n + (n - 1) + LAST_CODE)}
