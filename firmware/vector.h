/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * Products of one row with the panels of kernels.h: text generation has one new row at a time, of which a tile of 4 x 4
 * would compute four.
 *
 * Portable C99, no state. The results are those of the tiles, bit for bit.
 */

#ifndef LITENORM_VECTOR_H
#define LITENORM_VECTOR_H

#include "kernels.h"

/**
 * sums[j] = sum over k < kernel_depth(depth) of a[k] times row j of panel b, s32.
 *
 * @param a  s8, plain; kernel_depth(depth) elements are read, those behind `depth` meet zeros
 */
void vector_multiply_s8(int32_t sums[4], const int8_t *a, const int8_t *b, uint32_t depth);

/** As vector_multiply_s8() with a in u16. */
void vector_multiply_u16(int32_t sums[4], const uint16_t *a, const int8_t *b, uint32_t depth);

/** kernel_linear() of one row: x is plain, s8 [kernel_depth(inputs)]; out s8 or s16 [outputs]. */
void vector_linear(void *out, const int8_t *x, const int8_t *weight, const int32_t *bias,
                   const struct kernel_requant *requant, uint32_t inputs, uint32_t outputs);

#endif
