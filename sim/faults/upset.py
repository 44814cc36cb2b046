# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""One flipped bit, how it is drawn, and what may come of it."""

from dataclasses import dataclass

import numpy as np

OUTCOMES = ("masked", "alarm", "row_error", "otherwise", "spilled", "status", "unchecked", "elements", "framing", "sum",
            "misplaced", "lost", "hung")
SILENT_SUM = ("sum", "framing", "misplaced")
ABSENT = {"core": ("spilled", "misplaced", "lost"), "peripheral": ("framing",)}    # outcomes that a target has not
MEMORY_SHARE = 0.2          # of the upsets


@dataclass(frozen=True)
class Upset:
    """One flipped bit: of word `word` of state element `element`, before cycle `cycle` of workload `workload`."""

    workload: int
    element: int
    bit: int
    word: int
    cycle: int


@dataclass(frozen=True)
class Outcome:
    """What came of an upset. recovery: "" the device went on as it was, "reset", or "broken"."""

    kind: str
    recovery: str = ""


def draw(rng, state, cycles):
    """An Upset for a device with the StateElements `state` whose workloads take `cycles`, a list."""
    registers = [i for i, e in enumerate(state) if e.depth == 1]
    memories = [i for i, e in enumerate(state) if e.depth > 1]
    if memories and rng.random() < MEMORY_SHARE:
        bits = np.array([state[i].width * state[i].depth for i in memories], float)
        element = int(rng.choice(memories, p=bits / bits.sum()))
    else:
        element = int(rng.choice(registers))
    workload = int(rng.integers(len(cycles)))
    e = state[element]
    return Upset(workload, element, int(rng.integers(e.width)), int(rng.integers(e.depth)),
                 int(rng.integers(cycles[workload])))
