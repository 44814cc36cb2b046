# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Digit recurrences: bit length, division, square root."""

from myhdl import always_comb, always_seq, block, concat, instances, intbv

from litenorm.sim.myhdl_core.widths import bits, up_to


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
