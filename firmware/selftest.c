/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/*
 * Console command `selftest`: the core against the C twin, bit for bit; every error that software can provoke, by status
 * and by interrupt, and that the next job works; the C twin's sums on any SoC.
 */

#include <stdio.h>
#include <string.h>

#include <generated/csr.h>
#include <generated/soc.h>

#include "board.h"
#include "litenorm.h"
#include "litenorm_ref.h"

#define ROWS         8u
#define STRIDE_BYTES 64u /* of rows that are not packed; SHORT_ROW elements of 2 bytes fit */
#define BUFFER_BYTES (ROWS * (2 * LITENORM_REF_MAX_LENGTH > STRIDE_BYTES ? 2 * LITENORM_REF_MAX_LENGTH : STRIDE_BYTES))
#define CANARY       0x5a
#define CANARY_BYTES 64u

static uint8_t input[BUFFER_BYTES] __attribute__((aligned(16)));
static uint8_t from_twin[BUFFER_BYTES + CANARY_BYTES] __attribute__((aligned(16)));

static unsigned tests, failed;

static const char *const input_names[] = { "s8", "s16" };

struct format {
	const char *name;
	int32_t zero_point;
	int32_t total;
	int32_t capped;
	uint32_t bytes;
};

static const struct format formats[] = {
#define FORMAT_ROW(name, code, bits, zero_point, total, capped, text) { text, zero_point, total, capped, (bits) / 8 },
	LITENORM_FORMATS_X(FORMAT_ROW)
#undef FORMAT_ROW
};

#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static void report(const char *name, const char *detail, int ok)
{
	printf("@selftest name=%s%s%s ok=%d\n", name, *detail ? "_" : "", detail, ok);
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
				((int8_t *)(input + row * stride))[i] = (int8_t)element(row, i, length, INT8_MAX, &state);
			else
				((int16_t *)(void *)(input + row * stride))[i] =
					(int16_t)element(row, i, length, INT16_MAX, &state);
		}
	}
}

static struct litenorm_job job_of(unsigned type, uint32_t rows, uint32_t length)
{
	struct litenorm_job job = {
		.src = input,
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

static const uint16_t lengths[] = { 1, 2, 3, 5, 8, 17, 64, 200 };

#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static int32_t code_at(const uint8_t *codes, const struct format *format, uint32_t i)
{
	if (format->bytes == 1)
		return format->zero_point < 0 ? ((const int8_t *)codes)[i] : codes[i];
	if (format->zero_point < 0)
		return ((const int16_t *)(const void *)codes)[i];
	return ((const uint16_t *)(const void *)codes)[i];
}

static int softmax_sums(struct litenorm_job *job)
{
	const struct format *format = &formats[job->format];
	uint32_t stride = litenorm_packed_stride(job->length, format->bytes);
	int32_t total = job->length == 1 ? format->total - format->capped : format->total;
	uint32_t row, i;
	int ok = litenorm_ref_softmax(job) == LITENORM_OK;

	for (row = 0; row < job->rows; row++) {
		int32_t sum = 0;

		for (i = 0; i < job->length; i++)
			sum += code_at(from_twin + row * stride, format, i) - format->zero_point;
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
			sum += ((const int16_t *)(const void *)(from_twin + row * stride))[i];
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
		for (i = 0; i < LENGTHS && lengths[i] <= LITENORM_REF_MAX_LENGTH; i++) {
			struct litenorm_job job = job_of(LITENORM_INPUT_S16, ROWS, lengths[i]);

			job.format = (uint8_t)format;
			job.dst = from_twin;
			ok &= softmax_sums(&job);
		}
		report("twin_softmax_sums", formats[format].name, ok);
	}
	ok = 1;
	for (i = 0; i < LENGTHS && lengths[i] <= LITENORM_REF_MAX_LENGTH; i++) {
		struct litenorm_job job = job_of(LITENORM_INPUT_S16, ROWS, lengths[i]);

		job.dst = from_twin;
		ok &= layernorm_sums(&job);
	}
	report("twin_layernorm_sums", "", ok);
}

#ifdef CSR_LITENORM_BASE

/* The core against the twin -------------------------------------------------------------------------------------*/

#define SOME_ROW  (LITENORM_MAX_LENGTH < 16 ? LITENORM_MAX_LENGTH : 16u)
#define SHORT_ROW (LITENORM_MAX_LENGTH < 18 ? LITENORM_MAX_LENGTH : 18u)

static uint8_t from_core[BUFFER_BYTES + CANARY_BYTES] __attribute__((aligned(16)));
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

/* Runs the job on both; 1 when both wrote the same bytes and nothing between and behind the rows. */
static int same(unsigned op, struct litenorm_job job)
{
	uint32_t packed = litenorm_packed_stride(job.length, litenorm_output_bytes(&job, op));
	uint32_t bytes = job.rows * (job.dst_stride ? job.dst_stride : packed) + CANARY_BYTES;
	int core, twin;

	memset(from_core, CANARY, bytes);
	memset(from_twin, CANARY, bytes);
	job.dst = from_twin;
	twin = twin_op[op](&job);
	job.dst = from_core;
	core = core_op[op](&job);
	return core == LITENORM_OK && twin == LITENORM_OK && !memcmp(from_core, from_twin, bytes);
}

static int has_op(unsigned op)
{
	return LITENORM_OPS >> op & 1;
}

static unsigned any_op(void)
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
static struct litenorm_job plain_job(uint32_t rows, uint32_t length)
{
	struct litenorm_job job = job_of(any_input(), rows, length);

