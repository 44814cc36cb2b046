# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What the arithmetic of softmax and LayerNorm does to models: `litenorm eval`.

    calibration  float32 runs that give every softmax and LayerNorm the scales of its integers
    arithmetic   the arithmetics that are compared, each as a pair of functions for nn.layer.Layer
    forward      a model's float32 forward pass with one of them in place of its own
    gpt, sentences, digits  what is measured on which model
    report       tables, page, JSON;  plot  the picture;  command  the command line
"""
