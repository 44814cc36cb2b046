# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/serial/norm_area.py: its Verilog against the model, its area and its cycles.

`python -m litenorm.sim.serialcheck --op norm --size area --rows 100000` runs more rows.
"""

import functools

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

SIZE = "area"
ROWS = 1_500
GATES = {("layernorm", "rmsnorm"): 1064, ("layernorm",): 1060, ("rmsnorm",): 1059}
LIMIT = 1150


def config_of(**options):
    options = {"ops": ("layernorm", "rmsnorm"), **options}
    return LiteNormConfig(backend="serial", size=SIZE, **options)


@functools.cache
def dut_of(**options):
    return unit_dut(config_of(**options))


def test_random_rows():
    """Every y is the model's, and every sum of a LayerNorm row is 0."""
    rng = np.random.default_rng(1)
    run_unit(dut_of(), random_norm_rows(rng, dut_of(), config_of(), ROWS))


@pytest.mark.parametrize("stall", [{"sink": 0.6, "source": 0.9}, {"sink": Stall(0.9, burst=200)},
                                   {"source": Stall(0.95, burst=3000)}])
def test_stalls(stall):
    rng = np.random.default_rng(2)
    config = config_of(max_length=64)
    run_unit(dut_of(max_length=64), random_norm_rows(rng, dut_of(max_length=64), config, 60), stall, seed=2)


@pytest.mark.parametrize("rms", [0, 1])
@pytest.mark.parametrize("n", [1, 2, 3, 255, 256, 257, 1024])
def test_rows_of_equal_elements_and_of_two_levels(n, rms):
    """Variances from 0 to the largest: RMSNorm of 1024 elements of -128 has a mean square of exactly 2^14."""
    x = np.full((8, n), 127)
    x[1] = -128
    x[2, :-1] = -128
    x[3, 1:] = -128
    x[4] = 0
    x[5] = np.arange(n) == n // 2
    x[6, ::2] = -128
    x[7, : n // 2] = -128
    run_unit(dut_of(), norm_rows(dut_of(), config_of(), x, rms))


@pytest.mark.parametrize("rms", [0, 1])
def test_small_variances(rms):
    """Every number of doublings of the root, h = 0 to 15."""
    rng = np.random.default_rng(3)
    for n in (2, 3, 8, 37):
        for spread in (1, 2, 5, 20, 128):
            middle = rng.integers(-128, 128, (20, 1))
            x = np.clip(middle + rng.integers(-spread, spread + 1, (20, n)), -128, 127)
            run_unit(dut_of(), norm_rows(dut_of(), config_of(), x, rms))


@pytest.mark.parametrize("options", [{"ops": "layernorm"}, {"ops": "rmsnorm"}, {"max_length": 2}, {"eps": True},
                                     {"max_length": 200}])
def test_other_cores_give_the_same(options):
    rng = np.random.default_rng(4)
    config = config_of(**options)
    dut = unit_dut(config)
    run_unit(dut, random_norm_rows(rng, dut, config, 100))


def test_reset_at_any_cycle():
    """After a reset in mid-row the next row that starts is right."""
    rng = np.random.default_rng(5)
    for cycle in rng.integers(100, 200000, 25).tolist():
        rows = norm_rows(dut_of(), config_of(), random_rows(rng, 20, 6), int(rng.integers(2)))
        assert run_unit_reset(dut_of(), rows, cycle) > 0


def test_cosimulation_without_initial_values():
    """Four-valued and as in an ASIC: nothing that a row gives depends on what the registers held."""
    config = config_of()
    dut = unit_dut(config, StreamCoSim, regs_init=False)
    for rms, x in enumerate(([[3, -5], [127, -128]], [[0, 0], [7, 2]])):
        run_unit(dut, norm_rows(dut, config, np.array(x), rms))


@pytest.mark.parametrize("ops", GATES)
def test_area(ops):
    """`python -m litenorm.bench.area --serial` prints it."""
    gates = unit_area(config_of(ops=ops)).gates
    assert gates == pytest.approx(GATES[ops], rel=0.03) and gates <= LIMIT


def test_area_of_eps():
    assert unit_area(config_of(eps=True)).gates == pytest.approx(1159, rel=0.03)


@pytest.mark.parametrize("n", [1, 2, 256])
def test_eps_at_its_ends(n):
    """The largest V and eps together, and rows without variance, whose y are 0 whatever eps is."""
    config = config_of(eps=True)
    dut = unit_dut(config)
    x = np.full((4, n), -128)
    x[1, ::2] = 127
    x[2] = 0
    x[3] = np.arange(n) == n - 1
    for eps in (0, 1, 1 << 33, (1 << 34) - 1):
        for rms in (0, 1):
            run_unit(dut, norm_rows(dut, config, x, rms, eps))


@pytest.mark.parametrize("n", [2, 64, 1024])
def test_cycles(n):
    """No pass takes more than `cycles` says, and the smallest mean square of all takes exactly that."""
    limits = list(unit_class(config_of()).cycles(config_of(), n).values())
    limits[-1] += 36        # the turn without an element between two rows
    x = np.tile(np.arange(n) == 0, (2, 1)).astype(np.int64)
    for rms in (0, 1):
        cycles = pass_cycles(dut_of(), norm_rows(dut_of(), config_of(), x, rms))[:4]
        assert (np.array(cycles) <= limits).all()
        if n == 2 and rms:
            assert cycles == limits
