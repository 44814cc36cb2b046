# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The whole peripheral, with the real core, through its registers: results are the model's, bit for bit.

On the generated Verilog against a memory with stalls, errors and canaries; behind LiteX's own interconnect; and
elaborated in LiteX SoCs.
"""

import functools
import itertools
import re
import zlib

import numpy as np
import pytest
from litex.build.generic_platform import CRG, Pins
from litex.build.sim import SimPlatform
from litex.gen import LiteXModule
from litex.soc.integration import export
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect import wishbone
from migen import Signal

from litenorm.accel import LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.status import STATUS_BITS, Status
from litenorm.sim.csr import CsrDut
from litenorm.sim.jobs import Job, program, random_job, start
from litenorm.sim.verilated import Stall
from litenorm.sim.wishbone import Memory
from litenorm.soc import add_litenorm
from litenorm.soc.integration import constants
from litenorm.soc.job import JOBS_WAITING
from litenorm.soc.peripheral import MAGIC, PENDING, RESULTS, LiteNormPeripheral

BASE = 0x4000_0000
SIZE = 1 << 16
TIMEOUT = 500
LANES = (1, 2, 4, 8, 16)
DONE, ERROR = 1, 2  # bits of the events


class Bench:
    """A peripheral, its memory, and the checks that go with each job."""

    def __init__(self, **config):
        self.config = LiteNormConfig(**config)
        self.memory = Memory(BASE, SIZE)
        dut = LiteNormPeripheral(self.config, bus_timeout=TIMEOUT)
        self.dut = CsrDut(dut, outputs={"irq": dut.ev.irq}, memory=self.memory, name="litenorm",
                          buses={"read": dut.read_bus, "write": dut.write_bus})
        self.restart(0)

    def restart(self, seed):
        self.dut.power_up(seed)
        self.quiet()
        self.dut.write("ev_enable", DONE | ERROR)
        self.dut.write("window_base", BASE)
        self.dut.write("window_limit", BASE + SIZE - 1)

    def quiet(self):
        for bus in self.dut.buses.values():
            bus.set(latency=1, stall=0.0, bursting=True, errors=[], dead=[], error_beats=[], readable=[], writable=[])

    def stall(self, rng):
        for bus in self.dut.buses.values():
            bus.set(latency=int(rng.integers(0, 4)), stall=[0.0, 0.3, Stall(0.05, burst=30)][rng.integers(0, 3)],
                    bursting=bool(rng.integers(0, 2)))

    def wait(self, expected, max_cycles=200_000):
        """Wait for the interrupt; it must be the one that goes with the status. Returns the status' fields."""
        if not self.dut.get("irq"):
            self.dut.run_until("irq", max_cycles)
        self.dut.clock(50)
        status = self.dut.read_fields("status")
        assert Status(status["code"]) == expected
        assert not status["busy"]
        assert self.dut.read("ev_pending") == (DONE if expected == Status.OK else ERROR)
        self.dut.write("ev_pending", DONE | ERROR)
        self.dut.clock(2)
        assert not self.dut.get("irq")
        return status

    def until_idle(self):
        """Wait until no job runs or waits."""
        for _ in range(1000):
            self.dut.clock(100)
            if not self.dut.read_fields("status")["busy"]:
                return
        raise AssertionError("busy for 100,000 cycles")

    def check_good(self, job):
        """Run a good job: the model's codes at the destination, and nothing else changed."""
        job.store(self.memory)
        before = self.memory.snapshot()
        start(self.dut, job)
        status = self.wait(Status.OK)
        assert self.dut.read("rows_done") == len(job.rows)
        got, expected = job.output(self.memory), job.expected(self.config)
        bad = np.argwhere(got != expected)
        assert not len(bad), f"{len(bad)} wrong, first {bad[0]}: {got[tuple(bad[0])]}, not {expected[tuple(bad[0])]}"
        assert set(self.memory.changed(before)) <= set(job.output_bytes()), "bytes changed outside of the destination"
        return status


