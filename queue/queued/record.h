/* SPDX-License-Identifier: ISC */
/*
 * What queued remembers of every message: about 140 bytes, 32 for each recipient, and the
 * addresses, so that a million messages fit into memory and nothing is looked up on the disk to
 * list, count, or pick the next job.
 */
#ifndef QUEUE_QUEUED_RECORD_H
#define QUEUE_QUEUED_RECORD_H

#include "lib/base/heap.h"
#include "lib/base/list.h"
#include "lib/wire/resolve.h"
#include "lib/queue/queuefile.h"
#include "queue/queued/sayings.h"
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

/* The fields of an envelope that go onward are remembered as they are, texts as places in the
 * message's strings (0: the empty one). */
#define KEPT_TEXT(name, declaration)         uint32_t name
#define KEPT_CHOICE(name, declaration)       declaration
#define KEPT_LETTER(name, declaration)       declaration
#define KEPT_NUMBER(name, declaration)       declaration
#define KEPT_ONWARD(kind, name, declaration) KEPT_##kind(name, declaration);
#define KEPT_STAYS(kind, name, declaration)

enum { CONTESTED_MAX = 15 };

struct recipient {
	uint8_t state;
	unsigned own_faults : 4; /* in a row: its destination has not been heard since */
	unsigned contested : 4;  /* struct job_recipient; no more than CONTESTED_MAX */
	bool final : 1;          /* came out of an expansion, or was its own: not expanded again */
	bool expanded : 1; /* a target of an alias of ours: nobody outside has named its address */
	bool relayed : 1;  /* RECIPIENT_SUCCESS: by another host */
	bool listed : 1;   /* in a report that is on its way */
	bool tried : 1;    /* while its log is read: in the last attempt that this tells of */
	bool replaced : 1; /* an alias: GONE by its expansion, others took its place */
#define RECIPIENT_FIELD(name, declaration, kind, detail, way, line) \
	KEPT_##way(kind, name, declaration)
#include "lib/wire/envelope.def"
#undef RECIPIENT_FIELD
	/* What happened to it, kept while it is deferred or until it is reported. */
	uint32_t said_s; /* wall clock; until 2106 */
	struct saying *said;
	struct target *target;
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

/* What a message has only while something is done about it: most that wait have none. */
struct under_way {
	struct list deliveries;      /* waiting or running, reports included: the newest first */
	struct unwritten *unwritten; /* NULL: its file says all that is known; journal.h */
	struct message *line_next;
	uint32_t cursor;    /* the recipient that is asked about next, while in line */
	uint32_t put_off_s; /* see struct message, next */
};

/* A million of them: what is small stands in bits, and who waits has no more than that. */
struct message {
	uint64_t id;
	uint64_t log_end;
	uint64_t message_bytes : 36; /* message.size-max is at most 2G */
	uint64_t room : 6;           /* for recipients: half of 1 << room */
	uint64_t away_s : 22;        /* after born_ms: since when its file is not there; 0: it is,
	                                as far as known */
	int64_t arrived_ms : 48;     /* wall clock, for people and reports */
	uint64_t attempts : 16;
	/* By the clock that only goes forward: when it came, as far as that can be told, and its
	 * next attempt (at_ms 0: none is waited for). Where that is a repeat, of who is AGAIN
	 * alone, the attempt of those that are DEFERRED comes put_off_s seconds after born_ms (0:
	 * there are none). */
	int64_t born_ms : 48;
	uint64_t origin : 3;        /* enum envelope_origin */
	uint64_t report_faults : 3; /* of our own, in a row, that kept a report from being made */
	uint64_t damaged : 2;       /* enum message_damage; `removed` is set too, and its end sets
	                               the file aside */
	uint64_t report_wait : 2;   /* enum report_wait */
	bool held : 1;              /* by an operator: no attempts */
	bool noticed : 1;           /* the delay notice is out, or on its way */
	bool removed : 1;           /* by an operator, while agents had it: ends with their jobs */
	bool in_line : 1;           /* waits to be admitted */
	bool admitted : 1;          /* counts as active */
	bool repeats : 1;           /* `next` is a repeat */
	struct heap_entry next;
	uint32_t extra_bytes, envelope_bytes, recipient_count;
	/* In one piece: these; where there is room for many, how many are in each state; and the
	 * strings, each terminated, place 0 being the empty one. A string or a recipient that is
	 * added moves all. */
	uint32_t strings_len;
	struct recipient *recipients;
	uint32_t strings_cap;
#define ENVELOPE_FIELD(name, declaration, kind, detail, way, line) \
	KEPT_##way(kind, name, declaration)
#include "lib/wire/envelope.def"
#undef ENVELOPE_FIELD
	struct under_way *under_way; /* NULL: nothing is */
};

/* The index by id. */
struct records {
	struct message **table; /* open addressing; never more than four fifths full */
	size_t size, count;
	struct heap attempts; /* those whose `next` is set */
};

void records_init(struct records *r); /* a new life: nothing is remembered, no saying either */
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
size_t message_memory(const struct message *m); /* of recipients that have no target yet */
uint32_t message_add_string(struct message *m, struct view v);
struct recipient *message_add_recipient(struct message *m, const struct envelope_recipient *r);
/* Those from this number on are forgotten. */
void message_cut_recipients(struct message *m, uint32_t count);
/* A target of the alias `index`, with everything of it but its address; what it has is not stored
 * again. */
struct recipient *message_add_alike(struct message *m, uint32_t index, struct view address);
/* What is remembered, as it came; what is not is empty. */
void message_envelope(const struct message *m, struct envelope *out);
void message_recipient(const struct message *m, const struct recipient *r,
                       struct envelope_recipient *out);
const char *message_string(const struct message *m, uint32_t place);
void recipient_set(struct message *m, struct recipient *r, enum recipient_state state);
uint32_t message_count(const struct message *m, enum recipient_state state);
uint32_t message_left(const struct message *m); /* recipients that are not GONE */
/* Made where there is none. */
struct under_way *message_under_way(struct message *m);
/* Gives that back, where nothing is any more. */
void message_rest(struct message *m);
const struct list *message_deliveries(const struct message *m);
uint32_t message_put_off_s(const struct message *m);
struct unwritten *message_unwritten(const struct message *m);
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

/* What happened to it is this. */
void recipient_say(struct recipient *r, int64_t time_s, const char *status, const char *host,
                   const char *text);

#endif
