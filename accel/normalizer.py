# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Pass 2: multiply, telescope, emit."""

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.exponential import ELEMENT_BITS, MANTISSA_BITS
from litenorm.accel.fixed import Stages, clip_s, shift_right
from litenorm.accel.formats import FORMATS
from litenorm.accel.row_constants import constants_layout, shift_offset
from litenorm.accel.rows import OP, LaneMask, affine_params


class Normalizer(LiteXModule):
    """out_i = C_i - C_(i-1) with C_i = (2^(FB-1) + w_1 + ... + w_i) >> FB, so a row's outputs add up to C_N.

    softmax   w_i = (e_i * R) >> (k - FB)                              C_N = T exactly
    layernorm w_i = ((x_i + 2^15) * A) >> (k - FB) - B                 C_N = 0 exactly
    rmsnorm   as layernorm, but every element starts from the seed; clipped to s16

    Only the FB-bit fraction of C is kept from beat to beat: all else is modulo 2^(FB + 17), and every output is below.

    sink    beats of exponentials or of x + 2^15 (ELEMENT_BITS a lane)
    record  the row's constants, taken with its last beat
    source  beats of codes, 16 bits a lane; masked elements are the zero point (norms: 0); params for Requantize

    Latency: `latency` cycles, one beat a cycle. Stall: the whole pipeline waits while `source` is not taken.

    constant_row  pulse, a norm's row without variance; when its last beat enters
    """

    def __init__(self, config):
        lanes, fb, bits = config.lanes, config.fraction_bits, config.accumulator_bits
        params = affine_params() if config.has_affine else []
        self.sink = sink = stream.Endpoint([("data", lanes * ELEMENT_BITS)])
        self.record = record = stream.Endpoint(constants_layout(config))
        self.source = source = stream.Endpoint(stream.EndpointDescription([("data", lanes * c.CODE_BITS)], params))
        self.constant_row = Signal()

        # # #

        ce = Signal(name="ce")
        beat = Signal(name="beat")
        stages = self.stages = Stages(self, ce)
        self.mask = mask = LaneMask(config)
        self.comb += [
            beat.eq(sink.valid & record.valid),
            sink.ready.eq(ce & record.valid),
            record.ready.eq(ce & sink.valid & sink.last),
            mask.length.eq(record.length),
            mask.advance.eq(beat & ce),
            mask.last.eq(sink.last),
        ]
        first = Signal(reset=1)
        self.sync += If(beat & ce, first.eq(sink.last))

        # What of the row's constants each stage needs, beside its beat.
        norm = Signal(name="norm")
        carried = Signal(name="carried")
        self.comb += [norm.eq(record.op != OP["softmax"]), carried.eq(record.op != OP["rmsnorm"])]
        masks = mask.mask & Replicate(~record.zero, lanes) if config.has_norm else mask.mask

        # Product (1, 2, 3), aligned to FB fraction bits (4, 5), reduced by B (6).
        gain = stages.reg(record.gain, "gain")
        amount = stages.delay(record.amount, 2, "amount")
        offset = shift_offset(config)
        norm5 = stages.delay(norm, 5, "norm")
        term5 = stages.delay(record.term, 5, "term") if config.has_norm else None
        mask5 = stages.delay(masks, 5, "mask")
        w = []
        for j in range(lanes):
            element = Signal(ELEMENT_BITS, name=f"element{j}")
            self.comb += element.eq(sink.data[ELEMENT_BITS * j : ELEMENT_BITS * (j + 1)])
            operand = stages.reg(element[:MANTISSA_BITS], f"operand{j}")
            product = stages.reg(operand * gain, f"product{j}", MANTISSA_BITS + c.GAIN_BITS)
            product = stages.reg(product, f"product{j}_out")
            exponent = stages.delay(element[MANTISSA_BITS:], 2, f"exponent{j}")
            amount_j = stages.reg(amount - exponent, f"amount{j}", len(record.amount))
            scaled = Signal(len(product) + offset, name=f"scaled{j}")
            self.comb += scaled.eq(product << offset)
            z = shift_right(stages, scaled, amount_j, bits, f"z{j}")
            if config.has_norm:
                z = Mux(mask5[j], z - Mux(norm5, term5, 0), 0)
            w.append(stages.reg(z, f"w{j}", bits))
        stage = 6

        # Prefix sums over the lanes (two levels a cycle); RMSNorm carries nothing.
        level = 1
        while level < lanes:
            carry = stages.delay(carried, stage, f"carried_l{level}") if config.has_norm else 1
            for last in (level * 2 >= lanes, True):
                sums = [w[j] + Mux(carry, w[(j // level) * level - 1], 0) if j & level else w[j] for j in range(lanes)]
                if last:
                    w = [stages.reg(value, f"p{level}_{j}", bits) for j, value in enumerate(sums)]
                else:
                    w = [Signal(bits, name=f"p{level}_{j}") for j in range(lanes)]
                    self.comb += [signal.eq(value) for signal, value in zip(w, sums, strict=True)]
                level *= 2
                if last:
                    break
            stage += 1

        # C_j from the carried fraction.
        starts = stages.follow(first, stage, "first")
        valid = stages.follow(beat, stage, "valid")
        carry = stages.delay(carried, stage, "carried") if config.has_norm else Constant(1)
        seed = 1 << (fb - 1)
        fraction = Signal(fb, reset=seed)
        base = Signal(fb)
        self.comb += base.eq(Mux(starts | ~carry, seed, fraction))
        running = []
        for j in range(lanes):
            total = Signal(bits, name=f"total{j}")
            self.comb += total.eq(base + w[j])
            running.append(stages.reg(total[fb:], f"c{j}"))
        self.sync += If(ce & valid, fraction.eq(total[:fb]))
        stage += 1

        # Differences; RMSNorm clips instead.
        out_bits = bits - fb
        carry = stages.delay(carry, 1, "carry") if config.has_norm else Constant(1)
        outs = []
        for j in range(lanes):
            difference = Signal((out_bits, True), name=f"difference{j}")
            self.comb += difference.eq(running[j] - (Mux(carry, running[j - 1], 0) if j else 0))
            if "rmsnorm" in config.ops:
                outs.append(stages.reg(Mux(carry, difference, clip_s(difference, c.NORM_BITS)), f"out{j}", out_bits))
            else:
                outs.append(stages.reg(difference, f"out{j}", out_bits))
        stage += 1

        # The cap of formats without a code for T, and the zero point.
        zero_point = Signal(c.CODE_BITS, name="zero_point")
        if config.has_softmax:
            outs, stage = self.add_cap(config, record, norm, first, beat, outs, stage, zero_point)
        self.latency = stage
        valid, last = stages.follow(beat, stage, "out_valid"), stages.follow(sink.last, stage, "out_last")
        starts = stages.follow(first, stage, "out_first")
        self.comb += [
            ce.eq(source.ready | ~valid),
            source.valid.eq(valid),
            source.first.eq(starts),
            source.last.eq(last),
            *[source.data[c.CODE_BITS * j : c.CODE_BITS * (j + 1)].eq(outs[j] + zero_point) for j in range(lanes)],
            *[getattr(source, name).eq(stages.delay(getattr(record, name), stage, name)) for name, _ in params],
        ]
        self.comb += self.constant_row.eq(beat & ce & sink.last & norm & record.zero if config.has_norm else 0)

    def add_cap(self, config, record, norm, first, beat, outs, stage, zero_point):
        """The model's `cap`: T becomes T - 1 and the next element gains 1; rows marked `ends` are spelled out.

        Sets the zero point of the row whose beat leaves the stage; (outs, stage) behind it.
        """
        stages, lanes = self.stages, config.lanes
        out_bits = len(outs[0])
        formats = [FORMATS[name] for name in config.formats]
        any_capped = any(f.capped for f in formats)
        softmax = stages.delay(~norm, stage, "cap_softmax") if config.has_norm else Constant(1)
        format = stages.delay(record.format, stage, "format")
        if any_capped:
            ends = stages.delay(record.ends, stage, "ends")
            starts, valid = stages.follow(first, stage, "cap_first"), stages.follow(beat, stage, "cap_valid")
            full = Signal(lanes, name="full")               # out_j = T
            large = Signal(lanes, name="large")             # out_j >= T / 2
            for j in range(lanes):
                self.comb += If(softmax, Case(format, {
                    f.code: [full[j].eq(outs[j][log2_int(f.total)]),
                             large[j].eq(outs[j][log2_int(f.total) - 1 : log2_int(f.total) + 1] != 0)]
                    for f in formats if f.capped
                } | {"default": []}))
            pending = Signal()                              # the previous beat ended with T
            self.sync += If(stages.ce & valid, pending.eq(full[-1]))
            top = Signal(out_bits, name="below_total")      # T - 1
            self.comb += Case(format, {f.code: top.eq(f.total - 1) for f in formats if f.capped} | {"default": []})
            capped = []
            for j in range(lanes):
                before = full[j - 1] if j else pending & ~starts
                value = Signal(out_bits, name=f"capped{j}")
                one = starts if j == 0 else 0
                self.comb += If(ends, value.eq(Mux(large[j], top, one))).Else(value.eq(outs[j] - full[j] + before))
                capped.append(stages.reg(value, f"out{j}_capped"))
            outs = capped
            softmax = stages.delay(softmax, 1, "softmax_out") if config.has_norm else softmax
            format = stages.delay(format, 1, "format_out")
            stage += 1
        self.comb += If(softmax, Case(format, {f.code: zero_point.eq(f.zero_point) for f in formats}))
        return outs, stage
