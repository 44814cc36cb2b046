# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What is measured on each model: functions that give one dictionary an arithmetic, as they stand in the JSON.

All take `arithmetics`, of which the first is float32, and `progress`, an object with start(text, total) and step().
"""

import json
from dataclasses import dataclass

import numpy as np

from litenorm.nn import digits
from litenorm.nn.checkpoint import load_checkpoint
from litenorm.nn.eval.align import align_keys
from litenorm.nn.eval.arithmetic import ARITHMETICS, Runner
from litenorm.nn.eval.forward import calibrate, hidden, logits
from litenorm.nn.workload import DATA

WINDOWS, IMAGES = 512, 1797         # evaluated unless the user says otherwise
SHORT_TEXTS, LONG_TEXTS = 128, 24
LONG_TOKENS = 512
SHORT_CHARACTERS = (40, 200)        # of a verse that counts as a short text
BATCH = 32                          # windows or images at a time
CALIBRATION_IMAGES = 128            # of those that a classifier was trained on
TOP = 5


class NoProgress:
    """Progress that nobody sees."""

    def start(self, text, total):
        pass

    def step(self):
        pass


@dataclass(frozen=True)
class Part:
    """Results on one model.

    name      "gpt", "sentences", "digits"
    model     its name
    facts     {key: number}: sizes of the sets
    results   one dictionary an arithmetic, float32 first
    command   the command line that measured it
    """

    name: str
    model: str
    facts: dict
    results: list
    command: str = ""

    def json(self):
        return {"model": self.model, "command": self.command, "facts": self.facts, "results": self.results}


def spread(count, wanted):
    """`wanted` numbers of 0 to count - 1, evenly spread; all of them when there are no more."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(np.int64))


def text(name):
    return (DATA / name).read_text(encoding="utf-8")


def prepared(model, calibration, progress):
    """(model with aligned keys, its Calibration); calibration: a list of token numbers [B, T]."""
    progress.start(f"calibrating {model.name}", len(calibration))
    model = align_keys(model, calibration)
    return model, calibrate(model, calibration, progress.step)


# Perplexity --------------------------------------------------------------------------------------------------------


