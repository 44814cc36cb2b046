/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* Checks a workload image, packs its weights, lays out the memory of its block. */

#include <string.h>

#include "block_run.h"
#include "pool.h"

static uint32_t round_up(uint32_t value, uint32_t unit)
{
	return (value + unit - 1) / unit * unit;
}

const char *block_strerror(int result)
{
	switch (result) {
	case BLOCK_ERR_MAGIC:
		return "there is no workload image in memory";
	case BLOCK_ERR_VERSION:
		return "the workload image has another version than the firmware";
	case BLOCK_ERR_SHAPE:
		return "the sizes in the workload image do not fit each other";
	case BLOCK_ERR_MEMORY:
		return "the memory behind the workload image is too small for it";
	default:
		return "unknown code";
	}
}

static uint32_t code_bytes_of(uint32_t format)
{
	struct litenorm_job job = { .format = (uint8_t)format };

	return litenorm_output_bytes(&job, LITENORM_OP_SOFTMAX);
}

static int shapes_fit(const struct litenorm_image *image)
{
	unsigned i;

	if (image->rows == 0 || image->valid == 0 || image->valid > image->rows || image->heads == 0 ||
	    image->heads * image->head_dim != image->dim || image->dim % 4 || image->hidden % 4)
		return 0;
	for (i = 0; i < LINEARS; i++) {
		const struct litenorm_image_linear *linear = linear_of(image, i);

		if (linear->inputs != (i == OUT ? image->hidden : image->dim) ||
		    linear->outputs != (i == FC ? image->hidden : image->dim))
			return 0;
	}
	return 1;
}

int block_prepare(struct block *block, const struct litenorm_image *image, void *memory, size_t bytes)
{
	struct pool pool = { memory, bytes, 0, 0 };
	uint32_t rows, dim, hidden, heads, tokens, widest;
	int post;
	unsigned i;

	if (image->magic != LITENORM_IMAGE_MAGIC)
		return BLOCK_ERR_MAGIC;
	if (image->version != LITENORM_IMAGE_VERSION)
		return BLOCK_ERR_VERSION;
	if (!shapes_fit(image))
		return BLOCK_ERR_SHAPE;
	rows = image->rows;
	dim = image->dim;
	hidden = image->hidden;
	heads = image->heads;
	tokens = rows * dim;
	widest = dim > hidden ? dim : hidden;
	post = image->norm == LITENORM_IMAGE_NORM_POST;

	memset(block, 0, sizeof(*block));
	block->image = image;
	block->code_bytes = code_bytes_of(image->format);
	block->logits_row = litenorm_packed_stride(rows, type_bytes(image->logits_requant.out));
	block->probs_row = litenorm_packed_stride(rows, block->code_bytes);
	block->attn_in = pool_take(&pool, tokens, 0);
	block->q = pool_take(&pool, tokens, 0);
	block->k = pool_take(&pool, tokens, 0);
	block->v = pool_take(&pool, tokens, 0);
	block->logits = pool_take(&pool, heads * rows * block->logits_row, 0);
	block->probs = pool_take(&pool, heads * rows * block->probs_row, 0);
	block->context = pool_take(&pool, tokens, 0);
	block->projected = pool_take(&pool, 2 * tokens, 0);
	block->residual1 = pool_take(&pool, 2 * tokens, 0);
	block->norm1_out = post ? pool_take(&pool, 2 * tokens, 0) : NULL;
	block->ffn_in = pool_take(&pool, tokens, 0);
	block->hidden = pool_take(&pool, rows * hidden, 0);
	block->act = pool_take(&pool, rows * hidden, 0);
	block->residual2 = post ? pool_take(&pool, 2 * tokens, 0) : NULL;
	block->output = pool_take(&pool, 2 * tokens, 0);
	block->left = pool_take(&pool, kernel_panel_bytes(rows, widest), POOL_ALIGNMENT / 2);
	block->codes = pool_take(&pool, 2 * kernel_panel_bytes(KERNEL_TILE, rows), POOL_ALIGNMENT / 2);
	block->right = pool_take(&pool, kernel_panel_bytes(rows, round_up(image->head_dim, KERNEL_TILE)), 0);
	for (i = 0; i < LINEARS; i++) {
		const struct litenorm_image_linear *linear = linear_of(image, i);

		block->weights[i] = pool_take(&pool, kernel_panel_bytes(linear->outputs, linear->inputs), 0);
	}
	if (pool.full)
		return BLOCK_ERR_MEMORY;
	for (i = 0; i < LINEARS; i++) {
		const struct litenorm_image_linear *linear = linear_of(image, i);

		kernel_pack_s8(block->weights[i], litenorm_image_at(image, linear->weight), linear->outputs, linear->inputs,
		               linear->inputs, 1);
	}
	return 0;
}
