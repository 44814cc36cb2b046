# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Between the passes: what the normalizer multiplies a row by, one division (and one square root) a row."""

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.divider import ChunkedMultiplier, Divider, LeadingShift, SquareRoot
from litenorm.accel.formats import FORMATS
from litenorm.accel.model import last_peak_limit
from litenorm.accel.rows import OP, affine_params, only, row_params
from litenorm.accel.statistics import statistics_layout

STEPS = 2               # quotient and root bits a cycle
QUOTIENT_BITS = 20      # GAIN_BITS and the power of two that R saturates from, a multiple of STEPS


def shift_offset(config):
    """The normalizer shifts by `amount` = k - FB + shift_offset >= 0 to the right: LayerNorm's k is at least 1."""
    return config.fraction_bits - 1 if config.has_norm else 0


def constants_layout(config):
    """A row's constants as the normalizer takes them.

    op, format, length  as in rows.row_params
    gain    R of softmax, A of the norms
    amount  k - FB + shift_offset(config)
    term    B, modulo 2^accumulator_bits (norms)
    zero    every output is 0 (a norm's row without variance)
    ends    softmax, capped formats: the row is 1 at its first element, T - 1 at its last valid one, 0 elsewhere;
            else 0
    """
    layout = only(row_params(config), "op", "format", "length")
    layout += [("gain", c.GAIN_BITS), ("amount", 6)]
    if config.has_norm:
        layout += [("term", config.accumulator_bits), ("zero", 1)]
    if config.has_softmax:
        layout += [("ends", 1)]
    if config.has_affine:
        layout += affine_params()
    return layout


