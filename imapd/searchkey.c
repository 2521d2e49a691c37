/* SPDX-License-Identifier: ISC */
#include "imapd/searchkey.h"

#include <assert.h>

#include "lib/mail/charset.h"
#include "lib/base/utf8.h"
#include "lib/mail/date.h"

struct compiler {
	struct session *s;
	struct arena *arena;
	const struct argument *next; /* of the list in work */
	struct view charset;
	unsigned depth, finders;
	const char *error;
};

enum value_rule {
	VALUE_NONE,
	VALUE_STRING,
	VALUE_HEADER,
	VALUE_DATE,
	VALUE_NUMBER,
	VALUE_KEYWORD,
	VALUE_UIDS
};

static const struct row {
	const char *name;
	enum search_what what;
	enum value_rule value;
	uint32_t flag;
	bool not ;
	const char *field;
} rows[] = {
	{ "ALL", SEARCH_ALL, VALUE_NONE, 0, false, NULL },
	{ "ANSWERED", SEARCH_FLAG, VALUE_NONE, STORE_FLAG_ANSWERED, false, NULL },
	{ "BCC", SEARCH_HEADER, VALUE_STRING, 0, false, "Bcc" },
	{ "BEFORE", SEARCH_BEFORE, VALUE_DATE, 0, false, NULL },
	{ "BODY", SEARCH_BODY, VALUE_STRING, 0, false, NULL },
	{ "CC", SEARCH_HEADER, VALUE_STRING, 0, false, "Cc" },
	{ "DELETED", SEARCH_FLAG, VALUE_NONE, STORE_FLAG_DELETED, false, NULL },
	{ "DRAFT", SEARCH_FLAG, VALUE_NONE, STORE_FLAG_DRAFT, false, NULL },
	{ "FLAGGED", SEARCH_FLAG, VALUE_NONE, STORE_FLAG_FLAGGED, false, NULL },
	{ "FROM", SEARCH_HEADER, VALUE_STRING, 0, false, "From" },
	{ "HEADER", SEARCH_HEADER, VALUE_HEADER, 0, false, NULL },
	{ "KEYWORD", SEARCH_KEYWORD, VALUE_KEYWORD, 0, false, NULL },
	{ "LARGER", SEARCH_LARGER, VALUE_NUMBER, 0, false, NULL },
	{ "OLD", SEARCH_RECENT, VALUE_NONE, 0, true, NULL },
	{ "ON", SEARCH_ON, VALUE_DATE, 0, false, NULL },
	{ "RECENT", SEARCH_RECENT, VALUE_NONE, 0, false, NULL },
	{ "SEEN", SEARCH_FLAG, VALUE_NONE, STORE_FLAG_SEEN, false, NULL },
	{ "SENTBEFORE", SEARCH_SENT_BEFORE, VALUE_DATE, 0, false, NULL },
	{ "SENTON", SEARCH_SENT_ON, VALUE_DATE, 0, false, NULL },
	{ "SENTSINCE", SEARCH_SENT_SINCE, VALUE_DATE, 0, false, NULL },
	{ "SINCE", SEARCH_SINCE, VALUE_DATE, 0, false, NULL },
	{ "SMALLER", SEARCH_SMALLER, VALUE_NUMBER, 0, false, NULL },
	{ "SUBJECT", SEARCH_HEADER, VALUE_STRING, 0, false, "Subject" },
	{ "TEXT", SEARCH_TEXT, VALUE_STRING, 0, false, NULL },
	{ "TO", SEARCH_HEADER, VALUE_STRING, 0, false, "To" },
	{ "UID", SEARCH_UIDS, VALUE_UIDS, 0, false, NULL },
	{ "UNANSWERED", SEARCH_FLAG, VALUE_NONE, STORE_FLAG_ANSWERED, true, NULL },
	{ "UNDELETED", SEARCH_FLAG, VALUE_NONE, STORE_FLAG_DELETED, true, NULL },
	{ "UNDRAFT", SEARCH_FLAG, VALUE_NONE, STORE_FLAG_DRAFT, true, NULL },
	{ "UNFLAGGED", SEARCH_FLAG, VALUE_NONE, STORE_FLAG_FLAGGED, true, NULL },
	{ "UNKEYWORD", SEARCH_KEYWORD, VALUE_KEYWORD, 0, true, NULL },
	{ "UNSEEN", SEARCH_FLAG, VALUE_NONE, STORE_FLAG_SEEN, true, NULL },
};

