/* SPDX-License-Identifier: ISC */
#include "conf/edits.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/changes.h"
#include "conf/command.h"
#include "conf/load.h"
#include "conf/lock.h"
#include "conf/publish.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/conf/maptext.h"

static void end(struct edits *e)
{
	for (size_t i = 0; i < e->count; i++)
		text_free(&e->files[i].text);
	model_free(&e->base);
	if (e->directory >= 0)
		close(e->directory);
}

static int begin(struct edits *e, const char *confdir, struct reason *why)
{
	*e = (struct edits){ .directory = lock_directory(confdir, why) };
	if (e->directory < 0)
		return -1;
	model_read_settings(&e->base, confdir, NULL);
	if (!e->base.conf.unreadable)
		return 0;
	fail(why, "%s cannot be read", e->base.conf.path);
	end(e);
	return -1;
}

struct edit *edits_open(struct edits *e, enum map_id map, struct reason *why)
{
	struct source source;
	unsigned before = e->base.problems.errors;

	for (size_t i = 0; i < e->count; i++)
		if (e->files[i].map == map)
			return &e->files[i];
	struct edit *f = &e->files[e->count];

	*f = (struct edit){ .map = map };
	maptable_text_file(map, f->name);
	model_read_source(&e->base, f->name, NULL, &source);
	if (e->base.problems.errors != before) {
		fail(why, "%s/%s cannot be read", e->base.confdir, f->name);
		return NULL;
	}
	text_init(&f->text, MAPTEXT_FILE_MAX);
	text_add(&f->text, source.text);
	free(source.memory);
	f->missing = source.missing;
	e->count++;
	return f;
}

/* The entry of a key: 1, 0, or -1 when the key itself is wrong.  Bad entries are passed by. */
static int find_entry(struct edits *e, struct edit *f, struct view key, struct maptext_entry *out,
                      struct reason *why)
{
	mapkey_function *key_of = map_kinds[f->map].key;
	struct view mail_domain = view_of(e->base.settings.mail_domain);
	struct text wanted, found;
	struct maptext text;
	int more, result = 0;

	/* One entry alone in a new file would be all that is left of a map that was lost. */
	if (f->missing)
		return fail(why,
		            "%s/%s: there is no such file; restore it, or make an empty one with "
		            "touch or posthouse map edit %s",
		            e->base.confdir, f->name, maptable[f->map].name);
	text_init(&wanted, MAP_KEY_MAX);
	text_init(&found, MAP_KEY_MAX);
	if (key_of(key, mail_domain, &wanted, why) != 0)
		result = -1;
	maptext_init(&text, text_view(&f->text));
	while (result == 0 && (more = maptext_next(&text, &e->base.arena, out, NULL)) != 0) {
		text_clear(&found);
		if (more > 0 && key_of(out->key, mail_domain, &found, NULL) == 0 &&
		    view_equal(text_view(&found), text_view(&wanted)))
			result = 1;
	}
	text_free(&wanted);
	text_free(&found);
	return result;
}

int edit_get(struct edits *e, struct edit *f, struct view key, struct text *value,
             struct reason *why)
{
	struct maptext_entry entry;
	int found = find_entry(e, f, key, &entry, why);

	if (found == 1)
		text_add(value, entry.value);
	return found;
}

/* Puts `middle` in the place of the bytes from start to end. */
static int replace_bytes(struct edit *f, size_t start, size_t end, struct view middle,
                         struct reason *why)
{
	struct text result;

	text_init(&result, MAPTEXT_FILE_MAX);
	text_add(&result, view_take(text_view(&f->text), start));
	if (middle.len && result.len > maptext_mark(text_view(&result)) &&
	    result.raw[result.len - 1] != '\n')
		text_add_byte(&result, '\n');
	text_add(&result, middle);
	text_add(&result, view_skip(text_view(&f->text), end));
	if (result.full) {
		text_free(&result);
		return fail(why, "%s would be larger than %d bytes", f->name, MAPTEXT_FILE_MAX);
	}
	text_free(&f->text);
	f->text = result;
	f->changed = true;
	return 0;
}

int edit_set(struct edits *e, struct edit *f, struct view key, struct view value,
             struct reason *why)
{
	struct maptext_entry entry;
	struct text line;
	int found = view_has_controls(value) ? fail(why, "a control character in the value")
	                                     : find_entry(e, f, key, &entry, why);

	if (found < 0)
		return -1;
	text_init(&line, MAPTEXT_FILE_MAX);
	text_add(&line, found ? entry.key : key);
	if (value.len)
		text_format(&line, " %.*s", VIEW_ARG(value));
	text_add_byte(&line, '\n');
	found = replace_bytes(f, found ? entry.start : f->text.len, found ? entry.end : f->text.len,
	                      text_view(&line), why);
	text_free(&line);
	return found;
}

