/* SPDX-License-Identifier: ISC */
#include "conf/problems.h"

#include <stdio.h>

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
	if (file != NULL)
		text_format(&p->text, "%s:", file);
	if (file != NULL && line)
		text_format(&p->text, "%d:", line);
	text_format(&p->text, "%s%s", file != NULL ? " " : "", kind);
	text_format_list(&p->text, format, list);
	text_add_byte(&p->text, '\n');
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

void problems_print(const struct problems *p)
{
	unsigned all = p->errors + p->warnings;

	fputs(text_view_cut(&p->text).data, stderr);
	if (p->text.full)
		fprintf(stderr, "(cut off after %d bytes)\n", PROBLEMS_TEXT_MAX);
	if (all > PROBLEMS_SHOWN_MAX)
		fprintf(stderr, "and %u more\n", all - PROBLEMS_SHOWN_MAX);
}

/* "FILE:LINE: warning: WORDS", without the place. */
static struct view words_of(struct view line)
{
	size_t at = 0;

	while (at < line.len && !view_starts(view_skip(line, at), VIEW(" warning: ")))
		at++;
	return view_skip(line, at);
}

static bool has_words(struct view text, struct view words)
{
	struct view line;

	while (view_cut(&text, '\n', &line))
		if (view_equal(words_of(line), words))
			return true;
	return false;
}

void problems_print_new(const struct problems *p, const struct problems *before)
{
	struct view text = text_view_cut(&p->text), line;

	while (view_cut(&text, '\n', &line))
		if (words_of(line).len && !has_words(text_view_cut(&before->text), words_of(line)))
			fprintf(stderr, "%.*s\n", VIEW_ARG(line));
}
