/* SPDX-License-Identifier: ISC */
/*
 * The queue file, format 1 (queue(5)): encoding and decoding over views, no file is touched here
 * (queued/disk.h, verify.h do that).
 *
 *	header     256 bytes of text, fixed fields
 *	message    the bytes that arrived
 *	extra      header lines to put before it, if any
 *	envelope   one record a line
 *	log        one record a line, each with its own short keyed checksum (queuelog.h)
 *
 * The seal in the header is a keyed BLAKE2b over header and envelope, the log's checksums are keyed
 * SipHash: a captured session that still holds the descriptor it wrote the message through cannot
 * change where the message goes.
 */
#ifndef LIB_QUEUE_QUEUEFILE_H
#define LIB_QUEUE_QUEUEFILE_H

#include "lib/wire/spool.h"

enum {
	QUEUE_HEADER_BYTES = SPOOL_HEADER_BYTES,
	QUEUE_STATE_OFFSET = 41, /* of the one byte that says open, committed, live */
	QUEUE_SECRET_BYTES = 32,
	QUEUE_SEAL_BYTES = 32,
	QUEUE_ID_CHARS = 13,
	QUEUE_ENVELOPE_MAX = 96 << 20 /* 50,000 recipients with the longest ORCPT, escaped */
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
/* The words of a recipient alone, as a record of the log has them too. */
void queue_recipient_put(struct text *out, const struct envelope_recipient *r);
bool queue_recipient_get(struct view *rest, struct envelope_recipient *r);
/* false: not an envelope, or one with a line or a word that this program does not know: what a
 * later one wrote, whose meaning must not be left out.  recipient() may refuse by returning false.
 */
bool queue_envelope_decode(struct view bytes, struct envelope *e,
                           bool (*recipient)(void *context, const struct envelope_recipient *r),
                           void *context);

#endif
