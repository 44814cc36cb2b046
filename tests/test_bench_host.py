# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""bench/host.py and bench/board.py against a board made of Python that misbehaves as real ones do: noise, resets,
silence, a BIOS, the firmware of another SoC, no core, wrong elements. The real firmware is in test_bench_sim.py."""

import binascii
import json
import os
import random
import threading
import time
import tty
import zlib

import numpy as np
import pytest
import serial

from litenorm.accel import LiteNormConfig
from litenorm.bench import board, host
from litenorm.nn.workload import load_workload
from litenorm.sim import cli, protocol
from litenorm.sim.errors import ProtocolError

SOC = "LiteNorm on a test board, id 12345678"
FIRMWARE = bytes(1000) + f"LiteNorm firmware for: {SOC}\0".encode() + bytes(333)
LENGTHS = (16, 64)
SILENCE = 0.4


def checked(text):
    return f"{text} check={zlib.crc32(text.encode()):08x}\r\n"


class FakeBoard:
    """A context manager; `path` is its serial port.

    core       has the core; wrong: spoils one element of every answer of the core
    noise      probability that a byte of an answer is damaged; seed of it
    reset_at   numbers of commands in whose middle the board is reset
    bios       starts in the BIOS; soc: identifier that it and its firmware tell
    silent     says nothing; refuses: the firmware says that it is for another SoC; chatters: sends without end
    layer      answer to the command `layer`
    """

    def __init__(self, core=True, wrong=False, noise=0.0, seed=1, reset_at=(), bios=False, soc=SOC, silent=False,
                 refuses=False, bad_frames=(), chatters=False, layer=""):
        self.core, self.wrong, self.noise, self.random = core, wrong, noise, random.Random(seed)
        self.reset_at, self.bios, self.soc, self.silent = set(reset_at), bios, soc, silent
        self.refuses, self.bad_frames, self.chatters, self.layer = refuses, set(bad_frames), chatters, layer
        self.commands, self.memory, self.frames = [], bytearray(1 << 16), 0

    def __enter__(self):
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)
        self.thread = threading.Thread(target=self.chatter if self.chatters else self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        os.write(self.slave, b"")       # the thread waits in read(): a byte from the other side ends it
        self.stopping = True
        os.write(self.slave, b"\n")
        self.thread.join(10)
        os.close(self.slave)
        os.close(self.master)

    stopping = False

    def say(self, text, clean=False):
        data = bytearray(text if isinstance(text, bytes) else text.replace("\r\n", "\n\r").encode())
        if not clean:
            for i in range(len(data)):
                if self.random.random() < self.noise:
                    data[i] ^= 1 << self.random.randrange(7)
        if not self.silent:
            os.write(self.master, data)

    def take(self, count):
        data = b""
        while len(data) < count and not self.stopping:
            data += os.read(self.master, count - len(data))
        return data

    def chatter(self):
        while not self.stopping:
            self.say("temperature: 41\r\n")
            time.sleep(0.05)

    def serve(self):
        line = b""
        while not self.stopping:
            byte = self.take(1)
            if byte != b"\n":
                line += byte
                continue
            text, line = line.decode(errors="replace"), b""
            if self.stopping:
                return
            if self.bios:
                self.serve_bios(text)
            elif self.refuses:
                self.say("\r\nThis firmware was built for another SoC: it is for \"a\", and this is \"b\".\r\n")
            elif text:
                self.serve_console(text)

    def serve_console(self, text):
        self.commands.append(text)
        self.say(text + "\r\n")
        answer = self.answer(*text.split())
        if len(self.commands) in self.reset_at:
            self.say(answer[: len(answer) // 2] + "\r\nLiteNorm firmware, help lists the commands\r\nlitenorm> ")
        else:
            self.say(answer + "litenorm> ")

    def answer(self, name, *words):
        if name == "info":
            core = ("@info core=1 version=0.3 clock=50000000 lanes=4 max_length=64 ops=7 inputs=3 formats=31 affine=1 "
                    "bus_bytes=4 serial=0") if self.core else "@info core=0 clock=50000000 max_length=64"
            return checked("@soc text=" + self.soc.replace(" ", "_")) + checked(core)
        if name == "selftest":
            return checked("@selftest name=a ok=1") + checked("@selftest name=b ok=1") + (
                "selftest: 2 of 2 tests passed\r\n")
        if name == "layer":
            return self.layer
        if name == "rows" and len(words) == 7:
            return self.rows(board.Case(*words[:4], *map(int, words[4:])))
        return f"{name}: unknown command; help lists the commands\r\n"

    def rows(self, case):
        output = board.expected(case, LiteNormConfig(max_length=64))
        if case.path == "float" or (self.wrong and case.path == "accel"):
            output[0, 0] ^= 1
        kind = "s16" if case.op == "layernorm" else ("u" if case.format[0] == "u" else "s") + (
            "8" if case.format in ("u8_255", "tfl_s8") else "16")
        data = output.astype({"s8": "i1", "u8": "u1", "s16": "<i2", "u16": "<u2"}[kind]).tobytes()
        text = f"@tensor path={case.path} name=rows type={kind} rows={case.rows} cols={case.n}\r\n"
        for i in range(0, len(data), 64):
            text += f"@hex {i} {data[i : i + 64].hex()}\r\n"
        return text + f"@end crc={zlib.crc32(data):08x}\r\n" + checked(
            f"@measure op={case.op} input={case.input} format={case.format} path={case.path} n={case.n} "
            f"rows={case.rows} seed={case.seed} cycles={case.n * case.rows} result=0")

    def serve_bios(self, text):
        prompt = b"\x1b[92;1mlitex\x1b[0m> "
        if text == "ident":
            self.say(f"ident\r\nIdent: {self.soc}\r\n")
        elif text == "serialboot":
            self.say(b"serialboot\r\nBooting from serial...\r\n" + host.BIOS_MAGIC)
            assert self.take(len(host.BIOS_ANSWER)) == host.BIOS_ANSWER
            self.receive()
            return
        self.say(b"\r\n" + prompt)

    def receive(self):
        while not self.stopping:
            length, *crc = self.take(3)
            body = self.take(1 + length)
            self.frames += 1
            if binascii.crc_hqx(body, 0) != crc[0] << 8 | crc[1] or self.frames in self.bad_frames:
                self.say(host.ACK_CRC_ERROR)
                continue
            address = int.from_bytes(body[1:5], "big") - host.MAIN_RAM
            self.say(host.ACK_SUCCESS)
            if body[:1] == host.CMD_JUMP:
                assert address == 0
                self.bios = False
                self.say("\r\nLiteNorm firmware, help lists the commands\r\nlitenorm> ")
                return
            self.memory[address : address + length - 4] = body[5:]


def bench(fake, **arguments):
    with fake, host.Board(fake.path, silence=SILENCE, **arguments) as connection:
        return board.run(connection, LENGTHS)


def test_every_element_and_sum_of_a_good_board():
    result = bench(FakeBoard())
    assert result.ok and result.soc == SOC and result.clock == 50_000_000
    assert (result.line_errors, result.resets) == (0, 0)
    kinds = {(row["op"], row["input"], row["format"], row["path"]) for row in result.rows}
    assert len([kind for kind in kinds if kind[3] == "accel"]) == 5 + 1 + 2
    assert {row["n"] for row in result.rows} == set(LENGTHS)
    assert all(row["wrong_elements"] == 0 for row in result.rows if row["path"] != "float")
    assert all(row["wrong_elements"] == row["wrong_sums"] == 1 for row in result.rows if row["path"] == "float")


def test_one_wrong_element_is_found_in_every_case():
    result = bench(FakeBoard(wrong=True))
    assert not result.ok
    for row in result.rows:
        assert row["wrong_elements"] == (row["path"] != "cpu") and row["wrong_sums"] == (row["path"] != "cpu")


def test_noise_on_the_line_changes_no_result():
    good = bench(FakeBoard())
    noisy = bench(FakeBoard(noise=1e-4, seed=3))
    assert noisy.line_errors > 0 and noisy.ok
    assert noisy.rows == good.rows and noisy.soc == good.soc


def test_a_reset_in_mid_run_is_survived_and_counted():
    fake = FakeBoard(reset_at=(3, 9))
    result = bench(fake)
    assert result.ok and result.resets == 2
    assert result.rows == bench(FakeBoard()).rows


def test_a_board_without_the_core(capsys):
    result = bench(FakeBoard(core=False))
    assert result.ok and result.core is None
    assert {row["path"] for row in result.rows} == {"cpu", "float"}
    result.show()
    assert "this SoC has no LiteNorm core: only the C twin and float were run" in capsys.readouterr().out


def test_the_firmware_is_loaded_through_the_bios():
    fake = FakeBoard(bios=True, bad_frames=(2, 5))
    image = (host.MAIN_RAM + 0x8000, bytes(range(256)))
    result = bench(fake, firmware=FIRMWARE, image=image)
    assert result.ok
    assert fake.memory[: len(FIRMWARE)] == FIRMWARE and fake.memory[0x8000:0x8100] == image[1]


def test_firmware_of_another_soc_is_not_sent():
    fake = FakeBoard(bios=True, soc="LiteNorm on a test board, id 87654321")
    with pytest.raises(host.BoardError, match="built for another SoC: it is for .*12345678.*the board is .*87654321"):
        bench(fake, firmware=FIRMWARE)
    assert fake.frames == 0


def messages():
    yield "refuses", dict(refuses=True), {}, "This firmware was built for another SoC"
    yield "bios", dict(bios=True), {}, "the board is in its BIOS: load the firmware with litex_term"
    yield "silent", dict(silent=True), {}, "is silent: is the board on, is the firmware loaded"
    yield "other file", dict(bios=True), dict(firmware=b"no firmware"), "the file is not LiteNorm's firmware"
    yield "chatters", dict(chatters=True), {}, "sends without end: is LiteNorm's firmware on the board"
    yield "always noisy", dict(noise=0.02), {}, "is 115200 its baud rate|no good answer to"
    yield "always resets", dict(reset_at=range(2, 99)), {}, "attempts, the last time: the board was reset"


@pytest.mark.parametrize("case", list(messages()), ids=lambda case: case[0])
def test_what_cannot_be_helped_is_one_line(case):
    _, how, arguments, message = case
    with pytest.raises(host.BoardError, match=message) as error:
        bench(FakeBoard(**how), **arguments)
    assert "\n" not in str(error.value)


def test_a_layer_that_ends_with_an_error_is_a_failure(capsys):
    """One that cannot be run, for want of an image, is none."""
    workload = load_workload(None, 0, "And", None)
    for code, text, ok in ((-100, "there is no workload image in memory", True),
                           (-7, "the bus answered with an error", False)):
        fake = FakeBoard(core=False, layer=checked(f"@error code={code} text={text.replace(' ', '_')}"))
        with fake, host.Board(fake.path, silence=SILENCE) as connection:
            result = board.run(connection, (16,), workload)
        assert result.ok is ok and result.layer is None and result.json()["ok"] is ok
        result.show()
        assert f"{text}\n" in capsys.readouterr().out


def test_lengths_that_no_row_can_have_are_refused():
    with pytest.raises(host.BoardError, match="no row of 65, 128 elements can be run: the longest of this SoC has 64"):
        fake = FakeBoard()
        with fake, host.Board(fake.path, silence=SILENCE) as connection:
            board.run(connection, (65, 128))


def test_a_record_that_has_lost_its_check_is_damaged():
    line = checked("@measure op=softmax cycles=12").replace("\r\n", "\n")
    assert protocol.parse(line, host.CHECKED).one("measure")["cycles"] == 12
    for damaged in (line[: line.index(" check")], line.replace("check", "chegk")):
        with pytest.raises(ProtocolError, match="@measure without a check"):
            protocol.parse(damaged, host.CHECKED)


def test_files_that_are_no_whole_run_are_not_compared(tmp_path, capsys):
    row = dict(op="softmax", input="s8", format="u8_255", n=16, path="accel", cycles=160, rows=8)
    good = dict(kind="litenorm bench", ok=True, soc="a", clock=50_000_000, rows=[row])
    files = [tmp_path / "good.json", tmp_path / "bad.json"]
    files[0].write_text(json.dumps(good))
    for change in (dict(rows=None), dict(rows=[{}]), dict(rows=[5]), dict(clock=0), dict(clock="fast"),
                   dict(rows=[row | dict(path="gpu")]), dict(rows=[row | dict(cycles=0)])):
        files[1].write_text(json.dumps(good | change))
        assert cli.main(["bench", "--compare", *map(str, files)]) == 1, change
        error = capsys.readouterr().err
        assert "bad.json lacks figures of a run" in error and error.count("\n") == 1
    del good["soc"]
    files[1].write_text(json.dumps(good))
    assert cli.main(["bench", "--compare", *map(str, files)]) == 1
    assert "lacks figures" in capsys.readouterr().err


def test_a_port_that_disappears_is_one_line():
    with FakeBoard() as fake, host.Board(fake.path, silence=SILENCE) as connection:
        master, slave = os.openpty()
        tty.setraw(slave)
        connection.line.close()
        connection.line = serial.Serial(os.ttyname(slave), timeout=0.05)
        connection.name = "unplugged"
        os.close(slave)
        os.close(master)
        with pytest.raises(host.BoardError, match="^port unplugged (has gone|cannot be written): [^\n]*$"):
            connection.ask("info", lambda text, records: None)
        with pytest.raises(host.BoardError, match="^port unplugged has gone: [^\n]*$"):
            connection._until(b"x")


def test_random_rows_are_those_of_the_firmware():
    """The first numbers of xorshift32 from 1, as firmware/rows.c prints them."""
    assert board.random_rows(1, (1, 4), "s8").tolist() == [[0, 4, -99, 18]]
    rows = board.random_rows(7, (2, 500), "s16")
    assert rows.min() >= -(2**13) and rows.max() < 2**13 and len(np.unique(rows)) > 900


def test_command_line_json_plot_and_comparison(tmp_path, capsys):
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    plot = tmp_path / "rows.svg"
    for file in files:
        with FakeBoard() as fake:
            assert cli.main(["bench", "--port", fake.path, "--silence", f"{SILENCE}", "--no-layer",
                             "--lengths", "16,64", "--json", str(file), "--plot", str(plot)]) == 0
    assert "bench: ok" in capsys.readouterr().out
    data = json.loads(files[0].read_text())
    assert data["kind"] == "litenorm bench" and data["ok"] and data["soc"] == SOC and data["core"]["lanes"] == 4
    assert plot.read_text().startswith("<?xml")
    data["clock"] *= 2
    data["rows"].pop()
    files[1].write_text(json.dumps(data))
    assert cli.main(["bench", "--compare", *map(str, files)]) == 0
    shown = capsys.readouterr().out
    assert "1 only in A, 0 only in B" in shown and "0.500" in shown


@pytest.mark.parametrize("columns", (80, 120))
def test_no_figure_of_a_comparison_is_cut(tmp_path, capsys, monkeypatch, columns):
    """With the slowest rows that there are: softmax of 1024 elements in float."""
    monkeypatch.setenv("COLUMNS", f"{columns}")
    row = {"op": "layernorm", "input": "s16", "format": "u16_65535", "n": 1024, "path": "cpu", "rows": 1,
           "cycles": 9_876_543}
    data = {"kind": "litenorm bench", "soc": "a board", "ok": True, "clock": 50_000_000, "rows": [row]}
    file = tmp_path / "a.json"
    file.write_text(json.dumps(data))
    assert cli.main(["bench", "--compare", f"{file}", f"{file}"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= columns
    line = next(line for line in shown.splitlines() if "layernorm" in line)
    assert line.count("9,876,543") == 2 and "C twin" in line and "1.000" in line
    assert line.count("197,530.86") == (2 if columns == 120 else 0)


def bad_commands():
    yield ["--port", "/dev/nowhere"], "port /dev/nowhere cannot be opened: No such file or directory"
    yield ["--port", "/dev/null"], "port /dev/null cannot be opened: it is not a serial port"
    yield ["--port", "/dev/null", "--lanes", "8"], "--lanes belongs to --sim"
    yield ["--port", "/dev/null", "--no-accel"], "--no-accel belongs to --sim"
    yield ["--port", "/dev/null", "--text", "x"], "--text is the layer's input: leave out --no-layer"
    yield ["--sim", "--baud", "9600"], "--baud belongs to --port"
    yield ["--port", "/dev/null", "--lengths", "16,64", "--plot", "x.pdf"], "x.pdf is neither .svg nor .png"
    yield ["--port", "/dev/null", "--json", "/nowhere/x.json"], "/nowhere is not a folder"
    yield ["--port", "/dev/null", "--silence", "0"], "--silence is 0; good: a number of seconds above 0"
    yield ["--port", "/dev/null", "--baud", "0"], "--baud is 0; good"
    yield ["--sim", "--firmware", "x.bin"], "--firmware belongs to --port"
    yield ["--port", "/dev/null", "--firmware", __file__], "is not LiteNorm's firmware"
    yield ["--compare", __file__, __file__], "is not JSON"
    yield ["--compare", "no.json", "no.json"], "no.json cannot be read (No such file or directory): name a file that"
    yield ["--compare", "a", "b", "--json", "c"], "--json and --plot belong to --port and --sim"


@pytest.mark.parametrize("case", list(bad_commands()), ids=lambda case: " ".join(case[0][:3])[:40])
def test_bad_command_is_one_line_and_exit_1(case, capsys):
    arguments, message = case
    assert cli.main(["bench", *arguments, *([] if "--compare" in arguments else ["--no-layer"])]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
