/* SPDX-License-Identifier: ISC */
/*
 * Room on the queue's disk for the messages that writers bring: asks the disk and looks how long
 * the files are; who has to go is decided in reserve.h, and ended by whoever has the message.
 */
#ifndef QUEUE_QUEUED_ROOM_H
#define QUEUE_QUEUED_ROOM_H

#include "lib/base/loop.h"
#include "lib/conf/settings.h"
#include "queue/queued/disk.h"
#include "queue/queued/reserve.h"

/* How long somebody may fill the disk with what they were not promised. */
enum { ROOM_LOOK_MS = 250 };

/* In the struct of who has a message open, zeroed at first. */
struct room_part {
	struct reserved reserved;
	int fd; /* of its file, from the time there is one */
};

struct room {
	/* Set by the caller, the rest zeroed. */
	struct loop *loop;
	const struct settings *settings; /* may change in place */
	const struct disk *disk;
	/* The message is to be ended: it gives its room back. */
	void (*end)(struct room_part *part, const char *reason);

	struct reserve reserve;
	struct timer look;
	int64_t free_known_ms; /* when the disk was last asked */
	bool is_short;         /* and the log says so */
};

void room_start(struct room *room);
/* false: there is none, also when others have given way. */
bool room_take(struct room *room, struct room_part *part, uint64_t announced_bytes,
               const struct share_path *owner);
/* As reserve_give_back. */
void room_give_back(struct room *room, struct room_part *part, bool bytes_too);

#endif
