/* SPDX-License-Identifier: ISC */
/* SEARCH and UID SEARCH (RFC 3501 section 6.4.4), with RETURN (ESEARCH, RFC 4731). */
#include "imapd/answer.h"
#include "imapd/command.h"
#include "imapd/searchrun.h"
#include "lib/mail/charset.h"

enum result_option { RESULT_MIN = 1, RESULT_MAX = 2, RESULT_ALL = 4, RESULT_COUNT = 8 };

static const struct {
	const char *name;
	unsigned option;
} result_options[] = { { "MIN", RESULT_MIN },
	               { "MAX", RESULT_MAX },
	               { "ALL", RESULT_ALL },
	               { "COUNT", RESULT_COUNT } };

struct search {
	struct session *s;
	struct search_key *key;
	unsigned options; /* 0: the answer of RFC 3501 */
	uint32_t min, max, count;
	struct text all;
	struct sequence_writer writer;
};

static bool read_options(struct search *search, const struct argument *list)
{
	if (list == NULL || list->type != ARGUMENT_LIST)
		return false;
	for (const struct argument *a = list->first; a != NULL; a = a->next) {
		unsigned option = 0;

		for (size_t i = 0; i < sizeof result_options / sizeof result_options[0]; i++)
			if (argument_is_atom(a, result_options[i].name))
				option = result_options[i].option;
		if (option == 0)
			return false;
		search->options |= option;
	}
	if (search->options == 0) /* RETURN () is RETURN (ALL) (RFC 4731 section 3.1) */
		search->options = RESULT_ALL;
	return true;
}

static void found(struct search *search, uint32_t seq)
{
	uint32_t number = search->s->by_uid ? folder_uid(search->s->folder, seq) : seq;

	if (search->count++ == 0)
		search->min = number;
	search->max = number;
	if (search->options == 0)
		stream_format(&search->s->stream, " %u", number);
	else if (search->options & RESULT_ALL)
		sequence_write(&search->writer, number);
}

static void tell_extended(struct search *search)
{
	struct text line;

	text_init(&line, SESSION_ANSWER_MAX);
	text_add_string(&line, "* ESEARCH (TAG ");
	answer_string(&line, search->s->parser.tag);
	text_add_string(&line, search->s->by_uid ? ") UID" : ")");
	if (search->options & RESULT_MIN && search->count)
		text_format(&line, " MIN %u", search->min);
	if (search->options & RESULT_MAX && search->count)
		text_format(&line, " MAX %u", search->max);
	if (search->options & RESULT_COUNT)
		text_format(&line, " COUNT %u", search->count);
	sequence_write_end(&search->writer);
	if (search->options & RESULT_ALL && search->count)
		text_format(&line, " ALL %s", text_string(&search->all));
	text_add_string(&line, "\r\n");
	stream_write(&search->s->stream, text_view(&line));
	text_free(&line);
}

static void search_all(struct search *search)
{
	uint32_t count = folder_count(search->s->folder);

	text_init(&search->all, SESSION_ANSWER_MAX);
	search->writer = (struct sequence_writer){ .out = &search->all };
	if (search->options == 0)
		stream_write(&search->s->stream, VIEW("* SEARCH"));
	for (uint32_t seq = 1; seq <= count && !search->s->stream.write_failed; seq++)
		if (search_matches(search->s->folder, seq, search->key))
			found(search, seq);
	if (search->options == 0)
		stream_write(&search->s->stream, VIEW("\r\n"));
	else
		tell_extended(search);
	text_free(&search->all);
}

void search_run(struct session *s, struct argument *a)
{
	struct search search = { .s = s };
	struct view charset = VIEW("");
	const char *error;

	if (argument_is_atom(a, "RETURN")) {
		if (!read_options(&search, a->next)) {
			session_bad(s, "SEARCH: invalid result options");
			return;
		}
		a = a->next->next;
	}
	if (argument_is_atom(a, "CHARSET")) {
		if (!argument_astring(a->next, &charset)) {
			session_bad(s, "SEARCH: missing charset");
			return;
		}
		if (!charset_known(charset)) {
			session_no(s, "[BADCHARSET (US-ASCII UTF-8)] Unsupported charset");
			return;
		}
		a = a->next->next;
	}
	search.key = search_compile(s, a, charset, &error);
	if (search.key == NULL) {
		session_bad(s, "SEARCH: %s", error);
		return;
	}
	search_all(&search);
	session_ok(s, "Search completed");
}
