# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The core with AXI ports, for designs without LiteX: AXI4-Stream for rows, AXI4-Lite for registers."""

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import axi_registers
from litenorm.accel import constants as c
from litenorm.accel.axi_registers import ADDRESS_BITS, STATUS, WORD_BITS, registers
from litenorm.accel.config import LiteNormConfig
from litenorm.accel.core import core_for
from litenorm.accel.formats import FORMATS
from litenorm.accel.rows import OP, row_params

OKAY, SLVERR = 0, 2


class RowGate(LiteXModule):
    """Frames rows: what reaches the core is a row that it can compute, whatever came in.

    params   i: row_params, taken with the first beat of a row
    sink     beats of data; `last` ends a row
    source   the core's sink: one cycle later, params constant within a row
    started  o: pulse: a row's first beat was taken
    bad_params  o: pulse: its params are not built or its length is not 1 to max_length; the row is dropped
    bad_row     o: pulse: `last` came before beat ceil(length / lanes), and the row is filled up with zeros; or not with
                beat max_beats, and the rest is dropped

    Latency 1 cycle, a beat a cycle.
    """

    def __init__(self, config):
        layout = row_params(config)
        self.params = params = Record(layout)
        self.sink = sink = stream.Endpoint([("data", config.lanes * config.input_bits)])
        self.source = source = stream.Endpoint(
            stream.EndpointDescription([("data", config.lanes * config.input_bits)], layout))
        self.started = Signal()
        self.bad_params = Signal()
        self.bad_row = Signal()

        # # #

        def built(signal, codes):
            return Reduce("OR", [signal == code for code in codes])

        norm = Signal()
        bad = Signal()
        self.comb += [
            norm.eq(params.op != OP["softmax"]),
            bad.eq(
                ~built(params.op, [OP[name] for name in config.ops])
                | (params.length == 0) | (params.length > config.max_length)
                | ~norm & ~built(params.format, [FORMATS[name].code for name in config.formats])
                | norm & params.affine & int(not config.has_affine)
                | norm & (params.eps != 0) & int(not config.eps)
            ),
        ]

        lanes_log2 = log2_int(config.lanes)
        first = Signal(reset=1)         # of the row that comes next
        drop = Signal()                 # what comes belongs to no row, up to `last`
        fill = Signal()                 # zeros follow
        count = Signal(max=max(config.max_beats, 2))    # beats of the row before this one
        length = Signal(config.length_bits)
        enough = Signal()               # with this beat the row has what its length needs
        full = Signal()
        free = Signal()
        takes = Signal()                # a beat of `sink` for the core
        enters = Signal()               # a beat, taken or filled in
        ends = Signal()
        self.comb += [
            length.eq(Mux(first, params.length, source.length)),
            enough.eq(count >= (length - 1)[lanes_log2:]),
            full.eq(count == config.max_beats - 1),
            free.eq(~source.valid | source.ready),
            sink.ready.eq((free | drop) & ~fill),
            takes.eq(sink.valid & free & ~fill & ~drop & ~(first & bad)),
            enters.eq(takes | fill & free),
            ends.eq(Mux(fill, enough, sink.last & enough | full)),
            self.started.eq(takes & first),
            self.bad_params.eq(sink.valid & sink.ready & ~drop & first & bad),
            self.bad_row.eq(takes & (sink.last != ends)),
        ]
        self.sync += [
            If(free,
                source.valid.eq(enters),
                source.data.eq(Mux(fill, 0, sink.data)),
                source.first.eq(first),
                source.last.eq(ends),
                If(takes & first, *[getattr(source, name).eq(getattr(params, name)) for name, _ in layout])
            ),
            If(enters,
                first.eq(ends),
                count.eq(Mux(ends, 0, count + 1)),
                fill.eq(~ends & (fill | sink.last)),
                drop.eq(ends & ~fill & ~sink.last)
            ).Elif(sink.valid & sink.ready,
                drop.eq(~sink.last)
            ),
        ]


