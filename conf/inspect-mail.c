/* SPDX-License-Identifier: ISC */
/* posthouse check: the mailboxes' directories. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/inspect.h"
#include "conf/model.h"
#include "lib/conf/places.h"
#include "lib/conf/users.h"

enum { HOMES_TOLD_MAX = 20 };

struct home {
	char path[PATH_MAX]; /* of the mailbox */
	struct user user;
	struct view address;
};

/* By the owner and no other group, as programs of mailbox owners are. */
static bool may_enter(const struct stat *st, const struct user *u)
{
	mode_t bit = st->st_uid == u->uid ? S_IXUSR : st->st_gid == u->gid ? S_IXGRP : S_IXOTH;

	return (st->st_mode & bit) != 0;
}

/* Where home lies below mail.root: each directory on the way is the owner's to pass. */
static bool way_is_shut(struct model *m, const struct home *h)
{
	size_t at = strlen(m->settings.mail_root);
	char path[PATH_MAX];
	struct stat st;

	do {
		string_put(path, sizeof path, view_take(view_of(h->path), at));
		if (stat(path, &st) != 0)
			return false;
		if (geteuid() == 0 ? !may_enter(&st, &h->user) : access(path, X_OK) != 0) {
			problem_error(
				&m->problems, path, 0,
				"mode is %04o, owner %u:%u: the mailbox %.*s (%u:%u) is behind it and "
				"cannot be entered; run chmod or chown",
				(unsigned)st.st_mode & 07777, (unsigned)st.st_uid,
				(unsigned)st.st_gid, VIEW_ARG(h->address), (unsigned)h->user.uid,
				(unsigned)h->user.gid);
			return true;
		}
		if (h->path[at] == '\0')
			return false;
		at += 1 + view_find(view_of(h->path + at + 1), '/');
	} while (at < PATH_MAX);
	return false;
}

/* Who cannot open the own mailbox gets no mail. */
static bool is_wrong(struct model *m, const struct home *h, const char *below)
{
	char path[PATH_MAX + 16];
	struct stat st;

	string_print(path, sizeof path, "%s%s", h->path, below);
	if (stat(path, &st) != 0 || st.st_uid == h->user.uid)
		return false;
	problem_error(&m->problems, path, 0,
	              "owned by uid %u, not by uid %u, the owner of the mailbox %.*s; run chown -R",
	              (unsigned)st.st_uid, (unsigned)h->user.uid, VIEW_ARG(h->address));
	return true;
}

static bool home_is_wrong(struct model *m, const struct home *h)
{
	static const char *const parts[] = { "", "/Maildir", "/Maildir/cur", "/Maildir/new",
		                             "/Maildir/tmp" };

	if (way_is_shut(m, h))
		return true;
	/* In a private house all is one uid's. */
	for (unsigned i = 0; i < sizeof parts / sizeof parts[0] && geteuid() == 0; i++)
		if (is_wrong(m, h, parts[i]))
			return true;
	return false;
}

/* The setting was changed, and the mail did not follow. */
static void check_moved(struct model *m, size_t homes)
{
	char before[PATH_MAX];

	if (homes == 0 && places_before(&m->settings, "mail.root", before, sizeof before))
		problem_warning(
			&m->problems, m->conf.path, model_setting_line(m, "mail.root"),
			"mail.root: no home directory of any user is in %s; it was %s before: "
			"move the mail, or set it back",
			m->settings.mail_root, before);
}

void inspect_mailboxes(struct model *m)
{
	const struct model_map *users = &m->maps[MAP_USERS];
	unsigned told = 0;
	size_t homes = 0;

	for (size_t i = 0; i < users->count; i++) {
		struct home h = { .address = users->entries[i]->key };
		struct stat st;

		if (!user_decode(users->entries[i]->compiled, &h.user) ||
		    !string_copy(h.path, sizeof h.path, h.user.home) ||
		    !user_home_allowed(m->settings.mail_root, h.path))
			continue;
		homes += stat(h.path, &st) == 0 || errno != ENOENT;
		if (told < HOMES_TOLD_MAX)
			told += home_is_wrong(m, &h);
	}
	if (users->count)
		check_moved(m, homes);
}
