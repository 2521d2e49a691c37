/* SPDX-License-Identifier: ISC */
/*
 * The states of a queue file: a writer brings a message through the real writers.c to a real
 * directory, and at every step queued is killed, the power is cut, the writer goes, or queued is
 * stopped in good order. A power cut leaves any of the pieces that were not synced, and the file as
 * long as it was or ending with the last piece that is left. The real recover.c makes of it what it
 * does; what was acknowledged must be in the queue, what was not must be whole there or kept, and
 * nothing that has a byte in it may be gone.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/queue/checksum.h"
#include "queue/queued/recover.h"
#include "queue/queued/writers.h"
#include "t/tap.h"
#include "t/unit/queuefakes.h"

enum { TEXT_BYTES = 6000, HALF = 3000, FILE_MAX = 16384, NOW_MS = 1000000 };

/* How far the writer has come; SAID: it says so and queued has not read it. */
enum step { OPENED, HALF_WRITTEN, WRITTEN, SEALED, COMMITTED, SYNCED, SAID, LIVE, STEPS };
static const char *const step_names[] = { "opened",    "half written", "written",      "sealed",
	                                  "committed", "synced",       "acknowledged", "heard" };

/* What a power cut may leave of it. */
enum { HEADER = 1, FIRST_HALF = 2, SECOND_HALF = 4, ENVELOPE = 8, PIECES = 4, ALL = 15 };

struct bytes {
	char data[FILE_MAX];
	size_t len;
};

static struct settings settings = { .message_size_max_bytes = 1 << 20, .recipients_max = 100 };
static struct disk disk;
static struct records records;
static struct journal journal;
static struct writers *writers;
static char text_sent[TEXT_BYTES];
static char directory[] = "/tmp/queuecrash.XXXXXX";
static int file_fd, answer;
/* Who writes what; WHOLE: the writer all of it at once, when it has the header for it. */
static enum way { QUEUED_WRITES_ENVELOPE, WRITER_WRITES_ENVELOPE, WHOLE, WAYS } way;
static uint64_t message_id, next_id;
static char header[QUEUE_HEADER_BYTES];
static struct message *accepted;
static unsigned found_count, found_recipients;
static uint64_t found_id;

static void sent(struct hub_line *line, const struct wire_out *out)
{
	(void)line;
	struct wire_in in = { .rest = view_skip(text_view(&out->bytes), 1) };
	struct spool_sealed sealed;
	struct spool_file file;

	answer = (unsigned char)out->bytes.raw[0];
	if (answer != SPOOL_FILE && answer != SPOOL_SEALED)
		return;
	in.fds[in.fd_count++] = dup(out->fds[0]);
	if (answer == SPOOL_FILE && spool_file_get(&in, &file)) {
		queue_id_parse(view_of(file.id), &message_id);
		queue_id_parse(view_of(file.next), &next_id);
		file_fd = file.fd;
	} else if (spool_sealed_get(&in, &sealed)) {
		queue_id_parse(view_of(sealed.id), &message_id);
		queue_id_parse(view_of(sealed.next), &next_id);
		memcpy(header, sealed.header, sizeof header);
		file_fd = sealed.fd;
	}
}

static void dropped(const char *why)
{
	printf("# a writer's line is dropped: %s\n", why);
}

static void take(void *context, struct message *m)
{
	(void)context;
	accepted = m;
}

static void found(void *context, struct message *m, int64_t next_wall_ms)
{
	(void)context;
	(void)next_wall_ms;
	found_count++;
	found_id = m->id;
	found_recipients = m->recipient_count;
	message_free(&m);
}

static struct hub_line *say(const struct wire_out *out)
{
	struct hub_line *line = fakes_hubs[0].lines[0];

	line->server->message(line,
	                      &(struct wire_in){ .type = (unsigned char)out->bytes.raw[0],
	                                         .rest = view_skip(text_view(&out->bytes), 1) });
	return line;
}

static void commit(void)
{
	static struct wire_out out;
	struct envelope e = { .sender = "s@x.test" };
	struct spool_message m = { .bytes = TEXT_BYTES };
	struct envelope_recipient to = { .address = "a@x.test" };
	struct spool_open open = { .uid = 0 };

	crypto_generichash(m.checksum, sizeof m.checksum, (const unsigned char *)text_sent,
	                   TEXT_BYTES, NULL, 0);
	queue_id_text(next_id, open.id);
	if (way == WHOLE)
		spool_whole_put(&out, &open, &e, &m);
	else
		spool_commit_put(&out, &e, &m);
	envelope_recipient_put(&out, &to);
	string_put(to.address, sizeof to.address, VIEW("b@x.test"));
	envelope_recipient_put(&out, &to);
	say(&out);
}

