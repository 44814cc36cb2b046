# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/requantize.py on its generated Verilog: gamma, beta, shift and clip are the model's."""

import functools

import numpy as np
import pytest

from litenorm.accel import LiteNormConfig, model
from litenorm.accel import constants as c
from litenorm.accel.affine import Affine
from litenorm.accel.requantize import Requantize
from litenorm.sim.verilated import Stall, StreamDut

CONFIGS = {
    "1 lane": LiteNormConfig(lanes=1, max_length=40),
    "4 lanes": LiteNormConfig(lanes=4),
    "16 lanes of one beat": LiteNormConfig(lanes=16, max_length=16),
}
STALLS = {
    "none": {},
    "random": {"sink": 0.3, "source": 0.3},
    "slow source": {"source": Stall(0.6, burst=20)},
}


@functools.cache
def requantize(name):
    config = CONFIGS[name]
    module = Requantize(config)
    return config, StreamDut(module, {"sink": module.sink, "weights": module.weights}, {"source": module.source})


def random_s16(rng, shape):
    """s16 of every size, with both ends among them."""
    values = rng.integers(-32768, 32768, shape) >> rng.integers(0, 16, shape)
    return np.where(rng.random(shape) < 0.1, rng.choice([-32768, -32767, -1, 0, 32767], shape), values)


def load(dut, gamma, beta):
    port = dut.sinks["weights"]
    return np.concatenate([port.packets([a], bits=c.CODE_BITS, beta=i) for i, a in enumerate((gamma, beta))])


def run(name, rows, settings, weights, **options):
    """The output rows, s16, and the run's result. settings: an Affine of the whole length a row, or None."""
    _, dut = requantize(name)
    params = {
        "affine": [s is not None for s in settings],
        # What a row that passes carries in the other fields makes no difference.
        "out_s8": [1 if s is None else s.out == "s8" for s in settings],
        "affine_shift": [7 if s is None else s.shift for s in settings],
        "beta_shift": [3 if s is None else s.beta_shift for s in settings],
    }
    beats = dut.sinks["sink"].packets(rows, bits=c.CODE_BITS, **{n: np.array(v, int) for n, v in params.items()})
    result = dut.run({"sink": beats, "weights": weights}, after={"sink": "weights"}, expect={"source": len(beats)},
                     **options)
    got = result["source"].packets(bits=c.CODE_BITS, signed=True)
    return [g[: len(row)] for g, row in zip(got, rows, strict=True)], result


def expected_of(row, setting):
    if setting is None:
        return row
    n = len(row)
    affine = Affine(setting.gamma[:n], setting.beta[:n], setting.shift, setting.beta_shift, setting.out)
    return model.apply_affine(row, affine).astype(np.int64)


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("name", CONFIGS)
def test_every_pair_of_shifts_equals_the_model(name, stall):
    config, dut = requantize(name)
    seed = list(STALLS).index(stall)
    rng = np.random.default_rng(seed)
    gamma, beta = random_s16(rng, config.max_length), random_s16(rng, config.max_length)
    settings = [Affine(gamma, beta, shift, beta_shift, out)
                for shift in range(1 << c.AFFINE_SHIFT_BITS) for beta_shift in range(1 << c.BETA_SHIFT_BITS)
                for out in ("s8", "s16")]
    settings += [None] * 200
    settings = [settings[i] for i in rng.permutation(len(settings))]
    rows = [random_s16(rng, int(rng.choice([1, 3, 17, 40, rng.integers(1, 41)])) if config.max_length >= 40
                       else int(rng.integers(1, config.max_length + 1))) for _ in settings]
    rows[0] = random_s16(rng, config.max_length)
    got, _ = run(name, rows, settings, load(dut, gamma, beta), stall=STALLS[stall], seed=seed)
    for i, (out, row, setting) in enumerate(zip(got, rows, settings, strict=True)):
        assert np.array_equal(out, expected_of(row, setting)), f"row {i}, N {len(row)}, {setting}, seed {seed}"


def test_every_code_passes_unchanged():
    """Rows without gamma and beta keep their 16 bits, those of unsigned softmax codes too."""
    _, dut = requantize("4 lanes")
    codes = np.arange(-32768, 32768).reshape(-1, 1024)
    rng = np.random.default_rng(1)
    weights = load(dut, random_s16(rng, 1024), random_s16(rng, 1024))
    got, _ = run("4 lanes", list(codes), [None] * len(codes), weights)
    assert np.array_equal(np.stack(got), codes)


def test_extremes_do_not_overflow():
    """The largest sums of product, beta and rounding, of both signs, at both ends of the shifts."""
    config, dut = requantize("16 lanes of one beat")
    corners = np.array([-32768, 32767])
    gamma, beta, y = (g.reshape(-1) for g in np.meshgrid(corners, corners, corners))
    gamma, beta, row = np.tile(gamma, 2), np.tile(beta, 2), np.tile(y, 2)
    settings = [Affine(gamma, beta, shift, beta_shift, out)
                for shift in (0, 1, 15, 30, 31) for beta_shift in (0, 15) for out in ("s8", "s16")]
    assert len(row) == config.max_length
    got, _ = run("16 lanes of one beat", [row] * len(settings), settings, load(dut, gamma, beta))
    for out, setting in zip(got, settings, strict=True):
        assert np.array_equal(out, expected_of(row, setting)), setting


def test_first_opens_a_new_array():
    """A second load replaces the first from index 0 on, and what it does not reach stays."""
    config, dut = requantize("4 lanes")
    rng = np.random.default_rng(2)
    gamma, beta = random_s16(rng, config.max_length), random_s16(rng, config.max_length)
    new_gamma, new_beta = random_s16(rng, 20), random_s16(rng, 8)
    weights = np.concatenate([load(dut, gamma, beta), load(dut, new_gamma, new_beta)])
    gamma[:20], beta[:8] = new_gamma, new_beta
    row = random_s16(rng, config.max_length)
    setting = Affine(gamma, beta, 12, 4, "s16")
    got, _ = run("4 lanes", [row], [setting], weights)
    assert np.array_equal(got[0], expected_of(row, setting))


@pytest.mark.parametrize("name", CONFIGS)
def test_latency_and_rate(name):
    config, dut = requantize(name)
    rng = np.random.default_rng(3)
    rows = [random_s16(rng, config.max_length) for _ in range(20)]
    weights = load(dut, rows[0], rows[1])
    _, result = run(name, rows, [Affine(rows[0], rows[1], 10, 3)] * 20, weights)
    accepted = result.accepted["sink"]
    assert np.array_equal(np.diff(result.accepted["weights"]), np.ones(len(weights) - 1))
    assert np.array_equal(np.diff(accepted), np.ones(len(accepted) - 1))
    assert np.array_equal(result["source"].cycles, accepted + Requantize.latency)
