/* SPDX-License-Identifier: ISC */
/*
 * Section specifications (RFC 3501 section 6.4.5): BODY[1.2.HEADER.FIELDS (From)]<0.100>.
 */
#ifndef IMAPD_SECTION_H
#define IMAPD_SECTION_H

#include "imapd/parse.h"

enum {
	SECTION_DEPTH_MAX = 32,   /* numbers in one specification */
	SECTION_FIELDS_MAX = 256, /* names in one HEADER.FIELDS */
	SECTION_LABEL_MAX =
		80000 /* what a line may ask for (SESSION_LINE_MAX), with quotes escaped */
};

enum section_what {
	SECTION_ALL, /* BODY[], BODY[1] */
	SECTION_HEADER,
	SECTION_FIELDS,     /* HEADER.FIELDS */
	SECTION_FIELDS_NOT, /* HEADER.FIELDS.NOT */
	SECTION_TEXT,
	SECTION_MIME /* only behind numbers */
};

struct section {
	enum section_what what;
	unsigned depth;      /* how many numbers */
	struct view spec;    /* between the brackets, without a list: "1.2.HEADER" */
	struct view *fields; /* names as they were given */
	unsigned field_count;
	bool partial;
	uint32_t origin, length; /* of the partial fetch; length > 0 */
	struct view label;       /* what the answer is called: BODY[1.MIME]<0> */
};

/* Reads a section from the argument whose text begins with "BODY[" or "BODY.PEEK[" (up to and with
 * the bracket: `prefix` bytes) and from those that follow it, which belong to it when it has a list
 * of field names. Returns the last argument used, or NULL on an error. */
const struct argument *section_parse(struct arena *arena, const struct argument *a, size_t prefix,
                                     struct section *out);

#endif
