/* SPDX-License-Identifier: ISC */
#include "queue/queued/journal.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

void journal_init(struct journal *j, struct disk *disk)
{
	j->disk = disk;
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
	const struct outcome *o = r->outcome;
	struct queue_log l = { .event = event,
		               .index = (uint32_t)(r - m->recipients),
		               .number = event == QUEUE_SUCCESS && r->relayed,
		               .time_s = o ? o->time_s : clock_wall_s() };

	string_put(l.status, sizeof l.status, view_of(outcome_status(o)));
	string_cut(l.host, sizeof l.host, view_of(outcome_host(o)));
	string_cut(l.text, sizeof l.text, view_of(outcome_text(o)));
	journal_note(j, m, &l);
}

void journal_write(struct journal *j, struct message *m)
{
	if (j->records.len && disk_append(j->disk, m->id, &m->log_end, text_view(&j->records)) < 0)
		log_warn("id=%s event=log-failed reason=\"%m\"", message_name(m));
	text_clear(&j->records);
}

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
