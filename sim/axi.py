# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The core with AXI ports, as `litenorm verilog --bus axi` writes it, behind streams: for StreamDut.

    dut = axi_rows_dut(config)              # takes rows with their parameters, as sim.rowcheck.core_dut does
    dut = axi_channels_dut(config)          # every AXI channel is a stream of its own
"""

from litex.gen import LiteXModule
from litex.soc.interconnect import stream
from migen import (
    FSM,
    Array,
    Case,
    ClockSignal,
    If,
    Instance,
    NextState,
    NextValue,
    Replicate,
    ResetSignal,
    Signal,
)

from litenorm.accel import constants as c
from litenorm.accel.axi_registers import ADDRESS_BITS, WORD_BITS, registers
from litenorm.accel.export import axi_verilog
from litenorm.accel.rows import row_params
from litenorm.sim.verilated import StreamDut

TOP = "litenorm_axi"
CHANNELS = {
    "aw": [("addr", ADDRESS_BITS)],
    "w": [("data", WORD_BITS), ("strb", WORD_BITS // 8)],
    "b": [("resp", 2)],
    "ar": [("addr", ADDRESS_BITS)],
    "r": [("data", WORD_BITS), ("resp", 2)],
}


class AxiBench(LiteXModule):
    """An instance of the exported module; its streams and channels as endpoints.

    sink, source, weights  data; weights has `beta` as tuser
    aw, w, b, ar, r        the channels of AXI4-Lite
    irq                    o
    """

    def __init__(self, config):
        self.config = config
        self.sink = sink = stream.Endpoint([("data", config.lanes * config.input_bits)])
        self.source = source = stream.Endpoint([("data", config.lanes * c.CODE_BITS)])
        self.irq = Signal()

        # # #

        connections = dict(
            i_aclk=ClockSignal("sys"),
            i_aresetn=~ResetSignal("sys"),
            o_irq=self.irq,
            i_s_axis_tvalid=sink.valid, o_s_axis_tready=sink.ready, i_s_axis_tdata=sink.data, i_s_axis_tlast=sink.last,
            o_m_axis_tvalid=source.valid, i_m_axis_tready=source.ready, o_m_axis_tdata=source.data,
            o_m_axis_tlast=source.last,
            i_s_axil_awprot=0, i_s_axil_arprot=0,
        )
        first = Signal(reset=1)
        self.comb += source.first.eq(first)
        self.sync += If(source.valid & source.ready, first.eq(source.last))
        if config.has_affine:
            self.weights = weights = stream.Endpoint(
                stream.EndpointDescription([("data", config.lanes * c.CODE_BITS)], [("beta", 1)]))
            connections |= dict(
                i_s_axis_weights_tvalid=weights.valid, o_s_axis_weights_tready=weights.ready,
                i_s_axis_weights_tdata=weights.data, i_s_axis_weights_tlast=weights.last,
                i_s_axis_weights_tuser=weights.beta,
            )
        for name, layout in CHANNELS.items():
            channel = stream.Endpoint(layout)
            setattr(self, name, channel)
            into, back = ("o", "i") if name in ("b", "r") else ("i", "o")
            connections[f"{into}_s_axil_{name}valid"] = channel.valid
            connections[f"{back}_s_axil_{name}ready"] = channel.ready
            for field, _ in layout:
                connections[f"{into}_s_axil_{name}{field}"] = getattr(channel, field)
            if into == "o":
                self.comb += [channel.first.eq(1), channel.last.eq(1)]
        self.specials += Instance(TOP, **connections)


class AxiRows(LiteXModule):
    """AxiBench with the streams of the core: before each row its parameters are written, with random pauses.

    sink     row_params as param
    refused  o: a write was not answered by OKAY; stays
    """

    def __init__(self, config):
        self.config = config
        self.bench = bench = AxiBench(config)
        self.sink = sink = stream.Endpoint(
            stream.EndpointDescription([("data", config.lanes * config.input_bits)], row_params(config)))
        self.source = bench.source
        if config.has_affine:
            self.weights = bench.weights
        self.ar, self.r = bench.ar, bench.r
        self.irq = bench.irq
        self.refused = Signal()

        # # #

        words = [word for word in registers(config) if word.param is not None]
        values = []
        for word in words:
            name, low = word.param
            values.append(getattr(sink, name)[low : low + word.bits])
        index = Signal(max=len(words))
        noise = Signal(32, reset=0x1B6D9E55)        # a shift register with feedback
        self.sync += noise.eq((noise >> 3) ^ (Replicate(noise[0], 32) & 0xA3000000)
                              ^ (Replicate(noise[1], 32) & 0x51800000) ^ (Replicate(noise[2], 32) & 0x28C00000))
        sent = {}
        for name, go in (("aw", noise[3] | noise[11]), ("w", noise[7] | noise[19])):
            channel = getattr(bench, name)
            sent[name] = Signal(name=f"{name}_sent")
            valid = Signal(name=f"{name}_valid")
            start = Signal(name=f"{name}_start")
            self.comb += channel.valid.eq(valid)
            self.sync += [
                If(start & go & ~valid & ~sent[name], valid.eq(1)),
                If(valid & channel.ready, valid.eq(0), sent[name].eq(1)),
            ]
            sent[f"{name}_start"] = start
        self.comb += [
            bench.aw.addr.eq(Array(word.offset for word in words)[index]),
            Case(index, {i: bench.w.data.eq(value) for i, value in enumerate(values)}),
            bench.w.strb.eq(2**len(bench.w.strb) - 1),
            bench.sink.data.eq(sink.data),
            bench.sink.last.eq(sink.last),
        ]
        self.fsm = fsm = FSM(reset_state="IDLE")
        fsm.act("IDLE",
            If(sink.valid, NextValue(index, 0), NextState("WRITE"))
        )
        fsm.act("WRITE",
            sent["aw_start"].eq(1),
            sent["w_start"].eq(1),
            bench.b.ready.eq(noise[13]),
            If(bench.b.valid & bench.b.ready,
                If(bench.b.resp != 0, NextValue(self.refused, 1)),
                NextValue(sent["aw"], 0),
                NextValue(sent["w"], 0),
                NextValue(index, index + 1),
                If(index == len(words) - 1, NextState("ROW"))
            )
        )
        fsm.act("ROW",
            bench.sink.valid.eq(sink.valid),
            sink.ready.eq(bench.sink.ready),
            If(sink.valid & sink.ready & sink.last, NextState("IDLE"))
        )


def with_core(config, edit=None):
    """The function for StreamDut's `edit` that puts the exported module beside the bench."""
    return lambda text: text + "\n" + (edit or (lambda exported: exported))(axi_verilog(config, TOP))


def axi_rows_dut(config, harness=StreamDut, edit=None, **options):
    """A StreamDut of AxiRows; `edit` changes the exported text."""
    module = AxiRows(config)
    sinks = {"sink": module.sink, "ar": module.ar} | ({"weights": module.weights} if config.has_affine else {})
    return harness(module, sinks=sinks, sources={"source": module.source, "r": module.r},
                   signals={"irq": module.irq, "refused": module.refused}, edit=with_core(config, edit),
                   **options)


def axi_channels_dut(config, harness=StreamDut, edit=None, **options):
    """A StreamDut of AxiBench: streams sink, weights, aw, w, ar, source, b, r."""
    module = AxiBench(config)
    sinks = {name: getattr(module, name) for name in ("sink", "aw", "w", "ar")}
    if config.has_affine:
        sinks["weights"] = module.weights
    return harness(module, sinks=sinks, sources={name: getattr(module, name) for name in ("source", "b", "r")},
                   signals={"irq": module.irq}, edit=with_core(config, edit), **options)
