/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* Console command `generate`: the language model of the workload image writes text, as it comes. */

#include <stdio.h>
#include <string.h>

#include <generated/mem.h>

#include "board.h"
#include "gpt.h"
#include "litenorm.h"
#include "records.h"

/* From the linker script: where the simulator, or a loader, puts the image. */
extern const uint8_t _workload[];

#define MAX_PROMPT 128u /* of a prompt that is typed: a line of the console is shorter */

static const char *const operation_names[GPT_OPERATIONS] = {
	"gemm", "softmax", "layernorm", "gelu", "other", "sampler",
};

static struct gpt gpt;

static void fail(int code, const char *text)
{
	record_error(code, text);
	board_fail();
}

static void print_token(uint32_t token)
{
	uint32_t length, i;
	const char *text = gpt_text_of(gpt.image, token, &length);

	for (i = 0; i < length; i++)
		putchar(text[i]);
	fflush(stdout);
}

static void record_cycles(const char *phase, uint32_t tokens, const uint64_t cycles[GPT_OPERATIONS])
{
	char text[200];
	uint64_t total = 0;
	unsigned i, length = 0;

	for (i = 0; i < GPT_OPERATIONS; i++) {
		total += cycles[i];
		length += (unsigned)snprintf(text + length, sizeof(text) - length, " %s=%llu", operation_names[i],
					     (unsigned long long)cycles[i]);
	}
	record_checked("@cycles path=%s phase=%s tokens=%lu total=%llu%s", gpt.path->name, phase, (unsigned long)tokens,
		       (unsigned long long)total, text);
}

static void record_sums(void)
{
	const struct gpt_report *report = &gpt.report;

	record_checked("@rows path=%s softmax_rows=%lu softmax_sum_errors=%lu layernorm_rows=%lu "
		       "layernorm_sum_errors=%lu sampler_rows=%lu sampler_sum_errors=%lu", gpt.path->name,
		       (unsigned long)report->softmax_rows, (unsigned long)report->softmax_sum_errors,
		       (unsigned long)report->layernorm_rows, (unsigned long)report->layernorm_sum_errors,
		       (unsigned long)report->sampler_rows, (unsigned long)report->sampler_sum_errors);
	if (report->softmax_sum_errors || report->layernorm_sum_errors || report->sampler_sum_errors)
		board_fail();
}

/*
 * Prompt and text, token by token: what comes between the record `text` and the end of that line is for people. Records
 * of cycles follow: of the prompt with the first token that was chosen behind it, and of the other tokens.
 */
static int write_text(const uint16_t *prompt, uint32_t prompt_tokens, uint32_t *crc)
{
	uint64_t first[GPT_OPERATIONS], others[GPT_OPERATIONS];
	uint32_t count, i;
	int result = 0;

	memset(&gpt.report, 0, sizeof(gpt.report));
	gpt.past = 0;
	gpt_seed(&gpt, gpt.image->seed);
	printf("@text path=%s\n", gpt.path->name);
	for (i = 0; i < prompt_tokens; i++)
		print_token(prompt[i]);
	for (count = 0; count < gpt.image->tokens; count++) {
		result = count == 0 ? gpt_feed(&gpt, prompt, prompt_tokens) : gpt_feed(&gpt, &gpt.written[count - 1], 1);
		if (result != LITENORM_OK)
			break;
		*crc = crc32_update(*crc, gpt.logits, gpt.image->vocabulary * sizeof(*gpt.logits));
		result = gpt_pick(&gpt);
		if (result < 0)
			break;
		gpt.written[count] = (uint16_t)result;
		print_token((uint32_t)result);
		if (count == 0)
			memcpy(first, gpt.report.cycles, sizeof(first));
	}
	printf("\n");
	if (result < 0)
		return result;
	for (i = 0; i < GPT_OPERATIONS; i++)
		others[i] = gpt.report.cycles[i] - first[i];
	record_cycles("prompt", prompt_tokens, first);
	record_cycles("text", count - 1, others);
	return LITENORM_OK;
}

