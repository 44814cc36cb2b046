# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""nn/image.py: what is written is read again, by Python and by C; what is damaged is refused."""

import struct
import subprocess
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litenorm.accel.formats import FORMATS
from litenorm.nn.block import LINEARS, STAGES
from litenorm.nn.image import ALIGNMENT, CHECKED_FROM, HEADER, c_header, read_image, stage_crc, write_image
from litenorm.nn.testing import random_block, random_input

SEED = 3
WARNINGS = ("-Wall", "-Wextra", "-Werror")


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("norm, causal, logits", [("pre", True, "s16"), ("post", False, "s8")])
def test_what_is_read_is_what_was_written(norm, causal, logits, fmt):
    block, x = random_block(SEED, norm, causal, fmt=fmt, logits=logits), random_input(SEED, 7)
    image = read_image(write_image(block, x, valid=5))
    assert np.array_equal(image.input, x) and image.valid == 5
    for field in ("name", "norm", "causal", "heads", "scale", "fmt", "input_scale", "output_scale"):
        assert getattr(image.block, field) == getattr(block, field), field
    expected, got = block.run(x, 5), image.block.run(image.input, image.valid)
    assert list(expected) == list(got)
    assert all(np.array_equal(expected[name], got[name]) for name in expected)


def test_valid_is_all_rows_unless_given():
    assert read_image(write_image(random_block(SEED), random_input(SEED, 7))).valid == 7


def test_writing_again_gives_the_same_bytes():
    image = write_image(random_block(SEED, "post"), random_input(SEED, 7))
    again = read_image(image)
    assert write_image(again.block, again.input, again.valid) == image


IMAGE = write_image(random_block(SEED, "post"), random_input(SEED, 7))


