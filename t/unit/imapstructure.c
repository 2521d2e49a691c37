/* SPDX-License-Identifier: ISC */
/* ENVELOPE and BODYSTRUCTURE texts: cases checked by hand, and, with a directory or files as
 * arguments, the texts of those. */

#include <stdlib.h>

#include "imapd/answer.h"
#include "imapd/structure.h"
#include "lib/mail/header.h"
#include "t/tap.h"

static const char *text_of(struct view message, int which)
{
	static struct text out;
	struct arena arena = { .limit = MIME_ARENA_BYTES };
	struct mime_message mime;

	text_free(&out);
	text_init(&out, STRUCTURE_TEXT_MAX);
	if (which == 0) {
		structure_envelope(&out, view_take(message, header_length(message, message.len)));
	} else {
		mime_parse(&arena, message, &mime);
		structure_body(&out, message, mime.root, which == 2);
	}
	arena_clear(&arena);
	return out.raw;
}

static const struct {
	const char *what, *message, *envelope, *body, *structure;
} cases[] = {
	{ "RFC 3501's example (section 8)",
	  "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nFrom: Terry Gray <gray@cac.washington.edu>\r\n"
	  "Subject: IMAP4rev1 WG mtg summary and minutes\r\nTo: imap@cac.washington.edu\r\n"
	  "cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
	  "Message-Id: <B27397-0100000@cac.washington.edu>\r\nMIME-Version: 1.0\r\n"
	  "Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\none\r\ntwo\r\n",
	  "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" "
	  "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	  "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((NIL NIL \"imap\" \"cac.washington.edu\")) "
	  "((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL "
	  "\"<B27397-0100000@cac.washington.edu>\")",
	  "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7bit\" 10 2)",
	  "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7bit\" 10 2 NIL NIL NIL NIL)" },
	{ "an empty header", "\r\nx", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)",
	  "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 1 0)", NULL },
	{ "groups, hosts that are missing, folding",
	  "From: joe\r\nTo: A group: a@b.test, c@d.test;, Undisclosed:;\r\nSubject: a\r\n b\r\n\r\n",
	  "(NIL \"a b\" ((NIL NIL \"joe\" \"\")) ((NIL NIL \"joe\" \"\")) ((NIL NIL \"joe\" \"\")) "
	  "((NIL NIL \"A group\" NIL)(NIL NIL \"a\" \"b.test\")(NIL NIL \"c\" \"d.test\")(NIL NIL NIL NIL)"
	  "(NIL NIL \"Undisclosed\" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)",
	  NULL, NULL },
	{ "a multipart with a text and an attachment",
	  "Content-Type: multipart/mixed; boundary=xx\r\n\r\npreamble\r\n--xx\r\n\r\nhi\r\n--xx\r\n"
	  "Content-Type: application/pdf; name=\"a b.pdf\"\r\nContent-Transfer-Encoding: base64\r\n"
	  "Content-Disposition: attachment; filename=a.pdf\r\nContent-ID: <1@x>\r\nContent-Language: de, en\r\n"
	  "Content-Description: a file\r\nContent-Location: http://x/\r\nContent-MD5: Q2hlY2s=\r\n\r\nAAAA\r\n--xx--\r\n",
	  NULL,
	  "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 2 0)"
	  "(\"application\" \"pdf\" (\"name\" \"a b.pdf\") \"<1@x>\" \"a file\" \"base64\" 4) \"mixed\")",
	  "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 2 0 NIL NIL NIL NIL)"
	  "(\"application\" \"pdf\" (\"name\" \"a b.pdf\") \"<1@x>\" \"a file\" \"base64\" 4 \"Q2hlY2s=\" "
	  "(\"attachment\" (\"filename\" \"a.pdf\")) (\"de\" \"en\") \"http://x/\") \"mixed\" (\"boundary\" \"xx\") NIL NIL NIL)" },
	{ "a message inside", "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n",
	  NULL,
	  "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 21 (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) "
	  "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 6 1) 3)",
	  NULL },
	{ "two fields To, two Cc, of which the second has nothing, two From",
	  "From: a@b.test\r\nTo: c@d.test\r\nCc: e@f.test\r\nFrom: no@b.test\r\n"
	  "To: X <g@h.test>, i@j.test\r\nCc:\r\n\r\n",
	  "(NIL NIL ((NIL NIL \"a\" \"b.test\")) ((NIL NIL \"a\" \"b.test\")) ((NIL NIL \"a\" \"b.test\")) "
	  "((NIL NIL \"c\" \"d.test\")(\"X\" NIL \"g\" \"h.test\")(NIL NIL \"i\" \"j.test\")) "
	  "((NIL NIL \"e\" \"f.test\")) NIL NIL NIL)",
	  NULL, NULL },
	{ "a multipart without parts", "Content-Type: multipart/mixed\r\n\r\nnothing\r\n", NULL,
	  "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0) \"mixed\")",
	  NULL },
};

static struct view repeated(const char *head, const char *piece, unsigned times, const char *tail)
{
	static struct text message;

	text_free(&message);
	text_init(&message, 64 << 20);
	text_add_string(&message, head);
	for (unsigned i = 0; i < times; i++)
		text_add_string(&message, piece);
	text_add_string(&message, tail);
	return text_view(&message);
}

/* Brackets in balance outside of strings and literals, and nothing behind them. */
static bool is_whole(const char *text)
{
	int depth = 0;
	bool quoted = false;

	for (const char *p = text; *p; p++) {
		if (quoted && *p == '\\')
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (!quoted && *p == '{')
			p += strtoul(p + 1, NULL, 10) + strcspn(p, "\n");
		else if (!quoted)
			depth += (*p == '(') - (*p == ')');
		if (depth == 0 && p[1])
			return false;
	}
	return depth == 0 && !quoted;
}

/* No field makes a message unlistable. */
static void check_large(void)
{
	const char *text = text_of(repeated("Subject: ", "0123456789", 500000, "\r\n\r\n"), 0);
	char want[200], *part = memory_get(40100);
	int used = sprintf(part, "--x\r\nContent-Type: text/plain; name=");

	memset(part + used, 'a', 40000);
	strcpy(part + used + 40000, "\r\n\r\nhello\r\n");

	snprintf(want, sizeof want, "(NIL {%d}\r\n0123456789", ANSWER_DISPLAY_MAX);
	ok(strncmp(text, want, strlen(want)) == 0 && is_whole(text) &&
	           strlen(text) < ANSWER_DISPLAY_MAX + 100,
	   "a subject of 5 MB is cut at its limit");
	text = text_of(repeated("Subject: ab", "\xe2\x82\xac", 100000, "\r\n\r\n"), 0);
	snprintf(want, sizeof want, "(NIL {%d}\r\n", ANSWER_DISPLAY_MAX);
	ok(strncmp(text, want, strlen(want)) == 0, "between two characters");
	text = text_of(repeated("Subject: a", "\xe2\x82\xac", 100000, "\r\n\r\n"), 0);
	snprintf(want, sizeof want, "(NIL {%d}\r\n", ANSWER_DISPLAY_MAX - 1);
	ok(strncmp(text, want, strlen(want)) == 0, "never within one");
	text = text_of(
		repeated("To: x@y", ", somebody.with.a.name@example.test", 100000, "\r\n\r\n"), 0);
	ok(is_whole(text) && strlen(text) > 100000 && strlen(text) < STRUCTURE_LIST_MAX + 1000,
	   "100,000 recipients are cut between two");
	text = text_of(repeated("To: G: x@y", ", somebody.with.a.name@example.test", 19000,
	                        ";\r\n\r\n"),
	               0);
	ok(is_whole(text) && strstr(text, "(NIL NIL NIL NIL)") != NULL,
	   "a group that is cut is closed");
	text = text_of(repeated("To: ", "a", 100000, "@b.test, c@d.test\r\n\r\n"), 0);
	ok(is_whole(text) && strstr(text, "((NIL NIL \"c\" \"d.test\"))") != NULL,
	   "an address is whole or not there");
	for (int which = 1; which <= 2; which++) {
		text = text_of(
			repeated("Content-Type: multipart/mixed; boundary=x\r\n\r\n",
		                 "--x\r\nContent-Type: text/plain; name=aaaaaaaaaaaaaaaaaaaaaaa"
		                 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		                 "\r\n\r\nhello\r\n",
		                 9000, "--x--\r\n"),
			which);
		ok(is_whole(text) && strlen(text) < STRUCTURE_TEXT_MAX, "a body of 9,000 parts");
		text = text_of(repeated("Content-Type: multipart/mixed; boundary=x\r\n\r\n", part,
		                        200, "--x--\r\n"),
		               which);
		snprintf(want, sizeof want,
		         "(\"application\" \"octet-stream\" NIL NIL NIL \"8bit\" %zu%s)",
		         strlen(part) * 200 + strlen("--x--\r\n"),
		         which == 1 ? "" : " NIL NIL NIL NIL");
		is_string(text, want, "a body whose description would be too large");
	}
	free(part);
}

int main(int argc, char **argv)
{
	if (argc > 1) { /* for comparing by hand: the texts of these files */
		for (int i = 1; i < argc; i++) {
			FILE *file = fopen(argv[i], "r");
			struct text message;
			int c;

			text_init(&message, 64 << 20);
			while (file && (c = getc(file)) != EOF)
				text_add_byte(&message, (char)c);
			if (file)
				fclose(file);
			printf("%s\n", text_of(text_view(&message), 0));
			printf("%s\n", text_of(text_view(&message), 2));
			text_free(&message);
		}
		return 0;
	}
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct view message = view_of(cases[i].message);

		if (cases[i].envelope)
			is_string(text_of(message, 0), cases[i].envelope, "ENVELOPE: %s",
			          cases[i].what);
		if (cases[i].body)
			is_string(text_of(message, 1), cases[i].body, "BODY: %s", cases[i].what);
		if (cases[i].structure)
			is_string(text_of(message, 2), cases[i].structure, "BODYSTRUCTURE: %s",
			          cases[i].what);
	}
	check_large();
	return tap_done();
}
