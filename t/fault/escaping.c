/* SPDX-License-Identifier: ISC */
/*
 * What a session could do that was taken over while it opens its mailbox: loaded with LD_PRELOAD.
 * When a home of the name signal-PID is opened, it tries to fork and to signal its parent and the
 * process PID, and says what came of it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void try_to_escape(const char *path)
{
	static int tried;
	const char *found = path ? strstr(path, "/signal-") : NULL;
	struct rlimit files = { 0 };

	if (found == NULL || tried++)
		return;
	pid_t sibling = (pid_t)strtol(found + 8, NULL, 10), child = fork();

	if (child == 0)
		_exit(0);
	if (child > 0)
		waitpid(child, NULL, 0);
	getrlimit(RLIMIT_NOFILE, &files);
	dprintf(2, "tried: fork=%d parent=%d sibling=%d descriptors=%lu\n", child > 0,
	        kill(getppid(), 0) == 0, kill(sibling, 0) == 0, (unsigned long)files.rlim_max);
}

#define OPEN(name)                                                                      \
	int name(const char *path, int flags, ...)                                      \
	{                                                                               \
		va_list list;                                                           \
		va_start(list, flags);                                                  \
		mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;               \
		va_end(list);                                                           \
		try_to_escape(path);                                                    \
		return ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(path, flags, mode); \
	}

OPEN(open)
OPEN(open64)
