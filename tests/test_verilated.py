# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The Verilated harness: what it feeds arrives, and what is wrong is caught."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.sim.cache import cached
from litenorm.sim.testing import Adder
from litenorm.sim.verilated import HandshakeError, HangError, SignalDut, Stall, StreamDut

STALLS = {
    "none": {},
    "random": {"sink": 0.3, "source": 0.4},
    "bursts": {"sink": Stall(0.3, burst=10), "source": Stall(0.6, burst=30)},
    "consumer_waits_for_valid": {"sink": 0.2, "source": Stall(0.3, wait_valid=True)},
}


def adder(lanes=4, fault=None, **options):
    module = Adder(lanes, fault)
    return StreamDut(module, sinks={"sink": module.sink}, sources={"source": module.source},
                     signals=[module.row_done], **options)


def rows_of(count=40, longest=33, seed=5):
    rng = np.random.default_rng(seed)
    rows = [rng.integers(-(1 << 15), 1 << 15, n) for n in rng.integers(1, longest + 1, count)]
    return rows, rng.integers(0, 1 << 16, count)


def expected(rows, offsets):
    """Adder's result, s16."""
    return [(row + offset).astype(np.int16) for row, offset in zip(rows, offsets, strict=True)]


def check_rows(packets, rows, offsets):
    assert len(packets) == len(rows)
    for packet, want in zip(packets, expected(rows, offsets), strict=True):
        assert np.array_equal(packet[:len(want)], want)


@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize("lanes", [1, 4, 16, 50])
def test_rows_arrive_under_stalls(lanes, stall):
    dut = adder(lanes)
    rows, offsets = rows_of()
    beats = dut.sinks["sink"].packets(rows, bits=16, offset=offsets)
    for seed in range(5):
        result = dut.run({"sink": beats}, stall=STALLS[stall], seed=seed, expect={"source": len(beats)})
        check_rows(result["source"].packets(16, signed=True), rows, offsets)
        assert len(result.events["row_done"]) == len(rows)
        last = result["source"].beats["last"] == 1
        assert np.array_equal(result.events["row_done"], result["source"].cycles[last])


def test_latency_and_throughput_are_measured():
    dut = adder()
    beats = dut.sinks["sink"].packets(np.zeros((10, 40), int), bits=16)
    result = dut.run({"sink": beats}, expect={"source": 100})
    assert result.latency() == Adder.latency
    assert np.array_equal(np.diff(result.accepted["sink"]), np.ones(99))
    assert np.array_equal(result["source"].cycles, result.accepted["sink"] + Adder.latency)


def test_same_seed_same_run_other_seed_other_run():
    dut = adder()
    beats = dut.sinks["sink"].packets(np.arange(400).reshape(10, 40), bits=16)
    runs = [dut.run({"sink": beats}, stall=STALLS["random"], seed=seed) for seed in (1, 1, 2)]
    assert np.array_equal(runs[0]["source"].cycles, runs[1]["source"].cycles)
    assert not np.array_equal(runs[0]["source"].cycles, runs[2]["source"].cycles)


def test_stall_shares_and_lengths():
    dut = adder()
    beats = dut.sinks["sink"].packets(np.zeros((1, 80_000), int), bits=16)
    for probability, burst in ((0.25, None), (0.5, 20), (0.8, 100)):
        result = dut.run({"sink": beats}, stall={"source": Stall(probability, burst)}, seed=3)
        assert result.cycles - 4096 == pytest.approx(20_000 / (1 - probability), rel=0.15)
        gaps = np.diff(result["source"].cycles) - 1
        mean = burst or 1 / (1 - probability)
        assert gaps[gaps > 0].mean() == pytest.approx(mean, rel=0.15)


CAUGHT = {
    "drops_valid": (HandshakeError, "source.valid fell before ready"),
    "changes_payload": (HandshakeError, "source changed while it waited"),
    "waits_for_ready": (HandshakeError, "source.valid waits for ready"),
    "hangs": (HangError, "no transfer for"),
    "repeats_last": (HandshakeError, "source gave an extra beat"),
}


@pytest.mark.parametrize("fault", CAUGHT)
def test_fault_is_caught_with_cycle_seed_and_state(fault):
    error, text = CAUGHT[fault]
    dut = adder(fault=fault)
    beats = dut.sinks["sink"].packets(rows_of()[0], bits=16)
    with pytest.raises(error, match=text) as info:
        dut.run({"sink": beats}, stall={"source": 0.5}, seed=77, expect={"source": len(beats)})
    for part in ("cycle ", "seed 77", f"/{len(beats)} beats", "valid="):
        assert part in str(info.value)