class Registers(LiteXModule):
    """The registers behind an AXI4-Lite slave of 32 bits, one access of each direction at a time.

    aw, w, b, ar, r  the channels; no path leads from an input to an output. Write address and data may come in any
                     order. SLVERR: no such register, a write to one that is read-only, or one that sets a bit the
                     register does not have; such a write changes nothing. Bytes without strobe keep their value. The
                     two low address bits are not looked at
    values   i: dict of name to Signal: what read-only registers read as
    events   i: bits of status that are set; an event and its clearing at once: set
    params   o: Record of row_params
    interrupt  o: level

    A write is answered in the cycle after both its halves were taken, a read in the cycle after the address.
    """

    def __init__(self, config):
        self.aw = aw = stream.Endpoint([("addr", ADDRESS_BITS)])
        self.w = w = stream.Endpoint([("data", WORD_BITS), ("strb", WORD_BITS // 8)])
        self.b = b = stream.Endpoint([("resp", 2)])
        self.ar = ar = stream.Endpoint([("addr", ADDRESS_BITS)])
        self.r = r = stream.Endpoint([("data", WORD_BITS), ("resp", 2)])
        self.params = params = Record(row_params(config))
        words = registers(config)
        self.values = {word.name: Signal(word.bits, name=word.name) for word in words if word.access == "ro"}
        self.events = Signal(len(STATUS))
        self.interrupt = Signal()

        # # #

        # Channels ------------------------------------------------------------------------------------------------
        held = {}
        for name, channel in (("aw", aw), ("w", w), ("ar", ar)):
            full = Signal(name=f"{name}_held")
            held[name] = full
            fields = [(field, Signal(bits, name=f"{name}_{field}_held")) for field, bits in
                      channel.description.payload_layout]
            held.update({f"{name}_{field}": signal for field, signal in fields})
            self.comb += channel.ready.eq(~full)
            self.sync += If(channel.valid & channel.ready,
                full.eq(1),
                *[signal.eq(getattr(channel, field)) for field, signal in fields]
            )
        write = Signal()
        read = Signal()
        write_good = Signal()
        read_good = Signal()
        read_data = Signal(WORD_BITS)
        self.comb += [
            write.eq(held["aw"] & held["w"] & ~b.valid),
            read.eq(held["ar"] & ~r.valid),
        ]
        self.sync += [
            If(b.ready, b.valid.eq(0)),
            If(write, b.valid.eq(1), b.resp.eq(Mux(write_good, OKAY, SLVERR)), held["aw"].eq(0), held["w"].eq(0)),
            If(r.ready, r.valid.eq(0)),
            If(read,
                r.valid.eq(1),
                r.resp.eq(Mux(read_good, OKAY, SLVERR)),
                r.data.eq(read_data),
                held["ar"].eq(0)
            ),
        ]

        # Words ---------------------------------------------------------------------------------------------------
        strobes = Signal(WORD_BITS)
        written = Signal(WORD_BITS)     # the bytes that are written, the others 0
        self.comb += [
            strobes.eq(Cat(*[Replicate(held["w_strb"][i], 8) for i in range(WORD_BITS // 8)])),
            written.eq(held["w_data"] & strobes),
        ]
        status = Signal(len(STATUS))
        enable = Signal(len(STATUS))
        cleared = Signal(len(STATUS))
        reads, writes = {}, {}
        for word in words:
            index = word.offset * 8 // WORD_BITS
            fits = written[word.bits:] == 0 if word.bits < WORD_BITS else 1
            if word.access == "ro":
                value = self.values[word.name]
            elif word.name == "status":
                value = status
                writes[index] = [write_good.eq(fits), If(write & fits, cleared.eq(written))]
            else:
                if word.param is None:
                    value = enable
                else:
                    name, low = word.param
                    value = getattr(params, name)[low : low + word.bits]
                new = written | value & ~strobes
                writes[index] = [write_good.eq(fits), If(write & fits, NextWord(self, value, new, word))]
            reads[index] = [read_data.eq(value), read_good.eq(1)]
        self.comb += [
            Case(held["ar_addr"][2:], reads),
            Case(held["aw_addr"][2:], {index: statements for index, statements in writes.items()}),
            self.interrupt.eq((status & enable) != 0),
        ]
        self.sync += status.eq(status & ~cleared | self.events)


def NextWord(module, value, new, word):
    """Statement: set `value`, registers, to `new` at the next clock edge when this statement is reached."""
    strobe = Signal(name=f"write_{word.name}")
    module.sync += If(strobe, value.eq(new))
    return strobe.eq(1)


class AxiLiteNorm(LiteXModule):
    """LiteNorm or SerialLiteNorm with AXI4-Stream and AXI4-Lite ports.

    aclk, aresetn     clock; synchronous reset, active low, which may come at any time: rows inside are lost
    s_axis_*          rows: beats of lanes * input_bits, lane 0 in the low bits, two's complement; tlast ends a row of
                      ceil(N / lanes) beats
    s_axis_weights_*  gamma and beta (with affine): beats of lanes s16, from element 0 on; tuser 0: gamma, 1: beta;
                      tlast ends the array. Not while rows that use them are inside
    m_axis_*          as many beats as the row had: 16 bits a lane, s8 sign-extended, u8 zero-extended
    s_axil_*          axi_registers.registers; a row's parameters are taken with its first beat
    irq               level: status & interrupt_enable

    Latency and throughput are the core's and one cycle more. ValueError for a serial core without masks.
    """

    def __init__(self, config=None):
        self.config = config = LiteNormConfig() if config is None else config
        if not config.masks:
            raise ValueError("masks is False; good: True for a core with AXI ports")
        self.ports = []
        self.clock_domains.cd_sys = ClockDomain("sys")
        self.aclk = self.port("aclk")
        self.aresetn = self.port("aresetn")
        self.cd_sys.clk = self.aclk
        self.comb += self.cd_sys.rst.eq(~self.aresetn)

        # # #

        self.core = core = core_for(config)
        self.gate = gate = RowGate(config)
        self.registers = regs = Registers(config)
        self.comb += [
            gate.params.eq(regs.params),
            gate.source.connect(core.sink),
        ]

        # AXI4-Stream ---------------------------------------------------------------------------------------------
        self.stream_in("s_axis", gate.sink)
        self.stream_out("m_axis", core.source)
        bad_weights = Signal()
        if config.has_affine:
            weights = stream.Endpoint([("data", config.lanes * c.CODE_BITS), ("user", 1)])
            self.stream_in("s_axis_weights", weights)
            first = Signal(reset=1)
            count = Signal(max=config.max_beats + 1)
            room = Signal()
            self.comb += [
                room.eq(first | (count != config.max_beats)),
                core.weights.valid.eq(weights.valid & room),
                weights.ready.eq(core.weights.ready),
                core.weights.data.eq(weights.data),
                core.weights.beta.eq(weights.user),
                core.weights.first.eq(first),
                core.weights.last.eq(weights.last),
                bad_weights.eq(weights.valid & weights.ready & ~room),
            ]
            self.sync += If(weights.valid & weights.ready,
                first.eq(weights.last),
                If(first, count.eq(1)).Elif(room, count.eq(count + 1))
            )

        # AXI4-Lite -----------------------------------------------------------------------------------------------
        for name, channel, into in (("aw", regs.aw, True), ("w", regs.w, True), ("b", regs.b, False),
                                    ("ar", regs.ar, True), ("r", regs.r, False)):
            self.handshake(f"s_axil_{name}", channel, into)
            for field, bits in channel.description.payload_layout:
                port = self.port(f"s_axil_{name}{field}", bits)
                signal = getattr(channel, field)
                self.comb += signal.eq(port) if into else port.eq(signal)
            if name in ("aw", "ar"):
                self.port(f"s_axil_{name}prot", 3)      # not looked at

        # Registers -----------------------------------------------------------------------------------------------
        started = Signal(WORD_BITS)
        done = Signal(WORD_BITS)
        self.sync += [
            If(gate.started, started.eq(started + 1)),
            If(core.row_done, done.eq(done + 1)),
        ]
        values = dict(
            id=axi_registers.ID,
            version=axi_registers.MAP_VERSION,
            configuration=axi_registers.configuration_value(config),
            max_length=config.max_length,
            rows_started=started,
            rows_done=done,
        )
        events = dict(row_done=core.row_done, row_error=core.row_error, constant_row=core.constant_row,
                      bad_params=gate.bad_params, bad_row=gate.bad_row, bad_weights=bad_weights)
        self.irq = self.port("irq")
        self.comb += [
            *[signal.eq(values[name]) for name, signal in regs.values.items()],
            regs.events.eq(Cat(*[events[name] for name in STATUS])),
            self.irq.eq(regs.interrupt),
        ]

    def port(self, name, bits=1):
        """A Signal that becomes the Verilog port `name`."""
        signal = Signal(bits, name_override=name)
        self.ports.append(signal)
        return signal

    def handshake(self, prefix, channel, into):
        valid = self.port(f"{prefix}valid")
        ready = self.port(f"{prefix}ready")
        if into:
            self.comb += [channel.valid.eq(valid), ready.eq(channel.ready)]
        else:
            self.comb += [valid.eq(channel.valid), channel.ready.eq(ready)]

    def stream_in(self, name, sink):
        """Ports of an AXI4-Stream slave, for `sink`."""
        self.handshake(f"{name}_t", sink, True)
        for field, bits in [*sink.description.payload_layout, ("last", 1)]:
            self.comb += getattr(sink, field).eq(self.port(f"{name}_t{field}", bits))

    def stream_out(self, name, source):
        """Ports of an AXI4-Stream master, of `source`."""
        self.handshake(f"{name}_t", source, False)
        for field, bits in [*source.description.payload_layout, ("last", 1)]:
            self.comb += self.port(f"{name}_t{field}", bits).eq(getattr(source, field))
