# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""`litenorm build`: the SoC of a board, its bitstream, and what it takes."""

import argparse
from pathlib import Path

from litenorm.soc.targets.boards import BOARDS, board

EXAMPLES = """\
examples:
  litenorm build ulx3s-45f --build             the bitstream, and what it takes
  litenorm build ulx3s-45f --build --load      ... and to the board
  litenorm build ulx3s-85f --build --lanes 8 --seeds 5
  litenorm build ecpix5 --build --no-litenorm  the same SoC without the core
  litenorm build arty-a7-35                    the project for Vivado

What follows -- goes to the target script, which runs in the output folder:
  litenorm build ulx3s-45f --build -- --cpu-variant full --csr-csv csr.csv
"""

# Flags that are handed on to the target script when they are given.
HANDED_ON = ("sys_clk_freq", "lanes", "max_length", "ops", "backend", "size")
# Flags of the target script that this command gives itself, and what to do instead.
OWN = {
    **dict.fromkeys(("--build", "--load", "--output-dir"), "give it before --"),
    **dict.fromkeys(("--gateware-dir", "--software-dir", "--include-dir", "--generated-dir"), "--output-dir before --"),
    **dict.fromkeys(("--no-compile", "--no-compile-gateware"), "leave out --build before --"),
    **dict.fromkeys(("--soc-json", "--csr-json"), "soc.json in the output folder, which is always written"),
}


def add_parser(commands):
    """Add `build` to the subcommands of argparse."""
    known = "\n".join(f"  {b.name:<16}{b.title}; {b.memory}" + (f"; needs {b.vendor}" if b.vendor else "")
                      for b in BOARDS.values())
    parser = commands.add_parser(
        "build", help="build the SoC of an FPGA board, and its bitstream", epilog=f"boards:\n{known}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Elaborate the SoC of a board and compile its BIOS; with --build, synthesize,\n"
                    "place and route it, and say what it takes. Exit 0 only when every clock is as\n"
                    "fast as it has to be.")
    parser.add_argument("board", metavar="BOARD", help="one of those below")
    parser.add_argument("--build", action="store_true", help="make the bitstream; without it, only the project")
    parser.add_argument("--load", action="store_true", help="send the bitstream to the board, with openFPGALoader")
    core = parser.add_argument_group("core and SoC; defaults as of the board's target script")
    switch = core.add_mutually_exclusive_group()
    switch.add_argument("--with-litenorm", dest="with_litenorm", action="store_true", default=True,
                        help="with the core (default)")
    switch.add_argument("--no-litenorm", dest="with_litenorm", action="store_false", help="without the core")
    core.add_argument("--lanes", type=int, metavar="L", help="elements per beat: 1, 2, 4, 8, 16")
    core.add_argument("--max-length", type=int, metavar="N", help="longest row")
    core.add_argument("--ops", metavar="A,B,..", help="some of softmax,layernorm,rmsnorm")
    core.add_argument("--backend", metavar="B", help="parallel or serial")
    core.add_argument("--size", metavar="S", help="of the serial back end: area or balanced")
    core.add_argument("--sys-clk-freq", type=float, metavar="HZ", help="clock of the SoC")
    how = parser.add_argument_group("place and route")
    how.add_argument("--seeds", type=int, metavar="N",
                     help="try N seeds, keep the best (default: up to 3, the first that meets all clocks)")
    how.add_argument("--timing-allow-fail", action="store_true",
                     help="make a bitstream even when a clock is slower than it has to be")
    how.add_argument("--output-dir", type=Path, metavar="DIR", help="default: build/boards/BOARD")
    how.add_argument("--json", type=Path, metavar="F", help="write the figures to this file")
    parser.set_defaults(run=run, rest=())


def split(argv):
    """(arguments of the command, arguments of the target script): what follows `--` of `litenorm build`."""
    argv = list(argv)
    if argv[:1] == ["build"] and "--" in argv:
        where = argv.index("--")
        return argv[:where], argv[where + 1 :]
    return argv, []


