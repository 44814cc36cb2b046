/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

#if defined(__GNUC__) && defined(__riscv)
/*
 * The statements below have the order in which a 5-stage CPU likes the instructions, a product used three after it. gcc
 * would gather the additions again, each behind its product, and the CPU wait 2 cycles for every one.
 */
#pragma GCC optimize("O3", "no-tree-ter", "no-schedule-insns", "no-schedule-insns2")
#endif

#include "kernels.h"

/* 16 products of depth k: three at a time are under way, and b is loaded a column ahead. */
#define MULTIPLY_STEP(k)                                                                                              \
	do {                                                                                                          \
		int32_t b0 = b[4 * (k)];                                                                              \
		int32_t a0 = a[4 * (k)], a1 = a[4 * (k) + 1], a2 = a[4 * (k) + 2], a3 = a[4 * (k) + 3];               \
		int32_t b1 = b[4 * (k) + 1], b2, b3, p, q, r;                                                         \
		p = a0 * b0; q = a1 * b0; r = a2 * b0;                                                                \
		c00 += p; p = a3 * b0; c10 += q; b2 = b[4 * (k) + 2]; q = a0 * b1; c20 += r; r = a1 * b1;             \
		c30 += p; p = a2 * b1; c01 += q; q = a3 * b1; c11 += r; b3 = b[4 * (k) + 3]; r = a0 * b2;             \
		c21 += p; p = a1 * b2; c31 += q; q = a2 * b2; c02 += r; r = a3 * b2;                                  \
		c12 += p; p = a0 * b3; c22 += q; q = a1 * b3; c32 += r; r = a2 * b3;                                  \
		c03 += p; p = a3 * b3; c13 += q; c23 += r; c33 += p;                                                  \
	} while (0)

#define DEFINE_MULTIPLY(name, type)                                                                                   \
	void name(int32_t tile[16], const type *a, const int8_t *b, uint32_t depth)                                   \
	{                                                                                                             \
		const int8_t *end = b + KERNEL_TILE * kernel_depth(depth);                                            \
		int32_t c00 = 0, c01 = 0, c02 = 0, c03 = 0, c10 = 0, c11 = 0, c12 = 0, c13 = 0;                       \
		int32_t c20 = 0, c21 = 0, c22 = 0, c23 = 0, c30 = 0, c31 = 0, c32 = 0, c33 = 0;                       \
                                                                                                                      \
		while (b != end) {                                                                                    \
			MULTIPLY_STEP(0);                                                                             \
			MULTIPLY_STEP(1);                                                                             \
			MULTIPLY_STEP(2);                                                                             \
			MULTIPLY_STEP(3);                                                                             \
			a += 4 * KERNEL_TILE;                                                                         \
			b += 4 * KERNEL_TILE;                                                                         \
		}                                                                                                     \
		tile[0] = c00; tile[1] = c01; tile[2] = c02; tile[3] = c03;                                           \
		tile[4] = c10; tile[5] = c11; tile[6] = c12; tile[7] = c13;                                           \
		tile[8] = c20; tile[9] = c21; tile[10] = c22; tile[11] = c23;                                         \
		tile[12] = c30; tile[13] = c31; tile[14] = c32; tile[15] = c33;                                       \
	}

DEFINE_MULTIPLY(KERNEL_C(kernel_multiply_s8), int8_t)
DEFINE_MULTIPLY(KERNEL_C(kernel_multiply_u16), uint16_t)
