/* SPDX-License-Identifier: ISC */
/*
 * Makes a chosen call of a chosen program fail, while the house runs: loaded with LD_PRELOAD into
 * master, which hands it down, so that the programs themselves have no test code in them.
 *
 * Orders and figures are in a page that all processes share: INJECT_PAGE names its file, which is
 * mapped before any jail, and from then on no system call is made that the program would not have
 * made. t/lib/inject.py has the same shapes.
 *
 * A place in a program is a call and the functions of the program that led to it. While the page
 * says so each new place gets a row, so that whoever gives orders knows what there is to fail.
 *
 * INJECT_FILES=80: no program but master has more descriptors.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- the page ---- */

/* What is not an errno. */
enum { SHORT = -1, END = -2, LIE = -3 };
enum { NAME_MAX_HERE = 16, PROGRAMS = 32, FRAMES = 6, PLACES = 16384, DEPTH = 64 };

/* clang-format off */
#define CALLS(CALL) \
	CALL(open) CALL(openat) CALL(read) CALL(pread) CALL(write) CALL(pwrite) CALL(writev) \
	CALL(send) CALL(sendto) CALL(sendmsg) CALL(recv) CALL(recvmsg) CALL(sendfile) \
	CALL(copy_file_range) CALL(fsync) CALL(fdatasync) CALL(syncfs) CALL(rename) CALL(renameat) \
	CALL(renameat2) CALL(link) CALL(linkat) CALL(unlink) CALL(unlinkat) CALL(symlinkat) \
	CALL(readlinkat) CALL(mkdir) CALL(mkdirat) CALL(ftruncate) CALL(fchmod) CALL(futimens) \
	CALL(fstat) CALL(fstatat) CALL(stat) CALL(statvfs) CALL(fstatvfs) CALL(readdir) CALL(fdopendir) \
	CALL(mmap) CALL(malloc) CALL(calloc) CALL(realloc) CALL(posix_memalign) CALL(memfd_create) \
	CALL(accept4) CALL(socket) CALL(socketpair) CALL(pipe2) CALL(connect) CALL(setsockopt) CALL(poll) \
	CALL(epoll_create1) CALL(epoll_ctl) CALL(inotify_init1) CALL(inotify_add_watch) \
	CALL(fork) CALL(dup) CALL(dup2) CALL(dup3) CALL(fcntl) CALL(flock) CALL(close)
/* clang-format on */

enum call {
#define CALL(name) CALL_##name,
	CALLS(CALL)
#undef CALL
		CALL_COUNT
};

struct place {
	uint64_t key;     /* 0: free */
	uint32_t program; /* its row in names */
	uint32_t call;
	uint32_t count;  /* how often it was passed */
	uint32_t phases; /* bits: in which phases */
	uint64_t frames[FRAMES];
};

struct page {
	uint32_t learning, phase;
	/* The order: armed last, and taken back first. */
	uint32_t armed;
	int32_t error;
	uint64_t key;
	uint32_t skip, times;
	/* What became of it. */
	uint32_t seen, hits;
	uint32_t full; /* places that found no row */
	uint32_t unused;
	char names[PROGRAMS][NAME_MAX_HERE];
	struct place places[PLACES];
};

static struct page *page;
static uint32_t program;
static uintptr_t base, top; /* of the program's own code */
static long files;
static __thread int inside;

/* ---- the calls themselves ---- */

#define REAL(name) ((__typeof__(&name))real(CALL_##name, #name))

static void *real(enum call call, const char *name)
{
	static void *known[CALL_COUNT];

	if (known[call] == NULL)
		known[call] = dlsym(RTLD_NEXT, name);
	return known[call];
}

/* ---- where we are ---- */

static uint64_t add_to(uint64_t hash, uint64_t n)
{
	for (int i = 0; i < 8; i++, n >>= 8)
		hash = (hash ^ (n & 255)) * 1099511628211u;
	return hash;
}

