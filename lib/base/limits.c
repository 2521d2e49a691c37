/* SPDX-License-Identifier: ISC */
#include "lib/base/limits.h"

#include <errno.h>
#include <sys/resource.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/pace.h"

static const struct {
	const char *name;
	int resource;
} limits[LIMITS] = {
	[LIMIT_MEMORY] = { "memory", RLIMIT_DATA },
	[LIMIT_DESCRIPTORS] = { "descriptors", RLIMIT_NOFILE },
	[LIMIT_PROCESSES] = { "processes", RLIMIT_NPROC },
	[LIMIT_FILE] = { "file-size", RLIMIT_FSIZE },
};

void limit_reached(enum limit limit)
{
	static struct pace paces[LIMITS];
	struct rlimit now = { 0, 0 };
	int error = errno;
	unsigned more;

	if (pace_says(&paces[limit], clock_ms(), 1, &more)) {
		getrlimit(limits[limit].resource, &now);
		log_warn("event=limit-reached limit=%s max=%llu more=%u", limits[limit].name,
		         (unsigned long long)now.rlim_cur, more);
	}
	errno = error;
}
