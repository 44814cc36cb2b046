/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* A language model over new tokens: keys and values of those before are kept. */

#include "block_run.h"
#include "gpt.h"
#include "vector.h"

/* The layer that is computed, for `rows` new tokens; the last of them sees `length` tokens. */
struct step {
	struct gpt *gpt;
	const struct litenorm_image_layer *image;
	struct gpt_layer *layer;
	uint32_t rows;
	uint32_t length;
	uint32_t started;
};

static void start(struct step *step)
{
	step->started = step->gpt->cycles();
}

static void stop(struct step *step, unsigned operation)
{
	step->gpt->report.cycles[operation] += (uint32_t)(step->gpt->cycles() - step->started);
}

/* One row needs no panels: vector.h multiplies it as it is. */
static int is_vector(const struct step *step)
{
	return step->rows == 1;
}

/* x is packed once for the products that follow. */
static const int8_t *left_of(struct step *step, const int8_t *x, uint32_t inputs)
{
	if (is_vector(step))
		return x;
	kernel_pack_s8(step->gpt->left, x, step->rows, inputs, inputs, 1);
	return step->gpt->left;
}

static void linear(struct step *step, const struct litenorm_image_linear *linear, const int8_t *weights,
                   const int8_t *left, void *out)
{
	const struct litenorm_image_gpt *image = step->gpt->image;
	struct kernel_requant requant = requant_of(image, &linear->requant);
	const int32_t *bias = litenorm_image_at(image, linear->bias);

	if (is_vector(step))
		vector_product_s8(out, left, weights, kernel_panel_bytes(KERNEL_TILE, linear->inputs), bias, &requant, 0,
		                  linear->outputs, linear->inputs);
	else
		kernel_linear(out, left, weights, bias, &requant, step->rows, linear->inputs, linear->outputs);
}

static void add(struct step *step, int16_t *out, const int16_t *a, const int16_t *b)
{
	start(step);
	kernel_add(out, a, b, step->rows * step->gpt->image->dim);
	stop(step, BLOCK_OTHER);
}

/* What the core computed, before gamma and beta: the same job once more, into the buffer of the projections. */
static int check_layernorm_rows(struct gpt *gpt, const struct litenorm_job *job)
{
	struct litenorm_job check = *job;
	const int16_t *y = gpt->projected;
	uint32_t row, i;
	int result;

	check.gamma = NULL;
	check.beta = NULL;
	check.dst = gpt->projected;
	result = gpt->path->layernorm(&check);
	if (result != LITENORM_OK)
		return result;
	for (row = 0; row < job->rows; row++) {
		int32_t sum = 0;

		for (i = 0; i < job->length; i++)
			sum += *y++;
		gpt->report.layernorm_rows++;
		gpt->report.layernorm_sum_errors += sum != 0;
	}
	return LITENORM_OK;
}

static int layernorm(struct step *step, const struct litenorm_image_norm *norm, const int16_t *x, int8_t *out)
{
	const struct litenorm_image_gpt *image = step->gpt->image;
	struct litenorm_job job = {
		.src = x,
		.dst = out,
		.rows = step->rows,
		.length = image->dim,
		.input = LITENORM_INPUT_S16,
		.eps = norm->eps,
		.gamma = litenorm_image_at(image, norm->gamma),
		.beta = litenorm_image_at(image, norm->beta),
		.affine_shift = (uint8_t)norm->shift,
		.beta_shift = (uint8_t)norm->beta_shift,
		.output = (uint8_t)norm->out,
	};
	int result;

	start(step);
	result = step->gpt->path->layernorm(&job);
	stop(step, BLOCK_LAYERNORM);
	return result == LITENORM_OK ? check_layernorm_rows(step->gpt, &job) : result;
}

/* Attention ---------------------------------------------------------------------------------------------------*/

/* Put the new keys and values behind the others: the panel that was not full is packed again. */
static void extend_panels(struct step *step)
{
	struct gpt *gpt = step->gpt;
	const struct litenorm_image_gpt *image = gpt->image;
	uint32_t first = gpt->past / KERNEL_TILE * KERNEL_TILE;
	uint32_t count = step->length - first;
	const int8_t *keys = step->layer->keys + first * image->dim;
	const int8_t *values = step->layer->values + first * image->dim;
	uint32_t group = KERNEL_TILE * kernel_depth(image->context);
	uint32_t head, channel;

	for (head = 0; head < image->heads; head++) {
		int8_t *key_panels = step->layer->key_panels + head * gpt->head_keys;
		int8_t *value_panels = step->layer->value_panels + head * gpt->head_values;
		uint32_t offset = head * image->head_dim;

		kernel_pack_s8(key_panels + first * kernel_depth(image->head_dim), keys + offset, count, image->dim,
		               image->head_dim, 1);
		for (channel = 0; channel < image->head_dim; channel += KERNEL_TILE) {
			uint32_t left = image->head_dim - channel;

			kernel_pack_s8(value_panels + channel / KERNEL_TILE * group + first * KERNEL_TILE,
			               values + offset + channel, left < KERNEL_TILE ? left : KERNEL_TILE, 1, count,
			               image->dim);
		}
	}
}

