/* SPDX-License-Identifier: ISC */
#include "lib/conf/mailvolumes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/lines.h"
#include "lib/base/log.h"
#include "lib/conf/generation.h"
#include "lib/conf/places.h"
#include "lib/conf/users.h"
#include "lib/conf/volumes.h"

/* ---- where mail.root is ---- */

static char root_of[PATH_MAX], root[PATH_MAX];

const char *mailvolumes_root(const struct settings *s)
{
	if (strcmp(root_of, s->mail_root) == 0 && root_of[0])
		return root;
	root_of[0] = '\0';
	if (realpath(s->mail_root, root) == NULL ||
	    !string_copy(root_of, sizeof root_of, view_of(s->mail_root)))
		return NULL;
	return root;
}

void mailvolumes_set_root(const struct settings *s, const char *found)
{
	root_of[0] = '\0';
	if (found != NULL && string_copy(root, sizeof root, view_of(found)))
		string_cut(root_of, sizeof root_of, view_of(s->mail_root));
}

bool mailvolumes_covers(struct view volume, struct view path)
{
	return view_starts(path, volume) &&
	       (path.len == volume.len || path.data[volume.len] == '/');
}

/* ---- which mail lies on ---- */

struct paths {
	struct lines lines;
	bool *within, *wanted; /* a home; by one */
};

static size_t first_of(const struct paths *p, struct view prefix)
{
	const struct view *at = lines_starting(&p->lines, prefix);

	return at == NULL ? p->lines.count : (size_t)(at - p->lines.sorted);
}

static void note_below(const struct paths *p, struct view directory, bool *flags)
{
	for (size_t i = first_of(p, directory);
	     i < p->lines.count && view_starts(p->lines.sorted[i], directory); i++)
		if (mailvolumes_covers(directory, p->lines.sorted[i]))
			flags[i] = true;
}

/* At or above it. */
static void want_above(const struct paths *p, struct view home)
{
	for (size_t len = 1; len <= home.len; len++) {
		struct view above = view_take(home, len);
		size_t i = p->lines.count;

		if (len == home.len || home.data[len] == '/')
			i = first_of(p, above);
		for (; i < p->lines.count && view_equal(p->lines.sorted[i], above); i++)
			p->wanted[i] = true;
	}
}

static void judge_by_home(const struct settings *s, const struct paths *p, struct view home)
{
	char path[PATH_MAX + 16];
	struct view below = view_skip(home, strlen(s->mail_root));

	if (!view_starts(home, view_of(s->mail_root)) || below.len >= PATH_MAX - strlen(root))
		return;
	string_print(path, sizeof path, "%s%.*s", root, VIEW_ARG(below));
	want_above(p, view_of(path));
	note_below(p, view_of(path), p->within);
	string_print(path, sizeof path, "%s%.*s/Maildir", root, VIEW_ARG(below));
	note_below(p, view_of(path), p->wanted);
}

/* Without users all count. */
static void judge_by_users(const struct settings *s, const struct paths *p)
{
	int generation = generation_open(s->directory_state, NULL);
	int fd = generation < 0 ? -1 : generation_file(generation, "users.cdb", NULL);
	struct view key, value;
	struct map users;
	struct user u;

	if (fd >= 0 && map_open(&users, fd, "users.cdb", NULL) == 0) {
		while (map_next(&users, &key, &value) == MAP_FOUND)
			if (user_decode(value, &u))
				judge_by_home(s, p, u.home);
		map_close(&users);
	} else if (fd >= 0) {
		close(fd);
	}
	if (generation >= 0)
		close(generation);
}

/* In order. The root is known. */
static void keep_those_of_mail(const struct settings *s, struct text *paths)
{
	struct text all;
	struct paths p;

	if (paths->len == 0)
		return;
	text_init(&all, paths->max);
	text_add(&all, text_view(paths));
	lines_init(&p.lines, text_view(&all));
	p.within = memory_get(p.lines.count * sizeof *p.within);
	p.wanted = memory_get(p.lines.count * sizeof *p.wanted);
	judge_by_users(s, &p);
	text_clear(paths);
	for (size_t i = 0; i < p.lines.count; i++)
		if (p.wanted[i] || !p.within[i]) {
			text_add(paths, p.lines.sorted[i]);
			text_add_byte(paths, '\n');
		}
	free(p.within);
	free(p.wanted);
	lines_free(&p.lines);
	text_free(&all);
}

