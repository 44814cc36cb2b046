# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The command `litenorm onnx-swap`."""

import argparse
from pathlib import Path

EXAMPLES = """\
examples:
  litenorm onnx-swap model.onnx exact.onnx
  litenorm onnx-swap model.onnx exact.onnx --format tfl_s8 --inputs s8
  litenorm onnx-swap model.onnx exact.onnx --scales scales.json

scales.json: {"name of a node": scale of its input}, for Softmax also
[scale, zero point]. Without, scales are dynamic, one a row. docs/frameworks.md
says what is computed, how exactly, and what it costs.
"""


def add_parser(commands):
    """Add `onnx-swap` to the subcommands of argparse."""
    from litenorm.accel.constants import INPUTS
    from litenorm.accel.formats import FORMATS

    parser = commands.add_parser(
        "onnx-swap", help="put LiteNorm's softmax, LayerNorm and RMSNorm into an ONNX model", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Replace Softmax, LayerNormalization, SimplifiedLayerNormalization,\n"
                    "RMSNormalization and QLinearSoftmax by functions of standard operators whose\n"
                    "integers are the core's. Any ONNX runtime runs the result. Prints each node that\n"
                    "was replaced.")
    parser.add_argument("source", type=Path, metavar="in.onnx", help="the model")
    parser.add_argument("target", type=Path, metavar="out.onnx", help="where to write it")
    parser.add_argument("--format", choices=tuple(FORMATS), default="u16_q15", metavar="F",
                        help=f"output of softmax: {', '.join(FORMATS)} (default: u16_q15)")
    parser.add_argument("--inputs", choices=tuple(INPUTS), default="s16", help="codes of the logits (default: s16)")
    parser.add_argument("--norm-inputs", choices=tuple(INPUTS), default="s16",
                        help="codes of the rows of norms (default: s16)")
    parser.add_argument("--max-length", type=int, default=1024, metavar="N",
                        help="longest row of softmax, up to 4096 (default: 1024)")
    parser.add_argument("--scales", type=Path, metavar="F.json", help="scales of nodes (default: dynamic)")
    parser.add_argument("--json", type=Path, metavar="F", help="write what was replaced to this file")
    parser.set_defaults(run=run)


def run(args):
    """`litenorm onnx-swap`: returns the exit code."""
    from rich.console import Console
    from rich.table import Table

    from litenorm.sim.output import check_output, replaced, write_json

    try:
        from litenorm.nn import onnx
    except ImportError as error:    # one line that says what to install
        raise ValueError(str(error)) from None
    for path in (args.target, args.json):
        if path is not None:
            check_output(path, "a file")
    model = onnx.load(args.source)
    scales = onnx.load_scales(args.scales) if args.scales is not None else None
    found = onnx.swap(model, args.format, args.inputs, args.norm_inputs, scales, args.max_length)
    with replaced(args.target) as temporary:
        onnx.save(model, temporary)
    table = Table()
    for column in ("node", "operator", "function", "scale"):
        table.add_column(column, overflow="fold")
    for r in found:
        table.add_row(r.name, r.op, r.function, "dynamic" if r.scale is None else f"{r.scale:.6g}")
    Console(highlight=False).print(table)
    left = onnx.left(model)
    if left:
        print("left as they are, with a softmax or a norm inside: "
              + ", ".join(f"{op} ({count})" for op, count in left.items()))
    if args.json is not None:
        write_json(args.json, {"replaced": [r._asdict() for r in found], "left": left})
    return 0
