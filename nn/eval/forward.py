# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""A model's forward pass in float32 with another softmax and LayerNorm in place of its own."""

from functools import partial

import numpy as np

from litenorm.nn.eval.calibration import Recorder

EMBEDDING, FINAL = "embedding", "final"     # sites of the LayerNorms outside of the layers


def hidden(model, tokens, arithmetic):
    """float32 [B, T, D]: what the last layer gives for the token numbers [B, T].

    arithmetic  has softmax(logits, lengths, site) and norm(x, gamma, beta, eps, name, site)
    """
    norm = partial(arithmetic.norm, name=EMBEDDING, site=EMBEDDING)
    x = np.stack([model.embed(row, norm) for row in tokens]).astype(np.float32)
    for site, layer in enumerate(model.layers):
        x = layer.run(x, softmax=partial(arithmetic.softmax, site=site),
                      norm=partial(arithmetic.norm, site=site))["output"]
    return x


def logits(model, tokens, arithmetic):
    """float32 [B, T, V] (or [B, classes]): what the model's head makes of `hidden`."""
    return model.head(hidden(model, tokens, arithmetic), partial(arithmetic.norm, name=FINAL, site=FINAL))


def calibrate(model, batches, progress=lambda: None):
    """Calibration from float32 runs on `batches`, each token numbers [B, T]."""
    recorder = Recorder()
    for tokens in batches:
        if model.head is None:
            hidden(model, tokens, recorder)
        else:
            logits(model, tokens, recorder)
        progress()
    return recorder.result()
