/* SPDX-License-Identifier: ISC */
/*
 * sendmail <-> pickup over RUNDIR/submit (SOCK_SEQPACKET, bound by master, mode 0666; the peer is
 * known by its credentials), and the file that `drop` writes when the house is down: the same
 * messages one after another. So their form does not follow the envelope's table: a drop file may
 * be older than the pickup that reads it.
 */
#ifndef LIB_WIRE_SUBMIT_H
#define LIB_WIRE_SUBMIT_H

#include "lib/wire/spool.h"

enum submit_type {
	SUBMIT_ENVELOPE = 16, /* string sender ("" = <>), bool sender_given, string full name, byte
	                         ret, string envid */
	SUBMIT_RECIPIENT,     /* string address, byte notify, string orcpt */
	SUBMIT_CHUNK,         /* bytes of the message, CRLF, at most SUBMIT_CHUNK_MAX */
	SUBMIT_END,           /* -> SUBMIT_RESULT */
	SUBMIT_RESULT,        /* bool accepted, bool permanent, string id or text */
	SUBMIT_READY          /* pickup has let this connection in, before anything is sent to it;
	                         whoever does not get it has given nothing away */
};

enum { SUBMIT_CHUNK_MAX = 32768, SUBMIT_NAME_MAX = 256 };

struct submit_envelope {
	char sender[ADDRESS_MAX];
	bool sender_given; /* -f: anybody may; who it was stands in the Received line. Otherwise the
	                      login name's address */
	char full_name[SUBMIT_NAME_MAX];
	char ret;
	char envid[ENVELOPE_ENVID_MAX];
};

/* The answer; text is the queue's id when accepted, else a sentence. */
struct submit_result {
	bool accepted, permanent;
	char text[512];
};

/* A drop file begins with this line and ends, behind SUBMIT_END, with the checksum of all before it
 * (lib/queue/checksum.h, SPOOL_CHECKSUM_BYTES); nothing follows. Files of an earlier drop have
 * neither line nor sum: where this line is damaged by some bits, a length that no message has
 * stands in its place. */
#define SUBMIT_DROP_MARK "posthouse-drop 2\n"
/* In a drop file each message stands behind its length (4 bytes, little-endian). */
void submit_frame_put(struct text *out, const struct wire_out *message);
/* Cuts the next one off *rest: 1; 0: the rest is only a part of one; -1: no message can be so
 * long. */
int submit_frame_next(struct view *rest, struct wire_in *in);

void submit_envelope_put(struct wire_out *out, const struct submit_envelope *e);
bool submit_envelope_get(struct wire_in *in, struct submit_envelope *e);
void submit_recipient_put(struct wire_out *out, const struct envelope_recipient *r);
bool submit_recipient_get(struct wire_in *in, struct envelope_recipient *r);
void submit_chunk_put(struct wire_out *out, struct view bytes); /* at most SUBMIT_CHUNK_MAX */
bool submit_chunk_get(struct wire_in *in, struct view *bytes);
void submit_result_put(struct wire_out *out, const struct submit_result *r);
bool submit_result_get(struct wire_in *in, struct submit_result *r);

#endif
