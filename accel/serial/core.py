# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""SerialLiteNorm: one arithmetic unit between streams, with the ports of the parallel core."""

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.config import LiteNormConfig
from litenorm.accel.formats import FORMATS
from litenorm.accel.rows import OP, row_params
from litenorm.accel.self_check import RowEntry, SelfCheck
from litenorm.accel.serial.unit import NORM_OUT, NORM_ROOT, ResultWord
from litenorm.accel.serial.units import unit_class

ROWS_IN_CORE = 4        # promises of the self-check: the row in the memory, and those whose codes still leave
CODES_WAITING = 4       # codes that wait for the source; the unit goes on while no more than 2 wait


class ScaleRegister(LiteXModule):
    """K of a row from its scale parameters: serial.model.saturated_scale, one shift a cycle.

    load        i, pulse: take multiplier and shift
    done        o: k is right; load was at least one cycle ago
    k           o: UQ1.12 octaves per LSB, at most SERIAL_SCALE_MAX

    Takes shift + 2 cycles.
    """

    def __init__(self):
        self.load = Signal()
        self.multiplier = Signal(c.SCALE_MULTIPLIER_BITS)
        self.shift = Signal(c.SCALE_SHIFT_BITS)
        self.done = Signal()
        self.k = Signal(c.SERIAL_SCALE_BITS)

        # # #

        left = c.SERIAL_SCALE_FRACTION_BITS + c.SCALE_HEADROOM - c.OCTAVE_FRACTION_BITS + 1
        value = Signal(c.SCALE_MULTIPLIER_BITS + left)
        count = Signal(c.SCALE_SHIFT_BITS)
        rounding = Signal()
        rounded = Signal(len(value) + 1)
        self.comb += [
            rounded.eq(value + 1),
            self.k.eq(value),
            self.done.eq(~rounding),
        ]
        self.sync += [
            If(self.load,
                value.eq(self.multiplier << left),
                count.eq(self.shift),
                rounding.eq(1)
            ).Elif(rounding,
                count.eq(count - 1),
                value.eq(value >> 1),
                If(count == 0,
                    rounding.eq(0),
                    value.eq(Mux(rounded[1:] > c.SERIAL_SCALE_MAX, c.SERIAL_SCALE_MAX, rounded[1:]))
                )
            )
        ]


