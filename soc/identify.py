# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Identification of a SoC: what its firmware was compiled for, in the gateware and in the firmware.

The identification is a hash of all that the generated headers say: addresses of registers and memories, fields, and
constants. LiteX's identifier memory, which software can read, ends with it: `..., id 1f2e3d4c`. The firmware is
compiled with the same text (CONFIG_IDENTIFIER of `soc.h`), compares the two when it starts, and holds it where a host
program finds it in the binary (`litenorm.sim.serial.image_id`).
"""

import hashlib
import json

from litex.soc.integration.export import get_csr_header, get_csr_json

PLACEHOLDER = ", id 00000000"

# Where the registers are, in pages of the CSR bus, that a firmware uses before it knows whether this is its SoC.
LOCATIONS = {"identifier_mem": 1, "uart": 2}

# Constants that only the BIOS reads: how it boots, what it tests. The same firmware runs whatever they are.
OF_THE_BIOS = ("CONFIG_BIOS_", "CONFIG_MAIN_RAM_INIT", "ROM_BOOT_ADDRESS", "MEMTEST_", "SDRAM_TEST_", "FLASH_BOOT_")


def identify(soc):
    """Finalize a LiteX SoC that has an identifier, and put its identification at the identifier's end.

    To be called before `Builder.build()`, after the last register was added. Returns the text. The identifier and the
    UART get the same addresses in every SoC (LOCATIONS), so that the firmware of another one can say so. Raises
    ValueError for a SoC without an identifier, for one that is finalized already, and for a text that is too long.
    """
    if not hasattr(soc, "identifier"):
        raise ValueError("the SoC has no identifier; good: SoCCore(ident=..., ident_version=False)")
    if soc.finalized:
        raise ValueError("the SoC is finalized; good: identify() before Builder.build()")
    memory = soc.identifier.mem
    text = bytes(memory.init[:-1]).decode() + PLACEHOLDER
    if len(text) > 255:
        raise ValueError(f"the identifier has {len(text)} characters with the identification; good: at most 255")
    write(soc, text)
    for name, location in LOCATIONS.items():
        if hasattr(soc, name.removesuffix("_mem")):
            soc.csr.add(name, n=location)
    soc.finalize()
    code = hashlib.sha256(description(soc).encode()).hexdigest()[:8]
    text = text.removesuffix(PLACEHOLDER[-8:]) + code
    write(soc, text)
    return text


def write(soc, text):
    """Put a text into the identifier memory and into the constant that the headers have."""
    memory = soc.identifier.mem
    memory.init = [*text.encode(), 0]
    memory.depth = len(memory.init)
    soc.constants["CONFIG_IDENTIFIER"] = text


def description(soc):
    """What the headers of a finalized SoC say, without comments: those have dates."""
    constants = {name: value for name, value in soc.constants.items() if not name.startswith(OF_THE_BIOS)}
    facts = json.loads(get_csr_json(soc.csr_regions, constants, soc.mem_regions))
    header = get_csr_header(soc.csr_regions, constants, soc.mem_regions["csr"].origin)
    lines = [line for line in header.splitlines() if line.startswith("#define")]
    return json.dumps([facts, lines], sort_keys=True)
