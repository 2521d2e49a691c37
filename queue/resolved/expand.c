/* SPDX-License-Identifier: ISC */
/*
 * Where mail for one address ends, for queued: first all final addresses are collected
 * (lib/conf/expansion.h: nothing is sent before the whole answer is known to be within its limits),
 * then each is looked up once more and given out.
 */
#include <assert.h>

#include "lib/net/address.h"
#include "queue/resolved/addressbook.h"

static_assert((int)ROUTE_HOPS_MAX == (int)RESOLVE_HOPS_MAX,
              "every next hop of a route is passed on");
static_assert((int)EXPANSION_ENDS_MAX == (int)RESOLVE_TARGETS_MAX, "every end is passed on");

enum { LMTP_PORT = 24 };

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

static void make_target(struct addressbook *b, const struct expansion_step *step,
                        struct resolve_target *t)
{
	struct classified place;

	classify(&b->classifier, view_of(step->address), step->past_aliases, &place);
	addressbook_target(b, &place, t);
	t->expanded = step->expanded;
	if (t->address[0] == '\0')
		string_put(t->address, sizeof t->address, view_of(step->address));
}

static void give_out(struct addressbook *b, const struct expansion *e,
                     void (*emit)(void *, const struct resolve_target *), void *context)
{
	static struct resolve_target target; /* several KB, and nobody here calls back into us */
	unsigned left = e->finals;

	for (unsigned i = 0; i < e->count; i++) {
		if (!e->steps[i].final)
			continue;
		make_target(b, &e->steps[i], &target);
		target.last = --left == 0;
		emit(context, &target);
	}
}

static void give_trouble(enum expansion_verdict verdict, struct view address,
                         void (*emit)(void *, const struct resolve_target *), void *context)
{
	struct resolve_target target = { .last = true };

	string_put(target.address, sizeof target.address, address);
	/* The operator's to mend: 4, it waits for that as long as it lives, and X.3.5, so that it
	 * is told then (queued's reports.h), not X.4.6, which a sender can forge. */
	set_error(&target, "4.3.5", view_of(expansion_words(verdict)));
	emit(context, &target);
}

void addressbook_expand(struct addressbook *b, struct view address,
                        void (*emit)(void *, const struct resolve_target *), void *context)
{
	struct expansion e = { .classifier = &b->classifier, .postmaster = b->postmaster };

	if (expansion_collect(&e, address) == EXPANSION_GOOD)
		give_out(b, &e, emit, context);
	else
		give_trouble(e.verdict, address, emit, context);
	expansion_free(&e);
}
