/* SPDX-License-Identifier: ISC */
#include "conf/inspect-home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/sandbox.h"
#include "lib/base/shown.h"

/* Two commands, each with a path in a mailbox. */
enum { REMEDY_MAX = 2 * SHELL_WORD_MAX(PATH_MAX + 16) + 256 };

/* ---- what is told ---- */

/* Are so many told of this kind that one more is only counted? Then it is. */
static bool is_enough(struct tales *t, enum trouble trouble)
{
	bool enough = t->count[trouble] == TALES_OF_TROUBLE_MAX;

	t->of[trouble][TALES_OF_TROUBLE_MAX - 1].more += enough;
	return enough;
}

/* NULL: it, or enough of its kind, is told already. */
static struct tale *add_tale(struct tales *t, enum trouble trouble, const char *path)
{
	unsigned *count = &t->count[trouble];

	for (unsigned i = 0; i < *count; i++)
		if (strcmp(t->of[trouble][i].path, path) == 0) {
			t->of[trouble][i].more++;
			return NULL;
		}
	if (is_enough(t, trouble))
		return NULL;
	struct tale *tale = &t->of[trouble][(*count)++];

	*tale = (struct tale){ .path = memory_string(view_of(path)) };
	return tale;
}

__attribute__((format(printf, 4, 5))) static void tell(struct tales *t, enum trouble trouble,
                                                       const char *path, const char *format, ...)
{
	struct tale *tale = add_tale(t, trouble, path);
	struct text text;
	va_list list;

	if (tale == NULL)
		return;
	text_init(&text, REMEDY_MAX + 2 * PATH_MAX);
	va_start(list, format);
	text_format_list(&text, format, list);
	va_end(list);
	tale->text = memory_string(text_view_cut(&text));
	text_free(&text);
}

static void print_tale(struct model *m, const struct tale *tale)
{
	char more[64] = "";

	if (tale->more)
		string_print(more, sizeof more, "; %u more mailbox%s the same problem", tale->more,
		             tale->more == 1 ? " has" : "es have");
	(tale->is_warning ? problem_warning : problem_error)(&m->problems, tale->path, 0, "%s%s",
	                                                     tale->text, more);
}

void tales_end(struct tales *t)
{
	for (unsigned trouble = 0; trouble < TROUBLES; trouble++)
		for (unsigned i = 0; i < t->count[trouble]; i++) {
			struct tale *tale = &t->of[trouble][i];

			print_tale(t->model, tale);
			free(tale->path);
			free(tale->text);
		}
}

/* "anna@example.org (5000:5000)" */
static const char *whose(const struct home *h, char out[ADDRESS_MAX + 64])
{
	string_print_cut(out, ADDRESS_MAX + 64, "%.*s (%u:%u)", VIEW_ARG(h->address),
	                 (unsigned)h->user.uid, (unsigned)h->user.gid);
	return out;
}

/* ---- the way to it ---- */

/* Is it on the way to mail.root, or below it? Of what is elsewhere nothing is advised. */
static bool is_on_the_way(const struct model *m, const char *path)
{
	char root[PATH_MAX];

	if (realpath(m->settings.mail_root, root) == NULL)
		return false;
	struct view there = view_of(path), of_root = view_of(root);
	bool before = view_starts(of_root, there) &&
	              (there.len == 1 || there.len == of_root.len || root[there.len] == '/');

	return before || user_home_allowed(root, path) ||
	       user_home_allowed(m->settings.mail_root, path);
}

static void tell_unmade(struct tales *t, const struct home *h, const struct obstacle *o,
                        const char *of)
{
	struct text word;

	text_init(&word, SHELL_WORD_MAX(PATH_MAX));
	text_add_shell_word(&word, view_of(h->path));
	tell(t, TROUBLE_UNMADE, o->path,
	     "mode is %04o, owner %u:%u: the home of the mailbox %s is missing, and it cannot make "
	     "it here; run install -d -m 0700 -o %u -g %u %s",
	     (unsigned)o->st.st_mode & 07777, (unsigned)o->st.st_uid, (unsigned)o->st.st_gid, of,
	     (unsigned)h->user.uid, (unsigned)h->user.gid, text_string(&word));
	text_free(&word);
}

