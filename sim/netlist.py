# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The core as synthesized for a Lattice ECP5, cell by cell, through the same rows as its RTL.

    python -m litenorm.sim.netlist --lanes 2 4 --rows 400

Yosys maps the generated Verilog as bench/fpga.py does for nextpnr, and the netlist that nextpnr would place is
written as Verilog again. LUTs, carries, multiplexers, flip-flops and LUT memories behave as Yosys' own models say; for
block RAMs and multipliers Yosys has none, CELLS does. The core's Verilog is replaced by it, and all the rest stays: the
bench, rows of all operations, stalls, resets, and the model that every code is compared with.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from rich.console import Console

from litenorm.accel import LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.config import SIZES
from litenorm.accel.core import core_for
from litenorm.bench.fpga import SYNTHESIS
from litenorm.sim.cache import build_dir, cached, digest
from litenorm.sim.errors import BuildError, MissingTool, SimulationError
from litenorm.sim.rowcheck import core_dut, mixed_rows, run_resets, run_rows
from litenorm.sim.verilated import Stall, StreamDut

STALLS = (
    {},
    {"sink": 0.3, "source": 0.3},
    {"sink": 0.1, "source": Stall(0.5, burst=20)},
    {"sink": Stall(0.5, burst=15)},
)

# What nextpnr reads, as Verilog.
REWRITE = """\
import os, sys
from pyosys import libyosys
for command in (f"read_json {sys.argv[1]}", f"write_verilog -noattr {sys.argv[2]}"):
    libyosys.run_pass(f"tee -q {command}")
os._exit(0)
"""


def bits(name, count):
    """`name17, ..., name0`"""
    return ", ".join(f"{name}{i}" for i in reversed(range(count)))