@functools.cache
def bench(**config):
    return Bench(**config)


def fresh(*case, **config):
    """A bench as after power-up, and a generator whose seed is printed."""
    seed = zlib.crc32(repr((case, config)).encode())
    print("seed", seed)
    b = bench(**config)
    b.restart(seed)
    return b, np.random.default_rng(seed)


# Whole jobs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", LANES)
def test_random_jobs_under_random_stalls(lanes):
    b, rng = fresh("random", lanes=lanes, max_length=256)
    for _ in range(60):
        b.stall(rng)
        b.check_good(random_job(rng, b.config, b.memory, max_rows=6))


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("input_", c.INPUTS)
def test_every_op_format_and_output(lanes, input_):
    b, rng = fresh("all", input_, lanes=lanes, max_length=256)
    for length in (1, 5, 64, 255):
        shape = (3, length)
        for fmt in FORMATS:
            b.check_good(random_job(rng, b.config, b.memory, op="softmax", fmt=fmt, input=input_, shape=shape))
        for op, affine in itertools.product(("layernorm", "rmsnorm"), (None, "s8", "s16")):
            chosen = {} if affine else {"affine": None}
            job = random_job(rng, b.config, b.memory, op=op, input=input_, shape=shape, **chosen)
            while affine and (job.affine is None or job.affine.out != affine):
                job = random_job(rng, b.config, b.memory, op=op, input=input_, shape=shape)
            b.check_good(job)


def test_longest_rows_of_the_default_core():
    b, rng = fresh("longest")
    for op, length in itertools.product(c.OPS, (1023, 1024)):
        b.check_good(random_job(rng, b.config, b.memory, op=op, shape=(4, length)))


def test_causal_attention_of_several_heads_is_one_job():
    b, rng = fresh("attention")
    heads, n = 3, 24
    b.check_good(random_job(rng, b.config, b.memory, op="softmax", fmt="u16_q15", shape=(heads * n, n),
                            mask=(1, 1, n)))
    b.check_good(random_job(rng, b.config, b.memory, op="softmax", fmt="tfl_s8", shape=(heads * n, n),
                            mask=(17, 0, 0)))


def test_jobs_of_one_kind_after_another():
    """Nothing of a job is left over for the next one."""
    b, rng = fresh("mixed")
    for _ in range(40):
        b.check_good(random_job(rng, b.config, b.memory, max_rows=3, max_length=64))


def test_in_place():
    b, rng = fresh("in place")
    job = random_job(rng, b.config, b.memory, op="softmax", fmt="tfl_s8", input="s8", shape=(20, 50), src_stride=0,
                     dst_stride=0)
    job.dst = job.src
    b.check_good(job)


# Bad jobs --------------------------------------------------------------------------------------------

BAD_JOBS = {
    "op": ({"mode": 3}, Status.BAD_OP),
    "affine_softmax": ({"mode": 1 << 6}, Status.BAD_OP),
    "format": ({"mode": 5 << 3}, Status.BAD_FORMAT),
    "length_zero": ({"length": 0}, Status.BAD_LENGTH),
    "length_above_max": ({"length": 1025}, Status.BAD_LENGTH),
    "length_beyond_16_bits": ({"length": 0x10008}, Status.BAD_LENGTH),
    "rows_zero": ({"rows": 0}, Status.BAD_ROWS),
    "src_unaligned": ({"src": BASE + 1}, Status.BAD_ALIGNMENT),
    "dst_unaligned": ({"dst": BASE + 2}, Status.BAD_ALIGNMENT),
    "src_stride_unaligned": ({"src_stride": 30}, Status.BAD_ALIGNMENT),
    "dst_stride_unaligned": ({"dst_stride": 33}, Status.BAD_ALIGNMENT),
    "src_outside": ({"src": BASE - 4}, Status.OUT_OF_WINDOW),
    "dst_outside": ({"dst": BASE + SIZE}, Status.OUT_OF_WINDOW),
    "window_empty": ({"window_limit": BASE - 1}, Status.OUT_OF_WINDOW),
}


