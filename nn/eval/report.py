# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What `litenorm eval` measured: on a terminal, as a page of Markdown, as JSON."""

import json
from dataclasses import dataclass

from rich.console import Console

from litenorm.bench.report import NOTHING, Table, number
from litenorm.nn.eval.arithmetic import ARITHMETICS
from litenorm.nn.eval.measure import Part

INTRODUCTION = """\
# What the arithmetic of softmax and LayerNorm does to models

The project's GPT, a sentence encoder, classifiers of digits: each is run with its own float32 softmax and LayerNorm,
and with those of other arithmetics in their place. `make eval` measures all of them and writes this page and its plot.
These figures are of
"""

METHOD = """\
What is replaced: every softmax of the attention and every LayerNorm, with what they are given and what they give
rounded to integers of the named formats. Everything else is float32, and so is the softmax over the model's last
logits, which is part of the measurement. The differences to float32 are thus those of the normalization arithmetic and
its formats alone; a model whose matrices are int8, too, differs by more (`python -m litenorm.nn.fidelity`).

- LiteNorm a/b: logits of format a, probabilities of format b (u8: `u8_255`, u16: `u16_q15`); LayerNorm from s16 to
  s16, gamma and beta in integers. This is the core's bit-exact model, `accel/model.py`.
- exact, s8 logits: softmax in float64 and LayerNorm in float32 of the rounded inputs. It shows what rounding the
  inputs costs; what an s8 arithmetic loses beyond that is its own.
- TFLite int8, I-BERT, Softermax, SOLE: the same s8 logits, the arithmetic of `bench/peers/`. I-BERT's LayerNorm is
  given the same s16 inputs, SOLE's s8 with a scale for each row; behind both, gamma and beta are float32. TFLite and
  Softermax have no LayerNorm: the model keeps its own in float32.
- Scales come from calibration data and nothing else (`nn/eval/calibration.py`). s8 logits have a scale and a zero
  point for each head, chosen for the smallest divergence from the head's float32 probabilities. Before that the key
  biases are changed so that the largest logits of all rows lie near one level (`nn/eval/align.py`): the float32 model
  computes the same, because a softmax does not see what is added to a whole row, and s8 has finer steps. All
  arithmetics are given these logits.
- No calibration text or image is in the evaluation set of the same model, and each evaluation set is larger than what
  its scales were calibrated on.
- max |sum-1|: the largest over all softmax rows of the run, in integers. "0" is exact.
"""


def signed(value, digits):
    return f"{value:+.{digits}f}"


def digits_of_cosine(value):
    return f"{value:.5f}"


@dataclass(frozen=True)
class Target:
    """One target and what was measured: `held` says whether it is met."""

    text: str
    held: bool


def targets(part):
    """List of Target of a Part: those of the arithmetics, and that LiteNorm's sums are exact."""
    found = []
    known = {arithmetic.name: arithmetic for arithmetic in ARITHMETICS}
    for result in part.results:
        arithmetic = known[result["arithmetic"]]
        for key, limit in (arithmetic.targets or {}).items():
            value = result.get(key)
            if value is None:
                continue
            if key == "perplexity_percent":
                text, held = f"perplexity {value:+.3f} %, at most {limit:+.2f} %", value <= limit
            elif key == "long_cosine":
                text = f"cosine of {part.facts['long_tokens']}-token texts {value:.6f}, at least {limit}"
                held = value >= limit
            else:
                # One part in 10^9 is for numbers that binary fractions do not hold.
                text, held = f"accuracy {value:+.2f} points, within {limit}", abs(value) <= limit * (1 + 1e-9)
            found.append(Target(f"{arithmetic.label}: {text}", held))
        if arithmetic.family == "litenorm":
            wrong, rows = result["wrong_sums"], result["softmax_rows"]
            found.append(Target(f"{arithmetic.label}: {rows} softmax rows, {wrong} sums that are not exact", not wrong))
    return found


@dataclass(frozen=True)
class Report:
    """Parts that were measured, in the order in which they are shown."""

    parts: list

    @property
    def targets(self):
        return [target for part in self.parts for target in targets(part)]

    @property
    def ok(self):
        """True when every target of what was measured is met."""
        return all(target.held for target in self.targets)

    def json(self):
        """All results as a dictionary that JSON can hold."""
        return {**{part.name: part.json() for part in self.parts},
                "targets": [{"text": target.text, "held": target.held} for target in self.targets], "ok": self.ok}

    @classmethod
    def from_json(cls, paths):
        """The parts in the JSON files of earlier runs, together. ValueError for a file that is none."""
        parts = []
        for path in paths:
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                own = [Part(name, found[name]["model"], found[name]["facts"], found[name]["results"],
                            found[name]["command"]) for name in TABLES if name in found]
                cls(own).markdown(None)     # another version may have written it, with other keys
            except FileNotFoundError:
                raise ValueError(f"{path} does not exist; good: a JSON file of litenorm eval") from None
            except (KeyError, TypeError, ValueError):
                own = []
            if not own:
                raise ValueError(f"{path} is not a JSON file of litenorm eval; good: what this version's --json wrote")
            parts += own
        return cls(parts)

    def tables(self):
        return [TABLES[part.name](part) for part in self.parts]

    def show(self):
        """Print tables and targets."""
        console = Console(highlight=False)
        for table in self.tables():
            console.print(table.rich())
            console.print()
        for line in self.verdict():
            console.print(line, soft_wrap=True)

    def verdict(self):
        return [("met     " if target.held else "MISSED  ") + target.text for target in self.targets]

    def markdown(self, plot):
        """The page docs/eval.md. plot: file name of the picture, or None."""
        commands = "\n".join(f"    {command}" for command in dict.fromkeys(part.command for part in self.parts))
        lines = [INTRODUCTION, commands + "\n", METHOD]
        if plot:
            lines.append(f"![change of perplexity, of sentence vectors, and of the first choice]({plot})\n")
        for part, table in zip(self.parts, self.tables(), strict=True):
            lines += [table.markdown() + "\n", NOTES[part.name](part) + "\n"]
        return "\n".join([*lines, "## Targets\n", *(f"- {line}" for line in self.verdict())]) + "\n"


