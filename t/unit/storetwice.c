/* SPDX-License-Identifier: ISC */
/* A home that is restored from one backup again and again: what came between two restores is
 * recorded nowhere, and no UID names two messages all the same; nor do UIDs come to an end. */
#include "t/unit/store.h"

#include "lib/store/internal.h"

enum { MESSAGES = 200, RESTORES_MAX = 1000 };

static void reopen(const char *command)
{
	store_close(&box);
	box_shell("%s", command);
	store_open(box_home, false, 0, &box, NULL);
}

/* The UIDs from and to which it gave them: none is left out between. */
static uint32_t fill(uint32_t *first, uint32_t *last)
{
	struct folder *f = box_open("INBOX");
	uint32_t validity = folder_uidvalidity(f);

	*first = box_append(f, "Subject: m\r\n\r\nend\r\n", 0);
	for (int i = 1; i < MESSAGES; i++)
		*last = box_append(f, "Subject: m\r\n\r\nend\r\n", 0);
	folder_close(&f);
	return validity;
}

static void restored_twice(const char *how, const char *restore)
{
	uint32_t first[2], last[2];

	box_make(0);
	box_deliver("Subject: base\r\n\r\n");
	struct folder *f = box_open("INBOX");

	folder_close(&f);
	reopen("cp -a .. ../../backup");
	fill(&first[0], &last[0]);
	reopen(restore);
	uint32_t validity = fill(&first[0], &last[0]);

	reopen(restore);
	ok(fill(&first[1], &last[1]) == validity, "a home restored twice, %s", how);
	ok(last[0] < first[1] || last[1] < first[0], "no UID twice: %u to %u, then %u to %u",
	   (unsigned)first[0], (unsigned)last[0], (unsigned)first[1], (unsigned)last[1]);
	box_remove();
}

/* A mailbox with one message, opened once: its UIDVALIDITY. */
static uint32_t begin(void)
{
	box_make(0);
	box_deliver("Subject: base\r\n\r\n");
	struct folder *f = box_open("INBOX");
	uint32_t validity = folder_uidvalidity(f);

	folder_close(&f);
	return validity;
}

/* Each is a restore to posthouse. */
static void check_end(void)
{
	struct folder *f;
	uint32_t validity, last = 0;
	int restores = 0;
	bool good = true;

	validity = begin();
	for (; restores < RESTORES_MAX; restores++) {
		reopen("touch -d '1 hour ago' ../posthouse.reserved");
		f = box_open("INBOX");
		if (f == NULL || folder_uidvalidity(f) != validity)
			break;
		uint32_t uid = box_append(f, "Subject: m\r\n\r\nend\r\n", 0);

		good = good && uid > last;
		last = uid;
		folder_close(&f);
	}
	ok(good && restores > 32 && restores < RESTORES_MAX,
	   "UIDs rise with each of %d restores, to %u", restores, (unsigned)last);
	if (f == NULL) {
		box_remove();
		return;
	}
	ok(folder_uidvalidity(f) > validity && folder_uidnext(f) == (uint32_t)restores + 2 &&
	           folder_count(f) == (uint32_t)restores + 1,
	   "then there is a new UIDVALIDITY, and all messages are there: %u, UIDNEXT %u",
	   (unsigned)folder_count(f), (unsigned)folder_uidnext(f));
	ok(box_append(f, "Subject: m\r\n\r\nend\r\n", 0) == (uint32_t)restores + 2,
	   "the folder takes mail");
	validity = folder_uidvalidity(f);
	folder_close(&f);
	reopen("rm posthouse.index");
	f = box_open("INBOX");
	ok(folder_uidvalidity(f) == validity && folder_count(f) == (uint32_t)restores + 2,
	   "and stays so");
	folder_close(&f);
	box_remove();
}

/* Its mode, owner or links are changed each night, as by cp -al or chown -R: that may be a restore
 * over what is there, and costs a mailbox a UIDVALIDITY in ten years. What was put back before
 * and after it is told apart all the same. */
