/* SPDX-License-Identifier: ISC */
#include "queue/queued/delivery.h"

#include <stdlib.h>

struct delivery *delivery_new(struct message *m, enum job_report report,
                              struct recipient *const *list, unsigned count)
{
	struct delivery *d = memory_get(sizeof *d + count * sizeof d->who[0]);

	d->message = m;
	d->report = report;
	d->count = count;
	for (unsigned i = 0; i < count; i++)
		d->who[i].index = (uint32_t)(list[i] - m->recipients);
	text_init(&d->notes, QUEUE_ENVELOPE_MAX);
	list_add_first(&message_under_way(m)->deliveries, &d->of_message);
	return d;
}

void delivery_free(struct delivery *d)
{
	list_remove(&d->of_message);
	list_remove(&d->noted);
	text_free(&d->notes);
	free(d);
}

struct recipient **delivery_candidates(const struct message *m, enum recipient_state state)
{
	struct recipient **list = memory_get((message_count(m, state) + 1) * sizeof *list);
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->recipient_count; i++)
		if (m->recipients[i].state == state)
			list[n++] = &m->recipients[i];
	return list;
}
