/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/*
 * The matrix products of kernels.h and vector.h with the custom instructions of cfu.h, which hold a tile, its columns and
 * results.
 */

#include "kernels.h"
#include "vector.h"

#ifdef CFU_INT8

#ifdef __GNUC__
/* A word of several elements. */
typedef uint32_t __attribute__((may_alias)) elements_t;
#else
typedef uint32_t elements_t;
#endif

/* Multiply-accumulate -----------------------------------------------------------------------------------------*/

/*
 * The CPU gives the unit nothing as long as a load before it has not come back: two cycles are lost from the last load to
 * the first product. So as many are loaded as there are registers for, then multiplied.
 */
#if defined(__riscv)

/* 8 depths of s8 panels: 26 cycles for 128 products. */
static inline void multiply_8_s8(const int8_t *a, const int8_t *b)
{
	uint32_t a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7;

	__asm__ volatile(
		"lw %0, 0(%16)\n\t" "lw %8, 0(%17)\n\t" "lw %1, 4(%16)\n\t" "lw %9, 4(%17)\n\t"
		"lw %2, 8(%16)\n\t" "lw %10, 8(%17)\n\t" "lw %3, 12(%16)\n\t" "lw %11, 12(%17)\n\t"
		"lw %4, 16(%16)\n\t" "lw %12, 16(%17)\n\t" "lw %5, 20(%16)\n\t" "lw %13, 20(%17)\n\t"
		"lw %6, 24(%16)\n\t" "lw %14, 24(%17)\n\t" "lw %7, 28(%16)\n\t" "lw %15, 28(%17)\n\t"
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%0", "%8")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%1", "%9")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%2", "%10")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%3", "%11")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%4", "%12")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%5", "%13")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%6", "%14")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%7", "%15")
		: "=&r"(a0), "=&r"(a1), "=&r"(a2), "=&r"(a3), "=&r"(a4), "=&r"(a5), "=&r"(a6), "=&r"(a7),
		  "=&r"(b0), "=&r"(b1), "=&r"(b2), "=&r"(b3), "=&r"(b4), "=&r"(b5), "=&r"(b6), "=&r"(b7)
		: "r"(a), "r"(b)
		: "memory");
}

/* 4 depths. */
static inline void multiply_4_s8(const int8_t *a, const int8_t *b)
{
	uint32_t a0, a1, a2, a3, b0, b1, b2, b3;

	__asm__ volatile(
		"lw %0, 0(%8)\n\t" "lw %4, 0(%9)\n\t" "lw %1, 4(%8)\n\t" "lw %5, 4(%9)\n\t"
		"lw %2, 8(%8)\n\t" "lw %6, 8(%9)\n\t" "lw %3, 12(%8)\n\t" "lw %7, 12(%9)\n\t"
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%0", "%4")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%1", "%5")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%2", "%6")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%3", "%7")
		: "=&r"(a0), "=&r"(a1), "=&r"(a2), "=&r"(a3), "=&r"(b0), "=&r"(b1), "=&r"(b2), "=&r"(b3)
		: "r"(a), "r"(b)
		: "memory");
}

/* 4 depths of a u16 and an s8 panel: 22 cycles for 64 products. */
static inline void multiply_4_u16(const uint16_t *a, const int8_t *b)
{
	uint32_t a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3;

	__asm__ volatile(
		"lw %8, 0(%13)\n\t" "lw %0, 0(%12)\n\t" "lw %1, 4(%12)\n\t"
		"lw %9, 4(%13)\n\t" "lw %2, 8(%12)\n\t" "lw %3, 12(%12)\n\t"
		"lw %10, 8(%13)\n\t" "lw %4, 16(%12)\n\t" "lw %5, 20(%12)\n\t"
		"lw %11, 12(%13)\n\t" "lw %6, 24(%12)\n\t" "lw %7, 28(%12)\n\t"
		CFU_TEXT(CFU_MAC_U16, 0, "x0", "%0", "%8")
		CFU_TEXT(CFU_MAC_U16, CFU_UPPER, "x0", "%1", "%8")
		CFU_TEXT(CFU_MAC_U16, 0, "x0", "%2", "%9")
		CFU_TEXT(CFU_MAC_U16, CFU_UPPER, "x0", "%3", "%9")
		CFU_TEXT(CFU_MAC_U16, 0, "x0", "%4", "%10")
		CFU_TEXT(CFU_MAC_U16, CFU_UPPER, "x0", "%5", "%10")
		CFU_TEXT(CFU_MAC_U16, 0, "x0", "%6", "%11")
		CFU_TEXT(CFU_MAC_U16, CFU_UPPER, "x0", "%7", "%11")
		: "=&r"(a0), "=&r"(a1), "=&r"(a2), "=&r"(a3), "=&r"(a4), "=&r"(a5), "=&r"(a6), "=&r"(a7),
		  "=&r"(b0), "=&r"(b1), "=&r"(b2), "=&r"(b3)
		: "r"(a), "r"(b)
		: "memory");
}

