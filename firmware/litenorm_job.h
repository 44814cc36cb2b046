/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * What a job is, for the driver (litenorm.h) and for the C twin (litenorm_ref.h), and the codes both return.
 * Needs no LiteX header.
 */

#ifndef LITENORM_JOB_H
#define LITENORM_JOB_H

#include <stddef.h>
#include <stdint.h>

#include "litenorm_defs.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Bytes of the bus word: addresses and strides of a job are multiples of it. On a SoC whose bus is not 32 bits wide,
 * compile with -DLITENORM_WORD_BYTES=8 (LITENORM_BUS_BYTES of generated/soc.h).
 */
#ifndef LITENORM_WORD_BYTES
#define LITENORM_WORD_BYTES 4u
#endif

/** Return codes: 0, or a negative code. Those of the hardware are the negated status of the job. */
enum litenorm_result {
	/** Every row was written. */
	LITENORM_OK = LITENORM_STATUS_OK,
	/** The operation, input type, affine step, mask or eps is not built into the core. Nothing was read or written. */
	LITENORM_ERR_BAD_OP = -LITENORM_STATUS_BAD_OP,
	/** The output format is not known or not built into the core. Nothing was read or written. */
	LITENORM_ERR_BAD_FORMAT = -LITENORM_STATUS_BAD_FORMAT,
	/** The length is 0 or above the longest row. Nothing was read or written. */
	LITENORM_ERR_BAD_LENGTH = -LITENORM_STATUS_BAD_LENGTH,
	/** The number of rows is 0. Nothing was read or written. */
	LITENORM_ERR_BAD_ROWS = -LITENORM_STATUS_BAD_ROWS,
	/** An address or stride is not a multiple of LITENORM_WORD_BYTES. Nothing was read or written. */
	LITENORM_ERR_BAD_ALIGNMENT = -LITENORM_STATUS_BAD_ALIGNMENT,
	/** An address lies outside of the DMA window. That access was not issued; earlier rows may be written. */
	LITENORM_ERR_OUT_OF_WINDOW = -LITENORM_STATUS_OUT_OF_WINDOW,
	/** The bus answered with an error. The job ended there; earlier rows may be written. */
	LITENORM_ERR_BUS_ERROR = -LITENORM_STATUS_BUS_ERROR,
	/** The bus did not answer in time. The access was given up and the job ended; earlier rows may be written. */
	LITENORM_ERR_BUS_TIMEOUT = -LITENORM_STATUS_BUS_TIMEOUT,
	/** litenorm_abort() or litenorm_reset() ended the job. Earlier rows may be written, the last of them in part. */
	LITENORM_ERR_ABORTED = -LITENORM_STATUS_ABORTED,
	/** The core found that the sum of a row was not exact, a fault of the hardware. The output must not be used. */
	LITENORM_ERR_SELF_CHECK = -LITENORM_STATUS_SELF_CHECK,
	/**
	 * No data moved for LITENORM_WATCHDOG_CYCLES, a fault of the hardware. The core was reset and takes the next job;
	 * rows may be written.
	 */
	LITENORM_ERR_WATCHDOG = -LITENORM_STATUS_WATCHDOG,
	/** A job before this one ended with an error. Nothing was read or written. */
	LITENORM_ERR_SKIPPED = -LITENORM_STATUS_SKIPPED,
	/** From here on: codes of the software. A parameter does not fit its register; the core was not touched. */
	LITENORM_ERR_BAD_PARAMETER = -64,
	/** Another job is running, or the queue is full; the core was not touched and goes on with what it has. */
	LITENORM_ERR_BUSY = -65,
	/** The job did not end in time: it was aborted, and the core is idle again. Earlier rows may be written. */
	LITENORM_ERR_TIMEOUT = -66,
	/**
	 * The core did not obey an abort: it was reset by its register, which may have cut a bus access, and is idle again.
	 * Rows may be written.
	 */
	LITENORM_ERR_STUCK = -67,
	/** The SoC was built without the core, or with registers of another major version. Nothing was done. */
	LITENORM_ERR_NO_CORE = -68,
	/** The window is locked. It was not changed, until the SoC is reset. */
	LITENORM_ERR_LOCKED = -69,
};

