# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The boards by name, without importing LiteX."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Board:
    """A board that an SoC can be built for.

    name       as on the command line
    title      as in tables, with the FPGA
    script     target script: a module of this package
    arguments  of the script, which choose this board
    memory     main memory, in words
    loader     openFPGALoader's name of the board
    vendor     the vendor's tool that makes the bitstream; "": made with open tools
    tools      the open ones, by the names by which LiteX calls them
    """

    name: str
    title: str
    script: str
    arguments: tuple
    memory: str
    loader: str
    vendor: str = ""
    tools: tuple = ("yosys", "nextpnr-ecp5", "ecppack")


BOARDS = {board.name: board for board in (
    Board("ulx3s-25f", "ULX3S, ECP5 25F", "ulx3s", ("--device", "LFE5U-25F", "--lanes", "2"), "SDRAM, 32 MiB", "ulx3s"),
    Board("ulx3s-45f", "ULX3S, ECP5 45F", "ulx3s", ("--device", "LFE5U-45F"), "SDRAM, 32 MiB", "ulx3s"),
    Board("ulx3s-85f", "ULX3S, ECP5 85F", "ulx3s", ("--device", "LFE5U-85F"), "SDRAM, 32 MiB", "ulx3s"),
    Board("colorlight-i5", "Colorlight i5, ECP5 25F", "colorlight_i5", (), "SDRAM, 8 MiB", "colorlight-i5"),
    Board("ecpix5", "ECPIX-5, ECP5-5G 85F", "ecpix5", ("--device", "85F"), "DDR3, 512 MiB", "ecpix5"),
    Board("ecpix5-45f", "ECPIX-5, ECP5-5G 45F", "ecpix5", ("--device", "45F"), "DDR3, 512 MiB", "ecpix5"),
    Board("tang-nano-9k", "Tang Nano 9K, Gowin GW1NR-9C", "tang_nano_9k", (), "block RAM", "tangnano9k",
          tools=("yosys", "nextpnr-himbaechel", "gowin_pack")),
    Board("arty-a7-35", "Arty A7, Artix-7 35T", "arty", ("--variant", "a7-35"), "DDR3, 256 MiB", "arty", "Vivado", ()),
    Board("arty-a7-100", "Arty A7, Artix-7 100T", "arty", ("--variant", "a7-100"), "DDR3, 256 MiB", "arty_a7_100t",
          "Vivado", ()),
)}


def board(name):
    """The Board of that name; ValueError lists the known ones."""
    if name not in BOARDS:
        raise ValueError(f"{name!r} is no known board; good: {', '.join(BOARDS)}")
    return BOARDS[name]
