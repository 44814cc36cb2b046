# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The arithmetic of LiteNorm a second time, in MyHDL: written from its equations, not from the core or its model.

It is meant to be read next to the equations, and to be compared with the core: ``lockstep`` runs it beside the
core's Verilog. One element a cycle, one row at a time, no pipeline: a pass stores the row and gathers its statistics,
a pass forms the exponentials (softmax), a divider and a square root work bit by bit, and a pass emits the row.

    octaves -> exp2 -> reciprocal (divider) -+
                                             +-> carried_fraction -> cap -> affine
    statistics -> norm_constants ------------+
                  (square_root, divider)

Each block is a MyHDL block on plain Signals and converts to Verilog by itself: ``verilog(block(...), name)``.
Registers and memories are as wide as their bounds; MyHDL raises ValueError when a value breaks a bound, so that a
simulation checks the bounds too. ``>>`` floors everywhere.

Two habits follow from the converter: a sum of more than two terms has terms of one signedness, because only an
operator's own operands are made alike, and an index is compared as ``index + 1 == n``, because a comparison with
``n - 1`` in a chain of ``if`` and ``elif`` became a case of a constant.

Written for rows of up to 1024 elements, where the carried fraction has 12 bits.
"""

import re
import tempfile
from pathlib import Path

from myhdl import Signal, always, always_comb, always_seq, block, concat, enum, instances, intbv

from litenorm.accel import constants as c
from litenorm.accel.config import LiteNormConfig
from litenorm.accel.formats import FORMATS
from litenorm.accel.rows import row_params

FB = c.MIN_FRACTION_BITS  # bits of the carried fraction
E_ONE = 1 << c.EXP_BITS  # e of the row's maximum
LONGEST = c.MAX_LENGTH_LAYERNORM  # elements

X_BITS = c.CODE_BITS
D_BITS = c.OCTAVE_BITS + c.OCTAVE_FRACTION_BITS
S_BITS = (LONGEST * E_ONE).bit_length()
SUM_LIMIT = LONGEST << (X_BITS - 1)  # |sum of x|
SQUARES_LIMIT = LONGEST << (2 * X_BITS - 2)  # sum of x^2
LENGTH_BITS = LONGEST.bit_length()
V_BITS = max((LONGEST * SQUARES_LIMIT).bit_length(), c.EPS_BITS) + 1
VN_BITS = 2 * c.ROOT_BITS  # radicand, normalized
MEAN_BITS = X_BITS + c.MEAN_FRACTION_BITS
DIVIDEND_BITS = LENGTH_BITS + MEAN_BITS
WIDE = 64  # a bound for what is not a register: every sum and difference of an element fits


def bits(width):
    """Return a Signal of an unsigned number of ``width`` bits."""
    return Signal(intbv(0)[width:])


def signed(width):
    """Return a Signal of a two's complement number of ``width`` bits."""
    return Signal(intbv(0, min=-(1 << (width - 1)), max=1 << (width - 1)))


def up_to(limit):
    """Return a Signal of a number from 0 to ``limit``."""
    return Signal(intbv(0, min=0, max=limit + 1))


# exp2 --------------------------------------------------------------------------------------------


@block
def octaves(t, multiplier, shift, d):
    """Distance from the maximum in octaves: d = min(((t*K) << 6) >> s, 2^20 - 1).

    t           i: u16, maximum of the row minus x
    multiplier  i: u16, K
    shift       i: u5, s
    d           o: UQ5.15, octaves, saturated
    """
    HEADROOM = c.SCALE_HEADROOM
    FARTHEST = (1 << D_BITS) - 1
    product = bits(X_BITS + c.SCALE_MULTIPLIER_BITS + HEADROOM)
    shifted = bits(len(product))

    @always_comb
    def multiply():
        product.next = (t * multiplier) << HEADROOM

    @always_comb
    def scale():
        shifted.next = product >> shift

    @always_comb
    def saturate():
        if shifted > FARTHEST:
            d.next = FARTHEST
        else:
            d.next = shifted[D_BITS:]

    return instances()


