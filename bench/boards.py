# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Resources and Fmax of the boards' SoCs, with and without the core, from their bitstreams.

    python -m litenorm.bench.boards --output docs/boards.md

Every row is one bitstream, built as `litenorm build` builds it; one that is there already is not built again. Exit 0
only when each was built and every clock is as fast as it has to be.
"""

import argparse
import os
import sys

from rich.console import Console
from rich.table import Table

from litenorm.fpga import flow
from litenorm.fpga.report import COLUMNS
from litenorm.sim.errors import SimulationError
from litenorm.sim.output import check_output, write_text
from litenorm.sim.progress import observe
from litenorm.soc.targets.boards import BOARDS, board

DEFAULT = ("ulx3s-45f", "colorlight-i5", "ecpix5", "tang-nano-9k")
HEAD = ("board", "core", *COLUMNS, "Fmax, MHz", "target")

PAGE = """\
# Boards

A bitstream takes one command, and no vendor's tool but for the Arty:

    make bitstream                                       # ULX3S 45F, sets up what it needs
    make bitstream BOARD=colorlight-i5
    .venv/bin/litenorm build ulx3s-45f --build --load    # after .ci/setup fpga, or pip install '.[fpga]'

Yosys, nextpnr, ecppack and gowin_pack come from PyPI; the C compiler of the BIOS is Debian's
(`gcc-riscv64-unknown-elf`). Up to three placements are tried until one meets all clocks; `--seeds 5` tries five and
keeps the best. A clock that misses its target is an error, unless `--timing-allow-fail` makes the bitstream all the
same. `--load` calls openFPGALoader (Debian: `openfpgaloader`).

| name | board | memory | core's masters |
| --- | --- | --- | --- |
{boards}

Each SoC is a LiteX target script in `soc/targets/`: VexRiscv (`standard`; Tang Nano 9K: `minimal`), UART at 115200
baud, LiteX's BIOS in block RAM, a timer that counts cycles since reset, and the board's memory. `litex_term` sends
firmware over the UART; the Tang Nano's 8 KiB of main memory are too small for this project's, and take a program of
your own with the driver. Flags of the core are `--lanes`, `--max-length`, `--ops`, `--backend`, `--size` and
`--no-litenorm`; LiteX's own follow `--`.

## What the bitstreams take

    {command}

writes this page. LUT, FF, EBR (block RAMs) and DSP (multipliers) as nextpnr counts them, and in % of the device; Fmax
of the SoC's clock.

{table}

None of these bitstreams has been loaded into a board for this page: resources and timing are nextpnr's.
"""


def masters(board):
    """Where the core's masters get at memory."""
    return "bus" if board.memory == "block RAM" else "native ports of LiteDRAM"


def arguments_of(with_core):
    return () if with_core else ("--no-litenorm",)


def command_of(name, with_core, seeds):
    """The command of a row."""
    return " ".join(["litenorm build", name, "--build", *arguments_of(with_core),
                     *(["--seeds", str(seeds)] if seeds else [])])


def cells(name, with_core, built):
    """A row of the table as text."""
    placed = built.placed
    counts = []
    for column in COLUMNS:
        used, available = placed.count(column)
        counts.append(f"{used:,} ({100 * used / available:.0f} %)" if available else f"{used:,}")
    return [name, "with" if with_core else "without", *counts, f"{placed.clock.achieved:.1f}",
            f"{placed.clock.needed:g}" + ("" if placed.met else " missed")]


def page(rows, command, seeds):
    """The page of [(board's name, with the core, Built)]."""
    boards = [f"| `{b.name}` | {b.title}{f' (needs {b.vendor})' if b.vendor else ''} | {b.memory} | {masters(b)} |"
              for b in BOARDS.values()]
    lines = ["| " + " | ".join((*HEAD, "command")) + " |",
             "| --- | --- |" + " ---: |" * (len(HEAD) - 2) + " --- |"]
    lines += ["| " + " | ".join((*cells(*row), f"`{command_of(*row[:2], seeds)}`")) + " |" for row in rows]
    return PAGE.format(boards="\n".join(boards), command=command, table="\n".join(lines))


def made(chosen, with_core, args):
    """The Built of a row; None when there is none and --built was given."""
    folder = flow.default_folder(chosen, with_core)
    if args.built:
        return flow.earlier(folder)
    what = f"{chosen.name}, {'with' if with_core else 'without'} the core"
    with observe() as observer:
        # A clock that is missed is in the table; the exit code tells.
        return flow.build(chosen, arguments_of(with_core), folder, lambda text: observer.stage(f"{what}: {text}"),
                          range(1, args.seeds + 1) if args.seeds else None, timing_allow_fail=True)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.boards", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.boards --boards ulx3s-45f --seeds 3")
    parser.add_argument("--boards", nargs="+", default=DEFAULT, metavar="B", help=f"default: {' '.join(DEFAULT)}")
    parser.add_argument("--seeds", type=int, metavar="N",
                        help="seeds of each bitstream (default: up to 3, the first that meets all clocks)")
    parser.add_argument("--built", action="store_true", help="build nothing: only the bitstreams that are there")
    parser.add_argument("--output", metavar="FILE", help="write the page to this file")
    args = parser.parse_args(argv)
    console = Console(highlight=False)
    rows = []
    try:
        chosen = [board(name) for name in args.boards]
        if args.seeds is not None and args.seeds < 1:
            raise ValueError(f"--seeds is {args.seeds}; good: 1 or more")
        if args.output:
            check_output(args.output, "a Markdown file")
        for b in chosen:
            for with_core in (False, True):
                built = made(b, with_core, args)
                if built is not None:
                    rows.append((b.name, with_core, built))
                    console.print(" | ".join(cells(*rows[-1])), soft_wrap=True)
        if not rows:
            raise ValueError("no bitstream of these boards is there: leave out --built")
        if args.output:
            command = ".venv/bin/python -m litenorm.bench.boards"
            if tuple(args.boards) != DEFAULT:
                command += f" --boards {' '.join(args.boards)}"
            if args.seeds:
                command += f" --seeds {args.seeds}"
            if args.built:
                command += " --built"
            write_text(args.output, page(rows, f"{command} --output {os.path.relpath(args.output)}", args.seeds))
    except (ValueError, OSError, SimulationError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    table = Table(title="bitstreams")
    for column in HEAD:
        table.add_column(column, justify="left" if column in ("board", "core") else "right")
    for row in rows:
        table.add_row(*cells(*row))
    console.print(table)
    return 0 if all(built.placed.met for *_, built in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
