# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The core's generated Verilog, Verilated in bulk and in MyHDL co-simulation, against the model: bit for bit."""

import itertools

import numpy as np
import pytest

from litenorm.accel import LiteNorm, LiteNormConfig, model
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale, eps_term
from litenorm.sim.cosim import StreamCoSim
from litenorm.sim.verilated import Stall, StreamDut

OPS = ("softmax", "layernorm", "rmsnorm")
STALLS = (
    {},
    {"sink": 0.3, "source": 0.3},
    {"sink": 0.1, "source": Stall(0.5, burst=20)},
    {"sink": Stall(0.5, burst=15)},
)


def endpoints(core):
    sinks = {"sink": core.sink}
    if core.config.has_affine:
        sinks["weights"] = core.weights
    signals = [core.row_done, core.row_error, core.constant_row]
    return dict(sinks=sinks, sources={"source": core.source}, signals=signals)


def random_rows(rng, rows, n):
    spread = float(rng.choice([0, 1, 3, 50, 3000, 60000]))
    x = np.clip(rng.normal(rng.normal(0, 100), spread, (rows, n)), -32768, 32767).astype(np.int64)
    if rng.random() < 0.2:
        x = np.where(rng.random((rows, n)) < 0.5, -128, 127)
    return x


def case(rng, rows, n, op, affine_arrays=None):
    """(x, params of the stream, the model's output): one job's worth of rows."""
    x = random_rows(rng, rows, n)
    length = np.full(rows, n) if op != "softmax" or rng.random() < 0.5 else rng.integers(1, n + 1, rows)
    params = dict(op=OPS.index(op), format=0, length=length, scale_multiplier=0, scale_shift=0, eps=0, affine=0,
                  out_s8=0, affine_shift=0, beta_shift=0)
    if op == "softmax":
        scale = Scale.from_real(float(10 ** rng.uniform(-5, 0.3)))
        fmt = list(FORMATS.values())[rng.integers(len(FORMATS))]
        params.update(format=fmt.code, scale_multiplier=scale.multiplier, scale_shift=scale.shift)
        return x, params, model.softmax(x, scale, fmt, length=length)
    params["format"] = int(rng.integers(8))      # a norm does not look at it
    params["format"] = int(rng.integers(8))
    eps = float(rng.choice([0, 0.01, 30]))
    affine = None
    if affine_arrays is not None and rng.random() < 0.6:
        gamma, beta = affine_arrays
        affine = Affine(gamma[:n], beta[:n], int(rng.integers(10, 24)), int(rng.integers(0, 16)),
                        str(rng.choice(["s8", "s16"])))
        params.update(affine=1, out_s8=int(affine.out == "s8"), affine_shift=affine.shift, beta_shift=affine.beta_shift)
    params["eps"] = eps_term(eps, n)
    return x, params, getattr(model, op)(x, eps=eps, affine=affine)


def run(dut, config, rng, seed, total_rows, lengths, ops=OPS, rows=64, stall=None):
    """Jobs of mixed operations back to back in one stream; returns the number of elements compared."""
    weights = {}
    arrays = None
    if config.has_affine:
        arrays = [rng.integers(-32768, 32768, config.max_length) for _ in range(2)]
        port = dut.sinks["weights"]
        loads = [port.packets([a], bits=16, beta=i) for i, a in enumerate(arrays)]
        weights["weights"] = np.concatenate(loads)
    beats, expected = [], []
    for _ in range(total_rows // rows):
        n = int(lengths[rng.integers(len(lengths))])
        x, params, reference = case(rng, rows, n, ops[rng.integers(len(ops))], arrays)
        beats.append(dut.sinks["sink"].packets(x, bits=config.input_bits, **params))
        expected.extend(reference.astype(np.int64))
    beats = np.concatenate(beats)
    result = dut.run({"sink": beats, **weights}, after={"sink": "weights"} if weights else None,
                     stall=stall or {}, seed=seed, expect={"source": len(beats)})
    got = result["source"].packets(bits=16)
    assert len(got) == len(expected)
    elements = 0
    for index, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert np.array_equal(a[: len(b)] & 0xFFFF, b & 0xFFFF), f"row {index}, N {len(b)}, seed {seed}"
        elements += len(b)
    assert len(result.events["row_done"]) == len(expected) and not len(result.events["row_error"])
    return elements


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_every_op_equals_the_model_under_stalls(lanes):
    config = LiteNormConfig(lanes=lanes)
    core = LiteNorm(config)
    dut = StreamDut(core, **endpoints(core))
    lengths = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 255, 256, 257, 511, 1000, 1023, 1024]
    for seed, stall in enumerate(STALLS):
        run(dut, config, np.random.default_rng(seed), seed, 240, lengths, rows=6, stall=stall)


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_volume(lanes):
    """340 000 rows a lane count: with 1, 4 and 16 lanes more than a million."""
    config = LiteNormConfig(lanes=lanes)
    core = LiteNorm(config)
    dut = StreamDut(core, **endpoints(core))
    lengths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17]
    for seed in range(34):
        run(dut, config, np.random.default_rng(1000 + seed), seed, 10_048, lengths)


