# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Reduced widths: edits of the constants that every width follows from. Proportions are those of the full widths."""

from litenorm.formal.edits import Assign, Edit

CONSTANTS = "accel/constants.py"
FORMATS = "accel/formats.py"
ROW_CONSTANTS = "accel/row_constants.py"


def layernorm(input_bits, length, gain_bits, mean_fraction_bits, norm_fraction_bits):
    """x of input_bits instead of 16, A and D of gain_bits instead of 18, rows of up to `length` instead of 1024.

    As at full width k >= 1, and the mean's fraction is long enough for the truncation of N means to be a quarter ulp.
    """
    length_bits = length.bit_length()
    constants = {
        "INPUTS": f'{{"s8": {input_bits}, "s16": {input_bits}}}', "X_OFFSET": 1 << (input_bits - 1),
        "MAX_LENGTH_LAYERNORM": length, "ROOT_BITS": gain_bits, "GAIN_BITS": gain_bits,
        "GAIN_SHIFT": 2 * gain_bits - 1 - length_bits, "NORM_FRACTION_BITS": norm_fraction_bits,
        "MEAN_FRACTION_BITS": mean_fraction_bits, "EPS_BITS": 2 * gain_bits - 1, "MIN_FRACTION_BITS": 2,
        "CODE_BITS": norm_fraction_bits + 4, "NORM_BITS": norm_fraction_bits + 4,
        "EXP_BITS": input_bits, "GRID_BITS": input_bits - 1,
    }
    return (
        *(Assign(CONSTANTS, name, str(value)) for name, value in constants.items()),
        Edit(ROW_CONSTANTS, "mean_bits = 16 +", f"mean_bits = {input_bits} +"),
        Edit(ROW_CONSTANTS, "offset_sum = Signal(config.length_bits + 16)",
             f"offset_sum = Signal(config.length_bits + {input_bits})"),
        Edit(ROW_CONSTANTS, "Cat(C(0, 15), record.length)", f"Cat(C(0, {input_bits - 1}), record.length)"),
    )


def exp2(input_bits, scale_bits, octave_bits, octave_fraction_bits, segment_bits):
    """Logits, scale and octaves of pass 1. 2^octave_bits must exceed EXP_BITS: e of a masked element is then 0."""
    constants = {
        "INPUTS": f'{{"s8": {input_bits}, "s16": {input_bits}}}', "SCALE_MULTIPLIER_BITS": scale_bits,
        "SCALE_SHIFT_BITS": scale_bits, "SCALE_HEADROOM": 2, "OCTAVE_BITS": octave_bits,
        "OCTAVE_FRACTION_BITS": octave_fraction_bits, "SEGMENT_BITS": segment_bits, "EPS_BITS": 2,
    }
    return tuple(Assign(CONSTANTS, name, str(value)) for name, value in constants.items())


def softmax(code_bits, exp_bits, grid_bits, fraction_bits=2):
    """T of 2^code_bits and 2^(code_bits - 1) for 2^16 and 2^8; e of exp_bits and grid_bits instead of 22 and 17.

    R has code_bits + 2 bits, as 18 = 16 + 2; the fraction ceil(log2 N) + 2, or `fraction_bits` if that is more. The
    normalizer never shifts to the left, so the fraction must not be longer than grid_bits + 2.
    """
    b, h = code_bits, code_bits - 1
    return (
        Assign(CONSTANTS, "CODE_BITS", str(b)),
        Assign(CONSTANTS, "EXP_BITS", str(exp_bits)),
        Assign(CONSTANTS, "GRID_BITS", str(grid_bits)),
        Assign(CONSTANTS, "RECIPROCAL_BITS", str(b + 2)),
        Assign(CONSTANTS, "GAIN_BITS", str(b + 2)),
        Assign(CONSTANTS, "ROOT_BITS", str(b + 2)),
        Assign(CONSTANTS, "MIN_FRACTION_BITS", str(fraction_bits)),
        Edit(FORMATS, '("u8_255", 0, 8, 0, 255)', f'("u8_255", 0, {h}, 0, {2**h - 1})'),
        Edit(FORMATS, '("tfl_s8", 1, 8, -128, 256)', f'("tfl_s8", 1, {h}, -{2**(h - 1)}, {2**h})'),
        Edit(FORMATS, '("u16_q15", 2, 16, 0, 1 << 15)', f'("u16_q15", 2, {b}, 0, {2**(b - 1)})'),
        Edit(FORMATS, '("tfl_s16", 3, 16, -(1 << 15), 1 << 16)', f'("tfl_s16", 3, {b}, -{2**(b - 1)}, {2**b})'),
        Edit(FORMATS, '("u16_65535", 4, 16, 0, 65535)', f'("u16_65535", 4, {b}, 0, {2**b - 1})'),
        # Sizes that NumPy has no type for.
        Edit(FORMATS, "> np.iinfo(self.dtype).max", "> 2 ** (self.bits - self.signed) - 1"),
    )
