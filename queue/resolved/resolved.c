/* SPDX-License-Identifier: ISC */
/*
 * resolved: answers what addresses mean: may this client, this sender, this recipient pass (smtpd,
 * pickup), and where does mail for this address go (queued).
 *
 * Runs as _phresolve in an empty root, without network. It opens the maps of one generation before
 * the jail; those of the next master gives it (mapwire.h), while questions wait in its lines.
 *
 * Trusts: the maps; queued for which mailboxes are full and which addresses their hosts do not
 *         know. Those who ask for nothing else: an answer depends on the question, the maps and
 *         that, and queued asks for routes itself, whatever smtpd was told.
 * Reads:  domains.cdb users.cdb aliases.cdb routes.cdb access.cdb, the settings.
 * Writes: answers on its wires, the log.
 *
 * Who owns it can make any address a recipient, deny any, read who has a mailbox here, and send
 * accepted mail astray (to another mailbox, or out); it reads no message, no password, and reaches
 * no network.
 */
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/bounds.h"
#include "lib/wire/hub.h"
#include "lib/wire/mapwire.h"
#include "queue/resolved/addressbook.h"

enum {
	LINES_MAX = SESSION_LINES_MAX, /* session processes that ask */
	BACKLOG_BYTES_MAX = 64 << 20   /* targets that one asker has not read yet */
};

/* One asker.  A large expansion does not fit into its socket: what is left waits here. */
struct asker {
	struct hub_line line;
	struct watch writer; /* a duplicate of the line's descriptor, watched for room while there
	                        is a backlog */
	struct text backlog; /* messages, each behind its length as 4 bytes */
};

static struct settings settings;
static struct addressbook book;
static struct loop *loop;
enum { SMTPD, QUEUED, PICKUP, ASKERS };
static struct hub hubs[ASKERS];
static const char *const wires[ASKERS] = { "smtpd.resolve", "queued.resolve", "pickup.resolve" };

static void backlog_over(struct asker *a)
{
	if (a->backlog.max == 0)
		return;
	loop_unwatch(loop, &a->writer);
	close(a->writer.fd);
	text_free(&a->backlog);
	a->backlog.max = 0;
}

static void asker_closed(struct hub_line *line)
{
	backlog_over((struct asker *)line);
}

/* Answers still on their way go out before a retired resolved lets the asker go. */
static bool asker_busy(const struct hub_line *line)
{
	return ((const struct asker *)line)->backlog.max != 0;
}

static uint32_t message_bytes(const struct text *backlog, size_t at)
{
	return (uint32_t)number_get_little(backlog->raw + at, 4);
}

static void room_for_backlog(struct watch *w, unsigned events)
{
	struct asker *a = loop_owner(w, struct asker, writer);
	struct wire_out out = { 0 };
	size_t done = 0;
	enum wire_result r = WIRE_OK;

	(void)events;
	while (r == WIRE_OK && done < a->backlog.len) {
		uint32_t len = message_bytes(&a->backlog, done);

		wire_begin(&out, RESOLVE_TARGET);
		text_clear(&out.bytes);
		text_add(&out.bytes, (struct view){ a->backlog.raw + done + 4, len });
		r = wire_send_now(a->writer.fd, &out);
		if (r == WIRE_OK)
			done += 4 + len;
	}
	wire_out_free(&out);
	text_drop_front(&a->backlog, done);
	if (r != WIRE_OK && r != WIRE_AGAIN)
		hub_line_drop(&a->line, NULL);
	else if (a->backlog.len == 0)
		backlog_over(a);
	hub_line_settled(&a->line);
}

static void keep_for_later(struct asker *a, struct view message)
{
	if (a->backlog.max == 0) {
		a->writer =
			(struct watch){ .fd = dup(a->line.watch.fd), .ready = room_for_backlog };
		if (a->writer.fd < 0) {
			hub_line_drop(&a->line, "out of descriptors");
			return;
		}
		text_init(&a->backlog, BACKLOG_BYTES_MAX);
		loop_watch(loop, &a->writer, LOOP_WRITE);
	}
	char len[4];

	number_put_little(len, message.len, sizeof len);
	text_add(&a->backlog, (struct view){ len, sizeof len });
	text_add(&a->backlog, message);
	if (a->backlog.full)
		hub_line_drop(&a->line, "the peer does not read");
}

static void send_message(struct asker *a, const struct wire_out *out)
{
	if (a->line.dropped)
		return;
	enum wire_result r = a->backlog.max ? WIRE_AGAIN : wire_send_now(a->line.watch.fd, out);

	if (r == WIRE_AGAIN)
		keep_for_later(a, text_view(&out->bytes));
	else if (r != WIRE_OK)
		hub_line_drop(&a->line, NULL);
}

