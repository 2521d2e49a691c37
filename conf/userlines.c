/* SPDX-License-Identifier: ISC */
#include "conf/userlines.h"

#include <limits.h>

#include "conf/home.h"
#include "lib/conf/maptext.h"
#include "lib/conf/passwords.h"
#include "lib/conf/users.h"

static void note_added(struct added *a, struct edits *e, struct view address)
{
	struct text key;

	text_init(&key, MAP_KEY_MAX);
	if (mapkey_address(address, view_of(e->base.settings.mail_domain), &key, NULL) == 0) {
		a->keys = memory_grow_for(a->keys, a->count, sizeof *a->keys);
		a->keys[a->count++] = arena_copy(&a->arena, text_view(&key));
	}
	text_free(&key);
}

static int no_user(struct view address, struct reason *why)
{
	return fail(why, "there is no user %.*s in users.map", VIEW_ARG(address));
}

/* Others may have odd addresses (lib/mail/mailaddress.h); ours are such that everybody takes them:
 * RFC 5321 section 4.1.2, and no longer than section 4.5.3.1.1 promises. */
static bool is_plain(struct view address)
{
	enum { LOCAL_MAX = 64 };
	struct view local = view_take(address, view_find(address, '@'));
	bool dot = true;

	for (size_t i = 0; i < local.len; i++) {
		if (local.data[i] == '.' && dot)
			return false;
		dot = local.data[i] == '.';
	}
	return !dot && local.len <= LOCAL_MAX;
}

/* Before the users are there, whose mail would wait. */
static int judge_new_homes(const struct model *m, void *context, struct reason *why)
{
	const struct added *a = context;
	struct user u;
	char home[PATH_MAX];

	for (size_t i = 0; i < a->count; i++) {
		const struct map_entry *e = hashtable_find(&m->maps[MAP_USERS].index, a->keys[i]);

		if (e != NULL && user_decode(e->compiled, &u) &&
		    string_copy(home, sizeof home, u.home) &&
		    home_judge_links(&m->settings, home, why) != 0)
			return -1;
	}
	return 0;
}

int user_add_entry(struct edits *e, struct added *a, struct view address, struct view words,
                   struct reason *why)
{
	e->judge = judge_new_homes;
	e->judge_context = a;
	if (view_find(address, '"') == address.len && !is_plain(address))
		return fail(
			why,
			"%.*s: many mail servers refuse such an address (a local part of more than 64 "
			"bytes, or with a dot at its beginning, at its end, or beside another)",
			VIEW_ARG(address));
	struct edit *users =
		edits_open(e, MAP_USERS, why); /* first: a user may be without a password */
	struct text old;

	text_init(&old, MAPTEXT_ENTRY_MAX);
	int found = users != NULL ? edit_get(e, users, address, &old, why) : -1;

	text_free(&old);
	if (found > 0)
		found = fail(
			why,
			"user %.*s already exists; change it with posthouse user set or passwd",
			VIEW_ARG(address));
	if (found == 0)
		found = edit_set(e, users, address, words, why);
	if (found == 0)
		note_added(a, e, address);
	return found;
}

int user_delete_entry(struct edits *e, struct view address, struct reason *why)
{
	struct edit *passwords = edits_open(e, MAP_PASSWORDS, why); /* first: see write_changed */
	struct edit *users = passwords != NULL ? edits_open(e, MAP_USERS, why) : NULL;

	if (users == NULL || edit_delete(e, passwords, address, why) < 0)
		return -1;
	int found = edit_delete(e, users, address, why);

	return found == 0 ? no_user(address, why) : found > 0 ? 0 : -1;
}

/* The name of a word with its "="; the whole of one without. */
static struct view name_of(struct view word)
{
	return view_take(word, view_find(word, '=') + 1);
}

static bool has_name(struct view words, struct view name, struct arena *arena)
{
	struct view word;

	while (maptext_word(&words, arena, &word, NULL) > 0)
		if (view_equal(name_of(word), name))
			return true;
	return false;
}

/* Words replace those of the same name: "quota=" alone takes one away. */
static void merge_words(struct view old, struct view fresh, struct arena *arena, struct text *out)
{
	struct view word;

	while (maptext_word(&old, arena, &word, NULL) > 0) {
		if (has_name(fresh, name_of(word), arena))
			continue;
		maptext_add_word(out, word);
		text_add_byte(out, ' ');
	}
	while (maptext_word(&fresh, arena, &word, NULL) > 0) {
		if (word.len && word.data[word.len - 1] == '=')
			continue;
		maptext_add_word(out, word);
		text_add_byte(out, ' ');
	}
}

int user_set_entry(struct edits *e, struct view address, struct view words, struct reason *why)
{
	struct edit *users = edits_open(e, MAP_USERS, why);
	struct text old, merged;

	text_init(&old, 1 << 16);
	text_init(&merged, MAPTEXT_FILE_MAX);
	int found = users != NULL ? edit_get(e, users, address, &old, why) : -1;

	if (found == 0)
		found = no_user(address, why);
	if (found > 0) {
		merge_words(text_view(&old), words, &e->base.arena, &merged);
		found = edit_set(e, users, address, view_trim(text_view(&merged)), why);
	}
	text_free(&old);
	text_free(&merged);
	return found;
}

/* ---- lines ---- */

/* Takes the hash of a word password=HASH off the words. */
static int take_hash(struct view words, struct arena *arena, struct text *rest, struct view *hash,
                     struct reason *why)
{
	struct view word;
	int more;

	*hash = VIEW("");
	while ((more = maptext_word(&words, arena, &word, why)) > 0) {
		if (view_starts(word, VIEW("password="))) {
			if (password_parse(view_skip(word, 9), hash, why) != 0)
				return -1;
			continue;
		}
		if (rest->len)
			text_add_byte(rest, ' ');
		maptext_add_word(rest, word);
	}
	return more;
}

/* The password of a line that has one. */
static int set_hash(struct edits *e, struct view address, struct view hash, struct reason *why)
{
	struct edit *f = hash.len ? edits_open(e, MAP_PASSWORDS, why) : NULL;

	if (hash.len == 0)
		return 0;
	return f != NULL ? edit_set(e, f, address, hash, why) : -1;
}

int user_add_line(struct edits *e, void *context, struct view address, struct view words,
                  struct reason *why)
{
	struct text rest;
	struct view hash;

	text_init(&rest, MAPTEXT_FILE_MAX);
	int result = take_hash(words, &e->base.arena, &rest, &hash, why);

	if (result == 0)
		result = user_add_entry(e, context, address, text_view(&rest), why);
	if (result == 0)
		result = set_hash(e, address, hash, why);
	text_free(&rest);
	return result;
}

int user_set_line(struct edits *e, void *context, struct view address, struct view words,
                  struct reason *why)
{
	struct text rest;
	struct view hash;

	(void)context;
	text_init(&rest, MAPTEXT_FILE_MAX);
	int result = take_hash(words, &e->base.arena, &rest, &hash, why);

	if (result == 0)
		result = user_set_entry(e, address, text_view(&rest), why);
	if (result == 0)
		result = set_hash(e, address, hash, why);
	text_free(&rest);
	return result;
}

int user_delete_line(struct edits *e, void *context, struct view address, struct view words,
                     struct reason *why)
{
	size_t *count = context;

	(*count)++;
	if (words.len)
		return fail(why, "\"%.*s\" and more: a line names who is removed, and nothing else",
		            VIEW_ARG(address));
	return user_delete_entry(e, address, why);
}
