/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * The core's arithmetic in portable C: the same codes, bit for bit, as the hardware and as litenorm.accel.model.
 *
 * For SoCs without the core, and as the check of SoCs with it. C99, integers only, no LiteX header, no allocation.
 * `>>` of a negative number must be arithmetic, as it is with every common compiler. Rows are worked on in one
 * static buffer of 6 bytes for each of LITENORM_REF_MAX_LENGTH elements: not reentrant.
 */

#ifndef LITENORM_REF_H
#define LITENORM_REF_H

#include "litenorm_job.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Softmax of every row: sum(code - zero point) is exactly the format's total.
 *
 * @param job  as for the core, but src, dst and strides need only the alignment of their elements
 * @return     LITENORM_OK; LITENORM_ERR_BAD_FORMAT, _BAD_LENGTH, _BAD_ROWS or _BAD_PARAMETER: nothing was written
 */
int litenorm_ref_softmax(const struct litenorm_job *job);

/** LayerNorm of every row: the sum of the Q5.10 codes before gamma and beta is exactly 0. Otherwise as softmax. */
int litenorm_ref_layernorm(const struct litenorm_job *job);

/** RMSNorm of every row. Otherwise as litenorm_ref_layernorm(). */
int litenorm_ref_rmsnorm(const struct litenorm_job *job);

#ifdef __cplusplus
}
#endif

#endif
