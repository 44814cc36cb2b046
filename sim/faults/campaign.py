# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""A whole campaign: upsets in several processes, and their results by unit and by register."""

import time
from functools import cache

import numpy as np

from litenorm.sim.campaigns import run_calls
from litenorm.sim.faults.core import CoreTarget
from litenorm.sim.faults.peripheral import PeripheralTarget
from litenorm.sim.faults.units import memory_names, unit_of
from litenorm.sim.faults.upset import OUTCOMES, SILENT_SUM, draw

TARGETS = {"core": CoreTarget, "peripheral": PeripheralTarget}


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
    run_calls(run_block, ((target, lanes, seed, parity, *block) for block in blocks), jobs, result.add,
              lambda: progress and progress(result.upsets))
    result.seconds = time.monotonic() - began
    return result
