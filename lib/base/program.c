/* SPDX-License-Identifier: ISC */
#include "lib/base/program.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"

static struct {
	char name[PROGRAM_NAME_MAX];
	int fd;
} descriptors[PROGRAM_FDS_MAX];
static unsigned descriptor_count;
static bool jailed;

static void take_descriptor(struct view entry)
{
	struct view name;
	uint64_t number;

	if (!view_cut(&entry, '=', &name) || !view_number(entry, 65535, &number) ||
	    descriptor_count == PROGRAM_FDS_MAX ||
	    !string_copy(descriptors[descriptor_count].name, PROGRAM_NAME_MAX, name))
		log_fatal("POSTHOUSE_FDS is malformed");
	if (fcntl((int)number, F_SETFD, number > STDERR_FILENO ? FD_CLOEXEC : 0) < 0)
		log_fatal("descriptor %d (%s) is not open", (int)number,
		          descriptors[descriptor_count].name);
	descriptors[descriptor_count++].fd = (int)number;
}

static bool environment_number(const char *name, uint64_t *out)
{
	const char *text = getenv(name);

	if (text == NULL)
		return false;
	if (!view_number(view_of(text), UINT32_MAX - 1, out))
		log_fatal("%s is not a number", name);
	return true;
}

void program_die_with(pid_t parent, int signal_number)
{
	prctl(PR_SET_PDEATHSIG, signal_number);
	/* It ended before: nobody will tell. */
	if (getppid() != parent)
		_exit(EXIT_TEMPORARY);
}

/* A house without its master must not go on half alive. Tests start programs without the number. */
static void die_with_master(void)
{
	uint64_t number;

	program_die_with(environment_number("POSTHOUSE_MASTER", &number) ? (pid_t)number
	                                                                 : getppid(),
	                 SIGTERM);
}

void program_start(const char *name)
{
	const char *list = getenv("POSTHOUSE_FDS");
	struct view rest = view_of(list), entry;

	log_open(name);
	if (list == NULL) {
		log_plain();
		log_warn("this program is started by posthouse's master; use: posthouse start");
		exit(EXIT_PERMANENT);
	}
	while (view_cut(&rest, ',', &entry))
		take_descriptor(entry);
	if (program_fd("log") >= 0)
		log_to_pipe(program_fd("log"));
	if (program_fd("log.system") >= 0)
		log_to_socket(program_fd("log.system"), false);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	die_with_master();
}

bool program_is_trial(void)
{
	return getenv("POSTHOUSE_TRIAL") != NULL;
}

int program_fd(const char *name)
{
	for (unsigned i = 0; i < descriptor_count; i++)
		if (strcmp(descriptors[i].name, name) == 0)
			return descriptors[i].fd;
	return -1;
}

static void close_from_to(unsigned first, unsigned last)
{
	if (first > last || syscall(SYS_close_range, first, last, 0u) == 0)
		return;
	/* A kernel before 5.9. The bound is not the thousand million that some systems give:
	 * program_raise_descriptors. */
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &most) < 0)
		log_fatal("getrlimit: %m");
	for (unsigned fd = first; fd <= last && fd < most.rlim_cur; fd++)
		close((int)fd);
}

static bool is_kept(int fd, const int *keep, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (keep[i] == fd)
			return true;
	return fd <= STDERR_FILENO;
}

/* The lowest of them from `from` on; ~0u: none. */
static unsigned next_kept(unsigned from, const int *keep, unsigned count)
{
	unsigned next = ~0u;

	for (unsigned i = 0; i < count; i++)
		if (keep[i] >= 0 && (unsigned)keep[i] >= from && (unsigned)keep[i] < next)
			next = (unsigned)keep[i];
	return next;
}

void program_keep_only(const int *keep, unsigned count)
{
	unsigned from = STDERR_FILENO + 1, next;

	while ((next = next_kept(from, keep, count)) != ~0u) {
		close_from_to(from, next - 1);
		from = next + 1;
	}
	close_from_to(from, ~0u);
	for (unsigned i = 0; i < descriptor_count; i++)
		if (!is_kept(descriptors[i].fd, keep, count))
			descriptors[i].fd = -1;
}

