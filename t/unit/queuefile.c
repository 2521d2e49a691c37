/* SPDX-License-Identifier: ISC */
/* The queue file's encoding: ids, header, envelope, log; and that nothing torn or forged is
 * believed. */
#include "lib/queue/queuelog.h"

#include <sodium.h>

#include "t/tap.h"

static struct queue_key key, other_key;

static void ids(void)
{
	char text[QUEUE_ID_CHARS + 1], later[QUEUE_ID_CHARS + 1];
	uint64_t a = queue_id_next(0, 1795323790000000, 5), b, back;

	queue_id_text(a, text);
	ok(strlen(text) == 13 && queue_id_parse(view_of(text), &back) && back == a,
	   "an id comes back from its text");
	b = queue_id_next(a, 1795323790000001, 0);
	queue_id_text(b, later);
	ok(b > a && strcmp(text, later) < 0, "later ids are greater, as numbers and as text");
	ok(queue_id_next(a, 1700000000000000, 0) == a + 1,
	   "a clock set back does not give an id twice");
	ok(queue_id_next(a, 1795323790000000, 5) == a + 1, "nor does the same microsecond");
	queue_id_text(UINT64_MAX, text);
	ok(queue_id_parse(view_of(text), &back) && back == UINT64_MAX, "the greatest id");
	ok(!queue_id_parse(VIEW("zzzzzzzzzzzzz"), &back) &&
	           !queue_id_parse(VIEW("0123456789ab"), &back) &&
	           !queue_id_parse(VIEW("0123456789abi"), &back) &&
	           !queue_id_parse(VIEW("../../etc/pas"), &back),
	   "what is no id is refused: too great, too short, other letters, paths");
	bool seen[256] = { false };
	unsigned count = 0;

	for (int64_t s = 0; s < 300; s++)
		seen[queue_id_directory(queue_id_next(0, (1795323790 + s) * 1000000 + s * 48576,
		                                      0))] = true;
	for (unsigned i = 0; i < 256; i++)
		count += seen[i];
	ok(count > 250, "five minutes of ids use the directories evenly (%u)", count);
}

static const struct envelope envelope = {
	.origin = ENVELOPE_AUTHENTICATED,
	.sender = "a b%@example.test",
	.account = "",
	.helo = "-",
	.eight_bit = true,
	.ret = 'H',
	.envid = "e+2B",
	.hops = 3,
	.client = { .family = 6, .bytes = { 0x20, 1, 13, 0xb8 } },
};

static struct envelope_recipient got[4];
static unsigned got_count;

static bool take(void *context, const struct envelope_recipient *r)
{
	(void)context;
	if (got_count < 4)
		got[got_count] = *r;
	got_count++;
	return true;
}

static void encode_envelope(struct text *out)
{
	struct envelope_recipient r = { .address = "\"x y\"@example.test",
		                        .notify = 6,
		                        .orcpt = "rfc822;x" },
				  s = { .address = "b@c.test" };

	queue_envelope_encode(out, &envelope);
	queue_recipient_encode(out, &r);
	queue_recipient_encode(out, &s);
}

static void envelopes(void)
{
	struct text out;
	struct envelope e;
	unsigned taken = 0;

	text_init(&out, 65536);
	encode_envelope(&out);
	got_count = 0;
	ok(queue_envelope_decode(text_view(&out), &e, take, NULL) && got_count == 2,
	   "an envelope is read back");
	ok(e.origin == ENVELOPE_AUTHENTICATED && strcmp(e.sender, envelope.sender) == 0 &&
	           e.account[0] == '\0' && strcmp(e.helo, "-") == 0 && e.eight_bit &&
	           e.ret == 'H' && strcmp(e.envid, "e+2B") == 0 && e.hops == 3 &&
	           net_address_equal(&e.client, &envelope.client),
	   "with every field, the odd ones too");
	ok(strcmp(got[0].address, "\"x y\"@example.test") == 0 && got[0].notify == 6 &&
	           strcmp(got[0].orcpt, "rfc822;x") == 0 && got[1].notify == 0 &&
	           got[1].orcpt[0] == '\0',
	   "and its recipients");
	for (size_t n = 0; n < out.len; n++) {
		got_count = 0;
		bool whole = queue_envelope_decode(view_take(text_view(&out), n), &e, take, NULL);

		/* Cut behind its first recipient it is an envelope of its own; the seal is what
		 * tells. */
		taken += whole && !(got_count == 1 && out.raw[n - 1] == '\n');
	}
	ok(taken == 0, "cut anywhere it is none");
	text_free(&out);
}

