# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""nn/quantize.py: how close the integer block comes to the float32 layer, also where it is hard."""

from dataclasses import replace

import numpy as np
import pytest

from litenorm.accel.scale import eps_term
from litenorm.nn.layer import ACTIVATIONS, Layer
from litenorm.nn.quantize import cosine, quantize

DIM, HIDDEN, HEADS = 32, 64, 4
SEED = 20


def random_layer(seed, norm, causal, activation="gelu", eps=1e-5):
    rng = np.random.default_rng(seed)

    def linear(outputs, inputs):
        weight = rng.normal(0, inputs**-0.5, (outputs, inputs)) * rng.uniform(0.3, 2, (outputs, 1))
        return weight.astype(np.float32), rng.normal(0, 0.2, outputs).astype(np.float32)

    def layer_norm():
        return rng.uniform(0.5, 1.5, DIM).astype(np.float32), rng.normal(0, 0.3, DIM).astype(np.float32)

    linears = {n: linear(DIM, DIM) for n in "qkvo"} | {"fc": linear(HIDDEN, DIM), "out": linear(DIM, HIDDEN)}
    return Layer(norm, causal, HEADS, activation, eps, linears, {"norm1": layer_norm(), "norm2": layer_norm()})


def inputs(seed, count=6, rows=24, outlier=1.0):
    """Calibration inputs; channel 5 is `outlier` times as large as the others."""
    x = np.random.default_rng(seed).normal(0, 1, (count, rows, DIM)).astype(np.float32)
    x[:, :, 5] *= outlier
    return list(x)


def quality(layer, block, x):
    return cosine(block(block.quantize_input(x)) * block.output_scale, layer(x))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm, causal", [("pre", True), ("pre", False), ("post", True), ("post", False)])
