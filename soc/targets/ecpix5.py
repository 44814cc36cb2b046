#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""LiteX SoC with LiteNorm on the ECPIX-5 (ECP5-5G, 512 MiB of DDR3, 16 bits).

    python -m litenorm.soc.targets.ecpix5 --device 85F --build --load
"""

import sys

from litedram.modules import MT41K256M16
from litedram.phy import ECP5DDRPHY
from litex.gen import *
from litex.soc.cores.clock import ECP5PLL
from litex.soc.integration.soc_core import SoCCore
from litex_boards.platforms import lambdaconcept_ecpix5
from migen import *
from migen.genlib.resetsync import AsyncResetSynchronizer

from litenorm.accel import LiteNormConfig
from litenorm.soc.targets import common

SYS_CLK_FREQ = 50e6  # Hz
CORE = LiteNormConfig(lanes=4, max_length=1024)
DEVICES = ("45F", "85F")

# CRG ----------------------------------------------------------------------------------------------

class _CRG(LiteXModule):
    def __init__(self, platform, sys_clk_freq):
        self.rst        = Signal()
        self.cd_init    = ClockDomain()
        self.cd_por     = ClockDomain()
        self.cd_sys     = ClockDomain()
        self.cd_sys2x   = ClockDomain()
        self.cd_sys2x_i = ClockDomain()

        # # #

        self.stop  = Signal()
        self.reset = Signal()

        # Clk / Rst
        clk100 = platform.request("clk100")
        rst_n  = platform.request("rst_n")

        # Power on reset
        por_count = Signal(16, reset=2**16-1)
        por_done  = Signal()
        self.comb += [
            self.cd_por.clk.eq(clk100),
            por_done.eq(por_count == 0),
        ]
        self.sync.por += If(~por_done, por_count.eq(por_count - 1))

        # PLL: the SoC's clock is the DDR3's divided by 2, so that the PHY's gearing is in step with it.
        self.pll = pll = ECP5PLL()
        self.comb += pll.reset.eq(~por_done | ~rst_n | self.rst)
        pll.register_clkin(clk100, 100e6)
        pll.create_clkout(self.cd_sys2x_i, 2*sys_clk_freq)
        pll.create_clkout(self.cd_init, 25e6)
        self.specials += [
            Instance("ECLKSYNCB",
                i_ECLKI = self.cd_sys2x_i.clk,
                i_STOP  = self.stop,
                o_ECLKO = self.cd_sys2x.clk),
            Instance("CLKDIVF",
                p_DIV     = "2.0",
                i_ALIGNWD = 0,
                i_CLKI    = self.cd_sys2x.clk,
                i_RST     = self.reset,
                o_CDIVX   = self.cd_sys.clk),
            AsyncResetSynchronizer(self.cd_sys, ~pll.locked | self.reset),
        ]

# BaseSoC ------------------------------------------------------------------------------------------

class BaseSoC(SoCCore):
    """VexRiscv, UART, timer, DDR3 and the core. config: LiteNormConfig; None: without the core.

    Raises ValueError for a device that the board does not have.
    """
    def __init__(self, device="85F", toolchain="trellis", sys_clk_freq=SYS_CLK_FREQ, config=CORE, **kwargs):
        if device not in DEVICES:
            raise ValueError(f"device is {device!r}; good: {', '.join(DEVICES)}")
        platform = lambdaconcept_ecpix5.Platform(device=device, toolchain=toolchain)

        # CRG --------------------------------------------------------------------------------------
        self.crg = _CRG(platform, sys_clk_freq)

        # SoCCore ----------------------------------------------------------------------------------
        SoCCore.__init__(self, platform, sys_clk_freq, **common.soc_options(f"ECPIX-5 {device}", config, kwargs))

        # DDR3 SDRAM -------------------------------------------------------------------------------
        if not self.integrated_main_ram_size:
            self.ddrphy = ECP5DDRPHY(platform.request("ddram"), sys_clk_freq=sys_clk_freq)
            self.comb += [
                self.crg.stop.eq(self.ddrphy.init.stop),
                self.crg.reset.eq(self.ddrphy.init.reset),
            ]
            self.add_sdram("sdram",
                phy           = self.ddrphy,
                module        = MT41K256M16(sys_clk_freq, "1:2"),
                l2_cache_size = kwargs.get("l2_size", 0),
            )

        # LiteNorm ---------------------------------------------------------------------------------
        common.add_core(self, config)

# Build --------------------------------------------------------------------------------------------

def main():
    parser = common.parser(lambdaconcept_ecpix5.Platform, "LiteX SoC with LiteNorm on ECPIX-5.", SYS_CLK_FREQ,
                           "ecpix5", CORE)
    parser.add_target_argument("--device", default="85F", choices=DEVICES, help="FPGA device.")
    args = parser.parse_args()
    return common.run(parser, args, lambda config: BaseSoC(
        device       = args.device,
        toolchain    = args.toolchain,
        sys_clk_freq = args.sys_clk_freq,
        config       = config,
        **parser.soc_argdict), loader="ecpix5")


if __name__ == "__main__":
    sys.exit(main())
