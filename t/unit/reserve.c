/* SPDX-License-Identifier: ISC */
/* Room for messages that are being written: promises, growth, and who goes. */
#include "queue/queued/reserve.h"

#include "lib/net/address.h"
#include "t/tap.h"

#define MB UINT64_C(1048576)

enum { MESSAGES = 10, CROWD = 5000 };

static struct reserve reserve;
static struct reserved messages[CROWD];

static struct share_path owner(uint8_t network, uint8_t host)
{
	struct share_path path;
	const struct net_address a = { .family = 4, .bytes = { 192, 0, network, host } };

	net_address_owners(&a, &path);
	return path;
}

static bool take(unsigned i, uint64_t announced_bytes, uint8_t network)
{
	struct share_path path = owner(network, (uint8_t)i);

	return reserve_take(&reserve, &messages[i], announced_bytes, &path);
}

/* What is free is what the disk has less what has been written. */
static void write_to(unsigned i, uint64_t bytes)
{
	reserve.free_bytes -= bytes - messages[i].written_bytes;
	reserve_grown(&reserve, &messages[i], bytes, bytes);
}

static void give_back_all(void)
{
	for (unsigned i = 0; i < CROWD; i++)
		reserve_give_back(&reserve, &messages[i], true);
}

static void promises(void)
{
	reserve.free_bytes = 100 * MB;
	reserve.space_min_bytes = 64 * MB;
	ok(reserve_has_room(&reserve, 35 * MB) && !reserve_has_room(&reserve, 36 * MB),
	   "what is announced fits, and what we add to it");
	ok(take(0, 20 * MB, 1) && reserve_has_room(&reserve, 14 * MB) &&
	           !reserve_has_room(&reserve, 15 * MB),
	   "a promise counts before a byte is written");
	write_to(0, 10 * MB);
	ok(reserve_has_room(&reserve, 14 * MB) && !reserve_has_room(&reserve, 15 * MB),
	   "and once while it is");
	write_to(0, 30 * MB);
	ok(reserve_has_room(&reserve, 5 * MB) && !reserve_has_room(&reserve, 6 * MB),
	   "what is written beyond it counts too");
	reserve_give_back(&reserve, &messages[0], true);
	ok(reserve.free_bytes == 100 * MB && reserve.unwritten_bytes == 0 && reserve.all.count == 0,
	   "an end gives all of it back");
	take(0, 20 * MB, 1);
	write_to(0, 10 * MB);
	reserve_give_back(&reserve, &messages[0], false);
	ok(reserve.free_bytes == 90 * MB && reserve.unwritten_bytes == 0,
	   "a message that is taken gives back what it did not need");
	reserve_give_back(&reserve, &messages[0], false);
	ok(reserve.unwritten_bytes == 0, "once");
	ok(reserve_is_near(&reserve, 50 * MB) && !reserve_is_near(&reserve, 20 * MB),
	   "where nobody can come near, lengths need not be known");
}

/* What the file system allocates ahead takes room, and is not held against who wrote the file. */
static void ahead(void)
{
	reserve.free_bytes = 100 * MB;
	take(0, 40 * MB, 1);
	reserve.free_bytes -= 90 * MB;
	reserve_grown(&reserve, &messages[0], 30 * MB, 90 * MB);
	ok(reserve.unwritten_bytes == 0 && messages[0].written_bytes == 90 * MB,
	   "blocks behind the end count as written");
	ok(reserve_one_too_many(&reserve) == NULL, "who wrote no more than was promised keeps it");
	reserve_grown(&reserve, &messages[0], 41 * MB, 90 * MB);
	ok(reserve_one_too_many(&reserve) == NULL, "to the last byte");
	reserve_grown(&reserve, &messages[0], 41 * MB + 1, 90 * MB);
	ok(reserve_one_too_many(&reserve) == &messages[0], "but no more");
	give_back_all();
	reserve.free_bytes = 100 * MB;
	take(0, 40 * MB, 1);
	reserve.free_bytes -= 95 * MB;
	reserve_grown(&reserve, &messages[0], 30 * MB, 95 * MB);
	ok(reserve_one_too_many(&reserve) == &messages[0],
	   "nor blocks that no file system allocates ahead");
	give_back_all();
}

