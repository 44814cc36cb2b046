/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

#if defined(__GNUC__) && defined(__riscv)
/* As in multiply.c: the statements below have the order in which a 5-stage CPU likes the instructions. */
#pragma GCC optimize("O3", "no-tree-ter", "no-schedule-insns", "no-schedule-insns2")
#endif

#include "vector.h"

#ifndef CFU_INT8

/* 4 products of depth k: what is loaded for the next depth stands between a product and its addition. */
#define VECTOR_STEP(k)                                                                                                \
	do {                                                                                                          \
		int32_t x = a[(k)], b0 = b[4 * (k)], b1 = b[4 * (k) + 1], b2 = b[4 * (k) + 2], b3 = b[4 * (k) + 3];   \
		int32_t p, q, r;                                                                                      \
		p = x * b0; q = x * b1; r = x * b2; s0 += p; p = x * b3; s1 += q; s2 += r; s3 += p;                   \
	} while (0)

/* sums[j] = sum over k < kernel_depth(depth) of a[k] times row j of panel b. */
#define DEFINE_VECTOR(name, type)                                                                                     \
	static void name(int32_t sums[4], const type *a, const int8_t *b, uint32_t depth)                             \
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

DEFINE_VECTOR(multiply_s8, int8_t)
DEFINE_VECTOR(multiply_u16, uint16_t)

#define DEFINE_PRODUCT(name, multiply, type)                                                                          \
	void name(void *out, const type *a, const int8_t *b, uint32_t b_step, const int32_t *bias,                    \
	          const struct kernel_requant *requant, uint32_t channel, uint32_t columns, uint32_t depth)           \
	{                                                                                                             \
		uint8_t *to = out;                                                                                    \
		uint32_t column;                                                                                      \
		int32_t sums[KERNEL_TILE * KERNEL_TILE];                                                              \
                                                                                                                      \
		for (column = 0; column < columns; column += KERNEL_TILE) {                                           \
			uint32_t left = columns - column;                                                             \
                                                                                                                      \
			multiply(sums, a, b, depth);                                                                  \
			kernel_store_tile(sums, 1, left < KERNEL_TILE ? left : KERNEL_TILE,                           \
			                  bias ? bias + column : NULL, requant, channel + column, to, 0);             \
			to += KERNEL_TILE * requant->out_bytes;                                                       \
			b += b_step;                                                                                  \
		}                                                                                                     \
	}

DEFINE_PRODUCT(vector_product_s8, multiply_s8, int8_t)
DEFINE_PRODUCT(vector_product_u16, multiply_u16, uint16_t)

#endif
