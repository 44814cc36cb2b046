# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""`litenorm bench`: self-test and benchmark of a board, or of the simulated SoC, checked on the host.

Rows are random; the host makes the same ones from their seed, and compares every element of the output, and every sum,
with the model. Cycles are those of the SoC's own timer, the second of two runs.
"""

import json
from dataclasses import asdict, dataclass, field
from importlib.metadata import version

import numpy as np
from rich.console import Console
from rich.table import Table

from litenorm.accel import LiteNormConfig, model
from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale
from litenorm.accel.status import Status
from litenorm.bench.host import BoardError

LENGTHS = (16, 64, 256, 1024)
ROWS = {"accel": 8, "cpu": 2, "float": 1}
LABELS = {"accel": "core", "cpu": "C twin", "float": "float"}
COLOURS = {"accel": "#009E73", "cpu": "#0072B2", "float": "#D55E00"}
SCALES = {"s8": Scale(47274, 10), "s16": Scale(40000, 17)}   # of firmware/rows.c
Q5_10 = "q5_10"
FILE_KIND = "litenorm bench"
WITH_TIMES = 106  # columns of a terminal in which --compare shows microseconds beside the cycles
# Codes with which the layer is not run at all: what it needs is not built, and those of the image (BLOCK_ERR_*).
NOT_RUN = (-Status.BAD_OP, -Status.BAD_FORMAT, -Status.BAD_LENGTH, -100, -101, -102, -103)


@dataclass(frozen=True)
class Case:
    """Rows that are computed at once: softmax to one of FORMATS, or layernorm to Q5.10, by a path of LABELS."""

    op: str
    input: str
    format: str
    path: str
    n: int
    rows: int
    seed: int

    def command(self):
        return f"rows {self.op} {self.input} {self.format} {self.path} {self.n} {self.rows} {self.seed}"


@dataclass
class Result:
    """What a board gave. rows: one dict a Case; ok: all that has to hold held."""

    soc: str
    core: dict
    clock: int
    simulated: bool
    port: str
    selftest: dict
    rows: list = field(default_factory=list)
    layer: dict | None = None
    layer_note: str = ""      # why there is no layer
    layer_error: str = ""     # with what it ended
    line_errors: int = 0
    resets: int = 0

    @property
    def ok(self):
        exact = not any(row["wrong_elements"] or row["wrong_sums"] for row in self.rows if row["path"] != "float")
        layer = not self.layer_error and (self.layer is None or self.layer["ok"])
        return exact and layer and self.selftest["passed"] == self.selftest["tests"]

    def json(self):
        """`kind`, `version`, `ok`, `soc` (board and identification of the gateware), `core` (configuration, None: the
        SoC has no core), `clock` in Hz, `rows` with `cycles` of all their rows, `selftest`, `layer`, and the rest."""
        return {"kind": FILE_KIND, "version": version("litenorm"), "ok": self.ok, **asdict(self)}

    def show(self):
        console = Console(highlight=False)
        console.print(f"{self.soc}, {self.clock / 1e6:g} MHz" + (", simulated" if self.simulated else ""))
        if self.core is None:
            console.print("this SoC has no LiteNorm core: only the C twin and float were run")
        else:
            console.print("core: " + ", ".join(f"{name} {value}" for name, value in self.core.items()))
        table = Table(title="clock cycles a row, checked on the host")
        for name in ("operation", "in", "out", "N"):
            table.add_column(name, justify="right" if name == "N" else "left")
        for label in LABELS.values():
            table.add_column(label, justify="right")
        table.add_column("exact", justify="right")
        for key, paths in by_case(self.rows).items():
            cells = [f"{paths[p]['cycles'] / paths[p]['rows']:,.0f}" if p in paths else "-" for p in LABELS]
            checked = [row for p, row in paths.items() if p != "float"]
            wrong = sum(row["wrong_elements"] + row["wrong_sums"] for row in checked)
            elements = sum(row["rows"] * row["n"] for row in checked)
            verdict = f"all {elements:,}" if not wrong else "WRONG: " + ", ".join(
                f"{LABELS[row['path']]} {row['wrong_elements']} elements, {row['wrong_sums']} sums" for row in checked)
            table.add_row(key[0], key[1], key[2], f"{key[3]}", *cells, verdict)
        console.print(table)
        off = [row for row in self.rows if row["path"] == "float" and row["wrong_sums"]]
        total = [row for row in self.rows if row["path"] == "float"]
        if total:
            console.print(f"float: {sum(r['wrong_sums'] for r in off)} of {sum(r['rows'] for r in total)} rows do not "
                          "have the exact sum")
        if self.layer is not None:
            ran = [path for path in ("accel", "cpu") if self.layer["cycles"][path]]
            console.print("transformer layer: " + ", ".join(
                f"{self.layer['cycles'][path]['total']:,} cycles by the {LABELS[path]}" for path in ran)
                + f"; {self.layer['mismatches']} of {self.layer['elements']} elements differ from the reference")
        elif self.layer_error or self.layer_note:
            console.print(f"transformer layer: {self.layer_error or self.layer_note}")
        console.print(f"selftest: {self.selftest['passed']} of {self.selftest['tests']} tests passed")
        if self.line_errors or self.resets:
            console.print(f"answers that came damaged, asked for again: {self.line_errors}; resets: {self.resets}")
        console.print(f"bench: {'ok' if self.ok else 'FAILED'}")


def by_case(rows):
    """{(op, input, format, n): {path: row}}, in the order of the rows."""
    found = {}
    for row in rows:
        found.setdefault((row["op"], row["input"], row["format"], row["n"]), {})[row["path"]] = row
    return found


# Rows and what they have to be --------------------------------------------------------------------------------------

def random_rows(seed, shape, kind):
    """The rows of firmware/rows.c: xorshift32 from `seed`, the upper 8 or 14 bits; int64 of `shape`."""
    state, out = seed, np.empty(int(np.prod(shape)), np.int64)
    shift = 24 if kind == "s8" else 18
    for i in range(out.size):
        state ^= state << 13 & 0xFFFF_FFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFF_FFFF
        out[i] = (state - (state >> 31 << 32)) >> shift
    return out.reshape(shape)


def expected(case, config):
    """The model's output for a Case, [rows][n] of the type that the firmware sends."""
    x = random_rows(case.seed, (case.rows, case.n), case.input)
    if case.op == "softmax":
        return model.softmax(x, SCALES[case.input], case.format, config=config)
    return model.layernorm(x, config=config)


