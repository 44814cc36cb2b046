# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""litenorm.nn.onnx in stock onnxruntime: every bit as accel.model and litenorm.nn.wrap have it."""

import json
import subprocess
import sys
import warnings

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from litenorm.accel import LiteNormConfig, model
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale
from litenorm.nn import onnx as plug_in
from litenorm.nn import wrap
from litenorm.sim.cli import main

SEED = 20
LENGTHS = (1, 2, 3, 17, 64, 257, 1024)
SPREADS = np.array([[0.001], [1.0], [4.0], [20.0], [0.0], [3.0]])   # standard deviation of each row


def session(built):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(built.SerializeToString(), options, providers=["CPUExecutionProvider"])


def one_node(op, inputs, outputs=("y",), opset=17, domain="", name="n0", initializers=(), **attributes):
    """A model of one node. inputs: {name: (element type, shape)}, shapes None are unknown."""
    node = helper.make_node(op, list(inputs), list(outputs), name, domain=domain, **attributes)
    infos = [helper.make_tensor_value_info(n, *t) for n, t in inputs.items() if n not in dict(initializers)]
    results = [helper.make_empty_tensor_value_info(o) for o in outputs]
    tensors = [numpy_helper.from_array(np.asarray(v), n) for n, v in initializers]
    imports = [helper.make_opsetid("", opset)] + [helper.make_opsetid(domain, 1)] * bool(domain)
    built = helper.make_model(helper.make_graph([node], "g", infos, results, tensors), opset_imports=imports)
    built.ir_version = 10
    return built


def one_function(function, inputs, output):
    """A model that calls one function of the domain litenorm."""
    node = helper.make_node(function.name, list(inputs), ["y"], domain=plug_in.DOMAIN)
    infos = [helper.make_tensor_value_info(n, *t) for n, t in inputs.items()]
    graph = helper.make_graph([node], "g", infos, [helper.make_tensor_value_info("y", output, None)])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(plug_in.DOMAIN, 1)]
    built = helper.make_model(graph, opset_imports=imports, functions=[function])
    built.ir_version = 10
    return session(built)


def real_rows(rng, n, masked=False):
    x = (rng.normal(size=(6, n)) * SPREADS).astype(np.float32)
    if masked:
        x[1][rng.random(n) < 0.5] = -1e4
        x[2][rng.random(n) < 0.5] = np.finfo(np.float32).min
        x[3][rng.random(n) < 0.5] = -np.inf
        x[4] = -np.inf
    return x


def probabilities(x, fmt, *args, **kwargs):
    f = FORMATS[fmt]
    return (wrap.softmax(x, fmt, *args, **kwargs) - f.zero_point).astype(np.float32) * np.float32(1 / f.total)


# Integers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", ("s8", "s16"))
@pytest.mark.parametrize("fmt", FORMATS)
def test_softmax_codes_are_the_models_and_add_up(fmt, inputs):
    rng = np.random.default_rng(SEED)
    codes = wrap.input_codes(inputs)
    run = one_function(plug_in.softmax_codes_function(17, fmt), {
        "x": (TensorProto.INT16, ["r", "n"]), "factor": (TensorProto.DOUBLE, []),
        "valid": (TensorProto.BOOL, ["r", "n"]),
    }, TensorProto.INT32)
    for n in LENGTHS:
        x = rng.integers(codes.lowest, codes.highest + 1, (8, n), dtype=np.int16)
        x[0] = 5                                            # all equal
        x[1], x[1, -1] = codes.lowest, codes.highest        # one hot, at the end
        x[2], x[2, 0] = codes.lowest, codes.highest         # one hot, at the start
        lengths = rng.integers(1, n + 1, 8)
        lengths[:3] = n
        for scale in (3e-5, 0.01, 0.3, 100.0, Scale(1, 31)):
            want = model.softmax(x, scale, fmt, length=lengths).astype(np.int64)
            valid = np.arange(n) < lengths[:, None]
            got = run.run(None, {"x": x, "factor": np.array(plug_in.given_factor(scale)), "valid": valid})[0]
            assert np.array_equal(got, want), (SEED, n, scale)
            total = FORMATS[fmt].total - (FORMATS[fmt].capped & (lengths == 1))
            assert np.array_equal((got - FORMATS[fmt].zero_point).sum(axis=1), np.broadcast_to(total, 8))


