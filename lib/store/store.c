/* SPDX-License-Identifier: ISC */
#include "lib/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/store/internal.h"

void store_begin(void)
{
	char stem[NAME_STEM_MAX + 1];

	store_boot();
	name_unique(stem);
}

int make_directory(int at, const char *name)
{
	return mkdirat(at, name, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

/* cur last: a Maildir with all three is complete, and whoever finds one without makes what is
 * missing. */
static int make_maildir(int dir)
{
	if (make_directory(dir, "tmp") < 0 || make_directory(dir, "new") < 0)
		return -1;
	return make_directory(dir, "cur");
}

int open_maildir(int home, bool create, struct reason *why)
{
	int fd = open_directory(home, "Maildir");

	if (fd < 0 && errno == ENOENT && create) {
		if (make_directory(home, "Maildir") < 0)
			return fail_errno(why, "make Maildir");
		fd = open_directory(home, "Maildir");
		if (fd >= 0 && make_maildir(fd) < 0) {
			close(fd);
			return fail_errno(why, "make Maildir");
		}
	}
	return fd < 0 ? fail_errno(why, "open Maildir") : fd;
}

static int open_home(const char *home, bool create)
{
	int fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && create && make_directory(AT_FDCWD, home) == 0)
		fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd;
}

enum store_result store_open(const char *home, bool create, uint64_t quota_bytes,
                             struct store **out, struct reason *why)
{
	int fd = open_home(home, create);

	*out = NULL;
	if (fd < 0) {
		fail_errno(why, "open %s", home);
		return errno == ENOENT ? STORE_NOT_FOUND : STORE_FAILED;
	}
	int maildir = open_maildir(fd, create, why), kept_errno = errno;

	if (maildir < 0) {
		close(fd);
		return kept_errno == ENOENT ? STORE_NOT_FOUND : STORE_FAILED;
	}
	*out = memory_get(sizeof **out);
	(*out)->home = memory_string(view_of(home));
	(*out)->directory = fd;
	(*out)->maildir = maildir;
	(*out)->quota_bytes = quota_bytes;
	return STORE_OK;
}

int store_directory(const struct store *store)
{
	return store->directory;
}

void store_close(struct store **store)
{
	if (*store == NULL)
		return;
	close((*store)->maildir);
	close((*store)->directory);
	free((*store)->home);
	free(*store);
	*store = NULL;
}

/* ---- names ---- */

bool store_name_is_inbox(struct view name)
{
	return view_equal_nocase(name, VIEW("INBOX"));
}

bool store_name_valid(struct view name)
{
	if (name.len == 0 || name.len > STORE_NAME_MAX)
		return false;
	char before = STORE_DELIMITER;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];

		/* '/' would leave the folder; wildcards could not be listed (RFC 3501 section
		 * 6.3.8). */
		if (c < ' ' || c > '~' || c == '/' || c == '*' || c == '%' ||
		    (c == STORE_DELIMITER && before == STORE_DELIMITER))
			return false;
		before = c;
	}
	return before != STORE_DELIMITER;
}

void maildir_name(struct view name, char *out)
{
	out[0] = '.';
	string_put(out + 1, STORE_NAME_MAX + 1, name);
}

enum store_result open_folder_dir(struct store *store, struct view name, int *fd,
                                  struct reason *why)
{
	char path[STORE_NAME_MAX + 2];

	*fd = -1;
	if (store_name_is_inbox(name)) {
		*fd = open_directory(store->maildir, ".");
	} else if (!store_name_valid(name)) {
		fail(why, "not a valid folder name");
		return STORE_BAD_NAME;
	} else {
		maildir_name(name, path);
		*fd = open_directory(store->maildir, path);
	}
	if (*fd >= 0)
		return STORE_OK;
	fail_errno(why, "open folder");
	return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? STORE_NOT_FOUND
	                                                             : STORE_FAILED;
}

