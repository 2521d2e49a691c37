/* SPDX-License-Identifier: ISC */
#include "queue/submit/dropshare.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/base/file.h"

enum { NAME_BYTES = 300, LIST_BYTES_MAX = DROPSHARE_FILES_MAX * 64 };

/* What waits of one user. */
struct waiting {
	struct text names; /* a line each */
	unsigned files;
	uint64_t bytes;
};

/* The names that a message has from its beginning to its end, as it has them one after another. */
static const char *const prefixes[] = { ".new-", "", ".taken-", ".bad-", ".sent-" };

static bool look_for(int directory, struct view name, struct stat *st)
{
	char path[NAME_BYTES];

	if (name.len == 0 || memchr(name.data, '/', name.len) != NULL)
		return false;
	for (unsigned i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
		if (string_format(path, sizeof path, "%s%.*s", prefixes[i], VIEW_ARG(name)) &&
		    fstatat(directory, path, st, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	return false;
}

static int open_list(const struct dropshare *s, struct reason *why)
{
	char name[32];
	struct stat st;

	string_print(name, sizeof name, ".of-%u", (unsigned)s->uid);
	int fd = openat(s->directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || fstat(fd, &st) < 0 || flock(fd, LOCK_EX) < 0) {
		fail_errno(why, "the drop directory's %s", name);
	} else if (!S_ISREG(st.st_mode) || st.st_uid != s->uid) {
		fail(why, "the drop directory's %s is not the user's file", name);
	} else {
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Those that are still there. */
static void count(const struct dropshare *s, struct view list, struct waiting *out)
{
	struct view name;
	struct stat st;

	while (view_cut(&list, '\n', &name)) {
		if (!look_for(s->directory, name, &st))
			continue;
		out->files++;
		out->bytes += (uint64_t)st.st_size;
		text_add(&out->names, name);
		text_add_byte(&out->names, '\n');
	}
}

static int write_list(int fd, const struct text *names, struct reason *why)
{
	if (pwrite_whole(fd, text_string(names), names->len, 0) < 0 ||
	    ftruncate(fd, (off_t)names->len) < 0)
		return fail_errno(why, "writing the list of waiting messages");
	return 0;
}

static int judge(const struct dropshare *s, const struct waiting *w, struct reason *why)
{
	struct statvfs v;

	if (s->uid != 0 && (w->files > DROPSHARE_FILES_MAX || w->bytes > s->bytes_max))
		return fail(
			why,
			"%u messages (%llu KB) of uid %u wait for pickup already, try again when posthouse runs",
			w->files, (unsigned long long)w->bytes / 1024, (unsigned)s->uid);
	if (fstatvfs(s->directory, &v) == 0 &&
	    ((uint64_t)v.f_bavail * v.f_frsize < s->space_min_bytes ||
	     (v.f_files && v.f_favail == 0)))
		return fail(why, "the disk of the drop directory is nearly full, try again later");
	return 0;
}

/* name: NULL, or one that is added. */
static int look_through(const struct dropshare *s, int fd, const char *name, struct waiting *w,
                        struct reason *why)
{
	struct text list;

	text_init(&list, LIST_BYTES_MAX);
	enum file_result got = file_read_rest(fd, &list);

	/* Whatever stands in it, each line is looked for. */
	if (got == FILE_WHOLE)
		count(s, text_view(&list), w);
	text_free(&list);
	if (got == FILE_FAILED)
		return fail_errno(why, "reading the list of waiting messages");
	w->files += name != NULL;
	if (judge(s, w, why) < 0)
		return -1;
	if (name == NULL)
		return 0;
	text_add_string(&w->names, name);
	text_add_byte(&w->names, '\n');
	return write_list(fd, &w->names, why);
}

static int look(const struct dropshare *s, const char *name, struct reason *why)
{
	struct waiting w = { 0 };

	if (s->uid == 0)
		return judge(s, &w, why);
	int fd = open_list(s, why), result;

	if (fd < 0)
		return -1;
	text_init(&w.names, LIST_BYTES_MAX + NAME_BYTES);
	result = look_through(s, fd, name, &w, why);
	text_free(&w.names);
	close(fd);
	return result;
}

int dropshare_enter(const struct dropshare *s, const char *name, struct reason *why)
{
	return look(s, name, why);
}

int dropshare_holds(const struct dropshare *s, struct reason *why)
{
	return look(s, NULL, why);
}
