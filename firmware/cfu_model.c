/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* The custom instructions of cfu.h in portable C, for the self-test and for other machines. */

#include "cfu.h"

#ifdef CFU_INT8

#ifndef __riscv
struct cfu_model cfu_state;
#endif

static int32_t add_product(int32_t base, int32_t a, uint32_t b, unsigned column)
{
	return (int32_t)((uint32_t)base + (uint32_t)(a * (int8_t)(b >> 8 * column)));
}

static void multiply(struct cfu_model *cfu, uint32_t operation, uint32_t arg, uint32_t rs1, uint32_t rs2)
{
	unsigned from = operation == CFU_MAC_U16 && arg & CFU_UPPER ? 2 : 0;
	unsigned rows = operation == CFU_MAC_U16 ? 2 : 4;
	unsigned i, j;

	for (i = 0; i < rows; i++) {
		int32_t *acc = cfu->acc[from + i];
		int32_t a = operation == CFU_MAC_U16 ? (int32_t)(rs1 >> 16 * i & 0xffff) : (int8_t)(rs1 >> 8 * i);

		for (j = 0; j < 4; j++)
			acc[j] = add_product(arg & CFU_FIRST ? cfu->bias[j] : acc[j], a, rs2, j);
	}
}

static void start(struct cfu_model *cfu, unsigned wide)
{
	int64_t limit = wide ? INT16_MAX : INT8_MAX;
	unsigned bits = wide ? 16 : 8;
	unsigned n;

	for (n = 0; n < 8; n++)
		cfu->words[n] = 0;
	for (n = 0; n < 16; n++) {
		uint32_t shift = cfu->shift[n % 4];
		int64_t x = (int64_t)cfu->acc[n / 4][n % 4] * cfu->multiplier[n % 4];

		/* One bit is left for rounding; a shift of 0 is as one of 64. */
		x = shift ? ((x >> (shift - 1)) + 1) >> 1 : ((x >> 63) + 1) >> 1;
		x = x > limit ? limit : x < -limit - 1 ? -limit - 1 : x;
		cfu->words[n * bits / 32] |= ((uint32_t)x & ((1u << bits) - 1)) << n * bits % 32;
	}
	cfu->count = bits / 2;
	cfu->taken = 0;
}

uint32_t cfu_model(struct cfu_model *cfu, uint32_t operation, uint32_t arg, uint32_t rs1, uint32_t rs2)
{
	switch (operation) {
	case CFU_MAC_S8:
	case CFU_MAC_U16:
		multiply(cfu, operation, arg, rs1, rs2);
		return 0;
	case CFU_BIAS:
		cfu->bias[arg % 4] = (int32_t)rs1;
		return 0;
	case CFU_SCALE:
		cfu->multiplier[arg % 4] = (int32_t)(rs1 & INT32_MAX);
		cfu->shift[arg % 4] = rs2 & 63;
		return 0;
	case CFU_READ:
		return (uint32_t)cfu->acc[arg / 4 % 4][arg % 4];
	case CFU_START:
		start(cfu, arg & CFU_WIDE);
		return 0;
	case CFU_NEXT:
		return cfu->taken < cfu->count ? cfu->words[cfu->taken++] : 0;
	default:
		return 0;
	}
}

#endif
