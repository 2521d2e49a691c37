/* SPDX-License-Identifier: ISC */
/* What the files of lib/store share; nobody else includes it. The formats are explained in
 * INTERNALS. */
#ifndef LIB_STORE_INTERNAL_H
#define LIB_STORE_INTERNAL_H

#include <sys/stat.h>

#include "lib/base/file.h"
#include "lib/store/folder.h"
#include "lib/store/name.h"

#define INDEX_FILE    "posthouse.index"
#define CACHE_FILE    "posthouse.cache"
#define UID_FILE      "posthouse.uids"
#define KEYWORDS_FILE "posthouse.keywords"
#define LOCK_FILE     "posthouse.lock"
#define HOME_FILE     "posthouse.home"
#define POP3_FILE     "posthouse.pop3"
#define RESERVED_FILE "posthouse.reserved" /* beside Maildir */
/* UIDs above UIDNEXT that may be ours when the record of what was reserved is lost. */
#define UID_TRUST 65536u
/* With fewer left than these a folder gets another UIDVALIDITY when it is opened: enough for
 * another restore while it is. */
#define UIDS_LEFT_MIN (1u << 27)

enum { BOOT_BYTES = 16 };

struct store {
	char *home;    /* for the log */
	int directory; /* of home; -1 for a delivery, which assigns no UIDs */
	int maildir;
	uint64_t quota_bytes;
	bool told_unwritten; /* the log has its line about records of UIDs */
	uint32_t jump; /* reserved.c: over UIDs after a restore that is not recorded yet; 0: none */
};

/* ---- the index ---- */

enum record_state {
	RECORD_HAS_SIZE = 1,
	RECORD_HAS_DATE = 2,
	RECORD_HAS_LF = 4,   /* lines without CR: must be converted */
	RECORD_STORED = 15,  /* what is written; the rest is this session's */
	RECORD_GONE = 16,    /* expunged, but not told yet */
	RECORD_RECENT = 32,  /* this session's \Recent */
	RECORD_CHANGED = 64, /* flags to be told */
	RECORD_DOOMED = 128  /* \Deleted, in this session: the disk had no room for the new name */
};

struct record {
	uint32_t uid, flags;
	uint64_t keywords, modseq, size;
	int64_t date_s;
	uint64_t name_at;  /* of the stem, in the index file */
	uint64_t cache_at; /* in the cache file */
	uint32_t cache_len;
	uint16_t name_len, state;
};

enum {
	INDEX_BLOCK = 64, /* records under one checksum */
	INDEX_FORMAT = 1,
	INDEX_LOG_MIN = 65536, /* a log below this is never compacted */
	INDEX_NAME_WINDOW = 32768
};

struct index_header {
	char magic[8];
	uint32_t format, record_bytes;
	uint64_t generation; /* random; a part of every checksum behind the header */
	uint8_t boot[BOOT_BYTES];
	uint32_t uidvalidity, uidnext, count, unseen, deleted, first_recent;
	uint64_t modseq;
	int64_t cur_ns,
		new_ns;    /* change times of the directories that this state knows; 0: unknown */
	int64_t scanned_s; /* the last whole scan */
	uint32_t settled;  /* that scan cannot have missed a change within a tick of the clock */
	uint32_t keyword_bytes;
	uint64_t sums_at, keywords_at, names_at, log_at;
	uint64_t sum; /* last: over all before it */
};

struct index {
	int fd;
	bool in_memory; /* the disk would not take it */
	bool broken;    /* to be made anew at the next occasion */
	bool lost;      /* damaged where the directory could not be read: no view to act on */
	bool fresh;     /* made from nothing: every UID of ours in a name is believed */
	dev_t device;
	ino_t inode;
	struct index_header h; /* as it stands with the log applied */
	struct record *records;
	uint32_t count, capacity; /* records of the session's view, GONE ones included */
	uint32_t lazy;            /* the first of them are read at need, by blocks */
	uint64_t *loaded;         /* a bit per block */
	uint64_t log_end;
	char *window; /* names read ahead */
	uint64_t window_at;
	size_t window_len;
};

/* Log records: what a batch changes. */
enum log_type {
	LOG_ADD = 1, /* struct log_add + stem */
	LOG_FLAGS,   /* struct log_flags */
	LOG_EXPUNGE, /* struct log_expunge */
	LOG_META,    /* struct log_meta: size and date */
	LOG_CACHE,   /* struct log_cache */
	LOG_KEYWORD, /* a byte and the name */
	LOG_STATE,   /* struct log_state, at the end of every batch */
	LOG_NAME     /* struct log_expunge + stem: the file has another name now */
};

