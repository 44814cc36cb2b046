# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Softmax of TensorFlow Lite for Microcontrollers and of CMSIS-NN, in the integer arithmetic that both define.

Sources of the arithmetic, all public:

- B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
  https://arxiv.org/abs/1712.05877, section 2.2 and appendix A.1: the saturating rounding doubling high multiplication
  and the rounding right shift; appendix B: exp of a negative number as a Taylor polynomial around -1/8 and a product
  over the bits of its multiple of 1/4, and 1 / (1 + x) by three Newton-Raphson steps (google/gemmlowp,
  fixedpoint/fixedpoint.h).
- TFLite's 8-bit specification, https://www.tensorflow.org/lite/performance/quantization_spec: scales of the outputs.
- The reference kernels: tensorflow/tflite-micro, tensorflow/lite/kernels/internal/reference/softmax.h (s8, and the
  look-up tables of s16) and internal/common.h (GetReciprocal, LUTPopulate); ARM-software/CMSIS-NN,
  Source/SoftmaxFunctions: arm_softmax_s8, arm_softmax_s8_s16, arm_softmax_s16, bit-accurate to them.

Numbers are int64 arrays that hold int32 values; Qm.n has m integer and n fraction bits beside the sign.
"""

import math

import numpy as np

INT32_MAX = 2**31 - 1
DIFF_INTEGER_BITS = 5        # the argument of exp is Q5.26
DIFF_FRACTION_BITS = 26
ACCUMULATION_BITS = 12       # the sum of exponentials is Q12.19
NEWTON_STEPS = 3

LUT_STEPS = 512              # s16: 512 chords over the range of an s16, 7 bits between two entries
LUT_FRACTION_BITS = 7
EXP_LUT_RANGE = 10.0         # s16: exp(-10) and below count as nothing


# gemmlowp ----------------------------------------------------------------------------------------------------


def multiply_high(a, b):
    """Saturating rounding doubling high multiplication: a * b / 2^31 to the nearest, ties away from zero."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    magnitude = (np.abs(product) + (1 << 30) - (product < 0)) >> 31
    return np.minimum(np.where(product < 0, -magnitude, magnitude), INT32_MAX)


def rounding_shift(x, bits):
    """x / 2^bits to the nearest, ties away from zero."""
    mask = (np.int64(1) << bits) - 1
    return (x >> bits) + ((x & mask) > (mask >> 1) + (x < 0))


def saturating_shift_left(x, bits):
    """x * 2^bits, saturated to int32."""
    return np.clip(x << bits, -INT32_MAX - 1, INT32_MAX)


def q31(value):
    """A real constant as Q0.31."""
    return round(value * 2**31)


def exp_on_negative_values(a):
    """exp(a): a <= 0 in Q5.26, result in Q0.31; exp(0) is 2^31 - 1."""
    a = np.asarray(a, np.int64)
    quarter = 1 << (DIFF_FRACTION_BITS - 2)
    low = (a & (quarter - 1)) - quarter                 # in [-1/4, 0)
    x = (low << DIFF_INTEGER_BITS) + (1 << 28)          # Q0.31, distance from -1/8
    x2 = multiply_high(x, x)
    x3 = multiply_high(x2, x)
    x4 = multiply_high(x2, x2)
    tail = rounding_shift(multiply_high(rounding_shift(x4, 2) + x3, q31(1 / 3)) + x2, 1)
    result = q31(math.exp(-1 / 8)) + multiply_high(q31(math.exp(-1 / 8)), x + tail)
    rest = low - a                                      # a multiple of 1/4
    for exponent in range(-2, DIFF_INTEGER_BITS):
        bit = (rest >> (DIFF_FRACTION_BITS + exponent)) & 1
        result = np.where(bit, multiply_high(result, q31(math.exp(-(2.0**exponent)))), result)
    return np.where(a == 0, INT32_MAX, result)


def one_over_one_plus_x(a):
    """1 / (1 + a): a in [0, 1), Q0.31; result in Q0.31."""
    half_denominator = (a + INT32_MAX + 1) >> 1         # (1 + a) / 2, rounded
    x = round(48 / 17 * 2**29) + multiply_high(half_denominator, -round(32 / 17 * 2**29))   # Q2.29
    for _ in range(NEWTON_STEPS):
        error = (1 << 29) - multiply_high(half_denominator, x)
        x = x + saturating_shift_left(multiply_high(x, error), 2)
    return saturating_shift_left(x, 1)                  # x / 2 in Q1.30, then Q0.31


def quantize_multiplier(real):
    """(m, shift): real = m * 2^(shift - 31) with 2^30 <= m < 2^31."""
    fraction, shift = math.frexp(real)
    m = round(fraction * 2**31)
    return (m // 2, shift + 1) if m == 2**31 else (m, shift)


# int8 --------------------------------------------------------------------------------------------------------


def softmax_parameters(scale, beta=1.0):
    """(input_multiplier, input_left_shift, diff_min) of int8 logits with one LSB of `scale`; ValueError when the
    kernels' own check fails, which is a scale of 2^-26 or below."""
    real = min(beta * scale * 2**DIFF_FRACTION_BITS, 2**31 - 1)
    if not real > 1:
        raise ValueError(f"scale is {scale!r}; good: above 2^-26")
    multiplier, left_shift = quantize_multiplier(real)
    radius = ((1 << DIFF_INTEGER_BITS) - 1) * 2**DIFF_FRACTION_BITS // 2**left_shift
    return multiplier, left_shift, -radius


def _leading_zeros(x):
    """Leading zeros of a 32-bit number above 0."""
    return 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)


