# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The core's Verilog and the MyHDL description of its arithmetic, side by side in one simulation.

Every beat that the Verilog (in Icarus) takes goes to ``myhdl_core.core`` (in MyHDL) as well, one element a cycle. Every
beat that leaves the Verilog is compared with what the description gave for the same row, as soon as both are there::

    pair = LockStep(LiteNorm(config))
    beats = pair.sinks["sink"].packets(rows, bits=16, op=0, length=20, scale_multiplier=40000, scale_shift=3)
    result = pair.run({"sink": beats}, stall={"sink": 0.3, "source": 0.5}, reference_stall=0.2, seed=1)

The first difference is a LockStepError that names row, element, both codes, cycle and seed. Some hundred elements a
second.
"""

from collections import deque
from dataclasses import dataclass, field

from myhdl import ResetSignal

from litenorm.accel import constants as c
from litenorm.sim import myhdl_core
from litenorm.sim.cosim import Staller, StreamCoSim
from litenorm.sim.errors import SimulationError
from litenorm.sim.rowcheck import PULSES, pulses_of

PARAM = "param_"


class LockStepError(SimulationError):
    """The Verilog and the MyHDL description differ; the text names the row, the element, the cycle and the seed."""


@dataclass
class Row:
    """A row on its way through the description: what goes in, and what has come out."""

    number: int
    elements: list  # s16
    params: dict  # of rows.row_params
    epoch: int = 0
    codes: list = field(default_factory=list)  # u16
    pulses: dict = None  # name: bool, of PULSES

    def __str__(self):
        p = self.params
        more = f"format {p['format']}" if p["op"] == 0 else f"eps {p['eps']}"
        return f"row {self.number} ({c.OPS[p['op']]}, {len(self.elements)} elements, {p['length']} valid, {more})"


class Description:
    """``myhdl_core.core`` with a queue of rows before it and one behind it; ``process()`` are its MyHDL generators.

    config : LiteNormConfig, of any lanes.  clk : Signal.  stall : of the sink and of the source, a Stall or a
    probability.  seed : of the stalls.

    ``weights`` takes (list of s16, beta) and ``rows`` takes Rows; weights go first. ``finished`` holds rows that came
    out.
    """

    def __init__(self, config, clk, stall=0.0, seed=0):
        self.ports = myhdl_core.core_ports(config)
        self.clk = clk
        self.weights = deque()
        self.rows = deque()
        self.inside = deque()
        self.finished = deque()
        self.moves = 0  # transfers so far
        self._stallers = {name: Staller(stall, seed, f"description {name}") for name in ("sink", "source")}
        depth = config.beats(config.max_length) * config.lanes  # a row's last beat is taken whole
        reset = ResetSignal(0, active=1, isasync=False)
        self._core = myhdl_core.core(clk, reset, **self.ports, depth=depth)

    @property
    def idle(self):
        """True when every row that was given is in ``finished``."""
        return not (self.weights or self.rows or self.inside)

    def process(self):
        """Return the generators to run."""
        return [self._core, self._feed(), self._drain(), self._watch()]

    def _send(self, sink, values, params, staller=None):
        """Give one packet to a sink of the core."""
        for name, value in params.items():
            getattr(sink, PARAM + name).next = value
        for i, value in enumerate(values):
            while staller is not None and staller.step():
                sink.valid.next = False
                yield self.clk.posedge
            sink.payload_data.next = value & 0xFFFF
            sink.first.next = i == 0
            sink.last.next = i == len(values) - 1
            sink.valid.next = True
            yield self.clk.posedge
            while not sink.ready:
                yield self.clk.posedge
            self.moves += 1
        sink.valid.next = False
        yield self.clk.posedge

    def _feed(self):
        while True:
            if self.weights:
                values, beta = self.weights[0]
                yield from self._send(self.ports["weights"], values, {"beta": beta})
                self.weights.popleft()
            elif self.rows:
                row = self.rows.popleft()
                self.inside.append(row)
                yield from self._send(self.ports["sink"], row.elements, row.params, self._stallers["sink"])
            else:
                yield self.clk.posedge

    def _drain(self):
        source = self.ports["source"]
        while True:
            yield self.clk.posedge
            if source.valid and source.ready:
                row = next(r for r in self.inside if len(r.codes) < len(r.elements))
                row.codes.append(int(source.payload_data))
                self.moves += 1
                ends = (len(row.codes) == 1, len(row.codes) == len(row.elements))
                if (source.first, source.last) != ends:
                    raise LockStepError(f"the description frames {row} wrongly at element {len(row.codes) - 1}")
                self._settle()
            source.ready.next = not self._stallers["source"].step()

    def _watch(self):
        while True:
            yield self.clk.posedge
            if self.ports["row_done"]:
                row = next(r for r in self.inside if r.pulses is None)
                row.pulses = {name: bool(self.ports[name]) for name in PULSES}
                self._settle()

    def _settle(self):
        """Pass on the oldest row once it is complete."""
        row = self.inside[0]
        if row.pulses is not None and len(row.codes) == len(row.elements):
            self.finished.append(self.inside.popleft())


@dataclass
class _Epoch:
    """Beats since one reset: those that the description expects, those that the Verilog gave; what matched is gone."""

    expected: deque = field(default_factory=deque)  # (dict of fields, Row, number of the beat in it)
    given: deque = field(default_factory=deque)


class Follower:
    """Feeds a Description what a core takes, and compares what leaves the core: for ``StreamCoSim.run``.

    config : LiteNormConfig of the core.  stall : of the description.

    A row that the Verilog has taken only in part when it is reset never reaches the description, which is not reset;
    complete rows that a reset dropped may lack beats. After the run ``check`` says whether beats are left over.
    ``rows`` holds what the description said of each row, ``beats`` and ``elements`` count what was compared.
    """

    def __init__(self, config, stall=0.0):
        self.config = config
        self.stall = stall
        self.rows = []
        self.beats = 0
        self.elements = 0
        self.moved = 0
        self.description = None
        self._epochs = [_Epoch()]
        self._elements = []
        self._weights = []
        self._taken = 0

    def start(self, dut, drivers, monitors):
        """Attach to a co-simulation and return the generators to run in it."""
        self.dut = dut
        self.description = Description(self.config, dut.sig.sys_clk, self.stall, dut.seed)
        drivers["sink"].on_beat = self._take
        if "weights" in drivers:
            drivers["weights"].on_beat = self._take_weights
        monitors["source"].on_beat = self._give
        return [*self.description.process(), self._compare()]

    @property
    def done(self):
        """True when the description has nothing left to do."""
        return self.description.idle and not self.description.finished

    def state(self):
        """Return a line for an error text."""
        return f"; description {len(self.rows)}/{self._taken} rows"

    def _take(self, beat):
        width = self.config.input_bits
        for lane in range(self.config.lanes):
            value = beat["data"] >> (lane * width) & ((1 << width) - 1)
            self._elements.append(value - (value >> (width - 1) << width))
        if beat["last"]:
            params = {name: value for name, value in beat.items() if name not in ("data", "first", "last")}
            self.description.rows.append(Row(self._taken, self._elements, params, len(self._epochs) - 1))
            self._taken += 1
            self._elements = []

    def _take_weights(self, beat):
        for lane in range(self.config.lanes):
            self._weights.append(beat["data"] >> (lane * 16) & 0xFFFF)
        if beat["last"]:
            self.description.weights.append((self._weights, beat["beta"]))
            self._weights = []

    def _give(self, beat):
        self._epochs[-1].given.append(beat)

    def _expect(self, row):
        """Queue the beats of a row that the description has finished."""
        self.rows.append(row)
        lanes = self.config.lanes
        count = len(row.codes) // lanes
        for i in range(count):
            data = sum(code << (16 * j) for j, code in enumerate(row.codes[i * lanes:(i + 1) * lanes]))
            beat = {"data": data, "first": int(i == 0), "last": int(i == count - 1)}
            self._epochs[row.epoch].expected.append((beat, row, i))

    def _compare(self):
        dut, moves = self.dut, 0
        while True:
            yield dut.sig.sys_clk.posedge
            if dut.cycle in dut.reset_at:
                self._epochs.append(_Epoch())
                self._elements = []
                self._weights = []
            if self.description.moves != moves:
                moves, self.moved = self.description.moves, dut.cycle
            while self.description.finished:
                self._expect(self.description.finished.popleft())
            for epoch in self._epochs:
                while epoch.given and epoch.expected:
                    self._match(epoch.given.popleft(), *epoch.expected.popleft())

    def _match(self, given, expected, row, number):
        """LockStepError when two beats differ."""
        if given == expected:
            self.beats += 1
            self.elements += self.config.lanes
            return
        dut = self.dut
        for j in range(self.config.lanes):
            a, b = (beat["data"] >> (16 * j) & 0xFFFF for beat in (given, expected))
            if a != b:
                raise LockStepError(dut.text(f"{row}, element {number * self.config.lanes + j}: the Verilog gives "
                                             f"{a:#06x}, the description {b:#06x}"))
        frames = " and ".join(f"first={beat['first']} last={beat['last']}" for beat in (given, expected))
        raise LockStepError(dut.text(f"{row}, beat {number}: the Verilog and the description give {frames}"))

    def check(self):
        """LockStepError when a beat has no counterpart, but for beats of the Verilog that a reset dropped."""
        for epoch in self._epochs:
            if epoch.given:
                raise LockStepError(self.dut.text(f"the Verilog gave {len(epoch.given)} beats that no row asked for"))
        if self._epochs[-1].expected:
            _, row, number = self._epochs[-1].expected[0]
            raise LockStepError(self.dut.text(f"the Verilog did not give beat {number} of {row}"))


class LockStep(StreamCoSim):
    """A LiteNorm core in co-simulation, with the MyHDL description beside it.

    core : an ``accel.LiteNorm`` (consumed: it cannot be converted again).  options : those of StreamCoSim.
    """

    def __init__(self, core, **options):
        self.config = core.config
        sinks = {"sink": core.sink}
        if self.config.has_affine:
            sinks["weights"] = core.weights
        signals = {pulse: getattr(core, pulse) for pulse in PULSES}
        super().__init__(core, sinks, {"source": core.source}, signals, **options)

    def run(self, beats, stall=None, reference_stall=0.0, seed=0, reset_at=(), **options):
        """Run as ``StreamCoSim.run`` does, compare each beat, and return a Result with the Follower as ``follower``.

        reference_stall : of the description's sink and source, a Stall or a probability.
        reset_at : cycles in which the Verilog is reset; the description is not.

        Gamma and beta, when given, are loaded before the rows. When there is no reset, the pulses row_done, row_error
        and constant_row are compared row by row, too. Raises LockStepError besides the errors of StreamCoSim.
        """
        follower = Follower(self.config, reference_stall)
        expect = None if reset_at else {"source": len(beats["sink"])}
        after = {"sink": "weights"} if "weights" in beats else None
        result = super().run(beats, stall, seed, expect, after, reset_at, follower=follower, **options)
        follower.check()
        if not reset_at:
            self._compare_pulses(result, follower.rows)
        result.follower = follower
        return result

    def _compare_pulses(self, result, rows):
        """LockStepError when the pulses of a row differ."""
        pulses = pulses_of(result, [row.pulses["constant_row"] for row in rows])
        for i, row in enumerate(rows):
            for pulse in PULSES:
                given, told = pulses[pulse][i], row.pulses[pulse]
                if given != told:
                    raise LockStepError(f"{self.name}: {row}: the Verilog gives {pulse} {int(given)}, the description "
                                        f"{int(told)} (seed {result.seed})")
