/* SPDX-License-Identifier: ISC */
/* The spool protocol: what is put is what is got, and nothing torn is taken. */
#include "lib/wire/spool.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "lib/queue/spooling.h"
#include "t/said.h"
#include "t/torn.h"

static struct envelope envelope;
static struct spool_message message;
static struct envelope_recipient recipient;
static struct spool_refusal refusal;

static bool get_envelope(struct wire_in *in)
{
	return spool_commit_get(in, &envelope, &message) && wire_end(in);
}

static bool get_recipient(struct wire_in *in)
{
	return envelope_recipient_get(in, &recipient) && wire_end(in);
}

static bool get_whole(struct wire_in *in)
{
	struct spool_open o;

	return spool_whole_get(in, &o, &envelope, &message) && wire_end(in) && o.uid == 1001 &&
	       strcmp(o.id, "0123456789abc") == 0;
}

static bool get_sealed(struct wire_in *in)
{
	struct spool_sealed s;

	return spool_sealed_get(in, &s) && strcmp(s.id, "0123456789abc") == 0 &&
	       strcmp(s.next, "0123456789abd") == 0 && s.header[0] == 'h' &&
	       s.header[SPOOL_HEADER_BYTES - 1] == 'e' && s.fd == 0;
}

static bool get_refusal(struct wire_in *in)
{
	return spool_refusal_get(in, &refusal);
}

static bool get_open(struct wire_in *in)
{
	struct spool_open o;

	return spool_open_get(in, &o) && o.announced_bytes == 1ULL << 40 && o.uid == 1001 &&
	       o.client.family == 4 && o.client.bytes[3] == 1 && strcmp(o.id, "0123456789abc") == 0;
}

static bool get_ended(struct wire_in *in)
{
	char id[SPOOL_ID_MAX];

	return spool_ended_get(in, id, &refusal) && strcmp(id, "0123456789abc") == 0;
}

static bool get_file(struct wire_in *in)
{
	struct spool_file f;

	return spool_file_get(in, &f) && strcmp(f.id, "0123456789abc") == 0 &&
	       strcmp(f.next, "0123456789abd") == 0 && f.offset == 512 && f.fd == 0;
}

static bool round_trip(const struct wire_out *out, bool (*get)(struct wire_in *))
{
	struct wire_in in = { .rest = view_skip(text_view(&out->bytes), 1) };

	return get(&in);
}

static void envelopes(void)
{
	static const struct envelope e = {
		.origin = ENVELOPE_AUTHENTICATED,
		.sender = "a@example.test",
		.account = "b@example.test",
		.client = { .family = 6, .bytes = { 0x20, 1, 13, 0xb8, [15] = 1 }, .port = 2525 },
		.helo = "client.example",
		.eight_bit = true,
		.ret = 'H',
		.envid = "x+2B1",
		.hops = 7,
	};
	static const struct spool_message m = { 1ULL << 40, { 1, 2, [31] = 0xff } };
	struct wire_out out = { 0 };

	spool_commit_put(&out, &e, &m);
	torn("an envelope", &out, get_envelope);
	ok(round_trip(&out, get_envelope), "the envelope again");
	spool_whole_put(&out, &(struct spool_open){ .uid = 1001, .id = "0123456789abc" }, &e, &m);
	torn("a whole message", &out, get_whole);
	ok(round_trip(&out, get_whole) && message.bytes == m.bytes, "the whole message again");
	ok(envelope.origin == e.origin && strcmp(envelope.sender, e.sender) == 0 &&
	           strcmp(envelope.account, e.account) == 0 &&
	           net_address_equal(&envelope.client, &e.client) && envelope.client.port == 2525 &&
	           strcmp(envelope.helo, e.helo) == 0 && envelope.eight_bit &&
	           envelope.ret == 'H' && strcmp(envelope.envid, e.envid) == 0 &&
	           message.bytes == m.bytes && envelope.hops == 7 &&
	           memcmp(message.checksum, m.checksum, sizeof m.checksum) == 0,
	   "every field came through");
	struct envelope bad = e;

	bad.ret = 'X';
	spool_commit_put(&out, &bad, &m);
	ok(!round_trip(&out, get_envelope), "RET is F, H or nothing");
	bad = e;
	bad.client.family = 5;
	spool_commit_put(&out, &bad, &m);
	ok(!round_trip(&out, get_envelope), "there is no fifth family");
	bad = e;
	bad.origin = ENVELOPE_RELAY + 1;
	spool_commit_put(&out, &bad, &m);
	ok(!round_trip(&out, get_envelope), "an unknown origin is refused");
	wire_out_free(&out);
}

