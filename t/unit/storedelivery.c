/* SPDX-License-Identifier: ISC */
/* lib/store/delivery: where links may stand on the way to new, and what is made when missing. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "lib/store/internal.h"
#include "t/unit/store.h"

#define TEXT "Subject: m\r\n\r\n"

static enum store_result deliver(const char *home, uint64_t quota_bytes)
{
	struct delivery d;
	enum store_result result = delivery_begin(&d, home, quota_bytes, sizeof TEXT - 1, &box_why);

	if (result != STORE_OK)
		return result;
	if (write(d.fd, TEXT, sizeof TEXT - 1) != sizeof TEXT - 1)
		abort();
	return delivery_finish(&d, sizeof TEXT - 1, false, &box_why);
}

static bool is_alone_in(const char *directory)
{
	return box_shell("test $(ls %s | wc -l) = 1 && test -z \"$(ls tmp)\"", directory);
}

static void check_straight(void)
{
	char path[PATH_MAX + 20];

	box_make(0);
	char *home = realpath(box_home, NULL); /* TMPDIR may lie below a link */

	snprintf(path, sizeof path, "%s/Maildir/new", home);
	free(home);
	int fd = open_directory_straight(path);

	ok(fd >= 0 || errno == ENOSYS || errno == EPERM, "a path without links");
	close(fd);
	ok(deliver(box_home, 0) == STORE_OK && is_alone_in("new"), "a delivery");
	ok(deliver(box_home, 1000) == STORE_OK && box_shell("test -s maildirsize"),
	   "with a quota, kept in Maildir");
	box_remove();
}

static void check_links(void)
{
	char linked[200];

	box_make(0);
	snprintf(linked, sizeof linked, "%s/linked", box_root);
	ok(symlink(box_home, linked) == 0 && deliver(linked, 0) == STORE_OK && is_alone_in("new"),
	   "the home may be reached through a link");
	box_shell("rm -r new && mkdir other && ln -s other new");
	ok(deliver(box_home, 0) == STORE_FAILED &&
	           box_shell("test -z \"$(ls other tmp | grep S=)\""),
	   "new may not be one");
	ok(deliver(box_home, 1000) == STORE_FAILED, "nor with a quota");
	box_shell("rm new && mv other new && cd .. && mv Maildir m && ln -s m Maildir");
	ok(deliver(box_home, 0) == STORE_FAILED && is_alone_in("-d new"), "nor Maildir");
	box_remove();
}

static void check_missing(void)
{
	char other[200];

	box_make(0);
	box_shell("rm -r new tmp");
	ok(deliver(box_home, 0) == STORE_OK && is_alone_in("new"), "new and tmp are made");
	box_shell("rm -r tmp");
	ok(deliver(box_home, 0) == STORE_OK && box_shell("test $(ls new | wc -l) = 2"),
	   "tmp alone");
	snprintf(other, sizeof other, "%s/bert", box_root);
	ok(deliver(other, 0) == STORE_OK &&
	           box_shell("test $(ls ../../bert/Maildir/new | wc -l) = 1"),
	   "and a home");
	box_remove();
}

/* Of a name that two processes make at once one message would take the other's place. */
static void check_names_of_children(void)
{
	char ours[NAME_STEM_MAX + 1], theirs[NAME_STEM_MAX + 1] = "", number[32];
	int ends[2], status;

	name_unique(ours);
	if (pipe(ends) < 0)
		abort();
	pid_t pid = fork();

	if (pid == 0) {
		name_unique(theirs);
		_exit(write(ends[1], theirs, sizeof theirs) != sizeof theirs);
	}
	waitpid(pid, &status, 0);
	snprintf(number, sizeof number, "P%ld_", (long)pid);
	ok(read(ends[0], theirs, sizeof theirs) == sizeof theirs &&
	           strstr(theirs, number) != NULL && strstr(ours, number) == NULL,
	   "a child's names bear its own number");
}

int main(void)
{
	check_straight();
	check_links();
	check_missing();
	check_names_of_children();
	return tap_done();
}