/* Those of the program itself: what a library does between is one place. */
static uint64_t key_of(enum call call, uint64_t frames[FRAMES])
{
	void *at[DEPTH];
	uint64_t key = add_to(add_to(14695981039346656037u, program), call);
	unsigned n = 0;
	int found = backtrace(at, DEPTH);

	for (int i = 0; i < found && n < FRAMES; i++)
		if ((uintptr_t)at[i] >= base && (uintptr_t)at[i] < top) {
			frames[n++] = (uintptr_t)at[i] - base;
			key = add_to(key, (uintptr_t)at[i] - base);
		}
	return key | 1;
}

static void learn(enum call call, uint64_t key, const uint64_t frames[FRAMES])
{
	for (unsigned i = 0; i < PLACES; i++) {
		struct place *p = &page->places[(key + i) % PLACES];
		uint64_t none = 0;

		if (__atomic_compare_exchange_n(&p->key, &none, key, 0, __ATOMIC_ACQ_REL,
		                                __ATOMIC_ACQUIRE)) {
			p->program = program;
			p->call = call;
			memcpy(p->frames, frames, sizeof p->frames);
		} else if (none != key) {
			continue;
		}
		__atomic_fetch_add(&p->count, 1, __ATOMIC_RELAXED);
		__atomic_fetch_or(&p->phases, 1u << page->phase, __ATOMIC_RELAXED);
		return;
	}
	page->full = 1;
}

static int is_hit(uint64_t key)
{
	if (!__atomic_load_n(&page->armed, __ATOMIC_ACQUIRE) || page->key != key)
		return 0;
	uint32_t n = __atomic_fetch_add(&page->seen, 1, __ATOMIC_ACQ_REL);

	if (n < page->skip || n - page->skip >= page->times)
		return 0;
	__atomic_fetch_add(&page->hits, 1, __ATOMIC_ACQ_REL);
	return 1;
}

/* What this call shall come to: 0 what it comes to by itself, an errno, or one of those above. */
static int verdict(enum call call)
{
	uint64_t frames[FRAMES] = { 0 };
	int kept = errno, result = 0;

	if (page == NULL || inside || !(page->learning || page->armed))
		return 0;
	inside = 1;
	uint64_t key = key_of(call, frames);

	if (frames[0]) {
		if (page->learning)
			learn(call, key, frames);
		if (is_hit(key))
			result = page->error;
	}
	inside = 0;
	errno = kept;
	return result;
}

static int find_code(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size, (void)unused;
	base = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD)
			top = base + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
	return 1; /* the first is the program */
}

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("INJECT_PAGE"), *limit = getenv("INJECT_FILES");
	void *some[1];

	inside = 1;
#define CALL(name) real(CALL_##name, #name);
	CALLS(CALL)
#undef CALL
	backtrace(some, 1); /* loads what it needs */
	dl_iterate_phdr(find_code, NULL);
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped = fd < 0 ? MAP_FAILED
	                      : mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	for (uint32_t i = 0; mapped != MAP_FAILED && i < PROGRAMS; i++)
		if (strcmp(((struct page *)mapped)->names[i], program_invocation_short_name) == 0) {
			program = i;
			page = mapped;
		}
	if (limit && strcmp(program_invocation_short_name, "master") != 0 && page) {
		struct rlimit all;

		files = strtol(limit, NULL, 10);
		all.rlim_cur = all.rlim_max = (rlim_t)files;
		setrlimit(RLIMIT_NOFILE, &all);
	}
	inside = 0;
}

/* ---- calls that fail, or say what did not happen ---- */

#define REFUSED(failed) (errno = v, failed)