struct log_head {
	uint32_t len; /* of what follows */
	uint32_t type;
	uint64_t sum;
};
struct log_add {
	uint32_t uid, flags;
	uint64_t keywords, modseq, size;
	int64_t date_s;
	uint64_t cache_at;
	uint32_t cache_len, state;
};
struct log_flags {
	uint32_t uid, flags;
	uint64_t keywords, modseq;
};
struct log_expunge {
	uint32_t uid, zero;
	uint64_t modseq;
};
struct log_meta {
	uint32_t uid, state;
	uint64_t size;
	int64_t date_s;
};
struct log_cache {
	uint32_t uid, len;
	uint64_t at;
};
struct log_state {
	uint8_t boot[BOOT_BYTES];
	uint32_t uidnext, first_recent;
	int64_t cur_ns, new_ns, scanned_s;
	uint64_t settled;
};

struct folder {
	struct store *store;
	char name[STORE_NAME_MAX + 1]; /* as it was opened: for the log */
	int dir, cur, new, tmp;
	int lock; /* -1 until the first need */
	unsigned locks;
	bool must_scan;
	bool uids_lost;  /* posthouse.uids is missing or damaged, or tells less than was reserved */
	bool unreserved; /* the record outside of the folder tells something else */
	bool worn_out;   /* fewer than UIDS_LEFT_MIN are left, as the records say */
	bool used_up;    /* there was no UID left */
	bool refused;    /* no record of UIDs could be written, at the last try: none are given */
	bool unrecorded; /* nor has it one of this folder's UIDVALIDITY */
	bool dooms;      /* a record may be RECORD_DOOMED */
	bool frozen;     /* the file system is read only: and so is the folder */
	bool lock_is_folder; /* there is no room for its file */
	bool rebooted; /* the index was written before the machine's last start: its end may be
	                  missing */
	struct index_header as_written; /* the state that the log holds */
	int notify;                     /* inotify, -1 */
	bool read_only;
	struct index ix;
	uint32_t uid_ceiling; /* UIDs below are reserved on disk; 0: not read yet */
	uint32_t uid_floor;   /* UIDs below were given, as the record outside says */
	char *keywords[STORE_KEYWORDS_MAX];
	struct text log;                   /* the batch in the making */
	struct text pending, pending_meta; /* cache pieces, sizes and dates not written yet */
	uint32_t recent;
	uint32_t gone; /* RECORD_GONE in the view */
	bool told_keywords;
	uint32_t told_count, told_recent;
	uint32_t *changed; /* UIDs with RECORD_CHANGED */
	uint32_t changed_count, changed_capacity;
	uint32_t *list; /* what folder_changes points into */
	uint32_t list_capacity;
	bool stirred;        /* somebody told the watch, since the last look */
	int64_t new_seen_ns; /* `new` was empty at this change time */
	struct text cache_window;
	uint64_t cache_window_at;
	int cache;
	ino_t cache_inode;
	uint64_t cache_id;
};

/* hash.c: against damage, not against enemies */
uint64_t store_hash(uint64_t seed, const void *bytes, size_t len);

/* files.c */
const uint8_t *store_boot(void); /* BOOT_BYTES; zero: unknown */
int64_t stat_ns(const struct stat *st);
int64_t now_ns(void);
/* A directory's change time this old cannot be that of another change, a later one: the file
 * system's clock has ticked since. */
int64_t tick_ns(int64_t change_ns);
/* Of whole seconds, as an old file system or a server has them. */
bool is_coarse(int64_t change_ns);
int open_directory(int at, const char *name); /* never through a link */
/* The same of every part of the path; -1 where one is a link, and where the system cannot tell. */
int open_directory_straight(const char *path);
/* All of a file of less than `size` bytes, terminated. A missing one is FILE_FAILED with ENOENT; no
 * other result allows to write it anew. */
enum file_result read_small(int at, const char *name, char *out, size_t size);
bool file_missing(enum file_result result);                               /* just after it */
int write_atomic(int at, const char *name, struct view bytes, bool sync); /* 0, -1 errno */
/* The disk takes nothing now: it is full, or has become read only. That keeps nobody from reading,
 * and a full one nobody from removing. */
