# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Soak test of the peripheral: random jobs, good and bad, on buses that stall, fail and fall silent.

    make dma-soak
    python -m litenorm.sim.dma_soak --jobs 1000000 --seed 7

Each job is drawn from (seed, number of the job). Every second one is adversarial: wrong parameters, addresses outside
of the window, bus errors, a bus that does not answer or hardly, a core that stands still or fails its self-check, rows
that overlap, an abort, a soft or a hard reset at any cycle; one of these or several. Registers are written at random
times all along, also those of the job that runs. The jobs in between are good: they must work, whatever came before.

After each job it is checked that

- it ended, with exactly one interrupt, and with a status that its faults explain (when there is one explanation, that
  one); after an abort within two bus accesses, after a reset at once;
- the bus protocol held, no byte was read but the rows, gamma and beta, none written but the rows, and none of either
  outside of the window; in memory nothing else changed;
- the rows that count as done are the model's, bit for bit, and all of them when the status is OK;
- registers hold what was written, the window what it was locked at, and the bus is at rest.

After every tenth job a queue of 2 to 7 good jobs is run: started while others run, now and then one of them with wrong
parameters, or an abort or soft reset; some read what the one before writes. Their results, tickets, interrupts and all
of memory must be those of the jobs one after the other; the queue must refuse a job when it is full.

Jobs run in blocks of BLOCK. A block begins with a fresh model whose registers hold noise and goes through the cores of
CORES in turn, so that a failure can be repeated from the beginning of its block.
"""

import argparse
import contextlib
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from litex.gen import LiteXModule
from litex.soc.interconnect import stream
from migen import If, Signal
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from litenorm.accel import LiteNorm, LiteNormConfig
from litenorm.accel.affine import Affine
from litenorm.accel.status import STATUS_BITS, Status
from litenorm.sim.adversary import BASE, BUS_TIMEOUT, FAULTS, MAX_LENGTH, SIZE, Plan, Planner, Region, first_fault
from litenorm.sim.csr import CsrDut
from litenorm.sim.errors import SimulationError
from litenorm.sim.jobs import INPUT_DTYPES, csr_fields, random_job
from litenorm.sim.wishbone import Memory
from litenorm.soc.job import TICKET_BITS
from litenorm.soc.peripheral import PENDING, RESULTS, LiteNormPeripheral

WATCHDOG = 1000         # cycles
BURST_LENGTH = 8
BLOCK = 500             # jobs
QUEUE_EACH = 10         # jobs, between two queues
MAX_CYCLES = 200_000    # of a job: the slowest bus and the longest job come to half of it
DONE, ERROR = 1, 2      # bits of the events

CORES = {
    "4 lanes, 32-bit bus": {"lanes": 4},
    "1 lane, 32-bit bus without bursts": {"lanes": 1, "bursting": False},
    "16 lanes with parity, 64-bit bus": {"lanes": 16, "data_width": 64, "parity": True},
}


# What can be wrong with a job, and what it is called in the table.
KINDS = {
    "hang": "hangs",
    "interrupt": "wrong or missing interrupts",
    "status": "statuses that the faults do not explain, or too late",
    "access": "accesses outside of rows or window, bus protocol",
    "canary": "bytes changed outside of the rows",
    "result": "wrong results",
    "register": "registers with other contents, or not at rest",
}


class Violation(Exception):
    """A job that did what it must not do: one of KINDS; the message says what."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


# The device ------------------------------------------------------------------------------------------


class HaltableCore(LiteXModule):
    """LiteNorm whose streams stand still while `halt_in` or `halt_out` is 1, and whose self-check fails with `fail`."""

    def __init__(self, config):
        self.core = core = LiteNorm(config)
        self.sink = stream.Endpoint(core.sink.description)
        self.source = stream.Endpoint(core.source.description)
        self.halt_in = Signal()
        self.halt_out = Signal()
        self.fail = Signal()
        self.row_done = core.row_done
        self.row_error = Signal()
        self.constant_row = core.constant_row

        # # #

        pairs = [(self.sink, core.sink, self.halt_in), (core.source, self.source, self.halt_out)]
        if config.has_affine:
            self.weights = stream.Endpoint(core.weights.description)
            pairs.append((self.weights, core.weights, self.halt_in))
        for source, sink, halt in pairs:
            self.comb += [
                source.connect(sink, omit={"valid", "ready"}),
                sink.valid.eq(source.valid & ~halt),
                source.ready.eq(sink.ready & ~halt),
            ]
        self.comb += self.row_error.eq(core.row_error | self.fail)


