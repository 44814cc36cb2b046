# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Simulation: runner of the whole SoC in Verilator, reports, co-simulation of units, and the command `litenorm`.

This module imports nothing, so that the command starts quickly; import what you need from its files:
`litenorm.sim.runner.run_soc` runs firmware on the simulated SoC, `litenorm.sim.layer.run_layer` one transformer layer.
"""
