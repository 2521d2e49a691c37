/* SPDX-License-Identifier: ISC */
#include "pop3d/command.h"

const struct pop3_row pop3_table[POP3_VERBS] = {
	[POP3_STAT] = { "STAT", POP3_NONE, NULL },
	[POP3_LIST] = { "LIST", POP3_MAY_NAME_MESSAGE, NULL },
	[POP3_RETR] = { "RETR", POP3_NAMES_MESSAGE, NULL },
	[POP3_DELE] = { "DELE", POP3_NAMES_MESSAGE, NULL },
	[POP3_NOOP] = { "NOOP", POP3_NONE, NULL },
	[POP3_RSET] = { "RSET", POP3_NONE, NULL },
	[POP3_QUIT] = { "QUIT", POP3_NONE, NULL },
	[POP3_TOP] = { "TOP", POP3_NAMES_MESSAGE_AND_LINES, "TOP" },
	[POP3_UIDL] = { "UIDL", POP3_MAY_NAME_MESSAGE, "UIDL" },
	[POP3_CAPA] = { "CAPA", POP3_NONE, NULL },
};

/* Those that are no command. */
static const struct capability general[] = {
	{ "RESP-CODES", CAPABILITY_ALWAYS, CAPABILITY_WORD },     /* RFC 2449 section 6.4 */
	{ "AUTH-RESP-CODE", CAPABILITY_ALWAYS, CAPABILITY_WORD }, /* RFC 3206 */
	{ "PIPELINING", CAPABILITY_ALWAYS, CAPABILITY_WORD },
	{ "EXPIRE NEVER", CAPABILITY_ALWAYS, CAPABILITY_WORD },
};

void pop3_capabilities_begin(struct capability_writer *w)
{
	w->before = "";
	w->after = "\r\n";
	text_add_string(w->out, "+OK\r\n");
	for (unsigned verb = 0; verb < POP3_VERBS; verb++) {
		const struct capability c = { pop3_table[verb].capability, CAPABILITY_ALWAYS,
			                      CAPABILITY_WORD };

		capability_write(w, &c);
	}
	for (size_t i = 0; i < sizeof general / sizeof general[0]; i++)
		capability_write(w, &general[i]);
}

void pop3_capabilities_end(const struct capability_writer *w)
{
	text_add_string(w->out, "IMPLEMENTATION posthouse\r\n.\r\n");
}

/* A number as clients write it; one too large for us is one that no message has. */
static bool take_number(struct view *rest, uint32_t *out)
{
	struct view word;
	uint64_t n;

	if (!view_cut(rest, ' ', &word) || word.len == 0)
		return false;
	for (size_t i = 0; i < word.len; i++)
		if (!byte_is_digit(word.data[i]))
			return false;
	*out = view_number(word, UINT32_MAX, &n) ? (uint32_t)n : UINT32_MAX;
	return true;
}

static const char *parse_arguments(struct view rest, struct pop3_command *out)
{
	enum pop3_argument rule = pop3_table[out->verb].argument;

	if (rule == POP3_NONE)
		return rest.len ? "unexpected argument" : NULL;
	if (rest.len == 0)
		return rule == POP3_MAY_NAME_MESSAGE ? NULL : "missing message number";
	if (!take_number(&rest, &out->message) || out->message == 0)
		return "invalid message number";
	out->has_message = true;
	if (rule == POP3_NAMES_MESSAGE_AND_LINES && !take_number(&rest, &out->lines))
		return "missing or invalid number of lines";
	return rest.len ? "too many arguments" : NULL;
}

const char *pop3_parse(struct view line, struct pop3_command *out)
{
	struct view name;

	*out = (struct pop3_command){ 0 };
	/* Blanks at the end are many clients' habit. */
	while (line.len && line.data[line.len - 1] == ' ')
		line.len--;
	if (!view_cut(&line, ' ', &name))
		return "empty command";
	for (unsigned verb = 0; verb < POP3_VERBS; verb++)
		if (view_equal_nocase(name, view_of(pop3_table[verb].name))) {
			out->verb = (enum pop3_verb)verb;
			return parse_arguments(line, out);
		}
	return "unknown command";
}
