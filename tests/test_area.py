# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""bench/area.py: what it counts, and that it counts once. The units' areas are pinned in tests/test_serial_*.py."""

import subprocess

import pytest

from litenorm.accel import LiteNormConfig
from litenorm.bench import area

TEXT = """
module counted(input clk, input [1:0] a, input [3:0] at, input we, output reg q, output [6:0] r);
reg [6:0] stored[0:15];
reg [6:0] unread[0:15];
assign r = stored[at];
always @(posedge clk) begin
    q <= ~&a;
    if (we) stored[at] <= {7{a[0]}};
    if (we) unread[at] <= {7{a[1]}};
end
endmodule
"""


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A build folder with nothing kept."""
    monkeypatch.setenv("LITENORM_BUILD", str(tmp_path))
    return tmp_path


def test_gates_flip_flops_and_memories(empty):
    """A NAND gate and a flip-flop; one memory, for the other is never read."""
    gates = "module counted(input clk, input [1:0] a, output reg q); always @(posedge clk) q <= ~&a; endmodule"
    assert area.area(gates, "counted") == area.Area(pytest.approx(1 + 5.33), 1, 0)
    stored = area.area(TEXT, "counted")
    assert (stored.flip_flops, stored.memory_bits) == (1, 7 * 16)


def test_kept(empty, monkeypatch):
    first = area.area(TEXT, "counted")

    def no_more(*_, **__):
        raise AssertionError("synthesis again")

    monkeypatch.setattr(subprocess, "run", no_more)
    assert area.area(TEXT, "counted") == first
    with pytest.raises(AssertionError):
        area.area(TEXT.replace("~&a", "~|a"), "counted")


def test_a_failure_leaves_nothing(empty):
    with pytest.raises(OSError, match="yosys failed: "):
        area.area("module counted(input a; endmodule", "counted")
    assert not list(empty.rglob("*.json"))


def test_self_check_is_a_part_of_the_core():
    """Sums, promises and their queue go, and nothing else: what is left is smaller than the core, and not empty."""
    config = LiteNormConfig(backend="serial", ops="softmax", max_length=16)
    whole, part = area.core_area(config), area.check_area(config)
    assert 0.2 * whole.gates < part.gates < 0.6 * whole.gates
    assert part.memory_bits > 0 and whole - part == area.core_area(config, checked=False)
