/* SPDX-License-Identifier: ISC */
/* The bytes after DATA: what is taken, what is refused, where the end is; in one piece, in every
 * pair of pieces, and byte by byte, always the same. */
#include "smtpd/data.h"

#include <stdlib.h>
#include <string.h>

#include "t/tap.h"

static const char *const faults[] = { "good", "bare", "nul", "long" };
static const char *const results[] = { "more", "span", "end", "ambiguous" };

struct outcome {
	enum data_result result;
	enum data_fault fault;
	size_t left; /* bytes behind the end */
	struct text message;
};

/* Feeds a piece; true while the machine wants more. */
static bool feed(struct data *d, struct view piece, struct outcome *o)
{
	struct view span;

	while ((o->result = data_next(d, &piece, &span)) == DATA_SPAN)
		text_add(&o->message, span);
	o->fault = d->fault;
	o->left = piece.len;
	return o->result == DATA_MORE;
}

static bool lf_ends_lines; /* as for an authenticated client */

/* cut: bytes of the first piece; step: of every further one. */
static void run(struct view all, size_t cut, size_t step, struct outcome *o)
{
	struct data d = { .lf_ends_lines = lf_ends_lines };
	size_t at = 0;

	text_clear(&o->message);
	o->result = DATA_MORE;
	while (at < all.len) {
		size_t len = at == 0 && cut ? cut : step;

		if (len > all.len - at)
			len = all.len - at;
		char *exact = malloc(len); /* so that a sanitizer sees a read past the end */

		memcpy(exact, all.data + at, len);
		bool more = feed(&d, (struct view){ exact, len }, o);

		free(exact);
		at += len;
		if (!more)
			break;
	}
	o->left += all.len - at;
	if (d.fault != DATA_GOOD)
		text_clear(&o->message);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	return a->result == b->result && a->fault == b->fault && a->left == b->left &&
	       view_equal(text_view(&a->message), text_view(&b->message));
}

static void pieces(struct view all, const struct outcome *whole, const char *name)
{
	struct outcome o;
	bool alike = true;

	text_init(&o.message, 1 << 20);
	for (size_t cut = 1; cut < all.len; cut++) {
		run(all, cut, all.len, &o);
		alike = alike && same(&o, whole);
	}
	run(all, 0, 1, &o);
	ok(alike && same(&o, whole), "%s: the same in any pieces", name);
	text_free(&o.message);
}

struct row {
	struct view in;
	const char *message;
	enum data_result result;
	enum data_fault fault;
	size_t left;
};

static void run_rows(const struct row *rows, size_t count, const char *name)
{
	struct outcome o;

	text_init(&o.message, 1 << 20);
	for (size_t i = 0; i < count; i++) {
		run(rows[i].in, 0, rows[i].in.len, &o);
		bool good = o.result == rows[i].result && o.fault == rows[i].fault &&
		            o.left == rows[i].left &&
		            view_equal(text_view(&o.message), view_of(rows[i].message));

		if (!ok(good, "%s %zu", name, i))
			printf("# %s, %s, %zu left, %zu bytes\n", results[o.result],
			       faults[o.fault], o.left, o.message.len);
		pieces(rows[i].in, &o, name);
	}
	text_free(&o.message);
}

