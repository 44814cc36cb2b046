# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""MyHDL co-simulation of generated Verilog in Icarus: four-valued, so that an unknown (X) value is seen as such.

For streams it takes the same arguments and gives the same Result as the Verilated harness::

    dut = StreamCoSim(module, sinks={"sink": module.sink}, sources={"source": module.source})
    result = dut.run({"sink": dut.sinks["sink"].packets(rows, bits=8)}, stall={"source": 0.5}, seed=1)

For anything else, MyHDL generators work on one MyHDL Signal per port::

    with CoSim(verilog, "adder", seed=1) as dut:
        dut.run(stimulus(dut.sig), check(dut.sig), until=lambda: dut.sig.done, max_cycles=1000)

Some thousand cycles a second: ``verilated`` is for volume. Needs ``iverilog``, ``iverilog-vpi`` and ``vvp``.
"""

import os
import random
import re
import select
import shutil
import subprocess
import threading
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import myhdl
import numpy as np
from myhdl import (
    Cosimulation,
    CosimulationError,
    ResetSignal,
    Signal,
    Simulation,
    StopSimulation,
    delay,
    intbv,
)

from litenorm.sim.cache import build_dir, cached, digest
from litenorm.sim.errors import BuildError, MissingTool, SimulationError
from litenorm.sim.streams import Capture, HandshakeError, HangError, ResetRecord, Result, Stall, StreamPort, subseed
from litenorm.sim.verilog import convert, named_signals

MESSAGE_BYTES = 4096  # buffer of one exchange, fixed in MyHDL and in its VPI module
ANSWER_SECONDS = 60  # without an answer of vvp: it is taken to loop for ever
RESET_CYCLES = 2  # before cycle 0

_PORT = re.compile(r"^\s*(input|output)\s+(?:wire|reg)?\s*(signed)?\s*(?:\[(\d+):0\])?\s*(\w+)\s*[,;]?\s*$", re.M)


class UnknownValueError(SimulationError):
    """A signal that must be known is X or Z; the text names the signals, the cycle and the seed."""


# Build -------------------------------------------------------------------------------------------


def _tool(command, cwd):
    """Run a build tool of Icarus; MissingTool or BuildError when that fails."""
    if shutil.which(command[0]) is None:
        raise MissingTool(f"{command[0]} is not on the PATH; Debian: apt-get install iverilog")
    done = subprocess.run([str(c) for c in command], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, text=True)
    if done.returncode:
        raise BuildError(f"{command[0]} failed with exit code {done.returncode}: {done.stdout[-4000:]}")
    return done.stdout


def vpi_folder():
    """Return the folder of ``myhdl.vpi``, compiled on the first call from the C source that MyHDL's wheel carries."""
    # The wheel puts it below the prefix of the environment; its own list of files says where.
    files = [Path(f.locate()) for f in metadata.files("myhdl") if "icarus" in f.parts and f.suffix == ".c"]
    sources = sorted(f.resolve() for f in files if f.name in ("myhdl.c", "myhdl_table.c"))
    if len(sources) != 2:
        raise BuildError(f"myhdl {myhdl.__version__} carries no VPI source for Icarus; install it from its wheel")
    version = _tool(["iverilog", "-V"], None).splitlines()[0]
    key = digest(version, *(source.read_bytes() for source in sources))

    def make(folder):
        _tool(["iverilog-vpi", "--name=myhdl", *sources], folder)

    return cached(build_dir("cosim"), f"vpi-{key}", make)


def ports_of(verilog, top):
    """Return the list of (direction, name, bits, signed) of module ``top``; ValueError when it is not there.

    The ports are declared in the header, as LiteX writes them, or one a line behind it, as MyHDL does.
    """
    module = re.search(rf"\bmodule\s+{re.escape(top)}\s*\((.*?)\);(.*?)\bendmodule\b", verilog, re.S)
    if not module:
        raise ValueError(f"the Verilog has no module {top}")
    ports = list(_PORT.finditer(module[1])) or list(_PORT.finditer(module[2]))
    return [(m[1], m[4], int(m[3] or 0) + 1, bool(m[2])) for m in ports]


