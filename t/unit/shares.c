/* SPDX-License-Identifier: ISC */
/* Shares against a search through all members, and with a crowd. */
#include "lib/base/shares.h"

#include <stdlib.h>

#include "t/tap.h"

enum {
	WIDTH = 4,
	PLACES = WIDTH * WIDTH * WIDTH * WIDTH,
	THINGS = 200,
	STEPS = 60000,
	CROWD = 100000,
	CROWDS = 4,
	NETWORK_LEVELS = 3
};

struct thing {
	unsigned site; /* 0 to PLACES - 1: two bits a level */
	uint64_t came;
	struct share share;
};

static struct thing things[THINGS];
/* When an owner began to wait for its turn, by level and by the bits of its sites that are its own.
 */
static uint64_t waits[SHARES_LEVELS][PLACES];
static uint64_t now;
static struct shares *shares;

static uint32_t noise(void)
{
	static uint32_t state = 12345;

	state = state * 1664525 + 1013904223;
	return state >> 8;
}

static unsigned owner_of(unsigned site, unsigned level)
{
	return site >> 2 * (SHARES_LEVELS - 1 - level);
}

static struct share_path path_of(unsigned site)
{
	struct share_path path = { 0 };

	for (unsigned level = 0; level < SHARES_LEVELS; level++) {
		uint8_t key = owner_of(site, level) % WIDTH;

		/* The same bytes in different owners, and one that is the beginning of another. */
		share_path_add(&path, "\0\0\0", key);
	}
	return path;
}

static unsigned weigh(unsigned owner, unsigned level)
{
	unsigned n = 0;

	for (unsigned i = 0; i < THINGS; i++)
		n += things[i].share.owner != NULL && owner_of(things[i].site, level) == owner;
	return n;
}

static struct thing *oldest(unsigned site)
{
	struct thing *found = NULL;

	for (unsigned i = 0; i < THINGS; i++)
		if (things[i].share.owner != NULL && things[i].site == site &&
		    (found == NULL || things[i].came < found->came))
			found = &things[i];
	return found;
}

/* How long an owner has had members: its place among equally heavy ones. */
static uint64_t begun[SHARES_LEVELS][PLACES];

static bool goes_first(bool by_weight, unsigned a, unsigned b, unsigned level)
{
	unsigned of_a = weigh(a, level), of_b = weigh(b, level);

	if (!by_weight)
		return waits[level][a] < waits[level][b];
	return of_a > of_b || (of_a == of_b && begun[level][a] < begun[level][b]);
}

/* Down the levels from this one, in an owner around it, by weight or by turn. */
static struct thing *search_in(bool by_weight, unsigned owner, unsigned level)
{
	for (; level < SHARES_LEVELS; level++) {
		unsigned best = PLACES, in = owner * WIDTH;

		for (unsigned o = in; o < in + WIDTH; o++)
			if (weigh(o, level) &&
			    (best == PLACES || goes_first(by_weight, o, best, level)))
				best = o;
		if (best == PLACES)
			return NULL;
		owner = best;
	}
	return oldest(owner);
}

static struct thing *search(bool by_weight)
{
	return search_in(by_weight, 0, 0);
}

/* In the widest of the newcomer's owners where another one beside it has more than it would have.
 */
static struct thing *search_giving_way(unsigned to)
{
	for (unsigned level = 0; level < SHARES_LEVELS; level++) {
		unsigned ours = owner_of(to, level), in = ours / WIDTH * WIDTH, best = PLACES;

		for (unsigned o = in; o < in + WIDTH; o++)
			if (o != ours && weigh(ours, level) + 1 < weigh(o, level) &&
			    (best == PLACES || goes_first(true, o, best, level)))
				best = o;
		if (best != PLACES)
			return search_in(true, best, level + 1);
	}
	return NULL;
}

static size_t count_owners(void)
{
	size_t n = 0;

	for (unsigned level = 0; level < SHARES_LEVELS; level++)
		for (unsigned o = 0; o < 1u << 2 * (level + 1); o++)
			n += weigh(o, level) > 0;
	return n;
}