static void headers(void)
{
	struct queue_header h = { .id = 77,
		                  .state = QUEUE_COMMITTED,
		                  .message_bytes = 1234,
		                  .extra_bytes = 5,
		                  .arrived_us = 1795323790000001 },
			    back;
	char bytes[QUEUE_HEADER_BYTES], changed[QUEUE_HEADER_BYTES];
	struct text out;
	unsigned believed = 0, state_changes = 0;

	text_init(&out, 65536);
	encode_envelope(&out);
	memset(h.checksum, 0xab, sizeof h.checksum);
	h.envelope_bytes = out.len;
	queue_header_encode(&h, text_view(&out), &key, bytes);
	struct view header = { bytes, sizeof bytes };

	ok(queue_header_decode(header, &back) && back.id == 77 && back.message_bytes == 1234 &&
	           back.extra_bytes == 5 && back.envelope_bytes == out.len &&
	           back.arrived_us == h.arrived_us &&
	           memcmp(back.checksum, h.checksum, sizeof h.checksum) == 0 &&
	           back.state == QUEUE_COMMITTED,
	   "a header is read back");
	ok(queue_seal_verify(header, text_view(&out), &key), "its seal is right");
	ok(!queue_seal_verify(header, text_view(&out), &other_key),
	   "and wrong under another secret");
	ok(bytes[QUEUE_STATE_OFFSET] == QUEUE_COMMITTED && bytes[QUEUE_STATE_OFFSET - 1] == ' ' &&
	           bytes[255] == '\n',
	   "the state stands where the one byte is written");
	for (size_t i = 0; i < sizeof bytes; i++) {
		memcpy(changed, bytes, sizeof bytes);
		changed[i] ^= 1;
		bool sealed = queue_seal_verify((struct view){ changed, sizeof changed },
		                                text_view(&out), &key);

		believed += sealed && i != QUEUE_STATE_OFFSET;
		state_changes += sealed && i == QUEUE_STATE_OFFSET;
	}
	ok(believed == 0 && state_changes == 1,
	   "a change of any byte but the state's breaks the seal");
	believed = 0;
	for (size_t i = 0; i < out.len; i++) {
		out.raw[i] ^= 1;
		believed += queue_seal_verify(header, text_view(&out), &key);
		out.raw[i] ^= 1;
	}
	ok(believed == 0, "a change of any byte of the envelope does");
	for (size_t n = 0; n < sizeof bytes; n++)
		believed += queue_header_decode(view_take(header, n), &back);
	ok(believed == 0, "a header cut anywhere is none");
	text_free(&out);
}

static void logs(void)
{
	struct queue_log l = { .event = QUEUE_RETRY,
		               .index = 4,
		               .time_s = 1795323790,
		               .status = "4.4.1",
		               .host = "mx one",
		               .text = "no % answer\n" },
			 back;
	struct text out;
	struct view rest;
	unsigned bad = 0, believed = 0;

	text_init(&out, 65536);
	for (int event = 0; event < QUEUE_EVENTS; event++) {
		struct queue_log one = l;

		one.event = (enum queue_event)event;
		one.number = 3;
		string_put(one.recipient.address, sizeof one.recipient.address,
		           VIEW("new@example.test"));
		text_clear(&out);
		queue_log_encode(&out, &key, 77, &one);
		rest = text_view(&out);
		ok(queue_log_next(&rest, &key, 77, &back, &bad) && bad == 0 &&
		           back.event == one.event && rest.len == 0,
		   "event %d again", event);
	}
	text_clear(&out);
	queue_log_encode(&out, &key, 77,
	                 &(struct queue_log){
				 .event = QUEUE_EXPANDED, .index = 1, .number = 500, .first = 3 });
	rest = text_view(&out);
	ok(view_starts(rest, VIEW("expanded 1/500/3 *")) &&
	           queue_log_next(&rest, &key, 77, &back, &bad) && back.index == 1 &&
	           back.number == 500 && back.first == 3,
	   "an expansion says which recipients are new");
	text_clear(&out);
	queue_log_encode(&out, &key, 77, &l);
	size_t first = out.len;

	queue_log_encode(&out, &key, 77,
	                 &(struct queue_log){ .event = QUEUE_DONE, .index = 1, .status = "2.0.0" });
	rest = text_view(&out);
	ok(queue_log_next(&rest, &key, 77, &back, &bad) && back.index == 4 &&
	           strcmp(back.text, l.text) == 0 && strcmp(back.host, "mx one") == 0 &&
	           strcmp(back.status, "4.4.1") == 0 && back.time_s == l.time_s,
	   "its fields come back");
	rest = view_take(text_view(&out), first);
	ok(!queue_log_next(&rest, &key, 78, &back, &bad) && bad == 1,
	   "a record of another file is not believed");
	for (size_t i = 0; i < first - 1; i++) {
		out.raw[i] ^= 1;
		rest = view_take(text_view(&out), first);
		believed += queue_log_next(&rest, &key, 77, &back, NULL);
		out.raw[i] ^= 1;
	}
	ok(believed == 0, "a change of any byte of a record is seen");
	out.raw[3] ^= 1;
	rest = text_view(&out);
	ok(queue_log_next(&rest, &key, 77, &back, NULL) && back.event == QUEUE_DONE,
	   "a bad record is passed over for a good one behind it");
	rest = view_take(text_view(&out), out.len - 1);
	rest = view_skip(rest, first);
	ok(!queue_log_next(&rest, &key, 77, &back, NULL) && rest.len == out.len - first - 1,
	   "a last line without its end is left");
	text_free(&out);
}