/* ---- the list ---- */

struct name_list {
	struct store_folder_name *names;
	unsigned count, capacity;
};

static void list_add(struct name_list *l, struct view name, bool selectable)
{
	if (l->count >= 2 * STORE_FOLDERS_MAX)
		return;
	if (l->count == l->capacity) {
		l->capacity = l->capacity * 2 + 32;
		l->names = memory_grow(l->names, l->capacity * sizeof *l->names);
	}
	l->names[l->count++] =
		(struct store_folder_name){ .name = memory_string(name), .selectable = selectable };
}

static bool is_directory(int at, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type == DT_DIR;
	return fstatat(at, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int read_folders(struct store *store, struct name_list *l, struct reason *why)
{
	const struct dirent *e;
	struct walk w;

	walk_begin(&w, store->maildir, ".");
	list_add(l, VIEW("INBOX"), true);
	while ((e = walk_next(&w)) != NULL) {
		struct view name = view_of(e->d_name);

		if (name.len > 1 && name.data[0] == '.' && store_name_valid(view_skip(name, 1)) &&
		    !store_name_is_inbox(view_skip(name, 1)) && is_directory(store->maildir, e))
			list_add(l, view_skip(name, 1), true);
	}
	return walk_end(&w) < 0 ? fail_errno(why, "read Maildir") : 0;
}

static int by_name(const void *a, const void *b)
{
	const struct store_folder_name *x = a, *y = b;
	int inbox = strcmp(y->name, "INBOX") == 0 ? 1 : 0;

	inbox -= strcmp(x->name, "INBOX") == 0 ? 1 : 0;
	if (inbox)
		return inbox;
	int order = strcmp(x->name, y->name);

	/* What exists stands before the same name as a mere parent. */
	return order ? order : y->selectable - x->selectable;
}

static void add_parents(struct name_list *l)
{
	unsigned count = l->count;

	for (unsigned i = 0; i < count; i++)
		for (size_t at = 0; l->names[i].name[at]; at++)
			if (l->names[i].name[at] == STORE_DELIMITER) {
				struct view parent = { l->names[i].name, at };

				if (!store_name_is_inbox(parent))
					list_add(l, parent, false);
			}
}

static void sort_unique(struct name_list *l)
{
	unsigned kept = 0;

	if (l->count == 0)
		return;
	if (l->count)
		qsort(l->names, l->count, sizeof *l->names, by_name);
	for (unsigned i = 0; i < l->count; i++)
		if (i == 0 || strcmp(l->names[i].name, l->names[kept - 1].name) != 0)
			l->names[kept++] = l->names[i];
		else
			free((char *)l->names[i].name);
	l->count = kept;
}

static bool is_parent(const char *name, const char *other)
{
	size_t len = strlen(name);

	return strncmp(name, other, len) == 0 && other[len] == STORE_DELIMITER;
}

static struct store_folder_name *find_name(struct name_list *l, const char *name)
{
	struct store_folder_name selectable = { .name = name, .selectable = true };
	unsigned low = 0, high = l->count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (strcmp(l->names[middle].name, name) == 0)
			return &l->names[middle];
		if (by_name(&l->names[middle], &selectable) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* The parent of each name, looked up: names are sorted, but ' ' and '-' sort before the
 * delimiter. */
static void mark_children(struct name_list *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		size_t at = strlen(l->names[i].name);

		while (at > 0 && l->names[i].name[at] != STORE_DELIMITER)
			at--;
		if (at == 0)
			continue;
		char *parent = memory_string((struct view){ l->names[i].name, at });
		struct store_folder_name *found =
			find_name(l, store_name_is_inbox(view_of(parent)) ? "INBOX" : parent);

		if (found != NULL)
			found->has_children = true;
		free(parent);
	}
}

/* ---- subscriptions: a line per name ---- */

enum { SUBSCRIPTIONS_BYTES_MAX = 1 << 20 };

/* What cannot be read is not empty: whoever wrote it anew would lose it. */
static int read_subscriptions(struct store *store, struct name_list *l, struct reason *why)
{
	char *bytes = memory_get(SUBSCRIPTIONS_BYTES_MAX);
	struct view rest, line;
	enum file_result result =
		read_small(store->maildir, "subscriptions", bytes, SUBSCRIPTIONS_BYTES_MAX);
	bool known = result == FILE_WHOLE || file_missing(result);

	if (!known)
		fail(why, "read subscriptions: %s", file_result_text(result));
	rest = view_of(bytes);
	while (known && view_cut(&rest, '\n', &line))
		if (store_name_valid(line))
			list_add(l, store_name_is_inbox(line) ? VIEW("INBOX") : line, false);
	free(bytes);
	sort_unique(l);
	return known ? 0 : -1;
}

static void free_list(struct name_list *l)
{
	for (unsigned i = 0; i < l->count; i++)
		free((char *)l->names[i].name);
	free(l->names);
	*l = (struct name_list){ 0 };
}

void store_names_free(struct store_names *names)
{
	struct name_list l = { .names = names->names, .count = names->count };

	free_list(&l);
	*names = (struct store_names){ 0 };
}

static int list_folders(struct store *store, struct name_list *folders, struct reason *why)
{
	*folders = (struct name_list){ 0 };
	if (read_folders(store, folders, why) < 0) {
		free_list(folders);
		return -1;
	}
	add_parents(folders);
	sort_unique(folders);
	mark_children(folders);
	return 0;
}

enum store_result store_folders(struct store *store, struct store_names *out, struct reason *why)
{
	struct name_list folders;

	*out = (struct store_names){ 0 };
	if (list_folders(store, &folders, why) < 0)
		return STORE_FAILED;
	*out = (struct store_names){ folders.names, folders.count };
	return STORE_OK;
}

enum store_result store_subscriptions(struct store *store, struct store_names *out,
                                      struct reason *why)
{
	struct name_list folders, subscribed = { 0 };

	*out = (struct store_names){ 0 };
	if (list_folders(store, &folders, why) < 0)
		return STORE_FAILED;
	if (read_subscriptions(store, &subscribed, why) < 0) {
		free_list(&folders);
		return STORE_FAILED;
	}
	for (unsigned i = 0; i < subscribed.count; i++) {
		const struct store_folder_name *folder =
			find_name(&folders, subscribed.names[i].name);

		subscribed.names[i].selectable = folder != NULL && folder->selectable;
		subscribed.names[i].has_children = folder != NULL && folder->has_children;
	}
	free_list(&folders);
	*out = (struct store_names){ subscribed.names, subscribed.count };
	return STORE_OK;
}

/* ---- the home's own lock, which is also the record of the last UIDVALIDITY ---- */

static int lock_home(struct store *store)
{
	int fd = openat(store->maildir, HOME_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	while (fd >= 0 && flock(fd, LOCK_EX) < 0)
		if (errno != EINTR) {
			close(fd);
			return -1;
		}
	return fd;
}

/* The record of the last one; 0: none, or nothing that makes sense. -1: it cannot be read. */
static int read_last_validity(int fd, uint32_t *last)
{
	char bytes[32] = "";
	uint64_t number;

	*last = 0;
	if (file_read_some_at(fd, bytes, sizeof bytes - 1, 0) < 0)
		return -1;
	if (view_number(view_trim(view_of(bytes)), UINT32_MAX - 1, &number))
		*last = (uint32_t)number;
	return 0;
}

/* By time, and in this home never the same twice: a folder deleted and made again differs. */
uint32_t store_new_uidvalidity(struct store *store, struct reason *why)
{
	int fd = lock_home(store);
	char bytes[32];
	uint32_t validity = (uint32_t)clock_wall_s(), last;

	/* A disk that takes no new file has no folder that was deleted and made again either. */
	if (fd < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EROFS))
		return validity;
	if (fd < 0)
		return fail_errno(why, "lock " HOME_FILE), 0;
	if (read_last_validity(fd, &last) < 0) {
		fail_errno(why, "read " HOME_FILE);
		close(fd);
		return 0;
	}
	if (last >= validity)
		validity = last + 1;
	size_t len = string_print(bytes, sizeof bytes, "%010" PRIu32 "\n", validity);

	/* A full disk as above; any other failure could give the number again. */
	bool written = pwrite_whole(fd, bytes, len, 0) == 0 || disk_refuses(errno);

	if (!written)
		fail_errno(why, "write " HOME_FILE);
	close(fd);
	return written ? validity : 0;
}

/* Every line stays as it is, also what we take for no name, but that of this one. */
static bool edit_subscriptions(struct view old, struct view name, bool on, struct text *out,
                               unsigned *count)
{
	struct view line;
	bool found = false;

	for (*count = 0; view_cut(&old, '\n', &line); ++*count) {
		bool same = view_equal(line, name) ||
		            (store_name_is_inbox(name) && store_name_is_inbox(line));

		found |= same;
		if (line.len && (!same || on))
			text_format(out, "%.*s\n", VIEW_ARG(line));
	}
	if (on && !found)
		text_format(out, "%.*s\n", VIEW_ARG(name));
	return found;
}

static enum store_result subscribe_locked(struct store *store, struct view name, bool on,
                                          char *bytes, struct text *all, struct reason *why)
{
	enum file_result result =
		read_small(store->maildir, "subscriptions", bytes, SUBSCRIPTIONS_BYTES_MAX);
	unsigned count;

	/* What cannot be read is not written anew: all that is in it would be lost. */
	if (result != FILE_WHOLE && !file_missing(result))
		return fail(why, "read subscriptions: %s", file_result_text(result)), STORE_FAILED;
	bool found = edit_subscriptions(view_of(bytes), name, on, all, &count);

	if (on == found)
		return STORE_OK;
	if (on && (all->full || count >= STORE_FOLDERS_MAX))
		return fail(why, "too many subscriptions"), STORE_LIMIT;
	if (write_atomic(store->maildir, "subscriptions", text_view(all), true) == 0)
		return STORE_OK;
	return fail_disk(why, "write subscriptions");
}

enum store_result store_subscribe(struct store *store, struct view name, bool on,
                                  struct reason *why)
{
	struct text all;

	if (store_name_is_inbox(name))
		name = VIEW("INBOX");
	else if (!store_name_valid(name))
		return fail(why, "not a valid folder name"), STORE_BAD_NAME;
	int lock = lock_home(store);

	/* Without it two sessions could each write what the other has not seen. */
	if (lock < 0)
		return fail_disk(why, "lock " HOME_FILE);
	char *bytes = memory_get(SUBSCRIPTIONS_BYTES_MAX);

	text_init(&all, SUBSCRIPTIONS_BYTES_MAX - 1);
	enum store_result result = subscribe_locked(store, name, on, bytes, &all, why);

	close(lock);
	text_free(&all);
	free(bytes);
	return result;
}

/* ---- making, removing, renaming ---- */

static bool exists(struct store *store, const char *path)
{
	struct stat st;

	return fstatat(store->maildir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Put together in tmp and renamed into place: a folder is there whole or not at all, and on disk
 * before a message goes there. */
static enum store_result create_at(struct store *store, const char *path, struct reason *why)
{
	char temporary[NAME_STEM_MAX + 16], stem[NAME_STEM_MAX + 1];

	name_unique(stem);
	string_print(temporary, sizeof temporary, "tmp/%s", stem);
	if (mkdirat(store->maildir, temporary, 0700) < 0) {
		return fail_disk(why, "make folder");
	}
	int fd = open_directory(store->maildir, temporary);
	/* maildirfolder tells deliverers that this is a part of a Maildir++ (Courier's mark). */
	int mark = fd < 0 ? -1 : openat(fd, "maildirfolder", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	bool made = mark >= 0 && make_maildir(fd) == 0 && fsync(fd) == 0 &&
	            renameat(store->maildir, temporary, store->maildir, path) == 0 &&
	            fsync(store->maildir) == 0;
	int kept_errno = errno;

	if (mark >= 0)
		close(mark);
	if (fd >= 0)
		close(fd);
	errno = kept_errno;
	if (made)
		return STORE_OK;
	enum store_result result = fail_disk(why, "make folder");

	remove_tree(store->maildir, temporary);
	return kept_errno == ENOTEMPTY || kept_errno == EEXIST ? STORE_EXISTS : result;
}

/* The superior names that are not there yet, from the top (RFC 3501 sections 6.3.3 and 6.3.5): so
 * that they stay when the last folder below them goes. */
static enum store_result create_superiors(struct store *store, struct view name, struct reason *why)
{
	char path[STORE_NAME_MAX + 2];
	enum store_result result = STORE_OK;

	for (size_t at = 1; at < name.len && result == STORE_OK; at++) {
		struct view superior = view_take(name, at);

		if (name.data[at] != STORE_DELIMITER || store_name_is_inbox(superior))
			continue;
		maildir_name(superior, path);
		if (!exists(store, path))
			result = create_at(store, path, why);
	}
	return result;
}

static enum store_result create_locked(struct store *store, struct view name, struct reason *why)
{
	char path[STORE_NAME_MAX + 2];
	struct name_list l = { 0 };

	maildir_name(name, path);
	if (exists(store, path))
		return fail(why, "the folder already exists"), STORE_EXISTS;
	if (read_folders(store, &l, why) < 0)
		return STORE_FAILED;
	bool too_many = l.count >= STORE_FOLDERS_MAX;

	free_list(&l);
	if (too_many)
		return fail(why, "too many folders"), STORE_LIMIT;
	enum store_result result = create_superiors(store, name, why);

	return result == STORE_OK ? create_at(store, path, why) : result;
}

enum store_result store_create(struct store *store, struct view name, struct reason *why)
{
	if (store_name_is_inbox(name))
		return fail(why, "INBOX always exists"), STORE_EXISTS;
	if (!store_name_valid(name))
		return fail(why, "not a valid folder name"), STORE_BAD_NAME;
	int lock = lock_home(store);
	enum store_result result = create_locked(store, name, why);

	if (lock >= 0)
		close(lock);
	return result;
}

enum store_result store_delete(struct store *store, struct view name, struct reason *why)
{
	char path[STORE_NAME_MAX + 2], temporary[NAME_STEM_MAX + 16], stem[NAME_STEM_MAX + 1];

	if (store_name_is_inbox(name) || !store_name_valid(name))
		return fail(why, "this folder cannot be deleted"), STORE_BAD_NAME;
	maildir_name(name, path);
	name_unique(stem);
	string_print(temporary, sizeof temporary, "tmp/%s", stem);
	/* Gone with one rename; a crash while the rest is removed leaves it in tmp. */
	if (renameat(store->maildir, path, store->maildir, temporary) < 0) {
		enum store_result result = fail_disk(why, "delete folder");

		return errno == ENOENT ? STORE_NOT_FOUND : result;
	}
	remove_tree(store->maildir, temporary);
	unlinkat(store->maildir, "maildirsize", 0); /* counted anew when it is next asked for */
	return STORE_OK;
}

/* INBOX: its messages go to the new folder. */
static enum store_result rename_inbox(struct store *store, struct view to, struct reason *why)
{
	struct folder *from = NULL, *into = NULL;
	enum store_result result = store_create(store, to, why);

	if (result != STORE_OK)
		return result;
	result = folder_open(store, VIEW("INBOX"), false, &from, why);
	if (result == STORE_OK)
		result = folder_open(store, to, false, &into, why);
	if (result == STORE_OK) {
		uint32_t count = folder_count(from);
		uint32_t *seqs = memory_get((count + 1) * sizeof *seqs);

		for (uint32_t i = 0; i < count; i++)
			seqs[i] = i + 1;
		result = folder_move(from, seqs, count, into, NULL, why);
		free(seqs);
	}
	folder_close(&from);
	folder_close(&into);
	return result;
}

/* The folder and its inferiors, one rename each: a crash in between leaves some under the old name,
 * whole. */
static enum store_result rename_all(struct store *store, struct name_list *l, struct view from,
                                    struct view to, struct reason *why)
{
	char old_path[STORE_NAME_MAX + 2], new_path[2 * STORE_NAME_MAX + 2],
		from_name[STORE_NAME_MAX + 1];
	unsigned renamed = 0;

	string_put(from_name, sizeof from_name, from);
	for (int pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < l->count; i++) {
			const char *name = l->names[i].name;

			if (strcmp(name, from_name) != 0 && !is_parent(from_name, name))
				continue;
			maildir_name(view_of(name), old_path);
			string_print(new_path, sizeof new_path, ".%.*s%s", VIEW_ARG(to),
			             name + from.len);
			if (strlen(new_path) > STORE_NAME_MAX)
				return fail(why, "the name would be too long"), STORE_BAD_NAME;
			/* First everything is looked at, then it is done. */
			if (pass == 0 && exists(store, new_path))
				return fail(why, "the folder already exists"), STORE_EXISTS;
			if (pass == 1 && renamed == 0 &&
			    create_superiors(store, to, why) != STORE_OK)
				return STORE_FAILED;
			if (pass == 1 &&
			    renameat(store->maildir, old_path, store->maildir, new_path) < 0) {
				return fail_disk(why, "rename folder");
			}
			renamed += pass;
		}
	return renamed ? STORE_OK : (fail(why, "no such folder"), STORE_NOT_FOUND);
}

enum store_result store_rename(struct store *store, struct view from, struct view to,
                               struct reason *why)
{
	struct name_list l = { 0 };
	char to_path[STORE_NAME_MAX + 2];
	enum store_result result = STORE_FAILED;

	if (store_name_is_inbox(to))
		return fail(why, "INBOX always exists"), STORE_EXISTS;
	if (!store_name_valid(to) || !store_name_valid(from))
		return fail(why, "not a valid folder name"), STORE_BAD_NAME;
	if (store_name_is_inbox(from))
		return rename_inbox(store, to, why);
	/* Below itself: the inferiors would chase their own tail. */
	if (to.len > from.len && view_starts(to, from) && to.data[from.len] == STORE_DELIMITER)
		return fail(why, "a folder cannot be moved below itself"), STORE_BAD_NAME;
	maildir_name(to, to_path);
	int lock = lock_home(store);

	if (exists(store, to_path))
		result = (fail(why, "the folder already exists"), STORE_EXISTS);
	else if (read_folders(store, &l, why) == 0)
		result = rename_all(store, &l, from, to, why);
	if (result == STORE_OK && fsync(store->maildir) < 0)
		result = (fail_errno(why, "sync Maildir"), STORE_FAILED);
	free_list(&l);
	if (lock >= 0)
		close(lock);
	return result;
}

int store_lock_session(struct store *store)
{
	int fd = openat(store->maildir, POP3_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	/* A disk that takes nothing keeps nobody out: it is locked without its file being written,
	 * or made. */
	if (fd < 0 && errno == EROFS)
		fd = openat(store->maildir, POP3_FILE,
		            O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && (disk_refuses(errno) || errno == ENOENT))
		fd = open_directory(store->maildir, "tmp");
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int kept_errno = errno;

		close(fd);
		errno = kept_errno;
		return -1;
	}
	return fd;
}
