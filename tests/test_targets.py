# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""soc/targets: every board's SoC is elaborated with and without the core; names, flags, settings, bad values."""

import importlib
import json
import os
import re
import subprocess
import sys
from functools import cache
from types import SimpleNamespace

import pytest

from litenorm.sim.build import environment
from litenorm.soc.targets.boards import BOARDS, board

SCRIPTS = sorted({b.script for b in BOARDS.values()})
# What fits the board's FPGA without its BIOS, so that no C is compiled here.
OPTIONS = dict(integrated_rom_size=0x6000)


def script(name):
    return importlib.import_module(f"litenorm.soc.targets.{name}")


@cache
def elaborated(name, with_core):
    """(SoC, its Verilog)"""
    module = script(name)
    soc = module.BaseSoC(config=module.CORE if with_core else None, **OPTIONS)
    soc.finalize()
    return soc, str(soc.platform.get_verilog(soc, name="top"))


def run(name, *arguments, folder):
    return subprocess.run([sys.executable, "-m", f"litenorm.soc.targets.{name}", *arguments], cwd=folder, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=environment())


def test_an_unknown_board_is_told_the_known_ones():
    with pytest.raises(ValueError, match="'nexys' is no known board; good: ulx3s-25f, ulx3s-45f, .*arty-a7-100"):
        board("nexys")


def test_each_board_names_a_script_whose_arguments_it_takes():
    assert SCRIPTS == ["arty", "colorlight_i5", "ecpix5", "tang_nano_9k", "ulx3s"]
    for b in BOARDS.values():
        options = dict(zip([flag.removeprefix("--") for flag in b.arguments[::2]], b.arguments[1::2], strict=True))
        soc = script(b.script).BaseSoC(**OPTIONS, **options)
        size = b.name.rsplit("-", 1)[-1]
        assert not size.endswith("f") or f"-{size}-" in soc.platform.device.lower()


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_core_is_there_when_it_is_asked_for(name):
    soc, verilog = elaborated(name, True)
    assert soc.constants["LITENORM_LANES"] == script(name).CORE.lanes
    assert soc.constants["LITENORM_MAX_LENGTH"] == script(name).CORE.max_length
    assert "litenorm" in soc.irq.locs and "litenorm_" in verilog
    plain, verilog = elaborated(name, False)
    assert "LITENORM_LANES" not in plain.constants and "litenorm_" not in verilog


@pytest.mark.parametrize("name", SCRIPTS)
def test_boards_with_dram_use_its_native_ports(name):
    soc, _ = elaborated(name, True)
    width = {"ulx3s": 32, "colorlight_i5": 32, "ecpix5": 128, "arty": 128}.get(name)
    if width is None:
        assert {"litenorm_reader", "litenorm_writer"} <= set(soc.bus.masters)
        assert not hasattr(soc, "sdram")
    else:
        assert soc.constants["LITENORM_BUS_BYTES"] * 8 == width
        assert not any("litenorm" in master for master in soc.bus.masters)
        assert not hasattr(soc, "l2_cache")


@pytest.mark.parametrize("with_core", (True, False))
@pytest.mark.parametrize("name", SCRIPTS)
def test_what_the_firmware_relies_on(name, with_core):
    soc, _ = elaborated(name, with_core)
    assert soc.bus.bursting and hasattr(soc.timer0, "_uptime_latch")
    assert soc.irq.enabled and "main_ram" in soc.bus.regions and "rom" in soc.bus.regions
    assert soc.constants["CONFIG_CLOCK_FREQUENCY"] == script(name).SYS_CLK_FREQ
    words = soc.identifier.mem.init
    text = bytes(word & 0xFF for word in words).rstrip(b"\0").decode()
    assert text.startswith("LiteNorm ") and (" lanes, rows to " in text or "serial, " in text or not with_core)
    assert text.endswith("without the core") is not with_core
    assert re.search(r"20\d\d-|\d\d:\d\d:", text) is None  # no date: the same sources give the same Verilog