def measure_gpt(arithmetics=ARITHMETICS, windows=WINDOWS, progress=None):
    """Perplexity of the project's GPT on text that it was not trained on, and what becomes of its predictions.

    windows  windows of held_out.txt, evenly spread, of as many characters as the model has positions; each character
             is predicted from those before it in its window
    """
    progress = progress or NoProgress()
    model = load_checkpoint(DATA)
    size = model.max_tokens
    excerpts = model.encode(text("calibration.txt"))
    calibration = np.array(excerpts[: len(excerpts) // size * size]).reshape(-1, size)
    ids = np.array(model.encode(text("held_out.txt")))
    starts = spread((len(ids) - 1) // size, windows) * size
    inputs, expected = (np.stack([ids[s + i : s + i + size] for s in starts]) for i in (0, 1))
    model, scales = prepared(model, [calibration], progress)
    results, reference = [], None
    for arithmetic in arithmetics:
        progress.start(f"GPT, {arithmetic.label}", -(-len(inputs) // BATCH))
        runner, nll, best = Runner(arithmetic, scales), [], []
        for i in range(0, len(inputs), BATCH):
            part = logits(model, inputs[i : i + BATCH], runner).astype(np.float64)
            nll.append(negative_log_likelihood(part, expected[i : i + BATCH]))
            best.append(np.argsort(-part, axis=-1, kind="stable")[..., :TOP].astype(np.int16))
            progress.step()
        nll, best = np.concatenate(nll), np.concatenate(best)
        reference = reference or (nll, best)
        results.append({"arithmetic": arithmetic.name, "perplexity": float(np.exp(nll.mean())),
                        **perplexity_change(nll, reference[0]), **prediction_change(best, reference[1]),
                        **runner.sums()})
    return Part("gpt", model.name, {"windows": len(inputs), "tokens": int(inputs.size),
                                    "calibration_tokens": int(calibration.size)}, results)


def negative_log_likelihood(values, expected):
    """Nats, float64 [B, T], of the token numbers [B, T] under logits [B, T, V]."""
    top = values.max(axis=-1, keepdims=True)
    total = np.log(np.exp(values - top).sum(axis=-1)) + top[..., 0]
    return total - np.take_along_axis(values, expected[..., None], axis=-1)[..., 0]


def perplexity_change(nll, reference):
    """Change of perplexity in percent and its standard error, from the differences of each token [windows, T].

    Tokens of one window share their context: the error is that of the windows' mean differences.
    """
    difference = (nll - reference).mean(axis=1)
    ratio = np.exp(difference.mean())
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
    return {"perplexity_percent": float(100 * (ratio - 1)), "perplexity_percent_error": float(100 * ratio * error)}


def prediction_change(best, reference):
    """Share of the positions whose first choice is another, and how many of the TOP first are the same; in percent."""
    same = (best[..., :, None] == reference[..., None, :]).any(axis=-1).mean()
    return {"argmax_flips_percent": float(100 * (best[..., 0] != reference[..., 0]).mean()),
            "top5_percent": float(100 * same)}


# Sentence vectors --------------------------------------------------------------------------------------------------


def measure_sentences(folder, arithmetics=ARITHMETICS, short=SHORT_TEXTS, long=LONG_TEXTS, progress=None):
    """Sentence vectors of the encoder in `folder`: short texts, and texts of 512 tokens (or as many as it takes).

    The vector is the mean over the tokens, or the first token's where 1_Pooling/config.json says so, of length 1.
    ValueError when the folder holds no encoder.
    """
    progress = progress or NoProgress()
    model = load_encoder(folder)
    size = min(LONG_TOKENS, model.max_tokens)
    first = pools_first_token(folder)
    calibration = calibration_texts(model, size)
    encoded, whole = evaluation_texts(model, size, short, long)
    model, scales = prepared(model, calibration, progress)
    results, reference = [], {}
    for arithmetic in arithmetics:
        progress.start(f"{model.name}, {arithmetic.label}", len(encoded) + len(whole))
        runner, result = Runner(arithmetic, scales), {"arithmetic": arithmetic.name}
        for kind, texts in (("short", encoded), ("long", whole)):
            vectors = []
            for tokens in texts:
                states = hidden(model, tokens, runner)[0].astype(np.float64)
                vector = states[0] if first else states.mean(axis=0)
                vectors.append(vector / np.sqrt(vector @ vector))
                progress.step()
            vectors = np.stack(vectors)
            reference.setdefault(kind, vectors)
            result |= {f"{kind}_{key}": value for key, value in vector_change(vectors, reference[kind]).items()}
        results.append(result | runner.sums())
    facts = {"short_texts": len(encoded), "long_texts": len(whole), "long_tokens": size,
             "short_tokens_mean": float(np.mean([tokens.size for tokens in encoded])),
             "calibration_texts": len(calibration), "calibration_tokens": int(sum(t.size for t in calibration)),
             "tokens": int(sum(tokens.size for tokens in (*encoded, *whole)))}
    return Part("sentences", model.name, facts, results)


def load_encoder(folder):
    """The Checkpoint in `folder`. ValueError when it is none, or no encoder."""
    model = load_checkpoint(folder)
    if model.head is not None:
        raise ValueError(f"{folder} holds {model.name}, which is no sentence encoder; good: a BERT-family checkpoint")
    return model


def calibration_texts(model, size):
    """Token numbers [1, n] each, n up to `size`: the project's sentences, and pieces of calibration.txt."""
    sentences = [np.array([tokens[:size]]) for tokens in map(model.encode, text("sentences.txt").splitlines())]
    return sentences + pieces(model, text("calibration.txt"), size)


def evaluation_texts(model, size, short, long):
    """(`short` verses, `long` pieces of `size` tokens) of held_out.txt, evenly spread: token numbers [1, n] each.

    ValueError when there are fewer than 3 of one kind.
    """
    held_out = text("held_out.txt")
    low, high = SHORT_CHARACTERS
    verses = [line for line in held_out.splitlines() if low <= len(line) <= high]
    encoded = [np.array([model.encode(verses[i])[:size]]) for i in spread(len(verses), short)]
    whole = pieces(model, held_out, size)
    whole = [whole[i] for i in spread(len(whole), long)]
    if len(encoded) < 3 or len(whole) < 3:
        raise ValueError(f"texts are {len(encoded)} short and {len(whole)} long ones; good: 3 or more of each")
    return encoded, whole


def pieces(model, content, size):
    """Token numbers [1, size] of consecutive pieces of a text, each between the model's special tokens."""
    empty = model.encode("")
    start, end = empty[:1], empty[1:]
    body = model.encode(content)[len(start) :]
    step = size - len(empty)
    return [np.array([[*start, *body[i : i + step], *end]]) for i in range(0, len(body) - len(end) - step + 1, step)]


def pools_first_token(folder):
    """Whether sentence-transformers' pooling of this folder is that of the first token."""
    try:
        with open(f"{folder}/1_Pooling/config.json", encoding="utf-8") as file:
            return bool(json.load(file).get("pooling_mode_cls_token", False))
    except (OSError, ValueError, AttributeError):
        return False


def vector_change(vectors, reference):
    """Cosine of each vector to its reference, both [n, D] of length 1, and the rank correlation of all similarities."""
    cosines = (vectors * reference).sum(axis=1)
    pairs = np.triu_indices(len(vectors), 1)
    return {"cosine": float(cosines.mean()), "worst_cosine": float(cosines.min()),
            "rank_correlation": rank_correlation((vectors @ vectors.T)[pairs], (reference @ reference.T)[pairs])}


def rank_correlation(a, b):
    """Spearman's: the correlation of the ranks. Equal values are ranked in the order in which they stand."""
    a, b = (np.argsort(np.argsort(values, kind="stable")).astype(np.float64) for values in (a, b))
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


# Digits ------------------------------------------------------------------------------------------------------------


def measure_digits(arithmetics=ARITHMETICS, images=IMAGES, seeds=digits.SEEDS, progress=None, data=None):
    """Accuracy of the digits' classifiers, cross-validated: those that classify an image were not trained on it.

    images  of all, evenly spread
    seeds   one classifier of each fold for each
    data    (images, labels) of load_digits; None: scikit-learn's
    """
    progress = progress or NoProgress()
    pixels, labels = data or digits.load_digits()
    chosen = spread(len(labels), images)
    right, best, sums = ([[] for _ in arithmetics] for _ in range(3))   # of each arithmetic: a list over classifiers
    for seed in seeds:
        for fold in digits.FOLDS:
            training, evaluation = digits.split(fold)
            test = np.intersect1d(chosen, np.arange(len(labels))[evaluation])
            calibration = pixels[training]
            calibration = calibration[spread(len(calibration), CALIBRATION_IMAGES)]
            model, scales = prepared(digits.load_digits_model(fold, seed), [calibration], progress)
            for i, arithmetic in enumerate(arithmetics):
                progress.start(f"{model.name} {fold + 1}/{len(digits.FOLDS)}, seed {seed}, {arithmetic.label}",
                               -(-len(test) // BATCH))
                runner, values = Runner(arithmetic, scales), []
                for start in range(0, len(test), BATCH):
                    values.append(logits(model, pixels[test[start : start + BATCH]], runner))
                    progress.step()
                top = np.argsort(-np.concatenate(values), axis=-1, kind="stable")[:, :TOP]
                best[i].append(top)
                right[i].append(top[:, 0] == labels[test])
                sums[i].append(runner.sums())
    results = []
    for i, arithmetic in enumerate(arithmetics):
        results.append({"arithmetic": arithmetic.name,
                        **accuracy_change(*(np.concatenate(r).reshape(len(seeds), -1) for r in (right[i], right[0]))),
                        **prediction_change(np.concatenate(best[i]), np.concatenate(best[0])), **merge_sums(sums[i])})
    return Part("digits", model.name, {"images": len(chosen), "classifiers": len(seeds) * len(digits.FOLDS),
                                       "classifications": len(chosen) * len(seeds),
                                       "calibration_images": CALIBRATION_IMAGES}, results)


def accuracy_change(right, reference):
    """Accuracy, its change in points, and the change's standard error; both bool [seeds, images].

    Classifications of one image are related: the error is that of the images' mean differences.
    """
    difference = (right.astype(np.float64) - reference).mean(axis=0)
    return {"accuracy_percent": float(100 * right.mean()), "accuracy_points": float(100 * difference.mean()),
            "accuracy_points_error": float(100 * difference.std(ddof=1) / np.sqrt(len(difference)))}


def merge_sums(found):
    """The Runner.sums() of several models as one."""
    if not found[0]:
        return {}
    return {key: (max if key == "max_sum_error" else sum)(sums[key] for sums in found) for key in found[0]}
