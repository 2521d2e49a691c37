/* SPDX-License-Identifier: ISC */
/*
 * Putting a message into the queue: the writer's side of lib/wire/spool.h, shared by smtpd, pickup
 * and bounce.  It writes the file that queued has opened, straight, with a checksum that grows with
 * it.
 */
#ifndef LIB_QUEUE_SPOOLING_H
#define LIB_QUEUE_SPOOLING_H

#include "lib/wire/spool.h"

struct checksum;

enum {
	SPOOL_BUFFER_BYTES = SPOOL_WHOLE_MAX_BYTES, /* what a writer collects before it writes */
	SPOOL_LINES_BYTES = 16384,                  /* of recipients that it writes itself */
	SPOOL_LISTEN_BYTES = 262144, /* and writes before it hears whether it may go on */
	SPOOL_ID_FRESH_MS = 1000     /* how old the id of the next message may be: ids are in the
	                                order of arrival */
};

/* Begins as { .queued = -1, .fd = -1 }; one serves any number of messages, one after another. */
struct spool_writer {
	int queued; /* the line; -1: dialled at need over the wire "queued.spool" */
	int fd;     /* the file being written, -1 none */
	bool waits; /* a message has begun that has no file yet: all of it is in the buffer */
	struct spool_open open;
	char id[SPOOL_ID_MAX], next_id[SPOOL_ID_MAX]; /* next: empty: none is known */
	int64_t next_id_ms;                           /* when it was named */
	uint64_t offset;                              /* in the file: where the next bytes go */
	uint64_t written;   /* message bytes so far, those in the buffer too */
	uint64_t unheard;   /* bytes in the file since queued was last listened to */
	struct text buffer; /* place for the header while it waits; unwritten bytes, flushed in
	                       large writes */
	struct wire_out recipients; /* not yet sent */
	struct text lines;          /* all recipients, as the file has them; full: too many */
	struct checksum *hash;      /* running */
};

/* Each returns 0, or -1 with the refusal filled (a lost line, own_fault, or a disk error is
 * temporary: 4.3.0; queued may also end a message that it needs the room of) and the file
 * abandoned. */
int spool_begin(struct spool_writer *w, const struct spool_open *open,
                struct spool_refusal *refusal);
int spool_write(struct spool_writer *w, struct view bytes, struct spool_refusal *refusal);
int spool_add_recipient(struct spool_writer *w, const struct envelope_recipient *r,
                        struct spool_refusal *refusal);
/* Sends the envelope, syncs, makes it live: on 0 the message is safe. */
int spool_finish(struct spool_writer *w, const struct envelope *e, struct spool_refusal *refusal);
void spool_abandon(struct spool_writer *w); /* harmless when nothing is open */
/* The writer's end: what is open is abandoned, line and memory are given back. */
void spool_writer_free(struct spool_writer *w);

#endif
