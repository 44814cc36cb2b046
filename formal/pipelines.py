# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Stream rules of every unit: a beat stays until it is taken, none is lost or doubled, no buffer overflows.

In each proof the neighbours are free: they offer and take beats as they like, but a beat they offer stays too.
"""

from litex.gen import *
from litex.soc.interconnect import stream, wishbone
from migen import *
from migen.fhdl.tools import list_targets

from litenorm.accel.buffers import Queue
from litenorm.accel.config import LiteNormConfig
from litenorm.accel.core import LiteNorm
from litenorm.accel.exponential import Exp2Lane, ExpPass
from litenorm.accel.normalizer import Normalizer
from litenorm.accel.requantize import Requantize
from litenorm.accel.row_constants import RowConstants
from litenorm.accel.statistics import Statistics
from litenorm.formal.harness import Harness, inner
from litenorm.soc.dma import WishboneReader, WishboneWriter, parity
from litenorm.soc.gearbox import Held, Pack, Unpack


class Streams(Harness):
    """Base: free neighbours that keep the stream rules, and the rules for the unit's sources."""

    def neighbours(self, sinks, sources):
        for name, endpoint in sinks.items():
            self.free_sink(endpoint)
            self.assume_stable(endpoint, name)
        for name, endpoint in sources.items():
            self.free_source(endpoint)
            self.prove_stable(endpoint, name)

    def level(self, enter, leave, name, bits=8):
        """Ghost: how many went in and have not come out."""
        level = Signal(bits, name=f"{name}_level")
        self.sync += level.eq(level + enter - leave)
        return level

    def prove_conserved(self, sink, source, occupancy, name, when=1):
        """What went in and has not come out is what the unit holds; of beats, and of rows' last beats."""
        enter, leave = sink.valid & sink.ready, source.valid & source.ready
        beats = self.level(enter, leave, f"{name}_beats")
        self.prove(f"{name}_beats_are_conserved", beats == occupancy[0])
        rows = self.level(enter & sink.last, leave & source.last, f"{name}_rows")
        self.prove(f"{name}_rows_are_conserved", rows == occupancy[1])

    def prove_frozen(self, dut, ce):
        """While the pipeline stalls nothing in it changes: so stalls change no value that leaves it."""
        stalled = self.past(~ce & ~ResetSignal(), "frozen")
        kept = [register == self.past(register, f"register{i}") for i, register in enumerate(registers(dut))]
        self.prove("a_stall_changes_nothing", ~stalled | Reduce("AND", kept))

    def support_flags(self, queue, name):
        """The flag of a Queue says what its level says."""
        self.support(f"{name}_level", queue.level <= queue.depth)
        self.support(f"{name}_stored", inner(queue, "stored") == (queue.level != 0))

    def ones(self, bits, name):
        return self.named(Reduce("ADD", list(bits)), name, 8)


def chain(dut, names, count):
    return [inner(dut, f"{names}{i}") for i in range(1, count + 1)]


def registers(module):
    """The registers of a module itself, without those of the modules in it."""
    return sorted(list_targets(module._fragment.sync.get("sys", [])), key=lambda s: s.duid)


class NormalizerStreams(Streams):
    def __init__(self, **config):
        super().__init__()
        self.dut = dut = Normalizer(LiteNormConfig(**config))
        self.prove_frozen(dut, dut.stages.ce)
        self.neighbours({"sink": dut.sink, "record": dut.record}, {"source": dut.source})
        n = dut.latency
        valid, last = chain(dut, "out_valid", n), chain(dut, "out_last", n)
        self.prove_conserved(dut.sink, dut.source, (
            self.ones(valid, "held"), self.ones([v & l for v, l in zip(valid, last, strict=True)], "held_last")),
            "codes")
        # One record a row, taken with the row's last beat.
        self.prove("one_record_a_row", (dut.record.valid & dut.record.ready)
                   == (dut.sink.valid & dut.sink.ready & dut.sink.last))
        self.prove("no_beat_without_record", ~(dut.sink.valid & dut.sink.ready) | dut.record.valid)
        self.reach(dut.source.valid & dut.source.last)


