# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Softmax, LayerNorm and RMSNorm, bit-serial, in one unit: the same rings, the same full adder, the same sequencer."""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.serial.exponential import look_up
from litenorm.accel.serial.norm_area import widths
from litenorm.accel.serial.softmax_area import CODE_BITS, LAST_CODE, PRODUCT_BITS
from litenorm.accel.serial.unit import SerialUnit

SUM_BITS = c.SERIAL_SUM_BITS
FIRST_QUOTIENT_STEP = c.NORM_BITS - 2   # behind the sign


class TrioArea(SerialUnit):
    """SoftmaxArea's softmax, and norms whose arithmetic is serial.model_norm's:

        SUM        Sx = sum of x
        VARIANCE   V = sum of x * n,   n = N * x - Sx;   RMSNorm: n = N * x
        ROOT       D = floor(sqrt(V * 4^h)), the least h with V * 4^h >= 2^30;   r = floor(D / 2).   One element
        OUT        r + n * 2^(10 + h) = y * D + r',   0 <= r' < D,   y Q5.10

    What is kept true in OUT, for LayerNorm, after each element:

        r + D * (sum of y) = floor(D / 2) + 2^(10 + h) * (sum of n),    0 <= r < D

    The n of a row add up to 0, so the sum of y is floor(floor(D / 2) / D) = 0. RMSNorm begins each element with
    r = floor(D / 2), which rounds y. A row whose V is 0 gives zeros.

    Registers and who uses them:

        accumulator    softmax: v                 norms: Sx, V, the remainder of the root, r
        sum, link, root  one ring, -(S + 1)       Sx, and D
        sign           v < 0                      the remainder is negative
        step, shift    -                          bit of x, of D or of the quotient; bit of the other x, then h
        largest, product  m; t * K, (I, f), code  -

    All rings turn one bit a cycle, LSB first. A stream is added to the accumulator `offset` places up, and taken off
    without a carry by inverting what goes into the adder and what comes out of it. Sx, N and D stand still until their
    place comes, the accumulator never does. The quotient needs no offset: its first bit is the sign of
    r + n * 2^(10 + h), then come 15 steps of non-restoring division and one correction.

    The ports of every SerialUnit, with the passes of SoftmaxArea or those above, NORM_SUM to NORM_OUT, and

    norm, rms      i: LayerNorm or RMSNorm, not softmax; RMSNorm, not LayerNorm; constant within a row
    k, tfl         i: softmax: as in SoftmaxArea
    length         i: norms: N, valid elements
    eps            i: norms: the eps term of the row, added to V (only with config.eps)
    result, result_valid  o: softmax: as in SoftmaxArea; norms: bit 0 is a bit of y, MSB first: 16 times an element in
                   OUT, all before its `ready`
    constant       o: norms: from `ready` of ROOT to the end of OUT: V is 0, and all y are

    Turns an element: softmax: MAX 1, SUM 2, OUT 2 + max(1, code), and 1 more for a row's first element; norms: SUM 9,
    VARIANCE 73, and 1 more for the first of each; ROOT 36 + 2h; OUT 26, RMSNorm 27.
    """

    norm_bits_serial = True

    def __init__(self, config):
        capped = "tfl_s8" in config.formats
        super().__init__(CODE_BITS, norm=1, rms=1, k=c.SERIAL_SCALE_BITS, length=c.NORM_LENGTH_BITS,
                         **({"tfl": 1} if capped else {}), **({"eps": c.SERIAL_EPS_BITS} if config.eps else {}))
        # Cycles of a turn: bit 0 is spare, then V, or a remainder and its sign.
        ring, root_bits = widths(config)
        first_root_step = root_bits - 1
        self.constant = Signal()

        # # #

        # States; softmax has its own meaning of some.
        IDLE, LOAD, ELEMENT, NORMALIZE, TRY, RESTORE, SEED = range(7)
        MUL, ADD, FIRST, MORE = ELEMENT, NORMALIZE, TRY, RESTORE
        state = Signal(3)
        cycle = Signal(max=ring)
        # Registers without reset: a row's first element writes them before they are read.
        step = Signal(5, reset_less=True)
        shift = Signal(4, reset_less=True)
        index = Signal(5)               # bit of the stream; stops at SUM_BITS
        streaming = Signal()
        accumulator = Signal(ring, reset_less=True)
        sum_ring = Signal(SUM_BITS, reset_less=True)
        link = Signal(reset_less=True)
        root = Signal(root_bits, reset_less=True)
        carry = Signal(reset_less=True)
        sign = Signal(reset_less=True)
        delayed = Signal(reset_less=True)
        largest = Signal(c.SERIAL_INPUT_BITS, reset_less=True)
        borrow = Signal(reset_less=True)
        product = Signal(PRODUCT_BITS, reset_less=True)

        # What is done in this turn ----------------------------------------------------------------------------
        norm = self.norm
        softmax = Signal()
        first_cycle = Signal()
        last_cycle = Signal()
        p0 = Signal()
        p1 = Signal()
        p2 = Signal()
        p3 = Signal()
        load = Signal()
        element = Signal()      # norms: n * 2^offset is added
        normalize = Signal()
        root_try = Signal()
        root_restore = Signal()
        divide = Signal()
        correct = Signal()
        seed = Signal()
        mul = Signal()          # softmax, as in SoftmaxArea
        add = Signal()
        subtract = Signal()
        self.comb += [
            softmax.eq(~norm),
            first_cycle.eq(cycle == 0),
            last_cycle.eq(cycle == ring - 1),
            p0.eq(self.phase == 0),
            p1.eq(self.phase == 1),
            p2.eq(self.phase == 2),
            p3.eq(self.phase == 3),
            load.eq(state == LOAD),
            element.eq((state == ELEMENT) & norm),
            normalize.eq((state == NORMALIZE) & norm),
            root_try.eq((state == TRY) & norm & p2),
            root_restore.eq((state == RESTORE) & norm & p2),
            divide.eq((state == TRY) & norm & p3),
            correct.eq((state == RESTORE) & norm & p3),
            seed.eq(state == SEED),
            mul.eq((state == MUL) & softmax),
            add.eq((state == ADD) & softmax),
            subtract.eq(state[2] & softmax),
        ]

        # Sequence ------------------------------------------------------------------------------------------------
        found = Signal()            # V * 4^h >= 2^30
        after = Signal()            # the accumulator's bit behind the adder; in the last cycle its sign
        done = Signal()             # softmax: no more S + 1 is taken off
        finished = Signal()
        next_state = Signal(3)
        next_step = Signal(5)
        self.comb += [
            found.eq(Cat(accumulator[32 - ring:], accumulator[0]) != 0),  # in the last cycle, bits 31 and up
            next_state.eq(state),
            next_step.eq(0),
            Case(state, {
                IDLE: If(self.valid,
                    If(softmax,
                        next_state.eq(MUL)
                    ).Elif(p2,
                        next_state.eq(NORMALIZE),
                        If(found,
                            next_state.eq(TRY),
                            next_step.eq(first_root_step)
                        )
                    ).Elif(p3,
                        next_state.eq(Mux(self.rms, SEED, ELEMENT))
                    ).Else(
                        next_state.eq(Mux(self.start, LOAD, ELEMENT))
                    )
                ),
                LOAD: next_state.eq(ELEMENT),
                ELEMENT: [
                    next_step.eq(step + 1),
                    If(~self.valid,
                        next_state.eq(IDLE)     # behind a softmax row; the next one may be another operation's
                    ).Elif(softmax,
                        finished.eq(p0),
                        If(~p0, next_state.eq(ADD))
                    ).Elif(step == Mux(self.phase[0], 8, 7),
                        next_step.eq(0),
                        If(p3,
                            next_state.eq(TRY),
                            next_step.eq(FIRST_QUOTIENT_STEP)
                        ).Elif(p0 | (shift[:3] == 7),
                            next_state.eq(IDLE),
                            finished.eq(1)
                        )
                    )
                ],
                NORMALIZE: [
                    next_step.eq(step ^ 1),
                    If(softmax,
                        next_state.eq(Mux(p2, FIRST, MUL)),
                        finished.eq(~p2)
                    ).Elif(step[0] & (found | (shift == c.SERIAL_ROOT_MAX_H - 1)),
                        next_state.eq(TRY),
                        next_step.eq(first_root_step)
                    )
                ],
                TRY: [
                    next_step.eq(step),
                    If(softmax,
                        next_state.eq(Mux(done, MUL, MORE)),
                        finished.eq(done)
                    ).Elif(p2 | (step == 0),
                        next_state.eq(RESTORE)
                    ).Else(
                        next_step.eq(step - 1)
                    )
                ],
                RESTORE: [
                    next_step.eq(step - 1),
                    If(softmax,
                        next_state.eq(Mux(done, MUL, MORE)),
                        finished.eq(done)
                    ).Elif(p3,
                        next_state.eq(IDLE),
                        finished.eq(1)
                    ).Elif(step == 0,
                        next_state.eq(SEED),
                        next_step.eq(0)
                    ).Else(
                        next_state.eq(TRY)
                    )
                ],
                "default": [    # SEED
                    next_state.eq(Mux(p3, ELEMENT, IDLE)),
                    finished.eq(~p3)
                ],
            }),
        ]
        self.sync += [
            cycle.eq(cycle + 1),
            If(last_cycle,
                cycle.eq(0),
                state.eq(next_state),
                step.eq(next_step),
                # The bit of x that multiplies n in VARIANCE, then h.
                If(load,
                    shift.eq(0)
                ).Elif(normalize & step[0],
                    shift.eq(shift + 1)
                ).Elif(element & p1 & step[3],
                    shift.eq(shift[:3] + 1),
                    shift[3].eq(0)
                ),
                # h = 15 and still nothing found: V is 0.
                *([] if config.eps else [If((state == IDLE) & p2,
                    self.constant.eq(0)
                ).Elif(normalize & step[0],
                    self.constant.eq(~found)
                )]),
                sign.eq(after),
            ),
        ]

        # Streams: bit `index` of Sx, N, D, 2 * D or of a one, from cycle offset + 1 on ------------------------
        offset = Signal(6)
        begins = Signal()
        turning = Signal()          # the rings of Sx and D turn
        root_turning = Signal()
        counts = Signal()
        length_bit = Signal()
        sum_bit = Signal()
        root_bit = Signal()
        twice_root_bit = Signal()
        one = Signal()
        self.comb += [
            offset.eq(
                Mux(element, step[:3], Mux(norm & state[2] & ~seed, step, (add & p2) << 3))
                + Mux(element, shift, 0) + Mux(element & p3, c.NORM_FRACTION_BITS, 0)
            ),
            begins.eq(cycle == offset),
            turning.eq(~(index[4] & index[1])),
            counts.eq(turning | ~index[0] & (root_bits == SUM_BITS)),   # the top bit of 2 * D
            root_turning.eq(turning & ~(index[4] & index[0] & (root_bits < SUM_BITS))),
            Case(index, {i: length_bit.eq(self.length[i]) for i in range(c.NORM_LENGTH_BITS)}),
            sum_bit.eq(Mux(turning, sum_ring[0], sum_ring[-1])),
            root_bit.eq(root[0] & root_turning),
            twice_root_bit.eq(root[-1] & counts & (index != 0)),
            one.eq(streaming & (index == step)),
        ]
        self.sync += [
            streaming.eq((streaming | begins) & ~last_cycle),
            If(begins,
                index.eq(0)
            ).Else(
                index.eq(index + counts)
            ),
        ]

        # x: bits for the norms; for softmax t = m - x, as in SoftmaxArea --------------------------------------
        x_index = Signal(3)
        x_bit = Signal()
        other_x_bit = Signal()
        first_walk = Signal()
        second_walk = Signal()
        offset_x_bit = Signal()
        t_bit = Signal()
        next_borrow = Signal()
        self.comb += [
            x_index.eq(Mux(softmax, cycle[:3], step[:3])),
            Case(x_index, {i: x_bit.eq(self.x[i]) for i in range(8)}),
            Case(shift[:3], {i: other_x_bit.eq(self.x[i]) for i in range(8)}),
            first_walk.eq(mul & (cycle[3:] == 0)),
            second_walk.eq(mul & (cycle[3:] == 1) & p0 & self.valid),
            offset_x_bit.eq(x_bit ^ (cycle[:3] == 7)),
            t_bit.eq(largest[0] ^ offset_x_bit ^ borrow),
            next_borrow.eq((~largest[0] & (offset_x_bit | borrow)) | (offset_x_bit & borrow)),
        ]
        self.sync += [
            If(first_walk | second_walk,
                largest.eq(Cat(largest[1:], Mux(second_walk & (borrow | self.start), offset_x_bit, largest[0])))
            ),
            If(first_walk,
                borrow.eq(next_borrow)
            ).Elif(cycle[4],
                borrow.eq(0)
            ),
        ]

        # product, and e bit by bit, as in SoftmaxArea ---------------------------------------------------------
        counting = Signal()
        addend = Signal(PRODUCT_BITS)
        kept = Signal(PRODUCT_BITS)
        total = Signal(PRODUCT_BITS + 1)
        g = Signal(c.SERIAL_TABLE_BITS)
        g_bit = Signal()
        e_bit = Signal()
        self.comb += [
            counting.eq(add & streaming & turning),
            kept.eq(Mux(first_cycle & (mul | (state == FIRST)), 0, product)),
            addend.eq(
                (self.k & Replicate(t_bit & first_walk, PRODUCT_BITS))
                | Cat(C(0, c.SERIAL_OCTAVE_FRACTION_BITS), counting)
            ),
            total.eq(kept + addend + (subtract & ~sign & first_cycle | first_walk & (cycle[:3] == 7))),
            look_up(product[:4], g),
            Case(product[4:7], {i: g_bit.eq(g[i]) for i in range(8)}),
            e_bit.eq(counting & (product[7:] == 1) & g_bit),
        ]
        self.sync += product.eq(Mux(first_walk, total[1:], total[:-1]))

        # The accumulator: what is added, and whether it is taken off ------------------------------------------
        operand = Signal()
        inverted = Signal()
        before = Signal()
        plain_sum = Signal()
        multiplied = Signal()       # norms: this bit of x, or Sx, counts
        subtracting = Signal()
        loading = Signal()
        eps_bit = Signal()
        if config.eps:
            adds_eps = Signal()
            self.comb += [
                adds_eps.eq((state == IDLE) & norm & p2 & self.valid),
                Case(cycle, {i + 1: eps_bit.eq(self.eps[i] & adds_eps) for i in range(c.SERIAL_EPS_BITS)}),
            ]
            self.sync += If(adds_eps, self.constant.eq(first_cycle | (self.constant & ~accumulator[0])))
        self.comb += [
            subtracting.eq(step[3]),    # Sx, behind the 8 bits of x
            multiplied.eq((other_x_bit | ~p1) & Mux(subtracting, ~self.rms, x_bit)),
            operand.eq(
                (element & multiplied & streaming & Mux(subtracting, sum_bit, Mux(p0, index == 0, length_bit)))
                | ((root_try | root_restore & sign) & streaming & (one | twice_root_bit))
                | ((divide | correct & sign) & streaming & root_bit)
                | e_bit | eps_bit
                | (subtract & ~sign & root[0])
            ),
            # The top bit of x counts negative.
            inverted.eq(
                (element & (subtracting ^ ((~subtracting & (step[:3] == 7)) ^ (p1 & (shift[:3] == 7)))))
                | root_try | (divide & ~sign)
            ),
            before.eq(accumulator[0] ^ inverted),
            plain_sum.eq(before ^ operand ^ carry),
            after.eq(plain_sum ^ inverted),
            loading.eq(mul & self.start),
        ]
        begin = p2 & ~accumulator[0] & ~self.tfl if capped else p2 & ~accumulator[0]
        into = Signal()
        self.comb += [
            into.eq(after),
            If(load, into.eq(0)),
            If(normalize, into.eq(delayed)),
            If(seed, into.eq(streaming & (index < root_bits - 1) & root[1])),
            If(loading, into.eq(begin)),
        ]
        self.sync += [
            accumulator.eq(Cat(accumulator[1:], into)),
            carry.eq(~first_cycle & ((before & operand) | (carry & (before | operand)))),
            delayed.eq(accumulator[0] & ~first_cycle),
        ]

        # Sx and D; in softmax one ring ------------------------------------------------------------------------
        self.sync += [
            If(turning | softmax,
                sum_ring.eq(Cat(sum_ring[1:], Mux(softmax, Mux(loading & p2, ~accumulator[0], root[0]),
                                                  Mux(load, accumulator[0], sum_ring[0]))))
            ),
            link.eq(sum_ring[0]),
            If(root_turning | softmax,
                root.eq(Cat(root[1:], Mux(softmax, link,
                                          ~load & (root[0] | one & root_restore & ~sign))))
            ),
        ]

        # Results ------------------------------------------------------------------------------------------------
        norm_bit = Signal()
        self.comb += [
            done.eq(after | (product[:CODE_BITS] == LAST_CODE) if capped else after),
            self.turn.eq(last_cycle),
            self.ready.eq(last_cycle & finished),
            # The remainder's sign, and where it is inverted the quotient's next bit.
            norm_bit.eq((after ^ divide) & ~self.constant),
            self.result.eq(Cat(Mux(softmax, product[0], norm_bit), product[1:CODE_BITS])),
            self.result_valid.eq(last_cycle & (subtract & done | element & p3 & step[3] | divide)),
        ]

    @property
    def outputs(self):
        return [*super().outputs, self.constant]

    @staticmethod
    def cycles(config, n):
        """Cycles of a row of n elements in each pass, at most: of softmax, then of the norms."""
        softmax = {"max": n + 1, "sum": 2 * n, "out": 2 * n + (n - 1) + LAST_CODE}
        ring, root_bits = widths(config)
        norms = {"sum of x": 9 * n + 1, "variance": 73 * n + 1, "root": 2 * root_bits + 2 + 2 * c.SERIAL_ROOT_MAX_H,
                 "out of norms": 27 * n}
        return {name: ring * turns for name, turns in (softmax | norms).items()}
