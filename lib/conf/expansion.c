/* SPDX-License-Identifier: ISC */
#include "lib/conf/expansion.h"

#include <stdlib.h>

enum { EXPAND_BYTES_MAX = 64 << 20 };

/* What is before the @ may be another host's, where capitals count: two that are the same mailbox
 * here are found in the queue (repeated.h). */
static bool is_same(struct view a, struct view b)
{
	struct view domain = address_domain(a), other = address_domain(b);

	return a.len == b.len && view_equal_nocase(domain, other) &&
	       view_equal(view_take(a, a.len - domain.len), view_take(b, b.len - other.len));
}

/* The place in the table where this step is, or would be. */
static unsigned *seen_slot(struct expansion *e, struct view address, bool past_aliases)
{
	uint32_t at = view_hash_nocase(HASH_START ^ past_aliases, address);

	for (;; at++) {
		unsigned *slot = &e->seen[at & (e->seen_size - 1)];

		if (*slot == 0)
			return slot;
		const struct expansion_step *s = &e->steps[*slot - 1];

		if (s->past_aliases == past_aliases && is_same(view_of(s->address), address))
			return slot;
	}
}

static void grow(struct expansion *e)
{
	if (e->count < e->cap)
		return;
	e->cap = e->cap ? e->cap * 2 : 16;
	e->steps = memory_grow(e->steps, e->cap * sizeof *e->steps);
	free(e->seen);
	e->seen_size = e->cap * 4;
	e->seen = memory_get(e->seen_size * sizeof *e->seen);
	for (unsigned i = 0; i < e->count; i++)
		*seen_slot(e, view_of(e->steps[i].address), e->steps[i].past_aliases) = i + 1;
}

/* Notes an address to look at, once. */
static void add_step(struct expansion *e, struct view address, const struct expansion_step *from,
                     bool past_aliases)
{
	unsigned depth = from != NULL ? from->depth + 1 : 0;

	grow(e);
	unsigned *slot = seen_slot(e, address, past_aliases);

	if (*slot != 0)
		return;
	const char *copy = arena_string(&e->arena, address);

	if (address.len >= ADDRESS_MAX)
		e->verdict = EXPANSION_LONG;
	else if (depth > EXPANSION_DEPTH_MAX)
		e->verdict = EXPANSION_DEEP;
	else if (copy == NULL || e->count == EXPANSION_LOOKUPS_MAX)
		e->verdict = EXPANSION_MANY;
	if (e->verdict != EXPANSION_GOOD)
		return;
	e->steps[e->count++] =
		(struct expansion_step){ copy, depth, past_aliases, from != NULL, false };
	*slot = e->count;
}

bool expansion_means_mailbox(const struct classified *alias, struct view target)
{
	return !alias->catch_all && view_equal_nocase(target, view_of(alias->address));
}

static void follow(struct expansion *e, unsigned number)
{
	struct expansion_step step = e->steps[number]; /* a copy: steps moves when it grows */
	struct classified place;
	struct view target;

	classify(e->classifier, view_of(step.address), step.past_aliases, &place);
	if (place.kind == ADDRESS_IS_POSTMASTER) {
		add_step(e, view_of(e->postmaster), &step, false);
	} else if (place.kind == ADDRESS_IS_ALIAS && !place.alias.fails) {
		while (e->verdict == EXPANSION_GOOD && alias_next(&place.alias, &target))
			add_step(e, target, &step, expansion_means_mailbox(&place, target));
	} else {
		e->steps[number].final = true;
		e->finals++;
	}
	if (e->finals > EXPANSION_ENDS_MAX)
		e->verdict = EXPANSION_MANY;
}

enum expansion_verdict expansion_collect(struct expansion *e, struct view address)
{
	e->arena.limit = EXPAND_BYTES_MAX;
	add_step(e, address, NULL, false);
	for (unsigned i = 0; i < e->count && e->verdict == EXPANSION_GOOD; i++)
		follow(e, i);
	if (e->verdict == EXPANSION_GOOD && e->finals == 0)
		e->verdict = EXPANSION_LOOP;
	return e->verdict;
}

void expansion_free(struct expansion *e)
{
	arena_clear(&e->arena);
	free(e->steps);
	free(e->seen);
}

const char *expansion_words(enum expansion_verdict verdict)
{
	switch (verdict) {
	case EXPANSION_GOOD: break;
	case EXPANSION_LOOP: return "alias loop";
	case EXPANSION_DEEP: return "aliases are nested too deeply";
	case EXPANSION_MANY: return "the alias has too many targets";
	case EXPANSION_LONG: return "the alias has a target that is too long";
	}
	return "";
}
