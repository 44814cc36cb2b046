# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Scales of the integers that stand before and behind each softmax and LayerNorm of a model.

They come from float32 runs on calibration texts, and from nothing else. A softmax does not see what is added to all its
logits, so their s8 codes have a zero point: each head has a range [low, high], and it is the one of some candidates
whose rounded and clipped logits give the smallest Kullback-Leibler divergence from the head's own probabilities on the
calibration rows. s16 codes, and the inputs and outputs of LayerNorm, are symmetric and hold the calibration data with
the headroom of the quantizer (nn.quantize).
"""

from dataclasses import dataclass

import numpy as np

from litenorm.nn.layer import layer_norm, softmax
from litenorm.nn.quantize import HEADROOM, TINY

SAMPLE_ROWS = 256       # rows of a head that the search of its range looks at
WIDEST = 64.0           # nats: what lies further below a row's maximum has no probability in any format
HIGH_CUTS = (0.0, 0.03, 0.08, 0.15, 0.25)                               # shares of the whole range cut off above
SPANS = (1.0, 0.85, 0.72, 0.6, 0.5, 0.42, 0.35, 0.29, 0.24, 0.2)        # shares of it that 255 steps cover


@dataclass(frozen=True)
class LogitsScale:
    """logit = code * scale + offset: `scale` and `offset` real, code an integer of `bits` bits."""

    scale: float
    offset: float
    bits: int

    def codes(self, logits):
        """Codes of real logits, int64, to the nearest, saturated; -inf is the smallest code."""
        limit = 1 << (self.bits - 1)
        return np.clip(np.rint((logits - np.float32(self.offset)) / np.float32(self.scale)), -limit, limit - 1
                       ).astype(np.int64)


@dataclass(frozen=True)
class NormScale:
    """Real value of one LSB of a LayerNorm's s16 input and s16 output."""

    input: float
    output: float


@dataclass(frozen=True)
class Calibration:
    """logits: {layer: list over heads of {"s8": LogitsScale, "s16": LogitsScale}}; norms: {(layer, name): NormScale}.

    Sites outside of the layers are those of `forward`.
    """

    logits: dict
    norms: dict


class Recorder:
    """Stands for an arithmetic in `forward`: computes in float32 and remembers what it was given."""

    def __init__(self):
        self.logits, self.norms = {}, {}

    def softmax(self, logits, lengths, site):
        """logits [..., H, T, T]."""
        heads = np.moveaxis(logits, -3, 0)
        self.logits.setdefault(site, []).append(heads.reshape(len(heads), -1, logits.shape[-1]))
        return softmax(logits)

    def norm(self, x, gamma, beta, eps, name, site):
        y = layer_norm(x, gamma, beta, eps)
        before = self.norms.get((site, name), (TINY, TINY))
        self.norms[site, name] = tuple(max(old, float(np.abs(new).max()))
                                       for old, new in zip(before, (x, y), strict=True))
        return y

    def result(self):
        """The Calibration."""
        logits = {site: [head_scales([part[head] for part in parts]) for head in range(len(parts[0]))]
                  for site, parts in self.logits.items()}
        limit = (1 << 15) - 1
        norms = {key: NormScale(before * HEADROOM / limit, behind * HEADROOM / limit)
                 for key, (before, behind) in self.norms.items()}
        return Calibration(logits, norms)


def head_scales(parts):
    """{"s8", "s16": LogitsScale} of one head: `parts` are float32 [rows, N], -inf where masked, of any N."""
    largest = max(np.abs(part[np.isfinite(part)]).max() for part in parts)
    wide = LogitsScale(float(max(largest, TINY) * HEADROOM / ((1 << 15) - 1)), 0.0, 16)
    high = float(max(part.max() for part in parts))
    low = float(min(part[np.isfinite(part)].min() for part in parts))
    return {"s8": best_range(sample(parts), low, high), "s16": wide}


def sample(parts):
    """SAMPLE_ROWS rows, evenly spread over all, as one array filled up with -inf."""
    rows = sum(len(part) for part in parts)
    chosen = np.unique(np.linspace(0, rows - 1, min(rows, SAMPLE_ROWS)).astype(np.int64))
    width = max(part.shape[1] for part in parts)
    result = np.full((len(chosen), width), -np.inf, np.float32)
    start = at = 0
    for part in parts:
        inside = chosen[(chosen >= start) & (chosen < start + len(part))] - start
        result[at : at + len(inside), : part.shape[1]] = part[inside]
        at, start = at + len(inside), start + len(part)
    return result


def best_range(rows, low, high):
    """LogitsScale of 8 bits with the smallest mean divergence; rows float32 [n, N], low and high of all rows."""
    valid = np.isfinite(rows)
    whole = min(max(high - low, TINY), WIDEST)
    p = softmax(rows)
    own = np.where(valid, rows, 0)
    best = (np.inf, None)
    for cut in HIGH_CUTS:
        for span in SPANS:
            scale = whole * span / 255
            candidate = LogitsScale(scale, high - whole * cut - 127 * scale, 8)
            rounded = candidate.codes(own) * np.float32(scale) + np.float32(candidate.offset)
            # KL = sum p (l - l') - log sum exp l + log sum exp l'; e^(l' - l) summed with p is the quotient of the two.
            change = np.where(valid, rounded - own, 0)
            divergence = (np.log((p * np.exp(change)).sum(axis=1)) - (p * change).sum(axis=1)).mean()
            if divergence < best[0]:
                best = (divergence, candidate)
    return best[1]
