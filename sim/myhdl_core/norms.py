# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""LayerNorm and RMSNorm: a row's sums, its gain and offset, and the increments of its elements."""

from myhdl import Signal, always_comb, always_seq, block, enum, instances

from litenorm.accel import constants as c
from litenorm.sim.myhdl_core.digits import bit_length, divider, square_root
from litenorm.sim.myhdl_core.widths import (
    DIVIDEND_BITS,
    FB,
    LENGTH_BITS,
    LONGEST,
    MEAN_BITS,
    SQUARES_LIMIT,
    SUM_LIMIT,
    V_BITS,
    VN_BITS,
    WIDE,
    X_BITS,
    bits,
    signed,
    up_to,
)


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
