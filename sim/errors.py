# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Errors of building and running a simulation. The message of each is one line that a user can act on."""


class SimulationError(Exception):
    """Base of all errors of this package; `log` is what the UART had sent by then, "" when nothing ran."""

    def __init__(self, message, log=""):
        super().__init__(message)
        self.log = log


class MissingTool(SimulationError):
    """A program of the system is not installed."""


class BuildError(SimulationError):
    """Elaboration, Verilator or the C compiler failed."""


class ProtocolError(SimulationError):
    """The firmware's records on the UART are not what the protocol says."""


class Watchdog(SimulationError):
    """The simulation reached its limit of clock cycles."""


class WallTimeout(SimulationError):
    """The simulation reached its limit of seconds."""