static void scores_of_head(struct step *step, uint32_t head)
{
	struct gpt *gpt = step->gpt;
	const struct litenorm_image_gpt *image = gpt->image;
	struct kernel_requant requant = requant_of(image, &step->image->logits_requant);
	const int8_t *key_panels = step->layer->key_panels + head * gpt->head_keys;
	const int8_t *q = gpt->q + head * image->head_dim;
	uint32_t panel = kernel_panel_bytes(KERNEL_TILE, image->head_dim);
	uint32_t row;

	requant.step = 0;
	requant.multiplier += head;
	requant.shift += head;
	if (!is_vector(step))
		kernel_pack_s8(gpt->left, q, step->rows, image->dim, image->head_dim, 1);
	for (row = 0; row < step->rows; row += KERNEL_TILE) {
		uint32_t rows = step->rows - row < KERNEL_TILE ? step->rows - row : KERNEL_TILE;
		uint32_t keys = gpt->past + row + rows;
		uint8_t *out = (uint8_t *)gpt->scores + (head * step->rows + row) * gpt->scores_row;

		if (is_vector(step))
			vector_product_s8(out, q, key_panels, panel, NULL, &requant, 0, keys, image->head_dim);
		else
			kernel_tiles_s8(out, gpt->scores_row / requant.out_bytes, gpt->left + row / KERNEL_TILE * panel,
			                key_panels, panel, &requant, 0, rows, keys, image->head_dim);
	}
}

/* One row of codes, less their zero point, with zeros up to the panel's depth. */
static void plain_codes(struct step *step, const uint8_t *codes, int32_t zero_point)
{
	struct gpt *gpt = step->gpt;
	uint32_t i;

	for (i = 0; i < step->length; i++)
		gpt->codes[i] = (uint16_t)(code_at(codes, gpt->code_bytes, zero_point, i) - zero_point);
	for (; i < kernel_depth(step->length); i++)
		gpt->codes[i] = 0;
}

static void context_of_head(struct step *step, uint32_t head, int32_t zero_point)
{
	struct gpt *gpt = step->gpt;
	const struct litenorm_image_gpt *image = gpt->image;
	struct kernel_requant requant = requant_of(image, &step->image->context_requant);
	const int8_t *value_panels = step->layer->value_panels + head * gpt->head_values;
	uint32_t first = head * image->head_dim;
	uint32_t group = KERNEL_TILE * kernel_depth(image->context);
	uint32_t row;

	for (row = 0; row < step->rows; row += KERNEL_TILE) {
		uint32_t rows = step->rows - row < KERNEL_TILE ? step->rows - row : KERNEL_TILE;
		uint32_t keys = gpt->past + row + rows;
		int8_t *out = gpt->attended + row * image->dim + first;
		const uint8_t *codes = (const uint8_t *)gpt->probs + (head * step->rows + row) * gpt->probs_row;

		if (is_vector(step)) {
			plain_codes(step, codes, zero_point);
			vector_product_u16(out, gpt->codes, value_panels, group, NULL, &requant, first, image->head_dim,
			                   keys);
		} else {
			kernel_pack_codes(gpt->codes, codes, gpt->code_bytes, zero_point, rows, gpt->probs_row, keys);
			kernel_tiles_u16(out, image->dim, gpt->codes, value_panels, group, &requant, first, rows,
			                 image->head_dim, keys);
		}
	}
}

static void check_softmax_rows(struct step *step, const struct format *format)
{
	struct gpt *gpt = step->gpt;
	const uint8_t *codes = gpt->probs;
	uint32_t row, i;

	for (row = 0; row < gpt->image->heads * step->rows; row++) {
		int32_t total = gpt->past + row % step->rows == 0 ? format->total_of_one : format->total;
		int32_t sum = 0;

		for (i = 0; i < step->length; i++)
			sum += code_at(codes, gpt->code_bytes, format->zero_point, i) - format->zero_point;
		gpt->report.softmax_rows++;
		gpt->report.softmax_sum_errors += sum != total;
		codes += gpt->probs_row;
	}
}