def wrong_sums(case, output):
    """Rows whose sum is not exactly what it has to be."""
    if case.op != "softmax":
        return int(np.count_nonzero(output.sum(axis=1)))
    fmt = FORMATS[case.format]
    total = fmt.total - (fmt.capped and case.n == 1)
    return int(np.count_nonzero((output - fmt.zero_point).sum(axis=1) != total))


def plan(info, lengths):
    """The Cases that a board with this @info record can run."""
    core = info["core"]
    formats = [f.name for f in FORMATS.values() if not core or info["formats"] >> f.code & 1]
    inputs = [name for i, name in enumerate(c.INPUTS) if not core or info["inputs"] >> i & 1]
    ops = [op for i, op in enumerate(c.OPS) if op != "rmsnorm" and (not core or info["ops"] >> i & 1)]
    kinds = []
    if "softmax" in ops:
        kinds += [("softmax", "s8", fmt) for fmt in formats if "s8" in inputs]
        kinds += [("softmax", "s16", fmt) for fmt in formats if "s16" in inputs and fmt == "u16_q15"]
    if "layernorm" in ops:
        kinds += [("layernorm", kind, Q5_10) for kind in inputs]
    cases = []
    for op, kind, fmt in kinds:
        for n in lengths:
            if n > info["max_length"] or (op == "layernorm" and n > c.MAX_LENGTH_LAYERNORM):
                continue
            has_float = kind == "s8" and fmt in ("u8_255", Q5_10)
            for path in ("accel",) * bool(core) + ("cpu",) + ("float",) * has_float:
                cases.append(Case(op, kind, fmt, path, n, ROWS[path], 1 + len(cases)))
    return cases


# Measuring ----------------------------------------------------------------------------------------------------------

