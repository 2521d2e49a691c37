/* SPDX-License-Identifier: ISC */
/* Each set of promises is entered in a child, which then tries what it may and what it may not: for
 * the tests of lib/base/sandbox.h, which part by what is tried. */
#ifndef T_UNIT_SANDBOXED_H
#define T_UNIT_SANDBOXED_H

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/sandbox.h"
#include "t/tap.h"

/* What a child comes to: 0 it worked, 1 it failed, 2 nothing was tried, else the signal + 100. */
enum { WORKED = 0, FAILED = 1, UNUSABLE = 2, KILLED = 100 };

static char allowed_directory[64], other_directory[64]; /* each with a file in it */
static int given_pair[2]; /* a pair of sockets that a child was given */

__attribute__((unused)) static const char *path(const char *directory, const char *name)
{
	static char buffer[128];

	snprintf(buffer, sizeof buffer, "%s/%s", directory, name);
	return buffer;
}

enum promises_of {
	NOTHING,
	FILES,
	READS,
	CONNECTS,
	FORKS,
	ACCEPTS,
	NOTIFIES,
	WORKS,
	LINGERS,
	SETS
};

static const char *const set_names[] = { "nothing",          "files",    "files to read",
	                                 "connect",          "fork",     "accept",
	                                 "files and notify", "a worker", "linger" };

static struct sandbox_profile profiles[SETS] = {
	[NOTHING] = { .descriptors_max = 64 },
	[FILES] = { .promises = SANDBOX_FILES, .paths = { { allowed_directory, true } } },
	[READS] = { .promises = SANDBOX_FILES,
	            .paths = { { allowed_directory, false }, { "/nonexistent", false } } },
	[CONNECTS] = { .promises = SANDBOX_CONNECT },
	[FORKS] = { .promises = SANDBOX_FORK },
	[ACCEPTS] = { .promises = SANDBOX_ACCEPT },
	[NOTIFIES] = { .promises = SANDBOX_FILES | SANDBOX_NOTIFY,
	               .paths = { { allowed_directory, true } } },
	[WORKS] = { .worker = true },
	[LINGERS] = { .promises = SANDBOX_LINGER },
};

#define ALL    ((1u << SETS) - 1)
#define SET(s) (1u << (s))

struct attempt {
	const char *name;
	int (*attempt)(void); /* 0 or -1 */
	unsigned may;         /* the sets in which it works */
	int otherwise;        /* FAILED, or KILLED + signal */
};

static const struct sandbox_profile everything = {
	.promises = SANDBOX_FILES | SANDBOX_CONNECT | SANDBOX_FORK | SANDBOX_NOTIFY |
	            SANDBOX_ACCEPT | SANDBOX_LINGER,
	.paths = { { "/", true } },
};

/* With a wider profile (may be NULL) entered before. */
static int outcome(const struct sandbox_profile *wider, const struct sandbox_profile *profile,
                   int (*attempt)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		/* What is refused is logged to descriptor 2. */
		dup2(open("/dev/null", O_WRONLY), 2);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(120);
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, given_pair) < 0)
			_exit(UNUSABLE);
		if (wider != NULL)
			sandbox_enter(wider);
		sandbox_enter(profile);
		_exit(attempt() < 0 ? FAILED : WORKED);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static void make_file(const char *directory)
{
	close(open(path(directory, "file"), O_CREAT | O_WRONLY, 0600));
}

static void prepare(void)
{
	snprintf(allowed_directory, sizeof allowed_directory, "/tmp/posthouse-sandbox.XXXXXX");
	snprintf(other_directory, sizeof other_directory, "/tmp/posthouse-sandbox.XXXXXX");
	if (mkdtemp(allowed_directory) == NULL || mkdtemp(other_directory) == NULL)
		exit(1);
	make_file(allowed_directory);
	make_file(other_directory);
	signal(SIGTERM, SIG_IGN);
	signal(SIGABRT, SIG_IGN);
}

static void clean(void)
{
	unlink(path(allowed_directory, "file"));
	unlink(path(other_directory, "file"));
	unlink(path(allowed_directory, "new"));
	rmdir(allowed_directory);
	rmdir(other_directory);
}

/* The level on this machine, asked in a child. */
static void level(char *out, size_t size)
{
	int ends[2];
	ssize_t n;

	if (pipe(ends) < 0)
		exit(1);
	if (fork() == 0) {
		const char *reached = sandbox_enter(&profiles[NOTHING]);

		_exit(write(ends[1], reached, strlen(reached)) < 0);
	}
	close(ends[1]);
	n = read(ends[0], out, size - 1);
	out[n < 0 ? 0 : n] = '\0';
	close(ends[0]);
	wait(NULL);
}

/* false: the sandbox is not whole on this machine, and the test says so. */
static bool begin(void)
{
	char reached[64];

	level(reached, sizeof reached);
	printf("# this machine: %s\n", reached);
	fflush(stdout);
	if (strncmp(reached, "landlock=", 9) != 0 || strstr(reached, "seccomp") == NULL) {
		printf("1..0 # SKIP the sandbox is not whole here: %s\n", reached);
		return false;
	}
	prepare();
	return true;
}

static void try_sets(const struct sandbox_profile *wider, const struct attempt *attempts,
                     size_t count)
{
	for (unsigned set = 0; set < SETS; set++)
		for (size_t i = 0; i < count; i++) {
			int want = attempts[i].may & SET(set) ? WORKED : attempts[i].otherwise;
			int got = outcome(wider, &profiles[set], attempts[i].attempt);

			ok(got == want, "%s%s: %s%s (%d)", wider ? "narrowed to " : "",
			   set_names[set], attempts[i].name, want == WORKED ? "" : " not", got);
		}
}

/* Once at a stroke, and once narrowed from everything: the same must come of it. */
static void try_all(const struct attempt *attempts, size_t count)
{
	try_sets(NULL, attempts, count);
	try_sets(&everything, attempts, count);
}

#define TRY_ALL(attempts) try_all((attempts), sizeof(attempts) / sizeof(attempts)[0])

#endif
