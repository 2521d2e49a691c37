/* SPDX-License-Identifier: ISC */
/*
 * sendmail -bs: SMTP on standard input and output, as some mail programs speak to a local sendmail.
 * Nothing of smtpd's is here: who asks is a user of this machine, whom pickup knows, so each
 * message becomes a submission.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "lib/base/log.h"
#include "lib/mail/mailaddress.h"
#include "queue/submit/lines.h"
#include "queue/submit/sendmail.h"

enum { COMMAND_MAX = 2048 };

struct conversation {
	const struct sending *sending;
	struct submit_envelope envelope;
	bool greeted, has_sender, over;
	struct envelope_recipient *recipients;
	unsigned count;
	struct lines lines;
};

static void say(const char *text)
{
	printf("%s\r\n", text);
	fflush(stdout);
}

static void reset(struct conversation *c)
{
	free(c->recipients);
	c->recipients = NULL;
	c->count = 0;
	c->has_sender = false;
}

static void hello(struct conversation *c, struct view rest)
{
	(void)rest;
	reset(c);
	c->greeted = true;
	say("250 localhost");
}

static void extended_hello(struct conversation *c, struct view rest)
{
	(void)rest;
	reset(c);
	c->greeted = true;
	printf("250-localhost\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
	fflush(stdout);
}

/* "FROM:<a@b> ..."; parameters are passed over: pickup finds out by itself. */
static bool take_path(struct view rest, const char *word, unsigned flags, char out[ADDRESS_MAX])
{
	struct mailaddress a;

	if (!view_starts_nocase(rest, view_of(word)))
		return false;
	rest = view_skip(rest, strlen(word));
	if (mailaddress_path(&rest, flags | MAILADDRESS_NO_DOMAIN | MAILADDRESS_NO_BRACKETS, &a) !=
	    MAILADDRESS_OK)
		return false;
	return string_copy(out, ADDRESS_MAX, mailaddress_view(&a));
}

static void mail(struct conversation *c, struct view rest)
{
	if (c->has_sender) {
		say("503 5.5.1 sender already given");
		return;
	}
	c->envelope = c->sending->envelope;
	c->envelope.sender_given = true;
	c->has_sender = take_path(rest, "FROM:", MAILADDRESS_NULL, c->envelope.sender);
	say(c->has_sender ? "250 2.1.0 ok" : "501 5.1.7 invalid address");
}

static void rcpt(struct conversation *c, struct view rest)
{
	struct envelope_recipient r = { .notify = c->sending->notify };

	if (!c->has_sender) {
		say("503 5.5.1 MAIL first");
	} else if (c->count >= SPOOL_RECIPIENTS_MAX) {
		say("452 4.5.3 too many recipients");
	} else if (!take_path(rest, "TO:", MAILADDRESS_POSTMASTER, r.address)) {
		say("501 5.1.3 invalid address");
	} else {
		c->recipients = memory_grow_for(c->recipients, c->count, sizeof r);
		c->recipients[c->count++] = r;
		say("250 2.1.5 ok");
	}
}

enum dot { DOT_NONE, DOT_ENDS, DOT_AMBIGUOUS };

/*
 * Is this line the end of a text? cr_lf: the session's lines end so, as that of DATA did; the rules
 * are then smtpd's (smtpd/data.h): CR LF . CR LF ends, a dot between two bare LFs is text, since to
 * that client no line begins there, and between two ends that differ it may be either. In a session
 * of bare LFs a CR is a byte of the text, but a lone dot with one may be meant for the end.
 */
static enum dot dot_of(const struct lines *l, bool cr_lf, bool behind_cr_lf)
{
	if (!l->whole || !view_equal(text_view(&l->piece), VIEW(".")))
		return DOT_NONE;
	if (cr_lf && !behind_cr_lf && !l->cr_lf)
		return DOT_NONE;
	return l->cr_lf == cr_lf && (behind_cr_lf || !cr_lf) ? DOT_ENDS : DOT_AMBIGUOUS;
}

/* The lines of a text up to its end; DOT_NONE: there is none. Without its line's end a dot may be
 * the first of two: the text is not whole. */
static enum dot pass_on(struct conversation *c, struct handover *o)
{
	struct lines *l = &c->lines;
	bool cr_lf = l->cr_lf, behind_cr_lf = cr_lf, begins = true;

