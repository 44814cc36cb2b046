# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""bench/speedup.py, bench/layer.py and bench/cfu.py: tables and plots of what a firmware sends."""

import io

from rich.console import Console

from litenorm.bench import cfu, layer, speedup
from litenorm.bench.plot import plt
from litenorm.sim.layer import LABELS

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


def test_table_of_custom_instructions_has_shares_and_cycles_per_mac():
    def layer_cycles(gemm, norms):
        return dict(gemm=gemm, softmax=norms, layernorm=norms, gelu=0, other=0, total=gemm + 2 * norms)

    cycles = {"standard": {"accel": layer_cycles(3000, 5), "cpu": layer_cycles(3000, 500)},
              "full+cfu": {"accel": layer_cycles(400, 5), "cpu": layer_cycles(400, 500)}}
    console = Console(width=100, file=io.StringIO(), highlight=False)
    console.print(cfu.table_of("one layer", cycles, 1000, LABELS))
    lines = [line.split("│")[1:-1] for line in console.file.getvalue().splitlines() if "│" in line]
    cells = {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}
    assert cells["GEMM, cycles per MAC"] == ["3.000", "3.000", "0.400", "0.400"]
    assert cells["softmax and LayerNorm"] == ["25.00%", "0.33%", "71.43%", "2.44%"]


def test_bad_arguments_of_the_custom_instructions_bench(capsys, tmp_path):
    for arguments, message in ((["--tokens", "1"], "--tokens is 1; good: 2 or more"),
                               (["--json", str(tmp_path / "no/f.json")], "is not a folder")):
        assert cfu.main(arguments) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