/* Nonsense instead of a file. */
static void no_answer(void)
{
	struct wire_out out = { 0 };
	struct spool_refusal why;
	int ends[2];

	wire_pair(ends);
	struct spool_writer w = { .queued = ends[0], .fd = -1 };

	wire_begin(&out, SPOOL_COMMITTED);
	wire_send(ends[1], &out);
	wire_out_free(&out);
	said_begin();
	said_here();
	ok(spool_begin(&w, &(struct spool_open){ .uid = 0 }, &why) == -1 && !why.permanent &&
	           w.queued == -1,
	   "nonsense is a temporary failure, and ends the line");
	ok(said("event=spool-lost reason=\"invalid response\""), "and the log knows");
	close(ends[1]);
	text_free(&w.buffer);
	text_free(&w.lines);
	wire_out_free(&w.recipients);
	free(w.hash);
}

static void say_ended(int line, const char *id)
{
	struct wire_out out = { 0 };

	spool_ended_put(&out, id, &(struct spool_refusal){ .status = "4.3.1", .text = "no room" });
	wire_send(line, &out);
	wire_out_free(&out);
}

/* The end of an older message is no answer; that of the present one is, to whatever was asked, and
 * is heard while it is written. */
static void ends(void)
{
	static char block[SPOOL_LISTEN_BYTES];
	struct wire_out out = { 0 };
	struct spool_refusal why;
	int ends[2];

	wire_pair(ends);
	struct spool_writer w = { .queued = ends[0], .fd = -1 };

	for (unsigned turn = 0; turn < 2; turn++) {
		struct spool_file file = { "0123456789ab1", "", 512, open("/dev/null", O_RDWR) };

		say_ended(ends[1], "0123456789ab0");
		spool_file_put(&out, &file);
		wire_send(ends[1], &out);
		wire_out_free(&out);
		close(file.fd);
		ok(spool_begin(&w, &(struct spool_open){ .uid = 0 }, &why) == 0 && w.fd >= 0,
		   "the end of an older message is not the answer");
		say_ended(ends[1], "0123456789ab0");
		say_ended(ends[1], file.id);
		if (turn == 0) {
			ok(spool_write(&w, (struct view){ block, sizeof block }, &why) == 0 &&
			           spool_write(&w, (struct view){ block, sizeof block }, &why) ==
			                   -1,
			   "it is heard after so many bytes");
		} else {
			ok(spool_write(&w, VIEW("x"), &why) == 0 &&
			           spool_finish(&w, &envelope, &why) == -1,
			   "or at the end");
		}
		ok(w.fd == -1 && w.queued == ends[0] && strcmp(why.status, "4.3.1") == 0 &&
		           !why.own_fault,
		   "and the line stays");
	}
	close(ends[1]);
	spool_writer_free(&w);
}

