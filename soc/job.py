# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""What a job is, and what is checked before it begins."""

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.accel import constants as c
from litenorm.accel.formats import FORMAT_BITS, FORMATS
from litenorm.accel.status import STATUS_BITS, Status
from litenorm.soc.dma import ROWS_BITS, parity

ADDRESS_BITS = 32  # of byte addresses and strides
LENGTH_BITS = 16  # of row lengths and mask fields, more than any core can take
OP_BITS = (len(c.OPS) - 1).bit_length()

SOFTMAX = c.OPS.index("softmax")


def job_layout():
    """Fields of a job, (name, bits). Addresses and strides are in bytes, lengths in elements.

    src, dst                the rows' first bytes; row r lies r strides behind them
    src_stride, dst_stride  0: packed, a row's bytes rounded up to a bus word
    rows, length            rows, and elements of each
    op                      index in constants.OPS
    input                   index in constants.INPUTS: 0 s8, 1 s16
    format                  softmax: code of the output format
    affine, output          norms: apply gamma and beta; then 0: s8, 1: s16 output. Without: s16 Q5.10
    scale_multiplier, scale_shift, eps, affine_shift, beta_shift  as in the core's parameters
    gamma, beta             with affine: addresses of s16 [length] each
    mask_base, mask_increment, mask_period  see `RowLengths`
    """
    return [
        ("src", ADDRESS_BITS),
        ("dst", ADDRESS_BITS),
        ("src_stride", ADDRESS_BITS),
        ("dst_stride", ADDRESS_BITS),
        ("rows", ROWS_BITS),
        ("length", LENGTH_BITS),
        ("op", OP_BITS),
        ("input", 1),
        ("format", FORMAT_BITS),
        ("affine", 1),
        ("output", 1),
        ("scale_multiplier", c.SCALE_MULTIPLIER_BITS),
        ("scale_shift", c.SCALE_SHIFT_BITS),
        ("eps", c.EPS_BITS),
        ("gamma", ADDRESS_BITS),
        ("beta", ADDRESS_BITS),
        ("affine_shift", c.AFFINE_SHIFT_BITS),
        ("beta_shift", c.BETA_SHIFT_BITS),
        ("mask_base", LENGTH_BITS),
        ("mask_increment", LENGTH_BITS),
        ("mask_period", LENGTH_BITS),
    ]


def result_layout():
    """How a job ended: `code`, a Status; `constant_row`, a LayerNorm row had no variance; rows and cycles it took."""
    return [("code", STATUS_BITS), ("constant_row", 1), ("rows_done", ROWS_BITS), ("cycles", 32)]


# What the sums of a job's rows and the places that they are written to depend on.
PROTECTED = ("dst", "dst_stride", "rows", "length", "op", "input", "format", "affine", "output", "mask_base",
             "mask_increment", "mask_period")


JOBS_WAITING = 4  # in the queue, behind the one that runs, when nothing else is said
TICKET_BITS = 8  # of the count of jobs


def submission_layout():
    """Fields of a job as it is submitted: `job_layout()`, the window it may access, and which job since reset it is."""
    return job_layout() + [("window_base", ADDRESS_BITS), ("window_limit", ADDRESS_BITS), ("ticket", TICKET_BITS)]


class JobQueue(LiteXModule):
    """Holds the job that runs and `jobs_waiting` more: one in flip-flops, more than that in LUT RAM of 16 places.

    Without places, and so without what they cost, a job can be submitted when none runs.

    sink     `submission_layout()`, taken when there is room; in the engine's hands two cycles later (one without
             places) when none waits
    source   `submission_layout()`, the job that runs, held until it is taken
    ticket   i: the ticket that the job which runs must have
    waiting  o: jobs wait
    damaged  o: the job that runs is not the one that was submitted, from the second cycle after the upset until it has
             left: whether there is a job is kept twice, its fields named in PROTECTED with their parity, and it must
             have its ticket: no job is run twice, left out, or put before another

    A wrong value in one of the other fields gives rows of other elements, each with its exact sum, at their places.
    """

    def __init__(self, jobs_waiting=JOBS_WAITING):
        self.sink = sink = stream.Endpoint(submission_layout())
        self.source = source = stream.Endpoint(submission_layout())
        self.ticket = Signal(TICKET_BITS)
        self.waiting = Signal()
        self.damaged = Signal()

        # # #

        def protected(job):
            return parity(*[getattr(job, name) for name in PROTECTED])

        # The parity is formed here and goes through the queue with the job.
        self.queue = queue = stream.SyncFIFO([*submission_layout(), ("parity", 1)], jobs_waiting)
        twin = Signal()
        stored = Signal()  # the parity
        take = Signal()
        self.comb += [
            sink.connect(queue.sink),
            queue.sink.parity.eq(protected(sink)),
            take.eq(~source.valid & ~twin | source.ready),
            queue.source.ready.eq(take),
            self.waiting.eq(queue.source.valid),
        ]
        self.sync += [
            If(take,
                source.valid.eq(queue.source.valid),
                twin.eq(queue.source.valid),
                *[getattr(source, name).eq(getattr(queue.source, name)) for name, _ in submission_layout()],
                stored.eq(queue.source.parity)
            ),
            self.damaged.eq(~source.ready & (
                (source.valid != twin)
                | source.valid & ((stored != protected(source)) | (source.ticket != self.ticket))
            )),
        ]


def _is_one_of(signal, codes):
    return Reduce("OR", [signal == code for code in codes]) if codes else C(0)


