/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* Selftest: interrupts, every error that software can provoke, and that the next job works. */

#include "selftest.h"

#include <string.h>

#ifdef CSR_LITENORM_BASE

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

	memset(selftest_from_core, CANARY, 512);
	ok = by_interrupt(op, job) == code && untouched(selftest_from_core, 512);
	selftest_report("bad", name, ok && selftest_good_job_works());
}

static void test_bad_jobs(void)
{
	const struct litenorm_job good = selftest_plain_job(4, SOME_ROW);
	unsigned op = selftest_any_op();
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
	job.src = selftest_input + 1;
	expect("src_alignment", op, &job, LITENORM_ERR_BAD_ALIGNMENT);
	job = good;
	job.dst = selftest_from_core + 2;
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
		job = selftest_with_weights(good, LITENORM_OUTPUT_S8);
		job.gamma++;
		expect("gamma_alignment", has_op(LITENORM_OP_LAYERNORM) ? LITENORM_OP_LAYERNORM : LITENORM_OP_RMSNORM,
		       &job, LITENORM_ERR_BAD_ALIGNMENT);
	}
}

static void test_window(void)
{
	struct litenorm_job job = selftest_plain_job(4, SOME_ROW);
	uint32_t first = (uint32_t)(uintptr_t)selftest_input;
	int ok;

	/* Locked by an earlier selftest: then it is known to hold, and that it cannot be set is tested below. */
	if (litenorm_window_locked())
		return;
	memset(selftest_from_core, CANARY, 512);
	ok = litenorm_set_window(first, first + BUFFER_BYTES - 1) == LITENORM_OK;
	ok &= by_interrupt(selftest_any_op(), &job) == LITENORM_ERR_OUT_OF_WINDOW && untouched(selftest_from_core, 512);
	ok &= litenorm_set_window(0, UINT32_MAX) == LITENORM_OK;
	selftest_report("bad", "window", ok && selftest_good_job_works());
}

#ifdef CSR_SIMCTRL_BASE
/* Only in simulation it is known that nothing is at this address. */
static void unmapped(const char *name, unsigned op, const struct litenorm_job *job)
{
	int result = by_interrupt(op, job);

	selftest_report("bad", name, (result == LITENORM_ERR_BUS_ERROR || result == LITENORM_ERR_BUS_TIMEOUT) &&
	                             selftest_good_job_works());
}

/* Each stage of a job on a bus that does not answer. */
static void test_unmapped_addresses(void)
{
	const struct litenorm_job good = selftest_plain_job(4, SOME_ROW);
	struct litenorm_job job = good;

	job.src = (const void *)0xa0000000;
	unmapped("unmapped_src", selftest_any_op(), &job);
	job = good;
	job.dst = (void *)0xa0000000;
	unmapped("unmapped_dst", selftest_any_op(), &job);
	if (LITENORM_HAS_AFFINE) {
		job = selftest_with_weights(good, LITENORM_OUTPUT_S8);
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
	selftest_report("window_lock", "", ok && selftest_good_job_works());
}
#endif

/* More rows than any of the tests below waits for: they overlap, so that they fit the buffers. */
static struct litenorm_job long_job(void)
{
	struct litenorm_job job = selftest_plain_job(ROWS, SOME_ROW);

	job.rows = BUFFER_BYTES / 4 - 16;
	job.src_stride = 4;
	job.dst_stride = 4;
	return job;
}

static void test_long_jobs(void)
{
	struct litenorm_job job = long_job();
	struct litenorm_job other = selftest_plain_job(4, SOME_ROW);
	unsigned op = selftest_any_op();
	int ok;

	ok = litenorm_start(op, &job) == LITENORM_OK && litenorm_start(op, &other) == LITENORM_ERR_BUSY;
	ok &= litenorm_wait(litenorm_timeout(&job)) == LITENORM_OK && litenorm_rows_done() == job.rows;
	selftest_report("busy", "", ok && selftest_good_job_works());

	ok = litenorm_start(op, &job) == LITENORM_OK && litenorm_abort() == LITENORM_ERR_ABORTED;
	ok &= litenorm_rows_done() < job.rows && litenorm_poll() == LITENORM_ERR_ABORTED;
	selftest_report("abort", "", ok && selftest_good_job_works());

	ok = litenorm_start(op, &job) == LITENORM_OK;
	litenorm_reset();
	ok &= litenorm_poll() == LITENORM_ERR_ABORTED && litenorm_rows_done() == 0;
	selftest_report("reset", "", ok && selftest_good_job_works());

	ok = litenorm_start(op, &job) == LITENORM_OK && litenorm_wait(10) == LITENORM_ERR_TIMEOUT;
	selftest_report("timeout", "", ok && selftest_good_job_works());

	selftest_report("abort_of_nothing", "", litenorm_abort() == LITENORM_OK && selftest_good_job_works());
}

void selftest_errors(void)
{
	struct litenorm_job job = selftest_plain_job(4, SOME_ROW);

	selftest_report("interrupt", "", by_interrupt(selftest_any_op(), &job) == LITENORM_OK);
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
