/* SPDX-License-Identifier: ISC */
/* ID (RFC 2971). The client's words go to the log; ours say what we are, without a version (section
 * 3). */
#include "imapd/command.h"
#include "lib/base/log.h"

enum {
	ID_FIELDS_MAX = 30, /* section 3.1 */
	ID_NAME_MAX = 30,
	ID_VALUE_MAX = 1024
};

/* The RFC wants strings; atoms and numbers are sent too, and understood. */
static bool text_valid(const struct argument *a, size_t max)
{
	return a->type != ARGUMENT_LIST && a->text.len <= max;
}

static bool fields_valid(const struct argument *a)
{
	unsigned count = 0;

	for (; a != NULL; a = a->next->next) {
		if (++count > ID_FIELDS_MAX || !text_valid(a, ID_NAME_MAX) || a->next == NULL ||
		    !text_valid(a->next, ID_VALUE_MAX))
			return false;
	}
	return true;
}

static void log_client(struct session *s, const struct argument *first)
{
	for (const struct argument *a = first; a != NULL; a = a->next->next)
		if (view_equal_nocase(a->text, VIEW("name")))
			log_debug("event=client account=%s name=%s",
			          log_quote(view_of(s->who.address)), log_quote(a->next->text));
}

void id_run(struct session *s, struct argument *a)
{
	bool nothing = argument_is_atom(a, "NIL");

	if (!nothing && (a->type != ARGUMENT_LIST || !fields_valid(a->first))) {
		session_bad(s, "ID: invalid arguments");
		return;
	}
	if (!nothing)
		log_client(s, a->first);
	stream_format(&s->stream, "* ID (\"name\" \"posthouse\")\r\n");
	session_ok(s, "Id completed");
}
