/* SPDX-License-Identifier: ISC */
#include "imapd/sequence.h"

#include <stdlib.h>

/* A number of a set: 1 to 2^32-1, or "*". */
static bool seq_number(struct view text, uint32_t star, uint32_t *out)
{
	uint64_t number;

	*out = star;
	if (view_equal(text, VIEW("*")))
		return true;
	/* nz-number: a leading zero is not one (RFC 3501 section 9). */
	if (text.len == 0 || text.data[0] == '0' || !view_number(text, UINT32_MAX, &number))
		return false;
	*out = (uint32_t)number;
	return true;
}

static bool parse_range(struct view text, uint32_t star, struct sequence_range *out)
{
	size_t colon = view_find(text, ':');

	if (!seq_number(view_take(text, colon), star, &out->low))
		return false;
	out->high = out->low;
	if (colon < text.len && !seq_number(view_skip(text, colon + 1), star, &out->high))
		return false;
	if (out->low >
	    out->high) { /* 5:2 is 2:5; with UIDs 500:* holds the last message though it is below */
		uint32_t swap = out->low;

		out->low = out->high;
		out->high = swap;
	}
	return true;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct sequence_range *x = a, *y = b;

	return (x->low > y->low) - (x->low < y->low);
}

/* Sorted ranges: those that touch become one. */
static size_t merge(struct sequence_range *ranges, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (kept && (ranges[kept - 1].high == UINT32_MAX ||
		             ranges[i].low <= ranges[kept - 1].high + 1)) {
			if (ranges[i].high > ranges[kept - 1].high)
				ranges[kept - 1].high = ranges[i].high;
		} else {
			ranges[kept++] = ranges[i];
		}
	}
	return kept;
}

static size_t count_ranges(struct view text)
{
	size_t count = 1;

	for (size_t i = 0; i < text.len; i++)
		count += text.data[i] == ',';
	return count;
}

bool sequence_parse(struct arena *arena, struct view text, uint32_t star, struct sequence_set *out)
{
	size_t count = count_ranges(text), used = 0;
	struct view part;

	*out = (struct sequence_set){ NULL, 0 };
	if (text.len == 0 || text.data[text.len - 1] == ',' || count > SEQUENCE_RANGES_MAX)
		return false;
	out->ranges = arena_get(arena, count * sizeof *out->ranges);
	if (out->ranges == NULL)
		return false;
	while (view_cut(&text, ',', &part)) {
		struct sequence_range *range = &out->ranges[used];

		if (!parse_range(part, star, range))
			return false;
		if (range->low ==
		    0) /* "*" of an empty mailbox: it and what reaches to it stand for nothing */
			continue;
		used++;
	}
	qsort(out->ranges, used, sizeof *out->ranges, compare_ranges);
	out->count = merge(out->ranges, used);
	return true;
}

bool sequence_holds(const struct sequence_set *set, uint32_t number)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (number < set->ranges[middle].low)
			high = middle;
		else if (number > set->ranges[middle].high)
			low = middle + 1;
		else
			return true;
	}
	return false;
}

uint32_t sequence_highest(const struct sequence_set *set)
{
	return set->count ? set->ranges[set->count - 1].high : 0;
}

static void flush_run(struct sequence_writer *w)
{
	if (w->low == 0)
		return;
	if (w->any)
		text_add_byte(w->out, ',');
	text_format(w->out, w->low == w->high ? "%u" : "%u:%u", w->low, w->high);
	w->any = true;
	w->low = 0;
}

void sequence_write(struct sequence_writer *w, uint32_t number)
{
	if (w->low && number == w->high + 1) {
		w->high = number;
		return;
	}
	flush_run(w);
	w->low = w->high = number;
}

void sequence_write_end(struct sequence_writer *w)
{
	flush_run(w);
}
