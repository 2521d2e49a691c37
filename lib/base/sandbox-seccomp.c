/* SPDX-License-Identifier: ISC */
/*
 * The filter of system calls, made of the promises: one table of calls, each with the promise that
 * allows it.
 *
 * What is not in the table never happens: the call is reported to the log as
 * event=sandbox-violation with its number and fails, ENOSYS, so that a later C library which tries
 * something new falls back as it would on an old kernel. Few calls that no program of the house can
 * ever want (another program, another process's memory, the kernel's own matters) end the process
 * at once; the service's parent and the kernel's audit log say so.
 *
 * A new process is refused without a report: the report is a signal, and C libraries (glibc since
 * 2.41) hold back all signals around the call, where a signal that cannot be held back ends the
 * process. The kernel's audit log has it.
 */
#include "lib/base/sandbox-parts.h"

#if HAVE_SECCOMP_FILTER && (defined(__x86_64__) || defined(__aarch64__))

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/base/log.h"

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#else
#define MACHINE AUDIT_ARCH_AARCH64
#endif

enum {
	X32_BIT = 0x40000000, /* the second set of numbers that x86_64 kernels answer to */
	FILTER_MAX = 1024,
	REPORTS_MAX = 16 /* a process that was captured shall not fill the log */
};

#define ALWAYS    0u
#define FORBIDDEN (~0u)

