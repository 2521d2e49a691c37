/* SPDX-License-Identifier: ISC */
/*
 * Character sets: to UTF-8, out of encoded words (RFC 2047), folded for
 * searching, and the modified UTF-7 of IMAP mailbox names.
 *
 * UTF-8, US-ASCII, ISO-8859-1 and windows-1252 are decoded here, UTF-7 and
 * UTF-16 in multibyte.h; the sets that mail is commonly in by tables that
 * charset_prepare() asks of iconv (charsettables.h), all others by iconv, whose
 * descriptors stay open.  glibc loads a file for each set, so a program that
 * will sit in a jail calls charset_prepare() first; what was not prepared then
 * and cannot be opened counts as unknown.
 */
#ifndef LIB_MAIL_CHARSET_H
#define LIB_MAIL_CHARSET_H

#include "lib/base/bytes.h"

enum {
	CHARSET_NAME_MAX = 64,
	CHARSET_OPEN_MAX = 48, /* descriptors kept; further sets are opened each time */
	ENCODED_WORD_MAX =
		64 * 1024,       /* bytes that neighbouring encoded words may decode to, together */
	MAILBOX_UTF7_MAX = 4096, /* bytes of a mailbox name that are looked at */
};

/* Makes the tables, once: some milliseconds. Nothing stays open. */
void charset_prepare(void);
bool charset_known(struct view name);
/* Appends; broken bytes become U+FFFD. false: the set is unknown (nothing was added), or out is
 * full. */
bool charset_to_utf8(struct view name, struct view in, struct text *out);
/* The same, and for an unknown set or an empty name a guess: UTF-8 when it is valid, else
 * windows-1252. */
bool charset_to_utf8_or_guess(struct view name, struct view in, struct text *out);

/* A header value, folded or not: unfolded, encoded words decoded, 8-bit bytes guessed. false: out
 * is full. */
bool charset_decode_header(struct view value, struct text *out);

/*
 * Folds case for comparing: i;ascii-casemap and, of i;unicode-casemap (RFC 5051), the simple
 * one-to-one mappings of Latin, Greek, Cyrillic, Armenian, Roman numerals, circled and full-width
 * letters, by a table of our own (no locale).  Not done: decomposition of accents, Greek extended,
 * Georgian, and mappings to several characters.  Broken UTF-8 passes unchanged.
 */
bool charset_fold(struct view utf8, struct text *out);
uint32_t charset_fold_code(uint32_t code);

/* RFC 3501 section 5.1.3.  false: not valid (a base64 run that should be ASCII or is torn, 8-bit
 * bytes, controls), or out is full; out holds then what it held before. */
bool utf7_to_utf8(struct view name, struct text *out);

#endif
