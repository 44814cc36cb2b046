# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Verilog of a Migen or LiteX module, by LiteX's own generator and the same on every call."""

import re
from typing import NamedTuple

from litex.gen import LiteXContext
from litex.gen.fhdl import verilog as litex_verilog
from migen import ClockDomain
from migen.fhdl.tools import list_targets

_READMEM = re.compile(r"initial begin\s*\$readmemh\(\"([^\"]+)\", (\w+)\);\s*end\n")


def to_verilog(module, name, ios, regs_init=True):
    """Return the Verilog text of a Migen/LiteX module, the same for the same module on every call.

    The generator is the one of a LiteX SoC build. Comments (they hold dates and the state of the process) are left
    out, and the contents of memories are written in place instead of in ``.init`` files.

    Parameters
    ----------
    module : Module or LiteXModule with one clock domain, ``sys`` (made here when missing); it is finalized and cannot
        be converted twice.
    name : name of the Verilog module.
    ios : the ports: an iterable of Signals, or a dict of port name to Signal. ``sys_clk`` and ``sys_rst`` are added.
    regs_init : with False the clocked registers have no initial value, as in an ASIC: only reset gives them one.
    """
    text, _ = convert(module, name, ios, regs_init)
    return text


def convert(module, name, ios, regs_init=True):
    """Return (Verilog text, dict of port name to Signal); the parameters are those of ``to_verilog``."""
    if getattr(module, "get_fragment_called", False):
        raise ValueError(f"module {type(module).__name__} was converted before; make a new one")
    cd = next((c for c in module.clock_domains._fm._fragment.clock_domains if c.name == "sys"), None)
    if cd is None:
        cd = ClockDomain("sys")
        module.clock_domains += cd
    if isinstance(ios, dict):
        for port, signal in ios.items():
            signal.name_override = port
        ios = ios.values()
    ios = {cd.clk, *ios}
    if cd.rst is not None:
        ios.add(cd.rst)
    # The hierarchy of an SoC made before in this process is not this module's.
    top, LiteXContext.top = LiteXContext.top, None
    try:
        fragment = module.get_fragment()
        out = litex_verilog.convert(fragment, ios=ios, name=name)
    finally:
        LiteXContext.top = top
    text = re.sub(r"^\s*//.*\n", "", out.main_source, flags=re.M)

    def inline(match):
        words = out.data_files[match[1]].split()
        lines = [f"\t{match[2]}[{i}] = 'h{word};\n" for i, word in enumerate(words)]
        return "initial begin\n" + "".join(lines) + "end\n"

    text = _READMEM.sub(inline, text)
    if not regs_init:
        # Only clocked registers: a Signal that nothing drives stands for its reset value, in silicon too.
        clocked = {out.ns.get_name(s) for body in fragment.sync.values() for s in list_targets(body)}
        text = re.sub(r"^(reg  .*?(\w+)) = [^;]+;", lambda m: m[1] + ";" if m[2] in clocked else m[0], text, flags=re.M)
    text = re.sub(r"\n{3,}", "\n\n", text).lstrip()
    ports = {out.ns.get_name(signal): signal for signal in ios}
    return text, dict(sorted(ports.items()))


class StateElement(NamedTuple):
    """A register (depth 1) or a memory of a module: bits of a word, words."""

    name: str
    width: int
    depth: int


def state_elements(text, ports=()):
    """Return the list of StateElements of the text that ``convert`` gives: what a clock edge writes.

    Read registers of a memory's write port that nothing reads are left out, as a synthesizer would, and so are the
    registers that are ``ports`` themselves.
    """
    declared = {}
    for signed_width, name, depth in re.findall(r"^(?:output )?reg\s+(?:signed\s+)?(\[\d+:0\])?\s*(\w+)(\[0:\d+\])?",
                                                text, flags=re.M):
        width = int(signed_width[1:-3]) + 1 if signed_width else 1
        declared[name] = StateElement(name, width, int(depth[3:-1]) + 1 if depth else 1)
    written = set()
    for block in re.findall(r"^always @\(posedge \w+\) begin\n(.*?)^end", text, flags=re.M | re.S):
        written.update(re.findall(r"^\s*(\w+)(?:\[[^<]*\])? <=", block, flags=re.M))
    for name in sorted(written):
        if name in ports:
            written.discard(name)
        reads = re.findall(rf"^assign (\w+) = {name};", text, flags=re.M)
        if len(reads) == 1 and len(re.findall(rf"\b{name}\b", text)) == 3 and \
                len(re.findall(rf"\b{reads[0]}\b", text)) == 2:
            written.discard(name)
    return [declared[name] for name in sorted(written)]


def named_signals(ios, what):
    """Return the dict of port name to Signal of such a dict or of an iterable of Signals, named by their own name."""
    if isinstance(ios, dict):
        return dict(ios)
    named = {}
    for signal in ios:
        name = signal.name_override or signal.backtrace[-1][0]
        if name in named:
            raise ValueError(f"{what}: two Signals are named {name}; give a dict of port name to Signal")
        named[name] = signal
    return named
