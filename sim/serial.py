# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The serial port of the simulated SoC, as a pseudo-terminal: programs that talk to a board talk to the simulation.

    with SimulatedPort(SimOptions(), bios=True) as port:
        subprocess.run(["litex_term", port.path, f"--kernel={port.firmware}"])

The simulation is switched on when the port is opened for the first time, so that the BIOS's banner is not missed.
"""

import os
import re
import select
import shutil
import subprocess
import tempfile
import threading
import tty
from pathlib import Path

from litenorm.accel import LiteNormConfig
from litenorm.sim import build
from litenorm.sim.cache import build_dir
from litenorm.sim.errors import SimulationError
from litenorm.sim.runner import Observer, write_memories

_IMAGE_ID = re.compile(rb"LiteNorm firmware for: ([ -~]*)\0")
# Clock cycles from byte to byte that comes in: less than the 8681 of 115200 baud at 100 MHz, so that an upload takes
# seconds, and enough for the BIOS, which loses what no longer fits in its buffer of 128.
BYTE_CYCLES = 448
_END = 10.0   # seconds in which a simulation that is ended closes


def image_id(firmware):
    """The identifier of the SoC that a firmware binary (bytes) was compiled for; None when it has none."""
    found = _IMAGE_ID.search(firmware)
    return found and found.group(1).decode()


def build_parts(options, bios, observer):
    """(folder of the SoC, firmware's binary, simulation program) of `options`, built where they are not there yet."""
    soc = build.build_soc(options.config, options.cpu_variant, options.main_ram_size, observer.stage, bios)
    firmware = build.build_firmware(soc, options.firmware or build.folder_of("litenorm.firmware"),
                                    options.config or LiteNormConfig(), observer.stage)
    return soc, firmware, build.build_simulation(soc, False, observer.stage)


class SimulatedPort:
    """A context manager: inside of it `path` is the serial port of a simulated SoC.

    options   SimOptions; console, trace and timeout are not used
    bios      the SoC has LiteX's BIOS, and main_ram is empty; else it starts in the firmware
    observer  is told of build steps

    `firmware` is the binary that belongs to this SoC, `identifier` the text that its gateware has, and `exit_code` what
    the firmware left with, None while it runs. Raises what `run_soc` raises while it builds.
    """

    def __init__(self, options, bios=False, observer=None):
        self.options = options
        self.bios = bios
        self.soc, self.firmware, self.program = build_parts(options, bios, observer or Observer())
        self.identifier = identifier(self.soc)
        self.exit_code = None
        self.process = self.folder = self.thread = None
        self.failure = None     # OSError with which the simulation could not be started

    def __enter__(self):
        runs = build_dir("run")
        runs.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(dir=runs))
        empty = self.folder / "empty"
        empty.write_bytes(bytes(4))
        write_memories(self.folder, self.soc, empty if self.bios else self.firmware, self.options.image)
        self.master, slave = os.openpty()
        self.path = os.ttyname(slave)
        os.close(slave)
        self.slave = None
        self.leaving = threading.Event()
        self.thread = threading.Thread(target=self._switch_on_when_opened, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.leaving.set()
        self.thread.join()
        self._stop()
        for descriptor in (self.master, self.slave):
            if descriptor is not None:
                os.close(descriptor)
        shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self):
        """Switch the SoC off and on: its memories are as at the start. The port stays open."""
        self._stop()
        self._start()

    def wait(self, timeout=None):
        """Wait until the firmware leaves or `timeout` seconds have passed; returns its exit code, None while it runs.

        Raises SimulationError when the simulation ends in another way: the limit on cycles, or a crash.
        """
        self.thread.join(timeout)
        if self.failure is not None:
            raise SimulationError(f"the simulation cannot be started: {self.failure}")
        if self.process is None:
            return None
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        status = (self.folder / "status").read_text().split("\n")
        end = next((line.split() for line in status if line.startswith("end ")), None)
        if end is None or end[1] != "exit":
            raise SimulationError("the simulation ended before the firmware exited: "
                                  + ("it reached its limit of cycles" if end else "it crashed"))
        self.exit_code = int(end[2])
        return self.exit_code

    def _switch_on_when_opened(self):
        """While nobody has the other side open, poll() says so; from then on this process has it open as well."""
        poll = select.poll()
        poll.register(self.master, 0)
        while not self.leaving.wait(0.02):
            if not poll.poll(0):
                try:
                    self.slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
                    tty.setraw(self.slave)
                    self._start()
                except OSError as error:
                    self.failure = error
                return

    def _start(self):
        command = [self.program, "--limit", f"{self.options.max_cycles}", "--port", f"{self.master}",
                   "--byte-cycles", f"{BYTE_CYCLES}"]
        with open(self.folder / "status", "w") as status:
            self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stderr=status,
                                            stdout=subprocess.DEVNULL, pass_fds=(self.master,))

    def _stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def identifier(soc):
    """The identifier of the SoC in a LiteX build folder, from its `soc.h`; "" when it has none."""
    header = (Path(soc) / "software/include/generated/soc.h").read_text()
    found = re.search(r'^#define CONFIG_IDENTIFIER "(.*)"$', header, re.MULTILINE)
    return found.group(1) if found else ""
