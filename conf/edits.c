/* SPDX-License-Identifier: ISC */
#include "conf/edits.h"

#include <stdlib.h>
#include <unistd.h>

#include "conf/asking.h"
#include "conf/commit.h"
#include "conf/inforce.h"
#include "conf/lock.h"
#include "lib/base/log.h"
#include "lib/conf/maptext.h"

static void end(struct edits *e)
{
	for (size_t i = 0; i < e->count; i++)
		text_free(&e->files[i].text), text_free(&e->files[i].before);
	if (e->only_mine)
		mine_close(&e->mine);
	model_free(&e->base);
	if (e->directory >= 0)
		close(e->directory);
}

/* What the running server has and the current generation has not would be taken away. */
static int open_mine(struct edits *e, struct reason *why)
{
	struct reason older;

	if (mine_open(&e->mine, &e->base, why) != 0)
		return -1;
	long used = ask_generation(&e->mine.settings);

	if (inforce_current_is_older(&e->base.settings, used, &older) != 0)
		return 0;
	mine_close(&e->mine);
	return fail(why, "nothing was changed: %s", older.text);
}

static int begin(struct edits *e, const struct command *c, struct reason *why)
{
	*e = (struct edits){ .directory = lock_directory(c->confdir, why) };
	if (e->directory < 0)
		return -1;
	if (command_places_read(c, &e->base) != EXIT_DONE) {
		fail(why, "nothing was changed");
	} else if (!c->only_mine || open_mine(e, why) == 0) {
		e->only_mine = c->only_mine;
		return 0;
	}
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

static int judge_key(const struct edits *e, const struct edit *f, struct view key,
                     struct reason *why)
{
	return e->only_mine ? mine_same_key(&e->mine, f->map, key, why) : 0;
}

/* The entry of a key: 1, 0, or -1 when the key itself is wrong.  Bad entries are passed by. */
static int find_entry(struct edits *e, struct edit *f, struct view key, struct maptext_entry *out,
                      struct reason *why)
{
	mapkey_function *key_of = map_kinds[f->map].key;
	const struct settings *s = e->only_mine ? &e->mine.settings : &e->base.settings;
	struct view mail_domain = view_of(s->mail_domain);
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
	if (key_of(key, mail_domain, &wanted, why) != 0 || judge_key(e, f, key, why) != 0)
		result = -1;
	f->key = arena_copy(&e->base.arena, text_view(&wanted));
	maptext_init(&text, text_view(&f->text));
	while (result == 0 && (more = maptext_next(&text, &e->base.arena, out, NULL)) != 0) {
		text_clear(&found);
		if (more > 0 && key_of(out->key, mail_domain, &found, NULL) == 0 &&
		    view_equal(text_view(&found), text_view(&wanted)))
			result = judge_key(e, f, out->key, why) == 0 ? 1 : -1;
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

static void take_text(struct edit *f, struct text *fresh)
{
	if (f->changed)
		text_free(&f->text);
	else
		f->before = f->text;
	f->text = *fresh;
	f->changed = true;
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
	take_text(f, &result);
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
	take_text(f, &fresh);
}

static bool is_changed(const struct edits *e)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->files[i].changed)
			return true;
	return false;
}

int edits_run(const struct command *c,
              int (*work)(struct edits *e, void *context, struct reason *why), void *context)
{
	struct edits e;
	struct reason why;

	if (begin(&e, c, &why) != 0)
		return command_fail(EXIT_TEMPORARY, &why);
	int code = work(&e, context, &why);

	if (code != EXIT_DONE)
		code = command_fail(code < 0 ? EXIT_PERMANENT : code, &why);
	else if (is_changed(&e))
		code = commit_edits(&e);
	end(&e);
	return code;
}
