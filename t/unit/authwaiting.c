/* SPDX-License-Identifier: ISC */
/* Passwords that wait: against a plain model of turns and weights, and under crowds; and who is
 * known. */
#include "master/authd/waiting.h"

#include <stdlib.h>

#include "lib/base/log.h"
#include "master/authd/known.h"
#include "t/tap.h"

enum { THINGS = 60, MOST = 24, STEPS = 20000, SPACE = 100000, CROWD = 256 };

static struct waiting waiting;
static uint64_t now;

static uint32_t noise(void)
{
	static uint32_t state = 4711;

	state = state * 1664525 + 1013904223;
	return state >> 8;
}

static struct net_address address(const char *text)
{
	struct net_address a;

	net_address_parse(view_of(text), &a);
	return a;
}

/* ---- the model: a member is a row, an owner a number ---- */

enum { BY_NETWORK, BY_ACCOUNT, WAYS };
static const unsigned levels_of[WAYS] = { 4, 2 };

struct thing {
	struct waiter waiter;
	enum trust trust;
	unsigned network, account; /* the network in base 3: wide, network, site */
	uint64_t came;
	bool waits;
};

static struct thing things[THINGS];
/* When an owner began to wait for its turn, and since when it has had members. */
static uint64_t turn[WAYS][4][SPACE], since[WAYS][4][SPACE];

static unsigned owner_of(const struct thing *t, unsigned way, unsigned level)
{
	static const unsigned parts[] = { 27, 9, 3, 1 };
	unsigned whole = t->trust * 27 + t->network;

	if (way == BY_NETWORK)
		return whole / parts[level];
	return level == 0 ? t->trust : t->trust * 10 + t->account;
}

static unsigned weigh(unsigned way, unsigned level, unsigned owner)
{
	unsigned n = 0;

	for (unsigned i = 0; i < THINGS; i++)
		n += things[i].waits && owner_of(&things[i], way, level) == owner;
	return n;
}

static bool is_before(unsigned way, unsigned level, unsigned a, unsigned b, bool by_weight)
{
	unsigned of_a = weigh(way, level, a), of_b = weigh(way, level, b);

	if (!by_weight)
		return turn[way][level][a] < turn[way][level][b];
	return of_a > of_b || (of_a == of_b && since[way][level][a] < since[way][level][b]);
}

/* Of those that share the owner of `in` above `level` (NULL: all), down to one. */
static struct thing *search(unsigned way, unsigned level, const struct thing *in, bool by_weight)
{
	for (; level < levels_of[way]; level++) {
		struct thing *best = NULL;

		for (struct thing *t = things; t < things + THINGS; t++) {
			if (!t->waits ||
			    (in != NULL && level > 0 &&
			     owner_of(t, way, level - 1) != owner_of(in, way, level - 1)))
				continue;
			if (best == NULL ||
			    is_before(way, level, owner_of(t, way, level),
			              owner_of(best, way, level), by_weight) ||
			    (owner_of(t, way, level) == owner_of(best, way, level) &&
			     t->came < best->came))
				best = t;
		}
		in = best;
		if (best == NULL)
			return NULL;
	}
	return (struct thing *)in;
}

static struct thing *search_heavier(unsigned way, const struct thing *to)
{
	for (unsigned level = 0; level < levels_of[way]; level++) {
		struct thing *all = level == 0 ? NULL : (struct thing *)to;
		struct thing *best = search(way, level, all, true);

		if (best == NULL)
			return NULL;
		if (weigh(way, level, owner_of(best, way, level)) >
		    weigh(way, level, owner_of(to, way, level)) + 1)
			return best;
	}
	return NULL;
}

static struct thing *search_giving_way(const struct thing *to)
{
	struct thing *n = search_heavier(BY_NETWORK, to), *a = search_heavier(BY_ACCOUNT, to);

	if (n == NULL || a == NULL)
		return n != NULL ? n : a;
	return weigh(BY_ACCOUNT, 1, owner_of(a, BY_ACCOUNT, 1)) >
	                       weigh(BY_NETWORK, 2, owner_of(n, BY_NETWORK, 2))
	               ? a
	               : n;
}

