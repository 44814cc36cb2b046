# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""What all arithmetic units of the serial back end have in common: their ports."""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c

# Passes of a norm's row, values of `phase`; ROOT is presented with the row's first element only. Not every unit has SUM.
NORM_SUM, NORM_VARIANCE, NORM_ROOT, NORM_OUT = range(4)


class SerialUnit(LiteXModule):
    """Ports of an arithmetic unit; a row is presented once in each of its passes, one element after the other.

    start          i: this is the first element of its pass; only together with valid
    phase          i: the pass, constant from its first element to its last
    valid, x       i: an element, s8
    turn           o: the inputs above may change in the cycle after this one, and in no other. A bit-serial unit gives
                   it in the last cycle of each turn of its rings, a word-parallel one in every cycle
    ready          o: only with turn: the element, if valid was 1, is finished, and the next one may follow at once
    result, result_valid  o: see the unit; 1 bit when the unit is bit-serial there, which ResultWord collects
    constants      list of the names of its other inputs, constant within a row
    """

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
    """Results as words, from a unit that gives the word itself or, where `serial` is 1, its bits, MSB first.

    serial    i
    valid     o: one cycle a result
    data      o: the word, with valid
    """

    def __init__(self, unit, bits):
        self.serial = Signal()
        self.valid = Signal()
        self.data = Signal(bits)

        # # #

        collected = Signal(bits, reset_less=True)
        self.sync += If(unit.result_valid, collected.eq(Cat(unit.result[0], collected)))
        self.comb += [
            self.valid.eq(Mux(self.serial, unit.ready & unit.valid & (unit.phase == NORM_OUT), unit.result_valid)),
            self.data.eq(Mux(self.serial, collected, unit.result)),
        ]
