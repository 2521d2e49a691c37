/* SPDX-License-Identifier: ISC */
/*
 * Where mail for one address ends: aliases are followed until only mailboxes, routes and errors are
 * left.
 *
 * First all final addresses are collected (nothing is sent before the whole answer is known to be
 * within its limits), then each is looked up once more and given out.
 */
#include <assert.h>
#include <stdlib.h>

#include "lib/net/address.h"
#include "queue/resolved/addressbook.h"

static_assert((int)ROUTE_HOPS_MAX == (int)RESOLVE_HOPS_MAX,
              "every next hop of a route is passed on");

enum { LMTP_PORT = 24, EXPAND_BYTES_MAX = 64 << 20 };

struct step {
	const char *address;
	unsigned depth;
	bool past_aliases, expanded;
	bool final;
};

struct expansion {
	struct addressbook *book;
	struct arena arena;
	struct step *steps; /* in the order they were found; those that are final are the answer */
	unsigned count, cap, finals;
	unsigned *seen; /* hash table of places in steps, +1; seen_size is a power of two */
	unsigned seen_size;
	const char *trouble; /* why the whole is an error */
};

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
		const struct step *s = &e->steps[*slot - 1];

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
static void add_step(struct expansion *e, struct view address, const struct step *from,
                     bool past_aliases)
{
	unsigned depth = from != NULL ? from->depth + 1 : 0;

	grow(e);
	unsigned *slot = seen_slot(e, address, past_aliases);

	if (*slot != 0)
		return;
	/* Builds of before 0.2 let it pass. */
	if (address.len >= RESOLVE_ADDRESS_MAX) {
		e->trouble = "the alias has a target that is too long";
		return;
	}
	const char *copy = arena_string(&e->arena, address);

	if (copy == NULL || e->count == ADDRESSBOOK_LOOKUPS_MAX || depth > ADDRESSBOOK_DEPTH_MAX) {
		e->trouble = depth > ADDRESSBOOK_DEPTH_MAX ? "aliases are nested too deeply"
		                                           : "the alias has too many targets";
		return;
	}
	e->steps[e->count++] = (struct step){ copy, depth, past_aliases, from != NULL, false };
	*slot = e->count;
}

bool addressbook_means_mailbox(const struct classified *alias, struct view target)
{
	return !alias->catch_all && view_equal_nocase(target, view_of(alias->address));
}

static void follow(struct expansion *e, unsigned number)
{
	struct step step = e->steps[number]; /* a copy: steps moves when it grows */
	struct classified place;
	struct view target;

	classify(&e->book->classifier, view_of(step.address), step.past_aliases, &place);
	if (place.kind == ADDRESS_IS_POSTMASTER) {
		add_step(e, view_of(e->book->postmaster), &step, false);
	} else if (place.kind == ADDRESS_IS_ALIAS && !place.alias.fails) {
		while (e->trouble == NULL && alias_next(&place.alias, &target))
			add_step(e, target, &step, addressbook_means_mailbox(&place, target));
	} else {
		e->steps[number].final = true;
		e->finals++;
	}
	if (e->finals > RESOLVE_TARGETS_MAX)
		e->trouble = "the alias has too many targets";
}

/* ---- giving out ---- */

static void set_error(struct resolve_target *t, const char *status, struct view text)
{
	t->agent = AGENT_NONE;
	string_put(t->status, sizeof t->status, view_of(status));
	resolve_text(t->text, text);
}

static void set_error_text(struct resolve_target *t, struct view text, const char *status,
                           const char *default_text)
{
	char own[STATUS_MAX];
	struct view rest;

	classify_split_status(text, status, own, &rest);
	set_error(t, own, rest.len ? rest : view_of(default_text));
}

static void set_mailbox(struct resolve_target *t, const struct user *user)
{
	if (user->state == USER_CLOSED) {
		set_error(t, "5.2.1", VIEW("this mailbox is disabled"));
		return;
	}
	t->agent = AGENT_LOCAL;
	t->mailbox.uid = user->uid;
	t->mailbox.gid = user->gid;
	t->mailbox.quota_bytes = user->quota_bytes;
	if (!string_copy(t->mailbox.home, sizeof t->mailbox.home, user->home))
		set_error(t, "4.3.5", VIEW("the mailbox's path is too long"));
}

static void add_hop(const struct addressbook *b, struct resolve_route *r,
                    const struct route_hop *from)
{
	struct resolve_hop *hop = &r->hops[r->hop_count];
	struct net_address address;
	bool v6 = net_address_parse(from->host, &address) && address.family == 6;

	hop->port = from->port ? from->port : r->lmtp ? LMTP_PORT : b->smtp_port;
	/* One that is empty or longer than any name is none. */
	if (from->host.len && string_format(hop->host, sizeof hop->host, v6 ? "[%.*s]" : "%.*s",
	                                    VIEW_ARG(from->host)))
		r->hop_count++;
}

