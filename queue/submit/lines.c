/* SPDX-License-Identifier: ISC */
#include "queue/submit/lines.h"

#include <errno.h>
#include <unistd.h>

#include "lib/base/file.h"

enum { READ_BYTES = 65536 };

static char buffer[READ_BYTES];
static size_t start, end;

static bool fill(struct lines *l)
{
	ssize_t n = file_read_some(STDIN_FILENO, buffer, sizeof buffer);

	if (n < 0)
		l->failed = errno;
	if (n <= 0) {
		l->over = true;
		return false;
	}
	start = 0;
	end = (size_t)n;
	return true;
}

/* A CR belongs to the LF behind it, which the next piece may begin with. */
static void leave_cr(struct text *piece)
{
	if (piece->len > 1 && piece->raw[piece->len - 1] == '\r') {
		piece->raw[--piece->len] = '\0';
		start--;
	}
}

static bool drop_cr(struct text *piece)
{
	bool there = piece->len && piece->raw[piece->len - 1] == '\r';

	if (there)
		piece->raw[--piece->len] = '\0';
	return there;
}

bool lines_next(struct lines *l)
{
	bool begins = l->ends || l->piece.max == 0;

	if (l->piece.max == 0)
		text_init(&l->piece, PIECE_BYTES_MAX);
	text_clear(&l->piece);
	l->ends = l->whole = l->cr_lf = false;
	while (!l->ends && l->piece.len < PIECE_BYTES_MAX && (start < end || fill(l))) {
		struct view rest = { buffer + start, end - start };
		size_t room = PIECE_BYTES_MAX - l->piece.len, at = view_find(rest, '\n');

		l->ends = at < rest.len && at <= room;
		struct view part = view_take(rest, l->ends || at < room ? at : room);

		text_add(&l->piece, part);
		start += part.len + l->ends;
	}
	if (l->failed || (l->over && l->piece.len == 0 && begins))
		return false;
	l->torn = !l->ends && l->over;
	if (l->ends || l->torn) {
		l->ends = true;
		l->cr_lf = drop_cr(&l->piece) && !l->torn;
	} else {
		leave_cr(&l->piece);
	}
	l->whole = begins && l->ends;
	return true;
}

void lines_free(struct lines *l)
{
	text_free(&l->piece);
}
