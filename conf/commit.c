/* SPDX-License-Identifier: ISC */
#include "conf/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/changes.h"
#include "conf/edits.h"
#include "conf/inputs.h"
#include "conf/load.h"
#include "conf/publish.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/conf/generation.h"

/* ---- the texts ---- */

/* Where a text is: a map may be a symbolic link, as into a repository, and stays one. */
struct target {
	char path[PATH_MAX]; /* of the directory */
	char name[NAME_MAX + 1];
	int directory;
};

static int find_target(const struct edits *e, const struct edit *f, struct target *t,
                       struct reason *why)
{
	char path[PATH_MAX];
	struct stat st;

	if (!string_format(path, sizeof path, "%s/%s", e->base.confdir, f->name))
		return fail(why, "%s/%s: the path is too long", e->base.confdir, f->name);
	if (lstat(path, &st) != 0 || !S_ISLNK(st.st_mode))
		string_put(t->path, sizeof t->path, view_of(path));
	else if (realpath(path, t->path) == NULL)
		return fail_errno(why, "follow the symbolic link %s", path);
	char *slash = strrchr(t->path, '/');

	string_cut(t->name, sizeof t->name, view_of(slash + 1));
	slash[slash == t->path] = '\0';
	t->directory = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return t->directory < 0 ? fail_errno(why, "open %s", t->path) : 0;
}

/* The new file takes owner and mode of the old one.  A crash before the rename leaves the old
 * text whole (and a .new file, which the next edit replaces). */
static int write_target(const struct target *t, struct edit *f, const struct text *text,
                        struct reason *why)
{
	char name[NAME_MAX + 1];
	struct stat old;
	bool existed = fstatat(t->directory, t->name, &old, 0) == 0;
	mode_t mode = existed ? old.st_mode & 0777 : maptable[f->map].secret ? 0600 : 0644;

	if (!string_format(name, sizeof name, ".%s.new", t->name))
		return fail(why, "%s/%s: the name is too long", t->path, t->name);
	unlinkat(t->directory, name, 0);
	int fd = openat(t->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail_errno(why, "make %s/%s", t->path, name);
	struct timespec stamp;
	bool owned = !existed || geteuid() != 0 || fchown(fd, old.st_uid, old.st_gid) == 0;
	bool good = owned && write_whole(fd, text_string(text), text->len) == 0 &&
	            fchmod(fd, mode) == 0 && inputs_stamp(fd, &stamp) == 0 && fsync(fd) == 0;

	if (!good)
		fail_errno(why, "write %s/%s", t->path, name);
	if (good && renameat(t->directory, name, t->directory, t->name) != 0) {
		fail_errno(why, "rename %s/%s to %s", t->path, name, t->name);
		good = false;
	}
	/* By the descriptor: what is at the path may be another's by now. */
	if (!good || !inputs_stamped(fd, &stamp, text->len, &f->st_written))
		f->st_written = (struct stat){ .st_ino = 0 };
	close(fd);
	if (!good)
		unlinkat(t->directory, name, 0);
	return good ? 0 : -1;
}

/* f->written: it is in its place, though what follows may fail. */
static int write_file(const struct edits *e, struct edit *f, const struct text *text,
                      struct reason *why)
{
	struct target t;

	if (find_target(e, f, &t, why) != 0)
		return -1;
	int result = write_target(&t, f, text, why);

	if (result == 0)
		f->written = true;
	if (result == 0 && fsync(t.directory) != 0)
		result = fail_errno(why, "sync %s", t.path);
	close(t.directory);
	return result;
}

/* An edit may have waited long for its password, and others know nothing of the lock. */
static bool is_as_read(const struct edits *e, const struct edit *f)
{
	struct stat st;

	if (fstatat(e->directory, f->name, &st, 0) != 0)
		return f->missing && errno == ENOENT;
	return !f->missing && st.st_size == f->st.st_size && st.st_ino == f->st.st_ino &&
	       st.st_dev == f->st.st_dev && st.st_mtim.tv_sec == f->st.st_mtim.tv_sec &&
	       st.st_mtim.tv_nsec == f->st.st_mtim.tv_nsec;
}

static int check_unchanged(const struct edits *e, struct reason *why)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->files[i].changed && !is_as_read(e, &e->files[i]))
			return fail(why,
			            "%s was changed by someone else in the meantime; try again",
			            e->files[i].name);
	return 0;
}

