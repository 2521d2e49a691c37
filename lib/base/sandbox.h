/* SPDX-License-Identifier: ISC */
/*
 * The sandbox: what a program of the house can still do after it has started.
 *
 * Built per system in sandbox.c: on Linux Landlock (raw system calls, whatever
 * ABI the kernel has) for files and outgoing connections, and a seccomp filter
 * for system calls; everywhere rlimits, no_new_privs and not dumpable.  It never
 * fails open silently: the level reached comes back for the log, and with
 * sandbox.required set a level below the profile's is fatal.
 */
#ifndef LIB_BASE_SANDBOX_H
#define LIB_BASE_SANDBOX_H

#include <stdbool.h>

enum sandbox_promise {
	SANDBOX_FILES = 1 << 0,   /* open, create, rename, unlink below the paths given */
	SANDBOX_CONNECT = 1 << 1, /* socket() and connect() to the Internet */
	SANDBOX_FORK = 1 << 2,    /* service parents: fork, wait, kill own children */
	SANDBOX_NOTIFY = 1 << 3,  /* inotify */
	SANDBOX_ACCEPT = 1 << 4,  /* accept() on inherited listeners, setsockopt */
	SANDBOX_THREADS = 1 << 5, /* clone() of threads (argon2 workers are processes; this is for libraries) */
	SANDBOX_EXEC = 1 << 6     /* pickup's and gateway's children only */
};

struct sandbox_path {
	const char *path;
	bool writable;
};

struct sandbox_profile {
	unsigned promises;
	/* With SANDBOX_FILES, up to and not including a NULL path; ignored without it. */
	struct sandbox_path paths[8];
	unsigned long descriptors_max; /* RLIMIT_NOFILE; 0: leave */
	unsigned long memory_max;      /* RLIMIT_AS in bytes; 0: leave */
};

/* Enters it for good, for this process and its children.  May be called again
 * with less: each session narrows its parent's profile (a mailbox session to
 * its own directory).  Returns a short text for the log: "landlock=7 seccomp",
 * "seccomp", "none". A profile that cannot be applied although the system has the means is fatal. */
const char *sandbox_enter(const struct sandbox_profile *profile);

#endif
