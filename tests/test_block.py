# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""nn/block.py: the vectorized integer block against a scalar one, written from its specification."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litenorm.accel import LiteNormConfig, model
from litenorm.accel.formats import FORMATS
from litenorm.nn.block import STAGES, Linear, Norm, Requant
from litenorm.nn.testing import random_block, random_input

RANGE = {"s8": (-128, 127), "s16": (-32768, 32767)}


def scalar_requant(acc, requant, channel):
    m, s = int(requant.multiplier[channel]), int(requant.shift[channel])
    low, high = RANGE[requant.out]
    return max(low, min(high, (int(acc) * m + (1 << (s - 1))) >> s))


def scalar_linear(row, linear):
    weight, bias = linear.weight.tolist(), linear.bias.tolist()
    return [scalar_requant(bias[o] + sum(a * w for a, w in zip(row, weight[o], strict=True)), linear.requant, o)
            for o in range(linear.outputs)]


def scalar_add(a, b):
    return [max(-32768, min(32767, int(x) + int(y))) for x, y in zip(a, b, strict=True)]


def scalar_norm(row, norm):
    row = np.array(row, np.int16)
    return model.layernorm(row, eps=norm.eps / len(row) ** 2, affine=norm.affine).tolist()


def scalar_block(block, x, valid):
    """The specification in the docstring of nn/block.py, an element at a time, in Python's integers."""
    rows, d, zero = len(x), block.dim // block.heads, FORMATS[block.fmt].zero_point
    x, s, pre = x.tolist(), {}, block.norm == "pre"

    def narrow(row, requant):
        return [scalar_requant(a, requant, c) for c, a in enumerate(row)]

    s["attn_in"] = [scalar_norm(r, block.norm1) if pre else narrow(r, block.attn_requant) for r in x]
    for name in "qkv":
        s[name] = [scalar_linear(r, getattr(block, name)) for r in s["attn_in"]]
    s["logits"], s["probs"], s["context"] = [], [], [[0] * block.dim for _ in x]
    for h in range(block.heads):
        columns = range(h * d, h * d + d)
        s["logits"].append([])
        s["probs"].append([])
        for i in range(rows):
            length = i + 1 if block.causal else valid
            logits = [scalar_requant(sum(s["q"][i][c] * s["k"][j][c] for c in columns), block.logits_requant, h)
                      if j < length else 0 for j in range(rows)]
            probs = model.softmax(np.array(logits), block.scale, block.fmt, length=length).tolist()
            s["logits"][h].append(logits)
            s["probs"][h].append(probs)
            for c in columns:
                acc = sum((probs[j] - zero) * s["v"][j][c] for j in range(length))
                assert abs(acc) <= 2**23
                s["context"][i][c] = scalar_requant(acc, block.context_requant, c)
    s["residual1"] = [scalar_add(a, scalar_linear(c, block.o)) for a, c in zip(x, s["context"], strict=True)]
    stream = s["residual1"]
    if pre:
        s["ffn_in"] = [scalar_norm(r, block.norm2) for r in stream]
    else:
        stream = s["norm1_out"] = [scalar_norm(r, block.norm1) for r in stream]
        s["ffn_in"] = [narrow(r, block.ffn_requant) for r in stream]
    s["hidden"] = [scalar_linear(r, block.fc) for r in s["ffn_in"]]
    s["act"] = [[int(block.activation[a + 128]) for a in r] for r in s["hidden"]]
    total = [scalar_add(a, scalar_linear(c, block.out)) for a, c in zip(stream, s["act"], strict=True)]
    if pre:
        s["output"] = total
    else:
        s["residual2"], s["output"] = total, [scalar_norm(r, block.norm2) for r in total]
    return s


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("norm, causal", [("pre", True), ("pre", False), ("post", True), ("post", False)])
@pytest.mark.parametrize("logits", ["s8", "s16"])
def test_block_is_its_specification(norm, causal, fmt, logits):
    seed = 7
    block = random_block(seed, norm, causal, fmt=fmt, logits=logits)
    x = random_input(seed, 6, block.dim)
    expected, got = scalar_block(block, x, 5), block.run(x, valid=5)
    assert list(got) == [name for name in STAGES if name in expected]
    for name in got:
        assert got[name].tolist() == expected[name], f"stage {name}, seed {seed}"


@given(st.integers(0, 2**32 - 1))
def test_random_blocks_are_their_specification(seed):
    rng = np.random.default_rng(seed)
    block = random_block(seed, ["pre", "post"][rng.integers(2)], bool(rng.integers(2)), dim=8, hidden=12)
    x = random_input(seed, int(rng.integers(1, 4)), 8)
    assert block(x).tolist() == scalar_block(block, x, len(x))["output"]


def test_stages_have_the_types_that_the_table_of_stages_says():
    for norm in ("pre", "post"):
        stages = random_block(1, norm).run(random_input(1, 4))
        for name, values in stages.items():
            kind = "uint16" if name == "probs" else STAGES[name].split()[0].replace("s", "int")
            assert values.dtype == kind, name


def test_causal_rows_do_not_see_what_follows():
    block, x = random_block(2), random_input(2, 6)
    changed = x.copy()
    changed[4:] //= 2
    assert np.array_equal(block(x)[:4], block(changed)[:4])
    assert not np.array_equal(block(x)[4:], block(changed)[4:])