def run(args):
    """`litenorm build`: returns the exit code."""
    from litenorm.fpga import flow
    from litenorm.sim.output import check_output, write_json
    from litenorm.sim.progress import observe

    chosen = board(args.board)
    if args.seeds is not None and args.seeds < 1:
        raise ValueError(f"--seeds is {args.seeds}; good: 1 or more")
    check_rest(args.rest, chosen)
    if args.json is not None:
        check_output(args.json, "a JSON file")
        if not args.build:
            raise ValueError("--json holds the figures of a bitstream: give --build as well")
    if chosen.vendor and (args.json is not None or args.seeds is not None):
        raise ValueError(f"--json and --seeds belong to boards that nextpnr places: {chosen.name} has {chosen.vendor}")
    if args.load and not args.build and script_arguments(args) not in ([], ["--no-litenorm"]):
        raise ValueError("--load alone sends the bitstream that is there: give --build as well for another")
    if args.seeds is not None and not args.build:
        raise ValueError("--seeds belongs to a bitstream: give --build as well")
    if args.load:
        flow.check_loader()  # now, and not after the minutes of a build
    folder = flow.default_folder(chosen, args.with_litenorm) if args.output_dir is None else args.output_dir.resolve()
    built = None
    if args.build or not args.load:
        seeds = None if args.seeds is None else range(1, args.seeds + 1)
        with observe() as observer:
            built = flow.build(chosen, script_arguments(args), folder, observer.stage, seeds,
                               args.timing_allow_fail, bitstream=args.build)
        show(chosen, built)
        if args.json is not None and built.placed is not None:

            write_json(args.json, figures(chosen, built))
    if args.load:
        flow.load(chosen, built.bitstream if built else flow.find_bitstream(folder))
    return 0


def check_rest(rest, chosen):
    """ValueError when the arguments behind -- have a flag of OWN, which would be overruled, or ask for help."""
    for flag in (argument.split("=")[0] for argument in rest):
        if flag in OWN:
            raise ValueError(f"{flag} behind -- has no effect; good: {OWN[flag]}")
        if flag in ("-h", "--help"):
            raise ValueError(f"python -m litenorm.soc.targets.{chosen.script} --help lists the flags behind --")


def script_arguments(args):
    """Arguments of the target script."""
    arguments = [] if args.with_litenorm else ["--no-litenorm"]
    for name in HANDED_ON:
        value = getattr(args, name)
        if value is not None:
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    return [*arguments, *args.rest]


def figures(chosen, built):
    """What the table shows, for JSON: counts are [used, available], clocks in MHz."""
    from litenorm.fpga.report import COLUMNS

    placed = built.placed
    return {
        "board": chosen.name, "device": built.device, "bitstream": str(built.bitstream), "seed": built.seed,
        "tried": [{"seed": seed, "mhz": mhz} for seed, mhz in built.tried],
        **{column.lower(): placed.count(column) for column in COLUMNS},
        "fmax": placed.clock.achieved, "target": placed.clock.needed, "met": placed.met,
        "clocks": [{"name": c.name, "achieved": c.achieved, "needed": c.needed} for c in placed.clocks],
    }


def show(chosen, built):
    """Print what was built."""
    from rich.console import Console
    from rich.table import Table

    from litenorm.fpga.report import COLUMNS, SYSTEM

    console = Console(highlight=False)
    if built.placed is None:
        what = "bitstream" if built.bitstream else "project (Verilog, constraints, BIOS, build script)"
        console.print(f"{what}: {shown(built.bitstream or built.folder)}", soft_wrap=True, markup=False)
        return
    placed = built.placed
    table = Table(title=f"{chosen.title} ({built.device})")
    for column in ("", "used", "of", "%"):
        table.add_column(column, justify="right" if column else "left")
    for column in COLUMNS:
        used, available = placed.count(column)
        table.add_row(column, f"{used:,}", f"{available:,}", f"{100 * used / available:.0f}" if available else "-")
    table.add_section()
    for clock in sorted(placed.clocks, key=lambda clock: clock.name != SYSTEM):
        table.add_row(f"clock {clock.name}, MHz", f"{clock.achieved:.2f}", f"{clock.needed:.2f}",
                      "met" if clock.margin >= 1 else "missed")
    console.print(table)
    if len(built.tried) > 1:
        tried = ", ".join(f"{seed}: {mhz:.2f}" for seed, mhz in built.tried)
        console.print(f"seed {built.seed} of {tried} MHz", soft_wrap=True)
    console.print(f"bitstream: {shown(built.bitstream)}", soft_wrap=True, markup=False)


def shown(path):
    """Relative to the current folder where it lies in it."""
    path = Path(path)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
