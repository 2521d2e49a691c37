/* SPDX-License-Identifier: ISC */
/* STATUS (RFC 3501 section 6.3.10), with SIZE (RFC 8438). */
#include "imapd/status.h"

#include <inttypes.h>

#include "imapd/answer.h"
#include "imapd/command.h"

static uint64_t messages(const struct folder_status *st)
{
	return st->messages;
}
static uint64_t recent(const struct folder_status *st)
{
	return st->recent;
}
static uint64_t uidnext(const struct folder_status *st)
{
	return st->uidnext;
}
static uint64_t uidvalidity(const struct folder_status *st)
{
	return st->uidvalidity;
}
static uint64_t unseen(const struct folder_status *st)
{
	return st->unseen;
}
static uint64_t size(const struct folder_status *st)
{
	return st->bytes;
}

static const struct status_item {
	const char *name;
	uint64_t (*value)(const struct folder_status *st);
} items[] = {
	{ "MESSAGES", messages }, { "RECENT", recent },           { "SIZE", size },
	{ "UIDNEXT", uidnext },   { "UIDVALIDITY", uidvalidity }, { "UNSEEN", unseen },
};

static const struct status_item *item_find(const struct argument *a)
{
	for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
		if (argument_is_atom(a, items[i].name))
			return &items[i];
	return NULL;
}

void status_tell(struct session *s, struct view name, const struct argument *list,
                 const struct folder_status *status)
{
	struct text line;

	text_init(&line, SESSION_ANSWER_MAX);
	text_add_string(&line, "* STATUS ");
	answer_astring(&line, name);
	for (const struct argument *a = list->first; a != NULL; a = a->next) {
		const struct status_item *item = item_find(a);

		text_format(&line, "%s%s %" PRIu64, a == list->first ? " (" : " ", item->name,
		            item->value(status));
	}
	text_add_string(&line, ")\r\n");
	stream_write(&s->stream, text_view(&line));
	text_free(&line);
}

const char *status_items_fault(const struct argument *list)
{
	if (list->first == NULL)
		return "STATUS: missing items";
	for (const struct argument *a = list->first; a != NULL; a = a->next)
		if (item_find(a) == NULL)
			return "STATUS: unknown item";
	return NULL;
}

enum store_result status_read(struct session *s, struct view name, const struct argument *list,
                              struct folder_status *out, struct reason *why)
{
	bool want_bytes = false;

	for (const struct argument *a = list->first; a != NULL; a = a->next)
		want_bytes |= item_find(a)->value == size;
	return folder_status(s->store, name, want_bytes, out, why);
}

void status_run(struct session *s, struct argument *a)
{
	struct folder_status status;
	struct reason why;
	const char *fault = status_items_fault(a->next);

	if (fault != NULL) {
		session_bad(s, "%s", fault);
		return;
	}
	enum store_result result = status_read(s, a->text, a->next, &status, &why);

	if (result != STORE_OK) {
		session_store_no(s, result, &why, NULL);
		return;
	}
	status_tell(s, a->text, a->next, &status);
	session_ok(s, "Status completed");
}
