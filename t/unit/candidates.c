/* SPDX-License-Identifier: ISC */
/* What is told of many hosts that were asked in vain: one that wants no mail speaks for itself. */
#include "deliver/remote/candidates.h"

#include <errno.h>
#include <string.h>

#include "t/tap.h"

static struct candidates all;

static void add(const char *host, int family)
{
	static struct dns_host one;

	memset(&one, 0, sizeof one);
	string_put(one.name, sizeof one.name, view_of(host));
	one.address_count = 1;
	one.addresses[0].family = (uint8_t)family;
	candidates_add(&all, &one, 0, 25);
}

static struct reply said(const char *line)
{
	struct reply r = { 0 };

	reply_line(&r, view_of(line));
	return r;
}

static struct reply ours(bool own_fault)
{
	return (struct reply){ .status = "4.4.1", .text = "no answer", .own_fault = own_fault };
}

static void tried(struct reply r, int error, bool met)
{
	if (ok(candidates_next(&all) != NULL, "one more"))
		candidates_tried(&all, 1, error, met, &r);
}

static void begin(unsigned hosts)
{
	static const char *const names[] = { "a.test", "b.test", "c.test" };

	candidates_clear(&all);
	for (unsigned i = 0; i < hosts; i++)
		add(names[i], 4);
	candidates_arrange(&all, 0);
}

static void is_told(enum candidates_trouble kind, const char *status, const char *by,
                    const char *what)
{
	candidates_conclude(&all);
	ok(all.kind == kind && strcmp(all.trouble.status, status) == 0 &&
	           strcmp(all.said_by, by) == 0,
	   "%s: %d %s by \"%s\"", what, (int)all.kind, all.trouble.status, all.said_by);
}

static void check_refusals(void)
{
	begin(2);
	tried(said("554 5.7.1 go away"), 0, false);
	tried(said("550 5.7.2 you too"), 0, false);
	is_told(CANDIDATES_REFUSED, "5.7.2", "b.test", "all refuse: it is for good");
	begin(2);
	tried(ours(false), ECONNREFUSED, false);
	tried(said("554 5.7.1 go away"), 0, false);
	is_told(CANDIDATES_LATER, "4.4.1", "", "one does not answer, one refuses: later");
	begin(2);
	tried(said("554 5.7.1 go away"), 0, false);
	tried(said("451 4.3.2 busy"), 0, false);
	is_told(CANDIDATES_LATER, "4.3.2", "b.test", "the other way round");
	begin(2);
	tried(said("451 4.3.2 busy"), 0, false);
	tried(said("554 5.7.1 go away"), 0, false);
	is_told(CANDIDATES_LATER, "4.3.2", "a.test", "one is busy, one refuses: later");
	begin(2);
	tried(ours(true), 0, false);
	tried(said("554 5.7.1 go away"), 0, false);
	is_told(CANDIDATES_OWN_FAULT, "4.4.1", "", "one was not asked: our own fault");
	begin(3);
	tried(ours(false), ECONNREFUSED, false);
	tried(said("450 4.1.8 no such sender"), 0, true);
	tried(ours(false), ECONNREFUSED, false);
	is_told(CANDIDATES_MESSAGE, "4.1.8", "b.test", "what is said of the message goes before");
	begin(1);
	tried(said("421 4.7.0 closing"), 0, true);
	is_told(CANDIDATES_LATER, "4.7.0", "a.test", "421 is not said of the message");
}

static void check_routes(void)
{
	candidates_clear(&all);
	add("a.test", 6);
	add("a.test", 4);
	candidates_arrange(&all, 0);
	tried(ours(false), ENETUNREACH, false);
	tried(said("554 5.7.1 go away"), 0, false);
	is_told(CANDIDATES_REFUSED, "5.7.1", "a.test",
	        "a host has answered for the address without a route");
	candidates_clear(&all);
	add("a.test", 6);
	add("b.test", 4);
	candidates_arrange(&all, 0);
	tried(said("554 5.7.1 go away"), 0, false);
	ok(candidates_next(&all) == NULL && all.rows[0].passed_over, "no route is remembered");
	is_told(CANDIDATES_LATER, "4.4.1", "", "not for another host, which has none");
	candidates_clear(&all);
	is_told(CANDIDATES_NONE, "4.4.4", "", "nobody to ask");
	candidates_trouble(&all, 0, "4.4.4", "no such hop");
	candidates_trouble(&all, 550, "5.4.6", "loop");
	is_told(CANDIDATES_LATER, "4.4.4", "", "a hop that is not found is not for good");
}

static void add_at(const char *host, int family, uint16_t preference)
{
	static struct dns_host one;

	memset(&one, 0, sizeof one);
	string_put(one.name, sizeof one.name, view_of(host));
	one.address_count = 1;
	one.addresses[0].family = (uint8_t)family;
	candidates_add(&all, &one, preference, 25);
}

static void stands(enum candidates_standing standing, const char *what)
{
	if (ok(candidates_next(&all) != NULL, "the next one"))
		ok(candidates_standing(&all, 0) == standing, "%s: %d", what,
		   (int)candidates_standing(&all, 0));
}

