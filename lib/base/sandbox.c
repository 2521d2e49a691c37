/* SPDX-License-Identifier: ISC */
#include "lib/base/sandbox.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/sandbox-parts.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || \
	__has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static void lower(int resource, const char *name, unsigned long most)
{
	struct rlimit now = { 0, 0 };

	/* 0 is below whatever there is. */
	if (most != 0 && getrlimit(resource, &now) < 0)
		log_fatal("getrlimit %s: %m", name);
	if (now.rlim_max == RLIM_INFINITY || now.rlim_max > most)
		now.rlim_max = most;
	now.rlim_cur = now.rlim_max;
	if (setrlimit(resource, &now) < 0)
		log_fatal("setrlimit %s: %m", name);
}

void sandbox_bound_data(unsigned long bytes)
{
	struct rlimit now;

	if (SANITIZED)
		return;
	if (getrlimit(RLIMIT_DATA, &now) < 0)
		log_fatal("getrlimit RLIMIT_DATA: %m");
	if (now.rlim_max == RLIM_INFINITY || now.rlim_max > bytes)
		now.rlim_cur = bytes;
	if (setrlimit(RLIMIT_DATA, &now) < 0)
		log_fatal("setrlimit RLIMIT_DATA: %m");
}

static bool log_is_file(void)
{
	struct stat st;

	return fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode);
}

static void lower_limits(const struct sandbox_profile *profile)
{
	if (profile->descriptors_max)
		lower(RLIMIT_NOFILE, "RLIMIT_NOFILE", profile->descriptors_max);
	if ((profile->file_bytes_max || profile->no_file_grows) && !log_is_file()) {
		signal(SIGXFSZ, SIG_IGN); /* EFBIG is told to whoever can answer it */
		lower(RLIMIT_FSIZE, "RLIMIT_FSIZE", profile->file_bytes_max);
	}
	/* The sanitizers map terabytes, and look for leaks in a thread of their own. */
	if (SANITIZED)
		return;
	if (profile->memory_max)
		lower(RLIMIT_AS, "RLIMIT_AS", profile->memory_max);
	if (profile->data_max)
		lower(RLIMIT_DATA, "RLIMIT_DATA", profile->data_max);
	if ((profile->promises & SANDBOX_FORK) == 0)
		lower(RLIMIT_NPROC, "RLIMIT_NPROC", 0);
	else if (profile->processes_max)
		lower(RLIMIT_NPROC, "RLIMIT_NPROC", profile->processes_max);
}

/* What children inherit: a worker need not repeat it. */
static void give_up_for_good(void)
{
	/* Libraries read these files once; afterwards they could not, a second time as little as a
	 * first. */
	tzset();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		log_fatal("no_new_privs: %m");
	/* The sanitizers walk /proc and trace their own process at its end. */
	if (!SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		log_fatal("not dumpable: %m");
}

const char *sandbox_enter(const struct sandbox_profile *profile)
{
	static char level[64];
	static bool entered;

	if (!entered)
		give_up_for_good();
	entered = true;
	lower_limits(profile);
	int landlock = SANITIZED || profile->narrows ? 0 : sandbox_landlock(profile);
	bool seccomp = !SANITIZED && sandbox_seccomp(profile->promises |
	                                             (profile->worker ? 0u : SANDBOX_NO_WORKER));

	if (SANITIZED)
		string_print(level, sizeof level, "none (sanitizers)");
	else if (landlock)
		string_print(level, sizeof level, "landlock=%d%s", landlock,
		             seccomp ? " seccomp" : "");
	else
		string_print(level, sizeof level, "%s", seccomp ? "seccomp" : "none");
	return level;
}

bool sandbox_keeps_paths(void)
{
	return !SANITIZED && sandbox_landlock_abi() > 0;
}

void sandbox_narrow(int directory)
{
	if (!SANITIZED)
		sandbox_landlock_below(directory);
}
