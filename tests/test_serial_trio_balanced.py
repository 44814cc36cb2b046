# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/serial/trio_balanced.py: the three operations through its Verilog against the models, area and cycles."""

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

ROWS = 60_000
GATES = {("u8_255",): 2271, ("u8_255", "tfl_s8"): 2299}
LIMIT = 2600


def config_of(**options):
    return LiteNormConfig(**{"backend": "serial", "size": "balanced", "formats": ("u8_255", "tfl_s8"), **options})


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
    run_unit(dut_of(), random_rows_of_all(rng, dut_of(), config_of(), 300), stall, seed=2)


@pytest.mark.parametrize("n", [1, 2, 3, 255, 256, 257, 1023, 1024])
def test_rows_of_equal_elements_and_of_one_peak(n):
    x = np.full((6, n), 127)
    x[1] = -128
    x[2, :-1] = -128
    x[3, 1:] = -128
    x[4] = np.arange(n) == n // 2
    x[5, ::2] = -128
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
    run_unit(dut_of(), joined([row(op) for op in order * 40]))


def test_eps():
    config = config_of(eps=True)
    dut = unit_dut(config)
    run_unit(dut, random_rows_of_all(np.random.default_rng(6), dut, config, 10000))
    assert unit_area(config_of(formats=("u8_255",), eps=True)).gates == pytest.approx(2398, rel=0.03)


def test_reset_at_any_cycle():
    """After a reset in mid-row the next row that starts is right."""
    rng = np.random.default_rng(4)
    for cycle in rng.integers(10, 4000, 25).tolist():
        rows = random_rows_of_all(rng, dut_of(), config_of(max_length=8), 40)
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


@pytest.mark.parametrize("n", [2, 128, 1024])
def test_cycles(n):
    """No pass takes more than `cycles` says, softmax exactly that; 12 and 45 cycles an element in the output passes."""
    config = config_of()
    limits = list(unit_class(config).cycles(config, n).values())
    x = np.full((2, n), -128)
    x[:, -1] = 127
    between = 1     # the cycle without an element between two rows
    assert pass_cycles(dut_of(), softmax_rows(dut_of(), config, x, 7680))[:3] == limits[:3]
    parts = [softmax_rows(dut_of(), config, x, 7680), norm_rows(dut_of(), config, x, 1)]
    assert pass_cycles(dut_of(), joined(parts))[3] - limits[3] in (0, between)
    x = np.tile(np.arange(n) == 0, (2, 1)).astype(np.int64)
    for rms in (0, 1):
        norm = pass_cycles(dut_of(), norm_rows(dut_of(), config, x, rms))[:3]
        assert (np.array(norm) <= limits[4:]).all()
        if n == 2 and rms:
            assert norm == limits[4:]
    assert limits[6] <= 45 * n
    assert limits[3] <= 12 * n or n < 128
