# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/serial/core.py: rows through the core's streams, and the exported Verilog."""

import functools
import re
import subprocess
import zlib

import numpy as np
import pytest

from litenorm.accel import LiteNorm, LiteNormConfig, export, model
from litenorm.accel import constants as c
from litenorm.accel.core import core_for
from litenorm.accel.scale import Scale
from litenorm.accel.serial import model as serial_model
from litenorm.accel.serial.core import ScaleRegister, SerialLiteNorm
from litenorm.sim.cli import main
from litenorm.sim.cosim import StreamCoSim
from litenorm.sim.rowcheck import core_dut, mixed_rows, run_resets, run_rows
from litenorm.sim.verilated import SignalDut, Stall, StreamDut

BOTH = ("u8_255", "tfl_s8")
NORMS = ("layernorm", "rmsnorm")
CONFIGS = {
    "softmax_area": dict(ops="softmax", size="area", formats=BOTH),
    "softmax_balanced": dict(ops="softmax", size="balanced", formats=BOTH),
    "norm_area": dict(ops=NORMS, size="area", max_length=64),   # a row of 1024 takes 4 million cycles
    "norm_balanced": dict(ops=NORMS, size="balanced"),
    "all_balanced": dict(size="balanced", formats=BOTH),
    "eps_area": dict(ops=NORMS, size="area", eps=True, max_length=64),
    "eps_balanced": dict(ops=NORMS, size="balanced", eps=True),
    "all_area": dict(size="area", formats=BOTH, max_length=64),
    "softmax_wide": dict(ops="softmax", size="balanced", formats=("u16_q15", "tfl_s16", "u16_65535")),
    "softmax_wide_area": dict(ops="softmax", size="area", formats=("u16_q15", "tfl_s16", "u16_65535"), max_length=64),
    "one_wide_format": dict(ops="softmax", size="balanced", formats="tfl_s16", max_length=64),
    "one_format": dict(ops="softmax", size="balanced", formats="tfl_s8"),
    "without_masks": dict(ops="softmax", size="balanced", masks=False),
    "layernorm_without_masks": dict(ops="layernorm", size="balanced", masks=False),
    "rmsnorm_area": dict(ops="rmsnorm", size="area", max_length=64),
}
STALLS = ({}, {"sink": 0.5, "source": 0.5}, {"source": Stall(0.95, burst=300)})


def config_of(name, **options):
    return LiteNormConfig(**{"backend": "serial", **CONFIGS[name], **options})


@functools.cache
def dut_of(name, **options):
    return core_dut(core_for(config_of(name, **options)), StreamDut)


def seed_of(*case):
    seed = zlib.crc32(repr(case).encode()) >> 1
    print("seed", seed)
    return seed


# Streams -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stall", STALLS, ids=range(len(STALLS)))
@pytest.mark.parametrize("name", CONFIGS)
def test_rows_are_the_models(name, stall):
    seed = seed_of("rows", name, str(stall))
    dut = dut_of(name)
    config = config_of(name)
    rows = mixed_rows(dut, config, 40 if config.size == "area" else 150, seed)
    run_rows(dut, rows, stall, seed, max_cycles=1 << 40, hang_cycles=1 << 24)


@pytest.mark.parametrize("name", CONFIGS)
def test_reset_in_the_middle_of_a_row(name):
    seed = seed_of("reset", name)
    dut, rng = dut_of(name), np.random.default_rng(seed)
    for _ in range(5):
        rows = mixed_rows(dut, config_of(name), 30, int(rng.integers(1 << 30)), (1, 2, 9, 16), edges=False)
        assert run_resets(dut, rows, sorted(rng.integers(1, 5000, 3).tolist()), {"source": 0.3}, seed,
                          max_cycles=1 << 40, hang_cycles=1 << 24, idle_cycles=1 << 20) > 0


def test_cosimulation():
    config = config_of("softmax_balanced", max_length=16)
    dut = core_dut(core_for(config), StreamCoSim)
    run_rows(dut, mixed_rows(dut, config, 6, 1, lengths=(1, 3, 9), edges=False), {"source": 0.3}, 1)


