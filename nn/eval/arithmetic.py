# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The arithmetics that `litenorm eval` compares.

Each is given the same integers: logits rounded to s8 or s16 with the scales of `calibration`, LayerNorm inputs rounded
to s16, or to s8 with a scale for each row. What it gives is taken as real numbers again. LiteNorm's are the functions
of accel.model, with gamma and beta in integers and s16 behind them; the peers are those of `litenorm compare`, and
their gamma and beta are float32. Where a peer has no LayerNorm, the model keeps its own in float32.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from litenorm.accel import model
from litenorm.accel.affine import Affine
from litenorm.accel.config import LiteNormConfig
from litenorm.accel.formats import get_format
from litenorm.accel.scale import Scale
from litenorm.bench.peers import LAYERNORM_PEERS, SOFTMAX_PEERS
from litenorm.nn import layer as float32

CHUNK = 1 << 15     # elements that are computed at a time: int64 temporaries stay in the CPU's cache
CONFIG = LiteNormConfig()


# Rows of integers --------------------------------------------------------------------------------------------------


def exp2_table(scale, bits):
    """model.exp2 of every difference from a row's maximum: int64 [2^bits], UQ1.22."""
    size = 1 << bits
    return model.exp2(-np.arange(size, dtype=np.int64)[None], np.array([size]), scale)[0]


def softmax_codes(x, lengths, table, fmt):
    """model.softmax of rows whose exponentials are looked up: int64 codes less the zero point, [rows, N].

    x        int64 [rows, N], of b bits
    lengths  int64 [rows], valid elements of each row; the others give 0
    table    exp2_table(scale, b)

    Equal to model.softmax for every row: the exponential depends on the difference from the maximum alone.
    """
    valid = np.arange(x.shape[1]) < lengths[:, None]
    top = np.where(valid, x, -len(table)).max(axis=1, keepdims=True)
    e = np.where(valid, table[np.where(valid, top - x, 0)], 0)
    total = e.sum(axis=1)
    gain, shift = model.reciprocal(total, fmt, CONFIG)
    out = model.telescope((e * gain[:, None]) >> shift[:, None], CONFIG)
    if fmt.capped:
        last = np.take_along_axis(e, lengths[:, None] - 1, axis=1)[:, 0]
        out = model.cap(out, total, last == table[0], lengths, fmt)
    return out


