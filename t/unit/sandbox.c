/* SPDX-License-Identifier: ISC */
/* Each set of promises is entered in a child, which then tries what it may and what it may not. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/bytes.h"
#include "lib/base/sandbox.h"
#include "t/tap.h"

/* What a child comes to: 0 it worked, 1 it failed, 2 nothing was tried, else the signal + 100. */
enum { WORKED = 0, FAILED = 1, UNUSABLE = 2, KILLED = 100 };

static char allowed_directory[64], other_directory[64];
static struct sockaddr_in listener_address;
static int listener, given_file;
static int given_pair[2]; /* a pair of sockets that a child was given */

static const char *path(const char *directory, const char *name)
{
	static char buffer[128];

	snprintf(buffer, sizeof buffer, "%s/%s", directory, name);
	return buffer;
}

/* ---- what is tried: 0 or -1 ---- */

static int try_work(void)
{
	char byte = 'x';
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct stat st;

	if (send(given_pair[0], &byte, 1, 0) != 1 || page == MAP_FAILED)
		return -1;
	return fstat(given_pair[1], &st) == 0 && recv(given_pair[1], &byte, 1, 0) == 1 &&
	                       memory_get(100000) != NULL
	               ? 0
	               : -1;
}

static int try_read_allowed(void)
{
	return open(path(allowed_directory, "file"), O_RDONLY);
}

static int try_read_other(void)
{
	return open(path(other_directory, "file"), O_RDONLY);
}

static int try_passwd(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static int try_create_allowed(void)
{
	int fd = open(path(allowed_directory, "new"), O_CREAT | O_EXCL | O_WRONLY, 0600);
	char to[128];

	snprintf(to, sizeof to, "%s", path(allowed_directory, "sub/renamed"));
	mkdir(path(allowed_directory, "sub"), 0700);
	if (fd < 0 || write(fd, "x", 1) != 1 || ftruncate(fd, 0) < 0 || fsync(fd) < 0)
		return -1;
	return rename(path(allowed_directory, "new"), to) == 0 && unlink(to) == 0 &&
	                       rmdir(path(allowed_directory, "sub")) == 0
	               ? 0
	               : -1;
}

static int try_create_other(void)
{
	return open(path(other_directory, "new"), O_CREAT | O_WRONLY, 0600);
}

static int try_unlink_other(void)
{
	return unlink(path(other_directory, "file"));
}

static int try_truncate_other(void)
{
	return truncate(path(other_directory, "file"), 0);
}

static int try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int try_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? -1
	              : connect(fd, (struct sockaddr *)&listener_address, sizeof listener_address);
}

