# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The language model in C, compiled for this machine with the C twin, against the NumPy reference (nn/generate.py)."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from litenorm.firmware import host
from litenorm.firmware.generate import SOURCES
from litenorm.nn import image
from litenorm.nn.generate import Sampler, generate, load_gpt, next_random, pick, random_state
from litenorm.nn.testing import random_gpt
from litenorm.soc import cfu_model

FILES = ("litenorm_ref.c", "kernels.c", "multiply.c", "kernels_cfu.c", "cfu_model.c", "vector.c", "gpt.c",
         "gpt_prepare.c", "sampler.c")

# What generation.c does on the SoC. The clock ticks at every look: each timed part is one tick.
SHIM = """
#include "gpt.h"
#include "litenorm_ref.h"
#include "vector.h"

static struct gpt gpt;
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

/* One element of every second row is wrong. */
static unsigned jobs;

static int flatten(const struct litenorm_job *job)
{
    int result = litenorm_ref_softmax(job);

    if (job->rows == 1 || jobs++ % 2)
        ((uint16_t *)job->dst)[0]++;
    return result;
}

static int tilt(const struct litenorm_job *job)
{
    int result = litenorm_ref_layernorm(job);

    if (job->gamma == NULL)
        ((int16_t *)job->dst)[0]++;
    return result;
}

static const struct block_path paths[] = {
    { "cpu", litenorm_ref_softmax, litenorm_ref_layernorm, 0, 0 },
    { "no softmax", fail, litenorm_ref_layernorm, 0, 0 },
    { "no layernorm", litenorm_ref_softmax, fail, 0, 0 },
    { "wrong softmax", flatten, litenorm_ref_layernorm, 0, 0 },
    { "wrong layernorm", litenorm_ref_softmax, tilt, 0, 0 },
};

/* The prompt in pieces of `piece` tokens; all logits one behind the other. */
int run_gpt(const void *image, void *memory, size_t bytes, unsigned path, uint32_t piece, uint16_t *tokens,
            int16_t *logits, struct gpt_report *report)
{
    int result = gpt_prepare(&gpt, image, memory, bytes);
    const uint16_t *prompt;
    uint32_t i, at, vocabulary;

    if (result != 0)
        return result;
    prompt = litenorm_image_at(image, gpt.image->prompt);
    vocabulary = gpt.image->vocabulary;
    gpt.path = &paths[path];
    gpt.cycles = cycles;
    gpt_seed(&gpt, gpt.image->seed);
    for (at = 0; at < gpt.image->prompt_tokens && result == 0; at += piece) {
        uint32_t left = gpt.image->prompt_tokens - at;

        result = gpt_feed(&gpt, prompt + at, left < piece ? left : piece);
    }
    for (i = 0; result == 0; i++) {
        uint32_t j;
        int token = gpt_pick(&gpt);

        for (j = 0; j < vocabulary; j++)
            logits[i * vocabulary + j] = gpt.logits[j];
        if (token < 0)
            return token;
        tokens[i] = (uint16_t)token;
        if (i + 1 == gpt.image->tokens)
            break;
        result = gpt_feed(&gpt, &tokens[i], 1);
    }
    *report = gpt.report;
    return result;
}

int feed_more(const uint16_t *tokens, uint32_t count)
{
    return gpt_feed(&gpt, tokens, count);
}

void random_numbers(uint32_t seed, uint32_t *out, uint32_t count)
{
    gpt_seed(&gpt, seed);
    while (count--) {
        *out++ = gpt.random;
        gpt.random ^= gpt.random << 13;
        gpt.random ^= gpt.random >> 17;
        gpt.random ^= gpt.random << 5;
    }
}
"""

PAGE = 4096
OPERATIONS = ("gemm", "softmax", "layernorm", "gelu", "other", "sampler")
COUNTS = ("softmax_rows", "softmax_sum_errors", "layernorm_rows", "layernorm_sum_errors", "sampler_rows",
          "sampler_sum_errors")


class Report(ctypes.Structure):
    """struct gpt_report"""

    _fields_ = [("cycles", ctypes.c_uint64 * len(OPERATIONS))] + [(name, ctypes.c_uint32) for name in COUNTS]


