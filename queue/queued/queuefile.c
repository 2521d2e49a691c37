/* SPDX-License-Identifier: ISC */
#include "queue/queued/queuefile.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* In the order of ASCII, so that names sort by time; without letters that look like digits. */
static const char base32[] = "0123456789abcdefghjkmnpqrstvwxyz";

void queue_id_text(uint64_t id, char out[QUEUE_ID_CHARS + 1])
{
	for (int i = QUEUE_ID_CHARS - 1; i >= 0; i--) {
		out[i] = base32[id & 31];
		id >>= 5;
	}
	out[QUEUE_ID_CHARS] = '\0';
}

bool queue_id_parse(struct view text, uint64_t *id)
{
	*id = 0;
	if (text.len != QUEUE_ID_CHARS)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		const char *at = text.data[i] ? strchr(base32, text.data[i]) : NULL;

		/* 13 characters hold 65 bits: the first is at most 'f'. */
		if (at == NULL || (i == 0 && at - base32 > 15))
			return false;
		*id = *id << 5 | (uint64_t)(at - base32);
	}
	return true;
}

uint64_t queue_id_next(uint64_t previous, int64_t now_us, unsigned noise)
{
	uint64_t id = (uint64_t)now_us << 12 | (noise & 0xfff);

	return id > previous ? id : previous + 1;
}

unsigned queue_id_directory(uint64_t id)
{
	return (unsigned)(id >> 32) & 0xff; /* 12 + 20 bits: about a second */
}

void queue_key_derive(struct queue_key *key, const unsigned char secret[QUEUE_SECRET_BYTES])
{
	static const unsigned char seal[] = "posthouse queue seal", log[] = "posthouse queue log";

	crypto_generichash(key->seal, sizeof key->seal, seal, sizeof seal, secret,
	                   QUEUE_SECRET_BYTES);
	crypto_generichash(key->log, sizeof key->log, log, sizeof log, secret, QUEUE_SECRET_BYTES);
}

/* ---- header ---- */

enum { CHECKSUM_AT = 92, SEAL_AT = 162, HEX = 64 };

/* In the one way that it is written here: lower case. */
static int hex_digit(char c)
{
	return c >= 'A' && c <= 'F' ? -1 : byte_hex_value(c);
}

static void put_hex(char *out, const unsigned char *bytes)
{
	for (unsigned i = 0; i < HEX / 2; i++) {
		out[2 * i] = hex_digits[bytes[i] >> 4];
		out[2 * i + 1] = hex_digits[bytes[i] & 15];
	}
}

static bool get_hex(const char *in, unsigned char *bytes)
{
	for (unsigned i = 0; i < HEX; i++) {
		int digit = hex_digit(in[i]);

		if (digit < 0)
			return false;
		bytes[i / 2] = (unsigned char)(i % 2 ? bytes[i / 2] | digit : digit << 4);
	}
	return true;
}

/* Over the header without state and seal, then the envelope. */
static void seal(const char header[QUEUE_HEADER_BYTES], struct view envelope,
                 const struct queue_key *key, unsigned char out[QUEUE_SEAL_BYTES])
{
	crypto_generichash_state state;
	char plain[QUEUE_HEADER_BYTES];

	memcpy(plain, header, sizeof plain);
	plain[QUEUE_STATE_OFFSET] = '-';
	memset(plain + SEAL_AT, '-', HEX);
	crypto_generichash_init(&state, key->seal, sizeof key->seal, QUEUE_SEAL_BYTES);
	crypto_generichash_update(&state, (const unsigned char *)plain, sizeof plain);
	crypto_generichash_update(&state, (const unsigned char *)envelope.data, envelope.len);
	crypto_generichash_final(&state, out, QUEUE_SEAL_BYTES);
}

void queue_header_encode(struct queue_header *h, struct view envelope, const struct queue_key *key,
                         char out[QUEUE_HEADER_BYTES])
{
	char id[QUEUE_ID_CHARS + 1], text[QUEUE_HEADER_BYTES + 64];

	queue_id_text(h->id, id);
	int n = snprintf(
		text, sizeof text,
		"posthouse-queue 1\nid %s\nstate %c\nbytes %012llu %010llu %010llu\nmessage %64s\nseal %64s\narrived %019lld\n",
		id, h->state, (unsigned long long)h->message_bytes,
		(unsigned long long)h->extra_bytes, (unsigned long long)h->envelope_bytes, "", "",
		(long long)h->arrived_us);

	memset(out, '\n', QUEUE_HEADER_BYTES);
	memcpy(out, text, n > 0 && n <= QUEUE_HEADER_BYTES ? (size_t)n : 0);
	put_hex(out + CHECKSUM_AT, h->checksum);
	seal(out, envelope, key, h->seal);
	put_hex(out + SEAL_AT, h->seal);
}

