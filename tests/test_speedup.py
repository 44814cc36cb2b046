# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""bench/speedup.py and bench/layer.py: tables and plots of what a firmware sends."""

import io

from rich.console import Console

from litenorm.bench import layer, speedup
from litenorm.bench.plot import plt

ROWS = [{"op": op, "n": n, "rows": 2, "path": path, "cycles": 2 * n * times}
        for op in speedup.OPERATIONS for n in (16, 64)
        for path, times in (("accel", 1), ("lean", 20), ("cmsis", 700), ("float", 4000))
        if path != "cmsis" or op.startswith("softmax")]


def test_cycles_of_a_row():
    cycles = speedup.cycles_of([*ROWS, {"op": "gemm", "n": 1, "rows": 1, "path": "cpu", "cycles": 1}])
    assert cycles["softmax_s8", "cmsis"] == {16: 16 * 700, 64: 64 * 700}
    assert {op for op, _ in cycles} == set(speedup.OPERATIONS)


def test_tables_say_where_there_is_no_code():
    console = Console(width=120, file=io.StringIO(), highlight=False)
    for table in speedup.tables(speedup.cycles_of(ROWS)):
        console.print(table)
    lines = console.file.getvalue().splitlines()
    assert sum("CMSIS-NN" in line and "(700)" in line for line in lines) == 1
    assert sum("CMSIS-NN" in line and line.count(" - ") == 2 for line in lines) == 2
    assert sum("lean integer C" in line and line.count("(20)") == 2 for line in lines) == 3


def test_plot_has_a_line_for_each_path():
    figure = speedup.draw(speedup.cycles_of(ROWS))
    assert [len(axis.lines) for axis in figure.axes] == [3, 2, 2]
    assert list(figure.axes[0].lines[0].get_ydata()) == [20, 20]
    plt.close(figure)


def test_plot_of_a_layer_adds_up():
    cycles = {path: dict(gemm=9e6, softmax=times * 1e5, layernorm=2e5, gelu=3e5, other=4e5)
              for path, times in (("accel", 1), ("cpu", 5))}
    figure = layer.draw(cycles)
    for axis, gemm in zip(figure.axes, (9, 0), strict=True):
        widths = [sum(bars[i].get_width() for bars in axis.containers) for i in (0, 1)]
        assert [round(width, 6) for width in widths] == [gemm + 1.4, gemm + 1.0]     # C twin below, core above
    plt.close(figure)