@given(st.integers(0, len(IMAGE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused(position, flip):
    damaged = bytearray(IMAGE)
    damaged[position] ^= flip
    with pytest.raises(ValueError, match="^image (magic|version|size|crc) is"):
        read_image(damaged)


@given(st.integers(0, len(IMAGE) - 1))
def test_a_shortened_image_is_refused(size):
    with pytest.raises(ValueError, match="^image (size is|has )"):
        read_image(IMAGE[:size])


def forged(field, value):
    """The image with one header field changed and the CRC put right again."""
    header = np.frombuffer(IMAGE, HEADER.dtype, 1).copy()[0]
    part = header
    *path, last = field.split(".")
    for name in path:
        part = part[name]
    part[last] = value
    body = header.tobytes() + IMAGE[HEADER.dtype.itemsize:]
    return body[:12] + struct.pack("<I", zlib.crc32(body[CHECKED_FROM:])) + body[CHECKED_FROM:]


@pytest.mark.parametrize("field, value, message", [
    ("input", len(IMAGE), "tensor at"), ("input", 0, "tensor at"), ("input", HEADER.dtype.itemsize + 1, "tensor at"),
    ("q.weight", 2**32 - 8, "tensor at"), ("q.outputs", 2**31, "tensor at"), ("norm", 2, "image norm order is 2"),
    ("format", 5, "image softmax format is 5"), ("norm1.out", 2, "image norm type is 2"),
    ("k.requant.out", 9, "image requantization type is 9"), ("heads", 3, "heads is 3"), ("valid", 0, "valid is 0"),
    ("norm1.shift", 32, "affine shift is 32"), ("scale_shift", 32, "scale shift is 32"),
    ("k.requant.channels", 0, "k has no requantization"),
])
def test_a_header_that_makes_no_sense_is_refused(field, value, message):
    with pytest.raises(ValueError) as error:
        read_image(forged(field, value))
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("x, valid, message", [
    (np.zeros((3, 8), np.int16), None, "input is int16 of shape"), (np.zeros((3, 16)), None, "input is float64"),
    (np.zeros((0, 16), np.int16), None, "input is int16 of shape"), (random_input(1, 3), 4, "valid is 4; good: 1 to 3"),
])
def test_an_input_that_does_not_fit_is_refused(x, valid, message):
    with pytest.raises(ValueError, match=message):
        write_image(random_block(1), x, valid)


def test_tensors_are_aligned():
    header = np.frombuffer(IMAGE, HEADER.dtype, 1)[0]
    offsets = [header["input"], header["activation"]]
    for name in LINEARS:
        offsets += [header[name][f] for f in ("weight", "bias")]
        offsets += [header[name]["requant"][f] for f in ("multiplier", "shift")]
    for name in ("norm1", "norm2"):
        offsets += [header[name][f] for f in ("gamma", "beta")]
    assert all(offset % ALIGNMENT == 0 and offset >= HEADER.dtype.itemsize for offset in offsets)
    assert len(set(map(int, offsets))) == len(offsets)


def test_crc_of_logits_leaves_masked_elements_out():
    block, x = random_block(SEED), random_input(SEED, 4)
    stages = block.run(x)
    crc = stage_crc(block, stages, "logits")
    masked = np.triu(np.ones((4, 4), bool), 1)
    assert crc == stage_crc(block, {"logits": np.where(masked, 77, stages["logits"]).astype(np.int16)}, "logits")
    assert crc == zlib.crc32(b"".join(stages["logits"][h, i, : i + 1].tobytes() for h in range(2) for i in range(4)))
    assert stage_crc(block, stages, "output") == zlib.crc32(stages["output"].tobytes())


C_MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
#include "litenorm_image.h"

static const char *const names[LITENORM_STAGES] = LITENORM_STAGE_NAMES;

static long sum(const struct litenorm_image *image, uint32_t offset, uint32_t count, int size)
{
    const void *at = litenorm_image_at(image, offset);
    long total = 0;
    for (uint32_t i = 0; i < count; i++) {
        total += size == 1 ? ((const int8_t *)at)[i] : size == 2 ? ((const int16_t *)at)[i] : ((const int32_t *)at)[i];
    }
    return total;
}

int main(int argc, char **argv)
{
    FILE *file = fopen(argv[argc - 1], "rb");
    struct litenorm_image *image = malloc(1 << 20);
    size_t size = fread(image, 1, 1 << 20, file);
    const struct litenorm_image_linear *fc = &image->fc;
    printf("%d %d %d\n", image->magic == LITENORM_IMAGE_MAGIC, image->version == LITENORM_IMAGE_VERSION,
           image->size == size);
    printf("%u %u %u %u %u %u %u %u\n", image->rows, image->valid, image->dim, image->heads, image->head_dim,
           image->hidden, image->norm, image->causal);
    printf("%u %u %u %s\n", image->format, image->scale_multiplier, image->scale_shift, image->name);
    printf("%llu %u %u %u\n", (unsigned long long)image->norm2.eps, image->norm2.shift, image->norm2.beta_shift,
           image->norm2.out);
    printf("%ld %ld\n", sum(image, image->input, image->rows * image->dim, 2),
           sum(image, image->norm2.gamma, image->dim, 2));
    printf("%ld %ld %ld %ld\n", sum(image, fc->weight, fc->inputs * fc->outputs, 1),
           sum(image, fc->bias, fc->outputs, 4), sum(image, fc->requant.multiplier, fc->requant.channels, 4),
           sum(image, fc->requant.shift, fc->requant.channels, 1));
    printf("%u %u %g\n", image->ffn_requant.channels, image->logits_requant.out == LITENORM_IMAGE_S16,
           image->output_scale);
    printf("%s %s\n", names[LITENORM_STAGE_LOGITS], names[LITENORM_STAGE_OUTPUT]);
    return 0;
}
"""


def test_c_reads_what_python_wrote(tmp_path):
    (tmp_path / "litenorm_image.h").write_text(c_header())
    (tmp_path / "main.c").write_text(C_MAIN)
    (tmp_path / "image.bin").write_bytes(IMAGE)
    subprocess.run(["gcc", "-std=c11", *WARNINGS, "-pedantic", "main.c", "-o", "main"], cwd=tmp_path, check=True)
    out = subprocess.run(["./main", "image.bin"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    block, x = random_block(SEED, "post"), random_input(SEED, 7)
    affine, fc = block.norm2.affine, block.fc
    assert out.splitlines() == [
        "1 1 1",
        f"7 7 16 2 8 {block.hidden} 1 1",
        f"{FORMATS[block.fmt].code} {block.scale.multiplier} {block.scale.shift} {block.name}",
        f"{block.norm2.eps} {affine.shift} {affine.beta_shift} 1",
        f"{x.sum(dtype=int)} {affine.gamma.sum(dtype=int)}",
        f"{fc.weight.sum(dtype=int)} {fc.bias.sum(dtype=int)} {fc.requant.multiplier.sum(dtype=int)} "
        f"{fc.requant.shift.sum(dtype=int)}",
        f"16 1 {block.output_scale:g}",
        "logits output",
    ]


def test_header_compiles_for_the_simulated_cpu(tmp_path):
    (tmp_path / "litenorm_image.h").write_text(c_header())
    (tmp_path / "main.c").write_text('#include "litenorm_image.h"\n')
    subprocess.run(["riscv64-unknown-elf-gcc", "-march=rv32im", "-mabi=ilp32", "-std=c11", *WARNINGS, "-ffreestanding",
                    "-fsyntax-only", "main.c"], cwd=tmp_path, check=True)


def test_header_names_every_stage():
    header = c_header()
    assert all(f"LITENORM_STAGE_{name.upper()} = {i}," in header for i, name in enumerate(STAGES))
