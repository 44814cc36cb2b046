# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The commands `litenorm serial`, the simulated SoC as a board on a serial port, and `litenorm firmware`."""

import argparse
import re
from pathlib import Path

FIRMWARE_EXAMPLES = """\
examples:
  litenorm firmware build/boards/ulx3s-45f -o litenorm.bin
  litex_term /dev/ttyUSB0 --kernel=litenorm.bin --kernel-adr=0x40000000

SOC is the output folder of a LiteX build whose software was compiled: it has
software/include/generated/soc.h.
"""

SERIAL_EXAMPLES = """\
example:
  litenorm serial -o litenorm.bin
  litex_term PORT --kernel=litenorm.bin --kernel-adr=0x40000000
The second in another terminal, with the PORT that the first prints.
"""


def add_parsers(commands):
    """Add `firmware` and `serial` to the subcommands of argparse."""
    parser = commands.add_parser(
        "firmware", help="compile the firmware for the SoC of a LiteX build", epilog=FIRMWARE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Compile the firmware for the SoC of a LiteX build, as a binary for litex_term.")
    parser.add_argument("soc", type=Path, metavar="SOC", help="output folder of the LiteX build")
    parser.add_argument("-o", "--output", type=Path, default=Path("litenorm.bin"), metavar="F",
                        help="file to write (default: litenorm.bin)")
    parser.set_defaults(run=run_firmware)

    parser = commands.add_parser(
        "serial", help="the simulated SoC as a board: BIOS, and the UART on a pseudo-terminal", epilog=SERIAL_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Simulate a SoC with LiteX's BIOS, whose UART is a serial port on this machine.\n"
                    "It is switched on when the port is opened, and runs until the firmware's `exit`\n"
                    "or Ctrl-C.")
    parser.add_argument("-o", "--output", type=Path, metavar="F", help="write the firmware for this SoC to this file")
    parser.add_argument("--no-bios", action="store_true", help="start in the firmware instead of in the BIOS")
    parser.add_argument("--no-accel", action="store_true", help="a SoC without the core")
    parser.add_argument("--lanes", type=int, default=4, metavar="L", help="elements per beat (default: 4)")
    parser.add_argument("--max-length", type=int, default=1024, metavar="N", help="longest row (default: 1024)")
    parser.set_defaults(run=run_serial)


def config_of(header):
    """LiteNormConfig of the core in a `soc.h` (text), as far as the C twin needs it; the default one without a core."""
    from litenorm.accel import LiteNormConfig
    from litenorm.accel import constants as c

    found = re.search(r"^#define LITENORM_MAX_LENGTH (\d+)$", header, re.MULTILINE)
    if not found:
        return LiteNormConfig()
    length = int(found.group(1))
    return LiteNormConfig(max_length=length, ops=c.OPS if length <= c.MAX_LENGTH_LAYERNORM else ("softmax",))


def run_firmware(args):
    """`litenorm firmware`: returns the exit code."""
    from litenorm.sim import build
    from litenorm.sim.output import check_output
    from litenorm.sim.progress import observe
    from litenorm.sim.serial import identifier

    check_output(args.output, "the firmware's file")
    soc = args.soc.resolve()
    header = soc / "software/include/generated/soc.h"
    if not header.is_file():
        raise ValueError(f"{args.soc} is not the output folder of a LiteX build: it has no "
                         "software/include/generated/soc.h")
    missing = [name for name in ("libc", "libcompiler_rt", "libbase")
               if not (soc / "software" / name / f"{name}.a").exists()]
    if missing:
        raise ValueError(f"the C libraries of {args.soc} were not compiled ({', '.join(missing)}): build it without "
                         "--no-compile-software")
    with observe() as observer:
        binary = build.build_firmware(soc, build.folder_of("litenorm.firmware"), config_of(header.read_text()),
                                      observer.stage)
    copy(binary, args.output)
    print(f"{args.output}: {args.output.stat().st_size} bytes, for \"{identifier(soc)}\"")
    return 0


def run_serial(args):
    """`litenorm serial`: returns the firmware's exit code."""
    from litenorm.accel import LiteNormConfig
    from litenorm.sim.output import check_output
    from litenorm.sim.progress import observe
    from litenorm.sim.runner import SimOptions
    from litenorm.sim.serial import SimulatedPort

    if args.output is not None:
        check_output(args.output, "the firmware's file")
    config = LiteNormConfig(lanes=args.lanes, max_length=args.max_length)
    with observe() as observer:
        port = SimulatedPort(SimOptions(config=None if args.no_accel else config, max_cycles=0), not args.no_bios,
                             observer)
    if args.output is not None:
        copy(port.firmware, args.output)
    with port:
        print(f"the SoC's serial port is {port.path}; opening it switches the SoC on, Ctrl-C here ends it", flush=True)
        if not args.no_bios:
            binary = args.output or port.firmware
            print(f"  litex_term {port.path} --kernel={binary} --kernel-adr=0x40000000", flush=True)
        else:
            print(f"  litenorm bench --port {port.path} --no-layer", flush=True)
        return port.wait()


def copy(source, target):
    """Copy a file, whole or not at all."""
    from litenorm.sim.output import replaced

    with replaced(target) as temporary:
        temporary.write_bytes(source.read_bytes())
