/* SPDX-License-Identifier: ISC */
/*
 * Writers (smtpd, pickup, bounce) <-> queued: protocol "spool".  One message at a time on a line.
 *
 *     SPOOL_OPEN       -> SPOOL_FILE (a descriptor, and where in it the message begins)
 *     ... the writer writes the message straight to the file ...
 *     SPOOL_RECIPIENT, when they are many (no answer)
 *     ... and may write the envelope behind it, exactly as queue_envelope_encode gives it ...
 *     SPOOL_COMMIT     -> SPOOL_COMMITTED: header and envelope are written
 *     ... the writer calls fsync on its descriptor ...
 *     SPOOL_LIVE (no answer): once that is sent the writer may say 250
 *
 * SPOOL_ABANDON at any time before SPOOL_LIVE, or the end of the line: the file is removed. From
 * SPOOL_COMMITTED on only the writer can end its message. SPOOL_LIVE that could be sent is heard:
 * queued reads it also at the end of the line, and a queued that dies before it leaves a file that
 * the next one takes. Where it cannot be sent the file goes with the line, and the writer may not
 * say 250.
 * SPOOL_REFUSED instead of an answer ends the message: queued has removed the file, and the line is
 * free for the next one. So does SPOOL_ENDED, which comes at any time before SPOOL_COMMITTED and
 * instead of any answer (others need the room): what the writer has said meanwhile of that message
 * is not answered. It may be read late, in another message, which it does not name and does not
 * end.
 *
 * With the file queued names the id of the next message on this line, or none: then that one is
 * begun as above. Whoever has all of one with an id in memory needs no file before:
 *
 *     SPOOL_WHOLE      -> SPOOL_SEALED (a descriptor of an empty file, and its header)
 *     ... the writer writes header, message and envelope, and calls fsync ...
 *     SPOOL_LIVE
 *
 * From SPOOL_SEALED on it is as after SPOOL_COMMITTED. One that becomes longer is begun by
 * SPOOL_OPEN with that id. The answer to either names the id again: another one where no file of
 * the first can be made.
 */
#ifndef LIB_WIRE_SPOOL_H
#define LIB_WIRE_SPOOL_H

#include "lib/wire/envelope.h"

enum spool_type {
	SPOOL_OPEN = 16, /* struct spool_open */
	SPOOL_FILE,      /* struct spool_file */
	SPOOL_RECIPIENT, /* struct envelope_recipient, one or more */
	SPOOL_COMMIT,    /* struct envelope, struct spool_message, then any number of struct
	                    envelope_recipient: the last, or all */
	SPOOL_COMMITTED,
	SPOOL_LIVE,
	SPOOL_ABANDON,
	SPOOL_REFUSED, /* bool permanent, string status, string text */
	SPOOL_ENDED,   /* string id, then as SPOOL_REFUSED */
	SPOOL_WHOLE,   /* struct spool_open, then as SPOOL_COMMIT with all recipients */
	SPOOL_SEALED   /* struct spool_sealed */
};

enum {
	SPOOL_ID_MAX = 16, /* 13 characters and a terminator */
	SPOOL_ANSWER_TIMEOUT_MS = 60000,
	SPOOL_CHECKSUM_BYTES = 32, /* BLAKE2b (crypto_generichash) over the message bytes */
	SPOOL_RECIPIENTS_MAX = 50000,
	SPOOL_HEADER_BYTES = 256,      /* of the file */
	SPOOL_WHOLE_MAX_BYTES = 32768, /* of a message that is sealed whole */
	SPOOL_PACKET_BYTES = 16384     /* recipients are collected up to this */
};

struct spool_open {
	uint64_t announced_bytes; /* by the client; 0: unknown */
	/* Whose message it is, where room is shared out: the client, and without one the uid. */
	struct net_address client;
	uint32_t uid;
	char id[SPOOL_ID_MAX]; /* the next that queued has named; empty: it is to choose one */
};

/* The answer to SPOOL_OPEN: where the message goes. */
struct spool_file {
	char id[SPOOL_ID_MAX], next[SPOOL_ID_MAX]; /* of this message; of the next one */
	uint64_t offset;                           /* of the message in the file */
	int fd;
};

/* The answer to SPOOL_WHOLE. */
struct spool_sealed {
	char id[SPOOL_ID_MAX], next[SPOOL_ID_MAX];
	char header[SPOOL_HEADER_BYTES];
	int fd;
};

void spool_open_put(struct wire_out *out, const struct spool_open *o);
bool spool_open_get(struct wire_in *in, struct spool_open *o);
void spool_file_put(struct wire_out *out, const struct spool_file *f);
bool spool_file_get(struct wire_in *in, struct spool_file *f); /* refused: takes no descriptor */

void spool_sealed_put(struct wire_out *out, const struct spool_sealed *s);
bool spool_sealed_get(struct wire_in *in, struct spool_sealed *s); /* refused: as above */

/* What the writer knows of the bytes it wrote. */
struct spool_message {
	uint64_t bytes;
	uint8_t checksum[SPOOL_CHECKSUM_BYTES];
};

/* SPOOL_COMMIT; the getter leaves the recipients in `in`. */
void spool_commit_put(struct wire_out *out, const struct envelope *e,
                      const struct spool_message *m);
bool spool_commit_get(struct wire_in *in, struct envelope *e, struct spool_message *m);

/* SPOOL_WHOLE, likewise. */
void spool_whole_put(struct wire_out *out, const struct spool_open *o, const struct envelope *e,
                     const struct spool_message *m);
bool spool_whole_get(struct wire_in *in, struct spool_open *o, struct envelope *e,
                     struct spool_message *m);

struct spool_refusal {
	bool permanent;
	char status[STATUS_MAX], text[200];
	bool own_fault; /* the writer's: it has not heard queued, or not read the message (never on
	                   the wire) */
};
void spool_refusal_put(struct wire_out *out, const struct spool_refusal *r);
bool spool_refusal_get(struct wire_in *in, struct spool_refusal *r);
/* SPOOL_ENDED. */
void spool_ended_put(struct wire_out *out, const char *id, const struct spool_refusal *r);
bool spool_ended_get(struct wire_in *in, char id[SPOOL_ID_MAX], struct spool_refusal *r);

#endif
