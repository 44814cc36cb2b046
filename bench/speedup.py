# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Cycles a row on the simulated SoC: the core and what firmware without it would run, on the same CPU.

    python -m litenorm.bench.speedup

The firmware's console command `bench` runs each of them and counts clock cycles as its caller sees them (the second of
two runs, caches warm): the core from the call of the driver to its return, for a batch of rows that are one job.
"""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from litenorm.sim.errors import SimulationError
from litenorm.sim.output import check_output, write_json
from litenorm.sim.progress import observe
from litenorm.sim.runner import SimOptions
from litenorm.sim.workloads import run_bench

# Console's name of an operation: what it is, on paper.
OPERATIONS = {
    "softmax_s8": "softmax, s8 to u8",
    "layernorm_s8_s8": "LayerNorm, gamma, beta, s8 to s8",
    "layernorm_s8": "LayerNorm, s8 to s16",
}
# Console's name of what ran it, in the order of the table.
PATHS = {
    "accel": "LiteNorm",
    "lean": "lean integer C",
    "cpu": "the C twin",
    "cmsis": "CMSIS-NN",
    "float": "float",
}
COLOURS = {"lean": "#0072B2", "cpu": "#009E73", "cmsis": "#E69F00", "float": "#D55E00"}


def cycles_of(rows):
    """{(op, path): {length: cycles a row}} of the firmware's records."""
    found = {}
    for row in rows:
        if row["op"] in OPERATIONS:
            found.setdefault((row["op"], row["path"]), {})[row["n"]] = row["cycles"] / row["rows"]
    return found


def tables(cycles):
    """One table an operation: cycles a row, and in brackets how many times LiteNorm's. -: there is no such code."""
    for op, name in OPERATIONS.items():
        lengths = list(cycles[op, "accel"])
        table = Table(title=f"{name}: cycles a row (times LiteNorm's)")
        table.add_column("")
        for n in lengths:
            table.add_column(f"N = {n}", justify="right")
        for path, label in PATHS.items():
            if (op, path) not in cycles:
                table.add_row(label, *["-"] * len(lengths))
                continue
            own, taken = cycles[op, "accel"], cycles[op, path]
            times = [f" ({taken[n] / own[n]:,.0f})" if path != "accel" else "" for n in lengths]
            table.add_row(label, *(f"{taken[n]:,.0f}{t}" for n, t in zip(lengths, times, strict=True)))
        yield table


def draw(cycles):
    """The figure of the speed-up over N."""
    from litenorm.bench.plot import bare, label_ends, plt

    figure, axes = plt.subplots(1, len(OPERATIONS), sharey=True, figsize=(14, 4.2), layout="constrained")
    ends = {axis: [] for axis in axes}
    for axis, (op, name) in zip(axes, OPERATIONS.items(), strict=True):
        own = cycles[op, "accel"]
        for path, colour in COLOURS.items():
            if (op, path) in cycles:
                points = [(n, cycles[op, path][n] / own[n]) for n in own]
                axis.plot(*zip(*points, strict=True), marker="o", markersize=4, color=colour)
                ends[axis].append((PATHS[path], points[-1], colour))
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(list(own), [f"{n}" for n in own])
        axis.set_xlabel("row length N")
        axis.set_title(name, loc="left", fontsize=11)
        bare(axis)
    for axis in axes:       # the limits of one are those of all
        label_ends(axis, ends[axis])
    axes[0].set_ylabel("times the cycles of LiteNorm, logarithmic")
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.speedup", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.speedup --plot docs/speedup.svg")
    parser.add_argument("--plot", action="append", default=[], metavar="FILE", help="write the plot, .svg or .png")
    parser.add_argument("--json", metavar="FILE", help="write the firmware's records as JSON")
    args = parser.parse_args(argv)
    try:
        plots = []
        if args.plot:
            from litenorm.bench.plot import check_paths, write

            plots = check_paths(args.plot)
        if args.json:
            check_output(args.json, "a JSON file")
        with observe(quiet=True) as observer:
            report = run_bench(SimOptions(), observer)
    except (SimulationError, OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    cycles = cycles_of(report.rows)
    console = Console(highlight=False)
    for table in tables(cycles):
        console.print(table)
    if plots:
        write(draw(cycles), plots)
    if args.json:
        write_json(args.json, report.json())
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
