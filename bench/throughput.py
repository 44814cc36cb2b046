# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Throughput of the peripheral behind one Wishbone bus, and latency of the core: measured on the generated Verilog.

    python -m litenorm.bench.throughput
    python -m litenorm.bench.throughput --part latency --lanes 4 --lanes 16 --json latency.json

Throughput: words read and written, gamma and beta included, over the job's cycles from start to interrupt. Both
masters share one bus with LiteX's interconnect as an SoC builds it; the memory behind it answers as LiteX's SRAM does,
one cycle after a burst's first word and then a word a cycle. A job is a batch of rows of --elements elements
altogether, and its results are compared with the model. The part `throughput` has a 32-bit bus with bursts and 4 lanes,
the part `systems` other lanes and buses.

Latency: cycles from the first beat that the idle core takes to the row's last beat that leaves it.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from litex.gen import LiteXModule
from litex.soc.interconnect import wishbone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from litenorm.accel import LiteNorm, LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.rows import OP, row_params
from litenorm.accel.scale import Scale
from litenorm.sim.csr import CsrDut
from litenorm.sim.errors import SimulationError
from litenorm.sim.jobs import Job, start
from litenorm.sim.verilated import StreamDut
from litenorm.sim.wishbone import Memory
from litenorm.soc.peripheral import LiteNormPeripheral

LENGTHS = (16, 32, 64, 128, 256, 1024)
LANES = 4                           # of the throughput part
BUS = "32 bits"                     # of the throughput part
BASE, SIZE = 0x4000_0000, 1 << 20   # memory, bytes
BUS_TIMEOUT = 10**6                 # cycles, LiteX's default
ELEMENTS = 1 << 16                  # of a batch

PARTS = ("throughput", "systems", "latency")

# What is measured: op and output. Inputs are s8.
CASES = tuple((op, output) for op, outputs in (
    ("softmax", ("tfl_s8", "u8_255")),
    ("layernorm", ("s8", "s16")),
    ("rmsnorm", ("s8", "s16")),
) for output in outputs)

# Buses: options of the peripheral.
BUSES = {
    BUS: dict(data_width=32),
    "64 bits": dict(data_width=64),
    "32 bits, no bursts": dict(data_width=32, bursting=False),
}
# What the part `systems` measures: lanes and bus; op and output.
SYSTEMS = (*((lanes, BUS) for lanes in c.LANES), *((lanes, "64 bits") for lanes in (4, 16)),
           (LANES, "32 bits, no bursts"))
SYSTEM_CASES = (("softmax", "tfl_s8"), ("layernorm", "s8"))
SAME = 0.01


# Throughput ------------------------------------------------------------------------------------------


class SharedBus(LiteXModule):
    """The peripheral's masters on one bus, with the interconnect that LiteX's SoC builds for them."""

    def __init__(self, config, data_width=32, bursting=True, **options):
        self.litenorm = dut = LiteNormPeripheral(config, data_width, bursting=bursting, **options)
        widths = dict(data_width=data_width, address_width=32, bursting=bursting)
        self.bus = bus = wishbone.Interface(**widths)
        other = wishbone.Interface(**widths)    # registers, as in an SoC
        self.interconnect = wishbone.InterconnectShared(
            masters        = [dut.read_bus, dut.write_bus],
            slaves         = [(lambda adr: adr[-2:] == BASE >> 30, bus), (lambda adr: adr[-2:] == 3, other)],
            register       = True,
            timeout_cycles = BUS_TIMEOUT,
        )
        self.comb += dut.bus_fault.eq(self.interconnect.timeout.error)

    def get_csrs(self):
        return self.litenorm.get_csrs()


@cache
def peripheral(lanes=LANES, max_length=1024, bus=BUS):
    """(config, CsrDut with its memory) of the peripheral on one bus of BUSES."""
    config = LiteNormConfig(lanes=lanes, max_length=max_length)
    top = SharedBus(config, **BUSES[bus])
    dut = CsrDut(top, outputs={"irq": top.litenorm.ev.irq}, name="shared_bus", memory=Memory(BASE, SIZE),
                 buses={"bus": top.bus})
    return config, dut


def batch(rng, op, output, length, rows, word_bytes=4):
    """A job of `rows` rows of `length` s8 elements, packed."""
    options = dict(op=op, rows=rng.integers(-128, 128, (rows, length)), src=BASE, dst=BASE + SIZE // 4,
                   word_bytes=word_bytes)
    if op == "softmax":
        return Job(fmt=output, scale=Scale.from_real(0.05), **options)
    gamma, beta = rng.integers(-(1 << 15), 1 << 15, (2, length))
    return Job(affine=Affine(gamma, beta, 16, 4, output), gamma=BASE + SIZE - 8192, beta=BASE + SIZE - 4096, **options)