def test_softmax_codes_of_long_rows_are_those_of_a_core_built_for_them():
    rng = np.random.default_rng(SEED)
    x = rng.integers(-128, 128, (2, 4096), dtype=np.int16)
    config = LiteNormConfig(max_length=4096, ops=("softmax",))
    run = one_function(plug_in.softmax_codes_function(17, "u16_65535", max_length=4096), {
        "x": (TensorProto.INT16, ["r", "n"]), "factor": (TensorProto.DOUBLE, []),
        "valid": (TensorProto.BOOL, ["r", "n"]),
    }, TensorProto.INT32)
    got = run.run(None, {"x": x, "factor": np.array(plug_in.given_factor(0.02)), "valid": x > -129})[0]
    assert np.array_equal(got, model.softmax(x, 0.02, "u16_65535", config=config))


@pytest.mark.parametrize("op", ("layernorm", "rmsnorm"))
def test_norm_codes_are_the_models(op):
    rng = np.random.default_rng(SEED)
    run = one_function(plug_in.norm_codes_function(17, op), {
        "x": (TensorProto.INT16, ["r", "n"]), "eps": (TensorProto.DOUBLE, []),
    }, TensorProto.INT32)
    for n in LENGTHS:
        for low, high in ((-128, 127), (-32768, 32767), (3, 4), (32760, 32767)):
            x = rng.integers(low, high + 1, (8, n), dtype=np.int16)
            x[0], x[1], x[2] = 0, low, high
            x[3] = np.where(np.arange(n) % 2, low, high)
            for eps in (0.0, 0.4, 1e3, 1e9):
                got = run.run(None, {"x": x, "eps": np.array(eps)})[0]
                assert np.array_equal(got, getattr(model, op)(x, eps)), (SEED, n, low, high, eps)
                if op == "layernorm":
                    assert not got.sum(axis=1).any()


# Nodes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", (None, (0.05, 3)), ids=("dynamic", "given"))
@pytest.mark.parametrize("fmt,inputs", (("u8_255", "s8"), ("tfl_s8", "s8"), ("u16_q15", "s16"), ("tfl_s16", "s16")))
def test_softmax_node(fmt, inputs, scale):
    rng = np.random.default_rng(SEED)
    built = one_node("Softmax", {"x": (TensorProto.FLOAT, ["r", "n"])})
    found = plug_in.swap(built, fmt, inputs, scales=None if scale is None else {"n0": scale})
    assert [(r.name, r.op) for r in found] == [("n0", "Softmax")]
    run = session(built)
    for n in LENGTHS:
        for masked in (False, True):
            x = real_rows(rng, n, masked)
            want = probabilities(x, fmt, inputs, None, *(scale or ()))
            assert np.array_equal(run.run(None, {"x": x})[0], want), (SEED, n, masked)


@pytest.mark.parametrize("axis", (0, 1, -1, -2))
def test_softmax_along_any_axis(axis):
    x = np.random.default_rng(SEED).normal(size=(3, 4, 5)).astype(np.float32)
    built = one_node("Softmax", {"x": (TensorProto.FLOAT, x.shape)}, axis=axis)
    plug_in.swap(built)
    want = np.moveaxis(probabilities(np.moveaxis(x, axis, -1), "u16_q15"), -1, axis)
    assert np.array_equal(session(built).run(None, {"x": x})[0], want)


def test_a_row_that_is_too_long_stops_the_runtime():
    built = one_node("Softmax", {"x": (TensorProto.FLOAT, ["r", "n"])})
    plug_in.swap(built)
    with pytest.raises(Exception, match="(?i)out.of.*bound"):
        session(built).run(None, {"x": np.zeros((1, 1025), np.float32)})


@pytest.mark.parametrize("scale", (None, 0.01), ids=("dynamic", "given"))
@pytest.mark.parametrize("op,node", (("layernorm", "LayerNormalization"), ("rmsnorm", "SimplifiedLayerNormalization")))
def test_norm_nodes(op, node, scale):
    rng = np.random.default_rng(SEED)
    for n in LENGTHS:
        for inputs, eps in (("s16", 1e-5), ("s8", 0.0)):
            x = real_rows(rng, n) + np.float32(rng.normal())
            gamma, beta = rng.normal(size=(2, n)).astype(np.float32)
            tensors = {"x": x, "gamma": gamma} | ({"beta": beta} if op == "layernorm" else {})
            built = one_node(node, {k: (TensorProto.FLOAT, v.shape) for k, v in tensors.items()}, epsilon=eps)
            plug_in.swap(built, norm_inputs=inputs, scales=None if scale is None else {"n0": scale})
            want = wrap.norm(op, x, float(np.float32(eps)), inputs, scale).astype(np.float32) / np.float32(1024) * gamma
            want = want + beta if op == "layernorm" else want
            assert np.array_equal(session(built).run(None, tensors)[0], want), (SEED, n, inputs)


