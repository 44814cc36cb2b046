# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The two units of all three operations through their Verilog against the models, their area and their cycles.

One module for trio_area.py and trio_balanced.py of accel/serial: they give the same codes and y, and every test but
that of the cycles is of both. `pytest -k trio_area` runs those of one.
"""

import functools
from dataclasses import dataclass

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

FORMATS = ("u8_255", "tfl_s8")


@dataclass(frozen=True)
class Unit:
    """What is expected of one unit, and how many rows of it a run of the suite can pay for.

    rows           random ones; stalled, eps_rows: of the other tests
    gates          NAND2 equivalents by formats; gates_eps with eps and u8_255; limit of the former
    lengths, rows_of_each  of rows of equal elements and of one peak
    pairs          how often each operation comes behind each other
    resets         arguments of Generator.integers: the cycles in which it is reset; reset_rows around each
    """

    size: str
    rows: int
    stalled: int
    eps_rows: int
    gates: dict
    gates_eps: int
    limit: int
    lengths: tuple
    rows_of_each: int
    pairs: int
    resets: tuple
    reset_rows: int

    def config(self, **options):
        return LiteNormConfig(**{"backend": "serial", "size": self.size, "formats": FORMATS, **options})


UNITS = {
    "trio_area": Unit("area", 2500, 60, 150, {("u8_255",): 1551, FORMATS: 1562}, 1648, 1600,
                      (1, 2, 255, 256, 257, 1024), 4, 8, (100, 40_000, 12), 20),
    "trio_balanced": Unit("balanced", 60_000, 300, 10_000, {("u8_255",): 2421, FORMATS: 2398}, 2501, 2600,
                          (1, 2, 3, 255, 256, 257, 1023, 1024), 6, 40, (10, 4000, 25), 40),
}
TURN = 36   # cycles of a turn of trio_area

of_each_unit = pytest.mark.parametrize("name", UNITS)


def of_each(field):
    """Parameters: each unit with each value of one of its fields."""
    cases = [(name, value) for name, unit in UNITS.items() for value in getattr(unit, field)]
    return pytest.mark.parametrize(("name", "value"), cases, ids=[f"{name}-{value}" for name, value in cases])


@functools.cache
def dut_of(name):
    return unit_dut(UNITS[name].config())


def joined(parts):
    return UnitRows(*(np.concatenate([vars(p)[name] for p in parts]) for name in ("beats", "expected", "results")))


@of_each_unit
def test_random_rows_of_all_operations(name):
    """Every code and every y is the model's, every sum exact."""
    unit = UNITS[name]
    run_unit(dut_of(name), random_rows_of_all(np.random.default_rng(1), dut_of(name), unit.config(), unit.rows))


@pytest.mark.parametrize("stall", [{"sink": 0.6, "source": 0.9}, {"sink": Stall(0.9, burst=200)},
                                   {"source": Stall(0.95, burst=3000)}])
@of_each_unit
def test_stalls(name, stall):
    unit = UNITS[name]
    rows = random_rows_of_all(np.random.default_rng(2), dut_of(name), unit.config(), unit.stalled)
    run_unit(dut_of(name), rows, stall, seed=2)


@of_each("lengths")
def test_rows_of_equal_elements_and_of_one_peak(name, value):
    dut, config, n = dut_of(name), UNITS[name].config(), value
    x = np.full((6, n), 127)
    x[1] = -128
    x[2, :-1] = -128
    x[3, 1:] = -128
    x[4] = np.arange(n) == n // 2
    x[5, ::2] = -128
    x = x[:UNITS[name].rows_of_each]
    parts = [softmax_rows(dut, config, x, 7680, tfl) for tfl in (0, 1)]
    parts += [norm_rows(dut, config, x, rms) for rms in (0, 1)]
    run_unit(dut, joined(parts))


