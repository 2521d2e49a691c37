/* SPDX-License-Identifier: ISC */
/* LOGOUT (RFC 3501 section 6.1.3), and the commands that come too late. */
#include "imapd/command.h"

void logout_run(struct session *s, struct argument *a)
{
	(void)a;
	session_bye(s, "Logging out");
	session_ok(s, "Logout completed");
}

/* LOGIN, AUTHENTICATE, STARTTLS: not authenticated state only (RFC 3501 section 6.2). */
void already_run(struct session *s, struct argument *a)
{
	(void)a;
	session_bad(s, "Already logged in");
}
