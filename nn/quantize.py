# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Post-training quantizer: a float32 layer and calibration inputs -> an integer `Block`.

Weights are s8, symmetric, one scale for each output channel. The s8 inputs of a matrix have one scale for each channel,
which its weights absorb, so that outlying channels do not cost the others their resolution (SmoothQuant, Xiao et al.
2022, arXiv 2211.10438); the smoothing exponent and the clipping are chosen for the smallest squared error of the matrix
product on the calibration data. Queries and keys have one scale for each head, values one for each channel. The codes
before and behind the activation function are asymmetric: their zero points are folded into the biases and the table.
Biases also take the mean error that the rounded weights make on the calibration data (Nagel et al. 2019, arXiv
1906.04721). The residual stream is s16 with one scale and headroom over the calibration data.
"""

import numpy as np

from litenorm.accel.affine import Affine
from litenorm.accel.formats import get_format
from litenorm.accel.scale import Scale, eps_term
from litenorm.nn.block import MAX_EPS, Block, Linear, Norm, Requant
from litenorm.nn.layer import ACTIVATIONS, check_finite, layer_norm

HEADROOM = 1.5      # largest residual or logit that s16 holds, over the largest of the calibration data
SAMPLE_ROWS = 384   # calibration rows that the searches look at
SMOOTHING = (0.25, 0.4, 0.5, 0.6, 0.75)     # exponents tried: 0 gives all freedom to the weights, 1 to the inputs
CLIPPING = (1.0, 0.9, 0.8, 0.65, 0.5)       # shares of the largest value tried as the range of an s8 tensor
MATRIX_INPUT = {"q": "attn_in", "k": "attn_in", "v": "attn_in", "o": "context", "fc": "ffn_in", "out": "act"}
TINY = 1e-9         # stands for the range of a channel that is always zero


def quantize(layer, windows, name="layer", fmt="u16_q15", logits="s16", input_scale=None, output_scale=None,
             runs=None):
    """Quantize one block.

    layer    nn.layer.Layer
    windows  calibration inputs of the layer: a list of float32 [T, D], of any lengths, real data
    fmt      output format of the softmax
    logits   "s16" or "s8"
    input_scale, output_scale  real value of one LSB of the block's input and output, to chain blocks; None: from the
             calibration data. A pre-norm block's residual stream has one scale: output_scale must be None or equal.
    runs     layer.run() of each window, where the caller has them; None: they are made
    returns  nn.block.Block

    ValueError when there are no windows, they do not fit the layer, or the layer gives values that are not finite.
    """
    windows = list(windows)
    if not windows or any(w.ndim != 2 or w.shape[1] != layer.dim or not len(w) for w in windows):
        raise ValueError(f"windows have shapes {[w.shape for w in windows]}; good: one or more of [T, {layer.dim}]")
    pre = layer.norm == "pre"
    with np.errstate(all="ignore"):  # an overflow shows in the results
        runs = [run | {"input": w} for run, w in zip(runs or map(layer.run, windows), windows, strict=True)]
    for run in runs:
        for stage, values in run.items():
            if stage != "logits":  # masked logits are -inf; what is not finite among the others shows in probs
                check_finite(values, f"{stage} of {name}")
    rows = {stage: np.concatenate([run[stage] for run in runs]).astype(np.float64)
            for stage in runs[0] if stage not in ("logits", "probs")}

    # Scales of the residual stream.
    if pre:
        if output_scale is not None and output_scale != input_scale:
            raise ValueError(f"output_scale is {output_scale}; good: the input_scale, {input_scale}")
        input_scale = input_scale or _s16_scale(layer, rows["input"], rows["residual1"], rows["output"])
        middle_scale = output_scale = input_scale
    else:
        input_scale = input_scale or _s16_scale(layer, rows["input"], rows["residual1"])
        middle_scale = _s16_scale(layer, rows["norm1_out"], rows["residual2"], layer.norms["norm1"][0])
        output_scale = output_scale or _s16_scale(layer, rows["output"], layer.norms["norm2"][0])

    # Inputs of the matrices, with what their weights absorb.
    weights = {n: w.astype(np.float64) for n, (w, _) in layer.linears.items()}
    biases = {n: b.astype(np.float64) for n, (_, b) in layer.linears.items()}
    attn_scale = _input_scales(rows["attn_in"], np.concatenate([weights[n] for n in "qkv"]))
    context_scale = _input_scales(rows["context"], weights["o"])
    ffn_scale = _input_scales(rows["ffn_in"], weights["fc"])
    if pre:  # a LayerNorm's output reaches gamma, whatever little the calibration data show of it
        attn_scale = np.maximum(attn_scale, np.abs(layer.norms["norm1"][0]) / 2048)
        ffn_scale = np.maximum(ffn_scale, np.abs(layer.norms["norm2"][0]) / 2048)
    hidden, act = _activation_codes(layer.activation, rows["hidden"], weights["out"])

    heads, head_dim = layer.heads, layer.dim // layer.heads
    head_scale = {n: _range(rows[n].reshape(-1, heads, head_dim).swapaxes(1, 2).reshape(-1, heads)) / 127 for n in "qk"}
    v_scale = np.maximum(np.abs(rows["v"]).max(axis=0), TINY) / 127
    largest = max(np.abs(run["logits"][np.isfinite(run["logits"])]).max() for run in runs)
    logits_scale = max(largest, TINY) / 127 if logits == "s8" else max(largest, TINY) * HEADROOM / 32767

    def linear(n, scales, out_scale, out="s8", in_zero=0, out_zero=0):
        """Matrix `n`: inputs have `scales` and zero point in_zero, outputs out_scale and out_zero."""
        effective = weights[n] * scales
        bias = biases[n] + out_zero * out_scale
        scale = _weight_scales(effective, bias)
        codes = np.clip(np.rint(effective / scale[:, None]), -127, 127).astype(np.int64)
        bias = bias + (effective - codes * scale[:, None]) @ (rows[MATRIX_INPUT[n]].mean(axis=0) / scales)
        bias = np.rint(bias / scale) - in_zero * codes.sum(axis=1)
        return Linear(codes, bias.astype(np.int64), Requant.from_real(scale / out_scale, out))

    def norm(n, scales, residual_scale):
        gamma, beta = layer.norms[n]
        eps = eps_term(layer.eps / residual_scale**2, layer.dim)
        scales = np.broadcast_to(scales, gamma.shape)
        return Norm(eps, Affine.from_real(gamma / scales, beta / scales, 1.0, "s8" if pre else "s16"))

    return Block(
        name=name, norm=layer.norm, causal=layer.causal, heads=heads, scale=Scale.from_real(logits_scale), fmt=fmt,
        q=linear("q", attn_scale, np.repeat(head_scale["q"], head_dim)),
        k=linear("k", attn_scale, np.repeat(head_scale["k"], head_dim)),
        v=linear("v", attn_scale, v_scale),
        o=linear("o", context_scale, input_scale, "s16"),
        fc=linear("fc", ffn_scale, hidden.scale, out_zero=hidden.zero),
        out=linear("out", act.scale, middle_scale, "s16", in_zero=act.zero),
        logits_requant=Requant.from_real(head_scale["q"] * head_scale["k"] / np.sqrt(head_dim) / logits_scale, logits),
        context_requant=Requant.from_real(v_scale / get_format(fmt).total / context_scale, "s8"),
        norm1=norm("norm1", attn_scale if pre else middle_scale, input_scale),
        norm2=norm("norm2", ffn_scale if pre else output_scale, middle_scale),
        attn_requant=None if pre else Requant.from_real(input_scale / attn_scale, "s8"),
        ffn_requant=None if pre else Requant.from_real(middle_scale / ffn_scale, "s8"),
        activation=act.codes(ACTIVATIONS[layer.activation](hidden.values(np.arange(-128, 128)))),
        input_scale=float(input_scale), output_scale=float(output_scale))


def quantize_head(gamma, beta, eps, words, rows, residual_scale):
    """Quantize a language model's end: the final LayerNorm and the matrix to the logits.

    gamma, beta     float32 [D], eps of the LayerNorm
    words           float32 [V, D], the matrix
    rows            float32 [T, D], calibration data: the residual stream behind the last block
    residual_scale  real value of one LSB of the integer residual stream
    returns         (nn.block.Norm to s8, nn.block.Linear to s16 logits, real value of one LSB of the logits)

    All logits have one scale, so that they can be compared; its range is HEADROOM over that of the calibration data.
    """
    words, rows = words.astype(np.float64), rows.astype(np.float64)
    behind = layer_norm(rows, gamma, beta, eps)
    scales = np.maximum(_input_scales(behind, words), np.abs(gamma) / 2048)
    logits_scale = max(np.abs(behind @ words.T).max(), TINY) * HEADROOM / 32767
    effective = words * scales
    scale = _weight_scales(effective, np.zeros(len(words)))
    codes = np.rint(effective / scale[:, None]).astype(np.int64)
    bias = np.rint((effective - codes * scale[:, None]) @ (behind.mean(axis=0) / scales) / scale).astype(np.int64)
    affine = Affine.from_real(gamma / scales, beta / scales, 1.0, "s8")
    norm = Norm(eps_term(eps / residual_scale**2, len(gamma)), affine)
    return norm, Linear(codes, bias, Requant.from_real(scale / logits_scale, "s16")), float(logits_scale)


def cosine(a, b):
    """Cosine of two arrays taken as vectors, float64."""
    a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


class _Codes:
    """An asymmetric s8 code: value = (code - zero) * scale, covering low to high."""

    def __init__(self, low, high):
        self.scale = max(high - low, TINY) / 255
        self.zero = int(np.clip(np.rint(-128 - low / self.scale), -128, 127))

    def codes(self, values):
        return np.clip(np.rint(values / self.scale) + self.zero, -128, 127).astype(np.int64)

    def values(self, codes):
        return (codes - self.zero) * self.scale


def _s16_scale(layer, *tensors):
    """Scale of the residual stream; not so small that eps, in units of its square, leaves the LayerNorm's range."""
    smallest = max(np.sqrt(layer.eps) * layer.dim / np.sqrt(MAX_EPS / 2), TINY)
    return max(max(np.abs(t).max() for t in tensors) * HEADROOM / 32767, smallest)


