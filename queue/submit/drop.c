/* SPDX-License-Identifier: ISC */
/*
 * drop leaves a message in the drop directory while the house is down; sendmail runs it and writes
 * the message to its standard input, framed as lib/wire/submit.h has it.
 *
 * Runs as whoever submits, with the group _phdrop (setgid), which may add files to the directory
 * and not list it.
 * It trusts its caller in nothing: arguments are refused, the environment is not read (unless it
 * runs without any privilege, in a test), the frames are checked for form and size. Reads:
 * posthouse.conf, for drop.directory and directory.state, and in these what tells that the
 * directory is the house's own (lib/conf/places.h). Writes: one new file, whose owner is the
 * caller, and the list of the caller's (dropshare.h); pickup believes that owner and nothing else.
 * Who owns it can fill the drop directory with mail in their own name.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/conf/places.h"
#include "lib/queue/checksum.h"
#include "lib/wire/submit.h"
#include "queue/submit/dropshare.h"
#include "queue/submit/paths.h"

enum {
	READ_BYTES = 65536,
	NAME_BYTES = 80,
	DESCRIPTORS_MAX = 64,
	MEMORY_MAX_BYTES = 256 << 20,
	BESIDE_BYTES = 64 << 20 /* what frames and recipients may have beside the message */
};

/* Whole frames only, the last of them the end. */
struct check {
	struct text held;
	uint64_t bytes;
	bool ended;
	struct checksum *sum; /* of what is written */
	const struct dropshare *share;
	uint64_t looked_at; /* bytes, then */
};

static bool check_frames(struct check *c)
{
	struct view rest = text_view(&c->held);
	struct wire_in in;
	int more;

	while ((more = submit_frame_next(&rest, &in)) > 0) {
		if (c->ended || in.type < SUBMIT_ENVELOPE || in.type > SUBMIT_END)
			return false;
		c->ended = in.type == SUBMIT_END;
	}
	text_drop_front(&c->held, c->held.len - rest.len);
	return more == 0;
}

static int write_summed(int out, struct view bytes, struct check *c)
{
	checksum_add(c->sum, bytes);
	return write_whole(out, bytes.data, bytes.len);
}

/* Is there still room for what is written? */
static bool has_room(struct check *c)
{
	struct reason why;

	if (c->bytes - c->looked_at < DROPSHARE_STEP_BYTES)
		return true;
	c->looked_at = c->bytes;
	if (dropshare_holds(c->share, &why) == 0)
		return true;
	log_warn("%s", why.text);
	return false;
}

static int copy_frames(int out, uint64_t bytes_max, struct check *c)
{
	static char buffer[READ_BYTES];
	ssize_t n;

	while ((n = file_read_some(STDIN_FILENO, buffer, sizeof buffer)) != 0) {
		if (n < 0)
			return EXIT_TEMPORARY;
		c->bytes += (uint64_t)n;
		if (c->bytes > bytes_max ||
		    !text_add(&c->held, (struct view){ buffer, (size_t)n }) || !check_frames(c))
			return EXIT_PERMANENT;
		if (write_summed(out, (struct view){ buffer, (size_t)n }, c) < 0 || !has_room(c))
			return EXIT_TEMPORARY;
	}
	return c->ended && c->held.len == 0 ? EXIT_DONE : EXIT_PERMANENT;
}

/* What is whole from here on is sent sometime, named or not: nobody but a crash comes between that
 * and the caller's being told. */
