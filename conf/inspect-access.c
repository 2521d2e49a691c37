/* SPDX-License-Identifier: ISC */
/* posthouse check: who must be able to do what with the directories and files of the house. Homes
 * are looked at by inspect-mail.c, who must not by inspect-owners.c. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/command.h"
#include "conf/inspect.h"
#include "conf/model.h"
#include "conf/permission.h"
#include "lib/base/file.h"
#include "lib/base/shown.h"
#include "lib/conf/accounts.h"
#include "lib/queue/queuedir.h"

bool house_is_systems(const struct model *m)
{
	return geteuid() == 0 && m->settings.account_base == 0;
}

/* check_accounts says which are missing. */
static bool find_account(const struct settings *s, enum account account, struct asker *who)
{
	who->name = account_name(account);
	return geteuid() != 0 ||
	       account_find(account, s->account_base, &who->uid, &who->gid, NULL) == 0;
}

/* ---- what users need ---- */

struct need {
	const char *base, *below;
	int wanted;
	bool in_drop_group; /* drop is set-gid */
	const char *or_else;
	bool is_warning;
};

/* False: nothing stands in the way, or it is missing, which is told of elsewhere. */
static bool find_obstacle(struct model *m, const struct need *n, struct obstacle *o,
                          struct reason *text)
{
	struct asker who = permission_anybody, drop;
	char path[PATH_MAX];

	if (n->in_drop_group) {
		if (!find_account(&m->settings, ACCOUNT_drop, &drop))
			return false;
		who.gid = drop.gid;
		who.name = "drop(8)";
	}
	if (!string_format(path, sizeof path, "%s%s", n->base, n->below) ||
	    permission_ask(&who, path, n->wanted, o) == 0 || o->error != EACCES)
		return false;
	if (n->in_drop_group && o->last && o->st.st_gid != drop.gid)
		fail(text, "the group is %u: %s cannot write to it; run chgrp %u and chmod 1730",
		     (unsigned)o->st.st_gid, who.name, (unsigned)drop.gid);
	else
		obstacle_text(o, &who, false, text);
	return true;
}

/* What stands in the way of several is told of once. */
static void check_users_ways(struct model *m, bool running)
{
	static const char not_stored[] = "users cannot send while the server is not running";
	const struct need needs[] = {
		{ m->confdir, "/posthouse.conf", R_OK, false, "other users cannot send mail",
		  false },
		{ m->settings.directory_run, running ? "/submit" : "", running ? W_OK : F_OK, false,
		  "mail of other users takes the way over the drop directory", true },
		{ command_programs(), "/drop", X_OK, false, not_stored, false },
		{ m->settings.drop_directory, "", W_OK | X_OK, true, not_stored, false },
	};
	enum { NEEDS = sizeof needs / sizeof needs[0] };
	char told[NEEDS][PATH_MAX] = { "" };
	struct obstacle o;
	struct reason text;

	for (unsigned i = 0; i < NEEDS && house_is_systems(m); i++) {
		bool known = !find_obstacle(m, &needs[i], &o, &text);

		for (unsigned j = 0; j < i && !known; j++)
			known = strcmp(told[j], o.path) == 0;
		if (known)
			continue;
		(needs[i].is_warning ? problem_warning : problem_error)(&m->problems, o.path, 0,
		                                                        "%s; %s", text.text,
		                                                        needs[i].or_else);
		string_print(told[i], sizeof told[i], "%s", o.path);
	}
}

/* ---- the queue and the drop directory, into which their programs are shut by root ---- */

struct unusable {
	int directory;
	unsigned directories, files;
	bool secret;
	char odd[16]; /* a name that should be a directory's, and is not */
};

static bool may_use(int at, const char *name, int wanted)
{
	return faccessat(at, name, wanted, AT_EACCESS) == 0 || errno == ENOENT;
}

static bool note_message(void *context, const struct queuedir_entry *e)
{
	struct unusable *u = context;

	if (e->kind == QUEUEDIR_MESSAGE)
		u->files += !may_use(u->directory, e->name, R_OK | W_OK);
	return true;
}

