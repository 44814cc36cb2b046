# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The arithmetic of `accel.model`, the parallel back end, on int64 tensors: the same codes, bit for bit.

Each function has the name of the model's step and computes over the last axis of tensors of any shape; values of a row
have shape [..., 1]. There is no loop and no branch on data, so that `torch.export` keeps them, and every operator is
in ExecuTorch's portable library. A mask may leave out any elements; the core takes rows whose first elements are valid,
and what is computed here is the row without the masked elements: they add 0 to the running sum.
"""

import math

import torch

from litenorm.accel import constants as c

GRID = tuple(c.exp2_grid())
DROP = tuple(c.exp2_drops())
POWERS = tuple(1 << i for i in range(63))
UNITS_OF_OCTAVE = 2.0 ** (c.OCTAVE_FRACTION_BITS - c.SCALE_HEADROOM)


def softmax(x, multiplier, shift, fmt, mask=None, fraction_bits=c.MIN_FRACTION_BITS):
    """Codes without their zero point, int64 [..., N]; a row without a valid element is 0.

    x           int64 [..., N], s8 or s16
    multiplier, shift  of `accel.scale.Scale`: int, or int64 [..., 1], one for each row
    fmt         accel.formats.SoftmaxFormat
    mask        bool [..., N], True for valid elements, or None
    """
    e = exp2(x, multiplier, shift, mask)
    total = e.sum(-1, keepdim=True)
    gain, right = reciprocal(total, fmt, fraction_bits)
    out = telescope(right_shift(e * gain, right), fraction_bits)
    return cap(out, e, total, mask, fmt) if fmt.capped else out


def exp2(x, multiplier, shift, mask):
    """e_i, UQ1.22, 0 for masked elements."""
    if mask is None:
        t = x.amax(-1, keepdim=True) - x
    else:
        lowest = -(1 << (c.CODE_BITS - 1))
        t = torch.where(mask, x, lowest).amax(-1, keepdim=True) - x
        t = torch.where(mask, t, 0)
    d = right_shift(t * (multiplier * (1 << c.SCALE_HEADROOM)), shift)
    d = d.clamp(max=(1 << (c.OCTAVE_BITS + c.OCTAVE_FRACTION_BITS)) - 1)
    low_bits = c.OCTAVE_FRACTION_BITS - c.SEGMENT_BITS
    segment = right_shift(d, low_bits) & ((1 << c.SEGMENT_BITS) - 1)
    low = d & ((1 << low_bits) - 1)
    g = _look_up(GRID, segment) - right_shift(_look_up(DROP, segment) * low, low_bits)
    e = right_shift(g * (1 << (c.EXP_BITS - c.GRID_BITS)), right_shift(d, c.OCTAVE_FRACTION_BITS))
    return e if mask is None else torch.where(mask, e, 0)


def reciprocal(total, fmt, fraction_bits):
    """(R, shift) with T * e / S = (e * R) >> shift in units of 2^-FB ulp."""
    total = total.clamp(min=1)
    k = bit_length(total) + 1
    gain = torch.div(fmt.total * power(k) + right_shift(total, 1), total, rounding_mode="floor")
    return gain.clamp(max=(1 << c.RECIPROCAL_BITS) - 1), k - fraction_bits


def telescope(z, fraction_bits):
    """out_i = C_i - C_(i-1), C_i = (2^(FB-1) + z_1 + ... + z_i) >> FB."""
    running = z.cumsum(-1) + (1 << (fraction_bits - 1))
    return right_shift(running, fraction_bits) - right_shift(running - z, fraction_bits)


def cap(out, e, total, mask, fmt):
    """`accel.model.cap`, where the next valid element is the next that the mask leaves in."""
    valid = torch.ones_like(out, dtype=torch.bool) if mask is None else mask
    rank = torch.where(valid, valid.to(torch.int64).cumsum(-1), 0)      # 1, 2, .. of the valid elements, else 0
    first, last = rank == 1, valid & (rank == rank.amax(-1, keepdim=True))
    full = out == fmt.total
    place = torch.where(full, rank, 0).amax(-1, keepdim=True)
    out = out - full.to(torch.int64) + ((place > 0) & (rank == place + 1)).to(torch.int64)
    limit = ((fmt.total << (c.EXP_BITS + 2)) - 1) // (4 * fmt.total - 3)
    peak_last = torch.where(last, e, 0).amax(-1, keepdim=True) == 1 << c.EXP_BITS
    ends = torch.where(last, fmt.total - 1, torch.where(first, 1, 0))
    return torch.where(peak_last & (total <= limit), ends, out)


def norm(x, eps_term, carried, fraction_bits=c.MIN_FRACTION_BITS):
    """LayerNorm (carried) or RMSNorm of int64 x [..., N]: y int64 [..., N], Q5.10. eps_term int64 [..., 1] or int."""
    length = x.shape[-1]
    sum_xx = (x * x).sum(-1, keepdim=True)
    if carried:
        sum_x = x.sum(-1, keepdim=True)
        v = length * sum_xx - sum_x * sum_x
        mean_x = torch.div((sum_x + length * c.X_OFFSET) * (1 << c.MEAN_FRACTION_BITS), length, rounding_mode="floor")
    else:
        v = length * sum_xx
        mean_x = torch.full_like(v, c.X_OFFSET << c.MEAN_FRACTION_BITS)
    gain, k = inverse_sigma((v + eps_term).clamp(min=1), length)
    term = mean_term(gain, k, mean_x, fraction_bits)
    right = k - fraction_bits
    # The left shift of small k goes into the gain, one number a row.
    product = gain * power((-right).clamp(min=0)) * (x + c.X_OFFSET)
    w = right_shift(product, right.clamp(min=0)) - term
    if carried:
        y = telescope(w, fraction_bits)
    else:
        limit = 1 << (c.NORM_BITS - 1)
        y = right_shift(w + (1 << (fraction_bits - 1)), fraction_bits).clamp(-limit, limit - 1)
    return torch.where(v == 0, 0, y)


def inverse_sigma(v, length):
    """(A, k) with A * 2^-k = N * 2^10 / sqrt(V)."""
    h = right_shift(2 * c.ROOT_BITS - bit_length(v), 1)
    normalized = right_shift(v * power(2 * h.clamp(min=0)), 2 * (-h).clamp(min=0))
    root = normalized.to(torch.float64).sqrt().to(torch.int64)
    # One step in integers either way: a runtime may take the root in less than double precision.
    root = root - (root * root > normalized).to(torch.int64)
    root = root + ((root + 1) * (root + 1) <= normalized).to(torch.int64)
    n_bits = int(length).bit_length()
    n = length << (c.NORM_LENGTH_BITS - n_bits)
    gain = torch.div((n << c.GAIN_SHIFT) + right_shift(root, 1), root, rounding_mode="floor")
    return gain, c.GAIN_SHIFT + c.NORM_LENGTH_BITS - c.NORM_FRACTION_BITS - n_bits - h


def mean_term(gain, k, mean_x, fraction_bits):
    """B = round(A * mean * 2^(FB - k)), in 63 bits."""
    right = c.MEAN_FRACTION_BITS + k - fraction_bits
    whole = gain * right_shift(mean_x, c.MEAN_FRACTION_BITS)
    fraction = gain * (mean_x & ((1 << c.MEAN_FRACTION_BITS) - 1)) + power(right - 1)
    left = c.MEAN_FRACTION_BITS - right
    return torch.where(
        left >= 0,
        whole * power(left.clamp(min=0)) + right_shift(fraction, right),
        right_shift(whole + right_shift(fraction, c.MEAN_FRACTION_BITS), (-left).clamp(min=0)),
    )


def apply_affine(y, gamma, beta, affine):
    """clip((y * gamma + (beta << beta_shift) + half) >> shift); gamma, beta int64 [N], the rest of `accel.affine`."""
    acc = y * gamma + beta * (1 << affine.beta_shift) + ((1 << affine.shift) >> 1)
    bits = 8 * affine.dtype.itemsize
    return right_shift(acc, affine.shift).clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def scale_of(scales):
    """`accel.scale.Scale.from_real` of each element of float scales [..., 1]: (multiplier, shift), int64 [..., 1].

    Scales that are too large for the field, from 88 up, do not occur: `wrap.REACH` limits them.
    """
    units = scales.to(torch.float64) * math.log2(math.e) * UNITS_OF_OCTAVE
    last = (1 << c.SCALE_SHIFT_BITS) - 1
    shift = (c.SCALE_MULTIPLIER_BITS - 1 - units.log2().floor().to(torch.int64)).clamp(0, last)
    top = 1 << c.SCALE_MULTIPLIER_BITS
    # units * 2^shift belongs between 2^15 and 2^16: log2 may round over the edge.
    scaled = units * power(shift)
    shift = (shift - (scaled >= top).to(torch.int64) + (scaled < top >> 1).to(torch.int64)).clamp(0, last)
    multiplier = (units * power(shift)).round().to(torch.int64)
    over = multiplier == top
    return torch.where(over, top >> 1, multiplier), shift - over.to(torch.int64)


def bit_length(values):
    """Bits of each integer of 1 to 2^62."""
    guess = values.to(torch.float64).log2().to(torch.int64) + 1
    guess = guess - (right_shift(values, guess - 1) == 0).to(torch.int64)     # log2 of 2^k - 1 rounds to k
    return guess + (right_shift(values, guess) > 0).to(torch.int64)


def right_shift(values, bits):
    """floor(values / 2^bits), bits an int or int64 of 0 to 62.

    Shifts are not among ATen's core operators, which are what runtimes take: a graph has a division in their place.
    """
    if not torch.compiler.is_compiling():
        return values >> bits
    return torch.div(values, 1 << bits if isinstance(bits, int) else power(bits), rounding_mode="floor")


def power(exponent):
    """2^exponent of int64 0 to 62."""
    if not torch.compiler.is_compiling():
        return torch.ones_like(exponent) << exponent
    return _look_up(POWERS, exponent)


def _look_up(table, index):
    values = torch.tensor(table, dtype=torch.int64, device=index.device)
    return values[index]