#define FAILS(name, type, failed, lie, parameters, arguments)                           \
	type name parameters                                                            \
	{                                                                               \
		int v = verdict(CALL_##name);                                           \
		return v > 0 ? REFUSED(failed) : v == LIE ? lie : REAL(name) arguments; \
	}

/* A part of it, its end, nothing but the word. */
#define MOVES(name, size, parameters, arguments, part) \
	ssize_t name parameters                        \
	{                                              \
		int v = verdict(CALL_##name);          \
		if (v > 0)                             \
			return REFUSED(-1);            \
		if (v == END)                          \
			return 0;                      \
		if (v == LIE)                          \
			return (ssize_t)(size);        \
		if (v == SHORT && (size) > 1)          \
			return REAL(name) part;        \
		return REAL(name) arguments;           \
	}

MOVES(read, n, (int fd, void *out, size_t n), (fd, out, n), (fd, out, n / 2))
MOVES(pread, n, (int fd, void *out, size_t n, off_t at), (fd, out, n, at), (fd, out, n / 2, at))
MOVES(write, n, (int fd, const void *in, size_t n), (fd, in, n), (fd, in, n / 2))
MOVES(pwrite, n, (int fd, const void *in, size_t n, off_t at), (fd, in, n, at), (fd, in, n / 2, at))
MOVES(send, n, (int fd, const void *in, size_t n, int flags), (fd, in, n, flags),
      (fd, in, n / 2, flags))
MOVES(recv, n, (int fd, void *out, size_t n, int flags), (fd, out, n, flags),
      (fd, out, n / 2, flags))
MOVES(sendto, n,
      (int fd, const void *in, size_t n, int flags, const struct sockaddr *to, socklen_t len),
      (fd, in, n, flags, to, len), (fd, in, n / 2, flags, to, len))
MOVES(sendfile, n, (int to, int from, off_t *at, size_t n), (to, from, at, n),
      (to, from, at, n / 2))
MOVES(copy_file_range, n, (int from, off64_t *at, int to, off64_t *there, size_t n, unsigned flags),
      (from, at, to, there, n, flags), (from, at, to, there, n / 2, flags))

static size_t all_of(const struct iovec *parts, int count)
{
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n += parts[i].iov_len;
	return n;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	int v = verdict(CALL_writev);

	if (v > 0)
		return REFUSED(-1);
	if (v == LIE)
		return (ssize_t)all_of(parts, count);
	if (v == SHORT && count > 0 && parts[0].iov_len > 1)
		return REAL(write)(fd, parts[0].iov_base, parts[0].iov_len / 2);
	return REAL(writev)(fd, parts, count);
}

/* A packet goes as a whole or not at all. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	int v = verdict(CALL_sendmsg);

	if (v > 0)
		return REFUSED(-1);
	return v == LIE ? (ssize_t)all_of(message->msg_iov, (int)message->msg_iovlen)
	                : REAL(sendmsg)(fd, message, flags);
}

/* What the kernel does for whom no descriptor is free. */
static void lose_descriptors(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		for (size_t i = 0;
		     c->cmsg_type == SCM_RIGHTS && i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		     i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			REAL(close)(fd);
			message->msg_flags |= MSG_CTRUNC;
		}
	message->msg_controllen = 0;
}

/* That the descriptors are lost is decided when there is a message: who waits for one when the
 * order comes may wait until long after it. */
ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	int later = page && page->armed && page->error == EMFILE;
	int v = later ? 0 : verdict(CALL_recvmsg);

	if (v > 0)
		return REFUSED(-1);
	if (v == END)
		return 0;
	ssize_t n = REAL(recvmsg)(fd, message, flags);

	if (n >= 0 && page && page->armed && page->error == EMFILE &&
	    verdict(CALL_recvmsg) == EMFILE)
		lose_descriptors(message);
	return n;
}

ssize_t __recv_chk(int fd, void *out, size_t n, size_t room, int flags);
ssize_t __recv_chk(int fd, void *out, size_t n, size_t room, int flags)
{
	(void)room;
	return recv(fd, out, n, flags);
}

static mode_t mode_of(int flags, va_list list)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list list;

	va_start(list, flags);
	mode_t mode = mode_of(flags, list);

	va_end(list);
	int v = verdict(CALL_open);

	return v > 0 ? REFUSED(-1) : REAL(open)(path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...)
{
	va_list list;

	va_start(list, flags);
	mode_t mode = mode_of(flags, list);

	va_end(list);
	int v = verdict(CALL_openat);

	return v > 0 ? REFUSED(-1) : REAL(openat)(directory, path, flags, mode);
}

FAILS(fsync, int, -1, 0, (int fd), (fd))
FAILS(fdatasync, int, -1, 0, (int fd), (fd))
FAILS(syncfs, int, -1, 0, (int fd), (fd))
FAILS(rename, int, -1, 0, (const char *from, const char *to), (from, to))
FAILS(renameat, int, -1, 0, (int a, const char *from, int b, const char *to), (a, from, b, to))
FAILS(renameat2, int, -1, 0, (int a, const char *from, int b, const char *to, unsigned flags),
      (a, from, b, to, flags))
FAILS(link, int, -1, 0, (const char *from, const char *to), (from, to))
FAILS(linkat, int, -1, 0, (int a, const char *from, int b, const char *to, int flags),
      (a, from, b, to, flags))
FAILS(unlink, int, -1, 0, (const char *path), (path))
FAILS(unlinkat, int, -1, 0, (int at, const char *path, int flags), (at, path, flags))
FAILS(symlinkat, int, -1, 0, (const char *to, int at, const char *path), (to, at, path))
FAILS(readlinkat, ssize_t, -1, 0, (int at, const char *path, char *out, size_t n),
      (at, path, out, n))
FAILS(mkdir, int, -1, 0, (const char *path, mode_t mode), (path, mode))
FAILS(mkdirat, int, -1, 0, (int at, const char *path, mode_t mode), (at, path, mode))
FAILS(ftruncate, int, -1, 0, (int fd, off_t n), (fd, n))
FAILS(fchmod, int, -1, 0, (int fd, mode_t mode), (fd, mode))
FAILS(futimens, int, -1, 0, (int fd, const struct timespec times[2]), (fd, times))
FAILS(fstat, int, -1, 0, (int fd, struct stat *out), (fd, out))
FAILS(fstatat, int, -1, 0, (int at, const char *path, struct stat *out, int flags),
      (at, path, out, flags))
FAILS(stat, int, -1, 0, (const char *path, struct stat *out), (path, out))
FAILS(statvfs, int, -1, 0, (const char *path, struct statvfs *out), (path, out))
FAILS(fstatvfs, int, -1, 0, (int fd, struct statvfs *out), (fd, out))
FAILS(readdir, struct dirent *, NULL, NULL, (DIR * d), (d))
FAILS(fdopendir, DIR *, NULL, NULL, (int fd), (fd))
FAILS(mmap, void *, MAP_FAILED, MAP_FAILED, (void *at, size_t n, int p, int f, int fd, off_t o),
      (at, n, p, f, fd, o))
FAILS(memfd_create, int, -1, -1, (const char *name, unsigned flags), (name, flags))
FAILS(accept4, int, -1, -1, (int fd, struct sockaddr *from, socklen_t *len, int flags),
      (fd, from, len, flags))
FAILS(socket, int, -1, -1, (int domain, int type, int protocol), (domain, type, protocol))
FAILS(socketpair, int, -1, -1, (int domain, int type, int protocol, int ends[2]),
      (domain, type, protocol, ends))
FAILS(pipe2, int, -1, -1, (int ends[2], int flags), (ends, flags))
FAILS(connect, int, -1, 0, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len))
FAILS(setsockopt, int, -1, 0, (int fd, int level, int name, const void *value, socklen_t len),
      (fd, level, name, value, len))
