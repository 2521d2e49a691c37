/* SPDX-License-Identifier: ISC */
#include "lib/conf/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/lines.h"

enum { TABLE_MAX = 16 << 20 };

#define MOUNTINFO "/proc/self/mountinfo"
#define FSTAB     "/etc/fstab"

/* A line; root and path as they stand there, with \040 for a space, and "" for "/". */
struct mount {
	struct view id, parent, device, root, path, type, options;
};

static struct view without_slash(struct view path)
{
	return view_equal(path, VIEW("/")) ? VIEW("") : path;
}

static bool parse(struct view line, struct mount *m)
{
	struct view word;

	if (!view_cut(&line, ' ', &m->id) || !view_cut(&line, ' ', &m->parent) ||
	    !view_cut(&line, ' ', &m->device) || !view_cut(&line, ' ', &m->root) ||
	    !view_cut(&line, ' ', &m->path))
		return false;
	m->root = without_slash(m->root);
	m->path = without_slash(m->path);
	while (view_cut(&line, ' ', &word))
		if (view_equal(word, VIEW("-")))
			break;
	if (!view_cut(&line, ' ', &m->type))
		return false;
	view_cut(&line, ' ', &word); /* the source */
	m->options = line;
	return true;
}

/* "PARENT " begins its line, and no other. */
static bool find_parent(const struct lines *all, const struct mount *m, struct mount *parent)
{
	struct view id = { m->parent.data, m->parent.len + 1 };
	const struct view *line = lines_starting(all, id);

	return line != NULL && parse(*line, parent);
}

/* Would the same directory be there without this mount? */
static bool is_itself(const struct mount *m, const struct mount *parent)
{
	struct view below = view_skip(m->path, parent->path.len);

	return view_equal(m->device, parent->device) && view_starts(m->path, parent->path) &&
	       m->root.len == parent->root.len + below.len && view_starts(m->root, parent->root) &&
	       view_equal(view_skip(m->root, parent->root.len), below);
}

static bool is_passing(const struct lines *all, const struct mount *m)
{
	struct mount parent;

	if (!find_parent(all, m, &parent))
		return false;
	return is_itself(m, &parent) ||
	       (view_equal(parent.type, VIEW("autofs")) && !view_equal(parent.path, m->path));
}

/* By its type, or whom FUSE has it for: set-uid programs mount these for anybody. ntfs-3g, of type
 * fuseblk, says 0 for all. */
static bool is_users(const struct mount *m)
{
	const struct view name = VIEW("user_id=");
	struct view rest = m->options, option;

	if (view_equal(m->type, VIEW("ecryptfs")) || view_equal(m->type, VIEW("fuseblk")))
		return true;
	while (view_cut(&rest, ',', &option))
		if (view_starts(option, name) &&
		    !view_equal(view_skip(option, name.len), VIEW("0")))
			return view_starts(m->type, VIEW("fuse"));
	return false;
}

static bool decode(struct view path, struct text *out)
{
	text_clear(out);
	for (size_t i = 0; i < path.len; i++) {
		const char *at = path.data + i;
		char byte = at[0];

		if (byte == '\\' && path.len - i > 3) {
			byte = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
			i += 3;
		}
		text_add_byte(out, byte);
	}
	return !out->full && view_find(text_view(out), '\n') == text_view(out).len;
}

/* ---- what mount(8) mounts for anybody ---- */

static bool cut_field(struct view *line, struct view *field)
{
	while (line->len && (line->data[0] == ' ' || line->data[0] == '\t'))
		*line = view_skip(*line, 1);
	size_t space = view_find(*line, ' '), tab = view_find(*line, '\t'),
	       len = space < tab ? space : tab;

	*field = view_take(*line, len);
	*line = view_skip(*line, len);
	return len > 0;
}

/* fstab(5), mount(8): options. */
static bool lets_users(struct view options)
{
	struct view option;
	bool lets = false;

	while (view_cut(&options, ',', &option))
		if (view_equal(option, VIEW("nouser")))
			lets = false;
		else
			lets = lets || view_equal(option, VIEW("user")) ||
			       view_equal(option, VIEW("users")) ||
			       view_equal(option, VIEW("owner")) ||
			       view_equal(option, VIEW("group"));
	return lets;
}

