/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* Console command `bench`: clock cycles, as the caller of the driver or of the C twin sees them. */

#include <stdio.h>
#include <string.h>

#include <generated/soc.h>

#include "baselines.h"
#include "board.h"
#include "kernels.h"
#include "litenorm.h"
#include "litenorm_ref.h"

#define BENCH_ROWS  8u
#define BATCH_ROWS  32u /* of s8 rows for the core: a batch hides what a job costs to start */
#define SLOW_ROWS   2u  /* of s8 rows for the C versions: each row costs them the same */
#define GEMM_ROWS   16u
#define GEMM_DEPTH  128u

#define CALL_RUNS   4u
#define CACHE_LINE  32u
#define CACHE_BYTES 4096u

/*
 * The largest batch in and out. The output begins with the first lines of a direct-mapped cache, so that what throws what
 * out of it does not depend on the firmware's other variables: the stack has the last lines.
 */
static int16_t x[BATCH_ROWS * LITENORM_REF_MAX_LENGTH] __attribute__((aligned(64)));
static int16_t y[BATCH_ROWS * LITENORM_REF_MAX_LENGTH + 512] __attribute__((aligned(CACHE_BYTES)));
static int16_t gamma[LITENORM_REF_MAX_LENGTH] __attribute__((aligned(64)));
static int16_t beta[LITENORM_REF_MAX_LENGTH + 96] __attribute__((aligned(64)));

/* Second of two runs: caches are warm. */
static void measure(const char *op, const char *path, int (*function)(const struct litenorm_job *),
                    const struct litenorm_job *job)
{
	uint32_t cycles = 0;
	int result = LITENORM_OK;
	int run;

	for (run = 0; run < 2 && result == LITENORM_OK; run++) {
		uint32_t started = board_cycles();

		result = function(job);
		cycles = board_cycles() - started;
	}
	if (result == LITENORM_ERR_BAD_OP || result == LITENORM_ERR_BAD_FORMAT)
		return; /* not built into this core */
	if (result != LITENORM_OK) {
		printf("%s: %s\n", op, litenorm_strerror(result));
		board_fail();
		return;
	}
	printf("@bench op=%s n=%lu rows=%lu path=%s cycles=%lu\n", op, (unsigned long)job->length,
	       (unsigned long)job->rows, path, (unsigned long)cycles);
}

static void bench_norms(uint32_t length)
{
	struct litenorm_job job = {
		.src = x,
		.dst = y,
		.rows = BENCH_ROWS,
		.length = length,
		.input = LITENORM_INPUT_S16,
		.format = LITENORM_FORMAT_U16_Q15,
		.scale_multiplier = 40000,
		.scale_shift = 17,
		.affine_shift = 20,
		.output = LITENORM_OUTPUT_S8,
	};

	if (board_has_core())
		measure("softmax", "accel", litenorm_softmax, &job);
	measure("softmax", "cpu", litenorm_ref_softmax, &job);
	if (length > LITENORM_NORM_MAX_LENGTH)
		return;
	if (board_has_core())
		measure("layernorm", "accel", litenorm_layernorm, &job);
	measure("layernorm", "cpu", litenorm_ref_layernorm, &job);
	job.gamma = gamma;
	job.beta = beta;
	if (board_has_core())
		measure("layernorm_affine", "accel", litenorm_layernorm, &job);
	measure("layernorm_affine", "cpu", litenorm_ref_layernorm, &job);
}

/* Logits of one LSB = 1/16, as a scale, for TFLite, and as a table. */
#define S8_SCALE       0.0625f
#define TFLITE_MULTIPLIER 1073741824
#define TFLITE_SHIFT   23
#define TFLITE_MIN     (-248)
static uint16_t exp_table[BASELINE_TABLE];

static int run_float_softmax(const struct litenorm_job *job)
{
	uint32_t r;

	for (r = 0; r < job->rows; r++)
		baseline_softmax_float((uint8_t *)y + r * job->length, (int8_t *)x + r * job->length, job->length, S8_SCALE);
	return LITENORM_OK;
}

static int run_cmsis_softmax(const struct litenorm_job *job)
{
	uint32_t r;

	for (r = 0; r < job->rows; r++)
		baseline_softmax_cmsis((int8_t *)y + r * job->length, (int8_t *)x + r * job->length, job->length,
		                       TFLITE_MULTIPLIER, TFLITE_SHIFT, TFLITE_MIN);
	return LITENORM_OK;
}

static int run_lean_softmax(const struct litenorm_job *job)
{
	uint32_t r;

	for (r = 0; r < job->rows; r++)
		baseline_softmax_lean((uint8_t *)y + r * job->length, (int8_t *)x + r * job->length, job->length, exp_table);
	return LITENORM_OK;
}

static int run_float_layernorm(const struct litenorm_job *job)
{
	uint32_t r;

	for (r = 0; r < job->rows; r++)
		baseline_layernorm_float(y + r * job->length, (int8_t *)x + r * job->length, job->length);
	return LITENORM_OK;
}

