# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Records that the firmware writes on the UART, between lines for people.

A record is one line, `@<record> key=value key=value ...`; values have no blanks. One that ends with `check=` carries
the CRC32 of the text before it, in 8 hex digits, which is compared and left out. A tensor is a `@tensor` record, then
lines `@hex <byte offset> <hex bytes>` in ascending order, then `@end crc=<CRC32 of the bytes, 8 hex digits>`:

    @tensor path=accel name=output type=s16 rows=2 cols=2
    @hex 0 0100020003000400
    @end crc=92991416
"""

import re
import zlib
from dataclasses import dataclass, field

import numpy as np

from litenorm.sim.errors import ProtocolError

# Types of tensors: names as in C and in the workload image, all little-endian.
DTYPES = {
    "s8": np.dtype("i1"),
    "u8": np.dtype("u1"),
    "s16": np.dtype("<i2"),
    "u16": np.dtype("<u2"),
    "s32": np.dtype("<i4"),
    "u32": np.dtype("<u4"),
}

_INTEGER = re.compile(r"-?\d+")


@dataclass
class Records:
    """What one run said: `records` in order, `tensors` by (path, name)."""

    records: list[dict] = field(default_factory=list)
    tensors: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    def all(self, record, **fields):
        """The records of that name whose fields have the given values."""
        return [r for r in self.records if r["record"] == record and all(r.get(k) == v for k, v in fields.items())]

    def one(self, record, **fields):
        """The only record of that name and with these fields; ProtocolError when there is none, or more than one."""
        found = self.all(record, **fields)
        if len(found) != 1:
            wanted = " ".join([f"@{record}"] + [f"{k}={v}" for k, v in fields.items()])
            raise ProtocolError(f"the firmware sent {len(found)} records {wanted}, 1 was expected")
        return found[0]


def _value(key, text):
    if key == "crc":
        return int(text, 16)
    return int(text) if _INTEGER.fullmatch(text) else text


def parse_record(line):
    """`@name a=1 b=x` as {"record": "name", "a": 1, "b": "x"}: decimal integers as int, `crc` as hexadecimal.

    Raises ValueError for what is not key=value, and when the record's check is not the CRC32 of the text before it.
    """
    line, checked, check = line.rstrip().partition(" check=")
    if checked and check != f"{zlib.crc32(line.encode()):08x}":
        raise ValueError(f"the check of the record is {check}, {zlib.crc32(line.encode()):08x} was expected")
    name, *pairs = line[1:].split()
    record = {"record": name}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"{pair!r} is not key=value")
        record[key] = _value(key, text)
    return record


def parse(log, checked=()):
    """Parse all that the UART sent.

    checked  names of records that have to carry a check

    Returns Records. Raises ProtocolError, naming the line, for a record that is not key=value, for one of `checked`
    without a check, and for a tensor of unknown type, with missing or surplus bytes, without an end, or with a wrong
    CRC.
    """
    result = Records()
    header, data = None, bytearray()
    for number, line in enumerate(log.split("\n"), 1):
        if not re.match(r"@[a-z]", line):
            continue
        try:
            if header is not None and not line.startswith(("@hex ", "@end ")):
                raise ValueError(f"tensor {header['name']} has no @end")
            if line.startswith("@hex "):
                if header is None:
                    raise ValueError("@hex without @tensor")
                _, offset, digits = line.split()
                if int(offset) != len(data):
                    raise ValueError(f"byte offset is {offset}, {len(data)} was expected")
                data += bytes.fromhex(digits)
                continue
            record = parse_record(line)
            if record["record"] in checked and " check=" not in line:
                raise ValueError(f"@{record['record']} without a check")
            if record["record"] == "tensor":
                missing = {"path", "name", "type", "rows", "cols"} - record.keys()
                if missing:
                    raise ValueError(f"@tensor without {', '.join(sorted(missing))}")
                if record["type"] not in DTYPES:
                    raise ValueError(f"type {record['type']!r} is not one of {', '.join(DTYPES)}")
                header, data = record, bytearray()
            elif record["record"] == "end":
                if header is None:
                    raise ValueError("@end without @tensor")
                result.tensors[(header["path"], header["name"])] = _tensor(header, bytes(data), record)
                header = None
            else:
                result.records.append(record)
        except ValueError as e:
            raise ProtocolError(f"UART line {number}: {e}", log) from None
    if header is not None:
        raise ProtocolError(f"the UART ended inside of tensor {header['name']}", log)
    return result


def _tensor(header, data, end):
    dtype, shape = DTYPES[header["type"]], (header["rows"], header["cols"])
    expected = shape[0] * shape[1] * dtype.itemsize
    if len(data) != expected:
        raise ValueError(f"tensor {header['name']} has {len(data)} bytes, {expected} were announced")
    if zlib.crc32(data) != end.get("crc"):
        raise ValueError(f"tensor {header['name']} has CRC {zlib.crc32(data):08x}, {end.get('crc', 0):08x} was sent")
    return np.frombuffer(data, dtype).reshape(shape)
