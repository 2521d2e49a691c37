/* SPDX-License-Identifier: ISC */
/*
 * The command line's side: `posthouse queue ...`, mailq, sendmail -q (lib/wire/control.h). master
 * has checked who asks. A long answer is written as fast as the asker reads, a batch in each round
 * of the loop, so that deliveries go on.
 */
#include "queue/queued/commands.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/wire/control.h"
#include "queue/queued/entries.h"
#include "queue/queued/ordered.h"

enum { FILTER_MAX = 400, MESSAGES_PER_ROUND = 2000, STILL_READING_MS = 1000 };

struct commands {
	struct commands_setup with;
	struct list lines;
	struct timer still_reading;
};

struct command_line {
	struct watch watch;
	struct link all;
	struct commands *commands;
	enum control_type doing; /* CONTROL_END: nothing */
	char filter[FILTER_MAX];
	size_t position;
	struct ordered *ordered; /* while it lists: those that were there at its beginning */
	uint32_t count;
	struct control_answer lines; /* not yet sent */
	struct wire_out out;         /* behind them */
	bool unsent;
	int file; /* beside it; -1: none */
};

static void close_file(struct command_line *s)
{
	if (s->file >= 0)
		close(s->file);
	s->file = -1;
}

static void leave(struct command_line *s)
{
	loop_unwatch(s->commands->with.loop, &s->watch);
	wire_hang_up(s->watch.fd);
	wire_out_free(&s->out);
	control_answer_free(&s->lines);
	close_file(s);
	ordered_free(&s->ordered);
	list_remove(&s->all);
	free(s);
}

/* false: the asker is gone. */
static bool flush(struct command_line *s)
{
	enum wire_result r = control_answer_send(&s->lines, s->watch.fd);

	if (r == WIRE_OK && s->unsent)
		r = wire_send(s->watch.fd, &s->out);
	if (r == WIRE_OK) {
		s->unsent = false;
		close_file(s);
	}
	return r == WIRE_OK || r == WIRE_AGAIN;
}

/* ---- which messages ---- */

static struct message *next_match(struct command_line *s)
{
	struct message *m;
	uint64_t id;

	if (queue_id_parse(view_of(s->filter), &id)) {
		if (s->position++ > 0)
			return NULL;
		s->commands->with.look_at(id);
		m = records_find(s->commands->with.records, id);
		return m && !m->removed ? m : NULL;
	}
	while ((m = records_next(s->commands->with.records, &s->position)) != NULL)
		if (entry_matches(m, view_of(s->filter)))
			return m;
	return NULL;
}

/* ---- while the start goes on ---- */

/* Whoever means one message, or none, has an answer at once. */
static bool waits_for_start(const struct command_line *s)
{
	uint64_t id;
	uint32_t all;

	return s->doing != CONTROL_END && !queue_id_parse(view_of(s->filter), &id) &&
	       s->commands->with.left(&all) > 0;
}

static void tell_still_reading(struct command_line *s)
{
	struct commands *c = s->commands;
	uint32_t all, left = c->with.left(&all);

	control_reading_put(&s->out, all - left, all);
	s->unsent = true;
	if (!loop_timer_is_set(&c->still_reading))
		loop_timer_set(c->with.loop, &c->still_reading,
		               loop_now_ms(c->with.loop) + STILL_READING_MS);
}

void commands_all_known(struct commands *c)
{
	LIST_EACH(s, &c->lines, struct command_line, all)
		if (s->doing != CONTROL_END)
			loop_change(c->with.loop, &s->watch, LOOP_WRITE);
}

static void tell_again(struct timer *t)
{
	commands_all_known(loop_owner(t, struct commands, still_reading));
}

/* ---- listing ---- */

/* The next messages, as many as one round may look at or a packet holds; false: there are no more.
 */
static bool list_all(struct command_line *s)
{
	const struct records *records = s->commands->with.records;
	uint64_t id = 0;
	uint32_t looked = 0;
	bool more = true;

	while (looked < MESSAGES_PER_ROUND && s->out.bytes.len < CONTROL_BATCH_BYTES &&
	       (more = ordered_next(s->ordered, &id))) {
		const struct message *m = records_find(records, id);

		if (m && entry_matches(m, view_of(s->filter)))
			entry_put(&s->out, m);
		looked += m ? 1 + m->recipient_count : 1;
	}
	return more;
}

static bool list_one(struct command_line *s)
{
	const struct message *m = next_match(s);

	if (m)
		entry_put(&s->out, m);
	return m != NULL;
}

