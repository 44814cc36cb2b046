/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * Products of one row with the panels of kernels.h: text generation has one new row at a time, of which a tile of 4 x 4
 * would compute four.
 *
 * Portable C99, no state, or the custom instructions of cfu.h (kernels_cfu.c) where the CPU has them. The results are
 * those of the tiles, bit for bit.
 */

#ifndef LITENORM_VECTOR_H
#define LITENORM_VECTOR_H

#include "kernels.h"

/**
 * out[j] = requant[channel + j](bias[j] + sum over k < kernel_depth(depth) of a[k] times row j of the panels b).
 *
 * @param a      s8, plain; kernel_depth(depth) elements are read, those behind `depth` meet zeros
 * @param b      panels of `columns` rows, b_step bytes apart
 * @param bias   s32 [columns]; NULL: none
 * @param out    s8 or s16 [columns]
 */
void vector_product_s8(void *out, const int8_t *a, const int8_t *b, uint32_t b_step, const int32_t *bias,
                       const struct kernel_requant *requant, uint32_t channel, uint32_t columns, uint32_t depth);

/** As vector_product_s8() with a in u16. */
void vector_product_u16(void *out, const uint16_t *a, const int8_t *b, uint32_t b_step, const int32_t *bias,
                        const struct kernel_requant *requant, uint32_t channel, uint32_t columns, uint32_t depth);

#endif
