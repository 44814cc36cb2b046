# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The bit-exact model of the serial back end's LayerNorm and RMSNorm: NumPy, vectorized over rows.

V is N^2 times the variance (RMSNorm: the mean square), an integer, and D its square root with at least 16 bits:

    V = N * sum(x^2) - sum(x)^2 + eps term        RMSNorm: V = N * sum(x^2) + eps term
    D = floor(sqrt(V * 4^h)),                     the smallest h with V * 4^h >= 2^30

LayerNorm divides n_i = N * x_i - sum(x), which add up to exactly 0, and carries the remainder from element to element:

    a = r + n_i * 2^(h + 10),    y_i = floor(a / D),    r = a mod D,    at first r = floor(D / 2)

The y_i telescope: they add up to floor(r / D) = 0 with the first r, whatever V and D are. The remainder makes y_i wrong
by less than 1 LSB, and D makes all y_i too large by less than 2^-15 of themselves, so by the triangle inequality the
standard deviation sigma of a row satisfies

    |sigma - 1| < 2^-10 + 2^-15                                     without eps
    |sigma - sqrt(var / (var + eps))| < 2^-10 + 2^-15               with eps, both in LSB^2

RMSNorm has no sum to keep: every element starts from r = floor(D / 2), which rounds to nearest, and y is saturated.
"""

import numpy as np

from litenorm.accel import constants as c


def layernorm(x, lengths, eps_terms):
    """y [rows, N], Q5.10, sums to 0; all zeros for a row of equal elements, and for masked elements.

    x s8 as int64 [rows, N]; lengths int [rows], valid elements; eps_terms int [rows] (scale.eps_term)
    ValueError for an eps term of 2^34 or more
    """
    x = np.where(_valid(x, lengths), x, 0)
    sum_x = x.sum(axis=1)
    v = lengths * (x * x).sum(axis=1) - sum_x * sum_x
    root, h = square_root(_with_eps(v, lengths, eps_terms))
    n = np.where(_valid(x, lengths), lengths[:, None] * x - sum_x[:, None], 0)
    # All the divisions of a row at once: the quotients of the running sums, and their differences.
    running = (_half(root) + (np.cumsum(n, axis=1) << _left(h))) // _divisor(root)
    return np.where(_divides(root), np.diff(running, axis=1, prepend=0), 0)


def rmsnorm(x, lengths, eps_terms):
    """y [rows, N], Q5.10, saturated; all zeros for a row of zeros; arguments as layernorm."""
    x = np.where(_valid(x, lengths), x, 0)
    root, h = square_root(_with_eps(lengths * (x * x).sum(axis=1), lengths, eps_terms))
    y = (_half(root) + ((lengths[:, None] * x) << _left(h))) // _divisor(root)
    info = np.iinfo(np.int16)
    return np.where(_divides(root), np.clip(y, info.min, info.max), 0)


def square_root(v):
    """(D, h): D = floor(sqrt(v * 4^h)) >= 2^15 with the smallest h, (0, 15) for v = 0; v int64 [rows], below 2^35."""
    v = np.asarray(v, np.int64)
    least = 1 << (2 * c.SERIAL_ROOT_BITS - 4)
    h = np.zeros_like(v)
    for _ in range(c.SERIAL_ROOT_MAX_H):
        small = v < least
        v, h = np.where(small, v << 2, v), h + small
    root = np.sqrt(v.astype(np.float64)).astype(np.int64)
    return root - (root * root > v), h


def _with_eps(v, lengths, eps_terms):
    if (np.asarray(eps_terms) >> c.SERIAL_EPS_BITS).any():
        n = int(np.asarray(lengths)[np.asarray(eps_terms) >> c.SERIAL_EPS_BITS != 0][0])
        raise ValueError(f"eps is too large for the serial back end; good: below {(1 << c.SERIAL_EPS_BITS) / n**2:.6g} "
                         f"for length {n}")
    return v + eps_terms


def _valid(x, lengths):
    return np.arange(x.shape[1]) < lengths[:, None]


def _half(root):
    return root[:, None] >> 1


def _left(h):
    return h[:, None] + c.NORM_FRACTION_BITS


def _divisor(root):
    return np.maximum(root, 1)[:, None]


def _divides(root):
    return root[:, None] != 0