static const enum search_cost costs[] = {
	[SEARCH_AND] = COST_INDEX,      [SEARCH_OR] = COST_INDEX,
	[SEARCH_ALL] = COST_INDEX,      [SEARCH_NUMBERS] = COST_INDEX,
	[SEARCH_UIDS] = COST_INDEX,     [SEARCH_FLAG] = COST_INDEX,
	[SEARCH_KEYWORD] = COST_INDEX,  [SEARCH_RECENT] = COST_INDEX,
	[SEARCH_LARGER] = COST_FILE,    [SEARCH_SMALLER] = COST_FILE,
	[SEARCH_BEFORE] = COST_FILE,    [SEARCH_ON] = COST_FILE,
	[SEARCH_SINCE] = COST_FILE,     [SEARCH_SENT_BEFORE] = COST_HEADER,
	[SEARCH_SENT_ON] = COST_HEADER, [SEARCH_SENT_SINCE] = COST_HEADER,
	[SEARCH_HEADER] = COST_HEADER,  [SEARCH_BODY] = COST_BODY,
	[SEARCH_TEXT] = COST_BODY,
};
static_assert(sizeof costs / sizeof costs[0] == SEARCH_TEXT + 1, "a cost for every kind of key");

static struct search_key *compile_key(struct compiler *c);

static struct search_key *compile_fails(struct compiler *c, const char *error)
{
	if (c->error == NULL)
		c->error = error;
	return NULL;
}

static struct search_key *key_new(struct compiler *c, enum search_what what)
{
	struct search_key *key = arena_get(c->arena, sizeof *key);

	if (key == NULL)
		return compile_fails(c, "The search is too large");
	key->what = what;
	key->cost = costs[what];
	return key;
}

/* ---- lists ---- */

/* Behind those that cost as much or less. */
static void add_child(struct search_key *parent, struct search_key *child)
{
	struct search_key **at = &parent->first;

	while (*at != NULL && (*at)->cost <= child->cost)
		at = &(*at)->next;
	child->next = *at;
	*at = child;
	if (child->cost > parent->cost)
		parent->cost = child->cost;
}

static struct search_key *compile_list(struct compiler *c, const struct argument *first)
{
	const struct argument *kept = c->next;
	struct search_key *list = key_new(c, SEARCH_AND), *child;

	if (first == NULL)
		return compile_fails(c, "Missing search key");
	for (c->next = first; c->next != NULL;) {
		child = compile_key(c);
		if (child == NULL || list == NULL)
			return NULL;
		add_child(list, child);
	}
	c->next = kept;
	return list;
}

static struct search_key *compile_or(struct compiler *c)
{
	struct search_key *either = key_new(c, SEARCH_OR);

	for (int i = 0; i < 2; i++) {
		struct search_key *child = either != NULL ? compile_key(c) : NULL;

		if (child == NULL)
			return NULL;
		add_child(either, child);
	}
	return either;
}

static struct search_key *compile_not(struct compiler *c)
{
	struct search_key *key = compile_key(c);

	if (key != NULL)
		key->not = !key->not ;
	return key;
}

/* ---- values ---- */

static bool make_finder(struct compiler *c, struct search_key *key, struct view text)
{
	struct text utf8, folded;

	if (c->finders++ == SEARCH_FINDERS_MAX ||
	    (key->finder = arena_get(c->arena, sizeof *key->finder)) == NULL)
		return false;
	text_init(&utf8, SEARCH_NEEDLE_MAX);
	text_init(&folded, SEARCH_NEEDLE_MAX);
	bool good = charset_to_utf8_or_guess(c->charset, text, &utf8) &&
	            charset_fold(text_view(&utf8), &folded);
	struct view needle =
		good && folded.len ? arena_copy(c->arena, text_view(&folded)) : VIEW("");
	bool is_ascii = good && utf8_is_ascii(text_view(&utf8));

	text_free(&utf8);
	text_free(&folded);
	finder_begin(key->finder, needle);
	/* Some letters become ASCII when they are folded (a capital I with a dot): they are found
	 * where they were folded too. */
	key->finder->ascii = is_ascii;
	return good && needle.data != NULL;
}

static bool take_string(struct compiler *c, struct search_key *key)
{
	struct view text;

	if (!argument_astring(c->next, &text))
		return false;
	c->next = c->next->next;
	return make_finder(c, key, text);
}

static bool take_date(struct compiler *c, struct search_key *key)
{
	struct view text;

	if (!argument_astring(c->next, &text))
		return false;
	c->next = c->next->next;
	return date_day_parse(text, &key->number);
}

