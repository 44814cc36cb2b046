# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The workloads `selftest` and `bench`: the firmware does the work, this module reads its records."""

from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table

from litenorm.sim.errors import ProtocolError
from litenorm.sim.runner import SimResult, run_soc


@dataclass(frozen=True)
class Report:
    """What a run of `selftest` or `bench` showed: `ok`, a table for people, JSON for machines."""

    workload: str
    ok: bool
    rows: list[dict]
    result: SimResult

    def show(self):
        console = Console()
        table = Table(title=self.workload)
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        for column in columns:
            number = all(isinstance(row.get(column, 0), int) for row in self.rows)
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*(f"{row.get(column, '')}" for column in columns))
        console.print(table)
        console.print(describe_run(self.result), highlight=False)
        console.print(f"{self.workload}: {'ok' if self.ok else 'FAILED'}", highlight=False)

    def json(self):
        """`workload`, `ok`, `exit_code`, `simulated_cycles`, and `rows`: the firmware's records, one dict each."""
        return {"workload": self.workload, "ok": self.ok, "exit_code": self.result.exit_code,
                "simulated_cycles": self.result.cycles, "rows": self.rows}


def describe_run(result):
    """One line about the simulation itself."""
    rate = result.cycles / result.seconds / 1e6
    return f"{result.cycles / 1e6:.1f} M cycles simulated in {result.seconds:.1f} s, {rate:.1f} MHz"


def _rows(result, record):
    rows = [{k: v for k, v in r.items() if k != "record"} for r in result.records.all(record)]
    if not rows:
        raise ProtocolError(f"the firmware sent no @{record} record, one or more were expected", result.log)
    return rows


def run_selftest(options, observer=None):
    """Run the console's `selftest`. ok: every test of the firmware passed, and it exited with 0."""
    result = run_soc(replace(options, console="selftest\nexit\n"), observer)
    rows = _rows(result, "selftest")
    return Report("selftest", result.exit_code == 0 and all(row.get("ok") == 1 for row in rows), rows, result)


def run_calls(options, observer=None):
    """Run the console's `bench calls`: cycles of a call of the driver for one short row. ok: it exited with 0."""
    result = run_soc(replace(options, console="bench calls\nexit\n"), observer)
    return Report("bench calls", result.exit_code == 0, _rows(result, "call"), result)


def run_bench(options, observer=None):
    """Run the console's `bench`: cycles by operation, row length and path. ok: the firmware exited with 0."""
    result = run_soc(replace(options, console="bench\nexit\n"), observer)
    return Report("bench", result.exit_code == 0, _rows(result, "bench"), result)
