# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Beats, packets and stalls of LiteX stream endpoints: what the Verilated and the MyHDL harness have in common."""

from dataclasses import dataclass, field

import numpy as np
from migen import Signal

from litenorm.sim.cache import digest
from litenorm.sim.errors import SimulationError


class HandshakeError(SimulationError):
    """A stream source or a bus master broke the rules of its handshake, or a row is framed wrongly."""


class HangError(SimulationError):
    """Nothing moved although work was left, or the cycle limit was reached."""


@dataclass(frozen=True)
class Stall:
    """How a stream is held up: a sink's gaps in valid, or a source's gaps in ready.

    probability : the share of cycles that are stalled, 0 (never) to less than 1.
    burst : mean length of a stall in cycles; None draws every cycle for itself.
    wait_valid : only for a source: ready rises only in answer to valid, in the same cycle.
    """

    probability: float = 0.0
    burst: float | None = None
    wait_valid: bool = False

    def __post_init__(self):
        if not 0 <= self.probability < 1:
            raise ValueError(f"a stall probability is from 0 to less than 1, not {self.probability}")
        if self.burst is not None and self.burst < 1:
            raise ValueError(f"a stall lasts at least one cycle on average, not {self.burst}")

    @classmethod
    def of(cls, stall):
        """Return a Stall of a Stall or a probability."""
        return stall if isinstance(stall, cls) else cls(stall)

    def rates(self):
        """Return the probabilities that a stall begins in a cycle, and that it ends."""
        p = self.probability
        if self.burst is None:
            return p, 1 - p
        return min(1.0, p / (1 - p) / self.burst), 1 / self.burst


def _bits_to_bytes(values, bits):
    """Return uint8 [beats, bytes]: the lanes of each beat in two's complement, lane 0 in the low bits."""
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.integer) and values.dtype != bool:
        raise ValueError(f"lanes are integers, not {values.dtype}")
    if bits > 64:
        raise ValueError(f"a lane is at most 64 bits wide, not {bits}")
    _fits(values, bits)
    if bits in (8, 16, 32, 64):
        return np.ascontiguousarray(values.astype(f"<u{bits // 8}")).view(np.uint8).reshape(len(values), -1)
    each = (values.astype(np.uint64)[..., None] >> np.arange(bits, dtype=np.uint64)).astype(np.uint8) & 1
    return np.packbits(each.reshape(len(values), -1), axis=1, bitorder="little")