/*
 * On a RISC-V CPU a job begins where a line of 32 bytes in the data cache does: all that the driver reads for a softmax
 * without a mask is in one line, wherever the job is, and a job that was just written is not in the cache.
 */
#if defined(__GNUC__) && defined(__riscv)
#define LITENORM_JOB_ALIGNED __attribute__((aligned(32)))
#else
#define LITENORM_JOB_ALIGNED
#endif

/**
 * One job: `rows` rows of `length` elements, read from `src`, written to `dst`. Zeroed fields are the defaults.
 *
 * Row r starts at src + r * src_stride and dst + r * dst_stride. Elements are little-endian and contiguous.
 * src and dst may be the same rows when an output element is not larger than an input element.
 *
 * The attention of all heads of a layer is one job of heads * T rows when its matrices lie one behind the other: causal
 * with mask_base 1, mask_increment 1, mask_period T; padded to n valid keys with mask_base n, mask_increment 0. Texts
 * with different n are a job each, which the queue takes (litenorm_submit()).
 */
struct LITENORM_JOB_ALIGNED litenorm_job {
	const void *src;           /**< s8 or s16 [rows][length], see `input`; word aligned */
	void *dst;                 /**< codes [rows][length]; word aligned; element size: litenorm_output_bytes() */
	uint32_t src_stride;       /**< bytes from row to row, a multiple of the word; 0: packed, rounded up to a word */
	uint32_t dst_stride;       /**< as src_stride */
	uint32_t rows;             /**< 1 or more */
	uint32_t length;           /**< N, elements of a row: 1 to the core's longest row */
	uint8_t input;             /**< LITENORM_INPUT_S8 or LITENORM_INPUT_S16 */
	uint8_t format;            /**< softmax: LITENORM_FORMAT_... of the output */
	uint8_t scale_shift;       /**< softmax: 0 to 31; an LSB is scale_multiplier * 2^(-9 - scale_shift) octaves, */
	uint16_t scale_multiplier; /**< softmax: which is scale * log2(e) for exp(scale * x) */
	uint16_t mask_base;        /**< valid elements of row 0; 0: all elements of all rows are valid */
	uint16_t mask_increment;   /**< valid elements of row r: min(length, base + (r mod period) * increment) */
	uint16_t mask_period;      /**< 0: never restarts */
	uint8_t affine_shift;      /**< norms: 0 to 31: out = clip((y * gamma + (beta << beta_shift) + half) >> shift) */
	uint8_t beta_shift;        /**< norms: 0 to 15 */
	uint8_t output;            /**< norms, with gamma: LITENORM_OUTPUT_S8 or LITENORM_OUTPUT_S16 */
	const int16_t *gamma;      /**< norms: s16 [length], word aligned; NULL: no gamma and beta, output s16 Q5.10 */
	const int16_t *beta;       /**< norms: s16 [length], word aligned; with gamma only */
	uint64_t eps;              /**< norms: round(eps * n^2) for n valid elements, eps in LSB^2 of x; below 2^51 */
};

/** Bytes of one input element of `job`. */
static inline uint32_t litenorm_input_bytes(const struct litenorm_job *job)
{
	return job->input == LITENORM_INPUT_S8 ? 1 : 2;
}

/** Bytes of one output element of `job`, run as `op` (LITENORM_OP_...). */
static inline uint32_t litenorm_output_bytes(const struct litenorm_job *job, unsigned op)
{
#define LITENORM_FORMAT_CASE(name, code, bits, zero_point, total, capped, text) case code: return (bits) / 8;
	if (op == LITENORM_OP_SOFTMAX) {
		switch (job->format) {
		LITENORM_FORMATS_X(LITENORM_FORMAT_CASE)
		default:
			return 2;
		}
	}
#undef LITENORM_FORMAT_CASE
	return job->gamma != NULL && job->output == LITENORM_OUTPUT_S8 ? 1 : 2;
}

/** Bytes of a packed row of `length` elements of `element_bytes`, rounded up to a bus word. */
static inline uint32_t litenorm_packed_stride(uint32_t length, uint32_t element_bytes)
{
	return (length * element_bytes + LITENORM_WORD_BYTES - 1) / LITENORM_WORD_BYTES * LITENORM_WORD_BYTES;
}

#ifdef __cplusplus
}
#endif

#endif