def _lines(part, *columns):
    """Lines of a table; columns are (text of a result, whether it compares with float32, whose line then has none)."""
    labels = {arithmetic.name: arithmetic for arithmetic in ARITHMETICS}
    lines = []
    for i, result in enumerate(part.results):
        arithmetic = labels[result["arithmetic"]]
        cells = [arithmetic.label, arithmetic.norm_input]
        for value, compares in columns:
            cells.append(NOTHING if compares and i == 0 else value(result))
        lines.append(tuple(cells))
    return tuple(lines)


def _sum(result):
    return number(result["max_sum_error"]) if "max_sum_error" in result else NOTHING


def gpt_table(part):
    columns = ("arithmetic", "LayerNorm of", "perplexity", "change %", "std error", "argmax flips %", "top-5 same %",
               "max |sum-1|")
    lines = _lines(part, (lambda r: f"{r['perplexity']:.4f}", False),
                   (lambda r: signed(r["perplexity_percent"], 3), True),
                   (lambda r: f"{r['perplexity_percent_error']:.3f}", True),
                   (lambda r: f"{r['argmax_flips_percent']:.2f}", True),
                   (lambda r: f"{r['top5_percent']:.2f}", True), (_sum, True))
    title = f"{part.model}: {part.facts['tokens']} characters of held-out text"
    return Table(title, columns, lines, 1, wide=("LayerNorm of",))


def sentences_table(part):
    size = part.facts["long_tokens"]
    columns = ("arithmetic", "LayerNorm of", "short texts: cosine", "short: worst", "short: rank",
               f"{size} tokens: cosine", f"{size}: worst", f"{size}: rank", "max |sum-1|")
    cells = [(lambda r, key=f"{kind}_{what}": digits_of_cosine(r[key]), True)
             for kind in ("short", "long") for what in ("cosine", "worst_cosine", "rank_correlation")]
    lines = _lines(part, *cells, (_sum, True))
    title = f"{part.model}: {part.facts['short_texts']} short texts, {part.facts['long_texts']} of {size} tokens"
    return Table(title, columns, lines, 1, wide=("LayerNorm of", "max |sum-1|"))


def digits_table(part):
    columns = ("arithmetic", "LayerNorm of", "accuracy %", "change points", "std error", "argmax flips %",
               "top-5 same %", "max |sum-1|")
    lines = _lines(part, (lambda r: f"{r['accuracy_percent']:.2f}", False),
                   (lambda r: signed(r["accuracy_points"], 2), True),
                   (lambda r: f"{r['accuracy_points_error']:.2f}", True),
                   (lambda r: f"{r['argmax_flips_percent']:.2f}", True),
                   (lambda r: f"{r['top5_percent']:.2f}", True), (_sum, True))
    return Table(f"{part.model}: {part.facts['images']} handwritten digits", columns, lines, 1, wide=("LayerNorm of",))


def gpt_note(part):
    facts = part.facts
    return (f"{facts['windows']} windows of the text that the GPT was not trained on, evenly spread; calibrated on "
            f"{facts['calibration_tokens']}\ncharacters of its training text. The change is that of the mean over the "
            "differences of each character's log likelihood;\nits standard error is from the windows' means. Argmax "
            "flips: positions whose most likely next character is another\nthan float32's. Top-5 same: how many of "
            "float32's five most likely characters are among the five.")


def sentences_note(part):
    facts = part.facts
    return (f"Verses of the held-out text ({facts['short_tokens_mean']:.0f} tokens on average), and pieces of it; "
            f"calibrated on {facts['calibration_texts']} other texts\n({facts['calibration_tokens']} tokens, evaluated "
            f"on {facts['tokens']}). Cosine to the float32 vector of the same text, mean and worst.\nRank: Spearman's "
            "correlation of the similarities of all pairs of texts with those of float32.")


def digits_note(part):
    facts = part.facts
    return (f"scikit-learn's 8 x 8 images as 64 tokens. {facts['classifiers']} classifiers, each trained on one part "
            f"of the images, calibrated on\n{facts['calibration_images']} of that part and run on the other: "
            f"{facts['classifications']} classifications, none of an image that its classifier was\ntrained on, and "
            "nothing was chosen by them. The standard error is that of the images' mean differences. Flips and top-5:\n"
            "of the 10 classes.")


TABLES = {"gpt": gpt_table, "sentences": sentences_table, "digits": digits_table}
NOTES = {"gpt": gpt_note, "sentences": sentences_note, "digits": digits_note}
