# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""sim/layer.py: what the report says about a firmware that is right, and about each way in which it can be wrong."""

import json
import zlib
from types import SimpleNamespace

import numpy as np
import pytest

from litenorm.accel.scale import Scale
from litenorm.nn.image import stage_crc
from litenorm.nn.testing import random_block, random_input
from litenorm.sim import output, protocol
from litenorm.sim.errors import ProtocolError
from litenorm.sim.layer import OPERATIONS, compare, usual_softmax
from litenorm.sim.runner import SimResult

ROWS, SEED = 5, 11
COUNTS = "softmax_rows=10 softmax_sum_errors=0 layernorm_rows=10 layernorm_sum_errors=0"
KEYS = ["workload", "ok", "mismatches", "elements", "softmax_rows", "softmax_sum_errors", "layernorm_rows",
        "layernorm_sum_errors", "cosine_fp32", "cycles", "tflite_s8"]


@pytest.fixture(scope="module")
def workload():
    block = random_block(SEED)
    x = random_input(SEED, ROWS, block.dim)
    real = block(x) * np.float64(block.output_scale)
    return SimpleNamespace(block=block, x=x, valid=ROWS, real=real)


def log_of(workload, stages, paths=("accel", "cpu")):
    """What a firmware sends that computes `stages`."""
    lines = []
    data = stages["output"].astype("<i2").tobytes()
    for i, path in enumerate(paths):
        cycles = " ".join(f"{operation}={(i + 1) * 100 + n}" for n, operation in enumerate(OPERATIONS))
        lines += [f"@cycles path={path} {cycles}", f"@rows path={path} {COUNTS}"]
        lines += [f"@stage path={path} name={name} crc={stage_crc(workload.block, stages, name, ROWS):08x} elements=1"
                  for name in stages]
        rows, cols = stages["output"].shape
        lines += [f"@tensor path={path} name=output type=s16 rows={rows} cols={cols}", f"@hex 0 {data.hex()}",
                  f"@end crc={zlib.crc32(data):08x}"]
    return "\n".join(lines)


def report(workload, log, paths=("accel", "cpu"), exit_code=0):
    result = SimResult(protocol.parse(log), exit_code, 1000, 1.0, log)
    return compare(workload, workload.block.run(workload.x, workload.valid), paths, result)


def test_a_right_firmware_is_ok(workload, capsys, tmp_path):
    stages = workload.block.run(workload.x)
    good = report(workload, log_of(workload, stages))
    data = good.json()
    assert list(data) == KEYS
    assert data["ok"] is True and data["workload"] == "layer"
    assert (data["mismatches"], data["elements"]) == (0, 2 * stages["output"].size)
    assert (data["softmax_rows"], data["layernorm_rows"]) == (20, 20)
    assert data["cosine_fp32"] == pytest.approx(1)
    assert data["cycles"]["accel"] == {operation: 100 + n for n, operation in enumerate(OPERATIONS)}
    assert data["cycles"]["cpu"]["total"] == 205
    good.show()
    text = capsys.readouterr().out
    assert f"0 of {2 * stages['output'].size}" in text and "layer: ok" in text and "2.0" in text
    assert "counts of both runs together: with the core and with the C twin" in " ".join(text.split())
    output.write_json(tmp_path / "out.json", data)
    assert json.loads((tmp_path / "out.json").read_text()) == data
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_without_the_core_there_is_one_path(workload, capsys):
    stages = workload.block.run(workload.x)
    alone = report(workload, log_of(workload, stages, ("cpu",)), ("cpu",))
    assert alone.ok and alone.json()["cycles"]["accel"] is None
    alone.show()
    text = capsys.readouterr().out
    assert "with the core" not in text and "both runs" not in text


def test_one_wrong_element_is_counted_and_its_stage_named(workload, capsys):
    stages = workload.block.run(workload.x)
    wrong = {name: values.copy() for name, values in stages.items()}
    wrong["hidden"].flat[3] ^= 1
    wrong["output"].flat[7] ^= 1
    bad = report(workload, log_of(workload, wrong, ("accel",)) + "\n" + log_of(workload, stages, ("cpu",)))
    assert not bad.ok and bad.mismatches == 1
    assert bad.wrong_stages == {"accel": "hidden"}
    bad.show()
    text = capsys.readouterr().out
    assert "first tensor that differs with the core: hidden" in text and "layer: FAILED" in text


def test_wrong_intermediate_tensor_alone_is_not_ok(workload):
    stages = workload.block.run(workload.x)
    wrong = stages | {"probs": stages["probs"][..., ::-1].copy()}
    bad = report(workload, log_of(workload, wrong))
    assert bad.mismatches == 0 and not bad.ok


@pytest.mark.parametrize("count", ["softmax_sum_errors", "layernorm_sum_errors"])
def test_one_wrong_sum_is_not_ok(workload, count):
    log = log_of(workload, workload.block.run(workload.x)).replace(f"{count}=0", f"{count}=1", 1)
    bad = report(workload, log)
    assert getattr(bad, count) == 1 and not bad.ok


def test_exit_code_is_not_ok(workload):
    assert not report(workload, log_of(workload, workload.block.run(workload.x)), exit_code=1).ok


def test_far_from_float32_is_not_ok(workload):
    far = SimpleNamespace(**{**vars(workload), "real": np.roll(workload.real, 1, axis=1)})
    bad = report(far, log_of(workload, workload.block.run(workload.x)))
    assert bad.cosine_fp32 < 0.99 and not bad.ok


MISSING = {
    "@cycles path=cpu": "sent 0 records @cycles path=cpu",
    "@rows path=accel": "sent 0 records @rows path=accel",
}


@pytest.mark.parametrize("start", MISSING)
def test_missing_record_is_an_error(workload, start):
    lines = log_of(workload, workload.block.run(workload.x)).split("\n")
    with pytest.raises(ProtocolError, match=MISSING[start]):
        report(workload, "\n".join(line for line in lines if not line.startswith(start)))


def test_missing_output_is_an_error(workload):
    log = log_of(workload, workload.block.run(workload.x), ("cpu",))
    with pytest.raises(ProtocolError, match="sent no output of path accel"):
        report(workload, log)


def test_error_record_is_an_error(workload):
    with pytest.raises(ProtocolError, match="reported error -5: bad_image"):
        report(workload, "@error code=-5 text=bad_image")


def test_the_usual_softmax_is_reported_beside(workload):
    """A flat row of 384 logits adds up to 1.5 in TFLite's int8 arithmetic; the row's own sum is what is counted."""
    stages = workload.block.run(workload.x)
    usual = report(workload, log_of(workload, stages)).json()["tflite_s8"]
    assert usual["rows"] == workload.block.heads * ROWS
    assert 0 < usual["sum_errors"] <= usual["rows"] and usual["worst"] > 0
    flat = SimpleNamespace(lengths=lambda rows, valid: [384] * rows, scale=Scale.from_real(0.01))
    assert usual_softmax(flat, np.zeros((2, 3, 384), np.int16), 3) == {"rows": 6, "sum_errors": 6, "worst": 0.5}
