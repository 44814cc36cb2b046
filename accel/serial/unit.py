# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""What all arithmetic units of the serial back end have in common: their ports."""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c

# Passes of a norm's row, values of `phase`; ROOT is presented with the first element only, and not every unit has SUM.
NORM_SUM, NORM_VARIANCE, NORM_ROOT, NORM_OUT = range(4)


class SerialUnit(LiteXModule):
    """Ports of an arithmetic unit; a row is presented once in each of its passes, one element after the other.

    start          i: this is the first element of its pass; only together with valid
    phase          i: the pass, constant from its first element to its last
    valid, x       i: an element, s8; between two rows valid is 0 for a turn at least
    turn           o: the inputs above may change in the cycle after this one, and in no other. A bit-serial unit gives
                   it in the last cycle of each turn of its rings, a word-parallel one in every cycle
    ready          o: only with turn: the element, if valid was 1, is finished, and the next one may follow at once
    result, result_valid  o: see the unit
    constants      list of the names of its other inputs, constant within a row: k, tfl, length, rms, norm, eps

    softmax_passes    the passes of a softmax row that the unit wants, in their order: MAX, SUM, OUT, and where there
                      are four, a third one that is presented with the first element only
    norm_passes       the passes of a norm's row that the unit wants, in their order
    norm_bits_serial  a norm's results come as bits of `result`, MSB first, all before the element's `ready`
    """

    softmax_passes = (0, 1, 2)
    norm_passes = (NORM_SUM, NORM_VARIANCE, NORM_ROOT, NORM_OUT)
    norm_bits_serial = False

    def __init__(self, result_bits, **constants):
        self.start = Signal()
        self.phase = Signal(2)
        self.valid = Signal()
        self.x = Signal(c.SERIAL_INPUT_BITS)
        self.turn = Signal()
        self.ready = Signal()
        self.result = Signal(result_bits)
        self.result_valid = Signal()
        self.constants = list(constants)
        for name, bits in constants.items():
            setattr(self, name, Signal(bits, name=name))

    @property
    def inputs(self):
        return [self.start, self.phase, self.valid, self.x, *[getattr(self, name) for name in self.constants]]

    @property
    def outputs(self):
        return [self.turn, self.ready, self.result, self.result_valid]


class ResultWord(LiteXModule):
    """Results of a unit as words. Those of a unit with norm_bits_serial come bit by bit in a norm's OUT.

    valid     o: one cycle a result
    data      o: the result, zero-extended, with valid
    """

    def __init__(self, unit, bits):
        self.valid = Signal()
        self.data = Signal(bits)

        # # #

        if not unit.norm_bits_serial:
            self.comb += [self.valid.eq(unit.result_valid), self.data.eq(unit.result)]
            return
        collected = Signal(bits, reset_less=True)
        self.sync += If(unit.result_valid, collected.eq(Cat(unit.result[0], collected)))
        self.comb += [
            self.valid.eq(unit.result_valid),
            self.data.eq(unit.result),
            If(unit.norm if "norm" in unit.constants else 1,
                self.valid.eq(unit.ready & unit.valid & (unit.phase == NORM_OUT)),
                self.data.eq(collected)
            )
        ]
