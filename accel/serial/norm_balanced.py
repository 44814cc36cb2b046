# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""LayerNorm and RMSNorm, word-parallel where it divides, bit-serial where it adds up: one adder of 24 bits."""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.serial.unit import NORM_OUT, NORM_ROOT, NORM_VARIANCE, SerialUnit

SQUARE_BITS = 25                        # sum of 1024 squares of s8
V_BITS = c.SERIAL_VARIANCE_BITS
S_BITS = c.SERIAL_SUM_BITS
D_BITS = c.SERIAL_ROOT_BITS + 1         # 2^17 is the root of the largest V
D_LEFT = 5                              # T is aligned to bit 10 of r, y has 15 bits and a sign
ROOT_LEFT = D_LEFT - 2
DIVIDE_STEPS = c.NORM_BITS - 1


class NormBalanced(SerialUnit):
    """LayerNorm and RMSNorm of s8 rows, Q5.10; y is serial.model_norm's.

    `phase` says which pass it is (unit.NORM_*): VARIANCE adds up S = sum x and Q = sum x^2, ROOT takes one element and
    finds V = N * Q - S^2 and D = floor(sqrt(V * 4^h)), OUT gives y. RMSNorm is the same without S.

    What LayerNorm keeps true in OUT, after each element, of the remainder r and the outputs so far:

        r + D * (sum of y so far) = floor(D / 2) + 2^(h + 10) * (sum of n so far),    n = N * x - S,    0 <= r < D

    The n of a row add up to 0, so the y do. RMSNorm starts every element from r = floor(D / 2).

    T is the only register behind the adder, T <- {0, T / 2, T, 2 * T} +- operand. The operands:

        product, LSB first   T <- T / 2 + bit * word, and bit 0 of the sum is a bit of the product. Q takes it up bit by
                             bit: x * x in VARIANCE, then N * Q, and S * -S, which one more full adder adds to A.
        n, MSB first         T <- 2 * T + bit * N, then - S, then h doublings: n * 2^h
        square root          T <- 4 * T + the next two bits of V -+ (4 * D + 1 or 3), in two cycles, not restoring
        division             T <- 2 * T + the next bit of r -+ D * 2^5, not restoring: the sign is a digit of y

    A is a shift register: it turns to the right while sums and V are in it, and to the left it gives bits of V, or of r
    while y enters. The 7 upper bits of r are added to n * 2^h in one cycle; the others lie above them, so that they
    leave A first. The bits behind r only reach places below D * 2^5, where they change no sign. S and D turn bit by
    bit; D is a reversed copy of S before it is the root.

    The ports of every SerialUnit, and

    length         i: N, valid elements of the row, 1 to max_length
    rms            i: RMSNorm, not LayerNorm; constant within a row (only with both built)
    eps            i: the eps term of the row, added to V (only with config.eps)
    result, result_valid  o: y, Q5.10
    constant       o: from `ready` of ROOT to the end of OUT: V is 0, and all y are

    Cycles: VARIANCE 25 an element; ROOT 106 + 2h; OUT 26 + h an element, RMSNorm 28 + h; h is at most 15.
    """

    norm_passes = (NORM_VARIANCE, NORM_ROOT, NORM_OUT)

    def __init__(self, config, softmax=None):
        both = {"layernorm", "rmsnorm"} <= set(config.ops)
        super().__init__(c.NORM_BITS, length=config.length_bits, **({"rms": 1} if both else {}),
                         **({"eps": c.SERIAL_EPS_BITS} if config.eps else {}),
                         **(softmax.constants if softmax else {}))
        rms = self.rms if both else C(int("rmsnorm" in config.ops), 1)
        norm = self.norm if softmax else C(1)
        self.constant = Signal()

        # # #

        # Registers without reset: the first element of a pass writes them, or every step does, before they are read.
        # What FIRST, SECOND and THIRD are depends on the pass:
        #     VARIANCE   x * x
        #     ROOT       N * Q      S * -S     square root    D / 2
        #     OUT        n          n * 2^h    division       D / 2 (RMSNorm)
        FIRST, SECOND, THIRD, SEED = range(4)
        state = Signal(2)
        count = Signal(6)
        h = Signal(5, reset_less=True)              # steps of the square root less 1: 16 + h
        r_bits = c.SERIAL_ROOT_BITS + config.eps
        # 2 * T and its sign, |T| <= 2^5 * D; D = 2^17 without eps has only small T
        t_bits = max(r_bits + D_LEFT + 2, softmax.bits if softmax else 0)
        t = Signal((t_bits, True), reset_less=True)
        a = Signal(V_BITS, reset_less=True)
        s = Signal((S_BITS, True), reset_less=True)
        d = Signal(D_BITS, reset_less=True)          # S_BITS, too
        a_carry = Signal(reset_less=True)
        s_carry = Signal(reset_less=True)

        # Sequence ------------------------------------------------------------------------------------------------
        in_variance = Signal()
        in_root = Signal()
        in_out = Signal()
        self.comb += [
            in_variance.eq(norm & (self.phase == NORM_VARIANCE)),
            in_root.eq(norm & (self.phase == NORM_ROOT)),
            in_out.eq(norm & (self.phase == NORM_OUT)),
        ]
        squares = Signal()
        by_length = Signal()
        by_sum = Signal()
        rooting = Signal()
        forming = Signal()
        shifting = Signal()
        dividing = Signal()
        seeding = Signal()
        self.comb += [
            squares.eq(in_variance & self.valid),
            by_length.eq(in_root & (state == FIRST) & self.valid),
            by_sum.eq(in_root & (state == SECOND)),
            rooting.eq(in_root & (state == THIRD)),
            forming.eq(in_out & (state == FIRST) & self.valid),
            shifting.eq(in_out & (state == SECOND)),
            dividing.eq(in_out & (state == THIRD)),
            seeding.eq(norm & (state == SEED)),
        ]
        if softmax:
            self.comb += softmax.connect(self, first=state == FIRST, second=state == SECOND, count=count, t=t, a=a)
        first_cycle = Signal()
        below_8 = Signal()
        below_18 = Signal()
        ends_bits = Signal()
        ends_shift = Signal()
        ends_root = Signal()
        ends_division = Signal()
        norm_ends = Signal()
        norm_ready = Signal()
        ends = Signal()
        self.comb += [
            first_cycle.eq(count == 0),
            below_8.eq(count[3:5] == 0),
            below_18.eq(~(count[4] & (count[1:4] != 0))),
            ends_bits.eq(count == V_BITS - 1),
            ends_shift.eq(count[:4] == h[:4]),
            # D has 16 bits or more after this step, or V is 0
            ends_root.eq(count[0] & h[4] & ((d[D_BITS - 4:D_BITS - 1] != 0) | (h[:4] == c.SERIAL_ROOT_MAX_H))),
            ends_division.eq(dividing & (count[:4] == DIVIDE_STEPS)),
            norm_ends.eq((squares & (count == SQUARE_BITS - 1)) | ((by_length | by_sum) & ends_bits)
                         | (rooting & ends_root)
                         | (forming & count[3]) | (shifting & ends_shift) | ends_division | (seeding & count[0])),
            norm_ready.eq(norm_ends & (in_variance | seeding | (ends_division & ~rms))),
            ends.eq(norm_ends | softmax.ends if softmax else norm_ends),
            self.turn.eq(1),
            self.ready.eq(norm_ready | softmax.ready if softmax else norm_ready),
        ]
        self.sync += [
            If((state != FIRST) | self.valid, count.eq(count + 1)),
            If(ends, count.eq(0)),
            If(self.ready,
                state.eq(FIRST)
            ).Elif(ends,
                state.eq(state + 1)
            ),
            If(by_length,
                h.eq(0)
            ).Elif(rooting & count[0] & ~ends_root,
                h.eq(h + 1)
            ),
        ]

        # The operand -------------------------------------------------------------------------------------------
        x = Signal((c.SERIAL_INPUT_BITS, True))
        x_bit = Signal()
        takes_x = Signal()
        takes_length = Signal()
        takes_s = Signal()
        takes_d = Signal()
        takes_r = Signal()
        negative = Signal()
        subtract = Signal()
        norm_operand = Signal(t_bits)
        operand = Signal(t_bits)
        self.comb += [
            x.eq(self.x),
            Case(count[:3] ^ Replicate(in_out, 3), {i: x_bit.eq(self.x[i]) for i in range(8)}),
            negative.eq(t[-1]),
            takes_x.eq(squares & x_bit & below_8),
            takes_length.eq((by_length & a[0]) | (forming & x_bit & ~count[3])),
            takes_s.eq(((by_sum & d[-1]) | (forming & count[3])) & ~rms),
            takes_d.eq((rooting & count[0]) | (dividing & (~ends_division | negative)) | (seeding & first_cycle)),
            takes_r.eq(shifting & ends_shift),
            If(squares,
                subtract.eq(count[:3] == 7)
            ).Elif(by_sum,
                subtract.eq(count != S_BITS - 1)
            ).Elif(forming,
                subtract.eq(first_cycle | count[3])
            ).Elif(rooting | dividing,
                subtract.eq(~negative)
            ),
        ]
        upper_r = a[V_BITS - 1 - r_bits:V_BITS - 1 - c.NORM_FRACTION_BITS]
        root_bits = Signal(2)
        self.comb += [
            root_bits.eq(Cat(rooting & count[0], rooting & count[0] & negative)),
            norm_operand.eq(
                (Cat(x, Replicate(x[-1], t_bits - len(x))) & Replicate(takes_x, t_bits))
                | (self.length & Replicate(takes_length, config.length_bits))
                | (Cat(s, Replicate(s[-1], t_bits - len(s))) & Replicate(takes_s, t_bits))
                | Cat(C(0, ROOT_LEFT), root_bits, d & Replicate(takes_d, D_BITS))
                | (upper_r & Replicate(takes_r, len(upper_r)))
            ),
            operand.eq(norm_operand | softmax.operand if softmax else norm_operand),
        ]

        # T -----------------------------------------------------------------------------------------------------
        halves = Signal()
        doubles = Signal()
        keeps = Signal()
        kept = Signal(t_bits)
        total = Signal(t_bits)
        next_bit = Signal()
        passes_t_to_a = softmax.passes_t_to_a if softmax else C(0)
        self.comb += [
            next_bit.eq(a[V_BITS - 2]),
            halves.eq((in_variance | by_length | by_sum | seeding | passes_t_to_a) & ~first_cycle),
            doubles.eq((forming & ~first_cycle & ~count[3]) | (shifting & ~ends_shift) | (dividing & ~ends_division)
                       | (rooting & ~first_cycle)),
            keeps.eq((forming & count[3]) | takes_r | ends_division | (softmax.keeps if softmax else 0)),
            kept.eq(
                (Cat(t[1:], t[-1]) & Replicate(halves, t_bits))
                | (Cat(dividing & next_bit, t[:-1]) & Replicate(doubles, t_bits))
                | (t & Replicate(keeps, t_bits))
                | Cat(C(0, ROOT_LEFT), rooting & next_bit)
            ),
            total.eq(kept + (operand ^ Replicate(subtract, t_bits)) + subtract),
        ]
        self.sync += t.eq(total)

        # S, and D -------------------------------------------------------------------------------------------------
        s_in = Signal()
        x_in = Signal()
        s_carry_in = Signal()
        s_bit = Signal()
        self.comb += [
            s_in.eq(s[0] & ~self.start),
            x_in.eq(Mux(below_8, x_bit, self.x[-1])),
            s_carry_in.eq(s_carry & ~first_cycle),
            s_bit.eq(s_in ^ x_in ^ s_carry_in),
        ]
        self.sync += [
            s_carry.eq((s_in & x_in) | (s_carry_in & (s_in | x_in))),
            If(squares & below_18, s.eq(Cat(s[1:], s_bit))),
            # Bit 34 of V is the first bit of the root.
            If((squares & below_18) | by_sum | (rooting & (count[0] | first_cycle)),
                d.eq(Cat((squares & s_bit) | (rooting & Mux(first_cycle, a[-1], ~total[-1])), d[:-1]))
            ),
        ]

        # A -----------------------------------------------------------------------------------------------------
        a_in = Signal()
        a_carry_in = Signal()
        a_bit = Signal()
        digit = Signal()
        self.comb += [
            a_in.eq(a[0] & ~(in_variance & self.start) & ~by_length & ~passes_t_to_a),
            a_carry_in.eq(a_carry & ~first_cycle),
            a_bit.eq(a_in ^ total[0] ^ a_carry_in ^ passes_t_to_a),
            digit.eq((negative ^ ~first_cycle) & ~self.constant),
        ]
        a_next = Signal()
        if config.eps:
            zero = Signal(reset_less=True)
            eps_bit = Signal()
            eps_carry = Signal(reset_less=True)
            eps_carry_in = Signal()
            self.comb += [
                Case(count, {i: eps_bit.eq(self.eps[i] & by_sum) for i in range(c.SERIAL_EPS_BITS)}),
                eps_carry_in.eq(eps_carry & ~first_cycle),
                a_next.eq(a_bit ^ eps_bit ^ eps_carry_in),
                self.constant.eq(zero),
            ]
            self.sync += [
                eps_carry.eq((a_bit & eps_bit) | (eps_carry_in & (a_bit | eps_bit))),
                If(by_sum, zero.eq((zero | first_cycle) & ~a_bit)),
            ]
        else:
            self.comb += [
                a_next.eq(a_bit),
                self.constant.eq(d[D_BITS - 3:] == 0),
            ]
        # r, its upper bits below the others
        split = D_LEFT + c.NORM_FRACTION_BITS
        remainder = Cat(total[split:D_LEFT + r_bits], total[D_LEFT:split])
        self.sync += [
            a_carry.eq((a_in & total[0]) | (a_carry_in & (a_in | total[0]))),
            If(squares | by_length | by_sum | passes_t_to_a,
                a.eq(Cat(a[1:], a_next & ~squares)),
                If(squares, a[SQUARE_BITS - 1].eq(a_bit))
            ).Elif(rooting | (dividing & ~ends_division),
                a.eq(Cat(digit & dividing, a[:-1]))
            ).Elif(dividing | seeding,
                a[V_BITS - 1 - r_bits:V_BITS - 1].eq(remainder)
            ),
        ]

        # Result --------------------------------------------------------------------------------------------------
        self.comb += [
            self.result.eq(Cat(digit, a[:DIVIDE_STEPS])),
            self.result_valid.eq(ends_division),
        ]
        if softmax:
            self.comb += If(~norm,
                self.result.eq(softmax.code),
                self.result_valid.eq(softmax.code_valid)
            )

    @property
    def outputs(self):
        return [*super().outputs, self.constant]

    @staticmethod
    def cycles(config, n):
        """Cycles of a row of n elements in each pass, at most."""
        h = c.SERIAL_ROOT_MAX_H
        rms = "rmsnorm" in config.ops
        root = 2 * V_BITS + 2 * (c.SERIAL_ROOT_BITS + h) + 2
        return {"variance": SQUARE_BITS * n, "root": root, "out": (26 + h + 2 * rms) * n}
