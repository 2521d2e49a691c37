/* SPDX-License-Identifier: ISC */
/* Maps that come over the wire: all of them or none, and only those that are whole. */
#include "lib/wire/mapwire.h"

#include <cdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/wire/master.h"
#include "t/tap.h"

static struct map maps[MAPS];
static unsigned taken;

static void take(void)
{
	taken++;
}

static struct mapwire wire = { .program = "resolved", .maps = maps, .taken = take };

/* With one entry, "a" -> value. */
static int compiled(const char *name, const char *value, uint64_t generation)
{
	char path[] = "/tmp/mapwire.XXXXXX";
	struct cdb_make making;
	int fd = mkstemp(path);

	unlink(path);
	cdb_make_start(&making, fd);
	cdb_make_add(&making, "a", 1, value, (unsigned)strlen(value));
	cdb_make_finish(&making);
	uint64_t sum;

	if (map_seal(fd, name, generation, &sum, NULL) != 0)
		abort();
	return fd;
}

static void damage(int fd)
{
	(void)!pwrite(fd, "x", 1, 2048 + 9);
}

static const char *value_of(enum map_id id)
{
	static char text[2];
	struct view value;

	if (map_get(&maps[id], VIEW("a"), &value) != MAP_FOUND)
		return "";
	text[0] = value.data[0];
	return text;
}

/* As maptable_inherit does. */
static void start(void)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	int id;

	for (unsigned n = 0; (id = maptable_file_of("resolved", n)) >= 0; n++) {
		maptable_generation_file(id, name);
		map_open_damaged(&maps[id], compiled(name, "0", 6));
	}
}

static void hear(int ends[2], const struct wire_out *out)
{
	struct wire_in in;

	wire_send(ends[0], out);
	wire_receive(ends[1], &in);
	mapwire_said(&wire, ends[1], &in);
	wire_in_close(&in);
}

static void give(int ends[2], const char *name, int fd)
{
	struct wire_out out = { 0 };

	master_map_put(&out, name, fd);
	hear(ends, &out);
	wire_out_free(&out);
	close(fd);
}

/* All but one; -1: all. */
static void give_all(int ends[2], const char *value, int but)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	int id;

	for (unsigned n = 0; (id = maptable_file_of("resolved", n)) >= 0; n++) {
		maptable_generation_file(id, name);
		if (id != but)
			give(ends, name, compiled(name, value, 7));
	}
}

/* 't', 'f': the answer of this round; 0: none. */
static char answer(int ends[2], uint32_t round)
{
	struct wire_in in;
	uint32_t answered;
	bool good;
	int by;

	if (wire_receive_now(ends[0], &in) != WIRE_OK)
		return 0;
	return !master_taken_get(&in, &by, &answered, &good) || by != (int)getpid() ||
	                       answered != round
	               ? '?'
	       : good ? 't'
	              : 'f';
}

static void ask(int ends[2], int pid, uint32_t round)
{
	struct wire_out out = { 0 };

	master_round_put(&out, pid, round);
	hear(ends, &out);
	wire_out_free(&out);
}

static char end_round(int ends[2], int pid, uint32_t round)
{
	ask(ends, pid, round);
	return answer(ends, round);
}

static void drain(int fd)
{
	struct wire_in in;

	while (wire_receive_now(fd, &in) == WIRE_OK)
		wire_in_close(&in);
}

/* As by a crowd that logs in at once. */
static void full_wire(int ends[2])
{
	struct wire_out out = { 0 };

	wire_begin(&out, MASTER_READY);
	while (wire_send_now(ends[1], &out) == WIRE_OK)
		;
	wire_out_free(&out);
	ask(ends, (int)getpid(), 20);
	ask(ends, (int)getpid(), 21);
	ok(!mapwire_answer(&wire, ends[1]), "an answer waits for room");
	drain(ends[0]);
	ok(mapwire_answer(&wire, ends[1]), "and is sent");
	ok(answer(ends, 21) == 'f' && answer(ends, 21) == 0, "once, of the last round");
	ok(mapwire_answer(&wire, ends[1]) && answer(ends, 21) == 0, "no more is owed");
}

