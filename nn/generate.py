# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Text generation in integers: the NumPy reference that the firmware's generation equals token for token.

The model is a chain of `litenorm.nn.block` blocks with one scale of the residual stream. T positions, D model width, V
tokens in the vocabulary; all arithmetic is on integers:

    x        s16 [T][D] = clip(words[token] + positions[position])
    x        s16 [T][D] = block(x), one after the other
    last     s8  [D]    = norm(x[T - 1]), the final LayerNorm
    logits   s16 [V]    = head(last), one scale for all of them

`IntegerGPT.logits` computes all positions anew for each token; the firmware keeps keys and values instead. Each row of
a causal block depends on the rows before it only, so both give the same integers.

The sampler takes the logits of one step:

    greedy       the largest logit; among equals the lowest token
    otherwise    the `top_k` largest logits (among equals the lower tokens; all V when top_k is 0), in the order of
                 their tokens, go through the exact softmax in format FORMAT with scale logits_scale / temperature: k
                 codes that add up to TOTAL exactly. A draw u, uniform in 0..TOTAL - 1, chooses the first candidate
                 whose cumulative sum of codes is above u. The sum is exact, so that each u has one, and nothing is
                 renormalized.

Random numbers are those of xorshift32 (Marsaglia 2003, shifts 13, 17, 5), one for each token that is sampled; its upper
15 bits are the draw. It starts from the seed's scrambled bits (`random_state`), so that small seeds do not begin with
small numbers.
"""

import argparse
import math
import sys
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console
from rich.progress import track

from litenorm.accel import LiteNormConfig, model
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale
from litenorm.nn.block import Linear, Norm, saturate
from litenorm.nn.checkpoint import load_checkpoint
from litenorm.nn.quantize import HEADROOM, quantize, quantize_head
from litenorm.nn.workload import DATA

FORMAT = "u16_q15"  # of the sampler's softmax
TOTAL = FORMATS[FORMAT].total
DRAW_SHIFT = 32 - (TOTAL.bit_length() - 1)  # of a random number to a draw below TOTAL, a power of two
WINDOW = 128    # characters of a calibration window, and of one of perplexity
STRIDE = 640    # from calibration window to calibration window
TEMPERATURES = (0.01, 100.0)    # what is accepted; 0 is greedy
_U32 = 0xFFFF_FFFF


@dataclass(frozen=True)
class Sampler:
    """How the next token is chosen from the logits.

    temperature  0: greedy; else TEMPERATURES[0] to TEMPERATURES[1], the logits are divided by it
    top_k        candidates, 0: the whole vocabulary; not used when greedy
    seed         of the random numbers, 0 to 2^32 - 1; not used when greedy
    """

    temperature: float = 0.0
    top_k: int = 0
    seed: int = 1

    def __post_init__(self):
        low, high = TEMPERATURES
        if not (self.temperature == 0 or low <= self.temperature <= high):
            raise ValueError(f"temperature is {self.temperature}; good: 0 (greedy), or {low} to {high:g}")
        if self.top_k < 0:
            raise ValueError(f"top-k is {self.top_k}; good: 1 or more candidates, or 0 for the whole vocabulary")
        if not 0 <= self.seed <= _U32:
            raise ValueError(f"seed is {self.seed}; good: 0 to {_U32}")

    @property
    def greedy(self):
        return self.temperature == 0

    def scale(self, logits_scale):
        """Scale of the softmax over the candidates, logits_scale the real value of one LSB; None when greedy."""
        return None if self.greedy else Scale.from_real(logits_scale / self.temperature)

    def candidates(self, size):
        """How many of `size` logits take part."""
        return min(self.top_k or size, size)


def random_state(seed):
    """Start of xorshift32 for a seed: MurmurHash3's 32-bit finalizer of seed + 0x9e3779b9, and never 0."""
    h = seed + 0x9E37_79B9 & _U32
    h = (h ^ h >> 16) * 0x85EB_CA6B & _U32
    h = (h ^ h >> 13) * 0xC2B2_AE35 & _U32
    return h ^ h >> 16 or 1


def next_random(state):
    """The number behind `state`, which is the next state, too."""
    state ^= state << 13 & _U32
    state ^= state >> 17
    return state ^ state << 5 & _U32


