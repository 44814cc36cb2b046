/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * What the commands need of the SoC: a clock, and who can compute softmax and LayerNorm.
 */

#ifndef LITENORM_BOARD_H
#define LITENORM_BOARD_H

#include <stdint.h>

#include "transformer.h"

/** Clock cycles since reset, modulo 2^32. A call takes about 10. */
uint32_t board_cycles(void);

/** Softmax and LayerNorm by the core. */
extern const struct block_path path_accel;

/** Softmax and LayerNorm by the C twin. */
extern const struct block_path path_cpu;

/** 1 when the SoC has the core. */
int board_has_core(void);

/** Count a failure: the exit code of the run is the number of failures. */
void board_fail(void);

/** xorshift32 (Marsaglia 2003): the next of a sequence of 2^32 - 1 numbers, from any state but 0. */
static inline uint32_t board_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/** Console commands with files of their own. */
void command_selftest(const char *argument);
void command_layer(const char *argument);
void command_generate(const char *argument);
void command_bench(const char *argument);
void command_rows(const char *argument);

/** 1 when the SoC is the one that the firmware was compiled for, by the identification that both have. */
int board_is_ours(void);

/** Say over and over, whenever a key is pressed, that the firmware belongs to another SoC. Does not return. */
void board_refuse(void);

#endif
