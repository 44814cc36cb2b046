# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""One transformer block in integers: the NumPy reference that the firmware mirrors.

Softmax and LayerNorm are `litenorm.accel.model`, bit for bit what the core computes; everything around them is defined
here. T rows (tokens), D model width, H heads of d = D / H, F width of the feed-forward part. All arithmetic is on
integers, `>>` floors, clip saturates. The order of operations, with the names of the stages:

    requant(acc)[c] = clip((acc[c] * M[c] + (1 << (s[c] - 1))) >> s[c]) to s8 or s16      64-bit product, 1 <= s <= 62
    linear(x)[i][o] = requant(bias[o] + sum over c of x[i][c] * weight[o][c])             s32 accumulator

    pre-norm (GPT)                                    post-norm (BERT)
    attn_in   s8  [T][D] = norm1(x)                   attn_in   s8  [T][D] = attn_requant(x)
    q, k, v   s8  [T][D] = linear(attn_in), three times
    logits    s16 [H][T][T]: [h][i][j] = logits_requant[h](sum over c < d of q[i][h*d + c] * k[j][h*d + c])
              (s8 when the block says so), for j < length(i); masked elements are 0
    probs     [H][T][T] = softmax(logits), format and scale of the block, row i has length(i) valid elements
    context   s8  [T][D]: [i][c] = context_requant[c](sum over j < length(i) of (probs[h][i][j] - zero) * v[j][c]),
              h = c / d, zero the format's zero point; |sum| <= 128 * total <= 2^23: a row sums to `total` exactly
    residual1 s16 [T][D] = clip(x + linear_o(context))          linear_o gives s16
                                                      norm1_out s16 [T][D] = norm1(residual1)
    ffn_in    s8  [T][D] = norm2(residual1)           ffn_in    s8  [T][D] = ffn_requant(norm1_out)
    hidden    s8  [T][F] = linear_fc(ffn_in)
    act       s8  [T][F] = activation[hidden + 128]             a table of 256 codes
    output    s16 [T][D] = clip(residual1             residual2 s16 [T][D] = clip(norm1_out + linear_out(act))
                      + linear_out(act))              output    s16 [T][D] = norm2(residual2)

    length(i) = i + 1 when the block is causal, else `valid` (T, or less when the last rows are padding).