@pytest.mark.parametrize("case", BAD_JOBS)
def test_bad_job_raises_the_error_interrupt_and_the_next_one_runs(case):
    changes, code = BAD_JOBS[case]
    b, rng = fresh(case)
    for _ in range(2):
        job = random_job(rng, b.config, b.memory, op="softmax", fmt="u8_255", shape=(3, 24))
        job.store(b.memory)
        before = b.memory.snapshot()
        program(b.dut, job)
        for register, value in changes.items():
            b.dut.write(register, value)
        b.dut.write("control", start=1)
        b.wait(code)
        assert len(b.memory.changed(before)) == 0
        b.dut.write("window_limit", BASE + SIZE - 1)
        b.check_good(random_job(rng, b.config, b.memory, max_length=64))


@pytest.mark.parametrize("bus", ["read", "write"])
def test_bus_errors_and_timeouts(bus):
    b, rng = fresh("bus", bus)
    for _ in range(12):
        job = random_job(rng, b.config, b.memory, max_rows=5, max_length=100)
        address = int(rng.choice(job.row_addresses("src" if bus == "read" else "dst")))
        job.store(b.memory)
        before = b.memory.snapshot()
        for fault, code in (("errors", Status.BUS_ERROR), ("dead", Status.BUS_TIMEOUT)):
            b.stall(rng)
            b.dut.buses[bus].set(**{fault: [(address, address + 3)]})
            start(b.dut, job)
            b.wait(code)
            b.quiet()
            assert set(b.memory.changed(before)) <= set(job.output_bytes())
        b.check_good(random_job(rng, b.config, b.memory, max_length=64))


@pytest.mark.parametrize("op", c.OPS)
def test_abort_at_random_cycles(op):
    b, rng = fresh("abort", op)
    for _ in range(60):
        job = random_job(rng, b.config, b.memory, op=op, shape=(4, int(rng.integers(1, 80))))
        b.stall(rng)
        job.store(b.memory)
        before = b.memory.snapshot()
        start(b.dut, job)
        b.dut.clock(int(rng.integers(0, 300)))
        ended = b.dut.get("irq")
        b.dut.write("control", abort=1)
        if not ended:
            if not b.dut.get("irq"):
                b.dut.run_until("irq", 2000)
            # An abort in the job's last cycles comes too late.
            code = Status(b.dut.read_fields("status")["code"])
            assert code in (Status.ABORTED, Status.OK)
        b.wait(Status.OK if ended else code)
        rows = b.dut.read("rows_done")
        assert np.array_equal(job.output(b.memory)[:rows], job.expected(b.config)[:rows])
        assert set(b.memory.changed(before)) <= set(job.output_bytes())
        b.check_good(random_job(rng, b.config, b.memory, max_rows=3, max_length=40))


def test_reset_in_the_middle_of_a_job():
    b, rng = fresh("reset")
    for _ in range(20):
        job = random_job(rng, b.config, b.memory, shape=(4, int(rng.integers(1, 80))))
        job.store(b.memory)
        start(b.dut, job)
        b.dut.clock(int(rng.integers(0, 300)))
        b.dut.reset()
        assert not b.dut.read_fields("status")["busy"] and b.dut.read("ev_pending") == 0
        b.dut.write("ev_enable", DONE | ERROR)
        b.check_good(random_job(rng, b.config, b.memory, max_rows=3, max_length=40))


# Registers -------------------------------------------------------------------------------------------


