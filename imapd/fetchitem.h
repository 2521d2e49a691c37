/* SPDX-License-Identifier: ISC */
/* What a FETCH asks for (RFC 3501 section 6.4.5). */
#ifndef IMAPD_FETCHITEM_H
#define IMAPD_FETCHITEM_H

#include "imapd/section.h"

enum { FETCH_ITEMS_MAX = 200 };

enum fetch_what {
	FETCH_UID,
	FETCH_FLAGS,
	FETCH_INTERNALDATE,
	FETCH_SIZE,
	FETCH_ENVELOPE,
	FETCH_BODY,
	FETCH_BODYSTRUCTURE,
	FETCH_SECTION
};

struct fetch_item {
	enum fetch_what what;
	struct section section; /* FETCH_SECTION */
	bool sees;              /* sets \Seen */
	struct fetch_item *next;
};

struct fetch_request {
	struct fetch_item *first, **tail;
	unsigned count;
	bool has[FETCH_SECTION + 1];
	bool sees;
};

/* The items of a FETCH argument: one, a list of them, or a macro.  false: not valid. */
bool fetch_request_read(struct arena *arena, const struct argument *a, bool by_uid,
                        struct fetch_request *out);

#endif
