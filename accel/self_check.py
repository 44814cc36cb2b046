# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""The run-time self-check: the codes that leave are added up, and compared with what the row promised on entry."""

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.buffers import Queue
from litenorm.accel.fixed import Stages, add
from litenorm.accel.formats import FORMATS
from litenorm.accel.rows import OP, LaneMask, only, row_params


def promise_layout(config):
    """What is known of a row when it enters, and must still hold when it leaves; `beats` is their number less 1."""
    return [*only(row_params(config), "op", "format", "length", "affine"), ("beats", bits_for(config.max_beats))]


class RowEntry(LiteXModule):
    """One promise a row, written when its last beat enters the core; at `source` 2 cycles later.

    beat, last  i: a beat enters, and whether it ends its row
    row         i: Record of row_params, valid with `last`
    ready       o: a beat may enter
    source      promise_layout
    """

    def __init__(self, config, row, depth):
        self.beat = Signal()
        self.last = Signal()
        self.queue = queue = Queue(promise_layout(config), depth, registers=1)
        self.ready = queue.sink.ready
        self.source = queue.source

        # # #

        beats = Signal(len(queue.sink.beats))
        self.comb += [
            queue.sink.valid.eq(self.beat & self.last),
            queue.sink.beats.eq(beats),
            *[getattr(queue.sink, name).eq(getattr(row, name)) for name, _ in promise_layout(config)[:-1]],
        ]
        self.sync += If(self.beat, If(self.last, beats.eq(0)).Else(beats.eq(beats + 1)))


class SelfCheck(LiteXModule):
    """Watches a stream of codes, changes nothing, and compares every row with its promise:

        sum over valid elements of (code - zero_point) == T       softmax; T - 1 for one element in a capped format
        sum over valid elements of y                   == 0       LayerNorm
        code == zero_point (norms: y == 0) for every other element, the tail lanes of the last beat too
        beats that left == beats that entered

    The sums are exact, not modulo a power of two. The promise does not pass through the arithmetic: it waits in a
    queue of its own, so one upset cannot change the row and what the row is compared with.

    promise     taken with the row's last beat; the row fails when it is not there in time
    beat, last  i: a beat of codes leaves, and whether it ends its row
    data        i: its codes, 16 bits a lane
    first       o: the next beat opens a row
    row_done    o: pulse, `latency` cycles after the row's last beat
    row_error   o: with row_done: the promise was not kept; at any time: a beat that belongs to no row has left

    passed_affine  rows with gamma and beta promise nothing here: their outputs have no fixed sum
    """

    def __init__(self, config, passed_affine=False):
        lanes = config.lanes
        self.promise = promise = stream.Endpoint(promise_layout(config))
        self.beat = beat = Signal()
        self.last = last = Signal()
        self.data = Signal(lanes * c.CODE_BITS)
        self.first = first = Signal(reset=1)
        self.row_done = Signal()
        self.row_error = Signal()

        # # #

        stages = Stages(self, 1)
        self.mask = mask = LaneMask(config)
        self.comb += [
            mask.length.eq(promise.length),
            mask.advance.eq(beat),
            mask.last.eq(last),
            promise.ready.eq(beat & last),
        ]

        # What the row promised: its total, its zero point, whether there is one.
        total, zero_point = Signal(c.CODE_BITS + 1), Signal(c.CODE_BITS)
        norm, summed, watched = Signal(), Signal(), Signal()
        if config.has_softmax:
            formats = [FORMATS[name] for name in config.formats]
            self.comb += If(promise.op == OP["softmax"], Case(promise.format, {
                f.code: [total.eq(Mux(promise.length == 1, f.total - f.capped, f.total)), zero_point.eq(f.zero_point)]
                for f in formats
            }))
        self.comb += [
            norm.eq(promise.op != OP["softmax"]),
            watched.eq(~(norm & promise.affine) if passed_affine else 1),
            summed.eq(watched & (promise.op != OP["rmsnorm"])),
        ]

        # Codes less the zero point (1).
        outs = []
        for j in range(lanes):
            code = self.data[c.CODE_BITS * j : c.CODE_BITS * (j + 1)]
            outs.append(stages.reg(code - zero_point, f"out{j}", c.CODE_BITS))
        valid_lanes = stages.reg(mask.mask, "valid_lanes")
        signed, watching = stages.reg(norm, "signed"), stages.reg(watched, "watching")
        beats = Signal(len(promise.beats))
        self.sync += If(beat, first.eq(last), If(last, beats.eq(0)).Else(beats.eq(beats + 1)))
        miscounted = stages.reg(last & (beats != promise.beats) | ~promise.valid, "miscounted")

        # Elements that count (2), and whether another one is not at its zero point.
        terms, stray = [], Signal(lanes)
        for j, out in enumerate(outs):
            term = Signal((c.CODE_BITS + 1, True), name=f"term{j}")
            self.comb += [
                If(valid_lanes[j], term.eq(Cat(out, signed & out[-1]))),
                stray[j].eq(~valid_lanes[j] & (out != 0)),
            ]
            terms.append(stages.reg(term, f"term{j}_in", (c.CODE_BITS + 1, True)))
        bad = stages.reg(watching & (stray != 0) | miscounted, "bad")

        # The row's sum.
        beat_sum, cycles = stages.tree(terms, add, "sum")
        self.latency = 3 + cycles

        def late(value, name):
            return stages.delay(value, 2 + cycles, name)

        valid = Signal(2 + cycles)
        self.sync += valid.eq(Cat(beat, valid))
        ends = late(last, "last")
        total, summed, bad = late(total, "total"), late(summed, "summed"), stages.delay(bad, cycles, "bad")
        row_sum = Signal((c.CODE_BITS + 1 + config.length_bits, True))
        complete, starts, failed, checked = Signal(), Signal(reset=1), Signal(), Signal()
        orphan = Signal()   # a beat of no row: reported at once, for there may never be one that ends it
        row_total = Signal(len(total))
        self.sync += [
            orphan.eq(beat & ~promise.valid),
            complete.eq(valid[-1] & ends),
            If(valid[-1],
                starts.eq(ends),
                # No Mux with 0: it would make the sum unsigned.
                If(starts, row_sum.eq(beat_sum)).Else(row_sum.eq(row_sum + beat_sum)),
                failed.eq(~starts & failed | bad),
                checked.eq(summed),
                row_total.eq(total),
            ),
        ]
        self.comb += [
            self.row_done.eq(complete),
            self.row_error.eq(orphan | complete & (failed | checked & (row_sum != row_total))),
        ]
