# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""`litenorm compare`: its measurements, its report, its files."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from litenorm.accel.formats import FORMATS
from litenorm.bench import compare as comparison
from litenorm.bench import plot, rows
from litenorm.bench.compare import compare
from litenorm.bench.peers import SoftmaxPeer
from litenorm.bench.score import LayerNormScore, SoftmaxScore
from litenorm.sim import cli

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def report():
    return compare(rows=600, seed=1, lengths=(64, 256))


def measured(report, peer, length):
    return next(r for r in report.softmax if r["peer"] == peer and r["length"] == length)


def run(capsys, *arguments):
    """(exit code, stdout, stderr) of `litenorm compare`."""
    code = cli.main(["compare", *map(str, arguments)])
    return code, *capsys.readouterr()


# Scores ------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_score_is_the_definition(data):
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(2, 9)))
    x = data.draw(hnp.arrays(np.int64, shape, elements=st.integers(-3, 3)))
    codes = data.draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 6)))
    exact = rows.softmax(x, 0.5)
    score = SoftmaxScore(8)
    score.add(x, codes, exact)
    got = score.result()
    inversions = flips = ties = 0
    for logits, out in zip(x.tolist(), codes.tolist(), strict=True):
        pairs = list(zip(logits, out, strict=True))
        inversions += sum(any(b < a and q > p for b, q in pairs) for a, p in pairs)
        best = max(p for a, p in pairs if a == max(logits))
        other = max((p for a, p in pairs if a < max(logits)), default=-1)
        flips, ties = flips + (other > best), ties + (other == best)
    off = np.abs(codes.sum(axis=1) / 8 - 1)
    assert (got["order_inversions"], got["argmax_flips"], got["argmax_ties"]) == (inversions, flips, ties)
    assert got["max_sum_error"] == pytest.approx(off.max()) and got["mean_sum_error"] == pytest.approx(off.mean())
    error = np.abs(codes / 8 - exact)
    assert got["max_error"] == pytest.approx(error.max()) and got["mean_error"] == pytest.approx(error.mean())
    assert got["wrong_sums"] == (codes.sum(axis=1) != 8).sum()


def test_undefined_rows_are_counted_and_left_out():
    x = np.array([[1, 0], [1, 0]])
    score = SoftmaxScore(4)
    score.add(x, np.array([[-1, -1], [3, 1]]), rows.softmax(x, 1.0))
    assert score.result()["undefined_rows"] == 1 and score.result()["max_sum_error"] == 0
    nothing = SoftmaxScore(4)
    nothing.add(x, np.full((2, 2), -1), rows.softmax(x, 1.0))
    assert nothing.result()["max_sum_error"] is None


def test_layernorm_score():
    score = LayerNormScore()
    score.add(np.array([[-2.0, 2.0], [1.5, 0.5]]), np.array([[-1.0, 1.0], [1.0, -1.0]]))
    assert score.result() == {"rows": 2, "max_sigma_error": 1.0, "max_mean": 1.0, "max_error": 1.5}
    assert LayerNormScore().result()["max_error"] is None


# Rows --------------------------------------------------------------------------------------------------------


