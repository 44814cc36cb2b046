# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""nn/generate.py: the integer language model, its sampler, and what the real one is worth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from litenorm.accel import LiteNormConfig
from litenorm.nn import generate as g
from litenorm.nn.generate import TOTAL, IntegerGPT, Sampler, generate
from litenorm.nn.testing import random_block, random_gpt

SCALE = 5e-4    # of logits


@pytest.fixture(scope="module")
def real():
    """(IntegerGPT, Checkpoint) of the GPT that comes along."""
    return g.load_gpt()


# Model ----------------------------------------------------------------------------------------------------------------

def test_logits_do_not_depend_on_what_follows():
    """What makes keys and values worth keeping: row i of all positions is the last row of the first i + 1."""
    gpt = random_gpt(2)
    tokens = [3, 1, 4, 1, 5, 9, 2, 6]
    rows = gpt.all_logits(tokens)
    for i in range(len(tokens)):
        assert np.array_equal(gpt.logits(tokens[: i + 1]), rows[i])
    assert len({row.tobytes() for row in rows}) == len(tokens)  # and they are not all the same


def test_text_goes_on_from_what_was_generated():
    gpt = random_gpt(2)
    for sampler in (Sampler(), Sampler(0.7, 4, 5)):
        whole = generate(gpt, [1, 2, 3], 8, sampler)
        assert whole.tokens[:3] == generate(gpt, [1, 2, 3], 3, sampler).tokens
    greedy = generate(gpt, [1, 2, 3], 8)
    assert generate(gpt, [1, 2, 3, *greedy.tokens[:4]], 4).tokens == greedy.tokens[4:]
    assert [int(np.argmax(logits)) for logits in greedy.logits] == greedy.tokens


def test_the_core_s_width_changes_nothing():
    gpt, sampler = random_gpt(3), Sampler(1.0, 5, 2)
    configs = (None, LiteNormConfig(lanes=1, max_length=16), LiteNormConfig(lanes=16))
    assert len({tuple(generate(gpt, [1, 2], 6, sampler, config).tokens) for config in configs}) == 1


@pytest.mark.parametrize("change, message", [
    ({"blocks": [random_block(1, "post", causal=False)]}, "block 0 is post-norm, causal: False; good: pre-norm"),
    ({"blocks": [random_block(1), random_block(1, hidden=16)]}, "block 1 has another shape"),
    ({"blocks": [random_block(1), random_block(1, logits="s8")]}, "block 1 has s8 logits; good: s16"),
    ({"vocabulary": ("a", "b")}, "words has shape (12, 16); good: (2, 16)"),
    ({"positions": np.zeros((8, 12), np.int16)}, "positions has shape (8, 12); good: (8, 16)"),
    ({"positions": np.zeros((8, 16), np.int32)}, "the embeddings are int16 and int32; good: int16"),
])
def test_parts_that_do_not_fit_are_refused(change, message):
    parts = vars(random_gpt(1))
    with pytest.raises(ValueError) as error:
        IntegerGPT(**{**parts, **change})
    assert message in str(error.value)


# Sampler --------------------------------------------------------------------------------------------------------------

logits_rows = st.lists(st.integers(-32768, 32767), min_size=1, max_size=80)


@given(logits_rows, st.integers(0, 90), st.floats(0.01, 100), st.integers(0, 2**31))
def test_probabilities_add_up_to_exactly_one(row, top_k, temperature, seed):
    logits = np.array(row, np.int16)
    candidates, codes = g.probabilities(logits, Sampler(temperature, top_k), SCALE)
    assert len(candidates) == min(top_k or len(row), len(row)) and (np.diff(candidates) > 0).all()
    assert codes.astype(np.int64).sum() == TOTAL
    others = np.delete(logits, candidates)
    assert not others.size or others.max() <= logits[candidates].min()
    # Whatever the draw, there is a candidate for it, and one that can happen at all.
    for draw in (0, seed % TOTAL, TOTAL - 1):
        assert codes[candidates == g.choose(candidates, codes, draw)][0] > 0


def test_each_token_is_drawn_as_often_as_its_probability_says():
    """Over all draws, not a sample of them: counts are the codes themselves."""
    logits = np.random.default_rng(1).normal(0, 3000, 30).astype(np.int16)
    candidates, codes = g.probabilities(logits, Sampler(0.9, 12), SCALE)
    counts = np.bincount([g.choose(candidates, codes, draw) for draw in range(TOTAL)], minlength=30)
    assert np.array_equal(counts[candidates], codes) and counts.sum() == TOTAL


def test_of_equal_logits_the_first_tokens_are_taken():
    logits = np.array([5, 9, 5, 9, 5, 5], np.int16)
    assert g.probabilities(logits, Sampler(1.0, 4), SCALE)[0].tolist() == [0, 1, 2, 3]
    assert g.pick(logits, Sampler(), SCALE, 1) == (1, 1)


def test_one_candidate_is_greedy():
    logits = np.random.default_rng(2).normal(0, 3000, 63).astype(np.int16)
    for seed in range(5):
        assert g.pick(logits, Sampler(2.0, 1, seed), SCALE, g.random_state(seed))[0] == int(np.argmax(logits))


