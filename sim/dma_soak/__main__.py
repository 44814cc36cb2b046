# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The command `python -m litenorm.sim.dma_soak`."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from litenorm.sim.campaigns import progress_bar
from litenorm.sim.dma_soak.run import BLOCK, run
from litenorm.sim.errors import SimulationError
from litenorm.sim.output import check_output, write_json


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m litenorm.sim.dma_soak", description="Random jobs, good and bad, on the Verilated peripheral.",
        epilog="example: python -m litenorm.sim.dma_soak --jobs 1000000 --seed 7")
    parser.add_argument("--jobs", type=int, default=100_000, metavar="N", help="how many (default: 100000)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of everything random (default: 1)")
    parser.add_argument("--first", type=int, default=0, metavar="K",
                        help=f"go on from job K, a multiple of {BLOCK} (default: 0)")
    parser.add_argument("--keep-going", action="store_true",
                        help="go on with the next block after a violation, and count them")
    parser.add_argument("--json", type=Path, metavar="F", help="write the table to this file")
    args = parser.parse_args(argv)
    try:
        if args.json is not None:
            check_output(args.json, "a JSON file")
        with progress_bar("compiling the peripheral", args.jobs, "jobs") as progress:
            report = run(args.jobs, args.seed, args.first, progress, args.keep_going)
        report.show(Console())
        for message in report.messages:
            print(f"soak: violation: {' '.join(message.split())}", file=sys.stderr)
        if args.json is not None:
            write_json(args.json, report.json())
        return 1 if report.messages else 0
    except (SimulationError, ValueError, OSError) as error:
        print(f"soak: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("soak: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