/* Several files are renamed one after the other, each state in between builds: a user comes before
 * the password and goes after it (the callers open the files in that order). m: is to be published,
 * and is what they are then. */
static int write_changed(struct edits *e, struct model *m, struct reason *why)
{
	if (check_unchanged(e, why) != 0)
		return -1;
	for (size_t i = 0; i < e->count; i++) {
		struct edit *f = &e->files[i];

		if (!f->changed)
			continue;
		if (write_file(e, f, &f->text, why) != 0)
			return -1;
		m->maps[f->map].source.st = f->st_written;
		m->maps[f->map].source.stamped = true;
	}
	return 0;
}

/* The texts as they were, the last first. */
static int put_back(struct edits *e, struct reason *why)
{
	for (size_t i = e->count; i-- > 0;) {
		struct edit *f = &e->files[i];

		if (!f->written)
			continue;
		if (!f->missing && write_file(e, f, &f->before, why) != 0)
			return -1;
		if (f->missing && unlinkat(e->directory, f->name, 0) != 0)
			return fail_errno(why, "remove %s/%s", e->base.confdir, f->name);
		if (f->missing && fsync(e->directory) != 0)
			return fail_errno(why, "sync %s", e->base.confdir);
	}
	return 0;
}

/* Neither in force nor in the texts, where the next build of somebody else would find it.  Another
 * generation may be current by now, by a rollback: what was published says number. */
static int take_back(struct edits *e, long number, const struct reason *why)
{
	struct reason detail;
	bool published = number < -1;

	fprintf(stderr, "posthouse: %s\n", why->text);
	if (published)
		fprintf(stderr, "posthouse: the texts are changed; run posthouse build\n");
	else if (put_back(e, &detail) != 0)
		fprintf(stderr,
		        "posthouse: the texts are changed and could not be put back (%s): the next "
		        "build publishes the change\n",
		        detail.text);
	else
		fprintf(stderr, "posthouse: nothing was changed\n");
	return EXIT_TEMPORARY;
}

static int refuse(void)
{
	fprintf(stderr, "posthouse: nothing was changed\n");
	return EXIT_PERMANENT;
}

/* ---- the running house ---- */

/* The next start shall not fail because of an edit that is not in force anyway. *instead: the
 * generation that is current again, or -1. */
static int reload(const char *state, const struct settings *s, long *instead)
{
	struct reason why;
	int code = command_reload_if_running(s, instead);

	if (*instead > 0 && generation_rollback(state, *instead, maptable_judge, NULL, &why) < 0) {
		fprintf(stderr, "posthouse: the change is not in force: %s\n", why.text);
		*instead = -1;
	}
	return code;
}

static int say_not_in_force(int code, long instead)
{
	if (instead > 0)
		fprintf(stderr,
		        "posthouse: the change is in the texts, but NOT IN FORCE; generation %ld is "
		        "current again. Correct what was refused and run posthouse build --reload; "
		        "an edit of the entry with --only-mine leaves the rest out\n",
		        instead);
	return code;
}

/* ---- everything ---- */

static int input_line(void *context, struct view file, int line)
{
	return edits_input_line(context, file, line);
}

/* Whoever gave many lines knows them by these numbers. */
static void name_input(struct edits *e, struct problems *problems)
{
	if (e->many)
		problems_rename(problems, input_line, e, EDITS_INPUT);
}

static int commit_all(struct edits *e, struct model *m, const struct model *before)
{
	const char *state = m->settings.directory_state;
	long number = -1, instead;
	struct reason why;
	struct text others;

	if (m->problems.errors) {
		problems_print(&m->problems);
		return refuse();
	}
	text_init(&others, 1024);
	changes_summary(before, &others);
	if (command_may_move(&m->settings, &why) < 0 || write_changed(e, m, &why) != 0 ||
	    (number = publish_generation(m, true, &why)) < 0) {
		text_free(&others);
		return take_back(e, number, &why);
	}
	if (others.len)
		fprintf(stderr,
		        "posthouse: warning: this also published what was changed since the last "
		        "build, or before a rollback: %s\n",
		        text_string(&others));
	text_free(&others);
	problems_print_new(&m->problems, &before->problems);
	int code = reload(state, &m->settings, &instead);

	return say_not_in_force(code, instead);
}

/* ---- only mine ---- */

