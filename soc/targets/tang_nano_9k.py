#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""LiteX SoC with LiteNorm on the Tang Nano 9K (Gowin GW1NR-9C): the small configuration.

    python -m litenorm.soc.targets.tang_nano_9k --build --load

BIOS, stack and main memory lie in block RAM. The CPU has no caches and no multiplier, the core is the smallest serial
one, softmax alone, and no job waits while another runs: so both fit in 8640 LUTs. Main memory is too small for the
firmware of this project; what fits is a program of your own with the driver.
"""

import sys

from litex.build.yosys_nextpnr_toolchain import yosys_nextpnr_argdict, yosys_nextpnr_args
from litex.gen import *
from litex.soc.cores.clock.gowin_gw1n import GW1NPLL
from litex.soc.integration.soc_core import SoCCore
from litex_boards.platforms import sipeed_tang_nano_9k
from migen import *

from litenorm.accel import LiteNormConfig
from litenorm.soc.targets import common

SYS_CLK_FREQ = 27e6  # Hz
CORE = LiteNormConfig(backend="serial", size="area", ops="softmax", max_length=128)
SRAM_SIZE = 0x2000      # bytes: the stack; half of it would take as many block RAMs
MAIN_RAM_SIZE = 0x2000  # bytes

class Platform(sipeed_tang_nano_9k.Platform):
    """The board with the open tools alone, and with their options, which LiteX leaves out for Gowin."""
    _supported_toolchains = ["apicula"]

    def __init__(self, toolchain="apicula"):
        super().__init__(toolchain=toolchain)

    @classmethod
    def fill_args(cls, toolchain, parser):
        yosys_nextpnr_args(parser)

    @classmethod
    def get_argdict(cls, toolchain, args):
        return yosys_nextpnr_argdict(args)

# CRG ----------------------------------------------------------------------------------------------

class _CRG(LiteXModule):
    def __init__(self, platform, sys_clk_freq):
        self.rst    = Signal()
        self.cd_sys = ClockDomain()

        # # #

        # Clk / Rst
        clk27 = platform.request("clk27")
        rst_n = platform.request("user_btn", 0)

        # PLL
        self.pll = pll = GW1NPLL(devicename=platform.devicename, device=platform.device)
        self.comb += pll.reset.eq(~rst_n)
        pll.register_clkin(clk27, 27e6)
        pll.create_clkout(self.cd_sys, sys_clk_freq)

# BaseSoC ------------------------------------------------------------------------------------------

class BaseSoC(SoCCore):
    """VexRiscv `minimal`, UART, timer, block RAM and the core. config: LiteNormConfig; None: without the core."""
    def __init__(self, toolchain="apicula", sys_clk_freq=SYS_CLK_FREQ, config=CORE, **kwargs):
        platform = Platform(toolchain=toolchain)

        # CRG --------------------------------------------------------------------------------------
        self.crg = _CRG(platform, sys_clk_freq)

        # SoCCore ----------------------------------------------------------------------------------
        small = dict(cpu_type="vexriscv", cpu_variant="minimal", integrated_sram_size=SRAM_SIZE,
                     integrated_main_ram_size=MAIN_RAM_SIZE)
        options = common.soc_options("Tang Nano 9K", config, small | kwargs)
        SoCCore.__init__(self, platform, sys_clk_freq, **options)

        # LiteNorm ---------------------------------------------------------------------------------
        common.add_core(self, config, jobs_waiting=0)

# Build --------------------------------------------------------------------------------------------

def main():
    parser = common.parser(Platform, "LiteX SoC with LiteNorm on Tang Nano 9K.", SYS_CLK_FREQ,
                           "tang_nano_9k", CORE)
    # Without the wide multiplexers the same logic takes a seventh fewer LUTs.
    parser.set_defaults(cpu_variant="minimal", integrated_sram_size=SRAM_SIZE, integrated_main_ram_size=MAIN_RAM_SIZE,
                        bios_console="lite", bios_lto=True, yosys_nowidelut=True)
    args = parser.parse_args()
    return common.run(parser, args, lambda config: BaseSoC(
        toolchain    = args.toolchain,
        sys_clk_freq = args.sys_clk_freq,
        config       = config,
        **parser.soc_argdict), loader="tangnano9k")


if __name__ == "__main__":
    sys.exit(main())
