# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The two LayerNorm and RMSNorm units of accel/serial through their Verilog against the model, area and cycles.

One module for norm_area.py and norm_balanced.py: they give the same y, and every test is of both. `pytest -k norm_area`
runs those of one. More rows: `python -m litenorm.sim.serialcheck --op norm --size area --rows 100000`.
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
    norm_rows,
    pass_cycles,
    random_norm_rows,
    random_rows,
    run_unit,
    run_unit_reset,
    unit_dut,
)
from litenorm.sim.verilated import Stall

BOTH = ("layernorm", "rmsnorm")


@dataclass(frozen=True)
class Unit:
    """What is expected of one unit, and how many rows of it a run of the suite can pay for.

    rows         random ones; stalled, small_rows, other_rows: of the other tests
    gates        NAND2 equivalents by ops; gates_eps with eps; limit of the former
    lengths      of rows of equal elements and of two levels; eps_lengths: of those with eps
    max_lengths  of cores that must give the same
    resets       arguments of Generator.integers: the cycles in which it is reset
    between      cycles between two rows
    counted      rows whose cycles are counted
    """

    size: str
    rows: int
    stalled: int
    small_rows: int
    other_rows: int
    gates: dict
    gates_eps: int
    limit: int
    lengths: tuple
    eps_lengths: tuple
    max_lengths: tuple
    resets: tuple
    between: int
    counted: int

    def config(self, **options):
        return LiteNormConfig(**{"backend": "serial", "ops": BOTH, "size": self.size, **options})


UNITS = {
    # A row of 1024 takes 4 million cycles.
    "norm_area": Unit(
        "area", 1500, 60, 20, 100, {BOTH: 1064, ("layernorm",): 1060, ("rmsnorm",): 1059}, 1159, 1150,
        (1, 2, 3, 255, 256, 257, 1024), (1, 2, 256), (2, 200), (100, 200_000, 25), 36, 1),
    "norm_balanced": Unit(
        "balanced", 100_000, 300, 200, 2000, {BOTH: 1561, ("layernorm",): 1556, ("rmsnorm",): 1518}, 1681, 2000,
        (1, 2, 3, 255, 256, 257, 1023, 1024), (1, 2, 256, 1024), (2, 500), (10, 4000, 25), 0, 2),
}
OTHERS = ({"ops": "layernorm"}, {"ops": "rmsnorm"}, {"eps": True})

of_each_unit = pytest.mark.parametrize("name", UNITS)


def of_each(values):
    """Parameters: each unit with each of values(unit)."""
    cases = [(name, value) for name, unit in UNITS.items() for value in values(unit)]
    return pytest.mark.parametrize(("name", "value"), cases, ids=[f"{name}-{value}" for name, value in cases])


@functools.cache
def dut_of(name, **options):
    return unit_dut(UNITS[name].config(**options))


@of_each_unit
def test_random_rows(name):
    """Every y is the model's, and every sum of a LayerNorm row is 0."""
    unit = UNITS[name]
    run_unit(dut_of(name), random_norm_rows(np.random.default_rng(1), dut_of(name), unit.config(), unit.rows))


@pytest.mark.parametrize("stall", [{"sink": 0.6, "source": 0.9}, {"sink": Stall(0.9, burst=200)},
                                   {"source": Stall(0.95, burst=3000)}])
@of_each_unit
def test_stalls(name, stall):
    unit, dut = UNITS[name], dut_of(name, max_length=64)
    rows = random_norm_rows(np.random.default_rng(2), dut, unit.config(max_length=64), unit.stalled)
    run_unit(dut, rows, stall, seed=2)


