/* SPDX-License-Identifier: ISC */
/*
 * What queued remembers of every message: about 200 bytes and some 50 for each recipient, so that a
 * million messages fit into memory and nothing is looked up on the disk to list, count, or pick the
 * next job.
 */
#ifndef QUEUE_QUEUED_RECORD_H
#define QUEUE_QUEUED_RECORD_H

#include "lib/base/heap.h"
#include "lib/base/list.h"
#include "lib/wire/resolve.h"
#include "lib/queue/queuefile.h"
#include "queue/queued/schedule.h"

struct unwritten;
struct channel; /* one kind of agent: the remote ones, the bouncing ones, or the local ones of one
                   owner */

/* Where a recipient goes, as resolved said it; shared by counting. Whose work it is, and what it is
 * scheduled by, is found when there is something to deliver (agents.h). */
struct target {
	uint32_t references;
	uint8_t agent; /* enum agent */
	struct channel *channel;
	struct schedule_destination *destination; /* NULL: not looked for yet; else held */
	uint32_t len;
	char bytes[]; /* what its agent carries, as the wire has it */
};

enum recipient_state {
	RECIPIENT_NEW,   /* live, resolved has not been asked */
	RECIPIENT_ASKED, /* a question is on its way */
	RECIPIENT_READY, /* has a target, waits for the others of its message to be put into jobs */
	RECIPIENT_QUEUED,   /* in a delivery that waits in a schedule or is with an agent */
	RECIPIENT_DEFERRED, /* its destination put it off: waits for the message's next attempt */
	RECIPIENT_AGAIN,    /* a fault of our own: waits for the repeat, which is soon */
	RECIPIENT_FAILED,   /* for good; a report is owed */
	RECIPIENT_SUCCESS,  /* delivered; a report is owed */
	RECIPIENT_GONE,     /* needs nothing more */
	RECIPIENT_STATES
};

/* What happened to a recipient: kept while deferred or until it is reported. */
struct outcome {
	int64_t time_s;
	char bytes[]; /* status, host, text, each terminated */
};

/* The fields of an envelope that go onward are remembered as they are, texts as places in the
 * message's strings (0: the empty one). */
#define KEPT_TEXT(name, declaration)         uint32_t name
#define KEPT_CHOICE(name, declaration)       declaration
#define KEPT_LETTER(name, declaration)       declaration
#define KEPT_NUMBER(name, declaration)       declaration
#define KEPT_ONWARD(kind, name, declaration) KEPT_##kind(name, declaration);
#define KEPT_STAYS(kind, name, declaration)

struct recipient {
#define RECIPIENT_FIELD(name, declaration, kind, detail, way, line) \
	KEPT_##way(kind, name, declaration)
#include "lib/wire/envelope.def"
#undef RECIPIENT_FIELD
	uint8_t state;
	uint8_t own_faults; /* in a row: its destination has not been heard since */
	uint8_t contested;  /* struct job_recipient */
	bool final : 1;     /* came out of an expansion, or was its own: not expanded again */
	bool expanded : 1;  /* a target of an alias of ours: nobody outside has named its address */
	bool relayed : 1;   /* RECIPIENT_SUCCESS: by another host */
	bool listed : 1;    /* in a report that is on its way */
	bool tried : 1;     /* while its log is read: in the last attempt that this tells of */
	bool replaced : 1;  /* an alias: GONE by its expansion, others took its place */
	struct target *target;
	struct outcome *outcome;
};

enum message_damage {
	MESSAGE_WHOLE,
	MESSAGE_FILE_DAMAGED, /* nothing can be written to it */
	MESSAGE_FILE_MISSING, /* for so long that it is not waited for; one that comes back stays */
	MESSAGE_TEXT_DAMAGED
};

/* When the reports that are owed can be made. */
enum report_wait {
	REPORT_NOW,
	REPORT_SOON, /* one could not be made by a fault of our own: with the repeat */
	REPORT_LATER /* one could not be made: not before the next attempt */
};

enum { MESSAGE_AGE_MAX_S = (1 << 22) - 1 }; /* who is older is waited for without end */

