/* SPDX-License-Identifier: ISC */
/*
 * Two sessions that MOVE the same messages at the same time (two devices with one rule), at each
 * place where one can come between the steps of the other: every message is there once.
 */
#include "t/unit/store.h"

#include <sys/file.h>
#include <sys/syscall.h>

#include "lib/store/internal.h"

/* ---- the place: before the n-th time that the session locks a folder ---- */

static int locks_left = -1;
static void (*meanwhile)(void);

static bool is_folder(int fd)
{
	char path[64], target[200];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t len = readlink(path, target, sizeof target);

	return len > 0 && view_ends_nocase((struct view){ target, (size_t)len }, VIEW(LOCK_FILE));
}

int flock(int fd, int operation)
{
	if (operation == LOCK_EX && locks_left >= 0 && is_folder(fd) && locks_left-- == 0)
		meanwhile();
	return (int)syscall(SYS_flock, fd, operation);
}

/* ---- the other session ---- */

static struct folder *other, *other_to;
static uint32_t other_uids[2];
static enum store_result other_result;
static bool came;

static void moves(void)
{
	came = true;
	other_result = folder_move(other, (uint32_t[]){ 1, 2 }, 2, other_to, other_uids, NULL);
}

static void expunges(void)
{
	came = true;
	other_result = folder_remove(other, (uint32_t[]){ folder_uid(other, 1) }, 1, NULL);
}

static bool files(unsigned inbox, unsigned work)
{
	return box_shell("test $(ls cur | wc -l) = %u && test $(ls .Work/cur | wc -l) = %u && "
	                 "test $(ls .Work/tmp | wc -l) = 0",
	                 inbox, work);
}

/* The other one comes before lock number `at`; false: this one takes fewer. */
static bool meet(int at, void (*what)(void), bool *good)
{
	uint32_t uids[3] = { 7, 7, 7 };

	box_make(0);
	store_create(box, VIEW("Work"), NULL);
	for (int i = 0; i < 3; i++)
		box_deliver("Subject: m\r\n\r\n");
	struct folder *f = box_open("INBOX"), *to = box_open("Work");

	other = box_open("INBOX");
	other_to = box_open("Work");
	came = false;
	meanwhile = what;
	locks_left = at;
	enum store_result result = folder_move(f, (uint32_t[]){ 1, 2, 3 }, 3, to, uids, &box_why);

	locks_left = -1;
	*good = result == STORE_OK && (!came || other_result == STORE_OK);
	if (!came)
		*good &= files(0, 3) && uids[0] && uids[1] && uids[2];
	else if (what == moves)
		*good &= files(0, 3) && !(uids[0] && other_uids[0]) && (uids[0] || other_uids[0]) &&
		         !(uids[1] && other_uids[1]) && (uids[1] || other_uids[1]) && uids[2];
	else
		*good &= files(0, uids[0] ? 3 : 2) && uids[1] && uids[2];
	box_sync(f);
	box_sync(to);
	*good &= folder_count(f) == 0 &&
	         folder_count(to) == (came && !uids[0] && what != moves ? 2u : 3u);
	folder_close(&other);
	folder_close(&other_to);
	folder_close(&f);
	folder_close(&to);
	box_remove();
	return came;
}

static void check(const char *name, void (*what)(void))
{
	bool all = true, good;
	int places = 0;

	while (meet(places, what, &good)) {
		if (!good)
			printf("# before lock %d: not once (%s)\n", places, box_why.text);
		all &= good;
		places++;
	}
	ok(all && good && places >= 2,
	   "a message that is moved, and another session that %s it: %d places", name, places);
}

int main(void)
{
	check("moves", moves);
	check("removes", expunges);
	return tap_done();
}
