# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Between bus words and the core's beats: `Unpack` on the way in, `Held` and `Pack` on the way out.

A row begins at the start of a word and of a beat. In memory its elements lie side by side, 8 or 16 bits each
(`wide` = 0 or 1), least significant byte first; in a beat each has its own 16-bit lane. Widths are powers of two, so
either a beat is one or more words, or a word is one or more beats, and the two units are counters and multiplexers.
"""

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.soc.dma import data_layout, parity

LANE_BITS = 16
KIND_BITS = 2


class _Geometry:
    """How words and beats relate for narrow (8 bits) and wide (16 bits) elements."""

    def __init__(self, data_width, lanes):
        if data_width < 16 or data_width & (data_width - 1):
            raise ValueError(f"data_width is {data_width}; good: a power of two, 16 or more")
        if lanes < 1 or lanes & (lanes - 1):
            raise ValueError(f"lanes is {lanes}; good: a power of two")
        self.elements = [data_width // bits for bits in (8, 16)]  # of a word
        self.words = [max(lanes // n, 1) for n in self.elements]  # of a beat
        self.beats = [max(n // lanes, 1) for n in self.elements]  # of a word
        self.lanes = lanes


def _low_bits(value, count):
    """value mod count, for a count that is a power of two."""
    return value[: log2_int(count)] if count > 1 else C(0)


class Unpack(LiteXModule):
    """Words of a row to beats of `lanes` elements, sign-extended to 16 bits.

    sink    data (one word); `last`: the row's last word. Bytes behind the row's end are don't-care.
            Params, constant within a row: `wide`, elements are s16, not s8; `kind`, a tag that goes with the row
    source  data (lanes * 16 bits, element j of the beat in lane j); first and last frame a row, as the core expects.
            Lanes behind the row's end are don't-care. Params as of the sink.
    length  i: elements of each row, at least 1; constant while rows are under way

    Latency 1 cycle where a beat is made of words, 0 where a word is made of beats. Throughput one word or one beat a
    cycle, whichever is wider.
    """

    def __init__(self, data_width, lanes, length_bits):
        geometry = _Geometry(data_width, lanes)

        def endpoint(bits):
            return stream.Endpoint(stream.EndpointDescription([("data", bits)], [("wide", 1), ("kind", KIND_BITS)]))

        self.sink = endpoint(data_width)
        self.source = source = endpoint(lanes * LANE_BITS)
        self.length = Signal(length_bits)

        # # #

        # `narrow` and `full`: the beat's bits if its elements are 8 or 16 bits wide.
        if geometry.words[1] > 1:
            narrow, full = self.collect(geometry, data_width)
        else:
            narrow, full = self.split(geometry)

        for j in range(lanes):
            byte = narrow[8 * j : 8 * (j + 1)]
            half = full[16 * j : 16 * (j + 1)]
            self.comb += source.data[16 * j : 16 * (j + 1)].eq(
                Mux(source.wide, half, Cat(byte, Replicate(byte[7], 8)))
            )

        begin = Signal(reset=1)
        self.sync += If(source.valid & source.ready, begin.eq(source.last))
        self.comb += source.first.eq(begin)

    def collect(self, geometry, data_width):
        """A beat is one or more words: they are put side by side in a register."""
        sink, source = self.sink, self.source
        beat = Signal(geometry.words[1] * data_width)
        index = Signal(max=geometry.words[1])
        complete = Signal()
        take = Signal()
        self.comb += [
            take.eq(sink.valid & sink.ready),
            complete.eq(sink.last | (index == Mux(sink.wide, geometry.words[1] - 1, geometry.words[0] - 1))),
            sink.ready.eq(~source.valid | source.ready),
        ]
        self.sync += [
            If(source.ready, source.valid.eq(0)),
            If(take,
                Case(index, {
                    n: beat[n * data_width : (n + 1) * data_width].eq(sink.data) for n in range(geometry.words[1])
                }),
                index.eq(index + 1),
                source.last.eq(sink.last),
                source.param.eq(sink.param),
                If(complete,
                    index.eq(0),
                    source.valid.eq(1)
                )
            )
        ]
        return beat, beat

    def split(self, geometry):
        """A word is one or more beats: they are taken from it one after the other."""
        sink, source = self.sink, self.source
        lanes = geometry.lanes
        index = Signal(max=max(geometry.beats[0], 2))
        # The row's last element, counted within its word, tells the last beat of the row's last word.
        last_element = Signal(len(self.length))
        row_end = [_low_bits(last_element, n) >> log2_int(lanes) for n in geometry.elements]
        self.comb += [
            last_element.eq(self.length - 1),
            source.valid.eq(sink.valid),
            source.param.eq(sink.param),
            source.last.eq(sink.last & (index == Mux(sink.wide, row_end[1], row_end[0]))),
            sink.ready.eq(
                source.ready
                & (source.last | (index == Mux(sink.wide, geometry.beats[1] - 1, geometry.beats[0] - 1)))
            ),
        ]
        self.sync += If(source.valid & source.ready, index.eq(Mux(sink.ready, 0, index + 1)))
        parts = []
        for bits, beats in zip((8, 16), geometry.beats, strict=True):
            part = Signal(lanes * bits)
            self.comb += Case(index, {
                "default": part.eq(sink.data[: lanes * bits]),
                **{n: part.eq(sink.data[n * lanes * bits : (n + 1) * lanes * bits]) for n in range(beats)},
            })
            parts.append(part)
        return parts


class Held(LiteXModule):
    """Beats on their way from the core to `Pack`, through a place for one of them: the core's ready is a register.

    sink, source  data (lanes * 16 bits)
    damaged       o: a cycle ago, a beat was not the one that came

    Latency 0 while the place is empty; one beat a cycle.
    """

    def __init__(self, lanes):
        def endpoint():
            return stream.Endpoint([("data", lanes * LANE_BITS)])

        self.sink = sink = endpoint()
        self.source = source = endpoint()
        self.damaged = Signal()

        # # #

        self.place = place = stream.PipeReady([("data", lanes * LANE_BITS), ("parity", 1)])
        self.comb += [
            sink.connect(place.sink),
            place.sink.parity.eq(parity(sink.data, sink.last)),
            place.source.connect(source, omit={"parity"}),
        ]
        self.sync += self.damaged.eq(source.valid & (place.source.parity != parity(source.data, source.last)))


class Pack(LiteXModule):
    """Beats of a row to words, with byte enables.

    sink    data (lanes * 16 bits; 8-bit results in the low 8 bits of a lane); `last`: the row's last beat
    source  data (one word); `sel`: byte enables, all set but in a row's last word, where they end with the row;
            first and last frame a row
    wide    i: elements are 16 bits wide in memory, not 8
    length  i: elements of each row, at least 1
            Both are constant while rows are under way.
    damaged o: until reset, an upset has changed what is kept in here, or a row that came has lost or won beats. Whole
            words that it lost or won show in the number of words that leave

    Latency 1 cycle where a word is made of beats, 0 where a beat is made of words. Throughput one word or one beat a
    cycle, whichever is wider.
    """

    def __init__(self, data_width, lanes, length_bits):
        geometry = _Geometry(data_width, lanes)

        self.sink = sink = stream.Endpoint([("data", lanes * LANE_BITS)])
        self.source = source = stream.Endpoint(data_layout(data_width, True))
        self.wide = wide = Signal()
        self.length = length = Signal(length_bits)
        self.damaged = Signal()

        # # #

        last_element = Signal(length_bits)
        self.comb += last_element.eq(length - 1)

        self.wrong = []  # what must never be true

        # The beat with its elements side by side.
        narrow = Cat(*[sink.data[16 * j : 16 * j + 8] for j in range(lanes)])
        full = sink.data
        if geometry.words[1] > 1:
            self.split(geometry, narrow, full, last_element, data_width)
        else:
            self.collect(geometry, narrow, full, last_element, data_width)

        # Byte b belongs to the row's last word when its element does.
        last_in_word = [_low_bits(last_element, n) for n in geometry.elements]
        for b in range(data_width // 8):
            inside = Mux(wide, (b // 2) <= last_in_word[1], b <= last_in_word[0])
            self.comb += source.sel[b].eq(~source.last | inside)

        begin = Signal(reset=1)
        self.sync += [
            If(source.valid & source.ready, begin.eq(source.last)),
            If(Reduce("OR", self.wrong), self.damaged.eq(1)),
        ]
        self.comb += source.first.eq(begin)

    def twin(self, index, update):
        """A second copy of `index` that `update(copy)` keeps equal to it."""
        twin = Signal.like(index)
        self.sync += update(twin)
        self.wrong.append(index != twin)

    def split(self, geometry, narrow, full, last_element, data_width):
        """A beat is one or more words: they are taken from it one after the other."""
        sink, source = self.sink, self.source
        index = Signal(max=geometry.words[1])
        # The row's last element, counted within its beat, tells the last word of the row's last beat.
        in_beat = _low_bits(last_element, geometry.lanes)
        row_end = [in_beat >> log2_int(n) for n in geometry.elements]
        self.comb += [
            source.valid.eq(sink.valid),
            source.last.eq(sink.last & (index == Mux(self.wide, row_end[1], row_end[0]))),
            sink.ready.eq(
                source.ready
                & (source.last | (index == Mux(self.wide, geometry.words[1] - 1, geometry.words[0] - 1)))
            ),
        ]

        def update(index):
            return If(source.valid & source.ready, index.eq(Mux(sink.ready, 0, index + 1)))

        self.sync += update(index)
        self.twin(index, update)
        words = []
        for bits, count in ((narrow, geometry.words[0]), (full, geometry.words[1])):
            word = Signal(data_width)
            self.comb += Case(index, {
                "default": word.eq(bits[:data_width]),
                **{n: word.eq(bits[n * data_width : (n + 1) * data_width]) for n in range(count)},
            })
            words.append(word)
        self.comb += source.data.eq(Mux(self.wide, words[1], words[0]))

    def collect(self, geometry, narrow, full, last_element, data_width):
        """A word is one or more beats: they are put side by side in a register."""
        sink, source = self.sink, self.source
        lanes = geometry.lanes
        index = Signal(max=max(geometry.beats[0], 2))
        complete = Signal()
        self.comb += [
            complete.eq(sink.last | (index == Mux(self.wide, geometry.beats[1] - 1, geometry.beats[0] - 1))),
            sink.ready.eq(~source.valid | source.ready),
        ]
        put = [
            Case(index, {n: source.data[n * lanes * bits : (n + 1) * lanes * bits].eq(beat) for n in range(beats)})
            for bits, beat, beats in ((8, narrow, geometry.beats[0]), (16, full, geometry.beats[1]))
        ]
        used = Signal(lanes * LANE_BITS)  # what is put into the word
        stored = Signal()  # the word's parity
        self.comb += used.eq(Mux(self.wide, full, narrow))
        # The row's last element, counted within its word, tells the last beat of the row's last word.
        row_end = [_low_bits(last_element, n) >> log2_int(lanes) for n in geometry.elements]
        self.wrong += [
            source.valid & (stored != parity(source.data)),
            sink.valid & sink.ready & sink.last & (index != Mux(self.wide, row_end[1], row_end[0])),
        ]

        def update(index):
            return If(sink.valid & sink.ready, index.eq(Mux(complete, 0, index + 1)))

        self.sync += [
            update(index),
            If(source.ready, source.valid.eq(0)),
            If(sink.valid & sink.ready,
                # Else what a row's last word has behind the row's end would not be in the parity.
                If(index == 0, source.data.eq(0)),
                If(self.wide, put[1]).Else(put[0]),
                stored.eq(parity(used) ^ ((index != 0) & stored)),
                source.last.eq(sink.last),
                If(complete, source.valid.eq(1))
            )
        ]
        self.twin(index, update)
