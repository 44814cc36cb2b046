# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The peripheral: core, engine and bus masters behind control and status registers."""

from litex.gen import *
from litex.soc.interconnect import stream, wishbone
from litex.soc.interconnect.csr import *
from litex.soc.interconnect.csr_eventmanager import *
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.core import core_for
from litenorm.accel.formats import FORMAT_BITS, FORMATS
from litenorm.accel.status import STATUS_BITS, Status
from litenorm.soc.dma import ROWS_BITS, WishboneReader, WishboneWriter
from litenorm.soc.dram import NativeMasters
from litenorm.soc.engine import CYCLES_BITS, Engine, default_watchdog
from litenorm.soc.job import (
    ADDRESS_BITS,
    JOBS_WAITING,
    LENGTH_BITS,
    OP_BITS,
    TICKET_BITS,
    JobQueue,
    job_layout,
    max_row_words,
)

VERSION = (0, 4)  # of the registers: major, minor
MAGIC = 0x4C4E  # "LN"
PENDING = 15  # in place of a Status: the job has not ended. No single upset makes it OK.
RESULTS = 8  # places for jobs' results, a power of two above those that run, wait, and the next one


class LiteNormPeripheral(LiteXModule):
    """LiteNorm as a LiteX peripheral: two bus masters, registers, one interrupt.

    config        LiteNormConfig of the core
    data_width    bits of the bus word
    bursting      announce bursts to the bus; False: classic cycles
    burst_length  longest burst, words. n words take n + 2 cycles: longer bursts fill the bus better, and keep other
                  masters waiting for longer
    bus_timeout   cycles without an answer after which a bus access is given up
    watchdog_cycles  cycles without a word into or out of the core or over a bus after which a job is given up; more
                  than bus_timeout; None: `engine.default_watchdog`
    jobs_waiting  jobs that can wait while one runs, 0 to RESULTS - 2
    with_csr      add the registers and the interrupt; without, `job`, `abort` and the window are driven by signals
    core          instead of `core_for(config)`, for tests
    dram          (ports, origin, size) of `dram.NativeMasters`: memory is accessed through native ports of LiteDRAM,
                  `data_width` bits wide; `read_bus` and `write_bus` stay idle

    `read_bus`, `write_bus`: masters. `job`: sink of `job_layout()`, taken as long as there is room in the queue.
    `ev.irq`: interrupt. `soft_reset`: i, everything but the window and the count of jobs goes back to the state after
    power-up in this cycle.

    A job's parameters, the window among them, are copied when it is started: registers may be written at any time. One
    job runs, and `jobs_waiting` more wait in the order of their start. Each has a ticket: the number of jobs that were
    started before it, modulo 2^TICKET_BITS; `ended` counts those that have ended.

    A job that ends with an error ends those that wait, too, with SKIPPED: they have not accessed anything, and have no
    interrupt of their own. Every other job ends with one of the two interrupts, exactly once. After a reset all jobs
    that ran or waited have ended with ABORTED, and with one interrupt.

    Raises ValueError when a timeout or jobs_waiting does not fit.
    """

    def __init__(self, config, data_width=32, address_width=32, bursting=True, burst_length=64, bus_timeout=65536,
                 watchdog_cycles=None, jobs_waiting=JOBS_WAITING, with_csr=True, core=None, dram=None):
        if watchdog_cycles is None:
            watchdog_cycles = default_watchdog(config, bus_timeout)
        if watchdog_cycles <= bus_timeout:
            raise ValueError(f"watchdog_cycles is {watchdog_cycles}; good: more than bus_timeout, {bus_timeout}")
        if not 0 <= jobs_waiting <= RESULTS - 2:
            raise ValueError(f"jobs_waiting is {jobs_waiting}; good: 0 to {RESULTS - 2}")
        self.config = config
        self.jobs_waiting = jobs_waiting
        self.watchdog_cycles = watchdog_cycles
        self.bus_timeout = bus_timeout
        self.data_width = data_width

        self.read_bus = wishbone.Interface(data_width=data_width, address_width=address_width, bursting=bursting)
        self.write_bus = wishbone.Interface(data_width=data_width, address_width=address_width, bursting=bursting)
        self.job = stream.Endpoint(job_layout())
        self.bus_fault = Signal()  # i: the interconnect's watchdog makes up an ack in this cycle

        # # #

        options = dict(
            max_words    = max_row_words(config, data_width),
            burst_length = burst_length,
            timeout      = bus_timeout,
            bursting     = bursting,
        )
        if dram is None:
            reader = WishboneReader(self.read_bus, **options)
            writer = WishboneWriter(self.write_bus, **options)
        else:
            ports, origin, size = dram
            self.masters = NativeMasters(ports, options["max_words"], timeout=bus_timeout, origin=origin, size=size)
            reader, writer = self.masters.units
        self.soft_reset = Signal()
        self.engine = engine = ResetInserter()(
            Engine(config, core_for(config) if core is None else core, reader, writer, watchdog_cycles))
        self.comb += [
            reader.bus_fault.eq(self.bus_fault),
            writer.bus_fault.eq(self.bus_fault),
            engine.reset.eq(self.soft_reset),
        ]
        if dram is not None:
            self.comb += self.masters.drop.eq(self.soft_reset | reader.reset)   # the engine resets both at once

        self.window_base = Signal(ADDRESS_BITS)  # i: taken with the job
        self.window_limit = Signal(ADDRESS_BITS, reset=2**ADDRESS_BITS - 1)  # i
        self.abort = Signal()  # i, pulse: end the job that runs, with ABORTED
        self.idle = Signal()  # o: no job runs or waits
        self.started = Signal(TICKET_BITS)  # o: jobs that were submitted
        self.ended = Signal(TICKET_BITS)  # o: of these, jobs that have ended
        self.job_ended = Signal()  # o: the job that ran ends in this cycle
        self.ended_code = Signal(STATUS_BITS)  # o: with job_ended: how
        self.skip = Signal()  # o: with job_ended: all that wait end, too
        self.queue = queue = ResetInserter()(JobQueue(jobs_waiting))
        self.result = result = engine.result
        late_abort = Signal()  # of a job that was on its way through the queue
        cut = Signal()  # by the reset
        self.comb += [
            queue.reset.eq(self.skip | self.soft_reset),
            self.job.connect(queue.sink),
            queue.sink.window_base.eq(self.window_base),
            queue.sink.window_limit.eq(self.window_limit),
            queue.sink.ticket.eq(self.started),
            queue.ticket.eq(self.ended),
            queue.source.connect(engine.job, keep={"valid", "ready", *(name for name, _ in job_layout())}),
            engine.job_damaged.eq(queue.damaged),
            engine.window_base.eq(queue.source.window_base),
            engine.window_limit.eq(queue.source.window_limit),
            engine.abort.eq(self.abort | late_abort),
            self.idle.eq(~queue.waiting & ~queue.source.valid & ~engine.busy),
            # Also in the cycle of the result: rows_done and cycles are cleared, too.
            cut.eq(self.soft_reset & ~self.idle),
            self.job_ended.eq(result.valid & result.ready | cut),
            self.ended_code.eq(Mux(cut, int(Status.ABORTED), result.code)),
            self.skip.eq(self.job_ended & (self.ended_code != Status.OK)),
        ]
        started = Signal(TICKET_BITS)
        self.comb += started.eq(self.started + (self.job.valid & self.job.ready))
        self.sync += [
            late_abort.eq(self.abort & queue.waiting & ~queue.source.valid),
            self.started.eq(started),
            If(self.skip,
                self.ended.eq(started)
            ).Elif(self.job_ended,
                self.ended.eq(self.ended + 1)
            ),
        ]

        if with_csr:
            self.add_csr()

    def add_csr(self):
        self.add_control_csr()
        self.add_job_csr()
        self.add_window_csr()
        self.add_capability_csr()
        self.add_events()

    def add_control_csr(self):
        engine, job, result = self.engine, self.job, self.result
        self._control = CSRStorage(description="Start and abort.", fields=[
            CSRField("start", size=1, pulse=True,
                description="Write `1` to start the job that the registers describe: at once when no other one runs, "
                            f"else behind them. Ignored, with `rejected` set, when {self.jobs_waiting} wait already."),
            CSRField("abort", size=1, pulse=True,
                description="Write `1` to end the running job; it ends with status ABORTED, after two more accesses on "
                            "each bus at most, and jobs that wait by then end with SKIPPED. Ignored when no job "
                            "runs. Wins over `start`."),
            CSRField("reset", size=1, pulse=True,
                description="Write `1` to reset the core, its bus masters and counters at once, in the middle of a bus "
                            "access if need be; the jobs that run and wait end with status ABORTED. For a core that "
                            "does not obey `abort`. The registers of the job and the interrupts stay as they are, "
                            "and so do window and lock. Wins over `start` and `abort`."),
        ])
        codes = [(f"0b{int(s):0{STATUS_BITS}b}", s.name, s.text) for s in Status]
        self._status = CSRStatus(description="State of the peripheral and of the last job.", fields=[
            CSRField("busy", size=1, description="A job runs or waits."),
            CSRField("code", size=STATUS_BITS, values=codes,
                description=f"How the job ended that was started last; {PENDING}: it has not. When nothing runs or "
                            "waits and it has not, an upset has lost it."),
            CSRField("constant_row", size=1,
                description="In the last job a LayerNorm or RMSNorm row had no variance, and its outputs are 0 before "
                            "gamma and beta."),
            CSRField("rejected", size=1,
                description="The last write to `start` came while the queue was full, and started nothing."),
            CSRField("full", size=1, description="The queue is full: a write to `start` would be rejected."),
            CSRField("ended", size=TICKET_BITS,
                description=f"Jobs that have ended, modulo {1 << TICKET_BITS}. Software that counts those it has "
                            "started finds here, when no job runs or waits, that an upset has lost one."),
            CSRField("started", size=TICKET_BITS,
                description=f"Jobs that were started, modulo {1 << TICKET_BITS}: the ticket of the next one."),
        ])
        self._codes = CSRStatus(RESULTS * STATUS_BITS, description=f"How the last {RESULTS - 1} jobs ended: that of "
            f"ticket t in the {STATUS_BITS} bits from {STATUS_BITS} * (t mod {RESULTS}) on; {PENDING}: it has not "
            "ended. So reads the next ticket's, too: a job whose start was lost has no result of an older one.")
        self._rows_done = CSRStatus(ROWS_BITS, description="Rows of the running or last job that are in memory.")
        self._cycles = CSRStatus(CYCLES_BITS, description="Clock cycles of the running or last job, start to end.")

        # # #

        start = Signal()
        busy = Signal()
        constant_row = Signal()
        rejected = Signal()
        self.comb += [
            busy.eq(~self.idle),
            self.soft_reset.eq(self._control.fields.reset),
            start.eq(self._control.fields.start & ~self._control.fields.abort & ~self.soft_reset),
            job.valid.eq(start),
            self.abort.eq(self._control.fields.abort),
            result.ready.eq(1),
            # From the cycle after the write to `start` on, so that even the next access to the registers sees it.
            self._status.fields.busy.eq(busy | start),
            self._status.fields.constant_row.eq(constant_row),
            self._status.fields.rejected.eq(rejected),
            self._status.fields.full.eq(~job.ready),
            self._status.fields.ended.eq(self.ended),
            self._status.fields.started.eq(self.started + (job.valid & job.ready)),
            self._rows_done.status.eq(engine.rows_done),
            self._cycles.status.eq(engine.cycles),
        ]
        self.sync += [
            If(start, rejected.eq(~job.ready)),
            If(self.job_ended,
                constant_row.eq(result.constant_row & ~self.soft_reset)
            )
        ]
        # Results by ticket. Jobs that are skipped have the tickets from `ended` on.
        ending = Signal(TICKET_BITS)
        self.comb += ending.eq(self.started + (job.valid & job.ready) - self.ended)
        for i in range(RESULTS):
            result_code = Signal(STATUS_BITS, name=f"result{i}", reset=0 if i else PENDING)
            behind = Signal(log2_int(RESULTS), name=f"behind{i}")
            self.comb += [
                self._codes.status[STATUS_BITS * i : STATUS_BITS * (i + 1)].eq(result_code),
                If(self.started[: log2_int(RESULTS)] == (i + 1) % RESULTS, self._status.fields.code.eq(result_code)),
                behind.eq(i - self.ended),
            ]
            self.sync += [
                # That of ticket `started` is so already.
                If(job.valid & job.ready & (self.started[: log2_int(RESULTS)] == (i - 1) % RESULTS),
                    result_code.eq(PENDING)
                ),
                If(self.skip & (behind < ending),
                    result_code.eq(Mux(self.soft_reset, int(Status.ABORTED), int(Status.SKIPPED)))
                ),
                If(self.job_ended & (behind == 0), result_code.eq(self.ended_code)),
            ]
        # Not the result of the job before when an upset has filled the queue: software need not look at `rejected`.
        lost = Signal()
        self.sync += If(start, lost.eq(~job.ready & (ending < self.jobs_waiting)))
        self.comb += If(lost, self._status.fields.code.eq(PENDING))

    def add_job_csr(self):
        job = self.job
        word = f"a multiple of {self.data_width // 8}"
        address = {name: CSRStorage(ADDRESS_BITS, name=name, description=f"{text}; {word}.") for name, text in (
            ("src", "Byte address of the first input row"),
            ("dst", "Byte address of the first output row"),
            ("src_stride", "Bytes from one input row to the next, 0: packed, a row rounded up to a bus word"),
            ("dst_stride", "Bytes from one output row to the next, 0: packed, a row rounded up to a bus word"),
            ("gamma", "Byte address of gamma, s16 [length]"),
            ("beta", "Byte address of beta, s16 [length]"),
        )}
        for name, register in address.items():
            setattr(self, f"_{name}", register)
        self._rows = CSRStorage(ROWS_BITS, description="Rows, at least 1.")
        self._length = CSRStorage(32, description=f"Elements of a row, 1 to {self.config.max_length}.")
        formats = [(f"0b{f.code:0{FORMAT_BITS}b}", f.name, f"{f.bits} bits, zero point {f.zero_point}, sum {f.total}")
                   for f in FORMATS.values()]
        self._mode = CSRStorage(description="What the job computes.", fields=[
            CSRField("op", size=OP_BITS, description="Operation.",
                values=[(f"0b{i:0{OP_BITS}b}", name) for i, name in enumerate(c.OPS)]),
            CSRField("input", size=1, description="Type of an input element.",
                values=[(f"0b{i:b}", name) for i, name in enumerate(c.INPUTS)]),
            CSRField("format", size=FORMAT_BITS, description="Softmax: output format.", values=formats),
            CSRField("affine", size=1, description="LayerNorm and RMSNorm: apply gamma and beta."),
            CSRField("output", size=1,
                description="With `affine`, type of an output element; without, it is s16, Q5.10.",
                values=[("0b0", "s8"), ("0b1", "s16")]),
        ])
        self._scale = CSRStorage(description="Softmax: one LSB of the input is multiplier * 2^(-9 - shift) octaves.",
            fields=[
                CSRField("multiplier", size=c.SCALE_MULTIPLIER_BITS),
                CSRField("shift", size=c.SCALE_SHIFT_BITS),
            ])
        self._eps = CSRStorage(64, description="LayerNorm and RMSNorm: round(eps * n^2) for n valid elements and eps "
            f"in LSB^2 of the input; above {2**self.config.eps_bits - 1} it counts as that.")
        self._affine = CSRStorage(description="out = clip((y * gamma + (beta << beta_shift) + half) >> shift), half = "
            "(1 << shift) >> 1.",
            fields=[
                CSRField("shift", size=c.AFFINE_SHIFT_BITS),
                CSRField("beta_shift", size=c.BETA_SHIFT_BITS),
            ])
        self._mask_base = CSRStorage(LENGTH_BITS, description="Valid elements of row r: min(length, mask_base + (r mod "
            "mask_period) * mask_increment). 0: all elements of all rows are valid.")
        self._mask_increment = CSRStorage(LENGTH_BITS, description="See `mask_base`.")
        self._mask_period = CSRStorage(LENGTH_BITS, description="See `mask_base`. 0: r is not taken modulo anything.")

        # # #

        def saturated(storage, bits):
            """The register's value; what does not fit becomes the largest, so that it cannot pass for a good one."""
            return Mux(storage[bits:] != 0, 2**bits - 1, storage[:bits])

        self.comb += [
            *[getattr(job, name).eq(register.storage) for name, register in address.items()],
            job.rows.eq(self._rows.storage),
            job.length.eq(saturated(self._length.storage, LENGTH_BITS)),
            *[getattr(job, name).eq(getattr(self._mode.fields, name))
              for name in ("op", "input", "format", "affine", "output")],
            job.scale_multiplier.eq(self._scale.fields.multiplier),
            job.scale_shift.eq(self._scale.fields.shift),
            job.eps.eq(saturated(self._eps.storage, c.EPS_BITS)),
            job.affine_shift.eq(self._affine.fields.shift),
            job.beta_shift.eq(self._affine.fields.beta_shift),
            job.mask_base.eq(self._mask_base.storage),
            job.mask_increment.eq(self._mask_increment.storage),
            job.mask_period.eq(self._mask_period.storage),
        ]

    def add_window_csr(self):
        self._window_base = LockableStorage(ADDRESS_BITS, name="window_base",
            description="First byte that the bus masters may access. Taken over when a job starts; read-only once "
                        "`window_lock` is set.")
        self._window_limit = LockableStorage(ADDRESS_BITS, reset=2**ADDRESS_BITS - 1, name="window_limit",
            description="Last byte that the bus masters may access. Taken over when a job starts; read-only once "
                        "`window_lock` is set.")
        self._window_lock = LockableStorage(name="window_lock", description="Lock of the window.", fields=[
            CSRField("lock", size=1,
                description="Write `1` to make `window_base`, `window_limit` and this bit read-only until the SoC is "
                            "reset. Not cleared by `control.reset`. Reads `1` when locked."),
        ])
        locked = self._window_lock.fields.lock
        self.comb += [storage.locked.eq(locked) for storage in
                      (self._window_base, self._window_limit, self._window_lock)]
        self.comb += [
            self.window_base.eq(self._window_base.storage),
            self.window_limit.eq(self._window_limit.storage),
        ]

    def add_capability_csr(self):
        config = self.config
        self._id = CSRStatus(description="Identification.", fields=[
            CSRField("minor", size=8, reset=VERSION[1], description="Version of the registers: additions."),
            CSRField("major", size=8, reset=VERSION[0], description="Version of the registers: changes."),
            CSRField("magic", size=16, reset=MAGIC, description=f"Always {MAGIC:#x}."),
        ])
        self._capability = CSRStatus(description="What the core was built with.", fields=[
            CSRField("lanes", size=8, reset=config.lanes, description="Elements per cycle."),
            CSRField("ops", size=len(c.OPS), reset=ops_mask(config), description="Bit i: operation i is built."),
            CSRField("inputs", size=len(c.INPUTS), reset=inputs_mask(config),
                description="Bit i: input type i is built."),
            CSRField("affine", size=1, reset=int(config.has_affine), description="Gamma and beta are built."),
            CSRField("formats", size=8, reset=formats_mask(config), description="Bit i: softmax format i is built."),
        ])
        self._limits = CSRStatus(description="What the core can take.", fields=[
            CSRField("max_length", size=LENGTH_BITS, reset=config.max_length,
                description="Elements of the longest row."),
            CSRField("bus_bytes", size=8, reset=self.data_width // 8,
                description="Bytes of the bus word, of which addresses and strides are multiples."),
        ])

    def add_events(self):
        self.ev = EventManager()
        self.ev.done = EventSourcePulse(description="A job ended with status OK.")
        self.ev.error = EventSourcePulse(description="A job ended with another status; see `status`.")
        self.ev.finalize()
        self.comb += [
            self.ev.done.trigger.eq(self.job_ended & (self.ended_code == Status.OK)),
            self.ev.error.trigger.eq(self.job_ended & (self.ended_code != Status.OK)),
        ]


class LockableStorage(CSRStorage):
    """A CSRStorage that the bus cannot change while `locked` (i) is 1; it reads as before."""

    def __init__(self, *args, **kwargs):
        CSRStorage.__init__(self, *args, **kwargs)
        self.locked = Signal()

    def do_finalize(self, busword, ordering):
        CSRStorage.do_finalize(self, busword, ordering)
        # The last statement for a register is the one that counts: this one comes behind the write from the bus.
        self.sync += If(self.locked, self.storage.eq(self.storage))


def ops_mask(config):
    """Bit i: operation i (its code in the mode register) is built."""
    return sum(1 << i for i, name in enumerate(c.OPS) if name in config.ops)


def inputs_mask(config):
    """Bit i: input type i is built."""
    return sum(1 << i for i, name in enumerate(c.INPUTS) if name in config.inputs)


def formats_mask(config):
    """Bit i: the softmax format of code i is built."""
    return sum(1 << f.code for f in FORMATS.values() if f.name in config.formats) if config.has_softmax else 0
