# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""soc/dram.py on LiteDRAM's controller and SDRAM model, Verilated: words, canaries, window, resets, words per cycle."""

import functools
import json

import numpy as np
import pytest
from litedram.common import LiteDRAMNativePort
from litedram.phy.model import SDRAMPHYModel
from litex.build.generic_platform import CRG, Pins
from litex.build.sim import SimPlatform
from litex.gen import *
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import LiteNormConfig
from litenorm.accel.status import Status
from litenorm.bench import dram as bench
from litenorm.bench.dram import MEMORIES, ORIGIN, Dram
from litenorm.sim.jobs import random_job
from litenorm.sim.verilated import SignalDut, Stall, StreamDut
from litenorm.soc import add_litenorm
from litenorm.soc.dram import NativeReader, NativeWriter, PortGuard

BURST = 16      # words, of the benches here: many bursts in short transfers
USED = 2048     # words of the memory that are looked at
STOP, RESET = 1, 2
COMMANDS = {"reader": "read_command", "writer": "write_command"}
STALLS = {"none": 0.0, "random": 0.3, "bursts": Stall(0.5, burst=40)}


class Bench:
    """Reader and writer with their streams outside, and what is in the memory."""

    def __init__(self, name):
        top = Dram(name, copy=False, burst_length=BURST, timeout=1000)
        self.word = top.data_width // 8
        self.base = ORIGIN // self.word
        self.end = (ORIGIN + top.size) // self.word
        units = {"reader": top.reader, "writer": top.writer}
        self.address_mask = 2 ** (len(top.commands[0]) - 1) - 1
        reset, stopped, was_cut = Signal(name="reset_now"), Signal(name="stopped"), Signal(name="was_cut")
        # What is left for the writer behind a cut is swallowed.
        data = stream.Endpoint(top.writer.sink.description)
        top.comb += [
            data.connect(top.writer.sink, omit={"valid", "ready"}),
            top.writer.sink.valid.eq(data.valid & ~was_cut),
            data.ready.eq(top.writer.sink.ready | was_cut),
        ]
        sinks = {"fill": top.fill.sink, "dump_address": top.dump.sink, "data": data}
        signals, inputs = dict(zip(COMMANDS.values(), top.commands, strict=True)), [reset]
        for key, unit in units.items():
            # What is left of a transfer behind a cut or an error is taken back.
            transfer = sinks[f"{key}_transfer"] = stream.Endpoint(unit.transfer.description)
            top.comb += [
                transfer.connect(unit.transfer, omit={"valid", "ready"}),
                unit.transfer.valid.eq(transfer.valid & ~was_cut),
                transfer.ready.eq(unit.transfer.ready | was_cut | unit.error),
            ]
            signals |= {f"{key}_error": unit.error, f"{key}_busy": unit.busy, f"{key}_on_bus": unit.on_bus}
            for port in ("window_first", "window_end"):
                outer = Signal(len(getattr(unit, port)), name=f"{key}_{port}")
                top.comb += getattr(unit, port).eq(outer)
                inputs.append(outer)
            top.comb += unit.stop.eq(stopped)
            code = Signal(len(unit.code), name=f"{key}_status")
            top.comb += If(unit.error, code.eq(unit.code))
            signals[f"{key}_status"] = code
        signals |= {"row_done": top.writer.row_done, "damaged": top.writer.damaged, "settled": top.writer.settled}
        # Stop or reset, a number of cycles after the first transfer has begun.
        self.kind, at, age, cut = Signal(2, name="cut_kind"), Signal(16, name="cut_at"), Signal(16), Signal(name="cut")
        begun = Signal()
        top.comb += [
            stopped.eq((cut | was_cut) & (self.kind == STOP)),
            cut.eq((self.kind != 0) & begun & (age == at)),
            top.reset_units.eq(reset | (cut & (self.kind == RESET))),
        ]
        top.sync += [
            was_cut.eq((self.kind != 0) & (was_cut | cut)),
            If(top.reader.burster.begin, begun.eq(1)),
            If(self.kind == 0, begun.eq(0), age.eq(0)).Elif(begun, age.eq(age + 1)),
        ]
        inputs += [self.kind, at]
        signals["cut"] = cut
        self.dut = StreamDut(top, sinks, {"read": top.reader.source, "dump": top.dump.source}, signals, inputs,
                             name="dram_bench")

    def bytes_of(self, column):
        """uint8 [words, bytes] of a column of words."""
        return np.ascontiguousarray(column).view(np.uint8).reshape(len(column), -1)

    def words_of(self, dtype, data):
        return data if dtype.ndim else np.ascontiguousarray(data).view(dtype).reshape(-1)

    def fill(self, seed, place=0):
        """A fresh model, noise in USED words from `place` on; returns them, uint8 [words, bytes]."""
        self.dut.power_up(seed)
        self.place = place
        rng = np.random.default_rng(seed)
        data = rng.integers(0, 256, (USED, self.word), dtype=np.uint8)
        beats = self.dut.sinks["fill"].beats(USED)
        beats["address"] = place + np.arange(USED)
        beats["data"] = self.words_of(beats.dtype["data"], data)
        self.open()
        self.dut.run({"fill": beats}, fresh=False, idle_cycles=200)
        return rng, data

    def open(self, first=0, words=None):
        """The window: from word `first` of the memory, `words` words."""
        end = self.end if words is None else self.base + first + words
        for unit in ("reader", "writer"):
            self.dut.set(**{f"{unit}_window_first": self.base + first, f"{unit}_window_end": end})

    def reset(self):
        """As the engine does between jobs."""
        self.dut.set(reset_now=1)
        self.dut.clock(2)
        self.dut.set(reset_now=0)
        self.open()

    def dump(self):
        beats = self.dut.sinks["dump_address"].beats(USED)
        beats["address"] = self.place + np.arange(USED)
        result = self.dut.run({"dump_address": beats}, fresh=False, expect={"dump": USED})
        return self.bytes_of(result["dump"].beats["data"])[:, : self.word]

    def transfers(self, unit, shapes):
        """Beats of transfers (first word, stride, words, rows)."""
        beats = self.dut.sinks[f"{unit}_transfer"].beats(len(shapes))
        for beat, (first, stride, words, rows) in zip(beats, shapes, strict=True):
            beat["address"], beat["stride"] = self.base + self.place + first, stride
            beat["words"], beat["rows"] = words, rows
        return beats

    def data(self, rng, shapes):
        """(beats for the writer, [(word, bytes, enables)])"""
        written, lasts = [], []
        for first, stride, words, rows in shapes:
            for row in range(rows):
                for i in range(words):
                    sel = (1 << self.word) - 1 if rng.random() < 0.8 else int(rng.integers(1 << min(self.word, 62)))
                    written.append((first + row * stride + i, rng.integers(0, 256, self.word, dtype=np.uint8), sel))
                    lasts.append(i == words - 1)
        beats = self.dut.sinks["data"].beats(len(written))
        beats["data"] = self.words_of(beats.dtype["data"], np.array([data for _, data, _ in written]))
        beats["sel"], beats["last"] = [sel for *_, sel in written], lasts
        return beats, written


