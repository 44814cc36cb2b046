# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Which arithmetic unit a configuration of the serial back end is built with."""

from litenorm.accel.serial.norm_area import NormArea
from litenorm.accel.serial.norm_balanced import NormBalanced
from litenorm.accel.serial.softmax_area import SoftmaxArea
from litenorm.accel.serial.softmax_balanced import SoftmaxBalanced
from litenorm.accel.serial.softmax_wide import SoftmaxWide
from litenorm.accel.serial.softmax_wide_area import SoftmaxWideArea
from litenorm.accel.serial.trio_area import TrioArea
from litenorm.accel.serial.trio_balanced import TrioBalanced

# By operations and size.
UNITS = {
    ("softmax", "area"): SoftmaxArea,
    ("softmax", "balanced"): SoftmaxBalanced,
    ("norm", "area"): NormArea,
    ("norm", "balanced"): NormBalanced,
    ("all", "area"): TrioArea,
    ("all", "balanced"): TrioBalanced,
}


def kind(config):
    """"softmax", "norm" or "all"."""
    return "all" if config.has_softmax and config.has_norm else "norm" if config.has_norm else "softmax"


def unit_class(config):
    """Class of the unit for `config`; ValueError when there is none."""
    if config.serial_wide:
        return {"area": SoftmaxWideArea, "balanced": SoftmaxWide}[config.size]
    try:
        return UNITS[kind(config), config.size]
    except KeyError:
        raise ValueError(f"ops {', '.join(config.ops)} of size {config.size} are not built by the serial back end; "
                         f"good: {'; '.join(' '.join(key) for key in UNITS)}") from None