static void cases(void)
{
	static const struct row rows[] = {
		/* The end. */
		{ { ".\r\n", 3 }, "", DATA_END, DATA_GOOD, 0 },
		{ { "a\r\n.\r\n", 6 }, "a\r\n", DATA_END, DATA_GOOD, 0 },
		{ { "a\r\n.\r\nQUIT\r\n", 12 }, "a\r\n", DATA_END, DATA_GOOD, 6 },
		{ { "a\r\n", 3 }, "a\r\n", DATA_MORE, DATA_GOOD, 0 },
		{ { "a\r\n.", 4 }, "a\r\n", DATA_MORE, DATA_GOOD, 0 },
		{ { "\r\n.\r\n", 5 }, "\r\n", DATA_END, DATA_GOOD, 0 },
		/* Dots. */
		{ { "..\r\n.\r\n", 7 }, ".\r\n", DATA_END, DATA_GOOD, 0 },
		{ { "..a\r\n...\r\n.\r\n", 13 }, ".a\r\n..\r\n", DATA_END, DATA_GOOD, 0 },
		{ { ".a\r\nb.\r\n.\r\n", 11 }, "a\r\nb.\r\n", DATA_END, DATA_GOOD, 0 },
		{ { "a.\r\n .\r\n.\r\n", 11 }, "a.\r\n .\r\n", DATA_END, DATA_GOOD, 0 },
		/* Faults that do not hide the end. */
		{ { "a\nb\r\n.\r\n", 8 }, "", DATA_END, DATA_BARE, 0 },
		{ { "a\rb\r\n.\r\n", 8 }, "", DATA_END, DATA_BARE, 0 },
		{ { "\n\r\n.\r\n", 6 }, "", DATA_END, DATA_BARE, 0 },
		{ { "a\r\r\n.\r\n", 7 }, "", DATA_END, DATA_BARE, 0 },
		{ { "a\0b\r\n.\r\n", 8 }, "", DATA_END, DATA_NUL, 0 },
		{ { "\0\r\n.\r\n", 6 }, "", DATA_END, DATA_NUL, 0 },
		{ { "a\n.b\r\n.\r\n", 9 }, "", DATA_END, DATA_BARE, 0 },
		{ { "a\r\n.\0\r\n.\r\n", 10 }, "", DATA_END, DATA_NUL, 0 },
		/* Where servers disagree. */
		{ { "a\n.\nQ", 5 }, "", DATA_AMBIGUOUS, DATA_BARE, 1 },
		{ { "a\n.\r\nQ", 6 }, "", DATA_AMBIGUOUS, DATA_BARE, 1 },
		{ { "a\r\n.\nQ", 6 }, "", DATA_AMBIGUOUS, DATA_BARE, 1 },
		{ { ".\nQ", 3 }, "", DATA_AMBIGUOUS, DATA_BARE, 1 },
		{ { "a\r.\r\nQ", 6 }, "", DATA_AMBIGUOUS, DATA_BARE, 1 },
		{ { "a\r.\nQ", 5 }, "", DATA_AMBIGUOUS, DATA_BARE, 1 },
		{ { "a\n\n.\r\nQ", 7 }, "", DATA_AMBIGUOUS, DATA_BARE, 1 },
		{ { "a\r\n.\r.\r\nQ", 9 }, "", DATA_AMBIGUOUS, DATA_BARE, 1 },
		{ { "a\r\n.\rb\r\n.\r\n", 11 }, "", DATA_END, DATA_BARE, 0 },
	};

	run_rows(rows, sizeof rows / sizeof rows[0], "row");
}

/* Every text of CR, LF, dot and a letter up to this length, in one piece and byte by byte: what
 * ends a message where LF ends lines too is CRLF . CRLF alone, what comes out is CRLF lines, and
 * what is right without has the same result. */
static bool ends_alike(struct view in)
{
	const char *end = memmem(in.data, in.len, "\r\n.\r\n", 5);
	size_t expected = view_starts(in, VIEW(".\r\n")) ? 3
	                  : end                          ? (size_t)(end - in.data) + 5
	                                                 : 0;
	struct outcome strict, lenient, bytes;
	bool good = true;

	text_init(&strict.message, 1 << 10);
	text_init(&lenient.message, 1 << 10);
	text_init(&bytes.message, 1 << 10);
	run(in, 0, in.len, &strict);
	lf_ends_lines = true;
	run(in, 0, in.len, &lenient);
	run(in, 0, 1, &bytes);
	lf_ends_lines = false;
	good = same(&lenient, &bytes) &&
	       (lenient.result != DATA_END || in.len - lenient.left == expected);
	if (strict.fault == DATA_GOOD)
		good = good && same(&strict, &lenient);
	for (size_t i = 0; i < lenient.message.len; i++)
		good = good && (lenient.message.raw[i] != '\n' ||
		                (i > 0 && lenient.message.raw[i - 1] == '\r'));
	text_free(&strict.message);
	text_free(&lenient.message);
	text_free(&bytes.message);
	return good;
}

static void all_short_texts(void)
{
	enum { LENGTH = 9 };
	static const char letters[] = "\r\n.x";
	unsigned wrong = 0;

	for (size_t len = 1; len <= LENGTH; len++)
		for (unsigned long n = 0; n < 1ul << 2 * len; n++) {
			char text[LENGTH];

			for (size_t i = 0; i < len; i++)
				text[i] = letters[n >> 2 * i & 3];
			wrong += !ends_alike((struct view){ text, len });
		}
	ok(wrong == 0, "no text of %d bytes ends a message but by CRLF.CRLF", LENGTH);
}

