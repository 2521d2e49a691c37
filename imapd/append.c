/* SPDX-License-Identifier: ISC */
/* APPEND (RFC 3501 section 6.3.11) with APPENDUID (RFC 4315 section 3): the literal goes to the
 * file as it comes. */
#include <string.h>

#include "imapd/command.h"
#include "imapd/flags.h"
#include "lib/mail/date.h"

struct append {
	struct flags flags;
	int64_t date_s;
};

/* What came. */
struct arrival {
	bool clean; /* nothing stood behind the literal */
	bool nul;   /* a NUL in it, which no literal may hold (RFC 3501 section 9, CHAR8) */
	enum store_result result;
	struct reason why;
};

/* [flags] [date-time], and nothing else, before the literal; what is wrong with the rest is said
 * before a keyword is made. false: the command has its answer. */
static bool read_options(struct session *s, struct folder *to, const struct argument *a,
                         struct append *out)
{
	const struct argument *list = a != NULL && a->type == ARGUMENT_LIST ? a : NULL;
	struct date date;

	*out = (struct append){ .date_s = STORE_DATE_NOW };
	if (list != NULL)
		a = a->next;
	if (a != NULL) {
		if (a->type != ARGUMENT_QUOTED || !date_imap_parse(a->text, &date)) {
			session_bad(s, "APPEND: invalid date");
			return false;
		}
		out->date_s = date.when_s;
		a = a->next;
	}
	if (a != NULL) {
		session_bad(s, "APPEND: invalid arguments");
		return false;
	}
	return list == NULL || flags_read(s, to, list->first, true, &out->flags);
}

/* The literal's bytes and the end of the command's line; what the store no longer wants is still
 * read. false: the session is over. */
static bool take_message(struct session *s, struct folder_append *append, struct arrival *a)
{
	uint64_t left = s->parser.literal_bytes;
	struct view bytes, line;
	bool good;

	while (left) {
		if (!session_some(s, left, &bytes))
			return false;
		a->nul |= memchr(bytes.data, '\0', bytes.len) != NULL;
		if (a->result == STORE_OK && !a->nul)
			a->result = folder_append_write(append, bytes, &a->why);
		left -= bytes.len;
	}
	if (!session_line(s, SESSION_LINE_MAX, &line, &good))
		return false;
	a->clean = good && line.len == 0;
	return session_swallow_announced(s, line, good);
}

static void finish(struct session *s, struct folder *to, struct folder_append **append,
                   const struct append *options, struct arrival *a)
{
	uint32_t uid = 0;

	if (a->result == STORE_OK && a->clean && !a->nul)
		a->result =
			folder_append_finish(append, options->flags.system, options->flags.keywords,
		                             options->date_s, &uid, &a->why);
	folder_append_abort(append);
	if (!a->clean)
		session_bad(s, "APPEND: unexpected data after the message");
	else if (a->nul)
		session_bad(s, "APPEND: NUL in message");
	else if (a->result != STORE_OK)
		session_store_no(s, a->result, &a->why, NULL);
	else
		session_ok(s, "[APPENDUID %u %u] Append completed", folder_uidvalidity(to), uid);
}

static void receive(struct session *s, struct folder *to, const struct append *options)
{
	struct folder_append *append = NULL;
	struct arrival a = { 0 };

	a.result = folder_append_begin(to, s->parser.literal_bytes, &append, &a.why);
	if (a.result != STORE_OK) {
		session_store_no(s, a.result, &a.why, NULL);
		return;
	}
	session_take_literal(s);
	if (take_message(s, append, &a))
		finish(s, to, &append, options, &a);
	else
		folder_append_abort(&append);
}

void append_run(struct session *s, struct argument *a)
{
	struct folder *to = NULL;
	struct append options;
	struct reason why;

	if (!s->literal_waiting) {
		session_bad(s, "APPEND: the message must be a literal");
		return;
	}
	if (s->parser.literal_bytes > s->message_max) {
		session_no(s, "[TOOBIG] The message is larger than %llu bytes",
		           (unsigned long long)s->message_max);
		return;
	}
	/* Read only: the messages there stay \Recent for the session that selects the mailbox. */
	enum store_result result = folder_open(s->store, a->text, true, &to, &why);

	if (result != STORE_OK) {
		session_store_no(s, result, &why, "TRYCREATE");
		return;
	}
	if (read_options(s, to, a->next, &options))
		receive(s, to, &options);
	folder_close(&to);
}
