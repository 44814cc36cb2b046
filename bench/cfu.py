# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What softmax and LayerNorm cost of a transformer layer, with and without the core, with and without --cfu.

    python -m litenorm.bench.cfu

Runs `litenorm sim --workload layer` on a SoC without and on one with the custom instructions for matrix products. Every
element of both must be the reference's.
"""

import argparse
import json
import sys

from rich.console import Console
from rich.table import Table

from litenorm.nn.workload import load_workload
from litenorm.sim.errors import SimulationError
from litenorm.sim.layer import LABELS, OPERATIONS, PATHS, multiply_accumulates, run_workload
from litenorm.sim.output import check_output, replaced
from litenorm.sim.progress import observe
from litenorm.sim.runner import SimOptions

VARIANTS = {"standard": "in C", "full+cfu": "--cfu"}      # of the CPU, and how it multiplies matrices
NORMALIZATIONS = ("softmax", "layernorm")


def share(cycles):
    """Softmax's and LayerNorm's part of the cycles of a layer, 0 to 1."""
    return sum(cycles[operation] for operation in NORMALIZATIONS) / cycles["total"]


def table_of(cycles, macs):
    """The table of {variant: LayerReport.cycles} of one layer with `macs` multiply-accumulates."""
    table = Table(title="clock cycles of one layer, by how matrices are multiplied")
    table.add_column("", no_wrap=True)
    columns = [(variant, path) for variant in cycles for path in reversed(PATHS)]
    for variant, path in columns:
        table.add_column(f"{VARIANTS[variant]},\n{PATHS[path]}", justify="right")
    counts = [cycles[variant][path] for variant, path in columns]
    for operation in OPERATIONS:
        if operation == OPERATIONS[-1]:
            table.add_section()
        table.add_row(LABELS[operation], *(f"{count[operation]:,}" for count in counts))
    table.add_section()
    table.add_row("softmax and LayerNorm", *(f"{share(count):.2%}" for count in counts))
    table.add_row("GEMM, cycles per MAC", *(f"{count['gemm'] / macs:.3f}" for count in counts))
    return table


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.cfu", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.cfu --text And --json cfu.json")
    parser.add_argument("--text", metavar="TEXT", help="input of the layer (default: 32 characters)")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON")
    args = parser.parse_args(argv)
    try:
        if args.json:
            check_output(args.json, "a JSON file")
        workload = load_workload(text=args.text)
        macs = multiply_accumulates(workload)
        with observe(quiet=True) as observer:
            reports = {variant: run_workload(workload, SimOptions(cpu_variant=variant), observer)
                       for variant in VARIANTS}
    except (SimulationError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    cycles = {variant: report.cycles for variant, report in reports.items()}
    console = Console(highlight=False)
    console.print(table_of(cycles, macs))
    console.print(f"{len(workload.x)} tokens, {macs:,} multiply-accumulates; "
                  f"{sum(report.mismatches for report in reports.values())} of "
                  f"{sum(report.elements for report in reports.values())} elements differ from the reference")
    if args.json:
        with replaced(args.json) as temporary:
            temporary.write_text(json.dumps({"macs": macs, "cycles": cycles}, indent=1) + "\n")
    return 0 if all(report.ok for report in reports.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
