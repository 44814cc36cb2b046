# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The bit-exact model of the serial back end's softmax: NumPy, vectorized over rows; both sizes compute it.

A row needs no multiplier and no reciprocal: it is divided by S + 1, S = sum(e), and the remainder is carried from
element to element. The outputs telescope,

    out_i = C_i - C_(i-1),    C_i = floor(2^F * (e_1 + ... + e_i) / (S + 1)),    C_0 = 0,

so they add up to floor(2^F * S / (S + 1)) = 2^F - 1 for every row, because S + 1 >= 2^F: formats u8_255 (F = 8) and
u16_65535 (F = 16). Each out_i is within 1 of 2^F * e_i / S, so within 2 ulp of T * e_i / S, and within 1 ulp unless e_i
has most of the row.

The formats with T = 2^F (tfl_s8, tfl_s16; u16_q15 with F = 15) start from a remainder of S + 1: C_i is 1 more for
i >= 1, and the sum is 2^F. A first element that would not fit its code stays the largest code, and what is left over
makes the second one larger by 1.
"""

import numpy as np

from litenorm.accel import constants as c
from litenorm.accel.config import LiteNormConfig

TABLE = np.array(c.serial_exp2_table(), np.int64)


def programmed_scale(scale):
    """K of a Scale, octaves per LSB in UQ1.12, rounded to nearest: what the row's scale parameters become.

    ValueError when one LSB is more than 1.875 octaves (scale above 1.3), which the hardware takes as 1.875.
    """
    k = saturated_scale(scale.multiplier, scale.shift)
    if k != _rounded(scale.multiplier, scale.shift):
        raise ValueError(f"scale is {scale.real:.6g}; good: at most {max_scale():.6g} for the serial back end")
    return k


def saturated_scale(multiplier, shift):
    """K as the hardware forms it: programmed_scale, saturated."""
    return min(_rounded(multiplier, shift), c.SERIAL_SCALE_MAX)


def max_scale():
    """The largest scale, as a real number, that the serial back end takes."""
    return LiteNormConfig(backend="serial").max_scale


def _rounded(multiplier, shift):
    # One LSB is multiplier * 2^(SCALE_HEADROOM - OCTAVE_FRACTION_BITS - shift) octaves. One bit more, to round.
    left = c.SERIAL_SCALE_FRACTION_BITS + c.SCALE_HEADROOM - c.OCTAVE_FRACTION_BITS + 1
    return (((int(multiplier) << left) >> int(shift)) + 1) >> 1


def exp2(x, lengths, k, bits=c.SERIAL_EXP_BITS):
    """e_i = 2^((x_i - max) * K), `bits` bits, 0 for masked elements; e of the maximum is 255 * 2^(bits - 8).

    x int [rows, N], lengths int [rows], k int or int [rows] -> int64 [rows, N]. The exponent is rounded to 1/16 octave,
    so e is within 2.5 % of its true ratio to the maximum, and then truncated. It never increases with the distance to
    the maximum.
    """
    valid = np.arange(x.shape[1]) < lengths[:, None]
    top = np.where(valid, x, np.iinfo(np.int64).min).max(axis=1, keepdims=True)
    t = np.where(valid, top - x, 0)
    right = c.SERIAL_SCALE_FRACTION_BITS - c.SERIAL_OCTAVE_FRACTION_BITS
    d = (t * np.reshape(k, (-1, 1)) + (1 << (right - 1))) >> right
    octave = np.minimum(d >> c.SERIAL_OCTAVE_FRACTION_BITS, bits)
    g = TABLE[d & ((1 << c.SERIAL_OCTAVE_FRACTION_BITS) - 1)]
    return np.where(valid, (g << (bits - c.SERIAL_TABLE_BITS)) >> octave, 0)


def softmax(x, lengths, k, fmt):
    """out [rows, N] = code - zero_point: sums to fmt.total; 1 less for a row of one valid element in a capped format.

    x s8 as int64 [rows, N]; lengths int [rows], valid elements; k of programmed_scale, one or one a row; fmt a
    SoftmaxFormat
    """
    e = exp2(x, lengths, k, c.SERIAL_EXP_BITS if fmt.bits == 8 else c.SERIAL_WIDE_EXP_BITS)
    fraction_bits = (fmt.total - 1).bit_length()
    running = (np.cumsum(e, axis=1) << fraction_bits) // (e.sum(axis=1, keepdims=True) + 1)
    out = np.diff(running, axis=1, prepend=0)
    if fmt.total == 1 << fraction_bits:
        second = (out[:, 0] == (1 << fmt.bits) - 1).astype(np.int64)
        out[:, 0] += 1 - second
        if out.shape[1] > 1:
            out[:, 1] += second * (lengths > 1)
    return out
