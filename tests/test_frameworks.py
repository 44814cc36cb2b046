# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""bench/frameworks.py in ONNX Runtime; what it measures in PyTorch is in tests/torch."""

import io
import json
import sys

import pytest
from rich.console import Console

from litenorm.bench import frameworks

OPERATORS = {"Softmax", "QLinearSoftmax", "LayerNormalization", "SimplifiedLayerNormalization"}


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)


def test_every_operator_is_measured_beside_its_original(monkeypatch, without_torch, tmp_path, capsys):
    monkeypatch.setattr(frameworks, "ELEMENTS", 1 << 11)
    monkeypatch.setattr(frameworks, "LENGTHS", (64, 1024))
    path = tmp_path / "frameworks.json"
    assert frameworks.main(["--repeats", "1", "--json", str(path)]) == 0
    found = json.loads(path.read_text())["ONNX Runtime"]
    assert {(r["op"], r["n"]) for r in found} == {(op, n) for op in OPERATORS for n in (64, 1024)}
    assert all(r["litenorm"] > 0 and r["original"] > 0 for r in found)
    printed = capsys.readouterr()
    assert all(op in printed.out for op in OPERATORS)
    assert printed.err == "PyTorch is left out: pip install 'litenorm[torch]'\n"


def test_the_table_of_a_model_fits_80_columns():
    figures = {f"{kind}_{key}": value for kind in ("short", "long")
               for key, value in (("ms", 1234.0), ("cosine", 0.123456), ("worst_cosine", 0.123457))}
    console = Console(width=80, file=io.StringIO())
    console.print(frameworks.model_table("22.7 M parameters", [
        {"arithmetic": "s16/u16", "scales": scales} | figures for scales in ("of each row", "calibrated")]))
    for line in console.file.getvalue().splitlines()[-2:]:
        assert line.split()[-6:] == ["1234", "0.123456", "0.123457"] * 2


@pytest.mark.parametrize("arguments, says", [
    (["--repeats", "0"], "--repeats is 0"),
    (["--model", "nowhere"], "--model needs PyTorch and transformers: pip install"),
    (["--json", "nowhere/f.json"], "nowhere is not a folder"),
])
def test_what_is_wrong_is_one_line(without_torch, arguments, says, capsys):
    assert frameworks.main(arguments) == 1
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_without_either_framework_one_line_each_says_what_to_install(without_torch, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert frameworks.main([]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and sum("pip install" in line for line in lines) == 2
