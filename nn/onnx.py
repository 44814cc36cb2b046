# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""LiteNorm in ONNX: model-local functions of standard operators, and the rewriter behind `litenorm onnx-swap`.

The functions belong to the model, in the domain `litenorm`, so that any runtime that knows the standard operators runs
them: no library of custom operators. Their integers are those of `accel.model`, the parallel back end; in front of them
and behind, rows are quantized as `litenorm.nn.wrap` says.

Integers are held in float64, whose Add, Sub, Mul, Floor, ReduceSum and CumSum are exact as long as no value needs more
than 53 bits. None does: the widest are V + eps term (52 bits), T * 2^k (53) and A times the mean's fraction (51).
`a >> k` is Floor(a * 2^-k). Floor(a / b) is a div b: with a below 2^53, a / b is an integer or further than half an ulp
below the next. A power of two is a look-up, the bits of a number its logarithm, corrected by one either way.
"""

import json
import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS, get_format
from litenorm.accel.scale import Scale
from litenorm.nn import wrap

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError:
    raise ImportError("litenorm.nn.onnx needs onnx: pip install 'litenorm[onnx]'") from None

DOMAIN = "litenorm"
DOMAIN_VERSION = 1
OLDEST_OPSET = 13       # Softmax is of one axis from here on; norms come with 17
CAST_LIKE = 15
OLDEST_IR = 8           # model-local functions
REDUCTIONS_OF_18 = 18   # from here on ReduceMax has its axes as an input, too
NORMS = {"LayerNormalization": "layernorm", "SimplifiedLayerNormalization": "rmsnorm", "RMSNormalization": "rmsnorm"}
TYPES = {"float": TensorProto.FLOAT, "double": TensorProto.DOUBLE, "int64": TensorProto.INT64, "bool": TensorProto.BOOL,
         "int32": TensorProto.INT32, "int8": TensorProto.INT8, "uint8": TensorProto.UINT8}
NUMPY = {"float": np.float32, "double": np.float64, "int64": np.int64, "bool": np.bool_}
POWERS = (-48, 62)      # exponents of the table of powers of two
LARGEST_FILE = (1 << 31) - 1    # bytes, of one protobuf message
# What has a softmax or a norm inside and stays as it is: fused by a runtime's optimizer, or by an exporter.
FUSED = frozenset((
    "Attention", "MultiHeadAttention", "GroupQueryAttention", "QAttention", "PackedAttention", "SparseAttention",
    "PackedMultiHeadAttention", "DecoderMaskedMultiHeadAttention", "DecoderMaskedSelfAttention", "LongformerAttention",
    "PagedAttention", "QOrderedAttention", "BiasSoftmax", "LogSoftmax", "EmbedLayerNormalization",
    "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "QOrderedLayerNormalization"))


# Functions -----------------------------------------------------------------------------------------------------------


class Value:
    """A tensor inside of a function: operators append nodes."""

    def __init__(self, body, name, dtype):
        self.body, self.name, self.dtype = body, name, dtype

    def _binary(self, op, other, dtype=None, swapped=False):
        other = self.body.value(other, self.dtype)
        pair = (other, self) if swapped else (self, other)
        return self.body.op(op, *pair, dtype=dtype or self.dtype)

    def __add__(self, other):
        return self._binary("Add", other)

    def __radd__(self, other):
        return self._binary("Add", other, swapped=True)

    def __sub__(self, other):
        return self._binary("Sub", other)

    def __rsub__(self, other):
        return self._binary("Sub", other, swapped=True)

    def __mul__(self, other):
        return self._binary("Mul", other)

    def __rmul__(self, other):
        return self._binary("Mul", other, swapped=True)

    def __truediv__(self, other):
        return self._binary("Div", other)

    def __rtruediv__(self, other):
        return self._binary("Div", other, swapped=True)

    def __and__(self, other):
        return self._binary("And", other)

    def __lt__(self, other):
        return self._binary("Less", other, "bool")

    def __gt__(self, other):
        return self._binary("Greater", other, "bool")

    def __le__(self, other):
        return self._binary("LessOrEqual", other, "bool")

    def __ge__(self, other):
        return self._binary("GreaterOrEqual", other, "bool")

    def equals(self, other):
        return self._binary("Equal", other, "bool")

    def floor(self):
        return self.body.op("Floor", self, dtype=self.dtype)

    def cast(self, dtype):
        return self.body.op("Cast", self, dtype=dtype, to=TYPES[dtype])

    def least(self, other):
        return self._binary("Min", other)

    def most(self, other):
        return self._binary("Max", other)

    def where(self, yes, no):
        """self ? yes : no; one of them is a Value."""
        dtype = yes.dtype if isinstance(yes, Value) else no.dtype
        return self.body.op("Where", self, self.body.value(yes, dtype), self.body.value(no, dtype), dtype=dtype)


class Body:
    """The nodes of one function, along one axis."""

    def __init__(self, opset, axis=-1):
        self.opset, self.axis = opset, axis
        self.nodes, self.constants, self.count = [], {}, 0

    def fresh(self):
        self.count += 1
        return f"v{self.count}"

    def op(self, kind, *inputs, dtype, output=None, **attributes):
        output = output or self.fresh()
        self.nodes.append(helper.make_node(kind, [v.name for v in inputs], [output], **attributes))
        return Value(self, output, dtype)

    def value(self, value, dtype):
        """A Value as it is; numbers become a Constant."""
        if isinstance(value, Value):
            return value
        array = np.asarray(value, NUMPY[dtype])
        key = (dtype, array.shape, array.tobytes())
        if key not in self.constants:
            tensor = numpy_helper.from_array(array)
            self.constants[key] = self.op("Constant", dtype=dtype, value=tensor)
        return self.constants[key]

    def take(self, table, index, dtype="double"):
        """table[index] of an index that is an integer in float64."""
        return self.op("Gather", self.value(table, dtype), index.cast("int64"), dtype=dtype, axis=0)

    def power(self, exponent):
        """2^exponent."""
        low, high = POWERS
        return self.take([2.0**i for i in range(low, high + 1)], exponent - low)

    def exponent(self, value):
        """floor(log2(value)) of a float64 above 0: the logarithm may be off by one at a power of two."""
        guess = (self.op("Log", value, dtype="double") * (1 / math.log(2))).floor()
        guess = guess - (value < self.power(guess)).cast("double")
        return guess + (value >= self.power(guess + 1)).cast("double")

    def maximum(self, value):
        if self.opset >= REDUCTIONS_OF_18:
            return self.op("ReduceMax", value, self.value([self.axis], "int64"), dtype=value.dtype, keepdims=1)
        return self.op("ReduceMax", value, dtype=value.dtype, axes=[self.axis], keepdims=1)

    def sum(self, value):
        return self.op("ReduceSum", value, self.value([self.axis], "int64"), dtype=value.dtype, keepdims=1)

    def cumsum(self, value):
        return self.op("CumSum", value, self.value(self.axis, "int64"), dtype=value.dtype)

    def length(self, x, longest):
        """N as float64 of shape [1]. A longer row stops the runtime: the look-up is out of bounds."""
        shape = self.op("Shape", x, dtype="int64")
        n = self.op("Gather", shape, self.value([self.axis], "int64"), dtype="int64", axis=0)
        return self.op("Gather", self.value(np.arange(longest + 1), "double"), n, dtype="double", axis=0)

    def telescope(self, z, fraction_bits):
        running = self.cumsum(z) + 2.0 ** (fraction_bits - 1)
        ulp = 2.0**-fraction_bits
        return (running * ulp).floor() - ((running - z) * ulp).floor()

    def finish(self, name, inputs, outputs):
        imports = [helper.make_opsetid("", self.opset)]
        return helper.make_function(DOMAIN, name, inputs, outputs, self.nodes, imports)


def _softmax_levels(body, q, factor, valid, fmt, max_length):
    """Codes without zero point, float64. q: codes of the logits; factor: octaves of one LSB, in 2^-15."""
    table = np.arange(1 << (c.OCTAVE_BITS + c.SEGMENT_BITS))
    segment, octave = table & ((1 << c.SEGMENT_BITS) - 1), table >> c.SEGMENT_BITS
    low_bits = c.OCTAVE_FRACTION_BITS - c.SEGMENT_BITS
    top = body.maximum(valid.where(q, -float(1 << c.CODE_BITS)))
    t = valid.where(top - q, 0.0)
    d = (t * factor).floor().least(float((1 << (c.OCTAVE_BITS + c.OCTAVE_FRACTION_BITS)) - 1))
    high = (d * 2.0**-low_bits).floor()
    low = d - high * 2.0**low_bits
    drop = body.take(np.array(c.exp2_drops())[segment], high)
    g = body.take(np.array(c.exp2_grid())[segment], high) - (drop * low * 2.0**-low_bits).floor()
    e = (g * body.take(2.0 ** (c.EXP_BITS - c.GRID_BITS - octave), high)).floor()
    e = valid.where(e, 0.0)
    # The reciprocal, one number a row. The row's length is looked up only to stop rows that are too long.
    total = body.sum(e).most(1.0) + 0.0 * body.length(q, max_length)
    fraction_bits = wrap.softmax_config(max_length).fraction_bits
    k = body.exponent(total) + 2.0
    gain = ((float(fmt.total) * body.power(k) + (total * 0.5).floor()) / total).floor()
    gain = gain.least(float((1 << c.RECIPROCAL_BITS) - 1))
    z = (e * (gain * body.power(fraction_bits - k))).floor()
    out = body.telescope(z, fraction_bits)
    return _cap(body, out, e, total, valid, fmt) if fmt.capped else out


def _cap(body, out, e, total, valid, fmt):
    """`accel.model.cap`, where the next valid element is the next that is not masked."""
    one = valid.cast("double")
    rank = body.cumsum(one) * one
    first, last = rank.equals(1.0), rank.equals(body.maximum(rank)) & valid
    full = out.equals(float(fmt.total)).cast("double")
    place = body.maximum(full * rank)
    following = (rank.equals(place + 1.0) & (place > 0.0)).cast("double")
    limit = ((fmt.total << (c.EXP_BITS + 2)) - 1) // (4 * fmt.total - 3)
    peak_last = body.maximum(e * last.cast("double")).equals(float(1 << c.EXP_BITS))
    ends = last.where(float(fmt.total - 1), first.cast("double"))
    return (peak_last & (total <= float(limit))).where(ends, out - full + following)


def _factor(body, scales):
    """Octaves of one LSB in units of 2^-15, with the 16 bits of `accel.scale.Scale`; scales float [..., 1]."""
    units = scales.cast("double") * math.log2(math.e) * 2.0 ** (c.OCTAVE_FRACTION_BITS - c.SCALE_HEADROOM)
    shift = (c.SCALE_MULTIPLIER_BITS - 1.0) - body.exponent(units)
    shift = shift.least(float((1 << c.SCALE_SHIFT_BITS) - 1)).most(0.0)
    multiplier = body.op("Round", units * body.power(shift), dtype="double")
    return multiplier * body.power(float(c.SCALE_HEADROOM) - shift)


def given_factor(scale):
    """The same for a scale that is given, a real number or `accel.scale.Scale`: one float64."""
    scale = Scale.from_real(scale)
    return scale.multiplier * 2.0 ** (c.SCALE_HEADROOM - scale.shift)


def _norm_levels(body, q, eps, scales, op):
    """y, Q5.10 in float64, of the codes q. eps: real; scales float64 [..., 1], or None when eps is in LSB^2."""
    n = body.length(q, wrap.LONGEST[op])
    sum_xx = body.sum(q * q)
    if op == "layernorm":
        sum_x = body.sum(q)
        v = n * sum_xx - sum_x * sum_x
        shifted = sum_x + n * float(c.X_OFFSET)
        whole = (shifted / n).floor()
        fraction = ((shifted - whole * n) * 2.0**c.MEAN_FRACTION_BITS / n).floor()
    else:
        v = n * sum_xx
        whole, fraction = v * 0.0 + float(c.X_OFFSET), v * 0.0
    lsb2 = body.value(eps, "double") if scales is None else body.value(eps, "double") / (scales * scales)
    term = body.op("Round", lsb2.least(wrap.LARGEST_EPS / (n * n)) * n * n, dtype="double")
    # A * 2^-k = N * 2^10 / sqrt(V)
    biased = (v + term).most(1.0)
    h = ((2.0 * c.ROOT_BITS - 1.0 - body.exponent(biased)) * 0.5).floor()
    root = body.op("Sqrt", (biased * body.power(h * 2.0)).floor(), dtype="double").floor()
    n_bits = body.exponent(n) + 1.0
    mantissa = n * body.power(c.NORM_LENGTH_BITS - n_bits)
    gain = ((mantissa * 2.0**c.GAIN_SHIFT + (root * 0.5).floor()) / root).floor()
    k = (c.GAIN_SHIFT + c.NORM_LENGTH_BITS - c.NORM_FRACTION_BITS) - n_bits - h
    # B = round(A * mean * 2^(FB - k)), in two parts of less than 53 bits
    fraction_bits = c.MIN_FRACTION_BITS
    right = k + float(c.MEAN_FRACTION_BITS - fraction_bits)
    left = float(fraction_bits) - k
    low = gain * fraction + body.power(right - 1.0)
    whole = gain * whole
    term = (left >= 0.0).where(
        whole * body.power(left.most(0.0)) + (low * body.power(right * -1.0)).floor(),
        ((whole + (low * 2.0**-c.MEAN_FRACTION_BITS).floor()) * body.power(left)).floor())
    w = ((q + float(c.X_OFFSET)) * (gain * body.power(left))).floor() - term
    if op == "layernorm":
        y = body.telescope(w, fraction_bits)
    else:
        limit = 1 << (c.NORM_BITS - 1)
        y = ((w + 2.0 ** (fraction_bits - 1)) * 2.0**-fraction_bits).floor().least(limit - 1.0).most(-float(limit))
    return v.equals(0.0).where(0.0, y)


def _float_rows(body, x):
    """(kept, x) of an input "x" of any float type: float32, with minus infinity replaced by the lowest number."""
    x = x.cast("float")
    lowest = float(np.finfo(np.float32).min)
    return x > -np.inf, x.most(lowest)


def _nan(body, x):
    """float32 [..., 1]: 0, or NaN for a row that holds NaN or infinity and has no codes."""
    return body.sum(x * 0.0)


def softmax_function(opset, fmt="u16_q15", inputs="s16", axis=-1, given=False, max_length=1024):
    """FunctionProto: float X -> probabilities in X's type, along `axis`. given: further inputs scale (float32) and
    zero_point (float32), both scalars, and factor, `given_factor(scale)`."""
    fmt, codes = get_format(fmt), wrap.input_codes(inputs)
    body = Body(opset, axis)
    source = Value(body, "x", "float")
    kept, x = _float_rows(body, source)
    distance = body.maximum(x) - x
    valid = kept & (distance < wrap.MASK_DISTANCE)
    names = ["x"]
    if given:
        names += ["scale", "zero_point", "factor"]
        scale, zero_point = Value(body, "scale", "float"), Value(body, "zero_point", "float")
        factor = Value(body, "factor", "double")
        q = body.op("Round", valid.where(x, 0.0) / scale, dtype="float") + zero_point
        q = q.most(float(codes.lowest)).least(float(codes.highest)).cast("double")
    else:
        distance = valid.where(distance, 0.0)
        reach = body.maximum(distance).most(float(wrap.LEAST_REACH)).least(float(wrap.REACH))
        scales = reach / float(codes.steps)
        t = body.op("Round", distance / scales, dtype="float").least(float(codes.steps))
        q = float(codes.highest) - t.cast("double")
        factor = _factor(body, scales)
    y = _softmax_levels(body, q, factor, valid, fmt, max_length).cast("float") * (1.0 / fmt.total)
    _like(body, y + _nan(body, x), source)
    return body.finish(_name("Softmax", fmt.name, inputs, axis, given and "given", _long(max_length)), names, ["y"])


def softmax_codes_function(opset, fmt="u16_q15", axis=-1, max_length=1024):
    """FunctionProto: codes x of the logits (integers), factor (float64), valid (bool) -> codes int32."""
    fmt = get_format(fmt)
    body = Body(opset, axis)
    q, valid = Value(body, "x", "int64").cast("double"), Value(body, "valid", "bool")
    y = _softmax_levels(body, q, Value(body, "factor", "double"), valid, fmt, max_length) + float(fmt.zero_point)
    body.op("Cast", y, dtype="int32", output="y", to=TYPES["int32"])
    return body.finish(_name("SoftmaxCodes", fmt.name, axis, _long(max_length)), ["x", "factor", "valid"], ["y"])


def qlinear_softmax_function(opset, fmt, out, zero_point, axis=-1, max_length=1024):
    """FunctionProto: codes x of 8 bits, factor -> codes of 8 bits of the type `out` ("int8", "uint8")."""
    fmt = get_format(fmt)
    body = Body(opset, axis)
    q = Value(body, "x", "int64").cast("double")
    valid = q >= -float(1 << c.CODE_BITS)
    y = _softmax_levels(body, q, Value(body, "factor", "double"), valid, fmt, max_length) + float(zero_point)
    body.op("Cast", y, dtype=out, output="y", to=TYPES[out])
    name = _name("QLinearSoftmax", fmt.name, out, zero_point, axis, _long(max_length))
    return body.finish(name, ["x", "factor"], ["y"])


def norm_codes_function(opset, op):
    """FunctionProto: codes x (integers) along the last axis, eps (float64 scalar, LSB^2) -> y int32, Q5.10."""
    body = Body(opset)
    q = Value(body, "x", "int64").cast("double")
    y = _norm_levels(body, q, Value(body, "eps", "double"), None, op)
    body.op("Cast", y, dtype="int32", output="y", to=TYPES["int32"])
    return body.finish(_name({"layernorm": "LayerNormCodes", "rmsnorm": "RMSNormCodes"}[op]), ["x", "eps"], ["y"])


def norm_function(opset, op, epsilon, inputs="s16", axis=-1, given=False, bias=False, statistics=0):
    """FunctionProto: float x, gamma (and beta) -> y, along the axes from `axis` on.

    given       a further input: the scale of x, float32 scalar
    statistics  further outputs: 1 for 1 / sigma of RMSNorm, 2 for the mean and 1 / sigma of LayerNorm, in float32
    """
    codes = wrap.input_codes(inputs)
    body = Body(opset)
    source = Value(body, "x", "float")
    x = source.cast("float")
    if axis != -1:
        x = body.op("Flatten", x, dtype="float", axis=axis)
    nan, size = _nan(body, x), body.op("Abs", x, dtype="float")
    finite = size < np.inf
    size, x = finite.where(size, 0.0), finite.where(x, 0.0)
    names = ["x", "gamma"] + ["beta"] * bias + ["scale"] * given
    if given:
        scales = Value(body, "scale", "float")
    else:
        largest = body.maximum(size).most(float(wrap.LEAST_NORM))
        scales = largest / float(codes.highest)
    q = body.op("Round", x / scales, dtype="float").most(float(codes.lowest)).least(float(codes.highest))
    y = _norm_levels(body, q.cast("double"), epsilon, scales.cast("double"), op)
    y = y.cast("float") * 2.0**-c.NORM_FRACTION_BITS + nan
    if axis != -1:
        y = body.op("Reshape", y, body.op("Shape", source, dtype="int64"), dtype="float")
    y = y * Value(body, "gamma", "float").cast("float")
    if bias:
        y = y + Value(body, "beta", "float").cast("float")
    _like(body, y, source)
    outputs = ["y"]
    if statistics:
        mean = body.sum(x) / body.length(x, wrap.LONGEST[op]).cast("float") + nan
        centred = x - mean if op == "layernorm" else x
        variance = body.sum(centred * centred) / body.length(x, wrap.LONGEST[op]).cast("float") + nan
        inverse = 1.0 / body.op("Sqrt", variance + epsilon, dtype="float")
        shape = body.op("Shape", body.op("Shape", source, dtype="int64", start=axis), dtype="int64")
        ones = body.op("ConstantOfShape", shape, dtype="int64", value=numpy_helper.from_array(np.array([1])))
        shape = body.op("Concat", body.op("Shape", source, dtype="int64", end=axis), ones, dtype="int64", axis=0)
        for name, value in (("mean", mean), ("inverse_sigma", inverse))[2 - statistics :]:
            body.op("Reshape", value, shape, dtype="float", output=name)
            outputs.append(name)
    kind = {"layernorm": "LayerNormalization", "rmsnorm": "RMSNormalization"}[op]
    name = _name(kind, inputs, axis, f"eps{epsilon:.9g}", bias and "beta", given and "given",
                 statistics and f"statistics{statistics}")
    return body.finish(name, names, outputs)


def _like(body, y, source):
    """y in the type of the function's input, as its output "y"; before opset 15 inputs are float32."""
    if body.opset < CAST_LIKE:
        body.op("Cast", y, dtype="float", output="y", to=TYPES["float"])
        return
    body.op("CastLike", y, source, dtype="float", output="y")


