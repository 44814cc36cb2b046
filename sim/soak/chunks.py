# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Chunks of a soak: the unit of work, drawn from (seed, chunk) alone."""

from dataclasses import dataclass, replace

import numpy as np

from litenorm.accel import LiteNorm, LiteNormConfig
from litenorm.accel import constants as c
from litenorm.sim.soak.draw import draw_section
from litenorm.sim.soak.measure import merge, new_tally
from litenorm.sim.soak.reduce import explain
from litenorm.sim.soak.run import make_dut, run_sections
from litenorm.sim.verilated import Stall

CHUNK_ELEMENTS = 250_000
RUNS = 4                    # of a chunk; the later ones go on from the state the core is in, with offspring of bad rows
STALLS = (
    {},
    {},
    {"sink": 0.3, "source": 0.3},
    {"sink": 0.1, "source": Stall(0.5, burst=20)},
    {"sink": Stall(0.5, burst=15)},
    {"sink": 0.2, "source": Stall(0.3, wait_valid=True)},
)


@dataclass(frozen=True)
class Core:
    """Which core a soak is about: options of LiteNormConfig but for the lanes, and the module that is tested."""

    options: tuple = ()
    module: type = LiteNorm

    def config(self, lanes):
        return LiteNormConfig(lanes=lanes, **dict(self.options))


CORES = {
    "all": Core(),
    "s8": Core((("inputs", ("s8",)),)),
    "short-rows": Core((("short_rows", True),)),
    "softmax-4096": Core((("ops", ("softmax",)), ("max_length", 4096))),
}

_duts = {}


def chunk_lanes(chunk):
    """Lane count of a chunk."""
    return c.LANES[chunk % len(c.LANES)]


def run_chunk(core, seed, chunk):
    """Run one chunk; returns a dict of lanes, elements, tallies by kind and, after a violation, its report."""
    lanes = chunk_lanes(chunk)
    config = core.config(lanes)
    if (core, lanes) not in _duts:
        _duts[core, lanes] = make_dut(config, core.module)
    dut = _duts[core, lanes]
    rng = np.random.default_rng([seed, chunk])
    stall = STALLS[rng.integers(len(STALLS))]
    weights = [rng.integers(-32768, 32768, config.max_length) for _ in range(2)]
    tallies, parents = {}, {}
    for run in range(RUNS):
        sections, elements = [], 0
        while elements < CHUNK_ELEMENTS // RUNS:
            section = draw_section(rng, config, weights, parents)
            sections.append(section)
            elements += section.x.size
        # The last section is cut, so that a chunk has at least its elements and little more.
        spare = (elements - CHUNK_ELEMENTS // RUNS) // section.x.shape[1]
        keep = max(1, len(section.x) - spare)
        sections[-1] = replace(section, x=section.x[:keep], lengths=section.lengths[:keep])
        run_seed = int(rng.integers(1 << 30))
        new, violations = run_sections(dut, config, sections, weights, run_seed, stall, fresh=run == 0,
                                       place=(chunk, run))
        if violations:
            report = explain(dut, config, sections, weights, run_seed, stall, violations)
            return dict(chunk=chunk, lanes=lanes, tallies={}, violation={"run": run, "seed": seed, **report})
        for kind, tally in new.items():
            merge(tallies.setdefault(kind, new_tally()), tally)
            if tally["error_at"] is not None and tally["error_at"][:2] == [chunk, run] and not kind.endswith("affine"):
                _, _, index, row = tally["error_at"]
                parents[kind] = sections[index].row(row)
    return dict(chunk=chunk, lanes=lanes, tallies=tallies, violation=None)
