# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The tables of a campaign."""

from rich.table import Table

from litenorm.sim.faults.upset import ABSENT, OUTCOMES, SILENT_SUM


def show(result, console, worst=40):
    """Print the tables."""
    console.width = max(console.width, 180)     # as wide as the table, in a pipe too
    kinds = [kind for kind in OUTCOMES if kind not in ABSENT[result.target]]
    table = Table(box=None, header_style="bold")
    for name in ("unit", "FF bits", "RAM bits", "upsets", *kinds, "reset", "sum/bit", "hung/bit"):
        table.add_column(name, justify="left" if name == "unit" else "right", no_wrap=True)
    for unit, ffs, memory, counts, resets, silent, hangs in result.by_unit():
        counts = dict(zip(OUTCOMES, counts.tolist(), strict=True))
        table.add_row(unit, f"{ffs:,}", f"{memory:,}", f"{sum(counts.values()):,}",
                      *(f"{counts[kind]:,}" if counts[kind] else "." for kind in kinds), str(resets), f"{silent:.2%}",
                      f"{hangs:.2%}")
    console.print(table)
    for title, kinds in (("wrong sum, framing or place, unseen", SILENT_SUM), ("hung", ("hung",))):
        rows = result.worst(*kinds)
        if not rows:
            continue
        console.print(f"\n{title}: {len(rows)} registers and memories"
                      + (f", the {worst} worst" if len(rows) > worst else ""), style="bold", highlight=False)
        table = Table(box=None, header_style="bold")
        for name in ("unit", "register", "bits", "upsets", "of them", "share"):
            table.add_column(name, justify="left" if name in ("unit", "register") else "right")
        for unit, name, bits, upsets, hits in rows[:worst]:
            table.add_row(unit, name, str(bits), str(upsets), str(hits), f"{hits / upsets:.0%}")
        console.print(table)
    console.print(
        f"\nreset: the device needed one to work again. sum/bit, hung/bit: share of flips that end as a wrong sum, "
        f"framing or place, unseen,\nor hung, when each bit of the unit is as likely as any other. "
        f"Broken even after a reset: {len(result.broken)}.\n"
        f"Seed {result.seed}, {result.lanes} lanes{', parity' if result.parity else ''}, "
        f"{result.upsets:,} upsets in {result.seconds:.0f} s.",
        highlight=False, soft_wrap=True)