static void write_envelope(void)
{
	struct envelope e = { .sender = "s@x.test" };
	struct envelope_recipient to = { .address = "a@x.test" };
	struct text lines;

	text_init(&lines, FILE_MAX);
	queue_envelope_encode(&lines, &e);
	queue_recipient_encode(&lines, &to);
	string_put(to.address, sizeof to.address, VIEW("b@x.test"));
	queue_recipient_encode(&lines, &to);
	if (pwrite(file_fd, text_string(&lines), lines.len, QUEUE_HEADER_BYTES + TEXT_BYTES) < 0)
		printf("# the envelope cannot be written\n");
	text_free(&lines);
}

static void write_text(size_t from, size_t to)
{
	if (pwrite(file_fd, text_sent + from, to - from, (off_t)(QUEUE_HEADER_BYTES + from)) < 0)
		printf("# the text cannot be written\n");
}

static void write_header(void)
{
	if (pwrite(file_fd, header, sizeof header, 0) < 0)
		printf("# the header cannot be written\n");
}

/* The file of the message before has named the id. */
static void begin_whole(struct wire_out *out)
{
	wire_begin(out, SPOOL_ABANDON);
	say(out);
	close(file_fd);
	commit();
}

/* A new queued, and its writer up to this step. */
static void begin(enum step step)
{
	static struct wire_out out;

	fakes_hubs_forget();
	fakes_loop_forget();
	fakes_unread = 0;
	accepted = NULL;
	fakes_now_ms++;
	writers = writers_start(&(struct writers_setup){ .loop = fakes_loop,
	                                                 .settings = &settings,
	                                                 .disk = &disk,
	                                                 .journal = &journal,
	                                                 .accepted = take });
	fakes_worker_comes(&fakes_hubs[0]);
	spool_open_put(&out, &(struct spool_open){ .announced_bytes = TEXT_BYTES });
	say(&out);
	if (way == WHOLE)
		begin_whole(&out);
	if (step >= HALF_WRITTEN)
		write_text(0, HALF);
	if (step >= WRITTEN)
		write_text(HALF, TEXT_BYTES);
	if (step >= WRITTEN && way != QUEUED_WRITES_ENVELOPE)
		write_envelope();
	if (step >= HALF_WRITTEN && way == WHOLE)
		write_header();
	if (step >= SEALED && way != WHOLE)
		commit();
	if (step >= SYNCED)
		fsync(file_fd);
	if (step == SAID)
		fakes_unread = SPOOL_LIVE;
	if (step >= LIVE) {
		wire_begin(&out, SPOOL_LIVE);
		say(&out);
	}
}

static void path_of(enum queuedir_place place, char out[QUEUEDIR_NAME_MAX])
{
	char id[QUEUE_ID_CHARS + 1];

	queue_id_text(message_id, id);
	if (place == QUEUEDIR_LIVE)
		queuedir_name(message_id, out);
	else
		snprintf(out, QUEUEDIR_NAME_MAX, "%s/%s",
		         place == QUEUEDIR_TORN ? "torn" : "damaged", id);
}

static bool read_file(enum queuedir_place place, struct bytes *b)
{
	char path[QUEUEDIR_NAME_MAX];

	path_of(place, path);
	int fd = openat(disk.directory, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	ssize_t n = pread(fd, b->data, sizeof b->data, 0);

	b->len = n > 0 ? (size_t)n : 0;
	close(fd);
	return true;
}

static void write_file(const struct bytes *b)
{
	char path[QUEUEDIR_NAME_MAX];

	path_of(QUEUEDIR_LIVE, path);
	int fd = openat(disk.directory, path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, b->data, b->len) < 0)
		printf("# the file cannot be written\n");
	close(fd);
}

static void remove_file(void)
{
	char path[QUEUEDIR_NAME_MAX];

	for (enum queuedir_place place = QUEUEDIR_LIVE; place <= QUEUEDIR_TORN; place++) {
		path_of(place, path);
		unlinkat(disk.directory, path, 0);
	}
	unlinkat(disk.directory, "clean", 0);
	close(file_fd);
	fakes_memory_forget();
}

/* ---- what is left ---- */