/* Calls that an old header does not number are left out: they are refused like all others. */
static const struct {
	unsigned call, promise;
} rules[] = {
	/* Most frequent first. */
	{ __NR_read, ALWAYS },
	{ __NR_write, ALWAYS },
	{ __NR_sendmsg, ALWAYS },
	{ __NR_recvmsg, ALWAYS },
	{ __NR_sendto, ALWAYS },
	{ __NR_recvfrom, ALWAYS },
	{ __NR_epoll_pwait, ALWAYS },
	{ __NR_epoll_ctl, ALWAYS },
	{ __NR_ppoll, ALWAYS },
	{ __NR_close, ALWAYS },
	{ __NR_futex, ALWAYS },
	{ __NR_clock_gettime, ALWAYS },
	{ __NR_fsync, ALWAYS },
	{ __NR_fdatasync, ALWAYS },
	{ __NR_sendfile, ALWAYS },
	{ __NR_lseek, ALWAYS },
	{ __NR_fstat, ALWAYS },
	{ __NR_newfstatat, ALWAYS }, /* how the C library calls fstat */
	{ __NR_statx, ALWAYS },
	{ __NR_readv, ALWAYS },
	{ __NR_writev, ALWAYS },
	{ __NR_pread64, ALWAYS },
	{ __NR_pwrite64, ALWAYS },
	{ __NR_preadv, ALWAYS },
	{ __NR_pwritev, ALWAYS },
	{ __NR_munmap, ALWAYS },
	{ __NR_brk, ALWAYS },
	{ __NR_mremap, ALWAYS },
	{ __NR_madvise, ALWAYS },
	{ __NR_mlock, ALWAYS },
	{ __NR_munlock, ALWAYS },
	{ __NR_msync, ALWAYS },
	{ __NR_exit, ALWAYS },
	{ __NR_exit_group, ALWAYS },
	{ __NR_rt_sigaction, ALWAYS },
	{ __NR_rt_sigprocmask, ALWAYS },
	{ __NR_rt_sigreturn, ALWAYS },
	{ __NR_rt_sigtimedwait, ALWAYS },
	{ __NR_rt_sigsuspend, ALWAYS },
	{ __NR_rt_sigpending, ALWAYS },
	{ __NR_sigaltstack, ALWAYS },
	{ __NR_restart_syscall, ALWAYS },
	{ __NR_gettimeofday, ALWAYS },
	{ __NR_clock_getres, ALWAYS },
	{ __NR_clock_nanosleep, ALWAYS },
	{ __NR_nanosleep, ALWAYS },
	{ __NR_getpid, ALWAYS },
	{ __NR_getppid, ALWAYS },
	{ __NR_gettid, ALWAYS },
	{ __NR_getuid, ALWAYS },
	{ __NR_geteuid, ALWAYS },
	{ __NR_getgid, ALWAYS },
	{ __NR_getegid, ALWAYS },
	{ __NR_getresuid, ALWAYS },
	{ __NR_getresgid, ALWAYS },
	{ __NR_getrandom, ALWAYS },
	{ __NR_uname, ALWAYS },
	{ __NR_sysinfo, ALWAYS },
	{ __NR_umask, ALWAYS },
	{ __NR_getrusage, ALWAYS },
	{ __NR_times, ALWAYS },
	{ __NR_sched_yield, ALWAYS },
	{ __NR_sched_getaffinity, ALWAYS },
	{ __NR_getrlimit, ALWAYS },
	{ __NR_setrlimit, ALWAYS },
	{ __NR_set_robust_list, ALWAYS },
	{ __NR_set_tid_address, ALWAYS },
	{ __NR_membarrier, ALWAYS },
#ifdef __NR_rseq
	{ __NR_rseq, ALWAYS },
#endif
	{ __NR_shutdown, ALWAYS },
	{ __NR_getsockopt, ALWAYS },
	{ __NR_getsockname, ALWAYS },
	{ __NR_getpeername, ALWAYS },
	{ __NR_sendmmsg, ALWAYS },
	{ __NR_recvmmsg, ALWAYS },
	{ __NR_pselect6, ALWAYS },
	{ __NR_epoll_create1, ALWAYS },
	{ __NR_pipe2, ALWAYS },
	{ __NR_eventfd2, ALWAYS },
	{ __NR_timerfd_create, ALWAYS },
	{ __NR_timerfd_settime, ALWAYS },
	{ __NR_dup, ALWAYS },
	{ __NR_dup3, ALWAYS },
#ifdef __NR_close_range
	{ __NR_close_range, ALWAYS },
#endif
	{ __NR_memfd_create,
	  SANDBOX_FILES }, /* lib/store: an index that the full disk does not take */
	{ __NR_fadvise64, ALWAYS },
	{ __NR_sync_file_range, ALWAYS },
	{ __NR_copy_file_range, ALWAYS },
	{ __NR_splice, ALWAYS },
	/* A process may narrow itself further. */
	{ __NR_seccomp, ALWAYS },
	{ 444, ALWAYS }, /* landlock_create_ruleset, landlock_add_rule, landlock_restrict_self */
	{ 445, ALWAYS },
	{ 446, ALWAYS },
#ifdef __x86_64__
	{ __NR_poll, ALWAYS },
	{ __NR_select, ALWAYS },
	{ __NR_epoll_wait, ALWAYS },
	{ __NR_epoll_create, ALWAYS },
	{ __NR_pipe, ALWAYS },
	{ __NR_dup2, ALWAYS },
	{ __NR_time, ALWAYS },
	{ __NR_alarm, ALWAYS },
	{ __NR_arch_prctl, ALWAYS },
#endif
	{ __NR_setitimer, ALWAYS },

	/* What takes a path and is not governed by Landlock (modes, times, owners, the present
	 * directory) is left out: the files of others of the same uid, of which vmail has many,
	 * would be open to it. */
	{ __NR_openat, SANDBOX_FILES },
#ifdef __NR_openat2
	{ __NR_openat2, SANDBOX_FILES },
#endif
	{ __NR_faccessat, SANDBOX_FILES },
#ifdef __NR_faccessat2
	{ __NR_faccessat2, SANDBOX_FILES },
#endif
	{ __NR_renameat, SANDBOX_FILES },
	{ __NR_renameat2, SANDBOX_FILES },
	{ __NR_linkat, SANDBOX_FILES },
	{ __NR_unlinkat, SANDBOX_FILES },
	{ __NR_mkdirat, SANDBOX_FILES },
	{ __NR_getdents64, SANDBOX_FILES },
	{ __NR_ftruncate, SANDBOX_FILES },
	{ __NR_flock, SANDBOX_FILES },
	{ __NR_fstatfs, SANDBOX_FILES },
	{ __NR_syncfs, SANDBOX_FILES },
	{ __NR_fchdir, SANDBOX_FILES },
#ifdef __x86_64__
	{ __NR_open, SANDBOX_FILES },
	{ __NR_creat, SANDBOX_FILES },
	{ __NR_stat, SANDBOX_FILES },
	{ __NR_lstat, SANDBOX_FILES },
	{ __NR_access, SANDBOX_FILES },
	{ __NR_rename, SANDBOX_FILES },
	{ __NR_link, SANDBOX_FILES },
	{ __NR_unlink, SANDBOX_FILES },
	{ __NR_mkdir, SANDBOX_FILES },
	{ __NR_rmdir, SANDBOX_FILES },
	{ __NR_getdents, SANDBOX_FILES },
#endif

	{ __NR_connect, SANDBOX_CONNECT },
	{ __NR_bind, SANDBOX_CONNECT },

	{ __NR_accept4, SANDBOX_ACCEPT },
	{ __NR_accept, SANDBOX_ACCEPT },

	{ __NR_wait4, SANDBOX_FORK },
	{ __NR_waitid, SANDBOX_FORK },
	{ __NR_kill, SANDBOX_FORK },
	{ __NR_setsid, SANDBOX_FORK },
	{ __NR_setpgid, SANDBOX_FORK },
#ifdef __x86_64__
	{ __NR_fork, SANDBOX_FORK },
	{ __NR_vfork, SANDBOX_FORK },
#endif

	{ __NR_inotify_init1, SANDBOX_NOTIFY },
	{ __NR_inotify_add_watch, SANDBOX_NOTIFY },
	{ __NR_inotify_rm_watch, SANDBOX_NOTIFY },
#ifdef __x86_64__
	{ __NR_inotify_init, SANDBOX_NOTIFY },
#endif

	/* Only somebody else's code asks for these. */
	{ __NR_ptrace, FORBIDDEN },
	{ __NR_process_vm_readv, FORBIDDEN },
	{ __NR_process_vm_writev, FORBIDDEN },
	{ __NR_execve, FORBIDDEN },
	{ __NR_execveat, FORBIDDEN },
	{ __NR_mount, FORBIDDEN },
	{ __NR_umount2, FORBIDDEN },
	{ __NR_chroot, FORBIDDEN },
	{ __NR_pivot_root, FORBIDDEN },
	{ __NR_unshare, FORBIDDEN },
	{ __NR_setns, FORBIDDEN },
	{ __NR_bpf, FORBIDDEN },
	{ __NR_perf_event_open, FORBIDDEN },
	{ __NR_userfaultfd, FORBIDDEN },
	{ __NR_keyctl, FORBIDDEN },
	{ __NR_add_key, FORBIDDEN },
	{ __NR_request_key, FORBIDDEN },
	{ __NR_init_module, FORBIDDEN },
	{ __NR_finit_module, FORBIDDEN },
	{ __NR_kexec_load, FORBIDDEN },
	{ __NR_setuid, FORBIDDEN },
	{ __NR_setresuid, FORBIDDEN },
	{ __NR_io_uring_setup, FORBIDDEN },
};

