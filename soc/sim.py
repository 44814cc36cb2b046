# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The SoC that is simulated: VexRiscv, UART, timer, RAM, and LiteNorm as a bus master.

Without a BIOS the CPU starts at `main_ram`, whose first bytes are the firmware. With it the CPU starts in a ROM, whose
content is read from `sim_rom.init` when the simulation starts, and the BIOS loads the firmware as on a board. The UART
and the simulation control are ports of the top level, which the test bench (`sim/main.cpp`) drives.

`python -m litenorm.soc.sim --output DIR --options JSON` writes the Verilog, the C headers and the variables of LiteX's
software build of one such SoC. The runner calls it in a process of its own, because LiteX changes the working folder
and prints as it goes.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from litex.build.generic_platform import CRG, Pins, Subsignal
from litex.build.sim import SimPlatform
from litex.gen import *
from litex.soc.integration.builder import Builder
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect.csr import CSRStorage
from migen import *

from litenorm.soc.identify import identify
from litenorm.soc.options import CPU_VARIANTS, MAIN_RAM_SIZE, ROM_SIZE

# Packages of LiteX's C library that the firmware links, in the order in which they are built.
SOFTWARE_PACKAGES = ("libc", "libcompiler_rt", "libbase")
BIOS_PACKAGES = ("liblitedram",)  # and of its BIOS, which prints the sizes of memories with it

MAIN_RAM_BASE = 0x4000_0000  # bytes, where the CPU starts
SRAM_SIZE = 16 * 2**10       # bytes, the stack

# A nominal figure: it only decides what the firmware calls a second.
CLOCK_FREQUENCY = int(100e6)  # Hz

_io = [
    ("sys_clk", 0, Pins(1)),
    ("serial", 0,
        Subsignal("source_valid", Pins(1)),
        Subsignal("source_ready", Pins(1)),
        Subsignal("source_data",  Pins(8)),
        Subsignal("sink_valid",   Pins(1)),
        Subsignal("sink_ready",   Pins(1)),
        Subsignal("sink_data",    Pins(8)),
    ),
    ("simctrl", 0,
        Subsignal("limit",    Pins(64)),
        Subsignal("cycles",   Pins(64)),
        Subsignal("exit",     Pins(1)),
        Subsignal("code",     Pins(32)),
        Subsignal("watchdog", Pins(1)),
    ),
]

# Simulation control -------------------------------------------------------------------------------

class SimControl(LiteXModule):
    """Ends a simulation: by the firmware's exit code, or by a watchdog on the number of cycles.

    The test bench stops when `pads.exit` or `pads.watchdog` rises; `pads.code` is then the exit code. `pads.limit` is
    the last cycle that may run, and 0 switches the watchdog off. It is a port, not a parameter, so that another limit
    needs no other Verilog.
    """
    def __init__(self, pads):
        self.exit = CSRStorage(32, description="Writing ends the simulation; the value is the exit code.")

        # # #

        cycles = Signal(64)  # clock cycles since start-up
        self.sync += [
            cycles.eq(cycles + 1),
            If(self.exit.re, pads.exit.eq(1)),
            If((pads.limit != 0) & (cycles == pads.limit), pads.watchdog.eq(1)),
        ]
        self.comb += [
            pads.cycles.eq(cycles),
            pads.code.eq(self.exit.storage),
        ]

# SoC ----------------------------------------------------------------------------------------------