def test_missing_last_is_caught():
    dut = adder(fault="no_last")
    result = dut.run({"sink": dut.sinks["sink"].packets([[1, 2, 3]], bits=16)})
    with pytest.raises(HandshakeError, match="not framed"):
        result["source"].packets(16)


@pytest.mark.parametrize("fault,regs_init", [("reads_memory", True), ("unreset_register", False)])
def test_power_up_values_differ_by_seed(fault, regs_init):
    dut = adder(fault=fault, regs_init=regs_init)
    beats = dut.sinks["sink"].packets([[1, 2, 3, 4]], bits=16)
    seen = {int(dut.run({"sink": beats}, seed=seed)["source"].beats["data"][0]) for seed in range(4)}
    assert len(seen) == 4
    sound = adder(regs_init=regs_init)
    for seed in range(4):
        assert sound.run({"sink": beats}, seed=seed)["source"].packets(16)[0].tolist() == [1, 2, 3, 4]


RESETS = [37, 38, 100, 101, 300]


def after_resets(dut, seed):
    """Rows given after the last of RESETS, and the rows that should have been."""
    rows, offsets = rows_of(120, 40)
    beats = dut.sinks["sink"].packets(rows, bits=16, offset=offsets)
    result = dut.run({"sink": beats}, stall=STALLS["random"], seed=seed, reset_at=RESETS)
    record = result.resets[-1]
    assert [r.cycle for r in result.resets] == RESETS
    begun = int(beats["first"][:record.sinks["sink"]].sum())
    capture = result["source"]
    capture.beats = capture.beats[record.sources["source"]:]
    return capture.packets(16, signed=True), rows[begun:], offsets[begun:]


def test_rows_after_a_reset_in_mid_row():
    for seed in range(10):
        packets, rows, offsets = after_resets(adder(), seed)
        check_rows(packets, rows, offsets)


def test_row_swallowed_after_reset_is_caught():
    lost = 0
    for seed in range(10):
        packets, rows, _ = after_resets(adder(fault="swallows_row"), seed)
        lost += len(packets) != len(rows)
    assert lost > 0


def test_state_stays_between_runs_when_not_fresh():
    dut = adder(fault="hangs")
    first = dut.sinks["sink"].packets([np.arange(4 * 12)], bits=16)
    dut.run({"sink": first})
    with pytest.raises(HangError):
        dut.run({"sink": first}, fresh=False, seed=1)
    dut.run({"sink": first})


class TwoSinks(LiteXModule):
    """source gives sink's data plus the last weight."""

    def __init__(self):
        self.sink = stream.Endpoint([("data", 8)])
        self.weights = stream.Endpoint(stream.EndpointDescription([("data", 8)], [("beta", 1)]))
        self.source = stream.Endpoint([("data", 8)])
        weight = Signal(8)
        self.comb += [self.weights.ready.eq(1), self.sink.connect(self.source, omit={"data"}),
                      self.source.data.eq(self.sink.data + weight)]
        self.sync += If(self.weights.valid & self.weights.beta, weight.eq(self.weights.data))


def test_a_sink_can_wait_for_another():
    module = TwoSinks()
    dut = StreamDut(module, sinks={"sink": module.sink, "weights": module.weights}, sources={"source": module.source})
    beats = {"sink": dut.sinks["sink"].packets([[1, 2, 3]]),
             "weights": dut.sinks["weights"].packets([[9, 9, 9, 9], [10, 20, 30, 40]], beta=[0, 1])}
    result = dut.run(beats, after={"sink": "weights"}, stall={"weights": 0.8}, seed=2)
    assert result["source"].packets()[0].tolist() == [41, 42, 43]
    assert result.accepted["sink"][0] > result.accepted["weights"][-1]


class Wide(LiteXModule):
    """An inverter of odd width, to see that no bit is lost."""

    def __init__(self, width):
        self.sink = stream.Endpoint([("data", width)])
        self.source = stream.Endpoint([("data", width)])
        self.comb += [self.sink.connect(self.source, omit={"data"}), self.source.data.eq(~self.sink.data)]


@pytest.mark.parametrize("width", [1, 3, 8, 9, 31, 33, 64, 65, 77, 256, 800])
def test_every_width_is_carried_whole(width):
    module = Wide(width)
    dut = StreamDut(module, sinks={"sink": module.sink}, sources={"source": module.source}, name=f"wide_{width}")
    port = dut.sinks["sink"]
    bits = np.random.default_rng(width).integers(0, 2, (50, width))
    beats = port.beats(50)
    beats["data"] = port.from_lanes(bits, 1)
    beats["first"] = beats["last"] = 1
    result = dut.run({"sink": beats}, stall=STALLS["random"], seed=width)
    assert np.array_equal(result["source"].lanes(1), 1 - bits)


