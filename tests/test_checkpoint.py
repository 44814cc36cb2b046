# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""nn/checkpoint.py: a BERT folder made here, read in each of its spellings; and all that can be wrong with one."""

import json
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from litenorm.nn.checkpoint import load_checkpoint
from litenorm.nn.layer import layer_norm
from litenorm.nn.workload import DATA, checkpoint_workload

DIM, HIDDEN, HEADS, LAYERS, POSITIONS = 16, 32, 2, 2, 12
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "every", "row", "sums", "to", "one", "##s", ".", "the", "core"]
CONFIG = {"model_type": "bert", "hidden_size": DIM, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
          "intermediate_size": HIDDEN, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "vocab_size": len(WORDS),
          "max_position_embeddings": POSITIONS, "type_vocab_size": 2}


def bert_tensors(prefix="", positions=POSITIONS):
    rng = np.random.default_rng(1)
    shapes = {"embeddings.word_embeddings.weight": (len(WORDS), DIM), "embeddings.LayerNorm": (DIM,),
              "embeddings.position_embeddings.weight": (positions, DIM),
              "embeddings.token_type_embeddings.weight": (2, DIM)}
    for i in range(LAYERS):
        at = f"encoder.layer.{i}."
        shapes |= {f"{at}attention.self.{n}": (DIM, DIM) for n in ("query", "key", "value")}
        shapes |= {f"{at}attention.output.dense": (DIM, DIM), f"{at}attention.output.LayerNorm": (DIM,),
                   f"{at}intermediate.dense": (HIDDEN, DIM), f"{at}output.dense": (DIM, HIDDEN),
                   f"{at}output.LayerNorm": (DIM,)}
    tensors = {}
    for name, shape in shapes.items():
        values = rng.normal(0, 0.3, shape).astype(np.float32)
        if name.endswith(".weight"):
            tensors[prefix + name] = values
        else:
            tensors[f"{prefix}{name}.weight"] = values + (name.endswith("LayerNorm"))
            tensors[f"{prefix}{name}.bias"] = rng.normal(0, 0.3, shape[0]).astype(np.float32)
    return tensors


def write(folder, tensors=None, vocabulary=True, **config):
    """A checkpoint folder; `config` changes config.json, None removes a key."""
    folder.mkdir(exist_ok=True)
    merged = {k: v for k, v in (CONFIG | config).items() if v is not None}
    (folder / "config.json").write_text(json.dumps(merged))
    save_file(bert_tensors() if tensors is None else tensors, folder / "model.safetensors")
    if vocabulary:
        (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "tiny")


def test_shape_of_the_model(folder):
    model = load_checkpoint(folder)
    assert (model.name, len(model.layers), model.dim, model.max_tokens) == ("tiny", LAYERS, DIM, POSITIONS)
    layer = model.layer(1)
    assert (layer.norm, layer.causal, layer.heads, layer.activation, layer.eps) == ("post", False, HEADS, "gelu", 1e-12)
    tensors = bert_tensors()
    assert np.array_equal(layer.linears["k"][0], tensors["encoder.layer.1.attention.self.key.weight"])
    assert np.array_equal(layer.linears["out"][1], tensors["encoder.layer.1.output.dense.bias"])
    assert np.array_equal(layer.norms["norm1"][0], tensors["encoder.layer.1.attention.output.LayerNorm.weight"])


def test_text_becomes_tokens_with_the_special_ones(folder):
    model = load_checkpoint(folder)
    assert [WORDS[t] for t in model.tokens("Every row SUMS to one.")] == "[CLS] every row sums to one . [SEP]".split()
    assert [WORDS[t] for t in model.tokens("rows zzz")] == "[CLS] row ##s [UNK] [SEP]".split()


def test_embedding_is_word_and_position_and_type_normalized(folder):
    model, tensors = load_checkpoint(folder), bert_tensors()
    x = model.embed([2, 8, 3])
    row = (tensors["embeddings.word_embeddings.weight"][8] + tensors["embeddings.position_embeddings.weight"][1]
           + tensors["embeddings.token_type_embeddings.weight"][0])
    norm = [tensors[f"embeddings.LayerNorm.{n}"] for n in ("weight", "bias")]
    np.testing.assert_allclose(x[1], layer_norm(row, *norm, 1e-12), rtol=1e-6)
    assert x.dtype == np.float32 and x.shape == (3, DIM)


def test_layer_input_is_the_output_of_the_layers_before(folder):
    model = load_checkpoint(folder)
    x = model.embed([2, 8, 3])
    assert np.array_equal(model.layer_input([2, 8, 3], 0), x)
    assert np.array_equal(model.layer_input([2, 8, 3], 2), model.layers[1](model.layers[0](x)))