int program_need_fd(const char *name)
{
	int fd = program_fd(name);

	if (fd < 0)
		log_fatal(
			"master gave no descriptor named %s: master and this program are of different versions",
			name);
	return fd;
}

int program_fd_at(const char *prefix, unsigned index, const char **name)
{
	for (unsigned i = 0; i < descriptor_count; i++)
		if (view_starts(view_of(descriptors[i].name), view_of(prefix)) && index-- == 0) {
			if (name != NULL)
				*name = descriptors[i].name;
			return descriptors[i].fd;
		}
	return -1;
}

enum { DESCRIPTORS_MOST = 1 << 20 };

unsigned long program_raise_descriptors(unsigned long wanted)
{
	struct rlimit have;

	if (getrlimit(RLIMIT_NOFILE, &have) < 0)
		return 0;
	if (have.rlim_cur > DESCRIPTORS_MOST) {
		have.rlim_cur = DESCRIPTORS_MOST;
		setrlimit(RLIMIT_NOFILE, &have);
	}
	struct rlimit raised = { wanted, have.rlim_max > wanted ? have.rlim_max : wanted };

	if (have.rlim_cur >= wanted)
		return wanted;
	if (setrlimit(RLIMIT_NOFILE, &raised) < 0) {
		have.rlim_cur = have.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &have) < 0)
			log_warn("event=limits reason=\"%m\"");
	}
	/* What there is, and not what was asked for. */
	if (getrlimit(RLIMIT_NOFILE, &have) < 0)
		return 0;
	return have.rlim_cur < wanted ? have.rlim_cur : wanted;
}

/* One that has said that it stopped may be about to end. */
static int lock_file(int fd, int patience_ms)
{
	enum { LOOK_MS = 20 };
	/* Of the open file, where there is such a lock: one of the process would go when it closes
	 * another descriptor of that file, which a program may have passed to it. Nobody else opens
	 * it, for who reads it could lock it too. */
#ifdef F_OFD_SETLK
	enum { SET_LOCK = F_OFD_SETLK };
#else
	enum { SET_LOCK = F_SETLK };
#endif
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	for (int waited_ms = 0; fcntl(fd, SET_LOCK, &lock) < 0; waited_ms += LOOK_MS) {
		if (waited_ms >= patience_ms)
			return -1;
		poll(NULL, 0, LOOK_MS);
	}
	return 0;
}

