#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""LiteX SoC with LiteNorm on the ULX3S (ECP5, 32 MiB of SDRAM, 16 bits).

    python -m litenorm.soc.targets.ulx3s --device LFE5U-45F --build --load
"""

import sys

from litedram import modules
from litedram.phy import GENSDRPHY, HalfRateGENSDRPHY
from litex.build.io import DDROutput
from litex.gen import *
from litex.soc.cores.clock import ECP5PLL
from litex.soc.integration.soc_core import SoCCore
from litex_boards.platforms import radiona_ulx3s
from migen import *

from litenorm.accel import LiteNormConfig
from litenorm.soc.targets import common

SYS_CLK_FREQ = 50e6  # Hz
CORE = LiteNormConfig(lanes=4, max_length=512)
DEVICES = ("LFE5U-12F", "LFE5U-25F", "LFE5U-45F", "LFE5U-85F")
SDRAM_MODULES = ("MT48LC16M16", "AS4C32M16", "AS4C16M16")
SDRAM_RATES = ("1:1", "1:2")

# CRG ----------------------------------------------------------------------------------------------

class _CRG(LiteXModule):
    def __init__(self, platform, sys_clk_freq, sdram_rate):
        self.rst    = Signal()
        self.cd_sys = ClockDomain()

        # # #

        # Clk / Rst
        clk25 = platform.request("clk25")
        rst   = platform.request("rst")

        # PLL
        self.pll = pll = ECP5PLL()
        self.comb += pll.reset.eq(rst | self.rst)
        pll.register_clkin(clk25, 25e6)
        pll.create_clkout(self.cd_sys, sys_clk_freq)

        # SDRAM
        if sdram_rate == "1:2":
            self.cd_sys2x    = ClockDomain()
            self.cd_sys2x_ps = ClockDomain()
            pll.create_clkout(self.cd_sys2x,    2*sys_clk_freq)
            # Half a period: the FPGA's way out takes longer than the quarter that would be ideal.
            pll.create_clkout(self.cd_sys2x_ps, 2*sys_clk_freq, phase=180)
            sdram_clk = ClockSignal("sys2x_ps")
        else:
            self.cd_sys_ps = ClockDomain()
            pll.create_clkout(self.cd_sys_ps, sys_clk_freq, phase=90)
            sdram_clk = ClockSignal("sys_ps")
        self.specials += DDROutput(1, 0, platform.request("sdram_clock"), sdram_clk)

        # The ESP32 on the board resets the FPGA unless this is high.
        self.comb += platform.request("wifi_gpio0").eq(1)

# BaseSoC ------------------------------------------------------------------------------------------

class BaseSoC(SoCCore):
    """VexRiscv, UART, timer, SDRAM and the core.

    sdram_rate  "1:2": the SDRAM's clock is twice the SoC's. A native port then has 32 bits, which the core's masters
                use; at "1:1" it has 16, and they use the bus
    config      LiteNormConfig; None: without the core

    Raises ValueError for a device, module or rate that the board does not have.
    """
    def __init__(self, device="LFE5U-45F", revision="2.0", toolchain="trellis", sys_clk_freq=SYS_CLK_FREQ,
        sdram_module = "MT48LC16M16",
        sdram_rate   = "1:2",
        config       = CORE,
        **kwargs):
        for name, value, known in (("device", device, DEVICES), ("revision", revision, ("1.7", "2.0")),
                                   ("sdram_module", sdram_module, SDRAM_MODULES),
                                   ("sdram_rate", sdram_rate, SDRAM_RATES)):
            if value not in known:
                raise ValueError(f"{name} is {value!r}; good: {', '.join(known)}")
        platform = radiona_ulx3s.Platform(device=device, revision=revision, toolchain=toolchain)

        # CRG --------------------------------------------------------------------------------------
        self.crg = _CRG(platform, sys_clk_freq, sdram_rate)

        # SoCCore ----------------------------------------------------------------------------------
        SoCCore.__init__(self, platform, sys_clk_freq, **common.soc_options(f"ULX3S {device}", config, kwargs))

        # SDR SDRAM --------------------------------------------------------------------------------
        if not self.integrated_main_ram_size:
            sdrphy_cls  = HalfRateGENSDRPHY if sdram_rate == "1:2" else GENSDRPHY
            self.sdrphy = sdrphy_cls(platform.request("sdram"), sys_clk_freq)
            self.add_sdram("sdram",
                phy           = self.sdrphy,
                module        = getattr(modules, sdram_module)(sys_clk_freq, sdram_rate),
                l2_cache_size = kwargs.get("l2_size", 0),
            )

        # LiteNorm ---------------------------------------------------------------------------------
        common.add_core(self, config)

# Build --------------------------------------------------------------------------------------------

def main():
    parser = common.parser(radiona_ulx3s.Platform, "LiteX SoC with LiteNorm on ULX3S.", SYS_CLK_FREQ, "ulx3s", CORE)
    parser.add_target_argument("--device",       default="LFE5U-45F",   choices=DEVICES,        help="FPGA device.")
    parser.add_target_argument("--revision",     default="2.0",         choices=("2.0", "1.7"), help="Board revision.")
    parser.add_target_argument("--sdram-module", default="MT48LC16M16", choices=SDRAM_MODULES,  help="SDRAM module.")
    parser.add_target_argument("--sdram-rate",   default="1:2",         choices=SDRAM_RATES,
        help="SoC's clock to SDRAM's clock.")
    args = parser.parse_args()
    return common.run(parser, args, lambda config: BaseSoC(
        device       = args.device,
        revision     = args.revision,
        toolchain    = args.toolchain,
        sys_clk_freq = args.sys_clk_freq,
        sdram_module = args.sdram_module,
        sdram_rate   = args.sdram_rate,
        config       = config,
        **parser.soc_argdict), loader="ulx3s")


if __name__ == "__main__":
    sys.exit(main())
