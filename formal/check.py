# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""One job: a proof, one of its planted bugs, or the question whether anything comes to what is proven; with a cache."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from litenorm.formal import solve
from litenorm.formal.edits import ROOT
from litenorm.formal.proofs import PROOFS
from litenorm.sim.cache import build_dir, digest

NO_RUNS = ("lemma", "exhaustive", "structure")      # methods that are not about runs of a circuit
SECONDS = 1800      # a job that takes longer has failed


@dataclass(frozen=True)
class Job:
    """kind: "proof", "bug" (has to be found) or "reached" (there are runs that come to what is proven)."""

    proof: str
    kind: str
    bug: str = ""

    @property
    def title(self):
        return {"proof": "holds", "bug": f"bug: {self.bug}", "reached": "is reached"}[self.kind]

    @property
    def argument(self):
        return {"proof": "-", "bug": self.bug, "reached": "reached"}[self.kind]


@dataclass
class Result:
    expected: bool
    verdict: str
    seconds: float
    cached: bool = False

    def text(self):
        color = "green" if self.expected else "bold red"
        return f"[{color}]{self.verdict}[/{color}]" + (" (cached)" if self.cached else "")


def jobs_of(proof):
    """The proof, its planted bugs, and that it is not about nothing."""
    jobs = [Job(proof.name, "proof"), *(Job(proof.name, "bug", bug) for bug in proof.bugs)]
    if proof.method not in NO_RUNS:
        jobs.append(Job(proof.name, "reached"))
    return jobs


@cache
def _sources():
    """What every generated file depends on, as one text."""
    files = sorted(f for folder in ("accel", "soc", "formal", "sim") for f in (ROOT / folder).rglob("*.py"))
    versions = " ".join(f"{name} {metadata.version(name)}" for name in ("migen", "litex", "pyosys", "z3-solver"))
    return versions + "".join(f"{f.name}\n{f.read_text()}" for f in files)


def _stored(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _store(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".tmp{os.getpid()}")
    temporary.write_text(json.dumps(value))
    temporary.replace(path)


def run_job(job, use_cache=True):
    """The Result of one job. Results are kept by what the solver saw, and found again by the sources, too."""
    for tool in (solve.z3_path, solve.abc_path):
        tool()
    folder = build_dir("formal")
    proof = PROOFS[job.proof]
    by_source = folder / f"{digest(_sources(), repr(job))}.json"
    known = _stored(by_source) if use_cache else None
    if known:
        return Result(**known | {"cached": True})
    with tempfile.TemporaryDirectory(prefix="litenorm-formal-") as temporary:
        made = Path(temporary)
        begin = time.monotonic()
        run = subprocess.run([sys.executable, "-m", "litenorm.formal.worker", job.proof, job.argument, str(made)],
                             capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if run.returncode < 0:
            return Result(False, f"the worker was ended by signal {-run.returncode}", time.monotonic() - begin)
        if run.returncode:
            lines = run.stderr.strip().splitlines() or run.stdout.strip().splitlines() or ["no message"]
            return Result(False, lines[-1], time.monotonic() - begin)
        seen = "".join(f.read_text() for f in sorted(made.iterdir()) if f.suffix in (".v", ".sv", ".json"))
        by_model = folder / f"{digest(seen, proof.method, str(proof.depth), str(proof.bug_depth), job.kind)}.json"
        known = _stored(by_model) if use_cache else None
        if known:
            result = Result(**known)
        else:
            result = judge(job, solved(job, proof, made), time.monotonic() - begin)
            result.seconds = time.monotonic() - begin
        # A missing answer is not a result.
        if result.expected:
            for path in (by_model, by_source):
                _store(path, asdict(result))
        return result


def solved(job, proof, folder):
    """The solver's Verdict."""
    if proof.method in ("exhaustive", "structure"):
        return solve.Verdict(**json.loads((folder / "verdict.json").read_text()))
    if proof.method == "lemma":
        return solve.lemma((folder / "lemma.smt2").read_text(), SECONDS)
    if job.kind != "proof":
        return solve.bounded(folder, proof.bug_depth, SECONDS, all_outputs=job.kind == "reached")
    if proof.method == "induction":
        return solve.induction(folder, proof.depth, SECONDS)
    if proof.method == "pdr":
        return solve.pdr(folder, SECONDS)
    return solve.unrolled(folder, proof.depth, SECONDS)


def judge(job, verdict, seconds):
    """What the verdict means for this kind of job."""
    if job.kind == "proof":
        if verdict.holds:
            return Result(True, "proven", seconds)
        why = f"FALSE: {verdict.failed}, cycle {verdict.cycle}" if verdict.failed else f"not proven: {verdict.note}"
        return Result(False, why, seconds)
    if verdict.holds or not verdict.failed:
        return Result(False, f"NOT FOUND {verdict.note}".strip(), seconds)
    if job.kind == "reached":
        return Result(True, f"yes, cycle {verdict.cycle}", seconds)
    where = "" if PROOFS[job.proof].method in NO_RUNS else f", cycle {verdict.cycle}"
    return Result(True, f"found: {verdict.failed}{where}", seconds)
