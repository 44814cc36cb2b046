# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The peripheral, from its registers to memory, as the target of upsets."""

import numpy as np

from litenorm.accel import LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS
from litenorm.accel.status import Status
from litenorm.sim.csr import CsrDut
from litenorm.sim.errors import SimulationError
from litenorm.sim.faults.core import MAX_LENGTH, WORKLOADS
from litenorm.sim.faults.upset import SILENT_SUM, Outcome
from litenorm.sim.jobs import random_job, start
from litenorm.sim.streams import HangError
from litenorm.sim.wishbone import Memory
from litenorm.soc.job import TICKET_BITS
from litenorm.soc.peripheral import LiteNormPeripheral

JOB_CYCLES = 40_000         # of the peripheral: above its watchdog and its bus timeout
BUS_TIMEOUT = 500
BASE, SIZE = 0x4000_0000, 1 << 13


class PeripheralTarget:
    """The peripheral with registers, bus masters and a memory: one job is the workload."""

    peripheral = LiteNormPeripheral

    def __init__(self, lanes, seed, parity=False):
        self.config = LiteNormConfig(lanes=lanes, max_length=MAX_LENGTH, parity=parity)
        self.memory = Memory(BASE, SIZE)
        module = self.peripheral(self.config, bus_timeout=BUS_TIMEOUT)
        self.dut = CsrDut(module, outputs={"irq": module.ev.irq}, memory=self.memory, name="litenorm", state=True,
                          buses={"read": module.read_bus, "write": module.write_bus})
        for bus in self.dut.buses.values():
            bus.set(latency=2, stall=0.1)
        self.seed = seed
        self.work = []
        self.cycles = []
        for i in range(2 * WORKLOADS):
            rng = np.random.default_rng([seed, 1 << 42, i])
            fixed = dict(op=c.OPS[i % 3])
            if i % 3 == 0:
                fixed["fmt"] = list(FORMATS)[i // 3 % len(FORMATS)]
            job = random_job(rng, self.config, self.memory, max_rows=5, max_length=MAX_LENGTH, **fixed)
            self.dut.power_up(seed)
            cycles, status, rows_done = self.run(job)
            if status["code"] != Status.OK or not np.array_equal(job.output(self.memory), job.expected(self.config)):
                raise SimulationError(f"the undisturbed peripheral differs from the model: {job}")
            self.work.append((job, status, self.memory.snapshot()))
            self.cycles.append(cycles)

    @property
    def state(self):
        return self.dut.state

    def run(self, job, flip=None):
        """(cycles, fields of status, rows_done) of a job; HangError when no interrupt comes."""
        self.memory.data[:] = 0xa5
        job.store(self.memory)
        dut = self.dut
        dut.write("ev_enable", 3)
        dut.write("ev_pending", 3)
        dut.write("window_base", BASE)
        dut.write("window_limit", BASE + SIZE - 1)
        self.before = dut.read_fields("status")["ended"]
        start(dut, job)
        if flip is not None:
            dut.flip(dut.cycle + flip.cycle, flip.element, flip.bit, flip.word)
        cycles = dut.run_until("irq", JOB_CYCLES)
        return cycles, dut.read_fields("status"), dut.read("rows_done")

    def upset(self, upset):
        """Run one upset; returns its Outcome."""
        job, golden, after = self.work[upset.workload]
        self.dut.power_up(self.seed)
        self.dut.lenient()
        hung = False
        try:
            _, status, rows_done = self.run(job, upset)
            if status["busy"]:
                kind, hung = self.judge_early(job, golden, after)
            else:
                kind = self.judge(job, golden, after, status, rows_done)
        except HangError:
            status, hung = self.dut.read_fields("status"), True
            if status["busy"]:
                kind = "hung"
            else:
                kind = self.judge(job, golden, after, status, self.dut.read("rows_done"))
                kind = kind if kind in SILENT_SUM else "lost"
        return Outcome(kind, self.recovery(hung, upset.workload))

    def judge_early(self, job, golden, after):
        """(kind, hung) of a job that had an interrupt while busy: software that sees `busy` waits for its end."""
        for _ in range(JOB_CYCLES // 100):
            self.dut.clock(100)
            status = self.dut.read_fields("status")
            if not status["busy"]:
                kind = self.judge(job, golden, after, status, self.dut.read("rows_done"))
                return kind if kind in SILENT_SUM else "otherwise", False
        return "hung", True

    def judge(self, job, golden, after, status, rows_done):
        inside = np.zeros(SIZE, bool)
        inside[job.output_bytes() - BASE] = True
        # As the driver does: a job that the peripheral has not counted was lost.
        failed = status["code"] != Status.OK or status["ended"] != (self.before + 1) % (1 << TICKET_BITS)
        if not np.array_equal(self.memory.data[~inside], after[~inside]):
            return "spilled" if failed else "misplaced"
        got, want = job.output(self.memory).astype(np.int64), job.expected(self.config).astype(np.int64)
        if failed:
            return "alarm" if np.array_equal(got, want) else "row_error"
        if np.array_equal(got, want):
            same = status["constant_row"] == golden["constant_row"] and rows_done == len(job.rows)
            return "masked" if same else "status"
        if job.op == "rmsnorm" or job.affine is not None:
            return "unchecked"
        return "elements" if np.array_equal(got.sum(axis=1), want.sum(axis=1)) else "sum"

    def recovery(self, hung, workload):
        job, golden, after = self.work[(workload + 1) % len(self.work)]
        for reset in (hung, True):
            if reset:
                self.dut.reset()
            try:
                _, status, rows_done = self.run(job)
                if self.judge(job, golden, after, status, rows_done) == "masked":
                    return "reset" if reset else ""
            except HangError:
                pass
        return "broken"
