/* SPDX-License-Identifier: ISC */
#include "queue/submit/dropdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/wire/master.h"

enum {
	SCAN_MS = 60000,
	SCAN_SOON_MS = 50,
	AGAIN_MS = 1000,       /* for what could not be taken; doubled up to SCAN_MS */
	SCAN_FILES_MAX = 1000, /* tried in one turn; the scan goes on at once afterwards */
	STALE_S = 24 * 3600,   /* a file that drop never finished */
	WAITING_MAX = 20000,   /* names; the others are tried at each scan, and told of together */
	SENT_MAX = 1000,
	NAME_BYTES = 300
};

#define TAKEN      ".taken-"
#define SENT       ".sent-"
#define UNFINISHED ".new-"
#define BAD        ".bad-"

/* A file that could not be taken, or not removed. */
struct waiting {
	struct hashed named;
	int64_t due_ms;
	int delay_ms;
	unsigned scan; /* that saw it last */
	bool sent;     /* its message is in the queue: only its removal is left */
	char name[];
};

static struct {
	struct loop *loop;
	int directory;
	void (*begin)(struct submission *s, uint32_t uid);
	struct watch notify;
	struct timer timer;
	struct walk walk;
	bool walking, anew; /* anew: something came behind the present scan */
	unsigned scan, sent_count;
	struct hash waiting;
	bool crowd_told;
	int again_ms; /* after the directory itself could not be read */
} drops = { .notify = { .fd = -1 } };

/* ---- what waits ---- */

static struct waiting *find(const char *name)
{
	uint32_t hash = view_hash(0, view_of(name));

	HASH_EACH(w, &drops.waiting, hash, struct waiting, named)
		if (strcmp(w->name, name) == 0)
			return w;
	return NULL;
}

static int later(int delay_ms)
{
	if (delay_ms == 0)
		return AGAIN_MS;
	return delay_ms < SCAN_MS / 2 ? 2 * delay_ms : SCAN_MS;
}

/* Tried again later; NULL, but where it has to be: there is no room for the name. *told: the log
 * has its line already. */
static struct waiting *put_off(const char *name, bool always, bool *told)
{
	struct waiting *w = find(name);

	*told = w != NULL;
	if (w == NULL && !always && drops.waiting.count >= WAITING_MAX) {
		if (!drops.crowd_told)
			log_warn(
				"event=drop-later reason=\"%d files cannot be taken; more are not named\"",
				WAITING_MAX);
		*told = drops.crowd_told = true;
		return NULL;
	}
	if (w == NULL) {
		w = memory_get(sizeof *w + strlen(name) + 1);
		memcpy(w->name, name, strlen(name) + 1);
		hash_add(&drops.waiting, &w->named, view_hash(0, view_of(name)));
	}
	w->delay_ms = later(w->delay_ms);
	w->due_ms = loop_now_ms(drops.loop) + w->delay_ms;
	w->scan = drops.scan;
	return w;
}

static void forget(struct waiting *w)
{
	drops.sent_count -= w->sent;
	hash_remove(&drops.waiting, &w->named);
	free(w);
}

/* At the end of a scan: names that have gone are forgotten. -> when the first of the others is
 * due. */
static int64_t look_through(void)
{
	int64_t due = loop_now_ms(drops.loop) + SCAN_MS;

	for (uint32_t i = 0; i < drops.waiting.size; i++)
		HASH_EACH(w, &drops.waiting, i, struct waiting, named) {
			if (w->scan != drops.scan)
				forget(w);
			else if (w->due_ms < due)
				due = w->due_ms;
		}
	if (drops.waiting.count < WAITING_MAX)
		drops.crowd_told = false;
	return due;
}

/* ---- one file ---- */

