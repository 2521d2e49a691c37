/* SPDX-License-Identifier: ISC */
#include "lib/conf/value.h"

static void put(struct text *out, uint64_t n, size_t bytes)
{
	char encoded[8];

	number_put_big(encoded, n, bytes);
	text_add(out, (struct view){ encoded, bytes });
}

void value_put_u8(struct text *out, uint8_t n)
{
	put(out, n, 1);
}

void value_put_u16(struct text *out, uint16_t n)
{
	put(out, n, 2);
}

void value_put_u32(struct text *out, uint32_t n)
{
	put(out, n, 4);
}

void value_put_u64(struct text *out, uint64_t n)
{
	put(out, n, 8);
}

void value_put_bytes(struct text *out, struct view v)
{
	if (v.len > VALUE_MAX) {
		out->full = true;
		return;
	}
	put(out, v.len, 4);
	text_add(out, v);
}

static struct view take(struct value_reader *r, size_t n)
{
	if (r->bad || r->rest.len < n) {
		r->bad = true;
		return (struct view){ "", 0 };
	}
	struct view taken = view_take(r->rest, n);

	r->rest = view_skip(r->rest, n);
	return taken;
}

static uint64_t get(struct value_reader *r, size_t bytes)
{
	struct view v = take(r, bytes);

	return number_get_big(v.data, v.len);
}

uint8_t value_get_u8(struct value_reader *r)
{
	return (uint8_t)get(r, 1);
}

uint16_t value_get_u16(struct value_reader *r)
{
	return (uint16_t)get(r, 2);
}

uint32_t value_get_u32(struct value_reader *r)
{
	return (uint32_t)get(r, 4);
}

uint64_t value_get_u64(struct value_reader *r)
{
	return get(r, 8);
}

struct view value_get_bytes(struct value_reader *r)
{
	uint64_t len = get(r, 4);

	return take(r, len);
}

bool value_end(const struct value_reader *r)
{
	return !r->bad && r->rest.len == 0;
}