static void add_users_of(struct view fstab, struct text *out)
{
	struct view line, device, path, type, options;
	struct text decoded;

	text_init(&decoded, PATH_MAX);
	while (view_cut(&fstab, '\n', &line))
		if (cut_field(&line, &device) && device.data[0] != '#' && cut_field(&line, &path) &&
		    cut_field(&line, &type) && cut_field(&line, &options) && lets_users(options) &&
		    decode(path, &decoded)) {
			text_add(out, text_view(&decoded));
			text_add_byte(out, '\n');
		}
	text_free(&decoded);
}

/* ---- */

static bool has_hidden_name(struct view below)
{
	for (size_t i = 0; i + 1 < below.len; i++)
		if (below.data[i] == '/' && below.data[i + 1] == '.')
			return true;
	return false;
}

/* Does it count below this directory? *path: where it is mounted. */
static bool counts(const struct lines *all, const struct mount *m, struct view directory,
                   struct text *path)
{
	if (!decode(m->path, path))
		return false;
	struct view below = view_skip(text_view(path), directory.len);

	return view_starts(text_view(path), directory) && below.len > 1 && below.data[0] == '/' &&
	       !has_hidden_name(below) && !is_passing(all, m);
}

/* users: mount points, where what users can mount is left out; else NULL. */
static void add_paths(const struct lines *all, struct view directory, const struct lines *users,
                      struct text *paths)
{
	struct text path;
	struct mount m;

	text_init(&path, PATH_MAX);
	for (size_t i = 0; i < all->count; i++)
		if (parse(all->sorted[i], &m) && (users == NULL || !is_users(&m)) &&
		    counts(all, &m, directory, &path) &&
		    (users == NULL || !lines_has(users, text_view(&path)))) {
			text_add(paths, text_view(&path));
			text_add_byte(paths, '\n');
		}
	text_free(&path);
}

void volumes_in(struct view mountinfo, struct view fstab, struct view directory, enum volumes which,
                struct text *out)
{
	struct lines all, users, counted;
	struct text paths, of_users;

	lines_init(&all, mountinfo);
	text_init(&paths, mountinfo.len); /* each has its line there */
	text_init(&of_users, fstab.len);
	add_users_of(fstab, &of_users);
	lines_init(&users, text_view(&of_users));
	add_paths(&all, without_slash(directory), which == VOLUMES_ALL ? NULL : &users, &paths);
	lines_free(&users);
	text_free(&of_users);
	lines_init(&counted, text_view(&paths));
	for (size_t i = 0; i < counted.count && !out->full; i++) {
		if (i > 0 && view_equal(counted.sorted[i], counted.sorted[i - 1]))
			continue; /* several may be mounted on one path */
		text_add(out, counted.sorted[i]);
		text_add_byte(out, '\n');
	}
	lines_free(&counted);
	text_free(&paths);
	lines_free(&all);
}

static enum file_result read_all(const char *path, struct text *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	text_init(out, TABLE_MAX);
	if (fd < 0)
		return FILE_FAILED;
	enum file_result got = file_read_rest(fd, out);
	int kept_errno = errno;

	close(fd);
	errno = kept_errno;
	return got;
}

int volumes_below(const char *directory, enum volumes which, struct text *out, struct reason *why)
{
	struct text all, fstab;
	enum file_result got = read_all(MOUNTINFO, &all);

	if (got != FILE_WHOLE)
		fail(why, "reading " MOUNTINFO ": %s", file_result_text(got));
	/* Without it none is a user's by it. */
	if (read_all(FSTAB, &fstab) != FILE_WHOLE)
		text_clear(&fstab);
	if (got == FILE_WHOLE)
		volumes_in(text_view(&all), text_view(&fstab), view_of(directory), which, out);
	text_free(&fstab);
	text_free(&all);
	if (got == FILE_WHOLE && out->full)
		return fail(why, MOUNTINFO " names too many file systems below %s", directory);
	return got == FILE_WHOLE ? 0 : -1;
}
