# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The memory on Wishbone and the CSR access of Verilated peripherals: what they carry, and what they catch."""

import numpy as np
import pytest
from litex.gen import *
from litex.soc.interconnect import wishbone
from litex.soc.interconnect.csr import *
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourcePulse
from migen import *

from litenorm.sim.csr import CsrDut
from litenorm.sim.verilated import HandshakeError, HangError, SignalDut, Stall
from litenorm.sim.wishbone import Memory

BASE, SRC, DST = 0x4000_0000, 0x4000_0100, 0x4000_2000
BURST = 4


class Copier(LiteXModule):
    """Copies `words` words from src to dst, incremented by 1, in bursts of up to 4; stops at the first error.

    fault : what it does wrong on the bus, or None.
    """

    def __init__(self, fault=None, addressing="word"):
        self.bus = bus = wishbone.Interface(data_width=32, address_width=32, addressing=addressing, bursting=True)
        self.src = CSRStorage(32)
        self.dst = CSRStorage(32)
        self.words = CSRStorage(16)
        self.wide = CSRStorage(64)
        self.control = CSRStorage(fields=[CSRField("start", pulse=True), CSRField("sel", size=4, reset=15)])
        self.status = CSRStatus(fields=[CSRField("busy"), CSRField("error"), CSRField("copied", size=16)])
        self.ev = EventManager()
        self.ev.done = EventSourcePulse()
        self.ev.finalize()

        # # #

        index = Signal(16)
        error = Signal()
        held = Array(Signal(32, name=f"held{i}") for i in range(BURST))
        beat = Signal(2)
        end = Signal()
        waiting = Signal()
        words = Signal(32)
        reply = bus.ack | bus.err
        self.sync += waiting.eq(bus.stb & ~reply)
        self.comb += [
            end.eq((beat == BURST - 1) | (index + beat == self.words.storage - 1)),
            bus.stb.eq(bus.cyc),
            bus.sel.eq(self.control.fields.sel),
            bus.dat_w.eq(held[beat] + 1),
            bus.cti.eq(Mux(end, wishbone.CTI_BURST_END, wishbone.CTI_BURST_INCREMENTING)),
            words.eq(Mux(bus.we, self.dst.storage, self.src.storage)[2:] + index + beat),
            bus.adr.eq(words << (2 if addressing == "byte" else 0)),
            self.status.fields.error.eq(error),
            self.status.fields.copied.eq(index),
        ]
        self.fsm = fsm = FSM("IDLE")
        self.comb += self.status.fields.busy.eq(~fsm.ongoing("IDLE"))
        fsm.act("IDLE", If(self.control.fields.start, NextValue(index, 0), NextValue(beat, 0), NextValue(error, 0),
                           NextState("READ")))
        for state, following in (("READ", "WRITE"), ("WRITE", "NEXT")):
            fsm.act(
                state,
                bus.cyc.eq(1), bus.we.eq(state == "WRITE"),
                If(reply,
                   NextValue(beat, beat + 1),
                   *([NextValue(held[beat], bus.dat_r)] if state == "READ" else []),
                   If(bus.err, NextValue(error, 1), self.ev.done.trigger.eq(1), NextState("IDLE"))
                   .Elif(end, NextValue(beat, 0), NextState(following))),
            )
        fsm.act("NEXT",
                NextValue(index, index + BURST),
                NextState("READ"),
                If(index + BURST >= self.words.storage,
                   NextValue(index, self.words.storage), self.ev.done.trigger.eq(1), NextState("IDLE")))

        if fault == "drops_request":
            self.comb += bus.stb.eq(bus.cyc & ~waiting)
        if fault == "changes_address":
            self.comb += bus.adr.eq(words + waiting)
        if fault == "changes_data":
            self.comb += bus.dat_w.eq(held[beat] + waiting)
        if fault == "jumps_in_burst":
            self.comb += bus.adr.eq(words + (beat == 2))
        if fault == "no_burst_end":
            self.comb += If(bus.we, bus.cti.eq(wishbone.CTI_BURST_INCREMENTING))
        if fault == "writes_one_too_many":
            self.comb += end.eq((beat == BURST - 1) | (index + beat == self.words.storage - ~bus.we))


def copier(fault=None, seed=0, **options):
    module = Copier(fault, **options)
    dut = CsrDut(module, buses={"dma": module.bus}, memory=Memory(BASE, 1 << 14), outputs={"irq": module.ev.irq},
                 seed=seed)
    dut.write("ev_enable", 1)
    return dut


