# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Builds what a simulation of the SoC needs, each part cached under the build folder by a hash of what decides it.

| part | folder | keyed by |
| --- | --- | --- |
| SoC: Verilog, C headers, libbase | `soc/` | Python sources of `accel` and `soc`, options, versions of packages |
| libc and compiler-rt | `libraries/` | CPU flags and versions; shared by all SoCs of the same flags |
| simulation program | `verilated/` | the Verilog without its comments, `main.cpp`, Verilator's version, flags |
| Verilator's own library | `verilated/` | its version, flags; shared by all simulation programs of the same flags |
| firmware | `soc/<key>/firmware/` | make's time stamps, in the SoC whose headers it was compiled with |

A folder appears by rename when it is complete, and a lock on it makes a second process wait.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from litenorm.firmware import generate
from litenorm.nn import image
from litenorm.sim.cache import build_dir, cached, digest, locked
from litenorm.sim.errors import BuildError, MissingTool
from litenorm.soc.options import IMAGE_OFFSET

# Programs of the system and the Debian packages that hold them.
TOOLS = {
    "verilator": "verilator",
    "g++": "g++",
    "make": "make",
    "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf",
    "riscv64-unknown-elf-objcopy": "binutils-riscv64-unknown-elf",
}

# Python packages that decide what is generated.
VERSIONED = (
    "litex", "migen", "pythondata-cpu-vexriscv", "pythondata-software-picolibc", "pythondata-software-compiler-rt",
)

# The simulation starts from initial values, so X needs no care; assertions of LiteX's Verilog are not used.
VERILATOR_FLAGS = (
    "--cc", "--exe", "-Wno-fatal", "-Wno-lint", "-O3", "--top-module", "sim", "--prefix", "Vsim",
    "--x-assign", "fast", "--x-initial", "fast", "--noassert",
)
COMPILER_FLAGS = ("OPT_FAST=-O3",)

HERE = Path(__file__).parent


def folder_of(package):
    """The folder of an import package, found without importing it."""
    return Path(find_spec(package).submodule_search_locations[0])


def check_tools(tools=TOOLS):
    """Raise MissingTool, naming the Debian package, for the first of `tools` that is not on the PATH."""
    for tool in tools:
        if shutil.which(tool) is None:
            raise MissingTool(f"{tool} was not found: install the Debian package {TOOLS[tool]} or put it on the PATH")


def environment():
    """Environment of LiteX's builds: they call meson and ninja by name, which lie beside this Python.

    Without the flags of a make that this process may run under: its job server is not theirs.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return {**inherited, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def run_tool(what, command, cwd):
    """Run a build step without showing its output; BuildError with its first error line when it fails."""
    done = subprocess.run(command, cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode == 0:
        return done.stdout
    log = build_dir("logs") / f"{what.replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(done.stdout)
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()] or ["no output"]
    wrong = re.compile(r"\berror\b|undefined reference|region \S+ overflowed", re.IGNORECASE)  # the last: the linker's
    line = next((line for line in lines if wrong.search(line)), lines[-1])
    line = re.sub(r"^\S*/ld: ", "", line).removeprefix("error: ")
    raise BuildError(f"{what} failed: {line} (all of it in {log})", done.stdout)


# SoC and libraries --------------------------------------------------------------------------------------------------

def soc_options(config, cpu_variant, main_ram_size, bios=False):
    """Arguments of `litenorm.soc.sim.elaborate` as JSON."""
    litenorm = None if config is None else dataclasses.asdict(config)
    return json.dumps({"cpu_variant": cpu_variant, "main_ram_size": main_ram_size, "litenorm": litenorm, "bios": bios})


def build_soc(config, cpu_variant, main_ram_size, stage, bios=False):
    """Elaborate the SoC and build the C libraries for it; returns its folder. `stage(text)` is told what goes on.

    With `bios` the SoC starts in a ROM, and LiteX's BIOS is compiled into its `gateware/sim_rom.init`.
    """
    options = soc_options(config, cpu_variant, main_ram_size, bios)
    folders = [folder_of("litenorm.accel"), folder_of("litenorm.soc")]
    sources = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    key = digest(options, sys.version, *(f"{name} {version(name)}" for name in VERSIONED),
                 *(path.read_bytes() for path in sources))
    target = build_dir("soc") / key

    def make(folder):
        stage("elaborating the SoC")
        check_tools()
        elaborate = [sys.executable, "-m", "litenorm.soc.sim", "--output", folder, "--options", options]
        run_tool("elaboration", elaborate, folder)
        software = folder / "software"
        libraries = build_libraries(software, stage)
        for name in ("libc", "libcompiler_rt"):
            shutil.rmtree(software / name, ignore_errors=True)  # of a SoC with a ROM: empty
            (software / name).symlink_to(os.path.relpath(libraries / name, target / "software"))
        stage("compiling libbase")
        make_library("libbase", software)
        if bios:
            stage("compiling the BIOS")
            make_library("liblitedram", software)
            make_library("bios", software)
            words = np.frombuffer((software / "bios/bios.bin").read_bytes(), "<u4").tolist()
            (folder / "gateware/sim_rom.init").write_text("".join(map("%08x\n".__mod__, words)))
        variables = software / "include/generated/variables.mak"
        variables.write_text(variables.read_text().replace(str(folder), str(target)))

    return cached(build_dir("soc"), key, make)


def build_libraries(software, stage):
    """Build libc and compiler-rt for the CPU flags in the build variables of `software`; returns their folder.

    Only the archives and the configured header are kept: with its objects and debug information picolibc is 350 MB.
    """
    variables = (software / "include/generated/variables.mak").read_text()
    flags = re.search(r"^CPUFLAGS=(.*)$", variables, re.MULTILINE).group(1)
    compiler = subprocess.check_output(["riscv64-unknown-elf-gcc", "--version"], text=True)
    key = digest(flags, compiler, *(f"{name} {version(name)}" for name in VERSIONED))

    def make(folder):
        stage("compiling the C library (once)")
        work = folder / "work"
        shutil.copytree(software / "include", work / "include")
        copy = work / "include/generated/variables.mak"
        copy.write_text(variables.replace(str(software), str(work)))
        make_library("libc", work)
        make_library("libcompiler_rt", work)  # includes picolibc.h, which the build of libc configures
        for file in ("libc/libc.a", "libc/picolibc.h", "libcompiler_rt/libcompiler_rt.a"):
            (folder / file).parent.mkdir(exist_ok=True)
            shutil.move(work / file, folder / file)
            if file.endswith(".a"):
                run_tool("stripping", ["riscv64-unknown-elf-objcopy", "--strip-debug", folder / file], folder)
        shutil.rmtree(work)

    return cached(build_dir("libraries"), key, make)


def make_library(name, software):
    """Run LiteX's Makefile of one library in `software/name`."""
    folder = software / name
    folder.mkdir(exist_ok=True)
    makefile = folder_of("litex") / "soc/software" / name / "Makefile"
    # libc is compiled by ninja, which runs jobs in parallel itself and complains about a job server of make's.
    jobs = [] if name == "libc" else ["-j2"]
    run_tool(f"compiling {name}", ["make", *jobs, "-C", folder, "-f", makefile], folder)


