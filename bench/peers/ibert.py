# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""I-BERT: softmax by a second-order polynomial, LayerNorm by an integer square root.

S. Kim, A. Gholami, Z. Yao, M. W. Mahoney, K. Keutzer, "I-BERT: Integer-only BERT Quantization", ICML 2021,
https://arxiv.org/abs/2101.01321, algorithm 1 (polynomial), section 3.5 and algorithm 3 (exponential and softmax),
section 3.6 and algorithm 4 (integer square root, LayerNorm). The widths (16 bits of exponential, a 32-bit reciprocal,
an 8-bit output, 31 bits of the inverse root) are those of the authors' published configuration.
"""

import math

import numpy as np

POLYNOMIAL = (0.3585, 1.353, 0.344)     # exp(p) = a (p + b)^2 + c for p in (-ln 2, 0]
MAX_OCTAVES = 30
EXP_BITS = 16                           # exponentials are requantized to 16 bits, sign included
RECIPROCAL_BITS = 32
OUTPUT_BITS = 8
ROOT_BITS = 31


def int_exp(q, scale):
    """(q_exp, scale_exp) with exp(q * scale) = q_exp * scale_exp, q <= 0: algorithm 3's I-EXP with algorithm 1."""
    a, b, c = POLYNOMIAL
    ln2 = math.floor(math.log(2) / scale)
    if ln2 < 1:
        raise ValueError(f"scale is {scale!r}; good: below ln 2")
    q = np.maximum(q, -MAX_OCTAVES * ln2)
    octaves = -q // ln2
    p = q + octaves * ln2
    polynomial = (p + math.floor(b / scale)) ** 2 + math.floor(c / (a * scale * scale))
    return (polynomial << MAX_OCTAVES) >> octaves, a * scale * scale / 2**MAX_OCTAVES


def softmax(x, scale):
    """int8 logits [rows, N] to codes [rows, N], value = code / 256; scale < ln 2.

    Exponentials are requantized so that exp(0) is 2^15 - 1, the best case of a range that is learned in the original.
    """
    x = np.asarray(x, np.int64)
    exp, exp_scale = int_exp(-np.arange(256, dtype=np.int64), scale)
    table = np.clip(np.rint(exp * exp_scale * (2 ** (EXP_BITS - 1) - 1)), 0, 2 ** (EXP_BITS - 1) - 1).astype(np.int64)
    e = table[x.max(axis=1, keepdims=True) - x]
    factor = (1 << RECIPROCAL_BITS) // e.sum(axis=1, keepdims=True)
    return (e * factor) >> (RECIPROCAL_BITS - OUTPUT_BITS)


def integer_sqrt(n):
    """floor(sqrt(n)) by algorithm 4: x <- (x + n div x) div 2 from a power of two above the root till x stops falling.

    n int64 [...], 0 <= n < 2^52; 0 gives 0.
    """
    n = np.asarray(n, np.int64)
    safe = np.maximum(n, 1)
    bits = np.frexp(safe.astype(np.float64))[1].astype(np.int64)
    x = np.int64(1) << ((bits + 1) >> 1)
    while True:
        smaller = (x + safe // x) >> 1
        if not (smaller < x).any():
            return np.where(n == 0, 0, x)
        x = np.minimum(x, smaller)


def layernorm(x):
    """LayerNorm of integer rows [rows, N], gamma 1, beta 0: float64 [rows, N], the integers times sqrt(N) / 2^30.

    The mean is rounded to an integer, the root is that of the sum of squares and is rounded down, and its inverse has
    31 bits. A row whose deviations are all 0 gives 0, where the original would divide by 0.
    """
    x = np.asarray(x, np.int64)
    n = x.shape[1]
    y = x - (2 * x.sum(axis=1, keepdims=True) + n) // (2 * n)
    root = integer_sqrt((y * y).sum(axis=1, keepdims=True))
    factor = (1 << ROOT_BITS) // np.maximum(root, 1)
    return ((y * factor) >> 1) * (math.sqrt(n) / 2 ** (ROOT_BITS - 1))
