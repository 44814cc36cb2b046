# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What LiteNorm's arithmetic costs in ONNX Runtime and PyTorch, beside the operator that it replaces.

    python -m litenorm.bench.frameworks
    python -m litenorm.bench.frameworks --model DIR

CPU time of one thread, nanoseconds an element, the least of several runs. PyTorch's table needs PyTorch; without it
that table is left out, and a line says so. With --model: a sentence encoder of Hugging Face before and after
`litenorm.nn.torch.swap`, its time a text and its vectors.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from litenorm.sim.output import check_output, write_json

LENGTHS = (64, 256, 1024)
ELEMENTS = 1 << 17      # of one run
REPEATS = 5
SEED = 1


def nanoseconds(run, elements, repeats=REPEATS):
    """CPU time of run() an element: the least of `repeats`, after one run that is not counted."""
    run()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return min(taken) * 1e9 / elements


def onnx_cases(n):
    """(name, model of one node, inputs) for rows of n."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(SEED)
    rows = ELEMENTS // n
    x = (3 * rng.normal(size=(rows, n))).astype(np.float32)
    gamma, beta = rng.normal(size=(2, n)).astype(np.float32)

    def one(op, inputs, kind=TensorProto.FLOAT, domain="", constants=None, **attributes):
        constants = constants or {}
        node = helper.make_node(op, [*inputs, *constants], ["y"], op, domain=domain, **attributes)
        infos = [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
                 for k, v in inputs.items()]
        tensors = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
        graph = helper.make_graph([node], op, infos, [helper.make_tensor_value_info("y", kind, None)], tensors)
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=imports)
        model.ir_version = 10
        return op, model, inputs

    yield one("Softmax", {"x": x})
    quantized = {"x_scale": np.float32(0.1), "x_zero": np.int8(0), "y_scale": np.float32(1 / 256),
                 "y_zero": np.int8(-128)}
    name, model, inputs = one("QLinearSoftmax", {"x": np.clip(np.rint(x * 10), -128, 127).astype(np.int8)},
                              TensorProto.INT8, "com.microsoft", quantized, axis=-1)
    model.graph.node[0].attribute.append(helper.make_attribute("opset", 17))
    yield name, model, inputs
    yield one("LayerNormalization", {"x": x, "gamma": gamma, "beta": beta})
    yield one("SimplifiedLayerNormalization", {"x": x, "gamma": gamma})


def measure_onnx(lengths, repeats=REPEATS):
    """[{"op", "n", "original", "litenorm"}], ns an element."""
    import onnxruntime

    from litenorm.nn import onnx as plug_in

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    results = []
    for n in lengths:
        for name, model, inputs in onnx_cases(n):
            taken = []
            for swapped in (False, True):
                if swapped:
                    plug_in.swap(model)
                run = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                                   providers=["CPUExecutionProvider"])
                taken.append(nanoseconds(lambda run=run, inputs=inputs: run.run(None, inputs), ELEMENTS, repeats))
            results.append({"op": name, "n": n, "original": taken[0], "litenorm": taken[1]})
    return results


def measure_torch(lengths, repeats=REPEATS):
    """The same for PyTorch's modules."""
    import torch

    from litenorm.nn.torch import LiteNormLayerNorm, LiteNormRMSNorm, LiteNormSoftmax

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    results = []
    with torch.no_grad():
        for n in lengths:
            x = 3 * torch.randn(ELEMENTS // n, n, generator=torch.Generator().manual_seed(SEED))
            for name, original, own in (
                ("Softmax", torch.nn.Softmax(-1), LiteNormSoftmax()),
                ("LayerNorm", torch.nn.LayerNorm(n), LiteNormLayerNorm(n)),
                ("RMSNorm", torch.nn.RMSNorm(n), LiteNormRMSNorm(n)),
            ):
                taken = [nanoseconds(lambda m=m, x=x: m(x), ELEMENTS, repeats) for m in (original, own)]
                results.append({"op": name, "n": n, "original": taken[0], "litenorm": taken[1]})
    torch.set_num_threads(threads)
    return results


# (formats, arguments of swap, whether calibrated)
SWAPS = tuple((label, {"fmt": fmt, "inputs": inputs}, calibrated)
              for label, fmt, inputs in (("s8/u8", "u8_255", "s8"), ("s16/u16", "u16_q15", "s16"))
              for calibrated in (False, True))
TEXTS = (16, 4)         # short ones, and those of 512 tokens


def measure_model(folder, swaps=SWAPS, texts=TEXTS):
    """What `swap` does to the encoder in `folder`: (parameters, [one dictionary an arithmetic, float32 first]).

    The texts are those of `litenorm eval`, the vectors the mean over the tokens, calibration as there: LayerNorm with
    the core's integer gamma and beta and s16 outputs. Keys: short_ms and long_ms, CPU time of one text;
    short_cosine, short_worst_cosine, .. as `nn.eval.measure.vector_change`.
    """
    import copy

    import torch
    import transformers

    from litenorm.nn.eval import measure
    from litenorm.nn.torch import calibrate, swap

    reader = measure.load_encoder(folder)
    size = min(measure.LONG_TOKENS, reader.max_tokens)
    sets = dict(zip(("short", "long"), measure.evaluation_texts(reader, size, *texts), strict=True))
    transformers.utils.logging.disable_progress_bar()
    original = transformers.AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    results, reference = [], {}
    with torch.no_grad():
        for label, arguments, calibrated in (("float32", None, False), *swaps):
            scales = "-" if arguments is None else "calibrated" if calibrated else "of each row"
            model, result = copy.deepcopy(original), {"arithmetic": label, "scales": scales}
            if arguments is not None:
                swap(model, **arguments)
            if calibrated:
                with calibrate(model, out="s16"):
                    for tokens in measure.calibration_texts(reader, size):
                        model(torch.tensor(tokens))
            for kind, found in sets.items():
                vectors = []
                model(torch.tensor(found[0]))   # not counted: the first run of a shape allocates
                start = time.process_time()
                for tokens in found:
                    vectors.append(model(torch.tensor(tokens)).last_hidden_state[0].double().mean(0).numpy())
                result[f"{kind}_ms"] = 1e3 * (time.process_time() - start) / len(found)
                vectors = np.stack([vector / np.sqrt(vector @ vector) for vector in vectors])
                reference.setdefault(kind, vectors)
                change = measure.vector_change(vectors, reference[kind])
                result |= {f"{kind}_{key}": value for key, value in change.items()}
            results.append(result)
    torch.set_num_threads(threads)
    return sum(p.numel() for p in original.parameters()), results


def model_table(title, results):
    found = Table(title=title, box=None, pad_edge=False)    # 80 columns hold every digit, but no lines between
    for column in ("softmax", "scales", "short: ms", "cosine", "worst", "512: ms", "cosine", "worst"):
        found.add_column(column, justify="left" if column in ("softmax", "scales") else "right")
    values = [(f"{kind}_{key}", digits) for kind in ("short", "long")
              for key, digits in (("ms", 0), ("cosine", 6), ("worst_cosine", 6))]
    for r in results:
        found.add_row(r["arithmetic"], r["scales"], *(f"{r[key]:.{digits}f}" for key, digits in values))
    return found


def table(title, results):
    found = Table(title=f"{title}: ns an element, one thread")
    for column in ("operator", "N", "original", "LiteNorm", "ratio"):
        found.add_column(column, justify="left" if column == "operator" else "right")
    for r in results:
        found.add_row(r["op"], str(r["n"]), f"{r['original']:.2f}", f"{r['litenorm']:.1f}",
                      f"{r['litenorm'] / r['original']:.0f}")
    return found


def run_model(folder, console):
    """Print the table of measure_model and return its figures. ValueError when a package or the folder is missing."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError:
        raise ValueError("--model needs PyTorch and transformers: pip install 'litenorm[torch]' transformers") from None
    parameters, results = measure_model(folder)
    console.print(model_table(f"{parameters / 1e6:.1f} M parameters, CPU time of one thread a text", results))
    return {"parameters": parameters, "results": results}


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.frameworks", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.frameworks --json frameworks.json")
    parser.add_argument("--repeats", type=int, default=REPEATS, metavar="R", help=f"runs of each (default: {REPEATS})")
    parser.add_argument("--model", metavar="DIR", help="folder of a sentence encoder: swap it in PyTorch, nothing else")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    args = parser.parse_args(argv)
    console = Console(highlight=False)
    results = {}
    try:
        if args.repeats < 1:
            raise ValueError(f"--repeats is {args.repeats}; good: 1 or more")
        if args.json is not None:
            check_output(args.json, "a JSON file")
        if args.model is not None:
            results = run_model(args.model, console)
            if args.json is not None:
                write_json(args.json, results)
            return 0
        for name, run, extra in (("ONNX Runtime", measure_onnx, "onnx"), ("PyTorch", measure_torch, "torch")):
            try:
                results[name] = run(LENGTHS, args.repeats)
            except ImportError:
                print(f"{name} is left out: pip install 'litenorm[{extra}]'"
                      + (" onnxruntime" if extra == "onnx" else ""), file=sys.stderr)
                continue
            console.print(table(name, results[name]))
        if not results:
            raise ValueError("neither ONNX Runtime nor PyTorch is installed; good: one of them")
        if args.json is not None:
            write_json(args.json, results)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
