# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The command `litenorm`.

Exit 0 only when everything that was asked for held. A bad value, a missing tool, or a simulation that did not end is
one line on stderr and exit 1; arguments that argparse refuses are one line and exit 2; Ctrl-C is 130 and SIGTERM 143.
With LITENORM_TRACEBACK in the environment the Python traceback is shown as well.
"""

import argparse
import os
import signal
import sys
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from litenorm.bench import command as bench_command
from litenorm.fpga import command as build_command
from litenorm.nn.eval import command as eval_command
from litenorm.sim import generate_command, onnx_command, serial_command, soc_arguments
from litenorm.sim.errors import SimulationError

WORKLOADS = ("selftest", "layer", "generate", "bench")

SIM_EXAMPLES = """\
examples:
  litenorm sim                             a layer, with the core and the C twin
  litenorm sim --cfu                       custom instructions for the matrices
  litenorm sim --text And --trace F.fst    a trace of a text of three tokens
  litenorm sim --checkpoint DIR --layer 2 --text "The core keeps its sums."
  litenorm sim --workload selftest --lanes 16
                                           the firmware's tests on a wider core
  litenorm sim --workload bench --json bench.json
                                           cycles by operation and row length
  litenorm sim --workload generate         a small GPT writes text, as with
                                           litenorm generate

What is built is kept in the folder build/ of the current folder, or in
$LITENORM_BUILD, and used again.
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line; argparse's own puts the usage before it."""

    def error(self, message):
        self.exit(2, f"litenorm: error: {' '.join(message.split())} (see {self.prog} --help)\n")


class Terminated(KeyboardInterrupt):
    """SIGTERM came: what Ctrl-C cleans up is cleaned up."""


