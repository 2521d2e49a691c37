/* SPDX-License-Identifier: ISC */
/* NAMESPACE (RFC 2342): one personal namespace at the root. */
#include "imapd/command.h"

void namespace_run(struct session *s, struct argument *a)
{
	(void)a;
	stream_format(&s->stream, "* NAMESPACE ((\"\" \"%c\")) NIL NIL\r\n", STORE_DELIMITER);
	session_ok(s, "Namespace completed");
}