FAILS(poll, int, -1, 0, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms))
FAILS(epoll_create1, int, -1, -1, (int flags), (flags))
FAILS(epoll_ctl, int, -1, 0, (int at, int op, int fd, struct epoll_event *e), (at, op, fd, e))
FAILS(inotify_init1, int, -1, -1, (int flags), (flags))
FAILS(inotify_add_watch, int, -1, -1, (int fd, const char *path, uint32_t mask), (fd, path, mask))
FAILS(fork, pid_t, -1, -1, (void), ())
FAILS(dup, int, -1, -1, (int fd), (fd))
FAILS(dup2, int, -1, -1, (int fd, int to), (fd, to))
FAILS(dup3, int, -1, -1, (int fd, int to, int flags), (fd, to, flags))
FAILS(flock, int, -1, 0, (int fd, int op), (fd, op))

/* A descriptor is gone also when its close says that something went wrong. */
int close(int fd)
{
	int v = verdict(CALL_close), result = REAL(close)(fd);

	return v > 0 ? REFUSED(-1) : result;
}

int fcntl(int fd, int command, ...)
{
	va_list list;

	va_start(list, command);
	void *argument = va_arg(list, void *);

	va_end(list);
	int makes = command == F_DUPFD || command == F_DUPFD_CLOEXEC || command == F_SETLK ||
	            command == F_SETLKW;
	int v = makes ? verdict(CALL_fcntl) : 0;

	return v > 0 ? REFUSED(-1) : REAL(fcntl)(fd, command, argument);
}

