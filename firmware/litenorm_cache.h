/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * How to throw a job's output out of the CPU's data cache where that is known; for the driver (litenorm.c) alone.
 */

#ifndef LITENORM_CACHE_H
#define LITENORM_CACHE_H

#include <generated/mem.h>
#include <generated/soc.h>

#include "litenorm_job.h"

/*
 * A data cache that holds a byte of memory in one place alone, as VexRiscv's without its linux variants: a load of a
 * byte that lies CACHE_SPAN away, a multiple of the cache's size, throws it out.
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

/** A load from here throws the line of this byte of main_ram out of the cache. */
static inline const volatile uint32_t *evictor(uint32_t address)
{
	return (const volatile uint32_t *)(uintptr_t)((address & ~(CACHE_LINE - 1)) ^ CACHE_SPAN);
}

/** Bytes of a job's output when it is so small that throwing out its lines takes less than to flush the cache; else 0. */
static inline uint32_t few_lines(unsigned op, const struct litenorm_job *job)
{
	uint32_t row = litenorm_packed_stride(job->length, litenorm_output_bytes(job, op));
	uint32_t offset = (uint32_t)(uintptr_t)job->dst - MAIN_RAM_BASE;

	if (!CACHE_IS_DIRECT || job->rows > CACHE_LINES || job->length > CACHE_LINES * CACHE_LINE || job->dst_stride != 0 ||
	    row * job->rows > (CACHE_LINES - 1) * CACHE_LINE || offset >= MAIN_RAM_SIZE - CACHE_LINES * CACHE_LINE)
		return 0;
	return row * job->rows;
}

#endif
