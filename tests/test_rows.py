# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/rows.py: the mask of every beat of every row length, on its generated Verilog; and the row's parameters."""

import functools

import numpy as np
import pytest
from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import LiteNormConfig, rows
from litenorm.accel import constants as c
from litenorm.sim.verilated import StreamDut

MAX_LENGTH = 40


class Masks(LiteXModule):
    """A LaneMask between streams: a beat's `length` in, its mask out in the same cycle."""

    def __init__(self, config):
        self.unit = unit = rows.LaneMask(config)
        self.sink = sink = stream.Endpoint([("length", config.length_bits)])
        self.source = source = stream.Endpoint([("mask", config.lanes)])
        self.comb += [
            sink.connect(source, omit={"length"}),
            unit.length.eq(sink.length),
            unit.advance.eq(sink.valid & sink.ready),
            unit.last.eq(sink.last),
            source.mask.eq(unit.mask),
        ]


@functools.cache
def masks():
    """The masks of every lane count, side by side."""
    module = LiteXModule()
    sinks, sources = {}, {}
    for lanes in c.LANES:
        unit = Masks(LiteNormConfig(lanes=lanes, max_length=MAX_LENGTH))
        setattr(module, f"lanes{lanes}", unit)
        sinks[f"sink{lanes}"], sources[f"source{lanes}"] = unit.sink, unit.source
    return StreamDut(module, sinks, sources, name="lane_masks")


@pytest.mark.parametrize("stalled", [False, True])
@pytest.mark.parametrize("lanes", c.LANES)
def test_every_length_in_every_row(lanes, stalled):
    """All valid lengths of all rows up to max_length, shuffled: nothing of a row is left for the next."""
    dut = masks()
    pairs = [(n, length) for n in range(1, MAX_LENGTH + 1) for length in range(1, n + 1)]
    pairs = np.random.default_rng(lanes).permutation(pairs)
    counts = -(-pairs[:, 0] // lanes)
    beats = dut.sinks[f"sink{lanes}"].beats(counts.sum())
    beats["length"] = np.repeat(pairs[:, 1], counts)
    beats["last"][np.cumsum(counts) - 1] = 1
    beats["first"] = np.roll(beats["last"], 1)
    stall = {f"sink{lanes}": 0.3, f"source{lanes}": 0.3} if stalled else {}
    result = dut.run({f"sink{lanes}": beats}, stall=stall, seed=lanes, expect={f"source{lanes}": len(beats)})
    got = result[f"source{lanes}"].packets(1, field="mask")
    for row, (n, length) in zip(got, pairs, strict=True):
        assert np.array_equal(row, np.arange(len(row)) < length), f"N {n}, length {length}"


def test_params_hold_their_largest_values():
    config = LiteNormConfig()
    bits = dict(rows.row_params(config))
    assert len(c.OPS) <= 1 << bits["op"] and config.max_length < 1 << bits["length"]
    assert [name for name, _ in rows.affine_params()] == ["affine", "out_s8", "affine_shift", "beta_shift"]
    assert all(field in rows.row_params(config) for field in rows.affine_params())
    assert rows.OP == {"softmax": 0, "layernorm": 1, "rmsnorm": 2}


def test_only():
    layout = rows.row_params(LiteNormConfig())
    assert rows.only(layout, "length", "op") == [layout[0], layout[2]]      # in the layout's order
