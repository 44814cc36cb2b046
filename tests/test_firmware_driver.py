# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The driver, compiled for this machine with the headers of a SoC, on the registers of the Verilated peripheral.

Each access of the C code to a register is one on the CSR bus, and takes its cycle. The interrupt is taken between two
accesses, as a CPU would.
"""

import ctypes

import numpy as np
import pytest
from litex.build.generic_platform import CRG, Pins
from litex.build.sim import SimPlatform
from litex.soc.integration import export
from litex.soc.integration.soc_core import SoCCore
from migen import If

from litenorm.accel import LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.status import Status
from litenorm.firmware import host
from litenorm.sim.dma_soak import adversary
from litenorm.sim.dma_soak.device import WATCHDOG
from litenorm.sim.dma_soak.soak import Soak
from litenorm.sim.jobs import random_job
from litenorm.soc import add_litenorm

BASE, SIZE = adversary.BASE, adversary.SIZE
TOP = 2**32 - 1
RUNNING = 1
# Codes of the software, as litenorm_job.h has them; a test compares.
BAD_PARAMETER, BUSY, TIMEOUT, STUCK, NO_CORE, LOCKED = -64, -65, -66, -67, -68, -69
OPS = dict(zip(c.OPS, range(len(c.OPS)), strict=True))

STUBS = {
    "hw/common.h": """
#ifndef HOST_COMMON_H
#define HOST_COMMON_H
#include <stdint.h>
extern uint32_t (*host_read)(uint32_t address);
extern void (*host_write)(uint32_t address, uint32_t value);
static inline uint32_t csr_read_simple(unsigned long address) { return host_read((uint32_t)address); }
static inline void csr_write_simple(unsigned long value, unsigned long address)
{
    host_write((uint32_t)address, (uint32_t)value);
}
#endif
""",
    "system.h": """
#ifndef HOST_SYSTEM_H
#define HOST_SYSTEM_H
extern int host_flushes;
static inline void flush_cpu_dcache(void) { host_flushes++; }
#endif
""",
    "irq.h": """
#ifndef HOST_IRQ_H
#define HOST_IRQ_H
typedef void (*isr_t)(void);
extern unsigned host_mask, host_ie;
extern void host_access(void);
extern isr_t host_isr;
static inline unsigned irq_getmask(void) { return host_mask; }
static inline void irq_setmask(unsigned mask) { host_mask = mask; }
static inline unsigned irq_getie(void) { return host_ie; }
/* An interrupt that waits is taken when they are enabled. */
static inline void irq_setie(unsigned ie) { host_ie = ie; if (ie) host_access(); }
static inline void irq_attach(unsigned irq, isr_t isr) { (void)irq; host_isr = isr; }
#endif
""",
    "host.c": """
#include <generated/csr.h>
#include <generated/soc.h>
#include <hw/common.h>
#include <irq.h>
#include <system.h>
#include "litenorm.h"
uint32_t (*host_read)(uint32_t address);
void (*host_write)(uint32_t address, uint32_t value);
int host_flushes;
unsigned host_mask, host_ie = 1;
isr_t host_isr;
#ifdef LITENORM_INTERRUPT
void host_interrupt(void) { if (host_ie && host_mask >> LITENORM_INTERRUPT & 1) host_isr(); }
#endif
#ifdef CSR_LITENORM_BASE
/* The event is raised a few cycles after busy falls. */
void host_access(void) { for (int i = 0; i < 4; i++) host_read(CSR_LITENORM_ID_ADDR); }
#else
void host_access(void) { }
#endif
const int host_codes[] = { LITENORM_ERR_BAD_PARAMETER, LITENORM_ERR_BUSY, LITENORM_ERR_TIMEOUT, LITENORM_ERR_STUCK,
                           LITENORM_ERR_NO_CORE, LITENORM_ERR_LOCKED, LITENORM_RUNNING };
