/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* Part of `selftest`: the custom instructions of cfu.h against their model, the kernels with them against those without. */

#include "selftest.h"

#ifdef CFU_INT8

#include <string.h>

#include "board.h"
#include "kernels.h"

#define COMMANDS 4000u

/* Operation and argument are part of the instruction: X(operation, argument) for those that are tried. */
#define ONE(X, operation)     X(operation, 0)
#define TWO(X, operation)     ONE(X, operation) X(operation, 1)
#define FOUR(X, operation)    TWO(X, operation) X(operation, 2) X(operation, 3)
#define SIXTEEN(X, operation)                                                                                         \
	FOUR(X, operation) X(operation, 4) X(operation, 5) X(operation, 6) X(operation, 7) X(operation, 8)            \
	X(operation, 9) X(operation, 10) X(operation, 11) X(operation, 12) X(operation, 13) X(operation, 14)          \
	X(operation, 15)
#define TRIED(X)                                                                                                      \
	TWO(X, CFU_MAC_S8) TWO(X, CFU_MAC_S8) FOUR(X, CFU_MAC_U16) FOUR(X, CFU_BIAS) FOUR(X, CFU_SCALE)               \
	SIXTEEN(X, CFU_READ) TWO(X, CFU_START) ONE(X, CFU_NEXT) ONE(X, CFU_NEXT) ONE(X, CFU_NEXT) ONE(X, CFU_NEXT)      \
	ONE(X, 7)

/* A random instruction on both; 1 when they agree. */
static int same_rd(struct cfu_model *model, uint32_t *state)
{
#define COUNT(operation, arg) +1
	enum { CASES = TRIED(COUNT) };
#undef COUNT
	uint32_t rs1 = board_random(state), rs2 = board_random(state);
	uint32_t choice = (board_random(state) >> 8) % CASES;
	uint32_t n = 0;

#define SAME(operation, arg)                                                                                          \
	if (choice == n++) {                                                                                          \
		if ((operation) == CFU_SCALE)                                                                         \
			rs2 = 1 + (rs2 >> 8) % 62;                                                                    \
		return cfu(operation, arg, rs1, rs2) == cfu_model(model, operation, arg, rs1, rs2);                   \
	}
	TRIED(SAME)
#undef SAME
	return 0;
}

static int instructions_equal_their_model(void)
{
	static struct cfu_model model;
	uint32_t state = 1, n;
	int ok = 1;

	/* Both start from the same state. */
	memset(&model, 0, sizeof(model));
#define RESET(j) cfu(CFU_BIAS, j, 0, 0); cfu(CFU_SCALE, j, 0, 1); model.shift[j] = 1;
	RESET(0) RESET(1) RESET(2) RESET(3)
#undef RESET
	cfu(CFU_MAC_S8, CFU_FIRST, 0, 0);
	cfu(CFU_START, 0, 0, 0);
	for (n = 0; n < 4; n++)
		cfu(CFU_NEXT, 0, 0, 0);
	for (n = 0; n < COMMANDS; n++)
		ok &= same_rd(&model, &state);
	return ok;
}

#define MOST_ROWS 9u
#define MOST      44u /* inputs and outputs */

static int16_t x_panels[MOST_ROWS + 3][MOST], out_cfu[MOST_ROWS][MOST + 4], out_c[MOST_ROWS][MOST + 4];
static int8_t w_panels[MOST * MOST] __attribute__((aligned(4)));
static int32_t biases[MOST], multipliers[MOST];
static uint8_t shifts[MOST];

static void fill_kernels(uint32_t *state)
{
	uint32_t i;

	for (i = 0; i < sizeof(x_panels); i++)
		((uint8_t *)x_panels)[i] = (uint8_t)(board_random(state) >> 24);
	for (i = 0; i < sizeof(w_panels); i++)
		w_panels[i] = (int8_t)(board_random(state) >> 24);
	for (i = 0; i < MOST; i++) {
		biases[i] = (int32_t)board_random(state) >> 12;
		multipliers[i] = (int32_t)(board_random(state) >> 1);
		shifts[i] = (uint8_t)(34 + (board_random(state) >> 8) % 12);
	}
}

/* Every product of the kernels, with outputs that begin on a word and that do not, and nothing written beside them. */
static int kernels_equal_those_in_c(uint32_t out_bytes)
{
	static const uint8_t shapes[][3] = { { 4, 8, 8 }, { 1, 4, 12 }, { 9, 44, 16 }, { 6, 20, 7 }, { 3, 36, 44 } };
	struct kernel_requant requant = { multipliers, shifts, 1, out_bytes };
	uint32_t state = out_bytes, i, offset;
	int32_t tile[16], tile_c[16];
	int ok = 1;

	for (i = 0; i < 2 * sizeof(shapes) / sizeof(shapes[0]); i++) {
		uint32_t rows = shapes[i / 2][0], inputs = shapes[i / 2][1], outputs = shapes[i / 2][2];
		uint32_t tile_rows = rows < KERNEL_TILE ? rows : KERNEL_TILE;
		uint32_t panel = KERNEL_TILE * kernel_depth(inputs);
		const int8_t *x = (const int8_t *)x_panels;
		const uint16_t *codes = (const uint16_t *)x_panels;

		fill_kernels(&state);
		requant.step = i % 2;
		for (offset = 0; offset < 3; offset++) {
			uint8_t *to = (uint8_t *)out_cfu + offset * out_bytes, *to_c = (uint8_t *)out_c + offset * out_bytes;

			memset(out_cfu, CANARY, sizeof(out_cfu));
			memset(out_c, CANARY, sizeof(out_c));
			kernel_linear(to, x, w_panels, biases, &requant, rows, inputs, outputs);
			kernel_linear_c(to_c, x, w_panels, biases, &requant, rows, inputs, outputs);
			ok &= memcmp(out_cfu, out_c, sizeof(out_c)) == 0;
			kernel_tiles_s8(to, MOST, x, w_panels, panel, &requant, 0, tile_rows, outputs, inputs);
			kernel_tiles_s8_c(to_c, MOST, x, w_panels, panel, &requant, 0, tile_rows, outputs, inputs);
			ok &= memcmp(out_cfu, out_c, sizeof(out_c)) == 0;
			kernel_tiles_u16(to, MOST, codes, w_panels, panel, &requant, 0, tile_rows, outputs, inputs);
			kernel_tiles_u16_c(to_c, MOST, codes, w_panels, panel, &requant, 0, tile_rows, outputs, inputs);
			ok &= memcmp(out_cfu, out_c, sizeof(out_c)) == 0;
		}
		kernel_multiply_s8(tile, x, w_panels, inputs);
		kernel_multiply_s8_c(tile_c, x, w_panels, inputs);
		ok &= memcmp(tile, tile_c, sizeof(tile)) == 0;
		kernel_multiply_u16(tile, codes, w_panels, inputs);
		kernel_multiply_u16_c(tile_c, codes, w_panels, inputs);
		ok &= memcmp(tile, tile_c, sizeof(tile)) == 0;
	}
	return ok;
}

void selftest_cfu(void)
{
	selftest_report("cfu_instructions", "", instructions_equal_their_model());
	selftest_report("cfu_kernels", "s8", kernels_equal_those_in_c(1));
	selftest_report("cfu_kernels", "s16", kernels_equal_those_in_c(2));
}

#endif
