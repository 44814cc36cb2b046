# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What nextpnr reports of a placed and routed design: resources, clocks, and whether the device is large enough."""

import json
import math
import re
from dataclasses import dataclass

from litenorm.sim.errors import BuildError

# Columns of the table: nextpnr's resources by family, and how many of the first one's sites each takes.
COLUMNS = ("LUT", "FF", "EBR", "DSP")
RESOURCES = {
    "ecp5": {
        "LUT": {"TRELLIS_COMB": 1},
        "FF": {"TRELLIS_FF": 1},
        "EBR": {"DP16KD": 1},
        "DSP": {"MULT18X18D": 1},
    },
    "gowin": {
        "LUT": {"LUT4": 1, "ALU": 1, "RAM16SDP4": 4},
        "FF": {"DFF": 1},
        "EBR": {"BSRAM": 1},
        "DSP": {"MULT18X18": 1, "MULT9X9": 0.5, "MULT36X36": 4, "MULTALU18X18": 2, "MULTALU36X18": 2,
                "MULTADDALU18X18": 2, "ALU54D": 2},
    },
}
# What the columns hold, for messages.
TITLES = {"LUT": "LUTs", "FF": "flip-flops", "EBR": "block RAMs", "DSP": "multipliers"}
SYSTEM = "sys"  # the SoC's clock, whatever its net is called
# Other resources that a design may lack, for messages.
NAMES = {"TRELLIS_RAMW": "LUT RAM writers", "TRELLIS_IO": "pins", "EHXPLLL": "PLLs", "IOB": "pins", "rPLL": "PLLs"}

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
        return sites(self.family, column, self.used, self.available)

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


def sites(family, column, used, available):
    """(used, available) of a column, in sites of its first resource."""
    weights = RESOURCES[family][column]
    first = next(iter(weights))
    return math.ceil(sum(weight * used.get(name, 0) for name, weight in weights.items())), available.get(first, 0)


def too_small(log, family, device):
    """DeviceTooSmall that says by how much, for nextpnr's log of a design that does not fit; None when it fits.

    log  lines, as far as they have come
    """
    used, available = {}, {}
    for line in log:
        if match := UTILISATION.match(line):
            used[match[1]], available[match[1]] = int(match[2]), int(match[3])
    needs = [(TITLES[column], *sites(family, column, used, available)) for column in COLUMNS]
    needs += [(title, used[name], available[name]) for name, title in NAMES.items() if name in used]
    short = [f"{n:,} of {m:,} {title} ({n - m:,} too many)" for title, n, m in needs if n > m]
    known = {name for weights in RESOURCES[family].values() for name in weights} | set(NAMES)
    short += [f"{used[name]:,} of {available[name]:,} {name} ({used[name] - available[name]:,} too many)"
              for name in used if name not in known and used[name] > available[name]]
    if short:
        return DeviceTooSmall(f"{device} is too small: the design takes {', '.join(short)}; take a larger board, fewer "
                              "--lanes, a smaller --max-length, or less memory")
    return None