def test_rows_are_those_of_the_seed():
    first, again, other = (np.concatenate(list(rows.logits(5000, 100, seed))) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.shape == (5000, 100) and first.min() >= -128 and first.max() <= 127
    assert first.std() * rows.SCALE == pytest.approx(rows.LOGIT_SD, rel=0.01)


def test_activations_have_no_constant_row():
    x = np.concatenate(list(rows.activations(4000, 2, 1, "s8")))
    assert 0 < len(x) < 4000 and (x.min(axis=1) < x.max(axis=1)).all()


def test_references():
    x = np.array([[0, 1, 3]])
    assert rows.softmax(x, 0.5).sum() == pytest.approx(1) and rows.softmax(x, 0.5)[0, 2] > 0.6
    y = rows.layernorm(x)
    assert y.mean() == pytest.approx(0) and y.std() == pytest.approx(1)


# Report ------------------------------------------------------------------------------------------------------


def test_every_litenorm_row_is_exact(report):
    assert report.ok
    for name in FORMATS:
        for length in (64, 256):
            result = measured(report, f"litenorm_{name}", length)
            assert result["max_sum_error"] == result["mean_sum_error"] == result["wrong_sums"] == 0
            assert result["max_inversion_ulp"] <= 1
    assert all(r["max_mean"] == 0 for r in report.layernorm if r["peer"] == "litenorm")
    assert all(r["sum_of_codes"] == r["total"] for r in report.named if r["peer"].startswith("litenorm"))


def test_no_peer_is_exact(report):
    """The measurement can tell: on the same rows each peer has rows that do not sum to 1."""
    for peer in comparison.SOFTMAX_PEERS:
        assert measured(report, peer.name, 256)["wrong_sums"] > 0, peer.name


def test_named_rows(report):
    total = {(r["row"], r["peer"]): r["sum"] for r in report.named}
    assert total["384 equal", "tflite_s8"] == 1.5
    assert total["511 equal", "tflite_s8"] == pytest.approx(1.996, abs=5e-4)
    assert total["512 equal", "tflite_s8"] is total["1024 equal", "tflite_s8"] is None
    assert total["one-hot", "tflite_s8"] == 255 / 256
    assert total["1024 equal", "softermax"] == total["1024 equal", "itamax"] == total["1024 equal", "ibert"] == 0


def test_json_has_every_measurement(report):
    result = json.loads(json.dumps(report.json(), allow_nan=False))
    assert set(result) == {"rows", "seed", "lengths", "scale", "logit_sd", "sources", "softmax", "named_rows",
                           "layernorm", "exact"}
    assert len(result["softmax"]) == 2 * len(report.peers) and result["exact"] is True
    assert set(result["softmax"][0]) == {
        "peer", "length", "total", "rows", "undefined_rows", "wrong_sums", "max_sum_error", "mean_sum_error",
        "mean_signed_sum_error", "max_error", "mean_error", "max_error_ulp", "argmax_flips", "argmax_ties",
        "order_inversions", "order_inversion_share", "max_inversion_ulp"}
    assert set(result["named_rows"][0]) == {"row", "length", "peer", "sum_of_codes", "total", "sum"}
    assert set(result["layernorm"][0]) == {
        "peer", "length", "input", "rows", "max_sigma_error", "max_mean", "max_error"}
    assert set(result["sources"]) == {r["peer"] for r in result["softmax"] + result["layernorm"]}


def test_tables_fit_80_characters_and_are_not_cut(report, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    report.show()
    text = capsys.readouterr().out
    assert "…" not in text and max(map(len, text.splitlines())) <= 80
    assert "undefined" in text and "1.9961" in text


def test_markdown_has_whole_tables(report):
    text = report.markdown("litenorm compare", "compare.svg")
    assert "![largest |sum-1| over the row length](compare.svg)" in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({line.replace(r"\|", "").count("|") for line in block.splitlines()}) == 1, block
    assert "![" not in report.markdown("litenorm compare", None)


# Command -----------------------------------------------------------------------------------------------------


def test_command_writes_its_files(capsys, tmp_path):
    files = [tmp_path / name for name in ("c.json", "c.svg", "c.png", "c.md")]
    code, out, err = run(capsys, "--rows", 20, "--lengths", "8,64", "--json", files[0], "--plot", files[1], "--plot",
                         files[2], "--markdown", files[3])
    assert code == 0 and err == "" and "exactly" in out
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert json.loads(files[0].read_text())["lengths"] == [8, 64]
    assert files[1].read_text().lstrip().startswith("<?xml") and files[2].read_bytes().startswith(b"\x89PNG")
    assert "litenorm compare --rows 20 --seed 1 --lengths 8,64" in files[3].read_text()


@pytest.mark.parametrize("arguments, message", [
    (("--rows", 0), "rows is 0; good: 1 to 1000000"),
    (("--seed", -1), "seed is -1; good: 0 or more"),
    (("--lengths", "64,1025"), "good: different row lengths from 2 to 1024"),
    (("--lengths", "64,64"), "good: different row lengths from 2 to 1024"),
    (("--plot", "c.pdf"), "name it .svg or .png"),
    (("--json", "nowhere/c.json"), "nowhere is not a folder"),
    (("--markdown", "nowhere/c.md"), "nowhere is not a folder"),
])
def test_bad_argument_is_one_line_and_writes_nothing(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code == 1 and out == "" and err.count("\n") == 1 and message in err
    assert list(tmp_path.iterdir()) == []


def test_lengths_that_are_no_numbers(capsys):
    with pytest.raises(SystemExit) as stopped:
        run(capsys, "--lengths", "64,x")
    assert stopped.value.code == 2 and "is not a list of row lengths" in capsys.readouterr().err


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as stopped:
        run(capsys, "--help")
    assert stopped.value.code == 0 and "litenorm compare --lengths" in capsys.readouterr().out


def test_one_wrong_row_fails_the_command(capsys, monkeypatch):
    """A LiteNorm whose last code is one too large in one row of all: exit 1, and the report says so."""
    right = comparison.LITENORM_SOFTMAX[0]
    calls = []

    def codes(x, scale):
        result = right.codes(x, scale)
        if not calls:
            result[-1, -1] += 1
        calls.append(1)
        return result

    wrong = SoftmaxPeer(right.name, right.label, right.source, right.total, codes, right.family)
    monkeypatch.setattr(comparison, "LITENORM_SOFTMAX", (wrong, *comparison.LITENORM_SOFTMAX[1:]))
    code, out, _ = run(capsys, "--rows", 10, "--lengths", "16")
    assert code == 1 and "NOT exact" in out


def test_a_mean_that_is_not_zero_fails(monkeypatch):
    right = comparison.LITENORM_LAYERNORM
    wrong = type(right)(right.name, right.label, right.source, lambda x: right.norm(x) + 2**-20, right.inputs)
    monkeypatch.setattr(comparison, "LITENORM_LAYERNORM", wrong)
    assert not compare(rows=5, lengths=(16,)).ok


# Plot --------------------------------------------------------------------------------------------------------


def test_plot_is_the_same_for_the_same_results(report, tmp_path):
    paths = [tmp_path / name for name in ("a.svg", "b.svg", "a.png", "b.png")]
    plot.save(report, paths[::2])
    plot.save(report, paths[1::2])
    assert paths[0].read_bytes() == paths[1].read_bytes() and paths[2].read_bytes() == paths[3].read_bytes()


def test_plot_shows_zero_in_its_own_strip(report):
    """LiteNorm's points stand at 0 below the logarithmic axis; every value of a peer stands on that axis."""
    figure = plot.draw(report)
    axis, zero = figure.axes
    assert axis.get_yscale() == "log" and zero.get_yscale() == "linear"
    assert any("exactly 0" in text.get_text() for text in zero.texts)
    strip = [line for line in zero.lines if line.get_color() == plot.COLOURS["litenorm"]]
    assert len(strip) == 1 and list(strip[0].get_ydata()) == [0, 0]
    drawn = {float(y) for line in axis.lines for y in np.asarray(line.get_ydata(), float)}
    for peer in comparison.SOFTMAX_PEERS:
        assert {measured(report, peer.name, n)["max_sum_error"] for n in (64, 256)} <= drawn, peer.name
    plot.plt.close(figure)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_labels_are_moved_apart_in_order(positions):
    placed = plot.spread(positions, 0.05)
    assert len(placed) == len(positions)
    order = sorted(range(len(positions)), key=positions.__getitem__)
    gaps = np.diff([placed[i] for i in order])
    assert (gaps > 0.05 - 1e-9).all() and (not placed or max(placed) <= 1 + 1e-9)


# Document ----------------------------------------------------------------------------------------------------


def test_document_is_what_the_command_prints():
    """The tables of N = 64 and of the rows with a name, with the document's own number of rows and seed."""
    text = (DOCS / "compare.md").read_text()
    count, seed = map(int, re.search(r"litenorm compare --rows (\d+) --seed (\d+)", text).groups())
    tables = compare(count, seed, (64,)).tables()
    assert tables[0].markdown() in text, "docs/compare.md is not of this code: run make compare"
    assert tables[1].markdown() in text, "docs/compare.md is not of this code: run make compare"
    assert (DOCS / "compare.svg").exists() and (DOCS / "compare.png").exists()
