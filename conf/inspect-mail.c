/* SPDX-License-Identifier: ISC */
/* posthouse check: the mailboxes, each with its owner's eyes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/inspect-home.h"
#include "conf/inspect.h"
#include "lib/base/sandbox.h"
#include "lib/conf/places.h"

/* Of messages only so many are looked at, whatever there is: each mailbox has its share, and what
 * it does not need is for those after it. */
enum { MESSAGES_LOOKED_MAX = 200000 };

struct looking {
	struct tales tales;
	struct missing missing;
	size_t mailboxes_left;
	unsigned messages_left;
};

/* The directory that the home is in. */
static void parent_of(const struct home *h, char path[PATH_MAX])
{
	size_t at = strlen(h->path);

	while (at > 1 && h->path[at - 1] != '/')
		at--;
	string_put(path, PATH_MAX, view_take(view_of(h->path), at > 1 ? at - 1 : 1));
}

enum way {
	WAY_OPEN,
	WAY_NEW, /* there is no home yet, and it can be made */
	WAY_SHUT,
	WAY_LINK,
	WAY_HOME /* it cannot be used itself */
};

/* lib/store makes a home that is missing, but not the directory that it is in. */
static enum way find_way(const struct model *m, const struct home *h, struct obstacle *o,
                         struct home_link *link)
{
	char parent[PATH_MAX];

	enum home_link_kind kind = home_find_link(m->settings.mail_root, h->path, link);

	if (kind == HOME_LINK_NOWHERE || (kind == HOME_LINK_OUT && sandbox_keeps_paths()))
		return WAY_LINK;
	if (permission_ask(&h->owner, h->path, R_OK | X_OK, o) == 0)
		return WAY_OPEN;
	bool is_missing = errno == ENOENT;

	parent_of(h, parent);
	if (is_missing && permission_ask(&h->owner, parent, W_OK | X_OK, o) == 0)
		return WAY_NEW;
	/* Whoever made the link chose what it leads to: nothing is advised about that. */
	if (kind != HOME_NO_LINK)
		return WAY_LINK;
	return is_missing || !o->last ? WAY_SHUT : WAY_HOME;
}

/* False: it cannot be opened, o->error says why. */
static bool look_inside(struct looking *l, const struct home *h, struct obstacle *o,
                        struct look *found)
{
	int home = open(h->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*o = (struct obstacle){ .error = errno, .last = true, .st.st_uid = h->user.uid };
	if (home < 0)
		return errno == ENOENT; /* removed meanwhile */
	mailbox_look(home, (unsigned)(l->messages_left / l->mailboxes_left), found);
	l->messages_left -= found->looked;
	close(home);
	return true;
}

static void look_at_home(struct looking *l, struct model *m, const struct home *h)
{
	struct home_link link;
	struct obstacle o = { 0 };
	struct look found = { 0 };
	bool opened = false;

	/* Once, and not for each question. */
	if (permission_as(&h->owner) != 0)
		return;
	enum way way = find_way(m, h, &o, &link);

	if (way == WAY_OPEN)
		opened = look_inside(l, h, &o, &found);
	permission_as_self();
	bool is_well = way == WAY_NEW || (opened && found.faults + found.unread == 0);

	if (way == WAY_LINK || link.kind == HOME_LINK_OUT ||
	    (link.kind == HOME_LINK_WITHIN && !is_well))
		tell_link(&l->tales, h, &link, is_well, &found);
	else if (way == WAY_SHUT)
		tell_way(&l->tales, h, &o);
	else if (way == WAY_HOME || (way == WAY_OPEN && !opened))
		tell_home(&l->tales, h, &o);
	else
		tell_look(&l->tales, h, &found);
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
	struct looking l = { .tales = { .model = m }, .messages_left = MESSAGES_LOOKED_MAX };
	struct stat root;
	size_t homes = 0;
	bool there = stat(m->settings.mail_root, &root) == 0; /* check_directory says when not */

	missing_init(&l.missing, &m->settings);
	for (size_t i = 0; i < users->count; i++) {
		struct home h = { .address = users->entries[i]->key };
		struct stat st;

		l.mailboxes_left = users->count - i;
		if (!user_decode(users->entries[i]->compiled, &h.user) ||
		    !string_copy(h.path, sizeof h.path, h.user.home) ||
		    !user_home_allowed(m->settings.mail_root, h.path))
			continue;
		h.owner = (struct asker){ h.user.uid, h.user.gid, "its owner" };
		homes += lstat(h.path, &st) == 0 || errno != ENOENT;
		/* Beneath the mount point nobody is to be helped in: check tells of the volume. */
		if (there && !missing_find(&l.missing, h.path))
			look_at_home(&l, m, &h);
	}
	missing_free(&l.missing);
	tales_end(&l.tales);
	if (users->count)
		check_moved(m, homes);
}