""",
}
FLAGS = ("-fsanitize=undefined", "-fno-sanitize-recover=all")


def build(folder, with_core):
    """The driver as a library, and the first address of its registers."""
    soc = SoCCore(SimPlatform("SIM", [("sys_clk", 0, Pins(1))]), int(1e6), cpu_type="vexriscv", with_uart=False,
                  integrated_rom_size=0x8000, integrated_main_ram_size=0x1000, bus_bursting=True)
    soc.crg = CRG(soc.platform.request("sys_clk"))
    if with_core:
        add_litenorm(soc, config=LiteNormConfig(max_length=adversary.MAX_LENGTH), bus_timeout=adversary.BUS_TIMEOUT,
                     watchdog_cycles=WATCHDOG)
    soc.finalize()
    files = STUBS | {
        "generated/csr.h": export.get_csr_header(soc.csr.regions, soc.constants,
                                                 csr_base=soc.mem_regions["csr"].origin),
        "generated/soc.h": export.get_soc_header(soc.constants),
        "generated/mem.h": export.get_mem_header(soc.mem_regions),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    library = host.build(folder, ("litenorm.c", "litenorm_absent.c", str(folder / "host.c")), flags=FLAGS)
    library.litenorm_strerror.restype = ctypes.c_char_p
    for name in ("timeout", "cycles", "rows_done"):
        getattr(library, f"litenorm_{name}").restype = ctypes.c_uint32
    return library, soc.csr.regions["litenorm"].origin if with_core else 0


def disobedient(dut, mutant):
    """With mutant 1 the core ignores an abort, and nothing watches over it."""
    dut.engine.comb += If(mutant == 1, dut.engine.abort.eq(0), dut.engine.watchdog.wait.eq(0))
    dut.comb += If(mutant == 1, dut.engine.abort.eq(0))


READ = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)
WRITE = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)
CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int)


class System:
    """The driver and the peripheral."""

    def __init__(self, folder):
        self.library, self.base = build(folder, True)
        self.device = Soak(planted=disobedient)
        self.dut, self.memory, self.config = self.device.dut, self.device.memory, self.device.config
        self.called = []
        self.in_interrupt = False
        self.functions = READ(self.read), WRITE(self.write), CALLBACK(self.called.append)  # kept alive
        for name, function in zip(("host_read", "host_write"), self.functions, strict=False):
            ctypes.c_void_p.in_dll(self.library, name).value = ctypes.cast(function, ctypes.c_void_p).value

    def restart(self, seed):
        self.device.restart(seed)
        for bus in self.dut.buses.values():
            bus.set(**adversary.QUIET)
        self.called.clear()
        assert self.init() == 0
        return np.random.default_rng(seed)

    def __getattr__(self, name):
        if name.startswith("_") or "library" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.library, f"litenorm_{name}")

    # Registers

    def access(self, address, **pins):
        self.dut.set(csr_adr=(address - self.base) // 4, **pins)
        self.dut.clock()
        value = self.dut.get("csr_dat_r")
        self.dut.set(csr_we=0, csr_re=0)
        self.dut.settle()
        if self.dut.get("irq") and not self.in_interrupt:
            self.in_interrupt = True
            self.library.host_interrupt()
            self.in_interrupt = False
        return value

    def read(self, address):
        return self.access(address, csr_re=1)

    def write(self, address, value):
        self.access(address, csr_we=1, csr_dat_w=value)

    # Jobs

    def struct(self, job, **changes):
        """struct litenorm_job of a jobs.Job."""
        r = job.registers()
        fields = {name: r[name] for name in ("src", "dst", "src_stride", "dst_stride", "rows", "length", "input",
                                             "format", "scale_multiplier", "scale_shift", "eps", "affine_shift",
                                             "beta_shift", "output", "mask_base", "mask_increment", "mask_period")}
        if job.affine is not None:
            fields |= {"gamma": r["gamma"], "beta": r["beta"]}
        return host.Job(**(fields | changes))

    def draw(self, rng, **fixed):
        """A good job whose rows are in memory."""
        fixed.setdefault("shape", (3, int(rng.integers(8, 30))))
        job = random_job(rng, self.config, self.memory, **fixed)
        job.store(self.memory)
        return job

    def run(self, job, **changes):
        struct = self.struct(job, **changes)
        return getattr(self, job.op)(ctypes.byref(struct))

    def start_job(self, job, **changes):
        struct = self.struct(job, **changes)
        return self.start(OPS[job.op], ctypes.byref(struct))

    def check_good(self, rng, **fixed):
        """A good job works, and nothing but its rows changes."""
        job = self.draw(rng, **fixed)
        before = self.memory.snapshot()
        assert self.run(job) == 0
        assert np.array_equal(job.output(self.memory), job.expected(self.config))
        assert set(self.memory.changed(before)) <= set(job.output_bytes())
        assert self.rows_done() == len(job.rows) and self.cycles() > 0


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    return System(tmp_path_factory.mktemp("driver"))


def test_codes_are_those_of_the_header(system):
    seen = list((ctypes.c_int * 7).in_dll(system.library, "host_codes"))
    assert seen == [BAD_PARAMETER, BUSY, TIMEOUT, STUCK, NO_CORE, LOCKED, RUNNING]


def test_every_code_has_its_own_line(system):
    codes = [-s for s in Status] + [BAD_PARAMETER, BUSY, TIMEOUT, STUCK, NO_CORE, LOCKED]
    lines = [system.strerror(code) for code in codes]
    assert len(set(lines)) == len(codes) and b"unknown code" not in lines
    assert system.strerror(-Status.WATCHDOG) == Status.WATCHDOG.text.encode()
    assert system.strerror(-99) == b"unknown code"


def test_good_jobs_give_the_models_codes(system):
    rng = system.restart(1)
    for op in c.OPS:
        for input_ in c.INPUTS:
            for _ in range(4):
                system.check_good(rng, op=op, input=input_)


def test_cache_is_flushed_once_for_each_job_that_ended(system):
    rng = system.restart(2)
    flushes = ctypes.c_int.in_dll(system.library, "host_flushes")
    for code in (0, -Status.BAD_LENGTH):
        before = flushes.value
        assert system.run(system.draw(rng), **({"length": 0} if code else {})) == code
        assert system.poll() == code
        assert flushes.value == before + 1


def draw_apart(system, rng, count):
    """Good jobs, each in its own part of memory."""
    size = SIZE // count // 4 * 4
    jobs = [random_job(rng, system.config, adversary.Region(BASE + k * size, BASE + (k + 1) * size - 1, 4), max_rows=3,
                       max_length=24) for k in range(count)]
    for job in jobs:
        job.store(system.memory)
    return jobs


def submit_all(system, jobs):
    return [system.submit(OPS[job.op], ctypes.byref(system.struct(job))) for job in jobs]


def test_queue_takes_five_jobs_and_each_has_its_result(system):
    rng = system.restart(21)
    for _ in range(60):
        jobs = draw_apart(system, rng, 6)
        system.dut.set(halt_in=1)   # so that none ends before all are there
        tickets = submit_all(system, jobs)
        assert tickets[-1] == BUSY and min(tickets[:-1]) >= 0 and len(set(tickets)) == 6
        assert system.poll() == RUNNING and system.start_job(jobs[5]) == BUSY and system.run(jobs[5]) == BUSY
        system.dut.set(halt_in=0)
        for job, ticket in zip(jobs, tickets[:-1], strict=False):
            assert system.wait_for(ticket, 100_000) == 0
            assert np.array_equal(job.output(system.memory), job.expected(system.config))
        assert system.poll() == 0
        # Once more, in any order.
        assert [system.wait_for(ticket, 0) for ticket in tickets[4::-1]] == [0] * 5
        assert system.run(jobs[5]) == 0


def test_job_that_fails_ends_those_behind_it(system):
    rng = system.restart(22)
    for _ in range(20):
        jobs = draw_apart(system, rng, 4)
        system.dut.set(halt_in=1)
        tickets = submit_all(system, jobs[:1])
        tickets.append(system.submit(OPS[jobs[1].op], ctypes.byref(system.struct(jobs[1], rows=0))))
        tickets += submit_all(system, jobs[2:])
        system.dut.set(halt_in=0)
        assert [system.wait_for(ticket, 100_000) for ticket in tickets] == [
            0, -Status.BAD_ROWS, -Status.SKIPPED, -Status.SKIPPED]
        assert system.poll() == -Status.SKIPPED
        assert system.wait_for(submit_all(system, jobs[2:3])[0], 100_000) == 0
    assert system.submit(0, ctypes.byref(system.struct(jobs[0], scale_shift=32))) == BAD_PARAMETER
    assert system.wait_for(BUSY, 100_000) == BUSY


def test_waiting_too_long_for_a_job_ends_all(system):
    rng = system.restart(23)
    jobs = draw_apart(system, rng, 3)
    system.dut.set(halt_in=1)
    tickets = submit_all(system, jobs)
    assert system.wait_for(tickets[0], 40) == TIMEOUT
    assert [system.wait_for(ticket, 40) for ticket in tickets] == [-Status.ABORTED, -Status.SKIPPED, -Status.SKIPPED]
    tickets = submit_all(system, jobs)
    system.reset()
    assert [system.wait_for(ticket, 40) for ticket in tickets] == [-Status.ABORTED] * 3
    system.dut.set(halt_in=0)
    system.check_good(rng)


def test_jobs_that_are_submitted_behind_one_that_was_started(system):
    rng = system.restart(24)
    for _ in range(5):
        jobs = draw_apart(system, rng, 3)
        system.dut.set(halt_in=1)
        assert system.start_job(jobs[0]) == 0
        tickets = submit_all(system, jobs[1:])
        system.dut.set(halt_in=0)
        assert [system.wait_for(ticket, 100_000) for ticket in tickets] == [0, 0]
        assert all(np.array_equal(job.output(system.memory), job.expected(system.config)) for job in jobs)
        system.check_good(rng)


def test_callback_comes_when_the_last_job_has_ended(system):
    rng = system.restart(25)
    system.set_callback(system.functions[2])
    jobs = draw_apart(system, rng, 4)
    system.dut.set(halt_in=1)
    submit_all(system, jobs)
    assert system.called == []
    system.dut.set(halt_in=0)
    assert system.wait(100_000) == 0
    assert system.called == [0]
    system.set_callback(None)


BAD = {
    "length": ({"length": 0}, Status.BAD_LENGTH),
    "rows": ({"rows": 0}, Status.BAD_ROWS),
    "src": ({"src": BASE + 2}, Status.BAD_ALIGNMENT),
    "format": ({"format": 7}, Status.BAD_FORMAT),
    "window": ({"dst": BASE + SIZE}, Status.OUT_OF_WINDOW),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_jobs_return_their_status(system, case):
    changes, code = BAD[case]
    rng = system.restart(3)
    assert system.set_window(BASE, BASE + SIZE - 1) == 0
    job = system.draw(rng, op="softmax", shape=(3, 12))
    before = system.memory.snapshot()
    assert system.run(job, **changes) == -code
    assert np.array_equal(system.memory.data, before)
    system.check_good(rng)


@pytest.mark.parametrize("fault,code", [("errors", Status.BUS_ERROR), ("dead", Status.BUS_TIMEOUT)])
@pytest.mark.parametrize("stage", ["gamma", "beta", "src", "dst"])
def test_bus_that_fails_in_each_stage(system, stage, fault, code):
    rng = system.restart(4)
    job = system.draw(rng, op="layernorm")
    while job.affine is None:
        job = system.draw(rng, op="layernorm")
    address = getattr(job, stage)
    bus = system.dut.buses["write" if stage == "dst" else "read"]
    bus.set(**{fault: [(address, address + 3)]})
    assert system.run(job) == -code
    bus.set(errors=[], dead=[])
    system.check_good(rng)


@pytest.mark.parametrize("port", ["halt_in", "halt_out"])
@pytest.mark.parametrize("by_interrupt", [False, True])
def test_core_that_stands_still_is_found_by_its_watchdog(system, port, by_interrupt):
    rng = system.restart(5)
    if by_interrupt:
        system.set_callback(system.functions[2])
    system.dut.set(**{port: 1})
    assert system.run(system.draw(rng)) == -Status.WATCHDOG
    assert system.called == ([-Status.WATCHDOG] if by_interrupt else [])
    system.dut.set(**{port: 0})
    system.check_good(rng)


def test_callback_is_called_once_for_each_job(system):
    rng = system.restart(6)
    system.set_callback(system.functions[2])
    for _ in range(5):
        system.check_good(rng)
        assert system.run(system.draw(rng), rows=0) == -Status.BAD_ROWS
    system.start_job(system.draw(rng, shape=(12, 20)))
    assert system.abort() == -Status.ABORTED
    assert system.called == [0, -Status.BAD_ROWS] * 5 + [-Status.ABORTED]
    system.set_callback(ctypes.cast(None, CALLBACK))
    system.check_good(rng)
    assert len(system.called) == 11


def test_a_masked_interrupt_is_not_taken_for_the_next_job(system):
    """The job ends while interrupts are off, and the next one is started: each has its callback and its result."""
    rng = system.restart(9)
    enabled = ctypes.c_uint.in_dll(system.library, "host_ie")
    system.set_callback(system.functions[2])
    for _ in range(3):
        system.called.clear()
        enabled.value = 0
        assert system.run(system.draw(rng), rows=0) == -Status.BAD_ROWS
        assert system.called == []
        job = system.draw(rng)
        assert system.start_job(job) == 0
        assert system.called == [-Status.BAD_ROWS]
        enabled.value = 1
        assert system.wait(100_000) == 0
        assert np.array_equal(job.output(system.memory), job.expected(system.config))
        assert system.called == [-Status.BAD_ROWS, 0]


def test_other_registers_are_not_taken_for_the_core(system):
    system.restart(10)
    read = system.read
    other = READ(lambda address: read(address) ^ (1 << 8))
    ctypes.c_void_p.in_dll(system.library, "host_read").value = ctypes.cast(other, ctypes.c_void_p).value
    try:
        assert system.init() == NO_CORE
    finally:
        ctypes.c_void_p.in_dll(system.library, "host_read").value = ctypes.cast(system.functions[0],
                                                                                ctypes.c_void_p).value
    assert system.init() == 0


def test_time_limit_aborts_the_job(system):
    rng = system.restart(7)
    system.dut.buses["read"].set(latency=adversary.BUS_TIMEOUT - 10, bursting=False)
    for wait in (lambda: system.wait(4), system.abort):
        assert system.start_job(system.draw(rng, shape=(12, 20))) == 0
        assert system.start_job(system.draw(rng)) == BUSY and system.poll() == RUNNING
        assert wait() in (TIMEOUT, -Status.ABORTED)
        assert system.poll() == -Status.ABORTED and system.rows_done() < 12
    system.dut.buses["read"].set(**adversary.QUIET)
    system.check_good(rng)


def test_core_that_obeys_no_abort_is_reset(system):
    rng = system.restart(8)
    for end in (lambda: system.wait(2000), system.abort, system.init):
        system.dut.set(mutant=1, halt_out=1)
        assert system.start_job(system.draw(rng)) == 0
        system.dut.clock(2 * WATCHDOG)
        assert system.poll() == RUNNING
        assert end() == (0 if end == system.init else STUCK)
        assert system.poll() == (0 if end == system.init else STUCK)
        system.dut.set(mutant=0, halt_out=0)
        system.check_good(rng)


def test_reset_ends_a_job_at_any_cycle(system):
    rng = system.restart(9)
    for bus in system.dut.buses.values():
        bus.set(withdraw=True)
    for cycles in range(0, 120, 3):
        job = system.draw(rng, shape=(6, 20))
        before = system.memory.snapshot()
        assert system.start_job(job) == 0
        system.dut.clock(cycles)
        system.reset()
        assert system.poll() == -Status.ABORTED
        assert set(system.memory.changed(before)) <= set(job.output_bytes())
        system.check_good(rng)


def test_window_and_its_lock(system):
    rng = system.restart(10)
    assert not system.window_locked()
    half = BASE + SIZE // 2
    assert system.set_window(half, BASE + SIZE - 1) == 0
    assert system.lock_window() == 0 and system.window_locked()
    for window in ((0, TOP), (BASE, half), (TOP, 0)):
        assert system.set_window(*window) == LOCKED

    def check():
        for address, code in ((half, 0), (half - 4, -Status.OUT_OF_WINDOW)):
            job = system.draw(rng, op="softmax", shape=(2, 12))
            job.src, job.dst = address, half + 512
            job.store(system.memory)
            assert system.run(job) == code

    check()
    # Not past the driver, not with resets of the core.
    for name, value in (("window_base", 0), ("window_limit", TOP), ("window_lock", 0)):
        system.dut.write(name, value)
    system.reset()
    assert system.init() == 0 and system.window_locked() and system.set_window(0, TOP) == LOCKED
    assert [system.dut.read(name) for name in ("window_base", "window_limit", "window_lock")] == [
        half, BASE + SIZE - 1, 1]
    check()
    # But with the SoC.
    system.dut.reset()
    assert not system.window_locked() and system.set_window(BASE, TOP) == 0
    assert system.dut.read("window_base") == BASE
    assert system.init() == 0
    system.check_good(rng)


def test_parameters_that_fit_no_register(system):
    rng = system.restart(11)
    job = system.draw(rng, op="layernorm", affine=None)
    for changes in ({"eps": 1 << c.EPS_BITS}, {"beta_shift": 16}, {"gamma": BASE}):
        assert system.run(job, **changes) == BAD_PARAMETER
    system.check_good(rng)


def test_soc_without_the_core(tmp_path):
    library, _ = build(tmp_path, False)
    job = host.Job()
    for name in ("softmax", "layernorm", "rmsnorm"):
        assert getattr(library, f"litenorm_{name}")(ctypes.byref(job)) == NO_CORE
    assert library.litenorm_init() == library.litenorm_poll() == library.litenorm_abort() == NO_CORE
    assert library.litenorm_start(0, ctypes.byref(job)) == library.litenorm_wait(1) == NO_CORE
    assert library.litenorm_set_window(0, 0) == library.litenorm_lock_window() == NO_CORE
    assert library.litenorm_window_locked() == 0
    library.litenorm_reset()