int edit_delete(struct edits *e, struct edit *f, struct view key, struct reason *why)
{
	struct maptext_entry entry;
	int found = find_entry(e, f, key, &entry, why);

	if (found == 1 && replace_bytes(f, entry.start, entry.end, VIEW(""), why) != 0)
		return -1;
	return found;
}

int edit_missing(const struct edit *f, const char *key, struct reason *why)
{
	return fail(why, "\"%s\" is not in %s", key, f->name);
}

void edit_replace(struct edit *f, struct view text)
{
	struct text fresh;

	text_init(&fresh, MAPTEXT_FILE_MAX);
	text_add(&fresh, text);
	text_free(&f->text);
	f->text = fresh;
	f->changed = true;
}

/* The new file takes owner and mode of the old one.  A crash before the rename leaves the old
 * text whole (and a .new file, which the next edit replaces). */
static int write_file(struct edits *e, const struct edit *f, struct reason *why)
{
	char name[80];
	struct stat old;
	bool existed = fstatat(e->directory, f->name, &old, 0) == 0;
	mode_t mode = existed ? old.st_mode & 0777 : maptable[f->map].secret ? 0600 : 0644;

	string_print(name, sizeof name, ".%s.new", f->name);
	unlinkat(e->directory, name, 0);
	int fd = openat(e->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail_errno(why, "make %s/%s", e->base.confdir, name);
	bool good = write_whole(fd, text_string(&f->text), f->text.len) == 0 &&
	            fchmod(fd, mode) == 0 && fsync(fd) == 0;

	if (existed && geteuid() == 0)
		good = good && fchown(fd, old.st_uid, old.st_gid) == 0;
	if (!good)
		fail_errno(why, "write %s/%s", e->base.confdir, name);
	close(fd);
	if (!good)
		return -1;
	if (renameat(e->directory, name, e->directory, f->name) != 0 || fsync(e->directory) != 0)
		return fail_errno(why, "rename %s/%s to %s", e->base.confdir, name, f->name);
	return 0;
}

/* Several files are renamed one after the other, each state in between builds: a user comes before
 * the password and goes after it (the callers open the files in that order). */
static int write_changed(struct edits *e, struct reason *why)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->files[i].changed && write_file(e, &e->files[i], why) != 0)
			return -1;
	return 0;
}

static int commit_checked(struct edits *e, const struct model *m, const struct model *before)
{
	struct reason why;
	struct text others;

	if (m->problems.errors) {
		problems_print(&m->problems);
		fprintf(stderr, "posthouse: nothing was changed\n");
		return EXIT_PERMANENT;
	}
	text_init(&others, 1024);
	changes_summary(before, &others);
	if (command_may_move(&m->settings, &why) < 0 || write_changed(e, &why) != 0 ||
	    publish_generation(m, true, &why) < 0) {
		text_free(&others);
		fprintf(stderr, "posthouse: %s\n", why.text);
		return EXIT_TEMPORARY;
	}
	if (others.len)
		fprintf(stderr,
		        "posthouse: warning: this also published what was changed since the last "
		        "build, or before a rollback: %s\n",
		        text_string(&others));
	text_free(&others);
	problems_print_new(&m->problems, &before->problems);
	return command_reload_if_running(&m->settings);
}

/* The texts as they were are read too: what was wrong with them before is no news. */
static int commit(struct edits *e)
{
	struct override overrides[EDITS_MAX + 1] = { { "", VIEW("") } };
	struct model m, before;
	size_t count = 0;

	for (size_t i = 0; i < e->count; i++) {
		if (e->files[i].changed)
			overrides[count++] =
				(struct override){ e->files[i].name, text_view(&e->files[i].text) };
		overrides[count] = (struct override){ "", VIEW("") };
	}
	load_configuration(&m, e->base.confdir, overrides);
	load_configuration(&before, e->base.confdir, NULL);
	int code = commit_checked(e, &m, &before);

	model_free(&before);
	model_free(&m);
	return code;
}

static bool is_changed(const struct edits *e)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->files[i].changed)
			return true;
	return false;
}

int edits_run(const char *confdir, int (*work)(struct edits *e, void *context, struct reason *why),
              void *context)
{
	struct edits e;
	struct reason why;

	if (begin(&e, confdir, &why) != 0)
		return command_fail(EXIT_TEMPORARY, &why);
	int code = work(&e, context, &why);

	if (code != EXIT_DONE)
		code = command_fail(code < 0 ? EXIT_PERMANENT : code, &why);
	else if (is_changed(&e))
		code = commit(&e);
	end(&e);
	return code;
}