class JobCheck(LiteXModule):
    """Tells, combinationally, whether a job can run on this core, and what its rows look like in memory.

    job         i: a Record of `job_layout()`
    code        o: OK, or the first reason why not; an address outside of the window is found later, by the access
    wide_in     o: input elements are 16 bits, not 8
    wide_out    o: output elements are 16 bits, not 8
    words_in, words_out, words_weights  o: bus words of one row, and of gamma or beta
    stride_in, stride_out               o: bus words from row to row
    """

    def __init__(self, config, job, data_width):
        word_bytes = data_width // 8
        shift = log2_int(word_bytes)
        words_bits = bits_for(max_row_words(config, data_width))

        self.code = Signal(STATUS_BITS)
        self.wide_in = Signal()
        self.wide_out = Signal()
        self.words_in = Signal(words_bits)
        self.words_out = Signal(words_bits)
        self.words_weights = Signal(words_bits)
        self.stride_in = Signal(ADDRESS_BITS - shift)
        self.stride_out = Signal(ADDRESS_BITS - shift)

        # # #

        # Rows in memory --------------------------------------------------------------------------------------
        wide_format = _is_one_of(job.format, [f.code for f in FORMATS.values() if f.bits == 16])
        self.comb += [
            self.wide_in.eq(_is_one_of(job.input, [i for i, bits in enumerate(c.INPUTS.values()) if bits == 16])),
            self.wide_out.eq(Mux(job.op == SOFTMAX, wide_format, ~job.affine | job.output)),
        ]
        for words, wide in ((self.words_in, self.wide_in), (self.words_out, self.wide_out), (self.words_weights, C(1))):
            row_bytes = Signal(LENGTH_BITS + 2)
            self.comb += [
                row_bytes.eq(Mux(wide, job.length << 1, job.length) + (word_bytes - 1)),
                words.eq(row_bytes >> shift),
            ]
        self.comb += [
            self.stride_in.eq(Mux(job.src_stride == 0, self.words_in, job.src_stride >> shift)),
            self.stride_out.eq(Mux(job.dst_stride == 0, self.words_out, job.dst_stride >> shift)),
        ]

        # Checks ----------------------------------------------------------------------------------------------
        bad_op = ~_is_one_of(job.op, [c.OPS.index(name) for name in config.ops])
        bad_input = ~_is_one_of(job.input, [list(c.INPUTS).index(name) for name in config.inputs])
        bad_affine = job.affine & ((job.op == SOFTMAX) | int(not config.has_affine))
        bad_mask = (job.mask_base != 0) & int(not config.masks)
        bad_eps = (job.op != SOFTMAX) & (job.eps != 0) & int(not config.eps)
        bad_format = (job.op == SOFTMAX) & ~_is_one_of(job.format, [FORMATS[name].code for name in config.formats])
        low_bits = [job.src, job.dst, job.src_stride, job.dst_stride]
        weights = [job.gamma, job.beta]
        self.comb += [
            If(bad_op | bad_input | bad_affine | bad_mask | bad_eps,
                self.code.eq(int(Status.BAD_OP))
            ).Elif(bad_format,
                self.code.eq(int(Status.BAD_FORMAT))
            ).Elif((job.length == 0) | (job.length > config.max_length),
                self.code.eq(int(Status.BAD_LENGTH))
            ).Elif(job.rows == 0,
                self.code.eq(int(Status.BAD_ROWS))
            ).Elif(
                Reduce("OR", [a[:shift] != 0 for a in low_bits])
                | (job.affine & Reduce("OR", [a[:shift] != 0 for a in weights])),
                self.code.eq(int(Status.BAD_ALIGNMENT))
            )
        ]


def max_row_words(config, data_width):
    """Bus words of the longest row that a core may read or write."""
    return -(-2 * config.max_length // (data_width // 8))


class RowLengths(LiteXModule):
    """Valid elements of each row: min(length, base + (r mod period) * increment) for r = 0, 1, 2, ...

    base 0: all rows are valid in full. period 0: the count of rows never starts again. Causal attention of heads x N
    rows has base 1, increment 1, period N; padding to n valid elements has base n, increment 0.

    job    i: a Record of `job_layout()`, constant while rows are under way
    load   i: go to row 0 of the job that is there
    next   i, pulse: go on to the next row
    valid  o: valid elements of the current row, 1 to length; a register, for the core compares with it
    damaged  o: a cycle ago a register of this unit held something else than was written to it
    """

    def __init__(self, job, length_bits):
        self.load = Signal()
        self.next = Signal()
        self.valid = Signal(length_bits)
        self.damaged = Signal()

        # # #

        row = Signal(LENGTH_BITS)  # r mod period
        limit = Signal(LENGTH_BITS)  # base + row * increment, before it is cut to length
        following = Signal(LENGTH_BITS + 1)
        restart = Signal()
        next_row = Signal(LENGTH_BITS)
        next_limit = Signal(LENGTH_BITS)
        stored = Signal()  # the parity

        def cut(limit):
            return Mux((job.mask_base == 0) | (limit > job.length), job.length, limit)

        self.comb += [
            following.eq(limit + job.mask_increment),
            restart.eq(self.load | ((job.mask_period != 0) & (row == job.mask_period - 1))),
            next_row.eq(row + 1),
            # It never decreases within a period, so above every length it may as well stand still.
            next_limit.eq(Mux(following[LENGTH_BITS], 2**LENGTH_BITS - 1, following)),
            If(restart,
                next_row.eq(0),
                next_limit.eq(job.mask_base)
            ),
        ]
        self.sync += [
            If(self.load | self.next,
                row.eq(next_row),
                limit.eq(next_limit),
                stored.eq(parity(next_row, next_limit)),
                self.valid.eq(cut(next_limit))
            ),
            self.damaged.eq((stored != parity(row, limit)) | (self.valid != cut(limit))),
        ]
