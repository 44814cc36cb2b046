/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

#include "transformer.h"

#include <string.h>

/*
 * Two arrays that are read side by side must not fall on the same lines of a direct-mapped data cache. Left factors of a
 * product begin half of ALIGNMENT behind a multiple of it and right factors on one; and each array begins SKEW further
 * into the cache, of CACHE_BYTES or a divisor, than the one before.
 */
#define ALIGNMENT   128u
#define SKEW        (5 * ALIGNMENT)
#define CACHE_BYTES 4096u

/* Linears in the order in which they are used. */
enum { Q, K, V, O, FC, OUT, LINEARS };

struct run {
	struct block *block;
	const struct block_path *path;
	const struct block_hooks *hooks;
	struct block_report *report;
	uint32_t started;
};

static const struct litenorm_image_linear *linear_of(const struct litenorm_image *image, unsigned index)
{
	const struct litenorm_image_linear *linears[LINEARS] = {
		&image->q, &image->k, &image->v, &image->o, &image->fc, &image->out,
	};

	return linears[index];
}

static uint32_t type_bytes(uint32_t type)
{
	return type == LITENORM_IMAGE_S8 ? 1 : 2;
}

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

/* Preparation -------------------------------------------------------------------------------------------------*/

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

/* Time and stages ---------------------------------------------------------------------------------------------*/

static void begin(struct run *run)
{
	run->started = run->hooks->cycles();
}

static void end(struct run *run, enum block_operation operation)
{
	run->report->cycles[operation] += (uint32_t)(run->hooks->cycles() - run->started);
}

static void tell(struct run *run, unsigned stage, const struct block_tensor *tensor)
{
	if (run->hooks->stage != NULL)
		run->hooks->stage(run->hooks->context, stage, tensor);
}

static void tell_matrix(struct run *run, unsigned stage, const void *data, uint32_t element_bytes, uint32_t columns)
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

/* Parts -------------------------------------------------------------------------------------------------------*/

static struct kernel_requant requant_of(const struct litenorm_image *image, const struct litenorm_image_requant *from)
{
	struct kernel_requant requant = {
		.multiplier = litenorm_image_at(image, from->multiplier),
		.shift = litenorm_image_at(image, from->shift),
		.step = 1,
		.out_bytes = type_bytes(from->out),
	};

	return requant;
}

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

/* Attention ---------------------------------------------------------------------------------------------------*/

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
	uint32_t row, key;
	int32_t tile[KERNEL_TILE * KERNEL_TILE];

	requant.step = 0;
	requant.multiplier += head;
	requant.shift += head;
	kernel_pack_s8(block->left, block->q + head * image->head_dim, image->rows, image->dim, image->head_dim, 1);
	kernel_pack_s8(block->right, block->k + head * image->head_dim, image->rows, image->dim, image->head_dim, 1);
	for (row = 0; row < image->rows; row += KERNEL_TILE) {
		uint32_t rows = image->rows - row < KERNEL_TILE ? image->rows - row : KERNEL_TILE;
		uint32_t keys = visible_keys(image, row, rows);
		uint8_t *out = (uint8_t *)block->logits + (head * image->rows + row) * block->logits_row;

		for (key = 0; key < keys; key += KERNEL_TILE) {
			uint32_t columns = keys - key < KERNEL_TILE ? keys - key : KERNEL_TILE;

			kernel_multiply_s8(tile, block->left + row / KERNEL_TILE * panel,
			                   block->right + key / KERNEL_TILE * panel, image->head_dim);
			kernel_store_tile(tile, rows, columns, NULL, &requant, 0, out + key * bytes,
			                  block->logits_row / bytes);
		}
	}
}

static void context_of_head(struct run *run, uint32_t head, int32_t zero_point)
{
	struct block *block = run->block;
	const struct litenorm_image *image = block->image;
	struct kernel_requant requant = requant_of(image, &image->context_requant);
	uint32_t first = head * image->head_dim;
	uint32_t panel = kernel_panel_bytes(KERNEL_TILE, image->rows);
	uint32_t row, channel;
	int32_t tile[KERNEL_TILE * KERNEL_TILE];

	kernel_pack_s8(block->right, block->v + first, image->head_dim, 1, image->rows, image->dim);
	for (row = 0; row < image->rows; row += KERNEL_TILE) {
		uint32_t rows = image->rows - row < KERNEL_TILE ? image->rows - row : KERNEL_TILE;
		uint32_t keys = visible_keys(image, row, rows);
		const uint8_t *codes = (const uint8_t *)block->probs + (head * image->rows + row) * block->probs_row;

		kernel_pack_codes(block->codes, codes, block->code_bytes, zero_point, rows, block->probs_row, keys);
		for (channel = 0; channel < image->head_dim; channel += KERNEL_TILE) {
			uint32_t left = image->head_dim - channel;
			uint32_t columns = left < KERNEL_TILE ? left : KERNEL_TILE;

			kernel_multiply_u16(tile, block->codes, block->right + channel / KERNEL_TILE * panel, keys);
			kernel_store_tile(tile, rows, columns, NULL, &requant, first + channel,
			                  block->context + row * image->dim + first + channel, image->dim);
		}
	}
}

static int32_t code_at(const void *codes, uint32_t code_bytes, int32_t zero_point, uint32_t i)
{
	if (code_bytes == 1)
		return zero_point < 0 ? ((const int8_t *)codes)[i] : ((const uint8_t *)codes)[i];
	return zero_point < 0 ? ((const int16_t *)codes)[i] : ((const uint16_t *)codes)[i];
}

struct format {
	int32_t zero_point;
	int32_t total;
	int32_t total_of_one; /* sum of a row of one valid element */
};

static struct format format_of(uint32_t code)
{
	static const struct format formats[] = {
#define FORMAT_ROW(name, code, bits, zero_point, total, capped, text) { zero_point, total, (total) - (capped) },
		LITENORM_FORMATS_X(FORMAT_ROW)
#undef FORMAT_ROW
	};

	return formats[code];
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
 * two: while the core has all heads but the last, the CPU computes the logits of that one, and then the others' context.
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

static int attention(struct run *run)
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

/* The block ---------------------------------------------------------------------------------------------------*/

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

	result = attention(run);
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