def sim_parser(commands):
    parser = commands.add_parser(
        "sim", help="run a workload on the simulated SoC", epilog=SIM_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Build the SoC and its firmware, run a workload in Verilator, check the results.")
    parser.add_argument("--workload", choices=WORKLOADS, default="layer", help="what to run (default: layer)")
    soc_arguments.add_soc(parser)
    layer = parser.add_argument_group("workloads layer and generate")
    layer.add_argument("--checkpoint", metavar="DIR", help="a model's folder (default: the small GPT that comes along)")
    layer.add_argument("--layer", type=int, metavar="K", help="which of its layers, from 0 (layer; default: 0)")
    layer.add_argument("--text", metavar="TEXT",
                       help="input of the layer, prompt of the text (default: one that fits the model)")
    output = parser.add_argument_group("output and limits")
    output.add_argument("--json", type=Path, metavar="F", help="write the results to this file")
    output.add_argument("--trace", type=Path, metavar="F.fst",
                        help="write an FST trace of all signals; slow and large: 10.7 million cycles took 272 s and "
                             "1.8 GB, so give it a short --text")
    output.add_argument("--quiet", action="store_true", help="do not show what the firmware says")
    soc_arguments.add_limits(output)
    parser.set_defaults(run=run_sim)


def run_sim(args):
    """`litenorm sim`: returns the exit code."""
    from litenorm.sim import workloads
    from litenorm.sim.output import check_output, write_json
    from litenorm.sim.progress import observe

    if args.workload not in ("layer", "generate") and any(
            value is not None for value in (args.checkpoint, args.layer, args.text)):
        raise ValueError("--checkpoint, --layer and --text belong to --workload layer")
    if args.workload == "generate" and args.layer is not None:
        raise ValueError("--layer belongs to --workload layer; good: --workload generate runs all layers")
    if args.json is not None:
        check_output(args.json, "a JSON file")
    options = soc_arguments.sim_options(args, trace=args.trace)
    if args.workload == "layer":
        from litenorm.sim.layer import run_layer

        with observe(args.quiet) as observer:
            report = run_layer(options, args.checkpoint, args.layer or 0, args.text, observer)
    elif args.workload == "generate":
        from litenorm.nn.generate import load_gpt
        from litenorm.sim.generate import PROMPT, TextObserver, run_generate

        with observe(args.quiet, TextObserver) as observer:
            observer.stage("quantizing the model")
            report = run_generate(options, load_gpt(args.checkpoint)[0], PROMPT if args.text is None else args.text,
                                  observer=observer)
    else:
        run = {"selftest": workloads.run_selftest, "bench": workloads.run_bench}[args.workload]
        with observe(args.quiet) as observer:
            report = run(options, observer)
    report.show()
    if args.json is not None:
        write_json(args.json, report.json())
    return 0 if report.ok else 1


COMPARE_EXAMPLES = """\
examples:
  litenorm compare                  tables, 4000 rows of 64, 256 and 1024 logits
  litenorm compare --lengths 64,512 --rows 200 --json compare.json
  litenorm compare --plot compare.svg --plot compare.png
"""


def compare_parser(commands):
    parser = commands.add_parser(
        "compare", help="the peers' arithmetic beside LiteNorm's on the same rows", epilog=COMPARE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Softmax and LayerNorm of TFLite and CMSIS-NN, I-BERT, Softermax, SOLE and\n"
                    "ITAMax, as published, beside LiteNorm and float64: sums, errors, order. Exit 0\n"
                    "when every row of LiteNorm is exact.")
    parser.add_argument("--rows", type=int, default=4000, metavar="N",
                        help="random rows of each length (default: 4000)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the random rows (default: 1)")
    parser.add_argument("--lengths", type=row_lengths, default=(64, 256, 1024), metavar="A,B,..",
                        help="row lengths, 2 to 1024 (default: 64,256,1024)")
    parser.add_argument("--json", type=Path, metavar="F", help="write the results to this file")
    parser.add_argument("--plot", type=Path, action="append", default=[], metavar="F.svg|F.png",
                        help="write a plot of the largest |sum - 1| over the row length; may be given twice")
    parser.add_argument("--markdown", type=Path, metavar="F.md", help="write the tables as a page of text")
    parser.set_defaults(run=run_compare)


def row_lengths(text):
    """`64,256` as a tuple of int."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of row lengths such as 64,256,1024") from None


def run_compare(args):
    """`litenorm compare`: returns the exit code."""
    from litenorm.bench.compare import check, compare
    from litenorm.sim.output import check_output, write_json, write_text

    check(args.rows, args.seed, args.lengths)
    for path in (args.json, args.markdown, *args.plot):
        if path is not None:
            check_output(path, "a file")
    for path in args.plot:
        if path.suffix not in (".svg", ".png"):
            raise ValueError(f"{path} is not a plot that can be written: name it .svg or .png")
    report = compare(args.rows, args.seed, args.lengths)
    report.show()
    if args.json is not None:
        write_json(args.json, report.json())
    if args.plot:
        from litenorm.bench import plot  # here: matplotlib takes a second to load

        plot.save(report, args.plot)
    if args.markdown is not None:
        lengths = ",".join(map(str, args.lengths))
        command = f"litenorm compare --rows {args.rows} --seed {args.seed} --lengths {lengths}"
        picture = next((path.name for path in args.plot), None)
        write_text(args.markdown, report.markdown(command, picture))
    return 0 if report.ok else 1


def run_verilog(args):
    """`litenorm verilog`: the rest of the command line goes to the exporter."""
    from litenorm.accel import export

    return export.main(args.rest, Parser)


def make_parser():
    parser = Parser(
        prog="litenorm", description="Softmax, LayerNorm and RMSNorm for RISC-V SoCs, normalized by construction.",
        epilog="example: litenorm sim --workload layer --json out.json")
    parser.add_argument("--version", action="version", version=f"litenorm {version('litenorm')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    sim_parser(commands)
    generate_command.add_parser(commands)
    compare_parser(commands)
    build_command.add_parser(commands)
    bench_command.add_parser(commands)
    eval_command.add_parser(commands)
    serial_command.add_parsers(commands)
    onnx_command.add_parser(commands)
    verilog = commands.add_parser("verilog", help="write the Verilog of the core", add_help=False)
    verilog.set_defaults(run=run_verilog)
    return parser


@contextmanager
def terminable():
    """Inside of the `with` SIGTERM raises Terminated, so that temporary files go: `timeout` and CI servers send it."""
    def terminate(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not cut the clean-up short
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def reason(error):
    """What went wrong, without the number that Python puts before it."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def main(argv=None):
    """Run the command line, in the main thread; returns the exit code."""
    argv, target = build_command.split(sys.argv[1:] if argv is None else argv)
    args, rest = make_parser().parse_known_args(argv)
    if args.command == "verilog":
        args.rest = rest
    elif args.command == "build" and not rest:
        args.rest = target
    elif rest:
        make_parser().error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        with terminable():
            return args.run(args)
    except (SimulationError, ValueError, OSError) as error:
        if "LITENORM_TRACEBACK" in os.environ:
            raise
        print(f"litenorm: error: {' '.join(reason(error).split())}", file=sys.stderr)
        return 1
    except Terminated:
        print("litenorm: terminated", file=sys.stderr)
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        print("litenorm: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
