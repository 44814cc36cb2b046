# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Queues of jobs: some that wait while others run, and what may come of them."""

import numpy as np

from litenorm.accel.status import STATUS_BITS, Status
from litenorm.sim.dma_soak.adversary import BASE, SIZE, Plan, Region
from litenorm.sim.dma_soak.device import DONE, ERROR, MAX_CYCLES
from litenorm.sim.dma_soak.report import Violation
from litenorm.sim.errors import SimulationError
from litenorm.sim.jobs import INPUT_DTYPES, csr_fields, random_job
from litenorm.sim.wishbone import Memory
from litenorm.soc.job import TICKET_BITS
from litenorm.soc.peripheral import PENDING, RESULTS


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


class Queues:
    """Runs queues on the device of a Soak and checks what comes of them."""

    def __init__(self, soak):
        self.soak = soak
        self.dut = soak.dut
        self.registers = soak.registers
        self.memory = soak.memory

    def run(self, rng):
        """Run a QueuePlan; Violation when anything about it is wrong."""
        if self.registers.locked:
            self.dut.reset()
            self.registers.reset()
        queue = QueuePlan(rng, self.soak.planner, self.soak.config)
        try:
            self.attempt(rng, queue)
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

    def attempt(self, rng, queue):
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
                    self.soak.report.checked["starts rejected"] += 1
                    self.until("full")
                    self.put(control={"start": 1})
            else:
                self.put(control={"start": 1})
            dut.clock(int(rng.choice([0, 1, 2, 5, rng.integers(0, 300)])))
            if k == queue.cut:
                self.put(control={queue.control: 1})
        self.until("busy")
        dut.clock(3)
        self.soak.rest()
        self.check(queue, before, first, counts)

    def check(self, queue, before, first, counts):
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
                for address, row in zip(job.row_addresses("dst"), job.expected(self.soak.config), strict=True):
                    model.write(int(address), row.astype(job.output_dtype))
                self.soak.report.checked["rows compared with the model"] += len(job.rows)
            elif status == Status.ABORTED:
                known[job.output_bytes() - BASE] = False
        wrong = np.flatnonzero((self.memory.data != model.data) & known)
        if len(wrong):
            raise Violation("result", f"{len(wrong)} bytes are wrong after results {names}, the first at "
                                      f"{BASE + int(wrong[0]):#x}")
        self.soak.report.checked["jobs in queues"] += count
        self.soak.report.checked["jobs skipped"] += results.count(Status.SKIPPED)
