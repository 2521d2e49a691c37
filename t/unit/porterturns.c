/* SPDX-License-Identifier: ISC */
/* Turns of porter's clients, with a clock of our own. */
#include "master/porter/turns.h"

#include <stdlib.h>

#include "lib/net/address.h"
#include "t/tap.h"

enum { CROWD = 500, MORE = 300 };

static struct turns turns;

static void set_owners(struct turn *turn, const char *text)
{
	struct net_address a;

	net_address_parse(view_of(text), &a);
	*turn = (struct turn){ 0 };
	net_address_owners(&a, &turn->owners);
}

static void set_numbered(struct turn *turn, const char *network, unsigned number)
{
	char text[NET_ADDRESS_TEXT_MAX];

	string_print(text, sizeof text, "%s%u", network, number % 250);
	set_owners(turn, text);
}

static unsigned claims(int64_t now_ms)
{
	unsigned n = 0;

	while (turns_claim(&turns, now_ms) != NULL)
		n++;
	return n;
}

/* All that were promised a place get it. */
static unsigned serve_promised(int64_t now_ms)
{
	unsigned n = 0;

	for (; turns.promised.count; n++)
		turns_serve(&turns, turns_next(&turns, 0), now_ms);
	return n;
}

static size_t held_by(const struct turn *one)
{
	return shares_weight(turns.yielding, &one->owners, 2);
}

static void leave_all(struct turn *all, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		turns_leave(&all[i]);
}

static void crowds(void)
{
	struct turn *crowd = calloc(CROWD, sizeof *crowd), *more = calloc(MORE, sizeof *more);
	struct turn honest, other;

	for (unsigned i = 0; i < CROWD; i++) {
		set_numbered(&crowd[i], "192.0.2.", i);
		turns_serve(&turns, &crowd[i], 0);
	}
	set_owners(&honest, "198.51.100.1");
	ok(turns_next(&turns, 0) == NULL && turns_claim(&turns, 0) == NULL,
	   "where nobody waits nobody gives way");
	turns_wait(&turns, &honest, 5000);
	ok(!turns_are_stuck(&turns, 0, 5000) &&
	           turns_are_stuck(&turns, 0, 5000 + TURNS_NO_WORKER_MS),
	   "who waits is stuck after a while");
	ok(turns_claim(&turns, 5000) == &crowd[0] && turns_claim(&turns, 5000) == NULL,
	   "the oldest of the crowd gives way, one for one");
	ok(turns_waiting(&turns) == 1 && turns_next(&turns, 0) == &honest,
	   "the next worker is its");
	ok(turns_claim_again(&turns, 5000 + TURNS_PROMISE_MS - 1) == NULL &&
	           turns_claim_again(&turns, 5000 + TURNS_PROMISE_MS) == &crowd[1] &&
	           turns_claim_again(&turns, 5000 + TURNS_PROMISE_MS) == NULL,
	   "another one, when that does not go");
	turns_serve(&turns, &honest, 8000);
	ok(turns_waiting(&turns) == 0 && !turns_are_stuck(&turns, 0, 20000), "served");
	for (unsigned i = 0; i < MORE; i++) {
		set_numbered(&more[i], "203.0.113.", i);
		turns_wait(&turns, &more[i], 9000);
	}
	unsigned given = claims(9000);

	ok(given == serve_promised(9000) && given == (CROWD - 2) / 2 && held_by(&crowd[9]) == given,
	   "a second crowd gets as much as the first one keeps, and no more (%u)", given);
	set_owners(&other, "198.51.101.1");
	turns_wait(&turns, &other, 9500);
	ok(claims(9500) == 1 && turns_next(&turns, 0) == &other && honest.holds && !honest.gone,
	   "another one alone gets a place from them");
	leave_all(crowd, CROWD);
	leave_all(more, MORE);
	turns_leave(&honest);
	turns_leave(&other);
	ok(turns_waiting(&turns) == 0 && shares_count(turns.yielding) == 0, "all have left");
	free(crowd);
	free(more);
}

static void progress(void)
{
	struct turn crowd[3], honest;

	for (unsigned i = 0; i < 3; i++) {
		set_numbered(&crowd[i], "2001:db8::", i);
		turns_serve(&turns, &crowd[i], 0);
	}
	turns_progress(&turns, &crowd[0], true, 0);
	set_owners(&honest, "2001:db9::1");
	turns_wait(&turns, &honest, 0);
	ok(turns_claim(&turns, 0) == &crowd[1], "what makes progress stays");
	turns_progress(&turns, &crowd[1], false, 0);
	ok(crowd[1].gone && shares_count(turns.yielding) == 2, "what has given way gives way once");
	turns_serve(&turns, &honest, 0);
	turns_progress(&turns, &honest, true, 0);
	turns_leave(&honest);
	leave_all(crowd, 3);
	turns_leave(&crowd[0]);
	ok(shares_count(turns.yielding) == 0, "all have left");
}