def test_lanes_of_every_sign():
    port = adder().sinks["sink"]
    for values in ([[-1, -2, -3, -32768]], [[0, 1, 2, 65535]]):
        beats = port.beats(1)
        beats["data"] = port.from_lanes(values, 16)
        assert (port.to_lanes(beats, 16, signed=values[0][0] < 0) == values).all()


def test_signal_access_by_name():
    class Counter(LiteXModule):
        def __init__(self):
            self.step = Signal((8, True))
            self.total = Signal((100, True))
            self.full = Signal()
            self.constant = Signal(4, reset=9)
            self.sync += self.total.eq(self.total + self.step)
            self.comb += self.full.eq(self.total > 1000)

    m = Counter()
    dut = SignalDut(m, inputs=[m.step], outputs=[m.total, m.full, m.constant])
    dut.set(step=-3)
    dut.clock(5)
    assert dut.get("total") == -15
    dut.set(step=100)
    assert dut.run_until("full") == 12
    dut.reset()
    dut.settle()
    assert (dut.get("total"), dut.get("full"), dut.get("constant")) == (0, 0, 9)
    with pytest.raises(ValueError, match="step is 8 bits wide: 256 does not fit"):
        dut.set(step=256)
    dut.set(step=0)
    with pytest.raises(HangError, match="not done after 50 cycles"):
        dut.run_until("full", max_cycles=50)


def test_bad_beats_are_refused():
    dut = adder()
    port = dut.sinks["sink"]
    with pytest.raises(ValueError, match="do not fit 16 bits"):
        port.packets([[1 << 16]], bits=16)
    with pytest.raises(ValueError, match="at least one element"):
        port.packets([[]], bits=16)
    with pytest.raises(ValueError, match="no field shift"):
        port.packets([[1]], bits=16, shift=1)
    with pytest.raises(ValueError, match="3 values for 1 rows"):
        port.packets([[1]], bits=16, offset=[1, 2, 3])
    with pytest.raises(ValueError, match="dtype"):
        dut.run({"sink": np.zeros(3)})
    with pytest.raises(ValueError, match="no stream sinc"):
        dut.run({"sinc": port.beats(1)})
    with pytest.raises(ValueError, match="stall probability"):
        dut.run({}, stall={"sink": 1.0})
    with pytest.raises(ValueError, match="driven by the module"):
        module = Adder()
        SignalDut(module, inputs=[module.row_done])


SCRIPT = """
from litenorm.sim.testing import Adder
from litenorm.sim.verilated import to_verilog
for _ in range({before}):
    Adder(2).get_fragment()
module = Adder(4, fault="reads_memory")
print(to_verilog(module, "adder", [*module.sink.flatten(), *module.source.flatten()]))
"""


def test_verilog_is_the_same_in_every_process():
    texts = set()
    for before, hash_seed in ((0, 0), (3, 1), (7, 2)):
        texts.add(subprocess.run([sys.executable, "-c", SCRIPT.format(before=before)], check=True, text=True,
                                 stdout=subprocess.PIPE, env={"PYTHONHASHSEED": str(hash_seed)}).stdout)
    assert len(texts) == 1
    assert "//" not in texts.pop()


def test_memory_contents_are_inlined():
    class Rom(LiteXModule):
        def __init__(self):
            self.index = Signal(2)
            self.value = Signal(12)
            table = Memory(12, 4, init=[0xabc, 0x001, 0x7ff, 0x800])
            port = table.get_port(async_read=True)
            self.specials += table, port
            self.comb += [port.adr.eq(self.index), self.value.eq(port.dat_r)]

    m = Rom()
    dut = SignalDut(m, inputs=[m.index], outputs=[m.value])
    assert "readmemh" not in dut.verilog
    values = []
    for i in range(4):
        dut.set(index=i)
        dut.settle()
        values.append(dut.get("value"))
    assert values == [0xabc, 0x001, 0x7ff, 0x800]


def test_trace_is_written(tmp_path):
    vcd = tmp_path / "adder.vcd"
    with adder(trace=vcd) as dut:
        dut.run({"sink": dut.sinks["sink"].packets([[1, 2, 3]], bits=16)}, idle_cycles=20)
    assert "sink_payload_data" in vcd.read_text()


def test_failed_build_leaves_nothing_and_racing_builds_run_once(tmp_path):
    def fail(folder):
        (folder / "half").write_text("")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        cached(tmp_path, "key", fail)
    assert [p.name for p in tmp_path.iterdir()] == ["key.lock"]

    made = []
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: cached(tmp_path, "key", made.append), range(8)))
    assert len(made) == 1
