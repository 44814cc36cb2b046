# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""bench/throughput.py: the core's latency is the formula of its docstring, and the peripheral fills the bus."""

import functools
import json
import re

import pytest
from litex.gen import LiteXModule
from litex.soc.interconnect import wishbone
from migen import If, Mux, Signal

from litenorm.accel import LiteNorm, LiteNormConfig
from litenorm.accel import constants as c
from litenorm.bench import throughput as bench
from litenorm.sim.verilated import SignalDut
from litenorm.sim.wishbone import Memory

LENGTHS = (2, 3, 16, 17, 32, 64, 100, 128, 256, 1023, 1024)

# Words per cycle by length, s8 in, 4 lanes; a figure may differ by 3 %.
MARGIN = 0.03
PINNED = {
    ("softmax", "tfl_s8"): {16: 0.798, 32: 0.970, 64: 0.970, 128: 0.970, 256: 0.970, 1024: 0.970},
    ("softmax", "u8_255"): {16: 0.798, 32: 0.970, 64: 0.970, 128: 0.970, 256: 0.970, 1024: 0.970},
    ("layernorm", "s8"): {16: 0.725, 32: 0.969, 64: 0.969, 128: 0.969, 256: 0.969, 1024: 0.970},
    ("layernorm", "s16"): {16: 0.969, 32: 0.970, 64: 0.970, 128: 0.970, 256: 0.970, 1024: 0.970},
    ("rmsnorm", "s8"): {16: 0.725, 32: 0.969, 64: 0.969, 128: 0.969, 256: 0.969, 1024: 0.970},
    ("rmsnorm", "s16"): {16: 0.969, 32: 0.970, 64: 0.970, 128: 0.970, 256: 0.970, 1024: 0.970},
}


# Latency -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", c.LANES)
def test_latency_is_the_formula(lanes):
    config = LiteNormConfig(lanes=lanes)
    module, _ = bench.core(config)
    for op in c.OPS:
        for length in LENGTHS:
            expected = module.passes[op] * (config.beats(length) - 1) + module.latency[op]
            assert bench.latency(config, op, length) == expected, f"{op}, N = {length}"
    # Gamma and beta cost nothing, nor does the seed that noise is drawn from matter.
    assert bench.latency(config, "layernorm", 64, affine=True, seed=1) == bench.latency(config, "layernorm", 64)


@pytest.mark.parametrize("options", [
    dict(lanes=8, max_length=512, ops=("layernorm", "rmsnorm"), inputs="s8", affine=False),
    dict(lanes=2, max_length=100, inputs="s8", parity=True),
    dict(lanes=4, max_length=4096, ops="softmax"),
    dict(lanes=16, short_rows=True),
], ids=["norms", "s8", "softmax", "short rows"])
def test_latency_of_other_cores_is_the_formula(options):
    config = LiteNormConfig(**options)
    module, _ = bench.core(config)
    for op in config.ops:
        for length in (2, 33, config.max_length):
            expected = module.passes[op] * (config.beats(length) - 1) + module.latency[op]
            assert bench.latency(config, op, length) == expected, f"{op}, N = {length}"


def test_latency_at_the_defaults_is_that_of_the_docstring():
    table = dict(re.findall(r"(softmax|layernorm, rmsnorm) +([23] +(?:\d+ ?){5})", LiteNorm.__doc__))
    cores = [LiteNorm(LiteNormConfig(lanes=lanes)) for lanes in c.LANES]
    for names, numbers in table.items():
        passes, *latencies = map(int, numbers.split())
        for op in names.split(", "):
            assert {core.passes[op] for core in cores} == {passes}
            assert [core.latency[op] for core in cores] == latencies, op
    assert set(", ".join(table).split(", ")) == set(c.OPS)


def test_latency_targets():
    wide, four = LiteNormConfig(lanes=16), LiteNormConfig(lanes=4)
    assert bench.latency(wide, "layernorm", 1024) <= 200
    assert bench.latency(wide, "layernorm", 64) <= 60
    assert bench.latency(wide, "softmax", 1024) <= 260
    assert bench.latency(four, "softmax", 256) <= 240


