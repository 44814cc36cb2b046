# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The peers' arithmetic beside LiteNorm's on the same rows: `litenorm compare`."""

from functools import partial

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from litenorm.accel import constants as c
from litenorm.accel import model
from litenorm.accel.formats import FORMATS
from litenorm.bench import rows as data
from litenorm.bench.peers import LAYERNORM_PEERS, SOFTMAX_PEERS, LayerNormPeer, SoftmaxPeer
from litenorm.bench.report import Report
from litenorm.bench.score import LayerNormScore, SoftmaxScore

MAX_ROWS = 1_000_000
FAMILY = "litenorm"

# What model.layernorm promises for |sigma - 1| of every row, eps = 0.
SIGMA_BOUND = 2.0**-c.NORM_FRACTION_BITS + 2.0**-15


def litenorm_codes(x, scale, fmt):
    """LiteNorm's model as a peer: codes less the zero point, int64 [rows, N]."""
    return model.softmax(x, scale, fmt).astype(np.int64) - FORMATS[fmt].zero_point


def litenorm_norm(x):
    """LiteNorm's model as a peer: Q5.10 as float64 [rows, N]."""
    return model.layernorm(x) / 2.0**c.NORM_FRACTION_BITS


LITENORM_SOFTMAX = tuple(
    SoftmaxPeer(f"litenorm_{f.name}", f"LiteNorm {f.name}", "accel/model.py", f.total,
                partial(litenorm_codes, fmt=f.name), FAMILY)
    for f in FORMATS.values()
)
LITENORM_LAYERNORM = LayerNormPeer("litenorm", "LiteNorm", "accel/model.py", litenorm_norm, tuple(c.INPUTS))


def check(rows, seed, lengths):
    """ValueError that says what would have been right."""
    if not 1 <= rows <= MAX_ROWS:
        raise ValueError(f"rows is {rows}; good: 1 to {MAX_ROWS}")
    if seed < 0:
        raise ValueError(f"seed is {seed}; good: 0 or more")
    limit = c.MAX_LENGTH_LAYERNORM
    if not lengths or len(set(lengths)) != len(lengths) or not all(2 <= n <= limit for n in lengths):
        raise ValueError(f"lengths are {','.join(map(str, lengths))}; good: different row lengths from 2 to {limit}")


def compare(rows=4000, seed=1, lengths=(64, 256, 1024)):
    """Run all peers on `rows` random rows of each length, and on the named rows: a Report.

    Its `ok` holds when every row of LiteNorm is exact. ValueError for a bad argument.
    """
    check(rows, seed, lengths)
    peers = SOFTMAX_PEERS + LITENORM_SOFTMAX
    norms = (*LAYERNORM_PEERS, LITENORM_LAYERNORM)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
               TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal,
                  redirect_stdout=False) as progress:
        work = rows * sum(lengths)
        task = progress.add_task("", total=work * (len(peers) + sum(len(p.inputs) for p in norms)))
        softmax, layernorm = [], []
        for length in lengths:
            progress.update(task, description=f"softmax, N = {length}")
            scores = [SoftmaxScore(peer.total) for peer in peers]
            for x in data.logits(rows, length, seed):
                exact = data.softmax(x, data.SCALE)
                for peer, score in zip(peers, scores, strict=True):
                    score.add(x, peer.codes(x, data.SCALE), exact)
                    progress.advance(task, x.size)
            softmax += [{"peer": peer.name, "length": length, "total": peer.total, **score.result()}
                        for peer, score in zip(peers, scores, strict=True)]
            for kind in c.INPUTS:
                progress.update(task, description=f"LayerNorm, N = {length}, {kind}")
                able = [peer for peer in norms if kind in peer.inputs]
                scores = [LayerNormScore() for _ in able]
                for x in data.activations(rows, length, seed, kind):
                    exact = data.layernorm(x)
                    for peer, score in zip(able, scores, strict=True):
                        score.add(peer.norm(x), exact)
                        progress.advance(task, x.size)
                layernorm += [{"peer": peer.name, "length": length, "input": kind, **score.result()}
                              for peer, score in zip(able, scores, strict=True)]
        named = [named_result(name, x, peer) for name, x in data.named_rows().items() for peer in peers]
    return Report(rows, seed, tuple(lengths), peers, norms, softmax, named, layernorm, SIGMA_BOUND)


def named_result(name, x, peer):
    """Sum of one named row; None where the peer leaves it undefined."""
    codes = peer.codes(x, data.SCALE)
    total = None if (codes < 0).any() else int(codes.sum())
    return {"row": name, "length": x.shape[1], "peer": peer.name, "sum_of_codes": total, "total": peer.total,
            "sum": None if total is None else total / peer.total}

