# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The host of `litenorm bench`: talks to the firmware's console over a serial line.

A line may be noisy and a board may be reset. What carries a result is checked: records and tensors by their CRC32,
commands by their echo in the record. A command whose answer is damaged, or that a reset cut off, is given again,
ATTEMPTS times at most; `Board.line_errors` and `Board.resets` count how often that was needed.
"""

import binascii
import errno
import math
import os
import re
import time
from pathlib import Path

import serial

from litenorm.sim import protocol
from litenorm.sim.errors import ProtocolError, SimulationError
from litenorm.sim.serial import image_id

ATTEMPTS = 5
# Seconds that a board may send without a pause, in times of `silence`: while it is connected, and in an answer.
CONNECTING, ANSWERING = 6, 60
# Records that carry results: one without a check has lost it on the line.
CHECKED = ("soc", "info", "selftest", "measure", "refused", "stage", "cycles", "rows", "generate", "logits", "error")
MAIN_RAM = 0x4000_0000  # where the firmware is linked to
PROMPT = b"\rlitenorm> "  # a line ends by LF, CR
GREETING = b"LiteNorm firmware, help lists"
BIOS_PROMPT = b"litex\x1b[0m> "
BIOS_MAGIC = b"sL5DdSMmkekro\n"     # the BIOS asks for a program
BIOS_ANSWER = b"z6IHG7cYDID6o\n"
REFUSAL = re.compile(rb"This firmware was built for another SoC: [^\r\n]*[\r\n]")
# Of LiteX's serial boot: a frame has up to 255 bytes behind its header; what the UART's driver buffers are 128.
FRAME_BYTES = 116
CMD_LOAD, CMD_JUMP = b"\x01", b"\x02"
ACK_SUCCESS, ACK_CRC_ERROR = b"K", b"C"
ABORT_BOOT = b"Q"
NO_TERMINAL = os.strerror(errno.ENOTTY)


class BoardError(SimulationError):
    """The board does not answer, or not as it should."""


class _Damaged(Exception):
    """The answer to a command came in part, or with a wrong check."""


class _Reset(Exception):
    """The board was reset: its BIOS or the firmware started again."""


class Board:
    """The console of the firmware behind a serial port; a context manager.

    port      name of the port, or a URL of pyserial's
    baud      of the line
    silence   seconds without a byte after which an answer is given up
    firmware  bytes of the firmware that is loaded when the board is in its BIOS, None: none
    image     workload image that is loaded with it, and where: (address, bytes), or None
    progress  progress(text) is told what goes on
    heard     heard(bytes) is told what the board sends, as it comes

    Entering connects. Raises BoardError, in one line, when the port does not exist, when nothing answers or the board
    sends without end, when it is in its BIOS and there is no firmware to load, and when the firmware is for another
    SoC: before it is sent, by the identifiers of both.
    """

    def __init__(self, port, baud=115200, silence=10.0, firmware=None, image=None, progress=lambda text: None,
                 heard=lambda data: None):
        self.name, self.baud, self.silence = port, baud, silence
        self.firmware, self.image, self.progress, self.heard = firmware, image, progress, heard
        self.line_errors = self.resets = 0
        self.line = None
        self._ahead = b""    # read from the line, behind what an answer ended with

    def __enter__(self):
        try:
            self.line = serial.serial_for_url(self.name, self.baud, timeout=0.05, write_timeout=self.silence)
        except (OSError, ValueError) as error:
            number = getattr(error, "errno", None)
            reason = os.strerror(number) if number else str(error)
            if NO_TERMINAL in reason:  # of pyserial, which wraps the error of the system in its own words
                reason = "it is not a serial port"
            raise BoardError(f"port {self.name} cannot be opened: {reason}") from None
        try:
            self.connect()
        except BaseException:
            self.line.close()
            raise
        return self

    def __exit__(self, *_):
        self.line.close()

    # Bytes ----------------------------------------------------------------------------------------------------------

    def _read(self):
        try:
            data = self.line.read(max(1, self.line.in_waiting))
        except OSError as error:
            raise BoardError(f"port {self.name} has gone: {error}") from None
        self.heard(data)
        return data

    def _write(self, data):
        try:
            self.line.write(data)
        except OSError as error:
            raise BoardError(f"port {self.name} cannot be written: {error}") from None

    def _until(self, *ends, silence=None, limit=math.inf):
        """Bytes up to the end of one of `ends`, that which comes first, or to a silence: (bytes, end or None).

        BoardError when neither comes within `limit` times self.silence.
        """
        silence = self.silence if silence is None else silence
        data = self._ahead
        began = heard = time.monotonic()
        while True:
            found = [(data.index(end) + len(end), end) for end in ends if end in data]
            if found:
                length, end = min(found)
                self._ahead = data[length:]
                return data[:length], end
            chunk = self._read()
            if chunk:
                data += chunk
                heard = time.monotonic()
            elif time.monotonic() - heard > silence:
                self._ahead = b""
                return data, None
            if time.monotonic() - began > limit * self.silence:
                raise BoardError(f"port {self.name} sends without end: is LiteNorm's firmware on the board, and is "
                                 f"{self.baud} its baud rate?")

    # Getting to the console -----------------------------------------------------------------------------------------

    def connect(self):
        """Get to the firmware's console from wherever the board is: console, BIOS, or in the middle of a command."""
        self.progress(f"waiting for {self.name}")
        for _ in range(ATTEMPTS):
            self._write(b"\n")      # ends what may have been typed
            data, end = self._until(BIOS_MAGIC, silence=min(1.0, self.silence), limit=CONNECTING)
            if end is None:
                self._write(b"info\n")
                more, end = self._until(PROMPT, BIOS_PROMPT, BIOS_MAGIC, limit=CONNECTING)
                data += more
            refused = REFUSAL.search(data)
            if refused:
                raise BoardError(refused.group().decode(errors="replace").strip())
            if end in (BIOS_MAGIC, BIOS_PROMPT):
                if end != BIOS_PROMPT:
                    self._write(ABORT_BOOT)
                    self._until(BIOS_PROMPT)
                self.load()
                return
            if not data:
                raise BoardError(f"port {self.name} is silent: is the board on, is the firmware loaded (litex_term, or "
                                 f"--firmware), and is {self.baud} its baud rate?")
            if end is not None and b"@info " in data:
                self._until(silence=0.3, limit=CONNECTING)
                return
        raise BoardError(f"what port {self.name} sends is not LiteNorm's firmware: is {self.baud} its baud rate?")

    def load(self):
        """Send the firmware, and the image, to the BIOS, whose prompt is there, and start it."""
        if self.firmware is None:
            raise BoardError("the board is in its BIOS: load the firmware with litex_term, or give it by --firmware")
        self._check_identifier()
        self._write(b"serialboot\n")
        if self._until(BIOS_MAGIC)[1] is None:
            raise BoardError("the BIOS does not ask for a program after `serialboot`")
        self._write(BIOS_ANSWER)
        parts = [(MAIN_RAM, self.firmware)] + ([self.image] if self.image else [])
        total, done = sum(len(data) for _, data in parts), 0
        for address, data in parts:
            for offset in range(0, len(data), FRAME_BYTES):
                part = data[offset : offset + FRAME_BYTES]
                self._frame(CMD_LOAD, (address + offset).to_bytes(4, "big") + part)
                done += len(part)
                self.progress(f"loading the firmware, {100 * done // total} %")
        self._frame(CMD_JUMP, MAIN_RAM.to_bytes(4, "big"))
        data, end = self._until(PROMPT, b"another SoC: ")
        if end == PROMPT:
            return
        data += self._until(b"\n")[0]
        refused = REFUSAL.search(data)
        raise BoardError(refused.group().decode(errors="replace").strip() if refused else
                         "the firmware was loaded and does not answer: is it built for this board?")

    def _check_identifier(self):
        """BoardError when the firmware was compiled for another SoC than the one that the BIOS tells of."""
        ours = image_id(self.firmware)
        if ours is None:
            raise BoardError("the file is not LiteNorm's firmware: it has no identification")
        for _ in range(ATTEMPTS):
            self._write(b"ident\n")
            data, _ = self._until(BIOS_PROMPT)
            found = re.search(rb"Ident: ([ -~]*)", data)
            if found and found.group(1).decode() == ours:
                return
        theirs = found.group(1).decode().strip() if found else "unknown"
        raise BoardError(f"the firmware was built for another SoC: it is for \"{ours}\", and the board is \"{theirs}\"")

    def _frame(self, command, payload):
        body = command + payload
        for _ in range(ATTEMPTS):
            self._write(bytes([len(payload)]) + binascii.crc_hqx(body, 0).to_bytes(2, "big") + body)
            _, end = self._until(ACK_SUCCESS, ACK_CRC_ERROR)
            if end == ACK_SUCCESS:
                return
            self.line_errors += 1
        raise BoardError("the BIOS does not take the firmware: the line damages what is sent")

    # Commands -------------------------------------------------------------------------------------------------------

    def ask(self, command, understand, checked=CHECKED, limit=ANSWERING):
        """understand(text of the answer, Records), after a command whose answer came whole.

        checked  names of records that have to carry a check
        limit    times of `silence` after which an answer that goes on is given up

        `understand` raises ValueError, LookupError, TypeError or ProtocolError for an answer that is not one: the
        command is then given again. BoardError after ATTEMPTS attempts.
        """
        reason = "nothing"
        for _ in range(ATTEMPTS):
            try:
                text = self._answer(command, limit)
                return understand(text, protocol.parse(text, checked))
            except (_Damaged, ProtocolError, ValueError, LookupError, TypeError) as error:
                self.line_errors += 1
                reason = str(error)
                self.connect()
            except _Reset:
                self.resets += 1
                reason = "the board was reset"
                self.progress("the board was reset: starting again")
                self.connect()
        raise BoardError(f"no good answer to `{command}` in {ATTEMPTS} attempts, the last time: {reason}")

    def _answer(self, command, limit):
        self._write(command.encode() + b"\n")
        data, end = self._until(GREETING, BIOS_MAGIC, BIOS_PROMPT, PROMPT, limit=limit)
        if end in (GREETING, BIOS_MAGIC, BIOS_PROMPT):
            raise _Reset
        if end is None:
            if not data:
                raise _Damaged(f"silence for {self.silence:g} s")
            raise _Damaged("the answer has no end")
        return data.decode(errors="replace").replace("\r", "")


def read_firmware(path):
    """Bytes of a firmware binary; ValueError when it is not LiteNorm's."""
    data = Path(path).read_bytes()
    if image_id(data) is None:
        raise ValueError(f"{path} is not LiteNorm's firmware: name the .bin that `litenorm firmware` writes")
    return data
