# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""LiteNormConfig: what a core is built with, and every width that follows from it."""

import math
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from litenorm.accel import constants as c
from litenorm.accel.formats import FORMAT_BITS, FORMATS

BACKENDS = ("parallel", "serial")
SIZES = ("area", "balanced")

# What a field left at None becomes, by back end.
DEFAULTS = {
    "parallel": dict(lanes=4, formats=tuple(FORMATS), inputs=tuple(c.INPUTS), affine=True, masks=True, eps=True),
    "serial": dict(lanes=1, formats=("u8_255",), inputs=("s8",), affine=False, masks=True, eps=False, size="area"),
}
# Softmax formats that a serial core is built with: some of one of these. Those of 16 bits need another unit, which has
# softmax alone.
SERIAL_FORMATS = [("u8_255", "tfl_s8"), ("u16_q15", "tfl_s16", "u16_65535")]


def _is_integer(value):
    """An int, or an integer of NumPy's; True and False are not meant as numbers."""
    return isinstance(value, Integral) and not isinstance(value, bool)


@dataclass(frozen=True)
class LiteNormConfig:
    """Configuration of one core.

    lanes       elements per beat: 1, 2, 4, 8 or 16; serial: 1
    max_length  longest row, elements: 2 to 1024, or to 4096 when only softmax is built
    ops         operations that are built: "softmax", "layernorm", "rmsnorm"
    formats     softmax output formats that are built: names of `formats.FORMATS`; serial: u8_255, tfl_s8,
                or, without norms, those of 16 bits
    inputs      element types of a row that are built: "s8", "s16"; s16 sizes the datapath for both. Serial: "s8"
    affine      build gamma, beta and requantization behind LayerNorm and RMSNorm; serial: no
    backend     "parallel": one beat a cycle. "serial": the smallest core, many cycles an element
    size        serial: "area", bit-serial; "balanced", word-parallel. Both compute the same codes
    masks       rows may have fewer valid elements than beats; parallel: always
    eps         norms: the eps term of a row is added to its variance; parallel: always
    parity      store a parity bit with every beat of the buffers and with every word of gamma and beta: a flip in a
                memory that leaves the row's sum right is reported too
    short_rows  form the constants of a row in fewer cycles, so that rows of few beats follow each other sooner: see
                row_constants.RowConstants. More gates, and a few MHz less. Parallel only

    None stands for the back end's default: 4 lanes and everything that is built, or for the serial one DEFAULTS.
    Results depend on the back end alone: `lanes`, `size`, and `max_length` up to 1024, do not change a single code.
    ValueError says which values are good.
    """

    lanes: int | None = None
    max_length: int = 1024
    ops: tuple = c.OPS
    formats: tuple | None = None
    inputs: tuple | None = None
    affine: bool | None = None
    backend: str = "parallel"
    parity: bool = False
    short_rows: bool = False
    size: str | None = None
    masks: bool | None = None
    eps: bool | None = None

    def __post_init__(self):
        if not isinstance(self.backend, str) or self.backend not in BACKENDS:
            raise ValueError(f"backend is {self.backend!r}; good: {', '.join(BACKENDS)}")
        for field, default in DEFAULTS[self.backend].items():
            if getattr(self, field) is None:
                object.__setattr__(self, field, default)
        if not _is_integer(self.lanes) or self.lanes not in c.LANES:
            raise ValueError(f"lanes is {self.lanes!r}; good: {', '.join(map(str, c.LANES))}")
        object.__setattr__(self, "lanes", int(self.lanes))
        for field, known in (("ops", c.OPS), ("formats", FORMATS), ("inputs", c.INPUTS)):
            value = getattr(self, field)
            try:
                names = (value,) if isinstance(value, str) else tuple(value)
            except TypeError:
                names = ()
            if not names or not all(isinstance(n, str) and n in known for n in names):
                raise ValueError(f"{field} is {names or value!r}; good: one or more of {', '.join(known)}")
            # One order, no doubles: equal cores are equal configs, and caches hit.
            object.__setattr__(self, field, tuple(n for n in known if n in names))
        for field in ("affine", "masks", "eps", "short_rows"):
            value = getattr(self, field)
            if not isinstance(value, (bool, np.bool_)):
                raise ValueError(f"{field} is {value!r}; good: True, False")
            object.__setattr__(self, field, bool(value))
        if self.serial:
            self._check_serial()
        else:
            self._check_parallel()
        limit = c.MAX_LENGTH_LAYERNORM if self.has_norm or self.serial else c.MAX_LENGTH_SOFTMAX
        if not _is_integer(self.max_length) or not 2 <= self.max_length <= limit:
            raise ValueError(f"max_length is {self.max_length!r}; good: 2 to {limit} for ops {', '.join(self.ops)}")
        object.__setattr__(self, "max_length", int(self.max_length))

    def _check_parallel(self):
        for field, good in (("size", None), ("masks", True), ("eps", True)):
            if getattr(self, field) != good:
                raise ValueError(f"{field} is {getattr(self, field)!r}; good: {good} for the parallel back end")

    def _check_serial(self):
        if self.size not in SIZES:
            raise ValueError(f"size is {self.size!r}; good: {', '.join(SIZES)}")
        for field, good in (("lanes", 1), ("inputs", ("s8",)), ("affine", False), ("parity", False),
                            ("short_rows", False)):
            if getattr(self, field) != good:
                raise ValueError(f"{field} is {getattr(self, field)!r}; good: {good!r} for the serial back end")
        groups = SERIAL_FORMATS[:1] if self.has_norm else SERIAL_FORMATS
        if self.has_softmax and not any(set(self.formats) <= set(group) for group in groups):
            raise ValueError(f"formats is {self.formats}; good: one or more of "
                             f"{', or of '.join(', '.join(group) for group in groups)} for the serial back end")

    # What is built -------------------------------------------------------------------------------------------

    @property
    def serial(self):
        return self.backend == "serial"

    @property
    def has_softmax(self):
        return "softmax" in self.ops

    @property
    def has_norm(self):
        """LayerNorm or RMSNorm is built."""
        return "layernorm" in self.ops or "rmsnorm" in self.ops

    @property
    def has_affine(self):
        return self.affine and self.has_norm

    # Streams -------------------------------------------------------------------------------------------------

    @property
    def input_bits(self):
        """Bits of one element of the core's sink."""
        return max(c.INPUTS[n] for n in self.inputs)

    @property
    def length_bits(self):
        """Bits of a row length, 0 to max_length."""
        return self.max_length.bit_length()

    def beats(self, length):
        """Beats of a row of `length` elements."""
        return -(-length // self.lanes)

    @property
    def max_beats(self):
        return self.beats(self.max_length)

    @property
    def max_row_cycles(self):
        """Cycles that no row takes, from its first beat to its last: a bound, far above the usual."""
        if not self.serial:
            return 64 * self.max_length
        return {"area": 4096, "balanced": 128}[self.size] * (self.max_length + 16)

    # Constants of a row --------------------------------------------------------------------------------------

    @property
    def row_steps(self):
        """Quotient bits a cycle of a row's division."""
        return 3 if self.short_rows else 2

    # Softmax -------------------------------------------------------------------------------------------------

    @property
    def fraction_bits(self):
        """FB: bits of the carried fraction. N truncations of 2^-FB each lose at most 1/4 ulp."""
        return max(c.MIN_FRACTION_BITS, (self.max_length - 1).bit_length() + 2)

    @property
    def exp_sum_bits(self):
        """Bits of S, the sum of up to max_length e's of at most 2^EXP_BITS."""
        return (self.max_length << c.EXP_BITS).bit_length()

    @property
    def max_scale(self):
        """Largest scale of the logits, as a real number, that the core takes."""
        return c.SERIAL_SCALE_MAX * 2.0**-c.SERIAL_SCALE_FRACTION_BITS * math.log(2) if self.serial else math.inf

    @property
    def serial_wide(self):
        """A serial core whose softmax formats have 16 bits."""
        return self.serial and self.has_softmax and FORMATS[self.formats[0]].bits == 16

    @property
    def serial_sum_bits(self):
        """Bits of the serial softmax's running value v, two's complement: from -(S + 1) to 256 * e."""
        largest = c.serial_exp2_table()[0] << (c.SERIAL_EXP_BITS - c.SERIAL_TABLE_BITS)
        return (max(self.max_length, 256) * largest).bit_length() + 1

    # LayerNorm -----------------------------------------------------------------------------------------------

    @property
    def eps_bits(self):
        """Bits of the largest eps term of a row; a core takes a larger one as 2^eps_bits - 1."""
        return c.SERIAL_EPS_BITS if self.serial else c.EPS_BITS

    @property
    def sum_bits(self):
        """Bits of the signed sum of a row's elements."""
        return self.input_bits + (self.max_length - 1).bit_length()

    @property
    def square_sum_bits(self):
        """Bits of the sum of a row's squares, each at most 2^(2 * input_bits - 2)."""
        return (self.max_length << (2 * self.input_bits - 2)).bit_length()

    @property
    def variance_bits(self):
        """Bits of V = N * sum(x^2) - (sum x)^2 plus the eps term."""
        return max((self.max_length**2 << (2 * self.input_bits - 2)).bit_length(), c.EPS_BITS) + 1

    # The normalizer ------------------------------------------------------------------------------------------

    @property
    def format_bits(self):
        return FORMAT_BITS

    @property
    def accumulator_bits(self):
        """Bits of the prefix sums, modulo which the telescoping works: 17 integer bits tell all outputs apart."""
        return c.CODE_BITS + 1 + self.fraction_bits
