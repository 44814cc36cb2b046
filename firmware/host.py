# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The portable part of the firmware, compiled for this machine and called from Python: `build` and `Twin`.

What runs here is the same C that runs on the SoC, so that a fault in it shows in seconds and under sanitizers.
"""

import ctypes
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np

from litenorm.accel import LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.formats import get_format
from litenorm.accel.scale import Scale, eps_term
from litenorm.firmware import generate

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
SANITIZED = ("-fsanitize=undefined", "-fno-sanitize-recover=all")
FLAGS_VARIABLE = "LITENORM_HOST_CFLAGS"     # more flags, such as those of a sanitizer


class Job(ctypes.Structure):
    """struct litenorm_job; `build` compares the layout with the C compiler's."""

    _fields_ = [
        ("src", ctypes.c_void_p),
        ("dst", ctypes.c_void_p),
        ("src_stride", ctypes.c_uint32),
        ("dst_stride", ctypes.c_uint32),
        ("rows", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
        ("input", ctypes.c_uint8),
        ("format", ctypes.c_uint8),
        ("scale_shift", ctypes.c_uint8),
        ("scale_multiplier", ctypes.c_uint16),
        ("mask_base", ctypes.c_uint16),
        ("mask_increment", ctypes.c_uint16),
        ("mask_period", ctypes.c_uint16),
        ("affine_shift", ctypes.c_uint8),
        ("beta_shift", ctypes.c_uint8),
        ("output", ctypes.c_uint8),
        ("gamma", ctypes.c_void_p),
        ("beta", ctypes.c_void_p),
        ("eps", ctypes.c_uint64),
    ]


def build(directory, sources=("litenorm_ref.c",), config=None, flags=()):
    """Compile firmware sources for this machine into a shared library in `directory`; returns it as a ctypes.CDLL.

    flags are added to those in the environment variable LITENORM_HOST_CFLAGS. RuntimeError when there is no C compiler
    or it finds a fault.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise RuntimeError("no C compiler found; install gcc")
    directory = Path(directory)
    generate.write(directory, config)
    names = [name for name, _ in Job._fields_]
    offsets = ", ".join(f"offsetof(struct litenorm_job, {name})" for name in names)
    layout = directory / "litenorm_layout.c"
    layout.write_text(
        '#include "litenorm_job.h"\n'
        f"const size_t litenorm_job_layout[] = {{ {offsets}, sizeof(struct litenorm_job) }};\n"
    )
    library = directory / "firmware.so"
    command = [compiler, *WARNINGS, "-O2", "-g", "-shared", "-fPIC", f"-I{directory}", f"-I{generate.SOURCES}", *flags]
    command += shlex.split(os.environ.get(FLAGS_VARIABLE, ""))
    command += [*(str(generate.SOURCES / name) for name in sources), str(layout), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}\n{done.stderr}")
    loaded = ctypes.CDLL(str(library))
    seen = list((ctypes.c_size_t * (len(names) + 1)).in_dll(loaded, "litenorm_job_layout"))
    expected = [getattr(Job, name).offset for name in names] + [ctypes.sizeof(Job)]
    if seen != expected:
        raise RuntimeError(f"struct litenorm_job is laid out as {seen} in C and as {expected} in {__name__}.Job")
    return loaded


class Twin:
    """The C twin (litenorm_ref.c) with the interface of litenorm.accel.model.

    library  what `build` returned for a list of sources with litenorm_ref.c in it
    config   the config it was built for
    """

    CODES = tuple(c.INPUTS)

    def __init__(self, library, config=None):
        self.library = library
        self.config = LiteNormConfig() if config is None else config

    def run(self, op, job):
        """Run a Job; returns 0 or the negative code."""
        return getattr(self.library, f"litenorm_ref_{op}")(ctypes.byref(job))

    def softmax(self, x, scale, fmt="u16_q15", mask=(0, 0, 0)):
        """Softmax of x, s8 or s16 [rows, N]; mask is (base, increment, period) of the valid lengths."""
        fmt = get_format(fmt)
        scale = Scale.from_real(scale)
        job = self.job(x, mask, format=fmt.code, scale_multiplier=scale.multiplier, scale_shift=scale.shift)
        return self.result("softmax", job, x, fmt.dtype)

    def layernorm(self, x, eps=0, affine=None, mask=(0, 0, 0), length=None):
        """LayerNorm of x, s8 or s16 [rows, N]; eps is taken for rows of `length` valid elements (default N)."""
        return self.norm("layernorm", x, eps, affine, mask, length)

    def rmsnorm(self, x, eps=0, affine=None, mask=(0, 0, 0), length=None):
        """RMSNorm; arguments as layernorm."""
        return self.norm("rmsnorm", x, eps, affine, mask, length)

    def norm(self, op, x, eps, affine, mask, length):
        job = self.job(x, mask, eps=eps_term(eps, x.shape[1] if length is None else length))
        if affine is None:
            return self.result(op, job, x, np.dtype(np.int16))
        job.gamma = affine.gamma.ctypes.data
        job.beta = affine.beta.ctypes.data
        job.affine_shift = affine.shift
        job.beta_shift = affine.beta_shift
        job.output = self.CODES.index(affine.out)
        return self.result(op, job, x, affine.dtype)

    def job(self, x, mask=(0, 0, 0), **fields):
        """A Job that reads x, s8 or s16 [rows, N] and C-contiguous."""
        kind = f"s{8 * x.itemsize}"
        if x.ndim != 2 or x.dtype.kind != "i" or kind not in self.CODES or not x.flags.c_contiguous:
            raise ValueError(f"x is {x.dtype} of shape {x.shape}; good: contiguous int8 or int16 of shape [rows, N]")
        job = Job(src=x.ctypes.data, src_stride=x.strides[0], rows=x.shape[0], length=x.shape[1], **fields)
        job.input = self.CODES.index(kind)
        job.mask_base, job.mask_increment, job.mask_period = mask
        return job

    def result(self, op, job, x, dtype):
        out = np.empty(x.shape, dtype)
        job.dst = out.ctypes.data
        job.dst_stride = out.strides[0]
        code = self.run(op, job)
        if code:
            raise ValueError(f"litenorm_ref_{op} returned {code}")
        return out
