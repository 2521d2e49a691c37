/* SPDX-License-Identifier: ISC */
/*
 * The world around queued, for t/unit/queuestates.c: a disk that keeps what was written and, after
 * a power cut, any part of what was not synced; resolved, agents and an operator who do what the
 * explorer tells them; a restart by the real recover.c. Everything that decides in queued is the
 * real code.
 *
 * It also knows what really happened, which queued can only infer: to whom the agents delivered
 * and about whom they reported. By that it judges queued after every event.
 */
#ifndef T_UNIT_QUEUEWORLD_H
#define T_UNIT_QUEUEWORLD_H

#include <stdbool.h>
#include <stdint.h>

enum { WORLD_ADDRESSES = 6, WORLD_MESSAGES = 2, WORLD_ANY = 255 };

/* What can happen. (how the shortest sequence is told, what number, what other number) */
#define WORLD_EVENTS(X)                                                          \
	X(ANSWER, "resolved answers about recipient %u")                         \
	X(LATER, "resolved cannot tell now about recipient %u")                  \
	X(WORKER, "a worker of agent %u comes")                                  \
	X(DONE, "worker %u: done with its recipient %u")                         \
	X(RETRY, "worker %u: not now for its recipient %u")                      \
	X(OWN, "worker %u: a fault of our own, its recipient %u")                \
	X(TROUBLE, "worker %u: the host is in trouble, its recipient %u")        \
	X(FAIL, "worker %u: failed for good, its recipient %u")                  \
	X(DIE, "worker %u dies")                                                 \
	X(TIME, "time passes, to the next timer")                                \
	X(HOLD, "the operator holds message %u")                                 \
	X(RELEASE, "the operator releases message %u")                           \
	X(AGAIN, "the operator has message %u tried again")                      \
	X(REMOVE, "the operator removes message %u")                             \
	X(NO_SPACE, "the disk is full for the next record")                      \
	X(NO_OPEN, "the file cannot be opened the next time")                    \
	X(AWAY, "the file is away when it is opened the next time")              \
	X(DAMAGE, "the file of message %u is truncated")                         \
	X(TEXT, "worker %u: the text has another checksum, and has")             \
	X(UNLINK, "somebody removes the file of message %u by hand")             \
	X(STOP, "an orderly stop begins")                                        \
	X(STOPPED, "queued has ended, and starts")                               \
	X(KILL, "kill -9 of queued, and a start")                                \
	X(POWER, "a power cut; of the records the first %u are there")           \
	X(POWER_HOLE, "a power cut; of the records all but number %u are there") \
	X(BACK, "a power cut; the file of message %u, removed, is there")        \
	X(BRING, "message %u comes")                                             \
	X(READ, "the start reads one file more")

enum world_type {
#define WORLD_TYPE(name, text) WORLD_##name,
	WORLD_EVENTS(WORLD_TYPE)
#undef WORLD_TYPE
		WORLD_TYPES
};

struct world_event {
	uint8_t type, a, b;
};

enum world_kind { WORLD_TARGET, WORLD_OTHER_TARGET, WORLD_ERROR, WORLD_ALIAS };

struct world_address {
	const char *address;
	enum world_kind kind;
	const char *targets[3]; /* of an alias; may be itself */
};

struct world_message {
	const char *sender;
	uint8_t origin; /* enum envelope_origin */
	struct {
		uint8_t address, notify;
	} to[3];
	unsigned count;
};

struct world_scenario {
	const char *name;
	struct world_address addresses[WORLD_ADDRESSES]; /* up to the first without one */
	struct world_message messages[WORLD_MESSAGES];
	unsigned message_count;     /* where some may be brought, all but the first are */
	uint8_t times[WORLD_TYPES]; /* how often it may happen; WORLD_ANY: as often as it can */
};

/* Controls: a world, or a queued, that is wrong. */
enum world_fault {
	WORLD_RIGHT,
	WORLD_DONE_UNWRITTEN, /* the record `done` does not get to the disk */
	WORLD_RESULT_TURNED,  /* "not now" reaches queued as "done" */
	WORLD_QUESTION_LOST,  /* a question is never answered */
	WORLD_NEW_UNWRITTEN   /* nor do the targets of an alias */
};

/* All of it once, in memory that stays. */
void world_warm_up(const struct world_scenario *s);
/* A new queued with its messages just accepted. */
void world_begin(const struct world_scenario *s, enum world_fault fault);
/* What can happen now, at most max; how many. */
unsigned world_possible(struct world_event *out, unsigned max);
void world_do(struct world_event e);
/* Everybody does their work from now on, but when all is not well no delivery ever succeeds: does
 * every message come to its end? */
void world_finish(bool well);
/* Of everything that decides what comes. */
uint64_t world_hash(void);
/* In the queue, and queued has not looked at its file since the start. */
bool world_is_unread(unsigned n);
/* What queued did wrong; NULL: nothing. */
const char *world_wrong(void);
void world_tell(char *out, unsigned size, struct world_event e);

#endif
