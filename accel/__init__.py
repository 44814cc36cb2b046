# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The core and its arithmetic: the Migen hardware (`LiteNorm`) beside its bit-exact NumPy model (`model`).

    from litenorm.accel import LiteNorm, LiteNormConfig, model

This package knows the arithmetic and imports nothing else of the project. Read in this order: `constants`, `formats`,
`config`, `model`, `core`.
"""

from litenorm.accel.config import LiteNormConfig

__all__ = ["LiteNorm", "LiteNormConfig"]


def __getattr__(name):
    # The model is useful without Migen, and importing LiteX takes most of a second: only LiteNorm's users pay.
    if name == "LiteNorm":
        from litenorm.accel.core import LiteNorm

        return LiteNorm
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
