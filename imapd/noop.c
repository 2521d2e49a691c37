/* SPDX-License-Identifier: ISC */
/* NOOP (RFC 3501 section 6.1.2): what it is for, telling what changed, the dispatcher does behind
 * it. */
#include "imapd/command.h"

void noop_run(struct session *s, struct argument *a)
{
	(void)a;
	session_ok(s, "Noop completed");
}