def test_padding_changes_no_valid_row():
    block, x = random_block(2, "post", causal=False), random_input(2, 6)
    changed = x.copy()
    changed[4:] //= 2
    assert np.array_equal(block(x, valid=4)[:4], block(changed, valid=4)[:4])
    assert np.array_equal(block(x, valid=4)[:4], block(x[:4]))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_batch_is_its_members(norm):
    block = random_block(3, norm)
    batch = np.stack([random_input(seed, 5) for seed in range(4)]).reshape(2, 2, 5, 16)
    together = block.run(batch)
    for i, j in np.ndindex(2, 2):
        for name, values in block.run(batch[i, j]).items():
            assert np.array_equal(together[name][i, j], values), name


def test_rows_of_probabilities_sum_to_the_total():
    for fmt, f in FORMATS.items():
        probs = random_block(4, causal=False, fmt=fmt).run(random_input(4, 9))["probs"].astype(int)
        assert ((probs - f.zero_point).sum(axis=-1) == f.total).all(), fmt


def test_another_softmax_format_changes_little():
    block, x = random_block(5, causal=False), random_input(5, 8)
    base = block.run(x)["context"].astype(int)
    other = block.with_softmax("tfl_s16").run(x)["context"].astype(int)
    assert np.abs(base - other).max() <= 1 and base.std() > 10


@given(st.floats(0, 2**29), st.integers(-(2**31), 2**31 - 1))
def test_requantization_is_the_rounded_product(factor, acc):
    requant = Requant.from_real(factor, "s16")
    real = Fraction(int(requant.multiplier[0]), 1 << int(requant.shift[0]))
    assert abs(real - Fraction(factor)) <= max(Fraction(factor) / 2**31, Fraction(1, 2**63))
    exact = (acc * real + Fraction(1, 2)).__floor__()
    assert requant([acc])[0] == max(-32768, min(32767, exact))


def test_requantization_of_extremes_does_not_overflow():
    requant = Requant(np.array([2**31 - 1, 2**31 - 1, 1]), np.array([62, 1, 62]), "s8")
    assert requant([2**31 - 1] * 3).tolist() == [1, 127, 0]
    assert requant([-(2**31)] * 3).tolist() == [-1, -128, 0]


def bad_linear(**change):
    good = random_block(1).q
    return lambda: Linear(**({"weight": good.weight, "bias": good.bias, "requant": good.requant} | change))


def bad_block(norm="pre", **change):
    return lambda: replace(random_block(1, norm), **change)


def bad_run(x, valid=None, **config):
    return lambda: random_block(1).run(x, valid, LiteNormConfig(**config))


GOOD = random_block(1)


@pytest.mark.parametrize("make, message", [
    (lambda: Requant([1], [0], "s8"), "shift ranges over 0..0; good: 1 to 62"),
    (lambda: Requant([1], [63], "s8"), "shift ranges over 63..63; good: 1 to 62"),
    (lambda: Requant([-1], [1], "s8"), "multiplier is -1; good: 0 to"),
    (lambda: Requant([2**31], [1], "s8"), "multiplier ranges over 2147483648"),
    (lambda: Requant([1], [1], "u8"), "out is 'u8'; good: s8, s16"),
    (lambda: Requant.from_real(-1.0, "s8"), "requantization factors range over -1.0"),
    (lambda: Requant.from_real(float("nan"), "s8"), "requantization factors range over nan"),
    (lambda: Requant([1], [1], "s8")([2**31]), "accumulator ranges over 2147483648"),
    (bad_linear(weight=np.full((16, 16), 128)), "weight ranges over 128..128; good: -128 to 127"),
    (bad_linear(weight=np.zeros((16, 16))), "weight is float64"),
    (bad_linear(weight=np.zeros(16, int)), "weight has shape"),
    (bad_linear(bias=np.full(16, 2**31 - 1)), "accumulator can reach"),
    (bad_linear(requant=Requant([1], [1], "s8")), "requant has 1 channels; good: 16"),
    (lambda: Norm(-1, GOOD.norm1.affine), "eps is -1; good: 0 to"),
    (lambda: Norm(2**48 + 1, GOOD.norm1.affine), "eps is 281474976710657; good: 0 to"),
    (bad_block(norm="pre", heads=3), "heads is 3; good: a divisor of the model width 16"),
    (bad_block(norm="pre", name="x" * 64), "name has 64 bytes; good: at most 63"),
    (bad_block(norm="pre", fmt="u7"), "unknown softmax format 'u7'"),
    (bad_block(norm="pre", q=GOOD.o), "q is s16 of shape"),
    (bad_block(norm="pre", fc=GOOD.q), "out is s16 of shape"),
    (bad_block(norm="pre", attn_requant=GOOD.context_requant), "attn_requant is given in a pre-norm block"),
    (bad_block(norm="post", attn_requant=None), "attn_requant is missing in a post-norm block"),
    (bad_block(norm="pre", logits_requant=GOOD.context_requant), "logits_requant is s8 of 16 channels"),
    (bad_block(norm="post", norm1=GOOD.norm1), "norm1 is s8 of 16 elements; good: s16 of 16"),
    (bad_block(norm="pre", activation=np.zeros(255, int)), "activation is int64 of shape"),
    (lambda: random_block(1, dim=6), "model width is 6 and feed-forward width 32; good: multiples of 4"),
    (bad_run(np.zeros((3, 8), np.int16)), "input is int16 of shape"),
    (bad_run(np.zeros((3, 16))), "input is float64"),
    (bad_run(random_input(1, 3), valid=4), "valid is 4; good: 1 to 3"),
    (bad_run(random_input(1, 3), valid=0), "valid is 0; good: 1 to 3"),
    (bad_run(random_input(1, 3), max_length=8), "row length is 16; good: 1 to 8"),
    (bad_run(random_input(1, 20), max_length=16), "row length is 20; good: 1 to 16"),
])
def test_bad_values(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert message in str(error.value) and "\n" not in str(error.value)
