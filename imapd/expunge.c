/* SPDX-License-Identifier: ISC */
/* EXPUNGE (RFC 3501 section 6.4.3) and UID EXPUNGE (RFC 4315 section 2.1); the dispatcher's sync
 * tells what went. */
#include <stdlib.h>

#include "imapd/command.h"

static void expunge(struct session *s, const uint32_t *uids, uint32_t count)
{
	struct reason why;
	enum store_result result = folder_expunge(s->folder, uids, count, &why);

	if (result == STORE_OK)
		session_ok(s, "Expunge completed");
	else
		session_store_no(s, result, &why, NULL);
}

void expunge_run(struct session *s, struct argument *a)
{
	(void)a;
	expunge(s, NULL, 0);
}

void uid_expunge_run(struct session *s, struct argument *a)
{
	uint32_t *uids, count;

	(void)a;
	if (!session_message_list(s, &uids, &count))
		return;
	for (uint32_t i = 0; i < count; i++)
		uids[i] = folder_uid(s->folder, uids[i]);
	if (count)
		expunge(s, uids, count);
	else
		session_ok(s, "Expunge completed: there are no such messages");
	free(uids);
}
