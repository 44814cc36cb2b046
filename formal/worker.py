# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""One process of one proof: `python -m litenorm.formal.worker NAME BUG FOLDER` writes the model that solvers read.

BUG is the name of a planted bug, "-" for the design as it is, or "reached" to ask for runs that come to what is
proven. Files in FOLDER: `dut.v`, the Verilog of unit and harness; `proof.sv`, the properties around it;
`properties.json`, their names in the order of the harness; `model.smt2` or `model.aig` with `model.map`. Lemmas:
`lemma.smt2`. What needs no solver: `verdict.json`.
"""

import importlib
import json
import os
import sys
from pathlib import Path

from litenorm.formal import edits
from litenorm.formal.proofs import PROOFS

WITNESS = "reached"

# The netlist as the solvers see it: memories as registers, synchronous resets as multiplexers.
COMMON = """
read_verilog {folder}/dut.v
read_verilog -sv -formal {folder}/proof.sv
prep -flatten -top proof
{cut}
memory_map
opt -full -nodffe -nosdff
async2sync
dffunmap
opt_clean
"""
STRUCTURE = COMMON.replace("read_verilog -sv -formal {folder}/proof.sv\n", "").replace("{cut}\n", "")
SMT2 = COMMON + """
chformal -lower
write_smt2 -stbv -wires {folder}/model.smt2
"""
AIGER = COMMON + """
techmap
opt -fast -nodffe -nosdff
dffunmap
opt_clean
aigmap
opt_clean
write_aiger -zinit -symbols -map {folder}/model.map {folder}/model.aig
"""


def wrapper(harness, ports, properties, aiger):
    """SystemVerilog: inputs are free, properties are asserted (or, for AIGER, outputs that tell a failure).

    properties: {name: (port of the design under proof, whether it has to be 1)}
    """
    of = {id(signal): name for name, signal in ports.items()}
    width = {name: f"[{len(signal) - 1}:0] " if len(signal) > 1 else "" for name, signal in ports.items()}
    inputs = [of[id(s)] for s in harness.free_signals]
    constants = [of[id(s)] for s in harness.constant_signals]
    assumed = [of[id(s)] for s in harness.assumptions.values()]
    proven = [of[id(s)] for table in (harness.properties, harness.witnesses) for s in table.values()]
    ports = [f"input {width[n]}{n}" for n in ["sys_clk"] + (["sys_rst"] if harness.free_reset else []) + inputs]
    if aiger:
        ports += [f"output fail_{name}" for name in properties]
    lines = [f"module proof({', '.join(ports)});"]
    lines += [f"  (* anyconst *) wire {width[name]}{name};" for name in constants]
    lines += [f"  wire {name};" for name in assumed + proven]
    lines.append("  dut dut(")
    lines += [f"    .{name}({name})," for name in ["sys_clk", *inputs, *constants, *assumed, *proven]]
    lines.append(f"    .sys_rst({'sys_rst' if harness.free_reset else 0})")
    lines += ["  );", "  always @* begin", *(f"    assume ({name});" for name in assumed)]
    goals = {name: port if good else f"~{port}" for name, (port, good) in properties.items()}
    if not aiger:
        lines += [f"    {name}: assert ({goal});" for name, goal in goals.items()]
    lines.append("  end")
    if aiger:
        lines += [f"  assign fail_{name} = ~({goal});" for name, goal in goals.items()]
    return "\n".join(lines + ["endmodule", ""])


def run_yosys(script):
    from pyosys import libyosys

    for command in filter(None, script.splitlines()):
        libyosys.run_pass("tee -q " + command)


def independence(folder, start, *ends):
    """A verdict: none of the outputs `ends` can be reached from the input `start` without passing a register."""
    run_yosys(STRUCTURE.format(folder=folder))
    for end in ends:
        found = folder / f"{end}.txt"
        run_yosys(f"select -write {found} i:{start} %co*:-$dff o:{end} %i")
        if found.read_text().strip():
            return {"holds": False, "failed": end}
    return {"holds": True}


def main(name, bug, folder):
    """Write the files of one proof; returns the exit code."""
    folder = Path(folder)
    proof = PROOFS[name]
    edits.install([*proof.edits, *(filter(None, [proof.bugs.get(bug)]))])
    module, function = proof.build.split(":")
    arguments = proof.arguments | ({"wrong": True} if bug in proof.bugs and proof.bugs[bug] is None else {})
    made = getattr(importlib.import_module(f"litenorm.formal.{module}"), function)(**arguments)
    if proof.method == "lemma":
        (folder / "lemma.smt2").write_text(made)
        return 0
    if proof.method == "exhaustive":
        holds, failed = made
        (folder / "verdict.json").write_text(json.dumps({"holds": holds, "failed": failed}))
        return 0
    from litenorm.sim.verilog import convert

    if proof.method == "structure":
        text, ports = convert(made, "proof", [*made.free_signals, *made.independent])
        (folder / "dut.v").write_text(text)
        names = {id(signal): name for name, signal in ports.items()}
        verdict = independence(folder, *(names[id(s)] for s in made.independent))
        (folder / "verdict.json").write_text(json.dumps(verdict))
        return 0
    aiger = bug != "-" or proof.method != "induction"
    tables = (made.properties, made.witnesses, made.assumptions)
    ios = [*made.free_signals, *made.constant_signals, *(s for table in tables for s in table.values())]
    text, ports = convert(made, "dut", ios)
    if bug == WITNESS:
        properties = {f"reach_{name}": (f"reach_{name}", False) for name in made.witnesses}
    else:
        properties = {name: (f"prove_{name}", True) for name in made.properties
                      if bug == "-" or name not in made.supporting}
    (folder / "dut.v").write_text(text)
    (folder / "proof.sv").write_text(wrapper(made, ports, properties, aiger))
    (folder / "properties.json").write_text(json.dumps(list(properties)))
    cut = "cutpoint " + " ".join(f"w:dut.{s.name_override}" for s in made.cut_signals) if made.cut_signals else ""
    run_yosys((AIGER if aiger else SMT2).format(folder=folder, cut=cut))
    return 0


if __name__ == "__main__":
    try:
        code = main(*sys.argv[1:])
    except ValueError as e:
        print(f"error: {e}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)      # pyosys frees twice in the interpreter's own teardown
