/* SPDX-License-Identifier: ISC */
#include "lib/mail/date.h"

#include "t/tap.h"

static const struct {
	int64_t when_s;
	int zone;
	const char *mail, *imap;
} written[] = {
	{ 0, 0, "Thu, 1 Jan 1970 00:00:00 +0000", " 1-Jan-1970 00:00:00 +0000" },
	{ 0, -90, "Wed, 31 Dec 1969 22:30:00 -0130", "31-Dec-1969 22:30:00 -0130" },
	{ -1, 0, "Wed, 31 Dec 1969 23:59:59 +0000", "31-Dec-1969 23:59:59 +0000" },
	{ 951782400, 0, "Tue, 29 Feb 2000 00:00:00 +0000", "29-Feb-2000 00:00:00 +0000" },
	{ 4107542399, 330, "Mon, 1 Mar 2100 05:29:59 +0530", " 1-Mar-2100 05:29:59 +0530" },
	{ 1795320130, 60, "Sun, 22 Nov 2026 05:02:10 +0100", "22-Nov-2026 05:02:10 +0100" },
	{ INT64_MAX, 0, "Fri, 31 Dec 9999 23:59:59 +0000", "31-Dec-9999 23:59:59 +0000" },
	{ INT64_MIN, -60, "Sat, 1 Jan 0000 00:00:00 -0100", " 1-Jan-0000 00:00:00 -0100" },
};

static const struct {
	const char *in;
	bool good;
	int64_t when_s;
	int zone;
} mail[] = {
	{ "Sun, 22 Nov 2026 05:02:10 +0100", true, 1795320130, 60 },
	{ "22 Nov 2026 04:02:10 GMT", true, 1795320130, 0 },
	{ "22 Nov 2026 04:02:10", true, 1795320130, 0 },
	{ "Sun, 22 Nov 2026 04:02 +0000", true, 1795320120, 0 },
	{ "Sunday, 22-Nov-26 04:02:10 UT", true, 1795320130, 0 },
	{ "Sun Nov 22 04:02:10 2026", true, 1795320130, 0 },
	{ "Sun Nov 22 04:02:10 PST 2026", true, 1795348930, -480 },
	{ " Sun , 22\r\n Nov (comment (nested)) 2026 04:02:10 -0800 (PST)", true, 1795348930,
	  -480 },
	{ "Sat, 1 Jan 00 00:00:00 +0000", true, 946684800, 0 },
	{ "Fri, 31 Dec 99 23:59:59 Z", true, 946684799, 0 },
	{ "1 Jan 100 00:00:00 EDT", true, 946699200, -240 },
	{ "22 November 2026 4:02:10 +0000", true, 1795320130, 0 },
	{ "Sun, 22 Nov 2026 04:02:60 +0000", true, 1795320180, 0 },
	{ "Sun, 22 Nov 2026 04:02:10.123 +0000", true, 1795320130, 0 },
	{ "22 Nov 2026", true, 1795305600, 0 },
	{ "22 Nov 2026 04:02:10 +9999", true, 1795320130, 0 },
	{ "22 Nov 2026 04:02:10 +", true, 1795320130, 0 },
	{ "", false, 0, 0 },
	{ "yesterday", false, 0, 0 },
	{ "31 Feb 2026 00:00:00 +0000", false, 0, 0 },
	{ "29 Feb 1900 00:00:00 +0000", false, 0, 0 },
	{ "Nov 2026", false, 0, 0 },
	{ "22 Nov", false, 0, 0 },
	{ "99999999999999999999 Nov 2026", false, 0, 0 },
	{ "(((((((", false, 0, 0 },
	{ "- + : -", false, 0, 0 },
};