@pytest.mark.parametrize("prefix", ["", "bert.", "model.bert."])
def test_any_prefix_is_found(tmp_path, prefix):
    tensors = bert_tensors(prefix) | {"cls.predictions.bias": np.zeros(3, np.float32)}
    expected = load_checkpoint(write(tmp_path / "plain")).layer_input([2, 5, 3], 2)
    assert np.array_equal(load_checkpoint(write(tmp_path / "named", tensors)).layer_input([2, 5, 3], 2), expected)


def test_gamma_and_beta_are_understood(tmp_path):
    old = {re.sub(r"LayerNorm\.bias$", "LayerNorm.beta", re.sub(r"LayerNorm\.weight$", "LayerNorm.gamma", n)): t
           for n, t in bert_tensors().items()}
    expected = load_checkpoint(write(tmp_path / "plain")).layer_input([2, 5, 3], 2)
    assert np.array_equal(load_checkpoint(write(tmp_path / "old", old)).layer_input([2, 5, 3], 2), expected)


def write_bf16(path, tensors):
    """safetensors file of bfloat16, which NumPy does not know: an 8-byte length, a JSON header, the bytes."""
    header, data = {}, b""
    for name, t in tensors.items():
        raw = (np.ascontiguousarray(t).view(np.uint32) >> 16).astype("<u2").tobytes()
        header[name] = {"dtype": "BF16", "shape": t.shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def test_half_precision_is_widened(tmp_path):
    tensors = bert_tensors()
    half = load_checkpoint(write(tmp_path / "f16", {n: t.astype(np.float16) for n, t in tensors.items()}))
    name = "encoder.layer.0.output.dense.weight"
    assert np.array_equal(half.layer(0).linears["out"][0], tensors[name].astype(np.float16).astype(np.float32))
    folder = write(tmp_path / "bf16")
    write_bf16(folder / "model.safetensors", tensors)
    wide = load_checkpoint(folder).layer(0).linears["out"][0]
    assert wide.dtype == np.float32
    np.testing.assert_allclose(wide, tensors[name], rtol=2**-7)
    assert not np.array_equal(wide, tensors[name])


def test_roberta_positions_begin_behind_the_padding(tmp_path):
    tensors = bert_tensors("roberta.")
    model = load_checkpoint(write(tmp_path / "r", tensors, model_type="roberta", pad_token_id=1))
    assert model.max_tokens == POSITIONS - 2
    row = sum(tensors[f"roberta.embeddings.{n}_embeddings.weight"][i]
              for n, i in (("word", 4), ("position", 2), ("token_type", 0)))
    norm = [tensors[f"roberta.embeddings.LayerNorm.{n}"] for n in ("weight", "bias")]
    np.testing.assert_allclose(model.embed([4])[0], layer_norm(row, *norm, 1e-12), rtol=1e-6)


def test_tokenizer_json_is_preferred_and_neither_pads_nor_truncates(folder):
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(str(folder / "vocab.txt"))
    expected = tokenizer.encode("every row sums to one.").ids
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=10)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").unlink()
    assert load_checkpoint(folder).tokens("every row sums to one.") == expected
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="tokenizer.json cannot be read"):
        load_checkpoint(folder)


def test_case_is_kept_when_the_tokenizer_says_so(folder):
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert [WORDS[t] for t in load_checkpoint(folder).tokens("Every row")] == "[CLS] [UNK] row [SEP]".split()


def without(name):
    tensors = bert_tensors()
    del tensors[name]
    return tensors


def changed(name, values):
    return bert_tensors() | {name: values}


QUERY = "encoder.layer.1.attention.self.query.weight"


