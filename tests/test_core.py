# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The core's generated Verilog, Verilated in bulk and in MyHDL co-simulation, against the model: bit for bit."""

import functools
import itertools

import numpy as np
import pytest
from migen import Signal

from litenorm.accel import LiteNorm, LiteNormConfig, model
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale, eps_term
from litenorm.sim import verilated
from litenorm.sim.cosim import StreamCoSim
from litenorm.sim.verilated import Stall, StreamDut

OPS = ("softmax", "layernorm", "rmsnorm")
STALLS = (
    {},
    {"sink": 0.3, "source": 0.3},
    {"sink": 0.1, "source": Stall(0.5, burst=20)},
    {"sink": Stall(0.5, burst=15)},
)


def endpoints(core):
    sinks = {"sink": core.sink}
    if core.config.has_affine:
        sinks["weights"] = core.weights
    signals = [core.row_done, core.row_error, core.constant_row]
    return dict(sinks=sinks, sources={"source": core.source}, signals=signals)


def random_rows(rng, rows, n, bits=16):
    spread = float(rng.choice([0, 1, 3, 50, 3000, 60000]))
    x = np.clip(rng.normal(rng.normal(0, 100), spread, (rows, n)), -32768, 32767).astype(np.int64)
    if rng.random() < 0.2:
        x = np.where(rng.random((rows, n)) < 0.5, -128, 127)
    limit = 1 << (bits - 1)
    return np.clip(x, -limit, limit - 1)


def case(rng, rows, n, op, affine_arrays=None, config=None):
    """(x, params of the stream, the model's output): one job's worth of rows."""
    config = LiteNormConfig() if config is None else config
    x = random_rows(rng, rows, n, config.input_bits)
    length = np.full(rows, n) if rng.random() < 0.5 else rng.integers(1, n + 1, rows)
    params = dict(op=OPS.index(op), format=0, length=length, scale_multiplier=0, scale_shift=0, eps=0, affine=0,
                  out_s8=0, affine_shift=0, beta_shift=0)
    if op == "softmax":
        scale = Scale.from_real(float(10 ** rng.uniform(-5, 0.3)))
        fmt = FORMATS[config.formats[rng.integers(len(config.formats))]]
        params.update(format=fmt.code, scale_multiplier=scale.multiplier, scale_shift=scale.shift)
        return x, params, model.softmax(x, scale, fmt, length=length, config=config)
    params["format"] = int(rng.integers(8))     # a norm does not look at it
    eps = float(rng.choice([0, 0.01, 30]))
    affine = None
    if affine_arrays is not None and rng.random() < 0.6:
        gamma, beta = affine_arrays
        affine = Affine(gamma[:n], beta[:n], int(rng.integers(10, 24)), int(rng.integers(0, 16)),
                        str(rng.choice(["s8", "s16"])))
        params.update(affine=1, out_s8=int(affine.out == "s8"), affine_shift=affine.shift, beta_shift=affine.beta_shift)
    params["eps"] = np.array([eps_term(eps, valid) for valid in length])
    return x, params, getattr(model, op)(x, eps=eps, length=length, affine=affine, config=config)


@functools.cache
def dut_of(config):
    core = LiteNorm(config)
    return StreamDut(core, **endpoints(core))


