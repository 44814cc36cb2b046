# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""nn/train_gpt.py without PyTorch: the texts it cuts, and its refusals. Training itself is not part of the tests."""

import pytest

from litenorm.nn.train_gpt import main, split, write_texts

VERSE = "And it came to pass, that verse {} was as long as the others, and every one of them was counted.\n"


@pytest.fixture
def text():
    return "".join(VERSE.format(i) for i in range(20_000))


def test_the_end_of_the_text_is_held_out(text):
    training, held_out = split(text)
    assert training + held_out == text
    assert 0.049 < len(held_out) / len(text) < 0.05
    assert held_out.startswith("And it came to pass")


def test_a_text_of_one_line_is_cut_where_it_must(text):
    assert [len(part) for part in split("x" * 1000)] == [950, 50]


def test_excerpts_are_whole_verses_of_their_part(text, tmp_path):
    write_texts(tmp_path, text)
    training, held_out = split(text)
    calibration = (tmp_path / "calibration.txt").read_text()
    assert (tmp_path / "held_out.txt").read_text() == held_out
    assert all(line + "\n" in training for line in calibration.splitlines())
    assert 16 * 500 < len(calibration) < 16 * 700


@pytest.mark.parametrize("arguments", [["--heads", "3"], ["--steps", "0"], ["--context", "-1"]])
def test_bad_arguments_are_one_line(capsys, arguments):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("train_gpt: --dim is 128") and error.count("\n") == 1