def copy(dut, words, src=SRC, dst=DST, **fields):
    dut.write("src", src)
    dut.write("dst", dst)
    dut.write("words", words)
    dut.write("control", start=1, **{"sel": 15, **fields})
    cycles = dut.run_until("irq", max_cycles=20_000)
    dut.write("ev_pending", 1)
    return cycles


TIMINGS = {
    "same_cycle": {"latency": 0},
    "litex_sram": {"latency": 1},
    "slow": {"latency": 7},
    "random": {"latency": 1, "stall": 0.4},
    "long_waits": {"latency": 2, "stall": Stall(0.5, burst=20)},
    "no_bursts": {"latency": 1, "bursting": False},
}


@pytest.mark.parametrize("addressing", ["word", "byte"])
@pytest.mark.parametrize("timing", TIMINGS)
def test_copy_and_canaries(timing, addressing):
    dut = copier(addressing=addressing)
    dut.buses["dma"].set(**TIMINGS[timing])
    for words in (1, 2, 4, 5, 63, 64):
        before = dut.memory.snapshot()
        copy(dut, words)
        assert np.array_equal(dut.memory.read(DST, words, np.uint32), dut.memory.read(SRC, words, np.uint32) + 1)
        changed = dut.memory.changed(before)
        assert changed.min(initial=DST) >= DST and changed.max(initial=DST) < DST + 4 * words
        assert dut.read_fields("status") == {"busy": 0, "error": 0, "copied": words}
        log = dut.bus_log("dma")
        assert len(log) == 2 * words and log["write"].sum() == words
        assert np.array_equal(np.sort(log["address"][log["write"] == 1]), DST + 4 * np.arange(words))


def test_timing_is_as_set():
    dut = copier()
    for latency, bursting, burst_cycles in ((0, True, 4), (1, True, 5), (5, True, 9), (1, False, 8)):
        dut.buses["dma"].set(latency=latency, bursting=bursting)
        copy(dut, 4)
        cycles = dut.bus_log("dma")["cycle"].astype(int)
        assert cycles[7] - cycles[3] == burst_cycles


def test_byte_enables():
    dut = copier()
    before = dut.memory.snapshot()
    copy(dut, 8, sel=0b0101)
    changed = dut.memory.changed(before)
    assert len(changed) > 0 and set(changed % 4) <= {0, 2}


CAUGHT = {
    "drops_request": "dma withdrew a request before its reply",
    "changes_address": "dma changed a request before its reply",
    "changes_data": "dma changed a request before its reply",
    "jumps_in_burst": "dma jumped in a burst, expected 0x40000108",
    "no_burst_end": "dma ended a burst without cti = 7",
    "writes_one_too_many": "dma wrote outside of the allowed ranges",
}


@pytest.mark.parametrize("fault", CAUGHT)
def test_fault_is_caught_with_cycle_and_seed(fault):
    dut = copier(fault, seed=33)
    dut.buses["dma"].set(stall=0.5, latency=2, writable=[(DST, DST + 4 * 7 - 1)])
    with pytest.raises(HandshakeError, match=CAUGHT[fault]) as info:
        copy(dut, 7)
    for part in ("cycle ", "seed 33", "address=0x4000"):
        assert part in str(info.value)


def test_reading_elsewhere_is_caught():
    dut = copier()
    dut.buses["dma"].set(readable=[(SRC, SRC + 15)])
    copy(dut, 4)
    with pytest.raises(HandshakeError, match="read outside"):
        copy(dut, 5)


@pytest.mark.parametrize("settings,copied", [
    ({"errors": [(SRC + 17, SRC + 17)]}, 4),
    ({"errors": [(DST, DST + 3)]}, 0),
    ({"error_beats": [(10, 10)]}, 4),
])
def test_error_replies(settings, copied):
    dut = copier()
    dut.buses["dma"].set(**settings)
    copy(dut, 16)
    assert dut.read_fields("status") == {"busy": 0, "error": 1, "copied": copied}
    assert dut.bus_log("dma")["error"].tolist().count(1) == 1
    dut.buses["dma"].set(errors=[], error_beats=[])
    copy(dut, 16)
    assert dut.read_fields("status")["copied"] == 16


def test_outside_of_memory_is_an_error_reply():
    dut = copier()
    copy(dut, 4, src=BASE - 8)
    assert dut.read_fields("status")["error"] == 1


def test_address_that_never_answers():
    dut = copier()
    dut.buses["dma"].set(dead=[(SRC + 20, SRC + 20)])
    with pytest.raises(HangError, match=r"not done after 20000 cycles; dma 9 beats, cyc=1 stb=1 .*address=0x40000114"):
        copy(dut, 16)
    dut.reset()
    dut.buses["dma"].set(dead=[])
    dut.write("ev_enable", 1)
    copy(dut, 16)
    assert np.array_equal(dut.memory.read(DST, 16, np.uint32), dut.memory.read(SRC, 16, np.uint32) + 1)


