/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* Console command `layer`: runs the transformer block of the workload image, and sends all that the host compares. */

#include <stdio.h>
#include <string.h>

#include <generated/mem.h>

#include "board.h"
#include "litenorm.h"
#include "records.h"

/* From the linker script: where the simulator, or a loader, puts the image. */
extern const uint8_t _workload[];

#define CYCLES_SIZE 240 /* of a record with six counts of 64 bits */

static const char *const stage_names[LITENORM_STAGES] = LITENORM_STAGE_NAMES;
static const char *const operation_names[BLOCK_OPERATIONS] = { "gemm", "softmax", "layernorm", "gelu", "other" };

static struct block block;

static void record_stage(void *context, unsigned stage, const struct block_tensor *tensor)
{
	const struct block_path *path = context;
	const uint8_t *data = tensor->data;
	uint32_t crc = 0, elements = 0, position = 0, row;

	for (row = 0; row < tensor->rows; row++) {
		uint32_t columns = tensor->columns;

		if (tensor->mask_base) {
			uint32_t valid = tensor->mask_base + position * tensor->mask_increment;

			columns = valid < columns ? valid : columns;
			if (++position == tensor->mask_period)
				position = 0;
		}
		crc = crc32_update(crc, data, columns * tensor->element_bytes);
		elements += columns;
		data += tensor->row_bytes;
	}
	record_checked("@stage path=%s name=%s crc=%08lx elements=%lu", path->name, stage_names[stage], (unsigned long)crc,
	               (unsigned long)elements);
}

static void fail(int code, const char *text)
{
	record_error(code, text);
	board_fail();
}

static int run(const struct block_path *path)
{
	struct block_hooks hooks = { board_cycles, record_stage, (void *)path };
	struct block_report report;
	char cycles[CYCLES_SIZE];
	uint64_t total = 0;
	unsigned i;
	int length;
	int result = block_run(&block, path, &hooks, &report);

	if (result != 0) {
		fail(result, litenorm_strerror(result));
		return result;
	}
	for (i = 0; i < BLOCK_OPERATIONS; i++)
		total += report.cycles[i];
	length = snprintf(cycles, sizeof(cycles), "@cycles path=%s total=%llu", path->name, (unsigned long long)total);
	for (i = 0; i < BLOCK_OPERATIONS; i++)
		length += snprintf(cycles + length, sizeof(cycles) - length, " %s=%llu", operation_names[i],
		                   (unsigned long long)report.cycles[i]);
	record_checked("%s", cycles);
	record_checked("@rows path=%s softmax_rows=%lu softmax_sum_errors=%lu layernorm_rows=%lu layernorm_sum_errors=%lu",
	               path->name, (unsigned long)report.softmax_rows, (unsigned long)report.softmax_sum_errors,
	               (unsigned long)report.layernorm_rows, (unsigned long)report.layernorm_sum_errors);
	if (report.softmax_sum_errors || report.layernorm_sum_errors)
		board_fail();
	record_tensor(path->name, "output", "s16", block.output, block.image->rows, block.image->dim,
	              sizeof(*block.output));
	return 0;
}

static int prepare(void)
{
	const struct litenorm_image *image = (const void *)_workload;
	size_t room = MAIN_RAM_BASE + MAIN_RAM_SIZE - (uintptr_t)_workload;
	uint8_t *checked = (uint8_t *)_workload + LITENORM_IMAGE_CHECKED_FROM;
	int result;

	if (image->magic == LITENORM_IMAGE_MAGIC &&
	    (image->size < sizeof(*image) || image->size > room ||
	     crc32_update(0, checked, image->size - LITENORM_IMAGE_CHECKED_FROM) != image->crc)) {
		fail(LITENORM_ERR_BAD_PARAMETER, "the workload image is damaged: its CRC is not that in its header");
		return LITENORM_ERR_BAD_PARAMETER;
	}
	result = block_prepare(&block, image, (uint8_t *)_workload + image->size, room - image->size);
	if (result != 0) {
		fail(result, block_strerror(result));
		return result;
	}
	printf("%s: %lu tokens, %lu wide, %lu heads\n", image->name, (unsigned long)image->rows,
	       (unsigned long)image->dim, (unsigned long)image->heads);
	return 0;
}

void command_layer(const char *argument)
{
	int both = !strcmp(argument, "both") || (!*argument && board_has_core());
	int accel = both || !strcmp(argument, "accel");
	int cpu = both || !strcmp(argument, "cpu") || !*argument;

	if (!accel && !cpu) {
		printf("layer: %s is not a path; good: accel, cpu, both\n", argument);
		return;
	}
	if (accel && !board_has_core()) {
		fail(LITENORM_ERR_NO_CORE, litenorm_strerror(LITENORM_ERR_NO_CORE));
		return;
	}
	if (prepare() != 0)
		return;
	if (accel && run(&path_accel) != 0)
		return;
	if (cpu)
		run(&path_cpu);
}
