/* SPDX-License-Identifier: ISC */
/* CAPABILITY (RFC 3501 section 6.1.1). What only the login offers (STARTTLS, AUTH=, SASL-IR) is not
 * listed here. */
#include "imapd/command.h"

const char capability_text[] =
	"IMAP4rev1 LITERAL+ ID ENABLE IDLE NAMESPACE UIDPLUS UNSELECT CHILDREN SPECIAL-USE MOVE ESEARCH "
	"STATUS=SIZE";

void capability_run(struct session *s, struct argument *a)
{
	(void)a;
	stream_format(&s->stream, "* CAPABILITY %s\r\n", capability_text);
	session_ok(s, "Capability completed");
}