void tell_way(struct tales *t, const struct home *h, const struct obstacle *o)
{
	char of[ADDRESS_MAX + 64];
	struct reason remedy;

	whose(h, of);
	obstacle_remedy(o, &h->owner, false, &remedy);
	if (!is_on_the_way(t->model, o->path))
		tell(t, TROUBLE_ODD, h->path,
		     "the mailbox %s is behind a directory outside mail.root", of);
	else if (o->error == ENOENT)
		tell(t, TROUBLE_GONE, o->path,
		     "there is no such directory: the home of the mailbox %s cannot be made in it, "
		     "and its mail waits; restore it, or make it with owner and mode of mail.root",
		     of);
	else if (o->error != EACCES)
		tell(t, TROUBLE_ODD, o->path, "%s: the mailbox %s cannot be used",
		     strerror(o->error), of);
	else if (!o->last)
		tell(t, TROUBLE_WAY, o->path,
		     "mode is %04o, owner %u:%u: the mailbox %s is behind it and cannot be "
		     "entered; %s",
		     (unsigned)o->st.st_mode & 07777, (unsigned)o->st.st_uid,
		     (unsigned)o->st.st_gid, of, remedy.text);
	else
		tell_unmade(t, h, o, of);
}

/* "Maildir/cur/ (mode 0500, owner 0:0)" */
static void add_found(const struct look *found, struct text *out)
{
	const struct look_fault *f = found->faults ? &found->first : &found->message;

	if (found->faults + found->unread)
		text_format(out, " (%s%s: %s, mode %04o, owner %u:%u)",
		            found->faults ? "" : "messages in ", f->path[0] ? f->path : "home",
		            strerror(f->error), (unsigned)f->st.st_mode & 07777,
		            (unsigned)f->st.st_uid, (unsigned)f->st.st_gid);
}

void tell_link(struct tales *t, const struct home *h, const struct home_link *link, bool is_well,
               const struct look *found)
{
	char of[ADDRESS_MAX + 64];
	bool is_warning = is_well && !sandbox_keeps_paths();
	struct tale *tale = add_tale(t, TROUBLE_LINK, link->path);
	struct text text;

	if (tale == NULL)
		return;
	text_init(&text, 8 * PATH_MAX);
	home_link_text(link, &text);
	text_format(&text, "; behind it the mailbox %s %s", whose(h, of),
	            is_warning ? "can be used only as long as the kernel has no Landlock"
	                       : "cannot be used");
	add_found(found, &text);
	tale->text = memory_string(text_view_cut(&text));
	tale->is_warning = is_warning;
	text_free(&text);
}

/* ---- another's ---- */

/* Is one of these parts of the directory there and not this uid's? Root sees all of them, and opens
 * none: O_PATH. */