class Firmware:
    def __init__(self, folder, flags):
        (folder / "litenorm_image.h").write_text(image.c_header())
        (folder / "shim.c").write_text(SHIM)
        self.library = host.build(folder, (*FILES, folder / "shim.c"), flags=flags)

    def run(self, data, path=0, piece=1000, memory=1 << 20):
        """(code, tokens, logits [tokens][V], Report); the memory is full of other values before."""
        header = np.frombuffer(data, image.GPT_HEADER.dtype, 1)[0]
        aligned = np.frombuffer(data + bytes(8), np.uint64).copy()
        room = np.full(memory + 64 + PAGE, 0xA5, np.uint8)
        room = room[-room.ctypes.data % PAGE :][: memory + 64]  # what is needed depends on where it begins
        tokens = np.zeros(int(header["tokens"]), np.uint16)
        logits = np.zeros((tokens.size, int(header["vocabulary"])), np.int16)
        report = Report()
        pointer = ctypes.c_void_p
        code = self.library.run_gpt(pointer(aligned.ctypes.data), pointer(room.ctypes.data), ctypes.c_size_t(memory),
                                    path, piece, pointer(tokens.ctypes.data), pointer(logits.ctypes.data),
                                    ctypes.byref(report))
        assert (room[memory:] == 0xA5).all()
        self.image = aligned  # the library points into it
        self.room = room
        return code, tokens.tolist(), logits, report


@pytest.fixture(scope="module", params=("plain", "sanitized", "cfu"))
def firmware(request, tmp_path_factory):
    """cfu: with the model of the custom instructions"""
    folder = tmp_path_factory.mktemp("gpt")
    if request.param == "cfu":
        cfu_model.write_header(folder)
    return Firmware(folder, () if request.param == "plain" else host.SANITIZED)


MODELS = {  # name -> arguments of random_gpt, prompt, tokens
    "small": ({}, [3, 1, 4, 1, 5], 9),
    "int8 logits, tfl_s8": ({"fmt": "tfl_s8", "logits": "s8"}, [2, 7], 8),
    "tfl_s16": ({"fmt": "tfl_s16"}, [11], 15),
    "odd widths": ({"dim": 36, "heads": 6, "hidden": 20, "fmt": "u8_255", "layers": 1}, [0, 9, 8], 6),
    "one head": ({"heads": 1, "layers": 3}, list(range(12)), 4),
}
SAMPLERS = {"greedy": Sampler(), "top 3": Sampler(0.8, 3, 7), "all": Sampler(1.5, 0, 2**32 - 1), "top 1": Sampler(1, 1)}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", MODELS)
def test_tokens_and_logits_are_those_of_the_reference(firmware, name, sampler):
    arguments, prompt, count = MODELS[name]
    gpt, sampler = random_gpt(len(name), **arguments), SAMPLERS[sampler]
    expected = generate(gpt, prompt, count, sampler)
    code, tokens, logits, report = firmware.run(image.write_gpt_image(gpt, prompt, count, sampler))
    assert code == 0
    assert np.array_equal(logits, np.array(expected.logits))
    assert tokens == expected.tokens
    layers, heads, seen = len(gpt.blocks), gpt.blocks[0].heads, len(prompt) + count - 1
    assert report.softmax_rows == layers * heads * seen
    assert report.layernorm_rows == layers * 2 * seen + count
    assert report.sampler_rows == (0 if sampler.greedy else count)
    assert (report.softmax_sum_errors, report.layernorm_sum_errors, report.sampler_sum_errors) == (0, 0, 0)
    assert all(ticks > 0 for ticks in report.cycles)


@pytest.fixture(scope="module")
def real():
    return load_gpt()[0]


@pytest.mark.parametrize("sampler", ("greedy", "top 3"))
def test_the_gpt_fills_its_context(firmware, real, sampler):
    """All the tokens that the GPT's context holds; the reference takes them at once and looks at each step."""
    prompt, sampler = real.encode("In the beginning"), SAMPLERS[sampler]
    count = real.context - len(prompt)
    code, tokens, logits, report = firmware.run(image.write_gpt_image(real, prompt, count, sampler), memory=1 << 22)
    assert code == 0 and len(tokens) == count == 112
    assert np.array_equal(logits, real.all_logits([*prompt, *tokens])[len(prompt) - 1 : -1])
    state, expected = random_state(sampler.seed), []
    for row in logits:
        token, state = pick(row, sampler, real.logits_scale, state)
        expected.append(token)
    assert tokens == expected
    assert (report.softmax_sum_errors, report.layernorm_sum_errors, report.sampler_sum_errors) == (0, 0, 0)


@pytest.mark.parametrize("piece", (1, 2, 3, 5))
def test_a_prompt_in_pieces_gives_the_same(firmware, piece):
    gpt, prompt = random_gpt(9), [5, 4, 3, 2, 1, 0, 11]
    data = image.write_gpt_image(gpt, prompt, 4)
    whole, parts = firmware.run(data), firmware.run(data, piece=piece)
    assert parts[0] == 0 and whole[1] == parts[1] and np.array_equal(whole[2], parts[2])