/* One field of the header: the literal before it, then len bytes. */
static bool field(struct view *rest, const char *literal, size_t len, struct view *out)
{
	if (!view_starts(*rest, view_of(literal)))
		return false;
	*rest = view_skip(*rest, strlen(literal));
	*out = view_take(*rest, len);
	*rest = view_skip(*rest, len);
	return out->len == len;
}

static bool number_field(struct view *rest, const char *literal, size_t len, uint64_t *out)
{
	struct view v;

	return field(rest, literal, len, &v) && view_number(v, INT64_MAX, out);
}

bool queue_header_decode(struct view bytes, struct queue_header *h)
{
	struct view rest = view_take(bytes, QUEUE_HEADER_BYTES), id, state, checksum, sealed;
	uint64_t arrived;

	if (rest.len != QUEUE_HEADER_BYTES ||
	    !field(&rest, "posthouse-queue 1\nid ", QUEUE_ID_CHARS, &id) ||
	    !field(&rest, "\nstate ", 1, &state) ||
	    !number_field(&rest, "\nbytes ", 12, &h->message_bytes) ||
	    !number_field(&rest, " ", 10, &h->extra_bytes) ||
	    !number_field(&rest, " ", 10, &h->envelope_bytes) ||
	    !field(&rest, "\nmessage ", HEX, &checksum) || !field(&rest, "\nseal ", HEX, &sealed) ||
	    !number_field(&rest, "\narrived ", 19, &arrived))
		return false;
	h->state = state.data[0];
	h->arrived_us = (int64_t)arrived;
	return queue_id_parse(id, &h->id) && get_hex(checksum.data, h->checksum) &&
	       get_hex(sealed.data, h->seal) &&
	       (h->state == QUEUE_COMMITTED || h->state == QUEUE_LIVE) &&
	       h->envelope_bytes <= QUEUE_ENVELOPE_MAX;
}

bool queue_seal_verify(struct view bytes, struct view envelope, const struct queue_key *key)
{
	unsigned char should[QUEUE_SEAL_BYTES], is[QUEUE_SEAL_BYTES];

	if (bytes.len < QUEUE_HEADER_BYTES || !get_hex(bytes.data + SEAL_AT, is))
		return false;
	seal(bytes.data, envelope, key, should);
	return crypto_verify_32(should, is) == 0;
}

/* ---- records: words separated by one space; a word is escaped, "-" when empty ---- */

static void put_word(struct text *out, struct view v)
{
	if (v.len == 0 || (v.len == 1 && v.data[0] == '-')) {
		text_add_string(out, v.len ? "%2d" : "-");
		return;
	}
	for (size_t i = 0; i < v.len;) {
		size_t plain = i;

		while (plain < v.len && (unsigned char)v.data[plain] > ' ' &&
		       v.data[plain] != '%' && v.data[plain] != 0x7f)
			plain++;
		text_add(out, (struct view){ v.data + i, plain - i });
		if (plain < v.len) {
			unsigned char c = (unsigned char)v.data[plain++];
			char escaped[3] = { '%', hex_digits[c >> 4], hex_digits[c & 15] };

			text_add(out, (struct view){ escaped, 3 });
		}
		i = plain;
	}
}

