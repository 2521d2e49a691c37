/* SPDX-License-Identifier: ISC */
#include "lib/wire/jail.h"

#include <signal.h>
#include <sys/prctl.h>

#include "lib/base/loop.h"
#include "lib/base/program.h"

pid_t jail_fork(const int *keep, unsigned count, int death)
{
	pid_t pid = loop_fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, death);
		program_keep_only(keep, count);
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
