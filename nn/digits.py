# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Handwritten digits: the images that scikit-learn carries, and the small transformer that classifies them."""

import json
from pathlib import Path

import numpy as np

from litenorm.nn.checkpoint import Checkpoint, Tensors, gpt_layers
from litenorm.nn.layer import layer_norm

DATA = Path(__file__).resolve().parent / "data" / "digits"
MODEL_TYPE = "litenorm_digits"
SIDE, LEVELS, CLASSES = 8, 17, 10   # images are 8 x 8, of grey levels 0 to 16
PIXELS = SIDE * SIDE
REQUIREMENT = "scikit-learn==1.9.1"
TRAINING = 797                      # the first images; the other 1000 are the evaluation set, which is thus the larger


def load_digits():
    """(images int64 [1797, 64] of 0 to 16, labels int64 [1797]). ValueError when scikit-learn is not installed."""
    try:
        from sklearn import datasets
    except ImportError:
        raise ValueError(f"the handwritten digits come with scikit-learn: pip install {REQUIREMENT}") from None
    data = datasets.load_digits()
    return data.data.astype(np.int64), data.target.astype(np.int64)


def training_part(images, labels):
    """The images that the weights were trained on and that the scales are calibrated on."""
    return images[:TRAINING], labels[:TRAINING]


def evaluation_part(images, labels):
    """The images that nothing was trained, calibrated or chosen on."""
    return images[TRAINING:], labels[TRAINING:]


def load_digits_model(folder=DATA):
    """The classifier as a Checkpoint: its tokens are the 64 pixels, its head gives 10 logits for an image."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tensors = Tensors(folder / "model.safetensors")
    dim, eps = config["hidden_size"], config["layer_norm_eps"]
    levels, positions = tensors.get("wte.weight", LEVELS, dim), tensors.get("wpe.weight", PIXELS, dim)
    final = [tensors.get(f"ln_f.{name}", dim) for name in ("weight", "bias")]
    weight, bias = tensors.get("classifier.weight", CLASSES, dim), tensors.get("classifier.bias", CLASSES)
    return Checkpoint("digits", gpt_layers(config, tensors, causal=False), PIXELS, encode=None,
                      embed=lambda pixels, norm=None: levels[pixels] + positions,
                      head=lambda x, norm=layer_norm: norm(x, *final, eps).mean(axis=-2) @ weight.T + bias)
