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

pid_t jail_fork(int *line, const int *keep, unsigned count, int death)
{
	int ends[2], kept[JAIL_KEEP_MAX + 1];
	const pid_t parent = getpid();

	*line = -1;
	if (wire_pair(ends) < 0)
		return -1;
	net_take_no_descriptors(ends[0]);
	pid_t pid = loop_fork();

	close(ends[pid != 0]);
	if (pid < 0)
		close(ends[0]);
	else
		*line = ends[pid == 0];
	if (pid == 0) {
		program_die_with(parent, death);
		kept[0] = *line;
		for (unsigned i = 0; i < count; i++)
			kept[i + 1] = keep[i];
		program_keep_only(kept, count + 1);
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
