# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""soc/engine.py with a simple core in place of the real one: what reaches the core, and how jobs end.

The stand-in adds a row's parameters and weights to its elements, so that a wrong parameter, lane, element or weight
shows in memory. It can fail its self-check and lose a beat. Buses stall, answer with errors, or not at all.
"""

import functools
import zlib

import numpy as np
import pytest
from litex.gen import *
from litex.soc.interconnect import stream, wishbone
from migen import *

from litenorm.accel import LiteNormConfig
from litenorm.accel.rows import row_params
from litenorm.accel.status import Status
from litenorm.sim.jobs import random_job
from litenorm.sim.verilated import HangError, SignalDut, Stall
from litenorm.sim.wishbone import Memory as BusMemory
from litenorm.soc.dma import WishboneReader, WishboneWriter
from litenorm.soc.engine import Engine
from litenorm.soc.job import max_row_words

BASE = 0x4000_0000
SIZE = 1 << 14
MAX_LENGTH = 64
TIMEOUT = 200
WATCHDOG = 1000

# Values of eps that make the stand-in misbehave at the end of each row.
FAIL_CHECK = 12345
LOSE_BEAT = 12346
CONSTANT_ROW = 12347
LOSE_ROW = 12348


class StandInCore(LiteXModule):
    """out = x + 3 * length + 5 * scale_multiplier + 7 * gamma + 11 * beta (the latter where affine), modulo 2^16.

    With affine and out_s8 the low 8 bits, sign-extended. Rows wait in a FIFO until they are complete, as in the core.
    """

    def __init__(self, config):
        lanes = config.lanes
        self.sink = sink = stream.Endpoint(
            stream.EndpointDescription([("data", lanes * config.input_bits)], row_params(config)))
        self.weights = weights = stream.Endpoint(
            stream.EndpointDescription([("data", lanes * 16)], [("beta", 1)]))
        self.source = source = stream.Endpoint([("data", lanes * 16)])
        self.row_done = Signal()
        self.row_error = Signal()
        self.constant_row = Signal()

        # # #

        memories = [Memory(16 * lanes, config.max_beats, name=name) for name in ("gamma_values", "beta_values")]
        self.specials += memories
        read = []
        beat = Signal(max=2 * config.max_beats)
        written = Signal(max=2 * config.max_beats)
        for i, memory in enumerate(memories):
            port = memory.get_port(write_capable=True)
            self.specials += port
            self.comb += [
                port.adr.eq(Mux(weights.first, 0, written)),
                port.dat_w.eq(weights.data),
                port.we.eq(weights.valid & (weights.beta == i)),
            ]
            port = memory.get_port(async_read=True)
            self.specials += port
            self.comb += port.adr.eq(beat)
            read.append(port.dat_r)
        self.comb += weights.ready.eq(1)
        self.sync += If(weights.valid, written.eq(Mux(weights.first, 1, written + 1)))

        self.fifo = fifo = stream.SyncFIFO([("data", lanes * 16)], 2 * config.max_beats)
        complete = Signal(8)
        put = Signal()
        took = Signal()
        lose = Signal()
        self.comb += [
            sink.ready.eq(fifo.sink.ready),
            lose.eq((sink.last & (sink.eps == LOSE_BEAT)) | (sink.eps == LOSE_ROW)),
            fifo.sink.valid.eq(sink.valid & ~lose),
            fifo.sink.first.eq(sink.first),
            fifo.sink.last.eq(sink.last),
            put.eq(sink.valid & sink.ready & sink.last),
            took.eq(source.valid & source.ready & source.last),
            fifo.source.connect(source, omit={"valid", "ready"}),
            source.valid.eq(fifo.source.valid & (complete != 0)),
            fifo.source.ready.eq(source.ready & (complete != 0)),
            self.row_done.eq(took),
            self.row_error.eq(put & (sink.eps == FAIL_CHECK)),
            self.constant_row.eq(put & (sink.eps == CONSTANT_ROW)),
        ]
        self.sync += [
            complete.eq(complete + put - took),
            If(sink.valid & sink.ready, beat.eq(Mux(sink.last, 0, beat + 1))),
        ]
        for j in range(lanes):
            x = Signal((config.input_bits, True))
            out = Signal(16)
            add = Signal(16)
            gamma, beta = (data[16 * j : 16 * j + 16] for data in read)
            self.comb += [
                x.eq(sink.data[config.input_bits * j : config.input_bits * (j + 1)]),
                add.eq(3 * sink.length + 5 * sink.scale_multiplier + Mux(sink.affine, 7 * gamma + 11 * beta, 0)),
                out.eq(x + add),
                fifo.sink.data[16 * j : 16 * j + 16].eq(
                    Mux(sink.affine & sink.out_s8, Cat(out[:8], Replicate(out[7], 8)), out)),
            ]


def stand_in_output(job):
    """What the stand-in makes of a job's rows."""
    out = job.rows + 3 * job.lengths()[:, None] + 5 * job.scale.multiplier
    if job.affine is not None:
        out = out + 7 * job.affine.gamma.astype(np.int64) + 11 * job.affine.beta
    return out.astype(job.output_dtype)


