/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * Custom instructions of the CPU for products of int8 matrices, specified in litenorm.soc.cfu.
 *
 * CFU_INT8 is defined when the SoC's headers say that its CPU has them. What is compiled for another machine, with such
 * headers, calls their model in C instead (cfu_model.c).
 */

#ifndef LITENORM_CFU_H
#define LITENORM_CFU_H

#include <stdint.h>

#ifdef __has_include
#if __has_include(<generated/soc.h>)
#include <generated/soc.h>
#endif
#endif

#ifdef CFU_INT8

/** State of the model; all 0 is the state after reset. */
struct cfu_model {
	int32_t acc[4][4];
	int32_t bias[4];
	int32_t multiplier[4];
	uint32_t shift[4];
	uint32_t words[8];
	uint32_t count; /**< of words, from the last START */
	uint32_t taken;
};

/** rd of one instruction. */
uint32_t cfu_model(struct cfu_model *cfu, uint32_t operation, uint32_t arg, uint32_t rs1, uint32_t rs2);

#ifdef __riscv

#define CFU_STRING_(text) #text
#define CFU_STRING(text) CFU_STRING_(text)

/** One instruction as text, for asm: operation and argument are constants, the others registers. */
#define CFU_TEXT(operation, arg, rd, rs1, rs2) \
	".insn r CUSTOM_0, " CFU_STRING(operation) ", " CFU_STRING(arg) ", " rd ", " rs1 ", " rs2 "\n\t"

/** rd of one instruction; operation and argument are constants. */
#define cfu(operation, arg, rs1, rs2)                                                                                 \
	({                                                                                                            \
		uint32_t cfu_rd_;                                                                                     \
		__asm__ volatile(".insn r CUSTOM_0, %1, %2, %0, %z3, %z4"                                              \
		                 : "=r"(cfu_rd_) : "i"(operation), "i"(arg), "rJ"((uint32_t)(rs1)),                 \
		                   "rJ"((uint32_t)(rs2)));                                                    \
		cfu_rd_;                                                                                              \
	})

/** Switch the instructions on: without it they are illegal. */
static inline void cfu_enable(void)
{
	__asm__ volatile("csrs 0xbc0, %0" : : "r"(1u << 31));
}

#else

extern struct cfu_model cfu_state;

#define cfu(operation, arg, rs1, rs2) cfu_model(&cfu_state, operation, arg, (uint32_t)(rs1), (uint32_t)(rs2))

static inline void cfu_enable(void)
{
}

#endif

#else

static inline void cfu_enable(void)
{
}

#endif

#endif