static int run_lean_layernorm(const struct litenorm_job *job)
{
	uint32_t r;

	for (r = 0; r < job->rows; r++)
		baseline_layernorm_lean(y + r * job->length, (int8_t *)x + r * job->length, job->length);
	return LITENORM_OK;
}

/* The same gamma and beta in three forms: 2^15 are 32 LSBs of y. */
#define AFFINE_SHIFT 20
#define BETA_SHIFT   10
#define LEAN_SHIFT   3
static float float_gamma[LITENORM_REF_MAX_LENGTH], float_beta[LITENORM_REF_MAX_LENGTH];
static int16_t lean_weights[2 * LITENORM_REF_MAX_LENGTH + 160] __attribute__((aligned(64)));

static void bench_weights(void)
{
	uint32_t i;

	for (i = 0; i < LITENORM_REF_MAX_LENGTH; i++) {
		float_gamma[i] = (float)gamma[i] / 1024.0f;
		float_beta[i] = (float)beta[i] / 1024.0f;
		lean_weights[2 * i] = gamma[i];
		lean_weights[2 * i + 1] = (int16_t)((beta[i] >> (BETA_SHIFT - LEAN_SHIFT)) + (257 << LEAN_SHIFT >> 1));
	}
}

static int run_float_layernorm_s8(const struct litenorm_job *job)
{
	uint32_t r;

	for (r = 0; r < job->rows; r++)
		baseline_layernorm_s8_float((int8_t *)y + r * job->length, (int8_t *)x + r * job->length, float_gamma,
		                            float_beta, job->length);
	return LITENORM_OK;
}

static int run_lean_layernorm_s8(const struct litenorm_job *job)
{
	uint32_t r;

	for (r = 0; r < job->rows; r++)
		baseline_layernorm_s8_lean((int8_t *)y + r * job->length, (int8_t *)x + r * job->length, lean_weights,
		                           LEAN_SHIFT, job->length);
	return LITENORM_OK;
}

/* Rows of s8, as an int8 model has them, beside what else there is. */
static void bench_s8(uint32_t length)
{
	struct litenorm_job job = {
		.src = x,
		.dst = y,
		.rows = BATCH_ROWS,
		.length = length,
		.input = LITENORM_INPUT_S8,
		.format = LITENORM_FORMAT_U8_255,
		.scale_multiplier = 47274, /* 1/16 in octaves */
		.scale_shift = 10,
	};
	struct litenorm_job slow = job;

	slow.rows = SLOW_ROWS;
	if (board_has_core())
		measure("softmax_s8", "accel", litenorm_softmax, &job);
	measure("softmax_s8", "cpu", litenorm_ref_softmax, &slow);
	measure("softmax_s8", "lean", run_lean_softmax, &slow);
	measure("softmax_s8", "cmsis", run_cmsis_softmax, &slow);
	measure("softmax_s8", "float", run_float_softmax, &slow);
	if (board_has_core())
		measure("layernorm_s8", "accel", litenorm_layernorm, &job);
	measure("layernorm_s8", "cpu", litenorm_ref_layernorm, &slow);
	measure("layernorm_s8", "lean", run_lean_layernorm, &slow);
	measure("layernorm_s8", "float", run_float_layernorm, &slow);
	slow.gamma = job.gamma = gamma;
	slow.beta = job.beta = beta;
	slow.affine_shift = job.affine_shift = AFFINE_SHIFT;
	slow.beta_shift = job.beta_shift = BETA_SHIFT;
	slow.output = job.output = LITENORM_OUTPUT_S8;
	if (board_has_core())
		measure("layernorm_s8_s8", "accel", litenorm_layernorm, &job);
	measure("layernorm_s8_s8", "cpu", litenorm_ref_layernorm, &slow);
	measure("layernorm_s8_s8", "lean", run_lean_layernorm_s8, &slow);
	measure("layernorm_s8_s8", "float", run_float_layernorm_s8, &slow);
}

/* One linear layer of GEMM_ROWS tokens: n is the depth, as many outputs. */
static void bench_gemm(void)
{
	static int8_t left[GEMM_ROWS * GEMM_DEPTH + 64] __attribute__((aligned(128)));
	static int8_t right[GEMM_DEPTH * GEMM_DEPTH] __attribute__((aligned(128)));
	static int8_t out[GEMM_ROWS * GEMM_DEPTH] __attribute__((aligned(128)));
	static int32_t bias[GEMM_DEPTH], multiplier[GEMM_DEPTH];
	static uint8_t shift[GEMM_DEPTH];
	const struct kernel_requant requant = { multiplier, shift, 1, 1 };
	uint32_t started, cycles, i;

	for (i = 0; i < GEMM_DEPTH; i++) {
		multiplier[i] = INT32_MAX;
		shift[i] = 40;
	}
	started = board_cycles();
	KERNEL_C(kernel_linear)(out, left + 64, right, bias, &requant, GEMM_ROWS, GEMM_DEPTH, GEMM_DEPTH);
	cycles = board_cycles() - started;
	printf("@bench op=gemm n=%u rows=%u path=cpu cycles=%lu\n", GEMM_DEPTH, GEMM_ROWS, (unsigned long)cycles);
#ifdef CFU_INT8
	started = board_cycles();
	kernel_linear(out, left + 64, right, bias, &requant, GEMM_ROWS, GEMM_DEPTH, GEMM_DEPTH);
	cycles = board_cycles() - started;
	printf("@bench op=gemm n=%u rows=%u path=cfu cycles=%lu\n", GEMM_DEPTH, GEMM_ROWS, (unsigned long)cycles);
#endif
}

