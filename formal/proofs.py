# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Every proof: what it shows, on which widths, how, and the planted bugs that it must find."""

from dataclasses import dataclass, field

from litenorm.formal import widths
from litenorm.formal.edits import Assign, Edit

METHODS = ("induction", "bounded", "pdr", "structure", "lemma", "exhaustive")


@dataclass(frozen=True)
class Proof:
    """One proof.

    name        short name, as in `python -m litenorm.formal NAME`
    shows       the property in plain words
    widths      the widths it was shown for
    build       "file:class" in this folder; called with `arguments` it returns a Harness, for lemmas SMT-LIB text or a
                verdict
    method      induction   k-induction: runs of any length (z3)
                bounded     every run of `depth` cycles from reset (ABC unrolls, CaDiCaL proves)
                pdr         runs of any length, invariants found by IC3/PDR (ABC)
                structure   no path without a register (Yosys)
                lemma       an arithmetic formula (z3)
                exhaustive  every case is tried
    bugs        planted bugs, {name: Edit}: with each of them the proof must fail, with a counterexample. None: the
                lemma itself is given an error
    depth       cycles; of the induction: k
    bug_depth   cycles in which the counterexample of a planted bug is looked for
    edits       reduced widths
    quick       belongs to the short run
    """

    name: str
    shows: str
    widths: str
    build: str
    method: str
    bugs: dict
    arguments: dict = field(default_factory=dict)
    depth: int = 0
    bug_depth: int = 24
    edits: tuple = ()
    quick: bool = False

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"{self.name}: method {self.method!r}; good: {', '.join(METHODS)}")
        if not self.bugs:
            raise ValueError(f"{self.name}: no planted bug; a proof needs one that it finds")


BUFFERS = "accel/buffers.py"
CORE = "accel/core.py"
DIVIDER = "accel/divider.py"
DMA = "soc/dma.py"
ENGINE = "soc/engine.py"
EXPONENTIAL = "accel/exponential.py"
GEARBOX = "soc/gearbox.py"
JOB = "soc/job.py"
NORMALIZER = "accel/normalizer.py"
REQUANTIZE = "accel/requantize.py"
ROW_CONSTANTS = "accel/row_constants.py"
STATISTICS = "accel/statistics.py"
VARIANCE = "accel/variance.py"

NO_EQUAL = {
    "an equal divisor is not subtracted": Edit(DIVIDER, ".eq(shifted >= multiple)", ".eq(shifted > multiple)")}
NO_EQUAL_ROOT = {
    "an equal trial is not subtracted": Edit(DIVIDER, "bit.eq(shifted >= trial)", "bit.eq(shifted > trial)")}
NO_SEED = {"no half ulp in the seed": Edit(NORMALIZER, "seed = 1 << (fb - 1)", "seed = 0")}
NOT_SPELLED_OUT = {
    "a last peak is not spelled out": Edit(ROW_CONSTANTS, "source.ends.eq(ends)", "source.ends.eq(0)")}
SLACK = Assign(BUFFERS, "BUFFER_SLACK", "10")