	job.format = any_format();
	job.dst = from_core;
	return job;
}

static int good_job_works(void)
{
	return same(any_op(), plain_job(ROWS, SOME_ROW));
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
			for (i = 0; i < LENGTHS && lengths[i] <= LITENORM_MAX_LENGTH; i++) {
				struct litenorm_job job = job_of(type, ROWS, lengths[i]);

				job.format = (uint8_t)format;
				ok &= same(LITENORM_OP_SOFTMAX, job);
			}
			snprintf(name, sizeof(name), "%s_%s", input_names[type], formats[format].name);
			report("softmax", name, ok);
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

static struct litenorm_job with_weights(struct litenorm_job job, uint8_t output)
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
		for (i = 0; i < LENGTHS && lengths[i] <= LITENORM_MAX_LENGTH; i++) {
			struct litenorm_job job = job_of(type, ROWS, lengths[i]);

			ok &= same(op, job);
			if (LITENORM_HAS_AFFINE) {
				ok &= same(op, with_weights(job, LITENORM_OUTPUT_S8));
				ok &= same(op, with_weights(job, LITENORM_OUTPUT_S16));
			}
		}
		report(name, input_names[type], ok);
	}
}

static void test_rows_in_memory(void)
{
	static const uint16_t masks[][3] = { { 1, 1, 4 }, { 1, 1, 0 }, { 5, 0, 0 }, { 3, 60000, 2 } };
	static const char *const names[] = { "softmax", "layernorm", "rmsnorm" };
	unsigned op, i;

	for (op = 0; op < 3; op++) {
		struct litenorm_job job = plain_job(ROWS, SHORT_ROW);
		int ok = 1;

		if (!has_op(op))
			continue;
		for (i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
			job.mask_base = masks[i][0];
			job.mask_increment = masks[i][1];
			job.mask_period = masks[i][2];
			ok &= same(op, job);
		}
		report("mask", names[op], ok);

		job = plain_job(ROWS, SHORT_ROW);
		job.length = SHORT_ROW - SHORT_ROW / 4;
		job.dst_stride = STRIDE_BYTES;
		report("strides", names[op], same(op, job));

		job = plain_job(2, LITENORM_MAX_LENGTH);
		report("longest_row", names[op], same(op, job));
	}
}

/* Interrupts, errors --------------------------------------------------------------------------------------------*/

static volatile unsigned interrupts;
static volatile int interrupt_result;

static void on_interrupt(int result)
{
	interrupts++;
	interrupt_result = result;
}

/* Starts the job and waits for the interrupt, without a look at the core. */
static int by_interrupt(unsigned op, const struct litenorm_job *job)
{
	uint32_t patience = 1000000;
	int result;

	interrupts = 0;
	litenorm_set_callback(on_interrupt);
	result = litenorm_start(op, job);
	while (result == LITENORM_OK && interrupts == 0 && patience--)
		;
	litenorm_set_callback(NULL);
	if (result != LITENORM_OK)
		return result;
	return interrupts == 1 ? interrupt_result : LITENORM_ERR_STUCK;
}

static int untouched(const uint8_t *bytes, uint32_t count)
{
	while (count--)
		if (*bytes++ != CANARY)
			return 0;
	return 1;
}

/* The job must end with this code, write nothing, and leave a core that works. */
static void expect(const char *name, unsigned op, const struct litenorm_job *job, int code)
{
	int ok;

	memset(from_core, CANARY, 512);
	ok = by_interrupt(op, job) == code && untouched(from_core, 512);
	report("bad", name, ok && good_job_works());
}

static void test_bad_jobs(void)
{
	const struct litenorm_job good = plain_job(4, SOME_ROW);
	unsigned op = any_op();
	struct litenorm_job job;

	job = good;
	job.length = 0;
	expect("length_0", op, &job, LITENORM_ERR_BAD_LENGTH);
	job.length = LITENORM_MAX_LENGTH + 1;
	expect("length_too_long", op, &job, LITENORM_ERR_BAD_LENGTH);
	job.length = 0x10000;
	expect("length_65536", op, &job, LITENORM_ERR_BAD_LENGTH);
	job = good;
	job.rows = 0;
	expect("rows_0", op, &job, LITENORM_ERR_BAD_ROWS);
	job = good;
	job.src = input + 1;
	expect("src_alignment", op, &job, LITENORM_ERR_BAD_ALIGNMENT);
	job = good;
	job.dst = from_core + 2;
	expect("dst_alignment", op, &job, LITENORM_ERR_BAD_ALIGNMENT);
	job = good;
	job.src_stride = 34;
	expect("src_stride", op, &job, LITENORM_ERR_BAD_ALIGNMENT);
	job = good;
	job.dst_stride = 65;
	expect("dst_stride", op, &job, LITENORM_ERR_BAD_ALIGNMENT);
	job = good;
	expect("op", 3, &job, LITENORM_ERR_BAD_OP);
	job.scale_shift = 32;
	expect("parameter", op, &job, LITENORM_ERR_BAD_PARAMETER);
	if (has_op(LITENORM_OP_SOFTMAX)) {
		job = good;
		job.format = FORMATS;
		expect("format", LITENORM_OP_SOFTMAX, &job, LITENORM_ERR_BAD_FORMAT);
	}
	if (LITENORM_HAS_AFFINE) {
		job = with_weights(good, LITENORM_OUTPUT_S8);
		job.gamma = gamma + 1;
		expect("gamma_alignment", has_op(LITENORM_OP_LAYERNORM) ? LITENORM_OP_LAYERNORM : LITENORM_OP_RMSNORM,
		       &job, LITENORM_ERR_BAD_ALIGNMENT);
	}
}

static void test_window(void)
{
	struct litenorm_job job = plain_job(4, SOME_ROW);
	uint32_t first = (uint32_t)(uintptr_t)input;
	int ok;

	/* Locked by an earlier selftest: then it is known to hold, and that it cannot be set is tested below. */
	if (litenorm_window_locked())
		return;
	memset(from_core, CANARY, 512);
	ok = litenorm_set_window(first, first + BUFFER_BYTES - 1) == LITENORM_OK;
	ok &= by_interrupt(any_op(), &job) == LITENORM_ERR_OUT_OF_WINDOW && untouched(from_core, 512);
	ok &= litenorm_set_window(0, UINT32_MAX) == LITENORM_OK;
	report("bad", "window", ok && good_job_works());
}

#ifdef CSR_SIMCTRL_BASE
/* Only in simulation it is known that nothing is at this address. */
static void unmapped(const char *name, unsigned op, const struct litenorm_job *job)
{
	int result = by_interrupt(op, job);

	report("bad", name, (result == LITENORM_ERR_BUS_ERROR || result == LITENORM_ERR_BUS_TIMEOUT) && good_job_works());
}

/* Each stage of a job on a bus that does not answer. */
static void test_unmapped_addresses(void)
{
	const struct litenorm_job good = plain_job(4, SOME_ROW);
	struct litenorm_job job = good;

	job.src = (const void *)0xa0000000;
	unmapped("unmapped_src", any_op(), &job);
	job = good;
	job.dst = (void *)0xa0000000;
	unmapped("unmapped_dst", any_op(), &job);
	if (LITENORM_HAS_AFFINE) {
		job = with_weights(good, LITENORM_OUTPUT_S8);
		job.beta = (const int16_t *)0xa0000000;
		unmapped("unmapped_beta", has_op(LITENORM_OP_LAYERNORM) ? LITENORM_OP_LAYERNORM : LITENORM_OP_RMSNORM, &job);
	}
}

/* In simulation alone: the lock lasts until the SoC is reset. What it locks in is no restriction. */
static void test_window_lock(void)
{
	int ok;

	ok = litenorm_lock_window() == LITENORM_OK && litenorm_window_locked();
	ok &= litenorm_set_window(0, 0) == LITENORM_ERR_LOCKED;
	/* Nor past the driver, nor by resets of the core. */
	litenorm_window_base_write(0xfffffff0);
	litenorm_window_limit_write(0);
	litenorm_window_lock_write(0);
	litenorm_reset();
	ok &= litenorm_init() == LITENORM_OK && litenorm_window_locked();
	ok &= litenorm_window_base_read() == 0 && litenorm_window_limit_read() == UINT32_MAX;
	report("window_lock", "", ok && good_job_works());
}
#endif

/* More rows than any of the tests below waits for: they overlap, so that they fit the buffers. */
static struct litenorm_job long_job(void)
{
	struct litenorm_job job = plain_job(ROWS, SOME_ROW);

