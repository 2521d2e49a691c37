/* SPDX-License-Identifier: ISC */
/* What mailbox_look tells of a mailbox, as its owner: nothing of a good one, whatever cannot be
 * used of one that is not, and never more than it was asked to look at. */
#include "t/unit/store.h"

#include <errno.h>
#include <grp.h>

#include "lib/store/look.h"

static struct look look_at(unsigned messages_max)
{
	struct look found;
	int home = open(box_home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (home < 0)
		abort();
	mailbox_look(home, messages_max, &found);
	close(home);
	return found;
}

static bool is_well(const struct look *found)
{
	return found->faults == 0 && found->unread == 0;
}

static bool is_fault(const struct look *found, const char *path, int error)
{
	bool same = found->faults == 1 && strcmp(found->first.path, path) == 0 &&
	            found->first.error == error;

	if (!same)
		printf("# %u faults, first \"%s\": %s\n", found->faults, found->first.path,
		       strerror(found->first.error));
	return same;
}

/* With the mode for as long as it lasts. */
static struct look with_mode(const char *name, const char *mode)
{
	box_shell("stat -c %%a %s > ../mode && chmod %s %s", name, mode, name);
	struct look found = look_at(100);

	box_shell("chmod $(cat ../mode) %s && rm ../mode", name);
	return found;
}

static void test_files(void)
{
	static const struct {
		const char *name, *path;
		bool read_suffices;
	} needed[] = {
		{ "posthouse.lock", "Maildir/posthouse.lock", false },
		{ "posthouse.uids", "Maildir/posthouse.uids", true },
		{ "posthouse.home", "Maildir/posthouse.home", false },
		{ "posthouse.pop3", "Maildir/posthouse.pop3", false },
		{ "subscriptions", "Maildir/subscriptions", true },
		{ "../posthouse.reserved", "posthouse.reserved", false },
		{ ".Work/posthouse.lock", "Maildir/.Work/posthouse.lock", false },
	};

	for (unsigned i = 0; i < sizeof needed / sizeof needed[0]; i++) {
		struct look shut = with_mode(needed[i].name, "000"),
			    read_only = with_mode(needed[i].name, "400");

		ok(is_fault(&shut, needed[i].path, EACCES), "%s: cannot be opened", needed[i].path);
		ok(needed[i].read_suffices ? is_well(&read_only)
		                           : is_fault(&read_only, needed[i].path, EACCES),
		   "%s: can only be read", needed[i].path);
	}
	struct look index = with_mode("posthouse.index", "000");

	ok(is_well(&index), "the index is made anew");
}

static void test_directories(void)
{
	static const char *const names[] = { ".", "cur", "new", "tmp", ".Work", ".Work/tmp" };
	char path[100];

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct look found = with_mode(names[i], "500");

		snprintf(path, sizeof path, "Maildir%s%s", i ? "/" : "", i ? names[i] : "");
		ok(is_fault(&found, path, EACCES), "%s cannot be written to", path);
	}
	struct look found = with_mode("..", "500");

	ok(is_well(&found), "home itself need not be, once all is in it");
	box_shell("mv ../posthouse.reserved . && chmod 500 ..");
	found = look_at(100);
	ok(is_fault(&found, "", EACCES), "but for what is missing");
	box_shell("chmod 700 .. && mv posthouse.reserved ..");
}

static void test_links(void)
{
	struct look found;

	box_shell("mv cur away && ln -s away cur");
	found = look_at(100);
	ok(is_fault(&found, "Maildir/cur", ELOOP), "a directory behind a link");
	box_shell("rm cur && mv away cur");
	box_shell("mv posthouse.lock away && ln -s away posthouse.lock");
	found = look_at(100);
	ok(is_fault(&found, "Maildir/posthouse.lock", ELOOP), "a file behind one");
	box_shell("rm posthouse.lock && mv away posthouse.lock");
	box_shell("ln -s /etc .Else && mkdir .with%%wildcard dotless && touch .file");
	found = look_at(100);
	ok(is_well(&found) && found.folders == 2, "what is no folder is not looked at");
	box_shell("rm -r .Else .with%%wildcard dotless .file");
}

static void test_messages(void)
{
	struct look found;

	box_shell("for i in 1 2 3 4 5; do echo x > cur/$i.a:2,; echo x > .Work/new/$i.b; done");
	found = look_at(100);
	ok(is_well(&found) && found.looked >= 10, "messages that can be read");
	box_shell(
		"chmod 0 cur/1.a:2, cur/3.a:2, .Work/new/2.b && mkdir cur/directory && chmod 0 "
		"cur/directory && ln -s nowhere cur/link && touch cur/.hidden && chmod 0 cur/.hidden");
	found = look_at(100);
	ok(found.faults == 0 && found.unread == 3 && found.unread_directories == 2 &&
	           found.unread_foreign == 0 && strcmp(found.message.path, "Maildir/cur") == 0,
	   "and three that cannot, in two directories");
	found = look_at(4);
	ok(found.looked == 4, "no more are looked at than asked for");
}

static void become(uid_t uid)
{
	if (seteuid(uid) != 0)
		abort();
}

static void give_to_root(const char *name)
{
	char path[200];

	snprintf(path, sizeof path, "%s/Maildir/%s", box_home, name);
	become(0);
	if (chown(path, 0, (gid_t)-1) != 0)
		abort();
	become(65534);
}

/* Only root can give a file away. */
static void test_foreign(bool was_root)
{
	struct look found;

	if (!was_root) {
		ok(true, "skipped: what another owns: not root");
		return;
	}
	box_shell("chmod 600 cur/2.a:2,");
	give_to_root("posthouse.lock");
	give_to_root("posthouse.home");
	give_to_root("cur/2.a:2,");
	give_to_root("new");
	found = look_at(100);
	ok(found.faults == 3 && found.foreign == 3 && found.unread == 4 &&
	           found.unread_foreign == 1,
	   "what another owns is counted apart");
}

int main(void)
{
	bool was_root = geteuid() == 0;

	/* As the owner, who root can still be again. */
	if (was_root && (setgroups(0, NULL) != 0 || setresgid(65534, 65534, 0) != 0 ||
	                 setresuid(65534, 65534, 0) != 0))
		abort();
	box_make(0);
	struct look found = look_at(100);

	ok(is_well(&found) && found.folders == 1, "one that has just been made");
	store_create(box, VIEW("Work"), &box_why);
	store_subscribe(box, VIEW("Work"), true, &box_why);
	close(store_lock_session(box));
	for (unsigned i = 0; i < 2; i++) {
		struct folder *f = box_open(i ? "Work" : "INBOX");

		folder_close(&f);
	}
	box_shell("printf '%%s\\n' 'From: x' '' x > new/1.x");
	struct folder *f = box_open("INBOX");

	folder_close(&f);
	found = look_at(100);
	ok(is_well(&found) && found.folders == 2 && found.looked == 1, "and one that is in use");
	test_files();
	test_directories();
	test_links();
	test_messages();
	test_foreign(was_root);
	become(was_root ? 0 : geteuid());
	box_remove();
	return tap_done();
}
