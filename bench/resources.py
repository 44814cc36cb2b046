# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Area of cores of all sizes, both back ends: NAND2 equivalents, and what they take of a Lattice ECP5.

    python -m litenorm.bench.resources
    python -m litenorm.bench.resources --lanes 4 --size area --max-length 1024

Cores with all operations and formats of their back end. NAND2 equivalents as bench/area.py counts them; of the ECP5,
what Yosys' synth_ecp5 leaves before placement: bench/fpga.py places, and reports up to a tenth more LUTs, and the
clock. Results are kept by a hash of the Verilog.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Lock

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from litenorm.accel import LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.config import SIZES
from litenorm.accel.export import verilog
from litenorm.bench.area import area
from litenorm.bench.fpga import SYNTHESIS, run
from litenorm.sim.cache import build_dir, digest, kept
from litenorm.sim.output import check_output, write_json

LENGTHS = (64, 256, 1024)
# LUTs of 4 inputs that a cell of the netlist takes: two for a pair of carry bits, four for 16 words of 4 bits.
LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}

elaborating = Lock()    # LiteX elaborates one design at a time


@dataclass(frozen=True)
class Ecp5:
    """Cells of an ECP5: LUTs, flip-flops, block RAMs (EBR, 18 kbit), multipliers (DSP, 18 x 18)."""

    lut: int
    ff: int
    ebr: int
    dsp: int


def ecp5(text, top="litenorm"):
    """Ecp5 of module `top` of the Verilog `text`, kept. OSError when Yosys fails."""
    def make():
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "core.v").write_text(text)
            run("Yosys", [sys.executable, "-c", SYNTHESIS, "core.v", top, "netlist.json"], folder)
            module = json.loads((folder / "netlist.json").read_text())["modules"][top]
        cells = Counter(cell["type"] for cell in module["cells"].values())
        return asdict(Ecp5(sum(cells[name] * luts for name, luts in LUTS.items()), cells["TRELLIS_FF"],
                           cells["DP16KD"], cells["MULT18X18D"]))

    return Ecp5(**kept(build_dir("ecp5"), digest(text, SYNTHESIS, version("pyosys"), repr(LUTS)), make))


def configs(lanes=c.LANES, sizes=SIZES, lengths=LENGTHS):
    """LiteNormConfigs of both back ends, the smallest first."""
    return [*(LiteNormConfig(backend="serial", size=size, formats=("u8_255", "tfl_s8"), max_length=n)
              for size in sizes for n in lengths),
            *(LiteNormConfig(lanes=count, max_length=n) for count in lanes for n in lengths)]


def name_of(config):
    """Of the back end and its size."""
    return f"serial, {config.size}" if config.serial else f"{config.lanes} lane{'s' * (config.lanes > 1)}"


def measure(config):
    """(config, Area, Ecp5) of the core of `config`."""
    with elaborating:
        text = verilog(config)
    return config, area(text, "litenorm", rom=not config.serial), ecp5(text)


def table_of(results):
    table = Table(title="the core alone: NAND2 equivalents, flip-flops, bits of memory; cells of a Lattice ECP5")
    for column in ("core", "max_length", "NAND2", "FF", "memory", "LUT", "FF", "EBR", "DSP"):
        table.add_column(column, justify="left" if column == "core" else "right")
    last = None
    for config, gates, cells in results:
        if last not in (None, name_of(config)):
            table.add_section()
        last = name_of(config)
        table.add_row(last, f"{config.max_length}", f"{gates.gates:,.0f}", f"{gates.flip_flops:,}",
                      f"{gates.memory_bits:,}", *(f"{count:,}" for count in asdict(cells).values()))
    return table


def draw(results):
    """The figure: gates, bits of memory and LUTs of each core, one line for each max_length."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    from litenorm.bench.plot import bare, plt

    names = list(dict.fromkeys(name_of(config) for config, *_ in results))
    lengths = sorted({config.max_length for config, *_ in results})
    panels = (("logic and flip-flops, NAND2 equivalents", lambda gates, cells: gates.gates),
              ("bits of memory", lambda gates, cells: gates.memory_bits),
              ("ECP5: LUTs", lambda gates, cells: cells.lut))
    figure, axes = plt.subplots(1, len(panels), figsize=(13, 4.4), layout="constrained")
    looks = list(zip(("#56B4E9", "#0072B2", "#000000"), ("^", "s", "o"), strict=True))
    for axis, (title, value) in zip(axes, panels, strict=True):
        for n, (colour, marker) in zip(lengths, looks * len(lengths), strict=False):
            for serial in (True, False):
                points = [(names.index(name_of(config)), value(gates, cells)) for config, gates, cells in results
                          if config.max_length == n and config.serial == serial]
                if points:
                    axis.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=5, linewidth=1.5,
                              label=f"max_length {n}" if serial == results[0][0].serial else None)
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.set_xticks(range(len(names)), [name.replace(", ", ",\n").replace(" lane", "\nlane") for name in names],
                        fontsize=9)
        axis.set_title(title, loc="left", fontsize=11)
        bare(axis, "y")
    axes[0].set_ylabel("of the core alone, logarithmic")
    axes[1].legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.resources", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.resources --max-length 1024")
    parser.add_argument("--lanes", type=int, nargs="*", default=c.LANES, metavar="L",
                        help=f"of the parallel cores (default: {' '.join(map(str, c.LANES))})")
    parser.add_argument("--size", nargs="*", default=SIZES, choices=SIZES, help="of the serial cores (default: both)")
    parser.add_argument("--max-length", type=int, nargs="+", default=LENGTHS, metavar="N",
                        help=f"longest row (default: {' '.join(map(str, LENGTHS))})")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="syntheses at a time (default: 2)")
    parser.add_argument("--plot", action="append", default=[], metavar="FILE", help="write the plot, .svg or .png")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON")
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error("--jobs must be at least 1")
    console = Console(highlight=False)
    columns = TextColumn("synthesis"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    try:
        work = configs(args.lanes, args.size, args.max_length)
        if not work:
            raise ValueError("there is neither --lanes nor --size: name one or more cores")
        plots = []
        if args.plot:
            from litenorm.bench.plot import check_paths, write

            plots = check_paths(args.plot)
        if args.json:
            check_output(args.json, "a JSON file")
        with (Progress(*columns, console=Console(stderr=True), transient=True) as progress,
              ThreadPoolExecutor(args.jobs) as pool):
            task = progress.add_task("synthesis", total=len(work))
            results = []
            for result in pool.map(measure, work):
                results.append(result)
                progress.update(task, advance=1)
        console.print(table_of(results))
        if plots:
            write(draw(results), plots)
        if args.json:
            write_json(args.json, [
                {"core": name_of(config), "max_length": config.max_length} | asdict(gates) | asdict(cells)
                for config, gates, cells in results])
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
