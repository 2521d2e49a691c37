/* SPDX-License-Identifier: ISC */
/*
 * Views and growing text.
 *
 * A view is {pointer, length}, owns nothing and need not be terminated.
 * A text owns its bytes, is always terminated, and never grows past `max`:
 * an addition that would is refused whole and remembered in `full`, and so is
 * every later one: what is there is a beginning, with no hole. A run of additions
 * is checked once, and the check cannot be forgotten: text_view() of a text that
 * is full is a panic. Whoever fills a text with what others chose asks `full`
 * before; nobody need ask where the limit is that of what goes in. (The additions
 * say at once what `full` says later, for whoever stops there or makes room.)
 */
#ifndef LIB_BASE_BYTES_H
#define LIB_BASE_BYTES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct view {
	const char *data;
	size_t len;
};

#define VIEW(literal) ((struct view){ "" literal, sizeof literal - 1 })
/* For printf's "%.*s". */
#define VIEW_ARG(v) (int)(v).len, (v).data ? (v).data : ""

struct view view_of(const char *string); /* NULL gives the empty view */
bool view_equal(struct view a, struct view b);
bool view_equal_nocase(struct view a, struct view b); /* ASCII only */
bool view_starts(struct view v, struct view prefix);
bool view_starts_nocase(struct view v, struct view prefix);
bool view_ends_nocase(struct view v, struct view suffix);
/* Offset of the first `byte`, or v.len. */
size_t view_find(struct view v, char byte);
struct view view_skip(struct view v, size_t n); /* n past the end gives the empty view */
struct view view_take(struct view v, size_t n);
struct view view_trim(struct view v); /* spaces, tabs, CR, LF at both ends */
/* Cuts the part before `byte` off *rest; the rest begins behind it.  false when *rest was empty. */
bool view_cut(struct view *rest, char byte, struct view *part);
/* Decimal digits only, whole view, no sign; false on anything else or above max. */
bool view_number(struct view v, uint64_t max, uint64_t *out);

/* ASCII only, whatever the locale. */
char byte_lower(char c);
char byte_upper(char c);
bool byte_is_digit(char c);
bool byte_is_alpha(char c);
bool byte_is_space(char c);     /* space or tab */
extern const char hex_digits[]; /* the sixteen, in lower case */
int byte_hex_value(char c);     /* 0 to 15, in either case; -1: no digit */

struct text {
	char *raw; /* terminated, "" while nothing was added; for who changes bytes in place */
	size_t len, cap, max;
	bool full; /* an addition was refused: the text is a beginning, not the whole */
};

/* max: bytes the text may hold, without the terminator. */
void text_init(struct text *t, size_t max);
/* Begins it with memory of memory_get, len bytes and a terminator, which is the text's from now on.
 */
void text_init_with(struct text *t, size_t max, char *raw, size_t len);
void text_free(struct text *t);  /* gives the memory back; usable again with the same max */
void text_clear(struct text *t); /* empties it, keeps the memory, clears `full` */
bool text_add(struct text *t, struct view v);
bool text_add_string(struct text *t, const char *s);
bool text_add_byte(struct text *t, char c);
bool text_format(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool text_format_list(struct text *t, const char *format, va_list list)
	__attribute__((format(printf, 2, 0)));
/* Whether n more bytes would be taken: for who makes room instead of being refused. */
bool text_has_room(const struct text *t, size_t n);
/* Room for n more bytes, uncounted until the caller raises len; NULL when refused. */
char *text_reserve(struct text *t, size_t n);
/* Where memory runs short, with less than `spare` bytes left beside it, the text is full and gives
 * its memory back: for what can be done without. false: it is full. */
bool text_reserve_spared(struct text *t, size_t n, size_t spare);
void text_drop_front(struct text *t, size_t n);
/* In the place of as many bytes at its beginning, which it has. */
void text_put_front(struct text *t, struct view v);
/* Back to the len that it had: what was added since goes, and with it that it was full. */
void text_cut_back(struct text *t, size_t len);
/* The whole. Of a text that is full it is a panic: half a thing is passed on to nobody. */
struct view text_view(const struct text *t);
const char *text_string(const struct text *t); /* the same, terminated; a NUL inside ends it */
/* What there is, also of a text that is full: for display, and where a beginning is what is wanted
 * (a reader that comes back for the rest). Say there why. */
struct view text_view_cut(const struct text *t);

/* Has it a byte below blank, or DEL? Such have no place in addresses, log values, header fields. */
bool view_has_controls(struct view v);
/* What is behind the last "@" of a mail address; all of it when there is none. */
struct view address_domain(struct view address);
/* FNV-1a, for tables of what our own programs choose; start with HASH_START, chain with the last
 * result. Not for keys that strangers choose where a table has no bound. */
#define HASH_START 2166136261u
uint32_t view_hash(uint32_t start, struct view v);
uint32_t view_hash_nocase(uint32_t start, struct view v); /* ASCII only */

/* Numbers of 1 to 8 bytes, the least byte first (little) or the greatest (big). */
void number_put_little(char *out, uint64_t n, size_t bytes);
uint64_t number_get_little(const char *in, size_t bytes);
void number_put_big(char *out, uint64_t n, size_t bytes);
uint64_t number_get_big(const char *in, size_t bytes);

/* Strings in fixed buffers, terminated, in three ways; what is chosen says what a long one is.
 * string_copy, string_format: not to be had: false, and an empty string. For what others choose.
 * string_put, string_print:   impossible, by the limits of what goes in: a panic.
 * string_cut, string_print_cut: cut, with "..." at its end. For display alone: texts of replies,
 *                             reports and the log; never a path, an address, a name, a command. */
bool string_copy(char *out, size_t size, struct view v) __attribute__((warn_unused_result));
void string_put(char *out, size_t size, struct view v);
void string_cut(char *out, size_t size, struct view v);
bool string_format(char *out, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4), warn_unused_result));
/* Returns the length. */
size_t string_print(char *out, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void string_print_cut(char *out, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void string_print_cut_list(char *out, size_t size, const char *format, va_list list)
	__attribute__((format(printf, 3, 0)));

/* Memory or death: out of memory is fatal, no caller checks (log.h, log_fatal). */
void *memory_get(size_t size); /* zeroed */
void *memory_grow(void *old, size_t size);
/* Room for one more behind `count` objects of this size, in an array that begins as NULL and is
 * never shrunk: it doubles whenever it is full. */
void *memory_grow_for(void *old, size_t count, size_t size);
char *memory_string(struct view v); /* a terminated copy */

#endif
