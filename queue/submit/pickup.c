/* SPDX-License-Identifier: ISC */
/*
 * pickup takes mail from the programs of this machine: over the submission socket that sendmail
 * connects to, and out of the drop directory, where sendmail's helper `drop` leaves it while the
 * house is down.
 *
 * Runs as _phdrop in the drop directory; no network. It trusts nobody who submits: who they are it
 * asks the kernel (peer credentials, the owner of the file), what they send is bounded and checked
 * in submission.c.
 * Reads: the drop directory, messages on the socket; before the jail the names of the accounts.
 * Writes: messages into the queue, over queued's descriptors; removes drop files whose message is
 * safe. Who owns it sends mail in the name of anybody on this machine and sees what is submitted
 * here from then on.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/program.h"
#include "lib/net/listen.h"
#include "lib/queue/checksum.h"
#include "lib/wire/hub.h"
#include "lib/wire/master.h"
#include "queue/submit/dropfile.h"

enum {
	CONNECTIONS_MAX = 64,
	CONNECTION_IDLE_MS = 300000,
	CONNECTION_LINGER_MS = 10000, /* behind the answer */
	SCAN_MS = 60000,
	SCAN_SOON_MS = 50,
	SCAN_AGAIN_MS = 1000,  /* when something could not be taken; doubled up to SCAN_MS */
	SCAN_FILES_MAX = 1000, /* in one turn; the rest at once afterwards */
	STALE_S = 24 * 3600,   /* a file that drop never finished */
	LOGINS_MAX = 200000,
	STUCK_MAX = 1000
};

/* One program that submits a message. */
struct submitter {
	struct hub_line line;
	struct timer idle;
	struct submission submission;
	struct spool_writer writer;
	bool answered;
};

struct login {
	uint32_t uid;
	char name[SUBMISSION_LOGIN_MAX];
};

struct names {
	char *all[STUCK_MAX];
	unsigned count;
};

static struct {
	struct loop *loop;
	struct settings settings;
	struct hub hub;
	struct watch notify;
	struct timer scan;
	int directory, resolved;
	struct spool_writer drop_writer;
	struct login *logins;
	size_t login_count;
	struct names stuck; /* what cannot even be moved, and is told of once */
	struct names taken; /* in the queue, but still there: taken again they would come twice */
	bool failed;        /* in this scan, what may be better at another one */
	int again_ms;
} pickup = { .resolved = -1, .drop_writer = { .queued = -1, .fd = -1 } };

/* ---- who is it ---- */

/* Names cannot be asked for in the jail; a uid that came later is called by its number until the
 * next reload. */
static void read_logins(void)
{
	const struct passwd *p;

	setpwent();
	while ((p = getpwent()) != NULL && pickup.login_count < LOGINS_MAX) {
		pickup.logins =
			memory_grow_for(pickup.logins, pickup.login_count, sizeof *pickup.logins);
		struct login *l = &pickup.logins[pickup.login_count];

		l->uid = p->pw_uid;
		if (string_copy(l->name, sizeof l->name, view_of(p->pw_name)))
			pickup.login_count++;
	}
	endpwent();
}

static void login_of(uint32_t uid, char out[SUBMISSION_LOGIN_MAX])
{
	for (size_t i = 0; i < pickup.login_count; i++)
		if (pickup.logins[i].uid == uid) {
			string_put(out, SUBMISSION_LOGIN_MAX, view_of(pickup.logins[i].name));
			return;
		}
	string_print(out, SUBMISSION_LOGIN_MAX, "uid%u", uid);
}

static void submission_of(struct submission *s, struct spool_writer *writer, uint32_t uid)
{
	*s = (struct submission){ .settings = &pickup.settings,
		                  .writer = writer,
		                  .resolved = &pickup.resolved,
		                  .uid = uid };
	login_of(uid, s->login);
}

/* ---- the socket ---- */

static void arm_idle(struct submitter *c)
{
	loop_timer_set(pickup.loop, &c->idle,
	               loop_now_ms(pickup.loop) +
	                       (c->answered ? CONNECTION_LINGER_MS : CONNECTION_IDLE_MS));
}

static void idle_due(struct timer *t)
{
	hub_line_drop(&loop_owner(t, struct submitter, idle)->line, NULL);
}

