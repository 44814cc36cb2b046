# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/buffers.py: parity of beats of every width. The buffers themselves are tested in the core, test_core.py."""

import numpy as np
import pytest
from litex.gen import LiteXModule
from migen import Signal

from litenorm.accel import LiteNorm, LiteNormConfig
from litenorm.accel.buffers import parity
from litenorm.sim.verilated import SignalDut
from litenorm.sim.verilog import to_verilog

WIDTHS = (1, 2, 3, 23, 64, 368)


class Parities(LiteXModule):
    """`odd` bit i: parity of the lowest WIDTHS[i] bits of `value`."""

    def __init__(self):
        self.value = Signal(max(WIDTHS))
        self.odd = Signal(len(WIDTHS))
        self.comb += [self.odd[i].eq(parity(self.value[:width])) for i, width in enumerate(WIDTHS)]


def test_parity():
    module = Parities()
    dut = SignalDut(module, {"value": module.value}, {"odd": module.odd})
    rng = np.random.default_rng(3)
    for _ in range(300):
        value = int.from_bytes(rng.bytes(max(WIDTHS) // 8), "little") & -(1 << int(rng.integers(0, 40)))
        dut.set(value=value - (value >> max(WIDTHS) - 1 << max(WIDTHS)))
        dut.settle()
        assert dut.get("odd") == sum((value & (1 << w) - 1).bit_count() % 2 << i for i, w in enumerate(WIDTHS)), value


@pytest.mark.parametrize("lanes", [1, 16])
def test_core_of_any_width_can_be_built_with_parity(lanes):
    core = LiteNorm(LiteNormConfig(lanes=lanes, parity=True))
    assert "module core" in to_verilog(core, "core", [core.sink.valid, core.row_error])