ARITHMETIC = [
    Proof(
        "divider", "divisor * quotient + remainder is the dividend so far, 0 <= remainder < divisor",
        "33 by 18 bits (full: R and A)", "division:DividerProof", "induction", NO_EQUAL,
        dict(divisor_bits=33, quotient_bits=18, steps=2), depth=1,
    ),
    Proof(
        "divider_short_rows", "the same, 3 bits a cycle", "33 by 18 bits (full: R and A with short_rows)",
        "division:DividerProof", "induction", NO_EQUAL,
        dict(divisor_bits=33, quotient_bits=18, steps=3, together=3), depth=1,
    ),
    Proof(
        "divider_mean", "the same", "11 by 24 bits (full: half of the mean)", "division:DividerProof", "induction",
        NO_EQUAL, dict(divisor_bits=11, quotient_bits=24, steps=3, together=3), depth=1, bug_depth=30,
    ),
    Proof(
        "divider_mean_short_rows", "the same, 4 bits a cycle", "11 by 24 bits (full: half of the mean)",
        "division:DividerProof", "induction", NO_EQUAL,
        dict(divisor_bits=11, quotient_bits=24, steps=4, together=4), depth=1, bug_depth=30,
    ),
    Proof(
        "divider_multiplied", "the same, against a multiplication", "6 by 8 bits", "division:DividerProof", "induction",
        NO_EQUAL | {"one step too few": Edit(
            DIVIDER, "count.eq(quotient_bits // steps)", "count.eq(quotient_bits // steps - 1)")},
        dict(divisor_bits=6, quotient_bits=8, steps=2, multiply=True), depth=1, quick=True,
    ),
    Proof(
        "square_root", "root^2 + remainder is the value so far, 0 <= remainder <= 2 root", "36 bits (full: D)",
        "division:SquareRootProof", "induction", NO_EQUAL_ROOT, dict(root_bits=18, steps=2), depth=1,
    ),
    Proof(
        "square_root_lower", "the same, behind a root of the upper half",
        "36 bits, 20 of them before (full: D with short_rows)", "division:SquareRootProof", "induction",
        NO_EQUAL_ROOT, dict(root_bits=8, steps=2, upper_bits=10), depth=1,
    ),
    Proof(
        "square_root_multiplied", "the same, against a multiplication", "12 bits", "division:SquareRootProof",
        "induction", NO_EQUAL_ROOT, dict(root_bits=6, steps=2, multiply=True), depth=1, quick=True,
    ),
    Proof(
        "square_root_halves_multiplied", "the same, behind the upper half", "8 bits, half of the root before",
        "division:SquareRootProof", "induction", NO_EQUAL_ROOT | {"the remainder before is lost": Edit(
            DIVIDER, "self.upper_remainder if upper_bits else 0", "0")},
        dict(root_bits=2, steps=1, upper_bits=2, multiply=True), depth=1, quick=True,
    ),
    Proof(
        "digit_product", "product = seed moved up + factor * digits, however many come", "6 by 10 bits",
        "division:DigitProductProof", "induction",
        {"a multiple is another one": Edit(DIVIDER, "factor + (factor << 2)", "factor + (factor << 1)")},
        dict(factor_bits=6, digit_bits=3, product_bits=10), depth=1, quick=True,
    ),
    Proof(
        "variance", "V = N * sum(x^2) - (sum x)^2 + eps, and its latency", "sums of 5 and 7 bits in chunks of 3",
        "division:VarianceProof", "bounded",
        {
            "the cross product is not doubled": Edit(VARIANCE, "None, CHUNK + 1, True)", "None, CHUNK, True)"),
            "a square is added": Edit(VARIANCE, "(high, high) if len(high) else None, 0, True)",
                                      "(high, high) if len(high) else None, 0, False)"),
        },
        dict(length_bits=2, sum_bits=5, square_sum_bits=7, eps_bits=2, v_bits=10), depth=10,
        edits=(Assign(VARIANCE, "CHUNK", "3"),),
    ),
    Proof(
        "sum_shift", "value << count, top bit 1, nothing lost", "33 bits (full: S)", "division:LeadingShiftProof",
        "induction", {"takes a last 1 for a 0": Edit(
            DIVIDER, "width - group * i] == 0 if", "width - group * i] <= 1 if")},
        dict(width=33, unit=1, most=10), depth=4, quick=True,
    ),
    Proof(
        "variance_shift", "value << 2 count, top two bits not 00, nothing lost", "52 bits (full: V)",
        "division:LeadingShiftProof", "induction", {"takes a last 1 for a 0": Edit(
            DIVIDER, "width - group * i] == 0 if", "width - group * i] <= 1 if")},
        dict(width=52, unit=2, most=25), depth=4,
    ),
    Proof(
        "horner", "shift and add is multiplication", "all integers", "lemmas:horner", "lemma",
        {"adds twice": None}, quick=True,
    ),
]

