#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""LiteX SoC with LiteNorm in LiteX's own simulation, as litex_sim: BIOS, interactive console, LiteX's flags.

    python -m litenorm.soc.targets.sim                              the BIOS's console
    python -m litenorm.soc.targets.sim --no-compile-gateware        headers and BIOS alone, into build/sim
    litenorm firmware build/sim -o litenorm.bin
    python -m litenorm.soc.targets.sim --ram-init=litenorm.bin      boots the firmware

`litenorm sim` simulates faster, and needs neither libevent nor json-c; this is for people who know litex_sim.
"""

import os
import subprocess
import sys

from litex.build.generic_platform import CRG, Pins, Subsignal
from litex.build.sim import SimPlatform
from litex.build.sim.config import SimConfig
from litex.gen import *
from litex.soc.integration.builder import Builder
from litex.soc.integration.common import get_mem_data
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect.csr import CSRStorage
from migen import *

from litenorm.accel import LiteNormConfig
from litenorm.soc import add_cfu, add_litenorm
from litenorm.soc.identify import identify
from litenorm.soc.options import MAIN_RAM_SIZE, ROM_SIZE
from litenorm.soc.targets.path import add_python_folder

SYS_CLK_FREQ = int(1e6)  # Hz, as litex_sim: it only decides how long the BIOS waits
CORE = LiteNormConfig(lanes=4, max_length=1024)
PROGRAM = "python -m litenorm.soc.targets.sim"

_io = [
    ("sys_clk", 0, Pins(1)),
    ("sys_rst", 0, Pins(1)),
    ("serial", 0,
        Subsignal("source_valid", Pins(1)),
        Subsignal("source_ready", Pins(1)),
        Subsignal("source_data",  Pins(8)),
        Subsignal("sink_valid",   Pins(1)),
        Subsignal("sink_ready",   Pins(1)),
        Subsignal("sink_data",    Pins(8)),
    ),
]

# Simulation control -------------------------------------------------------------------------------

class SimControl(LiteXModule):
    """Ends the simulation when the firmware writes its exit code, which is shown."""
    def __init__(self):
        self.exit = CSRStorage(32, description="Writing ends the simulation; the value is the exit code.")

        # # #

        self.sync += If(self.exit.re, Display("exit %d", self.exit.storage), Finish())

# BaseSoC ------------------------------------------------------------------------------------------

class BaseSoC(SoCCore):
    """VexRiscv, UART, timer, RAM and the core. config: LiteNormConfig; None: without the core."""
    def __init__(self, sys_clk_freq=SYS_CLK_FREQ, config=CORE, **kwargs):
        platform = SimPlatform("SIM", list(_io))

        # CRG --------------------------------------------------------------------------------------
        self.crg = CRG(platform.request("sys_clk"))

        # SoCCore ----------------------------------------------------------------------------------
        defaults = dict(uart_name="sim", integrated_rom_size=ROM_SIZE, integrated_main_ram_size=MAIN_RAM_SIZE)
        SoCCore.__init__(self, platform, sys_clk_freq, **defaults | kwargs | dict(
            ident         = "LiteNorm in LiteX's simulation",
            ident_version = False,
            timer_uptime  = True,
            bus_bursting  = True,
        ))

        # Simulation -------------------------------------------------------------------------------
        self.simctrl = SimControl()
        self.comb += platform.trace.eq(1)

        # LiteNorm ---------------------------------------------------------------------------------
        if config is not None:
            add_litenorm(self, name="litenorm", config=config)

# Build --------------------------------------------------------------------------------------------

def make_parser():
    from litex.build.parser import LiteXArgumentParser  # it imports the SoC, which imports it

    parser = LiteXArgumentParser(platform=SimPlatform, description="LiteX simulation of a SoC with LiteNorm.")
    parser.prog = PROGRAM
    parser.add_target_argument("--sys-clk-freq",    default=SYS_CLK_FREQ, type=float, help="System clock, Hz.")
    parser.add_target_argument("--rom-init",        default=None,             help="ROM init file (.bin or .json).")
    parser.add_target_argument("--ram-init",        default=None,             help="RAM init file (.bin or .json).")
    parser.add_target_argument("--non-interactive", action="store_true",      help="Run without user input.")
    parser.add_target_argument("--no-litenorm",     action="store_true",      help="Without the core.")
    parser.add_target_argument("--cfu",             action="store_true",      help="Instructions for matrix products.")
    parser.add_target_argument("--lanes",           default=CORE.lanes, type=int, help="LiteNorm: elements per beat.")
    parser.add_target_argument("--max-length",      default=CORE.max_length, type=int, help="LiteNorm: longest row.")
    parser.set_defaults(integrated_rom_size=ROM_SIZE, integrated_main_ram_size=MAIN_RAM_SIZE, uart_name="sim",
                        output_dir=os.path.join("build", "sim"))
    return parser


def make_soc(args, options):
    """BaseSoC of the script's arguments. options: arguments of SoCCore."""
    config = None if args.no_litenorm else LiteNormConfig(lanes=args.lanes, max_length=args.max_length)
    for name in ("rom_init", "ram_init"):
        file = getattr(args, name)
        if file is not None and not os.path.isfile(file):
            raise ValueError(f"--{name.replace('_', '-')} is {file}, which is no file; good: a .bin or .json")
    if args.rom_init is not None:
        options["integrated_rom_init"] = get_mem_data(args.rom_init, data_width=32, endianness="little")
    if args.ram_init is not None:
        base = SoCCore.mem_map["main_ram"]
        options["integrated_main_ram_init"] = get_mem_data(args.ram_init, data_width=32, endianness="little",
                                                           offset=base)
    soc = BaseSoC(sys_clk_freq=int(args.sys_clk_freq), config=config, **options)
    if args.cfu:
        add_cfu(soc)
    if args.ram_init is not None:
        soc.add_constant("ROM_BOOT_ADDRESS", base)  # the BIOS boots what is there
    return soc


def main():
    parser = make_parser()
    args = parser.parse_args()
    add_python_folder()
    sim_config = SimConfig()
    sim_config.add_clocker("sys_clk", freq_hz=int(args.sys_clk_freq))
    sim_config.add_module("serial2console", "serial")
    try:
        soc = make_soc(args, parser.soc_argdict)
        print(identify(soc))
        builder = Builder(soc, **parser.builder_argdict)
        builder.build(sim_config=sim_config, interactive=not args.non_interactive, **parser.toolchain_argdict)
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
