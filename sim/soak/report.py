# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""What a soak found, as a table and as JSON."""

from rich.table import Table

from litenorm.accel import constants as c
from litenorm.sim.soak.measure import MAX_ERROR, MAX_SIGMA_ERROR, merge, new_tally
from litenorm.sim.soak.section import KINDS


def rows_of_table(state):
    """[(kind, lanes or None for all, tally)], kinds in order."""
    table = state.data["table"]
    rows = []
    for kind in KINDS:
        mine = [(lanes, table[f"{kind}/{lanes}"]) for lanes in c.LANES if f"{kind}/{lanes}" in table]
        rows += [(kind, lanes, tally) for lanes, tally in mine]
    total = new_tally()
    for _, _, tally in rows:
        merge(total, tally)
    return [*rows, ("all", None, total)]


def show(state, console):
    """Print the table and what the numbers are."""
    console.width = max(console.width, 152)     # as wide as the table, in a pipe too
    table = Table(box=None, header_style="bold")
    for name in ("operation", "lanes", "rows", "elements", "differ", "sums wrong", "worst ulp", "worst sigma",
                 "inversions", "largest", "argmax", "top lost", "row_error"):
        table.add_column(name, justify="left" if name == "operation" else "right", no_wrap=True)
    before = None
    for kind, lanes, t in rows_of_table(state):
        affine, softmax = kind.endswith("affine"), kind.startswith("softmax")
        text = "" if kind == before else kind
        has_sum = softmax or kind in ("layernorm", "all")
        has_sigma = not softmax and not affine
        table.add_row(
            text, "" if lanes is None else str(lanes), f"{t['rows']:,}", f"{t['elements']:,}", str(t["differences"]),
            str(t["wrong_sums"]) if has_sum else "-",
            "-" if affine or kind == "all" else f"{t['error']:.4f}",
            f"{t['sigma_error'] * 1024:.4f}" if has_sigma else "-",
            "-" if affine else f"{t['inversions']:,}", "-" if affine else f"{t['inversion']:.0f}",
            "-" if affine else f"{t['argmax_changes']:,}",
            "-" if affine else f"{t['top_lost']:,}", str(t["row_errors"]))
        before = kind
    console.print(table)
    singles = sum(t["single_element_rows"] for kind, lanes, t in rows_of_table(state) if lanes is not None)
    seconds = state.data["seconds"]
    console.print(
        f"\ndiffer: elements that are not the model's. worst ulp: softmax against T e/S (bound {MAX_ERROR}),\n"
        f"norms against float64. worst sigma: |sigma - 1| in 2^-10 (LayerNorm's bound {MAX_SIGMA_ERROR * 1024}).\n"
        f"inversions: elements below one with a smaller input; largest: in ulp. argmax: rows whose first largest\n"
        f"code has not the largest input; top lost: rows in which no largest input has the largest code.\n"
        f"Rows of one valid element in a capped format, whose sum is T - 1 as documented: {singles:,}.\n"
        f"Seed {state.data['seed']}, {state.elements:,} elements in {seconds:.0f} s, "
        f"{state.elements / max(seconds, 1e-9) / 1e6:.2f} M elements/s.", highlight=False, soft_wrap=True)


def show_violation(report, core_name, console):
    """Print what failed, and how to see it again."""
    console.print(f"\nFAILED in chunk {report['chunk']} (seed {report['seed']}, {report['lanes']} lanes, run "
                  f"{report['run']}): {report['count']} violations; the first: {report['text']}", style="bold red",
                  highlight=False, soft_wrap=True)
    if report["row"]:
        console.print(f"row: {report['row']}", highlight=False, soft_wrap=True)
    if "note" in report:
        console.print(report["note"], highlight=False, soft_wrap=True)
    console.print(f"again: python -m litenorm.sim.soak --core {core_name} --seed {report['seed']} --chunk "
                  f"{report['chunk']}", highlight=False, soft_wrap=True)


def report_json(state, violation):
    """The results as JSON data."""
    return dict(
        seed=state.data["seed"], core=state.data["core"], fingerprint=state.data["fingerprint"],
        elements=state.elements, seconds=state.data["seconds"], max_error=MAX_ERROR, max_sigma_error=MAX_SIGMA_ERROR,
        table=[{"operation": kind, "lanes": lanes, **tally} for kind, lanes, tally in rows_of_table(state)],
        violation=violation, ok=violation is None)
