# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Files that a user asks for by name: checked before the work begins, and whole or absent after it."""

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path


def check_output(path, what):
    """ValueError, with `path` as the user wrote it, when no file of that name can be written; `what` it should be."""
    path = Path(path)
    folder = path.absolute().parent
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name {what}")
    if path.exists() and not path.is_file():  # it would be replaced: a terminal or /dev/null
        raise ValueError(f"{path} is not a regular file: name {what}")
    if not folder.is_dir():
        raise ValueError(f"{path.parent} is not a folder: name {what} in an existing folder")
    try:  # permissions alone do not tell: read-only file systems, root
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror}): name {what} in another folder") from None


@contextmanager
def replaced(path):
    """Yield a temporary name in the folder of `path`, which is renamed to `path` at the end unless there is an error.

    OSError names `path`, not the temporary file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, data):
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(data, indent=2) + "\n")


def write_text(path, text):
    """Write a text file, whole or not at all."""
    with replaced(path) as temporary:
        temporary.write_text(text)