static bool take_number(struct compiler *c, struct search_key *key)
{
	uint64_t number;

	if (c->next == NULL || c->next->type != ARGUMENT_ATOM ||
	    !view_number(c->next->text, INT64_MAX, &number))
		return false;
	c->next = c->next->next;
	key->number = (int64_t)number;
	return true;
}

static bool take_keyword(struct compiler *c, struct search_key *key)
{
	struct view name;
	int number;

	if (!argument_astring(c->next, &name) || c->next->type != ARGUMENT_ATOM)
		return false;
	c->next = c->next->next;
	if (view_equal_nocase(name, VIEW("$Forwarded"))) {
		key->what = SEARCH_FLAG;
		key->flag = STORE_FLAG_PASSED;
		return true;
	}
	number = folder_keyword(c->s->folder, name, false);
	key->keyword = number < 0 ? 0 : UINT64_C(1) << number;
	return true;
}

static bool take_set(struct compiler *c, struct search_key *key, bool uids)
{
	uint32_t count = folder_count(c->s->folder);
	uint32_t star = count && uids ? folder_uid(c->s->folder, count) : count;

	if (c->next == NULL || c->next->type != ARGUMENT_ATOM ||
	    !sequence_parse(c->arena, c->next->text, star, &key->set))
		return false;
	c->next = c->next->next;
	return true;
}

static bool take_header(struct compiler *c, struct search_key *key)
{
	if (!argument_astring(c->next, &key->field))
		return false;
	c->next = c->next->next;
	return take_string(c, key);
}

static bool take_value(struct compiler *c, struct search_key *key, enum value_rule rule)
{
	switch (rule) {
	case VALUE_NONE: return true;
	case VALUE_STRING: return take_string(c, key);
	case VALUE_HEADER: return take_header(c, key);
	case VALUE_DATE: return take_date(c, key);
	case VALUE_NUMBER: return take_number(c, key);
	case VALUE_KEYWORD: return take_keyword(c, key);
	case VALUE_UIDS: return take_set(c, key, true);
	}
	return false;
}

/* ---- keys ---- */

static struct search_key *compile_row(struct compiler *c, const struct row *row)
{
	struct search_key *key = key_new(c, row->what);

	if (key == NULL)
		return NULL;
	key->not = row->not ;
	key->flag = row->flag;
	key->field = view_of(row->field);
	return take_value(c, key, row->value)
	               ? key
	               : compile_fails(c, "Missing or invalid value of a search key");
}

/* NEW is RECENT UNSEEN. */
static struct search_key *compile_new(struct compiler *c)
{
	struct search_key *list = key_new(c, SEARCH_AND), *recent = key_new(c, SEARCH_RECENT);
	struct search_key *unseen = key_new(c, SEARCH_FLAG);

	if (list == NULL || recent == NULL || unseen == NULL)
		return NULL;
	unseen->flag = STORE_FLAG_SEEN;
	unseen->not = true;
	add_child(list, recent);
	add_child(list, unseen);
	return list;
}

static struct search_key *compile_word(struct compiler *c, const struct argument *a)
{
	c->next = a->next;
	if (argument_is_atom(a, "NOT"))
		return compile_not(c);
	if (argument_is_atom(a, "OR"))
		return compile_or(c);
	if (argument_is_atom(a, "NEW"))
		return compile_new(c);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (argument_is_atom(a, rows[i].name))
			return compile_row(c, &rows[i]);
	struct search_key *key = key_new(c, SEARCH_NUMBERS);

	c->next = a;
	if (key == NULL || !take_set(c, key, false))
		return compile_fails(c, "Unknown search key");
	return key;
}

static struct search_key *compile_key(struct compiler *c)
{
	const struct argument *a = c->next;
	struct search_key *key = NULL;

	if (a == NULL)
		return compile_fails(c, "Missing search key");
	if (c->depth == SEARCH_DEPTH_MAX)
		return compile_fails(c, "The search is nested too deeply");
	c->depth++;
	if (a->type == ARGUMENT_LIST) {
		key = compile_list(c, a->first);
		c->next = a->next;
	} else if (a->type == ARGUMENT_ATOM) {
		key = compile_word(c, a);
	}
	c->depth--;
	return key != NULL ? key : compile_fails(c, "Invalid search key");
}

struct search_key *search_compile(struct session *s, const struct argument *a, struct view charset,
                                  const char **error)
{
	struct compiler c = { .s = s, .arena = &s->parser.arena, .charset = charset };
	struct search_key *key = compile_list(&c, a);

	*error = c.error;
	return key;
}
