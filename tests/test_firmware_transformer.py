# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The transformer block in C, compiled for this machine with the C twin, against the integer reference in NumPy."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from litenorm.accel import LiteNormConfig
from litenorm.accel.formats import FORMATS
from litenorm.firmware import host
from litenorm.firmware.generate import SOURCES
from litenorm.nn import image
from litenorm.nn.block import STAGES
from litenorm.nn.testing import random_block, random_input

FILES = ("litenorm_ref.c", "kernels.c", "multiply.c", "transformer.c", "attention.c", "block_prepare.c")

# What main.c does on the SoC: a path, a clock, the stages. The clock ticks at every look: each timed part is one tick.
SHIM = """
#include "litenorm_ref.h"
#include "transformer.h"

static struct block block;
static uint32_t ticks;

static uint32_t cycles(void)
{
    return ticks++;
}

static int fail(const struct litenorm_job *job)
{
    (void)job;
    return LITENORM_ERR_BUS_ERROR;
}

static int flatten(const struct litenorm_job *job)
{
    struct litenorm_job flat = *job;
    int result = litenorm_ref_layernorm(&flat);

    ((int16_t *)job->dst)[0]++;
    return result;
}

/* A queue of 2 jobs that are not begun before they are waited for. */
static struct litenorm_job queue[2];
static unsigned submitted, finished;

static int submit(unsigned op, const struct litenorm_job *job)
{
    if (op != LITENORM_OP_SOFTMAX || submitted - finished == 2)
        return LITENORM_ERR_BUSY;
    queue[submitted % 2] = *job;
    return (int)submitted++;
}

static int wait(int ticket, const struct litenorm_job *job)
{
    (void)job;
    if (ticket < 0)
        return ticket;
    if ((unsigned)ticket != finished)
        return LITENORM_ERR_TIMEOUT;
    return litenorm_ref_softmax(&queue[finished++ % 2]);
}

static int wait_fails(int ticket, const struct litenorm_job *job)
{
    return wait(ticket, job) == LITENORM_OK && finished % 2 ? LITENORM_OK : LITENORM_ERR_BUS_ERROR;
}

static int no_room(unsigned op, const struct litenorm_job *job)
{
    (void)op;
    (void)job;
    return LITENORM_ERR_BUSY;
}

const struct block_path paths[] = {
    { "cpu", litenorm_ref_softmax, litenorm_ref_layernorm, 0, 0 },
    { "no softmax", fail, litenorm_ref_layernorm, 0, 0 },
    { "no layernorm", litenorm_ref_softmax, fail, 0, 0 },
    { "wrong layernorm", litenorm_ref_softmax, flatten, 0, 0 },
    { "queue", fail, litenorm_ref_layernorm, submit, wait },
    { "queue that fails", fail, litenorm_ref_layernorm, submit, wait_fails },
    { "queue without room", fail, litenorm_ref_layernorm, no_room, wait },
};

int run_block(const void *image, void *memory, size_t bytes, unsigned path, void (*stage)(void *, unsigned,
              const struct block_tensor *), struct block_report *report, const int16_t **output)
{
    const struct block_hooks hooks = { cycles, stage, NULL };
    int result = block_prepare(&block, image, memory, bytes);

    submitted = finished = 0;

    if (result == 0)
        result = block_run(&block, &paths[path], &hooks, report);
    *output = block.output;
    return result;
}
"""

OPERATIONS = ("gemm", "softmax", "layernorm", "gelu", "other")


class Tensor(ctypes.Structure):
    """struct block_tensor"""

    _fields_ = [("data", ctypes.c_void_p)] + [
        (name, ctypes.c_uint32)
        for name in ("element_bytes", "rows", "columns", "row_bytes", "mask_base", "mask_increment", "mask_period")
    ]

    def elements(self):
        """The elements that count, row by row, as bytes."""
        out = bytearray()
        for row in range(self.rows):
            columns = self.columns
            if self.mask_base:
                position = row % self.mask_period if self.mask_period else row
                columns = min(columns, self.mask_base + position * self.mask_increment)
            out += ctypes.string_at(self.data + row * self.row_bytes, columns * self.element_bytes)
        return bytes(out)