static unsigned count(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < THINGS; i++)
		n += things[i].waits;
	return n;
}

static struct thing *thing_of(struct waiter *w)
{
	return list_owner_or_null(w, struct thing, waiter);
}

static void begin_turns(const struct thing *t)
{
	for (unsigned way = 0; way < WAYS; way++)
		for (unsigned level = 0; level < levels_of[way]; level++) {
			unsigned o = owner_of(t, way, level);

			if (weigh(way, level, o) == 0)
				turn[way][level][o] = since[way][level][o] = now;
		}
}

/* One more, as the model has it; false: the program did something else. */
static bool add(struct thing *t)
{
	char text[NET_ADDRESS_TEXT_MAX], account[8];
	struct thing *out = NULL;

	*t = (struct thing){ .trust = noise() % 3,
		             .network = noise() % (noise() % 2 ? 27 : 3),
		             .account = noise() % (noise() % 2 ? 10 : 2) };
	t->came = ++now;
	if (count() == MOST) {
		out = search_giving_way(t);
		if (out == NULL)
			out = t;
		out->waits = false;
	}
	if (out != t) {
		begin_turns(t);
		t->waits = true;
	}
	string_print(text, sizeof text, "2001:db%u:%u:%u::1", t->network / 9, t->network / 3 % 3,
	             t->network % 3);
	string_print(account, sizeof account, "a%u", t->account);
	struct net_address client = address(text);

	return thing_of(waiting_add(&waiting, &t->waiter, t->trust, &client, account)) == out &&
	       waiting_has(&t->waiter) == t->waits;
}

static bool serve(void)
{
	static unsigned ways[TRUSTS];
	struct thing *want = search(BY_NETWORK, 0, NULL, false);

	if (want != NULL && ways[want->trust] == BY_ACCOUNT)
		want = search(BY_ACCOUNT, 0, NULL, false);
	struct waiter *got = waiting_next(&waiting);

	if (want == NULL || thing_of(got) != want)
		return want == NULL && got == NULL;
	now++;
	for (unsigned w = 0; w < WAYS; w++)
		for (unsigned level = 0; level < levels_of[w]; level++)
			turn[w][level][owner_of(want, w, level)] = now;
	waiting_served(&waiting, got);
	want->waits = false;
	ways[want->trust] = !ways[want->trust];
	return true;
}

static void leave(struct thing *t)
{
	waiting_leave(&t->waiter);
	t->waits = false;
}

static void compare(void)
{
	unsigned wrong = 0, full = 0;

	waiting_start(&waiting, MOST);
	for (unsigned i = 0; i < STEPS; i++) {
		struct thing *t = &things[noise() % THINGS];
		bool fills = i / 500 % 2;

		full += count() == MOST;
		if (noise() % 8 >= (fills ? 7 : 3))
			wrong += !serve();
		else if (!t->waits)
			wrong += !add(t);
		else if (noise() % 8 == 0)
			leave(t);
	}
	ok(wrong == 0 && full > STEPS / 10,
	   "turns and giving way are what a search through all finds (%u)", wrong);
	while (wrong == 0 && waiting_next(&waiting) != NULL)
		wrong += !serve();
	ok(wrong == 0 && count() == 0, "to the last");
	waiting_free(&waiting);
}

/* ---- crowds ---- */

static struct waiter crowd[CROWD], honest;

/* After how many others has the honest one its turn? */
static unsigned turns_before(void)
{
	unsigned turns = 0;

	for (struct waiter *w; (w = waiting_next(&waiting)) != &honest && w != NULL; turns++)
		waiting_served(&waiting, w);
	waiting_free(&waiting);
	return turns;
}

static bool come(struct waiter *w, enum trust trust, const char *from, const char *account)
{
	struct net_address client = address(from);

	*w = (struct waiter){ 0 };
	struct waiter *out = waiting_add(&waiting, w, trust, &client, account);

	return out != w && out != &honest;
}

