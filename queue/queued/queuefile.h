/* SPDX-License-Identifier: ISC */
/*
 * The queue file, format 1 (queue(5)): encoding and decoding over views, no file is touched here
 * (disk.h does that).
 *
 *	header     256 bytes of text, fixed fields
 *	message    the bytes that arrived
 *	extra      header lines to put before it, if any
 *	envelope   one record a line
 *	log        one record a line, each with its own short keyed checksum
 *
 * The seal in the header is a keyed BLAKE2b over header and envelope, the log's checksums are keyed
 * SipHash: a captured session that still holds the descriptor it wrote the message through cannot
 * change where the message goes.
 */
#ifndef QUEUE_QUEUED_QUEUEFILE_H
#define QUEUE_QUEUED_QUEUEFILE_H

#include "lib/wire/spool.h"

enum {
	QUEUE_HEADER_BYTES = 256,
	QUEUE_STATE_OFFSET = 41, /* of the one byte that says open, committed, live */
	QUEUE_SECRET_BYTES = 32,
	QUEUE_SEAL_BYTES = 32,
	QUEUE_ID_CHARS = 13,
	QUEUE_ENVELOPE_MAX = 96 << 20, /* 50,000 recipients with the longest ORCPT, escaped */
	QUEUE_LOG_TEXT_MAX = 512
};

/* No header yet (zeros): open. */
enum queue_state { QUEUE_OPEN = 'o', QUEUE_COMMITTED = 'c', QUEUE_LIVE = 'l' };

struct queue_key {
	unsigned char seal[32], log[16]; /* both derived from the secret */
};

struct queue_header {
	uint64_t id;
	char state;
	uint64_t message_bytes, extra_bytes, envelope_bytes;
	int64_t arrived_us; /* wall clock */
	unsigned char checksum[SPOOL_CHECKSUM_BYTES], seal[QUEUE_SEAL_BYTES];
};

/* Ids sort by time as text and as numbers: microseconds since 1970, then 12 bits that keep them
 * apart. */
void queue_id_text(uint64_t id, char out[QUEUE_ID_CHARS + 1]);
bool queue_id_parse(struct view text, uint64_t *id);
uint64_t queue_id_next(uint64_t previous, int64_t now_us, unsigned noise);
/* Which of the 256 subdirectories: files of about the same second share one, so that a journal
 * commit of many parallel syncs touches few directory blocks. */
unsigned queue_id_directory(uint64_t id);

void queue_key_derive(struct queue_key *key, const unsigned char secret[QUEUE_SECRET_BYTES]);

/* envelope: the bytes it will seal; header->seal is filled in. */
void queue_header_encode(struct queue_header *header, struct view envelope,
                         const struct queue_key *key, char out[QUEUE_HEADER_BYTES]);
/* Format and ranges only. */
bool queue_header_decode(struct view bytes, struct queue_header *header);
/* bytes: the header as read. */
bool queue_seal_verify(struct view bytes, struct view envelope, const struct queue_key *key);

/* The envelope: its head, then recipients, in words as lib/wire/envelope.def has them. */
void queue_envelope_encode(struct text *out, const struct envelope *e);
void queue_recipient_encode(struct text *out, const struct envelope_recipient *r);
/* false: not an envelope, or one with a line or a word that this program does not know: what a
 * later one wrote, whose meaning must not be left out.  recipient() may refuse by returning false.
 */
bool queue_envelope_decode(struct view bytes, struct envelope *e,
                           bool (*recipient)(void *context, const struct envelope_recipient *r),
                           void *context);

/* ---- the log ---- */
enum queue_event {
	QUEUE_NEW, /* a recipient that came out of an alias; counts only when QUEUE_EXPANDED follows
	            */
	QUEUE_EXPANDED, /* recipient `index` was replaced by the new ones before this record */
	QUEUE_DONE,     /* recipient `index` needs nothing more */
	QUEUE_RETRY,    /* an attempt failed for now */
	QUEUE_FAILED,   /* it failed for good; a report is owed */
	QUEUE_SUCCESS,  /* delivered; a report was asked for and is owed */
	QUEUE_NOTICE,   /* the delay notice has gone out */
	QUEUE_ATTEMPT,  /* `number` attempts so far, the next at `time_s` */
	QUEUE_HOLD,
	QUEUE_RELEASE,
	QUEUE_EVENTS
};

struct queue_log {
	enum queue_event event;
	uint32_t index;  /* recipient; of QUEUE_NEW: the one it came from */
	uint32_t number; /* QUEUE_ATTEMPT: attempts; QUEUE_SUCCESS: 1 when it was relayed */
	int64_t time_s;
	char status[STATUS_MAX], host[256], text[QUEUE_LOG_TEXT_MAX];
	struct envelope_recipient recipient; /* QUEUE_NEW */
};

void queue_log_encode(struct text *out, const struct queue_key *key, uint64_t id,
                      const struct queue_log *l);
/* The next good record; records that are torn or not sealed are passed over and counted in *bad
 * (may be NULL). false at the end; then *rest holds a last line without its end, if there is
 * one. */
bool queue_log_next(struct view *rest, const struct queue_key *key, uint64_t id,
                    struct queue_log *l, unsigned *bad);

#endif
