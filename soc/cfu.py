# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Custom instructions of VexRiscv for products of int8 matrices: 4 x 4 multiply-accumulates in one, and requantization.

    from litenorm.soc import add_cfu
    add_cfu(self)

`litenorm.soc.cfu_model` is the same in Python's integers, `firmware/cfu_model.c` in C.
"""

from litex.gen import *
from litex.soc.interconnect import stream
from migen import *

from litenorm.soc.cfu_model import (
    ARG_BITS,
    BIAS,
    FIRST,
    MAC_S8,
    MAC_U16,
    NEXT,
    OPERATION_BITS,
    READ,
    SCALE,
    START,
    TILE,
    UPPER,
    WIDE,
    constants,
)

ACCUMULATOR_BITS = 32
MULTIPLIER_BITS = 31
SHIFT_BITS = 6
RESULT_BITS = 16
KEPT_BITS = 34          # of a shifted product: more saturate whatever the rest of the shift is
PRODUCT_BITS = 17 + 8
RESULTS = TILE * TILE // 2  # words of s16

# Hardware ---------------------------------------------------------------------------------------------------------

class Cfu(LiteXModule):
    """4 x 4 accumulators in s32, and what makes s8 or s16 of them. Opcode custom-0, R format.

    A command is `function_id` = {funct7, funct3} with the two source registers; funct3 is the operation, funct7 its
    argument. For i, j from 0 to 3, all sums modulo 2^32:

        MAC_S8   acc[i][j] = base + a[i] * b[j]                         a: s8 bytes of rs1, b: s8 bytes of rs2
        MAC_U16  acc[r + i][j] = base + a[i] * b[j], i = 0, 1           a: u16 halves of rs1; r = 2 with UPPER, else 0
                 base = bias[j] with FIRST, else acc
        BIAS     bias[arg] = rs1
        SCALE    multiplier[arg] = rs1 (0 to 2^31 - 1), shift[arg] = rs2 (1 to 62)
        READ     rd = acc[arg / 4][arg % 4]
        START    for i, j in rows: clip((acc[i][j] * multiplier[j] + (1 << (shift[j] - 1))) >> shift[j]), a 64-bit
                 product, to s16 with WIDE, else s8; row by row, four s8 or two s16 to a word
        NEXT     rd = the next of these 4 or 8 words; 0 when there is none

    The other operations give 0 and change nothing; rd is 0 where nothing is said.

    cmd : sink, commands; ready depends on the operation.  rsp : source, rd of each command, in order.

    Latency: a command's response is valid in the cycle after it was taken, as VexRiscv's memory stage expects it, and a
    multiply-accumulate is taken in each cycle. BIAS, SCALE, READ and START wait, up to 2 cycles, for the products
    before them. `latency` cycles after START was taken the first s8 word can be taken by NEXT, the others 4 cycles
    apart (s16: two cycles before that, 2 apart). In the 16 cycles after START no other command but NEXT is taken.

    One multiplication a cell: 17 x 8 bits, 16 cells; requantization has one of 32 x 31 bits in two halves.
    """

    latency = 11

    def __init__(self):
        self.cmd = cmd = stream.Endpoint([("function_id", OPERATION_BITS + ARG_BITS), ("inputs_0", 32),
                                          ("inputs_1", 32)])
        self.rsp = rsp = stream.Endpoint([("outputs_0", 32)])

        # # #

        operation = Signal(OPERATION_BITS)
        arg       = Signal(ARG_BITS)
        accept    = Signal()
        self.comb += [
            operation.eq(cmd.function_id[:OPERATION_BITS]),
            arg.eq(cmd.function_id[OPERATION_BITS:]),
            accept.eq(cmd.valid & cmd.ready),
        ]

        # Multiply-accumulate ----------------------------------------------------------------------

        wide    = Signal()
        loaded  = Signal()      # the operands below are a command's
        first_1 = Signal()
        rows_1  = Signal(TILE)
        product = Signal()      # the products below are
        first_2 = Signal()
        rows_2  = Signal(TILE)
        self.comb += wide.eq(operation == MAC_U16)
        self.sync += [
            loaded.eq(accept & ((operation == MAC_S8) | wide)),
            first_1.eq(arg[FIRST]),
            If(wide,
                rows_1.eq(Mux(arg[UPPER], 0b1100, 0b0011)),
            ).Else(
                rows_1.eq(0b1111),
            ),
            product.eq(loaded),
            first_2.eq(first_1),
            rows_2.eq(rows_1),
        ]
        a = [Signal((17, True), name=f"a{i}") for i in range(TILE)]
        b = [Signal((8, True), name=f"b{j}") for j in range(TILE)]
        bias = [Signal((ACCUMULATOR_BITS, True), name=f"bias{j}") for j in range(TILE)]
        for i in range(TILE):
            byte = cmd.inputs_0[8*i:8*i + 8]
            half = cmd.inputs_0[16*(i % 2):16*(i % 2) + 16]
            self.sync += [
                If(wide, a[i].eq(half)).Else(a[i].eq(Cat(byte, Replicate(byte[7], 9)))),
                b[i].eq(cmd.inputs_1[8*i:8*i + 8]),
            ]
        acc = []
        for i in range(TILE):
            for j in range(TILE):
                ab    = Signal((PRODUCT_BITS, True),     name=f"product{i}{j}")
                value = Signal((ACCUMULATOR_BITS, True), name=f"acc{i}{j}")
                base  = Signal((ACCUMULATOR_BITS, True), name=f"base{i}{j}")
                acc.append(value)
                self.comb += base.eq(Mux(first_2, bias[j], value))
                self.sync += [
                    ab.eq(a[i]*b[j]),
                    If(product & rows_2[i], value.eq(base + ab)),
                ]

        # Columns ----------------------------------------------------------------------------------

        multiplier = [Signal(MULTIPLIER_BITS, name=f"multiplier{j}") for j in range(TILE)]
        shift      = [Signal(SHIFT_BITS,      name=f"shift{j}")      for j in range(TILE)]
        for j in range(TILE):
            self.sync += If(accept & (arg[:2] == j),
                If(operation == BIAS, bias[j].eq(cmd.inputs_0)),
                If(operation == SCALE,
                    multiplier[j].eq(cmd.inputs_0),
                    shift[j].eq(cmd.inputs_1 - 1),      # what is left of it before the last bit, which rounds
                ),
            )

        # Requantization: an accumulator enters in each cycle ----------------------------------------

        start   = Signal()
        turn    = Signal(4)     # accumulator that enters
        enter   = Signal()
        as_s16  = Signal()
        self.comb += start.eq(accept & (operation == START))
        self.sync += [
            turn.eq(turn + enter),
            If(turn == TILE*TILE - 1, enter.eq(0)),
            If(start, enter.eq(1), turn.eq(0), as_s16.eq(arg[WIDE])),
        ]
        chosen   = Signal((ACCUMULATOR_BITS, True))
        selected = Signal((ACCUMULATOR_BITS, True))     # acc
        factor   = Signal(MULTIPLIER_BITS)
        amount   = [Signal(SHIFT_BITS, name=f"amount{n}") for n in range(4)]
        low      = Signal((ACCUMULATOR_BITS + 17, True))    # acc times the lower 16 bits of the multiplier
        high     = Signal((ACCUMULATOR_BITS + 16, True))    # and times the others
        factor_l = Signal((17, True))
        factor_h = Signal((16, True))
        whole    = Signal((64, True))
        total    = Signal((64, True))
        coarse   = Signal((64, True))       # shifted by 0, 16, 32 or 48
        kept     = Signal((KEPT_BITS, True))
        fine     = Signal((KEPT_BITS, True))
        rounded  = Signal((KEPT_BITS + 1, True))
        nearest  = Signal((KEPT_BITS, True))
        result   = Signal((RESULT_BITS, True))
        limit    = Signal((RESULT_BITS, True))
        least    = Signal((RESULT_BITS, True))
        fits     = Signal()
        index    = Signal(4)
        self.comb += [
            index.eq(Mux(enter, turn, arg[:4])),
            chosen.eq(Array(acc)[index]),
            factor_l.eq(factor[:16]),
            factor_h.eq(factor[16:]),
            whole.eq(high << 16),
            Case(amount[2][4:], {n: coarse.eq(total >> 16*n) for n in range(4)}),
            fits.eq((coarse[KEPT_BITS - 1:] == 0) | (~coarse[KEPT_BITS - 1:] == 0)),
            rounded.eq(fine + 1),
            nearest.eq(rounded[1:]),
            limit.eq(Mux(as_s16, 2**15 - 1, 2**7 - 1)),
            least.eq(Mux(as_s16, -2**15, -2**7)),
        ]
        self.sync += [
            # 1
            selected.eq(chosen),
            factor.eq(Array(multiplier)[turn[:2]]),
            amount[0].eq(Array(shift)[turn[:2]]),
            # 2
            low.eq(selected*factor_l),
            high.eq(selected*factor_h),
            amount[1].eq(amount[0]),
            # 3
            total.eq(whole + low),
            amount[2].eq(amount[1]),
            # 4
            If(fits,
                kept.eq(coarse),
            ).Else(
                kept.eq(Cat(Replicate(~coarse[63], KEPT_BITS - 1), coarse[63])),
            ),
            amount[3].eq(amount[2]),
            # 5
            fine.eq(kept >> amount[3][:4]),
            # 6
            If(nearest > limit, result.eq(limit)).Elif(nearest < least, result.eq(least)).Else(result.eq(nearest)),
        ]
        stages = 6
        under_way = Signal(stages)
        self.sync += under_way.eq(Cat(enter, under_way))

        # Results ----------------------------------------------------------------------------------

        # The words of a START; positions have a bit more, so that all of them differ from none.
        words = [Signal(32, name=f"word{n}") for n in range(RESULTS)]
        count = Signal(5)   # results that are there
        taken = Signal(4)   # words that are
        there = Signal(4)
        self.comb += If(as_s16, there.eq(count[1:])).Else(there.eq(count[2:]))
        for n in range(RESULTS):
            for part in range(4):
                self.sync += If(under_way[-1] & ~as_s16 & (count == 4*n + part), words[n][8*part:8*part + 8].eq(result))
            for part in range(2):
                self.sync += If(under_way[-1] & as_s16 & (count == 2*n + part),
                    words[n][16*part:16*part + 16].eq(result))
        self.sync += [
            If(under_way[-1], count.eq(count + 1)),
            If(accept & (operation == NEXT) & (taken != there), taken.eq(taken + 1)),
            If(start, count.eq(0), taken.eq(0)),
        ]

        # Response ---------------------------------------------------------------------------------

        working = Signal()      # more results will come
        ready   = Signal()
        value   = Signal(32)
        self.comb += [
            working.eq(enter | (under_way != 0)),
            ready.eq(~enter & ~loaded & ~product),
            Case(operation, {
                MAC_S8    : ready.eq(~enter),
                MAC_U16   : ready.eq(~enter),
                START     : ready.eq(~working & ~loaded & ~product),
                NEXT      : ready.eq((taken != there) | ~working),
            }),
            cmd.ready.eq(ready & (~rsp.valid | rsp.ready)),
            Case(operation, {
                READ      : value.eq(chosen),
                NEXT      : If(taken != there, value.eq(Array(words)[taken[:3]])),
            }),
        ]
        self.sync += [
            If(rsp.ready, rsp.valid.eq(0)),
            If(accept, rsp.valid.eq(1), rsp.outputs_0.eq(value)),
        ]

# Integration ------------------------------------------------------------------------------------------------------

def add_cfu(soc):
    """Give the SoC's VexRiscv the custom instructions of Cfu, and tell its firmware in the generated headers.

    soc  LiteX SoC with a VexRiscv of variant standard or full, before it is finalized; the variant becomes full+cfu
    returns the Cfu

    Software switches the instructions on with bit 31 of CSR 0xbc0; before that they are illegal. Their state is one for
    all: an interrupt handler must not use them.

    Raises ValueError for another CPU or variant. LiteX's own `cpu_variant="full+cfu"` wants a Verilog file; here the
    instructions are a module of the SoC.
    """
    cpu = soc.cpu
    variant = getattr(cpu, "variant", None)
    if getattr(cpu, "name", None) != "vexriscv" or variant not in ("standard", "full"):
        raise ValueError(f"the CPU is {getattr(cpu, 'name', cpu)} {variant}; good: vexriscv standard or full")
    cfu = Cfu()
    soc.add_module(name="cfu", module=cfu)
    cpu.variant = "full+cfu"
    cpu.human_name = cpu.variants[cpu.variant]
    cpu.cpu_params.update(
        o_CfuPlugin_bus_cmd_valid               = cfu.cmd.valid,
        i_CfuPlugin_bus_cmd_ready               = cfu.cmd.ready,
        o_CfuPlugin_bus_cmd_payload_function_id = cfu.cmd.function_id,
        o_CfuPlugin_bus_cmd_payload_inputs_0    = cfu.cmd.inputs_0,
        o_CfuPlugin_bus_cmd_payload_inputs_1    = cfu.cmd.inputs_1,
        i_CfuPlugin_bus_rsp_valid               = cfu.rsp.valid,
        o_CfuPlugin_bus_rsp_ready               = cfu.rsp.ready,
        i_CfuPlugin_bus_rsp_payload_outputs_0   = cfu.rsp.outputs_0,
    )
    # What the headers say of the CPU was taken from the variant that it had.
    del soc.constants[f"CONFIG_CPU_VARIANT_{variant.upper()}"]
    soc.add_config("CPU_VARIANT_FULL")
    soc.constants["CONFIG_CPU_HUMAN_NAME"] = cpu.human_name
    for key, number in constants().items():
        soc.add_constant(key, number)
    return cfu
