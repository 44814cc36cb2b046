# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""All of the core: its streams, its memories, and the passes of a row one after the other."""

from myhdl import Signal, always, always_comb, always_seq, block, enum, instances, intbv

from litenorm.accel import constants as c
from litenorm.accel.config import LiteNormConfig
from litenorm.accel.rows import row_params
from litenorm.sim.myhdl_core.exponential import exp2, octaves
from litenorm.sim.myhdl_core.norms import norm_constants, norm_increment, statistics
from litenorm.sim.myhdl_core.requantize import affine, clip
from litenorm.sim.myhdl_core.softmax import cap, carried_fraction, formats, reciprocal, softmax_increment
from litenorm.sim.myhdl_core.widths import (
    D_BITS,
    E_ONE,
    FB,
    LONGEST,
    S_BITS,
    SQUARES_LIMIT,
    SUM_LIMIT,
    WIDE,
    X_BITS,
    bits,
    signed,
    up_to,
)


class RowSink:
    """Elements of rows, one a beat: valid, ready, first, last, ``payload_data`` (s16) and the row's constants.

    Those are ``param_op``, ``param_length`` and so on: the names, widths and meaning of ``rows.row_params``.
    """

    def __init__(self, config):
        self.valid, self.ready, self.first, self.last = (Signal(False) for _ in range(4))
        self.payload_data = bits(X_BITS)
        for name, width in row_params(config):
            setattr(self, f"param_{name}", Signal(False) if width == 1 else bits(width))


class WeightSink:
    """Elements of gamma (``param_beta`` 0) or beta (1), s16, one a beat, from index 0."""

    def __init__(self):
        self.valid, self.ready, self.first, self.last = (Signal(False) for _ in range(4))
        self.payload_data = bits(X_BITS)
        self.param_beta = Signal(False)


class RowSource:
    """Results, one element a beat: valid, ready, first, last and ``payload_data``, 16 bits."""

    def __init__(self):
        self.valid, self.ready, self.first, self.last = (Signal(False) for _ in range(4))
        self.payload_data = bits(c.CODE_BITS)


@block
def memory(sys_clk, write, address, data, read_address, read_data):
    """Memory of len(address)-bit indices: ``read_data`` is the word at ``read_address`` of the cycle before.

    A word that is written can be read from the cycle after.
    """
    words = [Signal(data.val) for _ in range(address.max)]

    @always(sys_clk.posedge)
    def access():
        if write:
            words[address].next = data
        read_data.next = words[read_address]

    return instances()


