# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Bus masters of the peripheral on native ports of LiteDRAM, past the SoC's bus and its L2 cache.

`NativeReader` and `NativeWriter` have the ports of `dma.WishboneReader` and `dma.WishboneWriter` and take their place.
A native port (`soc.sdram.crossbar.get_port()`) takes a command a cycle; a read's word comes some cycles later, whether
there is room for it or not, and a write's word is fetched some cycles later and must be there. So a command is given
only when there is room for its word, or its word is there.

A command that was taken cannot be taken back. A `PortGuard` between port and unit survives resets of the unit: it
swallows the words that are still to come, and gives words without byte enables where one is still to be fetched.
"""

from litex.gen import *
from litex.gen.genlib.misc import WaitTimer
from litex.soc.interconnect import stream, wishbone
from migen import *

from litenorm.accel.status import Status
from litenorm.soc.dma import Burster, Intake, Signature, data_layout

# Words: of a page of DDR3 with eight words a burst. Bursts that end with the page cost the memory least.
BURST_LENGTH = 128


class PortGuard(LiteXModule):
    """Between a native port and the unit that uses it: counts the words that the port owes.

    port  LiteDRAMNativePort, owned by this module
    most  words that the unit has outstanding at most

    cmd    sink: address, taken by the port in the same cycle
    moved  o: the port gives or fetches a word of the unit's in this cycle
    owed   o: words of the unit's that are outstanding
    drop   i: the unit is reset in this cycle: what is outstanding is not its own any more. New commands wait until the
           port has settled it.
    """

    def __init__(self, port, write, most):
        self.port = port
        self.write = write
        self.cmd = cmd = stream.Endpoint([("address", port.address_width)])
        self.moved = Signal()
        self.owed = Signal(max=most + 1)
        self.drop = Signal()

        # # #

        count = Signal(max=most + 1)
        draining = Signal()
        move = Signal()
        give = Signal()
        self.comb += [
            port.cmd.valid.eq(give),
            port.cmd.we.eq(int(write)),
            port.cmd.addr.eq(cmd.address),
            give.eq(cmd.valid & ~draining & ~self.drop),
            cmd.ready.eq(give & port.cmd.ready),
            port.wdata.valid.eq(count != 0),
            move.eq((port.wdata.ready if write else port.rdata.valid) & (count != 0)),
            self.moved.eq(move & ~draining),
            self.owed.eq(Mux(draining, 0, count)),
            port.rdata.ready.eq(1),
        ]
        self.sync += [
            count.eq(count + cmd.ready - move),
            If(count == move,
                draining.eq(0)
            ).Elif(self.drop,
                draining.eq(1)
            )
        ]


class _NativeMaster(LiteXModule):
    """What reader and writer share: a Burster whose accesses are commands of the port."""

    def __init__(self, guard, write, max_words, burst_length, timeout, origin, size):
        port = guard.port
        word = port.data_width // 8
        if origin % word or size % word or size < word:
            raise ValueError(f"memory of {size} bytes at {origin:#x}; good: whole words of {word} bytes")
        if (size // word - 1).bit_length() > port.address_width:
            raise ValueError(f"size is {size}; good: {word << port.address_width} bytes at most, as the port reaches")
        if guard.write != write:
            raise ValueError("the guard is for the other direction; good: PortGuard(port, write, most), write as here")
        self.data_width = port.data_width

        # The Burster's bus; an access is answered when the port takes its command.
        bus = wishbone.Interface(data_width=port.data_width, address_width=32, addressing="word")
        self.burster = burster = Burster(bus, write, max_words, burst_length, timeout, bursting=True, checked=write,
                                         aligned=True)
        address_bits = len(burster.window_first)
        self.transfer = burster.transfer
        self.window_first = Signal(address_bits)
        self.window_end = Signal(address_bits)
        self.stop = burster.stop
        self.bus_fault = Signal()  # i: not used; only a Wishbone interconnect makes up answers
        self.grant = Signal(reset=1)  # i: a burst may begin
        self.wants = Signal()  # o: a burst could begin
        self.permit = Signal()
        self.busy = Signal()
        self.on_bus = Signal()
        self.beat = Signal()
        self.error = Signal()
        self.code = Signal.like(burster.code)

        # # #

        # Which of the words that are to be moved are the last of their rows.
        self.lasts = lasts = stream.SyncFIFO([("row_last", 1)], 2 * burst_length)
        self.comb += [
            lasts.sink.valid.eq(guard.cmd.ready),
            lasts.sink.row_last.eq(burster.row_last),
            lasts.source.ready.eq(guard.moved),
        ]

        # No access leaves the memory either.
        first, end = origin // word, (origin + size) // word
        self.timer = timer = WaitTimer(timeout)
        late = Signal()
        self.comb += [
            burster.window_first.eq(Mux(self.window_first < first, first, self.window_first)),
            burster.window_end.eq(Mux(self.window_end > end, end, self.window_end)),
            burster.permit.eq(self.permit & self.grant),
            self.wants.eq(self.permit & burster.busy & ~burster.on_bus & ~burster.stop),
            guard.cmd.valid.eq(bus.stb & ~late),
            guard.cmd.address.eq(bus.adr - first),
            bus.ack.eq(guard.cmd.ready),
            self.on_bus.eq(burster.on_bus | (guard.owed != 0)),
            self.busy.eq(burster.busy | (guard.owed != 0)),
            self.beat.eq(burster.beat | guard.moved),
            timer.wait.eq((guard.owed != 0) & ~guard.moved),
            self.error.eq(burster.error | late),
            self.code.eq(Mux(late, int(Status.BUS_TIMEOUT), burster.code)),
        ]
        self.sync += If(timer.done, late.eq(1))


class NativeReader(_NativeMaster):
    """Reads transfers from a native port into a word stream. Ports as `dma.WishboneReader`.

    guard         PortGuard(port, False, 2 * burst_length), a module beside this one whose `drop` is set whenever this
                  one is reset
    max_words     longest row, words of the port
    burst_length  commands that are given without a pause; the FIFO behind the port holds two bursts
    timeout       cycles without an answer after which the port is given up: the error BUS_TIMEOUT
    origin, size  bytes: where the memory is in the address space of transfers and window; both whole words

    A transfer's first word comes four cycles after it was given, plus the port's latency; one word a cycle.
    """

    def __init__(self, guard, max_words, burst_length=BURST_LENGTH, timeout=65536, origin=0, size=2**32):
        super().__init__(guard, False, max_words, burst_length, timeout, origin, size)
        depth = 2 * burst_length
        self.fifo = fifo = stream.SyncFIFO(data_layout(self.data_width, False), depth, buffered=True)
        self.source = stream.Endpoint(data_layout(self.data_width, False))

        # # #

        self.comb += [
            # Words in the FIFO and on their way.
            self.permit.eq(fifo.level + guard.owed <= burst_length),
            fifo.sink.valid.eq(guard.moved),
            fifo.sink.data.eq(guard.port.rdata.data),
            fifo.sink.last.eq(self.lasts.source.row_last),
            fifo.source.connect(self.source),
        ]


class NativeWriter(_NativeMaster):
    """Writes transfers from a word stream to a native port. Ports as `dma.WishboneWriter`, parameters as NativeReader.

    guard     PortGuard(port, True, 2 * burst_length)
    row_done  o: pulse, the port has fetched the last word of a row. Whatever is commanded later finds it in memory.
    damaged, settled  o: as of dma.WishboneWriter, for the words that the port has fetched
    """

    def __init__(self, guard, max_words, burst_length=BURST_LENGTH, timeout=65536, origin=0, size=2**32):
        super().__init__(guard, True, max_words, burst_length, timeout, origin, size)
        depth = max(2 * burst_length, Intake.MIN_DEPTH)
        self.fifo = fifo = stream.SyncFIFO(data_layout(self.data_width, True), depth, buffered=True)
        self.sink = stream.Endpoint(data_layout(self.data_width, True))
        self.row_done = Signal()
        self.damaged = Signal()
        self.settled = Signal()

        # # #

        # As in dma.WishboneWriter the last rows are flushed in a shorter burst.
        self.intake = intake = Intake(fifo, depth)
        rows_missing = intake.rows_missing
        waiting = Signal(max=depth + 1)     # words without a command
        wdata = guard.port.wdata
        self.comb += [
            self.sink.connect(intake.sink),
            intake.begin.eq(self.burster.begin),
            intake.rows.eq(self.transfer.rows),
            waiting.eq(fifo.level - guard.owed),
            self.permit.eq(fifo.source.valid & ((waiting >= burst_length) | ((rows_missing == 0) & (waiting != 0)))),
            wdata.data.eq(fifo.source.data),
            # Without a word, which only an upset can bring about, nothing is written.
            wdata.we.eq(Mux(guard.moved & fifo.source.valid, fifo.source.sel, 0)),
            fifo.source.ready.eq(guard.moved),
            self.row_done.eq(guard.moved & self.lasts.source.row_last),
        ]

        # What came against what was fetched.
        self.came = came = Signature(len(fifo.sink.payload.raw_bits()))
        self.left = left = Signature(len(came.word))
        misframed = Signal()
        self.sync += If(guard.moved & (fifo.source.last != self.lasts.source.row_last), misframed.eq(1))
        self.comb += [
            came.word.eq(fifo.sink.payload.raw_bits()),
            left.word.eq(Cat(wdata.data, wdata.we)),
            came.take.eq(fifo.sink.valid & fifo.sink.ready),
            left.take.eq(guard.moved),
            self.settled.eq(came.value == left.value),
            self.damaged.eq(self.burster.damaged | intake.damaged | misframed),
        ]


class NativeMasters(LiteXModule):
    """Reader and writer on a native port each, their guards and their turns, for a peripheral.

    ports         two of `crossbar.get_port()`, of one width
    origin, size  bytes: the memory's region of the SoC
    others        as of NativeReader

    reader, writer  not submodules of this one: their owner resets them, and connects `drop`
    drop            i: reader and writer are reset in this cycle
    """

    def __init__(self, ports, max_words, burst_length=BURST_LENGTH, timeout=65536, origin=0, size=2**32):
        read_port, write_port = ports
        self.drop = Signal()
        self.read_guard = read_guard = PortGuard(read_port, False, 2 * burst_length)
        self.write_guard = write_guard = PortGuard(write_port, True, 2 * burst_length)
        units = (NativeReader(read_guard, max_words, burst_length, timeout, origin, size),
                 NativeWriter(write_guard, max_words, burst_length, timeout, origin, size))
        self.units = units
        self.turns = Turns(*units)

        # # #

        self.comb += [read_guard.drop.eq(self.drop), write_guard.drop.eq(self.drop)]


class Turns(LiteXModule):
    """Reader and writer give their bursts in turns: memory that changes direction with every word is slow.

    While one of them gives the commands of a burst the other one waits; then it is the other one's turn, if it wants
    one.
    """

    def __init__(self, reader, writer):
        units = reader, writer
        last = Signal()     # who was the last to begin
        for i, (unit, other) in enumerate((units, units[::-1])):
            self.comb += unit.grant.eq(~other.burster.on_bus & ((last != i) | ~other.wants))
            self.sync += If(unit.wants & unit.grant, last.eq(i))