SUMS = [
    *(Proof(
        f"telescoping_{lanes}", "outputs of a row add up to (seed + w_1 + .. + w_N) >> FB, any w, any N",
        f"29 bits (full), {lanes} lane{'s' * (lanes > 1)}", "telescoping:Telescoping", "induction",
        {
            "the fraction is dropped between beats": Edit(
                NORMALIZER, "Mux(starts | ~carry, seed, fraction)", "Mux(starts | ~carry, seed, 0)"),
            "the fraction is kept between rows": Edit(
                NORMALIZER, "Mux(starts | ~carry, seed, fraction)", "Mux(~carry, seed, fraction)"),
            "the cap drops its 1 between beats": Edit(NORMALIZER, "pending.eq(full[-1])", "pending.eq(0)"),
            **({"a prefix sum takes the wrong lane": Edit(
                NORMALIZER, "w[(j // level) * level - 1]", "w[j - 1]")} if lanes > 2 else {}),
        },
        dict(lanes=lanes), depth=1, quick=lanes == 1,
    ) for lanes in (1, 2, 4)),
    Proof(
        "floors", "N truncations take less than N units of 2^-FB, by induction over N", "all integers, shifts to 40",
        "lemmas:floors", "lemma", {"one unit less is lost": None}, quick=True,
    ),
    Proof(
        "softmax_total", "C_N = T: reciprocal's error and truncations stay below the seed's half ulp",
        "full, 5 formats, N to 4096", "lemmas:softmax_total", "lemma", {"rows of twice the length": None}, quick=True,
    ),
    Proof(
        "layernorm_zero", "C_N = 0: B's rounding, mean's and products' truncation stay below half an ulp",
        "full, N to 1024", "lemmas:layernorm_zero", "lemma", {"rows of four times the length": None}, quick=True,
    ),
    Proof(
        "cap_rule", "a last element takes all of T only in rows that are spelled out", "full, every S, N to 4096",
        "lemmas:cap_rule", "exhaustive", {"half the limit": None}, quick=True,
    ),
    Proof(
        "softmax_row_3", "codes of every row add up to T: any exponentials, 5 formats; codes in range",
        "T to 2^4, e 5 bits, N to 3", "sums:SoftmaxRow", "bounded",
        NO_SEED | NOT_SPELLED_OUT | {"R is one too large, and its largest value 0": Edit(
            ROW_CONSTANTS, "source.gain.eq(quotient)", "source.gain.eq(quotient + 1)")},
        dict(lanes=1, max_length=3), depth=30, bug_depth=30, edits=widths.softmax(4, 5, 3), quick=True,
    ),
    Proof(
        "softmax_row_4", "the same", "T to 2^3, e 4 bits, N to 4", "sums:SoftmaxRow", "bounded",
        NO_SEED | NOT_SPELLED_OUT, dict(lanes=2, max_length=4), depth=30, bug_depth=30, edits=widths.softmax(3, 4, 3),
    ),
    Proof(
        "softmax_row_6", "the same", "T to 2^3, e 4 bits, N to 6", "sums:SoftmaxRow", "bounded",
        NO_SEED | NOT_SPELLED_OUT, dict(lanes=2, max_length=6), depth=30, bug_depth=30, edits=widths.softmax(3, 4, 3),
    ),
    Proof(
        "layernorm_row_2", "outputs of every row add up to 0: any elements and eps", "x 3 bits, A 6 bits, N to 2",
        "sums:LayerNormRow", "bounded",
        {"the mean is that of a sum one larger": Edit(
            ROW_CONSTANTS, "offset_sum.eq(variance.sum_x + Cat(", "offset_sum.eq(variance.sum_x + 1 + Cat(")},
        dict(lanes=1, max_length=2), depth=50, bug_depth=50, edits=widths.layernorm(3, 2, 6, 11, 2), quick=True,
    ),
    Proof(
        "layernorm_row_4", "the same", "x 2 bits, A 6 bits, N to 4", "sums:LayerNormRow", "bounded",
        NO_SEED, dict(lanes=2, max_length=4), depth=50, bug_depth=50, edits=widths.layernorm(2, 4, 6, 12, 2),
    ),
    Proof(
        "layernorm_row_8", "the same, eps 0 or 1", "x 2 bits, A 8 bits, N to 8", "sums:LayerNormRow", "bounded",
        NO_SEED, dict(lanes=4, max_length=8, eps_limit=2), depth=50, bug_depth=50,
        edits=widths.layernorm(2, 8, 8, 12, 1),
    ),
    Proof(
        "core_softmax_4", "whole core, two rows of any logits, scale, format: each adds up to T",
        "x 3 bits, T to 2^4, N 3, 4", "sums:CoreRow", "bounded",
        {"S keeps only the last beat": Edit(
            EXPONENTIAL, ".Else(total.eq(total + beat_sum))", ".Else(total.eq(beat_sum))")},
        dict(op="softmax", lanes=2, max_length=4), depth=75, bug_depth=60,
        edits=(*widths.softmax(4, 5, 3), *widths.exp2(3, 3, 3, 3, 1), SLACK),
    ),
    Proof(
        "core_softmax_8", "the same, one format (T = 2^b)", "x 2 bits, T 2^3, N 5 to 8", "sums:CoreRow", "bounded",
        {"S keeps only the last beat": Edit(
            EXPONENTIAL, ".Else(total.eq(total + beat_sum))", ".Else(total.eq(beat_sum))")},
        dict(op="softmax", lanes=4, max_length=8, formats=("tfl_s16",)), depth=75, bug_depth=60,
        edits=(*widths.softmax(3, 4, 3), *widths.exp2(2, 2, 3, 2, 1), SLACK),
    ),
]

