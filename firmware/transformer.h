/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * One quantized transformer block, driven by a workload image (litenorm_image.h, specified in litenorm.nn.block).
 *
 * transformer.c is the block, attention.c its attention, block_prepare.c checks its image and lays out its memory.
 *
 * Portable: softmax and LayerNorm are called through a table, so that the core and the C twin do the same work, and
 * time and intermediate tensors go to the caller through hooks. No allocation but from the memory that is given.
 */

#ifndef LITENORM_TRANSFORMER_H
#define LITENORM_TRANSFORMER_H

#include "kernels.h"
#include "litenorm_image.h"
#include "litenorm_job.h"

/** Where the cycles go. */
enum block_operation {
	BLOCK_GEMM,      /**< matrix products with packing and requantization */
	BLOCK_SOFTMAX,
	BLOCK_LAYERNORM,
	BLOCK_GELU,      /**< activation table */
	BLOCK_OTHER,     /**< residual adds, requantization between stages */
	BLOCK_OPERATIONS
};

/**
 * Who computes softmax and LayerNorm: both functions return 0 or a code of enum litenorm_result.
 *
 * With `submit` and `wait` (or neither) the softmax of all heads but the last runs while the logits of the last are
 * computed, and that of the last while the context of the others is: two jobs. Without, all heads are one job.
 */
struct block_path {
	const char *name;
	int (*softmax)(const struct litenorm_job *job);
	int (*layernorm)(const struct litenorm_job *job);
	int (*submit)(unsigned op, const struct litenorm_job *job);    /**< a ticket, 0 or above, or a code; 2 at a time */
	int (*wait)(int ticket, const struct litenorm_job *job);       /**< 0 or a code, also one that submit() gave */
};

/** An intermediate tensor, [rows][columns] of little-endian elements. */
struct block_tensor {
	const void *data;
	uint32_t element_bytes;
	uint32_t rows;
	uint32_t columns;
	uint32_t row_bytes;   /**< from row to row */
	uint32_t mask_base;   /**< 0: all elements count; else row r has min(columns, base + (r mod period) * increment) */
	uint32_t mask_increment;
	uint32_t mask_period; /**< 0: never restarts */
};

/** What the block tells its caller while it runs; outside of the timed parts. */
struct block_hooks {
	/** Clock cycles, modulo 2^32. */
	uint32_t (*cycles)(void);
	/** A stage (enum litenorm_image_stage) is complete. May be NULL. */
	void (*stage)(void *context, unsigned stage, const struct block_tensor *tensor);
	void *context;
};

/** What a run took, and what the check of its rows found. */
struct block_report {
	uint64_t cycles[BLOCK_OPERATIONS];
	uint32_t softmax_rows;
	uint32_t softmax_sum_errors;   /**< rows whose sum of codes is not the format's total */
	uint32_t layernorm_rows;
	uint32_t layernorm_sum_errors; /**< rows whose sum of Q5.10 codes before gamma and beta is not 0 */
};

/** A block that is ready to run: its weights in panels, and room for what comes in between. */
struct block {
	const struct litenorm_image *image;
	int8_t *weights[6];         /**< panels of q, k, v, o, fc, out */
	int8_t *attn_in;            /**< s8 [T][D] */
	int8_t *q, *k, *v;          /**< s8 [T][D] */
	void *logits;               /**< s8 or s16 [H * T][T], rows of logits_row bytes */
	void *probs;                /**< codes [H * T][T], rows of probs_row bytes */
	int8_t *context;            /**< s8 [T][D] */
	int16_t *projected;         /**< s16 [T][D], what is added to the residual stream; Q5.10 of the row check */
	int16_t *residual1;         /**< s16 [T][D] */
	int16_t *norm1_out;         /**< s16 [T][D], post-norm only */
	int8_t *ffn_in;             /**< s8 [T][D] */
	int8_t *hidden, *act;       /**< s8 [T][F] */
	int16_t *residual2;         /**< s16 [T][D], post-norm only */
	int16_t *output;            /**< s16 [T][D] */
	int8_t *left;               /**< panels of the left factor of a product */
	int8_t *right;              /**< panels of one head's keys, or values */
	uint16_t *codes;            /**< one panel of softmax codes */
	uint32_t logits_row, probs_row, code_bytes;
};

/** Results of block_prepare() besides 0. */
enum block_error {
	BLOCK_ERR_MAGIC = -100,  /**< there is no image at this address */
	BLOCK_ERR_VERSION = -101, /**< the image has another version */
	BLOCK_ERR_SHAPE = -102,  /**< its sizes do not fit each other */
	BLOCK_ERR_MEMORY = -103, /**< the memory is too small */
};

/** One line that explains a code of enum block_error. */
const char *block_strerror(int result);

/**
 * Check an image, pack its weights, lay out the memory.
 *
 * @param memory  free memory of `bytes` bytes, any alignment; stays in use as long as the block
 * @return        0 or a code of enum block_error
 */
int block_prepare(struct block *block, const struct litenorm_image *image, void *memory, size_t bytes);

/**
 * Run the block on the image's input; the result is block->output, s16 [rows][dim].
 *
 * After each softmax and LayerNorm, outside of the timed part, the sums of its rows are checked. LayerNorm is run once
 * more for it, without gamma and beta.
 *
 * @return 0, or the code of enum litenorm_result that `path` returned
 */
int block_run(struct block *block, const struct block_path *path, const struct block_hooks *hooks,
              struct block_report *report);

#endif
