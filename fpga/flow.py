# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""From a board's name to its bitstream.

A target script, in a process of its own, elaborates the SoC, compiles the BIOS and writes LiteX's build script. The
steps of that script are run here, with the tools of `tools.py`, so that their output can be read as it comes, several
seeds be tried on one netlist, and a missed clock be an error.

| file of the output folder | holds |
| --- | --- |
| `gateware/` | Verilog, constraints, build script, netlist, reports, bitstream |
| `software/`, `soc.json` | BIOS, C headers, memory map |
| `result.json` | what was built from what: the same again is not built again |
| `*.log` | output of the steps |
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from litenorm.fpga import report, tools
from litenorm.sim.build import check_tools, environment, run_tool, without_comments
from litenorm.sim.cache import build_dir, digest, locked
from litenorm.sim.errors import BuildError, MissingTool
from litenorm.sim.output import replaced

# Lines of nextpnr's output that begin a part of its work.
PARTS = (
    (re.compile(r"^Preparing to run"), "compiling nextpnr for this machine (once, minutes)"),
    (re.compile(r"^Info: (Packing|Pack )"), "packing"),
    (re.compile(r"^Info: (Creating initial|Running main analytical|Placed \d+ cells)"), "placing"),
    (re.compile(r"^Info: (Running simulated annealing|Running timing driven)"), "refining the placement"),
    (re.compile(r"^Info: (Routing|Running router|Setting up routing)"), "routing"),
)
# Files that nextpnr writes, by the options before their names.
WRITTEN = ("--textcfg", "--write", "--report")
SEEDS = (1, 2, 3)  # when nothing is said: a placement in a few misses a clock that the others meet
VENDOR_MISSED = "Timing constraints are not met"  # of Vivado's report_timing_summary
LOADER_HELP = "openFPGALoader was not found: install the Debian package openfpgaloader, or put it on the PATH"


@dataclass(frozen=True)
class Built:
    """What a build gave.

    folder     output folder
    bitstream  its path, or None when none was made
    device     as LiteX names it
    placed     report.Placed, or None when nothing was placed
    seed       of `placed`, the best of `tried`: (seed, MHz of the system's clock) of each
    """

    folder: Path
    bitstream: Path | None = None
    device: str = ""
    placed: report.Placed | None = None
    seed: int = 0
    tried: tuple = ()


def default_folder(board, with_litenorm=True):
    return build_dir("boards") / (board.name if with_litenorm else f"{board.name}-plain")


# Project ------------------------------------------------------------------------------------------------------------

def elaborate(board, arguments, folder, stage):
    """Run the target script: Verilog, BIOS, LiteX's build script. BuildError says why not, in one line."""
    check_tools(["make", "riscv64-unknown-elf-gcc", "riscv64-unknown-elf-objcopy"])
    stage("elaborating the SoC, compiling its BIOS and C library")
    for script in (folder / "gateware").glob("build_*.sh"):
        script.unlink()  # of a design that had another name
    command = [sys.executable, "-m", f"litenorm.soc.targets.{board.script}", *board.arguments, *arguments, "--build",
               "--no-compile-gateware", "--output-dir", ".", "--soc-json", "soc.json"]
    text = run_tool("elaboration", command, folder)
    (folder / "elaboration.log").write_text(text)


@dataclass(frozen=True)
class Project:
    """What LiteX wrote: the folder of the gateware, the design's name, the commands of its build script."""

    gateware: Path
    name: str
    commands: tuple

    @classmethod
    def read(cls, folder):
        scripts = sorted((folder / "gateware").glob("build_*.sh"))
        if len(scripts) != 1:
            raise BuildError(f"{folder / 'gateware'} has {len(scripts)} build scripts; good: one, in a folder "
                             "that only this board's builds use")
        lines = (line.split("#")[0].strip() for line in scripts[0].read_text().splitlines())
        commands = tuple(tuple(shlex.split(line)) for line in lines if line and line != "set -e")
        return cls(scripts[0].parent, scripts[0].stem.removeprefix("build_"), commands)

    @property
    def router(self):
        """The command that places and routes; BuildError for the script of another toolchain."""
        for command in self.commands:
            if command[0].startswith("nextpnr"):
                return command
        raise BuildError(f"build_{self.name}.sh in {self.gateware} does not call nextpnr: leave out --toolchain, or "
                         "run the target script itself")

    @property
    def family(self):
        return "gowin" if self.router[0] == "nextpnr-himbaechel" else "ecp5"

    @property
    def bitstream(self):
        return self.gateware / f"{self.name}{'.fs' if self.family == 'gowin' else '.bit'}"

    @property
    def device(self):
        """The device's name, for messages."""
        router = self.router
        if "--device" in router:
            return router[router.index("--device") + 1]
        known = {"25k": "LFE5U-25F", "45k": "LFE5U-45F", "85k": "LFE5U-85F", "12k": "LFE5U-12F",
                 "um5g-45k": "LFE5UM5G-45F", "um5g-85k": "LFE5UM5G-85F", "um5g-25k": "LFE5UM5G-25F"}
        return next((known[flag[2:]] for flag in router if flag[2:] in known), "the device")

    def key(self, *parts):
        """Hash of all that decides the bitstream."""
        files = sorted(path for path in self.gateware.glob(f"{self.name}*")
                       if path.suffix in (".v", ".init", ".ys", ".lpf", ".cst", ".sdc"))
        texts = [f"{path.name}\n{without_comments(path.read_text())}" for path in files]
        return digest(repr(self.commands), *texts, *tools.versions(), *map(str, parts))


