# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""sim/serial.py: the simulated SoC's UART as a pseudo-terminal, and firmware loaded over it as on a board."""

import os
import re
import selectors
import subprocess
import sys
import time
from pathlib import Path

import pytest
import serial

from litenorm.sim import serial as simulated
from litenorm.sim.errors import SimulationError
from litenorm.sim.runner import Observer, SimOptions
from litenorm.sim.serial import SimulatedPort, build_parts, identifier, image_id

LITEX_TERM = Path(sys.executable).with_name("litex_term")
TIMEOUT = 300  # seconds: the upload takes 40 million cycles
KEPT = 20000   # characters


class Terminal:
    """The stock litex_term in a process of its own, with a pseudo-terminal as its keyboard."""

    def __init__(self, port, *arguments):
        self.keyboard, keys = os.openpty()
        self.process = subprocess.Popen([LITEX_TERM, port, *arguments], stdin=keys, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        os.close(keys)
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        os.close(self.keyboard)

    def expect(self, pattern, timeout=TIMEOUT):
        """Read until a line matches; the match is returned, and what came before it is forgotten."""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not (found := re.search(pattern, self.text, re.MULTILINE)):
                assert selector.select(max(0, deadline - time.monotonic())), f"no {pattern!r} in: {self.text}"
                chunk = os.read(self.process.stdout.fileno(), 4096)
                assert chunk, f"litex_term ended: {self.text}"
                self.text += chunk.decode(errors="replace").replace("\r", "\n")
                # While it waits for an answer litex_term writes its progress over and over: megabytes.
                self.text = self.text[-KEPT:]
        self.text = self.text[found.end():]
        return found

    def type(self, text):
        os.write(self.keyboard, text.encode())


def test_litex_term_loads_the_firmware_and_boots_it():
    """BIOS, upload by its serial protocol, firmware, its console: what a person with a board does."""
    with SimulatedPort(SimOptions(), bios=True) as port:
        with Terminal(port.path, f"--kernel={port.firmware}", "--kernel-adr=0x40000000") as terminal:
            terminal.expect("BIOS CRC passed")
            terminal.expect("Received firmware download request")
            terminal.expect(r"Upload complete")
            terminal.expect("Executing booted program at 0x40000000")
            terminal.expect("LiteNorm firmware, help lists the commands")
            terminal.type("info\r")
            terminal.expect(f"^{re.escape(port.identifier)}$")
            terminal.expect("^@info core=1 ")
            terminal.type("rows softmax s8 u8_255 accel 16 2 1\r")
            terminal.expect("^@measure op=softmax .* result=0 check=")
            terminal.type("exit\r")
            assert port.wait(TIMEOUT) == 0


def test_firmware_of_another_soc_says_so_in_one_line():
    """Loaded with an answer to each frame. The registers of the core are missing: without the check the first access
    would end in a timeout of the bus."""
    with SimulatedPort(SimOptions(config=None), bios=True) as port:
        other_soc, other, _ = build_parts(SimOptions(), False, Observer())
        assert image_id(other.read_bytes()) == identifier(other_soc) != port.identifier
        with Terminal(port.path, f"--kernel={other}", "--kernel-adr=0x40000000", "--safe") as terminal:
            terminal.expect("Upload complete")
            line = terminal.expect("^This firmware was built for another SoC: (.*)\n").group(1)
            assert identifier(other_soc) in line and port.identifier in line
            terminal.type("\r")  # it says so to whoever comes later as well
            terminal.expect("^This firmware was built for another SoC: ")


def test_port_of_a_soc_that_starts_in_the_firmware():
    with SimulatedPort(SimOptions()) as port:
        assert port.wait(0.1) is None and port.process is None  # off until the port is opened
        with serial.Serial(port.path, timeout=TIMEOUT) as line:
            line.read_until(b"litenorm> ")
            port.restart()
            line.read_until(b"litenorm> ")
            line.write(b"exit 3\n")
            assert port.wait(TIMEOUT) == 3
        folder = port.folder
        assert folder.exists()
    assert not folder.exists()


def test_a_simulation_that_does_not_start_is_told(tmp_path, monkeypatch):
    header = tmp_path / "software/include/generated/soc.h"
    header.parent.mkdir(parents=True)
    header.write_text('#define CONFIG_IDENTIFIER "a SoC"\n')
    monkeypatch.setenv("LITENORM_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(simulated, "build_parts", lambda *_: (tmp_path, header, tmp_path / "nowhere"))
    monkeypatch.setattr(simulated, "write_memories", lambda *_: None)
    with SimulatedPort(SimOptions()) as port, serial.Serial(port.path):
        with pytest.raises(SimulationError, match="the simulation cannot be started: .*nowhere"):
            port.wait(TIMEOUT)


def test_image_without_an_identification():
    assert image_id(b"LiteNorm firmware for: \xff") is None
