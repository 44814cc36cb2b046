/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 LiteNorm contributors */

/**
 * @file
 * Records for machines on the UART: lines `@<record> key=value ...`, read by litenorm.sim.protocol.
 */

#ifndef LITENORM_RECORDS_H
#define LITENORM_RECORDS_H

#include <stddef.h>
#include <stdint.h>

/** CRC-32 (zlib) of more bytes: start with 0. */
uint32_t crc32_update(uint32_t crc, const void *data, size_t bytes);

/** A record, as by printf without the line's end, and ` check=<CRC-32 of the text before>`: at most 255 characters. */
void record_checked(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** `@error code=<code> text=<text, blanks as underscores>`, with a check. */
void record_error(int code, const char *text);

/** `@tensor`, its bytes in `@hex` lines, `@end` with their CRC; type is that of the elements, as "s16". */
void record_tensor(const char *path, const char *name, const char *type, const void *data, uint32_t rows,
                   uint32_t columns, uint32_t element_bytes);

#endif