def _bytes_to_bits(raw, lanes, bits, signed):
    """Return int64 [beats, lanes] of uint8 [beats, bytes]: the reverse of ``_bits_to_bytes``."""
    if bits in (8, 16, 32, 64):
        view = np.ascontiguousarray(raw[:, :lanes * bits // 8]).view(f"<{'i' if signed else 'u'}{bits // 8}")
        return view.astype(np.int64)
    each = np.unpackbits(raw, axis=1, count=lanes * bits, bitorder="little").reshape(len(raw), lanes, bits)
    values = (each.astype(np.int64) << np.arange(bits)).sum(axis=2)
    return values - ((values >> (bits - 1)) << bits) if signed else values


class StreamPort:
    """The beats of one stream endpoint as a NumPy structured dtype.

    ``dtype`` has one entry per payload and param field, by name, then ``first`` and ``last``. A field of up to 64 bits
    is the next larger unsigned integer, a wider one is uint8[ceil(bits / 8)], little-endian.
    """

    def __init__(self, name, endpoint):
        signals = {f"{name}_{key}": getattr(endpoint, key) for key in ("valid", "ready", "first", "last")}
        for part in ("payload", "param"):
            for key, _ in getattr(endpoint.description, f"{part}_layout"):
                signal = getattr(getattr(endpoint, part), key)
                if not isinstance(signal, Signal):
                    raise ValueError(f"{name}: field {key} is a nested record; flatten the layout")
                signals[f"{name}_{part}_{key}"] = signal
        self.signals = signals
        self._define(name, {port: len(signal) for port, signal in signals.items()})

    @classmethod
    def of_ports(cls, name, widths):
        """Return the StreamPort called ``name`` of a Verilog module.

        widths : dict of port name to bits of all ports of the module; those that count are ``name_payload_*``,
        ``name_param_*``, ``name_first`` and ``name_last``.
        """
        if not {f"{name}_valid", f"{name}_ready"} <= set(widths):
            raise ValueError(f"no stream {name}: there is no port {name}_valid or {name}_ready")
        port = cls.__new__(cls)
        port.signals = None
        port._define(name, widths)
        return port

    def _define(self, name, widths):
        self.name = name
        self.ports = {}
        self.widths = {}
        entries = []
        for part in (f"{name}_payload_", f"{name}_param_"):
            self.ports.update({port[len(part):]: port for port in sorted(widths) if port.startswith(part)})
        self.ports.update({key: f"{name}_{key}" for key in ("first", "last")})
        for key, port in self.ports.items():
            width = self.widths[key] = widths[port]
            size = next((s for s in (1, 2, 4, 8) if width <= 8 * s), None)
            entries.append((key, f"<u{size}") if size else (key, np.uint8, ((width + 7) // 8,)))
        self.dtype = np.dtype(entries)

    def beats(self, count):
        """Return ``count`` beats, all zero, to be filled field by field."""
        return np.zeros(count, self.dtype)

    def from_lanes(self, values, bits, field="data"):
        """Return ``field`` of a run of beats from lane values.

        values : int [beats, lanes], signed or unsigned; ``lanes * bits`` is at most the field's width.
        """
        width = self.widths[field]
        values = np.atleast_2d(np.asarray(values))
        if values.shape[1] * bits > width:
            raise ValueError(f"{self.name}.{field} is {width} bits wide: {values.shape[1]} x {bits} do not fit")
        raw = _bits_to_bytes(values, bits)
        entry = self.dtype[field]
        out = np.zeros((len(values), entry.itemsize), np.uint8)
        out[:, :raw.shape[1]] = raw
        return out if entry.subdtype else out.view(entry).reshape(-1)

    def to_lanes(self, beats, bits=None, signed=False, field="data"):
        """Return int64 [beats, lanes] of ``field``, cut in lanes of ``bits`` (default: one lane)."""
        bits = bits or self.widths[field]
        raw = np.ascontiguousarray(beats[field]).view(np.uint8).reshape(len(beats), self.dtype[field].itemsize)
        return _bytes_to_bits(raw, self.widths[field] // bits, bits, signed)

    def packets(self, rows, bits=None, field="data", pad=None, seed=0, **others):
        """Return the beats of a list of rows, one packet each, framed by first and last.

        rows : int [rows, elements], or a sequence of int [elements] of any lengths.
        bits : width of an element (default: the whole field, one element a beat); a beat takes as many as fit.
        pad : value of the lanes after a row's last element; None draws them at random, for they are don't-care.
        seed : of that draw.
        others : value of each other field, one for all rows or one per row. Fields not named are zero.
        """
        bits = bits or self.widths[field]
        lanes = self.widths[field] // bits
        if lanes == 0:
            raise ValueError(f"{self.name}.{field} is {self.widths[field]} bits wide: {bits} do not fit")
        rows = rows if isinstance(rows, np.ndarray) and rows.ndim == 2 else [np.asarray(row) for row in rows]
        lengths = np.array([len(row) for row in rows], np.int64)
        if len(rows) == 0 or lengths.min() == 0:
            raise ValueError("packets need at least one row, and a row at least one element")
        counts = -(-lengths // lanes)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        total = int(counts.sum())
        if pad is None:
            fill = np.random.default_rng(seed).integers(0, 1 << min(bits, 63), total * lanes, dtype=np.uint64)
            fill = fill.astype(np.int64)
        else:
            fill = np.full(total * lanes, pad, np.int64)
        fill &= (1 << bits) - 1 if bits < 64 else -1
        if isinstance(rows, np.ndarray):
            grid = fill.reshape(len(rows), -1)
            _fits(rows, bits)
            grid[:, :rows.shape[1]] = rows.astype(np.int64)
        else:
            for row, start in zip(rows, starts, strict=True):
                _fits(row, bits)
                fill[start * lanes:start * lanes + len(row)] = row.astype(np.int64)
        beats = self.beats(total)
        mask = (1 << bits) - 1
        beats[field] = self.from_lanes((fill & mask if bits < 64 else fill.view(np.uint64)).reshape(-1, lanes), bits,
                                       field)
        beats["first"][starts] = 1
        beats["last"][starts + counts - 1] = 1
        for other, value in others.items():
            if other not in self.widths:
                raise ValueError(f"{self.name} has no field {other}; it has {', '.join(self.widths)}")
            value = np.asarray(value)
            if value.ndim and len(value) != len(rows):
                raise ValueError(f"{other}: {len(value)} values for {len(rows)} rows")
            _fits(value, self.widths[other])
            beats[other] = np.repeat(value, counts) if value.ndim else value
        self.check(beats)
        return beats

    def check(self, beats):
        """ValueError when ``beats`` is not a run of beats of this endpoint or a value does not fit its field."""
        if not isinstance(beats, np.ndarray) or beats.dtype != self.dtype or beats.ndim != 1:
            raise ValueError(f"{self.name}: beats must be a 1-d array of this port's dtype; see StreamPort.packets")
        for name, width in self.widths.items():
            top = beats[name] if not self.dtype[name].subdtype else beats[name][:, -1]
            spare = width - (8 * (self.dtype[name].itemsize - 1) if self.dtype[name].subdtype else 0)
            if spare < 8 * top.dtype.itemsize and top.size and int(top.max()) >> spare:
                raise ValueError(f"{self.name}.{name} is {width} bits wide: {top.max():#x} does not fit")


def _fits(values, bits):
    if values.size and (int(values.max()) >> bits > 0 or int(values.min()) < -(1 << (bits - 1))):
        raise ValueError(f"values from {values.min()} to {values.max()} do not fit {bits} bits")


@dataclass
class Capture:
    """What left one source: ``beats`` (structured array) and ``cycles`` (the cycle each was taken in)."""

    port: StreamPort
    beats: np.ndarray
    cycles: np.ndarray

    def lanes(self, bits=None, signed=False, field="data"):
        """Return int64 [beats, lanes] of ``field``."""
        return self.port.to_lanes(self.beats, bits, signed, field)

    def packets(self, bits=None, signed=False, field="data"):
        """Return a list of int64 [elements], one per packet; HandshakeError when they are not framed."""
        last = self.beats["last"] != 0
        first = self.beats["first"] != 0
        if len(last) and not (last[-1] and first[0] and np.array_equal(first[1:], last[:-1])):
            raise HandshakeError(f"{self.port.name}: packets are not framed by first and last")
        return self.packets_by(last, bits, signed, field)

    def packets_by(self, last, bits=None, signed=False, field="data"):
        """Return what ``packets`` does, with the last beats of packets marked by ``last``, whatever the framing."""
        lanes = self.lanes(bits, signed, field)
        return [part.reshape(-1) for part in np.split(lanes, np.flatnonzero(last)[:-1] + 1)] if len(last) else []


@dataclass(frozen=True)
class ResetRecord:
    """One reset in a run: its cycle, the next beat each sink sent after it, the beats each source had given."""

    cycle: int
    sinks: dict
    sources: dict


@dataclass
class Result:
    """Outcome of one run. ``result["source"]`` is the Capture of that source.

    cycles : length of the run; cycle 0 is the first one after reset.
    accepted : per sink, the cycle in which each beat was taken (-1: skipped by a reset).
    events : per watched signal, the cycles in which it was not zero; ``values`` holds what it was.
    resets : a ResetRecord for each reset in the run.
    hung : the run ended because nothing moved (only a run with flips; others raise).
    """

    seed: int
    cycles: int
    sources: dict
    accepted: dict
    events: dict
    values: dict
    resets: list = field(default_factory=list)
    hung: bool = False

    def __getitem__(self, source):
        return self.sources[source]

    def latency(self, sink="sink", source="source"):
        """Return the cycles from the first beat taken by ``sink`` to the first beat of ``source``."""
        return int(self.sources[source].cycles[0]) - int(self.accepted[sink][0])


def subseed(seed, name):
    """Return the 64-bit seed of one stream: streams of one run must not share their random numbers."""
    return int(digest(f"{seed}/{name}"), 16)