/* Nine of one network write on without an end beside one that was promised its room. */
static void growth(void)
{
	unsigned ended = 0;

	reserve.free_bytes = 400 * MB;
	take(0, 48 * MB, 2);
	for (unsigned i = 1; i < MESSAGES; i++)
		take(i, 0, 1);
	for (unsigned i = 1; i < MESSAGES; i++)
		write_to(i, 35 * MB);
	write_to(0, 48 * MB);
	ok(reserve.free_bytes < reserve.space_min_bytes, "more is written than there is");
	struct reserved *m = reserve_one_too_many(&reserve);

	ok(m == &messages[1], "the oldest of those who were not promised it goes");
	for (; m != NULL && ended < MESSAGES; ended++, m = reserve_one_too_many(&reserve))
		reserve_give_back(&reserve, m, true);
	ok(ended == 1 && reserve.free_bytes >= reserve.space_min_bytes, "and no more than needed");
	reserve.free_bytes = 0;
	for (ended = 0; (m = reserve_one_too_many(&reserve)) != NULL; ended++) {
		reserve_give_back(&reserve, m, false);
		ok(m != &messages[0], "not who keeps to what was promised, whoever else fills it");
	}
	ok(ended == MESSAGES - 2, "all others do");
	give_back_all();
}

/* How many give way to one that announces so much, the first of them that message; CROWD: it is
 * another, or the question has changed what is free. */
static unsigned giving_way(uint64_t announced_bytes, const struct share_path *newcomer,
                           const struct reserved *first)
{
	struct reserved *givers[RESERVE_GIVE_WAY_MAX] = { NULL };
	uint64_t free_bytes = reserve.free_bytes, unwritten_bytes = reserve.unwritten_bytes;
	unsigned count = reserve_giving_way(&reserve, announced_bytes, newcomer, givers);

	if (reserve.free_bytes != free_bytes || reserve.unwritten_bytes != unwritten_bytes ||
	    (count && givers[0] != first))
		return CROWD;
	return count;
}

static void newcomers(void)
{
	struct share_path other = owner(2, 1), same = owner(1, 9);

	reserve.free_bytes = 600 * MB;
	for (unsigned i = 0; reserve_has_room(&reserve, 48 * MB); i++)
		take(i, 48 * MB, 1);
	ok(reserve.all.count == 10, "promised, and nothing written");
	ok(giving_way(48 * MB, &same, NULL) == 0, "nobody gives way to their own");
	ok(giving_way(48 * MB, &other, &messages[0]) == 1 &&
	           giving_way(48 * MB, &other, &messages[0]) == 1,
	   "but the oldest to another, whoever has asked before");
	ok(giving_way(150 * MB, &other, &messages[0]) == 3, "and as many as it needs");
	ok(giving_way(40 * MB, &other, &messages[0]) == 0, "where there is room nobody has to");
	give_back_all();
}

/* Small ones, of which all who may be ended for one newcomer do not make its room. */
static void in_vain(void)
{
	enum { SMALL = RESERVE_GIVE_WAY_MAX + 1 };
	struct share_path other = owner(2, 1);

	reserve.free_bytes = reserve.space_min_bytes + 20 * MB;
	for (unsigned i = 0; i < SMALL; i++)
		take(i, 0, 1);
	ok(giving_way(48 * MB, &other, NULL) == 0,
	   "nobody is ended for one who is refused all the same");
	ok(giving_way(18 * MB, &other, &messages[0]) == RESERVE_GIVE_WAY_MAX,
	   "as many as there may be, where it helps");
	ok(giving_way(19 * MB, &other, NULL) == 0, "not where one more would have to");
	give_back_all();
}

static size_t open_in(uint8_t network)
{
	struct share_path path = owner(network, 0);

	return shares_weight(reserve.open, &path, NET_NETWORK + 1);
}

/* All is promised to two networks; those of a third come, one by one. */
static void crowd(void)
{
	struct share_path path = owner(2, 1);
	struct reserved *givers[RESERVE_GIVE_WAY_MAX];
	unsigned ended = 0;

	reserve.free_bytes = reserve.space_min_bytes + CROWD * MB;
	for (unsigned i = 0; i < CROWD; i++)
		take(i, 0, (uint8_t)(i % 8 == 0));
	size_t light = open_in(1);

	while (ended < CROWD && reserve_giving_way(&reserve, 0, &path, givers) == 1) {
		reserve_give_back(&reserve, givers[0], true);
		take((unsigned)(givers[0] - messages), 0, 2);
		ended++;
	}
	ok(ended > 0 && open_in(2) == ended && open_in(0) == CROWD - light - ended,
	   "a crowd gives way, one for one (%u)", ended);
	ok(open_in(0) == ended || open_in(0) == ended + 1, "until another has as much");
	ok(open_in(1) == light, "who has less keeps it");
	give_back_all();
	ok(reserve.unwritten_bytes == 0 && shares_count(reserve.open) == 0 &&
	           shares_count(reserve.over) == 0,
	   "nothing is left");
}

int main(void)
{
	reserve_init(&reserve, NET_OWNERS);
	promises();
	ahead();
	growth();
	newcomers();
	in_vain();
	crowd();
	return tap_done();
}
