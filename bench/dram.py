# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Throughput on native ports of LiteDRAM, on its controller and SDRAM model: batches of rows, and a bare copy.

    python -m litenorm.bench.dram

The memory takes a command a cycle, a read's or a write's: its capacity is one word a cycle, reads and writes together.
Refreshes, row changes and turns of the bus are included.

Batches: jobs of --elements elements altogether through the whole peripheral, whose core has as many lanes as a word has
bytes. Words read and written, gamma and beta included, over the job's cycles; the results are compared with the model.

Copy: the bus masters alone, the reader's words straight into the writer. A copy of n words moves 2 n of them; the
cycles are those from the transfers' start until the last word is written.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
from litedram.core import LiteDRAMCore
from litedram.frontend.dma import LiteDRAMDMAReader, LiteDRAMDMAWriter
from litedram.modules import M12L16161A, MT41K128M16
from litedram.phy.model import SDRAMPHYModel
from litex.gen import LiteXModule
from migen import C, Cat, If, ResetInserter, Signal, log2_int
from rich.console import Console
from rich.table import Table

from litenorm.accel import LiteNormConfig
from litenorm.accel.affine import Affine
from litenorm.accel.scale import Scale
from litenorm.accel.status import Status
from litenorm.sim.errors import SimulationError
from litenorm.sim.jobs import Job
from litenorm.sim.output import check_output, replaced
from litenorm.sim.verilated import StreamDut
from litenorm.sim.wishbone import Memory
from litenorm.soc.dram import BURST_LENGTH, NativeReader, NativeWriter, PortGuard, Turns
from litenorm.soc.peripheral import LiteNormPeripheral

CLOCK = 100e6   # Hz
ORIGIN = 0x4000_0000
MAX_WORDS = 4096            # of a row of a copy
LENGTHS = (16, 32, 64, 128, 256, 1024)
ELEMENTS = 1 << 16          # of a batch
BATCH_BYTES = 1 << 18       # of the memory that batches use
HANG_CYCLES = 10**6         # more than any batch takes
CASES = (("softmax", "tfl_s8"), ("layernorm", "s8"), ("rmsnorm", "s8"))


class SmallDDR3(MT41K128M16):
    """MT41K128M16 with 2048 of its 16384 rows: the timings are the same, the simulation takes less memory."""

    nrows = 2048


# Name: module, ratio of the clocks, data bits of the chips.
MEMORIES = {
    "SDR, 16 bits": (M12L16161A, "1:1", 16),
    "SDR, 32 bits": (M12L16161A, "1:1", 32),
    "DDR3, 16 bits, 1:4": (SmallDDR3, "1:4", 16),
}
# What batches run on: memory, and a core with a lane for each byte of the port's word, with `short_rows` or without.
# The peripheral takes words of 32 bits or more.
SYSTEMS = {
    "SDR, 4 lanes": ("SDR, 32 bits", dict(lanes=4)),
    "SDR, short_rows": ("SDR, 32 bits", dict(lanes=4, short_rows=True)),
    "DDR3, 16 lanes": ("DDR3, 16 bits, 1:4", dict(lanes=16)),
    "DDR3, short_rows": ("DDR3, 16 bits, 1:4", dict(lanes=16, short_rows=True)),
}


def sdram(name):
    """(phy, controller, bytes) of one of MEMORIES."""
    module_class, ratio, data_bits = MEMORIES[name]
    module = module_class(CLOCK, ratio)
    phy = SDRAMPHYModel(module, data_width=data_bits, clk_freq=CLOCK)
    geometry = module.geom_settings
    size = 2 ** (geometry.bankbits + geometry.rowbits + geometry.colbits) * data_bits // 8
    return phy, LiteDRAMCore(phy, geometry, module.timing_settings, CLOCK), size


