/* SPDX-License-Identifier: ISC */
#include "conf/edits.h"

#include <stdlib.h>
#include <unistd.h>

#include "conf/asking.h"
#include "conf/commit.h"
#include "conf/inforce.h"
#include "conf/inputs.h"
#include "conf/lock.h"
#include "lib/base/log.h"
#include "lib/conf/maptext.h"

static void end(struct edits *e)
{
	for (size_t i = 0; i < e->count; i++) {
		struct edit *f = &e->files[i];

		text_free(&f->text), text_free(&f->before);
		hashtable_free(&f->index), hashtable_free(&f->asked), hashtable_free(&f->lines);
		free(f->changes);
	}
	if (e->only_mine)
		mine_close(&e->mine);
	partial_close(&e->partial);
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
	if (source.memory != NULL)
		text_init_with(&f->text, MAPTEXT_FILE_MAX, source.memory, source.text.len);
	else
		text_init(&f->text, MAPTEXT_FILE_MAX);
	f->missing = source.missing;
	f->st = source.st;
	if (e->count == 0 && !e->only_mine)
		partial_open(&e->partial, &e->base);
	e->count++;
	return f;
}

static int judge_key(const struct edits *e, const struct edit *f, struct view key,
                     struct reason *why)
{
	return e->only_mine ? mine_same_key(&e->mine, f->map, key, why) : 0;
}

/* An entry as the text has it, and as it is after the changes until now. */
struct found {
	struct view key; /* as compiled */
	struct edit_change *change;
	bool in_text;
	struct maptext_entry entry;
};

/* The compiled key of each entry that has a good one. */
static int next_entry(struct edits *e, struct edit *f, struct maptext *text,
                      struct maptext_entry *out, struct text *key)
{
	const struct settings *s = e->only_mine ? &e->mine.settings : &e->base.settings;
	int more;

	while ((more = maptext_next(text, &e->base.arena, out, NULL)) != 0) {
		text_clear(key);
		if (more > 0 &&
		    map_kinds[f->map].key(out->key, view_of(s->mail_domain), key, NULL) == 0)
			return 1;
	}
	return 0;
}

static void index_lines(struct edits *e, struct edit *f)
{
	struct maptext text;
	struct maptext_entry entry;
	struct text key;

	text_init(&key, MAP_KEY_MAX);
	maptext_init(&text, text_view(&f->text));
	while (next_entry(e, f, &text, &entry, &key) > 0) {
		struct maptext_entry *kept = arena_get(&e->base.arena, sizeof *kept);

		*kept = entry;
		hashtable_add(&f->lines, arena_copy(&e->base.arena, text_view(&key)), kept);
	}
	text_free(&key);
	f->in_lines = true;
}

static bool look_through(struct edits *e, struct edit *f, struct found *out)
{
	struct maptext text;
	struct text key;
	bool found = false;

	text_init(&key, MAP_KEY_MAX);
	maptext_init(&text, text_view(&f->text));
	while (!found && next_entry(e, f, &text, &out->entry, &key) > 0)
		found = view_equal(text_view(&key), out->key);
	text_free(&key);
	return found;
}

static bool find_by_map(struct edits *e, struct edit *f, struct found *out, bool *lost)
{
	return partial_find(&e->partial, f->map, text_view(&f->text),
	                    view_of(e->base.settings.mail_domain), out->key, &e->base.arena,
	                    &out->entry, lost);
}

static bool find_in_text(struct edits *e, struct edit *f, struct found *out)
{
	if (e->partial.open && inputs_is_text(&e->partial.manifest, f->map, &f->st)) {
		bool lost, found = find_by_map(e, f, out, &lost);

		if (!lost)
			return found;
		partial_close(&e->partial);
	}
	if (!e->many)
		return look_through(e, f, out);
	if (!f->in_lines)
		index_lines(e, f);
	const struct maptext_entry *entry = hashtable_find(&f->lines, out->key);

	if (entry != NULL)
		out->entry = *entry;
	return entry != NULL;
}

/* The entry of a key: 0, or -1 when the key itself is wrong.  Bad entries are passed by. */
static int find_entry(struct edits *e, struct edit *f, struct view key, struct found *out,
                      struct reason *why)
{
	const struct settings *s = e->only_mine ? &e->mine.settings : &e->base.settings;
	struct text wanted;

	*out = (struct found){ .change = NULL };
	/* One entry alone in a new file would be all that is left of a map that was lost. */
	if (f->missing)
		return fail(why,
		            "%s/%s: there is no such file; restore it, or make an empty one with "
		            "touch or posthouse map edit %s",
		            e->base.confdir, f->name, maptable[f->map].name);
	text_init(&wanted, MAP_KEY_MAX);
	int result = map_kinds[f->map].key(key, view_of(s->mail_domain), &wanted, why);

	if (result == 0)
		result = judge_key(e, f, key, why);
	out->key = arena_copy(&e->base.arena, text_view(&wanted));
	text_free(&wanted);
	if (result != 0)
		return -1;
	hashtable_add(&f->asked, out->key, f);
	out->change = hashtable_find(&f->index, out->key);
	out->in_text = out->change == NULL && find_in_text(e, f, out);
	return out->in_text ? judge_key(e, f, out->entry.key, why) : 0;
}

static bool is_there(const struct found *found)
{
	return found->change != NULL ? !found->change->gone : found->in_text;
}

int edit_get(struct edits *e, struct edit *f, struct view key, struct text *value,
             struct reason *why)
{
	struct found found;

	if (find_entry(e, f, key, &found, why) != 0)
		return -1;
	if (!is_there(&found))
		return 0;
	text_add(value, found.change != NULL ? found.change->value : found.entry.value);
	return 1;
}