@pytest.mark.parametrize("value", (np.nan, np.inf, -np.inf))
def test_a_row_without_codes_is_nan(value):
    """Its neighbours are not. Minus infinity masks a logit."""
    x = np.random.default_rng(SEED).normal(size=(3, 8)).astype(np.float32)
    x[1, 5] = value
    gamma = np.ones(8, np.float32)
    for op, inputs in (("Softmax", {"x": x}), ("LayerNormalization", {"x": x, "gamma": gamma}),
                       ("SimplifiedLayerNormalization", {"x": x, "gamma": gamma})):
        for scales in (None, {"n0": 0.01}):
            built = one_node(op, {k: (TensorProto.FLOAT, v.shape) for k, v in inputs.items()})
            want = np.array([False, op != "Softmax" or value != -np.inf, False])
            plug_in.swap(built, scales=scales)
            got = session(built).run(None, inputs)[0]
            assert np.array_equal(np.isnan(got), np.broadcast_to(want[:, None], x.shape)), (op, scales)


@pytest.mark.parametrize("opset", (15, 17, 22))
def test_models_of_float16(opset):
    x = np.random.default_rng(SEED).normal(size=(3, 4, 8)).astype(np.float16)
    gamma, beta = np.ones((2, 8), np.float16) / 2
    built = one_node("Softmax", {"x": (TensorProto.FLOAT16, ["b", "r", "n"])}, opset=opset)
    plug_in.swap(built)
    got = session(built).run(None, {"x": x})[0]
    assert got.dtype == np.float16 and np.array_equal(got, probabilities(x, "u16_q15").astype(np.float16))
    if opset >= 17:
        tensors = {"x": x, "gamma": gamma, "beta": beta}
        built = one_node("LayerNormalization", {k: (TensorProto.FLOAT16, v.shape) for k, v in tensors.items()},
                         opset=opset)
        plug_in.swap(built)
        want = wrap.norm("layernorm", x.astype(np.float32), float(np.float32(1e-5))).astype(np.float32) / 1024
        got = session(built).run(None, tensors)[0]
        assert got.dtype == np.float16 and np.array_equal(got, (want * 0.5 + 0.5).astype(np.float16))


def test_nodes_in_the_branches_of_an_if():
    """Of one name, with a scale: each gets what it needs."""
    x = np.random.default_rng(SEED).normal(size=(3, 8)).astype(np.float32)

    def branch(name, axis):
        node = helper.make_node("Softmax", ["x"], [name], "same", axis=axis)
        return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape)])

    node = helper.make_node("If", ["c"], ["y"], then_branch=branch("rows", 1), else_branch=branch("columns", 0))
    inputs = [helper.make_tensor_value_info("c", TensorProto.BOOL, []),
              helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)]
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, x.shape)])
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    built.ir_version = 10
    assert len(plug_in.swap(built, scales={"same": 0.01})) == 2
    names = [t.name for t in built.graph.initializer]
    assert len(set(names)) == len(names) == 6
    run = session(built)
    for flag, turn in ((True, np.array), (False, np.transpose)):
        want = turn(probabilities(turn(x), "u16_q15", "s16", None, 0.01))
        assert np.array_equal(run.run(None, {"c": np.array(flag), "x": x})[0], want)


def test_a_function_of_the_model_that_holds_softmax_is_named():
    node = helper.make_node("Softmax", ["a"], ["b"])
    function = helper.make_function("mine", "Attend", ["a"], ["b"], [node], [helper.make_opsetid("", 17)])
    built = one_node("Softmax", {"x": (TensorProto.FLOAT, [2, 8])})
    built.functions.append(function)
    before = built.SerializeToString()
    with pytest.raises(ValueError, match="function mine.Attend holds Softmax; good: .*inline_local_functions"):
        plug_in.swap(built)
    assert built.SerializeToString() == before


