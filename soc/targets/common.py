# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What the target scripts share: the settings of their SoCs, the flags of the core, build and load."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from litex.build.openfpgaloader import OpenFPGALoader
from litex.build.parser import LiteXArgumentParser
from litex.soc.integration.builder import Builder

from litenorm.accel import LiteNormConfig
from litenorm.accel.config import BACKENDS, SIZES
from litenorm.accel.constants import OPS
from litenorm.soc.identify import identify
from litenorm.soc.options import ROM_SIZE
from litenorm.soc.targets.path import add_python_folder


def parser(platform, description, sys_clk_freq, script, core):
    """LiteXArgumentParser of a target script, with the flags of the core.

    sys_clk_freq  Hz, the default
    script        name of the script's module
    core          LiteNormConfig, the default core of the board
    """
    target = LiteXArgumentParser(platform=platform, description=description)
    target.prog = f"python -m litenorm.soc.targets.{script}"  # LiteX's own has the description here
    target.add_target_argument("--sys-clk-freq", default=sys_clk_freq, type=float, help="System clock, Hz.")
    switch = target.target_group.add_mutually_exclusive_group()
    switch.add_argument("--with-litenorm", dest="with_litenorm", action="store_true", default=True,
                        help="With the LiteNorm core (default).")
    switch.add_argument("--no-litenorm", dest="with_litenorm", action="store_false", help="Without the core.")
    target.add_target_argument("--lanes", default=core.lanes, type=int, help="LiteNorm: elements per beat.")
    target.add_target_argument("--max-length", default=core.max_length, type=int, help="LiteNorm: longest row.")
    target.add_target_argument("--ops", default=",".join(core.ops), help=f"LiteNorm: some of {','.join(OPS)}.")
    target.add_target_argument("--backend", default=core.backend, choices=BACKENDS, help="LiteNorm: back end.")
    target.add_target_argument("--size", default=core.size, choices=SIZES, help="LiteNorm: of the serial back end.")
    target.add_target_argument("--cfu", action="store_true",
        help="Custom instructions of the CPU for matrix products; variant standard or full.")
    target.set_defaults(l2_size=0, integrated_rom_size=ROM_SIZE)
    return target


def core_config(args):
    """LiteNormConfig of a script's arguments, None without the core. ValueError says which values are good."""
    if not args.with_litenorm:
        return None
    serial = args.backend == "serial"
    return LiteNormConfig(lanes=args.lanes, max_length=args.max_length, ops=tuple(args.ops.split(",")),
                          backend=args.backend, size=(args.size or "area") if serial else None)


def soc_options(board, config, options):
    """Arguments of SoCCore: those of the caller and what all boards have.

    board    its name, for the identification that the firmware reads
    config   LiteNormConfig or None

    The timer counts cycles since reset, because the firmware measures with it, and the bus has bursts for the core's
    masters. The identification has no date: the same sources give the same Verilog.
    """
    return dict(dict(integrated_rom_size=ROM_SIZE, integrated_sram_size=0x2000), **options) | dict(
        ident         = identification(board, config),
        ident_version = False,
        timer_uptime  = True,
        bus_bursting  = True,
    )


def identification(board, config):
    """`LiteNorm 0.1.0 on BOARD: ...`, what the gateware is, for the BIOS and the firmware to print."""
    text = f"LiteNorm {version('litenorm')} on {board}"
    if config is None:
        return f"{text}, without the core"
    kind = f"{config.lanes} lanes" if config.backend == "parallel" else f"serial, {config.size}"
    return f"{text}: {','.join(config.ops)}, {kind}, rows to {config.max_length}"


def add_core(soc, config, **options):
    """Attach the core, unless config is None: native ports of LiteDRAM where the SoC has them and no L2 cache.

    options   of `add_litenorm`
    """
    if config is not None:
        from litenorm.soc import add_litenorm

        add_litenorm(soc, name="litenorm", config=config, **options)


def run(target, args, make_soc, loader):
    """Elaborate, build, load, as the script's flags say; returns the exit code. make_soc(config) gives the SoC."""
    add_python_folder()
    try:
        soc = make_soc(core_config(args))
        if args.cfu:
            from litenorm.soc import add_cfu

            add_cfu(soc)
        identify(soc)
        builder = Builder(soc, **target.builder_argdict)
        if args.build:
            builder.build(**target.toolchain_argdict)
        if args.load:
            bitstream = builder.get_bitstream_filename(mode="sram")
            if not Path(bitstream).exists():
                raise ValueError(f"{bitstream} does not exist: give --build")
            OpenFPGALoader(loader).load_bitstream(bitstream)
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0
