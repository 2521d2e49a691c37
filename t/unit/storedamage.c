/* SPDX-License-Identifier: ISC */
/*
 * A folder of several blocks whose index loses any of them, any page, or its end, before a session
 * opens it and while one has it open: every message stays, in its place, under its UID.
 */
#include "t/unit/store.h"

#include <errno.h>
#include <sys/resource.h>

#include "lib/store/internal.h"

enum { BLOCKS = 6, MESSAGES = (BLOCKS - 1) * INDEX_BLOCK + 7, PAGE = 4096 };

static struct text good_index;
static char index_path[200];

static void fill(void)
{
	char name[80];

	box_make(0);
	snprintf(index_path, sizeof index_path, "%s/Maildir/" INDEX_FILE, box_home);
	for (int i = 1; i <= MESSAGES; i++) {
		snprintf(name, sizeof name, "%s/Maildir/new/%d.a.host", box_home, i);
		int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		dprintf(fd, "Subject: m%d\r\n\r\n", i);
		close(fd);
	}
	struct folder *f = box_open("INBOX");

	folder_store(f, (uint32_t[]){ 1, 64, 65, 200 }, 4, STORE_ADD, STORE_FLAG_FLAGGED, 0, NULL);
	/* Until no later open needs to look at the directory, which would read all blocks. */
	while (!f->ix.h.settled || f->ix.h.new_ns == 0)
		box_sync(f);
	folder_lock(f, NULL);
	index_write(f);
	folder_unlock(f);
	folder_close(&f);
	f = box_open("INBOX");
	ok(f->ix.loaded[0] == 0, "a folder that opens without reading its records");
	folder_close(&f);
	text_init(&good_index, 1 << 20);
	int fd = open(index_path, O_RDONLY | O_CLOEXEC);

	file_read_rest(fd, &good_index);
	close(fd);
}

/* The same file, so that a session that has it open sees what happens to it. */
static void write_index(const char *bytes, size_t len)
{
	int fd = open(index_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || pwrite_whole(fd, bytes, len, 0) < 0 || ftruncate(fd, (off_t)len) < 0)
		abort();
	close(fd);
}

static void restore(void)
{
	unlink(index_path);
	write_index(good_index.raw, good_index.len);
}

static bool all_there(struct folder *f, const char *when)
{
	bool good = f != NULL && folder_count(f) == MESSAGES;
	struct store_message m;

	for (uint32_t seq = 1; good && seq <= MESSAGES; seq++) {
		good = folder_message(f, seq, 0, &m, &box_why) == STORE_OK && m.uid == seq &&
		       m.flags == (seq == 1 || seq == 64 || seq == 65 || seq == 200
		                           ? STORE_FLAG_FLAGGED
		                           : 0u);
		if (!good)
			printf("# %s: message %u has UID %u\n", when, (unsigned)seq,
			       (unsigned)m.uid);
	}
	if (f != NULL && folder_count(f) != MESSAGES)
		printf("# %s: %u messages\n", when, (unsigned)folder_count(f));
	return good;
}

static bool opens_whole(const char *when)
{
	struct folder *f = box_open("INBOX");
	bool good = all_there(f, when);
	struct message m;
	struct view bytes;

	good = good && message_open(f, 130, &m, &box_why) == STORE_OK;
	if (good) {
		good = message_view(&m, &bytes, &box_why) == STORE_OK &&
		       view_starts(bytes, VIEW("Subject: m130\r"));
		message_close(&m);
	}
	folder_close(&f);
	return good;
}

/* Damaged before a session opens it; `shown` records were read by one that has it open. */
static bool survives(const char *bytes, size_t len, uint32_t shown, const char *when)
{
	restore();
	struct folder *f = box_open("INBOX");
	struct folder_changes c;
	bool good = f != NULL;

	if (shown)
		folder_uid(f, shown);
	write_index(bytes, len);
	good = good && all_there(f, when);
	good = good && folder_sync(f, STORE_EXPUNGES, &c, &box_why) == STORE_OK &&
	       c.expunged_count == 0 && all_there(f, when);
	folder_close(&f);
	good = good && opens_whole(when);
	unlink(index_path);
	write_index(bytes, len);
	good = good && opens_whole(when);
	return good && opens_whole(when);
}

static void check_blocks(void)
{
	bool good = true;
	char when[80];

	for (unsigned subset = 1; subset < 1u << BLOCKS; subset++) {
		char *bytes = memory_get(good_index.len);

		memcpy(bytes, good_index.raw, good_index.len);
		for (unsigned b = 0; b < BLOCKS; b++)
			if (subset & 1u << b)
				bytes[sizeof(struct index_header) +
				      b * INDEX_BLOCK * sizeof(struct record) + 10] ^= 0x55;
		for (uint32_t shown = 0; shown <= MESSAGES; shown += 130) {
			snprintf(when, sizeof when, "blocks %x, shown %u", subset, (unsigned)shown);
			good = survives(bytes, good_index.len, shown, when) && good;
		}
		free(bytes);
	}
	ok(good, "every set of damaged blocks of %d", BLOCKS);
}

static void check_pages(void)
{
	bool zeroed = true, cut = true;
	char when[80];

	for (size_t at = 0; at < good_index.len; at += PAGE)
		for (size_t pages = 1; pages <= 3; pages++) {
			char *bytes = memory_get(good_index.len);
			size_t len = pages * PAGE;

			memcpy(bytes, good_index.raw, good_index.len);
			memset(bytes + at, 0,
			       at + len < good_index.len ? len : good_index.len - at);
			snprintf(when, sizeof when, "%zu pages at %zu zero", pages, at);
			zeroed = survives(bytes, good_index.len, at % 3 ? 0 : 70, when) && zeroed;
			free(bytes);
		}
	for (size_t at = 0; at < good_index.len; at += PAGE) {
		snprintf(when, sizeof when, "cut at %zu", at);
		cut = survives(good_index.raw, at, at % 3 ? 0 : 70, when) && cut;
	}
	ok(zeroed, "every page lost, alone and with its neighbours");
	ok(cut, "cut at every page");
}

/* Damage, and no descriptor to read the directory with: nothing is known, so nothing is told. */
static void check_unreadable(void)
{
	struct rlimit was, none = { 0 };
	struct folder_changes c = { 0 };
	struct store_message m;
	char *bytes = memory_get(good_index.len);

	restore();
	struct folder *f = box_open("INBOX");

	memcpy(bytes, good_index.raw, good_index.len);
	memset(bytes + sizeof(struct index_header), 0, 3 * PAGE);
	write_index(bytes, good_index.len);
	getrlimit(RLIMIT_NOFILE, &was);
	none.rlim_max = was.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	ok(folder_message(f, 10, 0, &m, &box_why) == STORE_FAILED,
	   "damaged, and the directory cannot be read: no message is called gone");
	ok(folder_sync(f, STORE_EXPUNGES, &c, &box_why) == STORE_FAILED && c.expunged_count == 0,
	   "and none is told as expunged");
	setrlimit(RLIMIT_NOFILE, &was);
	ok(folder_store(f, (uint32_t[]){ 10 }, 1, STORE_ADD, STORE_FLAG_SEEN, 0, &box_why) ==
	           STORE_FAILED,
	   "this view takes no change");
	folder_close(&f);
	ok(opens_whole("unreadable"), "the next session has them all");
	free(bytes);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	fill();
	check_blocks();
	check_pages();
	check_unreadable();
	text_free(&good_index);
	box_remove();
	return tap_done();
}
