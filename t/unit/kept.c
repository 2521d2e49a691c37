/* SPDX-License-Identifier: ISC */
/* The records that a clean stop keeps: they are what they were, and none but those of that stop. */
#include "queue/queued/kept.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "t/tap.h"

enum { MESSAGES = 3000, STEP_US = 4000000, REASON_BYTES = 200 };

static char path[] = "/tmp/posthouse-kept-XXXXXX";
static struct disk disk;
static struct records records;
static uint64_t ids[MESSAGES];
static int64_t now_ms = 1000000, slow_ms; /* slow_ms: what passes from one look to the next */
static int64_t begun_us, wall_us;         /* the system's time, once; what the clock shows */

int64_t __wrap_clock_ms(void);
int64_t __wrap_clock_wall_us(void);
int64_t __wrap_clock_wall_ms(void);

int64_t __wrap_clock_ms(void)
{
	return now_ms += slow_ms;
}

int64_t __wrap_clock_wall_us(void)
{
	return wall_us;
}

int64_t __wrap_clock_wall_ms(void)
{
	return wall_us / 1000;
}

/* Before any directory is made. */
static void begin_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	begun_us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
	wall_us = begun_us + INT64_C(86400) * 1000000; /* no directory was changed a moment ago */
}

static void add_recipient(struct message *m, const char *address, enum recipient_state state,
                          unsigned n)
{
	struct envelope_recipient to = { .notify = n % 16 };
	char text[REASON_BYTES];

	string_print(to.address, sizeof to.address, "%s", address);
	string_print(to.orcpt, sizeof to.orcpt, "%s", n % 2 ? "rfc822;o@example.org" : "");
	struct recipient *r = message_add_recipient(m, &to);

	r->expanded = r->final = n % 3 == 0;
	r->replaced = state == RECIPIENT_GONE && n % 5 == 0;
	recipient_set(m, r, state);
	if (n % 7 == 0)
		return;
	memset(text, 'a' + (int)(n % 26), sizeof text - 1);
	text[sizeof text - 1] = '\0';
	recipient_say(r, 1000 + n, "4.2.1", n % 2 ? "mx.example.org" : "", text);
}

/* A message that waits, and whose fields are all different from the others'. */
static void add(unsigned n)
{
	static struct envelope e;
	struct queue_header h = { .arrived_us = (int64_t)n * 1000000,
		                  .message_bytes = 700 + n,
		                  .extra_bytes = n % 9,
		                  .envelope_bytes = 200 + n };

	ids[n] = ((UINT64_C(1) << 40) + (uint64_t)n * STEP_US) << 12;
	struct message *m = message_new(ids[n]);

	e = (struct envelope){ .origin = n % 5, .eight_bit = n % 2, .ret = n % 3 ? 'H' : 0 };
	string_print(e.sender, sizeof e.sender, "s%u@example.org", n);
	string_print(e.envid, sizeof e.envid, "%s", n % 4 ? "" : "envid");
	message_take_envelope(m, &e, &h);
	m->log_end = 1000 + 3 * n;
	m->attempts = 1 + n % 40;
	m->noticed = n % 2;
	add_recipient(m, "a@example.net", RECIPIENT_DEFERRED, n);
	for (unsigned i = 1; i < 1 + n % KEPT_RECIPIENTS_MAX; i++)
		add_recipient(m, "b@example.net", i % 2 ? RECIPIENT_GONE : RECIPIENT_DEFERRED,
		              n + i);
	records_add(&records, m);
	records_set_next(&records, m, now_ms + 1000 + n);
}

static bool same_said(const struct saying *a, const struct saying *b)
{
	return (a == NULL) == (b == NULL) && strcmp(saying_status(a), saying_status(b)) == 0 &&
	       strcmp(saying_host(a), saying_host(b)) == 0 &&
	       strcmp(saying_text(a), saying_text(b)) == 0;
}

static bool same_recipient(const struct message *a, const struct message *b, uint32_t i)
{
	static struct envelope_recipient x, y;
	const struct recipient *r = &a->recipients[i], *s = &b->recipients[i];

	message_recipient(a, r, &x);
	message_recipient(b, s, &y);
	return strcmp(x.address, y.address) == 0 && strcmp(x.orcpt, y.orcpt) == 0 &&
	       x.notify == y.notify && r->state == s->state && r->final == s->final &&
	       r->expanded == s->expanded && r->replaced == s->replaced &&
	       (r->said == NULL || r->said_s == s->said_s) && same_said(r->said, s->said);
}

static bool same(const struct message *a, const struct message *b)
{
	static struct envelope x, y;
	bool same = a->recipient_count == b->recipient_count;

	message_envelope(a, &x);
	message_envelope(b, &y);
	for (uint32_t i = 0; same && i < a->recipient_count; i++)
		same = same_recipient(a, b, i);
	return same && a->id == b->id && a->log_end == b->log_end &&
	       a->message_bytes == b->message_bytes && a->arrived_ms == b->arrived_ms &&
	       a->attempts == b->attempts && a->origin == b->origin && a->noticed == b->noticed &&
	       a->extra_bytes == b->extra_bytes && a->envelope_bytes == b->envelope_bytes &&
	       x.eight_bit == y.eight_bit && x.ret == y.ret && strcmp(x.sender, y.sender) == 0 &&
	       strcmp(x.envid, y.envid) == 0;
}

