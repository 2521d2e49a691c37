/* SPDX-License-Identifier: ISC */
/*
 * One message that a program on this machine submits: the messages of lib/wire/submit.h go in one
 * by one, from a socket or out of a drop file, and a result comes out. Like submission (RFC 6409)
 * it adds what is missing.
 */
#ifndef QUEUE_SUBMIT_SUBMISSION_H
#define QUEUE_SUBMIT_SUBMISSION_H

#include "lib/conf/settings.h"
#include "lib/mail/fixup.h"
#include "lib/queue/spooling.h"
#include "lib/wire/submit.h"

enum { SUBMISSION_LOGIN_MAX = 64 };

struct submission {
	/* Set by the caller; the rest begins zeroed. */
	const struct settings *settings;
	struct spool_writer *writer; /* free for this message */
	int *resolved;               /* line for resolve_ask */
	uint32_t uid;
	char login[SUBMISSION_LOGIN_MAX];
	bool from_file; /* nobody waits for the result: unknown recipients become bounces */

	bool begun, writing, failed, over;
	char sender[ADDRESS_MAX], from[SUBMIT_NAME_MAX * 2 + ADDRESS_MAX + 8], date[64],
		message_id[320];
	struct submit_envelope envelope;
	struct envelope_recipient *recipients;
	uint32_t recipient_count;
	uint64_t bytes;
	char last; /* the last byte: a bare CR or LF becomes CR LF */
	bool eight_bit;
	struct fixup header;
	struct submit_result result;
};

/* false: there is a result now (accepted or not), and nothing more is taken. */
bool submission_take(struct submission *s, struct wire_in *in);
/* Also in the middle: what was written is abandoned. */
void submission_end(struct submission *s);

#endif
