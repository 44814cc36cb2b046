# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What nextpnr reports of a placed and routed design: resources, clocks, and whether the device is large enough."""

import json
import re
from dataclasses import dataclass

from litenorm.sim.errors import BuildError

# Columns of the table: what nextpnr calls the resource, by family. A table's number is the sum of its resources.
COLUMNS = ("LUT", "FF", "EBR", "DSP")
RESOURCES = {
    "ecp5": {"LUT": ("TRELLIS_COMB",), "FF": ("TRELLIS_FF",), "EBR": ("DP16KD",), "DSP": ("MULT18X18D",)},
    "gowin": {"LUT": ("LUT4",), "FF": ("DFF",), "EBR": ("BSRAM",), "DSP": ("MULT9X9",)},
}
SYSTEM = "sys"  # the SoC's clock, whatever its net is called
# For messages: what a resource of nextpnr's is to a reader.
NAMES = {
    "TRELLIS_COMB": "LUTs", "TRELLIS_FF": "flip-flops", "DP16KD": "block RAMs", "MULT18X18D": "multipliers",
    "TRELLIS_RAMW": "LUT RAM writers", "TRELLIS_IO": "pins", "EHXPLLL": "PLLs",
    "LUT4": "LUTs", "DFF": "flip-flops", "BSRAM": "block RAMs", "RAM16SDP4": "LUT RAMs", "IOB": "pins",
    "ALU": "carry LUTs",
}

UTILISATION = re.compile(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+\d+%")


class DeviceTooSmall(BuildError):
    """The design needs more of a resource than the device has."""


class TimingNotMet(BuildError):
    """A clock is slower than it has to be."""


@dataclass(frozen=True)
class Clock:
    """A clock of the design: its name, and MHz achieved and needed."""

    name: str
    achieved: float
    needed: float

    @property
    def margin(self):
        """Achieved over needed: 1 and more is good."""
        return self.achieved / self.needed


@dataclass(frozen=True)
class Placed:
    """A placed and routed design.

    family     key of RESOURCES
    used, available  name of nextpnr's resource -> count
    clocks     Clock of each clock, the slowest beside what it needs first; the system's is named SYSTEM
    """

    family: str
    used: dict
    available: dict
    clocks: tuple

    def count(self, column):
        """(used, available) of a column of the table."""
        names = RESOURCES[self.family][column]
        return tuple(sum(numbers.get(name, 0) for name in names) for numbers in (self.used, self.available))

    @property
    def clock(self):
        """The system's Clock."""
        return next(clock for clock in self.clocks if clock.name == SYSTEM)

    @property
    def met(self):
        return self.clocks[0].margin >= 1

    def check(self, advice):
        """TimingNotMet for the clock that is furthest from what it needs; `advice` says what may help."""
        worst = self.clocks[0]
        if worst.margin < 1:
            raise TimingNotMet(f"timing is not met: clock {worst.name} reaches {worst.achieved:.2f} MHz and needs "
                               f"{worst.needed:.2f} MHz; {advice}")


def plain(net):
    """The clock's name as in the design: `$glbnet$sys_clk` is sys_clk."""
    return net.removeprefix("$glbnet$").removesuffix("$TRELLIS_IO_IN")


def read(text, family, frequency):
    """Placed of nextpnr's JSON report; `frequency`, MHz, is that of the system's clock.

    The system's clock is the net sys_clk or, where synthesis took another name of it, the slowest of those that are
    constrained to `frequency`, or of all when none is. It needs `frequency`, the others what they are constrained to.
    ValueError when the text is no such report.
    """
    try:
        report = json.loads(text)
        fmax = {plain(net): (float(f["achieved"]), float(f["constraint"])) for net, f in report["fmax"].items()}
        used = {name: int(cell["used"]) for name, cell in report["utilization"].items()}
        available = {name: int(cell["available"]) for name, cell in report["utilization"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError("not a report of nextpnr; good: JSON with fmax and utilization") from None
    if not fmax:
        raise ValueError("nextpnr's report has no clock; good: that of a design with a clock")
    system = "sys_clk"
    if system not in fmax:
        same = [name for name, (_, needed) in fmax.items() if abs(needed / frequency - 1) < 0.01]
        system = min(same or fmax, key=lambda name: fmax[name][0])
    clocks = [Clock(SYSTEM, achieved, frequency) if name == system else Clock(name, achieved, needed)
              for name, (achieved, needed) in fmax.items()]
    return Placed(family, used, available, tuple(sorted(clocks, key=lambda clock: clock.margin)))


def too_small(log, device):
    """DeviceTooSmall that says by how much, for nextpnr's log of a design that does not fit; None when it fits.

    log  lines, as far as they have come
    """
    short = []
    for line in log:
        if match := UTILISATION.match(line):
            name, used, available = match[1], int(match[2]), int(match[3])
            if used > available:
                short.append(f"{used:,} of {available:,} {NAMES.get(name, name)} ({used - available:,} too many)")
    if short:
        return DeviceTooSmall(f"{device} is too small: the design takes {', '.join(short)}; take a larger board, fewer "
                              "--lanes, a smaller --max-length, or less memory")
    return None