class Bench:
    """An engine with the stand-in, its memory and both of its buses."""

    def __init__(self, lanes, data_width=32, bursting=True, planted=None, **config):
        self.config = LiteNormConfig(lanes=lanes, max_length=MAX_LENGTH, **config)
        self.memory = BusMemory(BASE, SIZE)
        words = max_row_words(self.config, data_width)
        buses = {name: wishbone.Interface(data_width=data_width, address_width=32, bursting=bursting)
                 for name in ("read", "write")}
        options = dict(max_words=words, burst_length=8, timeout=TIMEOUT, bursting=bursting)
        reader, writer = WishboneReader(buses["read"], **options), WishboneWriter(buses["write"], **options)
        engine = Engine(self.config, StandInCore(self.config), reader, writer, watchdog_cycles=WATCHDOG)
        more = (planted(engine) if planted else None) or {}  # further inputs
        fields = [name for name, _ in engine.job.description.payload_layout]
        inputs = {"job_valid": engine.job.valid, "abort_job": engine.abort, "result_ready": engine.result.ready,
                  "window_base": engine.window_base, "window_limit": engine.window_limit,
                  **{f"job_{name}": getattr(engine.job, name) for name in fields}, **more}
        outputs = {"result_valid": engine.result.valid, "job_ready": engine.job.ready, "busy": engine.busy,
                   "write_beat": writer.row_done,
                   **{f"result_{name}": getattr(engine.result, name)
                      for name, _ in engine.result.description.payload_layout}}
        self.dut = SignalDut(engine, inputs, outputs, buses=buses, memory=self.memory, name="engine")
        self.restart()

    def restart(self, seed=0):
        self.dut.power_up(seed)
        self.dut.set(result_ready=1, job_valid=0, abort_job=0, window_base=0, window_limit=0xFFFFFFFF)
        for bus in self.dut.buses.values():
            bus.set(latency=1, stall=0.0, bursting=True, errors=[], dead=[], readable=[], writable=[], error_beats=[])

    def random_job(self, rng, **fixed):
        return random_job(rng, self.config, self.memory, word_bytes=self.dut.buses["read"].word_bytes, **fixed)

    def run(self, job, abort_after=None, changes=None, max_cycles=100_000):
        """Run a job to its end and return its result. `changes` overrides registers of the job."""
        dut = self.dut
        registers = {**job.registers(), **(changes or {})}
        dut.set(job_valid=1, **{f"job_{name}": value for name, value in registers.items()})
        if abort_after is not None:
            dut.clock(abort_after)
            dut.set(abort_job=1)
            dut.settle()
            ended = dut.get("result_valid")
            if not ended:
                dut.clock()
            dut.set(abort_job=0)
            dut.settle()
        dut.run_until("result_valid", max_cycles)
        result = {name: dut.get(f"result_{name}") for name in ("code", "rows_done", "constant_row", "cycles")}
        dut.set(job_valid=0)
        dut.clock()
        return result

    def check_good(self, job, **options):
        """Run a good job and compare its output; nothing else may change."""
        job.store(self.memory)
        before = self.memory.snapshot()
        result = self.run(job, **options)
        assert result["code"] == Status.OK
        assert result["rows_done"] == len(job.rows)
        assert np.array_equal(job.output(self.memory), stand_in_output(job))
        assert set(self.memory.changed(before)) <= set(job.output_bytes()), "bytes changed outside of the destination"
        return result

    def check_bad(self, job, code, **options):
        """Run a job that must end with `code`; nothing but its destination may change."""
        job.store(self.memory)
        before = self.memory.snapshot()
        result = self.run(job, **options)
        assert Status(result["code"]) == code
        assert set(self.memory.changed(before)) <= set(job.output_bytes()), "bytes changed outside of the destination"
        return result


@functools.cache
def bench(lanes=4, data_width=32, bursting=True):
    return Bench(lanes, data_width, bursting)


def rng_of(*case):
    """A generator and its seed, which the test prints."""
    seed = zlib.crc32(repr(case).encode())
    print("seed", seed)
    return np.random.default_rng(seed)