	while (lines_next(l) && !l->torn) {
		struct view piece = text_view(&l->piece);
		enum dot dot = dot_of(l, cr_lf, behind_cr_lf);

		if (dot != DOT_NONE)
			return dot;
		/* RFC 5321 section 4.5.2 */
		if (begins && (behind_cr_lf || !cr_lf) && view_starts(piece, VIEW(".")))
			piece = view_skip(piece, 1);
		handover_bytes(o, piece);
		if (l->ends)
			handover_bytes(o, VIEW("\r\n"));
		begins = l->ends;
		behind_cr_lf = l->cr_lf;
	}
	return DOT_NONE;
}

/* EX_IOERR: nothing more is to be said. */
static int collect(struct conversation *c, struct handover *o, char *text, size_t size)
{
	handover_envelope(o, &c->envelope);
	for (unsigned i = 0; i < c->count; i++)
		handover_recipient(o, &c->recipients[i]);
	enum dot dot = pass_on(c, o);

	if (dot == DOT_ENDS)
		return sendmail_finish(o, text, size);
	c->over = true;
	handover_abandon(o);
	if (dot == DOT_AMBIGUOUS)
		say("521 5.6.0 ambiguous end of message: a dot between different line ends, closing");
	return EX_IOERR;
}

static void data(struct conversation *c, struct view rest)
{
	char text[REASON_MAX];
	struct handover o;
	struct reason why;

	(void)rest;
	if (!c->has_sender || c->count == 0) {
		say("503 5.5.1 MAIL and RCPT first");
		return;
	}
	if (handover_open(&o, &c->sending->paths, &why) < 0) {
		printf("451 4.3.0 %s\r\n", why.text);
		fflush(stdout);
		return;
	}
	say("354 end data with <CR><LF>.<CR><LF>");
	int code = collect(c, &o, text, sizeof text);

	if (code == EX_OK)
		printf("250 2.0.0 %s\r\n", text);
	else if (code != EX_IOERR)
		printf("%s %s\r\n", code == EX_TEMPFAIL ? "451 4.3.0" : "554 5.0.0", text);
	fflush(stdout);
	reset(c);
}

static void rset(struct conversation *c, struct view rest)
{
	(void)rest;
	reset(c);
	say("250 2.0.0 ok");
}

static void noop(struct conversation *c, struct view rest)
{
	(void)c;
	(void)rest;
	say("250 2.0.0 ok");
}

static void vrfy(struct conversation *c, struct view rest)
{
	(void)c;
	(void)rest;
	say("252 2.5.2 cannot verify the user, but will accept mail and attempt delivery");
}

static void quit(struct conversation *c, struct view rest)
{
	(void)rest;
	c->over = true;
	say("221 2.0.0 bye");
}

static const struct {
	const char *name;
	bool needs_hello;
	void (*run)(struct conversation *c, struct view rest);
} commands[] = {
	{ "HELO", false, hello }, { "EHLO", false, extended_hello },
	{ "MAIL", true, mail },   { "RCPT", true, rcpt },
	{ "DATA", true, data },   { "RSET", false, rset },
	{ "NOOP", false, noop },  { "VRFY", false, vrfy },
	{ "QUIT", false, quit },
};

static void serve(struct conversation *c)
{
	struct view rest = text_view(&c->lines.piece), word;

	if (!view_cut(&rest, ' ', &word))
		word = VIEW("");
	rest = view_trim(rest);
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		if (!view_equal_nocase(word, view_of(commands[i].name)))
			continue;
		if (commands[i].needs_hello && !c->greeted)
			say("503 5.5.1 send HELO or EHLO first");
		else
			commands[i].run(c, rest);
		return;
	}
	say("500 5.5.2 unknown command");
}

int send_smtp(const struct sending *s)
{
	struct conversation c = { .sending = s };

	say("220 localhost ESMTP posthouse");
	/* A line without its end may be half of one: it is no command. */
	while (!c.over && lines_next(&c.lines) && !c.lines.torn) {
		if (c.lines.whole && c.lines.piece.len <= COMMAND_MAX)
			serve(&c);
		else if (c.lines.ends)
			say("500 5.5.2 line too long");
	}
	reset(&c);
	lines_free(&c.lines);
	return EX_OK;
}