/* A queued that says nothing is not asked twice, nor is another one. */
static void silent(void)
{
	const struct timeval soon = { .tv_usec = 1000 };

	for (unsigned turn = 0; turn < 2; turn++) {
		struct spool_refusal why;
		struct wire_in in;
		int ends[2];

		wire_pair(ends);
		setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
		struct spool_writer w = { .queued = ends[0], .fd = -1, .next_id_ms = INT64_MAX };

		if (turn == 1)
			string_put(w.next_id, sizeof w.next_id, VIEW("0123456789ab1"));
		int begun = spool_begin(&w, &(struct spool_open){ .uid = 0 }, &why);

		if (turn == 1)
			ok(begun == 0 && w.waits && spool_write(&w, VIEW("x"), &why) == 0 &&
			           spool_finish(&w, &envelope, &why) == -1,
			   "a queued that does not answer at the end is not called another one");
		else
			ok(begun == -1, "nor where it is asked for a file");
		ok(why.own_fault && w.queued == -1, "the line is lost");
		ok(wire_receive_now(ends[1], &in) == WIRE_OK &&
		           in.type == (turn == 1 ? SPOOL_WHOLE : SPOOL_OPEN) &&
		           wire_receive_now(ends[1], &in) == WIRE_CLOSED,
		   "with one question on it");
		close(ends[1]);
		spool_writer_free(&w);
	}
}

/* The message in hand may be ended by another id than the one that was named for it. */
static void ended_by_another_id(void)
{
	struct spool_refusal why;
	int ends[2];

	wire_pair(ends);
	struct spool_writer w = {
		.queued = ends[0], .fd = -1, .next_id = "0123456789ab1", .next_id_ms = INT64_MAX
	};

	ok(spool_begin(&w, &(struct spool_open){ .uid = 0 }, &why) == 0 && w.waits &&
	           spool_write(&w, VIEW("x"), &why) == 0,
	   "a message waits for its file");
	say_ended(ends[1], "0123456789ab0");
	say_ended(ends[1], "0123456789ab2");
	ok(spool_finish(&w, &envelope, &why) == -1 && !why.own_fault && w.queued >= 0,
	   "it was ended by a greater id, and not by that of an older one");
	close(ends[1]);
	spool_writer_free(&w);
}

int main(void)
{
	struct wire_out out = { 0 };
	struct envelope_recipient r = { .address = "to@example.test",
		                        .notify = ENVELOPE_NOTIFY_DELAY,
		                        .orcpt = "rfc822;to@x.test" };
	struct spool_refusal f = { true, "5.3.4", "too large", false };

	envelopes();
	wire_begin(&out, SPOOL_RECIPIENT);
	envelope_recipient_put(&out, &r);
	torn("a recipient", &out, get_recipient);
	r.notify = 16;
	wire_begin(&out, SPOOL_RECIPIENT);
	envelope_recipient_put(&out, &r);
	ok(!round_trip(&out, get_recipient), "an unknown NOTIFY bit is refused");
	spool_open_put(&out, &(struct spool_open){ .announced_bytes = 1ULL << 40,
	                                           .client = { 4, { 192, 0, 2, 1 }, 25 },
	                                           .uid = 1001,
	                                           .id = "0123456789abc" });
	torn("a request for a file", &out, get_open);
	spool_file_put(&out, &(struct spool_file){ "0123456789abc", "0123456789abd", 512, 0 });
	torn("a file", &out, get_file);
	out.fd_count = 0;
	ok(!round_trip(&out, get_file), "a file without a descriptor is refused");
	spool_sealed_put(&out, &(struct spool_sealed){ .id = "0123456789abc",
	                                               .next = "0123456789abd",
	                                               .header = { 'h', [255] = 'e' } });
	torn("a header", &out, get_sealed);
	out.fd_count = 0;
	ok(!round_trip(&out, get_sealed), "a header without a descriptor is refused");
	spool_refusal_put(&out, &f);
	torn("a refusal", &out, get_refusal);
	spool_ended_put(&out, "0123456789abc", &f);
	torn("the end of a message", &out, get_ended);
	wire_out_free(&out);
	no_answer();
	ends();
	silent();
	ended_by_another_id();
	return tap_done();
}
