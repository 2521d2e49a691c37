/* SPDX-License-Identifier: ISC */
#include "deliver/remote/candidates.h"

#include <errno.h>
#include <string.h>

#include "lib/base/clock.h"

enum { NO_ROUTE_MS = 60000 };

static int64_t no_route_until_ms[2]; /* of IPv4 and IPv6 */

static unsigned family_of(const struct candidate *c)
{
	return c->address.family == 6;
}

static struct reply our_words(int code, const char *status, const char *text)
{
	struct reply reply = { .code = code };

	string_put(reply.status, sizeof reply.status, view_of(status));
	string_cut(reply.text, sizeof reply.text, view_of(text));
	return reply;
}

void candidates_clear(struct candidates *all)
{
	all->count = all->at = all->slow = 0;
	all->missing = UINT32_MAX;
	all->kind = CANDIDATES_NONE;
	all->trouble = our_words(0, "4.4.4", "no next hop");
	all->said_by[0] = '\0';
}

/* Of two of a kind the later one is told. */
static void note(struct candidates *all, enum candidates_trouble kind, const struct reply *reply,
                 const char *said_by)
{
	if (kind < all->kind)
		return;
	all->kind = kind;
	all->trouble = *reply;
	string_put(all->said_by, sizeof all->said_by, view_of(said_by));
}

void candidates_trouble(struct candidates *all, int code, const char *status, const char *text)
{
	struct reply reply = our_words(code, status, text);

	note(all, code / 100 == 5 ? CANDIDATES_REFUSED : CANDIDATES_LATER, &reply, "");
}

void candidates_own_fault(struct candidates *all, const char *text)
{
	struct reply reply = our_words(0, "4.3.0", text);

	reply.own_fault = true;
	note(all, CANDIDATES_OWN_FAULT, &reply, "");
}

void candidates_add(struct candidates *all, const struct dns_host *host, uint16_t preference,
                    uint16_t port)
{
	uint16_t rounds[2] = { 0 };

	for (unsigned i = 0; i < host->address_count && all->count < CANDIDATES_MAX; i++) {
		struct candidate *c = &all->rows[all->count++];

		string_put(c->host, sizeof c->host, view_of(host->name));
		c->address = host->addresses[i];
		c->address.port = port;
		c->preference = preference;
		c->refused = c->passed_over = false;
		c->round = rounds[family_of(c)]++;
	}
}

void candidates_missing(struct candidates *all, uint16_t preference)
{
	if (preference < all->missing)
		all->missing = preference;
}

static bool before(const struct candidate *a, const struct candidate *b, bool all_fit)
{
	unsigned a_first = all_fit ? a->preference : a->round;
	unsigned b_first = all_fit ? b->preference : b->round;

	if (a_first != b_first)
		return a_first < b_first;
	return all_fit ? a->round < b->round : a->preference < b->preference;
}

/* Stable: equal ones keep dnsd's order, which is a random one. */
static void sort(struct candidates *all, bool all_fit)
{
	for (unsigned i = 1; i < all->count; i++) {
		struct candidate one = all->rows[i];
		unsigned to = i;

		for (; to > 0 && before(&one, &all->rows[to - 1], all_fit); to--)
			all->rows[to] = all->rows[to - 1];
		all->rows[to] = one;
	}
}

static void reverse(struct candidate *rows, unsigned count)
{
	for (unsigned i = 0; i < count / 2; i++) {
		struct candidate kept = rows[i];

		rows[i] = rows[count - 1 - i];
		rows[count - 1 - i] = kept;
	}
}

/* To the left, by three reversals. */
static void rotate(struct candidate *rows, unsigned count, unsigned by)
{
	reverse(rows, by);
	reverse(rows + by, count - by);
	reverse(rows, count);
}

void candidates_arrange(struct candidates *all, unsigned attempt)
{
	bool all_fit = all->count <= CANDIDATES_SLOW_MAX;

	sort(all, all_fit);
	if (!all_fit)
		rotate(all->rows + 1, all->count - 1,
		       (unsigned)((uint64_t)attempt * (CANDIDATES_SLOW_MAX - 1) %
		                  (all->count - 1)));
	all->at = all->slow = 0;
}