class Top(LiteXModule):
    """The peripheral with counters of its interrupts. `planted` (peripheral, mutant), for tests, plants faults."""

    def __init__(self, config, planted=None, **options):
        core = HaltableCore(config)  # the engine's, not a submodule of this one
        self.litenorm = dut = LiteNormPeripheral(config, bus_timeout=BUS_TIMEOUT, watchdog_cycles=WATCHDOG,
                                                 burst_length=BURST_LENGTH, core=core, **options)
        self.halt_in = core.halt_in
        self.halt_out = core.halt_out
        self.fail = core.fail
        self.done = Signal(32)
        self.error = Signal(32)
        self.ended = Signal()  # an interrupt was raised in the cycle before
        self.mutant = Signal(8)  # i: number of the planted fault that is active
        self.sync += [
            self.ended.eq(dut.ev.done.trigger | dut.ev.error.trigger),
            If(dut.ev.done.trigger, self.done.eq(self.done + 1)),
            If(dut.ev.error.trigger, self.error.eq(self.error + 1)),
        ]
        if planted:
            planted(dut, self.mutant)

    def get_csrs(self):
        return self.litenorm.get_csrs()

    def inputs(self):
        return {"halt_in": self.halt_in, "halt_out": self.halt_out, "fail": self.fail, "mutant": self.mutant}

    def outputs(self):
        dut = self.litenorm
        return {"irq": dut.ev.irq, "done": self.done, "error": self.error, "ended": self.ended,
                "busy": dut._status.fields.busy, "code": dut._status.fields.code, "rows_done": dut.engine.rows_done}


# The registers, as they must be ----------------------------------------------------------------------


class Registers:
    """What each word of the registers must hold, from the writes that were carried out."""

    def __init__(self, dut):
        self.dut = dut
        self.reset_words = {}
        self.names = [name for name, csr in dut.csrs.items() if hasattr(csr, "storage") and name != "control"]
        for name in self.names:
            value = dut.csrs[name].storage.reset.value
            self.reset_words |= dict(zip(dut.words(name), dut.pack(name, value), strict=True))
        self.window = [dut.words(name)[0] for name in ("window_base", "window_limit", "window_lock")]
        self.widths = {}
        for name in self.names:
            size, words = dut.csrs[name].size, dut.words(name)
            self.widths |= {word: min(32, size - 32 * i) for i, word in enumerate(reversed(words))}
        self.reset()

    def reset(self):
        self.words = dict(self.reset_words)

    @property
    def locked(self):
        return bool(self.words[self.window[2]])

    def write(self, address, value):
        if address in self.words and not (self.locked and address in self.window):
            self.words[address] = value & (1 << self.widths[address]) - 1

    def value(self, name):
        value = 0
        for word in self.dut.words(name):
            value = value << 32 | self.words[word]
        return value


# The soak --------------------------------------------------------------------------------------------


