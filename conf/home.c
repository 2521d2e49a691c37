/* SPDX-License-Identifier: ISC */
#include "conf/home.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/sandbox.h"
#include "lib/conf/places.h"

struct hidden {
	const char *home; /* without symbolic links before mail.root's end */
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

/* "/srv/mail/example.org, below mail.root, had a file system of its own, ..." */
static void note_volume(void *context, const char *text)
{
	struct hidden *h = context;
	const char *end = strstr(text, ", below mail.root");
	size_t len = end ? (size_t)(end - text) : 0;

	if (len && strncmp(h->home, text, len) == 0 &&
	    (h->home[len] == '/' || h->home[len] == '\0'))
		h->result = fail(h->why, "%s", text);
}

static int judge_volumes(const struct settings *s, const char *home, struct reason *why)
{
	char root[PATH_MAX], path[PATH_MAX];
	size_t root_len = strlen(s->mail_root);
	struct hidden h = { .home = path, .why = why };

	if (strncmp(home, s->mail_root, root_len) != 0 || realpath(s->mail_root, root) == NULL ||
	    !string_format(path, sizeof path, "%s%s", root, home + root_len))
		return 0;
	places_check_volumes(s, note_volume, &h);
	return h.result;
}

/* ---- links ---- */

static bool judge_link(const char *mail_root, struct home_link *l)
{
	char root[PATH_MAX];

	l->nowhere = realpath(l->path, l->target) == NULL;
	if (!l->nowhere)
		return realpath(mail_root, root) != NULL && strcmp(root, l->target) != 0 &&
		       !user_home_allowed(root, l->target);
	if (errno != ENOENT && errno != ELOOP)
		return false;
	ssize_t len = readlink(l->path, l->target, sizeof l->target - 1);

	l->target[len > 0 ? len : 0] = '\0';
	return len > 0;
}

bool home_find_link(const char *mail_root, const char *home, struct home_link *out)
{
	size_t len = strlen(home);
	struct stat st;

	if (!user_home_allowed(mail_root, home) || len >= sizeof out->path)
		return false;
	for (size_t i = strlen(mail_root) + 1; i <= len; i++) {
		if (home[i] != '/' && home[i] != '\0')
			continue;
		string_put(out->path, sizeof out->path, (struct view){ home, i });
		if (lstat(out->path, &st) != 0)
			return false;
		if (S_ISLNK(st.st_mode) && judge_link(mail_root, out))
			return true;
	}
	return false;
}

void home_link_text(const struct home_link *l, struct text *out)
{
	if (l->nowhere)
		text_format(
			out,
			"a symbolic link to %s, which is not there; restore that, or remove the "
			"link (one that leads out of mail.root cannot be used: make it a directory, and "
			"mount the other one on it)",
			l->target);
	else
		text_format(
			out,
			"a symbolic link to %s, outside mail.root, where no program of the server "
			"may go; make it a directory and mount the other one on it (mount --bind "
			"%s %s)",
			l->target, l->target, l->path);
}

int home_judge_links(const struct settings *s, const char *home, struct reason *why)
{
	struct home_link link;
	struct text words;

	if (!home_find_link(s->mail_root, home, &link) || (!link.nowhere && !sandbox_keeps_paths()))
		return 0;
	text_init(&words, 4 * PATH_MAX);
	home_link_text(&link, &words);
	fail(why, "%s: %.*s", link.path, VIEW_ARG(text_view_cut(&words)));
	text_free(&words);
	return -1;
}

int home_make(const struct settings *s, const struct user *u, const char *home, struct reason *why)
{
	char path[PATH_MAX];
	struct stat root;
	size_t root_len = strlen(s->mail_root), len = strlen(home);

	if (judge_volumes(s, home, why) != 0)
		return -1;
	if (stat(s->mail_root, &root) != 0)
		return fail_errno(why, "examine %s", s->mail_root);
	for (size_t i = strncmp(home, s->mail_root, root_len) == 0 ? root_len + 1 : 1; i <= len;
	     i++) {
		if (home[i] != '/' && home[i] != '\0')
			continue;
		bool last = home[i] == '\0';

		string_put(path, sizeof path, (struct view){ home, i });
		if (mkdir(path, last ? 0700 : root.st_mode & 0777) != 0) {
			if (errno != EEXIST)
				return fail_errno(why, "make %s", path);
		} else if (geteuid() == 0 && lchown(path, last ? u->uid : root.st_uid,
		                                    last ? u->gid : root.st_gid) != 0) {
			return fail_errno(why, "set the owner of %s", path);
		}
	}
	return 0;
}