@pytest.mark.parametrize("op,inputs,outputs,kind,message", (
    ("Softmax", ("x",), ("y",), TensorProto.FLOAT16, "n0 is of float16 in a model of opset 14; good: opset 15"),
    ("Softmax", ("x",), ("y",), TensorProto.DOUBLE, "n0 is of double in a model of opset 14; good: opset 15"),
    ("SimplifiedLayerNormalization", ("x", "x"), ("y", "s"), TensorProto.FLOAT, "n0 has further outputs in a model of"),
))
def test_what_an_old_opset_cannot_hold(op, inputs, outputs, kind, message):
    built = one_node(op, {"x": (kind, [8])}, outputs, opset=14)
    built.graph.node[0].input[:] = inputs
    with pytest.raises(ValueError, match=message):
        plug_in.swap(built)


def test_a_model_above_the_largest_file_is_not_written(tmp_path, monkeypatch):
    built = one_node("Softmax", {"x": (TensorProto.FLOAT, [2, 8])})
    monkeypatch.setattr(plug_in, "LARGEST_FILE", 10)
    with pytest.raises(ValueError, match="good: up to 2 GB"):
        plug_in.save(built, tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype,y_scale,zero_point,fmt", (
    (np.int8, 1 / 256, -128, "tfl_s8"), (np.uint8, 1 / 256, 0, "tfl_s8"), (np.uint8, 1 / 255, 0, "u8_255")))
def test_qlinear_softmax_node(dtype, y_scale, zero_point, fmt):
    info = np.iinfo(dtype)
    x = np.random.default_rng(SEED).integers(info.min, info.max + 1, (5, 33)).astype(dtype)
    constants = {"x_scale": np.float32(0.07), "x_zero": dtype(3), "y_scale": np.float32(y_scale),
                 "y_zero": dtype(zero_point)}
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    built = one_node("QLinearSoftmax", {"x": (kind, x.shape)} | dict.fromkeys(constants), domain="com.microsoft",
                     initializers=tuple(constants.items()), axis=-1, opset=17)
    attribute = built.graph.node[0].attribute.add()
    attribute.CopyFrom(helper.make_attribute("opset", 17))
    before = session(built).run(None, {"x": x})[0]
    plug_in.swap(built)
    got = session(built).run(None, {"x": x})[0]
    want = model.softmax(x.astype(np.int64), float(np.float32(0.07)), fmt).astype(np.int64)
    want += zero_point - FORMATS[fmt].zero_point
    assert got.dtype == dtype and np.array_equal(got, want)
    assert np.abs(got.astype(int) - before.astype(int)).max() <= 2      # the original rounds each element by itself


# ONNX's own node tests -----------------------------------------------------------------------------------------------


