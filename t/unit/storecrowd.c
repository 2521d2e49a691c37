/* SPDX-License-Identifier: ISC */
/*
 * Several sessions, deliveries and a foreign program at once on one mailbox: no message is lost or
 * doubled, no UID changes or is given twice, and what each session is told agrees with what it
 * sees.
 */
#include "t/unit/store.h"

#include <sys/wait.h>

enum { SESSIONS = 4, ROUNDS = 120, DELIVERIES = 150 };

static uint32_t lcg;

static uint32_t some(uint32_t below)
{
	lcg = lcg * 1664525 + 1013904223;
	return below ? (lcg >> 8) % below : 0;
}

static bool bad(const char *what)
{
	printf("# %ld: %s (%s)\n", (long)getpid(), what, box_why.text);
	return false;
}

/* A copy of the UIDs that this session was told of, kept up by the rules of IMAP alone. */
struct told {
	uint32_t uids[8192];
	uint32_t count;
};

static bool follow(struct folder *f, struct told *t)
{
	struct folder_changes c;

	if (folder_sync(f, STORE_EXPUNGES, &c, &box_why) != STORE_OK)
		return bad("sync fails");
	for (uint32_t i = 0; i < c.expunged_count; i++) {
		uint32_t seq = c.expunged[i];

		if (seq < 1 || seq > t->count)
			return bad("a number that was never told");
		memmove(t->uids + seq - 1, t->uids + seq, (t->count - seq) * sizeof *t->uids);
		t->count--;
	}
	if (folder_count(f) < t->count || (folder_count(f) > t->count && !c.exists))
		return bad("the count disagrees");
	for (uint32_t i = 0; i < t->count; i++)
		if (folder_uid(f, i + 1) != t->uids[i])
			return bad("a sequence number has another UID");
	for (uint32_t i = t->count; i < folder_count(f); i++) {
		t->uids[i] = folder_uid(f, i + 1);
		if (i && t->uids[i] <= t->uids[i - 1])
			return bad("UIDs do not ascend");
	}
	t->count = folder_count(f);
	return true;
}

static bool act(struct folder *f, struct folder *other, uint32_t number)
{
	uint32_t seq = 1 + some(folder_count(f)),
		 flag = some(2) ? STORE_FLAG_SEEN : STORE_FLAG_FLAGGED;
	char text[100];

	if (folder_count(f) == 0)
		return true;
	switch (some(8)) {
	case 0:
		snprintf(text, sizeof text, "Subject: a%u\r\n\r\n", (unsigned)number);
		return box_append(f, text, 0) != 0 || bad("APPEND");
	case 1:
		folder_store(f, &seq, 1, STORE_ADD, STORE_FLAG_DELETED, 0, &box_why);
		return folder_expunge(f, NULL, 0, &box_why) == STORE_OK || bad("EXPUNGE");
	case 2: return folder_copy(f, &seq, 1, other, NULL, &box_why) == STORE_OK || bad("COPY");
	case 3: return folder_move(f, &seq, 1, other, NULL, &box_why) == STORE_OK || bad("MOVE");
	default:
		return folder_store(f, &seq, 1, some(2) ? STORE_ADD : STORE_REMOVE, flag, 0,
		                    &box_why) == STORE_OK ||
		       bad("STORE");
	}
}

static int session(uint32_t number)
{
	static struct told told;
	struct store *own;
	struct folder *f, *other;

	lcg = number * 7919 + 1;
	if (store_open(box_home, false, 0, &own, &box_why) != STORE_OK)
		return !bad("open");
	store_close(&box);
	box = own;
	f = box_open("INBOX");
	other = box_open("Other");
	if (f == NULL || other == NULL || (number == 0 && folder_watch(f) < 0))
		return 1;
	for (told.count = 0; told.count < folder_count(f); told.count++)
		told.uids[told.count] = folder_uid(f, told.count + 1);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct folder_changes c;

		if (!act(f, other, number * 10000 + round) || (some(3) == 0 && !follow(f, &told)))
			return 1;
		if (some(30) == 0) {
			folder_close(&f);
			f = box_open("INBOX");
			for (told.count = 0; told.count < folder_count(f); told.count++)
				told.uids[told.count] = folder_uid(f, told.count + 1);
		}
		if (some(5) == 0 && folder_sync(other, STORE_EXPUNGES, &c, &box_why) != STORE_OK)
			return !bad("the other folder");
	}
	bool good = follow(f, &told);

	folder_close(&f);
	folder_close(&other);
	return good ? 0 : 1;
}

static int deliverer(void)
{
	char text[100];

	for (int i = 0; i < DELIVERIES; i++) {
		snprintf(text, sizeof text, "Subject: d%d\r\n\r\n", i);
		box_deliver(text);
	}
	return 0;
}

/* Another program: flags in names, deliveries without S= and with LF, and now and then the index
 * away. */
static int foreigner(void)
{
	box_shell("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do "
	          "printf 'Subject: f\\n\\nx\\n' > tmp/$i.f && mv tmp/$i.f new/$i.f; "
	          "x=$(ls cur | sed -n ${i}p); mv \"cur/$x\" \"cur/${x}P\" 2>/dev/null; "
	          "[ $((i %% 5)) = 0 ] && rm -f posthouse.index; "
	          "[ $((i %% 7)) = 0 ] && printf x >> posthouse.index; "
	          "done; true");
	return 0;
}

static bool all_end_well(int children)
{
	bool good = true;
	int status;

	while (children-- > 0)
		if (wait(&status) > 0 && status != 0) {
			printf("# a child ended with %x\n", (unsigned)status);
			good = false;
		}
	return good;
}

static void run(bool with_foreigner)
{
	int children = 0;

	box_make(0);
	store_create(box, VIEW("Other"), NULL);
	for (int i = 0; i < 20; i++)
		box_deliver("Subject: first\r\n\r\n");
	fflush(stdout);
	for (int i = 0; i < SESSIONS + 1 + (with_foreigner ? 1 : 0); i++, children++)
		if (fork() == 0) {
			alarm(100);
			_exit(i < SESSIONS    ? session((uint32_t)i)
			      : i == SESSIONS ? deliverer()
			                      : foreigner());
		}
	ok(all_end_well(children), "%d sessions and deliveries%s", SESSIONS,
	   with_foreigner ? ", and a foreign program" : "");
	struct folder *f = box_open("INBOX");
	uint32_t count = folder_count(f);
	const char *before = box_list(f);
	char first[1000];

	string_put(first, sizeof first, view_of(before));
	ok(box_shell("test $(ls cur | wc -l) = %u && test $(ls new tmp | grep -c .host) = 0",
	             (unsigned)count),
	   "the index knows every file");
	ok(folder_uidnext(f) < 65536, "nobody took another's write for a restore: UIDNEXT is %u",
	   (unsigned)folder_uidnext(f));
	folder_close(&f);
	ok(box_shell("test $(ls cur | sed 's/.*,U=//; s/:.*//' | sort | uniq -d | wc -l) = 0"),
	   "no UID is there twice");
	box_shell("rm posthouse.index");
	f = box_open("INBOX");
	ok(folder_count(f) == count, "the index made anew knows as many");
	is_string(box_list(f), first, "with the same UIDs and flags");
	folder_close(&f);
	box_remove();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	run(false);
	run(true);
	return tap_done();
}
