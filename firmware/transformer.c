/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* The transformer block: its linears, LayerNorms and residuals in their order. */

#include <string.h>

#include "block_run.h"

/* x is packed once, for as many products as follow. */
static void pack_left(struct run *run, const int8_t *x, uint32_t inputs)
{
	kernel_pack_s8(run->block->left, x, run->block->image->rows, inputs, inputs, 1);
}

static void linear(struct run *run, unsigned index, void *out)
{
	const struct litenorm_image *image = run->block->image;
	const struct litenorm_image_linear *linear = linear_of(image, index);
	struct kernel_requant requant = requant_of(image, &linear->requant);

	kernel_linear(out, run->block->left, run->block->weights[index], litenorm_image_at(image, linear->bias), &requant,
	              image->rows, linear->inputs, linear->outputs);
}

static void requantize(struct run *run, const struct litenorm_image_requant *from, const int16_t *x, int8_t *out)
{
	const struct litenorm_image *image = run->block->image;
	struct kernel_requant requant = requant_of(image, from);

	begin(run);
	kernel_requantize(out, x, &requant, image->rows, image->dim);
	end(run, BLOCK_OTHER);
}

static void add(struct run *run, int16_t *out, const int16_t *a, const int16_t *b)
{
	begin(run);
	kernel_add(out, a, b, run->block->image->rows * run->block->image->dim);
	end(run, BLOCK_OTHER);
}

/* What the core computed, before gamma and beta: the same job once more, into the buffer of the projections. */
static int check_layernorm_rows(struct run *run, const struct litenorm_job *job)
{
	struct litenorm_job check = *job;
	const int16_t *y = run->block->projected;
	uint32_t row, i;
	int result;

	check.gamma = NULL;
	check.beta = NULL;
	check.dst = run->block->projected;
	result = run->path->layernorm(&check);
	if (result != LITENORM_OK)
		return result;
	for (row = 0; row < job->rows; row++) {
		int32_t sum = 0;

		for (i = 0; i < job->length; i++)
			sum += *y++;
		run->report->layernorm_rows++;
		run->report->layernorm_sum_errors += sum != 0;
	}
	return LITENORM_OK;
}

static int layernorm(struct run *run, const struct litenorm_image_norm *norm, const int16_t *x, void *out)
{
	const struct litenorm_image *image = run->block->image;
	struct litenorm_job job = {
		.src = x,
		.dst = out,
		.rows = image->rows,
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

	begin(run);
	result = run->path->layernorm(&job);
	end(run, BLOCK_LAYERNORM);
	return result == LITENORM_OK ? check_layernorm_rows(run, &job) : result;
}

static int attention_part(struct run *run, const int16_t *x, int pre)
{
	struct block *block = run->block;
	const struct litenorm_image *image = block->image;
	int result;

	if (pre) {
		result = layernorm(run, &image->norm1, x, block->attn_in);
		if (result != LITENORM_OK)
			return result;
	} else {
		requantize(run, &image->attn_requant, x, block->attn_in);
	}
	tell_matrix(run, LITENORM_STAGE_ATTN_IN, block->attn_in, 1, image->dim);

	begin(run);
	pack_left(run, block->attn_in, image->dim);
	linear(run, Q, block->q);
	linear(run, K, block->k);
	linear(run, V, block->v);
	end(run, BLOCK_GEMM);
	tell_matrix(run, LITENORM_STAGE_Q, block->q, 1, image->dim);
	tell_matrix(run, LITENORM_STAGE_K, block->k, 1, image->dim);
	tell_matrix(run, LITENORM_STAGE_V, block->v, 1, image->dim);

	result = block_attention(run);
	if (result != LITENORM_OK)
		return result;

	begin(run);
	pack_left(run, block->context, image->dim);
	linear(run, O, block->projected);
	end(run, BLOCK_GEMM);
	add(run, block->residual1, x, block->projected);
	tell_matrix(run, LITENORM_STAGE_RESIDUAL1, block->residual1, 2, image->dim);
	return LITENORM_OK;
}

static int feed_forward_part(struct run *run, int pre)
{
	struct block *block = run->block;
	const struct litenorm_image *image = block->image;
	const int16_t *stream = block->residual1;
	int16_t *sum = pre ? block->output : block->residual2;
	int result;

	if (pre) {
		result = layernorm(run, &image->norm2, stream, block->ffn_in);
	} else {
		result = layernorm(run, &image->norm1, stream, block->norm1_out);
		stream = block->norm1_out;
	}
	if (result != LITENORM_OK)
		return result;
	if (!pre) {
		tell_matrix(run, LITENORM_STAGE_NORM1_OUT, stream, 2, image->dim);
		requantize(run, &image->ffn_requant, stream, block->ffn_in);
	}
	tell_matrix(run, LITENORM_STAGE_FFN_IN, block->ffn_in, 1, image->dim);

	begin(run);
	pack_left(run, block->ffn_in, image->dim);
	linear(run, FC, block->hidden);
	end(run, BLOCK_GEMM);
	tell_matrix(run, LITENORM_STAGE_HIDDEN, block->hidden, 1, image->hidden);

	begin(run);
	kernel_lookup(block->act, block->hidden, litenorm_image_at(image, image->activation), image->rows * image->hidden);
	end(run, BLOCK_GELU);
	tell_matrix(run, LITENORM_STAGE_ACT, block->act, 1, image->hidden);

	begin(run);
	pack_left(run, block->act, image->hidden);
	linear(run, OUT, block->projected);
	end(run, BLOCK_GEMM);
	add(run, sum, stream, block->projected);
	if (!pre) {
		tell_matrix(run, LITENORM_STAGE_RESIDUAL2, sum, 2, image->dim);
		result = layernorm(run, &image->norm2, sum, block->output);
		if (result != LITENORM_OK)
			return result;
	}
	tell_matrix(run, LITENORM_STAGE_OUTPUT, block->output, 2, image->dim);
	return LITENORM_OK;
}

int block_run(struct block *block, const struct block_path *path, const struct block_hooks *hooks,
              struct block_report *report)
{
	const struct litenorm_image *image = block->image;
	struct run run = { block, path, hooks, report, 0 };
	int pre = image->norm == LITENORM_IMAGE_NORM_PRE;
	int result;

	memset(report, 0, sizeof(*report));
	result = attention_part(&run, litenorm_image_at(image, image->input), pre);
	return result == LITENORM_OK ? feed_forward_part(&run, pre) : result;
}