/* Into a terminated buffer; false when it does not fit or holds a NUL. */
static bool get_word(struct view *rest, char *out, size_t size)
{
	struct view word;
	size_t n = 0;

	out[0] = '\0';
	if (!view_cut(rest, ' ', &word) || word.len == 0)
		return false;
	if (word.len == 1 && word.data[0] == '-')
		return true;
	for (size_t i = 0; i < word.len; i++) {
		char c = word.data[i];

		if (c == '%') {
			if (word.len - i < 3 || hex_digit(word.data[i + 1]) < 0 ||
			    hex_digit(word.data[i + 2]) < 0)
				return false;
			c = (char)(hex_digit(word.data[i + 1]) << 4 | hex_digit(word.data[i + 2]));
			i += 2;
		}
		if (c == '\0' || n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

static void put_string(struct text *out, const char *s)
{
	text_add_byte(out, ' ');
	put_word(out, view_of(s));
}

static void put_number(struct text *out, int64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, " %lld", (long long)n);

	text_add(out, (struct view){ digits, len > 0 ? (size_t)len : 0 });
}

static bool get_number(struct view *rest, uint64_t max, uint64_t *out)
{
	struct view word;

	return view_cut(rest, ' ', &word) && view_number(word, max, out);
}

static bool get_u32(struct view *rest, uint32_t *out)
{
	uint64_t n;

	if (!get_number(rest, UINT32_MAX, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}

/* ---- envelope ---- */

/* What format 1 began with: always there. Lines of the head and words of a recipient that came
 * later are there only where they are set. */
enum { HEAD_BASE = ENVELOPE_AT_envid + 1, RECIPIENT_BASE = RECIPIENT_AT_address + 1 };

static void encode_field(struct text *out, const struct envelope_field *f, const void *from)
{
	const char *at = (const char *)from + f->offset;
	char client[NET_ADDRESS_TEXT_MAX] = "", letter[2] = "";

	switch (f->kind) {
	case ENVELOPE_TEXT: put_string(out, at); return;
	case ENVELOPE_CLIENT:
		if (((const struct net_address *)(const void *)at)->family)
			net_address_text((const void *)at, client);
		put_string(out, client);
		return;
	case ENVELOPE_CHOICE:
		text_add_byte(out, ' ');
		text_add(out, envelope_word(f, envelope_number(f, from)));
		return;
	case ENVELOPE_LETTER:
		letter[0] = *at;
		put_string(out, letter);
		return;
	case ENVELOPE_NUMBER: put_number(out, (int64_t)envelope_number(f, from)); return;
	}
}

static bool decode_field(struct view *rest, const struct envelope_field *f, void *to)
{
	char *at = (char *)to + f->offset, word[NET_ADDRESS_TEXT_MAX];
	uint64_t number;

	if (f->kind == ENVELOPE_TEXT)
		return get_word(rest, at, f->size);
	if (f->kind == ENVELOPE_NUMBER)
		return get_number(rest, UINT64_MAX, &number) && envelope_set_number(f, to, number);
	if (!get_word(rest, word, sizeof word))
		return false;
	if (f->kind == ENVELOPE_CLIENT)
		return word[0] == '\0' || net_address_parse(view_of(word), (void *)at);
	if (f->kind == ENVELOPE_LETTER)
		return (word[0] == '\0' || word[1] == '\0') &&
		       envelope_set_number(f, to, (unsigned char)word[0]);
	int choice = envelope_choice(f, view_of(word));

	return choice >= 0 && envelope_set_number(f, to, (uint64_t)choice);
}

static bool is_set(const struct envelope_field *f, const void *of)
{
	return f->kind == ENVELOPE_NUMBER ? envelope_number(f, of) != 0
	                                  : ((const char *)of)[f->offset] != '\0';
}

/* The fields of the line that begins at `at` end before this one. */
static unsigned line_end(const struct envelope_field *fields, unsigned count, unsigned at)
{
	do
		at++;
	while (at < count && fields[at].line[0] == '\0');
	return at;
}

void queue_envelope_encode(struct text *out, const struct envelope *e)
{
	for (unsigned at = 0, end; at < ENVELOPE_FIELDS; at = end) {
		bool wanted = at < HEAD_BASE;

		end = line_end(envelope_fields, ENVELOPE_FIELDS, at);
		for (unsigned i = at; i < end; i++)
			wanted = wanted || is_set(&envelope_fields[i], e);
		if (!wanted)
			continue;
		text_add_string(out, envelope_fields[at].line);
		for (unsigned i = at; i < end; i++)
			encode_field(out, &envelope_fields[i], e);
		text_add_byte(out, '\n');
	}
}

/* The words of a recipient, also those of a record of the log. */
static void encode_recipient(struct text *out, const struct envelope_recipient *r)
{
	unsigned count = RECIPIENT_FIELDS;

	while (count > RECIPIENT_BASE && !is_set(&envelope_recipient_fields[count - 1], r))
		count--;
	for (unsigned i = 0; i < count; i++)
		encode_field(out, &envelope_recipient_fields[i], r);
}

static bool decode_recipient(struct view *rest, struct envelope_recipient *r)
{
	for (unsigned i = 0; i < RECIPIENT_FIELDS; i++) {
		if (i >= RECIPIENT_BASE && rest->len == 0) {
			memset((char *)r + envelope_recipient_fields[i].offset, 0,
			       envelope_recipient_fields[i].size);
		} else if (!decode_field(rest, &envelope_recipient_fields[i], r)) {
			return false;
		}
	}
	return rest->len == 0 && r->address[0] != '\0';
}

void queue_recipient_encode(struct text *out, const struct envelope_recipient *r)
{
	text_add_string(out, envelope_recipient_fields[0].line);
	encode_recipient(out, r);
	text_add_byte(out, '\n');
}

/* One line of the head, of fields from *at on: lines come in the order of the table, each once, and
 * none of those that format 1 began with is left out. */
static bool decode_head(struct view word, struct view rest, unsigned *at, struct envelope *e)
{
	unsigned end;

	while (*at < ENVELOPE_FIELDS && !view_equal(word, view_of(envelope_fields[*at].line))) {
		if (*at < HEAD_BASE)
			return false;
		*at = line_end(envelope_fields, ENVELOPE_FIELDS, *at);
	}
	if (*at == ENVELOPE_FIELDS)
		return false;
	for (end = line_end(envelope_fields, ENVELOPE_FIELDS, *at); *at < end; ++*at)
		if (!decode_field(&rest, &envelope_fields[*at], e))
			return false;
	return rest.len == 0;
}

bool queue_envelope_decode(struct view bytes, struct envelope *e,
                           bool (*recipient)(void *context, const struct envelope_recipient *r),
                           void *context)
{
	struct envelope_recipient r = { 0 };
	struct view line, word;
	unsigned at = 0, recipients = 0;

	memset(e, 0, sizeof *e);
	if (bytes.len == 0 || bytes.data[bytes.len - 1] != '\n')
		return false;
	while (view_cut(&bytes, '\n', &line)) {
		if (!view_cut(&line, ' ', &word))
			return false;
		if (at >= HEAD_BASE &&
		    view_equal(word, view_of(envelope_recipient_fields[0].line))) {
			if (!decode_recipient(&line, &r) || !recipient(context, &r))
				return false;
			recipients++;
		} else if (recipients || !decode_head(word, line, &at, e)) {
			return false;
		}
	}
	return recipients > 0;
}

/* ---- log ---- */

enum log_field { F_END, F_INDEX, F_NUMBER, F_TIME, F_STATUS, F_HOST, F_TEXT, F_RECIPIENT };

/* Event, word and fields are one list. */
static const struct {
	const char *word;
	enum log_field fields[6];
} events[] = {
	[QUEUE_NEW] = { "new", { F_INDEX, F_RECIPIENT } },
	[QUEUE_EXPANDED] = { "expanded", { F_INDEX } },
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

static void put_field(struct text *out, enum log_field f, const struct queue_log *l)
{
	switch (f) {
	case F_INDEX: put_number(out, l->index); break;
	case F_NUMBER: put_number(out, l->number); break;
	case F_TIME: put_number(out, l->time_s); break;
	case F_STATUS: put_string(out, l->status); break;
	case F_HOST: put_string(out, l->host); break;
	case F_TEXT: put_string(out, l->text); break;
	case F_RECIPIENT: encode_recipient(out, &l->recipient); break;
	case F_END: break;
	}
}

static bool get_field(struct view *rest, enum log_field f, struct queue_log *l)
{
	uint64_t n;

	switch (f) {
	case F_INDEX: return get_u32(rest, &l->index);
	case F_NUMBER: return get_u32(rest, &l->number);
	case F_TIME:
		if (!get_number(rest, INT64_MAX, &n))
			return false;
		l->time_s = (int64_t)n;
		return true;
	case F_STATUS: return get_word(rest, l->status, sizeof l->status);
	case F_HOST: return get_word(rest, l->host, sizeof l->host);
	case F_TEXT: return get_word(rest, l->text, sizeof l->text);
	case F_RECIPIENT: return decode_recipient(rest, &l->recipient);
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
	snprintf(out, LOG_SEAL_CHARS + 1, " *%016llx",
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
