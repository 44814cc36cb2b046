# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""SOLE: E2Softmax, whose exponentials are 4-bit logarithms, and AILayerNorm, whose squares are those of 4-bit numbers.

W. Wang, S. Zhou, W. Sun, P. Sun, Y. Liu, "SOLE: Hardware-Software Co-design of Softmax and LayerNorm for Efficient
Transformer Inference", ICCAD 2023, https://arxiv.org/abs/2510.17189, section III: equations 7, 8, 13 and 17 and
algorithm 1 for E2Softmax, equation 15 and algorithm 2 for AILayerNorm.

Choices where the paper leaves room are named in the functions' docstrings.
"""

import numpy as np

EXP_BITS = 4                    # an exponential is 2^-k, 0 <= k <= 15
SUM_FRACTION = 15               # enough for 2^-15
OUTPUT_BITS = 8
SLICE = 32                      # elements that the unit takes at a time
RATIO = (0.818, 0.568)          # (1.636 - q(s)) / 2 for q(s) = 0 and 0.5
RATIO_FRACTION = 16
FACTOR_BITS = 16

COMPRESS_LIMIT = 64             # magnitudes from here on lose 4 bits, smaller ones 2
ROOT_TABLE_BITS = 4             # mantissa bits that address the table of x^-1/2
ROOT_FRACTION = 8               # bits of its entries


def log2_exp(difference, scale):
    """-log2(exp(difference * scale)) as an integer from 0 to 15, difference >= 0: round(1.4375 * difference * scale).

    Equation 8 is x + (x >> 1) - (x >> 4) = 1.4375 x; no bit is lost here before the rounding.
    """
    factor = round(1.4375 * scale * 2**FACTOR_BITS)
    return np.minimum((difference * factor + (1 << (FACTOR_BITS - 1))) >> FACTOR_BITS, (1 << EXP_BITS) - 1)


def softmax(x, scale, group=SLICE):
    """E2Softmax, int8 logits [rows, N] to codes [rows, N], value = code / 256.

    group: elements that arrive together; None: the whole row

    The paper's unit takes slices of 32 (algorithm 1 updates the maximum at every element), and a new maximum shifts the
    sum by its own rounded logarithm, which is where much of the error comes from. Constants of equation 17 have 16
    fraction bits, and outputs are rounded to the nearest 8-bit code, which favours the peer.
    """
    x = np.asarray(x, np.int64)
    group = group or x.shape[1]
    top = x[:, :group].max(axis=1, keepdims=True)
    total = np.zeros_like(top)
    k = np.empty_like(x)
    tops = np.empty_like(x)
    for start in range(0, x.shape[1], group):
        part = slice(start, start + group)
        new_top = np.maximum(top, x[:, part].max(axis=1, keepdims=True))
        k[:, part] = log2_exp(new_top - x[:, part], scale)
        tops[:, part] = new_top
        added = (np.int64(1) << (SUM_FRACTION - k[:, part])).sum(axis=1, keepdims=True)
        total = (total >> log2_exp(new_top - top, scale)) + added
        top = new_top
    leading = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1
    half = (total >> (leading - 1)) & 1
    ratio = np.array([round(r * 2**RATIO_FRACTION) for r in RATIO], np.int64)[half]
    shift = log2_exp(top - tops, scale) + k + (leading - SUM_FRACTION)
    right = np.minimum(RATIO_FRACTION - OUTPUT_BITS + shift, 62)
    return np.minimum((ratio + (np.int64(1) << (right - 1))) >> right, (1 << OUTPUT_BITS) - 1)


def dynamic_compress(magnitude):
    """(y, s), equation 15: a magnitude from 0 to 128 as y * 2^(2 + 2 s), y of 4 bits, rounded to the nearest."""
    large = magnitude >= COMPRESS_LIMIT
    y = np.where(large, (magnitude + 8) >> 4, (magnitude + 2) >> 2)
    return np.minimum(y, 15), large.astype(np.int64)


def inverse_root(value):
    """value^-1/2 for value > 0: a table addressed by the exponent's parity and 4 bits of mantissa, entries of 8 bits.

    The paper says that a table is used and not how large it is; this one is right to 1.6 %.
    """
    exponent = np.floor(np.log2(value) / 2) * 2
    mantissa = value / 2.0**exponent                            # [1, 4)
    octave = np.where(mantissa >= 2, 2, 1)
    step = octave / 2**ROOT_TABLE_BITS
    middle = (np.floor((mantissa - octave) / step) + 0.5) * step + octave
    entry = np.rint(2**ROOT_FRACTION / np.sqrt(middle)) / 2**ROOT_FRACTION
    return entry * 2.0 ** (-exponent / 2)


def layernorm(x):
    """AILayerNorm of int8 rows [rows, N] with zero point 0, gamma 1, beta 0, power-of-two factors 0: float64 [rows, N].

    E(x) is exact, E(x^2) is that of the compressed magnitudes, a square having no sign. Their difference can be far too
    small, or negative, where deviations are a few LSBs; the paper says nothing of that, and 1 LSB^2 is the least here.
    """
    x = np.asarray(x, np.int64)
    y, s = dynamic_compress(np.abs(x))
    mean = x.mean(axis=1, keepdims=True)
    square = ((y * y) << (4 * s + 4)).mean(axis=1, keepdims=True)
    return (x - mean) * inverse_root(np.maximum(square - mean * mean, 1))
