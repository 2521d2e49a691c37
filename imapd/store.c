/* SPDX-License-Identifier: ISC */
/* STORE and UID STORE (RFC 3501 section 6.4.6). */
#include <stdlib.h>

#include "imapd/command.h"
#include "imapd/flags.h"

struct store_item {
	const char *name;
	enum store_change change;
	bool silent;
};

static const struct store_item items[] = {
	{ "FLAGS", STORE_REPLACE, false }, { "FLAGS.SILENT", STORE_REPLACE, true },
	{ "+FLAGS", STORE_ADD, false },    { "+FLAGS.SILENT", STORE_ADD, true },
	{ "-FLAGS", STORE_REMOVE, false }, { "-FLAGS.SILENT", STORE_REMOVE, true },
};

static const struct store_item *item_find(const struct argument *a)
{
	for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
		if (argument_is_atom(a, items[i].name))
			return &items[i];
	return NULL;
}

/* FLAGS () takes $Forwarded away as any other flag; the store keeps that letter in a
 * replacement. */
static enum store_result change_flags(struct folder *f, const uint32_t *seqs, uint32_t count,
                                      enum store_change change, const struct flags *flags,
                                      struct reason *why)
{
	if (change == STORE_REPLACE && !(flags->system & STORE_FLAG_PASSED)) {
		enum store_result result =
			folder_store(f, seqs, count, STORE_REMOVE, STORE_FLAG_PASSED, 0, why);

		if (result != STORE_OK)
			return result;
	}
	return folder_store(f, seqs, count, change, flags->system, flags->keywords, why);
}

static void change_messages(struct session *s, const uint32_t *seqs, uint32_t count,
                            const struct store_item *item, const struct flags *flags)
{
	struct reason why;
	enum store_result result = change_flags(s->folder, seqs, count, item->change, flags, &why);

	if (result != STORE_OK) {
		session_store_no(s, result, &why, NULL);
		return;
	}
	flags_tell_new(s);
	uint32_t gone = 0;

	for (uint32_t i = 0; i < count; i++)
		if (folder_gone(s->folder, seqs[i]))
			gone++;
		else if (!item->silent)
			flags_tell(s, seqs[i]);
	/* RFC 2180 sections 4.2.1 to 4.2.3. UIDs that are gone are ignored (RFC 3501 section
	 * 6.4.8). */
	if (gone == 0 || item->silent || s->by_uid)
		session_ok(s, "Store completed");
	else
		session_no(s, "[EXPUNGEISSUED] %s of the messages no longer exist",
		           gone < count ? "Some" : "None");
}

void store_run(struct session *s, struct argument *a)
{
	const struct store_item *item = item_find(a->next);
	const struct argument *list = a->next->next;
	uint32_t *seqs, count;
	struct flags flags;

	if (item == NULL || (list->type == ARGUMENT_LIST && list->next != NULL)) {
		session_bad(s, "STORE: invalid arguments");
		return;
	}
	if (!session_message_list(s, &seqs, &count))
		return;
	/* What is taken away is not made for it. */
	if (flags_read(s, s->folder, list->type == ARGUMENT_LIST ? list->first : list,
	               item->change != STORE_REMOVE, &flags))
		change_messages(s, seqs, count, item, &flags);
	free(seqs);
}
