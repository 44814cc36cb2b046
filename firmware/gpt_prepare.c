/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* Checks the image of a language model, packs its weights, lays out the memory; and its vocabulary. */

#include <string.h>

#include "block_run.h"
#include "gpt.h"
#include "pool.h"

static const struct litenorm_image_linear *linear_of_layer(const struct litenorm_image_layer *layer, unsigned index)
{
	const struct litenorm_image_linear *linears[LINEARS] = {
		&layer->q, &layer->k, &layer->v, &layer->o, &layer->fc, &layer->out,
	};

	return linears[index];
}

static int shapes_fit(const struct litenorm_image_gpt *image)
{
	const struct litenorm_image_layer *layers = litenorm_image_at(image, image->layer);
	const uint16_t *prompt = litenorm_image_at(image, image->prompt);
	unsigned i;

	if (image->layers == 0 || image->context == 0 || image->vocabulary == 0 || image->vocabulary > 65536 ||
	    image->heads == 0 || image->heads * image->head_dim != image->dim || image->dim % 4 || image->hidden % 4 ||
	    image->prompt_tokens == 0 || image->tokens == 0 || image->prompt_tokens > image->context ||
	    image->tokens > image->context - image->prompt_tokens || image->top_k == 0 ||
	    image->top_k > image->vocabulary || image->head.inputs != image->dim ||
	    image->head.outputs != image->vocabulary)
		return 0;
	for (i = 0; i < image->prompt_tokens; i++)
		if (prompt[i] >= image->vocabulary)
			return 0;
	for (i = 0; i < image->layers * LINEARS; i++) {
		const struct litenorm_image_linear *linear = linear_of_layer(&layers[i / LINEARS], i % LINEARS);

		if (linear->inputs != (i % LINEARS == OUT ? image->hidden : image->dim) ||
		    linear->outputs != (i % LINEARS == FC ? image->hidden : image->dim))
			return 0;
	}
	return 1;
}

static int8_t *take_panels(struct pool *pool, const struct litenorm_image_linear *linear)
{
	return pool_take(pool, kernel_panel_bytes(linear->outputs, linear->inputs), 0);
}

static void pack(const struct litenorm_image_gpt *image, int8_t *panels, const struct litenorm_image_linear *linear)
{
	kernel_pack_s8(panels, litenorm_image_at(image, linear->weight), linear->outputs, linear->inputs, linear->inputs, 1);
}

/* All arrays but those of the layers. The row kernels read up to 3 elements behind a row of s8. */
static void take_activations(struct gpt *gpt, struct pool *pool)
{
	const struct litenorm_image_gpt *image = gpt->image;
	uint32_t rows = image->context, tokens = rows * image->dim;
	uint32_t widest = image->dim > image->hidden ? image->dim : image->hidden;

	gpt->x = pool_take(pool, 2 * tokens, 0);
	gpt->projected = pool_take(pool, 2 * tokens, 0);
	gpt->residual = pool_take(pool, 2 * tokens, 0);
	gpt->attn_in = pool_take(pool, tokens, 0);
	gpt->q = pool_take(pool, tokens + KERNEL_TILE, 0);
	gpt->attended = pool_take(pool, tokens, 0);
	gpt->ffn_in = pool_take(pool, tokens, 0);
	gpt->hidden = pool_take(pool, rows * image->hidden, 0);
	gpt->act = pool_take(pool, rows * image->hidden, 0);
	gpt->scores = pool_take(pool, image->heads * rows * gpt->scores_row, 0);
	gpt->probs = pool_take(pool, image->heads * rows * gpt->probs_row, 0);
	gpt->left = pool_take(pool, kernel_panel_bytes(rows, widest), POOL_ALIGNMENT / 2);
	gpt->codes = pool_take(pool, 2 * kernel_panel_bytes(KERNEL_TILE, rows), POOL_ALIGNMENT / 2);
	gpt->logits = pool_take(pool, 2 * image->vocabulary, 0);
	gpt->candidates = pool_take(pool, litenorm_packed_stride(image->top_k, 2), 0);
	gpt->shares = pool_take(pool, litenorm_packed_stride(image->top_k, 2), 0);
	gpt->tokens = pool_take(pool, 2 * image->top_k, 0);
	gpt->written = pool_take(pool, 2 * image->tokens, 0);
}

int gpt_prepare(struct gpt *gpt, const struct litenorm_image_gpt *image, void *memory, size_t bytes)
{
	const struct litenorm_image_layer *layers;
	struct litenorm_job softmax = { 0 };
	struct pool pool = { memory, bytes, 0, 0 };
	uint32_t i;
	unsigned j;

	if (image->magic != LITENORM_IMAGE_GPT_MAGIC)
		return BLOCK_ERR_MAGIC;
	if (image->version != LITENORM_IMAGE_VERSION)
		return BLOCK_ERR_VERSION;
	if (!shapes_fit(image))
		return BLOCK_ERR_SHAPE;
	memset(gpt, 0, sizeof(*gpt));
	gpt->image = image;
	softmax.format = (uint8_t)image->format;
	gpt->code_bytes = litenorm_output_bytes(&softmax, LITENORM_OP_SOFTMAX);
	gpt->scores_row = litenorm_packed_stride(image->context, type_bytes(image->logits_type));
	gpt->probs_row = litenorm_packed_stride(image->context, gpt->code_bytes);
	gpt->head_keys = kernel_panel_bytes(image->context, image->head_dim);
	gpt->head_values = kernel_panel_bytes(image->head_dim, image->context);

	layers = litenorm_image_at(image, image->layer);
	gpt->layers = pool_take(&pool, image->layers * sizeof(*gpt->layers), 0);
	take_activations(gpt, &pool);
	gpt->head = take_panels(&pool, &image->head);
	for (i = 0; i < image->layers && !pool.full; i++) {
		struct gpt_layer *layer = &gpt->layers[i];

		layer->keys = pool_take(&pool, image->context * image->dim, 0);
		layer->values = pool_take(&pool, image->context * image->dim, 0);
		layer->key_panels = pool_take(&pool, image->heads * gpt->head_keys, 0);
		layer->value_panels = pool_take(&pool, image->heads * gpt->head_values, 0);
		for (j = 0; j < LINEARS; j++)
			layer->weights[j] = take_panels(&pool, linear_of_layer(&layers[i], j));
	}
	if (pool.full)
		return BLOCK_ERR_MEMORY;
	pack(image, gpt->head, &image->head);
	for (i = 0; i < image->layers; i++)
		for (j = 0; j < LINEARS; j++)
			pack(image, gpt->layers[i].weights[j], linear_of_layer(&layers[i], j));
	return 0;
}

const char *gpt_text_of(const struct litenorm_image_gpt *image, uint32_t token, uint32_t *length)
{
	const uint32_t *ends = litenorm_image_at(image, image->text_ends);
	uint32_t begin = token == 0 ? 0 : ends[token - 1];

	*length = ends[token] - begin;
	return (const char *)litenorm_image_at(image, image->texts) + begin;
}

int gpt_token_of(const struct litenorm_image_gpt *image, const char *text, uint32_t *length)
{
	int found = -1;
	uint32_t token, bytes;

	*length = 0;
	for (token = 0; token < image->vocabulary; token++) {
		const char *candidate = gpt_text_of(image, token, &bytes);

		if (bytes > *length && !strncmp(text, candidate, bytes)) {
			found = (int)token;
			*length = bytes;
		}
	}
	return found;
}
