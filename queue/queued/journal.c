/* SPDX-License-Identifier: ISC */
#include "queue/queued/journal.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "queue/queued/delivery.h"

void journal_init(struct journal *j, struct disk *disk, const struct records *index)
{
	*j = (struct journal){ .disk = disk, .index = index };
	text_init(&j->records, QUEUE_ENVELOPE_MAX);
}

/* Half a record would spoil the next one too. */
static void tell_lost(const struct message *m)
{
	log_warn("id=%s event=log-failed reason=\"more than %d bytes of records\"", message_name(m),
	         QUEUE_ENVELOPE_MAX);
}

void journal_note(struct journal *j, const struct message *m, const struct queue_log *l)
{
	size_t before = j->records.len;

	queue_log_encode(&j->records, &j->disk->key, m->id, l);
	if (j->records.full) {
		text_cut_back(&j->records, before);
		tell_lost(m);
	}
}

void journal_note_recipient(struct journal *j, const struct message *m, const struct recipient *r,
                            enum queue_event event)
{
	struct queue_log l = { .event = event,
		               .index = (uint32_t)(r - m->recipients),
		               .number = event == QUEUE_SUCCESS && r->relayed,
		               .time_s = r->said ? r->said_s : clock_wall_s() };

	string_put(l.status, sizeof l.status, view_of(saying_status(r->said)));
	string_cut(l.host, sizeof l.host, view_of(saying_host(r->said)));
	string_cut(l.text, sizeof l.text, view_of(saying_text(r->said)));
	journal_note(j, m, &l);
}

static const char *name_of(uint64_t id)
{
	static char name[QUEUE_ID_CHARS + 1];

	queue_id_text(id, name);
	return name;
}

/* ---- what could not be written ---- */

static struct unwritten *remember(struct journal *j, uint64_t id)
{
	struct unwritten *u = memory_get(sizeof *u);

	u->id = id;
	text_init(&u->expansions, QUEUE_ENVELOPE_MAX);
	list_add_last(&j->unwritten, &u->all);
	return u;
}

static void drop(struct journal *j, struct unwritten *u)
{
	if (u->message)
		u->message->under_way->unwritten = NULL;
	else
		j->over--;
	list_remove(&u->all);
	text_free(&u->expansions);
	free(u);
}

static bool append_anew(struct journal *j, uint64_t id, uint64_t *end)
{
	bool written = disk_append(j->disk, id, end, text_view(&j->records), true) == 0;

	text_clear(&j->records);
	return written;
}

/* The attempt that is planned for those who were put off; now when it is under way. */
static int64_t attempt_wall_ms(const struct message *m)
{
	int64_t at_ms = m->next.at_ms;

	if (m->repeats)
		at_ms = message_put_off_s(m) ? m->born_ms + (int64_t)message_put_off_s(m) * 1000
		                             : 0;
	return clock_wall_ms() + (at_ms ? at_ms - clock_ms() : 0);
}

static void note_attempts(struct journal *j, const struct message *m)
{
	struct queue_log l = { .event = QUEUE_ATTEMPT,
		               .number = m->attempts,
		               .time_s = attempt_wall_ms(m) / 1000 };

	if (m->attempts)
		journal_note(j, m, &l);
}

/* A notice that is on its way has no record yet. */
static bool notice_is_out(const struct message *m)
{
	LIST_EACH(d, message_deliveries(m), struct delivery, of_message)
		if (d->report == JOB_REPORT_DELAYED)
			return false;
	return m->noticed;
}

static void note_message(struct journal *j, const struct message *m)
{
	struct queue_log hold = { .event = m->held ? QUEUE_HOLD : QUEUE_RELEASE,
		                  .time_s = clock_wall_s() };
	struct queue_log notice = { .event = QUEUE_NOTICE, .time_s = clock_wall_s() };

	journal_note(j, m, &hold);
	if (notice_is_out(m))
		journal_note(j, m, &notice);
	note_attempts(j, m);
}

/* As long as that is written, the next start sends nothing of it again. */
static void note_all_done(struct journal *j, uint64_t id, uint32_t recipients)
{
	struct queue_log l = { .event = QUEUE_DONE, .time_s = clock_wall_s() };

	for (l.index = 0; l.index < recipients; l.index++)
		queue_log_encode(&j->records, &j->disk->key, id, &l);
	if (j->records.full)
		text_clear(&j->records);
}

/* Who is under way is tried at once by the next start, as without a record. An alias has its own
 * record, which is written with those that took its place, or with none. */
static void note_state(struct journal *j, const struct message *m)
{
	for (uint32_t i = 0; i < m->recipient_count; i++) {
		const struct recipient *r = &m->recipients[i];

		if (r->state == RECIPIENT_GONE && !r->replaced)
			journal_note_recipient(j, m, r, QUEUE_DONE);
		else if (r->state == RECIPIENT_DEFERRED && r->said)
			journal_note_recipient(j, m, r, QUEUE_RETRY);
		else if (r->state == RECIPIENT_FAILED)
			journal_note_recipient(j, m, r, QUEUE_FAILED);
		else if (r->state == RECIPIENT_SUCCESS)
			journal_note_recipient(j, m, r, QUEUE_SUCCESS);
	}
	note_message(j, m);
}

static bool write_state(struct journal *j, struct unwritten *u)
{
	struct message *m = u->message;

	text_clear(&j->records);
	text_add(&j->records, text_view(&u->expansions));
	if (m->removed && !m->damaged)
		note_all_done(j, m->id, m->recipient_count);
	else
		note_state(j, m);
	if (!append_anew(j, m->id, &m->log_end))
		return false;
	log_info("id=%s event=log-written", message_name(m));
	drop(j, u);
	return true;
}

