# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What a person sees while a simulation is built and runs: the UART on stdout, progress on stderr.

Progress is shown only when stderr is a terminal, so that logs and pipes hold nothing but what the firmware said.
"""

import sys
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from litenorm.sim.runner import Observer

# Records of a tensor's content: hundreds of lines that nobody reads.
BULK = ("@hex ", "@tensor ", "@end ")


class TerminalObserver(Observer):
    """Streams the UART to stdout as it comes and shows build steps and simulated cycles on stderr.

    quiet: leave the UART out.
    """

    def __init__(self, progress, quiet=False):
        self.progress = progress
        self.quiet = quiet
        self.task = progress.add_task("starting", total=None, cycles="")

    def stage(self, text):
        self.progress.update(self.task, description=text, cycles="")

    def cycles(self, count):
        self.progress.update(self.task, cycles=f"{count / 1e6:.0f} M cycles")

    def line(self, text):
        if not self.quiet and not text.startswith(BULK):
            print(text, flush=True)


@contextmanager
def observe(quiet=False, observer=TerminalObserver):
    """A TerminalObserver, or an `observer` of the same arguments, whose progress is shown inside of the `with`."""
    console = Console(stderr=True)
    # A long description is wrapped: rich's own column would push out what shows that something goes on.
    columns = (SpinnerColumn(), TextColumn("{task.description}", table_column=Column()),
               TextColumn("{task.fields[cycles]}"), TimeElapsedColumn())
    # Lines printed meanwhile are moved above the progress by rich, which is right only when both are on one terminal.
    shared = console.is_terminal and sys.stdout.isatty()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal,
                  redirect_stdout=shared, redirect_stderr=shared) as progress:
        yield observer(progress, quiet)
