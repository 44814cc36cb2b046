# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""SelfCheck on the generated Verilog: good rows pass, and every kind of broken promise is seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litex.gen import LiteXModule
from litex.soc.interconnect import stream
from migen import Signal

from litenorm.accel import LiteNormConfig, model
from litenorm.accel import constants as c
from litenorm.accel.formats import FORMATS
from litenorm.accel.rows import row_params
from litenorm.accel.self_check import RowEntry, SelfCheck
from litenorm.sim.verilated import StreamDut

LANES = 4
CONFIG = LiteNormConfig(lanes=LANES, max_length=64)
OPS = {name: code for code, name in enumerate(c.OPS)}


class Checked(LiteXModule):
    """A promise a row from `rows`; codes pass from `codes` to `source` and are watched."""

    def __init__(self, passed_affine=False):
        self.rows = rows = stream.Endpoint(stream.EndpointDescription([("data", 16 * LANES)], row_params(CONFIG)))
        self.codes = codes = stream.Endpoint([("data", 16 * LANES)])
        self.source = source = stream.Endpoint([("data", 16 * LANES)])
        self.row_done = Signal()
        self.row_error = Signal()

        # # #

        self.entry = entry = RowEntry(CONFIG, rows, 64)
        self.check = check = SelfCheck(CONFIG, passed_affine)
        self.latency = check.latency
        self.buffer = buffer = stream.Buffer(codes.description)
        self.comb += [
            rows.ready.eq(entry.ready),
            entry.beat.eq(rows.valid & rows.ready),
            entry.last.eq(rows.last),
            entry.source.connect(check.promise),
            # A promise is there 2 cycles behind its row; no core is that quick.
            codes.connect(buffer.sink),
            buffer.source.connect(source),
            check.beat.eq(source.valid & source.ready),
            check.last.eq(source.last),
            check.data.eq(source.data),
            self.row_done.eq(check.row_done),
            self.row_error.eq(check.row_error),
        ]


@pytest.fixture(scope="module")
def duts():
    made = {}
    for passed_affine in (False, True):
        module = Checked(passed_affine)
        made[passed_affine] = StreamDut(module, sinks={"rows": module.rows, "codes": module.codes},
                                        sources={"source": module.source}, signals=[module.row_done, module.row_error])
        made[passed_affine].latency = module.latency
    return made


def failed(dut, rows, codes, stall=None, seed=0, **params):
    """Index of each row whose check failed. rows: what enters; codes: what leaves, one array a row."""
    fields = {name: 0 for name, _ in row_params(CONFIG)} | params
    entering = dut.sinks["rows"].packets(rows, bits=16, **fields)
    zero = next(f.zero_point for f in FORMATS.values() if f.code == fields["format"]) if fields["op"] == 0 else 0
    codes = [np.pad(row, (0, -len(row) % LANES), constant_values=zero) for row in codes]
    leaving = dut.sinks["codes"].packets(codes, bits=16)
    result = dut.run({"rows": entering, "codes": leaving}, after={"codes": "rows"}, stall=stall or {}, seed=seed,
                     expect={"source": len(leaving)}, tail_cycles=dut.latency + 2)
    done, error = (np.asarray(result.events[name]) for name in ("row_done", "row_error"))
    assert len(done) == len(codes)
    ends = result["source"].cycles[result["source"].beats["last"] != 0]
    assert np.array_equal(done, ends + dut.latency)
    # A beat of no row is reported at once, everything else when its row has ended.
    ended = np.cumsum(result["source"].beats["last"] != 0) - (result["source"].beats["last"] != 0)
    at_once = set(result["source"].cycles[ended >= len(rows)] + 1)
    assert at_once <= set(error) <= at_once | set(done)
    return [i for i, cycle in enumerate(done) if cycle in error]


def good_row(rng, op, fmt="u16_q15", n=None, length=None):
    n = int(rng.integers(1, 65)) if n is None else n
    length = n if length is None else length
    x = rng.integers(-128, 128, n)
    if op == "softmax":
        return model.softmax(x, float(10 ** rng.uniform(-3, 0)), fmt, length=length).astype(np.int64)
    return getattr(model, op)(x, length=length).astype(np.int64)


