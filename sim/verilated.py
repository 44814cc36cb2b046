# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Bulk simulation of generated Verilog: a Migen module becomes a shared library that runs from Python.

The Verilog comes from LiteX's own generator, the library from Verilator, and the cycle loop (stream drivers and
monitors with random stalls, protocol checks) is C++: see ``verilated.cpp``. Typical use::

    dut = StreamDut(module, sinks={"sink": module.sink}, sources={"source": module.source}, signals=[module.row_done])
    beats = dut.sinks["sink"].packets(rows, bits=8, length=32)
    result = dut.run({"sink": beats}, stall={"sink": 0.3, "source": Stall(0.5, burst=20)}, seed=1)
    result["source"].packets(bits=16)       # list of int64 rows
    result.events["row_done"]               # cycles in which it was high

Needs ``verilator`` and ``g++`` on the path.
"""

import ctypes
import functools
import inspect
import re
import shutil
import subprocess
import weakref
from pathlib import Path

import numpy as np

from litenorm.sim.cache import build_dir, cached, digest
from litenorm.sim.errors import BuildError, MissingTool, SimulationError
from litenorm.sim.streams import Capture, HandshakeError, HangError, ResetRecord, Result, Stall, StreamPort, subseed
from litenorm.sim.verilog import convert, named_signals, state_elements, to_verilog
from litenorm.sim.wishbone import BEAT_DTYPE, BUS_INPUTS, BUS_OUTPUTS, RANGE_LISTS, BusPort

# Compilation -------------------------------------------------------------------------------------

_CXX = ["g++", "-std=gnu++17", "-pthread", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-faligned-new", "-w"]
_DEFINES = ["-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TRACE_FST=0", "-DVL_USER_FATAL", "-DVL_USER_FINISH"]

# Of a model: -O2 takes g++ about twice as long, and the model is as fast. -O0: of one that runs for a moment only.
_LEVELS = {True: "-O1", False: "-O0"}

_GLUE = """\
#include "Vdut.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif
struct Port { const char* name; uint32_t width, bytes, output; uint8_t* data; };
struct StateElement { uint32_t width, depth, bytes; uint8_t* data; };
#if WITH_STATE
#include "Vdut___024root.h"
#endif
struct Context : VerilatedContext {
    Context(uint64_t seed) {
        randReset(2);
        randSeed(int(seed % 0x7ffffffeull) + 1);
        Verilated::threadContextp(this);
        traceEverOn(VM_TRACE);
    }
};
struct Model {
    Context context;
    Vdut top;
#if VM_TRACE
    VerilatedVcdC tracer;
#endif
    Model(uint64_t seed) : context(seed), top(&context) {}
};
static Model* model(void* m) { return static_cast<Model*>(m); }
void* glue_new(uint64_t seed, Port* ports) {
    Model* m = new Model(seed);
    const Port table[] = {
@PORTS@
    };
    for (const Port& port : table) *ports++ = port;
    return m;
}
void glue_free(void* m) {
#if VM_TRACE
    model(m)->tracer.close();
#endif
    model(m)->top.final();
    delete model(m);
}
void glue_enter(void* m) { Verilated::threadContextp(&model(m)->context); }
void glue_eval(void* m) { model(m)->top.eval(); }
bool glue_finished(void* m) { return model(m)->context.gotFinish(); }
uint32_t glue_ports() { return @COUNT@; }
uint32_t glue_states() { return @STATES@; }
void glue_state(void* m_, StateElement* elements) {
    Model* m = model(m_);
#if WITH_STATE
    const StateElement table[] = {
@STATE@
    };
    for (const StateElement& element : table) *elements++ = element;
#endif
}
bool glue_trace(void* m, const char* path) {
#if VM_TRACE
    model(m)->top.trace(&model(m)->tracer, 99);
    model(m)->tracer.open(path);
    return true;
#else
    return false;
#endif
}
void glue_dump(void* m, uint64_t time) {
#if VM_TRACE
    model(m)->tracer.dump(time);
#endif
}
"""


def _call(command, cwd=None):
    """Run a build tool; BuildError with the tail of its output when it fails."""
    if shutil.which(command[0]) is None:
        raise MissingTool(f"{command[0]} is not on the PATH; Debian: apt-get install {command[0]}")
    done = subprocess.run([str(c) for c in command], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, text=True)
    if done.returncode:
        raise BuildError(f"{command[0]} failed with exit code {done.returncode}: {done.stdout[-4000:]}")
    return done.stdout


@functools.cache
def _verilator():
    """Return (version text, include folder) of the installed Verilator."""
    version = _call(["verilator", "--version"]).strip()
    root = _call(["verilator", "--getenv", "VERILATOR_ROOT"]).strip() or "/usr/share/verilator"
    return version, Path(root) / "include"


def _compile(verilog, top, ports, trace, state=(), optimize=True):
    """Return the path of the shared library of one Verilog module, compiled on the first call."""
    version, include = _verilator()
    runtime_source = Path(__file__).with_name("verilated.cpp")
    flags = [*_CXX, *_DEFINES, f"-DVM_TRACE={int(trace)}", f"-DVM_TRACE_VCD={int(trace)}",
             "-I", include, "-I", include / "vltstd"]
    recipe = inspect.getsource(_compile)  # A cached library is only as good as the commands that made it.
    runtime_key = digest(version, runtime_source.read_bytes(), " ".join(map(str, flags)), recipe, *_LEVELS.values())

    def make_runtime(folder):
        names = ["verilated", "verilated_threads", *(["verilated_vcd_c"] if trace else [])]
        level = "-O0" if trace else "-O2"   # writing the trace takes far longer than all else
        _call([*flags, level, "-c", runtime_source, "-o", folder / "harness.o"])
        for name in names:
            _call([*flags, level, "-c", include / f"{name}.cpp", "-o", folder / f"{name}.o"])
        (folder / "prefix.h").write_text('#include "verilated.h"\n')
        if not trace:   # Precompiled, it saves a third of a second a model; g++ takes it where all flags are equal.
            _call([*flags, _LEVELS[True], "-x", "c++-header", folder / "prefix.h", "-o", folder / "prefix.h.gch"])

    table = "".join(f'        {{"{name}", {len(s)}, sizeof(m->top.{name}), {int(output)}, (uint8_t*)&m->top.{name}}},\n'
                    for name, (s, output) in ports.items())
    glue = _GLUE.replace("@PORTS@\n", table).replace("@COUNT@", str(len(ports))).replace("@STATES@", str(len(state)))
    members = "".join(
        f"        {{{e.width}, {e.depth}, uint32_t(sizeof({m}) / {e.depth}), (uint8_t*)&{m}}},\n" for e in state
        if (m := f"m->top.rootp->{top}__DOT__{e.name.replace('__', '___05F')}"))
    glue = glue.replace("@STATE@\n", members).replace("WITH_STATE", str(int(bool(state))))
    public = "`verilator_config\n" + "".join(f'public_flat_rw -module "{top}" -var "{e.name}"\n' for e in state)

    def make_model(folder):
        runtime = cached(build_dir("verilated"), f"runtime-{runtime_key}", make_runtime)
        (folder / f"{top}.v").write_text(verilog)
        (folder / "glue.cpp").write_text(glue)
        (folder / "state.vlt").write_text(public)
        _call(["verilator", "--cc", "--prefix", "Vdut", "--top-module", top, "-Mdir", "obj", "-O3", "--x-assign",
               "unique", "--x-initial", "unique", "--no-timing", "-Wno-fatal", "-Wno-lint", "-Wno-style",
               *(["--trace"] if trace else []), "state.vlt", f"{top}.v"], cwd=folder)
        # One unit: most of the time of a small one goes to its headers. What runs once is not optimized.
        sources = sorted((folder / "obj").glob("*.cpp"))
        slow = [s for s in sources if s.stem.endswith(("__Slow", "__Syms", "__ConstPool_0"))]
        fast = [s for s in sources if s not in slow]
        (folder / "unit.cpp").write_text("".join([
            '#include "glue.cpp"\n', *(f'#include "obj/{s.name}"\n' for s in fast),
            '#pragma GCC optimize("O0")\n', *(f'#include "obj/{s.name}"\n' for s in slow)]))
        _call([*flags, _LEVELS[optimize], "-shared", "-Wl,-Bsymbolic,-z,defs", "-include", runtime / "prefix.h",
               "-I", folder, "-I", folder / "obj", "-o", folder / "dut.so", folder / "unit.cpp",
               *sorted(runtime.glob("*.o"))])
        shutil.rmtree(folder / "obj")
        (folder / "unit.cpp").unlink()

    key = digest(runtime_key, _LEVELS[optimize], verilog, glue)
    return cached(build_dir("verilated"), f"{top}-{key}", make_model) / "dut.so"


# C interface -------------------------------------------------------------------------------------


class _Stall(ctypes.Structure):
    _fields_ = [("enter", ctypes.c_uint64), ("leave", ctypes.c_uint64), ("wait_valid", ctypes.c_uint32)]


class _Field(ctypes.Structure):
    _fields_ = [("port", ctypes.c_uint32), ("offset", ctypes.c_uint32), ("bytes", ctypes.c_uint32)]


class _Range(ctypes.Structure):
    _fields_ = [("first", ctypes.c_uint64), ("last", ctypes.c_uint64)]


class _BusPorts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in (*BUS_OUTPUTS, *BUS_INPUTS, "word_bytes", "byte_addressed")]


class _BusTiming(ctypes.Structure):
    _fields_ = [("latency", ctypes.c_uint64), ("stall", _Stall), ("bursting", ctypes.c_uint32),
                ("withdraw", ctypes.c_uint32), ("strict", ctypes.c_uint32), ("noise", ctypes.c_uint64)]


class _Run(ctypes.Structure):
    _fields_ = [("max_cycles", ctypes.c_uint64), ("hang_cycles", ctypes.c_uint64), ("idle_cycles", ctypes.c_uint64),
                ("tail_cycles", ctypes.c_uint64), ("reset_cycles", ctypes.c_uint64), ("reset_at", ctypes.c_void_p),
                ("resets", ctypes.c_uint64), ("until", ctypes.c_int64), ("cycles", ctypes.c_uint64)]


class _Flip(ctypes.Structure):
    _fields_ = [("cycle", ctypes.c_uint64), ("element", ctypes.c_uint32), ("word", ctypes.c_uint32),
                ("bit", ctypes.c_uint32)]


_H, _U32, _U64, _I64, _INT, _P, _S = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int64, ctypes.c_int,
                                      ctypes.c_void_p, ctypes.c_char_p)
_STREAM = [_H, _S, _U32, _U32, ctypes.POINTER(_Field), _U32, _U32, _U32]
_FUNCTIONS = {
    "new": (_H, [_U64, _INT, _INT]),
    "free": (None, [_H]),
    "error": (_S, [_H]),
    "cycle": (_U64, [_H]),
    "trace": (_INT, [_H, _S]),
    "set": (None, [_H, _U32, _P]),
    "get": (None, [_H, _U32, _P]),
    "eval": (_INT, [_H]),
    "reset": (_INT, [_H, _U64]),
    "clock": (_INT, [_H, _U64]),
    "play": (_INT, [_H, _P, _U64, _INT, _U64, ctypes.POINTER(_U64), ctypes.POINTER(_INT)]),
    "add_sink": (None, _STREAM),
    "add_source": (None, _STREAM),
    "add_watch": (None, [_H, _U32]),
    "load_sink": (None, [_H, _U32, _P, _U64, _P, _INT, ctypes.POINTER(_Stall), _U64]),
    "load_source": (None, [_H, _U32, _I64, ctypes.POINTER(_Stall), _U64]),
    "run": (_INT, [_H, ctypes.POINTER(_Run)]),
    "source_count": (_U64, [_H, _U32]),
    "source_take": (None, [_H, _U32, _P, _P]),
    "sink_sent": (_U64, [_H, _U32]),
    "watch_count": (_U64, [_H, _U32]),
    "watch_take": (None, [_H, _U32, _P, _P]),
    "memory": (None, [_H, _P, _U64, _U64]),
    "add_bus": (None, [_H, _S, ctypes.POINTER(_BusPorts)]),
    "bus_timing": (None, [_H, _U32, ctypes.POINTER(_BusTiming), _U64]),
    "bus_list": (None, [_H, _U32, _U32, ctypes.POINTER(_Range), _U64]),
    "bus_count": (_U64, [_H, _U32]),
    "bus_take": (None, [_H, _U32, _P]),
    "bus_clear": (None, [_H, _U32]),
    "flip": (None, [_H, ctypes.POINTER(_Flip)]),
    "lenient": (None, [_H, _INT]),
    "reset_count": (_U64, [_H]),
    "reset_take": (None, [_H, _P]),
}
# Ports set at given cycles, see SignalDut.play.
POKE_DTYPE = np.dtype([("cycle", "<u8"), ("value", "<u8"), ("port", "<u4"), ("spare", "<u4")])

_ERRORS = {1: HandshakeError, 2: HangError, 3: HangError, 4: HandshakeError, 5: SimulationError}


@functools.cache
def _load(path):
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, f"harness_{name}")
        function.restype, function.argtypes = result, arguments
    return library


def _stall(stall):
    """Return the C structure of a Stall or a probability."""
    stall = Stall.of(stall)
    enter, leave = stall.rates()
    return _Stall(int(enter * 2**32), int(leave * 2**32), int(stall.wait_valid))


def _address(array):
    return array.ctypes.data_as(ctypes.c_void_p)


class SignalDut:
    """A Verilated module whose ports are read and written by name from Python.

    Parameters
    ----------
    module : the Migen/LiteX module (consumed: it cannot be converted again).
    inputs, outputs : the ports: dict of name to Signal, or an iterable of Signals named by their own name.
    name : name of the Verilog module (and of the cache entry).
    regs_init : see ``to_verilog``.
    buses : dict of name to a ``wishbone.Interface`` that the module drives as a master. Each is answered by ``memory``
        and has its timing, faults and checks in ``dut.buses[name]``, a ``wishbone.BusPort``.
    memory : the ``wishbone.Memory`` behind all buses.
    trace : path of a VCD file to write, or None; complete after ``close``. A fresh run begins it anew.
    seed : seed of the power-up values of everything that has no initial value.
    state : make registers and memories writable, for ``flip``; slower.
    edit : function of the Verilog's text to the text that is compiled: to plant faults in it.
    optimize : False compiles a large netlist in a quarter of the time, to a slower model.

    Names are Verilog port names. ``sys_clk`` and ``sys_rst`` are driven by the harness. Raises MissingTool;
    BuildError when a tool refuses the Verilog; KeyError for an unknown port.
    """

    def __init__(self, module, inputs=(), outputs=(), buses=None, memory=None, name=None, regs_init=True, trace=None,
                 seed=0, state=False, edit=None, optimize=True):
        if buses and memory is None:
            raise ValueError("buses need a memory: litenorm.sim.wishbone.Memory(base, size)")
        self.memory = memory
        self.buses = {key: BusPort(key, interface, self._apply_bus) for key, interface in (buses or {}).items()}
        inputs, outputs = named_signals(inputs, "inputs"), named_signals(outputs, "outputs")
        for bus in self.buses.values():
            inputs.update(bus.inputs())
            outputs.update(bus.outputs())
        self.name = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(module).__name__).lower()
        self.verilog, ports = convert(module, self.name, {**inputs, **outputs}, regs_init)
        if edit is not None:
            self.verilog = edit(self.verilog)
        self.ports = {port: (signal, signal.direction == "output") for port, signal in ports.items()}
        for port in inputs:
            if self.ports[port][1]:
                raise ValueError(f"port {port} is driven by the module: it is an output")
        # An output that the module leaves alone has become an input port; Migen gives it its reset value.
        self._undriven = {port: signal.reset.value for port, signal in outputs.items() if not self.ports[port][1]}
        self._index = {port: i for i, port in enumerate(self.ports)}
        self._handle = None
        self.trace = trace
        self.state = state_elements(self.verilog, self.ports) if state else []
        self._library = _load(_compile(self.verilog, self.name, self.ports, trace is not None, self.state, optimize))
        self.power_up(seed)

    def power_up(self, seed=0):
        """Make a new model with its power-up values drawn from ``seed``, and reset it for two cycles."""
        self.seed = seed
        self.close()
        library, handle = self._library, self._library.harness_new(seed, self._index["sys_clk"],
                                                                   self._index.get("sys_rst", -1))
        self._handle = handle
        self._finalizer = weakref.finalize(self, library.harness_free, handle)
        for port, (_, driven) in self.ports.items():
            if not driven:
                self.set(**{port: self._undriven.get(port, 0)})
        self._attach()
        if self.trace is not None:
            library.harness_trace(handle, str(self.trace).encode())
        self.reset()

    def close(self):
        """Free the model and finish its trace; ``power_up`` makes a new one. It happens by itself at process exit."""
        if self._handle:
            self._finalizer()
            self._handle = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    @property
    def _live(self):
        if not self._handle:
            raise ValueError(f"{self.name} was closed: power it up first")
        return self._handle

    def _attach(self):
        """Register the agents with a new model."""
        if self.memory is not None:
            self._library.harness_memory(self._live, _address(self.memory.data), self.memory.base,
                                         self.memory.data.size)
        for bus in self.buses.values():
            ports = {pin: self._index[f"{bus.name}_{pin}"] for pin in (*BUS_OUTPUTS, *BUS_INPUTS)}
            self._library.harness_add_bus(self._live, bus.name.encode(), ctypes.byref(_BusPorts(
                **ports, word_bytes=bus.word_bytes, byte_addressed=bus.byte_addressed)))
        for bus in self.buses.values():
            self._apply_bus(bus)

    def _apply_bus(self, bus):
        """Hand the settings of a BusPort to the model."""
        if not self._handle:
            return
        i = list(self.buses.values()).index(bus)
        timing = _BusTiming(bus.latency, _stall(bus.stall), int(bus.bursting), int(bus.withdraw),
                            int(bus.strict), int(bus.noise * 2**32))
        self._library.harness_bus_timing(self._live, i, ctypes.byref(timing), subseed(self.seed, bus.name))
        for number, key in enumerate(RANGE_LISTS):
            ranges = getattr(bus, key)
            array = (_Range * len(ranges))(*(_Range(first, last) for first, last in ranges))
            self._library.harness_bus_list(self._live, i, number, array, len(ranges))

    def bus_log(self, name, clear=True):
        """Return the beats of one bus since the last clear as an array of ``wishbone.BEAT_DTYPE``."""
        i = list(self.buses).index(name)
        log = np.zeros(self._library.harness_bus_count(self._live, i), BEAT_DTYPE)
        self._library.harness_bus_take(self._live, i, _address(log))
        if clear:
            self._library.harness_bus_clear(self._live, i)
        return log

    def bus_count(self, name):
        """Return the number of beats in the log of one bus."""
        return self._library.harness_bus_count(self._live, list(self.buses).index(name))

    def clear_bus_log(self, name):
        """Forget the beats of one bus; the next one is beat 0."""
        self._library.harness_bus_clear(self._live, list(self.buses).index(name))

    @property
    def cycle(self):
        """Cycles since the model was powered up and reset, or since the last ``run`` began."""
        return self._library.harness_cycle(self._live)

    def _check(self, code):
        if code:
            text = self._library.harness_error(self._live).decode()
            cycle = self._library.harness_cycle(self._live)
            raise _ERRORS[code](f"{self.name}: {text} (cycle {cycle}, seed {self.seed})")

    def set(self, **values):
        """Set input ports, by name; a negative value stands for its two's complement."""
        for name, value in values.items():
            width = len(self.ports[name][0])
            if not -(1 << (width - 1)) <= value < (1 << width):
                raise ValueError(f"{name} is {width} bits wide: {value} does not fit")
            data = (int(value) & ((1 << width) - 1)).to_bytes(max(8, (width + 31) // 32 * 4), "little")
            self._library.harness_set(self._live, self._index[name], data)

    def get(self, name):
        """Return the value of a port as an unsigned integer, or signed when its Signal is.

        Outputs that depend on an input set since the last clock edge are up to date after ``settle``.
        """
        signal = self.ports[name][0]
        data = ctypes.create_string_buffer(max(8, (len(signal) + 31) // 32 * 4))
        self._library.harness_get(self._live, self._index[name], data)
        value = int.from_bytes(data.raw, "little")
        return value - (1 << len(signal)) if signal.signed and value >> (len(signal) - 1) else value

    def settle(self):
        """Propagate inputs through the combinational logic without a clock edge."""
        self._check(self._library.harness_eval(self._live))

    def clock(self, cycles=1):
        """Run for a number of clock cycles, then settle."""
        self._check(self._library.harness_clock(self._live, cycles))

    def poke(self, cycle, name, value):
        """Return an entry of ``play``'s list: the port is set to the value, of at most 64 bits, at the cycle."""
        return (cycle, value, self._index[name], 0)

    def play(self, pokes, until, max_cycles):
        """Set ports at given cycles while the clock runs, to the end of the first cycle in which a port is not zero.

        pokes : list of ``poke(cycle, name, value)``, in order of cycles, which are counted from 0 for the first one.
        until : name of the port that ends it.  max_cycles : cycles after which it ends at the latest.

        Returns (cycles, whether ``until`` came); pokes of later cycles were not carried out.
        """
        pokes = np.array(pokes, POKE_DTYPE)
        taken, reached = ctypes.c_uint64(), ctypes.c_int()
        self._check(self._library.harness_play(self._live, _address(pokes), len(pokes), self._index[until], max_cycles,
                                               ctypes.byref(taken), ctypes.byref(reached)))
        return taken.value, bool(reached.value)

    def reset(self, cycles=2):
        """Hold ``sys_rst`` high for a number of cycles."""
        self._check(self._library.harness_reset(self._live, cycles))

    def flip(self, cycle, element, bit, word=0):
        """Invert one bit of ``state[element]`` (of its word ``word``) before ``cycle`` of a run; see ``cycle``."""
        e = self.state[element]
        if not (0 <= bit < e.width and 0 <= word < e.depth):
            raise ValueError(f"{e.name} has {e.depth} words of {e.width} bits: there is no bit {bit} of word {word}")
        self._library.harness_flip(self._live, ctypes.byref(_Flip(cycle, element, word, bit)))

    def lenient(self, on=True):
        """Let a model go on that breaks the rules of its handshakes, until it hangs; until the next ``power_up``."""
        self._library.harness_lenient(self._live, int(on))

    def run_until(self, name, max_cycles=1_000_000):
        """Run to the end of the first cycle in which port ``name`` is not zero and return the cycles it took.

        Raises HangError when that does not happen within ``max_cycles``.
        """
        run = _Run(max_cycles=max_cycles, until=self._index[name])
        self._check(self._library.harness_run(self._live, ctypes.byref(run)))
        return run.cycles


class StreamDut(SignalDut):
    """A Verilated module that is fed and drained through stream endpoints.

    Parameters
    ----------
    sinks, sources : dict of name to Endpoint; port names follow from the name (``sink_valid``,
        ``sink_payload_data``, ``sink_param_length``).
    signals : output Signals to watch, a list or a dict of name to Signal.
    inputs : input Signals that stay as ``set`` left them.

    The other parameters are those of SignalDut. Rules checked on every source in every cycle: valid, once high, stays
    high until ready, with the same payload, params, first and last; valid does not depend on ready. A sink's payload
    is noise while valid is low.
    """

    def __init__(self, module, sinks=None, sources=None, signals=(), inputs=(), **options):
        self.sinks = {name: StreamPort(name, endpoint) for name, endpoint in (sinks or {}).items()}
        self.sources = {name: StreamPort(name, endpoint) for name, endpoint in (sources or {}).items()}
        watched = named_signals(signals, "signals")
        ins, outs = named_signals(inputs, "inputs"), dict(watched)
        for port in self.sinks.values():
            ports = dict(port.signals)
            outs[f"{port.name}_ready"] = ports.pop(f"{port.name}_ready")
            ins.update(ports)
        for port in self.sources.values():
            ports = dict(port.signals)
            ins[f"{port.name}_ready"] = ports.pop(f"{port.name}_ready")
            outs.update(ports)
        self.signals = list(watched)
        super().__init__(module, ins, outs, **options)

    def _attach(self):
        super()._attach()
        for kind, ports in (("sink", self.sinks), ("source", self.sources)):
            for port in ports.values():
                fields = [_Field(self._index[name], port.dtype.fields[key][1], port.dtype[key].itemsize)
                          for key, name in port.ports.items()]
                getattr(self._library, f"harness_add_{kind}")(
                    self._live, port.name.encode(), self._index[f"{port.name}_valid"],
                    self._index[f"{port.name}_ready"], (_Field * len(fields))(*fields), len(fields),
                    port.dtype.itemsize, port.dtype.fields["last"][1])
        for name in self.signals:
            self._library.harness_add_watch(self._live, self._index[name])

    def run(self, beats, stall=None, seed=0, expect=None, after=None, reset_at=(), reset_cycles=1, fresh=True,
            max_cycles=100_000_000, hang_cycles=20_000, idle_cycles=4096, tail_cycles=64, flips=()):
        """Feed the sinks, drain the sources and return a Result.

        Parameters
        ----------
        beats : dict of sink name to beats (see StreamPort.packets); a sink not named stays silent.
        stall : dict of stream name to Stall, or to a probability.
        seed : of all stalls, of noise, and (``fresh``) of the power-up values.
        expect : dict of source name to the number of beats; the run ends ``tail_cycles`` after the last of them, and
            one beat more is an error. Without it the run ends when nothing has moved for ``idle_cycles``.
        after : dict of sink name to the sink that must have sent everything before it starts.
        reset_at : cycles at which ``sys_rst`` is pulsed for ``reset_cycles``. A packet that a sink was sending is cut;
            the sink goes on with its next packet.
        fresh : power the model up anew; False goes on from the state of the last run.
        flips : (cycle, element, bit, word) of bits to invert: see ``flip``. With flips, handshakes are not checked, and
            a run that hangs ends with what it gave so far and ``hung`` set in its Result.

        Raises HandshakeError, HangError (no transfer for ``hang_cycles`` though work is left, or ``max_cycles``
        reached) with cycle, seed and the state of all streams; ValueError for beats that do not fit.
        """
        names = {**self.sinks, **self.sources}
        for what, keys in (("beats", self.sinks), ("stall", names), ("expect", self.sources), ("after", self.sinks)):
            given = {"beats": beats, "stall": stall, "expect": expect, "after": after}[what] or {}
            for key in given:
                if key not in keys:
                    raise ValueError(f"{what}: no stream {key}; there is {', '.join(keys)}")
        if fresh:
            self.power_up(seed)
        self.seed = seed
        library, handle = self._library, self._live
        stalls = stall or {}
        accepted, keep = {}, []
        order = list(self.sinks)
        for i, (name, port) in enumerate(self.sinks.items()):
            data = (beats or {}).get(name)
            data = port.beats(0) if data is None else np.ascontiguousarray(data)
            port.check(data)
            accepted[name] = np.full(len(data), -1, np.int64)
            keep.append(data)
            follows = order.index(after[name]) if after and name in after else -1
            library.harness_load_sink(handle, i, _address(data), len(data), _address(accepted[name]), follows,
                                      _stall(stalls.get(name, 0)), subseed(seed, name))
        for i, name in enumerate(self.sources):
            library.harness_load_source(handle, i, (expect or {}).get(name, -1),
                                        _stall(stalls.get(name, 0)), subseed(seed, name))
        resets = np.array(sorted(reset_at), np.uint64)
        run = _Run(max_cycles, hang_cycles, idle_cycles, tail_cycles, reset_cycles, resets.ctypes.data, len(resets),
                   -1, 0)
        if flips:
            self.lenient()
        for flip in flips:
            self.flip(*flip)
        code = library.harness_run(handle, ctypes.byref(run))
        hung = bool(flips) and _ERRORS.get(code) is HangError
        if not hung:
            self._check(code)
        sources, events, values = self.captures(), {}, {}
        for i, name in enumerate(self.signals):
            count = library.harness_watch_count(handle, i)
            events[name], values[name] = np.zeros(count, np.int64), np.zeros(count, np.uint64)
            library.harness_watch_take(handle, i, _address(events[name]), _address(values[name]))
        log = np.zeros(library.harness_reset_count(handle), np.uint64)
        library.harness_reset_take(handle, _address(log))
        records = []
        for cycle, *counts in log.reshape(-1, 1 + len(names)).tolist():
            counts = dict(zip(names, counts, strict=True))
            records.append(ResetRecord(cycle, {k: counts[k] for k in self.sinks},
                                       {k: counts[k] for k in self.sources}))
        return Result(seed, run.cycles, sources, accepted, events, values, records, hung)

    def captures(self):
        """Return the dict of source name to Capture of the last run, also of one that ended with an error."""
        captures = {}
        for i, (name, port) in enumerate(self.sources.items()):
            count = self._library.harness_source_count(self._live, i)
            captures[name] = Capture(port, port.beats(count), np.zeros(count, np.int64))
            self._library.harness_source_take(self._live, i, _address(captures[name].beats),
                                              _address(captures[name].cycles))
        return captures


__all__ = ["Capture", "HandshakeError", "HangError", "ResetRecord", "Result", "SignalDut", "Stall", "StreamDut",
           "StreamPort", "to_verilog"]
