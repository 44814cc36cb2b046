# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""soc/cfu.py: its Verilog, compiled by Verilator, and its model in C, against Python's integers; its timing; and what
these comparisons are worth: faults planted in the Verilog."""

import ctypes
import functools
from types import SimpleNamespace

import numpy as np
import pytest
from migen import Signal

from litenorm.firmware import host
from litenorm.sim.verilated import Stall, StreamDut
from litenorm.soc import cfu_model as m
from litenorm.soc.cfu import Cfu, add_cfu

STALLS = {"none": {}, "both": {"cmd": 0.3, "rsp": 0.3}, "response": {"rsp": Stall(0.7, burst=30)}}
CORNERS = (0, 1, 0x7F7F7F7F, 0x80808080, 0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 0x7F80807F, 0xFFFF0000)


# What is wrong, and the edit of the Verilog: it is so when the input `fault` is the fault's number, from 1 on.
FAULTS = {
    "the sign of a[1] is lost": ("a1 <= {{9{slice_proxy1[7]}}", "a1 <= {{9{slice_proxy1[7] & (fault != @)}}"),
    "a u16 is taken as s16": ("a0 <= cmd_payload_inputs_0[15:0];",
                              "a0 <= {(fault == @) & cmd_payload_inputs_0[15], cmd_payload_inputs_0[15:0]};"),
    "b[2] is dropped": ("b2 <= cmd_payload_inputs_1[23:16];", "b2 <= {8{fault != @}} & cmd_payload_inputs_1[23:16];"),
    "a product is lost when another one follows": ("acc30 <= (base30 + product30);",
                                                   "if ((fault != @) | ~loaded) acc30 <= (base30 + product30);"),
    "FIRST does not begin anew": ("(first_2 ? bias1 : acc01)", "((first_2 & (fault != @)) ? bias1 : acc01)"),
    "UPPER means the lower rows": ("(arg[1] ? 4'd12", "((arg[1] & (fault != @)) ? 4'd12"),
    "results are floored": ("(fine + $signed({1'd0, 1'd1}))", "(fine + $signed({1'd0, fault != @}))"),
    "s8 ends at -127": ("-8'd128)", "((fault == @) ? -8'd127 : -8'd128))"),
    "what does not fit is cut": ("if (fits) begin", "if (fits | (fault == @)) begin"),
    "START does not wait for the products": ("ready <= (((~working) & (~loaded)) & (~product));",
                                             "ready <= ((~working) & ((fault == @) | ((~loaded) & (~product))));"),
}


class FaultyCfu(Cfu):
    def __init__(self):
        self.fault = Signal(4)
        super().__init__()


@functools.cache
def unit(faulty=False):
    module = FaultyCfu() if faulty else Cfu()
    return StreamDut(module, {"cmd": module.cmd}, {"rsp": module.rsp}, inputs=[module.fault] if faulty else [],
                     name="cfu", edit=plant_all if faulty else None)


def plant_all(verilog):
    for number, (old, new) in enumerate(FAULTS.values(), 1):
        assert verilog.count(old) == 1, f"{old!r} must occur once in the Verilog: write the fault anew"
        verilog = verilog.replace(old, new.replace("@", f"4'd{number}"))
    return verilog


def run(commands, stall=None, seed=1, fault=None):
    """rd of each command (operation, arg, rs1, rs2), and the Result; with a fault's number of the unit that has it"""
    dut = unit(faulty=fault is not None)
    dut.power_up(seed)
    if fault is not None:
        dut.set(fault=fault)
    beats = dut.sinks["cmd"].beats(len(commands))
    columns = np.array(commands, np.uint64).T
    beats["function_id"] = columns[1] << m.OPERATION_BITS | columns[0]
    beats["inputs_0"], beats["inputs_1"] = columns[2], columns[3]
    result = dut.run({"cmd": beats}, stall=stall or {}, seed=seed, expect={"rsp": len(commands)},
                     fresh=False)
    return result["rsp"].beats["outputs_0"].astype(np.int64).tolist(), result


def check(commands, stall=None, seed=1):
    model = m.CfuModel()
    expected = [model.run(*command) for command in commands]
    got, result = run(commands, stall, seed)
    assert got == expected, f"seed {seed}: command {next(n for n, v in enumerate(got) if v != expected[n])}"
    return result


def word(rng):
    return int(rng.choice(CORNERS)) if rng.integers(5) == 0 else int(rng.integers(1 << 32))


def scale(rng):
    """multiplier and shift that give results of every size, and extremes of both"""
    multiplier = int(rng.integers(1 << 30, 1 << 31)) if rng.integers(4) else int(rng.choice([0, 1, (1 << 31) - 1]))
    return multiplier, int(rng.integers(25, 50)) if rng.integers(3) else int(rng.integers(1, 63))


def random_commands(seed, count):
    """Any operation with any argument in any order; every column has a shift from 1 to 62 before the first START."""
    rng = np.random.default_rng(seed)
    commands = [(m.SCALE, j, *scale(rng)) for j in range(m.TILE)]
    weights = np.array([8, 8, 1, 2, 3, 1, 5, 0.5])
    for operation in rng.choice(8, count, p=weights / weights.sum()).tolist():
        operands = scale(rng) if operation == m.SCALE else (word(rng), word(rng))
        commands.append((operation, int(rng.integers(1 << m.ARG_BITS)), *operands))
    return commands