static const struct {
	const char *in;
	bool good;
} imap[] = {
	{ "3-Feb-2025 18:28:47 +0000", true },    { "-Feb-2025 18:28:47 +0000", false },
	{ "003-Feb-2025 18:28:47 +0000", false }, { "3- Feb-2025 18:28:47 +000", false },
	{ "31-Dec-1903 23:59:59 +0000", true },   { "3-Feb-2025  8:28:47 +0000", false },
	{ "22-Nov-2026 05:02:10 +0100", true },   { " 1-Jan-1970 00:00:00 +0000", true },
	{ "01-Jan-1970 00:00:00 +0000", true },   { "1-Jan-1970 00:00:00 +0000", true },
	{ "22-Nov-2026 24:02:10 +0100", false },  { "22-Nov-2026 05:60:10 +0100", false },
	{ "32-Nov-2026 05:02:10 +0100", false },  { "31-Nov-2026 05:02:10 +0100", false },
	{ "22-Nox-2026 05:02:10 +0100", false },  { "22-Nov-2026 05:02:10 +01000", false },
	{ "22-Nov-2026 05:02:10  0100", false },  { "22-Nov-2026 05:02:10 +2400", false },
	{ "22-Nov-26 05:02:10 +0100  ", false },  { "", false },
};

static const struct {
	const char *in;
	bool good;
	int64_t day;
} days[] = {
	{ "1-Jan-1970", true, 0 },    { "01-Jan-1970", true, 0 },     { "\"2-jan-1970\"", true, 1 },
	{ "31-Dec-1969", true, -1 },  { "29-Feb-2024", true, 19782 }, { "29-Feb-2023", false, 0 },
	{ "001-Jan-1970", false, 0 }, { "1-Jan-70", false, 0 },       { "1-Jan-1970 ", false, 0 },
	{ "1 Jan 1970", false, 0 },   { "\"1-Jan-1970", false, 0 },   { "", false, 0 },
	{ "\"", false, 0 },           { "1--1970", false, 0 },        { "1-Jan-", false, 0 },
};

int main(void)
{
	char text[DATE_TEXT_MAX];
	struct date d;
	int64_t day;

	for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
		struct date in = { written[i].when_s, written[i].zone };

		is_string(date_mail(in, text), written[i].mail, "mail form %zu", i);
		ok(i > 5 || (date_mail_parse(view_of(text), &d) && d.when_s == in.when_s &&
		             d.zone_minutes == in.zone_minutes),
		   "and back");
		is_string(date_imap(in, text), written[i].imap, "IMAP form %zu", i);
		ok(i > 5 || (date_imap_parse(view_of(text), &d) && d.when_s == in.when_s &&
		             d.zone_minutes == in.zone_minutes),
		   "and back");
	}
	for (size_t i = 0; i < sizeof mail / sizeof mail[0]; i++) {
		bool good = date_mail_parse(view_of(mail[i].in), &d);

		if (!ok(good == mail[i].good && (!good || (d.when_s == mail[i].when_s &&
		                                           d.zone_minutes == mail[i].zone)),
		        "mail date '%s'", mail[i].in))
			printf("# %lld %d\n", (long long)d.when_s, d.zone_minutes);
	}
	for (size_t i = 0; i < sizeof imap / sizeof imap[0]; i++)
		ok(date_imap_parse(view_of(imap[i].in), &d) == imap[i].good, "IMAP date-time '%s'",
		   imap[i].in);
	for (size_t i = 0; i < sizeof days / sizeof days[0]; i++)
		ok(date_day_parse(view_of(days[i].in), &day) == days[i].good &&
		           (!days[i].good || day == days[i].day),
		   "IMAP date '%s'", days[i].in);
	ok(date_day((struct date){ -1, 0 }) == -1 && date_day((struct date){ -1, 1 }) == 0,
	   "the day is that of the date's own zone");
	for (int64_t n = -719528; n < 800000; n += 97) {
		date_imap((struct date){ n * 86400, 0 }, text);
		text[11] = '\0';
		if (!date_day_parse(view_of(text[0] == ' ' ? text + 1 : text), &day) || day != n) {
			ok(false, "day %lld and back", (long long)n);
			break;
		}
	}
	ok(true, "days and back");
	return tap_done();
}
