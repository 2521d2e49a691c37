/* SPDX-License-Identifier: ISC */
/* SELECT and EXAMINE (RFC 3501 sections 6.3.1, 6.3.2). */
#include "imapd/command.h"
#include "imapd/flags.h"

static void tell_mailbox(struct session *s)
{
	struct folder *f = s->folder;
	uint32_t unseen = folder_first_unseen(f);

	flags_tell_table(s);
	stream_format(&s->stream, "* %u EXISTS\r\n* %u RECENT\r\n", folder_count(f),
	              folder_recent(f));
	if (unseen)
		stream_format(&s->stream, "* OK [UNSEEN %u] The first unseen message\r\n", unseen);
	stream_format(&s->stream, "* OK [UIDVALIDITY %u] UIDs are valid\r\n",
	              folder_uidvalidity(f));
	stream_format(&s->stream, "* OK [UIDNEXT %u] The next UID\r\n", folder_uidnext(f));
}

static void open_mailbox(struct session *s, struct view name, bool read_only)
{
	struct reason why;

	/* Also when the new one cannot be opened (section 6.3.1). */
	session_unselect(s);
	enum store_result result = folder_open(s->store, name, read_only, &s->folder, &why);

	if (result != STORE_OK) {
		s->folder = NULL;
		session_store_no(s, result, &why, NULL);
		return;
	}
	s->state = SESSION_SELECTED;
	tell_mailbox(s);
	session_ok(s, "[READ-%s] %s completed", folder_read_only(s->folder) ? "ONLY" : "WRITE",
	           read_only ? "Examine" : "Select");
}

void select_run(struct session *s, struct argument *a)
{
	open_mailbox(s, a->text, false);
}

void examine_run(struct session *s, struct argument *a)
{
	open_mailbox(s, a->text, true);
}