@block
def exp2(d, e):
    """e = 2^-d by 32 chords of one octave, shifted by the whole octaves.

    I = d >> 15, idx = (d >> 10) & 31, lo = d & 1023
    g = G[idx] - ((DELTA[idx] * lo) >> 10)      G[i] = round(2^17 * 2^(-i/32)), DELTA[i] = G[i] - G[i+1]
    e = (g << 5) >> I                           e(0) = 2^22 exactly

    d  i: UQ5.15, octaves
    e  o: UQ1.22
    """
    STARTS = tuple(c.exp2_grid()[: 1 << c.SEGMENT_BITS])
    DROPS = tuple(c.exp2_drops())
    LOW_BITS = c.OCTAVE_FRACTION_BITS - c.SEGMENT_BITS
    ALIGN = c.EXP_BITS - c.GRID_BITS
    FRACTION_BITS = c.OCTAVE_FRACTION_BITS
    octave = bits(c.OCTAVE_BITS)
    segment = bits(c.SEGMENT_BITS)
    low = bits(LOW_BITS)
    start = up_to(STARTS[0])
    drop = up_to(max(DROPS))
    product = bits(len(drop) + LOW_BITS)
    g = up_to(STARTS[0])

    @always_comb
    def split():
        octave.next = d[D_BITS:FRACTION_BITS]
        segment.next = d[FRACTION_BITS:LOW_BITS]
        low.next = d[LOW_BITS:]

    @always_comb
    def look_up_start():
        start.next = STARTS[segment]

    @always_comb
    def look_up_drop():
        drop.next = DROPS[segment]

    @always_comb
    def multiply():
        product.next = drop * low

    @always_comb
    def interpolate():
        g.next = start - (product >> LOW_BITS)

    @always_comb
    def scale():
        e.next = (g << ALIGN) >> octave

    return instances()


# Digit recurrences -------------------------------------------------------------------------------


@block
def bit_length(value, length):
    """length = number of bits of ``value`` without leading zeros; 0 for 0. Unsigned, combinational."""
    WIDTH = len(value)

    @always_comb
    def scan():
        length.next = 0
        for i in range(WIDTH):
            if value[i]:
                length.next = i + 1

    return instances()


@block
def divider(sys_clk, sys_rst, start, dividend, divisor, done, quotient):
    """quotient = dividend div divisor, restoring, one bit a cycle, the highest first.

    With q the quotient so far, p the part of the dividend that was brought down and r the remainder:
    p = q * divisor + r, 0 <= r < divisor. A step brings down one more bit b: r' = 2r + b, minus the divisor if it fits.

    start     i: pulse; dividend and divisor are taken with it. divisor > 0
    done      o: pulse, len(dividend) + 1 cycles after start
    quotient  o: as wide as the dividend, until the next start
    """
    WIDTH = len(dividend)
    TOP = WIDTH - 1
    LOW = len(divisor)
    by = bits(len(divisor))
    left = bits(WIDTH)  # dividend bits still to be brought down, then quotient bits from below
    remainder = bits(len(divisor))
    trial = bits(len(divisor) + 1)
    steps = up_to(WIDTH)

    @always_comb
    def bring_down():
        trial.next = concat(remainder, left[TOP])

    @always_comb
    def result():
        quotient.next = left

    @always_seq(sys_clk.posedge, reset=sys_rst)
    def divide():
        done.next = 0
        if start:
            by.next = divisor
            left.next = dividend
            remainder.next = 0
            steps.next = WIDTH
        elif steps != 0:
            if trial >= by:
                remainder.next = trial - by
                left.next = concat(left[TOP:], intbv(1)[1:])
            else:
                remainder.next = trial[LOW:]
                left.next = concat(left[TOP:], intbv(0)[1:])
            steps.next = steps - 1
            done.next = steps == 1

    return instances()


@block
def square_root(sys_clk, sys_rst, start, radicand, done, root):
    """root = floor(sqrt(radicand)), digit by digit, two bits of the radicand a cycle.

    With q the root so far, p the part of the radicand that was brought down and r the remainder: p = q^2 + r,
    0 <= r <= 2q. A step brings down two bits: r' = 4r + bits, q' = 2q; if 2q' + 1 fits into r', subtract it and
    q' becomes q' + 1, because (q' + 1)^2 = q'^2 + 2q' + 1.

    start     i: pulse; radicand, of an even number of bits, is taken with it
    done      o: pulse, len(radicand) / 2 + 1 cycles after start
    root      o: half as wide as the radicand, until the next start
    """
    WIDTH = len(radicand)
    DIGITS = WIDTH // 2
    left = bits(WIDTH)
    q = bits(DIGITS)
    remainder = bits(DIGITS + 1)
    trial = bits(DIGITS + 3)
    odd = bits(DIGITS + 2)
    steps = up_to(DIGITS)

    @always_comb
    def bring_down():
        trial.next = concat(remainder, left[WIDTH:WIDTH - 2])
        odd.next = concat(q, intbv(1)[2:])

    @always_comb
    def result():
        root.next = q

    @always_seq(sys_clk.posedge, reset=sys_rst)
    def recur():
        done.next = 0
        if start:
            left.next = radicand
            remainder.next = 0
            q.next = 0
            steps.next = DIGITS
        elif steps != 0:
            left.next = concat(left[WIDTH - 2:], intbv(0)[2:])
            if trial >= odd:
                remainder.next = trial - odd
                q.next = concat(q[DIGITS - 1:], intbv(1)[1:])
            else:
                remainder.next = trial[DIGITS + 1:]
                q.next = concat(q[DIGITS - 1:], intbv(0)[1:])
            steps.next = steps - 1
            done.next = steps == 1

    return instances()


