#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""LiteX SoC with LiteNorm on the Arty A7 (Artix-7, 256 MiB of DDR3, 16 bits).

    python -m litenorm.soc.targets.arty --variant a7-35 --build --load

`--build` needs Vivado on the PATH; with `--no-compile-gateware` beside it, it writes the project for Vivado alone.
"""

import sys

from litedram.modules import MT41K128M16
from litedram.phy import s7ddrphy
from litex.gen import *
from litex.soc.cores.clock import S7IDELAYCTRL, S7PLL
from litex.soc.integration.soc_core import SoCCore
from litex_boards.platforms import digilent_arty
from migen import *

from litenorm.accel import LiteNormConfig
from litenorm.soc.targets import common

SYS_CLK_FREQ = 100e6  # Hz
CORE = LiteNormConfig(lanes=4, max_length=1024)
VARIANTS = ("a7-35", "a7-100")

# CRG ----------------------------------------------------------------------------------------------

class _CRG(LiteXModule):
    def __init__(self, platform, sys_clk_freq):
        self.rst          = Signal()
        self.cd_sys       = ClockDomain()
        self.cd_sys4x     = ClockDomain()
        self.cd_sys4x_dqs = ClockDomain()
        self.cd_idelay    = ClockDomain()

        # # #

        # PLL
        self.pll = pll = S7PLL(speedgrade=-1)
        self.comb += pll.reset.eq(~platform.request("cpu_reset") | self.rst)
        pll.register_clkin(platform.request("clk100"), 100e6)
        pll.create_clkout(self.cd_sys,       sys_clk_freq)
        pll.create_clkout(self.cd_sys4x,     4*sys_clk_freq)
        pll.create_clkout(self.cd_sys4x_dqs, 4*sys_clk_freq, phase=90)
        pll.create_clkout(self.cd_idelay,    200e6)
        platform.add_false_path_constraints(self.cd_sys.clk, pll.clkin)  # the SoC's own reset

        self.idelayctrl = S7IDELAYCTRL(self.cd_idelay)

# BaseSoC ------------------------------------------------------------------------------------------

class BaseSoC(SoCCore):
    """VexRiscv, UART, timer, DDR3 and the core. config: LiteNormConfig; None: without the core.

    Raises ValueError for a variant that the board does not have.
    """
    def __init__(self, variant="a7-35", toolchain="vivado", sys_clk_freq=SYS_CLK_FREQ, config=CORE, **kwargs):
        if variant not in VARIANTS:
            raise ValueError(f"variant is {variant!r}; good: {', '.join(VARIANTS)}")
        platform = digilent_arty.Platform(variant=variant, toolchain=toolchain)

        # CRG --------------------------------------------------------------------------------------
        self.crg = _CRG(platform, sys_clk_freq)

        # SoCCore ----------------------------------------------------------------------------------
        SoCCore.__init__(self, platform, sys_clk_freq, **common.soc_options(f"Arty {variant.upper()}", config, kwargs))

        # DDR3 SDRAM -------------------------------------------------------------------------------
        if not self.integrated_main_ram_size:
            self.ddrphy = s7ddrphy.A7DDRPHY(platform.request("ddram"),
                memtype      = "DDR3",
                nphases      = 4,
                sys_clk_freq = sys_clk_freq)
            self.add_sdram("sdram",
                phy           = self.ddrphy,
                module        = MT41K128M16(sys_clk_freq, "1:4"),
                l2_cache_size = kwargs.get("l2_size", 0),
            )

        # LiteNorm ---------------------------------------------------------------------------------
        common.add_core(self, config)

# Build --------------------------------------------------------------------------------------------

def main():
    parser = common.parser(digilent_arty.Platform, "LiteX SoC with LiteNorm on Arty A7.", SYS_CLK_FREQ, "arty", CORE)
    parser.add_target_argument("--variant", default="a7-35", choices=VARIANTS, help="Board variant.")
    args = parser.parse_args()
    loader = {"a7-35": "arty", "a7-100": "arty_a7_100t"}[args.variant]
    return common.run(parser, args, lambda config: BaseSoC(
        variant      = args.variant,
        toolchain    = args.toolchain,
        sys_clk_freq = args.sys_clk_freq,
        config       = config,
        **parser.soc_argdict), loader=loader)


if __name__ == "__main__":
    sys.exit(main())
