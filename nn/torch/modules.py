# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Softmax, LayerNorm and RMSNorm as PyTorch modules whose integers are those of the core.

float in, float out. `codes()` gives the integers: what `accel.model` gives for the same quantized rows, and the core.
`litenorm.nn.wrap` says how rows are quantized, and is the same in NumPy.

The gradient is straight-through: forward is the core's value, backward that of the float operation on the same input.
"""

import math

import numpy as np
import torch
from torch import nn

from litenorm.accel import constants as c
from litenorm.accel.affine import Affine
from litenorm.accel.formats import get_format
from litenorm.accel.scale import Scale
from litenorm.nn import wrap
from litenorm.nn.torch import arithmetic

BLOCK = 1 << 15     # elements computed at a time, so that the int64 steps between stay in the cache


def by_rows(compute, dtype, x, *others):
    """compute(x, *others), all [..., N], in the type `dtype`: some rows at a time, but whole in a graph."""
    if torch.compiler.is_compiling() or x.numel() <= BLOCK:
        return compute(x, *others).to(dtype)
    length = x.shape[-1]
    rows = [None if t is None else t.reshape(-1, length) for t in (x, *others)]
    out = torch.empty(rows[0].shape, dtype=dtype, device=x.device)
    step = max(1, BLOCK // length)
    for start in range(0, len(out), step):
        part = slice(start, start + step)
        out[part] = compute(*(None if t is None else t[part] for t in rows))
    return out.reshape(x.shape)


def _nan(x, dim):
    """0 for each row of x along `dim`, or NaN for one that holds NaN or plus infinity: it has no codes."""
    top = x.amax(dim, keepdim=True).clamp(min=torch.finfo(x.dtype).min)
    return top - top


def _scale(scale):
    """The scale of an input as it is given, rounded to float32, in which inputs are divided by it."""
    try:
        good = scale is None or 0 < float(np.float32(scale)) < math.inf
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(f"scale is {scale!r}; good: None for dynamic, or a finite number above 0")
    return None if scale is None else float(np.float32(scale))


class LiteNormSoftmax(nn.Module):
    """Softmax along `dim`: each row's codes add up to the format's total, exactly.

    dim         as torch.nn.Softmax
    fmt         output format, a name of `accel.formats.FORMATS`; an output is (code - zero_point) / total
    inputs      codes of the logits, "s8" or "s16"
    scale       None: dynamic, one a row. Else the real value of one LSB, with
    zero_point  the code of logit 0
    max_length  longest row, 2 to 4096; the core that computes the same is built with it. Up to 1024 it changes no code

    ValueError when an argument is out of range, and for a row above max_length.
    """

    def __init__(self, dim=-1, fmt="u16_q15", inputs="s16", scale=None, zero_point=0, max_length=1024):
        super().__init__()
        self.dim = dim
        self.fmt = get_format(fmt)
        self.inputs = inputs
        self.grid = wrap.input_codes(inputs)
        self.max_length = max_length
        self.fraction_bits = wrap.softmax_config(max_length).fraction_bits
        self.seen = None    # (lowest, highest) logit that counts, while calibrating
        self.set_scale(scale, zero_point)

    def set_scale(self, scale, zero_point=0):
        """Give the scale and zero point of the logits, or None for dynamic ones."""
        self.scale = _scale(scale)
        self.zero_point = zero_point
        self.scale_code = None if scale is None else Scale.from_real(self.scale)

    def extra_repr(self):
        scale = "dynamic" if self.scale is None else f"{self.scale:.6g}, zero_point={self.zero_point}"
        return f"dim={self.dim}, fmt={self.fmt.name}, inputs={self.inputs}, scale={scale}"

    def quantize(self, x, mask=None):
        """(x_q int64, (multiplier, shift), valid bool) of float x [..., N], along the last axis."""
        x = x.to(torch.float32)
        kept = x > -torch.inf if mask is None else mask & (x > -torch.inf)
        top = torch.where(kept, x, torch.finfo(torch.float32).min).amax(-1, keepdim=True)
        distance = torch.where(kept, top - x, 0.0)
        valid = kept & (distance < wrap.MASK_DISTANCE)
        if self.seen is not None:
            self._see(top, x, valid)
        if self.scale is None:
            distance = torch.where(valid, distance, 0.0)
            reach = distance.amax(-1, keepdim=True).clamp(float(wrap.LEAST_REACH), float(wrap.REACH))
            scales = reach / float(self.grid.steps)
            t = (distance / scales).round().clamp(max=float(self.grid.steps))
            return self.grid.highest - t.to(torch.int64), arithmetic.scale_of(scales), valid
        scale = torch.full_like(top, self.scale)    # float32, as the NumPy form has it
        q = (torch.where(valid, x, 0.0) / scale).round() + float(self.zero_point)
        return q.clamp(float(self.grid.lowest), float(self.grid.highest)).to(torch.int64), self.scale_code, valid

    def codes(self, x, mask=None):
        """Codes of the format, zero point included, int64, in the shape of x. mask: bool, True for valid elements."""
        return self._levels(x, mask, torch.int64) + self.fmt.zero_point

    def forward(self, x, mask=None):
        """Probabilities in x's type (float32 holds every format exactly), 0 where `mask` is False.

        A row with NaN or plus infinity is NaN.
        """
        p = self._levels(x.detach(), mask, torch.float32) * (1.0 / self.fmt.total)
        if mask is not None:
            x = x.masked_fill(~mask, torch.finfo(x.dtype).min)
        p = p.to(x.dtype) + _nan(x.detach(), self.dim)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return p
        x = x.clamp(min=torch.finfo(x.dtype).min)       # the gradient of a row of -inf would be NaN
        # Not torch.softmax, which means this module inside of a swapped model.
        soft = (x - x.logsumexp(self.dim, keepdim=True)).exp()
        return p + (soft - soft.detach())

    def _levels(self, x, mask, dtype):
        if mask is not None:
            mask = torch.broadcast_to(mask, x.shape).movedim(self.dim, -1)
        x = x.movedim(self.dim, -1)
        wrap.check_length("softmax", x.shape[-1], self.max_length)

        def levels(x, mask):
            q, (multiplier, shift), valid = self.quantize(x, mask)
            return arithmetic.softmax(q, multiplier, shift, self.fmt, valid, self.fraction_bits)

        return by_rows(levels, dtype, x, mask).movedim(-1, self.dim)

    def _see(self, top, x, valid):
        low = torch.where(valid & (top - x < float(wrap.REACH)), x, top).min()
        found = float(low), float(torch.where(valid.any(-1, keepdim=True), top, low).max())
        self.seen = min(self.seen[0], found[0]), max(self.seen[1], found[1])

    def start_calibration(self):
        """Note the range of the logits from here on; rows are quantized with their own scales meanwhile."""
        self.set_scale(None)
        self.seen = (float("inf"), -float("inf"))

    def end_calibration(self):
        """Take the scale and zero point with which the codes reach over what was seen."""
        seen, self.seen = self.seen, None
        if seen is not None and seen[0] <= seen[1]:
            self.set_scale(*wrap.given_scale(*seen, self.inputs))


class _Norm(nn.Module):
    """What LiteNormLayerNorm and LiteNormRMSNorm share."""

    op = None

    def __init__(self, normalized_shape, eps, elementwise_affine=True, inputs="s16", scale=None):
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape = shape
        self.length = torch.Size(shape).numel()
        wrap.check_length(self.op, self.length)
        self.eps = eps
        self.inputs = inputs
        self.grid = wrap.input_codes(inputs)
        self.scale = _scale(scale)
        self.seen = self.seen_output = None    # largest |x| and |output|, while calibrating
        self.affine = self.out_scale = None
        self.weight = nn.Parameter(torch.ones(shape)) if elementwise_affine else None
        self.bias = None

    def extra_repr(self):
        scale = "dynamic" if self.scale is None else f"{self.scale:.6g}"
        out = "float" if self.affine is None else f"{self.affine.out}, {self.out_scale:.6g}"
        return f"{self.normalized_shape}, eps={self.eps}, inputs={self.inputs}, scale={scale}, output={out}"

    def set_output(self, out, scale):
        """Gamma, beta and requantization in the core's integers, to codes `out` ("s8", "s16") of `scale` a LSB.

        Takes the weights as they are now. None for `out`: gamma and beta in float again.
        """
        if out is None:
            self.affine = self.out_scale = None
            return
        ones, zeros = torch.ones(self.length), torch.zeros(self.length)
        gamma = (ones if self.weight is None else self._gamma()).detach().reshape(-1).double().cpu().numpy()
        beta = (zeros if self.bias is None else self.bias).detach().reshape(-1).double().cpu().numpy()
        self.affine = Affine.from_real(gamma, beta, scale, out)
        self.out_scale = scale
        device = None if self.weight is None else self.weight.device
        for name in ("gamma", "beta"):
            values = torch.tensor(getattr(self.affine, name).astype("int64"), device=device)
            self.register_buffer(f"{name}_codes", values, persistent=False)

    def quantize(self, x):
        """(x_q int64 [..., N], scales float32 [..., 1]) of float x [..., N]; NaN and infinity count as 0."""
        x = x.to(torch.float32)
        size = x.abs()
        finite = size < torch.inf
        x, size = torch.where(finite, x, 0.0), torch.where(finite, size, 0.0)
        largest = size.amax(-1, keepdim=True).clamp(min=float(wrap.LEAST_NORM))
        if self.seen is not None:
            self.seen = max(self.seen, float(largest.max()))
        if self.scale is None:
            scales = largest / float(self.grid.highest)
        else:
            scales = torch.full_like(largest, self.scale)
        q = (x / scales).round().clamp(float(self.grid.lowest), float(self.grid.highest))
        return q.to(torch.int64), scales

    def codes(self, x):
        """Codes int64 in the shape of x: Q5.10 before gamma and beta, or those of `set_output`."""
        return self._codes(x, torch.int64)

    def _codes(self, x, dtype):
        shape = x.shape
        if len(self.normalized_shape) > 1:
            x = x.flatten(-len(self.normalized_shape))
        if x.shape[-1] != self.length:
            raise ValueError(f"x is of shape {tuple(shape)}; good: [..., {', '.join(map(str, self.normalized_shape))}]")

        def rows(x):
            q, scales = self.quantize(x)
            real = scales.to(torch.float64)
            term = (self.eps / (real * real)).clamp(max=wrap.LARGEST_EPS / self.length**2) * self.length * self.length
            y = arithmetic.norm(q, term.round().to(torch.int64), self.op == "layernorm")
            if self.affine is not None:
                y = arithmetic.apply_affine(y, self.gamma_codes, self.beta_codes, self.affine)
            return y

        return by_rows(rows, dtype, x).reshape(shape)

    def forward(self, x):
        """Of x's shape and type. A row with NaN or infinity is NaN."""
        dims = tuple(range(-len(self.normalized_shape), 0))
        y = self._codes(x.detach(), torch.float32) + _nan(x.detach().abs(), dims)
        if self.affine is not None:
            out = (y * self.out_scale).to(x.dtype)
            if not torch.is_grad_enabled():
                return out
            soft = self._affine(self._float(x))
            return out + (soft - soft.detach()).to(x.dtype)
        y = (y * 2.0**-c.NORM_FRACTION_BITS).to(x.dtype)
        if torch.is_grad_enabled() and x.requires_grad:
            soft = self._float(x)
            y = y + (soft - soft.detach())
        out = self._affine(y)
        if self.seen_output is not None:
            self.seen_output = max(self.seen_output, float(out.detach().abs().max()))
        return out

    def _gamma(self):
        return self.weight

    def _affine(self, y):
        if self.weight is not None:
            y = y * self._gamma().to(y.dtype)
        return y if self.bias is None else y + self.bias.to(y.dtype)

    def start_calibration(self):
        """Note the largest |x| and |output| from here on; rows are quantized with their own scales meanwhile."""
        self.scale = None
        self.set_output(None, None)
        self.seen = self.seen_output = 0.0

    def end_calibration(self, out=None):
        """Take one scale for what was seen and, with `out` ("s8" or "s16"), the core's gamma and beta."""
        seen, output = self.seen, self.seen_output
        self.seen = self.seen_output = None
        if seen:
            self.scale = seen / self.grid.highest
            if out is not None:
                self.set_output(out, output / wrap.input_codes(out).highest)