def test_beat_that_never_gets_an_answer():
    dut = copier()
    dut.buses["dma"].set(dead_beats=[(9, 9)])
    with pytest.raises(HangError, match="dma 9 beats, cyc=1 stb=1"):
        copy(dut, 16)


def test_answers_that_nobody_asked_for():
    """The copier takes an answer for its own only while it asks; one that it gets at other times changes nothing."""
    dut = copier()
    dut.buses["dma"].set(noise=0.5)
    copy(dut, 16)
    assert np.array_equal(dut.memory.read(DST, 16, np.uint32), dut.memory.read(SRC, 16, np.uint32) + 1)
    assert len(dut.bus_log("dma")) == 32


def test_requests_may_be_withdrawn_and_the_protocol_left_unchecked():
    for fault, settings in (("drops_request", {"withdraw": True}), ("changes_address", {"strict": False}),
                            ("no_burst_end", {"strict": False})):
        dut = copier(fault)
        dut.buses["dma"].set(latency=2, **settings)
        dut.write("src", SRC)
        dut.write("dst", DST)
        dut.write("words", 7)
        dut.write("control", start=1, sel=15)
        dut.clock(200)
        # The bytes that may be written are checked all the same.
        dut.buses["dma"].set(latency=0, writable=[(1, 0)])
        with pytest.raises(HandshakeError, match="outside of the allowed ranges"):
            dut.reset()
            dut.write("ev_enable", 1)
            copy(dut, 7)


def test_ports_are_set_at_given_cycles():
    dut = copier()
    words = {dut.words(name)[0]: value for name, value in (("src", SRC), ("dst", DST), ("words", 5))}
    pokes = [dut.poke(0, "csr_we", 1)]
    for cycle, (address, value) in enumerate([*words.items(), (dut.words("control")[0], dut.pack("control", start=1,
                                                                                                  sel=15)[0])]):
        pokes += [dut.poke(cycle, "csr_adr", address), dut.poke(cycle, "csr_dat_w", value)]
    pokes += [dut.poke(4, "csr_we", 0), dut.poke(10_000, "csr_we", 1)]
    cycles, reached = dut.play(pokes, "irq", 1000)
    assert reached and 20 < cycles < 60 and dut.get("csr_we") == 0
    assert np.array_equal(dut.memory.read(DST, 5, np.uint32), dut.memory.read(SRC, 5, np.uint32) + 1)
    assert dut.pack("wide", 0x0123_4567_89ab_cdef) == [0x0123_4567, 0x89ab_cdef] and len(dut.words("wide")) == 2
    dut.write("ev_pending", 1)
    dut.clock(2)
    assert dut.play([], "irq", 77) == (77, False)
    # A reset by a poke cuts what is open.
    dut.buses["dma"].set(latency=9)
    dut.write("control", start=1, sel=15)
    dut.play([dut.poke(5, "sys_rst", 1), dut.poke(6, "sys_rst", 0)], "irq", 50)
    assert len(dut.bus_log("dma")) == 10 and dut.read_fields("status")["busy"] == 0


def test_csr_access():
    dut = copier()
    dut.write("wide", 0x0123_4567_89ab_cdef)
    assert dut.read("wide") == 0x0123_4567_89ab_cdef
    dut.write("src", 0xffff_ffff)
    assert dut.read("src") == 0xffff_ffff
    for call, text in ((lambda: dut.write("srk", 1), "no CSR srk"), (lambda: dut.read("srk"), "no CSR srk"),
                       (lambda: dut.write("control", stop=1), "no field stop")):
        with pytest.raises(KeyError, match=text):
            call()
    with pytest.raises(ValueError, match="words is 16 bits wide"):
        dut.write("words", 1 << 16)
    with pytest.raises(ValueError, match="control.sel is 4 bits wide"):
        dut.write("control", sel=16)


def test_bad_settings_are_refused():
    module = Copier()
    with pytest.raises(ValueError, match="buses need a memory"):
        SignalDut(module, buses={"dma": module.bus})
    dut = copier()
    with pytest.raises(ValueError, match="no bus setting latencies"):
        dut.buses["dma"].set(latencies=1)
    with pytest.raises(ValueError, match="outside of the memory at 0x40000000"):
        dut.memory.read(BASE + (1 << 14) - 1, 1, np.uint16)


def test_memory_is_noise_by_seed():
    assert np.array_equal(Memory(0, 64, seed=1).data, Memory(0, 64, seed=1).data)
    assert not np.array_equal(Memory(0, 64, seed=1).data, Memory(0, 64, seed=2).data)
