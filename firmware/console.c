/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

#include "console.h"

#include <stdio.h>
#include <string.h>

#include <libbase/uart.h>

#define LINE_SIZE 80

enum { BACKSPACE = 8, FIRST_PRINTABLE = 32, DELETE = 127 };

static int is_line_end(char c)
{
	return c == '\r' || c == '\n';
}

/* A terminal ends a line by CR, LF or both: an empty line says nothing and is not reported. */
static void read_line(char line[LINE_SIZE])
{
	unsigned length = 0;

	for (;;) {
		char c = uart_read();

		if (is_line_end(c)) {
			if (length == 0)
				continue;
			line[length] = '\0';
			putchar('\n');
			return;
		}
		if ((c == BACKSPACE || c == DELETE) && length > 0) {
			length--;
			printf("\b \b");
		} else if (c >= FIRST_PRINTABLE && c < DELETE && length < LINE_SIZE - 1) {
			line[length++] = c;
			putchar(c);
		}
	}
}

void console_help(const struct console_command *commands, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++)
		printf("%-9s %-18s %s\n", commands[i].name, commands[i].arguments, commands[i].explanation);
}

static void run_line(char *line, const struct console_command *commands, unsigned count)
{
	char *name = line + strspn(line, " ");
	char *end = name + strcspn(name, " ");
	char *argument = end + strspn(end, " ");
	unsigned i;

	*end = '\0';
	for (i = strlen(argument); i > 0 && argument[i - 1] == ' '; i--)
		argument[i - 1] = '\0';
	if (*name == '\0')
		return;
	for (i = 0; i < count; i++) {
		if (!strcmp(name, commands[i].name)) {
			commands[i].run(argument);
			return;
		}
	}
	printf("%s: unknown command; help lists the commands\n", name);
}

void console_run(const struct console_command *commands, unsigned count)
{
	char line[LINE_SIZE];

	for (;;) {
		printf("litenorm> ");
		fflush(stdout);
		read_line(line);
		run_line(line, commands, count);
	}
}
