# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Between the passes: what the normalizer multiplies a row by, one division (and one square root) a row."""

from functools import reduce
from operator import and_, or_

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.buffers import Queue
from litenorm.accel.divider import DigitProduct, Divider, LeadingShift, SquareRoot
from litenorm.accel.formats import FORMATS
from litenorm.accel.model import last_peak_limit
from litenorm.accel.rows import OP, affine_params, only, row_params
from litenorm.accel.statistics import statistics_layout
from litenorm.accel.variance import Variance

ROOT_STEPS = 2          # root bits a cycle
QUOTIENT_BITS = -(-c.GAIN_BITS // 6) * 6    # GAIN_BITS or a few more: a multiple of 2 and of 3, the division's steps
ROWS = 8                # rows whose params wait here while their constants are computed


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
    """The model's `reciprocal` (softmax) and `inverse_sigma`, `mean`, `mean_term` (norms), a row every few cycles.

        softmax   S -> shift -----------------------------------+
                                                                +-> division -> source
        norms     sums -> V -> shift -> square root ------------+       |
                  sum, N -> mean, high half -> low half --------+-> B, digit by digit

    Each unit takes the next row when it has handed on its result. The quotient's digits are multiplied
    by the mean as they come, so B is there a cycle behind the quotient.

    record  statistics_layout, taken on the way
    sums    S of softmax rows
    source  constants_layout, in the order of `record`

    Latency: `latency[op]` cycles from the first one with record.valid (softmax: and sums.valid) to source.valid in an
    idle unit, the same for every row; for s16 inputs and max_length 1024 softmax 12, norms 29. Throughput: a row every
    `interval[op]` cycles, softmax 10, norms 11. With config.short_rows the latency is 9 and 27, the interval
    7 and 8: a division finds more bits a cycle, the root has two units. A norm's row enters at once behind a
    softmax row, a softmax row when the norms' units are idle. No result depends on it.
    """

    def __init__(self, config):
        self.record = record = stream.Endpoint(statistics_layout(config))
        self.sums = sums = stream.Endpoint([("total", config.exp_sum_bits)])
        self.source = source = stream.Endpoint(constants_layout(config))

        # # #

        # What only passes by waits here.
        passing = [field for field in constants_layout(config) if field[0] in dict(row_params(config))]
        self.params = params = Queue(passing, ROWS)
        self.comb += [
            params.sink.valid.eq(record.valid & record.ready),
            *[getattr(params.sink, name).eq(getattr(record, name)) for name, _ in passing],
            *[getattr(source, name).eq(getattr(params.source, name)) for name, _ in passing],
            params.source.ready.eq(source.valid & source.ready),
        ]

        # The division, for all operations.
        steps = config.row_steps
        self.divider = divider = Divider(max(config.exp_sum_bits, c.ROOT_BITS), QUOTIENT_BITS, steps, together=steps)
        self.dividing = dividing = Signal()     # the divider has a row's quotient, or forms it
        self.free = free = Signal()             # it may start the next row
        self.whole = whole = Signal(reset=1)    # all that belongs to the quotient is there
        quotient = divider.quotient
        if QUOTIENT_BITS > c.GAIN_BITS:     # then the divider saturates too high
            quotient = Mux(quotient[c.GAIN_BITS:] != 0, 2**c.GAIN_BITS - 1, quotient)
        self.comb += [
            source.gain.eq(quotient),
            source.valid.eq(dividing & divider.done & whole),
            free.eq(~dividing | (source.valid & source.ready)),
        ]
        self.sync += [
            If(source.valid & source.ready, dividing.eq(0)),
            If(divider.start, dividing.eq(1)),
        ]
        self.latency, self.interval = {}, {}
        self.norms_idle = norms_idle = Signal() # no row is in the norms' units before the division
        if config.has_norm:
            self.add_norm(config, divider, record, source)
        else:
            self.comb += norms_idle.eq(1)
        if config.has_softmax:
            self.add_softmax(config, divider, record, sums, source)

    def add_softmax(self, config, divider, record, sums, source):
        """R = round(T * 2^k / S), k = bitlen(S) + 1. S is brought to the top first, so that T * 2^k is a constant.

        R = 2^18, which T = 2^16 has with an S at or just above a power of two, saturates in the divider: with w the
        width of S, high <= 2^(w - 1) + 2^(w - 20) and divisor >= 2^(w - 1), so no remainder reaches 2^w.
        """
        width = config.exp_sum_bits
        self.sum_shift = shift = LeadingShift(width, 1, most=width - 1 - c.EXP_BITS)
        total = Signal(c.CODE_BITS + 1)         # T, registered while the row is in the shift
        next_total = Signal(len(total))
        ends = Signal()                         # source.ends of that row
        dividend = Signal(width + 1 + len(total))
        small = Signal()                        # capped, and S is small enough for `ends`
        shifting = Signal()                     # the row at `record` is in the shift
        leave = Signal()
        formats = [FORMATS[name] for name in config.formats]
        softmax = record.op == OP["softmax"]
        self.comb += [
            Case(record.format, {
                f.code: [next_total.eq(f.total), small.eq(sums.total <= last_peak_limit(f) if f.capped else 0)]
                for f in formats
            }),
            dividend.eq(Cat(shift.shifted[1:], C(0, 2), total)),    # T * 2^(width + 1) + S / 2
            shift.value.eq(sums.total),
            shift.start.eq(record.valid & softmax & sums.valid & self.norms_idle & ~shifting),
            leave.eq(shifting & shift.done & self.free & self.params.sink.ready),
            sums.ready.eq(leave),
            If(leave, record.ready.eq(1), divider.start.eq(1)),
            # A row in the shift is the next one to divide: no need to wait for `leave`, late in its cycle.
            If(shifting,
                divider.divisor.eq(shift.shifted),
                divider.high.eq(dividend[QUOTIENT_BITS:]),
                divider.low.eq(dividend[:QUOTIENT_BITS]),
            ),
        ]
        self.sync += [
            total.eq(next_total),
            ends.eq(small & record.peak_last),
            If(leave, shifting.eq(0)),
            If(shift.start, shifting.eq(1)),
            If(divider.start, source.ends.eq(0)),
            If(leave,
                # bitlen(S) = width - count
                source.amount.eq(width + 1 - config.fraction_bits + shift_offset(config) - shift.count),
                source.ends.eq(ends),
                *([source.zero.eq(0), self.whole.eq(1)] if config.has_norm else []),
            ),
        ]
        self.latency["softmax"] = shift.latency + divider.latency
        self.interval["softmax"] = divider.latency

    def add_norm(self, config, divider, record, source):
        """A = round(n * 2^24 / floor(sqrt(V))) and B = round(A * mean), V = N * sum(x^2) - (sum x)^2 + eps."""
        length_bits = c.NORM_LENGTH_BITS
        v_bits = config.variance_bits + config.variance_bits % 2
        layernorm = Signal()
        self.comb += layernorm.eq(record.op == OP["layernorm"])

        # A unit's row: it enters, and leaves to the unit behind it when that is empty. The cycle that this costs is not
        # missed, for the division and the last digit of B take as long as any of them.
        in_variance, in_shift, in_root, in_high, in_low = (
            Signal(name=f"in_{name}") for name in ("variance", "shift", "root", "high", "low"))
        enter, leave_variance, leave_shift, leave_root, leave_high = (
            Signal(name=name) for name in ("enter", "leave_variance", "leave_shift", "leave_root", "leave_high"))
        enter_root = leave_shift if not config.short_rows else Signal(name="enter_root")
        leave_low = leave_root if not config.short_rows else Signal(name="leave_low")

        def add_stage(inside, entry, leave):
            self.sync += [If(leave, inside.eq(0)), If(entry, inside.eq(1))]

        add_stage(in_variance, enter, leave_variance)
        add_stage(in_shift, leave_variance, leave_shift)
        add_stage(in_root, enter_root, leave_root)
        add_stage(in_high, enter, leave_high)
        add_stage(in_low, leave_high, leave_low)

        # V, its shift and that of N, its root.
        self.variance = variance = Variance(
            config.length_bits, config.sum_bits, config.square_sum_bits, c.EPS_BITS, v_bits)
        self.variance_shift = shift = LeadingShift(v_bits, 2, most=(v_bits - 1) // 2)
        self.length_shift = length_shift = LeadingShift(length_bits, 1, most=length_bits - 1)
        upper_bits = -(-c.ROOT_BITS // (2 * ROOT_STEPS)) * ROOT_STEPS if config.short_rows else 0
        self.root = root = SquareRoot(c.ROOT_BITS - upper_bits, ROOT_STEPS, upper_bits)
        shift_zero = Signal()
        shift_centered = Signal()
        root_zero = Signal()
        root_centered = Signal()
        root_amount = Signal(len(source.amount))
        root_length = Signal(length_bits)
        root_row = {"zero": root_zero, "centered": root_centered, "length": root_length, "amount": root_amount}
        held_length = Signal(length_bits)       # record.length while it is held
        self.comb += [
            # The record is held until V is there.
            enter.eq(record.valid & (record.op != OP["softmax"]) & ~in_variance & ~in_high),
            variance.start.eq(enter),
            variance.centered.eq(layernorm),
            *[getattr(variance, name).eq(getattr(record, name)) for name in ("length", "sum_x", "sum_xx", "eps")],
            leave_variance.eq(in_variance & variance.done & ~in_shift & self.params.sink.ready),
            If(leave_variance, record.ready.eq(1)),
            shift.start.eq(leave_variance),
            shift.value.eq(variance.v),
            length_shift.start.eq(leave_variance),
            length_shift.value.eq(held_length),
        ]
        self.sync += [
            held_length.eq(record.length),
            If(leave_variance, shift_zero.eq(variance.zero), shift_centered.eq(layernorm)),
        ]
        # What goes to the root, and beside it.
        row = {
            "zero": shift_zero,
            "centered": shift_centered,
            "length": length_shift.shifted,
            # k = GAIN_SHIFT + NORM_LENGTH_BITS - NORM_FRACTION_BITS - bitlen(N) - h, bitlen(N) = length_bits - count,
            # h = count of V's shift - (v_bits - 36) / 2
            "amount": c.GAIN_SHIFT - c.NORM_FRACTION_BITS + (v_bits // 2 - c.ROOT_BITS)
                      - config.fraction_bits + shift_offset(config) + length_shift.count - shift.count,
        }
        shifted_out = in_shift & shift.done & length_shift.done
        if config.short_rows:
            # The upper half of the root has a unit of its own.
            in_upper = Signal(name="in_upper")
            self.root_upper = root_upper = SquareRoot(upper_bits, ROOT_STEPS)
            add_stage(in_upper, leave_shift, enter_root)
            lower_value = Signal(len(root.value))
            upper_row = {name: Signal.like(register, name=f"upper_{name}") for name, register in root_row.items()}
            self.comb += [
                leave_shift.eq(shifted_out & ~in_upper),
                root_upper.start.eq(leave_shift),
                root_upper.value.eq(shift.shifted[v_bits - 2 * upper_bits :]),
                enter_root.eq(in_upper & root_upper.done & ~in_root),
                root.start.eq(enter_root),
                root.upper.eq(root_upper.root),
                root.upper_remainder.eq(root_upper.remainder),
                root.value.eq(lower_value),
            ]
            self.sync += If(leave_shift,
                            lower_value.eq(shift.shifted[v_bits - 2 * c.ROOT_BITS : v_bits - 2 * upper_bits]),
                            *[register.eq(row[name]) for name, register in upper_row.items()])
            row = upper_row
        else:
            self.comb += [
                leave_shift.eq(shifted_out & ~in_root),
                root.start.eq(enter_root),
                root.value.eq(shift.shifted[v_bits - 2 * c.ROOT_BITS :]),
            ]
        self.sync += If(enter_root, *[register.eq(row[name]) for name, register in root_row.items()])

        # The mean of x + 2^15, in two halves: a row's low half is formed beside the next row's high half.
        mean_bits = 16 + c.MEAN_FRACTION_BITS
        mean_steps = config.row_steps + 1
        half_bits = -(-mean_bits // (2 * mean_steps)) * mean_steps
        self.mean_high = mean_high = Divider(config.length_bits, half_bits, mean_steps, together=mean_steps)
        self.mean_low = mean_low = Divider(config.length_bits, half_bits, mean_steps, together=mean_steps)
        offset_sum = Signal(config.length_bits + 16)    # sum(x + 2^15)
        mean_dividend = Signal(config.length_bits + 2 * half_bits)
        low_divisor = Signal(config.length_bits)
        upper = Signal(half_bits)
        mean = Signal(mean_bits)
        self.comb += [
            offset_sum.eq(variance.sum_x + Cat(C(0, 15), record.length)),
            mean_dividend.eq(offset_sum << c.MEAN_FRACTION_BITS),
            mean_high.start.eq(enter),
            mean_high.divisor.eq(record.length),
            mean_high.high.eq(mean_dividend[2 * half_bits :]),
            mean_high.low.eq(mean_dividend[half_bits : 2 * half_bits]),
            # The dividend's lower half is 0: sum(x + 2^15) ends above the mean's fraction's upper bits.
            mean_low.start.eq(leave_high),
            mean_low.divisor.eq(low_divisor),
            mean_low.high.eq(mean_high.remainder),
            mean_low.low.eq(0),
            leave_high.eq(in_high & mean_high.done & ~in_low),
        ]
        self.sync += [
            If(enter, low_divisor.eq(record.length)),
            If(leave_high, upper.eq(mean_high.quotient)),
        ]
        row_mean = Cat(mean_low.quotient, upper)
        mean_there = [in_low, mean_low.done]
        norms = [in_variance, in_shift, in_root, in_high, in_low]
        beside = mean_high.latency + mean_low.latency
        if config.short_rows:
            # The mean waits for the root, which takes longer, and the next one is divided meanwhile.
            in_mean = Signal(name="in_mean")
            waiting_mean = Signal(len(row_mean))
            add_stage(in_mean, leave_low, leave_root)
            self.comb += leave_low.eq(reduce(and_, mean_there) & ~in_mean)
            self.sync += If(leave_low, waiting_mean.eq(row_mean))
            row_mean, mean_there = waiting_mean, [in_mean]
            norms += [in_upper, in_mean]
            beside += 1

        # A, and B = (A * mean + half) >> right, right = amount + MEAN_FRACTION_BITS - shift_offset.
        fixed = c.MEAN_FRACTION_BITS - shift_offset(config)
        self.product = product = DigitProduct(mean_bits, config.row_steps, QUOTIENT_BITS + mean_bits + 1)
        load = Signal()
        strobe = Signal()
        norm = Signal()
        self.comb += [
            leave_root.eq(reduce(and_, [in_root, root.done, *mean_there, self.free])),
            If(leave_root, divider.start.eq(1)),
            # n * 2^24 + D / 2: D / 2 is below the quotient's low bits, n above them.
            divider.divisor.eq(root.root),
            divider.high.eq(root_length << (c.GAIN_SHIFT - QUOTIENT_BITS)),
            divider.low.eq(root.root[1:]),
            product.load.eq(load),
            # `half` once all digits are in.
            product.seed.eq(1 << (source.amount + (fixed - 1 - QUOTIENT_BITS))),
            product.factor.eq(mean),
            product.strobe.eq(strobe),
            product.digit.eq(divider.quotient[: config.row_steps]),
            source.term.eq(product.product[fixed:] >> source.amount),
            self.norms_idle.eq(~reduce(or_, norms)),
        ]
        self.sync += [
            load.eq(leave_root),
            strobe.eq(divider.running & norm),
            If(divider.start, norm.eq(leave_root)),
            If(divider.done, self.whole.eq(1)),
            If(leave_root,
                self.whole.eq(0),
                source.amount.eq(root_amount),
                source.zero.eq(root_zero),
                mean.eq(Mux(root_centered, row_mean, c.X_OFFSET << c.MEAN_FRACTION_BITS)),
            ),
        ]

        # V, shift, root, division, and a cycle for the last digit of B; the mean is divided meanwhile.
        rooting = root.latency + (root_upper.latency if config.short_rows else 0)
        latency = max(variance.latency + max(shift.latency, length_shift.latency) + rooting, beside)
        for op in ("layernorm", "rmsnorm"):
            if op in config.ops:
                self.latency[op] = latency + divider.latency + 1
                self.interval[op] = divider.latency + 1