@pytest.mark.parametrize("rms", [0, 1])
@of_each(lambda unit: unit.lengths)
def test_rows_of_equal_elements_and_of_two_levels(name, value, rms):
    """Variances from 0 to the largest: RMSNorm of 1024 elements of -128 has a mean square of exactly 2^14."""
    n = value
    x = np.full((8, n), 127)
    x[1] = -128
    x[2, :-1] = -128
    x[3, 1:] = -128
    x[4] = 0
    x[5] = np.arange(n) == n // 2
    x[6, ::2] = -128
    x[7, : n // 2] = -128
    run_unit(dut_of(name), norm_rows(dut_of(name), UNITS[name].config(), x, rms))


@pytest.mark.parametrize("rms", [0, 1])
@of_each_unit
def test_small_variances(name, rms):
    """Every number of doublings of the root, h = 0 to 15."""
    rng, count = np.random.default_rng(3), UNITS[name].small_rows
    for n in (2, 3, 8, 37):
        for spread in (1, 2, 5, 20, 128):
            middle = rng.integers(-128, 128, (count, 1))
            x = np.clip(middle + rng.integers(-spread, spread + 1, (count, n)), -128, 127)
            run_unit(dut_of(name), norm_rows(dut_of(name), UNITS[name].config(), x, rms))


@of_each(lambda unit: [*OTHERS, *({"max_length": n} for n in unit.max_lengths)])
def test_other_cores_give_the_same(name, value):
    config = UNITS[name].config(**value)
    dut = unit_dut(config)
    run_unit(dut, random_norm_rows(np.random.default_rng(4), dut, config, UNITS[name].other_rows))


@of_each_unit
def test_reset_at_any_cycle(name):
    """After a reset in mid-row the next row that starts is right."""
    rng, unit = np.random.default_rng(5), UNITS[name]
    for cycle in rng.integers(*unit.resets).tolist():
        rows = norm_rows(dut_of(name), unit.config(), random_rows(rng, 20, 6), int(rng.integers(2)))
        assert run_unit_reset(dut_of(name), rows, cycle) > 0


@of_each_unit
def test_cosimulation_without_initial_values(name):
    """Four-valued and as in an ASIC: nothing that a row gives depends on what the registers held."""
    config = UNITS[name].config()
    dut = unit_dut(config, StreamCoSim, regs_init=False)
    for rms, x in enumerate(([[3, -5], [127, -128]], [[0, 0], [7, 2]])):
        run_unit(dut, norm_rows(dut, config, np.array(x), rms))


@of_each(lambda unit: unit.gates)
def test_area(name, value):
    """`python -m litenorm.bench.area --serial` prints it."""
    unit = UNITS[name]
    gates = unit_area(unit.config(ops=value)).gates
    assert gates == pytest.approx(unit.gates[value], rel=0.03) and gates <= unit.limit


@of_each_unit
def test_area_of_eps(name):
    assert unit_area(UNITS[name].config(eps=True)).gates == pytest.approx(UNITS[name].gates_eps, rel=0.03)


@of_each(lambda unit: unit.eps_lengths)
def test_eps_at_its_ends(name, value):
    """The largest V and eps together, and rows without variance, whose y are 0 whatever eps is."""
    n, config, dut = value, UNITS[name].config(eps=True), dut_of(name, eps=True)
    x = np.full((4, n), -128)
    x[1, ::2] = 127
    x[2] = 0
    x[3] = np.arange(n) == n - 1
    for eps in (0, 1, 1 << 33, (1 << 34) - 1):
        for rms in (0, 1):
            run_unit(dut, norm_rows(dut, config, x, rms, eps))


@pytest.mark.parametrize("n", [2, 64, 1024])
@of_each_unit
def test_cycles(name, n):
    """No pass takes more than `cycles` says, and the smallest mean square of all takes exactly that."""
    unit = UNITS[name]
    limits = np.array(list(unit_class(unit.config()).cycles(unit.config(), n).values()))
    assert name != "norm_balanced" or limits[-1] <= 45 * n
    limits[-1] += unit.between
    x = random_rows(np.random.default_rng(n), unit.counted + 1, n)
    x[:2] = np.arange(n) == 0
    for rms in (0, 1):
        cycles = pass_cycles(dut_of(name), norm_rows(dut_of(name), unit.config(), x, rms))
        cycles = np.reshape(cycles[:unit.counted * len(limits)], (unit.counted, -1))
        assert (cycles <= limits).all()
        if n == 2 and rms:
            assert (cycles[0] == limits).all()
