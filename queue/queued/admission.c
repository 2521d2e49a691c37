/* SPDX-License-Identifier: ISC */
#include "queue/queued/admission.h"

static struct line_of_messages *line_of(struct admission *a, struct message *m, bool old)
{
	struct admission_side *side = old ? &a->old : &a->fresh;

	return &side->lines[view_hash(a->seed, view_of(message_sender(m))) % ADMISSION_LINES];
}

static void join(struct admission_side *side, struct line_of_messages *line)
{
	line->next = NULL;
	if (side->last)
		side->last->next = line;
	else
		side->first = line;
	side->last = line;
}

void admission_stand_in_line(struct admission *a, struct message *m, bool old)
{
	struct line_of_messages *line = line_of(a, m, old);

	m->in_line = true;
	message_under_way(m)->cursor = 0;
	m->under_way->line_next = NULL;
	if (line->first) {
		line->last->under_way->line_next = m;
	} else {
		line->first = m;
		join(old ? &a->old : &a->fresh, line);
	}
	line->last = m;
}

static struct admission_side *whose_turn(struct admission *a)
{
	if (a->old.first == NULL)
		return &a->fresh;
	if (a->fresh.first == NULL)
		return &a->old;
	return a->turn % SCHEDULE_OLD_TURN == 0 ? &a->old : &a->fresh;
}

struct message *admission_next(struct admission *a)
{
	const struct line_of_messages *line = whose_turn(a)->first;
	struct message *m = line ? line->first : NULL;

	if (m == NULL || (!m->admitted && a->active >= ADMISSION_ACTIVE_MAX))
		return NULL;
	if (!m->admitted)
		a->active++;
	m->admitted = true;
	return m;
}

void admission_leave_line(struct admission *a, struct message *m)
{
	struct admission_side *side =
		a->old.first && a->old.first->first == m ? &a->old : &a->fresh;
	struct line_of_messages *line = side->first;

	side->first = line->next;
	if (side->first == NULL)
		side->last = NULL;
	line->first = m->under_way->line_next;
	if (line->first)
		join(side, line);
	m->in_line = false;
	a->turn++;
}

void admission_over(struct admission *a, struct message *m)
{
	if (m->admitted)
		a->active--;
	m->admitted = false;
}
