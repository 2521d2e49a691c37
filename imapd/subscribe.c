/* SPDX-License-Identifier: ISC */
/* SUBSCRIBE and UNSUBSCRIBE (RFC 3501 sections 6.3.6, 6.3.7). A name need not exist: it may come
 * back. */
#include "imapd/command.h"

static void subscribe(struct session *s, struct view name, bool on)
{
	struct reason why;
	enum store_result result = store_subscribe(s->store, name, on, &why);

	if (result == STORE_OK)
		session_ok(s, "%s completed", on ? "Subscribe" : "Unsubscribe");
	else
		session_store_no(s, result, &why, NULL);
}

void subscribe_run(struct session *s, struct argument *a)
{
	subscribe(s, a->text, true);
}

void unsubscribe_run(struct session *s, struct argument *a)
{
	subscribe(s, a->text, false);
}