# Simulation program -------------------------------------------------------------------------------------------------

def without_comments(verilog):
    """Verilog without `//` and `/* */` comments: LiteX writes the date and the state of its repository into them."""
    return re.sub(r'("(?:\\.|[^"\\\n])*")|//[^\n]*|/\*.*?\*/', lambda m: m.group(1) or "", verilog, flags=re.DOTALL)


def build_simulation(soc, trace, stage):
    """Verilate the SoC and compile it with the test bench; returns the program's path. `trace` builds in FST traces."""
    # Also when the program is there already: it is keyed by Verilator's version, so that an upgrade builds it again.
    check_tools(["verilator"])
    gateware = soc / "gateware"
    sources = [gateware / source for source in json.loads((gateware / "sources.json").read_text())]
    flags = VERILATOR_FLAGS + (("--trace-fst", "-CFLAGS", "-DTRACE") if trace else ())
    release = subprocess.check_output(["verilator", "--version"], text=True)
    bench = HERE / "main.cpp"
    key = digest(release, *flags, *COMPILER_FLAGS, bench.read_bytes(),
                 *(without_comments(path.read_text()) for path in sources))

    def make(folder):
        stage("verilating the SoC")
        check_tools()
        objects = folder / "obj"
        run_tool("Verilator", ["verilator", *flags, "-Mdir", objects, "-o", folder / "Vsim", bench, *sources], gateware)
        # Verilator's own library is half of the work of a small SoC. make leaves alone what is newer than Vsim.mk.
        library = build_dir("verilated") / f"library-{digest(release, *flags, *COMPILER_FLAGS)}"
        if library.is_dir():
            shutil.copytree(library, objects, copy_function=shutil.copyfile, dirs_exist_ok=True)
        run_tool("compiling the simulation", ["make", "-j2", "-C", objects, "-f", "Vsim.mk", *COMPILER_FLAGS], objects)

        def keep(kept):
            for compiled in objects.glob("verilated*.o"):
                shutil.copyfile(compiled, kept / compiled.name)

        cached(library.parent, library.name, keep)
        shutil.rmtree(objects)

    return cached(build_dir("verilated"), key, make) / "Vsim"


# Firmware -----------------------------------------------------------------------------------------------------------

def build_firmware(soc, sources, config, stage):
    """Compile all C files of the folder `sources` against the SoC's headers; returns the path of the binary.

    `config` is the LiteNormConfig whose limits and tables the C twin is compiled with.

    make decides what is compiled again: a firmware edit costs one file and the link.
    """
    check_tools(["make", "riscv64-unknown-elf-gcc", "riscv64-unknown-elf-objcopy"])
    sources = Path(sources).resolve()
    if not any(sources.glob("*.c")):
        raise ValueError(f"{sources} has no C files: name the folder of a firmware")
    makefile = folder_of("litenorm.firmware") / "Makefile"
    objects = soc / "firmware" / digest(str(sources))
    with locked(soc / "firmware" / f"{objects.name}.lock"):
        stage("compiling the firmware")
        objects.mkdir(exist_ok=True)
        include = soc / "firmware/include"
        generate.write(include, config)
        write_changed(include / "litenorm_image.h", image.c_header())
        run_tool("compiling the firmware", [
            "make", "-j2", "-f", makefile, f"SOFTWARE={soc / 'software'}", f"OBJECTS={objects}", f"SOURCES={sources}",
            f"INCLUDES_EXTRA={include}", f"IMAGE_OFFSET={IMAGE_OFFSET}",
        ], objects)
    return objects / "firmware.bin"


def write_changed(path, text):
    """Write a file unless it has that text already, so that make sees no change where there is none."""
    if not path.exists() or path.read_text() != text:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text)
        temporary.replace(path)