static int try_listen(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
		                   .sin_port = htons(20000 + (in_port_t)(getpid() % 10000)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0 ? -1 : listen(fd, 1);
}

static int try_local_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int try_packet_socket(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int try_accept(void)
{
	fcntl(listener, F_SETFL, O_NONBLOCK);
	/* The attempt to connect may have left somebody waiting. */
	return accept(listener, NULL, NULL) >= 0 || errno == EAGAIN ? 0 : -1;
}

static int try_fork(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

/* As C libraries fork: no signal may come between, not even the one that reports a violation. */
static int try_fork_undisturbed(void)
{
	sigset_t all;
	int status;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

static int try_kill_child(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	return pid > 0 && kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid ? 0 : -1;
}

static int try_kill_parent(void)
{
	return kill(getppid(), 0);
}

static int try_kill_by_thread(void)
{
	return (int)syscall(SYS_tgkill, getppid(), getppid(), SIGTERM);
}

/* What Landlock would refuse anyway, the filter refuses as well. */
static int by_filter(long result)
{
	return result < 0 && errno == ENOSYS ? -1 : 0;
}

static int try_abort_parent(void)
{
	return by_filter(syscall(SYS_tgkill, getppid(), getppid(), SIGABRT));
}

/* Landlock lets it: of its own files, or of those of others of its uid. */
static int try_mode(void)
{
	return by_filter(chmod(path(allowed_directory, "file"), 0600));
}

static int try_mode_at(void)
{
	return by_filter(fchmodat(AT_FDCWD, path(other_directory, "file"), 0600, 0));
}

static int try_times(void)
{
	return by_filter(utimensat(AT_FDCWD, path(allowed_directory, "file"), NULL, 0));
}

/* A name that is null in its low half. */
static int try_times_high(void)
{
	char *high = mmap((void *)(1ul << 32), 4096, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (high == MAP_FAILED)
		return -1;
	strcpy(high, path(allowed_directory, "file"));
	return utimensat(AT_FDCWD, high, NULL, 0);
}

static int try_times_of_open(void)
{
	return futimens(given_file, NULL);
}

static int try_owner(void)
{
	return by_filter(chown(path(allowed_directory, "file"), getuid(), getgid()));
}

static int try_truncate(void)
{
	return by_filter(truncate(path(allowed_directory, "file"), 0));
}

static int try_change_directory(void)
{
	return by_filter(chdir(other_directory));
}

static int try_link_text(void)
{
	return by_filter(symlink("/etc", path(allowed_directory, "link")));
}

static int try_namespace(void)
{
	return (int)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL) >= 0 ? 0
	                                                                                     : -1;
}

static int try_inotify(void)
{
	int fd = inotify_init1(0);

	return fd < 0 ? -1 : inotify_add_watch(fd, allowed_directory, IN_CREATE);
}

static int try_exec(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}

static int try_ptrace(void)
{
	return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static int try_peek(void)
{
	return (int)syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static int try_new_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static int try_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int try_more_files(void)
{
	struct rlimit r = { 64, 64 };

	return setrlimit(RLIMIT_NOFILE, &r);
}

static int try_limit_parent(void)
{
	struct rlimit r = { 0, 0 };

	return prlimit(getppid(), RLIMIT_CORE, &r, NULL);
}

/* The kernel would send it when the descriptor becomes ready. */
static int try_signal_by_descriptor(void)
{
	return fcntl(given_pair[0], F_SETOWN, getppid());
}

static int try_choose_signal(void)
{
	return fcntl(listener, F_SETSIG, SIGKILL);
}

static int try_filter(void)
{
	int on = 1;

	return setsockopt(given_pair[0], SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on);
}

static int set_option(int level, int option)
{
	int on[4] = { 0 };

	return setsockopt(given_pair[0], level, option, on, sizeof on) < 0 && errno == ENOSYS ? -1
	                                                                                      : 0;
}

/* Who receives the socket would wait in close(). */
static int try_linger(void)
{
	return set_option(SOL_SOCKET, SO_LINGER);
}

static int try_process_descriptors(void)
{
	return set_option(SOL_SOCKET, 76 /* SO_PASSPIDFD */);
}

static int try_upper_protocol(void)
{
	return set_option(IPPROTO_TCP, 31 /* TCP_ULP */);
}

static int try_no_delay(void)
{
	return set_option(IPPROTO_TCP, TCP_NODELAY);
}

static int try_packet_options(void)
{
	return set_option(IPPROTO_IP, IP_TOS);
}

static int try_other_protocol(void)
{
	return socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */);
}

static int try_socket_options(void)
{
	struct timeval t = { 1, 0 };

	return fcntl(given_pair[0], F_SETFL, O_NONBLOCK) == 0 &&
	                       setsockopt(given_pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0
	               ? 0
	               : -1;
}

/* A pipe that siblings write to as well. */
static int set_flags(int flags)
{
	int ends[2];

	return pipe2(ends, O_NONBLOCK) == 0 ? fcntl(ends[1], F_SETFL, flags) : 0;
}

static int try_wait_again(void)
{
	return set_flags(0);
}

static int try_packets(void)
{
	return set_flags(O_NONBLOCK | O_DIRECT);
}

static int try_signals(void)
{
	return set_flags(O_NONBLOCK | O_ASYNC);
}

static int try_wait_by_control(void)
{
	int ends[2], off = 0;

	return pipe2(ends, O_NONBLOCK) == 0 ? ioctl(ends[1], FIONBIO, &off) : 0;
}

static int try_smaller_pipe(void)
{
	int ends[2];

	return pipe2(ends, O_NONBLOCK) == 0 ? fcntl(ends[1], F_SETPIPE_SZ, 4096) : 0;
}

static int try_pair(void)
{
	int pair[2];

	return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
}

static int try_pair_narrowed(void)
{
	static const struct sandbox_profile wider = { 0 };

	sandbox_enter(&wider);
	return try_pair();
}

static int try_outlive_parent(void)
{
	return prctl(PR_SET_PDEATHSIG, 0);
}

/* Beyond its end, where no limit of sizes counts it. */
static int try_reserve_given(void)
{
	return fallocate(given_file, FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
}

static int try_truncate_given(void)
{
	return ftruncate(given_file, 0);
}

static int try_abort_works(void)
{
	abort();
}

/* A worker of a service: the second time is in the sandbox already, and what it then does wrong is
 * still reported. */
static int try_work_narrowed(void)
{
	static const struct sandbox_profile nothing = { 0 };

	for (int i = 0; i < 3; i++)
		sandbox_enter(&nothing);
	try_passwd();
	tzset();
	return try_work();
}

static int try_narrow(void)
{
	static const struct sandbox_profile nothing = { 0 };

	sandbox_enter(&nothing);
	return try_read_allowed();
}

static int try_read_below(void)
{
	sandbox_narrow(allowed_directory);
	return try_read_allowed();
}

static int try_move_below(void)
{
	sandbox_narrow(allowed_directory);
	int directory = open(allowed_directory, O_RDONLY | O_DIRECTORY);

	return mkdirat(directory, "sub", 0700) < 0 ||
	                       renameat(directory, "file", directory, "sub/file") < 0 ||
	                       renameat(directory, "sub/file", directory, "file") < 0
	               ? -1
	               : unlinkat(directory, "sub", AT_REMOVEDIR);
}

static int try_other_beside(void)
{
	sandbox_narrow(allowed_directory);
	return try_read_other();
}

static int try_narrow_to_more(void)
{
	sandbox_narrow(allowed_directory);
	sandbox_narrow("/tmp");
	return try_read_other();
}

/* ---- the table ---- */

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

static const struct {
	const char *name;
	int (*attempt)(void);
	unsigned may;  /* the sets in which it works */
	int otherwise; /* FAILED, or KILLED + signal */
} attempts[] = {
	{ "ordinary work", try_work, ALL, FAILED },
	{ "abort", try_abort_works, 0, KILLED + SIGABRT },
	{ "read a file of its own", try_read_allowed, SET(FILES) | SET(READS) | SET(NOTIFIES),
	  FAILED },
	{ "read another's file", try_read_other, 0, FAILED },
	{ "read /etc/passwd", try_passwd, 0, FAILED },
	{ "create, write, rename, remove", try_create_allowed, SET(FILES) | SET(NOTIFIES), FAILED },
	{ "create elsewhere", try_create_other, 0, FAILED },
	{ "remove elsewhere", try_unlink_other, 0, FAILED },
	{ "truncate elsewhere", try_truncate_other, 0, FAILED },
	{ "make a socket", try_socket, SET(CONNECTS), FAILED },
	{ "connect", try_connect, SET(CONNECTS), FAILED },
	{ "listen", try_listen, 0, FAILED },
	{ "make a local socket", try_local_socket, 0, FAILED },
	{ "make a raw socket", try_packet_socket, 0, FAILED },
	{ "accept", try_accept, SET(ACCEPTS), FAILED },
	{ "fork", try_fork, SET(FORKS), FAILED },
	{ "fork with all signals held back", try_fork_undisturbed, SET(FORKS), FAILED },
	{ "kill a child", try_kill_child, SET(FORKS), FAILED },
	{ "signal the parent", try_kill_parent, 0, FAILED },
	{ "signal the parent as a thread", try_kill_by_thread, 0, FAILED },
	{ "abort the parent", try_abort_parent, SET(FORKS), FAILED },
	{ "change a mode", try_mode, 0, FAILED },
	{ "change a mode elsewhere", try_mode_at, 0, FAILED },
	{ "change times", try_times, 0, FAILED },
	{ "change times by a high name", try_times_high, 0, FAILED },
	{ "change times of an open file", try_times_of_open,
	  SET(FILES) | SET(READS) | SET(NOTIFIES), FAILED },
	{ "change an owner", try_owner, 0, FAILED },
	{ "truncate by name", try_truncate, 0, FAILED },
	{ "change the directory", try_change_directory, 0, FAILED },
	{ "make a symbolic link", try_link_text, 0, FAILED },
	{ "watch a directory", try_inotify, SET(NOTIFIES), FAILED },
	{ "exec", try_exec, 0, KILLED + SIGSYS },
	{ "ptrace", try_ptrace, 0, KILLED + SIGSYS },
	{ "read another's memory", try_peek, 0, KILLED + SIGSYS },
	{ "become dumpable", try_dumpable, 0, FAILED },
	{ "limit another process", try_limit_parent, 0, FAILED },
	{ "signal another by a descriptor", try_signal_by_descriptor, 0, FAILED },
	{ "choose that signal", try_choose_signal, 0, FAILED },
	{ "lock a socket's filter", try_filter, 0, FAILED },
	{ "let a socket linger", try_linger, SET(LINGERS), FAILED },
	{ "ask for descriptors of processes", try_process_descriptors, 0, FAILED },
	{ "put a protocol above TCP", try_upper_protocol, 0, FAILED },
	{ "send without delay", try_no_delay, ALL, FAILED },
	{ "set options of packets", try_packet_options, SET(CONNECTS), FAILED },
	{ "make a socket of another protocol", try_other_protocol, 0, FAILED },
	{ "set a socket's options", try_socket_options, ALL, FAILED },
	{ "make a pipe wait that does not", try_wait_again, SET(CONNECTS), FAILED },
	{ "make it wait by ioctl", try_wait_by_control, 0, FAILED },
	{ "make it one of packets", try_packets, 0, FAILED },
	{ "make it send signals", try_signals, 0, FAILED },
	{ "make it smaller", try_smaller_pipe, 0, FAILED },
	{ "empty a file it was given", try_truncate_given, SET(FILES) | SET(READS) | SET(NOTIFIES),
	  FAILED },
	{ "reserve room in it", try_reserve_given, 0, FAILED },
	{ "make a pair of sockets", try_pair, ALL & ~SET(WORKS), FAILED },
	{ "make one after narrowing", try_pair_narrowed, ALL & ~SET(WORKS), FAILED },
	{ "outlive its parent", try_outlive_parent, ALL & ~SET(WORKS), FAILED },
	{ "use fewer descriptors", try_more_files, ALL, FAILED },
	{ "read after narrowing", try_narrow, 0, FAILED },
	{ "work after narrowing", try_work_narrowed, ALL, FAILED },
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
	struct sockaddr_in any = { .sin_family = AF_INET,
		                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof listener_address;

	snprintf(allowed_directory, sizeof allowed_directory, "/tmp/posthouse-sandbox.XXXXXX");
	snprintf(other_directory, sizeof other_directory, "/tmp/posthouse-sandbox.XXXXXX");
	if (mkdtemp(allowed_directory) == NULL || mkdtemp(other_directory) == NULL)
		exit(1);
	make_file(allowed_directory);
	make_file(other_directory);
	given_file = open(path(other_directory, "file"), O_RDWR | O_CLOEXEC);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bind(listener, (struct sockaddr *)&any, sizeof any);
	listen(listener, 1);
	getsockname(listener, (struct sockaddr *)&listener_address, &len);
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

static void test_report(void)
{
	int ends[2];
	char said[512];
	size_t len = 0;
	ssize_t n;
	char want[64];

	if (pipe(ends) < 0)
		exit(1);
	if (fork() == 0) {
		dup2(ends[1], 2);
		sandbox_enter(&profiles[NOTHING]);
		_exit(socket(AF_INET, SOCK_STREAM, 0) >= 0);
	}
	close(ends[1]);
	while ((n = read(ends[0], said + len, sizeof said - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	wait(NULL);
	time_t now = time(NULL);
	char day[16];

	strftime(day, sizeof day, "%Y-%m-%dT", gmtime(&now));
	ok(strncmp(said, day, strlen(day)) == 0, "a line of the log begins with the day");
	snprintf(want, sizeof want, "event=sandbox-violation syscall=%d", (int)SYS_socket);
	ok(strstr(said, want) != NULL, "what is refused is logged: %s", want);
}

static void test_narrow(void)
{
	static const struct sandbox_profile files = { .promises = SANDBOX_FILES,
		                                      .paths = { { "/tmp", true } } };

	ok(outcome(&files, &files, try_read_other) == WORKED, "files: all of them");
	ok(outcome(&files, &files, try_read_below) == WORKED, "narrowed: those below");
	ok(outcome(&files, &files, try_move_below) == WORKED, "also from directory to directory");
	ok(outcome(&files, &files, try_other_beside) == FAILED, "not those beside");
	ok(outcome(&files, &files, try_narrow_to_more) == FAILED, "for good");
}

static void try_sets(const struct sandbox_profile *wider)
{
	for (unsigned set = 0; set < SETS; set++)
		for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
			int want = attempts[i].may & SET(set) ? WORKED : attempts[i].otherwise;
			int got = outcome(wider, &profiles[set], attempts[i].attempt);

			ok(got == want, "%s%s: %s%s (%d)", wider ? "narrowed to " : "",
			   set_names[set], attempts[i].name, want == WORKED ? "" : " not", got);
		}
}

/* Linux before 4.14, and gVisor: EINVAL for the flag that logs. */
static int be_older(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_seccomp, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SECCOMP_FILTER_FLAG_LOG, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof filter / sizeof filter[0], filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
	               ? -1
	               : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void test_older(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		dup2(open("/dev/null", O_WRONLY), 2);
		if (be_older() < 0)
			_exit(UNUSABLE);
		_exit(strstr(sandbox_enter(&profiles[NOTHING]), "seccomp") && try_fork() < 0
		              ? WORKED
		              : FAILED);
	}
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == WORKED,
	   "a kernel that cannot log what is killed: the sandbox stands (%d)", status);
}

int main(void)
{
	static const struct sandbox_profile everything = {
		.promises = SANDBOX_FILES | SANDBOX_CONNECT | SANDBOX_FORK | SANDBOX_NOTIFY |
		            SANDBOX_ACCEPT | SANDBOX_LINGER,
		.paths = { { "/", true } },
	};
	char reached[64];

	level(reached, sizeof reached);
	printf("# this machine: %s\n", reached);
	fflush(stdout);
	if (strncmp(reached, "landlock=", 9) != 0 || strstr(reached, "seccomp") == NULL) {
		printf("1..0 # SKIP the sandbox is not whole here: %s\n", reached);
		return 0;
	}
	prepare();
	signal(SIGTERM, SIG_IGN);
	signal(SIGABRT, SIG_IGN);
	/* Once at a stroke, and once narrowed from everything: the same must come of it. */
	for (unsigned way = 0; way < 2; way++)
		try_sets(way ? &everything : NULL);
	ok(outcome(NULL, &profiles[NOTHING], try_new_code) == FAILED, "nothing: new code not");
	ok(outcome(&everything, &profiles[NOTHING], try_new_code) == FAILED,
	   "narrowed to nothing: new code not");
	ok(outcome(&everything, &profiles[FORKS], try_namespace) == KILLED + SIGSYS,
	   "narrowed to fork: a namespace not");
	ok(outcome(NULL, &profiles[FORKS], try_namespace) == KILLED + SIGSYS,
	   "fork: a namespace not");
	struct sandbox_profile little = { .memory_max = 64 << 20 };

	ok(outcome(NULL, &little, try_work) == WORKED, "with a limit of memory: ordinary work");
	test_narrow();
	test_report();
	test_older();
	clean();
	return tap_done();
}
