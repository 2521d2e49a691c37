/* SPDX-License-Identifier: ISC */
/* More lines at once than the pipe to logd holds. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "t/tap.h"

enum { LINES = 3000, PIPE_FULL = 60000 };

/* Its number, and the end to read from. */
static pid_t start_writer(int *from)
{
	int ends[2];

	if (pipe(ends) < 0)
		return -1;
	pid_t pid = fork();

	if (pid == 0) {
		fcntl(ends[1], F_SETFL, O_NONBLOCK);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		log_open("writer");
		for (int i = 0; i < LINES; i++)
			log_info("event=drop number=%d reason=\"%0200d\"", i, i);
		_exit(0);
	}
	close(ends[1]);
	*from = ends[0];
	return pid;
}

struct seen {
	unsigned lines, lost;
};

/* All that is there until the end, taken each time only when the pipe is full, or nobody writes any
 * more. */
static struct seen take(int from, pid_t pid, bool at_the_end)
{
	static char bytes[1 << 20];
	struct seen seen = { 0 };
	size_t len = 0;
	bool over = false;

	for (ssize_t n = 1; n > 0;) {
		int waiting = 0;

		over = over || waitpid(pid, NULL, WNOHANG) == pid;
		ioctl(from, FIONREAD, &waiting);
		if (!over && (at_the_end || waiting < PIPE_FULL)) {
			sched_yield();
			continue;
		}
		n = read(from, bytes + len, sizeof bytes - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	bytes[len] = '\0';
	for (char *line = strtok(bytes, "\n"); line; line = strtok(NULL, "\n")) {
		seen.lines += strstr(line, "event=drop ") != NULL;
		seen.lost += strstr(line, "event=log-lost") != NULL;
	}
	close(from);
	return seen;
}

int main(void)
{
	int from;
	pid_t pid = start_writer(&from);
	struct seen seen = take(from, pid, false);

	ok(seen.lines == LINES && seen.lost == 0, "a burst waits for who reads: %u of %d lines",
	   seen.lines, LINES);
	pid = start_writer(&from);
	seen = take(from, pid, true);
	ok(seen.lines > 0 && seen.lines < LINES, "and is lost where nobody does: %u of %d lines",
	   seen.lines, LINES);
	return tap_done();
}
