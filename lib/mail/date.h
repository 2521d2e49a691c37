/* SPDX-License-Identifier: ISC */
/*
 * Dates of messages (RFC 5322 section 3.3, obsolete forms of 4.3) and of IMAP
 * (RFC 3501 section 9: date, date-time), in and out.  The arithmetic is our own:
 * no locale and no zone file is asked (programs sit in empty roots), except by
 * date_local_zone, which wants tzset() before the jail.
 */
#ifndef LIB_MAIL_DATE_H
#define LIB_MAIL_DATE_H

#include "lib/base/bytes.h"

enum {
	DATE_TEXT_MAX = 40,
	DATE_YEAR_MAX = 9999,
	DATE_PARSE_MAX = 256, /* bytes of a Date value that are looked at */
};

/* A moment and the clock it was read from. */
struct date {
	int64_t when_s;   /* since 1970, UTC */
	int zone_minutes; /* east of UTC, -1439 to 1439 */
};

int date_local_zone(int64_t when_s); /* minutes east of UTC */

/* "Sun, 22 Nov 2026 04:02:10 +0000"; returns out.  Years outside 0..9999 are held at the border. */
const char *date_mail(struct date d, char out[DATE_TEXT_MAX]);
/* Tolerant: names of zones, two-digit years, missing day names, seconds or zone (then UTC),
 * comments, asctime order, hyphens.  false without day, month and year. */
bool date_mail_parse(struct view v, struct date *out);

/* "22-Nov-2026 04:02:10 +0000", the day of two places (a blank before a single digit). */
const char *date_imap(struct date d, char out[DATE_TEXT_MAX]);
/* That, without quotes, or with a day of one place. */
bool date_imap_parse(struct view v, struct date *out);

/* SEARCH compares days, without time and zone (RFC 3501 section 6.4.4): days since 1970. */
int64_t date_day(struct date d);
/* "1-Feb-1994", with or without quotes, one or two digits; exact. */
bool date_day_parse(struct view v, int64_t *day);

#endif
