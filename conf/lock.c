/* SPDX-License-Identifier: ISC */
#include "conf/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/time.h>
#include <unistd.h>

/* Only so that the call that waits is interrupted. */
static void ring(int number)
{
	(void)number;
}

static void ring_every_ms(int milliseconds)
{
	const struct itimerval every = {
		.it_value = { milliseconds / 1000, milliseconds % 1000 * 1000 },
		.it_interval = { milliseconds / 1000, milliseconds % 1000 * 1000 },
	};
	struct sigaction action = { .sa_handler = milliseconds ? ring : SIG_DFL };

	if (milliseconds)
		sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	if (milliseconds == 0)
		sigaction(SIGALRM, &action, NULL);
}

/* The timer rings again and again: a ring before the call has begun is not the last one. */
static int wait_for_lock(int fd, const char *directory)
{
	bool said = false;
	int result;

	ring_every_ms(LOCK_SILENCE_MS);
	while ((result = flock(fd, LOCK_EX)) != 0 && errno == EINTR) {
		if (!said)
			fprintf(stderr,
			        "posthouse: waiting for another command that is changing or building "
			        "%s\n",
			        directory);
		said = true;
	}
	int error = errno;

	ring_every_ms(0);
	errno = error;
	return result;
}

int lock_directory(const char *directory, struct reason *why)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail_errno(why, "open %s", directory);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 ||
	    (errno == EWOULDBLOCK && wait_for_lock(fd, directory) == 0))
		return fd;
	fail_errno(why, "lock %s", directory);
	close(fd);
	return -1;
}
