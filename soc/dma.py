# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Bus masters of the peripheral: rows of words between a Wishbone bus and streams, in bursts.

`WishboneReader` and `WishboneWriter` have the same ports but for the direction of their data, and nothing outside of
this file knows about Wishbone: a unit for another kind of memory port has the same ports and takes their place.

A transfer is `rows` rows of `words` bus words, row r at word address `address + r * stride`. Where rows follow each
other without a gap (stride == words) a burst runs on across the end of a row. A transfer is held by its giver until
its last word is moved, and taken with it.
"""

from litex.gen import *
from litex.gen.genlib.misc import WaitTimer
from litex.soc.interconnect import stream, wishbone
from migen import *

from litenorm.accel.status import STATUS_BITS, Status

ROWS_BITS = 32


def transfer_layout(address_bits, max_words):
    """Fields of a transfer. address and stride are in bus words, words (per row) and rows are at least 1."""
    return [
        ("address", address_bits),
        ("stride", address_bits),
        ("words", bits_for(max_words)),
        ("rows", ROWS_BITS),
    ]


def data_layout(data_width, with_sel):
    """Payload of a word stream: `data`, first byte in the low bits; `sel`, byte enables, where words are written."""
    return [("data", data_width)] + ([("sel", data_width // 8)] if with_sel else [])


def parity(*signals):
    """The parity of all bits of the Signals: 1 when an odd number of them is set."""
    level = [signal[i] for signal in signals for i in range(len(signal))]
    while len(level) > 1:
        level = [Reduce("XOR", level[i : i + 2]) for i in range(0, len(level), 2)]
    return level[0]


class Burster(LiteXModule):
    """Walks through transfers and issues one bus access per word, in bursts of up to `burst_length` words.

    Wishbone B3 registered feedback: linear incrementing bursts (CTI 010, the last access of a burst 111). Without
    `bursting` the same accesses are classic cycles in a block (CTI 000). The bus is free for one cycle after each
    burst, so that other masters get their turn; a burst begins only when `permit` says that all of its words can be
    taken or given without a pause, so the bus never waits for this side. With a slave that answers each cycle after
    the first, n words take n + 2 cycles.

    No access leaves the window: each burst is cut at its end before it begins, and an access that would lie outside is
    not issued but ends the transfer with OUT_OF_WINDOW. A slave's `err` ends it with BUS_ERROR. An access that is not
    answered for `timeout` cycles (waiting for the bus included) is given up and ends it with BUS_TIMEOUT, as does an
    answer that comes from the interconnect's own watchdog (`bus_fault`).

    With `aligned` bursts also end at multiples of `burst_length` words, a power of two.

    `stop` cuts a burst: it ends with the access after the one that is open, which has announced that more will come.
    So the bus is left after two accesses at most, each of `timeout` cycles at most, whatever the slave does.

    After an error nothing is issued until reset.

    With `checked`, `damaged` reports single upsets in the registers of the walk: at each row's end its last address
    less its first one must be its words less 1. Those that end the transfer early are left to the owner.
    """

    def __init__(self, bus, write, max_words, burst_length, timeout, bursting, checked=False, aligned=False):
        if burst_length < 1:
            raise ValueError(f"burst_length is {burst_length}; good: 1 or more words")
        if aligned and burst_length & (burst_length - 1):
            raise ValueError(f"burst_length is {burst_length}; good: a power of two for aligned bursts")
        if timeout < 1:
            raise ValueError(f"timeout is {timeout}; good: 1 or more cycles")
        shift = log2_int(bus.data_width // 8)
        address_bits = 32 - shift

        self.transfer = transfer = stream.Endpoint(transfer_layout(address_bits, max_words))  # i: next transfer
        self.window_first = Signal(address_bits + 1)  # i: first word that may be accessed
        self.window_end = Signal(address_bits + 1)  # i: first word behind the window
        self.permit = Signal()  # i: a whole burst (or all that is left) can be moved without a pause
        self.dry = Signal()  # i: no word is there behind this one: the burst ends with it
        self.stop = Signal()  # i: begin no more bursts, and cut the one that is under way
        self.bus_fault = Signal()  # i: the bus cycle's ack is made up by the interconnect's watchdog

        self.begin = Signal()  # o: a transfer begins
        self.busy = Signal()  # o: a transfer is under way
        self.on_bus = Signal()  # o: a burst is under way; with `stop` set and this low, nothing more is issued
        self.beat = Signal()  # o: one word is moved in this cycle
        self.row_last = Signal()  # o: the word is the last of its row
        self.damaged = Signal()  # o: an upset has changed the walk, until reset
        self.error = Signal()  # o: the transfer ended early, until reset
        # Why, a Status. An error without a reason can only come from a fault in this unit's registers.
        self.code = Signal(STATUS_BITS, reset=int(Status.SELF_CHECK))  # o

        # # #

        # State of the walk -----------------------------------------------------------------------------------
        address = Signal(address_bits + 1)  # current word; the extra bit catches the end of the address space
        row_address = Signal(address_bits + 1)
        words_left = Signal(len(transfer.words))  # in this row, this word included
        rows_left = Signal(ROWS_BITS)
        # Registers beside the counters: the bus is told where a burst ends, and goes its own long way from there.
        row_last = self.row_last  # words_left is 1
        rows_end = Signal()  # rows_left is 1
        gapless = Signal()  # the next row begins right behind this one

        next_row = Signal(address_bits + 1)
        self.comb += next_row.eq(row_address + transfer.stride)

        if checked:
            gapless_twin = Signal()
            self.sync += [
                If(~self.busy, gapless_twin.eq(transfer.stride == transfer.words)),
                If(self.beat & row_last & (address - row_address + 1 != transfer.words)
                   | self.busy & (gapless != gapless_twin),
                    self.damaged.eq(1)
                ),
            ]

        # Length of a burst -----------------------------------------------------------------------------------
        headroom = Signal((address_bits + 2, True))  # words up to the window's end
        inside = Signal()
        count = Signal(max=max(burst_length, 2))  # words of this burst that are left, minus 1
        count_end = Signal()  # count is 0
        burst_end = Signal()
        cut = Signal()  # stopped: the burst ends with this word
        announced = Signal()  # the open access has said that the burst ends with it
        self.comb += [
            headroom.eq(self.window_end - address),
            inside.eq((address >= self.window_first) & (headroom > 0)),
            burst_end.eq(count_end | (row_last & (rows_end | ~gapless)) | cut | self.dry | announced),
        ]
        # A word may come while the access waits for its answer.
        self.sync += announced.eq(bus.stb & ~bus.ack & burst_end)

        # Bus -------------------------------------------------------------------------------------------------
        cti_more = wishbone.CTI_BURST_INCREMENTING if bursting else wishbone.CTI_BURST_NONE
        cti_end = wishbone.CTI_BURST_END if bursting else wishbone.CTI_BURST_NONE
        self.comb += [
            bus.adr.eq(address << shift if bus.addressing == "byte" else address),
            bus.we.eq(int(write)),
            bus.cti.eq(Mux(burst_end, cti_end, cti_more)),
            bus.bte.eq(0),
        ]

        self.timer = timer = WaitTimer(timeout)
        self.comb += timer.wait.eq(bus.stb & ~bus.ack)

        longest = burst_length - 1  # words of a burst that begins at `address`, minus 1
        if aligned and burst_length > 1:
            longest = Signal(max=burst_length)
            self.comb += longest.eq(~address[: log2_int(burst_length)])

        def fail(status):
            return [NextValue(self.code, int(status)), NextState("HALT")]

        self.fsm = fsm = FSM(reset_state="IDLE")
        fsm.act("IDLE",
            self.begin.eq(transfer.valid),
            NextValue(address, transfer.address),
            NextValue(row_address, transfer.address),
            NextValue(words_left, transfer.words),
            NextValue(row_last, transfer.words == 1),
            NextValue(rows_left, transfer.rows),
            NextValue(rows_end, transfer.rows == 1),
            NextValue(gapless, transfer.stride == transfer.words),
            If(transfer.valid,
                NextState("PREPARE")
            )
        )
        # Also the cycle in which the bus is free between two bursts.
        fsm.act("PREPARE",
            self.busy.eq(1),
            NextValue(count, Mux(headroom <= longest, headroom - 1, longest)),
            NextValue(count_end, (headroom == 1) | (longest == 0)),
            NextValue(cut, 0),
            If(~self.stop,
                If(~inside,
                    *fail(Status.OUT_OF_WINDOW)
                ).Elif(self.permit,
                    NextState("BURST")
                )
            )
        )
        fsm.act("BURST",
            self.busy.eq(1),
            self.on_bus.eq(1),
            bus.cyc.eq(1),
            bus.stb.eq(1),
            If(bus.err,
                *fail(Status.BUS_ERROR)
            ).Elif(bus.ack & self.bus_fault,
                *fail(Status.BUS_TIMEOUT)
            ).Elif(bus.ack,
                self.beat.eq(1),
                # Not before: an access stays as it is until its answer.
                NextValue(cut, self.stop),
                NextValue(count, count - 1),
                NextValue(count_end, count == 1),
                NextValue(address, address + 1),
                NextValue(words_left, words_left - 1),
                NextValue(row_last, words_left == 2),
                If(row_last,
                    NextValue(words_left, transfer.words),
                    NextValue(row_last, transfer.words == 1),
                    NextValue(rows_left, rows_left - 1),
                    NextValue(rows_end, rows_left == 2),
                    NextValue(row_address, next_row),
                    NextValue(address, next_row)
                ),
                If(burst_end,
                    NextState("PREPARE"),
                    If(row_last & rows_end,
                        transfer.ready.eq(1),
                        NextState("IDLE")
                    )
                )
            ).Elif(timer.done,
                *fail(Status.BUS_TIMEOUT)
            )
        )
        fsm.act("HALT",
            self.error.eq(1)
        )


class Signature(LiteXModule):
    """Signature of a sequence of words: a multiple-input linear-feedback shift register.

    word    i: `width` bits
    take    i: the word is the next one of the sequence
    value   o: of the words so far; 0 after reset

    value' = x * value + word, folded to BITS, in GF(2)[x] modulo a primitive polynomial. Two sequences that differ in
    one bit never have the same signature; sequences that differ otherwise have it with a probability of 2^-BITS.
    """

    BITS = 16
    POLYNOMIAL = 0x100B  # x^16 + x^12 + x^3 + x + 1, without its first term

    def __init__(self, width):
        self.word = word = Signal(width)
        self.take = Signal()
        self.value = Signal(self.BITS)

        # # #

        parts = [word[i : i + self.BITS] for i in range(0, len(word), self.BITS)]
        times_x = (self.value << 1) ^ Mux(self.value[-1], self.POLYNOMIAL, 0)
        self.sync += If(self.take, self.value.eq(Reduce("XOR", [times_x, *parts])))


class Intake(LiteXModule):
    """What a writer takes: the rows of its transfer, while its FIFO has room. Words of the next transfer wait.

    fifo          whose sink this drives; it needs MIN_DEPTH places or more
    sink          words; its ready is an AND of two registers, because the way from here into the core's stages is long
    begin, rows   i: a transfer begins, of that many rows
    rows_missing  o: rows of the transfer whose last word has not come yet
    damaged       o: an upset has changed what is kept in here, until reset

    Whether there is room is known a cycle late: two places stay free for what comes meanwhile.
    """

    MIN_DEPTH = 4

    def __init__(self, fifo, depth):
        self.sink = sink = stream.Endpoint(fifo.sink.description)
        self.begin = Signal()
        self.rows = Signal(ROWS_BITS)
        self.rows_missing = missing = Signal(ROWS_BITS)
        self.room = room = Signal()
        self.wanted = wanted = Signal()  # rows_missing is not 0
        self.damaged = Signal()

        # # #

        taken = Signal()
        self.comb += [
            sink.connect(fifo.sink, omit={"valid", "ready"}),
            sink.ready.eq(room & wanted),
            taken.eq(sink.valid & sink.ready),
            fifo.sink.valid.eq(taken),
        ]
        self.sync += [
            room.eq(fifo.level < depth - 2),
            If(self.begin,
                missing.eq(self.rows),
                wanted.eq(1)
            ).Elif(taken & sink.last,
                missing.eq(missing - 1),
                wanted.eq(missing != 1)
            ),
            If(wanted != (missing != 0), self.damaged.eq(1)),
        ]


class WishboneReader(LiteXModule):
    """Reads transfers from a Wishbone bus into a word stream.

    bus           wishbone.Interface of any data width, owned by this module
    max_words     longest row, bus words
    burst_length  longest burst, words; the FIFO behind it holds two
    timeout       cycles without an answer after which an access is given up
    bursting      announce bursts (CTI); else classic cycles

    `source`: data, first byte of memory in the low bits; `last` marks a row's last word. One word a cycle; first word
    four cycles after the transfer was given, plus the bus's latency.
    Other ports: see `Burster`. Errors are codes on `code`, with `error` set until reset.
    """

    def __init__(self, bus, max_words, burst_length=64, timeout=65536, bursting=True):
        self.bus = bus
        self.data_width = bus.data_width

        self.burster = burster = Burster(bus, False, max_words, burst_length, timeout, bursting)
        self.fifo = fifo = stream.SyncFIFO(data_layout(bus.data_width, False), 2 * burst_length, buffered=True)

        self.transfer = burster.transfer
        self.source = stream.Endpoint(data_layout(bus.data_width, False))
        _share_ports(self, burster)

        # # #

        self.comb += [
            bus.sel.eq(2 ** len(bus.sel) - 1),
            burster.permit.eq(fifo.level <= burst_length),
            fifo.sink.valid.eq(burster.beat),
            fifo.sink.data.eq(bus.dat_r),
            fifo.sink.last.eq(burster.row_last),
            fifo.source.connect(self.source),
        ]


class WishboneWriter(LiteXModule):
    """Writes transfers from a word stream to a Wishbone bus.

    Parameters as `WishboneReader`. `sink`: data and byte enables `sel`, `last` marks a row's last word; its rows must
    be as long as the transfer's. A burst begins when `burst_length` words are there, or the transfer's last one; in the
    transfer's last row with the first EARLY words, so that a short job does not wait for its end. Such a burst ends
    where the next word is not there.
    `row_done`: o, pulse, the last word of a row was acknowledged by the bus.
    Other ports: see `Burster`.

    A single upset in here does not go unnoticed. `damaged`: o, until reset, the walk or the rows' framing is not what
    was given. `settled`: o, the words that left on the bus are those that came, in their order: true when nothing is
    under way, else an upset has lost, doubled, swapped or changed words. The words are compared by two `Signature`s.
    """

    EARLY = 4

    def __init__(self, bus, max_words, burst_length=64, timeout=65536, bursting=True):
        self.bus = bus
        self.data_width = bus.data_width

        self.burster = burster = Burster(bus, True, max_words, burst_length, timeout, bursting, checked=True)
        depth = max(2 * burst_length, Intake.MIN_DEPTH)
        self.fifo = fifo = stream.SyncFIFO(data_layout(bus.data_width, True), depth, buffered=True)

        self.transfer = burster.transfer
        self.sink = stream.Endpoint(data_layout(bus.data_width, True))
        self.row_done = Signal()
        self.damaged = Signal()
        self.settled = Signal()
        _share_ports(self, burster)

        # # #

        # At 0 missing rows the rest is flushed in a shorter burst.
        self.intake = intake = Intake(fifo, depth)
        rows_missing = intake.rows_missing
        put, taken = Signal(), burster.beat
        dry = Signal(reset=1)  # fifo.level is 0 or 1: a register, because the burst's end goes on to the memory
        self.sync += dry.eq(
            (fifo.level == 0) | ((fifo.level == 1) & (taken | ~put)) | ((fifo.level == 2) & taken & ~put))
        self.comb += [
            put.eq(fifo.sink.valid & fifo.sink.ready),
            self.sink.connect(intake.sink),
            intake.begin.eq(burster.begin),
            intake.rows.eq(burster.transfer.rows),
            burster.permit.eq(fifo.source.valid & (
                (fifo.level >= burst_length)
                | ((rows_missing == 1) & (fifo.level >= min(self.EARLY, burst_length)))
                | (rows_missing == 0)
            )),
            burster.dry.eq(dry),
            bus.dat_w.eq(fifo.source.data),
            # Without a word, which only an upset can bring about, nothing is written.
            bus.sel.eq(Mux(fifo.source.valid, fifo.source.sel, 0)),
            fifo.source.ready.eq(burster.beat),
            self.row_done.eq(burster.beat & burster.row_last),
        ]

        # What came against what left.
        self.came = came = Signature(len(fifo.sink.payload.raw_bits()))
        self.left = left = Signature(len(came.word))
        misframed = Signal()
        self.sync += If(burster.beat & (fifo.source.last != burster.row_last), misframed.eq(1))
        self.comb += [
            came.word.eq(fifo.sink.payload.raw_bits()),
            left.word.eq(Cat(bus.dat_w, bus.sel)),
            came.take.eq(put),
            left.take.eq(taken),
            self.settled.eq(came.value == left.value),
            self.damaged.eq(burster.damaged | intake.damaged | misframed),
        ]


def _share_ports(unit, burster):
    """The burster's control ports are the unit's own."""
    for name in ("window_first", "window_end", "stop", "bus_fault", "busy", "on_bus", "beat", "error", "code"):
        setattr(unit, name, getattr(burster, name))