# Softmax -----------------------------------------------------------------------------------------


@block
def reciprocal(sys_clk, sys_rst, start, total, s, done, r, shift):
    """R of a softmax row, so that (e * R) >> k is about T * e / S.

    k = bitlen(S) + 1,  R = min(((T << k) + (S >> 1)) div S, 2^18 - 1)

    start  i: pulse; total and s stay until done
    total  i: u17, T, full scale of the format
    s      i: u33, S, sum of the row's e
    done   o: pulse, S_BITS + 21 cycles after start
    r      o: u18
    shift  o: k - FB, the shift that leaves FB fraction bits
    """
    R_BITS = c.RECIPROCAL_BITS
    LARGEST = (1 << R_BITS) - 1
    WIDTH = S_BITS + 1 + X_BITS + 2
    s_bits = up_to(S_BITS)
    dividend = bits(WIDTH)
    quotient = bits(WIDTH)
    divide_start = Signal(False)
    divide_done = Signal(False)

    length = bit_length(s, s_bits)
    divide = divider(sys_clk, sys_rst, divide_start, dividend, s, divide_done, quotient)

    @always_seq(sys_clk.posedge, reset=sys_rst)
    def steps():
        divide_start.next = 0
        done.next = 0
        if start:
            dividend.next = (total << (s_bits + 1)) + (s >> 1)
            shift.next = s_bits + 1 - FB
            divide_start.next = 1
        if divide_done:
            if quotient > LARGEST:
                r.next = LARGEST
            else:
                r.next = quotient[R_BITS:]
            done.next = 1

    return instances()


@block
def softmax_increment(e, r, shift, z):
    """z = (e * R) >> (k - FB): what an element adds to the row's running sum, with FB fraction bits.

    e      i: UQ1.22
    r      i: u18
    shift  i: k - FB
    z      o: UQ17.12
    """
    product = bits(len(e) + len(r))

    @always_comb
    def multiply():
        product.next = e * r

    @always_comb
    def scale():
        z.next = product >> shift

    return instances()


@block
def carried_fraction(sys_clk, sys_rst, clear, step, carry, z, out):
    """Rounding that keeps the sum: out_i = C_i - C_(i-1), C_i = (2^(FB-1) + z_1 + .. + z_i) >> FB, C_0 = 0.

    C_i itself is not kept, only the fraction f_i = (2^(FB-1) + z_1 + .. + z_i) mod 2^FB:
    f_(i-1) + z_i = out_i * 2^FB + f_i. The outputs telescope: their sum is C_N, whatever the roundings between.

    clear  i: f = 2^(FB-1), before a row
    step   i: the element is taken: f_(i-1) becomes f_i
    carry  i: 0 leaves f at 2^(FB-1): each element is rounded for itself
    z      i: signed, FB fraction bits
    out    o: signed integer, in the same cycle
    """
    HALF = 1 << (FB - 1)
    fraction = Signal(intbv(HALF)[FB:])
    advanced = signed(WIDE)

    @always_comb
    def add():
        advanced.next = z + fraction

    @always_comb
    def floor():
        out.next = advanced >> FB

    @always_seq(sys_clk.posedge, reset=sys_rst)
    def keep():
        if clear:
            fraction.next = HALF
        elif step and carry:
            fraction.next = advanced[FB:]

    return instances()


@block
def cap(sys_clk, sys_rst, clear, step, capped, peak, total, length, index, value, out):
    """Rows of the formats in which T itself has no code, so that T - 1 is the largest.

    (1) an element of value T becomes T - 1, and the next one gains 1;
    (2) in a row that ``peak`` marks, the last valid element would be T with no element behind it: the row is 1 at
        index 0, T - 1 at index n - 1 and 0 elsewhere; n = 1: T - 1 alone.

    clear   i: nothing is owed, before a row
    step    i: the element is taken
    capped  i: the format is one of those
    peak    i: rule (2) holds for the row
    total   i: u17, T
    length  i: n, valid elements
    index   i: of the element
    value   i: signed, out of carried_fraction
    out     o: signed, in the same cycle
    """
    owed = Signal(False)
    full = Signal(False)

    @always_comb
    def compare():
        full.next = capped and (value == total)

    @always_comb
    def choose():
        if peak:
            if index + 1 == length:
                out.next = total - 1
            elif index == 0:
                out.next = 1
            else:
                out.next = 0
        elif full:
            out.next = value - 1
        elif owed:
            out.next = value + 1
        else:
            out.next = value

    @always_seq(sys_clk.posedge, reset=sys_rst)
    def keep():
        if clear:
            owed.next = 0
        elif step:
            owed.next = full

    return instances()


