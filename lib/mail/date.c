/* SPDX-License-Identifier: ISC */
#include "lib/mail/date.h"

#include <time.h>

#include "lib/base/clock.h"

enum { DAY_S = 86400 };

static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
	                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

/* RFC 5322 section 4.3.  Military letters are not here: their meaning was published wrong,
 * so they count as UTC like every other unknown zone. */
static const struct {
	const char *name;
	int minutes;
} zones[] = {
	{ "EDT", -240 }, { "EST", -300 }, { "CDT", -300 }, { "CST", -360 },
	{ "MDT", -360 }, { "MST", -420 }, { "PDT", -420 }, { "PST", -480 },
	{ "CET", 60 },   { "CEST", 120 }, { "MET", 60 },   { "MEST", 120 },
	{ "EET", 120 },  { "EEST", 180 }, { "BST", 60 },   { "JST", 540 },
};

static bool civil_valid(struct clock_day c)
{
	static const unsigned days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = c.year % 4 == 0 && (c.year % 100 != 0 || c.year % 400 == 0);

	return c.year >= 0 && c.year <= DATE_YEAR_MAX && c.month >= 1 && c.month <= 12 &&
	       c.day >= 1 && c.day <= days[c.month - 1] && (c.month != 2 || c.day < 29 || leap);
}

static int64_t floor_days(int64_t s)
{
	return s >= 0 ? s / DAY_S : -((-s + DAY_S - 1) / DAY_S);
}

int date_local_zone(int64_t when_s)
{
	time_t when = (time_t)when_s;
	struct tm tm;

	return localtime_r(&when, &tm) ? (int)(tm.tm_gmtoff / 60) : 0;
}

/* ---- writing ---- */

/* The clock's face at the date's zone. */
struct face {
	struct clock_day day;
	int64_t days;
	int second; /* of the day */
	int zone;
};

static struct face face_of(struct date d)
{
	const int64_t first = clock_days_of((struct clock_day){ 0, 1, 1 }) * DAY_S;
	const int64_t last =
		clock_days_of((struct clock_day){ DATE_YEAR_MAX, 12, 31 }) * DAY_S + DAY_S - 1;
	struct face f = { .zone = d.zone_minutes > -1440 && d.zone_minutes < 1440 ? d.zone_minutes
		                                                                  : 0 };
	int64_t s = d.when_s < first ? first : d.when_s > last ? last : d.when_s;

	s += f.zone * 60;
	s = s < first ? first : s > last ? last : s;
	f.days = floor_days(s);
	f.second = (int)(s - f.days * DAY_S);
	f.day = clock_day_from(f.days);
	return f;
}

/* "04:02:10 +0000" */
static void write_time(const struct face *f, char *out, size_t size)
{
	unsigned second = (unsigned)f->second, zone = (unsigned)(f->zone < 0 ? -f->zone : f->zone);

	string_print(out, size, "%02u:%02u:%02u %c%02u%02u", second / 3600 % 24, second / 60 % 60,
	             second % 60, f->zone < 0 ? '-' : '+', zone / 60 % 24, zone % 60);
}

const char *date_mail(struct date d, char out[DATE_TEXT_MAX])
{
	struct face f = face_of(d);
	char time[16];

	write_time(&f, time, sizeof time);
	/* 1970 began on a Thursday; the days are counted up to be positive first. */
	string_print(out, DATE_TEXT_MAX, "%s, %u %s %04u %s",
	             day_names[(f.days + 7 * 1000000 + 4) % 7], f.day.day % 100,
	             month_names[f.day.month - 1], (unsigned)f.day.year % 10000, time);
	return out;
}

const char *date_imap(struct date d, char out[DATE_TEXT_MAX])
{
	struct face f = face_of(d);
	char time[16];

	write_time(&f, time, sizeof time);
	string_print(out, DATE_TEXT_MAX, "%2u-%s-%04u %s", f.day.day % 100,
	             month_names[f.day.month - 1], (unsigned)f.day.year % 10000, time);
	return out;
}

int64_t date_day(struct date d)
{
	return face_of(d).days;
}

/* ---- reading, exact ---- */

/* 1 to 12, or 0. */
static unsigned month_of(struct view v)
{
	for (unsigned i = 0; i < 12; i++)
		if (v.len == 3 && view_equal_nocase(v, view_of(month_names[i])))
			return i + 1;
	return 0;
}

static bool number(struct view v, uint64_t max, unsigned *out)
{
	uint64_t n;

	if (!view_number(v, max, &n))
		return false;
	*out = (unsigned)n;
	return true;
}

/* "+hhmm" */
static bool zone_parse(struct view v, int *minutes)
{
	unsigned hours, rest;

	if (v.len != 5 || (v.data[0] != '+' && v.data[0] != '-') ||
	    !number(view_take(view_skip(v, 1), 2), 23, &hours) ||
	    !number(view_skip(v, 3), 59, &rest))
		return false;
	*minutes = (int)(hours * 60 + rest) * (v.data[0] == '-' ? -1 : 1);
	return true;
}

static bool day_month_year(struct view v, struct clock_day *c)
{
	struct view day, month;
	unsigned year;

	if (!view_cut(&v, '-', &day) || !view_cut(&v, '-', &month))
		return false;
	if (day.len > 2 || !number(day, 31, &c->day) || v.len != 4 ||
	    !number(v, DATE_YEAR_MAX, &year))
		return false;
	c->month = month_of(month);
	c->year = year;
	return civil_valid(*c);
}