class ExpStreams(Streams):
    """Nothing stalls in the pipeline: `room` leaves place in both queues for all that is on its way."""

    def __init__(self, depth, **config):
        super().__init__()
        self.dut = dut = ExpPass(LiteNormConfig(**config), depth)
        self.neighbours({"sink": dut.sink, "record": dut.record}, {"source": dut.source})
        self.free_source(dut.sums)      # what a queue holds stays: FifoStreams
        n, room = Exp2Lane.latency, inner(dut, "room")
        valid, last = chain(dut, "valid", n), chain(dut, "last", n)
        buffer, sum_queue = dut.buffer, dut.sum_queue
        for name, queue in (("exponential", buffer), ("sum", sum_queue)):
            self.prove(f"no_{name}_is_lost", ~queue.sink.valid | (queue.level < queue.depth))
        self.prove_conserved(dut.sink, buffer.sink, (
            self.ones(valid, "held"), self.ones([v & l for v, l in zip(valid, last, strict=True)], "held_last")),
            "exponentials")
        self.prove("one_record_a_row", (dut.record.valid & dut.record.ready)
                   == (dut.sink.valid & dut.sink.ready & dut.sink.last))
        # What the induction needs to know besides.
        for name, queue in (("beats", buffer.queue), ("sums_waiting", sum_queue)):
            self.support_flags(queue, name)
        cycles = dut.sum_latency - n - 1 - sum_queue.latency
        later = [valid[-1], *chain(dut, "valid_sum", cycles), inner(dut, "complete")]
        on_the_way = self.ones(valid, "beats")
        self.support("buffer_has_room", buffer.level + on_the_way + room <= buffer.depth)
        self.support("sums_have_room", sum_queue.level + self.ones([*valid[:-1], *later], "rows") + room
                     <= sum_queue.depth)
        self.reach(dut.source.valid & dut.source.last)
        self.reach(dut.sums.valid)
        self.reach(~room)


class StatisticsStreams(Streams):
    """Nothing stalls in the pipeline: `room` leaves place in the queues for all rows that are on their way."""

    def __init__(self, **config):
        super().__init__()
        config = LiteNormConfig(**config)
        self.dut = dut = Statistics(config)
        self.neighbours({"sink": dut.sink}, {})
        # What a queue holds stays: FifoStreams.
        self.free_source(dut.record)
        queues = {"record": dut.queue}
        if config.has_softmax:
            self.free_source(dut.exp_record)
            queues["exp_record"] = dut.exp_queue
        self.free_source(dut.source)
        enter, leave = dut.sink.valid & dut.sink.ready, dut.source.valid & dut.source.ready
        self.prove("each_beat_is_stored", enter == leave)
        self.prove("as_it_is", ~leave | ((dut.source.data == dut.sink.data) & (dut.source.last == dut.sink.last)))
        complete, room = inner(dut, "complete"), inner(dut, "room")
        rows = self.level(enter & dut.sink.last, complete, "rows")
        self.prove("a_record_has_its_params", ~complete | dut.params.source.valid)
        self.prove("params_are_not_lost", ~dut.params.sink.valid | (dut.params.level < dut.params.depth))
        self.prove("one_record_a_row", rows == dut.params.level)
        for name, queue in queues.items():
            self.prove(f"{name}_is_queued", ~complete | (queue.sink.valid & (queue.level < queue.depth)))
            self.prove(f"{name}_is_a_row_s", ~queue.sink.valid | complete)
        stages = dut.latency - dut.queue.latency - 2
        held = [complete, inner(dut, "valid_in1") & inner(dut, "ends")]
        held += [inner(dut, f"valid{i}") & inner(dut, f"ends_d{i}") for i in range(1, stages + 1)]
        held_rows = self.ones(held, "held_rows")
        self.support("held", held_rows == dut.params.level)
        for name, queue in [*queues.items(), ("params", dut.params)]:
            self.support_flags(queue, f"{name}_queue")
        for name, queue in queues.items():
            self.support(f"{name}_has_room", queue.level + held_rows + room <= queue.depth)
        self.reach(dut.record.valid)
        self.reach(~room)


