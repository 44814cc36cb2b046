# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Random jobs for the soak test (dma_soak.py): what is written, what goes wrong when, and what may come of it.

What a job accesses, and the status it ends with, is worked out here from the description of the registers in
`soc/job.py` and `accel/status.py`, and not from the hardware.
"""

from dataclasses import dataclass, field

import numpy as np

from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS
from litenorm.accel.status import Status
from litenorm.sim.jobs import random_job
from litenorm.sim.streams import Stall

BASE = 0x4000_0000
SIZE = 1 << 13          # bytes of memory
MAX_LENGTH = 64
BUS_TIMEOUT = 100       # cycles
TOP = 2**32 - 1

QUIET = {"latency": 1, "stall": 0.0, "bursting": True, "withdraw": False, "noise": 0.0, "errors": [], "dead": [],
         "error_beats": [], "dead_beats": []}


@dataclass
class Plan:
    """One job: what is written, what the buses do, what happens when, and what may come of it."""

    job: object                                     # jobs.Job, whose rows are those that the memory holds
    registers: dict                                 # as Job.registers(), with what was made wrong
    window: tuple                                   # the window's registers, or what they are locked at
    faults: list = field(default_factory=list)      # names of FAULTS
    buses: dict = field(default_factory=lambda: {"read": dict(QUIET), "write": dict(QUIET)})
    controls: dict = field(default_factory=dict)    # cycle after the start: fields of `control`
    pokes: list = field(default_factory=list)       # (cycle after the start, port, value)
    lock_at: int | None = None                      # cycle after the start at which the lock is set
    reset_at: int | None = None                     # cycle after the start of a hard reset, of
    reset_cycles: int = 1
    possible: set = field(default_factory=set)      # statuses that the faults without a place may lead to

    def control_at(self, name):
        """The cycle after the start of an abort or reset, or None."""
        return next((cycle for cycle, fields in self.controls.items() if name in fields), None)


@dataclass
class Accesses:
    """Byte addresses that a job accesses, word by word, and the rows [first, bytes] they belong to."""

    reads: np.ndarray
    writes: np.ndarray
    read_rows: list
    write_rows: list


class Geometry:
    """What a job's registers mean, worked out from their description and not from the hardware."""

    def __init__(self, config, word):
        self.config = config
        self.word = word

    def static_code(self, r):
        """What a job ends with before anything is read."""
        config = self.config
        op = c.OPS[r["op"]] if r["op"] < len(c.OPS) else None
        softmax = op == "softmax"
        addresses = ["src", "dst", "src_stride", "dst_stride"] + (["gamma", "beta"] if r["affine"] else [])
        if op not in config.ops or list(c.INPUTS)[r["input"]] not in config.inputs or (r["affine"] and softmax):
            return Status.BAD_OP
        if softmax and r["format"] not in [FORMATS[name].code for name in config.formats]:
            return Status.BAD_FORMAT
        if not 1 <= r["length"] <= config.max_length:
            return Status.BAD_LENGTH
        if r["rows"] == 0:
            return Status.BAD_ROWS
        if any(r[name] % self.word for name in addresses):
            return Status.BAD_ALIGNMENT
        return Status.OK

    def words_of(self, size):
        return -(-size // self.word)

    def accesses(self, r):
        """Accesses of a job that passes the static checks."""
        size_in = r["length"] * (1 + r["input"])
        if c.OPS[r["op"]] == "softmax":
            wide = next(f.bits for f in FORMATS.values() if f.code == r["format"]) == 16
        else:
            wide = not r["affine"] or r["output"]
        size_out = r["length"] * (1 + wide)

        def rows(first, stride, size):
            stride = stride or self.words_of(size) * self.word
            return [(first + i * stride, size) for i in range(r["rows"])]

        weights = [(r[name], 2 * r["length"]) for name in ("gamma", "beta")] if r["affine"] else []
        reads = weights + rows(r["src"], r["src_stride"], size_in)
        writes = rows(r["dst"], r["dst_stride"], size_out)
        return Accesses(self.words(reads), self.words(writes), reads, writes)

    def words(self, rows):
        return np.concatenate([first + self.word * np.arange(self.words_of(size)) for first, size in rows])

    def inside(self, addresses, window):
        """Which of the words lie inside of the window with all of their bytes."""
        return (addresses >= window[0]) & (addresses + self.word - 1 <= window[1])

    def ranges(self, rows, window, whole_words):
        """The bytes of rows, or of their words, that may be accessed: ranges, and one that is empty."""
        first = -(-window[0] // self.word) * self.word
        last = (window[1] + 1) // self.word * self.word - 1
        out = [(1, 0)]
        for start, size in rows:
            end = start + (self.words_of(size) * self.word if whole_words else size) - 1
            if max(start, first) <= min(end, last):
                out.append((max(start, first), min(end, last)))
        return out


def first_fault(geometry, addresses, window, bus):
    """What the first access that cannot go well ends a job with, or None."""
    beats = np.arange(len(addresses))

    def listed(values, ranges, width):
        hit = np.zeros(len(values), bool)
        for low, high in ranges:
            hit |= (values <= high) & (values + width - 1 >= low)
        return hit

    word = geometry.word
    outside = ~geometry.inside(addresses, window)
    dead = listed(addresses, bus["dead"], word) | listed(beats, bus["dead_beats"], 1)
    error = listed(addresses, bus["errors"], word) | listed(beats, bus["error_beats"], 1)
    error |= (addresses < BASE) | (addresses + word > BASE + SIZE)
    for i in np.flatnonzero(outside | dead | error)[:1]:
        # A dead slave does not even answer with an error.
        return Status.OUT_OF_WINDOW if outside[i] else Status.BUS_TIMEOUT if dead[i] else Status.BUS_ERROR
    return None


class Region:
    """Where a job's rows may lie, as `random_job` wants it."""

    def __init__(self, first, last, word):
        self.base = -(-first // word) * word
        self.data = np.broadcast_to(np.uint8(0), max((last + 1) // word * word - self.base, 0))


class Planner:
    """Draws plans. `locked`: the window that the peripheral is locked at, or None."""

    def __init__(self, config, word):
        self.config = config
        self.geometry = Geometry(config, word)
        self.word = word

    def plan(self, rng, locked, adversarial):
        region = Region(BASE, BASE + SIZE - 1, self.word)
        if locked and not adversarial:
            region = Region(max(locked[0], BASE), min(locked[1], BASE + SIZE - 1), self.word)
        longest = MAX_LENGTH if rng.random() < 0.1 else 24
        job = random_job(rng, self.config, region, max_rows=4, max_length=longest, word_bytes=self.word)
        plan = Plan(job, job.registers(), locked or (0, TOP))
        for bus in plan.buses.values():
            bus.update(latency=int(rng.integers(0, 4)), bursting=bool(rng.integers(0, 2)),
                       stall=[0.0, 0.3, Stall(0.1, burst=4)][rng.integers(0, 3)], noise=[0.0, 0.2][rng.integers(0, 2)])
        if not locked:
            plan.window = self.good_window(rng, plan)
        if adversarial:
            count = int(rng.choice([1, 2, 3], p=[0.8, 0.15, 0.05]))
            plan.faults = [str(name) for name in rng.choice(list(FAULTS), count, replace=False)]
            # The parameters come last: the others look at where the rows of a good job lie.
            for name in sorted(plan.faults, key=list(FAULTS).index):
                FAULTS[name](self, rng, plan, locked)
        if locked is None and not plan.faults and rng.random() < 0.06:
            plan.lock_at = int(rng.integers(1, 60))
            plan.window = (BASE + int(rng.integers(0, 1500)), BASE + SIZE - 1 - int(rng.integers(0, 1500)))
            region = Region(*plan.window, self.word)
            job = random_job(rng, self.config, region, max_rows=4, max_length=24, word_bytes=self.word)
            plan.job, plan.registers = job, job.registers()
        if locked and adversarial and rng.random() < 0.2 and plan.reset_at is None:
            self.hard_reset(rng, plan, locked)
            plan.faults.append("hard_reset")
        return plan

    def extent(self, plan):
        """First and last byte of all words of a job."""
        accesses = self.geometry.accesses(plan.registers)
        words = np.concatenate([accesses.reads, accesses.writes])
        return int(words.min()), int(words.max()) + self.word - 1

    def good_window(self, rng, plan):
        """Everything, the memory, or just the job, up to the bytes that do not make a word."""
        first, last = self.extent(plan)
        slack = rng.integers(0, self.word, 2)
        return [(0, TOP), (BASE, BASE + SIZE - 1),
                (first - int(slack[0]), last + int(slack[1]))][rng.choice(3, p=[0.3, 0.3, 0.4])]

    @staticmethod
    def moment(rng):
        """A cycle after the start: often one of the first."""
        return 1 + int(rng.integers(0, rng.choice([5, 40, 400])))

    # Faults: each changes a plan ---------------------------------------------------------------------

    def overlap(self, rng, plan, locked):
        r, word = plan.registers, self.word
        near = int(rng.integers(-6, 7)) * word
        choice = rng.integers(0, 4)
        if choice == 0:
            r["dst"] = r["src"] + near
        elif choice == 1:
            r["src_stride"] = int(rng.integers(1, 4)) * word
        elif choice == 2:
            r["dst_stride"] = int(rng.integers(1, 4)) * word
        else:
            r["gamma"] = (r[str(rng.choice(["src", "dst", "beta"]))] + near) % 2**32
        if not locked:
            plan.window = self.good_window(rng, plan)

    def window_(self, rng, plan, locked):
        r, word = plan.registers, self.word
        choice = rng.integers(0, 5)
        if locked or choice == 0:
            name = str(rng.choice(["src", "dst", "gamma", "beta", "src_stride", "dst_stride"]))
            if "stride" in name:
                r[name] = int(rng.choice([SIZE, 2**31, 2**32 - word, int(rng.integers(0, 2**32 // word)) * word]))
            else:
                low, high = plan.window
                edge = int(rng.choice([low, high + 1, BASE, BASE + SIZE, 0, 2**32]))
                r[name] = int(np.clip(edge // word * word + int(rng.integers(-8, 9)) * word, 0, 2**32 - word))
        elif choice == 1:
            plan.window = (BASE + int(rng.integers(0, SIZE)), BASE + int(rng.integers(0, SIZE)))
        else:
            # A word too short, or as much as fits, at an end of any of the rows.
            accesses = self.geometry.accesses(r)
            rows = accesses.read_rows + accesses.write_rows
            start, size = rows[rng.integers(0, len(rows))]
            last = start + self.geometry.words_of(size) * word - 1
            slack = int(rng.integers(-word, word + 1))
            plan.window = (0, last + slack) if choice < 4 else (start + slack, TOP)

    def bus_error(self, rng, plan, locked):
        name, where = self.somewhere(rng, plan)
        if rng.random() < 0.3:
            plan.registers["src" if name == "read" else "dst"] = int(rng.choice([
                0, BASE - self.word, BASE + SIZE - self.word, BASE + SIZE, 2**32 - self.word]))
            if not locked:
                plan.window = (0, TOP)
        else:
            key = "error_beats" if rng.random() < 0.5 else "errors"
            plan.buses[name][key] = [where[key == "errors"]]

    def no_answer(self, rng, plan, locked):
        name, where = self.somewhere(rng, plan)
        key = "dead_beats" if rng.random() < 0.7 else "dead"
        plan.buses[name][key] = [where[key == "dead"]]

    def somewhere(self, rng, plan):
        """A bus, and one of its accesses as a range of beats and of bytes; now and then beyond the last one."""
        accesses = self.geometry.accesses(plan.registers)
        name = str(rng.choice(["read", "write"]))
        addresses = accesses.reads if name == "read" else accesses.writes
        beat = int(rng.integers(0, len(addresses) + 1))
        address = int(addresses[min(beat, len(addresses) - 1)]) + int(rng.integers(0, self.word))
        return name, [(beat, beat), (address, address)]

    def slow(self, rng, plan, locked):
        bus = plan.buses[str(rng.choice(["read", "write"]))]
        if rng.random() < 0.5:
            bus["stall"] = Stall(0.05, burst=80)
        else:
            bus.update(latency=BUS_TIMEOUT + int(rng.integers(-6, 7)), bursting=True)
        bus["withdraw"] = True
        plan.possible.add(Status.BUS_TIMEOUT)

    def stuck(self, rng, plan, locked):
        cycle = 0 if rng.random() < 0.5 else self.moment(rng)
        plan.pokes.append((cycle, str(rng.choice(["halt_in", "halt_out"])), 1))
        plan.possible.add(Status.WATCHDOG)

    def self_check(self, rng, plan, locked):
        cycle = self.moment(rng)
        plan.pokes += [(cycle, "fail", 1), (cycle + 1, "fail", 0)]
        plan.possible.add(Status.SELF_CHECK)

    def abort(self, rng, plan, locked):
        plan.controls[self.moment(rng)] = {"abort": 1}
        plan.possible.add(Status.ABORTED)

    def soft_reset(self, rng, plan, locked):
        abort, start = rng.integers(0, 2, 2)
        plan.controls[self.moment(rng)] = {"reset": 1, "abort": int(abort), "start": int(start)}
        plan.possible.add(Status.ABORTED)
        for bus in plan.buses.values():
            bus["withdraw"] = True

    def hard_reset(self, rng, plan, locked):
        plan.reset_at = self.moment(rng)
        plan.reset_cycles = int(rng.integers(1, 4))

    def parameter(self, rng, plan, locked):
        r, word = plan.registers, self.word
        choice = rng.integers(0, 6)
        if choice == 0:
            r["op"] = int(rng.choice([3, c.OPS.index("softmax")]))
            r["affine"] = 1
        elif choice == 1:
            r["op"], r["affine"], r["format"] = c.OPS.index("softmax"), 0, int(rng.integers(len(FORMATS), 8))
        elif choice == 2:
            r["length"] = int(rng.choice([0, MAX_LENGTH + 1, 2**16 - 1, 2**16 + 4, 2**31, rng.integers(65, 2**32)]))
        elif choice == 3:
            r["rows"] = 0
        else:
            names = ["src", "dst", "src_stride", "dst_stride"] + (["gamma", "beta"] if r["affine"] else [])
            name = str(rng.choice(names))
            r[name] = min(r[name], 2**32 - word) + int(rng.integers(1, word))


FAULTS = {
    "overlap": Planner.overlap,
    "window": Planner.window_,
    "bus_error": Planner.bus_error,
    "no_answer": Planner.no_answer,
    "slow_bus": Planner.slow,
    "stuck_core": Planner.stuck,
    "self_check": Planner.self_check,
    "abort": Planner.abort,
    "soft_reset": Planner.soft_reset,
    "hard_reset": Planner.hard_reset,
    "parameter": Planner.parameter,
}
