# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The solvers: k-induction with z3, bounded proof with CaDiCaL, bounded search and IC3/PDR with ABC.

Induction proves the properties one by one, in the order in which the harness names them. Each may use those before it,
in the last cycle too, and all of them in the cycles before. That is sound, because together they are shown to hold in
the cycle after k cycles in which all hold; and it keeps each question to the solver small.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

GROUP = 24          # properties asked for in one question, while that is quick
GROUP_SECONDS = 4


class SolverError(Exception):
    """A solver was missing, ran out of time or answered something unexpected. One line."""


@dataclass
class Verdict:
    """holds: proven as far as the method goes. Else `failed` is a property and `cycle` the cycle of its counterexample.

    failed is "" when there is no counterexample, only no proof; `note` says what was missing.
    """

    holds: bool
    failed: str = ""
    cycle: int = 0
    note: str = ""


def z3_path():
    """The z3 that belongs to this Python. SolverError when it is not installed."""
    path = shutil.which("z3", path=str(Path(sys.executable).parent)) or shutil.which("z3")
    if path is None:
        raise SolverError("z3 is not installed: run .ci/setup formal")
    return path


def abc_path():
    """The ABC that comes with pyosys. SolverError when it is not installed."""
    import importlib.util

    spec = importlib.util.find_spec("pyosys")
    path = Path(spec.origin).parent / "yosys-abc" if spec else None
    if path is None or not path.exists():
        raise SolverError("pyosys is not installed: run .ci/setup formal")
    return str(path)


