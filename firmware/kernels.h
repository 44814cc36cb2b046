/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * Integer kernels of the transformer block: matrix multiply, requantization, activation table, residual add.
 *
 * Portable C99, no LiteX header, no state, no allocation.
 *
 * A matrix product is made of tiles of 4 x 4 results. Both operands come in panels: 4 rows interleaved, so that the 4
 * elements of one depth lie side by side, with the depth rounded up to a multiple of 4 and filled with zeros. On
 * VexRiscv a tile then takes about 3 cycles for a multiply-accumulate (`bench`).
 *
 * Where the CPU has the custom instructions of cfu.h the products are made by them (kernels_cfu.c), with the same results
 * from the same panels. The functions in C are then there too, for the self-test, with _c behind their names.
 */

#ifndef LITENORM_KERNELS_H
#define LITENORM_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "cfu.h"

#ifdef CFU_INT8
#define KERNEL_C(name) name##_c
#else
#define KERNEL_C(name) name
#endif

/** Rows of a panel, and rows and columns of a tile. */
#define KERNEL_TILE 4u

/**
 * out = clip((x * multiplier[c] + (1 << (shift[c] - 1))) >> shift[c]), 64-bit product; c = channel * step.
 */
struct kernel_requant {
	const int32_t *multiplier; /**< each 0 or more */
	const uint8_t *shift;      /**< each 1 to 62 */
	uint32_t step;             /**< 1: a pair for each channel; 0: one pair for all */
	uint32_t out_bytes;        /**< 1: s8, 2: s16 */
};

/** Depth of a panel: `depth` rounded up to a multiple of 4. */
static inline uint32_t kernel_depth(uint32_t depth)
{
	return (depth + KERNEL_TILE - 1) / KERNEL_TILE * KERNEL_TILE;
}

/** Bytes of the s8 panels of `rows` rows of `depth` elements; u16 panels take twice as much. */
static inline uint32_t kernel_panel_bytes(uint32_t rows, uint32_t depth)
{
	return kernel_depth(rows) * kernel_depth(depth);
}

/**
 * Pack s8 rows into panels; missing rows of the last panel are zeros.
 *
 * Element (row, depth) is src[row * row_step + depth * depth_step]; a step of 1 in the row packs a transposed matrix.
 */
void kernel_pack_s8(int8_t *panels, const int8_t *src, uint32_t rows, uint32_t row_step, uint32_t depth,
                    uint32_t depth_step);

/**
 * Pack softmax codes, less their zero point, into one u16 panel.
 *
 * @param codes       first of `rows` rows (1 to 4), row_bytes apart
 * @param code_bytes  1 or 2
 * @param zero_point  code of probability 0
 */
void kernel_pack_codes(uint16_t *panel, const void *codes, uint32_t code_bytes, int32_t zero_point, uint32_t rows,
                       uint32_t row_bytes, uint32_t depth);

/** tile[4 * i + j] = sum over k < kernel_depth(depth) of a row i times b row j, s32. */
void kernel_multiply_s8(int32_t tile[16], const int8_t *a, const int8_t *b, uint32_t depth);

/** As kernel_multiply_s8() with a in u16. */
void kernel_multiply_u16(int32_t tile[16], const uint16_t *a, const int8_t *b, uint32_t depth);

/**
 * Requantize and store the first `rows` x `columns` elements of a tile (each 1 to 4).
 *
 * @param bias     s32, added before requantization, one for each column of the tile; NULL: none
 * @param channel  channel of the first column
 * @param out      first element, s8 or s16; rows are out_step elements apart
 */
void kernel_store_tile(const int32_t tile[16], uint32_t rows, uint32_t columns, const int32_t *bias,
                       const struct kernel_requant *requant, uint32_t channel, void *out, uint32_t out_step);

/**
 * out[i][j] = requant[channel + j](sum over k < kernel_depth(depth) of a row i times b row j).
 *
 * @param out_step  elements from row to row of the output
 * @param a         one panel of `rows` rows (1 to 4)
 * @param b         panels of `columns` rows, b_step bytes apart
 */
void kernel_tiles_s8(void *out, uint32_t out_step, const int8_t *a, const int8_t *b, uint32_t b_step,
                     const struct kernel_requant *requant, uint32_t channel, uint32_t rows, uint32_t columns,
                     uint32_t depth);

/** As kernel_tiles_s8() with a in u16. */
void kernel_tiles_u16(void *out, uint32_t out_step, const uint16_t *a, const int8_t *b, uint32_t b_step,
                      const struct kernel_requant *requant, uint32_t channel, uint32_t rows, uint32_t columns,
                      uint32_t depth);

/**
 * out[i][o] = requant[o](bias[o] + sum over c of x[i][c] * weight[o][c]).
 *
 * @param x        panels of the s8 input, [rows][inputs]
 * @param weight   panels of the s8 weights, [outputs][inputs]
 * @param out      s8 or s16 [rows][outputs]
 */
void kernel_linear(void *out, const int8_t *x, const int8_t *weight, const int32_t *bias,
                   const struct kernel_requant *requant, uint32_t rows, uint32_t inputs, uint32_t outputs);

#ifdef CFU_INT8
/** The same functions without the custom instructions. */
void kernel_multiply_s8_c(int32_t tile[16], const int8_t *a, const int8_t *b, uint32_t depth);
void kernel_multiply_u16_c(int32_t tile[16], const uint16_t *a, const int8_t *b, uint32_t depth);
void kernel_tiles_s8_c(void *out, uint32_t out_step, const int8_t *a, const int8_t *b, uint32_t b_step,
                       const struct kernel_requant *requant, uint32_t channel, uint32_t rows, uint32_t columns,
                       uint32_t depth);
void kernel_tiles_u16_c(void *out, uint32_t out_step, const uint16_t *a, const int8_t *b, uint32_t b_step,
                        const struct kernel_requant *requant, uint32_t channel, uint32_t rows, uint32_t columns,
                        uint32_t depth);
void kernel_linear_c(void *out, const int8_t *x, const int8_t *weight, const int32_t *bias,
                     const struct kernel_requant *requant, uint32_t rows, uint32_t inputs, uint32_t outputs);
#endif

/** out[i] = requant[i mod columns](x[i]) for s16 x [rows][columns]; out s8 or s16. */
void kernel_requantize(void *out, const int16_t *x, const struct kernel_requant *requant, uint32_t rows,
                       uint32_t columns);

/** out[i] = table[x[i] + 128]; out is another array than x. */
void kernel_lookup(int8_t *restrict out, const int8_t *restrict x, const int8_t table[256], uint32_t count);

/** out[i] = clip(a[i] + b[i]) to s16; out is another array than a and b. */
void kernel_add(int16_t *restrict out, const int16_t *restrict a, const int16_t *restrict b, uint32_t count);

#endif
