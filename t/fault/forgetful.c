/* SPDX-License-Identifier: ISC */
/*
 * Leaves out a program's syncs, as if the lines were missing in its source: loaded with LD_PRELOAD
 * into all programs of a house. What then gets lost shows that a test for lost mail would see it.
 *
 *	FORGET_PROGRAM=imapd    whose
 *	FORGET_ONLY=directories only those of directories; else all
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int forgets, only_directories;

__attribute__((constructor)) static void start(void)
{
	const char *program = getenv("FORGET_PROGRAM");

	forgets = program && strcmp(program_invocation_short_name, program) == 0;
	only_directories = getenv("FORGET_ONLY") != NULL;
}

static int forgotten(int fd)
{
	struct stat st;

	return forgets && (!only_directories || (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)));
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd)
{
	return forgotten(fd) ? 0 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
	return forgotten(fd) ? 0 : REAL(fdatasync)(fd);
}
