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

/* A network of its own for each number. */
static void set_network(struct turn *turn, unsigned first, unsigned number)
{
	char text[NET_ADDRESS_TEXT_MAX];

	string_print(text, sizeof text, "%u.%u.1.1", first + number / 250, number % 250);
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
	           turns_expired(&turns, 1039, 1000) == NULL &&
	           turns_expired(&turns, 1040, 1000) == &old && old.gone,
	   "who makes no progress, and is silent for long, gives its place");
	turns_leave(&old);
	turns_leave(&younger);
}

/* One session from each of many networks, all silent. */
static void many_networks(void)
{
	struct turn *bots = calloc(CROWD, sizeof *bots);
	struct turn honest, near, known;

	for (unsigned i = 0; i < CROWD; i++) {
		set_network(&bots[i], 20, i);
		turns_serve(&turns, &bots[i], i);
	}
	turns_progress(&turns, &bots[0], true, CROWD);
	set_owners(&near, "20.1.1.9");
	turns_wait(&turns, &near, CROWD);
	ok(turns_claim(&turns, TURNS_SILENT_MS + CROWD) == NULL,
	   "among equals a second one of a network takes no place of another");
	turns_leave(&near);
	set_owners(&honest, "198.51.100.1");
	turns_wait(&turns, &honest, CROWD);
	turns_progress(&turns, &bots[1], false, CROWD);
	turns_busy(&bots[2], CROWD);
	set_owners(&known, "198.51.101.1");
	known.known = true;
	turns_wait(&turns, &known, CROWD);
	ok(turns_claim(&turns, TURNS_SILENT_MS + 2) == NULL &&
	           turns_claim(&turns, TURNS_SILENT_MS + 3) == &bots[3] &&
	           turns_claim(&turns, TURNS_SILENT_MS + 3) == NULL,
	   "the one that has been silent for longest, and for whom nobody works, gives its place");
	turns_progress(&turns, &bots[2], false, CROWD);
	leave_all(bots + 4, CROWD - 4);
	ok(turns_claim(&turns, TURNS_SILENT_MS + CROWD - 1) == NULL &&
	           turns_claim(&turns, TURNS_SILENT_MS + CROWD) == &bots[1] &&
	           turns_claim(&turns, TURNS_SILENT_MS + CROWD) == NULL,
	   "who has spoken is silent from then on, one for one");
	leave_all(bots, 4);
	turns_leave(&honest);
	turns_leave(&known);
	free(bots);
}

static void words(void)
{
	struct turn talker, honest;
	int64_t last_ms = TURNS_WORDS_MS - 1;

	set_owners(&talker, "192.0.2.1");
	turns_serve(&turns, &talker, 0);
	turns_progress(&turns, &talker, false, last_ms);
	turns_progress(&turns, &talker, false, TURNS_WORDS_MS);
	set_owners(&honest, "198.51.100.1");
	turns_wait(&turns, &honest, TURNS_WORDS_MS);
	ok(turns_claim(&turns, last_ms + TURNS_SILENT_MS - 1) == NULL &&
	           turns_claim(&turns, last_ms + TURNS_SILENT_MS) == &talker,
	   "who goes on talking without progress is silent at last");
	turns_leave(&talker);
	turns_leave(&honest);
	set_owners(&honest, "198.51.100.1");
	turns_wait(&turns, &honest, 0);
	set_owners(&talker, "192.0.2.1");
	turns_serve(&turns, &talker, 0);
	for (int64_t now_ms = 1000; now_ms < 5 * 30000; now_ms += 30000) {
		turns_busy(&talker, now_ms);
		turns_progress(&turns, &talker, false, now_ms + 30000);
	}
	ok(turns_claim(&turns, 5 * 30000) == &talker,
	   "and so is who goes on waiting for what fails");
	turns_leave(&talker);
	turns_leave(&honest);
}

/* ---- a house in which time goes by ---- */

enum { BOTS = 3000, CLIENTS = BOTS + 2 * CROWD, TICK_MS = 100, AGAIN_MS = 1000, WAIT_MS = 30000 };

struct client {
	struct turn turn; /* the first */
	bool bot, known, waits, served, done;
	unsigned number;
	int64_t at_ms; /* comes, waits, or has its place since then */
	int64_t spoke_ms;
};

/* What one has to do, and what became of them. */
static struct house {
	struct client clients[CLIENTS];
	unsigned count;
	size_t held;
	int64_t login_ms,
		word_ms; /* a login takes so long, with a word each so often; 0: without */
	bool is_busy;    /* and it is we who work */
	unsigned done, cut, refused;
	int64_t longest_ms; /* until a place, of those that are known */
} house;

static void come_later(struct client *c, int64_t now_ms)
{
	turns_leave(&c->turn);
	house.held -= c->served;
	c->waits = c->served = false;
	c->at_ms = now_ms + (c->bot ? TICK_MS : 5000);
}

static void come_now(struct client *c, int64_t now_ms)
{
	set_network(&c->turn, 20, c->number);
	c->turn.known = c->known;
	c->waits = true;
	c->at_ms = now_ms;
	turns_wait(&turns, &c->turn, now_ms);
}

