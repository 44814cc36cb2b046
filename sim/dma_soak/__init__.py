# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Soak test of the peripheral: random jobs, good and bad, on buses that stall, fail and fall silent.

    make dma-soak
    python -m litenorm.sim.dma_soak --jobs 1000000 --seed 7

Each job is drawn from (seed, number of the job). Every second one is adversarial: wrong parameters, addresses outside
of the window, bus errors, a bus that does not answer or hardly, a core that stands still or fails its self-check, rows
that overlap, an abort, a soft or a hard reset at any cycle; one of these or several. Registers are written at random
times all along, also those of the job that runs. The jobs in between are good: they must work, whatever came before.

After each job it is checked that

- it ended, with exactly one interrupt, and with a status that its faults explain (when there is one explanation, that
  one); after an abort within two bus accesses, after a reset at once;
- the bus protocol held, no byte was read but the rows, gamma and beta, none written but the rows, and none of either
  outside of the window; in memory nothing else changed;
- the rows that count as done are the model's, bit for bit, and all of them when the status is OK;
- registers hold what was written, the window what it was locked at, and the bus is at rest.

After every tenth job a queue of 2 to 7 good jobs is run: started while others run, now and then one of them with wrong
parameters, or an abort or soft reset; some read what the one before writes. Their results, tickets, interrupts and all
of memory must be those of the jobs one after the other; the queue must refuse a job when it is full.

Jobs run in blocks of BLOCK. A block begins with a fresh model whose registers hold noise and goes through the cores of
CORES in turn, so that a failure can be repeated from the beginning of its block.

Modules: `adversary` plans jobs and what goes wrong in them, `device` is the peripheral that is tested, `soak` runs a
plan on it, `checks` and `report` say what came of it, `queues` does that for queues of jobs, `run` for as many as
wanted; `__main__` is the command.
"""
