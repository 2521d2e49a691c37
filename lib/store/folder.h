/* SPDX-License-Identifier: ISC */
/*
 * One open folder: what a session sees of it, and what it does to it.
 *
 * A session sees the folder as it was at its last folder_sync: sequence numbers 1..folder_count()
 * are valid and stay what they are until the next one; what other sessions did in between shows up
 * only there (a message they removed answers STORE_GONE to message_open, its flags and cache stay
 * readable). What this session does itself is visible at once, except that folder_expunge and
 * folder_move leave the sequence numbers alone until folder_sync.
 *
 * UIDs stand in the file names (second record: the index), so they never change however the index
 * fares. Any number of sessions may have the same folder open, several times in one process too.
 *
 * Only folder_sync with STORE_EXPUNGES changes sequence numbers downward: RFC 3501 section 7.4.1
 * forbids that during FETCH, STORE, SEARCH.
 */
#ifndef LIB_STORE_FOLDER_H
#define LIB_STORE_FOLDER_H

#include "lib/store/store.h"

struct folder;

/* Flags are the letters of the Maildir file name (bit = letter - 'A'); letters without meaning here
 * are kept. */
enum store_flag {
	STORE_FLAG_DRAFT = 1 << ('D' - 'A'),
	STORE_FLAG_FLAGGED = 1 << ('F' - 'A'),
	STORE_FLAG_PASSED = 1 << ('P' - 'A'), /* $Forwarded; not an IMAP system flag */
	STORE_FLAG_ANSWERED = 1 << ('R' - 'A'),
	STORE_FLAG_SEEN = 1 << ('S' - 'A'),
	STORE_FLAG_DELETED = 1 << ('T' - 'A'),
	STORE_FLAGS_IMAP = STORE_FLAG_DRAFT | STORE_FLAG_FLAGGED | STORE_FLAG_ANSWERED |
	                   STORE_FLAG_SEEN | STORE_FLAG_DELETED
};

enum {
	STORE_KEYWORDS_MAX = 64, /* of a folder; the first 26 stand in the file names, the rest only
	                            in the index */
	STORE_KEYWORD_NAME_MAX = 64, /* bytes of one */
	STORE_MESSAGES_MAX = 1 << 24,
	STORE_CACHE_MAX = 1 << 20 /* bytes cached of one message */
};

/* ---- the folder ---- */

/* Opens and syncs.  A session that is not read only claims the \Recent messages. Where the file
 * system is read only so is the folder, whatever was asked for. */
enum store_result folder_open(struct store *store, struct view name, bool read_only,
                              struct folder **out, struct reason *why);
void folder_close(struct folder **folder);

uint32_t folder_count(const struct folder *f);
uint32_t folder_recent(const struct folder *f);
uint32_t folder_first_unseen(struct folder *f); /* sequence number, 0: none */
uint32_t folder_uidvalidity(const struct folder *f);
uint32_t folder_uidnext(const struct folder *f);
bool folder_read_only(const struct folder *f);

struct folder_status {
	uint32_t messages, recent, unseen, uidvalidity, uidnext, deleted;
	uint64_t modseq, bytes; /* bytes: as IMAP sizes, only with want_bytes (it may have to read
	                           messages) */
};
enum store_result folder_status(struct store *store, struct view name, bool want_bytes,
                                struct folder_status *out, struct reason *why);

/* What others changed since the last sync. */
struct folder_changes {
	const uint32_t *expunged; /* sequence numbers, highest first: to be told in this order */
	uint32_t expunged_count;
	const uint32_t
		*flags; /* sequence numbers after the expunges, ascending, whose flags changed */
	uint32_t flags_count;
	bool exists, recent; /* folder_count or folder_recent is to be told (they grew) */
	bool keywords; /* the table of keywords grew: FLAGS and PERMANENTFLAGS are to be told */
};
enum { STORE_EXPUNGES = 1 /* removed messages may be told: sequence numbers change */ };
/* Cheap when nothing changed. The arrays live until the next call on this folder. STORE_GONE: the
 * folder is deleted. */
enum store_result folder_sync(struct folder *f, unsigned what, struct folder_changes *out,
                              struct reason *why);

/* A descriptor that becomes readable when the folder may have changed (new mail, flags, expunges of
 * other sessions and programs; own changes too); folder_sync empties it. The folder's own, -1: not
 * to be had. */
int folder_watch(struct folder *f);

/* ---- messages; seq is 1..folder_count() ---- */

struct store_message {
	uint32_t uid;
	uint32_t flags;    /* enum store_flag, and unknown letters */
	uint64_t keywords; /* bits, see folder_keyword_name */
	bool recent;
	uint64_t modseq;
	uint64_t size;  /* with CRLF; only with STORE_WANT_SIZE */
	int64_t date_s; /* INTERNALDATE; only with STORE_WANT_DATE */
};
enum { STORE_WANT_SIZE = 1, STORE_WANT_DATE = 2 };

/* Without `want` it touches no file but the index, and fails for a valid seq only where that is
 * damaged and the folder cannot be read. */
enum store_result folder_message(struct folder *f, uint32_t seq, unsigned want,
                                 struct store_message *out, struct reason *why);
