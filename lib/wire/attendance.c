/* SPDX-License-Identifier: ISC */
#include "lib/wire/attendance.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/base/pace.h"
#include "lib/base/program.h"
#include "lib/wire/control.h"
#include "lib/wire/master.h"

enum {
	KILL_MS = 900,        /* "within a second" */
	LINE_AGAIN_MS = 1000, /* a line to authd */
	SOON_MS = 100,        /* authd hears of those who have come meanwhile together */
	ASKERS_MAX = 16,
	ASKER_PATIENCE_MS = 10000,
	ENDS_LOGGED_PER_SECOND = 100
};

struct attendant {
	struct link link; /* in unchecked or checked */
	struct hashed by_id;
	struct attendance *of;
	struct timer kill;
	int64_t since_s;
	pid_t worker;
	bool ended;
	struct session_facts facts;
};

/* Somebody at the control socket; a place whose watch the loop does not hold is free. */
struct asker {
	struct watch watch;
	struct timer late;
	struct control_answer lines;
	struct attendance *of;
};

struct attendance {
	struct loop *loop;
	struct list unchecked, checked; /* by the authd at the other end of the line */
	struct hash by_id;
	struct watch authd; /* fd -1: no line */
	struct timer again, soon;
	struct asker askers[ASKERS_MAX];
	struct pace logged;
	struct wire_out out;
};

/* ---- their end ---- */

static void kill_due(struct timer *t)
{
	const struct attendant *s = loop_owner(t, struct attendant, kill);

	kill(s->worker, SIGKILL);
}

static void end(struct attendant *s, const char *reason)
{
	struct attendance *a = s->of;
	unsigned more;

	if (s->ended)
		return;
	s->ended = true;
	if (pace_says(&a->logged, loop_now_ms(a->loop), ENDS_LOGGED_PER_SECOND, &more))
		log_info("event=session-ended service=%s account=%s session=%llu reason=%s more=%u",
		         connection_service_name(s->facts.service),
		         log_quote(view_of(s->facts.account)), (unsigned long long)s->facts.id,
		         reason, more);
	kill(s->worker, SIGUSR1);
	loop_timer_set(a->loop, &s->kill, loop_now_ms(a->loop) + KILL_MS);
}

/* ---- authd ---- */

static uint32_t hash_of(uint64_t id)
{
	return view_hash(HASH_START, (struct view){ (const char *)&id, sizeof id });
}

static void lose_authd(struct attendance *a)
{
	loop_unwatch(a->loop, &a->authd);
	close(a->authd.fd);
	a->authd.fd = -1;
}

