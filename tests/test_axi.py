# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""accel/axi.py: the Verilog that `litenorm verilog --bus axi` writes, Verilated and driven through its AXI ports."""

import functools
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from litenorm.accel import LiteNorm, LiteNormConfig, axi_registers, export, model
from litenorm.accel.axi_registers import MAP_VERSION, STATUS, configuration_fields, registers
from litenorm.accel.scale import Scale
from litenorm.sim.axi import axi_channels_dut, axi_rows_dut
from litenorm.sim.cli import main
from litenorm.sim.rowcheck import RowMismatch, compare_packets, mixed_rows
from litenorm.sim.verilated import Stall

CONFIGS = {
    "1 lane": LiteNormConfig(lanes=1, max_length=64, inputs="s8"),
    "4 lanes": LiteNormConfig(lanes=4, max_length=64),
    "serial area": LiteNormConfig(backend="serial", size="area", max_length=16, formats=("u8_255", "tfl_s8")),
    "serial balanced": LiteNormConfig(backend="serial", size="balanced", max_length=64, eps=True),
    "softmax": LiteNormConfig(lanes=2, max_length=100, ops="softmax", formats="tfl_s8"),
}
STALLS = (
    {},
    {"sink": 0.3, "source": 0.3, "weights": 0.5},
    {"sink": 0.1, "source": Stall(0.5, burst=20)},
    {"sink": Stall(0.5, burst=15)},
)
# What LiteX's generator writes by design, see test_export.py.
WAIVED = ["-Wno-COMBDLY", "-Wno-CASEINCOMPLETE", "-Wno-CMPCONST", "-Wno-WIDTH", "-Wno-UNUSEDSIGNAL"]
# The bit-serial norms are slow: 300,000 cycles a row of 64.
LIMITS = dict(max_cycles=1 << 40, hang_cycles=1 << 20)
OKAY, SLVERR = 0, 2


@functools.cache
def rows_dut(name):
    return axi_rows_dut(CONFIGS[name])


@functools.cache
def channels_dut(name="4 lanes"):
    return axi_channels_dut(CONFIGS[name])


def offset(name, config=None):
    return next(r.offset for r in registers(config or CONFIGS["4 lanes"]) if r.name == name)


def stalls_of(dut, stall):
    return {name: value for name, value in stall.items() if name in {**dut.sinks, **dut.sources}}


def read_all(dut, config, stall=None, seed=0):
    """dict of register name to value, through the read channels."""
    words = registers(config)
    beats = dut.sinks["ar"].packets([[r.offset] for r in words], field="addr")
    result = dut.run({"ar": beats}, fresh=False, expect={"r": len(words)}, stall=stall or {}, seed=seed)
    assert (result["r"].beats["resp"] == OKAY).all()
    return {r.name: int(value) for r, value in zip(words, result["r"].beats["data"], strict=True)}


def write(dut, writes, stall=None, seed=0):
    """Carry out (address, data[, strobe]) writes; returns their responses, and the Result."""
    writes = [(*w, 15)[:3] for w in writes]
    aw, w = dut.sinks["aw"], dut.sinks["w"]
    data = w.packets([[value] for _, value, _ in writes], field="data", strb=[s for *_, s in writes])
    result = dut.run({"aw": aw.packets([[address] for address, *_ in writes], field="addr"), "w": data}, fresh=False,
                     expect={"b": len(writes)}, stall=stall or {}, seed=seed)
    return result["b"].beats["resp"].tolist(), result


# Rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_every_op_equals_the_model_under_stalls(name):
    dut, config = rows_dut(name), CONFIGS[name]
    for seed, stall in enumerate(STALLS):
        rows = mixed_rows(dut, config, 120, seed)
        after = {"sink": "weights"} if "weights" in rows.beats else None
        result = dut.run(rows.beats, stall=stalls_of(dut, stall), seed=seed, after=after,
                         expect={"source": len(rows.beats["sink"])}, **LIMITS)
        compare_packets(result["source"].packets(16), rows, seed=seed)
        assert not len(result.events["refused"]) and not len(result.events["irq"]), f"seed {seed}"
        values = read_all(dut, config)
        assert values["rows_started"] == values["rows_done"] == len(rows), f"seed {seed}"
        expected = 1 | any(rows.constant) << list(STATUS).index("constant_row")
        assert values["status"] == expected, f"seed {seed}"


