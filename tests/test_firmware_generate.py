# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""litenorm_defs.h says what litenorm.accel says."""

import re
import subprocess

import pytest

from litenorm.accel import LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS
from litenorm.accel.status import Status
from litenorm.firmware import generate


def evaluate(directory, expressions):
    """Values of C integer expressions over litenorm_defs.h."""
    source = directory / "evaluate.c"
    prints = "".join(f'printf("%lld\\n", (long long)({e}));\n' for e in expressions)
    tables = "#define CHORD(start, drop) { start, drop },\nstatic const int chords[][2] = { LITENORM_EXP2_X(CHORD) };\n"
    includes = '#include <stdio.h>\n#include "litenorm_defs.h"\n'
    source.write_text(f"{includes}{tables}int main(void) {{\n{prints}return 0;}}\n")
    program = directory / "evaluate"
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", f"-I{directory}", source, "-o", program], check=True)
    return [int(line) for line in subprocess.run([program], check=True, capture_output=True).stdout.split()]


def test_c_sees_the_numbers_of_accel(tmp_path):
    generate.write(tmp_path)
    grid, drop = c.exp2_grid(), c.exp2_drops()
    expected = {
        "LITENORM_EXP_BITS": c.EXP_BITS,
        "LITENORM_FRACTION_BITS": LiteNormConfig().fraction_bits,
        "LITENORM_REF_MAX_LENGTH": 1024,
        "LITENORM_EPS_BITS": c.EPS_BITS,
        "LITENORM_OP_RMSNORM": c.OPS.index("rmsnorm"),
        "LITENORM_INPUT_S16": list(c.INPUTS).index("s16"),
        "sizeof(chords) / sizeof(chords[0])": len(drop),
    }
    expected |= {f"chords[{i}][0]": value for i, value in enumerate(grid[:-1])}
    expected |= {f"chords[{i}][1]": value for i, value in enumerate(drop)}
    expected |= {f"LITENORM_STATUS_{s.name}": s.value for s in Status}
    expected |= {f"LITENORM_FORMAT_{f.name.upper()}": f.code for f in FORMATS.values()}
    assert evaluate(tmp_path, expected) == list(expected.values())


def test_lists_are_in_order_of_code(tmp_path):
    text = generate.defs()
    assert [int(v) for v in re.findall(r"X\([A-Z0-9_]+, (\d+), \d+, -?\d+", text)] == list(range(len(FORMATS)))
    assert [int(v) for v in re.findall(r'X\([A-Z0-9_]+, (\d+), "', text)] == [s.value for s in Status]


def test_fraction_bits_follow_the_config():
    assert "LITENORM_FRACTION_BITS           14" in generate.defs(LiteNormConfig(max_length=4096, ops=("softmax",)))


def test_unchanged_header_is_left_alone(tmp_path):
    path = generate.write(tmp_path)
    before = path.stat().st_mtime_ns
    assert generate.write(tmp_path) == path and path.stat().st_mtime_ns == before
    path.write_text("old\n")
    generate.write(tmp_path)
    assert path.read_text() == generate.defs()
    assert [p.name for p in tmp_path.iterdir()] == ["litenorm_defs.h"]


def test_command_writes_the_header_and_rejects_what_cannot_be_built(tmp_path, capsys):
    generate.main(["-o", str(tmp_path)])
    assert (tmp_path / "litenorm_defs.h").read_text() == generate.defs()
    with pytest.raises(SystemExit) as stop:
        generate.main(["-o", str(tmp_path), "--max-length", "9999"])
    message = capsys.readouterr().err
    assert stop.value.code == 1 and "9999" in message and message.count("\n") == 1