@pytest.mark.parametrize("tensors, config, message", [
    (without(QUERY), {}, f"has no tensor {QUERY}; needed with shape [16, 16]"),
    (without("embeddings.LayerNorm.weight"), {}, "has no tensor embeddings.LayerNorm.weight"),
    (without("embeddings.word_embeddings.weight"), {}, "has no tensor embeddings.word_embeddings.weight"),
    (changed(QUERY, np.zeros((16, 8), np.float32)), {}, "shape [16, 8]; needed: [16, 16]"),
    (changed(QUERY, np.zeros((16, 16), np.int8)), {}, f"tensor {QUERY} in"),
    (changed(QUERY, np.full((16, 16), np.nan, np.float32)), {}, "values that are not finite"),
    (None, dict(num_hidden_layers=3), "has no tensor encoder.layer.2.attention.self.query.weight"),
    (None, dict(hidden_act="swish"), "hidden_act is 'swish'; good: gelu"),
    (None, dict(hidden_act=None), "hidden_act = None; good: a string"),
    (None, dict(hidden_size=None), "hidden_size = None; good: an integer above 0"),
    (None, dict(hidden_size="16"), "hidden_size = '16'; good: an integer above 0"),
    (None, dict(num_hidden_layers=0), "num_hidden_layers = 0; good: an integer above 0"),
    (None, dict(layer_norm_eps="small"), "layer_norm_eps = 'small'; good: a number from 0 to 1"),
    (None, dict(layer_norm_eps=-1), "layer_norm_eps = -1; good: a number from 0 to 1"),
    (None, dict(layer_norm_eps=float("nan")), "layer_norm_eps = nan; good: a number from 0 to 1"),
    (None, dict(type_vocab_size="two"), "type_vocab_size = 'two'; good: an integer above 0"),
    (None, dict(model_type=["bert"]), "model_type is ['bert']; good: bert, roberta"),
    (None, dict(model_type={"bert": 1}), "model_type is {'bert': 1}; good: bert, roberta"),
    *((None, dict(model_type="roberta", pad_token_id=bad), f"pad_token_id = {bad!r}; good: 0 to 10, two less than max_")
      for bad in ("x", [1], -5, 1.5, True, 11)),
    (None, dict(num_attention_heads=3), "num_attention_heads is 3; good: a divisor of hidden_size, 16"),
    (None, dict(model_type="llama"), "model_type is 'llama'; good: bert, roberta"),
    (None, dict(position_embedding_type="relative_key"), "position_embedding_type is 'relative_key'; good: absolute"),
])
def test_a_bad_model_is_one_line(tmp_path, tensors, config, message):
    with pytest.raises(ValueError) as error:
        load_checkpoint(write(tmp_path / "bad", tensors, **config))
    assert message in str(error.value) and "\n" not in str(error.value)


def break_file(name, content):
    def change(folder):
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
    return change


@pytest.mark.parametrize("change, message", [
    (break_file("config.json", None), "has no config.json; needed"),
    (break_file("model.safetensors", None), "has no model.safetensors; needed"),
    (break_file("vocab.txt", None), "has no tokenizer.json and no vocab.txt; needed"),
    (break_file("config.json", b"{"), "is not JSON"),
    (break_file("config.json", b"\xff\xfe"), "is not JSON"),
    (break_file("config.json", b"[" * 100_000), "is not JSON"),
    (break_file("config.json", b"[1]"), "holds a list; good: an object"),
    (break_file("model.safetensors", b"weights"), "is not a safetensors file"),
])
def test_a_bad_folder_is_one_line(folder, change, message):
    change(folder)
    with pytest.raises(ValueError) as error:
        load_checkpoint(folder)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="is not a folder; good: a checkpoint folder"):
        load_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize("layer, text, message", [
    (2, "one row", "layer is 2; good: 0 to 1, tiny has 2"),
    (-1, "one row", "layer is -1; good: 0 to 1"),
    (0, "one \udcff", "the text has '\\udcff' as its character 4; good: text in UTF-8"),
    (0, "one " * POSITIONS, "the text is 14 tokens; good: 1 to 12 for tiny"),
])
def test_a_bad_layer_or_text_is_one_line(folder, layer, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        checkpoint_workload(folder, layer, text)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("part, layer, message", [
    ("", 0, "of tiny layer 0 gives values that are not finite; good: weights"),
    ("", 1, "layer 0 of tiny gives values that are not finite; good: weights"),
    ("query|key", 0, "probs of tiny layer 0 gives values that are not finite"),
])
def test_weights_that_overflow_are_one_line(tmp_path, part, layer, message):
    tensors = {name: t * np.float32(1e30 if re.search(part, name) else 1) for name, t in bert_tensors().items()}
    with pytest.raises(ValueError, match=re.escape(message)):
        checkpoint_workload(write(tmp_path / "tiny", tensors), layer, "one row")


def test_a_padding_token_of_null_is_not_the_default(tmp_path):
    folder = write(tmp_path / "r", model_type="roberta")
    config = json.loads((folder / "config.json").read_text()) | {"pad_token_id": None}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="pad_token_id = None; good: 0 to 10"):
        load_checkpoint(folder)


def test_the_small_gpt():
    model = load_checkpoint(DATA)
    assert model.name == "gpt"
    assert (len(model.layers), model.dim, model.max_tokens) == (3, 128, 128)
    text = "And the evening and the morning were the first day."
    assert model.decode(model.tokens(text)) == text
    assert model.head(model.layer_input(model.tokens(text), 3)).shape == (len(text), 63)


@pytest.mark.parametrize("text, message", [
    ("€ and @", "characters that the model does not know: '@€'"), ("", "the text is 0 tokens; good: 1 to 128"),
    ("x" * 129, "the text is 129 tokens; good: 1 to 128"),
])
def test_what_the_small_gpt_cannot_read(text, message):
    with pytest.raises(ValueError, match=message):
        load_checkpoint(DATA).tokens(text)
