# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Key biases for which the largest logits of all rows lie at one level, so that s8 covers them with finer steps.

Replacing the keys k_j of a head by k_j - c takes q_i . c from every logit of row i, and a softmax does not see what is
taken from a whole row: the model computes the same. c is the least-squares solution of q_i . c + const = log sum_j
exp(logit_ij) over the calibration rows; it costs nothing, being part of the key matrix' bias.
"""

import math
from dataclasses import replace

import numpy as np

RIDGE = 1e-3    # share of the queries' mean square that is added to their covariance


def align_keys(model, batches):
    """`model` with other key biases. batches: calibration, a list of token numbers [B, T]."""
    inputs = [np.stack([model.embed(row) for row in tokens]).astype(np.float32) for tokens in batches]
    layers = []
    for layer in model.layers:
        runs = [layer.run(x) for x in inputs]
        layers.append(_aligned(layer, runs))
        inputs = [run["output"] for run in runs]
    return replace(model, layers=layers)


def _aligned(layer, runs):
    heads, width = layer.heads, layer.dim // layer.heads
    q = np.concatenate([run["q"].reshape(-1, heads, width) for run in runs]).astype(np.float64)
    levels = np.concatenate([np.moveaxis(_log_sum_exp(run["logits"]), -2, -1).reshape(-1, heads) for run in runs])
    shift = np.empty((heads, width))
    for head in range(heads):
        centred = q[:, head] - q[:, head].mean(axis=0)
        covariance = centred.T @ centred
        covariance += np.eye(width) * (RIDGE * np.trace(covariance) / width + 1e-12)
        level = levels[:, head] - levels[:, head].mean()
        shift[head] = np.linalg.solve(covariance, centred.T @ level) * math.sqrt(width)
    weight, bias = layer.linears["k"]
    return replace(layer, linears=layer.linears | {"k": (weight, (bias - shift.reshape(-1)).astype(np.float32))})


def _log_sum_exp(logits):
    top = logits.max(axis=-1)
    return top + np.log(np.exp(logits - top[..., None]).sum(axis=-1))