class RowConstants(LiteXModule):
    """The model's `reciprocal` (softmax) and `inverse_sigma`, `mean`, `mean_term` (norms), one row at a time.

    record  statistics_layout, taken when the row is done
    sums    S of softmax rows
    source  constants_layout, in the order of `record`

    Latency: `latency[op]` cycles from the first one with record.valid (softmax: and sums.valid) to source.valid, the
    same for every row; for s16 inputs and max_length 1024 softmax 15, LayerNorm 48, RMSNorm 39. No result depends on
    it.
    """

    def __init__(self, config):
        self.record = record = stream.Endpoint(statistics_layout(config))
        self.sums = sums = stream.Endpoint([("total", config.exp_sum_bits)])
        self.source = source = stream.Endpoint(constants_layout(config))

        # # #

        self.fsm = fsm = FSM(reset_state="IDLE")
        self.divider = divider = Divider(max(config.exp_sum_bits, c.ROOT_BITS), QUOTIENT_BITS, STEPS)
        gain = Signal(c.GAIN_BITS)
        self.comb += [
            # R may be 2^18 exactly; it saturates.
            gain.eq(Mux(divider.quotient[c.GAIN_BITS :] != 0, 2**c.GAIN_BITS - 1, divider.quotient[: c.GAIN_BITS])),
            *[getattr(source, name).eq(getattr(record, name)) for name, _ in constants_layout(config)
              if name in dict(row_params(config))],
            source.gain.eq(gain),
        ]
        self.latency = {}
        start = {}
        if config.has_softmax:
            start["softmax"] = self.add_softmax(config, fsm, divider, record, sums, source)
        if config.has_norm:
            start["norm"] = self.add_norm(config, fsm, divider, gain, record, source)
        is_softmax = record.op == OP["softmax"]
        if len(start) == 2:
            fsm.act("IDLE", If(is_softmax, *start["softmax"]).Else(*start["norm"]))
        else:
            fsm.act("IDLE", *next(iter(start.values())))
        fsm.act("OUTPUT",
            source.valid.eq(1),
            If(source.ready,
                record.ready.eq(1),
                sums.ready.eq(is_softmax),
                NextState("IDLE"),
            ),
        )

    def add_softmax(self, config, fsm, divider, record, sums, source):
        """R = round(T * 2^k / S), k = bitlen(S) + 1. S is brought to the top first, so that T * 2^k is a constant."""
        width = config.exp_sum_bits
        self.sum_shift = shift = LeadingShift(width, 1, most=width - 1 - c.EXP_BITS)
        total = Signal(c.CODE_BITS + 1)         # T
        dividend = Signal(width + 1 + len(total))
        limit = Signal(width)
        capped = Signal()
        formats = [FORMATS[name] for name in config.formats]
        self.comb += [
            Case(record.format, {
                f.code: [total.eq(f.total), capped.eq(f.capped), limit.eq(last_peak_limit(f) if f.capped else 0)]
                for f in formats
            }),
            dividend.eq(Cat(shift.shifted[1:], C(0, 2), total)),    # T * 2^(width + 1) + S / 2
            shift.value.eq(sums.total),
            # A norm's row may carry any format, and has no sum: what the queue shows then is not its own.
            source.ends.eq((record.op == OP["softmax"]) & capped & record.peak_last & (sums.total <= limit)),
        ]
        fsm.act("SUM_SHIFT", If(shift.done,
            divider.divisor.eq(shift.shifted),
            divider.high.eq(dividend[QUOTIENT_BITS:]),
            divider.low.eq(dividend[:QUOTIENT_BITS]),
            divider.start.eq(1),
            # bitlen(S) = width - count
            NextValue(source.amount, width + 1 - config.fraction_bits + shift_offset(config) - shift.count),
            # The row before may have been a norm's without variance.
            *([NextValue(source.zero, 0)] if config.has_norm else []),
            NextState("SUM_DIVIDE"),
        ))
        fsm.act("SUM_DIVIDE", If(divider.done, NextState("OUTPUT")))
        self.latency["softmax"] = shift.latency + divider.latency + 1
        return [If(record.valid & sums.valid, shift.start.eq(1), NextState("SUM_SHIFT"))]

    def add_norm(self, config, fsm, divider, gain, record, source):
        """A = round(n * 2^24 / floor(sqrt(V))) and B = round(A * mean), V = N * sum(x^2) - (sum x)^2 + eps."""
        length_bits = c.NORM_LENGTH_BITS
        v_bits = config.variance_bits + config.variance_bits % 2
        mean_bits = 16 + c.MEAN_FRACTION_BITS
        magnitude_bits = config.sum_bits
        self.multiplier = multiplier = ChunkedMultiplier(
            max(mean_bits, config.square_sum_bits, magnitude_bits), max(magnitude_bits, c.GAIN_BITS)
        )
        self.variance_shift = shift = LeadingShift(v_bits, 2, most=(v_bits - 1) // 2)
        self.length_shift = length_shift = LeadingShift(length_bits, 1, most=length_bits - 1)
        self.root = root = SquareRoot(c.ROOT_BITS, STEPS)
        self.mean = mean = Divider(length_bits, mean_bits, STEPS)
        layernorm = Signal()
        sum_x = Signal((config.sum_bits, True))
        magnitude = Signal(magnitude_bits)
        square = Signal(2 * magnitude_bits)
        v0 = Signal(v_bits)
        v = Signal(v_bits)
        offset_sum = Signal(length_bits + 16)       # sum(x + 2^15)
        mean_x = Signal(mean_bits)
        self.comb += [
            layernorm.eq(record.op == OP["layernorm"]),
            sum_x.eq(record.sum_x),
            magnitude.eq(Mux(sum_x < 0, -sum_x, sum_x)),
            v0.eq(multiplier.product - Mux(layernorm, square, 0)),
            offset_sum.eq(sum_x + Cat(C(0, 15), record.length)),
            mean.divisor.eq(record.length),
            mean.high.eq(offset_sum[16:]),
            mean.low.eq(Cat(C(0, c.MEAN_FRACTION_BITS), offset_sum[:16])),
            mean_x.eq(Mux(layernorm, mean.quotient, c.X_OFFSET << c.MEAN_FRACTION_BITS)),
            length_shift.value.eq(record.length),
            shift.value.eq(v),
            root.value.eq(shift.shifted[v_bits - 2 * c.ROOT_BITS :]),
        ]

        multiply_n = [
            multiplier.a.eq(record.sum_xx),
            multiplier.b.eq(record.length),
            multiplier.start.eq(1),
            NextState("VARIANCE"),
        ]
        fsm.act("SQUARE", If(multiplier.done,
            NextValue(square, multiplier.product),
            *multiply_n,
        ))
        fsm.act("VARIANCE", If(multiplier.done,
            NextValue(v, v0 + record.eps),
            NextValue(source.zero, v0 == 0),
            NextState("SHIFT"),
        ))
        fsm.act("SHIFT", shift.start.eq(1), NextState("ROOT"))
        fsm.act("ROOT", If(shift.done, root.start.eq(1), NextState("GAIN")))
        fsm.act("GAIN", If(root.done,
            # n * 2^24 + D / 2: D / 2 is below the quotient's low bits, n above them.
            divider.divisor.eq(root.root),
            divider.high.eq(length_shift.shifted << (c.GAIN_SHIFT - QUOTIENT_BITS)),
            divider.low.eq(root.root[1:]),
            divider.start.eq(1),
            # k = GAIN_SHIFT + NORM_LENGTH_BITS - NORM_FRACTION_BITS - bitlen(N) - h, bitlen(N) = length_bits - count,
            # h = count of V's shift - (v_bits - 36) / 2
            NextValue(source.amount,
                c.GAIN_SHIFT - c.NORM_FRACTION_BITS + (v_bits // 2 - c.ROOT_BITS)
                - config.fraction_bits + shift_offset(config) + length_shift.count - shift.count),
            NextState("MEAN"),
        ))
        fsm.act("MEAN", If(divider.done & (mean.done | ~layernorm),
            multiplier.a.eq(mean_x),
            multiplier.b.eq(gain),
            multiplier.start.eq(1),
            NextState("TERM"),
        ))

        # B = (A * mean + half) >> right, right = amount + MEAN_FRACTION_BITS - shift_offset, in two cycles.
        fixed = c.MEAN_FRACTION_BITS - shift_offset(config) - 1
        kept = Signal(config.accumulator_bits + 1)
        reduced = Signal(len(multiplier.product) - fixed)
        doubled = Signal(config.accumulator_bits + 1)
        rounded = Signal(config.accumulator_bits + 1)
        self.comb += [
            reduced.eq(multiplier.product[fixed:]),
            doubled.eq(reduced >> source.amount),
            rounded.eq(kept + 1),
            source.term.eq(rounded[1:]),
        ]
        fsm.act("TERM", If(multiplier.done, NextValue(kept, doubled), NextState("OUTPUT")))

        # Variance, shift, root, gain, term; the mean is divided meanwhile. LayerNorm squares the sum first.
        wide = magnitude_bits > ChunkedMultiplier.CHUNK
        rmsnorm = 2 * multiplier.narrow_latency + 1 + shift.latency + root.latency + divider.latency + 1
        if "rmsnorm" in config.ops:
            self.latency["rmsnorm"] = rmsnorm
        if "layernorm" in config.ops:
            self.latency["layernorm"] = rmsnorm + (multiplier.latency if wide else multiplier.narrow_latency)

        return [If(record.valid,
            length_shift.start.eq(1),
            mean.start.eq(1),
            If(layernorm,
                multiplier.a.eq(magnitude),
                multiplier.b.eq(magnitude),
                multiplier.wide.eq(wide),
                multiplier.start.eq(1),
                NextState("SQUARE"),
            ).Else(
                *multiply_n,
            ),
        )]