/* A promise goes on to a lighter network, without another one's giving way. */
static void promises(void)
{
	struct turn crowd[6], waits[2], light;

	for (unsigned i = 0; i < 6; i++) {
		set_numbered(&crowd[i], "192.0.2.", i);
		turns_serve(&turns, &crowd[i], 0);
		turns_progress(&turns, &crowd[i], i < 2, 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		set_numbered(&waits[i], "198.51.100.", i);
		turns_wait(&turns, &waits[i], 0);
	}
	ok(claims(0) == 2, "two places are promised");
	for (unsigned i = 0; i < 6; i++)
		turns_progress(&turns, &crowd[i], true, 0);
	set_owners(&light, "203.0.113.1");
	turns_wait(&turns, &light, 0);
	ok(claims(0) == 0 && light.holds && !waits[0].holds && turns_waiting(&turns) == 3,
	   "one of the promises goes on to a lighter network");
	ok(turns_next(&turns, 0) == &waits[1], "in the order of promises");
	leave_all(crowd, 6);
	leave_all(waits, 2);
	turns_leave(&light);
}

static void queue(void)
{
	struct turn heavy[3], light, third;

	for (unsigned i = 0; i < 3; i++) {
		set_numbered(&heavy[i], "192.0.2.", i);
		turns_wait(&turns, &heavy[i], 0);
	}
	set_owners(&light, "198.51.100.1");
	ok(turns_giving_way(&turns, &light) == &heavy[0] &&
	           turns_giving_way(&turns, &heavy[0]) == NULL,
	   "in a full queue the oldest of the heaviest gives way to one of another network");
	turns_wait(&turns, &light, 0);
	set_owners(&third, "198.51.100.2");
	turns_wait(&turns, &third, 0);
	ok(turns_next(&turns, 0) == &heavy[0], "first come");
	turns_serve(&turns, turns_next(&turns, 0), 0);
	ok(turns_next(&turns, 0) == &light, "then the other network");
	turns_serve(&turns, turns_next(&turns, 0), 0);
	ok(turns_next(&turns, 0) == &heavy[1], "and so on");
	leave_all(heavy, 3);
	turns_leave(&light);
	turns_leave(&third);
}

/* Of 500 places: 125 are the last; a network has enough with 63, a wide one with 126, and 7 are
 * little. */
static void last_places(void)
{
	enum { LAST = CROWD - CROWD / TURNS_LAST_PART };
	struct turn crowd[63], more[63], here, beside[8], light, far;

	for (unsigned i = 0; i < 63; i++) {
		set_numbered(&crowd[i], "192.0.2.", i);
		set_numbered(&more[i], "192.0.3.", i);
		if (i == 62) {
			set_owners(&here, "192.0.2.251");
			ok(turns_may(&turns, &here, LAST),
			   "a network that holds less than much has of the last places");
		}
		turns_serve(&turns, &crowd[i], 0);
	}
	ok(!turns_may(&turns, &here, LAST) && turns_may(&turns, &here, LAST - 1),
	   "one that holds much does not, unless there are more");
	for (unsigned i = 0; i < 8; i++)
		set_numbered(&beside[i], "192.0.4.", i);
	for (unsigned i = 0; i < 63; i++)
		turns_serve(&turns, &more[i], 0);
	for (unsigned i = 0; i < 7; i++)
		turns_serve(&turns, &beside[i], 0);
	ok(turns_may(&turns, &beside[7], LAST), "one beside them that holds little has");
	set_owners(&light, "192.0.4.251");
	turns_serve(&turns, &beside[7], 0);
	ok(!turns_may(&turns, &light, LAST),
	   "no more when it holds more and they hold much together");
	turns_wait(&turns, &here, 0);
	turns_wait(&turns, &light, 0);
	ok(turns_next(&turns, LAST) == NULL && turns_next(&turns, LAST - 1) != NULL,
	   "those that wait leave the last places to others");
	ok(turns_are_stuck(&turns, LAST, 0) && !turns_are_stuck(&turns, LAST - 1, 0),
	   "no worker comes for them then, however many there are");
	set_owners(&far, "198.51.100.1");
	turns_wait(&turns, &far, 0);
	ok(turns_next(&turns, LAST) == &far, "who come behind them");
	turns_leave(&far);
	for (unsigned i = 0; i < 63; i++)
		turns_progress(&turns, &crowd[i], true, 0);
	ok(turns_next(&turns, LAST) != NULL, "what makes progress does not weigh");
	turns_leave(&here);
	turns_leave(&light);
	leave_all(crowd, 63);
	leave_all(more, 63);
	leave_all(beside, 8);
}

static void expiry(void)
{
	struct turn old, younger;

	set_owners(&old, "192.0.2.1");
	set_owners(&younger, "198.51.100.1");
	turns_serve(&turns, &old, 0);
	turns_serve(&turns, &younger, 10);
	turns_progress(&turns, &old, true, 20);
	turns_progress(&turns, &old, false, 30);
	turns_progress(&turns, &old, false, 40);
	ok(turns_expired(&turns, 1009, 1000) == NULL &&
	           turns_expired(&turns, 1010, 1000) == &younger &&
	           turns_expired(&turns, 1029, 1000) == NULL &&
	           turns_expired(&turns, 1030, 1000) == &old && old.gone,
	   "who makes no progress for long gives its place, counted from when it began to stand still");
	turns_leave(&old);
	turns_leave(&younger);
}

/* One session from each of many networks, all silent. */
static void many_networks(void)
{
	struct turn *bots = calloc(CROWD, sizeof *bots), *more = calloc(CROWD + 1, sizeof *more);
	struct turn honest, near, known;
	char text[NET_ADDRESS_TEXT_MAX];

	for (unsigned i = 0; i < CROWD; i++) {
		string_print(text, sizeof text, "%u.%u.1.1", 20 + i / 250, i % 250);
		set_owners(&bots[i], text);
		turns_serve(&turns, &bots[i], i);
	}
	turns_progress(&turns, &bots[0], true, CROWD);
	set_owners(&near, "20.1.1.9");
	turns_wait(&turns, &near, CROWD);
	ok(turns_claim(&turns, TURNS_STILL_MS + CROWD) == NULL,
	   "among equals a second one of a network takes no place of another");
	turns_leave(&near);
	set_owners(&honest, "198.51.100.1");
	turns_wait(&turns, &honest, CROWD);
	ok(turns_claim(&turns, TURNS_STILL_MS) == NULL &&
	           turns_claim(&turns, TURNS_STILL_MS + 1) == &bots[1] &&
	           turns_claim(&turns, TURNS_STILL_MS + CROWD) == NULL,
	   "the one that has been silent for longest gives its place, one for one");
	ok(turns_next(&turns, CROWD) == &honest, "to whom it is promised");
	turns_serve(&turns, &honest, TURNS_STILL_MS);
	set_owners(&known, "198.51.101.1");
	known.known = true;
	for (unsigned i = 0; i <= CROWD; i++) {
		string_print(text, sizeof text, "%u.%u.1.1", 30 + i / 250, i % 250);
		set_owners(&more[i], text);
		turns_wait(&turns, &more[i], TURNS_STILL_MS);
	}
	ok(turns_claim(&turns, TURNS_STILL_CROWDED_MS + 1) == NULL &&
	           turns_claim(&turns, TURNS_STILL_CROWDED_MS + 2) == &bots[2],
	   "sooner where more wait than there are places");
	turns_wait(&turns, &known, TURNS_STILL_MS);
	ok(turns_claim(&turns, TURNS_STILL_KNOWN_MS + 2) == NULL &&
	           turns_claim(&turns, TURNS_STILL_KNOWN_MS + 3) == &bots[3] &&
	           turns_next(&turns, CROWD) == &known,
	   "soonest to one from whose network somebody has logged in, which is the next");
	turns_leave(&known);
	leave_all(bots, CROWD);
	leave_all(more, CROWD + 1);
	turns_leave(&honest);
	free(bots);
	free(more);
}

/* Known ones have every other turn, however many others wait. */
static void known_ones(void)
{
	struct turn strangers[4], known[2];
	unsigned order = 0;

	for (unsigned i = 0; i < 4; i++) {
		set_numbered(&strangers[i], "192.0.2.", i);
		turns_wait(&turns, &strangers[i], 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		set_numbered(&known[i], "198.51.100.", i);
		known[i].known = true;
		turns_wait(&turns, &known[i], 0);
	}
	ok(turns_waiting(&turns) == 6, "known ones are counted among those that wait");
	for (unsigned i = 0; i < 6; i++) {
		struct turn *next = turns_next(&turns, 0);

		order = order * 2 + next->known;
		turns_serve(&turns, next, 0);
	}
	ok(order == 0x28 || order == 0x14, "they have every other turn (%x)", order);
	leave_all(strangers, 4);
	leave_all(known, 2);
}

int main(void)
{
	turns_start(&turns, CROWD);
	crowds();
	progress();
	promises();
	queue();
	expiry();
	many_networks();
	known_ones();
	last_places();
	return tap_done();
}
