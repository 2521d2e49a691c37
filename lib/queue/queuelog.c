/* SPDX-License-Identifier: ISC */
#include "lib/queue/queuelog.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "lib/queue/words.h"

enum log_field { F_END, F_INDEX, F_NUMBER, F_ORDER, F_TIME, F_STATUS, F_HOST, F_TEXT, F_RECIPIENT };

/* Event, word and fields are one list. */
static const struct {
	const char *word;
	enum log_field fields[6];
} events[] = {
	[QUEUE_NEW] = { "new", { F_ORDER, F_RECIPIENT } },
	[QUEUE_EXPANDED] = { "expanded", { F_ORDER } },
	[QUEUE_DONE] = { "done", { F_INDEX, F_TIME, F_STATUS, F_HOST, F_TEXT } },
	[QUEUE_RETRY] = { "retry", { F_INDEX, F_TIME, F_STATUS, F_HOST, F_TEXT } },
	[QUEUE_FAILED] = { "failed", { F_INDEX, F_TIME, F_STATUS, F_HOST, F_TEXT } },
	[QUEUE_SUCCESS] = { "success", { F_INDEX, F_NUMBER, F_TIME, F_STATUS, F_TEXT } },
	[QUEUE_NOTICE] = { "notice", { F_TIME } },
	[QUEUE_ATTEMPT] = { "attempt", { F_NUMBER, F_TIME } },
	[QUEUE_HOLD] = { "hold", { F_TIME } },
	[QUEUE_RELEASE] = { "release", { F_TIME } },
};
static_assert(sizeof events / sizeof events[0] == QUEUE_EVENTS, "one row for each event");

/* Numbers in one word, "0/5/3"; 0.1 wrote the index alone. */
static void put_order(struct text *out, const struct queue_log *l)
{
	const uint32_t numbers[] = { l->number, l->first };

	words_put_number(out, l->index);
	for (unsigned i = 0; i < 2 && numbers[i]; i++)
		text_format(out, "/%lu", (unsigned long)numbers[i]);
}

static bool get_order(struct view *rest, struct queue_log *l)
{
	uint32_t *const numbers[] = { &l->index, &l->number, &l->first };
	struct view word, part;
	uint64_t n;
	unsigned i = 0;

	if (!view_cut(rest, ' ', &word))
		return false;
	for (; i < 3 && view_cut(&word, '/', &part); i++) {
		if (!view_number(part, UINT32_MAX, &n))
			return false;
		*numbers[i] = (uint32_t)n;
	}
	return i > 0 && word.len == 0;
}

static void put_field(struct text *out, enum log_field f, const struct queue_log *l)
{
	switch (f) {
	case F_INDEX: words_put_number(out, l->index); break;
	case F_NUMBER: words_put_number(out, l->number); break;
	case F_ORDER: put_order(out, l); break;
	case F_TIME: words_put_number(out, l->time_s); break;
	case F_STATUS: words_put(out, l->status); break;
	case F_HOST: words_put(out, l->host); break;
	case F_TEXT: words_put(out, l->text); break;
	case F_RECIPIENT: queue_recipient_put(out, &l->recipient); break;
	case F_END: break;
	}
}

static bool get_field(struct view *rest, enum log_field f, struct queue_log *l)
{
	uint64_t n;

	switch (f) {
	case F_INDEX: return words_get_u32(rest, &l->index);
	case F_NUMBER: return words_get_u32(rest, &l->number);
	case F_ORDER: return get_order(rest, l);
	case F_TIME:
		if (!words_get_number(rest, INT64_MAX, &n))
			return false;
		l->time_s = (int64_t)n;
		return true;
	case F_STATUS: return words_get(rest, l->status, sizeof l->status);
	case F_HOST: return words_get(rest, l->host, sizeof l->host);
	case F_TEXT: return words_get(rest, l->text, sizeof l->text);
	case F_RECIPIENT: return queue_recipient_get(rest, &l->recipient);
	case F_END: break;
	}
	return false;
}

enum { LOG_SEAL_CHARS = 18 /* " *" and 16 digits */ };

/* Keyed over id and line: a record cannot be made, nor moved to another file. */
static void log_seal(struct view line, const struct queue_key *key, uint64_t id,
                     char out[LOG_SEAL_CHARS + 1])
{
	unsigned char parts[16], hash[8];
	/* SipHash of the id and of the line's own hash: no copy of the line is needed. */
	crypto_shorthash(hash, (const unsigned char *)line.data, line.len, key->log);
	number_put_little((char *)parts, id, 8);
	memcpy(parts + 8, hash, 8);
	crypto_shorthash(hash, parts, sizeof parts, key->log);
	string_print(out, LOG_SEAL_CHARS + 1, " *%016llx",
	             (unsigned long long)number_get_big((const char *)hash, 8));
}

void queue_log_encode(struct text *out, const struct queue_key *key, uint64_t id,
                      const struct queue_log *l)
{
	char sealed[LOG_SEAL_CHARS + 1];
	size_t start = out->len;

	text_add_string(out, events[l->event].word);
	for (const enum log_field *f = events[l->event].fields; *f != F_END; f++)
		put_field(out, *f, l);
	if (out->full)
		return;
	log_seal(view_skip(text_view(out), start), key, id, sealed);
	text_add_string(out, sealed);
	text_add_byte(out, '\n');
}

static bool decode_line(struct view line, const struct queue_key *key, uint64_t id,
                        struct queue_log *l)
{
	char sealed[LOG_SEAL_CHARS + 1];
	struct view word, tail;
	unsigned event = 0;

	if (line.len <= LOG_SEAL_CHARS)
		return false;
	tail = view_skip(line, line.len - LOG_SEAL_CHARS);
	line = view_take(line, line.len - LOG_SEAL_CHARS);
	log_seal(line, key, id, sealed);
	if (sodium_memcmp(tail.data, sealed, LOG_SEAL_CHARS) != 0 || !view_cut(&line, ' ', &word))
		return false;
	while (event < QUEUE_EVENTS && !view_equal(word, view_of(events[event].word)))
		event++;
	if (event == QUEUE_EVENTS)
		return false;
	memset(l, 0, sizeof *l);
	l->event = (enum queue_event)event;
	for (const enum log_field *f = events[event].fields; *f != F_END; f++)
		if (!get_field(&line, *f, l))
			return false;
	return line.len == 0;
}

void queue_log_expansions(struct view records, struct text *out)
{
	struct view rest = records, line, word;

	while (rest.len) {
		size_t len = view_find(rest, '\n');

		line = view_take(rest, len < rest.len ? len + 1 : len);
		rest = view_skip(rest, line.len);
		struct view after = line;

		if (text_has_room(out, line.len) && view_cut(&after, ' ', &word) &&
		    (view_equal(word, view_of(events[QUEUE_NEW].word)) ||
		     view_equal(word, view_of(events[QUEUE_EXPANDED].word))))
			text_add(out, line);
	}
}

bool queue_log_next(struct view *rest, const struct queue_key *key, uint64_t id,
                    struct queue_log *l, unsigned *bad)
{
	struct view line;

	while (view_find(*rest, '\n') < rest->len) {
		view_cut(rest, '\n', &line);
		if (decode_line(line, key, id, l))
			return true;
		if (bad != NULL)
			++*bad;
	}
	return false;
}