/* ---- building ---- */

static struct sock_filter filter[FILTER_MAX];
static unsigned filter_len;

static void add(uint16_t code, uint32_t k, uint8_t jump_true, uint8_t jump_false)
{
	if (filter_len == FILTER_MAX)
		log_panic("the sandbox's filter is longer than %d", FILTER_MAX);
	filter[filter_len++] = (struct sock_filter){ code, jump_true, jump_false, k };
}

static void load(size_t offset)
{
	add(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void give(uint32_t action)
{
	add(BPF_RET | BPF_K, action, 0, 0);
}

static void add_call(unsigned call, uint32_t action)
{
	add(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1);
	give(action);
}

/* The low half of an argument (both machines are little-endian). */
static void load_argument(unsigned number)
{
	load(offsetof(struct seccomp_data, args) + number * sizeof(uint64_t));
}

static void load_high_half(unsigned number)
{
	load(offsetof(struct seccomp_data, args) + number * sizeof(uint64_t) + sizeof(uint32_t));
}

static const uint32_t kill_it = SECCOMP_RET_KILL_PROCESS, report_it = SECCOMP_RET_TRAP,
		      refuse_it = SECCOMP_RET_ERRNO | ENOSYS, allow_it = SECCOMP_RET_ALLOW;

/* These blocks end in a decision for their call, and are passed over by others. */
static void begin_call(unsigned call, unsigned *jump)
{
	*jump = filter_len;
	add(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 0);
}

static void end_call(unsigned jump, uint32_t otherwise)
{
	give(otherwise);
	filter[jump].jf = (uint8_t)(filter_len - jump - 1);
}

static void allow_values(unsigned call, unsigned argument, const uint32_t *values, size_t count)
{
	unsigned jump;

	begin_call(call, &jump);
	load_argument(argument);
	for (size_t i = 0; i < count; i++)
		add_call(values[i], allow_it);
	end_call(jump, report_it);
}

static void allow_without_bits(unsigned call, unsigned argument, uint32_t bits, uint32_t otherwise)
{
	unsigned jump;

	begin_call(call, &jump);
	load_argument(argument);
	add(BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0);
	give(allow_it);
	end_call(jump, otherwise);
}

/* Streams and datagrams of the Internet. */
static void allow_internet_sockets(void)
{
	enum { TYPE_BITS = 0xf };
	unsigned jump;

	begin_call(__NR_socket, &jump);
	load_argument(1);
	add(BPF_ALU | BPF_AND | BPF_K, TYPE_BITS, 0, 0);
	add(BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 2, 0);
	add(BPF_JMP | BPF_JEQ | BPF_K, SOCK_DGRAM, 1, 0);
	give(report_it);
	/* Not what else calls itself a stream: SMC's close waits. */
	load_argument(2);
	add(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0);
	add(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 2, 0);
	add(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 1, 0);
	give(report_it);
	load_argument(0);
	add_call(AF_INET, allow_it);
	add_call(AF_INET6, allow_it);
	end_call(jump, report_it);
}

#define COUNT(array) (sizeof array / sizeof array[0])

/* Of this level the options named, in the block of setsockopt, whose level is loaded. */
static void allow_options(uint32_t level, const uint32_t *options, size_t count)
{
	add(BPF_JMP | BPF_JEQ | BPF_K, level, 0, (uint8_t)(2 * count + 2));
	load_argument(2);
	for (size_t i = 0; i < count; i++)
		add_call(options[i], allow_it);
	give(report_it);
}

/* Those that our programs and libunbound set, for a socket outlives the process that set one: with
 * SO_LINGER whoever it was passed to waits in close(), a filter makes a shared wire deaf,
 * SO_PASSPIDFD fills the receiver with descriptors, and another TCP_ULP is another close(). */
static void allow_socket_options(unsigned promises)
{
	enum { PASS_RIGHTS = 83 };
	static const uint32_t plain[] = { SO_RCVTIMEO,  SO_SNDTIMEO,    SO_RCVBUF,
		                          SO_SNDBUF,    SO_RCVBUFFORCE, SO_SNDBUFFORCE,
		                          SO_KEEPALIVE, SO_REUSEADDR,   SO_REUSEPORT,
		                          SO_PASSCRED,  PASS_RIGHTS,    SO_LINGER };
	static const uint32_t tcp[] = { TCP_NODELAY, TCP_MAXSEG, TCP_FASTOPEN_CONNECT };
	unsigned jump;

	begin_call(__NR_setsockopt, &jump);
	load_argument(1);
	allow_options(SOL_SOCKET, plain, COUNT(plain) - (promises & SANDBOX_LINGER ? 0 : 1));
	allow_options(IPPROTO_TCP, tcp, COUNT(tcp));
	/* How packets are sent: the C library's and libunbound's questions. */
	if (promises & SANDBOX_CONNECT) {
		add_call(IPPROTO_IP, allow_it);
		add_call(IPPROTO_IPV6, allow_it);
	}
	end_call(jump, report_it);
}

/* futimens(): the times of a file that is open, none that is named. */
static void allow_times_of_open_files(void)
{
	unsigned jump;

	begin_call(__NR_utimensat, &jump);
	load_argument(1);
	add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
	load_high_half(1);
	add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
	give(allow_it);
	end_call(jump, report_it);
}

/* abort(), of itself: whose children this filter is passed on to may kill() them as well. */
static void allow_abort(unsigned promises)
{
	unsigned jump;

	begin_call(__NR_tgkill, &jump);
	if (!(promises & SANDBOX_FORK)) {
		load_argument(0);
		add(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 1, 0);
		give(report_it);
	}
	load_argument(2);
	add_call(SIGABRT, allow_it);
	end_call(jump, report_it);
}

/* New code comes only from files, and only where files may be opened (iconv's modules). */
static void refuse_new_code(void)
{
	allow_without_bits(__NR_mmap, 2, PROT_EXEC, report_it);
	allow_without_bits(__NR_mprotect, 2, PROT_EXEC, report_it);
}

static void add_clone(unsigned promises)
{
	const uint32_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
	                            CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
	bool forks = promises & SANDBOX_FORK;

	/* clone3 hides its flags from a filter: the C library takes clone when it does not
	 * exist. */
#ifdef __NR_clone3
	add_call(__NR_clone3, refuse_it);
#endif
	if (forks)
		allow_without_bits(__NR_clone, 0, namespaces | CLONE_THREAD, kill_it);
	else
		add_call(__NR_clone, refuse_it);
#ifdef __x86_64__
	if (!forks) {
		add_call(__NR_fork, refuse_it);
		add_call(__NR_vfork, refuse_it);
	}
#endif
}

/* PR_SET_DUMPABLE, whose second argument could undo what sandbox.c did, only as it did it. */
static void add_prctl(unsigned promises)
{
	enum { SET_VMA = 0x53564d41 };
	static const uint32_t options[] = { PR_SET_NO_NEW_PRIVS, PR_SET_NAME, PR_SET_SECCOMP,
		                            SET_VMA };
	unsigned jump;

	begin_call(__NR_prctl, &jump);
	load_argument(0);
	for (size_t i = 0; i < COUNT(options); i++)
		add_call(options[i], allow_it);
	add_call(PR_SET_PDEATHSIG, promises & SANDBOX_NO_WORKER ? allow_it : report_it);
	add(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_DUMPABLE, 0, 3);
	load_argument(1);
	add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
	give(allow_it);
	end_call(jump, report_it);
}

/* Not F_SETOWN and F_SETSIG: they send signals to others of the same uid, of which vmail has many.
 * Flags belong to the open pipe or socket, which siblings share: one that waits would make them
 * wait for the log (lib/base/log.c). Only who connects needs sockets that do. */
static void allow_descriptor_calls(unsigned promises)
{
	static const uint32_t calls[] = { F_DUPFD,     F_DUPFD_CLOEXEC, F_GETFD,     F_SETFD,
		                          F_GETFL,     F_GETLK,         F_SETLK,     F_SETLKW,
		                          F_OFD_GETLK, F_OFD_SETLK,     F_OFD_SETLKW };
	unsigned jump;

	begin_call(__NR_fcntl, &jump);
	load_argument(1);
	for (size_t i = 0; i < COUNT(calls); i++)
		add_call(calls[i], allow_it);
	add(BPF_JMP | BPF_JEQ | BPF_K, F_SETFL, 1, 0);
	give(report_it);
	load_argument(2);
	add(BPF_JMP | BPF_JSET | BPF_K, O_DIRECT | O_ASYNC, 0, 1);
	give(report_it);
	add(BPF_JMP | BPF_JSET | BPF_K, O_NONBLOCK, 0, 1);
	give(allow_it);
	end_call(jump, promises & SANDBOX_CONNECT ? allow_it : report_it);
}

static void add_by_argument(unsigned promises)
{
	static const uint32_t controls[] = { FIONREAD, TCGETS };
	static const uint32_t local[] = { AF_UNIX };
	static const uint32_t own[] = { 0 };

	allow_descriptor_calls(promises);
	allow_values(__NR_prlimit64, 0, own, COUNT(own)); /* not the limits of others */
	allow_socket_options(promises);
	allow_values(__NR_ioctl, 1, controls, COUNT(controls));
	if (promises & SANDBOX_NO_WORKER)
		allow_values(__NR_socketpair, 0, local, COUNT(local));
	allow_abort(promises);
	add_prctl(promises);
	if (promises & SANDBOX_CONNECT)
		allow_internet_sockets();
	if (promises & SANDBOX_FILES) {
		allow_times_of_open_files();
		add_call(__NR_mmap, allow_it);
		add_call(__NR_mprotect, allow_it);
	} else {
		refuse_new_code();
	}
	add_clone(promises);
}

static void begin_filter(void)
{
	filter_len = 0;
	load(offsetof(struct seccomp_data, arch));
	add(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0);
	give(kill_it);
	load(offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	add(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	give(kill_it);
#endif
}

static bool is_promised(unsigned promise, unsigned promises)
{
	return promise == ALWAYS || (promise != FORBIDDEN && (promise & promises));
}

static void build(unsigned promises)
{
	begin_filter();
	for (size_t i = 0; i < COUNT(rules); i++)
		if (is_promised(rules[i].promise, promises))
			add_call(rules[i].call, allow_it);
		else if (rules[i].promise == FORBIDDEN)
			add_call(rules[i].call, kill_it);
	add_by_argument(promises);
	give(report_it);
}

/* Of one call, where the argument is this, or is anything else. */
static void report_value(unsigned call, unsigned argument, uint32_t value, bool anything_else)
{
	unsigned jump;

	begin_call(call, &jump);
	load_argument(argument);
	add(BPF_JMP | BPF_JEQ | BPF_K, value, anything_else, !anything_else);
	give(report_it);
	end_call(jump, allow_it);
}

static void report_calls_of(unsigned given_up)
{
	unsigned calls[COUNT(rules)], count = 0;

	for (size_t i = 0; i < COUNT(rules); i++)
		if (rules[i].promise != FORBIDDEN && (rules[i].promise & given_up))
			calls[count++] = rules[i].call;
	for (unsigned i = 0; i < count; i++)
		add(BPF_JMP | BPF_JEQ | BPF_K, calls[i], (uint8_t)(count - 1 - i), i + 1 == count);
	if (count)
		give(report_it);
}

/* A process that narrows itself has its first filter still: the second refuses what is given up
 * now, and lets that one decide the rest, other machines' calls, abort()'s signal and the other
 * options of prctl() among it. A whole one would cost every mailbox session half a millisecond, and
 * this one what the kernel needs to compile it. */
static void build_narrower(unsigned given_up, unsigned left)
{
	filter_len = 0;
	load(offsetof(struct seccomp_data, nr));
	if (given_up & SANDBOX_FORK) {
		add_clone(left);
		report_value(__NR_tgkill, 0, (uint32_t)getpid(), true);
	}
	report_calls_of(given_up);
	if (given_up & (SANDBOX_CONNECT | SANDBOX_LINGER))
		allow_socket_options(left);
	if (given_up & SANDBOX_CONNECT) {
		add_call(__NR_socket, report_it);
		allow_descriptor_calls(left);
	}
	if (given_up & SANDBOX_NO_WORKER) {
		add_call(__NR_socketpair, report_it);
		report_value(__NR_prctl, 0, PR_SET_PDEATHSIG, false);
	}
	if (given_up & SANDBOX_FILES) {
		add_call(__NR_utimensat, report_it);
		refuse_new_code();
	}
	give(allow_it);
}

/* ---- reporting ---- */

/* The call was not made: it is logged, and has failed. */
static void on_violation(int number, siginfo_t *info, void *context)
{
	static volatile sig_atomic_t reports;
	ucontext_t *machine = context;
	int kept_errno = errno;

	(void)number;
	if (reports < REPORTS_MAX) {
		reports++;
		log_warn("event=sandbox-violation syscall=%d", info->si_syscall);
	}
	errno = kept_errno;
#ifdef __x86_64__
	machine->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
#else
	machine->uc_mcontext.regs[0] = (unsigned long long)-ENOSYS;
#endif
}

static void watch_violations(void)
{
	struct sigaction action = { .sa_sigaction = on_violation,
		                    .sa_flags = SA_SIGINFO | SA_NODEFER };

	if (sigaction(SIGSYS, &action, NULL) < 0)
		log_fatal("sandbox: sigaction: %m");
}

bool sandbox_seccomp(unsigned promises)
{
	static bool entered;
	static unsigned held;
	unsigned given_up = held & ~promises;

	if (entered && given_up == 0)
		return true;
	if (entered)
		build_narrower(given_up, held & promises);
	else
		build(promises);
	held = entered ? held & promises : promises;
	if (!entered)
		watch_violations();
	entered = true;
	struct sock_fprog program = { (unsigned short)filter_len, filter };

	/* The log flag makes the kernel's audit name what was killed. Linux before 4.14 and gVisor
	 * do not know it. */
	if (syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &program) ==
	            0 ||
	    (errno == EINVAL && syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0))
		return true;
	if (errno == ENOSYS || (errno == EINVAL && prctl(PR_GET_SECCOMP) < 0))
		return false;
	log_fatal("sandbox: seccomp: %m");
}

#else

bool sandbox_seccomp(unsigned promises)
{
	(void)promises;
	return false;
}

#endif
