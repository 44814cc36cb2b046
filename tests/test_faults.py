# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The fault campaign: bits flip where and when they are said to, and what comes of it is told apart."""

import json
import re

import numpy as np
import pytest
from litex.gen import *
from litex.soc.interconnect import stream
from litex.soc.interconnect.csr import CSRStorage
from migen import *

from litenorm.accel import LiteNorm
from litenorm.accel.status import Status
from litenorm.sim.faults.__main__ import main
from litenorm.sim.faults.campaign import campaign
from litenorm.sim.faults.core import CoreTarget
from litenorm.sim.faults.peripheral import PeripheralTarget
from litenorm.sim.faults.upset import SILENT_SUM, Outcome, Upset
from litenorm.sim.jobs import random_job
from litenorm.sim.verilated import StreamDut
from litenorm.sim.verilog import StateElement, state_elements
from litenorm.soc.peripheral import LiteNormPeripheral

SEED = 1


@pytest.fixture(scope="module")
def core():
    return CoreTarget(4, SEED)


@pytest.fixture(scope="module")
def peripheral():
    return PeripheralTarget(4, SEED)


def element(target, name):
    """Index of the state element whose name ends with `name`."""
    found = [i for i, e in enumerate(target.state) if re.search(rf"(^|_){name}$", e.name)]
    assert len(found) == 1, [e.name for e in target.state]
    return found[0]


# Flips -------------------------------------------------------------------------------------------------------


class Delay(LiteXModule):
    """Each beat leaves two cycles later, with a table's entry 3 (100) and twice a constant register (7) added."""

    def __init__(self):
        self.sink = stream.Endpoint([("data", 16)])
        self.source = stream.Endpoint([("data", 16)])
        table = Memory(40, 5, init=[0, 0, 0, 100], name="entries")
        port = table.get_port(async_read=True, write_capable=True)
        self.specials += table, port
        early, late = Signal(16, name="early"), Signal(70, name="late")
        constant = Signal(8, reset=7)
        twice = Signal(9)
        flags = Cat(self.sink.valid, self.sink.first, self.sink.last)
        for i in range(2):
            after = Signal(3, name=f"flags{i}")
            self.sync += after.eq(flags)
            flags = after
        self.sync += [
            early.eq(self.sink.data),
            late.eq(early << 50),
            If(self.sink.valid & (self.sink.data == 0xffff), constant.eq(0)),
        ]
        self.comb += [
            port.adr.eq(3),
            port.we.eq(self.sink.valid & (self.sink.data == 0xffff)),
            twice.eq(constant << 1),
            self.sink.ready.eq(1),
            Cat(self.source.valid, self.source.first, self.source.last).eq(flags),
            self.source.data.eq(late[50:66] + port.dat_r + twice),
        ]


def test_a_flip_is_seen_in_its_cycle_and_only_there():
    module = Delay()
    dut = StreamDut(module, sinks={"sink": module.sink}, sources={"source": module.source}, state=True)
    index = {e.name: i for i, e in enumerate(dut.state)}
    shapes = {name: dut.state[i][1:] for name, i in index.items()}
    assert shapes == {"early": (16, 1), "late": (70, 1), "constant": (8, 1), "entries": (40, 5), "flags0": (3, 1),
                      "flags1": (3, 1)}
    values = np.arange(1000, 1040)
    beats = dut.sinks["sink"].packets(values[None], bits=16)

    def run(*flips):
        result = dut.run({"sink": beats}, expect={"source": 40}, flips=flips)
        return result["source"].lanes(16)[:, 0], result["source"].cycles

    good, cycles = run()
    assert np.array_equal(good, values + 100 + 14)
    for k in (0, 17, 39):
        # A register that feeds the output through logic: in the very cycle, and in no other.
        out, _ = run((cycles[k], index["late"], 50 + 3, 0))
        assert np.array_equal(np.flatnonzero(out != good), [k]) and out[k] - 114 == values[k] ^ 8
        # One stage earlier: one cycle later.
        out, _ = run((cycles[k] - 1, index["early"], 0, 0))
        assert np.array_equal(np.flatnonzero(out != good), [k]) and out[k] - 114 == values[k] ^ 1
        # What nothing writes stays: a register from that cycle on, a memory's word too.
        out, _ = run((cycles[k], index["constant"], 2, 0))
        assert np.array_equal(out[:k], good[:k]) and np.array_equal(out[k:], good[k:] - 8)
        out, _ = run((cycles[k], index["entries"], 2, 3))
        assert np.array_equal(out[:k], good[:k]) and np.array_equal(out[k:], good[k:] - 4)
        assert np.array_equal(run((cycles[k], index["entries"], 39, 3))[0], good)
        assert np.array_equal(run((cycles[k], index["entries"], 2, 2))[0], good)
    # A run without a flip is right again.
    assert np.array_equal(run()[0], good)
    with pytest.raises(ValueError, match="no bit 70"):
        dut.flip(0, index["late"], 70)


