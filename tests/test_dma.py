# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""soc/dma.py on its generated Verilog, against a memory that checks the bus protocol in every cycle."""

import functools
import zlib

import numpy as np
import pytest
from litex.gen import LiteXModule
from litex.soc.interconnect import stream, wishbone

from litenorm.accel.status import Status
from litenorm.sim.verilated import HandshakeError, SignalDut, Stall, StreamDut
from litenorm.sim.wishbone import Memory
from litenorm.soc.dma import Signature, WishboneReader, WishboneWriter

BASE = 0x1000
SIZE = 1 << 14
MAX_WORDS = 100
BURST = 8
TIMEOUT = 100
WIDTHS = (32, 64, 128)


class Given(LiteXModule):
    """A unit whose transfers come out of a buffer, which holds each of them until it is taken: a cycle more."""

    def __init__(self, dma):
        self.dma = dma
        self.buffer = buffer = stream.Buffer(dma.transfer.description)
        self.transfer = buffer.sink
        self.comb += buffer.source.connect(dma.transfer)


def make(unit, data_width=32, bursting=True, burst=BURST, planted=None, state=False):
    bus = wishbone.Interface(data_width=data_width, address_width=32, bursting=bursting)
    dma = unit(bus, MAX_WORDS, burst_length=burst, timeout=TIMEOUT, bursting=bursting)
    if planted:
        planted(dma)
    reads = unit is WishboneReader
    given = Given(dma)
    sinks = {"transfer": given.transfer} | ({} if reads else {"sink": dma.sink})
    sources = {"source": dma.source} if reads else {}
    signals = {"failed": dma.error, "code": dma.code}
    if not reads:
        signals |= {"row_done": dma.row_done, "busy": dma.busy, "damaged": dma.damaged, "settled": dma.settled}
    inputs = {"window_first": dma.window_first, "window_end": dma.window_end, "stop": dma.stop,
              "bus_fault": dma.bus_fault}
    return StreamDut(given, sinks, sources, signals, inputs, buses={"bus": bus}, memory=Memory(BASE, SIZE),
                     name="reader" if reads else "writer", state=state)


@functools.cache
def cached(unit, data_width=32, bursting=True):
    return make(unit, data_width, bursting)


def restart(dut, seed):
    dut.power_up(seed)
    dut.set(window_first=0, window_end=1 << (len(dut.ports["window_end"][0]) - 1), stop=0, bus_fault=0)
    dut.buses["bus"].set(latency=1, stall=0.0, bursting=True, errors=[], dead=[])


def fresh(unit, *case, **which):
    seed = zlib.crc32(repr((unit.__name__, case, which)).encode())
    print("seed", seed)
    dut = cached(unit, **which)
    restart(dut, seed)
    return dut, np.random.default_rng(seed), seed


