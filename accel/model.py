# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The bit-exact model of the core: NumPy, vectorized over rows. Every other implementation is compared with it.

With a config of the serial back end the three public functions compute its arithmetic: `serial.model`.

Three public functions, `softmax`, `layernorm`, `rmsnorm`, and the steps they are made of, one for each unit of the
hardware. All arithmetic is on int64 arrays, `>>` is floor, and no step exceeds 63 bits.

Why the sums are exact. A row's outputs are differences of one running value,

    out_i = C_i - C_(i-1),    C_i = (2^(FB-1) + z_1 + ... + z_i) >> FB,    C_0 = 0,

so they add up to C_N whatever the rounding of the single z_i. Softmax makes z_1 + ... + z_N lie within half an ulp of
T * 2^FB, and LayerNorm within half an ulp of 0; the seed of half an ulp then floors C_N to T, or to 0, exactly.
"""

import numpy as np

from litenorm.accel import constants as c
from litenorm.accel.config import LiteNormConfig
from litenorm.accel.formats import get_format
from litenorm.accel.scale import Scale, eps_term
from litenorm.accel.serial import model as serial_model
from litenorm.accel.serial import model_norm as serial_model_norm

GRID = np.array(c.exp2_grid(), np.int64)
DROP = np.array(c.exp2_drops(), np.int64)


# Public ------------------------------------------------------------------------------------------------------


def softmax(x, scale, fmt="u16_q15", length=None, config=None):
    """Softmax over the last axis; every row's codes satisfy sum(code - zero_point) == total.

    x       int [..., N], s8 or s16 logits, N <= config.max_length
    scale   real value of one LSB of x (above 0), or a Scale
    fmt     name in formats.FORMATS, or a SoftmaxFormat
    length  valid elements of each row, int or int [...], 1 to N; elements from `length` on get the zero point
    returns codes [..., N] of the format's dtype; error below 1.25 ulp of T * e_i / sum(e)

    With a capped format (tfl_s8, tfl_s16) a row of one valid element is the one exception: it is total - 1.
    ValueError when an argument is out of range or not built into `config`.
    """
    config = _config(config)
    fmt = get_format(fmt)
    if not config.has_softmax or fmt.name not in config.formats:
        raise ValueError(f"softmax to {fmt.name} is not built; built: ops {config.ops}, formats {config.formats}")
    scale = Scale.from_real(scale)
    rows, lengths, shape = _rows(x, length, config)
    if config.serial:
        out = serial_model.softmax(rows, lengths, serial_model.programmed_scale(scale), fmt)
        return (out + fmt.zero_point).astype(fmt.dtype).reshape(shape)
    e = exp2(rows, lengths, scale)
    total = e.sum(axis=1)
    gain, shift = reciprocal(total, fmt, config)
    out = telescope((e * gain[:, None]) >> shift[:, None], config)
    if fmt.capped:
        last = np.take_along_axis(e, lengths[:, None] - 1, axis=1)[:, 0]
        out = cap(out, total, last == 1 << c.EXP_BITS, lengths, fmt)
    return (out + fmt.zero_point).astype(fmt.dtype).reshape(shape)


def layernorm(x, eps=0, length=None, affine=None, config=None):
    """LayerNorm over the last axis: mean exactly 0, |sigma - 1| < 2^-10 + 2^-15 for eps = 0.

    x       int [..., N], s8 or s16 of any scale, N <= config.max_length
    eps     real, in units of LSB^2 of x
    length  valid elements of each row, int or int [...]; the others are left out of the statistics and give y = 0
    affine  None, or an Affine of N elements
    returns int16 [..., N], Q5.10; with `affine`, its dtype. A row of equal elements gives y = 0.

    With eps > 0, sigma is sqrt(V / (V + eps N^2)) within the same bound, V = N^2 times the row's variance.
    ValueError when an argument is out of range or not built into `config`.
    """
    return _norm("layernorm", x, eps, length, affine, _config(config))


def rmsnorm(x, eps=0, length=None, affine=None, config=None):
    """RMSNorm over the last axis: y = x / sqrt(mean(x^2) + eps), rounded to the nearest Q5.10 and clipped to s16.

    Arguments, result and errors as `layernorm`.
    """
    return _norm("rmsnorm", x, eps, length, affine, _config(config))


# Softmax, step by step ---------------------------------------------------------------------------------------


def exp2(x, lengths, scale):
    """e_i = 2^((x_i - max) * scale in octaves), UQ1.22, 0 for masked elements; e of the maximum is exactly 2^22.

    x int [rows, N], lengths int [rows] -> int64 [rows, N]. 2^-f over one octave is 32 chords: from 7e-6 below to
    8e-5 above the true value; it never increases with f, so the order of the inputs is kept.
    """
    valid = np.arange(x.shape[1]) < lengths[:, None]
    top = np.where(valid, x, np.iinfo(np.int64).min).max(axis=1, keepdims=True)
    t = np.where(valid, top - x, 0)
    d = ((t * scale.multiplier) << c.SCALE_HEADROOM) >> scale.shift
    d = np.minimum(d, (1 << (c.OCTAVE_BITS + c.OCTAVE_FRACTION_BITS)) - 1)
    low_bits = c.OCTAVE_FRACTION_BITS - c.SEGMENT_BITS
    octave = d >> c.OCTAVE_FRACTION_BITS
    segment = (d >> low_bits) & ((1 << c.SEGMENT_BITS) - 1)
    low = d & ((1 << low_bits) - 1)
    g = GRID[segment] - ((DROP[segment] * low) >> low_bits)
    return np.where(valid, (g << (c.EXP_BITS - c.GRID_BITS)) >> octave, 0)


def reciprocal(total, fmt, config):
    """(R, shift) with T * e / S = (e * R) >> shift in units of 2^-FB ulp, truncated.

    k = bitlen(S) + 1 and R = round(T * 2^k / S), so |S * R - T * 2^k| <= S / 2: at most 1/4 ulp of the row's sum.
    R saturates to 18 bits, which happens only for T = 2^16 and S close to a power of two, with the same bound.
    """
    k = bit_length(total) + 1
    gain = ((np.int64(fmt.total) << k) + (total >> 1)) // total
    return np.minimum(gain, (1 << c.RECIPROCAL_BITS) - 1), k - config.fraction_bits


def telescope(z, config):
    """out_i = C_i - C_(i-1), C_i = (2^(FB-1) + z_1 + ... + z_i) >> FB: int64 [rows, N]."""
    running = (np.cumsum(z, axis=1) + (1 << (config.fraction_bits - 1))) >> config.fraction_bits
    return np.diff(running, axis=1, prepend=0)


def cap(out, total, peak_last, lengths, fmt):
    """`out` of a capped format, whose codes end at T - 1: a maximum that took all of T gives 1 to a neighbour.

    A maximum takes T when less than 3/4 ulp lies before it and less than 3/4 ulp behind it. The next valid element is
    then given the 1; its own output was 0. When the maximum is the last valid element there is no next one: whenever
    the others add up to less than 3/4 ulp, that row is 1 at its first element and T - 1 at its last. Both keep every
    error below 1.25 ulp. A row of one valid element is T - 1 alone.

    out int64 [rows, N] telescoped; total, lengths int64 [rows]; peak_last bool [rows], e of the last valid element is 1
    """
    rows = np.arange(len(out))
    full = out == fmt.total
    out = out - full
    out[:, 1:] += full[:, :-1]
    ends = peak_last & (total <= last_peak_limit(fmt))
    out[ends] = 0
    out[rows[ends], 0] = 1
    out[rows[ends], lengths[ends] - 1] = fmt.total - 1
    return out


def last_peak_limit(fmt):
    """Largest S for which (S - e_max) / S < 3/4 ulp, e_max = 2^22: (S - 2^22) * 4T < 3S."""
    return ((fmt.total << (c.EXP_BITS + 2)) - 1) // (4 * fmt.total - 3)


# LayerNorm and RMSNorm, step by step -------------------------------------------------------------------------


def moments(x, lengths):
    """(sum x, sum x^2) over each row's valid elements."""
    valid = np.arange(x.shape[1]) < lengths[:, None]
    x = np.where(valid, x, 0)
    return x.sum(axis=1), (x * x).sum(axis=1)


