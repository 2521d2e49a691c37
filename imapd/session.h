/* SPDX-License-Identifier: ISC */
/*
 * One client's session: what commands share.
 *
 * A handler writes its untagged answers to `stream` and ends with exactly one of session_ok,
 * session_no, session_bad; the dispatcher adds what changed in the mailbox meanwhile, and then the
 * tagged line.
 */
#ifndef IMAPD_SESSION_H
#define IMAPD_SESSION_H

#include "imapd/parse.h"
#include "imapd/sequence.h"
#include "lib/net/stream.h"
#include "lib/store/folder.h"
#include "lib/wire/owner.h"

enum {
	SESSION_LINE_MAX = 65536, /* one line of a command, literals not counted (RFC 2683
	                             section 3.2.1.5: 8000; clients are written against 64 KB) */
	SESSION_ERRORS_MAX = 20, /* commands in a row answered BAD before the client is sent away */
	SESSION_TAGGED_MAX = 256 << 10, /* a tagged answer: COPYUID names every message copied */
	SESSION_ANSWER_MAX = 64 << 20,  /* one untagged answer that is built in memory */
	SESSION_SWALLOW_MAX = 64 << 20, /* of a refused literal that comes unasked */
	SESSION_REST_AFTER_MS = 300     /* silence after which buffers are given back */
};

enum session_state { SESSION_AUTHENTICATED = 1, SESSION_SELECTED = 2, SESSION_LOGOUT = 4 };

struct session {
	struct stream stream;
	struct parser parser;
	struct owner_session who;
	struct store *store;
	enum session_state state;
	struct folder *folder;   /* SESSION_SELECTED: the mailbox, else NULL */
	unsigned keywords_told;  /* how many keywords of the folder the client knows */
	struct text tagged;      /* the answer to the command in work, without its tag */
	bool bad;                /* that answer is BAD */
	bool by_uid;             /* the command in work is one of UID's */
	struct sequence_set set; /* its set of messages, in the parser's arena */
	bool literal_waiting; /* the command's last literal is still in the stream: the handler's,
	                         see session_take_literal */
	uint64_t message_max; /* bytes of a message that APPEND takes */
	unsigned errors;      /* BAD answers since a command that was good */
	int timeout_ms;
};

void session_ok(struct session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void session_no(struct session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void session_bad(struct session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The NO for what the store answered, with the response codes of RFC 5530 and RFC 3501; logs what
 * an operator should see. code: put before the store's own, e.g. "TRYCREATE" for STORE_NOT_FOUND;
 * NULL: none. */
void session_store_no(struct session *s, enum store_result result, const struct reason *why,
                      const char *missing_code);
/* Only the log of it: the command goes on. */
void session_store_failed(const struct session *s, const struct reason *why);
/* BYE, and the session ends after this command. */
void session_bye(struct session *s, const char *text);

/* Leaves the selected mailbox, if any. */
void session_unselect(struct session *s);
/* Tells what others changed in the mailbox. expunges: message numbers may change now. */
void session_sync(struct session *s, bool expunges);
/* The same after this session may have deleted the mailbox itself: false, and no mailbox is
 * selected, when it is gone. */
bool session_sync_or_leave(struct session *s, bool expunges);
/* Waits until the client has said something or `other` (-1: nothing else) is readable, giving
 * memory back when it takes long. false: the session's time is over or the client is gone. */
bool session_wait(struct session *s, int other, bool *other_ready);
/* Reads a line of the client; false: the session is over. Of one that is not good *line is the
 * beginning. */
bool session_line(struct session *s, size_t max, struct view *line, bool *good);

/* COMMAND_STREAMS: the handler wants the literal of parser.literal_bytes; asks the client to send
 * it. */
void session_take_literal(struct session *s);
/* Some of those bytes, at most max; false: the session is over. */
bool session_some(struct session *s, uint64_t max, struct view *bytes);
/* The rest of a refused command: what its client sends without being asked (RFC 7888 section 4) is
 * no command. bytes: of the literal that is coming; or what the line that session_line gave, good
 * or not, announces. false: the session is over. */
bool session_swallow(struct session *s, uint64_t bytes);
bool session_swallow_announced(struct session *s, struct view line, bool good);

/* A sequence set of numbers or UIDs, as the command is, into s->set: the dispatcher's, for the rule
 * "s". false: it is none. */
bool session_read_set(struct session *s, struct view text);
/* Makes s->set message numbers, in ranges. false: it has answered BAD. */
bool session_messages(struct session *s);
/* The same as one ascending array, to be freed; *count may be 0 (then *seqs is still to be
 * freed). */
bool session_message_list(struct session *s, uint32_t **seqs, uint32_t *count);

#endif
