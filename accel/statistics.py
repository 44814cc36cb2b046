# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Pass 0: a row is stored while its statistics are formed."""

from functools import reduce
from operator import and_

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel.buffers import Queue
from litenorm.accel.exponential import exp_record_layout
from litenorm.accel.fixed import Stages, add, larger
from litenorm.accel.rows import LaneMask, row_params

RECORDS = 16            # rows whose records wait: more than rows of one beat on their way through the pass


def statistics_layout(config):
    """A row's constants and what pass 0 found: maximum, sum, sum of squares, whether its last valid element is it."""
    layout = list(row_params(config))
    if config.has_softmax:
        layout += [("top", config.input_bits), ("peak_last", 1)]
    if config.has_norm:
        layout += [("sum_x", config.sum_bits), ("sum_xx", config.square_sum_bits)]
    return layout


class Statistics(LiteXModule):
    """top = max x_i, sum_x = sum x_i, sum_xx = sum x_i^2 over a row's valid elements.

    sink        the core's sink: one beat of elements a cycle, params constant within a row
    source      the same beats without params, in the same cycle: into the row's buffer, which must be a FIFO, for valid
                falls while a record waits
    record      one statistics_layout(config) per row, `latency` cycles behind the row's last beat
    exp_record  what pass 1 needs of each row, exp_record_layout, a cycle later (softmax in config.ops)

    Stall: what has entered runs through to the queues of the records, so that the pipeline needs no clock enable. A
    beat enters only if they have room for all that is on its way. peak_last says that the last valid element equals
    the maximum.
    """

    def __init__(self, config):
        lanes, bits = config.lanes, config.input_bits
        self.sink = sink = stream.Endpoint(stream.EndpointDescription([("data", lanes * bits)], row_params(config)))
        self.source = source = stream.Endpoint([("data", lanes * bits)])
        self.record = record = stream.Endpoint(statistics_layout(config))

        # # #

        stages = Stages(self, 1)

        # A row's constants wait in a queue while its sums pass through the pipeline.
        self.params = params = Queue(row_params(config), RECORDS, counted=True)
        room = Signal(reset=1)
        beat = Signal()
        self.comb += [
            source.valid.eq(sink.valid & room),
            source.data.eq(sink.data),
            source.first.eq(sink.first),
            source.last.eq(sink.last),
            sink.ready.eq(source.ready & room),
            beat.eq(sink.valid & sink.ready),
            params.sink.valid.eq(beat & sink.last),
            *[getattr(params.sink, name).eq(getattr(sink, name)) for name, _ in row_params(config)],
        ]

        # Masked elements count as 0 in the sums and as the smallest number in the maximum.
        self.mask = mask = LaneMask(config)
        self.comb += [mask.length.eq(sink.length), mask.advance.eq(beat), mask.last.eq(sink.last)]
        valid = stages.follow(beat, 1, "valid_in")
        first = Signal(reset=1)
        self.sync += If(beat, first.eq(sink.last))
        elements, zeroed, lowest = [], [], []
        for j in range(lanes):
            x = Signal((bits, True), name=f"x{j}")
            self.comb += x.eq(sink.data[bits * j : bits * (j + 1)])
            elements.append(x)
            zeroed.append(stages.reg(Mux(mask.mask[j], x, 0), f"zeroed{j}", (bits, True)))
            lowest.append(stages.reg(Mux(mask.mask[j], x, -(1 << (bits - 1))), f"lowest{j}", (bits, True)))
        starts = stages.reg(first, "starts")        # the beat in stage 1 opens a row
        ends = stages.reg(sink.last, "ends")
        depth = 1

        # Trees over the lanes; the squares pass two registers (operands, product) before theirs.
        branches = {}
        if config.has_norm:
            squares = []
            for j in range(lanes):
                product = Signal((2 * bits, True), name=f"product{j}")
                self.comb += product.eq(zeroed[j] * zeroed[j])
                square = stages.reg(product[: 2 * bits - 1], f"square{j}", 2 * bits - 1)
                squares.append(stages.reg(square, f"square{j}_out"))
            total, cycles = stages.tree(squares, add, "square_sum")
            branches["sum_xx"] = (total, cycles + 2)
            branches["sum_x"] = stages.tree(zeroed, add, "sum")
        if config.has_softmax:
            # A comparison waits for the one before it: one level a cycle. The squares take longer.
            branches["top"] = stages.tree(lowest, larger, "top", levels=1)
            # The last valid element of the beat, and whether there is one.
            some = stages.reg(mask.mask != 0, "some")
            tail = Signal((bits, True))
            self.comb += [If(mask.mask[j], tail.eq(elements[j])) for j in range(lanes)]
            branches["tail"] = (stages.reg(tail, "tail_value"), 0)
            branches["some"] = (some, 0)
        latest = max(cycles for _, cycles in branches.values())
        values = {name: stages.delay(v, latest - cycles, name) for name, (v, cycles) in branches.items()}
        depth += latest
        valids = stages.follow(valid, latest, "valid")
        starts, ends = stages.delay(starts, latest, "starts"), stages.delay(ends, latest, "ends")

        # Running values over the row's beats; they are complete one cycle behind its last beat.
        complete = Signal()
        self.sync += complete.eq(valids & ends)
        depth += 1
        running = {}
        for name in values:
            if name == "some":
                continue
            shape = {
                "sum_x": (config.sum_bits, True), "sum_xx": config.square_sum_bits,
                "top": (bits, True), "tail": (bits, True),
            }[name]
            running[name] = Signal(shape, name=f"running_{name}", reset_less=True)
        update = []
        if config.has_norm:
            for name in ("sum_x", "sum_xx"):
                update.append(If(starts, running[name].eq(values[name])
                              ).Else(running[name].eq(running[name] + values[name])))
        if config.has_softmax:
            update += [
                If(starts | (values["top"] > running["top"]), running["top"].eq(values["top"])),
                If(values["some"], running["tail"].eq(values["tail"])),
            ]
        self.sync += If(valids, *update)

        # The records; each queue takes every row.
        self.queue = queue = Queue(statistics_layout(config), RECORDS, counted=True)
        found = queue.sink
        self.comb += [
            params.source.ready.eq(complete),
            *[getattr(found, name).eq(getattr(params.source, name)) for name, _ in row_params(config)],
            queue.source.connect(record),
        ]
        if config.has_norm:
            self.comb += [found.sum_x.eq(running["sum_x"]), found.sum_xx.eq(running["sum_xx"])]
        queues = [queue]
        if config.has_softmax:
            self.exp_record = stream.Endpoint(exp_record_layout(config))
            # Behind a register, for pass 1 uses it at once.
            self.exp_queue = exp_queue = Queue(exp_record_layout(config), RECORDS, registers=1, counted=True)
            self.comb += [
                found.top.eq(running["top"]),
                found.peak_last.eq(running["tail"] == running["top"]),
                *[getattr(exp_queue.sink, name).eq(getattr(found, name)) for name, _ in exp_record_layout(config)],
                exp_queue.source.connect(self.exp_record),
            ]
            queues.append(exp_queue)
        # On their way while `room` is set: a row in each stage, one that is entering, and one before the flag falls.
        in_flight = depth + 2
        self.comb += [q.sink.valid.eq(complete) for q in queues]
        self.sync += room.eq(reduce(and_, (q.level <= RECORDS - in_flight for q in queues)))
        self.latency = depth + queue.latency
