/* SPDX-License-Identifier: ISC */
/*
 * queued <-> delivery agents (local, remote, bounce; later list, gateway, reply): protocol "job".
 *
 * A worker greets and gets one job at a time: the message's file (read only), and recipients that
 * go the same way, as many in each packet as have room. It answers every recipient, in any order;
 * the last answer (or JOB_FINISHED, when some have none) ends the job and makes the worker idle
 * again (service.answers). A line that ends with recipients unanswered means JOB_OWN_FAULT for
 * these: at worst a duplicate, never a loss.
 */
#ifndef LIB_WIRE_JOB_H
#define LIB_WIRE_JOB_H

#include "lib/wire/resolve.h"
#include "lib/wire/spool.h"
#include "lib/wire/wire.h"

enum job_type {
	JOB_BEGIN = 16, /* queued: struct job + the file, then any number of struct job_recipient,
	                   `last` on the last */
	JOB_RECIPIENT,  /* queued: more of them */
	JOB_RESULT,     /* agent: struct job_result */
	JOB_FINISHED    /* agent */
};

enum {
	JOB_RECIPIENTS_MAX = 100,
	JOB_TEXT_MAX = 512,
	JOB_HOST_MAX = 256,
	JOB_PACKET_BYTES = 16384 /* another recipient goes into a packet below this */
};

struct job {
	char id[SPOOL_ID_MAX];
	int fd; /* read only; JOB_BEGIN carries it */
	uint64_t message_offset, message_bytes;
	uint64_t extra_offset,
		extra_bytes; /* header lines to put before the message; 0 bytes: none */
	uint8_t checksum[SPOOL_CHECKSUM_BYTES]; /* of the message, lib/queue/checksum.h */
	struct envelope envelope;               /* what goes onward of it */
	int64_t arrived_s;                      /* wall clock */
	unsigned attempts;                      /* made of the message before this one */
	struct resolve_route route; /* to an agent that carries HOPS (lib/conf/agents.def) */
	/* REPORTS: which one */
	enum job_report {
		JOB_REPORT_NONE,
		JOB_REPORT_FAILED,
		JOB_REPORT_DELAYED,
		JOB_REPORT_DELIVERED,
		JOB_REPORT_RELAYED,
		JOB_REPORT_ALIAS /* to the postmaster: a target of an alias takes no mail */
	} report;
	int64_t gives_up_s; /* JOB_REPORT_DELAYED: when the queue gives up */
};

/* An agent ends after so many, and queued gives it no more. */
enum { JOB_REUSE = 1000, JOB_REUSE_LOCAL = 10000 };

struct job_recipient {
	uint32_t index; /* queued's number of it, comes back in the result */
	bool last;
	struct envelope_recipient to;
	struct resolve_mailbox mailbox; /* MAILBOX */
	uint8_t contested; /* HOPS: so many results of it were that, as far as is remembered */
	/* REPORTS: what happened to it */
	char status[STATUS_MAX], text[JOB_TEXT_MAX], remote_host[JOB_HOST_MAX];
	int64_t last_attempt_s;
};

enum job_outcome {
	JOB_DONE,
	JOB_RETRY, /* the destination (the other host, the mailbox) does not take it now */
	JOB_FAILED,
	JOB_OWN_FAULT /* a fault of the house: the destination has said nothing. It is repeated in
	                 seconds, a few times, then it counts as JOB_RETRY */
};

struct job_result {
	uint32_t index;
	enum job_outcome outcome;
	char status[STATUS_MAX];        /* RFC 3463 */
	char text[JOB_TEXT_MAX];        /* the remote's words, or ours */
	char remote_host[JOB_HOST_MAX]; /* who said it; "" for ourselves */
	bool passed_on; /* done, by a host that takes over the reports asked for (DSN, RFC 3461
	                   section 5.2.2) */
	bool damaged;   /* JOB_OWN_FAULT: what was read has another checksum; queued looks itself */
	bool host_trouble; /* not with JOB_OWN_FAULT: the destination as a whole did not answer, its
	                      window shrinks */
	bool before_text;  /* JOB_FAILED: refused before the text was there, so not for what it says
	                      nor for its size */
	bool unknown;   /* the same, and the answer to RCPT of a host than which none is better, or
	                   that of DNS, says that there is no such mailbox, whoever sends and whatever
	                   (REFUSAL_SURE, deliver/remote/refusal.h) */
	bool contested; /* JOB_RETRY: refused for good by a host that a better one, which came to
	                   nothing now, may contradict */
	bool last;      /* the job ends with it */
};

void job_put(struct wire_out *out, const struct job *j);
/* Leaves the recipients in `in`; on true the caller has the file. */
bool job_get(struct wire_in *in, struct job *j);
/* Into a packet that job_put or wire_begin(JOB_RECIPIENT) has begun. */
void job_recipient_put(struct wire_out *out, const struct job_recipient *r);
bool job_recipient_get(struct wire_in *in, struct job_recipient *r);
void job_result_put(struct wire_out *out, const struct job_result *r);
bool job_result_get(struct wire_in *in, struct job_result *r);

/* The agent's side: the rest of a job whose JOB_BEGIN is `in` (as service.work has it).
 * recipients[] holds JOB_RECIPIENTS_MAX; false: the line is broken, end the worker. job->fd is the
 * caller's to close. */
bool job_receive(struct wire_in *in, int queued, struct job *job, struct job_recipient *recipients,
                 unsigned *count);
void job_answer(int queued, const struct job_result *result);

#endif