/* Files that were written before the envelope had one table: their bytes, and the secret that they
 * are sealed with (all sevens). */
static const char golden_header[] =
	"posthouse-queue 1\n"
	"id 000000000002d\n"
	"state c\n"
	"bytes 000000001234 0000000000 0000000155\n"
	"message abababababababababababababababababababababababababababababababab\n"
	"seal e3102b6f5e2f5d14df97c16c4505a8a9f543f11cc1873d11386d10ce1aae4eb1\n"
	"arrived 0001795323790000001\n"
	"\n";
static const char golden_envelope[] = "from a%20b%25@example.test\n"
				      "origin authenticated anna@example.test 2001:db8:: %2d\n"
				      "body 8bit 3\n"
				      "dsn H e+2B\n"
				      "to 6 rfc822;x \"x%20y\"@example.test\n"
				      "to 0 - b@c.test\n";
static const char golden_log[] =
	"new 1 6 rfc822;b@c.test c@d.test *7362f83b6fb6d221\n"
	"expanded 1 *f9f916e45c4c4fe6\n"
	"retry 0 1795323800 4.4.1 mx.example.test no%20answer *7869ee75b39f3f16\n";

static bool refuses(const char *head_line, const char *recipient_end)
{
	struct text out;
	struct envelope e;
	struct view golden = view_of(golden_envelope);
	size_t head = (size_t)(strstr(golden_envelope, "to 6") - golden_envelope);

	text_init(&out, 65536);
	text_add(&out, view_take(golden, head));
	text_add_string(&out, head_line);
	text_add_string(&out, "to 0 - a@b.test");
	text_add_string(&out, recipient_end);
	text_add_byte(&out, '\n');
	bool refused = !queue_envelope_decode(text_view(&out), &e, take, NULL);

	text_free(&out);
	return refused;
}

static void golden(void)
{
	unsigned char secret[QUEUE_SECRET_BYTES];
	struct view log = view_of(golden_log), envelope_text = view_of(golden_envelope),
		    header = view_of(golden_header);
	static struct queue_log l;
	struct queue_key old;
	struct queue_header h;
	struct envelope e;
	struct text out;
	unsigned bad = 0, records = 0;

	memset(secret, 7, sizeof secret);
	queue_key_derive(&old, secret);
	got_count = 0;
	ok(header.len == QUEUE_HEADER_BYTES && queue_header_decode(header, &h) &&
	           h.envelope_bytes == envelope_text.len &&
	           queue_seal_verify(header, envelope_text, &old) &&
	           queue_envelope_decode(envelope_text, &e, take, NULL) && got_count == 2,
	   "a file from before is read");
	text_init(&out, 65536);
	queue_envelope_encode(&out, &e);
	for (unsigned i = 0; i < 2; i++)
		queue_recipient_encode(&out, &got[i]);
	is_string(out.raw, golden_envelope, "and written again it is the same, byte for byte");
	text_clear(&out);
	while (queue_log_next(&log, &old, 77, &l, &bad)) {
		records++;
		queue_log_encode(&out, &old, 77, &l);
	}
	ok(records == 3 && bad == 0, "so are the records of its log");
	is_string(out.raw, golden_log, "which are the same again");
	ok(!refuses("", "") && refuses("hold 5\n", "") && refuses("from x\n", "") &&
	           refuses("", " word"),
	   "a line or a word that a later program may have written is refused, not passed over");
	text_free(&out);
}

int main(void)
{
	unsigned char secret[QUEUE_SECRET_BYTES] = { 1 };

	if (sodium_init() < 0)
		return 1;
	queue_key_derive(&key, secret);
	secret[0] = 2;
	queue_key_derive(&other_key, secret);
	ids();
	envelopes();
	golden();
	headers();
	logs();
	return tap_done();
}
