/* SPDX-License-Identifier: ISC */
#include "imapd/flags.h"

static const struct {
	const char *name;
	uint32_t flag;
} system_flags[] = {
	{ "\\Answered", STORE_FLAG_ANSWERED },
	{ "\\Flagged", STORE_FLAG_FLAGGED },
	{ "\\Deleted", STORE_FLAG_DELETED },
	{ "\\Seen", STORE_FLAG_SEEN },
	{ "\\Draft", STORE_FLAG_DRAFT },
	/* A keyword on the wire, a letter of its own in a Maildir: mutt and Dovecot see it too. */
	{ "$Forwarded", STORE_FLAG_PASSED },
};
enum { SYSTEM_FLAGS = sizeof system_flags / sizeof system_flags[0] };

/* What was read so far: keywords, each once. */
struct reading {
	uint32_t system;
	struct view keywords[STORE_KEYWORDS_MAX];
	unsigned count;
	bool too_many; /* more than any mailbox has */
};

static void add_keyword(struct reading *r, struct view keyword)
{
	for (unsigned i = 0; i < r->count; i++)
		if (view_equal_nocase(r->keywords[i], keyword))
			return;
	if (r->count < STORE_KEYWORDS_MAX)
		r->keywords[r->count++] = keyword;
	else
		r->too_many = true;
}

static const char *read_one(const struct argument *a, struct reading *r)
{
	struct view keyword;

	for (size_t i = 0; i < SYSTEM_FLAGS; i++)
		if (argument_is_atom(a, system_flags[i].name)) {
			r->system |= system_flags[i].flag;
			return NULL;
		}
	if (a->type == ARGUMENT_ATOM && a->text.data[0] == '\\')
		return "Unknown or read-only system flag";
	if (a->type != ARGUMENT_ATOM || !argument_astring(a, &keyword) ||
	    view_find(keyword, ']') != keyword.len)
		return "Invalid flag";
	if (keyword.len > STORE_KEYWORD_NAME_MAX)
		return "A keyword is too long";
	add_keyword(r, keyword);
	return NULL;
}

bool flags_read(struct session *s, struct folder *folder, const struct argument *first, bool create,
                struct flags *out)
{
	struct reading r = { 0 };
	struct reason why;

	for (const struct argument *a = first; a != NULL; a = a->next) {
		const char *fault = read_one(a, &r);

		if (fault != NULL) {
			session_bad(s, "%s", fault);
			return false;
		}
	}
	if (r.too_many) {
		session_no(s, "[LIMIT] A mailbox has at most %d keywords", STORE_KEYWORDS_MAX);
		return false;
	}
	out->system = r.system;
	enum store_result result =
		folder_keywords(folder, r.keywords, r.count, create, &out->keywords, &why);

	if (result != STORE_OK)
		session_store_no(s, result, &why, NULL);
	return result == STORE_OK;
}

static void add_word(struct text *out, size_t begin, const char *word)
{
	if (out->len > begin)
		text_add_byte(out, ' ');
	text_add_string(out, word);
}

void flags_write(struct text *out, const struct folder *folder, const struct store_message *m)
{
	size_t begin = out->len;

	for (size_t i = 0; i < SYSTEM_FLAGS; i++)
		if (m->flags & system_flags[i].flag)
			add_word(out, begin, system_flags[i].name);
	if (m->recent)
		add_word(out, begin, "\\Recent");
	for (unsigned n = 0; n < STORE_KEYWORDS_MAX && m->keywords >> n; n++) {
		const char *name = m->keywords >> n & 1 ? folder_keyword_name(folder, n) : NULL;

		if (name != NULL)
			add_word(out, begin, name);
	}
}

void flags_tell(struct session *s, uint32_t seq)
{
	struct store_message m;
	struct text line;
	struct reason why;

	if (folder_message(s->folder, seq, 0, &m, &why) != STORE_OK)
		return;
	text_init(&line, SESSION_ANSWER_MAX);
	text_format(&line, "* %u FETCH (", seq);
	if (s->by_uid)
		text_format(&line, "UID %u ", m.uid);
	text_add_string(&line, "FLAGS (");
	flags_write(&line, s->folder, &m);
	text_add_string(&line, "))\r\n");
	stream_write(&s->stream, text_view(&line));
	text_free(&line);
}

static unsigned keyword_count(const struct folder *folder)
{
	unsigned count = 0;

	for (unsigned n = 0; n < STORE_KEYWORDS_MAX; n++)
		count += folder_keyword_name(folder, n) != NULL;
	return count;
}

void flags_tell_new(struct session *s)
{
	if (keyword_count(s->folder) != s->keywords_told)
		flags_tell_table(s);
}

void flags_tell_table(struct session *s)
{
	struct text names;
	bool room = false;

	s->keywords_told = keyword_count(s->folder);

	text_init(&names, SESSION_ANSWER_MAX);
	for (size_t i = 0; i < SYSTEM_FLAGS; i++)
		add_word(&names, 0, system_flags[i].name);
	for (unsigned n = 0; n < STORE_KEYWORDS_MAX; n++) {
		const char *name = folder_keyword_name(s->folder, n);

		if (name != NULL)
			add_word(&names, 0, name);
		else
			room = true;
	}
	stream_format(&s->stream, "* FLAGS (%s)\r\n", text_string(&names));
	if (folder_read_only(s->folder))
		stream_format(&s->stream, "* OK [PERMANENTFLAGS ()] Mailbox is read-only\r\n");
	else
		stream_format(&s->stream, "* OK [PERMANENTFLAGS (%s%s)] Flags permitted\r\n",
		              text_string(&names), room ? " \\*" : "");
	text_free(&names);
}