@of_each_unit
def test_every_operation_behind_every_other(name):
    """Nothing of a row is left for the next one."""
    rng, dut, config = np.random.default_rng(3), dut_of(name), UNITS[name].config()

    def row(op):
        x = random_rows(rng, 1, int(rng.integers(1, 9)))
        if op < 2:
            return norm_rows(dut, config, x, op)
        return softmax_rows(dut, config, x, int(rng.integers(7681)), op - 2)

    order = [op for first in range(4) for second in range(4) for op in (first, second)]
    run_unit(dut, joined([row(op) for op in order * UNITS[name].pairs]))


@of_each_unit
def test_eps(name):
    unit = UNITS[name]
    config = unit.config(eps=True)
    dut = unit_dut(config)
    run_unit(dut, random_rows_of_all(np.random.default_rng(6), dut, config, unit.eps_rows))
    assert unit_area(unit.config(formats=("u8_255",), eps=True)).gates == pytest.approx(unit.gates_eps, rel=0.03)


@of_each_unit
def test_reset_at_any_cycle(name):
    """After a reset in mid-row the next row that starts is right."""
    rng, unit = np.random.default_rng(4), UNITS[name]
    for cycle in rng.integers(*unit.resets).tolist():
        rows = random_rows_of_all(rng, dut_of(name), unit.config(max_length=8), unit.reset_rows)
        assert run_unit_reset(dut_of(name), rows, cycle) > 0


@of_each_unit
def test_cosimulation_without_initial_values(name):
    """Four-valued and as in an ASIC: nothing that a row gives depends on what the registers held."""
    config = UNITS[name].config()
    for first in ("norm", "softmax"):
        dut = unit_dut(config, StreamCoSim, regs_init=False)
        x = np.array([[3, -128]])
        parts = [norm_rows(dut, config, x, 0), softmax_rows(dut, config, x, 3000, 1)]
        run_unit(dut, joined(parts if first == "norm" else parts[::-1]))


@of_each("gates")
def test_area(name, value):
    """`python -m litenorm.bench.area --serial` prints it."""
    unit = UNITS[name]
    gates = unit_area(unit.config(formats=value)).gates
    assert gates == pytest.approx(unit.gates[value], rel=0.03) and gates <= unit.limit


def test_cycles_of_trio_area():
    """Rows take what `cycles` says, where it can be less at most, and a turn more between two rows."""
    dut, config, n = dut_of("trio_area"), UNITS["trio_area"].config(), 30
    limits = list(unit_class(config).cycles(config, n).values())
    x = np.full((2, n), -128)
    x[:, -1] = 127
    assert pass_cycles(dut, softmax_rows(dut, config, x, 7680))[:3] == [limits[0], limits[1], limits[2] + TURN]
    x = np.zeros((2, n), np.int64)
    norm = pass_cycles(dut, norm_rows(dut, config, x, 1))[:4]
    assert norm == [limits[3], limits[4], limits[5], limits[6] + TURN]


@pytest.mark.parametrize("n", [2, 43, 1024])
def test_cycles_of_trio_balanced(n):
    """No pass takes more than `cycles` says, softmax exactly that; 12 and 45 cycles an element in the output passes."""
    dut, config = dut_of("trio_balanced"), UNITS["trio_balanced"].config()
    limits = list(unit_class(config).cycles(config, n).values())
    x = np.full((2, n), -128)
    x[:, -1] = 127
    between = 1     # the cycle without an element between two rows
    assert pass_cycles(dut, softmax_rows(dut, config, x, 7680))[:3] == limits[:3]
    parts = [softmax_rows(dut, config, x, 7680), norm_rows(dut, config, x, 1)]
    assert pass_cycles(dut, joined(parts))[3] - limits[3] in (0, between)
    x = np.tile(np.arange(n) == 0, (2, 1)).astype(np.int64)
    for rms in (0, 1):
        norm = pass_cycles(dut, norm_rows(dut, config, x, rms))[:3]
        assert (np.array(norm) <= limits[4:]).all()
        if n == 2 and rms:
            assert norm == limits[4:]
    assert limits[6] <= 45 * n
    assert limits[3] <= 12 * n or n < 43
