#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Packaging: each top-level folder becomes one part of the namespace package `litenorm`."""

from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent

FOLDERS = ("accel", "soc", "firmware", "sim", "nn", "bench", "formal", "fpga")

# Files other than Python that the package needs at run time.
PACKAGE_DATA = {
    "litenorm.firmware": ["*.c", "*.h", "*.S", "*.ld", "Makefile"],
    "litenorm.sim": ["*.cpp"],
    "litenorm.nn": ["data/*", "data/digits/*"],
}

# Oldest releases that work, where one older than the pin is often found and has been tried.
OLDEST = {"numpy": "1.26", "rich": "13.0", "safetensors": "0.4.3", "tokenizers": "0.19"}


def packages():
    """Map each import name to its folder: `accel` to `litenorm.accel`, and the same for folders inside it."""
    found = {}
    for folder in FOLDERS:
        for init in sorted((HERE / folder).rglob("__init__.py")):
            path = init.parent.relative_to(HERE)
            found["litenorm." + ".".join(path.parts)] = path.as_posix()
    return found


def requirements(name):
    """The direct requirements: the lines of the first paragraph of a requirements file, `==` relaxed to `>=`.

    The exact pins are for this repository's own environment, which installs from the files. `pip install .` goes into
    environments that have their own LiteX, and must not replace it when it is as new or newer. Files that it includes
    with `-r` count, but for requirements.txt, which is installed anyway.
    """
    direct = (HERE / name).read_text().split("\n\n")[0]
    lines = [line.split("#")[0].strip() for line in direct.splitlines()]
    found = []
    for line in lines:
        if line.startswith("-r"):
            included = line.split()[1]
            found += [] if included == "requirements.txt" else requirements(included)
        elif line and not line.startswith("setuptools"):
            package, release = line.split("==")
            found.append(f"{package}>={OLDEST.get(package, release)}")
    return sorted(set(found), key=found.index)


setup(
    name="litenorm",
    version="0.1.0",
    description="Softmax, LayerNorm and RMSNorm for RISC-V SoCs, normalized by construction",
    license="BSD-2-Clause",
    python_requires=">=3.11",
    packages=list(packages()),
    package_dir=packages(),
    package_data=PACKAGE_DATA,
    install_requires=requirements("requirements.txt"),
    extras_require={
        "test": requirements("requirements-test.txt"),
        "formal": requirements("requirements-formal.txt"),
        "fpga": requirements("requirements-fpga.txt"),
        "eval": requirements("requirements-eval.txt"),
        # litenorm.nn.torch: modules and swap for PyTorch.
        "torch": requirements("requirements-torch.txt"),
        # litenorm.nn.onnx and `litenorm onnx-swap`: reads and writes the models; any ONNX runtime runs them.
        "onnx": [line for line in requirements("requirements-test.txt") if line.startswith("onnx>")],
        # Training of the small GPT, and comparison of a checkpoint with its own framework.
        "models": ["torch>=2.13.0"],
    },
    entry_points={"console_scripts": ["litenorm = litenorm.sim.cli:main"]},
)
