# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Cache of compiled simulations and of measurements under the build folder, safe for several processes at once."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from litenorm.sim.output import replaced


def build_dir(name=""):
    """Return the folder of build products, plus ``name``.

    It is ``$LITENORM_BUILD``, or ``build`` in the current folder when that is not set or empty. Links on the way are
    followed: builds name files of one folder relative to another, which the compilers follow by real paths.
    """
    return (Path(os.environ.get("LITENORM_BUILD") or "build") / name).resolve()


def digest(*parts):
    """Return 16 hexadecimal digits of the SHA-256 of the given str or bytes parts."""
    h = hashlib.sha256()
    for part in parts:
        part = part.encode() if isinstance(part, str) else part
        h.update(b"%d:" % len(part))  # The length keeps ("ab", "c") and ("a", "bc") apart.
        h.update(part)
    return h.hexdigest()[:16]


@contextmanager
def locked(path):
    """Hold an exclusive lock on the file ``path`` (made when missing)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def cached(folder, key, make):
    """Return the folder ``folder/key``, filled by ``make(temporary_folder)`` when it is not there yet.

    Two processes that want the same key build it once: the second waits on a file lock. The folder appears by rename,
    so that it is complete or absent.
    """
    folder = Path(folder)
    target = folder / key
    if target.is_dir():
        return target
    with locked(folder / f"{key}.lock"):
        if not target.is_dir():
            tmp = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=folder))
            try:
                make(tmp)
                tmp.rename(target)
            finally:
                shutil.rmtree(tmp, ignore_errors=True)
    return target


def kept(folder, key, make):
    """Return the JSON value in the file ``folder/key.json``, written from ``make()`` when it is not there yet.

    As with ``cached``, two processes that want the same key make it once, and the file is whole or absent.
    """
    target = Path(folder) / f"{key}.json"
    if not target.exists():
        with locked(target.with_suffix(".lock")):
            if not target.exists():
                value = make()
                with replaced(target) as temporary:
                    temporary.write_text(json.dumps(value))
    return json.loads(target.read_text())
