# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""sim/netlist.py: the core as cells of an ECP5 gives the model's codes, and a changed LUT is found."""

import re

import pytest

from litenorm.accel import LiteNormConfig
from litenorm.sim import netlist
from litenorm.sim.errors import BuildError, MissingTool, SimulationError

CONFIG = LiteNormConfig(lanes=2, max_length=16)
SMALL = LiteNormConfig(lanes=1, max_length=16, ops="softmax", formats="u8_255", inputs="s8")


def test_netlist_equals_the_model():
    """All operations and formats, gamma and beta, stalls, resets."""
    dut = netlist.netlist_dut(CONFIG)
    text = dut.verilog
    # What was compiled is the netlist: cells, and no statement of the RTL.
    top = re.search(r"^module lite_norm\(.*?^endmodule", text, flags=re.M | re.S)[0]
    assert "always" not in top and len(re.findall(r"^  LUT4 #", top, flags=re.M)) == dut.cells["LUT4"] > 1000
    assert {"CCU2C", "TRELLIS_FF", "MULT18X18D", "PFUMX"} <= set(dut.cells)
    compared, after = netlist.check(dut, CONFIG, 100, 1)
    assert compared > 400 and after > 0


def test_a_changed_lut_is_found():
    """In a core of one operation: it takes a quarter of the time."""
    dut = netlist.netlist_dut(SMALL, fault=0)
    assert re.fullmatch(r"LUT \S+: init [0-9a-f]{4} became [0-9a-f]{4}", dut.planted)
    with pytest.raises(SimulationError):
        netlist.check(dut, SMALL, 100, 1)


def test_without_yosys(monkeypatch):
    monkeypatch.setattr(netlist, "find_spec", lambda name: None)
    with pytest.raises(MissingTool, match="pyosys is not installed: pip install -r requirements-formal.txt"):
        netlist.netlist("module top(); endmodule", "top")


def test_refuses_cells_without_a_model():
    with pytest.raises(BuildError, match="a cell ALU54B, of which there is no model"):
        netlist.cell_models({"LUT4", "ALU54B"})


@pytest.mark.parametrize("kind,parameters,connections,text", [
    ("DP16KD", dict(REGMODE_A="OUTREG"), {}, "REGMODE_A is OUTREG, which the model has not; it has NOREG"),
    ("DP16KD", dict(DATA_WIDTH_B=f"{18:032b}"), {}, "read with 18"),
    ("DP16KD", dict(INITVAL_03="1".zfill(320)), {}, "has contents"),
    ("DP16KD", {}, dict(RSTB=[7]), "RSTB is not 0"),
    ("MULT18X18D", dict(REG_OUTPUT_CLK="CLK0"), {}, "has registers"),
])
def test_refuses_what_a_model_has_not(kind, parameters, connections, text):
    width = f"{36:032b}"
    base = dict(DATA_WIDTH_A=width, DATA_WIDTH_B=width) if kind == "DP16KD" else {}
    cell = {"type": kind, "parameters": base | parameters, "connections": connections}
    with pytest.raises(BuildError, match=text):
        netlist.check_cells({"cells": {"x": cell}})
    netlist.check_cells({"cells": {"x": cell | {"parameters": base, "connections": {}}}})


def test_command_refuses(capsys):
    assert netlist.main(["--lanes", "3"]) == 1
    error = capsys.readouterr().err
    assert "lanes is 3; good: 1, 2, 4, 8, 16" in error and error.count("\n") == 1
    with pytest.raises(SystemExit):
        netlist.main(["--rows", "0"])