static int run(const struct block_path *path, const uint16_t *prompt, uint32_t prompt_tokens)
{
	uint32_t crc = 0;
	int result;

	gpt.path = path;
	gpt.cycles = board_cycles;
	record_checked("@generate path=%s prompt=%lu tokens=%lu image=%lu", path->name, (unsigned long)prompt_tokens,
		       (unsigned long)gpt.image->tokens, (unsigned long)gpt.image->crc);
	result = write_text(prompt, prompt_tokens, &crc);
	if (result != LITENORM_OK) {
		fail(result, litenorm_strerror(result));
		return result;
	}
	record_sums();
	record_checked("@logits path=%s crc=%08lx", path->name, (unsigned long)crc);
	record_tensor(path->name, "tokens", "u16", gpt.written, 1, gpt.image->tokens, sizeof(*gpt.written));
	return LITENORM_OK;
}

/* Tokens of a prompt that was typed; 0 when it cannot be used, and a line says why. */
static uint32_t encode(const char *text, uint16_t prompt[MAX_PROMPT])
{
	const struct litenorm_image_gpt *image = gpt.image;
	uint32_t count = 0, length;

	for (; *text; text += length) {
		int token = gpt_token_of(image, text, &length);

		if (token < 0) {
			printf("generate: the model does not know what begins with %c\n", *text);
			return 0;
		}
		if (count == MAX_PROMPT || count + image->tokens >= image->context) {
			printf("generate: prompt and %lu tokens are too many; good: at most %lu together\n",
			       (unsigned long)image->tokens, (unsigned long)image->context);
			return 0;
		}
		prompt[count++] = (uint16_t)token;
	}
	return count;
}

static int prepare(void)
{
	const struct litenorm_image_gpt *image = (const void *)_workload;
	size_t room = MAIN_RAM_BASE + MAIN_RAM_SIZE - (uintptr_t)_workload;
	uint8_t *checked = (uint8_t *)_workload + LITENORM_IMAGE_CHECKED_FROM;
	int result;

	if (image->magic == LITENORM_IMAGE_GPT_MAGIC &&
	    (image->size < sizeof(*image) || image->size > room ||
	     crc32_update(0, checked, image->size - LITENORM_IMAGE_CHECKED_FROM) != image->crc)) {
		fail(LITENORM_ERR_BAD_PARAMETER, "the workload image is damaged: its CRC is not that in its header");
		return LITENORM_ERR_BAD_PARAMETER;
	}
	result = gpt_prepare(&gpt, image, (uint8_t *)_workload + image->size, room - image->size);
	if (result != 0) {
		fail(result, result == BLOCK_ERR_MAGIC ? "there is no language model in memory" : block_strerror(result));
		return result;
	}
	printf("%s: %lu layers, %lu wide, %lu tokens of context\n", image->name, (unsigned long)image->layers,
	       (unsigned long)image->dim, (unsigned long)image->context);
	return 0;
}

/* The argument behind `word`, or NULL when it begins with another one. */
static const char *behind(const char *argument, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(argument, word, length) != 0 || (argument[length] != '\0' && argument[length] != ' '))
		return NULL;
	return argument + length + strspn(argument + length, " ");
}

void command_generate(const char *argument)
{
	static uint16_t typed[MAX_PROMPT];
	const char *accel_text = behind(argument, "accel"), *cpu_text = behind(argument, "cpu");
	const char *both_text = behind(argument, "both");
	const char *text = accel_text ? accel_text : cpu_text ? cpu_text : both_text ? both_text : argument;
	int accel = accel_text || both_text || (!cpu_text && board_has_core());
	int cpu = cpu_text || both_text || !accel;
	const uint16_t *prompt = typed;
	uint32_t prompt_tokens;

	if (accel && !board_has_core()) {
		fail(LITENORM_ERR_NO_CORE, litenorm_strerror(LITENORM_ERR_NO_CORE));
		return;
	}
	if (prepare() != 0)
		return;
	if (*text) {
		prompt_tokens = encode(text, typed);
		if (prompt_tokens == 0)
			return;
	} else {
		prompt = litenorm_image_at(gpt.image, gpt.image->prompt);
		prompt_tokens = gpt.image->prompt_tokens;
	}
	if (accel && run(&path_accel, prompt, prompt_tokens) != LITENORM_OK)
		return;
	if (cpu)
		run(&path_cpu, prompt, prompt_tokens);
}