NO_STALL = {"the pipeline does not stall": Edit(NORMALIZER, "ce.eq(source.ready | ~valid)", "ce.eq(1)")}
STREAMS = [
    Proof(
        "normalizer_stream", "beats stay until taken, none lost or doubled; a stall changes no register",
        "full, 4 lanes", "pipelines:NormalizerStreams", "induction", NO_STALL, dict(lanes=4), depth=1, bug_depth=30,
        quick=True,
    ),
    Proof(
        "exponential_stream", "no beat, no sum is lost or doubled: the queues have room for all that is on its way",
        "full datapath, 4 lanes, 12 beats", "pipelines:ExpStreams", "induction",
        {"a beat enters without room for what is on its way": Edit(
            EXPONENTIAL, "buffer.level <= buffer.depth - in_flight", "buffer.level <= buffer.depth - 1")},
        dict(lanes=4, max_length=8, depth=12), depth=1, bug_depth=40, quick=True,
    ),
    Proof(
        "statistics_stream", "each beat is stored, one record a row with its own params", "full, 4 lanes",
        "pipelines:StatisticsStreams", "induction",
        {"a row enters without room for what is on its way": Edit(
            STATISTICS, "q.level <= RECORDS - in_flight", "q.level <= RECORDS - 1"),
         "params leave without their row": Edit(
            STATISTICS, "params.source.ready.eq(complete)", "params.source.ready.eq(1)")},
        dict(lanes=4), depth=1, bug_depth=40, quick=True,
    ),
    Proof(
        "requantize_stream", "beats stay until taken, none lost or doubled", "full, 1 lane",
        "pipelines:RequantizeStreams", "pdr", {"takes beats while it stalls": Edit(
            REQUANTIZE, "sink.ready.eq(ce)", "sink.ready.eq(1)")}, dict(lanes=1, max_length=4),
    ),
    Proof(
        "row_constants_stream", "one result a row, in order, unchanged until taken; no unit is started too early",
        "full, N to 8", "pipelines:RowConstantsStreams", "induction",
        {"the next division begins before the result is taken": Edit(
            ROW_CONSTANTS, "free.eq(~dividing | (source.valid & source.ready))", "free.eq(~dividing | source.valid)"),
         "a softmax row overtakes": Edit(ROW_CONSTANTS, "sums.valid & self.norms_idle &", "sums.valid &")},
        dict(max_length=8), depth=1, bug_depth=64, quick=True,
    ),
    *(Proof(
        f"unpack_stream_{lanes}", "each row its beats; element i of the words is element i of the beats",
        f"16 bits, {lanes} lane{'s' * (lanes > 1)}, N to 15", "pipelines:UnpackStreams",
        "bounded",
        {"words are taken while a beat waits": Edit(
            GEARBOX, "sink.ready.eq(~source.valid | source.ready)", "sink.ready.eq(1)", 2)} if lanes > 1 else
        {"a word is not left behind its last beat": Edit(
            GEARBOX, "index.eq(Mux(sink.ready, 0, index + 1))", "index.eq(index + 1)", 2)},
        dict(data_width=16, lanes=lanes), depth=20,
    ) for lanes in (1, 2)),
    Proof(
        "held_stream", "beats stay until taken, in order, none lost, doubled or called damaged", "full, 4 lanes",
        "pipelines:HeldStreams", "induction",
        {"a beat's last is lost": Edit(
            GEARBOX, "sink.connect(place.sink),", 'sink.connect(place.sink, omit={"last"}),'),
         "last is not in the parity": Edit(
            GEARBOX, "parity.eq(parity(sink.data, sink.last))", "parity.eq(parity(sink.data))")},
        dict(lanes=4), depth=1, quick=True,
    ),
    *(Proof(
        f"pack_stream_{lanes}", "each row its words; element i of the beats is written as element i, nothing behind it",
        f"16 bits, {lanes} lane{'s' * (lanes > 1)}, N to 15", "pipelines:PackStreams", "pdr",
        {"all bytes of a row's last word are written": Edit(
            GEARBOX, "source.sel[b].eq(~source.last | inside)", "source.sel[b].eq(1)")},
        dict(data_width=16, lanes=lanes),
    ) for lanes in (1, 2)),
    *(Proof(
        f"{kind}_{registers}", f"order, room and level of {whose} queues", f"depth 4, {registers} output registers",
        "pipelines:FifoStreams", "pdr",
        {"a neighbour writes without room": Edit(
            "formal/pipelines.py", "room = dut.sink.ready\n", "room = Constant(1)\n")},
        dict(own=kind == "queue", depth=4, registers=registers),
    ) for kind, whose, registers in (("fifo", "the DMA's", 0), ("fifo", "the DMA's", 1), ("queue", "the core's", 0),
                                     ("queue", "the core's", 1), ("queue", "the core's", 2))),
    Proof(
        "reader_fifo", "a burst never overflows the FIFO behind the bus", "bursts of 2", "pipelines:DmaStreams", "pdr",
        {"bursts begin without room": Edit(
            DMA, "burster.permit.eq(fifo.level <= burst_length)", "burster.permit.eq(fifo.level <= burst_length + 2)")},
        dict(write=False, burst_length=2), quick=True,
    ),
    Proof(
        "writer_fifo", "each word that is written was there", "bursts of 2, begun early with 1; 3 rows, 4 words",
        "pipelines:DmaStreams", "induction",
        {"a burst goes on when the queue is dry": Edit(
            DMA, "burster.dry.eq(dry)", "burster.dry.eq(0)"),
         "no place is kept for what comes meanwhile": Edit(
            DMA, "room.eq(fifo.level < depth - 2)", "room.eq(fifo.level <= depth)")},
        dict(write=True, burst_length=2), depth=1, edits=(Edit(DMA, "EARLY = 4", "EARLY = 1"),), quick=True,
    ),
    Proof(
        "core_stream", "the core's source keeps the rules; each beat that enters is stored",
        "full datapath, 2 lanes, N to 8", "pipelines:CoreStreams", "induction",
        {"a beat is stored twice when it has to wait": Edit(
            CORE, "statistics.sink.valid.eq(sink.valid & entry.ready)", "statistics.sink.valid.eq(sink.valid)")},
        dict(lanes=2, max_length=8), depth=1, bug_depth=60, edits=(SLACK,),
    ),
    *(Proof(
        f"{kind}_ready_path", "valid and payload do not depend on ready within a cycle", "full", "pipelines:ReadyPaths",
        "structure", {"valid waits for ready": edit}, dict(kind=kind, **arguments), quick=kind == "core",
    ) for kind, arguments, edit in (
        ("core", dict(lanes=2, max_length=8), Edit(
            REQUANTIZE, "source.valid.eq(valid)", "source.valid.eq(valid & ce)")),
        ("normalizer", {}, Edit(NORMALIZER, "source.valid.eq(valid)", "source.valid.eq(valid & ce)")),
        ("exponential", {}, Edit(
            EXPONENTIAL, "buffer.source.connect(source)",
            "buffer.source.connect(source, omit={'valid'}), source.valid.eq(buffer.source.valid & source.ready)")),
        ("row_constants", {}, Edit(ROW_CONSTANTS, "divider.done & whole)", "divider.done & whole & source.ready)")),
        ("unpack", dict(data_width=32, lanes=1, length_bits=11), Edit(
            GEARBOX, "source.valid.eq(sink.valid)", "source.valid.eq(sink.valid & source.ready)", 2)),
        ("pack", dict(data_width=32, lanes=4, length_bits=11), Edit(
            GEARBOX, "source.valid.eq(sink.valid)", "source.valid.eq(sink.valid & source.ready)", 2)),
    )),
]

WINDOW = [
    Proof(
        "dma_window", "every access lies inside the window, and belongs to a job: any job, memory, core",
        "32-bit addresses (full), bursts of 4", "dma:Window", "induction",
        {
            "a burst is not cut at the window's end": Edit(
                DMA, "Mux(headroom <= longest, headroom - 1, longest)", "longest"),
            "the window ends a word late": Edit(
                ENGINE, "end_byte.eq(self.window_limit + 1)", "end_byte.eq(self.window_limit + 4)"),
            "rows with gaps run on": Edit(DMA, "NextValue(gapless, transfer.stride == transfer.words)",
                                          "NextValue(gapless, 1)"),
            "the window moves under a job": Edit(
                ENGINE, "self.sync += If(~self.busy,\n            self.window_first",
                "self.sync += If(1,\n            self.window_first"),
        },
        dict(burst_length=4, lanes=4), depth=1, quick=True,
    ),
]

LIST = [*ARITHMETIC, *SUMS, *STREAMS, *WINDOW]
PROOFS = {proof.name: proof for proof in LIST}