class SimSoC(SoCCore):
    """A LiteX SoC for simulation: 32-bit bursting bus, `main_ram` at 0x4000_0000.

    Parameters
    ----------
    cpu_variant : one of CPU_VARIANTS
    main_ram_size : bytes, a power of two of at least 2 MiB
    with_litenorm : attach the core as peripheral `litenorm`
    litenorm_config : LiteNormConfig of the core; None is the default configuration
    bios : start in a ROM of ROM_SIZE bytes, where LiteX's BIOS belongs, instead of in main_ram

    Raises ValueError for an unknown variant or a wrong size.
    """
    def __init__(self, cpu_variant="standard", main_ram_size=MAIN_RAM_SIZE, with_litenorm=True, litenorm_config=None,
        bios=False):
        if cpu_variant not in CPU_VARIANTS:
            raise ValueError(f"cpu_variant is {cpu_variant!r}: use one of {', '.join(CPU_VARIANTS)}")
        if main_ram_size < 2 * 2**20 or main_ram_size & (main_ram_size - 1) or main_ram_size > 2**30:
            raise ValueError(f"main_ram_size is {main_ram_size}: use a power of two from 2 MiB to 1 GiB")

        platform = SimPlatform("SIM", list(_io))
        self.crg = CRG(platform.request("sys_clk"))
        SoCCore.__init__(self, platform, CLOCK_FREQUENCY,
            ident                    = "LiteNorm simulation SoC",
            ident_version            = False,
            cpu_type                 = "vexriscv",
            cpu_variant              = cpu_variant.removesuffix("+cfu"),
            cpu_reset_address        = MAIN_RAM_BASE,
            bus_data_width           = 32,
            bus_bursting             = True,
            integrated_rom_size      = ROM_SIZE if bios else 0,
            # Any content makes the Verilog read sim_rom.init when the simulation starts.
            integrated_rom_init      = [0]*(ROM_SIZE//4) if bios else [],
            integrated_sram_size     = SRAM_SIZE,
            integrated_main_ram_size = main_ram_size,
            integrated_main_ram_init = [0],  # makes the Verilog read sim_main_ram.init when the simulation starts
            uart_name                = "sim",
            # The variants but `full` have no cycle counter (mcycle reads 0), the timer's uptime counts in all of them.
            timer_uptime             = True,
        )
        if cpu_variant.endswith("+cfu"):
            from litenorm.soc import add_cfu
            add_cfu(self)
        self.simctrl = SimControl(platform.request("simctrl"))
        if with_litenorm:
            from litenorm.soc import add_litenorm
            add_litenorm(self, name="litenorm", config=litenorm_config)
        self.comb += platform.trace.eq(1)

# Elaboration --------------------------------------------------------------------------------------

def elaborate(output_dir, cpu_variant="standard", main_ram_size=MAIN_RAM_SIZE, litenorm=None, bios=False):
    """Write Verilog, C headers and build variables of a SimSoC into `output_dir`.

    `litenorm` is a dict of LiteNormConfig's arguments, or None for a SoC without the core. Written are
    `gateware/sim.v` with the memories' `.init` files, `gateware/sources.json` (all Verilog files, in order),
    `software/include/generated/*` and `csr.json`.
    """
    output_dir = Path(output_dir).resolve()
    config = None
    if litenorm is not None:
        from litenorm.accel import LiteNormConfig
        config = LiteNormConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in litenorm.items()})
    soc = SimSoC(cpu_variant=cpu_variant, main_ram_size=main_ram_size,
        with_litenorm=config is not None, litenorm_config=config, bios=bios)
    identify(soc)
    builder = Builder(soc, output_dir=str(output_dir), compile_software=False)
    builder.software_packages, builder.software_libraries = [], []
    for name in SOFTWARE_PACKAGES + (BIOS_PACKAGES if bios else ()):
        builder.add_software_package(name)
        builder.add_software_library(name)
    builder.build(build_name="sim", run=False)

    gateware = output_dir / "gateware"
    sources = [Path(gateware, file) for file, *_ in soc.platform.sources]
    sources = [f"{path.relative_to(gateware)}" if path.is_relative_to(gateware) else f"{path}"
               for path in sources if path.suffix in (".v", ".sv")]
    (gateware / "sources.json").write_text(json.dumps(sources))


def main():
    parser = argparse.ArgumentParser(description="Write the Verilog and the C headers of the simulation SoC.")
    parser.add_argument("--output",  required=True, help="Output folder.")
    parser.add_argument("--options", default="{}",  help="Arguments of elaborate(), as JSON.")
    args = parser.parse_args()
    try:
        elaborate(args.output, **json.loads(args.options))
    except ValueError as e:
        if "LITENORM_TRACEBACK" in os.environ:
            raise
        print(f"error: {e}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
