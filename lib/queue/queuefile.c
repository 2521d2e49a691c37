/* SPDX-License-Identifier: ISC */
#include "lib/queue/queuefile.h"

#include <sodium.h>
#include <string.h>

#include "lib/queue/words.h"

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
		int digit = words_hex_value(in[i]);

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
	char id[QUEUE_ID_CHARS + 1], text[QUEUE_HEADER_BYTES + 1];

	queue_id_text(h->id, id);
	size_t n = string_print(
		text, sizeof text,
		"posthouse-queue 1\nid %s\nstate %c\nbytes %012llu %010llu %010llu\nmessage %64s\nseal %64s\narrived %019lld\n",
		id, h->state, (unsigned long long)h->message_bytes,
		(unsigned long long)h->extra_bytes, (unsigned long long)h->envelope_bytes, "", "",
		(long long)h->arrived_us);

	memset(out, '\n', QUEUE_HEADER_BYTES);
	memcpy(out, text, n);
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

/* ---- envelope ---- */

/* What format 1 began with: always there. Lines of the head and words of a recipient that came
 * later are there only where they are set. */
enum { HEAD_BASE = ENVELOPE_AT_envid + 1, RECIPIENT_BASE = RECIPIENT_AT_address + 1 };

static void encode_field(struct text *out, const struct envelope_field *f, const void *from)
{
	const char *at = (const char *)from + f->offset;
	char client[NET_ADDRESS_TEXT_MAX] = "", letter[2] = "";

	switch (f->kind) {
	case ENVELOPE_TEXT: words_put(out, at); return;
	case ENVELOPE_CLIENT:
		if (((const struct net_address *)(const void *)at)->family)
			net_address_text((const void *)at, client);
		words_put(out, client);
		return;
	case ENVELOPE_CHOICE:
		text_add_byte(out, ' ');
		text_add(out, envelope_word(f, envelope_number(f, from)));
		return;
	case ENVELOPE_LETTER:
		letter[0] = *at;
		words_put(out, letter);
		return;
	case ENVELOPE_NUMBER: words_put_number(out, (int64_t)envelope_number(f, from)); return;
	}
}

static bool decode_field(struct view *rest, const struct envelope_field *f, void *to)
{
	char *at = (char *)to + f->offset, word[NET_ADDRESS_TEXT_MAX];
	uint64_t number;

	if (f->kind == ENVELOPE_TEXT)
		return words_get(rest, at, f->size);
	if (f->kind == ENVELOPE_NUMBER)
		return words_get_number(rest, UINT64_MAX, &number) &&
		       envelope_set_number(f, to, number);
	if (!words_get(rest, word, sizeof word))
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

void queue_recipient_put(struct text *out, const struct envelope_recipient *r)
{
	unsigned count = RECIPIENT_FIELDS;

	while (count > RECIPIENT_BASE && !is_set(&envelope_recipient_fields[count - 1], r))
		count--;
	for (unsigned i = 0; i < count; i++)
		encode_field(out, &envelope_recipient_fields[i], r);
}

bool queue_recipient_get(struct view *rest, struct envelope_recipient *r)
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
	queue_recipient_put(out, r);
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
			if (!queue_recipient_get(&line, &r) || !recipient(context, &r))
				return false;
			recipients++;
		} else if (recipients || !decode_head(word, line, &at, e)) {
			return false;
		}
	}
	return recipients > 0;
}
