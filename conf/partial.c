/* SPDX-License-Identifier: ISC */
#include "conf/partial.h"

#include <string.h>
#include <unistd.h>

#include "conf/certificates.h"
#include "conf/changes.h"
#include "conf/consistency.h"
#include "conf/edits.h"
#include "conf/inputs.h"
#include "conf/keys.h"
#include "conf/writing.h"
#include "lib/conf/generation.h"
#include "lib/conf/manifest.h"
#include "lib/conf/mapsure.h"
#include "lib/conf/maptext.h"
#include "lib/conf/users.h"

/* ---- the generation ---- */

/* Who wrote the manifest has verified what it names: the maps' own files, which may be large, are
 * not summed again. */
static bool open_file(struct partial *p, int file, struct map *out)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct manifest_row row;

	maptable_generation_file(file, name);
	int fd = manifest_find(&p->manifest, name, &row)
	                 ? generation_file(p->generation, name, NULL)
	                 : -1;

	if (fd < 0)
		return false;
	if (map_open_known(out, fd, name, file < MAPS ? &row.identity : NULL, NULL) != 0) {
		map_open_damaged(out, fd); /* it is closed with the others */
		return false;
	}
	p->known.files[file] = out->identity;
	return manifest_matches(&row, out);
}

static bool has_overlay(struct partial *p, int id)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct manifest_row row;

	maptable_generation_file(GENERATION_OVERLAYS + id, name);
	return manifest_find(&p->manifest, name, &row);
}

static bool open_overlay(struct partial *p, int id)
{
	struct map overlay;

	map_open_damaged(&overlay, -1);
	if (open_file(p, GENERATION_OVERLAYS + id, &overlay)) {
		map_lay(&p->maps[id], &overlay);
		return true;
	}
	map_close(&overlay);
	return false;
}

/* Its bytes are of no use here. */
static bool is_whole(struct partial *p, int file)
{
	struct map other;

	map_open_damaged(&other, -1);
	bool whole = open_file(p, file, &other);

	map_close(&other);
	return whole;
}

static bool open_maps(struct partial *p)
{
	for (int id = 0; id < MAPS; id++)
		if (!open_file(p, id, &p->maps[id]) || (has_overlay(p, id) && !open_overlay(p, id)))
			return false;
	return is_whole(p, GENERATION_SETTINGS) && is_whole(p, GENERATION_CERTIFICATES) &&
	       open_file(p, GENERATION_ASKED, &p->asked_file) &&
	       inputs_read_asked(&p->asked_file, &p->manifest, &p->asked);
}

static bool open_all(struct partial *p, struct model *base)
{
	if (p->generation < 0 || manifest_open(p->generation, &p->manifest, NULL) != 1)
		return false;
	return inputs_are_current(base, &p->manifest) && open_maps(p);
}

void partial_open(struct partial *p, struct model *base)
{
	const char *state = base->settings.directory_state;

	*p = (struct partial){ .number = generation_number(state) };
	map_open_damaged(&p->manifest, -1);
	map_open_damaged(&p->asked_file, -1);
	for (int id = 0; id < MAPS; id++)
		map_open_damaged(&p->maps[id], -1);
	p->generation = generation_open(state, NULL);
	p->open = true;
	if (base->problems.errors || !open_all(p, base))
		partial_close(p);
}

void partial_close(struct partial *p)
{
	if (!p->open)
		return;
	if (p->in_model)
		model_free(&p->m);
	for (int id = 0; id < MAPS; id++) {
		overlay_free(&p->overlays[id]);
		map_close(&p->maps[id]);
	}
	sieve_free(&p->asked);
	map_close(&p->asked_file);
	map_close(&p->manifest);
	if (p->generation >= 0)
		close(p->generation);
	p->open = p->in_model = false;
}

/* ---- an entry in its text ---- */

/* The text has the entries in the order of the compiled map: a search of halves, by the places of
 * those in the middle. */
struct search {
	struct map *map;
	mapkey_function *key_of;
	struct view text, mail_domain, key;
	uint64_t place; /* of the key */
	struct arena *arena;
};

enum { SEARCH_WHOLE_BYTES = 4096 };

#define NO_PLACE UINT64_MAX

/* The place of an entry of the text; NO_PLACE: the map has none such, or is damaged. */
static uint64_t place_of(const struct search *s, const struct maptext_entry *entry)
{
	struct text key;
	uint64_t place;

	text_init(&key, MAP_KEY_MAX);
	if (s->key_of(entry->key, s->mail_domain, &key, NULL) != 0 ||
	    mapsure_place(s->map, text_view(&key), &place) != MAP_FOUND)
		place = NO_PLACE;
	text_free(&key);
	return place;
}

/* The first entry from a position on, which may be within another one, and is not 0. */
static bool entry_behind(const struct search *s, size_t position, struct maptext_entry *out)
{
	struct maptext text = { .text = s->text, .position = position, .line = 1 };

	text.position += view_find(view_skip(s->text, position - 1), '\n');
	if (text.position >= s->text.len)
		return false;
	int more;

	/* What continues the entry that is passed by is said to be an error. */
	while ((more = maptext_next(&text, s->arena, out, NULL)) < 0)
		;
	return more > 0;
}

