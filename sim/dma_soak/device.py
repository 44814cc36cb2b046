# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The peripheral whose core can be halted and made to fail, and what its registers must hold."""

from litex.gen import LiteXModule
from litex.soc.interconnect import stream
from migen import If, Signal

from litenorm.accel import LiteNorm
from litenorm.sim.dma_soak.adversary import BUS_TIMEOUT
from litenorm.soc.peripheral import LiteNormPeripheral

WATCHDOG = 1000         # cycles
BURST_LENGTH = 8
MAX_CYCLES = 200_000    # of a job: the slowest bus and the longest job come to half of it
DONE, ERROR = 1, 2      # bits of the events


class HaltableCore(LiteXModule):
    """LiteNorm whose streams stand still while `halt_in` or `halt_out` is 1, and whose self-check fails with `fail`."""

    def __init__(self, config):
        self.core = core = LiteNorm(config)
        self.sink = stream.Endpoint(core.sink.description)
        self.source = stream.Endpoint(core.source.description)
        self.halt_in = Signal()
        self.halt_out = Signal()
        self.fail = Signal()
        self.row_done = core.row_done
        self.row_error = Signal()
        self.constant_row = core.constant_row

        # # #

        pairs = [(self.sink, core.sink, self.halt_in), (core.source, self.source, self.halt_out)]
        if config.has_affine:
            self.weights = stream.Endpoint(core.weights.description)
            pairs.append((self.weights, core.weights, self.halt_in))
        for source, sink, halt in pairs:
            self.comb += [
                source.connect(sink, omit={"valid", "ready"}),
                sink.valid.eq(source.valid & ~halt),
                source.ready.eq(sink.ready & ~halt),
            ]
        self.comb += self.row_error.eq(core.row_error | self.fail)


class Top(LiteXModule):
    """The peripheral with counters of its interrupts. `planted` (peripheral, mutant), for tests, plants faults."""

    def __init__(self, config, planted=None, **options):
        core = HaltableCore(config)  # the engine's, not a submodule of this one
        self.litenorm = dut = LiteNormPeripheral(config, bus_timeout=BUS_TIMEOUT, watchdog_cycles=WATCHDOG,
                                                 burst_length=BURST_LENGTH, core=core, **options)
        self.halt_in = core.halt_in
        self.halt_out = core.halt_out
        self.fail = core.fail
        self.done = Signal(32)
        self.error = Signal(32)
        self.ended = Signal()  # an interrupt was raised in the cycle before
        self.mutant = Signal(8)  # i: number of the planted fault that is active
        self.sync += [
            self.ended.eq(dut.ev.done.trigger | dut.ev.error.trigger),
            If(dut.ev.done.trigger, self.done.eq(self.done + 1)),
            If(dut.ev.error.trigger, self.error.eq(self.error + 1)),
        ]
        if planted:
            planted(dut, self.mutant)

    def get_csrs(self):
        return self.litenorm.get_csrs()

    def inputs(self):
        return {"halt_in": self.halt_in, "halt_out": self.halt_out, "fail": self.fail, "mutant": self.mutant}

    def outputs(self):
        dut = self.litenorm
        return {"irq": dut.ev.irq, "done": self.done, "error": self.error, "ended": self.ended,
                "busy": dut._status.fields.busy, "code": dut._status.fields.code, "rows_done": dut.engine.rows_done}


class Registers:
    """What each word of the registers must hold, from the writes that were carried out."""

    def __init__(self, dut):
        self.dut = dut
        self.reset_words = {}
        self.names = [name for name, csr in dut.csrs.items() if hasattr(csr, "storage") and name != "control"]
        for name in self.names:
            value = dut.csrs[name].storage.reset.value
            self.reset_words |= dict(zip(dut.words(name), dut.pack(name, value), strict=True))
        self.window = [dut.words(name)[0] for name in ("window_base", "window_limit", "window_lock")]
        self.widths = {}
        for name in self.names:
            size, words = dut.csrs[name].size, dut.words(name)
            self.widths |= {word: min(32, size - 32 * i) for i, word in enumerate(reversed(words))}
        self.reset()

    def reset(self):
        self.words = dict(self.reset_words)

    @property
    def locked(self):
        return bool(self.words[self.window[2]])

    def write(self, address, value):
        if address in self.words and not (self.locked and address in self.window):
            self.words[address] = value & (1 << self.widths[address]) - 1

    def value(self, name):
        value = 0
        for word in self.dut.words(name):
            value = value << 32 | self.words[word]
        return value
