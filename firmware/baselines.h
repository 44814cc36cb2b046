/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * What firmware without the core would run: for comparison only, see `bench`.
 *
 * Rows of s8, one call a row. None of these is normalized: the sum of a row is off by what rounding makes of it.
 */

#ifndef LITENORM_BASELINES_H
#define LITENORM_BASELINES_H

#include <stdint.h>

/** Longest row that the integer versions take, so that their sums fit. */
#define BASELINE_MAX_LENGTH 1024u

/** Entries of an exp table: one for each difference to the row's maximum. */
#define BASELINE_TABLE 256u

/**
 * table[d] = e^(-d * scale), UQ0.16 with 65535 for 1.
 *
 * @param scale  of one LSB of the logits
 */
void baseline_exp_table(uint16_t table[BASELINE_TABLE], float scale);

/** Softmax by expf, s8 to u8 with 255 for 1: what a first port of a model does. */
void baseline_softmax_float(uint8_t *y, const int8_t *x, uint32_t length, float scale);

/**
 * Softmax as TFLite and CMSIS-NN compute it (arm_softmax_s8), s8 to s8.
 *
 * @param multiplier, left_shift, diff_min  as those libraries take them
 */
void baseline_softmax_cmsis(int8_t *y, const int8_t *x, uint32_t length, int32_t multiplier, int32_t left_shift,
                            int32_t diff_min);

/** Softmax by a table of 512 bytes and one division a row, s8 to u8 with 255 for 1: as lean as C gets. */
void baseline_softmax_lean(uint8_t *y, const int8_t *x, uint32_t length, const uint16_t table[BASELINE_TABLE]);

/** LayerNorm in float, s8 to s16 Q5.10. */
void baseline_layernorm_float(int16_t *y, const int8_t *x, uint32_t length);

/** LayerNorm in integers, one square root and one division a row, s8 to s16 Q5.10. */
void baseline_layernorm_lean(int16_t *y, const int8_t *x, uint32_t length);

/** LayerNorm with gamma and beta in float, s8 to s8. gamma and beta: in LSBs of y. */
void baseline_layernorm_s8_float(int8_t *y, const int8_t *x, const float *gamma, const float *beta, uint32_t length);

/** Fraction bits of (x - mean) / sigma in baseline_layernorm_s8_lean(), of which gamma uses the upper part. */
#define BASELINE_NORM_BITS 25

/**
 * LayerNorm with gamma and beta in integers, s8 to s8: a square root and a division a row, two multiplications an
 * element.
 *
 * @param y        word aligned
 * @param weights  gamma and beta in turns. gamma: in LSBs of y, times 2^(shift + 32 - BASELINE_NORM_BITS). beta: in LSBs
 *                 of y, plus 128.5, times 2^shift, which folds in the zero point and the half that rounds
 */
void baseline_layernorm_s8_lean(int8_t *y, const int8_t *x, const int16_t *weights, uint32_t shift, uint32_t length);

#endif
