# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""soc/targets/sim.py: what it hands to LiteX's own simulation. Compiling that takes a minute and is not done here."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from litenorm.sim.build import environment


def target(folder, *arguments):
    return subprocess.run([sys.executable, "-m", "litenorm.soc.targets.sim", *arguments], cwd=folder, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, env=environment())


def test_gateware_console_and_memory(tmp_path):
    """The firmware is in main_ram, the BIOS is told to boot it, and it is the firmware of the SoC without it."""
    folder = tmp_path / "build/sim"
    identifiers = []
    image = np.arange(1, 100, dtype="<u4")
    (tmp_path / "litenorm.bin").write_bytes(image.tobytes())
    for arguments in ([], ["--cfu"], ["--ram-init=litenorm.bin"]):
        done = target(tmp_path, "--no-compile", "--lanes=8", *arguments)
        assert done.returncode == 0, done.stderr
        header = (folder / "software/include/generated/soc.h").read_text()
        assert "#define LITENORM_LANES 8" in header
        assert ("#define ROM_BOOT_ADDRESS" in header) == ("--ram-init=litenorm.bin" in arguments)
        assert ("#define CFU_INT8 1" in header) == ("--cfu" in arguments)
        assert ("#define CONFIG_CPU_VARIANT_FULL" in header) == ("--cfu" in arguments)
        identifiers.append(re.search(r'CONFIG_IDENTIFIER "(.*)"', header).group(1))
    assert identifiers[0] == identifiers[2] != identifiers[1]
    words = (folder / "gateware/sim_main_ram.init").read_text().split()
    assert [int(word, 16) for word in words[: len(image)]] == image.tolist()
    modules = json.loads((folder / "gateware/sim_config.js").read_text())
    assert [module["module"] for module in modules if "module" in module] == ["clocker", "serial2console"]


@pytest.mark.parametrize("arguments, message", [
    (["--ram-init=nothing.bin"], "--ram-init is nothing.bin, which is no file"),
    (["--lanes=3"], "lanes is 3; good: 1, 2, 4, 8, 16"),
])
def test_bad_value_is_one_line(tmp_path, arguments, message):
    done = target(tmp_path, *arguments)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(lines) == 1 and message in lines[0]


@pytest.mark.parametrize("name", ("sim", "ulx3s"))
def test_meson_and_python_are_found_without_an_activated_environment(tmp_path, name):
    """The step behind the search for meson is make, here one that fails: with 3 when python3 knows LiteX."""
    build = {"sim": (), "ulx3s": ("--build",)}  # the simulation is built without being asked
    make = tmp_path / "bin/make"
    make.parent.mkdir()
    make.write_text("#!/bin/sh\npython3 -c 'import litex' && exit 3\nexit 4\n")
    make.chmod(0o755)
    done = subprocess.run([sys.executable, "-m", f"litenorm.soc.targets.{name}", *build[name], "--no-compile-gateware"],
                          cwd=tmp_path, text=True, stdin=subprocess.DEVNULL, capture_output=True,
                          env={**environment(), "PATH": f"{make.parent}:/usr/bin:/bin"})
    assert done.returncode == 1
    assert "returned non-zero exit status 3" in done.stderr.splitlines()[-1], done.stderr[-500:]
