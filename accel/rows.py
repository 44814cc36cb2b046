# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Rows: the constants that travel with a row, and which of a beat's lanes are valid."""

from litex.gen import *
from migen import *

from litenorm.accel import constants as c

OP = {name: code for code, name in enumerate(c.OPS)}


def row_params(config):
    """Layout of a row's constants, [(name, bits)]: `param` of the core's sink, constant from first to last.

    op                                 code of constants.OPS
    format                             softmax: code of formats.FORMATS
    length                             valid elements, 1 to max_length; elements from `length` on are masked
    scale_multiplier, scale_shift      softmax: scale.Scale
    eps                                norms: scale.eps_term
    affine, out_s8                     norms: gamma and beta are applied; the result is s8, else s16
    affine_shift, beta_shift           norms: affine.Affine
    """
    return [
        ("op", bits_for(len(c.OPS) - 1)),
        ("format", config.format_bits),
        ("length", config.length_bits),
        ("scale_multiplier", c.SCALE_MULTIPLIER_BITS),
        ("scale_shift", c.SCALE_SHIFT_BITS),
        ("eps", c.EPS_BITS),
        *affine_params(),
    ]


def affine_params():
    """The part of row_params that gamma, beta and requantization need."""
    return [
        ("affine", 1),
        ("out_s8", 1),
        ("affine_shift", c.AFFINE_SHIFT_BITS),
        ("beta_shift", c.BETA_SHIFT_BITS),
    ]


def only(layout, *names):
    """The fields of `layout` that are called one of `names`."""
    return [field for field in layout if field[0] in names]


class LaneMask(LiteXModule):
    """Which lanes of the current beat hold valid elements: mask[j] = (beat * lanes + j < length).

    `advance` is set with each beat that is taken, `last` with the row's last one.
    """

    def __init__(self, config):
        self.length = Signal(config.length_bits)    # i: valid elements of the current row
        self.advance = Signal()                     # i
        self.last = Signal()                        # i
        self.mask = Signal(config.lanes)            # o: in the same cycle

        # # #

        lanes_log2 = log2_int(config.lanes)
        beat = Signal(max=max(config.max_beats, 2))
        full_beats = Signal(config.length_bits)
        self.comb += [
            full_beats.eq(self.length >> lanes_log2),
            If(beat < full_beats,
                self.mask.eq(2**config.lanes - 1)
            ).Elif(beat == full_beats,
                *[self.mask[j].eq(j < self.length[:lanes_log2]) for j in range(config.lanes if lanes_log2 else 0)]
            ),
        ]
        self.sync += If(self.advance, If(self.last, beat.eq(0)).Else(beat.eq(beat + 1)))
