# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The quick proofs with their planted bugs, and the tools around them: `make formal` runs all proofs."""

import subprocess
import sys

import pytest

from litenorm.formal import __main__ as command
from litenorm.formal import lemmas, solve
from litenorm.formal.check import Job, jobs_of, judge, run_job
from litenorm.formal.edits import ROOT, Assign, Edit
from litenorm.formal.proofs import PROOFS, Proof
from litenorm.formal.solve import Verdict

# One of each method and of each subject, a few seconds each.
QUICK = ("square_root_multiplied", "telescoping_1", "softmax_total", "layernorm_zero", "floors", "cap_rule",
         "softmax_row_3", "exponential_stream", "reader_fifo", "core_ready_path", "dma_window")


@pytest.mark.parametrize("name", QUICK)
def test_proof_holds_and_its_planted_bugs_are_found(name, tmp_path, monkeypatch):
    monkeypatch.setenv("LITENORM_BUILD", str(tmp_path))
    assert PROOFS[name].quick
    for job in jobs_of(PROOFS[name]):
        result = run_job(job, use_cache=False)
        assert result.expected, f"{name}, {job.title}: {result.verdict}"


def test_all_planted_bugs_fit_their_sources():
    for proof in PROOFS.values():
        for edit in filter(None, proof.bugs.values()):
            text = (ROOT / edit.file).read_text()
            assert edit.apply(text) != text


def test_a_second_run_is_found_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LITENORM_BUILD", str(tmp_path))
    job = Job("horner", "proof")
    assert not run_job(job).cached
    again = run_job(job)
    assert again.cached and again.expected


@pytest.mark.parametrize("kind, verdict, expected", [
    ("proof", Verdict(True), True),
    ("proof", Verdict(False, "sum", 7), False),
    ("proof", Verdict(False, note="no answer within 5 s"), False),
    ("bug", Verdict(True), False),
    ("bug", Verdict(False, "sum", 7), True),
    ("bug", Verdict(False, note="no answer within 5 s"), False),
    ("reached", Verdict(True), False),
    ("reached", Verdict(False, "reach_0", 7), True),
])
def test_only_a_proof_or_a_counterexample_counts(kind, verdict, expected):
    assert judge(Job("divider", kind, "x"), verdict, 0).expected is expected


def test_solver_tells_a_wrong_lemma_from_a_right_one():
    assert solve.lemma(lemmas.horner(), 60).holds
    assert solve.lemma(lemmas.horner(wrong=True), 60).failed


def test_exit_code_and_message_when_a_proof_fails(monkeypatch, capsys):
    monkeypatch.setattr(command, "run_job", lambda job, use_cache: judge(job, Verdict(True), 0))
    assert command.main(["horner"]) == 1       # the planted error of the lemma is not found
    assert "1 of 2 not as expected: horner (bug: adds twice)" in capsys.readouterr().out


def test_unknown_name_is_one_line_and_exit_1(capsys):
    assert command.main(["nothing"]) == 1
    assert "unknown proof nothing; known: divider" in capsys.readouterr().err


def test_edits_that_do_not_fit_say_so():
    with pytest.raises(ValueError, match="holds 'x' 2 times; good: 1"):
        Edit("accel/core.py", "x", "y").apply("x + x")
    with pytest.raises(ValueError, match="assigns WIDTH 0 times; good: 1"):
        Assign("accel/core.py", "WIDTH", "3").apply("LENGTH = 4\n")
    assert Assign("accel/core.py", "WIDTH", "3").apply("WIDTH = 4   # bits\n") == "WIDTH = 3\n"


def test_a_proof_needs_a_planted_bug():
    with pytest.raises(ValueError, match="no planted bug"):
        Proof("p", "", "", "division:DividerProof", "induction", {})
    with pytest.raises(ValueError, match="good: induction"):
        Proof("p", "", "", "division:DividerProof", "guess", {"b": None})


def test_listing_needs_no_tools():
    run = subprocess.run([sys.executable, "-m", "litenorm.formal", "--list"], capture_output=True, text=True)
    assert run.returncode == 0 and len(run.stdout.splitlines()) == len(PROOFS)