class RequantizeStreams(Streams):
    def __init__(self, **config):
        super().__init__()
        self.dut = dut = Requantize(LiteNormConfig(**config))
        self.neighbours({"sink": dut.sink, "weights": dut.weights}, {})
        self.free_source(dut.source)
        stalled, kept = self.stalled(dut.source, "source")
        self.prove("source_stays", ~stalled | kept)
        valid, last = chain(dut, "valid", dut.latency), chain(dut, "last", dut.latency)
        self.prove_conserved(dut.sink, dut.source, (
            self.ones(valid, "held"), self.ones([v & l for v, l in zip(valid, last, strict=True)], "held_last")),
            "codes")
        self.reach(dut.source.valid & dut.source.last)


class RowConstantsStreams(Streams):
    """What only passes by is in a queue, whose order is FifoStreams' matter: here its level, and the ops in it."""

    def __init__(self, **config):
        super().__init__()
        self.dut = dut = RowConstants(LiteNormConfig(**config))
        self.neighbours({"record": dut.record, "sums": dut.sums}, {})
        self.free_source(dut.source)
        stalled, kept = self.stalled(dut.source, "source", [
            getattr(dut.source, name) for name in ("gain", "amount", "term", "zero", "ends")])
        self.prove("source_stays", ~stalled | kept)
        taken = dut.record.valid & dut.record.ready
        given = dut.source.valid & dut.source.ready
        rows = self.level(taken, given, "rows")
        self.prove("one_for_one", rows == dut.params.level)
        self.prove("a_result_has_its_params", ~dut.source.valid | dut.params.source.valid)
        self.prove("params_are_not_lost", ~dut.params.sink.valid | (dut.params.level < dut.params.depth))
        self.prove("one_sum_for_a_softmax_row", (dut.sums.valid & dut.sums.ready) == (taken & (dut.record.op == 0)))

        # # #

        # A row in each unit at most: what is under way, or waits to be taken, is not dropped by a start.
        inside = {name: inner(dut, name) for name in
                  ("in_variance", "in_shift", "in_root", "in_high", "in_low", "shifting", "dividing")}
        in_variance, in_shift, in_root, in_high, in_low, shifting, dividing = inside.values()
        leaves = {"root": inner(dut, "leave_root"), "mean_high": inner(dut, "leave_high"),
                  "mean_low": inner(dut, "leave_root"), "divider": given}
        for name, unit in (("variance", in_variance), ("root", in_root), ("mean_high", in_high), ("mean_low", in_low),
                           ("sum_shift", shifting), ("divider", dividing)):
            self.prove(f"{name}_is_started_idle", ~getattr(dut, name).start | ~unit | leaves.get(name, 0))
        self.prove("rows_are_held", rows == self.ones([in_shift, in_root, dividing], "held_rows"))

        # The rows' ops, in the order in which they were taken: the division is the first one's.
        norm, op = inner(dut, "norm"), dut.record.op != 0
        order = [Signal(name=f"order{i}") for i in range(4)]
        for i, entry in enumerate(order):
            after = order[i + 1] if i < 3 else 0
            self.sync += If(given, entry.eq(after))
            self.sync += If(taken & (rows == i + given), entry.eq(op))
        self.prove("in_order", ~dividing | (order[0] == norm))
        behind = Mux(dividing, order[1], order[0])
        last = Mux(dividing & in_root, order[2], Mux(dividing | in_root, order[1], order[0]))
        self.support("norms_wait", (~in_root | behind) & (~in_shift | last))
        # The record waits for the unit that it is in.
        waits = self.past_values["record"]
        was_norm = self.past_values[id(dut.record.op)] != 0
        self.support("held_by_variance", ~in_variance | (waits & was_norm))
        self.support("held_by_shift", ~shifting | (
            waits & self.past_values["sums"] & ~was_norm & ~(in_shift | in_root | in_high | in_low)))
        # Each norm's row is in a unit of V's and in one of the mean's.
        self.support("beside", self.ones([in_variance, in_shift, in_root], "norms") == self.ones(
            [in_high, in_low], "means"))
        # The division, and the digits behind it.
        divider, whole, strobe = dut.divider, dut.whole, dut.product.strobe
        running, done, load = divider.running, divider.done, dut.product.load
        count = inner(divider, "count")
        self.support("divides", (~dividing | running | done) & ~(running & done) & (~running | dividing)
                     & (running == (count != 0)))
        self.support("whole", (~(dividing & norm & running) | ~whole) & (~(dividing & ~norm) | whole))
        self.support("digits", (~strobe | (dividing & norm & (running | (done & ~whole)))) & (~load | (running & norm)))
        self.reach(dut.source.valid)
        self.reach(dut.source.valid & in_root & in_shift)


