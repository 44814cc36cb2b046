# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Softmax, word-parallel: one adder of a whole word, one subtraction a cycle."""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.serial.exponential import MULTIPLY_STEPS, Exponential
from litenorm.accel.serial.softmax_area import CODE_BITS, LAST_CODE, MAX
from litenorm.accel.serial.unit import SerialUnit


class SoftmaxBalanced(SerialUnit):
    """Softmax of s8 rows to u8_255 and, with config.formats, tfl_s8: the arithmetic, the passes, the invariant

        v + (S + 1) * (1 + sum of codes) = 256 * (sum of e so far),     -(S + 1) <= v < 0

    and the registers of SoftmaxArea, but v takes e or takes off S + 1 in one cycle, and e is shifted in one.

    The ports of every SerialUnit, and k, tfl, result, result_valid as in SoftmaxArea.

    Cycles an element: MAX 1, SUM 5, OUT 6 + code, on average at most 6 + 255 / N.
    """

    def __init__(self, config):
        bits = config.serial_sum_bits
        capped = "tfl_s8" in config.formats
        super().__init__(CODE_BITS, k=c.SERIAL_SCALE_BITS, **({"tfl": 1} if capped else {}))

        # # #

        # Registers without reset: the first element of a pass writes them, or every step does, before they are read.
        MUL, ADD, SUBTRACT = range(3)
        state = Signal(2)
        index = Signal(max=MULTIPLY_STEPS)
        v = Signal(bits, reset_less=True)
        divisor = Signal(bits, reset_less=True)     # -(S + 1)

        # Sequence --------------------------------------------------------------------------------------------
        mul = Signal()
        add = Signal()
        subtract = Signal()
        finding_max = Signal()
        out = Signal()
        done = Signal()
        loading = Signal()
        self.comb += [
            mul.eq(~state[0] & ~state[1]),
            add.eq(state[0]),
            subtract.eq(state[1]),
            finding_max.eq(self.phase == MAX),
            out.eq(self.phase[1]),
            loading.eq(mul & self.start & (index == 0)),
        ]
        self.sync += Case(state, {
            MUL: [
                If(self.valid & ~finding_max,
                    index.eq(index + 1),
                    If(index == MULTIPLY_STEPS - 1, state.eq(ADD))
                )
            ],
            ADD: state.eq(Mux(out, SUBTRACT, MUL)),
            "default": If(done, state.eq(MUL)),
        })

        # e, and the code ------------------------------------------------------------------------------------
        fits = Signal()     # S + 1 is taken off in this cycle
        self.exponential = exponential = Exponential()
        product, e = exponential.product, exponential.e
        self.comb += [
            exponential.x.eq(self.x),
            exponential.k.eq(self.k),
            exponential.compare.eq(mul & finding_max & self.valid),
            exponential.first.eq(self.start),
            exponential.multiply.eq(mul),
            exponential.step.eq(index),
            exponential.add.eq(add),
            exponential.count.eq(fits),
        ]

        # v, and what is added to it ------------------------------------------------------------------------------
        v_addend = Signal(bits)
        self.comb += v_addend.eq(Mux(out, Cat(C(0, 8), e), e) | (divisor & Replicate(fits, bits)))
        begin = Replicate(out & ~self.tfl if capped else out, bits) & ~v
        self.sync += [
            v.eq(Mux(loading, begin, v + v_addend)),
            If(loading & out, divisor.eq(~v)),
        ]

        # Result ------------------------------------------------------------------------------------------------
        stop = v[-1] | (product[:CODE_BITS] == LAST_CODE) if capped else v[-1]
        self.comb += [
            fits.eq(subtract & ~stop),
            done.eq(stop),
            self.turn.eq(1),
            self.ready.eq(Mux(out, self.result_valid, mul & finding_max | add)),
            self.result.eq(product[:CODE_BITS]),
            self.result_valid.eq(subtract & done),
        ]

    @staticmethod
    def cycles(config, n):
        """Cycles of a u8_255 row of n elements in each pass."""
        return {"max": n, "sum": (MULTIPLY_STEPS + 1) * n, "out": (MULTIPLY_STEPS + 2) * n + LAST_CODE}