@pytest.mark.parametrize("name", ["4 lanes", "serial balanced"])
def test_reset_in_mid_row(name):
    """The rows that begin after a reset are the model's, and the registers are those of a fresh core."""
    dut, config = rows_dut(name), CONFIGS[name]
    for seed in range(12):
        rng = np.random.default_rng(seed)
        rows = mixed_rows(dut, config, 60, seed, edges=False)
        at = int(rng.integers(2000, 3500))
        stall = stalls_of(dut, STALLS[seed % len(STALLS)])
        after = {"sink": "weights"} if "weights" in rows.beats else None
        result = dut.run(rows.beats, stall=stall, seed=seed, after=after, reset_at=[at], idle_cycles=1 << 15, **LIMITS)
        record = result.resets[0]
        begun = int(rows.beats["sink"]["first"][: record.sinks["sink"]].sum())
        assert 0 < begun < len(rows), f"seed {seed}"
        capture = result["source"]
        capture.beats = capture.beats[record.sources["source"]:]
        compare_packets(capture.packets(16), rows, begun, seed)
        values = read_all(dut, config)
        assert values["rows_started"] == values["rows_done"] == len(rows) - begun, f"seed {seed}"
        assert not values["status"] >> list(STATUS).index("bad_params"), f"seed {seed}"


def test_a_planted_fault_is_found():
    """The bench sees it when the parameters of a row are those of the one before."""
    config = CONFIGS["softmax"]

    def late(text):
        changed = text.replace("gate_source_param_scale_multiplier <= ", "gate_source_param_scale_shift <= ", 1)
        assert changed != text
        return changed

    dut = axi_rows_dut(config, edit=late)
    rows = mixed_rows(dut, config, 40, 1)
    with pytest.raises(RowMismatch):
        result = dut.run(rows.beats, seed=1, expect={"source": len(rows.beats["sink"])}, **LIMITS)
        compare_packets(result["source"].packets(16), rows, seed=1)


# Registers ---------------------------------------------------------------------------------------------------


def test_registers_of_a_fresh_core():
    dut = channels_dut()
    dut.power_up(1)
    values = read_all(dut, dut_config := CONFIGS["4 lanes"])
    assert values["id"].to_bytes(4, "big") == b"LNRM" and values["version"] == MAP_VERSION
    assert values["max_length"] == dut_config.max_length
    fields = {name: values["configuration"] >> low & ((1 << bits) - 1) for name, low, bits in configuration_fields()}
    assert fields == dict(lanes=4, input_bits=16, ops=7, formats=31, affine=1, eps=1, serial=0, parity=0)
    assert not any(value for name, value in values.items()
                   if name not in ("id", "version", "max_length", "configuration"))


@pytest.mark.parametrize("stall", [
    {},
    {"aw": 0.7, "w": 0.2, "b": 0.5, "ar": 0.4, "r": 0.6},
    {"aw": 0.1, "w": Stall(0.7, burst=9), "b": Stall(0.5, burst=7, wait_valid=True)},
    {"aw": Stall(0.8, burst=12), "b": Stall(0.6, burst=15), "ar": Stall(0.3, burst=5), "r": Stall(0.7, burst=9)},
], ids=["none", "address late", "data late", "bursts"])
def test_random_writes_and_reads(stall):
    """Address and data in any order, all strobes; SLVERR exactly where nothing was written."""
    dut, config = channels_dut(), CONFIGS["4 lanes"]
    words = {r.offset: r for r in registers(config)}
    for seed in range(4):
        dut.power_up(seed)
        rng = np.random.default_rng(seed)
        state = {r.name: 0 for r in words.values()}
        for batch in range(4):
            writes, expected = [], []
            for _ in range(150):
                address = int(rng.integers(0, 256) if rng.random() < 0.2 else rng.choice(list(words)) + rng.integers(4))
                bits = int(rng.choice([1, 4, 8, 16, 32]))
                data, strobe = int(rng.integers(0, 1 << bits)), int(rng.choice([15, 15, rng.integers(16)]))
                writes.append((address, data, strobe))
                word = words.get(address & ~3)
                mask = sum(0xFF << 8 * i for i in range(4) if strobe >> i & 1)
                good = word is not None and word.access != "ro" and not (data & mask) >> word.bits
                expected.append(OKAY if good else SLVERR)
                if good and word.access == "rw":
                    state[word.name] = state[word.name] & ~mask | data & mask
            responses, _ = write(dut, writes, stalls_of(dut, stall), seed)
            assert responses == expected, f"seed {seed}, batch {batch}"
            values = read_all(dut, config, stall, seed)
            for r in words.values():
                if r.access == "rw":
                    assert values[r.name] == state[r.name], f"{r.name}, seed {seed}, batch {batch}"


