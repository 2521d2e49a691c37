/* SPDX-License-Identifier: ISC */
/*
 * What RCPT can know: does mail for an address arrive anywhere? What is taken and fails afterwards
 * would have to be told to a sender whom nobody has verified.
 *
 * An alias is followed in depth, no further than to the first of its ends that takes mail: for
 * nearly all of them that is the first.
 */
#include "queue/resolved/addressbook.h"

struct search {
	struct addressbook *book;
	struct resolve_answer *answer; /* why the ends so far take nothing */
	unsigned lookups;
};

/* false. The first one is what the client is told, unless one says that it may be otherwise later.
 */
static bool dead_end(struct search *s, const char *status, const char *text)
{
	struct resolve_answer *a = s->answer;
	enum resolve_verdict verdict = status[0] == '4' ? RESOLVE_LATER : RESOLVE_REJECT;

	if (a->verdict == RESOLVE_ACCEPT ||
	    (a->verdict == RESOLVE_REJECT && verdict == RESOLVE_LATER)) {
		a->verdict = verdict;
		string_copy(a->status, sizeof a->status, view_of(status));
		resolve_text(a->text, view_of(text));
	}
	return false;
}

static bool end_takes(struct search *s, const struct classified *place)
{
	static struct resolve_target t; /* several KB */

	addressbook_target(s->book, place, &t);
	return t.agent != AGENT_NONE || dead_end(s, t.status, t.text);
}

static bool leads(struct search *s, const struct classified *place, unsigned depth);

static bool next_leads(struct search *s, struct view address, bool past_aliases, unsigned depth)
{
	struct classified place;

	if (depth > ADDRESSBOOK_DEPTH_MAX)
		return dead_end(s, "4.4.6", "aliases are nested too deeply, or in a loop");
	if (++s->lookups > ADDRESSBOOK_ENDS_MAX)
		return true;
	classify(&s->book->classifier, address, past_aliases, &place);
	return leads(s, &place, depth);
}

static bool leads(struct search *s, const struct classified *place, unsigned depth)
{
	struct alias alias = place->alias;
	struct view target;

	if (place->kind == ADDRESS_IS_POSTMASTER)
		return next_leads(s, view_of(s->book->postmaster), false, depth + 1);
	if (place->kind != ADDRESS_IS_ALIAS || alias.fails)
		return end_takes(s, place);
	while (alias_next(&alias, &target))
		if (next_leads(s, target, addressbook_means_mailbox(place, target), depth + 1))
			return true;
	return false;
}

void addressbook_ends(struct addressbook *b, const struct classified *place,
                      struct resolve_answer *a)
{
	struct search s = { .book = b, .answer = a };

	a->verdict = RESOLVE_ACCEPT;
	if (leads(&s, place, 0)) {
		a->verdict = RESOLVE_ACCEPT;
		a->status[0] = a->text[0] = '\0';
	}
}
