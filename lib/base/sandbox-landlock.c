/* SPDX-License-Identifier: ISC */
/*
 * Landlock (Linux 5.13 and later), by raw system calls: the C library has no wrappers, and a house
 * that was built against old headers shall still use what the kernel it runs on can do. Numbers and
 * structs are the kernel's ABI.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/sandbox-parts.h"

/* The same numbers on every machine. */
enum { CALL_CREATE_RULESET = 444, CALL_ADD_RULE = 445, CALL_RESTRICT_SELF = 446 };
enum { CREATE_RULESET_VERSION = 1, RULE_PATH_BENEATH = 1, RULE_NET_PORT = 2 };

enum fs_right {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_CHAR = 1 << 6,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_MAKE_FIFO = 1 << 10,
	FS_MAKE_BLOCK = 1 << 11,
	FS_MAKE_SYM = 1 << 12,
	FS_REFER = 1 << 13,    /* ABI 2: rename and link between directories */
	FS_TRUNCATE = 1 << 14, /* ABI 3 */
	FS_IOCTL_DEV = 1 << 15 /* ABI 5 */
};

enum { NET_BIND_TCP = 1 << 0, NET_CONNECT_TCP = 1 << 1 };            /* ABI 4 */
enum { SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, SCOPE_SIGNAL = 1 << 1 }; /* ABI 6 */

enum {
	FS_OF_FILES =
		FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE, /* what a rule on a file may name */
	FS_READ = FS_READ_FILE | FS_READ_DIR,
	/* No program of the house makes a device, a socket or a pipe, or runs what it wrote. */
	FS_WRITE = FS_READ | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR |
	           FS_MAKE_REG | FS_MAKE_SYM | FS_REFER | FS_TRUNCATE
};

/* A kernel that does not know the later fields takes them as long as they are zero. */
struct ruleset {
	uint64_t fs, net, scoped;
};

struct path_rule {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

struct port_rule {
	uint64_t allowed, port;
};

static struct ruleset handled(int abi, unsigned promises)
{
	struct ruleset r = { .fs = FS_MAKE_SYM | (FS_MAKE_SYM - 1) };

	if (abi >= 2)
		r.fs |= FS_REFER;
	if (abi >= 3)
		r.fs |= FS_TRUNCATE;
	if (abi >= 4)
		r.net = promises & SANDBOX_CONNECT ? NET_BIND_TCP : NET_BIND_TCP | NET_CONNECT_TCP;
	if (abi >= 5)
		r.fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		r.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
	return r;
}

static void add_path_rule(int ruleset, uint64_t allowed, int fd, const char *path)
{
	const struct path_rule rule = { .allowed = allowed, .parent_fd = fd };

	if (syscall(CALL_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
		log_fatal("sandbox: landlock, %s: %m", path);
}

static void allow_path(int ruleset, const struct ruleset *r, const struct sandbox_path *path)
{
	uint64_t allowed = (path->writable ? FS_WRITE : FS_READ) & r->fs;
	struct stat st;
	int fd = open(path->path, O_PATH | O_CLOEXEC);

	/* What is only read and is not there cannot be read. */
	if (fd < 0 && errno == ENOENT && !path->writable)
		return;
	if (fd < 0 || fstat(fd, &st) < 0)
		log_fatal("sandbox: %s: %m", path->path);
	if (!S_ISDIR(st.st_mode))
		allowed &= FS_OF_FILES;
	add_path_rule(ruleset, allowed, fd, path->path);
	close(fd);
}

/* Port 0, "any": a client that chooses its source address binds to it. */
static void allow_any_source(int ruleset, const struct ruleset *r)
{
	struct port_rule rule = { .allowed = NET_BIND_TCP, .port = 0 };

	if (r->net && syscall(CALL_ADD_RULE, ruleset, RULE_NET_PORT, &rule, 0) < 0)
		log_fatal("sandbox: landlock, source port: %m");
}

/* What the kernel knows, 0: nothing; asked once. */
int sandbox_landlock_abi(void)
{
	static int abi = -1;

	if (abi < 0)
		abi = (int)syscall(CALL_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
	if (abi < 0)
		abi = 0;
	return abi;
}

static int create(const struct ruleset *r)
{
	int ruleset = (int)syscall(CALL_CREATE_RULESET, r, sizeof *r, 0);

	if (ruleset < 0)
		log_fatal("sandbox: landlock: %m");
	return ruleset;
}

static void enter(int ruleset)
{
	if (syscall(CALL_RESTRICT_SELF, ruleset, 0) < 0)
		log_fatal("sandbox: landlock: %m");
	close(ruleset);
}

int sandbox_landlock(const struct sandbox_profile *profile)
{
	int abi = sandbox_landlock_abi();

	if (abi == 0)
		return 0;
	struct ruleset r = handled(abi, profile->promises);
	int ruleset = create(&r);

	for (unsigned i = 0;
	     profile->promises & SANDBOX_FILES && i < SANDBOX_PATHS_MAX && profile->paths[i].path;
	     i++)
		allow_path(ruleset, &r, &profile->paths[i]);
	if (profile->promises & SANDBOX_CONNECT)
		allow_any_source(ruleset, &r);
	enter(ruleset);
	return abi;
}

void sandbox_landlock_below(int directory)
{
	int abi = sandbox_landlock_abi();

	if (abi == 0)
		return;
	const struct ruleset all = handled(abi, 0), r = { .fs = all.fs, .scoped = all.scoped };
	int ruleset = create(&r);

	add_path_rule(ruleset, FS_WRITE & r.fs, directory, "the directory of a session");
	enter(ruleset);
}
