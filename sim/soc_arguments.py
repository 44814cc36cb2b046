# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Arguments of the commands that simulate the SoC: what it is, and how long its simulation may take."""

from litenorm.soc.options import CPU_VARIANTS

LANES = 4
LIMITS = ("timeout", "max_cycles")


def add_soc(parser):
    """Add what the SoC is made of to a parser or a group of argparse."""
    parser.add_argument("--lanes", type=int, default=LANES, metavar="L",
                        help=f"elements per beat: 1, 2, 4, 8, 16 (default: {LANES})")
    parser.add_argument("--max-length", type=int, default=1024, metavar="N", help="longest row (default: 1024)")
    parser.add_argument("--no-accel", action="store_true", help="a SoC without the core: the C twin alone")
    parser.add_argument("--cpu-variant", choices=CPU_VARIANTS, metavar="V",
                        help=f"variant of VexRiscv: {', '.join(CPU_VARIANTS)} (default: standard)")
    parser.add_argument("--cfu", action="store_true",
                        help="custom instructions of the CPU for matrix products: variant full+cfu")


def add_limits(parser):
    """Add the limits of the simulation."""
    parser.add_argument("--timeout", type=float, metavar="S",
                        help="seconds that the simulation may take (default: 1800)")
    parser.add_argument("--max-cycles", type=int, metavar="N", help="clock cycles that it may take (default: 4e9)")


def cpu_variant(args):
    """The variant that --cpu-variant and --cfu ask for. ValueError when they contradict each other."""
    if not args.cfu:
        return args.cpu_variant or "standard"
    if args.cpu_variant not in (None, "full", "full+cfu"):
        raise ValueError(f"--cfu is VexRiscv's variant full+cfu, --cpu-variant is {args.cpu_variant}: give one of them")
    return "full+cfu"


def core_config(args):
    """LiteNormConfig of the arguments; --no-accel does not make bad values good."""
    from litenorm.accel import LiteNormConfig

    return LiteNormConfig(lanes=args.lanes, max_length=args.max_length)


def sim_options(args, **others):
    """sim.runner.SimOptions of the arguments and of `others`. ValueError for what cannot be."""
    from litenorm.sim.runner import SimOptions

    config = core_config(args)
    limits = {name: getattr(args, name) for name in LIMITS if getattr(args, name) is not None}
    return SimOptions(config=None if args.no_accel else config, cpu_variant=cpu_variant(args), **limits, **others)
