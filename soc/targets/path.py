# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Where the target scripts find programs that come with pip."""

import os
import sys


def add_python_folder():
    """Put the folder of this Python at the head of the PATH, as an environment does that is activated.

    LiteX calls meson and ninja, which were installed with it, and its Makefiles call `python3 -m litex...`.
    """
    folder = os.path.dirname(sys.executable)
    os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