def test_the_slow_sdram_of_the_ulx3s_goes_through_the_bus():
    soc = script("ulx3s").BaseSoC(sdram_rate="1:1", **OPTIONS)  # a native port has 16 bits
    assert "litenorm_reader" in soc.bus.masters


def test_an_l2_cache_is_not_bypassed():
    soc = script("colorlight_i5").BaseSoC(l2_size=2048, **OPTIONS)
    assert hasattr(soc, "l2_cache") and "litenorm_reader" in soc.bus.masters


@pytest.mark.parametrize("name, option, value, good", (
    ("ulx3s", "device", "LFE5U-95F", "LFE5U-12F, LFE5U-25F, LFE5U-45F, LFE5U-85F"),
    ("ulx3s", "revision", "3.0", "1.7, 2.0"),
    ("ulx3s", "sdram_module", "M1", "MT48LC16M16"),
    ("ulx3s", "sdram_rate", "1:4", "1:1, 1:2"),
    ("ecpix5", "device", "25F", "45F, 85F"),
    ("arty", "variant", "a7-200", "a7-35, a7-100"),
))
def test_what_a_board_does_not_have(name, option, value, good):
    with pytest.raises(ValueError, match=f"{option} is {value!r}; good: {good}"):
        script(name).BaseSoC(**{option: value}, **OPTIONS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_help(name, tmp_path):
    done = run(name, "--help", folder=tmp_path)
    assert done.returncode == 0
    assert f"usage: python -m litenorm.soc.targets.{name} " in done.stdout
    for flag in ("--build", "--load", "--with-litenorm", "--no-litenorm", "--lanes", "--max-length", "--sys-clk-freq"):
        assert flag in done.stdout


def test_flags_reach_the_core(tmp_path):
    arguments = ["--build", "--no-compile", "--output-dir", "out", "--soc-json", "soc.json"]
    done = run("colorlight_i5", *arguments, "--lanes", "8", "--max-length", "100", "--ops", "layernorm",
               "--sys-clk-freq", "40e6", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    soc = json.loads((tmp_path / "soc.json").read_text())
    constants = soc["constants"]
    assert (constants["litenorm_lanes"], constants["litenorm_max_length"]) == (8, 100)
    assert constants["config_clock_frequency"] == 40_000_000
    done = run("colorlight_i5", *arguments, "--no-litenorm", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "litenorm_lanes" not in json.loads((tmp_path / "soc.json").read_text())["constants"]


@pytest.mark.parametrize("flags, text", (
    (("--lanes", "3"), "lanes is 3; good: 1, 2, 4, 8, 16"),
    (("--max-length", "5000"), "max_length is 5000; good: 2 to 1024"),
    (("--ops", "gelu"), "ops is ('gelu',); good: one or more of softmax, layernorm, rmsnorm"),
))
def test_bad_values_are_one_line(flags, text, tmp_path):
    done = run("ulx3s", "--build", "--no-compile", *flags, folder=tmp_path)
    errors = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(errors) == 1 and text in errors[0]
    assert "Traceback" not in done.stdout


def test_a_bios_that_does_not_compile_is_one_line(capsys):
    def make_soc(config):
        raise subprocess.CalledProcessError(2, ["make"])

    assert script("ulx3s").common.run(None, SimpleNamespace(with_litenorm=False), make_soc, "ulx3s") == 1
    assert capsys.readouterr().err == "error: Command '['make']' returned non-zero exit status 2.\n"


def test_arty_build_without_vivado_says_so(tmp_path):
    path = os.pathsep.join(p for p in environment()["PATH"].split(os.pathsep) if not os.path.exists(f"{p}/vivado"))
    done = subprocess.run([sys.executable, "-m", "litenorm.soc.targets.arty", "--build", "--no-compile-software",
                           "--output-dir", "out"], cwd=tmp_path, text=True, env={**environment(), "PATH": path},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 1
    assert "error: Unable to find or source Vivado" in done.stdout
