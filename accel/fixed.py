# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Fixed-point building blocks of the datapath, and the pipeline registers they sit between.

Widths are those of the assigned Signal: Verilog truncates where Migen's simulator does not, so every product, sum and
shift here has a Signal of its full width before anything is cut off.
"""

from migen import *

# Pipelines ---------------------------------------------------------------------------------------------------


class Stages:
    """Pipeline registers of `module` behind the clock enable `ce`; data registers need no reset."""

    def __init__(self, module, ce):
        self.module = module
        self.ce = ce

    def reg(self, value, name, shape=None):
        """`value` one cycle later, in a register of `shape` (that of `value` by default)."""
        register = Signal(value_bits_sign(value) if shape is None else shape, name=name, reset_less=True)
        self.module.sync += If(self.ce, register.eq(value))
        return register

    def delay(self, value, cycles, name):
        """`value` `cycles` cycles later."""
        for i in range(cycles):
            value = self.reg(value, f"{name}_d{i + 1}")
        return value

    def follow(self, value, cycles, name):
        """As `delay`, for control signals: the registers start and reset to 0."""
        for i in range(cycles):
            late = Signal(name=f"{name}{i + 1}")
            self.module.sync += If(self.ce, late.eq(value))
            value = late
        return value

    def tree(self, values, combine, name, levels=2):
        """(combined, cycles): values folded pairwise, `levels` levels a cycle, the last level registered.

        values   a power of two of them
        combine  (a, b) -> (expression, shape)
        """
        if len(values) not in (1 << i for i in range(len(values).bit_length())):
            raise ValueError(f"{len(values)} values to fold; good: a power of two")
        cycles = 0
        level = 0
        while len(values) > 1 or cycles == 0:
            for _ in range(levels):
                if len(values) == 1:
                    break
                folded = []
                for i in range(0, len(values), 2):
                    expression, shape = combine(values[i], values[i + 1])
                    node = Signal(shape, name=f"{name}_l{level}_{i // 2}")
                    self.module.comb += node.eq(expression)
                    folded.append(node)
                values = folded
                level += 1
            values = [self.reg(v, f"{name}_s{cycles}_{i}") for i, v in enumerate(values)]
            cycles += 1
        return values[0], cycles


def add(a, b):
    """For Stages.tree: the sum, one bit wider."""
    bits, signed = value_bits_sign(a)
    return a + b, (bits + 1, signed)


def larger(a, b):
    """For Stages.tree: the maximum."""
    return Mux(a > b, a, b), value_bits_sign(a)


# Shifts ------------------------------------------------------------------------------------------------------


def shift_right(stages, value, amount, bits, name):
    """value >> amount, cut to `bits`, two cycles later: first by multiples of 8, then by the rest.

    A signed `value` is shifted arithmetically. `value` and the unsigned `amount` are sampled in the same cycle.
    """
    width, signed = value_bits_sign(value)

    def shifted(value, amount, bits, distance, name):
        """`value` shifted by amount * distance, a multiplexer for each bit of `amount`, cut to `bits`."""
        for i in reversed(range(len(amount))):
            by = distance << i
            moved = Signal((len(value), signed), name=f"{name}{i}")
            # What lies above all that can come down to `bits` is cut as soon as it can be.
            keep = len(value) if signed else min(len(value), bits + by - distance)
            step = Signal((keep, signed), name=f"{name}{i}_out")
            far = Replicate(value[-1], len(value)) if signed else 0
            stages.module.comb += [
                moved.eq(value >> by if by < len(value) else far),
                step.eq(Mux(amount[i], moved, value)),
            ]
            value = step
        return value

    upper = [amount[i] for i in range(3, len(amount))]      # not a slice of a slice, which gets a name of its own
    coarse = shifted(value, upper, bits + 7, 8, f"{name}_by8") if upper else value
    kept_bits = width if signed else min(width, bits + 7)
    kept = stages.reg(coarse[:kept_bits], f"{name}_kept", (kept_bits, signed))
    fine = stages.reg(amount[:3], f"{name}_fine")
    result = Signal((bits, signed), name=f"{name}_by1")
    stages.module.comb += result.eq(shifted(kept, fine, bits, 1, f"{name}_fine"))
    return stages.reg(result, name)


def clip_s(value, bits):
    """Expression: the signed `value` clipped to a signed number of `bits` bits, sign-extended to the value's width.

    No negative constants: LiteX writes them as unsigned literals, which makes a comparison unsigned.
    """
    width, sign = len(value), value[-1]
    high = value[bits - 1 :]
    fits = (high == 0) | (high == 2 ** (width - bits + 1) - 1)
    clipped = Cat(Replicate(~sign, bits - 1), Replicate(sign, width - bits + 1))
    return Mux(fits, Cat(value[: bits], Replicate(sign, width - bits)), clipped)