/* Guesses from one network or, with '#', from one each; at an account each or, with '=', at one. */
static void add_crowd(enum trust trust, const char *from, const char *account)
{
	for (unsigned i = 0; i < CROWD; i++) {
		char client[64], name[64];

		string_print(client, sizeof client, "%s", from);
		if (strchr(from, '#'))
			string_print(client, sizeof client, "10.%u.0.1", i);
		string_print(name, sizeof name, "%s%u", account, i);
		if (*account == '=')
			string_print(name, sizeof name, "target");
		come(&crowd[i], trust, client, name);
	}
}

/* That fill all places. */
static void crowds(enum trust trust, const char *from, const char *account)
{
	waiting_start(&waiting, CROWD);
	add_crowd(trust, from, account);
}

static void test_crowds(void)
{
	crowds(TRUST_DOUBTFUL, "2001:db8:1:2::1", "u");
	ok(come(&honest, TRUST_DOUBTFUL, "198.51.100.1", "u1") && turns_before() <= 2,
	   "among guesses from one network at many accounts another network is soon served");
	crowds(TRUST_DOUBTFUL, "2001:db8:1:2::1", "u");
	ok(come(&honest, TRUST_DOUBTFUL, "2001:db8:1:3::1", "u1") && turns_before() <= 4,
	   "and another site of the same network");
	crowds(TRUST_DOUBTFUL, "#", "=");
	ok(come(&honest, TRUST_DOUBTFUL, "198.51.100.1", "anna") && turns_before() <= 4,
	   "among guesses from many networks at one account another account");
	crowds(TRUST_DOUBTFUL, "#", "u");
	ok(!come(&honest, TRUST_DOUBTFUL, "198.51.100.1", "anna"),
	   "where all guess at everything one more that is like them is one too many");
	ok(come(&honest, TRUST_CLEAN, "198.51.100.1", "anna") && turns_before() <= 2,
	   "but not one without failures");
	crowds(TRUST_CLEAN, "#", "u");
	ok(come(&honest, TRUST_FAMILIAR, "198.51.100.1", "anna") && turns_before() <= 2,
	   "nor an account from where it has been before, when the others have no failures either");
	crowds(TRUST_FAMILIAR, "#", "=");
	ok(come(&honest, TRUST_FAMILIAR, "198.51.100.1", "anna") && turns_before() <= 4,
	   "nor is it kept waiting by one account that has been everywhere");
	crowds(TRUST_FAMILIAR, "#", "u");
	ok(come(&honest, TRUST_DOUBTFUL, "198.51.100.1", "anna") && turns_before() <= 2,
	   "and those that are not trusted have their turns too");
}

/* Guesses and an honest one of the same trust, and half as many of another one that come before or
 * behind all of them. */
static unsigned beside_another_trust(const char *from, const char *account, bool before)
{
	static struct waiter others[CROWD / 2];
	char client[64];
	bool in = true;

	waiting_start(&waiting, 2 * CROWD);
	for (unsigned i = 0; before && i < CROWD / 2; i++) {
		string_print(client, sizeof client, "11.%u.0.1", i);
		come(&others[i], TRUST_FAMILIAR, client, "other");
	}
	add_crowd(TRUST_DOUBTFUL, from, account);
	in = come(&honest, TRUST_DOUBTFUL, "198.51.100.1", "anna");
	for (unsigned i = 0; !before && i < CROWD / 2; i++) {
		string_print(client, sizeof client, "11.%u.0.1", i);
		come(&others[i], TRUST_FAMILIAR, client, "other");
	}
	return in ? turns_before() : CROWD;
}

static void test_other_trusts(void)
{
	for (int before = 0; before < 2; before++) {
		unsigned network = beside_another_trust("2001:db8:1:2::1", "u", before),
			 account = beside_another_trust("#", "=", before);

		ok(network <= 6 && account <= 6,
		   "beside one other trust turns go by networks and by accounts all the same "
		   "(%u, %u)",
		   network, account);
	}
}

