/* SPDX-License-Identifier: ISC */
/* Homes of users who were added. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "conf/changes.h"
#include "conf/home.h"
#include "conf/userlines.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/shown.h"
#include "lib/conf/users.h"

/* Is a file in this directory of the home? */
static bool has_files(const char *home, const char *below)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	struct walk w;
	bool found = false;

	if (!string_format(path, sizeof path, "%s/Maildir/%s", home, below))
		return false;
	walk_begin(&w, AT_FDCWD, path);
	while (!found && (entry = walk_next(&w)) != NULL)
		found = entry->d_name[0] != '.';
	return walk_end(&w) == 0 && found;
}

/* An address may be given to somebody else; the mail of who had it before is nobody's to read. */
static void warn_of_old_mail(struct view address, const char *home)
{
	char path[PATH_MAX];
	struct stat st;

	if (!string_format(path, sizeof path, "%s/Maildir", home) || lstat(path, &st) != 0)
		return;
	bool mail = has_files(home, "new") || has_files(home, "cur");

	fprintf(stderr,
	        "posthouse: warning: %s existed already%s, and is the mailbox of %.*s now; if that "
	        "was somebody else's, move it away\n",
	        home, mail ? " and has mail" : " and has a mailbox", VIEW_ARG(address));
}

static void warn(const struct reason *why)
{
	struct text shown;

	text_init(&shown, LOG_ESCAPED * REASON_MAX);
	text_add_shown(&shown, view_of(why->text));
	fprintf(stderr, "posthouse: warning: %s\n", text_string(&shown));
	text_free(&shown);
}

static void make_home(const struct settings *s, struct missing *v, struct map *users,
                      struct view key)
{
	struct user u;
	struct reason why;
	struct view value;
	char home[PATH_MAX];

	if (map_get(users, key, &value) != MAP_FOUND || !user_decode(value, &u) ||
	    !string_copy(home, sizeof home, u.home)) {
		fail(&why, "there is no user %.*s in the current generation", VIEW_ARG(key));
		warn(&why);
		return;
	}
	warn_of_old_mail(key, home);
	if (home_make(s, v, &u, home, &why) != 0)
		warn(&why);
}

void user_make_homes(const struct command *c, const struct added *a)
{
	struct missing volumes;
	struct model m;
	struct map users;
	struct reason why;

	if (command_places_read(c, &m) == EXIT_DONE) {
		if (changes_open(&m, MAP_USERS, &users, &why) == 0) {
			missing_init(&volumes, &m.settings);
			for (size_t i = 0; i < a->count; i++)
				make_home(&m.settings, &volumes, &users, a->keys[i]);
			missing_free(&volumes);
			map_close(&users);
		} else {
			warn(&why);
		}
	}
	model_free(&m);
}
