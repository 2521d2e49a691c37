/* SPDX-License-Identifier: ISC */
/*
 * The queue directory (lib/queue/queuedir.h), and the mark of a clean stop. Everything that touches
 * the disk for queued is here; what to do is decided elsewhere.
 *
 * What is synced: the secret and the directories once, when they are made; the message by its
 * writer, whose fsync also makes the new name durable (the file was created and the journal commit
 * that holds its inode holds its name). A log record or the removal of a file that a power cut
 * takes back costs a repeated attempt: these are written back aside (writeback.h).
 */
#ifndef QUEUE_QUEUED_DISK_H
#define QUEUE_QUEUED_DISK_H

#include "lib/base/reason.h"
#include "lib/queue/queuedir.h"

enum { DISK_ODD_MAX = 1000, DISK_FRESH_MAX = 4096, DISK_FRESH_MS = 5000 };

/* What stood in the queue at the start and is not served. */
struct disk_odd {
	enum queuedir_kind kind; /* QUEUEDIR_UNREADABLE: a directory or a file */
	char *name;
};

struct disk {
	int directory;
	void (*changed)(void); /* something was written or removed that is not synced; or NULL */
	struct queue_key key;
	struct disk_odd odd[DISK_ODD_MAX]; /* those beyond are in the log */
	unsigned odd_count;
	bool unexamined; /* something could not be read: the next start looks at everything */
	bool unknown;    /* a start after a crash has not looked at everything: so does the next */
	bool unusable[QUEUEDIR_DIRECTORIES]; /* new messages avoid them */
	uint64_t last_id;
	uint64_t stop_us;    /* of the clean stop whose records were kept (kept.h); 0: none were */
	uint32_t random[64]; /* drawn ahead */
	unsigned random_left;
	/* Of files that were written within the last DISK_FRESH_MS, each for one reading, by id:
	 * enough for all that are on their way to their agents, few of which meet in a place. */
	struct disk_fresh {
		uint64_t id; /* 0: none */
		int64_t written_ms;
		unsigned char checksum[SPOOL_CHECKSUM_BYTES];
	} fresh[DISK_FRESH_MAX];
};

/* Takes the descriptor of the queue directory; makes what is missing. */
int disk_open(struct disk *d, int directory, struct reason *why);
/* Was the last stop a clean one? Files with ids up to this one are as it left them: UINT64_MAX, or
 * what a start that was interrupted has limited that to; 0: there was none, or nobody can tell.
 * Sets stop_us. */
uint64_t disk_was_clean(struct disk *d);
/* From now on the mark is for these alone; synced. -1: it is not. */
int disk_limit_clean_mark(struct disk *d, uint64_t until);
/* Durably: the queue is in use, and all is known that the mark speaks of. */
int disk_forget_clean_mark(struct disk *d, struct reason *why);
/* Without kept records. false: there is none, since something was not looked at or not synced. */
bool disk_put_clean_mark(struct disk *d);
/* From now on the records that are kept with this time are this stop's; synced. -1: none are. */
int disk_name_clean_mark(struct disk *d, uint64_t stop_us);
uint64_t disk_space(const struct disk *d); /* bytes free for new messages */

/* Greater than all before, in a directory that can be used as far as is known. */
uint64_t disk_next_id(struct disk *d);
/* A new file under its final name, by this id where it can be, else (or for 0) by a new one; -1
 * with errno. */
int disk_create(struct disk *d, uint64_t *id);
/* What makes a file with this envelope (head and recipients, one behind the other) committed, for
 * its first bytes. -1 with errno: the envelope is too long. */
int disk_seal(struct disk *d, struct queue_header *header, struct text *head,
              const struct text *recipients, char bytes[QUEUE_HEADER_BYTES]);
/* Envelope (head and recipients, one behind the other) unless its writer has written it, then the
 * header that makes it committed. It seals what the envelope should be: another one in the file is
 * damage. */
int disk_commit(struct disk *d, int fd, struct queue_header *header, struct text *head,
                const struct text *recipients, bool has_envelope);
int disk_reader(struct disk *d, uint64_t id); /* read only; -1 with errno */
/* The same of a whole message, and its header; *damaged: the file is another one than was taken, or
 * shorter (then -1). The first time, and shortly after it was written, nothing of it is looked at
 * again: most messages are delivered at once. Of the header there are lengths and checksum then. */
int disk_message(struct disk *d, const struct queue_header *taken, struct queue_header *header,
                 bool *damaged);
/* Appends records at *end, which is moved behind them. -1 with errno (ESTALE: the file ends
 * before it and is an older copy): a part of them may stand there all the same; `anew` then writes
 * over it, and what is behind *end goes. */
int disk_append(struct disk *d, uint64_t id, uint64_t *end, struct view records, bool anew);
int disk_remove(struct disk *d, uint64_t id); /* -1 with errno */
/* To damaged/ or torn/; `to` is its name there. -1 with errno: it stays, and counts as odd. */
int disk_set_aside(struct disk *d, uint64_t id, enum queuedir_place place,
                   char to[QUEUEDIR_NAME_MAX]);
void disk_note_odd(struct disk *d, enum queuedir_kind kind, const char *name);
/* It is served from now on. */
void disk_forget_odd(struct disk *d, const char *name);
/* What is there now and is not served. */
void disk_counts(struct disk *d, struct control_counts *out);
/* Files that have been in torn/ for longer than this, each with a line in the log. */
void disk_remove_torn(struct disk *d, int64_t age_ms);
/* Calls found() with every name in the 256 directories that is an id and stands in its place; what
 * else is there is warned of and left, as are directories that cannot be read. -1: none can. */
int disk_scan(struct disk *d, void (*found)(void *context, uint64_t id), void *context,
              struct reason *why);

#endif
