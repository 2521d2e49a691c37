/* SPDX-License-Identifier: ISC */
/*
 * The queue directory: 256 subdirectories of queue files, damaged/, the secret, and the mark of a clean stop.
 * Everything that touches the disk for queued is here; what to do is decided elsewhere.
 *
 * What is synced: the secret and the directories once, when they are made; the message by its writer, whose fsync
 * also makes the new name durable (the file was created and the journal commit that holds its inode holds its
 * name). Nothing else: a log record or the removal of a file that a power cut takes back costs a repeated attempt.
 */
#ifndef QUEUE_STORE_H
#define QUEUE_STORE_H

#include "lib/base/reason.h"
#include "queue/queued/queuefile.h"

struct store {
	int directory;
	struct queue_key key;
	uint64_t last_id;
	int64_t space_checked_ms;
	uint64_t space_bytes; /* free, when it was last looked at */
	uint32_t random[64];  /* drawn ahead */
	unsigned random_left;
};

/* Takes the descriptor of the queue directory; makes what is missing. */
int store_open(struct store *s, int directory, struct reason *why);
/* Was the last stop a clean one?  Forgets it durably: from now on the queue counts as in use. */
int store_take_clean_mark(struct store *s, bool *clean, struct reason *why);
void store_put_clean_mark(struct store *s);
/* Bytes free for new messages; the file system is asked at most once a second. */
uint64_t store_space(struct store *s, int64_t now_ms);

/* A new file under its final name; -1 with errno. */
int store_create(struct store *s, uint64_t *id);
/* Envelope (head and recipients, one behind the other), then the header that makes it committed. */
int store_commit(struct store *s, int fd, struct queue_header *header, struct text *head, const struct text *recipients);
int store_make_live(int fd);
int store_reader(struct store *s, uint64_t id); /* read only; -1 with errno */
/* Appends records at *end, which is moved behind them. */
int store_append(struct store *s, uint64_t id, uint64_t *end, struct view records);
int store_remove(struct store *s, uint64_t id);
int store_set_aside(struct store *s, uint64_t id); /* to damaged/ */
/* Calls found() with every name in the 256 directories that is an id; names that are none are warned of and left. */
int store_scan(struct store *s, void (*found)(void *context, uint64_t id), void *context, struct reason *why);

#endif
