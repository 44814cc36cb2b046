# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Put LiteNorm's arithmetic into a model, and take scales from calibration data.

Norms are modules and are replaced as such. Softmax is mostly a function called somewhere inside a forward: while the
swapped model's own forward runs, a `TorchFunctionMode` answers calls of softmax and of scaled_dot_product_attention,
whatever library wrote them. Fused attention of another kind (flash, flex) is set to SDPA first.
"""

import functools
import inspect
import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from litenorm.nn import wrap
from litenorm.nn.torch.modules import LiteNormLayerNorm, LiteNormRMSNorm, LiteNormSoftmax

SOFTMAX = (torch.softmax, torch.Tensor.softmax, functional.softmax, torch.special.softmax)
INTERCEPTED = ("eager", "sdpa")
TOO_LONG = ("error", "leave")


@dataclass
class Swapped:
    """What `swap` did. norms: names of the modules replaced; left: name or operation -> why it is float still;
    places: the softmax of each call within one forward, once calibrated."""

    norms: list = field(default_factory=list)
    left: dict = field(default_factory=dict)
    places: list = field(default_factory=list)
    calls: int = 0
    calibrating: bool = False
    softmax: LiteNormSoftmax | None = None      # of the calls that have no place of their own
    too_long: str = "error"


def swap(model, fmt="u16_q15", inputs="s16", norm_inputs="s16", max_length=1024, attention=True, norms=True,
         too_long="error"):
    """Replace softmax, LayerNorm and RMSNorm of `model`, in place; returns a `Swapped`, also at `model.litenorm`.

    model        torch.nn.Module: of Hugging Face, or any other. Weights are shared with what is replaced
    fmt, inputs, max_length  of every softmax, see LiteNormSoftmax
    norm_inputs  "s8" or "s16", of LayerNorm and RMSNorm
    attention, norms  False leaves softmax, or LayerNorm and RMSNorm
    too_long     rows that the core does not take, norms above 1024 or softmax above max_length: "error" raises
                 ValueError, "leave" keeps the float operation and notes it in `left`

    ValueError when the model is swapped already, has nothing to swap, or an argument is out of range. Then it is as it
    was.
    """
    if too_long not in TOO_LONG:
        raise ValueError(f"too_long is {too_long!r}; good: {', '.join(TOO_LONG)}")
    inside = next((name for name, m in model.named_modules() if hasattr(m, "litenorm")), None)
    if inside is not None:
        raise ValueError(f"{inside or 'the model'} is swapped already; good: a model as it was loaded")
    softmax = LiteNormSoftmax(fmt=fmt, inputs=inputs, max_length=max_length)
    wrap.input_codes(norm_inputs)
    done = Swapped(softmax=softmax, too_long=too_long)
    if norms and _norm(model, norm_inputs, "the model", done, too_long) is not None:
        raise ValueError(f"the model is a {type(model).__name__}, and what holds it would keep it; good: a model with "
                         "norms in it, or LiteNormLayerNorm and LiteNormRMSNorm themselves")
    replaced, news = [], {}
    for parent_name, parent in model.named_modules():
        for name, child in parent._modules.items():     # named_children() has a child of two names once
            where = f"{parent_name}.{name}".lstrip(".")
            if child is None:
                continue
            if child not in news:
                news[child] = _replacement(child, norms, attention, done, where, norm_inputs)
            if news[child] is not None:
                replaced.append((parent, name, news[child]))
                done.norms.append(where)
    if not replaced and not attention:
        raise ValueError("the model has no LayerNorm and no RMSNorm; good: one that has, or attention=True")
    for parent, name, new in replaced:
        setattr(parent, name, new)
    if attention:
        _set_attention(model, done)
        _intercept(model, done)
    object.__setattr__(model, "litenorm", done)
    return done


@contextmanager
def calibrate(model, out=None):
    """Inside of the `with`, run the swapped model on calibration data: behind it every place has one scale.

    out  None: gamma and beta stay float. "s8" or "s16": of every norm they are the core's integers, to that output

    The calls of softmax within one forward are told apart by their order, so that the model must run its layers in the
    same order every time. A place that was not reached stays dynamic.
    """
    done = getattr(model, "litenorm", None)
    if done is None:
        raise ValueError("the model is not swapped; good: swap(model) first")
    if out is not None:
        wrap.input_codes(out)
    modules = [m for m in model.modules() if hasattr(m, "start_calibration")]
    for m in (*modules, *done.places):
        m.start_calibration()
    done.calibrating = True
    try:
        yield done
    finally:
        done.calibrating = False
        for m in (*modules, *done.places):
            if isinstance(m, LiteNormSoftmax):
                m.end_calibration()
            else:
                m.end_calibration(out)


def _replacement(child, norms, attention, done, where, norm_inputs):
    """What stands in the place of `child`, or None."""
    new = _norm(child, norm_inputs, where, done, done.too_long) if norms else None
    # Others' forward calls a function, which is answered: with dim=None it stays, and what is too long may.
    if attention and type(child) is nn.Softmax and child.dim is not None and done.too_long == "error":
        own = done.softmax
        new = LiteNormSoftmax(child.dim, own.fmt, own.inputs, max_length=own.max_length)
    return None if new is None else new.to(_device(child)).train(child.training)


# Norms ---------------------------------------------------------------------------------------------------------------


def _norm(module, inputs, where, done, too_long):
    """The replacement of a norm, or None when `module` is not one, or must stay."""
    kind = type(module).__name__
    if isinstance(module, LiteNormLayerNorm | LiteNormRMSNorm):     # somebody put it there
        return None
    if isinstance(module, nn.LayerNorm):
        shape, eps = module.normalized_shape, module.eps
        make = functools.partial(LiteNormLayerNorm, bias=module.bias is not None)
    elif isinstance(module, nn.RMSNorm):
        shape, eps, make = module.normalized_shape, module.eps, LiteNormRMSNorm
    elif kind.endswith(("RMSNorm", "LayerNorm")) and isinstance(getattr(module, "weight", None), nn.Parameter):
        shape = tuple(module.weight.shape)
        eps = next((getattr(module, name) for name in ("variance_epsilon", "eps", "epsilon") if hasattr(module, name)),
                   None)
        make = _like(module, shape, eps)
        if make is None:
            done.left[where] = f"{kind} computes neither LayerNorm nor RMSNorm of its last axis"
            return None
    else:
        return None
    length = math.prod(shape)
    limit = wrap.LONGEST["layernorm"]
    if length > limit:
        if too_long == "error":
            raise ValueError(f"{where} is a {kind} of {length} elements; good: up to {limit}, or too_long='leave'")
        done.left[where] = f"{kind} of {length} elements, above {limit}"
        return None
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    new = make(shape, eps=eps, elementwise_affine=weight is not None, inputs=inputs)
    new.weight, new.bias = weight, bias
    return new


def _like(module, shape, eps):
    """What makes the norm that `module`, of a class we do not know, computes: found by running it; None if nothing."""
    if eps is None or len(shape) != 1 or len(inspect.signature(module.forward).parameters) != 1:
        return None
    weight = module.weight.detach().float()
    bias = getattr(module, "bias", None)
    x = torch.linspace(-2, 3, 2 * shape[0], device=weight.device).sin().reshape(2, -1) + 0.3
    with torch.no_grad():
        try:
            want = module(x.to(module.weight.dtype)).float()
        except (RuntimeError, TypeError, ValueError):
            return None
        offset = 0.0 if bias is None else bias.float()
        rms = functional.rms_norm(x, shape, eps=eps)
        candidates = {
            LiteNormRMSNorm: rms * weight + offset,
            functools.partial(LiteNormRMSNorm, unit_offset=True): rms * (1 + weight) + offset,
            functools.partial(LiteNormLayerNorm, bias=bias is not None):
                functional.layer_norm(x, shape, eps=eps) * weight + offset,
        }
        near = 0.02 if module.weight.dtype != torch.float32 else 1e-3
        return next((make for make, got in candidates.items() if torch.allclose(got, want, near, near)), None)


def _device(module):
    return next((p.device for p in module.parameters()), torch.device("cpu"))


# Softmax and attention -----------------------------------------------------------------------------------------------


def _set_attention(model, done):
    """Set a Hugging Face model whose attention is a fused kernel to SDPA, which is intercepted."""
    used = getattr(getattr(model, "config", None), "_attn_implementation", None)
    if used is not None and used not in INTERCEPTED:
        try:
            model.set_attn_implementation("sdpa")
        except (AttributeError, ValueError):
            model.set_attn_implementation("eager")
        done.left["attention implementation"] = f"{used}, now {model.config._attn_implementation}"


def _run(done, forward, *args, **kwargs):
    done.calls = 0
    with _Mode(done):
        return forward(*args, **kwargs)


def _intercept(model, done):
    """Run model.forward inside of a `_Mode` from now on.

    The forward is that of a subclass, which finds what it needs in `self`: a copy of the model runs on its own weights.
    """
    if "forward" in model.__dict__:     # somebody else has replaced it for this one object
        model.forward = functools.wraps(model.forward)(functools.partial(_run, done, model.forward))
        return
    kind = type(model)

    @functools.wraps(kind.forward)   # Hugging Face reads its signature
    def forward(self, *args, **kwargs):
        return _run(self.litenorm, functools.partial(kind.forward, self), *args, **kwargs)

    def __reduce_ex__(self, protocol):  # pickle finds classes by name, where it would find `kind`
        return _restore, (kind,), self.__getstate__()

    names = {"forward": forward, "__reduce_ex__": __reduce_ex__, "__doc__": kind.__doc__, "__module__": kind.__module__,
             "__qualname__": kind.__qualname__}
    model.__class__ = type(kind.__name__, (kind,), names)


def _restore(kind):
    """A swapped model of this class, still without its state."""
    model = kind.__new__(kind)
    _intercept(model, None)
    return model


class _Mode(TorchFunctionMode):
    """Answers softmax and scaled_dot_product_attention with LiteNorm's."""

    def __init__(self, done):
        super().__init__()
        self.softmax, self.done, self.too_long = done.softmax, done, done.too_long

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in SOFTMAX:
            return self._softmax(func, *args, **kwargs)
        if func is functional.scaled_dot_product_attention:
            return self._attention(*args, **kwargs)
        if func is functional.multi_head_attention_forward:
            # What it calls is hidden from the mode while the mode answers it.
            with (mock.patch.object(functional, "scaled_dot_product_attention", self._attention),
                  mock.patch.object(functional, "softmax", functools.partial(self._softmax, functional.softmax))):
                return func(*args, **kwargs)
        return func(*args, **kwargs)

    def _softmax(self, func, input, dim=None, *args, **kwargs):  # noqa: A002  (PyTorch's name)
        dtype = kwargs.get("dtype") or next((a for a in args if isinstance(a, torch.dtype)), None)
        out = kwargs.get("out")
        if dim is None or input.dim() == 0 or not input.is_floating_point():
            return func(input, dim, *args, **kwargs)
        if self._leave(input.shape[dim]):
            return func(input, dim, *args, **kwargs)
        place = self._place()
        x = input if dtype is None else input.to(dtype)
        y = place(x.movedim(dim, -1)).movedim(-1, dim)
        return y if out is None else out.copy_(y)

    def _attention(self, query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None,
                   enable_gqa=False):
        if self._leave(key.shape[-2]):
            return functional.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal,
                                                           scale=scale, enable_gqa=enable_gqa)
        if enable_gqa:
            groups = query.shape[-3] // key.shape[-3]
            key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
        # As PyTorch's kernels have it, logits of half precision are in float32: as float16 they would overflow.
        wide = torch.promote_types(query.dtype, torch.float32)
        logits = query.to(wide) @ key.to(wide).transpose(-2, -1)
        logits = logits * (query.shape[-1] ** -0.5 if scale is None else scale)
        mask = None
        if is_causal:
            mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            mask = attn_mask if mask is None else mask & attn_mask
        elif attn_mask is not None:
            logits = logits + attn_mask
        weights = self._place()(logits, mask).to(value.dtype)
        return torch.dropout(weights, dropout_p, True) @ value if dropout_p else weights @ value

    def _leave(self, length):
        """True when a row of this length stays float."""
        limit = self.softmax.max_length
        if length == 0:
            return True
        if length <= limit:
            return False
        if self.too_long == "error":
            raise ValueError(f"softmax of {length} elements; good: up to {limit}, swap(model, max_length=..) takes "
                             f"{wrap.LONGEST['softmax']}, or too_long='leave'")
        self.done.left[f"softmax of {length} elements"] = f"above {limit}"
        return True

    def _place(self):
        """The softmax of this call."""
        index, self.done.calls = self.done.calls, self.done.calls + 1
        places = self.done.places
        if index < len(places):
            return places[index]
        if not self.done.calibrating:
            return self.softmax
        own = LiteNormSoftmax(fmt=self.softmax.fmt, inputs=self.softmax.inputs, max_length=self.softmax.max_length)
        own.start_calibration()
        places.append(own)
        return own
