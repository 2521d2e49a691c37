/* SPDX-License-Identifier: ISC */
/*
 * The bytes after DATA: a machine that finds the end of the message, takes the dots of RFC 5321
 * section 4.5.2 out, and refuses what is no text of CRLF lines. No I/O, pieces of any size.
 *
 * The only end of a message is CRLF . CRLF. A bare LF or bare CR (section 2.3.8), a NUL or an
 * over-long line is a fault: the message will be refused, but the machine reads on to its end so
 * that the conversation stays in step. A dot line between ends that are not both CRLF is where two
 * servers would disagree about the end (smuggling): there the machine stops with DATA_AMBIGUOUS and
 * the session must end, whatever follows.
 *
 * Where `lf_ends_lines` is set (authenticated submission: whoever wrote the text is the account's
 * owner, and there is no other server to disagree with about whose message it is) a bare LF is
 * passed on as CR LF. The end stays CRLF . CRLF, nothing else: a dot between two bare LFs is a line
 * of text, one between a bare LF and a CRLF is ambiguous as ever. Dots behind a bare LF are not
 * taken out: to a client that sends it no line begins there (curl), so that it has added none. A
 * bare CR stays a fault: no system that sends mail ends lines with it.
 */
#ifndef SMTPD_DATA_H
#define SMTPD_DATA_H

#include "lib/base/bytes.h"

enum {
	DATA_LINE_MAX = 65536 /* RFC 5321 section 4.5.3.1.6 asks for 1000 at least; real mail has
	                         lines of many KB */
};

enum data_result {
	DATA_MORE,     /* everything was consumed */
	DATA_SPAN,     /* *span are bytes of the message; call again */
	DATA_END,      /* the message is over; *in is what follows it */
	DATA_AMBIGUOUS /* end the session */
};

enum data_fault { DATA_GOOD, DATA_BARE, DATA_NUL, DATA_LONG_LINE };

/* Where the machine stands. */
enum data_state {
	DATA_AT_LINE,      /* behind CRLF, or at the very beginning */
	DATA_IN_TEXT,      /* in a line */
	DATA_AT_CR,        /* behind a CR */
	DATA_AT_DOT,       /* behind CRLF and a dot, which is not passed on */
	DATA_AT_DOT_CR,    /* ... and a CR: LF ends the message */
	DATA_AT_LOOSE,     /* behind a line end that was not CRLF */
	DATA_AT_LOOSE_DOT, /* ... and a dot */
	DATA_AT_LOOSE_DOT_CR,
	DATA_AT_LF, /* behind a bare LF that ends a line */
	DATA_AT_LF_DOT,
	DATA_AT_LF_DOT_CR,
	DATA_STATES
};

/* Begins zeroed. */
struct data {
	bool lf_ends_lines; /* set by the caller */
	enum data_state state;
	enum data_fault fault; /* the first; no spans are given any more */
	size_t line_bytes;     /* of the present line */
};

/* Takes from the front of *in; a span points there, or to a CR LF of our own. */
enum data_result data_next(struct data *d, struct view *in, struct view *span);

#endif