/* The file's bytes, of one that cannot be read (and so neither measured): false when nothing is
 * known of it. */
bool folder_file_bytes(struct folder *f, uint32_t seq, uint64_t *bytes);
uint32_t folder_uid(struct folder *f, uint32_t seq);
/* Another session has removed it, which the next folder_sync tells. */
bool folder_gone(struct folder *f, uint32_t seq);
/* The first message with this UID or above; count + 1: none. */
uint32_t folder_seq_from(struct folder *f, uint32_t uid);

/* ---- flags and keywords ---- */

/* The name of keyword number n, NULL: not in use.  STORE_KEYWORDS_MAX numbers. */
const char *folder_keyword_name(const struct folder *f, unsigned number);
/* Its number; without `create`, or when the table is full, -1 for one that is not there. ASCII case
 * does not matter.
 * Also in a folder opened read only, as the target of an APPEND or COPY is (it must not claim
 * \Recent). */
int folder_keyword(struct folder *f, struct view name, bool create);
/* The bits of several different ones. create: all that are not there yet are made, or none:
 * STORE_LIMIT when they are more than have room. Without it those that are not there have no bit.
 */
enum store_result folder_keywords(struct folder *f, const struct view *names, unsigned count,
                                  bool create, uint64_t *bits, struct reason *why);

enum store_change { STORE_ADD, STORE_REMOVE, STORE_REPLACE };
/* On every seq of the list (ascending). STORE_REPLACE leaves unknown letters and STORE_FLAG_PASSED
 * alone. Messages that are gone are passed over. */
enum store_result folder_store(struct folder *f, const uint32_t *seqs, uint32_t count,
                               enum store_change change, uint32_t flags, uint64_t keywords,
                               struct reason *why);
/* Removes those with \Deleted; with uids != NULL only those that are also among these (ascending)
 * UIDs: UID EXPUNGE. The next folder_sync tells. */
enum store_result folder_expunge(struct folder *f, const uint32_t *uids, uint32_t count,
                                 struct reason *why);
/* Removes these UIDs (ascending) whatever their flags: pop3d's QUIT. */
enum store_result folder_remove(struct folder *f, const uint32_t *uids, uint32_t count,
                                struct reason *why);

/* ---- adding ---- */

/* All or none; STORE_LIMIT: `to` has no room for all their keywords. uids (may be NULL) receives
 * the new UIDs in `to`, in the order of seqs; 0 where the message was gone. Flags, keywords, date
 * and cache go along. Files are linked where possible. */
enum store_result folder_copy(struct folder *f, const uint32_t *seqs, uint32_t count,
                              struct folder *to, uint32_t *uids, struct reason *why);
/* A copy, then the originals go (RFC 6851); the next folder_sync tells. What another session moves
 * or removes at the same time counts as gone (0 in uids): one message has one copy. */
enum store_result folder_move(struct folder *f, const uint32_t *seqs, uint32_t count,
                              struct folder *to, uint32_t *uids, struct reason *why);

/* APPEND: begin, write as often as needed, finish or abort. The message is durable when finish
 * returns. */
struct folder_append;
/* size_bytes: what is announced, for the quota. */
enum store_result folder_append_begin(struct folder *to, uint64_t size_bytes,
                                      struct folder_append **out, struct reason *why);
enum store_result folder_append_write(struct folder_append *a, struct view bytes,
                                      struct reason *why);
/* Ends it either way.  date_s: since 1970, below 0 too; STORE_DATE_NOW. */
#define STORE_DATE_NOW INT64_MIN
enum store_result folder_append_finish(struct folder_append **a, uint32_t flags, uint64_t keywords,
                                       int64_t date_s, uint32_t *uid, struct reason *why);
void folder_append_abort(struct folder_append **a);

/* ---- a message's bytes, always with CRLF ---- */

struct message {
	int fd;        /* the file as it is on disk */
	uint64_t size; /* with CRLF */
	bool converts; /* the file has bare LF: fd cannot be sent as it is, use message_view or
	                  message_read */
	/* private */
	uint64_t file_size, mapped;
	char *bytes;
	bool is_map;
};

/* Closed with message_close.  STORE_GONE: removed meanwhile. */
enum store_result message_open(struct folder *f, uint32_t seq, struct message *m,
                               struct reason *why);
/* The whole message; lives until message_close. */
enum store_result message_view(struct message *m, struct view *out, struct reason *why);
/* Up to max bytes from offset without loading the whole (where the file has CRLF); lives until the
 * next call on m. For headers: the first piece usually holds them. */
enum store_result message_read(struct message *m, uint64_t offset, size_t max, struct text *out,
                               struct reason *why);
void message_close(struct message *m);

/* ---- cache: what imapd knows about a message (envelope, structure), opaque, one piece per message
 * ---- May vanish at any time; begin it with a version of yours. */

/* Empty when there is none; lives until the next call on this folder. */
struct view folder_cache_get(struct folder *f, uint32_t seq);
/* Buffered; written at folder_cache_flush (call it at the end of the command), folder_sync or
 * folder_close. */
void folder_cache_put(struct folder *f, uint32_t seq, struct view bytes);
void folder_cache_flush(struct folder *f);

#endif