# Cells of which Yosys has no model, as far as its mapping uses them (CHECKED). A block RAM is 1024 words of 18 bits;
# with 36 bits it writes on port A and reads on port B, and DIA and DOA are the lower half (Yosys' brams_map_16kd.v).
# A word that is read on one port while the other writes it is undefined: here it is wrong.
CELLS = f"""\
module MULT18X18D(input {bits('A', 18)}, input {bits('B', 18)}, input {bits('C', 18)},
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, output {bits('P', 36)});
  wire signed [35:0] a = {{{{18{{SIGNEDA & A17}}}}, {bits('A', 18)}}};
  wire signed [35:0] b = {{{{18{{SIGNEDB & B17}}}}, {bits('B', 18)}}};
  assign {{{bits('P', 36)}}} = a * b;
endmodule

module DP16KD(
    input {bits('DIA', 18)}, input {bits('ADA', 14)}, input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output {bits('DOA', 18)},
    input {bits('DIB', 18)}, input {bits('ADB', 14)}, input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output {bits('DOB', 18)});
  parameter DATA_WIDTH_A = 18;
  parameter DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG", RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC";
  parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000", WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
  parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB", GSR = "ENABLED";
{chr(10).join(f"  parameter [319:0] INITVAL_{i:02X} = 320'h0;" for i in range(64))}
  reg [17:0] mem [0:1023];
  integer i;
  initial for (i = 0; i < 1024; i = i + 1) mem[i] = 18'h0;
  wire [13:0] ada = {{{bits('ADA', 14)}}}, adb = {{{bits('ADB', 14)}}};
  wire [17:0] dia = {{{bits('DIA', 18)}}}, dib = {{{bits('DIB', 18)}}};
  reg [17:0] doa = 0, dob = 0;
  assign {{{bits('DOA', 18)}}} = doa;
  assign {{{bits('DOB', 18)}}} = dob;
  generate
    if (DATA_WIDTH_A == 36) begin
      always @(posedge CLKA) if (CEA & WEA) begin
        if (ada[0]) mem[{{ada[13:5], 1'b0}}][8:0] <= dia[8:0];
        if (ada[1]) mem[{{ada[13:5], 1'b0}}][17:9] <= dia[17:9];
        if (ada[2]) mem[{{ada[13:5], 1'b1}}][8:0] <= dib[8:0];
        if (ada[3]) mem[{{ada[13:5], 1'b1}}][17:9] <= dib[17:9];
      end
      always @(posedge CLKB) if (CEB) begin
        if (CEA & WEA & |ada[3:0] & (ada[13:5] == adb[13:5])) begin
          doa <= ~mem[{{adb[13:5], 1'b0}}] ^ 18'h15a5a;
          dob <= ~mem[{{adb[13:5], 1'b1}}] ^ 18'h2a5a5;
        end else begin
          doa <= mem[{{adb[13:5], 1'b0}}];
          dob <= mem[{{adb[13:5], 1'b1}}];
        end
      end
    end else begin
      always @(posedge CLKA) if (CEA) begin
        if (WEA) begin
          if (DATA_WIDTH_A == 18 ? ada[0] : ~ada[3]) mem[ada[13:4]][8:0] <= dia[8:0];
          if (DATA_WIDTH_A == 18 ? ada[1] : ada[3]) mem[ada[13:4]][17:9] <= DATA_WIDTH_A == 18 ? dia[17:9] : dia[8:0];
        end
        if (~WEA | (WRITEMODE_A == "READBEFOREWRITE"))
          doa <= DATA_WIDTH_A == 18 ? mem[ada[13:4]] : ada[3] ? mem[ada[13:4]][17:9] : mem[ada[13:4]][8:0];
      end
    end
  endgenerate
endmodule
"""
# Parameters that the models above rely on; port B of a memory whose port A is not 36 bits wide is not used.
CHECKED = {
    "MULT18X18D": {},
    "DP16KD": dict(DATA_WIDTH_A=(36, 18, 9), DATA_WIDTH_B=(36, 18, 9), REGMODE_A=("NOREG",), REGMODE_B=("NOREG",),
                   CLKAMUX=("CLKA",), CLKBMUX=("CLKB",), CSDECODE_A=("0b000",), CSDECODE_B=("0b000",),
                   WRITEMODE_A=("NORMAL", "READBEFOREWRITE")),
}
ZERO = {"DP16KD": ("RSTA", "RSTB", "CSA0", "CSA1", "CSA2", "CSB0", "CSB1", "CSB2", "WEB"),
        "MULT18X18D": ("SOURCEA", "SOURCEB")}


def _value(text):
    """A parameter of Yosys' JSON: binary digits are a number, and a text ends with a space when it looks like one."""
    return int(text, 2) if re.fullmatch("[01]+", text) else text.rstrip()


def check_cells(module):
    """BuildError when a block RAM or a multiplier of Yosys' JSON does more than its model in CELLS."""
    for name, cell in module["cells"].items():
        kind = cell["type"]
        if kind not in CHECKED:
            continue
        values = {key: _value(text) for key, text in cell["parameters"].items()}
        for key, good in CHECKED[kind].items():
            if key in values and values[key] not in good:
                raise BuildError(f"{kind} {name}: {key} is {values[key]}, which the model has not; it has "
                                 f"{', '.join(map(str, good))}")
        if kind == "MULT18X18D" and any(key.endswith("_CLK") and key.startswith("REG_") and value != "NONE"
                                        for key, value in values.items()):
            raise BuildError(f"{kind} {name} has registers, which the model has not")
        if kind == "DP16KD" and values["DATA_WIDTH_A"] == 36 != values["DATA_WIDTH_B"]:
            raise BuildError(f"{kind} {name} is written with 36 bits and read with {values['DATA_WIDTH_B']}: the model "
                             "has only equal ones")
        if kind == "DP16KD" and any(isinstance(v, int) and v for k, v in values.items() if k.startswith("INITVAL")):
            raise BuildError(f"{kind} {name} has contents, which the model has not")
        tied = [port for port in ZERO[kind] if cell["connections"].get(port, ["0"]) != ["0"]]
        if kind == "DP16KD" and values["DATA_WIDTH_A"] != 36 and cell["connections"].get("CEB", ["0"]) != ["0"]:
            tied.append("CEB")
        if tied:
            raise BuildError(f"{kind} {name}: {', '.join(tied)} is not 0, which the model expects")


