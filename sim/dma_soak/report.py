# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""What a soak found: violations and counts."""

from collections import Counter
from dataclasses import dataclass, field

from rich.table import Table

from litenorm.accel.status import Status
from litenorm.sim.dma_soak.adversary import FAULTS

# What can be wrong with a job, and what it is called in the table.
KINDS = {
    "hang": "hangs",
    "interrupt": "wrong or missing interrupts",
    "status": "statuses that the faults do not explain, or too late",
    "access": "accesses outside of rows or window, bus protocol",
    "canary": "bytes changed outside of the rows",
    "result": "wrong results",
    "register": "registers with other contents, or not at rest",
}


class Violation(Exception):
    """A job that did what it must not do: one of KINDS; the message says what."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


@dataclass
class Report:
    """What came of a run: jobs by outcome and by fault, violations by kind, what was checked, and messages."""

    seed: int
    first: int
    outcomes: Counter = field(default_factory=Counter)
    faults: Counter = field(default_factory=Counter)
    violations: Counter = field(default_factory=Counter)
    checked: Counter = field(default_factory=Counter)
    messages: list = field(default_factory=list)

    def show(self, console):
        total = sum(self.outcomes.values())
        table = Table(title=f"{total:,} jobs from number {self.first} of seed {self.seed}")
        table.add_column("how they ended")
        table.add_column("jobs", justify="right")
        order = [s.name for s in Status]
        for name in sorted(self.outcomes, key=lambda n: order.index(n) if n in order else len(order)):
            table.add_row(name, f"{self.outcomes[name]:,}")
        table.add_section()
        for name in ["none", *FAULTS]:
            table.add_row(f"with fault: {name}", f"{self.faults[name]:,}")
        table.add_section()
        for name, count in self.checked.items():
            table.add_row(name, f"{count:,}")
        table.add_section()
        for kind, text in KINDS.items():
            table.add_row(text, f"{self.violations[kind]:,}")
        console.print(table)

    def json(self):
        return {"seed": self.seed, "first": self.first, "outcomes": dict(self.outcomes), "faults": dict(self.faults),
                "checked": dict(self.checked), "violations": {kind: self.violations[kind] for kind in KINDS},
                "messages": self.messages}