def information(board):
    """(identifier of the SoC, its @info record)."""
    def understand(text, records):
        soc = records.one("soc")["text"].replace("_", " ")
        info = records.one("info")
        if info["core"] not in (0, 1) or info["clock"] <= 0:
            raise ValueError("the @info record is not one")
        return soc, {key: value for key, value in info.items() if key != "record"}

    return board.ask("info", understand)


def selftest(board):
    """{"tests", "passed", "failed": names}."""
    def understand(text, records):
        rows = records.all("selftest")
        summary = [line.split() for line in text.split("\n") if line.startswith("selftest: ")]
        if len(summary) != 1 or int(summary[0][3]) != len(rows) or int(summary[0][1]) != sum(r["ok"] for r in rows):
            raise ValueError("records of the selftest are missing")
        failed = [row["name"] for row in rows if row["ok"] != 1]
        return {"tests": len(rows), "passed": len(rows) - len(failed), "failed": failed}

    return board.ask("selftest", understand)


def measure(board, case, config):
    """Run a Case on the board; dict of it with cycles, and the elements and sums that are wrong."""
    right = expected(case, config)

    def understand(text, records):
        if records.all("refused"):
            raise ValueError("the board refused the command")
        record = records.one("measure")
        if any(record[key] != value for key, value in asdict(case).items()):
            raise ValueError("the answer is to another command")
        if record["result"] != 0:
            return record, None
        output = records.tensors[case.path, "rows"]
        if output.shape != right.shape or output.dtype != right.dtype:  # the tensor's header has no check
            raise ValueError(f"the output has shape {output.shape} and type {output.dtype}")
        return record, output.astype(np.int64)

    record, output = board.ask(case.command(), understand)
    if output is None:
        raise BoardError(f"`{case.command()}` ended with the driver's code {record['result']}")
    return asdict(case) | {
        "cycles": record["cycles"],
        "wrong_elements": int(np.count_nonzero(output != right)),
        "wrong_sums": wrong_sums(case, output),
    }


def run_layer(board, workload, paths):
    """The transformer layer of `workload`, whose image the board has: (dict of its report or None, note, error).

    note   why it was not run: there is no image in memory, or this core is not built for it
    error  with what it ended
    """
    from litenorm.sim.layer import compare
    from litenorm.sim.runner import SimResult

    stages = workload.block.run(workload.x, workload.valid, None)

    def understand(text, records):
        failed = records.all("error")
        if failed:
            code, why = failed[0]["code"], str(failed[0]["text"]).replace("_", " ")
            return (None, why, "") if code in NOT_RUN else (None, "", f"error {code}: {why}")
        if workload.block.name not in text:
            return None, "the image in the board's memory is another one", ""
        for path in paths:
            records.one("cycles", path=path)
        return compare(workload, stages, paths, SimResult(records, 0, 0, 0.0, text)).json(), "", ""

    return board.ask(f"layer {'both' if len(paths) == 2 else paths[0]}", understand)


def run(board, lengths=LENGTHS, workload=None, simulated=False, progress=lambda text: None):
    """Self-test, rows, and the layer of `workload` (None: not); returns Result."""
    soc, info = information(board)
    result = Result(soc, None if not info["core"] else {k: v for k, v in info.items() if k not in ("core", "clock")},
                    info["clock"], simulated, board.name, {})
    progress("selftest")
    result.selftest = selftest(board)
    small = info["max_length"] <= c.MAX_LENGTH_LAYERNORM
    size = {"max_length": info["max_length"]} | ({} if small else {"ops": ("softmax",)})
    twin = LiteNormConfig(**size)
    core = LiteNormConfig(**size, backend="serial", size="area") if info.get("serial") else twin
    cases = plan(info, lengths)
    if not cases:
        raise BoardError(f"no row of {', '.join(map(str, lengths))} elements can be run: the longest of this SoC has "
                         f"{info['max_length']}")
    for i, case in enumerate(cases):
        progress(f"{case.op} {case.input} {case.format}, N = {case.n}, {LABELS[case.path]}: {i + 1} of {len(cases)}")
        result.rows.append(measure(board, case, core if case.path == "accel" else twin))
    if workload is not None:
        progress("transformer layer")
        paths = ("accel", "cpu") if info["core"] else ("cpu",)
        result.layer, result.layer_note, result.layer_error = run_layer(board, workload, paths)
    result.line_errors, result.resets = board.line_errors, board.resets
    return result