static bool is(const struct share *got, const struct thing *want)
{
	return got == (want != NULL ? &want->share : NULL);
}

static void add(struct thing *t)
{
	struct share_path path;

	if (t->share.owner == NULL) {
		t->site = noise() % (noise() % 2 ? PLACES : WIDTH); /* some are heavy */
		t->came = ++now;
		for (unsigned level = 0; level < SHARES_LEVELS; level++)
			if (weigh(owner_of(t->site, level), level) == 0)
				waits[level][owner_of(t->site, level)] =
					begun[level][owner_of(t->site, level)] = now;
	}
	path = path_of(t->site);
	shares_add(shares, &path, &t->share);
}

static void serve(void)
{
	struct share *share = shares_next(shares);

	if (share == NULL)
		return;
	struct thing *t = list_owner(share, struct thing, share);

	now++;
	for (unsigned level = 0; level < SHARES_LEVELS; level++)
		waits[level][owner_of(t->site, level)] = now;
	if (noise() % 4)
		shares_served(share);
	else
		shares_passed(share);
}

/* The first of the heaviest goes, and comes back: only the turns of owners that have nobody else
 * are other ones. */
static void put_back(void)
{
	struct share *share = shares_oldest_of_heaviest(shares);

	if (share == NULL)
		return;
	struct thing *t = list_owner(share, struct thing, share);
	struct share_path path = path_of(t->site);
	uint64_t came = share->came;

	shares_remove(share);
	now++;
	for (unsigned level = 0; level < SHARES_LEVELS; level++)
		if (weigh(owner_of(t->site, level), level) == 0) {
			waits[level][owner_of(t->site, level)] = now;
			begun[level][owner_of(t->site, level)] = t->came;
		}
	shares_put_back(shares, &path, share, came);
}

static bool is_right(void)
{
	unsigned to = noise() % PLACES, level = noise() % SHARES_LEVELS;
	struct share_path path = path_of(to);

	return is(shares_next(shares), search(false)) &&
	       is(shares_oldest_of_heaviest(shares), search(true)) &&
	       is(shares_giving_way(shares, &path), search_giving_way(to)) &&
	       shares_owners(shares) == count_owners() &&
	       shares_weight(shares, &path, level + 1) == weigh(owner_of(to, level), level);
}

static void compare(void)
{
	unsigned wrong = 0;
	size_t count = 0;

	shares = shares_new(SHARES_LEVELS);
	ok(shares_next(shares) == NULL && shares_oldest_of_heaviest(shares) == NULL &&
	           shares_count(shares) == 0 && is_right(),
	   "an empty pool has nobody");
	for (unsigned i = 0; i < STEPS; i++) {
		/* It fills and it empties. */
		bool fills = i / 1000 % 2;

		if (noise() % 3 < (fills ? 2 : 1))
			add(&things[noise() % THINGS]);
		else if (noise() % 2)
			shares_remove(&things[noise() % THINGS].share);
		else if (noise() % 4 == 0)
			put_back();
		else
			serve();
		wrong += i % 16 == 0 && !is_right();
	}
	ok(wrong == 0,
	   "members come, go, come back and have their turns: next, heaviest, giving way, weights "
	   "and owners are what a search finds");
	for (unsigned i = 0; i < THINGS; i++)
		count += things[i].share.owner != NULL;
	ok(shares_count(shares) == count, "they are counted");
	while (shares_next(shares) != NULL) {
		serve();
		wrong += !is_right();
	}
	ok(wrong == 0 && shares_owners(shares) == 0, "served to the end, no owner is left");
	shares_free(&shares);
	ok(shares == NULL, "freed");
}

static struct share_path network(uint8_t wide, uint16_t network, uint16_t site)
{
	struct share_path path = { 0 };

	share_path_add(&path, &wide, sizeof wide);
	share_path_add(&path, &network, sizeof network);
	share_path_add(&path, &site, sizeof site);
	return path;
}

