# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""e, as both sizes of the serial softmax form it: the table, and the word-parallel unit."""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c

PRODUCT_BITS = c.SERIAL_SCALE_BITS


def look_up(f, g):
    """Statement: g = 255 * 2^(-f/16), rounded; f 4 bits, g 8 bits."""
    return Case(f, {i: g.eq(value) for i, value in enumerate(c.serial_exp2_table())})


class Exponential(LiteXModule):
    """The maximum of a row, and e = G[f] * 2^8 >> I, (I, f) = t * K rounded to 1/16, t = m - x, in 8 steps.

    x, k         i: s8; UQ1.12 octaves per LSB
    compare      i: take x into the maximum
    first        i: with compare: the maximum is x
    multiply     i: a step of t * K
    step         i: its number, 0 to 7
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
        self.step = step = Signal(3)
        self.add = add = Signal()
        self.count = Signal()
        self.product = product = Signal(PRODUCT_BITS, reset_less=True)
        self.e = e = Signal(c.SERIAL_EXP_BITS)

        # # #

        largest = Signal(c.SERIAL_INPUT_BITS, reset_less=True)
        x_offset = Cat(self.x[:-1], ~self.x[-1])
        t = Signal(c.SERIAL_INPUT_BITS + 1)
        t_bit = Signal()
        self.comb += [
            t.eq(largest - x_offset),
            Case(step, {i: t_bit.eq(t[i]) for i in range(8)}),
        ]
        self.sync += If(self.compare & (self.first | t[-1]), largest.eq(x_offset))

        # One addition a cycle, and half a unit in the last one.
        kept = Signal(PRODUCT_BITS)
        addend = Signal(PRODUCT_BITS)
        total = Signal(PRODUCT_BITS + 1)
        self.comb += [
            kept.eq(Mux(multiply & (step == 0) | add, 0, product)),
            addend.eq(self.k & Replicate(multiply & t_bit, PRODUCT_BITS)),
            total.eq(kept + addend + (self.count | multiply & (step == 7))),
        ]
        self.sync += product.eq(Mux(multiply, total[1:], total[:-1]))

        g = Signal(c.SERIAL_TABLE_BITS)
        self.comb += [
            look_up(product[:4], g),
            If(add & (product[8:] == 0),
                e.eq(Cat(C(0, c.SERIAL_EXP_BITS - c.SERIAL_TABLE_BITS), g) >> product[4:8])
            ),
        ]