def probabilities(logits, sampler, logits_scale, config=None):
    """(candidates int64 [k] in ascending order, their codes [k], which add up to TOTAL) of logits s16 [V]."""
    order = np.argsort(-logits.astype(np.int64), kind="stable")
    chosen = np.sort(order[: sampler.candidates(logits.size)])
    return chosen, model.softmax(logits[chosen], sampler.scale(logits_scale), FORMAT, config=config)


def choose(candidates, codes, draw):
    """The first candidate whose cumulative sum of codes is above draw, 0 to TOTAL - 1."""
    return int(candidates[np.searchsorted(np.cumsum(codes.astype(np.int64)), draw, side="right")])


def pick(logits, sampler, logits_scale, state, config=None):
    """(token, next state) from logits s16 [V]. The state stays as it is when greedy."""
    if sampler.greedy:
        return int(np.argmax(logits)), state
    state = next_random(state)
    return choose(*probabilities(logits, sampler, logits_scale, config), state >> DRAW_SHIFT), state


@dataclass(frozen=True)
class IntegerGPT:
    """A language model in integers.

    name           for people
    blocks         list of nn.block.Block: pre-norm, causal, of one width, one scale of input and output
    words          s16 [V, D], one row for each token
    positions      s16 [T, D], one row for each position: T is the context
    norm           nn.block.Norm to s8, the final LayerNorm
    head           nn.block.Linear [V, D] to s16
    logits_scale   real value of one LSB of the logits
    vocabulary     text of each token
    """

    name: str
    blocks: list
    words: np.ndarray
    positions: np.ndarray
    norm: Norm
    head: Linear
    logits_scale: float
    vocabulary: tuple

    def __post_init__(self):
        first = self.blocks[0]
        for i, block in enumerate(self.blocks):
            if block.norm != "pre" or not block.causal:
                raise ValueError(f"block {i} is {block.norm}-norm, causal: {block.causal}; good: pre-norm and causal")
            if (block.dim, block.hidden, block.heads, block.fmt) != (first.dim, first.hidden, first.heads, first.fmt):
                raise ValueError(f"block {i} has another shape or format than block 0; good: the same for all")
            if block.logits_requant.out != first.logits_requant.out:
                raise ValueError(f"block {i} has {block.logits_requant.out} logits; good: {first.logits_requant.out}")
        size, dim = len(self.vocabulary), first.dim
        for name, shape, good in (("words", self.words.shape, (size, dim)),
                                  ("positions", self.positions.shape, (self.context, dim)),
                                  ("head", self.head.weight.shape, (size, dim))):
            if shape != good:
                raise ValueError(f"{name} has shape {shape}; good: {good}")
        if self.words.dtype != np.int16 or self.positions.dtype != np.int16:
            raise ValueError(f"the embeddings are {self.words.dtype} and {self.positions.dtype}; good: int16")
        if self.norm.affine.out != "s8" or self.head.requant.out != "s16":
            raise ValueError(f"norm is {self.norm.affine.out}, head {self.head.requant.out}; good: s8 and s16")

    @property
    def dim(self):
        """D, the model width."""
        return self.blocks[0].dim

    @property
    def context(self):
        """T, the most tokens."""
        return len(self.positions)

    def encode(self, text):
        """Token numbers of a text, one for each character. ValueError when it is empty or has unknown characters."""
        return encode(self.name, self.vocabulary, text)

    def decode(self, tokens):
        """Text of token numbers."""
        return "".join(self.vocabulary[t] for t in tokens)

    def all_logits(self, tokens, config=None):
        """s16 [..., T, V]: the logits behind each token of int [..., T]."""
        tokens = np.asarray(tokens)
        x = saturate(self.words[tokens].astype(np.int64) + self.positions[: tokens.shape[-1]], "s16")
        for block in self.blocks:
            x = block(x, config=config)
        return self.head(self.norm(x, config))

    def logits(self, tokens, config=None):
        """s16 [V]: the logits behind the last of the tokens."""
        return self.all_logits(tokens, config)[-1]

    def check(self, prompt, count, sampler, config=None):
        """ValueError when `count` tokens behind `prompt` (token numbers) fit neither the model nor the core."""
        _check(self.name, self.context, self.dim, len(self.vocabulary), len(prompt), count, sampler, config)


def encode(name, vocabulary, text):
    """Token numbers of a text, one for each character. ValueError, with the model's name, for what it cannot be."""
    if not text:
        raise ValueError("the prompt is empty; good: one character or more")
    index = {c: i for i, c in enumerate(vocabulary)}
    unknown = sorted(set(text) - set(index))
    if unknown:
        raise ValueError(f"the prompt has characters that {name} does not know: {''.join(unknown)!r}; "
                         f"good: {''.join(vocabulary)!r}")
    return [index[c] for c in text]