# Steps --------------------------------------------------------------------------------------------------------------

@contextmanager
def process(command, cwd):
    """Popen of a tool with its output on a pipe; it is ended when the `with` is left early."""
    path = environment()["PATH"]
    variables = {**environment(), "PATH": f"{tools.folder()}{os.pathsep}{path}", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(list(map(str, command)), cwd=cwd, env=variables, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace") as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()


def step(what, command, cwd, log, watch=lambda line: None):
    """Run one command of the build script with its output in the file `log`; BuildError with its first error line.

    watch  is told each line, and may raise to end the step
    """
    lines = []
    with open(log, "w", buffering=1) as file, process(command, cwd) as running:
        for line in running.stdout:
            file.write(line)
            lines.append(line.rstrip())
            watch(lines[-1])
        code = running.wait()
    if code:
        errors = [line for line in lines if re.match(r"\W*error\b", line, re.IGNORECASE)] or lines[-1:] or ["no output"]
        raise BuildError(f"{what} failed: {errors[0].removeprefix('ERROR: ').strip()} (all of it in {log})")


def synthesize(project, folder, stage):
    """Run the commands before nextpnr."""
    for command in project.commands[: project.commands.index(project.router)]:
        stage(f"synthesis ({command[0]})")
        step("synthesis", command, project.gateware, folder / "synthesis.log")


def place(project, folder, seed, frequency, stage):
    """Place and route with one seed; returns the report.Placed. DeviceTooSmall as soon as nextpnr knows."""
    command = list(project.router)
    for flag, value in (("--seed", str(seed)), ("--freq", f"{frequency:g}")):
        if flag in command:
            command[command.index(flag) + 1] = value
        else:
            command += [flag, value]
    if "--report" not in command:
        command += ["--report", f"{project.name}.report"]
    stage(f"place and route, seed {seed}")
    seen = []

    def watch(line):
        for pattern, part in PARTS:
            if pattern.match(line):
                stage(f"place and route, seed {seed}: {part}")
        if report.UTILISATION.match(line):
            seen.append(line)
        elif seen and (error := report.too_small(seen, project.family, project.device)):
            raise error

    step("place and route", command, project.gateware, folder / f"route-{seed}.log", watch)
    written = project.gateware / command[command.index("--report") + 1]
    return report.read(written.read_text(), project.family, frequency)


def place_best(project, folder, seeds, frequency, stage, until_met=False):
    """The best of the seeds: (seed, Placed, tried); its files are those in the gateware's folder.

    A seed from which nextpnr fails is passed over; BuildError when all are.

    until_met  no more seeds are tried when one meets all clocks
    """
    tried, best = [], None
    kept = folder / "best"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    router = project.router
    written = [router[router.index(flag) + 1] for flag in WRITTEN if flag in router]
    if "--report" not in router:
        written.append(f"{project.name}.report")
    failed = None
    for seed in seeds:
        try:
            placed = place(project, folder, seed, frequency, stage)
        except report.DeviceTooSmall:
            raise
        except BuildError as error:  # a nearly full device is routed from some placements only
            failed = error
            continue
        tried.append((seed, placed.clock.achieved))
        if best is None or placed.clocks[0].margin > best[1].clocks[0].margin:
            best = seed, placed
            for name in written:
                (project.gateware / name).replace(kept / name)
        if until_met and placed.met:
            break
    if best is None:
        raise failed
    for name in written:
        (kept / name).replace(project.gateware / name)
    kept.rmdir()
    return *best, tuple(tried)


def pack(project, folder, stage):
    """Run the commands after nextpnr: they write the bitstream."""
    try:
        for command in project.commands[project.commands.index(project.router) + 1 :]:
            stage(f"bitstream ({command[0]})")
            step("packing", command, project.gateware, folder / "bitstream.log")
    except BaseException:
        project.bitstream.unlink(missing_ok=True)  # written in part, it would pass for one that can be loaded
        raise
    if not project.bitstream.exists():
        raise BuildError(f"packing failed: {project.bitstream} was not written")


# Build and load -----------------------------------------------------------------------------------------------------

def build(board, arguments, folder, stage, seeds=None, timing_allow_fail=False, bitstream=True):
    """Build a board's SoC in `folder`; returns a Built.

    arguments  of the target script, behind the board's own
    stage      stage(text) is told what goes on
    seeds      of nextpnr; the best one's result is kept. None: SEEDS in turn, until one meets all clocks
    timing_allow_fail  make a bitstream even when a clock is too slow; else report.TimingNotMet, and none is left
    bitstream  False: only the project is written (Verilog, constraints, BIOS, build script)

    Raises MissingTool, report.DeviceTooSmall, report.TimingNotMet or another BuildError.
    """
    if bitstream and board.vendor:
        if shutil.which(board.vendor.lower()) is None:
            raise MissingTool(f"{board.name} needs {board.vendor} for its bitstream, and it is not on the PATH; "
                              f"without --build the project for {board.vendor} is written")
    elif bitstream:
        tools.check(board.tools)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        elaborate(board, arguments, folder, stage)
        project = None if board.vendor else Project.read(folder)
        if not bitstream:
            return Built(folder)
        if board.vendor:
            return _build_with_vendor(board, folder, stage, timing_allow_fail)
        until_met = seeds is None
        return _build(project, folder, stage, tuple(SEEDS if until_met else seeds), until_met, timing_allow_fail)


def _build(project, folder, stage, seeds, until_met, timing_allow_fail):
    constants = json.loads((folder / "soc.json").read_text())["constants"]
    frequency = constants["config_clock_frequency"] / 1e6
    key = project.key(seeds, frequency, until_met)
    result = folder / "result.json"
    if kept := earlier(folder, key):
        if not kept.placed.met and not timing_allow_fail:
            kept.placed.check(_advice(seeds))
        return kept
    for path in (project.bitstream, result):
        path.unlink(missing_ok=True)
    synthesize(project, folder, stage)
    seed, placed, tried = place_best(project, folder, seeds, frequency, stage, until_met)
    if not timing_allow_fail:
        placed.check(_advice(seeds))
    pack(project, folder, stage)
    with replaced(result) as temporary:
        temporary.write_text(json.dumps({
            "key": key, "bitstream": str(project.bitstream.relative_to(folder)), "device": project.device, "seed": seed,
            "tried": tried, "placed": asdict(placed)}, indent=1))
    return Built(folder, project.bitstream, project.device, placed, seed, tried)


def _advice(seeds):
    more = "more --seeds" if len(seeds) > 1 else "--seeds 5"
    return f"try {more}, a lower --sys-clk-freq, or --timing-allow-fail"


def earlier(folder, key=None):
    """The Built of an earlier build in `folder`, with `key` only of that key; None when there is none."""
    try:
        stored = json.loads((folder / "result.json").read_text())
        if key not in (None, stored["key"]) or not (folder / stored["bitstream"]).exists():
            return None
        fields = stored["placed"]
        clocks = tuple(report.Clock(**clock) for clock in fields.pop("clocks"))
        return Built(folder, folder / stored["bitstream"], stored["device"], report.Placed(clocks=clocks, **fields),
                     stored["seed"], tuple(map(tuple, stored["tried"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _build_with_vendor(board, folder, stage, timing_allow_fail):
    """Run LiteX's build script with the vendor's tool, whose own reports say what came of it.

    TimingNotMet when its report of the routed design says so, unless timing_allow_fail.
    """
    scripts = sorted((folder / "gateware").glob("build_*.sh"))
    if len(scripts) != 1:
        raise BuildError(f"{folder / 'gateware'} has {len(scripts)} build scripts; good: one")
    gateware = scripts[0].parent
    for path in (*gateware.glob("*.bit"), *gateware.glob("*_timing.rpt")):
        path.unlink()  # of an earlier build
    stage(f"{board.vendor} (its output is in {folder / 'vendor.log'})")
    step(board.vendor, ["bash", scripts[0].name], gateware, folder / "vendor.log")
    bitstreams = sorted(gateware.glob("*.bit"))
    if not bitstreams:
        raise BuildError(f"{board.vendor} wrote no bitstream: see {folder / 'vendor.log'}")
    for timing in gateware.glob("*_timing.rpt"):
        if not timing_allow_fail and VENDOR_MISSED in timing.read_text(errors="replace"):
            for path in bitstreams:
                path.unlink()
            raise report.TimingNotMet(f"timing is not met: see {timing}; try a lower --sys-clk-freq, or "
                                      "--timing-allow-fail")
    return Built(folder, bitstreams[0])


def find_bitstream(folder):
    """The bitstream of an earlier build in `folder`; ValueError when there is none."""
    found = [path for ending in (".bit", ".fs") for path in sorted((folder / "gateware").glob(f"*{ending}"))]
    if not found:
        raise ValueError(f"{folder / 'gateware'} has no bitstream: give --build")
    return found[0]


def check_loader():
    """MissingTool, saying how to get it, when openFPGALoader is not installed."""
    if shutil.which("openFPGALoader") is None:
        raise MissingTool(LOADER_HELP)


def load(board, bitstream):
    """Send a bitstream to the board with openFPGALoader, whose output is shown."""
    check_loader()
    done = subprocess.run(["openFPGALoader", "--board", board.loader, "--bitstream", str(bitstream)])
    if done.returncode:
        raise BuildError(f"openFPGALoader failed with exit code {done.returncode}: is the {board.title} connected?")
