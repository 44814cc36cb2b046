# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The DMA stays inside its window, for any job, any memory and any core: Engine, WishboneReader and WishboneWriter."""

from litex.gen import *
from litex.soc.interconnect import stream, wishbone
from migen import *

from litenorm.accel.config import LiteNormConfig
from litenorm.accel.requantize import weights_layout
from litenorm.accel.rows import row_params
from litenorm.formal.harness import Harness, inner
from litenorm.soc.dma import WishboneReader, WishboneWriter
from litenorm.soc.engine import Engine
from litenorm.soc.job import max_row_words


class AnyCore(LiteXModule):
    """The core's ports with nothing behind them: what it says and when it is ready is free."""

    def __init__(self, config):
        self.sink = stream.Endpoint(
            stream.EndpointDescription([("data", config.lanes * config.input_bits)], row_params(config)))
        self.weights = stream.Endpoint(weights_layout(config))
        self.source = stream.Endpoint([("data", config.lanes * 16)])
        self.row_done = Signal()
        self.row_error = Signal()
        self.constant_row = Signal()


class Window(Harness):
    """Every word that is accessed lies, all of it, between the window's first and last byte when the job began."""

    def __init__(self, burst_length, data_width=32, **config):
        super().__init__()
        config = LiteNormConfig(**config)
        core = AnyCore(config)
        word = data_width // 8
        max_words = max_row_words(config, data_width)

        def bus():
            return wishbone.Interface(data_width=data_width, adr_width=32, addressing="word")

        reader = WishboneReader(bus(), max_words, burst_length, timeout=8)
        writer = WishboneWriter(bus(), max_words, burst_length, timeout=8)
        self.engine = engine = Engine(config, core, reader, writer, watchdog_cycles=16)
        # Free: the job (any, at any time, held until it has ended), the window, the core, both buses.
        self.free_sink(engine.job)
        self.free_source(engine.result)
        self.free(engine.job_damaged, engine.abort, engine.window_base, engine.window_limit)
        self.free(core.sink.ready, core.weights.ready, core.source.valid, core.source.last)
        self.free(core.row_done, core.row_error, core.constant_row)
        for unit in (reader, writer):
            self.free(unit.bus.ack, unit.bus.err, unit.bus_fault)
        self.assume_stable(engine.job, "job")

        # # #

        base = Signal(32)
        limit = Signal(32)
        seen = Signal()     # the window was taken over at least once
        self.sync += If(~engine.busy, base.eq(engine.window_base), limit.eq(engine.window_limit), seen.eq(1))
        # Sums at full width first: Verilog would cut them to 32 bits before the shift.
        first_byte = self.named(base + (word - 1), "first_byte", 33)
        end_byte = self.named(limit + 1, "end_byte", 33)
        first_word, end_word = first_byte[log2_int(word) :], end_byte[log2_int(word) :]
        idle, check = engine.fsm.ongoing("IDLE"), engine.fsm.ongoing("CHECK")
        run, stop, end = (engine.fsm.ongoing(name) for name in ("RUN", "STOP", "END"))
        self.support("seen", seen | idle)
        for name, unit in (("reader", reader), ("writer", writer)):
            burster = unit.burster
            address = inner(burster, "address")
            row_address = inner(burster, "row_address")
            stride = burster.transfer.stride
            words = burster.transfer.words
            words_left = inner(burster, "words_left")
            count = inner(burster, "count")
            count_end = inner(burster, "count_end")
            gapless = inner(burster, "gapless")
            state = {s: burster.fsm.ongoing(s) for s in ("IDLE", "PREPARE", "BURST", "HALT")}
            moving = state["PREPARE"] | state["BURST"]
            # The window does not move under a burst.
            self.support(f"{name}_idle", state["IDLE"] | run | stop | end)
            self.support(f"{name}_window", ~seen | idle | (
                (unit.window_first == first_word) & (unit.window_end == end_word)))
            # The walk.
            self.support(f"{name}_words", ~moving | ((words_left != 0) & (words_left <= words)))
            self.support(f"{name}_row_last", ~moving | (burster.row_last == (words_left == 1)))
            self.support(f"{name}_count_end", ~state["BURST"] | (count_end == (count == 0)))
            row_start = self.named(address + words_left, f"{name}_address_words_left", 31)
            self.support(f"{name}_address", ~moving | (
                row_start == self.named(row_address + words, f"{name}_row_end", 31)))
            self.support(f"{name}_gapless", ~(moving & gapless) | (stride == words))
            burst_end = self.named(address + count, f"{name}_burst_end", 33)
            self.support(f"{name}_burst", ~state["BURST"] | (
                (address >= unit.window_first) & (burst_end < unit.window_end)))
            # What this is about.
            byte = self.named(Cat(C(0, log2_int(word)), unit.bus.adr), f"{name}_byte", 34)
            self.prove(f"{name}_inside_window", ~unit.bus.cyc | (
                (byte >= base) & (self.named(byte + (word - 1), f"{name}_last_byte", 34) <= limit)))
            self.prove(f"{name}_access_belongs_to_a_job", ~unit.bus.cyc | (engine.busy & engine.job.valid))
            self.reach(unit.bus.cyc & unit.bus.ack)
            self.prove(f"{name}_strobe", unit.bus.stb == unit.bus.cyc)
        self.prove("reader_never_writes", ~reader.bus.we)
        # The job stays while it runs, and what it asks for was checked.
        self.support("job_waits", idle | end | self.past_values["job"])
        self.support("checked", idle | check | end | (
            (engine.job.length != 0) & (engine.job.length <= config.max_length)))
        self.support("states", idle | check | run | stop | end)
