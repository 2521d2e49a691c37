/* SPDX-License-Identifier: ISC */
/* LIST with options (RFC 5258), with SPECIAL-USE (RFC 6154) and STATUS (RFC 5819). */
#include "imapd/command.h"
#include "imapd/list.h"
#include "imapd/listnames.h"
#include "imapd/mailboxname.h"
#include "imapd/status.h"

enum {
	SELECT_SUBSCRIBED = 1 << 0,
	SELECT_SPECIAL_USE = 1 << 1,
	SELECT_CRITERIA = SELECT_SUBSCRIBED | SELECT_SPECIAL_USE,
	SELECT_REMOTE = 1 << 2, /* there are none */
	SELECT_PARENTS = 1 << 3,
	RETURN_SUBSCRIBED = 1 << 4,
	RETURN_ALWAYS = 0, /* what is told anyway */
	RETURN_STATUS = 1 << 5
};

struct query {
	unsigned options;
	const struct argument *status; /* the items; NULL: none are asked for */
	struct view patterns[LIST_PATTERNS_MAX];
	size_t pattern_count;
};

struct option {
	const char *name;
	unsigned bits;
};

static const struct option selections[] = {
	{ "SUBSCRIBED", SELECT_SUBSCRIBED | RETURN_SUBSCRIBED },
	{ "REMOTE", SELECT_REMOTE },
	{ "RECURSIVEMATCH", SELECT_PARENTS },
	{ "SPECIAL-USE", SELECT_SPECIAL_USE },
	{ NULL, 0 },
};
static const struct option returns[] = {
	{ "SUBSCRIBED", RETURN_SUBSCRIBED },
	{ "CHILDREN", RETURN_ALWAYS },
	{ "SPECIAL-USE", RETURN_ALWAYS },
	{ "STATUS", RETURN_STATUS },
	{ NULL, 0 },
};

bool list_pattern_valid(const struct argument *a)
{
	struct view text;

	if (a == NULL || argument_string(a, &text))
		return a != NULL;
	return a->type == ARGUMENT_ATOM && view_find(a->text, '\\') == a->text.len;
}

bool list_is_extended(const struct argument *a)
{
	return a->type == ARGUMENT_LIST ||
	       (a->next != NULL && (a->next->type == ARGUMENT_LIST || a->next->next != NULL));
}

/* ---- the arguments; each function returns what is wrong, or NULL ---- */

static const char *read_option(const struct option *o, const struct argument **a, struct query *q)
{
	while (o->name != NULL && !argument_is_atom(*a, o->name))
		o++;
	if (o->name == NULL)
		return "LIST: unknown option";
	q->options |= o->bits;
	if (o->bits != RETURN_STATUS)
		return NULL;
	*a = (*a)->next;
	if (*a == NULL || (*a)->type != ARGUMENT_LIST)
		return "STATUS: missing items";
	q->status = *a;
	return status_items_fault(*a);
}

static const char *read_options(const struct option *table, const struct argument *list,
                                struct query *q)
{
	const char *fault = NULL;

	for (const struct argument *a = list->first; a != NULL && fault == NULL;
	     a = a != NULL ? a->next : NULL)
		fault = read_option(table, &a, q);
	return fault;
}

static const char *read_selection(const struct argument *list, struct query *q)
{
	const char *fault = read_options(selections, list, q);

	if (fault == NULL && (q->options & SELECT_PARENTS) && !(q->options & SELECT_CRITERIA))
		return "LIST: RECURSIVEMATCH requires another selection option";
	return fault;
}

/* An empty pattern matches nothing, and one that is not taken is left out (RFC 5258 section 3). */
static const char *read_pattern(struct arena *arena, struct view reference,
                                const struct argument *a, struct query *q)
{
	struct text whole;

	if (!list_pattern_valid(a))
		return "LIST: invalid arguments";
	if (a->text.len == 0)
		return NULL;
	text_init(&whole, MAILBOXNAME_PATTERN_MAX);
	text_add(&whole, reference);
	text_add(&whole, a->text);
	struct view copy =
		whole.full ? (struct view){ NULL, 0 } : arena_copy(arena, text_view(&whole));

	text_free(&whole);
	if (copy.data != NULL)
		q->patterns[q->pattern_count++] = copy;
	return NULL;
}

static const char *read_patterns(struct arena *arena, struct view reference,
                                 const struct argument *a, struct query *q)
{
	const char *fault = NULL;

	if (a == NULL || a->type != ARGUMENT_LIST)
		return read_pattern(arena, reference, a, q);
	if (a->first == NULL)
		return "LIST: missing pattern";
	for (a = a->first; a != NULL && fault == NULL; a = a->next)
		fault = q->pattern_count < LIST_PATTERNS_MAX ? read_pattern(arena, reference, a, q)
		                                             : "LIST: too many patterns";
	return fault;
}

