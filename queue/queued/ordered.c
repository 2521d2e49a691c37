/* SPDX-License-Identifier: ISC */
#include "queue/queued/ordered.h"

#include <stdlib.h>

enum { RUN = 4096 /* put in order at once */ };

struct run {
	size_t next, end;
};

struct ordered {
	uint64_t *ids;
	size_t count, sorted;
	/* A heap, once all are in order: the first has the smallest id next. */
	struct run *runs;
	size_t run_count;
};

struct ordered *ordered_new(const struct records *records)
{
	struct ordered *o = memory_get(sizeof *o);
	size_t position = 0;

	o->ids = memory_get((records->count + 1) * sizeof *o->ids);
	o->runs = memory_get((records->count / RUN + 1) * sizeof *o->runs);
	for (struct message *m; (m = records_next(records, &position)) != NULL;)
		o->ids[o->count++] = m->id;
	return o;
}

void ordered_free(struct ordered **o)
{
	if (*o) {
		free((*o)->ids);
		free((*o)->runs);
		free(*o);
	}
	*o = NULL;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t first_of(const struct ordered *o, size_t run)
{
	return o->ids[o->runs[run].next];
}

static void sink(struct ordered *o, size_t at)
{
	for (size_t child; (child = at * 2 + 1) < o->run_count; at = child) {
		if (child + 1 < o->run_count && first_of(o, child + 1) < first_of(o, child))
			child++;
		if (first_of(o, at) <= first_of(o, child))
			return;
		struct run swap = o->runs[at];

		o->runs[at] = o->runs[child];
		o->runs[child] = swap;
	}
}

bool ordered_work(struct ordered *o)
{
	if (o->sorted == o->count)
		return false;
	size_t end = o->count - o->sorted > RUN ? o->sorted + RUN : o->count;

	if (end > o->sorted)
		qsort(o->ids + o->sorted, end - o->sorted, sizeof *o->ids, compare_ids);
	o->runs[o->run_count++] = (struct run){ o->sorted, end };
	o->sorted = end;
	if (end < o->count)
		return true;
	for (size_t at = o->run_count; at-- > 0;)
		sink(o, at);
	return false;
}

bool ordered_next(struct ordered *o, uint64_t *id)
{
	struct run *first = o->runs;

	if (o->run_count == 0)
		return false;
	*id = o->ids[first->next++];
	if (first->next == first->end)
		*first = o->runs[--o->run_count];
	sink(o, 0);
	return true;
}
