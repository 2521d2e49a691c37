/* SPDX-License-Identifier: ISC */
#include "lib/base/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"

const char hex_digits[] = "0123456789abcdef";

struct view view_of(const char *string)
{
	return (struct view){ string ? string : "", string ? strlen(string) : 0 };
}

bool view_equal(struct view a, struct view b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool view_equal_nocase(struct view a, struct view b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (byte_lower(a.data[i]) != byte_lower(b.data[i]))
			return false;
	return true;
}

bool view_starts(struct view v, struct view prefix)
{
	return v.len >= prefix.len && view_equal(view_take(v, prefix.len), prefix);
}

bool view_starts_nocase(struct view v, struct view prefix)
{
	return v.len >= prefix.len && view_equal_nocase(view_take(v, prefix.len), prefix);
}

bool view_ends_nocase(struct view v, struct view suffix)
{
	return v.len >= suffix.len && view_equal_nocase(view_skip(v, v.len - suffix.len), suffix);
}

size_t view_find(struct view v, char byte)
{
	const char *at = v.len ? memchr(v.data, byte, v.len) : NULL;

	return at ? (size_t)(at - v.data) : v.len;
}

struct view view_skip(struct view v, size_t n)
{
	if (n > v.len)
		n = v.len;
	return (struct view){ v.data ? v.data + n : v.data, v.len - n };
}

struct view view_take(struct view v, size_t n)
{
	return (struct view){ v.data, n < v.len ? n : v.len };
}

struct view view_trim(struct view v)
{
	while (v.len && (byte_is_space(v.data[0]) || v.data[0] == '\r' || v.data[0] == '\n'))
		v = view_skip(v, 1);
	while (v.len && (byte_is_space(v.data[v.len - 1]) || v.data[v.len - 1] == '\r' ||
	                 v.data[v.len - 1] == '\n'))
		v.len--;
	return v;
}

bool view_cut(struct view *rest, char byte, struct view *part)
{
	if (rest->len == 0)
		return false;
	size_t at = view_find(*rest, byte);

	*part = view_take(*rest, at);
	*rest = view_skip(*rest, at + 1);
	return true;
}

bool view_has_controls(struct view v)
{
	for (size_t i = 0; i < v.len; i++)
		if ((unsigned char)v.data[i] < ' ' || v.data[i] == 0x7f)
			return true;
	return false;
}

struct view address_domain(struct view address)
{
	size_t at = address.len;

	while (at > 0 && address.data[at - 1] != '@')
		at--;
	return view_skip(address, at);
}

uint32_t view_hash(uint32_t start, struct view v)
{
	for (size_t i = 0; i < v.len; i++)
		start = (start ^ (unsigned char)v.data[i]) * 16777619u;
	return start;
}

uint32_t view_hash_nocase(uint32_t start, struct view v)
{
	for (size_t i = 0; i < v.len; i++)
		start = (start ^ (unsigned char)byte_lower(v.data[i])) * 16777619u;
	return start;
}

void number_put_little(char *out, uint64_t n, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (char)(n >> (8 * i) & 0xff);
}

uint64_t number_get_little(const char *in, size_t bytes)
{
	uint64_t n = 0;

	for (size_t i = 0; i < bytes; i++)
		n |= (uint64_t)(unsigned char)in[i] << (8 * i);
	return n;
}

void number_put_big(char *out, uint64_t n, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (char)(n >> (8 * (bytes - 1 - i)) & 0xff);
}

uint64_t number_get_big(const char *in, size_t bytes)
{
	uint64_t n = 0;

	for (size_t i = 0; i < bytes; i++)
		n = n << 8 | (unsigned char)in[i];
	return n;
}

bool view_number(struct view v, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (v.len == 0)
		return false;
	for (size_t i = 0; i < v.len; i++) {
		if (!byte_is_digit(v.data[i]))
			return false;
		uint64_t digit = (uint64_t)(v.data[i] - '0');

		if (n > (UINT64_MAX - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	if (n > max)
		return false;
	*out = n;
	return true;
}

char byte_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

char byte_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

bool byte_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool byte_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool byte_is_space(char c)
{
	return c == ' ' || c == '\t';
}

int byte_hex_value(char c)
{
	c = byte_lower(c);
	if (byte_is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void text_init(struct text *t, size_t max)
{
	static char nothing[1]; /* never written: cap is 0 */

	*t = (struct text){ .raw = nothing, .max = max };
}

void text_init_with(struct text *t, size_t max, char *raw, size_t len)
{
	*t = (struct text){ .raw = raw, .len = len, .cap = len + 1, .max = max };
}

void text_free(struct text *t)
{
	if (t->cap)
		free(t->raw);
	text_init(t, t->max);
}

void text_clear(struct text *t)
{
	t->len = 0;
	t->full = false;
	if (t->cap)
		t->raw[0] = '\0';
}

bool text_has_room(const struct text *t, size_t n)
{
	return !t->full && n <= t->max && t->len <= t->max - n;
}

static size_t grown(const struct text *t, size_t n)
{
	size_t need = t->len + n + 1, cap = t->cap ? t->cap : 64;

	while (cap < need)
		cap *= 2;
	return cap > t->max + 1 ? t->max + 1 : cap;
}

static void grow(struct text *t, char *raw, size_t cap)
{
	t->raw = raw;
	t->cap = cap;
	t->raw[t->len] = '\0';
}

char *text_reserve(struct text *t, size_t n)
{
	if (!text_has_room(t, n)) {
		t->full = true;
		return NULL;
	}
	size_t cap = grown(t, n);

	if (cap > t->cap)
		grow(t, memory_grow(t->cap ? t->raw : NULL, cap), cap);
	return t->raw + t->len;
}

bool text_reserve_spared(struct text *t, size_t n, size_t spare)
{
	char *raw = NULL;
	size_t cap = text_has_room(t, n) ? grown(t, n) : 0;

	if (cap && cap <= t->cap)
		return true;
	void *beside = cap ? malloc(spare) : NULL;

	if (beside)
		raw = realloc(t->cap ? t->raw : NULL, cap);
	free(beside);
	if (raw) {
		grow(t, raw, cap);
	} else {
		text_free(t);
		t->full = true;
	}
	return raw != NULL;
}

bool text_add(struct text *t, struct view v)
{
	char *to = text_reserve(t, v.len);

	if (to == NULL)
		return false;
	if (v.len)
		memcpy(to, v.data, v.len);
	t->len += v.len;
	t->raw[t->len] = '\0';
	return true;
}

bool text_add_string(struct text *t, const char *s)
{
	return text_add(t, view_of(s));
}

bool text_add_byte(struct text *t, char c)
{
	return text_add(t, (struct view){ &c, 1 });
}

bool text_format_list(struct text *t, const char *format, va_list list)
{
	char small[256];
	va_list again;

	va_copy(again, list);
	int len = vsnprintf(small, sizeof small, format, list);
	bool done = false;

	if (len >= 0 && (size_t)len < sizeof small) {
		done = text_add(t, (struct view){ small, (size_t)len });
	} else if (len >= 0) {
		char *to = text_reserve(t, (size_t)len);

		if (to != NULL) {
			vsnprintf(to, (size_t)len + 1, format, again);
			t->len += (size_t)len;
			done = true;
		}
	}
	t->full = !done;
	va_end(again);
	return done;
}

bool text_format(struct text *t, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	bool done = text_format_list(t, format, list);

	va_end(list);
	return done;
}

void text_drop_front(struct text *t, size_t n)
{
	if (n >= t->len) {
		bool full = t->full;

		text_clear(t);
		t->full = full;
		return;
	}
	memmove(t->raw, t->raw + n, t->len - n + 1);
	t->len -= n;
}

void text_put_front(struct text *t, struct view v)
{
	if (v.len > t->len)
		log_panic("%zu bytes in the place of %zu", v.len, t->len);
	memcpy(t->raw, v.data, v.len);
}

void text_cut_back(struct text *t, size_t len)
{
	if (len < t->len)
		t->raw[t->len = len] = '\0';
	t->full = false;
}

struct view text_view(const struct text *t)
{
	if (t->full)
		log_panic("a text of at most %zu bytes was full and is taken for whole", t->max);
	return text_view_cut(t);
}

const char *text_string(const struct text *t)
{
	return text_view(t).data;
}

struct view text_view_cut(const struct text *t)
{
	return (struct view){ t->raw, t->len };
}

bool string_copy(char *out, size_t size, struct view v)
{
	out[0] = '\0';
	if (v.len >= size)
		return false;
	if (v.len)
		memcpy(out, v.data, v.len);
	out[v.len] = '\0';
	return true;
}

void string_put(char *out, size_t size, struct view v)
{
	if (!string_copy(out, size, v))
		log_panic("%zu bytes in a buffer of %zu", v.len, size);
}

/* What shows that it was cut; a UTF-8 character before it stays whole. */
static void end_cut(char *out, size_t size)
{
	size_t dots = size > 3 ? 3 : size - 1, len = size - 1 - dots;

	while (len > 0 && ((unsigned char)out[len] & 0xc0) == 0x80)
		len--;
	memcpy(out + len, "...", dots);
	out[len + dots] = '\0';
}

void string_cut(char *out, size_t size, struct view v)
{
	if (string_copy(out, size, v))
		return;
	memcpy(out, v.data, size - 1);
	end_cut(out, size);
}

bool string_format(char *out, size_t size, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	int len = vsnprintf(out, size, format, list);

	va_end(list);
	if (len >= 0 && (size_t)len < size)
		return true;
	out[0] = '\0';
	return false;
}

size_t string_print(char *out, size_t size, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	int len = vsnprintf(out, size, format, list);

	va_end(list);
	if (len < 0 || (size_t)len >= size)
		log_panic("%d bytes in a buffer of %zu", len, size);
	return (size_t)len;
}

void string_print_cut_list(char *out, size_t size, const char *format, va_list list)
{
	int len = vsnprintf(out, size, format, list);

	if (len < 0)
		out[0] = '\0';
	else if ((size_t)len >= size)
		end_cut(out, size);
}

void string_print_cut(char *out, size_t size, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	string_print_cut_list(out, size, format, list);
	va_end(list);
}

_Noreturn static void out_of_memory(size_t size)
{
	limit_reached(LIMIT_MEMORY);
	log_fatal("out of memory (%zu bytes)", size);
}

void *memory_get(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (p == NULL)
		out_of_memory(size);
	return p;
}

void *memory_grow(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	if (p == NULL)
		out_of_memory(size);
	return p;
}

void *memory_grow_for(void *old, size_t count, size_t size)
{
	return (count & (count - 1)) == 0 ? memory_grow(old, (count ? 2 * count : 1) * size) : old;
}

char *memory_string(struct view v)
{
	char *s = memory_get(v.len + 1);

	if (v.len)
		memcpy(s, v.data, v.len);
	return s;
}
