/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * A console on the UART: reads lines, runs commands. The simulator feeds it text as a person would.
 */

#ifndef LITENORM_CONSOLE_H
#define LITENORM_CONSOLE_H

/** One command of the console. */
struct console_command {
	const char *name;
	const char *arguments;   /**< for `help` */
	const char *explanation; /**< for `help`, one line */
	/** Run the command; argument is the rest of the line, "" when there is none. */
	void (*run)(const char *argument);
};

/** List the commands. */
void console_help(const struct console_command *commands, unsigned count);

/** Read a line and run its command, for ever. */
void console_run(const struct console_command *commands, unsigned count);

#endif
