# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/serial/trio_area.py: all three operations through its Verilog against the models, its area and its cycles."""

import functools

import numpy as np
import pytest

from litenorm.accel import LiteNormConfig
from litenorm.accel.serial.units import unit_class
from litenorm.bench.area import unit_area
from litenorm.sim.cosim import StreamCoSim
from litenorm.sim.serialcheck import (
    UnitRows,
    norm_rows,
    pass_cycles,
    random_rows,
    random_rows_of_all,
    run_unit,
    run_unit_reset,
    softmax_rows,
    unit_dut,
)
from litenorm.sim.verilated import Stall

ROWS = 2500
GATES = {("u8_255",): 1551, ("u8_255", "tfl_s8"): 1562}
LIMIT = 1600
TURN = 36


def config_of(**options):
    return LiteNormConfig(**{"backend": "serial", "size": "area", "formats": ("u8_255", "tfl_s8"), **options})


@functools.cache
def dut_of():
    return unit_dut(config_of())


def joined(parts):
    return UnitRows(*(np.concatenate([vars(p)[name] for p in parts]) for name in ("beats", "expected", "results")))


def test_random_rows_of_all_operations():
    """Every code and every y is the model's, every sum exact."""
    rng = np.random.default_rng(1)
    run_unit(dut_of(), random_rows_of_all(rng, dut_of(), config_of(), ROWS))


@pytest.mark.parametrize("stall", [{"sink": 0.6, "source": 0.9}, {"sink": Stall(0.9, burst=200)},
                                   {"source": Stall(0.95, burst=3000)}])
def test_stalls(stall):
    rng = np.random.default_rng(2)
    run_unit(dut_of(), random_rows_of_all(rng, dut_of(), config_of(), 60), stall, seed=2)


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 1024])
def test_rows_of_equal_elements_and_of_one_peak(n):
    x = np.full((4, n), 127)
    x[1] = -128
    x[2, :-1] = -128
    x[3, 1:] = -128
    parts = [softmax_rows(dut_of(), config_of(), x, 7680, tfl) for tfl in (0, 1)]
    parts += [norm_rows(dut_of(), config_of(), x, rms) for rms in (0, 1)]
    run_unit(dut_of(), joined(parts))


def test_every_operation_behind_every_other():
    """Nothing of a row is left for the next one."""
    rng = np.random.default_rng(3)

    def row(op):
        x = random_rows(rng, 1, int(rng.integers(1, 9)))
        if op < 2:
            return norm_rows(dut_of(), config_of(), x, op)
        return softmax_rows(dut_of(), config_of(), x, int(rng.integers(7681)), op - 2)

    order = [op for first in range(4) for second in range(4) for op in (first, second)]
    run_unit(dut_of(), joined([row(op) for op in order * 8]))


def test_eps():
    config = config_of(eps=True)
    dut = unit_dut(config)
    run_unit(dut, random_rows_of_all(np.random.default_rng(6), dut, config, 150))
    assert unit_area(config_of(formats=("u8_255",), eps=True)).gates == pytest.approx(1648, rel=0.03)


def test_reset_at_any_cycle():
    """After a reset in mid-row the next row that starts is right."""
    rng = np.random.default_rng(4)
    for cycle in rng.integers(100, 40_000, 12).tolist():
        rows = random_rows_of_all(rng, dut_of(), config_of(max_length=8), 20)
        assert run_unit_reset(dut_of(), rows, cycle) > 0


def test_cosimulation_without_initial_values():
    """Four-valued and as in an ASIC: nothing that a row gives depends on what the registers held."""
    config = config_of()
    for first in ("norm", "softmax"):
        dut = unit_dut(config, StreamCoSim, regs_init=False)
        x = np.array([[3, -128]])
        parts = [norm_rows(dut, config, x, 0), softmax_rows(dut, config, x, 3000, 1)]
        run_unit(dut, joined(parts if first == "norm" else parts[::-1]))


@pytest.mark.parametrize("formats", GATES)
def test_area(formats):
    """`python -m litenorm.bench.area --serial` prints it."""
    gates = unit_area(config_of(formats=formats)).gates
    assert gates == pytest.approx(GATES[formats], rel=0.03) and gates <= LIMIT


def test_cycles():
    """Rows take what `cycles` says, where it can be less at most, and a turn more between two rows."""
    config, n = config_of(), 30
    limits = list(unit_class(config).cycles(config, n).values())
    x = np.full((2, n), -128)
    x[:, -1] = 127
    softmax = pass_cycles(dut_of(), softmax_rows(dut_of(), config, x, 7680))[:3]
    assert softmax == [limits[0], limits[1], limits[2] + TURN]
    x = np.zeros((2, n), np.int64)
    norm = pass_cycles(dut_of(), norm_rows(dut_of(), config, x, 1))[:4]
    assert norm == [limits[3], limits[4], limits[5], limits[6] + TURN]
