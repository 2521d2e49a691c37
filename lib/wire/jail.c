/* SPDX-License-Identifier: ISC */
#include "lib/wire/jail.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/program.h"
#include "lib/net/listen.h"
#include "lib/wire/wire.h"

static bool open_line(int ends[2])
{
	if (wire_pair(ends) < 0)
		return false;
	net_take_no_descriptors(ends[0]);
	return true;
}

/* This side's end, when fork() has said which that is. */
static int take_end(const int ends[2], pid_t forked)
{
	close(ends[forked != 0]);
	if (forked >= 0)
		return ends[forked == 0];
	close(ends[0]);
	return -1;
}

pid_t jail_fork(int *line, const int *keep, unsigned count, int death)
{
	int ends[2], kept[JAIL_KEEP_MAX + 1];
	unsigned kept_count = 0;
	const pid_t parent = getpid();

	if (line != NULL)
		*line = -1;
	if (line != NULL && !open_line(ends))
		return -1;
	pid_t pid = loop_fork();

	if (line != NULL)
		*line = take_end(ends, pid);
	if (pid == 0) {
		program_die_with(parent, death);
		if (line != NULL)
			kept[kept_count++] = *line;
		for (unsigned i = 0; i < count; i++)
			kept[kept_count++] = keep[i];
		program_keep_only(kept, kept_count);
	}
	return pid;
}

void jail_enter(const struct sandbox_profile *profile)
{
	struct sandbox_profile own = *profile;

	own.worker = true;
	own.promises &= ~(unsigned)SANDBOX_FORK;
	if (own.descriptors_max == 0)
		own.descriptors_max = JAIL_DESCRIPTORS;
	if (own.memory_max == 0)
		own.memory_max = (unsigned long)JAIL_MEMORY_MIB << 20;
	if (own.file_bytes_max == 0 && !(own.promises & SANDBOX_FILES))
		own.no_file_grows = true;
	sandbox_enter(&own);
}

void jail_end(int status)
{
#ifdef __SANITIZE_ADDRESS__
	exit(status);
#else
	_exit(status);
#endif
}
