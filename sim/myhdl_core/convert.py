# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Verilog of a block."""

import re
import tempfile
from pathlib import Path

from litenorm.sim.myhdl_core.digits import bit_length, divider, square_root
from litenorm.sim.myhdl_core.exponential import exp2, octaves
from litenorm.sim.myhdl_core.norms import norm_constants, norm_increment, statistics
from litenorm.sim.myhdl_core.requantize import affine, clip
from litenorm.sim.myhdl_core.softmax import cap, carried_fraction, formats, reciprocal, softmax_increment
from litenorm.sim.myhdl_core.top import core, memory

_BLOCKS = (affine, bit_length, cap, carried_fraction, clip, core, divider, exp2, formats, memory, norm_constants,
           norm_increment, octaves, reciprocal, softmax_increment, square_root, statistics)
_INSTANCE = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(b.func.__name__ for b in _BLOCKS)})\d+(?:_\d+)*(?=_[a-z])")


def verilog(instance, name):
    """Return the Verilog of a MyHDL block instance as module ``name``, the same text on every call in a process."""
    with tempfile.TemporaryDirectory() as folder:
        instance.convert(hdl="Verilog", path=folder, name=name, testbench=False)
        text = (Path(folder) / f"{name}.v").read_text()
    text = re.sub(r"^\s*//.*\n|^`timescale.*\n", "", text, flags=re.M)  # File name and date are in the comments.
    # MyHDL numbers instances through the whole life of the process: count them from 0, block by block.
    numbers = {}

    def number(match):
        of_block = numbers.setdefault(match[1], {})
        return f"{match[1]}_{of_block.setdefault(match[0], len(of_block))}"

    return re.sub(r"\n{3,}", "\n\n", _INSTANCE.sub(number, text)).lstrip()
