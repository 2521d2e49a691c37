/* SPDX-License-Identifier: ISC */
#include "lib/conf/classify.h"

#include <string.h>

/* The working form of an address: parts that grow and change as domain aliases are followed. */
struct parts {
	struct view local, domain;
	char store[ADDRESS_MAX];
};

/* local@domain into p; false when it is too long for any map. */
static bool set_parts(struct parts *p, struct view local, struct view domain)
{
	char joined[ADDRESS_MAX];

	if (!string_format(joined, sizeof joined, "%.*s@%.*s", VIEW_ARG(local), VIEW_ARG(domain)))
		return false;
	memcpy(p->store, joined, sizeof joined);
	p->local = (struct view){ p->store, local.len };
	p->domain = (struct view){ p->store + local.len + 1, domain.len };
	for (size_t i = 0; i < domain.len; i++)
		p->store[local.len + 1 + i] = byte_lower(p->store[local.len + 1 + i]);
	return true;
}

static struct view whole(const struct parts *p)
{
	return view_of(p->store);
}

/* ---- the maps ---- */

static enum map_result get_domain(const struct classifier *c, struct view name, struct domain *out)
{
	struct view value;
	enum map_result r = c->find(c->context, MAP_DOMAINS, name, &value);

	return r == MAP_FOUND && !domain_decode(value, out) ? MAP_DAMAGED : r;
}

static enum map_result get_alias(const struct classifier *c, struct view key, struct alias *out)
{
	struct view value;
	enum map_result r = c->find(c->context, MAP_ALIASES, key, &value);

	return r == MAP_FOUND && !alias_decode(value, out) ? MAP_DAMAGED : r;
}

static enum map_result get_user(const struct classifier *c, struct view address, struct user *out)
{
	struct view value;
	enum map_result r = c->find(c->context, MAP_USERS, address, &value);

	return r == MAP_FOUND && !user_decode(value, out) ? MAP_DAMAGED : r;
}

static enum map_result find_route_value(void *context, struct view key, struct view *value)
{
	const struct classifier *c = context;

	return c->find(c->context, MAP_ROUTES, key, value);
}

/* The entry of routes.map for just this address, or also the more general ones. */
static enum map_result get_route(const struct classifier *c, struct view address, bool exact,
                                 struct route *out)
{
	struct classifier maps = *c;
	struct view value;
	enum map_result r = exact ? find_route_value(&maps, address, &value)
	                          : map_widen(find_route_value, &maps, address, &value);

	return r == MAP_FOUND && !route_decode(value, out) ? MAP_DAMAGED : r;
}

/* ---- the order ---- */

/* Follows aliases of the domain and learns its class. */
static enum map_result find_domain(const struct classifier *c, struct parts *p,
                                   struct domain *domain)
{
	for (unsigned i = 0; i <= CLASSIFY_DOMAIN_ALIASES_MAX; i++) {
		enum map_result r = get_domain(c, p->domain, domain);

		if (r != MAP_FOUND || domain->class != DOMAIN_ALIAS)
			return r;
		if (!set_parts(p, p->local, domain->target))
			return MAP_MISSING;
	}
	return MAP_DAMAGED; /* a circle, which the build should have refused */
}

/* Alias, route or mailbox of one address, in this order. */
static enum map_result find_exact(const struct classifier *c, struct view address,
                                  bool past_aliases, struct classified *out)
{
	enum map_result r = past_aliases ? MAP_MISSING : get_alias(c, address, &out->alias);

	if (r == MAP_FOUND)
		out->kind = ADDRESS_IS_ALIAS;
	if (r == MAP_MISSING && (r = get_route(c, address, true, &out->route)) == MAP_FOUND) {
		/* "local" says: the mailbox, whatever else is in the maps. */
		if (agent_carries(route_agent(&out->route), AGENT_CARRIES_MAILBOX)) {
			r = MAP_MISSING;
		} else {
			out->has_route = true;
			out->kind = ADDRESS_IS_ELSEWHERE;
		}
	}
	if (r == MAP_MISSING && (r = get_user(c, address, &out->user)) == MAP_FOUND)
		out->kind = ADDRESS_IS_MAILBOX;
	return r;
}