def test_start_is_rejected_and_seen_when_the_queue_is_full():
    b, rng = fresh("busy")
    job = random_job(rng, b.config, b.memory, op="softmax", shape=(8, 64))
    job.store(b.memory)
    for _ in range(1 + JOBS_WAITING):
        assert not b.dut.read_fields("status")["full"]
        start(b.dut, job)
        b.dut.clock(2)
    # Registers may be written for the next job while others run and wait.
    b.dut.write("src", BASE + 4)
    b.dut.write("length", 3)
    b.dut.write("control", start=1)
    b.dut.clock(2)
    status = b.dut.read_fields("status")
    assert status["busy"] and status["full"] and status["rejected"]
    b.until_idle()
    status = b.dut.read_fields("status")
    assert status["code"] == Status.OK and status["ended"] == 1 + JOBS_WAITING
    assert b.dut.read("ev_pending") == DONE
    assert np.array_equal(job.output(b.memory), job.expected(b.config))
    assert b.dut.read("rows_done") == 8
    b.dut.write("ev_pending", DONE)
    assert not b.check_good(random_job(rng, b.config, b.memory))["rejected"]


def test_results_by_ticket():
    """A wrong job ends those that wait behind it; one that comes later runs. Tickets go round."""
    b, rng = fresh("tickets")
    first = b.dut.read_fields("status")["ended"]
    for ticket in range(first, first + 300, 4):
        good, bad = (random_job(rng, b.config, b.memory, op="softmax", shape=(4, 60)) for _ in range(2))
        bad.rows = bad.rows[:0]
        good.store(b.memory)
        for job in (good, bad, good, good):
            start(b.dut, job)
        b.until_idle()
        codes = b.dut.read("codes")
        results = [codes >> STATUS_BITS * ((ticket + k) % RESULTS) & 15 for k in range(4)]
        assert results == [Status.OK, Status.BAD_ROWS, Status.SKIPPED, Status.SKIPPED]
        assert codes >> STATUS_BITS * ((ticket + 4) % RESULTS) & 15 == PENDING  # the next one's: no older result
        status = b.dut.read_fields("status")
        assert status["code"] == Status.SKIPPED and status["ended"] == status["started"] == (ticket + 4) % 256
        assert b.dut.read("ev_pending") == DONE | ERROR
        b.dut.write("ev_pending", DONE | ERROR)


def test_abort_wins_over_start_and_is_ignored_when_idle():
    b, rng = fresh("abort and start")
    program(b.dut, random_job(rng, b.config, b.memory))
    b.dut.write("control", start=1, abort=1)
    b.dut.write("control", abort=1)
    b.dut.clock(500)
    assert b.dut.read("ev_pending") == 0 and not b.dut.read_fields("status")["busy"]
    b.check_good(random_job(rng, b.config, b.memory))


def test_constant_row_is_reported():
    b, rng = fresh("constant")
    job = random_job(rng, b.config, b.memory, op="layernorm", shape=(3, 16), mask=(0, 0, 0))
    job.rows = rng.integers(-100, 100, job.rows.shape)
    assert b.check_good(job)["constant_row"] == 0
    job.rows[1] = 7
    assert b.check_good(job)["constant_row"] == 1
    assert b.check_good(random_job(rng, b.config, b.memory, op="softmax"))["constant_row"] == 0


def test_interrupts_are_masked_by_enable():
    b, rng = fresh("enable")
    b.dut.write("ev_enable", ERROR)
    job = random_job(rng, b.config, b.memory, shape=(2, 16))
    job.store(b.memory)
    start(b.dut, job)
    b.dut.clock(2000)
    assert not b.dut.get("irq") and b.dut.read("ev_pending") == DONE
    b.dut.write("ev_enable", DONE)
    b.dut.settle()
    assert b.dut.get("irq")


def test_capabilities():
    b, _ = fresh("capabilities")
    assert b.dut.read_fields("id")["magic"] == MAGIC
    assert b.dut.read_fields("capability") == {"lanes": 4, "ops": 7, "inputs": 3, "affine": 1, "formats": 31}
    assert b.dut.read_fields("limits") == {"max_length": 1024, "bus_bytes": 4}
    small = Bench(lanes=2, max_length=128, ops=("softmax",), formats=("tfl_s8", "u16_q15"), inputs=("s8",))
    assert small.dut.read_fields("capability") == {"lanes": 2, "ops": 1, "inputs": 1, "affine": 0, "formats": 0b110}
    rng = np.random.default_rng(1)
    for _ in range(5):
        small.check_good(random_job(rng, small.config, small.memory))