@functools.cache
def bench_of(name):
    return Bench(name)


def shapes_of(rng, count, low, high):
    """Transfers inside [low, high) that do not overlap: one word, whole bursts, rows with gaps and without."""
    cuts = np.sort(rng.choice(np.arange(low, high), 2 * count, replace=False)).reshape(count, 2)
    shapes = []
    for first, end in cuts.tolist():
        room = end - first
        words = int(rng.integers(1, min(room, 70) + 1))
        stride = words + int(rng.choice([0, 0, 1, rng.integers(40)]))
        rows = int(rng.integers(1, 1 + max((room - words) // stride + 1, 1)))
        shapes.append((first, stride, words, rows))
    return shapes


def indices(shapes):
    return [first + row * stride + i for first, stride, words, rows in shapes for row in range(rows)
            for i in range(words)]


def apply(memory, written):
    for index, data, sel in written:
        enabled = [sel >> b & 1 for b in range(len(data))]
        memory[index] = np.where(enabled, data, memory[index])


# Words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("name", MEMORIES)
def test_random_transfers(name, stall):
    """Both at once, in different parts of the memory: the words read, the words written, and nothing else changed."""
    b = bench_of(name)
    for seed in range(3):
        rng, memory = b.fill(seed, place=seed * 1000)
        reads, writes = shapes_of(rng, 5, 0, USED // 2), shapes_of(rng, 5, USED // 2 + 8, USED - 8)
        data, written = b.data(rng, writes)
        result = b.dut.run(
            {"reader_transfer": b.transfers("reader", reads), "writer_transfer": b.transfers("writer", writes),
             "data": data},
            stall={"read": STALLS[stall], "data": STALLS[stall]}, seed=seed, fresh=False, idle_cycles=1500,
            expect=None)
        read = result["read"].beats
        assert np.array_equal(b.bytes_of(read["data"])[:, : b.word], memory[indices(reads)]), f"seed {seed}"
        assert read["last"].tolist() == [int(i == words - 1) for _, _, words, rows in reads for _ in range(rows)
                                         for i in range(words)], f"seed {seed}"
        assert len(result.events["row_done"]) == sum(rows for *_, rows in writes)
        assert not len(result.events["damaged"]) and result.events["settled"][-1] == result.cycles - 1
        assert not len(result.events["reader_error"]) and not len(result.events["writer_error"])
        # Each word by one command, in order, and no other command.
        for key, shapes in (("read", reads), ("write", writes)):
            commands = (result.values[f"{key}_command"] & np.uint64(b.address_mask)).tolist()
            assert commands == [b.place + i for i in indices(shapes)], f"{key}, seed {seed}"
        apply(memory, written)
        assert np.array_equal(b.dump(), memory), f"seed {seed}"


# What is not allowed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MEMORIES)
@pytest.mark.parametrize("unit", ["reader", "writer"])
def test_window_ends_a_transfer(name, unit):
    """Words up to the window's end are moved, none behind it, and the error says why."""
    b = bench_of(name)
    rng, memory = b.fill(1)
    b.open(first=100, words=57)
    shapes = [(100, 80, 80, 1)]
    beats = {f"{unit}_transfer": b.transfers(unit, shapes)}
    if unit == "writer":
        beats["data"], written = b.data(rng, shapes)
    result = b.dut.run(beats, fresh=False, idle_cycles=1500)
    assert set(result.values[f"{unit}_status"].tolist()) == {int(Status.OUT_OF_WINDOW)}
    if unit == "reader":
        assert np.array_equal(b.bytes_of(result["read"].beats["data"])[:, : b.word], memory[100:157])
    else:
        apply(memory, written[:57])
    assert len(result.events[COMMANDS[unit]]) == 57
    b.reset()
    assert np.array_equal(b.dump(), memory)


def test_memory_ends_a_transfer():
    """Behind the memory there is nothing, whatever the window says."""
    b = bench_of("SDR, 32 bits")
    b.fill(2)
    past = b.end - b.base - b.place
    for shapes in ([(past - 5, 10, 10, 1)], [(-1, 10, 10, 1)]):
        b.open()
        b.dut.set(reader_window_first=0, reader_window_end=2**30)
        result = b.dut.run({"reader_transfer": b.transfers("reader", shapes)}, fresh=False, idle_cycles=500)
        assert set(result.values["reader_status"].tolist()) == {int(Status.OUT_OF_WINDOW)}
        assert len(result.events["read_command"]) == len(result["read"].beats) == (5 if shapes[0][0] > 0 else 0)
        b.reset()


# Stop and reset ----------------------------------------------------------------------------------------------

SOURCE, TARGET, WORDS = 64, 1000, 600


def cut_transfers(b, rng, kind, cycle):
    """Run a transfer of each unit which is cut `cycle` cycles after its start."""
    data, written = b.data(rng, [(TARGET, WORDS, WORDS, 1)])
    b.dut.set(cut_kind=kind, cut_at=cycle)
    result = b.dut.run({"reader_transfer": b.transfers("reader", [(SOURCE, WORDS, WORDS, 1)]), "data": data,
                        "writer_transfer": b.transfers("writer", [(TARGET, WORDS, WORDS, 1)])},
                       fresh=False, idle_cycles=500)
    b.dut.set(cut_kind=0)
    return result, written


def check_cut(b, memory, written):
    """The words of the target are the old ones, or up to some place the new ones; all else is as it was."""
    now = b.dump()
    new = memory.copy()
    apply(new, written)
    same = [np.array_equal(now[index], new[index]) for index, *_ in written]
    moved = same.index(False) if False in same else len(same)
    apply(memory, written[:moved])
    assert np.array_equal(now, memory)


@pytest.mark.parametrize("kind", [STOP, RESET], ids=["stop", "reset"])
@pytest.mark.parametrize("name", MEMORIES)
def test_cut_transfers(name, kind):
    """Stop: two more commands at most, on_bus falls, and what was commanded is moved. Reset: nothing of before comes
    into the next transfer. Afterwards both units work."""
    b = bench_of(name)
    rng, memory = b.fill(3)
    for cycle in rng.integers(4, 400, 10).tolist():
        result, written = cut_transfers(b, rng, kind, cycle)
        cut = result.events["cut"][0]
        for unit in ("reader", "writer"):
            commands = result.events[COMMANDS[unit]]
            assert (commands > cut).sum() <= (2 if kind == STOP else 0), f"{unit}, cycle {cycle}"
            if kind == STOP:
                on_bus = result.events[f"{unit}_on_bus"]
                assert not len(on_bus) or on_bus[-1] < cut + 100, f"{unit}, cycle {cycle}"
        if kind == STOP:
            read = b.bytes_of(result["read"].beats["data"])[:, : b.word]
            assert len(read) == len(result.events["read_command"])
            assert np.array_equal(read, memory[SOURCE : SOURCE + len(read)])
            b.reset()
        check_cut(b, memory, written)
        shapes = shapes_of(rng, 2, 0, USED // 2)
        data, written = b.data(rng, [(TARGET, 33, 33, 2)])
        result = b.dut.run({"reader_transfer": b.transfers("reader", shapes), "data": data,
                            "writer_transfer": b.transfers("writer", [(TARGET, 33, 33, 2)])}, fresh=False,
                           idle_cycles=1500)
        assert np.array_equal(b.bytes_of(result["read"].beats["data"])[:, : b.word], memory[indices(shapes)])
        apply(memory, written)
        assert np.array_equal(b.dump(), memory), f"cycle {cycle}"


class Dead(LiteXModule):
    """Units on ports that nobody answers; `answers` lets the port take commands, and nothing more."""

    def __init__(self):
        self.answers = Signal()
        self.start = Signal()
        self.codes = []
        for write in (False, True):
            port = LiteDRAMNativePort("both", 20, 32)
            guard = PortGuard(port, write, 16)
            unit = (NativeWriter if write else NativeReader)(guard, 64, burst_length=8, timeout=50, size=1 << 22)
            self.submodules += guard, unit
            code = Signal(len(unit.code), name=f"code{int(write)}")
            self.codes.append(code)
            self.comb += [
                port.cmd.ready.eq(self.answers), unit.transfer.valid.eq(self.start), unit.transfer.words.eq(16),
                unit.transfer.stride.eq(16), unit.transfer.rows.eq(1), unit.window_end.eq(1 << 20),
                If(unit.error, code.eq(unit.code)),
            ]
            if write:
                self.comb += [unit.sink.valid.eq(1), unit.sink.sel.eq(15)]
            else:
                self.comb += unit.source.ready.eq(1)


@pytest.mark.parametrize("answers", [0, 1])
def test_a_port_that_does_not_answer_is_given_up(answers):
    top = Dead()
    codes = {f"code{i}": code for i, code in enumerate(top.codes)}
    dut = SignalDut(top, {"answers": top.answers, "start": top.start}, codes, name="dead_dram")
    dut.set(answers=answers, start=1)
    dut.clock(30)
    assert dut.get("code0") == dut.get("code1") == 0
    dut.clock(100)
    assert dut.get("code0") == dut.get("code1") == int(Status.BUS_TIMEOUT)


def test_arguments_that_do_not_fit():
    port = LiteDRAMNativePort("both", 20, 32)
    guard = PortGuard(port, False, 16)
    with pytest.raises(ValueError, match="size is 8388608; good: 4194304 bytes at most, as the port reaches"):
        NativeReader(guard, 64, size=1 << 23)
    with pytest.raises(ValueError, match="good: whole words of 4 bytes"):
        NativeReader(guard, 64, origin=2, size=1 << 20)
    with pytest.raises(ValueError, match="the guard is for the other direction"):
        NativeWriter(guard, 64, size=1 << 20)
    with pytest.raises(ValueError, match="burst_length is 12; good: a power of two for aligned bursts"):
        NativeReader(guard, 64, burst_length=12, size=1 << 20)


# The peripheral ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SDR, 32 bits", "DDR3, 16 bits, 1:4"])
def test_jobs_of_the_peripheral(name):
    """The model's codes at the destination and nothing else changed, also behind soft resets at any cycle."""
    b = bench.Peripheral(name, LiteNormConfig(max_length=256), 1 << 14)
    b.dut.power_up(4)
    rng = np.random.default_rng(4)
    for n in range(16):
        job = random_job(rng, b.config, b.memory, word_bytes=b.word)
        job.store(b.memory)
        b.fill()
        before = b.memory.snapshot()
        if n % 2:
            result = b.run(job, reset_at=int(rng.integers(1, 400)))
            b.dump()
            allowed = set(job.output_bytes())
            assert set(b.memory.changed(before)) <= allowed, f"job {n}, cut"
        result = b.run(job)
        assert result["code"].tolist() == [int(Status.OK)], f"job {n}: {job}"
        b.dump()
        assert np.array_equal(job.output(b.memory), job.expected(b.config)), f"job {n}: {job}"
        assert set(b.memory.changed(before)) <= set(job.output_bytes()), f"job {n}"


class SdramSoC(SoCCore):
    """A SoC without a CPU, with SDRAM."""

    def __init__(self, name="SDR, 32 bits", l2_cache_size=0, **options):
        module, ratio, data_bits = MEMORIES[name]
        platform = SimPlatform("SIM", [("sys_clk", 0, Pins(1)), ("sys_rst", 0, Pins(1))])
        super().__init__(platform, int(100e6), cpu_type=None, with_uart=False, with_timer=False, bus_bursting=True)
        self.crg = CRG(platform.request("sys_clk"))
        module = module(100e6, ratio)
        self.phy = SDRAMPHYModel(module, data_width=data_bits, clk_freq=100e6)
        self.add_sdram("sdram", phy=self.phy, module=module, l2_cache_size=l2_cache_size)
        self.litenorm_ = add_litenorm(self, **options)


def masters_of(soc):
    return [name for name in soc.bus.masters if "litenorm" in name]


def test_add_litenorm_takes_native_ports():
    soc = SdramSoC()
    assert masters_of(soc) == []
    assert soc.constants["LITENORM_BUS_BYTES"] == 4
    soc.finalize()
    assert len(soc.sdram.crossbar.masters) == 3
    assert masters_of(SdramSoC(l2_cache_size=8192)) == ["litenorm_reader", "litenorm_writer"]
    assert masters_of(SdramSoC(dram=False)) == ["litenorm_reader", "litenorm_writer"]
    assert masters_of(SdramSoC(l2_cache_size=8192, dram=True)) == []
    assert SdramSoC("DDR3, 16 bits, 1:4").constants["LITENORM_BUS_BYTES"] == 16
    with pytest.raises(ValueError, match="no native ports of 32, 64 or 128 bits; good: None, False, or add_sdram"):
        SdramSoC("SDR, 16 bits", dram=True)


# Throughput --------------------------------------------------------------------------------------------------

# Words per cycle by system, op and length; a figure may differ by 3 %. A row of 64 is four words of DDR3's port:
# without `short_rows` what limits it is a row every 10 or 11 cycles.
MARGIN = 0.03
ON_SDR = {32: 0.902, 64: 0.902, 256: 0.904, 1024: 0.910}
ON_DDR3 = {256: 0.872, 1024: 0.875}
PINNED = {
    "SDR, 32 bits": {"softmax": {16: 0.796} | ON_SDR, "norms": {16: 0.724} | ON_SDR},
    "SDR, 32 bits, short_rows": {"softmax": {16: 0.904} | ON_SDR, "norms": {16: 0.904} | ON_SDR},
    "DDR3, 16 bits, 1:4": {"softmax": {16: 0.199, 64: 0.783} | ON_DDR3, "norms": {16: 0.181, 64: 0.713} | ON_DDR3},
    "DDR3, 16 bits, 1:4, short_rows": {
        "softmax": {16: 0.283, 64: 0.877} | ON_DDR3, "norms": {16: 0.248, 64: 0.877} | ON_DDR3},
}


@pytest.mark.parametrize("system", PINNED)
def test_words_per_cycle_of_batches(system):
    """Compared with the model's results by the bench; pinned on both sides."""
    assert set(PINNED) == set(bench.SYSTEMS)
    _, options = bench.SYSTEMS[system]
    for op, output in bench.CASES:
        for length, expected in PINNED[system]["softmax" if op == "softmax" else "norms"].items():
            result = bench.batch(system, op, output, length)
            assert abs(result.words_per_cycle / expected - 1) <= MARGIN, result
            if length >= 64 and ("DDR3" not in system or length > 64 or "short_rows" in options):
                assert result.words_per_cycle >= 0.85, result


def test_words_of_a_batch():
    result = bench.batch("SDR, 32 bits", "layernorm", "s8", 65, elements=1300)
    assert (result.rows, result.words) == (20, 20 * 2 * 17 + 2 * 33)
    with pytest.raises(ValueError, match="elements is 63; good: 64 to 65536"):
        bench.batch("SDR, 32 bits", "softmax", "tfl_s8", 64, elements=63)


@pytest.mark.parametrize("name", MEMORIES)
def test_words_per_cycle_of_a_copy(name):
    """Checked word by word by the bench."""
    assert bench.copy(name).words_per_cycle >= 0.85


def test_command(capsys, tmp_path):
    file = tmp_path / "dram.json"
    assert bench.main(["--length", "64", "--elements", "4096", "--json", str(file)]) == 0
    assert "SDR, 32 bits" in capsys.readouterr().out
    figures = json.loads(file.read_text())
    assert {r["system"] for r in figures["batches"]} == set(bench.SYSTEMS)
    assert {r["memory"] for r in figures["copies"]} == set(MEMORIES)
    assert list(tmp_path.iterdir()) == [file]
    assert bench.main(["--words", "7", "--length", "64", "--elements", "64"]) == 1
    assert "error: words is 7; good:" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        bench.main(["--length", "1025"])
    assert "--length is 1025; good: 2 to 1024" in capsys.readouterr().err
