# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The core's Verilog and the MyHDL description, beat by beat; and what the comparison catches."""

import numpy as np
import pytest

from litenorm.accel import LiteNorm, LiteNormConfig
from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS
from litenorm.sim.cosim import HandshakeError, HangError, Stall, UnknownValueError
from litenorm.sim.lockstep import Description, LockStep, LockStepError, Row
from litenorm.sim.mutants import Fault
from litenorm.sim.rowcheck import compare_packets, mixed_rows

LENGTHS = tuple(range(1, 65))
STALLS = {
    "none": ({}, 0.0),
    "random": ({"sink": 0.3, "source": 0.4}, 0.2),
    "bursts": ({"sink": 0.1, "source": Stall(0.5, burst=20)}, Stall(0.3, burst=30)),
    "consumer_waits_for_valid": ({"sink": Stall(0.4, burst=10), "source": Stall(0.3, wait_valid=True)}, 0.0),
}


def pair_of(config, edit=None, **options):
    return LockStep(LiteNorm(config), name="litenorm", edit=edit, **options)


def check(pair, rows, result):
    """All beats were compared, the description gave every row, and both agree with the model, too."""
    assert result.follower.beats == len(rows.beats["sink"])
    assert len(result.follower.rows) == len(rows)
    compare_packets(result["source"].packets(16), rows)


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_every_operation_in_lock_step(lanes, stall):
    """All operations, formats, masks, eps and scales, N from 1 to 64, adversarial rows, gamma and beta."""
    seed = 10 * lanes + list(STALLS).index(stall)
    config = LiteNormConfig(lanes=lanes, max_length=64)
    pair = pair_of(config)
    rows = mixed_rows(pair, config, 24, seed, LENGTHS, edges=stall == "none")
    stalls, reference = STALLS[stall]
    result = pair.run(rows.beats, stall=stalls, reference_stall=reference, seed=seed)
    check(pair, rows, result)
    kinds = {(row.params["op"], row.params["format"]) if row.params["op"] == 0 else row.params["op"]
             for row in result.follower.rows}
    if stall == "none":
        assert kinds == {1, 2, *((0, f.code) for f in FORMATS.values())}
        assert any(row.pulses["constant_row"] for row in result.follower.rows)


@pytest.mark.parametrize("options", [
    dict(lanes=4, inputs=("s8",)),
    dict(lanes=2, ops=("softmax",), formats=("tfl_s8",)),
    dict(lanes=2, ops=("layernorm", "rmsnorm"), affine=False),
], ids=["s8", "softmax", "norms"])
def test_partial_cores(options):
    config = LiteNormConfig(max_length=50, **options)
    pair = pair_of(config)
    rows = mixed_rows(pair, config, 24, 5, LENGTHS, edges=False)
    check(pair, rows, pair.run(rows.beats, stall={"source": 0.3}, seed=5))


def test_long_rows():
    config = LiteNormConfig(lanes=4)
    pair = pair_of(config)
    rows = mixed_rows(pair, config, 3, 6, (257, 600, 1023), edges=False)
    check(pair, rows, pair.run(rows.beats, seed=6, hang_cycles=10_000))


def test_without_initial_values():
    """Registers that nothing but reset sets, as in an ASIC: no X leaves, and nothing else does either."""
    config = LiteNormConfig(lanes=2, max_length=32)
    pair = pair_of(config, regs_init=False)
    rows = mixed_rows(pair, config, 24, 7, LENGTHS, edges=False)
    check(pair, rows, pair.run(rows.beats, stall={"sink": 0.2, "source": 0.2}, seed=7))


def test_resets_in_mid_row():
    config = LiteNormConfig(lanes=2, max_length=24)
    pair = pair_of(config)
    rows = mixed_rows(pair, config, 80, 8, LENGTHS, edges=False)
    resets = [90, 91, 160, 233]
    result = pair.run(rows.beats, stall={"sink": 0.2, "source": 0.3}, seed=8, reset_at=resets)
    assert [r.cycle for r in result.resets] == resets
    behind = len(result["source"].beats) - result.resets[-1].sources["source"]
    assert result.follower.beats == len(result["source"].beats) and behind > 100


# What it catches ---------------------------------------------------------------------------------


def plant(edit):
    """A function that replaces a text that occurs once in the Verilog."""
    return Fault("planted", "core.py", "", (edit,)).plant


BIT = "(exp_exp2lane0_base_out - exp_exp2lane0_fall[21:10])"
DATA = "assign source_payload_data = requantize_source_payload_data;"


def port(name, text, before=""):
    """An edit that puts a text in front of what drives an output."""
    return f"assign {name} = ", f"{before}assign {name} = {text} "


def unknown(name):
    """An edit that makes an output X: an undriven wire is Z, and X behind an operator."""
    return port(name, "never ^", "wire never;\n")


