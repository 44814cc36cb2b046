# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Rows of one operation and one length, and their parameters."""

from dataclasses import dataclass, replace

import numpy as np

from litenorm.accel import constants as c
from litenorm.accel import model
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale, eps_term

KINDS = (*(f"softmax {name}" for name in FORMATS), "layernorm", "layernorm affine", "rmsnorm", "rmsnorm affine")


@dataclass
class Section:
    """Rows of one operation and one length N: `x`, int64 [rows, N], and `lengths`, valid elements, int64 [rows]."""

    op: str
    x: np.ndarray
    lengths: np.ndarray
    fmt: str = "u16_q15"
    scale: Scale = Scale(0, 0)
    eps: float = 0.0
    affine: Affine | None = None

    @property
    def kind(self):
        if self.op == "softmax":
            return f"softmax {self.fmt}"
        return self.op if self.affine is None else f"{self.op} affine"

    @property
    def dtype(self):
        """NumPy dtype of a stored code."""
        if self.op == "softmax":
            return FORMATS[self.fmt].dtype
        return np.dtype(np.int16) if self.affine is None else self.affine.dtype

    def params(self):
        """Fields of `rows.row_params`, one value for all rows or one per row."""
        fields = dict(op=c.OPS.index(self.op), format=0, length=self.lengths, scale_multiplier=0, scale_shift=0, eps=0,
                      affine=0, out_s8=0, affine_shift=0, beta_shift=0)
        if self.op == "softmax":
            fields.update(format=FORMATS[self.fmt].code, scale_multiplier=self.scale.multiplier,
                          scale_shift=self.scale.shift)
            return fields
        fields["eps"] = self.eps_terms()
        if self.affine is not None:
            fields.update(affine=1, out_s8=int(self.affine.out == "s8"), affine_shift=self.affine.shift,
                          beta_shift=self.affine.beta_shift)
        return fields

    def eps_terms(self):
        lengths, index = np.unique(self.lengths, return_inverse=True)
        return np.array([eps_term(self.eps, int(n)) for n in lengths], np.int64)[index]

    def expected(self, config):
        """The model's codes [rows, N]."""
        if self.op == "softmax":
            return model.softmax(self.x, self.scale, self.fmt, length=self.lengths, config=config)
        length = int(self.lengths[0]) if np.all(self.lengths == self.lengths[0]) else self.lengths
        return getattr(model, self.op)(self.x, self.eps, length=length, affine=self.affine, config=config)

    def row(self, i):
        return replace(self, x=self.x[i:i + 1], lengths=self.lengths[i:i + 1])

    def describe(self):
        """The arguments that make this section again, as Python, for one row."""
        text = [f"op={self.op}", f"length={int(self.lengths[0])}"]
        if self.op == "softmax":
            text += [f"fmt={self.fmt}", f"scale={tuple(map(int, self.scale))}"]
        else:
            text.append(f"eps={self.eps!r}")
        if self.affine is not None:
            a = self.affine
            text += [f"out={a.out}", f"shift={a.shift}", f"beta_shift={a.beta_shift}", f"gamma={a.gamma.tolist()}",
                     f"beta={a.beta.tolist()}"]
        return " ".join(text) + f" x={self.x[0].tolist()}"