def _softmax_s8(x, scale, out_bits):
    multiplier, left_shift, diff_min = softmax_parameters(scale)
    x = np.asarray(x, np.int64)
    # exp depends on the difference alone, and int8 has 256 of those: one table instead of N evaluations.
    diff = -np.arange(256, dtype=np.int64)
    counted = diff >= diff_min
    table = np.where(counted, exp_on_negative_values(multiply_high(np.where(counted, diff, 0) << left_shift,
                                                                   multiplier)), 0)
    below = x.max(axis=1, keepdims=True) - x
    e = table[below]
    total = rounding_shift(table, ACCUMULATION_BITS)[below].sum(axis=1, keepdims=True)
    headroom = _leading_zeros(total)
    reciprocal = one_over_one_plus_x((total << headroom) - (1 << 31))
    shift = ACCUMULATION_BITS - headroom + 31 - out_bits
    out = rounding_shift(multiply_high(reciprocal, e), np.minimum(shift, 31))
    out = np.minimum(out, (1 << out_bits) - 1)
    # A shift of 32 or more: TFLite Micro stops on its check, and in CMSIS-NN's C it is undefined.
    return np.where(shift > 31, -1, out)


def softmax_s8(x, scale):
    """int8 logits [rows, N] to int8 outputs; value = code / 256, code = stored + 128. Undefined rows are -1.

    A row is undefined where the exponentials add up to 512 or more, as 512 equal logits do.
    """
    return _softmax_s8(x, scale, 8)


def softmax_s8_s16(x, scale):
    """int8 logits [rows, N] to int16 outputs; value = code / 65536, code = stored + 32768."""
    return _softmax_s8(x, scale, 16)


# int16 -------------------------------------------------------------------------------------------------------


def round_away(value):
    """C's round(): to the nearest, ties away from zero."""
    return np.copysign(np.floor(np.abs(value) + np.float32(0.5)), value)


def lut(function, first, last):
    """513 int16 entries of `function` over [first, last], output scale 2 / 65535, in float32.

    Each entry but the last is lowered by half of the chord's error in its middle.
    """
    f = np.float32
    step = (f(last) - f(first)) / f(LUT_STEPS)
    scaling = f(65536) / (f(2) / f(65535) * f(65535))
    at = f(first) + np.arange(LUT_STEPS + 1, dtype=f) * step
    value = function(at) * scaling
    middle = round_away((value[1:] + round_away(value[:-1])) / f(2))
    bias = round_away((middle - round_away(function(at[:-1] + step / f(2)) * scaling)) / f(2))
    entries = np.append(round_away(value[:-1]) - bias, round_away(function(f(last)) * scaling))
    return np.clip(entries, -32768, 32767).astype(np.int64)


EXP_LUT = lut(np.exp, -EXP_LUT_RANGE, 0.0)
RECIPROCAL_LUT = lut(lambda x: np.float32(1) / (np.float32(1) + x), 0.0, 1.0)


def lookup(table, value):
    """int16 `value` to int16: a chord between two entries of `table`."""
    index = (LUT_STEPS >> 1) + (value >> LUT_FRACTION_BITS)
    offset = value & ((1 << LUT_FRACTION_BITS) - 1)
    slope = table[index + 1] - table[index]
    return table[index] + ((slope * offset + (1 << (LUT_FRACTION_BITS - 1))) >> LUT_FRACTION_BITS)


def softmax_s16(x, scale):
    """int16 logits [rows, N] to int16 outputs; value = code / 32768, code = stored.

    As TFLite Micro has it, which saturates outputs to 32767. CMSIS-NN does not: the code of a row of one element comes
    to 32768, which it stores as -32768. Longer rows were equal in every comparison.
    """
    multiplier, shift = quantize_multiplier(scale / (EXP_LUT_RANGE / 65535))
    x = np.asarray(x, np.int64)
    diff = x - x.max(axis=1, keepdims=True)
    scaled = rounding_shift(multiply_high(diff << max(shift, 0), multiplier), max(-shift, 0))
    e = lookup(EXP_LUT, np.clip(scaled + 32767, -32768, 32767))
    total = e.sum(axis=1, keepdims=True)                                   # Q16.15
    headroom = _leading_zeros(total)
    one_to_two = ((total << (headroom - 1)) + (1 << 13)) >> 14             # [1, 2) in units of 2^-16
    reciprocal = lookup(RECIPROCAL_LUT, np.clip(one_to_two - (1 << 16) - (1 << 15), -32768, 32767))
    right = 31 - headroom
    out = (e * reciprocal + (np.int64(1) << (right - 1))) >> right
    return np.clip(out, 0, 32767)
