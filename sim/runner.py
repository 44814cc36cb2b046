# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Runs firmware on the simulated SoC in Verilator, headless, and collects what it says on the UART.

    result = run_soc(SimOptions(console="selftest\\nexit\\n"))
    assert result.exit_code == 0

A run ends by itself: with the firmware's exit code, by the watchdog on clock cycles, or after `timeout` seconds.
"""

import os
import selectors
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from litenorm.accel import LiteNormConfig
from litenorm.sim import build, protocol
from litenorm.sim.cache import build_dir
from litenorm.sim.errors import SimulationError, WallTimeout, Watchdog
from litenorm.sim.output import check_output, replaced
from litenorm.soc.options import IMAGE_OFFSET, MAIN_RAM_SIZE

MAX_CONSOLE = 127             # bytes: the firmware's receive buffer, all of the text may arrive before it reads any
MAX_CYCLES = 4_000_000_000    # about half an hour of simulation
TIMEOUT = 1800.0              # seconds
GRACE = 60.0                  # seconds in which a simulation that is ended may write the rest of its trace


@dataclass(frozen=True)
class SimOptions:
    """What to simulate.

    console: text fed to the UART, at most MAX_CONSOLE bytes of ASCII; without "exit\\n" at its end the run goes on to
        its limits.
    config: configuration of the core, None for a SoC without it.
    cpu_variant: variant of VexRiscv: lite, standard, full, imac or full+cfu.
    main_ram_size: bytes, a power of two; holds firmware, image, and the firmware's buffers.
    image: workload image, loaded IMAGE_OFFSET bytes after the start of main_ram.
    firmware: folder with C files that have `int main(void)`; None is the project's own firmware.
    trace: FST file that is written, None for no trace (tracing is about ten times slower). A run that is ended by a
        limit, by Ctrl-C or by SIGTERM leaves the trace up to there.
    timeout: seconds that the simulation may take (building not counted).
    max_cycles: clock cycles after which the watchdog ends the simulation, 0 for no limit.
    """

    console: str = "selftest\nexit\n"
    config: LiteNormConfig | None = field(default_factory=LiteNormConfig)
    cpu_variant: str = "standard"
    main_ram_size: int = MAIN_RAM_SIZE
    image: bytes | None = None
    firmware: Path | None = None
    trace: Path | None = None
    timeout: float = TIMEOUT
    max_cycles: int = MAX_CYCLES

    def __post_init__(self):
        if not self.console.isascii() or len(self.console) > MAX_CONSOLE:
            raise ValueError(f"console text has {len(self.console)} characters: use at most {MAX_CONSOLE} of ASCII")
        if not self.timeout > 0:  # NaN is refused as well
            raise ValueError(f"timeout is {self.timeout}: use a number of seconds above 0")
        if not 0 <= self.max_cycles < 2**64:
            raise ValueError(f"max_cycles is {self.max_cycles}: use 0 (no limit) to 2^64 - 1")
        if self.image is not None and IMAGE_OFFSET + len(self.image) > self.main_ram_size:
            raise ValueError(f"the image has {len(self.image)} bytes, main_ram leaves room for "
                             f"{self.main_ram_size - IMAGE_OFFSET}: use a larger main_ram_size")
        if self.trace is not None:
            check_output(self.trace, "a trace file")


@dataclass(frozen=True)
class SimResult:
    """What a run gave: the UART's records and text, the firmware's exit code, clock cycles, seconds of simulation."""

    records: protocol.Records
    exit_code: int
    cycles: int
    seconds: float
    log: str


class Observer:
    """Is told how a run goes on; this one ignores it."""

    def stage(self, text):
        """A build step begins."""

    def cycles(self, count):
        """The simulation has reached this many clock cycles."""

    def line(self, text):
        """The firmware has sent a line (without its end)."""

    def chunk(self, data):
        """The firmware has sent these bytes, which need not end with a line; line() is told of the lines as well."""


def run_soc(options, observer=None):
    """Build what is missing, run the simulation to its end and parse the records.

    Returns SimResult, with whatever exit code the firmware gave. Raises MissingTool, BuildError, Watchdog, WallTimeout,
    ProtocolError or SimulationError, each with a one-line message, and ValueError for options that cannot be built.
    """
    observer = observer or Observer()
    soc = build.build_soc(options.config, options.cpu_variant, options.main_ram_size, observer.stage)
    firmware = build.build_firmware(soc, options.firmware or build.folder_of("litenorm.firmware"),
                                    options.config or LiteNormConfig(), observer.stage)
    program = build.build_simulation(soc, options.trace is not None, observer.stage)
    observer.stage("simulating")
    runs = build_dir("run")
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs) as folder:
        folder = Path(folder)
        write_memories(folder, soc, firmware, options.image)
        (folder / "input").write_text(options.console)
        command = [program, "--limit", f"{options.max_cycles}", "--input", "input"]
        if options.trace is not None:
            command += ["--trace", "trace.fst"]
        started = time.monotonic()
        process = None
        try:
            with _running(command, folder) as process:
                log, end = _follow(process, options.timeout, observer)
        finally:
            # A run that was ended early has its trace, too. A program that crashed or was killed has not closed it.
            trace = folder / "trace.fst"
            if process is not None and process.returncode == 0 and trace.exists():
                with replaced(options.trace) as temporary:
                    shutil.move(trace, temporary)  # perhaps to another file system
        seconds = time.monotonic() - started
    kind, code, cycles = end
    if kind == "watchdog":
        raise Watchdog(f"the simulation reached its limit of {cycles} cycles before the firmware exited "
                       "(--max-cycles sets the limit)", log)
    return SimResult(protocol.parse(log), code, cycles, seconds, log)


def write_memories(folder, soc, firmware, image=None):
    """Put into `folder` what the memories of the SoC in `soc` hold at start: the binary `firmware`, and `image`."""
    for file in (soc / "gateware").glob("*.init"):
        (folder / file.name).symlink_to(file)
    (folder / "sim_main_ram.init").unlink()
    (folder / "sim_main_ram.init").write_text(main_ram(firmware.read_bytes(), image))


def main_ram(firmware, image=None):
    """Text of the memory's init file: firmware at the start, image at IMAGE_OFFSET, in little-endian 32-bit words."""
    parts = [(0, firmware)] + ([(IMAGE_OFFSET, image)] if image is not None else [])
    if len(firmware) > IMAGE_OFFSET:
        raise ValueError(f"the firmware has {len(firmware)} bytes: {IMAGE_OFFSET} is the most")
    text = []
    for offset, data in parts:
        words = np.frombuffer(data + bytes(-len(data) % 4), "<u4")
        text.append(f"@{offset // 4:x}\n")
        text.append("".join(map("%08x\n".__mod__, words.tolist())))
    return "".join(text)


