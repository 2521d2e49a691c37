/* SPDX-License-Identifier: ISC */
#include "lib/store/look.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/store/internal.h"

enum kind { DIRECTORY, REGULAR };

struct part {
	const char *name;
	int wanted;
};

/* Of each folder; the directories are in the store's hands whole. */
static const char *const directories[] = { "cur", "new", "tmp" };
static const struct part files[] = {
	{ LOCK_FILE, R_OK | W_OK },
	{ UID_FILE, R_OK },
	{ KEYWORDS_FILE, R_OK },
};
static const struct part maildirs[] = {
	{ HOME_FILE, R_OK | W_OK },
	{ POP3_FILE, R_OK | W_OK },
	{ "subscriptions", R_OK },
};

struct looking {
	struct look *out;
	unsigned messages_left;
	char at[LOOK_PATH_MAX]; /* of the directory that is looked at: "Maildir/.Work" */
};

static void note(struct look_fault *first, bool is_first, const char *at, const char *name,
                 struct look_fault fault)
{
	if (!is_first)
		return;
	*first = fault;
	if (strcmp(name, ".") != 0)
		string_print(first->path, sizeof first->path, "%s%s%s", at, *at ? "/" : "", name);
}

static void note_fault(struct looking *l, const char *name, struct look_fault fault)
{
	note(&l->out->first, l->out->faults++ == 0, l->at, name, fault);
	l->out->foreign += fault.error == EACCES && fault.st.st_uid != geteuid();
}

/* 0, also of what is missing (errno ENOENT then, else 0); -1: a fault, noted. */
static int ask(struct looking *l, int at, const char *name, enum kind kind, int wanted)
{
	struct look_fault fault = { .wanted = wanted & ~(l->out->read_only ? W_OK : 0) };

	if (fstatat(at, name, &fault.st, AT_SYMLINK_NOFOLLOW) != 0)
		fault.error = errno;
	else if (S_ISLNK(fault.st.st_mode))
		fault.error = ELOOP;
	else if (kind == DIRECTORY && !S_ISDIR(fault.st.st_mode))
		fault.error = ENOTDIR;
	else if (kind == REGULAR && !S_ISREG(fault.st.st_mode))
		fault.error = S_ISDIR(fault.st.st_mode) ? EISDIR : EINVAL;
	else if (faccessat(at, name, fault.wanted, AT_EACCESS) != 0)
		fault.error = errno;
	errno = fault.error;
	if (fault.error == 0 || fault.error == ENOENT)
		return 0;
	note_fault(l, name, fault);
	errno = fault.error;
	return -1;
}

/* ---- messages ---- */

static bool is_regular(int at, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type == DT_REG;
	return fstatat(at, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static bool may_read(int at, const char *name)
{
	return faccessat(at, name, R_OK, AT_EACCESS) == 0 || errno != EACCES;
}

static void look_at_messages(struct looking *l, int folder, const char *name)
{
	struct look *out = l->out;
	unsigned before = out->unread;
	const struct dirent *e;
	struct walk w;

	walk_begin(&w, folder, name);
	while (l->messages_left && (e = walk_next(&w)) != NULL) {
		struct look_fault fault = { .error = EACCES, .wanted = R_OK };

		l->messages_left--;
		out->looked++;
		if (e->d_name[0] == '.' || !is_regular(walk_fd(&w), e) ||
		    may_read(walk_fd(&w), e->d_name) ||
		    fstatat(walk_fd(&w), e->d_name, &fault.st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		out->unread_foreign += fault.st.st_uid != geteuid();
		note(&out->message, out->unread++ == 0, l->at, name, fault);
	}
	bool whole = walk_end(&w) == 0;

	(void)whole; /* it was asked for, and what broke off meanwhile is not the owner's fault */
	out->unread_directories += out->unread > before;
}

/* ---- folders ---- */

static void ask_files(struct looking *l, int at, const struct part *parts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ask(l, at, parts[i].name, REGULAR, parts[i].wanted);
}

/* Its directory was asked for. */
static void look_into_folder(struct looking *l, int folder)
{
	l->out->folders++;
	for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++)
		if (ask(l, folder, directories[i], DIRECTORY, R_OK | W_OK | X_OK) == 0 &&
		    errno == 0 && strcmp(directories[i], "tmp") != 0)
			look_at_messages(l, folder, directories[i]);
	ask_files(l, folder, files, sizeof files / sizeof files[0]);
}

static bool is_folder(int maildir, const struct dirent *e)
{
	struct view name = view_of(e->d_name);
	struct stat st;

	if (name.len < 2 || name.data[0] != '.' || !store_name_valid(view_skip(name, 1)) ||
	    store_name_is_inbox(view_skip(name, 1)))
		return false;
	if (e->d_type != DT_UNKNOWN)
		return e->d_type == DT_DIR;
	return fstatat(maildir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static void look_at_folder(struct looking *l, int maildir, const char *name)
{
	if (ask(l, maildir, name, DIRECTORY, R_OK | W_OK | X_OK) != 0 || errno == ENOENT)
		return;
	int folder = open_directory(maildir, name);

	if (folder < 0)
		return; /* deleted meanwhile */
	string_print(l->at, sizeof l->at, "Maildir/%s", name);
	look_into_folder(l, folder);
	string_put(l->at, sizeof l->at, VIEW("Maildir"));
	close(folder);
}

static void look_into_maildir(struct looking *l, int maildir)
{
	const struct dirent *e;
	struct walk w;

	string_put(l->at, sizeof l->at, VIEW("Maildir"));
	ask_files(l, maildir, maildirs, sizeof maildirs / sizeof maildirs[0]);
	look_into_folder(l, maildir);
	walk_begin(&w, maildir, ".");
	while (l->out->folders < LOOK_FOLDERS_MAX && (e = walk_next(&w)) != NULL)
		if (is_folder(maildir, e))
			look_at_folder(l, maildir, e->d_name);
	bool whole = walk_end(&w) == 0;

	(void)whole; /* as above */
}

void mailbox_look(int home, unsigned messages_max, struct look *out)
{
	struct looking l = { .out = out, .messages_left = messages_max };

	*out = (struct look){ 0 };
	int asked = ask(&l, home, "Maildir", DIRECTORY, R_OK | W_OK | X_OK);
	bool is_missing = asked == 0 && errno == ENOENT;

	out->read_only = asked != 0 && errno == EROFS;
	if (ask(&l, home, RESERVED_FILE, REGULAR, R_OK | W_OK) == 0)
		is_missing = is_missing || errno == ENOENT;
	if (is_missing)
		ask(&l, home, ".", DIRECTORY, W_OK | X_OK);
	int maildir = asked == 0 || out->read_only ? open_directory(home, "Maildir") : -1;

	if (maildir < 0)
		return;
	look_into_maildir(&l, maildir);
	close(maildir);
}