static void see_it_through(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

/* The line that tells the form, the messages, the sum: what differs in a bit later is not sent. */
static int copy(int out, uint64_t bytes_max, const struct dropshare *share)
{
	struct check c = { .sum = checksum_new(), .share = share };
	uint8_t sum[SPOOL_CHECKSUM_BYTES];

	text_init(&c.held, READ_BYTES + WIRE_MESSAGE_MAX + 4);
	checksum_begin(c.sum);
	int code = write_summed(out, VIEW(SUBMIT_DROP_MARK), &c) < 0
	                   ? EXIT_TEMPORARY
	                   : copy_frames(out, bytes_max, &c);

	checksum_end(c.sum, sum);
	if (code == EXIT_DONE)
		see_it_through();
	if (code == EXIT_DONE && write_whole(out, sum, sizeof sum) < 0)
		code = EXIT_TEMPORARY;
	text_free(&c.held);
	free(c.sum);
	return code;
}

/* The directory cannot be opened for a sync; the file's own carries its new name along. Where that
 * fails the name may go with the next power cut: the caller keeps the message, and what pickup has
 * not taken yet is taken back. */
static int publish(int directory, int fd, const char *temporary, const char *final)
{
	if (fsync(fd) < 0 || renameat(directory, temporary, directory, final) < 0) {
		log_warn("storing the message: %m");
		return EXIT_TEMPORARY;
	}
	if (fsync(fd) == 0)
		return EXIT_DONE;
	log_warn("syncing the message: %m");
	if (unlinkat(directory, final, 0) < 0)
		log_warn("the message cannot be taken back, and may be sent all the same: %m");
	return EXIT_TEMPORARY;
}

/* The caller keeps the message. What cannot be removed is made one that was never finished. */
static void take_back(int directory, int fd, const char *temporary)
{
	if (unlinkat(directory, temporary, 0) < 0 && errno != ENOENT && ftruncate(fd, 0) < 0)
		log_warn("the message cannot be taken back, and may be sent all the same: %m");
}

/* Under a name that pickup passes over; final: its own. */
static int make_file(int directory, char temporary[NAME_BYTES], char final[NAME_BYTES])
{
	int fd = -1;

	for (unsigned turn = 0; turn < 100 && fd < 0; turn++) {
		long long stamp = (long long)clock_wall_us();

		string_print(final, NAME_BYTES, "%lld-%ld-%u", stamp, (long)getpid(), turn);
		string_print(temporary, NAME_BYTES, ".new-%s", final);
		fd = openat(directory, temporary,
		            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd >= 0)
		fchmod(fd, 0640); /* pickup is in the group; without it pickup says so */
	return fd;
}

/* Synced, then its own name: a crash leaves a whole file or none. */
static int leave(const struct dropshare *share, uint64_t bytes_max)
{
	char temporary[NAME_BYTES], final[NAME_BYTES];
	int fd = make_file(share->directory, temporary, final), code = EXIT_TEMPORARY;
	struct reason why;

	if (fd < 0) {
		log_warn("the drop directory: %m");
		return EXIT_TEMPORARY;
	}
	if (dropshare_enter(share, final, &why) < 0)
		log_warn("%s", why.text);
	else
		code = copy(fd, bytes_max, share);
	if (code == EXIT_DONE)
		code = publish(share->directory, fd, temporary, final);
	if (code != EXIT_DONE)
		take_back(share->directory, fd, temporary);
	close(fd);
	return code;
}

static void lower(int resource, rlim_t most)
{
	struct rlimit r;

	if (getrlimit(resource, &r) < 0 || r.rlim_max <= most)
		return;
	r.rlim_cur = r.rlim_max = most;
	setrlimit(resource, &r);
}

/* Whatever the caller's limits; who could exploit the check of the frames gets no further. */
static void bound(uint64_t bytes_max)
{
	signal(SIGXFSZ, SIG_IGN);
	lower(RLIMIT_FSIZE, bytes_max + SPOOL_CHECKSUM_BYTES + sizeof SUBMIT_DROP_MARK);
	lower(RLIMIT_NOFILE, DESCRIPTORS_MAX);
#ifndef __SANITIZE_ADDRESS__
	lower(RLIMIT_DATA, MEMORY_MAX_BYTES);
#endif
}

int main(int argc, char **argv)
{
	struct paths paths;
	const struct rlimit no_core = { 0, 0 };

	(void)argv;
	log_open("drop");
	log_plain();
	/* The caller chose our descriptors and limits: a message must not go into what was
	 * left closed. */
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return EXIT_TEMPORARY;
	setrlimit(RLIMIT_CORE, &no_core);
	umask(027);
	if (argc > 1) {
		log_warn("sendmail runs this program; it takes no arguments");
		return EXIT_PERMANENT;
	}
	struct reason why;

	if (paths_find(&paths, getauxval(AT_SECURE) == 0, &why) < 0) {
		log_warn("%s", why.text);
		return EXIT_TEMPORARY;
	}
	int directory = open(paths.drop, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* The group may not list it: search permission has to do. */
	if (directory < 0)
		directory = open(paths.drop, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0) {
		log_warn("%s: %m", paths.drop);
		return EXIT_TEMPORARY;
	}
	if (places_may_drop(paths.state, paths.drop, directory, &why) < 0) {
		log_warn("%s", why.text);
		return EXIT_TEMPORARY;
	}
	const uint64_t bytes_max = paths.message_size_max + BESIDE_BYTES;
	const struct dropshare share = { .directory = directory,
		                         .uid = getuid(),
		                         .space_min_bytes = paths.space_min,
		                         .bytes_max = DROPSHARE_BYTES_MAX + bytes_max };

	bound(bytes_max);
	return leave(&share, bytes_max);
}