def test_the_integer_block_is_close_to_the_layer(norm, causal, activation):
    layer = random_layer(SEED, norm, causal, activation)
    block = quantize(layer, inputs(SEED))
    for x in inputs(SEED + 1):
        assert quality(layer, block, x) > 0.998


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_an_outlying_channel_does_not_drown_the_others(norm):
    layer = random_layer(SEED, norm, False)
    block = quantize(layer, inputs(SEED, outlier=60))
    x = inputs(SEED + 1, 1, outlier=60)[0]
    others = np.arange(DIM) != 5
    got, expected = block(block.quantize_input(x)) * block.output_scale, layer(x)
    assert cosine(got[:, others], expected[:, others]) > 0.998


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_every_stage_is_close(norm):
    layer = random_layer(SEED, norm, True)
    block, x = quantize(layer, inputs(SEED)), inputs(SEED + 1, 1)[0]
    got, expected = block.run(block.quantize_input(x)), layer.run(x)
    for stage in ("q", "k", "v", "residual1", "norm1_out", "output"):
        if stage in got:
            real = got[stage].astype(np.float64).reshape(len(x), -1, DIM // HEADS if stage in "qk" else 1)
            # Each head, or channel, has its own scale: compare direction by direction.
            expected_parts = expected[stage].reshape(real.shape)
            for part in range(real.shape[1]):
                assert cosine(real[:, part], expected_parts[:, part]) > 0.994, (stage, part)
    assert np.abs(got["probs"] / 2.0**15 - expected["probs"]).max() < 0.05


def test_zero_points_are_folded_away():
    """A hidden layer that is far from symmetric: codes use the whole range, and the output has no offset."""
    layer = random_layer(SEED, "pre", True)
    weight, bias = layer.linears["fc"]
    layer = replace(layer, linears=layer.linears | {"fc": (weight * np.float32(0.3), bias + 4)})
    block, x = quantize(layer, inputs(SEED)), np.concatenate(inputs(SEED + 1))
    got, expected = block.run(block.quantize_input(x)), layer.run(x)
    assert np.ptp(got["hidden"].astype(int)) > 150
    offset = (got["output"] * block.output_scale - expected["output"]).mean(axis=0)
    assert np.abs(offset).max() < 0.02 * expected["output"].std()


def test_fewer_bits_of_logits_cost_little():
    layer = random_layer(SEED, "pre", True)
    block = quantize(layer, inputs(SEED), logits="s8", fmt="u8_255")
    assert block.logits_requant.out == "s8" and block.fmt == "u8_255"
    assert quality(layer, block, inputs(SEED + 1, 1)[0]) > 0.999


def test_the_residual_has_headroom():
    layer = random_layer(SEED, "pre", True)
    block = quantize(layer, inputs(SEED))
    stages = block.run(block.quantize_input(inputs(SEED)[0] * 1.3))
    assert np.abs(stages["output"].astype(int)).max() < 32767


def test_scales_can_be_chained():
    layer = random_layer(SEED, "post", False)
    block = quantize(layer, inputs(SEED), input_scale=1e-3, output_scale=2e-3)
    assert (block.input_scale, block.output_scale) == (1e-3, 2e-3)
    assert quality(layer, block, inputs(SEED + 1, 1)[0]) > 0.998
    block = quantize(random_layer(SEED, "pre", True), inputs(SEED), input_scale=1e-3)
    assert block.input_scale == block.output_scale == 1e-3


def test_eps_is_in_units_of_the_residual():
    layer = random_layer(SEED, "pre", True, eps=1e-2)
    block = quantize(layer, inputs(SEED))
    assert block.norm1.eps == eps_term(1e-2 / block.input_scale**2, DIM) > 0
    # Rows so small that eps dominates: without it the first LayerNorm's output would be 10 times as large.
    x = inputs(SEED + 1, 1)[0] * np.float32(0.01)
    assert quality(layer, block, x) > 0.999


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_dead_weights_and_constant_inputs_are_no_trouble(norm):
    layer = random_layer(SEED, norm, True)
    dead = {n: (np.zeros_like(w), np.zeros_like(b)) for n, (w, b) in layer.linears.items()}
    for trouble, x in ((replace(layer, linears=dead), inputs(SEED)), (layer, [np.zeros((8, DIM), np.float32)]),
                       (replace(layer, linears=dead), [np.zeros((8, DIM), np.float32)])):
        block = quantize(trouble, x)
        got, expected = block(block.quantize_input(x[0])) * block.output_scale, trouble(x[0])
        assert np.abs(got - expected).max() <= 0.02 * max(1, np.abs(expected).max())


def test_a_large_bias_does_not_overflow():
    layer = random_layer(SEED, "pre", True)
    weight, bias = layer.linears["v"]
    weight, bias = weight.copy(), bias.copy()
    weight[3], bias[3] = weight[3] * 1e-9, 5
    layer = replace(layer, linears=layer.linears | {"v": (weight, bias)})
    block = quantize(layer, inputs(SEED))
    assert quality(layer, block, inputs(SEED + 1, 1)[0]) > 0.9995


def test_quantizing_twice_gives_the_same_block():
    layer = random_layer(SEED, "post", False)
    a, b = (quantize(layer, inputs(SEED)) for _ in range(2))
    assert np.array_equal(a.fc.weight, b.fc.weight) and np.array_equal(a.activation, b.activation)
    assert a.scale == b.scale and np.array_equal(a.attn_requant.multiplier, b.attn_requant.multiplier)


@pytest.mark.parametrize("windows, change, message", [
    ([], {}, "windows have shapes"),
    ([np.zeros((3, 8), np.float32)], {}, "windows have shapes"),
    ([np.zeros((0, DIM), np.float32)], {}, "windows have shapes"),
    (None, dict(output_scale=1.0), "output_scale is 1.0; good: the input_scale"),
    (None, dict(fmt="u7"), "unknown softmax format 'u7'"),
    (None, dict(logits="s4"), "out is 's4'; good: s8, s16"),
])
def test_bad_values(windows, change, message):
    with pytest.raises(ValueError) as error:
        quantize(random_layer(1, "pre", True), inputs(1) if windows is None else windows, **change)
    assert message in str(error.value) and "\n" not in str(error.value)
