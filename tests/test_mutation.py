# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The mutation check: faults are caught, a change without effect is not, one that cannot be planted is an error."""

import json

import pytest

from litenorm.accel import LiteNorm
from litenorm.sim import mutants, mutation
from litenorm.sim.errors import BuildError, SimulationError
from litenorm.sim.mutants import FAULTS, Fault
from litenorm.sim.mutation import Examination, Verdict
from litenorm.sim.rowcheck import core_dut
from litenorm.sim.verilog import to_verilog

UNITS = {"rows.py", "statistics.py", "exponential.py", "row_constants.py", "divider.py", "variance.py", "normalizer.py",
         "requantize.py", "core.py", "self_check.py", "buffers.py"}


@pytest.fixture(scope="module")
def verilog():
    """The text that faults are planted in, without compiling it."""
    texts = []

    def keep(module, sinks, sources, signals):
        ios = dict(signals)
        for name, endpoint in {**sinks, **sources}.items():
            for key in ("valid", "ready", "first", "last"):
                ios[f"{name}_{key}"] = getattr(endpoint, key)
            for part in ("payload", "param"):
                for key, _ in getattr(endpoint.description, f"{part}_layout"):
                    ios[f"{name}_{part}_{key}"] = getattr(getattr(endpoint, part), key)
        texts.append(to_verilog(module, "litenorm", ios))

    core_dut(LiteNorm(mutants.CONFIG), keep)
    return texts[0]


def test_each_fault_can_be_planted_and_says_what_it_is(verilog):
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 20
    for fault in FAULTS:
        assert fault.plant(verilog) != verilog
        assert fault.unit in UNITS and fault.what
    assert {fault.unit for fault in FAULTS} == UNITS
    assert sum(bool(fault.survives) for fault in FAULTS) < len(FAULTS) / 10


def test_text_that_does_not_occur_once_is_an_error():
    fault = Fault("f", "core.py", "nothing", (("a", "b"),))
    assert fault.plant("cat") == "cbt"
    for text in ("dog", "banana"):
        with pytest.raises(ValueError, match="fault f: 'a' occurs . times in the Verilog; it must occur once"):
            fault.plant(text)
    with pytest.raises(ValueError, match="no fault f; there is length_off_by_one, "):
        mutants.by_name("f")


def test_three_faults_are_caught(tmp_path, capsys):
    """One by its rows, one by the resets, and the dead self-check by the fault that it should have reported."""
    path = tmp_path / "mutants.json"
    names = ["swapped_lanes", "no_reset_of_first", "self_check_dead"]
    assert mutation.main(["--only", *names, "--json", str(path)]) == 0
    result = json.loads(path.read_text())
    assert result["ok"] and [f["fault"] for f in result["faults"]] == names
    assert [f["check"].split(",")[0] for f in result["faults"]] == ["rows", "resets", "self-check"]
    assert all(f["caught"] and f["rows"] > 0 and f["message"] for f in result["faults"])
    assert "3 of 3 faults caught, 0 known to survive" in capsys.readouterr().out


def test_change_without_effect_is_not_caught():
    """The operands of a sum change places: every check runs, and none fails."""
    fault = Fault("none", "normalizer.py", "nothing", (
        ("(normalizer_base + normalizer_p1_0)", "(normalizer_p1_0 + normalizer_base)"),))
    check, rows, message = Examination(fault.plant).run()
    assert (check, message) == ("", "")
    assert rows > 4 * mutation.ROWS


def test_fault_that_is_no_verilog_is_an_error_and_not_caught():
    fault = Fault("broken", "core.py", "nothing", (("assign row_done = ", "assign row_done = = "),))
    with pytest.raises(BuildError, match="verilator failed"):
        Examination(fault.plant).run()


def test_sound_core_that_fails_is_an_error(monkeypatch):
    monkeypatch.setattr(Examination, "run", lambda self: ("rows, no stall", 3, "row 2 differs"))
    with pytest.raises(SimulationError, match="the core fails without any fault, in the check rows, no stall: row 2"):
        mutation.examine_sound()


CASES = {
    "caught": (Verdict("a", "core.py", "what", "rows, no stall", 3, "row 2"), 0, "1 of 1 faults caught"),
    "survivor": (Verdict("a", "core.py", "what", "", 999, ""), 1, "a (core.py) survived all checks"),
    "known_survivor": (Verdict("a", "core.py", "what", "", 999, "", "no one looks"), 0, "a: no one looks."),
    "known_survivor_is_caught": (Verdict("a", "core.py", "what", "resets", 9, "row 2", "no one looks"), 1,
                                 "a (core.py) was caught, and is said to survive: row 2"),
}


@pytest.mark.parametrize("name", CASES)
def test_exit_code_and_table(name, monkeypatch, capsys):
    verdict, code, text = CASES[name]
    monkeypatch.setattr(mutation, "run", lambda chosen, jobs: [verdict])
    assert mutation.main(["--only", "swapped_lanes"]) == code
    out = capsys.readouterr().out
    assert text in out and "after rows" in out


def test_bad_arguments(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(mutation, "run", lambda chosen, jobs: pytest.fail("must not run"))
    for arguments, text in ((["--only", "nonsense"], "mutation: error: no fault nonsense; there is length_off_by_one"),
                            (["--jobs", "0"], "mutation: error: --jobs is 0; good: 1 or more"),
                            (["--json", str(tmp_path / "no" / "f.json")], "is not a folder")):
        assert mutation.main(arguments) == 1
        assert text in capsys.readouterr().err
    assert mutation.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(fault.name in listed for fault in FAULTS)
