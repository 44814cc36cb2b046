# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Mutation check: does the comparison with the model notice when the core's Verilog is wrong?

    python -m litenorm.sim.mutation [--only NAME ...] [--json F]        (make mutants)

Each fault of ``mutants.FAULTS`` is planted in the generated Verilog, alone, and the Verilated core is put through the
checks below, in this order, until one fails. A fault that passes all of them has survived: unless ``mutants`` says
why no check can see it, the command exits with 1. The sound Verilog has to pass all checks, too.

rows        mixed operations, formats, masks and edge cases, with four kinds of stalls: codes, framing and pulses
tables      softmax rows of two elements that walk through every chord of the exponential in every lane
resets      the same with resets in mid-row: the rows behind the last one
self-check  with a fault planted as well that breaks sums, before or behind gamma and beta, ``row_error`` must pulse
"""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from litenorm.accel import LiteNorm
from litenorm.sim.errors import SimulationError
from litenorm.sim.mutants import CONFIG, DROPPED_CARRY, FAULTS, PASSING_CHANGED, by_name
from litenorm.sim.output import check_output, write_json
from litenorm.sim.rowcheck import RowMismatch, chord_rows, core_dut, mixed_rows, run_resets, run_rows
from litenorm.sim.verilated import Stall, StreamDut

ROWS = 250  # random rows of a run, beside the edge cases
STALLS = {
    "no stall": {},
    "random stalls": {"sink": 0.3, "source": 0.3},
    "bursts at the source": {"sink": 0.1, "source": Stall(0.5, burst=20)},
    "bursts at the sink": {"sink": Stall(0.5, burst=15)},
}
RESETS = range(1050, 1800, 19)  # cycles; gamma and beta take the first 1024


@dataclass
class Verdict:
    """What became of a fault.

    check : the check that failed, "" when none did.  rows : rows compared until then, the wrong one included; of all
    checks when none failed.  message : of the failure.  survives : as in the Fault.
    """

    fault: str
    unit: str
    what: str
    check: str
    rows: int
    message: str
    survives: str = ""

    @property
    def caught(self):
        return bool(self.check)

    @property
    def ok(self):
        """True when the fault was caught, or was not and ``mutants`` says why."""
        return self.caught != bool(self.survives)


class _Caught(Exception):
    """A check failed: its name, the rows until then, and why."""


class Examination:
    """The checks of one Verilog text; ``run()`` returns (check, rows, message).

    plant : function of the Verilog to the Verilog that is examined.
    """

    def __init__(self, plant):
        self.plant = plant
        self.count = 0

    def run(self):
        try:
            dut = self._dut(self.plant)
            self._rows(dut)
            self._tables(dut)
            self._resets(dut)
            dut.close()
            self._self_check()
        except _Caught as caught:
            return caught.args
        return "", self.count, ""

    @staticmethod
    def _dut(edit):
        return core_dut(LiteNorm(CONFIG), StreamDut, name="litenorm", edit=edit)

    def _try(self, check, dut, rows, run=run_rows, **options):
        """Count the rows that ``run`` compares, or raise _Caught with those until it failed."""
        try:
            compared = run(dut, rows, **options)
        except RowMismatch as e:
            raise _Caught(check, self.count + e.row + 1, str(e)) from e
        except SimulationError as e:
            # The harness stopped it: the packets that had left by then count.
            gone = int((dut.captures()["source"].beats["last"] != 0).sum())
            raise _Caught(check, self.count + min(gone, len(rows)) + 1, str(e)) from e
        self.count += compared

    def _rows(self, dut):
        for seed, (name, stall) in enumerate(STALLS.items()):
            self._try(f"rows, {name}", dut, mixed_rows(dut, CONFIG, ROWS, seed), stall=stall, seed=seed)

    def _tables(self, dut):
        self._try("tables", dut, chord_rows(dut, CONFIG, 64, seed=5))

    def _resets(self, dut):
        # One at a time, and then all in one run: what a reset leaves behind may add up.
        few, many = (mixed_rows(dut, CONFIG, count, seed=99, edges=False) for count in (120, 300))
        for rows, at in (*((few, [cycle]) for cycle in RESETS), (many, list(RESETS))):
            self._try("resets", dut, rows, run_resets, reset_at=at, stall=STALLS["random stalls"], seed=at[0])

    def _self_check(self):
        for fault, wish in ((DROPPED_CARRY, {"op": "layernorm", "affine": True}), (PASSING_CHANGED, {"op": "softmax"})):
            dut = self._dut(lambda verilog: fault.plant(self.plant(verilog)))  # noqa: B023
            rows = mixed_rows(dut, CONFIG, ROWS, seed=7, edges=False, **wish)
            result = dut.run(rows.beats, after={"sink": "weights"}, expect={"source": len(rows.beats["sink"])})
            self.count += len(rows)
            if not len(result.events["row_error"]):
                raise _Caught("self-check", self.count, f"{fault.name} in {len(rows)} rows, and no row_error")
            dut.close()


def examine(name):
    """Plant the fault of that name, alone, and return its Verdict. BuildError when it is no Verilog any more."""
    fault = by_name(name)
    return Verdict(fault.name, fault.unit, fault.what, *Examination(fault.plant).run(), fault.survives)


def examine_sound():
    """SimulationError when the Verilog without a fault fails a check, or its self-check finds nothing to say."""
    check, _, message = Examination(lambda verilog: verilog).run()
    if check:
        raise SimulationError(f"the core fails without any fault, in the check {check}: {message}")


def show(verdicts, console):
    """Print the table of Verdicts and what it says."""
    table = Table(title="Faults in the core's Verilog")
    for heading in ("fault", "unit", "what is wrong", "caught by"):
        table.add_column(heading, no_wrap=heading in ("fault", "unit"))
    table.add_column("after rows", justify="right")
    for v in verdicts:
        outcome = v.check or ("nothing: see below" if v.survives else "[bold red]NOTHING")
        table.add_row(v.fault, v.unit, v.what, outcome, f"{v.rows}")
    console.print(table)
    for v in verdicts:
        if v.survives:
            console.print(f"{v.fault}: {v.survives}.")
    known = sum(bool(v.survives) and not v.caught for v in verdicts)
    console.print(f"{sum(v.caught for v in verdicts)} of {len(verdicts)} faults caught, {known} known to survive")
    for v in verdicts:
        if not v.ok:
            why = f"was caught, and is said to survive: {v.message}" if v.caught else "survived all checks"
            console.print(f"[bold red]{v.fault} ({v.unit}) {why}")


def main(argv=None):
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m litenorm.sim.mutation", description="Plant faults in the core's Verilog; each must be caught.",
        epilog="example: python -m litenorm.sim.mutation --only wrong_seed swapped_lanes --json mutants.json")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these faults (default: all)")
    parser.add_argument("--list", action="store_true", help="name the faults and stop")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), metavar="J",
                        help="processes (default: 2)")
    parser.add_argument("--json", type=Path, metavar="F", help="write the results to this file")
    args = parser.parse_args(argv)
    if args.list:
        for fault in FAULTS:
            print(f"{fault.name:28} {fault.unit:18} {fault.what}")
        return 0
    try:
        if args.jobs < 1:
            raise ValueError(f"--jobs is {args.jobs}; good: 1 or more")
        if args.json is not None:
            check_output(args.json, "a JSON file")
        faults = [by_name(name) for name in dict.fromkeys(args.only)] if args.only else list(FAULTS)
        verdicts = run(faults, args.jobs)
        if args.json is not None:
            write_json(args.json, {"config": asdict(CONFIG), "ok": all(v.ok for v in verdicts),
                                   "faults": [{**asdict(v), "caught": v.caught, "ok": v.ok} for v in verdicts]})
    except (SimulationError, ValueError, OSError) as error:
        print(f"mutation: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    show(verdicts, Console(highlight=False, width=None if sys.stdout.isatty() else 120))
    return 0 if all(v.ok for v in verdicts) else 1


def run(faults, jobs=2):
    """Examine the sound Verilog and then each Fault, in ``jobs`` processes; return the Verdicts in that order.

    Raises what ``examine`` and ``examine_sound`` raise: a fault that cannot be planted is an error and not a result.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # A mutant may end its process, and Migen's and Verilator's state is per process: each gets its own.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress, \
            ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        task = progress.add_task("the sound core", total=len(faults) + 1)
        found = {}
        try:
            waiting = {pool.submit(examine_sound): None}
            waiting.update({pool.submit(examine, fault.name): fault for fault in faults})
            for done in as_completed(waiting):
                fault = waiting[done]
                verdict = done.result()
                if fault is not None:
                    found[fault.name] = verdict
                    progress.update(task, description=fault.name)
                progress.advance(task)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [found[fault.name] for fault in faults]


if __name__ == "__main__":
    sys.exit(main())
