/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

#include "litenorm.h"

#include <generated/csr.h>
#include <generated/mem.h>
#include <generated/soc.h>
#include <irq.h>
#include <system.h>

const char *litenorm_strerror(int result)
{
#define STATUS_CASE(name, code, text) case -(code): return text;
	switch (result) {
	LITENORM_STATUS_X(STATUS_CASE)
	case LITENORM_ERR_BAD_PARAMETER:
		return "a parameter does not fit its register; the core was not touched";
	case LITENORM_ERR_BUSY:
		return "another job is running, or there is no room for one more; the core was not touched";
	case LITENORM_ERR_TIMEOUT:
		return "the job did not end in time and was aborted; earlier rows may be written";
	case LITENORM_ERR_STUCK:
		return "the core did not obey the abort and was reset; rows may be written";
	case LITENORM_ERR_NO_CORE:
		return "this SoC has no LiteNorm core";
	case LITENORM_ERR_LOCKED:
		return "the window is locked until the SoC is reset; it was not changed";
	default:
		return "unknown code";
	}
#undef STATUS_CASE
}

#ifdef CSR_LITENORM_BASE

#if LITENORM_WORD_BYTES != LITENORM_BUS_BYTES
#error "compile everything with -DLITENORM_WORD_BYTES=n, n = LITENORM_BUS_BYTES of generated/soc.h"
#endif

#define POLL_CYCLES 4u
/* An abort takes two bus accesses at most, each no longer than the bus timeout. */
#define ABORT_POLLS (2u * LITENORM_BUS_TIMEOUT / POLL_CYCLES + 1000u)

#define FIELD(name, value) ((uint32_t)(value) << CSR_LITENORM_##name##_OFFSET)
#define GET(name, value)   ((value) >> CSR_LITENORM_##name##_OFFSET & ((1u << CSR_LITENORM_##name##_SIZE) - 1))

#ifdef LITENORM_INTERRUPT
#define LOCK()        irq_getie(); irq_setie(0)
#define UNLOCK(saved) irq_setie(saved)
#else
#define LOCK()        0
#define UNLOCK(saved) ((void)(saved))
#endif

/* Written by the interrupt handler, too. */
static volatile int job_result = LITENORM_OK;
static litenorm_callback job_callback;
/* Of the next job, while one runs; the core counts them, too. */
static uint8_t next_ticket;

/* A job that is gone and has no result was lost by an upset. */
static inline int result_of(uint32_t code)
{
	return code == LITENORM_PENDING ? LITENORM_ERR_SELF_CHECK : -(int)code;
}

int litenorm_poll(void)
{
	if (job_result == LITENORM_RUNNING) {
		/* From the look at the core to the result noted: a callback in between may start the next job. */
		uint32_t status;
		unsigned enabled = LOCK();

		status = litenorm_status_read();
		if (!GET(STATUS_BUSY, status)) {
			flush_cpu_dcache();
			job_result = result_of(GET(STATUS_CODE, status));
		}
		UNLOCK(enabled);
	}
	return job_result;
}

static int wait_polls(uint32_t polls)
{
	int result;

	do {
		result = litenorm_poll();
	} while (result == LITENORM_RUNNING && polls--);
	return result;
}

int litenorm_abort(void)
{
	int result;

	litenorm_control_write(FIELD(CONTROL_ABORT, 1));
	result = wait_polls(ABORT_POLLS);
	if (result != LITENORM_RUNNING)
		return result;
	litenorm_reset();
	job_result = LITENORM_ERR_STUCK;
	return LITENORM_ERR_STUCK;
}

void litenorm_reset(void)
{
	litenorm_control_write(FIELD(CONTROL_RESET, 1));
	(void)litenorm_poll();
}

int litenorm_wait(uint32_t timeout)
{
	int result = wait_polls(timeout / POLL_CYCLES + 1);

	if (result == LITENORM_RUNNING) {
		result = litenorm_abort();
		if (result == LITENORM_ERR_ABORTED)
			return LITENORM_ERR_TIMEOUT;
	}
	return result;
}