/* The change of an entry, made when there is none. */
static struct edit_change *change_of(struct edits *e, struct edit *f, const struct found *found,
                                     struct view key)
{
	struct edit_change *c = found->change;

	f->changed = true;
	if (c != NULL) {
		c->input_line = e->line;
		return c;
	}
	c = arena_get(&e->base.arena, sizeof *c);
	*c = (struct edit_change){ .key = found->key,
		                   .in_text = found->in_text,
		                   .input_line = e->line };
	if (c->in_text) {
		c->text_key = found->entry.key;
		c->start = found->entry.start;
		c->end = found->entry.end;
	} else {
		c->text_key = arena_copy(&e->base.arena, key);
	}
	hashtable_add(&f->index, c->key, c);
	f->changes = memory_grow_for(f->changes, f->count, sizeof *f->changes);
	f->changes[f->count++] = c;
	return c;
}

int edit_set(struct edits *e, struct edit *f, struct view key, struct view value,
             struct reason *why)
{
	struct found found;

	if (view_has_controls(value))
		return fail(why, "a control character in the value");
	if (find_entry(e, f, key, &found, why) != 0)
		return -1;
	struct edit_change *c = change_of(e, f, &found, key);

	c->gone = false;
	c->value = arena_copy(&e->base.arena, value);
	return 0;
}

int edit_delete(struct edits *e, struct edit *f, struct view key, struct reason *why)
{
	struct found found;

	if (find_entry(e, f, key, &found, why) != 0)
		return -1;
	if (!is_there(&found))
		return 0;
	change_of(e, f, &found, key)->gone = true;
	return 1;
}

/* ---- the text of the changes ---- */

static int by_place(const void *a, const void *b)
{
	const struct edit_change *x = *(struct edit_change *const *)a,
				 *y = *(struct edit_change *const *)b;

	return (x->start > y->start) - (x->start < y->start);
}

struct settling {
	struct text out;
	size_t counted; /* bytes of it whose line ends are in `line` */
	int line;       /* that begins behind them, from 1 */
	bool many;      /* else nobody asks for lines */
};

static int line_at_end(struct settling *s)
{
	struct view rest = view_skip(text_view_cut(&s->out), s->counted);

	for (size_t end; (end = view_find(rest, '\n')) < rest.len; rest = view_skip(rest, end + 1))
		s->line++;
	s->counted = s->out.len;
	return s->line;
}

static void add_line(struct settling *s, struct edit_change *c)
{
	struct text *out = &s->out;

	if (out->len > maptext_mark(text_view_cut(out)) && out->raw[out->len - 1] != '\n')
		text_add_byte(out, '\n');
	c->line = s->many ? line_at_end(s) : 0;
	text_add(out, c->text_key);
	if (c->value.len) {
		text_add_byte(out, ' ');
		text_add(out, c->value);
	}
	text_add_byte(out, '\n');
}

/* What was there keeps its place, what is new comes behind it. */
static void add_lines(struct settling *s, const struct edit *f, struct edit_change *const *in_text,
                      size_t count)
{
	struct view old = text_view(&f->text);
	size_t position = 0;

	for (size_t i = 0; i < count; i++) {
		struct edit_change *c = in_text[i];

		text_add(&s->out, view_take(view_skip(old, position), c->start - position));
		if (!c->gone)
			add_line(s, c);
		position = c->end;
	}
	text_add(&s->out, view_skip(old, position));
	for (size_t i = 0; i < f->count; i++)
		if (!f->changes[i]->in_text && !f->changes[i]->gone)
			add_line(s, f->changes[i]);
}

static int settle(struct edit *f, bool many, struct reason *why)
{
	struct edit_change **in_text = memory_get((f->count + 1) * sizeof(*in_text));
	struct settling s = { .line = 1, .many = many };
	size_t count = 0;

	for (size_t i = 0; i < f->count; i++)
		if (f->changes[i]->in_text)
			in_text[count++] = f->changes[i];
	if (count)
		qsort(in_text, count, sizeof *in_text, by_place);
	text_init(&s.out, MAPTEXT_FILE_MAX);
	if (text_has_room(&s.out, f->text.len))
		text_reserve(&s.out, f->text.len); /* at once */
	add_lines(&s, f, in_text, count);
	free(in_text);
	if (s.out.full) {
		text_free(&s.out);
		return fail(why, "%s would be larger than %d bytes", f->name, MAPTEXT_FILE_MAX);
	}
	f->before = f->text;
	f->text = s.out;
	return 0;
}

int edits_settle(struct edits *e, struct reason *why)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->files[i].count && settle(&e->files[i], e->many, why) != 0)
			return -1;
	return 0;
}

int edit_missing(const struct edit *f, struct view key, struct reason *why)
{
	return fail(why, "\"%.*s\" is not in %s", VIEW_ARG(key), f->name);
}

void edit_replace(struct edit *f, struct view text)
{
	f->before = f->text;
	text_init(&f->text, MAPTEXT_FILE_MAX);
	text_add(&f->text, text);
	f->changed = true;
}

static bool is_changed(const struct edits *e)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->files[i].changed)
			return true;
	return false;
}

int edits_input_line(const struct edits *e, struct view file, int line)
{
	for (size_t i = 0; i < e->count; i++) {
		const struct edit *f = &e->files[i];

		if (!view_equal(file, view_of(f->name)))
			continue;
		for (size_t k = 0; k < f->count; k++)
			if (f->changes[k]->line == line && line > 0)
				return f->changes[k]->input_line;
	}
	return 0;
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
		code = edits_settle(&e, &why) == 0 ? commit_edits(&e)
		                                   : command_fail(EXIT_PERMANENT, &why);
	end(&e);
	return code;
}
