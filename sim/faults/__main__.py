# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The command `python -m litenorm.sim.faults`."""

import argparse
import json
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from rich.console import Console

from litenorm.accel import constants as c
from litenorm.sim.campaigns import count_of, progress_bar
from litenorm.sim.errors import SimulationError
from litenorm.sim.faults.campaign import TARGETS, campaign
from litenorm.sim.faults.report import show
from litenorm.sim.faults.upset import SILENT_SUM
from litenorm.sim.output import check_output, write_json


def make_parser():
    parser = argparse.ArgumentParser(
        prog="python -m litenorm.sim.faults", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Flip single bits of the core's registers and memories and count what comes of it.",
        epilog="example: python -m litenorm.sim.faults --upsets 1e5 --lanes 8 --json faults.json")
    parser.add_argument("--upsets", type=count_of("upsets"), default=20_000, metavar="N",
                        help="how many (default: 20000)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of upsets and workloads (default: 1)")
    parser.add_argument("--lanes", type=int, default=4, choices=c.LANES, help="lanes of the core (default: 4)")
    parser.add_argument("--target", choices=TARGETS, default="core", help="what is disturbed (default: core)")
    parser.add_argument("--parity", action="store_true", help="a core built with parity")
    parser.add_argument("--jobs", type=int, metavar="J", help="processes (default: one per processor)")
    parser.add_argument("--json", type=Path, metavar="F", help="write the results to this file")
    return parser


def main(argv=None):
    """Run the command line; returns the exit code."""
    parser = make_parser()
    args = parser.parse_args(argv)
    for name, low in (("seed", 0), ("jobs", 0)):
        if getattr(args, name) is not None and getattr(args, name) < low:
            parser.error(f"--{name} is {getattr(args, name)}; good: {low} or more")
    try:
        if args.json is not None:
            check_output(args.json, "a JSON file")
        with progress_bar(f"compiling the {args.target}", args.upsets, "upsets") as update:
            result = campaign(args.upsets, args.seed, args.lanes, args.target, args.jobs, update, parity=args.parity)
    except (SimulationError, BrokenProcessPool, ValueError, OSError) as error:
        print(f"faults: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("faults: interrupted", file=sys.stderr)
        return 130
    show(result, Console())
    if args.json is not None:
        write_json(args.json, json.loads(json.dumps(result.json())))
    if result.ok:
        return 0
    hung = result.total("hung") if args.target == "peripheral" else 0
    print(f"faults: {result.total(*SILENT_SUM)} upsets made a sum or a place wrong unseen, {hung} hung the peripheral, "
          f"{len(result.broken)} left it broken after a reset; good: none", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