static int open_held(const char *directory, const char *name)
{
	int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = at < 0 ? -1 : openat(at, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (at >= 0)
		close(at);
	return fd;
}

static int hold(int fd, const char *directory, const char *name, int patience_ms,
                struct reason *why)
{
	if (lock_file(fd, patience_ms) < 0)
		return fail(why, "%s/%s is locked: posthouse is running already (posthouse status)",
		            directory, name);
	if (ftruncate(fd, 0) < 0 || fchmod(fd, 0600) < 0 ||
	    dprintf(fd, "%ld\n", (long)getpid()) < 0)
		return fail_errno(why, "writing %s/%s", directory, name);
	return 0;
}

int program_hold(const char *directory, const char *name, int patience_ms, struct reason *why)
{
	static int held = -1;
	int fd = open_held(directory, name);

	if (fd < 0)
		return fail_errno(why, "opening %s/%s", directory, name);
	if (hold(fd, directory, name, patience_ms, why) < 0) {
		close(fd);
		return -1;
	}
	if (held >= 0)
		close(held);
	held = fd;
	return 0;
}

/* ---- directories that belong to one house ---- */

enum { HOLDER_BYTES = 64, HOLD_PATIENCE_MS = 30000, HOLD_LOOK_MS = 50 };

struct holder {
	uint64_t pid, master; /* 0: not known */
};

static void read_holder(int directory, struct holder *h)
{
	char text[HOLDER_BYTES];
	int fd = openat(directory, ".holder", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : file_read_some(fd, text, sizeof text);
	struct view rest = { text, n < 0 ? 0 : (size_t)n }, pid, master;

	if (fd >= 0)
		close(fd);
	*h = (struct holder){ 0 };
	if (!view_cut(&rest, ' ', &pid) || !view_cut(&rest, '\n', &master) ||
	    !view_number(pid, INT32_MAX, &h->pid) || !view_number(master, INT32_MAX, &h->master))
		*h = (struct holder){ 0 };
}

/* Made anew: where others may make files, one of that name need not be ours. */
static void write_holder(int directory)
{
	char text[HOLDER_BYTES];
	size_t length =
		string_print(text, sizeof text, "%ld %ld\n", (long)getpid(), (long)getppid());

	unlinkat(directory, ".holder", 0);
	int fd = openat(directory, ".holder", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write_whole(fd, text, length) < 0)
		log_warn("event=unwritten file=.holder reason=\"%m\"");
	if (fd >= 0)
		close(fd);
}

/* Does it end by itself? A predecessor in our own house, or one that lost its master. Who has not
 * yet said who they are is looked at again. */
static bool is_ending(const struct holder *h)
{
	return h->pid == 0 || h->master == (uint64_t)getppid() ||
	       (kill((pid_t)h->master, 0) < 0 && errno == ESRCH);
}

static bool try_to_hold(int directory, const char *setting)
{
	if (flock(directory, LOCK_EX | LOCK_NB) == 0) {
		write_holder(directory);
		return true;
	}
	if (errno == EWOULDBLOCK || errno == EINTR)
		return false;
	/* A file system without locks (NFS locks no directories): as before there were any. */
	log_warn("event=unlocked setting=%s reason=\"%m\"", setting);
	return true;
}

void program_hold_directory(int directory, const char *setting, const char *path)
{
	const int64_t until_ms = clock_ms() + HOLD_PATIENCE_MS;
	bool said = false;
	struct holder h;

	if (program_is_trial())
		return;
	while (!try_to_hold(directory, setting)) {
		read_holder(directory, &h);
		if (!is_ending(&h) || clock_ms() >= until_ms)
			log_fatal(
				"%s %s is in use by process %ld of another instance (master %ld): "
				"stop that one first, or give this one a %s of its own",
				setting, path, (long)h.pid, (long)h.master, setting);
		if (!said)
			log_info("event=waiting setting=%s holder=%ld", setting, (long)h.pid);
		said = true;
		poll(NULL, 0, HOLD_LOOK_MS);
	}
}

void program_let_go(int directory)
{
	flock(directory, LOCK_UN);
}

int program_generation_file(const char *name)
{
	int fd = openat(program_need_fd("generation"), name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		log_fatal("opening %s of the current generation: %m (run: posthouse build)", name);
	return fd;
}

static void become(uid_t uid, gid_t gid, const char *root)
{
	if (uid == 0)
		log_fatal("refusing to run as root");
	if (root != NULL) {
		if (chroot(root) < 0 || chdir("/") < 0)
			log_fatal("chroot %s: %m", root);
		jailed = true;
	}
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		log_fatal("becoming uid %ld gid %ld: %m", (long)uid, (long)gid);
	if (setuid(0) == 0 || seteuid(0) == 0)
		log_panic("root could be regained after it was given up");
}

void program_confine(const struct sandbox_profile *profile)
{
	uint64_t uid, gid;

	if (environment_number("POSTHOUSE_UID", &uid) &&
	    environment_number("POSTHOUSE_GID", &gid)) {
		become((uid_t)uid, (gid_t)gid, getenv("POSTHOUSE_ROOT"));
		die_with_master(); /* changing uid has cleared the death signal */
	}
	close(program_need_fd("generation"));
	log_info("event=started uid=%ld jail=%d sandbox=\"%s\"", (long)getuid(), jailed,
	         log_text(view_of(sandbox_enter(profile))));
}

/* The one that master gave, if there is room in it. */
static void *map_kept(size_t bytes)
{
	int fd = program_fd("kept");
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < (off_t)bytes)
		return MAP_FAILED;
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static void *map_own(size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *keep_from_children(void *memory, size_t bytes)
{
	if (memory == MAP_FAILED)
		log_fatal("no memory: %m");
	madvise(memory, bytes, MADV_DONTFORK);
	return memory;
}

void *program_kept(size_t bytes)
{
	void *kept = map_kept(bytes);

	if (kept == MAP_FAILED)
		kept = map_own(bytes);
	keep_from_children(kept, bytes);
	madvise(kept, bytes, MADV_DONTDUMP);
	return kept;
}

void *program_unforked(size_t bytes)
{
	return keep_from_children(map_own(bytes), bytes);
}
