/* SPDX-License-Identifier: ISC */
/*
 * Sets of several bytes a character, to UTF-8: over the tables that iconv made
 * (charsettables.h), and those that need none.
 *
 * A broken byte becomes U+FFFD, and reading goes on behind it. So does a
 * character that is whole but not assigned, as one: what follows stays in step.
 * (Only its first byte, where the second could be ASCII.)
 */
#ifndef LIB_MAIL_MULTIBYTE_H
#define LIB_MAIL_MULTIBYTE_H

#include "lib/base/bytes.h"

enum multibyte {
	MULTIBYTE_EUC_JP,
	MULTIBYTE_SHIFT_JIS,
	/* RFC 1468, with what RFC 2237 and 1554 add (JIS X 0212, GB2312, KS X 1001; not ESC N), and
	 * half-width katakana (ESC ( I). An escape that is unknown or cut passes as it is. */
	MULTIBYTE_ISO_2022_JP,
	MULTIBYTE_EUC_KR, /* windows-949 */
	/* RFC 1557; a line begins in ASCII. */
	MULTIBYTE_ISO_2022_KR,
	MULTIBYTE_BIG5,
	MULTIBYTE_GB18030,  /* also for GB2312 and GBK, which it contains */
	MULTIBYTE_UTF_16,   /* RFC 2781; little endian without a mark, as it comes from Windows */
	MULTIBYTE_UTF_16BE, /* no mark: U+FEFF is a character */
	MULTIBYTE_UTF_16LE,
	MULTIBYTE_UTF_7, /* RFC 2152; all of ASCII for itself outside of base64 */
};

/* Whether what it needs was made. */
bool multibyte_ready(enum multibyte set);
/* Appends; only when ready. false: out is full. */
bool multibyte_to_utf8(enum multibyte set, struct view in, struct text *out);

#endif