/* What a host says is worth what the better ones have left to it. */
static void check_standing(void)
{
	static const struct {
		const char *said; /* NULL: it was not reached */
		enum candidates_standing standing;
		const char *what;
	} rows[] = {
		{ NULL, CANDIDATES_WAITS, "the better one cannot be reached" },
		{ "554 5.7.1 no", CANDIDATES_DEPUTY, "it wants no mail of ours" },
		{ "451 4.3.2 busy", CANDIDATES_WAITS, "it is busy" },
		{ "421 4.3.2 closing", CANDIDATES_WAITS, "it closes" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		candidates_clear(&all);
		add_at("b.test", 4, 20);
		add_at("a.test", 4, 10);
		add_at("c.test", 4, 20);
		candidates_arrange(&all, 0);
		stands(CANDIDATES_FIRST, "the first");
		struct reply r = rows[i].said ? said(rows[i].said) : ours(false);

		candidates_tried(&all, 1, rows[i].said ? 0 : ECONNREFUSED, false, &r);
		stands(rows[i].standing, rows[i].what);
		ok(candidates_standing(&all, CANDIDATES_PATIENCE - 1) == rows[i].standing &&
		           candidates_standing(&all, CANDIDATES_PATIENCE) == CANDIDATES_DEPUTY,
		   "and not for ever");
		r = said("451 4.3.2 busy");
		candidates_tried(&all, 1, 0, false, &r);
		stands(rows[i].standing, "one of the same preference changes nothing");
	}
	candidates_clear(&all);
	add_at("a.test", 4, 10);
	candidates_missing(&all, 20);
	candidates_missing(&all, 30);
	candidates_arrange(&all, 0);
	stands(CANDIDATES_FIRST, "a worse one is not known");
	candidates_clear(&all);
	candidates_missing(&all, 5);
	candidates_missing(&all, 20);
	add_at("a.test", 4, 10);
	candidates_arrange(&all, 0);
	stands(CANDIDATES_WAITS, "a better one is not known");
	candidates_clear(&all);
	for (unsigned i = 0; i < CANDIDATES_SLOW_MAX; i++)
		add_at("a.test", 4, 10);
	add_at("b.test", 4, 20);
	candidates_arrange(&all, 1); /* more than fit: it does not begin at the front */
	tried(ours(false), ECONNREFUSED, false);
	while (strcmp(all.rows[all.at - 1].host, "b.test") != 0)
		tried(ours(false), ECONNREFUSED, false);
	ok(all.at < all.count && candidates_standing(&all, 1) == CANDIDATES_WAITS,
	   "better addresses have not been tried");
	candidates_clear(&all);
	add_at("a.test", 4, 10);
	add_at("b.test", 4, 20);
	candidates_arrange(&all, 0);
	tried(ours(true), 0, false);
	stands(CANDIDATES_WAITS, "the better one was not asked, for want of something of ours");
	candidates_clear(&all);
	add_at("a.test", 6, 10);
	add_at("b.test", 4, 20);
	candidates_arrange(&all, 0);
	stands(CANDIDATES_WAITS, "the family of the better one has no route, as was seen before");
	ok(candidates_standing(&all, CANDIDATES_PATIENCE) == CANDIDATES_DEPUTY, "and not for ever");
	candidates_clear(&all);
	add_at("a.test", 6, 10);
	add_at("a.test", 4, 10);
	add_at("b.test", 4, 20);
	candidates_arrange(&all, 0);
	tried(said("554 5.7.1 no"), 0, false);
	stands(CANDIDATES_DEPUTY, "a host has refused at the address that has a route");
	candidates_clear(&all);
	add_at("a.test", 4, 10);
	add_at("b.test", 4, 20);
	candidates_arrange(&all, 0);
	tried(ours(false), ENETUNREACH, false);
	stands(CANDIDATES_WAITS, "the better one has no route now");
}

static void check_order(void)
{
	static const char *const before[] = { "a.test", "a.test", "b.test", "a.test", "c.test" },
				 *const after[] = { "a.test", "b.test", "c.test", "a.test",
		                                    "a.test" };

	candidates_clear(&all);
	for (size_t i = 0; i < sizeof before / sizeof before[0]; i++)
		add_at(before[i], 4, (uint16_t)i);
	candidates_arrange(&all, 0);
	candidates_next(&all);
	candidates_put_last(&all, "a.test", 26);
	ok(strcmp(all.rows[1].host, "a.test") == 0, "at another port it is another host");
	candidates_put_last(&all, "a.test", 25);
	for (size_t i = 0; i < sizeof after / sizeof after[0]; i++)
		ok(strcmp(all.rows[i].host, after[i]) == 0 &&
		           (i < 4 || all.rows[i - 1].preference < all.rows[i].preference),
		   "%zu: %s", i, all.rows[i].host);
	candidates_clear(&all);
	candidates_put_last(&all, "a.test", 25);
	ok(candidates_next(&all) == NULL, "none stays none");
}

int main(void)
{
	check_refusals();
	check_routes();
	check_standing();
	check_order();
	return tap_done();
}
