/* SPDX-License-Identifier: ISC */
#include "lib/conf/places.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"

enum { ID_BYTES = 16, ID_LEN = 2 * ID_BYTES, KNOWN_MAX = 64 << 10 };

#define MARK ".posthouse"

enum identity { SAME, UNKNOWN, MISSING, OTHER, UNSEEN };

struct place {
	const char *setting, *path;
	char id[ID_LEN + 1];    /* in the directory; "": there is none */
	char known[ID_LEN + 1]; /* that it should have; "": any */
};

enum { PLACES = 2 };

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

static int read_known(const struct settings *s, struct text *out, struct reason *why)
{
	char path[PATH_MAX];

	if (!string_format(path, sizeof path, "%s/directories", s->directory_state))
		return fail(why, "the path %.100s... is too long", s->directory_state);
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

static enum identity look(struct view known, struct place *p)
{
	int directory = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (directory < 0)
		return UNSEEN;
	read_id(directory, p->id);
	close(directory);
	find_known(known, p);
	if (p->known[0] == '\0')
		return UNKNOWN;
	if (p->id[0] == '\0')
		return MISSING;
	return strcmp(p->id, p->known) == 0 ? SAME : OTHER;
}

static void list(const struct settings *s, struct place places[PLACES])
{
	places[0] = (struct place){ .setting = "queue.directory", .path = s->queue_directory };
	places[1] = (struct place){ .setting = "mail.root", .path = s->mail_root };
}

static void complain(const struct settings *s, const struct place *p, enum identity found,
                     struct reason *why)
{
	fail(why,
	     "%s %s is not the directory that posthouse used before: its file " MARK
	     " is %s; is its file system not mounted? If it was made anew or restored on purpose, "
	     "remove the line with its name from %s/directories",
	     p->setting, p->path, found == MISSING ? "missing" : "another one", s->directory_state);
}

unsigned places_check(const struct settings *s, void (*tell)(void *context, const char *text),
                      void *context)
{
	struct place places[PLACES];
	struct text known;
	struct reason why;
	unsigned count = 0;

	list(s, places);
	text_init(&known, KNOWN_MAX);
	if (read_known(s, &known, &why) < 0) {
		if (errno == EACCES)
			text_clear(&known);
		else
			tell(context, why.text);
	}
	for (unsigned i = 0; i < PLACES; i++) {
		enum identity found = look(text_view(&known), &places[i]);

		if (found != MISSING && found != OTHER)
			continue;
		complain(s, &places[i], found, &why);
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
	all = read_known(s, &known, NULL) == 0 ? text_view(&known) : VIEW("");
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

static int write_file(const char *directory, const char *name, struct view text)
{
	int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = at < 0 ? -1 : file_replace(at, name, text.data, text.len);
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

static int take(const struct settings *s, struct text *known, struct reason *why)
{
	struct place places[PLACES];
	enum identity found[PLACES];
	bool more = false;

	list(s, places);
	for (unsigned i = 0; i < PLACES; i++) {
		found[i] = look(text_view(known), &places[i]);
		if (found[i] == MISSING || found[i] == OTHER) {
			complain(s, &places[i], found[i], why);
			return -1;
		}
	}
	for (unsigned i = 0; i < PLACES; i++) {
		if (found[i] != UNKNOWN || !mark(&places[i]))
			continue;
		text_format(known, "%s %s %s\n", places[i].setting, places[i].id, places[i].path);
		more = true;
	}
	if (more &&
	    (known->full || write_file(s->directory_state, "directories", text_view(known)) != 0))
		log_warn("event=unmarked setting=directory.state path=%s reason=\"%m\"",
		         log_quote(view_of(s->directory_state)));
	return 0;
}

int places_take(const struct settings *s, struct reason *why)
{
	struct text known;

	text_init(&known, KNOWN_MAX);
	int result = read_known(s, &known, why);

	if (result == 0)
		result = take(s, &known, why);
	text_free(&known);
	return result;
}
