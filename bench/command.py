# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The command `litenorm bench`."""

import argparse
from contextlib import ExitStack
from pathlib import Path

EXAMPLES = """\
examples:
  litenorm bench --sim                                  the simulated SoC
  litenorm bench --port /dev/ttyUSB1 --json board.json --plot board.svg
  litenorm bench --port /dev/ttyUSB1 --firmware litenorm.bin
                          loads the firmware first when the board is in its BIOS
  litenorm bench --compare before.json after.json
"""

BAUD = 115200
SILENCE = {"port": 10.0, "sim": 120.0}  # seconds: simulated, a layer's 22 million cycles take 20


def add_parser(commands):
    """Add `bench` to the subcommands of argparse."""
    parser = commands.add_parser(
        "bench", help="self-test and benchmark of a board or of the simulated SoC", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Talk to the firmware's console over a serial port, or to the simulated SoC:\n"
                    "self-test, rows of softmax and LayerNorm by the core, the C twin and float, and\n"
                    "a transformer layer. Every element and every sum is compared with the model on\n"
                    "this machine. Exit 0 when all of them are exact.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", metavar="PORT", help="serial port of the board, or a URL of pyserial's")
    where.add_argument("--sim", action="store_true", help="the simulated SoC instead of a board")
    where.add_argument("--compare", nargs=2, type=Path, metavar=("A.json", "B.json"), help="two runs side by side")
    parser.add_argument("--baud", type=int, metavar="B", help=f"of the port (default: {BAUD})")
    parser.add_argument("--firmware", type=Path, metavar="F.bin",
                        help="load this when the board is in its BIOS, with the image of the layer")
    parser.add_argument("--silence", type=float, metavar="S",
                        help="seconds without a byte after which an answer is given up (default: 10; --sim: 120)")
    parser.add_argument("--lengths", type=lengths, metavar="A,B,..", help="row lengths (default: 16,64,256,1024)")
    parser.add_argument("--no-layer", action="store_true", help="without the transformer layer")
    parser.add_argument("--text", metavar="TEXT", help="input of the layer (default: 32 tokens)")
    parser.add_argument("--no-accel", action="store_true", help="with --sim: a SoC without the core")
    parser.add_argument("--lanes", type=int, metavar="L", help="with --sim: elements per beat (default: 4)")
    parser.add_argument("--json", type=Path, metavar="F", help="write the results to this file")
    parser.add_argument("--plot", type=Path, action="append", default=[], metavar="F.svg|F.png",
                        help="write a plot of the time a row takes over its length; may be given twice")
    parser.set_defaults(run=run)


def lengths(text):
    """`16,64` as a tuple of int of 1 or more."""
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of row lengths such as 16,64,256")
    return found


def run(args):
    """`litenorm bench`: returns the exit code."""
    from litenorm.bench import board
    from litenorm.bench.host import MAIN_RAM, Board, read_firmware
    from litenorm.sim.output import check_output, write_json
    from litenorm.sim.progress import observe

    if args.compare:
        if args.json is not None or args.plot:
            raise ValueError("--json and --plot belong to --port and --sim: --compare shows a table")
        board.compare(*map(board.read_json, args.compare))
        return 0
    if args.json is not None:
        check_output(args.json, "a JSON file")
    plots = []
    if args.plot:
        from litenorm.bench.plot import check_paths

        plots = check_paths(args.plot)
    silence = args.silence if args.silence is not None else SILENCE["sim" if args.sim else "port"]
    if not 0 < silence < 1e6:
        raise ValueError(f"--silence is {silence:g}; good: a number of seconds above 0")
    baud, lanes = (BAUD if args.baud is None else args.baud), (4 if args.lanes is None else args.lanes)
    if baud < 1:
        raise ValueError(f"--baud is {baud}; good: that of the SoC's UART, {BAUD} as a rule")
    if args.sim and args.firmware:
        raise ValueError("--firmware belongs to --port: the simulated SoC starts in the firmware")
    if args.sim and args.baud is not None:
        raise ValueError("--baud belongs to --port: the simulated SoC's line has no baud rate")
    if args.port and (args.no_accel or args.lanes is not None):
        raise ValueError(f"{'--no-accel' if args.no_accel else '--lanes'} belongs to --sim: a board has the core that "
                         "it was built with")
    if args.no_layer and args.text is not None:
        raise ValueError("--text is the layer's input: leave out --no-layer")
    firmware = None if args.firmware is None else read_firmware(args.firmware)
    with ExitStack() as stack:
        observer = stack.enter_context(observe(quiet=True))
        workload = None if args.no_layer else make_workload(args.text, observer)
        image = None
        if workload is not None:
            from litenorm.nn.image import write_image

            image = write_image(workload.block, workload.x, workload.valid)
        port, name = args.port, args.port
        if args.sim:
            from litenorm.accel import LiteNormConfig
            from litenorm.sim.runner import SimOptions
            from litenorm.sim.serial import SimulatedPort

            config = LiteNormConfig(lanes=lanes)
            options = SimOptions(config=None if args.no_accel else config, image=image, max_cycles=0)
            port, name = stack.enter_context(SimulatedPort(options, observer=observer)).path, "simulation"
        from litenorm.soc.options import IMAGE_OFFSET

        loaded = None if image is None else (MAIN_RAM + IMAGE_OFFSET, image)
        with Board(port, baud, silence, firmware, loaded, observer.stage) as connection:
            result = board.run(connection, args.lengths or board.LENGTHS, workload, args.sim, observer.stage)
            result.port = name
    result.show()
    if args.json is not None:
        write_json(args.json, result.json())
    if plots:
        from litenorm.bench.plot import write

        write(board.draw(result), plots)
    return 0 if result.ok else 1


def make_workload(text, observer):
    """The layer of the small GPT that comes along, on `text`."""
    from litenorm.nn.workload import load_workload

    observer.stage("quantizing the layer")
    return load_workload(None, 0, text, None)
