/* SPDX-License-Identifier: ISC */
/*
 * The records of a queue file, one a line: words separated by one space; a word is escaped, "-"
 * when empty. Reading cuts a word off `rest` and is false when it is none.
 */
#ifndef LIB_QUEUE_WORDS_H
#define LIB_QUEUE_WORDS_H

#include "lib/base/bytes.h"

/* Behind a space. */
void words_put(struct text *out, const char *s);
void words_put_number(struct text *out, int64_t n);
/* Into a terminated buffer; false when it does not fit or holds a NUL. */
bool words_get(struct view *rest, char *out, size_t size);
bool words_get_number(struct view *rest, uint64_t max, uint64_t *out);
bool words_get_u32(struct view *rest, uint32_t *out);
/* Of a digit in the one way that it is written here, lower case; -1: it is none. */
int words_hex_value(char c);

#endif
