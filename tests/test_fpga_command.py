# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""fpga/command.py: `litenorm build` from the command line, with builds that are made up."""

import json

import pytest

from litenorm.fpga import command, flow
from litenorm.fpga.report import Clock, Placed, TimingNotMet
from litenorm.sim import cli
from litenorm.sim.errors import MissingTool

PLACED = Placed(
    "ecp5",
    {"TRELLIS_COMB": 1200, "TRELLIS_FF": 800, "DP16KD": 9, "MULT18X18D": 4},
    {"TRELLIS_COMB": 43848, "TRELLIS_FF": 43848, "DP16KD": 108, "MULT18X18D": 72},
    (Clock("sys", 61.5, 50.0), Clock("por_clk", 210.0, 100.0)))


@pytest.fixture
def builds(monkeypatch, tmp_path):
    """Calls of flow.build, which gives a bitstream that is made up, and of flow.load."""
    seen = []

    def build(board, arguments, folder, stage, seeds=None, timing_allow_fail=False, bitstream=True):
        seen.append((board.name, arguments, folder, seeds and tuple(seeds), timing_allow_fail, bitstream))
        if not bitstream:
            return flow.Built(folder)
        return flow.Built(folder, folder / "gateware/top.bit", "LFE5U-45F", PLACED, 2, ((1, 55.0), (2, 61.5)))

    monkeypatch.setenv("LITENORM_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(flow, "build", build)
    monkeypatch.setattr(flow, "check_loader", lambda: None)
    monkeypatch.setattr(flow, "load", lambda board, bitstream: seen.append((board.name, bitstream)))
    return seen


def test_table_and_path(builds, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["build", "ulx3s-45f", "--build", "--seeds", "2"]) == 0
    printed = capsys.readouterr().out
    for row in (("LUT", "1,200", "43,848", "3"), ("FF", "800", "43,848", "2"), ("EBR", "9", "108", "8"),
                ("DSP", "4", "72", "6"), ("clock sys,", "MHz", "61.50", "50.00", "met")):
        assert any(all(cell in line for cell in row) for line in printed.splitlines()), row
    assert "seed 2 of 1: 55.00, 2: 61.50 MHz" in printed
    assert "bitstream: build/boards/ulx3s-45f/gateware/top.bit" in printed
    assert builds == [("ulx3s-45f", [], tmp_path / "build/boards/ulx3s-45f", (1, 2), False, True)]


def test_flags_go_to_the_target_script(builds, tmp_path):
    assert cli.main(["build", "ulx3s-85f", "--build", "--lanes", "8", "--max-length", "256", "--timing-allow-fail",
                     "--sys-clk-freq", "40e6", "--", "--cpu-variant", "full"]) == 0
    arguments = ["--sys-clk-freq", "40000000.0", "--lanes", "8", "--max-length", "256", "--cpu-variant", "full"]
    assert builds[0][1] == arguments and builds[0][4] is True
    assert cli.main(["build", "ulx3s-85f", "--no-litenorm"]) == 0
    assert builds[1][1] == ["--no-litenorm"] and builds[1][2] == tmp_path / "build/boards/ulx3s-85f-plain"
    assert builds[1][5] is False


def test_json(builds, tmp_path):
    file = tmp_path / "out.json"
    assert cli.main(["build", "ulx3s-45f", "--build", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert figures["lut"] == [1200, 43848] and figures["fmax"] == 61.5 and figures["target"] == 50
    assert figures["met"] is True and figures["seed"] == 2 and figures["board"] == "ulx3s-45f"


def test_build_and_load(builds, tmp_path):
    bitstream = tmp_path / "build/boards/ulx3s-45f/gateware/top.bit"
    assert cli.main(["build", "ulx3s-45f", "--build", "--load"]) == 0
    assert builds[1] == ("ulx3s-45f", bitstream)
    bitstream.parent.mkdir(parents=True)
    bitstream.touch()
    assert cli.main(["build", "ulx3s-45f", "--load"]) == 0  # what was built before
    assert builds[2:] == [("ulx3s-45f", bitstream)]


@pytest.mark.parametrize("arguments, text", (
    (["nexys"], "'nexys' is no known board; good: ulx3s-25f, ulx3s-45f"),
    (["ulx3s-45f", "--seeds", "0"], "--seeds is 0; good: 1 or more"),
    (["ulx3s-45f", "--json", "x.json"], "give --build as well"),
    (["ulx3s-45f", "--load"], "has no bitstream: give --build"),
    (["ulx3s-45f", "--build", "--json", "/"], "/ is a folder: name a JSON file"),
    (["arty-a7-35", "--build", "--json", "x.json"], "--json and --seeds belong to boards that nextpnr places"),
    (["ulx3s-45f", "--load", "--lanes", "8"], "--load alone sends the bitstream that is there: give --build"),
    (["ulx3s-45f", "--seeds", "2"], "--seeds belongs to a bitstream: give --build as well"),
    (["ulx3s-45f", "--", "--output-dir", "out"], "--output-dir behind -- has no effect; good: give it before --"),
    (["ulx3s-45f", "--", "--csr-json=csr.json"], "--csr-json behind -- has no effect; good: soc.json in the output"),
    (["ulx3s-45f", "--", "--help"], "python -m litenorm.soc.targets.ulx3s --help lists the flags"),
))
def test_bad_input_is_one_line_and_exit_1(builds, capsys, arguments, text):
    assert cli.main(["build", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("litenorm: error: ") and text in error
    assert builds == []


def test_a_missing_loader_is_told_before_the_build(builds, capsys, monkeypatch):
    def check_loader():
        raise MissingTool(flow.LOADER_HELP)

    monkeypatch.setattr(flow, "check_loader", check_loader)
    assert cli.main(["build", "ulx3s-45f", "--build", "--load"]) == 1
    assert "install the Debian package openfpgaloader" in capsys.readouterr().err and builds == []


def test_timing_that_is_not_met_is_exit_1(builds, capsys, monkeypatch):
    def build(*_, **__):
        raise TimingNotMet("timing is not met: clock sys reaches 44.00 MHz and needs 50.00 MHz")

    monkeypatch.setattr(flow, "build", build)
    assert cli.main(["build", "ulx3s-45f", "--build"]) == 1
    assert "timing is not met" in capsys.readouterr().err


def test_unknown_flags_are_refused(capsys):
    with pytest.raises(SystemExit) as exit_code:
        cli.main(["build", "ulx3s-45f", "--fast"])
    assert exit_code.value.code == 2
    assert "unrecognized arguments: --fast" in capsys.readouterr().err


def test_help_lists_the_boards(capsys):
    with pytest.raises(SystemExit):
        cli.main(["build", "--help"])
    printed = capsys.readouterr().out
    assert "tang-nano-9k" in printed and "needs Vivado" in printed


def test_split_leaves_other_commands_alone():
    assert command.split(["verilog", "--", "x"]) == (["verilog", "--", "x"], [])
    assert command.split(["build", "a", "--", "--b", "--"]) == (["build", "a"], ["--b", "--"])
