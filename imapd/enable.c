/* SPDX-License-Identifier: ISC */
/* ENABLE (RFC 5161): no extension here needs it, so that none is ever enabled; unknown ones are
 * passed over. */
#include "imapd/command.h"

void enable_run(struct session *s, struct argument *a)
{
	for (; a != NULL; a = a->next)
		if (a->type != ARGUMENT_ATOM) {
			session_bad(s, "ENABLE: invalid arguments");
			return;
		}
	stream_format(&s->stream, "* ENABLED\r\n");
	session_ok(s, "Enable completed");
}
