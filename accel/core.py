# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""LiteNorm: Softmax, LayerNorm and RMSNorm of rows that stream through, normalized by construction."""

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.buffers import BeatBuffer, Queue, buffer_depth
from litenorm.accel.config import LiteNormConfig
from litenorm.accel.exponential import ELEMENT_BITS, ExpPass
from litenorm.accel.normalizer import Normalizer
from litenorm.accel.requantize import Requantize, weights_layout
from litenorm.accel.row_constants import RowConstants, constants_layout
from litenorm.accel.rows import OP, row_params
from litenorm.accel.self_check import RowEntry, SelfCheck, promise_layout
from litenorm.accel.statistics import Statistics

__all__ = ["LiteNorm", "core_for", "row_params"]

ROWS_IN_FLIGHT = 8      # rows whose constants wait for pass 2
ROWS_IN_CORE = 16       # promises of the self-check, and of those rows the ones between its two checks


def core_for(config):
    """The core of `config`: LiteNorm, or SerialLiteNorm with the same ports."""
    if config.serial:
        from litenorm.accel.serial.core import SerialLiteNorm

        return SerialLiteNorm(config)
    return LiteNorm(config)


class LiteNorm(LiteXModule):
    """The core with the parallel back end: `lanes` elements a cycle.

        sink -> Statistics -> row buffer -> ExpPass, buffer -> Normalizer -> Requantize -> source
                     |  pass 0                |  pass 1               ^  pass 2
                     +------ record ----------+--- S --> RowConstants +

    A row is read from memory once. Each pass waits only for what it needs, so row k + 1 is stored while row k is
    exponentiated and row k - 1 leaves; every arrow is a stream with backpressure.

    sink     beats of `lanes` elements of `input_bits`, two's complement, lane 0 in the low bits; `last` ends a row of
             ceil(N / lanes) beats; params: rows.row_params, constant within a row
    weights  gamma and beta, see Requantize (config.affine)
    source   as many beats as went in, 16 bits a lane: the code, s8 sign-extended, u8 zero-extended

    row_done      pulse, a few cycles after a row's last beat has left: it was checked
    row_error     a cycle or more, not later than row_done: a row broke its promise (self_check.SelfCheck), or a stored
                  beat its parity (config.parity)
    constant_row  pulse, before its last beat leaves: a norm's row has no variance

    Latency, first beat in to last beat out of an idle core that is neither kept waiting for beats nor for room behind
    it, with all operations and s16: passes * (ceil(N / lanes) - 1) + latency[op] cycles, where

        op                   passes  latency at 1, 2, 4, 8, 16 lanes
        softmax              3       49 50 50 53 53
        layernorm, rmsnorm   2       51 52 52 54 54

    of which 6 are Requantize's (config.affine). Throughput: a beat a cycle, and a row every 10 cycles (softmax) or 11
    (norms) at most. With config.short_rows the latency is 3 and 2 less, and a row may come every 7 or 8 cycles.
    `python -m litenorm.bench.throughput` measures both.

    What comes out is `litenorm.accel.model`, bit for bit. Method: the docstrings of model.py.
    """

    def __init__(self, config=None):
        self.config = config = LiteNormConfig() if config is None else config
        if config.serial:
            raise ValueError("backend is serial; good: parallel, or core_for(config)")
        lanes = config.lanes
        self.sink = sink = stream.Endpoint(
            stream.EndpointDescription([("data", lanes * config.input_bits)], row_params(config)))
        self.source = source = stream.Endpoint([("data", lanes * c.CODE_BITS)])
        self.row_done = Signal()
        self.row_error = Signal()
        self.constant_row = Signal()

        # # #

        flips = []      # parity errors

        # Pass 0.
        self.statistics = statistics = Statistics(config)
        self.row_buffer = row_buffer = BeatBuffer(lanes * config.input_bits, buffer_depth(config), config.parity)
        flips.append(row_buffer.error)
        self.entry = entry = RowEntry(config, sink, ROWS_IN_CORE)
        self.comb += [
            sink.connect(statistics.sink, omit={"valid", "ready"}),
            statistics.sink.valid.eq(sink.valid & entry.ready),
            sink.ready.eq(statistics.sink.ready & entry.ready),
            entry.beat.eq(sink.valid & sink.ready),
            entry.last.eq(sink.last),
            statistics.source.connect(row_buffer.sink),
        ]

        # Pass 1.
        self.constants = constants = RowConstants(config)
        self.normalizer = normalizer = Normalizer(config)
        if config.has_softmax:
            self.exp = exp = ExpPass(config)
            flips.append(exp.error)
            self.comb += [
                row_buffer.source.connect(exp.sink),
                statistics.exp_record.connect(exp.record),
                exp.sums.connect(constants.sums),
                exp.source.connect(normalizer.sink),
            ]
        else:
            # The norms need no pass 1: x + 2^15 goes straight to the multiplier.
            self.comb += row_buffer.source.connect(normalizer.sink, omit={"data"})
            for j in range(lanes):
                x = Signal((config.input_bits, True), name=f"x{j}")
                self.comb += [
                    x.eq(row_buffer.source.data[config.input_bits * j : config.input_bits * (j + 1)]),
                    normalizer.sink.data[ELEMENT_BITS * j : ELEMENT_BITS * j + 16].eq(x + c.X_OFFSET),
                ]

        # A row's constants, pass 2.
        self.row_queue = row_queue = Queue(constants_layout(config), ROWS_IN_FLIGHT)
        self.comb += [
            statistics.record.connect(constants.record),
            constants.source.connect(row_queue.sink),
            row_queue.source.connect(normalizer.record, omit={"affine"}),
            self.constant_row.eq(normalizer.constant_row),
        ]

        # The self-check of the rows, and behind gamma and beta that of the rows which pass there.
        self.check = check = SelfCheck(config)
        self.comb += [
            entry.source.connect(check.promise),
            check.beat.eq(normalizer.source.valid & normalizer.source.ready),
            check.last.eq(normalizer.source.last),
            check.data.eq(normalizer.source.data),
        ]
        if config.has_affine:
            # A softmax row's codes pass Requantize as they are.
            self.comb += normalizer.record.affine.eq(row_queue.source.affine & (row_queue.source.op != OP["softmax"]))
            self.requantize = requantize = Requantize(config)
            self.weights = stream.Endpoint(weights_layout(config))
            self.passing = passing = Queue(promise_layout(config), ROWS_IN_CORE)
            self.exit_check = exit_check = SelfCheck(config, passed_affine=True)
            self.comb += [
                normalizer.source.connect(requantize.sink),
                self.weights.connect(requantize.weights),
                requantize.source.connect(source),
                passing.sink.valid.eq(check.promise.valid & check.beat & check.first),
                *[getattr(passing.sink, name).eq(getattr(check.promise, name)) for name, _ in promise_layout(config)],
                passing.source.connect(exit_check.promise),
                exit_check.beat.eq(source.valid & source.ready),
                exit_check.last.eq(source.last),
                exit_check.data.eq(source.data),
                self.row_done.eq(exit_check.row_done),
            ]
            flips.append(requantize.error)
            broken = check.row_error | exit_check.row_error
        else:
            self.comb += [
                normalizer.source.connect(source),
                self.row_done.eq(check.row_done),
            ]
            broken = check.row_error
        self.comb += self.row_error.eq(broken | (Cat(*flips) != 0))

        # Beside the beats of a row in each pass: the units' latencies, and a cycle in the queue of the constants.
        behind = 1 + normalizer.latency + (Requantize.latency if config.has_affine else 0)
        self.passes = {op: 3 if op == "softmax" else 2 for op in config.ops}
        self.latency = {
            op: statistics.latency + (exp.sum_latency + 1 if op == "softmax" else 0) + constants.latency[op] + behind
            for op in config.ops
        }
