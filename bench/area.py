# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Area of the core in NAND2 equivalents: Yosys maps the generated Verilog to the cells of nand2.lib.

    python -m litenorm.bench.area --lanes 4
    python -m litenorm.bench.area --serial

Memories, and the large constant tables of the parallel core, are not mapped: their bits are a column of their own.
--serial prints the arithmetic units of the serial back end, and the cycles per element that a row of 256 elements takes
at most. What was measured is kept by a hash of the Verilog. Cores of all sizes, side by side: bench/resources.py.
"""

import argparse
import dataclasses
import json
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from litenorm.accel import LiteNormConfig
from litenorm.accel.core import core_for
from litenorm.accel.export import to_verilog, verilog
from litenorm.sim.cache import build_dir, digest, kept
from litenorm.soc.peripheral import LiteNormPeripheral

LIBRARY = Path(__file__).with_name("nand2.lib")
SCRIPT = """\
read_verilog {source}
hierarchy -top {top}
proc {proc}; flatten; attrmap -remove init; opt; wreduce; peepopt; opt_clean
alumacc; share; opt
memory_collect; memory_dff
opt; techmap; opt
dfflegalize -cell $_DFF_P_ x
opt; dfflibmap -liberty {library}
abc -liberty {library}
opt_clean -purge
dump -n -o {memories} t:$mem_v2
tee -q -o {report} stat -json -liberty {library}
"""


# A process of its own: pyosys ends the process on an error, and frees twice at the interpreter's end.
RUN = """\
import os, sys
from pyosys import libyosys
libyosys.run_pass(f"tee -q script {sys.argv[1]}")
os._exit(0)
"""


@dataclasses.dataclass(frozen=True)
class Area:
    """Area of one netlist, or a difference: NAND2 equivalents of logic and flip-flops, flip-flops, bits of memory."""

    gates: float
    flip_flops: int
    memory_bits: int

    def __sub__(self, other):
        return Area(*(a - b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


def memory_bits(dump):
    """Bits of all memories, tables included, of Yosys' dump of the memory cells."""
    widths, sizes = (map(int, re.findall(rf"parameter \\{name} (\d+)", dump)) for name in ("WIDTH", "SIZE"))
    return sum(width * size for width, size in zip(widths, sizes, strict=True))


def area(text, top, rom=True):
    """Area of module `top` of the Verilog `text`, kept; rom: large tables become memory, not gates."""
    options = dict(top=top, library=LIBRARY.name, proc="" if rom else "-norom")
    script = SCRIPT.format(source="", report="", memories="", **options)
    key = digest(text, script, LIBRARY.read_bytes(), version("pyosys"))
    return Area(**kept(build_dir("area"), key, lambda: dataclasses.asdict(_area(text, **options))))


