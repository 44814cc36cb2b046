# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""bench/resources.py: cells of an ECP5, cores of both back ends, the command."""

import json

import pytest

from litenorm.bench import resources
from litenorm.bench.area import Area
from litenorm.bench.resources import Ecp5

TEXT = """
module counted(input clk, input [3:0] a, input [10:0] at, input signed [17:0] x, y, output reg q, output reg [7:0] r,
               output signed [35:0] p);
reg [7:0] stored[0:2047];
assign p = x * y;
always @(posedge clk) begin
    q <= &a;
    r <= stored[at];
    if (a[0]) stored[at] <= x[7:0];
end
endmodule
"""


def test_cells_of_an_ecp5(tmp_path, monkeypatch):
    monkeypatch.setenv("LITENORM_BUILD", str(tmp_path))
    assert resources.ecp5(TEXT, "counted") == Ecp5(lut=1, ff=1, ebr=1, dsp=1)
    monkeypatch.setattr(resources, "run", None)     # the second time no tool is called
    assert resources.ecp5(TEXT, "counted").dsp == 1


def test_configs_are_those_of_the_table():
    names = [(resources.name_of(config), config.max_length) for config in resources.configs()]
    cores = ["serial, area", "serial, balanced", "1 lane", "2 lanes", "4 lanes", "8 lanes", "16 lanes"]
    assert names == [(core, n) for core in cores for n in (64, 256, 1024)]


def test_command(tmp_path, capsys):
    file, plot = tmp_path / "figures.json", tmp_path / "plot.svg"
    assert resources.main(["--lanes", "--size", "area", "--max-length", "16", "--json", str(file), "--plot",
                           str(plot)]) == 0
    (figures,) = json.loads(file.read_text())
    assert figures["core"] == "serial, area" and figures["max_length"] == 16
    assert all(figures[name] > 0 for name in ("gates", "flip_flops", "memory_bits", "lut", "ff"))
    assert "serial, area" in capsys.readouterr().out
    assert plot.read_text().startswith("<?xml") and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("arguments", "message"), [
    (["--lanes", "3"], "lanes is 3; good: 1, 2, 4, 8, 16"),
    (["--lanes", "--size"], "there is neither --lanes nor --size: name one or more cores"),
    (["--plot", "area.pdf"], "area.pdf is neither .svg nor .png"),
    (["--json", "no/such/folder.json"], "no/such is not a folder"),
])
def test_command_says_what_is_wrong(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(resources, "measure", None)
    assert resources.main(arguments) == 1
    assert message in capsys.readouterr().err


def test_plot_has_each_core():
    results = [(config, Area(1000.0 * config.lanes, 10, 100), Ecp5(config.lanes, 1, 1, 1))
               for config in resources.configs(lanes=(1, 4), sizes=("area",))]
    figure = resources.draw(results)
    for axis in figure.axes:
        assert len(axis.get_xticks()) == 3
        assert sorted(len(line.get_xdata()) for line in axis.lines) == [1] * 3 + [2] * 3
    resources.draw(results[:3])     # one back end alone
