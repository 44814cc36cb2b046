/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * What the files of the console command `selftest` share. selftest.c is the command, its rows and jobs, and the tests
 * of the C twin alone; selftest_core.c compares the core with the twin; selftest_errors.c provokes every error;
 * selftest_cfu.c tests the custom instructions of a CPU that has them.
 */

#ifndef LITENORM_SELFTEST_H
#define LITENORM_SELFTEST_H

#include <stdint.h>

#include <generated/csr.h>
#include <generated/soc.h>

#include "cfu.h"
#include "litenorm.h"
#include "litenorm_ref.h"

#define ROWS         8u
#define STRIDE_BYTES 64u /* of rows that are not packed; SHORT_ROW elements of 2 bytes fit */
#define BUFFER_BYTES (ROWS * (2 * LITENORM_REF_MAX_LENGTH > STRIDE_BYTES ? 2 * LITENORM_REF_MAX_LENGTH : STRIDE_BYTES))
#define CANARY       0x5a
#define CANARY_BYTES 64u
#define CACHE_LINE   32u

/** What the rows of a job are read from, */
extern uint8_t selftest_input[BUFFER_BYTES];
/** and what the twin writes them to. */
extern uint8_t selftest_from_twin[BUFFER_BYTES + CANARY_BYTES];

/** The input types' names, by LITENORM_INPUT_... */
extern const char *const selftest_input_names[2];

/** An output format of the softmax. */
struct selftest_format {
	const char *name;
	int32_t zero_point;
	int32_t total;
	int32_t capped;
	uint32_t bytes;
};

/** All formats, by LITENORM_FORMAT_... */
#define COUNT_FORMAT(...) +1
enum { FORMATS = LITENORM_FORMATS_X(COUNT_FORMAT) };
extern const struct selftest_format selftest_formats[FORMATS];

/** Lengths of rows, ascending; not every core takes all of them. */
#define LENGTHS 8
extern const uint16_t selftest_lengths[LENGTHS];

/** Send the record of one test, and count it. */
void selftest_report(const char *name, const char *detail, int ok);

/** Random rows and the edges, another in each row, in selftest_input, and a job without a destination for them. */
struct litenorm_job selftest_job(unsigned type, uint32_t rows, uint32_t length);

#ifdef CFU_INT8
/** The custom instructions against their model in C, and the kernels made of them against those without. */
void selftest_cfu(void);
#endif

#ifdef CSR_LITENORM_BASE

#define SOME_ROW  (LITENORM_MAX_LENGTH < 16 ? LITENORM_MAX_LENGTH : 16u)
#define SHORT_ROW (LITENORM_MAX_LENGTH < 18 ? LITENORM_MAX_LENGTH : 18u)

/** What the core writes rows to. */
extern uint8_t selftest_from_core[BUFFER_BYTES + CANARY_BYTES];

/** 1 when the core has this operation (LITENORM_OP_...). */
static inline int has_op(unsigned op)
{
	return LITENORM_OPS >> op & 1;
}

/** An operation that the core has. */
unsigned selftest_any_op(void);

/** A job that every core can run, as selftest_any_op(), into selftest_from_core. */
struct litenorm_job selftest_plain_job(uint32_t rows, uint32_t length);

/** The job with gamma and beta, for an output type. */
struct litenorm_job selftest_with_weights(struct litenorm_job job, uint8_t output);

/** Run a good job on core and twin; 1 when both wrote the same bytes. */
int selftest_good_job_works(void);

/** The tests of the other two files. */
void selftest_core(void);
void selftest_errors(void);

#endif

#endif