# Output -------------------------------------------------------------------------------------------------------------

def draw(result):
    """The figure: microseconds a row over N, a panel an operation."""
    from litenorm.bench.plot import bare, label_ends, plt

    panels = [("softmax", "s8", "u8_255"), ("layernorm", "s8", Q5_10)]
    figure, axes = plt.subplots(1, len(panels), sharey=True, figsize=(11, 4.2), layout="constrained")
    ends = []
    for axis, panel in zip(axes, panels, strict=True):
        ends.append([])
        for path, label in LABELS.items():
            points = [(row["n"], row["cycles"] / row["rows"] / result.clock * 1e6) for row in result.rows
                      if (row["op"], row["input"], row["format"]) == panel and row["path"] == path]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", markersize=4, color=COLOURS[path])
                ends[-1].append((label, points[-1], COLOURS[path]))
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        lengths = sorted({row["n"] for row in result.rows})
        axis.set_xticks(lengths, [f"{n}" for n in lengths])
        axis.set_xlabel("row length N")
        axis.set_title(f"{panel[0]}, {panel[1]} to {panel[2]}", loc="left", fontsize=11)
        bare(axis)
    for axis, labels in zip(axes, ends, strict=True):
        if labels:
            label_ends(axis, labels)
    axes[0].set_ylabel(f"µs a row at {result.clock / 1e6:g} MHz, logarithmic")
    return figure


def read_json(path):
    """The JSON of a run; ValueError for another file."""
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        reason = error.strerror
        raise ValueError(f"{path} cannot be read ({reason}): name a file that litenorm bench --json wrote") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error}): name a file that litenorm bench --json wrote") from None
    if not isinstance(data, dict) or data.get("kind") != FILE_KIND:
        raise ValueError(f"{path} is not of litenorm bench: name a file that litenorm bench --json wrote")
    try:
        cycles = times(data)
        whole = data["clock"] > 0 and {"soc", "ok"} <= data.keys() and min(cycles.values(), default=1) > 0 and all(
            key[-1] in LABELS for key in cycles)
    except (KeyError, TypeError, ZeroDivisionError):
        whole = False
    if not whole:
        raise ValueError(f"{path} lacks figures of a run: name a file as litenorm bench --json wrote it")
    return data


def times(data):
    """{(operation, input, format, n, path): cycles a row} of the JSON of a run."""
    return {(row["op"], row["input"], row["format"], row["n"], row["path"]): row["cycles"] / row["rows"]
            for row in data["rows"]}


def compare(first, second):
    """A table of two runs, dicts of `Result.json()`: cycles and time a row of what both measured, and their ratio."""
    a, b = times(first), times(second)
    common = [key for key in a if key in b]
    if not common:
        raise ValueError("the two files have no case in common: there is nothing to compare")
    console = Console(highlight=False)
    wide = console.width >= WITH_TIMES
    times_of = ("A µs", "B µs") if wide else ()
    table = Table(title="A beside B, a row; B / A is of the times")
    for name in ("operation", "in", "out", "N", "by", "A cycles", "B cycles", *times_of, "B / A"):
        table.add_column(name, justify="left" if name in ("operation", "in", "out", "by") else "right")
    for key in common:
        micro = a[key] / first["clock"] * 1e6, b[key] / second["clock"] * 1e6
        table.add_row(*map(str, key[:4]), LABELS[key[4]], f"{a[key]:,.0f}", f"{b[key]:,.0f}",
                      *(f"{time:,.2f}" for time in micro if wide), f"{micro[1] / micro[0]:.3f}")
    for name, data in (("A", first), ("B", second)):
        console.print(f"{name}: {data['soc']}, {data['clock'] / 1e6:g} MHz, {'ok' if data['ok'] else 'NOT ok'}")
    console.print(table)
    console.print(f"{len(common)} cases compared; {len(a) - len(common)} only in A, {len(b) - len(common)} only in B")