/* 8 depths of a plain s8 row and a panel: byte 0 is row 0, and what the others add to rows 1 to 3 is not read. */
static inline void multiply_row_8_s8(const int8_t *a, const int8_t *b)
{
	uint32_t a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7;

	/* The shifts stand where the unit would wait for the last load: 24 cycles for 32 products. */
	__asm__ volatile(
		"lw %0, 0(%16)\n\t" "lw %4, 4(%16)\n\t"
		"lw %8, 0(%17)\n\t" "lw %9, 4(%17)\n\t" "lw %10, 8(%17)\n\t" "lw %11, 12(%17)\n\t"
		"lw %12, 16(%17)\n\t" "lw %13, 20(%17)\n\t" "lw %14, 24(%17)\n\t" "lw %15, 28(%17)\n\t"
		"srli %1, %0, 8\n\t" "srli %2, %0, 16\n\t" "srli %3, %0, 24\n\t"
		"srli %5, %4, 8\n\t" "srli %6, %4, 16\n\t" "srli %7, %4, 24\n\t"
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%0", "%8")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%1", "%9")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%2", "%10")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%3", "%11")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%4", "%12")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%5", "%13")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%6", "%14")
		CFU_TEXT(CFU_MAC_S8, 0, "x0", "%7", "%15")
		: "=&r"(a0), "=&r"(a1), "=&r"(a2), "=&r"(a3), "=&r"(a4), "=&r"(a5), "=&r"(a6), "=&r"(a7),
		  "=&r"(b0), "=&r"(b1), "=&r"(b2), "=&r"(b3), "=&r"(b4), "=&r"(b5), "=&r"(b6), "=&r"(b7)
		: "r"(a), "r"(b)
		: "memory");
}

static inline uint32_t four_s8(const int8_t *from)
{
	return *(const elements_t *)(const void *)from;
}

#else

