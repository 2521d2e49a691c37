/* SPDX-License-Identifier: ISC */
/* IDLE (RFC 2177): wakes on the folder's descriptor or the client, nothing is polled. */
#include "imapd/command.h"

enum { IDLE_DONE_MAX = 100 };

static void read_done(struct session *s)
{
	struct view line;
	bool good;

	if (!session_line(s, IDLE_DONE_MAX, &line, &good))
		return;
	if (good && view_equal_nocase(view_trim(line), VIEW("DONE")))
		session_ok(s, "Idle completed");
	else
		session_bad(s, "IDLE: expected DONE");
}

void idle_run(struct session *s, struct argument *a)
{
	int watch = s->folder != NULL ? folder_watch(s->folder) : -1;

	(void)a;
	stream_write(&s->stream, VIEW("+ idling\r\n"));
	if (s->folder != NULL)
		session_sync(s, true); /* what came before the watch began */
	while (s->state != SESSION_LOGOUT) {
		bool changed = false;

		if (!session_wait(s, watch, &changed))
			return;
		if (changed)
			session_sync(s, true);
		else if (s->state != SESSION_LOGOUT) {
			read_done(s);
			return;
		}
	}
}
