/* SPDX-License-Identifier: ISC */
/* The sandbox: processes, signals, memory and limits; what is said of a violation, and older
 * kernels. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/base/bytes.h"
#include "t/unit/sandboxed.h"

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

static int try_namespace(void)
{
	return (int)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL) >= 0 ? 0
	                                                                                     : -1;
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

static int try_outlive_parent(void)
{
	return prctl(PR_SET_PDEATHSIG, 0);
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
	open("/etc/passwd", O_RDONLY);
	tzset();
	return try_work();
}

static const struct attempt attempts[] = {
	{ "ordinary work", try_work, ALL, FAILED },
	{ "abort", try_abort_works, 0, KILLED + SIGABRT },
	{ "fork", try_fork, SET(FORKS), FAILED },
	{ "fork with all signals held back", try_fork_undisturbed, SET(FORKS), FAILED },
	{ "kill a child", try_kill_child, SET(FORKS), FAILED },
	{ "signal the parent", try_kill_parent, 0, FAILED },
	{ "signal the parent as a thread", try_kill_by_thread, 0, FAILED },
	{ "abort the parent", try_abort_parent, SET(FORKS), FAILED },
	{ "exec", try_exec, 0, KILLED + SIGSYS },
	{ "ptrace", try_ptrace, 0, KILLED + SIGSYS },
	{ "read another's memory", try_peek, 0, KILLED + SIGSYS },
	{ "become dumpable", try_dumpable, 0, FAILED },
	{ "limit another process", try_limit_parent, 0, FAILED },
	{ "outlive its parent", try_outlive_parent, ALL & ~SET(WORKS), FAILED },
	{ "use fewer descriptors", try_more_files, ALL, FAILED },
	{ "work after narrowing", try_work_narrowed, ALL, FAILED },
};

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

static void test_memory(void)
{
	struct sandbox_profile little = { .memory_max = 64 << 20 };

	ok(outcome(NULL, &profiles[NOTHING], try_new_code) == FAILED, "nothing: new code not");
	ok(outcome(&everything, &profiles[NOTHING], try_new_code) == FAILED,
	   "narrowed to nothing: new code not");
	ok(outcome(NULL, &little, try_work) == WORKED, "with a limit of memory: ordinary work");
}

static void test_namespace(void)
{
	ok(outcome(&everything, &profiles[FORKS], try_namespace) == KILLED + SIGSYS,
	   "narrowed to fork: a namespace not");
	ok(outcome(NULL, &profiles[FORKS], try_namespace) == KILLED + SIGSYS,
	   "fork: a namespace not");
}

int main(void)
{
	if (!begin())
		return 0;
	TRY_ALL(attempts);
	test_memory();
	test_namespace();
	test_report();
	test_older();
	clean();
	return tap_done();
}