def test_every_register_and_memory_of_the_core_is_a_target(core):
    """The number of bits, counted in Migen instead of in the Verilog."""
    module = LiteNorm(core.config)
    fragment = module.get_fragment()
    from migen.fhdl.tools import list_targets

    registers = sum(len(s) for s in list_targets(fragment.sync["sys"]))
    state = [e for e in core.state if e.depth == 1]
    read_registers = [e for e in state if e.name.endswith(("_dat0", "_dat1"))]
    assert sum(e.width for e in state) - sum(e.width for e in read_registers) == registers
    memories = {e.name: e for e in core.state if e.depth > 1}
    specials = [s for s in fragment.specials if isinstance(s, Memory)]
    assert sorted((m.width, m.depth) for m in specials) == sorted(e[1:] for e in memories.values())
    assert memories["gamma"] == StateElement("gamma", 64, 16)
    assert not [name for unit, name in campaign(1, jobs=0).names if unit == "other"]


def test_state_elements_of_a_text():
    text = """
reg     [7:0] a = 8'd0;
reg  signed  [3:0] b = 4'd0;
reg           c = 1'd0;
reg           comb = 1'd0;
always @(*) begin
    comb <= c;
end
always @(posedge sys_clk) begin
    a <= 1;
    if (c) begin
        b <= 1;
        c <= comb;
    end
end
reg [9:0] storage[0:31];
reg [9:0] storage_dat0;
always @(posedge sys_clk) begin
	if (we)
		storage[adr] <= a;
	storage_dat0 <= storage[adr];
end
assign wrport_dat_r = storage_dat0;
"""
    assert state_elements("wire wrport_dat_r;\n" + text) == [("a", 8, 1), ("b", 4, 1), ("c", 1, 1), ("storage", 10, 32)]


# Outcomes ----------------------------------------------------------------------------------------------------


def test_outcomes_of_known_upsets(core):
    """One upset of each kind whose end follows from where it strikes."""
    cycles = core.cycles[0]

    def ends(name, bit=0, word=0):
        e = element(core, name)
        return {core.upset(Upset(0, e, bit, word, cycle)).kind for cycle in range(0, cycles, 3)}

    # The fraction that is carried from beat to beat: it makes the row's sum.
    assert "row_error" in ends("normalizer_fraction", 11)
    # A row too many or too few in a queue.
    assert "row_error" in ends("exp_buffer_queue_read_port_adr", 0)


def test_a_hang_is_found_and_a_reset_ends_it(core):
    e = element(core, "row_buffer_queue_level")
    outcomes = {core.upset(Upset(w, e, 0, 0, cycle)) for w in range(3) for cycle in range(0, core.cycles[w], 3)}
    assert Outcome("hung", "reset") in outcomes
    assert not [o for o in outcomes if o.recovery == "broken"]


def test_a_peripheral_always_ends_a_job(peripheral):
    """Upsets that hang the core end its job with an error code."""
    e = element(peripheral, "row_buffer_queue_level")
    kinds = [peripheral.upset(Upset(w, e, 0, 0, cycle)).kind for w in range(3) for cycle in range(10, 200, 6)]
    assert "row_error" in kinds and "hung" not in kinds


