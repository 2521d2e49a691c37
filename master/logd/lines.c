/* SPDX-License-Identifier: ISC */
#include "master/logd/lines.h"

#include <string.h>

enum {
	PID_DIGITS_MAX = 10,
	MS_DIGITS_MAX = 15,
	HEAD_MAX = LOG_STAMP_MAX + PROGRAM_NAME_MAX + PID_DIGITS_MAX + 8,
	OLDEST_MS = 3600 * 1000 /* in a pipe that we have not seen empty */
};

/* What a writer says of its line. */
struct head {
	int severity;
	struct view pid; /* empty: it says nothing */
	uint64_t wall_ms;
};

void lines_start(struct lines *l, struct view program)
{
	*l = (struct lines){ 0 };
	string_put(l->program, sizeof l->program, program);
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

/* The number before `end`, of so many digits at most; the line goes on behind that. */
static bool cut_number(struct view *line, char end, size_t digits_max, struct view *digits)
{
	size_t n = 0;

	while (n < line->len && byte_is_digit(line->data[n]))
		n++;
	if (n == 0 || n > digits_max || n == line->len || line->data[n] != end)
		return false;
	*digits = view_take(*line, n);
	*line = view_skip(*line, n + 1);
	return true;
}

/* "<SEVERITY>[PID MS] ", as lib/base/log.c writes it; MS may be missing. What has none is left as
 * it is. */
static struct head cut_head(struct view *line)
{
	struct head head = { .severity = LOG_WARNING };
	struct view rest = view_skip(*line, 4), pid, ms = { 0 };
	const char *p = line->data;

	if (line->len < 4 || p[0] != '<' || p[1] < '0' || p[1] > '0' + LOG_DEBUG || p[2] != '>' ||
	    p[3] != '[')
		return head;
	if (!cut_number(&rest, ']', PID_DIGITS_MAX, &pid) &&
	    !(cut_number(&rest, ' ', PID_DIGITS_MAX, &pid) &&
	      cut_number(&rest, ']', MS_DIGITS_MAX, &ms)))
		return head;
	if (rest.len == 0 || rest.data[0] != ' ')
		return head;
	/* What is above it rings on every terminal of the machine. */
	head.severity = p[1] - '0' < LOG_CRIT ? LOG_CRIT : p[1] - '0';
	head.pid = pid;
	view_number(ms, INT64_MAX, &head.wall_ms);
	*line = view_skip(rest, 1);
	return head;
}

/* The writer's stamp where it can be true, else our own. */
static const char *stamp_of(const struct lines *l, const struct lines_moment *moment,
                            int64_t wall_ms)
{
	static char stamp[LOG_STAMP_MAX];
	static int64_t stamp_ms = -1;
	int64_t first_ms = l->empty_wall_ms ? l->empty_wall_ms : moment->wall_ms - OLDEST_MS;

	if (wall_ms < first_ms || wall_ms >= moment->wall_ms)
		return moment->stamp;
	if (wall_ms / 1000 != stamp_ms / 1000 || stamp_ms < 0)
		log_stamp(stamp, sizeof stamp, wall_ms * 1000);
	else
		log_stamp_set_ms(stamp, (int)(wall_ms % 1000));
	stamp_ms = wall_ms;
	return stamp;
}

static size_t put_head(char *out, const struct lines *l, const struct lines_moment *moment,
                       const struct head *head)
{
	char front[16];
	bool is_file = moment->form == LINES_FILE;

	if (!is_file)
		string_print(front, sizeof front, "<%d>", LOG_FACILITY | head->severity);
	return string_print(out, HEAD_MAX, "%s%s%s%s%.*s%s: ",
	                    is_file ? stamp_of(l, moment, (int64_t)head->wall_ms) : front,
	                    is_file ? " " : "", l->program, head->pid.len ? "[" : "",
	                    VIEW_ARG(head->pid), head->pid.len ? "]" : "");
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
	if (line.len == 0)
		return;
	struct head head = cut_head(&line);
	/* As many as are written: an escaped byte is four. */
	size_t most = HEAD_MAX + visible_bytes(line) + 1;

	/* Of a batch with no room for it the lines that are there stay whole. */
	if (!is_within_bound(l, most, moment->now_ms) || !text_has_room(out, most)) {
		l->dropped++;
		return;
	}
	char *room = text_reserve(out, most);
	size_t len = put_head(room, l, moment, &head);

	len += put_visible(room + len, line);
	room[len++] = '\n';
	out->len += len;
	out->raw[out->len] = '\0';
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

void lines_are_all(struct lines *l, const struct lines_moment *moment)
{
	l->empty_wall_ms = moment->wall_ms;
}

void lines_end(struct lines *l, const struct lines_moment *moment, struct text *out)
{
	add_held(l, (struct view){ 0 }, moment, out);
}
