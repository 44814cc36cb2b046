# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The arithmetic between the units, over the integers, at full width: what docs/proofs.md argues, as formulas for z3.

Each function returns the SMT-LIB text of the lemma's negation, which must have no model. Products of two unknowns are
unknowns of their own, with the linear facts that are known of them; so what is shown is shown of more than the hardware
does. `wrong` plants an error in the lemma itself: its negation must then have a model.
"""

import numpy as np
import z3

from litenorm.accel import constants as c
from litenorm.accel.config import LiteNormConfig
from litenorm.accel.formats import FORMATS
from litenorm.accel.model import last_peak_limit

# The longest rows that share a width of the fraction.
SOFTMAX_LENGTHS = (1024, 2048, c.MAX_LENGTH_SOFTMAX)


def _refute(claims):
    """SMT-LIB text: one of the claims [(facts, goal)] is wrong."""
    solver = z3.Solver()
    solver.add(z3.Or(*(z3.And(*facts, z3.Not(goal)) for facts, goal in claims)))
    return solver.to_smt2()


def horner(wrong=False):
    """Shift and add is multiplication: P = d * q gives 2P + b * d = d * (2q + b), and 4P + b(4q + 1) = (2q + b)^2."""
    d, q, p, b = z3.Ints("d q p b")
    bit = z3.Or(b == 0, b == 1)
    one = 2 if wrong else 1
    return _refute([
        ([p == d * q, bit], 2 * p + z3.If(b == 1, one * d, 0) == d * (2 * q + b)),
        ([p == q * q, bit], 4 * p + z3.If(b == 1, 4 * q + 1, 0) == (2 * q + b) * (2 * q + b)),
    ])


def floors(wrong=False):
    """Truncations add up, step by step: Z <= P / 2^s <= Z + n (2^s - 1) / 2^s goes on to hold with one more element.

    Z and P are the sums of n floors z_i = floor(p_i / 2^s) and of the p_i. With p_i = e_i * R, P is S * R.
    """
    claims = []
    for s in range(41):
        total, exact, n, z, p = z3.Ints(f"Z_{s} P_{s} n_{s} z_{s} p_{s}")
        step = 1 << s
        lost = step - 1 - (wrong and s > 0)
        facts = [n >= 0, total * step <= exact, exact <= total * step + n * lost, z * step <= p, p < (z + 1) * step]
        after = (total + z) * step
        claims.append((facts, z3.And(after <= exact + p, exact + p <= after + (n + 1) * lost)))
    return _refute(claims)


def softmax_total(wrong=False):
    """floor((2^(FB-1) + z_1 + .. + z_N) / 2^FB) is T: every format, S from 2^22 on, N up to 4096 elements.

    R = min((T * 2^k + S / 2) div S, 2^18 - 1), k = bitlen(S) + 1, and z_i = (e_i * R) >> (k - FB).
    """
    claims = []
    for max_length in SOFTMAX_LENGTHS:
        config = LiteNormConfig(max_length=max_length, ops=("softmax",))
        fb = config.fraction_bits
        for total in sorted({f.total for f in FORMATS.values()}):
            for bits in range(c.EXP_BITS + 1, config.exp_sum_bits + 1):
                k = bits + 1
                step = 1 << (k - fb)
                s, quotient_s, rest, product, z, n = z3.Ints("S QS r SR Z N")
                largest = (1 << c.RECIPROCAL_BITS) - 1
                facts = [
                    s >= 1 << (bits - 1), s < 1 << bits,
                    quotient_s + rest == (total << k) + s / 2, rest >= 0, rest < s,     # the Divider: QS = S * quotient
                    # R saturates only where the quotient is 2^18 or more.
                    z3.Or(product == quotient_s, z3.And(quotient_s >= (largest + 1) * s, product == largest * s)),
                    n >= 1, n <= max_length << wrong,
                    z * step <= product, product <= z * step + n * (step - 1),          # lemma floors
                ]
                seeded = z + (1 << (fb - 1))
                claims.append((facts, z3.And(total << fb <= seeded, seeded < (total + 1) << fb)))
    return _refute(claims)


def layernorm_zero(wrong=False):
    """floor((2^(FB-1) + w_1 + .. + w_N) / 2^FB) is 0, for any gain A below 2^18 and any k from 1 on, N up to 1024.

    w_i = floor(A * (x_i + 2^15) * 2^(FB-k)) - B, B = floor(A * mean * 2^(FB-k-32) + 1/2), mean = floor(U * 2^32 / N),
    U = sum(x_i + 2^15).
    """
    config = LiteNormConfig()
    fb, fraction = config.fraction_bits, c.MEAN_FRACTION_BITS
    claims = []
    for right in range(1 - fb, 64 - fb):        # k - FB; k is an amount of 6 bits
        # AU = A * U; NQ = N * A * mean; Z, NB = N * B; N * A appears as at most 2^18 * N.
        au, nq, z, nb, n = z3.Ints("AU NQ Z NB N")
        facts = [
            n >= 1, n <= config.max_length << (2 * wrong), au >= 0,
            # N * mean <= U * 2^32 < N * mean + N, times A
            nq <= au * (1 << fraction),
            au * (1 << fraction) <= nq + n * (1 << c.GAIN_BITS),
        ]
        if right >= 0:
            step = 1 << right
            facts += [z * step <= au, au <= z * step + n * (step - 1)]
        else:
            facts += [z == au * (1 << -right)]
        # B, times N
        step, half = 1 << (fraction + right), 1 << (fraction + right - 1)
        facts += [nb * step <= nq + n * half, nq + n * half <= nb * step + n * (step - 1)]
        seeded = z - nb + (1 << (fb - 1))
        claims.append((facts, z3.And(0 <= seeded, seeded < 1 << fb)))
    return _refute(claims)


def cap_rule(wrong=False):
    """Capped formats: a last valid element that is the maximum never takes all of T, unless its row is spelled out.

    Every S above last_peak_limit is tried, up to 2^23: in each, the elements before the last, which add up to S - 2^22,
    bring C to at least 1 whatever they are. From 2^23 on the last element is at most half of the row.

    Returns (holds, what failed).
    """
    peak = 1 << c.EXP_BITS
    cases = [(LiteNormConfig(max_length=n, ops=("softmax",)), fmt) for n in SOFTMAX_LENGTHS
             for fmt in FORMATS.values() if fmt.capped]
    for config, fmt in cases:
        fb = config.fraction_bits
        first = last_peak_limit(fmt) + 1 - (last_peak_limit(fmt) - peak) // 2 * wrong
        for begin in range(first, 2 * peak, 1 << 20):
            s = np.arange(begin, min(begin + (1 << 20), 2 * peak), dtype=np.int64)
            k = c.EXP_BITS + 2
            gain = np.minimum(((fmt.total << k) + (s >> 1)) // s, (1 << c.RECIPROCAL_BITS) - 1)
            others = s - peak
            # Fewest units of 2^-FB: as many elements as there may be, each truncated by as much as it may be.
            count = np.minimum(others, config.max_length - 1)
            step = 1 << (k - fb)
            fewest = -((count * (step - 1) - others * gain) // step)
            bad = np.flatnonzero(fewest < 1 << (fb - 1))
            if len(bad):
                return False, f"{fmt.name}, S = {s[bad[0]]}"
    return True, ""
