# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The serial back end in the peripheral: jobs, what is refused, and add_litenorm."""

import functools
import zlib

import numpy as np
import pytest
from litex.build.generic_platform import Pins
from litex.build.sim import SimPlatform
from litex.soc.integration.soc_core import SoCCore

from litenorm.accel import LiteNormConfig
from litenorm.accel.serial.core import SerialLiteNorm
from litenorm.accel.status import Status
from litenorm.sim.csr import CsrDut
from litenorm.sim.jobs import random_job, start
from litenorm.sim.wishbone import Memory
from litenorm.soc import add_litenorm
from litenorm.soc.peripheral import LiteNormPeripheral

BASE, SIZE = 0x4000_0000, 1 << 14
CONFIGS = {
    "softmax_area": dict(ops="softmax", size="area", formats=("u8_255", "tfl_s8")),
    "softmax_balanced": dict(ops="softmax", size="balanced", formats=("u8_255", "tfl_s8")),
    "norm_area": dict(ops=("layernorm", "rmsnorm"), size="area"),
    "norm_balanced": dict(ops=("layernorm", "rmsnorm"), size="balanced"),
    "softmax_wide": dict(ops="softmax", size="balanced", formats=("u16_q15", "tfl_s16", "u16_65535")),
    "all_area": dict(size="area", formats=("u8_255", "tfl_s8")),
    "all_balanced_eps": dict(size="balanced", eps=True),
    "without_masks": dict(ops="softmax", size="balanced", masks=False),
}
JOBS_WAITING = {"softmax_area": 0, "softmax_balanced": 1}


def config_of(name):
    return LiteNormConfig(backend="serial", max_length=48, **CONFIGS[name])


def seed_of(*case):
    seed = zlib.crc32(repr(case).encode()) >> 1
    print("seed", seed)
    return seed


@functools.cache
def peripheral_dut(name):
    peripheral = LiteNormPeripheral(config_of(name), bus_timeout=500, jobs_waiting=JOBS_WAITING.get(name, 4))
    memory = Memory(BASE, SIZE)
    dut = CsrDut(peripheral, outputs={"irq": peripheral.ev.irq}, memory=memory, name=f"litenorm_{name}",
                 buses={"read": peripheral.read_bus, "write": peripheral.write_bus})
    dut.write("ev_enable", 3)
    dut.write("window_base", BASE)
    dut.write("window_limit", BASE + SIZE - 1)
    return dut, memory


def run_job(dut, job):
    start(dut, job)
    dut.run_until("irq", 10_000_000)
    dut.write("ev_pending", 3)
    return Status(dut.read_fields("status")["code"])


@pytest.mark.parametrize("name", CONFIGS)
def test_jobs_of_the_peripheral(name):
    """Random jobs with masks, strides and stalls: codes are the model's, and no other byte has changed."""
    seed = seed_of("jobs", name)
    (dut, memory), rng = peripheral_dut(name), np.random.default_rng(seed)
    config = config_of(name)
    for _ in range(6 if "area" in name else 25):
        for bus in dut.buses.values():
            bus.set(latency=int(rng.integers(0, 4)), stall=float(rng.choice([0.0, 0.3])))
        job = random_job(rng, config, memory, max_rows=4)
        job.store(memory)
        before = memory.snapshot()
        assert run_job(dut, job) == Status.OK
        assert np.array_equal(job.output(memory), job.expected(config))
        assert set(memory.changed(before)) <= set(job.output_bytes())


@pytest.mark.parametrize("name", ["softmax_area", "softmax_balanced", "softmax_wide"])
def test_as_many_jobs_wait_as_there_are_places(name):
    """The next start is rejected, what waits is the same job, and each has its result."""
    (dut, memory), rng = peripheral_dut(name), np.random.default_rng(seed_of("places", name))
    job = random_job(rng, config_of(name), memory, shape=(2, 40))
    job.store(memory)
    places = 1 + JOBS_WAITING.get(name, 4)
    ended = dut.read_fields("status")["ended"]
    for _ in range(places):
        assert not dut.read_fields("status")["full"]
        start(dut, job)
        dut.clock(2)
    start(dut, job)
    dut.clock(2)
    status = dut.read_fields("status")
    assert status["full"] and status["rejected"] and status["busy"]
    while dut.read_fields("status")["busy"]:
        dut.clock(1000)
    status = dut.read_fields("status")
    assert status["ended"] == (ended + places) % 256 and status["code"] == Status.OK
    dut.write("ev_pending", 3)
    assert np.array_equal(job.output(memory), job.expected(config_of(name)))


def test_what_is_not_built_is_refused_by_the_peripheral():
    (dut, memory), rng = peripheral_dut("without_masks"), np.random.default_rng(1)
    config = config_of("without_masks")
    good = random_job(rng, config, memory, shape=(2, 8))
    for field, value, status in (("mask", (3, 0, 0), Status.BAD_OP), ("fmt", "tfl_s8", Status.BAD_FORMAT),
                                 ("op", "layernorm", Status.BAD_OP), ("input", "s16", Status.BAD_OP)):
        job = random_job(rng, config, memory, shape=(2, 8))
        setattr(job, field, value)
        assert run_job(dut, job) == status, field
    good.store(memory)
    assert run_job(dut, good) == Status.OK and np.array_equal(good.output(memory), good.expected(config))


def test_add_litenorm():
    platform = SimPlatform("SIM", [("sys_clk", 0, Pins(1))])
    soc = SoCCore(platform, int(1e6), cpu_type=None, uart_name="stub", integrated_sram_size=0)
    peripheral = add_litenorm(soc, config=LiteNormConfig(backend="serial", ops="softmax"))
    assert isinstance(peripheral.engine.core, SerialLiteNorm)
    soc.finalize()
    assert soc.constants["LITENORM_LANES"] == 1 and soc.constants["LITENORM_SERIAL"] == 1
    assert peripheral.watchdog_cycles > 4000 * 1024
