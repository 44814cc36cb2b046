# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Gamma, beta and requantization behind LayerNorm and RMSNorm."""

from dataclasses import dataclass

import numpy as np

from litenorm.accel import constants as c

OUTPUTS = {"s8": np.dtype(np.int8), "s16": np.dtype(np.int16)}


@dataclass(frozen=True)
class Affine:
    """out_i = clip((y_i * gamma_i + (beta_i << beta_shift) + half) >> shift), half = (1 << shift) >> 1.

    gamma       s16 [N]; real gamma / output scale, in units of 2^(10 - shift)
    beta        s16 [N]; real beta / output scale (+ output zero point), in units of 2^(beta_shift - shift)
    shift       0 to 31
    beta_shift  0 to 15
    out         "s8" or "s16"
    """

    gamma: np.ndarray
    beta: np.ndarray
    shift: int
    beta_shift: int
    out: str = "s8"

    def __post_init__(self):
        for name in ("gamma", "beta"):
            values = np.asarray(getattr(self, name))
            if values.ndim != 1 or values.dtype.kind not in "iu":
                raise ValueError(f"{name} is {values.dtype} of shape {values.shape}; good: integers of shape [N]")
            if values.size and not -(2**15) <= values.min() <= values.max() < 2**15:
                raise ValueError(f"{name} ranges over {values.min()}..{values.max()}; good: -32768 to 32767")
            object.__setattr__(self, name, values.astype(np.int16))
        if self.gamma.shape != self.beta.shape:
            raise ValueError(f"gamma has {self.gamma.size} elements and beta {self.beta.size}; good: as many each")
        for name, bits in (("shift", c.AFFINE_SHIFT_BITS), ("beta_shift", c.BETA_SHIFT_BITS)):
            if not 0 <= getattr(self, name) < 1 << bits:
                raise ValueError(f"affine {name} is {getattr(self, name)}; good: 0 to {(1 << bits) - 1}")
        if self.out not in OUTPUTS:
            raise ValueError(f"affine out is {self.out!r}; good: {', '.join(OUTPUTS)}")

    @property
    def dtype(self):
        """NumPy dtype of the output."""
        return OUTPUTS[self.out]

    @classmethod
    def from_real(cls, gamma, beta, out_scale, out="s8", zero_point=0):
        """Fold the output's scale and zero point into gamma and beta: as many significant bits as s16 holds.

        gamma, beta  real [N]; out_scale  real, value of one LSB of the output
        """
        gamma = np.asarray(gamma, np.float64) / out_scale
        beta = np.asarray(beta, np.float64) / out_scale + zero_point

        def fitting_shift(values, limit):
            """Largest shift, at most `limit`, for which every round(value * 2^shift) fits s16."""
            largest = np.abs(values).max(initial=0.0)
            if not np.isfinite(largest) or largest >= 2**15 - 1:
                raise ValueError(f"gamma or beta is {largest:.6g} output LSBs; good: below 32767 (larger out_scale)")
            if largest * 2.0**limit <= 2**15 - 1:
                return limit
            shift = min(limit, int(np.floor(np.log2((2**15 - 1) / largest))))
            return shift - 1 if np.abs(np.rint(values * 2.0**shift)).max(initial=0) > 2**15 - 1 else shift

        limit = (1 << c.AFFINE_SHIFT_BITS) - 1
        shift = c.NORM_FRACTION_BITS + fitting_shift(gamma, limit - c.NORM_FRACTION_BITS)
        # beta_shift must lie in 0..15: at least shift - 15 fraction bits of beta, at most shift
        bits = fitting_shift(beta, shift)
        bits = max(bits, 0)
        while shift - bits >= 1 << c.BETA_SHIFT_BITS:
            shift -= 1      # gives up bits of gamma where beta is much larger
        return cls(
            gamma=np.rint(gamma * 2.0 ** (shift - c.NORM_FRACTION_BITS)).astype(np.int64),
            beta=np.rint(beta * 2.0**bits).astype(np.int64),
            shift=shift,
            beta_shift=shift - bits,
            out=out,
        )
