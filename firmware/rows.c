/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/*
 * Console command `rows`: random rows by the core, the C twin or float, their cycles, and every element of the output,
 * for a host that compares them with the model.
 *
 *     rows softmax s8 u8_255 accel 64 8 1
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "baselines.h"
#include "board.h"
#include "litenorm.h"
#include "litenorm_ref.h"
#include "records.h"

#define MAX_ROWS  32u
#define ARGUMENTS 7

/* As in bench.c: one LSB of s8 logits is 1/16; s16 rows have 14 bits. */
#define S8_SCALE       0.0625f
#define S8_MULTIPLIER  47274
#define S8_SHIFT       10
#define S16_MULTIPLIER 40000
#define S16_SHIFT      17

static int16_t x[MAX_ROWS * LITENORM_REF_MAX_LENGTH] __attribute__((aligned(64)));
static int16_t y[MAX_ROWS * LITENORM_REF_MAX_LENGTH + 512] __attribute__((aligned(64)));

static const struct {
	const char *name;
	uint8_t code;
	uint8_t bits;
} formats[] = {
#define FORMAT_ROW(name, code, bits, zero_point, total, capped, text) { text, code, bits },
	LITENORM_FORMATS_X(FORMAT_ROW)
#undef FORMAT_ROW
};

#define FORMATS (sizeof(formats) / sizeof(formats[0]))

struct request {
	const char *op, *input, *format, *path;
	struct litenorm_job job;
	uint32_t seed;
	const char *type; /* of an output element */
	uint32_t bytes;
	int (*run)(const struct litenorm_job *job);
};

static int float_softmax(const struct litenorm_job *job)
{
	uint32_t r;

	for (r = 0; r < job->rows; r++)
		baseline_softmax_float((uint8_t *)y + r * job->length, (int8_t *)x + r * job->length, job->length, S8_SCALE);
	return LITENORM_OK;
}

static int float_layernorm(const struct litenorm_job *job)
{
	uint32_t r;

	for (r = 0; r < job->rows; r++)
		baseline_layernorm_float(y + r * job->length, (int8_t *)x + r * job->length, job->length);
	return LITENORM_OK;
}

/* The same sequence as litenorm.bench.host.random_rows(). */
static void fill(const struct request *request)
{
	uint32_t count = request->job.rows * request->job.length;
	uint32_t state = request->seed;
	uint32_t i;

	for (i = 0; i < count; i++) {
		uint32_t random = board_random(&state);

		if (request->job.input == LITENORM_INPUT_S8)
			((int8_t *)x)[i] = (int8_t)((int32_t)random >> 24);
		else
			x[i] = (int16_t)((int32_t)random >> 18);
	}
}

static int number(const char *text, uint32_t *value)
{
	char *end;

	*value = strtoul(text, &end, 10);
	return *text && !*end;
}

static int choose_softmax(struct request *request)
{
	unsigned i;

	for (i = 0; i < FORMATS && strcmp(request->format, formats[i].name); i++)
		;
	if (i == FORMATS)
		return 0;
	request->job.format = formats[i].code;
	request->bytes = formats[i].bits / 8u;
	/* The names say it: u8_255, tfl_s8. */
	request->type = request->format[0] == 'u' ? (request->bytes == 1 ? "u8" : "u16")
	                                          : (request->bytes == 1 ? "s8" : "s16");
	if (!strcmp(request->path, "float")) {
		request->run = float_softmax;
		return request->job.input == LITENORM_INPUT_S8 && !strcmp(request->format, "u8_255");
	}
	request->run = !strcmp(request->path, "accel") ? litenorm_softmax : litenorm_ref_softmax;
	return 1;
}

static int choose_layernorm(struct request *request)
{
	request->type = "s16";
	request->bytes = 2;
	if (strcmp(request->format, "q5_10") || request->job.length > LITENORM_NORM_MAX_LENGTH)
		return 0;
	if (!strcmp(request->path, "float")) {
		request->run = float_layernorm;
		return request->job.input == LITENORM_INPUT_S8;
	}
	request->run = !strcmp(request->path, "accel") ? litenorm_layernorm : litenorm_ref_layernorm;
	return 1;
}

/* 1 when the words are a request that can be carried out. */
static int understand(char *words[ARGUMENTS], struct request *request)
{
	struct litenorm_job *job = &request->job;

	request->op = words[0];
	request->input = words[1];
	request->format = words[2];
	request->path = words[3];
	if (strcmp(request->path, "accel") && strcmp(request->path, "cpu") && strcmp(request->path, "float"))
		return 0;
	if (!strcmp(request->path, "accel") && !board_has_core())
		return 0;
	if (!strcmp(request->input, "s8"))
		job->input = LITENORM_INPUT_S8;
	else if (!strcmp(request->input, "s16"))
		job->input = LITENORM_INPUT_S16;
	else
		return 0;
	if (!number(words[4], &job->length) || !number(words[5], &job->rows) || !number(words[6], &request->seed))
		return 0;
	if (job->length < 1 || job->length > LITENORM_REF_MAX_LENGTH || job->rows < 1 || job->rows > MAX_ROWS ||
	    request->seed == 0)
		return 0;
	job->src = x;
	job->dst = y;
	job->scale_multiplier = job->input == LITENORM_INPUT_S8 ? S8_MULTIPLIER : S16_MULTIPLIER;
	job->scale_shift = job->input == LITENORM_INPUT_S8 ? S8_SHIFT : S16_SHIFT;
	if (!strcmp(request->op, "softmax"))
		return choose_softmax(request);
	if (!strcmp(request->op, "layernorm"))
		return choose_layernorm(request);
	return 0;
}

void command_rows(const char *argument)
{
	static char copy[80];
	struct request request = { 0 };
	char *words[ARGUMENTS] = { 0 };
	uint32_t cycles = 0;
	int result = LITENORM_OK;
	unsigned count = 0;
	char *word;
	int run;

	strncpy(copy, argument, sizeof(copy) - 1);
	for (word = strtok(copy, " "); word && count < ARGUMENTS; word = strtok(NULL, " "))
		words[count++] = word;
	if (count < ARGUMENTS || word || !understand(words, &request)) {
		printf("rows: good: rows softmax|layernorm s8|s16 FORMAT accel|cpu|float LENGTH ROWS SEED, rows at most %u; "
		       "float takes s8 to u8_255 or q5_10\n", MAX_ROWS);
		record_checked("@refused command=rows");
		return;
	}
	fill(&request);
	/* Second of two runs: caches are warm. */
	for (run = 0; run < 2 && result == LITENORM_OK; run++) {
		uint32_t started = board_cycles();

		result = request.run(&request.job);
		cycles = board_cycles() - started;
	}
	if (result == LITENORM_OK)
		record_tensor(request.path, "rows", request.type, y, request.job.rows, request.job.length, request.bytes);
	record_checked("@measure op=%s input=%s format=%s path=%s n=%lu rows=%lu seed=%lu cycles=%lu result=%d", request.op,
	               request.input, request.format, request.path, (unsigned long)request.job.length,
	               (unsigned long)request.job.rows, (unsigned long)request.seed, (unsigned long)cycles, result);
}