class SerialLiteNorm(LiteXModule):
    """The core with the serial back end: one element a beat, one row at a time.

        sink -> row memory -> arithmetic unit -> source
                    |  once for each pass  |
                    +---- pass sequencer --+

    A row is stored at one beat a cycle and then presented to the unit in each of its passes. The codes of a row leave
    during its last pass, while the next row waits.

    sink     beats of one s8 element; `last` ends a row; params: rows.row_params, constant within a row. A scale above
             config.max_scale counts as that one, an eps term above 2^config.eps_bits - 1 as that
    source   as many beats as went in, 16 bits: the code, s8 sign-extended, u8 zero-extended, or y, Q5.10; the zero
             point for masked elements

    row_done, row_error, constant_row  as in LiteNorm

    What comes out is `litenorm.accel.model` with this config, bit for bit. Cycles of a row of N elements: N + the
    passes' (`unit_class(config).cycles`) + about 40.
    """

    def __init__(self, config=None):
        self.config = config = LiteNormConfig(backend="serial") if config is None else config
        if not config.serial:
            raise ValueError(f"backend is {config.backend}; good: serial")
        self.sink = sink = stream.Endpoint(
            stream.EndpointDescription([("data", config.input_bits)], row_params(config)))
        self.source = source = stream.Endpoint([("data", c.CODE_BITS)])
        self.row_done = Signal()
        self.row_error = Signal()
        self.constant_row = Signal()

        # # #

        # Row memory: one port, written while a row enters, read afterwards.
        memory = Memory(config.input_bits, config.max_length, name="row_memory")
        port = memory.get_port(write_capable=True, mode=READ_FIRST)
        self.specials += memory, port

        self.unit = unit = unit_class(config)(config)
        self.entry = entry = RowEntry(config, sink, ROWS_IN_CORE)
        self.codes = codes = stream.SyncFIFO([("data", c.CODE_BITS)], CODES_WAITING)

        # A row's constants, taken with its last beat --------------------------------------------------------------
        taken = Signal()
        ends = Signal()
        last_index = Signal(max=config.max_length)
        last_valid = Signal(max=config.max_length)
        index = Signal(max=config.max_length)
        next_index = Signal(max=config.max_length)
        self.comb += [
            taken.eq(sink.valid & sink.ready),
            ends.eq(taken & sink.last),
            entry.beat.eq(taken),
            entry.last.eq(sink.last),
        ]
        self.sync += If(ends, last_index.eq(index))
        if config.masks:
            self.sync += If(ends, last_valid.eq(sink.length - 1))
        else:
            self.comb += last_valid.eq(last_index)
        constants_ready = Signal(reset=1)
        if config.has_softmax:
            self.scale = scale = ScaleRegister()
            self.comb += [
                scale.load.eq(ends),
                scale.multiplier.eq(sink.scale_multiplier),
                scale.shift.eq(sink.scale_shift),
                unit.k.eq(scale.k),
                constants_ready.eq(scale.done),
            ]
        norm = Signal()
        next_norm = Signal()        # of the row that enters
        if config.has_norm:
            self.comb += unit.length.eq(last_valid + 1)
        if config.has_norm and config.has_softmax:
            self.comb += next_norm.eq(sink.op != OP["softmax"])
            self.sync += If(ends, norm.eq(next_norm))
        else:
            self.comb += [next_norm.eq(config.has_norm), norm.eq(config.has_norm)]
        for name, op in (("rms", "rmsnorm"), ("norm", None)):
            if name in unit.constants:
                value = Signal(name=f"row_{name}")
                self.sync += If(ends, value.eq(next_norm if op is None else sink.op == OP[op]))
                self.comb += getattr(unit, name).eq(value)
        if "eps" in unit.constants:
            eps = Signal(config.eps_bits)
            self.sync += If(ends,
                # What does not fit becomes the largest.
                eps.eq(Mux(sink.eps[config.eps_bits:] != 0, 2**config.eps_bits - 1, sink.eps))
            )
            self.comb += unit.eps.eq(eps)
        offset = self.of_format("offset", ends, lambda fmt: fmt.signed) & ~norm     # the zero point is not 0
        for name, wanted in (("tfl", lambda fmt: fmt.capped), ("half", lambda fmt: fmt.total == 1 << 15),
                             ("even", lambda fmt: fmt.total % 2 == 0)):
            if name in unit.constants:
                self.comb += getattr(unit, name).eq(self.of_format(f"row_{name}", ends, wanted) & ~norm)

        # Passes --------------------------------------------------------------------------------------------------
        # `present` and what goes with it change after a cycle with `turn` only, as the unit demands.
        present = Signal()
        first = Signal()
        may_present = Signal()
        phase = Signal(2)
        first_phase = Signal(2)     # of the row that enters
        next_phase = Signal(2)
        softmax_last = unit.softmax_passes[-1]
        step = Signal()
        pass_ends = Signal()
        row_ends = Signal()
        self.comb += [
            unit.valid.eq(present),
            unit.start.eq(present & first),
            unit.phase.eq(phase),
            unit.x.eq(port.dat_r),
            may_present.eq(codes.level < CODES_WAITING // 2),
            step.eq(present & unit.ready),
            # Softmax of 16 bits in size area has no pass 2.
            next_phase.eq(phase + 1 + (~norm & (phase == 1) & int(NORM_ROOT not in unit.softmax_passes))),
            first_phase.eq(Mux(next_norm, unit.norm_passes[0], 0)),
            pass_ends.eq((index == last_valid) | ((norm | (softmax_last == NORM_OUT)) & (phase == NORM_ROOT))),
            row_ends.eq(pass_ends & (phase == Mux(norm, NORM_OUT, softmax_last))),
            If(step,
                next_index.eq(Mux(pass_ends & ~row_ends, 0, index + 1))
            ).Else(
                next_index.eq(index)
            ),
        ]
        self.fsm = fsm = FSM(reset_state="LOAD")
        load, pad = fsm.ongoing("LOAD"), fsm.ongoing("PAD")
        self.comb += [
            port.adr.eq(Mux(load, index, next_index)),
            port.dat_w.eq(sink.data),
            port.we.eq(taken),
        ]
        fsm.act("LOAD",
            sink.ready.eq(entry.ready),
            If(taken,
                NextValue(index, index + 1),
                If(sink.last,
                    NextValue(index, 0),
                    NextValue(phase, first_phase),
                    NextValue(first, 1),
                    NextState("SCALE")
                )
            )
        )
        fsm.act("SCALE",    # and the memory reads its first element
            If(constants_ready, NextState("RUN"))
        )
        fsm.act("RUN",
            NextValue(index, next_index),
            If(step,
                NextValue(present, may_present & ~row_ends),
                NextValue(first, pass_ends),
                If(pass_ends, NextValue(phase, next_phase)),
                If(row_ends,
                    NextState("PAD"),
                    If(index == last_index,
                        NextValue(index, 0),
                        NextState("LOAD")
                    )
                )
            ).Elif(unit.turn & ~present,
                NextValue(present, may_present)
            )
        )
        fsm.act("PAD",
            If(codes.sink.ready,
                NextValue(index, index + 1),
                If(index == last_index,
                    NextValue(index, 0),
                    NextState("LOAD")
                )
            )
        )

        # Codes ---------------------------------------------------------------------------------------------------
        self.word = word = ResultWord(unit, c.CODE_BITS if config.has_norm or config.serial_wide else 8)
        out = Signal(c.CODE_BITS)
        inverted = Signal()
        code = Signal(c.CODE_BITS)
        self.comb += [
            If(~pad, out.eq(word.data)),
            inverted.eq(offset),
            # out - 2^15 inverts bit 15; out - 2^7 inverts bit 7, and what is above it is the sign.
            code.eq(Cat(out[:15], out[15] ^ inverted) if config.serial_wide else
                    Cat(out[:7], out[7] ^ inverted, out[8:] | Replicate(inverted & ~out[7], c.CODE_BITS - 8))),
            codes.sink.valid.eq(word.valid | pad),
            codes.sink.first.eq(index == 0),
            codes.sink.last.eq(index == last_index),
            codes.sink.data.eq(code),
            codes.source.connect(source),
        ]

        # The self-check ------------------------------------------------------------------------------------------
        self.check = check = SelfCheck(config)
        self.comb += [
            entry.source.connect(check.promise),
            check.beat.eq(source.valid & source.ready),
            check.last.eq(source.last),
            check.data.eq(source.data),
            self.row_done.eq(check.row_done),
            self.row_error.eq(check.row_error),
        ]
        if config.has_norm:
            self.comb += self.constant_row.eq(step & norm & (phase == NORM_ROOT) & unit.constant)

    def of_format(self, name, ends, wanted):
        """Expression: whether wanted(format) holds for the row's softmax format; a register where it depends on it."""
        formats = [FORMATS[f] for f in self.config.formats] if self.config.has_softmax else []
        good = [f for f in formats if wanted(f)]
        if len(good) in (0, len(formats)):
            return C(int(bool(good)), 1)
        value = Signal(name=name)
        self.sync += If(ends, value.eq(Reduce("OR", [self.sink.format == f.code for f in good])))
        return value
