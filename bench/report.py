# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What `litenorm compare` measured: on a terminal, as Markdown, as JSON."""

from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from litenorm.bench import rows as data

NOTHING = "-"
UNDEFINED = "undefined"

INTRODUCTION = """\
# The peers' arithmetic on the same rows

Softmax and LayerNorm of other designs, written from their published formulas in `bench/peers/` (integers, one file a
peer), beside LiteNorm's bit-exact model. All are given the same quantized rows; the reference is float64 on those same
rows, so the quantization of the input is nobody's error. `make compare` prints and writes this page and its plot.
"""

METHOD = f"""\
- Logits: Gaussian, standard deviation {data.LOGIT_SD:g}, int8, one LSB of 1/{1 / data.SCALE:g}: no row is clipped
  within four deviations, and no peer has to round it. TFLite's s16 softmax takes the same integers as int16.
- |sum-1|: the sum of a row's codes, in integers, over the code that stands for 1. "0" is exact.
- error: of one probability, against float64; in ulp: in LSBs of the peer's own output.
- argmax lost: rows in which an element with a smaller logit is larger than all with the largest logit; tied: rows in
  which one is as large.
- out of order: elements whose output is below that of some element with a smaller logit, and by how many ulp at most.
"""

def _spread(kind):
    low, high = data.NORM_SPREAD[kind]
    return f"{low} to {high} LSBs"


NOTES = f"""\
- TFLite, CMSIS-NN: the three integer kernels. Where the exponentials of an s8 row add up to 512 or more, TFLite Micro
  stops on a check and CMSIS-NN shifts by 32, which C leaves undefined.
- I-BERT: 16-bit exponentials, 8-bit outputs.
- Softermax: the published bit widths, 4-chord reciprocal, slices of 16. Logits times log2(e): the original replaces e
  by 2 and trains again.
- SOLE: 4-bit logarithms, slices of 32, outputs rounded to 8 bits. ITAMax: 16 elements at a time, 8-bit outputs.
  Both rescale the sum by a rounded power of two when a new maximum comes; "max known" is the same arithmetic with the
  maximum found first.
- LayerNorm: standard deviation of int8 rows {_spread("s8")}, of int16 rows {_spread("s16")}; mean within one
  deviation of 0. I-BERT rounds the mean to an integer, which costs less the wider the input is. SOLE takes 8 bits; its
  mean is exact, and its output is not quantized here. TFLite Micro and CMSIS-NN have no LayerNorm.
- LiteNorm hands what rounding one element leaves over to the next. That makes the sum exact, and it is also why two
  elements whose exact values lie within about one ulp can change places: with 8-bit outputs most elements of a long row
  are below one ulp, and are 0 or 1. Its error against float64 includes that of its exponential.
"""


@dataclass(frozen=True)
class Table:
    """A table of text; the first column is aligned left.

    split   a rule above this line
    wide    columns that only the Markdown has: a terminal's 80 characters do not hold them
    """

    title: str
    columns: tuple
    lines: tuple
    split: int | None = None
    wide: tuple = ()

    def rich(self):
        def narrow(line):
            return [text for column, text in zip(self.columns, line, strict=True) if column not in self.wide]

        table = RichTable(title=self.title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False,
                          padding=(0, 1, 0, 0))
        for i, column in enumerate(narrow(self.columns)):
            header = "\n".join(column.rsplit(" ", 1)) if i else column
            table.add_column(header, justify="right" if i else "left", no_wrap=True)
        for i, line in enumerate(self.lines):
            if i == self.split:
                table.add_section()
            table.add_row(*narrow(line))
        return table

    def markdown(self):
        rows = [self.columns, ("---", *["---:"] * (len(self.columns) - 1)), *self.lines]
        cells = ((text.replace("|", "\\|") for text in row) for row in rows)
        return "\n".join(["### " + self.title, "", *("| " + " | ".join(row) + " |" for row in cells)])


def number(value):
    """Two significant digits; "0" only for exactly 0."""
    if value is None:
        return NOTHING
    if 0 < value < 1e-12:
        return "< 1e-12"
    return f"{value:.1e}".replace("e-0", "e-") if 0 < value < 0.01 else f"{value:.2g}"


def sum_text(entry):
    """The sum of a named row; "1" and "0" only for exactly those."""
    if entry["sum"] is None:
        return UNDEFINED
    return f"{entry['sum']:.0f}" if entry["sum_of_codes"] in (0, entry["total"]) else f"{entry['sum']:.4f}"