def jobs(dut, config, rng, total_rows, lengths, ops=OPS, rows=64):
    """(beats of every sink, expected rows): jobs of mixed operations back to back in one stream."""
    loads, arrays = {}, None
    if config.has_affine:
        arrays = [rng.integers(-32768, 32768, config.max_length) for _ in range(2)]
        port = dut.sinks["weights"]
        loads["weights"] = np.concatenate([port.packets([a], bits=16, beta=i) for i, a in enumerate(arrays)])
    beats, expected = [], []
    for _ in range(total_rows // rows):
        n = int(lengths[rng.integers(len(lengths))])
        x, params, reference = case(rng, rows, n, ops[rng.integers(len(ops))], arrays, config)
        beats.append(dut.sinks["sink"].packets(x, bits=config.input_bits, **params))
        expected.extend(reference.astype(np.int64))
    return {"sink": np.concatenate(beats), **loads}, expected


def simulate(dut, beats, seed=0, **options):
    after = {"sink": "weights"} if "weights" in beats else None
    return dut.run(beats, after=after, seed=seed, expect={"source": len(beats["sink"])}, **options)


def check(result, expected, seed=0):
    """Every code of every row is the model's, and the self-check found nothing; returns the number of elements."""
    elements = 0
    for index, (a, b) in enumerate(zip(result["source"].packets(bits=16), expected, strict=True)):
        assert np.array_equal(a[: len(b)] & 0xFFFF, b & 0xFFFF), f"row {index}, N {len(b)}, seed {seed}"
        elements += len(b)
    assert len(result.events["row_done"]) == len(expected) and not len(result.events["row_error"])
    return elements


def run(config, rng, seed, total_rows, lengths, ops=OPS, rows=64, stall=None):
    dut = dut_of(config)
    beats, expected = jobs(dut, config, rng, total_rows, lengths, ops, rows)
    return check(simulate(dut, beats, seed, stall=stall or {}), expected, seed)


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_every_op_equals_the_model_under_stalls(lanes):
    config = LiteNormConfig(lanes=lanes)
    lengths = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 255, 256, 257, 511, 1000, 1023, 1024]
    for seed, stall in enumerate(STALLS):
        run(config, np.random.default_rng(seed), seed, 240, lengths, rows=6, stall=stall)


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_volume(lanes):
    """340 000 rows a lane count: with 1, 4 and 16 lanes more than a million."""
    config = LiteNormConfig(lanes=lanes)
    lengths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17]
    for seed in range(34):
        run(config, np.random.default_rng(1000 + seed), seed, 10_048, lengths)


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_long_rows(lanes):
    """Rows of 256 to 1024 elements in all operations, a million elements a lane count; a third of them under stalls."""
    config = LiteNormConfig(lanes=lanes)
    elements = 0
    for seed in range(6):
        rng = np.random.default_rng(2000 + seed)
        lengths = [256, 1023, 1024, *rng.integers(256, 1025, 20)]
        stall = {"sink": 0.2, "source": Stall(0.2, burst=30)} if seed % 3 == 2 else {}
        elements += run(config, rng, seed, 300, lengths, rows=6, stall=stall)
    assert elements > 1_000_000


@pytest.mark.parametrize("config", [
    LiteNormConfig(lanes=4, inputs=("s8",), max_length=256),
    LiteNormConfig(lanes=8, inputs=("s8",), ops=("softmax",), formats=("tfl_s8",), max_length=64),
    LiteNormConfig(lanes=4, ops=("softmax",), max_length=4096),
    LiteNormConfig(lanes=2, max_length=100, parity=True),
    LiteNormConfig(lanes=16, short_rows=True),
], ids=["s8", "s8 softmax of one format", "4096 elements", "parity", "short rows"])
def test_other_cores(config):
    lengths = [1, 2, 3, 33, config.max_length - 1, config.max_length]
    run(config, np.random.default_rng(9), 9, 300, lengths, ops=config.ops, rows=5, stall=STALLS[1])


@pytest.mark.parametrize("ops", [("softmax",), ("layernorm",), ("rmsnorm",), ("softmax", "layernorm")])
@pytest.mark.parametrize("affine", [False, True])
def test_partial_cores(ops, affine):
    config = LiteNormConfig(lanes=2, max_length=100, ops=ops, affine=affine)
    run(config, np.random.default_rng(7), 7, 300, [1, 2, 3, 50, 99, 100], ops=ops, rows=5, stall=STALLS[1])


def test_a_norm_does_not_look_at_the_format():
    """One-hot softmax rows leave small sums in the queue of sums: a norm's row behind them is not taken for one."""
    dut = dut_of(LiteNormConfig(lanes=4))
    hot, x = np.tile([0, 0, 0, 30000], (8, 1)), np.array([[1, 5, -3, 9]])
    port = dut.sinks["sink"]
    softmax = port.packets(hot, bits=16, op=0, format=2, length=4, scale_multiplier=65535)
    for op, fmt in itertools.product(("layernorm", "rmsnorm"), range(8)):
        norm = port.packets(x, bits=16, op=OPS.index(op), format=fmt, length=4)
        result = dut.run({"sink": np.concatenate([softmax, norm])}, expect={"source": 9})
        got = result["source"].packets(bits=16, signed=True)[-1]
        assert np.array_equal(got, getattr(model, op)(x)[0]), f"{op}, format {fmt}"
        assert not len(result.events["row_error"]), f"{op}, format {fmt}"


@pytest.mark.parametrize("max_length", [2, 16])
def test_rows_of_one_beat(max_length):
    """Cores whose longest row is one beat have no address to count, and no beat to carry to."""
    config = LiteNormConfig(lanes=16, max_length=max_length)
    run(config, np.random.default_rng(8), 8, 600, range(1, max_length + 1), rows=3, stall=STALLS[1])