@block
def formats(format, total, offset, capped, peak_limit):
    """What a softmax format says: T, the zero point, and rule (2) of ``cap``.

    format      i: code of FORMATS
    total       o: u17, T
    offset      o: u16, minus the zero point: the stored code is out - offset
    capped      o: T has no code
    peak_limit  o: u23; rule (2) holds for S <= ((T << 24) - 1) div (4T - 3); 0 when not capped
    """
    rows = {f.code: f for f in FORMATS.values()}
    rows = [rows.get(code, rows[0]) for code in range(1 << len(format))]
    TOTALS = tuple(f.total for f in rows)
    OFFSETS = tuple(-f.zero_point for f in rows)
    CAPPED = tuple(int(f.capped) for f in rows)
    LIMITS = tuple(((f.total << 24) - 1) // (4 * f.total - 3) if f.capped else 0 for f in rows)

    @always_comb
    def look_up_total():
        total.next = TOTALS[format]

    @always_comb
    def look_up_offset():
        offset.next = OFFSETS[format]

    @always_comb
    def look_up_capped():
        capped.next = CAPPED[format]

    @always_comb
    def look_up_limit():
        peak_limit.next = LIMITS[format]

    return instances()


# LayerNorm, RMSNorm ------------------------------------------------------------------------------


@block
def statistics(sys_clk, sys_rst, clear, step, x, maximum, total, squares):
    """Maximum, sum and sum of squares of the elements that come with ``step``.

    clear    i: forget, before a row
    x        i: s16
    maximum  o: s16
    total    o: Sx = sum x
    squares  o: Sxx = sum x^2
    """
    SMALLEST = -(1 << (X_BITS - 1))

    @always_seq(sys_clk.posedge, reset=sys_rst)
    def gather():
        if clear:
            maximum.next = SMALLEST
            total.next = 0
            squares.next = 0
        elif step:
            if x > maximum:
                maximum.next = x
            total.next = total + x
            squares.next = squares + x * x

    return instances()


@block
def norm_constants(sys_clk, sys_rst, start, rms, length, total, squares, eps, done, constant, gain, offset, shift):
    """Gain and offset of a LayerNorm or RMSNorm row: y = (x - mean) * n / sqrt(V) = (A * (x + 2^15)) >> k - B.

    V0 = n*Sxx - Sx^2 (RMSNorm: n*Sxx); V0 = 0: a constant row, all y are 0. V = V0 + EPS
    h = (36 - bitlen(V)) >> 1: Vn = V << 2h has 35 or 36 bits;  D = isqrt(Vn)
    nb = bitlen(n): n1 = n << (11 - nb) has 11 bits;            A = ((n1 << 24) + (D >> 1)) div D
    k = 25 - nb - h: A / 2^k = n / sqrt(V) in units of 2^-10
    mean = ((Sx + n*2^15) << 32) div n (RMSNorm: 2^15 << 32): the mean of x + 2^15, UQ16.32
    B = (A*mean + half) >> (32 + k - FB), half = 1 << (31 + k - FB): gain times mean, with FB fraction bits

    start     i: pulse; all inputs stay until done
    rms       i: RMSNorm, else LayerNorm
    length    i: n
    total     i: Sx
    squares   i: Sxx
    eps       i: u51, EPS
    done      o: pulse, 2 cycles after start for a constant row, 85 for RMSNorm, 146 for LayerNorm
    constant  o: V0 = 0; gain and offset say nothing then
    gain      o: u18, A
    offset    o: B
    shift     o: signed, k - FB: from -15 to 20
    """
    EXTRA = c.GAIN_SHIFT
    MF = c.MEAN_FRACTION_BITS
    X_OFFSET = c.X_OFFSET
    POINT = c.GAIN_SHIFT + LENGTH_BITS - c.NORM_FRACTION_BITS - FB  # k - FB + nb + h
    state_t = enum("IDLE", "VARIANCE", "ALIGN", "ROOT", "GAIN", "MEAN", "OFFSET")
    state = Signal(state_t.IDLE)
    n_squares = up_to(LONGEST * SQUARES_LIMIT)
    square = up_to(SUM_LIMIT * SUM_LIMIT)
    v0 = up_to(LONGEST * SQUARES_LIMIT)
    v = bits(V_BITS)
    v_bits = up_to(V_BITS)
    n_bits = up_to(LENGTH_BITS)
    h = signed(6)
    offset_sum = bits(LENGTH_BITS + X_BITS)
    radicand = bits(VN_BITS)
    root = bits(c.ROOT_BITS)
    dividend = bits(DIVIDEND_BITS)
    divisor = bits(c.ROOT_BITS)
    quotient = bits(DIVIDEND_BITS)
    mean = bits(MEAN_BITS)
    product = bits(c.GAIN_BITS + MEAN_BITS)
    half = bits(WIDE)
    rounded = bits(c.GAIN_BITS + MEAN_BITS + 1)
    root_start = Signal(False)
    root_done = Signal(False)
    divide_start = Signal(False)
    divide_done = Signal(False)

    length_of_v = bit_length(v, v_bits)
    length_of_n = bit_length(length, n_bits)
    extract = square_root(sys_clk, sys_rst, root_start, radicand, root_done, root)
    divide = divider(sys_clk, sys_rst, divide_start, dividend, divisor, divide_done, quotient)

    @always_comb
    def squares_of_sums():
        n_squares.next = length * squares
        square.next = total * total

    @always_comb
    def exponent():
        h.next = (VN_BITS - v_bits) >> 1

    @always_comb
    def lift_sum():
        offset_sum.next = total + length * X_OFFSET

    @always_comb
    def times_mean():
        product.next = gain * mean

    @always_comb
    def rounding():
        half.next = 1 << (shift + (MF - 1))

    @always_comb
    def round_offset():
        rounded.next = product + half

    @always_seq(sys_clk.posedge, reset=sys_rst)
    def steps():
        root_start.next = 0
        divide_start.next = 0
        done.next = 0
        if state == state_t.IDLE:
            if start:
                if rms:
                    v0.next = n_squares
                else:
                    v0.next = n_squares - square
                state.next = state_t.VARIANCE
        elif state == state_t.VARIANCE:
            v.next = v0 + eps
            constant.next = v0 == 0
            if v0 == 0:
                done.next = 1
                state.next = state_t.IDLE
            else:
                state.next = state_t.ALIGN
        elif state == state_t.ALIGN:
            if h >= 0:
                radicand.next = v << (2 * h)
            else:
                radicand.next = v >> (-2 * h)
            shift.next = POINT - n_bits - h
            root_start.next = 1
            state.next = state_t.ROOT
        elif state == state_t.ROOT:
            if root_done:
                dividend.next = (length << (LENGTH_BITS - n_bits + EXTRA)) + (root >> 1)
                divisor.next = root
                divide_start.next = 1
                state.next = state_t.GAIN
        elif state == state_t.GAIN:
            if divide_done:
                gain.next = quotient
                if rms:
                    mean.next = X_OFFSET << MF
                    state.next = state_t.OFFSET
                else:
                    dividend.next = offset_sum << MF
                    divisor.next = length
                    divide_start.next = 1
                    state.next = state_t.MEAN
        elif state == state_t.MEAN:
            if divide_done:
                mean.next = quotient
                state.next = state_t.OFFSET
        else:
            offset.next = rounded >> (shift + MF)
            done.next = 1
            state.next = state_t.IDLE

    return instances()


@block
def norm_increment(x, gain, offset, shift, w):
    """w = (A * (x + 2^15)) >> (k - FB), shifted left when k < FB, minus B: y with FB fraction bits.

    x       i: s16
    gain    i: u18, A
    offset  i: B
    shift   i: signed, k - FB
    w       o: signed
    """
    X_OFFSET = c.X_OFFSET
    lifted = bits(X_BITS)
    product = bits(len(gain) + X_BITS)
    scaled = bits(WIDE - 1)

    @always_comb
    def lift():
        lifted.next = x + X_OFFSET

    @always_comb
    def multiply():
        product.next = gain * lifted

    @always_comb
    def scale():
        if shift >= 0:
            scaled.next = product >> shift
        else:
            scaled.next = product << (-shift)

    @always_comb
    def subtract():
        w.next = scaled - offset

    return instances()


# Behind the norms --------------------------------------------------------------------------------


@block
def clip(value, narrow, out):
    """out = the nearest number to ``value`` that fits s8 (narrow) or s16. Combinational, signed."""
    HIGH = (1 << 15) - 1
    LOW = -(1 << 15)
    HIGH_8 = (1 << 7) - 1
    LOW_8 = -(1 << 7)

    @always_comb
    def limit():
        if narrow:
            if value > HIGH_8:
                out.next = HIGH_8
            elif value < LOW_8:
                out.next = LOW_8
            else:
                out.next = value
        else:
            if value > HIGH:
                out.next = HIGH
            elif value < LOW:
                out.next = LOW
            else:
                out.next = value

    return instances()


@block
def affine(y, gamma, beta, shift, beta_shift, narrow, out):
    """out = clip((y*gamma + (beta << beta_shift) + half) >> shift), half = (1 << shift) >> 1.

    y           i: s16, Q5.10
    gamma       i: s16
    beta        i: s16
    shift       i: u5
    beta_shift  i: u4
    narrow      i: clip to s8, else s16
    out         o: s16
    """
    product = signed(2 * X_BITS)
    lifted = signed(X_BITS + (1 << len(beta_shift)))
    half = signed((1 << len(shift)) + 1)
    total = signed(WIDE)
    scaled = signed(WIDE)

    @always_comb
    def multiply():
        product.next = y * gamma

    @always_comb
    def lift():
        lifted.next = beta << beta_shift

    @always_comb
    def rounding():
        half.next = 0
        if shift != 0:
            half.next[shift - 1] = 1

    @always_comb
    def add():
        total.next = product + lifted + half

    @always_comb
    def scale():
        scaled.next = total >> shift

    limit = clip(scaled, narrow, out)
    return instances()


# The core ----------------------------------------------------------------------------------------


class RowSink:
    """Elements of rows, one a beat: valid, ready, first, last, ``payload_data`` (s16) and the row's constants.

    Those are ``param_op``, ``param_length`` and so on: the names, widths and meaning of ``rows.row_params``.
    """

    def __init__(self, config):
        self.valid, self.ready, self.first, self.last = (Signal(False) for _ in range(4))
        self.payload_data = bits(X_BITS)
        for name, width in row_params(config):
            setattr(self, f"param_{name}", Signal(False) if width == 1 else bits(width))


class WeightSink:
    """Elements of gamma (``param_beta`` 0) or beta (1), s16, one a beat, from index 0."""

    def __init__(self):
        self.valid, self.ready, self.first, self.last = (Signal(False) for _ in range(4))
        self.payload_data = bits(X_BITS)
        self.param_beta = Signal(False)


class RowSource:
    """Results, one element a beat: valid, ready, first, last and ``payload_data``, 16 bits."""

    def __init__(self):
        self.valid, self.ready, self.first, self.last = (Signal(False) for _ in range(4))
        self.payload_data = bits(c.CODE_BITS)


@block
def memory(sys_clk, write, address, data, read_address, read_data):
    """Memory of len(address)-bit indices: ``read_data`` is the word at ``read_address`` of the cycle before.

    A word that is written can be read from the cycle after.
    """
    words = [Signal(data.val) for _ in range(address.max)]

    @always(sys_clk.posedge)
    def access():
        if write:
            words[address].next = data
        read_data.next = words[read_address]

    return instances()


@block
def core(sys_clk, sys_rst, sink, weights, source, row_done, row_error, constant_row, depth):
    """All of LiteNorm, one row at a time: STORE, then EXP and RECIPROCAL or NORM, then EMIT and CHECK.

    sink          RowSink: a row of 1 to ``depth`` elements. Elements from param_length on are masked: they have no part
                  in the row, and are 0 (softmax: probability 0) in the result
    weights       WeightSink; taken between rows
    source        RowSource: as many elements as went in
    row_done      o: pulse, once a row
    row_error     o: pulse with row_done: the outputs do not sum to T (softmax, before ``cap``) or to 0 (LayerNorm)
    constant_row  o: pulse with row_done: a LayerNorm or RMSNorm row with V0 = 0
    depth         elements of the longest row
    """
    SOFTMAX, LAYERNORM, RMSNORM = range(len(c.OPS))
    ONE = E_ONE
    state_t = enum("STORE", "TURN", "EXP", "RECIPROCAL", "NORM", "EMIT", "CHECK")
    state = Signal(state_t.STORE)

    # Constants of the row, taken with its first element.
    op = bits(len(sink.param_op))
    format = bits(len(sink.param_format))
    length = up_to(depth)
    multiplier = bits(len(sink.param_scale_multiplier))
    scale_shift = bits(len(sink.param_scale_shift))
    eps = bits(len(sink.param_eps))
    with_affine = Signal(False)
    narrow = Signal(False)
    affine_shift = bits(len(sink.param_affine_shift))
    beta_shift = bits(len(sink.param_beta_shift))

    # The element that is worked on.
    index = up_to(depth - 1)
    next_index = up_to(depth)
    last_index = up_to(depth - 1)
    advance = Signal(False)
    is_last = Signal(False)
    valid = Signal(False)  # not masked
    store = Signal(False)
    store_exp = Signal(False)
    store_gamma = Signal(False)
    store_beta = Signal(False)
    emit = Signal(False)
    clear = Signal(False)
    weight_index = up_to(depth - 1)
    weight_address = up_to(depth - 1)
    x_in = signed(X_BITS)
    x = signed(X_BITS)
    gamma_in = signed(X_BITS)
    gamma = signed(X_BITS)
    beta = signed(X_BITS)

    # Statistics.
    gather = Signal(False)
    maximum = Signal(intbv(-(1 << (X_BITS - 1)), min=-(1 << (X_BITS - 1)), max=1 << (X_BITS - 1)))
    total_x = Signal(intbv(0, min=-SUM_LIMIT, max=SUM_LIMIT + 1))
    squares = up_to(SQUARES_LIMIT)

    # Softmax.
    t = bits(X_BITS)
    d = bits(D_BITS)
    power = up_to(ONE)
    e_in = up_to(ONE)
    e = up_to(ONE)
    s = bits(S_BITS)
    at_peak = Signal(False)  # the last valid element is the maximum
    peak = Signal(False)
    total = bits(X_BITS + 1)
    zero_offset = bits(X_BITS)
    capped = Signal(False)
    peak_limit = bits(c.EXP_BITS + 1)
    begin_reciprocal = Signal(False)
    reciprocal_done = Signal(False)
    r = bits(c.RECIPROCAL_BITS)
    r_shift = up_to(S_BITS + 1 - FB)
    z = bits(c.EXP_BITS + 1 + c.RECIPROCAL_BITS)

    # Norms.
    rms = Signal(False)
    begin_norm = Signal(False)
    norm_done = Signal(False)
    constant = Signal(False)
    gain = bits(c.GAIN_BITS)
    offset = bits(WIDE - 1)
    norm_shift = Signal(intbv(0, min=-15, max=21))
    w = signed(WIDE)

    # Emission.
    increment = signed(WIDE)
    carry = Signal(False)
    value = signed(WIDE)
    use_cap = Signal(False)
    probability = signed(WIDE)
    y = signed(X_BITS)
    scaled = signed(X_BITS)
    out = signed(WIDE)
    code = Signal(intbv(0, min=-(1 << 15), max=1 << 16))
    emitted = signed(X_BITS + 8)

    # Blocks.
    row_memory = memory(sys_clk, store, index, x_in, next_index, x)
    exp_memory = memory(sys_clk, store_exp, index, e_in, next_index, e)
    gamma_memory = memory(sys_clk, store_gamma, weight_address, gamma_in, next_index, gamma)
    beta_memory = memory(sys_clk, store_beta, weight_address, gamma_in, next_index, beta)
    sums = statistics(sys_clk, sys_rst, clear, gather, x_in, maximum, total_x, squares)
    distance = octaves(t, multiplier, scale_shift, d)
    exponential = exp2(d, power)
    table = formats(format, total, zero_offset, capped, peak_limit)
    inverse = reciprocal(sys_clk, sys_rst, begin_reciprocal, total, s, reciprocal_done, r, r_shift)
    softmax = softmax_increment(e, r, r_shift, z)
    constants = norm_constants(sys_clk, sys_rst, begin_norm, rms, length, total_x, squares, eps, norm_done, constant,
                               gain, offset, norm_shift)
    norm = norm_increment(x, gain, offset, norm_shift, w)
    rounding = carried_fraction(sys_clk, sys_rst, clear, emit, carry, increment, value)
    capping = cap(sys_clk, sys_rst, clear, emit, use_cap, peak, total, length, index, value, probability)
    limit = clip(value, False, y)
    requantize = affine(y, gamma, beta, affine_shift, beta_shift, narrow, scaled)

    @always_comb
    def take():
        sink.ready.next = (state == state_t.STORE) and (index != 0 or not weights.valid)
        store.next = sink.valid and (state == state_t.STORE) and (index != 0 or not weights.valid)
        x_in.next = sink.payload_data.signed()

    @always_comb
    def count():
        gather.next = store and (index < sink.param_length)

    @always_comb
    def take_weights():
        weights.ready.next = (state == state_t.STORE) and (index == 0)
        store_gamma.next = (state == state_t.STORE) and (index == 0) and weights.valid and not weights.param_beta
        store_beta.next = (state == state_t.STORE) and (index == 0) and weights.valid and weights.param_beta
        gamma_in.next = weights.payload_data.signed()
        if weights.first:
            weight_address.next = 0
        else:
            weight_address.next = weight_index

    @always_comb
    def drive():
        emit.next = (state == state_t.EMIT) and (source.ready or not source.valid)
        store_exp.next = state == state_t.EXP
        clear.next = state == state_t.CHECK

    @always_comb
    def walk():
        advance.next = store or store_exp or emit
        if state == state_t.STORE:
            is_last.next = sink.last
        else:
            is_last.next = index == last_index
        valid.next = index < length

    @always_comb
    def step():
        next_index.next = index
        if advance:
            if is_last:
                next_index.next = 0
            else:
                next_index.next = index + 1

    @always_comb
    def exponent():
        t.next = 0
        if state == state_t.EXP and index < length:
            t.next = maximum - x

    @always_comb
    def mask():
        if valid:
            e_in.next = power
        else:
            e_in.next = 0

    @always_comb
    def operation():
        rms.next = op == RMSNORM
        carry.next = op != RMSNORM
        use_cap.next = capped and (op == SOFTMAX)

    @always_comb
    def choose():
        if not valid:
            increment.next = 0
        elif op == SOFTMAX:
            increment.next = z
        elif constant:
            increment.next = 0
        else:
            increment.next = w

    @always_comb
    def result():
        if op == SOFTMAX:
            out.next = probability - zero_offset
        elif with_affine:
            out.next = scaled
        elif op == RMSNORM:
            out.next = y
        else:
            out.next = value

    @always_comb
    def output():
        source.payload_data.next = code[16:]

    @always_comb
    def check():
        row_done.next = state == state_t.CHECK
        constant_row.next = (state == state_t.CHECK) and (op != SOFTMAX) and constant
        if op == SOFTMAX:
            row_error.next = (state == state_t.CHECK) and (emitted != total)
        elif op == LAYERNORM:
            row_error.next = (state == state_t.CHECK) and (emitted != 0)
        else:
            row_error.next = 0

    @always_seq(sys_clk.posedge, reset=sys_rst)
    def sequence():
        begin_reciprocal.next = 0
        begin_norm.next = 0
        index.next = next_index
        if source.ready:
            source.valid.next = 0

        if state == state_t.STORE:
            if weights.valid and weights.ready:
                if weights.last:
                    weight_index.next = 0
                else:
                    weight_index.next = weight_address + 1
            if store:
                if sink.first:
                    op.next = sink.param_op
                    format.next = sink.param_format
                    length.next = sink.param_length
                    multiplier.next = sink.param_scale_multiplier
                    scale_shift.next = sink.param_scale_shift
                    eps.next = sink.param_eps
                    with_affine.next = sink.param_affine
                    narrow.next = sink.param_out_s8
                    affine_shift.next = sink.param_affine_shift
                    beta_shift.next = sink.param_beta_shift
                if sink.last:
                    last_index.next = index
                    state.next = state_t.TURN
        elif state == state_t.TURN:
            # The row is complete, and its first element is read.
            s.next = 0
            emitted.next = 0
            if op == SOFTMAX:
                state.next = state_t.EXP
            else:
                begin_norm.next = 1
                state.next = state_t.NORM
        elif state == state_t.EXP:
            s.next = s + e_in
            if index + 1 == length:
                at_peak.next = e_in == ONE
            if is_last:
                begin_reciprocal.next = 1
                state.next = state_t.RECIPROCAL
        elif state == state_t.RECIPROCAL:
            peak.next = capped and at_peak and (s <= peak_limit)
            if reciprocal_done:
                state.next = state_t.EMIT
        elif state == state_t.NORM:
            if norm_done:
                state.next = state_t.EMIT
        elif state == state_t.EMIT:
            if emit:
                source.valid.next = 1
                source.first.next = index == 0
                source.last.next = is_last
                code.next = out
                emitted.next = emitted + value
                if is_last:
                    state.next = state_t.CHECK
        else:
            state.next = state_t.STORE

    return instances()


def core_ports(config):
    """Return the dict of the ports of ``core`` for a LiteNormConfig: the three streams and three pulses.

    ValueError when the config is for rows that are longer than this description was written for.
    """
    if not isinstance(config, LiteNormConfig):
        raise ValueError(f"config is a LiteNormConfig, not {type(config).__name__}")
    if config.max_length > LONGEST:
        raise ValueError(f"max_length is {config.max_length}; good: up to {LONGEST}, where the fraction has {FB} bits")
    return {"sink": RowSink(config), "weights": WeightSink(), "source": RowSource(), "row_done": Signal(False),
            "row_error": Signal(False), "constant_row": Signal(False)}


# Verilog -----------------------------------------------------------------------------------------

_BLOCKS = (affine, bit_length, cap, carried_fraction, clip, core, divider, exp2, formats, memory, norm_constants,
           norm_increment, octaves, reciprocal, softmax_increment, square_root, statistics)
_INSTANCE = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(b.func.__name__ for b in _BLOCKS)})\d+(?:_\d+)*(?=_[a-z])")


def verilog(instance, name):
    """Return the Verilog of a MyHDL block instance as module ``name``, the same text on every call."""
    with tempfile.TemporaryDirectory() as folder:
        instance.convert(hdl="Verilog", path=folder, name=name, testbench=False)
        text = (Path(folder) / f"{name}.v").read_text()
    text = re.sub(r"^\s*//.*\n|^`timescale.*\n", "", text, flags=re.M)  # File name and date are in the comments.
    # MyHDL numbers instances through the whole life of the process: count them from 0, block by block.
    numbers = {}

    def number(match):
        of_block = numbers.setdefault(match[1], {})
        return f"{match[1]}_{of_block.setdefault(match[0], len(of_block))}"

    return re.sub(r"\n{3,}", "\n\n", _INSTANCE.sub(number, text)).lstrip()