static bool is_foreign_below(const char *directory, const char *const *parts, uid_t uid)
{
	int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool found = false;
	struct stat st;

	for (; fd >= 0 && *parts != NULL && !found; parts++)
		found = fstatat(fd, *parts, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid != uid;
	if (fd >= 0)
		close(fd);
	return found;
}

/* Is the home of anybody in this directory? What is done to it with all that is below it would be
 * done to that home, too. */
static bool has_homes_below(const struct model *m, const char *directory)
{
	const struct model_map *users = &m->maps[MAP_USERS];
	struct user user;

	for (size_t i = 0; i < users->count; i++)
		if (user_decode(users->entries[i]->compiled, &user) &&
		    view_starts(user.home, view_of(directory)) &&
		    view_starts(view_skip(user.home, strlen(directory)), VIEW("/")))
			return true;
	return false;
}

/* "run chown -hR 5000:5000 PATH": R where that is needed, and where nobody else's is below; h,
 * since the owner may put a link there meanwhile. */
static void add_chown(const struct tales *t, const struct home *h, const char *path, bool deep,
                      struct text *out)
{
	bool all = deep && !has_homes_below(t->model, path);

	text_format(out, "%s chown -h%s %u:%u ", out->len ? " &&" : "run", all ? "R" : "",
	            (unsigned)h->user.uid, (unsigned)h->user.gid);
	text_add_shell_word(out, view_of(path));
}

static void add_chown_of(const struct tales *t, const struct home *h, const char *path,
                         struct text *out)
{
	static const char *const of_home[] = { "Maildir", NULL }, *const of_maildir[] = {
		"cur", "new", "tmp", NULL
	};
	char maildir[PATH_MAX + 16];
	bool is_home = strcmp(path, h->path) == 0,
	     deep = is_foreign_below(path, is_home ? of_home : of_maildir, h->user.uid);

	add_chown(t, h, path, deep, out);
	if (!is_home || !deep || !has_homes_below(t->model, path))
		return;
	string_print(maildir, sizeof maildir, "%s/Maildir", h->path);
	add_chown(t, h, maildir, is_foreign_below(maildir, of_maildir, h->user.uid), out);
}

/* found: more parts than this one may be another's. */
static void add_chown_of_parts(const struct tales *t, const struct home *h, const char *path,
                               const struct look *found, struct text *out)
{
	char maildir[PATH_MAX + 16];

	string_print(maildir, sizeof maildir, "%s/Maildir", h->path);
	if (found == NULL || found->foreign < 2) {
		add_chown_of(t, h, path, out);
		return;
	}
	if (!view_starts(view_of(path), view_of(maildir)))
		add_chown(t, h, path, false, out);
	add_chown(t, h, maildir, true, out);
}

static void tell_owner(struct tales *t, const struct home *h, const char *path,
                       const struct stat *st, const struct look *found)
{
	struct text remedy;
	char others[64] = "";

	if (is_enough(t, TROUBLE_OWNER))
		return; /* without looking for what to run */
	text_init(&remedy, REMEDY_MAX);
	add_chown_of_parts(t, h, path, found, &remedy);
	if (found != NULL && found->foreign > 1)
		string_print(others, sizeof others, ", as %u more in it", found->foreign - 1);
	tell(t, TROUBLE_OWNER, path,
	     "owned by uid %u, not by uid %u, the owner of the mailbox %.*s%s; %s",
	     (unsigned)st->st_uid, (unsigned)h->user.uid, VIEW_ARG(h->address), others,
	     text_string(&remedy));
	text_free(&remedy);
}

/* ---- what is in it ---- */

/* What cannot be used, and is another's: in a private house all is one uid's. */
static bool is_foreign(const struct home *h, const struct stat *st)
{
	return geteuid() == 0 && st->st_uid != h->user.uid;
}

void tell_home(struct tales *t, const struct home *h, const struct obstacle *o)
{
	char of[ADDRESS_MAX + 64];
	struct reason remedy;

	if (is_foreign(h, &o->st)) {
		tell_owner(t, h, h->path, &o->st, NULL);
		return;
	}
	obstacle_remedy(o, &h->owner, true, &remedy);
	if (o->error != EACCES)
		tell(t, TROUBLE_ODD, h->path, "%s: the mailbox %s cannot be used",
		     strerror(o->error), whose(h, of));
	else
		tell(t, TROUBLE_MODE, h->path,
		     "mode is %04o, owner %u:%u: the mailbox %s cannot use it; %s",
		     (unsigned)o->st.st_mode & 07777, (unsigned)o->st.st_uid,
		     (unsigned)o->st.st_gid, whose(h, of), remedy.text);
}

static const char *kind_text(int error)
{
	return error == ELOOP    ? "a symbolic link, which no program of the server follows here"
	       : error == EISDIR ? "a directory, where a file should be"
	       : error == EINVAL ? "not a regular file"
	                         : strerror(error);
}

/* "run chmod u+w", or with more than one: -R, which goes no further than what is theirs to use. */
static void add_chmod(const struct home *h, const struct look *found, struct text *out)
{
	const struct look_fault *first = &found->first;
	struct obstacle o = { .error = first->error, .wanted = first->wanted, .st = first->st };
	char maildir[PATH_MAX + 16];
	struct reason remedy;

	obstacle_remedy(&o, &h->owner, true, &remedy);
	string_print(maildir, sizeof maildir, "%s/Maildir", h->path);
	if (found->faults - found->foreign > 1 && strncmp(remedy.text, "run chmod u", 11) == 0 &&
	    view_starts(view_of(first->path), VIEW("Maildir"))) {
		text_add_string(out, "run chmod -R u+rwX ");
		text_add_shell_word(out, view_of(maildir));
	} else {
		text_add_string(out, remedy.text);
	}
}

static void tell_mode(struct tales *t, const struct home *h, const char *path,
                      const struct look *found)
{
	const struct stat *st = &found->first.st;
	char of[ADDRESS_MAX + 64], others[64] = "";
	struct text remedy;

	if (is_enough(t, TROUBLE_MODE))
		return;
	text_init(&remedy, REMEDY_MAX);
	add_chmod(h, found, &remedy);
	if (found->faults > 1)
		string_print(others, sizeof others, ", nor %u more in it", found->faults - 1);
	tell(t, TROUBLE_MODE, path, "mode is %04o, owner %u:%u: the mailbox %s cannot use it%s; %s",
	     (unsigned)st->st_mode & 07777, (unsigned)st->st_uid, (unsigned)st->st_gid,
	     whose(h, of), others, text_string(&remedy));
	text_free(&remedy);
}

static void tell_fault(struct tales *t, const struct home *h, const struct look *found)
{
	const struct look_fault *first = &found->first;
	char path[PATH_MAX + LOOK_PATH_MAX], of[ADDRESS_MAX + 64];

	string_print(path, sizeof path, "%s%s%s", h->path, first->path[0] ? "/" : "", first->path);
	if (first->error != EACCES)
		tell(t, TROUBLE_ODD, path, "%s: the mailbox %s cannot use it",
		     kind_text(first->error), whose(h, of));
	else if (is_foreign(h, &first->st))
		tell_owner(t, h, path, &first->st, found);
	else
		tell_mode(t, h, path, found);
}

static void tell_messages(struct tales *t, const struct home *h, const struct look *found)
{
	char path[PATH_MAX + LOOK_PATH_MAX], places[32] = "it", of[ADDRESS_MAX + 64];
	const struct stat *st = &found->message.st;
	struct text remedy;

	if (is_enough(t, TROUBLE_MESSAGES))
		return;
	string_print(path, sizeof path, "%s/%s", h->path,
	             found->unread_directories > 1 ? "Maildir" : found->message.path);
	if (found->unread_directories > 1)
		string_print(places, sizeof places, "%u directories of it",
		             found->unread_directories);
	text_init(&remedy, REMEDY_MAX);
	if (geteuid() == 0 && found->unread_foreign) {
		add_chown(t, h, path, true, &remedy);
	} else {
		text_add_string(&remedy, "run chmod -R u+rwX ");
		text_add_shell_word(&remedy, view_of(path));
	}
	tell(t, TROUBLE_MESSAGES, path,
	     "%u message%s in %s cannot be read by the mailbox %s (one: mode %04o, owner %u:%u); %s",
	     found->unread, found->unread == 1 ? "" : "s", places, whose(h, of),
	     (unsigned)st->st_mode & 07777, (unsigned)st->st_uid, (unsigned)st->st_gid,
	     text_string(&remedy));
	text_free(&remedy);
}

/* One line for a mailbox: what is wrong above explains what is wrong below. */
void tell_look(struct tales *t, const struct home *h, const struct look *found)
{
	if (found->faults)
		tell_fault(t, h, found);
	else if (found->unread)
		tell_messages(t, h, found);
}
