/* SPDX-License-Identifier: ISC */
/*
 * The queue directory: 256 subdirectories of queue files, damaged/, the secret, and the mark of a
 * clean stop. Everything that touches the disk for queued is here; what to do is decided elsewhere.
 *
 * What is synced: the secret and the directories once, when they are made; the message by its
 * writer, whose fsync also makes the new name durable (the file was created and the journal commit
 * that holds its inode holds its name). Nothing else: a log record or the removal of a file that a
 * power cut takes back costs a repeated attempt.
 */
#ifndef QUEUE_QUEUED_DISK_H
#define QUEUE_QUEUED_DISK_H

#include "lib/base/reason.h"
#include "queue/queued/queuefile.h"

struct disk {
	int directory;
	struct queue_key key;
	uint64_t last_id;
	int64_t space_checked_ms;
	uint64_t space_bytes; /* free, when it was last looked at */
	uint32_t random[64];  /* drawn ahead */
	unsigned random_left;
};

/* Takes the descriptor of the queue directory; makes what is missing. */
int disk_open(struct disk *d, int directory, struct reason *why);
/* Was the last stop a clean one?  Forgets it durably: from now on the queue counts as in use. */
int disk_take_clean_mark(struct disk *d, bool *clean, struct reason *why);
void disk_put_clean_mark(struct disk *d);
/* Bytes free for new messages; the file system is asked at most once a second. */
uint64_t disk_space(struct disk *d, int64_t now_ms);

/* A new file under its final name; -1 with errno. */
int disk_create(struct disk *d, uint64_t *id);
/* Envelope (head and recipients, one behind the other), then the header that makes it committed. */
int disk_commit(struct disk *d, int fd, struct queue_header *header, struct text *head,
                const struct text *recipients);
int disk_make_live(int fd);
int disk_reader(struct disk *d, uint64_t id); /* read only; -1 with errno */
/* Appends records at *end, which is moved behind them. */
int disk_append(struct disk *d, uint64_t id, uint64_t *end, struct view records);
int disk_remove(struct disk *d, uint64_t id);
int disk_set_aside(struct disk *d, uint64_t id); /* to damaged/ */
/* Calls found() with every name in the 256 directories that is an id; names that are none are
 * warned of and left. */
int disk_scan(struct disk *d, void (*found)(void *context, uint64_t id), void *context,
              struct reason *why);

#endif