int litenorm_init(void)
{
	/* Other minor versions have more registers, not other ones. */
	if ((litenorm_id_read() ^ LITENORM_REGISTERS) >> 8)
		return LITENORM_ERR_NO_CORE;
	litenorm_set_callback(NULL);
	(void)litenorm_set_window(0, UINT32_MAX);
	if (GET(STATUS_BUSY, litenorm_status_read()))
		job_result = LITENORM_RUNNING;
	(void)litenorm_abort();
	job_result = GET(STATUS_BUSY, litenorm_status_read()) ? LITENORM_ERR_STUCK : LITENORM_OK;
	litenorm_ev_pending_write(litenorm_ev_pending_read());
	return job_result;
}

/* One branch for all of them: this is on the way to every job. */
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

/* Write a job to the registers and start it. Inlined, so that a softmax does not pass by what only a norm has. */
static inline __attribute__((always_inline)) void submit(unsigned op, const struct litenorm_job *job)
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
	job_result = LITENORM_RUNNING;
}

int litenorm_start(unsigned op, const struct litenorm_job *job)
{
	if (litenorm_poll() == LITENORM_RUNNING)
		return LITENORM_ERR_BUSY;
	if (!fits(op, job))
		return LITENORM_ERR_BAD_PARAMETER;
	/* The last job's interrupt, when it could not be taken so far: it must not be taken for this job's. */
	if (job_callback != NULL && litenorm_ev_pending_read())
		litenorm_isr();
	if (job_result == LITENORM_RUNNING) /* started by that callback */
		return LITENORM_ERR_BUSY;
	next_ticket = (uint8_t)(GET(STATUS_ENDED, litenorm_status_read()) + 1);
	submit(op, job);
	return LITENORM_OK;
}

int litenorm_submit(unsigned op, const struct litenorm_job *job)
{
	unsigned enabled;
	uint32_t status;
	int ticket = LITENORM_ERR_BUSY;

	if (!fits(op, job))
		return LITENORM_ERR_BAD_PARAMETER;
	/* A callback may submit, too. */
	enabled = LOCK();
	status = litenorm_status_read();
	if (!GET(STATUS_BUSY, status))
		next_ticket = (uint8_t)GET(STATUS_ENDED, status);
	if (!GET(STATUS_FULL, status)) {
		ticket = next_ticket++;
		submit(op, job);
	}
	UNLOCK(enabled);
	return ticket;
}

int litenorm_wait_for(int ticket, uint32_t timeout)
{
	unsigned shift = (unsigned)ticket % LITENORM_RESULTS * CSR_LITENORM_STATUS_CODE_SIZE;
	uint32_t polls = timeout / POLL_CYCLES + 1;

	if (ticket < 0)
		return ticket;
	do {
		uint32_t code = litenorm_codes_read() >> shift & ((1u << CSR_LITENORM_STATUS_CODE_SIZE) - 1);

		if (code != LITENORM_PENDING) {
			flush_cpu_dcache();
			return -(int)code;
		}
	} while (polls--);
	return litenorm_abort() == LITENORM_ERR_STUCK ? LITENORM_ERR_STUCK : LITENORM_ERR_TIMEOUT;
}

uint32_t litenorm_timeout(const struct litenorm_job *job)
{
	/* A core of one lane on a slow bus takes some 10 cycles an element; the core's own limits come first. */
	uint64_t cycles = ((uint64_t)job->length * 64 + 4096) * job->rows + 1000000 + 2 * LITENORM_WATCHDOG_CYCLES;

	return cycles < UINT32_MAX ? (uint32_t)cycles : UINT32_MAX;
}

/*
 * A data cache that holds a byte of memory in one place alone, as VexRiscv's without its linux variants: a load of a byte
 * that lies CACHE_SPAN away, a multiple of the cache's size, throws it out.
 */
