# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Fault campaign: single bits of registers and memories are flipped while rows pass, and what comes of it is counted.

    python -m litenorm.sim.faults --upsets 20000 --seed 1
    python -m litenorm.sim.faults --target peripheral

The device is the generated Verilog with every register and memory writable (`SignalDut(state=True)`). Upset k is drawn
from (seed, k) alone: a workload of short rows of all operations, formats, masks and gamma and beta; a register (four
in five; all registers alike) or a memory (the others; in proportion to its bits), a bit of it, and a cycle of the
workload before which it is flipped. Then the workload runs on, its outputs are compared with those of the undisturbed
run, and a second workload shows whether the device works afterwards: as it is, or after a reset.

Outcomes, the first that applies:

    row_error    core: rows are damaged, and row_error pulsed not later than the row_done of the first of them
                 peripheral: the job ended with an error code, and its rows are damaged
    otherwise    damaged, and seen in another way: a later row_error, or another number of row_done pulses;
                 peripheral: an interrupt while `busy` is set, and the job ended later, not `sum` or `misplaced`
    hung         core: no transfer for HANG_CYCLES, and no row_error; peripheral: busy, no interrupt in JOB_CYCLES
    lost         peripheral: no interrupt in JOB_CYCLES; the status register says that the job ended, and truly how:
                 software that polls it, as litenorm_wait() does, has lost nothing
    misplaced    peripheral: bytes outside of the job's destination were written, and the job ended with OK
    spilled      the same, and the job ended with an error code
    framing      rows have another number of beats, unseen
    sum          a row that has an exact sum (softmax, LayerNorm without gamma and beta) has another one, unseen
    elements     elements of such a row are wrong and its sum is right, unseen
    unchecked    elements of a row without an exact sum (RMSNorm; gamma and beta) are wrong, unseen
    alarm        nothing is damaged, and row_error pulsed or the job ended with an error code
    status       nothing is damaged, but constant_row or the rows counted are wrong
    masked       nothing happened

