/* SPDX-License-Identifier: ISC */
#include "lib/conf/places.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/lines.h"
#include "lib/base/log.h"
#include "lib/conf/volumes.h"

enum { ID_BYTES = 16, ID_LEN = 2 * ID_BYTES, KNOWN_MAX = 4 << 20 };

#define MARK   ".posthouse"
#define VOLUME "volume - "

enum identity { SAME, UNKNOWN, MISSING, OTHER, UNSEEN };

struct place {
	const char *setting, *path;
	char id[ID_LEN + 1];    /* in the directory; "": there is none */
	char known[ID_LEN + 1]; /* that it should have; "": any */
};

enum { PLACES = 3 };

static bool is_id(struct view text)
{
	if (text.len != ID_LEN)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (strchr("0123456789abcdef", text.data[i]) == NULL || text.data[i] == '\0')
			return false;
	return true;
}

/* Whoever owns the directory may have put anything there. */
static void read_id(int directory, char id[ID_LEN + 1])
{
	char text[ID_LEN + 2];
	struct stat st;
	int fd = openat(directory, MARK, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)
	                    ? file_read_some(fd, text, sizeof text)
	                    : -1;

	if (n == ID_LEN + 1 && text[ID_LEN] == '\n' && is_id((struct view){ text, ID_LEN }))
		string_put(id, ID_LEN + 1, (struct view){ text, ID_LEN });
	if (fd >= 0)
		close(fd);
}

/* "SETTING ID PATH"; the last of several. */
static void find_known(struct view all, struct place *p)
{
	struct view line, setting, id;

	while (view_cut(&all, '\n', &line))
		if (view_cut(&line, ' ', &setting) && view_cut(&line, ' ', &id) && is_id(id) &&
		    view_equal(setting, view_of(p->setting)) && view_equal(line, view_of(p->path)))
			string_put(p->known, sizeof p->known, id);
}

static int read_known(const char *state, struct text *out, struct reason *why)
{
	char path[PATH_MAX];

	if (!string_format(path, sizeof path, "%s/directories", state))
		return fail(why, "the path %.100s... is too long", state);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	enum file_result got = fd < 0 ? FILE_FAILED : file_read_rest(fd, out);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (got != FILE_WHOLE)
		fail(why, "reading %s: %s", path, file_result_text(got));
	if (fd >= 0)
		close(fd);
	return got == FILE_WHOLE ? 0 : -1;
}

static enum identity look_into(int directory, struct view known, struct place *p)
{
	read_id(directory, p->id);
	find_known(known, p);
	if (p->known[0] == '\0')
		return UNKNOWN;
	if (p->id[0] == '\0')
		return MISSING;
	return strcmp(p->id, p->known) == 0 ? SAME : OTHER;
}

static enum identity look(struct view known, struct place *p)
{
	int directory = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum identity found = directory < 0 ? UNSEEN : look_into(directory, known, p);

	if (directory >= 0)
		close(directory);
	return found;
}

static void list(const struct settings *s, struct place places[PLACES])
{
	places[0] = (struct place){ .setting = "queue.directory", .path = s->queue_directory };
	places[1] = (struct place){ .setting = "drop.directory", .path = s->drop_directory };
	places[2] = (struct place){ .setting = "mail.root", .path = s->mail_root };
}

static void complain(const char *state, const struct place *p, enum identity found,
                     struct reason *why)
{
	fail(why,
	     "%s %s is not the directory that posthouse used before: its file " MARK
	     " is %s; is its file system not mounted? If it was made anew or restored on purpose, "
	     "remove the line with its name from %s/directories",
	     p->setting, p->path, found == MISSING ? "missing" : "another one", state);
}

/* ---- file systems below mail.root ---- */

/* mail.root without symbolic links. Kept: master must not ask a file server that may not answer
 * whenever somebody wants the status. NULL: errno. */
static const char *root_of(const struct settings *s)
{
	static char of[PATH_MAX], root[PATH_MAX];

	if (strcmp(of, s->mail_root) == 0 && of[0])
		return root;
	of[0] = '\0';
	if (realpath(s->mail_root, root) == NULL ||
	    !string_copy(of, sizeof of, view_of(s->mail_root)))
		return NULL;
	return root;
}

static int find_mounted(const struct settings *s, enum volumes which, struct text *mounted,
                        struct reason *why)
{
	const char *root = root_of(s);

	text_init(mounted, KNOWN_MAX);
	return root == NULL ? fail_errno(why, "%s", s->mail_root)
	                    : volumes_below(root, which, mounted, why);
}

static bool is_below(struct view path, struct view root)
{
	return view_starts(path, root) && view_starts(view_skip(path, root.len), VIEW("/"));
}

