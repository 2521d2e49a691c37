/* SPDX-License-Identifier: ISC */
/* Flags and keywords (RFC 3501 section 2.3.2) between the wire and the store. */
#ifndef IMAPD_FLAGS_H
#define IMAPD_FLAGS_H

#include "imapd/session.h"

struct flags {
	uint32_t system;   /* enum store_flag */
	uint64_t keywords; /* the folder's bits */
};

/* Reads the flags in `first` and its followers; with `create` keywords that `folder` does not know
 * yet are made there, all or none. false: the command has its answer. */
bool flags_read(struct session *s, struct folder *folder, const struct argument *first, bool create,
                struct flags *out);
/* "\Seen $Forwarded", without parentheses. */
void flags_write(struct text *out, const struct folder *folder, const struct store_message *m);
/* "* 5 FETCH (FLAGS (...))", with the UID when the command in work is one of UID's. */
void flags_tell(struct session *s, uint32_t seq);
/* FLAGS and PERMANENTFLAGS of the selected mailbox. */
void flags_tell_table(struct session *s);
/* The same, when there are keywords that the client has not been told of. */
void flags_tell_new(struct session *s);

#endif
