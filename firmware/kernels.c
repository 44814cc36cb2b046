/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

#if defined(__GNUC__) && defined(__riscv)
/* Unrolled, the loops hide that products and loads take three cycles, shifts two. */
#pragma GCC optimize("O3", "unroll-loops")
#endif

#include "kernels.h"

#include <string.h>

#include "fixed.h"

/* Panels ------------------------------------------------------------------------------------------------------*/

/* One panel of 4 rows. */
static void pack_rows(int8_t *restrict panel, const int8_t *src, uint32_t row_step, uint32_t depth, uint32_t depth_step)
{
	const int8_t *row0 = src;
	const int8_t *row1 = row0 + row_step;
	const int8_t *row2 = row1 + row_step;
	const int8_t *row3 = row2 + row_step;
	uint32_t k, at = 0;

	for (k = 0; k < depth; k++) {
		panel[0] = row0[at];
		panel[1] = row1[at];
		panel[2] = row2[at];
		panel[3] = row3[at];
		panel += KERNEL_TILE;
		at += depth_step;
	}
	memset(panel, 0, KERNEL_TILE * (kernel_depth(depth) - depth));
}

void kernel_pack_s8(int8_t *panels, const int8_t *src, uint32_t rows, uint32_t row_step, uint32_t depth,
                    uint32_t depth_step)
{
	uint32_t bytes = KERNEL_TILE * kernel_depth(depth);
	uint32_t row, k;

	for (; rows >= KERNEL_TILE; rows -= KERNEL_TILE) {
		pack_rows(panels, src, row_step, depth, depth_step);
		panels += bytes;
		src += KERNEL_TILE * row_step;
	}
	if (rows == 0)
		return;
	memset(panels, 0, bytes);
	for (row = 0; row < rows; row++)
		for (k = 0; k < depth; k++)
			panels[KERNEL_TILE * k + row] = src[row * row_step + k * depth_step];
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

/* Requantization ----------------------------------------------------------------------------------------------*/

/* The result before saturation, or one that saturates as it does: 34 bits and more do not fit. */
static inline int32_t requantize(int32_t x, int32_t multiplier, uint32_t shift)
{
	int64_t product = (int64_t)x * multiplier;

	/* From 33 on, the rounding bit and all that is kept lie in the high word: the rest is floored anyway. */
	if (!RARE(shift < 33))
		return ((int32_t)(product >> 32) + ((int32_t)1 << (shift - 33))) >> (shift - 32);
	product = (product + ((int64_t)1 << (shift - 1))) >> shift;
	return product < INT32_MIN ? INT32_MIN : product > INT32_MAX ? INT32_MAX : (int32_t)product;
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
				*to = clip_s8(requantize(*from + offset, multiplier, shift));
				to += out_step;
				from += KERNEL_TILE;
			}
		} else {
			int16_t *to = (int16_t *)out + column;

			for (row = 0; row < rows; row++) {
				*to = clip_s16(requantize(*from + offset, multiplier, shift));
				to += out_step;
				from += KERNEL_TILE;
			}
		}
	}
}

#define DEFINE_TILES(name, multiply, type)                                                                            \
	void name(void *out, uint32_t out_step, const type *a, const int8_t *b, uint32_t b_step,                      \
	          const struct kernel_requant *requant, uint32_t channel, uint32_t rows, uint32_t columns,            \
	          uint32_t depth)                                                                                     \
	{                                                                                                             \
		uint8_t *to = out;                                                                                    \
		uint32_t column;                                                                                      \
		int32_t tile[KERNEL_TILE * KERNEL_TILE];                                                              \
                                                                                                                      \
		for (column = 0; column < columns; column += KERNEL_TILE) {                                           \
			uint32_t left = columns - column;                                                             \
                                                                                                                      \
			multiply(tile, a, b, depth);                                                                  \
			kernel_store_tile(tile, rows, left < KERNEL_TILE ? left : KERNEL_TILE, NULL, requant,         \
			                  channel + column, to, out_step);                                            \
			to += KERNEL_TILE * requant->out_bytes;                                                       \
			b += b_step;                                                                                  \
		}                                                                                                     \
	}

DEFINE_TILES(KERNEL_C(kernel_tiles_s8), KERNEL_C(kernel_multiply_s8), int8_t)
DEFINE_TILES(KERNEL_C(kernel_tiles_u16), KERNEL_C(kernel_multiply_u16), uint16_t)

void KERNEL_C(kernel_linear)(void *out, const int8_t *x, const int8_t *weight, const int32_t *bias,
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

			KERNEL_C(kernel_multiply_s8)(tile, a, weight, inputs);
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
	const int32_t *multiplier = requant->multiplier;
	const uint8_t *shift = requant->shift;
	uint32_t step = requant->step;
	uint32_t row, column;

	for (row = 0; row < rows; row++) {
		if (requant->out_bytes == 1) {
			int8_t *restrict to = (int8_t *)out + row * columns;

			for (column = 0; column < columns; column++)
				to[column] = clip_s8(requantize(x[column], multiplier[column * step], shift[column * step]));
		} else {
			int16_t *restrict to = (int16_t *)out + row * columns;

			for (column = 0; column < columns; column++)
				to[column] = clip_s16(requantize(x[column], multiplier[column * step], shift[column * step]));
		}
		x += columns;
	}
}

void kernel_lookup(int8_t *restrict out, const int8_t *restrict x, const int8_t table[256], uint32_t count)
{
	const int8_t *centre = table + 128;
	uint32_t i;

	for (i = 0; i < count; i++)
		out[i] = centre[x[i]];
}

void kernel_add(int16_t *restrict out, const int16_t *restrict a, const int16_t *restrict b, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		out[i] = clip_s16(a[i] + b[i]);
}
