/* SPDX-License-Identifier: ISC */
#include "lib/store/delivery.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/store/internal.h"

static_assert(sizeof(((struct delivery *)0)->name) > NAME_STEM_MAX, "a delivery holds a stem");

static int open_home_maildir(const char *home, struct reason *why)
{
	char path[1100];

	string_print(path, sizeof path, "%s/Maildir", home);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		return fail_errno(why, "open %s", path);
	/* The first message: home and Maildir are made, their parent is not. */
	if (make_directory(AT_FDCWD, home) < 0)
		return fail_errno(why, "make %s", home);
	int home_fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (home_fd < 0)
		return fail_errno(why, "open %s", home);
	fd = open_maildir(home_fd, true, why);
	if (fd >= 0 && fsync(home_fd) < 0) {
		fail_errno(why, "sync %s", home);
		close(fd);
		fd = -1;
	}
	close(home_fd);
	return fd;
}

static int open_or_make(int at, const char *name)
{
	int fd = open_directory(at, name);

	/* A Maildir that another program, or a crash, left incomplete. */
	if (fd < 0 && errno == ENOENT && make_directory(at, name) == 0)
		fd = open_directory(at, name);
	return fd;
}

/* In one call where no part of the path is a link. Where one is, or the system cannot tell, or
 * something is missing, Maildir and new are opened one by one: neither may be a link, which the
 * mailbox's owner could have made, but the home may be reached through one, which is the
 * operator's. A quota is kept in Maildir. */
static int open_new(struct delivery *d, const char *home, struct reason *why)
{
	char path[1100];

	string_print(path, sizeof path, "%s/Maildir/new", home);
	if (d->quota_bytes == 0 && (d->new = open_directory_straight(path)) >= 0)
		return 0;
	d->maildir = open_home_maildir(home, why);
	if (d->maildir < 0)
		return -1;
	d->new = open_or_make(d->maildir, "new");
	return d->new < 0 ? fail_errno(why, "open new") : 0;
}

static int open_tmp(struct delivery *d, struct reason *why)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

	d->fd = openat(d->new, d->tmp, flags, 0600);
	if (d->fd < 0 && errno == ENOENT && make_directory(d->new, "../tmp") == 0)
		d->fd = openat(d->new, d->tmp, flags, 0600);
	return d->fd < 0 ? fail_errno(why, "make tmp/%s", d->name) : 0;
}

enum store_result delivery_begin(struct delivery *d, const char *home, uint64_t quota_bytes,
                                 uint64_t size_bytes, struct reason *why)
{
	*d = (struct delivery){ .maildir = -1, .new = -1, .fd = -1, .quota_bytes = quota_bytes };
	enum store_result result = open_new(d, home, why) < 0 ? STORE_FAILED : STORE_OK;
	struct store store = { .directory = -1, .maildir = d->maildir, .quota_bytes = quota_bytes };

	if (result == STORE_OK)
		result = store_quota_check(&store, size_bytes, why);
	if (result == STORE_OK) {
		name_unique(d->name);
		name_add_size(d->name, size_bytes, size_bytes);
		string_print(d->tmp, sizeof d->tmp, "../tmp/%s", d->name);
		result = open_tmp(d, why) < 0 ? STORE_FAILED : STORE_OK;
	}
	if (result != STORE_OK)
		delivery_abort(d);
	return result;
}

static int publish(struct delivery *d, bool sync_directory, struct reason *why)
{
	/* A crash before this line leaves a file in tmp, after it the message is delivered; before
	 * the directory is synced a power cut may still take it back, together with the queue's
	 * removal where both share a journal. */
	if (renameat(d->new, d->tmp, d->new, d->name) < 0)
		return fail_errno(why, "rename into new");
	if (!sync_directory || fsync(d->new) == 0)
		return 0;
	fail_errno(why, "sync new");
	/* It is delivered again: as often as that fails there would be one more. */
	unlinkat(d->new, d->name, 0);
	return -1;
}

enum store_result delivery_finish(struct delivery *d, uint64_t size_bytes, bool sync_directory,
                                  struct reason *why)
{
	struct store store = { .directory = -1,
		               .maildir = d->maildir,
		               .quota_bytes = d->quota_bytes };
	struct message_name promised;

	if (!name_parse(view_of(d->name), &promised) || promised.size != size_bytes) {
		fail(why, "the message's length is not what was announced");
		delivery_abort(d);
		return STORE_FAILED;
	}
	if (fsync(d->fd) < 0) {
		fail_errno(why, "sync tmp/%s", d->name);
		delivery_abort(d);
		return STORE_FAILED;
	}
	if (publish(d, sync_directory, why) < 0) {
		delivery_abort(d);
		return STORE_FAILED;
	}
	if (d->quota_bytes)
		quota_add(&store, (int64_t)size_bytes, 1);
	d->tmp[0] = '\0';
	delivery_abort(d);
	return STORE_OK;
}

void delivery_abort(struct delivery *d)
{
	int kept_errno = errno;

	if (d->fd >= 0) {
		if (d->tmp[0])
			unlinkat(d->new, d->tmp, 0);
		close(d->fd);
	}
	if (d->new >= 0)
		close(d->new);
	if (d->maildir >= 0)
		close(d->maildir);
	d->fd = d->new = d->maildir = -1;
	errno = kept_errno;
}
