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
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/pace.h"
#include "lib/base/program.h"
#include "lib/conf/bounds.h"
#include "lib/base/shares.h"
#include "lib/net/listen.h"
#include "lib/queue/checksum.h"
#include "lib/wire/hub.h"
#include "lib/wire/master.h"
#include "queue/submit/dropdir.h"

enum {
	CONNECTIONS_MAX = 64,
	CONNECTIONS_ROOT = 8, /* for root, beside those of all */
	CONNECTION_IDLE_MS = 300000,
	CONNECTION_LINGER_MS = 10000, /* behind the answer */
	LOGINS_MAX = 200000
};

/* One program that submits a message. */
struct submitter {
	struct hub_line line;
	struct timer idle;
	struct share share; /* by uid, the one that was silent for longest first */
	struct submission submission;
	struct spool_writer writer;
	bool answered;
};

struct login {
	uint32_t uid;
	char name[SUBMISSION_LOGIN_MAX];
};

static struct {
	struct loop *loop;
	struct settings settings;
	struct hub hub;
	struct shares *shares; /* of the connections, but root's */
	struct pace refusals;
	int directory, resolved;
	struct spool_writer drop_writer;
	struct login *logins;
	size_t login_count;
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

static void drop_begun(struct submission *s, uint32_t uid)
{
	submission_of(s, &pickup.drop_writer, uid);
	s->from_file = true;
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

static struct share_path path_of(uint32_t uid)
{
	struct share_path path = { 0 };

	share_path_add(&path, &uid, sizeof uid);
	return path;
}

static void stand_last(struct submitter *c)
{
	struct share_path path = path_of(c->submission.uid);

	shares_remove(&c->share);
	if (c->submission.uid != 0)
		shares_add(pickup.shares, &path, &c->share);
}

/* sendmail leaves the message with drop then: nothing is lost. */
static void turn_away(struct submitter *c)
{
	unsigned more;

	if (pace_says(&pickup.refusals, loop_now_ms(pickup.loop), 1, &more))
		log_warn(
			"event=submit-refused uid=%u lines_max=%d more=%u reason=\"too many connections\"",
			c->submission.uid, CONNECTIONS_MAX, more);
	hub_line_drop(&c->line, NULL);
}

/* When all are taken: of the uid that has most, which is another's than the newcomer's and has
 * more, the one that has been silent for longest gives way. false: the newcomer is one too many. */
static bool make_room(uint32_t uid)
{
	struct share_path path = path_of(uid);
	struct share *share;

	if (uid == 0 || shares_count(pickup.shares) < CONNECTIONS_MAX)
		return true;
	share = shares_giving_way(pickup.shares, &path);
	if (share == NULL)
		return false;
	struct submitter *c = list_owner(share, struct submitter, share);

	shares_remove(share);
	turn_away(c);
	return true;
}

static void let_in(struct submitter *c)
{
	struct wire_out out = { 0 };

	wire_begin(&out, SUBMIT_READY);
	hub_line_send(&c->line, &out);
	wire_out_free(&out);
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
	if (!make_room(peer.uid)) {
		turn_away(c);
		return;
	}
	stand_last(c);
	let_in(c);
}

static void closed(struct hub_line *line)
{
	struct submitter *c = loop_owner(line, struct submitter, line);

	loop_timer_clear(pickup.loop, &c->idle);
	shares_remove(&c->share);
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
	if (!c->line.dropped)
		stand_last(c);
}

/* Until the other end has gone, also behind the answer: what still comes is read and forgotten,
 * since a line closed over unread bytes would take the answer along. */
static bool busy(const struct hub_line *line)
{
	(void)line;
	return true;
}

/* ---- start and end ---- */

/* The drop directory is the successor's: what two take is delivered twice. */
static void retired(struct hub *hub)
{
	(void)hub;
	dropdir_stop();
	program_let_go(pickup.directory);
}

static void serve(void)
{
	pickup.hub = (struct hub){ .loop = pickup.loop,
		                   .protocol = "submit",
		                   .listens = true,
		                   .line_size = sizeof(struct submitter),
		                   .lines_max = CONNECTIONS_MAX + CONNECTIONS_ROOT,
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
	bounds_confine("pickup", &pickup.settings, &profile);
	pickup.loop = loop_new();
	pickup.shares = shares_new(1);
	serve();
	dropdir_start(pickup.loop, pickup.directory, path, drop_begun);
	hubs_serve(pickup.loop);
	return EXIT_DONE;
}
