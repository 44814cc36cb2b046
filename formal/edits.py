# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Edits of the project's sources in one process: smaller widths for a proof, and planted bugs.

Nothing on disk is changed. An edit must be installed before the file it changes is imported.
"""

import importlib.machinery
import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Edit:
    """Replace `old` by `new` in `file`, a path like "accel/divider.py". `old` must be there exactly `count` times."""

    file: str
    old: str
    new: str
    count: int = 1

    def apply(self, text):
        """The edited text. ValueError when `old` is not there `count` times."""
        found = text.count(self.old)
        if found != self.count:
            raise ValueError(f"{self.file} holds {self.old!r} {found} times; good: {self.count}. Adapt the edit.")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Assign:
    """Give the module-level constant `name` in `file` another value: `new` is Python source."""

    file: str
    name: str
    new: str

    def apply(self, text):
        """The edited text. ValueError when the file does not assign `name` exactly once, on one line."""
        text, found = re.subn(rf"^{self.name} = .*$", lambda m: f"{self.name} = {self.new}", text, flags=re.M)
        if found != 1:
            raise ValueError(f"{self.file} assigns {self.name} {found} times; good: 1. Adapt the edit.")
        return text


class _Loader(importlib.machinery.SourceFileLoader):
    edits = ()

    def get_code(self, fullname):
        # No bytecode: the cache on disk is that of the file as it is.
        text = Path(self.path).read_text()
        for edit in self.edits:
            text = edit.apply(text)
        return compile(text, self.path, "exec")


class _Finder:
    def __init__(self, edits):
        self.edits = edits

    def find_spec(self, fullname, path=None, target=None):
        edits = self.edits.get(fullname)
        if edits is None:
            return None
        file = ROOT / edits[0].file
        loader = _Loader(fullname, str(file))
        loader.edits = edits
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


def install(edits):
    """Apply the edits to the files they name when these are imported, from now on, in this process.

    ValueError when a file was imported before, or when an edit does not fit its file.
    """
    by_module = {}
    for edit in edits:
        name = "litenorm." + edit.file.removesuffix(".py").replace("/", ".")
        if name in sys.modules:
            raise ValueError(f"{edit.file} was imported before its edit; edits come first")
        by_module.setdefault(name, []).append(edit)
    for module in by_module.values():
        text = (ROOT / module[0].file).read_text()
        for edit in module:
            text = edit.apply(text)
    sys.meta_path.insert(0, _Finder(by_module))
