# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The engine: takes jobs, moves their rows through the core, and says how each job ended."""

from litex.gen import *
from litex.gen.genlib.misc import WaitTimer
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel.core import row_params
from litenorm.accel.status import Status
from litenorm.soc.dma import ROWS_BITS
from litenorm.soc.gearbox import LANE_BITS, Held, Pack, Unpack
from litenorm.soc.job import ADDRESS_BITS, JobCheck, RowLengths, job_layout, result_layout

# Kinds of rows that the reader fetches, in this order.
GAMMA, BETA, ROW = range(3)

CYCLES_BITS = 32


def default_watchdog(config, bus_timeout):
    """Cycles without a moving word after which a job is stuck: far above what a core's longest row takes, and above
    the timeout of a bus that does not answer."""
    return bus_timeout + config.max_row_cycles + 4096


class Engine(LiteXModule):
    """Runs one job at a time: check, load gamma and beta, rows through the core, report.

    config  LiteNormConfig of the core
    core    an `accel.LiteNorm`, or anything with its streams (made resettable and owned by the engine)
    reader, writer  units with the ports of `dma.WishboneReader` and `dma.WishboneWriter` (as the core)
    watchdog_cycles a job in which no word moves into or out of the core or over a bus for so long ends with WATCHDOG;
             None: see `default_watchdog`. Above the timeout of the buses, which otherwise end it as a stuck core

    job      sink, `job_layout()`; held until the job has ended, taken in the cycle of its result
    result   source, `result_layout()`; exactly one for each job, whatever happens
    job_damaged  i: the job is not the one that was submitted (`job.JobRegister`); it ends with SELF_CHECK
    abort    i, pulse: end the running job with ABORTED; nothing happens when none runs
    window_base, window_limit  i: first and last byte that may be accessed, taken over when a job begins; a bus word
             is accessed only when all of it lies inside

    Fetching row k+1, computing row k and writing row k-1 overlap. A job that ends early leaves the buses within two
    accesses each. Whenever no rows move reader, writer, core and everything between them are held in reset, so that
    each job finds them as they are after power-up: nothing of a job that went wrong is left, and no fault of the
    meantime. Only the contents of memories stay.

    A job with SELF_CHECK may have written wrong rows; with OK it has not, whatever single bit was upset in a register
    or a memory while it ran: every row is at its place and has its exact sum. The core compares its rows' sums itself;
    the way from there to the bus is compared here, and so are the registers that it depends on: `Held`, `Pack`,
    `WishboneWriter`, `RowLengths`, `JobRegister`. A row may still have been computed from other elements or with
    another scale.

    No job hangs. A bus that does not answer is given up by the reader or writer; everything else that stops is found
    by the watchdog, which counts from the job's begin to its end, whatever the other units say that they are doing; and
    a state machine in a state that does not exist goes back to idle. What has no limit is a job that moves on: its
    duration is that of its rows, and it can be aborted.
    """

    def __init__(self, config, core, reader, writer, watchdog_cycles=None):
        if reader.data_width != writer.data_width:
            raise ValueError(f"reader has {reader.data_width} bits and writer {writer.data_width}; good: as many each")
        if watchdog_cycles is None:
            watchdog_cycles = default_watchdog(config, 0)
        if watchdog_cycles < 1:
            raise ValueError(f"watchdog_cycles is {watchdog_cycles}; good: 1 or more cycles")
        data_width = reader.data_width

        self.job = job = stream.Endpoint(job_layout())
        self.result = result = stream.Endpoint(result_layout())
        self.job_damaged = Signal()
        self.abort = Signal()
        self.window_base = Signal(ADDRESS_BITS)
        self.window_limit = Signal(ADDRESS_BITS, reset=2**ADDRESS_BITS - 1)

        self.busy = Signal()  # o: a job is running
        self.rows_done = Signal(ROWS_BITS)  # o: rows of the running or last job that are in memory
        self.cycles = Signal(CYCLES_BITS)  # o: clock cycles of the running or last job, from taking it to its end

        self.reader = reader = ResetInserter()(reader)
        self.writer = writer = ResetInserter()(writer)
        self.core = core = ResetInserter()(core)
        self.unpack = unpack = ResetInserter()(Unpack(data_width, config.lanes, config.length_bits))
        self.held = held = ResetInserter()(Held(config.lanes))
        self.pack = pack = ResetInserter()(Pack(data_width, config.lanes, config.length_bits))
        self.lengths = lengths = RowLengths(job, config.length_bits)
        self.check = check = JobCheck(config, job, data_width)

        # # #

        # Reset of everything that rows pass through ----------------------------------------------------------
        clear = Signal()
        for unit in (reader, writer, core, unpack, held, pack):
            self.comb += unit.reset.eq(clear)
        self.comb += lengths.load.eq(clear)

        # Window, in bus words --------------------------------------------------------------------------------
        # One copy for both units, which registers of the engine hold and the units' reset does not touch.
        shift = log2_int(data_width // 8)
        self.window_first = Signal.like(reader.window_first)
        self.window_end = Signal.like(reader.window_end)
        first_byte = Signal(ADDRESS_BITS + 1)  # base rounded up to a word, once its low bits are cut off
        end_byte = Signal(ADDRESS_BITS + 1)
        self.comb += [
            first_byte.eq(self.window_base + (data_width // 8 - 1)),
            end_byte.eq(self.window_limit + 1),
        ]
        self.sync += If(~self.busy,
            self.window_first.eq(first_byte >> shift),
            self.window_end.eq(end_byte >> shift)
        )
        for unit in (reader, writer):
            self.comb += [
                unit.window_first.eq(self.window_first),
                unit.window_end.eq(self.window_end),
            ]

        # Memory to core: gamma, beta, rows -------------------------------------------------------------------
        kind = Signal(max=3)
        self.comb += [
            reader.source.connect(unpack.sink, keep={"valid", "ready", "last", "payload", "data"}),
            unpack.sink.kind.eq(kind),
            unpack.sink.wide.eq((kind != ROW) | check.wide_in),
            unpack.length.eq(job.length),
        ]
        self.sync += [
            If(~self.busy,
                kind.eq(Mux(job.affine, GAMMA, ROW))
            ).Elif(unpack.sink.valid & unpack.sink.ready & unpack.sink.last & (kind != ROW),
                kind.eq(kind + 1)
            )
        ]
        row_fields = {"first": unpack.source.first, "last": unpack.source.last}
        self.comb += [
            If(unpack.source.kind == ROW,
                core.sink.valid.eq(unpack.source.valid),
                unpack.source.ready.eq(core.sink.ready)
            ),
            *[getattr(core.sink, name).eq(value) for name, value in row_fields.items()],
            *self.lanes_to_core(config, unpack.source.data, core.sink.data),
            *self.params_to_core(config, job, lengths.valid, core.sink),
            lengths.next.eq(core.sink.valid & core.sink.ready & core.sink.last),
        ]
        if config.has_affine:
            self.comb += [
                If(unpack.source.kind != ROW,
                    core.weights.valid.eq(unpack.source.valid),
                    unpack.source.ready.eq(core.weights.ready)
                ),
                *[getattr(core.weights, name).eq(value) for name, value in row_fields.items()],
                core.weights.data.eq(unpack.source.data),
                core.weights.beta.eq(unpack.source.kind == BETA),
            ]

        # Core to memory --------------------------------------------------------------------------------------
        self.comb += [
            core.source.connect(held.sink, omit={"param"}),
            held.source.connect(pack.sink),
            pack.source.connect(writer.sink),
            pack.wide.eq(check.wide_out),
            pack.length.eq(job.length),
        ]

        # Transfers -------------------------------------------------------------------------------------------
        running = Signal()
        to_read = Signal(max=4)  # the kind to be fetched next; 3: none
        to_write = Signal()
        addresses = {GAMMA: job.gamma, BETA: job.beta, ROW: job.src}
        self.comb += [
            Case(to_read, {k: reader.transfer.address.eq(a >> shift) for k, a in addresses.items()}),
            reader.transfer.valid.eq(running & (to_read <= ROW)),
            reader.transfer.stride.eq(check.stride_in),
            reader.transfer.words.eq(Mux(to_read == ROW, check.words_in, check.words_weights)),
            reader.transfer.rows.eq(Mux(to_read == ROW, job.rows, 1)),
            writer.transfer.valid.eq(running & to_write),
            writer.transfer.address.eq(job.dst >> shift),
            writer.transfer.stride.eq(check.stride_out),
            writer.transfer.words.eq(check.words_out),
            writer.transfer.rows.eq(job.rows),
        ]
        self.sync += [
            If(~self.busy,
                to_read.eq(Mux(job.affine, GAMMA, ROW)),
                to_write.eq(1)
            ).Else(
                If(reader.transfer.valid & reader.transfer.ready, to_read.eq(to_read + 1)),
                If(writer.transfer.valid & writer.transfer.ready, to_write.eq(0))
            )
        ]

        # What is counted -------------------------------------------------------------------------------------
        rows_checked = Signal(ROWS_BITS)  # rows whose self-check the core has passed
        constant_row = Signal()  # the core said so a cycle ago: long before the row is written
        self.sync += [
            constant_row.eq(core.constant_row),
            If(self.busy & ~result.valid, self.cycles.eq(self.cycles + 1)),
            If(writer.row_done, self.rows_done.eq(self.rows_done + 1)),
            If(running & core.row_done, rows_checked.eq(rows_checked + 1)),
            If(running & constant_row, result.constant_row.eq(1)),
        ]
        self.comb += [
            result.rows_done.eq(self.rows_done),
            result.cycles.eq(self.cycles),
        ]

        # Watchdog --------------------------------------------------------------------------------------------
        self.watchdog = watchdog = WaitTimer(watchdog_cycles)
        moving = Signal()
        self.comb += [
            moving.eq(
                reader.beat | (reader.source.valid & reader.source.ready)
                | writer.beat | (writer.sink.valid & writer.sink.ready)
            ),
            watchdog.wait.eq(self.busy & ~result.valid & ~moving),
        ]

        # Sequence --------------------------------------------------------------------------------------------
        self.aborted = aborted = Signal()
        complete = Signal()
        self.comb += complete.eq(~to_write & ~writer.busy & (rows_checked == job.rows))
        self.fsm = fsm = FSM(reset_state="IDLE")
        self.comb += [
            self.busy.eq(~fsm.ongoing("IDLE")),
            running.eq(fsm.ongoing("RUN")),
            clear.eq(~running & ~fsm.ongoing("STOP")),
            # Without a running job there is no access to the bus.
            reader.stop.eq(~running),
            writer.stop.eq(~running),
        ]

        # What an upset has changed on the way from the core to memory.
        damaged = Signal()
        self.comb += damaged.eq(
            self.job_damaged | lengths.damaged | held.damaged | pack.damaged | writer.damaged
            # The reader has fetched every row by then, unless it began anew.
            | complete & (~writer.settled | reader.busy | (to_read <= ROW))
        )

        def end(status, state="STOP"):
            return [NextValue(result.code, status), NextState(state)]

        # Migen gives states that do not exist the actions of IDLE; what is loaded while idle was not loaded in them.
        fsm.act("IDLE",
            NextState("IDLE"),
            # OK is said of a job that was completed, and of no other.
            NextValue(result.code, Status.SELF_CHECK),
            If(self.job_damaged,
                NextState("END")
            ).Elif(job.valid & ~self.busy,
                NextValue(self.cycles, 1),
                NextValue(self.rows_done, 0),
                NextValue(rows_checked, 0),
                NextValue(result.constant_row, 0),
                NextState("CHECK")
            )
        )
        fsm.act("CHECK",
            NextState("RUN"),
            If(check.code != Status.OK,
                *end(check.code, "END")
            ),
            If(~job.valid, NextState("IDLE"))
        )
        fsm.act("RUN",
            If(reader.error,
                *end(reader.code)
            ).Elif(writer.error,
                *end(writer.code)
            ).Elif(core.row_error | damaged,
                *end(Status.SELF_CHECK)
            ).Elif(complete,
                *end(Status.OK)
            ).Elif(watchdog.done,
                *end(Status.WATCHDOG)
            ).Elif(aborted,
                *end(Status.ABORTED)
            ),
            If(~job.valid & ~self.job_damaged, NextState("IDLE"))
        )
        fsm.act("STOP",
            # Within two accesses; the watchdog has had its time when it is to blame, and then nothing is waited for.
            If(~reader.on_bus & ~writer.on_bus | watchdog.done,
                NextState("END")
            )
        )
        fsm.act("END",
            result.valid.eq(1),
            If(result.ready,
                job.ready.eq(1),
                NextState("IDLE")
            )
        )
        self.sync += [
            If(self.abort & job.valid, aborted.eq(1)),
            If(job.ready, aborted.eq(0)),
        ]

    @staticmethod
    def lanes_to_core(config, data, core_data):
        """Statements that connect 16-bit lanes to the core's lanes, which may be narrower."""
        width = config.input_bits
        return [
            core_data[j * width : (j + 1) * width].eq(data[j * LANE_BITS : j * LANE_BITS + width])
            for j in range(config.lanes)
        ]

    @staticmethod
    def params_to_core(config, job, valid_length, sink):
        """Statements that connect a job's fields to the row parameters of the core."""
        fields = {
            "length": valid_length,
            "out_s8": ~job.output,
            **{name: getattr(job, name) for name, _ in job_layout() if name not in ("length", "output")},
        }
        return [getattr(sink, name).eq(fields[name]) for name, _ in row_params(config)]