struct message {
	uint64_t id;
	uint64_t message_bytes, log_end;
	uint32_t extra_bytes, envelope_bytes;
	int64_t arrived_ms; /* wall clock, for people and reports */
	/* By the clock that only goes forward: when it came, as far as that can be told, and its
	 * next attempt (at_ms 0: none is waited for). Where that is a repeat, of who is AGAIN
	 * alone, the attempt of those that are DEFERRED comes put_off_s seconds after born_ms (0:
	 * there are none). */
	int64_t born_ms;
	struct heap_entry next;
	uint32_t put_off_s;
	uint32_t recipient_count;
	uint32_t counts[RECIPIENT_STATES]; /* recipients in each state */
	uint32_t cursor; /* the recipient that is asked about next, while in line */
	uint16_t attempts;
	uint8_t origin;        /* enum envelope_origin */
	uint8_t report_faults; /* of our own, in a row, that kept a report from being made */
	unsigned away_s : 22;  /* after born_ms: since when its file is not there; 0: it is, as far
	                          as  known */
	unsigned damaged : 2;  /* enum message_damage; `removed` is set too, and its end sets the
	                          file  aside */
	unsigned report_wait : 2; /* enum report_wait */
	bool held : 1;            /* by an operator: no attempts */
	bool noticed : 1;         /* the delay notice is out, or on its way */
	bool removed : 1;         /* by an operator, while agents had it: ends with their jobs */
	bool in_line : 1;         /* waits to be admitted */
	bool admitted : 1;        /* counts as active */
	bool repeats : 1;         /* `next` is a repeat */
	struct recipient *recipients;
	char *strings; /* each terminated; place 0 is the empty one */
	uint32_t strings_len, strings_cap, recipient_cap;
#define ENVELOPE_FIELD(name, declaration, kind, detail, way, line) \
	KEPT_##way(kind, name, declaration)
#include "lib/wire/envelope.def"
#undef ENVELOPE_FIELD
	struct message *line_next;
	struct list deliveries;      /* waiting or running, reports included: the newest first */
	struct unwritten *unwritten; /* NULL: its file says all that is known; journal.h */
};

/* The index by id. */
struct records {
	struct message **table; /* open addressing; never more than half full */
	size_t size, count;
	struct heap attempts; /* those whose `next` is set */
};

void records_init(struct records *r);
void records_add(struct records *r, struct message *m);
void records_remove(struct records *r, struct message *m);
struct message *records_find(const struct records *r, uint64_t id);
/* Walks over all of them: *position begins at 0; NULL at the end. What comes or goes on the way may
 * be missed or seen, nothing is seen twice unless the table has grown. */
struct message *records_next(const struct records *r, size_t *position);

/* The next attempt; 0 none. */
void records_set_next(struct records *r, struct message *m, int64_t next_ms);
struct message *records_earliest(const struct records *r);

struct message *message_new(uint64_t id);
void message_free(struct message **m);
uint32_t message_add_string(struct message *m, struct view v);
struct recipient *message_add_recipient(struct message *m, const struct envelope_recipient *r);
/* A target of the alias `index`, with everything of it but its address; what it has is not stored
 * again. */
struct recipient *message_add_alike(struct message *m, uint32_t index, struct view address);
/* What is remembered, as it came; what is not is empty. */
void message_envelope(const struct message *m, struct envelope *out);
void message_recipient(const struct message *m, const struct recipient *r,
                       struct envelope_recipient *out);
const char *message_string(const struct message *m, uint32_t place);
void recipient_set(struct message *m, struct recipient *r, enum recipient_state state);
uint32_t message_left(const struct message *m); /* recipients that are not GONE */
/* Will its file be there when the delivery of the present result has ended?  Then the result needs
 * a record, else the file goes. */
bool message_stays(const struct message *m);
int64_t message_age_ms(const struct message *m); /* no leap of the wall clock is in it */
/* The fields that the envelope and header give. */
void message_take_envelope(struct message *m, const struct envelope *e,
                           const struct queue_header *h);
const char *message_sender(const struct message *m);
const char *message_name(const struct message *m); /* its id as text, until the next call */
const char *recipient_address(const struct message *m, const struct recipient *r);
/* Has the sender asked to be told of this (one SPOOL_NOTIFY_ bit)?  Who said nothing wants to know
 * of failures and delays. */
bool recipient_wants(const struct recipient *r, uint8_t notify);

/* Of an answer that is not an error; one reference, the caller's. */
struct target *target_new(const struct resolve_target *t);
/* Of an agent that carries a MAILBOX; of one that carries HOPS. */
void target_mailbox(const struct target *t, struct resolve_mailbox *out);
void target_route(const struct target *t, struct resolve_route *out);
void target_drop(struct target **t);

/* One of the answers to the question where a recipient goes. */
struct found {
	char *address; /* owned */
	bool expanded; /* it came out of an alias: another recipient than the one asked about */
	struct target *target; /* NULL: an error, by status and text */
	char status[STATUS_MAX];
	char *text; /* owned; of an error */
};

void found_free(struct found *found, unsigned count); /* the array too */

void outcome_set(struct outcome **o, int64_t time_s, const char *status, const char *host,
                 const char *text);
const char *outcome_status(const struct outcome *o); /* "" of NULL, as the others */
const char *outcome_host(const struct outcome *o);
const char *outcome_text(const struct outcome *o);

#endif
