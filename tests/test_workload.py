# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""nn/workload.py: what is run by default, and that real weights survive their quantization."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import BertWordPieceTokenizer

from litenorm.accel import LiteNormConfig
from litenorm.nn.checkpoint import load_checkpoint
from litenorm.nn.fidelity import main as fidelity_main
from litenorm.nn.image import read_image, write_image
from litenorm.nn.quantize import cosine, quantize
from litenorm.nn.workload import DATA, checkpoint_workload, default_workload, load_workload

MULTIPLY_ACCUMULATES = 7_000_000  # of the default workload: about 28 M cycles of plain C, 10 s of simulation


def held_out():
    return (DATA / "held_out.txt").read_text(encoding="utf-8")


def fidelity(workload):
    return cosine(workload.run()["output"] * workload.block.output_scale, workload.real)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_every_layer_of_the_gpt_is_close_to_float32(layer):
    assert fidelity(default_workload(layer)) > 0.9995
    assert fidelity(default_workload(layer, held_out()[1000:1128])) > 0.9995


def test_the_default_workload_is_quick_to_simulate():
    w = default_workload()
    rows, dim = w.x.shape
    assert (rows, dim, w.valid, w.x.dtype) == (32, 128, 32, np.int16)
    weights = sum(getattr(w.block, n).weight.size for n in ("q", "k", "v", "o", "fc", "out"))
    assert rows * weights + 2 * rows * rows * dim < MULTIPLY_ACCUMULATES
    assert w.text == "In the beginning God created the" and w.block.name == "gpt layer 0"


def test_the_workload_survives_the_image():
    w = default_workload(1)
    image = read_image(write_image(w.block, w.x, w.valid))
    assert np.array_equal(image.block.run(image.input, image.valid)["output"], w.run()["output"])


def test_the_result_does_not_depend_on_the_lanes():
    w = default_workload()
    assert np.array_equal(w.run(LiteNormConfig(lanes=16, max_length=256))["output"], w.run()["output"])


def test_the_gpt_has_learned_its_language():
    """Mean negative log likelihood on text that it was not trained on; data/README.md gives 1.137 for all of it."""
    model, text, losses = load_checkpoint(DATA), held_out(), []
    for start in range(0, 8000, 128):
        tokens = model.tokens(text[start : start + 128])
        logits = model.head(model.layer_input(tokens[:-1], 3)).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        losses.append(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(127), tokens[1:]])
    assert 1.0 < np.mean(losses) < 1.25


def test_the_whole_gpt_in_integers_predicts_as_well():
    """Three blocks in a chain with one residual scale: the integer model's loss is that of the float32 model."""
    model, text = load_checkpoint(DATA), held_out()
    excerpts = (DATA / "calibration.txt").read_text(encoding="utf-8")
    calibration = [model.tokens(excerpts[i : i + 128]) for i in range(0, 6000, 600)]
    scale = max(np.abs(model.layer_input(t, n)).max() for t in calibration for n in range(4)) * 1.5 / 32767
    blocks = [quantize(layer, [model.layer_input(t, i) for t in calibration], input_scale=scale)
              for i, layer in enumerate(model.layers)]

    def loss(x, tokens):
        logits = model.head(np.asarray(x, np.float32)).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        return (np.log(np.exp(logits).sum(axis=1))[:-1] - logits[np.arange(127), tokens[1:]]).mean()

    differences = []
    for start in range(0, 4096, 128):
        tokens = model.tokens(text[start : start + 128])
        x = blocks[0].quantize_input(model.embed(tokens))
        for block in blocks:
            x = block(x)
        differences.append(loss(x * scale, tokens) - loss(model.layer_input(tokens, 3), tokens))
    assert abs(np.mean(differences)) < 0.01


def test_fidelity_table(capsys, tmp_path):
    assert fidelity_main(["--text", "And God said"]) == 0
    out = capsys.readouterr().out
    assert all(f"gpt layer {i}" in out for i in range(3)) and "0.999" in out
    assert fidelity_main([str(tmp_path / "nowhere")]) == 1
    assert "fidelity: " in capsys.readouterr().err


