/* SPDX-License-Identifier: ISC */
/*
 * The registry: every command, once. The dispatcher enforces the columns, handlers do not check
 * again.
 */
#ifndef IMAPD_COMMAND_H
#define IMAPD_COMMAND_H

#include "imapd/session.h"

enum command_flag {
	/* no untagged EXPUNGE behind it (RFC 3501 section 7.4.1) */
	COMMAND_KEEPS_NUMBERS = 1 << 0,
	/* the set names UIDs; answers carry UIDs */
	COMMAND_BY_UID = 1 << 1,
	/* refused in a mailbox that EXAMINE opened */
	COMMAND_WRITES = 1 << 2,
	/* a literal behind the first argument stays in the stream for the handler */
	COMMAND_STREAMS = 1 << 3,
	/* nothing about the mailbox is told behind it: it closes it, or has told all */
	COMMAND_QUIET = 1 << 4
};

/*
 * Argument rule, one letter an argument:
 *   a astring   m name of a mailbox   l list-mailbox (pattern)   s sequence set   ( list
 *   x any one   * any number, also none   + one or more (both end the rule)
 * "m" leaves the name in the form the store knows (INBOX in capitals, no delimiter at the end).
 */
struct command {
	const char *name;
	void (*run)(struct session *s, struct argument *arguments);
	unsigned states; /* enum session_state bits */
	const char *arguments;
	unsigned flags;
	const char *capability; /* that it stands for, or that clients may ask of it; NULL: none */
};

const struct command *command_find(struct view name);
/* Finds, checks and runs the parsed command of the session. */
void command_dispatch(struct session *s);

void capability_run(struct session *s, struct argument *a);
void noop_run(struct session *s, struct argument *a);
void logout_run(struct session *s, struct argument *a);
void id_run(struct session *s, struct argument *a);
void namespace_run(struct session *s, struct argument *a);
void enable_run(struct session *s, struct argument *a);
void select_run(struct session *s, struct argument *a);
void examine_run(struct session *s, struct argument *a);
void create_run(struct session *s, struct argument *a);
void delete_run(struct session *s, struct argument *a);
void rename_run(struct session *s, struct argument *a);
void subscribe_run(struct session *s, struct argument *a);
void unsubscribe_run(struct session *s, struct argument *a);
void list_run(struct session *s, struct argument *a);
void lsub_run(struct session *s, struct argument *a);
void status_run(struct session *s, struct argument *a);
void append_run(struct session *s, struct argument *a);
void idle_run(struct session *s, struct argument *a);
void check_run(struct session *s, struct argument *a);
void close_run(struct session *s, struct argument *a);
void unselect_run(struct session *s, struct argument *a);
void expunge_run(struct session *s, struct argument *a);
void uid_expunge_run(struct session *s, struct argument *a);
void search_run(struct session *s, struct argument *a);
void fetch_run(struct session *s, struct argument *a);
void store_run(struct session *s, struct argument *a);
void copy_run(struct session *s, struct argument *a);
void move_run(struct session *s, struct argument *a);
void already_run(struct session *s, struct argument *a);

enum { COMMAND_CAPABILITIES_MAX = 1024 };
/* " IMAP4rev1 ...": what is told after login, by CAPABILITY and in the greeting. */
void command_capabilities(struct text *out);

#endif
