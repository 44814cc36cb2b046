# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""nn/eval: rows of integers, calibration, alignment of the keys, and a short form of each target of `litenorm eval`."""

import json

import numpy as np
import pytest

from litenorm.accel import model
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale
from litenorm.bench.peers import SOFTMAX_PEERS
from litenorm.nn import digits
from litenorm.nn.checkpoint import load_checkpoint
from litenorm.nn.eval import arithmetic, measure
from litenorm.nn.eval.align import align_keys
from litenorm.nn.eval.arithmetic import ARITHMETICS, FLOAT, Runner, exp2_table, softmax_codes
from litenorm.nn.eval.calibration import LogitsScale, NormScale, head_scales
from litenorm.nn.eval.forward import calibrate, hidden, logits
from litenorm.nn.eval.report import Report, targets
from litenorm.nn.layer import layer_norm, softmax
from litenorm.nn.workload import DATA
from litenorm.sim.cli import main

OURS = [a for a in ARITHMETICS if a.family == "litenorm"]
ENDS = "[CLS] [SEP]".split()


def some(*names):
    return [FLOAT, *(a for a in ARITHMETICS if a.name in names)]


# Rows of integers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("bits", [8, 16])
def test_the_table_softmax_is_the_model(fmt, bits):
    """Random rows of all spreads and lengths, the row of equal logits, one-hot rows, and whole ranges."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        n, limit = int(rng.integers(2, 200)), 1 << (bits - 1)
        spread = np.exp(rng.uniform(0, np.log(limit), (60, 1)))
        x = np.clip(np.rint(rng.normal(0, spread, (60, n))), -limit, limit - 1).astype(np.int64)
        x[0], x[1], x[2] = 5, -limit, limit - 1
        x[1, n // 2] = limit - 1
        lengths = rng.integers(2, n + 1, 60)
        scale = Scale.from_real(float(np.exp(rng.uniform(np.log(1e-4), np.log(0.5)))))
        got = softmax_codes(x, lengths, exp2_table(scale, bits), FORMATS[fmt])
        assert np.array_equal(got + FORMATS[fmt].zero_point, model.softmax(x, scale, fmt, length=lengths)), seed


def test_chunks_do_not_change_the_rows(monkeypatch):
    rng = np.random.default_rng(1)
    x, lengths = rng.integers(-128, 128, (50, 33)), rng.integers(1, 34, 50)
    whole = {a.name: a.softmax(x, lengths, 0.05) for a in ARITHMETICS[1:]}
    monkeypatch.setattr(arithmetic, "CHUNK", 100)
    for a in ARITHMETICS[1:]:
        assert np.array_equal(a.softmax(x, lengths, 0.05), whole[a.name]), a.name


@pytest.mark.parametrize("a", [a for a in ARITHMETICS if a.family not in ("litenorm", "exact", "float32")],
                         ids=lambda a: a.name)
def test_peers_see_the_valid_elements_alone(a):
    """Each row is what `litenorm compare`'s implementation gives for its valid elements."""
    peer = {p.name: p for p in SOFTMAX_PEERS}[a.name]
    rng = np.random.default_rng(2)
    x, lengths = rng.integers(-128, 128, (40, 20)), rng.integers(1, 21, 40)
    got = a.softmax(x, lengths, 0.06)
    for row, n, codes in zip(x, lengths, got, strict=True):
        assert np.array_equal(codes[:n], peer.codes(row[None, :n], 0.06)[0]) and not codes[n:].any()
    assert a.total == peer.total


def test_layernorm_is_the_model_within_its_formats():
    rng = np.random.default_rng(3)
    x = rng.normal(0.3, 2, (40, 96)).astype(np.float32)
    gamma, beta = rng.uniform(0.5, 2, 96).astype(np.float32), rng.normal(0, 0.3, 96).astype(np.float32)
    exact = layer_norm(x, gamma, beta, 1e-5)
    scales = NormScale(float(np.abs(x).max()) / 32767, float(np.abs(exact).max()) * 1.5 / 32767)
    got = arithmetic.litenorm_norm(x, gamma, beta, 1e-5, scales)
    # One LSB of Q5.10 and of sigma's bound, at the largest output.
    assert np.abs(got - exact).max() < 2 * (2**-10 * 2 + np.abs(exact).max() * 2**-10)
    for a in ARITHMETICS:
        if a.norm is not None:
            error = np.abs(a.norm(x, gamma, beta, 1e-5, scales) - exact).max()
            assert error < (1 if a.name in ("sole", "ibert") else 0.02), a.name


# Calibration -------------------------------------------------------------------------------------------------------