static uint32_t four_s8(const int8_t *from)
{
	const uint8_t *bytes = (const uint8_t *)from;

	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void multiply_4_s8(const int8_t *a, const int8_t *b)
{
	unsigned k;

	for (k = 0; k < 4; k++)
		cfu(CFU_MAC_S8, 0, four_s8(a + 4 * k), four_s8(b + 4 * k));
}

static void multiply_8_s8(const int8_t *a, const int8_t *b)
{
	multiply_4_s8(a, b);
	multiply_4_s8(a + 16, b + 16);
}

static void multiply_row_8_s8(const int8_t *a, const int8_t *b)
{
	unsigned k;

	for (k = 0; k < 8; k++)
		cfu(CFU_MAC_S8, 0, four_s8(a + k / 4 * 4) >> 8 * (k % 4), four_s8(b + 4 * k));
}

static void multiply_4_u16(const uint16_t *a, const int8_t *b)
{
	unsigned k;

	for (k = 0; k < 4; k++, a += 4) {
		cfu(CFU_MAC_U16, 0, a[0] | (uint32_t)a[1] << 16, four_s8(b + 4 * k));
		cfu(CFU_MAC_U16, CFU_UPPER, a[2] | (uint32_t)a[3] << 16, four_s8(b + 4 * k));
	}
}

#endif

/* The accumulators become the bias of their columns, and what the panels' product adds to it. */
static inline void multiply_s8(const int8_t *a, const int8_t *b, uint32_t depth)
{
	const int8_t *end = b + KERNEL_TILE * kernel_depth(depth);

	cfu(CFU_MAC_S8, CFU_FIRST, 0, 0);
	while (end - b >= 64) {
		multiply_8_s8(a, b);
		multiply_8_s8(a + 32, b + 32);
		a += 64;
		b += 64;
	}
	while (b != end) {
		multiply_4_s8(a, b);
		a += 16;
		b += 16;
	}
}

static inline void multiply_u16(const uint16_t *a, const int8_t *b, uint32_t depth)
{
	const int8_t *end = b + KERNEL_TILE * kernel_depth(depth);

	cfu(CFU_MAC_S8, CFU_FIRST, 0, 0);
	while (b != end) {
		multiply_4_u16(a, b);
		a += 16;
		b += 16;
	}
}

/* The same of one plain row, in row 0: the accumulators of the other rows are of no use then. */
static inline void multiply_row_s8(const int8_t *a, const int8_t *b, uint32_t depth)
{
	const int8_t *end = b + KERNEL_TILE * kernel_depth(depth);

	cfu(CFU_MAC_S8, CFU_FIRST, 0, 0);
	if (((uintptr_t)a & 3) == 0) {
		while (end - b >= 32) {
			multiply_row_8_s8(a, b);
			a += 8;
			b += 32;
		}
	}
	while (b != end) {
		cfu(CFU_MAC_S8, 0, (uint8_t)*a, four_s8(b));
		a++;
		b += KERNEL_TILE;
	}
}

static inline void multiply_row_u16(const uint16_t *a, const int8_t *b, uint32_t depth)
{
	const int8_t *end = b + KERNEL_TILE * kernel_depth(depth);

	cfu(CFU_MAC_S8, CFU_FIRST, 0, 0);
	while (b != end) {
		uint32_t a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
		uint32_t b0 = four_s8(b), b1 = four_s8(b + 4), b2 = four_s8(b + 8), b3 = four_s8(b + 12);

		cfu(CFU_MAC_U16, 0, a0, b0);
		cfu(CFU_MAC_U16, 0, a1, b1);
		cfu(CFU_MAC_U16, 0, a2, b2);
		cfu(CFU_MAC_U16, 0, a3, b3);
		a += 4;
		b += 4 * KERNEL_TILE;
	}
}

/* Columns and results -----------------------------------------------------------------------------------------*/

#define SET_COLUMN(j)                                                                                                 \
	do {                                                                                                          \
		uint32_t at = (j) < columns ? (j) : 0;                                                                \
		uint32_t index = (channel + at) * requant->step;                                                      \
                                                                                                                      \
		cfu(CFU_SCALE, j, requant->multiplier[index], requant->shift[index]);                                 \
		cfu(CFU_BIAS, j, bias ? bias[at] : 0, 0);                                                             \
	} while (0)

/* Results of columns that are not there are made, and not stored. */
static void set_columns(const struct kernel_requant *requant, uint32_t channel, uint32_t columns, const int32_t *bias)
{
	SET_COLUMN(0);
	SET_COLUMN(1);
	SET_COLUMN(2);
	SET_COLUMN(3);
}

static void clear_bias(void)
{
	cfu(CFU_BIAS, 0, 0, 0);
	cfu(CFU_BIAS, 1, 0, 0);
	cfu(CFU_BIAS, 2, 0, 0);
	cfu(CFU_BIAS, 3, 0, 0);
}

static int are_words(const void *out, uint32_t row_bytes)
{
	return (((uintptr_t)out | row_bytes) & 3) == 0;
}

static void store_s8(int8_t *out, uint32_t out_step, uint32_t rows, uint32_t columns)
{
	uint32_t row, column;

	cfu(CFU_START, 0, 0, 0);
	if (columns == KERNEL_TILE && are_words(out, out_step)) {
		for (row = 0; row < rows; row++) {
			*(elements_t *)(void *)out = cfu(CFU_NEXT, 0, 0, 0);
			out += out_step;
		}
		return;
	}
	for (row = 0; row < rows; row++) {
		uint32_t results = cfu(CFU_NEXT, 0, 0, 0);

		for (column = 0; column < columns; column++)
			out[column] = (int8_t)(results >> 8 * column);
		out += out_step;
	}
}

static void store_s16(int16_t *out, uint32_t out_step, uint32_t rows, uint32_t columns)
{
	uint32_t row, column;

	cfu(CFU_START, CFU_WIDE, 0, 0);
	if (columns == KERNEL_TILE && are_words(out, 2 * out_step)) {
		for (row = 0; row < rows; row++) {
			elements_t *to = (void *)out;
			uint32_t left = cfu(CFU_NEXT, 0, 0, 0);
			uint32_t right = cfu(CFU_NEXT, 0, 0, 0);

			to[0] = left;
			to[1] = right;
			out += out_step;
		}
		return;
	}
	for (row = 0; row < rows; row++) {
		uint32_t results[2];

		results[0] = cfu(CFU_NEXT, 0, 0, 0);
		results[1] = cfu(CFU_NEXT, 0, 0, 0);
		for (column = 0; column < columns; column++)
			out[column] = (int16_t)(results[column / 2] >> 16 * (column % 2));
		out += out_step;
	}
}

static inline void store(void *out, uint32_t out_step, uint32_t out_bytes, uint32_t rows, uint32_t columns)
{
	if (out_bytes == 1)
		store_s8(out, out_step, rows, columns);
	else
		store_s16(out, out_step, rows, columns);
}

/* Products ----------------------------------------------------------------------------------------------------*/

#define READ_4(n)                                                                                                     \
	do {                                                                                                          \
		int32_t v0 = (int32_t)cfu(CFU_READ, n, 0, 0), v1 = (int32_t)cfu(CFU_READ, (n) + 1, 0, 0);             \
		int32_t v2 = (int32_t)cfu(CFU_READ, (n) + 2, 0, 0), v3 = (int32_t)cfu(CFU_READ, (n) + 3, 0, 0);       \
                                                                                                                      \
		tile[n] = v0;                                                                                         \
		tile[(n) + 1] = v1;                                                                                   \
		tile[(n) + 2] = v2;                                                                                   \
		tile[(n) + 3] = v3;                                                                                   \
	} while (0)

static void read_tile(int32_t tile[16])
{
	READ_4(0);
	READ_4(4);
	READ_4(8);
	READ_4(12);
}

void kernel_multiply_s8(int32_t tile[16], const int8_t *a, const int8_t *b, uint32_t depth)
{
	clear_bias();
	multiply_s8(a, b, depth);
	read_tile(tile);
}

void kernel_multiply_u16(int32_t tile[16], const uint16_t *a, const int8_t *b, uint32_t depth)
{
	clear_bias();
	multiply_u16(a, b, depth);
	read_tile(tile);
}

#define DEFINE_TILES(name, multiply, type)                                                                            \
	static inline void name(void *out, uint32_t out_step, const type *a, const int8_t *b, uint32_t b_step,        \
	                        const int32_t *bias, const struct kernel_requant *requant, uint32_t channel,          \
	                        uint32_t rows, uint32_t columns, uint32_t depth)                                      \
	{                                                                                                             \
		uint8_t *to = out;                                                                                    \
		uint32_t column;                                                                                      \
                                                                                                                      \
		for (column = 0; column < columns; column += KERNEL_TILE) {                                           \
			uint32_t left = columns - column < KERNEL_TILE ? columns - column : KERNEL_TILE;              \
                                                                                                                      \
			if (column == 0 || requant->step != 0 || bias)                                                \
				set_columns(requant, channel + column, left, bias ? bias + column : NULL);            \
			multiply(a, b, depth);                                                                        \
			store(to, out_step, requant->out_bytes, rows, left);                                          \
			to += KERNEL_TILE * requant->out_bytes;                                                       \
			b += b_step;                                                                                  \
		}                                                                                                     \
	}

DEFINE_TILES(tiles_s8, multiply_s8, int8_t)
DEFINE_TILES(tiles_u16, multiply_u16, uint16_t)
DEFINE_TILES(row_s8, multiply_row_s8, int8_t)
DEFINE_TILES(row_u16, multiply_row_u16, uint16_t)

void kernel_tiles_s8(void *out, uint32_t out_step, const int8_t *a, const int8_t *b, uint32_t b_step,
                     const struct kernel_requant *requant, uint32_t channel, uint32_t rows, uint32_t columns,
                     uint32_t depth)
{
	tiles_s8(out, out_step, a, b, b_step, NULL, requant, channel, rows, columns, depth);
}

void kernel_tiles_u16(void *out, uint32_t out_step, const uint16_t *a, const int8_t *b, uint32_t b_step,
                      const struct kernel_requant *requant, uint32_t channel, uint32_t rows, uint32_t columns,
                      uint32_t depth)
{
	tiles_u16(out, out_step, a, b, b_step, NULL, requant, channel, rows, columns, depth);
}

void vector_product_s8(void *out, const int8_t *a, const int8_t *b, uint32_t b_step, const int32_t *bias,
                       const struct kernel_requant *requant, uint32_t channel, uint32_t columns, uint32_t depth)
{
	row_s8(out, 0, a, b, b_step, bias, requant, channel, 1, columns, depth);
}

void vector_product_u16(void *out, const uint16_t *a, const int8_t *b, uint32_t b_step, const int32_t *bias,
                        const struct kernel_requant *requant, uint32_t channel, uint32_t columns, uint32_t depth)
{
	row_u16(out, 0, a, b, b_step, bias, requant, channel, 1, columns, depth);
}

void kernel_linear(void *out, const int8_t *x, const int8_t *weight, const int32_t *bias,
                   const struct kernel_requant *requant, uint32_t rows, uint32_t inputs, uint32_t outputs)
{
	uint32_t panel = KERNEL_TILE * kernel_depth(inputs);
	uint32_t row, column;

	/* One panel of weights stays in the cache while all rows go by. */
	for (column = 0; column < outputs; column += KERNEL_TILE) {
		uint32_t columns = outputs - column < KERNEL_TILE ? outputs - column : KERNEL_TILE;
		const int8_t *a = x;

		set_columns(requant, column, columns, bias + column);
		for (row = 0; row < rows; row += KERNEL_TILE) {
			uint32_t tile_rows = rows - row < KERNEL_TILE ? rows - row : KERNEL_TILE;
			uint8_t *first = (uint8_t *)out + (row * outputs + column) * requant->out_bytes;

			multiply_s8(a, weight, inputs);
			store(first, outputs, requant->out_bytes, tile_rows, columns);
			a += panel;
		}
		weight += panel;
	}
}

#endif
