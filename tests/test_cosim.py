# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The MyHDL co-simulation harness: what it feeds arrives, and what is wrong or unknown is caught."""

import threading

import numpy as np
import pytest
from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.sim import cosim
from litenorm.sim.cosim import (
    CoSim,
    HandshakeError,
    HangError,
    Stall,
    StreamCoSim,
    StreamDriver,
    StreamMonitor,
    UnknownValueError,
    ports_of,
)
from litenorm.sim.testing import Adder
from litenorm.sim.verilated import StreamDut

STALLS = {
    "none": {},
    "random": {"sink": 0.3, "source": 0.4},
    "bursts": {"sink": Stall(0.3, burst=10), "source": Stall(0.6, burst=30)},
    "consumer_waits_for_valid": {"sink": 0.2, "source": Stall(0.3, wait_valid=True)},
}


def adder(lanes=4, fault=None, harness=StreamCoSim, **options):
    module = Adder(lanes, fault)
    return harness(module, sinks={"sink": module.sink}, sources={"source": module.source},
                   signals=[module.row_done], **options)


def rows_of(count=12, longest=33, seed=5):
    rng = np.random.default_rng(seed)
    rows = [rng.integers(-(1 << 15), 1 << 15, n) for n in rng.integers(1, longest + 1, count)]
    return rows, rng.integers(0, 1 << 16, count)


def check_rows(packets, rows, offsets):
    assert len(packets) == len(rows)
    for packet, row, offset in zip(packets, rows, offsets, strict=True):
        assert np.array_equal(packet[:len(row)], (row + offset).astype(np.int16))


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("lanes", [1, 4, 50])
def test_rows_arrive_under_stalls(lanes, stall):
    dut = adder(lanes)
    rows, offsets = rows_of()
    beats = dut.sinks["sink"].packets(rows, bits=16, offset=offsets)
    result = dut.run({"sink": beats}, stall=STALLS[stall], seed=lanes, expect={"source": len(beats)})
    check_rows(result["source"].packets(16, signed=True), rows, offsets)
    last = result["source"].beats["last"] == 1
    assert np.array_equal(result.events["row_done"], result["source"].cycles[last])


def test_same_beats_and_timing_as_verilated():
    rows, offsets = rows_of()
    results = []
    for harness in (StreamCoSim, StreamDut):
        dut = adder(harness=harness)
        beats = dut.sinks["sink"].packets(rows, bits=16, offset=offsets)
        results.append(dut.run({"sink": beats}, expect={"source": len(beats)}))
    a, b = results
    assert np.array_equal(a["source"].beats, b["source"].beats)
    assert a.latency() == b.latency() == Adder.latency
    assert np.array_equal(a["source"].cycles - a["source"].cycles[0], b["source"].cycles - b["source"].cycles[0])


CAUGHT = {
    "drops_valid": (HandshakeError, "source.valid fell before ready"),
    "changes_payload": (HandshakeError, "source changed while it waited for ready: data 0x"),
    "waits_for_ready": (HangError, "no transfer for"),
    "hangs": (HangError, "no transfer for"),
    "repeats_last": (HandshakeError, "source gave an extra beat"),
    "reads_memory": (UnknownValueError, "source_payload_data is X"),
}


@pytest.mark.parametrize("fault", CAUGHT)
def test_fault_is_caught_with_cycle_and_seed(fault):
    error, text = CAUGHT[fault]
    dut = adder(fault=fault)
    beats = dut.sinks["sink"].packets(rows_of()[0], bits=16)
    with pytest.raises(error, match=text) as info:
        dut.run({"sink": beats}, stall={"source": Stall(0.5, wait_valid=fault == "waits_for_ready")}, seed=77,
                expect={"source": len(beats)})
    assert "cycle " in str(info.value) and "seed 77" in str(info.value)


def test_register_without_reset_is_x_only_without_initial_values():
    beats = adder().sinks["sink"].packets([[1, 2, 3]], bits=16)
    adder(fault="unreset_register").run({"sink": beats})
    with pytest.raises(UnknownValueError, match="source_payload_data is X"):
        adder(fault="unreset_register", regs_init=False).run({"sink": beats})
    adder(regs_init=False).run({"sink": beats})


RESETS = [37, 38, 60, 100]


def after_resets(dut, seed):
    """Rows given after the last of RESETS, and the rows that should have been."""
    rows, offsets = rows_of(40, 40)
    beats = dut.sinks["sink"].packets(rows, bits=16, offset=offsets)
    result = dut.run({"sink": beats}, stall=STALLS["random"], seed=seed, reset_at=RESETS)
    assert [r.cycle for r in result.resets] == RESETS
    record = result.resets[-1]
    begun = int(beats["first"][:record.sinks["sink"]].sum())
    capture = result["source"]
    capture.beats = capture.beats[record.sources["source"]:]
    return capture.packets(16, signed=True), rows[begun:], offsets[begun:]


def test_rows_after_a_reset_in_mid_row():
    for seed in range(3):
        check_rows(*after_resets(adder(), seed))


