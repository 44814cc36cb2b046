# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The arithmetic of other softmax and LayerNorm designs, written from their published formulas.

Each is NumPy in integers, vectorized over rows. Where a paper leaves room, the choice favours the peer, and the
docstring of its module names it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from litenorm.bench.peers import ibert, itamax, softermax, sole, tflite


@dataclass(frozen=True)
class SoftmaxPeer:
    """A softmax: `codes(x, scale)`, int8 logits [rows, N] and the value of one LSB, to integer codes [rows, N].

    name    key in results
    label   in tables
    source  where the arithmetic is published
    total   the code of probability 1: value = code / total
    codes   function; a row whose result the peer leaves undefined is all -1
    family  peers of one family are drawn in one colour
    """

    name: str
    label: str
    source: str
    total: int
    codes: Callable
    family: str


@dataclass(frozen=True)
class LayerNormPeer:
    """A LayerNorm without gamma and beta: `norm(x)`, integer rows [rows, N] to float64 [rows, N].

    inputs  element types of x that the peer takes: "s8", "s16"
    """

    name: str
    label: str
    source: str
    norm: Callable
    inputs: tuple


TFLITE = "arXiv 1712.05877; kernels of tflite-micro and CMSIS-NN"
IBERT = "arXiv 2101.01321"
SOFTERMAX = "arXiv 2103.09301"
SOLE = "arXiv 2510.17189"
ITA = "arXiv 2307.03493"

SOFTMAX_PEERS = (
    SoftmaxPeer("tflite_s8", "TFLite s8", TFLITE, 256, tflite.softmax_s8, "tflite"),
    SoftmaxPeer("tflite_s8_s16", "TFLite s8 to s16", TFLITE, 65536, tflite.softmax_s8_s16, "tflite"),
    SoftmaxPeer("tflite_s16", "TFLite s16", TFLITE, 32768, tflite.softmax_s16, "tflite"),
    SoftmaxPeer("ibert", "I-BERT", IBERT, 256, ibert.softmax, "ibert"),
    SoftmaxPeer("softermax", "Softermax", SOFTERMAX, 128, softermax.softmax, "softermax"),
    SoftmaxPeer("sole", "SOLE", SOLE, 256, sole.softmax, "sole"),
    SoftmaxPeer("sole_global", "SOLE, max known", SOLE, 256, partial(sole.softmax, group=None), "sole"),
    SoftmaxPeer("itamax", "ITAMax", ITA, 255, itamax.softmax, "itamax"),
    SoftmaxPeer("itamax_global", "ITAMax, max known", ITA, 255, partial(itamax.softmax, group=None), "itamax"),
)

LAYERNORM_PEERS = (
    LayerNormPeer("ibert", "I-BERT", IBERT, ibert.layernorm, ("s8", "s16")),
    LayerNormPeer("sole", "SOLE", SOLE, sole.layernorm, ("s8",)),
)
