# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The workload `layer`: one transformer layer on the simulated SoC, compared with the NumPy integer reference.

The firmware computes the layer twice, with the core ("accel") and with the C twin on the same CPU ("cpu"); without a
core only the latter. Each output element and the CRC of each intermediate tensor must be the reference's.
"""

from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console
from rich.table import Table

from litenorm.accel.formats import FORMATS
from litenorm.bench.peers import tflite
from litenorm.nn.image import stage_crc, write_image
from litenorm.nn.quantize import cosine
from litenorm.sim.errors import ProtocolError
from litenorm.sim.runner import IMAGE_OFFSET, SimResult, run_soc
from litenorm.sim.workloads import describe_run

OPERATIONS = ("gemm", "softmax", "layernorm", "gelu", "other", "total")
LABELS = {"gemm": "GEMM", "softmax": "softmax", "layernorm": "LayerNorm", "gelu": "GELU", "other": "other",
          "total": "total"}
MIN_COSINE = 0.99  # to the float32 layer; below it the quantization, not the hardware, has gone wrong
PATHS = {"accel": "with the core", "cpu": "with the C twin"}


@dataclass(frozen=True)
class LayerReport:
    """Result of one layer. The counts are sums over the paths that ran; `cycles` has None for one that did not."""

    name: str
    shape: tuple
    mismatches: int
    elements: int
    softmax_rows: int
    softmax_sum_errors: int
    layernorm_rows: int
    layernorm_sum_errors: int
    cosine_fp32: float
    cycles: dict
    wrong_stages: dict
    usual: dict
    result: SimResult

    @property
    def ok(self):
        """Everything held: bit-exact, all sums exact, close to float32, the firmware found no fault."""
        faults = (self.mismatches, self.softmax_sum_errors, self.layernorm_sum_errors, self.result.exit_code)
        return not any(faults) and not self.wrong_stages and bool(self.cosine_fp32 >= MIN_COSINE)

    def json(self):
        fields = ("ok", "mismatches", "elements", "softmax_rows", "softmax_sum_errors", "layernorm_rows",
                  "layernorm_sum_errors", "cosine_fp32", "cycles")
        return {"workload": "layer"} | {field: getattr(self, field) for field in fields} | {"tflite_s8": self.usual}

    def show(self):
        """Print the report."""
        console = Console(highlight=False)
        paths = [path for path in PATHS if self.cycles[path]]
        checks = Table(title=f"{self.name}: {self.shape[0]} tokens of {self.shape[1]} elements", show_header=False)
        checks.add_column()
        checks.add_column(justify="right")
        checks.add_row("output elements that differ from the NumPy reference",
                       f"{self.mismatches} of {self.elements}")
        checks.add_row("rows of softmax whose sum is not exactly T",
                       f"{self.softmax_sum_errors} of {self.softmax_rows}")
        checks.add_row("  TFLite's int8 softmax of the same logits: sum not 1",
                       f"{self.usual['sum_errors']} of {self.usual['rows']}")
        checks.add_row("  and off by up to", f"{self.usual['worst']:.4f}")
        checks.add_row("rows of LayerNorm whose sum is not exactly 0",
                       f"{self.layernorm_sum_errors} of {self.layernorm_rows}")
        checks.add_row(f"cosine to the float32 layer (at least {MIN_COSINE})", f"{self.cosine_fp32:.5f}")
        console.print(checks)
        if len(paths) == 2:
            console.print("counts of both runs together: with the core and with the C twin")

        table = Table(title="clock cycles, counted by the SoC's own timer")
        table.add_column("operation")
        for path in paths:
            table.add_column(PATHS[path], justify="right")
        if len(paths) == 2:
            table.add_column("ratio", justify="right")
        for operation in OPERATIONS:
            counts = [self.cycles[path][operation] for path in paths]
            ratio = [show_ratio(counts[1], counts[0])] if len(paths) == 2 else []
            if operation == OPERATIONS[-1]:
                table.add_section()
            table.add_row(LABELS[operation], *(f"{count:,}" for count in counts), *ratio)
        console.print(table)
        for path, stage in self.wrong_stages.items():
            console.print(f"first tensor that differs {PATHS[path]}: {stage}")
        console.print(describe_run(self.result))
        console.print(f"layer: {'ok' if self.ok else 'FAILED'}")


def usual_softmax(block, logits, valid):
    """What the usual arithmetic makes of the layer's logits: TFLite's int8 softmax, sums of its rows.

    block   nn.block.Block;  logits  int [H][T][T] of its reference;  valid  tokens that are not padding
    returns dict: rows, sum_errors (rows whose codes do not add up to 1.0), worst (largest |sum - 1|)

    As a quantizer would, all logits share one scale: that of the largest magnitude to 127.
    """
    lengths = block.lengths(logits.shape[1], valid)[:valid]
    largest = max(int(np.abs(logits.astype(np.int64)).max()), 1)
    x = np.rint(logits * (127 / largest)).astype(np.int64)
    scale = block.scale.real * largest / 127
    defects = [np.abs(tflite.softmax_s8(x[:, i, :length], scale).sum(axis=1) / FORMATS["tfl_s8"].total - 1)
               for i, length in enumerate(lengths)]
    return {"rows": sum(map(len, defects)), "sum_errors": sum(int(np.count_nonzero(d)) for d in defects),
            "worst": float(np.max(defects))}


def weights(block):
    """Weights of a block: multiply-accumulates of one token in its linears."""
    return sum(linear.weight.size for linear in (block.q, block.k, block.v, block.o, block.fc, block.out))


def multiply_accumulates(workload):
    """Multiply-accumulates in the matrix products of a workload (nn.workload.Workload); masked logits are none."""
    block, tokens = workload.block, len(workload.x)
    keys = int(np.sum(block.lengths(tokens, workload.valid)))
    return tokens * weights(block) + 2 * keys * block.dim


def show_ratio(cpu, accel):
    """How many times the cycles of `accel` the CPU took, in three digits or so."""
    if not accel:
        return "-"
    ratio = cpu / accel
    return f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def run_workload(workload, options, observer=None):
    """Run `workload` (nn.workload.Workload) on the SoC of `options` and compare. Returns LayerReport.

    Raises what run_soc raises; ProtocolError also when a record or the output is missing, and ValueError when the layer
    does not fit the core or the memory.
    """
    block, x, valid = workload.block, workload.x, workload.valid
    paths = ("cpu",) if options.config is None else ("accel", "cpu")
    stages = block.run(x, valid, options.config)
    console = f"layer {'both' if len(paths) == 2 else paths[0]}\nexit\n"
    image = write_image(block, x, valid)
    # Activations take less than the image and the logits of all heads together; a power of two is what the SoC takes.
    need = IMAGE_OFFSET + 2 * len(image) + 8 * block.heads * len(x) ** 2 + 64 * x.size
    size = max(options.main_ram_size, 1 << (need - 1).bit_length())
    result = run_soc(replace(options, console=console, image=image, main_ram_size=size), observer)
    return compare(workload, stages, paths, result)


def compare(workload, stages, paths, result):
    """LayerReport of what the firmware sent against the reference's `stages`."""
    block, valid, records = workload.block, workload.valid, result.records
    failed = records.all("error")
    if failed:
        error = failed[0]
        raise ProtocolError(f"the firmware reported error {error.get('code')}: {error.get('text', '')}", result.log)
    expected = stages["output"]
    crcs = {name: stage_crc(block, stages, name, valid) for name in stages}
    cycles, wrong, mismatches, elements = dict.fromkeys(PATHS), {}, 0, 0
    counts = dict.fromkeys(("softmax_rows", "softmax_sum_errors", "layernorm_rows", "layernorm_sum_errors"), 0)
    for path in paths:
        output = records.tensors.get((path, "output"))
        if output is None:
            raise ProtocolError(f"the firmware sent no output of path {path}", result.log)
        if output.shape != expected.shape:
            raise ProtocolError(f"the output of path {path} has shape {output.shape}, {expected.shape} was expected",
                                result.log)
        mismatches += int(np.count_nonzero(output.astype(np.int64) != expected))
        elements += output.size
        sent = {record["name"]: record["crc"] for record in records.all("stage", path=path)}
        differs = [name for name in crcs if name in sent and sent[name] != crcs[name]]
        if differs:
            wrong[path] = differs[0]
        record = records.one("cycles", path=path)
        cycles[path] = {operation: record[operation] for operation in OPERATIONS}
        record = records.one("rows", path=path)
        for count in counts:
            counts[count] += record[count]
    real = expected[:valid] * np.float64(block.output_scale)
    return LayerReport(block.name, expected.shape, mismatches, elements, cycles=cycles,
                       cosine_fp32=cosine(real, workload.real[:valid]), wrong_stages=wrong, result=result,
                       usual=usual_softmax(block, stages["logits"], valid), **counts)


def run_layer(options, checkpoint=None, layer=0, text=None, observer=None):
    """Run layer `layer` of the checkpoint folder (None: the GPT that comes along) on `text` (None: a default one).

    Returns LayerReport. ValueError for a checkpoint, a layer or a text that cannot be run, else as run_workload.
    """
    from litenorm.nn.workload import load_workload

    if observer is not None:
        observer.stage("quantizing the layer")
    return run_workload(load_workload(checkpoint, layer, text, options.config), options, observer)
