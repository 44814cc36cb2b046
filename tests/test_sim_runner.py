# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""sim/build.py and sim/runner.py: firmware of a few lines on an SoC without the core, limits, caches, errors."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from litenorm.sim import build, cache, cli, output, progress
from litenorm.sim.errors import BuildError, MissingTool, ProtocolError, SimulationError, WallTimeout, Watchdog
from litenorm.sim.runner import MAX_CONSOLE, Observer, SimOptions, main_ram, run_soc
from litenorm.soc.options import IMAGE_OFFSET

PROLOGUE = """\
#include <stdint.h>
#include <stdio.h>
#include <irq.h>
#include <libbase/uart.h>
#include <generated/csr.h>
#include <generated/mem.h>
static void finish(int code) { uart_sync(); simctrl_exit_write(code); for (;;) ; }
static void start(void) { irq_setmask(0); irq_setie(1); uart_init(); puts("hello"); }
"""

ECHO = PROLOGUE + """
int main(void)
{
    start();
    for (int c; (c = getchar()) != '.';)
        putchar(c);
    putchar('\\n');
    extern const volatile uint32_t _workload[];
    const volatile uint32_t *image = _workload;
    printf("@image first=%lu second=%lu\\n", (unsigned long)image[0], (unsigned long)image[1]);
    timer0_uptime_latch_write(1);
    printf("@time cycles=%lu\\n", (unsigned long)timer0_uptime_cycles_read());
    finish(7);
}
"""

HANG = PROLOGUE + "int main(void) { start(); for (;;) ; }\n"


class Recorder(Observer):
    def __init__(self):
        self.stages, self.lines = [], []

    def stage(self, text):
        self.stages.append(text)
        self.time = time.monotonic()

    def line(self, text):
        self.lines.append(text)


def firmware(folder, source):
    (folder / "main.c").write_text(source)
    return folder


def options(folder, source, **fields):
    return SimOptions(config=None, firmware=firmware(folder, source), **fields)


def test_console_image_timer_and_exit_code(tmp_path):
    observer = Recorder()
    image = np.array([123, 0xFFFFFFFF, 5], "<u4").tobytes()
    result = run_soc(options(tmp_path, ECHO, console="abc d.", image=image), observer)
    assert result.exit_code == 7
    assert observer.lines[:2] == ["hello", "abc d"]
    assert result.log.splitlines() == observer.lines
    assert result.records.one("image") == {"record": "image", "first": 123, "second": 0xFFFFFFFF}
    # The SoC's own timer counts the cycles of the simulation.
    assert 0 < result.records.one("time")["cycles"] < result.cycles < 10 * result.records.one("time")["cycles"]


@pytest.mark.parametrize("variant", ["lite", "full", "imac"])
def test_other_cpu_variants(tmp_path, variant):
    assert run_soc(options(tmp_path, ECHO, console="x.", image=bytes(8), cpu_variant=variant)).exit_code == 7


def test_longest_console_text_arrives(tmp_path):
    text = "".join(chr(ord("a") + i % 26) for i in range(MAX_CONSOLE - 1))
    assert text in run_soc(options(tmp_path, ECHO, console=text + ".", image=bytes(8))).log


def test_second_run_builds_nothing_and_an_edit_takes_less_than_3_s(tmp_path):
    run_soc(options(tmp_path, ECHO, console=".", image=bytes(8)))
    again = Recorder()
    run_soc(options(tmp_path, ECHO, console=".", image=bytes(8)), again)
    assert again.stages == ["compiling the firmware", "simulating"]

    edited = Recorder()
    started = time.monotonic()
    result = run_soc(options(tmp_path, ECHO.replace("finish(7)", "finish(8)"), console=".", image=bytes(8)), edited)
    assert result.exit_code == 8
    assert edited.stages == ["compiling the firmware", "simulating"]
    assert edited.time - started < 3


def test_watchdog_ends_a_firmware_that_hangs(tmp_path):
    with pytest.raises(Watchdog, match=r"limit of 5000[0-9]{2} cycles .*--max-cycles") as error:
        run_soc(options(tmp_path, HANG, max_cycles=500_000))
    assert error.value.log == "hello\n"