static int compile_mine(struct edits *e, const struct model *m)
{
	struct problems problems;

	problems_init(&problems);
	for (size_t i = 0; i < e->count; i++) {
		struct edit *f = &e->files[i];

		mine_add(&e->mine, f->map, text_view(f->changed ? &f->before : &f->text),
		         text_view(&f->text), &f->asked);
	}
	mine_compile(&e->mine, m, &problems);
	name_input(e, &problems);
	unsigned errors = problems.errors;

	problems_print(&problems);
	problems_free(&problems);
	return errors ? -1 : 0;
}

/* What waits for its build still does. */
static void say_left(const struct model *m)
{
	struct text left;

	text_init(&left, 1024);
	if (m->problems.errors)
		fprintf(stderr,
		        "posthouse: warning: the configuration does not build (%u error%s, "
		        "posthouse map check shows them); only this change was published\n",
		        m->problems.errors, m->problems.errors == 1 ? "" : "s");
	else
		changes_summary(m, &left);
	if (left.len)
		fprintf(stderr, "posthouse: not published, for the next build: %s\n",
		        text_string(&left));
	text_free(&left);
}

/* The current generation may be one that the running server has refused before: then the change is
 * made to the one that runs. */
static int publish_again(struct edits *e, const struct model *m, long *instead)
{
	struct reason why;

	mine_close(&e->mine);
	e->only_mine = mine_open(&e->mine, &e->base, &why) == 0;
	if (!e->only_mine)
		return command_fail(EXIT_TEMPORARY, &why);
	if (compile_mine(e, m) != 0)
		return EXIT_PERMANENT;
	if (publish_mine(&e->mine, &why) < 0)
		return command_fail(EXIT_TEMPORARY, &why);
	int code = reload(e->base.settings.directory_state, &e->mine.settings, instead);

	if (code == EXIT_DONE)
		fprintf(stderr,
		        "posthouse: the change was made to the generation that runs, and is "
		        "in force\n");
	return code;
}

static int commit_mine(struct edits *e, struct model *m, const struct model *before)
{
	long number = -1, instead;
	struct reason why;

	if (problems_print_new_errors(&m->problems, &before->problems) || compile_mine(e, m) != 0)
		return refuse();
	if (write_changed(e, m, &why) != 0 || (number = publish_mine(&e->mine, &why)) < 0)
		return take_back(e, number, &why);
	say_left(m);
	problems_print_new(&m->problems, &before->problems);
	int code = reload(e->base.settings.directory_state, &e->mine.settings, &instead);

	if (instead > 0 && instead != e->mine.number)
		code = publish_again(e, m, &instead);
	return say_not_in_force(code, instead);
}

static int judge(struct edits *e, const struct model *m)
{
	struct reason why;

	if (e->judge == NULL || e->judge(m, e->judge_context, &why) == 0)
		return 0;
	command_fail(EXIT_PERMANENT, &why);
	return -1;
}

/* ---- a few entries ---- */

/* Nothing else was changed since the generation was built, and nothing is to be warned of. */
static int commit_partial(struct edits *e)
{
	struct partial *p = &e->partial;
	long number = -1, instead;
	struct reason why;

	if (command_may_move(&p->m.settings, &why) < 0 || write_changed(e, &p->m, &why) != 0 ||
	    (number = publish_partial(p, &why)) < 0)
		return take_back(e, number, &why);
	int code = reload(p->m.settings.directory_state, &p->m.settings, &instead);

	return say_not_in_force(code, instead);
}

/* The texts as they were are read too: what was wrong with them before is no news. */
int commit_edits(struct edits *e)
{
	struct override overrides[EDITS_MAX + 1] = { { "", VIEW("") } };
	struct model m, before;
	size_t count = 0;

	if (partial_compile(&e->partial, e))
		return judge(e, &e->partial.m) != 0 ? refuse() : commit_partial(e);

	for (size_t i = 0; i < e->count; i++) {
		if (e->files[i].changed)
			overrides[count++] =
				(struct override){ e->files[i].name, text_view(&e->files[i].text) };
		overrides[count] = (struct override){ "", VIEW("") };
	}
	load_configuration(&m, e->base.confdir, overrides);
	name_input(e, &m.problems);
	load_configuration(&before, e->base.confdir, NULL);
	int code = judge(e, &m) != 0 ? refuse()
	           : e->only_mine    ? commit_mine(e, &m, &before)
	                             : commit_all(e, &m, &before);

	model_free(&before);
	model_free(&m);
	return code;
}