class Gearbox(Streams):
    """Base of the two units between bus words and beats: each row has its words and its beats, no more and no fewer."""

    LENGTH_BITS = 4

    def geometry(self, dut, wide, data_width, lanes):
        """Rows are any number of elements, 8 or 16 bits each; one element, any one, is followed."""
        self.constant(dut.length)
        self.assume("length", dut.length != 0)
        self.wide = wide
        self.element = Signal(self.LENGTH_BITS)
        self.constant(self.element)
        self.assume("element", self.element < dut.length)
        log2_word = log2_int(data_width // 8)
        row_bytes = self.named(Mux(wide, dut.length << 1, dut.length) + (data_width // 8 - 1), "row_bytes", 10)
        element_byte = self.named(Mux(wide, self.element << 1, self.element), "element_byte", 10)
        self.words = self.named(row_bytes >> log2_word, "words_of_a_row", 10)
        self.beats = self.named(self.named(dut.length + (lanes - 1), "length_up", 10) >> log2_int(lanes), "beats", 10)
        self.element_word = self.named(element_byte >> log2_word, "element_word", 10)
        self.element_beat = self.named(self.element >> log2_int(lanes), "element_beat", 10)
        self.byte_in_word = self.named(element_byte[:log2_word], "byte_in_word", log2_word)
        self.lane = self.named(self.element[: log2_int(lanes)] if lanes > 1 else C(0), "element_lane", 4)

    def position(self, endpoint, name):
        """Ghost: words or beats of the row before this one."""
        index = Signal(10, name=f"{name}_index")
        self.sync += If(endpoint.valid & endpoint.ready, index.eq(Mux(endpoint.last, 0, index + 1)))
        return index

    def word_element(self, data, name):
        """The element that is followed, in a word; 16 bits, sign-extended when it has 8."""
        moved = self.named(data >> Cat(C(0, 3), self.byte_in_word), f"{name}_moved", len(data))
        return self.named(Mux(self.wide, moved[:16], Cat(moved[:8], Replicate(moved[7], 8))), f"{name}_element", 16)

    def follow_element(self, sink, sink_here, sink_value, source_here, source_value, stored):
        """What goes in as the element comes out as it. stored: the unit keeps it in between, in a register."""
        kept, held = Signal(16), Signal()
        if stored:
            self.sync += [If(source_here, held.eq(0)), If(sink_here & sink.ready, kept.eq(sink_value), held.eq(1))]
        else:
            self.comb += [kept.eq(sink_value), held.eq(sink_here)]
        self.prove("element_passes_unchanged", ~source_here | (held & (source_value == kept)))


class UnpackStreams(Gearbox):
    def __init__(self, data_width, lanes):
        super().__init__()
        self.dut = dut = Unpack(data_width, lanes, self.LENGTH_BITS)
        self.neighbours({"sink": dut.sink}, {"source": dut.source})
        wide = Signal()
        self.constant(wide)
        self.assume("wide", dut.sink.wide == wide)
        self.geometry(dut, wide, data_width, lanes)
        word, beat = self.position(dut.sink, "word"), self.position(dut.source, "beat")
        self.assume("rows_are_whole", ~dut.sink.valid | (dut.sink.last == (word == self.words - 1)))
        self.prove("last_is_the_rows_last_beat", ~dut.source.valid | (dut.source.last == (beat == self.beats - 1)))
        self.prove("first_is_the_rows_first_beat", ~dut.source.valid | (dut.source.first == (beat == 0)))
        lanes_out = self.named(dut.source.data >> Cat(C(0, 4), self.lane), "lanes_out", 16)
        self.follow_element(
            dut.sink, dut.sink.valid & (word == self.element_word), self.word_element(dut.sink.data, "in"),
            dut.source.valid & dut.source.ready & (beat == self.element_beat), lanes_out, lanes * 16 > data_width)
        self.reach(dut.source.valid & dut.source.last)


class HeldStreams(Streams):
    def __init__(self, lanes):
        super().__init__()
        self.dut = dut = Held(lanes)
        self.neighbours({"sink": dut.sink}, {"source": dut.source})
        sink, source = dut.sink, dut.source
        enter, leave = sink.valid & sink.ready, source.valid & source.ready
        comes, leaves = Cat(sink.data, sink.last), Cat(source.data, source.last)
        kept = Signal(len(comes))
        self.sync += If(enter & ~leave, kept.eq(comes))
        level = self.level(enter, leave, "beats")
        self.prove("at_most_one_is_held", level == Mux(sink.ready, 0, 1))
        self.prove("what_leaves_is_held_or_comes", ~source.valid | (leaves == Mux(sink.ready, comes, kept)))
        self.prove("nothing_is_damaged", ~dut.damaged)
        self.support("held_is_valid", sink.ready | source.valid)
        self.support("held_parity", sink.ready | (dut.place.source.parity == parity(source.data, source.last)))
        self.reach(leave & ~sink.ready)


class PackStreams(Gearbox):
    def __init__(self, data_width, lanes):
        super().__init__()
        self.dut = dut = Pack(data_width, lanes, self.LENGTH_BITS)
        self.neighbours({"sink": dut.sink}, {"source": dut.source})
        self.constant(dut.wide)
        self.geometry(dut, dut.wide, data_width, lanes)
        beat, word = self.position(dut.sink, "beat"), self.position(dut.source, "word")
        self.assume("rows_are_whole", ~dut.sink.valid | (dut.sink.last == (beat == self.beats - 1)))
        self.prove("last_is_the_rows_last_word", ~dut.source.valid | (dut.source.last == (word == self.words - 1)))
        self.prove("first_is_the_rows_first_word", ~dut.source.valid | (dut.source.first == (word == 0)))
        lane = self.named(dut.sink.data >> Cat(C(0, 4), self.lane), "lane_in", 16)
        lane = self.named(Mux(dut.wide, lane, Cat(lane[:8], Replicate(lane[7], 8))), "lane_in_element", 16)
        here = dut.source.valid & dut.source.ready & (word == self.element_word)
        self.follow_element(dut.sink, dut.sink.valid & (beat == self.element_beat), lane,
                            here, self.word_element(dut.source.data, "out"), lanes * 16 <= data_width)
        enables = self.named(dut.source.sel >> self.byte_in_word, "enables", 2)
        self.prove("element_is_written", ~here | (enables[0] & (enables[1] | ~dut.wide)))
        # Bytes behind the row's end are not written.
        used = self.named(self.named(word << log2_int(data_width // 8), "word_byte", 12), "used", 12)
        row_bytes = self.named(Mux(dut.wide, dut.length << 1, dut.length), "bytes_of_a_row", 12)
        behind = [~dut.source.sel[i] | (used + i < row_bytes) for i in range(data_width // 8)]
        self.prove("nothing_behind_the_row", ~dut.source.valid | Reduce("AND", behind))
        self.reach(dut.source.valid & dut.source.last)


class FifoStreams(Streams):
    """The core's Queue, or LiteX's FIFO as the DMA uses it; one word is followed from its entry: the `index`-th."""

    def __init__(self, own, depth, registers):
        super().__init__()
        if own:
            self.dut = dut = Queue([("data", 4)], depth, registers)
            held = dut.level + (dut.source.valid if registers else 0) + (inner(dut, "read") if registers == 2 else 0)
        else:
            self.dut = dut = stream.SyncFIFO([("data", 4)], depth, buffered=bool(registers))
            held = dut.level
        self.neighbours({"sink": dut.sink}, {"source": dut.source})
        index = Signal(4)
        self.constant(index)
        room = dut.sink.ready
        enter, leave = dut.sink.valid & room, dut.source.valid & dut.source.ready
        entered, left = Signal(4), Signal(4)
        word, inside = Signal(6), Signal()
        self.sync += [
            If(enter,
                entered.eq(entered + 1),
                If(entered == index, word.eq(Cat(dut.sink.data, dut.sink.first, dut.sink.last)), inside.eq(1)),
            ),
            If(leave, left.eq(left + 1), If((left == index) & inside, inside.eq(0))),
        ]
        if own:
            self.prove("ready_means_room", ~dut.sink.ready | (dut.level < depth))
        self.prove("level", self.level(enter, leave, "beats") == held)
        self.prove("room", held <= depth + registers)       # one more word in each output register
        self.prove("in_order", ~(leave & (left == index) & inside) | (
            Cat(dut.source.data, dut.source.first, dut.source.last) == word))
        self.reach(leave & (left == index) & (index == 5))


class DmaStreams(Streams):
    """Reader or writer with a free bus: its FIFO never overflows, and never runs dry in the middle of a burst."""

    def __init__(self, write, burst_length):
        super().__init__()
        bus = wishbone.Interface(data_width=16, adr_width=32, addressing="word")
        unit = WishboneWriter if write else WishboneReader
        self.dut = dut = unit(bus, max_words=4, burst_length=burst_length, timeout=4)
        if write:
            self.neighbours({"transfer": dut.transfer, "sink": dut.sink}, {})
        else:
            self.neighbours({"transfer": dut.transfer}, {"source": dut.source})
        self.free(bus.ack, bus.err, dut.bus_fault, bus.dat_r, dut.stop)
        self.constant(dut.window_first, dut.window_end)
        self.assume("words", ~dut.transfer.valid | ((dut.transfer.words != 0) & (dut.transfer.rows != 0)))
        burster, level = dut.burster, dut.fifo.level
        burst = burster.fsm.ongoing("BURST")
        moving = burst | burster.fsm.ongoing("PREPARE")
        self.support("fifo_level", dut.fifo.fifo.fifo.level <= dut.fifo.depth)
        self.support("buffered", level == self.named(
            dut.fifo.fifo.fifo.level + dut.fifo.source.valid, "buffered_level", 8))
        if not write:
            self.prove("fifo_does_not_overflow", ~burster.beat | dut.fifo.sink.ready)
            count = inner(burster, "count")
            self.support("room_for_the_burst", ~burst | (level + count < dut.fifo.depth))
            self.reach(dut.source.valid & dut.source.last)
        else:
            self.reach(burster.beat & burster.row_last)
            self.prove("each_written_word_is_there", ~burster.beat | dut.fifo.source.valid)
            # Its rows are as long as the transfer says; few of them, which keeps the products below small.
            transfer = burster.begin
            put = dut.sink.valid & dut.sink.ready
            left, words = Signal(3), Signal(3)
            self.sync += [
                If(put, left.eq(Mux(dut.sink.last, words, left - 1))),
                If(transfer, words.eq(dut.transfer.words), left.eq(dut.transfer.words)),
            ]
            self.assume("rows_are_whole", ~dut.sink.valid | (dut.sink.last == (left == 1)))
            self.assume("few_rows", (dut.transfer.rows < 4) & (dut.transfer.words < 5))
            intake = dut.intake
            missing, rows_left = intake.rows_missing, inner(burster, "rows_left")
            words_left = inner(burster, "words_left")
            entering = self.named(Mux(missing == 0, 0, (missing[:2] - 1) * words + left), "entering", 6)
            leaving = self.named((rows_left[:2] - 1) * words + words_left, "leaving", 6)
            self.prove("each_word_that_is_taken_has_a_place", ~put | dut.fifo.sink.ready)
            self.support("room", ~intake.room | (level < dut.fifo.depth - 1))
            self.support("wanted", intake.wanted == (missing != 0))
            self.support("few", (missing < 4) & (words < 5) & (left <= words) & ((missing == 0) | (left != 0)))
            self.support("words", ~moving | (
                dut.transfer.valid & (dut.transfer.words == words) & (words_left != 0) & (words_left <= words)
                & (rows_left != 0) & (rows_left < 4)))
            self.support("row_last", ~moving | (burster.row_last == (words_left == 1)))
            self.support("rows_end", ~moving | (inner(burster, "rows_end") == (rows_left == 1)))
            self.support("level", ~moving | (level + entering == leaving))
            self.support("idle", ~burster.fsm.ongoing("IDLE") | ((missing == 0) & (level == 0)))
            self.support("dry", burster.dry == (level <= 1))
            self.support("readable", ~burst | dut.fifo.source.valid)
        self.prove("one_word_for_each_answer", dut.burster.beat == (bus.cyc & bus.ack & ~bus.err & ~dut.bus_fault))


class CoreStreams(Streams):
    """The whole core: rows fork and join in step."""

    def __init__(self, **config):
        super().__init__()
        config = LiteNormConfig(**config)
        self.dut = dut = LiteNorm(config)
        self.neighbours({"sink": dut.sink}, {})
        if config.has_affine:
            self.neighbours({"weights": dut.weights}, {})
        self.free_source(dut.source)
        self.prove_stable(dut.source, "source")
        stored = dut.row_buffer.sink.valid & dut.row_buffer.sink.ready
        self.prove("each_beat_is_stored", stored == (dut.sink.valid & dut.sink.ready))
        self.reach(dut.source.valid & ~dut.source.ready)


class ReadyPaths(Harness):
    """No `valid` and no payload depends on the `ready` of the same stream within a cycle."""

    def __init__(self, kind, **arguments):
        super().__init__()
        made = {
            "core": lambda **config: LiteNorm(LiteNormConfig(**config)),
            "normalizer": lambda **config: Normalizer(LiteNormConfig(**config)),
            "exponential": lambda **config: ExpPass(LiteNormConfig(**config)),
            "row_constants": lambda **config: RowConstants(LiteNormConfig(**config)),
            "unpack": Unpack, "pack": Pack,
        }[kind](**arguments)
        self.dut = made
        for name, endpoint in made.__dict__.items():
            if isinstance(endpoint, stream.Endpoint) and name in ("sink", "record", "sums", "weights"):
                if (kind, name) == ("exponential", "sums"):
                    self.free_source(endpoint)
                else:
                    self.free_sink(endpoint)
        for name in ("length", "wide"):
            if kind in ("unpack", "pack") and hasattr(made, name):
                self.free(getattr(made, name))
        self.free_source(made.source)
        self.independent = [made.source.ready, made.source.valid, made.source.last, *made.source.payload.flatten()]
