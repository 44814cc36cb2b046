# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""What must hold after a job: its end, its status, memory, rows and registers."""

import numpy as np

from litenorm.accel.status import Status
from litenorm.sim.dma_soak.adversary import BASE, BUS_TIMEOUT, SIZE, first_fault
from litenorm.sim.dma_soak.device import DONE, ERROR
from litenorm.sim.dma_soak.report import Violation


class Checks:
    """What came of a job on the device of a Soak. Each check raises Violation."""

    def __init__(self, soak):
        self.soak = soak
        self.dut = soak.dut

    def reset(self):
        """After a hard reset: nothing runs, nothing is pending, nothing is locked."""
        dut = self.dut
        if dut.get("irq") or dut.get("busy") or dut.get("read_cyc") or dut.get("write_cyc"):
            raise Violation("register", "the peripheral is not at rest after a hard reset")
        self.registers(Status.OK)

    def end(self, plan, status, counts):
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

    def status(self, plan, status, code, accesses, cycles, started):
        """The status is one that the plan's faults explain, and came in time."""
        end = cycles - 2 - started  # the cycle of the result, after the start
        possible = set(plan.possible)
        if code != Status.OK:
            # Nothing but a reset is quicker than the check.
            possible = {code} | ({Status.ABORTED} if plan.control_at("reset") else set())
        else:
            faults = {first_fault(self.soak.geometry, getattr(accesses, f"{name}s"), plan.window, plan.buses[name])
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

    def memory(self, plan, accesses, before):
        """Nothing has changed but the rows of the destination inside of the window."""
        changed = self.soak.memory.data != before
        rows = [] if accesses is None else accesses.write_rows
        for first, last in self.soak.geometry.ranges(rows, plan.window, whole_words=False):
            changed[max(first - BASE, 0) : max(last + 1 - BASE, 0)] = False
        if changed.any():
            at = np.flatnonzero(changed)
            raise Violation("canary", f"{len(at)} bytes changed outside of the destination, the first at "
                                      f"{BASE + int(at[0]):#x}")

    def rows(self, plan, accesses, status, before, done):
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
        codes = job.expected(self.soak.config).astype(job.output_dtype)
        self.soak.report.checked["rows compared with the model"] += done
        written = np.zeros(SIZE, bool)
        for (address, size), row in zip(rows[:done], codes, strict=False):
            at = slice(address - BASE, address - BASE + size)
            expected[at] = np.frombuffer(row.tobytes(), np.uint8)
            written[at] = True
        wrong = np.flatnonzero((self.soak.memory.data != expected) & written)
        if len(wrong):
            raise Violation("result", f"{len(wrong)} bytes of the result are not the model's, the first at "
                                      f"{BASE + int(wrong[0]):#x}")

    def registers(self, status):
        """All registers, by the bus."""
        dut = self.dut
        for name in self.soak.registers.names:
            value, expected = dut.read(name), self.soak.registers.value(name)
            if value != expected:
                raise Violation("register", f"register {name} reads {value:#x}, not {expected:#x}")
        pending = dut.read("ev_pending")
        if pending not in ((0,) if not dut.get("irq") else (DONE,) if status == Status.OK else (ERROR,)):
            raise Violation("interrupt", f"events {pending} are pending at status {status.name}")
        fields = dut.read_fields("status")
        if fields["busy"] or (dut.get("irq") and fields["code"] != status):
            raise Violation("register", f"register status reads {fields}")