/* Never over one that is there. */
static int move_to(const char *name, const char *to)
{
	struct stat st;
	int moved = renameat2(drops.directory, name, drops.directory, to, RENAME_NOREPLACE);

	if (moved == 0 || (errno != EINVAL && errno != ENOSYS))
		return moved;
	/* Not every file system can tell by itself. */
	if (fstatat(drops.directory, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return renameat(drops.directory, name, drops.directory, to);
}

/* from, which is NAME or what NAME was renamed to, gets this prefix instead, and a number where
 * that is taken. */
static int rename_to(const char *prefix, const char *name, const char *from, char to[NAME_BYTES])
{
	enum { NAMES = 100 };
	int moved;

	string_print(to, NAME_BYTES, "%s%.255s", prefix, name);
	moved = move_to(from, to);
	for (unsigned i = 1; moved < 0 && errno == EEXIST && i < NAMES; i++) {
		string_print(to, NAME_BYTES, "%s%.255s.%u", prefix, name, i);
		moved = move_to(from, to);
	}
	return moved;
}

/* What can never be taken stays for the operator, out of the way. */
static void set_aside(const char *name, const char *from, const char *why)
{
	char to[NAME_BYTES];
	bool told;

	if (rename_to(BAD, name, from, to) == 0) {
		log_warn("event=drop-refused file=%s reason=\"%s\" kept=%s",
		         log_quote(view_of(name)), log_text(view_of(why)), log_quote(view_of(to)));
		return;
	}
	int error = errno;

	put_off(name, false, &told);
	errno = error;
	if (!told)
		log_warn("event=drop-stuck file=%s reason=\"%s, and it cannot be moved: %m\"",
		         log_quote(view_of(name)), log_text(view_of(why)));
}

/* Taken at another scan. */
static void leave_for_later(const char *name, const char *why)
{
	bool told;

	put_off(name, false, &told);
	if (!told)
		log_warn("event=drop-later file=%s reason=\"%s\"", log_quote(view_of(name)),
		         log_text(view_of(why)));
}

/* Its message is in the queue. What cannot be removed any more, although it could be renamed, gets
 * a name that no pickup takes; where not even that can be done, this process remembers it. */
static void remove_taken(const char *name, const char *taken)
{
	char to[NAME_BYTES];
	bool told;

	if (unlinkat(drops.directory, taken, 0) == 0 || errno == ENOENT)
		return;
	int error = errno;

	if (rename_to(SENT, name, taken, to) == 0) {
		errno = error;
		log_warn(
			"event=drop-stuck file=%s reason=\"it is sent, and cannot be removed: %m\" kept=%s",
			log_quote(view_of(name)), log_quote(view_of(to)));
		return;
	}
	struct waiting *w = put_off(name, true, &told);

	if (w->sent)
		return;
	w->sent = true;
	drops.sent_count++;
	errno = error;
	log_warn("event=drop-stuck file=%s reason=\"it is sent, and cannot be removed: %m\"",
	         log_quote(view_of(name)));
}

/* -1: not this time, or never, and the log says which. */
static int open_plain(const char *name, struct stat *st)
{
	int fd = openat(drops.directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	/* A link, a socket: that will not change. Another pickup, in the middle of a reload, may
	 * have taken it. Everything else may be better in a minute. */
	if (fd < 0 && errno != ELOOP && errno != ENXIO) {
		if (errno != ENOENT)
			leave_for_later(name, strerror(errno));
		return -1;
	}
	if (fd >= 0 && fstat(fd, st) < 0) {
		leave_for_later(name, strerror(errno));
		close(fd);
		return -1;
	}
	if (fd < 0 || !S_ISREG(st->st_mode) || st->st_nlink != 1) {
		if (fd >= 0)
			close(fd);
		set_aside(name, name, "not a regular file");
		return -1;
	}
	return fd;
}

/* The message is whole, and all but its end, or nothing of a small one, is at queued. The message
 * is in the queue before its file goes: a crash between the two delivers it twice. */
static void submit(const char *name, struct submission *s)
{
	char taken[NAME_BYTES], text[REASON_MAX];

	string_print(taken, sizeof taken, TAKEN "%.255s", name);
	if (move_to(name, taken) < 0) {
		string_print_cut(text, sizeof text,
		                 "it is not sent, since it could not be removed afterwards: %s",
		                 strerror(errno));
		leave_for_later(name, text);
		return;
	}
	dropfile_finish(s);
	if (s->result.accepted) {
		remove_taken(name, taken);
	} else if (s->result.permanent) {
		set_aside(name, taken, s->result.text);
	} else {
		move_to(taken, name); /* else the next scan does it */
		leave_for_later(name, s->result.text);
	}
}

static void take_file(const char *name)
{
	struct submission s;
	struct stat st;

	if (drops.sent_count >= SENT_MAX) {
		leave_for_later(name, "too many files cannot be removed");
		return;
	}
	int fd = open_plain(name, &st);

	if (fd < 0)
		return;
	drops.begin(&s, st.st_uid);
	switch (dropfile_feed(fd, &s)) {
	case DROPFILE_WHOLE: submit(name, &s); break;
	case DROPFILE_FAILED: leave_for_later(name, strerror(errno)); break;
	case DROPFILE_TORN:
	case DROPFILE_BAD: set_aside(name, name, "incomplete or malformed message"); break;
	case DROPFILE_DAMAGED:
		set_aside(name, name, "wrong checksum: damaged after sendmail had stored it");
		break;
	case DROPFILE_RESULT:
		if (s.result.permanent)
			set_aside(name, name, s.result.text);
		else
			leave_for_later(name, s.result.text);
		break;
	}
	close(fd);
	submission_end(&s);
}

/* A crash was before its removal, or this process could not do that. It gets its own name back, so
 * that it is taken only where it can be renamed. */
static void take_back(const char *name, const char *taken)
{
	char text[REASON_MAX];

	if (move_to(taken, name) == 0) {
		take_file(name);
		return;
	}
	string_print_cut(text, sizeof text, "it cannot be renamed: %s", strerror(errno));
	leave_for_later(name, text);
}

/* drop was ended before it gave this file its name, and nobody was told that it is stored; or it
 * did, was told, and a power cut took the name back. What is whole counts as the latter. */
static void settle_unfinished(const char *name)
{
	const char *own = name + strlen(UNFINISHED);
	struct stat st;
	int fd = open_plain(name, &st);

	if (fd < 0)
		return;
	enum dropfile found = dropfile_check(fd);
	int error = errno;

	close(fd);
	errno = error;
	if (found == DROPFILE_FAILED)
		leave_for_later(name, strerror(errno));
	else if (found == DROPFILE_WHOLE && own[0] && own[0] != '.' && move_to(name, own) == 0)
		log_info("event=drop-unfinished file=%s reason=\"whole: taken\"",
		         log_quote(view_of(own)));
	else if (found == DROPFILE_TORN && unlinkat(drops.directory, name, 0) == 0)
		log_info("event=drop-unfinished file=%s reason=\"incomplete: removed\"",
		         log_quote(view_of(own)));
	else if (found == DROPFILE_WHOLE || found == DROPFILE_TORN)
		leave_for_later(name, strerror(errno));
	else
		set_aside(name, name, "unfinished, and damaged or malformed");
}

static bool is_older(const char *name, int64_t seconds)
{
	struct stat st;

	return fstatat(drops.directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && st.st_mtime < clock_wall_s() - seconds;
}

/* ---- the scan ---- */

/* Else it is passed over in this scan. */
static bool is_due(struct waiting *w)
{
	if (w == NULL)
		return true;
	w->scan = drops.scan;
	return w->due_ms <= loop_now_ms(drops.loop);
}

/* at: its name now. */
static bool take(const char *name, const char *at)
{
	struct waiting *w = find(name);

	if (!is_due(w))
		return false;
	if (w && w->sent)
		remove_taken(name, at);
	else if (name != at)
		take_back(name, at);
	else
		take_file(name);
	return true;
}

static bool remove_sent(const char *name)
{
	bool told;

	if (!is_due(find(name)))
		return false;
	if (unlinkat(drops.directory, name, 0) < 0 && errno != ENOENT)
		put_off(name, false, &told);
	return true;
}

static bool look_at_unfinished(const char *name)
{
	if (!is_older(name, STALE_S) || !is_due(find(name)))
		return false;
	settle_unfinished(name);
	return true;
}

/* Was it tried? */
static bool look_at(const char *name)
{
	struct view v = view_of(name);

	if (view_starts(v, VIEW(TAKEN)))
		return take(name + strlen(TAKEN), name);
	if (view_starts(v, VIEW(SENT)))
		return remove_sent(name);
	if (view_starts(v, VIEW(UNFINISHED)))
		return look_at_unfinished(name);
	return name[0] != '.' && take(name, name);
}

static void scan_in(int64_t due_ms)
{
	loop_timer_set(drops.loop, &drops.timer, due_ms);
}

static void end_scan(void)
{
	const int64_t now = loop_now_ms(drops.loop);
	int64_t due;

	drops.walking = false;
	if (walk_end(&drops.walk) < 0) {
		log_warn("event=drop-unreadable reason=\"%m\"");
		drops.again_ms = later(drops.again_ms);
		due = now + drops.again_ms;
	} else {
		drops.again_ms = 0;
		due = look_through();
	}
	if (drops.anew && due > now + SCAN_SOON_MS)
		due = now + (drops.waiting.count < WAITING_MAX ? SCAN_SOON_MS : AGAIN_MS);
	scan_in(due);
}

/* One scan goes through the whole directory, in turns, so that those at the socket get theirs. */
static void scan_due(struct timer *t)
{
	const struct dirent *entry = NULL;
	unsigned tried = 0;

	(void)t;
	if (!drops.walking) {
		drops.walking = true;
		drops.anew = false;
		drops.scan++;
		walk_begin(&drops.walk, drops.directory, ".");
	}
	while (tried < SCAN_FILES_MAX && (entry = walk_next(&drops.walk)) != NULL) {
		master_tell_busy();
		tried += look_at(entry->d_name);
	}
	if (entry)
		scan_in(loop_now_ms(drops.loop) + SCAN_SOON_MS);
	else
		end_scan();
}

static void notified(struct watch *w, unsigned events)
{
	char bytes[4096];

	(void)events;
	if (read(w->fd, bytes, sizeof bytes) <= 0)
		return;
	drops.anew = true;
	if (!drops.walking && drops.waiting.count < WAITING_MAX)
		scan_in(loop_now_ms(drops.loop) + SCAN_SOON_MS);
}

/* Without it the scan every minute does. */
static void watch_directory(const char *path)
{
	drops.notify.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	drops.notify.ready = notified;
	if (drops.notify.fd >= 0 && inotify_add_watch(drops.notify.fd, path, IN_MOVED_TO) >= 0)
		loop_watch(drops.loop, &drops.notify, LOOP_READ);
}

void dropdir_start(struct loop *loop, int directory, const char *path,
                   void (*begin)(struct submission *s, uint32_t uid))
{
	drops.loop = loop;
	drops.directory = directory;
	drops.begin = begin;
	watch_directory(path);
	drops.timer.due = scan_due;
	scan_in(clock_ms());
}

void dropdir_stop(void)
{
	loop_timer_clear(drops.loop, &drops.timer);
	loop_unwatch(drops.loop, &drops.notify);
	if (drops.walking && walk_end(&drops.walk) < 0)
		log_warn("event=drop-unreadable reason=\"%m\"");
	drops.walking = false;
}