def test_reset_in_mid_row_leaves_a_core_that_works():
    config = LiteNormConfig(lanes=4, max_length=64)
    dut = dut_of(config)
    for at in range(20, 140, 7):
        rng = np.random.default_rng(at)
        x, params, _ = case(rng, 4, 64, "softmax")
        dut.run({"sink": dut.sinks["sink"].packets(x, bits=16, **params)}, seed=at, reset_at=[at])
        # The reset, and no new power-up, is what it starts again from.
        beats, expected = jobs(dut, config, rng, 12, [64, 3, 17], rows=4)
        check(simulate(dut, beats, at, fresh=False), expected, at)


@pytest.mark.parametrize("lanes", [1, 4])
def test_cosimulation_in_myhdl(lanes):
    """The same Verilog in Icarus, driven from MyHDL with random stalls: values, protocol, and no X."""
    config = LiteNormConfig(lanes=lanes, max_length=32)
    core = LiteNorm(config)
    dut = StreamCoSim(core, sinks={"sink": core.sink}, sources={"source": core.source}, signals=[core.row_error])
    rng = np.random.default_rng(11)
    for op in OPS:
        x, params, expected = case(rng, 4, 19, op)
        beats = dut.sinks["sink"].packets(x, bits=16, **params)
        result = dut.run({"sink": beats}, stall={"sink": 0.3, "source": 0.4}, seed=11, expect={"source": len(beats)})
        for a, b in zip(result["source"].packets(bits=16), expected.astype(np.int64), strict=True):
            assert np.array_equal(a[: len(b)] & 0xFFFF, b & 0xFFFF), op
        assert not len(result.events["row_error"])


# Planted bugs ------------------------------------------------------------------------------------------------

# What is wrong: (where in the Verilog of 4 lanes, the sound expression at @, the faulty one).
BUGS = {
    "the carry from beat to beat is lost": ("normalizer_fraction <= @;", "normalizer_total3[11:0]", "12'd2048"),
    "the carry from lane to lane is lost": (
        "normalizer_p2_2 <= (normalizer_p1_2 + (@ ? normalizer_p1_1 : 1'd0));", "normalizer_carried_l1_d6", "1'd0"),
    "the seed is one too large": ("? @ : normalizer_fraction", "12'd2048", "12'd2049"),
    "pass 0 takes a beat too many": (
        "if (@)", "(statistics_beat1 < statistics_full_beats)", "statistics_beat1 <= statistics_full_beats"),
    "pass 1 takes a beat too many": ("if (@)", "(exp_beat1 < exp_full_beats)", "exp_beat1 <= exp_full_beats"),
    "pass 2 takes a beat too many": (
        "if (@)", "(normalizer_beat1 < normalizer_full_beats)", "normalizer_beat1 <= normalizer_full_beats"),
    "R is not rounded": ("{constants_total, 2'd0, @}", "constants_sum_shift_shifted[32:1]", "32'd0"),
    "R is one too large": ("constants_source_payload_gain = @;", "constants_quotient", "constants_quotient + 1'd1"),
    "the root of a square is too small": (
        "constants_root_bit1 = @;", "(constants_root_shifted1 >= constants_root_trial1)",
        "constants_root_shifted1 > constants_root_trial1"),
    "one number of the chord table is too large": ("exp_exp2lane0_grid <= @;", "17'd92682", "17'd92683"),
    "the chords of one lane are steps": (
        "exp_exp2lane1_fall <= (@ * exp_exp2lane1_low);", "exp_exp2lane1_slope", "1'd0"),
    "the distances of one lane do not saturate": ("((@ |", "(exp_exp2lane0_shifted[37:20] != 1'd0)", "1'd0"),
    "B is not rounded": (
        "constants_product_seed = @;", "(1'd1 <<< (constants_source_payload_amount + 2'd2))", "1'd0"),
    "RMSNorm takes off the mean": ("(@ ? {constants_upper", "constants_root_centered", "1'd1"),
    "RMSNorm is not clipped": ("normalizer_out0 <= (@ ? normalizer_difference0 :", "normalizer_carry_d1", "1'd1"),
    "eps is forgotten": ("(constants_variance_stage1[0] ? @ :", "constants_variance_eps", "1'd0"),
    "the row behind one without variance is 0": (
        "constants_source_payload_zero <= @;\n        constants_whole", "1'd0",
        "constants_source_payload_zero"),
    "the sum of squares goes on": (
        "statistics_running_sum_xx <= @;", "statistics_square_sum_s0_0",
        "statistics_running_sum_xx + statistics_square_sum_s0_0"),
    "the cap does not reach the next beat": ("normalizer_pending <= @;", "normalizer_full[3]", "1'd0"),
    "a maximum at the end is not seen": (
        "statistics_queue_queue_sink_payload_peak_last = @;", "(statistics_running_tail == statistics_running_top)",
        "1'd0"),
    "a norm is spelled out as the softmax row before": (
        "if (constants_start) begin\n        constants_source_payload_ends <= @;", "1'd0",
        "constants_source_payload_ends"),
    "requantization is not rounded": ("requantize_half = (@ >>> 1'd1);", "(1'd1 <<< requantize_shift_d3)", "1'd0"),
    "beta of one lane is not shifted": (
        "requantize_moved0 = (requantize_beta0_in <<< @);", "requantize_beta_shift_d2", "1'd0"),
}
# A row's sum is wrong by the nature of these: the core's own self-check must see them as well.
BREAK_THE_SUM = ["the carry from beat to beat is lost", "the carry from lane to lane is lost", "R is one too large",
                 "the cap does not reach the next beat"]


