# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Gamma, beta and requantization of normalized rows."""

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.buffers import parity
from litenorm.accel.fixed import Stages, clip_s, shift_right
from litenorm.accel.rows import affine_params


def weights_layout(config):
    """One beat of gamma or beta: `lanes` s16 elements; param beta tells which."""
    return stream.EndpointDescription([("data", config.lanes * c.CODE_BITS)], [("beta", 1)])


class Requantize(LiteXModule):
    """out_i = clip((y_i * gamma_i + (beta_i << beta_shift) + half) >> shift), half = (1 << shift) >> 1.

    sink     beats of s16 codes; param affine = 0 lets a row pass unchanged (gamma 1, beta 0, shift 0)
    weights  gamma or beta from index 0 on, `first` opens a new array; taken at any time, one beat a cycle
    source   beats of s16, or of sign-extended s8, 6 cycles later
    error    o: pulse: a word of gamma or beta that a row uses has lost its parity (config.parity; else constant 0)

    Latency: 6 cycles, one beat a cycle. The arrays stay until they are written again; software must not write them
    while rows that use them are on their way.
    """

    latency = 6

    def __init__(self, config):
        lanes = config.lanes
        self.sink = sink = stream.Endpoint(stream.EndpointDescription([("data", lanes * c.CODE_BITS)], affine_params()))
        self.weights = weights = stream.Endpoint(weights_layout(config))
        self.source = source = stream.Endpoint([("data", lanes * c.CODE_BITS)])
        self.error = Signal()

        # # #

        ce = Signal()
        stages = Stages(self, ce)
        valid, first, last = sink.valid, sink.first, sink.last
        for i in range(self.latency):
            late = [Signal(name=f"{name}{i + 1}") for name in ("valid", "first", "last")]
            self.sync += If(ce, late[0].eq(valid), late[1].eq(first), late[2].eq(last))
            valid, first, last = late
        self.comb += [
            ce.eq(source.ready | ~valid),
            sink.ready.eq(ce),
            source.valid.eq(valid),
            source.first.eq(first),
            source.last.eq(last),
        ]

        # Gamma and beta, a beat of lanes at each address (1).
        depth = max(config.max_beats, 2)    # of one word, a memory would have no address
        write_next = Signal(max=depth)
        write = Signal.like(write_next)
        self.comb += [weights.ready.eq(1), write.eq(Mux(weights.first, 0, write_next))]
        self.sync += If(weights.valid, write_next.eq(write + 1))
        read = Signal.like(write)
        self.sync += If(sink.valid & ce, If(sink.last, read.eq(0)).Else(read.eq(read + 1)))
        ports = {}
        for name in ("gamma", "beta"):
            memory = Memory(lanes * c.CODE_BITS + config.parity, depth, name=name)
            write_port = memory.get_port(write_capable=True, mode=READ_FIRST)
            read_port = memory.get_port(has_re=True, mode=READ_FIRST)
            self.specials += memory, write_port, read_port
            self.comb += [
                write_port.adr.eq(write),
                write_port.dat_w.eq(Cat(weights.data, parity(weights.data)) if config.parity else weights.data),
                write_port.we.eq(weights.valid & (weights.beta == (name == "beta"))),
                read_port.adr.eq(read),
                read_port.re.eq(ce),
            ]
            ports[name] = read_port.dat_r
        # A word's parity bit makes its own parity even.
        if config.parity:
            used = Signal()
            self.sync += used.eq(sink.valid & ce & sink.affine)
            self.comb += self.error.eq(used & (parity(ports["gamma"]) | parity(ports["beta"])))

        # Operands (2), product (3), sum (4), shift (5, 6).
        affine = stages.reg(sink.affine, "affine")
        shift = stages.delay(Mux(sink.affine, sink.affine_shift, 0), 3, "shift")
        beta_shift = stages.delay(sink.beta_shift, 2, "beta_shift")
        out_s8 = stages.delay(sink.affine & sink.out_s8, 6, "out_s8")
        half = Signal(1 << c.AFFINE_SHIFT_BITS)
        self.comb += half.eq((1 << shift) >> 1)
        shift = stages.reg(shift, "shift_out")
        beta_bits = c.CODE_BITS + (1 << c.BETA_SHIFT_BITS) - 1
        for j in range(lanes):
            lane = slice(c.CODE_BITS * j, c.CODE_BITS * (j + 1))

            def signed(value, name, bits=c.CODE_BITS, j=j):
                result = Signal((bits, True), name=f"{name}{j}")
                self.comb += result.eq(value)
                return result

            y = signed(stages.reg(sink.data[lane], f"y{j}_in"), "y")
            gamma = signed(Mux(affine, ports["gamma"][lane], 1), "gamma")
            beta = signed(Mux(affine, ports["beta"][lane], 0), "beta")
            # A memory's output is late: it does not reach the multiplier in its own cycle.
            y, gamma = stages.reg(y, f"y{j}_operand"), stages.reg(gamma, f"gamma{j}_operand")
            product = stages.reg(y * gamma, f"product{j}", (2 * c.CODE_BITS, True))
            beta = stages.reg(beta, f"beta{j}_in")
            moved = signed(beta << beta_shift, "moved", beta_bits)
            moved = stages.reg(moved, f"moved{j}_out")
            total_bits = 2 * c.CODE_BITS + 2
            half_signed = signed(half, "half", len(half) + 1)
            total = stages.reg(product + moved + half_signed, f"total{j}", (total_bits, True))
            rounded = shift_right(stages, total, shift, total_bits, f"rounded{j}")
            # A row that passes keeps its 16 bits, u16 codes too: they are cut, not clipped.
            code = signed(Mux(out_s8, clip_s(rounded, 8), clip_s(rounded, 16)), "code")
            self.comb += source.data[lane].eq(code)
