/* SPDX-License-Identifier: ISC */
#include "t/unit/queuedisk.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/queue/queuelog.h"

enum { BASE_MAX = 4096, LOG_MAX = 16384, UNITS_MAX = 64, LISTED_MAX = 16 };

static const char message_text[] = "Subject: explored\n\nText\n";

/* A record that was written and not synced. */
struct unit {
	uint32_t at, bytes, len;
};

struct file {
	bool there, aside, removed, damaged;
	char base[BASE_MAX]; /* header, message, envelope */
	size_t base_len;
	struct queue_header header;
	unsigned envelope_count;
	char addresses[3][32];
	/* The log: what a reader sees, and what is synced. */
	char log[LOG_MAX], synced[LOG_MAX];
	size_t log_len, synced_len;
	struct unit units[UNITS_MAX];
	unsigned unit_count;
	char unit_bytes[LOG_MAX];
	uint32_t unit_bytes_len;
};

static struct file files[DISK_FILES];
static struct queue_key key;
static const char *dropped_word;
static bool fills;
static uint64_t clean_until;
static int refuses_open; /* how it fails; 0: it does not */
static bool away;        /* was the file, when it was opened the last time? */

void disk_begin(const char *drops)
{
	static const unsigned char secret[QUEUE_SECRET_BYTES];

	for (unsigned n = 0; n < DISK_FILES; n++)
		memset(&files[n], 0, offsetof(struct file, base));
	dropped_word = drops;
	fills = away = false;
	clean_until = 0;
	refuses_open = 0;
	queue_key_derive(&key, secret);
}

static struct file *file_of(uint64_t id)
{
	return &files[id - DISK_FIRST_ID];
}

void disk_accept(unsigned n, const struct envelope *e, const struct envelope_recipient *to,
                 unsigned count, struct queue_header *header)
{
	static struct text envelope;
	struct file *f = &files[n];

	if (envelope.max == 0)
		text_init(&envelope, BASE_MAX / 2);
	text_clear(&envelope);
	queue_envelope_encode(&envelope, e);
	memset(f, 0, sizeof *f);
	for (unsigned i = 0; i < count; i++) {
		queue_recipient_encode(&envelope, &to[i]);
		string_put(f->addresses[i], sizeof f->addresses[i], view_of(to[i].address));
	}
	f->envelope_count = count;
	*header = (struct queue_header){ .id = DISK_FIRST_ID + n,
		                         .state = QUEUE_LIVE,
		                         .message_bytes = sizeof message_text - 1,
		                         .envelope_bytes = envelope.len,
		                         .arrived_us = clock_wall_us() };
	crypto_generichash(header->checksum, sizeof header->checksum,
	                   (const unsigned char *)message_text, sizeof message_text - 1, NULL, 0);
	queue_header_encode(header, text_view(&envelope), &key, f->base);
	memcpy(f->base + QUEUE_HEADER_BYTES, message_text, sizeof message_text - 1);
	memcpy(f->base + QUEUE_HEADER_BYTES + sizeof message_text - 1, text_string(&envelope),
	       envelope.len);
	f->base_len = QUEUE_HEADER_BYTES + sizeof message_text - 1 + envelope.len;
	f->header = *header;
	f->there = true;
}

/* ---- disk.h ---- */

static void write_at(char *log, size_t *len, const struct unit *u, const char *bytes, size_t count)
{
	if (u->at > *len)
		memset(log + *len, 0, u->at - *len);
	memcpy(log + u->at, bytes, count);
	if (u->at + count > *len)
		*len = u->at + count;
}

static void write_record(struct file *f, size_t at, struct view record)
{
	struct unit u = { (uint32_t)at, f->unit_bytes_len, (uint32_t)record.len };

	if (f->unit_count == UNITS_MAX || at + record.len > LOG_MAX ||
	    f->unit_bytes_len + record.len > LOG_MAX) {
		printf("Bail out! a log of more than %d records\n", UNITS_MAX);
		exit(1);
	}
	memcpy(f->unit_bytes + u.bytes, record.data, record.len);
	f->unit_bytes_len += u.len;
	f->units[f->unit_count++] = u;
	write_at(f->log, &f->log_len, &u, record.data, record.len);
}

static bool is_dropped(struct view record)
{
	struct view word;

	return dropped_word && view_cut(&record, ' ', &word) &&
	       view_equal(word, view_of(dropped_word));
}

