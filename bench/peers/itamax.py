# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""ITAMax, the streaming integer softmax of the accelerator ITA.

G. Islamoglu, M. Scherer, G. Paulin, T. Fischer, V. J. B. Jung, A. Garofalo, L. Benini, "ITA: An Energy-Efficient
Attention and Softmax Accelerator for Quantized Transformers", ISLPED 2023, https://arxiv.org/abs/2307.03493, the
section on the integer softmax. Base 2, and every exponential is a power of two: 2^8 >> shift. The row comes in groups;
a new maximum shifts the sum so far, by its own rounded number of octaves, which is where much of the error comes from:
with the row's maximum known beforehand it is smaller (`group=None`). The sum is inverted once, and each output is the
inverse shifted right.

The paper makes 32 LSBs an octave, by requantizing the logits to a range of +-2.8. Here the shift is the difference
times scale * log2(e), rounded, so that every peer sees the same logits and none is clipped.
"""

import math

import numpy as np

BITS = 8
GROUP = 16                      # elements that arrive together
FACTOR_BITS = 16                # fraction bits of scale * log2(e)


def softmax(x, scale, group=GROUP):
    """int8 logits [rows, N] to codes [rows, N], value = code / 255.

    group: elements that arrive together; None: the whole row
    sum   += 2^8 >> shift_i,   shift_i = round((max - x_i) * scale * log2(e)), halves up
    out_i  = (255 * 2^8 div sum) >> shift_i
    """
    x = np.asarray(x, np.int64)
    factor = round(scale * math.log2(math.e) * 2**FACTOR_BITS)

    def octaves(difference):
        shift = (difference * factor + (1 << (FACTOR_BITS - 1))) >> FACTOR_BITS
        return np.minimum(shift, 31)

    group = group or x.shape[1]
    top = x[:, :group].max(axis=1, keepdims=True)
    total = np.zeros_like(top)
    for start in range(0, x.shape[1], group):
        part = x[:, start:start + group]
        new_top = np.maximum(top, part.max(axis=1, keepdims=True))
        total = (total >> octaves(new_top - top)) + ((1 << BITS) >> octaves(new_top - part)).sum(axis=1, keepdims=True)
        top = new_top
    inverse = (((1 << BITS) - 1) << BITS) // total
    return inverse >> octaves(top - x)