def plant(text):
    """The Verilog with all BUGS in it, number k in force while the port `bug` is k, none at 0: one build for all."""
    for k, (where, sound, faulty) in enumerate(BUGS.values(), 1):
        place = where.replace("@", sound)
        assert text.count(place) == 1, f"{text.count(place)} places: {place}"
        text = text.replace(place, where.replace("@", f"((bug == {k}) ? ({faulty}) : {sound})"))
    return text


def special_rows(dut, rng):
    """(beats, expected): rows that random ones seldom are, each in front of an ordinary one."""
    port, beats, expected = dut.sinks["sink"], [], []

    def add(op, x, scale=None, fmt="u16_q15"):
        code = FORMATS[fmt].code
        params = dict(op=OPS.index(op), format=code, length=len(x))
        if op == "softmax":
            params.update(scale_multiplier=scale.multiplier, scale_shift=scale.shift)
            expected.append(model.softmax(np.array(x), scale, fmt))
        else:
            expected.append(getattr(model, op)(np.array(x)))
        beats.append(port.packets([x], bits=16, **params))

    scale = Scale.from_real(0.005)
    for place in range(12):
        # One-hot rows of the capped formats; a norm with such a format behind them.
        hot = np.full(12, -32000)
        hot[place] = 0
        for fmt in ("tfl_s8", "tfl_s16"):
            add("softmax", hot, scale, fmt)
        add("layernorm", np.arange(12), fmt="tfl_s8")
        # The largest result of RMSNorm, in each lane; a row without variance.
        full = np.zeros(1024, np.int64)
        full[place] = 32767
        add("rmsnorm", full)
        add("layernorm", np.full(7, place))
        add("softmax", rng.integers(-500, 500, 20), scale)
        # Variances that are squares.
        add("layernorm", [place + 1, -place - 1])
        add("rmsnorm", [place + 1])
    return np.concatenate(beats), [row.astype(np.int64) for row in expected]


@functools.cache
def buggy_core():
    """(StreamDut with the port `bug`, beats, expected rows)"""
    core = LiteNorm(LiteNormConfig(lanes=4))
    core.bug = Signal(8)
    original = verilated.convert
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verilated, "convert", lambda *args: (plant((out := original(*args))[0]), out[1]))
        dut = StreamDut(core, **endpoints(core), inputs={"bug": core.bug}, name="buggy_core")
    rng = np.random.default_rng(12)
    beats, expected = jobs(dut, core.config, rng, 1000, [1, 2, 3, 4, 5, 8, 9, 33, 100, 1000], rows=5)
    special, more = special_rows(dut, rng)
    beats["sink"] = np.concatenate([beats["sink"], special])
    return dut, beats, expected + more


def run_with_bug(number):
    dut, beats, expected = buggy_core()
    dut.power_up(12)
    dut.set(bug=number)
    return simulate(dut, beats, 12, fresh=False), expected


def test_without_a_bug_the_planted_core_equals_the_model():
    check(*run_with_bug(0))


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug):
    result, expected = run_with_bug(list(BUGS).index(bug) + 1)
    wrong = sum(not np.array_equal(a[: len(b)] & 0xFFFF, b & 0xFFFF)
                for a, b in zip(result["source"].packets(bits=16), expected, strict=True))
    assert wrong
    with pytest.raises(AssertionError, match="^row [0-9]+, N "):
        check(result, expected)
    if bug in BREAK_THE_SUM:
        assert len(result.events["row_error"])
