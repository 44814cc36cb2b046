# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Softmax: the reciprocal of the sum, and codes that add up to T."""

from myhdl import Signal, always_comb, always_seq, block, instances, intbv

from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS
from litenorm.sim.myhdl_core.digits import bit_length, divider
from litenorm.sim.myhdl_core.widths import FB, S_BITS, WIDE, X_BITS, bits, signed, up_to


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
