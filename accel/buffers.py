# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Memories that rows wait in, with an optional parity bit a beat."""

from functools import reduce
from operator import xor

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *


def parity(value):
    """Expression: 1 when an odd number of the bits of `value` is set."""
    bits = [value[i] for i in range(len(value))]
    while len(bits) > 1:    # a tree: a chain over a wide beat is deeper than Python's stack
        bits = [reduce(xor, bits[i : i + 2]) for i in range(0, len(bits), 2)]
    return bits[0]


class BeatBuffer(LiteXModule):
    """FIFO of `depth` beats of `bits` data bits. Latency: 2 cycles. It takes a beat a cycle until it is full.

    error   o: with source.valid: the beat's parity is not what it was on entry (`protected`; else constant 0)

    One parity bit detects every single flip of a stored beat, the output register included.
    """

    def __init__(self, bits, depth, protected=False):
        self.fifo = fifo = stream.SyncFIFO([("data", bits)] + ([("parity", 1)] if protected else []), depth,
                                           buffered=True)
        self.sink = stream.Endpoint([("data", bits)])
        self.source = stream.Endpoint([("data", bits)])
        self.error = Signal()

        # # #

        self.comb += [self.sink.connect(fifo.sink), fifo.source.connect(self.source, omit={"parity"})]
        if protected:
            self.comb += [
                fifo.sink.parity.eq(parity(self.sink.data)),
                self.error.eq(fifo.source.valid & (parity(fifo.source.data) != fifo.source.parity)),
            ]
