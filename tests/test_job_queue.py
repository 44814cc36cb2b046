# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""JobQueue: each of its three checks finds upsets that the others do not, and what they find hangs nothing."""

import pytest
from migen import *

from litenorm.soc.job import JOBS_WAITING, PROTECTED, JobQueue


def run(upset, jobs_waiting=JOBS_WAITING):
    """Two jobs, tickets 0 and 1, each ended in its 8th cycle or when it is damaged, as the engine does. Before cycle 6,
    while job 0 runs, `upset(queue)` inverts something. Returns (damaged, ticket) of those that ended, two lists.
    """
    queue = JobQueue(jobs_waiting)
    damaged, ended = [], []

    def submit():
        for ticket in range(2):
            yield queue.sink.valid.eq(1)
            yield queue.sink.rows.eq(2)
            yield queue.sink.length.eq(16)
            yield queue.sink.ticket.eq(ticket)
            yield
            while not (yield queue.sink.ready):
                yield
        yield queue.sink.valid.eq(0)

    def test():
        yield
        yield
        ran = 0
        for cycle in range(2, 60):
            if cycle == 6:
                for signal, value in (yield from upset(queue)):
                    yield signal.eq(value)
            if ran is None:
                yield queue.source.ready.eq(0)
                ran = 0
            elif (yield queue.damaged) or ran == 8:
                damaged.append((yield queue.damaged))
                ended.append((yield queue.source.ticket))
                yield queue.source.ready.eq(1)
                yield queue.ticket.eq((yield queue.ticket) + 1)
                ran = None
            elif (yield queue.source.valid):
                ran += 1
            yield

    run_simulation(queue, [submit(), test()])
    return damaged, ended


def inverted(name, bit=0):
    def upset(queue):
        signal = getattr(queue.source, name)
        return [(signal, (yield signal) ^ (1 << bit))]

    return upset


def nothing(queue):
    return []
    yield


@pytest.mark.parametrize("jobs_waiting", [0, 1, JOBS_WAITING])
def test_good_jobs(jobs_waiting):
    assert run(nothing, jobs_waiting) == ([0, 0], [0, 1])


@pytest.mark.parametrize("jobs_waiting", [0, 1, JOBS_WAITING])
@pytest.mark.parametrize("name", PROTECTED)
def test_a_field_that_has_changed_is_found(name, jobs_waiting):
    assert run(inverted(name), jobs_waiting) == ([1, 0], [0, 1])


def test_a_job_that_is_gone_ends_damaged_and_the_next_one_runs():
    """It is kept twice: without that, nothing takes a job from the queue ever again."""
    assert run(inverted("valid")) == ([1, 0], [0, 1])


def test_a_job_out_of_turn_is_found():
    """Its parity is right."""
    damaged, ended = run(inverted("ticket", 1))
    assert damaged == [1, 0] and ended == [2, 1]
