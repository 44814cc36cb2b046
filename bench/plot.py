# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The plot of `litenorm compare`, largest |sum - 1| over the row length, and the look of all plots.

A logarithmic axis has no 0, and LiteNorm's value is exactly 0: it has a strip of its own below the axis, marked 0.
"""

import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")       # no display is needed, and none is opened

from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter  # noqa: E402

from litenorm.sim.output import check_output, replaced  # noqa: E402

SUFFIXES = (".svg", ".png")
RC = {"svg.hashsalt": "litenorm", "svg.fonttype": "path"}
# Colours that stay apart with the common colour deficiencies (Okabe, Ito).
COLOURS = {"tflite": "#0072B2", "ibert": "#CC79A7", "softermax": "#E69F00", "sole": "#D55E00", "itamax": "#56B4E9",
           "litenorm": "#009E73"}
STYLES = {"tflite_s8_s16": "--", "tflite_s16": ":", "sole_global": "--", "itamax_global": "--"}
MARKERS = {"tflite": "o", "ibert": "s", "softermax": "^", "sole": "D", "itamax": "v", "litenorm": "o"}
BELOW_ZERO = -0.6           # in the strip: peers that are exactly 0 at some length stand below the line
LABEL_AT, LABEL_GAP = 1.06, 0.042   # of the axis' width and height: where labels stand, and how far apart


def spread(positions, gap):
    """Positions at least `gap` apart, in the same order, moved as little as a single sweep each way needs."""
    order = sorted(range(len(positions)), key=positions.__getitem__)
    placed = [positions[i] for i in order]
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    excess = max(0.0, placed[-1] - max(1.0, max(positions))) if placed else 0.0
    if excess:
        placed[-1] -= excess
        for i in range(len(placed) - 2, -1, -1):
            placed[i] = min(placed[i], placed[i + 1] - gap)
    result = [0.0] * len(positions)
    for i, place in zip(order, placed, strict=True):
        result[i] = place
    return result


def draw(report):
    """The figure of a Report."""
    lengths = sorted(report.lengths)
    value = {(r["peer"], r["length"]): r["max_sum_error"] for r in report.softmax}
    figure, (axis, zero) = plt.subplots(
        2, 1, sharex=True, figsize=(9, 6), height_ratios=(12, 1), layout="constrained")
    labels = []
    for peer in report.peers:
        if peer.family == "litenorm":
            continue
        points = [(n, value[peer.name, n] or math.nan) for n in lengths]    # the line has a gap at 0
        zeros = [n for n in lengths if value[peer.name, n] == 0]
        look = {"color": COLOURS[peer.family], "marker": MARKERS[peer.family], "markersize": 5}
        zero.plot(zeros, [BELOW_ZERO] * len(zeros), linestyle="none", markerfacecolor="none", **look)
        axis.plot(*zip(*points, strict=True), STYLES.get(peer.name, "-"), linewidth=1.8, **look)
        seen = [point for point in points if not math.isnan(point[1])]
        if seen:
            labels.append((peer.label, seen[-1], COLOURS[peer.family]))
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_ylabel("largest |sum of a row - 1|, logarithmic")
    axis.set_title(f"Softmax: how far the sum of a row is from 1  ({report.rows} rows of Gaussian logits each)",
                   loc="left", fontsize=11)
    bare(axis)

    # Labels stand right of the last point, moved apart, each joined to its line.
    label_ends(axis, labels, LABEL_AT, LABEL_GAP)

    exact = all(value[peer.name, n] == 0 for peer in report.peers if peer.family == "litenorm" for n in lengths)
    zero.set_ylim(-1, 1)
    zero.yaxis.set_major_locator(FixedLocator([0]))
    zero.set_yticklabels(["0"])
    if exact:
        zero.plot(lengths, [0] * len(lengths), color=COLOURS["litenorm"], marker=MARKERS["litenorm"], markersize=6,
                  linewidth=2.4)
    zero.annotate("LiteNorm, all formats:\nexactly 0" if exact else "LiteNorm: NOT exact", (LABEL_AT, 0.5),
                  xycoords="axes fraction", color=COLOURS["litenorm"], fontsize=9, fontweight="bold", va="center",
                  annotation_clip=False)
    zero.set_xlabel("row length N")
    zero.xaxis.set_major_locator(FixedLocator(lengths))
    zero.xaxis.set_minor_locator(NullLocator())
    zero.xaxis.set_major_formatter(ScalarFormatter())
    axis.tick_params(axis="x", which="both", length=0)
    bare(zero, "x")
    axis.spines["bottom"].set_visible(False)
    # The vertical axis is cut between the two.
    cut = {"marker": [(-1, -0.5), (1, 0.5)], "markersize": 10, "linestyle": "none", "color": "black", "clip_on": False}
    axis.plot([0], [0], transform=axis.transAxes, **cut)
    zero.plot([0], [1], transform=zero.transAxes, **cut)
    return figure


def save(report, paths):
    """Draw `report` once and write it to each path."""
    with matplotlib.rc_context(RC):
        write(draw(report), paths)


# For all plots ---------------------------------------------------------------------------------------


def check_paths(paths):
    """Paths of plots, as Path. ValueError, before the work begins, for one that cannot be written."""
    paths = [Path(path) for path in paths]
    for path in paths:
        check_output(path, "an SVG or PNG file")
        if path.suffix not in SUFFIXES:
            raise ValueError(f"{path} is neither .svg nor .png")
    return paths


def bare(axis, grid="both"):
    """Give an axis the look of all plots: a light grid behind the data, no frame."""
    axis.grid(which="major", axis=grid, color="#dddddd", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def label_ends(axis, lines, at=1.03, gap=0.07):
    """Write (text, point, colour) of each line right of `axis`, apart from each other, joined to its last point.

    at, gap  of the axis' width and height: where labels stand, and how far apart
    """
    axis.figure.canvas.draw()
    inverse = axis.transAxes.inverted()
    heights = [inverse.transform(axis.transData.transform(point))[1] for _, point, _ in lines]
    for (text, point, colour), height in zip(lines, spread(heights, gap), strict=True):
        axis.annotate("", point, xytext=(at - 0.01, height), textcoords="axes fraction", annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4})
        axis.annotate(text, (at, height), xycoords="axes fraction", color="#333333", fontsize=9, va="center",
                      annotation_clip=False)


def write(figure, paths):
    """Write a figure to each path, .svg or .png, under a temporary name that is renamed, and close it.

    The same figure gives the same file: no date is written, and SVG names are derived from a fixed salt.
    """
    try:
        with matplotlib.rc_context(RC):
            for path in paths:
                with replaced(path) as temporary:
                    figure.savefig(temporary, format=path.suffix[1:], dpi=144,
                                   metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
    finally:
        plt.close(figure)