def test_row_swallowed_after_reset_is_caught():
    lost = 0
    for seed in range(3):
        packets, rows, _ = after_resets(adder(fault="swallows_row"), seed)
        lost += len(packets) != len(rows)
    assert lost > 0


COUNTER = """
module counter(
    input wire sys_clk,
    input wire sys_rst,
    input wire [3:0] step,
    output reg signed [7:0] total,
    output wire unset_valid,
    input wire unset_ready,
    output wire unset_first,
    output wire unset_last
);
reg never;
assign unset_valid = never;
assign unset_first = 1'b0;
assign unset_last = 1'b0;
always @(posedge sys_clk) total <= sys_rst ? 8'd0 : total - step;
endmodule
"""


def steps(sig, seen):
    for step in (1, 2, 15):  # the first two fall into the reset
        sig.step.next = step
        yield sig.sys_clk.posedge
    sig.step.next = 0
    yield sig.sys_clk.posedge
    yield sig.sys_clk.posedge
    seen.append(int(sig.total))


def test_generators_on_signals():
    seen = []
    with CoSim(COUNTER, "counter") as dut:
        assert dut.run(steps(dut.sig, seen), until=lambda: seen, max_cycles=50) < 50
        assert dut.unknown("total", "unset_valid") == ["unset_valid"]
    assert seen == [-15]


def test_unknown_handshake_is_caught():
    with CoSim(COUNTER, "counter", seed=9) as dut:
        with pytest.raises(UnknownValueError, match=r"unset_valid is X: x \(cycle 0, seed 9\)"):
            dut.run(StreamMonitor(dut, "unset").process())


def test_missing_stream_and_module_are_named():
    with pytest.raises(ValueError, match="no module count"):
        ports_of(COUNTER, "count")
    with CoSim(COUNTER, "counter") as dut:
        with pytest.raises(ValueError, match="no stream sink"):
            StreamDriver(dut, "sink", np.zeros(1))


def failing(sig, error):
    yield sig.sys_clk.posedge
    raise error


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), pytest.fail.Exception("no")])
def test_failure_leaves_no_child_and_the_next_simulation_runs(error):
    with pytest.raises(type(error)) as info:
        with CoSim(COUNTER, "counter", seed=4) as dut:
            dut.run(failing(dut.sig, error))
    assert "seed 4" in "".join(info.value.__notes__)
    assert dut._cosimulation._child.poll() is not None
    test_generators_on_signals()


def test_cosim_that_never_ran_leaves_no_child():
    with CoSim(COUNTER, "counter") as dut:
        child = dut._cosimulation._child
        assert child.poll() is None
    assert child.poll() is not None


def test_verilog_that_loops_is_a_hang(monkeypatch):
    monkeypatch.setattr(cosim, "ANSWER_SECONDS", 1)
    loop = COUNTER.replace("reg never;", "reg never = 0; always @(total) if (total > 20) while (1) never = ~never;")
    loop = loop.replace("total - step", "total + 8'd1")
    with pytest.raises(HangError, match="no answer for 1 s"):
        with CoSim(loop, "counter") as dut:
            dut.run(max_cycles=100)
    assert dut._cosimulation._child.poll() is not None
    test_generators_on_signals()


def test_until_that_never_comes_is_a_hang():
    with CoSim(COUNTER, "counter") as dut:
        with pytest.raises(HangError, match="not done after 20 cycles"):
            dut.run(until=lambda: False, max_cycles=20)


def test_one_simulation_at_a_time():
    with CoSim(COUNTER, "counter"):
        with pytest.raises(RuntimeError, match="one simulation at a time"):
            CoSim(COUNTER, "counter").__enter__()
        waiting = threading.Thread(target=test_generators_on_signals)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
    waiting.join(20)
    assert not waiting.is_alive()
    with CoSim(COUNTER, "counter") as dut:
        dut.run(max_cycles=3)
        with pytest.raises(RuntimeError, match="runs once"):
            dut.run(max_cycles=3)


class Broad(LiteXModule):
    def __init__(self, fields):
        layout = [(f"a_field_with_a_long_name_{i}", 8) for i in range(fields)]
        self.sink = stream.Endpoint(layout)
        self.source = stream.Endpoint(layout)
        self.comb += self.sink.connect(self.source)


def test_ports_that_do_not_fit_the_message_are_refused():
    module = Broad(20)
    dut = StreamCoSim(module, {"sink": module.sink}, {"source": module.source})
    dut.run({"sink": dut.sinks["sink"].packets([[1, 2, 3]], field="a_field_with_a_long_name_7")})
    module = Broad(110)
    dut = StreamCoSim(module, {"sink": module.sink}, {"source": module.source})
    with pytest.raises(ValueError, match="message holds 4095"):
        dut.run({})


def test_trace_is_written(tmp_path):
    dut = adder(vcd=tmp_path / "adder.vcd")
    dut.run({"sink": dut.sinks["sink"].packets([[1, 2, 3]], bits=16)}, idle_cycles=20)
    assert "sink_payload_data" in (tmp_path / "adder.vcd").read_text()