def _check(name, context, dim, size, prompt, count, sampler, config):
    """ValueError when `count` tokens behind `prompt` ones fit neither the model nor the core."""
    config = config or LiteNormConfig()
    if count < 1:
        raise ValueError(f"the number of tokens is {count}; good: 1 or more")
    if prompt < 1:
        raise ValueError("the prompt is empty; good: one character or more")
    if prompt + count > context:
        raise ValueError(f"the prompt has {prompt} tokens and {count} are wanted; good: at most {context} together, "
                         f"the context of {name}")
    rows = {"the length of prompt and text, in tokens,": prompt + count, f"the model width of {name}": dim}
    if not sampler.greedy:
        rows["the number of candidates (top-k)"] = sampler.candidates(size)
    for what, length in rows.items():
        if length > config.max_length:
            raise ValueError(f"{what} is {length}; good: at most {config.max_length}, the core's max_length")


def check_request(checkpoint, prompt, count, sampler, config=None):
    """As IntegerGPT.encode and check, of a nn.checkpoint.Checkpoint: before its seconds of quantization."""
    _needs_head(checkpoint)
    tokens = len(encode(checkpoint.name, checkpoint.vocabulary, prompt))
    _check(checkpoint.name, checkpoint.max_tokens, checkpoint.dim, len(checkpoint.vocabulary), tokens, count, sampler,
           config)


@dataclass
class Generation:
    """What was generated: token numbers, and the logits s16 [V] that each was chosen from."""

    tokens: list = field(default_factory=list)
    logits: list = field(default_factory=list)


def generate(gpt, prompt, count, sampler=None, config=None):
    """Generation of `count` tokens behind `prompt`, a list of token numbers.

    sampler  Sampler (None: greedy);  config  LiteNormConfig of the core (None: the default one)

    ValueError when they do not fit the model's context or the core.
    """
    sampler = sampler or Sampler()
    gpt.check(prompt, count, sampler, config)
    result, state = Generation(), random_state(sampler.seed)
    for _ in range(count):
        logits = gpt.logits([*prompt, *result.tokens], config)
        token, state = pick(logits, sampler, gpt.logits_scale, state, config)
        result.tokens.append(token)
        result.logits.append(logits)
    return result


# From a checkpoint ----------------------------------------------------------------------------------------------------

def quantize_gpt(checkpoint, text, fmt="u16_q15", logits="s16", progress=lambda items: items):
    """IntegerGPT of a nn.checkpoint.Checkpoint, calibrated on excerpts of `text`.

    fmt, logits  softmax format and type of its logits, as quantize() takes them
    progress     wraps the iterable of the layers

    ValueError when the checkpoint has no vocabulary and head, or the text is shorter than two tokens.
    """
    _needs_head(checkpoint)
    window = min(WINDOW, checkpoint.max_tokens)
    tokens = checkpoint.encode(text)
    if len(tokens) < 2:
        raise ValueError(f"the calibration text is {len(tokens)} tokens; good: {window} or more")
    starts = range(0, max(len(tokens) - window, 0) + 1, STRIDE)
    stream, runs = [[checkpoint.embed(tokens[s : s + window]) for s in starts]], []    # by layer and window
    with np.errstate(all="ignore"):  # an overflow shows in the results, which quantize() looks at
        for layer in checkpoint.layers:
            runs.append([layer.run(x) for x in stream[-1]])
            stream.append([run["output"] for run in runs[-1]])
    # One scale for the residual stream of all layers: a block's output is the next one's input as it is.
    largest = max(np.abs(x).max() for xs in [*stream, *([run["residual1"] for run in rs] for rs in runs)] for x in xs)
    scale = float(largest) * HEADROOM / 32767
    blocks = [quantize(layer, stream[i], f"{checkpoint.name} layer {i}", fmt, logits, scale, runs=runs[i])
              for i, layer in enumerate(progress(checkpoint.layers))]
    words, positions = (saturate(np.rint(e.astype(np.float64) / scale).astype(np.int64), "s16")
                        for e in checkpoint.embedding)
    gamma, beta, eps = checkpoint.final_norm
    last = np.concatenate(stream[-1])
    norm, head, logits_scale = quantize_head(gamma, beta, eps, checkpoint.embedding[0], last, scale)
    return IntegerGPT(checkpoint.name, blocks, words, positions, norm, head, logits_scale, checkpoint.vocabulary)