/* ---- which are mounted, which were ---- */

static int find_mounted(const struct settings *s, struct text *mounted, struct reason *why)
{
	const char *at = mailvolumes_root(s);

	text_init(mounted, PLACES_TEXT_MAX);
	return at == NULL ? fail_errno(why, "%s", s->mail_root) : volumes_below(at, mounted, why);
}

/* Paths of `from', with or without the head, that are not lines of `had' with that head. */
static void add_missing(struct view from, const char *head_from, struct view had,
                        const char *head_had, struct text *out)
{
	struct lines known;
	struct text line;
	struct view path;

	lines_init(&known, had);
	text_init(&line, sizeof MAILVOLUMES_LINE + PATH_MAX);
	while (view_cut(&from, '\n', &path)) {
		if (!view_starts(path, view_of(head_from)))
			continue;
		path = view_skip(path, strlen(head_from));
		text_clear(&line);
		text_add_string(&line, head_had);
		text_add(&line, path);
		if (lines_has(&known, text_view(&line)) || !mailvolumes_covers(view_of(root), path))
			continue;
		text_add(out, path);
		text_add_byte(out, '\n');
	}
	text_free(&line);
	lines_free(&known);
}

void mailvolumes_new(const struct settings *s, struct view known, struct text *out)
{
	struct text mounted;
	struct reason why;

	text_clear(out);
	if (find_mounted(s, &mounted, &why) == 0)
		add_missing(text_view(&mounted), "", known, MAILVOLUMES_LINE, out);
	else
		log_warn("event=unmarked setting=mail.root path=%s reason=\"%s\"",
		         log_quote(view_of(s->mail_root)), log_text(view_of(why.text)));
	keep_those_of_mail(s, out);
	text_free(&mounted);
}

void mailvolumes_missing(const struct settings *s, struct view known, struct text *out)
{
	struct text mounted;
	struct reason why;

	text_clear(out);
	if (find_mounted(s, &mounted, &why) == 0)
		add_missing(known, MAILVOLUMES_LINE, text_view(&mounted), "", out);
	keep_those_of_mail(s, out);
	text_free(&mounted);
}

/* ---- a bare mount point ---- */

/* A user may have put a link anywhere into the own home. */
static int open_plainly(const char *path, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_CLOEXEC | O_DIRECTORY,
		                .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

static int make_plainly(const char *path)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (slash == NULL || !string_copy(parent, sizeof parent,
	                                  view_take(view_of(path), (size_t)(slash - path) + 1)))
		return -1;
	int fd = open_plainly(parent, O_PATH);
	int result = fd < 0 ? -1 : mkdirat(fd, slash + 1, 0);

	if (fd >= 0)
		close(fd);
	return result;
}

static bool is_mount(int fd, struct statx *x)
{
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MODE, x) < 0 ||
	       (x->stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* lib/store goes into no link, and nobody into a directory that may not be entered. */
static bool is_no_way(const char *path, int error)
{
	return error == ELOOP || error == ENOTDIR ||
	       (error == EACCES && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0);
}

int mailvolumes_shut(const char *path, mode_t *had, struct reason *why)
{
	struct statx x;
	int fd = open_plainly(path, O_RDONLY), result = 0;

	*had = 0;
	if (fd < 0 && errno == ENOENT && make_plainly(path) == 0)
		fd = open_plainly(path, O_RDONLY);
	if (fd < 0)
		return is_no_way(path, errno) ? 0 : fail_errno(why, "open %s", path);
	if (is_mount(fd, &x)) {
		errno = EBUSY;
		result = fail_errno(why, "%s", path);
	} else if ((x.stx_mode & 0777) != 0) {
		*had = x.stx_mode & 07777;
		/* Nobody writes there either way. */
		if (fchmod(fd, 0) < 0 && errno != EROFS)
			result = fail_errno(why, "chmod %s", path);
	}
	int kept_errno = errno;

	close(fd);
	errno = kept_errno;
	return result;
}
