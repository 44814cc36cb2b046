# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The core alone as the target of upsets."""

import numpy as np

from litenorm.accel import LiteNorm, LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale
from litenorm.sim.errors import SimulationError
from litenorm.sim.faults.upset import Outcome
from litenorm.sim.soak.section import Section
from litenorm.sim.verilated import StreamDut

MAX_LENGTH = 64             # of the core that is tested: short rows reach all of its memories
WORKLOADS = 16
REPORT_CYCLES = 32          # a run of the core goes on behind the last upset; what leaves is reported within 16
HANG_CYCLES = 1000          # of the core alone; the longest pause of a good workload is far below
STALL = {"sink": 0.1, "source": 0.2}


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

    core = LiteNorm

    def __init__(self, lanes, seed, parity=False):
        self.config = LiteNormConfig(lanes=lanes, max_length=MAX_LENGTH, parity=parity)
        module = self.core(self.config)
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
