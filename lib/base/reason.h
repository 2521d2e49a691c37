/* SPDX-License-Identifier: ISC */
/*
 * Why something failed: what, on what, why.  A function that can fail for
 * outside reasons returns int (0 or -1) and fills a reason, so that the one
 * who knows the consequence writes the log line or the answer.
 */
#ifndef LIB_BASE_REASON_H
#define LIB_BASE_REASON_H

enum { REASON_MAX = 512 };

struct reason {
	char text[REASON_MAX];
};

/* Writes the text (cut at REASON_MAX); returns -1, to be returned on.  why may be NULL. */
int fail(struct reason *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with ": " and strerror(errno) behind; leaves errno as it was. */
int fail_errno(struct reason *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