def test_reads_of_what_is_not_there():
    dut = channels_dut()
    dut.power_up(1)
    known = {r.offset for r in registers(CONFIGS["4 lanes"])}
    addresses = list(range(256))
    beats = dut.sinks["ar"].packets([[a] for a in addresses], field="addr")
    result = dut.run({"ar": beats}, stall={"r": 0.3}, seed=1, expect={"r": 256})
    assert result["r"].beats["resp"].tolist() == [OKAY if a & ~3 in known else SLVERR for a in addresses]
    assert not result["r"].beats["data"][[a & ~3 not in known for a in addresses]].any()


def test_reads_and_writes_at_once():
    """The two directions do not wait for each other."""
    dut = channels_dut()
    dut.power_up(1)
    count = 200
    beats = {
        "aw": dut.sinks["aw"].packets([[offset("length")]] * count, field="addr"),
        "w": dut.sinks["w"].packets([[i % 64] for i in range(count)], field="data", strb=15),
        "ar": dut.sinks["ar"].packets([[offset("length")]] * count, field="addr"),
    }
    result = dut.run(beats, seed=1, expect={"b": count, "r": count})
    assert not result["b"].beats["resp"].any() and not result["r"].beats["resp"].any()
    seen = result["r"].beats["data"].astype(int)
    assert set(np.diff(seen) % 64) <= {0, 1, 2}     # never back to an older value
    assert max(result["b"].cycles[-1], result["r"].cycles[-1]) < 3 * count + 10      # back to back


def test_no_answer_before_both_halves_of_a_write():
    dut = channels_dut()
    for alone, field in (("aw", "addr"), ("w", "data")):
        dut.power_up(1)
        result = dut.run({alone: dut.sinks[alone].packets([[offset("length")]], field=field)}, idle_cycles=100)
        assert not len(result["b"].beats)


# What is wrong, and what is said about it --------------------------------------------------------------------


def softmax_params(valid, **changes):
    scale = Scale.from_real(0.05)
    values = dict(op=0, format=2, length=valid, scale_multiplier=scale.multiplier, scale_shift=scale.shift)
    return [(offset(name), value) for name, value in (values | changes).items()]


def send(dut, rows, bits=16, **options):
    options = {"idle_cycles": 2000} | options
    return dut.run({"sink": dut.sinks["sink"].packets(rows, bits=bits, pad=0)}, fresh=False, **options)


def codes_of(x):
    return model.softmax(np.asarray(x), Scale.from_real(0.05), "u16_q15").tolist()


@pytest.mark.parametrize("stall", [{}, {"sink": 0.4, "source": 0.6}], ids=["no stalls", "stalls"])
def test_a_bad_row_is_dropped_and_the_next_one_works(stall):
    dut = channels_dut()
    dut.power_up(1)
    x = np.random.default_rng(1).integers(-500, 500, 12)
    flag = 1 << list(STATUS).index("bad_params")
    assert write(dut, [(offset("interrupt_enable"), flag)])[0] == [OKAY]
    for changes in (dict(op=3), dict(format=5), dict(length=0), dict(length=65), dict(op=3, length=1)):
        assert not any(write(dut, softmax_params(12, **changes))[0])
        result = send(dut, [x, x, x[:1]], stall=stall)
        assert not len(result["source"].beats) and len(result.events["irq"]), changes
        assert write(dut, [(offset("status"), flag), *softmax_params(12)])[0] == [OKAY] * 6
        result = send(dut, [x], stall=stall)
        assert result["source"].packets(16)[0][:12].tolist() == codes_of(x), changes
        assert not len(result.events["irq"]), changes
    values = read_all(dut, CONFIGS["4 lanes"])
    assert values["rows_done"] == values["rows_started"] == 5