static void look_at_directory(struct unusable *u, const char *name)
{
	struct stat st;

	if (fstatat(u->directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
		string_put(u->odd, sizeof u->odd, view_of(name));
	else
		u->directories += !may_use(u->directory, name, R_OK | W_OK | X_OK);
}

/* Of a running house queued itself tells which messages it cannot open. */
static void look_into_queue(struct unusable *u, bool files)
{
	static const char *const aside[] = { ".", "damaged", "torn" };
	char name[8];

	for (unsigned i = 0; i < sizeof aside / sizeof aside[0]; i++)
		look_at_directory(u, aside[i]);
	for (unsigned i = 0; i < QUEUEDIR_DIRECTORIES; i++) {
		string_print(name, sizeof name, "%02x", i);
		look_at_directory(u, name);
	}
	u->secret = !may_use(u->directory, "secret", R_OK);
	if (files)
		queuedir_walk(u->directory, QUEUEDIR_LIVE, note_message, u);
}

static void add_count(struct text *out, unsigned count, const char *one, const char *many)
{
	if (count)
		text_format(out, "%s%u %s", out->len ? ", " : "", count, count == 1 ? one : many);
}

static void tell_unusable(const struct settings *s, const struct asker *who,
                          const struct unusable *u, struct text *out)
{
	if (u->odd[0])
		text_format(out, "%s in it is not a directory, and a start fails; move it away",
		            u->odd);
	if (u->directories + u->files + u->secret == 0 || u->odd[0])
		return; /* one thing after the other */
	add_count(out, u->directories, "directory", "directories");
	add_count(out, u->files, "message", "messages");
	if (u->secret)
		text_format(out, "%sthe secret", out->len ? ", " : "");
	text_format(out,
	            " in it cannot be used by %s: new mail is deferred, or a start fails; run ",
	            who->name);
	if (geteuid() == 0) {
		text_format(out, "chown -R %u:%u ", (unsigned)who->uid, (unsigned)who->gid);
		text_add_shell_word(out, view_of(s->queue_directory));
		text_add_string(out, " && ");
	}
	text_add_string(out, "chmod -R u+rwX ");
	text_add_shell_word(out, view_of(s->queue_directory));
}

void inspect_queue_access(const struct settings *s, bool files, struct text *out)
{
	struct unusable u = { .directory = open(s->queue_directory,
		                                O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	int error = u.directory < 0 ? errno : 0;
	struct asker who = { .uid = geteuid() };
	bool known = find_account(s, ACCOUNT_queue, &who);

	if (u.directory >= 0 && known && permission_as(&who) == 0)
		look_into_queue(&u, files);
	else if (error == EACCES && geteuid() != 0)
		u.directories = 1;
	permission_as_self();
	tell_unusable(s, &who, &u, out);
	if (u.directory >= 0)
		close(u.directory);
}

static unsigned count_unreadable(int directory)
{
	const struct dirent *d;
	struct walk walk;
	unsigned count = 0;

	walk_begin(&walk, directory, ".");
	while ((d = walk_next(&walk)) != NULL)
		if ((d->d_name[0] != '.' || view_starts(view_of(d->d_name), VIEW(".taken-"))) &&
		    (d->d_type == DT_REG || d->d_type == DT_UNKNOWN))
			count += !may_use(directory, d->d_name, R_OK);
	bool whole = walk_end(&walk) == 0;

	(void)whole; /* then it cannot be used itself */
	return count;
}

static void tell_unreadable(struct model *m, unsigned count, const struct asker *who)
{
	const char *path = m->settings.drop_directory;
	struct text word;

	text_init(&word, SHELL_WORD_MAX(SETTING_VALUE_MAX));
	text_add_shell_word(&word, view_of(path));
	problem_error(&m->problems, path, 0,
	              "%u message%s in it cannot be read by pickup (%s); run find %s -type f "
	              "-exec chgrp -h %u {} + -exec chmod g+r {} +",
	              count, count == 1 ? "" : "s", who->name, text_string(&word),
	              (unsigned)who->gid);
	text_free(&word);
}

static void check_drop_files(struct model *m)
{
	const char *path = m->settings.drop_directory;
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct asker who = { .uid = geteuid() };

	if (directory < 0 || !find_account(&m->settings, ACCOUNT_drop, &who) ||
	    permission_as(&who) != 0) {
		if (directory >= 0)
			close(directory);
		return;
	}
	bool usable = may_use(directory, ".", R_OK | W_OK | X_OK);
	unsigned unreadable = usable ? count_unreadable(directory) : 0;

	permission_as_self();
	close(directory);
	if (!usable)
		problem_error(
			&m->problems, path, 0,
			"pickup (%s) cannot use it: mail that is stored there is not sent; run "
			"chown %u:%u and chmod 1730",
			who.name, (unsigned)who.uid, (unsigned)who.gid);
	if (unreadable)
		tell_unreadable(m, unreadable, &who);
}

/* ---- all of it ---- */

void inspect_access(struct model *m, bool running)
{
	struct text queue;

	check_users_ways(m, running);
	check_drop_files(m);
	text_init(&queue, QUEUE_ACCESS_TEXT_MAX);
	inspect_queue_access(&m->settings, !running, &queue);
	if (queue.len)
		problem_error(&m->problems, m->settings.queue_directory, 0, "%s",
		              text_string(&queue));
	text_free(&queue);
}