static int attention(struct step *step)
{
	struct gpt *gpt = step->gpt;
	const struct litenorm_image_gpt *image = gpt->image;
	struct format format = format_of(image->format);
	/* One new token sees all there are: no mask. */
	int masked = step->rows > 1;
	struct litenorm_job job = {
		.src = gpt->scores,
		.dst = gpt->probs,
		.src_stride = gpt->scores_row,
		.dst_stride = gpt->probs_row,
		.rows = image->heads * step->rows,
		.length = step->length,
		.input = (uint8_t)image->logits_type,
		.format = (uint8_t)image->format,
		.scale_multiplier = (uint16_t)step->image->scale_multiplier,
		.scale_shift = (uint8_t)step->image->scale_shift,
		.mask_base = (uint16_t)(masked ? gpt->past + 1 : 0),
		.mask_increment = (uint16_t)(masked ? 1 : 0),
		.mask_period = (uint16_t)(masked ? step->rows : 0),
	};
	uint32_t head;
	int result;

	start(step);
	for (head = 0; head < image->heads; head++)
		scores_of_head(step, head);
	stop(step, BLOCK_GEMM);
	start(step);
	result = gpt->path->softmax(&job);
	stop(step, BLOCK_SOFTMAX);
	if (result != LITENORM_OK)
		return result;
	check_softmax_rows(step, &format);
	start(step);
	for (head = 0; head < image->heads; head++)
		context_of_head(step, head, format.zero_point);
	stop(step, BLOCK_GEMM);
	return LITENORM_OK;
}

/* The model ---------------------------------------------------------------------------------------------------*/

static int run_layer(struct step *step)
{
	struct gpt *gpt = step->gpt;
	const struct litenorm_image_layer *image = step->image;
	struct gpt_layer *layer = step->layer;
	uint32_t dim = gpt->image->dim, hidden = gpt->image->hidden;
	const int8_t *left;
	int result;

	result = layernorm(step, &image->norm1, gpt->x, gpt->attn_in);
	if (result != LITENORM_OK)
		return result;
	start(step);
	left = left_of(step, gpt->attn_in, dim);
	linear(step, &image->q, layer->weights[Q], left, gpt->q);
	linear(step, &image->k, layer->weights[K], left, layer->keys + gpt->past * dim);
	linear(step, &image->v, layer->weights[V], left, layer->values + gpt->past * dim);
	extend_panels(step);
	stop(step, BLOCK_GEMM);
	result = attention(step);
	if (result != LITENORM_OK)
		return result;
	start(step);
	linear(step, &image->o, layer->weights[O], left_of(step, gpt->attended, dim), gpt->projected);
	stop(step, BLOCK_GEMM);
	add(step, gpt->residual, gpt->x, gpt->projected);

	result = layernorm(step, &image->norm2, gpt->residual, gpt->ffn_in);
	if (result != LITENORM_OK)
		return result;
	start(step);
	linear(step, &image->fc, layer->weights[FC], left_of(step, gpt->ffn_in, dim), gpt->hidden);
	stop(step, BLOCK_GEMM);
	start(step);
	kernel_lookup(gpt->act, gpt->hidden, litenorm_image_at(gpt->image, image->activation), step->rows * hidden);
	stop(step, BLOCK_GELU);
	start(step);
	linear(step, &image->out, layer->weights[OUT], left_of(step, gpt->act, hidden), gpt->projected);
	stop(step, BLOCK_GEMM);
	add(step, gpt->x, gpt->residual, gpt->projected);
	return LITENORM_OK;
}

static void embed(struct step *step, const uint16_t *tokens)
{
	struct gpt *gpt = step->gpt;
	uint32_t dim = gpt->image->dim;
	const int16_t *words = litenorm_image_at(gpt->image, gpt->image->words);
	const int16_t *position = litenorm_image_at(gpt->image, gpt->image->positions);
	uint32_t row;

	position += gpt->past * dim;
	start(step);
	for (row = 0; row < step->rows; row++)
		kernel_add(gpt->x + row * dim, words + tokens[row] * dim, position + row * dim, dim);
	stop(step, BLOCK_OTHER);
}

/* Logits behind the last row alone. */
static int predict(struct step *step)
{
	struct gpt *gpt = step->gpt;
	const int16_t *last = gpt->x + (step->rows - 1) * gpt->image->dim;
	int result;

	step->rows = 1;
	result = layernorm(step, &gpt->image->norm, last, gpt->attn_in);
	if (result != LITENORM_OK)
		return result;
	start(step);
	linear(step, &gpt->image->head, gpt->head, left_of(step, gpt->attn_in, gpt->image->dim), gpt->logits);
	stop(step, BLOCK_GEMM);
	return LITENORM_OK;
}

int gpt_feed(struct gpt *gpt, const uint16_t *tokens, uint32_t count)
{
	const struct litenorm_image_layer *layers = litenorm_image_at(gpt->image, gpt->image->layer);
	struct step step = { gpt, layers, gpt->layers, count, gpt->past + count, 0 };
	uint32_t i;
	int result;

	if (count == 0 || count > gpt->image->context - gpt->past)
		return BLOCK_ERR_SHAPE;
	for (i = 0; i < count; i++)
		if (tokens[i] >= gpt->image->vocabulary)
			return BLOCK_ERR_SHAPE;
	embed(&step, tokens);
	for (i = 0; i < gpt->image->layers; i++) {
		step.image = &layers[i];
		step.layer = &gpt->layers[i];
		result = run_layer(&step);
		if (result != LITENORM_OK)
			return result;
	}
	gpt->past += count;
	return predict(&step);
}
