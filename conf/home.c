/* SPDX-License-Identifier: ISC */
#include "conf/home.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/sandbox.h"
#include "lib/conf/places.h"

struct hidden {
	struct reason *why;
	int result;
};

static void note_root(void *context, const char *text)
{
	struct hidden *h = context;

	if (view_starts(view_of(text), VIEW("mail.root ")))
		h->result = fail(h->why, "%s", text);
}

int home_judge_root(const struct settings *s, struct reason *why)
{
	struct hidden h = { .why = why };
	struct stat st;

	if (stat(s->mail_root, &st) != 0)
		return fail(why,
		            "mail.root %s: %s; mount its file system, or make it, and try again",
		            s->mail_root, strerror(errno));
	places_check(s, note_root, &h);
	return h.result;
}

/* ---- file systems that are not mounted ---- */

void missing_init(struct missing *m, const struct settings *s)
{
	m->mail_root = s->mail_root;
	if (realpath(s->mail_root, m->root) == NULL)
		m->root[0] = '\0';
	places_missing_volumes(s, &m->paths);
	lines_init(&m->sorted, text_view(&m->paths));
}

void missing_free(struct missing *m)
{
	lines_free(&m->sorted);
	text_free(&m->paths);
}

static bool has(struct missing *m, const char *path, size_t len)
{
	string_put(m->found, sizeof m->found, (struct view){ path, len });
	return lines_has(&m->sorted, view_of(m->found));
}

static bool has_below(struct missing *m, const char *directory)
{
	char below[PATH_MAX + 16];

	string_print(below, sizeof below, "%s/", directory);
	const struct view *found = lines_starting(&m->sorted, view_of(below));

	return found != NULL && string_copy(m->found, sizeof m->found, *found);
}

bool missing_find(struct missing *m, const char *home)
{
	char path[PATH_MAX], maildir[PATH_MAX];
	size_t root_len = strlen(m->mail_root), real_len = strlen(m->root);

	if (m->sorted.count == 0 || real_len == 0 || strncmp(home, m->mail_root, root_len) != 0 ||
	    !string_format(path, sizeof path, "%s%s", m->root, home + root_len) ||
	    !string_format(maildir, sizeof maildir, "%s/Maildir", path))
		return false;
	for (size_t len = strlen(maildir); len > real_len; len--)
		if ((maildir[len] == '/' || maildir[len] == '\0') && has(m, maildir, len))
			return true;
	return has_below(m, maildir);
}

/* ---- links ---- */

static bool is_below(const char *mail_root, const char *real)
{
	char root[PATH_MAX];

	return realpath(mail_root, root) != NULL &&
	       (strcmp(root, real) == 0 || user_home_allowed(root, real));
}

static enum home_link_kind judge_link(const char *mail_root, const char *path,
                                      char target[PATH_MAX])
{
	if (realpath(path, target) != NULL)
		return is_below(mail_root, target) ? HOME_LINK_WITHIN : HOME_LINK_OUT;
	if (errno != ENOENT && errno != ELOOP)
		return HOME_LINK_WITHIN; /* as far as can be seen */
	ssize_t len = readlink(path, target, PATH_MAX - 1);

	target[len > 0 ? len : 0] = '\0';
	return len > 0 ? HOME_LINK_NOWHERE : HOME_NO_LINK;
}

enum home_link_kind home_find_link(const char *mail_root, const char *home, struct home_link *out)
{
	size_t len = strlen(home);
	char path[PATH_MAX], target[PATH_MAX];
	struct stat st;

	out->kind = HOME_NO_LINK;
	if (!user_home_allowed(mail_root, home) || len >= sizeof path)
		return HOME_NO_LINK;
	for (size_t i = strlen(mail_root) + 1; i <= len && out->kind <= HOME_LINK_WITHIN; i++) {
		if (home[i] != '/' && home[i] != '\0')
			continue;
		string_put(path, sizeof path, (struct view){ home, i });
		if (lstat(path, &st) != 0)
			break;
		if (!S_ISLNK(st.st_mode))
			continue;
		out->kind = judge_link(mail_root, path, target);
		string_put(out->path, sizeof out->path, view_of(path));
		string_put(out->target, sizeof out->target, view_of(target));
	}
	return out->kind;
}

