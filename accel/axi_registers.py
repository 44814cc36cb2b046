# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Registers of the core with AXI ports: their map, and what is written from it: hardware, C, Verilog, documentation.

    python -m litenorm.accel.axi_registers          # the tables of docs/standalone.md
"""

import argparse
import sys
from dataclasses import dataclass

from litenorm.accel import constants as c
from litenorm.accel.config import LiteNormConfig
from litenorm.accel.formats import FORMATS
from litenorm.accel.rows import OP, row_params

ADDRESS_BITS = 8                    # 64 words
WORD_BITS = 32
ID = int.from_bytes(b"LNRM", "big")
MAP_VERSION = 1 << 16 | 0           # of this map: major, minor

# Bits of status and interrupt_enable; each is set by hardware and cleared by writing 1.
STATUS = {
    "row_done": "a row has left and was checked",
    "row_error": "a row broke its promise: a fault in the hardware; do not use its output",
    "constant_row": "a row of the norms had no variance",
    "bad_params": "a row's parameters are not built into this core, or its length is 0 or above max_length: the row "
                  "was dropped and gives no output",
    "bad_row": "a row had fewer beats than its length needs and was filled up with zeros, or more than max_length "
               "holds and was cut",
    "bad_weights": "gamma or beta had more beats than max_length holds: the rest was dropped",
}

# Of the row's constants; the layout itself is rows.row_params.
PARAMS = {
    "op": "operation: " + ", ".join(f"{code} {name}" for name, code in OP.items()),
    "format": "softmax: output format, " + ", ".join(f"{f.code} {f.name}" for f in FORMATS.values()),
    "length": "valid elements, 1 to max_length; elements of the row behind them are masked",
    "scale_multiplier": "softmax: one LSB of the input is multiplier * 2^(-9 - shift) octaves; "
                        "`litenorm.accel.scale.Scale` gives both",
    "scale_shift": "softmax: see scale_multiplier",
    "eps": "norms: round(eps * length^2), eps in LSB^2 of the input (`litenorm.accel.scale.eps_term`)",
    "affine": "norms: apply gamma and beta",
    "out_s8": "norms with affine: the result is s8, else s16",
    "affine_shift": "norms with affine: (y * gamma + (beta << beta_shift) + half) >> affine_shift",
    "beta_shift": "norms with affine: see affine_shift",
}


@dataclass(frozen=True)
class Register:
    """One word of the map.

    access  "ro", "rw", or "w1c": a bit is cleared by writing 1 to it
    bits    of the value; the others read as 0, and a write that sets one of them is answered by SLVERR
    param   of a row's constants: (field of rows.row_params, its lowest bit in this register)
    fields  names of single bits, from bit 0 on, or (name, low, bits)
    """

    name: str
    offset: int
    access: str
    bits: int
    text: str
    param: tuple | None = None
    fields: tuple = ()


def configuration_fields():
    """Fields of the register `configuration`: (name, low, bits)."""
    widths = [("lanes", 5), ("input_bits", 6), ("ops", len(c.OPS)), ("formats", len(FORMATS)), ("affine", 1),
              ("eps", 1), ("serial", 1), ("parity", 1)]
    fields, low = [], 0
    for name, bits in widths:
        fields.append((name, low, bits))
        low += bits
    return tuple(fields)


def configuration_value(config):
    """Value of the register `configuration` of a core."""
    values = dict(
        lanes=config.lanes,
        input_bits=config.input_bits,
        ops=sum(1 << OP[name] for name in config.ops),
        formats=sum(1 << FORMATS[name].code for name in config.formats) if config.has_softmax else 0,
        affine=int(config.has_affine),
        eps=int(config.eps and config.has_norm),
        serial=int(config.serial),
        parity=int(config.parity),
    )
    return sum(values[name] << low for name, low, _ in configuration_fields())


def registers(config):
    """The map of the core of `config`, a list of Register in order of their offsets, which no config changes."""
    fields = configuration_fields()
    flags = tuple((name, bit, 1) for bit, name in enumerate(STATUS))
    words = [
        ("id", "ro", WORD_BITS, f'{ID:#010x}: "LNRM"', None, ()),
        ("version", "ro", WORD_BITS, "of this map: major in the upper half, minor in the lower", None, ()),
        ("configuration", "ro", fields[-1][1] + fields[-1][2], "what is built", None, fields),
        ("max_length", "ro", config.length_bits, "longest row, elements", None, ()),
        ("status", "w1c", len(STATUS), "what has happened", None, flags),
        ("interrupt_enable", "rw", len(STATUS), "irq is high while a bit is set here and in status", None,
         flags),
        ("rows_started", "ro", WORD_BITS, "rows whose parameters were taken, modulo 2^32", None, ()),
        ("rows_done", "ro", WORD_BITS, "rows that have left and were checked, modulo 2^32", None, ()),
    ]
    for name, bits in row_params(config):
        if bits <= WORD_BITS:
            words.append((name, "rw", bits, PARAMS[name], (name, 0), ()))
        else:
            words.append((f"{name}_low", "rw", WORD_BITS, PARAMS[name], (name, 0), ()))
            words.append((f"{name}_high", "rw", bits - WORD_BITS, f"bits {bits - 1} to {WORD_BITS} of {name}_low",
                          (name, WORD_BITS), ()))
    return [Register(name, i * WORD_BITS // 8, access, bits, text, param, fields)
            for i, (name, access, bits, text, param, fields) in enumerate(words)]


# What is written from the map ------------------------------------------------------------------------------------


def constants(config):
    """(name, value, comment) of what software needs: offsets, masks and shifts of fields, codes."""
    out = []
    for r in registers(config):
        out.append((r.name.upper(), r.offset, f"{r.access}, {r.bits} bit{'s' * (r.bits > 1)}"))
    for r in registers(config):
        if r.name in ("configuration", "status"):
            for name, low, bits in r.fields:
                out.append((f"{r.name}_{name}_MASK".upper(), ((1 << bits) - 1) << low, STATUS.get(name, "")))
                if r.name == "configuration":
                    out.append((f"{r.name}_{name}_SHIFT".upper(), low, ""))
    out.append(("ID_VALUE", ID, ""))
    out.append(("VERSION_VALUE", MAP_VERSION, ""))
    out += [(f"OP_{name}".upper(), code, "") for name, code in OP.items()]
    out += [(f"FORMAT_{f.name}".upper(), f.code, f"T {f.total}, zero point {f.zero_point}") for f in FORMATS.values()]
    return out


_HEADER = (
    "{0} Registers of the LiteNorm core with AXI ports, map {1}.{2}. Generated by `litenorm verilog --bus axi`.\n"
    "{0} SPDX-License-Identifier: BSD-2-Clause\n\n"
)


def c_header(config):
    """The map as a C header, litenorm_axi.h: byte offsets, masks, shifts, codes."""
    lines = ["#ifndef LITENORM_AXI_H", "#define LITENORM_AXI_H", ""]
    for name, value, comment in constants(config):
        lines.append(f"#define LITENORM_AXI_{name} {value:#x}u" + f"  /* {comment} */" * bool(comment))
    return _HEADER.format("//", MAP_VERSION >> 16, MAP_VERSION & 0xFFFF) + "\n".join([*lines, "", "#endif", ""])


def verilog_header(config):
    """The map as lines of localparam, litenorm_axi.vh, to be included in a module; 32 bits each."""
    lines = [f"localparam LITENORM_AXI_{name} = 32'h{value:x};" + f"  // {comment}" * bool(comment)
             for name, value, comment in constants(config)]
    return _HEADER.format("//", MAP_VERSION >> 16, MAP_VERSION & 0xFFFF) + "\n".join([*lines, ""])


def markdown(config=None):
    """The map as the tables of docs/standalone.md; widths of the default core."""
    config = LiteNormConfig() if config is None else config
    lines = ["| offset | register | access | bits | holds |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| `{r.offset:#04x}` | `{r.name}` | {r.access} | {r.bits - 1}:0 | {r.text} |" for r in registers(config)]
    for title in ("status", "configuration"):
        register = next(r for r in registers(config) if r.name == title)
        lines += ["", f"| bits of `{title}` | name | {'set when' if title == 'status' else 'holds'} |",
                  "| --- | --- | --- |"]
        holds = dict(lanes="elements a beat", input_bits="bits of an element of `s_axis`",
                     ops="bit i: operation i is built", formats="bit i: format i is built", affine="gamma and beta",
                     eps="eps of the norms", serial="back end: 0 parallel, 1 serial", parity="buffers have parity")
        for name, low, bits in register.fields:
            span = f"{low + bits - 1}:{low}" if bits > 1 else f"{low}"
            lines.append(f"| {span} | `{name}` | {(STATUS if title == 'status' else holds)[name]} |")
    return "\n".join(lines) + "\n"


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.accel.axi_registers",
                                     description="Print the registers of the core with AXI ports.",
                                     epilog="example: python -m litenorm.accel.axi_registers --as c")
    parser.add_argument("--as", dest="form", choices=["markdown", "c", "verilog"], default="markdown")
    args = parser.parse_args(argv)
    sys.stdout.write({"markdown": markdown, "c": c_header, "verilog": verilog_header}[args.form](LiteNormConfig()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
