/* SPDX-License-Identifier: ISC */
/*
 * Header fields of a message in memory (RFC 5322 section 2.2), without copies.
 *
 * Lines end with CRLF or LF.  Real mail has lines that are no field at all (an
 * mbox "From " line, a folded line that lost its blank, text before the empty
 * line); they are handed out as fields with an empty name, and the header goes
 * on to the first empty line, as other IMAP servers read it.
 */
#ifndef LIB_MAIL_HEADER_H
#define LIB_MAIL_HEADER_H

#include "lib/base/bytes.h"

enum {
	HEADER_NAME_MAX = 255, /* of a name that header_name_valid takes */
	HEADER_BYTES_MAX =
		1024 * 1024, /* what to hand to header_length where nothing says otherwise */
};

struct header_field {
	struct view name;  /* without blanks before the colon; empty: a line that is no field */
	struct view value; /* behind the colon, still folded, without its last line end */
	struct view whole; /* all of it, line ends too */
};

/* Cuts the next field off *rest.  false at the empty line (which is cut off as well: the rest
 * is the body) or at the end of the view. */
bool header_next(struct view *rest, struct header_field *field);
/* Bytes of the header with its empty line; at most max, cut behind a whole line where one ended
 * (a line longer than max is cut itself). */
size_t header_length(struct view message, size_t max);
/* The first field of that name, case ignored. */
bool header_find(struct view header, struct view name, struct header_field *field);
/* Appends a value on one line: line ends go, the blanks behind them stay (RFC 5322 section
 * 2.2.3), blanks at both ends go.  false when out is full. */
bool header_unfold(struct text *out, struct view value);
/* RFC 5322 section 3.6.8: printable ASCII without colon and blanks. */
bool header_name_valid(struct view name);

#endif