def fresh(*case, **which):
    """A bench as after power-up, and a generator."""
    b = bench(**which)
    rng = rng_of(*case, which)
    b.restart(int(rng.integers(1 << 31)))
    return b, rng


def random_stalls(rng):
    return {"latency": int(rng.integers(0, 4)), "stall": [0.0, 0.3, Stall(0.05, burst=30)][rng.integers(0, 3)],
            "bursting": bool(rng.integers(0, 2))}


CASES = [(4, 32, True), (4, 32, False), (1, 32, True), (2, 32, True), (8, 32, True), (16, 32, True), (4, 64, True),
         (16, 128, True)]


@pytest.mark.parametrize("lanes,data_width,bursting", CASES)
def test_random_jobs_under_random_stalls(lanes, data_width, bursting):
    b, rng = fresh("jobs", lanes=lanes, data_width=data_width, bursting=bursting)
    for _ in range(60):
        for bus in b.dut.buses.values():
            bus.set(**random_stalls(rng))
        b.check_good(b.random_job(rng))


def test_every_length_and_type_leaves_bytes_behind_the_row_alone():
    b, rng = fresh("lengths")
    for length in range(1, MAX_LENGTH + 1):
        for input_ in ("s8", "s16"):
            for op, fmt in (("softmax", "u8_255"), ("softmax", "u16_q15"), ("layernorm", "u8_255")):
                b.check_good(b.random_job(rng, op=op, fmt=fmt, input=input_, shape=(2, length)))


def test_masks_of_causal_and_padded_rows():
    b, rng = fresh("masks")
    for mask in ((1, 1, 8), (1, 1, 0), (5, 0, 0), (8, 0, 3), (3, 7, 4), (1, 65535, 2), (20, 65535, 5), (0, 1, 1)):
        b.check_good(b.random_job(rng, mask=mask, shape=(24, 16)))


def test_constant_row_flag_is_of_its_job_only():
    b, rng = fresh("constant")
    for eps, flag in ((0, 0), (CONSTANT_ROW, 1), (0, 0)):
        assert b.check_good(b.random_job(rng, eps=eps))["constant_row"] == flag


def test_cycles_count_from_start_to_end():
    b, rng = fresh("cycles")
    job = b.random_job(rng, shape=(3, 40))
    start = b.dut.cycle
    result = b.check_good(job)
    # The last two cycles are that of the result and one after it.
    assert result["cycles"] == b.dut.cycle - start - 2


BAD_JOBS = {
    "op": ({"op": 3}, Status.BAD_OP),
    "affine_softmax": ({"op": 0, "affine": 1}, Status.BAD_OP),
    "format": ({"op": 0, "affine": 0, "format": 5}, Status.BAD_FORMAT),
    "last_format": ({"op": 0, "affine": 0, "format": 7}, Status.BAD_FORMAT),
    "length_zero": ({"length": 0}, Status.BAD_LENGTH),
    "length_above_max": ({"length": MAX_LENGTH + 1}, Status.BAD_LENGTH),
    "length_far_above_max": ({"length": 0xFFFF}, Status.BAD_LENGTH),
    "rows_zero": ({"rows": 0}, Status.BAD_ROWS),
    **{f"{name}_unaligned_{low}": ({name: BASE + low}, Status.BAD_ALIGNMENT)
       for name in ("src", "dst", "src_stride", "dst_stride") for low in (1, 2, 3)},
    **{f"{name}_unaligned": ({"op": 1, "affine": 1, name: BASE + 2}, Status.BAD_ALIGNMENT)
       for name in ("gamma", "beta")},
    "src_below_window": ({"src": BASE - 4}, Status.OUT_OF_WINDOW),
    "dst_below_window": ({"dst": BASE - 4}, Status.OUT_OF_WINDOW),
    "src_above_window": ({"src": BASE + SIZE}, Status.OUT_OF_WINDOW),
    "dst_above_window": ({"dst": BASE + SIZE}, Status.OUT_OF_WINDOW),
    "gamma_outside": ({"op": 1, "affine": 1, "gamma": 0}, Status.OUT_OF_WINDOW),
    "src_crosses_the_end": ({"src": BASE + SIZE - 8, "rows": 2, "length": 16}, Status.OUT_OF_WINDOW),
    "dst_crosses_the_end": ({"dst": BASE + SIZE - 8, "rows": 2, "length": 16}, Status.OUT_OF_WINDOW),
    "src_stride_wraps": ({"src_stride": 0xF0000000, "rows": 2}, Status.OUT_OF_WINDOW),
    "dst_stride_leaves": ({"dst_stride": SIZE, "rows": 2}, Status.OUT_OF_WINDOW),
    "self_check": ({"op": 1, "affine": 0, "eps": FAIL_CHECK}, Status.SELF_CHECK),
    "core_loses_a_beat": ({"op": 1, "affine": 0, "eps": LOSE_BEAT}, Status.SELF_CHECK),
    "core_loses_a_row": ({"op": 1, "affine": 0, "eps": LOSE_ROW}, Status.WATCHDOG),
}