@pytest.mark.parametrize("stall", [{}, {"sink": 0.4, "source": 0.6}], ids=["no stalls", "stalls"])
def test_a_row_without_its_length_is_filled_up_or_cut(stall):
    dut = channels_dut()
    dut.power_up(1)
    x = np.random.default_rng(2).integers(-500, 500, 100)
    flag = 1 << list(STATUS).index("bad_row")
    write(dut, softmax_params(13))
    for sent in (1, 4, 5, 12):
        result = send(dut, [x[:sent]], stall=stall)
        row = np.zeros(13, np.int64)
        row[:sent] = x[:sent]
        assert result["source"].packets(16)[0][:13].tolist() == codes_of(row), sent
        assert read_all(dut, CONFIGS["4 lanes"])["status"] & flag
        write(dut, [(offset("status"), flag)])
    for sent in (65, 68, 69, 100):
        result = send(dut, [x[:sent], x[:13]], stall=stall)
        packets = result["source"].packets(16)
        assert [len(p) for p in packets] == [64, 16], sent
        assert [p[:13].tolist() for p in packets] == [codes_of(x[:13])] * 2, sent
        assert read_all(dut, CONFIGS["4 lanes"])["status"] & flag
        write(dut, [(offset("status"), flag)])
    # One that fits is no reason to complain, masked elements or not.
    send(dut, [x[:13], x[:16], x[:64]], stall=stall)
    assert not read_all(dut, CONFIGS["4 lanes"])["status"] & flag


def test_params_are_those_of_the_first_beat():
    """Changed while the row is on its way, they count for the next row."""
    dut = channels_dut()
    dut.power_up(1)
    x = np.random.default_rng(3).integers(-500, 500, 40)
    write(dut, softmax_params(40))
    beats = dut.sinks["sink"].packets([x], bits=16)
    changes = softmax_params(7, format=0)
    aw = dut.sinks["aw"].packets([[a] for a, _ in changes], field="addr")
    w = dut.sinks["w"].packets([[v] for _, v in changes], field="data", strb=15)
    stall = {"sink": Stall(0.9, burst=30), "aw": 0.9}
    result = dut.run({"sink": beats, "aw": aw, "w": w}, fresh=False, seed=5, stall=stall,
                     expect={"source": len(beats), "b": len(changes)})
    first, last = result.accepted["sink"][[0, -1]]
    assert first < result.accepted["aw"][0] and result["b"].cycles[-1] < last       # in the middle of the row
    assert result["source"].packets(16)[0].tolist() == codes_of(x)


def test_latency_is_the_cores_and_one_cycle_more():
    dut, config = channels_dut(), CONFIGS["4 lanes"]
    core = LiteNorm(config)
    for op, code in (("softmax", 0), ("layernorm", 1)):
        for n in (4, 33, 64):
            dut.power_up(1)
            write(dut, softmax_params(n, op=code))
            result = send(dut, [np.arange(n)])
            cycles = int(result["source"].cycles[-1] - result.accepted["sink"][0])
            assert cycles == core.passes[op] * (config.beats(n) - 1) + core.latency[op] + 1, (op, n)


def test_too_many_weights_are_dropped():
    dut, config = channels_dut(), CONFIGS["4 lanes"]
    dut.power_up(1)
    rng = np.random.default_rng(4)
    gamma, x = rng.integers(-3000, 3000, 64), rng.integers(-500, 500, 64)
    port = dut.sinks["weights"]
    long = np.concatenate([gamma, rng.integers(-3000, 3000, 9)])
    dut.run({"weights": np.concatenate([port.packets([long], bits=16, beta=0),
                                        port.packets([np.zeros(64, np.int64)], bits=16, beta=1)])}, fresh=False,
            idle_cycles=200)
    assert read_all(dut, config)["status"] == 1 << list(STATUS).index("bad_weights")
    names = dict(op=1, length=64, affine=1, out_s8=0, affine_shift=12)
    write(dut, [(offset(name), value) for name, value in names.items()])
    result = send(dut, [x])
    affine = export_affine(gamma, 12)
    assert result["source"].packets(16, signed=True)[0].tolist() == model.layernorm(x, affine=affine).tolist()


