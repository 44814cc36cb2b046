# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""sim/protocol.py: records and tensors between lines for people, and every way in which they can be wrong."""

import zlib

import numpy as np
import pytest

from litenorm.sim.errors import ProtocolError
from litenorm.sim.protocol import DTYPES, parse


def tensor_lines(values, kind="s16", path="accel", chunk=8):
    """What the firmware sends for a tensor."""
    data = np.ascontiguousarray(values, DTYPES[kind]).tobytes()
    rows, cols = values.shape
    lines = [f"@tensor path={path} name=output type={kind} rows={rows} cols={cols}"]
    lines += [f"@hex {i} {data[i:i + chunk].hex()}" for i in range(0, len(data), chunk)]
    return lines + [f"@end crc={zlib.crc32(data):08x}"]


def test_records_are_found_between_lines_for_people():
    log = "LiteNorm\n@info lanes=4 cpu=VexRiscv\nmail a@b now\n@cycles path=cpu total=-12\n@ no\n"
    assert parse(log).records == [
        {"record": "info", "lanes": 4, "cpu": "VexRiscv"},
        {"record": "cycles", "path": "cpu", "total": -12},
    ]


def test_crc_of_digits_alone_is_hexadecimal():
    assert parse("@stage path=cpu name=q crc=00000010").one("stage")["crc"] == 16


@pytest.mark.parametrize("kind", DTYPES)
def test_tensor_of_each_type(kind):
    info = np.iinfo(DTYPES[kind])
    values = np.array([[info.min, info.max, 1], [0, 2, 3]])
    lines = tensor_lines(values, kind)
    lines.insert(2, "a line for people")
    tensor = parse("\n".join(lines)).tensors["accel", "output"]
    assert tensor.dtype == DTYPES[kind]
    np.testing.assert_array_equal(tensor, values)


def changed(index, old, new):
    lines = tensor_lines(np.arange(12).reshape(3, 4))
    assert old in lines[index]
    lines[index] = lines[index].replace(old, new)
    return "\n".join(line for line in lines if line)


MATRIX = tensor_lines(np.arange(12).reshape(3, 4))

BAD = {
    "wrong crc": (changed(-1, "crc=", "crc=1"), "has CRC"),
    "flipped bit": (changed(1, "0000", "0001"), "has CRC"),
    "lost line": ("\n".join(MATRIX[:2] + MATRIX[3:]), "byte offset is 16, 8 was expected"),
    "lost last line": ("\n".join(MATRIX[:3] + MATRIX[4:]), "24 were announced"),
    "no end": ("\n".join(tensor_lines(np.arange(4).reshape(2, 2))[:-1]), "ended inside of tensor output"),
    "record inside": ("\n".join(tensor_lines(np.arange(4).reshape(2, 2))[:-1] + ["@rows path=cpu"]), "has no @end"),
    "unknown type": (changed(0, "s16", "f32"), "'f32' is not one of s8"),
    "no type": (changed(0, "type=s16", ""), "@tensor without type"),
    "odd digits": (changed(1, "0000", "000"), "non-hexadecimal"),
    "hex alone": ("@hex 0 00", "@hex without @tensor"),
    "end alone": ("@end crc=00000000", "@end without @tensor"),
    "not key=value": ("@info lanes", "'lanes' is not key=value"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_record_is_one_line_with_its_number(name):
    log, message = BAD[name]
    with pytest.raises(ProtocolError) as error:
        parse(log)
    assert message in str(error.value)
    assert "UART" in str(error.value) and "\n" not in str(error.value)


def test_one_wants_exactly_one():
    records = parse("@rows path=cpu n=1\n@rows path=accel n=2\n")
    assert records.one("rows", path="accel")["n"] == 2
    with pytest.raises(ProtocolError, match="sent 2 records @rows, 1 was expected"):
        records.one("rows")
    with pytest.raises(ProtocolError, match="sent 0 records @rows path=fpga"):
        records.one("rows", path="fpga")


def test_a_record_with_a_check():
    """CRC-32 of the text before it, as zlib.crc32 gives it; it is no field of the record."""
    assert parse("@a b=1 check=ca9f0dc6\n").records == [{"record": "a", "b": 1}]
    for line in ("@a b=2 check=ca9f0dc6", "@a b=1 check=ca9f0dc7", "@a b=1 check="):
        with pytest.raises(ProtocolError, match="UART line 1: the check of the record is"):
            parse(line)