/* All entries between, one by one. */
static bool look_between(const struct search *s, size_t low, size_t high, struct maptext_entry *out)
{
	struct maptext text = { .text = s->text, .position = low, .line = 1 };
	int more;

	while ((more = maptext_next(&text, s->arena, out, NULL)) != 0 && out->start < high)
		if (more > 0 && place_of(s, out) == s->place)
			return true;
	return false;
}

static bool search(const struct search *s, struct maptext_entry *out)
{
	size_t low = maptext_mark(s->text), high = s->text.len;

	while (high - low > SEARCH_WHOLE_BYTES) {
		size_t middle = low + (high - low) / 2;

		if (!entry_behind(s, middle, out) || out->start >= high) {
			high = middle;
			continue;
		}
		uint64_t place = place_of(s, out);

		if (place == s->place)
			return true;
		if (place == NO_PLACE)
			return false;
		if (place < s->place)
			low = out->start;
		else
			high = out->start;
	}
	return look_between(s, low, high, out);
}

bool partial_find(struct partial *p, enum map_id id, struct view text, struct view mail_domain,
                  struct view key, struct arena *arena, struct maptext_entry *out, bool *lost)
{
	struct search s = { .map = &p->maps[id],
		            .key_of = map_kinds[id].key,
		            .text = text,
		            .mail_domain = mail_domain,
		            .key = key,
		            .arena = arena };

	enum map_result there = mapsure_place(&p->maps[id], key, &s.place);
	bool found = there == MAP_FOUND && search(&s, out);

	*lost = there != MAP_MISSING && !found;
	return found;
}

/* ---- what it would be ---- */

static void add_change(struct partial *p, enum map_id id, const struct edit_change *c)
{
	const struct maptext_entry entry = { .key = c->text_key, .value = c->value, .line = 1 };

	if (c->gone)
		model_add_gone(&p->m, id, c->key);
	else
		model_add_entry(&p->m, id, &entry);
}

static void add_password_again(struct partial *p, struct view key, struct view compiled)
{
	struct text key_text, value;

	text_init(&key_text, MAP_KEY_MAX);
	text_init(&value, MODEL_VALUE_MAX);
	map_kinds[MAP_PASSWORDS].show(key, compiled, &key_text, &value);
	const struct maptext_entry entry = { .key = key,
		                             .value = arena_copy(&p->m.arena, text_view(&value)),
		                             .line = 1 };

	model_add_entry(&p->m, MAP_PASSWORDS, &entry);
	text_free(&key_text);
	text_free(&value);
}

/* passwords.cdb repeats what users.map says of the user. false: it is damaged. */
static bool add_password(struct partial *p, struct view key)
{
	struct view compiled;

	if (hashtable_find(&p->m.maps[MAP_PASSWORDS].index, key) != NULL)
		return true;
	enum map_result there = mapsure_get(&p->maps[MAP_PASSWORDS], MAP_PASSWORDS, key, &compiled);

	if (there == MAP_FOUND)
		add_password_again(p, key, compiled);
	return there != MAP_DAMAGED;
}

static const struct edit *edit_of(const struct edits *e, int id)
{
	for (size_t i = 0; i < e->count; i++)
		if ((int)e->files[i].map == id && e->files[i].changed)
			return &e->files[i];
	return NULL;
}

/* false: what is to be repeated is damaged. */
static bool add_all(struct partial *p, const struct edits *e)
{
	const struct edit *users = edit_of(e, MAP_USERS);
	bool whole = true;

	for (int id = 0; id < MAPS; id++) {
		const struct edit *f = edit_of(e, id);

		for (size_t i = 0; f != NULL && i < f->count; i++)
			add_change(p, (enum map_id)id, f->changes[i]);
		for (size_t i = 0; id == MAP_PASSWORDS && users != NULL && i < users->count; i++)
			whole = add_password(p, users->changes[i]->key) && whole;
		if (f != NULL)
			p->m.maps[id].source.text = text_view(&f->text);
	}
	return whole;
}

/* ---- may it be alone ---- */

static bool has_home(struct map *users, struct view key, struct view home)
{
	struct view value;
	struct user u;

	return mapsure_judge(users, key, &value) == MAP_FOUND && user_decode(value, &u) &&
	       view_equal(u.home, home);
}

/* Its home is surely nobody else's, nor within anybody's or around. */
static bool is_alone(const struct partial *p, struct view home)
{
	if (sieve_may_know(&p->asked, SIEVE_HOME, home) ||
	    sieve_may_know(&p->asked, SIEVE_HOLDER, home))
		return false;
	/* Slashes that say nothing, and what lies in a Maildir: the build knows. */
	for (size_t i = 0; i + 1 < home.len; i++)
		if (home.data[i] == '/' &&
		    (home.data[i + 1] == '/' || view_starts(view_skip(home, i), VIEW("/Maildir"))))
			return false;
	return home.len && home.data[home.len - 1] != '/';
}

