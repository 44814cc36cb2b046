# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Softermax: base 2, low precision, a running maximum.

J. R. Stevens, R. Venkatesan, S. Dai, B. Khailany, A. Raghunathan, "Softermax: Hardware/Software Co-Design of an
Efficient Softmax for Transformers", DAC 2021, https://arxiv.org/abs/2103.09301, sections III and IV and its table of
bit widths: input and maximum Q(6,2), unnormalized exponential Q(1,15), sum Q(10,6), reciprocal and output Q(1,7).
Maxima are rounded up to integers, so that a new maximum shifts what was accumulated.

Choices where the paper leaves room: slices of 16 elements; sums are truncated to 6 fraction bits at each slice and
saturate; the reciprocal's mantissa is 4 chords over [1, 2); outputs are rounded to the nearest, which favours the peer.
The paper replaces e by 2 and trains
the network again; here the logits are multiplied by log2(e) instead, so that the result is a softmax to base e.
"""

import math

import numpy as np

INPUT_BITS, INPUT_FRACTION = 8, 2       # Q(6,2), signed, octaves
EXP_FRACTION = 15                       # Q(1,15)
SUM_BITS, SUM_FRACTION = 16, 6          # Q(10,6)
OUTPUT_FRACTION = 7                     # Q(1,7)
SLICE = 16
SEGMENTS = 4                            # chords of the reciprocal over [1, 2)
MANTISSA_BITS = 9                       # fraction bits of the sum's mantissa that enter the chord


def power_of_two(octaves):
    """2^octaves: octaves <= 0 in Q(6,2), result in Q(1,15); the 4 fractions of an octave are a table."""
    fraction = octaves & ((1 << INPUT_FRACTION) - 1)
    table = np.array([round(2 ** (EXP_FRACTION + f / 2**INPUT_FRACTION)) for f in range(1 << INPUT_FRACTION)], np.int64)
    return table[fraction] >> np.minimum(-(octaves >> INPUT_FRACTION), 31)


def reciprocal(total):
    """(r, k): total * 2^-6 = 2^k * m with 1 <= m < 2, and r = 1 / m in Q(1,7) by chords."""
    k = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1
    mantissa = ((total << MANTISSA_BITS) >> k) - (1 << MANTISSA_BITS)
    low_bits = MANTISSA_BITS - SEGMENTS.bit_length() + 1
    ends = np.array([round(2**OUTPUT_FRACTION / (1 + i / SEGMENTS)) for i in range(SEGMENTS + 1)], np.int64)
    segment = mantissa >> low_bits
    drop = (ends[segment] - ends[segment + 1]) * (mantissa & ((1 << low_bits) - 1))
    return ends[segment] - ((drop + (1 << (low_bits - 1))) >> low_bits), k - SUM_FRACTION


def softmax(x, scale):
    """int8 logits [rows, N] to codes [rows, N], value = code / 128."""
    limit = 1 << (INPUT_BITS - 1)
    octaves = np.rint(np.asarray(x) * (scale * math.log2(math.e) * 2**INPUT_FRACTION)).astype(np.int64)
    octaves = np.clip(octaves, -limit, limit - 1)
    ceiling = -(-octaves >> INPUT_FRACTION)                      # whole octaves, rounded up
    top = ceiling[:, :SLICE].max(axis=1, keepdims=True)
    total = np.zeros_like(top)
    e = np.empty_like(octaves)
    tops = np.empty_like(octaves)
    for start in range(0, octaves.shape[1], SLICE):
        part = slice(start, start + SLICE)
        new_top = np.maximum(top, ceiling[:, part].max(axis=1, keepdims=True))
        e[:, part] = power_of_two(octaves[:, part] - (new_top << INPUT_FRACTION))
        tops[:, part] = new_top
        added = e[:, part].sum(axis=1, keepdims=True) >> (EXP_FRACTION - SUM_FRACTION)
        total = np.minimum((total >> np.minimum(new_top - top, 31)) + added, (1 << SUM_BITS) - 1)
        top = new_top
    r, k = reciprocal(np.maximum(total, 1))
    renormalized = e >> np.minimum(top - tops, 31)
    right = np.minimum(EXP_FRACTION + k, 62)
    return (renormalized * r + (np.int64(1) << (right - 1))) >> right