@contextmanager
def _running(command, folder):
    """The simulation program as a Popen. Leaving the `with` ends it: SIGTERM, and SIGKILL after GRACE seconds."""
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        try:
            process.terminate()
            process.communicate(timeout=GRACE)  # reads on, so that the program does not wait for room in a pipe
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()


def _follow(process, timeout, observer):
    """Read what the simulation program says, to its end; returns the UART's text and (kind, code, cycles) of it."""
    deadline = time.monotonic() + timeout
    uart, status = _Lines(), _Lines()
    last, end = "", None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, uart)
        selector.register(process.stderr, selectors.EVENT_READ, status)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise WallTimeout(f"the simulation took longer than {timeout:g} s (--timeout sets the limit)",
                                  uart.text())
            for key, _ in selector.select(min(left, 60)):
                chunk = os.read(key.fd, 1 << 16)
                if not chunk:
                    selector.unregister(key.fileobj)
                if key.data is uart:
                    observer.chunk(chunk)
                for line in key.data.feed(chunk):
                    if key.data is uart:
                        observer.line(line)
                        continue
                    last = line
                    word, *values = line.split()
                    if word == "cycles":
                        observer.cycles(int(values[0]))
                    elif word == "end":
                        end = (values[0], int(values[1]), int(values[2]))
    code = process.wait()
    if end is None:
        raise SimulationError(f"the simulation program stopped with code {code} before the firmware exited: {last}",
                              uart.text())
    return uart.text(), end


class _Lines:
    """Splits a stream of bytes into lines, without the carriage returns that LiteX's C library adds."""

    def __init__(self):
        self.data = bytearray()
        self.seen = 0  # bytes already given out as lines

    def feed(self, chunk):
        """The lines that are complete now; b"" is the end of the stream, which completes the last one."""
        self.data += chunk
        stop = self.data.rfind(b"\n") + 1 if chunk else len(self.data)
        lines = self.data[self.seen:stop].decode(errors="replace").replace("\r", "").split("\n")
        self.seen = max(stop, self.seen)
        # What follows the last line end is "" unless the stream ends without one.
        return lines[:-1] + ([lines[-1]] if lines[-1] else [])

    def text(self):
        return self.data.decode(errors="replace").replace("\r", "")
