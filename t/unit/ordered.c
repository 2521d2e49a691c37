/* SPDX-License-Identifier: ISC */
/* All messages by age, for who goes through them while they come and go. */
#include "queue/queued/ordered.h"

#include <stdlib.h>

#include "t/tap.h"

static struct records records;

static struct message *add(uint64_t id)
{
	struct message *m = message_new(id);

	records_add(&records, m);
	return m;
}

static void end(struct message *m)
{
	records_remove(&records, m);
	message_free(&m);
}

/* Of so many messages, in no order: each comes once, the oldest first, also those that have gone.
 */
static void all_of(size_t count)
{
	struct message **all = memory_get((count + 1) * sizeof *all);
	struct ordered *o;
	uint64_t id, last = 0;
	size_t seen = 0, wrong = 0, pieces = 1;

	for (size_t i = 0; i < count; i++)
		all[i] = add((i * 7919 % 100003 + 1) << 20);
	o = ordered_new(&records);
	struct message *late = add(1);

	for (size_t i = 0; i < count; i += 2)
		end(all[i]);
	while (ordered_work(o))
		pieces++;
	for (; ordered_next(o, &id); seen++, last = id)
		wrong += id <= last;
	ok(seen == count && wrong == 0, "%zu messages in %zu pieces", count, pieces);
	ok(!ordered_work(o) && !ordered_next(o, &id), "and then no more");
	ordered_free(&o);
	end(late);
	for (size_t i = 1; i < count; i += 2)
		end(all[i]);
	free(all);
}

int main(void)
{
	static const size_t counts[] = { 0, 1, 2, 4095, 4096, 4097, 8192, 50000 };

	records_init(&records);
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
		all_of(counts[i]);
	ok(records.count == 0, "nothing is left");
	free(records.table);
	heap_free(&records.attempts);
	return tap_done();
}