def _long(max_length):
    return max_length > 1024 and f"n{max_length}"


def _name(*parts):
    """Letters, digits and underscores: -1 becomes m1."""
    words = [str(p) for p in parts if p is not False and p != 0 or p is parts[0]]
    return "_".join(words).replace("-", "m").replace(".", "p").replace("+", "")


# Rewriter ------------------------------------------------------------------------------------------------------------


class Replaced(NamedTuple):
    """One node that `swap` replaced: its name, its operator, the function, and its scale (None: dynamic)."""

    name: str
    op: str
    function: str
    scale: float | None


def swap(model, fmt="u16_q15", inputs="s16", norm_inputs="s16", scales=None, max_length=1024):
    """Replace Softmax, LayerNormalization, SimplifiedLayerNormalization, RMSNormalization and QLinearSoftmax nodes.

    model   onnx.ModelProto, changed in place; opset 13 or newer; below 15 its tensors must be float32
    fmt, inputs, max_length  of Softmax; QLinearSoftmax has its format and scale in the node
    norm_inputs  "s8" or "s16"
    scales  {node name: real value of one LSB of its input}, or {node name: [scale, zero_point]} for Softmax; the others
            are dynamic, one scale a row
    returns [Replaced]

    A row longer than max_length, or than 1024 for norms, makes the runtime stop with an index out of bounds.
    ValueError when an argument is out of range, nothing is there to replace, or a node cannot be.
    """
    fmt = get_format(fmt)
    wrap.softmax_config(max_length)
    wrap.input_codes(inputs), wrap.input_codes(norm_inputs)
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise ValueError(f"the model has opset {opset}; good: {OLDEST_OPSET} or newer, which "
                         "onnx.version_converter.convert_version makes of it")
    scales = dict(scales or {})
    for function in model.functions:
        inside = sorted({node.op_type for node in function.node} & {"Softmax", "QLinearSoftmax", *NORMS})
        if inside:
            raise ValueError(f"the model's function {function.domain}.{function.name} holds {', '.join(inside)}; "
                             "good: nodes of the graph, which onnx.inliner.inline_local_functions makes of them")
    rewriter = _Rewriter(opset, fmt, inputs, norm_inputs, scales, max_length)
    if opset < CAST_LIKE:
        rewriter.types = _types(onnx.shape_inference.infer_shapes(model).graph)
    rewriter.graph(model.graph, {})
    if not rewriter.replaced:
        raise ValueError("the model has no node to replace; good: one with Softmax, LayerNormalization, "
                         "SimplifiedLayerNormalization, RMSNormalization or QLinearSoftmax")
    unknown = sorted(set(scales) - {r.name for r in rewriter.replaced})
    if unknown:
        raise ValueError(f"scales has {', '.join(unknown)}; good: names of nodes that are replaced: "
                         f"{', '.join(r.name for r in rewriter.replaced)}")
    for node, new, extra in rewriter.changes:
        node.CopyFrom(new)
        model.graph.initializer.extend(extra)
    model.functions.extend(rewriter.functions.values())
    model.opset_import.append(helper.make_opsetid(DOMAIN, DOMAIN_VERSION))
    model.ir_version = max(model.ir_version, OLDEST_IR)
    return rewriter.replaced