static void cases_of_lf(void)
{
	static const struct row rows[] = {
		{ { "a\nb\n\r\n.\r\nQUIT", 13 }, "a\r\nb\r\n\r\n", DATA_END, DATA_GOOD, 4 },
		{ { "a\nb\r\n.\r\n", 8 }, "a\r\nb\r\n", DATA_END, DATA_GOOD, 0 },
		{ { "\n\n\na\r\n.\r\n", 9 }, "\r\n\r\n\r\na\r\n", DATA_END, DATA_GOOD, 0 },
		{ { "a\r\n\nb\r\n.\r\n", 10 }, "a\r\n\r\nb\r\n", DATA_END, DATA_GOOD, 0 },
		{ { "\n\r\n.\r\n", 6 }, "\r\n\r\n", DATA_END, DATA_GOOD, 0 },
		/* A dot between LFs is text and ends nothing. */
		{ { "a\n.\nb\r\n.\r\n", 10 }, "a\r\n.\r\nb\r\n", DATA_END, DATA_GOOD, 0 },
		{ { "a\n.\n.\n\r\n.\r\n", 11 }, "a\r\n.\r\n.\r\n\r\n", DATA_END, DATA_GOOD, 0 },
		{ { "a\n.\n", 4 }, "a\r\n.\r\n", DATA_MORE, DATA_GOOD, 0 },
		/* Behind an LF none is taken out, behind CRLF as ever. */
		{ { "a\n..b\n.c\r\n..d\r\n.\r\n", 18 },
		  "a\r\n..b\r\n.c\r\n.d\r\n",
		  DATA_END,
		  DATA_GOOD,
		  0 },
		/* Where servers disagree. */
		{ { "a\n.\r\nQ", 6 }, "", DATA_AMBIGUOUS, DATA_BARE, 1 },
		{ { "a\r\n.\nQ", 6 }, "", DATA_AMBIGUOUS, DATA_BARE, 1 },
		{ { ".\nQ", 3 }, "", DATA_AMBIGUOUS, DATA_BARE, 1 },
		{ { "a\r.\r\nQ", 6 }, "", DATA_AMBIGUOUS, DATA_BARE, 1 },
		{ { "a\r.\nQ", 5 }, "", DATA_AMBIGUOUS, DATA_BARE, 1 },
		/* A bare CR stays what it is. */
		{ { "a\rb\n\r\n.\r\n", 9 }, "", DATA_END, DATA_BARE, 0 },
		{ { "a\r\r\n.\r\n", 7 }, "", DATA_END, DATA_BARE, 0 },
		{ { "a\n\0\r\n.\r\n", 8 }, "", DATA_END, DATA_NUL, 0 },
		{ { "a\n.\rb\r\n.\r\n", 10 }, "", DATA_END, DATA_BARE, 0 },
	};

	lf_ends_lines = true;
	run_rows(rows, sizeof rows / sizeof rows[0], "LF row");
	lf_ends_lines = false;
	all_short_texts();
}

static void long_lines(void)
{
	struct text in;
	struct outcome o;

	text_init(&in, 1 << 20);
	text_init(&o.message, 1 << 20);
	for (int i = 0; i < DATA_LINE_MAX - 1; i++)
		text_add_byte(&in, 'x');
	text_add_string(&in, "\r\n.\r\n");
	run(text_view(&in), 0, in.len, &o);
	ok(o.result == DATA_END && o.fault == DATA_GOOD && o.message.len == DATA_LINE_MAX + 1,
	   "a line of the limit passes");
	run(text_view(&in), 0, 4096, &o);
	ok(o.fault == DATA_GOOD, "in pieces too");
	text_clear(&in);
	for (int i = 0; i < DATA_LINE_MAX; i++)
		text_add_byte(&in, 'x');
	text_add_string(&in, "\r\n.\r\n");
	run(text_view(&in), 0, in.len, &o);
	ok(o.result == DATA_END && o.fault == DATA_LONG_LINE,
	   "one byte more is refused, and the end is found");
	run(text_view(&in), 0, 1000, &o);
	ok(o.result == DATA_END && o.fault == DATA_LONG_LINE, "in pieces too");
	text_free(&in);
	text_free(&o.message);
}

int main(void)
{
	cases();
	cases_of_lf();
	long_lines();
	return tap_done();
}
