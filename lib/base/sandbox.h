/* SPDX-License-Identifier: ISC */
/*
 * The sandbox: what a program of the house can still do after it has started.
 *
 * On Linux Landlock (raw system calls, whatever ABI the kernel has) for files, outgoing
 * connections, signals and abstract sockets, and a seccomp filter for system calls (x86_64 and
 * aarch64); everywhere rlimits, no_new_privs and not dumpable. It never fails open silently: the
 * level reached comes back for the log, and a system call that is refused is logged as
 * event=sandbox-violation. Builds with sanitizers, which could not work in it, say so.
 */
#ifndef LIB_BASE_SANDBOX_H
#define LIB_BASE_SANDBOX_H

#include <stdbool.h>

enum sandbox_promise {
	SANDBOX_FILES = 1 << 0,   /* open, create, rename, unlink below the paths given; map code
	                             (iconv's modules) */
	SANDBOX_CONNECT = 1 << 1, /* socket() and connect() to the Internet */
	SANDBOX_FORK = 1 << 2,    /* service parents: fork, wait, kill own children */
	SANDBOX_NOTIFY = 1 << 3,  /* inotify */
	SANDBOX_ACCEPT = 1 << 4,  /* accept() on inherited listeners */
	SANDBOX_LINGER = 1 << 5 /* SO_LINGER: who may be given sockets by strangers and closes them
	                           (wire_close_given) */
};

enum { SANDBOX_PATHS_MAX = 8 };

struct sandbox_path {
	const char *path;
	bool writable;
};

struct sandbox_profile {
	unsigned promises;
	/* With SANDBOX_FILES, up to and not including a NULL path; ignored without it. */
	struct sandbox_path paths[SANDBOX_PATHS_MAX];
	unsigned long descriptors_max; /* RLIMIT_NOFILE; 0: leave */
	unsigned long memory_max;      /* RLIMIT_AS in bytes; 0: leave */
	unsigned long data_max;        /* RLIMIT_DATA in bytes; 0: leave */
	unsigned long processes_max;   /* RLIMIT_NPROC with SANDBOX_FORK; 0: leave */
	/* RLIMIT_FSIZE in bytes; 0: leave, or none at all with no_file_grows. Not applied where the
	 * log is an ordinary file, whose lines it would count too. */
	unsigned long file_bytes_max;
	bool no_file_grows;
	/* Makes no pairs of sockets (it could leave descriptors in one, and the kernel counts those
	 * against all processes of the uid), and keeps the signal of its parent's death. */
	bool worker;
	/* sandbox_narrow follows, before a byte of a stranger's is read: until then its parent's
	 * rules for files are its own. */
	bool narrows;
};

/* Enters it for good (without SANDBOX_FORK also RLIMIT_NPROC 0), for this
 * process and its children. May be called again with less, as each worker does. Returns a short
 * text for the log: "landlock=7 seccomp", "seccomp", "none", "none (sanitizers)". A profile that
 * cannot be applied although the system has the means is fatal. */
const char *sandbox_enter(const struct sandbox_profile *profile);
/* For who has no sandbox and starts those that have: RLIMIT_DATA in bytes for this process; those
 * that it starts may set their own. Not in builds with sanitizers. */
void sandbox_bound_data(unsigned long bytes);
/* Would it keep a program within its paths? Not where the kernel has no Landlock, nor in a build
 * with sanitizers. */
bool sandbox_keeps_paths(void);
/* For who is in it already, with SANDBOX_FILES: from now on this open directory and what is below
 * it, and no other file. */
void sandbox_narrow(int directory);

#endif
