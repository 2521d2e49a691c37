/* SPDX-License-Identifier: ISC */
/* CAPABILITY (RFC 3501 section 6.1.1). */
#include "imapd/command.h"

void capability_run(struct session *s, struct argument *a)
{
	struct text list;

	(void)a;
	text_init(&list, COMMAND_CAPABILITIES_MAX);
	command_capabilities(&list);
	stream_format(&s->stream, "* CAPABILITY%s\r\n", text_string(&list));
	text_free(&list);
	session_ok(s, "Capability completed");
}