def cell_models(kinds):
    """Verilog of the cells called `kinds` and of those inside of them: Yosys' own, and CELLS."""
    folder = Path(find_spec("pyosys").origin).parent / "share" / "lattice"
    text = "".join((folder / name).read_text() for name in ("common_sim.vh", "ccu2c_sim.vh"))
    known = {m[1]: m[0] for source in (text, CELLS)
             for m in re.finditer(r"^module (\w+)\b.*?^endmodule", source, flags=re.M | re.S)}
    wanted, out = sorted(kinds), {}
    while wanted:
        kind = wanted.pop()
        if kind in out:
            continue
        if kind not in known:
            raise BuildError(f"the netlist has a cell {kind}, of which there is no model")
        out[kind] = known[kind]
        wanted += [name for name in known if re.search(rf"^\s*{name}\b\s*(#\(|\w+\s*\()", known[kind], flags=re.M)]
    return "\n\n".join(out[kind] for kind in sorted(out)) + "\n"


def netlist(text, top):
    """(Verilog of module `top` as cells of an ECP5, Counter of its cells) of the Verilog `text`; kept.

    Raises BuildError when Yosys fails or the netlist has a cell without a model, MissingTool without Yosys.
    """
    if find_spec("pyosys") is None:
        raise MissingTool("pyosys is not installed: pip install -r requirements-formal.txt")

    def run(script, *arguments, folder):
        done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=folder, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            lines = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
            raise BuildError(f"Yosys failed: {(lines or done.stdout.splitlines() or ['no output'])[-1]}")

    def make(folder):
        (folder / "rtl.v").write_text(text)
        run(SYNTHESIS, "rtl.v", top, "netlist.json", folder=folder)
        run(REWRITE, "netlist.json", "netlist.v", folder=folder)

    folder = cached(build_dir("netlist"), digest(text, top, SYNTHESIS, REWRITE, version("pyosys")), make)
    module = json.loads((folder / "netlist.json").read_text())["modules"][top]
    check_cells(module)
    cells = Counter(cell["type"] for cell in module["cells"].values())
    verilog = (folder / "netlist.v").read_text()
    verilog = re.search(rf"^module {top}\(.*?^endmodule", verilog, flags=re.M | re.S)[0]
    return verilog, cells


_LUT = re.compile(r"(LUT4 #\(\s*\.INIT\(16'h)([0-9a-f]{4})(\)\s*\) (\S+))")


def plant(text, seed):
    """(netlist text with one LUT inverted, what was changed); a LUT whose inputs are not all constant."""
    luts = [m for m in _LUT.finditer(text)
            if m[2] not in ("0000", "ffff") and "1'h" not in text[m.end() : text.index(");", m.end())]]
    rng = np.random.default_rng(seed)
    lut = luts[rng.integers(len(luts))]
    init = int(lut[2], 16) ^ 0xFFFF
    return (f"{text[:lut.start()]}{lut[1]}{init:04x}{lut[3]}{text[lut.end():]}",
            f"LUT {lut[4]}: init {lut[2]} became {init:04x}")


def netlist_dut(config, fault=None, harness=StreamDut, **options):
    """A StreamDut of the core of `config` as cells of an ECP5, with `cells` (Counter) and `planted` (text).

    fault  seed of a fault that is planted in the netlist: a LUT is inverted; None: the netlist as it is
    """
    top = "serial_lite_norm" if config.serial else "lite_norm"
    kept = {}

    def edit(text):
        verilog, kept["cells"] = netlist(text, top)
        if fault is not None:
            verilog, kept["planted"] = plant(verilog, fault)
        return verilog + "\n\n" + cell_models(kept["cells"])

    if harness is StreamDut:
        options = {"optimize": False} | options    # compiling takes far longer than some thousand rows
    dut = core_dut(core_for(config), harness, edit=edit, name=top, **options)
    dut.cells, dut.planted = kept["cells"], kept.get("planted")
    return dut


