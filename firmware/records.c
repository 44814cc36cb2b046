/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

#include "records.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RECORD_SIZE 256u
#define TEXT_SIZE 200u
#define HEX_BYTES 64u

/* LiteX's crc32() cannot go on where it ended, which rows with padding between them need. */
uint32_t crc32_update(uint32_t crc, const void *data, size_t bytes)
{
	static uint32_t table[256];
	const uint8_t *byte = data;
	size_t i;
	int bit;

	if (table[1] == 0) {
		for (i = 0; i < 256; i++) {
			uint32_t value = (uint32_t)i;

			for (bit = 0; bit < 8; bit++)
				value = value >> 1 ^ (0xedb88320u & (0u - (value & 1)));
			table[i] = value;
		}
	}
	crc = ~crc;
	for (i = 0; i < bytes; i++)
		crc = table[(crc ^ byte[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

void record_checked(const char *format, ...)
{
	static char text[RECORD_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	printf("%s check=%08lx\n", text, (unsigned long)crc32_update(0, text, strlen(text)));
}

void record_error(int code, const char *text)
{
	char words[TEXT_SIZE];
	size_t i;

	for (i = 0; text[i] && i < sizeof(words) - 1; i++)
		words[i] = text[i] == ' ' ? '_' : text[i];
	words[i] = '\0';
	record_checked("@error code=%d text=%s", code, words);
}

void record_tensor(const char *path, const char *name, const char *type, const void *data, uint32_t rows,
                   uint32_t columns, uint32_t element_bytes)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = data;
	uint32_t count = rows * columns * element_bytes;
	uint32_t i;

	printf("@tensor path=%s name=%s type=%s rows=%lu cols=%lu", path, name, type, (unsigned long)rows,
	       (unsigned long)columns);
	for (i = 0; i < count; i++) {
		if (i % HEX_BYTES == 0)
			printf("\n@hex %lu ", (unsigned long)i);
		putchar(digits[bytes[i] >> 4]);
		putchar(digits[bytes[i] & 15]);
	}
	printf("\n@end crc=%08lx\n", (unsigned long)crc32_update(0, data, count));
}
