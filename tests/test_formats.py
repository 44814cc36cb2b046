# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/formats.py: codes, types and totals of the softmax formats."""

import numpy as np
import pytest

from litenorm.accel.formats import FORMAT_BITS, FORMATS, get_format

# name: dtype, zero point, total, capped
TABLE = {
    "u8_255": ("uint8", 0, 255, False),
    "tfl_s8": ("int8", -128, 256, True),
    "u16_q15": ("uint16", 0, 32768, False),
    "tfl_s16": ("int16", -32768, 65536, True),
    "u16_65535": ("uint16", 0, 65535, False),
}


def test_table():
    """The formats are an interface: stored rows and drivers rely on them."""
    assert {f.name: (f.dtype.name, f.zero_point, f.total, f.capped) for f in FORMATS.values()} == TABLE
    assert list(FORMATS) == list(TABLE) and all(name == f.name for name, f in FORMATS.items())


def test_codes_are_a_register_field():
    assert [f.code for f in FORMATS.values()] == list(range(len(FORMATS)))
    assert FORMAT_BITS == 3


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_a_row_fits_the_type(fmt):
    info = np.iinfo(fmt.dtype)
    assert fmt.dtype.itemsize * 8 == fmt.bits and fmt.signed == (info.min < 0)
    assert info.min <= fmt.zero_point
    # All but T itself has a code, and T has one unless the format is capped.
    assert fmt.zero_point + fmt.total - 1 <= info.max
    assert (fmt.zero_point + fmt.total <= info.max) == (not fmt.capped)


def test_get_format():
    assert get_format("tfl_s8") is FORMATS["tfl_s8"] is get_format(FORMATS["tfl_s8"])
    with pytest.raises(ValueError, match="^unknown softmax format 'u8'; known: u8_255, tfl_s8, u16_q15, tfl_s16, u16_"):
        get_format("u8")
    with pytest.raises(ValueError, match=r"^unknown softmax format \['u8_255'\]; known: u8_255"):
        get_format(["u8_255"])
