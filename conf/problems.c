/* SPDX-License-Identifier: ISC */
#include "conf/problems.h"

#include <errno.h>
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
