# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""One layer of a real model on real text: what the simulated SoC runs and what its result is compared with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from litenorm.accel import LiteNormConfig
from litenorm.nn.block import Block
from litenorm.nn.checkpoint import load_checkpoint
from litenorm.nn.layer import check_finite
from litenorm.nn.quantize import quantize

DATA = Path(__file__).resolve().parent / "data"
TEXT = "Every row of softmax adds up to one, exactly and always."  # for a checkpoint; 16 tokens of MiniLM's
CALIBRATION_TOKENS = 128  # longest calibration window


@dataclass(frozen=True)
class Workload:
    """A quantized layer and its input.

    block   the integer layer
    x       s16 [T, D], its input: the float32 model run up to this layer, then quantized
    real    float32 [T, D], output of the float32 layer for the float32 input
    text    what was fed to the model
    valid   rows that are not padding: T, nothing is padded
    """

    block: Block
    x: np.ndarray
    real: np.ndarray
    text: str

    @property
    def valid(self):
        return len(self.x)

    def run(self, config=None):
        """The integer reference: dict of stage name to array (see nn.block.STAGES); config as in Block.run."""
        return self.block.run(self.x, self.valid, config)


def default_workload(layer=0, text=None, config=None):
    """Layer `layer` of the GPT that comes with the project, on `text` (None: 32 characters, see data/README.md).

    config and errors as checkpoint_workload.
    """
    model = load_checkpoint(DATA)
    if text is None:
        text = (DATA / "prompt.txt").read_text(encoding="utf-8")
    excerpts = (DATA / "calibration.txt").read_text(encoding="utf-8")
    step = CALIBRATION_TOKENS
    windows = [excerpts[i : i + step] for i in range(0, len(excerpts) - step + 1, 3 * step)]
    return make_workload(model, layer, text, windows, config)


def checkpoint_workload(folder, layer=0, text=None, config=None):
    """Layer `layer` of the checkpoint in `folder` on `text` (None: TEXT).

    config  LiteNormConfig of the core that it shall fit (None: the default one)

    ValueError, one line: the folder, the layer or the text cannot be used, or does not fit the core.
    """
    model = load_checkpoint(folder)
    name = "sentences.txt" if model.head is None else "calibration.txt"
    windows = (DATA / name).read_text(encoding="utf-8").splitlines()
    return make_workload(model, layer, TEXT if text is None else text, windows, config)


def load_workload(checkpoint=None, layer=0, text=None, config=None):
    """checkpoint_workload of the folder `checkpoint`, or default_workload when it is None."""
    if checkpoint is None:
        return default_workload(layer, text, config)
    return checkpoint_workload(checkpoint, layer, text, config)


def make_workload(model, layer, text, calibration, config=None):
    """Workload from a Checkpoint, calibrated on the texts of `calibration`, each cut to CALIBRATION_TOKENS tokens."""
    config = config or LiteNormConfig()
    float_layer = model.layer(layer)
    tokens = model.tokens(text)
    for size, what in ((len(tokens), "the text, in tokens,"), (model.dim, f"the model width of {model.name}")):
        if size > config.max_length:
            raise ValueError(f"{what} is {size}; good: at most {config.max_length}, the core's max_length")
    limit = min(CALIBRATION_TOKENS, model.max_tokens)
    windows = [model.layer_input(encoded[:limit], layer) for encoded in map(model.encode, calibration) if encoded]
    name = f"{model.name} layer {layer}"
    block = quantize(float_layer, windows, name=name.encode()[:63].decode(errors="ignore"))
    x = model.layer_input(tokens, layer)
    with np.errstate(all="ignore"):  # an overflow shows in the result
        real = check_finite(float_layer(x), name)
    return Workload(block, block.quantize_input(x), real, text)
