# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Which unit a register or memory of the generated Verilog belongs to, by its name."""

import re

# Prefix of a register's name, the longest first, to the unit it belongs to.
UNITS = {
    "statistics_params": "queues",
    "statistics_queue": "queues",
    "statistics_exp_queue": "queues",
    "statistics": "Statistics",
    "row_buffer": "row buffer",
    "exp_sum_queue": "queues",
    "constants_params": "queues",
    "row_queue": "queues",
    "exp_buffer": "exp buffer",
    "exp": "ExpPass",
    "constants": "RowConstants",
    "entry": "self-check",
    "check": "self-check",
    "passing": "self-check",
    "exit_check": "self-check",
    "normalizer": "Normalizer",
    "requantize": "Requantize",
    "gamma": "Requantize",
    "beta": "Requantize",
    "state": "RowConstants",
    # Of the peripheral.
    "reader": "reader",
    "wishbonereader": "reader",
    "writer": "writer",
    "wishbonewriter": "writer",
    "engine": "engine",
    "jobqueue": "job queue",
    "litenormperipheral": "CSRs",
}


def memory_names(verilog):
    """Dict of a memory's name to that of the unit whose port it is on: queues' memories have only a number."""
    port = r"^assign (\w+?)_(?:wrport|rdport|read_port)_dat_r = (\w+?)(?:_dat\d|\[\w+\]);"
    ports = re.findall(port, verilog, flags=re.M)
    return {memory: unit for unit, memory in ports}


def unit_of(name, memories, target="core"):
    """(unit, readable name) of a state element."""
    if (target, name) == ("peripheral", "state"):
        return "engine", "engine state"
    base = re.sub(r"_dat\d$", "", name)
    shown = name.replace(base, memories[base]) if base in memories else name
    shown = shown if base not in memories or base != name else f"{memories[base]} memory"
    plain = re.sub(r"^litenorm_", "", shown)
    for prefix in sorted(UNITS, key=len, reverse=True):
        if plain.startswith(prefix):
            return UNITS[prefix], shown
    return "other", shown
