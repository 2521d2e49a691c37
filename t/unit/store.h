/* SPDX-License-Identifier: ISC */
/* A mailbox in a directory of its own, for the tests of lib/store. */
#ifndef T_UNIT_STORE_H
#define T_UNIT_STORE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/store/delivery.h"
#include "lib/store/folder.h"
#include "t/tap.h"

static char box_root[64], box_home[100];
static struct store *box;
static struct reason box_why;

__attribute__((unused, format(printf, 1, 2))) static bool box_shell(const char *format, ...)
{
	char command[900];
	va_list list;

	va_start(list, format);
	int used = snprintf(command, sizeof command, "cd %s/Maildir && ", box_home);
	vsnprintf(command + used, sizeof command - (size_t)used, format, list);
	va_end(list);
	if (system(command) == 0)
		return true;
	printf("# failed: %s\n", command);
	return false;
}

__attribute__((unused)) static void box_make(uint64_t quota_bytes)
{
	snprintf(box_root, sizeof box_root, "/tmp/posthouse-store-XXXXXX");
	if (mkdtemp(box_root) == NULL)
		abort();
	snprintf(box_home, sizeof box_home, "%s/anna", box_root);
	if (store_open(box_home, true, quota_bytes, &box, &box_why) != STORE_OK)
		printf("# %s\n", box_why.text);
}

__attribute__((unused)) static void box_remove(void)
{
	char command[100];

	store_close(&box);
	snprintf(command, sizeof command, "rm -rf %s", box_root);
	if (system(command) != 0)
		abort();
}

__attribute__((unused)) static struct folder *box_open(const char *name)
{
	struct folder *f = NULL;

	if (folder_open(box, view_of(name), false, &f, &box_why) != STORE_OK)
		printf("# open %s: %s\n", name, box_why.text);
	return f;
}

__attribute__((unused)) static void box_deliver(const char *text)
{
	struct delivery d;
	size_t done = 0;

	if (delivery_begin(&d, box_home, 0, strlen(text), &box_why) == STORE_OK)
		while (done < strlen(text))
			done += (size_t)write(d.fd, text + done, strlen(text) - done);
	if (done < strlen(text) || delivery_finish(&d, strlen(text), false, &box_why) != STORE_OK)
		printf("# deliver: %s\n", box_why.text);
}

__attribute__((unused)) static uint32_t box_append(struct folder *f, const char *text,
                                                   uint32_t flags)
{
	struct folder_append *a;
	uint32_t uid = 0;

	if (folder_append_begin(f, strlen(text), &a, &box_why) != STORE_OK ||
	    folder_append_write(a, view_of(text), &box_why) != STORE_OK ||
	    folder_append_finish(&a, flags, 0, 1000000000, &uid, &box_why) != STORE_OK)
		printf("# append: %s\n", box_why.text);
	return uid;
}

/* "1,2,5": the UIDs of the view; "17S" with flags. */
__attribute__((unused)) static const char *box_list(struct folder *f)
{
	static char out[8][1000];
	static int turn;
	char *p = out[turn = (turn + 1) % 8];
	size_t used = 0;

	p[0] = '\0';
	for (uint32_t seq = 1; seq <= folder_count(f) && used < 900; seq++) {
		struct store_message m;

		folder_message(f, seq, 0, &m, NULL);
		used += (size_t)snprintf(p + used, 1000 - used, "%s%u", used ? " " : "",
		                         (unsigned)m.uid);
		for (int i = 0; i < 26; i++)
			if (m.flags & 1u << i)
				p[used++] = (char)('A' + i);
		for (int i = 0; i < 64; i++)
			if (m.keywords & 1ull << i)
				p[used++] = (char)(i < 26 ? 'a' + i : '+');
		p[used] = '\0';
	}
	return p;
}

__attribute__((unused)) static struct folder_changes box_sync(struct folder *f)
{
	struct folder_changes changes;

	if (folder_sync(f, STORE_EXPUNGES, &changes, &box_why) != STORE_OK)
		printf("# sync: %s\n", box_why.text);
	return changes;
}

#endif