/* A user more is what an alias may lead to already; one less is not there any more. */
static bool user_is_free(struct partial *p, const struct edit_change *c)
{
	const struct map_entry *e = hashtable_find(&p->m.maps[MAP_USERS].index, c->key);
	struct view value;
	struct user u;
	enum map_result was_there = mapsure_has(&p->maps[MAP_USERS], c->key);

	if (was_there == MAP_DAMAGED)
		return false;
	if (c->gone)
		return !sieve_may_know(&p->asked, MAP_USERS, c->key);
	if (was_there == MAP_MISSING && model_find(&p->m, MAP_ALIASES, c->key, &value))
		return false;
	return e != NULL && user_decode(e->compiled, &u) &&
	       (has_home(&p->maps[MAP_USERS], c->key, u.home) || is_alone(p, u.home));
}

static bool is_free(struct partial *p, enum map_id id, const struct edit_change *c)
{
	switch (id) {
	case MAP_USERS: return user_is_free(p, c);
	case MAP_PASSWORDS: return true;
	case MAP_ALIASES:
		/* For all of a domain it stands in for whatever is not there. */
		return !view_starts(c->key, VIEW("@")) &&
		       !sieve_may_know(&p->asked, MAP_ALIASES, c->key);
	default: return false;
	}
}

static bool all_free(struct partial *p, const struct edits *e)
{
	for (size_t i = 0; i < e->count; i++)
		for (size_t k = 0; k < e->files[i].count; k++)
			if (!is_free(p, e->files[i].map, e->files[i].changes[k]))
				return false;
	return true;
}

/* As the build would find them. */
static bool certificates_are_current(const struct partial *p, const char *confdir)
{
	struct model m;

	model_read_settings(&m, confdir, NULL);
	certificates_read(&m);
	bool current = m.problems.errors == 0 && !changes_of_certificates(&m, p->generation);

	model_free(&m);
	return current;
}

static void count_key(void *context, const char *text)
{
	(void)text;
	++*(unsigned *)context;
}

/* A generation holds all that it needs: what is lost is taken from the configuration. */
static bool has_its_keys(const struct partial *p, const char *confdir)
{
	unsigned bad = 0;

	keys_verify(p->generation, confdir, "", count_key, &bad);
	return bad == 0;
}

/* By entries, and of texts that are still those that were read; the settings are those that compile
 * them (p->m): an edit may have waited long for its password. */
static bool is_eligible(struct partial *p, struct edits *e)
{
	size_t count = 0;

	for (size_t i = 0; i < e->count; i++) {
		const struct edit *f = &e->files[i];

		count += f->count;
		if (f->changed && (f->count == 0 || !inputs_is_text(&p->manifest, f->map, &f->st)))
			return false;
	}
	return count <= PARTIAL_ENTRIES_MAX && p->m.problems.errors == 0 &&
	       inputs_are_current(&p->m, &p->manifest) &&
	       generation_number(p->m.settings.directory_state) == p->number &&
	       certificates_are_current(p, e->base.confdir) && has_its_keys(p, e->base.confdir);
}

static enum partial_way choose(struct partial *p, enum map_id id)
{
	struct model_map *changes = &p->m.maps[id];

	if (changes->index.count == 0)
		return PARTIAL_SAME;
	return map_kinds[id].index == NULL && overlay_make(&p->overlays[id], &p->maps[id], changes)
	               ? PARTIAL_OVERLAY
	               : PARTIAL_FOLD;
}

/* What is folded is copied, and would be sealed as right; so is what cannot be linked. */
static bool choose_all(struct partial *p)
{
	for (int id = 0; id < MAPS; id++) {
		p->ways[id] = choose(p, (enum map_id)id);
		bool copied = p->ways[id] == PARTIAL_FOLD || !writing_links(p->generation, id);

		if (copied && !mapsure_sums(&p->maps[id], (enum map_id)id))
			return false;
	}
	return true;
}

bool partial_compile(struct partial *p, struct edits *e)
{
	if (!p->open)
		return false;
	model_read_settings(&p->m, e->base.confdir, NULL);
	p->in_model = true;
	if (!is_eligible(p, e))
		return false;
	p->m.below = p->maps;
	if (!inputs_read_asked(&p->asked_file, &p->manifest, &p->m.asked))
		return false;
	for (int id = 0; id < MAPS; id++) {
		char name[MAPTABLE_FILE_NAME_MAX];

		maptable_text_file((enum map_id)id, name);
		p->m.maps[id].source =
			(struct source){ .path = model_path(&p->m, p->m.confdir, name) };
	}
	consistency_of_settings(&p->m);
	unsigned known = p->m.problems.warnings; /* of the settings, as at the build */

	bool whole = add_all(p, e);

	consistency_of_users(&p->m);
	consistency_of_aliases(&p->m);
	/* What a value includes may change too. */
	return whole && p->m.problems.errors == 0 && p->m.problems.warnings == known &&
	       p->m.included_count == 0 && all_free(p, e) && choose_all(p) && !p->m.below_damaged;
}