def check(dut, config, count, seed):
    """`count` random rows and the edge cases under each of STALLS, and with resets; returns (rows, rows after resets).

    Raises RowMismatch, and what ``dut.run`` raises.
    """
    limits = dict(max_cycles=1 << 40, hang_cycles=1 << 20)
    compared = after = 0
    for i, stall in enumerate(STALLS):
        rows = mixed_rows(dut, config, count, seed + i)
        compared += run_rows(dut, rows, stall=stall, seed=seed + i, **limits)
    rng = np.random.default_rng(seed)
    for i, stall in enumerate(STALLS[:2]):
        rows = mixed_rows(dut, config, count, seed + 100 + i, edges=False)
        at = sorted(rng.integers(2 * config.max_beats, 3 * config.max_beats + count, 2).tolist())
        after += run_resets(dut, rows, at, stall=stall, seed=seed + i, idle_cycles=1 << 15, **limits)
    return compared, after


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m litenorm.sim.netlist", description=__doc__.splitlines()[0],
                                     epilog="example: python -m litenorm.sim.netlist --lanes 2 4 --rows 400 --seeds 2")
    parser.add_argument("--lanes", type=int, nargs="*", default=[2], metavar="L", help="cores (default: 2)")
    parser.add_argument("--serial", choices=SIZES, nargs="*", default=[], help="serial cores (default: none)")
    parser.add_argument("--max-length", type=int, default=64, metavar="N", help="longest row (default: 64)")
    parser.add_argument("--op", choices=[*c.OPS, "all"], default="all", help="operations that are built (default: all)")
    parser.add_argument("--rows", type=int, default=400, metavar="N", help="random rows of each kind of stall and seed "
                                                                           "(default: 400)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--faults", type=int, default=1, metavar="N",
                        help="LUTs that are inverted, one at a time, to be found (default: 1)")
    args = parser.parse_args(argv)
    for name, least in (("rows", 1), ("seeds", 1), ("faults", 0)):
        if getattr(args, name) < least:
            parser.error(f"--{name} must be at least {least}")
    ops = c.OPS if args.op == "all" else (args.op,)
    ok = True
    try:
        configs = [LiteNormConfig(lanes=lanes, max_length=args.max_length, ops=ops) for lanes in args.lanes]
        configs += [LiteNormConfig(backend="serial", size=size, max_length=args.max_length, ops=ops)
                    for size in args.serial]
        with Console(stderr=True).status("") as status:
            for config in configs:
                title = f"serial, {config.size}" if config.serial else f"{config.lanes} lanes"
                status.update(f"{title}: synthesis, Verilator")
                dut = netlist_dut(config)
                compared = after = 0
                for seed in range(args.seeds):
                    status.update(f"{title}: rows, seed {seed}")
                    rows = check(dut, config, args.rows, 1000 * seed)
                    compared, after = compared + rows[0], after + rows[1]
                cells = ", ".join(f"{count} {kind}" for kind, count in sorted(dut.cells.items()))
                print(f"{title}, max_length {config.max_length}: {cells}")
                print(f"  {compared} rows and {after} behind a reset are the model's, bit for bit")
                for fault in range(args.faults):
                    status.update(f"{title}: fault {fault}")
                    dut = netlist_dut(config, fault)
                    try:
                        check(dut, config, args.rows, 0)
                    except SimulationError as error:
                        print(f"  planted: {dut.planted}: found, {str(error).splitlines()[0]}")
                    else:
                        ok = False
                        print(f"  planted: {dut.planted}: NOT found")
    except (SimulationError, ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