def node_cases(op):
    """The test cases of onnx.backend whose model has a node of this operator, but those of its expansion."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    return [case for case in cases if [n.op_type for n in case.model.graph.node] == [op]]


def norm_case_bound(op, x, axis, eps, gamma):
    """wrap.norm_bound of a node test, times |gamma|, in the shape of x."""
    rows = x.astype(np.float64).reshape(*x.shape[:axis], -1)
    centred = rows - rows.mean(axis=-1, keepdims=True) if op == "layernorm" else rows
    sigma = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    lsb = np.abs(rows).max(axis=-1, keepdims=True) / wrap.input_codes("s16").highest
    return wrap.norm_bound(centred / sigma, sigma / lsb).reshape(x.shape) * np.abs(gamma)


def test_onnx_node_tests_pass_within_the_stated_error():
    seen = {}
    for op in ("Softmax", "LayerNormalization", "RMSNormalization"):
        for case in node_cases(op):
            built = case.model
            node = built.graph.node[0]
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            axis = attributes.get("axis", -1)
            plug_in.swap(built)
            run = session(built)
            for inputs, outputs in case.data_sets:
                tensors = [t if isinstance(t, np.ndarray) else numpy_helper.to_array(t) for t in inputs]
                names = [i.name for i in run.get_inputs()]
                got = run.run(None, dict(zip(names, tensors, strict=True)))
                x = tensors[0]
                if op == "Softmax":
                    bounds = [wrap.softmax_bound(x.shape[axis])]
                    exact = got[0].astype(np.float64).sum(axis=axis)
                    assert np.array_equal(exact, np.ones_like(exact)), case.name
                else:
                    place = axis % x.ndim
                    bound = norm_case_bound(plug_in.NORMS[op], x, place, attributes.get("epsilon", 1e-5), tensors[1])
                    bounds = [bound] + [1e-6 + 1e-6 * np.abs(t) for t in got[1:]]
                for g, want, bound in zip(got, outputs, bounds, strict=True):
                    want = want if isinstance(want, np.ndarray) else numpy_helper.to_array(want)
                    assert g.shape == want.shape and g.dtype == want.dtype, case.name
                    assert (np.abs(g.astype(np.float64) - want) <= bound).all(), case.name
            seen[op] = seen.get(op, 0) + 1
    assert seen["Softmax"] >= 7 and seen["LayerNormalization"] >= 15 and seen["RMSNormalization"] >= 15, seen


def test_the_bound_of_softmax_holds_and_is_not_far_off():
    rng = np.random.default_rng(SEED)
    for fmt, inputs in (("u8_255", "s8"), ("u16_q15", "s16")):
        x = (rng.normal(size=(200, 64)) * rng.uniform(0.1, 6, (200, 1))).astype(np.float32)
        exact = np.exp(x - x.max(axis=1, keepdims=True).astype(np.float64))
        exact /= exact.sum(axis=1, keepdims=True)
        error = np.abs(probabilities(x, fmt, inputs) - exact).max()
        assert wrap.softmax_bound(64, fmt, inputs) / 20 < error < wrap.softmax_bound(64, fmt, inputs)


# The command ---------------------------------------------------------------------------------------------------------


def test_the_command_writes_a_model_that_runs(tmp_path, capsys):
    source, target, scales = tmp_path / "in.onnx", tmp_path / "out.onnx", tmp_path / "scales.json"
    save(one_node("Softmax", {"x": (TensorProto.FLOAT, [2, 8])}), source)
    scales.write_text(json.dumps({"n0": [0.01, 5]}))
    argv = ["onnx-swap", str(source), str(target), "--scales", str(scales), "--json", str(tmp_path / "r.json")]
    assert main(argv) == 0
    assert "n0" in capsys.readouterr().out
    assert json.loads((tmp_path / "r.json").read_text())["replaced"][0]["op"] == "Softmax"
    x = np.random.default_rng(SEED).normal(size=(2, 8)).astype(np.float32)
    run = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    assert np.array_equal(run.run(None, {"x": x})[0], probabilities(x, "u16_q15", "s16", None, 0.01, 5))


def test_the_command_says_what_is_left(tmp_path, capsys):
    built = one_node("Softmax", {"x": (TensorProto.FLOAT, [2, 8])})
    built.graph.node.append(helper.make_node("LogSoftmax", ["y"], ["z"]))
    save(built, tmp_path / "in.onnx")
    argv = ["onnx-swap", str(tmp_path / "in.onnx"), str(tmp_path / "out.onnx"), "--json", str(tmp_path / "r.json")]
    assert main(argv) == 0
    assert "left as they are, with a softmax or a norm inside: LogSoftmax (1)" in capsys.readouterr().out
    assert json.loads((tmp_path / "r.json").read_text())["left"] == {"LogSoftmax": 1}


@pytest.mark.parametrize("change,message", (
    (dict(op="Relu"), "no node to replace"),
    (dict(opset=12), "opset 12; good: 13"),
    (dict(scales={"other": 0.1}), "scales has other"),
    (dict(scales={"n0": -1}), "scale of n0 is -1"),
    (dict(scales={"n0": [1, 2, 3]}), "scale of n0"),
    (dict(scales=[1]), "holds a list"),
))
def test_a_bad_request_is_one_line_and_writes_nothing(tmp_path, capsys, change, message):
    source, target, scales = tmp_path / "in.onnx", tmp_path / "out.onnx", tmp_path / "scales.json"
    inputs = {"x": (TensorProto.FLOAT, [2, 8])}
    save(one_node(change.get("op", "Softmax"), inputs, opset=change.get("opset", 17)), source)
    argv = ["onnx-swap", str(source), str(target)]
    if "scales" in change:
        scales.write_text(json.dumps(change["scales"]))
        argv += ["--scales", str(scales)]
    assert main(argv) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not target.exists()


def test_files_that_are_no_models(tmp_path, capsys):
    (tmp_path / "text.onnx").write_text("not a model")
    (tmp_path / "empty.onnx").write_text("")
    for name, message in (("absent.onnx", "does not exist"), ("text.onnx", "cannot be read as an ONNX model"),
                          ("empty.onnx", "holds no graph")):
        assert main(["onnx-swap", str(tmp_path / name), str(tmp_path / "out.onnx")]) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_without_onnx_the_command_says_what_to_install():
    code = ("import sys; sys.modules['onnx'] = None\n"
            "from litenorm.sim.cli import main\nsys.exit(main(['onnx-swap', 'a.onnx', 'b.onnx']))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "litenorm: error: litenorm.nn.onnx needs onnx: pip install 'litenorm[onnx]'\n"
