# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""bench/boards.py: the page of the boards' bitstreams, from builds that are made up."""

import re
from pathlib import Path

import pytest

from litenorm.bench import boards
from litenorm.fpga import flow
from litenorm.fpga.report import Clock, Placed
from litenorm.sim.errors import BuildError
from litenorm.soc.targets.boards import BOARDS, board

PAGE = Path(__file__).parent.parent / "docs/boards.md"


def placed(lut, mhz):
    return Placed("ecp5", {"TRELLIS_COMB": lut, "TRELLIS_FF": 900, "DP16KD": 30, "MULT18X18D": 7},
                  {"TRELLIS_COMB": 40000, "TRELLIS_FF": 40000, "DP16KD": 100, "MULT18X18D": 70},
                  (Clock("sys", mhz, 50.0),))


@pytest.fixture
def builds(monkeypatch, tmp_path):
    """MHz of the core's designs, to be changed; the calls of flow.build are in `.seen`."""
    class Builds(dict):
        seen = []

    made = Builds(mhz=61.26)
    made.seen = []

    def build(board, arguments, folder, stage, seeds, timing_allow_fail):
        stage("synthesis")
        made.seen.append((board.name, arguments, seeds and tuple(seeds), timing_allow_fail))
        with_core = "--no-litenorm" not in arguments
        return flow.Built(folder, folder / "top.bit", "LFE5U-45F", placed(20000 if with_core else 8000,
                                                                         made["mhz"] if with_core else 70.0))

    monkeypatch.setattr(flow, "build", build)
    monkeypatch.setenv("LITENORM_BUILD", str(tmp_path / "build"))
    return made


def test_every_row_has_its_figures_and_its_command(builds, tmp_path, capsys):
    page = tmp_path / "boards.md"
    assert boards.main(["--boards", "ulx3s-45f", "ecpix5", "--output", str(page)]) == 0
    text = page.read_text()
    for name in ("ulx3s-45f", "ecpix5"):
        assert (f"| {name} | without | 8,000 (20 %) | 900 (2 %) | 30 (30 %) | 7 (10 %) | 70.0 | 50 | "
                f"`litenorm build {name} --build --no-litenorm` |") in text
        assert (f"| {name} | with | 20,000 (50 %) | 900 (2 %) | 30 (30 %) | 7 (10 %) | 61.3 | 50 | "
                f"`litenorm build {name} --build` |") in text
    assert "litenorm.bench.boards --boards ulx3s-45f ecpix5 --output" in text
    assert "| `arty-a7-35` | Arty A7, Artix-7 35T (needs Vivado) | DDR3, 256 MiB | native ports of LiteDRAM |" in text
    assert builds.seen == [(name, arguments, None, True) for name in ("ulx3s-45f", "ecpix5")
                           for arguments in (("--no-litenorm",), ())]
    assert "61.3" in capsys.readouterr().out


def test_a_missed_clock_is_in_the_table_and_exit_1(builds, tmp_path):
    builds["mhz"] = 49.9
    page = tmp_path / "boards.md"
    assert boards.main(["--boards", "ulx3s-45f", "--seeds", "2", "--output", str(page)]) == 1
    assert "| 49.9 | 50 missed | `litenorm build ulx3s-45f --build --seeds 2` |" in page.read_text()


def test_a_build_that_fails_leaves_the_page_as_it_was(builds, tmp_path, monkeypatch, capsys):
    def build(*_, **__):
        raise BuildError("synthesis failed")

    page = tmp_path / "boards.md"
    page.write_text("before")
    monkeypatch.setattr(flow, "build", build)
    assert boards.main(["--output", str(page)]) == 1
    assert page.read_text() == "before" and capsys.readouterr().err == "error: synthesis failed\n"


@pytest.mark.parametrize("arguments, text", (
    (["--boards", "nexys"], "'nexys' is no known board"),
    (["--seeds", "0"], "--seeds is 0; good: 1 or more"),
    (["--output", "/"], "/ is a folder"),
    (["--built"], "no bitstream of these boards is there"),
))
def test_bad_input(builds, capsys, arguments, text):
    assert boards.main(arguments) == 1
    assert text in capsys.readouterr().err and builds.seen == []


def test_the_committed_page_lists_the_boards_and_their_commands():
    page = PAGE.read_text()
    assert re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE) == list(BOARDS)
    for name, core, command in re.findall(r"^\| (\S+) \| (with|without) \|.*\| `(litenorm build .*)` \|$", page,
                                          re.MULTILINE):
        assert board(name).name in command.split() and ("--no-litenorm" in command) is (core == "without")
