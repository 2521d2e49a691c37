/* SPDX-License-Identifier: ISC */
/* UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef LIB_BASE_UTF8_H
#define LIB_BASE_UTF8_H

#include "lib/base/bytes.h"

enum { UTF8_REPLACEMENT = 0xfffd };

/* Bytes of the character at the front, its code in *code; 0 when there is none or it is broken. */
size_t utf8_get(struct view v, uint32_t *code);
bool utf8_add(struct text *out,
              uint32_t code); /* false: out is full; what is no character becomes U+FFFD */
bool utf8_valid(struct view v);
bool utf8_is_ascii(struct view v);
/* Controls, blanks, and what shows nothing (soft hyphen, zero-width space, byte order mark, marks
 * of direction): two texts that differ in such a character look the same. */
bool utf8_is_invisible(uint32_t code);

#endif