def variance(lengths, sum_x, sum_xx):
    """V = N * sum(x^2) - (sum x)^2 = N^2 * variance, exact."""
    return lengths * sum_xx - sum_x * sum_x


def inverse_sigma(v, lengths):
    """(A, k) with A * 2^-k = N * 2^10 / sqrt(V), relative error below 2^-16; V > 0.

    V is normalized by an even shift to 36 bits, D = floor(sqrt(V * 4^h)) has 18, and A = round(n * 2^24 / D) with N
    normalized to 11 bits: 2^16 < A < 2^18.
    """
    root_square_bits = 2 * c.ROOT_BITS
    h = (root_square_bits - bit_length(v)) >> 1
    normalized = np.where(h >= 0, v << (2 * np.maximum(h, 0)), v >> (-2 * np.minimum(h, 0)))
    root = np.floor(np.sqrt(normalized.astype(np.float64))).astype(np.int64)  # exact: 36 bits in a 53-bit mantissa
    n_bits = bit_length(lengths)
    n = lengths << (c.NORM_LENGTH_BITS - n_bits)
    gain = ((n << c.GAIN_SHIFT) + (root >> 1)) // root
    return gain, c.GAIN_SHIFT + c.NORM_LENGTH_BITS - c.NORM_FRACTION_BITS - n_bits - h


def mean(lengths, sum_x):
    """floor((mean(x) + 2^15) * 2^32): UQ16.32."""
    return ((sum_x + lengths * c.X_OFFSET) << c.MEAN_FRACTION_BITS) // lengths