bool disk_refuses(int error);
enum store_result disk_result(int error);
/* fail_errno, which leaves errno alone, and which result it is. */
enum store_result fail_disk(struct reason *why, const char *what);
void remove_tree(int at, const char *name);
void clean_tmp(int tmp, int64_t now_s);

/* store.c */
int open_maildir(int home, bool create, struct reason *why);
int make_directory(int at, const char *name);   /* 0 also when it is there */
void maildir_name(struct view name, char *out); /* of a valid name; STORE_NAME_MAX + 2 */
enum store_result open_folder_dir(struct store *store, struct view name, int *fd,
                                  struct reason *why);
uint32_t store_new_uidvalidity(struct store *store, struct reason *why); /* 0: failed */

/* index.c: the file */
/* 0: usable; 1: missing or damaged; -1: nobody can say now (errno: no descriptor, no memory). */
int index_open(struct folder *f);
void index_close(struct index *ix);
struct record *record_at(struct folder *f, uint32_t i);     /* 0-based */
struct record *record_find(struct folder *f, uint32_t uid); /* NULL: none */
uint32_t record_flags(const struct record *r);              /* as this session sees them */
uint32_t record_place(struct folder *f, uint32_t uid);      /* the first with this uid or above */
bool record_stem(struct folder *f, const struct record *r, char *out); /* NAME_STEM_MAX + 1 */
bool record_name(struct folder *f, const struct record *r, char *out); /* NAME_BYTES_MAX + 1 */
void index_load_all(struct folder *f);
struct record *index_append_record(struct folder *f);
void index_read_log(struct folder *f, bool locked);
/* Writes a new file from the view; in_memory when the disk will not. */
int index_write(struct folder *f);
int index_to_memory(struct folder *f); /* a full disk keeps nobody from their mail */
enum index_reloaded {
	INDEX_MERGED,
	INDEX_OTHER,   /* another UIDVALIDITY */
	INDEX_DAMAGED, /* or missing */
	INDEX_UNREAD   /* errno */
};
/* Another session has replaced the file: its content and log, merged into this session's view,
 * under the lock. */
enum index_reloaded index_reload(struct folder *f);
bool index_wants_compaction(const struct index *ix);

/* indexlog.c: batches */
void indexlog_put(struct folder *f, enum log_type type, const void *payload, size_t len,
                  struct view tail);
int indexlog_commit(struct folder *f, struct reason *why);
/* Applies one record; own: this session's doing, told by itself. */
bool indexlog_apply(struct folder *f, uint32_t type, struct view payload, uint64_t payload_at,
                    bool own);
void note_changed(struct folder *f, struct record *r);

enum uid_record {
	UIDS_KNOWN,
	UIDS_LOST,  /* missing, or not what we write */
	UIDS_UNREAD /* errno: what it says cannot be known now, and it is not to be written anew */
};

/* reserved.c: of one UIDVALIDITY */
struct reserved {
	uint32_t ceiling; /* UIDs below are reserved, on disk; 0: nothing is known */
	uint32_t next;    /* UIDs below have been given; behind the truth after a power cut alone */
};
/* UIDS_LOST: it has no line. */
enum uid_record reserved_read(struct store *store, uint32_t validity, struct reserved *out);
/* What a folder, or a session, knows itself. */
struct own_uids {
	uint32_t ceiling, next;
	uint64_t written_ns; /* when the folder was certainly there; 0: nobody knows */
	bool is_new;         /* its UIDVALIDITY was made just now, and no UID given */
};
/* Makes the line of this UIDVALIDITY say at least `ceiling`, takes `count` UIDs, which are not
 * given again, and says what stands there then: the last of them is out->next - 1. What there is no
 * line of, or a lower one than the folder knows, is passed over. Under the folder's lock, and
 * synced only where the ceiling rises or the file was put back. -1, errno: none may be given, since
 * after a restore of the folder nobody would know that they were (EOVERFLOW: there are no more). */
int reserved_raise(struct store *store, uint32_t validity, const struct own_uids *own,
                   uint32_t ceiling, uint32_t count, struct reserved *out)
	__attribute__((warn_unused_result));

