/* SPDX-License-Identifier: ISC */
/*
 * Base64 (RFC 2045 section 6.8) both ways, quoted-printable (section 6.7) read.
 *
 * Decoding mail is tolerant the way mail readers are: what is not of the
 * alphabet is passed over, a broken escape stands for itself, missing padding
 * is forgiven.  base64_decode_strict is for protocols (SASL), where garbage is
 * an error and not something to guess about.
 * All of them append to `out` and return false when it would pass its max.
 */
#ifndef LIB_MAIL_ENCODING_H
#define LIB_MAIL_ENCODING_H

#include "lib/base/bytes.h"

enum transfer_encoding {
	ENCODING_IDENTITY, /* 7bit, 8bit, binary, or absent */
	ENCODING_BASE64,
	ENCODING_QUOTED_PRINTABLE,
	ENCODING_UNKNOWN /* the bytes are to be left alone (RFC 2045 section 6.4) */
};

enum { ENCODING_LINE_MAX = 76 }; /* RFC 2045: what writers are to keep to, without CRLF */

/* The value of Content-Transfer-Encoding; an empty one is ENCODING_IDENTITY. */
enum transfer_encoding transfer_encoding_parse(struct view name);

int base64_value(char c);                             /* 0 to 63; -1: not of the alphabet */
bool base64_encode(struct text *out, struct view in); /* one piece, padded */
/* Whole quanta, canonical padding, nothing else (RFC 4648 section 3.2, 3.3, 3.5).
 * On false, out holds what it held before. */
bool base64_decode_strict(struct view in, struct text *out);

/* A decoder over pieces of any size.  ENCODING_IDENTITY and _UNKNOWN copy. */
struct decoder {
	enum transfer_encoding encoding;
	uint32_t bits; /* base64: what was collected; quoted-printable: the first hex digit */
	uint8_t count; /* base64: characters in bits; quoted-printable: the state */
	uint8_t held;  /* blanks whose fate the next byte decides */
	char blanks[ENCODING_LINE_MAX];
};

void decoder_start(struct decoder *d, enum transfer_encoding encoding);
bool decoder_add(struct decoder *d, struct view in, struct text *out);
bool decoder_end(struct decoder *d, struct text *out);
/* The three in one. */
bool transfer_decode(enum transfer_encoding encoding, struct view in, struct text *out);

#endif