/* How many the next start takes that are as they were; those that are not count as `wrong`. */
static unsigned taken(unsigned *wrong)
{
	struct kept *k = disk_was_clean(&disk) == UINT64_MAX ? kept_open(&disk) : NULL;
	unsigned right = 0;

	*wrong = 0;
	for (unsigned n = 0; k && n < MESSAGES; n++) {
		int64_t wall_ms;
		struct message *m = kept_take(k, ids[n], &wall_ms);

		if (m == NULL)
			continue;
		const struct message *was = records_find(&records, ids[n]);
		int64_t off_ms = wall_ms - (clock_wall_ms() + was->next.at_ms - now_ms);

		if (same(was, m) && off_ms == 0)
			right++;
		else
			(*wrong)++;
		message_free(&m);
	}
	kept_close(&k);
	return right;
}

static bool there(const char *name)
{
	struct stat st;

	return fstatat(disk.directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void put(const char *name, const char *bytes)
{
	int fd = openat(disk.directory, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, bytes, strlen(bytes)) < 0)
		printf("# %s cannot be written\n", name);
	close(fd);
}

static uint64_t stop(uint64_t space_min_bytes)
{
	uint64_t stop_us = 0;

	if (disk_put_clean_mark(&disk))
		stop_us = kept_write(&disk, &records, space_min_bytes);
	if (stop_us != 0)
		disk_name_clean_mark(&disk, stop_us);
	return stop_us;
}

static void other_marks(void)
{
	unsigned wrong;
	uint64_t stop_us = stop(0);

	put("clean", "");
	ok(taken(&wrong) == 0 && wrong == 0 && disk_was_clean(&disk) == UINT64_MAX,
	   "an empty mark, as an older version leaves it, has no records");
	disk_name_clean_mark(&disk, stop_us + 1);
	ok(taken(&wrong) == 0 && wrong == 0 && disk_was_clean(&disk) == UINT64_MAX,
	   "nor has that of another stop");
	put("clean", "0000000000000000000x");
	ok(disk_was_clean(&disk) == 0, "what is neither a time nor an id is no mark");
	disk_limit_clean_mark(&disk, ids[1]);
	ok(disk_was_clean(&disk) == ids[1] && taken(&wrong) == 0, "a limited one has none");
	disk_name_clean_mark(&disk, stop_us);
	ok(taken(&wrong) == MESSAGES && wrong == 0, "the one they were written for has them");
}

/* Copiers set a directory's mtime to what it was. */
static void times(void)
{
	char name[8];
	struct stat st;
	unsigned wrong, in = 0;

	stop(0);
	string_print(name, sizeof name, "%02x", queue_id_directory(ids[0]));
	for (unsigned n = 0; n < MESSAGES; n++)
		in += queue_id_directory(ids[n]) == queue_id_directory(ids[0]);
	fstatat(disk.directory, name, &st, 0);
	const struct timespec back[2] = { st.st_atim, st.st_mtim };

	utimensat(disk.directory, name, back, 0);
	ok(in > 0 && taken(&wrong) == MESSAGES - in && wrong == 0,
	   "a directory whose mtime was set back is read: %u", in);
	int64_t day_us = wall_us;

	wall_us = begun_us + KEPT_TICK_MS * 500;
	stop(0);
	unsigned soon = taken(&wrong);

	wall_us = day_us;
	ok(soon == 0 && wrong == 0, "so are those that were changed just before the stop");
}

static void limits(void)
{
	unsigned wrong;

	put(".records.new", "of one that was killed");
	kept_forget(&disk);
	ok(!there("records") && !there(".records.new"), "none is left, nor a half of one");
	slow_ms = KEPT_WRITE_MS / 4;
	ok(stop(0) == 0 && !there("records") && !there(".records.new"),
	   "who would take too long writes none");
	slow_ms = 0;
	ok(disk_was_clean(&disk) == UINT64_MAX && taken(&wrong) == 0,
	   "and the stop is a clean one");
	ok(stop(UINT64_MAX) == 0 && !there("records") && !there(".records.new"),
	   "nor does who would take the space that is to stay");
	ok(disk_was_clean(&disk) == UINT64_MAX, "likewise");
	disk.unknown = true;
	ok(stop(0) == 0 && !there("records"), "without a mark there are none");
	disk.unknown = false;
}

int main(void)
{
	struct reason why;
	char command[100];
	struct stat st = { 0 };
	unsigned wrong;

	begin_clock();
	if (mkdtemp(path) == NULL ||
	    disk_open(&disk, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), &why) < 0) {
		printf("Bail out! no directory\n");
		return 1;
	}
	records_init(&records);
	for (unsigned n = 0; n < MESSAGES; n++)
		add(n);
	uint64_t stop_us = stop(0);

	fstatat(disk.directory, "records", &st, 0);
	ok(stop_us != 0 && st.st_size > (1 << 20), "a stop writes %lld bytes",
	   (long long)st.st_size);
	unsigned right = taken(&wrong);

	ok(right == MESSAGES && wrong == 0, "all %u messages are as they were, %u are not", right,
	   wrong);
	other_marks();
	times();
	limits();
	close(disk.directory);
	string_print(command, sizeof command, "rm -rf %s", path);
	return system(command) == 0 ? tap_done() : 1;
}