static const char *read_query(struct arena *arena, const struct argument *a, struct query *q)
{
	const char *fault = NULL;
	struct view reference;

	if (a->type == ARGUMENT_LIST) {
		fault = read_selection(a, q);
		a = a->next;
	}
	if (fault != NULL)
		return fault;
	if (!argument_astring(a, &reference))
		return "LIST: invalid arguments";
	fault = read_patterns(arena, reference, a->next, q);
	if (fault != NULL || (a = a->next->next) == NULL)
		return fault;
	if (!argument_is_atom(a, "RETURN") || a->next == NULL || a->next->type != ARGUMENT_LIST ||
	    a->next->next != NULL)
		return "LIST: invalid arguments";
	return read_options(returns, a->next, q);
}

/* ---- the answers ---- */

static bool matches(const struct query *q, const char *name)
{
	for (size_t i = 0; i < q->pattern_count; i++)
		if (mailboxname_match(q->patterns[i], view_of(name)))
			return true;
	return false;
}

static bool is_special(const struct list_name *n)
{
	return n->exists && list_special_use(n->name) != NULL;
}

static bool is_wanted(const struct query *q, const struct list_name *n)
{
	if (!(q->options & SELECT_CRITERIA))
		return n->is_folder;
	return (n->subscribed || !(q->options & SELECT_SUBSCRIBED)) &&
	       (is_special(n) || !(q->options & SELECT_SPECIAL_USE));
}

/* RFC 5258 section 3.5: which criteria a descendant meets. */
static const char *child_info(const struct query *q)
{
	switch (q->options & SELECT_CRITERIA) {
	case SELECT_SUBSCRIBED: return " (\"CHILDINFO\" (\"SUBSCRIBED\"))";
	case SELECT_SPECIAL_USE: return " (\"CHILDINFO\" (\"SPECIAL-USE\"))";
	default: return " (\"CHILDINFO\" (\"SUBSCRIBED\" \"SPECIAL-USE\"))";
	}
}

/* vanished: it was there a moment ago (RFC 5819 section 2). */
static void tell_name(struct session *s, const struct query *q, const struct list_name *n,
                      bool vanished)
{
	struct text attributes;

	text_init(&attributes, LIST_ATTRIBUTES_MAX);
	if (!n->exists)
		text_add_string(&attributes, "\\NonExistent ");
	else if (vanished)
		text_add_string(&attributes, "\\Noselect ");
	text_add_string(&attributes, n->has_children ? "\\HasChildren" : "\\HasNoChildren");
	if (is_special(n))
		text_format(&attributes, " %s", list_special_use(n->name));
	if (n->subscribed && (q->options & RETURN_SUBSCRIBED))
		text_add_string(&attributes, " \\Subscribed");
	list_tell(s, "LIST", text_string(&attributes), view_of(n->name),
	          n->child_wanted ? child_info(q) : "");
	text_free(&attributes);
}

/* A mailbox whose status cannot be read is listed without. */
static void tell_with_status(struct session *s, const struct query *q, const struct list_name *n)
{
	struct folder_status status;
	struct reason why;
	enum store_result result = status_read(s, view_of(n->name), q->status, &status, &why);

	if (result == STORE_FAILED)
		session_store_failed(s, &why);
	tell_name(s, q, n, result == STORE_NOT_FOUND);
	if (result == STORE_OK)
		status_tell(s, view_of(n->name), q->status, &status);
}

static void tell_all(struct session *s, const struct query *q, struct list_names *l)
{
	for (size_t i = 0; i < l->count; i++) {
		struct list_name *n = &l->names[i];

		n->wanted = is_wanted(q, n);
		n->told = n->wanted && matches(q, n->name);
	}
	if (q->options & SELECT_PARENTS)
		listnames_mark_parents(l);
	for (size_t i = 0; i < l->count; i++) {
		const struct list_name *n = &l->names[i];

		if (n->told && n->exists && q->status != NULL)
			tell_with_status(s, q, n);
		else if (n->told || (!n->wanted && n->child_untold && matches(q, n->name)))
			tell_name(s, q, n, false);
	}
}

void list_extended_run(struct session *s, struct argument *a)
{
	struct query q = { 0 };
	struct list_names names;
	struct reason why;
	const char *fault = read_query(&s->parser.arena, a, &q);

	if (fault != NULL) {
		session_bad(s, "%s", fault);
		return;
	}
	enum store_result result = listnames_read(s->store, &names, &why);

	if (result != STORE_OK) {
		session_store_no(s, result, &why, NULL);
		return;
	}
	tell_all(s, &q, &names);
	listnames_free(&names);
	session_ok(s, "List completed");
}
