# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Real numbers in and out, the core's integers between: what the plug-ins of the frameworks compute, in NumPy.

The core takes integers. A framework's tensor is float32, so each op quantizes its input, runs the arithmetic of
`accel.model`, and multiplies the codes by the value of one LSB. `litenorm.nn.torch` and `litenorm.nn.onnx` do this with
their own operators; their tests compare every bit with these functions.

Quantization of softmax: a row's logits count by their distance from its maximum, which softmax does not notice: `x_q =
q_max - round((max - x) / scale)`. `dynamic`, one scale a row: the largest distance, and at most REACH, is the lowest
code. `given`, one scale and zero point for all: `x_q = clip(round(x / scale) + zero_point)`, what the requantization
in front of the core writes. Elements further than MASK_DISTANCE from the maximum are taken as masked: models mask by
adding -10000, the lowest float32 or minus infinity. A row without any valid element gives 0, which has no sum.

Quantization of LayerNorm and RMSNorm: `x_q = round(x / scale)`; dynamic, one scale a row: the largest |x| over
2^(bits-1) - 1.

A row with NaN has no codes, nor one with infinity, but for masked logits of minus infinity. Its codes mean nothing, and
in the frameworks all of the row is NaN: whoever looks for NaN in a model finds it.

float32 arithmetic, in this order; float64 where a scale becomes integers.
"""

import math
from typing import NamedTuple

import numpy as np

from litenorm.accel import LiteNormConfig, model
from litenorm.accel import constants as c
from litenorm.accel.formats import get_format

REACH = np.float32((c.EXP_BITS + 1) * math.log(2))  # distance, nats, at which e is 0: coarser codes would gain nothing
LEAST_REACH = np.float32(2.0**-8)   # of a row's scale: below it, 2^-9 octaves * 2^-shift lose bits
LEAST_NORM = np.float32(2.0**-60)   # of |x|, for a row of zeros
MASK_DISTANCE = 1000.0              # nats
LARGEST_EPS = float((1 << c.EPS_BITS) - 4)   # of eps * N^2 in LSB^2: the field's largest, less what float64 rounds up
LONGEST = {"softmax": c.MAX_LENGTH_SOFTMAX, "layernorm": c.MAX_LENGTH_LAYERNORM, "rmsnorm": c.MAX_LENGTH_LAYERNORM}


class Codes(NamedTuple):
    """Codes of one type of input. lowest, highest: of all; steps: highest - lowest."""

    bits: int
    lowest: int
    highest: int
    steps: int


def input_codes(inputs):
    """Codes of "s8" or "s16"; ValueError for another name."""
    if inputs not in c.INPUTS:
        raise ValueError(f"inputs is {inputs!r}; good: {', '.join(c.INPUTS)}")
    bits = c.INPUTS[inputs]
    return Codes(bits, -(1 << (bits - 1)), (1 << (bits - 1)) - 1, (1 << bits) - 1)


def softmax_config(max_length):
    """The configuration of a core for softmax rows of up to `max_length`; ValueError when there is none."""
    return LiteNormConfig(max_length=max(2, max_length), ops=("softmax",))


def check_length(op, length, max_length=None):
    """ValueError when a row of `length` elements does not fit."""
    limit = max_length or LONGEST[op]
    if not 1 <= length <= limit:
        raise ValueError(f"{op} of {length} elements; good: 1 to {limit}" + (
            f" (max_length; up to {LONGEST[op]})" if limit < LONGEST[op] else ""))


def given_scale(low, high, inputs):
    """(scale, zero_point) with which the codes reach from `low` to `high`."""
    codes = input_codes(inputs)
    scale = float(max(high - low, LEAST_REACH)) / codes.steps
    return scale, codes.lowest - round(low / scale)


def quantize_softmax(x, inputs, mask=None, scale=None, zero_point=0):
    """(x_q int64 [..., N], scales float32 [..., 1], valid bool [..., N]) of float32 x [..., N]."""
    codes = input_codes(inputs)
    x = np.asarray(x, np.float32)
    kept = x > -np.inf if mask is None else mask & (x > -np.inf)
    top = np.where(kept, x, np.finfo(np.float32).min).max(axis=-1, keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):
        distance = np.where(kept, top - x, np.float32(0))
    valid = kept & (distance < np.float32(MASK_DISTANCE))
    if scale is None:
        reach = np.where(valid, distance, np.float32(0)).max(axis=-1, keepdims=True)
        scales = np.clip(reach, LEAST_REACH, REACH) / np.float32(codes.steps)
        t = np.minimum(np.rint(np.where(valid, distance, np.float32(0)) / scales), np.float32(codes.steps))
        return codes.highest - t.astype(np.int64), scales, valid
    scales = np.full(top.shape, scale, np.float32)
    with np.errstate(over="ignore"):    # above float32's largest number: infinity, which saturates as well
        q = np.rint(np.where(valid, x, np.float32(0)) / scales) + np.float32(zero_point)
    return np.clip(q, np.float32(codes.lowest), np.float32(codes.highest)).astype(np.int64), scales, valid


def softmax(x, fmt="u16_q15", inputs="s16", mask=None, scale=None, zero_point=0, max_length=1024):
    """Softmax over the last axis of float32 x: codes int64 [..., N]; probabilities are (codes - zero_point) / total.

    Masked elements are left out of the row as the core is given it, and get the format's zero point. Slow: row by row.
    """
    fmt, config = get_format(fmt), softmax_config(max_length)
    q, scales, valid = quantize_softmax(x, inputs, mask, scale, zero_point)
    out = np.full(q.shape, fmt.zero_point, np.int64)
    for index in np.ndindex(q.shape[:-1]):
        if valid[index].any():
            row = model.softmax(q[index][valid[index]], float(scales[index][0]), fmt, config=config)
            out[index][valid[index]] = row
    return out


def quantize_norm(x, inputs, scale=None):
    """(x_q int64 [..., N], scales float32 [..., 1]) of float32 x [..., N]."""
    codes = input_codes(inputs)
    x = np.asarray(x, np.float32)
    scales = np.maximum(np.abs(x).max(axis=-1, keepdims=True), LEAST_NORM) / np.float32(codes.highest)
    if scale is not None:
        scales = np.full_like(scales, scale)
    with np.errstate(over="ignore"):    # as above
        q = np.clip(np.rint(x / scales), np.float32(codes.lowest), np.float32(codes.highest))
    return q.astype(np.int64), scales


def norm(op, x, eps, inputs="s16", scale=None, affine=None):
    """"layernorm" or "rmsnorm" over the last axis of float32 x: int64 codes [..., N], Q5.10 or the affine's output.

    eps  real, as the framework has it. It becomes LSB^2 of the row; what the core's field cannot hold, its largest
    """
    q, scales = quantize_norm(x, inputs, scale)
    length = q.shape[-1]
    largest = LARGEST_EPS / length**2
    out = np.zeros(q.shape, np.int64)
    for index in np.ndindex(q.shape[:-1]):
        lsb = float(scales[index][0])
        term = min(eps / (lsb * lsb), largest)
        out[index] = getattr(model, op)(q[index], eps=term, affine=affine)
    return out


def softmax_bound(length, fmt="u16_q15", inputs="s16"):
    """Bound of |output - softmax(x)|, one element of a row of `length` with a dynamic scale.

    e_i = exp(-distance_i + theta_i) - tau_i with |theta_i| <= Theta and 0 <= tau_i <= 2^-22. Theta is half a code of
    the logits, 2^-16 of the distance for the scale's 16 bits, 2^-15 octaves, and the chords of 2^-f, at most 1.7e-4.
    The odds of an element against the others change by a factor of at most exp(2 Theta), hence its share of the sum by
    at most tanh(Theta / 2); the tau move it by at most length * 2^-22, since the sum is 1 or more; the core's division
    adds 1.25 ulp. float32 in the quantizer: 2^-22 of the distance.
    """
    reach = float(REACH)
    theta = (reach / input_codes(inputs).steps / 2 + reach * (2.0**-16 + 2.0**-22)
             + math.log(2) * 2.0**-c.OCTAVE_FRACTION_BITS + 1.7e-4)
    return math.tanh(theta / 2) + length * 2.0**-c.EXP_BITS + 1.25 / get_format(fmt).total


def norm_bound(y, sigma):
    """Bound of |y_q - y| before gamma and beta: y [..., N] the exact outputs, sigma [..., 1] the row's
    sqrt(variance + eps) in LSB of the quantized input (for RMSNorm sqrt(mean square + eps)).

    A code is off by at most 1/2, its distance from the mean by at most 1, and sigma, by Minkowski, by at most 1/2:
    (1 + |y| / 2) / (sigma - 1/2). The core adds 1.25 ulp of 2^-10, and 2^-16 of y for the 16 bits of its gain; eps is
    rounded to N^-2 LSB^2, float32 to 2^-22 of the largest code.
    """
    if np.any(np.asarray(sigma) <= 0.5):
        raise ValueError("sigma is below half a code; good: rows that their codes can tell apart")
    return (1 + np.abs(y) / 2) / (sigma - 0.5) + 1.25 * 2.0**-c.NORM_FRACTION_BITS + np.abs(y) * 2.0**-15