def test_upsets_are_drawn_to_the_end_of_a_run_and_have_time_to_be_reported(core):
    """A beat of no row in the last cycle that is drawn."""
    e = element(core, "requantize_valid6")
    for w in range(4):
        end = int(core.work[w][2]["source"].cycles[-1])
        assert core.cycles[w] >= end + 64
        assert core.upset(Upset(w, e, 0, 0, core.cycles[w] - 1)).kind == "otherwise"


def test_a_start_that_an_upset_rejects_is_not_ok(peripheral):
    """The job that was to be started has not run; the one before it ended with OK."""
    full = Upset(0, element(peripheral, "jobqueue_queue_level"), 2, 0, 0)
    assert peripheral.upset(full).kind not in SILENT_SUM
    assert peripheral.dut.read_fields("status")["code"] == Status.OK    # of the next job


@pytest.mark.parametrize("name", ["control_re", "control_storage"])
def test_a_start_that_an_upset_loses_is_not_ok(peripheral, name):
    """Nothing runs then, and the status is that of the job before: but the peripheral has counted no job."""
    assert peripheral.upset(Upset(0, element(peripheral, name), 0, 0, 0)).kind == "lost"


def test_an_interrupt_in_between_does_not_hide_how_the_job_ends(peripheral, monkeypatch):
    early = Upset(0, element(peripheral, "done_pending"), 0, 0, 20)
    assert peripheral.upset(early) == Outcome("otherwise")
    judged = []

    def judge(job, golden, after, status, rows_done):
        judged.append(status["busy"])
        return "sum" if len(judged) == 1 else "masked"

    monkeypatch.setattr(peripheral, "judge", judge)
    assert peripheral.upset(early).kind == "sum" and judged[0] == 0


def test_short_campaign_of_the_core():
    result = campaign(300, seed=SEED, jobs=0)
    assert result.upsets == 300 and result.total("masked") > 150 and result.total("row_error") > 5
    assert result.ok, (result.silent, result.broken)
    again = campaign(100, seed=SEED, jobs=0, block=7)
    first = campaign(100, seed=SEED, jobs=0)
    assert np.array_equal(again.counts, first.counts)
    rows = {row[0]: row for row in result.by_unit()}
    assert {"Statistics", "row buffer", "ExpPass", "exp buffer", "RowConstants", "Normalizer", "Requantize",
            "queues"} <= set(rows)
    assert sum(row[3].sum() for name, row in rows.items() if name != "all") == rows["all"][3].sum() == 300


class Blind(LiteXModule):
    """The core, but its self-check says nothing."""

    def __init__(self, config):
        core = self.core = LiteNorm(config)
        for name in ("config", "sink", "weights", "source", "row_done", "constant_row"):
            setattr(self, name, getattr(core, name))
        self.row_error = Signal()


class BlindTarget(CoreTarget):
    core = Blind


def test_without_the_self_check_sums_are_wrong_unseen():
    target = BlindTarget(4, SEED)
    kinds = {target.upset(Upset(0, element(target, "normalizer_fraction"), 11, 0, cycle)).kind
             for cycle in range(0, target.cycles[0], 2)}
    assert "sum" in kinds and "row_error" not in kinds
    kinds = {target.upset(Upset(0, element(target, "requantize_valid6"), 0, 0, cycle)).kind
             for cycle in range(0, target.cycles[0], 2)}
    assert "framing" in kinds


def test_short_campaign_of_the_peripheral():
    result = campaign(150, seed=SEED, jobs=0, target="peripheral")
    assert result.upsets == 150 and result.total("masked") > 75 and not result.broken
    assert result.ok, result.silent


# The command -------------------------------------------------------------------------------------------------


def test_command(tmp_path, capsys):
    file = tmp_path / "faults.json"
    code = main(["--upsets", "60", "--seed", "3", "--jobs", "0", "--json", str(file)])
    data = json.loads(file.read_text())
    assert code == (not data["ok"]) and data["upsets"] == 60
    assert sum(row["masked"] for row in data["registers"]) == data["units"][-1]["masked"]
    assert "Seed 3, 4 lanes, 60 upsets" in capsys.readouterr().out
    for bad in (["--upsets", "0"], ["--lanes", "3"], ["--target", "none"], ["--seed", "-1"]):
        with pytest.raises(SystemExit) as stop:
            main(bad)
        assert stop.value.code == 2
    capsys.readouterr()
    assert main(["--json", str(tmp_path / "none" / "f.json")]) == 1
    assert capsys.readouterr().err.startswith("faults: error: ")