void home_link_text(const struct home_link *l, struct text *out)
{
	text_format(out, "a symbolic link%s, to %s%s",
	            l->kind == HOME_LINK_OUT ? " out of mail.root" : "", l->target,
	            l->kind == HOME_LINK_OUT
	                    ? ": no program of the server follows it, and posthouse.conf(5), "
	                      "mail.root, says what to do instead"
	            : l->kind == HOME_LINK_NOWHERE ? ", which leads nowhere"
	                                           : "");
}

int home_judge_links(const struct settings *s, const char *home, struct reason *why)
{
	struct home_link link;
	struct text words;

	if (home_find_link(s->mail_root, home, &link) < HOME_LINK_OUT ||
	    (link.kind == HOME_LINK_OUT && !sandbox_keeps_paths()))
		return 0;
	text_init(&words, 4 * PATH_MAX);
	home_link_text(&link, &words);
	fail(why, "%s: %.*s", link.path, VIEW_ARG(text_view_cut(&words)));
	text_free(&words);
	return -1;
}

/* ---- a home is made ---- */

/* What is made, and whose: root makes it, in directories that may be anybody's. */
struct making {
	const struct user *user;
	struct stat root;
	const char *mail_root, *home;
};

/* A link on the way counts as the directory that it leads to, when that is below mail.root: its
 * components are then opened one by one, and none may have become a link meanwhile. */
static int open_below(int root, struct view path)
{
	char name[PATH_MAX];
	struct view part;
	int at = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	while (at >= 0 && view_cut(&path, '/', &part)) {
		if (part.len == 0)
			continue;
		string_put(name, sizeof name, part);
		int next = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int error = errno;

		close(at);
		errno = error;
		at = next;
	}
	return at;
}

static int follow(int root, const struct making *m, size_t len)
{
	char path[PATH_MAX], real[PATH_MAX], real_root[PATH_MAX];

	string_put(path, sizeof path, (struct view){ m->home, len });
	if (realpath(m->mail_root, real_root) == NULL || realpath(path, real) == NULL)
		return -1;
	if (!user_home_allowed(real_root, real)) {
		errno = ELOOP;
		return -1;
	}
	return open_below(root, view_skip(view_of(real), strlen(real_root)));
}

/* Opens the directory, or makes it with owner and mode. */
static int enter(int root, int at, const char *name, const struct making *m, size_t len)
{
	const int flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	bool last = m->home[len] == '\0', is_made = mkdirat(at, name, 0700) == 0;
	struct stat st;

	if (!is_made && errno != EEXIST)
		return -1;
	if (!is_made && fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
		return follow(root, m, len);
	int fd = openat(at, name, flags | (is_made ? O_RDONLY : O_PATH));

	if (fd < 0 || !is_made)
		return fd;
	if ((geteuid() == 0 && fchown(fd, last ? m->user->uid : m->root.st_uid,
	                              last ? m->user->gid : m->root.st_gid) != 0) ||
	    fchmod(fd, last ? 0700 : m->root.st_mode & 0777) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int make_below(int root, const struct making *m, size_t root_len, struct reason *why)
{
	int at = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t from = root_len + 1, len = strlen(m->home);
	char name[PATH_MAX];

	for (size_t i = from; at >= 0 && i <= len; i++) {
		if (m->home[i] != '/' && m->home[i] != '\0')
			continue;
		string_put(name, sizeof name, (struct view){ m->home + from, i - from });
		from = i + 1;
		if (name[0] == '\0')
			continue;
		int next = enter(root, at, name, m, i);

		if (next < 0)
			fail_errno(why, "make %.*s", (int)i, m->home);
		close(at);
		at = next;
	}
	if (at >= 0)
		close(at);
	return at < 0 ? -1 : 0;
}

int home_make(const struct settings *s, struct missing *volumes, const struct user *u,
              const char *home, struct reason *why)
{
	struct making m = { .user = u, .mail_root = s->mail_root, .home = home };
	int root;

	if (missing_find(volumes, home))
		return places_fail_volume(s, view_of(volumes->found), why);
	if (!user_home_allowed(s->mail_root, home))
		return fail(why, "%s is not below mail.root", home);
	root = open(s->mail_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || fstat(root, &m.root) != 0) {
		fail_errno(why, "examine %s", s->mail_root);
		if (root >= 0)
			close(root);
		return -1;
	}
	int result = make_below(root, &m, strlen(s->mail_root), why);

	close(root);
	return result;
}
