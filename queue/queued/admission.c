/* SPDX-License-Identifier: ISC */
#include "queue/queued/admission.h"

void admission_stand_in_line(struct admission *a, struct message *m, bool old)
{
	struct line_of_messages *line = old ? &a->old : &a->fresh;

	m->in_line = true;
	message_under_way(m)->cursor = 0;
	m->under_way->line_next = NULL;
	if (line->last)
		line->last->under_way->line_next = m;
	else
		line->first = m;
	line->last = m;
}

static struct line_of_messages *whose_turn(struct admission *a)
{
	if (a->old.first == NULL)
		return &a->fresh;
	if (a->fresh.first == NULL)
		return &a->old;
	return a->turn % SCHEDULE_OLD_TURN == 0 ? &a->old : &a->fresh;
}

struct message *admission_next(struct admission *a)
{
	struct message *m = whose_turn(a)->first;

	if (m == NULL || (!m->admitted && a->active >= ADMISSION_ACTIVE_MAX))
		return NULL;
	if (!m->admitted)
		a->active++;
	m->admitted = true;
	return m;
}

void admission_leave_line(struct admission *a, struct message *m)
{
	struct line_of_messages *line = a->old.first == m ? &a->old : &a->fresh;

	line->first = m->under_way->line_next;
	if (line->first == NULL)
		line->last = NULL;
	m->in_line = false;
	a->turn++;
}

void admission_over(struct admission *a, struct message *m)
{
	if (m->admitted)
		a->active--;
	m->admitted = false;
}
