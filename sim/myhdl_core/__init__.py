# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The arithmetic of LiteNorm a second time, in MyHDL: written from its equations, not from the core or its model.

It is meant to be read next to the equations, and to be compared with the core: ``lockstep`` runs it beside the
core's Verilog. One element a cycle, one row at a time, no pipeline: a pass stores the row and gathers its statistics,
a pass forms the exponentials (softmax), a divider and a square root work bit by bit, and a pass emits the row.

    octaves -> exp2 -> reciprocal (divider) -+
                                             +-> carried_fraction -> cap -> affine
    statistics -> norm_constants ------------+
                  (square_root, divider)

Each block is a MyHDL block on plain Signals and converts to Verilog by itself: ``verilog(block(...), name)``.
Registers and memories are as wide as their bounds; MyHDL raises ValueError when a value breaks a bound, so that a
simulation checks the bounds too. ``>>`` floors everywhere.

Two habits follow from the converter: a sum of more than two terms has terms of one signedness, because only an
operator's own operands are made alike, and an index is compared as ``index + 1 == n``, because a comparison with
``n - 1`` in a chain of ``if`` and ``elif`` became a case of a constant.

Written for rows of up to 1024 elements, where the carried fraction has 12 bits.

Modules: `widths` has the widths and bounds, `exponential`, `digits`, `softmax`, `norms` and `requantize` the blocks,
`top` the core of them all, `convert` its Verilog.
"""

from litenorm.sim.myhdl_core.convert import verilog
from litenorm.sim.myhdl_core.digits import bit_length, divider, square_root
from litenorm.sim.myhdl_core.exponential import exp2, octaves
from litenorm.sim.myhdl_core.norms import norm_constants, norm_increment, statistics
from litenorm.sim.myhdl_core.requantize import affine, clip
from litenorm.sim.myhdl_core.softmax import cap, carried_fraction, formats, reciprocal, softmax_increment
from litenorm.sim.myhdl_core.top import core, core_ports, memory
from litenorm.sim.myhdl_core.widths import bits, signed, up_to

__all__ = ["affine", "bit_length", "bits", "cap", "carried_fraction", "clip", "core", "core_ports", "divider", "exp2",
           "formats", "memory", "norm_constants", "norm_increment", "octaves", "reciprocal", "signed",
           "softmax_increment", "square_root", "statistics", "up_to", "verilog"]