static void write_all_done(struct journal *j, struct unwritten *u)
{
	text_clear(&j->records);
	note_all_done(j, u->id, u->recipients);
	if (j->records.len)
		u->says_done = append_anew(j, u->id, &u->log_end);
}

void journal_write(struct journal *j, struct message *m)
{
	struct unwritten *u = message_unwritten(m);

	if (u == NULL && j->records.len &&
	    disk_append(j->disk, m->id, &m->log_end, text_view(&j->records), false) < 0) {
		log_warn("id=%s event=log-failed reason=\"%m\"", message_name(m));
		u = remember(j, m->id);
		u->message = m;
		message_under_way(m)->unwritten = u;
		queue_log_expansions(text_view(&j->records), &u->expansions);
	} else if (u && j->records.len) {
		queue_log_expansions(text_view(&j->records), &u->expansions);
		write_state(j, u);
	}
	text_clear(&j->records);
}

void journal_write_removed(struct journal *j, struct message *m)
{
	text_clear(&j->records);
	note_all_done(j, m->id, m->recipient_count);
	journal_write(j, m);
}

/* ---- files that are to go ---- */

/* Could not be removed (errno). */
static void remember_over(struct journal *j, struct unwritten *u)
{
	u->away = errno == ENOENT;
	log_warn("id=%s event=remove-failed reason=\"%m\"", name_of(u->id));
	u->since_ms = clock_ms();
	u->message = NULL;
	j->over++;
	text_free(&u->expansions);
	write_all_done(j, u);
	if (j->over > JOURNAL_OVER_MAX) {
		if (!u->says_done)
			log_warn("id=%s event=log-failed reason=\"more than %d that are over\"",
			         name_of(u->id), JOURNAL_OVER_MAX);
		drop(j, u);
	}
}

void journal_remove(struct journal *j, struct message *m)
{
	if (disk_remove(j->disk, m->id) == 0) {
		journal_leave(j, m);
		return;
	}
	int error = errno;
	struct unwritten *u = message_unwritten(m);

	if (u)
		m->under_way->unwritten = NULL;
	else
		u = remember(j, m->id);
	u->log_end = m->log_end;
	u->recipients = m->recipient_count;
	errno = error;
	remember_over(j, u);
}

void journal_leave(struct journal *j, struct message *m)
{
	if (message_unwritten(m))
		drop(j, message_unwritten(m));
}

/* A start makes of it what it makes of a writer's that was told nothing. */
void journal_remove_file(struct journal *j, uint64_t id)
{
	if (disk_remove(j->disk, id) < 0) {
		int error = errno;
		struct unwritten *u = remember(j, id);

		u->says_done = true;
		errno = error;
		remember_over(j, u);
	}
}

bool journal_is_over(const struct journal *j, uint64_t id)
{
	LIST_EACH(u, &j->unwritten, struct unwritten, all)
		if (u->id == id && u->message == NULL)
			return true;
	return false;
}

/* ---- again ---- */

/* Not what is served again, by an operator's word. */
static void look_over(struct journal *j, struct unwritten *u, int64_t away_ms)
{
	if (records_find(j->index, u->id)) {
		drop(j, u);
		return;
	}
	bool removed = disk_remove(j->disk, u->id) == 0;

	u->away = !removed && errno == ENOENT;
	if (removed)
		log_info("id=%s event=removed", name_of(u->id));
	if (removed || (u->away && clock_ms() - u->since_ms > away_ms))
		drop(j, u);
	else if (!u->says_done)
		write_all_done(j, u);
}

static void look(struct journal *j, size_t count, int64_t away_ms)
{
	while (count-- > 0 && j->unwritten.first) {
		struct unwritten *u =
			list_owner(list_take_first(&j->unwritten), struct unwritten, all);

		list_add_last(&j->unwritten, &u->all);
		if (u->message)
			write_state(j, u);
		else
			look_over(j, u, away_ms);
	}
}

static size_t at_most(size_t n, size_t most)
{
	return n < most ? n : most;
}

void journal_look(struct journal *j, int64_t away_ms)
{
	look(j, at_most(j->unwritten.count, JOURNAL_LOOK_MAX), away_ms);
}

void journal_stop(struct journal *j)
{
	look(j, j->unwritten.count, INT64_MAX);
	LIST_EACH(u, &j->unwritten, struct unwritten, all)
		if (u->message || !u->says_done)
			log_warn(
				"id=%s event=unwritten reason=\"its file does not say what has been delivered: the next start may send it again\"",
				name_of(u->id));
}

void journal_count(const struct journal *j, struct control_counts *out)
{
	out->left = out->unwritten = 0;
	LIST_EACH(u, &j->unwritten, struct unwritten, all)
		if (u->message || u->away)
			out->unwritten++;
		else
			out->left++;
}

/* ---- collecting ---- */

void journal_forget(struct journal *j)
{
	text_clear(&j->records);
}

static void move_records(const struct message *m, struct text *to, const struct text *from)
{
	if (text_has_room(to, from->len))
		text_add(to, text_view(from));
	else
		tell_lost(m);
}

void journal_put_off(struct journal *j, const struct message *m, struct text *notes)
{
	move_records(m, notes, &j->records);
	text_clear(&j->records);
}

void journal_take_up(struct journal *j, const struct message *m, const struct text *notes)
{
	move_records(m, &j->records, notes);
}