static void crowd(void)
{
	struct share *all = calloc(CROWD, sizeof *all), one = { 0 }, second = { 0 };
	struct share_path honest = network(2, 1, 1), here = network(1, 1, 0);
	unsigned turns = 0, wrong = 0;

	shares = shares_new(NETWORK_LEVELS);
	for (unsigned i = 0; i < CROWD; i++) {
		struct share_path path = network(1, 1, (uint16_t)(i / 10));

		wrong += !shares_add(shares, &path, &all[i]);
	}
	wrong += !shares_add(shares, &honest, &one);
	ok(wrong == 0 && shares_count(shares) == CROWD + 1,
	   "%d members of one network, and one of another", CROWD);
	ok(shares_oldest_of_heaviest(shares) == &all[0] &&
	           shares_giving_way(shares, &honest) == &all[0],
	   "the oldest of the crowd gives way");
	ok(shares_giving_way(shares, &here) == NULL, "not to one of its own site");
	for (struct share *s; (s = shares_next(shares)) != &one; turns++)
		shares_served(s);
	ok(turns <= 1, "the one has the second turn");
	shares_served(&one);
	for (unsigned i = 0; shares_count(shares) > 3; i++) {
		struct share *s = i % 2 ? shares_oldest_of_heaviest(shares) : shares_next(shares);

		wrong += i % 2 == 0 && s->came == 0;
		if (i % 2)
			shares_remove(s);
		else
			shares_served(s);
	}
	shares_add(shares, &honest, &one);
	shares_add(shares, &honest, &second);
	ok(wrong == 0 && shares_oldest_of_heaviest(shares) != &one,
	   "with two of one network and three of another, one of the three goes");
	shares_remove(shares_oldest_of_heaviest(shares));
	ok(shares_giving_way(shares, &honest) == NULL && shares_giving_way(shares, &here) == NULL,
	   "of equals nobody gives way");
	shares_remove(&one);
	shares_remove(&one);
	ok(one.owner == NULL && shares_weight(shares, &honest, 3) == 1 &&
	           shares_weight(shares, &here, 1) == 2,
	   "removed twice is removed once");
	shares_free(&shares);
	free(all);
}

/* Two crowds of as many, each from one site: neither wide owner has to give to the other, and the
 * crowd gives way to the others of its own. */
static void equals(void)
{
	struct share first[CROWDS], second[CROWDS], one = { 0 };
	struct share_path a = network(1, 1, 1), b = network(2, 1, 1);
	struct share_path beside = network(2, 2, 2), near = network(2, 1, 2),
			  far = network(3, 1, 1);

	shares = shares_new(NETWORK_LEVELS);
	for (unsigned i = 0; i < CROWDS; i++) {
		first[i] = second[i] = (struct share){ 0 };
		shares_add(shares, &a, &first[i]);
		shares_add(shares, &b, &second[i]);
	}
	ok(shares_giving_way(shares, &beside) == &second[0],
	   "of two equal crowds one gives way to another network of its own wide one");
	ok(shares_giving_way(shares, &near) == &second[0], "and to another site of its network");
	ok(shares_giving_way(shares, &b) == NULL, "not to one of its own site");
	ok(shares_giving_way(shares, &far) == &first[0],
	   "to one from elsewhere the one that has been there for longest");
	shares_remove(&second[0]);
	shares_remove(&second[1]);
	shares_add(shares, &beside, &one);
	ok(shares_giving_way(shares, &beside) == NULL,
	   "until what it would have is what the crowd has");
	shares_free(&shares);
}

static void one_level(void)
{
	struct share first = { 0 }, second = { 0 }, other = { 0 };
	struct share_path mine = { 0 }, theirs = { 0 };

	share_path_add(&mine, "mine", 4);
	share_path_add(&theirs, "01234567890123456789", SHARE_KEY_MAX);
	shares = shares_new(1);
	shares_add(shares, &mine, &first);
	shares_add(shares, &mine, &second);
	shares_add(shares, &theirs, &other);
	shares_served(shares_next(shares));
	ok(shares_next(shares) == &other && first.owner == NULL, "one level: the other's turn");
	shares_remove(&other);
	ok(shares_next(shares) == &second, "who leaves takes no turn");
	shares_free(&shares);
}

int main(void)
{
	compare();
	crowd();
	equals();
	one_level();
	return tap_done();
}
