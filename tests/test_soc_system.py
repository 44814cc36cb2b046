# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The whole system: the project's firmware on the simulated SoC, against the NumPy reference, element by element."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from litenorm.accel import LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS
from litenorm.nn.testing import random_block, random_input
from litenorm.sim import cli
from litenorm.sim.layer import OPERATIONS, run_workload
from litenorm.sim.runner import SimOptions
from litenorm.sim.workloads import run_calls, run_selftest

CONFIGS = {
    "1 lane, short rows": LiteNormConfig(lanes=1, max_length=8),
    "4 lanes": LiteNormConfig(),
    "16 lanes": LiteNormConfig(lanes=16),
    "no core": None,
}

BLOCKS = {  # name -> arguments of random_block, tokens, tokens that are not padding
    "pre-norm, causal": ({"norm": "pre", "causal": True}, 7, 7),
    "post-norm, padded": ({"norm": "post", "causal": False}, 6, 4),
    "int8 logits, tfl_s8": ({"norm": "post", "causal": False, "fmt": "tfl_s8", "logits": "s8"}, 5, 5),
    "tfl_s16": ({"norm": "pre", "causal": False, "fmt": "tfl_s16"}, 9, 9),
    "odd widths": ({"norm": "pre", "causal": True, "dim": 36, "heads": 3, "hidden": 20, "fmt": "u8_255"}, 3, 3),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_selftest_passes_on_the_soc(name):
    report = run_selftest(SimOptions(config=CONFIGS[name]))
    assert report.ok, report.result.log
    assert all(row["ok"] == 1 for row in report.rows)


def random_workload(seed, arguments, tokens, valid):
    block = random_block(seed, **arguments)
    x = random_input(seed, tokens, block.dim)
    real = block(x, valid) * np.float64(block.output_scale)  # no float32 layer belongs to random integers
    return SimpleNamespace(block=block, x=x, valid=valid, real=real)


@pytest.mark.parametrize("name", BLOCKS)
def test_random_layer_equals_the_reference(name):
    workload = random_workload(len(name), *BLOCKS[name])
    report = run_workload(workload, SimOptions())
    assert report.ok, report.result.log
    heads, tokens = workload.block.heads, len(workload.x)
    assert report.elements == 2 * workload.x.size
    assert report.softmax_rows == 2 * heads * tokens
    assert report.layernorm_rows == 2 * 2 * tokens
    for cycles in report.cycles.values():
        assert sum(cycles[operation] for operation in OPERATIONS[:-1]) == cycles["total"] > 0


def test_layer_without_the_core_equals_the_reference():
    report = run_workload(random_workload(3, *BLOCKS["pre-norm, causal"]), SimOptions(config=None))
    assert report.ok and report.cycles["accel"] is None


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Exit code and JSON of the demo's command."""
    path = tmp_path_factory.mktemp("demo") / "out.json"
    return cli.main(["sim", "--workload", "layer", "--quiet", "--json", str(path)]), json.loads(path.read_text())


def test_layer_of_the_gpt_equals_the_reference(demo):
    code, data = demo
    assert code == 0 and data["ok"] is True and data["workload"] == "layer"
    assert data["mismatches"] == 0 and data["elements"] > 0
    assert data["softmax_sum_errors"] == 0 and data["softmax_rows"] > 0
    assert data["layernorm_sum_errors"] == 0 and data["layernorm_rows"] > 0
    assert data["cosine_fp32"] >= 0.99


def test_the_core_saves_cycles_of_its_operations_and_no_others(demo):
    _, data = demo
    accel, cpu = data["cycles"]["accel"], data["cycles"]["cpu"]
    assert list(accel) == list(cpu) == list(OPERATIONS)
    for operation in ("softmax", "layernorm"):
        assert accel[operation] < cpu[operation]
    assert accel["gemm"] == pytest.approx(cpu["gemm"], rel=0.05)


def test_softmax_of_many_heads_takes_two_jobs_time():
    """The core has the rows of all heads but the last while the CPU works: what is left is two jobs' begin and end."""
    block = {"norm": "post", "causal": False, "dim": 96, "heads": 12, "hidden": 4}
    report = run_workload(random_workload(12, block, 16, 13), SimOptions())
    assert report.ok, report.result.log
    assert report.cycles["accel"]["softmax"] <= 3000


# Clock cycles of a call of the driver for one row of 64 elements, from before it to after it, with warm caches: for a
# job in the data cache, and for one that was just written on the stack, so not in the cache, with its output unaligned.
CALLS = {("s8", 8): (203, 216), ("s16", 8): (219, 233), ("s8", 16): (229, 242), ("s16", 16): (235, 248)}


def test_a_call_for_one_short_row_takes_at_most_250_cycles():
    rows = run_calls(SimOptions()).rows
    calls = {(row["kind"], row["job"]): row for row in rows}
    expected = {(f"{input_}_{fmt.name}", job): CALLS[input_, fmt.bits][i] for input_ in c.INPUTS
                for fmt in FORMATS.values() for i, job in enumerate(("static", "stack"))}
    assert len(rows) == len(calls) and set(calls) == set(expected)
    for call, cycles in expected.items():
        row = calls[call]
        assert row["n"] == 64 and row["core"] < row["cycles"] <= 250, call
        assert abs(row["cycles"] - cycles) <= 0.03 * cycles, call
