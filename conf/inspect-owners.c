/* SPDX-License-Identifier: ISC */
/* posthouse check: who could decide what the house does. What others may change is as good as
 * theirs: a program, a compiled map, a directory in whose place they can put another. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/command.h"
#include "conf/inspect.h"
#include "conf/model.h"
#include "lib/base/file.h"
#include "lib/conf/generation.h"

/* Who may change it decides `what'. right: whose it may be beside root's, as chown names it. */
static void check_deciders(struct model *m, const char *path, const struct stat *st, uid_t right,
                           const char *name, const char *what)
{
	if (st->st_uid != 0 && st->st_uid != right)
		problem_error(&m->problems, path, 0,
		              "owned by uid %u, who decides what %s; run chown %s",
		              (unsigned)st->st_uid, what, name);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		problem_error(&m->problems, path, 0,
		              "mode is %04o: others decide what %s; run chmod go-w",
		              (unsigned)st->st_mode & 07777, what);
}

/* ---- what root runs ---- */

static void check_program(struct model *m, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0) /* check_programs says when not */
		check_deciders(m, path, &st, 0, "root", "root runs");
}

static void check_programs_owners(struct model *m)
{
	struct view rest = VIEW(SERVER_PROGRAMS " drop"), name;
	const char *directory = command_programs();
	char path[PATH_MAX];

	check_program(m, directory);
	while (view_cut(&rest, ' ', &name))
		if (name.len &&
		    string_format(path, sizeof path, "%s/%.*s", directory, VIEW_ARG(name)))
			check_program(m, path);
	check_program(m, SBINDIR "/posthouse");
	check_program(m, SBINDIR "/sendmail");
}

/* ---- what was compiled ---- */

static void check_compiled(struct model *m, const char *path, const struct stat *st)
{
	char name[16];

	string_print(name, sizeof name, "%u", (unsigned)geteuid());
	check_deciders(m, path, st, geteuid(), name, "the server does");
}

/* Of one file, or of all in a directory. */
static void check_generation(void *context, const struct generation_row *row)
{
	struct model *m = context;
	const struct dirent *e;
	char path[PATH_MAX];
	struct stat st;
	struct walk w;
	int fd = generation_open_number(m->settings.directory_state, row->number, NULL);

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && string_format(path, sizeof path, "%s/generations/%04ld",
	                                         m->settings.directory_state, row->number))
		check_compiled(m, path, &st);
	walk_begin_fd(&w, fd);
	while ((e = walk_next(&w)) != NULL)
		if (fstatat(walk_fd(&w), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    string_format(path, sizeof path, "%s/generations/%04ld/%s",
		                  m->settings.directory_state, row->number, e->d_name))
			check_compiled(m, path, &st);
	bool whole = walk_end(&w) == 0;

	(void)whole; /* inspect_texts tells of a current one that cannot be read */
}

static void check_state(struct model *m)
{
	char path[PATH_MAX];
	struct stat st;

	if (string_format(path, sizeof path, "%s/directories", m->settings.directory_state) &&
	    lstat(path, &st) == 0)
		check_compiled(m, path, &st);
	/* inspect_texts says when there is none. */
	(void)generation_list(m->settings.directory_state, check_generation, m, NULL);
}

/* ---- where it is ---- */

enum { TOLD_MAX = 16 };

struct told {
	char *paths[TOLD_MAX];
	unsigned count;
};

static bool is_told(struct told *t, const char *path)
{
	for (unsigned i = 0; i < t->count; i++)
		if (strcmp(t->paths[i], path) == 0)
			return true;
	if (t->count < TOLD_MAX)
		t->paths[t->count++] = memory_string(view_of(path));
	return false;
}

/* A directory on the way to one of the house's, which is `owner`'s: that may be theirs too. */
static void check_before(struct model *m, struct told *t, const char *path, uid_t owner,
                         const char *what)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return;
	bool others = st.st_uid != 0 && st.st_uid != owner,
	     wide = (st.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH;

	if ((!others && !wide) || is_told(t, path))
		return;
	if (others)
		problem_error(
			&m->problems, path, 0,
			"owned by uid %u, who can put another %s in its place; run chown root",
			(unsigned)st.st_uid, what);
	else
		problem_error(
			&m->problems, path, 0,
			"mode is %04o: everybody can put another %s in its place; run chmod o-w",
			(unsigned)st.st_mode & 07777, what);
}

static void check_way(struct model *m, struct told *t, const char *directory, const char *what)
{
	char path[PATH_MAX];
	struct stat st;

	if (realpath(directory, path) == NULL || stat(path, &st) != 0)
		return;
	for (size_t at = strlen(path); at-- > 0;) {
		if (path[at] != '/')
			continue;
		path[at ? at : 1] = '\0';
		check_before(m, t, path, st.st_uid, what);
	}
}

static void check_ways(struct model *m)
{
	const struct settings *s = &m->settings;
	struct told told = { .count = 0 };

	check_way(m, &told, m->confdir, "configuration");
	check_way(m, &told, s->directory_state, "directory.state");
	check_way(m, &told, s->directory_run, "directory.run");
	check_way(m, &told, s->queue_directory, "queue.directory");
	check_way(m, &told, s->drop_directory, "drop.directory");
	check_way(m, &told, s->mail_root, "mail.root");
	check_way(m, &told, command_programs(), "directory of programs");
	while (told.count)
		free(told.paths[--told.count]);
}

void inspect_owners(struct model *m)
{
	check_state(m);
	if (!house_is_systems(m))
		return;
	check_programs_owners(m);
	check_ways(m);
}