CAUGHT = {
    "wrong_bit": (LockStepError, r"row \d+ \(.*element \d+: the Verilog gives 0x", (BIT, BIT.replace(":10", ":11"))),
    "swapped_lanes": (LockStepError, "the Verilog gives", (
        DATA, "assign source_payload_data = {requantize_source_payload_data[15:0], "
              "requantize_source_payload_data[31:16]};")),
    "no_last": (LockStepError, "give first=. last=0 and first=. last=1", port("source_last", "1'd0 &")),
    "constant_row": (LockStepError, "the Verilog gives constant_row 0, the description 1", port(
        "constant_row", "1'd0 &")),
    "row_done": (LockStepError, "the Verilog gives row_done 0, the description 1", port("row_done", "1'd0 &")),
    "row_error": (LockStepError, "the Verilog gives row_error 1, the description 0", port("row_error", "row_done |")),
    "valid_falls": (HandshakeError, "source.valid fell before ready", port(
        "source_valid", "odd &", "reg odd = 0; always @(posedge sys_clk) odd <= ~odd;\n")),
    "nothing_comes": (HangError, "description .*/.* rows", port("source_valid", "1'd0 &")),
    "x_in_payload": (UnknownValueError, "source_payload_data is X", unknown("source_payload_data")),
    "z_in_one_bit_of_payload": (UnknownValueError, "source_payload_data is X: .*[zZ]", (
        DATA, "wire never;\nassign source_payload_data = {requantize_source_payload_data[31:1], never};")),
    "x_in_valid": (UnknownValueError, "source_valid is X", unknown("source_valid")),
    "x_in_last": (UnknownValueError, "source_last is X", unknown("source_last")),
    "x_in_ready": (UnknownValueError, "sink_ready is X", unknown("sink_ready")),
    "x_in_pulse": (UnknownValueError, "row_error is X", unknown("row_error")),
    "x_in_memory": (UnknownValueError, "is X", (
        "if (row_buffer_queue_write_port_we)\n",
        "if ((row_buffer_queue_write_port_we & (row_buffer_queue_write_port_adr != 2'd3)))\n")),
}


@pytest.mark.parametrize("name", CAUGHT)
def test_fault_is_caught_with_the_seed(name):
    error, text, edit = CAUGHT[name]
    config = LiteNormConfig(lanes=2, max_length=16)
    pair = pair_of(config, edit=plant(edit))
    rows = mixed_rows(pair, config, 16, 9, LENGTHS, edges=False)
    with pytest.raises(error, match=text) as info:
        pair.run(rows.beats, stall={"sink": 0.2, "source": 0.3}, reference_stall=0.2, seed=77, hang_cycles=700)
    assert "seed 77" in str(info.value)


NO_MORE = "reg off = 0; always @(posedge sys_clk) if (source_valid & source_ready & source_last) off <= 1;\n"
ONE_MORE = ("reg [9:0] idle = 0; always @(posedge sys_clk) idle <= requantize_source_valid ? 0 : (idle == 901) ? 901 : "
            "(idle == 900) ? 900 + source_ready : idle + 1;\n")
LEFT_OVER = {
    "missing": ("did not give beat 0 of row", port("source_valid", "~off &", NO_MORE)),
    "extra": ("the Verilog gave 1 beats that no row asked for", port("source_valid", "(idle == 900) |", ONE_MORE)),
}


@pytest.mark.parametrize("name", LEFT_OVER)
def test_beats_left_over_are_caught(name):
    """Without a number of beats to expect, as after a reset, ``check`` finds what has no counterpart."""
    text, edit = LEFT_OVER[name]
    config = LiteNormConfig(lanes=2, max_length=16)
    pair = pair_of(config, edit=plant(edit))
    rows = pair.sinks["sink"].packets(np.zeros((12, 4), np.int64), bits=16, length=4)
    with pytest.raises(LockStepError, match=text) as info:
        pair.run({"sink": rows}, seed=77, reset_at=[5], idle_cycles=1500)
    assert "seed 77" in str(info.value)


def test_description_that_differs_is_caught(monkeypatch):
    """The other side: a wrong table in the description, not in the Verilog."""
    grid = c.exp2_grid()
    config = LiteNormConfig(lanes=1, max_length=16, ops=("softmax",))
    pair = pair_of(config)
    rows = mixed_rows(pair, config, 20, 12, LENGTHS)
    monkeypatch.setattr(c, "exp2_grid", lambda: [grid[0], *(g - 40 for g in grid[1:])])
    with pytest.raises(LockStepError, match="the Verilog gives"):
        pair.run(rows.beats, seed=12)


def test_same_run_twice_is_the_same():
    config = LiteNormConfig(lanes=2, max_length=16)
    results = []
    for _ in range(2):
        pair = pair_of(config)
        rows = mixed_rows(pair, config, 10, 13, LENGTHS, edges=False)
        results.append(pair.run(rows.beats, stall={"source": 0.5}, reference_stall=0.3, seed=13))
    a, b = results
    assert a.cycles == b.cycles and np.array_equal(a["source"].cycles, b["source"].cycles)
    assert [row.codes for row in a.follower.rows] == [row.codes for row in b.follower.rows]


def test_row_says_what_it_is():
    params = dict(op=0, format=2, length=3, eps=0)
    assert str(Row(4, [1, 2, 3, 4], params)) == "row 4 (softmax, 4 elements, 3 valid, format 2)"
    assert str(Row(5, [1], {**params, "op": 2, "eps": 9})) == "row 5 (rmsnorm, 1 elements, 3 valid, eps 9)"
    with pytest.raises(ValueError, match="a stall probability is from 0 to less than 1"):
        Description(LiteNormConfig(max_length=16), None, stall=1.0)