#define CACHE_LINE  32u
#define CACHE_SPAN  0x8000u
#define CACHE_LINES 8u
#ifndef MAIN_RAM_BASE
#define MAIN_RAM_BASE 0
#define MAIN_RAM_SIZE 0
#endif
#if defined(CONFIG_CPU_TYPE_VEXRISCV) && defined(CONFIG_CPU_HAS_DCACHE) && \
	(defined(CONFIG_CPU_VARIANT_LITE) || defined(CONFIG_CPU_VARIANT_STANDARD) || defined(CONFIG_CPU_VARIANT_FULL) || \
	 defined(CONFIG_CPU_VARIANT_IMAC))
#define CACHE_IS_DIRECT (MAIN_RAM_SIZE >= 2 * CACHE_SPAN && MAIN_RAM_BASE % (2 * CACHE_SPAN) == 0)
#else
#define CACHE_IS_DIRECT 0
#endif

/* Throw the line of a byte of main_ram out of the cache. */
static inline void evict(uint32_t address)
{
	(void)*(const volatile uint32_t *)(uintptr_t)((address & ~(CACHE_LINE - 1)) ^ CACHE_SPAN);
}

/* Bytes of a job's output when it is so small that throwing out its lines takes less than to flush the cache; else 0. */
static inline uint32_t few_lines(unsigned op, const struct litenorm_job *job)
{
	uint32_t row = litenorm_packed_stride(job->length, litenorm_output_bytes(job, op));
	uint32_t offset = (uint32_t)(uintptr_t)job->dst - MAIN_RAM_BASE;

	if (!CACHE_IS_DIRECT || job->rows > CACHE_LINES || job->length > CACHE_LINES * CACHE_LINE || job->dst_stride != 0 ||
	    row * job->rows > (CACHE_LINES - 1) * CACHE_LINE || offset >= MAIN_RAM_SIZE - CACHE_LINES * CACHE_LINE)
		return 0;
	return row * job->rows;
}

static __attribute__((noinline)) int run_by_parts(unsigned op, const struct litenorm_job *job)
{
	int result = litenorm_start(op, job);

	return result == LITENORM_OK ? litenorm_wait(litenorm_timeout(job)) : result;
}

/* A short job takes less time than what would surround it: here are no calls but the last ones. */
static inline __attribute__((always_inline)) int run(unsigned op, const struct litenorm_job *job)
{
	uint32_t first, bytes, status, polls, i;

	if (job_callback != NULL || job_result == LITENORM_RUNNING)
		return run_by_parts(op, job);
	if (!fits(op, job))
		return LITENORM_ERR_BAD_PARAMETER;
	submit(op, job);
	/* While the core works. What is thrown out now stays out: until the end nothing here touches the output. */
	first = (uint32_t)(uintptr_t)job->dst;
	bytes = few_lines(op, job);
	for (i = 0; i < bytes; i += CACHE_LINE)
		evict(first + i);
	polls = litenorm_timeout(job) / POLL_CYCLES + 1;
	do {
		status = litenorm_status_read();
		if (!GET(STATUS_BUSY, status)) {
			if (bytes == 0) {
				flush_cpu_dcache();
			} else if ((first | bytes) % CACHE_LINE != 0) {
				/* Lines that hold other data, too, may be back. */
				evict(first);
				evict(first + bytes - 1);
			}
			return job_result = result_of(GET(STATUS_CODE, status));
		}
	} while (polls--);
	return litenorm_wait(0);
}

int litenorm_softmax(const struct litenorm_job *job)
{
	return run(LITENORM_OP_SOFTMAX, job);
}

int litenorm_layernorm(const struct litenorm_job *job)
{
	return run(LITENORM_OP_LAYERNORM, job);
}

int litenorm_rmsnorm(const struct litenorm_job *job)
{
	return run(LITENORM_OP_RMSNORM, job);
}

