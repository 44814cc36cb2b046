# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The sum of a row is T, or 0, for every row there is, at reduced widths: RowConstants and Normalizer together.

A row's elements are chosen freely and stay the same; what the passes before would find out about them (sum, maximum,
sum of squares) is computed by the harness. So softmax is shown for all exponentials, not only for those that some
logits lead to, and the search covers every row of up to `max_length` elements.
"""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.config import LiteNormConfig
from litenorm.accel.core import LiteNorm
from litenorm.accel.exponential import ELEMENT_BITS, EXPONENT_BITS, EXPONENT_MAX, MANTISSA_BITS
from litenorm.accel.formats import FORMATS
from litenorm.accel.normalizer import Normalizer
from litenorm.accel.row_constants import RowConstants
from litenorm.accel.rows import OP
from litenorm.accel.self_check import SelfCheck
from litenorm.formal.harness import Harness

SUM_BITS = 32       # of the harness's sums: wide enough not to wrap


def stored(format, code, value):
    """Statement: `value` becomes the stored code (low bits of a lane, signed where the format is) less zero point."""
    return Case(format, {
        f.code: value.eq((Cat(code[: f.bits], Replicate(code[f.bits - 1], SUM_BITS - f.bits)) if f.signed
                          else code[: f.bits]) + C(-f.zero_point, SUM_BITS)) for f in FORMATS.values()
    })


class Row(Harness):
    """Base: one row goes through RowConstants and Normalizer; its outputs are added up."""

    free_reset = False

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.constants = constants = RowConstants(config)
        self.normalizer = normalizer = Normalizer(config)
        self.comb += constants.source.connect(normalizer.record)
        self.length = length = Signal(config.length_bits)
        self.constant(length)
        self.assume("length", (length != 0) & (length <= config.max_length))

        # # #

        lanes = config.lanes
        # The row's beats, one after the other. The source is always taken: stalls change no value, see pipelines.py.
        index = Signal(max=config.max_beats + 1)
        self.elements = [Signal(ELEMENT_BITS, name=f"element{i}") for i in range(config.max_beats * lanes)]
        beats = {n: normalizer.sink.data.eq(Cat(*self.elements[lanes * n : lanes * (n + 1)]))
                 for n in range(config.max_beats)}
        beat_count = self.named((length + (lanes - 1)) >> log2_int(lanes), "beat_count", config.length_bits + 1)
        self.comb += [
            Case(index, beats | {"default": []}),
            normalizer.sink.valid.eq(index != beat_count),
            normalizer.sink.last.eq(index == beat_count - 1),
            normalizer.source.ready.eq(1),
        ]
        self.sync += If(normalizer.sink.valid & normalizer.sink.ready, index.eq(index + 1))
        self.check = check = SelfCheck(config)
        source = normalizer.source
        self.comb += [
            check.promise.valid.eq(1),
            check.promise.op.eq(constants.record.op),
            check.promise.format.eq(constants.record.format),
            check.promise.length.eq(length),
            check.promise.beats.eq(beat_count - 1),
            check.beat.eq(source.valid & source.ready),
            check.last.eq(source.last),
            check.data.eq(source.data),
        ]
        taken = Signal()
        self.comb += constants.record.valid.eq(~taken)
        self.sync += If(constants.record.ready, taken.eq(1))

        # What leaves: codes less the zero point, added up exactly.
        self.row_sum = Signal((SUM_BITS, True))
        self.finished = Signal()
        self.outputs = []
        for j in range(lanes):
            code = Signal((c.CODE_BITS, True), name=f"code{j}")
            self.comb += code.eq(normalizer.source.data[c.CODE_BITS * j : c.CODE_BITS * (j + 1)])
            self.outputs.append(code)

    def add_up(self, values):
        """Property material: `row_sum` of `values`, `finished` behind the last beat."""
        source = self.normalizer.source
        beat_sum = self.named(Reduce("ADD", values), "beat_sum", (SUM_BITS, True))
        self.sync += If(source.valid & ~self.finished,
            self.row_sum.eq(self.row_sum + beat_sum), self.finished.eq(source.last))


class SoftmaxRow(Row):
    """Free: every element e_i = mantissa << exponent, at most 2^EXP_BITS and once equal to it; length and format."""

    def __init__(self, **config):
        super().__init__(LiteNormConfig(ops=("softmax",), inputs=("s8",), **config))
        config, constants, normalizer = self.config, self.constants, self.normalizer
        format = Signal(config.format_bits)
        self.constant(format)
        self.assume("format", Reduce("OR", [format == FORMATS[name].code for name in config.formats]))
        exponentials, peaks = [], []
        peak_last = Signal()
        for i, element in enumerate(self.elements):
            mantissa, exponent = Signal(MANTISSA_BITS, name=f"mantissa{i}"), Signal(EXPONENT_BITS, name=f"exponent{i}")
            self.constant(mantissa, exponent)
            inside = self.named(i < self.length, f"inside{i}")
            e = self.named(mantissa << exponent, f"e{i}", c.EXP_BITS + 8)
            self.assume(f"e{i}_is_one_at_most", (exponent <= EXPONENT_MAX) & (e <= 2**c.EXP_BITS))
            # Masked elements come as 0 from pass 1.
            self.comb += element.eq(Mux(inside, Cat(mantissa, exponent), 0))
            exponentials.append(self.named(Mux(inside, e, 0), f"e{i}_valid"))
            peaks.append(self.named(inside & (e == 2**c.EXP_BITS), f"peak{i}"))
            self.comb += If((self.length == i + 1) & peaks[-1], peak_last.eq(1))
        self.assume("a_maximum", Reduce("OR", peaks))
        total = self.named(Reduce("ADD", exponentials), "total", config.exp_sum_bits)
        self.comb += [
            constants.record.op.eq(OP["softmax"]),
            constants.record.format.eq(format),
            constants.record.length.eq(self.length),
            constants.record.peak_last.eq(peak_last),
            constants.sums.valid.eq(constants.record.valid),
            constants.sums.total.eq(total),
        ]

        # # #

        expected = Signal((SUM_BITS, True))
        highest = Signal((SUM_BITS, True))
        values, in_range = [], []
        for j, code in enumerate(self.outputs):
            value = Signal((SUM_BITS, True), name=f"value{j}")
            self.comb += stored(format, code, value)
            values.append(value)
            in_range.append(value <= highest)
        self.add_up(values)
        single = self.named(self.length == 1, "single")
        self.comb += Case(format, {
            f.code: [expected.eq(Mux(single, f.total - f.capped, f.total)), highest.eq(f.total - f.capped)]
            for f in FORMATS.values()
        })
        self.reach(self.finished & (self.length == config.max_length))
        self.prove("sum_is_total", ~self.finished | (self.row_sum == expected))
        self.prove("codes_in_range", ~normalizer.source.valid | Reduce("AND", in_range))
        self.prove("no_false_alarm", ~self.check.row_error)
        # A quotient below 2^bits, or one too large by so little that the divider saturates.
        divider = constants.divider
        bits, width = len(divider.quotient), len(divider.divisor)
        largest = self.named(((divider.high - divider.divisor + 1) << bits) + divider.divisor, "largest_remainder",
                             width + bits + 2)
        self.prove("divider_operands", ~divider.start | (divider.high < divider.divisor) | (largest <= 1 << width))


class LayerNormRow(Row):
    """Free: every element, the length and eps, which is below `eps_limit` where one is given."""

    def __init__(self, eps_limit=None, **config):
        super().__init__(LiteNormConfig(ops=("layernorm",), inputs=("s8",), affine=False, **config))
        config, constants = self.config, self.constants
        eps = Signal(c.EPS_BITS)
        self.constant(eps)
        if eps_limit is not None:
            self.assume("eps", eps < eps_limit)
        valid, squares = [], []
        for i, element in enumerate(self.elements):
            x = Signal((config.input_bits, True), name=f"x{i}")
            self.constant(x)
            value = Signal((config.input_bits, True), name=f"x{i}_valid")
            offset = Signal(config.input_bits, name=f"x{i}_offset")
            square = Signal(2 * config.input_bits, name=f"x{i}_square")
            self.comb += [
                value.eq(Mux(i < self.length, x, 0)),
                square.eq(value * value),
                offset.eq(x + c.X_OFFSET),
                element.eq(offset),
            ]
            valid.append(value)
            squares.append(square)
        self.comb += [
            constants.record.op.eq(OP["layernorm"]),
            constants.record.length.eq(self.length),
            constants.record.eps.eq(eps),
            constants.record.sum_x.eq(Reduce("ADD", valid)),
            constants.record.sum_xx.eq(Reduce("ADD", squares)),
        ]

        # # #

        self.add_up(self.outputs)
        self.reach(self.finished & (self.length == config.max_length) & ~constants.source.zero)
        self.prove("sum_is_zero", ~self.finished | (self.row_sum == 0))
        self.prove("no_false_alarm", ~self.check.row_error)


class CoreRow(Harness):
    """The whole core: one row of free logits, and behind it a second row that must not disturb it."""

    free_reset = False

    def __init__(self, op, **config):
        super().__init__()
        config = LiteNormConfig(ops=(op,), inputs=("s8",), affine=False, **config)
        self.core = core = LiteNorm(config)
        sink, source = core.sink, core.source
        rows = 2
        beats = config.max_beats
        self.constant(sink.format, sink.length, sink.scale_multiplier, sink.scale_shift, sink.eps)
        self.assume("length", (sink.length > (beats - 1) * config.lanes) & (sink.length <= config.max_length))
        self.comb += sink.op.eq(OP[op])
        self.free(sink.data)
        if op == "softmax":
            self.assume("format", Reduce("OR", [sink.format == FORMATS[name].code for name in config.formats]))

        # # #

        beat, row = Signal(max=max(beats, 2)), Signal(max=rows + 1)
        self.comb += [sink.valid.eq(row != rows), sink.last.eq(beat == beats - 1), source.ready.eq(1)]
        self.sync += If(sink.valid & sink.ready,
            beat.eq(beat + 1), If(sink.last, beat.eq(0), row.eq(row + 1)))
        left, total = Signal(max=rows + 1), Signal((SUM_BITS, True))
        values = []
        for j in range(config.lanes):
            code = Signal((c.CODE_BITS, True), name=f"code{j}")
            value = Signal((SUM_BITS, True), name=f"value{j}")
            self.comb += code.eq(source.data[c.CODE_BITS * j : c.CODE_BITS * (j + 1)])
            self.comb += stored(sink.format, code, value) if op == "softmax" else value.eq(code)
            values.append(value)
        after = self.named(total + Reduce("ADD", values), "row_sum", (SUM_BITS, True))
        self.sync += If(source.valid, total.eq(Mux(source.last, 0, after)), left.eq(left + source.last))
        expected = Signal((SUM_BITS, True))
        if op == "softmax":
            single = self.named(sink.length == 1, "single")
            self.comb += Case(sink.format, {
                f.code: expected.eq(Mux(single, f.total - f.capped, f.total)) for f in FORMATS.values()})
        self.reach(left == rows)
        self.prove("sum_is_exact", ~(source.valid & source.last) | (after == expected))
        self.prove("no_false_alarm", ~core.row_error)
        self.prove("no_row_twice", ~source.valid | (left != rows))