class Soak:
    """Runs plans on one core and checks what comes of them."""

    def __init__(self, planted=None, mutant=0, lanes=4, data_width=32, bursting=True, parity=False):
        self.config = LiteNormConfig(lanes=lanes, max_length=MAX_LENGTH, parity=parity)
        self.word = data_width // 8
        self.planner = Planner(self.config, self.word)
        self.geometry = self.planner.geometry
        self.memory = Memory(BASE, SIZE)
        self.mutant = mutant
        top = Top(self.config, planted, data_width=data_width, bursting=bursting)
        buses = {"read": top.litenorm.read_bus, "write": top.litenorm.write_bus}
        self.dut = CsrDut(top, top.inputs(), top.outputs(), name="soak", memory=self.memory, buses=buses)
        self.registers = Registers(self.dut)
        self.report = Report(0, 0)

    def restart(self, seed):
        """A fresh model, and fresh noise in memory."""
        self.dut.power_up(seed)
        self.dut.set(mutant=self.mutant)
        self.memory.data[:] = np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)
        self.registers.reset()

    def run_job(self, rng, adversarial):
        """Run one job; Violation when anything about it is wrong."""
        locked = None
        if self.registers.locked:
            locked = self.registers.value("window_base"), self.registers.value("window_limit")
        plan = self.planner.plan(rng, locked, adversarial)
        for fault in plan.faults or ["none"]:
            self.report.faults[fault] += 1
        try:
            self.attempt(rng, plan)
        except (Violation, SimulationError) as error:
            kind = error.kind if isinstance(error, Violation) else "access"
            faults = ", ".join(plan.faults) or "none"
            message = f"{error}; faults: {faults}; registers {plan.registers}, window {plan.window}"
            raise Violation(kind, message) from error
        return plan

    def attempt(self, rng, plan):
        r, dut = plan.registers, self.dut
        code = self.geometry.static_code(r)
        accesses = self.geometry.accesses(r) if code == Status.OK else None
        readable = self.store(plan, accesses)
        self.set_buses(plan, accesses)
        before = self.memory.snapshot()
        counts = dut.get("done"), dut.get("error")

        pokes, writes, started = self.script(rng, plan)
        limit = MAX_CYCLES if plan.reset_at is None else started + plan.reset_at + plan.reset_cycles + 1
        cycles, ended = dut.play(pokes, "ended", limit)
        checked = self.report.checked
        checked["clock cycles"] += cycles
        for name in ("read", "write"):
            checked[f"words {dict(read='read', write='written')[name]}"] += dut.bus_count(name)
        self.rest()
        for cycle, address, value in writes:
            if cycle < cycles:
                self.registers.write(address, value)
        if plan.reset_at is not None and started + plan.reset_at < cycles:
            self.registers.reset()
            self.check_reset()
            self.check_memory(plan, accesses, before)
            self.report.outcomes["cut by a hard reset"] += 1
            return
        if not ended:
            raise Violation("hang", f"the job has not ended after {MAX_CYCLES} cycles")

        status = Status(dut.get("code"))
        self.check_end(plan, status, counts)
        checked["interrupts"] += dut.get("done") + dut.get("error") - sum(counts)
        self.check_status(plan, status, code, accesses, cycles, started)
        self.check_memory(plan, accesses, before)
        if accesses and readable:
            done = dut.get("rows_done")
            reset = plan.control_at("reset")
            if status == Status.OK and reset is not None and started + reset + 1 == cycles - 1:
                done = r["rows"]  # the reset came in the cycle after the end and has cleared the counter
            self.check_rows(plan, accesses, status, before, done)
        if rng.random() < 0.1:
            self.check_registers(status)
        self.report.outcomes[status.name] += 1

    # Before ------------------------------------------------------------------------------------------

    def store(self, plan, accesses):
        """Put the rows into memory, and into the plan what is there then, where they overlap. False: not in memory."""
        if accesses is None:
            return False
        job, r = plan.job, plan.registers
        rows = accesses.read_rows
        if min(a for a, _ in rows) < BASE or max(a + size for a, size in rows) > BASE + SIZE:
            return False
        if r["length"] != job.length:
            raise ValueError("a plan changed the length of a good job")
        weights, rows = rows[: len(rows) - r["rows"]], rows[-r["rows"] :]
        dtype = INPUT_DTYPES[job.input]
        for (address, _), row in zip(rows, job.rows, strict=True):
            self.memory.write(address, row.astype(dtype))
        if weights:
            for (address, _), values in zip(weights, (job.affine.gamma, job.affine.beta), strict=True):
                self.memory.write(address, values.astype("<i2"))
            gamma, beta = (self.memory.read(address, job.length, "<i2") for address, _ in weights)
            job.affine = Affine(gamma, beta, job.affine.shift, job.affine.beta_shift, job.affine.out)
        job.rows = np.stack([self.memory.read(address, job.length, dtype) for address, _ in rows])
        return True

    def set_buses(self, plan, accesses):
        for name, settings in plan.buses.items():
            rows = [] if accesses is None else getattr(accesses, f"{name}_rows")
            ranges = self.geometry.ranges(rows, plan.window, whole_words=name == "read")
            allowed = {"readable": ranges, "writable": [(1, 0)]} if name == "read" else {
                "readable": [(1, 0)], "writable": ranges}
            if plan.reset_at is not None:
                settings["withdraw"] = True
            self.dut.buses[name].set(**settings, **allowed)
            # Beats are counted from the job's first.
            self.dut.clear_bus_log(name)

    def script(self, rng, plan):
        """Return (pokes, writes [(cycle, address, value)], cycle of the start)."""
        dut, registers = self.dut, self.registers
        target = {"ev_enable": DONE | ERROR, "window_base": plan.window[0], "window_limit": plan.window[1],
                  **csr_fields(plan.registers)}
        control = dut.words("control")[0]
        writes = [(0, dut.words("ev_pending")[0], DONE | ERROR)]
        idle = rng.random()
        if idle < 0.05:  # nothing runs: neither does anything
            writes.append((1, control, dut.pack("control", **({"abort": 1} if idle < 0.03 else {"reset": 1}))[0]))
        wanted = []
        for name, value in target.items():
            values = dut.pack(name, **value) if isinstance(value, dict) else dut.pack(name, value)
            wanted += [(a, v) for a, v in zip(dut.words(name), values, strict=True) if registers.words[a] != v]
        rng.shuffle(wanted)
        writes += [(len(writes) + i, address, value) for i, (address, value) in enumerate(wanted)]
        start = len(writes)
        writes.append((start, control, dut.pack("control", start=1)[0]))

        # While it runs.
        taken = {}
        for cycle, fields in plan.controls.items():
            taken[start + cycle] = (control, dut.pack("control", **fields)[0])
        lock = registers.window[2]
        if plan.lock_at is not None:
            taken[start + plan.lock_at] = (lock, 1)
        span = int(rng.choice([5, 30, 200]))
        addresses = [a for a in registers.words if a not in dut.words("ev_enable") + [lock] or
                     (a == lock and registers.locked)]
        addresses += [a for name in ("status", "rows_done", "id") for a in dut.words(name)]
        for _ in range(int(rng.choice([0, rng.integers(1, 12)]))):
            cycle, address = start + 1 + int(rng.integers(0, span)), int(rng.choice(addresses))
            if plan.lock_at is not None and address in registers.window and cycle < start + plan.lock_at:
                continue
            taken.setdefault(cycle, (address, 0 if rng.random() < 0.2 else int(rng.integers(0, 2**32))))
        if plan.reset_at is not None:
            taken = {cycle: write for cycle, write in taken.items() if cycle < start + plan.reset_at}
        writes += [(cycle, *taken[cycle]) for cycle in sorted(taken)]

        ports = [(start + cycle, port, value) for cycle, port, value in plan.pokes]
        if plan.reset_at is not None:
            ports += [(start + plan.reset_at, "sys_rst", 1),
                      (start + plan.reset_at + plan.reset_cycles, "sys_rst", 0)]
        busy = {cycle for cycle, *_ in writes}
        for cycle, address, value in writes:
            ports += [(cycle, "csr_adr", address), (cycle, "csr_dat_w", value), (cycle, "csr_we", 1)]
            if cycle + 1 not in busy:
                ports.append((cycle + 1, "csr_we", 0))
        ports.sort(key=lambda p: p[0])
        return [dut.poke(*p) for p in ports], writes, start

    def rest(self):
        """Everything that pokes may have left on."""
        self.dut.set(csr_we=0, sys_rst=0, halt_in=0, halt_out=0, fail=0)
        self.dut.settle()

    # After -------------------------------------------------------------------------------------------

    def check_reset(self):
        """After a hard reset: nothing runs, nothing is pending, nothing is locked."""
        dut = self.dut
        if dut.get("irq") or dut.get("busy") or dut.get("read_cyc") or dut.get("write_cyc"):
            raise Violation("register", "the peripheral is not at rest after a hard reset")
        self.check_registers(Status.OK)

    def check_end(self, plan, status, counts):
        dut = self.dut
        done, error = dut.get("done") - counts[0], dut.get("error") - counts[1]
        if (done, error) != ((1, 0) if status == Status.OK else (0, 1)):
            raise Violation("interrupt", f"{done} done and {error} error interrupts for status {status.name}")
        if not dut.get("irq"):
            raise Violation("interrupt", "no interrupt request after the event")
        if dut.get("busy"):
            raise Violation("register", "busy after the interrupt")
        if dut.get("read_cyc") or dut.get("write_cyc"):
            raise Violation("register", "on the bus after the interrupt")

    def check_status(self, plan, status, code, accesses, cycles, started):
        """The status is one that the plan's faults explain, and came in time."""
        end = cycles - 2 - started  # the cycle of the result, after the start
        possible = set(plan.possible)
        if code != Status.OK:
            # Nothing but a reset is quicker than the check.
            possible = {code} | ({Status.ABORTED} if plan.control_at("reset") else set())
        else:
            faults = {first_fault(self.geometry, getattr(accesses, f"{name}s"), plan.window, plan.buses[name])
                      for name in ("read", "write")} - {None}
            possible |= faults
            stands_still = any(cycle == 0 and value for cycle, _, value in plan.pokes)
            if not faults and not stands_still:
                possible.add(Status.OK)
        if status not in possible:
            raise Violation("status", f"status {status.name}, not {' or '.join(sorted(s.name for s in possible))}")
        abort, reset = plan.control_at("abort"), plan.control_at("reset")
        if reset is not None and end > reset + 1:
            raise Violation("status", f"the job ended {end - reset} cycles after the soft reset, not with it")
        if reset is None and abort is not None:
            if end > abort + 4 and status == Status.OK:
                raise Violation("status", f"the abort was ignored: the job was complete {end - abort} cycles later")
            if end > abort + 2 * BUS_TIMEOUT + 20:
                raise Violation("status", f"the job ended {end - abort} cycles after the abort, which is too late")

    def check_memory(self, plan, accesses, before):
        """Nothing has changed but the rows of the destination inside of the window."""
        changed = self.memory.data != before
        rows = [] if accesses is None else accesses.write_rows
        for first, last in self.geometry.ranges(rows, plan.window, whole_words=False):
            changed[max(first - BASE, 0) : max(last + 1 - BASE, 0)] = False
        if changed.any():
            at = np.flatnonzero(changed)
            raise Violation("canary", f"{len(at)} bytes changed outside of the destination, the first at "
                                      f"{BASE + int(at[0]):#x}")

    def check_rows(self, plan, accesses, status, before, done):
        """The rows that count as done hold the model's codes; when the job is complete all do."""
        rows = accesses.write_rows
        if done > len(rows) or (status == Status.OK and done != len(rows)):
            raise Violation("result", f"{done} of {len(rows)} rows are done at status {status.name}")
        if not done:
            return
        sources = accesses.read_rows[-len(rows) :]
        for k, (out, out_size) in enumerate(rows):
            for row, size in sources[k + 1 :]:
                if out < row + size and row < out + out_size:
                    return  # an output lies over rows that are read later: what they are then is a matter of timing
        overlapping = any(b < a + size for (a, size), (b, _) in zip(sorted(rows), sorted(rows)[1:], strict=False))
        if overlapping and status != Status.OK:
            return  # the row after the last that is done may lie over it in part
        expected = before.copy()
        job = plan.job
        codes = job.expected(self.config).astype(job.output_dtype)
        self.report.checked["rows compared with the model"] += done
        written = np.zeros(SIZE, bool)
        for (address, size), row in zip(rows[:done], codes, strict=False):
            at = slice(address - BASE, address - BASE + size)
            expected[at] = np.frombuffer(row.tobytes(), np.uint8)
            written[at] = True
        wrong = np.flatnonzero((self.memory.data != expected) & written)
        if len(wrong):
            raise Violation("result", f"{len(wrong)} bytes of the result are not the model's, the first at "
                                      f"{BASE + int(wrong[0]):#x}")

    def check_registers(self, status):
        """All registers, by the bus."""
        dut = self.dut
        for name in self.registers.names:
            value, expected = dut.read(name), self.registers.value(name)
            if value != expected:
                raise Violation("register", f"register {name} reads {value:#x}, not {expected:#x}")
        pending = dut.read("ev_pending")
        if pending not in ((0,) if not dut.get("irq") else (DONE,) if status == Status.OK else (ERROR,)):
            raise Violation("interrupt", f"events {pending} are pending at status {status.name}")
        fields = dut.read_fields("status")
        if fields["busy"] or (dut.get("irq") and fields["code"] != status):
            raise Violation("register", f"register status reads {fields}")


    # Queues ------------------------------------------------------------------------------------------

    def run_queue(self, rng):
        """Run a QueuePlan; Violation when anything about it is wrong."""
        if self.registers.locked:
            self.dut.reset()
            self.registers.reset()
        queue = QueuePlan(rng, self.planner, self.config)
        try:
            self.attempt_queue(rng, queue)
        except (Violation, SimulationError) as error:
            kind = error.kind if isinstance(error, Violation) else "access"
            raise Violation(kind, f"{error}; a queue of {len(queue.jobs)} jobs, wrong: {queue.wrong}, {queue.control} "
                                  f"behind job {queue.cut}") from error

    def put(self, **values):
        """Write registers, those that hold the value already now and then."""
        dut = self.dut
        for name, value in values.items():
            words = dut.pack(name, **value) if isinstance(value, dict) else dut.pack(name, value)
            for address, word in zip(dut.words(name), words, strict=True):
                if self.registers.words.get(address) != word:
                    dut.set(csr_adr=address, csr_we=1, csr_dat_w=word)
                    dut.clock()
                    self.registers.write(address, word)
        dut.set(csr_we=0)
        dut.settle()

    def until(self, what):
        """Wait until a field of the status is 0."""
        for _ in range(MAX_CYCLES // 10):
            if not self.dut.read_fields("status")[what]:
                return
            self.dut.clock(10)
        raise Violation("hang", f"the queue is {what} for {MAX_CYCLES} cycles")

    def attempt_queue(self, rng, queue):
        dut, memory = self.dut, self.memory
        everything = [(BASE, BASE + SIZE - 1)]
        for name, settings in queue.buses.items():
            dut.buses[name].set(**settings, readable=everything if name == "read" else [(1, 0)],
                                writable=everything if name == "write" else [(1, 0)])
            dut.clear_bus_log(name)
        for job in queue.jobs:
            job.store(memory)  # rows of one that follows another are written over
        before = memory.snapshot()
        self.put(ev_enable=DONE | ERROR, ev_pending=DONE | ERROR)
        counts = dut.get("done"), dut.get("error")
        first = dut.read_fields("status")["ended"]
        for k, plan in enumerate(queue.plans):
            self.put(window_base=plan.window[0], window_limit=plan.window[1], **csr_fields(plan.registers))
            if dut.get("error") > counts[1]:
                queue.behind = min(queue.behind, k)
            full = dut.read_fields("status")
            if full["full"]:
                # It may have room when the write comes.
                self.put(control={"start": 1})
                dut.clock()
                status = dut.read_fields("status")
                if not status["rejected"] and status["ended"] == full["ended"]:
                    raise Violation("register", "a start was not rejected though the queue was full")
                if status["rejected"]:
                    self.report.checked["starts rejected"] += 1
                    self.until("full")
                    self.put(control={"start": 1})
            else:
                self.put(control={"start": 1})
            dut.clock(int(rng.choice([0, 1, 2, 5, rng.integers(0, 300)])))
            if k == queue.cut:
                self.put(control={queue.control: 1})
        self.until("busy")
        dut.clock(3)
        self.rest()
        self.check_queue(queue, before, first, counts)

    def check_queue(self, queue, before, first, counts):
        dut = self.dut
        codes, ended = dut.read("codes"), dut.read_fields("status")["ended"]
        count = len(queue.jobs)
        if ended != (first + count) % (1 << TICKET_BITS):
            raise Violation("status", f"{(ended - first) % (1 << TICKET_BITS)} of {count} jobs count as ended")
        results = []
        for k in range(count):
            code = codes >> STATUS_BITS * ((first + k) % RESULTS) & (1 << STATUS_BITS) - 1
            if code == PENDING:
                raise Violation("status", f"job {k} of the queue has no result")
            results.append(Status(code))
        names = " ".join(status.name for status in results)
        if not queue.explains(results):
            raise Violation("status", f"results {names}")
        errors = sum(status not in (Status.OK, Status.SKIPPED) for status in results)
        if queue.control == "reset":
            errors = min(errors, 1)
        events = dut.get("done") - counts[0], dut.get("error") - counts[1]
        if events != (results.count(Status.OK), errors):
            raise Violation("interrupt", f"{events[0]} done and {events[1]} error interrupts for {names}")

        # One after the other, on a memory of its own.
        model = Memory(BASE, SIZE)
        model.data[:] = before
        known = np.ones(SIZE, bool)
        for job, status in zip(queue.jobs, results, strict=True):
            if status == Status.OK:
                job.rows = np.stack([model.read(int(address), job.length, INPUT_DTYPES[job.input])
                                     for address in job.row_addresses("src")])
                for address, row in zip(job.row_addresses("dst"), job.expected(self.config), strict=True):
                    model.write(int(address), row.astype(job.output_dtype))
                self.report.checked["rows compared with the model"] += len(job.rows)
            elif status == Status.ABORTED:
                known[job.output_bytes() - BASE] = False
        wrong = np.flatnonzero((self.memory.data != model.data) & known)
        if len(wrong):
            raise Violation("result", f"{len(wrong)} bytes are wrong after results {names}, the first at "
                                      f"{BASE + int(wrong[0]):#x}")
        self.report.checked["jobs in queues"] += count
        self.report.checked["jobs skipped"] += results.count(Status.SKIPPED)


class QueuePlan:
    """Some good jobs, each in its own part of memory.

    follows  numbers of the jobs whose rows are the output of the job before
    wrong    number of a job with wrong parameters, or None;  cut: number of the job behind whose start `control`,
             "abort" or "reset", is written, or None
    behind   number of the first job that was started behind the end of one with an error
    """

    def __init__(self, rng, planner, config):
        count = int(rng.integers(2, RESULTS))
        self.jobs, self.plans, self.follows = [], [], set()
        self.wrong = self.cut = self.control = None
        self.behind = count
        kind = rng.random()
        if kind < 0.3:
            self.wrong = int(rng.integers(count))
        elif kind < 0.6:
            self.cut, self.control = int(rng.integers(count)), str(rng.choice(["abort", "reset"]))
        word = planner.word
        size = SIZE // RESULTS // word * word
        for k in range(count):
            region = Region(BASE + k * size, BASE + (k + 1) * size - 1, word)
            last = self.jobs[-1] if self.jobs else None
            fixed = {}
            fits = last is not None and last.output_dtype == INPUT_DTYPES["s16"]
            if fits and self.cut is None and rng.random() < 0.7:
                fixed = {"shape": last.rows.shape, "input": "s16", "src_stride": last.dst_stride}
                self.follows.add(k)
            job = random_job(rng, config, region, max_rows=3, max_length=24, word_bytes=word, **fixed)
            if fixed:
                job.src = last.dst
            plan = Plan(job, job.registers(), (0, 2**32 - 1))
            if rng.random() < 0.5:
                plan.window = planner.good_window(rng, plan)
            if k == self.wrong:
                planner.parameter(rng, plan, None)
                self.code = planner.geometry.static_code(plan.registers)
                if self.code == Status.OK:
                    self.wrong = None
            self.jobs.append(job)
            self.plans.append(plan)
        self.buses = plan.buses
        for bus in self.buses.values():
            bus.update(latency=int(rng.integers(0, 4)), stall=[0.0, 0.3][rng.integers(0, 2)], withdraw=True)

    def explains(self, results):
        """Whether the jobs may have ended like this."""
        left = list(enumerate(results))
        while left and left[0][1] == Status.OK:
            left.pop(0)
        if not left:
            return self.wrong is None
        k, status = left.pop(0)
        if self.wrong is not None:
            if k != self.wrong or status != self.code:
                return False
            behind = Status.SKIPPED
        else:
            if self.cut is None or k > self.cut or status != Status.ABORTED:
                return False
            behind = Status.SKIPPED if self.control == "abort" else Status.ABORTED
        # An abort takes two accesses; a job that is started meanwhile waits like the others and is skipped like them,
        # one that is started behind its end runs.
        last = self.cut if self.control == "reset" else self.behind - 1
        while left and left[0][1] == behind and left[0][0] <= last:
            left.pop(0)
        return all(status == Status.OK for _, status in left) and (
            self.cut is None or all(k > self.cut for k, _ in left))


# The command -----------------------------------------------------------------------------------------


@dataclass
class Report:
    """What came of a run: jobs by outcome and by fault, violations by kind, what was checked, and messages."""

    seed: int
    first: int
    outcomes: Counter = field(default_factory=Counter)
    faults: Counter = field(default_factory=Counter)
    violations: Counter = field(default_factory=Counter)
    checked: Counter = field(default_factory=Counter)
    messages: list = field(default_factory=list)

    def show(self, console):
        total = sum(self.outcomes.values())
        table = Table(title=f"{total:,} jobs from number {self.first} of seed {self.seed}")
        table.add_column("how they ended")
        table.add_column("jobs", justify="right")
        order = [s.name for s in Status]
        for name in sorted(self.outcomes, key=lambda n: order.index(n) if n in order else len(order)):
            table.add_row(name, f"{self.outcomes[name]:,}")
        table.add_section()
        for name in ["none", *FAULTS]:
            table.add_row(f"with fault: {name}", f"{self.faults[name]:,}")
        table.add_section()
        for name, count in self.checked.items():
            table.add_row(name, f"{count:,}")
        table.add_section()
        for kind, text in KINDS.items():
            table.add_row(text, f"{self.violations[kind]:,}")
        console.print(table)

    def json(self):
        return {"seed": self.seed, "first": self.first, "outcomes": dict(self.outcomes), "faults": dict(self.faults),
                "checked": dict(self.checked), "violations": {kind: self.violations[kind] for kind in KINDS},
                "messages": self.messages}


def run(jobs, seed=1, first=0, progress=lambda count: None, keep_going=False, soaks=None):
    """Run jobs `first` to `first + jobs - 1` of a seed and return a Report. `first` begins a block.

    progress    called with the number of jobs that were run since the last call
    keep_going  go on with the next block after a violation; else the run ends with it
    soaks       dict of name to Soak, instead of those of CORES
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; good: 1 or more")
    if first < 0 or first % BLOCK:
        raise ValueError(f"first is {first}; good: a multiple of {BLOCK}, where a block begins")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed is {seed}; good: 0 to {2**31 - 1}")
    names = list(CORES if soaks is None else soaks)
    soaks = {} if soaks is None else soaks
    report = Report(seed, first)
    for start in range(first, first + jobs, BLOCK):
        block = start // BLOCK
        name = names[block % len(names)]
        if name not in soaks:
            soaks[name] = Soak(**CORES[name])
        soak = soaks[name]
        soak.report = report
        soak.restart((seed << 32) + block)
        end = min(start + BLOCK, first + jobs)
        for number in range(start, end):
            try:
                soak.run_job(np.random.default_rng([seed, number]), adversarial=number % 2 == 0)
                if number % QUEUE_EACH == 0:
                    soak.run_queue(np.random.default_rng([seed, number, 1]))
            except Violation as violation:
                report.violations[violation.kind] += 1
                report.messages.append(
                    f"job {number} of seed {seed} ({name}): {violation}; to repeat: python -m litenorm.sim.dma_soak "
                    f"--seed {seed} --first {start} --jobs {number - start + 1}")
                if not keep_going:
                    return report
                break
            progress(1)
        else:
            continue
        progress(end - number)
    return report


@contextlib.contextmanager
def progress_bar(jobs):
    console = Console(stderr=True)
    columns = (TextColumn("soak"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("soak", total=jobs)
        yield lambda count: bar.advance(task, count)


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m litenorm.sim.dma_soak", description="Random jobs, good and bad, on the Verilated peripheral.",
        epilog="example: python -m litenorm.sim.dma_soak --jobs 1000000 --seed 7")
    parser.add_argument("--jobs", type=int, default=100_000, metavar="N", help="how many (default: 100000)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of everything random (default: 1)")
    parser.add_argument("--first", type=int, default=0, metavar="K",
                        help=f"go on from job K, a multiple of {BLOCK} (default: 0)")
    parser.add_argument("--keep-going", action="store_true",
                        help="go on with the next block after a violation, and count them")
    parser.add_argument("--json", type=Path, metavar="F", help="write the table to this file")
    args = parser.parse_args(argv)
    try:
        with progress_bar(args.jobs) as progress:
            report = run(args.jobs, args.seed, args.first, progress, args.keep_going)
        report.show(Console())
        for message in report.messages:
            print(f"soak: violation: {' '.join(message.split())}", file=sys.stderr)
        if args.json is not None:
            from litenorm.sim.output import write_json

            write_json(args.json, report.json())
        return 1 if report.messages else 0
    except (SimulationError, ValueError, OSError) as error:
        print(f"soak: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("soak: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
