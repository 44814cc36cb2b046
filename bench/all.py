# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""All benchmarks: runs each command and writes what they print, with the commands, to one page.

    python -m litenorm.bench.all --output docs/bench.md

A benchmark that fails ends this with exit 1 and leaves the page as it was.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass

from rich.console import Console

from litenorm.sim.output import check_output, write_text

PYTHON = ".venv/bin/python -m"
INTRODUCTION = """\
# Benchmarks

`make bench` runs the commands on this page and writes what they print. Cycles and gates are counted, so that they are
the same on every machine; the one ratio of CPU seconds, in the last section, compares two programs that ran in turns.
"""


@dataclass(frozen=True)
class Section:
    """A section of the page. `command`: a module and its arguments."""

    name: str
    title: str
    command: str
    text: str
    picture: str = ""


SECTIONS = (
    Section("resources", "Area of both back ends",
            "litenorm.bench.resources --lanes 1 4 16 --max-length 64 1024 --plot docs/resources.svg "
            "--plot docs/resources.png",
            "The core alone, with all operations. NAND2 equivalents by `bench/nand2.lib`, flip-flops included, "
            "memories as bits. ECP5: cells after Yosys' synth_ecp5, before placement.", "resources.svg"),
    Section("area", "What the checks take", "litenorm.bench.area",
            "NAND2 equivalents as above. The peripheral: core, engine and bus masters. Its own checks: those of the "
            "way to memory. A part is what the whole has more than without it."),
    Section("serial", "Units and options of the serial back end", "litenorm.bench.area --serial",
            "The arithmetic unit: row memory and registers of programmed scale and length are outside. Limit: half of "
            "what two published circuits of 942 and 1199 um2 in 28 nm would be at an assumed 0.49 um2 a gate."),
    Section("fpga", "FPGA", "litenorm.bench.fpga",
            "Yosys and nextpnr, five seeds. The SoC is VexRiscv with 32 KiB of RAM, UART, timer."),
    Section("throughput", "Words per cycle and latency",
            "litenorm.bench.throughput --plot docs/throughput.svg --plot docs/throughput.png",
            "Both bus masters share one Wishbone, of 32 bits and with bursts if nothing else is said; 1.0 is a word "
            "read or written in every cycle.", "throughput.svg"),
    Section("speedup", "Cycles a row, beside software",
            "litenorm.bench.speedup --plot docs/speedup.svg --plot docs/speedup.png",
            "On the simulated VexRiscv (standard). CMSIS-NN: its arithmetic in portable C. Lean C: a table of 512 "
            "bytes and one division a row for softmax, a square root and a division a row for LayerNorm. Of the "
            "software only the C twin gives rows that add up. -: no such function is there.", "speedup.svg"),
    Section("layer", "Where a layer's time goes",
            "litenorm.bench.layer --plot docs/layer.svg --plot docs/layer.png",
            "One layer of the small GPT, with the core and with the C twin in its place.", "layer.svg"),
    Section("cfu", "Custom instructions for the matrix products", "litenorm.bench.cfu",
            "The same layer on a SoC whose CPU has them (`--cfu`, docs/cfu.md), and on one without."),
    Section("dram", "Words per cycle on LiteDRAM's native ports", "litenorm.bench.dram",
            "Words read and written over all cycles, refresh included; 1.0 is a word of the port a cycle. Batches: "
            "65536 elements through the whole peripheral, with as many lanes as the port's word has bytes. On DDR3, "
            "rows of N = 16 are one word, and what limits short ones is how soon a row may follow the last one: after "
            "10 cycles or 11, with `short_rows` after 7 or 8."),
    Section("simulation", "Speed of simulation", "litenorm.bench.simulation",
            "LiteX's own simulation of the same SoC beside this project's."),
)


def run(section, console):
    """What the command of a section prints. OSError when it fails."""
    console.print(f"{section.title}: {section.command}", highlight=False)
    done = subprocess.run([sys.executable, "-m", *section.command.split()], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={**os.environ, "COLUMNS": "120"})
    if done.returncode:
        raise OSError(f"{section.command} failed with exit code {done.returncode}")
    console.print(done.stdout, highlight=False, markup=False)
    return done.stdout


def page(printed):
    """The page of [(section, text)]."""
    parts = [INTRODUCTION]
    for section, text in printed:
        lines = "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
        parts.append(f"## {section.title}\n\n{section.text}\n\n    {PYTHON} {section.command}\n\n"
                     f"```\n{lines}\n```\n")
        if section.picture:
            parts.append(f"![{section.title}]({section.picture})\n")
    return "\n".join(parts)


def main(argv=None):
    names = [section.name for section in SECTIONS]
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.all", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.all --only area serial")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="sections (default: all)")
    parser.add_argument("--output", metavar="FILE", help="the page; default: only print")
    args = parser.parse_args(argv)
    try:
        if args.output:
            check_output(args.output, "a Markdown file")
        console = Console()
        printed = [(section, run(section, console)) for section in SECTIONS if section.name in args.only]
        if args.output:
            write_text(args.output, page(printed))
    except (OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