int disk_append(struct disk *d, uint64_t id, uint64_t *end, struct view records, bool anew)
{
	struct file *f = file_of(id);
	size_t at = *end - f->base_len;
	bool full = fills;

	d->key = key;
	if (!f->there) {
		errno = ENOENT;
		return -1;
	}
	fills = false;
	for (struct view rest = view_take(records, full ? records.len * 2 / 3 : records.len);
	     rest.len;) {
		size_t len = view_find(rest, '\n');
		struct view record = view_take(rest, len < rest.len ? len + 1 : len);

		rest = view_skip(rest, record.len);
		if (is_dropped(record))
			continue;
		write_record(f, at, record);
		at += record.len;
	}
	errno = ENOSPC;
	if (full)
		return -1;
	if (anew)
		f->log_len = at;
	*end = f->base_len + at;
	return 0;
}

int disk_remove(struct disk *d, uint64_t id)
{
	struct file *f = file_of(id);

	(void)d;
	errno = ENOENT;
	if (!f->there)
		return -1;
	f->there = false;
	f->removed = true;
	return 0;
}

int disk_set_aside(struct disk *d, uint64_t id, enum queuedir_place place,
                   char to[QUEUEDIR_NAME_MAX])
{
	struct file *f = file_of(id);

	(void)d;
	(void)place;
	to[0] = '\0';
	f->there = false;
	f->aside = true;
	return 0;
}

int disk_message(struct disk *d, const struct queue_header *taken, struct queue_header *header,
                 bool *damaged)
{
	struct file *f = file_of(taken->id);

	(void)d;
	*damaged = f->there && f->damaged;
	errno = f->there ? refuses_open : ENOENT;
	away = errno == ENOENT;
	if (!f->there || f->damaged || refuses_open) {
		if (f->there)
			refuses_open = 0;
		return -1;
	}
	*header = f->header;
	/* Zeros: whoever asks whether the text is what came sees that it is not. */
	return open("/dev/zero", O_RDONLY | O_CLOEXEC);
}

int disk_reader(struct disk *d, uint64_t id)
{
	const struct file *f = file_of(id);
	int fd = memfd_create("queue file", MFD_CLOEXEC);

	(void)d;
	if (fd < 0 || write(fd, f->base, f->base_len) < 0 || write(fd, f->log, f->log_len) < 0)
		printf("# a file cannot be made: %s\n", strerror(errno));
	return fd;
}

uint64_t disk_space(const struct disk *d)
{
	(void)d;
	return UINT64_MAX;
}

uint64_t disk_was_clean(struct disk *d)
{
	d->key = key;
	return clean_until;
}

int disk_limit_clean_mark(struct disk *d, uint64_t until)
{
	(void)d;
	clean_until = until;
	return 0;
}

int disk_forget_clean_mark(struct disk *d, struct reason *why)
{
	(void)d;
	(void)why;
	clean_until = 0;
	return 0;
}

int disk_scan(struct disk *d, void (*found)(void *context, uint64_t id), void *context,
              struct reason *why)
{
	(void)d;
	(void)why;
	for (unsigned n = 0; n < DISK_FILES; n++)
		if (files[n].there)
			found(context, DISK_FIRST_ID + n);
	return 0;
}

void disk_note_odd(struct disk *d, enum queuedir_kind kind, const char *name)
{
	(void)d;
	(void)kind;
	(void)name;
}

/* ---- what can happen ---- */

void disk_fill(void)
{
	fills = true;
}

void disk_refuse_open(int error)
{
	refuses_open = error;
}

bool disk_was_away(void)
{
	return away || refuses_open == ENOENT;
}

void disk_damage(unsigned n)
{
	files[n].damaged = true;
}

void disk_unlink(unsigned n)
{
	files[n].there = false;
}

static void sync_file(struct file *f)
{
	memcpy(f->synced, f->log, f->log_len);
	f->synced_len = f->log_len;
	f->unit_count = 0;
	f->unit_bytes_len = 0;
}

void disk_stop(bool unknown)
{
	for (unsigned n = 0; n < DISK_FILES; n++) {
		sync_file(&files[n]);
		files[n].removed = false;
	}
	fills = false; /* there is room again */
	if (!unknown)
		clean_until = UINT64_MAX;
}

unsigned disk_unsynced(void)
{
	unsigned sum = 0;

	for (unsigned n = 0; n < DISK_FILES; n++)
		if (files[n].there)
			sum += files[n].unit_count;
	return sum;
}

