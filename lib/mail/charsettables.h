/* SPDX-License-Identifier: ISC */
/*
 * Tables of character sets, asked of iconv once.
 *
 * A set that stays open in iconv is a library in memory, several mappings that
 * every fork copies, and a file that a jail would have to hold.  So a program
 * that serves from jailed children has all characters of the sets that mail is
 * in asked for at its start.  The tables lie in one shared mapping, read only
 * from then on: a fork copies no page of it.
 *
 * What iconv does not know at that time (glibc's extra sets are a package of
 * their own on some systems) has no table.
 */
#ifndef LIB_MAIL_CHARSETTABLES_H
#define LIB_MAIL_CHARSETTABLES_H

#include "lib/base/bytes.h"

/* ---- sets of single bytes; below 0x80 all are ASCII ---- */

struct byte_table {
	uint16_t high[128]; /* U+FFFD: not assigned */
	bool mark[128];     /* may be one with the character before it */
	bool made;
	unsigned char index; /* which set, for byte_table_composed() */
};

/* "windows-1251" or "cp1251", "iso-8859-2" or "iso8859-2". NULL: none of that name. */
const struct byte_table *byte_table_find(struct view name);
/* windows-1255 and windows-1258 have letters and marks apart. What a character and the mark behind
 * it are together; 0: nothing. `second`: the character has a mark already. */
uint32_t byte_table_composed(const struct byte_table *t, uint32_t code, unsigned char mark,
                             bool second);

/* ---- sets of two bytes ---- */

enum pair_set {
	PAIRS_JIS_X_0208, /* as in EUC-JP: both bytes 0xa1 to 0xfe */
	PAIRS_JIS_X_0212, /* the same, behind 0x8f there */
	PAIRS_SHIFT_JIS,
	PAIRS_KOREAN, /* KS X 1001 as in EUC-KR, with the rest of the syllables (windows-949) */
	PAIRS_BIG5,
	PAIRS_GB18030,
	PAIR_SETS,
};

enum {
	PAIR_LEAD_MIN = 0x81,
	PAIR_LEAD_MAX = 0xfe,
	PAIR_TRAIL_MIN = 0x40,
	PAIR_TRAIL_MAX = 0xfe,
	PAIR_LEADS = PAIR_LEAD_MAX - PAIR_LEAD_MIN + 1,
	PAIR_TRAILS = PAIR_TRAIL_MAX - PAIR_TRAIL_MIN + 1,
};

struct pair_table {
	uint16_t high[128]; /* a byte alone; 0: the first of a pair, U+FFFD: neither */
	/* 0: not assigned. 0xd800 on, where no character is: one beyond 16 bits. */
	uint16_t code[PAIR_LEADS][PAIR_TRAILS];
	bool made;
};

/* NULL: not made. */
const struct pair_table *pair_table(enum pair_set set);
/* Any two bytes; 0: not assigned. */
uint32_t pair_code(const struct pair_table *t, unsigned char lead, unsigned char trail);

/* The four bytes of GB18030, counted from 0x81308130 on, are linear from 0x90308130 = U+10000 on;
 * this is for the GB18030_BASIC_MAX before, which fill the gaps of the two-byte table.
 * 0: not assigned. */
enum { GB18030_BASIC_MAX = 39420 };
uint32_t gb18030_basic_code(uint32_t linear);

/* Once, before the process is confined or has a loop: a child makes them, which is awaited; some
 * milliseconds. A table that the child did not finish is not made. */
void charset_tables_make(void);

#endif