bool date_day_parse(struct view v, int64_t *day)
{
	struct clock_day c;

	if (v.len >= 2 && v.data[0] == '"' && v.data[v.len - 1] == '"')
		v = view_take(view_skip(v, 1), v.len - 2);
	if (!day_month_year(v, &c))
		return false;
	*day = clock_days_of(c);
	return true;
}

bool date_imap_parse(struct view v, struct date *out)
{
	struct clock_day c;
	unsigned hour, minute, second;
	size_t day = view_find(v, '-');
	struct view t = view_skip(v, day + 10);

	/* "3-Feb-2025", too: iOS sends it on nine days of a month. */
	if ((day != 1 && day != 2) || t.len != 14 || v.data[day + 9] != ' ' || t.data[2] != ':' ||
	    t.data[5] != ':' || t.data[8] != ' ')
		return false;
	if (!day_month_year(view_skip(view_take(v, day + 9), day == 2 && v.data[0] == ' '), &c) ||
	    !number(view_take(t, 2), 23, &hour) ||
	    !number(view_take(view_skip(t, 3), 2), 59, &minute) ||
	    !number(view_take(view_skip(t, 6), 2), 60, &second) ||
	    !zone_parse(view_skip(t, 9), &out->zone_minutes))
		return false;
	out->when_s = clock_days_of(c) * DAY_S + hour * 3600 + minute * 60 + second -
	              out->zone_minutes * 60;
	return true;
}

/* ---- reading, tolerant ---- */

/* What the words of a date have told so far. */
struct gathered {
	struct clock_day c;
	bool has_year, has_time;
	unsigned second; /* of the day */
	int zone;
};

static bool is_separator(char c)
{
	return byte_is_space(c) || c == ',' || c == '\r' || c == '\n' || c == ';';
}

/* Skips blanks, commas and comments (nested). */
static struct view skip_separators(struct view v)
{
	size_t depth = 0;

	while (v.len > 0 && (depth > 0 || is_separator(v.data[0]) || v.data[0] == '(')) {
		if (v.data[0] == '(')
			depth++;
		else if (v.data[0] == ')' && depth > 0)
			depth--;
		v = view_skip(v, 1);
	}
	return v;
}

static bool cut_word(struct view *rest, struct view *word)
{
	size_t len = 0;

	*rest = skip_separators(*rest);
	while (len < rest->len && !is_separator(rest->data[len]) && rest->data[len] != '(')
		len++;
	*word = view_take(*rest, len);
	*rest = view_skip(*rest, len);
	return len > 0;
}

/* "4:02", "04:02:10", "04:02:60"; a fraction is dropped. */
static bool take_time(struct view word, struct gathered *g)
{
	unsigned hour, minute, second = 0;
	struct view part;

	if (!view_cut(&word, ':', &part) || !number(part, 24, &hour) ||
	    !view_cut(&word, ':', &part) || !number(part, 59, &minute))
		return false;
	if (word.len > 0 && !number(view_take(word, view_find(word, '.')), 60, &second))
		return false;
	g->second = hour * 3600 + minute * 60 + second;
	g->has_time = true;
	return true;
}

/* The first number of one or two digits is the day, the next number the year (section 4.3: 00 to 49
 * are of this century, other short years of the last). */
static void take_number(struct view word, struct gathered *g)
{
	unsigned n;

	if (!number(word, DATE_YEAR_MAX, &n))
		return;
	if (g->c.day == 0 && word.len <= 2 && n >= 1 && n <= 31) {
		g->c.day = n;
	} else if (!g->has_year) {
		g->c.year = word.len >= 4   ? n
		            : word.len == 3 ? n + 1900
		            : n < 50        ? n + 2000
		                            : n + 1900;
		g->has_year = true;
	}
}

static void take_name(struct view word, struct gathered *g)
{
	unsigned month = month_of(view_take(word, 3));

	if (month && g->c.month == 0)
		g->c.month = month;
	for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++)
		if (view_equal_nocase(word, view_of(zones[i].name)))
			g->zone = zones[i].minutes;
}

static void take_word(struct view word, struct gathered *g)
{
	if (view_find(word, ':') < word.len) {
		take_time(word, g);
	} else if (word.data[0] == '+' || (word.data[0] == '-' && g->has_time)) {
		zone_parse(word, &g->zone);
	} else if (byte_is_digit(word.data[0]) && view_find(word, '-') < word.len) {
		struct view part; /* 22-Nov-2026 */

		while (view_cut(&word, '-', &part))
			if (part.len > 0)
				take_word(part, g);
	} else if (byte_is_digit(word.data[0])) {
		take_number(word, g);
	} else {
		take_name(word, g);
	}
}

bool date_mail_parse(struct view v, struct date *out)
{
	struct gathered g = { 0 };
	struct view word;

	v = view_take(v, DATE_PARSE_MAX);
	while (cut_word(&v, &word))
		take_word(word, &g);
	if (!g.has_year || !civil_valid(g.c))
		return false;
	out->zone_minutes = g.zone;
	out->when_s = clock_days_of(g.c) * DAY_S + g.second - g.zone * 60;
	return true;
}
