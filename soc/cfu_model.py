# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""What soc/cfu.py computes, in Python's integers, and the codes of its operations. Imports no LiteX."""

TILE = 4                # rows and columns of accumulators

OPERATION_BITS = 3      # funct3
ARG_BITS = 7            # funct7

# Operations: funct3.
FUNCTIONS = ("MAC_S8", "MAC_U16", "BIAS", "SCALE", "READ", "START", "NEXT")
MAC_S8, MAC_U16, BIAS, SCALE, READ, START, NEXT = range(len(FUNCTIONS))

# Bits of their arguments: funct7.
FIRST = 0               # of MAC_S8 and MAC_U16: from the bias on
UPPER = 1               # of MAC_U16: rows 2 and 3
WIDE = 0                # of START: s16


def constants():
    """What the firmware has to know, name to value, as in `soc.h`."""
    codes = {f"CFU_{name}": code for code, name in enumerate(FUNCTIONS)}
    return {"CFU_INT8": 1} | codes | {"CFU_FIRST": 1 << FIRST, "CFU_UPPER": 1 << UPPER, "CFU_WIDE": 1 << WIDE}


def write_header(folder):
    """Write the constants, and nothing else, to generated/soc.h in `folder`, a Path: for tests of C without a SoC."""
    header = folder / "generated/soc.h"
    header.parent.mkdir(exist_ok=True)
    header.write_text("".join(f"#define {name} {value}\n" for name, value in constants().items()))


def signed(value, bits):
    """The lower bits of an integer as a two's complement number."""
    return (value & ((1 << bits) - 1)) - ((value << 1) & (1 << bits))


def requantize(acc, multiplier, shift, bits):
    """clip((acc * multiplier + (1 << (shift - 1))) >> shift) to `bits` bits, exact."""
    value = (acc * multiplier + (1 << (shift - 1))) >> shift
    return min(max(value, -(1 << (bits - 1))), (1 << (bits - 1)) - 1)


class CfuModel:
    """The state of soc.cfu.Cfu after reset: `run` takes a command and returns rd, an unsigned 32-bit number."""

    def __init__(self):
        self.acc = [[0] * TILE for _ in range(TILE)]
        self.bias = [0] * TILE
        self.multiplier = [0] * TILE
        self.shift = [1] * TILE
        self.words = []

    def run(self, operation, arg, rs1=0, rs2=0):
        """operation: one of the codes above; arg: 0 to 127; rs1, rs2: 32-bit numbers."""
        if operation in (MAC_S8, MAC_U16):
            self.multiply(operation, arg, rs1, rs2)
        elif operation == BIAS:
            self.bias[arg % TILE] = signed(rs1, 32)
        elif operation == SCALE:
            self.multiplier[arg % TILE] = rs1 & ((1 << 31) - 1)
            self.shift[arg % TILE] = rs2 & 63
        elif operation == READ:
            return self.acc[arg // TILE % TILE][arg % TILE] & 0xFFFFFFFF
        elif operation == START:
            self.start(16 if arg >> WIDE & 1 else 8)
        elif operation == NEXT and self.words:
            return self.words.pop(0)
        return 0

    def multiply(self, operation, arg, rs1, rs2):
        rows, a = range(TILE), [signed(rs1 >> 8 * i, 8) for i in range(TILE)]
        if operation == MAC_U16:
            rows, a = (range(2, TILE) if arg >> UPPER & 1 else range(2)), [rs1 & 0xFFFF, rs1 >> 16 & 0xFFFF]
        for i, factor in zip(rows, a, strict=True):
            base = self.bias if arg >> FIRST & 1 else self.acc[i]
            self.acc[i] = [signed(base[j] + factor * signed(rs2 >> 8 * j, 8), 32) for j in range(TILE)]

    def start(self, bits):
        results = [requantize(value, m, s, bits) for row in self.acc
                   for value, m, s in zip(row, self.multiplier, self.shift, strict=True)]
        step = 32 // bits
        self.words = [sum((results[n + k] & ((1 << bits) - 1)) << bits * k for k in range(step))
                      for n in range(0, len(results), step)]