@pytest.mark.parametrize("ops", [("softmax",), ("layernorm",), ("rmsnorm",), ("softmax", "layernorm")])
@pytest.mark.parametrize("affine", [False, True])
def test_partial_cores(ops, affine):
    config = LiteNormConfig(lanes=2, max_length=100, ops=ops, affine=affine)
    core = LiteNorm(config)
    dut = StreamDut(core, **endpoints(core))
    run(dut, config, np.random.default_rng(7), 7, 300, [1, 2, 3, 50, 99, 100], ops=ops, rows=5, stall=STALLS[1])


def test_a_norm_does_not_look_at_the_format():
    """One-hot softmax rows leave small sums in the queue of sums: a norm's row behind them is not taken for one."""
    config = LiteNormConfig(lanes=4)
    core = LiteNorm(config)
    dut = StreamDut(core, **endpoints(core))
    hot, x = np.tile([0, 0, 0, 30000], (8, 1)), np.array([[1, 5, -3, 9]])
    port = dut.sinks["sink"]
    softmax = port.packets(hot, bits=16, op=0, format=2, length=4, scale_multiplier=65535)
    for op, fmt in itertools.product(("layernorm", "rmsnorm"), range(8)):
        norm = port.packets(x, bits=16, op=OPS.index(op), format=fmt, length=4)
        result = dut.run({"sink": np.concatenate([softmax, norm])}, expect={"source": 9})
        got = result["source"].packets(bits=16, signed=True)[-1]
        assert np.array_equal(got, getattr(model, op)(x)[0]), f"{op}, format {fmt}"
        assert not len(result.events["row_error"]), f"{op}, format {fmt}"


def test_reset_in_mid_row_leaves_a_core_that_works():
    config = LiteNormConfig(lanes=4, max_length=64)
    for at in range(20, 140, 7):
        core = LiteNorm(config)
        dut = StreamDut(core, **endpoints(core))
        rng = np.random.default_rng(at)
        x, params, _ = case(rng, 4, 64, "softmax")
        dut.run({"sink": dut.sinks["sink"].packets(x, bits=16, **params)}, seed=at, reset_at=[at])
        run(dut, config, rng, at, 12, [64, 3, 17], rows=4)
        dut.close()


@pytest.mark.parametrize("lanes", [1, 4])
def test_cosimulation_in_myhdl(lanes):
    """The same Verilog in Icarus, driven from MyHDL with random stalls: values, protocol, and no X."""
    config = LiteNormConfig(lanes=lanes, max_length=32)
    core = LiteNorm(config)
    dut = StreamCoSim(core, sinks={"sink": core.sink}, sources={"source": core.source}, signals=[core.row_error])
    rng = np.random.default_rng(11)
    for op in OPS:
        x, params, expected = case(rng, 4, 19, op)
        beats = dut.sinks["sink"].packets(x, bits=16, **params)
        result = dut.run({"sink": beats}, stall={"sink": 0.3, "source": 0.4}, seed=11, expect={"source": len(beats)})
        for a, b in zip(result["source"].packets(bits=16), expected.astype(np.int64), strict=True):
            assert np.array_equal(a[: len(b)] & 0xFFFF, b & 0xFFFF), op
        assert not len(result.events["row_error"])
