# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""One transformer block in float32: what the quantizer calibrates on and the integer block is compared with.

T rows (tokens), D model width, H heads, F width of the feed-forward part, as in `litenorm.nn.block`.
"""

import math
from dataclasses import dataclass

import numpy as np

_erf = np.frompyfunc(math.erf, 1, 1)


def gelu(x):
    """x * Phi(x), with erf (Hendrycks and Gimpel, 2016)."""
    x = np.asarray(x)
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


def layer_norm(x, gamma, beta, eps):
    """(x - mean) / sqrt(variance + eps) * gamma + beta over the last axis, population variance."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(eps)) * gamma + beta


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

    def run(self, x, valid=None):
        """x float32 [T, D] -> dict of the stages of `litenorm.nn.block.STAGES`, as real numbers.

        logits are divided by sqrt(D / H), and -inf where they are masked; valid: keys that are not padding.
        """
        x = np.asarray(x, np.float32)
        rows, dim = x.shape
        lengths = np.arange(1, rows + 1) if self.causal else np.full(rows, rows if valid is None else valid)
        pre, s = self.norm == "pre", {}

        def linear(name, a):
            weight, bias = self.linears[name]
            return a @ weight.T + bias

        def norm(name, a):
            return layer_norm(a, *self.norms[name], self.eps)

        def split(t):
            return t.reshape(rows, self.heads, dim // self.heads).swapaxes(0, 1)

        s["attn_in"] = norm("norm1", x) if pre else x
        s["q"], s["k"], s["v"] = (linear(name, s["attn_in"]) for name in "qkv")
        logits = split(s["q"]) @ split(s["k"]).swapaxes(1, 2) / np.float32(math.sqrt(dim // self.heads))
        s["logits"] = np.where(np.arange(rows) < lengths[:, None], logits, np.float32(-np.inf))
        s["probs"] = softmax(s["logits"])
        s["context"] = (s["probs"] @ split(s["v"])).swapaxes(0, 1).reshape(rows, dim)
        s["residual1"] = x + linear("o", s["context"])
        if pre:
            stream = s["residual1"]
            s["ffn_in"] = norm("norm2", stream)
        else:
            stream = s["norm1_out"] = s["ffn_in"] = norm("norm1", s["residual1"])
        s["hidden"] = linear("fc", s["ffn_in"])
        s["act"] = ACTIVATIONS[self.activation](s["hidden"])
        total = stream + linear("out", s["act"])
        if pre:
            s["output"] = total
        else:
            s["residual2"] = total
            s["output"] = norm("norm2", total)
        return s

    def __call__(self, x, valid=None):
        """The block's output, float32 [T, D]."""
        return self.run(x, valid)["output"]
