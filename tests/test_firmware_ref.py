# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The C twin against the model, bit for bit."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litenorm.accel import LiteNormConfig, model
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale
from litenorm.firmware import host
from litenorm.firmware.generate import SOURCES

DTYPES = (np.int8, np.int16)


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    return host.Twin(host.build(tmp_path_factory.mktemp("twin")))


def lengths_of(rows, n, mask):
    """Valid lengths of the rows, as the mask registers define them."""
    base, increment, period = mask
    row = np.arange(rows)
    row = row % period if period else row
    return np.minimum(n, base + row * increment) if base else np.full(rows, n)


def check_softmax(twin, x, scale, fmt, mask=(0, 0, 0)):
    lengths = lengths_of(*x.shape, mask)
    expected = model.softmax(x, scale, fmt, length=lengths, config=twin.config)
    np.testing.assert_array_equal(twin.softmax(x, scale, fmt, mask), expected)


def check_norm(twin, op, x, eps=0, affine=None):
    expected = getattr(model, op)(x, eps, affine=affine, config=twin.config)
    np.testing.assert_array_equal(getattr(twin, op)(x, eps, affine), expected)


def edge_rows(n, dtype):
    """Rows by name: what random rows do not reach."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    i = np.arange(n)
    rows = {
        "all_zero": np.zeros(n),
        "all_lowest": np.full(n, low),
        "all_highest": np.full(n, high),
        "one_high_first": np.where(i == 0, high, low),
        "one_high_last": np.where(i == n - 1, high, low),
        "one_high_in_the_middle": np.where(i == n // 2, high, low),
        "one_low_last": np.where(i == n - 1, low, high),
        "one_step_first": np.where(i == 0, 1, 0),
        "one_step_down_last": np.where(i == n - 1, -1, 0),
        "alternating": np.where(i & 1, low, high),
        "low_half_high_half": np.where(i < n // 2, low, high),
        "ramp": np.linspace(low, high, n),
        "ramp_down": np.linspace(high, low, n),
        "two_peaks": np.where((i == 0) | (i == n - 1), high, low),
        "small_around_highest": high - (i % 3),
        "near_zero": (i % 3) - 1,
    }
    return {name: row.astype(dtype) for name, row in rows.items()}


LENGTHS = (1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 64, 255, 256, 1023, 1024)
SCALES = (1e-9, 1e-3, 0.05, 0.6, 3.0, 90.0, Scale(0, 0), Scale(1, 31), Scale(1, 0), Scale(65535, 0), Scale(65535, 6))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", FORMATS)
def test_softmax_edge_rows(twin, fmt, dtype):
    for n in LENGTHS:
        rows = np.stack(list(edge_rows(n, dtype).values()))
        for scale in SCALES:
            check_softmax(twin, rows, scale, fmt)


@pytest.mark.parametrize("fmt", [f.name for f in FORMATS.values() if f.capped])
def test_softmax_capped_row_is_one_hot_around_the_threshold(twin, fmt):
    # One element above the others by 6 to 13 octaves: from "takes nearly all" to "takes all of T".
    for n in (1, 2, 3, 5, 64):
        for peak in {0, n // 2, n - 1}:
            gaps = np.arange(1, 32000, 13)
            rows = np.zeros((gaps.size, n), np.int16)
            rows[:, peak] = gaps
            check_softmax(twin, rows, 0.0007, fmt)


@pytest.mark.parametrize("op", ("layernorm", "rmsnorm"))
@pytest.mark.parametrize("dtype", DTYPES)
def test_norm_edge_rows(twin, op, dtype):
    for n in LENGTHS:
        rows = np.stack(list(edge_rows(n, dtype).values()))
        for eps in (0, 1e-3, 1.0, 1e6, 2e9):
            check_norm(twin, op, rows, eps)


@pytest.mark.parametrize("out", ("s8", "s16"))
@pytest.mark.parametrize("op", ("layernorm", "rmsnorm"))
def test_affine_extremes(twin, op, out):
    rng = np.random.default_rng(5)
    extremes = np.array([-(2**15), -(2**15) + 1, -1, 0, 1, 2**15 - 1])
    n = 1024
    rows = np.stack([*edge_rows(n, np.int16).values(), *rng.integers(-300, 300, (4, n)).astype(np.int16)])
    for shift in (0, 1, 2, 10, 17, 30, 31):
        for beta_shift in (0, 1, 15):
            gamma, beta = rng.choice(extremes, n), rng.choice(extremes, n)
            check_norm(twin, op, rows, 0, Affine(gamma, beta, shift, beta_shift, out))


@pytest.mark.parametrize("mask", ((1, 1, 0), (1, 1, 16), (5, 0, 0), (5, 0, 3), (3, 7, 4), (40, 1, 0), (2, 65535, 3)))
def test_masked_rows(twin, mask):
    rng = np.random.default_rng(6)
    x = rng.integers(-3000, 3000, (33, 17)).astype(np.int16)
    lengths = lengths_of(*x.shape, mask)
    for fmt in FORMATS:
        check_softmax(twin, x, 0.002, fmt, mask)
    affine = Affine(rng.integers(-3000, 3000, 17), rng.integers(-3000, 3000, 17), 14, 2, "s8")
    for op in ("layernorm", "rmsnorm"):
        for gains in (None, affine):
            expected = getattr(model, op)(x, 0, length=lengths, affine=gains)
            np.testing.assert_array_equal(getattr(twin, op)(x, 0, gains, mask), expected)


def test_one_eps_term_serves_rows_of_one_valid_length(twin):
    x = np.random.default_rng(7).integers(-90, 90, (50, 24)).astype(np.int8)
    lengths = np.full(50, 13)
    expected = model.layernorm(x, 3.5, length=lengths)
    np.testing.assert_array_equal(twin.layernorm(x, 3.5, mask=(13, 0, 0), length=13), expected)


def test_strides_leave_what_lies_between_rows_alone(twin):
    rng = np.random.default_rng(8)
    x = rng.integers(-128, 128, (6, 40)).astype(np.int8)
    out = np.full((6, 64), 0x5A5A, np.uint16)
    scale = Scale.from_real(0.1)
    job = twin.job(x, format=FORMATS["u16_q15"].code, scale_multiplier=scale.multiplier, scale_shift=scale.shift)
    job.length, job.dst, job.dst_stride = 30, out.ctypes.data, out.strides[0]
    assert twin.run("softmax", job) == 0
    np.testing.assert_array_equal(out[:, :30], model.softmax(x[:, :30], 0.1))
    assert (out[:, 30:] == 0x5A5A).all()


@pytest.mark.parametrize("n", (5, 6, 7, 8))
def test_packed_rows_begin_at_bus_words(twin, n):
    x = np.random.default_rng(9).integers(-128, 128, (3, 8)).astype(np.int8)
    codes = np.zeros((3, 8), np.uint8)
    job = twin.job(x, format=FORMATS["u8_255"].code, scale_multiplier=40000, scale_shift=10)
    job.length, job.src_stride, job.dst = n, 0, codes.ctypes.data
    assert twin.run("softmax", job) == 0
    np.testing.assert_array_equal(codes[:, :n], model.softmax(x[:, :n], Scale(40000, 10), "u8_255"))


def test_softmax_in_place(twin):
    x = np.random.default_rng(10).integers(-900, 900, (4, 100)).astype(np.int16)
    expected = model.softmax(x, 0.01)
    job = twin.job(x, format=FORMATS["u16_q15"].code, dst=x.ctypes.data)
    job.scale_multiplier, job.scale_shift = Scale.from_real(0.01)
    assert twin.run("softmax", job) == 0
    np.testing.assert_array_equal(x.view(np.uint16), expected)


BAD_JOBS = {
    "length_of_zero": ("softmax", {"length": 0}, "BAD_LENGTH"),
    "length_above_the_longest": ("softmax", {"length": 1025}, "BAD_LENGTH"),
    "norm_of_length_zero": ("layernorm", {"length": 0}, "BAD_LENGTH"),
    "no_rows": ("rmsnorm", {"rows": 0}, "BAD_ROWS"),
    "unknown_format": ("softmax", {"format": 5}, "BAD_FORMAT"),
    "unknown_input": ("softmax", {"input": 2}, "BAD_OP"),
    "wide_scale_shift": ("softmax", {"scale_shift": 32}, "BAD_PARAMETER"),
    "wide_eps": ("layernorm", {"eps": 1 << 51}, "BAD_PARAMETER"),
    "gamma_without_beta": ("layernorm", {"gamma": 4}, "BAD_PARAMETER"),
    "wide_affine_shift": ("layernorm", {"gamma": 4, "beta": 4, "affine_shift": 32}, "BAD_PARAMETER"),
    "wide_beta_shift": ("rmsnorm", {"gamma": 4, "beta": 4, "beta_shift": 16}, "BAD_PARAMETER"),
    "unknown_output": ("rmsnorm", {"gamma": 4, "beta": 4, "output": 2}, "BAD_PARAMETER"),
}


def error_codes(directory):
    """The values of enum litenorm_result, as the C compiler sees them."""
    names = sorted({expected for _, _, expected in BAD_JOBS.values()})
    prints = "".join(f'printf("{name} %d\\n", LITENORM_ERR_{name});' for name in names)
    source = directory / "codes.c"
    source.write_text(f'#include <stdio.h>\n#include "litenorm_job.h"\nint main(void) {{ {prints} return 0; }}\n')
    host.generate.write(directory)
    program = directory / "codes"
    subprocess.run(["gcc", f"-I{directory}", f"-I{SOURCES}", source, "-o", program], check=True)
    lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    return {name: int(value) for name, value in map(str.split, lines)}


def test_bad_job_gets_its_code_and_writes_nothing(twin, tmp_path):
    codes = error_codes(tmp_path)
    assert len(set(codes.values())) == len(codes) and max(codes.values()) < 0
    for name, (op, fields, expected) in BAD_JOBS.items():
        x = np.zeros((2, 4), np.int16)
        out = np.full((2, 4), 77, np.int16)
        job = twin.job(x, dst=out.ctypes.data)
        for field, value in fields.items():
            setattr(job, field, value)
        assert twin.run(op, job) == codes[expected], name
        assert (out == 77).all(), name


@st.composite
def row_sets(draw):
    dtype = draw(st.sampled_from(DTYPES))
    n = draw(st.integers(1, 1024) if draw(st.booleans()) else st.integers(1, 20))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    spread = draw(st.sampled_from((1, 2, 5, 30, 128, 1000, 32768)))
    offset = draw(st.integers(info.min, info.max))
    rows = np.clip(rng.integers(-spread, spread + 1, (3, n)) + offset, info.min, info.max)
    return rows.astype(dtype)


@settings(max_examples=300, deadline=None)
@given(
    x=row_sets(),
    scale=st.builds(Scale, st.integers(0, 65535), st.integers(0, 31)),
    fmt=st.sampled_from(list(FORMATS)),
    mask=st.tuples(st.integers(0, 1100), st.integers(0, 40), st.integers(0, 5)),
)
def test_any_softmax(twin, x, scale, fmt, mask):
    check_softmax(twin, x, scale, fmt, mask)


@settings(max_examples=300, deadline=None)
@given(
    x=row_sets(),
    op=st.sampled_from(("layernorm", "rmsnorm")),
    eps=st.one_of(st.just(0.0), st.floats(0, 2**30)),
    gains=st.one_of(
        st.none(),
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 31), st.integers(0, 15), st.sampled_from(("s8", "s16"))),
    ),
)
def test_any_norm(twin, x, op, eps, gains):
    affine = None
    if gains:
        seed, shift, beta_shift, out = gains
        gamma, beta = np.random.default_rng(seed).integers(-(2**15), 2**15, (2, x.shape[1]))
        affine = Affine(gamma, beta, shift, beta_shift, out)
    check_norm(twin, op, x, eps, affine)


def random_rows(rng, rows, n, dtype):
    """Rows of very different spread and offset."""
    info = np.iinfo(dtype)
    spread = np.exp(rng.uniform(0, np.log(info.max), (rows, 1)))
    offset = rng.uniform(info.min, info.max, (rows, 1)) * rng.integers(0, 2, (rows, 1))
    return np.clip(np.rint(rng.normal(size=(rows, n)) * spread + offset), info.min, info.max).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_volume(twin, dtype):
    """More than 10^5 rows of lengths up to 1024, every format and both norms."""
    rng = np.random.default_rng(11)
    total = 0
    for n, rows in ((2, 20000), (5, 20000), (16, 10000), (33, 8000), (128, 2000), (384, 500), (1024, 200)):
        x = random_rows(rng, rows, n, dtype)
        scale = Scale(int(rng.integers(2**15, 2**16)), 9 if dtype is np.int8 else 16)
        for fmt in FORMATS:
            check_softmax(twin, x, scale, fmt)
        check_norm(twin, "layernorm", x, 0)
        check_norm(twin, "rmsnorm", x, 0.5)
        total += 7 * rows
    assert total > 10**5


@pytest.mark.parametrize("max_length", (2048, 4096))
def test_long_softmax_rows(tmp_path, max_length):
    config = LiteNormConfig(max_length=max_length, ops=("softmax",))
    twin = host.Twin(host.build(tmp_path, config=config), config)
    rng = np.random.default_rng(12)
    for dtype in DTYPES:
        rows = np.stack(list(edge_rows(max_length, dtype).values()))
        for fmt in FORMATS:
            for scale in (1e-9, 0.003, 0.05):
                check_softmax(twin, rows, scale, fmt)
                check_softmax(twin, random_rows(rng, 20, max_length - 3, dtype), scale, fmt)


def test_no_undefined_behaviour_and_no_access_outside_of_the_arrays():
    """Everything above but the volume, once more, with the compiler's address and undefined-behaviour checks."""
    library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    environment = dict(
        os.environ,
        LD_PRELOAD=library,
        ASAN_OPTIONS="detect_leaks=0",
        LITENORM_HOST_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", __file__]
    command += ["-k", "not volume and not undefined and not any and not cross"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stdout + done.stderr


def test_cross_compiles_for_rv32im_without_a_warning(tmp_path):
    compiler = shutil.which("riscv64-unknown-elf-gcc")
    assert compiler, "riscv64-unknown-elf-gcc is missing; install gcc-riscv64-unknown-elf"
    host.generate.write(tmp_path)
    command = [compiler, "-march=rv32im", "-mabi=ilp32", "-ffreestanding", "-O2", *host.WARNINGS]
    # picolibc's headers come with LiteX's software build; the twin needs nothing but memset and memcpy of them.
    (tmp_path / "string.h").write_text("#include <stddef.h>\nvoid *memset(void *to, int value, size_t count);\n")
    command += [f"-I{tmp_path}", f"-I{SOURCES}", "-c", SOURCES / "litenorm_ref.c", "-o", tmp_path / "ref.o"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