# Throughput --------------------------------------------------------------------------------------------------


@functools.cache
def measured(op, output, length):
    return bench.throughput(op, output, length)


@pytest.mark.parametrize("case", PINNED, ids="-".join)
def test_words_per_cycle(case):
    """Measured and compared with the model's results by the bench; pinned on both sides."""
    assert set(PINNED) == set(bench.CASES)
    for length, expected in PINNED[case].items():
        result = measured(*case, length)
        assert abs(result.words_per_cycle / expected - 1) <= MARGIN, f"{case}, N = {length}: {result}"
        if case[1] != "s16":
            assert result.words_per_cycle >= (0.95 if length >= 64 else 0.7), f"{case}, N = {length}: {result}"


def test_words_are_those_of_the_rows():
    result = measured("layernorm", "s8", 64)
    assert result.rows == 1024
    assert result.words == 1024 * (16 + 16) + 2 * 32


def test_elements_that_fill_no_row():
    with pytest.raises(ValueError, match="elements is 63; good: 64 to"):
        bench.throughput("softmax", "tfl_s8", 64, elements=63)


# The memory of the bench is as fast as LiteX's -----------------------------------------------------------------


class Beside(LiteXModule):
    """The same burst on LiteX's SRAM and on a bus that goes outside: the cycles behind an answer."""

    def __init__(self, write):
        self.go = Signal()
        self.bus = wishbone.Interface(data_width=32, address_width=32, bursting=True)
        inside = wishbone.Interface(data_width=32, address_width=32, bursting=True)
        self.sram = wishbone.SRAM(1024, bus=inside)
        self.answers = Signal(2)
        for i, bus in enumerate((self.bus, inside)):
            left = Signal(max=9, reset=8, name=f"left{i}")
            self.comb += [
                bus.cyc.eq(self.go & (left != 0)),
                bus.stb.eq(bus.cyc),
                bus.we.eq(int(write)),
                bus.sel.eq(15),
                bus.adr.eq(8 - left),
                bus.cti.eq(Mux(left == 1, wishbone.CTI_BURST_END, wishbone.CTI_BURST_INCREMENTING)),
            ]
            self.sync += [
                If(bus.cyc & bus.ack, left.eq(left - 1)),
                self.answers[i].eq(bus.cyc & bus.ack),
            ]


@pytest.mark.parametrize("write", [False, True])
def test_memory_answers_as_litex_sram_does(write):
    top = Beside(write)
    dut = SignalDut(top, {"go": top.go}, {"answers": top.answers}, buses={"bus": top.bus}, memory=Memory(0, 1024),
                    name="beside_sram")
    dut.set(go=1)
    seen = []
    for _ in range(12):
        dut.clock()
        seen.append(dut.get("answers"))
    assert seen.count(3) == 8 and set(seen) == {0, 3}, seen


# Command -----------------------------------------------------------------------------------------------------


def test_command_writes_json(tmp_path, capsys):
    file = tmp_path / "figures.json"
    assert bench.main(["--part", "throughput", "--part", "latency", "--length", "16", "--lanes", "4",
                       "--elements", "4096", "--json", str(file)]) == 0
    report = json.loads(file.read_text())
    assert {(r["op"], r["output"]) for r in report["throughput"]} == set(bench.CASES)
    assert {r["op"] for r in report["latency"]} == set(c.OPS)
    assert "words per cycle" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [file]


def test_command_says_what_is_wrong(tmp_path, capsys):
    with pytest.raises(SystemExit):
        bench.main(["--length", "1"])
    assert "--length is 1; good: 2 to 1024" in capsys.readouterr().err
    assert bench.main(["--length", "1024", "--elements", "100", "--part", "throughput"]) == 1
    assert capsys.readouterr().err.strip() == "error: elements is 100; good: 1024 to 131072"
    missing = tmp_path / "no" / "figures.json"
    assert bench.main(["--part", "latency", "--length", "16", "--lanes", "4", "--json", str(missing)]) == 1
    assert "error: cannot write" in capsys.readouterr().err