static void log_in(struct client *c, int64_t now_ms)
{
	if (house.word_ms && now_ms - c->spoke_ms >= house.word_ms) {
		c->spoke_ms = now_ms;
		turns_progress(&turns, &c->turn, false, now_ms);
	}
	if (now_ms - c->at_ms < house.login_ms)
		return;
	come_later(c, now_ms);
	c->done = true;
	house.done++;
}

static void act(struct client *c, int64_t now_ms)
{
	if (c->served) {
		if (!c->bot)
			log_in(c, now_ms);
	} else if (c->waits && now_ms - c->at_ms >= WAIT_MS) {
		house.refused += !c->bot;
		come_later(c, now_ms);
	} else if (!c->waits && !c->done && now_ms >= c->at_ms) {
		come_now(c, now_ms);
	}
}

static void serve(int64_t now_ms)
{
	struct turn *turn;

	while (house.held < CROWD && (turn = turns_next(&turns, house.held)) != NULL) {
		struct client *c = (struct client *)turn;

		turns_serve(&turns, turn, now_ms);
		if (house.is_busy && !c->bot)
			turns_busy(turn, now_ms);
		if (c->known && now_ms - c->at_ms > house.longest_ms)
			house.longest_ms = now_ms - c->at_ms;
		c->waits = false;
		c->served = true;
		c->at_ms = c->spoke_ms = now_ms;
		house.held++;
	}
}

static void claim(int64_t now_ms)
{
	struct turn *turn;

	while (house.held == CROWD && (turn = turns_claim(&turns, now_ms)) != NULL) {
		struct client *c = (struct client *)turn;

		house.cut += !c->bot;
		come_later(c, now_ms);
		serve(now_ms);
	}
}

/* Every other of the honest ones is known where they are to be. */
static void live(unsigned bots, unsigned honest, unsigned known_of, int64_t until_ms)
{
	for (unsigned i = 0; i < bots + honest; i++) {
		bool bot = i < bots;

		house.clients[i] = (struct client){ .bot = bot,
			                            .known = !bot && i % 4 < known_of,
			                            .number = i,
			                            .at_ms = bot ? i % 1000 : 1000 + i * 7 % 1000 };
	}
	house.count = bots + honest;
	house.done = house.cut = house.refused = 0;
	house.longest_ms = 0;
	for (int64_t now_ms = 0; now_ms < until_ms; now_ms += TICK_MS) {
		for (unsigned i = 0; i < house.count; i++)
			act(&house.clients[i], now_ms);
		serve(now_ms);
		if (now_ms % AGAIN_MS == 0)
			claim(now_ms);
	}
	for (unsigned i = 0; i < house.count; i++)
		turns_leave(&house.clients[i].turn);
	house.held = 0;
}

/* All have logged in, and nobody had to give way. */
static void all_well(unsigned honest, const char *what)
{
	ok(house.done == honest && house.cut == 0,
	   "%s (%u of %u logged in, %u gave way, %u were refused, known ones waited %lld ms)", what,
	   house.done, honest, house.cut, house.refused, (long long)house.longest_ms);
}

static void time_goes_by(void)
{
	for (unsigned known_of = 0; known_of <= 4; known_of += 2) {
		house.login_ms = 5000;
		live(0, 2 * CROWD, known_of, 60000);
		all_well(2 * CROWD,
		         "twice as many as there are places do not throw out each other");
	}
	house.login_ms = 20000;
	house.word_ms = 3000;
	live(0, 2 * CROWD, 2, 60000);
	all_well(2 * CROWD, "nor slow ones who speak");
	house.word_ms = 0;
	house.is_busy = true;
	live(0, 2 * CROWD, 2, 60000);
	all_well(2 * CROWD, "nor those who wait for us");
	house.is_busy = false;
	house.login_ms = 5000;
	live(BOTS, 100, 4, 60000);
	all_well(100,
	         "beside silent ones of many networks those from known networks have their turns");
	live(BOTS, 100, 0, 120000);
	all_well(100, "and from others, later");
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

/* Nor do they have all turns when all places are taken, nor all of the queue. */
static void strangers(void)
{
	struct turn *old = calloc(CROWD, sizeof *old), *known = calloc(CROWD, sizeof *known);
	struct turn stranger, newcomer;
	unsigned before = 0;

	for (unsigned i = 0; i < CROWD; i++) {
		set_network(&old[i], 20, i);
		turns_serve(&turns, &old[i], 0);
		set_network(&known[i], 30, i / 2);
		known[i].known = true;
		turns_wait(&turns, &known[i], 0);
	}
	set_network(&newcomer, 40, 0);
	newcomer.known = true;
	ok(turns_giving_way(&turns, &newcomer) == &known[0],
	   "in a full queue a known one of a network with more gives way to another known one");
	set_owners(&stranger, "198.51.100.1");
	ok(turns_giving_way(&turns, &stranger) == &known[0], "and to a stranger");
	turns_wait(&turns, &stranger, 0);
	while (!stranger.holds && turns_claim(&turns, TURNS_SILENT_MS) != NULL)
		before++;
	ok(stranger.holds && before <= 2, "a stranger is promised a place before many known ones");
	leave_all(old, CROWD);
	leave_all(known, CROWD);
	turns_leave(&stranger);
	free(old);
	free(known);
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
	words();
	known_ones();
	strangers();
	time_goes_by();
	last_places();
	return tap_done();
}
