/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * Driver of the core, for LiteX SoCs with a peripheral named `litenorm`. One instance is supported.
 *
 *     litenorm_init();
 *     struct litenorm_job job = {
 *         .src = logits, .dst = probs, .rows = 16, .length = 64, .input = LITENORM_INPUT_S16,
 *         .format = LITENORM_FORMAT_U16_Q15, .scale_multiplier = 48409, .scale_shift = 12,
 *     };
 *     int result = litenorm_softmax(&job);       // 0, or a negative code of enum litenorm_result
 *
 * Every function returns in bounded time, and every job ends: the core gives up a bus that does not answer after
 * LITENORM_BUS_TIMEOUT cycles and a job in which nothing moves after LITENORM_WATCHDOG_CYCLES (both in soc.h), and the
 * driver aborts a job that takes too long and resets a core that does not obey. Whatever a job ended with, the next one
 * works. The functions are not reentrant: call them from one context.
 *
 * Caches: what the CPU wrote before a job began is seen by the core, because the data cache writes through and because
 * the core's bus masters sit on the CPU's side of an L2 cache. When a job has ended, the driver flushes the data cache,
 * once, before it says so: what the CPU reads from `dst` then is what the core wrote. What the CPU reads from `dst`
 * while the job runs may be old. Do not write to `src`, `gamma` and `beta` before the job has ended.
 *
 * On a SoC without the core the functions exist too and return LITENORM_ERR_NO_CORE (litenorm_absent.c); litenorm_ref.h
 * has the same operations in C.
 */

#ifndef LITENORM_H
#define LITENORM_H

#include "litenorm_job.h"

