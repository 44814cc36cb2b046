# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""One core under the soak: runs jobs as they were planned and checks all that comes of them."""

import numpy as np

from litenorm.accel import LiteNormConfig
from litenorm.accel.affine import Affine
from litenorm.accel.status import Status
from litenorm.sim.csr import CsrDut
from litenorm.sim.dma_soak.adversary import BASE, MAX_LENGTH, SIZE, Planner
from litenorm.sim.dma_soak.checks import Checks
from litenorm.sim.dma_soak.device import DONE, ERROR, MAX_CYCLES, Registers, Top
from litenorm.sim.dma_soak.queues import Queues
from litenorm.sim.dma_soak.report import Report, Violation
from litenorm.sim.errors import SimulationError
from litenorm.sim.jobs import INPUT_DTYPES, csr_fields
from litenorm.sim.wishbone import Memory


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
        self.checks = Checks(self)
        self.queues = Queues(self)

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
            self.checks.reset()
            self.checks.memory(plan, accesses, before)
            self.report.outcomes["cut by a hard reset"] += 1
            return
        if not ended:
            raise Violation("hang", f"the job has not ended after {MAX_CYCLES} cycles")

        status = Status(dut.get("code"))
        self.checks.end(plan, status, counts)
        checked["interrupts"] += dut.get("done") + dut.get("error") - sum(counts)
        self.checks.status(plan, status, code, accesses, cycles, started)
        self.checks.memory(plan, accesses, before)
        if accesses and readable:
            done = dut.get("rows_done")
            reset = plan.control_at("reset")
            if status == Status.OK and reset is not None and started + reset + 1 == cycles - 1:
                done = r["rows"]  # the reset came in the cycle after the end and has cleared the counter
            self.checks.rows(plan, accesses, status, before, done)
        if rng.random() < 0.1:
            self.checks.registers(status)
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
