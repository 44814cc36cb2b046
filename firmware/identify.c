/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/*
 * Is this the SoC that the firmware was compiled for? LiteX's identifier memory and soc.h have the same text, at whose
 * end is a hash of all addresses and constants (litenorm.soc.identify). Only the UART, the identifier memory and what the
 * BIOS has set up are touched before that is known.
 */

#include <stdio.h>

#include <generated/csr.h>
#include <generated/soc.h>
#include <libbase/uart.h>

#include "board.h"

/* Found in the binary by a host program, before it sends it: litenorm.sim.serial.image_id(). */
#define MARK "LiteNorm firmware for: "
static const char marked[] = MARK CONFIG_IDENTIFIER;

#define IDENTIFIER_SIZE 256u

/* The identifier that the gateware has, "" when there is none. */
static const char *gateware(void)
{
	static char text[IDENTIFIER_SIZE];
#ifdef CSR_IDENTIFIER_MEM_BASE
	unsigned i;

	for (i = 0; i < IDENTIFIER_SIZE - 1; i++) {
		char c = (char)csr_read_simple(CSR_IDENTIFIER_MEM_BASE + i * (CONFIG_CSR_ALIGNMENT / 8));

		if (c < ' ' || c > '~')
			break;
		text[i] = c;
	}
	text[i] = '\0';
#endif
	return text;
}

int board_is_ours(void)
{
	const char *ours = marked + sizeof(MARK) - 1;
	const char *theirs = gateware();

	while (*ours && *ours == *theirs) {
		ours++;
		theirs++;
	}
	return *ours == *theirs;
}

void board_refuse(void)
{
	for (;;) {
		printf("\nThis firmware was built for another SoC: it is for \"%s\", and this is \"%s\". "
		       "Build it with this SoC's headers.\n", marked + sizeof(MARK) - 1, gateware());
		uart_read();
	}
}
