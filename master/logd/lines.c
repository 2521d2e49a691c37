/* SPDX-License-Identifier: ISC */
#include "master/logd/lines.h"

#include <stdio.h>
#include <string.h>

enum { PID_DIGITS_MAX = 10, HEAD_MAX = LOG_STAMP_MAX + PROGRAM_NAME_MAX + PID_DIGITS_MAX + 8 };

void lines_start(struct lines *l, struct view program)
{
	*l = (struct lines){ 0 };
	string_copy(l->program, sizeof l->program, program);
	text_init(&l->held, LOG_LINE_MAX);
}

void lines_free(struct lines *l)
{
	text_free(&l->held);
}

/* ---- the bound ---- */

static const struct bucket_rate count_rate = {
	.per_second = LINES_PER_SECOND,
	.full = LINES_BURST_SECONDS * LINES_PER_SECOND,
};
static const struct bucket_rate bytes_rate = {
	.per_second = LINES_BYTES_PER_SECOND,
	.full = LINES_BURST_SECONDS * LINES_BYTES_PER_SECOND,
};

static bool is_within_bound(struct lines *l, size_t len, int64_t now_ms)
{
	return bucket_has(&l->count, &count_rate, now_ms, 1) &&
	       bucket_take(&l->bytes, &bytes_rate, now_ms, (int64_t)len) &&
	       bucket_take(&l->count, &count_rate, now_ms, 1);
}

/* ---- a line ---- */

/* "<SEVERITY>[PID] ", as lib/base/log.c writes it. What has none is left as it is. */
static void cut_head(struct view *line, int *severity, struct view *pid)
{
	const char *p = line->data;
	size_t digits = 0;

	*severity = LOG_WARNING;
	*pid = (struct view){ 0 };
	if (line->len < 7 || p[0] != '<' || p[1] < '0' || p[1] > '0' + LOG_DEBUG || p[2] != '>' ||
	    p[3] != '[')
		return;
	while (4 + digits < line->len && digits <= PID_DIGITS_MAX && byte_is_digit(p[4 + digits]))
		digits++;
	if (digits == 0 || digits > PID_DIGITS_MAX || line->len < digits + 6 ||
	    p[4 + digits] != ']' || p[5 + digits] != ' ')
		return;
	/* What is above it rings on every terminal of the machine. */
	*severity = p[1] - '0' < LOG_CRIT ? LOG_CRIT : p[1] - '0';
	*pid = (struct view){ p + 4, digits };
	*line = view_skip(*line, digits + 6);
}

static size_t put_head(char *out, const struct lines *l, const struct lines_moment *moment,
                       int severity, struct view pid)
{
	char front[16];
	bool is_file = moment->form == LINES_FILE;

	snprintf(front, sizeof front, "<%d>", LOG_FACILITY | severity);
	int n = snprintf(out, HEAD_MAX, "%s%s%s%s%.*s%s: ", is_file ? moment->stamp : front,
	                 is_file ? " " : "", l->program, pid.len ? "[" : "", VIEW_ARG(pid),
	                 pid.len ? "]" : "");

	return n < 0 ? 0 : (size_t)n;
}

static size_t put_visible(char *out, struct view text)
{
	char *p = out;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c >= ' ' && c < 0x7f)
			*p++ = (char)c;
		else
			p = log_escape(p, c);
	}
	return (size_t)(p - out);
}

static size_t visible_bytes(struct view text)
{
	size_t sum = text.len;

	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < ' ' || text.data[i] >= 0x7f)
			sum += LOG_ESCAPED - 1;
	return sum;
}

static void add_line(struct lines *l, struct view line, const struct lines_moment *moment,
                     struct text *out)
{
	struct view pid;
	int severity;

	if (line.len == 0)
		return;
	cut_head(&line, &severity, &pid);
	/* As many as are written: an escaped byte is four. */
	size_t most = HEAD_MAX + visible_bytes(line) + 1;
	char *room = is_within_bound(l, most, moment->now_ms) ? text_reserve(out, most) : NULL;

	if (room == NULL) {
		l->dropped++;
		return;
	}
	size_t len = put_head(room, l, moment, severity, pid);

	len += put_visible(room + len, line);
	room[len++] = '\n';
	out->len += len;
	out->data[out->len] = '\0';
}

/* The held one, and `more` behind it. */
static void add_held(struct lines *l, struct view more, const struct lines_moment *moment,
                     struct text *out)
{
	text_add(&l->held, more);
	add_line(l, text_view(&l->held), moment, out);
	text_clear(&l->held);
}

void lines_take(struct lines *l, struct view bytes, const struct lines_moment *moment,
                struct text *out)
{
	while (bytes.len) {
		size_t end = view_find(bytes, '\n'), room = LOG_LINE_MAX - l->held.len;
		bool is_ended = end < bytes.len && end <= room;

		if (!is_ended && bytes.len < room) {
			text_add(&l->held, bytes);
			return;
		}
		/* What never ends is cut into lines. */
		end = is_ended ? end : room;
		if (l->held.len)
			add_held(l, view_take(bytes, end), moment, out);
		else
			add_line(l, view_take(bytes, end), moment, out);
		bytes = view_skip(bytes, is_ended ? end + 1 : end);
	}
}

void lines_end(struct lines *l, const struct lines_moment *moment, struct text *out)
{
	add_held(l, (struct view){ 0 }, moment, out);
}