static void set_domain(struct resolve_target *t, struct view domain, bool ours)
{
	t->route.ours = ours;
	if (!string_copy(t->route.domain, sizeof t->route.domain, domain))
		set_error(t, "5.1.2", VIEW("the domain is longer than a domain may be"));
}

/* To another agent the address alone; else by MX: of the first hop where it says mx, else every hop
 * in order. */
static void set_route(const struct addressbook *b, struct resolve_target *t, struct route route,
                      bool ours)
{
	struct view domain = address_domain(view_of(t->address));
	struct resolve_route *to = &t->route;
	struct route_hop hop;

	t->agent = route_agent(&route);
	if (!agent_carries(t->agent, AGENT_CARRIES_HOPS))
		return;
	to->lmtp = route.transport == ROUTE_LMTP;
	while (to->hop_count < RESOLVE_HOPS_MAX && route_next(&route, &hop)) {
		if (hop.mx && to->hop_count == 0) {
			set_domain(t, hop.host.len ? hop.host : domain, ours || hop.host.len > 0);
			return;
		}
		if (!hop.mx)
			add_hop(b, to, &hop);
	}
	if (to->hop_count == 0)
		set_error(t, "4.3.5", VIEW("the route has no next hop"));
}

static void set_elsewhere(const struct addressbook *b, struct resolve_target *t,
                          const struct classified *place)
{
	struct view domain = address_domain(view_of(t->address));
	bool ours = place->domain != DOMAIN_NOT_OURS;

	if (place->has_route && route_agent(&place->route) == AGENT_NONE) {
		set_error_text(t, place->route.text, "5.1.2",
		               "no mail is accepted for this destination");
	} else if (place->has_route) {
		set_route(b, t, place->route, ours);
	} else if (domain.len && domain.data[0] == '[') {
		set_error(t, "5.1.2", VIEW("mail to address literals is not accepted"));
	} else {
		t->agent = AGENT_REMOTE;
		set_domain(t, domain, ours);
	}
}

void addressbook_target(struct addressbook *b, const struct classified *place,
                        struct resolve_target *t)
{
	*t = (struct resolve_target){ 0 };
	string_put(t->address, sizeof t->address, view_of(place->address));
	switch (place->kind) {
	case ADDRESS_IS_MAILBOX: set_mailbox(t, &place->user); return;
	case ADDRESS_IS_ELSEWHERE: set_elsewhere(b, t, place); return;
	case ADDRESS_IS_ALIAS:
		set_error_text(t, place->alias.text, "5.1.1", "no such mailbox here");
		return;
	case ADDRESS_IS_POSTMASTER:
	case ADDRESS_IS_NOBODY: set_error(t, "5.1.1", VIEW("no such mailbox here")); return;
	case ADDRESS_IS_DAMAGED: break;
	}
	set_error(t, "4.3.5", VIEW("the maps cannot be read"));
}

static void make_target(struct addressbook *b, const struct step *step, struct resolve_target *t)
{
	struct classified place;

	classify(&b->classifier, view_of(step->address), step->past_aliases, &place);
	addressbook_target(b, &place, t);
	t->expanded = step->expanded;
	if (t->address[0] == '\0')
		string_put(t->address, sizeof t->address, view_of(step->address));
}

static void give_out(struct expansion *e, void (*emit)(void *, const struct resolve_target *),
                     void *context)
{
	static struct resolve_target target; /* several KB, and nobody here calls back into us */
	unsigned left = e->finals;

	for (unsigned i = 0; i < e->count; i++) {
		if (!e->steps[i].final)
			continue;
		make_target(e->book, &e->steps[i], &target);
		target.last = --left == 0;
		emit(context, &target);
	}
}

static void give_trouble(struct expansion *e, struct view address,
                         void (*emit)(void *, const struct resolve_target *), void *context)
{
	struct resolve_target target = { .last = true };

	string_put(target.address, sizeof target.address, address);
	/* The operator's to mend: 4, it waits for that as long as it lives, and X.3.5, so that it
	 * is told then (queued's reports.h), not X.4.6, which a sender can forge. */
	set_error(&target, "4.3.5", view_of(e->trouble));
	emit(context, &target);
}

void addressbook_expand(struct addressbook *b, struct view address,
                        void (*emit)(void *, const struct resolve_target *), void *context)
{
	struct expansion e = { .book = b, .arena = { .limit = EXPAND_BYTES_MAX } };

	add_step(&e, address, NULL, false);
	for (unsigned i = 0; i < e.count && e.trouble == NULL; i++)
		follow(&e, i);
	if (e.trouble == NULL && e.finals == 0)
		e.trouble = "alias loop";
	if (e.trouble == NULL)
		give_out(&e, emit, context);
	else
		give_trouble(&e, address, emit, context);
	arena_clear(&e.arena);
	free(e.steps);
	free(e.seen);
}
