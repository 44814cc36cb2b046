# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""A whole soak: chunks in several processes, and a state from which it can go on."""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from litenorm.accel import model
from litenorm.sim.campaigns import run_calls
from litenorm.sim.output import replaced
from litenorm.sim.soak.chunks import CHUNK_ELEMENTS, CORES, run_chunk
from litenorm.sim.soak.measure import merge, new_tally


def fingerprint(core_name):
    """What the results depend on: the core, the model and the soak. A state is resumed only with the same."""
    here = Path(__file__).resolve().parent
    accel = Path(model.__file__).resolve().parent
    h = hashlib.sha256(core_name.encode())
    for path in (*sorted(accel.rglob("*.py")), *sorted(here.glob("*.py")), here.parent / "verilated.cpp"):
        h.update(path.read_bytes())
    return h.hexdigest()[:16]


@dataclass
class State:
    """What is done of a soak, kept in a file."""

    path: Path | None
    data: dict

    @classmethod
    def begin(cls, path, seed, core_name, resume):
        """A new state, or the one in `path`; ValueError when that is of another core."""
        mark = fingerprint(core_name)
        if resume:
            if path is None or not path.exists():
                raise ValueError(f"nothing to resume for seed {seed}: run without --resume first")
            data = json.loads(path.read_text())
            if data["fingerprint"] != mark:
                raise ValueError("the state was made with another core, model or soak: run without --resume")
            return cls(path, data)
        return cls(path, dict(fingerprint=mark, seed=seed, core=core_name, seconds=0.0, chunks=[], table={}))

    def add(self, result):
        self.data["chunks"].append(result["chunk"])
        for kind, tally in result["tallies"].items():
            merge(self.data["table"].setdefault(f"{kind}/{result['lanes']}", new_tally()), tally)

    def save(self):
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(self.path) as temporary:
            temporary.write_text(json.dumps(self.data))

    @property
    def elements(self):
        return sum(tally["elements"] for tally in self.data["table"].values())


def soak(elements, seed=1, core_name="all", jobs=None, resume=False, path=None, progress=None, core=None, chunks=None):
    """Run chunks until `elements` are done; returns (State, the violation's report or None).

    jobs: processes, 0: in this one. path: file of the state. progress: called with the State.
    core: a Core instead of CORES[core_name]. chunks: only these.
    """
    core = core or CORES[core_name]
    state = State.begin(path, seed, core_name, resume)
    done = set(state.data["chunks"])
    todo = [k for k in (range(-(-elements // CHUNK_ELEMENTS)) if chunks is None else chunks) if k not in done]
    began = saved = time.monotonic()
    earlier = state.data["seconds"]
    violation = None

    def take(result):
        nonlocal violation
        if result["violation"] is not None:
            violation = violation or {"chunk": result["chunk"], **result["violation"]}
            return True
        state.add(result)
        state.data["seconds"] = earlier + time.monotonic() - began
        return False

    def tick():
        nonlocal saved
        if time.monotonic() - saved > 10:
            state.save()
            saved = time.monotonic()
        if progress is not None:
            progress(state)

    try:
        run_calls(run_chunk, ((core, seed, k) for k in todo), jobs, take, tick)
    finally:
        state.save()
    return state, violation