void litenorm_isr(void)
{
	int result;

	litenorm_ev_pending_write(litenorm_ev_pending_read());
	result = litenorm_poll();
	if (result != LITENORM_RUNNING && job_callback != NULL)
		job_callback(result);
}

void litenorm_set_callback(litenorm_callback callback)
{
	unsigned enable = 1u << CSR_LITENORM_EV_ENABLE_DONE_OFFSET | 1u << CSR_LITENORM_EV_ENABLE_ERROR_OFFSET;

	litenorm_ev_enable_write(0);
#ifdef LITENORM_INTERRUPT
	irq_setmask(irq_getmask() & ~(1u << LITENORM_INTERRUPT));
#endif
	job_callback = callback;
	if (callback == NULL)
		return;
	litenorm_ev_pending_write(litenorm_ev_pending_read());
#ifdef LITENORM_INTERRUPT
	irq_attach(LITENORM_INTERRUPT, litenorm_isr);
	irq_setmask(irq_getmask() | 1u << LITENORM_INTERRUPT);
#endif
	litenorm_ev_enable_write(enable);
}

int litenorm_window_locked(void)
{
	return (int)GET(WINDOW_LOCK_LOCK, litenorm_window_lock_read());
}

int litenorm_set_window(uint32_t base, uint32_t limit)
{
	if (litenorm_window_locked())
		return LITENORM_ERR_LOCKED;
	litenorm_window_base_write(base);
	litenorm_window_limit_write(limit);
	return LITENORM_OK;
}

int litenorm_lock_window(void)
{
	litenorm_window_lock_write(FIELD(WINDOW_LOCK_LOCK, 1));
	return litenorm_window_locked() ? LITENORM_OK : LITENORM_ERR_STUCK;
}

uint32_t litenorm_cycles(void)
{
	return litenorm_cycles_read();
}

uint32_t litenorm_rows_done(void)
{
	return litenorm_rows_done_read();
}

#else

int litenorm_init(void)
{
	return LITENORM_ERR_NO_CORE;
}

int litenorm_softmax(const struct litenorm_job *job)
{
	(void)job;
	return LITENORM_ERR_NO_CORE;
}

int litenorm_layernorm(const struct litenorm_job *job)
{
	(void)job;
	return LITENORM_ERR_NO_CORE;
}

int litenorm_rmsnorm(const struct litenorm_job *job)
{
	(void)job;
	return LITENORM_ERR_NO_CORE;
}

int litenorm_start(unsigned op, const struct litenorm_job *job)
{
	(void)op;
	(void)job;
	return LITENORM_ERR_NO_CORE;
}

int litenorm_submit(unsigned op, const struct litenorm_job *job)
{
	(void)op;
	(void)job;
	return LITENORM_ERR_NO_CORE;
}

int litenorm_wait_for(int ticket, uint32_t timeout)
{
	(void)ticket;
	(void)timeout;
	return LITENORM_ERR_NO_CORE;
}

int litenorm_poll(void)
{
	return LITENORM_ERR_NO_CORE;
}

int litenorm_wait(uint32_t timeout)
{
	(void)timeout;
	return LITENORM_ERR_NO_CORE;
}

int litenorm_abort(void)
{
	return LITENORM_ERR_NO_CORE;
}

uint32_t litenorm_timeout(const struct litenorm_job *job)
{
	(void)job;
	return 0;
}

void litenorm_set_callback(litenorm_callback callback)
{
	(void)callback;
}

void litenorm_isr(void)
{
}

void litenorm_reset(void)
{
}

int litenorm_set_window(uint32_t base, uint32_t limit)
{
	(void)base;
	(void)limit;
	return LITENORM_ERR_NO_CORE;
}

int litenorm_lock_window(void)
{
	return LITENORM_ERR_NO_CORE;
}

int litenorm_window_locked(void)
{
	return 0;
}

uint32_t litenorm_cycles(void)
{
	return 0;
}

uint32_t litenorm_rows_done(void)
{
	return 0;
}

#endif