Zero points are nowhere: the quantizer folds those it uses into biases and the activation table.
"""

from dataclasses import dataclass, replace

import numpy as np

from litenorm.accel import model
from litenorm.accel.affine import Affine
from litenorm.accel.formats import get_format
from litenorm.accel.scale import Scale

TYPES = {"s8": np.dtype(np.int8), "s16": np.dtype(np.int16)}
LINEARS = ("q", "k", "v", "o", "fc", "out")  # weight matrices, in the order in which they are used

STAGES = {  # name -> what it holds; in the order of computation
    "attn_in": "s8 [T][D], input of the attention's matrices",
    "q": "s8 [T][D]",
    "k": "s8 [T][D]",
    "v": "s8 [T][D]",
    "logits": "s16 or s8 [H][T][T], masked elements 0",
    "probs": "softmax codes [H][T][T]",
    "context": "s8 [T][D], probs times v",
    "residual1": "s16 [T][D], after the attention's residual add",
    "norm1_out": "s16 [T][D], post-norm only",
    "ffn_in": "s8 [T][D], input of the feed-forward part",
    "hidden": "s8 [T][F], before the activation",
    "act": "s8 [T][F], behind the activation",
    "residual2": "s16 [T][D], post-norm only: before the second LayerNorm",
    "output": "s16 [T][D], the block's result",
}

MAX_SHIFT = 62  # of a requantization: the rounding term 1 << 61 and the 62-bit product still fit 63 bits
MAX_EPS = 1 << 48   # of a LayerNorm: eps / D^2 * D^2 in float64 is within half of eps


def matmul(a, b):
    """a @ b of integers, int64. By floating-point BLAS, exact: every partial sum is far below 2^53."""
    return (np.asarray(a, np.float64) @ np.asarray(b, np.float64)).astype(np.int64)


def saturate(values, out):
    """Clip int64 to "s8" or "s16"."""
    info = np.iinfo(TYPES[out])
    return np.clip(values, info.min, info.max).astype(TYPES[out])


def _integers(name, values, dtype, shape):
    values = np.asarray(values)
    info = np.iinfo(dtype)
    if values.dtype.kind not in "iu" or values.shape != shape:
        raise ValueError(f"{name} is {values.dtype} of shape {values.shape}; good: integers of shape {shape}")
    if values.size and not info.min <= values.min() <= values.max() <= info.max:
        raise ValueError(f"{name} ranges over {values.min()}..{values.max()}; good: {info.min} to {info.max}")
    return values.astype(dtype)


@dataclass(frozen=True)
class Requant:
    """out[c] = clip((acc[c] * multiplier[c] + (1 << (shift[c] - 1))) >> shift[c]), one pair for each channel.

    multiplier  s32 [n], 0 or more
    shift       u8 [n], 1 to 62
    out         "s8" or "s16"
    """

    multiplier: np.ndarray
    shift: np.ndarray
    out: str

    def __post_init__(self):
        n = np.size(self.multiplier)
        object.__setattr__(self, "multiplier", _integers("multiplier", self.multiplier, np.int32, (n,)))
        object.__setattr__(self, "shift", _integers("shift", self.shift, np.uint8, (n,)))
        if n and self.multiplier.min() < 0:
            raise ValueError(f"multiplier is {self.multiplier.min()}; good: 0 to {2**31 - 1}")
        if n and not 1 <= self.shift.min() <= self.shift.max() <= MAX_SHIFT:
            raise ValueError(f"shift ranges over {self.shift.min()}..{self.shift.max()}; good: 1 to {MAX_SHIFT}")
        if self.out not in TYPES:
            raise ValueError(f"out is {self.out!r}; good: {', '.join(TYPES)}")

    @classmethod
    def from_real(cls, factors, out):
        """multiplier * 2^-shift closest to each real factor (0 or more, below 2^30): 31 significant bits."""
        factors = np.atleast_1d(np.asarray(factors, np.float64))
        if not (np.isfinite(factors).all() and (factors >= 0).all() and (factors < 2.0**30).all()):
            raise ValueError(f"requantization factors range over {factors.min()}..{factors.max()}; good: 0 to 2^30")
        shift = np.clip(31 - np.frexp(factors)[1], 1, MAX_SHIFT)
        multiplier = np.rint(np.ldexp(factors, shift)).astype(np.int64)
        carry = multiplier == 2**31  # 0.99999... rounds up to the next power of two
        multiplier, shift = np.where(carry, 2**30, multiplier), np.where(carry, shift - 1, shift)
        return cls(multiplier, shift, out)

    @property
    def real(self):
        """The factors as real numbers."""
        return np.ldexp(self.multiplier.astype(np.float64), -self.shift.astype(np.int64))

    def __call__(self, acc):
        """acc int [..., n], within s32 -> s8 or s16 [..., n]."""
        acc = np.asarray(acc, np.int64)
        if acc.size and not -(2**31) <= acc.min() <= acc.max() < 2**31:
            raise ValueError(f"accumulator ranges over {acc.min()}..{acc.max()}; good: s32")
        shift = self.shift.astype(np.int64)
        half = np.int64(1) << (shift - 1)
        return saturate((acc * self.multiplier.astype(np.int64) + half) >> shift, self.out)


@dataclass(frozen=True)
class Linear:
    """requant(bias + x . weight^T): weight s8 [outputs, inputs], bias s32 [outputs], requant of `outputs` channels."""

    weight: np.ndarray
    bias: np.ndarray
    requant: Requant

    def __post_init__(self):
        if np.ndim(self.weight) != 2:
            raise ValueError(f"weight has shape {np.shape(self.weight)}; good: [outputs, inputs]")
        outputs, inputs = np.shape(self.weight)
        object.__setattr__(self, "weight", _integers("weight", self.weight, np.int8, (outputs, inputs)))
        object.__setattr__(self, "bias", _integers("bias", self.bias, np.int32, (outputs,)))
        if self.requant.multiplier.size != outputs:
            raise ValueError(f"requant has {self.requant.multiplier.size} channels; good: {outputs}")
        worst = 128 * np.abs(self.weight.astype(np.int64)).sum(axis=1) + np.abs(self.bias.astype(np.int64))
        if worst.size and worst.max() >= 2**31:
            raise ValueError(f"accumulator can reach {worst.max()}; good: below 2^31, by a larger weight scale")

    @property
    def inputs(self):
        return self.weight.shape[1]

    @property
    def outputs(self):
        return self.weight.shape[0]

    def __call__(self, x):
        """x s8 [..., inputs] -> s8 or s16 [..., outputs]."""
        return self.requant(matmul(x, self.weight.T) + self.bias)


@dataclass(frozen=True)
class Norm:
    """LayerNorm with gamma, beta: eps is the integer eps term of rows of D elements (see accel.scale.eps_term)."""

    eps: int
    affine: Affine

    def __post_init__(self):
        if not 0 <= self.eps <= MAX_EPS:
            raise ValueError(f"eps is {self.eps}; good: 0 to {MAX_EPS}")

    def __call__(self, x, config=None):
        """x s16 [..., D] -> s8 or s16 [..., D]."""
        # The model takes a real eps and rounds it to the integer term: up to MAX_EPS, to this very one.
        return model.layernorm(x, eps=self.eps / x.shape[-1] ** 2, affine=self.affine, config=config)


@dataclass(frozen=True)
class Block:
    """A quantized transformer block; see the module's docstring for what each part does.

    name            for people, UTF-8, at most 63 bytes
    norm            "pre" or "post"
    causal          row i attends to rows 0 to i only
    heads           H
    scale, fmt      of the softmax: Scale of one LSB of the logits, format name
    q k v o fc out  Linear
    logits_requant  Requant of H channels; its `out` is the logits' type
    context_requant Requant of D channels to s8
    norm1, norm2    Norm; pre-norm: to s8, post-norm: to s16
    attn_requant, ffn_requant  Requant of D channels s16 to s8; post-norm only, else None
    activation      s8 [256]: code of `hidden` + 128 -> code of `act`
    input_scale, output_scale  real value of one LSB of the block's s16 input and output; not used in the arithmetic
    """

    name: str
    norm: str
    causal: bool
    heads: int
    scale: Scale
    fmt: str
    q: Linear
    k: Linear
    v: Linear
    o: Linear
    fc: Linear
    out: Linear
    logits_requant: Requant
    context_requant: Requant
    norm1: Norm
    norm2: Norm
    activation: np.ndarray
    input_scale: float
    output_scale: float
    attn_requant: Requant | None = None
    ffn_requant: Requant | None = None

    def __post_init__(self):
        if self.norm not in ("pre", "post"):
            raise ValueError(f"norm is {self.norm!r}; good: pre, post")
        get_format(self.fmt)
        self.scale.checked()
        dim, hidden = self.dim, self.fc.outputs
        if len(self.name.encode()) > 63:
            raise ValueError(f"name has {len(self.name.encode())} bytes; good: at most 63")
        if self.heads < 1 or dim % self.heads:
            raise ValueError(f"heads is {self.heads}; good: a divisor of the model width {dim}")
        # Rows of s8 are read by the core's DMA: they start on bus words.
        if dim % 4 or hidden % 4:
            raise ValueError(f"model width is {dim} and feed-forward width {hidden}; good: multiples of 4")
        for name in LINEARS:
            linear = getattr(self, name)
            good = {"fc": (hidden, dim), "out": (dim, hidden)}.get(name, (dim, dim))
            out = "s16" if name in ("o", "out") else "s8"
            shape = linear.weight.shape
            if shape != good or linear.requant.out != out:
                raise ValueError(f"{name} is {linear.requant.out} of shape {shape}; good: {out} of {good}")
        for name, size, outs in (("logits_requant", self.heads, ("s8", "s16")), ("context_requant", dim, ("s8",)),
                                 ("attn_requant", dim, ("s8",)), ("ffn_requant", dim, ("s8",))):
            requant = getattr(self, name)
            if name in ("attn_requant", "ffn_requant") and (requant is not None) != (self.norm == "post"):
                raise ValueError(f"{name} is {'given' if requant else 'missing'} in a {self.norm}-norm block; "
                                 "good: given for post-norm only")
            if requant is not None and (requant.multiplier.size != size or requant.out not in outs):
                raise ValueError(f"{name} is {requant.out} of {requant.multiplier.size} channels; "
                                 f"good: {' or '.join(outs)} of {size}")
        for name in ("norm1", "norm2"):
            affine = getattr(self, name).affine
            out = "s8" if self.norm == "pre" else "s16"
            if affine.gamma.size != dim or affine.out != out:
                raise ValueError(f"{name} is {affine.out} of {affine.gamma.size} elements; good: {out} of {dim}")
        object.__setattr__(self, "activation", _integers("activation", self.activation, np.int8, (256,)))

    @property
    def dim(self):
        """D, the model width."""
        return self.q.inputs

    @property
    def hidden(self):
        """F, the width of the feed-forward part."""
        return self.fc.outputs

    def lengths(self, rows, valid=None):
        """Valid keys of each query: int64 [T]. ValueError when `valid` is not 1 to T."""
        valid = rows if valid is None else valid
        if not 1 <= valid <= rows:
            raise ValueError(f"valid is {valid}; good: 1 to {rows}, the number of rows")
        return np.arange(1, rows + 1) if self.causal else np.full(rows, valid)

    def run(self, x, valid=None, config=None):
        """x s16 [..., T, D] -> dict of stage name to array, in the order of computation (see STAGES).

        valid   rows that are not padding (the first ones); ignored by a causal block, whose rows never look ahead
        config  LiteNormConfig of the core; ValueError when T or D are above its max_length
        """
        x = np.asarray(x)
        if x.ndim < 2 or x.shape[-1] != self.dim or x.dtype != np.int16:
            raise ValueError(f"input is {x.dtype} of shape {x.shape}; good: int16 of shape [..., T, {self.dim}]")
        rows, heads, dim = x.shape[-2], self.heads, self.dim
        lengths = self.lengths(rows, valid)
        pre, zero_point = self.norm == "pre", get_format(self.fmt).zero_point
        s = {}

        def split(t):  # [..., T, D] -> [..., H, T, d]
            return np.moveaxis(t.reshape(*t.shape[:-1], heads, dim // heads), -2, -3)

        s["attn_in"] = self.norm1(x, config) if pre else self.attn_requant(x)
        s["q"], s["k"], s["v"] = (linear(s["attn_in"]) for linear in (self.q, self.k, self.v))
        scores = matmul(split(s["q"]), np.swapaxes(split(s["k"]), -1, -2))
        logits = np.moveaxis(self.logits_requant(np.moveaxis(scores, -3, -1)), -1, -3)
        s["logits"] = np.where(np.arange(rows) < lengths[:, None], logits, 0).astype(logits.dtype)
        s["probs"] = model.softmax(s["logits"], self.scale, self.fmt,
                                   length=np.broadcast_to(lengths, logits.shape[:-1]), config=config)
        weighted = matmul(s["probs"].astype(np.int64) - zero_point, split(s["v"]))
        s["context"] = self.context_requant(np.moveaxis(weighted, -3, -2).reshape(x.shape))
        s["residual1"] = self._add(x, self.o(s["context"]))
        if pre:
            s["ffn_in"], stream = self.norm2(s["residual1"], config), s["residual1"]
        else:
            stream = s["norm1_out"] = self.norm1(s["residual1"], config)
            s["ffn_in"] = self.ffn_requant(stream)
        s["hidden"] = self.fc(s["ffn_in"])
        s["act"] = self.activation[s["hidden"].astype(np.int64) + 128]
        total = self._add(stream, self.out(s["act"]))
        if pre:
            s["output"] = total
        else:
            s["residual2"] = total
            s["output"] = self.norm2(total, config)
        return s

    def __call__(self, x, valid=None, config=None):
        """The block's output, s16 [..., T, D]."""
        return self.run(x, valid, config)["output"]

    def quantize_input(self, x):
        """Real [..., T, D] -> s16 codes of the block's input."""
        return saturate(np.rint(np.asarray(x, np.float64) / self.input_scale).astype(np.int64), "s16")

    def with_softmax(self, fmt):
        """The same block with another softmax output format: only context_requant follows."""
        ratio = get_format(self.fmt).total / get_format(fmt).total
        return replace(self, fmt=fmt, context_requant=Requant.from_real(self.context_requant.real * ratio, "s8"))

    @staticmethod
    def _add(a, b):
        return saturate(a.astype(np.int64) + b, "s16")
