# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Blocks of jobs, through the cores of CORES in turn."""

import numpy as np

from litenorm.sim.dma_soak.report import Report, Violation
from litenorm.sim.dma_soak.soak import Soak

BLOCK = 500             # jobs
QUEUE_EACH = 10         # jobs, between two queues


CORES = {
    "4 lanes, 32-bit bus": {"lanes": 4},
    "1 lane, 32-bit bus without bursts": {"lanes": 1, "bursting": False},
    "16 lanes with parity, 64-bit bus": {"lanes": 16, "data_width": 64, "parity": True},
}


def run(jobs, seed=1, first=0, progress=lambda done: None, keep_going=False, soaks=None):
    """Run jobs `first` to `first + jobs - 1` of a seed and return a Report. `first` begins a block.

    progress    called with the number of jobs that were run
    keep_going  go on with the next block after a violation; else the run ends with it
    soaks       dict of name to Soak, instead of those of CORES
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; good: 1 or more")
    if first < 0 or first % BLOCK:
        raise ValueError(f"first is {first}; good: a multiple of {BLOCK}, where a block begins")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed is {seed}; good: 0 to {2**31 - 1}")
    names = list(CORES if soaks is None else soaks)
    soaks = {} if soaks is None else soaks
    report = Report(seed, first)
    for start in range(first, first + jobs, BLOCK):
        block = start // BLOCK
        name = names[block % len(names)]
        if name not in soaks:
            soaks[name] = Soak(**CORES[name])
        soak = soaks[name]
        soak.report = report
        soak.restart((seed << 32) + block)
        end = min(start + BLOCK, first + jobs)
        for number in range(start, end):
            try:
                soak.run_job(np.random.default_rng([seed, number]), adversarial=number % 2 == 0)
                if number % QUEUE_EACH == 0:
                    soak.queues.run(np.random.default_rng([seed, number, 1]))
            except Violation as violation:
                report.violations[violation.kind] += 1
                report.messages.append(
                    f"job {number} of seed {seed} ({name}): {violation}; to repeat: python -m litenorm.sim.dma_soak "
                    f"--seed {seed} --first {start} --jobs {number - start + 1}")
                if not keep_going:
                    return report
                break
            progress(number + 1 - first)
        progress(end - first)
    return report