static void all_or_none(int ends[2])
{
	int me = (int)getpid();

	start();
	give_all(ends, "1", -1);
	ok(taken == 0, "nothing is taken before the word");
	ok(end_round(ends, me, 1) == 't' && taken == 1, "all are taken with it");
	is_string(value_of(MAP_USERS), "1", "and in use");
	give_all(ends, "2", MAP_ALIASES);
	ok(end_round(ends, me, 2) == 'f', "with one missing none is taken");
	is_string(value_of(MAP_USERS), "1", "those of before are in use");
	int fd = compiled("aliases.cdb", "3", 7);

	damage(fd);
	give_all(ends, "3", MAP_ALIASES);
	give(ends, "aliases.cdb", fd);
	ok(end_round(ends, me, 3) == 'f', "nor with a damaged one");
	give_all(ends, "4", MAP_ALIASES);
	give(ends, "aliases.cdb", compiled("users.cdb", "4", 7));
	ok(end_round(ends, me, 4) == 'f', "nor with another one in its place");
	give_all(ends, "5", -1);
	give(ends, "passwords.cdb", compiled("passwords.cdb", "5", 7));
	ok(end_round(ends, me, 5) == 'f', "nor with one that another program reads");
	give_all(ends, "6", -1);
	ok(end_round(ends, me + 1, 6) == 0, "what a predecessor was meant to have");
	is_string(value_of(MAP_USERS), "1", "is not taken");
	give_all(ends, "8", -1);
	ok(end_round(ends, me, 8) == 't', "whole ones are taken after all that");
	is_string(value_of(MAP_ACCESS), "8", "and in use");
}

/* The overlay is taken with its map, whose own file stays, and goes with it. */
static void overlaid(int ends[2])
{
	const void *before = maps[MAP_USERS].cdb.cdb_mem;
	int fd = dup(cdb_fileno(&maps[MAP_USERS].cdb)), me = (int)getpid();

	give_all(ends, "9", MAP_USERS);
	give(ends, "users.cdb", dup(fd));
	give(ends, "users.more.cdb", compiled("users.more.cdb", "=x", 7));
	ok(end_round(ends, me, 10) == 't', "a map is given with an overlay");
	is_string(value_of(MAP_USERS), "x", "which is in use");
	ok(maps[MAP_USERS].cdb.cdb_mem == before, "over the file that was there");
	give_all(ends, "9", MAP_USERS);
	give(ends, "users.cdb", dup(fd));
	give(ends, "users.more.cdb", compiled("users.cdb", "=y", 7));
	ok(end_round(ends, me, 11) == 'f', "one that is another file is refused");
	is_string(value_of(MAP_USERS), "x", "with all");
	give_all(ends, "9", -1);
	give(ends, "passwords.more.cdb", compiled("passwords.more.cdb", "=y", 7));
	ok(end_round(ends, me, 12) == 'f', "so is one of another program's map");
	give_all(ends, "9", -1);
	give(ends, "users.more.cdb", compiled("users.more.cdb", "=y", 7));
	give(ends, "users.more.cdb", compiled("users.more.cdb", "=z", 7));
	ok(end_round(ends, me, 13) == 'f', "and a second one");
	give_all(ends, "9", MAP_USERS);
	give(ends, "users.more.cdb", compiled("users.more.cdb", "=y", 7));
	ok(end_round(ends, me, 14) == 'f', "and one alone");
	give_all(ends, "9", MAP_USERS);
	give(ends, "users.cdb", fd);
	ok(end_round(ends, me, 15) == 't', "the map is given without");
	is_string(value_of(MAP_USERS), "8", "and has what its file has");
}

/* One file in two generations. */
static void shared(int ends[2])
{
	const void *before = maps[MAP_USERS].cdb.cdb_mem;
	int fd = dup(cdb_fileno(&maps[MAP_USERS].cdb));

	give_all(ends, "9", MAP_USERS);
	give(ends, "users.cdb", fd);
	ok(end_round(ends, (int)getpid(), 9) == 't', "one that is in use is given");
	ok(maps[MAP_USERS].cdb.cdb_mem == before, "and stays");
	is_string(value_of(MAP_USERS), "8", "with what it has");
	is_string(value_of(MAP_ALIASES), "9", "beside the new ones");
}

static uint64_t sum_of(const char *value, uint64_t generation)
{
	uint64_t sum = 0;
	int fd = compiled("users.cdb", value, generation);

	if (!map_entries_sum(fd, "users.cdb", &sum))
		sum = 0;
	close(fd);
	return sum;
}

static void sums(void)
{
	uint64_t none;
	int fd = compiled("users.cdb", "1", 7);

	ok(sum_of("1", 7) != 0 && sum_of("1", 7) == sum_of("1", 8),
	   "the sum of the same entries is the same in every generation");
	ok(sum_of("1", 7) != sum_of("2", 7), "and another one of others");
	ok(ftruncate(fd, 2100) == 0 && !map_entries_sum(fd, "users.cdb", &none),
	   "a file without a trailer has none");
	close(fd);
}

int main(void)
{
	int ends[2];

	if (wire_pair(ends) < 0)
		return 1;
	all_or_none(ends);
	shared(ends);
	overlaid(ends);
	full_wire(ends);
	sums();
	return tap_done();
}