static enum candidates_trouble kind_of(const struct candidate *c, bool met,
                                       const struct reply *reply)
{
	if (reply->own_fault)
		return CANDIDATES_OWN_FAULT;
	if (c->passed_over)
		return CANDIDATES_NONE; /* candidates_conclude */
	if (c->refused)
		return CANDIDATES_REFUSED;
	return met && reply->code && reply->code != 421 ? CANDIDATES_MESSAGE : CANDIDATES_LATER;
}

static bool has_route(const struct candidate *c)
{
	return clock_ms() >= no_route_until_ms[family_of(c)];
}

const struct candidate *candidates_next(struct candidates *all)
{
	unsigned routed = 0;

	if (all->slow >= CANDIDATES_SLOW_MAX)
		return NULL;
	/* When no family has a route, the memory may be out of date: all are tried. */
	for (unsigned i = 0; i < all->count; i++)
		routed += has_route(&all->rows[i]);
	while (all->at < all->count) {
		struct candidate *c = &all->rows[all->at++];

		if (routed == 0 || has_route(c))
			return c;
		c->passed_over = true;
	}
	return NULL;
}

void candidates_put_last(struct candidates *all, const char *host, uint16_t port)
{
	for (unsigned i = all->at, looked_at = all->at; looked_at < all->count; looked_at++) {
		const struct candidate *c = &all->rows[i];

		if (c->address.port == port && strcmp(c->host, host) == 0)
			rotate(&all->rows[i], all->count - i, 1);
		else
			i++;
	}
}

/* A host has answered for all its addresses, as far as one of them has no route from here. */
static bool has_refused(const struct candidates *all, const char *host)
{
	for (unsigned i = 0; i < all->count; i++)
		if (all->rows[i].refused && strcmp(all->rows[i].host, host) == 0)
			return true;
	return false;
}

enum candidates_standing candidates_standing(const struct candidates *all, unsigned contested)
{
	const struct candidate *last = &all->rows[all->at - 1];
	bool waits = all->missing < last->preference, first = !waits;

	for (unsigned i = 0; i < all->count; i++) {
		const struct candidate *c = &all->rows[i];

		if (c->preference >= last->preference)
			continue;
		waits = waits || !has_refused(all, c->host);
		first = false;
	}
	if (first)
		return CANDIDATES_FIRST;
	return waits && contested < CANDIDATES_PATIENCE ? CANDIDATES_WAITS : CANDIDATES_DEPUTY;
}

void candidates_tried(struct candidates *all, int64_t took_ms, int error, bool met,
                      const struct reply *reply)
{
	struct candidate *c = &all->rows[all->at - 1];

	c->refused = reply_for_good(reply);
	c->passed_over = error == ENETUNREACH || error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
	all->slow += took_ms >= CANDIDATES_QUICK_MS;
	if (c->passed_over)
		no_route_until_ms[family_of(c)] = clock_ms() + NO_ROUTE_MS;
	else if (error == 0)
		no_route_until_ms[family_of(c)] = 0;
	note(all, kind_of(c, met, reply), reply, reply->code ? c->host : "");
}

void candidates_are_us(struct candidates *all)
{
	uint16_t preference = all->rows[all->at - 1].preference;
	unsigned left = 0, at = 0;

	for (unsigned i = 0; i < all->count; i++) {
		if (all->rows[i].preference >= preference)
			continue;
		at += i < all->at;
		all->rows[left++] = all->rows[i];
	}
	all->count = left;
	all->at = at;
}

void candidates_conclude(struct candidates *all)
{
	for (unsigned i = 0; all->kind == CANDIDATES_REFUSED && i < all->count; i++) {
		const struct candidate *c = &all->rows[i];
		char text[RESOLVE_HOST_MAX + 64];

		if ((!c->passed_over && i < all->at) || has_refused(all, c->host))
			continue;
		string_print_cut(text, sizeof text,
		                 c->passed_over ? "no route to %s" : "%s has not been tried yet",
		                 c->host);
		candidates_trouble(all, 0, "4.4.1", text);
	}
}
