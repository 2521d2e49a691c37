/* SPDX-License-Identifier: ISC */
/*
 * `posthouse` (and mailq, sendmail -q) <-> the house, over RUNDIR/control: a SOCK_SEQPACKET socket
 * that master binds.
 *
 * master looks at the peer's credentials (root, the house's own uid when unprivileged, or a member
 * of control.group) and reads one message. CONTROL_QUEUE: it passes the connection on to queued,
 * which answers everything that follows on it (the queue's own types, below). CONTROL_SESSIONS: the
 * session programs' parents answer. The other verbs master answers itself.
 */
#ifndef LIB_WIRE_CONTROL_H
#define LIB_WIRE_CONTROL_H

#include "lib/base/limits.h"
#include "lib/base/version.h"
#include "lib/wire/session.h"

enum control_type {
	CONTROL_STATUS = 16, /* -> CONTROL_VERSION, CONTROL_LINE ..., CONTROL_END */
	CONTROL_RELOAD,      /* take the current generation -> CONTROL_END */
	CONTROL_STOP,        /* orderly; CONTROL_END when the house is empty but for master */
	CONTROL_QUEUE,       /* queued takes over -> CONTROL_END (permission given) */
	CONTROL_LINE,        /* one line of text for the user */
	CONTROL_END,         /* byte exit code, string text ("" when done) */
	/* To queued, after CONTROL_QUEUE. A filter is text: "" for all, an id, "from:ADDRESS",
	 * "to:ADDRESS", "domain:NAME" */
	CONTROL_QUEUE_LIST,  /* string filter; CONTROL_QUEUE_ENTRY ..., CONTROL_END */
	CONTROL_QUEUE_ENTRY, /* struct control_entry, one behind the other, as many as the packet
	                        holds */
	CONTROL_QUEUE_SHOW,  /* string id -> CONTROL_LINE header lines, then CONTROL_END with the
	                        message's file beside it */
	CONTROL_QUEUE_RETRY, /* string filter -> CONTROL_END: text is the count */
	CONTROL_QUEUE_HOLD,
	CONTROL_QUEUE_RELEASE,
	CONTROL_QUEUE_REMOVE,
	CONTROL_VERSION, /* string: master's; the two ends need not be of one version, so that new
	                    types go to the end */
	/* To queued, as those above. */
	CONTROL_QUEUE_COUNTS,  /* -> CONTROL_QUEUE_COUNTS: struct control_counts */
	CONTROL_QUEUE_RESTORE, /* string name of a file below the queue directory, bool unverified
	                          -> CONTROL_END */
	/* To master, which passes it on to the parents of all session programs; each answers on
	 * the same connection, whose end is the answer's: struct control_sessions ->
	 * CONTROL_SESSION_ENTRY ..., CONTROL_END only where something is wrong. */
	CONTROL_SESSIONS,
	CONTROL_SESSION_ENTRY, /* struct control_session, one behind the other */
	/* queued's, before the answer, every second: a start is still reading the queue; u32 so
	 * many files, u32 of so many. */
	CONTROL_QUEUE_READING
};

enum { CONTROL_LINE_MAX = 2048 };

/* One message of the queue. */
struct control_entry {
	char id[16];
	char state; /* 'a' active, 'd' deferred, 'h' held */
	uint64_t bytes;
	int64_t arrived_s, next_s; /* wall clock; next attempt, 0 when active or held */
	char sender[ADDRESS_MAX];
	uint32_t recipients;        /* still open; the first ones below */
	struct view recipient_list; /* addresses joined with '\n', cut at 16 KB */
	char reason[512];           /* of the last deferral */
};

enum { CONTROL_RECIPIENT_LIST_MAX = 16384, CONTROL_BATCH_BYTES = 32768 };

/* What is in the queue directory and is not served. */
struct control_counts {
	uint32_t damaged, torn, misplaced, stray, unreadable;
	uint32_t left; /* delivered, and cannot be removed */
	uint32_t
		unwritten; /* their files do not say, or are not there to say, what was delivered */
	uint32_t unread;   /* the start has not come to them yet: they are served in a moment */
	bool secret_lost;  /* the file `secret' is not there, or not the one that queued uses */
};

/* Which sessions are meant. */
struct control_sessions {
	bool end;               /* they are to end; not when all are meant */
	uint64_t id;            /* 0: none of this number */
	char whom[ADDRESS_MAX]; /* the account; with id its digits; "": all */
};

struct control_session {
	struct session_facts facts;
	int64_t since_s; /* wall clock */
	uint32_t pid;    /* that serves it */
};

void control_sessions_put(struct wire_out *out, const struct control_sessions *q);
/* As master passes it on: fd is the connection. */
bool control_sessions_get(struct wire_in *in, struct control_sessions *q, int *fd);
/* Appends one to a packet begun with CONTROL_SESSION_ENTRY. */
void control_session_put(struct wire_out *out, const struct control_session *s);
/* The next one of a packet; call while in->rest.len. */
bool control_session_get(struct wire_in *in, struct control_session *s);

/* Appends one entry to a packet begun with CONTROL_QUEUE_ENTRY (20,000 messages must not cost
 * 20,000 packets). */
void control_entry_put(struct wire_out *out, const struct control_entry *e);
/* The next entry of a packet; call while in->rest.len. */
bool control_entry_get(struct wire_in *in, struct control_entry *e);
void control_counts_put(struct wire_out *out, const struct control_counts *c);
bool control_counts_get(struct wire_in *in, struct control_counts *c);
void control_reading_put(struct wire_out *out, uint32_t read, uint32_t all);
bool control_reading_get(struct wire_in *in, uint32_t *read, uint32_t *all);
void control_end_put(struct wire_out *out, uint8_t code, const char *text);
bool control_end_get(struct wire_in *in, uint8_t *code,
                     char text[CONTROL_LINE_MAX]); /* a descriptor may stand beside it */
void control_line_put(struct wire_out *out, const char *text);
bool control_line_get(struct wire_in *in, char text[CONTROL_LINE_MAX]);
void control_version_put(struct wire_out *out, const char *version);
bool control_version_get(struct wire_in *in, char version[VERSION_MAX]);

/* An answer of many packets, none with a descriptor, which goes as fast as the asker reads. Zeroed
 * it is empty. */
struct control_answer {
	struct text packets; /* each behind its length */
};

enum { CONTROL_ANSWER_MAX = 4 << 20 }; /* what is more is cut off */

void control_answer_add(struct control_answer *a, const struct wire_out *out);
/* WIRE_OK: all has gone; WIRE_AGAIN: once more when the descriptor, which does not block, is
 * writable. */
enum wire_result control_answer_send(struct control_answer *a, int fd);
void control_answer_free(struct control_answer *a);

/* The asker's side: connects to RUNDIR/control; -1 with errno and a reason that says what to do
 * ("posthouse is not running ..."). */
struct reason;
int control_connect(const char *rundir, struct reason *why);
/* Did control_connect fail because nobody is there? After any other error nobody knows. */
bool control_is_absent(int error);
/* What a command exits with after control_connect failed: EXIT_TEMPORARY, for it may run a moment
 * later, unless who calls may not ask at all. */
int control_exit_code(int error);

#endif
