/* SPDX-License-Identifier: ISC */
/* What is logged goes to the test instead of its standard error: include in the test's one file. */
#ifndef T_SAID_H
#define T_SAID_H

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"

static int said_ends[2] = { -1, -1 };

/* Before what logs; a fork may stand between, said_here() then goes into the child. */
static void said_begin(void)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, said_ends) < 0)
		_exit(1);
}

static inline void said_here(void)
{
	log_to_socket(said_ends[0], false);
}

/* Is this in a line that comes? Of others in other processes more may be heard behind it. */
static inline bool said_until(const char *words)
{
	char line[LOG_LINE_MAX + LOG_STAMP_MAX + 1];
	ssize_t n;

	while ((n = recv(said_ends[1], line, sizeof line - 1, 0)) > 0) {
		line[n] = '\0';
		if (strstr(line, words) != NULL)
			return true;
	}
	return false;
}

/* Is this in a line? Waits until it is, or until nobody is left to say it. */
static inline bool said(const char *words)
{
	log_to_socket(-1, false);
	close(said_ends[0]);
	bool found = said_until(words);

	close(said_ends[1]);
	return found;
}

#endif