def export_affine(gamma, shift):
    from litenorm.accel.affine import Affine

    return Affine(gamma, np.zeros_like(gamma), shift, 0, "s16")


def test_interrupt_and_write_1_to_clear():
    dut = channels_dut()
    dut.power_up(1)
    x = np.arange(8)
    write(dut, softmax_params(8))
    assert not len(send(dut, [x]).events["irq"])                       # not enabled
    assert read_all(dut, CONFIGS["4 lanes"])["status"] == 1            # row_done
    _, result = write(dut, [(offset("interrupt_enable"), 0x3F)])
    assert len(result.events["irq"])
    write(dut, [(offset("status"), 0x3E)])                             # the other bits: it stays
    assert dut.get("irq") == 1
    write(dut, [(offset("status"), 1, 0)])                             # no strobe: it stays
    assert dut.get("irq") == 1
    write(dut, [(offset("status"), 1)])
    assert dut.get("irq") == 0 and read_all(dut, CONFIGS["4 lanes"])["status"] == 0
    write(dut, [(offset("op"), 1)])
    result = send(dut, [np.full(8, 7)])                                # LayerNorm of a constant row
    assert read_all(dut, CONFIGS["4 lanes"])["status"] == 1 | 1 << list(STATUS).index("constant_row")
    assert not result["source"].packets(16)[0].any()


# What is written beside it -----------------------------------------------------------------------------------


def test_map_names_every_row_param_once():
    from litenorm.accel.rows import row_params

    for config in CONFIGS.values():
        words = registers(config)
        assert [r.offset for r in words] == list(range(0, 4 * len(words), 4)) and words[-1].offset < 256
        covered = {}
        for r in words:
            if r.param:
                covered[r.param[0]] = covered.get(r.param[0], 0) + r.bits
        assert covered == dict(row_params(config)) and set(covered) == set(axi_registers.PARAMS)


def test_c_header(tmp_path):
    config = CONFIGS["4 lanes"]
    (tmp_path / "litenorm_axi.h").write_text(axi_registers.c_header(config))
    names = [name for name, *_ in axi_registers.constants(config)]
    lines = "".join(f'printf("%u\\n", LITENORM_AXI_{name});' for name in names)
    (tmp_path / "main.c").write_text(f'#include <stdio.h>\n#include "litenorm_axi.h"\n#include "litenorm_axi.h"\n'
                                     f"int main(void) {{ {lines} return 0; }}\n")
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "main.c", "-o", "main"],
                   cwd=tmp_path, check=True)
    out = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    assert [int(v) for v in out.split()] == [value for _, value, _ in axi_registers.constants(config)]


def test_refuses_a_core_without_masks():
    with pytest.raises(ValueError, match="masks is False; good: True"):
        export.axi_verilog(LiteNormConfig(backend="serial", masks=False))


def test_docs_have_the_map():
    page = (Path(__file__).parent.parent / "docs" / "standalone.md").read_text()
    assert axi_registers.markdown() in page, "python -m litenorm.accel.axi_registers prints the tables"
    for stream_name in ("aclk", "aresetn", "irq"):
        assert f"`{stream_name}`" in page