class Report(ctypes.Structure):
    """struct block_report"""

    _fields_ = [("cycles", ctypes.c_uint64 * len(OPERATIONS))] + [
        (name, ctypes.c_uint32)
        for name in ("softmax_rows", "softmax_sum_errors", "layernorm_rows", "layernorm_sum_errors")
    ]


STAGE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint, ctypes.POINTER(Tensor))


class Firmware:
    def __init__(self, directory, flags=()):
        directory.joinpath("litenorm_image.h").write_text(image.c_header())
        shim = directory / "shim.c"
        shim.write_text(SHIM)
        self.library = host.build(directory, (*FILES, shim), flags=flags)

    def run(self, data, memory=1 << 22, path=0, shape=None):
        """(result, report, stages as bytes, output): run the block of an image of bytes."""
        data = np.frombuffer(data, np.uint64).copy()    # aligned as on the SoC
        pool = np.full(memory, 0xA5, np.uint8)
        report = Report()
        output = ctypes.c_void_p()
        stages = {}
        names = list(STAGES)
        stage = STAGE(lambda _, index, tensor: stages.__setitem__(names[index], tensor.contents.elements()))
        result = self.library.run_block(
            data.ctypes.data_as(ctypes.c_void_p), pool.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(memory), path,
            stage, ctypes.byref(report), ctypes.byref(output))
        if result == 0:
            rows, dim = shape
            output = np.frombuffer(ctypes.string_at(output.value, 2 * rows * dim), np.int16).reshape(shape)
        return result, report, stages, output


@pytest.fixture(scope="module", params=("plain", "sanitized"))
def firmware(request, tmp_path_factory):
    flags = () if request.param == "plain" else ("-fsanitize=undefined", "-fno-sanitize-recover=all")
    return Firmware(tmp_path_factory.mktemp("transformer"), flags)


def check(firmware, block, x, valid=None, path=0):
    """The whole block and each of its stages against the reference; returns the report."""
    config = LiteNormConfig()
    expected = block.run(x, valid, config)
    result, report, stages, output = firmware.run(image.write_image(block, x, valid), path=path, shape=x.shape)
    assert result == 0
    assert list(stages) == list(expected)
    lengths = block.lengths(len(x), valid)
    for name, values in expected.items():
        if name == "logits":
            values = np.concatenate([row[:n] for head in values for row, n in zip(head, lengths, strict=True)])
        assert stages[name] == values.tobytes(), name
    np.testing.assert_array_equal(output, expected["output"])
    assert (report.softmax_rows, report.layernorm_rows) == (block.heads * len(x), 2 * len(x))
    assert (report.softmax_sum_errors, report.layernorm_sum_errors) == (0, 0)
    return report


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("logits", ("s8", "s16"))
@pytest.mark.parametrize("norm, causal", [("pre", True), ("pre", False), ("post", False), ("post", True)])
def test_block_equals_the_reference(firmware, norm, causal, logits, fmt):
    for rows in (1, 2, 5, 8, 13):
        block = random_block(rows, norm, causal, fmt=fmt, logits=logits)
        check(firmware, block, random_input(rows, rows))


SHAPES = [(4, 1, 4), (12, 4, 8), (12, 2, 20), (36, 4, 16), (64, 1, 12), (48, 3, 96)]


@pytest.mark.parametrize("dim, heads, hidden", SHAPES)
def test_any_width(firmware, dim, heads, hidden):
    for causal in (False, True):
        block = random_block(dim, "pre", causal, dim=dim, heads=heads, hidden=hidden)
        check(firmware, block, random_input(3, 7, dim))


@pytest.mark.parametrize("valid", (1, 2, 4, 5, 6, 9))
def test_padding_is_not_looked_at(firmware, valid):
    block = random_block(21, "post", causal=False, fmt="tfl_s16")
    check(firmware, block, random_input(4, 9), valid)


