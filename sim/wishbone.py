# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Memory behind the Wishbone masters of a Verilated module.

The slave itself is C++ (``verilated.cpp``); here are its contents and its settings. It replies to classic cycles and to
incrementing bursts (cti 2, then 7; bte 0), after a latency and random waits, with ``ack`` or ``err``; ``dat_r`` is
noise without ``ack``. Checked in every cycle, HandshakeError when broken: a request stays as it is until its reply; a
burst goes on at the next word, in the same direction, and ends with cti = 7; an address is aligned.
"""

import numpy as np

BUS_OUTPUTS = ("cyc", "stb", "we", "adr", "sel", "dat_w", "cti", "bte")  # driven by the master
BUS_INPUTS = ("ack", "err", "dat_r")

# One beat of a log. write: 0 or 1; error: 1 when the reply was err.
BEAT_DTYPE = np.dtype([("cycle", "<u8"), ("address", "<u8"), ("sel", "<u4"), ("write", "u1"), ("error", "u1"),
                       ("cti", "u1"), ("spare", "u1")])

RANGE_LISTS = ("errors", "dead", "readable", "writable", "error_beats", "dead_beats")

BUS_SETTINGS = ("latency", "stall", "bursting", "withdraw", "strict", "noise")


class Memory:
    """Bytes at addresses ``base`` to ``base + size - 1``, shared by the buses of a module and by Python.

    Fresh memory is noise drawn from ``seed``, so that a write to a wrong place, or
    none, shows up against ``snapshot``.
    """

    def __init__(self, base=0, size=1 << 20, seed=0):
        if size <= 0 or base < 0:
            raise ValueError(f"a memory has base >= 0 and size > 0, not {base} and {size}")
        self.base = base
        self._data = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)

    @property
    def data(self):
        """The bytes, uint8 [size]; to be changed in place."""
        return self._data

    def _at(self, address, size):
        offset = address - self.base
        if not 0 <= offset <= self.data.size - size:
            raise ValueError(f"bytes {address:#x} to {address + size - 1:#x} are outside of the memory at "
                             f"{self.base:#x} of {self.data.size:#x} bytes")
        return slice(offset, offset + size)

    def write(self, address, values):
        """Store an array (of any dtype, little-endian) or bytes at a byte address."""
        raw = np.frombuffer(values if isinstance(values, bytes) else np.ascontiguousarray(values).tobytes(), np.uint8)
        self.data[self._at(address, raw.size)] = raw

    def read(self, address, count, dtype=np.uint8):
        """Return ``count`` elements of ``dtype`` from a byte address, as a copy."""
        dtype = np.dtype(dtype)
        return self.data[self._at(address, count * dtype.itemsize)].copy().view(dtype)

    def snapshot(self):
        """Return a copy of all bytes, for ``changed``."""
        return self.data.copy()

    def changed(self, before):
        """Return the addresses of the bytes that differ from an earlier ``snapshot``: the canary check."""
        return np.flatnonzero(self.data != before) + self.base


class BusPort:
    """Settings of the memory's side of one Wishbone master; ``set`` changes them at any time between cycles.

    latency : cycles before the reply to the first beat of an access; 0 replies in the same cycle.
    stall : a Stall or a probability: random waits before any beat.
    bursting : following beats of an incrementing burst cost no latency; False is a slave that ignores cti.
    errors : byte ranges (first, last), both included, that reply ``err``. Outside of the memory is always ``err``.
    dead : byte ranges that never reply; there a master may give up.
    readable, writable : byte ranges; when there are any, an access to another byte is a HandshakeError.
    error_beats : ranges of beat numbers (0: the first since power-up or a cleared log) that reply ``err``.
    dead_beats : ranges of beat numbers that never reply.
    withdraw : requests may be withdrawn before their reply, as by a reset or after a timeout. Else HandshakeError.
    strict : the protocol is checked; False for modules into which faults are put. Ranges are checked all the same.
    noise : probability of an ``ack`` or ``err`` in a cycle in which nothing was asked.
    """

    def __init__(self, name, interface, apply):
        self.name = name
        self.interface = interface
        self.word_bytes = interface.data_width // 8
        self.byte_addressed = int(interface.addressing == "byte")
        self.latency = 1
        self.stall = 0.0
        self.bursting = True
        self.withdraw = False
        self.strict = True
        self.noise = 0.0
        for key in RANGE_LISTS:
            setattr(self, key, [])
        self._apply = apply

    def set(self, **settings):
        """Change settings by name (see the class); those not named stay."""
        for key, value in settings.items():
            if key not in (*BUS_SETTINGS, *RANGE_LISTS):
                raise ValueError(f"no bus setting {key}; there is {', '.join((*BUS_SETTINGS, *RANGE_LISTS))}")
            setattr(self, key, value)
        self._apply(self)

    def inputs(self):
        """Return the dict of port name to Signal that the memory drives."""
        return {f"{self.name}_{pin}": getattr(self.interface, pin) for pin in BUS_INPUTS}

    def outputs(self):
        """Return the dict of port name to Signal that the master drives."""
        return {f"{self.name}_{pin}": getattr(self.interface, pin) for pin in BUS_OUTPUTS}
