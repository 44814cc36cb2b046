# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Where a transformer layer's time goes on the simulated SoC, with the core and with the C twin in its place.

    python -m litenorm.bench.layer --plot layer.svg

Runs `litenorm sim --workload layer` and prints its report. The plot shows all operations, and again those beside the
matrix products, which the CPU computes in both cases.
"""

import argparse
import sys

from litenorm.sim.errors import SimulationError
from litenorm.sim.layer import LABELS, PATHS, run_layer
from litenorm.sim.progress import observe
from litenorm.sim.runner import SimOptions

COLOURS = {"gemm": "#BBBBBB", "softmax": "#0072B2", "layernorm": "#D55E00", "gelu": "#E69F00", "other": "#56B4E9"}


def draw(cycles):
    """The figure of LayerReport.cycles: bars of stacked operations, in millions of cycles."""
    from litenorm.bench.plot import bare, plt

    paths = list(PATHS)[::-1]      # the first bar is the lowest
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(11, 2.9), layout="constrained")
    for axis, title, operations in ((axes[0], "one layer", list(COLOURS)),
                                    (axes[1], "without the matrix products", list(COLOURS)[1:])):
        start = dict.fromkeys(paths, 0.0)
        for operation in operations:
            counts = [cycles[path][operation] / 1e6 for path in paths]
            axis.barh(range(len(paths)), counts, left=list(start.values()), height=0.55, color=COLOURS[operation],
                      label=LABELS[operation])
            start = {path: start[path] + count for path, count in zip(paths, counts, strict=True)}
        for i, path in enumerate(paths):
            axis.annotate(f"{start[path]:.3g} M", (start[path], i), xytext=(5, 0), textcoords="offset points",
                          va="center", fontsize=9, color="#333333")
        axis.set_yticks(range(len(paths)), [PATHS[path] for path in paths])
        axis.margins(x=0.12)
        axis.set_xlabel("clock cycles, millions")
        axis.set_title(title, loc="left", fontsize=11)
        bare(axis, "x")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=9)
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.layer", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.layer --plot layer.svg --plot layer.png")
    parser.add_argument("--plot", action="append", default=[], metavar="FILE", help="write the plot, .svg or .png")
    args = parser.parse_args(argv)
    try:
        plots = []
        if args.plot:
            from litenorm.bench.plot import check_paths, write

            plots = check_paths(args.plot)
        with observe(quiet=True) as observer:
            report = run_layer(SimOptions(), observer=observer)
        report.show()
        if plots:
            write(draw(report.cycles), plots)
    except (SimulationError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
