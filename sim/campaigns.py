# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What the long campaigns, `soak` and `faults`, have in common: large numbers, processes, a line of progress."""

import argparse
import os
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import get_context

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def count_of(what):
    """The argparse type of a number of `what`, 1 or more, which may be written as 1e8."""

    def count(text):
        value = float(text)
        if not (value.is_integer() and value >= 1):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {what}; good: 1 or more, 1e8 is one")
        return int(value)

    return count


def run_calls(function, calls, jobs, take, tick=lambda: None):
    """Call `function(*arguments)` for each of `calls`, in processes, and `take(result)` with each result, in any order.

    jobs: processes; 0: the calls are made here, in order; None: one per processor. When `take` returns True no further
    call begins. `tick()` is called after results and, with processes, at least twice a second.
    """
    if jobs == 0:
        for arguments in calls:
            stop = take(function(*arguments))
            tick()
            if stop:
                return
        return
    jobs = jobs or os.cpu_count()
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        queue, flying, stop = iter(calls), set(), False
        while True:
            # Two calls wait, so that no process does; more would have to end before an early stop.
            while len(flying) < jobs + 2 and not stop and (arguments := next(queue, None)) is not None:
                flying.add(pool.submit(function, *arguments))
            if not flying:
                return
            ready, flying = wait(flying, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in ready:
                stop = take(future.result()) or stop
            tick()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def progress_bar(task, total, unit, scale=1):
    """Yield `update(done)`: what is done of `total`, how fast and how long still, on stderr when that is a terminal.

    task: what is shown before the first update. unit: of `scale` things, "M elements" with 1e6.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeElapsedColumn(),
               TextColumn("ETA"), TimeRemainingColumn(elapsed_when_finished=True))
    first = None    # time and count of the first update: what came before is compilation or an earlier run

    def update(done):
        nonlocal first
        now = time.monotonic()
        if done and first is None:
            first = now, done
        rate = (done - first[1]) / max(now - first[0], 1) if first else 0
        bar.update(bar_task, completed=min(done, total), rate=f"{rate / scale:.2f} {unit}/s",
                   description=f"{done / scale:.0f} of {total / scale:.0f} {unit}")

    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal,
                  redirect_stdout=False) as bar:
        bar_task = bar.add_task(task, total=total, rate="")
        yield update