@dataclass(frozen=True)
class Throughput:
    """One job: `words` over the bus in `cycles`; `busy` the words a cycle between the first and the last one."""

    op: str
    output: str
    length: int
    rows: int
    words: int
    cycles: int
    busy: float
    lanes: int = LANES
    bus: str = BUS

    @property
    def words_per_cycle(self):
        return self.words / self.cycles


def throughput(op, output, length, elements=ELEMENTS, lanes=LANES, bus=BUS, seed=0):
    """Run one batch. Raises SimulationError when it fails or its results are not the model's."""
    if elements < length or elements > SIZE // 8:
        raise ValueError(f"elements is {elements}; good: {length} to {SIZE // 8}")
    config, dut = peripheral(lanes, bus=bus)
    dut.power_up(seed)
    job = batch(np.random.default_rng(seed), op, output, length, elements // length, BUSES[bus]["data_width"] // 8)
    job.store(dut.memory)
    dut.write("ev_enable", 3)
    dut.clear_bus_log("bus")
    start(dut, job)
    dut.run_until("irq")
    cycles = dut.read("cycles")
    if dut.read("ev_pending") != 1:
        raise SimulationError(f"{op} of {length}: the job ended with {dut.read_fields('status')}")
    if not np.array_equal(job.output(dut.memory), job.expected(config)):
        raise SimulationError(f"{op} of {length}: results are not the model's")
    log = dut.bus_log("bus")
    span = int(log["cycle"][-1] - log["cycle"][0]) + 1
    return Throughput(op, output, length, len(job.rows), len(log), cycles, len(log) / span, lanes, bus)


# Latency ---------------------------------------------------------------------------------------------


@cache
def core(config):
    """(LiteNorm, StreamDut) of `config`."""
    module = LiteNorm(config)
    sinks = {"sink": module.sink} | ({"weights": module.weights} if config.has_affine else {})
    signals = [module.row_done, module.row_error, module.constant_row]
    return module, StreamDut(module, sinks, {"source": module.source}, signals)


def latency(config, op, length, affine=False, seed=0):
    """Cycles from a row's first beat in to its last beat out, in an idle core whose source is always taken."""
    _, dut = core(config)
    rng = np.random.default_rng(seed)
    limit = 1 << (config.input_bits - 1)
    beats = dut.sinks["sink"].packets(rng.integers(-limit, limit, (1, length)), bits=config.input_bits)
    params = dict(op=OP[op], format=FORMATS[config.formats[0]].code, length=length, scale_multiplier=40000,
                  scale_shift=12, eps=1, affine=int(affine), out_s8=0, affine_shift=0, beta_shift=0)
    for name, _ in row_params(config):
        beats[name] = params[name]
    result = dut.run({"sink": beats}, seed=seed, expect={"source": len(beats)})
    return int(result["source"].cycles[-1] - result.accepted["sink"][0])


# Report ----------------------------------------------------------------------------------------------


def throughput_table(results):
    table = Table(title=f"words per cycle, 32-bit Wishbone, s8 in, {LANES} lanes")
    table.add_column("op, output")
    lengths = sorted({r.length for r in results})
    for length in lengths:
        table.add_column(f"N = {length}", justify="right")
    for op, output in dict.fromkeys((r.op, r.output) for r in results):
        found = {r.length: r for r in results if (r.op, r.output) == (op, output)}
        table.add_row(f"{op}, {output}", *(f"{found[n].words_per_cycle:.3f}" for n in lengths))
    return table


def system_name(lanes, bus):
    return f"{lanes} lane{'s' * (str(lanes) != '1')}, {bus}"


def system_tables(results):
    """One table for each of SYSTEM_CASES."""
    lengths = sorted({r.length for r in results})
    for op, output in SYSTEM_CASES:
        table = Table(title=f"words per cycle, {op}, s8 to {output}")
        table.add_column("lanes, bus")
        for length in lengths:
            table.add_column(f"N = {length}", justify="right")
        for lanes, bus in SYSTEMS:
            found = {r.length: r for r in results if (r.op, r.output, r.lanes, r.bus) == (op, output, lanes, bus)}
            table.add_row(system_name(lanes, bus), *(f"{found[n].words_per_cycle:.3f}" for n in lengths))
        yield table


def draw(results):
    """The figure of the part `systems`: words per cycle over N. Systems that differ by less than SAME share a line."""
    from litenorm.bench.plot import bare, label_ends, plt

    colours = {1: "#56B4E9", 2: "#E69F00", 4: "#009E73", 8: "#0072B2", 16: "#CC79A7"}
    styles = dict(zip(BUSES, ("-", "--", ":"), strict=True))
    figure, axes = plt.subplots(1, len(SYSTEM_CASES), sharey=True, figsize=(13, 4.6), layout="constrained")
    for axis, (op, output) in zip(axes, SYSTEM_CASES, strict=True):
        lines = []      # bus, points, the lanes that have them
        for lanes, bus in SYSTEMS:
            points = sorted((r.length, r.words_per_cycle) for r in results
                            if (r.op, r.output, r.lanes, r.bus) == (op, output, lanes, bus))
            same = [line for line in lines if line[0] == bus and np.allclose(line[1], points, rtol=SAME)]
            if same:
                same[0][2].append(lanes)
            else:
                lines.append((bus, points, [lanes]))
        ends = []
        for bus, points, all_lanes in lines:
            colour = colours[all_lanes[0]]
            axis.plot(*zip(*points, strict=True), styles[bus], color=colour, marker="o", markersize=4, linewidth=1.6)
            ends.append((system_name(", ".join(map(str, all_lanes)), bus), points[-1], colour))
        lengths = sorted({r.length for r in results})
        axis.set_xscale("log", base=2)
        axis.set_xticks(lengths, [f"{n}" for n in lengths])
        axis.set_ylim(0, 1.05)
        axis.set_xlabel("row length N")
        axis.set_title(f"{op}, s8 to {output}", loc="left", fontsize=11)
        bare(axis)
        label_ends(axis, ends)
    axes[0].set_ylabel("bus words read and written, per cycle")
    return figure


def latency_table(results):
    table = Table(title="latency of the core, cycles from first beat in to last beat out")
    table.add_column("op, lanes")
    lengths = sorted({r["length"] for r in results})
    for length in lengths:
        table.add_column(f"N = {length}", justify="right")
    for op, lanes in dict.fromkeys((r["op"], r["lanes"]) for r in results):
        found = {r["length"]: r["cycles"] for r in results if (r["op"], r["lanes"]) == (op, lanes)}
        table.add_row(f"{op}, {lanes}", *(str(found[n]) for n in lengths))
    return table


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m litenorm.bench.throughput", description=__doc__.splitlines()[0],
        epilog="example: python -m litenorm.bench.throughput --part throughput --length 16 --length 64")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    parser.add_argument("--length", type=int, action="append", metavar="N",
                        help=f"row length (default: {', '.join(map(str, LENGTHS))})")
    parser.add_argument("--lanes", type=int, choices=c.LANES, action="append",
                        help="of the latency (default: all); the throughput's are 4")
    parser.add_argument("--elements", type=int, default=ELEMENTS, help=f"of a batch (default: {ELEMENTS})")
    parser.add_argument("--plot", action="append", default=[], metavar="FILE",
                        help="write the plot of the part systems, .svg or .png")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    args = parser.parse_args(argv)
    parts, lengths = args.part or PARTS, args.length or LENGTHS
    if args.plot and "systems" not in parts:
        parser.error("--plot draws the part systems: add --part systems")
    for length in lengths:
        if not 2 <= length <= 1024:
            parser.error(f"--length is {length}; good: 2 to 1024")
    work = [(throughput, (op, output, n, args.elements)) for op, output in CASES for n in lengths
            if "throughput" in parts]
    if "systems" in parts:
        work += [(throughput, (op, output, n, args.elements, lanes, bus)) for lanes, bus in SYSTEMS
                 for op, output in SYSTEM_CASES for n in lengths]
    if "latency" in parts:
        work += [(latency, (LiteNormConfig(lanes=lanes), op, n)) for lanes in args.lanes or c.LANES for op in c.OPS
                 for n in lengths]
    results = {throughput: [], latency: []}
    columns = TextColumn("measure"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    plots = []
    try:
        if args.plot:
            from litenorm.bench.plot import check_paths, write

            plots = check_paths(args.plot)
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            for function, arguments in progress.track(work):
                results[function].append((arguments, function(*arguments)))
    except (ValueError, SimulationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    rates = [r for arguments, r in results[throughput] if len(arguments) == 4]
    systems = [r for arguments, r in results[throughput] if len(arguments) > 4]
    latencies = [{"op": op, "lanes": config.lanes, "length": n, "cycles": cycles}
                 for (config, op, n), cycles in results[latency]]
    console = Console(highlight=False)
    if rates:
        console.print(throughput_table(rates))
    if systems:
        for table in system_tables(systems):
            console.print(table)
        if plots:
            write(draw(systems), plots)
    if latencies:
        console.print(latency_table(latencies))
    if args.json:
        report = {"throughput": [asdict(r) | {"words_per_cycle": r.words_per_cycle} for r in rates + systems],
                  "latency": latencies}
        partial = args.json.with_name(args.json.name + ".partial")
        try:
            partial.write_text(json.dumps(report, indent=1) + "\n")
            partial.replace(args.json)
        except OSError as error:
            print(f"error: cannot write {args.json}: {error.strerror}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
