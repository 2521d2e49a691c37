/* SPDX-License-Identifier: ISC */
/*
 * A mailbox: the folders in one home.
 *
 * On disk it is Maildir++ (home/Maildir with cur, new, tmp; subfolders .Name.Sub; subscriptions),
 * and beside the messages of each folder an index that may be lost at any time (folder.h,
 * INTERNALS). Every program that works on it (local, pop3d, imapd) does so through this library, as
 * the mailbox's owner; programs from elsewhere (procmail, mutt, Dovecot) may do as Maildir allows
 * at the same time.
 *
 * Nothing is opened by a path below home: all is relative to a held directory, one component at a
 * time, and no symbolic link is followed.
 *
 * Names of folders are as in IMAP: "INBOX" (in any case) is the Maildir itself, "Work.Letters" is
 * .Work.Letters; the delimiter is '.', the bytes are modified UTF-7 (RFC 3501 section 5.1.3) and
 * stand on disk as they are. Names are checked here, so that nothing can leave the Maildir.
 */
#ifndef LIB_STORE_STORE_H
#define LIB_STORE_STORE_H

#include "lib/base/bytes.h"
#include "lib/base/reason.h"

enum store_result {
	STORE_OK = 0,
	STORE_NOT_FOUND,  /* no such folder */
	STORE_EXISTS,     /* a folder of that name is there already */
	STORE_BAD_NAME,   /* not a name that a folder can have */
	STORE_READ_ONLY,  /* the folder was opened read only */
	STORE_OVER_QUOTA, /* there is no room now */
	STORE_TOO_LARGE,  /* larger than the whole quota: there will never be room */
	STORE_GONE,  /* the message (or the folder under us) has been removed by another session */
	STORE_LIMIT, /* a named limit of this library is reached */
	STORE_DISK_FULL, /* no space, or no inode, is left */
	STORE_FAILED     /* the system refused; the reason says what */
};

enum { STORE_DELIMITER = '.', STORE_NAME_MAX = 240, STORE_FOLDERS_MAX = 10000 };

struct store;

/* Once in a program, before its jail: takes the host's name and the boot's id. Without it (tests)
 * it happens at the first need. */
void store_begin(void);

/* home: absolute. create: makes home (its parent must be there) and the Maildir when they are
 * missing. quota_bytes 0: none. A session confines itself to `home` after this call and before it
 * reads a byte. */
enum store_result store_open(const char *home, bool create, uint64_t quota_bytes,
                             struct store **out, struct reason *why);
/* Of home, open for as long as the mailbox is: what a session confines itself to. */
int store_directory(const struct store *store);
void store_close(struct store **store);

struct store_folder_name {
	const char *name;
	bool selectable; /* false: only its inferiors exist (\Noselect) */
	bool has_children;
};

struct store_names {
	struct store_folder_name *names; /* sorted by bytes, INBOX first */
	unsigned count;
};

/* Every folder, parents without a directory of their own included. */
enum store_result store_folders(struct store *store, struct store_names *out, struct reason *why);
/* Every subscribed name, whether it exists (selectable) or not. */
enum store_result store_subscriptions(struct store *store, struct store_names *out,
                                      struct reason *why);
void store_names_free(struct store_names *names);

/* Is it a name that a folder can have? "INBOX" in any case is. */
bool store_name_valid(struct view name);
bool store_name_is_inbox(struct view name);

enum store_result store_create(struct store *store, struct view name, struct reason *why);
/* Messages and all; inferiors stay (RFC 3501 section 6.3.4). INBOX is STORE_BAD_NAME. */
enum store_result store_delete(struct store *store, struct view name, struct reason *why);
/* With inferiors. From INBOX: its messages move to the new folder and it stays, empty (section
 * 6.3.5). Sessions that have the folder open go on with it under its new name. */
enum store_result store_rename(struct store *store, struct view from, struct view to,
                               struct reason *why);
enum store_result store_subscribe(struct store *store, struct view name, bool on,
                                  struct reason *why);

/* Bytes and messages of all folders; limit 0: none. Kept in Maildir/maildirsize when there is a
 * quota. */
struct store_quota {
	uint64_t used_bytes, used_messages, limit_bytes;
};
enum store_result store_quota(struct store *store, struct store_quota *out, struct reason *why);
/* Would a message of this size fit?  STORE_OK, STORE_OVER_QUOTA or STORE_TOO_LARGE. */
enum store_result store_quota_check(struct store *store, uint64_t size_bytes, struct reason *why);

/* pop3d's: at most one POP3 session on a mailbox (RFC 1939 section 3). The descriptor holds the
 * lock, -1: another has it (errno EWOULDBLOCK) or it cannot be had. */
int store_lock_session(struct store *store);

#endif
