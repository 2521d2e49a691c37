/* SPDX-License-Identifier: ISC */
/* Lines of standard input, of any length: a long one comes in pieces. */
#ifndef QUEUE_SUBMIT_LINES_H
#define QUEUE_SUBMIT_LINES_H

#include "lib/base/bytes.h"

enum { PIECE_BYTES_MAX = 16384 };

/* Begins zeroed. */
struct lines {
	struct text piece; /* of a line, without its end (LF or CR LF) */
	bool whole;        /* it is all of its line */
	bool ends;         /* the line ends with it */
	bool cr_lf;        /* with CR LF */
	bool torn;         /* that end was not written: nothing comes behind it */
	bool over;         /* nothing comes any more */
	int failed;        /* errno: what was read is not all there was */
};

/* The next piece into l->piece; false at the end, and when reading failed. A last line without an
 * end gets one. */
bool lines_next(struct lines *l);
void lines_free(struct lines *l);

#endif