def z3(text, seconds):
    """'sat', 'unsat' or 'unknown' (also when time is over)."""
    try:
        run = subprocess.run([z3_path(), "-smt2", "-in"], input=text, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return "unknown"
    answer = run.stdout.strip().splitlines()
    if not answer or answer[0] not in ("sat", "unsat", "unknown"):
        raise SolverError(f"z3: {(answer or [run.stderr.strip() or 'no answer'])[0]}")
    return answer[0]


def induction(folder, k, seconds):
    """k-induction on folder/model.smt2: base case of k cycles, then the step."""
    model = (folder / "model.smt2").read_text()
    order = json.loads((folder / "properties.json").read_text())
    number = {name: n for n, name in re.findall(r"; yosys-smt2-assert (\d+) (\S+)", model)}
    end = time.monotonic() + seconds

    def question(base, last, proven, asked):
        """SMT-LIB: cycles 0 to last; is one of the properties `asked` false in the last?"""
        lines = ["(set-logic QF_BV)", model]
        for t in range(last + 1):
            lines.append(f"(declare-fun s{t} () |proof_s|)")
            lines.append(f"(assert (|proof_h| s{t})) (assert (|proof_u| s{t}))")
            if t:
                lines.append(f"(assert (|proof_t| s{t - 1} s{t}))")
                lines.append(f"(assert (|proof_a| s{t - 1}))")
        lines.append(f"(assert (|proof_{'i' if base else 'is'}| s0))" if base else "")
        lines += [f"(assert (|proof_a {number[name]}| s{last}))" for name in proven]
        lines.append(f"(assert (not (and true {' '.join(f'(|proof_a {number[name]}| s{last})' for name in asked)})))")
        return "\n".join([*lines, "(check-sat)", ""])

    def show(base, last):
        """(property that does not follow, answer) or None."""
        proven = []
        left = list(order)
        while left:
            group = left[:GROUP]
            if len(group) > 1 and z3(question(base, last, proven, group), GROUP_SECONDS) == "unsat":
                proven += group
            else:
                for name in group:
                    answer = z3(question(base, last, proven, [name]), max(end - time.monotonic(), 1))
                    if answer != "unsat":
                        return name, answer
                    proven.append(name)
            left = left[len(group):]
        return None

    for t in range(k):
        failed = show(True, t)
        if failed:
            return Verdict(False, failed[0] if failed[1] == "sat" else "", t, f"base case: {failed[0]} {failed[1]}")
    failed = show(False, k)
    if failed:
        return Verdict(False, note=f"induction step: {failed[0]} {failed[1]}")
    return Verdict(True)


def abc(folder, command, seconds):
    """Output of an ABC command on folder/model.aig."""
    script = f"read_aiger {folder}/model.aig; fold; strash; {command}"
    try:
        run = subprocess.run([abc_path(), "-c", script], capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return ""
    if run.returncode < 0:
        return f"ABC was ended by signal {-run.returncode}"
    return re.sub(r"\x1b\[[0-9;]*m", "", run.stdout)


def output_names(folder):
    """Names of the AIGER outputs, in order."""
    names = {}
    for line in (folder / "model.map").read_text().splitlines():
        kind, *rest = line.split()
        if kind == "output":
            names[int(rest[0])] = rest[2].removeprefix("fail_")
    return names


SAT = """\
import sys
from pysat.formula import CNF
from pysat.solvers import Cadical195
print(Cadical195(bootstrap_with=CNF(from_file=sys.argv[1])).solve())
"""     # a process of its own, because CaDiCaL cannot be interrupted


def unrolled(folder, depth, seconds):
    """Every run of `depth` cycles from reset, as one question to CaDiCaL: can any output be asserted in any cycle?

    ABC copies the circuit once for each cycle and simplifies the copies together, which takes out most of what does not
    depend on the inputs. A counterexample is looked for again by `bounded`, which names it.
    """
    end = time.monotonic() + seconds
    cnf = folder / "model.cnf"
    out = abc(folder, f"frames -i -F {depth}; orpos; dc2; write_cnf {cnf}", seconds)
    if not cnf.exists():
        return Verdict(False, note=(out.strip().splitlines() or [f"no answer within {seconds:.0f} s"])[-1])
    try:
        run = subprocess.run([sys.executable, "-c", SAT, cnf], capture_output=True, text=True,
                             timeout=max(end - time.monotonic(), 1))
    except subprocess.TimeoutExpired:
        return Verdict(False, note=f"no answer within {seconds:.0f} s")
    answer = run.stdout.strip()
    if run.returncode or answer not in ("True", "False"):
        raise SolverError(f"CaDiCaL: {(run.stderr.strip().splitlines() or [answer or 'no answer'])[-1]}")
    if answer == "False":
        return Verdict(True)
    return bounded(folder, depth, max(end - time.monotonic(), 1))


def bounded(folder, depth, seconds, all_outputs=False):
    """Every run of `depth` cycles from reset; the first counterexample otherwise.

    all_outputs: look for a counterexample of each; then `failed` is set only when all were found.
    """
    out = abc(folder, f"bmc3 {'-a ' if all_outputs else ''}-F {depth}", seconds)
    names = output_names(folder)
    told = re.findall(r'Output +(\d+) (?:of miter ".*" )?was asserted in frame +(\d+)', out)
    found = [(int(n), int(t)) for n, t in told]
    if found and (not all_outputs or len(found) == len(names)):
        return Verdict(False, names[found[0][0]], max(t for _, t in found))
    if found:
        missing = sorted(set(names.values()) - {names[n] for n, _ in found})
        return Verdict(False, note=f"{', '.join(missing)}: no such run in {depth} cycles")
    if re.search(rf"No output (was )?asserted in {depth} frames", out):
        return Verdict(True)
    return Verdict(False, note=(out.strip().splitlines() or [f"no answer within {seconds:.0f} s"])[-1])


def pdr(folder, seconds):
    """IC3/PDR: an inductive invariant that implies the properties, checked once more by ABC itself."""
    out = abc(folder, "pdr -a", seconds)
    found = re.search(r"Output (\d+) was asserted in frame +(\d+)", out)
    if found:
        return Verdict(False, output_names(folder)[int(found[1])], int(found[2]))
    if re.search(r"All = (\d+)\. Proved = \1\.", out) or "Property proved" in out:
        return Verdict(True)
    return Verdict(False, note=(out.strip().splitlines() or [f"no answer within {seconds:.0f} s"])[-1])


def lemma(text, seconds):
    """An arithmetic formula, negated: it holds when there is no model."""
    answer = z3(text, seconds)
    return Verdict(answer == "unsat", "lemma" if answer == "sat" else "", 0, answer)
