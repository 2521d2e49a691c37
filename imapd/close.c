/* SPDX-License-Identifier: ISC */
/* CLOSE (RFC 3501 section 6.4.2) and UNSELECT (RFC 3691): with and without an expunge. */
#include "imapd/command.h"

void close_run(struct session *s, struct argument *a)
{
	struct reason why;
	enum store_result result = STORE_OK;

	(void)a;
	if (!folder_read_only(s->folder))
		result = folder_expunge(s->folder, NULL, 0, &why);
	session_unselect(s);
	if (result == STORE_OK || result == STORE_GONE)
		session_ok(s, "Close completed");
	else
		session_store_no(s, result, &why, NULL);
}

void unselect_run(struct session *s, struct argument *a)
{
	(void)a;
	session_unselect(s);
	session_ok(s, "Unselect completed");
}
