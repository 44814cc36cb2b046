# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Scales: how many octaves one LSB of the logits is, and the eps term of LayerNorm, as the hardware takes them."""

import math
from typing import NamedTuple

from litenorm.accel import constants as c

_UNIT = c.OCTAVE_FRACTION_BITS - c.SCALE_HEADROOM   # K * 2^-s is in 2^-9 octaves


def _real(name, value, good):
    """float(value); ValueError, never another error, when it is not a number."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} is {value!r}; good: {good}") from None


class Scale(NamedTuple):
    """Scale of softmax logits: one LSB is multiplier * 2^(-9 - shift) octaves, octaves = scale * log2(e).

    multiplier  u16; 2^15 or more wherever the shift allows it, so that 16 bits are significant
    shift       0 to 31
    """

    multiplier: int
    shift: int

    @classmethod
    def from_real(cls, scale):
        """Scale of logits whose LSB is the real number `scale`, beta (the temperature's inverse) folded in.

        Relative error at most 2^-16 from 2.1e-8 to 88; above, every lower logit has probability 0; below, the row
        is flat to the last bit. ValueError when `scale` is not a finite number above 0.
        """
        if isinstance(scale, cls):
            return scale.checked()
        scale = _real("scale", scale, "a finite number above 0")
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"scale is {scale!r}; good: a finite number above 0")
        units = scale * math.log2(math.e) * 2**_UNIT
        shift = c.SCALE_MULTIPLIER_BITS - math.frexp(units)[1]
        shift = min(max(shift, 0), (1 << c.SCALE_SHIFT_BITS) - 1)
        multiplier = round(units * 2**shift) if units < 2**c.SCALE_MULTIPLIER_BITS else 1 << c.SCALE_MULTIPLIER_BITS
        if multiplier == 1 << c.SCALE_MULTIPLIER_BITS and shift > 0:
            multiplier, shift = multiplier >> 1, shift - 1
        return cls(min(multiplier, (1 << c.SCALE_MULTIPLIER_BITS) - 1), shift)

    @classmethod
    def from_tflite(cls, input_multiplier, input_left_shift, diff_min=None):
        """Scale from TFLite's quantized softmax parameters.

        input_multiplier, input_left_shift  beta * scale * 2^26 = input_multiplier * 2^(input_left_shift - 31)
        diff_min  x - max below it counts as probability 0; it must not cut off what a u16 can show (e^-12), and
                  beyond that it changes nothing, so it is checked and not used
        """
        if not 0 < input_multiplier < 2**31:
            raise ValueError(f"input_multiplier is {input_multiplier}; good: 1 to 2^31 - 1")
        if not 0 <= input_left_shift <= 31:
            raise ValueError(f"input_left_shift is {input_left_shift}; good: 0 to 31")
        real = input_multiplier * 2.0 ** (input_left_shift - 31 - 26)
        if diff_min is not None and -diff_min * real < 12:
            raise ValueError(f"diff_min is {diff_min}; good: at most {-math.ceil(12 / real)} for this scale")
        return cls.from_real(real)

    @property
    def real(self):
        """The scale as a real number: probability is proportional to exp(scale * x)."""
        return self.multiplier * 2.0 ** (-self.shift - _UNIT) / math.log2(math.e)

    def checked(self):
        """This scale; ValueError when a field does not fit its register."""
        for name, bits in (("multiplier", c.SCALE_MULTIPLIER_BITS), ("shift", c.SCALE_SHIFT_BITS)):
            value = getattr(self, name)
            if not 0 <= value < 1 << bits:
                raise ValueError(f"scale {name} is {value}; good: 0 to {(1 << bits) - 1}")
        return self


def eps_term(eps, length):
    """The integer added to V = N * sum(x^2) - (sum x)^2: round(eps * N^2).

    eps     real, in units of LSB^2 of x: a framework's eps divided by the square of the input's scale
    length  N, the row's valid elements
    ValueError when eps is negative, not finite, or above what the hardware's field holds.
    """
    eps = _real("eps", eps, "a finite number, 0 or more")
    term = round(eps * length * length) if math.isfinite(eps) else -1
    if eps < 0 or not 0 <= term < 1 << c.EPS_BITS:
        raise ValueError(f"eps is {eps!r}; good: 0 to {((1 << c.EPS_BITS) - 1) / length**2:.6g} for length {length}")
    return term
