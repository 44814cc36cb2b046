# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Writes `litenorm_defs.h`: every constant, table and code that the firmware shares with the core, taken from accel.

    python -m litenorm.firmware.generate -o build/firmware

The C twin, the driver and their tests include that header and define none of these numbers themselves.
"""

import argparse
import os
import tempfile
from pathlib import Path

from litenorm.accel import LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS
from litenorm.accel.status import Status

SOURCES = Path(__file__).parent     # the C files are found beside this one
HEADER = "litenorm_defs.h"


def defs(config=None):
    """Text of `litenorm_defs.h` for `config`, a LiteNormConfig (default: LiteNormConfig())."""
    config = LiteNormConfig() if config is None else config
    lines = [
        "/* SPDX-License-Identifier: BSD-2-Clause */",
        "/* Copyright (c) 2026 LiteNorm contributors */",
        "/* Written by litenorm.firmware.generate from litenorm.accel. Do not edit. */",
        "",
        "#ifndef LITENORM_DEFS_H",
        "#define LITENORM_DEFS_H",
        "",
        "/* Codes of the register fields. */",
        *[define(f"LITENORM_OP_{name.upper()}", code) for code, name in enumerate(c.OPS)],
        *[define(f"LITENORM_INPUT_{name.upper()}", code) for code, name in enumerate(c.INPUTS)],
        *[define(f"LITENORM_OUTPUT_{name.upper()}", code) for code, name in enumerate(c.INPUTS)],
        *[define(f"LITENORM_FORMAT_{f.name.upper()}", f.code) for f in FORMATS.values()],
        "",
        "/* X(name, code, bits, zero_point, total, capped, text) for each softmax format, in order of code. */",
        *x_macro(
            "LITENORM_FORMATS_X",
            [
                f"{f.name.upper()}, {f.code}, {f.bits}, {f.zero_point}, {f.total}, {int(f.capped)}, {quoted(f.name)}"
                for f in sorted(FORMATS.values(), key=lambda f: f.code)
            ],
        ),
        "",
        "/* Status of a job, and X(name, code, text) for each, in order of code. */",
        *[define(f"LITENORM_STATUS_{s.name}", s.value) for s in Status],
        *x_macro("LITENORM_STATUS_X", [f"{s.name}, {s.value}, {quoted(s.text)}" for s in Status]),
        "",
        "/* Widths and limits of the arithmetic. */",
        define("LITENORM_REF_MAX_LENGTH", config.max_length),
        define("LITENORM_NORM_MAX_LENGTH", c.MAX_LENGTH_LAYERNORM),
        define("LITENORM_FRACTION_BITS", config.fraction_bits),
        define("LITENORM_SCALE_MULTIPLIER_BITS", c.SCALE_MULTIPLIER_BITS),
        define("LITENORM_SCALE_SHIFT_BITS", c.SCALE_SHIFT_BITS),
        define("LITENORM_SCALE_HEADROOM", c.SCALE_HEADROOM),
        define("LITENORM_OCTAVE_FRACTION_BITS", c.OCTAVE_FRACTION_BITS),
        define("LITENORM_SEGMENT_BITS", c.SEGMENT_BITS),
        define("LITENORM_GRID_BITS", c.GRID_BITS),
        define("LITENORM_EXP_BITS", c.EXP_BITS),
        define("LITENORM_RECIPROCAL_BITS", c.RECIPROCAL_BITS),
        define("LITENORM_EPS_BITS", c.EPS_BITS),
        define("LITENORM_ROOT_BITS", c.ROOT_BITS),
        define("LITENORM_GAIN_SHIFT", c.GAIN_SHIFT),
        define("LITENORM_NORM_LENGTH_BITS", c.NORM_LENGTH_BITS),
        define("LITENORM_NORM_FRACTION_BITS", c.NORM_FRACTION_BITS),
        define("LITENORM_MEAN_FRACTION_BITS", c.MEAN_FRACTION_BITS),
        define("LITENORM_X_OFFSET", c.X_OFFSET),
        define("LITENORM_AFFINE_SHIFT_BITS", c.AFFINE_SHIFT_BITS),
        define("LITENORM_BETA_SHIFT_BITS", c.BETA_SHIFT_BITS),
        "",
        "/* 2^-f over one octave, X(start, drop) for each chord, in units of 2^-LITENORM_GRID_BITS. */",
        *x_macro("LITENORM_EXP2_X", [f"{g}, {d}" for g, d in zip(c.exp2_grid()[:-1], c.exp2_drops(), strict=True)]),
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def write(directory, config=None):
    """Write `litenorm_defs.h` into `directory`, which is created; returns its path.

    An unchanged file is left alone, so that make and caches see no change; a changed one is replaced in one step.
    """
    path = Path(directory) / HEADER
    text = defs(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text() == text:
        return path
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=HEADER, delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
    return path


def define(name, value):
    return f"#define {name:<32} {f'({value})' if value < 0 else value}"


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def x_macro(name, rows):
    return [f"#define {name}(X) \\"] + [f"\tX({row})" + (" \\" if row is not rows[-1] else "") for row in rows]


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m litenorm.firmware.generate",
        description="Write litenorm_defs.h, the constants that the firmware shares with the core.",
        epilog="example: python -m litenorm.firmware.generate -o build/firmware",
    )
    parser.add_argument("-o", "--output", default=".", metavar="DIR", help="folder to write into (default: here)")
    parser.add_argument("--max-length", type=int, default=1024, help="longest row (default: 1024)")
    args = parser.parse_args(argv)
    try:
        ops = c.OPS if args.max_length <= c.MAX_LENGTH_LAYERNORM else ("softmax",)
        print(write(args.output, LiteNormConfig(max_length=args.max_length, ops=ops)))
    except (ValueError, OSError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