/* uids.c */
/* "VVVVVVVV NNNNNNNNNN SSSSSSSS\n"; its length. */
size_t uids_format(char *out, size_t size, uint32_t validity, uint32_t ceiling);
/* Reads f->uid_ceiling where it is not known. 0; -1, errno: the record cannot be read now. */
int know_ceiling(struct folder *f);
int reserve_uids(struct folder *f, uint32_t count, struct reason *why);
uint32_t uid_above(uint32_t uid, uint32_t count); /* the last possible one where that is none */
/* The same, and UIDNEXT is the first of `count` that nobody has been given, here or before the
 * folder was put back from a backup. The one gate to new UIDs: where the record outside of the
 * folder cannot be written (full, read only, another's) none is given (f->refused), or a folder
 * that is put back would give it again. That keeps nobody out: what has a UID is read and removed
 * as ever, what has none waits where it is, APPEND and COPY are refused with the cause. */
int claim_uids(struct folder *f, uint32_t count, struct reason *why);
void tell_behind(const struct folder *f);
/* At once, before the index may be lost too; a failure is no reason to keep anybody out. */
void rewrite_lost_uids(struct folder *f);
/* There is none: UIDVALIDITY from its own record, UIDs from the names. */
int create_index(struct folder *f, struct reason *why);
/* False: the index has another UIDVALIDITY than the record. Sets uids_lost, unreserved, worn_out.
 */
bool validity_agrees(struct folder *f);
/* Other UIDs for all messages; false: the disk does not take the new UIDVALIDITY. */
bool renew_validity(struct folder *f);
void check_reserved(struct folder *f); /* under the lock, when f->unreserved */

/* lock.c */
/* The lock alone, without catching up: for a repair, which may come at any time. */
int folder_lock_file(struct folder *f, struct reason *why);
void folder_unlock_file(struct folder *f);
enum store_result folder_lock(struct folder *f,
                              struct reason *why); /* and catches up with the others */
void folder_unlock(struct folder *f);
enum store_result fail_lost(struct reason *why); /* index.lost: STORE_FAILED */
void check_boot(struct folder *f); /* an index from before the machine's start is not trusted */

/* sync.c */
/* A name did not lead to a file, or the directories differ from what is known: looks again. */
enum store_result folder_look(struct folder *f, struct reason *why);
/* Writes the batch and whatever of the state changed; refreshes cur's time when `own` renames made
 * it. */
enum store_result folder_commit(struct folder *f, bool own, struct reason *why);

/* Catches up and looks, with the lock only where something has changed. */
enum store_result folder_refresh(struct folder *f, struct reason *why);
enum store_result folder_first_sync(struct folder *f, struct reason *why);

/* folder.c */
void drain_watch(struct folder *f);

/* scan.c: under the lock */
enum store_result scan_new(struct folder *f, struct reason *why);
enum store_result scan_all(struct folder *f, struct reason *why);
int64_t directory_ns(int dir);
/* The highest UIDVALIDITY in a name in cur; 0: none. */
uint32_t scan_validity(struct folder *f);
/* Records (without stems) of the files whose UIDs lie between the two, ascending: 0, -1 when the
 * directory cannot be read. It touches no record, and of the lock only the file. */
int scan_range(struct folder *f, uint32_t below, uint32_t above, struct record *out, uint32_t max,
               uint32_t *found);

/* keywords.c */
/* The names that are in the file and not known yet. -1: it cannot be read. */
int keywords_load(struct folder *f);
int keywords_save(struct folder *f);
void keyword_set(struct folder *f, unsigned number, struct view name);

/* message.c */
bool measure_lines(int fd, uint64_t *file_size, uint64_t *wire_size);
enum store_result open_message_file(struct folder *f, uint32_t seq, int *fd, struct stat *st,
                                    struct reason *why);

/* cache.c */
void cache_put_uid(struct folder *f, uint32_t uid, struct view bytes);
void cache_compact(struct folder *f);

/* change.c: folder_remove without the quota (the bytes stay in this home), the one also in a folder
 * that is open read only: copies whose originals stay. What cannot be removed stays too.
 * mine: set for each that this call removed; of several sessions that take one message one does. */
void folder_take_back(struct folder *f, const uint32_t *uids, uint32_t count);
enum store_result folder_take(struct folder *f, const uint32_t *uids, uint32_t count, bool *mine,
                              struct reason *why);

/* quota.c */
/* What cannot be added is counted anew: the file goes. */
void quota_add(struct store *store, int64_t bytes, int64_t messages);

#endif