@pytest.mark.parametrize("case", BAD_JOBS)
def test_bad_job_ends_with_its_code_and_the_next_one_runs(case):
    changes, code = BAD_JOBS[case]
    b, rng = fresh(case)
    b.dut.set(window_base=BASE, window_limit=BASE + SIZE - 1)
    for _ in range(3):
        job = b.random_job(rng, affine=None, shape=(3, 24))
        # A destination that was moved is allowed to change where the window ends.
        job.store(b.memory)
        before = b.memory.snapshot()
        b.dut.bus_log("read"), b.dut.bus_log("write")
        result = b.run(job, changes=changes)
        assert Status(result["code"]) == code
        if code not in (Status.SELF_CHECK, Status.WATCHDOG, Status.OUT_OF_WINDOW):
            assert len(b.dut.bus_log("read")) == len(b.dut.bus_log("write")) == 0
            assert len(b.memory.changed(before)) == 0
        for name in ("read", "write"):
            addresses = b.dut.bus_log(name)["address"]
            assert np.all((addresses >= BASE) & (addresses < BASE + SIZE))
        b.check_good(b.random_job(rng))


def test_what_is_not_built_is_refused():
    b = Bench(4, ops=("layernorm",), inputs=("s8",), affine=False)
    rng = rng_of("not built")
    for changes in ({"op": 0}, {"op": 2}, {"input": 1}, {"affine": 1}):
        b.check_bad(b.random_job(rng), Status.BAD_OP, changes=changes)
        b.check_good(b.random_job(rng))
    b = Bench(4, ops=("softmax",), formats=("tfl_s8",))
    for changes, code in (({"op": 1}, Status.BAD_OP), ({"format": 0}, Status.BAD_FORMAT)):
        b.check_bad(b.random_job(rng), code, changes=changes)
        b.check_good(b.random_job(rng))


def test_window_is_exact_to_the_word():
    b, rng = fresh("window")
    job = b.random_job(rng, op="softmax", fmt="u8_255", input="s8", shape=(2, 20), src_stride=0, dst_stride=0)
    job.src, job.dst = BASE + 400, BASE + 1000
    for base, limit, good in ((400, 1039, True), (401, 1039, False), (400, 1038, False), (397, 1042, True),
                              (404, 1039, False), (400, 1035, False)):
        b.dut.set(window_base=BASE + base, window_limit=BASE + limit)
        if good:
            b.check_good(job)
        else:
            b.check_bad(job, Status.OUT_OF_WINDOW)


@pytest.mark.parametrize("bus", ["read", "write"])
def test_bus_error_at_every_beat(bus):
    b, rng = fresh("error", bus)
    job = b.random_job(rng, op="layernorm", input="s8", shape=(3, 20), src_stride=0, dst_stride=48)
    b.check_good(job)
    beats = {name: len(b.dut.bus_log(name)) for name in b.dut.buses}
    for beat in range(beats[bus]):
        for port in b.dut.buses.values():
            port.set(**random_stalls(rng))
        b.dut.buses[bus].set(error_beats=[(beat, beat)])
        b.check_bad(job, Status.BUS_ERROR)
        b.dut.buses[bus].set(error_beats=[])
        b.check_good(b.random_job(rng))
        b.dut.bus_log(bus)


@pytest.mark.parametrize("bus,field", [("read", "src"), ("write", "dst")])
def test_bus_that_does_not_answer_times_out(bus, field):
    b, rng = fresh("timeout", bus)
    for _ in range(6):
        job = b.random_job(rng, shape=(4, 24))
        first = int(job.row_addresses(field)[rng.integers(0, 4)])
        b.dut.buses[bus].set(dead=[(first, first + 3)])
        result = b.check_bad(job, Status.BUS_TIMEOUT)
        assert TIMEOUT <= result["cycles"] < TIMEOUT + 500
        b.dut.buses[bus].set(dead=[])
        b.check_good(b.random_job(rng))