def mean_term(gain, k, mean_x, config):
    """B = round(A * mean * 2^(FB - k)): what A * (x + 2^15) is reduced by, in units of 2^-FB ulp."""
    right = c.MEAN_FRACTION_BITS + k - config.fraction_bits
    whole = gain * (mean_x >> c.MEAN_FRACTION_BITS)
    fraction = gain * (mean_x & ((1 << c.MEAN_FRACTION_BITS) - 1)) + (np.int64(1) << (right - 1))
    # (whole * 2^32 + fraction) >> right, in 63 bits
    left = c.MEAN_FRACTION_BITS - right
    return np.where(
        left >= 0,
        (whole << np.maximum(left, 0)) + (fraction >> right),
        (whole + (fraction >> c.MEAN_FRACTION_BITS)) >> np.maximum(-left, 0),
    )


def deviations(x, lengths, gain, k, term, config):
    """w_i = A * (x_i + 2^15) * 2^(FB - k), truncated, less B: y in units of 2^-FB ulp; 0 for masked elements."""
    right = (k - config.fraction_bits)[:, None]
    product = gain[:, None] * (x + c.X_OFFSET)
    z = np.where(right >= 0, product >> np.maximum(right, 0), product << np.maximum(-right, 0))
    valid = np.arange(x.shape[1]) < lengths[:, None]
    return np.where(valid, z - term[:, None], 0)


def apply_affine(y, affine):
    """clip((y * gamma + (beta << beta_shift) + half) >> shift) to the output's type."""
    acc = y.astype(np.int64) * affine.gamma + (affine.beta.astype(np.int64) << affine.beta_shift)
    info = np.iinfo(affine.dtype)
    return np.clip((acc + ((1 << affine.shift) >> 1)) >> affine.shift, info.min, info.max).astype(affine.dtype)


# Shared ------------------------------------------------------------------------------------------------------


def bit_length(values):
    """Bits of each non-negative integer below 2^53, 0 for 0."""
    return np.frexp(np.asarray(values, np.int64).astype(np.float64))[1].astype(np.int64)


def _norm(op, x, eps, length, affine, config):
    if op not in config.ops:
        raise ValueError(f"{op} is not built; the config has ops {config.ops}")
    rows, lengths, shape = _rows(x, length, config)
    if not config.eps and eps:
        raise ValueError(f"eps is {eps!r}; good: 0, the config has eps=False")
    if affine is not None:
        if not config.has_affine:
            raise ValueError("gamma and beta are not built; the config has affine=False")
        if affine.gamma.size != rows.shape[1]:
            raise ValueError(f"gamma has {affine.gamma.size} elements; good: {rows.shape[1]}, the row's length")
    distinct, index = np.unique(lengths, return_inverse=True)
    eps_terms = np.array([eps_term(eps, n) for n in distinct.tolist()], np.int64)[index]
    if config.serial:
        return getattr(serial_model_norm, op)(rows, lengths, eps_terms).astype(np.int16).reshape(shape)
    sum_x, sum_xx = moments(rows, lengths)
    carried = op == "layernorm"
    v = variance(lengths, sum_x, sum_xx) if carried else lengths * sum_xx
    constant = v == 0
    gain, k = inverse_sigma(np.where(constant, 1, v + eps_terms), lengths)
    mean_x = mean(lengths, sum_x) if carried else np.full_like(v, c.X_OFFSET << c.MEAN_FRACTION_BITS)
    w = deviations(rows, lengths, gain, k, mean_term(gain, k, mean_x, config), config)
    if carried:
        y = telescope(w, config)
    else:
        info = np.iinfo(np.int16)
        y = (w + (1 << (config.fraction_bits - 1))) >> config.fraction_bits
        y = np.clip(y, info.min, info.max)
    y[constant] = 0
    y = y.astype(np.int16)
    return (y if affine is None else apply_affine(y, affine)).reshape(shape)


def _config(config):
    if config is None:
        return LiteNormConfig()
    if not isinstance(config, LiteNormConfig):
        raise ValueError(f"config is {config!r}; good: a LiteNormConfig, or None for the default one")
    return config


def _rows(x, length, config):
    """x as int64 [rows, N], length as int64 [rows], and x's shape; ValueError when either is out of range."""
    x = np.asarray(x)
    if x.dtype.kind not in "iu" or x.ndim == 0:
        raise ValueError(f"x is {x.dtype} of shape {x.shape}; good: integers of shape [..., N]")
    n = x.shape[-1]
    if not 1 <= n <= config.max_length:
        raise ValueError(f"row length is {n}; good: 1 to {config.max_length}")
    if length is not None and not config.masks and np.any(np.asarray(length) != n):
        raise ValueError(f"length is given; good: None or {n}, the config has masks=False")
    limit = 1 << (config.input_bits - 1)
    if x.size and not -limit <= x.min() <= x.max() < limit:
        raise ValueError(f"x ranges over {x.min()}..{x.max()}; good: {-limit}..{limit - 1}")
    rows = x.astype(np.int64).reshape(-1, n)
    lengths = np.asarray(n if length is None else length)
    if lengths.dtype.kind not in "iu":
        raise ValueError(f"length is {lengths.dtype}; good: integers")
    if lengths.size and not 1 <= lengths.min() <= lengths.max() <= n:
        raise ValueError(f"length ranges over {lengths.min()}..{lengths.max()}; good: 1 to {n}")
    lengths = np.broadcast_to(lengths, x.shape[:-1]).astype(np.int64).reshape(-1)
    return rows, lengths, x.shape
