/* SPDX-License-Identifier: ISC */
/* The program of a SEARCH (RFC 3501 section 6.4.4): a tree of keys out of the arguments. */
#ifndef IMAPD_SEARCHKEY_H
#define IMAPD_SEARCHKEY_H

#include "imapd/finder.h"
#include "imapd/sequence.h"
#include "imapd/session.h"

enum {
	SEARCH_DEPTH_MAX = 4000,  /* OR in OR, NOT before NOT */
	SEARCH_NEEDLE_MAX = 4096, /* bytes of one string searched for, in UTF-8 */
	SEARCH_FINDERS_MAX = 200  /* strings in one search: each has a table of 1 KB */
};

enum search_what {
	SEARCH_AND, /* of the children */
	SEARCH_OR,
	SEARCH_ALL,
	SEARCH_NUMBERS, /* `set` */
	SEARCH_UIDS,
	SEARCH_FLAG,    /* `flag` */
	SEARCH_KEYWORD, /* `keyword`, may be 0: unknown here */
	SEARCH_RECENT,
	SEARCH_LARGER, /* `number` */
	SEARCH_SMALLER,
	SEARCH_BEFORE, /* `number`: the day */
	SEARCH_ON,
	SEARCH_SINCE,
	SEARCH_SENT_BEFORE,
	SEARCH_SENT_ON,
	SEARCH_SENT_SINCE,
	SEARCH_HEADER, /* `field`, `finder` */
	SEARCH_BODY,
	SEARCH_TEXT
};

/* What it takes to answer a key; a list is asked from the cheapest on. */
enum search_cost { COST_INDEX, COST_FILE, COST_HEADER, COST_BODY };

struct search_key {
	enum search_what what;
	bool not ;
	enum search_cost cost;
	struct search_key *first, *next;
	struct sequence_set set;
	uint32_t flag;
	uint64_t keyword;
	int64_t number;
	struct view field;
	struct finder *finder;
};

/* The keys from `a` on, all of which must hold, for the session's selected mailbox. charset: of the
 * strings ("": none was named). NULL: *error says what is wrong. */
struct search_key *search_compile(struct session *s, const struct argument *a, struct view charset,
                                  const char **error);

#endif
