# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""`litenorm bench --sim`: the real firmware on the simulated SoC, over its serial port, checked on the host."""

import json

import pytest

from litenorm.sim import cli


@pytest.mark.parametrize("core", [True, False], ids=["core", "no core"])
def test_bench_of_the_simulation(core, tmp_path, capsys):
    """Exit 0 only when every element and sum, and the firmware's own tests, are right."""
    file = tmp_path / "bench.json"
    arguments = ["--sim", "--lengths", "16,40", "--json", str(file)] + ([] if core else ["--no-accel", "--no-layer"])
    layer = ["--text", "And"] if core else []
    assert cli.main(["bench", *arguments, *layer]) == 0, capsys.readouterr()
    data = json.loads(file.read_text())
    assert data["ok"] and data["simulated"] and (data["line_errors"], data["resets"]) == (0, 0)
    assert data["soc"].startswith("LiteNorm simulation SoC, id ") and data["clock"] == 100_000_000
    assert data["selftest"]["passed"] == data["selftest"]["tests"] > 10 * core and not data["selftest"]["failed"]
    paths = {"accel", "cpu", "float"} if core else {"cpu", "float"}
    assert {row["path"] for row in data["rows"]} == paths
    assert {row["n"] for row in data["rows"]} == {16, 40}
    checked = [row for row in data["rows"] if row["path"] != "float"]
    assert len({(row["op"], row["input"], row["format"]) for row in checked}) == 8
    assert all(row["wrong_elements"] == row["wrong_sums"] == 0 < row["cycles"] for row in checked)
    if core:
        cycles = {(row["path"], row["n"]): row["cycles"] / row["rows"] for row in data["rows"]
                  if (row["op"], row["input"], row["format"]) == ("softmax", "s8", "u8_255")}
        assert 5 * cycles["accel", 40] < cycles["cpu", 40] < cycles["float", 40]
        assert data["layer"]["mismatches"] == 0 < data["layer"]["elements"] and data["core"]["lanes"] == 4
    else:
        assert data["core"] is None and data["layer"] is None
        assert "this SoC has no LiteNorm core" in capsys.readouterr().out