static const struct {
	size_t from, to; /* 0: the end */
} pieces[PIECES] = { { 0, QUEUE_HEADER_BYTES },
	             { QUEUE_HEADER_BYTES, QUEUE_HEADER_BYTES + HALF },
	             { QUEUE_HEADER_BYTES + HALF, QUEUE_HEADER_BYTES + TEXT_BYTES },
	             { QUEUE_HEADER_BYTES + TEXT_BYTES, 0 } };

/* Of what was written these pieces are there; `is_short`: and nothing behind the last of them. */
static void leave(const struct bytes *written, unsigned left, bool is_short, struct bytes *b)
{
	size_t end = 0;

	memset(b->data, 0, sizeof b->data);
	for (unsigned p = 0; p < PIECES; p++) {
		size_t to =
			pieces[p].to && pieces[p].to < written->len ? pieces[p].to : written->len;

		if (!(left >> p & 1) || pieces[p].from >= to)
			continue;
		memcpy(b->data + pieces[p].from, written->data + pieces[p].from,
		       to - pieces[p].from);
		end = to;
	}
	b->len = is_short ? end : written->len;
}

static bool same(const struct bytes *a, const struct bytes *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* The start; twice, since it may be interrupted at any time. What is wrong with what it made of
 * `before`; NULL: nothing. */
static const char *judge(const struct bytes *before, const struct bytes *whole, bool acknowledged)
{
	static struct bytes now;
	struct reason why;

	for (unsigned turn = 0; turn < 2; turn++) {
		found_count = 0;
		struct recovery *r =
			recovery_begin(&(struct recovery_setup){ .disk = &disk, .found = found },
		                       &why);

		if (r == NULL)
			return "the start fails";
		while (recovery_step(r))
			;
		if (recovery_serve(r, &why) < 0)
			return "the mark stays";
		if (acknowledged && (found_count != 1 || found_recipients != 2))
			return "an acknowledged message is not in the queue";
		if (found_count &&
		    (!read_file(QUEUEDIR_LIVE, &now) || now.len < whole->len ||
		     memcmp(now.data + QUEUE_HEADER_BYTES, whole->data + QUEUE_HEADER_BYTES,
		            whole->len - QUEUE_HEADER_BYTES) != 0))
			return "a message is delivered that is not whole";
		if (found_count == 0 && before->len > 0 &&
		    !(read_file(QUEUEDIR_TORN, &now) && same(&now, before)))
			return "what has a byte in it is gone, or counts as damaged";
		if (found_count == 0 && read_file(QUEUEDIR_LIVE, &now))
			return "what is not taken stays";
	}
	return NULL;
}

/* ---- the cases ---- */

static unsigned cases, wrongs;

static void tell(const char *wrong, enum step step, const char *what, unsigned left, bool is_short)
{
	cases++;
	if (wrong == NULL)
		return;
	wrongs++;
	printf("# %s, %s%s%s%s%s%s: %s\n", step_names[step], what, left & HEADER ? ", header" : "",
	       left & FIRST_HALF ? ", half of the text" : "",
	       left & SECOND_HALF ? ", the other half" : "", left & ENVELOPE ? ", envelope" : "",
	       is_short ? ", cut" : "", wrong);
}

/* Between the two writes of a commit there is no stopping here: the header is taken out. */
static void bring(enum step step, struct bytes *written)
{
	begin(step);
	read_file(QUEUEDIR_LIVE, written);
	if (step == SEALED && way != WHOLE)
		memset(written->data, 0, QUEUE_HEADER_BYTES);
}

static void kills(enum step step, const struct bytes *whole)
{
	static struct bytes written;

	bring(step, &written);
	write_file(&written);
	tell(judge(&written, whole, step >= SAID), step, "kill -9", ALL, false);
	remove_file();
}

static void cuts(enum step step, const struct bytes *whole)
{
	static struct bytes written, left;

	for (unsigned pieces_left = 0; pieces_left <= ALL; pieces_left++)
		for (int is_short = 0; is_short < 2; is_short++) {
			bring(step, &written);
			leave(&written, pieces_left, is_short, &left);
			write_file(&left);
			tell(judge(&left, whole, false), step, "power cut", pieces_left, is_short);
			remove_file();
		}
}

/* Synced: only the live byte can be another. */
static void cuts_after_sync(enum step step, const struct bytes *whole)
{
	static struct bytes written;

	bring(step, &written);
	written.data[QUEUE_STATE_OFFSET] = QUEUE_COMMITTED;
	write_file(&written);
	tell(judge(&written, whole, step >= SAID), step, "power cut", ALL, false);
	remove_file();
}

/* The writer goes, or queued is stopped: what was not acknowledged is not in the queue. */
static void ends(enum step step, bool stops)
{
	static struct bytes now;
	bool there;

	begin(step);
	if (stops) {
		writers_stop(writers);
		writers_end(writers);
		disk_put_clean_mark(&disk);
	} else {
		fakes_worker_dies(fakes_hubs[0].lines[0]);
		fakes_hubs_run_due();
	}
	there = read_file(QUEUEDIR_LIVE, &now);
	tell(there != (step >= SAID)            ? "it stays, or goes, and must not"
	     : there && judge(&now, &now, true) ? "it is not found again"
	                                        : NULL,
	     step, stops ? "orderly stop" : "the writer goes", ALL, false);
	remove_file();
}

/* A hand sets a file aside that the start has not come to, and it is restored: it is one message.
 */
static void taken_meanwhile(void)
{
	static struct bytes written;
	const struct recovery_setup setup = { .disk = &disk, .found = found };
	struct reason why = { "" };
	uint32_t all, left;
	struct recovery *r;

	bring(LIVE, &written);
	found_count = 0;
	r = recovery_begin(&setup, &why);
	left = recovery_left(r, &all);
	ok(left == 1 && recover_one(r, &setup, message_id, &why) == 0 && found_count == 1,
	   "one that the start has not come to is taken (%s)", why.text);
	while (recovery_step(r))
		;
	ok(found_count == 1, "and not once more by the start (%u)", found_count);
	remove_file();
}

/* Of all directories of the queue. */
static void move_directories(const char *from, const char *to)
{
	for (unsigned i = 0; i < QUEUEDIR_DIRECTORIES; i++) {
		char old[QUEUEDIR_NAME_MAX], new[QUEUEDIR_NAME_MAX];

		snprintf(old, sizeof old, "%s%02x", from, i);
		snprintf(new, sizeof new, "%s%02x", to, i);
		if (renameat(disk.directory, old, disk.directory, new) < 0)
			printf("# a directory cannot be moved\n");
	}
}

/* While no file can be made, ids stay with the clock. */
static void no_directories(void)
{
	uint64_t id;
	int fd = -1;

	move_directories("", "away-");
	for (unsigned n = 0; n < 50 && fd < 0; n++)
		fd = disk_create(&disk, &(uint64_t){ 0 });
	ok(fd < 0, "without directories no file is made");
	move_directories("away-", "");
	id = disk_next_id(&disk);
	fd = disk_create(&disk, &id);
	ok(fd >= 0 && (int64_t)(id >> 12) < clock_wall_us() + 300 * INT64_C(1000000),
	   "and then by an id that is not of a later hour");
	close(fd);
	message_id = id;
	remove_file();
}

/* A control: what a power cut may do to a file that nobody synced must be seen. */
static void control(const struct bytes *whole)
{
	static struct bytes written, left;

	bring(LIVE, &written);
	leave(&written, HEADER | ENVELOPE, false, &left);
	write_file(&left);
	ok(judge(&left, whole, true) != NULL,
	   "control: an acknowledged message that was not synced");
	remove_file();
}

int main(void)
{
	static struct bytes whole;
	struct reason why;

	fakes_no_random();
	fakes_now_ms = NOW_MS;
	fakes_sent = sent;
	fakes_dropped = dropped;
	for (unsigned i = 0; i < TEXT_BYTES; i++)
		text_sent[i] = i % 64 == 63 ? '\n' : (char)('a' + i % 26);
	records_init(&records);
	journal_init(&journal, &disk, &records);
	fakes_memory_permanent();
	if (mkdtemp(directory) == NULL ||
	    disk_open(&disk, open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), &why) < 0) {
		printf("Bail out! no directory\n");
		return 1;
	}
	checksum_start();
	bring(LIVE, &whole);
	ok(answer == SPOOL_COMMITTED && accepted != NULL && accepted->recipient_count == 2,
	   "a writer brings a message");
	remove_file();
	for (unsigned turn = 0; turn < WAYS * STEPS; turn++) {
		enum step step = turn % STEPS;

		way = turn / STEPS;
		kills(step, &whole);
		ends(step, false);
		ends(step, true);
		if (step < SYNCED)
			cuts(step, &whole);
		else
			cuts_after_sync(step, &whole);
	}
	ok(wrongs == 0, "%u ends of a file that is being written", cases);
	way = QUEUED_WRITES_ENVELOPE;
	taken_meanwhile();
	no_directories();
	control(&whole);
	char command[64];

	snprintf(command, sizeof command, "rm -rf %s", directory);
	return system(command) != 0 || tap_done();
}