def _check_budget(ports):
    """ValueError when one exchange with all ports does not fit MyHDL's buffer."""
    ins = [(name, bits) for direction, name, bits, _ in ports if direction == "input"]
    outs = [(name, bits) for direction, name, bits, _ in ports if direction == "output"]
    digits = {name: (bits + 3) // 4 for name, bits in ins + outs}
    messages = {
        "the list of inputs": sum(len(name) + len(str(bits)) + 2 for name, bits in ins) + 8,
        "the list of outputs": sum(len(name) + len(str(bits)) + 2 for name, bits in outs) + 8,
        "the values of all inputs": sum(digits[name] + 1 for name, _ in ins) + 24,
        "the values of all outputs": sum(len(name) + digits[name] + 2 for name, _ in outs) + 24,
    }
    for what, size in messages.items():
        if size >= MESSAGE_BYTES:
            raise ValueError(f"{what} takes {size} bytes, and MyHDL's message holds {MESSAGE_BYTES - 1}: "
                             "give the module fewer, narrower or shorter-named ports")


def _wrapper(top, ports, vcd):
    """Return the Verilog that ties the ports to MyHDL. Its registers start at 0: undriven inputs are not X."""
    lines = ["module cosim_top;"]
    for direction, name, bits, _ in ports:
        width = f"[{bits - 1}:0] " if bits > 1 else ""
        lines.append(f"  reg {width}{name} = 0;" if direction == "input" else f"  wire {width}{name};")
    names = {d: ", ".join(name for direction, name, _, _ in ports if direction == d) for d in ("input", "output")}
    lines.append("  initial begin")
    if vcd:
        lines.append(f'    $dumpfile("{vcd}"); $dumpvars(0, dut);')
    lines += [f"    $from_myhdl({names['input']});", f"    $to_myhdl({names['output']});", "  end"]
    pins = ", ".join(f".{name}({name})" for _, name, _, _ in ports)
    lines += [f"  {top} dut ({pins});", "endmodule", ""]
    return "\n".join(lines)


# Simulation --------------------------------------------------------------------------------------


class _Cosimulation(Cosimulation):
    """MyHDL's Cosimulation, which reads X as 0, with a record of what is X, and no child process left behind."""

    def __init__(self, command, **signals):
        self.unknown = {}  # name: hexadecimal digits with x and z
        self._child = None
        try:
            super().__init__(command, **signals)
        except BaseException:
            self.kill()
            raise

    def kill(self):
        """End the child and close the pipes; for a Cosimulation that no Simulation has taken over."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        for fd in (self._rt, self._wf):
            os.close(fd)

    def _get(self):
        if not self._getMode:
            return
        if not select.select([self._rt], [], [], ANSWER_SECONDS)[0]:
            self._child.kill()  # Simulation waits for it before it passes the error on.
            raise HangError(f"vvp gave no answer for {ANSWER_SECONDS} s: does the Verilog loop for ever?")
        words = os.read(self._rt, MESSAGE_BYTES).decode().split()
        if not words:
            raise CosimulationError("vvp ended early")
        for name, text in zip(words[1::2], words[2::2], strict=True):
            signal = self._toSigDict[name]
            try:
                value = int(text, 16)
                self.unknown.pop(name, None)
            except ValueError:
                self.unknown[name] = text
                value = 0
            if signal._min is not None and signal._min < 0 and value >> (signal._nrbits - 1):
                value -= 1 << signal._nrbits
            signal.next = value
        self._getMode = 0


_OWNER = SimpleNamespace(lock=threading.Lock(), thread=None)


class CoSim:
    """One Verilog module in Icarus, its ports as MyHDL Signals: a context manager.

    Parameters
    ----------
    verilog : Verilog text, self-contained.
    top : name of the module; its ports are declared as LiteX or MyHDL write them, see ``ports_of``.
    seed : printed with every error; drivers and monitors draw from it.
    vcd : path of a trace to write, or None.

    ``sig`` holds a Signal per port: bool for one bit, intbv for more. ``sys_clk`` and ``sys_rst`` are driven here: the
    reset is high for two cycles before cycle 0. A module without clock gets its inputs from generators that are clocked
    by ``sig.sys_clk`` all the same. MyHDL blocks on these Signals run in the same simulation. MyHDL allows one
    simulation per process at a time: a second thread waits, a second CoSim inside of the first is a RuntimeError.
    ValueError when the ports do not fit MyHDL's message.
    """

    def __init__(self, verilog, top, seed=0, vcd=None):
        self.name = top
        self.seed = seed
        self.ports = ports_of(verilog, top)
        _check_budget(self.ports)
        self.widths = {name: bits for _, name, bits, _ in self.ports}
        wrapper = _wrapper(top, self.ports, vcd)

        def make(folder):
            (folder / "dut.v").write_text(verilog + wrapper)
            _tool(["iverilog", "-g2005", "-s", "cosim_top", "-o", "dut.vvp", "dut.v"], folder)

        version = _tool(["iverilog", "-V"], None).splitlines()[0]
        folder = cached(build_dir("cosim"), f"{top}-{digest(version, verilog, wrapper)}", make)
        self._command = ["vvp", "-n", "-M", str(vpi_folder()), "-m", "myhdl", str(folder / "dut.vvp")]
        self.reset_at = frozenset()
        self._cosimulation = None
        self._simulation = None

    def __enter__(self):
        if _OWNER.thread == threading.get_ident():
            raise RuntimeError("MyHDL runs one simulation at a time: leave the other CoSim first")
        _OWNER.lock.acquire()
        _OWNER.thread = threading.get_ident()
        try:
            signals = {}
            for _, name, bits, signed in self.ports:
                if name == "sys_rst":
                    signals[name] = ResetSignal(0, active=1, isasync=False)
                elif bits == 1:
                    signals[name] = Signal(False)
                elif signed:
                    signals[name] = Signal(intbv(0, min=-(1 << (bits - 1)), max=1 << (bits - 1)))
                else:
                    signals[name] = Signal(intbv(0)[bits:])
            self.sig = SimpleNamespace(**{"sys_clk": Signal(False), **signals})
            self._simulation = None
            self._cosimulation = _Cosimulation(self._command, **signals)
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, *exception):
        try:
            simulation, cosimulation = self._simulation, self._cosimulation
            if simulation is None:
                cosimulation.kill()
            else:
                # A simulation that ended has closed its pipes; one that was interrupted has not, and a child that
                # loops would be waited for.
                if cosimulation._child.poll() is None:
                    cosimulation._child.kill()
                if not simulation._finished:
                    simulation.quit()
        finally:
            self._release()

    @staticmethod
    def _release():
        _OWNER.thread = None
        _OWNER.lock.release()

    @property
    def cycle(self):
        """The current cycle; 0 is the first one after the reset at the start."""
        return int(myhdl.now()) - RESET_CYCLES - 1

    def unknown(self, *names):
        """Return those of the given outputs that have an X or Z bit now."""
        return sorted(set(names).intersection(self._cosimulation.unknown))

    def require(self, *names):
        """UnknownValueError when one of the given outputs is X or Z now."""
        if self._cosimulation.unknown:
            unknown = self.unknown(*names)
            if unknown:
                values = ", ".join(f"{name} is X: {self._cosimulation.unknown[name]}" for name in unknown)
                raise UnknownValueError(self.text(values))

    def text(self, what):
        """Return an error text with module, cycle and seed."""
        return f"{self.name}: {what} (cycle {self.cycle}, seed {self.seed})"

    def run(self, *generators, until=None, max_cycles=100_000, reset_at=(), reset_cycles=1):
        """Run MyHDL generators (or instances) and return the number of cycles; once per CoSim.

        until : called after each cycle; the run ends when it returns true. Without it the run takes ``max_cycles``.
        max_cycles : HangError when ``until`` is not true by then.
        reset_at : cycles at which ``sys_rst`` goes high for ``reset_cycles``.

        An exception in a generator passes through, with cycle and seed as a note.
        """
        if self._simulation is not None:
            raise RuntimeError("a CoSim runs once: open a new one")
        clk = self.sig.sys_clk
        rst = getattr(self.sig, "sys_rst", None)
        self.reset_at = frozenset(reset_at)
        high = {-1 - i for i in range(RESET_CYCLES)}
        high.update(c + i for c in reset_at for i in range(reset_cycles))

        # One time step per cycle: the clock falls one delta after it rose, together with the new values of the
        # drivers, which saves three of seven exchanges with vvp.
        def clock():
            while True:
                if rst is not None:
                    rst.next = self.cycle + 1 in high
                yield delay(1)
                clk.next = True
                yield clk.posedge
                clk.next = False

        def control():
            while True:
                yield clk.posedge
                yield clk.negedge
                if self.cycle < 0:
                    continue
                if until is not None and until():
                    raise StopSimulation
                if self.cycle + 1 >= max_cycles:
                    if until is not None:
                        raise HangError(self.text(f"not done after {max_cycles} cycles"))
                    raise StopSimulation

        self._simulation = Simulation(self._cosimulation, clock(), control(), *generators)
        try:
            self._simulation.run(quiet=1)
        except BaseException as e:
            e.add_note(self.text("co-simulation stopped"))
            raise
        return self.cycle + 1


# Streams -----------------------------------------------------------------------------------------


class Staller:
    """Draws a Stall cycle by cycle."""

    def __init__(self, stall, seed, name):
        self.stall = Stall.of(stall)
        self.random = random.Random(subseed(seed, name))
        self._enter, self._leave = self.stall.rates()
        self._stalled = False

    def step(self):
        """Return whether the next cycle is stalled."""
        draw = self.random.random()
        self._stalled = draw >= self._leave if self._stalled else draw < self._enter
        return self._stalled


class StreamDriver:
    """Feeds beats to a stream sink of a CoSim; ``process()`` is its MyHDL generator.

    name : prefix of the ports (``sink`` for ``sink_valid``, ``sink_payload_data``, ...).
    beats : array of ``StreamPort`` beats.  stall : a Stall or a probability, of valid.
    after : another StreamDriver that must have sent everything first.

    valid, once high, stays until ready. Without valid the payload is noise. A reset cuts the packet that is being sent;
    the driver goes on with the next one. ``accepted`` holds the cycle of each beat (-1: skipped by a reset), ``next``
    the number of the next beat, ``resets`` that number at each reset. ``on_beat``, when set, is called with the dict of
    the fields of each beat that the module takes.
    """

    def __init__(self, dut, name, beats, stall=0.0, after=None):
        self.dut = dut
        self.port = StreamPort.of_ports(name, dut.widths)
        self.port.check(beats)
        self.values = _to_integers(self.port, beats)
        self.last = beats["last"].tolist()
        self.accepted = np.full(len(beats), -1, np.int64)
        self.next = 0
        self.resets = []
        self.moved = 0  # cycle of the last transfer
        self.after = after
        self.on_beat = None
        self._staller = Staller(stall, dut.seed, name)

    @property
    def done(self):
        """True when no beat is left."""
        return self.next == len(self.values)

    def process(self):
        """Return the generator to hand to ``CoSim.run``."""
        dut, port, sig = self.dut, self.port, vars(self.dut.sig)
        clk, rst, ready = sig["sys_clk"], sig.get("sys_rst", False), sig[f"{port.name}_ready"]
        valid = sig[f"{port.name}_valid"]
        fields = [(sig[name], port.widths[key]) for key, name in port.ports.items()]
        noise = self._staller.random

        def drive():
            while True:
                yield clk.posedge
                if rst:
                    if dut.cycle in dut.reset_at:
                        while 0 < self.next < len(self.values) and not self.last[self.next - 1]:
                            self.next += 1
                        self.resets.append(self.next)
                        self.moved = dut.cycle
                    valid.next = False
                    continue
                dut.require(f"{port.name}_ready")
                if valid and ready:
                    self.accepted[self.next] = self.moved = dut.cycle
                    if self.on_beat is not None:
                        self.on_beat(dict(zip(port.ports, self.values[self.next], strict=True)))
                    self.next += 1
                stalled = self._staller.step()
                if valid and not ready:
                    continue
                blocked = self.after is not None and not self.after.done
                if not self.done and not stalled and not blocked:
                    valid.next = True
                    for (signal, _), value in zip(fields, self.values[self.next], strict=True):
                        signal.next = value
                else:
                    valid.next = False
                    for signal, width in fields:
                        signal.next = noise.getrandbits(width)

        return drive()

    def state(self):
        """Return a line for an error text."""
        sig = vars(self.dut.sig)
        valid, ready = (int(sig[f"{self.port.name}_{key}"]) for key in ("valid", "ready"))
        return f"; {self.port.name} {self.next}/{len(self.values)} beats, valid={valid} ready={ready}"


class StreamMonitor:
    """Drains a stream source of a CoSim and checks it; ``process()`` are its MyHDL generators.

    stall : a Stall or a probability, of ready.  expect : number of beats; one more is a HandshakeError.

    HandshakeError when valid falls before ready, or payload, params, first or last change while they wait;
    UnknownValueError when valid is X, or any of the others is X while valid. ``beats()`` and ``cycles`` hold what was
    taken, ``resets`` the number of beats at each reset. ``on_beat``, when set, is called with the dict of the fields of
    each beat.
    """

    def __init__(self, dut, name, stall=0.0, expect=None):
        self.dut = dut
        self.port = StreamPort.of_ports(name, dut.widths)
        self.expect = expect
        self.values = []
        self.cycles = []
        self.resets = []
        self.moved = 0
        self.on_beat = None
        self._staller = Staller(stall, dut.seed, name)

    def beats(self):
        """Return the beats taken so far as a structured array."""
        return _from_integers(self.port, self.values)

    def process(self):
        """Return the generators to hand to ``CoSim.run``."""
        dut, port, sig = self.dut, self.port, vars(self.dut.sig)
        clk, rst = sig["sys_clk"], sig.get("sys_rst", False)
        valid, ready = sig[f"{port.name}_valid"], sig[f"{port.name}_ready"]
        fields = [sig[name] for name in port.ports.values()]
        names = list(port.ports.values())
        go = Signal(False)

        def take():
            held = None
            while True:
                yield clk.posedge
                if rst:
                    if dut.cycle in dut.reset_at:
                        self.resets.append(len(self.values))
                        self.moved = dut.cycle
                    held = None
                    go.next = False
                    continue
                dut.require(f"{port.name}_valid")
                if valid:
                    dut.require(*names)
                    beat = tuple(int(f) for f in fields)
                    if held is not None and beat != held:
                        raise HandshakeError(dut.text(f"{port.name} changed while it waited for ready: "
                                                      f"{_difference(port, held, beat)}"))
                    held = beat
                    if ready:
                        held = None
                        self.values.append(beat)
                        self.cycles.append(dut.cycle)
                        self.moved = dut.cycle
                        if self.expect is not None and len(self.values) > self.expect:
                            raise HandshakeError(dut.text(f"{port.name} gave an extra beat after {self.expect}"))
                        if self.on_beat is not None:
                            self.on_beat(dict(zip(port.ports, beat, strict=True)))
                elif held is not None:
                    raise HandshakeError(dut.text(f"{port.name}.valid fell before ready"))
                go.next = not self._staller.step()

        def answer():
            while True:
                yield go, valid
                ready.next = go and (valid or not self._staller.stall.wait_valid)

        return take(), answer()

    def state(self):
        """Return a line for an error text."""
        sig = vars(self.dut.sig)
        valid, ready = (int(sig[f"{self.port.name}_{key}"]) for key in ("valid", "ready"))
        total = "" if self.expect is None else f"/{self.expect}"
        return f"; {self.port.name} {len(self.values)}{total} beats, valid={valid} ready={ready}"


class SignalWatch:
    """Records the cycles in which an output is not zero; UnknownValueError when it is X."""

    def __init__(self, dut, name):
        self.dut = dut
        self.name = name
        self.cycles = []
        self.values = []

    def process(self):
        """Return the generator to hand to ``CoSim.run``."""
        sig = vars(self.dut.sig)
        clk, rst, signal = sig["sys_clk"], sig.get("sys_rst", False), sig[self.name]

        def watch():
            while True:
                yield clk.posedge
                if not rst:
                    self.dut.require(self.name)
                    if signal:
                        self.cycles.append(self.dut.cycle)
                        self.values.append(int(signal))

        return watch()


def _to_integers(port, beats):
    """Return a list with one tuple of int per beat, in the order of ``port.ports``."""
    columns = []
    for key in port.ports:
        column = beats[key]
        columns.append([int.from_bytes(row.tobytes(), "little") for row in column] if column.ndim > 1
                       else column.tolist())
    return list(zip(*columns, strict=True))


def _from_integers(port, values):
    """The reverse of ``_to_integers``."""
    beats = port.beats(len(values))
    for key, column in zip(port.ports, zip(*values, strict=True), strict=False):
        if beats[key].ndim > 1:
            size = beats[key].shape[1]
            beats[key] = np.array([np.frombuffer(v.to_bytes(size, "little"), np.uint8) for v in column])
        else:
            beats[key] = column
    return beats


def _difference(port, old, new):
    return ", ".join(f"{key} {a:#x} became {b:#x}" for key, a, b in zip(port.ports, old, new, strict=True) if a != b)


class StreamCoSim:
    """A module with stream endpoints in co-simulation; the parameters are those of ``verilated.StreamDut``.

    vcd : path of a trace to write, or None.
    """

    def __init__(self, module, sinks=None, sources=None, signals=(), name=None, regs_init=True, vcd=None,
                 edit=None):
        self.name = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(module).__name__).lower()
        self.sinks = {key: StreamPort(key, endpoint) for key, endpoint in (sinks or {}).items()}
        self.sources = {key: StreamPort(key, endpoint) for key, endpoint in (sources or {}).items()}
        signals = named_signals(signals, "signals")
        ios = dict(signals)
        for port in (*self.sinks.values(), *self.sources.values()):
            ios.update(port.signals)
        self.signals = list(signals)
        self.vcd = vcd
        self.verilog, _ = convert(module, self.name, ios, regs_init)
        if edit is not None:
            self.verilog = edit(self.verilog)

    def run(self, beats, stall=None, seed=0, expect=None, after=None, reset_at=(), reset_cycles=1, max_cycles=1_000_000,
            hang_cycles=2000, idle_cycles=500, tail_cycles=16, follower=None):
        """Feed the sinks, drain the sources and return a Result: as ``StreamDut.run``, always from power-up.

        follower : something that watches the beats in the same simulation, as ``lockstep.Follower`` does. Its
        ``start(dut, drivers, monitors)`` returns MyHDL generators; the run lasts until its ``done`` is true, and its
        ``moved`` and ``state()`` are those of a StreamDriver.

        Raises HandshakeError, HangError, and UnknownValueError when a handshake or a watched signal is X, or a payload,
        param, first or last is X while valid.
        """
        names = {**self.sinks, **self.sources}
        for what, given, known in (("beats", beats, self.sinks), ("stall", stall, names),
                                   ("expect", expect, self.sources), ("after", after, self.sinks)):
            for key in given or {}:
                if key not in known:
                    raise ValueError(f"{what}: no stream {key}; there is {', '.join(known)}")
        stall, after = stall or {}, after or {}
        with CoSim(self.verilog, self.name, seed, self.vcd) as dut:
            drivers = {key: StreamDriver(dut, key, (beats or {}).get(key, port.beats(0)), stall.get(key, 0.0))
                       for key, port in self.sinks.items()}
            for key, other in after.items():
                drivers[key].after = drivers[other]
            monitors = {key: StreamMonitor(dut, key, stall.get(key, 0.0), (expect or {}).get(key))
                        for key in self.sources}
            watches = {key: SignalWatch(dut, key) for key in self.signals}
            agents = [*drivers.values(), *monitors.values()]
            generators = [agent.process() for agent in (*agents, *watches.values())]
            if follower is not None:
                generators += follower.start(dut, drivers, monitors)
                agents.append(follower)
            last_reset = max(reset_at, default=-1)
            complete = None

            def until():
                nonlocal complete
                quiet = dut.cycle - max((agent.moved for agent in agents), default=0)
                sent = dut.cycle > last_reset and all(driver.done for driver in drivers.values())
                sent = sent and (follower is None or follower.done)
                if sent and expect:
                    if all(m.expect is None or len(m.values) >= m.expect for m in monitors.values()):
                        complete = dut.cycle if complete is None else complete
                        return dut.cycle - complete >= tail_cycles
                elif sent:
                    return quiet >= idle_cycles
                if quiet >= hang_cycles:
                    state = "".join(agent.state() for agent in agents)
                    raise HangError(dut.text(f"no transfer for {quiet} cycles{state}"))
                return False

            cycles = dut.run(*generators, until=until, max_cycles=max_cycles, reset_at=reset_at,
                             reset_cycles=reset_cycles)
        records = [ResetRecord(cycle, {key: d.resets[i] for key, d in drivers.items()},
                               {key: m.resets[i] for key, m in monitors.items()})
                   for i, cycle in enumerate(sorted(reset_at))]
        return Result(
            seed, cycles,
            sources={key: Capture(self.sources[key], m.beats(), np.array(m.cycles, np.int64))
                     for key, m in monitors.items()},
            accepted={key: driver.accepted for key, driver in drivers.items()},
            events={key: np.array(w.cycles, np.int64) for key, w in watches.items()},
            values={key: np.array(w.values, np.uint64) for key, w in watches.items()},
            resets=records,
        )


__all__ = ["CoSim", "HandshakeError", "HangError", "SignalWatch", "Stall", "StreamCoSim", "StreamDriver",
           "StreamMonitor", "UnknownValueError", "ports_of", "vpi_folder"]