def test_s8_ranges_follow_the_rows():
    """A head whose rows reach far down is covered where the probability is; its codes are monotonic in the logits."""
    rng = np.random.default_rng(4)
    rows = rng.normal(0, 2, (300, 50)).astype(np.float32)
    rows[:, 0] = -300.0
    scales = head_scales([rows])
    assert scales["s8"].bits == 8 and scales["s16"].bits == 16
    assert scales["s8"].scale < 0.15    # 300 / 255 would be 1.2
    codes = scales["s8"].codes(np.sort(rows[0]))
    assert (np.diff(codes) >= 0).all() and -128 <= codes.min() <= codes.max() <= 127
    assert np.abs(rows).max() < 32767 * scales["s16"].scale


def test_masked_logits_are_the_smallest_code():
    assert LogitsScale(0.1, 0.0, 8).codes(np.array([-np.inf, 0.0], np.float32)).tolist() == [-128, 0]


def test_aligned_keys_leave_the_model_as_it_is():
    """The change of the key biases is one that softmax does not see, and it narrows the s8 ranges."""
    gpt, rng = load_checkpoint(DATA), np.random.default_rng(5)
    text = (DATA / "calibration.txt").read_text()
    tokens = np.array([gpt.encode(text[i : i + 96]) for i in range(0, 2000, 250)])
    aligned = align_keys(gpt, [tokens])
    other = rng.integers(0, 63, (2, 64))
    runner = Runner(FLOAT, None)
    assert np.allclose(logits(gpt, other, runner), logits(aligned, other, runner), atol=2e-4)
    steps = [np.mean([head["s8"].scale for heads in calibrate(m, [tokens]).logits.values() for head in heads])
             for m in (gpt, aligned)]
    assert steps[1] < 0.9 * steps[0]


def test_float32_is_the_model_itself():
    gpt = load_checkpoint(DATA)
    tokens = gpt.encode((DATA / "held_out.txt").read_text()[:50])
    got = hidden(gpt, [tokens, tokens[::-1]], Runner(FLOAT, None))
    assert np.allclose(got[0], gpt.layer_input(tokens, len(gpt.layers)), atol=1e-4)
    assert np.allclose(got[1], gpt.layer_input(tokens[::-1], len(gpt.layers)), atol=1e-4)


# Measurements ------------------------------------------------------------------------------------------------------


def test_perplexity_and_its_error_by_hand():
    reference = np.log([[2.0, 4.0], [2.0, 2.0]])
    change = measure.perplexity_change(reference + [[0.01, 0.03], [0.02, 0.04]], reference)
    assert change["perplexity_percent"] == pytest.approx(100 * np.expm1(0.025))
    assert change["perplexity_percent_error"] == pytest.approx(100 * np.exp(0.025) * 0.005)
    values = np.array([[[0.0, np.log(3.0)]]])
    assert measure.negative_log_likelihood(values, np.array([[1]]))[0, 0] == pytest.approx(np.log(4 / 3))


