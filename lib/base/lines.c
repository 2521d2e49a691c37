/* SPDX-License-Identifier: ISC */
#include "lib/base/lines.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	const struct view *x = a, *y = b;
	size_t both = x->len < y->len ? x->len : y->len;
	int by_bytes = both ? memcmp(x->data, y->data, both) : 0;

	return by_bytes != 0 ? by_bytes : (x->len > y->len) - (x->len < y->len);
}

static int compare_start(const void *prefix, const void *line)
{
	const struct view *p = prefix, *l = line;
	struct view start = view_take(*l, p->len);

	return compare(p, &start);
}

void lines_init(struct lines *l, struct view text)
{
	struct view line;

	*l = (struct lines){ 0 };
	while (view_cut(&text, '\n', &line)) {
		l->sorted = memory_grow_for(l->sorted, l->count, sizeof *l->sorted);
		l->sorted[l->count++] = line;
	}
	if (l->count)
		qsort(l->sorted, l->count, sizeof *l->sorted, compare);
}

void lines_free(struct lines *l)
{
	free(l->sorted);
	*l = (struct lines){ 0 };
}

bool lines_has(const struct lines *l, struct view line)
{
	return l->count && bsearch(&line, l->sorted, l->count, sizeof *l->sorted, compare) != NULL;
}

const struct view *lines_starting(const struct lines *l, struct view prefix)
{
	return l->count ? bsearch(&prefix, l->sorted, l->count, sizeof *l->sorted, compare_start)
	                : NULL;
}
