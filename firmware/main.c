/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/* Console firmware: exercises, measures and shows the core. The same on a board and in simulation. */

#include <stdio.h>
#include <stdlib.h>

#include <generated/csr.h>
#include <generated/soc.h>
#include <irq.h>
#include <libbase/uart.h>

#include "board.h"
#include "cfu.h"
#include "console.h"
#include "litenorm.h"
#include "litenorm_ref.h"
#include "records.h"

#ifndef CSR_TIMER0_UPTIME_CYCLES_ADDR
#error "the firmware measures with the timer's uptime: build the SoC with timer_uptime=True"
#endif

static int wait_for(int ticket, const struct litenorm_job *job)
{
	return litenorm_wait_for(ticket, litenorm_timeout(job));
}

const struct block_path path_accel = { "accel", litenorm_softmax, litenorm_layernorm, litenorm_submit, wait_for };
const struct block_path path_cpu = { "cpu", litenorm_ref_softmax, litenorm_ref_layernorm, NULL, NULL };

static unsigned failures;

uint32_t board_cycles(void)
{
	timer0_uptime_latch_write(1);
	return (uint32_t)timer0_uptime_cycles_read();
}

int board_has_core(void)
{
#ifdef CSR_LITENORM_BASE
	return 1;
#else
	return 0;
#endif
}

void board_fail(void)
{
	failures++;
}

/* `@soc text=<identifier, blanks as underscores>` */
static void board_show_identifier(void)
{
	static char text[] = CONFIG_IDENTIFIER;
	char *c;

	printf("%s\n", text);
	for (c = text; *c; c++)
		if (*c == ' ')
			*c = '_';
	record_checked("@soc text=%s", text);
	for (c = text; *c; c++)
		if (*c == '_')
			*c = ' ';
}

static void command_info(const char *argument)
{
	(void)argument;
	board_show_identifier();
#ifdef CSR_LITENORM_BASE
	{
		uint32_t id = litenorm_id_read();

		record_checked("@info core=1 version=%lu.%lu clock=%lu lanes=%d max_length=%d ops=%d inputs=%d formats=%d "
		       "affine=%d bus_bytes=%d serial=%d",
		       (unsigned long)(id >> CSR_LITENORM_ID_MAJOR_OFFSET & 0xff),
		       (unsigned long)(id >> CSR_LITENORM_ID_MINOR_OFFSET & 0xff), (unsigned long)CONFIG_CLOCK_FREQUENCY,
		       LITENORM_LANES, LITENORM_MAX_LENGTH, LITENORM_OPS, LITENORM_INPUTS, LITENORM_FORMATS,
		       LITENORM_HAS_AFFINE, LITENORM_BUS_BYTES, LITENORM_SERIAL);
	}
#else
	record_checked("@info core=0 clock=%lu max_length=%d", (unsigned long)CONFIG_CLOCK_FREQUENCY,
	               LITENORM_REF_MAX_LENGTH);
#endif
}

static void command_exit(const char *argument)
{
	char *end;
	unsigned long code = *argument ? strtoul(argument, &end, 0) : failures;

	if (*argument && *end) {
		printf("exit: %s is not a number; good: exit, or exit 1\n", argument);
		return;
	}
#ifdef CSR_SIMCTRL_BASE
	uart_sync();
	simctrl_exit_write(code);
	for (;;)
		;
#else
	printf("failures: %lu; there is no simulation to end\n", code);
#endif
}

static void command_help(const char *argument);

static const struct console_command commands[] = {
	{ "help", "", "list the commands", command_help },
	{ "info", "", "what this SoC and its core are", command_info },
	{ "selftest", "[cfu]", "compare the core with the C twin, provoke every error", command_selftest },
	{ "layer", "[accel|cpu|both]", "run the transformer layer in memory", command_layer },
	{ "generate", "[accel|cpu|both] [PROMPT]", "the language model in memory writes text", command_generate },
	{ "bench", "[calls]", "cycles of calls for one short row; softmax, LayerNorm, matrix products", command_bench },
	{ "rows", "OP IN FORMAT PATH N ROWS SEED", "random rows: cycles and every element, for litenorm bench",
	  command_rows },
	{ "exit", "[code]", "end the simulation; default: number of failures", command_exit },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void command_help(const char *argument)
{
	(void)argument;
	console_help(commands, COMMANDS);
}

int main(void)
{
	irq_setmask(0);
	irq_setie(1);
	cfu_enable();
	uart_init();
	if (!board_is_ours())
		board_refuse();
	printf("\nLiteNorm firmware, help lists the commands\n");
	if (board_has_core()) {
		int result = litenorm_init();

		if (result != LITENORM_OK) {
			record_error(result, litenorm_strerror(result));
			board_fail();
		}
	}
	console_run(commands, COMMANDS);
}
