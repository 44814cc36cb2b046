/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* Selftest: the core against the C twin, all operations, formats and types, and rows in memory. */

#include "selftest.h"

#include <stdio.h>
#include <string.h>

#include "board.h"

#ifdef CSR_LITENORM_BASE

uint8_t selftest_from_core[BUFFER_BYTES + CANARY_BYTES] __attribute__((aligned(16)));
static int16_t gamma[LITENORM_REF_MAX_LENGTH] __attribute__((aligned(16)));
static int16_t beta[LITENORM_REF_MAX_LENGTH] __attribute__((aligned(16)));

static int (*const core_op[])(const struct litenorm_job *) = {
	[LITENORM_OP_SOFTMAX] = litenorm_softmax,
	[LITENORM_OP_LAYERNORM] = litenorm_layernorm,
	[LITENORM_OP_RMSNORM] = litenorm_rmsnorm,
};
static int (*const twin_op[])(const struct litenorm_job *) = {
	[LITENORM_OP_SOFTMAX] = litenorm_ref_softmax,
	[LITENORM_OP_LAYERNORM] = litenorm_ref_layernorm,
	[LITENORM_OP_RMSNORM] = litenorm_ref_rmsnorm,
};

/*
 * Runs the job on both, with its rows so many bytes behind the begin of the buffers; 1 when both wrote the same bytes and
 * nothing before, between and behind the rows.
 */
static int same_at(uint32_t offset, unsigned op, struct litenorm_job job)
{
	uint32_t packed = litenorm_packed_stride(job.length, litenorm_output_bytes(&job, op));
	uint32_t bytes = offset + job.rows * (job.dst_stride ? job.dst_stride : packed) + CANARY_BYTES - CACHE_LINE;
	int core, twin;

	memset(selftest_from_core, CANARY, bytes);
	memset(selftest_from_twin, CANARY, bytes);
	job.dst = selftest_from_twin + offset;
	twin = twin_op[op](&job);
	job.dst = selftest_from_core + offset;
	core = core_op[op](&job);
	return core == LITENORM_OK && twin == LITENORM_OK && !memcmp(selftest_from_core, selftest_from_twin, bytes);
}

static int same(unsigned op, struct litenorm_job job)
{
	return same_at(0, op, job);
}

unsigned selftest_any_op(void)
{
	unsigned op = 0;

	while (!has_op(op))
		op++;
	return op;
}

static unsigned any_input(void)
{
	return LITENORM_INPUTS >> LITENORM_INPUT_S16 & 1 ? LITENORM_INPUT_S16 : LITENORM_INPUT_S8;
}

static uint8_t any_format(void)
{
	uint8_t format = LITENORM_FORMAT_U16_Q15;

	if (LITENORM_FORMATS && !(LITENORM_FORMATS >> format & 1))
		for (format = 0; !(LITENORM_FORMATS >> format & 1); format++)
			;
	return format;
}

/* A job that every core can run. */
struct litenorm_job selftest_plain_job(uint32_t rows, uint32_t length)
{
	struct litenorm_job job = selftest_job(any_input(), rows, length);

	job.format = any_format();
	job.dst = selftest_from_core;
	return job;
}

int selftest_good_job_works(void)
{
	return same(selftest_any_op(), selftest_plain_job(ROWS, SOME_ROW));
}

static void test_softmax(void)
{
	unsigned format, type, i;
	char name[32];

	for (format = 0; format < FORMATS; format++) {
		for (type = 0; type < 2; type++) {
			int ok = 1;

			if (!(LITENORM_FORMATS >> format & 1) || !(LITENORM_INPUTS >> type & 1))
				continue;
			for (i = 0; i < LENGTHS && selftest_lengths[i] <= LITENORM_MAX_LENGTH; i++) {
				struct litenorm_job job = selftest_job(type, ROWS, selftest_lengths[i]);

				job.format = (uint8_t)format;
				ok &= same(LITENORM_OP_SOFTMAX, job);
			}
			snprintf(name, sizeof(name), "%s_%s", selftest_input_names[type], selftest_formats[format].name);
			selftest_report("softmax", name, ok);
		}
	}
}

static void fill_weights(void)
{
	uint32_t state = 7;
	uint32_t i;

	for (i = 0; i < LITENORM_REF_MAX_LENGTH; i++) {
		gamma[i] = (int16_t)board_random(&state);
		beta[i] = (int16_t)board_random(&state);
	}
}

struct litenorm_job selftest_with_weights(struct litenorm_job job, uint8_t output)
{
	job.gamma = gamma;
	job.beta = beta;
	job.output = output;
	job.affine_shift = output == LITENORM_OUTPUT_S8 ? 19 : 12;
	job.beta_shift = 3;
	return job;
}

static void test_norm(unsigned op, const char *name)
{
	unsigned type, i;

	for (type = 0; type < 2; type++) {
		int ok = 1;

		if (!has_op(op) || !(LITENORM_INPUTS >> type & 1))
			continue;
		for (i = 0; i < LENGTHS && selftest_lengths[i] <= LITENORM_MAX_LENGTH; i++) {
			struct litenorm_job job = selftest_job(type, ROWS, selftest_lengths[i]);

			ok &= same(op, job);
			if (LITENORM_HAS_AFFINE) {
				ok &= same(op, selftest_with_weights(job, LITENORM_OUTPUT_S8));
				ok &= same(op, selftest_with_weights(job, LITENORM_OUTPUT_S16));
			}
		}
		selftest_report(name, selftest_input_names[type], ok);
	}
}

static void test_rows_in_memory(void)
{
	static const uint16_t masks[][3] = { { 1, 1, 4 }, { 1, 1, 0 }, { 5, 0, 0 }, { 3, 60000, 2 } };
	static const char *const names[] = { "softmax", "layernorm", "rmsnorm" };
	unsigned op, i;

	for (op = 0; op < 3; op++) {
		struct litenorm_job job = selftest_plain_job(ROWS, SHORT_ROW);
		int ok = 1;

		if (!has_op(op))
			continue;
		for (i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
			job.mask_base = masks[i][0];
			job.mask_increment = masks[i][1];
			job.mask_period = masks[i][2];
			ok &= same(op, job);
		}
		selftest_report("mask", names[op], ok);

		job = selftest_plain_job(ROWS, SHORT_ROW);
		job.length = SHORT_ROW - SHORT_ROW / 4;
		job.dst_stride = STRIDE_BYTES;
		selftest_report("strides", names[op], same(op, job));

		job = selftest_plain_job(2, LITENORM_MAX_LENGTH);
		selftest_report("longest_row", names[op], same(op, job));

		/* Short rows that share their lines of the cache with other data. */
		for (ok = 1, i = 0; i < CACHE_LINE; i += LITENORM_WORD_BYTES) {
			job = selftest_plain_job(1 + i % 3, SOME_ROW);
			ok &= same_at(i, op, job);
		}
		selftest_report("lines", names[op], ok);
	}
}

void selftest_core(void)
{
	fill_weights();
	test_softmax();
	test_norm(LITENORM_OP_LAYERNORM, "layernorm");
	test_norm(LITENORM_OP_RMSNORM, "rmsnorm");
	test_rows_in_memory();
}

#endif