def test_data_is_small():
    assert sum(f.stat().st_size for f in DATA.iterdir()) < 1_500_000


def encoder(folder, dim=32, positions=40):
    """A BERT folder with one random layer and a character-level vocabulary."""
    rng = np.random.default_rng(5)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, ".", ",", *(f"##{c}" for c in letters)]
    config = {"model_type": "bert", "hidden_size": dim, "num_hidden_layers": 1, "num_attention_heads": 4,
              "intermediate_size": 2 * dim, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "vocab_size": len(words),
              "max_position_embeddings": positions, "_name_or_path": "someone/small-encoder"}
    at = "encoder.layer.0."
    shapes = {f"embeddings.{n}_embeddings.weight": (rows, dim)
              for n, rows in (("word", len(words)), ("token_type", 2), ("position", positions))}
    for name, outputs, inputs in (*((f"attention.{n}", dim, dim) for n in ("self.query", "self.key", "self.value",
                                                                         "output.dense")),
                                  ("intermediate.dense", 2 * dim, dim), ("output.dense", dim, 2 * dim)):
        shapes |= {f"{at}{name}.weight": (outputs, inputs), f"{at}{name}.bias": (outputs,)}
    tensors = {n: rng.normal(0, s[-1] ** -0.5 if len(s) == 2 else 0.1, s).astype(np.float32) for n, s in shapes.items()}
    for name in ("embeddings", f"{at}attention.output", f"{at}output"):
        tensors[f"{name}.LayerNorm.weight"] = rng.uniform(0.5, 1.5, dim).astype(np.float32)
        tensors[f"{name}.LayerNorm.bias"] = rng.normal(0, 0.3, dim).astype(np.float32)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    BertWordPieceTokenizer(str(folder / "vocab.txt")).save(str(folder / "tokenizer.json"))
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_a_checkpoint_runs(tmp_path):
    folder = encoder(tmp_path / "model")
    w = checkpoint_workload(folder, 0, "one row, one sum.")
    assert w.block.norm == "post" and w.block.name == "small-encoder layer 0" and w.x.shape == (16, 32)
    assert fidelity(w) > 0.995
    again = load_workload(folder, 0, "one row, one sum.")
    assert np.array_equal(again.run()["output"], w.run()["output"])


def test_the_gpt_folder_is_a_checkpoint_too():
    a, b = checkpoint_workload(DATA, 1, "And God said"), load_workload(None, 1, "And God said")
    assert a.block.causal and np.array_equal(a.x.shape, b.x.shape) and fidelity(a) > 0.9995


@pytest.mark.parametrize("make, message", [
    (lambda folder: checkpoint_workload(folder, 0, "a" * 50), "the text is 52 tokens; good: 1 to 40"),
    (lambda folder: checkpoint_workload(folder, 1, "a"), "layer is 1; good: 0 to 0"),
    (lambda folder: checkpoint_workload(folder, 0, "a b c", LiteNormConfig(max_length=16)),
     "the model width of small-encoder is 32; good: at most 16"),
    (lambda folder: checkpoint_workload(folder, 0, "a " * 35, LiteNormConfig(max_length=32)),
     "the text, in tokens, is 37; good: at most 32"),
    (lambda folder: default_workload(3), "layer is 3; good: 0 to 2, gpt has 3"),
    (lambda folder: load_workload(None, 0, None, LiteNormConfig(max_length=32)),
     "the model width of gpt is 128; good: at most 32, the core's max_length"),
    (lambda folder: default_workload(0, "x" * 200), "the text is 200 tokens; good: 1 to 128"),
    (lambda folder: default_workload(0, "100 %"), "characters that the model does not know"),
])
def test_what_cannot_run_is_one_line(tmp_path, make, message):
    with pytest.raises(ValueError) as error:
        make(encoder(tmp_path / "model"))
    assert message in str(error.value) and "\n" not in str(error.value)
