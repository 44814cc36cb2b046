#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""LiteX SoC with LiteNorm on the Colorlight i5 (ECP5 25F, 8 MiB of SDRAM, 32 bits).

    python -m litenorm.soc.targets.colorlight_i5 --build --load

The core has 2 lanes: with 4, 89 % of the LUTs are taken, and nextpnr's router may not come to an end.
"""

import sys

from litedram.modules import M12L64322A
from litedram.phy import GENSDRPHY
from litex.build.io import DDROutput
from litex.gen import *
from litex.soc.cores.clock import ECP5PLL
from litex.soc.integration.soc_core import SoCCore
from litex_boards.platforms import colorlight_i5
from migen import *

from litenorm.accel import LiteNormConfig
from litenorm.soc.targets import common

SYS_CLK_FREQ = 50e6  # Hz
CORE = LiteNormConfig(lanes=2, max_length=512)

# CRG ----------------------------------------------------------------------------------------------

class _CRG(LiteXModule):
    def __init__(self, platform, sys_clk_freq):
        self.rst       = Signal()
        self.cd_sys    = ClockDomain()
        self.cd_sys_ps = ClockDomain()

        # # #

        # Clk / Rst
        clk25 = platform.request("clk25")
        rst_n = platform.request("cpu_reset_n")

        # PLL
        self.pll = pll = ECP5PLL()
        self.comb += pll.reset.eq(~rst_n | self.rst)
        pll.register_clkin(clk25, 25e6)
        pll.create_clkout(self.cd_sys, sys_clk_freq)
        # Half a period: the FPGA's way out takes longer than the quarter that would be ideal.
        pll.create_clkout(self.cd_sys_ps, sys_clk_freq, phase=180)

        # SDRAM
        self.specials += DDROutput(1, 0, platform.request("sdram_clock"), ClockSignal("sys_ps"))

# BaseSoC ------------------------------------------------------------------------------------------

class BaseSoC(SoCCore):
    """VexRiscv, UART, timer, SDRAM and the core. config: LiteNormConfig; None: without the core."""
    def __init__(self, toolchain="trellis", sys_clk_freq=SYS_CLK_FREQ, config=CORE, **kwargs):
        platform = colorlight_i5.Platform(board="i5", toolchain=toolchain)

        # CRG --------------------------------------------------------------------------------------
        self.crg = _CRG(platform, sys_clk_freq)

        # SoCCore ----------------------------------------------------------------------------------
        SoCCore.__init__(self, platform, sys_clk_freq, **common.soc_options("Colorlight i5", config, kwargs))

        # SDR SDRAM --------------------------------------------------------------------------------
        if not self.integrated_main_ram_size:
            self.sdrphy = GENSDRPHY(platform.request("sdram"), sys_clk_freq)
            self.add_sdram("sdram",
                phy           = self.sdrphy,
                module        = M12L64322A(sys_clk_freq, "1:1"),  # compatible with the board's EM638325
                l2_cache_size = kwargs.get("l2_size", 0),
            )

        # LiteNorm ---------------------------------------------------------------------------------
        common.add_core(self, config)

# Build --------------------------------------------------------------------------------------------

def main():
    parser = common.parser(colorlight_i5.Platform, "LiteX SoC with LiteNorm on Colorlight i5.", SYS_CLK_FREQ,
                           "colorlight_i5", CORE)
    args = parser.parse_args()
    return common.run(parser, args, lambda config: BaseSoC(
        toolchain    = args.toolchain,
        sys_clk_freq = args.sys_clk_freq,
        config       = config,
        **parser.soc_argdict), loader="colorlight-i5")


if __name__ == "__main__":
    sys.exit(main())