def _needs_head(checkpoint):
    if checkpoint.vocabulary is None or checkpoint.embedding is None or checkpoint.final_norm is None:
        raise ValueError(f"{checkpoint.name} is an encoder and has no head that predicts tokens; good: a checkpoint of "
                         "litenorm.nn.train_gpt")


def load_gpt(folder=None, fmt="u16_q15", logits="s16", progress=lambda items: items):
    """(IntegerGPT, nn.checkpoint.Checkpoint) of a checkpoint folder (None: the GPT that comes along)."""
    checkpoint = load_checkpoint(folder or DATA)
    text = (DATA / "calibration.txt").read_text(encoding="utf-8")
    known = set(checkpoint.vocabulary or text)
    return quantize_gpt(checkpoint, "".join(c for c in text if c in known), fmt, logits, progress), checkpoint


# Perplexity -----------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Perplexity:
    """Perplexity of the float32 and of the integer model on the same characters.

    characters  that were predicted
    real, integer  perplexity, per character
    change      of the mean negative log likelihood, in nats a character, integer less float
    error       standard error of `change`, over windows
    """

    characters: int
    real: float
    integer: float
    change: float
    error: float


def _losses(logits, tokens):
    """Negative log likelihood of tokens [..., 1:] from logits [..., T, V], in nats: [..., T - 1]."""
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(logits[..., :-1, :], tokens[..., 1:, None], axis=-1)[..., 0]
    return np.log(np.exp(logits).sum(axis=-1))[..., :-1] - chosen


def perplexity(gpt, checkpoint, text, windows=None, progress=lambda items: items):
    """Perplexity of `gpt` beside the float32 `checkpoint` on consecutive windows of `text` (None: all, whole ones)."""
    tokens = np.asarray(checkpoint.encode(text))
    size = min(WINDOW, gpt.context)
    count = min(len(tokens) // size, windows or len(tokens))
    if count < 1:
        raise ValueError(f"the text is {len(tokens)} tokens; good: {size} or more")
    losses = []
    for i in progress(range(count)):
        window = tokens[i * size : (i + 1) * size]
        real = checkpoint.head(checkpoint.layer_input(list(window), len(checkpoint.layers)))
        integer = gpt.all_logits(window) * gpt.logits_scale
        losses.append([_losses(logits, window).mean() for logits in (real, integer)])
    real, integer = np.mean(losses, axis=0)
    changes = np.diff(losses, axis=1)
    error = float(changes.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan
    return Perplexity(count * (size - 1), math.exp(real), math.exp(integer), float(integer - real), error)


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m litenorm.nn.generate", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Perplexity of the whole integer model beside float32's on held-out text: what the text that\n"
                    "`litenorm generate` prints is worth. Exit 0.",
        epilog="example: python -m litenorm.nn.generate --windows 100")
    parser.add_argument("checkpoint", nargs="?", help="checkpoint folder (default: the GPT that comes along)")
    parser.add_argument("--windows", type=int, metavar="N", help=f"windows of {WINDOW} characters (default: all)")
    args = parser.parse_args(argv)
    console = Console(highlight=False)
    hidden = {"console": console, "transient": True, "disable": not console.is_terminal}
    try:
        if args.windows is not None and args.windows < 1:
            raise ValueError(f"--windows is {args.windows}; good: 1 or more")
        gpt, checkpoint = load_gpt(args.checkpoint, progress=lambda layers: track(layers, "quantizing", **hidden))
        text = (DATA / "held_out.txt").read_text(encoding="utf-8")
        result = perplexity(gpt, checkpoint, text, args.windows,
                            lambda windows: track(windows, "perplexity", **hidden))
    except (ValueError, OSError) as error:
        print(f"generate: {error}", file=sys.stderr)
        return 1
    console.print(describe(gpt, result), soft_wrap=True)
    return 0


def describe(gpt, result):
    """One line about a Perplexity."""
    percent = 100 * math.expm1(result.change)
    spread = "" if math.isnan(result.error) else f" +- {100 * result.error:.3f}"
    return (f"{gpt.name}: perplexity of {result.characters} held-out characters {result.integer:.4f} in integers, "
            f"{result.real:.4f} in float32 ({percent:+.3f}{spread} %)")


if __name__ == "__main__":
    sys.exit(main())
