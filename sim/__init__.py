# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Simulation: the whole SoC, units of it, the verification campaigns, and the command `litenorm`.

    the SoC         build, runner: firmware in Verilator; workloads, layer, generate: what it runs; protocol: what it
                    says; serial: its UART as a serial port
    Verilog         verilog: from Migen; verilated (verilated.cpp): fast, through Verilator; cosim: four-valued, through
                    Icarus and MyHDL; netlist: as synthesized; streams, wishbone, csr, axi: what a harness connects to
    stimuli         jobs, rowcheck: jobs and rows, and what the model says they give
    campaigns       soak, dma_soak, faults, mutation (mutants), serialcheck: `python -m litenorm.sim.NAME`
    MyHDL           myhdl_core: the arithmetic a second time; lockstep: beside the core's Verilog
    commands        cli: `litenorm`; *_command: its subcommands; output, progress, errors, cache: what they share

This module imports nothing, so that the command starts quickly; import what you need from its files:
`litenorm.sim.runner.run_soc` runs firmware on the simulated SoC, `litenorm.sim.layer.run_layer` one transformer layer.
"""
