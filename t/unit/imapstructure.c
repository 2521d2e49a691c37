/* SPDX-License-Identifier: ISC */
/* ENVELOPE and BODYSTRUCTURE texts: cases checked by hand, and, with a directory or files as
 * arguments, the texts of those. */

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
	return out.data;
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
	{ "a multipart without parts", "Content-Type: multipart/mixed\r\n\r\nnothing\r\n", NULL,
	  "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0) \"mixed\")",
	  NULL },
};

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
	return tap_done();
}