def test_self_check_sees_a_wrong_code():
    """A fault planted in the unit's result: each row whose sum it changes is reported, and no other."""
    config = config_of("softmax_balanced", formats="u8_255", max_length=64)
    dut = core_dut(core_for(config), StreamDut, edit=lambda text: re.sub(
        r"(assign \w+_result = )(\w+_product\[7:0\]);", r"\1(\2 | 1'd1);", text))
    x = np.random.default_rng(1).integers(-128, 128, (40, 3))
    scale = Scale.from_real(0.02)
    codes = model.softmax(x, scale, "u8_255", config=config)
    wrong = (codes % 2 == 0).any(axis=1)
    assert 0 < wrong.sum() < len(x)
    beats = dut.sinks["sink"].packets(x, bits=8, op=0, format=0, length=3, scale_multiplier=scale.multiplier,
                                      scale_shift=scale.shift)
    result = dut.run({"sink": beats}, expect={"source": x.size}, max_cycles=1 << 20)
    assert np.array_equal(result["source"].lanes(16)[:, 0], (codes | 1).reshape(-1))
    done, errors = result.events["row_done"].tolist(), result.events["row_error"].tolist()
    assert [cycle in errors for cycle in done] == wrong.tolist() and len(done) == len(x)


def test_scale_register():
    """Every shift, and multipliers at the ends: K is the model's, saturated above its largest."""
    register = ScaleRegister()
    dut = SignalDut(register, inputs=[register.load, register.multiplier, register.shift],
                    outputs=[register.done, register.k])
    for shift in range(32):
        for multiplier in (0, 1, 2, 3, 12345, 32767, 32768, 61439, 61440, 61441, 65535):
            dut.set(multiplier=multiplier, shift=shift, load=1)
            dut.clock()
            dut.set(load=0)
            dut.clock(shift + 1)
            assert dut.get("done") and dut.get("k") == serial_model.saturated_scale(multiplier, shift)


def test_scale_that_is_too_large_is_refused_by_the_model():
    config = config_of("softmax_area")
    assert model.softmax([[0, 1]], config.max_scale, "u8_255", config=config).tolist() == [[54, 201]]
    with pytest.raises(ValueError, match="scale is 1.5.*; good: at most 1.29965 for the serial back end"):
        model.softmax([[0, 1]], Scale.from_real(1.5), "u8_255", config=config)


# Choice and export -------------------------------------------------------------------------------------------


def test_core_for():
    assert isinstance(core_for(LiteNormConfig()), LiteNorm)
    assert isinstance(core_for(config_of("softmax_area")), SerialLiteNorm)
    with pytest.raises(ValueError, match="backend is serial; good: parallel"):
        LiteNorm(config_of("softmax_area"))
    with pytest.raises(ValueError, match="backend is parallel; good: serial"):
        SerialLiteNorm(LiteNormConfig())


@pytest.mark.parametrize("op,size", [("softmax", "area"), ("softmax", "balanced"), ("layernorm", "area"),
                                     ("all", "area")])
def test_export(op, size, tmp_path, capsys):
    """The command's Verilog is that of the core, and Verilator and Icarus have nothing to say about it."""
    assert main(["verilog", "--op", op, "--backend", "serial", "--size", size, "--formats", "u8_255,tfl_s8",
                 "--max-length", "64", "-o", str(tmp_path)]) == 0
    path = tmp_path / f"litenorm_{'' if op == 'all' else op + '_'}serial_{size}.v"
    assert capsys.readouterr().out.startswith(f"{path}: ")
    config = LiteNormConfig(backend="serial", ops=c.OPS if op == "all" else op, size=size, formats=BOTH, max_length=64)
    assert path.read_text() == export.verilog(config, path.stem)
    assert not re.search(r"slice_proxy|array_muxed", path.read_text())      # every name says what it is
    done = subprocess.run(["iverilog", "-g2005", "-Wall", "-tnull", path], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout + done.stderr
    waived = ["COMBDLY", "CASEINCOMPLETE", "CMPCONST", "WIDTH", "UNUSEDSIGNAL"]
    done = subprocess.run(["verilator", "--lint-only", "-Wall", *[f"-Wno-{w}" for w in waived], path],
                          capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout + done.stderr


def test_export_of_eps(tmp_path):
    assert main(["verilog", "--backend", "serial", "--size", "balanced", "--eps", "-o", str(tmp_path)]) == 0
    config = LiteNormConfig(backend="serial", size="balanced", eps=True)
    assert (tmp_path / "litenorm_serial_balanced.v").read_text() == export.verilog(config, "litenorm_serial_balanced")


@pytest.mark.parametrize("arguments,text", [
    (["--lanes", "4"], "lanes is 4; good: 1 for the serial back end"),
    (["--formats", "u16_q15,u8_255"], "tfl_s8, or of u16_q15, tfl_s16, u16_65535 for the serial back end"),
    (["--max-length", "2048"], "max_length is 2048; good: 2 to 1024"),
])
def test_export_refuses(arguments, text, tmp_path, capsys):
    assert main(["verilog", "--op", "softmax", "--backend", "serial", *arguments, "-o", str(tmp_path / "rtl")]) == 1
    error = capsys.readouterr().err
    assert text in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
