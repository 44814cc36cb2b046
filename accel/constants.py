# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The numbers of the arithmetic, each defined here and nowhere else.

`config.py` derives widths from them, `model.py` computes with them, the Migen units are built from them and
`litenorm.firmware.generate` writes them into C. Changing one changes what every part computes.
"""

# Streams -----------------------------------------------------------------------------------------------------

LANES = (1, 2, 4, 8, 16)        # elements a beat may carry
OPS = ("softmax", "layernorm", "rmsnorm")   # the index is the code in the `op` register field
INPUTS = {"s8": 8, "s16": 16}   # element types of a row and their bits
CODE_BITS = 16                  # bits of one output lane of the core
MAX_LENGTH_SOFTMAX = 4096       # sum of e, reciprocal and fraction were sized and tested up to this row length
MAX_LENGTH_LAYERNORM = 1024     # |y| <= sqrt(N - 1) must fit Q5.10
NORM_LENGTH_BITS = MAX_LENGTH_LAYERNORM.bit_length()

# exp2 --------------------------------------------------------------------------------------------------------

SCALE_MULTIPLIER_BITS = 16      # K: octaves per LSB of the logits, mantissa
SCALE_SHIFT_BITS = 5            # s: its exponent
SCALE_HEADROOM = 6              # d = ((t * K) << 6) >> s: lets one LSB be as large as 128 octaves
OCTAVE_BITS = 5                 # d is UQ5.15: integer octaves, saturated ...
OCTAVE_FRACTION_BITS = 15       # ... and their fraction
SEGMENT_BITS = 5                # 32 chords approximate 2^-f over one octave
GRID_BITS = 17                  # chord ends are multiples of 2^-17
EXP_BITS = 22                   # e is UQ1.22; e of the row's maximum is exactly 1

# Exact normalization -----------------------------------------------------------------------------------------

RECIPROCAL_BITS = 18            # R = T * 2^k / S, saturated to 18 bits: one operand of an 18 x 18 multiplier
MIN_FRACTION_BITS = 12          # FB: bits of the carried fraction; ceil(log2 N) + 2 are needed

# LayerNorm, RMSNorm ------------------------------------------------------------------------------------------

NORM_FRACTION_BITS = 10         # y is Q5.10
NORM_BITS = 16
EPS_BITS = 51                   # eps * N^2 in LSB^2, the largest variance term of an s16 row of 1024
ROOT_BITS = 18                  # D = floor(sqrt(V normalized to 36 bits)), 2^17 <= D < 2^18
GAIN_BITS = 18                  # A = N / sqrt(V), mantissa, 2^16 < A < 2^18 ...
GAIN_SHIFT = 24                 # ... = round(N * 2^24 / D), N normalized to the bits of 1024
X_OFFSET = 1 << 15              # the normalizer multiplies x + 2^15, an unsigned number
MEAN_FRACTION_BITS = 32         # mean is UQ16.32, offset by 2^15

# Serial back end: softmax ------------------------------------------------------------------------------------

SERIAL_INPUT_BITS = 8           # elements are s8
SERIAL_SCALE_BITS = 13          # K: octaves per LSB of the logits, UQ1.12
SERIAL_SCALE_FRACTION_BITS = 12
SERIAL_SCALE_MAX = 15 << 9      # of K: octaves of the largest distance, and the counting behind them, stay below 512
SERIAL_OCTAVE_FRACTION_BITS = 4  # d is UQ9.4
SERIAL_TABLE_BITS = 8           # 2^-f over one octave: 16 steps of 8 bits
SERIAL_EXP_BITS = 16            # e is below 2^16; for formats of 16 bits ...
SERIAL_WIDE_EXP_BITS = 22       # ... below 2^22

# Serial back end: LayerNorm, RMSNorm -------------------------------------------------------------------------

SERIAL_SUM_BITS = 18            # sum of 1024 s8, signed
SERIAL_EPS_BITS = 34            # eps * N^2 in LSB^2, as large as V without it
SERIAL_VARIANCE_BITS = 35       # V, up to 2^34, with the eps term below 2^35
SERIAL_ROOT_BITS = 17           # D = floor(sqrt(V * 4^h)), 2^15 <= D < 2^17, with eps D < 2^17.5 ...
SERIAL_ROOT_MAX_H = 15          # ... for every V >= 1

# Gamma, beta and requantization ------------------------------------------------------------------------------

AFFINE_SHIFT_BITS = 5
BETA_SHIFT_BITS = 4


def exp2_grid():
    """Chord ends G[i] = round(2^17 * 2^(-i/32)), i = 0..32: from 2^17 down to exactly 2^16, never increasing."""
    segments = 1 << SEGMENT_BITS
    return [round(2**GRID_BITS * 2 ** (-i / segments)) for i in range(segments + 1)]


def exp2_drops():
    """Drop of each chord, G[i] - G[i + 1]."""
    grid = exp2_grid()
    return [grid[i] - grid[i + 1] for i in range(len(grid) - 1)]


def serial_exp2_table():
    """G[f] = round(255 * 2^(-f/16)), f = 0..15: never increasing, and all above half of the first."""
    steps = 1 << SERIAL_OCTAVE_FRACTION_BITS
    return [round(((1 << SERIAL_TABLE_BITS) - 1) * 2 ** (-f / steps)) for f in range(steps)]