static void opened(struct hub_line *line)
{
	struct submitter *c = loop_owner(line, struct submitter, line);
	struct ucred peer;
	socklen_t len = sizeof peer;

	c->writer = (struct spool_writer){ .queued = -1, .fd = -1 };
	c->idle.due = idle_due;
	if (getsockopt(line->watch.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		hub_line_drop(line, "no credentials");
		return;
	}
	submission_of(&c->submission, &c->writer, peer.uid);
	arm_idle(c);
}

static void closed(struct hub_line *line)
{
	struct submitter *c = loop_owner(line, struct submitter, line);

	loop_timer_clear(pickup.loop, &c->idle);
	submission_end(&c->submission);
	spool_writer_free(&c->writer);
}

static void answer(struct submitter *c)
{
	struct wire_out out = { 0 };

	submit_result_put(&out, &c->submission.result);
	hub_line_send(&c->line, &out);
	wire_out_free(&out);
}

static void message(struct hub_line *line, struct wire_in *in)
{
	static char copy[WIRE_MESSAGE_MAX];
	struct submitter *c = loop_owner(line, struct submitter, line);

	/* The siblings' answers come into the buffer that this one is in. */
	memcpy(copy, in->rest.data, in->rest.len);
	in->rest.data = copy;
	if (!c->answered && !submission_take(&c->submission, in)) {
		c->answered = true;
		answer(c);
	}
	arm_idle(c);
}

/* Until the other end has gone, also behind the answer: what still comes is read and forgotten,
 * since a line closed over unread bytes would take the answer along. */
static bool busy(const struct hub_line *line)
{
	(void)line;
	return true;
}

/* ---- the drop directory ---- */

static bool names_have(const struct names *n, const char *name)
{
	for (unsigned i = 0; i < n->count; i++)
		if (strcmp(n->all[i], name) == 0)
			return true;
	return false;
}

static void names_add(struct names *n, const char *name)
{
	if (n->count < STUCK_MAX)
		n->all[n->count++] = memory_string(view_of(name));
}

/* A scan comes each minute. */
static bool is_told(const char *name)
{
	if (names_have(&pickup.stuck, name))
		return true;
	names_add(&pickup.stuck, name);
	return false;
}

/* Never over one that is there. */
static int move_to(const char *name, const char *to)
{
	struct stat st;
	int moved = renameat2(pickup.directory, name, pickup.directory, to, RENAME_NOREPLACE);

	if (moved == 0 || (errno != EINVAL && errno != ENOSYS))
		return moved;
	/* Not every file system can tell by itself. */
	if (fstatat(pickup.directory, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return renameat(pickup.directory, name, pickup.directory, to);
}

/* What can never be taken stays for the operator, out of the way. */
static void set_aside(const char *name, const char *why)
{
	enum { NAMES = 100 };
	char to[300];
	int moved = -1;

	string_print(to, sizeof to, ".bad-%.255s", name);
	moved = move_to(name, to);
	for (unsigned i = 1; moved < 0 && errno == EEXIST && i < NAMES; i++) {
		string_print(to, sizeof to, ".bad-%.255s.%u", name, i);
		moved = move_to(name, to);
	}
	if (moved == 0)
		log_warn("event=drop-refused file=%s reason=\"%s\" kept=%s",
		         log_quote(view_of(name)), log_text(view_of(why)), log_quote(view_of(to)));
	else if (!is_told(name))
		log_warn("event=drop-stuck file=%s reason=\"%s, and it cannot be moved: %m\"",
		         log_quote(view_of(name)), log_text(view_of(why)));
}

/* Taken at another scan. */
static void leave_for_later(const char *name, const char *why)
{
	pickup.failed = true;
	log_warn("event=drop-later file=%s reason=\"%s\"", log_quote(view_of(name)),
	         log_text(view_of(why)));
}

/* Its message is in the queue. */
static void remove_taken(const char *name)
{
	if (unlinkat(pickup.directory, name, 0) == 0 || errno == ENOENT)
		return;
	pickup.failed = true;
	if (names_have(&pickup.taken, name))
		return;
	names_add(&pickup.taken, name);
	log_warn("event=drop-stuck file=%s reason=\"it is sent, and cannot be removed: %m\"",
	         log_quote(view_of(name)));
}

/* -1: not this time, or never, and the log says which. */
static int open_plain(const char *name, struct stat *st)
{
	int fd = openat(pickup.directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

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
		set_aside(name, "not a regular file");
		return -1;
	}
	return fd;
}

/* The message is in the queue before its file goes: a crash between the two delivers it twice. */
static void take_file(const char *name)
{
	struct submission s;
	struct stat st;

	if (names_have(&pickup.taken, name)) {
		remove_taken(name);
		return;
	}
	if (pickup.taken.count == STUCK_MAX) {
		leave_for_later(name, "too many files cannot be removed");
		return;
	}
	int fd = open_plain(name, &st);

	if (fd < 0)
		return;
	submission_of(&s, &pickup.drop_writer, st.st_uid);
	s.from_file = true;
	enum dropfile fed = dropfile_feed(fd, &s);

	if (fed == DROPFILE_FAILED)
		leave_for_later(name, strerror(errno));
	else if (fed == DROPFILE_TORN)
		set_aside(name, "incomplete or malformed message");
	else if (fed == DROPFILE_DAMAGED)
		set_aside(name, "wrong checksum: damaged after sendmail had stored it");
	else if (s.result.accepted)
		remove_taken(name);
	else if (s.result.permanent)
		set_aside(name, s.result.text);
	else
		leave_for_later(name, s.result.text);
	close(fd);
	submission_end(&s);
}

static void remove_stale(const char *name)
{
	struct stat st;

	if (fstatat(pickup.directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    st.st_mtime < clock_wall_s() - STALE_S)
		unlinkat(pickup.directory, name, 0);
}

/* What could not be taken may be soon, or not for long. */
static int until_next_scan_ms(bool full)
{
	if (full)
		return SCAN_SOON_MS;
	if (!pickup.failed)
		pickup.again_ms = 0;
	else if (pickup.again_ms < SCAN_MS / 2)
		pickup.again_ms = pickup.again_ms ? 2 * pickup.again_ms : SCAN_AGAIN_MS;
	else
		pickup.again_ms = SCAN_MS;
	return pickup.again_ms ? pickup.again_ms : SCAN_MS;
}

static void scan_due(struct timer *t)
{
	const struct dirent *entry;
	unsigned taken = 0;
	struct walk walk;

	pickup.failed = false;
	walk_begin(&walk, pickup.directory, ".");
	while (taken < SCAN_FILES_MAX && (entry = walk_next(&walk)) != NULL) {
		struct view name = view_of(entry->d_name);

		master_tell_busy();
		if (view_starts(name, VIEW(".new-")))
			remove_stale(entry->d_name);
		else if (name.data[0] != '.' && ++taken)
			take_file(entry->d_name);
	}
	if (walk_end(&walk) < 0) {
		pickup.failed = true;
		log_warn("event=drop-unreadable reason=\"%m\"");
	}
	loop_timer_set(pickup.loop, t,
	               loop_now_ms(pickup.loop) + until_next_scan_ms(taken == SCAN_FILES_MAX));
}

static void notified(struct watch *w, unsigned events)
{
	char bytes[4096];

	(void)events;
	if (read(w->fd, bytes, sizeof bytes) > 0)
		loop_timer_set(pickup.loop, &pickup.scan, loop_now_ms(pickup.loop) + SCAN_SOON_MS);
}

/* Without it the scan every minute does. */
static void watch_directory(const char *path)
{
	pickup.notify.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	pickup.notify.ready = notified;
	if (pickup.notify.fd >= 0 && inotify_add_watch(pickup.notify.fd, path, IN_MOVED_TO) >= 0)
		loop_watch(pickup.loop, &pickup.notify, LOOP_READ);
}

/* ---- start and end ---- */

/* The drop directory is the successor's: what two take is delivered twice. */
static void retired(struct hub *hub)
{
	(void)hub;
	loop_timer_clear(pickup.loop, &pickup.scan);
	loop_unwatch(pickup.loop, &pickup.notify);
	program_let_go(pickup.directory);
}

static void serve(void)
{
	pickup.hub = (struct hub){ .loop = pickup.loop,
		                   .protocol = "submit",
		                   .listens = true,
		                   .line_size = sizeof(struct submitter),
		                   .lines_max = CONNECTIONS_MAX,
		                   .opened = opened,
		                   .message = message,
		                   .closed = closed,
		                   .busy = busy,
		                   .retired = retired };
	hub_start(&pickup.hub, program_need_fd("listen.submit"));
}

int main(void)
{
	program_start("pickup");
	settings_inherit(&pickup.settings);
	read_logins();
	tzset();
	pickup.directory = open(pickup.settings.drop_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pickup.directory < 0)
		log_fatal("drop.directory %s: %m", pickup.settings.drop_directory);
	/* A submission brings no descriptors. Where the kernel lets it, they have to be closed. */
	unsigned unwanted =
		net_take_no_descriptors(program_need_fd("listen.submit")) ? 0 : SANDBOX_LINGER;
	const char *path = getenv("POSTHOUSE_ROOT") ? "/" : pickup.settings.drop_directory;
	const struct sandbox_profile profile = {
		.promises = SANDBOX_FILES | SANDBOX_NOTIFY | SANDBOX_ACCEPT | unwanted,
		.paths = { { path, true } },
	};

	checksum_start();
	program_hold_directory(pickup.directory, "drop.directory", pickup.settings.drop_directory);
	program_confine(&profile);
	pickup.loop = loop_new();
	serve();
	watch_directory(path);
	pickup.scan.due = scan_due;
	loop_timer_set(pickup.loop, &pickup.scan, clock_ms());
	hubs_serve(pickup.loop);
	return EXIT_DONE;
}
