# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Softmax, LayerNorm and RMSNorm in one unit: the softmax uses the adder and the registers of NormBalanced."""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.serial.exponential import MULTIPLY_STEPS, Exponential
from litenorm.accel.serial.norm_balanced import V_BITS, NormBalanced
from litenorm.accel.serial.softmax_area import CODE_BITS, LAST_CODE

STEP_BITS = (MULTIPLY_STEPS - 1).bit_length()
MAX, SUM, TURN, OUT = range(4)      # passes of a softmax row; TURN is presented with the first element only


class SharedSoftmax(LiteXModule):
    """What softmax does with T, A and the counter of NormBalanced; the arithmetic is SoftmaxBalanced's.

    T is v and A is the divisor, -(S + 1) = ~S. SUM leaves S in T, TURN passes it on to A bit by bit, and the first
    cycle of OUT takes it from there.

    keeps, passes_t_to_a  o: T <- T + operand; T <- T / 2, and A takes ~T bit by bit
    operand               o: what is added to T
    ends, ready           o: the step, or the element, is done in this cycle
    code, code_valid      o
    """

    def __init__(self, config):
        self.capped = "tfl_s8" in config.formats
        self.bits = config.serial_sum_bits
        self.constants = {"norm": 1, "k": c.SERIAL_SCALE_BITS, **({"tfl": 1} if self.capped else {})}
        self.exponential = Exponential()
        self.keeps = Signal()
        self.passes_t_to_a = Signal()
        self.operand = Signal(self.bits)
        self.ends = Signal()
        self.ready = Signal()
        self.code = Signal(CODE_BITS)
        self.code_valid = Signal()

    def connect(self, unit, first, second, count, t, a):
        """Statements: the ports of `unit`, its states FIRST and SECOND, and its registers."""
        exponential, product = self.exponential, self.exponential.product
        active = Signal()
        summing = Signal()
        adding = Signal()
        subtracting = Signal()
        begins = Signal()
        out = Signal()
        fits = Signal()
        stop = Signal()
        takes_divisor = Signal()
        turned = Signal()
        e = exponential.e
        stops = t[-1] | (product[:CODE_BITS] == LAST_CODE) if self.capped else t[-1]
        return [
            active.eq(~unit.norm & unit.valid),
            out.eq(unit.phase[1]),
            summing.eq(active & first & unit.phase[0]),
            adding.eq(summing & count[STEP_BITS]),
            subtracting.eq(active & second),
            self.passes_t_to_a.eq(active & (unit.phase == TURN)),
            begins.eq(summing & unit.start & (count == 0)),
            stop.eq(stops),
            fits.eq(subtracting & ~stop),

            exponential.x.eq(unit.x),
            exponential.k.eq(unit.k),
            exponential.compare.eq(active & (unit.phase == MAX)),
            exponential.first.eq(unit.start),
            exponential.multiply.eq(summing & ~count[STEP_BITS]),
            exponential.step.eq(count[:STEP_BITS]),
            exponential.add.eq(adding),
            exponential.count.eq(fits),

            takes_divisor.eq(fits | (begins & out & ~(unit.tfl if self.capped else 0))),
            self.keeps.eq(~unit.norm & ~begins & ~(self.passes_t_to_a & (count != 0))),
            self.operand.eq(Mux(out, Cat(C(0, 8), e), e) | (a[:self.bits] & Replicate(takes_divisor, self.bits))),
            self.code.eq(product),
            self.code_valid.eq(subtracting & stop),
            turned.eq(self.passes_t_to_a & (count == V_BITS - 1)),
            self.ends.eq(exponential.compare | adding | turned | self.code_valid),
            self.ready.eq(exponential.compare | (adding & ~out) | turned | self.code_valid),
        ]


class TrioBalanced(NormBalanced):
    """Softmax of s8 rows to u8_255 and, with config.formats, tfl_s8; LayerNorm and RMSNorm as in NormBalanced.

    What softmax keeps true in OUT, after each element, is SoftmaxArea's,

        v + (S + 1) * (1 + sum of codes) = 256 * (sum of e so far),     -(S + 1) <= v < 0

    and its passes are MAX, SUM, TURN (one element) and OUT, with the numbers of the norms'.

    The ports of NormBalanced, and

    norm           i: LayerNorm or RMSNorm, not softmax; constant within a row
    k, tfl         i: as in SoftmaxArea
    result, result_valid  o: softmax: code - zero_point, u8

    Cycles: softmax: MAX 1 an element, SUM 5, TURN 35, OUT 6 + code; the norms: as in NormBalanced.
    """

    softmax_passes = (MAX, SUM, TURN, OUT)

    def __init__(self, config):
        self.softmax = softmax = SharedSoftmax(config)
        super().__init__(config, softmax)

    @staticmethod
    def cycles(config, n):
        """Cycles of a row of n elements in each pass, at most: softmax to u8_255, then the norms."""
        norms = {f"norm {name}": cycles for name, cycles in NormBalanced.cycles(config, n).items()}
        return {"max": n, "sum": (MULTIPLY_STEPS + 1) * n, "turn": V_BITS, "out": (MULTIPLY_STEPS + 2) * n + LAST_CODE,
                **norms}
