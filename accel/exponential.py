# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Pass 1: logits become exponentials and their sum."""

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.buffers import BeatBuffer, Queue, buffer_depth
from litenorm.accel.fixed import Stages, add, shift_right
from litenorm.accel.rows import OP, LaneMask, only, row_params

# e = mantissa << exponent, exactly: at most 18 significant bits, one operand of an 18 x 18 multiplier.
MANTISSA_BITS = c.GRID_BITS + 1
EXPONENT_MAX = c.EXP_BITS - c.GRID_BITS
EXPONENT_BITS = EXPONENT_MAX.bit_length()
ELEMENT_BITS = MANTISSA_BITS + EXPONENT_BITS
SUMS_WAITING = 16       # sums in front of RowConstants: more than rows of one beat on their way through the pass
NO_SCALE = (1, c.SCALE_HEADROOM)    # multiplier and shift for which ((t * K) << 6) >> s is t


class Exp2Lane(LiteXModule):
    """mantissa << exponent = (g << 5) >> I, the model's `exp2` for one element; 0 when masked.

        d = min(((top - x) * multiplier << 6) >> shift, 2^20 - 1),   I = d >> 15
        g = G[segment] - ((DROP[segment] * low) >> 10)               one chord of 2^-f

    With `plain` set, multiplier 1 and shift 6 the lane is a wire of the same latency: mantissa = x + 2^15.
    x, top, valid and the multiplier's stage, `shift`'s and `plain`'s are `ce`-delayed by the caller: see ExpPass.
    Latency: 9 cycles. Exact for every input.
    """

    latency = 9

    def __init__(self, config, ce):
        x_bits = config.input_bits
        t_bits = 16 if config.has_norm else x_bits
        d_bits = c.OCTAVE_BITS + c.OCTAVE_FRACTION_BITS
        low_bits = c.OCTAVE_FRACTION_BITS - c.SEGMENT_BITS
        self.x = Signal((x_bits, True))                         # i: s8 or s16, cycle 0
        self.top = Signal((x_bits, True))                       # i: the row's maximum, cycle 0
        self.valid = Signal()                                   # i: 0 masks the element, cycle 0
        self.plain = Signal()                                   # i: pass x through, cycle 0
        self.multiplier = Signal(c.SCALE_MULTIPLIER_BITS)       # i: cycle 1
        self.shift = Signal(c.SCALE_SHIFT_BITS)                 # i: cycle 3
        self.plain_late = Signal()                              # i: `plain`, cycle 6
        self.mantissa = Signal(MANTISSA_BITS, reset_less=True)  # o
        self.exponent = Signal(EXPONENT_BITS, reset_less=True)  # o: 0 to 5

        # # #

        stages = Stages(self, ce)

        # Distance from the maximum (1), product with the scale (2, 3).
        distance = Signal((max(t_bits, x_bits) + 2, True))
        self.comb += distance.eq(Mux(self.plain, self.x + (1 << 15), self.top - self.x) if config.has_norm
                                 else self.top - self.x)
        t = stages.reg(distance[:t_bits], "t")
        product = stages.reg(t * self.multiplier, "product", t_bits + c.SCALE_MULTIPLIER_BITS)
        product = stages.reg(product, "product_out")

        # Octaves, UQ5.15, saturated (4, 5, 6). A masked element is infinitely far away.
        scaled = Signal(len(product) + c.SCALE_HEADROOM)
        self.comb += scaled.eq(product << c.SCALE_HEADROOM)
        shifted = shift_right(stages, scaled, self.shift, len(scaled), "shifted")
        masked = stages.delay(~self.valid, 5, "masked")
        d = stages.reg(Mux((shifted[d_bits:] != 0) | masked, 2**d_bits - 1, shifted[:d_bits]), "d", d_bits)

        # A chord of the table (7), its slope's product (8), the mantissa (9).
        segment = d[low_bits : c.OCTAVE_FRACTION_BITS]
        grid = Signal(MANTISSA_BITS, name="grid")
        drop = Signal(max(c.exp2_drops()).bit_length(), name="drop")
        self.comb += [
            Case(segment, {i: grid.eq(g) for i, g in enumerate(c.exp2_grid()[:-1])}),
            Case(segment, {i: drop.eq(g) for i, g in enumerate(c.exp2_drops())}),
        ]
        plain = self.plain_late if config.has_norm else 0
        base = stages.reg(Mux(plain, d[:16], grid), "base", MANTISSA_BITS)
        slope = stages.reg(Mux(plain, 0, drop), "slope", len(drop))
        octave = stages.reg(Mux(plain, EXPONENT_MAX, d[c.OCTAVE_FRACTION_BITS :]), "octave", c.OCTAVE_BITS)
        low = stages.reg(d[:low_bits], "low")
        fall = stages.reg(slope * low, "fall", len(slope) + low_bits)
        base = stages.reg(base, "base_out")
        small = Signal()        # e < 2^17: bits of g fall off instead of an exponent
        self.comb += small.eq(octave > EXPONENT_MAX)
        away = stages.reg(Mux(small, octave - EXPONENT_MAX, 0), "away", c.OCTAVE_BITS)
        exponent = stages.reg(Mux(small, 0, EXPONENT_MAX - octave), "octave_left", EXPONENT_BITS)
        g = Signal(MANTISSA_BITS)
        moved = Signal(MANTISSA_BITS)
        self.comb += [g.eq(base - fall[low_bits:]), moved.eq(g >> away)]
        self.sync += If(ce, self.mantissa.eq(moved), self.exponent.eq(exponent))