/* ---- who is known ---- */

static const int64_t day_ms = 86400 * 1000;

static enum trust trust_of(const struct recent *k, const char *from, const char *account,
                           unsigned of_network, unsigned of_account, int64_t now_ms)
{
	struct net_address client = address(from);
	struct delay_failures failures = { of_network, of_account };

	return known_trust(k, &client, view_of(account), &failures, now_ms);
}

static void test_known(void)
{
	struct recent *k = known_new(1024, NULL);
	struct net_address home = address("192.0.2.1");

	ok(trust_of(k, "192.0.2.1", "a@b", 0, 0, 0) == TRUST_CLEAN &&
	           trust_of(k, "192.0.2.1", "a@b", 1, 0, 0) == TRUST_DOUBTFUL &&
	           trust_of(k, "192.0.2.1", "a@b", 0, 1, 0) == TRUST_DOUBTFUL,
	   "a stranger is trusted until something fails");
	known_add(k, &home, VIEW("a@b"), 0);
	ok(trust_of(k, "192.0.2.9", "a@b", 64, 64, 1) == TRUST_FAMILIAR,
	   "an account is familiar in its network, whatever fails there");
	ok(trust_of(k, "192.0.2.9", "c@d", KNOWN_FREE_FAILURES, 9, 1) == TRUST_CLEAN &&
	           trust_of(k, "192.0.2.9", "c@d", KNOWN_FREE_FAILURES + 1, 0, 1) == TRUST_DOUBTFUL,
	   "others are there in spite of a few failures");
	ok(trust_of(k, "192.0.3.1", "a@b", 0, 1, 1) == TRUST_DOUBTFUL, "it is not elsewhere");
	ok(trust_of(k, "192.0.2.1", "a@b", 1, 1, KNOWN_DAYS * day_ms) == TRUST_DOUBTFUL,
	   "nor after a month");
	for (unsigned i = 0; i < 100000; i++) {
		char name[32];

		string_print(name, sizeof name, "u%u@b", i);
		known_add(k, &home, view_of(name), 2);
	}
	ok(trust_of(k, "192.0.2.1", "u99999@b", 9, 9, 3) == TRUST_FAMILIAR,
	   "of too many the last ones are remembered");
	recent_free(&k);
	ok(k == NULL, "freed");
}

static void test_kept(void)
{
	void *kept = memory_get(recent_bytes(64));
	struct net_address home = address("192.0.2.1");
	struct recent *k = known_new(64, kept);

	known_add(k, &home, VIEW("a@b"), 100 * day_ms);
	recent_free(&k);
	k = known_new(64, kept);
	ok(trust_of(k, "192.0.2.1", "a@b", 9, 9, 100 * day_ms) == TRUST_FAMILIAR,
	   "what was left to it goes on");
	ok(trust_of(k, "192.0.2.1", "a@b", 9, 9, 0) == TRUST_DOUBTFUL,
	   "but no time that cannot be");
	recent_free(&k);
	free(kept);
}

static void test_failures(void)
{
	struct delay *d = delay_new(64, 2000, NULL);
	struct net_address one = address("2001:db8:1:2::1"), near = address("2001:db8:1:3::1"),
			   far = address("2001:db8:2:2::1");

	delay_failed(d, &one, VIEW("a@b"), 0);
	struct delay_failures there = delay_failures(d, &near, VIEW("c@d"), 0),
			      elsewhere = delay_failures(d, &far, VIEW("a@b"), 0),
			      later = delay_failures(d, &one, VIEW("a@b"), DELAY_HALF_LIFE_MS);

	ok(there.network == 1 && there.account == 0, "failures: of the network around");
	ok(elsewhere.network == 0 && elsewhere.account == 1, "failures: of the account");
	ok(later.network == 0 && later.account == 0, "failures: forgotten with time");
	delay_free(&d);
}

int main(void)
{
	compare();
	test_crowds();
	test_other_trusts();
	test_known();
	test_kept();
	test_failures();
	return tap_done();
}
