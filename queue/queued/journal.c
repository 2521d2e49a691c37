/* SPDX-License-Identifier: ISC */
#include "queue/queued/journal.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

void journal_init(struct journal *j, struct disk *disk)
{
	j->disk = disk;
	text_init(&j->records, QUEUE_ENVELOPE_MAX);
}

void journal_note(struct journal *j, const struct message *m, const struct queue_log *l)
{
	queue_log_encode(&j->records, &j->disk->key, m->id, l);
}

void journal_note_recipient(struct journal *j, const struct message *m, const struct recipient *r,
                            enum queue_event event)
{
	const struct outcome *o = r->outcome;
	struct queue_log l = { .event = event,
		               .index = (uint32_t)(r - m->recipients),
		               .number = event == QUEUE_SUCCESS && r->relayed,
		               .time_s = o ? o->time_s : clock_wall_s() };

	string_copy(l.status, sizeof l.status, view_of(outcome_status(o)));
	string_copy(l.host, sizeof l.host, view_take(view_of(outcome_host(o)), sizeof l.host - 1));
	string_copy(l.text, sizeof l.text, view_take(view_of(outcome_text(o)), sizeof l.text - 1));
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

void journal_put_off(struct journal *j, struct text *notes)
{
	text_add(notes, text_view(&j->records));
	text_clear(&j->records);
}

void journal_take_up(struct journal *j, const struct text *notes)
{
	text_add(&j->records, text_view(notes));
}
