# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""e, as both sizes of the serial softmax form it: the table, and the word-parallel unit."""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c

PRODUCT_BITS = c.SERIAL_SCALE_BITS
MULTIPLY_STEPS = c.SERIAL_INPUT_BITS // 2


def look_up(f, g):
    """Statement: g = 255 * 2^(-f/16), rounded; f 4 bits, g 8 bits."""
    return Case(f, {i: g.eq(value) for i, value in enumerate(c.serial_exp2_table())})


class Exponential(LiteXModule):
    """The maximum of a row, and e = G[f] * 2^8 >> I, (I, f) = t * K rounded to 1/16, t = m - x.

    x, k         i: s8; UQ1.12 octaves per LSB
    compare      i: take x into the maximum
    first        i: with compare: the maximum is x
    multiply     i: a step of t * K, which takes two bits of t
    step         i: its number, 0 to 3
    add          i: the cycle after the last step, in which e is taken; the product is cleared
    count        i: the product counts up
    product      o: what counts up: the code
    e            o: with add, else 0
    """

    def __init__(self):
        self.x = Signal(c.SERIAL_INPUT_BITS)
        self.k = Signal(c.SERIAL_SCALE_BITS)
        self.compare = Signal()
        self.first = Signal()
        self.multiply = multiply = Signal()
        self.step = step = Signal(max=MULTIPLY_STEPS)
        self.add = add = Signal()
        self.count = Signal()
        self.product = product = Signal(PRODUCT_BITS, reset_less=True)
        self.e = e = Signal(c.SERIAL_EXP_BITS)

        # # #

        largest = Signal(c.SERIAL_INPUT_BITS, reset_less=True)
        x_offset = Cat(self.x[:-1], ~self.x[-1])
        t = Signal(c.SERIAL_INPUT_BITS + 1)
        t_bits = Signal(2)
        self.comb += [
            t.eq(largest - x_offset),
            Case(step, {i: t_bits.eq(t[2 * i:]) for i in range(MULTIPLY_STEPS)}),
        ]
        self.sync += If(self.compare & (self.first | t[-1]), largest.eq(x_offset))

        # Two additions a cycle, of K and 2 * K. In the last one, 2 of the units before the shift are half a unit of d.
        kept = Signal(PRODUCT_BITS)
        with_k = Signal(PRODUCT_BITS + 1)
        with_2k = Signal(PRODUCT_BITS + 1)      # without bit 0
        self.comb += [
            kept.eq(Mux(multiply & (step == 0) | add, 0, product)),
            with_k.eq(kept + (self.k & Replicate(multiply & t_bits[0], PRODUCT_BITS)) + self.count),
            with_2k.eq(with_k[1:] + (self.k & Replicate(t_bits[1], PRODUCT_BITS)) + (step == MULTIPLY_STEPS - 1)),
        ]
        self.sync += product.eq(Mux(multiply, with_2k[1:], with_k[:-1]))

        g = Signal(c.SERIAL_TABLE_BITS)
        self.comb += [
            look_up(product[:4], g),
            If(add & (product[8:] == 0),
                e.eq(Cat(C(0, c.SERIAL_EXP_BITS - c.SERIAL_TABLE_BITS), g) >> product[4:8])
            ),
        ]
