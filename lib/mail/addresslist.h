/* SPDX-License-Identifier: ISC */
/*
 * Address lists of header fields (RFC 5322 section 3.4, obsolete forms of 4.4),
 * as IMAP's ENVELOPE and sendmail -t need them.
 *
 * Nothing is refused: what real mail holds is read as far as it makes sense; an
 * address is never made of parts that do not stand together, and where the
 * grammar is broken (a comma is missing) what is read is marked as loose.
 * Encoded words are left as they are.  A comment behind an address that has no
 * name gives the name ("joe@a.test (Joe)").  Parts are unquoted, unfolded
 * copies in the arena; use mailaddress_join to make an envelope address.
 */
#ifndef LIB_MAIL_ADDRESSLIST_H
#define LIB_MAIL_ADDRESSLIST_H

#include "lib/base/arena.h"
#include "lib/base/bytes.h"

enum {
	ADDRESSLIST_COUNT_MAX = 100000,      /* a bound for callers that know none */
	ADDRESSLIST_BYTES_MAX = 1024 * 1024, /* of a value that are read */
};

enum listed_kind {
	LISTED_MAILBOX,
	LISTED_GROUP_START, /* name holds the group's */
	LISTED_GROUP_END
};

struct listed_address {
	enum listed_kind kind;
	bool loose;          /* words beside it that belong to no address: is it meant? */
	struct view name;    /* data NULL: none */
	struct view route;   /* "@a,@b" of a source route; data NULL: none */
	struct view mailbox; /* local part without quotes */
	struct view host;    /* may be empty: "To: joe" */
	struct listed_address *next;
};

/* At most count_max entries (the groups' ends too).  NULL when there are none or
 * the arena is at its limit; a list cut short by the arena stays in order. */
struct listed_address *addresslist_parse(struct arena *arena, struct view value, size_t count_max);

#endif
