# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""LayerNorm and RMSNorm, bit-serial: three rings of bits and one full adder."""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.serial.unit import NORM_OUT, NORM_ROOT, NORM_SUM, NORM_VARIANCE, SerialUnit

S_BITS = c.SERIAL_SUM_BITS
DIVIDE_STEPS = c.NORM_BITS - 1


def widths(config):
    """Bits of the ring A, which are those of V, with eps a sign, and a gap; and of D.

    Without eps only RMSNorm of 1024 elements of -128 has a V of 2^34, which the sign's place holds, and a D of 2^17:
    2^17 - 1 gives it the same y.
    """
    return c.SERIAL_VARIANCE_BITS + 1 + config.eps, c.SERIAL_ROOT_BITS + config.eps


class NormArea(SerialUnit):
    """LayerNorm and RMSNorm of s8 rows, Q5.10; y is serial.model_norm's.

    `phase` says which pass it is (unit.NORM_*): SUM adds S = sum x, VARIANCE V = sum x * (N * x - S), ROOT takes one
    element and finds D = floor(sqrt(V * 4^h)), OUT gives y. RMSNorm is the same without S.

    What LayerNorm keeps true in OUT, after each element, of the remainder r and the outputs so far:

        r + D * (sum of y so far) = floor(D / 2) + 2^(h + 10) * (sum of n so far),    n = N * x - S,    0 <= r < D

    The n of a row add up to 0, so the y do. RMSNorm starts every element from r = floor(D / 2).

    The ring A holds in turn S, V, what is left of V in the square root, and r. It turns without pause, LSB first, and
    in each turn one operand is added or subtracted: N, S or D, bit by bit from bit `at` of A on. The rings of S and D
    turn as long as they are the operand. A subtraction is ~(~A + operand), which needs no carry to begin with. There
    is no multiplier and no sum of squares: VARIANCE adds +-x_k * 2^k * n for each bit x_k, with the turns that form n
    in OUT. The division does not restore: the sign after each turn is a digit, and tells what the next turn does.

    The ports of every SerialUnit, and

    length         i: N, valid elements of the row, 1 to max_length
    rms            i: RMSNorm, not LayerNorm; constant within a row (only with both built)
    eps            i: the eps term of the row, added to V (only with config.eps)
    result, result_valid  o: y, one bit, MSB first: 16 times an element in OUT, all before its `ready`
    constant       o: from `ready` of ROOT to the end of OUT: V is 0, and all y are

    Turns, of 36 cycles, with eps 37: SUM 9 an element, VARIANCE 73, and 1 more for the first of each; ROOT 36 + 2h,
    with eps 38 + 2h; OUT 26, RMSNorm 27.
    """

    norm_bits_serial = True     # the register that collects the bits of y is ResultWord's, not counted to the unit

    def __init__(self, config):
        both = {"layernorm", "rmsnorm"} <= set(config.ops)
        super().__init__(1, length=config.length_bits, **({"rms": 1} if both else {}),
                         **({"eps": c.SERIAL_EPS_BITS} if config.eps else {}))
        ring, d_bits = widths(config)
        rms = self.rms if both else C(int("rmsnorm" in config.ops), 1)
        self.constant = Signal()

        # # #

        # Bit p of A passes in cycle p + 1. Cycle 0 is a gap: the carry is cleared, the state is new. Registers
        # without reset: the first element of a pass writes them, or every turn does, before they are read.
        IDLE, LOAD, ELEMENT, NORMALIZE, TRIAL, RESTORE, SEED = range(7)
        state = Signal(3)
        cycle = Signal(max=ring)
        step = Signal(5, reset_less=True)           # of ELEMENT, up; of the square root and the division, down
        h = Signal(4, reset_less=True)              # in VARIANCE the k of x_k
        a = Signal(ring, reset_less=True)
        s = Signal(S_BITS, reset_less=True)
        d = Signal(d_bits, reset_less=True)
        carry = Signal(reset_less=True)
        negative = Signal(reset_less=True)          # A, after the turn before
        delayed = Signal(reset_less=True)           # the bit of A that has just passed
        zero = Signal(reset_less=True)              # V is 0

        # Sequence ------------------------------------------------------------------------------------------------
        in_sum = Signal()
        in_variance = Signal()
        in_root = Signal()
        in_out = Signal()
        load = Signal()
        element = Signal()
        normalize = Signal()
        seed = Signal()
        trial = Signal()
        restore = Signal()
        divide = Signal()
        correct = Signal()
        first_cycle = Signal()
        last_cycle = Signal()
        ends_element = Signal()
        ends_bit = Signal()
        ends_step = Signal()
        large = Signal()
        self.comb += [
            in_sum.eq(self.phase == NORM_SUM),
            in_variance.eq(self.phase == NORM_VARIANCE),
            in_root.eq(self.phase == NORM_ROOT),
            in_out.eq(self.phase == NORM_OUT),
            load.eq(state == LOAD),
            element.eq(state == ELEMENT),
            normalize.eq(state == NORMALIZE),
            seed.eq(state == SEED),
            trial.eq((state == TRIAL) & in_root),
            restore.eq((state == RESTORE) & in_root),
            divide.eq((state == TRIAL) & ~in_root),
            correct.eq((state == RESTORE) & ~in_root),
            first_cycle.eq(cycle == 0),
            last_cycle.eq(cycle == ring - 1),
            ends_element.eq(step == Mux(in_sum, 7, 8)),
            ends_bit.eq(in_variance & (h[:3] != 7)),
            ends_step.eq(step == 0),
            # Bits 30 and up of A, in the last cycle: V * 4^h is at least 2^30.
            large.eq(Cat(a[32 - ring:], a[0]) != 0),
        ]
        self.sync += [
            cycle.eq(cycle + 1),
            If(last_cycle,
                cycle.eq(0),
                Case(state, {
                    IDLE: [
                        step.eq(Mux(in_root & large, d_bits - 1, 0)),
                        *([] if config.eps else [If(in_root, zero.eq(0))]),
                        If(self.valid,
                            If(in_root,
                                state.eq(Mux(large, TRIAL, NORMALIZE))
                            ).Elif(self.start & ~in_out,
                                state.eq(LOAD)
                            ).Else(
                                state.eq(Mux(rms & in_out, SEED, ELEMENT))
                            )
                        )
                    ],
                    LOAD: [
                        h.eq(0),
                        state.eq(ELEMENT),
                    ],
                    ELEMENT: [
                        step.eq(step + 1),
                        If(ends_element,
                            step.eq(Mux(in_out, DIVIDE_STEPS - 1, 0)),
                            If(in_variance, h[:3].eq(h[:3] + 1)),
                            If(in_out,
                                state.eq(TRIAL)
                            ).Elif(~ends_bit,
                                state.eq(IDLE)
                            )
                        )
                    ],
                    NORMALIZE: [
                        step[0].eq(~step[0]),
                        If(step[0],
                            h.eq(h + 1),
                            If(large | (h == c.SERIAL_ROOT_MAX_H - 1),
                                step.eq(d_bits - 1),
                                *([] if config.eps else [zero.eq(~large)]),
                                state.eq(TRIAL)
                            )
                        )
                    ],
                    TRIAL: [
                        If(divide & ~ends_step, step.eq(step - 1)),
                        If(in_root | ends_step, state.eq(RESTORE)),
                    ],
                    RESTORE: [
                        If(~ends_step, step.eq(step - 1)),
                        state.eq(Mux(in_out, IDLE, Mux(ends_step, SEED, TRIAL))),
                    ],
                    "default": state.eq(Mux(in_out, ELEMENT, IDLE)),
                })
            )
        ]

        # The operand: `on` from bit `at` of A, `count` is its bit, and stops behind that of 2 * D -------------------
        at = Signal(6)
        on = Signal(reset_less=True)
        count = Signal(5, reset_less=True)
        begins = Signal()
        runs = Signal()
        s_runs = Signal()
        d_runs = Signal()
        steps_down = Signal()
        self.comb += [
            steps_down.eq((state == TRIAL) | (state == RESTORE)),
            at.eq(Mux(element, step[:3], Mux(steps_down, step, 0)) + Mux(element, h, 0)
                  + Mux(element & in_out, c.NORM_FRACTION_BITS, 0)),
            begins.eq(cycle == at),
            runs.eq(~(count[4] & count[1] & (count[0] | (d_bits < S_BITS)))),
            s_runs.eq(~(count[4] & count[1])),
            d_runs.eq(s_runs & ~(count[4] & count[0] & (d_bits < S_BITS))),
        ]
        self.sync += [
            on.eq((on | begins) & ~last_cycle),
            If(begins, count.eq(0)).Else(count.eq(count + runs)),
        ]
        subtracts_s = Signal()                      # after the 8 bits of x * N
        n_bit = Signal()
        s_bit = Signal()
        d_bit = Signal()
        d_bit_after = Signal()
        root_bit = Signal()
        new_bit = Signal()
        operand = Signal()
        self.comb += [
            subtracts_s.eq(step[3]),
            If(in_sum,
                n_bit.eq(count == 0)                # SUM adds 1 * x
            ).Else(
                Case(count[:4], {i: n_bit.eq(self.length[i] & ~count[4]) for i in range(config.length_bits)})
            ),
            s_bit.eq(Mux(s_runs, s[0], s[-1])),
            d_bit.eq(d[0] & d_runs),
            d_bit_after.eq(d[1] & (count < d_bits - 1)),
            # (2 * D + 2^step), for (D + 2^step)^2 - D^2 = (2 * D + 2^step) * 2^step
            new_bit.eq(on & (count == step)),
            root_bit.eq(new_bit | (d[-1] & runs & (count != 0))),
            operand.eq(on & Mux(element, Mux(subtracts_s, s_bit, n_bit), Mux(in_root, root_bit, d_bit))),
        ]

        # A, and what is added to it -----------------------------------------------------------------------------
        x_bit = Signal()
        x_k = Signal()
        x_k_negative = Signal()
        adds = Signal()
        subtract = Signal()
        addend = Signal()
        eps_bit = Signal()
        total = Signal()
        passed = Signal()
        self.comb += [
            Case(step[:3], {i: x_bit.eq(self.x[i]) for i in range(8)}),
            x_k.eq(1),
            If(in_variance, Case(h[:3], {i: x_k.eq(self.x[i]) for i in range(8)})),
            x_k_negative.eq(in_variance & (h[:3] == 7)),
            If(element,
                adds.eq(x_k & Mux(subtracts_s, ~rms, x_bit)),
                subtract.eq((subtracts_s | (step[:3] == 7)) ^ x_k_negative),
            ).Else(
                adds.eq(trial | divide | ((restore | correct) & negative)),
                subtract.eq(trial | (divide & ~negative)),
            ),
            addend.eq((operand & adds) | eps_bit),
            total.eq(a[0] ^ subtract ^ addend ^ carry),
            passed.eq(total ^ subtract),
        ]
        if config.eps:
            adds_eps = Signal()
            self.comb += [
                adds_eps.eq((state == IDLE) & in_root & self.valid),
                Case(cycle, {i + 1: eps_bit.eq(self.eps[i] & adds_eps) for i in range(c.SERIAL_EPS_BITS)}),
            ]
            self.sync += If(adds_eps, zero.eq(first_cycle | (zero & ~a[0])))
        entering = Signal()
        self.comb += If(load,
            entering.eq(0)
        ).Elif(normalize,
            entering.eq(delayed)                    # A * 2
        ).Elif(seed,
            entering.eq(on & d_bit_after)           # D / 2
        ).Else(
            entering.eq(passed)
        )
        self.sync += [
            carry.eq(~first_cycle & (((a[0] ^ subtract) & addend) | (carry & ((a[0] ^ subtract) | addend)))),
            delayed.eq(a[0] & ~first_cycle),
            a.eq(Cat(a[1:], entering)),
            If(s_runs, s.eq(Cat(s[1:], Mux(load, a[0], s[0])))),
            If(d_runs, d.eq(Cat(d[1:], ~load & (d[0] | (new_bit & restore & ~negative))))),
            If(last_cycle, negative.eq(passed)),
        ]

        # Result --------------------------------------------------------------------------------------------------
        self.comb += [
            self.turn.eq(last_cycle),
            self.ready.eq(last_cycle & ((element & ends_element & ~in_out & ~ends_bit) | correct | (seed & in_root))),
            self.result.eq(~zero & (passed ^ divide)),
            self.result_valid.eq(last_cycle & ((element & in_out & subtracts_s) | divide)),
            self.constant.eq(zero),
        ]

    @property
    def outputs(self):
        return [*super().outputs, self.constant]

    @staticmethod
    def cycles(config, n):
        """Cycles of a row of n elements in each pass, at most."""
        rms = "rmsnorm" in config.ops
        ring, d_bits = widths(config)
        turns = {"sum": 9 * n + 1, "variance": 73 * n + 1, "root": 2 * d_bits + 2 + 2 * c.SERIAL_ROOT_MAX_H,
                 "out": (26 + rms) * n}
        return {name: ring * count for name, count in turns.items()}