@dataclass(frozen=True)
class Report:
    """Results of one comparison; the lists hold one dictionary a measurement, as they stand in the JSON."""

    rows: int
    seed: int
    lengths: tuple
    peers: tuple
    norms: tuple
    softmax: list
    named: list
    layernorm: list
    sigma_bound: float

    @property
    def ok(self):
        """True when every row of LiteNorm is exact: sums, means, and sigma inside of its bound."""
        ours = {peer.name for peer in self.peers if peer.family == "litenorm"}
        return (all(r["wrong_sums"] == r["undefined_rows"] == 0 for r in self.softmax if r["peer"] in ours)
                and all(r["sum_of_codes"] == r["total"] for r in self.named if r["peer"] in ours)
                and all(r["max_mean"] == 0 and r["max_sigma_error"] < self.sigma_bound
                        for r in self.layernorm if r["peer"] == "litenorm" and r["rows"]))

    def json(self):
        """All results as a dictionary that JSON can hold."""
        return {
            "rows": self.rows, "seed": self.seed, "lengths": list(self.lengths), "scale": data.SCALE,
            "logit_sd": data.LOGIT_SD,
            "sources": {p.name: p.source for p in (*self.peers, *self.norms)},
            "softmax": self.softmax, "named_rows": self.named, "layernorm": self.layernorm, "exact": self.ok,
        }

    def tables(self):
        """The tables, softmax by row length first."""
        return [*(self._softmax_table(n) for n in self.lengths), self._named_table(), self._layernorm_table()]

    def show(self):
        """Print the tables."""
        console = Console(highlight=False)
        for table in self.tables():
            console.print(table.rich())
            console.print()
        console.print(self.verdict())

    def verdict(self):
        if self.ok:
            return "LiteNorm: every softmax row sums to T and every LayerNorm row to 0, exactly"
        return "LiteNorm: NOT exact"

    def markdown(self, command, plot):
        """The page docs/compare.md. command: what printed it; plot: file name of the picture, or None."""
        parts = [INTRODUCTION, f"    {command}\n",
                 f"{self.rows} rows of each length, seed {self.seed}.\n", METHOD,
                 *([f"![largest |sum-1| over the row length]({plot})\n"] if plot else []),
                 "## Softmax\n", *(t.markdown() + "\n" for t in self.tables()[:-1]),
                 "## LayerNorm\n", self.tables()[-1].markdown() + "\n",
                 f"{self.verdict()}.\n", "## Notes\n", NOTES, "## Sources\n", self._sources()]
        return "\n".join(parts)

    def _sources(self):
        sources = {}
        for peer in (*self.peers, *self.norms):
            sources.setdefault(peer.source, []).append(peer.label)
        lines = [f"- {', '.join(dict.fromkeys(labels))}: {source}" for source, labels in sources.items()]
        return "\n".join(lines) + "\n\nTitles and sections: the docstrings in `bench/peers/`.\n"

    @property
    def _split(self):
        return sum(peer.family != "litenorm" for peer in self.peers)

    def _softmax_table(self, length):
        columns = ("softmax", "|sum-1| max", "|sum-1| mean", "error max", "error mean", "error ulp", "argmax lost",
                   "argmax tied", "out of order", "by ulp")
        found = {r["peer"]: r for r in self.softmax if r["length"] == length}
        lines = []
        for peer in self.peers:
            r = found[peer.name]
            share = r["order_inversion_share"]
            lines.append((
                peer.label, number(r["max_sum_error"]), number(r["mean_sum_error"]), number(r["max_error"]),
                number(r["mean_error"]), number(r["max_error_ulp"]), str(r["argmax_flips"]), str(r["argmax_ties"]),
                NOTHING if share is None else f"{100 * share:.2g}%", str(r["max_inversion_ulp"])))
        undefined = sum(r["undefined_rows"] for r in found.values())
        title = f"softmax, {self.rows} rows of N = {length}" + (f", {undefined} results undefined" if undefined else "")
        return Table(title, columns, tuple(lines), self._split, wide=("argmax tied", "by ulp"))

    def _named_table(self):
        names = list(dict.fromkeys(r["row"] for r in self.named))
        found = {(r["row"], r["peer"]): r for r in self.named}
        lines = tuple((peer.label, *(sum_text(found[name, peer.name]) for name in names)) for peer in self.peers)
        return Table("sum of softmax on rows with a name", ("softmax", *names), lines, self._split)

    def _layernorm_table(self):
        columns = ("LayerNorm", "N", "input", "|sigma-1| max", "|mean| max", "error max")
        labels = {peer.name: peer.label for peer in self.norms}
        lines = tuple((labels[r["peer"]], str(r["length"]), r["input"], number(r["max_sigma_error"]),
                       number(r["max_mean"]), number(r["max_error"])) for r in self.layernorm)
        return Table(f"LayerNorm, {self.rows} rows each", columns, lines)
