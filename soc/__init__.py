# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""LiteNorm in a LiteX SoC: the CSR and DMA peripheral, and the SoC that is simulated.

    from litenorm.soc import add_litenorm
    from litenorm.soc import add_cfu         custom instructions of the CPU for matrix products

Imports `litenorm.accel` only.
"""

__all__ = ["add_cfu", "add_litenorm"]


def __getattr__(name):
    # Importing LiteX takes most of a second: only those who build an SoC pay.
    if name == "add_litenorm":
        from litenorm.soc.integration import add_litenorm

        return add_litenorm
    if name == "add_cfu":
        from litenorm.soc.cfu import add_cfu

        return add_cfu
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
