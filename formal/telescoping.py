# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""The telescoping sum, on the Normalizer as it is, at full width: whatever the elements, gain and shift of a row,

    out_1 + ... + out_N == (2^(FB-1) + w_1 + ... + w_N) >> FB      modulo 2^17

at the row's last beat, and the same for every prefix of beats. The aligned products w_i are cut: they may be any
numbers in any cycle. So what is shown does not depend on what was multiplied, masked or rounded before.
"""

from litex.gen import *
from migen import *

from litenorm.accel.config import LiteNormConfig
from litenorm.accel.normalizer import Normalizer
from litenorm.accel.rows import OP
from litenorm.formal.harness import Harness, inner

W_STAGE = 6     # pipeline registers from the sink to w


def total(values):
    """Sum of a list of expressions, folded pairwise as the hardware's trees are."""
    values = list(values)
    while len(values) > 1:
        values = [values[i] + values[i + 1] if i + 1 < len(values) else values[i] for i in range(0, len(values), 2)]
    return values[0]


class Telescoping(Harness):
    """Ghost state: exact sums of w and of the outputs of each row, carried along the pipeline with each beat."""

    def __init__(self, **config):
        super().__init__()
        config = LiteNormConfig(**config)
        self.dut = dut = Normalizer(config)
        self.config = config
        self.free_sink(dut.sink)
        self.free_sink(dut.record)
        self.free_source(dut.source)
        # A row's constants do not change before its last beat has taken them.
        record_waits = self.assume_stable(dut.record, "record")
        # Rows that are spelled out as 1, 0, .., 0, T - 1 do not telescope; see sums.py.
        if config.has_softmax:
            self.assume("not_spelled_out", ~dut.record.ends)

        # # #

        lanes, fb, bits = config.lanes, config.fraction_bits, config.accumulator_bits
        out_bits = bits - fb
        self.ce = ce = dut.stages.ce
        seed = 1 << (fb - 1)
        total_stage = W_STAGE + (log2_int(lanes) + 1) // 2     # two levels of prefix sums a cycle
        self.latency = latency = dut.latency
        beat, first = inner(dut, "beat"), inner(dut, "first")

        # The control of the pipeline, once more.
        valid, starts = self.follow(beat, "valid"), self.follow(first, "starts")
        carried = self.follow(dut.record.op != OP["rmsnorm"], "carried")
        for i in range(1, latency + 1):
            for name, chain in (("valid", valid), ("first", starts), ("cap_valid", valid), ("cap_first", starts),
                                ("out_valid", valid), ("out_first", starts)):
                self.same(f"{name}{i}", chain[i], 1)
            for name in ("carried_d", "check_carried_d", *(f"carried_l{2**l}_d" for l in range(log2_int(lanes)))):
                self.same(f"{name}{i}", carried[i], valid[i])
            if config.has_softmax:
                self.same(f"ends_d{i}", 0, 1)
        if config.has_norm:
            self.same("carry_d1", carried[total_stage + 1], valid[total_stage + 1])

        # A row is carried or not, as a whole.
        last_carried = Signal(reset=1)
        self.sync += If(beat & ce, last_carried.eq(carried[0]))
        for i in range(latency + 1):
            here = beat if i == 0 else valid[i]
            before = self.nearest(valid, carried, i, self.taken(valid[latency], carried[latency], "carried", 1))
            self.support(f"carried{i}", ~here | starts[i] | (carried[i] == before))
        past_carried = self.past_values[id(dut.record.op)] != OP["rmsnorm"]
        self.support("row_is_one_kind", first | (record_waits & (past_carried == last_carried)))
        self.support("last_kind", last_carried == self.nearest(
            valid, carried, 0, self.taken_registers["carried"]))

        # w, and its prefix sums over the lanes.
        w = [inner(dut, f"w{j}") for j in range(lanes)]
        for j in range(lanes):
            w[j].name_override = f"cut_w{j}"
        self.cut_signals = w
        tags = w
        beat_sum = self.modulo(total(w), bits, "beat_sum")
        for i in range(W_STAGE, total_stage):
            tags = [self.delayed(tags[j], f"w{j}_{i + 1}") for j in range(lanes)]
            beat_sum = self.delayed(beat_sum, f"beat_sum_{i + 1}")
            level = min(2 << 2 * (i - W_STAGE), lanes // 2)
            prefix = [inner(dut, f"p{level}_{j}") for j in range(lanes)]
            for j in range(lanes):
                start = j // (2 * level) * 2 * level
                self.support(f"prefix{level}_{j}", ~(valid[i + 1] & carried[i + 1]) | (
                    prefix[j] == self.modulo(total(tags[start : j + 1]), bits, f"sum{level}_{j}")))
            self.support(f"beat_sum{level}", ~(valid[i + 1] & carried[i + 1]) | (
                beat_sum == self.modulo(total(prefix[2 * level - 1 :: 2 * level]), bits, f"prefix_sum{level}")))

        # Row sums of w (with the seed) and of the C of each beat, when the fraction is carried on.
        row_w, row_c, row_carried = Signal(bits, reset=seed), Signal(out_bits), Signal(reset=1)
        fraction = inner(dut, "fraction")
        running = [inner(dut, f"c{j}") for j in range(lanes)]
        last_total = inner(dut, f"total{lanes - 1}")
        self.sync += If(ce & valid[total_stage],
            row_w.eq(Mux(starts[total_stage], seed, row_w) + beat_sum),
            row_c.eq(Mux(starts[total_stage], 0, row_c) + last_total[fb:]),
            row_carried.eq(carried[total_stage]),
        )
        self.support("fraction", ~row_carried | (row_w == self.modulo(Cat(fraction, row_c), bits, "row_c_fraction")))
        self.support("row_carried", row_carried == self.nearest(
            valid, carried, total_stage, self.taken_registers["carried"]))

        self.support("row_carried_stage", ~valid[total_stage + 1] | (row_carried == carried[total_stage + 1]))

        # Tags of the beats behind: the row's sums up to and with each beat, and C behind each lane of the beat.
        sum_w, sum_c = {total_stage + 1: row_w}, {total_stage + 1: row_c}
        lane_c = {total_stage + 1: running}
        for i in range(total_stage + 1, latency):
            sum_w[i + 1] = self.delayed(sum_w[i], f"sum_w{i + 1}")
            sum_c[i + 1] = self.delayed(sum_c[i], f"sum_c{i + 1}")
            lane_c[i + 1] = [self.delayed(value, f"lane_c{i + 1}_{j}") for j, value in enumerate(lane_c[i])]
        last_c = self.taken(valid[latency], sum_c[latency], "sum_c", 0)
        for i in range(total_stage + 1, latency + 1):
            if i > total_stage + 1:
                self.support(f"sum_w{i}", ~(valid[i] & carried[i]) | (sum_c[i] == sum_w[i][fb:]))
            before = Mux(starts[i], 0, self.nearest(valid, sum_c, i, last_c))
            self.support(f"sum_c{i}", ~(valid[i] & carried[i]) | (
                sum_c[i] == self.modulo(before + lane_c[i][-1], out_bits, f"chain{i}")))
        self.support("row_c", ~row_carried | (row_c == self.nearest(valid, sum_c, total_stage, last_c)))

        # The differences of a beat add up to its C; the cap moves one unit to the next element.
        outs = [inner(dut, f"out{j}") for j in range(lanes)]
        i = total_stage + 2
        partial = 0
        for j in range(lanes):
            partial = self.modulo(partial + outs[j], out_bits, f"difference_sum{j}")
            self.support(f"differences{j}", ~(valid[i] & carried[i]) | (partial == lane_c[i][j]))
        row_out, owed = Signal(out_bits), Signal()
        pending = Constant(0)
        if latency > i:
            # owed: the beat that left last ended with T, its 1 goes to the next element.
            pending = inner(dut, "pending")
            full = self.delayed(inner(dut, "full"), "full")
            outs = [inner(dut, f"out{j}_capped") for j in range(lanes)]
            before = Mux(starts[latency], 0, owed)
            self.support("pending", ~valid[latency] | (pending == full[-1]))
            self.support("owed", valid[latency] | (pending == owed))
        leaving = 0
        for j in range(lanes):
            leaving = self.modulo(leaving + outs[j], out_bits, f"leaving{j}")
            if latency > i:
                self.support(f"capped{j}", ~(valid[latency] & carried[latency]) | (
                    self.modulo(leaving + full[j], out_bits, f"leaving_full{j}")
                    == self.modulo(lane_c[latency][j] + before, out_bits, f"lane_c_before{j}")))
        after = self.modulo(Mux(starts[latency], 0, row_out) + leaving, out_bits, "row_out_after")
        self.sync += If(ce & valid[latency], row_out.eq(after), owed.eq(pending))
        self.support("row_out", ~self.taken_registers["carried"] | (
            self.modulo(row_out + owed, out_bits, "row_out_owed") == last_c))
        self.reach(valid[latency] & carried[latency] & dut.source.last & ~starts[latency])
        self.prove("outputs_add_up", ~(valid[latency] & carried[latency]) | (
            self.modulo(after + pending, out_bits, "after_pending") == sum_w[latency][fb:]))

    def follow(self, value, name):
        """[value, value one stage later, ...] up to the source, reset to 0."""
        chain = [self.named(value, f"{name}_ghost0", 1)]
        for i in range(self.latency):
            late = Signal(name=f"{name}_ghost{i + 1}")
            self.sync += If(self.ce, late.eq(chain[-1]))
            chain.append(late)
        return chain

    def delayed(self, value, name):
        late = Signal(len(value), name=f"{name}_ghost")
        self.sync += If(self.ce, late.eq(value))
        return late

    def modulo(self, expression, bits, name):
        return self.named(expression, f"{name}_ghost", bits)

    taken_registers = None

    def taken(self, valid, value, name, reset):
        """`value` of the beat that left last."""
        if self.taken_registers is None:
            self.taken_registers = {}
        if name not in self.taken_registers:
            register = self.taken_registers[name] = Signal(len(value), name=f"taken_{name}", reset=reset)
            self.sync += If(self.ce & valid, register.eq(value))
        return self.taken_registers[name]

    def nearest(self, valid, tags, stage, left):
        """The tag of the beat before: that of the nearest valid stage behind `stage`, else of the beat that left."""
        value = left
        for i in range(self.latency, stage, -1):
            value = Mux(valid[i], tags[i], value)
        return value

    def same(self, name, value, when):
        """Support: the unit's own register equals the ghost's, where the unit has one of this name."""
        try:
            register = inner(self.dut, name)
        except ValueError:
            return
        self.support(f"same_{name}", ~when | (register == value) if not isinstance(when, int) else register == value)