def test_changes_of_predictions_and_ranks_by_hand():
    change = measure.prediction_change(np.array([[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]),
                                       np.array([[2, 1, 3, 4, 5], [1, 2, 3, 4, 9]]))
    assert change == {"argmax_flips_percent": 50.0, "top5_percent": 90.0}
    assert measure.rank_correlation(np.array([1.0, 2, 3]), np.array([10.0, 30, 20])) == pytest.approx(0.5)


def test_gpt_targets_in_short():
    """16 windows: the formats' order, exact sums, and no more change than the targets and four standard errors."""
    part = measure.measure_gpt(some("litenorm_s8_u8", "litenorm_s8_u16", "litenorm_s16_u16", "ibert"), windows=16)
    found = {r["arithmetic"]: r for r in part.results}
    assert 2.8 < found["float32"]["perplexity"] < 3.4
    for a in OURS:
        r = found[a.name]
        assert r["wrong_sums"] == 0 and r["softmax_rows"] == 16 * 128 * 3 * 4
        assert r["perplexity_percent"] < a.targets["perplexity_percent"] + 4 * r["perplexity_percent_error"]
        assert r["argmax_flips_percent"] < 2 and r["top5_percent"] > 98
    assert abs(found["litenorm_s16_u16"]["perplexity_percent"]) < 0.01
    assert found["ibert"]["perplexity_percent"] > 0.2 and found["ibert"]["wrong_sums"] > 0


def test_digits_targets():
    """All images, which are in tests/data, with one classifier of each fold: accuracy within 0.1 point of float32's."""
    data = np.load(DATA.parent.parent / "tests" / "data" / "digits.npz")
    images, labels = (data[name].astype(np.int64) for name in ("images", "labels"))
    part = measure.measure_digits(some(*(a.name for a in OURS)), seeds=digits.SEEDS[:1], data=(images, labels))
    assert part.facts["images"] == part.facts["classifications"] == 1797
    assert part.results[0]["accuracy_percent"] > 92
    for r in part.results[1:]:
        assert r["wrong_sums"] == 0 and r["softmax_rows"] == 1797 * 64 * 2 * 4
        assert r["argmax_flips_percent"] <= 0.5 and r["top5_percent"] > 98, r
    assert all(target.held for target in targets(part))


def test_no_image_is_classified_by_what_was_trained_on_it():
    count = np.arange(1797)
    parts = [[set(count[part]) for part in digits.split(fold)] for fold in digits.FOLDS]
    assert all(not training & evaluation and len(training | evaluation) == 1797 for training, evaluation in parts)
    assert parts[0][1] | parts[1][1] == set(count)
    assert all(digits.weights_file(fold, seed).is_file() for fold in digits.FOLDS for seed in digits.SEEDS)


def test_accuracy_and_its_error_by_hand():
    reference = np.array([[True, True, False, True], [True, False, False, True]])
    change = measure.accuracy_change(np.array([[True, True, True, True], [True, False, False, False]]), reference)
    assert change["accuracy_percent"] == 75 - 12.5 and change["accuracy_points"] == 0
    assert change["accuracy_points_error"] == pytest.approx(100 * np.sqrt((0.5**2 + 0.5**2) / 3 / 4))
    merged = measure.merge_sums([{"softmax_rows": 2, "max_sum_error": 0.5}, {"softmax_rows": 3, "max_sum_error": 0.1}])
    assert merged == {"softmax_rows": 5, "max_sum_error": 0.5} and measure.merge_sums([{}, {}]) == {}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A BERT folder with random weights whose words are those of the project's texts: sums matter, meaning does not."""
    from safetensors.numpy import save_file

    folder = tmp_path_factory.mktemp("encoder")
    texts = " ".join((DATA / name).read_text() for name in ("sentences.txt", "calibration.txt", "held_out.txt"))
    spaced = "".join(c if c.isalpha() else f" {c} " for c in texts)
    words = ["[PAD]", "[UNK]", *ENDS, *sorted(set(spaced.lower().split()))]
    dim, hidden_dim, heads, positions = 64, 96, 2, 512
    config = {"model_type": "bert", "hidden_size": dim, "num_hidden_layers": 1, "num_attention_heads": heads,
              "intermediate_size": hidden_dim, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "vocab_size": len(words),
              "max_position_embeddings": positions, "type_vocab_size": 2}
    rng, tensors = np.random.default_rng(6), {}
    shapes = {"embeddings.word_embeddings.weight": (len(words), dim), "embeddings.LayerNorm": (dim,),
              "embeddings.position_embeddings.weight": (positions, dim),
              "embeddings.token_type_embeddings.weight": (2, dim)}
    at = "encoder.layer.0."
    shapes |= {f"{at}attention.self.{n}": (dim, dim) for n in ("query", "key", "value")}
    shapes |= {f"{at}attention.output.dense": (dim, dim), f"{at}attention.output.LayerNorm": (dim,),
               f"{at}intermediate.dense": (hidden_dim, dim), f"{at}output.dense": (dim, hidden_dim),
               f"{at}output.LayerNorm": (dim,)}
    for name, shape in shapes.items():
        values = rng.normal(0, 0.12, shape).astype(np.float32)
        if name.endswith(".weight"):
            tensors[name] = values
        else:
            tensors[f"{name}.weight"] = values + name.endswith("LayerNorm")
            tensors[f"{name}.bias"] = rng.normal(0, 0.1, shape[0]).astype(np.float32)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_sentence_targets_in_short(encoder):
    """512 tokens and u8: the vectors keep their direction; an arithmetic whose sums are off does not do as well."""
    part = measure.measure_sentences(encoder, some("litenorm_s8_u8", "litenorm_s16_u16", "tflite_s8"), short=6, long=3)
    found = {r["arithmetic"]: r for r in part.results}
    assert part.facts["long_tokens"] == 512
    assert found["float32"]["long_cosine"] == pytest.approx(1)
    for name in ("litenorm_s8_u8", "litenorm_s16_u16"):
        assert found[name]["wrong_sums"] == 0
        assert found[name]["long_cosine"] >= 0.9995 and found[name]["short_cosine"] >= 0.9995
        assert found[name]["short_rank_correlation"] > 0.9
    assert found["tflite_s8"]["max_sum_error"] > 0.1
    assert found["tflite_s8"]["long_cosine"] < found["litenorm_s8_u8"]["long_cosine"]


def test_undefined_rows_are_counted_and_replaced():
    """512 equal logits: TFLite's kernels leave the row undefined."""
    a = next(a for a in ARITHMETICS if a.name == "tflite_s8")
    runner = Runner(a, None)
    p = runner._probabilities(np.zeros((2, 512), np.int64), np.array([512, 512]), 0.1)
    assert runner.undefined == 2 and np.allclose(p, 1 / 512)


@pytest.fixture
def missed():
    """A Report with one result that misses its target and has a wrong sum."""
    result = {"arithmetic": "litenorm_s8_u8", "perplexity": 3.0, "perplexity_percent": 0.2,
              "perplexity_percent_error": 0.01, "argmax_flips_percent": 1.0, "top5_percent": 99.0, "softmax_rows": 10,
              "wrong_sums": 1, "max_sum_error": 0.1, "undefined_rows": 0}
    base = {k: v for k, v in result.items() if not k.endswith(("rows", "sums", "error"))} | {"arithmetic": "float32"}
    base |= {"perplexity_percent": 0.0, "perplexity_percent_error": 0.0}
    part = measure.Part("gpt", "gpt", {"windows": 2, "tokens": 256, "calibration_tokens": 100}, [base, result],
                        "litenorm eval")
    return Report([part])


def test_what_is_missed_is_said(missed):
    report = missed
    assert [t.held for t in report.targets] == [False, False] and not report.ok
    assert "MISSED  LiteNorm s8/u8: perplexity +0.200 %, at most +0.10 %" in report.verdict()
    page = report.markdown("eval.svg")
    assert "| LiteNorm s8/u8 | s16 | 3.0000 | +0.200 |" in page and "![" in page
    assert json.loads(json.dumps(report.json()))["ok"] is False


def test_runs_are_joined_from_their_json(missed, tmp_path, capsys):
    """The page of a run that is read from its JSON is that of the run; a file that is none is one line."""
    (tmp_path / "gpt.json").write_text(json.dumps(missed.json()))
    assert main(["eval", "--join", str(tmp_path / "gpt.json"), "--markdown", str(tmp_path / "eval.md")]) == 1
    assert (tmp_path / "eval.md").read_text() == missed.markdown(None)
    (tmp_path / "other.json").write_text("{}")
    capsys.readouterr()
    for arguments, says in ((["--join", str(tmp_path / "other.json")], "other.json is not a JSON file of"),
                            (["--join", str(tmp_path / "gpt.json"), "--windows", "9"], "--join measures nothing")):
        assert main(["eval", *arguments]) == 1
        error = capsys.readouterr().err
        assert says in error and error.count("\n") == 1


# Command -----------------------------------------------------------------------------------------------------------


def test_the_command_writes_all_it_was_asked_for(tmp_path, capsys):
    names = {kind: tmp_path / f"eval.{kind}" for kind in ("json", "md", "png", "svg")}
    code = main(["eval", "--only", "gpt", "--windows", "2", "--json", str(names["json"]),
                 "--markdown", str(names["md"]), "--plot", str(names["png"]), "--plot", str(names["svg"])])
    found = json.loads(names["json"].read_text())
    assert code == (0 if found["ok"] else 1)    # two windows are too few for the targets to be sure
    assert [r["arithmetic"] for r in found["gpt"]["results"]] == [a.name for a in ARITHMETICS]
    assert all(r["wrong_sums"] == 0 for r in found["gpt"]["results"] if r["arithmetic"].startswith("litenorm"))
    assert "litenorm eval --only gpt --windows 2" in names["md"].read_text()
    assert names["png"].read_bytes().startswith(b"\x89PNG") and "<svg" in names["svg"].read_text()
    assert "perplexity" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, says", [
    (["--only", "sentences"], "sentences need --checkpoint DIR"),
    (["--only", "gpt", "--checkpoint", "."], "--checkpoint belongs to sentences"),
    (["--only", "gpt", "--windows", "1"], "2 or more windows"),
    (["--only", "sentences", "--checkpoint", "nowhere"], "nowhere is not a folder"),
    (["--only", "sentences", "--checkpoint", str(DATA)], "no sentence encoder"),
    (["--only", "gpt", "--plot", "eval.pdf"], "eval.pdf is neither .svg nor .png"),
])
def test_bad_arguments_are_one_line(arguments, says, capsys):
    assert main(["eval", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("litenorm: error: ") and says in error and error.count("\n") == 1


def test_an_unknown_part_is_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["eval", "--only", "gpt,images"])
    assert stop.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_without_scikit_learn_one_line_says_what_to_install(monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert main(["eval", "--only", "digits"]) == 1
    error = capsys.readouterr().err
    assert "pip install scikit-learn==" in error and error.count("\n") == 1


def test_the_release_of_scikit_learn_is_the_pinned_one():
    """The instruction and the requirements file name one release."""
    root = DATA.parent.parent
    pin = next(line for line in (root / "requirements-eval.txt").read_text().splitlines() if "scikit-learn==" in line)
    assert pin.split()[0] == digits.REQUIREMENT


def test_probabilities_of_float32_are_its_softmax():
    x = np.random.default_rng(7).normal(0, 2, (2, 3, 4, 4)).astype(np.float32)
    assert np.array_equal(Runner(FLOAT, None).softmax(x, np.full(4, 4), 0), softmax(x))
