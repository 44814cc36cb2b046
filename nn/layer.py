# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""One transformer block in float32: what the quantizer calibrates on and the integer block is compared with.

T rows (tokens), D model width, H heads, F width of the feed-forward part, as in `litenorm.nn.block`.
"""

import math
from dataclasses import dataclass

import numpy as np

_erf = np.frompyfunc(math.erf, 1, 1)

# Phi on [-8, 8] in steps of 2^-10: its chords are within 3e-8 of it, half an LSB of a float32 near 1.
PHI_LIMIT, PHI_STEPS = 8, 1 << 10
PHI = (0.5 * (1 + _erf(np.arange(-PHI_LIMIT * PHI_STEPS, PHI_LIMIT * PHI_STEPS + 2) / PHI_STEPS / math.sqrt(2)))
       ).astype(np.float64)
CHUNK = 1 << 15     # elements whose temporaries stay in the CPU's cache


def _gelu_float32(x):
    """x * Phi(x) of a float32 vector by chords of Phi: not, as math.erf, one Python call an element."""
    out = np.empty_like(x)
    for i in range(0, x.size, CHUNK):
        part = x[i : i + CHUNK]
        at = np.fmin(np.fmax(part, -PHI_LIMIT), PHI_LIMIT) * np.float64(PHI_STEPS) + PHI_LIMIT * PHI_STEPS
        index = at.astype(np.int64)     # fmin and fmax turn a NaN into a limit; the product below is NaN again
        low = PHI[index]
        out[i : i + CHUNK] = part * (low + (PHI[index + 1] - low) * (at - index))
    return out


def gelu(x):
    """x * Phi(x), with erf (Hendrycks and Gimpel, 2016)."""
    x = np.asarray(x)
    if x.dtype == np.float32:
        return _gelu_float32(x.reshape(-1)).reshape(x.shape)
    return x * (0.5 * (1 + _erf(x / math.sqrt(2)).astype(x.dtype)))


def gelu_tanh(x):
    """The tanh approximation of GELU that GPT-2 uses."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def relu(x):
    return np.maximum(x, 0)


ACTIVATIONS = {"gelu": gelu, "gelu_new": gelu_tanh, "gelu_pytorch_tanh": gelu_tanh, "relu": relu}  # hidden_act names


def softmax(x):
    """Softmax over the last axis; -inf gives 0."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def masked_softmax(logits, lengths):
    """Softmax of [..., T, T], row i with lengths[i] valid elements; the others are -inf and give 0."""
    return softmax(logits)


def layer_norm(x, gamma, beta, eps):
    """(x - mean) / sqrt(variance + eps) * gamma + beta over the last axis, population variance."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(eps)) * gamma + beta


def named_layer_norm(x, gamma, beta, eps, name):
    """layer_norm; `name` says which of the layer's it is."""
    return layer_norm(x, gamma, beta, eps)


def check_finite(values, what):
    """`values`. ValueError when one of them is infinite or not a number; `what` gave them."""
    if not np.isfinite(values).all():
        raise ValueError(f"{what} gives values that are not finite; good: weights whose results float32 holds")
    return values


@dataclass(frozen=True)
class Layer:
    """Parameters of one block; every array is float32.

    norm        "pre" (GPT-2) or "post" (BERT)
    causal      row i attends to rows 0 to i only
    heads       H, divides D
    activation  key of ACTIVATIONS
    eps         of both LayerNorms
    linears     q, k, v, o, fc, out -> (weight [outputs, inputs], bias [outputs])
    norms       norm1, norm2 -> (gamma [D], beta [D])
    """

    norm: str
    causal: bool
    heads: int
    activation: str
    eps: float
    linears: dict
    norms: dict

    def __post_init__(self):
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation is {self.activation!r}; good: {', '.join(ACTIVATIONS)}")
        if self.dim % self.heads:
            raise ValueError(f"{self.heads} heads do not divide the model width {self.dim}")

    @property
    def dim(self):
        """D, the model width."""
        return self.linears["q"][0].shape[1]

    def run(self, x, valid=None, softmax=masked_softmax, norm=named_layer_norm):
        """x float32 [..., T, D] -> dict of the stages of `litenorm.nn.block.STAGES`, as real numbers.

        logits are divided by sqrt(D / H), and -inf where they are masked; valid: keys that are not padding.

        softmax, norm  stand for the two functions of this module whose arguments and results they have
        """
        x = np.asarray(x, np.float32)
        rows, dim = x.shape[-2:]
        lengths = np.arange(1, rows + 1) if self.causal else np.full(rows, rows if valid is None else valid)
        pre, s = self.norm == "pre", {}

        def linear(name, a):
            weight, bias = self.linears[name]
            return a @ weight.T + bias

        def normalized(name, a):
            return norm(a, *self.norms[name], self.eps, name)

        def split(t):  # [..., T, D] -> [..., H, T, d]
            return np.moveaxis(t.reshape(*t.shape[:-1], self.heads, dim // self.heads), -2, -3)

        s["attn_in"] = normalized("norm1", x) if pre else x
        s["q"], s["k"], s["v"] = (linear(name, s["attn_in"]) for name in "qkv")
        logits = split(s["q"]) @ split(s["k"]).swapaxes(-2, -1) / np.float32(math.sqrt(dim // self.heads))
        s["logits"] = np.where(np.arange(rows) < lengths[:, None], logits, np.float32(-np.inf))
        s["probs"] = softmax(s["logits"], lengths)
        s["context"] = np.moveaxis(s["probs"] @ split(s["v"]), -3, -2).reshape(x.shape)
        s["residual1"] = x + linear("o", s["context"])
        if pre:
            stream = s["residual1"]
            s["ffn_in"] = normalized("norm2", stream)
        else:
            stream = s["norm1_out"] = s["ffn_in"] = normalized("norm1", s["residual1"])
        s["hidden"] = linear("fc", s["ffn_in"])
        s["act"] = ACTIVATIONS[self.activation](s["hidden"])
        total = stream + linear("out", s["act"])
        if pre:
            s["output"] = total
        else:
            s["residual2"] = total
            s["output"] = normalized("norm2", total)
        return s

    def __call__(self, x, valid=None):
        """The block's output, float32 [T, D]."""
        return self.run(x, valid)["output"]