def test_window_is_read_only_once_it_is_locked():
    b, rng = fresh("lock")
    half = BASE + SIZE // 2
    assert b.dut.read_fields("window_lock") == {"lock": 0}
    b.dut.write("window_lock", lock=0)
    b.dut.write("window_base", half)
    b.dut.write("window_lock", lock=1)
    job = random_job(rng, b.config, b.memory, op="softmax", shape=(2, 8), fmt="u8_255", input="s8", dst_stride=0,
                     src_stride=0)

    def check():
        for name, value in (("window_base", 0), ("window_limit", 2**32 - 1), ("window_lock", 0)):
            b.dut.write(name, value)
        assert b.dut.read("window_base") == half and b.dut.read("window_limit") == BASE + SIZE - 1
        assert b.dut.read_fields("window_lock") == {"lock": 1}
        job.src, job.dst = half, half + 64
        b.check_good(job)
        for name in ("src", "dst"):
            setattr(job, name, half - 4)
            job.store(b.memory)
            start(b.dut, job)
            b.wait(Status.OUT_OF_WINDOW)
            job.src, job.dst = half, half + 64

    check()
    b.dut.write("control", reset=1)
    check()
    b.dut.reset()
    assert b.dut.read_fields("window_lock") == {"lock": 0}
    assert b.dut.read("window_base") == 0 and b.dut.read("window_limit") == 2**32 - 1


def test_window_of_a_job_is_that_of_its_start():
    """Also when the registers are written in the very next cycle."""
    b, rng = fresh("window at start")
    for name, value in (("window_base", 2**32 - 1), ("window_limit", 0)):
        job = random_job(rng, b.config, b.memory, shape=(3, 20))
        job.store(b.memory)
        start(b.dut, job)
        b.dut.write(name, value)
        b.wait(Status.OK)
        assert np.array_equal(job.output(b.memory), job.expected(b.config))
        start(b.dut, job)
        b.wait(Status.OUT_OF_WINDOW)
        b.dut.write("window_base", BASE)
        b.dut.write("window_limit", BASE + SIZE - 1)


@pytest.mark.parametrize("stage", ["gamma", "beta", "src", "dst"])
@pytest.mark.parametrize("fault,code", [("errors", Status.BUS_ERROR), ("dead", Status.BUS_TIMEOUT)])
def test_bus_that_fails_in_each_stage(stage, fault, code):
    b, rng = fresh("stage", stage, fault)
    affine = Affine(*rng.integers(-100, 100, (2, 30)), 10, 3)
    job = random_job(rng, b.config, b.memory, op="layernorm", shape=(3, 30), affine=affine)
    address = getattr(job, stage) + 4 * int(rng.integers(0, 7))
    b.dut.buses["write" if stage == "dst" else "read"].set(**{fault: [(address, address + 3)]})
    job.store(b.memory)
    start(b.dut, job)
    b.wait(code)
    b.quiet()
    b.check_good(job)


def test_soft_reset_at_every_cycle_of_a_job():
    b, rng = fresh("soft reset")
    job = random_job(rng, b.config, b.memory, op="layernorm", shape=(3, 24))
    cycles = b.check_good(job) and b.dut.read("cycles")
    for after in range(0, cycles + 6, 2):
        b.stall(rng)
        for bus in b.dut.buses.values():
            bus.set(withdraw=True)
        job.store(b.memory)
        before = b.memory.snapshot()
        start(b.dut, job)
        b.dut.clock(after)
        ended = b.dut.get("irq")
        b.dut.write("control", reset=1, start=1, abort=1)
        b.dut.clock(2)
        assert b.dut.get("irq") and not b.dut.get("read_cyc") and not b.dut.get("write_cyc")
        b.wait(Status.OK if ended else Status.ABORTED)
        assert b.dut.read("rows_done") == b.dut.read("cycles") == 0
        assert set(b.memory.changed(before)) <= set(job.output_bytes())
        b.quiet()
        b.check_good(random_job(rng, b.config, b.memory, max_rows=3, max_length=40))


