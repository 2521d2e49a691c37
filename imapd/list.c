/* SPDX-License-Identifier: ISC */
/* LIST and LSUB as RFC 3501 has them (sections 6.3.8, 6.3.9), with the attributes of CHILDREN (RFC
 * 3348) and SPECIAL-USE (RFC 6154). The extended LIST is listextended.c's. */
#include "imapd/list.h"

#include "imapd/answer.h"
#include "imapd/command.h"
#include "imapd/mailboxname.h"
#include "lib/base/log.h"

/* RFC 6154 section 2 lets a server decide by itself which mailbox serves what; these names are what
 * clients and Dovecot's sample configuration create. */
static const struct {
	const char *name, *use;
} special_uses[] = {
	{ "Drafts", "\\Drafts" }, { "Sent", "\\Sent" },       { "Junk", "\\Junk" },
	{ "Trash", "\\Trash" },   { "Archive", "\\Archive" },
};

const char *list_special_use(const char *name)
{
	for (size_t i = 0; i < sizeof special_uses / sizeof special_uses[0]; i++)
		if (view_equal(view_of(name), view_of(special_uses[i].name)))
			return special_uses[i].use;
	return NULL;
}

void list_tell(struct session *s, const char *what, const char *attributes, struct view name,
               const char *behind)
{
	struct text line;

	text_init(&line, SESSION_ANSWER_MAX);
	text_format(&line, "* %s (%s) \"%c\" ", what, attributes, STORE_DELIMITER);
	answer_astring(&line, name);
	text_format(&line, "%s\r\n", behind);
	stream_write(&s->stream, text_view(&line));
	text_free(&line);
}

static void tell(struct session *s, const char *what, const char *attributes, struct view name)
{
	list_tell(s, what, attributes, name, "");
}

static void tell_folder(struct session *s, const struct store_folder_name *n)
{
	const char *use = n->selectable ? list_special_use(n->name) : NULL;
	struct text attributes;

	text_init(&attributes, LIST_ATTRIBUTES_MAX);
	if (!n->selectable)
		text_add_string(&attributes, "\\Noselect ");
	text_add_string(&attributes, n->has_children ? "\\HasChildren" : "\\HasNoChildren");
	if (use != NULL)
		text_format(&attributes, " %s", use);
	tell(s, "LIST", text_string(&attributes), view_of(n->name));
	text_free(&attributes);
}

/* Reference and pattern are one name with wildcards: the reference is only a beginning (section
 * 6.3.8). */
static bool whole_pattern(struct session *s, const struct argument *a, struct text *out)
{
	text_init(out, MAILBOXNAME_PATTERN_MAX);
	text_add(out, a->text);
	text_add(out, a->next->text);
	if (!out->full)
		return true;
	text_free(out);
	session_no(s, "[LIMIT] The pattern is too long");
	return false;
}

/* LIST "" "": the delimiter, and the root of the reference. */
static void tell_delimiter(struct session *s, struct view reference)
{
	size_t root = view_find(reference, STORE_DELIMITER);

	tell(s, "LIST", "\\Noselect",
	     root < reference.len ? view_take(reference, root + 1) : VIEW(""));
	session_ok(s, "List completed");
}

static void list_plain(struct session *s, struct argument *a)
{
	struct store_names names;
	struct text pattern;
	struct reason why;

	if (a->next->text.len == 0) {
		tell_delimiter(s, a->text);
		return;
	}
	if (!whole_pattern(s, a, &pattern))
		return;
	enum store_result result = store_folders(s->store, &names, &why);

	if (result != STORE_OK) {
		session_store_no(s, result, &why, NULL);
	} else {
		for (unsigned i = 0; i < names.count; i++)
			if (mailboxname_match(text_view(&pattern), view_of(names.names[i].name)))
				tell_folder(s, &names.names[i]);
		store_names_free(&names);
		session_ok(s, "List completed");
	}
	text_free(&pattern);
}

void list_run(struct session *s, struct argument *a)
{
	struct view reference;

	if (list_is_extended(a))
		list_extended_run(s, a);
	else if (argument_astring(a, &reference) && list_pattern_valid(a->next))
		list_plain(s, a);
	else
		session_bad(s, "LIST: invalid arguments");
}

/* ---- LSUB ---- */

static bool is_below(struct view name, struct view ancestor)
{
	return name.len > ancestor.len && view_starts(name, ancestor) &&
	       name.data[ancestor.len] == STORE_DELIMITER;
}

/* "%" shows the parents of subscribed names that it cannot reach (section 6.3.9). Without "*" in
 * the pattern all that it matches are of one depth, so that no name is told twice: names are sorted
 * and those below one parent stand together. */
static void tell_parent(struct session *s, struct view pattern, struct view name,
                        struct view previous)
{
	for (size_t end = view_find(name, STORE_DELIMITER); end < name.len;
	     end += 1 + view_find(view_skip(name, end + 1), STORE_DELIMITER)) {
		struct view parent = view_take(name, end);

		if (mailboxname_match(pattern, parent)) {
			if (!is_below(previous, parent) && !view_equal(previous, parent))
				tell(s, "LSUB", "\\Noselect", parent);
			return;
		}
	}
}

static void tell_subscribed(struct session *s, struct view pattern, const struct store_names *names)
{
	bool parents =
		view_find(pattern, '%') < pattern.len && view_find(pattern, '*') == pattern.len;
	struct view previous = VIEW("");

	for (unsigned i = 0; i < names->count; i++) {
		struct view name = view_of(names->names[i].name);

		if (mailboxname_match(pattern, name))
			tell(s, "LSUB", "", name);
		else if (parents)
			tell_parent(s, pattern, name, previous);
		previous = name;
	}
}

void lsub_run(struct session *s, struct argument *a)
{
	struct store_names names;
	struct text pattern;
	struct reason why;

	if (!whole_pattern(s, a, &pattern))
		return;
	enum store_result result = store_subscriptions(s->store, &names, &why);

	if (result != STORE_OK) {
		session_store_no(s, result, &why, NULL);
	} else {
		tell_subscribed(s, text_view(&pattern), &names);
		store_names_free(&names);
		session_ok(s, "Lsub completed");
	}
	text_free(&pattern);
}
