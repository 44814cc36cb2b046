/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/*
 * The driver. How a job is checked and written to the registers is in litenorm_registers.h, how its output is thrown
 * out of the cache in litenorm_cache.h; on a SoC without the core litenorm_absent.c takes the place of this file.
 */

#include "litenorm.h"

#include <generated/csr.h>
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

#include "litenorm_cache.h"
#include "litenorm_registers.h"

#if LITENORM_WORD_BYTES != LITENORM_BUS_BYTES
#error "compile everything with -DLITENORM_WORD_BYTES=n, n = LITENORM_BUS_BYTES of generated/soc.h"
#endif

#define POLL_CYCLES 4u
/* An abort takes two bus accesses at most, each no longer than the bus timeout. */
#define ABORT_POLLS (2u * LITENORM_BUS_TIMEOUT / POLL_CYCLES + 1000u)

#ifdef LITENORM_INTERRUPT
#define LOCK()        irq_getie(); irq_setie(0)
#define UNLOCK(saved) irq_setie(saved)
#else
#define LOCK()        0
#define UNLOCK(saved) ((void)(saved))
#endif

/* One object, of which the address is formed once. */
static struct {
	volatile int result; /* of the last job; written by the interrupt handler, too */
	litenorm_callback callback;
	uint8_t next_ticket; /* of the next job; the core counts them, too */
} state = { .result = LITENORM_OK };

/*
 * How the last job went, by the status of a core that is not busy. A job that the core has not counted, or that has no
 * result, was lost by an upset.
 */
static int result_of(uint32_t status)
{
	uint8_t ended = (uint8_t)GET(STATUS_ENDED, status);
	unsigned lost = ended != state.next_ticket;

	state.next_ticket = ended;
	return lost || GET(STATUS_CODE, status) == LITENORM_PENDING ? LITENORM_ERR_SELF_CHECK
								    : -(int)GET(STATUS_CODE, status);
}

/* VexRiscv begins to flush before it knows whether the branch before it is taken: that must not be near. */
static inline void flush_cache(void)
{
#ifdef __riscv
	__asm__ volatile("nop\n\tnop\n\tnop");
#endif
	flush_cpu_dcache();
}

int litenorm_poll(void)
{
	if (state.result == LITENORM_RUNNING) {
		/* From the look at the core to the result noted: a callback in between may start the next job. */
		uint32_t status;
		unsigned enabled = LOCK();

		status = litenorm_status_read();
		if (!GET(STATUS_BUSY, status)) {
			flush_cache();
			state.result = result_of(status);
		}
		UNLOCK(enabled);
	}
	return state.result;
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
	state.result = LITENORM_ERR_STUCK;
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
		state.result = LITENORM_RUNNING;
	(void)litenorm_abort();
	state.next_ticket = (uint8_t)GET(STATUS_ENDED, litenorm_status_read());
	state.result = GET(STATUS_BUSY, litenorm_status_read()) ? LITENORM_ERR_STUCK : LITENORM_OK;
	litenorm_ev_pending_write(litenorm_ev_pending_read());
	return state.result;
}

int litenorm_start(unsigned op, const struct litenorm_job *job)
{
	if (litenorm_poll() == LITENORM_RUNNING)
		return LITENORM_ERR_BUSY;
	if (!fits(op, job))
		return LITENORM_ERR_BAD_PARAMETER;
	/* The last job's interrupt, when it could not be taken so far: it must not be taken for this job's. */
	if (state.callback != NULL && litenorm_ev_pending_read())
		litenorm_isr();
	if (state.result == LITENORM_RUNNING) /* started by that callback */
		return LITENORM_ERR_BUSY;
	state.next_ticket = (uint8_t)(GET(STATUS_ENDED, litenorm_status_read()) + 1);
	write_job(op, job);
	state.result = LITENORM_RUNNING;
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
	if (GET(STATUS_STARTED, status) != state.next_ticket) {
		state.next_ticket = (uint8_t)GET(STATUS_STARTED, status);
		/* Else they were started by others, with no job of this driver under way. */
		if (state.result == LITENORM_RUNNING) {
			UNLOCK(enabled);
			return LITENORM_ERR_SELF_CHECK;
		}
	}
	if (!GET(STATUS_FULL, status)) {
		ticket = state.next_ticket++;
		write_job(op, job);
		state.result = LITENORM_RUNNING;
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
			flush_cache();
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

#define SHORT_POLLS 256u

static __attribute__((noinline)) int run_by_parts(unsigned op, const struct litenorm_job *job)
{
	int result = litenorm_start(op, job);

	return result == LITENORM_OK ? litenorm_wait(litenorm_timeout(job)) : result;
}

static __attribute__((noinline)) int wait_for_all(const struct litenorm_job *job)
{
	return litenorm_wait(litenorm_timeout(job));
}

/* A short job takes less time than what would surround it: here are no calls but the last ones. */
static inline __attribute__((always_inline)) int run(unsigned op, const struct litenorm_job *job)
{
	const volatile uint32_t *first, *last;
	uint32_t dst, bytes, status, polls, i, good;

	if ((state.callback != NULL) | (state.result == LITENORM_RUNNING))
		return run_by_parts(op, job);
	if (!fits(op, job))
		return LITENORM_ERR_BAD_PARAMETER;
	write_job(op, job);
	state.result = LITENORM_RUNNING;
	/* The status of a core that has done it: counted, and OK. */
	good = FIELD(STATUS_ENDED, (uint32_t)(uint8_t)++state.next_ticket) | FIELD(STATUS_CODE, LITENORM_STATUS_OK);
	/* While the core works. What is thrown out now stays out: until the end nothing here touches the output. */
	dst = (uint32_t)(uintptr_t)job->dst;
	bytes = few_lines(op, job);
	if (bytes == 0)
		return wait_for_all(job);
	first = evictor(dst);
	last = evictor(dst + bytes - 1);
	for (i = 0; i < bytes; i += CACHE_LINE)
		(void)*evictor(dst + i);
	(void)*last;
	/* Unrolled, an access follows the other sooner, and so the last one the end of the job. */
#pragma GCC unroll 8
	for (polls = 0; polls < SHORT_POLLS; polls++) {
		status = litenorm_status_read();
		if (GET(STATUS_BUSY, status))
			continue;
		/* They may hold other data, too, and be back; most often they are not, and this takes no time. */
		(void)*first;
		(void)*last;
		if (((status ^ good) & (MASK(STATUS_ENDED) | MASK(STATUS_CODE))) == 0)
			return state.result = LITENORM_OK;
		return state.result = result_of(status);
	}
	return wait_for_all(job);
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
	if (result != LITENORM_RUNNING && state.callback != NULL)
		state.callback(result);
}

void litenorm_set_callback(litenorm_callback callback)
{
	unsigned enable = 1u << CSR_LITENORM_EV_ENABLE_DONE_OFFSET | 1u << CSR_LITENORM_EV_ENABLE_ERROR_OFFSET;

	litenorm_ev_enable_write(0);
#ifdef LITENORM_INTERRUPT
	irq_setmask(irq_getmask() & ~(1u << LITENORM_INTERRUPT));
#endif
	state.callback = callback;
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

#endif