def test_start_is_seen_as_busy_by_the_next_access():
    b, rng = fresh("busy at once")
    job = random_job(rng, b.config, b.memory, shape=(2, 8))
    job.store(b.memory)
    start(b.dut, job)
    assert b.dut.read_fields("status")["busy"]
    b.wait(Status.OK)


def test_watchdog_is_above_the_bus_timeout():
    with pytest.raises(ValueError, match="watchdog_cycles is 500; good: more than bus_timeout, 500"):
        LiteNormPeripheral(LiteNormConfig(), bus_timeout=500, watchdog_cycles=500)
    assert LiteNormPeripheral(LiteNormConfig(), bus_timeout=500).watchdog_cycles == 500 + 64 * 1024 + 4096
    peripheral = add_litenorm(make_soc(), watchdog_cycles=100_000)
    assert constants(peripheral)["WATCHDOG_CYCLES"] == 100_000 and constants(peripheral)["BUS_TIMEOUT"] == 65536


# Behind LiteX's interconnect -------------------------------------------------------------------------


class LiteXBench(LiteXModule):
    """The peripheral and an SRAM on LiteX's shared interconnect, as in an SoC, and a third master to look at it."""

    def __init__(self, init, bus_timeout, interconnect_timeout, bursting=True):
        self.litenorm = LiteNormPeripheral(LiteNormConfig(), bus_timeout=bus_timeout, bursting=bursting)
        self.ram = wishbone.SRAM(4 * len(init), init=init, bus=wishbone.Interface(bursting=bursting))
        self.probe = wishbone.Interface()
        self.interconnect = wishbone.InterconnectShared(
            [self.probe, self.litenorm.read_bus, self.litenorm.write_bus],
            [(lambda address: address[18:] == BASE >> 20, self.ram.bus)],
            register=True, timeout_cycles=interconnect_timeout)
        self.comb += self.litenorm.bus_fault.eq(self.interconnect.timeout.error)

    def get_csrs(self):
        return self.litenorm.get_csrs()


