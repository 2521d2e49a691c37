/* SPDX-License-Identifier: ISC */
#include "deliver/remote/reply.h"

#include <string.h>

void reply_clear(struct reply *r)
{
	memset(r, 0, sizeof *r);
}

bool reply_for_good(const struct reply *r)
{
	return r->code / 100 == 5 && !r->for_now;
}

void reply_is_for_now(struct reply *r)
{
	if (r->code / 100 != 5)
		return;
	r->for_now = true;
	r->status[0] = '4';
}

/* "5.1.1" at the beginning, of the same class as the code; its length, 0 when there is none. */
static size_t enhanced_length(struct view text, int code)
{
	unsigned part = 0, digits = 0;
	size_t i;

	for (i = 0; i < text.len && i < 12; i++) {
		if (byte_is_digit(text.data[i]) && digits < 3)
			digits++;
		else if (text.data[i] == '.' && digits > 0 && part < 2)
			part++, digits = 0;
		else
			break;
	}
	if (part != 2 || digits == 0 || (i < text.len && text.data[i] != ' ') ||
	    text.data[1] != '.')
		return 0;
	return text.data[0] - '0' == code / 100 ? i : 0;
}

static void take_status(struct reply *r, struct view text)
{
	size_t len = enhanced_length(text, r->code);

	if (len > 0)
		string_put(r->status, sizeof r->status, view_take(text, len));
	else
		string_print(r->status, sizeof r->status, "%d.0.0", r->code / 100);
}

static void add_text(struct reply *r, struct view line)
{
	size_t used = strlen(r->text);

	if (used > 0 && used + 1 < sizeof r->text)
		r->text[used++] = ' ';
	for (size_t i = 0; i < line.len && used + 1 < sizeof r->text; i++)
		r->text[used++] = line.data[i] >= ' ' && line.data[i] < 127 ? line.data[i] : '?';
	r->text[used] = '\0';
}

/* 0: there is none. */
static int code_of(struct view line)
{
	uint64_t code;

	return line.len >= 3 && view_number(view_take(line, 3), 599, &code) && code >= 200
	               ? (int)code
	               : 0;
}

static void take_line(struct reply *r, int code, struct view line)
{
	r->lines++;
	r->more = line.len > 3 && line.data[3] == '-';
	if (r->lines > 1) {
		add_text(r, view_skip(line, 4));
		return;
	}
	r->code = code;
	take_status(r, view_skip(line, 4));
	add_text(r, line);
}

bool reply_line(struct reply *r, struct view line)
{
	int code = code_of(line);

	if (code == 0 || (line.len > 3 && line.data[3] != ' ' && line.data[3] != '-'))
		return false;
	if (r->lines >= REPLY_LINES_MAX || (r->lines > 0 && r->code != code))
		return false;
	take_line(r, code, line);
	return true;
}

static bool ends_code(struct view line)
{
	return line.len == 3 || line.data[3] == '-' || (unsigned char)line.data[3] <= ' ';
}

bool reply_text_line(struct reply *r, struct view line)
{
	if (r->lines == 0) {
		line = view_trim(line);
		if (line.len == 0)
			return true;
	}
	int code = code_of(line);

	if (code && !ends_code(line))
		code = 0;
	if (r->lines == 0 ? code == 0 : code && code / 100 != r->code / 100)
		return false;
	if (code) {
		take_line(r, code, line);
	} else {
		r->lines++;
		add_text(r, line);
	}
	return true;
}

bool extensions_have(const struct extensions *e, enum esmtp_extension extension)
{
	return e->offered & 1u << extension;
}

void extensions_line(struct extensions *e, struct view line)
{
	struct view word = view_take(line, view_find(line, ' '));
	struct view rest = view_trim(view_skip(line, word.len));

	enum esmtp_extension extension = esmtp_extension(word);

	if (extension == ESMTP_EXTENSIONS)
		return;
	e->offered |= 1u << extension;
	if (extension == ESMTP_SIZE && !view_number(rest, UINT64_MAX, &e->size_bytes))
		e->size_bytes = 0;
}