def test_wall_timeout_ends_a_firmware_that_hangs(tmp_path):
    started = time.monotonic()
    with pytest.raises(WallTimeout, match=r"longer than 1 s .*--timeout") as error:
        run_soc(options(tmp_path, HANG, timeout=1, max_cycles=0))
    assert error.value.log == "hello\n"
    # Building may come before; the simulation itself was ended.
    assert time.monotonic() - started < 300


def test_compile_error_is_one_line_and_the_next_build_works(tmp_path):
    good = options(tmp_path, ECHO, console=".", image=bytes(8))
    run_soc(good)
    with pytest.raises(BuildError, match=r"compiling the firmware failed: .*main.c:\d+:\d+: error") as error:
        run_soc(options(tmp_path, ECHO + "int broken(void) { return missing; }\n", console="."))
    assert "\n" not in str(error.value)
    firmware(tmp_path, ECHO)
    assert run_soc(good).exit_code == 7


def test_the_linker_s_reason_is_told(tmp_path, monkeypatch):
    """Firmware that does not fit: by how much, and not that `ld` failed."""
    monkeypatch.setenv("LITENORM_BUILD", str(tmp_path / "build"))
    lines = ("/usr/bin/ld: region `main_ram' overflowed by 185344 bytes", "collect2: error: ld returned 1 exit status")
    script = "import sys; print(sys.argv[1]); sys.exit(1)"
    with pytest.raises(BuildError, match="^linking failed: region `main_ram' overflowed by 185344 bytes .all of it"):
        build.run_tool("linking", [sys.executable, "-c", script, "\n".join(lines)], tmp_path)


def test_bad_crc_is_reported_with_the_log(tmp_path):
    source = PROLOGUE + """int main(void) { start();
        puts("@tensor path=cpu name=output type=s8 rows=1 cols=2\\n@hex 0 0102\\n@end crc=00000000"); finish(0); }"""
    with pytest.raises(ProtocolError, match="has CRC b6cc4292, 00000000 was sent") as error:
        run_soc(options(tmp_path, source))
    assert error.value.log.startswith("hello\n@tensor")


def trace_end(path):
    """Last time in an FST file: its first block is the header, of type 0 and length 329, then start and end time."""
    data = path.read_bytes()
    assert data[:9] == bytes([0]) + (329).to_bytes(8, "big")
    return int.from_bytes(data[17:25], "big")


def test_trace_is_an_fst_file(tmp_path):
    trace = tmp_path / "run.fst"
    result = run_soc(options(tmp_path, ECHO, console=".", image=bytes(8), trace=trace))
    # 10 units of time to a clock cycle, and some cycles after the end for the UART.
    assert 10 * result.cycles < trace_end(trace) < 10 * result.cycles + 2000
    assert [path.name for path in tmp_path.glob("*fst*")] == ["run.fst"]


def test_trace_of_a_run_that_took_too_long_is_whole(tmp_path):
    trace = tmp_path / "run.fst"
    with pytest.raises(WallTimeout):
        run_soc(options(tmp_path, HANG, timeout=2, max_cycles=0, trace=trace))
    assert trace_end(trace) > 10_000
    assert [path.name for path in tmp_path.glob("*fst*")] == ["run.fst"]


def test_trace_of_a_run_that_is_interrupted_is_whole(tmp_path):
    class Impatient(Observer):
        def line(self, text):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_soc(options(tmp_path, HANG, max_cycles=0, trace=tmp_path / "run.fst"), Impatient())
    assert trace_end(tmp_path / "run.fst") > 10_000


def test_no_trace_of_a_simulation_that_was_killed(tmp_path):
    class Killer(Observer):
        def line(self, text):
            run = next(folder for folder in build.build_dir("run").glob("tmp*") if (folder / "trace.fst").exists()
                       and (folder / "input").read_text() == "killed")
            for folder in map(Path, Path("/proc").glob("[0-9]*")):
                try:
                    if os.readlink(folder / "cwd") == f"{run}":
                        os.kill(int(folder.name), signal.SIGKILL)
                except OSError:
                    pass  # another user's process, or one that has ended

    with pytest.raises(SimulationError, match="stopped with code -9 before the firmware exited"):
        run_soc(options(tmp_path, HANG, max_cycles=0, console="killed", trace=tmp_path / "run.fst"), Killer())
    assert not list(tmp_path.glob("*fst*"))


