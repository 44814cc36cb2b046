# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""setup.py: what `pip install .` asks for, beside the exact pins of this repository's own environment."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def requires(tmp_path_factory):
    """Requirement -> lower bound, of the package and its extras, as setuptools writes them."""
    folder = tmp_path_factory.mktemp("project")
    for path in (ROOT / "setup.py", ROOT / "pyproject.toml", *ROOT.glob("requirements*.txt")):
        shutil.copy(path, folder)
    subprocess.run([sys.executable, "setup.py", "-q", "egg_info"], cwd=folder, check=True, capture_output=True)
    lines = (folder / "litenorm.egg-info/requires.txt").read_text().split("\n")
    return [line for line in lines if line and not line.startswith("[")]


def pins(name):
    text = (ROOT / name).read_text().split("\n\n")[0]
    return dict(re.findall(r"^([\w-]+)==(\S+)", text, re.MULTILINE))


def numbers(release):
    return [int(part) for part in re.findall(r"\d+", release)]


def test_an_installed_litex_is_not_replaced(requires):
    assert all(re.fullmatch(r"[\w-]+>=[\w.]+", line) for line in requires), requires
    assert "litex>=2024.12" in requires


def test_every_pin_is_within_its_range(requires):
    bounds = dict(line.split(">=") for line in requires)
    exact = {name: release for path in ROOT.glob("requirements*.txt") for name, release in pins(path.name).items()}
    del exact["setuptools"]
    assert exact.keys() == bounds.keys()
    assert all(numbers(exact[name]) >= numbers(bounds[name]) for name in exact)
