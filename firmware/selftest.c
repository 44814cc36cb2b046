/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/*
 * Console command `selftest`: the C twin's sums on any SoC; on one with the core, the core against the C twin, bit for
 * bit, and every error that software can provoke, by status and by interrupt, and that the next job works.
 */

#include "selftest.h"

#include <stdio.h>
#include <string.h>

#include "board.h"
#include "records.h"

uint8_t selftest_input[BUFFER_BYTES] __attribute__((aligned(16)));
uint8_t selftest_from_twin[BUFFER_BYTES + CANARY_BYTES] __attribute__((aligned(16)));

const char *const selftest_input_names[2] = { "s8", "s16" };

const struct selftest_format selftest_formats[FORMATS] = {
#define FORMAT_ROW(name, code, bits, zero_point, total, capped, text) { text, zero_point, total, capped, (bits) / 8 },
	LITENORM_FORMATS_X(FORMAT_ROW)
#undef FORMAT_ROW
};

const uint16_t selftest_lengths[LENGTHS] = { 1, 2, 3, 5, 8, 17, 64, 200 };

#ifdef CFU_INT8
#define PARTS ", or cfu"
#else
#define PARTS ""
#endif

static unsigned tests, failed;

void selftest_report(const char *name, const char *detail, int ok)
{
	record_checked("@selftest name=%s%s%s ok=%d", name, *detail ? "_" : "", detail, ok);
	tests++;
	if (!ok) {
		failed++;
		board_fail();
	}
}

/* Rows ----------------------------------------------------------------------------------------------------------*/

static int32_t element(uint32_t row, uint32_t i, uint32_t length, int32_t highest, uint32_t *state)
{
	int32_t random = (int32_t)(board_random(state) & (uint32_t)(2 * highest + 1)) - highest - 1;

	switch (row % ROWS) {
	case 0:
		return random;
	case 1:
		return random / 16;
	case 2:
		return highest;
	case 3:
		return i == 0 ? highest : -highest - 1;
	case 4:
		return i == length - 1 ? highest : -highest / 2;
	case 5:
		return (int32_t)(i * (uint32_t)highest / length);
	case 6:
		return i & 1 ? highest : -highest - 1;
	default:
		return highest / 2 + random / 64;
	}
}

/* Random rows and the edges, another in each row. */
static void fill(unsigned type, uint32_t rows, uint32_t length, uint32_t stride)
{
	static uint32_t state = 1;
	uint32_t row, i;

	for (row = 0; row < rows; row++) {
		for (i = 0; i < length; i++) {
			if (type == LITENORM_INPUT_S8)
				((int8_t *)(selftest_input + row * stride))[i] = (int8_t)element(row, i, length, INT8_MAX, &state);
			else
				((int16_t *)(void *)(selftest_input + row * stride))[i] =
					(int16_t)element(row, i, length, INT16_MAX, &state);
		}
	}
}

struct litenorm_job selftest_job(unsigned type, uint32_t rows, uint32_t length)
{
	struct litenorm_job job = {
		.src = selftest_input,
		.rows = rows,
		.length = length,
		.input = (uint8_t)type,
		.format = LITENORM_FORMAT_U16_Q15,
		/* One LSB of s8 is 1/13 octave, of s16 1/1600. */
		.scale_multiplier = 40000,
		.scale_shift = type == LITENORM_INPUT_S8 ? 10 : 17,
		.eps = length,
	};

	job.src_stride = litenorm_packed_stride(length, litenorm_input_bytes(&job));
	fill(type, rows, length, job.src_stride);
	return job;
}

/* The twin alone ------------------------------------------------------------------------------------------------*/

static int32_t code_at(const uint8_t *codes, const struct selftest_format *format, uint32_t i)
{
	if (format->bytes == 1)
		return format->zero_point < 0 ? ((const int8_t *)codes)[i] : codes[i];
	if (format->zero_point < 0)
		return ((const int16_t *)(const void *)codes)[i];
	return ((const uint16_t *)(const void *)codes)[i];
}

static int softmax_sums(struct litenorm_job *job)
{
	const struct selftest_format *format = &selftest_formats[job->format];
	uint32_t stride = litenorm_packed_stride(job->length, format->bytes);
	int32_t total = job->length == 1 ? format->total - format->capped : format->total;
	uint32_t row, i;
	int ok = litenorm_ref_softmax(job) == LITENORM_OK;

	for (row = 0; row < job->rows; row++) {
		int32_t sum = 0;

		for (i = 0; i < job->length; i++)
			sum += code_at(selftest_from_twin + row * stride, format, i) - format->zero_point;
		ok &= sum == total;
	}
	return ok;
}

static int layernorm_sums(struct litenorm_job *job)
{
	uint32_t stride = litenorm_packed_stride(job->length, sizeof(int16_t));
	uint32_t row, i;
	int ok = litenorm_ref_layernorm(job) == LITENORM_OK;

	for (row = 0; row < job->rows; row++) {
		int32_t sum = 0;

		for (i = 0; i < job->length; i++)
			sum += ((const int16_t *)(const void *)(selftest_from_twin + row * stride))[i];
		ok &= sum == 0;
	}
	return ok;
}

static void test_twin(void)
{
	unsigned format, i;
	int ok;

	for (format = 0; format < FORMATS; format++) {
		ok = 1;
		for (i = 0; i < LENGTHS && selftest_lengths[i] <= LITENORM_REF_MAX_LENGTH; i++) {
			struct litenorm_job job = selftest_job(LITENORM_INPUT_S16, ROWS, selftest_lengths[i]);

			job.format = (uint8_t)format;
			job.dst = selftest_from_twin;
			ok &= softmax_sums(&job);
		}
		selftest_report("twin_softmax_sums", selftest_formats[format].name, ok);
	}
	ok = 1;
	for (i = 0; i < LENGTHS && selftest_lengths[i] <= LITENORM_REF_MAX_LENGTH; i++) {
		struct litenorm_job job = selftest_job(LITENORM_INPUT_S16, ROWS, selftest_lengths[i]);

		job.dst = selftest_from_twin;
		ok &= layernorm_sums(&job);
	}
	selftest_report("twin_layernorm_sums", "", ok);
}

void command_selftest(const char *argument)
{
	int all = !*argument;

	tests = 0;
	failed = 0;
	if (all)
		test_twin();
#ifdef CFU_INT8
	if (all || !strcmp(argument, "cfu"))
		selftest_cfu();
#endif
#ifdef CSR_LITENORM_BASE
	if (all) {
		selftest_core();
		selftest_errors();
	}
#endif
	if (tests == 0) {
		printf("selftest: there is no part %s; good: none, for all%s\n", argument, PARTS);
		board_fail();
	}
	printf("selftest: %u of %u tests passed\n", tests - failed, tests);
}
