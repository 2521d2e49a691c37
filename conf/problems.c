/* SPDX-License-Identifier: ISC */
#include "conf/problems.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "lib/base/shown.h"

void problems_init(struct problems *p)
{
	*p = (struct problems){ 0 };
	text_init(&p->text, PROBLEMS_TEXT_MAX);
}

void problems_free(struct problems *p)
{
	text_free(&p->text);
}

/* A file with a million bad lines has its first ones shown and all of them counted. */
__attribute__((format(printf, 5, 0))) static void add(struct problems *p, const char *file,
                                                      int line, const char *kind,
                                                      const char *format, va_list list)
{
	if (p->errors + p->warnings > PROBLEMS_SHOWN_MAX)
		return;
	struct text words;

	text_init(&words, PROBLEMS_TEXT_MAX);
	text_format_list(&words, format, list);
	if (file != NULL)
		text_add_shown(&p->text, view_of(file));
	if (file != NULL && line)
		text_format(&p->text, ":%d", line);
	text_format(&p->text, "%s%s", file != NULL ? ": " : "", kind);
	text_add_shown(&p->text, text_view_cut(&words));
	text_add_byte(&p->text, '\n');
	text_free(&words);
}

void problem_error(struct problems *p, const char *file, int line, const char *format, ...)
{
	va_list list;

	p->errors++;
	va_start(list, format);
	add(p, file, line, "error: ", format, list);
	va_end(list);
}

void problem_warning(struct problems *p, const char *file, int line, const char *format, ...)
{
	va_list list;

	p->warnings++;
	va_start(list, format);
	add(p, file, line, "warning: ", format, list);
	va_end(list);
}

/* Takes "FILE:LINE" off a line, if it begins so: its file's name alone, and the line. */
static int take_place(struct view *line, struct view *file)
{
	size_t end = view_find(*line, ':');
	struct view rest = view_skip(*line, end + 1);
	struct view digits = view_take(rest, view_find(rest, ':'));
	uint64_t number;

	if (!view_number(digits, INT_MAX, &number))
		return 0;
	*file = view_take(*line, end);
	for (size_t slash; (slash = view_find(*file, '/')) < file->len;)
		*file = view_skip(*file, slash + 1);
	*line = view_skip(rest, digits.len);
	return (int)number;
}

void problems_rename(struct problems *p, int (*origin)(void *context, struct view file, int line),
                     void *context, const char *name)
{
	struct view text = text_view_cut(&p->text), line;
	struct text renamed;

	text_init(&renamed, PROBLEMS_TEXT_MAX);
	while (view_cut(&text, '\n', &line)) {
		struct view whole = line, file = VIEW("");
		int number = take_place(&line, &file), from = 0;

		if (number)
			from = origin(context, file, number);
		if (from)
			text_format(&renamed, "%s:%d", name, from);
		text_add(&renamed, from ? line : whole);
		text_add_byte(&renamed, '\n');
	}
	renamed.full = renamed.full || p->text.full;
	text_free(&p->text);
	p->text = renamed;
}

bool problem_is_unseen(const struct problems *p, int error)
{
	return p->onlooker && (error == EACCES || error == EPERM);
}

void problems_print(const struct problems *p)
{
	unsigned all = p->errors + p->warnings;

	fputs(text_view_cut(&p->text).data, stderr);
	if (p->text.full)
		fprintf(stderr, "(cut off after %d bytes)\n", PROBLEMS_TEXT_MAX);
	if (all > PROBLEMS_SHOWN_MAX)
		fprintf(stderr, "and %u more\n", all - PROBLEMS_SHOWN_MAX);
}

/* "FILE:LINE: warning: WORDS", without the place; empty when it is of another kind. */
static struct view words_of(struct view line, struct view kind)
{
	size_t at = 0;

	while (at < line.len && !view_starts(view_skip(line, at), kind))
		at++;
	return view_skip(line, at);
}

static unsigned count_words(const struct problems *p, struct view kind, struct view words)
{
	struct view text = text_view_cut(&p->text), line;
	unsigned count = 0;

	while (view_cut(&text, '\n', &line))
		count += view_equal(words_of(line, kind), words);
	return count;
}

void problems_print_new(const struct problems *p, const struct problems *before)
{
	const struct view kind = VIEW(" warning: ");
	struct view text = text_view_cut(&p->text), line;

	while (view_cut(&text, '\n', &line)) {
		struct view words = words_of(line, kind);

		if (words.len && count_words(before, kind, words) == 0)
			fprintf(stderr, "%.*s\n", VIEW_ARG(line));
	}
}

unsigned problems_print_new_errors(const struct problems *p, const struct problems *before)
{
	const struct view kind = VIEW(" error: ");
	struct view text = text_view_cut(&p->text), line;
	unsigned printed = 0, more = p->errors > before->errors ? p->errors - before->errors : 0;

	while (view_cut(&text, '\n', &line)) {
		struct view words = words_of(line, kind);

		if (words.len == 0 ||
		    count_words(p, kind, words) <= count_words(before, kind, words))
			continue;
		fprintf(stderr, "%.*s\n", VIEW_ARG(line));
		printed++;
	}
	if (printed < more) /* they are behind the first ones that are shown */
		fprintf(stderr, "posthouse: %u errors that were not there before\n", more);
	return printed > more ? printed : more;
}
