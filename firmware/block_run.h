/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * What the files of the transformer block (transformer.h) and of the language model (gpt.h) share.
 */

#ifndef LITENORM_BLOCK_RUN_H
#define LITENORM_BLOCK_RUN_H

#include "transformer.h"

/** Linears in the order in which they are used. */
enum { Q, K, V, O, FC, OUT, LINEARS };

/** A block on its way. */
struct run {
	struct block *block;
	const struct block_path *path;
	const struct block_hooks *hooks;
	struct block_report *report;
	uint32_t started;
};

/** A linear of the image, by its index above. */
static inline const struct litenorm_image_linear *linear_of(const struct litenorm_image *image, unsigned index)
{
	const struct litenorm_image_linear *linears[LINEARS] = {
		&image->q, &image->k, &image->v, &image->o, &image->fc, &image->out,
	};

	return linears[index];
}

/** Bytes of an element of the image's types. */
static inline uint32_t type_bytes(uint32_t type)
{
	return type == LITENORM_IMAGE_S8 ? 1 : 2;
}

/** A requantization of the image, as the kernels take it: a multiplier and a shift for each channel. */
static inline struct kernel_requant requant_of(const void *image, const struct litenorm_image_requant *from)
{
	struct kernel_requant requant = {
		.multiplier = litenorm_image_at(image, from->multiplier),
		.shift = litenorm_image_at(image, from->shift),
		.step = 1,
		.out_bytes = type_bytes(from->out),
	};

	return requant;
}

/** Element i of a row of softmax codes. */
static inline int32_t code_at(const void *codes, uint32_t code_bytes, int32_t zero_point, uint32_t i)
{
	if (code_bytes == 1)
		return zero_point < 0 ? ((const int8_t *)codes)[i] : ((const uint8_t *)codes)[i];
	return zero_point < 0 ? ((const int16_t *)codes)[i] : ((const uint16_t *)codes)[i];
}

/** An output format of softmax. */
struct format {
	int32_t zero_point;
	int32_t total;
	int32_t total_of_one; /* sum of a row of one valid element */
};

/** By its code in the core's mode register. */
static inline struct format format_of(uint32_t code)
{
	static const struct format formats[] = {
#define FORMAT_ROW(name, code, bits, zero_point, total, capped, text) { zero_point, total, (total) - (capped) },
		LITENORM_FORMATS_X(FORMAT_ROW)
#undef FORMAT_ROW
	};

	return formats[code];
}

/** What begins here, */
static inline void begin(struct run *run)
{
	run->started = run->hooks->cycles();
}

/** and ends here, took cycles of this operation. */
static inline void end(struct run *run, enum block_operation operation)
{
	run->report->cycles[operation] += (uint32_t)(run->hooks->cycles() - run->started);
}

/** A stage (enum litenorm_image_stage) is complete. */
static inline void tell(struct run *run, unsigned stage, const struct block_tensor *tensor)
{
	if (run->hooks->stage != NULL)
		run->hooks->stage(run->hooks->context, stage, tensor);
}

/** The same, of a tensor of `columns` elements for each token. */
static inline void tell_matrix(struct run *run, unsigned stage, const void *data, uint32_t element_bytes,
                               uint32_t columns)
{
	struct block_tensor tensor = {
		.data = data,
		.element_bytes = element_bytes,
		.rows = run->block->image->rows,
		.columns = columns,
		.row_bytes = element_bytes * columns,
	};

	tell(run, stage, &tensor);
}

/**
 * Logits, softmax and context of all heads: from block->q, k and v to block->context. In attention.c.
 *
 * @return 0, or the code of enum litenorm_result that the path returned
 */
int block_attention(struct run *run);

#endif
