# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The plot of `litenorm eval`: one panel a measurement, one line an arithmetic, float32 at the left end."""

from matplotlib import pyplot as plt
from matplotlib import rc_context
from matplotlib.ticker import FuncFormatter

from litenorm.bench.plot import COLOURS, RC, bare, write
from litenorm.nn.eval.arithmetic import ARITHMETICS

EXACT = "#777777"
LINEAR = {"perplexity": 0.1, "flips": 0.1}     # percent: the axis is linear up to here, logarithmic beyond


def panels(report):
    """[(title, unit, [(legend, key of value, key of error or None, results)], kind of axis)] of what was measured."""
    parts = {part.name: part for part in report.parts}
    found = []
    if "gpt" in parts:
        found.append(("Perplexity of the GPT", "change, %, with two standard errors",
                      [("", "perplexity_percent", "perplexity_percent_error", parts["gpt"].results)], "perplexity"))
    if "sentences" in parts:
        part = parts["sentences"]
        found.append(("Sentence vectors", "1 - cosine to float32's, mean",
                      [(f"{part.facts['long_tokens']} tokens", "long_cosine", None, part.results),
                       ("short", "short_cosine", None, part.results)], "cosine"))
    flips = [(label, "argmax_flips_percent", None, parts[name].results)
             for name, label in (("gpt", "GPT"), ("digits", "digits")) if name in parts]
    if flips:
        found.append(("Predictions", "another first choice than float32's, %", flips, "flips"))
    return found


def draw(report):
    """The figure of a Report."""
    names = [r["arithmetic"] for r in report.parts[0].results][1:]
    known = {arithmetic.name: arithmetic for arithmetic in ARITHMETICS}
    place = {name: -i for i, name in enumerate(names)}
    shown = panels(report)
    figure, axes = plt.subplots(1, len(shown), sharey=True, figsize=(2.2 + 3.3 * len(shown), 4.2), layout="constrained",
                                squeeze=False)
    for axis, (title, unit, series, kind) in zip(axes[0], shown, strict=True):
        for i, (legend, key, error, results) in enumerate(series):
            for r in results[1:]:
                name = r["arithmetic"]
                colour = COLOURS.get(known[name].family, EXACT)
                value = 1 - r[key] if kind == "cosine" else r[key]
                height = place[name] + (0 if len(series) == 1 else (0.13, -0.13)[i])    # points may be equal
                axis.errorbar([value], [height], xerr=[2 * r[error]] if error else None, color=colour,
                              marker="os"[i], markersize=7, markerfacecolor=colour if i == 0 else "white",
                              linestyle="none", capsize=3, zorder=3)
            if legend:
                axis.plot([], [], marker="os"[i], color="#444444", markerfacecolor="#444444" if i == 0 else "white",
                          linestyle="none", label=legend)
        if kind == "cosine":
            axis.set_xscale("log")
        else:
            axis.set_xscale("symlog", linthresh=LINEAR[kind], linscale=1)
            if kind == "flips":
                axis.set_xlim(left=-LINEAR[kind] / 4)
            axis.axvline(0, color="#444444", linewidth=0.8)
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if series[0][0]:
            axis.legend(fontsize=8, loc="best", frameon=True, framealpha=0.9, edgecolor="none")
        axis.set_title(title, loc="left", fontsize=10)
        axis.set_xlabel(unit, fontsize=9)
        axis.tick_params(labelsize=8)
        bare(axis)
    axes[0][0].set_yticks([place[name] for name in names], [known[name].label for name in names], fontsize=9)
    return figure


def save(report, paths):
    """Draw `report` once and write it to each path."""
    with rc_context(RC):
        write(draw(report), paths)
