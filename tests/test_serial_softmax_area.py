# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/serial/softmax_area.py: its Verilog against the model, its area and its cycles.

`python -m litenorm.sim.serialcheck --size area --rows 1000000` runs more rows.
"""

import functools

import numpy as np
import pytest

from litenorm.accel import LiteNormConfig
from litenorm.accel.serial.units import unit_class
from litenorm.bench.area import unit_area
from litenorm.sim.cosim import StreamCoSim
from litenorm.sim.serialcheck import (
    pass_cycles,
    random_rows,
    random_softmax_rows,
    run_unit,
    run_unit_reset,
    softmax_rows,
    unit_dut,
)
from litenorm.sim.verilated import Stall

SIZE = "area"
ROWS = 12_000
GATES = {("u8_255",): 802, ("u8_255", "tfl_s8"): 819}
LIMIT = 900


def config_of(**options):
    options = {"formats": ("u8_255", "tfl_s8"), **options}
    return LiteNormConfig(backend="serial", ops="softmax", size=SIZE, **options)


@functools.cache
def dut_of(**options):
    return unit_dut(config_of(**options))


def test_random_rows():
    """Every code is the model's, and every sum is exact."""
    rng = np.random.default_rng(1)
    run_unit(dut_of(), random_softmax_rows(rng, dut_of(), config_of(), ROWS))


@pytest.mark.parametrize("stall", [{"sink": 0.6, "source": 0.9}, {"sink": Stall(0.9, burst=200)},
                                   {"source": Stall(0.95, burst=3000)}])
def test_stalls(stall):
    rng = np.random.default_rng(2)
    run_unit(dut_of(), random_softmax_rows(rng, dut_of(), config_of(), 300), stall, seed=2)


@pytest.mark.parametrize("tfl", [0, 1])
@pytest.mark.parametrize("n", [1, 2, 3, 255, 256, 257, 1023, 1024])
def test_rows_of_equal_elements_and_of_one_peak(n, tfl):
    x = np.full((4, n), 127)
    x[1] = -128
    x[2, :-1] = -128
    x[3, 1:] = -128
    run_unit(dut_of(), softmax_rows(dut_of(), config_of(), x, 7680, tfl))


@pytest.mark.parametrize("k", [0, 1, 127, 128, 4095, 7679, 7680])
def test_every_distance_at_the_ends_of_the_scale(k):
    """All 256 distances to the maximum: no exponent comes round again."""
    x = np.stack([np.full(256, -128), np.arange(-128, 128)], axis=1)
    x = np.concatenate([x, x[:, ::-1]])
    run_unit(dut_of(), softmax_rows(dut_of(), config_of(), x, k))


@pytest.mark.parametrize("max_length", [2, 512])
def test_shorter_cores_give_the_same_codes(max_length):
    rng = np.random.default_rng(3)
    config = config_of(max_length=max_length)
    dut = unit_dut(config)
    run_unit(dut, random_softmax_rows(rng, dut, config, 500))


def test_reset_at_any_cycle():
    """After a reset in mid-row the next row that starts is right."""
    rng = np.random.default_rng(4)
    for cycle in rng.integers(100, 20_000, 25).tolist():
        rows = softmax_rows(dut_of(), config_of(), random_rows(rng, 20, 6), int(rng.integers(1, 7681)))
        assert run_unit_reset(dut_of(), rows, cycle) > 0


def test_cosimulation_without_initial_values():
    """Four-valued and as in an ASIC: nothing that a row gives depends on what the registers held."""
    config = config_of()
    dut = unit_dut(config, StreamCoSim, regs_init=False)
    x = np.array([[3, -5, 20], [127, -128, -128], [0, 0, 0]])
    for tfl in (0, 1):
        run_unit(dut, softmax_rows(dut, config, x[:2] if tfl else x, 3000, tfl))


@pytest.mark.parametrize("formats", GATES)
def test_area(formats):
    """`python -m litenorm.bench.area --serial` prints it."""
    gates = unit_area(config_of(formats=formats)).gates
    assert gates == pytest.approx(GATES[formats], rel=0.03) and gates <= LIMIT


@pytest.mark.parametrize("n", [2, 64, 1024])
def test_cycles(n):
    """The row whose last element has all takes the most, and exactly what `cycles` says."""
    x = np.full((2, n), -128)
    x[:, -1] = 127
    limits = list(unit_class(config_of()).cycles(config_of(), n).values())
    limits[2] += 27     # between two rows
    assert pass_cycles(dut_of(), softmax_rows(dut_of(), config_of(), x, 7680))[:3] == limits


def test_cycles_of_equal_elements():
    """Every code is 1 or more: 2 turns an element, and 255 for the codes."""
    x = np.zeros((2, 100), np.int64)
    assert pass_cycles(dut_of(), softmax_rows(dut_of(), config_of(), x, 7680))[2] == 27 * (2 * 100 + 255 + 1)
