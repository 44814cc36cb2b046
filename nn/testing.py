# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Random quantized blocks, for the tests of every implementation of the block: no trained weights needed."""

import json

import numpy as np
from safetensors.numpy import save_file

from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale
from litenorm.nn.block import Block, Linear, Norm, Requant
from litenorm.nn.checkpoint import GPT_TYPE
from litenorm.nn.generate import IntegerGPT


def random_block(seed, norm="pre", causal=True, dim=16, heads=2, hidden=32, fmt="u16_q15", logits="s16"):
    """A Block whose stages use most of their range."""
    rng = np.random.default_rng(seed)

    def requant(channels, factor, out):
        return Requant.from_real(factor * rng.uniform(0.5, 2, channels), out)

    def linear(outputs, inputs, out):
        gain = (40 if out == "s8" else 3000) / (70 * 45 * inputs**0.5)  # codes deviate by about 70 and 45
        return Linear(rng.integers(-127, 128, (outputs, inputs)), rng.integers(-(2**13), 2**13, outputs),
                      requant(outputs, gain, out))

    def layer_norm():
        out, scale = ("s8", 1 / 40) if norm == "pre" else ("s16", 1 / 4000)
        affine = Affine.from_real(rng.uniform(0.5, 2, dim), rng.normal(0, 0.3, dim), scale, out)
        return Norm(int(rng.integers(0, 2**20)), affine)

    post = norm == "post"
    return Block(
        name=f"random {seed}", norm=norm, causal=causal, heads=heads, fmt=fmt,
        scale=Scale.from_real(0.001 if logits == "s16" else 0.1),
        q=linear(dim, dim, "s8"), k=linear(dim, dim, "s8"), v=linear(dim, dim, "s8"), o=linear(dim, dim, "s16"),
        fc=linear(hidden, dim, "s8"), out=linear(dim, hidden, "s16"),
        logits_requant=requant(heads, 0.3 if logits == "s16" else 0.003, logits),
        context_requant=requant(dim, 1 / FORMATS[fmt].total, "s8"), norm1=layer_norm(), norm2=layer_norm(),
        attn_requant=requant(dim, 1 / 100, "s8") if post else None,
        ffn_requant=requant(dim, 1 / 100, "s8") if post else None,
        activation=np.sort(rng.integers(-128, 128, 256)), input_scale=2e-3, output_scale=1e-3)


def random_input(seed, rows, dim=16):
    """s16 [rows, dim] in the range of a residual stream."""
    return np.clip(np.random.default_rng(seed).normal(0, 4000, (rows, dim)), -32768, 32767).astype(np.int16)


def random_gpt(seed, layers=2, context=16, vocabulary="\n abcdefghij", **arguments):
    """An IntegerGPT of random blocks (arguments of random_block) whose logits differ in all their bits."""
    blocks = [random_block(seed + i, **arguments) for i in range(layers)]
    rng, dim = np.random.default_rng(seed), blocks[0].dim
    size = len(vocabulary)
    affine = Affine.from_real(rng.uniform(0.5, 2, dim), rng.normal(0, 0.3, dim), 1 / 40, "s8")
    head = Linear(rng.integers(-127, 128, (size, dim)), rng.integers(-(2**13), 2**13, size),
                  Requant.from_real(rng.uniform(0.5, 2, size) * 3000 / (70 * 45 * dim**0.5), "s16"))
    return IntegerGPT(f"random {seed}", blocks, random_input(seed, size, dim), random_input(seed + 1, context, dim),
                      Norm(int(rng.integers(0, 2**20)), affine), head, 5e-4, tuple(vocabulary))


def write_gpt_checkpoint(folder, seed=1, layers=1, dim=16, heads=2, hidden=32, context=32, vocabulary="\n abcdefghij"):
    """A checkpoint folder as nn.train_gpt's, of random float32 weights; returns its path."""
    config = {"model_type": GPT_TYPE, "_name_or_path": "tiny", "hidden_size": dim, "num_hidden_layers": layers,
              "num_attention_heads": heads, "intermediate_size": hidden, "max_position_embeddings": context,
              "hidden_act": "gelu", "layer_norm_eps": 1e-5, "vocabulary": vocabulary}
    rng = np.random.default_rng(seed)
    shapes = {"wte": (len(vocabulary), dim), "wpe": (context, dim), "ln_f": (dim,)}
    for i in range(layers):
        shapes |= {f"h.{i}.qkv": (3 * dim, dim), f"h.{i}.proj": (dim, dim), f"h.{i}.fc": (hidden, dim),
                   f"h.{i}.out": (dim, hidden), f"h.{i}.ln_1": (dim,), f"h.{i}.ln_2": (dim,)}
    tensors = {}
    for name, shape in shapes.items():
        tensors[f"{name}.weight"] = rng.normal(len(shape) == 1, 0.3, shape).astype(np.float32)
        if name not in ("wte", "wpe"):
            tensors[f"{name}.bias"] = rng.normal(0, 0.3, shape[0]).astype(np.float32)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder
