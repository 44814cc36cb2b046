# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Speed of simulation: LiteX's own simulation flow and this project's, side by side on the same SoC and firmware.

    python -m litenorm.bench.simulation

Both programs simulate the same clock cycles of the same transformer layer. The figure is simulated cycles per second of
CPU time, a ratio of the two is more than either: they run in turns, and the median of the ratios counts.

LiteX's flow (SimConfig, as in litex_sim) needs the Debian packages libevent-dev and libjson-c-dev.
"""

import argparse
import json
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from litenorm.accel import LiteNormConfig
from litenorm.nn.image import write_image
from litenorm.nn.workload import default_workload
from litenorm.sim import build
from litenorm.sim.cache import build_dir, cached, digest
from litenorm.sim.errors import SimulationError
from litenorm.sim.output import check_output, write_json
from litenorm.sim.progress import observe
from litenorm.sim.runner import write_memories
from litenorm.soc.options import MAIN_RAM_SIZE

COMMAND = b"layer cpu\nexit\n"      # typed at the firmware's console; both SoCs can do it


def elaborate_stock(folder, options, cycles):
    """Build LiteX's own simulation of the SoC of `options` (build.soc_options) in `folder`; it ends after `cycles`."""
    from litex.build.sim.config import SimConfig
    from litex.gen import If, Signal
    from litex.soc.integration.builder import Builder
    from migen.fhdl.structure import Finish

    from litenorm.soc.identify import identify
    from litenorm.soc.sim import CLOCK_FREQUENCY, SimSoC

    config = None if options["litenorm"] is None else LiteNormConfig(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in options["litenorm"].items()})
    soc = SimSoC(options["cpu_variant"], options["main_ram_size"], config is not None, config)
    passed = Signal(64)
    soc.sync += [passed.eq(passed + 1), If(passed == cycles, Finish())]
    modules = SimConfig()
    modules.add_clocker("sys_clk", freq_hz=CLOCK_FREQUENCY)
    modules.add_module("serial2console", "serial")
    identify(soc)       # the firmware is for a SoC with this identification
    builder = Builder(soc, output_dir=f"{folder}", compile_software=False)
    builder.build(build_name="sim", sim_config=modules, run=False, opt_level="O3")


def build_stock(options, cycles, stage):
    """LiteX's program for the SoC of `options`; BuildError when it cannot be built."""
    sources = [path.read_bytes() for folder in ("litenorm.accel", "litenorm.soc")
               for path in sorted(build.folder_of(folder).rglob("*.py"))]

    def make(folder):
        stage("LiteX's own flow: elaborating, verilating, compiling")
        call = f"from litenorm.bench import simulation as s; s.elaborate_stock({f'{folder}'!r}, {options!r}, {cycles})"
        build.run_tool("elaborating for LiteX's simulation", [sys.executable, "-c", call], folder)
        build.run_tool("compiling LiteX's simulation", ["bash", "build_sim.sh"], folder / "gateware")

    key = digest(json.dumps(options), f"{cycles}", Path(__file__).read_bytes(), *sources)
    return cached(build_dir("stock"), key, make) / "gateware/obj_dir/Vsim"


def run(command, folder):
    """CPU seconds that the program takes in `folder`. The console's text follows the first byte that it prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    process.stdout.read(1)
    try:
        process.stdin.write(COMMAND)
        process.stdin.flush()
        process.communicate()
    except BrokenPipeError:
        pass
    if process.wait():
        raise SimulationError(f"{shlex.join(map(str, command))} stopped with code {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime


def measure(config, cycles, repeat, stage):
    """(cycles per CPU second of LiteX's flow, of this one), `repeat` times in turns."""
    options = build.soc_options(config, "standard", MAIN_RAM_SIZE)
    soc = build.build_soc(config, "standard", MAIN_RAM_SIZE, stage)
    firmware = build.build_firmware(soc, build.folder_of("litenorm.firmware"), config or LiteNormConfig(), stage)
    ours = build.build_simulation(soc, False, stage)
    stock = build_stock(json.loads(options), cycles, stage)
    workload = default_workload(config=config)
    image = write_image(workload.block, workload.x, workload.valid)
    build_dir("run").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build_dir("run")) as folder:
        folder = Path(folder)
        write_memories(folder, soc, firmware, image)
        (folder / "input").write_bytes(COMMAND)
        for name in ("sim_config.js", "modules"):     # LiteX's program looks for them in its working folder
            (folder / name).symlink_to(stock.parent.parent / name)
        results = []
        for n in range(repeat):
            stage(f"run {n + 1} of {repeat}")
            results.append((cycles / run([stock], folder),
                            cycles / run([ours, "--limit", f"{cycles}", "--input", "input"], folder)))
    return results


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.bench.simulation", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.bench.simulation --repeat 3")
    parser.add_argument("--cycles", type=int, default=8_000_000, metavar="N", help="cycles of a run (default: 8000000)")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="runs of each (default: 5)")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON")
    args = parser.parse_args(argv)
    if args.cycles < 1 or args.repeat < 1:
        parser.error("--cycles and --repeat must be at least 1")
    table = Table(title=f"simulated cycles per CPU second, {args.cycles} cycles of a transformer layer")
    for column in ("SoC", "LiteX's flow", "this project's", "ratio (median)"):
        table.add_column(column, justify="left" if column == "SoC" else "right")
    figures = []
    try:
        if args.json:
            check_output(args.json, "a JSON file")
        with observe() as observer:
            for name, config in (("VexRiscv, no core", None), ("with LiteNorm, 4 lanes", LiteNormConfig())):
                results = measure(config, args.cycles, args.repeat, observer.stage)
                ratio = statistics.median(own / stock for stock, own in results)
                stock, own = (statistics.median(column) for column in zip(*results, strict=True))
                table.add_row(name, f"{stock / 1e6:.2f} M", f"{own / 1e6:.2f} M", f"{ratio:.2f}")
                figures.append({"soc": name, "stock": stock, "own": own, "ratio": ratio})
    except (SimulationError, OSError, ValueError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    Console(highlight=False).print(table)
    if args.json:
        write_json(args.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
