# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Handwritten digits: the images that scikit-learn carries, and the small transformers that classify them."""

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
CUT = 797                           # images of the first part
FOLDS = (0, 1)                      # 0: trained on the first part and evaluated on the second; 1: the other way round
SEEDS = (1, 2)                      # of the classifiers of each fold


def load_digits():
    """(images int64 [1797, 64] of 0 to 16, labels int64 [1797]). ValueError when scikit-learn is not installed."""
    try:
        from sklearn import datasets
    except ImportError:
        raise ValueError(f"the handwritten digits come with scikit-learn: pip install {REQUIREMENT}") from None
    data = datasets.load_digits()
    return data.data.astype(np.int64), data.target.astype(np.int64)


def split(fold):
    """(training, evaluation): slices of the images. Scales are calibrated on training images, too."""
    first, second = slice(CUT), slice(CUT, None)
    return (second, first) if fold else (first, second)


def weights_file(fold, seed, folder=DATA):
    """Where `train_digits` writes the weights of a classifier."""
    return folder / f"fold{fold}-seed{seed}.safetensors"


def load_digits_model(fold, seed, folder=DATA):
    """A classifier as a Checkpoint: its tokens are the 64 pixels, its head gives 10 logits for an image."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tensors = Tensors(weights_file(fold, seed, folder))
    dim, eps = config["hidden_size"], config["layer_norm_eps"]
    levels, positions = tensors.get("wte.weight", LEVELS, dim), tensors.get("wpe.weight", PIXELS, dim)
    final = [tensors.get(f"ln_f.{name}", dim) for name in ("weight", "bias")]
    weight, bias = tensors.get("classifier.weight", CLASSES, dim), tensors.get("classifier.bias", CLASSES)
    return Checkpoint("digits", gpt_layers(config, tensors, causal=False), PIXELS, encode=None,
                      embed=lambda pixels, norm=None: levels[pixels] + positions,
                      head=lambda x, norm=layer_norm: norm(x, *final, eps).mean(axis=-2) @ weight.T + bias)