SEQUENCE = 10_000   # commands


@functools.cache
def sequence(seed):
    """Random commands, and what the model makes of them."""
    model, commands = m.CfuModel(), random_commands(seed, SEQUENCE)
    return commands, [model.run(*command) for command in commands]


@pytest.mark.parametrize("name", STALLS)
def test_random_sequences(name):
    for seed in range(4):
        commands, expected = sequence(seed)
        got, _ = run(commands, STALLS[name], seed)
        wrong = [n for n, value in enumerate(got) if value != expected[n]]
        assert not wrong, f"seed {seed}: command {wrong[0]}"


def test_random_sequences_find_each_planted_fault():
    commands, expected = sequence(0)
    assert run(commands, fault=0)[0] == expected
    for number, what in enumerate(FAULTS, 1):
        got, _ = run(commands, fault=number)
        assert got != expected, f"nothing shows that {what}"


def test_the_model_in_c_is_the_same(tmp_path):
    m.write_header(tmp_path)
    library = host.build(tmp_path, ("cfu_model.c",), flags=host.SANITIZED)
    function = library.cfu_model
    function.argtypes, function.restype = [ctypes.c_void_p, *[ctypes.c_uint32] * 4], ctypes.c_uint32
    state = np.zeros(64, np.int32)
    for n, (command, rd) in enumerate(zip(*sequence(0), strict=True)):
        assert function(state.ctypes.data, *command) == rd, n


@pytest.mark.parametrize("wide", [0, 1])
def test_requantization_at_every_shift(wide):
    """Accumulators of every size: the bias alone, made by a product with 0."""
    rng = np.random.default_rng(5)
    commands = []
    for shift in range(1, 63):
        for bits in range(1, 33, 3):
            bias = [int(rng.integers(-(1 << bits - 1), 1 << bits - 1)) & 0xFFFFFFFF for _ in range(m.TILE)]
            commands += [(m.BIAS, j, bias[j], 0) for j in range(m.TILE)]
            commands += [(m.SCALE, j, scale(rng)[0], shift) for j in range(m.TILE)]
            commands += [(m.MAC_S8, 1 << m.FIRST, 0, 0), (m.START, wide << m.WIDE, 0, 0), *[(m.NEXT, 0, 0, 0)] * 9]
    check(commands)


def product(a, b):
    """Commands for the accumulators of s8 a [4, K] times b [K, 4]."""
    words = [[int.from_bytes(column.astype(np.uint8).tobytes(), "little") for column in matrix] for matrix in (a.T, b)]
    return [(m.MAC_S8, (k == 0) << m.FIRST, *pair) for k, pair in enumerate(zip(*words, strict=True))]


def test_matrix_product_is_numpy_s():
    rng = np.random.default_rng(2)
    a, b = rng.integers(-128, 128, (4, 100)), rng.integers(-128, 128, (100, 4))
    read = [(m.READ, n, 0, 0) for n in range(16)]
    got, _ = run([(m.MAC_S8, 0, 0x01010101, 0x01010101), *product(a, b), *read])
    assert np.array_equal(np.array(got[-16:]).astype(np.int32).reshape(4, 4), a @ b)


def test_u16_times_s8_is_numpy_s():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 65536, (4, 50)), rng.integers(-128, 128, (50, 4))
    commands = []
    for k in range(50):
        right = int.from_bytes(b[k].astype(np.uint8).tobytes(), "little")
        for part in range(2):
            left = int(a[2 * part, k] | a[2 * part + 1, k] << 16)
            commands.append((m.MAC_U16, (k == 0) << m.FIRST | part << m.UPPER, left, right))
    got, _ = run([*commands, *[(m.READ, n, 0, 0) for n in range(16)]])
    assert np.array_equal(np.array(got[-16:]).astype(np.int32).reshape(4, 4), a @ b)


def test_a_multiply_accumulate_is_taken_in_each_cycle_and_answered_in_the_next():
    result = check([(m.MAC_S8, 0, 0x01020304, 0x05060708)] * 100)
    assert np.array_equal(result["rsp"].cycles - result.accepted["cmd"], np.ones(100))
    assert set(np.diff(result.accepted["cmd"])) == {1}


@pytest.mark.parametrize("wide, first, step", [(0, Cfu.latency, 4), (1, Cfu.latency - 2, 2)])
def test_latency_of_requantization(wide, first, step):
    words = 8 if wide else 4
    result = check([(m.START, wide << m.WIDE, 0, 0), *[(m.NEXT, 0, 0, 0)] * words])
    taken = result.accepted["cmd"] - result.accepted["cmd"][0]
    assert taken[1:].tolist() == [first + step * n for n in range(words)]


@pytest.mark.parametrize("name, variant", [("vexriscv", "lite"), ("vexriscv", "full+cfu"), ("picorv32", "standard")])
def test_other_cpus_are_refused(name, variant):
    with pytest.raises(ValueError, match=f"the CPU is {name} .*; good: vexriscv standard or full"):
        add_cfu(SimpleNamespace(cpu=SimpleNamespace(name=name, variant=variant)))