int setrlimit(__rlimit_resource_t which, const struct rlimit *wanted)
{
	struct rlimit less = *wanted;

	if (files > 0 && which == RLIMIT_NOFILE && wanted->rlim_max > (rlim_t)files)
		less.rlim_max = (rlim_t)files;
	if (files > 0 && which == RLIMIT_NOFILE && wanted->rlim_cur > less.rlim_max)
		less.rlim_cur = less.rlim_max;
	return ((__typeof__(&setrlimit))dlsym(RTLD_NEXT, "setrlimit"))(which, &less);
}

/* ---- memory ---- */

/* What a library makes once, at its first use, is left alone: libcrypto (3.5) waits for itself when
 * an allocation fails there, since its own error would be the first to need what is being made. */
int pthread_once(pthread_once_t *once, void (*make)(void))
{
	int before = inside;

	inside = 1;
	int result = ((__typeof__(&pthread_once))dlsym(RTLD_NEXT, "pthread_once"))(once, make);

	inside = before;
	return result;
}

/* A sanitizer has an allocator of its own, which wants to be asked itself. */
#if defined(__GLIBC__) && !defined(WITHOUT_MEMORY)
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t each);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

void *malloc(size_t n)
{
	int v = verdict(CALL_malloc);

	return v > 0 ? REFUSED(NULL) : __libc_malloc(n);
}

void *calloc(size_t n, size_t each)
{
	int v = verdict(CALL_calloc);

	return v > 0 ? REFUSED(NULL) : __libc_calloc(n, each);
}

void *realloc(void *p, size_t n)
{
	int v = verdict(CALL_realloc);

	return v > 0 ? REFUSED(NULL) : __libc_realloc(p, n);
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
	int v = verdict(CALL_posix_memalign);

	if (v > 0)
		return v;
	void *p = __libc_memalign(alignment, n);

	if (p == NULL)
		return ENOMEM;
	*out = p;
	return 0;
}
#endif

/* What a program calls that was compiled for large files. */
#define LARGE(type, name, parameters) type name##64 parameters __attribute__((alias(#name)))

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int directory, const char *path, int flags, ...) __attribute__((alias("openat")));
int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));
#ifdef __GLIBC__
LARGE(ssize_t, pread, (int fd, void *out, size_t n, off64_t at));
LARGE(ssize_t, pwrite, (int fd, const void *in, size_t n, off64_t at));
LARGE(ssize_t, sendfile, (int to, int from, off64_t *at, size_t n));
LARGE(int, ftruncate, (int fd, off64_t n));
LARGE(int, fstat, (int fd, struct stat64 *out));
LARGE(int, fstatat, (int at, const char *path, struct stat64 *out, int flags));
LARGE(int, stat, (const char *path, struct stat64 *out));
LARGE(int, statvfs, (const char *path, struct statvfs64 *out));
LARGE(int, fstatvfs, (int fd, struct statvfs64 *out));
LARGE(struct dirent64 *, readdir, (DIR * d));
LARGE(void *, mmap, (void *at, size_t n, int p, int f, int fd, off64_t o));
LARGE(int, setrlimit, (__rlimit_resource_t which, const struct rlimit64 *wanted));
#endif