#ifdef __cplusplus
extern "C" {
#endif

/** litenorm_poll(): the job has not ended yet. */
#define LITENORM_RUNNING 1

/** Called in interrupt context when a job has ended, with its result. */
typedef void (*litenorm_callback)(int result);

/**
 * End a running job, switch the interrupt off, open the window to all addresses. Call before anything else.
 *
 * A window that is locked stays as it is.
 *
 * @return LITENORM_OK: the core is idle; LITENORM_ERR_STUCK: it is busy even after a reset; LITENORM_ERR_NO_CORE
 */
int litenorm_init(void);

/**
 * Softmax of every row, and wait for it.
 *
 * @param job  rows and parameters; the driver keeps no reference to it
 * @return     LITENORM_OK, or a code of enum litenorm_result
 */
int litenorm_softmax(const struct litenorm_job *job);

/** LayerNorm of every row, and wait for it. As litenorm_softmax(). */
int litenorm_layernorm(const struct litenorm_job *job);

/** RMSNorm of every row, and wait for it. As litenorm_softmax(). */
int litenorm_rmsnorm(const struct litenorm_job *job);

/**
 * Start a job and return.
 *
 * @param op   LITENORM_OP_...
 * @param job  as litenorm_softmax()
 * @return     LITENORM_OK: the core has the job, and litenorm_poll() or litenorm_wait() tell how it ends, also when the
 *             core rejects it; LITENORM_ERR_BUSY, LITENORM_ERR_BAD_PARAMETER, LITENORM_ERR_NO_CORE: nothing was started
 */
int litenorm_start(unsigned op, const struct litenorm_job *job);

/**
 * Give the core a job behind those that it has: one runs, and 4 more wait.
 *
 * The driver keeps no reference to `job`. Until the job has ended its input must stay, and its output must not be read:
 * a cache would keep what was there before. A job that ends with an error ends those that wait behind it, too, with
 * LITENORM_ERR_SKIPPED; so do litenorm_abort() and a timeout, and litenorm_reset() with LITENORM_ERR_ABORTED.
 *
 * @param op   LITENORM_OP_...
 * @param job  as litenorm_softmax()
 * @return     the job's ticket, 0 or above, for litenorm_wait_for(); LITENORM_ERR_BUSY: there is no room now;
 *             LITENORM_ERR_BAD_PARAMETER, LITENORM_ERR_NO_CORE; LITENORM_ERR_SELF_CHECK: an upset has lost a job
 *             that was submitted before. With a code nothing was started
 */
int litenorm_submit(unsigned op, const struct litenorm_job *job);

/**
 * Wait until a job of litenorm_submit() has ended; after the time limit, abort it and all others.
 *
 * @param ticket   of litenorm_submit(); a negative code is returned as it is. The core knows the results of the last 7
 *                 jobs that were submitted
 * @param timeout  clock cycles from now on, for this job and those before it; see litenorm_wait()
 * @return         the job's result; LITENORM_ERR_TIMEOUT or LITENORM_ERR_STUCK
 */
int litenorm_wait_for(int ticket, uint32_t timeout);

/**
 * How the last job goes: the one that was started or submitted last.
 *
 * @return LITENORM_RUNNING, LITENORM_OK, or the job's code of enum litenorm_result
 */
int litenorm_poll(void);

/**
 * Wait until the job has ended; after the time limit, abort it.
 *
 * @param timeout  clock cycles; counted in polls of a register that each take 4 cycles or more, so that no timer is
 *                 needed: the wait ends between 1 and about 5 times the timeout
 * @return         the job's result; LITENORM_ERR_TIMEOUT or LITENORM_ERR_STUCK
 */
int litenorm_wait(uint32_t timeout);

/**
 * Abort the running job, and wait until the core is idle: two more accesses on each bus, at most.
 *
 * A core that does not obey is reset, see litenorm_reset().
 *
 * @return LITENORM_ERR_ABORTED, or the job's result when it had ended before; LITENORM_ERR_STUCK
 */
int litenorm_abort(void);

/**
 * Reset the core, its bus masters and counters at once, in the middle of a bus access if need be.
 *
 * A running job ends with LITENORM_ERR_ABORTED; rows may be written. The window and its lock stay as they are. Prefer
 * litenorm_abort(), which lets bus accesses come to their end and resets only a core that does not obey.
 */
void litenorm_reset(void);

/** A time limit, in clock cycles, that a job on a healthy system does not come near. */
uint32_t litenorm_timeout(const struct litenorm_job *job);

/**
 * Be called when the last of all jobs has ended, by interrupt; NULL: no longer. Attaches litenorm_isr() to the SoC's
 * interrupt table.
 *
 * litenorm_poll() and litenorm_wait() work as without. The callback may start the next job. On a SoC without interrupts
 * it is called when firmware calls litenorm_isr(). An upset of the interrupt's enable bit loses it: where that matters,
 * call litenorm_poll() after litenorm_timeout() cycles without a callback.
 */
void litenorm_set_callback(litenorm_callback callback);

/** Interrupt handler, for firmware with an interrupt table of its own. */
void litenorm_isr(void);

/**
 * Restrict the core's bus masters to the bytes base to limit (inclusive). Taken over when a job starts.
 *
 * A bus word (LITENORM_BUS_BYTES) is accessed only when all of its bytes lie inside; an access outside is not issued,
 * and ends the job with LITENORM_ERR_OUT_OF_WINDOW. With base above limit nothing is accessed.
 *
 * @param base   byte address, 0 to 2^32 - 1
 * @param limit  byte address of the last byte, 0 to 2^32 - 1
 * @return       LITENORM_OK; LITENORM_ERR_LOCKED: the window stays as it was; LITENORM_ERR_NO_CORE
 */
int litenorm_set_window(uint32_t base, uint32_t limit);

/**
 * Lock the window: it cannot be changed any more until the SoC is reset, not by litenorm_reset() either.
 *
 * For firmware that sets the window and then hands over to software that it trusts less.
 *
 * @return LITENORM_OK: it is locked; LITENORM_ERR_STUCK: the register did not take the lock; LITENORM_ERR_NO_CORE
 */
int litenorm_lock_window(void);

/** 1 when the window is locked, else 0. */
int litenorm_window_locked(void);

/** Clock cycles that the core took for the last job. */
uint32_t litenorm_cycles(void);

/** Rows that the running or last job has written. */
uint32_t litenorm_rows_done(void);

/** One line that explains a code of enum litenorm_result. */
const char *litenorm_strerror(int result);

#ifdef __cplusplus
}
#endif

#endif
