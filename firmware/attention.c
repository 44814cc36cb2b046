/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* Attention of one block: matrix products of the CPU around the softmax, which the path computes. */

#include "block_run.h"

/* Keys that the last of `rows` rows from `row` on may see: all others of these rows are masked. */
static uint32_t visible_keys(const struct litenorm_image *image, uint32_t row, uint32_t rows)
{
	return image->causal ? row + rows : image->valid;
}

static void logits_of_head(struct run *run, uint32_t head)
{
	struct block *block = run->block;
	const struct litenorm_image *image = block->image;
	struct kernel_requant requant = requant_of(image, &image->logits_requant);
	uint32_t panel = kernel_panel_bytes(KERNEL_TILE, image->head_dim);
	uint32_t bytes = requant.out_bytes;
	uint32_t row;

	requant.step = 0;
	requant.multiplier += head;
	requant.shift += head;
	kernel_pack_s8(block->left, block->q + head * image->head_dim, image->rows, image->dim, image->head_dim, 1);
	kernel_pack_s8(block->right, block->k + head * image->head_dim, image->rows, image->dim, image->head_dim, 1);
	for (row = 0; row < image->rows; row += KERNEL_TILE) {
		uint32_t rows = image->rows - row < KERNEL_TILE ? image->rows - row : KERNEL_TILE;
		uint32_t keys = visible_keys(image, row, rows);
		uint8_t *out = (uint8_t *)block->logits + (head * image->rows + row) * block->logits_row;

		kernel_tiles_s8(out, block->logits_row / bytes, block->left + row / KERNEL_TILE * panel, block->right, panel,
		                &requant, 0, rows, keys, image->head_dim);
	}
}

static void context_of_head(struct run *run, uint32_t head, int32_t zero_point)
{
	struct block *block = run->block;
	const struct litenorm_image *image = block->image;
	struct kernel_requant requant = requant_of(image, &image->context_requant);
	uint32_t first = head * image->head_dim;
	uint32_t panel = kernel_panel_bytes(KERNEL_TILE, image->rows);
	uint32_t row;

	kernel_pack_s8(block->right, block->v + first, image->head_dim, 1, image->rows, image->dim);
	for (row = 0; row < image->rows; row += KERNEL_TILE) {
		uint32_t rows = image->rows - row < KERNEL_TILE ? image->rows - row : KERNEL_TILE;
		uint32_t keys = visible_keys(image, row, rows);
		const uint8_t *codes = (const uint8_t *)block->probs + (head * image->rows + row) * block->probs_row;

		kernel_pack_codes(block->codes, codes, block->code_bytes, zero_point, rows, block->probs_row, keys);
		kernel_tiles_u16(block->context + row * image->dim + first, image->dim, block->codes, block->right, panel,
		                 &requant, first, rows, image->head_dim, keys);
	}
}

static void check_softmax_rows(struct run *run, const struct litenorm_job *job, const struct format *format)
{
	struct block *block = run->block;
	const uint8_t *codes = job->dst;
	uint32_t row, i;

	for (row = 0; row < job->rows; row++) {
		uint32_t valid = visible_keys(block->image, row % block->image->rows, 1);
		int32_t sum = 0;

		for (i = 0; i < job->length; i++)
			sum += code_at(codes, block->code_bytes, format->zero_point, i) - format->zero_point;
		run->report->softmax_rows++;
		run->report->softmax_sum_errors += sum != (valid == 1 ? format->total_of_one : format->total);
		codes += block->probs_row;
	}
}

/* The rows of heads `first` to `last`, the latter not included, of a job for those of all heads. */
static struct litenorm_job job_of_heads(const struct run *run, const struct litenorm_job *all, uint32_t first,
                                        uint32_t last)
{
	struct litenorm_job job = *all;
	uint32_t rows = run->block->image->rows;

	job.src = (const uint8_t *)all->src + first * rows * all->src_stride;
	job.dst = (uint8_t *)all->dst + first * rows * all->dst_stride;
	job.rows = (last - first) * rows;
	return job;
}