/* Where mounts cannot be seen, none is missed. */
static void add_unmounted(const struct settings *s, struct view known, struct text *out)
{
	struct lines here;
	struct text mounted;
	struct reason why;
	struct view line;
	bool seen = find_mounted(s, VOLUMES_ALL, &mounted, &why) == 0;

	lines_init(&here, seen ? text_view(&mounted) : VIEW(""));
	while (seen && view_cut(&known, '\n', &line)) {
		struct view path = view_skip(line, strlen(VOLUME));

		if (!view_starts(line, VIEW(VOLUME)) || !is_below(path, view_of(root_of(s))) ||
		    lines_has(&here, path))
			continue;
		text_add(out, path);
		text_add_byte(out, '\n');
	}
	lines_free(&here);
	text_free(&mounted);
}

int places_fail_volume(const struct settings *s, struct view path, struct reason *why)
{
	return fail(why,
	            "%.*s, below mail.root, had a file system of its own, which is not mounted: "
	            "it would hide the mail that is delivered there now. Mount it; if it is gone "
	            "for good, remove the line with this path from %s/directories",
	            VIEW_ARG(path), s->directory_state);
}

static unsigned tell_unmounted(const struct settings *s, struct view known,
                               void (*tell)(void *context, const char *text), void *context)
{
	struct text missing;
	struct reason why;
	struct view rest, path;
	unsigned count = 0;

	text_init(&missing, KNOWN_MAX);
	add_unmounted(s, known, &missing);
	for (rest = text_view(&missing); view_cut(&rest, '\n', &path); count++) {
		places_fail_volume(s, path, &why);
		tell(context, why.text);
	}
	text_free(&missing);
	return count;
}

void places_missing_volumes(const struct settings *s, struct text *out)
{
	struct text known;

	text_init(out, KNOWN_MAX);
	text_init(&known, KNOWN_MAX);
	if (read_known(s->directory_state, &known, NULL) == 0)
		add_unmounted(s, text_view(&known), out);
	text_free(&known);
}

unsigned places_check_volumes(const struct settings *s,
                              void (*tell)(void *context, const char *text), void *context)
{
	struct text known;
	unsigned count = 0;

	text_init(&known, KNOWN_MAX);
	if (read_known(s->directory_state, &known, NULL) == 0)
		count = tell_unmounted(s, text_view(&known), tell, context);
	text_free(&known);
	return count;
}

/* A line for each of these that has none. */
static bool add_volumes(struct text *known, struct view mounted)
{
	const size_t before = known->len;
	struct text old, line;
	struct lines had;
	struct view path;

	text_init(&old, KNOWN_MAX);
	text_add(&old, text_view(known));
	lines_init(&had, text_view(&old));
	text_init(&line, sizeof VOLUME + PATH_MAX);
	while (!known->full && view_cut(&mounted, '\n', &path)) {
		text_clear(&line);
		text_add_string(&line, VOLUME);
		text_add(&line, path);
		if (lines_has(&had, text_view(&line)))
			continue;
		text_add_byte(&line, '\n');
		text_add(known, text_view(&line));
	}
	text_free(&line);
	lines_free(&had);
	text_free(&old);
	return known->full || known->len > before;
}

static bool learn_volumes(const struct settings *s, struct text *known)
{
	struct text mounted;
	struct reason why;
	bool more = false;

	if (find_mounted(s, VOLUMES_OPERATORS, &mounted, &why) == 0)
		more = add_volumes(known, text_view(&mounted));
	else
		log_warn("event=unmarked setting=mail.root path=%s reason=\"%s\"",
		         log_quote(view_of(s->mail_root)), log_text(view_of(why.text)));
	text_free(&mounted);
	return more;
}

/* ---- all of it ---- */

unsigned places_check(const struct settings *s, void (*tell)(void *context, const char *text),
                      void *context)
{
	struct place places[PLACES];
	struct text known;
	struct reason why;
	unsigned count = 0;

	list(s, places);
	text_init(&known, KNOWN_MAX);
	if (read_known(s->directory_state, &known, &why) < 0) {
		if (errno == EACCES)
			text_clear(&known);
		else
			tell(context, why.text);
	}
	for (unsigned i = 0; i < PLACES; i++) {
		enum identity found = look(text_view(&known), &places[i]);

		if (found != MISSING && found != OTHER)
			continue;
		complain(s->directory_state, &places[i], found, &why);
		tell(context, why.text);
		count++;
	}
	text_free(&known);
	return count;
}

bool places_before(const struct settings *s, const char *setting, char *out, size_t size)
{
	struct place places[PLACES];
	struct text known;
	struct view all, line, name, id;
	bool found = false;

	list(s, places);
	text_init(&known, KNOWN_MAX);
	all = read_known(s->directory_state, &known, NULL) == 0 ? text_view(&known) : VIEW("");
	for (unsigned i = 0; i < PLACES; i++)
		for (struct view rest = all;
		     strcmp(places[i].setting, setting) == 0 && view_cut(&rest, '\n', &line);)
			if (view_cut(&line, ' ', &name) && view_cut(&line, ' ', &id) && is_id(id) &&
			    view_equal(name, view_of(setting)) &&
			    !view_equal(line, view_of(places[i].path)))
				found |= string_copy(out, size, line);
	text_free(&known);
	return found;
}