/* At most one packet. */
static void list_some(struct command_line *s)
{
	uint64_t id;
	bool one = queue_id_parse(view_of(s->filter), &id);

	if (!one && s->ordered == NULL)
		s->ordered = ordered_new(s->commands->with.records);
	if (!one && ordered_work(s->ordered))
		return;
	wire_begin(&s->out, CONTROL_QUEUE_ENTRY);
	bool more = one ? list_one(s) : list_all(s);

	s->unsent =
		s->out.bytes.len > 1; /* when that was the last one, the next packet is the end */
	if (s->unsent || more)
		return;
	ordered_free(&s->ordered);
	s->doing = CONTROL_END;
	control_end_put(&s->out, 0, "");
	s->unsent = true;
}

/* ---- one message ---- */

static void say(struct command_line *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void say(struct command_line *s, const char *format, ...)
{
	char line[CONTROL_LINE_MAX];
	va_list list;

	va_start(list, format);
	string_print_cut_list(line, sizeof line, format, list);
	va_end(list);
	control_line_put(&s->out, line);
	control_answer_add(&s->lines, &s->out);
}

static const char *const state_words[] = { "new",      "asked",  "ready",     "queued", "deferred",
	                                   "deferred", "failed", "delivered", "done" };
static_assert(sizeof state_words / sizeof state_words[0] == RECIPIENT_STATES,
              "a word for each state");

static void show_recipients(struct command_line *s, const struct message *m)
{
	enum { SHOWN_MAX = 100 };
	uint32_t shown = 0;

	for (uint32_t i = 0; i < m->recipient_count && shown < SHOWN_MAX; i++) {
		const struct recipient *r = &m->recipients[i];

		if (r->state == RECIPIENT_GONE)
			continue;
		shown++;
		say(s, "to: <%s> %s%s%s%s%.600s", recipient_address(m, r), state_words[r->state],
		    r->said ? " " : "", saying_status(r->said), r->said ? " " : "",
		    saying_text(r->said));
	}
	if (shown < message_left(m))
		say(s, "to: and %u more", message_left(m) - shown);
}

static const char *stamp(int64_t ms)
{
	static char text[32];
	time_t t = (time_t)(ms / 1000);
	struct tm utc;

	gmtime_r(&t, &utc);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
	return text;
}

static void show(struct command_line *s)
{
	const struct message *m = next_match(s);
	char id[QUEUE_ID_CHARS + 1];

	s->doing = CONTROL_END;
	if (m == NULL) {
		control_end_put(&s->out, EXIT_PERMANENT, "there is no such message in the queue");
		s->unsent = true;
		return;
	}
	queue_id_text(m->id, id);
	say(s, "id: %s", id);
	say(s, "state: %s", m->held ? "held" : entry_state(m) == 'd' ? "deferred" : "active");
	say(s, "arrived: %s", stamp(m->arrived_ms));
	if (m->next.at_ms)
		say(s, "next attempt: %s (attempts so far: %u)", stamp(entry_next_wall_ms(m)),
		    m->attempts);
	say(s, "bytes: %llu", (unsigned long long)m->message_bytes);
	say(s, "from: <%s>", message_sender(m));
	show_recipients(s, m);
	/* What the asker needs to find the message in the file. */
	say(s, "message: offset %d bytes %llu", QUEUE_HEADER_BYTES,
	    (unsigned long long)m->message_bytes);
	s->file = disk_reader(s->commands->with.disk, m->id);
	control_end_put(&s->out, 0, "");
	if (s->file >= 0)
		wire_put_fd(&s->out, s->file);
	s->unsent = true;
}

/* ---- changes ---- */

static void change(const struct commands_setup *to, enum control_type what, struct message *m)
{
	if (what == CONTROL_QUEUE_RETRY && !m->held)
		to->retry(to->context, m);
	else if (what == CONTROL_QUEUE_HOLD)
		to->hold(to->context, m, true);
	else if (what == CONTROL_QUEUE_RELEASE)
		to->hold(to->context, m, false);
	else if (what == CONTROL_QUEUE_REMOVE)
		to->remove(to->context, m);
}

/* Removing moves what stands behind the hole in the index: the place is looked at again. */
static void change_some(struct command_line *s)
{
	const struct commands_setup *to = &s->commands->with;
	char text[32];

	for (unsigned n = 0; n < MESSAGES_PER_ROUND; n++) {
		size_t before = to->records->count;
		struct message *m = next_match(s);

		if (m == NULL) {
			s->doing = CONTROL_END;
			string_print(text, sizeof text, "%u", s->count);
			control_end_put(&s->out, 0, text);
			s->unsent = true;
			to->changed(to->context);
			return;
		}
		s->count++;
		change(to, s->doing, m);
		if (to->records->count < before && s->position)
			s->position--;
	}
	to->changed(to->context);
}

/* ---- the conversation ---- */

/* Those that are answered at once. */
static bool answer_counts(struct command_line *s, struct wire_in *in)
{
	struct control_counts counts;

	if (!wire_end(in))
		return false;
	disk_counts(s->commands->with.disk, &counts);
	journal_count(s->commands->with.journal, &counts);
	counts.unread = s->commands->with.left(&(uint32_t){ 0 });
	control_counts_put(&s->out, &counts);
	return true;
}

static bool answer_restore(struct command_line *s, struct wire_in *in)
{
	char name[QUEUEDIR_NAME_MAX];
	struct reason why = { "" };

	wire_get_string(in, name, sizeof name);
	bool unverified = wire_get_bool(in);

	if (!wire_end(in))
		return false;
	int done = s->commands->with.restore(name, unverified, &why);

	control_end_put(&s->out, done < 0 ? EXIT_PERMANENT : EXIT_DONE, why.text);
	return true;
}

static void begin_list(struct command_line *s, struct wire_in *in);

static void begin(struct command_line *s, struct wire_in *in)
{
	s->doing = CONTROL_END;
	if ((in->type == CONTROL_QUEUE_COUNTS && answer_counts(s, in)) ||
	    (in->type == CONTROL_QUEUE_RESTORE && answer_restore(s, in)))
		s->unsent = true;
	else
		begin_list(s, in);
}

static void begin_list(struct command_line *s, struct wire_in *in)
{
	wire_get_string(in, s->filter, sizeof s->filter);
	s->position = 0;
	s->count = 0;
	s->doing = (enum control_type)in->type;
	if (!wire_end(in) || in->type < CONTROL_QUEUE_LIST || in->type > CONTROL_QUEUE_REMOVE ||
	    in->type == CONTROL_QUEUE_ENTRY) {
		control_end_put(
			&s->out, EXIT_PERMANENT,
			"queued does not know this request: posthouse and queued are of different versions");
	} else if (!entry_filter_ok(view_of(s->filter))) {
		control_end_put(&s->out, EXIT_PERMANENT,
		                "a filter is an id, from:ADDRESS, to:ADDRESS or domain:NAME");
	} else {
		if (in->type == CONTROL_QUEUE_RETRY)
			s->commands->with.forgive(s->commands->with.context);
		return;
	}
	s->doing = CONTROL_END;
	s->unsent = true;
}

static void step(struct command_line *s)
{
	if (waits_for_start(s))
		tell_still_reading(s);
	else if (s->doing == CONTROL_QUEUE_LIST)
		list_some(s);
	else if (s->doing == CONTROL_QUEUE_SHOW)
		show(s);
	else if (s->doing != CONTROL_END)
		change_some(s);
}

static bool receive(struct command_line *s)
{
	struct wire_in in;
	enum wire_result r = wire_receive_now(s->watch.fd, &in);

	if (r == WIRE_OK) {
		begin(s, &in);
		wire_in_close(&in);
	}
	return r == WIRE_OK || r == WIRE_AGAIN;
}

static void ready(struct watch *w, unsigned events)
{
	struct command_line *s = loop_owner(w, struct command_line, watch);
	bool idle = s->doing == CONTROL_END && !s->unsent;

	if (events & LOOP_HANGUP || (idle && !receive(s))) {
		leave(s);
		return;
	}
	if (!s->unsent)
		step(s);
	if (!flush(s)) {
		leave(s);
		return;
	}
	/* Writable again means another round: other events come in between. */
	loop_change(s->commands->with.loop, w,
	            s->unsent || (s->doing != CONTROL_END && !waits_for_start(s)) ? LOOP_WRITE
	            : s->doing != CONTROL_END                                     ? 0
	                                                                          : LOOP_READ);
}

struct commands *commands_new(const struct commands_setup *setup)
{
	struct commands *c = memory_get(sizeof *c);

	c->with = *setup;
	c->still_reading.due = tell_again;
	return c;
}

void commands_take(struct commands *c, int fd)
{
	struct command_line *s;

	if (c->lines.count >= COMMANDS_MAX) {
		struct wire_out out = { 0 };

		control_end_put(&out, EXIT_TEMPORARY, "too many at once, try again");
		wire_send(fd, &out);
		wire_out_free(&out);
		close(fd);
		return;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	s = memory_get(sizeof *s);
	list_add_last(&c->lines, &s->all);
	s->commands = c;
	s->doing = CONTROL_END;
	s->file = -1;
	s->watch.fd = fd;
	s->watch.ready = ready;
	loop_watch(c->with.loop, &s->watch, LOOP_READ);
}
