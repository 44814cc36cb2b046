/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* Checks a workload image, packs its weights, lays out the memory of its block. */

#include <string.h>

#include "block_run.h"

/*
 * Two arrays that are read side by side must not fall on the same lines of a direct-mapped data cache. Left factors of a
 * product begin half of ALIGNMENT behind a multiple of it and right factors on one; and each array begins SKEW further
 * into the cache, of CACHE_BYTES or a divisor, than the one before.
 */
#define ALIGNMENT   128u
#define SKEW        (5 * ALIGNMENT)
#define CACHE_BYTES 4096u

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

struct pool {
	uint8_t *next;
	size_t left;
	uint32_t skew;
	int full;
};

/* `offset` bytes behind a multiple of ALIGNMENT. */
static void *take(struct pool *pool, size_t bytes, size_t offset)
{
	size_t skip = (pool->skew + offset - (uintptr_t)pool->next) % CACHE_BYTES;
	uint8_t *taken = pool->next + skip;

	pool->skew += SKEW;

	if (pool->full || skip > pool->left || bytes > pool->left - skip) {
		pool->full = 1;
		return NULL;
	}
	pool->next = taken + bytes;
	pool->left -= skip + bytes;
	return taken;
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
	block->attn_in = take(&pool, tokens, 0);
	block->q = take(&pool, tokens, 0);
	block->k = take(&pool, tokens, 0);
	block->v = take(&pool, tokens, 0);
	block->logits = take(&pool, heads * rows * block->logits_row, 0);
	block->probs = take(&pool, heads * rows * block->probs_row, 0);
	block->context = take(&pool, tokens, 0);
	block->projected = take(&pool, 2 * tokens, 0);
	block->residual1 = take(&pool, 2 * tokens, 0);
	block->norm1_out = post ? take(&pool, 2 * tokens, 0) : NULL;
	block->ffn_in = take(&pool, tokens, 0);
	block->hidden = take(&pool, rows * hidden, 0);
	block->act = take(&pool, rows * hidden, 0);
	block->residual2 = post ? take(&pool, 2 * tokens, 0) : NULL;
	block->output = take(&pool, 2 * tokens, 0);
	block->left = take(&pool, kernel_panel_bytes(rows, widest), ALIGNMENT / 2);
	block->codes = take(&pool, 2 * kernel_panel_bytes(KERNEL_TILE, rows), ALIGNMENT / 2);
	block->right = take(&pool, kernel_panel_bytes(rows, round_up(image->head_dim, KERNEL_TILE)), 0);
	for (i = 0; i < LINEARS; i++) {
		const struct litenorm_image_linear *linear = linear_of(image, i);

		block->weights[i] = take(&pool, kernel_panel_bytes(linear->outputs, linear->inputs), 0);
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