struct expanding {
	struct asker *asker;
	uint32_t question;
	struct wire_out out;
};

static void send_target(void *context, const struct resolve_target *target)
{
	struct expanding *e = context;
	static struct resolve_target numbered;

	numbered = *target;
	numbered.question = e->question;
	resolve_target_put(&e->out, &numbered);
	send_message(e->asker, &e->out);
}

static void answer_expand(struct asker *a, struct wire_in *in)
{
	struct expanding e = { .asker = a };
	char address[RESOLVE_ADDRESS_MAX];

	if (!resolve_expand_get(in, &e.question, address)) {
		hub_line_drop(&a->line, "invalid question");
		return;
	}
	addressbook_expand(&book, view_of(address), send_target, &e);
	wire_out_free(&e.out);
}

static void answer_question(struct asker *a, struct wire_in *in)
{
	struct resolve_question q;
	struct wire_out out = { 0 };

	if (!resolve_question_get(in, &q)) {
		hub_line_drop(&a->line, "invalid question");
		return;
	}
	struct resolve_answer answer = { .question = q.question };

	if (in->type == RESOLVE_CLIENT)
		addressbook_client(&book, &q, &answer);
	else if (in->type == RESOLVE_SENDER)
		addressbook_sender(&book, &q, &answer);
	else
		addressbook_recipient(&book, &q, &answer);
	resolve_answer_put(&out, &answer);
	send_message(a, &out);
	wire_out_free(&out);
}

/* From queued alone: nobody else sees what becomes of mail. */
static void take_refusals(struct asker *a, struct wire_in *in)
{
	static struct resolve_refusal r;
	int64_t now_ms = clock_ms();

	while (a->line.server == &hubs[QUEUED] && in->rest.len && resolve_refusal_get(in, &r))
		refusals_add(&book.refusals, r.kind, view_of(r.key), r.size_bytes, now_ms,
		             (int64_t)r.left_ms);
	if (!wire_end(in))
		hub_line_drop(&a->line, "invalid refusals");
}

static void question(struct hub_line *line, struct wire_in *in)
{
	struct asker *a = (struct asker *)line;

	switch (in->type) {
	case RESOLVE_CLIENT:
	case RESOLVE_SENDER:
	case RESOLVE_RECIPIENT: answer_question(a, in); return;
	case RESOLVE_EXPAND: answer_expand(a, in); return;
	case RESOLVE_REFUSALS: take_refusals(a, in); return;
	default: hub_line_drop(line, "message of an unknown type");
	}
}

/* ---- maps ---- */

/* Each question is answered at once: none is in the middle of the old ones. */
static void have_maps(void)
{
	addressbook_maps(&book);
}

static struct mapwire maps = { .program = "resolved", .maps = book.maps, .taken = have_maps };

static void master_said(struct watch *w, unsigned events)
{
	struct wire_in in;
	enum wire_result r = events & LOOP_READ ? wire_receive_now(w->fd, &in) : WIRE_AGAIN;

	if (r == WIRE_CLOSED) {
		loop_unwatch(loop, w); /* we have a successor, or the house ends */
	} else if (r == WIRE_OK) {
		if (!mapwire_said(&maps, w->fd, &in))
			loop_change(loop, w, LOOP_READ | LOOP_WRITE);
		wire_in_close(&in);
	} else if (events & LOOP_WRITE && mapwire_answer(&maps, w->fd)) {
		loop_change(loop, w, LOOP_READ);
	}
}

static void hear_master(void)
{
	static struct watch master = { .ready = master_said };

	master.fd = program_fd("master");
	if (master.fd >= 0)
		loop_watch(loop, &master, LOOP_READ);
}

/* ---- the life of the program ---- */

static void serve(unsigned number)
{
	int fd = program_fd(wires[number]);

	if (fd < 0)
		return;
	hubs[number] = (struct hub){
		.loop = loop,
		.protocol = "resolve",
		.line_size = sizeof(struct asker),
		.lines_max = LINES_MAX,
		.workers_max = number == SMTPD ? &settings.smtpd_sessions_max : NULL,
		.message = question,
		.closed = asker_closed,
		.busy = asker_busy,
	};
	hub_start(&hubs[number], fd);
}

int main(void)
{
	struct sandbox_profile profile = { 0 };

	program_start("resolved");
	settings_inherit(&settings);
	maptable_inherit("resolved", book.maps);
	addressbook_maps(&book);
	addressbook_settings(&book, &settings);
	refusals_begin(&book.refusals);
	bounds_confine("resolved", &settings, &profile);
	loop = loop_new();
	for (unsigned i = 0; i < ASKERS; i++)
		serve(i);
	hear_master();
	hubs_serve(loop);
	return EXIT_DONE;
}