class Dram(LiteXModule):
    """LiteDRAM with a reader, a writer, and a port through which the test bench fills it and reads it back.

    copy  connect the reader's source to the writer's sink; else both are ports
    """

    def __init__(self, name, copy, burst_length=BURST_LENGTH, timeout=65536):
        self.phy, self.sdram, self.size = sdram(name)
        ports = [self.sdram.crossbar.get_port() for _ in range(4)]
        self.data_width = ports[0].data_width
        options = dict(max_words=MAX_WORDS, burst_length=burst_length, timeout=timeout, origin=ORIGIN, size=self.size)
        self.reset_units = Signal()     # i: as the engine resets them
        self.read_guard = PortGuard(ports[0], False, 2 * burst_length)
        self.write_guard = PortGuard(ports[1], True, 2 * burst_length)
        self.reader = reader = ResetInserter()(NativeReader(self.read_guard, **options))
        self.writer = writer = ResetInserter()(NativeWriter(self.write_guard, **options))
        self.turns = Turns(reader, writer)
        self.fill = LiteDRAMDMAWriter(ports[2], fifo_depth=32)
        self.dump = LiteDRAMDMAReader(ports[3], fifo_depth=32)
        for unit, guard in ((reader, self.read_guard), (writer, self.write_guard)):
            self.comb += [unit.reset.eq(self.reset_units), guard.drop.eq(self.reset_units)]
        if copy:
            self.comb += [
                reader.source.connect(writer.sink, omit={"sel"}),
                writer.sink.sel.eq(2 ** len(writer.sink.sel) - 1),
            ]
        # Commands of the units, for the bench to see: address and a 1 above it.
        self.commands = []
        for unit, port in zip(("read", "write"), ports, strict=False):
            command = Signal(port.address_width + 1, name=f"{unit}_command")
            self.comb += If(port.cmd.valid & port.cmd.ready, command.eq(Cat(port.cmd.addr, C(1, 1))))
            self.commands.append(command)


