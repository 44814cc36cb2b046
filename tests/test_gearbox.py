# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""soc/gearbox.py on its generated Verilog: words to beats and back, for every pair of widths, under random stalls."""

import functools
import zlib

import numpy as np
import pytest

from litenorm.sim.verilated import Stall, StreamDut
from litenorm.soc.gearbox import Pack, Unpack

WIDTHS = [*((32, lanes) for lanes in (1, 2, 4, 8, 16)), (64, 2), (64, 4), (64, 8), (128, 1), (128, 16)]
LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64)
STALLS = {"none": Stall(), "random": Stall(0.4), "long": Stall(0.1, burst=10)}
LENGTH_BITS = 7


@functools.cache
def unpack_dut(data_width, lanes):
    dut = Unpack(data_width, lanes, LENGTH_BITS)
    return StreamDut(dut, {"sink": dut.sink}, {"source": dut.source}, inputs={"length": dut.length}, name="unpack")


@functools.cache
def pack_dut(data_width, lanes):
    dut = Pack(data_width, lanes, LENGTH_BITS)
    inputs = {"length": dut.length, "wide": dut.wide}
    return StreamDut(dut, {"sink": dut.sink}, {"source": dut.source}, inputs=inputs, name="pack")


def random_rows(rng, rows, length, bits):
    """Signed elements with the extremes among them."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    values = rng.integers(low, high + 1, (rows, length))
    return np.where(rng.random(values.shape) < 0.2, rng.choice([low, -1, 0, 1, high], values.shape), values)


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("data_width,lanes", WIDTHS)
def test_unpack(data_width, lanes, stall):
    seed = zlib.crc32(f"unpack {data_width} {lanes} {stall}".encode())
    rng = np.random.default_rng(seed)
    dut = unpack_dut(data_width, lanes)
    for length in LENGTHS:
        # Narrow and wide rows in one run: the kind of a row must not leak into its neighbours.
        wide = rng.integers(0, 2, 12)
        kind = rng.integers(0, 4, 12)
        rows = [random_rows(rng, 1, length, 16 if w else 8)[0] for w in wide]
        words = [
            dut.sinks["sink"].packets([row], bits=16 if w else 8, wide=int(w), kind=int(k), seed=seed)
            for row, w, k in zip(rows, wide, kind, strict=True)
        ]
        beats = -(-length // lanes)
        dut.power_up(seed)
        dut.set(length=length)
        result = dut.run({"sink": np.concatenate(words)}, {"sink": STALLS[stall], "source": STALLS[stall]}, seed=seed,
                         expect={"source": beats * len(rows)}, fresh=False)
        got = result["source"].packets(bits=16, signed=True)
        assert [len(row) for row in got] == [beats * lanes] * len(rows), f"seed {seed}, length {length}"
        assert np.array_equal([row[:length] for row in got], rows), f"seed {seed}, length {length}"
        assert np.array_equal(result["source"].beats["kind"][::beats], kind), f"seed {seed}, length {length}"


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("data_width,lanes", WIDTHS)
def test_pack(data_width, lanes, stall):
    seed = zlib.crc32(f"pack {data_width} {lanes} {stall}".encode())
    rng = np.random.default_rng(seed)
    dut = pack_dut(data_width, lanes)
    for length in LENGTHS:
        for wide in (0, 1):
            size = 2 if wide else 1
            rows = random_rows(rng, 12, length, 8 * size)
            words = -(-length * size * 8 // data_width)
            dut.power_up(seed)
            dut.set(length=length, wide=wide)
            result = dut.run({"sink": dut.sinks["sink"].packets(rows, bits=16, seed=seed)},
                             {"sink": STALLS[stall], "source": STALLS[stall]}, seed=seed,
                             expect={"source": words * len(rows)}, fresh=False)
            capture = result["source"]
            got = [row[:length] for row in capture.packets(bits=8 * size, signed=True)]
            assert np.array_equal(got, rows), f"seed {seed}, length {length}, wide {wide}"
            # Exactly the row's own bytes are enabled.
            enabled = capture.lanes(1, field="sel").reshape(len(rows), -1)
            assert np.array_equal(enabled, np.tile(np.arange(enabled.shape[1]) < length * size, (len(rows), 1)))


def test_one_word_a_cycle_at_32_bits_and_4_lanes():
    """The bus is never kept waiting: a word a cycle in, and one out."""
    rows = np.zeros((8, 64), np.int64)
    unpack = unpack_dut(32, 4)
    for wide, words in ((0, 16), (1, 32)):
        unpack.power_up()
        unpack.set(length=64)
        result = unpack.run({"sink": unpack.sinks["sink"].packets(rows, bits=16 if wide else 8, wide=wide)},
                            expect={"source": 16 * 8}, fresh=False)
        assert np.array_equal(np.diff(result.accepted["sink"]), np.ones(words * 8 - 1))
    pack = pack_dut(32, 4)
    for wide, words in ((0, 16), (1, 32)):
        pack.power_up()
        pack.set(length=64, wide=wide)
        result = pack.run({"sink": pack.sinks["sink"].packets(rows, bits=16)}, expect={"source": words * 8},
                          fresh=False)
        assert np.array_equal(np.diff(result["source"].cycles), np.ones(words * 8 - 1))


def upsets_of_pack(data_width, lanes, planted=None):
    """Kinds of what came of 600 upsets while rows are packed: right, damaged, framing (rows of another number of words,
    which the writer finds), wrong unseen."""
    pack = Pack(data_width, lanes, LENGTH_BITS)
    if planted:
        planted(pack)
    dut = StreamDut(pack, {"sink": pack.sink}, {"source": pack.source}, signals={"damaged": pack.damaged},
                    inputs={"length": pack.length, "wide": pack.wide}, name="pack", state=True)
    seed = zlib.crc32(f"upsets {data_width} {lanes}".encode())
    rng = np.random.default_rng(seed)
    kinds = {"right": 0, "damaged": 0, "framing": 0, "wrong": 0}
    for _ in range(600):
        length, wide = int(rng.integers(1, 24)), int(rng.integers(2))
        size = 2 if wide else 1
        rows = random_rows(rng, 4, length, 8 * size)
        words = -(-length * size * 8 // data_width)
        dut.power_up(seed)
        dut.set(length=length, wide=wide)
        element = int(rng.integers(len(dut.state)))
        flip = int(rng.integers(6 * words + 4)), element, int(rng.integers(dut.state[element].width)), 0
        result = dut.run({"sink": dut.sinks["sink"].packets(rows, bits=16, seed=seed)}, {"source": 0.3}, seed=seed,
                         idle_cycles=100, fresh=False, flips=[flip])
        capture = result["source"]
        ends = np.flatnonzero(capture.beats["last"]) + 1
        if len(result.events["damaged"]):
            kinds["damaged"] += 1
        elif not np.array_equal(ends, words * (1 + np.arange(4))) or len(capture.beats) != 4 * words:
            kinds["framing"] += 1
        else:
            got = [row[:length] for row in capture.packets_by(capture.beats["last"], 8 * size)]
            want = rows.astype(np.int8 if size == 1 else np.int16)
            sel = capture.lanes(1, field="sel").reshape(4, -1)
            same = np.array_equal(np.array(got).astype(want.dtype), want) and np.array_equal(
                sel, np.tile(np.arange(sel.shape[1]) < length * size, (4, 1)))
            kinds["right" if same else "wrong"] += 1
    return kinds


@pytest.mark.parametrize("data_width,lanes", [(32, 1), (32, 2), (32, 4), (32, 8), (64, 2)])
def test_no_upset_of_pack_goes_unnoticed(data_width, lanes):
    kinds = upsets_of_pack(data_width, lanes)
    assert kinds["wrong"] == 0 and kinds["damaged"] > 0 and kinds["right"] > 0, kinds


def test_upsets_of_pack_without_its_check():
    def planted(pack):
        pack.sync += pack.damaged.eq(0)

    assert upsets_of_pack(32, 1, planted)["wrong"] > 0


def test_row_that_lost_a_beat_is_damaged():
    """A word that is not complete: the number of words is right."""
    dut = Pack(32, 1, LENGTH_BITS)
    dut = StreamDut(dut, {"sink": dut.sink}, {"source": dut.source}, signals={"damaged": dut.damaged},
                    inputs={"length": dut.length, "wide": dut.wide}, name="pack")
    for beats in (8, 7):
        dut.power_up()
        dut.set(length=8, wide=0)
        result = dut.run({"sink": dut.sinks["sink"].packets(np.ones((1, beats), int), bits=16)}, expect={"source": 2},
                         fresh=False)
        assert bool(len(result.events["damaged"])) == (beats == 7)


@pytest.mark.parametrize("argument", [{"data_width": 24}, {"data_width": 8}, {"lanes": 3}, {"lanes": 0}])
@pytest.mark.parametrize("unit", [Unpack, Pack])
def test_bad_widths_are_refused(unit, argument):
    with pytest.raises(ValueError, match="good: a power of two"):
        unit(**{"data_width": 32, "lanes": 4, "length_bits": 8, **argument})
