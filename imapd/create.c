/* SPDX-License-Identifier: ISC */
/* CREATE, DELETE, RENAME (RFC 3501 sections 6.3.3 to 6.3.5). */
#include "imapd/command.h"

static void finish(struct session *s, enum store_result result, const struct reason *why,
                   const char *done)
{
	if (result == STORE_OK)
		session_ok(s, "%s completed", done);
	else
		session_store_no(s, result, why, NULL);
}

void create_run(struct session *s, struct argument *a)
{
	struct reason why;

	finish(s, store_create(s->store, a->text, &why), &why, "Create");
}

void delete_run(struct session *s, struct argument *a)
{
	struct reason why;

	finish(s, store_delete(s->store, a->text, &why), &why, "Delete");
	/* Whoever deletes the selected mailbox has none selected then. */
	if (s->folder != NULL)
		session_sync_or_leave(s, true);
}

void rename_run(struct session *s, struct argument *a)
{
	struct reason why;

	finish(s, store_rename(s->store, a->text, a->next->text, &why), &why, "Rename");
}
