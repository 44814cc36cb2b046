/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

#if defined(__GNUC__) && defined(__riscv)
/*
 * The multiply kernels are written in the order in which a 5-stage CPU likes the instructions: a product is used three
 * instructions after it. gcc would gather the additions again, which costs 2 cycles for each multiply-accumulate.
 */
#pragma GCC optimize("O3", "no-tree-ter", "no-schedule-insns", "no-schedule-insns2")
#endif

#include "kernels.h"

#ifdef __GNUC__
/* Small in-order CPUs predict a forward branch as not taken: keep the rare case out of line. */
#define RARE(condition) __builtin_expect(!!(condition), 0)
#else
#define RARE(condition) (condition)
#endif

/* Panels ------------------------------------------------------------------------------------------------------*/

void kernel_pack_s8(int8_t *panels, const int8_t *src, uint32_t rows, uint32_t row_step, uint32_t depth,
                    uint32_t depth_step)
{
	uint32_t padded = kernel_depth(depth);
	uint32_t first, row, k;

	for (first = 0; first < rows; first += KERNEL_TILE) {
		for (row = 0; row < KERNEL_TILE; row++) {
			const int8_t *from = src + (first + row) * row_step;
			int8_t *to = panels + row;

			k = 0;
			if (first + row < rows) {
				for (; k < depth; k++) {
					*to = *from;
					to += KERNEL_TILE;
					from += depth_step;
				}
			}
			for (; k < padded; k++) {
				*to = 0;
				to += KERNEL_TILE;
			}
		}
		panels += KERNEL_TILE * padded;
	}
}

void kernel_pack_codes(uint16_t *panel, const void *codes, uint32_t code_bytes, int32_t zero_point, uint32_t rows,
                       uint32_t row_bytes, uint32_t depth)
{
	const uint8_t *row_codes = codes;
	uint32_t padded = kernel_depth(depth);
	/* Codes are taken as unsigned: modulo 2^bits, code - zero_point is the same. */
	uint32_t mask = code_bytes == 1 ? 0xff : 0xffff;
	uint32_t offset = (uint32_t)-zero_point;
	uint32_t row, k;

	for (row = 0; row < KERNEL_TILE; row++) {
		uint16_t *to = panel + row;

		k = 0;
		if (row < rows) {
			for (; k < depth; k++) {
				uint32_t code = code_bytes == 1 ? row_codes[k] : ((const uint16_t *)(const void *)row_codes)[k];

				*to = (uint16_t)((code + offset) & mask);
				to += KERNEL_TILE;
			}
		}
		for (; k < padded; k++) {
			*to = 0;
			to += KERNEL_TILE;
		}
		row_codes += row_bytes;
	}
}

/* Multiply ----------------------------------------------------------------------------------------------------*/

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

DEFINE_MULTIPLY(kernel_multiply_s8, int8_t)
DEFINE_MULTIPLY(kernel_multiply_u16, uint16_t)

/* Requantization ----------------------------------------------------------------------------------------------*/

static inline int32_t clip(int32_t value, int32_t low, int32_t high)
{
	if (RARE(value > high))
		return high;
	if (RARE(value < low))
		return low;
	return value;
}

static inline int32_t requantize(int32_t x, int32_t multiplier, uint32_t shift, int32_t low, int32_t high)
{
	int64_t product = (int64_t)x * multiplier;

	/* From 33 on, the rounding bit and all that is kept lie in the high word: the rest is floored anyway. */
	if (!RARE(shift < 33)) {
		int32_t word = (int32_t)(product >> 32) + ((int32_t)1 << (shift - 33));

		return clip(word >> (shift - 32), low, high);
	}
	product = (product + ((int64_t)1 << (shift - 1))) >> shift;
	return product < low ? low : product > high ? high : (int32_t)product;
}

void kernel_store_tile(const int32_t tile[16], uint32_t rows, uint32_t columns, const int32_t *bias,
                       const struct kernel_requant *requant, uint32_t channel, void *out, uint32_t out_step)
{
	uint32_t row, column;

	for (column = 0; column < columns; column++) {
		uint32_t index = (channel + column) * requant->step;
		int32_t multiplier = requant->multiplier[index];
		uint32_t shift = requant->shift[index];
		int32_t offset = bias ? bias[column] : 0;
		const int32_t *from = tile + column;

		if (requant->out_bytes == 1) {
			int8_t *to = (int8_t *)out + column;

			for (row = 0; row < rows; row++) {
				*to = (int8_t)requantize(*from + offset, multiplier, shift, INT8_MIN, INT8_MAX);
				to += out_step;
				from += KERNEL_TILE;
			}
		} else {
			int16_t *to = (int16_t *)out + column;

			for (row = 0; row < rows; row++) {
				*to = (int16_t)requantize(*from + offset, multiplier, shift, INT16_MIN, INT16_MAX);
				to += out_step;
				from += KERNEL_TILE;
			}
		}
	}
}

void kernel_linear(void *out, const int8_t *x, const int8_t *weight, const int32_t *bias,
                   const struct kernel_requant *requant, uint32_t rows, uint32_t inputs, uint32_t outputs)
{
	uint32_t panel = KERNEL_TILE * kernel_depth(inputs);
	uint32_t row, column;
	int32_t tile[KERNEL_TILE * KERNEL_TILE];

	/* One panel of weights stays in the cache while all rows go by. */
	for (column = 0; column < outputs; column += KERNEL_TILE) {
		uint32_t columns = outputs - column < KERNEL_TILE ? outputs - column : KERNEL_TILE;
		const int8_t *a = x;

		for (row = 0; row < rows; row += KERNEL_TILE) {
			uint32_t tile_rows = rows - row < KERNEL_TILE ? rows - row : KERNEL_TILE;
			uint8_t *first = (uint8_t *)out + (row * outputs + column) * requant->out_bytes;

			kernel_multiply_s8(tile, a, weight, inputs);
			kernel_store_tile(tile, tile_rows, columns, bias + column, requant, column, first, outputs);
			a += panel;
		}
		weight += panel;
	}
}

/* Element by element ------------------------------------------------------------------------------------------*/

void kernel_requantize(void *out, const int16_t *x, const struct kernel_requant *requant, uint32_t rows,
                       uint32_t columns)
{
	int8_t *out8 = out;
	int16_t *out16 = out;
	uint32_t row, column;

	for (row = 0; row < rows; row++) {
		const int32_t *multiplier = requant->multiplier;
		const uint8_t *shift = requant->shift;

		for (column = 0; column < columns; column++) {
			if (requant->out_bytes == 1)
				*out8++ = (int8_t)requantize(*x++, *multiplier, *shift, INT8_MIN, INT8_MAX);
			else
				*out16++ = (int16_t)requantize(*x++, *multiplier, *shift, INT16_MIN, INT16_MAX);
			multiplier += requant->step;
			shift += requant->step;
		}
	}
}

void kernel_lookup(int8_t *out, const int8_t *x, const int8_t table[256], uint32_t count)
{
	const int8_t *centre = table + 128;
	uint32_t i;

	for (i = 0; i < count; i++)
		out[i] = centre[x[i]];
}

void kernel_add(int16_t *out, const int16_t *a, const int16_t *b, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		out[i] = (int16_t)clip(a[i] + b[i], INT16_MIN, INT16_MAX);
}
