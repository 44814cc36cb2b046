# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Output formats of softmax.

A row's codes satisfy, exactly, sum(code - zero_point) == total. `capped` formats have no code for `total` itself,
so a one-hot row is (total - 1) + 1, and a row of one valid element is the one documented exception: total - 1.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SoftmaxFormat:
    """One way to store a probability.

    name        public name, as in `model.softmax(..., fmt=name)`
    code        value of the `format` register field
    bits        8 or 16, size of a stored code
    zero_point  code of probability 0
    total       T: the exact sum of (code - zero_point) over a row; one ulp is a probability of 1/T
    """

    name: str
    code: int
    bits: int
    zero_point: int
    total: int

    @property
    def signed(self):
        return self.zero_point < 0

    @property
    def dtype(self):
        """NumPy dtype of the stored code."""
        return np.dtype(f"{'int' if self.signed else 'uint'}{self.bits}")

    @property
    def capped(self):
        """True when `total` itself has no code: the largest probability is (T - 1)/T."""
        return self.zero_point + self.total > np.iinfo(self.dtype).max


FORMATS = {
    f.name: f
    for f in (
        SoftmaxFormat("u8_255", 0, 8, 0, 255),
        SoftmaxFormat("tfl_s8", 1, 8, -128, 256),       # TFLite and CMSIS-NN: s8 to s8
        SoftmaxFormat("u16_q15", 2, 16, 0, 1 << 15),    # default: every row fits, N = 1 too
        SoftmaxFormat("tfl_s16", 3, 16, -(1 << 15), 1 << 16),  # TFLite and CMSIS-NN: s8 to s16
        SoftmaxFormat("u16_65535", 4, 16, 0, 65535),
    )
}

FORMAT_BITS = max(f.code for f in FORMATS.values()).bit_length()


def get_format(fmt):
    """`fmt` as a SoftmaxFormat. ValueError lists the known names."""
    if isinstance(fmt, SoftmaxFormat):
        return fmt
    if not isinstance(fmt, str) or fmt not in FORMATS:
        raise ValueError(f"unknown softmax format {fmt!r}; known: {', '.join(FORMATS)}")
    return FORMATS[fmt]