class LiteXHarness:
    def __init__(self, bus_timeout=10_000, interconnect_timeout=1_000, bursting=True):
        words = np.random.default_rng(5).integers(0, 1 << 32, 1 << 15, dtype=np.uint64)
        self.bytes = words.astype("<u4").view(np.uint8)
        module = LiteXBench([int(word) for word in words], bus_timeout, interconnect_timeout, bursting)
        probe = module.probe
        self.dut = CsrDut(module, {"adr": probe.adr, "cyc": probe.cyc, "stb": probe.stb},
                          {"ack": probe.ack, "dat_r": probe.dat_r, "irq": module.litenorm.ev.irq}, name="behind_litex")
        self.dut.write("ev_enable", DONE | ERROR)

    def run(self, job, **changes):
        start(self.dut, job) if not changes else program(self.dut, job)
        for register, value in changes.items():
            self.dut.write(register, value)
        if changes:
            self.dut.write("control", start=1)
        self.dut.run_until("irq")
        self.dut.write("ev_pending", DONE | ERROR)
        self.dut.clock(2)
        return Status(self.dut.read_fields("status")["code"]), self.dut.read("cycles")

    def read(self, address, count):
        """Words from the SRAM through the interconnect, as bytes."""
        out = np.zeros(count, "<u4")
        for i in range(count):
            self.dut.set(adr=address // 4 + i, cyc=1, stb=1)
            self.dut.run_until("ack")
            out[i] = self.dut.get("dat_r")
            self.dut.set(cyc=0, stb=0)
            self.dut.clock()
        return out.view(np.uint8)

    def job(self, op, rows, length, fmt="u8_255"):
        """A job on the SRAM's first rows as they are, s8, packed."""
        stride = -(-length // 4) * 4
        values = self.bytes[: rows * stride].view(np.int8).reshape(rows, stride)[:, :length]
        return Job(op, values, BASE, BASE + SIZE, fmt=fmt)


@functools.cache
def litex_harness(**options):
    return LiteXHarness(**options)


def test_batch_fills_the_bursting_bus():
    """N = 256, s8 in, 8 bits out, 64 rows: at least 0.95 words per cycle, read and write together."""
    harness = litex_harness()
    job = harness.job("softmax", 64, 256)
    code, cycles = harness.run(job)
    assert code == Status.OK
    words_per_cycle = 2 * 64 * 64 / cycles
    print("words per cycle", words_per_cycle)
    assert words_per_cycle >= 0.95
    expected = job.expected(LiteNormConfig())
    assert np.array_equal(harness.read(job.dst, 64 * 64), expected.reshape(-1).view(np.uint8))


def test_same_job_on_a_bus_without_bursts():
    harness = litex_harness(bursting=False)
    job = harness.job("softmax", 4, 101, "u16_q15")
    assert harness.run(job)[0] == Status.OK
    out = harness.read(job.dst, 4 * 51).view("<u2").reshape(4, 102)[:, :101]
    assert np.array_equal(out, job.expected(LiteNormConfig()))


@pytest.mark.parametrize("own,interconnects", [(400, 1_000), (10_000, 1_000)])
def test_unmapped_address_is_a_timeout(own, interconnects):
    """LiteX's interconnect answers for nobody after its own timeout, with an ack: no data may be taken from it."""
    harness = litex_harness(bus_timeout=own, interconnect_timeout=interconnects)
    job = harness.job("softmax", 2, 64)
    for register in ("src", "dst"):
        code, cycles = harness.run(job, **{register: 0x1000_0000})
        assert code == Status.BUS_TIMEOUT
        assert cycles >= min(own, interconnects)
        assert harness.run(job)[0] == Status.OK


# In LiteX SoCs ---------------------------------------------------------------------------------------


def make_soc(**options):
    """A SoC as a user writes it, not finalized."""
    platform = SimPlatform("SIM", [("sys_clk", 0, Pins(1))])
    options = {"cpu_type": "vexriscv", "cpu_variant": "standard", "integrated_rom_size": 0x8000,
               "integrated_main_ram_size": 0x1000, "with_uart": False, "bus_bursting": True, **options}
    soc = SoCCore(platform, int(1e6), **options)
    soc.crg = CRG(platform.request("sys_clk"))
    return soc


def headers(soc):
    soc.finalize()
    csr = export.get_csr_header(soc.csr.regions, soc.constants, csr_base=soc.mem_regions["csr"].origin)
    return csr, export.get_soc_header(soc.constants)


def test_three_lines_in_a_target_give_registers_interrupt_and_constants():
    soc = make_soc()
    peripheral = add_litenorm(soc)
    csr, constants_ = headers(soc)
    for name in ("control", "src", "dst", "src_stride", "dst_stride", "rows", "length", "mode", "scale", "eps", "gamma",
                 "beta", "affine", "mask_base", "mask_increment", "mask_period", "window_base", "window_limit",
                 "window_lock", "ev_pending", "ev_enable"):
        assert f"void litenorm_{name}_write(" in csr, name
    for name in ("status", "rows_done", "cycles", "id", "capability", "limits", "ev_pending"):
        assert f" litenorm_{name}_read(void)" in csr, name
    assert "uint64_t litenorm_eps_read(void)" in csr
    assert "#define CSR_LITENORM_BASE" in csr
    for register, field, offset, size in (
            ("CONTROL", "START", 0, 1), ("CONTROL", "ABORT", 1, 1), ("CONTROL", "RESET", 2, 1),
            ("WINDOW_LOCK", "LOCK", 0, 1), ("STATUS", "BUSY", 0, 1), ("STATUS", "CODE", 1, 4),
            ("MODE", "OP", 0, 2), ("MODE", "INPUT", 2, 1), ("MODE", "FORMAT", 3, 3), ("MODE", "AFFINE", 6, 1),
            ("MODE", "OUTPUT", 7, 1), ("SCALE", "MULTIPLIER", 0, 16), ("SCALE", "SHIFT", 16, 5),
            ("AFFINE", "SHIFT", 0, 5), ("AFFINE", "BETA_SHIFT", 5, 4)):
        assert f"#define CSR_LITENORM_{register}_{field}_OFFSET {offset}\n" in csr
        assert f"#define CSR_LITENORM_{register}_{field}_SIZE {size}\n" in csr
    for key, value in constants(peripheral).items():
        assert f"#define LITENORM_{key} {value}\n" in constants_
    assert re.search(r"#define LITENORM_INTERRUPT \d+\n", constants_)


def test_no_accessor_of_the_headers_is_defined_twice():
    """soc.h and csr.h are included together, and LiteX writes read functions into both."""
    soc = make_soc()
    add_litenorm(soc)
    functions = re.findall(r"static inline [\w ]*?\b(litenorm_\w+)\(", "".join(headers(soc)))
    assert len(functions) == len(set(functions))


def test_two_cores_in_one_soc():
    soc = make_soc()
    add_litenorm(soc)
    add_litenorm(soc, name="norm2", config=LiteNormConfig(lanes=2, ops=("layernorm",)))
    csr, constants_ = headers(soc)
    assert "void norm2_src_write(" in csr and "#define NORM2_LANES 2\n" in constants_


@pytest.mark.parametrize("options", [{"cpu_type": None, "integrated_rom_size": 0}, {"bus_bursting": False},
                                     {"bus_data_width": 64}, {"with_ctrl": False}, {"bus_timeout": None},
                                     {"bus_interconnect": "crossbar"}])
def test_socs_it_can_be_added_to(options):
    soc = make_soc(**options)
    peripheral = add_litenorm(soc)
    soc.finalize()
    assert peripheral.data_width == soc.bus.data_width
    assert peripheral.engine.reader.burster.timer.done is not None


def test_own_timeout_is_shorter_than_the_socs():
    soc = make_soc(bus_timeout=1000)
    peripheral = add_litenorm(soc)
    assert peripheral.bus_timeout == 500
    assert add_litenorm(make_soc()).bus_timeout == 65536
    assert add_litenorm(make_soc(), bus_timeout=77).bus_timeout == 77


def test_bus_that_is_not_wishbone_is_refused():
    with pytest.raises(ValueError, match="bus_standard='wishbone'"):
        add_litenorm(make_soc(bus_standard="axi-lite", bus_bursting=False))
    with pytest.raises(ValueError, match="32, 64 or 128"):
        add_litenorm(make_soc(bus_data_width=256))


# The checks above can fail ----------------------------------------------------------------------------


def test_planted_fault_is_found():
    """A stuck lane of the core's output is seen by a whole job."""
    b = Bench.__new__(Bench)
    b.config = LiteNormConfig(max_length=64)
    b.memory = Memory(BASE, SIZE)
    dut = LiteNormPeripheral(b.config, bus_timeout=TIMEOUT)
    stuck = Signal()
    dut.engine.pack.comb += stuck.eq(1), dut.engine.pack.sink.data[3].eq(stuck)
    b.dut = CsrDut(dut, outputs={"irq": dut.ev.irq}, memory=b.memory, buses={"read": dut.read_bus,
                                                                               "write": dut.write_bus})
    b.restart(0)
    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError, match="wrong"):
        for _ in range(5):
            b.check_good(random_job(rng, b.config, b.memory))