def test_a_sum_that_is_wrong_unseen_is_exit_code_1(monkeypatch, capsys):
    monkeypatch.setattr(CoreTarget, "upset", lambda self, upset: Outcome("sum"))
    assert main(["--upsets", "2", "--jobs", "0"]) == 1
    assert "2 upsets made a sum" in capsys.readouterr().err
    monkeypatch.setattr(CoreTarget, "upset", lambda self, upset: Outcome("masked"))
    assert main(["--upsets", "2", "--jobs", "0"]) == 0


# The checks of the peripheral, each switched off -------------------------------------------------------------

# Name to the state elements whose upsets it is there for.
CHECKS = {
    "none": "",
    "job's parity": r"jobqueue_(source_)+payload_(dst_stride|op|format)",
    "parity of the rows' lengths": r"lengths_(limit|valid)",
    "signature": r"writer_fifo_(readable|consume)",
    "walk": r"writer_burster_(row_)?address",
    "no OK in advance": r"^state",
}


class Mutable(LiteNormPeripheral):
    """The peripheral with a register that switches off one of its checks, by its index in CHECKS."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._mutant = CSRStorage(8)
        engine, writer = self.engine, self.engine.writer

        def off(*names):
            return Reduce("OR", [self._mutant.storage == list(CHECKS).index(name) for name in names])

        job_damaged = Signal()
        self.comb += [
            job_damaged.eq(self.queue.damaged & ~off("job's parity")),
            engine.job_damaged.eq(job_damaged),
        ]
        engine.lengths.sync += If(off("parity of the rows' lengths"), engine.lengths.damaged.eq(0))
        writer.comb += [
            If(off("signature"), writer.settled.eq(1)),
            If(off("walk"), writer.damaged.eq(0)),
        ]
        engine.fsm.act("IDLE", If(off("no OK in advance"), NextValue(engine.result.code, Status.OK)))


class MutableTarget(PeripheralTarget):
    peripheral = Mutable
    mutant = 0

    def run(self, job, flip=None):
        self.dut.write("mutant", self.mutant)
        return super().run(job, flip)


@pytest.fixture(scope="module")
def mutable():
    target = MutableTarget(4, SEED)
    # Rows of 3 valid elements: an upset may leave 1, whose sum is another one in a format that does not reach T.
    job = random_job(np.random.default_rng(SEED), target.config, target.memory, op="softmax", fmt="tfl_s8",
                     shape=(5, 40), mask=(3, 0, 0))
    target.dut.power_up(SEED)
    cycles, status, _ = target.run(job)
    target.work.append((job, status, target.memory.snapshot()))
    target.cycles.append(cycles)
    return target


@pytest.mark.parametrize("check", list(CHECKS)[1:])
def test_each_check_of_the_peripheral_is_needed(mutable, check):
    """Without it there are upsets that make a sum or a place wrong unseen, with it there are none."""
    elements = [i for i, e in enumerate(mutable.state) if re.search(CHECKS[check], e.name)]
    assert elements, (CHECKS[check], [e.name for e in mutable.state])
    silent = []
    for mutant in (0, list(CHECKS).index(check)):
        mutable.mutant = mutant
        rng = np.random.default_rng(SEED)
        silent.append(0)
        for _ in range(500):
            i = int(rng.choice(elements))
            last = len(mutable.work) - 1
            w = last if "lengths" in check else int(rng.integers(last))
            bit = 1 if "lengths" in check else int(rng.integers(mutable.state[i].width))
            upset = Upset(w, i, bit, 0, int(rng.integers(mutable.cycles[w])))
            silent[-1] += mutable.upset(upset).kind in SILENT_SUM
            if mutant and silent[-1]:
                break
    mutable.mutant = 0
    assert silent[0] == 0 and silent[1] > 0, silent
