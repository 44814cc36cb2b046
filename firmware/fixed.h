/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * What the integer code shares: saturation, and hints for the compiler. `>>` of a negative number must be arithmetic.
 */

#ifndef LITENORM_FIXED_H
#define LITENORM_FIXED_H

#include <stdint.h>

#ifdef __GNUC__
/** Small in-order CPUs predict a forward branch as not taken: keep the rare case out of line. */
#define RARE(condition) __builtin_expect(!!(condition), 0)
#else
#define RARE(condition) (condition)
#endif

/** Nearest s8. One branch, not taken unless it saturates. */
static inline int8_t clip_s8(int32_t value)
{
	if (RARE((uint32_t)value + 0x80u > 0xffu))
		return value < 0 ? INT8_MIN : INT8_MAX;
	return (int8_t)value;
}

/** Nearest s16. */
static inline int16_t clip_s16(int32_t value)
{
	if (RARE((uint32_t)value + 0x8000u > 0xffffu))
		return value < 0 ? INT16_MIN : INT16_MAX;
	return (int16_t)value;
}

#endif