def test_abort_at_every_cycle():
    b, rng = fresh("abort")
    job = b.random_job(rng, op="layernorm", input="s16", shape=(3, 30))
    cycles = b.check_good(job)["cycles"]
    codes = []
    for after in range(cycles + 3):
        for bus in b.dut.buses.values():
            bus.set(**(random_stalls(rng) if after % 3 else {"latency": 1, "stall": 0.0, "bursting": True}))
        job.store(b.memory)
        before = b.memory.snapshot()
        result = b.run(job, abort_after=after)
        codes.append(Status(result["code"]))
        assert codes[-1] in (Status.ABORTED, Status.OK)
        assert set(b.memory.changed(before)) <= set(job.output_bytes())
        done = result["rows_done"]
        assert np.array_equal(job.output(b.memory)[:done], stand_in_output(job)[:done])
        b.check_good(b.random_job(rng))
    assert codes[0] == codes[5] == Status.ABORTED
    assert Status.OK in codes, "no abort came too late"


def test_abort_without_a_job_does_nothing():
    b, rng = fresh("idle abort")
    b.dut.set(abort_job=1)
    b.dut.clock(3)
    b.dut.set(abort_job=0)
    b.check_good(b.random_job(rng))


def test_result_waits_until_it_is_taken():
    b, rng = fresh("result")
    job = b.random_job(rng)
    job.store(b.memory)
    b.dut.set(result_ready=0)
    b.dut.set(job_valid=1, **{f"job_{name}": value for name, value in job.registers().items()})
    b.dut.run_until("result_valid")
    for _ in range(5):
        b.dut.clock()
        assert b.dut.get("result_valid") and not b.dut.get("job_ready")
    b.dut.set(result_ready=1)
    b.dut.clock()
    b.dut.set(job_valid=0)
    b.dut.clock()
    assert not b.dut.get("busy")
    b.check_good(b.random_job(rng))


# Faults of the hardware ------------------------------------------------------------------------------

MACHINES = ("engine", "reader", "writer")
STATE_BITS = 3


def disturbed(engine):
    """Inputs that put a state machine into any state, also one that it does not have."""
    state = Signal(STATE_BITS)
    inputs = {"state": state}
    for name, fsm in zip(MACHINES, (engine.fsm, engine.reader.burster.fsm, engine.writer.burster.fsm), strict=True):
        inputs[f"put_{name}"] = put = Signal()
        fsm.finalize()
        fsm.sync += If(put, fsm.state.eq(state))
    return inputs


@functools.cache
def disturbed_bench():
    return Bench(4, planted=disturbed)


@pytest.mark.parametrize("machine", MACHINES)
def test_state_machine_that_is_put_into_any_state_does_not_hang(machine):
    """At every third cycle of a job, and while idle. The job itself may come to any end; the next one is good."""
    b = disturbed_bench()
    rng = rng_of("disturbed", machine)
    b.restart(int(rng.integers(1 << 31)))
    for bus in b.dut.buses.values():
        bus.set(strict=False)
    cycles = b.check_good(b.random_job(rng, shape=(3, 30)))["cycles"]
    codes = set()
    for state in range(1 << STATE_BITS):
        for after in range(0, cycles + 6, 3):
            job = b.random_job(rng, shape=(3, 30))
            job.store(b.memory)
            b.dut.set(job_valid=1, **{f"job_{name}": value for name, value in job.registers().items()})
            b.dut.clock(after)
            b.dut.set(**{f"put_{machine}": 1, "state": state})
            b.dut.settle()
            ended = b.dut.get("result_valid")
            b.dut.clock()
            b.dut.set(**{f"put_{machine}": 0})
            if not ended:
                b.dut.run_until("result_valid", WATCHDOG + 2 * TIMEOUT + 2 * cycles)
                codes.add(Status(b.dut.get("result_code")))
            b.dut.set(job_valid=0)
            b.dut.clock(2)
            b.check_good(b.random_job(rng, shape=(2, 12)))
    assert Status.OK in codes and codes & {Status.WATCHDOG, Status.SELF_CHECK}


# The checks above can fail --------------------------------------------------------------------------


def wrong_length(engine):
    """The gearbox believes in rows one element longer: bytes behind each row are written."""
    engine.comb += engine.pack.length.eq(engine.job.length + 1)


def no_clear(engine):
    """What an aborted job leaves in the core is not cleared."""
    engine.comb += engine.core.reset.eq(0)


@pytest.mark.parametrize("planted", [wrong_length, no_clear])
def test_planted_fault_is_found(planted):
    b = Bench(4, planted=planted)
    rng = rng_of("planted", planted.__name__)
    with pytest.raises((AssertionError, HangError)):
        for _ in range(20):
            job = b.random_job(rng, shape=(6, 21), op="layernorm")
            b.check_good(job)
            b.run(job, abort_after=int(rng.integers(20, 60)))