/* A ticket for wait_for_softmax(), or a code. */
static int begin_softmax(struct run *run, const struct litenorm_job *all, uint32_t first, uint32_t last)
{
	struct litenorm_job job;
	int ticket;

	begin(run);
	job = job_of_heads(run, all, first, last);
	ticket = run->path->submit != NULL ? run->path->submit(LITENORM_OP_SOFTMAX, &job) : run->path->softmax(&job);
	end(run, BLOCK_SOFTMAX);
	return ticket;
}

static int wait_for_softmax(struct run *run, const struct litenorm_job *all, int ticket)
{
	int result;

	if (run->path->submit == NULL)
		return ticket;
	begin(run);
	result = run->path->wait(ticket, all);
	end(run, BLOCK_SOFTMAX);
	return result;
}

#define PARTS 2u

/*
 * Logits and context of all heads, and the softmax in between. A job has the rows of many heads. With a queue there are
 * two: while the core has all heads but the last, the CPU computes the logits of that one; while the core has that one,
 * the context of the others.
 */
static int heads(struct run *run, const struct litenorm_job *all, const struct block_tensor *logits, int32_t zero_point)
{
	uint32_t count = run->block->image->heads;
	const uint32_t from[PARTS + 1] = { 0, run->path->submit != NULL ? count - 1 : count, count };
	int tickets[PARTS];
	uint32_t part, head;

	for (part = 0; part < PARTS; part++) {
		if (from[part] == from[part + 1])
			continue;
		begin(run);
		for (head = from[part]; head < from[part + 1]; head++)
			logits_of_head(run, head);
		end(run, BLOCK_GEMM);
		tickets[part] = begin_softmax(run, all, from[part], from[part + 1]);
	}
	tell(run, LITENORM_STAGE_LOGITS, logits);
	for (part = 0; part < PARTS; part++) {
		int result;

		if (from[part] == from[part + 1])
			continue;
		result = wait_for_softmax(run, all, tickets[part]);
		if (result != LITENORM_OK)
			return result;
		begin(run);
		for (head = from[part]; head < from[part + 1]; head++)
			context_of_head(run, head, zero_point);
		end(run, BLOCK_GEMM);
	}
	return LITENORM_OK;
}

int block_attention(struct run *run)
{
	struct block *block = run->block;
	const struct litenorm_image *image = block->image;
	struct format format = format_of(image->format);
	struct litenorm_job job = {
		.src = block->logits,
		.dst = block->probs,
		.src_stride = block->logits_row,
		.dst_stride = block->probs_row,
		.rows = image->heads * image->rows,
		.length = image->rows,
		.input = (uint8_t)image->logits_requant.out,
		.format = (uint8_t)image->format,
		.scale_multiplier = (uint16_t)image->scale_multiplier,
		.scale_shift = (uint8_t)image->scale_shift,
		.mask_base = (uint16_t)(image->causal ? 1 : image->valid),
		.mask_increment = (uint16_t)(image->causal ? 1 : 0),
		.mask_period = (uint16_t)(image->causal ? image->rows : 0),
	};
	struct block_tensor logits = {
		.data = block->logits,
		.element_bytes = type_bytes(image->logits_requant.out),
		.rows = job.rows,
		.columns = job.length,
		.row_bytes = block->logits_row,
		.mask_base = job.mask_base,
		.mask_increment = job.mask_increment,
		.mask_period = job.mask_period,
	};
	struct block_tensor probs = {
		.data = block->probs,
		.element_bytes = block->code_bytes,
		.rows = job.rows,
		.columns = job.length,
		.row_bytes = block->probs_row,
	};
	int result;

	result = heads(run, &job, &logits, format.zero_point);
	if (result != LITENORM_OK)
		return result;
	check_softmax_rows(run, &job, &format);
	tell(run, LITENORM_STAGE_PROBS, &probs);
	tell_matrix(run, LITENORM_STAGE_CONTEXT, block->context, 1, image->dim);
	return LITENORM_OK;
}
