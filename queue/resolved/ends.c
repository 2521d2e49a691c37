/* SPDX-License-Identifier: ISC */
/*
 * What RCPT can know: does mail for an address arrive anywhere? What is taken and fails afterwards
 * would have to be told to a sender whom nobody has verified.
 *
 * An alias is followed in depth, no further than to the first of its ends that takes mail: for
 * nearly all of them that is the first. Then the whole is judged, as queued will have it.
 */
#include "lib/base/clock.h"
#include "queue/resolved/addressbook.h"

struct search {
	struct addressbook *book;
	const struct resolve_question *question;
	struct resolve_answer *answer; /* why the ends so far take nothing */
	unsigned lookups;
};

/* What the client is told of several: that it may be otherwise later, before that there is
 * somebody, before that there is nobody. */
static unsigned rank(enum resolve_verdict verdict, const char *status)
{
	return verdict == RESOLVE_ACCEPT  ? 0
	       : verdict == RESOLVE_LATER ? 3
	       : status[2] == '1'         ? 1
	                                  : 2;
}

/* false. */
static bool dead_end(struct search *s, const char *status, const char *text)
{
	struct resolve_answer *a = s->answer;
	enum resolve_verdict verdict = status[0] == '4' ? RESOLVE_LATER : RESOLVE_REJECT;

	if (rank(verdict, status) > rank(a->verdict, a->status)) {
		a->verdict = verdict;
		string_put(a->status, sizeof a->status, view_of(status));
		resolve_text(a->text, view_of(text));
	}
	return false;
}

/* What deliveries have taught is for strangers: an account is told by a report, and its mail is
 * what finds out that it is so no longer. */
static bool known_to_refuse(struct search *s, const struct resolve_target *t)
{
	const struct resolve_question *q = s->question;
	enum resolve_refusal_kind kind = agent_carries(t->agent, AGENT_CARRIES_MAILBOX)
	                                         ? RESOLVE_MAILBOX_FULL
	                                         : RESOLVE_ADDRESS_UNKNOWN;
	bool full = kind == RESOLVE_MAILBOX_FULL;

	if (q->account[0] || q->submission)
		return false;
	const struct refusal *r =
		refusals_find(&s->book->refusals, kind,
	                      view_of(full ? t->mailbox.home : t->address), clock_ms());

	if (r == NULL || (full && !refusal_holds_for(r, q->size_bytes)))
		return false;
	if (full)
		dead_end(s, "4.2.2", "the mailbox is full");
	else
		dead_end(s, "5.1.1", "no mail server accepts mail for this address");
	return true;
}

static bool end_takes(struct search *s, const struct classified *place)
{
	static struct resolve_target t; /* several KB */

	addressbook_target(s->book, place, &t);
	if (t.agent == AGENT_NONE)
		return dead_end(s, t.status, t.text);
	if (known_to_refuse(s, &t))
		return false;
	if (t.mailbox.quota_bytes && s->question->size_bytes > t.mailbox.quota_bytes)
		return dead_end(s, "5.2.3", "message exceeds the quota of the mailbox");
	return true;
}

static bool leads(struct search *s, const struct classified *place, unsigned depth);

static bool next_leads(struct search *s, struct view address, bool past_aliases, unsigned depth)
{
	struct classified place;

	if (depth > EXPANSION_DEPTH_MAX)
		return dead_end(s, "4.3.5", "aliases are nested too deeply, or in a loop");
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
		if (next_leads(s, target, expansion_means_mailbox(place, target), depth + 1))
			return true;
	return false;
}

/* The place of an alias's targets is its own as long as the maps are open. */
static enum expansion_verdict judge(struct addressbook *b, const struct classified *place)
{
	struct expansion e = { .classifier = &b->classifier, .postmaster = b->postmaster };
	const void *alias = place->kind == ADDRESS_IS_ALIAS
	                            ? (const void *)place->alias.rest.rest.data
	                            : b->postmaster;
	struct judged *j = &b->judged[((uintptr_t)alias >> 3) % ADDRESSBOOK_JUDGED_MAX];

	if (j->alias != alias) {
		*j = (struct judged){ alias, expansion_collect(&e, view_of(place->address)) };
		expansion_free(&e);
	}
	return j->verdict;
}

/* One end that takes mail is not enough: queued wants all of them. */
static bool expands(struct search *s, const struct classified *place)
{
	enum expansion_verdict verdict = EXPANSION_GOOD;

	if (place->kind == ADDRESS_IS_POSTMASTER ||
	    (place->kind == ADDRESS_IS_ALIAS && !place->alias.fails))
		verdict = judge(s->book, place);
	return verdict == EXPANSION_GOOD || dead_end(s, "4.3.5", expansion_words(verdict));
}

void addressbook_ends(struct addressbook *b, const struct resolve_question *q,
                      const struct classified *place, struct resolve_answer *a)
{
	struct search s = { .book = b, .question = q, .answer = a };

	a->verdict = RESOLVE_ACCEPT;
	if (leads(&s, place, 0) && expands(&s, place)) {
		a->verdict = RESOLVE_ACCEPT;
		a->status[0] = a->text[0] = '\0';
	}
}
