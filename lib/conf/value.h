/* SPDX-License-Identifier: ISC */
/*
 * The compiled values of maps: unsigned numbers in a fixed width, big-endian, and
 * counted bytes.  A reader remembers the first failure in `bad` and then gives
 * zeros, so that a run of gets is checked once, with value_end, which also
 * refuses bytes left over.
 */
#ifndef LIB_CONF_VALUE_H
#define LIB_CONF_VALUE_H

#include "lib/base/bytes.h"

enum { VALUE_MAX = 1 << 20 };

void value_put_u8(struct text *out, uint8_t n);
void value_put_u16(struct text *out, uint16_t n);
void value_put_u32(struct text *out, uint32_t n);
void value_put_u64(struct text *out, uint64_t n);
void value_put_bytes(struct text *out, struct view v);

struct value_reader {
	struct view rest;
	bool bad;
};

uint8_t value_get_u8(struct value_reader *r);
uint16_t value_get_u16(struct value_reader *r);
uint32_t value_get_u32(struct value_reader *r);
uint64_t value_get_u64(struct value_reader *r);
struct view value_get_bytes(struct value_reader *r); /* points into the value */
bool value_end(const struct value_reader *r);        /* nothing was bad and nothing is left */

#endif