def test_sigterm_leaves_no_run_folder(tmp_path):
    """As `timeout` and a CI server end the command. Not in this process, whose signal handler is pytest's."""
    build_folder = tmp_path / "build"
    build_folder.mkdir()
    for name in ("soc", "libraries", "verilated"):
        build.build_dir(name).mkdir(parents=True, exist_ok=True)
        (build_folder / name).symlink_to(build.build_dir(name))
    command = [sys.executable, "-m", "litenorm.sim.cli", "sim", "--workload", "selftest", "--no-accel"]
    process = subprocess.Popen(command,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "LITENORM_BUILD": str(build_folder)})
    try:
        while not list(build_folder.glob("run/tmp*/input")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.terminate()
        assert process.wait(timeout=60) == 143
        assert process.stderr.read() == "litenorm: terminated\n"
    finally:
        process.kill()
        process.communicate()
    assert not list((build_folder / "run").iterdir())


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_build_variable_is_as_none(monkeypatch, tmp_path, value):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LITENORM_BUILD", raising=False)
    if value is not None:
        monkeypatch.setenv("LITENORM_BUILD", value)
    assert cache.build_dir("run") == tmp_path / "build/run"


def test_links_to_the_build_folder_are_followed(monkeypatch, tmp_path):
    """picolibc names its headers relative to the folder of its objects, by both paths."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "libraries").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("LITENORM_BUILD", str(tmp_path))
    assert cache.build_dir("libraries") == (tmp_path / "elsewhere").resolve()


def test_no_run_folder_is_left(tmp_path):
    before = set(build.build_dir("run").glob("*"))
    result = run_soc(options(tmp_path, ECHO, console=".", image=bytes(8)))
    assert result.exit_code == 7
    mine = {path for path in build.build_dir("run").glob("*") if (path / "input").exists()} - before
    assert not any((path / "input").read_text() == "." for path in mine)


@pytest.mark.parametrize("tool", build.TOOLS)
def test_missing_tool_names_its_package(tmp_path, monkeypatch, tool):
    for other in set(build.TOOLS) - {tool}:
        (tmp_path / other).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match=f"^{tool.replace('+', '[+]')} was not found: install the Debian package"):
        build.check_tools()


def test_memory_text_puts_words_at_their_addresses():
    text = main_ram(b"\x01\x02\x03\x04\x05", b"\xff")
    assert text == f"@0\n04030201\n00000005\n@{IMAGE_OFFSET // 4:x}\n000000ff\n"
    with pytest.raises(ValueError, match="firmware has 1048577 bytes: 1048576 is the most"):
        main_ram(bytes(IMAGE_OFFSET + 1))


def test_comments_are_no_part_of_the_key():
    verilog = 'a <= "x//y"; // Date: today\n/* b\n */ c;\n'
    assert build.without_comments(verilog) == 'a <= "x//y"; \n c;\n'


BAD_OPTIONS = {
    "console": ({"console": "x" * 128}, "has 128 characters: use at most 127"),
    "ascii": ({"console": "ü"}, "use at most 127 of ASCII"),
    "timeout": ({"timeout": 0}, "timeout is 0: use a number of seconds above 0"),
    "timeout_nan": ({"timeout": float("nan")}, "timeout is nan: use a number of seconds above 0"),
    "trace_folder": ({"trace": "/"}, "^/ is a folder: name a trace file"),
    "cycles": ({"max_cycles": -1}, "max_cycles is -1: use 0"),
    "image": ({"image": bytes(15 * 2**20 + 1)}, "main_ram leaves room for 15728640"),
    "trace": ({"trace": "/nowhere/x.fst"}, "/nowhere is not a folder"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_options_raise_value_error(name):
    fields, message = BAD_OPTIONS[name]
    with pytest.raises(ValueError, match=message):
        SimOptions(**fields)


BAD_COMMANDS = {
    "lanes": (["--lanes", "3"], "lanes is 3; good: 1, 2, 4, 8, 16"),
    "length": (["--max-length", "5000"], "max_length is 5000"),
    "text": (["--text", "x"], "belong to --workload layer"),
    "empty_text": (["--text", ""], "belong to --workload layer"),
    "layer": (["--layer", "0"], "belong to --workload layer"),
    "lanes_unused": (["--no-accel", "--lanes", "5"], "lanes is 5; good: 1, 2, 4, 8, 16"),
    "json": (["--json", "/nowhere/out.json"], "/nowhere is not a folder"),
    "json_folder": (["--json", "/"], "/ is a folder: name a JSON file"),
    "json_device": (["--json", "/dev/null"], "/dev/null is not a regular file: name a JSON file"),
    "json_sealed": (["--json", "/proc/out.json"], "/proc/out.json cannot be written (No such file"),
    "trace_folder": (["--trace", "/"], "/ is a folder: name a trace file"),
    "cfu": (["--cfu", "--cpu-variant", "lite"], "--cfu is VexRiscv's variant full+cfu, --cpu-variant is lite"),
    "width": (["--workload", "layer", "--max-length", "32"], "the model width of gpt is 128; good: at most 32"),
}


@pytest.mark.parametrize("name", BAD_COMMANDS)
def test_bad_command_is_one_line_and_exit_1(capsys, name):
    arguments, message = BAD_COMMANDS[name]
    assert cli.main(["sim", "--workload", "selftest", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("litenorm: error: ") and captured.err.count("\n") == 1
    assert message in captured.err


BAD_ARGUMENTS = {
    "none": ([], "the following arguments are required: COMMAND (see litenorm --help)"),
    "variant": (["sim", "--cpu-variant", "minimal"], "argument --cpu-variant: invalid choice: 'minimal'"),
    "number": (["sim", "--lanes", "x"], "argument --lanes: invalid int value: 'x' (see litenorm sim --help)"),
    "unknown": (["sim", "--bogus"], "unrecognized arguments: --bogus"),
    "verilog": (["verilog", "--lanes", "x"], "argument --lanes: invalid int value: 'x' (see litenorm verilog --help)"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments_are_one_line_and_exit_2(capsys, name):
    arguments, message = BAD_ARGUMENTS[name]
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"litenorm: error: {message}") and captured.err.count("\n") == 1


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert re.fullmatch(r"litenorm \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_a_file_that_cannot_be_written_is_named_as_the_user_did(tmp_path):
    """Also when it shows only at the end: the folder has gone meanwhile."""
    with pytest.raises(OSError, match=r"gone/out.json cannot be written: No such file") as error:
        output.write_json(tmp_path / "gone/out.json", {})
    assert ".out.json" not in str(error.value)


def test_missing_tool_is_one_line_and_exit_1(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("LITENORM_BUILD", str(tmp_path))
    assert cli.main(["sim", "--workload", "selftest", "--no-accel"]) == 1
    captured = capsys.readouterr()
    assert captured.err == ("litenorm: error: verilator was not found: install the Debian package verilator "
                            "or put it on the PATH\n")
    assert not any(path.is_dir() and any(path.iterdir()) for path in (tmp_path / "soc").glob("*/"))


COMMANDS = ("sim", "generate", "compare", "build", "bench", "eval", "firmware", "serial", "onnx-swap", "verilog")


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids="".join)
def test_help_has_an_example_and_fits_80_columns(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "example" in printed
    assert [line for line in printed.splitlines() if len(line) > 80] == []


def test_all_commands_are_known_to_the_test_of_their_help():
    choices = cli.make_parser()._subparsers._group_actions[0].choices
    assert set(choices) == set(COMMANDS)


def test_progress_shows_its_spinner_and_time_beside_a_long_description(monkeypatch):
    """rich's own columns shrink to nothing then, and what takes minutes seems to hang."""
    file = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda stderr: Console(file=file, force_terminal=True, width=80))
    with progress.observe() as observer:
        observer.stage("a description of a hundred characters " + 12 * "word ")
        file.truncate(file.seek(0))
        observer.progress.refresh()
        shown = file.getvalue()
    assert "word" in shown and "0:00:0" in shown


def test_a_file_that_does_not_exist_is_named_without_a_number(capsys):
    assert cli.main(["bench", "--port", "/dev/null", "--no-layer", "--firmware", "/nowhere/litenorm.bin"]) == 1
    assert capsys.readouterr().err == "litenorm: error: /nowhere/litenorm.bin: No such file or directory\n"
