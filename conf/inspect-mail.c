/* SPDX-License-Identifier: ISC */
/* posthouse check: the mailboxes' directories. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/inspect.h"
#include "conf/model.h"
#include "conf/permission.h"
#include "lib/conf/places.h"
#include "lib/conf/users.h"

enum { HOMES_TOLD_MAX = 20 };

struct home {
	char path[PATH_MAX]; /* of the mailbox */
	struct user user;
	struct view address;
};

/* What stood in the way of a home stands in the way of more: it is told of once. */
struct told {
	unsigned count;
	char *obstacles[HOMES_TOLD_MAX];
};

static bool is_told(const struct told *t, const char *path)
{
	for (unsigned i = 0; i < t->count; i++)
		if (strcmp(t->obstacles[i], path) == 0)
			return true;
	return false;
}

static void note_told(struct told *t, const char *path)
{
	t->obstacles[t->count++] = memory_string(view_of(path));
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

static bool is_anothers(struct model *m, const struct home *h)
{
	static const char *const parts[] = { "", "/Maildir", "/Maildir/cur", "/Maildir/new",
		                             "/Maildir/tmp" };

	/* In a private house all is one uid's. */
	for (unsigned i = 0; i < sizeof parts / sizeof parts[0] && geteuid() == 0; i++)
		if (is_wrong(m, h, parts[i]))
			return true;
	return false;
}

/* The directory that the home is in. */
static bool parent_of(const struct home *h, char path[PATH_MAX])
{
	size_t at = strlen(h->path);

	while (at > 1 && h->path[at - 1] != '/')
		at--;
	string_put(path, PATH_MAX, view_take(view_of(h->path), at > 1 ? at - 1 : 1));
	return at > 1;
}

/* As lib/store opens it, and makes what is missing of it but for the directory that it is in. */
static int ask_home(const struct home *h, const struct asker *who, struct obstacle *o)
{
	static const char *const folders[] = { "cur", "new", "tmp" };
	char path[PATH_MAX + 16];

	if (permission_ask(who, h->path, R_OK | X_OK, o) != 0)
		return errno == ENOENT && parent_of(h, path)
		               ? permission_ask(who, path, W_OK | X_OK, o)
		               : -1;
	string_print(path, sizeof path, "%s/Maildir", h->path);
	if (permission_ask(who, path, R_OK | W_OK | X_OK, o) != 0)
		return errno == ENOENT ? permission_ask(who, h->path, W_OK | X_OK, o) : -1;
	for (unsigned i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		string_print(path, sizeof path, "%s/Maildir/%s", h->path, folders[i]);
		if (permission_ask(who, path, R_OK | W_OK | X_OK, o) != 0 && errno != ENOENT)
			return -1;
	}
	return 0;
}

static bool is_in_home(const struct home *h, const char *path)
{
	return view_starts(view_of(path), view_of(h->path));
}

static void tell_obstacle(struct model *m, const struct home *h, const struct asker *who,
                          const struct obstacle *o)
{
	struct reason remedy;
	char of[ADDRESS_MAX + 64];

	string_print_cut(of, sizeof of, "%.*s (%u:%u)", VIEW_ARG(h->address), (unsigned)h->user.uid,
	                 (unsigned)h->user.gid);
	obstacle_remedy(o, who, is_in_home(h, o->path), &remedy);
	if (o->error == ENOENT)
		problem_error(
			&m->problems, o->path, 0,
			"there is no such directory: the home of the mailbox %s cannot be "
			"made in it, and its mail waits; restore it, or make it with owner and "
			"mode of mail.root",
			of);
	else if (o->error != EACCES)
		problem_error(&m->problems, o->path, 0, "%s: the mailbox %s cannot be used",
		              strerror(o->error), of);
	else if (!o->last)
		problem_error(
			&m->problems, o->path, 0,
			"mode is %04o, owner %u:%u: the mailbox %s is behind it and cannot be "
			"entered; %s",
			(unsigned)o->st.st_mode & 07777, (unsigned)o->st.st_uid,
			(unsigned)o->st.st_gid, of, remedy.text);
	else if (!is_in_home(h, o->path))
		problem_error(
			&m->problems, o->path, 0,
			"mode is %04o, owner %u:%u: the home of the mailbox %s is missing, and "
			"it cannot make it here; run install -d -m 0700 -o %u -g %u %s",
			(unsigned)o->st.st_mode & 07777, (unsigned)o->st.st_uid,
			(unsigned)o->st.st_gid, of, (unsigned)h->user.uid, (unsigned)h->user.gid,
			h->path);
	else
		problem_error(&m->problems, o->path, 0,
		              "mode is %04o, owner %u:%u: the mailbox %s cannot use it; %s",
		              (unsigned)o->st.st_mode & 07777, (unsigned)o->st.st_uid,
		              (unsigned)o->st.st_gid, of, remedy.text);
}

static void look_at_home(struct model *m, const struct home *h, struct told *told)
{
	const struct asker who = { h->user.uid, h->user.gid, "its owner" };
	struct obstacle o;
	/* Once, and not for each question. */
	bool shut = permission_as(&who) == 0 && ask_home(h, &who, &o) != 0;

	permission_as_self();
	/* Another owner explains what cannot be used in it. */
	if (is_anothers(m, h)) {
		note_told(told, h->path);
		shut = shut && !is_in_home(h, o.path);
	}
	if (shut && !is_told(told, o.path) && told->count < HOMES_TOLD_MAX) {
		tell_obstacle(m, h, &who, &o);
		note_told(told, o.path);
	}
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
	struct told told = { .count = 0 };
	struct stat root;
	size_t homes = 0;
	bool there = stat(m->settings.mail_root, &root) == 0; /* check_directory says when not */

	for (size_t i = 0; i < users->count; i++) {
		struct home h = { .address = users->entries[i]->key };
		struct stat st;

		if (!user_decode(users->entries[i]->compiled, &h.user) ||
		    !string_copy(h.path, sizeof h.path, h.user.home) ||
		    !user_home_allowed(m->settings.mail_root, h.path))
			continue;
		homes += stat(h.path, &st) == 0 || errno != ENOENT;
		if (there && told.count < HOMES_TOLD_MAX)
			look_at_home(m, &h, &told);
	}
	while (told.count)
		free(told.obstacles[--told.count]);
	if (users->count)
		check_moved(m, homes);
}
