# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""A small stream module, sound or with one named fault: what the simulation harnesses are tested with."""

from litex.gen import LiteXModule
from litex.soc.interconnect import stream
from migen import READ_FIRST, If, Memory, Signal

FAULTS = {
    "drops_valid": "valid falls for a cycle after it has waited",
    "changes_payload": "the payload changes while it waits for ready",
    "waits_for_ready": "valid depends on ready",
    "hangs": "takes no beat after the 20th",
    "repeats_last": "gives the last beat of each row twice",
    "swallows_row": "a reset in mid-row is forgotten, and the next row is swallowed",
    "reads_memory": "adds a memory word that nobody wrote",
    "unreset_register": "adds a register that reset does not reach",
    "no_last": "leaves out last",
}


class Adder(LiteXModule):
    """Adds the row's param ``offset`` to every lane, modulo 2**16, through a FIFO. Latency 2 cycles.

    lanes : 16-bit lanes per beat.  fault : a key of FAULTS, or None.
    """

    latency = 2

    def __init__(self, lanes=4, fault=None):
        if fault is not None and fault not in FAULTS:
            raise ValueError(f"no fault {fault}; there is {', '.join(FAULTS)}")
        layout = [("data", 16 * lanes)]
        self.sink = sink = stream.Endpoint(stream.EndpointDescription(layout, [("offset", 16)]))
        self.source = source = stream.Endpoint(layout)
        self.row_done = Signal()  # o: pulse, the last beat of a row is taken

        # # #

        self.fifo = fifo = stream.SyncFIFO(layout, 8)
        stage = stream.Endpoint(layout)
        extra = Signal(16)
        swallow = Signal()
        open_ = Signal(reset=1)
        self.comb += [
            sink.ready.eq((~stage.valid | stage.ready) & open_),
            stage.connect(fifo.sink),
            fifo.source.connect(source, omit={"valid", "data", "last", "ready"}),
            source.valid.eq(fifo.source.valid),
            source.data.eq(fifo.source.data),
            source.last.eq(fifo.source.last),
            fifo.source.ready.eq(source.ready),
            self.row_done.eq(source.valid & source.ready & fifo.source.last),
        ]
        self.sync += [
            If(stage.ready, stage.valid.eq(0)),
            If(
                sink.valid & sink.ready,
                stage.valid.eq(~swallow),
                stage.first.eq(sink.first),
                stage.last.eq(sink.last),
                *[stage.data[i : i + 16].eq(sink.data[i : i + 16] + sink.offset + extra)
                  for i in range(0, 16 * lanes, 16)],
            ),
        ]

        waited = Signal()
        self.sync += waited.eq(source.valid & ~source.ready)
        if fault == "drops_valid":
            self.comb += source.valid.eq(fifo.source.valid & ~waited)
        if fault == "changes_payload":
            self.comb += source.data.eq(fifo.source.data ^ waited)
        if fault == "waits_for_ready":
            self.comb += source.valid.eq(fifo.source.valid & source.ready)
        if fault == "hangs":
            count = Signal(8)
            self.sync += If(sink.valid & sink.ready, count.eq(count + 1))
            self.comb += open_.eq(count != 20)
        if fault == "repeats_last":
            again = Signal()
            self.comb += fifo.source.ready.eq(source.ready & (again | ~fifo.source.last))
            self.sync += If(source.valid & source.ready, again.eq(fifo.source.last & ~again))
        if fault == "swallows_row":
            in_row = Signal(reset_less=True)
            skip = Signal(reset_less=True)
            self.sync += If(sink.valid & sink.ready, in_row.eq(~sink.last), skip.eq(swallow & ~sink.last))
            self.comb += swallow.eq((sink.first & in_row) | (~sink.first & skip))
        if fault == "reads_memory":
            memory = Memory(16, 4)
            port = memory.get_port(mode=READ_FIRST)
            self.specials += memory, port
            self.comb += extra.eq(port.dat_r)
        if fault == "unreset_register":
            register = Signal(16, reset_less=True)
            self.sync += register.eq(register)
            self.comb += extra.eq(register)
        if fault == "no_last":
            self.comb += source.last.eq(0)