def left(model):
    """{operator: how many} of what has a softmax or a norm inside and is none of the nodes that `swap` replaces."""
    return dict(sorted(Counter(node.op_type for node in _nodes(model.graph) if node.op_type in FUSED).items()))


def _nodes(graph):
    """The nodes of a graph and of the graphs inside of it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g] * attribute.HasField("g") + list(attribute.graphs):
                yield from _nodes(inner)


def _types(graph):
    """{name: element type} of the tensors of a graph and of the graphs inside of it, those that are known."""
    known = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info, *graph.output)}
    known |= {t.name: t.data_type for t in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g] * attribute.HasField("g") + list(attribute.graphs):
                known |= _types(inner)
    return known


class _Rewriter:
    def __init__(self, opset, fmt, inputs, norm_inputs, scales, max_length):
        self.opset, self.fmt, self.inputs, self.norm_inputs = opset, fmt, inputs, norm_inputs
        self.scales, self.max_length = scales, max_length
        self.functions, self.replaced, self.changes = {}, [], []
        self.types = {}         # of tensors, where a function needs to know
        self.constants = set()  # names of new initializers

    def graph(self, graph, known):
        """Find the nodes of a graph and of the graphs inside of it. known: initializers and constants in sight."""
        known = known | {t.name: t for t in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                known[node.output[0]] = node.attribute[0].t
            for attribute in node.attribute:
                for inner in [attribute.g] * attribute.HasField("g") + list(attribute.graphs):
                    self.graph(inner, known)
            name = node.name or (node.output[0] if node.output else "")
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Softmax" and node.domain in ("", "ai.onnx"):
                self.softmax(node, name, attributes)
            elif node.op_type in NORMS and node.domain in ("", "ai.onnx", "com.microsoft"):
                self.norm(node, name, attributes)
            elif node.op_type == "QLinearSoftmax" and node.domain == "com.microsoft":
                self.qlinear(node, name, attributes, known)

    def change(self, node, name, function, inputs, constants, scale):
        """Note the new node; `constants` [(what, value)] become initializers behind its inputs."""
        function = self.functions.setdefault(function.name, function)
        kind = self.types.get(node.input[0], 0)
        if node.op_type != "QLinearSoftmax" and kind not in (0, TensorProto.FLOAT):
            kind = TensorProto.DataType.Name(kind).lower()
            raise ValueError(f"{name} is of {kind} in a model of opset {self.opset}; good: opset {CAST_LIKE} or newer, "
                             "or float32")
        extra = [numpy_helper.from_array(np.asarray(value), self.constant(f"{name}/{DOMAIN}/{what}"))
                 for what, value in constants]
        outputs = list(node.output)[: len(function.output)]
        new = helper.make_node(function.name, [*inputs, *(t.name for t in extra)], outputs, node.name, domain=DOMAIN)
        self.changes.append((node, new, extra))
        self.replaced.append(Replaced(name, node.op_type, function.name, scale))

    def constant(self, name):
        """`name`, or with a number behind it: several nodes may have one name, the branches of an If for example."""
        count = 1
        while (unique := name if count == 1 else f"{name}_{count}") in self.constants:
            count += 1
        self.constants.add(unique)
        return unique

    def scale(self, name, with_zero_point=False):
        given = self.scales.get(name)
        if given is None:
            return None, 0
        pair = given if isinstance(given, (list, tuple)) else (given, 0)
        good = len(pair) == (2 if with_zero_point else len(pair)) and isinstance(pair[0], (int, float))
        if not good or not (pair[0] > 0 and math.isfinite(pair[0])) or (not with_zero_point and pair[1]):
            raise ValueError(f"the scale of {name} is {given!r}; good: a finite number above 0"
                             + (", or [scale, zero_point]" if with_zero_point else ""))
        return float(np.float32(pair[0])), int(pair[1])

    def softmax(self, node, name, attributes):
        scale, zero_point = self.scale(name, True)
        function = softmax_function(self.opset, self.fmt, self.inputs, attributes.get("axis", -1), scale is not None,
                                    self.max_length)
        constants = []
        if scale is not None:
            constants = [("scale", np.float32(scale)), ("zero_point", np.float32(zero_point)),
                         ("factor", np.float64(given_factor(scale)))]
        self.change(node, name, function, list(node.input), constants, scale)

    def norm(self, node, name, attributes):
        op = NORMS[node.op_type]
        scale, _ = self.scale(name)
        bias = len(node.input) > 2 and bool(node.input[2])
        used = [i for i, output in enumerate(node.output) if output]
        statistics = 0 if max(used) == 0 else {"layernorm": 2, "rmsnorm": 1}[op]
        if statistics and self.opset < CAST_LIKE:
            raise ValueError(f"{name} has further outputs in a model of opset {self.opset}; good: opset {CAST_LIKE} or "
                             "newer")
        function = norm_function(self.opset, op, float(attributes.get("epsilon", 1e-5)), self.norm_inputs,
                                 attributes.get("axis", -1), scale is not None, bias, statistics)
        constants = [("scale", np.float32(scale))] if scale is not None else []
        self.change(node, name, function, list(node.input)[: 2 + bias], constants, scale)

    def qlinear(self, node, name, attributes, known):
        if attributes.get("opset", self.opset) < OLDEST_OPSET:    # earlier, softmax was of all axes from one on
            raise ValueError(f"{name} is a QLinearSoftmax of opset {attributes['opset']}; good: 13 or newer")
        values = []
        for what, default, place in (("X_scale", None, 1), ("Y_scale", None, 3), ("Y_zero_point", 0, 4)):
            source = node.input[place] if len(node.input) > place else ""
            if source and source not in known:
                raise ValueError(f"{what} of {name} is computed in the graph; good: a constant")
            values.append(numpy_helper.to_array(known[source]) if source else np.asarray(default))
        x_scale, y_scale, zero_point = values
        total = round(1 / float(y_scale))
        fmt = next((f for f in FORMATS.values() if f.bits == 8 and f.total == total), None)
        out = "uint8" if zero_point.dtype == np.uint8 else "int8"
        highest = int(zero_point) + total - (1 if fmt is not None and fmt.capped else 0)
        if fmt is None or highest > np.iinfo(out).max:
            raise ValueError(f"{name} has Y_scale {float(y_scale):.6g} and Y_zero_point {int(zero_point)}; good: 1/256 "
                             f"or 1/255, and all codes within {out}")
        function = qlinear_softmax_function(self.opset, fmt, out, int(zero_point), attributes.get("axis", -1),
                                            self.max_length)
        scale = float(x_scale)
        self.change(node, name, function, [node.input[0]], [("factor", np.float64(given_factor(scale)))], scale)


# Files ---------------------------------------------------------------------------------------------------------------


def load(path):
    """The model at `path`; ValueError when it cannot be read."""
    try:
        model = onnx.load(str(path))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; good: an ONNX model") from None
    except Exception as error:  # protobuf's DecodeError is not always importable
        raise ValueError(f"{path} cannot be read as an ONNX model: {error}") from None
    if not model.graph.node:    # some files that are none can be read, the empty one for example
        raise ValueError(f"{path} holds no graph; good: an ONNX model")
    return model


def load_scales(path):
    """{node name: scale} of a JSON file; ValueError when it is none."""
    try:
        scales = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(scales, dict):
        raise ValueError(f"{path} holds a {type(scales).__name__}; good: an object, node name to scale")
    return scales


def save(model, path):
    """Write the model, weights included; ValueError when it is above the 2 GB of one file."""
    try:
        data = model.SerializeToString()
    except Exception:   # protobuf's EncodeError is not always importable
        data = None
    if data is None or len(data) > LARGEST_FILE:    # some releases of protobuf write what none can read
        raise ValueError("the model and its weights are too large for one file; good: up to 2 GB")
    Path(path).write_bytes(data)