def test_random_numbers_are_those_of_the_reference(firmware):
    for seed in (0, 1, 2**32 - 1, 2**32 - 0x9E3779B9):  # the last one scrambles to 0
        out = np.zeros(5, np.uint32)
        firmware.library.random_numbers(ctypes.c_uint32(seed), ctypes.c_void_p(out.ctypes.data), out.size)
        state, expected = random_state(seed), []
        for _ in out:
            expected.append(state)
            state = next_random(state)
        assert out.tolist() == expected


def test_equal_logits_are_taken_in_the_order_of_their_tokens(firmware):
    """A head without weights: all logits are equal, so that greedy takes token 0 and top-k the first k."""
    gpt = random_gpt(4)
    gpt.head.weight[:], gpt.head.bias[:] = 0, 0
    assert firmware.run(image.write_gpt_image(gpt, [5], 3))[1] == [0, 0, 0]
    sampler = Sampler(1.0, 4, 3)
    _, tokens, _, _ = firmware.run(image.write_gpt_image(gpt, [5], 12, sampler))
    assert tokens == generate(gpt, [5], 12, sampler).tokens and set(tokens) <= {0, 1, 2, 3} and len(set(tokens)) > 1


@pytest.mark.parametrize("path", (1, 2))
def test_an_error_of_the_core_ends_the_text(firmware, path):
    assert firmware.run(image.write_gpt_image(random_gpt(1), [1, 2], 3), path=path)[0] == -7  # LITENORM_ERR_BUS_ERROR


def test_sums_that_are_not_exact_are_counted(firmware):
    data = image.write_gpt_image(random_gpt(1), [1, 2], 3, Sampler(1.0, 4))
    _, _, _, report = firmware.run(data, path=3)
    assert report.softmax_sum_errors == 3 and report.sampler_sum_errors == 3 and report.layernorm_sum_errors == 0
    _, _, _, report = firmware.run(data, path=4)
    assert report.layernorm_sum_errors == 2 * 2 * 3 + 3 and report.softmax_sum_errors == 0


def damaged(name, value):
    data = bytearray(image.write_gpt_image(random_gpt(1), [1, 2], 3))
    np.frombuffer(data, image.GPT_HEADER.dtype, 1)[name] = value
    return bytes(data)


@pytest.mark.parametrize("name, value, code", [
    ("magic", 0, -100), ("version", 99, -101), ("heads", 3, -102), ("layers", 0, -102), ("context", 4, -102),
    ("vocabulary", 2, -102), ("hidden", 36, -102), ("top_k", 0, -102), ("tokens", 15, -102),
    ("prompt_tokens", 0, -102)])
def test_bad_image_gets_its_code(firmware, name, value, code):
    assert firmware.run(damaged(name, value))[0] == code


def test_too_many_tokens_are_refused(firmware):
    assert firmware.run(image.write_gpt_image(random_gpt(1), [1, 2], 3))[0] == 0
    tokens = np.array([1] * 12 + [99], np.uint16)
    feed = firmware.library.feed_more
    assert feed(ctypes.c_void_p(tokens.ctypes.data), 13) == feed(ctypes.c_void_p(tokens.ctypes.data), 0) == -102
    assert feed(ctypes.c_void_p(tokens[12:].ctypes.data), 1) == -102  # no such token
    assert feed(ctypes.c_void_p(tokens.ctypes.data), 12) == 0


def test_memory_that_is_too_small_is_told_and_not_overrun(firmware):
    data = image.write_gpt_image(random_gpt(1), [1, 2], 3)
    enough = next(n for n in range(0, 1 << 20, 256) if firmware.run(data, memory=n)[0] == 0)
    assert enough > 4000
    for memory in (0, 1, enough // 2, enough - 256):
        assert firmware.run(data, memory=memory)[0] == -103


def test_cross_compiles_for_rv32im_without_a_warning(tmp_path):
    compiler = shutil.which("riscv64-unknown-elf-gcc")
    assert compiler, "riscv64-unknown-elf-gcc is missing; install gcc-riscv64-unknown-elf"
    host.generate.write(tmp_path)
    (tmp_path / "litenorm_image.h").write_text(image.c_header())
    # The C library's header comes with LiteX's software build.
    (tmp_path / "string.h").write_text("#include <stddef.h>\nvoid *memset(void *to, int value, size_t count);\n"
                                       "int strncmp(const char *a, const char *b, size_t count);\n")
    flags = ["-march=rv32im", "-mabi=ilp32", "-ffreestanding", "-O2", *host.WARNINGS, "-std=c11"]
    for name in FILES[-4:]:
        command = [compiler, *flags, f"-I{tmp_path}", f"-I{SOURCES}", "-c", SOURCES / name, "-o", tmp_path / "object.o"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
