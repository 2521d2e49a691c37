/* SPDX-License-Identifier: ISC */
#include "conf/home.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
