# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The workload images, as the firmware finds them in memory: one quantized transformer block and its input
(`write_image`), or a whole language model and what it shall generate (`write_gpt_image`).

One little-endian binary, in this order: the header (`struct litenorm_image` or `struct litenorm_image_gpt`, declared
below and nowhere else; their magic tells them apart), then the tensors, each at an offset that is a multiple of 8 from
the start of the image, without gaps but for that. Offsets in the header are bytes from the start of the image; 0 means
that the tensor is absent. The image holds no expected result: the host compares what the firmware sends with its own
reference.

Tensors are row-major. Weights are s8 [outputs][inputs], so that one output is one contiguous dot product. What the
firmware computes from them is specified, operation by operation, in the docstring of `litenorm.nn.block`; a
requantization is, with a 64-bit product and an arithmetic right shift,

    out[c] = clip((acc[c] * multiplier[c] + (1 << (shift[c] - 1))) >> shift[c])

`c_header()` is the same declaration in C. A stage's CRC (`stage_crc`) is CRC-32 (zlib) of its elements, little-endian
and row-major without padding between rows; of the logits only the valid elements of each row.
"""

import math
import zlib
from dataclasses import dataclass

import numpy as np

from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale
from litenorm.nn.block import LINEARS, STAGES, Block, Linear, Norm, Requant
from litenorm.nn.generate import DRAW_SHIFT, FORMAT, Sampler

MAGIC = int.from_bytes(b"LNIM", "little")
GPT_MAGIC = int.from_bytes(b"LNGP", "little")
VERSION = 1
ALIGNMENT = 8   # bytes; the DMA needs 4
NAME_BYTES = 64
CHECKED_FROM = 16  # the CRC covers everything behind magic, version, size and crc

NORMS = ("pre", "post")
OUTPUTS = ("s8", "s16")  # the index is the code, as in the core's registers


@dataclass(frozen=True)
class Field:
    """One member of a struct: type is a key of C_TYPES or a Struct; count > 1 makes it an array."""

    name: str
    type: object
    doc: str
    count: int = 1


C_TYPES = {"u8": ("uint8_t", "<u1"), "u32": ("uint32_t", "<u4"), "u64": ("uint64_t", "<u8"), "f64": ("double", "<f8"),
           "char": ("char", "<u1")}


@dataclass(frozen=True)
class Struct:
    """A C struct without implicit padding: `dtype` is its NumPy type, `c()` its declaration."""

    name: str
    doc: str
    fields: tuple

    @property
    def dtype(self):
        return np.dtype([(f.name, f.type.dtype if isinstance(f.type, Struct) else C_TYPES[f.type][1],
                          *([(f.count,)] if f.count > 1 else [])) for f in self.fields])

    @property
    def alignment(self):
        return max(f.type.alignment if isinstance(f.type, Struct) else np.dtype(C_TYPES[f.type][1]).itemsize
                   for f in self.fields)

    def c(self):
        lines = [f"/** {self.doc} */", f"struct {self.name} {{"]
        for f in self.fields:
            kind = f"struct {f.type.name}" if isinstance(f.type, Struct) else C_TYPES[f.type][0]
            member = f"{kind} {f.name}{f'[{f.count}]' if f.count > 1 else ''};"
            lines.append(f"    {member:<44} /**< {f.doc} */")
        lines.append("};")
        for name, (_, offset) in self.dtype.fields.items():
            lines.append(f"_Static_assert(offsetof(struct {self.name}, {name}) == {offset}, \"{self.name}.{name}\");")
        lines.append(f"_Static_assert(sizeof(struct {self.name}) == {self.dtype.itemsize}, \"{self.name}\");")
        return "\n".join(lines) + "\n"


REQUANT = Struct("litenorm_image_requant", "Requantization, one (multiplier, shift) for each channel.", (
    Field("multiplier", "u32", "offset of s32 [channels], each 0 or more"),
    Field("shift", "u32", "offset of u8 [channels], each 1 to 62"),
    Field("channels", "u32", "0: this block has no such requantization"),
    Field("out", "u32", "enum litenorm_image_type of the result"),
))

LINEAR = Struct("litenorm_image_linear", "Matrix: requant(bias[o] + sum over c of x[c] * weight[o][c]).", (
    Field("inputs", "u32", "columns of weight, a multiple of 4"),
    Field("outputs", "u32", "rows of weight, a multiple of 4"),
    Field("weight", "u32", "offset of s8 [outputs][inputs]"),
    Field("bias", "u32", "offset of s32 [outputs]"),
    Field("requant", REQUANT, "of `outputs` channels"),
))

NORM = Struct("litenorm_image_norm", "LayerNorm of s16 rows of `dim` elements, with gamma and beta.", (
    Field("eps", "u64", "integer eps term, as the core's eps register takes it"),
    Field("gamma", "u32", "offset of s16 [dim]"),
    Field("beta", "u32", "offset of s16 [dim]"),
    Field("shift", "u32", "affine shift, 0 to 31"),
    Field("beta_shift", "u32", "affine beta shift, 0 to 15"),
    Field("out", "u32", "enum litenorm_image_type of the result"),
    Field("reserved", "u32", "0"),
))

HEADER = Struct("litenorm_image", "Header of the image; all offsets are bytes from its first byte.", (
    Field("magic", "u32", "LITENORM_IMAGE_MAGIC"),
    Field("version", "u32", "LITENORM_IMAGE_VERSION"),
    Field("size", "u32", "bytes of the whole image, a multiple of 8"),
    Field("crc", "u32", "CRC-32 (zlib) of bytes LITENORM_IMAGE_CHECKED_FROM to size - 1"),
    Field("rows", "u32", "T, tokens"),
    Field("valid", "u32", "tokens that are not padding, 1 to rows (not causal: valid keys of every query)"),
    Field("dim", "u32", "D, model width, a multiple of 4"),
    Field("heads", "u32", "H"),
    Field("head_dim", "u32", "d = D / H"),
    Field("hidden", "u32", "F, width of the feed-forward part, a multiple of 4"),
    Field("norm", "u32", "enum litenorm_image_norm_order"),
    Field("causal", "u32", "1: query i sees keys 0 to i; 0: keys 0 to valid - 1"),
    Field("format", "u32", "softmax output format, as in the core's mode register"),
    Field("scale_multiplier", "u32", "softmax scale of one LSB of the logits"),
    Field("scale_shift", "u32", "softmax scale's exponent"),
    Field("input", "u32", "offset of s16 [rows][dim], the block's input"),
    Field("norm1", NORM, "first LayerNorm"),
    Field("norm2", NORM, "second LayerNorm"),
    *(Field(name, LINEAR, doc) for name, doc in zip(LINEARS, (
        "queries, s8 [dim][dim]", "keys, s8 [dim][dim]", "values, s8 [dim][dim]", "attention output, to s16",
        "feed-forward in, [hidden][dim]", "feed-forward out, [dim][hidden], to s16"), strict=True)),
    Field("attn_requant", REQUANT, "post-norm: input s16 to attn_in s8, dim channels"),
    Field("ffn_requant", REQUANT, "post-norm: norm1_out s16 to ffn_in s8, dim channels"),
    Field("logits_requant", REQUANT, "one channel a head; `out` is the logits' type"),
    Field("context_requant", REQUANT, "dim channels"),
    Field("activation", "u32", "offset of s8 [256], indexed by hidden + 128"),
    Field("reserved", "u32", "0"),
    Field("input_scale", "f64", "real value of one LSB of the input, for the host"),
    Field("output_scale", "f64", "real value of one LSB of the output, for the host"),
    Field("name", "char", "UTF-8, zero-terminated", NAME_BYTES),
))

LAYER = Struct("litenorm_image_layer", "One pre-norm, causal block of a language model.", (
    Field("norm1", NORM, "first LayerNorm, to s8"),
    Field("norm2", NORM, "second LayerNorm, to s8"),
    *(Field(name, LINEAR, "as in struct litenorm_image") for name in LINEARS),
    Field("logits_requant", REQUANT, "one channel a head; `out` is the logits' type"),
    Field("context_requant", REQUANT, "dim channels"),
    Field("activation", "u32", "offset of s8 [256], indexed by hidden + 128"),
    Field("scale_multiplier", "u32", "softmax scale of one LSB of the logits"),
    Field("scale_shift", "u32", "softmax scale's exponent"),
    Field("reserved", "u32", "0"),
))

GPT_HEADER = Struct("litenorm_image_gpt", "Header of a language model's image; all offsets are from its first byte.", (
    Field("magic", "u32", "LITENORM_IMAGE_GPT_MAGIC"),
    Field("version", "u32", "LITENORM_IMAGE_VERSION"),
    Field("size", "u32", "bytes of the whole image, a multiple of 8"),
    Field("crc", "u32", "CRC-32 (zlib) of bytes LITENORM_IMAGE_CHECKED_FROM to size - 1"),
    Field("layers", "u32", "blocks"),
    Field("layer", "u32", "offset of struct litenorm_image_layer [layers]"),
    Field("context", "u32", "T, the most tokens of prompt and text together"),
    Field("vocabulary", "u32", "V, tokens"),
    Field("dim", "u32", "D, model width, a multiple of 4"),
    Field("heads", "u32", "H"),
    Field("head_dim", "u32", "d = D / H"),
    Field("hidden", "u32", "F, width of the feed-forward part, a multiple of 4"),
    Field("format", "u32", "softmax output format of the attention"),
    Field("logits_type", "u32", "enum litenorm_image_type of the attention's logits, the same in all layers"),
    Field("norm", NORM, "final LayerNorm, to s8"),
    Field("head", LINEAR, "to the vocabulary's logits, s16; any number of outputs"),
    Field("words", "u32", "offset of s16 [vocabulary][dim], added to that of the position"),
    Field("positions", "u32", "offset of s16 [context][dim]"),
    Field("text_ends", "u32", "offset of u32 [vocabulary]: token i is the bytes text_ends[i - 1] (0) to text_ends[i]"),
    Field("texts", "u32", "offset of the tokens' texts, UTF-8"),
    Field("prompt", "u32", "offset of u16 [prompt_tokens]"),
    Field("prompt_tokens", "u32", "1 or more"),
    Field("tokens", "u32", "how many to generate; with the prompt at most `context`"),
    Field("top_k", "u32", "candidates of the sampler, 1 to vocabulary"),
    Field("sampler_multiplier", "u32", "scale of its softmax, logits divided by the temperature; 0: greedy"),
    Field("sampler_shift", "u32", "the scale's exponent"),
    Field("seed", "u32", "of its random numbers"),
    Field("reserved", "u32", "0"),
    Field("name", "char", "UTF-8, zero-terminated", NAME_BYTES),
))

STRUCTS = (REQUANT, LINEAR, NORM, HEADER, LAYER, GPT_HEADER)


@dataclass(frozen=True)
class Image:
    """What an image holds: a Block, its input s16 [T, D], and the rows that are not padding."""

    block: Block
    input: np.ndarray
    valid: int


class _Writer:
    """The tensors of an image, behind `header`, a NumPy record."""

    def __init__(self, header):
        self.header = header
        self.body = bytearray(-header.dtype.itemsize % ALIGNMENT)

    def put(self, values):
        """Append a tensor and return its offset."""
        offset = self.header.dtype.itemsize + len(self.body)
        data = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
        self.body.extend(data + bytes(-len(data) % ALIGNMENT))
        return offset

    def put_records(self, records):
        """The same for an array of structs."""
        return self.put(np.frombuffer(records.tobytes(), np.uint8))

    def requant(self, record, requant):
        if requant is not None:
            record["multiplier"], record["shift"] = self.put(requant.multiplier), self.put(requant.shift)
            record["channels"], record["out"] = requant.multiplier.size, OUTPUTS.index(requant.out)

    def norm(self, record, norm):
        affine = norm.affine
        record["eps"], record["gamma"], record["beta"] = norm.eps, self.put(affine.gamma), self.put(affine.beta)
        record["shift"], record["beta_shift"] = affine.shift, affine.beta_shift
        record["out"] = OUTPUTS.index(affine.out)

    def linear(self, record, linear):
        record["inputs"], record["outputs"] = linear.inputs, linear.outputs
        record["weight"], record["bias"] = self.put(linear.weight), self.put(linear.bias)
        self.requant(record["requant"], linear.requant)

    def layer(self, record, block):
        """What a block has in both kinds of image."""
        for field in ("norm1", "norm2"):
            self.norm(record[field], getattr(block, field))
        for field in LINEARS:
            self.linear(record[field], getattr(block, field))
        for field in ("attn_requant", "ffn_requant", "logits_requant", "context_requant"):
            if field in record.dtype.names:
                self.requant(record[field], getattr(block, field))
        record["activation"] = self.put(block.activation)
        record["scale_multiplier"], record["scale_shift"] = block.scale

    def image(self, magic, name):
        """The image as bytes."""
        name = name.encode()
        self.header["name"][: len(name)] = np.frombuffer(name, np.uint8)
        self.header["magic"], self.header["version"] = magic, VERSION
        self.header["size"] = self.header.dtype.itemsize + len(self.body)
        self.header["crc"] = zlib.crc32(self.header.tobytes()[CHECKED_FROM:] + self.body)
        return self.header.tobytes() + bytes(self.body)


def write_image(block, x, valid=None):
    """Image of `block` and its input x, s16 [T, D], as bytes. ValueError when x does not fit the block."""
    x = np.asarray(x)
    if x.ndim != 2 or x.dtype != np.int16 or x.shape[1] != block.dim or not len(x):
        raise ValueError(f"input is {x.dtype} of shape {x.shape}; good: int16 of shape [T, {block.dim}]")
    valid = len(x) if valid is None else valid
    block.lengths(len(x), valid)
    header = np.zeros((), HEADER.dtype)
    writer = _Writer(header)
    header["rows"], header["valid"], header["dim"] = len(x), valid, block.dim
    header["heads"], header["head_dim"], header["hidden"] = block.heads, block.dim // block.heads, block.hidden
    header["norm"], header["causal"], header["format"] = NORMS.index(block.norm), block.causal, FORMATS[block.fmt].code
    header["input_scale"], header["output_scale"] = block.input_scale, block.output_scale
    header["input"] = writer.put(x)
    writer.layer(header, block)
    return writer.image(MAGIC, block.name)


def write_gpt_image(gpt, prompt, tokens, sampler=None):
    """Image of a language model and what it shall generate, as bytes.

    gpt      nn.generate.IntegerGPT
    prompt   list of token numbers
    tokens   how many to generate
    sampler  nn.generate.Sampler (None: greedy)

    ValueError when they do not fit each other, and for a vocabulary whose texts the console's lines cannot carry.
    """
    sampler = sampler or Sampler()
    if len(gpt.vocabulary) > 2**16:
        raise ValueError(f"the vocabulary has {len(gpt.vocabulary)} tokens; good: at most {2**16}")
    unfit = [text for text in gpt.vocabulary if "@" in text or any(ord(c) < 32 and c not in "\n\t" for c in text)]
    if unfit:
        raise ValueError(f"the vocabulary has the token {unfit[0]!r}; good: no '@', which begins the firmware's "
                         "records, and no control characters but line ends and tabs")
    header, first = np.zeros((), GPT_HEADER.dtype), gpt.blocks[0]
    writer = _Writer(header)
    layers = np.zeros(len(gpt.blocks), LAYER.dtype)
    for record, block in zip(layers, gpt.blocks, strict=True):
        writer.layer(record, block)
    header["layers"], header["layer"] = len(layers), writer.put_records(layers)
    header["context"], header["vocabulary"], header["dim"] = gpt.context, len(gpt.vocabulary), gpt.dim
    header["heads"], header["head_dim"], header["hidden"] = first.heads, gpt.dim // first.heads, first.hidden
    header["format"], header["logits_type"] = FORMATS[first.fmt].code, OUTPUTS.index(first.logits_requant.out)
    writer.norm(header["norm"], gpt.norm)
    writer.linear(header["head"], gpt.head)
    header["words"], header["positions"] = writer.put(gpt.words), writer.put(gpt.positions)
    texts = [text.encode() for text in gpt.vocabulary]
    header["text_ends"] = writer.put(np.cumsum([len(text) for text in texts]).astype(np.uint32))
    header["texts"] = writer.put(np.frombuffer(b"".join(texts), np.uint8))
    header["prompt"], header["prompt_tokens"] = writer.put(np.asarray(prompt, np.uint16)), len(prompt)
    header["tokens"], header["seed"] = tokens, sampler.seed
    header["top_k"] = sampler.candidates(len(gpt.vocabulary))
    if not sampler.greedy:
        header["sampler_multiplier"], header["sampler_shift"] = sampler.scale(gpt.logits_scale)
    gpt.check(prompt, tokens, sampler)
    return writer.image(GPT_MAGIC, gpt.name.encode()[: NAME_BYTES - 1].decode(errors="ignore"))


def read_image(data):
    """Image of bytes that `write_image` made. ValueError says in one line what is wrong with them."""
    data = bytes(data)
    if len(data) < HEADER.dtype.itemsize:
        raise ValueError(f"image has {len(data)} bytes; good: at least {HEADER.dtype.itemsize}, its header")
    header = np.frombuffer(data, HEADER.dtype, 1)[0]
    for field, good in (("magic", MAGIC), ("version", VERSION), ("size", len(data)),
                        ("crc", zlib.crc32(data[CHECKED_FROM:]))):
        if header[field] != good:
            raise ValueError(f"image {field} is {int(header[field]):#x}; good: {good:#x}")

    def get(offset, dtype, *shape):
        count = math.prod(shape)
        end = int(offset) + count * np.dtype(dtype).itemsize
        if offset < HEADER.dtype.itemsize or offset % ALIGNMENT or end > len(data):
            raise ValueError(f"image has a tensor at {int(offset):#x} to {end:#x}; "
                             f"good: from {HEADER.dtype.itemsize:#x} to {len(data):#x} in steps of {ALIGNMENT}")
        return np.frombuffer(data, np.dtype(dtype).newbyteorder("<"), count, int(offset)).reshape(shape)

    def name_of(names, code, what):
        if code >= len(names):
            raise ValueError(f"image {what} is {code}; good: 0 to {len(names) - 1}")
        return names[code]

    def get_requant(record):
        n = int(record["channels"])
        return Requant(get(record["multiplier"], np.int32, n), get(record["shift"], np.uint8, n),
                       name_of(OUTPUTS, int(record["out"]), "requantization type")) if n else None

    dim = int(header["dim"])
    norms, linears = {}, {}
    for field in ("norm1", "norm2"):
        record = header[field]
        affine = Affine(get(record["gamma"], np.int16, dim), get(record["beta"], np.int16, dim), int(record["shift"]),
                        int(record["beta_shift"]), name_of(OUTPUTS, int(record["out"]), "norm type"))
        norms[field] = Norm(int(record["eps"]), affine)
    for field in LINEARS:
        record = header[field]
        outputs, inputs = int(record["outputs"]), int(record["inputs"])
        if not record["requant"]["channels"]:
            raise ValueError(f"image: {field} has no requantization; good: one channel for each output")
        linears[field] = Linear(get(record["weight"], np.int8, outputs, inputs), get(record["bias"], np.int32, outputs),
                                get_requant(record["requant"]))
    block = Block(
        name=header["name"].tobytes().rstrip(b"\0").decode(),
        norm=name_of(NORMS, int(header["norm"]), "norm order"), causal=bool(header["causal"]),
        heads=int(header["heads"]), scale=Scale(int(header["scale_multiplier"]), int(header["scale_shift"])),
        fmt=name_of({f.code: f.name for f in FORMATS.values()}, int(header["format"]), "softmax format"),
        activation=get(header["activation"], np.int8, 256), input_scale=float(header["input_scale"]),
        output_scale=float(header["output_scale"]), **norms, **linears,
        **{f: get_requant(header[f]) for f in ("attn_requant", "ffn_requant", "logits_requant", "context_requant")})
    rows, valid = int(header["rows"]), int(header["valid"])
    block.lengths(rows, valid)
    return Image(block, get(header["input"], np.int16, rows, dim), valid)


def stage_crc(block, stages, name, valid=None):
    """CRC-32 of one stage of `block.run(x, valid)`, x [T, D], as the firmware computes it."""
    values = stages[name]
    if name == "logits":
        rows = values.shape[-2]
        keep = np.arange(rows) < block.lengths(rows, valid)[:, None]
        values = values[np.broadcast_to(keep, values.shape)]
    return zlib.crc32(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())


def c_header():
    """The C header `litenorm_image.h`: constants, enums, structs with their offsets asserted."""

    def enum(name, doc, prefix, members):
        lines = [f"/** {doc} */", f"enum {name} {{"]
        for i, (member, about) in enumerate(members):
            lines.append(f"    {prefix}{member.upper()} = {i}," + (f" /**< {about} */" if about else ""))
        return "\n".join([*lines, "};"]) + "\n"

    stages = ", ".join(f'"{name}"' for name in STAGES)
    return "\n".join((
        "/* SPDX-License-Identifier: BSD-2-Clause */",
        "/* Copyright (c) 2026 LiteNorm contributors */",
        "",
        "/**",
        " * @file",
        " * The workload images: one quantized transformer block and its input, or a language model and its prompt.",
        " *",
        " * Generated by litenorm.nn.image; the operations are specified in litenorm.nn.block and .generate.",
        " */",
        "",
        "#ifndef LITENORM_IMAGE_H",
        "#define LITENORM_IMAGE_H",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        f"#define LITENORM_IMAGE_MAGIC        0x{MAGIC:08x}u /**< \"LNIM\" */",
        f"#define LITENORM_IMAGE_GPT_MAGIC    0x{GPT_MAGIC:08x}u /**< \"LNGP\" */",
        f"#define LITENORM_IMAGE_VERSION      {VERSION}u",
        f"#define LITENORM_IMAGE_ALIGNMENT    {ALIGNMENT}u /**< of every tensor, bytes */",
        f"#define LITENORM_IMAGE_CHECKED_FROM {CHECKED_FROM}u /**< first byte that the CRC covers */",
        "",
        enum("litenorm_image_type", "Type of a result.", "LITENORM_IMAGE_", [(t, "") for t in OUTPUTS]),
        enum("litenorm_image_norm_order", "Where the block's LayerNorms are.", "LITENORM_IMAGE_NORM_",
             [("pre", "before attention and feed-forward part, as in GPT-2"), ("post", "behind them, as in BERT")]),
        enum("litenorm_image_stage", "Intermediate tensors, in the order of computation.", "LITENORM_STAGE_",
             list(STAGES.items())),
        f"#define LITENORM_STAGES {len(STAGES)}",
        "",
        "/** Names of the stages, for an array of LITENORM_STAGES strings. */",
        f"#define LITENORM_STAGE_NAMES {{ {stages} }}",
        "",
        *(s.c() for s in STRUCTS),
        "/** Address of the tensor at `offset` of an image. */",
        "static inline const void *litenorm_image_at(const void *image, uint32_t offset)",
        "{",
        "    return (const uint8_t *)image + offset;",
        "}",
        "",
        "/* Of litenorm.nn.generate: the sampler's softmax and its draws, random number >> shift. */",
        f"#define LITENORM_SAMPLER_FORMAT     {FORMATS[FORMAT].code}u",
        f"#define LITENORM_SAMPLER_TOTAL      {FORMATS[FORMAT].total}u",
        f"#define LITENORM_SAMPLER_DRAW_SHIFT {DRAW_SHIFT}u",
        "",
        "#endif /* LITENORM_IMAGE_H */",
        "",
    ))


def _check_layout():
    """ValueError unless every member lies on its own alignment without padding: C reads the structs in place."""
    for struct in STRUCTS:
        for field in struct.fields:
            own = field.type if isinstance(field.type, Struct) else None
            alignment = own.alignment if own else np.dtype(C_TYPES[field.type][1]).itemsize
            offset = struct.dtype.fields[field.name][1]
            if offset % alignment or struct.dtype.itemsize % struct.alignment:
                raise ValueError(f"{struct.name}.{field.name} is at {offset}; good: a multiple of {alignment}")


_check_layout()