/* A packet of those that it has not heard of. */
static void check_some(struct attendance *a)
{
	size_t told = 0;

	wire_begin(&a->out, SESSION_CHECK);
	LIST_EACH(s, &a->unchecked, struct attendant, link)
		if (a->out.bytes.len < SESSION_BATCH_BYTES) {
			session_facts_put(&a->out, &s->facts);
			told++;
		}
	if (told == 0 || wire_send_now(a->authd.fd, &a->out) != WIRE_OK)
		told = 0;
	while (told--)
		list_add_last(&a->checked, list_take_first(&a->unchecked));
	loop_change(a->loop, &a->authd, a->unchecked.count ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void end_named(struct attendance *a, struct wire_in *in)
{
	while (in->rest.len && !in->bad) {
		uint64_t id = wire_get_u64(in);

		HASH_EACH(s, &a->by_id, hash_of(id), struct attendant, by_id)
			if (s->facts.id == id)
				end(s, "account-changed");
	}
}

static bool is_of_account(const struct attendant *s, const char *account)
{
	return account[0] == '\0' || view_equal_nocase(view_of(s->facts.account), view_of(account));
}

/* The map is another one, for all or for one. */
static void check_again(struct attendance *a, struct wire_in *in)
{
	char account[AUTH_ADDRESS_MAX];

	wire_get_string(in, account, sizeof account);
	if (!wire_end(in))
		return;
	LIST_EACH(s, &a->checked, struct attendant, link) {
		if (!is_of_account(s, account))
			continue;
		list_remove(&s->link);
		list_add_last(&a->unchecked, &s->link);
	}
	check_some(a);
}

static void ask_for_line(struct attendance *a);

static void authd_ready(struct watch *w, unsigned events)
{
	struct attendance *a = loop_owner(w, struct attendance, authd);
	struct wire_in in;
	enum wire_result r = wire_receive_now(w->fd, &in);

	if (r == WIRE_OK && in.type == SESSION_END)
		end_named(a, &in);
	else if (r == WIRE_OK && in.type == SESSION_AGAIN)
		check_again(a, &in);
	if ((r == WIRE_OK && !wire_end(&in)) || r == WIRE_CLOSED || r == WIRE_ERROR) {
		lose_authd(a);
		ask_for_line(a);
	} else if (events & LOOP_WRITE) {
		check_some(a);
	}
	wire_in_close(&in);
}

static void take_line(struct attendance *a, int fd)
{
	struct link *link;

	if (a->authd.fd >= 0)
		lose_authd(a);
	loop_timer_clear(a->loop, &a->again);
	a->authd.fd = fd;
	loop_watch(a->loop, &a->authd, LOOP_READ | LOOP_WRITE);
	while ((link = list_take_first(&a->checked)) != NULL)
		list_add_last(&a->unchecked, link);
}

/* Again after a while, until there is one. */
static void ask_for_line(struct attendance *a)
{
	int wire = program_fd("authd.session"), master = program_fd("master");
	int fd = wire >= 0 ? wire_dial_now(wire, "session", 0) : -1;

	loop_timer_set(a->loop, &a->again, loop_now_ms(a->loop) + LINE_AGAIN_MS);
	if (fd >= 0) {
		take_line(a, fd);
	} else if (wire < 0 && master >= 0) {
		wire_begin(&a->out, MASTER_DIAL);
		wire_send_now(master, &a->out);
	}
}

static void again_due(struct timer *t)
{
	ask_for_line(loop_owner(t, struct attendance, again));
}

static void soon_due(struct timer *t)
{
	struct attendance *a = loop_owner(t, struct attendance, soon);

	if (a->authd.fd >= 0)
		check_some(a);
}

/* ---- who comes and goes ---- */

struct attendance *attendance_new(struct loop *loop)
{
	struct attendance *a = memory_get(sizeof *a);

	a->loop = loop;
	a->authd.fd = -1;
	a->authd.ready = authd_ready;
	a->again.due = again_due;
	a->soon.due = soon_due;
	loop_timer_set(loop, &a->again, loop_now_ms(loop)); /* when the program is ready */
	return a;
}

struct attendant *attendance_enter(struct attendance *a, const struct session_facts *facts,
                                   pid_t worker)
{
	struct attendant *s = memory_get(sizeof *s);

	s->of = a;
	s->facts = *facts;
	s->worker = worker;
	s->since_s = clock_wall_us() / 1000000;
	s->kill.due = kill_due;
	list_add_last(&a->unchecked, &s->link);
	hash_add(&a->by_id, &s->by_id, hash_of(facts->id));
	if (!loop_timer_is_set(&a->soon))
		loop_timer_set(a->loop, &a->soon, loop_now_ms(a->loop) + SOON_MS);
	return s;
}

void attendance_leave(struct attendance *a, struct attendant **session)
{
	struct attendant *s = *session;

	if (s == NULL)
		return;
	loop_timer_clear(a->loop, &s->kill);
	list_remove(&s->link);
	hash_remove(&a->by_id, &s->by_id);
	free(s);
	*session = NULL;
}

/* ---- the control socket ---- */

static void drop(struct asker *asker)
{
	loop_unwatch(asker->of->loop, &asker->watch);
	loop_timer_clear(asker->of->loop, &asker->late);
	close(asker->watch.fd); /* others have it too: the last who closes it ends the answer */
	control_answer_free(&asker->lines);
}

static void late(struct timer *t)
{
	drop(loop_owner(t, struct asker, late));
}

static void flush(struct asker *asker)
{
	struct attendance *a = asker->of;

	if (control_answer_send(&asker->lines, asker->watch.fd) != WIRE_AGAIN) {
		drop(asker);
		return;
	}
	loop_change(a->loop, &asker->watch, LOOP_WRITE);
	loop_timer_set(a->loop, &asker->late, loop_now_ms(a->loop) + ASKER_PATIENCE_MS);
}

static void asker_ready(struct watch *w, unsigned events)
{
	struct asker *asker = loop_owner(w, struct asker, watch);

	if (events & LOOP_WRITE)
		flush(asker);
	else
		drop(asker);
}

static struct asker *free_place(struct attendance *a)
{
	for (unsigned i = 0; i < ASKERS_MAX; i++)
		if (!loop_is_watched(&a->askers[i].watch))
			return &a->askers[i];
	return NULL;
}

static bool is_meant(const struct attendant *s, const struct control_sessions *q)
{
	return q->whom[0] == '\0' || (q->id != 0 && s->facts.id == q->id) ||
	       view_equal_nocase(view_of(s->facts.account), view_of(q->whom));
}

/* full: no more room in the answer. */
static void tell_batch(struct attendance *a, struct control_answer *lines, bool *full)
{
	control_answer_add(lines, &a->out);
	wire_begin(&a->out, CONTROL_SESSION_ENTRY);
	*full = lines->packets.len + 2 * WIRE_MESSAGE_MAX > CONTROL_ANSWER_MAX;
}

static void tell_of(struct attendance *a, struct list *list, const struct control_sessions *q,
                    struct control_answer *lines, bool *full)
{
	LIST_EACH(s, list, struct attendant, link) {
		struct control_session entry = { s->facts, s->since_s, (uint32_t)s->worker };

		if (*full || !is_meant(s, q))
			continue;
		control_session_put(&a->out, &entry);
		if (a->out.bytes.len > CONTROL_BATCH_BYTES)
			tell_batch(a, lines, full);
		if (q->end)
			end(s, "kicked");
	}
}

static void answer(struct attendance *a, const struct control_sessions *q,
                   struct control_answer *lines)
{
	bool full = false;

	wire_begin(&a->out, CONTROL_SESSION_ENTRY);
	tell_of(a, &a->checked, q, lines, &full);
	tell_of(a, &a->unchecked, q, lines, &full);
	if (a->out.bytes.len > 1)
		control_answer_add(lines, &a->out);
	if (full) {
		control_end_put(&a->out, EXIT_TEMPORARY,
		                "too many sessions to be told at once: name a user");
		control_answer_add(lines, &a->out);
	}
}

static void serve(struct attendance *a, const struct control_sessions *q, int fd)
{
	struct asker *asker = free_place(a);

	if (asker == NULL) {
		control_end_put(&a->out, EXIT_TEMPORARY, "too many commands at once; try again");
		wire_send_now(fd, &a->out);
		close(fd);
		return;
	}
	*asker = (struct asker){ .watch = { .fd = fd, .ready = asker_ready },
		                 .late.due = late,
		                 .of = a };
	if (loop_try_watch(a->loop, &asker->watch, 0) < 0) {
		close(fd);
		return;
	}
	answer(a, q, &asker->lines);
	flush(asker);
}

void attendance_master_said(struct attendance *a, struct wire_in *in)
{
	struct control_sessions q;
	int fd;

	if (in->type == MASTER_SESSIONS && control_sessions_get(in, &q, &fd))
		serve(a, &q, fd);
	else if (in->type == MASTER_DIALLED && master_file_get(in, &fd))
		take_line(a, fd);
	else
		log_warn("event=bad-message peer=master type=%d", in->type);
}