# The command, and the example --------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments,name,config", [
    (["--lanes", "4", "--max-length", "64"], "litenorm_axi", CONFIGS["4 lanes"]),
    (["--op", "softmax", "--lanes", "1"], "litenorm_axi_softmax", LiteNormConfig(lanes=1, ops="softmax")),
    (["--backend", "serial"], "litenorm_axi_serial_area", LiteNormConfig(backend="serial")),
], ids=["parallel", "softmax", "serial"])
def test_command(arguments, name, config, tmp_path, capsys):
    assert main(["verilog", "--bus", "axi", *arguments, "-o", str(tmp_path / "rtl")]) == 0
    files = sorted(p.name for p in (tmp_path / "rtl").iterdir())
    assert files == sorted([f"{name}.v", "litenorm_axi.h", "litenorm_axi.vh"])
    assert capsys.readouterr().out.count("\n") == 3
    text = (tmp_path / "rtl" / f"{name}.v").read_text()
    assert text == export.axi_verilog(config, name)
    assert (tmp_path / "rtl" / "litenorm_axi.h").read_text() == axi_registers.c_header(config)
    ports = set(re.findall(r"^    (?:input|output)\s+wire\s+(?:\[\d+:0\]\s+)?(\w+)", text, flags=re.M))
    streams = ["s_axis", "m_axis"] + ["s_axis_weights"] * config.has_affine
    expected = {"aclk", "aresetn", "irq"} | {f"{s}_t{p}" for s in streams for p in ("data", "valid", "ready", "last")}
    expected |= {"s_axis_weights_tuser"} if config.has_affine else set()
    expected |= {f"s_axil_{p}" for p in """awaddr awprot awvalid awready wdata wstrb wvalid wready bresp bvalid bready
                                            araddr arprot arvalid arready rdata rresp rvalid rready""".split()}
    assert ports == expected
    path = tmp_path / "rtl" / f"{name}.v"
    done = subprocess.run(["iverilog", "-g2005", "-Wall", "-tnull", path], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout + done.stderr
    done = subprocess.run(["verilator", "--lint-only", "-Wall", *WAIVED, path], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout + done.stderr


def test_command_leaves_nothing_behind_when_it_fails(tmp_path, capsys):
    (tmp_path / "litenorm_axi.h").mkdir()       # a file cannot take this name
    assert main(["verilog", "--bus", "axi", "-o", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.glob("*.tmp*"))


TESTBENCH = """\
`timescale 1ns / 1ps
module testbench;
    reg clk = 0, rst_n = 0;
    wire [63:0] result;
    wire result_valid, result_last, done, error;
    reg result_ready = 0;
    integer rows = 0, cycles = 0;
    litenorm_example dut(.clk(clk), .rst_n(rst_n), .result(result), .result_valid(result_valid),
                         .result_last(result_last), .result_ready(result_ready), .done(done), .error(error));
    always #5 clk = ~clk;
    always @(posedge clk) begin
        cycles <= cycles + 1;
        rst_n <= cycles >= 4;
        result_ready <= $random;
        if (rst_n & dut.tvalid & dut.tready) $display("in %h", dut.tdata);
        if (rst_n & result_valid & result_ready) begin
            $display("out %h", result);
            if (result_last) rows <= rows + 1;
        end
        if ((rows == 3) | (cycles == 20000)) begin
            $display("done %b error %b", done, error);
            $finish;
        end
    end
endmodule
"""


def test_example_in_icarus(tmp_path):
    """docs/litenorm_example.v around the exported core gives the model's codes of the rows in its ROM."""
    assert main(["verilog", "--bus", "axi", "--lanes", "4", "--max-length", "64", "-o", str(tmp_path)]) == 0
    (tmp_path / "testbench.v").write_text(TESTBENCH)
    example = Path(__file__).parent.parent / "docs" / "litenorm_example.v"
    done = subprocess.run(["iverilog", "-g2005", "-Wall", "-Wno-timescale", "-I", tmp_path, "-s", "testbench", "-o",
                           "example", example, "litenorm_axi.v", "testbench.v"], cwd=tmp_path, capture_output=True,
                          text=True)
    assert done.returncode == 0 and not done.stdout + done.stderr
    out = subprocess.run(["vvp", "-n", "example"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "done 1 error 0" in out
    words = {kind: np.array([int(w, 16) for w in re.findall(rf"^{kind} ([0-9a-f]+)$", out, flags=re.M)], "<u8")
             for kind in ("in", "out")}
    x = words["in"].view("<i2").reshape(3, 16).astype(np.int64)
    assert f"16'sd{abs(x[0, 3])}" in example.read_text() and len(np.unique(x[0])) > 8      # not zeros
    scale = Scale.from_real(0.01)
    assert f"32'd{scale.multiplier}}};" in example.read_text() and f"32'd{scale.shift}}};" in example.read_text()
    expected = [*model.softmax(x[:2], scale, "u16_q15"), model.layernorm(x[2], eps=1.0).astype(np.uint16)]
    assert words["out"].view("<u2").reshape(3, 16).tolist() == np.array(expected).astype(int).tolist()