static void check_touched(void)
{
	enum { NIGHTS = 300 };
	uint32_t validity, last = 0, from, again, given[NIGHTS];
	struct folder *f;
	bool good = true;

	validity = begin();
	reopen("cp -a .. ../../backup");
	for (int night = 0; night < NIGHTS && good; night++) {
		if (night % 3 == 0)
			reopen("rm -rf ../../snapshot && cp -al .. ../../snapshot");
		else
			reopen(night % 3 == 1 ? "chmod 640 ../posthouse.reserved"
			                      : "chmod 600 ../posthouse.reserved");
		f = box_open("INBOX");
		uint32_t uid = box_append(f, "Subject: m\r\n\r\nend\r\n", 0);

		good = folder_uidvalidity(f) == validity && uid > last;
		last = given[night] = uid;
		folder_close(&f);
	}
	ok(good && last > NIGHTS * (1u << 20) && last < NIGHTS * ((1u << 20) + 500u),
	   "%d nights cost %u UIDs, and none comes twice", NIGHTS, (unsigned)last);
	reopen("rm -f cur/* && cp -a ../../backup/. ..");
	fill(&from, &last);
	for (int night = 0; night < NIGHTS; night++)
		good = good && (given[night] < from || given[night] > last);
	ok(good, "a backup from before them gives others: from %u", (unsigned)from);
	/* A snapshot of links has what was written since in place, or says that it is old. */
	reopen("cd ../.. && rm -rf anna && mv snapshot anna");
	fill(&again, &last);
	for (int night = 0; night < NIGHTS; night++)
		good = good && (given[night] < again || given[night] > last);
	ok(good && (again > from + MESSAGES || last < from), "so does a snapshot of links: from %u",
	   (unsigned)again);
	box_remove();
}

/* The restores come while a session has the folder open. */
static void check_open(void)
{
	struct folder_changes c;
	struct folder *f;
	uint32_t validity, last = 0;
	enum store_result result = STORE_OK;
	bool good = true;
	int i = 0;

	box_make(0);
	f = box_open("INBOX");
	validity = folder_uidvalidity(f);
	for (; i < RESTORES_MAX && result == STORE_OK; i++) {
		box_shell("touch -d '1 hour ago' ../posthouse.reserved");
		box_deliver("Subject: m\r\n\r\n");
		result = folder_sync(f, STORE_EXPUNGES, &c, &box_why);
		uint32_t uid = folder_uid(f, folder_count(f));

		good = good && (result != STORE_OK || uid > last);
		last = uid;
	}
	ok(good && result == STORE_GONE,
	   "a session is told at the end that the folder is gone (%d)", i);
	folder_close(&f);
	f = box_open("INBOX");
	ok(folder_uidvalidity(f) > validity && folder_count(f) == (uint32_t)i,
	   "who opens it finds a new UIDVALIDITY and all messages: %u of %d",
	   (unsigned)folder_count(f), i);
	folder_close(&f);
	box_remove();
}

/* No index either: the record alone says so. */
static void check_record(void)
{
	char bytes[40];
	struct folder *f;

	box_make(0);
	box_deliver("Subject: base\r\n\r\n");
	f = box_open("INBOX");
	uint32_t validity = folder_uidvalidity(f);

	folder_close(&f);
	uids_format(bytes, sizeof bytes, validity, UINT32_MAX - 1000);
	bytes[strlen(bytes) - 1] = '\0';
	reopen("rm posthouse.index ../posthouse.reserved");
	box_shell("echo '%s' >posthouse.uids", bytes);
	f = box_open("INBOX");
	ok(folder_uidvalidity(f) > validity && folder_uidnext(f) == 2,
	   "a record near the end without an index: UIDNEXT %u", (unsigned)folder_uidnext(f));
	folder_close(&f);
	box_remove();
}

int main(void)
{
	restored_twice("with other files", "cd ../.. && rm -rf anna && cp -a backup anna");
	restored_twice("over what is there", "rm -f cur/* && cp -a ../../backup/. ..");
	check_end();
	check_touched();
	check_open();
	check_record();
	return tap_done();
}