def _range(rows):
    """Largest magnitude of each column, at least TINY."""
    return np.maximum(np.abs(rows).max(axis=0), TINY)


def _sample(rows):
    """At most SAMPLE_ROWS rows, evenly spread."""
    return rows[:: -(-len(rows) // SAMPLE_ROWS)]


def _weight_scales(weight, bias):
    """Scale of each output channel's s8 codes; large enough that the bias, too, fits its s32 with room for the sum."""
    return np.maximum(_range(weight.T) / 127, np.abs(bias) / 2**29)


def _input_scales(rows, weight):
    """Scale of each channel of an s8 matrix input [rows, D], for the smallest error of rows @ weight^T."""
    rows_range, weight_range = _range(rows), _range(weight)
    sample = _sample(rows)
    exact = sample @ weight.T
    best = (np.inf, None)
    for exponent in SMOOTHING:
        shape = rows_range**exponent / weight_range ** (1 - exponent)
        whole = (rows_range / shape).max() / 127
        for clip in CLIPPING:
            scales = shape * whole * clip
            effective = weight * scales
            scale = _range(effective.T)[:, None] / 127
            codes = np.clip(np.rint(sample / scales), -128, 127)
            error = ((codes @ (np.rint(effective / scale) * scale).T - exact) ** 2).sum()
            if error < best[0]:
                best = (error, scales)
    return best[1]


def _activation_codes(activation, hidden, weight):
    """Codes before and behind the activation function for the smallest error of act @ weight^T."""
    function = ACTIVATIONS[activation]
    sample = _sample(hidden)
    exact = function(sample) @ weight.T
    high, low = max(float(hidden.max()), TINY), min(float(hidden.min()), 0.0)
    best = (np.inf, None, None)
    # Far below zero GELU and ReLU are flat: a range that ends earlier costs nothing there and refines the rest.
    for floor in sorted({max(low, f) for f in (-1.0, -2.0, -2.5, -3.0, -3.5, -4.0, -5.0, low)}):
        for clip in CLIPPING:
            before = _Codes(floor, high * clip)
            values = function(before.values(np.arange(-128, 128)))
            behind = _Codes(min(float(values.min()), 0.0), float(values.max()))
            through = behind.values(behind.codes(values))[before.codes(sample) + 128]
            error = ((through @ weight.T - exact) ** 2).sum()
            if error < best[0]:
                best = (error, before, behind)
    return best[1], best[2]