def litenorm_softmax(fmt, bits):
    """(x, lengths, scale) -> codes, as softmax_codes, in chunks."""
    fmt = get_format(fmt)

    def codes(x, lengths, scale):
        table, step = exp2_table(Scale.from_real(scale), bits), max(1, CHUNK // x.shape[1])
        return np.concatenate([softmax_codes(x[i : i + step], lengths[i : i + step], table, fmt)
                               for i in range(0, len(x), step)])

    return codes, fmt.total


def peer_softmax(name):
    """(x, lengths, scale) -> codes of a peer, which has no masks: rows of one length together."""
    peer = next(peer for peer in SOFTMAX_PEERS if peer.name == name)

    def codes(x, lengths, scale):
        out = np.zeros_like(x)
        for n in np.unique(lengths).tolist():
            rows, step = np.flatnonzero(lengths == n), max(1, CHUNK // n)
            for i in range(0, len(rows), step):
                part = rows[i : i + step]
                out[part, :n] = peer.codes(x[part, :n], scale)
        return out

    return codes, peer.total


def exact_softmax(x, lengths, scale):
    """Softmax of the rounded logits in float64."""
    valid = np.arange(x.shape[1]) < lengths[:, None]
    return float32.softmax(np.where(valid, x * scale, -np.inf))


def litenorm_norm(x, gamma, beta, eps, scales):
    """model.layernorm of s16 rows with gamma and beta to s16: float32 [rows, N]."""
    affine = Affine.from_real(gamma, beta, scales.output, "s16")
    codes = to_integers(x, scales.input, 16)
    y = model.layernorm(codes, eps=eps / scales.input**2, affine=affine, config=CONFIG)
    return y * np.float32(scales.output)


def peer_norm(name, kind):
    """(x, gamma, beta, eps, scales) -> a peer's LayerNorm of integers of `kind`, gamma and beta in float32."""
    peer = next(peer for peer in LAYERNORM_PEERS if peer.name == name)

    def norm(x, gamma, beta, eps, scales):
        codes = to_integers(x, row_scale(x) if kind == "s8" else scales.input, 8 if kind == "s8" else 16)
        return (peer.norm(codes) * gamma + beta).astype(np.float32)

    return norm


def exact_norm(x, gamma, beta, eps, scales):
    """LayerNorm of the rounded inputs in float32."""
    rounded = to_integers(x, scales.input, 16) * np.float32(scales.input)
    return float32.layer_norm(rounded.astype(np.float32), gamma, beta, eps)


def row_scale(x):
    """Scale of each row's s8 codes: its largest magnitude is 127."""
    return np.maximum(np.abs(x).max(axis=-1, keepdims=True), np.float32(1e-9)) / np.float32(127)


def to_integers(x, scale, bits):
    """Codes of x, int64, to the nearest, saturated."""
    limit = 1 << (bits - 1)
    return np.clip(np.rint(x / scale), -limit, limit - 1).astype(np.int64)


# Arithmetics -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arithmetic:
    """A softmax and a LayerNorm.

    name, label  key in results; in tables
    family       those of one family are drawn in one colour
    logits       "s8" or "s16": what the softmax is given; None: float32, nothing is replaced
    softmax      (x, lengths, scale) -> int64 codes [rows, N], probability = code / total; -1: undefined row
    total        code of probability 1; None: the softmax gives probabilities
    norm         (x, gamma, beta, eps, scales) -> float32 [rows, N]; None: the model's own
    norm_input   of the LayerNorm, for people
    targets      {measurement: worst value that it may have}
    """

    name: str
    label: str
    family: str
    logits: str | None = None
    softmax: Callable | None = None
    total: int | None = None
    norm: Callable | None = None
    norm_input: str = "float32"
    targets: dict | None = None


def _litenorm(name, label, logits, fmt, norm=litenorm_norm, norm_input="s16", targets=None):
    softmax, total = litenorm_softmax(fmt, int(logits[1:]))
    return Arithmetic(name, label, "litenorm", logits, softmax, total, norm, norm_input, targets)


def _peer(name, label, softmax, norm=None, kind="float32"):
    codes, total = peer_softmax(softmax)
    return Arithmetic(name, label, softmax.split("_")[0], "s8", codes, total,
                      norm and peer_norm(norm, kind), kind)


FLOAT = Arithmetic("float32", "float32", "float32")

ARITHMETICS = (
    FLOAT,
    _litenorm("litenorm_s8_u8", "LiteNorm s8/u8", "s8", "u8_255",
              targets={"perplexity_percent": 0.10, "long_cosine": 0.9995, "accuracy_points": 0.1}),
    _litenorm("litenorm_s8_u16", "LiteNorm s8/u16", "s8", "u16_q15",
              targets={"perplexity_percent": 0.06, "long_cosine": 0.9995, "accuracy_points": 0.1}),
    _litenorm("litenorm_s16_u16", "LiteNorm s16/u16", "s16", "u16_q15",
              targets={"perplexity_percent": 0.01, "long_cosine": 0.9995, "accuracy_points": 0.1}),
    Arithmetic("exact_s8", "exact, s8 logits", "exact", "s8", exact_softmax, None, exact_norm, "s16"),
    _peer("tflite_s8", "TFLite int8", "tflite_s8"),
    _peer("ibert", "I-BERT", "ibert", "ibert", "s16"),
    _peer("softermax", "Softermax", "softermax"),
    _peer("sole", "SOLE", "sole", "sole", "s8"),
)


class Runner:
    """An arithmetic with the scales of a model: what `forward` calls, and what it saw.

    rows           softmax rows
    max_sum_error  largest |sum of a row's probabilities - 1|
    wrong_sums     rows whose codes do not add up to the code of 1
    undefined      rows that the arithmetic leaves undefined: the exact softmax stands for them
    """

    def __init__(self, arithmetic, calibration):
        self.arithmetic, self.calibration = arithmetic, calibration
        self.rows = self.wrong_sums = self.undefined = 0
        self.max_sum_error = 0.0

    def softmax(self, logits, lengths, site):
        """float32 [..., H, T, T] with -inf where masked -> probabilities of the same shape."""
        if self.arithmetic.softmax is None:
            return float32.softmax(logits)
        out = np.empty_like(logits)
        lengths = np.broadcast_to(lengths, out[..., 0, :, 0].shape).reshape(-1)
        for head, scales in enumerate(self.calibration.logits[site]):
            scale = scales[self.arithmetic.logits]
            x = scale.codes(logits[..., head, :, :]).reshape(-1, logits.shape[-1])
            out[..., head, :, :] = self._probabilities(x, lengths, scale.scale).reshape(out[..., head, :, :].shape)
        return out

    def _probabilities(self, x, lengths, scale):
        arithmetic = self.arithmetic
        codes = arithmetic.softmax(x, lengths, scale)
        self.rows += len(x)
        if arithmetic.total is None:
            return codes
        undefined = (codes < 0).any(axis=1)
        off = codes.sum(axis=1) - arithmetic.total
        off[undefined] = 0
        self.wrong_sums += int((off != 0).sum())
        self.max_sum_error = max(self.max_sum_error, float(np.abs(off).max()) / arithmetic.total)
        p = codes / np.float32(arithmetic.total)
        if undefined.any():
            self.undefined += int(undefined.sum())
            p[undefined] = exact_softmax(x[undefined], lengths[undefined], scale)
        return p

    def norm(self, x, gamma, beta, eps, name, site):
        """float32 [..., D] -> the same shape."""
        if self.arithmetic.norm is None:
            return float32.layer_norm(x, gamma, beta, eps)
        rows, scales = x.reshape(-1, x.shape[-1]), self.calibration.norms[site, name]
        step = max(1, CHUNK // x.shape[-1])
        return np.concatenate([self.arithmetic.norm(rows[i : i + step], gamma, beta, eps, scales)
                               for i in range(0, len(rows), step)]).reshape(x.shape)

    def sums(self):
        """What it saw, as a dictionary."""
        if not self.rows or self.arithmetic.total is None:
            return {}
        return {"softmax_rows": self.rows, "wrong_sums": self.wrong_sums, "max_sum_error": self.max_sum_error,
                "undefined_rows": self.undefined}
