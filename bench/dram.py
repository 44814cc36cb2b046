# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Throughput of the DMA on native ports of LiteDRAM: a copy, on LiteDRAM's controller and its SDRAM model.

    python -m litenorm.bench.dram

The port takes a command a cycle, a read's or a write's: its capacity is one word a cycle, reads and writes together. A
copy of n words moves 2 n of them; the cycles are those from the transfers' start until the last word is written,
refreshes, row changes and turns of the bus included.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from litedram.core import LiteDRAMCore
from litedram.frontend.dma import LiteDRAMDMAReader, LiteDRAMDMAWriter
from litedram.modules import M12L16161A, MT41K128M16
from litedram.phy.model import SDRAMPHYModel
from litex.gen import LiteXModule
from migen import C, Cat, If, ResetInserter, Signal, log2_int
from rich.console import Console
from rich.table import Table

from litenorm.sim.errors import SimulationError
from litenorm.sim.verilated import StreamDut
from litenorm.soc.dram import BURST_LENGTH, NativeReader, NativeWriter, PortGuard, Turns

CLOCK = 100e6   # Hz
ORIGIN = 0x4000_0000
MAX_WORDS = 4096


class SmallDDR3(MT41K128M16):
    """MT41K128M16 with 2048 of its 16384 rows: the timings are the same, the simulation takes less memory."""

    nrows = 2048


# Name: module, ratio of the clocks, data bits of the chips.
MEMORIES = {
    "SDR, 16 bits": (M12L16161A, "1:1", 16),
    "SDR, 32 bits": (M12L16161A, "1:1", 32),
    "DDR3, 16 bits, 1:4": (SmallDDR3, "1:4", 16),
}


class Dram(LiteXModule):
    """LiteDRAM with a reader, a writer, and a port through which the test bench fills it and reads it back.

    copy  connect the reader's source to the writer's sink; else both are ports
    """

    def __init__(self, name, copy, burst_length=BURST_LENGTH, timeout=65536):
        module_class, ratio, data_bits = MEMORIES[name]
        module = module_class(CLOCK, ratio)
        self.phy = SDRAMPHYModel(module, data_width=data_bits, clk_freq=CLOCK)
        self.sdram = sdram = LiteDRAMCore(self.phy, module.geom_settings, module.timing_settings, CLOCK)
        ports = [sdram.crossbar.get_port() for _ in range(4)]
        self.data_width = ports[0].data_width
        self.size = 2 ** (module.geom_settings.bankbits + module.geom_settings.rowbits
                          + module.geom_settings.colbits) * data_bits // 8
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


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.dram", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.dram --words 4096 --json dram.json")
    parser.add_argument("--words", type=int, default=2048, metavar="N", help="of a copy (default: 2048)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    args = parser.parse_args(argv)
    console = Console(highlight=False)
    table = Table(title="copies through native ports of LiteDRAM")
    for column in ("memory", "bits of the port", "words copied", "cycles", "words per cycle"):
        table.add_column(column, justify="left" if column == "memory" else "right")
    results = []
    try:
        with console.status("copies") as status:
            for name in MEMORIES:
                status.update(f"copies: {name}")
                results.append(r := copy(name, args.words))
                table.add_row(name, str(r.data_width), str(r.words), str(r.cycles), f"{r.words_per_cycle:.3f}")
        if args.json:
            text = json.dumps([asdict(r) | {"words_per_cycle": r.words_per_cycle} for r in results], indent=1)
            partial = args.json.with_name(args.json.name + ".partial")
            partial.write_text(text + "\n")
            partial.replace(args.json)
    except (ValueError, OSError, SimulationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
