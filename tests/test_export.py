# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/export.py: the Verilog of every choice of operations, read by Icarus and Verilator, and the command."""

import functools
import os
import re
import subprocess
import sys

import pytest

from litenorm.accel import LiteNorm, LiteNormConfig, export
from litenorm.accel import constants as c
from litenorm.sim.cli import main
from litenorm.sim.verilog import to_verilog

CONFIGS = {
    **{op: LiteNormConfig(ops=op) for op in c.OPS},
    "all": LiteNormConfig(),
    "without_affine": LiteNormConfig(lanes=16, max_length=64, affine=False),
    "smallest": LiteNormConfig(lanes=1, max_length=2, inputs="s8", formats="u8_255"),
    "one_beat": LiteNormConfig(lanes=16, max_length=16, short_rows=True),
    "long": LiteNormConfig(lanes=8, max_length=4096, ops="softmax"),
}
# What LiteX's generator writes by design: `<=` in combinational blocks, cases with a default in front of them,
# constants as narrow as their value, and every field of a stream, used or not.
WAIVED = ["-Wno-COMBDLY", "-Wno-CASEINCOMPLETE", "-Wno-CMPCONST", "-Wno-WIDTH", "-Wno-UNUSEDSIGNAL"]
DECLARATION = re.compile(r"^\s*(?:(input|output)\s+)?(?:wire|reg)\s+(?:signed\s+)?(?:\[[^]]*\])?\s*(\w+)", re.M)


@functools.cache
def text_of(name):
    return export.verilog(CONFIGS[name], f"litenorm_{name}")


def ports(text):
    return {(direction, name) for direction, name in DECLARATION.findall(text) if direction}


def stream_ports(name, fields, into):
    """Ports of a stream into (or out of) the module."""
    forward, back = ("input", "output") if into else ("output", "input")
    return {(forward, f"{name}_{field}") for field in ("valid", "first", "last", *fields)} | {(back, f"{name}_ready")}


@pytest.mark.parametrize("name", CONFIGS)
def test_icarus_reads_it_as_verilog_2005(name, tmp_path):
    path = tmp_path / "core.v"
    path.write_text(text_of(name))
    done = subprocess.run(["iverilog", "-g2005", "-Wall", "-tnull", path], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout + done.stderr


@pytest.mark.parametrize("name", CONFIGS)
def test_verilator_lint(name, tmp_path):
    """No warning of Verilator's full list but those that LiteX's generator gives by design."""
    path = tmp_path / f"litenorm_{name}.v"
    path.write_text(text_of(name))
    done = subprocess.run(["verilator", "--lint-only", "-Wall", *WAIVED, path], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout + done.stderr


@pytest.mark.parametrize("name", CONFIGS)
def test_ports(name):
    config, text = CONFIGS[name], text_of(name)
    params = ["op", "format", "length", "scale_multiplier", "scale_shift", "eps", "affine", "out_s8", "affine_shift",
              "beta_shift"]
    expected = stream_ports("sink", ["payload_data", *(f"param_{p}" for p in params)], True)
    expected |= stream_ports("source", ["payload_data"], False)
    if config.has_affine:
        expected |= stream_ports("weights", ["payload_data", "param_beta"], True)
    expected |= {("input", "sys_clk"), ("input", "sys_rst")}
    expected |= {("output", n) for n in ("row_done", "row_error", "constant_row")}
    assert ports(text) == expected
    assert re.findall(r"^module (\w+)", text, re.M) == [f"litenorm_{name}"]


@pytest.mark.parametrize("name", CONFIGS)
def test_header_and_nothing_of_the_machine(name):
    """The header tells the configuration; no date, no path, no other comment."""
    text = text_of(name)
    header, body = text.split("\n\n", 1)
    config = CONFIGS[name]
    assert all(line.startswith("// ") for line in header.split("\n"))
    assert "SPDX-License-Identifier: BSD-2-Clause" in header
    assert f"lanes {config.lanes}; max_length {config.max_length};" in header and ", ".join(config.ops) in header
    assert "//" not in body and "/*" not in body
    assert not re.search(r"\d{4}-\d\d|\d\d:\d\d:\d\d|(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ", text)
    assert os.getcwd() not in text and "initial begin" not in body      # a memory's contents would be a file


@pytest.mark.parametrize("name", CONFIGS)
def test_names_are_readable(name):
    """Every name says what it is and where: none is left to the generator, and none is that of a loop variable."""
    names = [n for _, n in DECLARATION.findall(text_of(name))]
    assert len(names) > 200 and len(names) == len(set(names))
    placeholders = re.compile(r"slice_proxy|array_muxed|basiclowerer|litex_obj|(^|_)(self|result|j)\d*$|"
                              r"^(statistics|exp|constants|normalizer|requantize)\d+$")
    assert not [n for n in names if placeholders.search(n)]
    assert max(map(len, names)) <= 64


def test_the_same_text_on_each_call():
    assert export.verilog(LiteNormConfig(), "litenorm_all") == text_of("all")


def test_the_same_text_in_each_process():
    """Whatever the order of Python's sets."""
    program = ("import sys; from litenorm.accel import LiteNormConfig, export; "
               "sys.stdout.write(export.verilog(LiteNormConfig(ops='softmax'), 'litenorm_softmax'))")
    for seed in ("1", "2"):
        done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed},
                              capture_output=True, text=True, check=True)
        assert done.stdout == text_of("softmax")


def test_it_is_the_verilog_that_the_tests_simulate():
    config = CONFIGS["all"]
    core = LiteNorm(config)
    signals = [core.row_done, core.row_error, core.constant_row]
    signals += [s for e in (core.sink, core.source, core.weights) for s in e.flatten()]
    body = text_of("all").split("\n\n", 1)[1]
    assert body.split() == to_verilog(core, "litenorm_all", signals).split()


# The command -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [*c.OPS, "all"])
def test_command(op, tmp_path, capsys):
    folder = tmp_path / "new" / "rtl"
    arguments = ["verilog", "--op", op, "--lanes", "2", "--max-length", "64", "-o", str(folder)]
    assert main(arguments) == 0
    name = "litenorm" if op == "all" else f"litenorm_{op}"
    assert [p.name for p in folder.iterdir()] == [f"{name}.v"]      # no temporary file is left
    text = (folder / f"{name}.v").read_text()
    config = LiteNormConfig(lanes=2, max_length=64, ops=c.OPS if op == "all" else op)
    assert text == export.verilog(config, name)
    assert capsys.readouterr().out == f"{folder / name}.v: {text.count(chr(10))} lines\n"
    # A second call overwrites it with the same.
    assert main(arguments) == 0 and (folder / f"{name}.v").read_text() == text


@pytest.mark.parametrize("arguments,text", [
    (["--lanes", "3"], "lanes is 3; good: 1, 2, 4, 8, 16"),
    (["--max-length", "2048"], "max_length is 2048; good: 2 to 1024"),
])
def test_command_refuses(arguments, text, tmp_path, capsys):
    assert main(["verilog", *arguments, "-o", str(tmp_path / "rtl")]) == 1
    error = capsys.readouterr().err
    assert text in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_command_leaves_nothing_behind_when_it_fails(tmp_path, capsys):
    (tmp_path / "litenorm.v").mkdir()       # the file cannot take this name
    assert main(["verilog", "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["litenorm.v"]


def test_command_refuses_an_unknown_operation(capsys):
    with pytest.raises(SystemExit) as error:
        main(["verilog", "--op", "gelu"])
    assert error.value.code == 2 and "invalid choice: 'gelu'" in capsys.readouterr().err
