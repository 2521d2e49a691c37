/* SPDX-License-Identifier: ISC */
/* A limit of the process that is reached is told by its name, and is an error of whoever met it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "lib/base/bytes.h"
#include "lib/base/limits.h"
#include "lib/queue/spooling.h"
#include "t/said.h"
#include "t/tap.h"

enum { FILE_MAX_BYTES = 100000 };

static void set(int resource, rlim_t most)
{
	struct rlimit now;

	getrlimit(resource, &now);
	now.rlim_cur = most;
	setrlimit(resource, &now);
}

static rlim_t lower(int resource, rlim_t most)
{
	struct rlimit now;

	getrlimit(resource, &now);
	set(resource, most);
	return now.rlim_cur;
}

static void descriptors(void)
{
	struct wire_out out = { 0 };
	struct wire_in in;
	int ends[2];

	wire_pair(ends);
	wire_begin(&out, WIRE_GREETING);
	wire_put_fd(&out, dup(0));
	wire_send(ends[0], &out);
	wire_out_free(&out);
	said_begin();
	said_here();
	int next = dup(0);

	close(next);
	rlim_t before = lower(RLIMIT_NOFILE, (rlim_t)next);
	enum wire_result r = wire_receive(ends[1], &in);

	set(RLIMIT_NOFILE, before);
	ok(r == WIRE_ERROR, "a descriptor for which there is no number is not taken for none");
	ok(said("event=limit-reached limit=descriptors"), "and the log says which limit it was");
	close(ends[0]);
	close(ends[1]);
}

/* As a writer whose message is longer than any may be, or who has been taken over. */
static void file_size(void)
{
	static char block[FILE_MAX_BYTES];
	struct spool_writer w = { .queued = -1, .fd = -1 };
	struct spool_refusal why = { .status = "" };
	struct wire_out out = { 0 };
	char path[] = "/tmp/posthouse-bounds.XXXXXX";
	int ends[2], file = mkstemp(path);

	wire_pair(ends);
	w.queued = ends[0];
	spool_file_put(&out, &(struct spool_file){ "0123456789ab1", "", 512, file });
	wire_send(ends[1], &out);
	wire_out_free(&out);
	said_begin();
	said_here();
	signal(SIGXFSZ, SIG_IGN);
	rlim_t before = lower(RLIMIT_FSIZE, FILE_MAX_BYTES);
	bool begun = spool_begin(&w, &(struct spool_open){ .uid = 0 }, &why) == 0;
	int written = spool_write(&w, (struct view){ block, sizeof block }, &why);
	bool allocated = posix_fallocate(file, 0, (off_t)3 << 30) == 0;

	set(RLIMIT_FSIZE, before);
	ok(begun && written == -1 && strcmp(why.status, "4.3.0") == 0,
	   "a file that may not grow so far is a temporary failure");
	ok(!allocated, "nor can blocks be had beyond it");
	ok(said("event=limit-reached limit=file-size max=100000"), "and the log says why");
	unlink(path);
	close(file);
	close(ends[1]);
	spool_writer_free(&w);
}

static void memory(void)
{
	int status = 0;

#ifdef __SANITIZE_ADDRESS__
	ok(true, "memory # SKIP with a sanitizer it has no limit");
	return;
#endif
	fflush(stdout);
	said_begin();
	pid_t pid = fork();

	if (pid == 0) {
		said_here();
		set(RLIMIT_DATA, 64 << 20);
		set(RLIMIT_AS, (rlim_t)1 << 30);
		memory_get((size_t)2 << 30);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ok(status != 0 && said("event=limit-reached limit=memory max=67108864"),
	   "memory that is not to be had ends the program, with a word of its limit");
}

static void paced(void)
{
	said_begin();
	said_here();
	for (unsigned i = 0; i < 1000; i++)
		limit_reached(LIMIT_PROCESSES);
	errno = EAGAIN;
	limit_reached(LIMIT_PROCESSES);
	ok(errno == EAGAIN, "the error stays");
	ok(said("event=limit-reached limit=processes"), "said, and not a thousand times");
}

int main(void)
{
	descriptors();
	file_size();
	memory();
	paced();
	return tap_done();
}
