# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The command `python -m litenorm.sim.soak`."""

import argparse
import sys
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from rich.console import Console

from litenorm.sim.cache import build_dir
from litenorm.sim.campaigns import count_of, progress_bar
from litenorm.sim.errors import SimulationError
from litenorm.sim.output import check_output, write_json
from litenorm.sim.soak.campaign import soak
from litenorm.sim.soak.chunks import CORES
from litenorm.sim.soak.report import report_json, show, show_violation


def make_parser():
    parser = argparse.ArgumentParser(
        prog="python -m litenorm.sim.soak", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Run the Verilated core over random and adversarial rows and compare every element with the model.",
        epilog="example: python -m litenorm.sim.soak --elements 1e9 --seed 7 --json soak.json")
    parser.add_argument("--elements", type=count_of("elements"), default=10**8, metavar="N",
                        help="how many (default: 1e8)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of rows, stalls and power-up (default: 1)")
    parser.add_argument("--core", choices=CORES, default="all",
                        help="all: the default core; s8: built for s8 alone; short-rows: with its option short_rows; "
                             "softmax-4096: rows of 4096 (default: all)")
    parser.add_argument("--jobs", type=int, metavar="J", help="processes (default: one per processor)")
    parser.add_argument("--resume", action="store_true", help="go on with what this seed has done")
    parser.add_argument("--chunk", type=int, metavar="K", help="run this chunk alone, to see a failure again")
    parser.add_argument("--json", type=Path, metavar="F", help="write the results to this file")
    return parser


def main(argv=None):
    """Run the command line; returns the exit code."""
    parser = make_parser()
    args = parser.parse_args(argv)
    for name, low in (("seed", 0), ("jobs", 1), ("chunk", 0)):
        if getattr(args, name) is not None and getattr(args, name) < low:
            parser.error(f"--{name} is {getattr(args, name)}; good: {low} or more")
    path = build_dir("soak") / f"{args.core}-{args.seed}.json"
    console = Console()
    try:
        if args.json is not None:
            check_output(args.json, "a JSON file")
        with progress_bar("compiling the core", args.elements, "M elements", 1e6) as update:
            run = partial(soak, args.elements, args.seed, args.core, progress=lambda state: update(state.elements))
            if args.chunk is None:
                state, violation = run(jobs=args.jobs, resume=args.resume, path=path)
            else:
                state, violation = run(jobs=0, chunks=[args.chunk])
    except (SimulationError, BrokenProcessPool, ValueError, OSError) as error:
        print(f"soak: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("soak: interrupted; go on with --resume", file=sys.stderr)
        return 130
    show(state, console)
    if violation:
        show_violation(violation, args.core, console)
    if args.json is not None:
        write_json(args.json, report_json(state, violation))
    return 1 if violation else 0


if __name__ == "__main__":
    sys.exit(main())
