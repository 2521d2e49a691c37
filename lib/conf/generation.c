/* SPDX-License-Identifier: ISC */
#include "lib/conf/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"

enum { NAME_ROOM = 32, BRIEF_S = 3600 };

static int too_long(const char *path, struct reason *why)
{
	return fail(why, "the path %.100s... is too long", path);
}

static int open_all(const char *statedir, struct reason *why)
{
	char path[PATH_MAX];

	if (!string_format(path, sizeof path, "%s/generations", statedir))
		return too_long(statedir, why);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 ? fd : fail_errno(why, "open %s", path);
}

int generation_open(const char *statedir, struct reason *why)
{
	char path[PATH_MAX];

	if (!string_format(path, sizeof path, "%s/generations/current", statedir))
		return too_long(statedir, why);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return fail(why, "%s: there is no compiled configuration yet; run posthouse build",
		            path);
	return fd >= 0 ? fd : fail_errno(why, "open %s", path);
}

int generation_open_number(const char *statedir, long number, struct reason *why)
{
	char path[PATH_MAX];

	if (!string_format(path, sizeof path, "%s/generations/%04ld", statedir, number))
		return too_long(statedir, why);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 ? fd : fail_errno(why, "open %s", path);
}

int generation_file(int generation, const char *name, struct reason *why)
{
	int fd = openat(generation, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 ? fd : fail_errno(why, "open %s of the current generation", name);
}

int generation_keys(int generation, struct reason *why)
{
	int fd = openat(generation, "keys", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 ? fd : fail_errno(why, "open keys of the current generation");
}

/* The number that a directory's name is; 0 when it is none. */
static long number_of(const char *name)
{
	uint64_t number;

	return view_number(view_of(name), GENERATION_MAX, &number) ? (long)number : 0;
}

static long current_number(int all)
{
	char target[NAME_ROOM] = "";
	ssize_t len = readlinkat(all, "current", target, sizeof target - 1);

	return len > 0 ? number_of(target) : 0;
}

long generation_number(const char *statedir)
{
	int all = open_all(statedir, NULL);
	long number = all >= 0 ? current_number(all) : 0;

	if (all >= 0)
		close(all);
	return number ? number : -1;
}

/* With what is in it; nothing goes deeper than keys/. What could not be seen keeps the directory,
 * for another time. */
static void remove_directory(int all, const char *name)
{
	const struct dirent *e;
	struct walk w;

	walk_begin(&w, all, name);
	while ((e = walk_next(&w)) != NULL)
		if (e->d_name[0] != '.' && unlinkat(walk_fd(&w), e->d_name, 0) != 0 &&
		    errno == EISDIR)
			remove_directory(walk_fd(&w), e->d_name);
	if (walk_end(&w) == 0)
		unlinkat(all, name, AT_REMOVEDIR);
}

static int ascending(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/* All numbers in memory of their own, or -1, errno: a part of them would be another answer.
 * NNNN.new of a build that died is removed when `clean`. */
static int list_numbers(int all, long **numbers, bool clean)
{
	const struct dirent *e;
	struct walk w;
	int count = 0;

	*numbers = NULL;
	walk_begin(&w, all, ".");
	while ((e = walk_next(&w)) != NULL) {
		const char *dot = strchr(e->d_name, '.');
		long number = number_of(e->d_name);

		if (clean && dot != NULL && dot != e->d_name && strcmp(dot, ".new") == 0 &&
		    byte_is_digit(e->d_name[0]))
			remove_directory(all, e->d_name);
		if (number == 0)
			continue;
		*numbers = memory_grow(*numbers, sizeof **numbers * (size_t)(count + 1));
		(*numbers)[count++] = number;
	}
	if (walk_end(&w) < 0) {
		int kept_errno = errno;

		free(*numbers);
		*numbers = NULL;
		errno = kept_errno;
		return -1;
	}
	if (count)
		qsort(*numbers, (size_t)count, sizeof **numbers, ascending);
	return count;
}

static int make_directories(const char *statedir, struct reason *why)
{
	char path[PATH_MAX];

	if (mkdir(statedir, 0755) != 0 && errno != EEXIST)
		return fail_errno(why, "make %s", statedir);
	if (!string_format(path, sizeof path, "%s/generations", statedir))
		return too_long(statedir, why);
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return fail_errno(why, "make %s", path);
	return 0;
}

static void new_name(long number, char out[NAME_ROOM], const char *suffix)
{
	string_print(out, NAME_ROOM, "%04ld%s", number, suffix);
}

int generation_begin(struct generation_writer *w, const char *statedir, struct reason *why)
{
	char name[NAME_ROOM];
	long *numbers;

	*w = (struct generation_writer){ .all = -1, .own = -1 };
	if (make_directories(statedir, why) != 0 || (w->all = open_all(statedir, why)) < 0)
		return -1;
	if (flock(w->all, LOCK_EX) != 0)
		return fail_errno(why, "lock %s/generations", statedir);
	int count = list_numbers(w->all, &numbers, true);

	if (count < 0)
		return fail_errno(why, "read %s/generations", statedir);
	w->number = count ? numbers[count - 1] + 1 : 1;
	free(numbers);
	new_name(w->number, name, ".new");
	if (mkdirat(w->all, name, 0755) != 0)
		return fail_errno(why, "make %s/generations/%s", statedir, name);
	w->own = openat(w->all, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return w->own >= 0 ? 0 : fail_errno(why, "open %s/generations/%s", statedir, name);
}

int generation_create(struct generation_writer *w, const char *name, unsigned mode,
                      struct reason *why)
{
	int fd = openat(w->own, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || fchmod(fd, mode) != 0)
		return fail_errno(why, "make %s of the new generation", name);
	return fd;
}

int generation_create_directory(struct generation_writer *w, const char *name, struct reason *why)
{
	int fd = mkdirat(w->own, name, 0700) == 0
	                 ? openat(w->own, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
	                 : -1;

	return fd >= 0 ? fd : fail_errno(why, "make %s of the new generation", name);
}

/* A crash before the rename leaves the old link; the rename itself is atomic. */
/* *pointed: it was renamed, though what follows may fail. */
static int point_current_to(int all, long number, bool *pointed, struct reason *why)
{
	char name[NAME_ROOM];

	new_name(number, name, "");
	if (unlinkat(all, "current.new", 0) != 0 && errno != ENOENT)
		return fail_errno(why, "remove generations/current.new");
	*pointed = symlinkat(name, all, "current.new") == 0 &&
	           renameat(all, "current.new", all, "current") == 0;
	if (!*pointed || fsync(all) != 0)
		return fail_errno(why, "make generation %s current", name);
	return 0;
}

static struct generation_row look_at(int all, long number, long current)
{
	struct generation_row row = { .number = number, .current = number == current };
	char path[NAME_ROOM + 8];
	struct stat st;

	new_name(number, path, "");
	if (fstatat(all, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		row.born_s = st.st_mtime;
	new_name(number, path, "/edit");
	row.by_edit = fstatat(all, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	return row;
}

/* An edit of a row of them. */
static bool was_brief(int all, long number, long next)
{
	const struct generation_row row = look_at(all, number, 0), after = look_at(all, next, 0);

	return row.by_edit && after.by_edit && after.born_s - row.born_s < BRIEF_S;
}

/* Which to remove of so many, the oldest first, or -1: the newest two always stay. */
static int choose(int all, const long *numbers, int count, long current, long in_use)
{
	int oldest = -1;

	for (int i = count - 3; i >= 0; i--)
		if (numbers[i] != current && numbers[i] != in_use)
			oldest = i;
	for (int i = oldest < 0 ? count : oldest; i + 2 < count; i++)
		if (numbers[i] != current && numbers[i] != in_use &&
		    was_brief(all, numbers[i], numbers[i + 1]))
			return i;
	return oldest;
}

static void prune(int all, int keep, long in_use)
{
	char name[NAME_ROOM];
	long *numbers, current = current_number(all);
	int count = list_numbers(all, &numbers, true), which;

	while (count > keep && (which = choose(all, numbers, count, current, in_use)) >= 0) {
		new_name(numbers[which], name, "");
		remove_directory(all, name);
		count--;
		for (int i = which; i < count; i++)
			numbers[i] = numbers[i + 1];
	}
	free(numbers);
}

int generation_list(const char *statedir,
                    void (*row)(void *context, const struct generation_row *row), void *context,
                    struct reason *why)
{
	long *numbers;
	int all = open_all(statedir, why);

	if (all < 0)
		return -1;
	long current = current_number(all);
	int count = list_numbers(all, &numbers, false);

	if (count < 0) {
		fail_errno(why, "read %s/generations", statedir);
		close(all);
		return -1;
	}

	for (int i = 0; i < count; i++) {
		const struct generation_row one = look_at(all, numbers[i], current);

		row(context, &one);
	}
	free(numbers);
	close(all);
	return 0;
}

int generation_mark_edit(struct generation_writer *w, struct reason *why)
{
	int fd = generation_create(w, "edit", 0644, why);

	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : -1;
}

int generation_publish(struct generation_writer *w, int keep, struct reason *why)
{
	char from[NAME_ROOM], to[NAME_ROOM];

	new_name(w->number, from, ".new");
	new_name(w->number, to, "");
	if (fsync(w->own) != 0 || renameat(w->all, from, w->all, to) != 0 || fsync(w->all) != 0)
		return fail_errno(why, "finish generation %s", to);
	if (point_current_to(w->all, w->number, &w->pointed, why) != 0)
		return -1;
	prune(w->all, keep, w->in_use);
	close(w->own);
	close(w->all);
	return 0;
}

void generation_abandon(struct generation_writer *w)
{
	char name[NAME_ROOM];

	new_name(w->number, name, ".new");
	if (w->own >= 0) {
		close(w->own);
		remove_directory(w->all, name);
	}
	if (w->all >= 0)
		close(w->all);
	w->all = w->own = -1;
}

/* One that is damaged would be refused by the running house, and fatal at the next start. */
static int verify(int all, long number, generation_judge *judge, void *context, struct reason *why)
{
	char name[NAME_ROOM];
	struct reason detail;

	new_name(number, name, "");
	int generation = openat(all, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (generation < 0)
		return fail_errno(why, "open generation %ld", number);
	int result = judge(context, generation, &detail);

	close(generation);
	return result == 0 ? 0
	                   : fail(why, "generation %ld cannot be used: %s", number, detail.text);
}

static long rollback_in(int all, long wanted, generation_judge *judge, void *context,
                        struct reason *why)
{
	long *numbers, current = current_number(all), found = 0;
	int count = list_numbers(all, &numbers, false);

	if (count < 0)
		return fail_errno(why, "read generations");
	for (int i = 0; i < count; i++)
		if (wanted ? numbers[i] == wanted : current == 0 || numbers[i] < current)
			found = numbers[i];
	free(numbers);
	if (found == 0 && wanted)
		return fail(why, "there is no generation %ld", wanted);
	if (found == 0)
		return fail(why, current ? "there is no generation before the current one"
		                         : "there is no generation; run posthouse build");
	if (verify(all, found, judge, context, why) != 0)
		return -1;
	bool pointed;

	return point_current_to(all, found, &pointed, why) == 0 ? found : -1;
}

long generation_rollback(const char *statedir, long number, generation_judge *judge, void *context,
                         struct reason *why)
{
	int all = open_all(statedir, why);

	if (all < 0)
		return -1;
	long result = flock(all, LOCK_EX) == 0 ? rollback_in(all, number, judge, context, why)
	                                       : fail_errno(why, "lock %s/generations", statedir);

	close(all);
	return result;
}