static void cut_file(struct file *f, unsigned unit, bool hole)
{
	memcpy(f->log, f->synced, f->synced_len);
	f->log_len = f->synced_len;
	for (unsigned u = 0; u < f->unit_count; u++) {
		const struct unit *now = &f->units[u];

		if (hole ? u != unit : u < unit)
			write_at(f->log, &f->log_len, now, f->unit_bytes + now->bytes, now->len);
		else if (u == unit && !hole)
			write_at(f->log, &f->log_len, now, f->unit_bytes + now->bytes,
			         now->len / 2);
	}
	sync_file(f);
}

void disk_cut(unsigned unit, bool hole)
{
	for (unsigned n = 0; n < DISK_FILES; n++) {
		unsigned count = files[n].unit_count;

		if (!files[n].there)
			continue;
		if (unit <= count || !hole)
			cut_file(&files[n], unit, hole);
		unit -= unit < count ? unit : count;
	}
	fills = false;
	refuses_open = 0;
}

bool disk_may_come_back(unsigned n)
{
	return files[n].removed && !files[n].there;
}

void disk_come_back(unsigned n)
{
	files[n].there = true;
	files[n].removed = false;
	for (unsigned other = 0; other < DISK_FILES; other++)
		sync_file(&files[other]);
}

/* ---- what is there ---- */

bool disk_file_is_there(unsigned n)
{
	return files[n].there;
}

bool disk_file_is_aside(unsigned n)
{
	return files[n].aside;
}

/* The last record about this address; QUEUE_EVENTS: none. */
static enum queue_event last_about(unsigned n, const char *address)
{
	static struct queue_log l;
	const struct file *f = &files[n];
	char listed[LISTED_MAX][32];
	unsigned count = f->envelope_count, known = count, alias = 0;
	enum queue_event last = QUEUE_EVENTS;
	struct view rest = { f->log, f->log_len };

	memcpy(listed, f->addresses, sizeof f->addresses);
	while (queue_log_next(&rest, &key, DISK_FIRST_ID + n, &l, NULL)) {
		if ((l.event == QUEUE_NEW || l.event == QUEUE_EXPANDED) && l.index != alias) {
			count = known;
			alias = l.index;
		}
		if (l.event == QUEUE_NEW && l.number >= known && l.number <= count &&
		    l.number < LISTED_MAX) {
			count = l.number + 1;
			string_put(listed[l.number], sizeof listed[0],
			           view_of(l.recipient.address));
		} else if (l.event == QUEUE_EXPANDED) {
			known = count = l.number == count && l.first == known ? count : known;
		} else if ((l.event == QUEUE_DONE || l.event == QUEUE_RETRY ||
		            l.event == QUEUE_FAILED || l.event == QUEUE_SUCCESS) &&
		           l.index < known && strcmp(listed[l.index], address) == 0) {
			last = l.event;
		}
	}
	return last;
}

bool disk_says_done(unsigned n, const char *address)
{
	enum queue_event last = last_about(n, address);

	return last == QUEUE_DONE || last == QUEUE_SUCCESS;
}

bool disk_says_finished(unsigned n, const char *address)
{
	return last_about(n, address) == QUEUE_DONE;
}

bool disk_says_failed(unsigned n, const char *address)
{
	enum queue_event last = last_about(n, address);

	return last == QUEUE_DONE || last == QUEUE_FAILED;
}

unsigned disk_bad_records(unsigned n)
{
	static struct queue_log l;
	struct view rest = { files[n].log, files[n].log_len };
	unsigned bad = 0;

	while (queue_log_next(&rest, &key, DISK_FIRST_ID + n, &l, &bad))
		;
	return bad;
}

uint64_t disk_mix(uint64_t hash, uint64_t n)
{
	hash = (hash ^ n) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

uint64_t disk_hash(unsigned n)
{
	static struct queue_log l;
	const struct file *f = &files[n];
	struct view rest = { f->log, f->log_len };
	unsigned bad = 0;
	uint64_t hash = (unsigned)(f->there | f->aside << 1 | f->removed << 2 | f->damaged << 3 |
	                           fills << 5) |
	                (unsigned)refuses_open << 6 | (uint64_t)away << 16;

	while (queue_log_next(&rest, &key, DISK_FIRST_ID + n, &l, &bad)) {
		hash = disk_mix(hash, l.event | l.index << 4 | l.number << 10 |
		                              (uint64_t)(unsigned char)l.status[0] << 20);
		if (l.event == QUEUE_ATTEMPT)
			hash = disk_mix(hash, (uint64_t)(l.time_s - clock_wall_s()));
	}
	hash = disk_mix(hash, bad | rest.len << 8);
	return disk_mix(hash, f->unit_count);
}
