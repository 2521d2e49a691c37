/* SPDX-License-Identifier: ISC */
/* COPY (RFC 3501 section 6.4.7) and MOVE (RFC 6851), with COPYUID (RFC 4315 section 3). */
#include <stdlib.h>

#include "imapd/command.h"

/* "COPYUID 38505 304,319:320 3956:3958"; empty when nothing was copied, and when it would be longer
 * than a tagged answer may be: half a set names other messages, and RFC 4315 section 3 lets it be
 * left out. */
static void copyuid(struct session *s, const struct folder *to, const uint32_t *seqs,
                    const uint32_t *uids, uint32_t count, struct text *out)
{
	struct sequence_writer from = { .out = out }, made = { .out = out };
	bool any = false;

	for (uint32_t i = 0; i < count; i++)
		any |= uids[i] != 0;
	if (!any)
		return;
	text_format(out, "[COPYUID %u ", folder_uidvalidity(to));
	for (uint32_t i = 0; i < count; i++)
		if (uids[i])
			sequence_write(&from, folder_uid(s->folder, seqs[i]));
	sequence_write_end(&from);
	text_add_byte(out, ' ');
	for (uint32_t i = 0; i < count; i++)
		if (uids[i])
			sequence_write(&made, uids[i]);
	sequence_write_end(&made);
	text_add_string(out, "] ");
	if (out->full)
		text_clear(out);
}

/* What another session has removed is not copied, and a client that goes by numbers hears of it
 * (RFC 2180 section 4.4); UIDs that are gone are ignored (RFC 3501 section 6.4.8). True: nothing
 * was there, and that is the answer. */
static bool tell_gone(struct session *s, const uint32_t *uids, uint32_t count)
{
	uint32_t gone = 0;

	for (uint32_t i = 0; i < count; i++)
		gone += uids[i] == 0;
	if (gone == 0 || s->by_uid)
		return false;
	if (gone == count)
		session_no(s, "[EXPUNGEISSUED] None of the messages exist any more");
	else
		stream_format(&s->stream,
		              "* NO [EXPUNGEISSUED] Some of the messages no longer exist\r\n");
	return gone == count;
}

static void copy_messages(struct session *s, const uint32_t *seqs, uint32_t count,
                          struct folder *to, bool move)
{
	uint32_t *uids = memory_get(count * sizeof *uids);
	struct text code;
	struct reason why;
	enum store_result result = move ? folder_move(s->folder, seqs, count, to, uids, &why)
	                                : folder_copy(s->folder, seqs, count, to, uids, &why);

	text_init(&code, SESSION_TAGGED_MAX - 100);
	if (result != STORE_OK) {
		session_store_no(s, result, &why, "TRYCREATE");
	} else if (!tell_gone(s, uids, count)) {
		copyuid(s, to, seqs, uids, count, &code);
		/* MOVE tells it before the EXPUNGEs (RFC 6851 section 4.3). */
		if (move && code.len)
			stream_format(&s->stream, "* OK %sMoved\r\n", text_string(&code));
		session_ok(s, "%s%s completed", move ? "" : text_string(&code),
		           move ? "Move" : "Copy");
	}
	text_free(&code);
	free(uids);
}

static void copy_or_move(struct session *s, struct argument *a, bool move)
{
	struct folder *to = NULL;
	struct reason why;
	uint32_t *seqs, count;

	if (!session_message_list(s, &seqs, &count))
		return;
	/* Read only: the messages there stay \Recent for the session that selects the mailbox. */
	enum store_result result = folder_open(s->store, a->next->text, true, &to, &why);

	if (result != STORE_OK)
		session_store_no(s, result, &why, "TRYCREATE");
	else if (count == 0)
		session_ok(s, "There are no such messages");
	else
		copy_messages(s, seqs, count, to, move);
	folder_close(&to);
	free(seqs);
}

void copy_run(struct session *s, struct argument *a)
{
	copy_or_move(s, a, false);
}

void move_run(struct session *s, struct argument *a)
{
	copy_or_move(s, a, true);
}