def test_longer_text(firmware):
    check(firmware, random_block(30, "pre", True, dim=64, heads=4, hidden=128), random_input(5, 70, 64))


def test_every_cycle_is_in_one_operation(firmware):
    report = check(firmware, random_block(1, "pre"), random_input(1, 6))
    assert dict(zip(OPERATIONS, report.cycles, strict=True)) == {
        "gemm": 6, "softmax": 1, "layernorm": 2, "gelu": 1, "other": 2}
    report = check(firmware, random_block(1, "post"), random_input(1, 6))
    assert dict(zip(OPERATIONS, report.cycles, strict=True))["other"] == 4


@pytest.mark.parametrize("heads", (1, 2, 4, 5, 9))
def test_heads_in_a_queue(firmware, heads):
    """Two jobs have the rows of all heads; each is given and waited for once."""
    for causal in (False, True):
        block = random_block(heads, "pre", causal, dim=4 * heads, heads=heads, hidden=8)
        report = check(firmware, block, random_input(5, 7, 4 * heads), None if causal else 6, path=4)
        assert dict(zip(OPERATIONS, report.cycles, strict=True))["softmax"] == 2 * min(heads, 2)


@pytest.mark.parametrize("path, code", [(5, -7), (6, -65)])
def test_an_error_of_a_queued_job_ends_the_block(firmware, path, code):
    x = random_input(1, 6, 24)
    block = random_block(1, dim=24, heads=6)
    result, *_ = firmware.run(image.write_image(block, x), path=path, shape=x.shape)
    assert result == code


@pytest.mark.parametrize("path", (1, 2))
def test_an_error_of_the_core_ends_the_block(firmware, path):
    x = random_input(1, 6)
    result, *_ = firmware.run(image.write_image(random_block(1), x), path=path, shape=x.shape)
    assert result == -7  # LITENORM_ERR_BUS_ERROR


def test_rows_that_do_not_sum_to_zero_are_counted(firmware):
    x = random_input(1, 6)
    result, report, *_ = firmware.run(image.write_image(random_block(1), x), path=3, shape=x.shape)
    assert result == 0 and report.layernorm_sum_errors == 2


def damaged(name, value):
    data = bytearray(image.write_image(random_block(1), random_input(1, 6)))
    header = np.frombuffer(data, image.HEADER.dtype, 1)
    header[name] = value
    return bytes(data)


@pytest.mark.parametrize("name, value, code", [
    ("magic", 0, -100), ("version", 99, -101), ("heads", 3, -102), ("rows", 0, -102), ("valid", 7, -102),
    ("hidden", 36, -102)])
def test_bad_image_gets_its_code(firmware, name, value, code):
    assert firmware.run(damaged(name, value))[0] == code


def test_memory_that_is_too_small_is_told_and_not_overrun(firmware):
    x = random_input(1, 6)
    data = image.write_image(random_block(1), x)
    enough = next(n for n in range(0, 1 << 20, 64) if firmware.run(data, memory=n, shape=x.shape)[0] == 0)
    assert enough > 4000
    for memory in (0, 1, enough // 2, enough - 64):
        assert firmware.run(data, memory=memory)[0] == -103


def test_cross_compiles_for_rv32im_without_a_warning(tmp_path):
    compiler = shutil.which("riscv64-unknown-elf-gcc")
    assert compiler, "riscv64-unknown-elf-gcc is missing; install gcc-riscv64-unknown-elf"
    host.generate.write(tmp_path)
    (tmp_path / "litenorm_image.h").write_text(image.c_header())
    # The C library's header comes with LiteX's software build.
    (tmp_path / "string.h").write_text("#include <stddef.h>\nvoid *memset(void *to, int value, size_t count);\n")
    # The image's header asserts its layout, as C11 can.
    flags = ["-march=rv32im", "-mabi=ilp32", "-ffreestanding", "-O2", *host.WARNINGS, "-std=c11"]
    for name in FILES:
        command = [compiler, *flags, f"-I{tmp_path}", f"-I{SOURCES}", "-c", SOURCES / name, "-o", tmp_path / "object.o"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
