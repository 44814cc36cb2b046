# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Area of the core in NAND2 equivalents: Yosys maps the generated Verilog to the cells of nand2.lib.

    python -m litenorm.bench.area --lanes 4

Memories (`reg [..] name[0:..]` in the Verilog) are not mapped: their bits are a column of their own.
"""

import argparse
import dataclasses
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from litex.soc.interconnect import stream
from rich.console import Console
from rich.table import Table

from litenorm.accel import LiteNormConfig
from litenorm.accel.core import ROWS_IN_CORE
from litenorm.accel.export import to_verilog, verilog
from litenorm.accel.rows import row_params
from litenorm.accel.self_check import RowEntry, SelfCheck
from litenorm.soc.peripheral import LiteNormPeripheral

LIBRARY = Path(__file__).with_name("nand2.lib")
SCRIPT = """\
read_verilog {source}
hierarchy -top {top}
proc; flatten; attrmap -remove init; opt; wreduce; peepopt; opt_clean
alumacc; share; opt
memory_collect; memory_dff
opt; techmap; opt
dfflegalize -cell $_DFF_P_ x
opt; dfflibmap -liberty {library}
abc -liberty {library}
opt_clean -purge
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
    """Area of one netlist: NAND2 equivalents of logic and flip-flops, flip-flops, bits of memory."""

    gates: float
    flip_flops: int
    memory_bits: int

    def __add__(self, other):
        return Area(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


def memory_bits(text):
    """Bits of all memories of a Verilog text."""
    return sum((int(width) + 1) * (int(depth) + 1)
               for width, depth in re.findall(r"^reg \[(\d+):0\] \w+\[0:(\d+)\];", text, re.M))


def area(text, top):
    """Area of module `top` of the Verilog `text`."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        source, report = folder / "core.v", folder / "stat.json"
        source.write_text(text)
        script = folder / "area.ys"
        script.write_text(SCRIPT.format(source=source, top=top, library=LIBRARY, report=report))
        done = subprocess.run([sys.executable, "-c", RUN, script], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode or not report.exists():
            raise OSError(f"yosys failed: {done.stdout.strip().splitlines()[-1]}")
        design = json.loads(report.read_text())["design"]
    cells = design["num_cells_by_type"]
    return Area(float(design["area"]), cells.get("DFF", 0), memory_bits(text))


def core_area(config):
    """Area of the core of `config`."""
    return area(verilog(config), "litenorm")


def check_area(config):
    """Area of the self-check in the core of `config`: the promises, and one or two that compare."""
    row = stream.Endpoint(stream.EndpointDescription([("data", 1)], row_params(config)))
    entry = RowEntry(config, row, ROWS_IN_CORE)
    ports = [entry.beat, entry.last, entry.ready, *row.flatten(), *entry.source.flatten()]
    total = area(to_verilog(entry, ports, "entry"), "entry")
    for passed_affine in (False, True) if config.has_affine else (False,):
        check = SelfCheck(config, passed_affine)
        ports = [check.beat, check.last, check.data, check.first, check.row_done, check.row_error,
                 *check.promise.flatten()]
        total += area(to_verilog(check, ports, "check"), "check")
    return total


def peripheral_area(config, checked=True):
    """Area of the peripheral of `config` without its registers: the core, the engine and the bus masters.

    checked  with the checks of the way to memory (soc/engine.py); without, synthesis removes them
    """
    peripheral = LiteNormPeripheral(config, with_csr=False)
    if not checked:
        engine, writer = peripheral.engine, peripheral.engine.writer
        engine.lengths.comb += engine.lengths.damaged.eq(0)
        engine.pack.sync += engine.pack.damaged.eq(0)
        writer.comb += writer.damaged.eq(0), writer.settled.eq(1)
        peripheral.queue.sync += peripheral.queue.damaged.eq(0)
    ports = [peripheral.abort, peripheral.window_base, peripheral.window_limit, peripheral.soft_reset,
             peripheral.bus_fault, peripheral.idle, *peripheral.read_bus.flatten(), *peripheral.write_bus.flatten(),
             *peripheral.job.flatten(), *peripheral.result.flatten()]
    return area(to_verilog(peripheral, ports, "peripheral"), "peripheral")


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.area", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.area --lanes 4 --max-length 256")
    parser.add_argument("--lanes", type=int, default=4, help="elements per beat (default: 4)")
    parser.add_argument("--max-length", type=int, default=1024, metavar="N", help="longest row (default: 1024)")
    args = parser.parse_args(argv)
    console = Console(highlight=False)
    try:
        config = LiteNormConfig(lanes=args.lanes, max_length=args.max_length)
        table = Table(title=f"area of the core, {args.lanes} lanes, max_length {args.max_length}")
        for column in ("configuration", "NAND2 equivalents", "flip-flops", "bits of memory"):
            table.add_column(column, justify="left" if column == "configuration" else "right")
        rows = [("default", lambda: core_area(config)),
                ("  of which the self-check", lambda: check_area(config)),
                ("parity=True", lambda: core_area(dataclasses.replace(config, parity=True))),
                ("peripheral without its registers", lambda: peripheral_area(config)),
                ("  without its checks", lambda: peripheral_area(config, checked=False))]
        with console.status("synthesis") as status:
            for name, run in rows:
                status.update(f"synthesis: {name.strip()}")
                a = run()
                table.add_row(name, f"{a.gates:,.0f}", f"{a.flip_flops:,}", f"{a.memory_bits:,}")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
