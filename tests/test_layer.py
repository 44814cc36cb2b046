# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""nn/layer.py: the float32 block against PyTorch's, and its masks."""

import numpy as np
import pytest

from litenorm.nn.layer import ACTIVATIONS, Layer, gelu, layer_norm, softmax

ROWS, DIM, HIDDEN, HEADS, EPS = 5, 8, 16, 2, 1e-5

# Row 3 of the output of torch.nn.TransformerEncoderLayer (PyTorch 2.13.0, float64) with the parameters of `parameters`,
# batch_first, no dropout, (norm_first, activation, causal mask) as in the key.
TORCH = {
    ("pre", "gelu", True): [25.606265, -2.787663, -27.238953, 5.810656, 19.198747, -15.624101, -20.130168, 15.833762],
    ("post", "gelu", False): [1.848768, -0.123261, -2.916454, 0.590675, -1.048532, 0.84032, -1.420932, 1.925013],
    ("post", "relu", True): [1.917528, -0.100508, -2.9142, 0.615456, -0.991739, 0.842853, -1.539882, 1.848012],
}


def wave(seed, *shape):
    """Numbers that any framework reproduces: sin of 1, 2, 3, ... times a factor."""
    return np.sin(np.arange(1, np.prod(shape) + 1) * (0.7 + 0.1 * seed)).reshape(shape)


def parameters():
    """(linears, norms) of a Layer, float64."""
    shapes = dict.fromkeys("qkvo", (DIM, DIM)) | {"fc": (HIDDEN, DIM), "out": (DIM, HIDDEN)}
    linears = {n: (wave(i, *s), wave(i + 10, s[0])) for i, (n, s) in enumerate(shapes.items())}
    return linears, {n: (1 + wave(i, DIM) / 2, wave(i + 5, DIM)) for i, n in enumerate(("norm1", "norm2"), 20)}


def layer(norm="pre", activation="gelu", causal=True):
    linears, norms = ({n: tuple(a.astype(np.float32) for a in p) for n, p in part.items()} for part in parameters())
    return Layer(norm, causal, HEADS, activation, EPS, linears, norms)


@pytest.mark.parametrize("norm, activation, causal", TORCH)
def test_output_is_that_of_pytorch(norm, activation, causal):
    out = layer(norm, activation, causal)(wave(50, ROWS, DIM))
    np.testing.assert_allclose(out[3], TORCH[norm, activation, causal], rtol=2e-5, atol=2e-5)


def test_causal_rows_do_not_see_what_follows():
    x = wave(50, ROWS, DIM)
    changed = x.copy()
    changed[3:] += 1
    a, b = layer()(x), layer()(changed)
    assert np.array_equal(a[:3], b[:3]) and not np.allclose(a[3:], b[3:])


def test_padding_changes_no_valid_row():
    x = wave(50, ROWS, DIM)
    changed = x.copy()
    changed[3:] += 1
    post = layer("post", causal=False)
    np.testing.assert_allclose(post(x, valid=3)[:3], post(changed, valid=3)[:3], rtol=1e-6)
    np.testing.assert_allclose(post(x, valid=3)[:3], post(x[:3]), rtol=1e-5, atol=1e-6)


def test_gelu_is_x_times_phi():
    # Phi(1) and Phi(2) from a table of the normal distribution.
    np.testing.assert_allclose(gelu(np.array([-1.0, 0, 1, 2])), [-0.15865525, 0, 0.84134475, 1.95449974], atol=1e-8)


def test_activations_differ_little_where_they_approximate_gelu():
    x = np.linspace(-6, 6, 1001)
    assert np.abs(ACTIVATIONS["gelu_new"](x) - gelu(x)).max() < 5e-4
    assert np.array_equal(ACTIVATIONS["relu"](x), np.maximum(x, 0))


def test_softmax_and_layer_norm_are_normalized():
    x = wave(3, 4, 7) * 9
    assert np.allclose(softmax(x).sum(axis=-1), 1)
    y = layer_norm(x, 1, 0, 0)
    assert np.allclose(y.mean(axis=-1), 0, atol=1e-6) and np.allclose(y.std(axis=-1), 1)


@pytest.mark.parametrize("change, message", [
    (dict(activation="swish"), "activation is 'swish'; good: gelu"),
    (dict(heads=3), "3 heads do not divide the model width 8"),
])
def test_bad_values(change, message):
    good = layer()
    fields = {f: getattr(good, f) for f in ("norm", "causal", "heads", "activation", "eps", "linears", "norms")}
    with pytest.raises(ValueError, match=message):
        Layer(**(fields | change))