def random_transfers(rng, count, word, lowest_stride=0):
    """Word addresses, strides, words, rows; all inside of the memory."""
    out = []
    for _ in range(count):
        words = int(rng.choice([1, 2, BURST - 1, BURST, BURST + 1, rng.integers(1, MAX_WORDS + 1)]))
        rows = int(rng.integers(1, 6))
        stride = int(rng.choice([words, rng.integers(lowest_stride, 3) + words]))
        space = SIZE // word - (rows - 1) * stride - words
        if space < 0:
            rows, stride, space = 1, words, SIZE // word - words
        out.append((BASE // word + int(rng.integers(0, space + 1)), stride, words, rows))
    return out


def transfer_beats(dut, transfers):
    beats = dut.sinks["transfer"].beats(len(transfers))
    for name, column in zip(("address", "stride", "words", "rows"), zip(*transfers, strict=True), strict=True):
        beats[name] = column
    beats["last"] = 1
    return beats


def codes(result):
    """Codes in the cycles with an error; in others they say nothing."""
    failed = np.isin(result.events["code"], result.events["failed"])
    return set(result.values["code"][failed])


def row_words(transfers):
    """Per row, its word addresses."""
    return [address + r * stride + np.arange(words) for address, stride, words, rows in transfers for r in range(rows)]


STALLS = {"none": (0.0, 0.0), "bus": (0.0, Stall(0.2, burst=5)), "stream": (Stall(0.3, burst=6), 0.0),
          "both": (0.4, 0.3)}


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("data_width,bursting", [(32, True), (32, False), (64, True), (128, True)])
def test_reader(data_width, bursting, stall):
    dut, rng, seed = fresh(WishboneReader, stall, data_width=data_width, bursting=bursting)
    word = data_width // 8
    stream_stall, bus_stall = STALLS[stall]
    for latency in (0, 1, 3):
        dut.buses["bus"].set(latency=latency, stall=bus_stall)
        transfers = random_transfers(rng, 12, word)
        words = row_words(transfers)
        total = sum(map(len, words))
        result = dut.run({"transfer": transfer_beats(dut, transfers)},
                         {"source": stream_stall, "transfer": stream_stall}, seed=seed, expect={"source": total},
                         fresh=False)
        got = [np.asarray(row, np.uint8) for row in _rows(result["source"])]
        memory = dut.memory.data.reshape(-1, word)
        assert len(got) == len(words)
        for row, expected in zip(got, words, strict=True):
            assert np.array_equal(row.reshape(-1, word), memory[expected - BASE // word]), f"seed {seed}"
        assert len(result.events["failed"]) == 0


def _rows(capture):
    """The rows of a word stream as bytes: the DMA frames rows by `last` alone."""
    ends = np.flatnonzero(capture.beats["last"]) + 1
    return [part.reshape(-1) for part in np.split(capture.lanes(8), ends)[:-1]]


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("data_width,bursting", [(32, True), (32, False), (64, True), (128, True)])
def test_writer(data_width, bursting, stall):
    dut, rng, seed = fresh(WishboneWriter, stall, data_width=data_width, bursting=bursting)
    word = data_width // 8
    stream_stall, bus_stall = STALLS[stall]
    for latency in (0, 1, 3):
        dut.buses["bus"].set(latency=latency, stall=bus_stall)
        transfers = random_transfers(rng, 12, word)
        words = row_words(transfers)
        rows = [rng.integers(0, 256, (len(w), word), dtype=np.uint8) for w in words]
        sels = [rng.integers(0, 1 << word, len(w)) for w in words]
        expected = dut.memory.snapshot().reshape(-1, word)
        for row, sel, addresses in zip(rows, sels, words, strict=True):
            for data, enable, address in zip(row, sel, addresses, strict=True):
                chosen = (enable >> np.arange(word) & 1).astype(bool)
                expected[address - BASE // word][chosen] = data[chosen]
        beats = dut.sinks["sink"].beats(sum(map(len, words)))
        beats["data"] = dut.sinks["sink"].from_lanes(np.concatenate(rows), 8)
        beats["sel"] = np.concatenate(sels)
        beats["last"][np.cumsum([len(w) for w in words]) - 1] = 1
        result = dut.run({"transfer": transfer_beats(dut, transfers), "sink": beats},
                         {"sink": stream_stall, "transfer": stream_stall}, seed=seed, idle_cycles=600, fresh=False)
        assert np.array_equal(dut.memory.data, expected.reshape(-1)), f"seed {seed}, latency {latency}"
        assert len(result.events["failed"]) == 0
        assert len(result.events["row_done"]) == len(rows)


@pytest.mark.parametrize("unit", [WishboneReader, WishboneWriter])
def test_burst_holds_the_bus_only_while_words_move(unit):
    """With a memory that answers each cycle, a burst of n words takes n + 1 cycles whatever the stream does."""
    dut, rng, seed = fresh(unit, "hold")
    transfers = random_transfers(rng, 20, 4)
    total = sum(words * rows for _, _, words, rows in transfers)
    streams = {"transfer": transfer_beats(dut, transfers)}
    if unit is WishboneWriter:
        ends = np.cumsum([words for _, _, words, rows in transfers for _ in range(rows)]) - 1
        streams["sink"] = dut.sinks["sink"].beats(total)
        streams["sink"]["last"][ends] = 1
    stall = {"source" if unit is WishboneReader else "sink": Stall(0.3, burst=20)}
    dut.run(streams, stall, seed=seed, idle_cycles=600, fresh=False)
    log = dut.bus_log("bus")
    assert len(log) == total
    inside = log["cti"][:-1] == 2
    assert np.all(np.diff(log["cycle"])[inside] == 1)
    lengths = np.diff(np.concatenate([[0], np.flatnonzero(log["cti"] == 7) + 1]))
    assert lengths.max() == BURST and lengths.sum() == total


def test_burst_runs_across_rows_without_a_gap():
    for unit in (WishboneReader, WishboneWriter):
        dut, _, seed = fresh(unit, "gapless")
        streams = {"transfer": transfer_beats(dut, [(BASE // 4, 3, 3, 16)])}
        if unit is WishboneWriter:
            streams["sink"] = dut.sinks["sink"].beats(48)
            streams["sink"]["last"][2::3] = 1
        dut.run(streams, seed=seed, idle_cycles=300, fresh=False)
        log = dut.bus_log("bus")
        assert np.count_nonzero(log["cti"] == 7) == 48 // BURST


def test_words_per_cycle():
    """n + 2 cycles for n words with a memory that answers as LiteX's SRAM: one cycle, then a word a cycle."""
    burst = 64
    dut = make(WishboneReader, burst=burst)
    restart(dut, 1)
    bursts = 16
    streams = {"transfer": transfer_beats(dut, [(BASE // 4, 64, 64, bursts)])}
    dut.run(streams, expect={"source": 64 * bursts}, fresh=False)
    cycles = np.diff(dut.bus_log("bus")["cycle"][[0, -1]])[0] + 1
    assert cycles == (burst + 2) * bursts - 2


def test_first_word_latency():
    """Transfer given in cycle 0: on the bus in cycle 2, word out two cycles after its ack, as the docstring says."""
    dut, _, seed = fresh(WishboneReader, "latency")
    dut.buses["bus"].set(latency=0)
    result = dut.run({"transfer": transfer_beats(dut, [(BASE // 4, 1, 1, 1)])}, expect={"source": 1}, fresh=False)
    assert result.latency("transfer", "source") == 1 + 4


@pytest.mark.parametrize("unit", [WishboneReader, WishboneWriter])
@pytest.mark.parametrize("words_inside", [0, 1, 7, 8, 9, 14, 15])
def test_window_ends_a_transfer_before_the_access(unit, words_inside):
    dut, rng, seed = fresh(unit, "window", words_inside)
    first = BASE // 4 + 16
    dut.set(window_first=first, window_end=first + words_inside)
    streams = {"transfer": transfer_beats(dut, [(first, 5, 5, 3)])}
    if unit is WishboneWriter:
        streams["sink"] = dut.sinks["sink"].beats(15)  # as many as the FIFO takes
        streams["sink"]["last"][4::5] = 1
    result = dut.run(streams, seed=seed, idle_cycles=300, fresh=False)
    assert np.array_equal(dut.bus_log("bus")["address"] // 4, first + np.arange(words_inside))
    assert bool(len(result.events["failed"])) == (words_inside < 15)
    if words_inside < 15:
        assert codes(result) == {Status.OUT_OF_WINDOW}


@pytest.mark.parametrize("unit", [WishboneReader, WishboneWriter])
@pytest.mark.parametrize("fault,code", [("errors", Status.BUS_ERROR), ("dead", Status.BUS_TIMEOUT)])
def test_bus_fault_ends_the_transfer(unit, fault, code):
    for word in (0, 3, 7, 8, 14):
        dut, rng, seed = fresh(unit, fault, word)
        address = BASE + 4 * word
        dut.buses["bus"].set(**{fault: [(address, address + 3)]})
        streams = {"transfer": transfer_beats(dut, [(BASE // 4, 5, 5, 3)])}
        if unit is WishboneWriter:
            streams["sink"] = dut.sinks["sink"].beats(15)
            streams["sink"]["last"][4::5] = 1
        result = dut.run(streams, seed=seed, idle_cycles=300, fresh=False)
        assert codes(result) == {code}
        log = dut.bus_log("bus")
        assert np.count_nonzero(log["error"] == 0) == word
        assert len(log) == word + (fault == "errors")


def test_answer_of_the_interconnects_watchdog_is_a_timeout():
    """LiteX's watchdog answers with an ack and made-up data; its error signal tells it from a slave's answer."""
    bus = wishbone.Interface(data_width=32, address_width=32)
    reader = WishboneReader(bus, MAX_WORDS, burst_length=4, timeout=TIMEOUT)
    transfer = reader.transfer
    dut = SignalDut(reader, {"valid": transfer.valid, "address": transfer.address, "words": transfer.words,
                             "rows": transfer.rows, "fault": reader.bus_fault, "window": reader.window_end,
                             "ack": bus.ack, "err": bus.err},
                    {"failed": reader.error, "code": reader.code, "stb": bus.stb, "out": reader.source.valid})
    dut.set(valid=1, address=16, words=4, rows=1, window=1 << 30)
    dut.run_until("stb")
    dut.set(ack=1, fault=1)
    dut.clock(3)
    dut.settle()
    assert (dut.get("failed"), dut.get("code"), dut.get("stb"), dut.get("out")) == (1, Status.BUS_TIMEOUT, 0, 0)


def test_stop_leaves_the_bus_after_two_accesses():
    """At every cycle of a burst: the open access, and one that tells the slave that the burst ends."""
    seen = set()
    for latency in (0, 1, 3):
        for cycle in range(2 * BURST * (latency + 1)):
            dut, rng, seed = fresh(WishboneReader, "stop", latency, cycle)
            dut.buses["bus"].set(latency=latency, bursting=False)
            dut.set(stop=1)
            dut.run({"transfer": transfer_beats(dut, [(BASE // 4, 25, 25, 1)])}, idle_cycles=20, fresh=False)
            assert len(dut.bus_log("bus")) == 0
            dut.set(stop=0)
            dut.clock(2 + cycle)
            dut.set(stop=1)
            before = len(dut.bus_log("bus", clear=False))
            dut.clock(100)
            log = dut.bus_log("bus")
            assert len(log) <= before + 2 and set(log["cti"][-1:].tolist()) <= {7}, f"latency {latency}, cycle {cycle}"
            # What the bus gave is there, and not more.
            assert np.array_equal(log["address"], BASE + 4 * np.arange(len(log)))
            seen.add(len(log) - before)
    assert seen == {0, 1, 2}


@pytest.mark.parametrize("argument", [{"burst_length": 0}, {"timeout": 0}])
@pytest.mark.parametrize("unit", [WishboneReader, WishboneWriter])
def test_bad_arguments_are_refused(unit, argument):
    with pytest.raises(ValueError, match="good: 1 or more"):
        unit(wishbone.Interface(), MAX_WORDS, **argument)


# Upsets ----------------------------------------------------------------------------------------------


def upsets_of_the_writer(planted=None, upsets=1200):
    """Of single upsets while two transfers are written: how many were without effect, reported, or wrong unseen.

    Reported are those that `damaged` or `error` tells, that leave words unsettled, or that keep the transfer waiting.
    """
    dut = make(WishboneWriter, planted=planted, state=True)
    dut.buses["bus"].set(strict=False)
    rng = np.random.default_rng(1)
    elements = [i for i, e in enumerate(dut.state) if not e.name.startswith("given_")]
    kinds = {"right": 0, "reported": 0, "wrong": 0}
    for _ in range(upsets):
        words, rows, gap = int(rng.integers(1, 2 * BURST)), int(rng.integers(1, 5)), int(rng.integers(0, 3))
        transfer = BASE // 4 + int(rng.integers(100, 200)), words + gap, words, rows
        beats = dut.sinks["sink"].beats(words * rows)
        beats["data"] = rng.integers(0, 1 << 32, beats["data"].shape)
        beats["sel"] = 15
        beats["last"][words - 1 :: words] = 1
        dut.memory.data[:] = 0xa5
        expected = dut.memory.snapshot().view("<u4")
        for r in range(rows):
            at = transfer[0] - BASE // 4 + r * transfer[1]
            expected[at : at + words] = np.asarray(beats["data"]).reshape(-1)[r * words : (r + 1) * words]
        restart(dut, int(rng.integers(1 << 31)))
        i = int(rng.choice(elements))
        e = dut.state[i]
        flip = int(rng.integers(3 * words * rows + 10)), i, int(rng.integers(e.width)), int(rng.integers(e.depth))
        result = dut.run({"transfer": transfer_beats(dut, [transfer]), "sink": beats}, seed=1, idle_cycles=300,
                         hang_cycles=300, fresh=False, flips=[flip])
        reported = (len(result.events["damaged"]) or len(result.events["failed"]) or result.hung
                    or not dut.get("settled") or dut.get("busy"))
        right = np.array_equal(dut.memory.data.view("<u4"), expected)
        kinds["right" if right else "reported" if reported else "wrong"] += 1
    return kinds


def test_no_upset_of_the_writer_goes_unnoticed():
    kinds = upsets_of_the_writer()
    assert kinds["wrong"] == 0 and kinds["reported"] > 100 and kinds["right"] > 100, kinds


def no_walk_check(dma):
    dma.burster.sync += dma.burster.damaged.eq(0)


def no_signature(dma):
    dma.comb += dma.settled.eq(1)


@pytest.mark.parametrize("planted", [no_walk_check, no_signature])
def test_upsets_of_the_writer_without_a_check(planted):
    assert upsets_of_the_writer(planted)["wrong"] > 0


def test_row_that_ends_elsewhere_than_in_its_stream_is_reported():
    for last in (4, 3, 5):
        dut, _, seed = fresh(WishboneWriter, "misframed")
        beats = dut.sinks["sink"].beats(10)
        beats["last"][[last, 9]] = 1
        result = dut.run({"transfer": transfer_beats(dut, [(BASE // 4, 5, 5, 2)]), "sink": beats}, seed=seed,
                         idle_cycles=300, fresh=False)
        assert bool(len(result.events["damaged"])) == (last != 4)


def test_burst_that_would_run_across_a_gap_is_reported():
    """And one that would end at a row's end where there is none: the row's gap is noted twice."""
    dut = make(WishboneWriter, state=True)
    element = next(i for i, e in enumerate(dut.state) if e.name.endswith("gapless"))
    for stride in (5, 6):
        restart(dut, 0)
        dut.buses["bus"].set(strict=False)
        beats = dut.sinks["sink"].beats(10)
        beats["last"][[4, 9]] = 1
        result = dut.run({"transfer": transfer_beats(dut, [(BASE // 4, stride, 5, 2)]), "sink": beats},
                         idle_cycles=300, hang_cycles=300, fresh=False, flips=[(8, element, 0, 0)])
        assert len(result.events["damaged"])


def test_signature_tells_sequences_apart():
    """Any one bit, any two words swapped, a word more."""
    signature = Signature(36)
    dut = SignalDut(signature, {"word": signature.word, "take": signature.take}, {"value": signature.value},
                    name="signature")

    def value(words):
        dut.power_up(0)
        dut.set(take=1)
        for word in words:
            dut.set(word=int(word))
            dut.clock()
        dut.set(take=0, word=5)
        dut.clock()
        dut.settle()
        return dut.get("value")

    rng = np.random.default_rng(3)
    words = rng.integers(0, 1 << 36, 12)
    good = value(words)
    for k in range(12):
        for bit in range(36):
            assert value(np.where(np.arange(12) == k, words ^ (1 << bit), words)) != good
    swapped = words.copy()
    swapped[[2, 7]] = words[[7, 2]]
    assert value(swapped) != good and value(np.append(words, 1)) != good and value(words[:-1]) != good


# The checks above can fail --------------------------------------------------------------------------


def endless_burst(dma):
    dma.burster.comb += dma.bus.cti.eq(2)


def skips_a_word(dma):
    dma.burster.comb += dma.bus.adr[0].eq(1)


@pytest.mark.parametrize("planted", [endless_burst, skips_a_word])
def test_planted_fault_is_found(planted):
    dut = make(WishboneReader, planted=planted)
    restart(dut, 0)
    with pytest.raises(HandshakeError):
        dut.run({"transfer": transfer_beats(dut, [(BASE // 4, 9, 9, 3)])}, expect={"source": 27}, fresh=False)