def _area(text, **options):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        source, report, memories = folder / "core.v", folder / "stat.json", folder / "memories.il"
        source.write_text(text)
        (folder / LIBRARY.name).write_bytes(LIBRARY.read_bytes())
        script = folder / "area.ys"
        script.write_text(SCRIPT.format(source=source.name, report=report.name, memories=memories.name,
                                        **options))
        done = subprocess.run([sys.executable, "-c", RUN, script.name], stdin=subprocess.DEVNULL, text=True, cwd=folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode or not report.exists():
            raise OSError(f"yosys failed: {(done.stdout.strip().splitlines() or ['no output'])[-1]}")
        design = json.loads(report.read_text())["design"]
        bits = memory_bits(memories.read_text())
    cells = design["num_cells_by_type"]
    return Area(float(design["area"]), cells.get("DFF", 0), bits)


def core_area(config, checked=True):
    """Area of the core of `config`. The tables of the serial back end are gates, those of the parallel one memory.

    checked  with the self-check: without, nothing that it reports is used, and synthesis removes it and its queues
    """
    rom = not config.serial
    if checked:
        return area(verilog(config), "litenorm", rom)
    core = core_for(config)
    queue = core.entry.queue
    core.comb += core.row_error.eq(0)
    queue.comb += queue.sink.ready.eq(1)
    ports = [core.row_done, core.row_error, core.constant_row, *core.sink.flatten(), *core.source.flatten()]
    if config.has_affine:
        ports += core.weights.flatten()
    return area(to_verilog(core, ports, "litenorm"), "litenorm", rom)


def check_area(config):
    """Area of the self-check in the core of `config`: what the core has more than without it."""
    return core_area(config) - core_area(config, checked=False)


def peripheral_area(config, checked=True):
    """Area of the peripheral of `config` without its registers: the core, the engine and the bus masters.

    checked  with the checks of the way to memory (soc/engine.py); without, synthesis removes them
    """
    peripheral = LiteNormPeripheral(config, with_csr=False)
    if not checked:
        engine, writer = peripheral.engine, peripheral.engine.writer
        engine.lengths.sync += engine.lengths.damaged.eq(0)
        engine.held.sync += engine.held.damaged.eq(0)
        engine.pack.sync += engine.pack.damaged.eq(0)
        writer.comb += writer.damaged.eq(0), writer.settled.eq(1)
        peripheral.queue.sync += peripheral.queue.damaged.eq(0)
    ports = [peripheral.abort, peripheral.window_base, peripheral.window_limit, peripheral.soft_reset,
             peripheral.bus_fault, peripheral.idle, *peripheral.read_bus.flatten(), *peripheral.write_bus.flatten(),
             *peripheral.job.flatten(), *peripheral.result.flatten()]
    return area(to_verilog(peripheral, ports, "peripheral"), "peripheral")


# Units of the serial back end: what is built, and the NAND2 equivalents it may take.
NORMS = ("layernorm", "rmsnorm")
WIDE = ("u16_q15", "tfl_s16", "u16_65535")
SERIAL = [
    ("softmax", dict(ops="softmax", size="area"), 900),
    ("  + tfl_s8", dict(ops="softmax", size="area", formats=("u8_255", "tfl_s8")), None),
    ("softmax, u16_65535", dict(ops="softmax", size="area", formats="u16_65535"), None),
    ("  + tfl_s16, u16_q15", dict(ops="softmax", size="area", formats=WIDE), None),
    ("softmax", dict(ops="softmax", size="balanced"), 1400),
    ("  + tfl_s8", dict(ops="softmax", size="balanced", formats=("u8_255", "tfl_s8")), None),
    ("softmax, u16_65535", dict(ops="softmax", size="balanced", formats="u16_65535"), None),
    ("  + tfl_s16, u16_q15", dict(ops="softmax", size="balanced", formats=WIDE), None),
    ("norms", dict(ops=NORMS, size="area"), 1150),
    ("  LayerNorm alone", dict(ops="layernorm", size="area"), None),
    ("  RMSNorm alone", dict(ops="rmsnorm", size="area"), None),
    ("  + eps", dict(ops=NORMS, size="area", eps=True), None),
    ("norms", dict(ops=NORMS, size="balanced"), 2000),
    ("  LayerNorm alone", dict(ops="layernorm", size="balanced"), None),
    ("  RMSNorm alone", dict(ops="rmsnorm", size="balanced"), None),
    ("  + eps", dict(ops=NORMS, size="balanced", eps=True), None),
    ("all", dict(size="area"), 1600),
    ("  + tfl_s8", dict(size="area", formats=("u8_255", "tfl_s8")), None),
    ("  + eps", dict(size="area", eps=True), None),
    ("all", dict(size="balanced"), 2600),
    ("  + tfl_s8", dict(size="balanced", formats=("u8_255", "tfl_s8")), None),
    ("  + eps", dict(size="balanced", eps=True), None),
]
SERIAL_ROW = 256    # elements of the row whose cycles are shown


def unit_area(config):
    """Area of the arithmetic unit of a serial core: without row memory, sequencer and registers of constants."""
    from litenorm.accel.serial.units import unit_class

    unit = unit_class(config)(config)
    return area(to_verilog(unit, [*unit.inputs, *unit.outputs], "unit"), "unit", rom=False)


# Cores of the serial back end, whole: what is built.
SERIAL_CORES = [
    ("softmax, area", dict(ops="softmax", size="area")),
    ("  of which the self-check", dict(ops="softmax", size="area")),
    ("  of which the scale register", dict(ops="softmax", size="area")),
    ("  masks=False", dict(ops="softmax", size="area", masks=False)),
    ("softmax, balanced", dict(ops="softmax", size="balanced")),
    ("norms, area", dict(ops=NORMS, size="area")),
    ("norms, balanced", dict(ops=NORMS, size="balanced")),
    ("all, area", dict(size="area")),
    ("all, balanced", dict(size="balanced")),
]


def scale_area(config):
    """Area of what forms K from a row's scale parameters, in any serial core with softmax."""
    from litenorm.accel.serial.core import ScaleRegister

    scale = ScaleRegister()
    return area(to_verilog(scale, [scale.load, scale.multiplier, scale.shift, scale.done, scale.k], "scale"), "scale")


def serial_tables(max_length, status):
    """(title, columns, rows) of two tables: the arithmetic units of the serial back end, and its cores."""
    from litenorm.accel.serial.units import unit_class

    n = min(SERIAL_ROW, max_length)
    units = []
    for name, options, limit in SERIAL:
        config = LiteNormConfig(backend="serial", max_length=max_length, **options)
        status.update(f"synthesis: {name.strip()}, {config.size}")
        a = unit_area(config)
        passes = unit_class(config).cycles(config, n).values()
        units.append((name, config.size, f"{a.gates:,.0f}", f"{limit:,}" if limit else "", f"{a.flip_flops}",
                      " / ".join(f"{count / n:.0f}" for count in passes)))
    cores = []
    for name, options in SERIAL_CORES:
        status.update(f"synthesis: core of {name.strip()}")
        config = LiteNormConfig(backend="serial", max_length=max_length, **options)
        part = check_area if "self-check" in name else scale_area if "scale" in name else core_area
        a = part(config)
        cores.append((name, f"{a.gates:,.0f}", f"{a.flip_flops}", f"{a.memory_bits:,}"))
    return [
        (f"arithmetic units of the serial back end, max_length {max_length}",
         ("unit", "size", "NAND2 equivalents", "limit", "flip-flops", f"cycles an element, N = {n}, by pass"), units),
        (f"cores of the serial back end, max_length {max_length}",
         ("core", "NAND2 equivalents", "flip-flops", "bits of memory"), cores),
    ]


def serial_report(max_length, console, markdown):
    """Print the tables of the serial back end, or print them as Markdown."""
    with console.status("synthesis") as status:
        tables = serial_tables(max_length, status)
    for title, columns, rows in tables:
        right = [all(re.fullmatch(r"[\d,]*", row[i]) for row in rows) for i in range(len(columns))]
        if markdown:
            lines = [columns, ["---:" if r else "---" for r in right],
                     *[[cell.strip() if not cell.startswith(" ") else f"&nbsp; {cell.strip()}" for cell in row]
                       for row in rows]]
            console.print("\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n", soft_wrap=True,
                          markup=False)
            continue
        table = Table(title=title)
        for column, r in zip(columns, right, strict=True):
            table.add_column(column, justify="right" if r else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.area", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.area --lanes 4 --max-length 256")
    parser.add_argument("--lanes", type=int, default=4, help="elements per beat (default: 4)")
    parser.add_argument("--max-length", type=int, default=1024, metavar="N", help="longest row (default: 1024)")
    parser.add_argument("--serial", action="store_true", help="the units of the serial back end instead")
    parser.add_argument("--markdown", action="store_true", help="with --serial: print Markdown")
    args = parser.parse_args(argv)
    console = Console(highlight=False)
    try:
        if args.serial:
            serial_report(args.max_length, console, args.markdown)
            return 0
        config = LiteNormConfig(lanes=args.lanes, max_length=args.max_length)
        table = Table(title=f"area of the core, {args.lanes} lanes, max_length {args.max_length}")
        for column in ("configuration", "NAND2 equivalents", "share", "flip-flops", "bits of memory"):
            table.add_column(column, justify="left" if column == "configuration" else "right")
        rows = [("core", lambda: core_area(config)),
                ("  of which the self-check", lambda: check_area(config)),
                ("core, parity=True", lambda: core_area(dataclasses.replace(config, parity=True))),
                ("core, short_rows=True", lambda: core_area(dataclasses.replace(config, short_rows=True))),
                ("peripheral without its registers", lambda: peripheral_area(config)),
                ("  of which its own checks",
                 lambda: peripheral_area(config) - peripheral_area(config, checked=False))]
        with console.status("synthesis") as status:
            for name, run in rows:
                status.update(f"synthesis: {name.strip()}")
                a = run()
                if not name.startswith(" "):
                    whole = a
                share = f"{a.gates / whole.gates:.1%}" if name.startswith(" ") else ""
                table.add_row(name, f"{a.gates:,.0f}", share, f"{a.flip_flops:,}", f"{a.memory_bits:,}")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