def test_temperature_flattens_and_sharpens():
    logits = np.random.default_rng(3).normal(0, 3000, 63).astype(np.int16)
    largest = [g.probabilities(logits, Sampler(t), SCALE)[1].max() for t in (0.1, 0.5, 1.0, 2.0, 50.0)]
    assert largest == sorted(largest, reverse=True) and largest[0] > 0.9 * TOTAL and largest[-1] < 2 * TOTAL / 63


def test_random_numbers_are_the_published_ones():
    assert g.next_random(1) == 270369   # Marsaglia's xorshift32
    assert g.random_state(2**32 + 1 - 0x9E3779B9) == 0x514E28B7    # MurmurHash3's finalizer of 1
    assert g.random_state(2**32 - 0x9E3779B9) == 1  # 0, which xorshift never leaves, is not a state


def test_draws_are_uniform():
    state, counts = g.random_state(1), np.zeros(16, int)
    for _ in range(16_000):
        state = g.next_random(state)
        counts[(state >> g.DRAW_SHIFT) * 16 // TOTAL] += 1
    assert abs(counts - 1000).max() < 5 * math.sqrt(1000)
    first = {g.next_random(g.random_state(seed)) >> g.DRAW_SHIFT for seed in range(64)}
    assert len(first) > 60 and max(first) - min(first) > TOTAL // 2    # neighbouring seeds begin far apart


@pytest.mark.parametrize("make, message", [
    (lambda: Sampler(-1.0), "temperature is -1.0; good: 0 (greedy), or 0.01 to 100"),
    (lambda: Sampler(math.nan), "temperature is nan"),
    (lambda: Sampler(101.0), "temperature is 101.0"),
    (lambda: Sampler(1.0, -1), "top-k is -1; good: 1 or more candidates"),
    (lambda: Sampler(1.0, 0, 2**32), "seed is 4294967296; good: 0 to 4294967295"),
    (lambda: random_gpt(1).encode(""), "the prompt is empty"),
    (lambda: random_gpt(1).encode("abz?"), "the prompt has characters that random 1 does not know: '?z'; good: "),
    (lambda: generate(random_gpt(1), [], 3), "the prompt is empty"),
    (lambda: generate(random_gpt(1), [1], 0), "the number of tokens is 0; good: 1 or more"),
    (lambda: generate(random_gpt(1), [1, 2], 15),
     "the prompt has 2 tokens and 15 are wanted; good: at most 16 together"),
    (lambda: generate(random_gpt(1), [1], 6, None, LiteNormConfig(max_length=8)), "the model width of random 1 is 16"),
    (lambda: generate(random_gpt(1, dim=8), [1], 9, None, LiteNormConfig(max_length=8)),
     "the length of prompt and text, in tokens, is 10; good: at most 8, the core's max_length"),
    (lambda: generate(random_gpt(1, dim=8), [1], 2, Sampler(1.0), LiteNormConfig(max_length=8)),
     "the number of candidates (top-k) is 12; good: at most 8"),
])
def test_what_cannot_be_is_one_line(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert message in str(error.value) and "\n" not in str(error.value)


# The real model -------------------------------------------------------------------------------------------------------

def test_the_gpt_in_integers_predicts_as_well_as_in_float32(real):
    """A short form of `python -m litenorm.nn.generate`: a fixed part of the text, so that nothing here is by chance."""
    gpt, checkpoint = real
    text = (g.DATA / "held_out.txt").read_text(encoding="utf-8")
    result = g.perplexity(gpt, checkpoint, text, 12)
    assert result.characters == 12 * 127
    assert 2.5 < result.real < 4 and abs(result.change) < 0.005
    assert f"{result.integer:.4f} in integers" in g.describe(gpt, result)


def test_the_gpt_goes_on_as_in_float32(real):
    """The first tokens of a greedy text; later a near tie may fall the other way."""
    gpt, checkpoint = real
    prompt = gpt.encode("In the beginning")
    tokens, expected = generate(gpt, prompt, 8).tokens, []
    for _ in tokens:
        states = checkpoint.layer_input([*prompt, *expected], len(checkpoint.layers))
        expected.append(int(np.argmax(checkpoint.head(states)[-1])))
    assert tokens == expected and gpt.decode(prompt) == "In the beginning"


def test_an_encoder_has_no_text(real):
    _, checkpoint = real
    encoder = type(checkpoint)("bert", checkpoint.layers, 128, checkpoint.encode, checkpoint.embed)
    for call in (lambda: g.quantize_gpt(encoder, "text"), lambda: g.check_request(encoder, "text", 1, Sampler())):
        with pytest.raises(ValueError, match="bert is an encoder and has no head that predicts tokens; good: "):
            call()


def test_command_says_what_is_wrong(capsys, tmp_path):
    assert g.main([str(tmp_path / "nowhere")]) == 1
    assert "generate: " in capsys.readouterr().err
    assert g.main(["--windows", "0"]) == 1
    assert "--windows is 0; good: 1 or more" in capsys.readouterr().err
