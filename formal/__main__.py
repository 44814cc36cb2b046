# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""`python -m litenorm.formal [NAME ...]`: run proofs and their planted bugs, print a table.

Exit 0 when all proofs hold and all planted bugs are found. On a terminal progress is shown; elsewhere each job is one
line on stderr when it ends.
"""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from litenorm.formal.check import NO_RUNS, jobs_of, run_job
from litenorm.formal.proofs import PROOFS
from litenorm.formal.solve import SolverError


def rows(results):
    """One line of the table for each job, in the order of the list of proofs."""
    for job, result in results:
        proof = PROOFS[job.proof]
        if job.kind == "proof":
            yield [f"[bold]{proof.name}[/bold]", proof.shows, proof.widths, proof.method,
                   str(proof.depth or ""), f"{result.seconds:.1f}", result.text()]
        else:
            runs = proof.method not in NO_RUNS
            yield ["", f"  {job.title}", "", "bounded" if runs else proof.method, str(proof.bug_depth) if runs else "",
                   f"{result.seconds:.1f}", result.text()]


def show(results, console):
    table = Table(title="Proofs on the generated Verilog", title_justify="left", pad_edge=False)
    for name, style in (("proof", {"no_wrap": True}), ("what holds, or the planted bug", {}), ("widths", {}),
                        ("method", {"no_wrap": True}), ("cycles", {"justify": "right"}),
                        ("s", {"justify": "right"}), ("verdict", {})):
        table.add_column(name, **style)
    for row in rows(results):
        table.add_row(*row)
    console.print(table)


def main(argv=None):
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m litenorm.formal", description="Run proofs and their planted bugs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="proofs to run (default: all)")
    parser.add_argument("--quick", action="store_true", help="only the quick ones, under a minute")
    parser.add_argument("--list", action="store_true", help="list the proofs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N",
                        help="processes (default: one per core)")
    parser.add_argument("--no-cache", action="store_true", help="run again what build/formal has a result of")
    args = parser.parse_args(argv)
    unknown = [name for name in args.names if name not in PROOFS]
    if unknown:
        print(f"error: unknown proof {unknown[0]}; known: {', '.join(PROOFS)}", file=sys.stderr)
        return 1
    chosen = [PROOFS[name] for name in args.names] or [p for p in PROOFS.values() if p.quick or not args.quick]
    if args.list:
        for proof in chosen:
            print(f"{proof.name:24} {proof.shows} [{proof.widths}]")
        return 0
    jobs = [job for proof in chosen for job in jobs_of(proof)]
    console = Console(width=None if sys.stdout.isatty() else 160)
    err = Console(stderr=True)
    results = {}
    columns = SpinnerColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    progress = Progress(*columns, console=err, transient=True) if err.is_terminal else nullcontext()
    try:
        with progress, ThreadPoolExecutor(max(args.jobs, 1)) as pool:
            task = progress.add_task("proofs", total=len(jobs)) if err.is_terminal else None
            waiting = {pool.submit(run_job, job, not args.no_cache): job for job in jobs}
            for future in as_completed(waiting):
                results[waiting[future]] = future.result()
                job, result = waiting[future], results[waiting[future]]
                if task is None:
                    print(f"[{len(results)}/{len(jobs)}] {job.proof}: {job.title}: {result.verdict} "
                          f"({result.seconds:.1f} s)", file=sys.stderr)
                else:
                    progress.update(task, advance=1, description=f"{job.proof}: {job.title}")
    except SolverError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    show([(job, results[job]) for job in jobs], console)
    bad = [job for job in jobs if not results[job].expected]
    proofs = sum(job.kind == "proof" for job in jobs)
    if bad:
        print(f"{len(bad)} of {len(jobs)} not as expected: " + ", ".join(f"{j.proof} ({j.title})" for j in bad))
        return 1
    found = sum(job.kind == "bug" for job in jobs)
    print(f"all as expected: {proofs} proofs hold, {found} planted bugs are found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