static enum map_result find_without_detail(const struct classifier *c, const struct parts *p,
                                           bool past_aliases, struct classified *out)
{
	size_t cut = c->delimiter ? view_find(p->local, c->delimiter) : p->local.len;
	struct parts base;

	/* A leading delimiter is part of a name, not the end of an empty one. */
	if (cut == p->local.len || cut == 0 ||
	    !set_parts(&base, view_take(p->local, cut), p->domain))
		return MAP_MISSING;
	return find_exact(c, whole(&base), past_aliases, out);
}

static enum map_result find_catch_all(const struct classifier *c, const struct parts *p,
                                      struct classified *out)
{
	struct parts all;

	if (!set_parts(&all, VIEW(""), p->domain))
		return MAP_MISSING;
	enum map_result r = get_alias(c, whole(&all), &out->alias);

	if (r == MAP_FOUND) {
		out->kind = ADDRESS_IS_ALIAS;
		out->catch_all = true;
	}
	return r;
}

static enum map_result find_ours(const struct classifier *c, const struct parts *p,
                                 bool past_aliases, struct classified *out)
{
	enum map_result r = find_exact(c, whole(p), past_aliases, out);

	if (r == MAP_MISSING)
		r = find_without_detail(c, p, past_aliases, out);
	/* RFC 5321 section 4.5.1: every domain has a postmaster. */
	if (r == MAP_MISSING && view_equal_nocase(p->local, VIEW("postmaster"))) {
		out->kind = ADDRESS_IS_POSTMASTER;
		return MAP_FOUND;
	}
	if (r == MAP_MISSING && !past_aliases)
		r = find_catch_all(c, p, out);
	return r;
}

static enum map_result find_elsewhere(const struct classifier *c, const struct parts *p,
                                      bool past_aliases, struct classified *out)
{
	enum map_result r = MAP_MISSING;

	/* Our own aliases may name single addresses of a domain whose mail goes on to another
	 * server. */
	if (out->domain == DOMAIN_IS_RELAYED)
		r = find_exact(c, whole(p), past_aliases, out);
	if (r != MAP_MISSING)
		return r;
	out->kind = ADDRESS_IS_ELSEWHERE;
	r = get_route(c, whole(p), false, &out->route);
	out->has_route = r == MAP_FOUND;
	if (out->has_route && agent_carries(route_agent(&out->route), AGENT_CARRIES_MAILBOX)) {
		out->has_route = false;
		out->kind = ADDRESS_IS_NOBODY;
		if ((r = get_user(c, whole(p), &out->user)) == MAP_FOUND)
			out->kind = ADDRESS_IS_MAILBOX;
	}
	return r;
}

void classify(const struct classifier *c, struct view address, bool past_aliases,
              struct classified *out)
{
	struct view domain_part = address_domain(address);
	bool bare = domain_part.len == address.len;
	struct domain domain;
	struct parts p;

	memset(out, 0, sizeof *out);
	if (!set_parts(&p, bare ? address : view_take(address, address.len - domain_part.len - 1),
	               bare ? view_of(c->mail_domain) : domain_part))
		return;
	enum map_result r = find_domain(c, &p, &domain);

	if (r == MAP_FOUND)
		out->domain =
			domain.class == DOMAIN_MAILBOXES ? DOMAIN_HAS_MAILBOXES : DOMAIN_IS_RELAYED;
	/* What has no domain is ours, also when mail.domain is in no map. */
	if (r == MAP_MISSING && bare)
		out->domain = DOMAIN_HAS_MAILBOXES;
	if (r != MAP_DAMAGED)
		r = out->domain == DOMAIN_HAS_MAILBOXES ? find_ours(c, &p, past_aliases, out)
		                                        : find_elsewhere(c, &p, past_aliases, out);
	if (r == MAP_DAMAGED)
		out->kind = ADDRESS_IS_DAMAGED;
	string_put(out->address, sizeof out->address, whole(&p));
}

void classify_split_status(struct view text, const char *status, char out[STATUS_MAX],
                           struct view *rest)
{
	struct view word = view_take(text, view_find(text, ' '));
	unsigned dots = 0;
	bool is_status = word.len >= 5 && word.len < 12 &&
	                 (word.data[0] == '4' || word.data[0] == '5') && word.data[1] == '.';

	for (size_t i = 0; i < word.len; i++) {
		dots += word.data[i] == '.';
		if (word.data[i] != '.' && !byte_is_digit(word.data[i]))
			is_status = false;
	}
	is_status = is_status && dots == 2;
	string_put(out, STATUS_MAX, is_status ? word : view_of(status));
	*rest = is_status ? view_trim(view_skip(text, word.len)) : text;
}