Exit code 1 when a sum was wrong or bytes were misplaced unseen, when the peripheral hung, or when a reset did not help.
"""

import argparse
import json
import re
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from litenorm.accel import LiteNorm, LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale
from litenorm.accel.status import Status
from litenorm.sim.csr import CsrDut
from litenorm.sim.errors import SimulationError
from litenorm.sim.jobs import random_job, start
from litenorm.sim.soak import Section
from litenorm.sim.streams import HangError
from litenorm.sim.verilated import StreamDut
from litenorm.sim.wishbone import Memory
from litenorm.soc.job import TICKET_BITS
from litenorm.soc.peripheral import LiteNormPeripheral

OUTCOMES = ("masked", "alarm", "row_error", "otherwise", "spilled", "status", "unchecked", "elements", "framing", "sum",
            "misplaced", "lost", "hung")
REPORT_CYCLES = 32          # a run of the core goes on behind the last upset; what leaves is reported within 16
SILENT_SUM = ("sum", "framing", "misplaced")
ABSENT = {"core": ("spilled", "misplaced", "lost"), "peripheral": ("framing",)}    # outcomes that a target has not
MAX_LENGTH = 64             # of the core that is tested: short rows reach all of its memories
WORKLOADS = 16
HANG_CYCLES = 1000          # of the core alone; the longest pause of a good workload is far below
JOB_CYCLES = 40_000         # of the peripheral: above its watchdog and its bus timeout
BUS_TIMEOUT = 500
MEMORY_SHARE = 0.2          # of the upsets
STALL = {"sink": 0.1, "source": 0.2}
BASE, SIZE = 0x4000_0000, 1 << 13


@dataclass(frozen=True)
class Upset:
    """One flipped bit: of word `word` of state element `element`, before cycle `cycle` of workload `workload`."""

    workload: int
    element: int
    bit: int
    word: int
    cycle: int


@dataclass(frozen=True)
class Outcome:
    """What came of an upset. recovery: "" the device went on as it was, "reset", or "broken"."""

    kind: str
    recovery: str = ""


def draw(rng, state, cycles):
    """An Upset for a device with the StateElements `state` whose workloads take `cycles`, a list."""
    registers = [i for i, e in enumerate(state) if e.depth == 1]
    memories = [i for i, e in enumerate(state) if e.depth > 1]
    if memories and rng.random() < MEMORY_SHARE:
        bits = np.array([state[i].width * state[i].depth for i in memories], float)
        element = int(rng.choice(memories, p=bits / bits.sum()))
    else:
        element = int(rng.choice(registers))
    workload = int(rng.integers(len(cycles)))
    e = state[element]
    return Upset(workload, element, int(rng.integers(e.width)), int(rng.integers(e.depth)),
                 int(rng.integers(cycles[workload])))


# The core ----------------------------------------------------------------------------------------------------


def draw_rows(rng, config):
    """A list of Sections of one row each: every format, masked and not, norms with and without gamma and beta."""
    gamma, beta = rng.integers(-(1 << 12), 1 << 12, (2, config.max_length))
    sections = []

    def add(op, masked=False, affine=None, **fields):
        n = int(rng.integers(2, config.max_length + 1))
        x = np.rint(rng.normal(rng.normal(0, 50), rng.choice([10, 60, 4000]), (1, n))).astype(np.int64)
        if rng.random() < 0.2:
            x = np.where(np.arange(n) == rng.integers(n), 30000, -30000)[None, :]
        length = int(rng.integers(1, n + 1)) if masked else n
        if affine:
            affine = Affine(gamma[:n], beta[:n], int(rng.integers(10, 16)), int(rng.integers(0, 4)), affine)
        limit = 1 << (config.input_bits - 1)
        sections.append(Section(op, np.clip(x, -limit, limit - 1), np.array([length]), affine=affine, **fields))

    for i, name in enumerate(FORMATS):
        add("softmax", masked=i % 2 == 0, fmt=name, scale=Scale.from_real(10.0 ** rng.uniform(-3, -0.5)))
    add("layernorm")
    add("layernorm", masked=True, eps=3.0)
    add("layernorm", affine="s8")
    add("rmsnorm")
    add("rmsnorm", affine="s16", masked=True)
    order = rng.permutation(len(sections))
    return [sections[i] for i in order], (gamma, beta)


class CoreTarget:
    """The core alone, its streams driven with stalls."""

    def __init__(self, lanes, seed, parity=False):
        self.config = LiteNormConfig(lanes=lanes, max_length=MAX_LENGTH, parity=parity)
        module = LiteNorm(self.config)
        self.dut = StreamDut(module, sinks={"sink": module.sink, "weights": module.weights},
                             sources={"source": module.source}, name="lite_norm", state=True,
                             signals=[module.row_done, module.row_error, module.constant_row])
        self.seed = seed
        self.work = [self.prepare(np.random.default_rng([seed, 1 << 40, i])) for i in range(WORKLOADS)]
        self.after = self.prepare(np.random.default_rng([seed, 1 << 41]), rows=3)
        self.cycles = [int(golden.cycles) - REPORT_CYCLES for _, _, golden in self.work]

    @property
    def state(self):
        return self.dut.state

    def prepare(self, rng, rows=None):
        """(sections, beats of the sinks, Result of the undisturbed run), compared with the model."""
        sections, weights = draw_rows(rng, self.config)
        sections = sections[:rows]
        sinks = self.dut.sinks
        beats = {
            "sink": np.concatenate([sinks["sink"].packets(s.x, bits=self.config.input_bits, **s.params())
                                    for s in sections]),
            "weights": np.concatenate([sinks["weights"].packets([w], bits=c.CODE_BITS, beta=i)
                                       for i, w in enumerate(weights)]),
        }
        golden = self.run(beats)
        for section, row in zip(sections, golden["source"].packets(bits=c.CODE_BITS), strict=True):
            expected = section.expected(self.config)[0].astype(np.int64)
            if not np.array_equal(row[:len(expected)], expected & 0xffff):
                raise SimulationError(f"the undisturbed core differs from the model: {section.describe()}")
        return sections, beats, golden

    def run(self, beats, flips=(), fresh=True):
        return self.dut.run(beats, stall=STALL, seed=self.seed, after={"sink": "weights"}, flips=flips, fresh=fresh,
                            expect={"source": len(beats["sink"])}, hang_cycles=HANG_CYCLES,
                            tail_cycles=64 + REPORT_CYCLES)

    def upset(self, upset):
        """Run one upset; returns its Outcome."""
        sections, beats, golden = self.work[upset.workload]
        result = self.run(beats, [(upset.cycle, upset.element, upset.bit, upset.word)])
        return Outcome(self.judge(sections, golden, result), self.recovery(result.hung))

    def judge(self, sections, golden, result):
        errors, done = result.events["row_error"], result.events["row_done"]
        if result.hung:
            return "row_error" if len(errors) else "hung"
        got, want = result["source"], golden["source"]
        framed = np.array_equal(got.beats["last"], want.beats["last"])
        counted = len(done) == len(sections)
        damaged, wrong_sum, silent = [], [], []
        if framed:
            rows = got.packets_by(want.beats["last"], c.CODE_BITS)
            for i, (section, row, good) in enumerate(zip(sections, rows, want.packets(bits=c.CODE_BITS), strict=True)):
                # As they are stored: the low bits of a lane.
                n, dtype = section.x.shape[1], section.dtype
                row, good = row[:n].astype(dtype), good[:n].astype(dtype)
                if np.array_equal(row, good):
                    continue
                damaged.append(i)
                if section.affine is not None or section.op == "rmsnorm":
                    silent.append("unchecked")
                elif row.sum(dtype=np.int64) != good.sum(dtype=np.int64):
                    wrong_sum.append(i)
                else:
                    silent.append("elements")
        if not damaged and framed:
            if len(errors):
                return "alarm"
            same = counted and len(result.events["constant_row"]) == len(golden.events["constant_row"])
            return "masked" if same else "status"
        if len(errors):
            first = damaged[0] if framed else int(np.argmax(self.framing_differs(got, want, len(sections))))
            return "row_error" if first >= len(done) or errors[0] <= done[first] else "otherwise"
        if not counted:
            return "otherwise"
        if not framed:
            return "framing"
        if wrong_sum:
            return "sum"
        return "elements" if "elements" in silent else "unchecked"

    @staticmethod
    def framing_differs(got, want, rows):
        """For each row, whether it or one before it has another number of beats; bool [rows], the last one True."""
        ends = [np.flatnonzero(capture.beats["last"])[:rows] for capture in (got, want)]
        ends[0] = np.pad(ends[0], (0, rows - len(ends[0])), constant_values=-1)
        differs = ends[0] != ends[1]
        differs[-1] = True
        return differs

    def recovery(self, hung):
        """Does the device do its work afterwards: "", "reset" when it takes one, "broken" when that does not help."""
        sections, beats, golden = self.after
        for reset in (hung, True):
            if reset:
                self.dut.reset()
            # A flip that does nothing keeps a hang from raising: a cycle that never comes.
            result = self.run(beats, [(1 << 60, 0, 0, 0)], fresh=False)
            if self.judge(sections, golden, result) == "masked":
                return "reset" if reset else ""
        return "broken"


# The peripheral ----------------------------------------------------------------------------------------------


class PeripheralTarget:
    """The peripheral with registers, bus masters and a memory: one job is the workload."""

    def __init__(self, lanes, seed, parity=False):
        self.config = LiteNormConfig(lanes=lanes, max_length=MAX_LENGTH, parity=parity)
        self.memory = Memory(BASE, SIZE)
        module = LiteNormPeripheral(self.config, bus_timeout=BUS_TIMEOUT)
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


TARGETS = {"core": CoreTarget, "peripheral": PeripheralTarget}


# Units -------------------------------------------------------------------------------------------------------

# Prefix of a register's name, the longest first, to the unit it belongs to.
UNITS = {
    "statistics_params": "queues",
    "statistics_queue": "queues",
    "statistics_exp_queue": "queues",
    "statistics": "Statistics",
    "row_buffer": "row buffer",
    "exp_sum_queue": "queues",
    "constants_params": "queues",
    "row_queue": "queues",
    "exp_buffer": "exp buffer",
    "exp": "ExpPass",
    "constants": "RowConstants",
    "entry": "self-check",
    "check": "self-check",
    "passing": "self-check",
    "exit_check": "self-check",
    "normalizer": "Normalizer",
    "requantize": "Requantize",
    "gamma": "Requantize",
    "beta": "Requantize",
    "state": "RowConstants",
    # Of the peripheral.
    "reader": "reader",
    "wishbonereader": "reader",
    "writer": "writer",
    "wishbonewriter": "writer",
    "engine": "engine",
    "jobqueue": "job queue",
    "litenormperipheral": "CSRs",
}


def memory_names(verilog):
    """Dict of a memory's name to that of the unit whose port it is on: queues' memories have only a number."""
    port = r"^assign (\w+?)_(?:wrport|rdport|read_port)_dat_r = (\w+?)(?:_dat\d|\[\w+\]);"
    ports = re.findall(port, verilog, flags=re.M)
    return {memory: unit for unit, memory in ports}


def unit_of(name, memories, target="core"):
    """(unit, readable name) of a state element."""
    if (target, name) == ("peripheral", "state"):
        return "engine", "engine state"
    base = re.sub(r"_dat\d$", "", name)
    shown = name.replace(base, memories[base]) if base in memories else name
    shown = shown if base not in memories or base != name else f"{memories[base]} memory"
    plain = re.sub(r"^litenorm_", "", shown)
    for prefix in sorted(UNITS, key=len, reverse=True):
        if plain.startswith(prefix):
            return UNITS[prefix], shown
    return "other", shown


# The campaign ------------------------------------------------------------------------------------------------


@cache
def _target(name, lanes, seed, parity):
    return TARGETS[name](lanes, seed, parity)


def run_block(name, lanes, seed, parity, first, last):
    """[(Upset, Outcome)] of upsets first to last - 1."""
    target = _target(name, lanes, seed, parity)
    results = []
    for k in range(first, last):
        upset = draw(np.random.default_rng([seed, k]), target.state, target.cycles)
        results.append((upset, target.upset(upset)))
    return results


class Campaign:
    """Results of a campaign, by unit and by register."""

    def __init__(self, target, lanes, seed, parity=False):
        device = _target(target, lanes, seed, parity)
        self.target, self.lanes, self.seed, self.parity = target, lanes, seed, parity
        self.state = device.state
        memories = memory_names(device.dut.verilog)
        self.names = [unit_of(e.name, memories, target) for e in self.state]
        self.counts = np.zeros((len(self.state), len(OUTCOMES)), np.int64)
        self.reset_needed = np.zeros(len(self.state), np.int64)
        self.broken = []
        self.silent = []
        self.seconds = 0.0

    def add(self, results):
        for upset, outcome in results:
            self.counts[upset.element, OUTCOMES.index(outcome.kind)] += 1
            self.reset_needed[upset.element] += outcome.recovery == "reset"
            if outcome.recovery == "broken":
                self.broken.append(self.describe(upset, outcome))
            if outcome.kind in (*SILENT_SUM, "hung"):
                self.silent.append(self.describe(upset, outcome))

    def describe(self, upset, outcome):
        unit, name = self.names[upset.element]
        return dict(outcome=outcome.kind, unit=unit, register=name, bit=upset.bit, word=upset.word, cycle=upset.cycle,
                    workload=upset.workload)

    @property
    def upsets(self):
        return int(self.counts.sum())

    def total(self, *kinds):
        return int(sum(self.counts[:, OUTCOMES.index(kind)].sum() for kind in kinds))

    @property
    def ok(self):
        bad = self.total(*SILENT_SUM) + (self.total("hung") if self.target == "peripheral" else 0)
        return not bad and not self.broken

    def by_unit(self):
        """[(unit, register bits, memory bits, counts by outcome, resets, weighted share of bits with a bad end)]."""
        units = sorted({unit for unit, _ in self.names})
        rows = []
        for unit in [*units, "all"]:
            chosen = [i for i, (u, _) in enumerate(self.names) if unit in (u, "all")]
            bits = [sum(e.width * e.depth for i in chosen if ((e := self.state[i]).depth > 1) == memory)
                    for memory in (False, True)]
            rows.append((unit, *bits, self.counts[chosen].sum(axis=0), int(self.reset_needed[chosen].sum()),
                         self.rate(chosen, *SILENT_SUM), self.rate(chosen, "hung")))
        return rows

    def rate(self, elements, *kinds):
        """Share of flips with one of these ends, each bit of the elements being as likely as any other."""
        columns = [OUTCOMES.index(kind) for kind in kinds]
        bits = hits = 0.0
        for i in elements:
            n = self.counts[i].sum()
            if n:
                weight = self.state[i].width * self.state[i].depth
                bits += weight
                hits += weight * self.counts[i, columns].sum() / n
        return hits / bits if bits else 0.0

    def worst(self, *kinds):
        """[(unit, name, bits, upsets, hits)] of registers with one of these ends, most hits first."""
        columns = [OUTCOMES.index(kind) for kind in kinds]
        rows = [(*self.names[i], e.width * e.depth, int(self.counts[i].sum()), int(self.counts[i, columns].sum()))
                for i, e in enumerate(self.state) if self.counts[i, columns].any()]
        return sorted(rows, key=lambda r: (-r[4] / r[3], -r[4], r[1]))

    def json(self):
        return dict(
            target=self.target, lanes=self.lanes, seed=self.seed, parity=self.parity,
            upsets=self.upsets, seconds=self.seconds, ok=self.ok,
            units=[dict(unit=unit, register_bits=ffs, memory_bits=memory, resets=resets, silent_sum_rate=silent,
                        hang_rate=hangs, **dict(zip(OUTCOMES, counts.tolist(), strict=True)))
                   for unit, ffs, memory, counts, resets, silent, hangs in self.by_unit()],
            registers=[dict(unit=self.names[i][0], register=self.names[i][1], width=e.width, depth=e.depth,
                            resets=int(self.reset_needed[i]),
                            **dict(zip(OUTCOMES, self.counts[i].tolist(), strict=True)))
                       for i, e in enumerate(self.state)],
            silent=self.silent, broken=self.broken)


def campaign(upsets, seed=1, lanes=4, target="core", jobs=None, progress=None, block=100, parity=False):
    """Run a Campaign. jobs: processes, 0: in this one; progress: called with the upsets done."""
    result = Campaign(target, lanes, seed, parity)
    began = time.monotonic()
    blocks = [(k, min(k + block, upsets)) for k in range(0, upsets, block)]
    if jobs == 0:
        for first, last in blocks:
            result.add(run_block(target, lanes, seed, parity, first, last))
    else:
        jobs = jobs or cpu_count()
        pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
        try:
            queue, flying = iter(blocks), set()
            while True:
                while len(flying) < jobs + 2 and (b := next(queue, None)) is not None:
                    flying.add(pool.submit(run_block, target, lanes, seed, parity, *b))
                if not flying:
                    break
                ready, flying = wait(flying, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in ready:
                    result.add(future.result())
                if progress is not None:
                    progress(result.upsets)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    result.seconds = time.monotonic() - began
    return result


def show(result, console, worst=40):
    """Print the tables."""
    console.width = max(console.width, 180)     # as wide as the table, in a pipe too
    kinds = [kind for kind in OUTCOMES if kind not in ABSENT[result.target]]
    table = Table(box=None, header_style="bold")
    for name in ("unit", "FF bits", "RAM bits", "upsets", *kinds, "reset", "sum/bit", "hung/bit"):
        table.add_column(name, justify="left" if name == "unit" else "right", no_wrap=True)
    for unit, ffs, memory, counts, resets, silent, hangs in result.by_unit():
        counts = dict(zip(OUTCOMES, counts.tolist(), strict=True))
        table.add_row(unit, f"{ffs:,}", f"{memory:,}", f"{sum(counts.values()):,}",
                      *(f"{counts[kind]:,}" if counts[kind] else "." for kind in kinds), str(resets), f"{silent:.2%}",
                      f"{hangs:.2%}")
    console.print(table)
    for title, kinds in (("wrong sum, framing or place, unseen", SILENT_SUM), ("hung", ("hung",))):
        rows = result.worst(*kinds)
        if not rows:
            continue
        console.print(f"\n{title}: {len(rows)} registers and memories"
                      + (f", the {worst} worst" if len(rows) > worst else ""), style="bold", highlight=False)
        table = Table(box=None, header_style="bold")
        for name in ("unit", "register", "bits", "upsets", "of them", "share"):
            table.add_column(name, justify="left" if name in ("unit", "register") else "right")
        for unit, name, bits, upsets, hits in rows[:worst]:
            table.add_row(unit, name, str(bits), str(upsets), str(hits), f"{hits / upsets:.0%}")
        console.print(table)
    console.print(
        f"\nreset: the device needed one to work again. sum/bit, hung/bit: share of flips that end as a wrong sum, "
        f"framing or place, unseen,\nor hung, when each bit of the unit is as likely as any other. "
        f"Broken even after a reset: {len(result.broken)}.\n"
        f"Seed {result.seed}, {result.lanes} lanes{', parity' if result.parity else ''}, "
        f"{result.upsets:,} upsets in {result.seconds:.0f} s.",
        highlight=False, soft_wrap=True)


def _count(text):
    value = float(text)
    if not (value.is_integer() and value >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of upsets; good: 1 or more, 1e5 is one")
    return int(value)


def make_parser():
    parser = argparse.ArgumentParser(
        prog="python -m litenorm.sim.faults", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Flip single bits of the core's registers and memories and count what comes of it.",
        epilog="example: python -m litenorm.sim.faults --upsets 1e5 --lanes 8 --json faults.json")
    parser.add_argument("--upsets", type=_count, default=20_000, metavar="N", help="how many (default: 20000)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of upsets and workloads (default: 1)")
    parser.add_argument("--lanes", type=int, default=4, choices=c.LANES, help="lanes of the core (default: 4)")
    parser.add_argument("--target", choices=TARGETS, default="core", help="what is disturbed (default: core)")
    parser.add_argument("--parity", action="store_true", help="a core built with parity")
    parser.add_argument("--jobs", type=int, metavar="J", help="processes (default: one per processor)")
    parser.add_argument("--json", type=Path, metavar="F", help="write the results to this file")
    return parser


def main(argv=None):
    """Run the command line; returns the exit code."""
    parser = make_parser()
    args = parser.parse_args(argv)
    for name, low in (("seed", 0), ("jobs", 0)):
        if getattr(args, name) is not None and getattr(args, name) < low:
            parser.error(f"--{name} is {getattr(args, name)}; good: {low} or more")
    from litenorm.sim.output import write_json

    errors = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeElapsedColumn(),
               TextColumn("ETA"), TimeRemainingColumn(elapsed_when_finished=True))
    try:
        if args.json is not None and not args.json.absolute().parent.is_dir():
            raise ValueError(f"{args.json.parent} is not a folder: name a JSON file in an existing folder")
        with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal,
                      redirect_stdout=False) as progress:
            task = progress.add_task(f"compiling the {args.target}", total=args.upsets, rate="")
            began = []

            def update(done):
                began.append(time.monotonic())
                progress.update(task, completed=done, description=f"{done} of {args.upsets} upsets",
                                rate=f"{done / max(began[-1] - began[0], 1):.0f}/s")

            result = campaign(args.upsets, args.seed, args.lanes, args.target, args.jobs, update,
                              parity=args.parity)
    except (SimulationError, BrokenProcessPool, ValueError, OSError) as error:
        print(f"faults: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("faults: interrupted", file=sys.stderr)
        return 130
    show(result, Console())
    if args.json is not None:
        write_json(args.json, json.loads(json.dumps(result.json())))
    if result.ok:
        return 0
    hung = result.total("hung") if args.target == "peripheral" else 0
    print(f"faults: {result.total(*SILENT_SUM)} upsets made a sum or a place wrong unseen, {hung} hung the peripheral, "
          f"{len(result.broken)} left it broken after a reset; good: none", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
