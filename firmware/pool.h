/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * Memory of a model, handed out piece by piece and never given back.
 */

#ifndef LITENORM_POOL_H
#define LITENORM_POOL_H

#include <stddef.h>
#include <stdint.h>

/*
 * Two arrays that are read side by side must not fall on the same lines of a direct-mapped data cache. Left factors of a
 * product begin half of POOL_ALIGNMENT behind a multiple of it and right factors on one; and each array begins POOL_SKEW
 * further into the cache, of POOL_CACHE_BYTES or a divisor, than the one before.
 */
#define POOL_ALIGNMENT   128u
#define POOL_SKEW        (5 * POOL_ALIGNMENT)
#define POOL_CACHE_BYTES 4096u

/** What is left; zeroed but for `next` and `left`. */
struct pool {
	uint8_t *next;
	size_t left;
	uint32_t skew;
	int full;      /**< something did not fit: all that follows is NULL */
};

/** `bytes` bytes that begin `offset` bytes behind a multiple of POOL_ALIGNMENT; NULL when they do not fit. */
static inline void *pool_take(struct pool *pool, size_t bytes, size_t offset)
{
	size_t skip = (pool->skew + offset - (uintptr_t)pool->next) % POOL_CACHE_BYTES;
	uint8_t *taken = pool->next + skip;

	pool->skew += POOL_SKEW;
	if (pool->full || skip > pool->left || bytes > pool->left - skip) {
		pool->full = 1;
		return NULL;
	}
	pool->next = taken + bytes;
	pool->left -= skip + bytes;
	return taken;
}

#endif