	job.rows = BUFFER_BYTES / 4 - 16;
	job.src_stride = 4;
	job.dst_stride = 4;
	return job;
}

static void test_long_jobs(void)
{
	struct litenorm_job job = long_job();
	struct litenorm_job other = plain_job(4, SOME_ROW);
	unsigned op = any_op();
	int ok;

	ok = litenorm_start(op, &job) == LITENORM_OK && litenorm_start(op, &other) == LITENORM_ERR_BUSY;
	ok &= litenorm_wait(litenorm_timeout(&job)) == LITENORM_OK && litenorm_rows_done() == job.rows;
	report("busy", "", ok && good_job_works());

	ok = litenorm_start(op, &job) == LITENORM_OK && litenorm_abort() == LITENORM_ERR_ABORTED;
	ok &= litenorm_rows_done() < job.rows && litenorm_poll() == LITENORM_ERR_ABORTED;
	report("abort", "", ok && good_job_works());

	ok = litenorm_start(op, &job) == LITENORM_OK;
	litenorm_reset();
	ok &= litenorm_poll() == LITENORM_ERR_ABORTED && litenorm_rows_done() == 0;
	report("reset", "", ok && good_job_works());

	ok = litenorm_start(op, &job) == LITENORM_OK && litenorm_wait(10) == LITENORM_ERR_TIMEOUT;
	report("timeout", "", ok && good_job_works());

	report("abort_of_nothing", "", litenorm_abort() == LITENORM_OK && good_job_works());
}

static void test_core(void)
{
	struct litenorm_job job;

	fill_weights();
	test_softmax();
	test_norm(LITENORM_OP_LAYERNORM, "layernorm");
	test_norm(LITENORM_OP_RMSNORM, "rmsnorm");
	test_rows_in_memory();
	job = plain_job(4, SOME_ROW);
	report("interrupt", "", by_interrupt(any_op(), &job) == LITENORM_OK);
	test_bad_jobs();
	test_window();
#ifdef CSR_SIMCTRL_BASE
	test_unmapped_addresses();
#endif
	test_long_jobs();
#ifdef CSR_SIMCTRL_BASE
	test_window_lock();
#endif
}

#endif

void command_selftest(const char *argument)
{
	(void)argument;
	tests = 0;
	failed = 0;
	test_twin();
#ifdef CSR_LITENORM_BASE
	test_core();
#endif
	printf("selftest: %u of %u tests passed\n", tests - failed, tests);
}