#define CALL_LENGTH 64u

/* Load what a direct-mapped data cache has room for only where it has `object`, which is then in memory alone. */
static void throw_out(const void *object, size_t bytes)
{
	static volatile uint8_t other[CACHE_BYTES];
	uintptr_t first = (uintptr_t)object - (uintptr_t)other;
	size_t i;

	for (i = 0; i < bytes + CACHE_LINE - 1; i += CACHE_LINE)
		(void)other[(first + (i < bytes ? i : bytes - 1)) % CACHE_BYTES];
}

/* Cycles of a call of the driver for one short row, from before it to after it; sets *result. */
static __attribute__((noinline)) uint32_t time_call(const struct litenorm_job *job, int *result)
{
	uint32_t started = board_cycles();
	uint32_t clock = board_cycles() - started;

	started = board_cycles();
	*result = litenorm_softmax(job);
	return board_cycles() - started - clock;
}

/*
 * The cache takes no line for a store: a job that was just written on the stack is read from memory. And an output that
 * does not begin where a line does shares lines with other data.
 */
static uint32_t time_call_with_new_job(const struct litenorm_job *from, int *result)
{
	struct litenorm_job job = *from;

	job.dst = (uint8_t *)from->dst + LITENORM_WORD_BYTES;
	throw_out(&job, sizeof(job));
	return time_call(&job, result);
}

/*
 * The least that a job costs, and more than that. All else is in the caches from the second run on; the least of the runs
 * counts, because the interrupt that sends the text of the line before may throw out a line of code between two of them.
 */
static void bench_calls(void)
{
	static const struct {
		const char *name;
		uint8_t input, format;
	} kinds[] = {
#define KINDS(name, code, bits, zero_point, total, capped, text) \
	{ "s8_" text, LITENORM_INPUT_S8, code }, { "s16_" text, LITENORM_INPUT_S16, code },
		LITENORM_FORMATS_X(KINDS)
#undef KINDS
	};
	static const struct {
		const char *name;
		uint32_t (*time)(const struct litenorm_job *job, int *result);
	} records[] = {
		{ "static", time_call },
		{ "stack", time_call_with_new_job },
	};
	static struct litenorm_job job = {
		.src = x,
		.dst = y,
		.rows = 1,
		.length = CALL_LENGTH,
		.scale_multiplier = 40000,
		.scale_shift = 17,
	};
	volatile int32_t sum = 0;
	unsigned i, n, run;

	for (i = 0; i < 2 * sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint32_t cycles = UINT32_MAX;
		int result = LITENORM_OK;

		job.input = kinds[i / 2].input;
		job.format = kinds[i / 2].format;
		for (run = 0; run < CALL_RUNS && result == LITENORM_OK; run++) {
			uint32_t took = records[i % 2].time(&job, &result);

			cycles = took < cycles ? took : cycles;
			/* A result that is used is in the cache. */
			for (n = 0; n < CALL_LENGTH; n++)
				sum += y[n];
		}
		if (result == LITENORM_ERR_BAD_OP || result == LITENORM_ERR_BAD_FORMAT)
			continue; /* not built into this core */
		if (result != LITENORM_OK) {
			printf("softmax: %s\n", litenorm_strerror(result));
			board_fail();
			continue;
		}
		printf("@call op=softmax kind=%s job=%s n=%u rows=1 cycles=%lu core=%lu\n", kinds[i / 2].name,
		       records[i % 2].name, CALL_LENGTH, (unsigned long)cycles, (unsigned long)litenorm_cycles());
	}
}

void command_bench(const char *argument)
{
	uint32_t state = 1;
	uint32_t i, length;

	baseline_exp_table(exp_table, S8_SCALE);
	for (i = 0; i < BATCH_ROWS * LITENORM_REF_MAX_LENGTH; i++)
		x[i] = (int16_t)(board_random(&state) >> 18);
	for (i = 0; i < LITENORM_REF_MAX_LENGTH; i++) {
		gamma[i] = (int16_t)board_random(&state);
		beta[i] = (int16_t)board_random(&state);
	}
	bench_weights();
	if (board_has_core())
		bench_calls();
	if (strcmp(argument, "calls") == 0)
		return;
	for (length = 16; length <= 1024 && length <= LITENORM_REF_MAX_LENGTH; length *= 2)
		bench_norms(length);
	for (length = 16; length <= 1024 && length <= LITENORM_NORM_MAX_LENGTH; length *= 2)
		bench_s8(length);
	bench_gemm();
}
