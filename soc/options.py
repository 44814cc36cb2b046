# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What SoCs, their firmware and the runner have to agree on; `sim.py` imports LiteX, this does not."""

# Variants of VexRiscv that run the firmware. `minimal` has no multiplier and no interrupts worth the name: it hangs.
# full+cfu is full with the custom instructions of cfu.py.
CPU_VARIANTS = ("lite", "standard", "full", "imac", "full+cfu")

ROM_SIZE      = 64 * 2**10   # bytes at most for LiteX's BIOS; on boards LiteX cuts the ROM down to it
MAIN_RAM_SIZE = 16 * 2**20   # bytes, holds firmware, a workload image and its activations
IMAGE_OFFSET  = 2**20        # bytes from the start of main_ram to the workload image; the firmware lies before it