static int make_id(struct place *p)
{
	unsigned char bytes[ID_BYTES];

	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		return -1;
	for (unsigned i = 0; i < ID_BYTES; i++)
		string_print(p->id + (size_t)2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* To be read by drop, too. */
static int write_file(const char *directory, const char *name, struct view text)
{
	int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = at < 0 ? -1 : file_replace_shown(at, name, text.data, text.len);
	int kept_errno = errno;

	if (at >= 0)
		close(at);
	errno = kept_errno;
	return result;
}

/* An id of its own, unless it has one. */
static bool mark(struct place *p)
{
	char text[ID_LEN + 2];

	if (p->id[0])
		return true;
	if (make_id(p) == 0) {
		string_print(text, sizeof text, "%s\n", p->id);
		if (write_file(p->path, MARK, view_of(text)) == 0)
			return true;
	}
	log_warn("event=unmarked setting=%s path=%s reason=\"%m\"", p->setting,
	         log_quote(view_of(p->path)));
	return false;
}

static int write_known(const struct settings *s, const struct text *known)
{
	if (!known->full)
		return write_file(s->directory_state, "directories", text_view(known));
	errno = EFBIG;
	return -1;
}

/* Those without a line get one. */
static void learn(const struct settings *s, struct place places[PLACES],
                  const enum identity found[PLACES], struct text *known)
{
	bool more = learn_volumes(s, known);

	for (unsigned i = 0; i < PLACES; i++) {
		if (found[i] != UNKNOWN || !mark(&places[i]))
			continue;
		text_format(known, "%s %s %s\n", places[i].setting, places[i].id, places[i].path);
		more = true;
	}
	if (more && write_known(s, known) != 0)
		log_warn("event=unmarked setting=directory.state path=%s reason=\"%m\"",
		         log_quote(view_of(s->directory_state)));
}

static bool is_known(struct view known, struct place *p)
{
	find_known(known, p);
	return p->known[0] != '\0';
}

static void note_first(void *context, const char *text)
{
	struct reason *why = context;

	if (why->text[0] == '\0')
		fail(why, "%s", text);
}

/* why: NULL: the house runs; what is known already is not looked at, since mail.root may be on a
 * file server that does not answer. */
static int take(const struct settings *s, struct text *known, struct reason *why)
{
	struct place places[PLACES];
	enum identity found[PLACES];

	list(s, places);
	for (unsigned i = 0; i < PLACES; i++) {
		if (why == NULL && is_known(text_view(known), &places[i])) {
			found[i] = UNSEEN;
			continue;
		}
		found[i] = look(text_view(known), &places[i]);
		if (why != NULL && (found[i] == MISSING || found[i] == OTHER)) {
			complain(s->directory_state, &places[i], found[i], why);
			return -1;
		}
	}
	if (why != NULL) {
		why->text[0] = '\0';
		if (tell_unmounted(s, text_view(known), note_first, why) > 0)
			return -1;
	}
	learn(s, places, found, known);
	return 0;
}

int places_take(const struct settings *s, struct reason *why)
{
	struct text known;

	text_init(&known, KNOWN_MAX);
	int result = read_known(s->directory_state, &known, why);

	if (result == 0)
		result = take(s, &known, why);
	text_free(&known);
	return result;
}

void places_learn(const struct settings *s)
{
	struct text known;
	struct reason why;

	text_init(&known, KNOWN_MAX);
	if (read_known(s->directory_state, &known, &why) == 0)
		take(s, &known, NULL);
	else
		log_warn("event=unmarked setting=directory.state path=%s reason=\"%s\"",
		         log_quote(view_of(s->directory_state)), log_text(view_of(why.text)));
	text_free(&known);
}

/* ---- drop ---- */

/* Before an upgrade's first start: there is a house, and it knows of no drop directory. */
static bool is_built(const char *state)
{
	char path[PATH_MAX];
	struct stat st;

	return string_format(path, sizeof path, "%s/generations/current", state) &&
	       stat(path, &st) == 0;
}

int places_may_drop(const char *directory_state, const char *path, int directory,
                    struct reason *why)
{
	struct place p = { .setting = "drop.directory", .path = path };
	struct reason unread;
	struct text known;

	text_init(&known, KNOWN_MAX);
	/* Not for everybody's eyes, or there is none: the mark must do. */
	if (read_known(directory_state, &known, &unread) < 0)
		text_clear(&known);
	enum identity found = look_into(directory, text_view(&known), &p);

	text_free(&known);
	if (found == SAME || (found == UNKNOWN && (p.id[0] || is_built(directory_state))))
		return 0;
	if (found != UNKNOWN) {
		complain(directory_state, &p, found, why);
		return -1;
	}
	return fail(
		why,
		"drop.directory %s is no directory that posthouse was started with: its file " MARK
		" is missing; is its file system not mounted? posthouse start makes it",
		path);
}