def test_a_beat_of_no_row_is_reported_even_if_nothing_follows(duts):
    for dut in duts.values():
        fields = {name: 0 for name, _ in row_params(CONFIG)} | dict(op=OPS["layernorm"], length=LANES)
        entering = dut.sinks["rows"].packets([np.zeros(LANES, np.int64)], bits=16, **fields)
        leaving = dut.sinks["codes"].packets([np.zeros(LANES, np.int64)] * 2, bits=16)
        leaving["last"][1] = 0
        for extra in (False, True):
            codes = leaving[: 1 + extra]
            result = dut.run({"rows": entering, "codes": codes}, after={"codes": "rows"}, seed=1,
                             expect={"source": len(codes)}, tail_cycles=dut.latency + 2)
            assert len(result.events["row_done"]) == 1 and bool(len(result.events["row_error"])) == extra


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("stall", [{}, {"rows": 0.3, "codes": 0.3, "source": 0.4}])
def test_rows_of_the_model_keep_their_promise(duts, op, stall):
    rng = np.random.default_rng(OPS[op])
    for fmt in FORMATS if op == "softmax" else ["u8_255"]:
        rows = [good_row(rng, op, fmt) for _ in range(20)]
        lengths = np.array([len(row) for row in rows])
        params = dict(op=OPS[op], format=FORMATS[fmt].code, length=lengths)
        assert failed(duts[False], rows, rows, stall, 1, **params) == [], fmt


@settings(max_examples=60, deadline=None)
@given(fmt=st.sampled_from(list(FORMATS)), length=st.integers(1, 32), position=st.integers(0, 31),
       change=st.integers(1, 0xFFFF), seed=st.integers(0, 2**32 - 1))
def test_any_change_of_a_softmax_element_is_seen(duts, fmt, length, position, change, seed):
    """Of a valid one, because the sum changes; of a masked one, because it left its zero point."""
    row = good_row(np.random.default_rng(seed), "softmax", fmt, 32, length)
    changed = row.copy()
    changed[position] = (changed[position] + change) & 0xFFFF
    params = dict(op=OPS["softmax"], format=FORMATS[fmt].code, length=length)
    assert failed(duts[False], [row] * 3, [row, changed, row], **params) == [1]


@pytest.mark.parametrize("change", [1, -1, 1 << 7, 1 << 15])
def test_any_change_of_a_layernorm_element_is_seen(duts, change):
    rng = np.random.default_rng(2)
    rows = [good_row(rng, "layernorm", n=33) for _ in range(3)]
    changed = rows[1].copy()
    changed[7] = (changed[7] + change) & 0xFFFF
    assert failed(duts[False], rows, [rows[0], changed, rows[2]], op=OPS["layernorm"], length=33) == [1]


def test_a_wrong_zero_point_is_seen(duts):
    row = good_row(np.random.default_rng(3), "softmax", "tfl_s8", 17)
    for other in (0, -(1 << 15)):
        wrong = row + 128 + other
        assert failed(duts[False], [row], [wrong], format=FORMATS["tfl_s8"].code, length=17) == [0]


def test_all_zero_is_not_a_total_of_65536(duts):
    """The sums are exact: modulo 2^16 this row would pass."""
    row = np.full(16, -(1 << 15))
    assert failed(duts[False], [row], [row], format=FORMATS["tfl_s16"].code, length=16) == [0]


def test_a_tail_lane_that_is_not_zero_is_seen(duts):
    row = good_row(np.random.default_rng(4), "softmax", "u16_q15", 5)
    leaving = np.concatenate([row, [0, 1, 0]])
    assert failed(duts[False], [row], [leaving], format=FORMATS["u16_q15"].code, length=5) == [0]


def test_lost_and_extra_beats_are_seen(duts):
    """Beats of zeros leave the sum as it was; their number is compared."""
    row = np.zeros(16, np.int64)
    for leaving in (row[:12], np.zeros(20, np.int64)):
        assert failed(duts[False], [row], [leaving], op=OPS["layernorm"], length=8) == [0]


def test_a_row_that_never_entered_is_seen(duts):
    row = good_row(np.random.default_rng(5), "layernorm", n=8)
    # Stalls part its first beat, which is reported at once, from the cycle in which the row before is done.
    seen = [failed(duts[False], [row], [row, row], {"codes": 0.7}, seed, op=OPS["layernorm"], length=8)
            for seed in range(20)]
    assert all(1 in rows for rows in seen) and [1] in seen


def test_rows_with_gamma_and_beta_promise_nothing_behind_them(duts):
    row = np.arange(8) * 100
    params = dict(op=OPS["layernorm"], length=8)
    assert failed(duts[True], [row], [row], affine=1, **params) == []
    assert failed(duts[True], [row], [row], affine=0, **params) == [0]
    assert failed(duts[False], [row], [row], affine=1, **params) == [0]
