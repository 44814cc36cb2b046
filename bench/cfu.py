# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What softmax and LayerNorm cost of a layer and of a token, with and without the core, with and without --cfu.

    python -m litenorm.bench.cfu

Runs `litenorm sim --workload layer` and `litenorm generate` on a SoC without and on one with the custom instructions
for matrix products. Every element of the layers and every token must be the reference's.
"""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from litenorm.nn.generate import load_gpt
from litenorm.nn.workload import load_workload
from litenorm.sim import generate, layer
from litenorm.sim.errors import SimulationError
from litenorm.sim.layer import PATHS
from litenorm.sim.output import check_output, write_json
from litenorm.sim.progress import observe
from litenorm.sim.runner import SimOptions

VARIANTS = {"standard": "in C", "full+cfu": "--cfu"}      # of the CPU, and how it multiplies matrices
NORMALIZATIONS = ("softmax", "layernorm")
PARTS = ("layer", "text")
TOKENS = 4


def share(cycles):
    """Softmax's and LayerNorm's part of {operation: cycles}, 0 to 1."""
    return sum(cycles[operation] for operation in NORMALIZATIONS) / cycles["total"]


def table_of(what, cycles, macs, labels):
    """The table of {variant: {path: {operation: cycles}}} of something with `macs` multiply-accumulates.

    labels  operation -> its name, the total last
    """
    table = Table(title=f"clock cycles of {what}, by how matrices are multiplied")
    table.add_column("", no_wrap=True)
    columns = [(variant, path) for variant in cycles for path in reversed(PATHS)]
    for variant, path in columns:
        table.add_column(f"{VARIANTS[variant]},\n{PATHS[path]}", justify="right")
    counts = [cycles[variant][path] for variant, path in columns]
    for operation, label in labels.items():
        if operation == "total":
            table.add_section()
        table.add_row(label, *(f"{count[operation]:,.0f}" for count in counts))
    table.add_section()
    table.add_row("softmax and LayerNorm", *(f"{share(count):.2%}" for count in counts))
    table.add_row("GEMM, cycles per MAC", *(f"{count['gemm'] / macs:.3f}" for count in counts))
    return table


def run_layer(text, observer):
    """(table, line about what was compared, JSON, whether all of it was right) of a layer."""
    workload = load_workload(text=text)
    macs = layer.multiply_accumulates(workload)
    reports = {variant: layer.run_workload(workload, SimOptions(cpu_variant=variant), observer) for variant in VARIANTS}
    cycles = {variant: report.cycles for variant, report in reports.items()}
    wrong, elements = (sum(getattr(report, name) for report in reports.values()) for name in ("mismatches", "elements"))
    line = (f"{len(workload.x)} tokens, {macs:,} multiply-accumulates; {wrong} of {elements} elements differ from the "
            "reference")
    return (table_of("one layer", cycles, macs, layer.LABELS), line, {"macs": macs, "cycles": cycles},
            all(report.ok for report in reports.values()))


def run_text(count, observer):
    """The same of the tokens behind the first of `count` generated ones, their mean."""
    gpt, _ = load_gpt()
    reports = {variant: generate.run_generate(SimOptions(cpu_variant=variant), gpt, count=count, paths=tuple(PATHS),
                                              observer=observer) for variant in VARIANTS}
    cycles = {variant: {path: report.per_token(path) for path in PATHS} for variant, report in reports.items()}
    macs = generate.multiply_accumulates(gpt, len(generate.PROMPT), count)
    wrong, tokens = (sum(sum(counts) for counts in both) for both in (
        [report.different.values() for report in reports.values()],
        [[len(sent) for sent in report.tokens.values()] for report in reports.values()]))
    line = (f"mean of {count - 1} tokens behind a prompt of {len(generate.PROMPT)} and a first one, {macs:,.0f} "
            f"multiply-accumulates; {wrong} of {tokens} tokens differ from the reference")
    return (table_of("one token of text", cycles, macs, generate.LABELS), line, {"macs": macs, "cycles": cycles},
            all(report.ok for report in reports.values()))


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.cfu", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.cfu --part layer --text And")
    parser.add_argument("--part", choices=PARTS, action="append", help="one of the two (default: both)")
    parser.add_argument("--text", metavar="TEXT", help="input of the layer (default: 32 characters)")
    parser.add_argument("--tokens", type=int, default=TOKENS, metavar="N",
                        help=f"tokens to generate (default: {TOKENS})")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON")
    args = parser.parse_args(argv)
    console, data, ok = Console(highlight=False), {}, True
    try:
        if args.tokens < 2:
            raise ValueError(f"--tokens is {args.tokens}; good: 2 or more, the first one's cycles are the prompt's")
        if args.json:
            check_output(args.json, "a JSON file")
        for part in args.part or PARTS:
            with observe(quiet=True) as observer:
                table, line, data[part], right = (run_layer(args.text, observer) if part == "layer"
                                                  else run_text(args.tokens, observer))
            console.print(table)
            console.print(line, soft_wrap=True)
            ok = ok and right
    except (SimulationError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if args.json:
        write_json(args.json, data)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
