/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* The driver (litenorm.h) on a SoC without the core: every function that can says so. */

#include "litenorm.h"

#include <generated/csr.h>

#ifndef CSR_LITENORM_BASE

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