class ExpPass(LiteXModule):
    """Beats of logits in, beats of exponentials out, and S = sum e_i once a row.

    sink    beats of elements from the row's buffer
    record  the row's scale, maximum, length and op: taken with the row's last beat
    source  beats of ELEMENT_BITS a lane, mantissa below exponent; rows of other ops pass as x + 2^15
    sums    total = S, one a softmax row
    error   o: a beat at `source` has lost its parity (config.parity)

    Latency: `latency` cycles from `sink` to `source`, `sum_latency` from a row's last beat at `sink` to `sums`.

    Stall: what has entered runs through to the queues in front of `source` and `sums`, so that the pipeline needs no
    clock enable. A beat enters only if they have room for it and for all that is on its way: 11 beats less than
    `depth`, by default one row and what a row waits for its constants.
    """

    def __init__(self, config, depth=None):
        lanes, bits = config.lanes, config.input_bits
        self.sink = sink = stream.Endpoint([("data", lanes * bits)])
        self.record = record = stream.Endpoint(exp_record_layout(config))
        self.source = source = stream.Endpoint([("data", lanes * ELEMENT_BITS)])
        self.sums = sums = stream.Endpoint([("total", config.exp_sum_bits)])

        # # #

        room = Signal(name="room", reset=1)
        beat = Signal(name="beat")
        stages = Stages(self, 1)
        self.mask = mask = LaneMask(config)
        plain = Signal()
        self.comb += [
            beat.eq(sink.valid & sink.ready),
            sink.ready.eq(room & record.valid),
            record.ready.eq(beat & sink.last),
            plain.eq(record.op != OP["softmax"]),
            mask.length.eq(record.length),
            mask.advance.eq(beat),
            mask.last.eq(sink.last),
        ]

        depth = buffer_depth(config) if depth is None else depth
        if depth < config.max_beats + Exp2Lane.latency + 1:
            raise ValueError(f"depth is {depth}; good: at least {config.max_beats + Exp2Lane.latency + 1}")
        self.buffer = buffer = BeatBuffer(lanes * ELEMENT_BITS, depth, config.parity, counted=True)
        self.error = buffer.error
        self.sum_queue = sum_queue = Queue([("total", config.exp_sum_bits)], SUMS_WAITING, registers=1, counted=True)
        self.comb += [buffer.source.connect(source), sum_queue.source.connect(sums)]

        # The row's constants reach each stage together with the beat they belong to.
        multiplier = stages.reg(Mux(plain, NO_SCALE[0], record.scale_multiplier), "multiplier", c.SCALE_MULTIPLIER_BITS)
        shift = stages.delay(Mux(plain, NO_SCALE[1], record.scale_shift), 3, "shift")
        plain_late = stages.delay(plain, 6, "plain")
        self.lanes = []
        for j in range(lanes):
            lane = Exp2Lane(config, 1)
            setattr(self, f"lane{j}", lane)
            self.lanes.append(lane)
            self.comb += [
                lane.x.eq(sink.data[bits * j : bits * (j + 1)]),
                lane.top.eq(record.top),
                lane.valid.eq(mask.mask[j]),
                lane.plain.eq(plain),
                lane.multiplier.eq(multiplier),
                lane.shift.eq(shift),
                lane.plain_late.eq(plain_late),
                buffer.sink.data[ELEMENT_BITS * j : ELEMENT_BITS * (j + 1)].eq(Cat(lane.mantissa, lane.exponent)),
            ]

        # Valid, first, last beside the data.
        n = Exp2Lane.latency
        first = Signal(reset=1)
        self.sync += If(beat, first.eq(sink.last))
        valid, last = stages.follow(beat, n, "valid"), stages.follow(sink.last, n, "last")
        starts = stages.follow(first, n, "starts")
        self.comb += [
            buffer.sink.valid.eq(valid),
            buffer.sink.first.eq(starts),
            buffer.sink.last.eq(last),
        ]

        # S: a tree over the lanes, then over the beats.
        values = []
        for j, lane in enumerate(self.lanes):
            e = Signal(c.EXP_BITS + 1, name=f"e{j}")
            self.comb += e.eq(lane.mantissa << lane.exponent)
            values.append(stages.reg(e, f"e{j}_out"))
        beat_sum, cycles = stages.tree(values, add, "exp_sum")
        cycles += 1
        softmax = stages.delay(~plain_late, n - 6 + cycles, "softmax")
        valid, last, starts = (stages.follow(v, cycles, f"{name}_sum") for v, name in
                               ((valid, "valid"), (last, "last"), (starts, "starts")))
        total = Signal(config.exp_sum_bits, reset_less=True)
        complete = Signal()
        self.sync += [
            complete.eq(valid & last & softmax),
            If(valid, If(starts, total.eq(beat_sum)).Else(total.eq(total + beat_sum))),
        ]
        self.comb += [sum_queue.sink.valid.eq(complete), sum_queue.sink.total.eq(total)]

        # On their way while `room` is set: a beat in each stage, one that is entering, and one before the flag falls.
        in_flight, sums_in_flight = n + 2, n + cycles + 3
        self.sync += room.eq((buffer.level <= buffer.depth - in_flight)
                             & (sum_queue.level <= SUMS_WAITING - sums_in_flight))
        self.latency = n + buffer.latency
        self.sum_latency = n + cycles + 1 + sum_queue.latency


def exp_record_layout(config):
    """What pass 1 needs to know of a row."""
    return only(row_params(config), "op", "length", "scale_multiplier", "scale_shift") + [("top", config.input_bits)]