@block
def core(sys_clk, sys_rst, sink, weights, source, row_done, row_error, constant_row, depth):
    """All of LiteNorm, one row at a time: STORE, then EXP and RECIPROCAL or NORM, then EMIT and CHECK.

    sink          RowSink: a row of 1 to ``depth`` elements. Elements from param_length on are masked: they have no part
                  in the row, and are 0 (softmax: probability 0) in the result
    weights       WeightSink; taken between rows
    source        RowSource: as many elements as went in
    row_done      o: pulse, once a row
    row_error     o: pulse with row_done: the outputs do not sum to T (softmax, before ``cap``) or to 0 (LayerNorm)
    constant_row  o: pulse with row_done: a LayerNorm or RMSNorm row with V0 = 0
    depth         elements of the longest row
    """
    SOFTMAX, LAYERNORM, RMSNORM = range(len(c.OPS))
    ONE = E_ONE
    state_t = enum("STORE", "TURN", "EXP", "RECIPROCAL", "NORM", "EMIT", "CHECK")
    state = Signal(state_t.STORE)

    # Constants of the row, taken with its first element.
    op = bits(len(sink.param_op))
    format = bits(len(sink.param_format))
    length = up_to(depth)
    multiplier = bits(len(sink.param_scale_multiplier))
    scale_shift = bits(len(sink.param_scale_shift))
    eps = bits(len(sink.param_eps))
    with_affine = Signal(False)
    narrow = Signal(False)
    affine_shift = bits(len(sink.param_affine_shift))
    beta_shift = bits(len(sink.param_beta_shift))

    # The element that is worked on.
    index = up_to(depth - 1)
    next_index = up_to(depth)
    last_index = up_to(depth - 1)
    advance = Signal(False)
    is_last = Signal(False)
    valid = Signal(False)  # not masked
    store = Signal(False)
    store_exp = Signal(False)
    store_gamma = Signal(False)
    store_beta = Signal(False)
    emit = Signal(False)
    clear = Signal(False)
    weight_index = up_to(depth - 1)
    weight_address = up_to(depth - 1)
    x_in = signed(X_BITS)
    x = signed(X_BITS)
    gamma_in = signed(X_BITS)
    gamma = signed(X_BITS)
    beta = signed(X_BITS)

    # Statistics.
    gather = Signal(False)
    maximum = Signal(intbv(-(1 << (X_BITS - 1)), min=-(1 << (X_BITS - 1)), max=1 << (X_BITS - 1)))
    total_x = Signal(intbv(0, min=-SUM_LIMIT, max=SUM_LIMIT + 1))
    squares = up_to(SQUARES_LIMIT)

    # Softmax.
    t = bits(X_BITS)
    d = bits(D_BITS)
    power = up_to(ONE)
    e_in = up_to(ONE)
    e = up_to(ONE)
    s = bits(S_BITS)
    at_peak = Signal(False)  # the last valid element is the maximum
    peak = Signal(False)
    total = bits(X_BITS + 1)
    zero_offset = bits(X_BITS)
    capped = Signal(False)
    peak_limit = bits(c.EXP_BITS + 1)
    begin_reciprocal = Signal(False)
    reciprocal_done = Signal(False)
    r = bits(c.RECIPROCAL_BITS)
    r_shift = up_to(S_BITS + 1 - FB)
    z = bits(c.EXP_BITS + 1 + c.RECIPROCAL_BITS)

    # Norms.
    rms = Signal(False)
    begin_norm = Signal(False)
    norm_done = Signal(False)
    constant = Signal(False)
    gain = bits(c.GAIN_BITS)
    offset = bits(WIDE - 1)
    norm_shift = Signal(intbv(0, min=-15, max=21))
    w = signed(WIDE)

    # Emission.
    increment = signed(WIDE)
    carry = Signal(False)
    value = signed(WIDE)
    use_cap = Signal(False)
    probability = signed(WIDE)
    y = signed(X_BITS)
    scaled = signed(X_BITS)
    out = signed(WIDE)
    code = Signal(intbv(0, min=-(1 << 15), max=1 << 16))
    emitted = signed(X_BITS + 8)

    # Blocks.
    row_memory = memory(sys_clk, store, index, x_in, next_index, x)
    exp_memory = memory(sys_clk, store_exp, index, e_in, next_index, e)
    gamma_memory = memory(sys_clk, store_gamma, weight_address, gamma_in, next_index, gamma)
    beta_memory = memory(sys_clk, store_beta, weight_address, gamma_in, next_index, beta)
    sums = statistics(sys_clk, sys_rst, clear, gather, x_in, maximum, total_x, squares)
    distance = octaves(t, multiplier, scale_shift, d)
    exponential = exp2(d, power)
    table = formats(format, total, zero_offset, capped, peak_limit)
    inverse = reciprocal(sys_clk, sys_rst, begin_reciprocal, total, s, reciprocal_done, r, r_shift)
    softmax = softmax_increment(e, r, r_shift, z)
    constants = norm_constants(sys_clk, sys_rst, begin_norm, rms, length, total_x, squares, eps, norm_done, constant,
                               gain, offset, norm_shift)
    norm = norm_increment(x, gain, offset, norm_shift, w)
    rounding = carried_fraction(sys_clk, sys_rst, clear, emit, carry, increment, value)
    capping = cap(sys_clk, sys_rst, clear, emit, use_cap, peak, total, length, index, value, probability)
    limit = clip(value, False, y)
    requantize = affine(y, gamma, beta, affine_shift, beta_shift, narrow, scaled)

    @always_comb
    def take():
        sink.ready.next = (state == state_t.STORE) and (index != 0 or not weights.valid)
        store.next = sink.valid and (state == state_t.STORE) and (index != 0 or not weights.valid)
        x_in.next = sink.payload_data.signed()

    @always_comb
    def count():
        gather.next = store and (index < sink.param_length)

    @always_comb
    def take_weights():
        weights.ready.next = (state == state_t.STORE) and (index == 0)
        store_gamma.next = (state == state_t.STORE) and (index == 0) and weights.valid and not weights.param_beta
        store_beta.next = (state == state_t.STORE) and (index == 0) and weights.valid and weights.param_beta
        gamma_in.next = weights.payload_data.signed()
        if weights.first:
            weight_address.next = 0
        else:
            weight_address.next = weight_index

    @always_comb
    def drive():
        emit.next = (state == state_t.EMIT) and (source.ready or not source.valid)
        store_exp.next = state == state_t.EXP
        clear.next = state == state_t.CHECK

    @always_comb
    def walk():
        advance.next = store or store_exp or emit
        if state == state_t.STORE:
            is_last.next = sink.last
        else:
            is_last.next = index == last_index
        valid.next = index < length

    @always_comb
    def step():
        next_index.next = index
        if advance:
            if is_last:
                next_index.next = 0
            else:
                next_index.next = index + 1

    @always_comb
    def exponent():
        t.next = 0
        if state == state_t.EXP and index < length:
            t.next = maximum - x

    @always_comb
    def mask():
        if valid:
            e_in.next = power
        else:
            e_in.next = 0

    @always_comb
    def operation():
        rms.next = op == RMSNORM
        carry.next = op != RMSNORM
        use_cap.next = capped and (op == SOFTMAX)

    @always_comb
    def choose():
        if not valid:
            increment.next = 0
        elif op == SOFTMAX:
            increment.next = z
        elif constant:
            increment.next = 0
        else:
            increment.next = w

    @always_comb
    def result():
        if op == SOFTMAX:
            out.next = probability - zero_offset
        elif with_affine:
            out.next = scaled
        elif op == RMSNORM:
            out.next = y
        else:
            out.next = value

    @always_comb
    def output():
        source.payload_data.next = code[16:]

    @always_comb
    def check():
        row_done.next = state == state_t.CHECK
        constant_row.next = (state == state_t.CHECK) and (op != SOFTMAX) and constant
        if op == SOFTMAX:
            row_error.next = (state == state_t.CHECK) and (emitted != total)
        elif op == LAYERNORM:
            row_error.next = (state == state_t.CHECK) and (emitted != 0)
        else:
            row_error.next = 0

    @always_seq(sys_clk.posedge, reset=sys_rst)
    def sequence():
        begin_reciprocal.next = 0
        begin_norm.next = 0
        index.next = next_index
        if source.ready:
            source.valid.next = 0

        if state == state_t.STORE:
            if weights.valid and weights.ready:
                if weights.last:
                    weight_index.next = 0
                else:
                    weight_index.next = weight_address + 1
            if store:
                if sink.first:
                    op.next = sink.param_op
                    format.next = sink.param_format
                    length.next = sink.param_length
                    multiplier.next = sink.param_scale_multiplier
                    scale_shift.next = sink.param_scale_shift
                    eps.next = sink.param_eps
                    with_affine.next = sink.param_affine
                    narrow.next = sink.param_out_s8
                    affine_shift.next = sink.param_affine_shift
                    beta_shift.next = sink.param_beta_shift
                if sink.last:
                    last_index.next = index
                    state.next = state_t.TURN
        elif state == state_t.TURN:
            # The row is complete, and its first element is read.
            s.next = 0
            emitted.next = 0
            if op == SOFTMAX:
                state.next = state_t.EXP
            else:
                begin_norm.next = 1
                state.next = state_t.NORM
        elif state == state_t.EXP:
            s.next = s + e_in
            if index + 1 == length:
                at_peak.next = e_in == ONE
            if is_last:
                begin_reciprocal.next = 1
                state.next = state_t.RECIPROCAL
        elif state == state_t.RECIPROCAL:
            peak.next = capped and at_peak and (s <= peak_limit)
            if reciprocal_done:
                state.next = state_t.EMIT
        elif state == state_t.NORM:
            if norm_done:
                state.next = state_t.EMIT
        elif state == state_t.EMIT:
            if emit:
                source.valid.next = 1
                source.first.next = index == 0
                source.last.next = is_last
                code.next = out
                emitted.next = emitted + value
                if is_last:
                    state.next = state_t.CHECK
        else:
            state.next = state_t.STORE

    return instances()


def core_ports(config):
    """Return the dict of the ports of ``core`` for a LiteNormConfig: the three streams and three pulses.

    ValueError when the config is for rows that are longer than this description was written for.
    """
    if not isinstance(config, LiteNormConfig):
        raise ValueError(f"config is a LiteNormConfig, not {type(config).__name__}")
    if config.max_length > LONGEST:
        raise ValueError(f"max_length is {config.max_length}; good: up to {LONGEST}, where the fraction has {FB} bits")
    return {"sink": RowSink(config), "weights": WeightSink(), "source": RowSource(), "row_done": Signal(False),
            "row_error": Signal(False), "constant_row": Signal(False)}
