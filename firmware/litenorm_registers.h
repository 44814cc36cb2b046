/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * How a job gets into the registers of the core; for the driver (litenorm.c) alone, on a SoC with the core.
 */

#ifndef LITENORM_REGISTERS_H
#define LITENORM_REGISTERS_H

#include <generated/csr.h>

#include "litenorm_job.h"

/** A field of a register, with this value, */
#define FIELD(name, value) ((uint32_t)(value) << CSR_LITENORM_##name##_OFFSET)
/** its bits, */
#define MASK(name)         (((1u << CSR_LITENORM_##name##_SIZE) - 1) << CSR_LITENORM_##name##_OFFSET)
/** and its value in what was read. */
#define GET(name, value)   ((value) >> CSR_LITENORM_##name##_OFFSET & ((1u << CSR_LITENORM_##name##_SIZE) - 1))

/** 1 when every field of a job fits its register. One branch for all of them: this is on the way to every job. */
static inline int fits(unsigned op, const struct litenorm_job *job)
{
	uint32_t beyond = (uint32_t)op >> CSR_LITENORM_MODE_OP_SIZE | (uint32_t)job->input >> CSR_LITENORM_MODE_INPUT_SIZE |
	                  (uint32_t)job->format >> CSR_LITENORM_MODE_FORMAT_SIZE |
	                  (uint32_t)job->scale_shift >> CSR_LITENORM_SCALE_SHIFT_SIZE;

	if (op != LITENORM_OP_SOFTMAX)
		beyond |= (uint32_t)job->output >> CSR_LITENORM_MODE_OUTPUT_SIZE |
		          (uint32_t)job->affine_shift >> CSR_LITENORM_AFFINE_SHIFT_SIZE |
		          (uint32_t)job->beta_shift >> CSR_LITENORM_AFFINE_BETA_SHIFT_SIZE |
		          (uint32_t)(job->eps >> LITENORM_EPS_BITS) | (job->gamma != NULL && job->beta == NULL);
	return beyond == 0;
}

/**
 * Write a job to the registers and start it. Inlined, so that a softmax does not pass by what only a norm has. Without
 * a mask_base the other registers of the mask do not count.
 */
static inline __attribute__((always_inline)) void write_job(unsigned op, const struct litenorm_job *job)
{
	int affine = op != LITENORM_OP_SOFTMAX && job->gamma != NULL;

	litenorm_src_write((uint32_t)(uintptr_t)job->src);
	litenorm_dst_write((uint32_t)(uintptr_t)job->dst);
	litenorm_src_stride_write(job->src_stride);
	litenorm_dst_stride_write(job->dst_stride);
	litenorm_rows_write(job->rows);
	litenorm_length_write(job->length);
	if (op == LITENORM_OP_SOFTMAX) {
		litenorm_mode_write(FIELD(MODE_OP, op) | FIELD(MODE_INPUT, job->input) | FIELD(MODE_FORMAT, job->format));
		litenorm_scale_write(FIELD(SCALE_MULTIPLIER, job->scale_multiplier) |
		                     FIELD(SCALE_SHIFT, job->scale_shift));
	} else {
		litenorm_mode_write(FIELD(MODE_OP, op) | FIELD(MODE_INPUT, job->input) | FIELD(MODE_AFFINE, affine) |
		                    FIELD(MODE_OUTPUT, job->output));
		litenorm_eps_write(job->eps);
	}
	if (affine) {
		litenorm_gamma_write((uint32_t)(uintptr_t)job->gamma);
		litenorm_beta_write((uint32_t)(uintptr_t)job->beta);
		litenorm_affine_write(FIELD(AFFINE_SHIFT, job->affine_shift) |
		                      FIELD(AFFINE_BETA_SHIFT, job->beta_shift));
	}
	litenorm_mask_base_write(job->mask_base);
	if (job->mask_base != 0) {
		litenorm_mask_increment_write(job->mask_increment);
		litenorm_mask_period_write(job->mask_period);
	}
	litenorm_control_write(FIELD(CONTROL_START, 1));
}

#endif
