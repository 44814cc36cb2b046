# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Queues between the passes, and memories that rows wait in, with an optional parity bit a beat."""

from functools import reduce
from operator import xor

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

BUFFER_SLACK = 32       # beats a buffer holds beyond one row: what enters while the row waits for its constants


def buffer_depth(config):
    """Beats of a buffer that a whole row has to wait in."""
    return config.max_beats + BUFFER_SLACK


def parity(value):
    """Expression: 1 when an odd number of the bits of `value` is set."""
    bits = [value[i] for i in range(len(value))]
    while len(bits) > 1:    # a tree: a chain over a wide beat is deeper than Python's stack
        bits = [reduce(xor, bits[i : i + 2]) for i in range(0, len(bits), 2)]
    return bits[0]


class Queue(LiteXModule):
    """FIFO of `depth` entries whose sink.ready and source.valid are registers: no path leads from stage to stage.

    layout     as a stream's; first and last are kept as well
    counted    whoever writes knows that there is room: sink.ready is always set. Else it follows `level` a cycle late,
               so that the last place may stay empty
    registers  between memory and `source`, each holds an entry more: 0, for a memory of LUTs; 1, whose output the next
               stage may load with; 2, for a block RAM, whose own output is late in its cycle
    level      o: entries in the memory
    Latency: 1 cycle and one for each register. One entry in and one out a cycle.
    """

    def __init__(self, layout, depth, registers=0, counted=False):
        self.sink = sink = stream.Endpoint(layout)
        self.source = source = stream.Endpoint(layout)
        self.level = level = Signal(max=depth + 1)
        self.depth = depth
        self.latency = 1 + registers

        # # #

        def fields(port):
            return Cat(*port.payload.flatten(), *port.param.flatten(), port.first, port.last)

        memory = Memory(len(fields(sink)), depth)   # no attribute: LiteX would give it registers
        write_port = memory.get_port(write_capable=True, mode=READ_FIRST)
        read_port = memory.get_port(async_read=not registers, has_re=registers > 0, mode=READ_FIRST)
        self.specials += memory, write_port, read_port

        # The flags follow `level`, so that an upset in one does not last.
        stored = Signal()           # level != 0
        push, take, pop = Signal(), Signal(), Signal()
        if counted:
            self.comb += sink.ready.eq(1)
        else:
            ready = Signal(reset=1)
            self.comb += sink.ready.eq(ready)
            self.sync += ready.eq(level < depth - 1)
        self.comb += [
            push.eq(sink.valid & sink.ready),
            pop.eq(stored & take),
            write_port.we.eq(push),
            write_port.dat_w.eq(fields(sink)),
        ]
        self.sync += [
            stored.eq(push | (level > 1) | ((level == 1) & ~pop)),
            If(push & ~pop, level.eq(level + 1)),
            If(pop & ~push, level.eq(level - 1)),
        ]
        # A depth that is no power of two does not wrap by itself.
        for port, moves in ((write_port, push), (read_port, pop)):
            self.sync += If(moves, port.adr.eq(Mux(port.adr == depth - 1, 0, port.adr + 1)))

        if not registers:
            self.comb += [take.eq(source.ready), source.valid.eq(stored), fields(source).eq(read_port.dat_r)]
            return
        read = source.valid         # the memory's output is an entry
        self.comb += read_port.re.eq(pop)
        if registers == 1:
            self.comb += [take.eq(source.ready | ~read), fields(source).eq(read_port.dat_r)]
        else:
            read = Signal(name="read")
            leaves = Signal()
            held = Signal(len(fields(source)), reset_less=True)
            self.comb += [
                leaves.eq(source.ready | ~source.valid),
                take.eq(leaves | ~read),
                fields(source).eq(held),
            ]
            self.sync += If(leaves, source.valid.eq(read), held.eq(read_port.dat_r))
        self.sync += If(take, read.eq(stored))


class BeatBuffer(LiteXModule):
    """FIFO of `depth` beats of `bits` data bits. Latency: 3 cycles. It takes a beat a cycle until it is full.

    counted  as of a Queue
    level   o: beats in its memory; two more are in its output registers
    error   o: with source.valid: the beat's parity is not what it was on entry (`protected`; else constant 0)

    One parity bit detects every single flip of a stored beat, the output registers included.
    """

    def __init__(self, bits, depth, protected=False, counted=False):
        self.queue = queue = Queue([("data", bits)] + ([("parity", 1)] if protected else []), depth, registers=2,
                                   counted=counted)
        self.sink = stream.Endpoint([("data", bits)])
        self.source = stream.Endpoint([("data", bits)])
        self.level = queue.level
        self.depth = depth
        self.latency = queue.latency
        self.error = Signal()

        # # #

        self.comb += [self.sink.connect(queue.sink), queue.source.connect(self.source, omit={"parity"})]
        if protected:
            self.comb += [
                queue.sink.parity.eq(parity(self.sink.data)),
                self.error.eq(queue.source.valid & (parity(queue.source.data) != queue.source.parity)),
            ]
