# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The four softmax units of accel/serial through their Verilog against the model, their area and their cycles.

One module for softmax_area.py, softmax_balanced.py, softmax_wide.py and softmax_wide_area.py: they give the same codes,
and every test is of each of them. `pytest -k softmax_area` runs those of one. More rows:
`python -m litenorm.sim.serialcheck --size area --formats u16_q15,tfl_s16,u16_65535 --rows 1000000`.
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
    pass_cycles,
    random_rows,
    random_softmax_rows,
    run_unit,
    run_unit_reset,
    softmax_rows,
    unit_dut,
)
from litenorm.sim.verilated import Stall

NARROW = ("u8_255", "tfl_s8")
WIDE = ("u16_q15", "tfl_s16", "u16_65535")


@dataclass(frozen=True)
class Unit:
    """What is expected of one unit, and how many rows of it a run of the suite can pay for.

    rows     random ones
    gates    NAND2 equivalents by formats; limit of them, or None
    resets   arguments of Generator.integers: the cycles in which it is reset
    between  cycles between two rows
    exact    every row takes what `cycles` says; else only one whose last element has all
    lengths  rows whose cycles are counted
    """

    size: str
    formats: tuple
    rows: int
    gates: dict
    limit: int | None
    resets: tuple
    between: int
    exact: bool
    lengths: tuple

    def config(self, **options):
        return LiteNormConfig(**{"backend": "serial", "ops": "softmax", "size": self.size, "formats": self.formats,
                                 **options})


UNITS = {
    "softmax_area": Unit("area", NARROW, 12_000, {("u8_255",): 802, NARROW: 819}, 900, (100, 20_000, 25), 27, False,
                         (2, 64, 1024)),
    "softmax_balanced": Unit("balanced", NARROW, 100_000, {("u8_255",): 1354, NARROW: 1397}, 1400, (10, 1000, 40), 1,
                             True, (2, 43, 1024)),
    "softmax_wide": Unit("balanced", WIDE, 40_000, {
        ("u16_65535",): 1777, ("u16_q15",): 1850, ("tfl_s16",): 1864, WIDE: 1951}, None, (10, 1000, 40), 1, True,
        (2, 128, 1024)),
    "softmax_wide_area": Unit("area", WIDE, 4000, {
        ("u16_65535",): 1180, ("u16_q15",): 1181, ("tfl_s16",): 1181, WIDE: 1183}, None, (100, 40_000, 15), 50, True,
        (2, 128, 1024)),
}

of_each_unit = pytest.mark.parametrize("name", UNITS)


def of_each(field):
    """Parameters: each unit with each value of one of its fields."""
    cases = [(name, value) for name, unit in UNITS.items() for value in getattr(unit, field)]
    return pytest.mark.parametrize(("name", "value"), cases, ids=[f"{name}-{value}" for name, value in cases])


@functools.cache
def dut_of(name):
    return unit_dut(UNITS[name].config())


def rows_of(name, x, k, fmt):
    return softmax_rows(dut_of(name), UNITS[name].config(), x, k, fmt=fmt)


@of_each_unit
def test_random_rows(name):
    """Every code is the model's, and every sum is exact."""
    unit = UNITS[name]
    run_unit(dut_of(name), random_softmax_rows(np.random.default_rng(1), dut_of(name), unit.config(), unit.rows))


@pytest.mark.parametrize("stall", [{"sink": 0.6, "source": 0.9}, {"sink": Stall(0.9, burst=200)},
                                   {"source": Stall(0.95, burst=3000)}])
@of_each_unit
def test_stalls(name, stall):
    rows = random_softmax_rows(np.random.default_rng(2), dut_of(name), UNITS[name].config(), 300)
    run_unit(dut_of(name), rows, stall, seed=2)


@pytest.mark.parametrize("n", [1, 2, 3, 255, 256, 257, 1023, 1024])
@of_each("formats")
def test_rows_of_equal_elements_and_of_one_peak(name, value, n):
    x = np.full((4, n), 127)
    x[1] = -128
    x[2, :-1] = -128
    x[3, 1:] = -128
    run_unit(dut_of(name), rows_of(name, x, 7680, value))


@pytest.mark.parametrize("k", [0, 1, 127, 128, 4095, 7679, 7680])
@of_each_unit
def test_every_distance_at_the_ends_of_the_scale(name, k):
    """All 256 distances to the maximum: no exponent comes round again."""
    x = np.stack([np.full(256, -128), np.arange(-128, 128)], axis=1)
    x = np.concatenate([x, x[:, ::-1]])
    run_unit(dut_of(name), rows_of(name, x, k, "tfl_s16" if UNITS[name].formats == WIDE else "u8_255"))


@pytest.mark.parametrize("max_length", [2, 512])
@of_each_unit
def test_shorter_cores_give_the_same_codes(name, max_length):
    config = UNITS[name].config(max_length=max_length)
    dut = unit_dut(config)
    run_unit(dut, random_softmax_rows(np.random.default_rng(3), dut, config, 500))


@of_each_unit
def test_reset_at_any_cycle(name):
    """After a reset in mid-row the next row that starts is right."""
    rng, unit = np.random.default_rng(4), UNITS[name]
    for cycle in rng.integers(*unit.resets).tolist():
        rows = rows_of(name, random_rows(rng, 20, 6), int(rng.integers(1, 7681)), unit.formats[0])
        assert run_unit_reset(dut_of(name), rows, cycle) > 0


@of_each_unit
def test_cosimulation_without_initial_values(name):
    """Four-valued and as in an ASIC: nothing that a row gives depends on what the registers held."""
    config = UNITS[name].config()
    dut = unit_dut(config, StreamCoSim, regs_init=False)
    x = np.array([[3, -5, 20], [127, -128, -128], [0, 0, 0]])
    for fmt in config.formats:
        # Division of 16 bits takes long: two rows are enough.
        run_unit(dut, softmax_rows(dut, config, x if fmt == "u8_255" else x[:2], 3000, fmt=fmt))


@of_each("gates")
def test_area(name, value):
    """`python -m litenorm.bench.area --serial` prints it."""
    unit = UNITS[name]
    gates = unit_area(unit.config(formats=value)).gates
    assert gates == pytest.approx(unit.gates[value], rel=0.03)
    assert unit.limit is None or gates <= unit.limit


@of_each("lengths")
def test_cycles(name, value):
    """No row takes more than `cycles` says; balanced, from 43 elements on, at most 12 an element for the codes."""
    unit, n = UNITS[name], value
    x = np.full((2, n), -128)
    x[0 if unit.exact else slice(None), -1] = 127
    limits = list(unit_class(unit.config()).cycles(unit.config(), n).values())
    assert name != "softmax_balanced" or limits[2] <= 12 * n or n < 43
    limits[2] += unit.between
    fmt = "u16_65535" if unit.formats == WIDE else "u8_255"
    assert pass_cycles(dut_of(name), rows_of(name, x, 7680, fmt))[:3] == limits


def test_cycles_of_equal_elements():
    """softmax_area: every code is 1 or more: 2 turns an element, and 255 for the codes."""
    rows = rows_of("softmax_area", np.zeros((2, 100), np.int64), 7680, "u8_255")
    assert pass_cycles(dut_of("softmax_area"), rows)[2] == 27 * (2 * 100 + 255 + 1)
