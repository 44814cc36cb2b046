/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

#if defined(__GNUC__) && defined(__riscv)
/* As in multiply.c: the statements below have the order in which a 5-stage CPU likes the instructions. */
#pragma GCC optimize("O3", "no-tree-ter", "no-schedule-insns", "no-schedule-insns2")
#endif

#include "vector.h"

/* 4 products of depth k: what is loaded for the next depth stands between a product and its addition. */
#define VECTOR_STEP(k)                                                                                                \
	do {                                                                                                          \
		int32_t x = a[(k)], b0 = b[4 * (k)], b1 = b[4 * (k) + 1], b2 = b[4 * (k) + 2], b3 = b[4 * (k) + 3];   \
		int32_t p, q, r;                                                                                      \
		p = x * b0; q = x * b1; r = x * b2; s0 += p; p = x * b3; s1 += q; s2 += r; s3 += p;                   \
	} while (0)

#define DEFINE_VECTOR(name, type)                                                                                     \
	void name(int32_t sums[4], const type *a, const int8_t *b, uint32_t depth)                                    \
	{                                                                                                             \
		const int8_t *end = b + KERNEL_TILE * kernel_depth(depth);                                            \
		int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;                                                               \
                                                                                                                      \
		while (b != end) {                                                                                    \
			VECTOR_STEP(0);                                                                               \
			VECTOR_STEP(1);                                                                               \
			VECTOR_STEP(2);                                                                               \
			VECTOR_STEP(3);                                                                               \
			a += 4;                                                                                       \
			b += 4 * KERNEL_TILE;                                                                         \
		}                                                                                                     \
		sums[0] = s0;                                                                                         \
		sums[1] = s1;                                                                                         \
		sums[2] = s2;                                                                                         \
		sums[3] = s3;                                                                                         \
	}

DEFINE_VECTOR(vector_multiply_s8, int8_t)
DEFINE_VECTOR(vector_multiply_u16, uint16_t)

void vector_linear(void *out, const int8_t *x, const int8_t *weight, const int32_t *bias,
                   const struct kernel_requant *requant, uint32_t inputs, uint32_t outputs)
{
	uint32_t panel = KERNEL_TILE * kernel_depth(inputs);
	uint32_t column;
	int32_t tile[KERNEL_TILE * KERNEL_TILE];

	for (column = 0; column < outputs; column += KERNEL_TILE) {
		uint32_t columns = outputs - column < KERNEL_TILE ? outputs - column : KERNEL_TILE;

		vector_multiply_s8(tile, x, weight, inputs);
		kernel_store_tile(tile, 1, columns, bias + column, requant, column,
		                  (uint8_t *)out + column * requant->out_bytes, outputs);
		weight += panel;
	}
}