class Peripheral:
    """The whole peripheral on two ports of LiteDRAM, Verilated, with a memory's contents in Python beside it.

    name    of MEMORIES
    config  of the core
    size    bytes of the memory that are used, from ORIGIN on

    fill() and dump() carry `memory`, a wishbone.Memory, into the SDRAM and back, through a port of their own.
    """

    def __init__(self, name, config, size):
        top = LiteXModule()
        top.phy, top.sdram, _ = sdram(name)
        ports = [top.sdram.crossbar.get_port() for _ in range(4)]
        self.config = config
        self.word = ports[0].data_width // 8
        self.memory = Memory(ORIGIN, size)
        top.litenorm = dut = LiteNormPeripheral(config, data_width=ports[0].data_width, with_csr=False,
                                                bus_timeout=2000, dram=(ports[:2], ORIGIN, size))
        top.fill, top.dump = LiteDRAMDMAWriter(ports[2], 32), LiteDRAMDMAReader(ports[3], 32)
        # A soft reset, a number of cycles after a job was given; 0: none.
        at, age = Signal(16, name="reset_at"), Signal(16)
        top.comb += dut.soft_reset.eq((at != 0) & (age == at))
        top.sync += If(dut.idle, age.eq(0)).Else(age.eq(age + 1))
        self.dut = StreamDut(
            top, {"job": dut.job, "fill": top.fill.sink, "address": top.dump.sink},
            {"result": dut.result, "dump": top.dump.source}, [dut.soft_reset], [at], name="dram_peripheral")

    def fill(self):
        beats = self.dut.sinks["fill"].beats(self.memory.data.size // self.word)
        beats["address"] = np.arange(len(beats))
        data = self.memory.data.reshape(-1, self.word)
        beats["data"] = data if beats["data"].ndim > 1 else data.view(beats["data"].dtype).reshape(-1)
        self.dut.run({"fill": beats}, fresh=False, idle_cycles=200)

    def dump(self):
        beats = self.dut.sinks["address"].beats(self.memory.data.size // self.word)
        beats["address"] = np.arange(len(beats))
        data = self.dut.run({"address": beats}, fresh=False, expect={"dump": len(beats)})["dump"].beats["data"]
        words = np.ascontiguousarray(data).view(np.uint8).reshape(len(beats), -1)
        self.memory.data[:] = words[:, : self.word].reshape(-1)

    def run(self, job, reset_at=0):
        """Run a job and return its results: `job.result_layout()`, one beat. reset_at: cycles from the job to a soft
        reset, or 0 for none."""
        beats = self.dut.sinks["job"].beats(1)
        for field, value in job.registers().items():
            beats[field] = value
        self.dut.set(reset_at=reset_at)
        if reset_at:    # a job that is reset has no result
            return self.dut.run({"job": beats}, fresh=False, idle_cycles=6000)["result"].beats
        return self.dut.run({"job": beats}, fresh=False, expect={"result": 1}, tail_cycles=6000,
                            hang_cycles=HANG_CYCLES)["result"].beats


# Batches of rows ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """A job of `rows` rows through the peripheral: `words` of `data_width` bits read and written in `cycles` cycles."""

    system: str
    data_width: int
    lanes: int
    op: str
    output: str
    length: int
    rows: int
    words: int
    cycles: int

    @property
    def words_per_cycle(self):
        return self.words / self.cycles


@cache
def peripheral(system):
    """Peripheral of one of SYSTEMS."""
    memory, options = SYSTEMS[system]
    return Peripheral(memory, LiteNormConfig(max_length=max(LENGTHS), **options), BATCH_BYTES)


def batch(system, op, output, length, elements=ELEMENTS, seed=0):
    """Run one batch of rows of s8, packed, on one of SYSTEMS; the results lie in the upper half of the memory.

    Raises ValueError when the batch does not fit, SimulationError when it fails or its results are not the model's.
    """
    if not length <= elements <= ELEMENTS:
        raise ValueError(f"elements is {elements}; good: {length} to {ELEMENTS}")
    b = peripheral(system)
    rng = np.random.default_rng(seed)
    rows = elements // length
    options = dict(op=op, rows=rng.integers(-128, 128, (rows, length)), src=ORIGIN, dst=ORIGIN + BATCH_BYTES // 2,
                   word_bytes=b.word)
    words = 2 * rows * -(-length // b.word)
    if op == "softmax":
        job = Job(fmt=output, scale=Scale.from_real(0.05), **options)
    else:
        gamma, beta = rng.integers(-(1 << 15), 1 << 15, (2, length))
        weights = ORIGIN + BATCH_BYTES // 2 + ELEMENTS
        job = Job(affine=Affine(gamma, beta, 16, 4, output), gamma=weights, beta=weights + 4096, **options)
        words += 2 * -(-2 * length // b.word)
    b.dut.power_up(seed)
    job.store(b.memory)
    b.fill()
    result = b.run(job)
    if result["code"].tolist() != [int(Status.OK)]:
        raise SimulationError(f"{system}, {op} of {length}: the job ended with {result['code'].tolist()}")
    b.dump()
    if not np.array_equal(job.output(b.memory), job.expected(b.config)):
        raise SimulationError(f"{system}, {op} of {length}: results are not the model's")
    return Batch(system, 8 * b.word, b.config.lanes, op, output, length, rows, words, int(result["cycles"][0]))


# Copies ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Copy:
    """A copy of `words` words in `cycles` cycles through ports of `data_width` bits."""

    memory: str
    data_width: int
    words: int
    cycles: int

    @property
    def words_per_cycle(self):
        """Words read and words written."""
        return 2 * self.words / self.cycles


@cache
def _copy_dut(name, burst_length):
    top = Dram(name, copy=True, burst_length=burst_length)
    end = 2 ** (32 - log2_int(top.data_width // 8))
    top.comb += [top.reader.window_end.eq(end), top.writer.window_end.eq(end)]
    sinks = {"read": top.reader.transfer, "write": top.writer.transfer, "fill": top.fill.sink, "address": top.dump.sink}
    error = Signal()
    top.comb += error.eq(top.reader.error | top.writer.error)
    signals = {"started": top.reader.burster.begin, "busy": top.writer.busy, "error": error}
    return top, StreamDut(top, sinks, {"dump": top.dump.source}, signals, [top.reset_units], name="dram_copy")


def copy(name, words=2048, rows=4, burst_length=BURST_LENGTH, seed=0):
    """Copy `rows` rows, `words` words altogether, to another bank, from and to addresses that are not aligned.

    Raises SimulationError when a word is wrong.
    """
    if words % rows or not rows <= words <= MAX_WORDS:
        raise ValueError(f"words is {words}; good: a multiple of {rows} up to {MAX_WORDS}")
    top, dut = _copy_dut(name, burst_length)
    word = top.data_width // 8
    source, target = 37, top.size // word // 2 + 1001
    data = np.random.default_rng(seed).integers(0, 256, (words, word), dtype=np.uint8)
    fill = dut.sinks["fill"].beats(words)
    fill["address"] = source + np.arange(words)
    fill["data"] = data if fill["data"].ndim > 1 else data.view(fill["data"].dtype).reshape(-1)
    beats = {"fill": fill}
    for unit, first in (("read", source), ("write", target)):
        transfer = beats[unit] = dut.sinks[unit].beats(1)
        transfer["address"], transfer["stride"] = ORIGIN // word + first, words // rows
        transfer["words"], transfer["rows"] = words // rows, rows
    result = dut.run(beats, seed=seed, after={"read": "fill", "write": "fill"}, idle_cycles=16 * words + 1000)
    cycles = int(result.events["busy"][-1] - result.events["started"][0]) + 1
    dump = dut.sinks["address"].beats(words)
    dump["address"] = target + np.arange(words)
    got = dut.run({"address": dump}, fresh=False, expect={"dump": words})["dump"].beats["data"]
    if len(result.events["error"]) or not np.array_equal(got, fill["data"]):
        raise SimulationError(f"{name}: the copy is not what was copied")
    return Copy(name, top.data_width, words, cycles)


def batch_table(results):
    """Words per cycle of batches, for each system, op and length."""
    table = Table(title="words per cycle by row length; SDR of 32 bits, DDR3 of 16 bits at 1:4")
    for column in ("system", "op"):
        table.add_column(column)
    lengths = sorted({r.length for r in results})
    for length in lengths:
        table.add_column(f"{length}", justify="right")
    for system, op in dict.fromkeys((r.system, r.op) for r in results):
        found = {r.length: r for r in results if (r.system, r.op) == (system, op)}
        table.add_row(system, op, *(f"{found[n].words_per_cycle:.3f}" for n in lengths))
    return table


def copy_table(results):
    table = Table(title="words per cycle, copies by the bus masters alone")
    for column in ("memory", "bits of the port", "words copied", "cycles", "words per cycle"):
        table.add_column(column, justify="left" if column == "memory" else "right")
    for r in results:
        table.add_row(r.memory, str(r.data_width), str(r.words), str(r.cycles), f"{r.words_per_cycle:.3f}")
    return table


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.dram", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.dram --length 64 --json dram.json")
    parser.add_argument("--length", type=int, action="append", metavar="N",
                        help=f"of the rows; may be repeated (default: {', '.join(map(str, LENGTHS))})")
    parser.add_argument("--elements", type=int, default=ELEMENTS, metavar="N",
                        help=f"of a batch (default: {ELEMENTS})")
    parser.add_argument("--words", type=int, default=2048, metavar="N", help="of a copy (default: 2048)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE as well")
    args = parser.parse_args(argv)
    lengths = args.length or LENGTHS
    for length in lengths:
        if not 2 <= length <= max(LENGTHS):
            parser.error(f"--length is {length}; good: 2 to {max(LENGTHS)}")
    console = Console(highlight=False)
    batches, copies = [], []
    try:
        if args.json:
            check_output(args.json, "a JSON file")
        with console.status("") as status:
            for system in SYSTEMS:
                for op, output in CASES:
                    for length in lengths:
                        status.update(f"{system}: {op}, N = {length}")
                        batches.append(batch(system, op, output, length, args.elements))
            for name in MEMORIES:
                status.update(f"{name}: copy")
                copies.append(copy(name, args.words))
        if args.json:
            figures = {kind: [asdict(r) | {"words_per_cycle": r.words_per_cycle} for r in results]
                       for kind, results in (("batches", batches), ("copies", copies))}
            with replaced(args.json) as temporary:
                temporary.write_text(json.dumps(figures, indent=1) + "\n")
    except (ValueError, OSError, SimulationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(batch_table(batches))
    console.print(copy_table(copies))
    return 0


if __name__ == "__main__":
    sys.exit(main())