class LiteNormLayerNorm(_Norm):
    """LayerNorm over the last axes: before gamma and beta every row's codes add up to 0, exactly.

    normalized_shape, eps, elementwise_affine, bias  as torch.nn.LayerNorm; up to 1024 elements
    inputs  codes of the row, "s8" or "s16"
    scale   real value of one LSB of the input, or None: dynamic, one a row

    Gamma and beta are applied in float, as on a CPU behind the core, until `set_output` gives them the core's integers.
    ValueError when an argument is out of range.
    """

    op = "layernorm"

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, inputs="s16", scale=None):
        super().__init__(normalized_shape, eps, elementwise_affine, inputs, scale)
        if elementwise_affine and bias:
            self.bias = nn.Parameter(torch.zeros(self.normalized_shape))

    def _float(self, x):
        return nn.functional.layer_norm(x.float(), self.normalized_shape, eps=self.eps).to(x.dtype)


class LiteNormRMSNorm(_Norm):
    """RMSNorm over the last axes: x / sqrt(mean(x^2) + eps), to the nearest Q5.10, times gamma.

    Arguments as LiteNormLayerNorm; eps None as torch.nn.RMSNorm: float32's. unit_offset: gamma is 1 + weight, as Gemma
    has it.
    """

    op = "rmsnorm"

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, inputs="s16", scale=None,
                 unit_offset=False):
        eps = torch.finfo(torch.float32).eps if eps is None else eps
        super().__init__(normalized_shape, eps, elementwise_affine, inputs, scale)
        self.unit_offset = unit_offset

    def _gamma(self):
        return self.weight + 1 if self.unit_offset else self.weight

    def _float(self, x):
        return nn.functional.rms_norm(x.float(), self.normalized_shape, eps=self.eps).to(x.dtype)
